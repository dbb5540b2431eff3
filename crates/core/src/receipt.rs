use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer};

use crate::{Acceptance, MessageOption, Price, Reference, SendError, string_enum::padded};

/// The proof that a vendor accepted a message.
///
/// serde writes `provider`, `reference`, `id`, `part_ids`, `parts`, `expected_reports`, `price` and `attempts`; absent
/// values are null. It adds `dropped` if there is any. None of them is personal data, unless a reference that you chose is.
///
/// ```
/// # use postduif_core as postduif;
/// # futures_executor::block_on(async {
/// use postduif::{Message, Null, SmsProvider as _, Text};
///
/// let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
/// let receipt = Null::new().send(&message).await?;
/// assert_eq!(receipt.reference(), message.reference());
/// // Store these: delivery reports name the message by its reference, or by the vendor's id.
/// let stored = (receipt.provider(), receipt.reference().as_str(), receipt.id());
/// assert_eq!(stored, ("null", message.reference().as_str(), None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Receipt {
    provider: Cow<'static, str>,
    reference: Reference,
    id: Option<Box<str>>,
    #[serde(serialize_with = "part_ids")]
    part_ids: Option<Box<[Box<str>]>>,
    parts: Option<u16>,
    expected_reports: u16,
    price: Option<Price>,
    attempts: Vec<Attempt>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<MessageOption>,
}

impl Receipt {
    /// Creates the receipt of a message, from the provider's name and the message's reference.
    #[must_use]
    pub fn new(provider: impl Into<Cow<'static, str>>, reference: Reference) -> Self {
        Self {
            provider: provider.into(),
            reference,
            id: None,
            part_ids: None,
            parts: None,
            expected_reports: 1,
            price: None,
            attempts: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// Sets the provider's name, for example to that of a member in a group.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<Cow<'static, str>>) -> Self {
        self.provider = provider.into();
        self
    }

    /// Sets the vendor's id of the message.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the vendor's ids of the parts, in order. Delivery reports name them as
    /// [`part`](crate::DeliveryReport::part).
    #[must_use]
    pub fn with_part_ids(mut self, ids: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.part_ids = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// Sets how many parts the vendor counted.
    #[must_use]
    pub fn with_parts(mut self, parts: u16) -> Self {
        self.parts = Some(parts);
        self
    }

    /// Sets how many delivery reports the vendor sends for the message. Defaults to one for the whole text.
    #[must_use]
    pub const fn with_expected_reports(mut self, reports: u16) -> Self {
        self.expected_reports = reports;
        self
    }

    /// Sets the price of all parts together, as the vendor states it.
    #[must_use]
    pub fn with_price(mut self, price: Price) -> Self {
        self.price = Some(price);
        self
    }

    /// Sets the earlier attempts, oldest first.
    #[must_use]
    pub fn with_attempts(mut self, attempts: Vec<Attempt>) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the options that the provider did not support and dropped.
    #[must_use]
    pub fn with_dropped(mut self, dropped: Vec<MessageOption>) -> Self {
        self.dropped = dropped;
        self
    }

    /// Returns the name of the provider that accepted the message.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Returns the message's reference.
    #[must_use]
    pub const fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Returns the vendor's id of the message, or `None` if the vendor assigns none, like CM.com.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns the vendor's ids of the parts, in order. Empty if there is one id for the whole text.
    pub fn part_ids(&self) -> impl Iterator<Item = &str> {
        self.part_ids.iter().flatten().map(|id| &**id)
    }

    /// Returns how many parts the vendor counted, and bills, or `None` if it does not say.
    #[must_use]
    pub const fn parts(&self) -> Option<u16> {
        self.parts
    }

    /// Returns how many delivery reports the vendor sends for the message. [`Delivery::of`](crate::Delivery::of)
    /// waits for all of them.
    #[must_use]
    pub const fn expected_reports(&self) -> u16 {
        self.expected_reports
    }

    /// Returns the price, or `None` if the vendor does not state it.
    #[must_use]
    pub const fn price(&self) -> Option<Price> {
        self.price
    }

    /// Returns the earlier attempts, oldest first.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Returns the options that were set `…_where_possible` on the [`Message`](crate::Message), and that the provider
    /// does not support.
    #[must_use]
    pub fn dropped(&self) -> &[MessageOption] {
        &self.dropped
    }
}

/// Writes an array, empty if there is one id for the whole text.
fn part_ids<S: Serializer>(
    ids: &Option<Box<[Box<str>]>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    ids.as_deref().unwrap_or_default().serialize(serializer)
}

/// An earlier, failed attempt to send a message.
///
/// `Display` shows the provider and the error: "kpn: no connection". It adds if the message may have been sent. serde
/// writes `provider` and `error`.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{Attempt, ErrorKind, SendError};
///
/// let error = SendError::not_accepted(ErrorKind::Unavailable, "no connection").with_provider("kpn");
/// assert_eq!(Attempt::new("kpn", error).to_string(), "kpn: no connection");
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Attempt {
    provider: Cow<'static, str>,
    error: SendError,
}

impl Attempt {
    /// Creates an attempt from the provider's name and its error.
    #[must_use]
    pub fn new(provider: impl Into<Cow<'static, str>>, error: SendError) -> Self {
        Self {
            provider: provider.into(),
            error,
        }
    }

    /// Returns the provider's name.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Returns the error.
    #[must_use]
    pub const fn error(&self) -> &SendError {
        &self.error
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doubt = match self.error.acceptance() {
            Acceptance::NotAccepted => "",
            Acceptance::Unknown => "; the message may have been sent",
        };
        padded(
            f,
            format_args!("{}: {}{doubt}", self.provider, self.error.cause()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn an_attempt_names_its_provider_once_and_a_doubt_as_one() {
        let refused = SendError::not_accepted(ErrorKind::Other, "it was refused")
            .with_provider("kpn")
            .with_code("7");
        let attempt = Attempt::new("kpn-shop", refused);
        assert_eq!(attempt.to_string(), "kpn-shop: it was refused (code 7)");
        let lost = SendError::unknown(ErrorKind::Timeout, "no response").with_provider("kpn");
        assert_eq!(
            Attempt::new("kpn", lost).to_string(),
            "kpn: no response; the message may have been sent"
        );
    }
}
