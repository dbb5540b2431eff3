use std::{
    borrow::Cow,
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    ops::RangeInclusive,
    time::Duration,
};

use chrono::{DateTime, Utc};

use crate::{ErrorKind, Message, SendError, SenderKind};

/// What a provider can do, and its name.
///
/// A provider starts from a constant and narrows it by how it was built. Everything that is not declared
/// is refused as `Unsupported` before any call, never dropped in silence. [`profile`](crate::SmsProvider::profile)
/// lends it, so keep it in a field of the provider, or in a `static` where it is the same for all.
///
/// ```
/// use std::time::Duration;
/// use postduif_core::{Profile, SenderKind, TextLimit};
///
/// const PROFILE: Profile = Profile::new("example")
///     .with_senders(&[SenderKind::Alphanumeric, SenderKind::ShortCode])
///     .with_validity(Duration::from_secs(1), Duration::from_secs(259_200))
///     .with_longest_text(TextLimit::Characters(1000));
/// assert_eq!(PROFILE.name(), "example");
/// assert_eq!(PROFILE.batch_size().get(), 1);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Profile {
    name: Cow<'static, str>,
    batch_size: NonZeroUsize,
    different_texts: bool,
    repeat_window: Option<Duration>,
    furthest_send_at: Option<Duration>,
    validity: Option<(Duration, Duration)>,
    senders: &'static [SenderKind],
    sender_required: bool,
    longest_text: Option<TextLimit>,
    refused_characters: Cow<'static, str>,
    reports: bool,
    rate: Option<NonZeroU32>,
}

/// How long a text may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TextLimit {
    /// At most so many characters, as Unicode counts them.
    Characters(usize),
    /// At most so many parts.
    Parts(usize),
}

impl Profile {
    /// A provider of this name that sends single messages and can do nothing else.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            batch_size: NonZeroUsize::MIN,
            different_texts: false,
            repeat_window: None,
            furthest_send_at: None,
            validity: None,
            senders: &[],
            sender_required: false,
            longest_text: None,
            refused_characters: Cow::Borrowed(""),
            reports: false,
            rate: None,
        }
    }

    /// Another name: of one of two accounts of a vendor, or of several members.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// One vendor call carries so many messages, each with its own reference or id in the answer and in
    /// the reports, and with different texts or not.
    #[must_use]
    pub const fn with_batch(mut self, size: NonZeroUsize, different_texts: bool) -> Self {
        self.batch_size = size;
        self.different_texts = different_texts;
        self
    }

    /// For how long after its first try a repeat of the same single `send`, byte for byte, is harmless,
    /// because the vendor knows our key. None takes it away.
    #[must_use]
    pub const fn with_repeat_window(mut self, window: Option<Duration>) -> Self {
        self.repeat_window = window;
        self
    }

    /// The vendor sends later where asked, at most so far ahead.
    #[must_use]
    pub const fn with_scheduling(mut self, furthest: Duration) -> Self {
        self.furthest_send_at = Some(furthest);
        self
    }

    /// The vendor takes a validity period between these two, both included.
    #[must_use]
    pub const fn with_validity(mut self, shortest: Duration, longest: Duration) -> Self {
        self.validity = Some((shortest, longest));
        self
    }

    /// The kinds of sender that the vendor takes.
    #[must_use]
    pub const fn with_senders(mut self, kinds: &'static [SenderKind]) -> Self {
        self.senders = kinds;
        self
    }

    /// Whether each message must name its sender, because neither vendor nor configuration has a default.
    #[must_use]
    pub const fn with_sender_required(mut self, required: bool) -> Self {
        self.sender_required = required;
        self
    }

    /// The longest text that the vendor takes.
    #[must_use]
    pub const fn with_longest_text(mut self, limit: TextLimit) -> Self {
        self.longest_text = Some(limit);
        self
    }

    /// The characters that the vendor cannot carry as they are, such as those of a template language that it
    /// has no escape for.
    #[must_use]
    pub fn with_refused_characters(mut self, characters: impl Into<Cow<'static, str>>) -> Self {
        self.refused_characters = characters.into();
        self
    }

    /// Whether delivery reports can arrive for what this provider sends.
    #[must_use]
    pub const fn with_reports(mut self, reports: bool) -> Self {
        self.reports = reports;
        self
    }

    /// Sets how many messages a second the vendor takes by its page, where that says so.
    #[must_use]
    pub const fn with_rate(mut self, per_second: NonZeroU32) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// The provider's name: `kpn`; of several members theirs, joined by commas.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name in the form that receipts and errors keep, without copying a name known at compile time.
    #[must_use]
    pub fn owned_name(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    /// How many messages one vendor call carries at most.
    #[must_use]
    pub const fn batch_size(&self) -> NonZeroUsize {
        self.batch_size
    }

    /// Whether the messages of one call may have different texts.
    #[must_use]
    pub const fn different_texts(&self) -> bool {
        self.different_texts
    }

    /// For how long a repeat of the same single send is harmless. It never covers `send_batch`.
    #[must_use]
    pub const fn repeat_window(&self) -> Option<Duration> {
        self.repeat_window
    }

    /// Returns how many messages a second the vendor takes. `None` where its page does not say.
    #[must_use]
    pub const fn rate(&self) -> Option<NonZeroU32> {
        self.rate
    }

    /// How far ahead a message may be scheduled; none where it cannot.
    #[must_use]
    pub const fn furthest_send_at(&self) -> Option<Duration> {
        self.furthest_send_at
    }

    /// The validity periods that the vendor takes; none where it takes none.
    #[must_use]
    pub fn validity(&self) -> Option<RangeInclusive<Duration>> {
        self.validity.map(|(shortest, longest)| shortest..=longest)
    }

    /// The kinds of sender that the vendor takes.
    #[must_use]
    pub const fn senders(&self) -> &'static [SenderKind] {
        self.senders
    }

    /// Whether each message must name its sender.
    #[must_use]
    pub const fn sender_required(&self) -> bool {
        self.sender_required
    }

    /// The longest text, where the vendor has a limit of its own.
    #[must_use]
    pub const fn longest_text(&self) -> Option<TextLimit> {
        self.longest_text
    }

    /// The characters that the vendor cannot carry; empty where it carries all.
    #[must_use]
    pub fn refused_characters(&self) -> &str {
        &self.refused_characters
    }

    /// Whether delivery reports can arrive.
    #[must_use]
    pub const fn reports(&self) -> bool {
        self.reports
    }

    /// What this provider could not do with the message, found without any network. Empty: it may be sent.
    #[must_use]
    pub fn problems(&self, message: &Message) -> Vec<Problem> {
        self.problems_at(message, std::time::SystemTime::now().into())
    }

    /// The [`problems`](Self::problems) at another moment than now: how far ahead a schedule lies depends
    /// on it.
    #[must_use]
    pub fn problems_at(&self, message: &Message, now: DateTime<Utc>) -> Vec<Problem> {
        let problem = |kind, message: Cow<'static, str>| Some(Problem { kind, message });
        [
            match message.sender() {
                None if self.sender_required => problem(
                    ErrorKind::InvalidSender,
                    "the message names no sender and there is no default".into(),
                ),
                Some(sender) if !self.senders.contains(&sender.kind()) => problem(
                    ErrorKind::Unsupported,
                    match sender.kind() {
                        SenderKind::Alphanumeric => {
                            "this vendor takes no alphanumeric sender".into()
                        }
                        SenderKind::Number => "this vendor takes no number as sender".into(),
                        SenderKind::ShortCode => "this vendor takes no short code as sender".into(),
                    },
                ),
                _ => None,
            },
            match self.longest_text {
                Some(TextLimit::Characters(limit))
                    if message.text().as_str().chars().count() > limit =>
                {
                    problem(
                        ErrorKind::InvalidText,
                        format!(
                            "the text has more than the {limit} characters that this vendor takes"
                        )
                        .into(),
                    )
                }
                Some(TextLimit::Parts(limit)) if message.text().count().parts() > limit => problem(
                    ErrorKind::InvalidText,
                    format!(
                        "the text takes {} parts, this vendor takes {limit}",
                        message.text().count().parts()
                    )
                    .into(),
                ),
                _ => None,
            },
            // Unsupported, not InvalidText: another vendor can send it.
            message
                .text()
                .as_str()
                .contains(|char| self.refused_characters.contains(char))
                .then(|| Problem {
                    kind: ErrorKind::Unsupported,
                    message: format!(
                        "this vendor cannot carry these characters: {}",
                        self.refused_characters
                    )
                    .into(),
                }),
            match (message.validity(), self.validity()) {
                (Some(_), None) => problem(
                    ErrorKind::Unsupported,
                    "this vendor takes no validity period".into(),
                ),
                (Some(wish), Some(range)) if !range.contains(&wish) => problem(
                    ErrorKind::Unsupported,
                    format!(
                        "this vendor takes a validity period of {} to {} seconds",
                        range.start().as_secs(),
                        range.end().as_secs()
                    )
                    .into(),
                ),
                _ => None,
            },
            match (message.send_at(), self.furthest_send_at) {
                (Some(_), None) => problem(
                    ErrorKind::Unsupported,
                    "this vendor cannot send later".into(),
                ),
                (Some(wish), Some(furthest))
                    if (wish - now).to_std().is_ok_and(|ahead| ahead > furthest) =>
                {
                    problem(
                        ErrorKind::Unsupported,
                        format!(
                            "this vendor can be asked at most {} seconds ahead",
                            furthest.as_secs()
                        )
                        .into(),
                    )
                }
                _ => None,
            },
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Refuses the message for the first of its [`problems`](Self::problems) at this moment: what a
    /// provider does before it makes a call.
    ///
    /// # Errors
    ///
    /// Not accepted, with the problem's kind and this provider's name.
    pub fn admit(&self, message: &Message) -> Result<(), SendError> {
        match self.problems(message).into_iter().next() {
            Some(problem) => Err(SendError::not_accepted(problem.kind, problem.message)
                .with_provider(self.owned_name())),
            None => Ok(()),
        }
    }
}

/// Something that a provider cannot do with a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    kind: ErrorKind,
    message: Cow<'static, str>,
}

impl Problem {
    /// The kind of the error that a send would end in.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Acceptance, Text};

    const ABLE: Profile = Profile::new("able")
        .with_senders(&[SenderKind::Alphanumeric])
        .with_scheduling(Duration::from_secs(3600))
        .with_validity(Duration::from_secs(60), Duration::from_secs(7200))
        .with_longest_text(TextLimit::Parts(1));

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn message(text: &str) -> Message {
        Message::new("+31612345678".parse().unwrap(), Text::new(text).unwrap())
    }

    fn kinds(profile: &Profile, message: &Message) -> Vec<ErrorKind> {
        profile
            .problems_at(message, now())
            .iter()
            .map(Problem::kind)
            .collect()
    }

    #[test]
    fn what_is_declared_has_no_problem() {
        let wishes = message("x")
            .with_sender("Contoso".parse().unwrap())
            .with_validity(Duration::from_secs(60))
            .with_send_at(now() + Duration::from_secs(3600));
        assert_eq!(kinds(&ABLE, &wishes), []);
        assert_eq!(kinds(&Profile::new("bare"), &message("x")), []);
    }

    #[test]
    fn every_undeclared_wish_is_listed() {
        let wishes = message("x")
            .with_sender("Contoso".parse().unwrap())
            .with_validity(Duration::from_secs(60))
            .with_send_at(now());
        assert_eq!(
            kinds(&Profile::new("bare"), &wishes),
            [ErrorKind::Unsupported; 3]
        );
    }

    #[test]
    fn a_wish_outside_its_limits_is_a_problem() {
        let late = message("x").with_send_at(now() + Duration::from_secs(3601));
        assert_eq!(kinds(&ABLE, &late), [ErrorKind::Unsupported]);
        for seconds in [59, 7201] {
            let odd = message("x").with_validity(Duration::from_secs(seconds));
            assert_eq!(kinds(&ABLE, &odd), [ErrorKind::Unsupported]);
        }
        assert_eq!(
            kinds(&ABLE, &message(&"x".repeat(161))),
            [ErrorKind::InvalidText]
        );
        let characters = Profile::new("short").with_longest_text(TextLimit::Characters(3));
        assert_eq!(kinds(&characters, &message("ééé")), []);
        assert_eq!(
            kinds(&characters, &message("éééé")),
            [ErrorKind::InvalidText]
        );
    }

    #[test]
    fn what_a_vendor_cannot_carry_may_go_to_another() {
        let profile = Profile::new("odd").with_refused_characters("[]");
        assert_eq!(kinds(&profile, &message("(ok)")), []);
        assert_eq!(kinds(&profile, &message("[ok]")), [ErrorKind::Unsupported]);
        assert!(profile.admit(&message("[ok]")).unwrap_err().may_reroute());
    }

    #[test]
    fn a_missing_sender_is_a_problem_only_where_one_is_needed() {
        assert_eq!(
            kinds(&ABLE.with_sender_required(true), &message("x")),
            [ErrorKind::InvalidSender]
        );
    }

    #[test]
    fn what_is_not_admitted_was_not_sent() {
        let error = ABLE.admit(&message(&"x".repeat(161))).unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::InvalidText, Acceptance::NotAccepted)
        );
        assert_eq!(error.provider(), Some("able"));
    }
}
