use std::{num::NonZeroUsize, time::Duration};

use postduif_core::{
    Health, Message, Outcomes, Profile, Receipt, SendError, SenderKind, SmsProvider, async_trait,
};

/// Accepts everything and sends nothing: a provider for systems that must not reach anybody.
///
/// It says so once, in a warning when it is made. Its URL is `null://`.
///
/// ```
/// use postduif_core::SmsProvider as _;
///
/// assert_eq!(postduif_testkit::Null::new().profile().name(), "null");
/// ```
#[derive(Debug)]
pub struct Null {
    profile: Profile,
}

/// Whatever anybody wishes for, nothing does not do.
const PROFILE: Profile = Profile::new("null")
    .with_batch(NonZeroUsize::new(1000).unwrap(), true)
    .with_senders(&[
        SenderKind::Alphanumeric,
        SenderKind::Number,
        SenderKind::ShortCode,
    ])
    .with_validity(Duration::ZERO, Duration::MAX)
    .with_scheduling(Duration::MAX);

impl Null {
    /// A provider that sends nothing.
    #[must_use]
    pub fn new() -> Self {
        tracing::warn!("null:// accepts every text and sends none");
        Self { profile: PROFILE }
    }
}

impl Default for Null {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl SmsProvider for Null {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        Ok(Receipt::new("null", *message.reference()))
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        Outcomes::from_fn(messages, |message| {
            Ok(Receipt::new("null", *message.reference()))
        })
    }

    async fn check(&self) -> Result<Health, SendError> {
        Ok(Health::cannot_tell())
    }
}
