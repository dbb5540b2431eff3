//! **Does:** lets messages through only to these numbers or prefixes: the safety catch of a system that is
//! not production.
//!
//! **Never:** makes a call for what it refuses; no message and no option gets past it.
//!
//! **Belongs** inside of [`RedirectTo`](crate::RedirectTo), where it judges the number that the text would
//! really go to (`RedirectTo::new(OnlyTo::new(..), ..)`), and otherwise anywhere: no other layer changes a
//! recipient.

use std::borrow::Cow;

use postduif_core::{
    ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
};

use crate::{
    Prefix,
    dispatch::{refusal, send_passed},
};

/// Only these numbers get a text.
///
/// Everything else is refused as `Blocked`, not accepted, before any call. A whole number lets itself through
/// and no longer one, see [`Prefix`]. An empty list lets nothing through.
///
/// ```
/// # use postduif_core::*;
/// use postduif_layers::OnlyTo;
///
/// # async fn example(vendor: impl SmsProvider, message: Message) -> Result<(), ConfigError> {
/// let provider = OnlyTo::new(vendor, ["+31612345678".parse()?, "+1555".parse()?]);
/// if let Err(error) = provider.send(&message).await {
///     assert_eq!(error.acceptance(), Acceptance::NotAccepted);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OnlyTo<P> {
    inner: P,
    prefixes: Vec<Prefix>,
}

impl<P: SmsProvider> OnlyTo<P> {
    /// Lets through what is for these numbers, or for numbers with these prefixes.
    #[must_use]
    pub fn new(inner: P, prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        Self {
            inner,
            prefixes: prefixes.into_iter().collect(),
        }
    }

    fn judge(&self, message: &Message) -> Result<(), SendError> {
        if self.prefixes.iter().any(|p| p.matches(message.to())) {
            Ok(())
        } else {
            Err(refusal(
                self.inner.profile(),
                ErrorKind::Blocked,
                "this system sends to a few numbers only, and this is none of them",
            ))
        }
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for OnlyTo<P> {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.judge(message)?;
        self.inner.send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let judged = |message| self.judge(message).map(|()| Cow::Borrowed(message));
        send_passed(&self.inner, messages, judged).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}
