//! A provider that is built again while the service runs, as when a secret in a file was replaced.

use std::sync::{Arc, PoisonError, RwLock};

use postduif::{
    ConfigError, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
};

use crate::signals::Reloads;

/// Sends with the provider that was built last. A send that is under way ends with the one that it began with.
#[derive(Debug)]
pub(crate) struct Reloaded {
    profile: Profile,
    current: RwLock<Arc<dyn SmsProvider>>,
}

impl Reloaded {
    /// Uses this provider until another is built.
    pub(crate) fn new(first: Arc<dyn SmsProvider>) -> Arc<Self> {
        Arc::new(Self {
            // The same for every provider of the same URLs.
            profile: first.profile().clone(),
            current: RwLock::new(first),
        })
    }

    /// Builds the provider again at each SIGHUP. One that cannot be built changes nothing.
    pub(crate) async fn follow(
        self: Arc<Self>,
        mut reloads: Reloads,
        build: impl Fn() -> Result<Arc<dyn SmsProvider>, ConfigError>,
    ) {
        while reloads.next().await {
            match build() {
                Ok(provider) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = provider;
                    tracing::info!("the vendors were read again");
                }
                Err(error) => {
                    tracing::error!(%error, "the vendors could not be read again; the earlier ones stay");
                }
            }
        }
    }

    fn current(&self) -> Arc<dyn SmsProvider> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl SmsProvider for Reloaded {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.current().send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.current().send_batch(messages).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.current().check().await
    }
}
