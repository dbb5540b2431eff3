use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use postduif_core::ConfigError;
use postduif_queue::{Engine, Queue};

use crate::{engine::Nats, options::Options, server, store::Store};

/// A builder of a [`Queue`] on NATS JetStream.
#[derive(Clone)]
#[must_use]
pub struct NatsQueueBuilder {
    url: String,
    lease: Duration,
    max_open: NonZeroUsize,
}

/// Opens the store of a URL with the default options. The [crate's page](crate) describes the URL.
///
/// # Errors
///
/// If the URL is not understood, no server responds, or it is too old or not safe. The error does not show the URL, which
/// may contain a password.
pub async fn open(url: &str) -> Result<Queue, ConfigError> {
    builder(url).open().await
}

/// Creates a builder with the default options.
pub fn builder(url: impl Into<String>) -> NatsQueueBuilder {
    const MAX_OPEN: NonZeroUsize = NonZeroUsize::new(10_000).expect("10,000 is not zero");
    NatsQueueBuilder {
        url: url.into(),
        lease: DEFAULT_LEASE,
        max_open: MAX_OPEN,
    }
}

impl NatsQueueBuilder {
    /// Sets the length of a lease, 1 second to 1 hour. Defaults to 60 seconds.
    ///
    /// After a crash its flows wait this long, and a second more. With a lease longer than the election of a leader,
    /// which takes up to about 10 seconds, the flows stay with their workers when a server is lost. All workers of a
    /// store should have the same.
    pub const fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets the maximum number of open flows. Defaults to 10,000.
    ///
    /// Beyond it a new call-out is [`Full`](postduif_onboarding::Taken::Full). Several processes may exceed it by a few
    /// flows.
    pub const fn with_max_open(mut self, max_open: NonZeroUsize) -> Self {
        self.max_open = max_open;
        self
    }

    /// Connects to a server, and creates the streams of the store unless they exist.
    ///
    /// # Errors
    ///
    /// If the URL is not understood, an option is out of range, no server responds, or it is too old or not safe.
    pub async fn open(self) -> Result<Queue, ConfigError> {
        if !(MIN_LEASE..=MAX_LEASE).contains(&self.lease) {
            return Err(ConfigError::new(
                "a lease must be between 1 second and 1 hour",
            ));
        }
        let options = Options::parse(&self.url)?;
        let (jetstream, names) = server::open(&options, self.lease).await?;
        let engine = Nats {
            store: Arc::new(Store::new(jetstream, names, self.lease)),
            max_open: self.max_open,
        };
        Ok(Queue::new(Arc::new(engine) as Arc<dyn Engine>))
    }
}

impl fmt::Debug for NatsQueueBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: it may contain a password.
        f.debug_struct("NatsQueueBuilder")
            .field("lease", &self.lease)
            .field("max_open", &self.max_open)
            .finish_non_exhaustive()
    }
}

/// Longer than any election of a leader, and shorter than any window.
const DEFAULT_LEASE: Duration = Duration::from_secs(60);

const MIN_LEASE: Duration = Duration::from_secs(1);

const MAX_LEASE: Duration = Duration::from_secs(3600);
