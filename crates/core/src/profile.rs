use std::{
    borrow::Cow,
    fmt, iter,
    num::{NonZeroU32, NonZeroUsize},
    ops::RangeInclusive,
    time::Duration,
};

use chrono::{DateTime, Utc};

use crate::{ConfigError, ErrorKind, Message, Requirement, SendError, Sender, SenderKind};

/// The name and capabilities of a provider.
///
/// A provider starts from a constant and adjusts it to its configuration. A message with an option that the profile
/// does not declare is refused as [`Unsupported`](ErrorKind::Unsupported) before any request; no option is ever
/// ignored.
///
/// ```
/// # use postduif_core as postduif;
/// use std::time::Duration;
/// use postduif::{Profile, SenderKind, TextLimit};
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
    batch_texts: BatchTexts,
    repeat_window: Option<Duration>,
    max_schedule_ahead: Option<Duration>,
    validity: Option<(Duration, Duration)>,
    senders: &'static [SenderKind],
    sender_required: bool,
    longest_text: Option<TextLimit>,
    refused_characters: Cow<'static, str>,
    reports: bool,
    rate: Option<NonZeroU32>,
}

/// Whether the messages of one request may have different texts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BatchTexts {
    /// All messages of a request have the same text.
    Same,
    /// Each message of a request has its own text.
    Mixed,
}

/// The longest text that a vendor accepts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TextLimit {
    /// Up to this number of Unicode characters.
    Characters(usize),
    /// Up to this number of parts.
    Parts(usize),
}

impl Profile {
    /// Creates the profile of a provider that sends single messages and supports no options.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            batch_size: NonZeroUsize::MIN,
            batch_texts: BatchTexts::Same,
            repeat_window: None,
            max_schedule_ahead: None,
            validity: None,
            senders: &[],
            sender_required: false,
            longest_text: None,
            refused_characters: Cow::Borrowed(""),
            reports: false,
            rate: None,
        }
    }

    /// Sets the name, for example to distinguish two accounts of one vendor.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets how many messages one request can carry, and whether their texts may differ.
    ///
    /// Each message must keep its own reference or id in the response and in the delivery reports. Defaults to one
    /// message.
    #[must_use]
    pub const fn with_batch(mut self, size: NonZeroUsize, texts: BatchTexts) -> Self {
        self.batch_size = size;
        self.batch_texts = texts;
        self
    }

    /// Sets for how long after the first attempt repeating the same `send`, byte for byte, is harmless.
    ///
    /// That is the case where the vendor recognizes the message by an idempotency key. Defaults to `None`: a repeat
    /// may send the message twice.
    #[must_use]
    pub const fn with_repeat_window(mut self, window: Option<Duration>) -> Self {
        self.repeat_window = window;
        self
    }

    /// Sets how far ahead a message can be scheduled. Without it, scheduling is unsupported.
    #[must_use]
    pub const fn with_max_schedule_ahead(mut self, ahead: Duration) -> Self {
        self.max_schedule_ahead = Some(ahead);
        self
    }

    /// Sets the shortest and longest validity period, both inclusive. Without it, validity periods are unsupported.
    #[must_use]
    pub const fn with_validity(mut self, shortest: Duration, longest: Duration) -> Self {
        self.validity = Some((shortest, longest));
        self
    }

    /// Sets the supported kinds of sender. Defaults to none.
    #[must_use]
    pub const fn with_senders(mut self, kinds: &'static [SenderKind]) -> Self {
        self.senders = kinds;
        self
    }

    /// Sets whether each message must name its sender, for lack of a default. Defaults to `false`.
    #[must_use]
    pub const fn with_sender_required(mut self, required: bool) -> Self {
        self.sender_required = required;
        self
    }

    /// Sets the longest text that the vendor accepts. Defaults to no limit beyond [`Text`](crate::Text)'s own.
    #[must_use]
    pub const fn with_longest_text(mut self, limit: TextLimit) -> Self {
        self.longest_text = Some(limit);
        self
    }

    /// Sets the characters that the vendor cannot deliver unchanged, such as those of a template language without
    /// an escape.
    #[must_use]
    pub fn with_refused_characters(mut self, characters: impl Into<Cow<'static, str>>) -> Self {
        self.refused_characters = characters.into();
        self
    }

    /// Sets whether delivery reports can arrive for messages of this provider. Defaults to `false`.
    #[must_use]
    pub const fn with_reports(mut self, reports: bool) -> Self {
        self.reports = reports;
        self
    }

    /// Sets how many messages per second the vendor accepts by its documentation.
    #[must_use]
    pub const fn with_rate(mut self, per_second: NonZeroU32) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// Returns the provider's name, such as `kpn`. A group's name joins its members' names by commas.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name in the form that receipts and errors take, without copying a static name.
    #[must_use]
    pub fn owned_name(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    /// Returns how many messages one request can carry.
    #[must_use]
    pub const fn batch_size(&self) -> NonZeroUsize {
        self.batch_size
    }

    /// Returns whether the messages of one request may have different texts.
    #[must_use]
    pub const fn batch_texts(&self) -> BatchTexts {
        self.batch_texts
    }

    /// Returns for how long repeating the same `send` is harmless, or `None` if it never is. It never covers
    /// `send_batch`.
    #[must_use]
    pub const fn repeat_window(&self) -> Option<Duration> {
        self.repeat_window
    }

    /// Returns what is left of the [repeat window](Self::repeat_window) after `delay`, or `None` if nothing is.
    ///
    /// A layer that may delay a repeat by that much declares this window.
    #[must_use]
    pub fn repeat_window_after(&self, delay: Duration) -> Option<Duration> {
        self.repeat_window?
            .checked_sub(delay)
            .filter(|left| !left.is_zero())
    }

    /// Returns how many messages per second the vendor accepts, or `None` if its documentation does not say.
    #[must_use]
    pub const fn rate(&self) -> Option<NonZeroU32> {
        self.rate
    }

    /// Returns how far ahead a message can be scheduled, or `None` if scheduling is unsupported.
    #[must_use]
    pub const fn max_schedule_ahead(&self) -> Option<Duration> {
        self.max_schedule_ahead
    }

    /// Returns the supported validity periods, or `None` if they are unsupported.
    #[must_use]
    pub fn validity(&self) -> Option<RangeInclusive<Duration>> {
        self.validity.map(|(shortest, longest)| shortest..=longest)
    }

    /// Returns the supported kinds of sender.
    #[must_use]
    pub const fn senders(&self) -> &'static [SenderKind] {
        self.senders
    }

    /// Returns whether each message must name its sender.
    #[must_use]
    pub const fn sender_required(&self) -> bool {
        self.sender_required
    }

    /// Returns the longest text that the vendor accepts, or `None` if it has no limit of its own.
    #[must_use]
    pub const fn longest_text(&self) -> Option<TextLimit> {
        self.longest_text
    }

    /// Returns the characters that the vendor cannot deliver unchanged.
    #[must_use]
    pub fn refused_characters(&self) -> &str {
        &self.refused_characters
    }

    /// Returns whether delivery reports can arrive.
    #[must_use]
    pub const fn reports(&self) -> bool {
        self.reports
    }

    /// Lists what the provider does not support about the message, without any request.
    ///
    /// An empty list means that [`validate`](Self::validate) accepts the message.
    #[must_use]
    pub fn problems(&self, message: &Message) -> Vec<Problem> {
        let (message, _) = message.fit(self);
        self.each_problem(&message, clock).collect()
    }

    /// Lists the [`problems`](Self::problems) as of `now`, which decides how far ahead a schedule lies.
    #[must_use]
    pub fn problems_at(&self, message: &Message, now: DateTime<Utc>) -> Vec<Problem> {
        let (message, _) = message.fit(self);
        self.each_problem(&message, || now).collect()
    }

    /// Returns what is wrong with a sender of this kind, or `None` if the provider supports it.
    #[must_use]
    pub fn sender_problem(&self, sender: &Sender) -> Option<Problem> {
        let message = match sender.kind() {
            kind if self.senders.contains(&kind) => return None,
            SenderKind::Alphanumeric => "this vendor takes no alphanumeric sender",
            SenderKind::MessagingService => "this vendor takes no messaging service as sender",
            SenderKind::Number => "this vendor takes no number as sender",
            SenderKind::ShortCode => "this vendor takes no short code as sender",
        };
        Some(Problem::new(ErrorKind::Unsupported, message))
    }

    /// Checks that the provider supports the message. Providers call this before they make a request. Options that were
    /// set `…_where_possible` and that the provider lacks are no problem.
    ///
    /// # Errors
    ///
    /// Returns the first of the message's [`problems`](Self::problems), as an error that was not accepted and names
    /// this provider.
    pub fn validate(&self, message: &Message) -> Result<(), SendError> {
        let (message, _) = message.fit(self);
        let problem = self.each_problem(&message, clock).next();
        match problem {
            Some(problem) => Err(SendError::not_accepted(problem.kind, problem.message)
                .with_provider(self.owned_name())),
            None => Ok(()),
        }
    }

    /// Checks that the provider can do what a program needs of it. Call it as the program starts.
    ///
    /// A swap to a vendor that cannot is an error then, not at the first message.
    ///
    /// # Errors
    ///
    /// Returns an error that names everything that the provider cannot do.
    pub fn require(&self, requirements: &[Requirement]) -> Result<(), ConfigError> {
        let unmet: Vec<_> = requirements
            .iter()
            .filter_map(|requirement| {
                let problem = self.requirement_problem(requirement)?;
                Some(match requirement {
                    // `Debug` masks a number.
                    Requirement::Sender(sender) if sender.kind() == SenderKind::Number => {
                        format!("sender={sender:?}: {problem}")
                    }
                    _ => format!("{requirement}: {problem}"),
                })
            })
            .collect();
        if unmet.is_empty() {
            return Ok(());
        }
        Err(ConfigError::new(format!(
            "{} cannot do what is required: {}",
            self.name,
            unmet.join("; ")
        )))
    }

    pub(crate) fn supports_validity(&self, validity: Duration) -> bool {
        self.period_problem(validity).is_none()
    }

    pub(crate) fn supports_send_at(&self, send_at: DateTime<Utc>) -> bool {
        let ahead = (send_at - clock()).to_std().unwrap_or_default();
        self.ahead_problem(ahead).is_none()
    }

    fn requirement_problem(&self, requirement: &Requirement) -> Option<Cow<'static, str>> {
        match requirement {
            Requirement::DefaultSender => self
                .sender_required
                .then_some("this vendor needs a sender, and none is configured".into()),
            Requirement::DeliveryReports => {
                (!self.reports).then_some("this vendor sends no delivery reports".into())
            }
            Requirement::Parts(parts) => match self.longest_text? {
                TextLimit::Parts(limit) if *parts > limit => {
                    Some(format!("this vendor takes {limit} parts").into())
                }
                TextLimit::Characters(limit) if parts.saturating_mul(PART) > limit => {
                    Some(format!("this vendor takes {limit} characters").into())
                }
                _ => None,
            },
            Requirement::ScheduleAhead(ahead) => self.ahead_problem(*ahead),
            Requirement::Sender(sender) => {
                self.sender_problem(sender).map(|problem| problem.message)
            }
            Requirement::Validity(validity) => self.period_problem(*validity),
        }
    }

    /// Finds the problems one by one. The clock is read only for a message with a schedule.
    fn each_problem(
        &self,
        message: &Message,
        now: impl Fn() -> DateTime<Utc>,
    ) -> impl Iterator<Item = Problem> {
        let checks = [
            Self::named_sender_problem,
            Self::length_problem,
            Self::character_problem,
            Self::validity_problem,
        ];
        let schedule = iter::once_with(move || self.schedule_problem(message, now));
        checks
            .into_iter()
            .map(|check| check(self, message))
            .chain(schedule)
            .flatten()
    }

    fn named_sender_problem(&self, message: &Message) -> Option<Problem> {
        match message.sender() {
            None if self.sender_required => Some(Problem::new(
                ErrorKind::InvalidSender,
                "the message names no sender and there is no default",
            )),
            sender => self.sender_problem(sender?),
        }
    }

    fn length_problem(&self, message: &Message) -> Option<Problem> {
        let text = message.text();
        let problem = match self.longest_text? {
            // A character has at least one byte, so a text of few bytes needs no count.
            TextLimit::Characters(limit)
                if text.as_str().len() > limit && text.as_str().chars().count() > limit =>
            {
                format!("the text has more than the {limit} characters that this vendor takes")
            }
            TextLimit::Parts(limit) if text.count().parts() > limit => format!(
                "the text takes {} parts, this vendor takes {limit}",
                text.count().parts()
            ),
            _ => return None,
        };
        Some(Problem::new(ErrorKind::InvalidText, problem))
    }

    /// Unsupported, not `InvalidText`: another vendor can send it.
    fn character_problem(&self, message: &Message) -> Option<Problem> {
        let refused = &*self.refused_characters;
        let text = message.text().as_str();
        (!refused.is_empty() && text.contains(|char| refused.contains(char))).then(|| {
            Problem::new(
                ErrorKind::Unsupported,
                format!("this vendor cannot carry these characters: {refused}"),
            )
        })
    }

    fn validity_problem(&self, message: &Message) -> Option<Problem> {
        let problem = self.period_problem(message.validity()?)?;
        Some(Problem::new(ErrorKind::Unsupported, problem))
    }

    fn period_problem(&self, validity: Duration) -> Option<Cow<'static, str>> {
        match self.validity() {
            None => Some("this vendor takes no validity period".into()),
            Some(range) if !range.contains(&validity) => Some(
                format!(
                    "this vendor takes a validity period of {} to {} seconds",
                    range.start().as_secs(),
                    range.end().as_secs()
                )
                .into(),
            ),
            Some(_) => None,
        }
    }

    fn schedule_problem(
        &self,
        message: &Message,
        now: impl Fn() -> DateTime<Utc>,
    ) -> Option<Problem> {
        // A time that has passed is no time ahead.
        let ahead = (message.send_at()? - now()).to_std().unwrap_or_default();
        let problem = self.ahead_problem(ahead)?;
        Some(Problem::new(ErrorKind::Unsupported, problem))
    }

    fn ahead_problem(&self, ahead: Duration) -> Option<Cow<'static, str>> {
        match self.max_schedule_ahead {
            None => Some("this vendor, with this sender and API, cannot send later".into()),
            Some(most) if ahead > most => Some(
                format!(
                    "this vendor can be asked at most {} seconds ahead",
                    most.as_secs()
                )
                .into(),
            ),
            Some(_) => None,
        }
    }
}

/// What one of several parts holds at most, in septets.
const PART: usize = 153;

fn clock() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

/// Something about a message that a provider does not support.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    kind: ErrorKind,
    message: Cow<'static, str>,
}

impl Problem {
    fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// Returns the kind of error that sending the message would return.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Acceptance, Text};

    const ABLE: Profile = Profile::new("able")
        .with_senders(&[SenderKind::Alphanumeric])
        .with_max_schedule_ahead(Duration::from_secs(3600))
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
        let options = message("x")
            .with_sender("Contoso".parse().unwrap())
            .with_validity(Duration::from_secs(60))
            .with_send_at(now() + Duration::from_secs(3600));
        assert_eq!(kinds(&ABLE, &options), []);
        assert_eq!(kinds(&Profile::new("bare"), &message("x")), []);
    }

    #[test]
    fn every_undeclared_option_is_listed() {
        let options = message("x")
            .with_sender("Contoso".parse().unwrap())
            .with_validity(Duration::from_secs(60))
            .with_send_at(now());
        assert_eq!(
            kinds(&Profile::new("bare"), &options),
            [ErrorKind::Unsupported; 3]
        );
    }

    #[test]
    fn an_option_outside_its_limits_is_a_problem() {
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
        assert!(
            profile
                .validate(&message("[ok]"))
                .unwrap_err()
                .may_reroute()
        );
    }

    #[test]
    fn a_missing_sender_is_a_problem_only_if_one_is_required() {
        assert_eq!(
            kinds(&ABLE.with_sender_required(true), &message("x")),
            [ErrorKind::InvalidSender]
        );
    }

    #[test]
    fn a_delay_takes_its_time_from_the_repeat_window() {
        let second = Duration::from_secs(1);
        let profile = ABLE.with_repeat_window(Some(2 * second));
        assert_eq!(profile.repeat_window_after(second), Some(second));
        assert_eq!(profile.repeat_window_after(2 * second), None);
        assert_eq!(profile.repeat_window_after(3 * second), None);
        assert_eq!(ABLE.repeat_window_after(Duration::ZERO), None);
    }

    #[test]
    fn what_is_not_valid_was_not_sent() {
        let error = ABLE.validate(&message(&"x".repeat(161))).unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::InvalidText, Acceptance::NotAccepted)
        );
        assert_eq!(error.provider(), Some("able"));
    }
}
