//! **Does:** lets messages through to listed numbers or prefixes only, so that a test system texts no strangers.
//!
//! **Never:** makes a call for a message that it refuses; no option of a message gets past it.
//!
//! **Belongs** inside of [`RedirectTo`](crate::RedirectTo), where it checks the number that the text would
//! actually go to (`RedirectTo::new(OnlyTo::new(..), ..)`), and otherwise anywhere: no other layer changes a
//! recipient.

use std::borrow::Cow;

use postduif_core::{
    ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
};

use crate::{
    Prefix,
    dispatch::{refusal, send_passed},
};

/// A layer for test systems that sends to listed numbers only.
///
/// A message to any other number is refused as `Blocked`, not accepted, before any call. A whole number matches only
/// itself, see [`Prefix`]. An empty list allows nothing.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use postduif::{layers::OnlyTo, Acceptance, SmsProvider as _};
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
    /// Allows messages to these numbers, or to numbers with these prefixes.
    #[must_use]
    pub fn new(inner: P, prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        Self {
            inner,
            prefixes: prefixes.into_iter().collect(),
        }
    }

    fn check_recipient(&self, message: &Message) -> Result<(), SendError> {
        if self.prefixes.iter().any(|p| p.matches(message.to())) {
            Ok(())
        } else {
            Err(refusal(
                self.inner.profile(),
                ErrorKind::Blocked,
                "this system sends to listed numbers only, and the recipient is not listed",
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
        self.check_recipient(message)?;
        self.inner.send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let checked = |message| {
            self.check_recipient(message)
                .map(|()| Cow::Borrowed(message))
        };
        send_passed(&self.inner, messages, checked).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}
