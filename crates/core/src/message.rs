use std::{borrow::Cow, time::Duration};

use chrono::{DateTime, Utc};

use crate::{PhoneNumber, Profile, Reference, Sender, Text, string_enum::string_enum};

/// A text message to one recipient.
///
/// ```
/// # use postduif_core as postduif;
/// use std::time::Duration;
/// use postduif::{Message, Text};
///
/// let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?)
///     .with_sender("Contoso".parse()?)
///     .with_validity(Duration::from_secs(1800));
/// assert_eq!(message.reference().as_str().len(), 26);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    to: PhoneNumber,
    text: Text,
    sender: Option<Sender>,
    reference: Reference,
    validity: Option<Duration>,
    send_at: Option<DateTime<Utc>>,
    /// Boxed, since few messages have any.
    where_possible: Option<Box<WherePossible>>,
}

/// The options that a provider without them drops.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct WherePossible {
    sender: Option<Sender>,
    validity: Option<Duration>,
    send_at: Option<DateTime<Utc>>,
}

string_enum! {
    /// An option of a [`Message`] that a provider may not support.
    #[non_exhaustive]
    pub enum MessageOption("a message option") {
        /// The time to send the message.
        SendAt = "send_at",
        /// The sender.
        Sender = "sender",
        /// The validity period.
        Validity = "validity",
    }
}

impl Message {
    /// Creates a message with a random reference and no options set.
    #[must_use]
    pub fn new(to: PhoneNumber, text: Text) -> Self {
        Self {
            to,
            text,
            sender: None,
            reference: Reference::random(),
            validity: None,
            send_at: None,
            where_possible: None,
        }
    }

    /// Sets the sender. Defaults to the provider's own.
    #[must_use]
    pub fn with_sender(mut self, sender: Sender) -> Self {
        self.sender = Some(sender);
        self
    }

    /// Sets the recipient, replacing the one that the message was created with.
    ///
    /// Everything else stays, as a layer needs that redirects messages.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::{Message, Text};
    ///
    /// let message = Message::new("+31612345678".parse()?, Text::new("Hello")?);
    /// let redirected = message.clone().with_recipient("+31687654321".parse()?);
    /// assert_eq!(redirected.to().to_string(), "+31687654321");
    /// assert_eq!(redirected.reference(), message.reference());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn with_recipient(mut self, to: PhoneNumber) -> Self {
        self.to = to;
        self
    }

    /// Sets the text, replacing the one that the message was created with.
    #[must_use]
    pub fn with_text(mut self, text: Text) -> Self {
        self.text = text;
        self
    }

    /// Sets the reference, replacing the random one.
    ///
    /// It must be unique: delivery reports name the message by it, and some vendors drop repeats.
    #[must_use]
    pub fn with_reference(mut self, reference: Reference) -> Self {
        self.reference = reference;
        self
    }

    /// Sets the validity period: for how long the network tries to deliver, in whole seconds. Defaults to the
    /// vendor's own.
    #[must_use]
    pub fn with_validity(mut self, validity: Duration) -> Self {
        self.validity = Some(validity);
        self
    }

    /// Schedules the message. Defaults to sending immediately.
    ///
    /// [`Profile::max_schedule_ahead`] is how far ahead a provider accepts it; `None` if it cannot schedule.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use std::time::{Duration, SystemTime};
    /// use postduif::{Message, Text};
    ///
    /// let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
    /// let message = Message::new("+31612345678".parse()?, Text::new("Your appointment is at 14:00")?)
    ///     .with_send_at(in_an_hour.into());
    /// assert_eq!(message.send_at(), Some(in_an_hour.into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_send_at(mut self, send_at: DateTime<Utc>) -> Self {
        self.send_at = Some(send_at);
        self
    }

    /// Sets the sender if the provider supports it, and uses the provider's own otherwise.
    ///
    /// A message with [`with_sender`](Self::with_sender) is refused by a provider that does not support the sender. This
    /// one is sent without it, and [`Receipt::dropped`](crate::Receipt::dropped) says so. If both are set, the message
    /// has the sender of `with_sender`.
    #[must_use]
    pub fn with_sender_where_possible(mut self, sender: Sender) -> Self {
        self.where_possible().sender = Some(sender);
        self
    }

    /// Sets the validity period if the provider supports it.
    ///
    /// A message with [`with_validity`](Self::with_validity) is refused by a provider that does not support the period.
    /// This one is sent without it, and [`Receipt::dropped`](crate::Receipt::dropped) says so.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use std::time::Duration;
    /// use postduif::{Message, MessageOption, Profile, Text};
    ///
    /// let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?)
    ///     .with_validity_where_possible(Duration::from_secs(600));
    /// let (fitted, dropped) = message.fit(&Profile::new("without"));
    /// assert_eq!((fitted.validity(), dropped), (None, vec![MessageOption::Validity]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_validity_where_possible(mut self, validity: Duration) -> Self {
        self.where_possible().validity = Some(validity);
        self
    }

    /// Schedules the message if the provider supports it, and sends it immediately otherwise.
    ///
    /// [`Receipt::dropped`](crate::Receipt::dropped) says which.
    #[must_use]
    pub fn with_send_at_where_possible(mut self, send_at: DateTime<Utc>) -> Self {
        self.where_possible().send_at = Some(send_at);
        self
    }

    fn where_possible(&mut self) -> &mut WherePossible {
        self.where_possible.get_or_insert_default()
    }

    /// Returns the message as a provider with this profile sends it, and the options that it drops.
    ///
    /// Of the options that were set `…_where_possible`, the supported ones are set, and the others are gone. Every
    /// provider does so before it validates the message.
    #[must_use]
    pub fn fit(&self, profile: &Profile) -> (Cow<'_, Self>, Vec<MessageOption>) {
        self.fit_where(profile, |_| true)
    }

    /// Returns the message as [`fit`](Self::fit) does, for a provider with rules that no profile holds: an option is
    /// also dropped if `accepts` returns false for the message with it.
    #[must_use]
    pub fn fit_where(
        &self,
        profile: &Profile,
        accepts: impl Fn(&Self) -> bool,
    ) -> (Cow<'_, Self>, Vec<MessageOption>) {
        let Some(wanted) = &self.where_possible else {
            return (Cow::Borrowed(self), Vec::new());
        };
        let mut fitted = Self {
            where_possible: None,
            ..self.clone()
        };
        let mut dropped = Vec::new();
        let mut try_with = |option, supported: bool, set: &dyn Fn(&mut Self)| {
            let mut candidate = fitted.clone();
            set(&mut candidate);
            if supported && accepts(&candidate) {
                fitted = candidate;
            } else {
                dropped.push(option);
            }
        };
        // The sender first, since a vendor may schedule with some senders only.
        if let Some(sender) = wanted.sender.as_ref().filter(|_| self.sender.is_none()) {
            let supported = profile.sender_problem(sender).is_none();
            try_with(MessageOption::Sender, supported, &|message| {
                message.sender = Some(sender.clone());
            });
        }
        if let Some(send_at) = wanted.send_at.filter(|_| self.send_at.is_none()) {
            let supported = profile.supports_send_at(send_at);
            try_with(MessageOption::SendAt, supported, &|message| {
                message.send_at = Some(send_at);
            });
        }
        if let Some(validity) = wanted.validity.filter(|_| self.validity.is_none()) {
            let supported = profile.supports_validity(validity);
            try_with(MessageOption::Validity, supported, &|message| {
                message.validity = Some(validity);
            });
        }
        dropped.sort_unstable();
        (Cow::Owned(fitted), dropped)
    }

    /// Returns the sender that was set with [`with_sender_where_possible`](Self::with_sender_where_possible).
    #[must_use]
    pub fn sender_where_possible(&self) -> Option<&Sender> {
        self.where_possible.as_ref()?.sender.as_ref()
    }

    /// Returns the validity period that was set with
    /// [`with_validity_where_possible`](Self::with_validity_where_possible).
    #[must_use]
    pub fn validity_where_possible(&self) -> Option<Duration> {
        self.where_possible.as_ref()?.validity
    }

    /// Returns the time that was set with [`with_send_at_where_possible`](Self::with_send_at_where_possible).
    #[must_use]
    pub fn send_at_where_possible(&self) -> Option<DateTime<Utc>> {
        self.where_possible.as_ref()?.send_at
    }

    /// Returns whether two messages have the same text and options, so that they differ in recipient and reference at
    /// most. A vendor whose requests hold one text takes such messages together.
    #[must_use]
    pub fn has_same_content(&self, other: &Self) -> bool {
        self.text == other.text
            && self.sender == other.sender
            && self.validity == other.validity
            && self.send_at == other.send_at
            && self.where_possible == other.where_possible
    }

    /// Returns the recipient.
    #[must_use]
    pub const fn to(&self) -> PhoneNumber {
        self.to
    }

    /// Returns the text.
    #[must_use]
    pub const fn text(&self) -> &Text {
        &self.text
    }

    /// Returns the sender, or `None` for the provider's default.
    #[must_use]
    pub const fn sender(&self) -> Option<&Sender> {
        self.sender.as_ref()
    }

    /// Returns the reference.
    #[must_use]
    pub const fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Returns the validity period, or `None` for the vendor's default.
    #[must_use]
    pub const fn validity(&self) -> Option<Duration> {
        self.validity
    }

    /// Returns when to send the message, or `None` for immediately.
    #[must_use]
    pub const fn send_at(&self) -> Option<DateTime<Utc>> {
        self.send_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message::new(
            "+31612345678".parse().unwrap(),
            Text::new("Your code is 482913").unwrap(),
        )
    }

    #[test]
    fn debug_shows_neither_text_nor_number() {
        let shown = format!(
            "{:?}",
            message().with_sender("+31687654321".parse().unwrap())
        );
        for secret in ["482913", "31612345678", "612345678", "31687654321"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("+316•••••678"), "{shown}");
    }

    #[test]
    fn an_option_where_possible_is_set_if_the_profile_supports_it_and_reported_otherwise() {
        use crate::SenderKind;
        use MessageOption::{SendAt, Sender, Validity};

        let soon = DateTime::from(std::time::SystemTime::now()) + Duration::from_secs(60);
        let wanted = message()
            .with_sender_where_possible("Contoso".parse().unwrap())
            .with_validity_where_possible(Duration::from_secs(600))
            .with_send_at_where_possible(soon);
        assert_eq!(
            (wanted.sender(), wanted.validity(), wanted.send_at()),
            (None, None, None)
        );

        let able = Profile::new("able")
            .with_senders(&[SenderKind::Alphanumeric])
            .with_validity(Duration::from_secs(60), Duration::from_secs(600))
            .with_max_schedule_ahead(Duration::from_secs(3600));
        let (fitted, dropped) = wanted.fit(&able);
        let expected = message()
            .with_reference(*wanted.reference())
            .with_sender("Contoso".parse().unwrap())
            .with_validity(Duration::from_secs(600))
            .with_send_at(soon);
        assert_eq!((&*fitted, dropped), (&expected, vec![]));

        let (fitted, dropped) = wanted.fit(&Profile::new("unable"));
        let expected = message().with_reference(*wanted.reference());
        assert_eq!(
            (&*fitted, dropped),
            (&expected, vec![SendAt, Sender, Validity])
        );

        let rule = |message: &Message| message.sender().is_none() || message.send_at().is_none();
        let (fitted, dropped) = wanted.fit_where(&able, rule);
        assert_eq!((fitted.send_at(), dropped), (None, vec![SendAt]));
        assert!(fitted.sender().is_some() && fitted.validity().is_some());

        let later = soon + Duration::from_secs(1);
        let firm = wanted
            .clone()
            .with_send_at(later)
            .with_sender("Other".parse().unwrap());
        let (fitted, dropped) = firm.fit(&able);
        assert_eq!((fitted.send_at(), dropped), (Some(later), vec![]));
        assert_eq!(fitted.sender().unwrap().to_string(), "Other");

        let firm = wanted.with_validity(Duration::from_secs(30));
        let (fitted, dropped) = firm.fit(&able);
        assert_eq!(
            (fitted.validity(), dropped),
            (Some(Duration::from_secs(30)), vec![])
        );
        assert!(able.validate(&fitted).is_err());
    }

    #[test]
    fn every_message_has_its_own_reference() {
        assert_ne!(message().reference(), message().reference());
    }
}
