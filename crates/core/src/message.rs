use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{PhoneNumber, Reference, Sender, Text};

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
    #[must_use]
    pub fn with_send_at(mut self, send_at: DateTime<Utc>) -> Self {
        self.send_at = Some(send_at);
        self
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
    fn every_message_has_its_own_reference() {
        assert_ne!(message().reference(), message().reference());
    }
}
