use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::{
    Attempt,
    string_enum::{padded, string_enum},
};

string_enum! {
    /// Whether a message whose send failed may have been sent all the same.
    #[expect(clippy::exhaustive_enums, reason = "there is no third case")]
    pub enum Acceptance("an acceptance") {
        /// Certainly not sent: the vendor refused the message, or the request never left.
        NotAccepted = "not_accepted",
        /// Possibly sent. Neither a provider nor a layer sends the message again.
        Unknown = "unknown",
    }
}

string_enum! {
    /// What went wrong, in terms common to all vendors.
    ///
    /// It decides what may be done with a message that was certainly not sent. One that is in doubt may be neither
    /// resent nor rerouted, whatever the kind.
    ///
    /// | not accepted, because | to the same vendor: [`may_resend`](SendError::may_resend) | to another: [`may_reroute`](SendError::may_reroute) |
    /// |---|---|---|
    /// | `Blocked` | no | no |
    /// | `InsufficientBalance` | no | yes |
    /// | `InvalidRecipient` | no | no |
    /// | `InvalidSender` | no | yes |
    /// | `InvalidText` | no | no |
    /// | `Misconfigured` | no | yes |
    /// | `Other` | no | yes |
    /// | `Protocol` | no | yes |
    /// | `Throttled` | yes | yes |
    /// | `Timeout` | yes | yes |
    /// | `Unauthorized` | no | yes |
    /// | `Unavailable` | yes | yes |
    /// | `Unsupported` | no | yes |
    #[non_exhaustive]
    pub enum ErrorKind("an error kind") {
        /// The recipient has opted out, or a filter or local rule blocks the message.
        Blocked = "blocked",
        /// The account has no credit, or its quota is used up.
        InsufficientBalance = "insufficient_balance",
        /// The recipient's number is invalid or unreachable.
        InvalidRecipient = "invalid_recipient",
        /// The sender is not allowed.
        InvalidSender = "invalid_sender",
        /// The text is empty, too long or not allowed.
        InvalidText = "invalid_text",
        /// The account, the product or the URL is not set up for this.
        Misconfigured = "misconfigured",
        /// An error that no other kind describes.
        Other = "other",
        /// The response does not match the vendor's documented API.
        Protocol = "protocol",
        /// Too many requests. [`SendError::retry_after`] is how long to wait, if the vendor states it.
        Throttled = "throttled",
        /// A deadline passed.
        Timeout = "timeout",
        /// The credentials were refused.
        Unauthorized = "unauthorized",
        /// The vendor cannot be reached, or failed.
        Unavailable = "unavailable",
        /// The message uses an option that this provider does not support.
        Unsupported = "unsupported",
    }
}

/// A failed send, which states whether the message may have been sent all the same.
///
/// That is its [`acceptance`](Self::acceptance). "Not accepted" needs a proof: the request never left, or the vendor
/// itself refused it. Everything else is unknown.
///
/// An error is one pointer wide and cheap to clone, since one failed request is the error of each of its messages. It
/// never contains a response body, which may repeat the text or the number. Of the vendor's own words it keeps only a
/// cleaned [`vendor_message`](Self::vendor_message), and only if that is configured.
///
/// Two errors are equal if everything but their [`source`](Error::source) is. serde writes `kind`, `acceptance`,
/// `provider`, `code`, `retry_after_ms` (milliseconds), `may_resend`, `may_reroute`, `message` (as `Display` writes
/// it) and `attempts`; absent values are null. It does not write the vendor's message.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{Acceptance, ErrorKind, SendError};
///
/// let refused = SendError::not_accepted(ErrorKind::Throttled, "too many requests").with_provider("kpn");
/// assert_eq!(refused.to_string(), "kpn: too many requests; the message was not sent");
/// assert!(refused.may_resend() && refused.may_reroute());
///
/// let lost = SendError::unknown(ErrorKind::Unavailable, "the connection broke before the response");
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
    vendor_message: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
    attempts: Vec<Attempt>,
    origin: Origin,
}

/// What an error comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Origin {
    /// A request to send a message, or the attempt to make one.
    Vendor,
    /// A local refusal; no request was made.
    Local,
    /// A request that carried no message.
    Check,
}

impl SendError {
    /// Returns the kind of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether the message may have been sent all the same.
    #[must_use]
    pub fn acceptance(&self) -> Acceptance {
        self.0.acceptance
    }

    /// Returns the name of the provider, or `None` if no provider was involved.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// Returns the vendor's own code, or `None` if it sent none that is safe to keep.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns the vendor's own words on the error, or `None` if it wrote none or they are not kept.
    ///
    /// They are kept only by a provider that is built with `with_vendor_messages(true)`, or from a connection URL with
    /// `vendor_messages=true`. They are for a person who looks into a failure, such as an administrator who sends a
    /// test text. They are at most 200 characters, without line breaks. An ellipsis stands for what was taken out: the
    /// words of the message's text, senders and credentials, numbers of more than three digits, URLs, and all that may
    /// be a code or a key.
    ///
    /// Neither `Display` nor serde writes them, and `Debug` only shows that there are some: logs contain those. The
    /// cleaning is no proof that a vendor repeats nothing in words of its own.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::{ErrorKind, SendError};
    ///
    /// fn explain(error: &SendError) -> String {
    ///     match error.vendor_message() {
    ///         Some(words) => format!("{error} ({:?} says: {words})", error.provider().unwrap_or("the vendor")),
    ///         None => error.to_string(),
    ///     }
    /// }
    ///
    /// // As a provider builds it from the vendor's response.
    /// let error = SendError::not_accepted(ErrorKind::Misconfigured, "the account may not send to this region")
    ///     .with_provider("twilio")
    ///     .with_vendor_message("Permission to send an SMS has not been enabled for the region of the number …");
    /// assert!(explain(&error).ends_with("for the region of the number …)"));
    /// assert!(!error.to_string().contains("Permission") && !format!("{error:?}").contains("Permission"));
    /// ```
    #[must_use]
    pub fn vendor_message(&self) -> Option<&str> {
        self.0.vendor_message.as_deref()
    }

    /// Returns how long the vendor asks to wait, or `None` if it does not say.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the earlier attempts, oldest first.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.0.attempts
    }

    /// Returns whether the message was refused locally, before any request.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0.origin == Origin::Local
    }

    /// Returns whether the message may be sent to the same vendor again.
    ///
    /// That is the case if it was not accepted and the reason is temporary.
    #[must_use]
    pub fn may_resend(&self) -> bool {
        self.acceptance() == Acceptance::NotAccepted
            && matches!(
                self.kind(),
                ErrorKind::Throttled | ErrorKind::Timeout | ErrorKind::Unavailable
            )
    }

    /// Returns whether the message may be sent to another vendor.
    ///
    /// That is the case if it was not accepted and the reason is not the message itself.
    #[must_use]
    pub fn may_reroute(&self) -> bool {
        self.acceptance() == Acceptance::NotAccepted
            && !matches!(
                self.kind(),
                ErrorKind::Blocked | ErrorKind::InvalidRecipient | ErrorKind::InvalidText
            )
    }

    /// Creates an error for a message that was certainly not sent.
    #[must_use]
    pub fn not_accepted(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, Acceptance::NotAccepted, message.into())
    }

    /// Creates an error for a message that may have been sent.
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
            vendor_message: None,
            retry_after: None,
            source: None,
            attempts: Vec::new(),
            origin: Origin::Vendor,
        }))
    }

    /// Sets the provider, by its profile's name.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<Cow<'static, str>>) -> Self {
        self.inner().provider = Some(provider.into());
        self
    }

    /// Sets the vendor's own code.
    ///
    /// It must be a documented code, or one that repeats nothing of the message: vendors echo what they receive.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.inner().code = Some(code.into());
        self
    }

    /// Sets the vendor's own words on the error.
    ///
    /// They must be short, and repeat no secret and nothing of the message. `Refusal::with_vendor_message` of
    /// `postduif-http` cleans them.
    #[must_use]
    pub fn with_vendor_message(mut self, words: impl Into<Cow<'static, str>>) -> Self {
        self.inner().vendor_message = Some(words.into());
        self
    }

    /// Sets how long the vendor asks to wait before another attempt.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.inner().retry_after = Some(retry_after);
        self
    }

    /// Sets the underlying cause. Its `Display` output must not contain secrets or URLs.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.inner().source = Some(Arc::new(source));
        self
    }

    /// Sets the earlier attempts, oldest first.
    #[must_use]
    pub fn with_attempts(mut self, attempts: Vec<Attempt>) -> Self {
        self.inner().attempts = attempts;
        self
    }

    /// Sets the acceptance to unknown, for a message that was already in doubt before this error.
    #[must_use]
    pub fn in_doubt(mut self) -> Self {
        self.inner().acceptance = Acceptance::Unknown;
        self
    }

    /// Marks the error as a local refusal, such as a limit or a full queue, which is no evidence about a vendor.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::{ErrorKind, SendError};
    ///
    /// let refused = SendError::not_accepted(ErrorKind::Throttled, "the queue is full").local();
    /// assert!(refused.is_local());
    /// ```
    #[must_use]
    pub fn local(mut self) -> Self {
        self.inner().origin = Origin::Local;
        self
    }

    /// Marks the error as one of a request that carried no message, such as a [`check`](crate::SmsProvider::check).
    ///
    /// Such an error is never in doubt, and its text does not mention a message.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::{Acceptance, ErrorKind, SendError};
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

    /// The message and the vendor's code.
    pub(crate) fn cause(&self) -> Cow<'_, str> {
        match self.code() {
            Some(code) => format!("{} (code {code})", self.0.message).into(),
            None => Cow::Borrowed(&self.0.message),
        }
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let consequence = match (self.0.origin, self.acceptance()) {
            (Origin::Check, _) => "",
            (_, Acceptance::NotAccepted) => "; the message was not sent",
            (_, Acceptance::Unknown) => "; the message may have been sent",
        };
        let cause = self.cause();
        match self.provider() {
            Some(provider) => padded(f, format_args!("{provider}: {cause}{consequence}")),
            None => padded(f, format_args!("{cause}{consequence}")),
        }
    }
}

impl PartialEq for SendError {
    /// Compares everything but the source, which is of any type.
    fn eq(&self, other: &Self) -> bool {
        let compared = |error: &Self| {
            let Inner {
                kind,
                acceptance,
                origin,
                retry_after,
                ..
            } = *error.0;
            (kind, acceptance, origin, retry_after)
        };
        Arc::ptr_eq(&self.0, &other.0)
            || compared(self) == compared(other)
                && self.0.message == other.0.message
                && self.0.provider == other.0.provider
                && self.0.code == other.0.code
                && self.0.vendor_message == other.0.vendor_message
                && self.0.attempts == other.0.attempts
    }
}

impl Eq for SendError {}

impl Serialize for SendError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let milliseconds = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let mut fields = serializer.serialize_struct("SendError", 9)?;
        fields.serialize_field("kind", &self.kind())?;
        fields.serialize_field("acceptance", &self.acceptance())?;
        fields.serialize_field("provider", &self.provider())?;
        fields.serialize_field("code", &self.code())?;
        fields.serialize_field("retry_after_ms", &self.retry_after().map(milliseconds))?;
        fields.serialize_field("may_resend", &self.may_resend())?;
        fields.serialize_field("may_reroute", &self.may_reroute())?;
        fields.serialize_field("message", &format_args!("{self}"))?;
        fields.serialize_field("attempts", self.attempts())?;
        fields.end()
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
        if self.0.vendor_message.is_some() {
            shown.field("vendor_message", &format_args!("…"));
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

/// An invalid configuration of a provider, a client or a flow.
///
/// It never contains a URL, which may hold a secret.
#[derive(Clone)]
pub struct ConfigError {
    message: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ConfigError {
    /// Creates an error from what is wrong and what to do about it.
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// Sets the underlying cause. Its `Display` output must not contain secrets or URLs.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.message)
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
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<SendError>(), size_of::<usize>());
        assert_eq!(size_of::<Option<SendError>>(), size_of::<usize>());
    }

    #[test]
    fn a_message_in_doubt_may_be_neither_resent_nor_rerouted() {
        for &kind in ErrorKind::ALL {
            let error = SendError::unknown(kind, "x");
            assert!(!error.may_resend() && !error.may_reroute(), "{kind}");
        }
    }

    #[test]
    fn only_what_failed_for_a_temporary_reason_may_be_resent() {
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
    fn the_table_of_kinds_lists_what_may_be_resent_and_rerouted() {
        let rows: Vec<_> = include_str!("error.rs")
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("/// | `"))
            .collect();
        let expected: Vec<_> = ErrorKind::ALL
            .iter()
            .map(|&kind| {
                let error = SendError::not_accepted(kind, "x");
                let word = |may| if may { "yes" } else { "no" };
                let (resend, reroute) = (word(error.may_resend()), word(error.may_reroute()));
                format!("{kind:?}` | {resend} | {reroute} |")
            })
            .collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_message_that_is_itself_the_reason_goes_to_no_other_vendor() {
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
    fn display_states_whether_the_message_may_have_been_sent() {
        let error =
            SendError::unknown(ErrorKind::Timeout, "no response in time").with_provider("kpn");
        assert_eq!(
            error.to_string(),
            "kpn: no response in time; the message may have been sent"
        );
    }

    #[test]
    fn the_vendors_words_are_in_no_text_that_a_log_holds() {
        let plain = SendError::not_accepted(ErrorKind::Other, "refused").with_provider("kpn");
        let error = plain.clone().with_vendor_message("ask the helpdesk");
        assert_eq!(error.vendor_message(), Some("ask the helpdesk"));
        assert_ne!(error, plain);
        assert_eq!(error.to_string(), plain.to_string());
        let attempt = Attempt::new("kpn", error.clone());
        let shown = format!("{error} {error:?} {error:#?} {attempt} {attempt:?}");
        assert!(!shown.contains("helpdesk"), "{shown}");
        assert!(
            format!("{error:?}").contains("vendor_message: …"),
            "{error:?}"
        );
    }

    #[test]
    fn the_vendors_words_stay_with_an_error_that_is_changed_and_with_an_attempt() {
        let error = SendError::not_accepted(ErrorKind::Other, "refused")
            .with_vendor_message("ask the helpdesk");
        let later = SendError::unknown(ErrorKind::Timeout, "late")
            .with_attempts(vec![Attempt::new("kpn", error.clone())]);
        assert_eq!(
            later.attempts()[0].error().vendor_message(),
            Some("ask the helpdesk")
        );
        assert_eq!(later.vendor_message(), None);
        for changed in [
            error.clone().in_doubt(),
            error.clone().of_check(),
            error.clone().local(),
            error.with_provider("kpn").with_attempts(Vec::new()),
        ] {
            assert_eq!(changed.vendor_message(), Some("ask the helpdesk"));
        }
    }

    #[test]
    fn a_check_is_never_in_doubt_and_mentions_no_message() {
        let error = SendError::unknown(ErrorKind::Unavailable, "the server failed").of_check();
        assert_eq!(error.acceptance(), Acceptance::NotAccepted);
        assert_eq!(error.to_string(), "the server failed");
    }
}
