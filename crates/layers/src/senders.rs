//! **Does:** sets the sender of a message without one by its destination: that of the longest matching country code or
//! prefix, else the default.
//!
//! **Never:** changes a sender that the message names; never tries another sender if the vendor refuses one. The vendor
//! sees no difference from a sender that the caller named.
//!
//! **Belongs** around the stack of each vendor if vendors have different senders, else around
//! [`Failover`](crate::Failover).

use std::borrow::Cow;

use postduif_core::{
    Health, Message, Outcomes, Profile, Receipt, SendError, Sender, SmsProvider, async_trait,
};

use crate::{Prefix, dispatch::send_passed};

/// A layer that sets the sender by destination.
///
/// Some countries accept names, some only domestic numbers, and some replace any sender. A rule without a sender leaves
/// the message unchanged, so it gets the vendor's own default.
///
/// A message's own sender has precedence. A sender that the vendor's profile does not support is refused as
/// `Unsupported`, as if the message named it.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use postduif::{layers::Senders, Sender};
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
    /// Creates the layer without a default and without rules, so that it changes no message.
    #[must_use]
    pub fn new(inner: P) -> Self {
        Self {
            profile: inner.profile().clone(),
            inner,
            default: None,
            by_prefix: Vec::new(),
        }
    }

    /// Sets the sender of messages that match no prefix.
    #[must_use]
    pub fn with_default(mut self, sender: impl Into<Option<Sender>>) -> Self {
        self.default = sender.into();
        self.declare()
    }

    /// Sets the sender of messages to numbers with this prefix; `None` is the vendor's own default. A second rule for
    /// the same prefix replaces the first.
    #[must_use]
    pub fn with_sender(mut self, prefix: Prefix, sender: impl Into<Option<Sender>>) -> Self {
        self.by_prefix.retain(|&(known, _)| known != prefix);
        self.by_prefix.push((prefix, sender.into()));
        self.declare()
    }

    /// Declares that a message must name its sender if the vendor requires one and a rule may leave it out.
    fn declare(mut self) -> Self {
        let always = self.default.is_some() && self.by_prefix.iter().all(|(_, s)| s.is_some());
        let required = self.inner.profile().sender_required() && !always;
        self.profile = self.profile.with_sender_required(required);
        self
    }

    fn named<'a>(&self, message: &'a Message) -> Cow<'a, Message> {
        let supported = |sender: &&Sender| self.inner.profile().sender_problem(sender).is_none();
        let where_possible = message.sender_where_possible().filter(supported);
        let own = message.sender().or(where_possible);
        match (own, self.sender(message)) {
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
