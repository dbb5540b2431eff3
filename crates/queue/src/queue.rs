use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use postduif_core::{
    ConfigError, async_trait,
    directory::{Callout, FlowId},
};
use postduif_onboarding::{
    EventSource, Intake, Journal, JournalError, JournalErrorKind, OnboardingBuilder, PendingEvent,
    Taken,
};

use crate::{Archive, Counts, Engine, Status, Worker, WorkerBuilder, worker::within};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::{
    Keys,
    outbox::{self, Outbox},
    sql::db::Db,
};

/// A queue of onboarding flows in a store. Clones share the store.
///
/// ```
/// # mod postduif {
/// #     pub use postduif_onboarding as onboarding;
/// #     pub use postduif_queue as queue;
/// # }
/// use postduif::{onboarding::OnboardingBuilder, queue::{Queue, Worker}};
///
/// async fn open(onboarding: OnboardingBuilder) -> Result<(Queue, Worker), Box<dyn std::error::Error>> {
///     let queue = Queue::open("sqlite://postduif.db").await?;
///     let worker = queue.worker(onboarding)?.build();
///     // `webhooks::Callouts::new(verifier, queue)` takes the call-outs, `worker.run_until(..)` runs their flows, and
///     // `worker.onboarding()` stores the delivery reports of their texts.
///     Ok((queue, worker))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Queue {
    engine: Arc<dyn Engine>,
    /// `None` for a store of one's own.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    outbox: Option<Outbox>,
}

/// A builder of a [`Queue`].
#[derive(Clone)]
#[must_use]
pub struct QueueBuilder {
    url: String,
    pub(crate) options: Options,
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    keys: Option<Keys>,
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    messages: MessageOptions,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[derive(Clone, Copy, Debug)]
struct MessageOptions {
    max_waiting: NonZeroUsize,
    keep: Duration,
}

/// The options of every store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) lease: Duration,
    pub(crate) max_open: NonZeroUsize,
}

impl Queue {
    /// Opens the store of a URL with the default options. The [crate's page](crate) lists the URLs.
    ///
    /// # Errors
    ///
    /// If the URL is not understood, or the store cannot be opened. The error does not show the URL, which may contain a
    /// password.
    pub async fn open(url: &str) -> Result<Self, ConfigError> {
        Self::builder(url).open().await
    }

    /// Creates a builder with the default options.
    pub fn builder(url: impl Into<String>) -> QueueBuilder {
        const MAX_OPEN: NonZeroUsize = NonZeroUsize::new(10_000).expect("10,000 is not zero");
        QueueBuilder {
            url: url.into(),
            options: Options {
                lease: DEFAULT_LEASE,
                max_open: MAX_OPEN,
            },
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            keys: None,
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            messages: MessageOptions {
                max_waiting: MAX_WAITING,
                keep: DEFAULT_KEEP,
            },
        }
    }

    /// Creates a queue of a store of your own.
    #[must_use]
    pub fn new(engine: impl Into<Arc<dyn Engine>>) -> Self {
        Self {
            engine: engine.into(),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            outbox: None,
        }
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) const fn outbox(&self) -> Option<&Outbox> {
        self.outbox.as_ref()
    }

    /// Returns the store.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// Returns the store as the journal of an onboarding, which its delivery reports reach too.
    #[must_use]
    pub fn journal(&self) -> Arc<dyn Journal> {
        Arc::<dyn Engine>::clone(&self.engine)
    }

    /// Creates a builder of a worker, which runs the flows with this onboarding. Its journal becomes this
    /// [queue](Self::journal).
    ///
    /// # Errors
    ///
    /// The errors of [`OnboardingBuilder::build`].
    pub fn worker(&self, onboarding: OnboardingBuilder) -> Result<WorkerBuilder, ConfigError> {
        Worker::builder(Arc::clone(&self.engine), onboarding)
    }

    /// Stores a call-out, so that its flow will run.
    ///
    /// # Errors
    ///
    /// If it may not be durable: have it repeated.
    pub async fn enqueue(&self, callout: &Callout) -> Result<Taken, JournalError> {
        self.engine.enqueue(callout).await
    }

    /// Returns what is known of a flow. `None` if the store does not have it.
    ///
    /// # Errors
    ///
    /// If the store does not respond.
    pub async fn status(&self, flow: &FlowId) -> Result<Option<Status>, JournalError> {
        self.engine.status(flow).await
    }

    /// Returns what the store keeps for operators and auditors. `None` for a store without that.
    ///
    /// ```
    /// # mod postduif { pub use postduif_core::*; pub use postduif_queue as queue; }
    /// use postduif::queue::{FlowFilter, Operator, Queue, Retried};
    /// # use postduif::{directory::Callout, Guid};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # #[cfg(feature = "sqlite")] {
    /// let queue = Queue::open("memory").await?;
    /// # let now = std::time::SystemTime::now().into();
    /// # let callout = Callout::new(Guid::random().into(), Guid::random().into(), None, now);
    /// # queue.enqueue(&callout).await?;
    /// let archive = queue.archive().ok_or("a store without an archive")?;
    /// for flow in archive.flows(&FlowFilter::new().open(), None, 100).await? {
    ///     println!("{} since {}", flow.status.flow, flow.status.received_at);
    ///     // Only a flow that has failed is retried.
    ///     let by: Operator = "J. Jansen".parse()?;
    ///     assert_eq!(archive.retry(&flow.status.flow, &by, now).await?, Retried::Open);
    /// }
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn archive(&self) -> Option<&dyn Archive> {
        self.engine.archive()
    }

    /// Returns the events of the flows, for a poster. `None` for a store without them.
    #[must_use]
    pub fn events(&self) -> Option<Arc<dyn EventSource>> {
        self.engine.archive()?;
        Some(Arc::new(Events(Arc::clone(&self.engine))))
    }

    /// Counts what is in the queue.
    ///
    /// # Errors
    ///
    /// If the store does not respond.
    pub async fn counts(&self) -> Result<Counts, JournalError> {
        self.engine.counts().await
    }
}

/// Stores the call-outs of a web service. A store that does not respond within 3 seconds is an error: a call-out that
/// was stored all the same is known when it is repeated.
#[async_trait]
impl Intake for Queue {
    async fn take(&self, callout: Callout) -> Result<Taken, JournalError> {
        within(MAX_TAKE, self.engine.enqueue(&callout)).await
    }
}

/// The events of a store that has an archive.
#[derive(Debug)]
struct Events(Arc<dyn Engine>);

impl Events {
    fn archive(&self) -> Result<&dyn Archive, JournalError> {
        self.0.archive().ok_or_else(|| {
            JournalError::new(JournalErrorKind::Misconfigured, "the store has no events")
        })
    }
}

#[async_trait]
impl EventSource for Events {
    async fn take(&self, at_most: Duration) -> Result<Option<PendingEvent>, JournalError> {
        self.archive()?.take(at_most).await
    }

    async fn posted(&self, id: &str) -> Result<(), JournalError> {
        self.archive()?.posted(id).await
    }

    async fn postpone(&self, id: &str, pause: Duration) -> Result<(), JournalError> {
        self.archive()?.postpone(id, pause).await
    }

    async fn wait(&self, at_most: Duration) {
        if let Ok(archive) = self.archive() {
            archive.wait(at_most).await;
        }
    }
}

impl QueueBuilder {
    /// Sets the length of a lease, 1 second to 1 hour. Defaults to 60 seconds.
    ///
    /// After a crash its flows wait this long. A lease longer than the store's own failover keeps the flows with their
    /// workers while the store is away.
    pub const fn with_lease(mut self, lease: Duration) -> Self {
        self.options.lease = lease;
        self
    }

    /// Sets the maximum number of open flows. Defaults to 10,000.
    ///
    /// Beyond it a new call-out is [`Full`](Taken::Full). Several processes may exceed it by a few flows.
    pub const fn with_max_open(mut self, max_open: NonZeroUsize) -> Self {
        self.options.max_open = max_open;
        self
    }

    /// Sets the keys under which messages are sealed. Defaults to none: flows need none, and [`Queue::send`] is an error.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Sets the maximum number of messages that wait to be sent. Defaults to 1,000,000.
    ///
    /// Beyond it [`Queue::send`] is an error. The count is a few seconds old, so that a burst may exceed it.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub const fn with_max_waiting(mut self, messages: NonZeroUsize) -> Self {
        self.messages.max_waiting = messages;
        self
    }

    /// Sets for how long a message is kept after it has ended, at least a minute. Defaults to 30 days.
    ///
    /// For that long its key is known and its delivery reports are stored. Its text and number are removed when it ends.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub const fn with_keep(mut self, keep: Duration) -> Self {
        self.messages.keep = keep;
        self
    }

    /// Opens the store, and creates or updates its tables. Where they are up to date, it needs no right to do so.
    ///
    /// # Errors
    ///
    /// If the URL is not understood, an option is out of range, the store cannot be opened, or a newer version of this
    /// library has changed its tables in a way that this version does not know.
    pub async fn open(self) -> Result<Queue, ConfigError> {
        let lease = self.options.lease;
        if !(MIN_LEASE..=MAX_LEASE).contains(&lease) {
            return Err(ConfigError::new(
                "a lease must be between 1 second and 1 hour",
            ));
        }
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        {
            let db = crate::sql::open(&self.url).await?;
            let store = crate::sql::store(db.clone(), self.options).await?;
            let outbox = self.outbox(db)?;
            Ok(Queue {
                engine: Arc::new(store),
                outbox: Some(outbox),
            })
        }
        #[cfg(not(any(feature = "postgres", feature = "sqlite")))]
        Err(unknown(&self.url))
    }

    /// Opens the store beside the processes that run its flows, for an [archive](Queue::archive): it takes no lock of a
    /// file, frees no flow, and changes no table. Not for a worker.
    ///
    /// A file of SQLite must be on a local disk, and the caller must be the user who runs the service, so that all files
    /// beside it stay that user's.
    ///
    /// # Errors
    ///
    /// If the URL is not understood or is `memory`, the store cannot be opened, or it has no tables of this version.
    pub async fn open_beside(self) -> Result<Queue, ConfigError> {
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        {
            let db = crate::sql::open_beside(&self.url).await?;
            let store = crate::sql::store_beside(db, self.options);
            Ok(Queue::new(Arc::new(store) as Arc<dyn Engine>))
        }
        #[cfg(not(any(feature = "postgres", feature = "sqlite")))]
        Err(unknown(&self.url))
    }

    /// Creates or updates the tables, and nothing else: for a role that may do so, while the service itself runs with
    /// one that may not. Processes of the version before this one can go on meanwhile.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) does.
    pub async fn migrate(self) -> Result<(), ConfigError> {
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        return crate::sql::open(&self.url).await.map(drop);
        #[cfg(not(any(feature = "postgres", feature = "sqlite")))]
        Err(unknown(&self.url))
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    fn outbox(self, db: Db) -> Result<Outbox, ConfigError> {
        let keep = self.messages.keep;
        if keep < MIN_KEEP {
            return Err(ConfigError::new(
                "messages must be kept for at least a minute after they have ended",
            ));
        }
        let options = outbox::Options {
            lease: self.options.lease,
            max_waiting: self.messages.max_waiting.get() as u64,
            keep,
        };
        Ok(Outbox::new(db, self.keys, options))
    }
}

pub(crate) fn unknown(url: &str) -> ConfigError {
    let (scheme, _) = url.split_once(':').unwrap_or((url, ""));
    let (known, missing) = match scheme {
        "sqlite" | "memory" => (cfg!(feature = "sqlite"), "queue-sqlite"),
        "postgres" | "postgresql" => (cfg!(feature = "postgres"), "queue-postgres"),
        _ => (true, ""),
    };
    if known {
        // Not with the scheme: it may be a secret in the wrong place.
        ConfigError::new("a store is sqlite://FILE, postgres://HOST/DATABASE, or memory")
    } else {
        ConfigError::new(format!(
            "{scheme} is not compiled in: enable the feature `{missing}`"
        ))
    }
}

impl fmt::Debug for QueueBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: it may contain a password.
        f.debug_struct("QueueBuilder")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Longer than the failover of most databases, and shorter than any window.
const DEFAULT_LEASE: Duration = Duration::from_secs(60);

/// Entra waits for 2 seconds at most, and a relay in front of it for longer.
const MAX_TAKE: Duration = Duration::from_secs(3);

const MIN_LEASE: Duration = Duration::from_secs(1);

const MAX_LEASE: Duration = Duration::from_secs(3600);

#[cfg(any(feature = "postgres", feature = "sqlite"))]
const MAX_WAITING: NonZeroUsize = NonZeroUsize::new(1_000_000).expect("1,000,000 is not zero");

#[cfg(any(feature = "postgres", feature = "sqlite"))]
const DEFAULT_KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

#[cfg(any(feature = "postgres", feature = "sqlite"))]
const MIN_KEEP: Duration = Duration::from_secs(60);
