//! **Does:** lets messages through only to the countries and ranges on its list, and to none that is blocked.
//! The first brake against toll fraud: most of it goes to numbers where a service has no users at all.
//!
//! **Never:** makes a call for what it refuses; never changes a message.
//!
//! **Belongs** outside of [`Failover`](crate::Failover), beside [`Budget`](crate::Budget). It judges the recipient that the message has where it stands.

use std::slice;

use postduif_core::{
    ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
};

use crate::{
    Prefix,
    way::{Way, refusal},
};

/// Countries and ranges that may get a text.
///
/// Everything else is refused as `Blocked`, not accepted, before any call; so it travels to no other vendor.
/// What is blocked stays blocked, however narrow a prefix allows it. An empty list allows nothing.
///
/// ```
/// # use postduif_core::*;
/// use postduif_layers::AllowDestinations;
///
/// # fn example(vendor: impl SmsProvider) -> Result<(), ConfigError> {
/// let provider = AllowDestinations::new(vendor, ["+31".parse()?, "+32".parse()?])
///     .with_blocked(["+31900".parse()?, "+3197".parse()?]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AllowDestinations<P> {
    inner: P,
    allowed: Vec<Prefix>,
    blocked: Vec<Prefix>,
}

impl<P: SmsProvider> AllowDestinations<P> {
    /// Lets through what is for a number with one of these prefixes.
    #[must_use]
    pub fn new(inner: P, allowed: impl IntoIterator<Item = Prefix>) -> Self {
        Self {
            inner,
            allowed: allowed.into_iter().collect(),
            blocked: Vec::new(),
        }
    }

    /// Blocks numbers with these prefixes, beside those blocked already.
    #[must_use]
    pub fn with_blocked(mut self, blocked: impl IntoIterator<Item = Prefix>) -> Self {
        self.blocked.extend(blocked);
        self
    }

    async fn run(&self, messages: &[Message], way: Way) -> Outcomes {
        let judged = |message: &Message| {
            let any = |prefixes: &[Prefix]| prefixes.iter().any(|p| p.matches(message.to()));
            match any(&self.allowed) && !any(&self.blocked) {
                true => Ok(message.clone()),
                false => Err(refusal(
                    &self.inner,
                    ErrorKind::Blocked,
                    "no text may go to this destination",
                )),
            }
        };
        way.send_passed(&self.inner, messages, judged).await
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for AllowDestinations<P> {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.run(slice::from_ref(message), Way::Single)
            .await
            .into_single()
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.run(messages, Way::Batch).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}
