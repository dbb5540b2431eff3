use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{PhoneNumber, Reference, Sender, Text};

/// One text to one recipient.
///
/// ```
/// use std::time::Duration;
/// use postduif_core::{Message, Text};
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
    /// A message with a reference of its own and no wishes.
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

    /// Who it is from; without it the provider's own default.
    #[must_use]
    pub fn with_sender(mut self, sender: Sender) -> Self {
        self.sender = Some(sender);
        self
    }

    /// The same message with another text: what a wrapper sends that rewrites texts.
    #[must_use]
    pub fn with_text(mut self, text: Text) -> Self {
        self.text = text;
        self
    }

    /// Our key of the message, in place of the one drawn. It must be unique: vendors and delivery reports
    /// know the message by it.
    #[must_use]
    pub fn with_reference(mut self, reference: Reference) -> Self {
        self.reference = reference;
        self
    }

    /// The validity period: how long the network may go on trying. Vendors count whole seconds.
    #[must_use]
    pub fn with_validity(mut self, validity: Duration) -> Self {
        self.validity = Some(validity);
        self
    }

    /// When the vendor is to send it; without it at once.
    #[must_use]
    pub fn with_send_at(mut self, send_at: DateTime<Utc>) -> Self {
        self.send_at = Some(send_at);
        self
    }

    /// The recipient.
    #[must_use]
    pub const fn to(&self) -> PhoneNumber {
        self.to
    }

    /// The body.
    #[must_use]
    pub const fn text(&self) -> &Text {
        &self.text
    }

    /// Who it is from, where the message says so.
    #[must_use]
    pub const fn sender(&self) -> Option<&Sender> {
        self.sender.as_ref()
    }

    /// Our key of the message.
    #[must_use]
    pub const fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The validity period, where the message has one.
    #[must_use]
    pub const fn validity(&self) -> Option<Duration> {
        self.validity
    }

    /// When to send it, where not at once.
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
    fn every_message_has_a_reference_of_its_own() {
        assert_ne!(message().reference(), message().reference());
    }
}
