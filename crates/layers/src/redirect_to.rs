//! **Does:** sends every text to one number instead, prefixed with the masked original recipient, so that testers see
//! the texts of a test system.
//!
//! **Never:** sends a text to another number; never changes sender, reference, validity or schedule.
//!
//! **Belongs** around everything that sends, and around [`OnlyTo`](crate::OnlyTo), which then checks the
//! number that the text actually goes to. Layers around it, such as limits by recipient, see the original number.

use std::borrow::Cow;

use postduif_core::{
    ErrorKind, Health, Message, Outcomes, PhoneNumber, Profile, Receipt, SendError, SmsProvider,
    Text, async_trait,
};

use crate::dispatch::{refusal, send_passed};

/// A layer for test systems that sends every message to one number.
///
/// A text for +31612345678 begins with `(+316*****678) `. Every vendor carries these characters, and they do not change
/// the text's encoding. The text is that much longer than in production; if it becomes too long, it is refused as
/// `InvalidText`, not accepted.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use postduif::{layers::{OnlyTo, RedirectTo}, PhoneNumber};
///
/// # fn example(vendor: impl SmsProvider) -> Result<(), Box<dyn std::error::Error>> {
/// let tester: PhoneNumber = "+31612345678".parse()?;
/// let provider = RedirectTo::new(OnlyTo::new(vendor, [tester.into()]), tester);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RedirectTo<P> {
    inner: P,
    number: PhoneNumber,
}

impl<P: SmsProvider> RedirectTo<P> {
    /// Sends everything to `number`.
    #[must_use]
    pub const fn new(inner: P, number: PhoneNumber) -> Self {
        Self { inner, number }
    }

    fn redirected(&self, message: &Message) -> Result<Message, SendError> {
        let front = format!("({}) ", message.to().masked()).replace('•', "*");
        // With its final capacity from the start: growing would leave copies of the text in memory.
        let mut text = String::with_capacity(front.len() + message.text().as_str().len());
        text.push_str(&front);
        text.push_str(message.text().as_str());
        let text = Text::new(text).map_err(|_| {
            refusal(
                self.inner.profile(),
                ErrorKind::InvalidText,
                "the text is too long with the original recipient in front",
            )
        })?;
        Ok(message.clone().with_recipient(self.number).with_text(text))
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for RedirectTo<P> {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.inner.send(&self.redirected(message)?).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let redirected = |message| self.redirected(message).map(Cow::Owned);
        send_passed(&self.inner, messages, redirected).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}
