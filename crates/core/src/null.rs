use std::{num::NonZeroUsize, time::Duration};

use crate::{
    BatchTexts, Health, Message, Outcomes, Profile, Receipt, SendError, SenderKind, SmsProvider,
    async_trait,
};

/// A provider that accepts every message and sends none, for systems that must not send.
///
/// `postduif::from_url` builds it from `null://`, whatever follows. Its receipts name the provider `null` and have no
/// id. It writes no log.
///
/// ```
/// # use postduif_core as postduif;
/// # futures_executor::block_on(async {
/// use postduif::{Message, Null, SmsProvider as _, Text};
///
/// let message = Message::new("+31612345678".parse()?, Text::new("Hello")?);
/// let receipt = Null::new().send(&message).await?;
/// assert_eq!((receipt.provider(), receipt.id()), ("null", None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Null;

/// Declares every option, since a message that a real vendor would accept must not fail here.
static PROFILE: Profile = Profile::new("null")
    .with_batch(NonZeroUsize::new(1000).unwrap(), BatchTexts::Mixed)
    .with_senders(SenderKind::ALL)
    .with_validity(Duration::ZERO, Duration::MAX)
    .with_max_schedule_ahead(Duration::MAX);

impl Null {
    /// Creates a provider that sends nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl SmsProvider for Null {
    fn profile(&self) -> &Profile {
        &PROFILE
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        Ok(receipt(message))
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        Outcomes::from_fn(messages, |message| Ok(receipt(message)))
    }

    async fn check(&self) -> Result<Health, SendError> {
        Ok(Health::unknown())
    }
}

fn receipt(message: &Message) -> Receipt {
    Receipt::new(PROFILE.owned_name(), *message.reference())
}
