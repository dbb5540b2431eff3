use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use crate::{Attempt, words::words};

words! {
    /// Whether a message that was not accepted may have gone out all the same.
    #[expect(clippy::exhaustive_enums, reason = "there is no third answer to the question")]
    pub enum Acceptance("an acceptance") {
        /// Certainly not sent: the vendor refused it, or it never left.
        NotAccepted = "not_accepted",
        /// It may have gone out. Nothing of ours repeats it.
        Unknown = "unknown",
    }
}

words! {
    /// What went wrong, whoever the vendor is.
    #[non_exhaustive]
    pub enum ErrorKind("an error kind") {
        /// The recipient, a filter or a rule of ours does not let this message through.
        Blocked = "blocked",
        /// The account has no credit, or its quota is used up.
        InsufficientBalance = "insufficient_balance",
        /// The recipient's number is wrong or cannot be reached.
        InvalidRecipient = "invalid_recipient",
        /// The sender is not allowed.
        InvalidSender = "invalid_sender",
        /// The text is empty, too long or not allowed.
        InvalidText = "invalid_text",
        /// The account, the product or the address is not set up for this.
        Misconfigured = "misconfigured",
        /// A fault that no other kind names.
        Other = "other",
        /// The answer is not what the vendor's page says.
        Protocol = "protocol",
        /// Too many calls; [`SendError::retry_after`] says how long to wait where the vendor does.
        Throttled = "throttled",
        /// A deadline passed.
        Timeout = "timeout",
        /// The credentials were refused.
        Unauthorized = "unauthorized",
        /// The vendor cannot be reached, or is out of order.
        Unavailable = "unavailable",
        /// The message wishes for something that this vendor cannot do.
        Unsupported = "unsupported",
    }
}

/// The vendor has not taken the message, or we cannot know whether it has.
///
/// Two constructors, [`not_accepted`](Self::not_accepted) and [`unknown`](Self::unknown), ask whoever
/// makes an error the one question that counts. "Not accepted" is a claim and needs a proof: the request
/// never left, or the vendor itself spoke.
///
/// One word wide and cheap to clone, because a failed call for many messages is told to each. It never
/// holds an answer's body, and its words are ours: vendors repeat texts and numbers in theirs.
///
/// ```
/// use postduif_core::{Acceptance, ErrorKind, SendError};
///
/// let refused = SendError::not_accepted(ErrorKind::Throttled, "too many calls").with_provider("kpn");
/// assert!(refused.may_resend() && refused.may_reroute());
///
/// let lost = SendError::unknown(ErrorKind::Unavailable, "the connection broke before the answer");
/// assert_eq!(lost.acceptance(), Acceptance::Unknown);
/// assert!(!lost.may_resend() && !lost.may_reroute());
/// ```
#[derive(Clone)]
pub struct SendError(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    acceptance: Acceptance,
    message: Cow<'static, str>,
    provider: Option<Cow<'static, str>>,
    code: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
    attempts: Vec<Attempt>,
    origin: Origin,
}

/// What kind of call an error comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Origin {
    /// A vendor was asked to send a message, or could not be reached for it.
    Vendor,
    /// A layer on this side refused it; no vendor was asked.
    Local,
    /// A call that carried no message.
    Check,
}

impl SendError {
    /// The message was certainly not sent.
    #[must_use]
    pub fn not_accepted(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, Acceptance::NotAccepted, message.into())
    }

    /// The message may have been sent.
    #[must_use]
    pub fn unknown(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, Acceptance::Unknown, message.into())
    }

    fn new(kind: ErrorKind, acceptance: Acceptance, message: Cow<'static, str>) -> Self {
        Self(Arc::new(Inner {
            kind,
            acceptance,
            message,
            provider: None,
            code: None,
            retry_after: None,
            source: None,
            attempts: Vec::new(),
            origin: Origin::Vendor,
        }))
    }

    /// Names the provider that answered, by its profile's name.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<Cow<'static, str>>) -> Self {
        self.inner().provider = Some(provider.into());
        self
    }

    /// Keeps the vendor's own code. Only a code from the provider's table, or one that does not
    /// [echo](crate::Message::echoes) the message.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.inner().code = Some(code.into());
        self
    }

    /// How long the vendor asks to wait before another try.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.inner().retry_after = Some(retry_after);
        self
    }

    /// What lies beneath. Its `Display` must hold no secret and no URL.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.inner().source = Some(Arc::new(source));
        self
    }

    /// Who was tried before, in order.
    #[must_use]
    pub fn with_attempts(mut self, attempts: Vec<Attempt>) -> Self {
        self.inner().attempts = attempts;
        self
    }

    /// The same failure, with acceptance unknown: what a wrapper says of a message that was in doubt
    /// before this failure was met.
    #[must_use]
    pub fn in_doubt(mut self) -> Self {
        self.inner().acceptance = Acceptance::Unknown;
        self
    }

    /// Marks a refusal as made on this side: a limit, a full queue, a rule. No vendor was asked, so it says
    /// nothing about one.
    ///
    /// ```
    /// use postduif_core::{ErrorKind, SendError};
    ///
    /// let refused = SendError::not_accepted(ErrorKind::Throttled, "the queue is full").local();
    /// assert!(refused.is_local());
    /// ```
    #[must_use]
    pub fn local(mut self) -> Self {
        self.inner().origin = Origin::Local;
        self
    }

    /// Turns it into the failure of a call that carried no message, such as
    /// [`check`](crate::SmsProvider::check): never in doubt, and without a word about a message.
    ///
    /// ```
    /// use postduif_core::{Acceptance, ErrorKind, SendError};
    ///
    /// let failed = SendError::unknown(ErrorKind::Unavailable, "the server failed").of_check();
    /// assert_eq!(failed.acceptance(), Acceptance::NotAccepted);
    /// assert_eq!(failed.to_string(), "the server failed");
    /// ```
    #[must_use]
    pub fn of_check(mut self) -> Self {
        let inner = self.inner();
        inner.acceptance = Acceptance::NotAccepted;
        inner.origin = Origin::Check;
        self
    }

    /// Writes what happened, and the vendor's code.
    pub(crate) fn write_words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match self.code() {
            Some(code) => write!(f, " (code {code})"),
            None => Ok(()),
        }
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the message may have gone out all the same.
    #[must_use]
    pub fn acceptance(&self) -> Acceptance {
        self.0.acceptance
    }

    /// The provider that answered, where one did.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// The vendor's own code, where it gave one that is safe to keep.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// How long the vendor asks to wait, where it says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Who was tried before this failure ended the message's way, oldest first.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.0.attempts
    }

    /// Returns whether it was refused on this side, before any vendor was asked.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0.origin == Origin::Local
    }

    /// Whether the same message may go to the same vendor again: it was not accepted, and the reason
    /// passes by itself.
    #[must_use]
    pub fn may_resend(&self) -> bool {
        self.acceptance() == Acceptance::NotAccepted
            && matches!(
                self.kind(),
                ErrorKind::Throttled | ErrorKind::Timeout | ErrorKind::Unavailable
            )
    }

    /// Whether another vendor may be tried: it was not accepted, and the fault is not the message's own.
    #[must_use]
    pub fn may_reroute(&self) -> bool {
        self.acceptance() == Acceptance::NotAccepted
            && !matches!(
                self.kind(),
                ErrorKind::Blocked | ErrorKind::InvalidRecipient | ErrorKind::InvalidText
            )
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(provider) = self.provider() {
            write!(f, "{provider}: ")?;
        }
        self.write_words(f)?;
        f.write_str(match (self.0.origin, self.acceptance()) {
            (Origin::Check, _) => "",
            (_, Acceptance::NotAccepted) => "; the message was not sent",
            (_, Acceptance::Unknown) => "; the message may have been sent",
        })
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SendError");
        shown
            .field("kind", &self.kind())
            .field("acceptance", &self.acceptance());
        shown.field("message", &self.0.message);
        if let Some(provider) = self.provider() {
            shown.field("provider", &provider);
        }
        if let Some(code) = self.code() {
            shown.field("code", &code);
        }
        if let Some(retry_after) = self.retry_after() {
            shown.field("retry_after", &retry_after);
        }
        if let Some(source) = self.source() {
            // By `Display`: a foreign error's `Debug` may show what its `Display` leaves out.
            shown.field("source", &format_args!("{source}"));
        }
        if !self.attempts().is_empty() {
            shown.field("attempts", &self.attempts());
        }
        shown.finish()
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

/// A provider, a client or a flow cannot be built from what it was given.
///
/// It happens before any message exists, so it knows no acceptance. It never shows a URL: that may hold
/// a secret.
#[derive(Clone)]
pub struct ConfigError {
    message: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ConfigError {
    /// What is wrong, and what to do about it.
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// What lies beneath. Its `Display` must hold no secret and no URL.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ConfigError");
        shown.field("message", &self.message);
        if let Some(source) = &self.source {
            shown.field("source", &format_args!("{source}"));
        }
        shown.finish()
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<SendError>(), size_of::<usize>());
        assert_eq!(size_of::<Option<SendError>>(), size_of::<usize>());
    }

    #[test]
    fn nothing_in_doubt_may_be_sent_again_or_elsewhere() {
        for &kind in ErrorKind::ALL {
            let error = SendError::unknown(kind, "x");
            assert!(!error.may_resend() && !error.may_reroute(), "{kind}");
        }
    }

    #[test]
    fn only_what_passes_by_itself_may_be_resent() {
        use ErrorKind::{Throttled, Timeout, Unavailable};
        for &kind in ErrorKind::ALL {
            let may = SendError::not_accepted(kind, "x").may_resend();
            assert_eq!(
                may,
                [Throttled, Timeout, Unavailable].contains(&kind),
                "{kind}"
            );
        }
    }

    #[test]
    fn a_messages_own_fault_does_not_travel_on() {
        use ErrorKind::{Blocked, InvalidRecipient, InvalidText};
        for &kind in ErrorKind::ALL {
            let may = SendError::not_accepted(kind, "x").may_reroute();
            assert_eq!(
                may,
                ![Blocked, InvalidRecipient, InvalidText].contains(&kind),
                "{kind}"
            );
        }
    }

    #[test]
    fn every_kind_is_read_back_as_written() {
        for &kind in ErrorKind::ALL {
            assert_eq!(kind.to_string().parse::<ErrorKind>().unwrap(), kind);
        }
        assert!("Blocked".parse::<ErrorKind>().is_err());
    }

    #[test]
    fn it_says_whether_the_message_may_have_been_sent() {
        let error =
            SendError::unknown(ErrorKind::Timeout, "no answer in time").with_provider("kpn");
        assert_eq!(
            error.to_string(),
            "kpn: no answer in time; the message may have been sent"
        );
    }

    #[test]
    fn a_check_is_never_in_doubt_and_speaks_of_no_message() {
        let error = SendError::unknown(ErrorKind::Unavailable, "the server failed").of_check();
        assert_eq!(error.acceptance(), Acceptance::NotAccepted);
        assert_eq!(error.to_string(), "the server failed");
    }
}
