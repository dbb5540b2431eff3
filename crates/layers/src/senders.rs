//! **Does:** gives each message that names no sender one by its destination: the longest country code or
//! prefix that matches, else the default.
//!
//! **Never:** touches a sender that the message names itself; never tries another where the vendor refuses
//! one. What is chosen goes to the vendor as if the caller had named it.
//!
//! **Belongs** around the stack of a vendor where vendors have different senders, else around
//! [`Failover`](crate::Failover).

use std::borrow::Cow;

use postduif_core::{
    Health, Message, Outcomes, Profile, Receipt, SendError, Sender, SmsProvider, async_trait,
};

use crate::{Prefix, dispatch::send_passed};

/// The sender by destination.
///
/// Some countries take names, some only numbers of theirs, some replace whatever is given. A rule without a
/// sender leaves the message as it is, with the vendor's own default.
///
/// A message's own sender always wins. A sender that the vendor's profile does not take is refused as
/// `Unsupported`, as if the message named it.
///
/// ```
/// # use postduif_core::*;
/// use postduif_layers::Senders;
///
/// # fn example(vendor: impl SmsProvider) -> Result<(), Box<dyn std::error::Error>> {
/// let provider = Senders::new(vendor)
///     .with_default("Contoso".parse::<Sender>()?)
///     .with_sender("+1".parse()?, "+15550100".parse::<Sender>()?)
///     .with_sender("+33".parse()?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Senders<P> {
    inner: P,
    profile: Profile,
    default: Option<Sender>,
    by_prefix: Vec<(Prefix, Option<Sender>)>,
}

impl<P: SmsProvider> Senders<P> {
    /// Gives no message a sender, until there is a default or a rule.
    #[must_use]
    pub fn new(inner: P) -> Self {
        Self {
            profile: inner.profile().clone(),
            inner,
            default: None,
            by_prefix: Vec::new(),
        }
    }

    /// Sets the sender where no prefix matches.
    #[must_use]
    pub fn with_default(mut self, sender: impl Into<Option<Sender>>) -> Self {
        self.default = sender.into();
        self.declare()
    }

    /// Sets the sender of messages to numbers with this prefix; `None` is the vendor's own default. Given twice,
    /// the later one holds.
    #[must_use]
    pub fn with_sender(mut self, prefix: Prefix, sender: impl Into<Option<Sender>>) -> Self {
        self.by_prefix.retain(|&(known, _)| known != prefix);
        self.by_prefix.push((prefix, sender.into()));
        self.declare()
    }

    /// A message must name its sender only where the vendor asks for one and a rule may leave it out.
    fn declare(mut self) -> Self {
        let always = self.default.is_some() && self.by_prefix.iter().all(|(_, s)| s.is_some());
        let required = self.inner.profile().sender_required() && !always;
        self.profile = self.profile.with_sender_required(required);
        self
    }

    fn named<'a>(&self, message: &'a Message) -> Cow<'a, Message> {
        match (message.sender(), self.sender(message)) {
            (None, Some(sender)) => Cow::Owned(message.clone().with_sender(sender.clone())),
            _ => Cow::Borrowed(message),
        }
    }

    fn sender(&self, message: &Message) -> Option<&Sender> {
        self.by_prefix
            .iter()
            .filter(|(prefix, _)| prefix.matches(message.to()))
            .max_by_key(|(prefix, _)| prefix.digit_count())
            .map_or(self.default.as_ref(), |(_, sender)| sender.as_ref())
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for Senders<P> {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.inner.send(&self.named(message)).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        send_passed(&self.inner, messages, |message| Ok(self.named(message))).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}
