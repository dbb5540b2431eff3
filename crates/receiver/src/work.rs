//! Who runs the flows: this process alone, or the workers of a store.

use std::{future::Future, num::NonZeroUsize, sync::Arc, time::Duration};

use postduif::{
    ConfigError,
    onboarding::{Intake, Journal, JournalError, MemoryJournal, Onboarding, Runner},
    queue::{self, Queue, Retention},
    webhooks::EventPoster,
};
use tokio::sync::watch;

use crate::{metrics, options::Options};

/// The store of `--store`.
pub(crate) enum Store {
    Memory(MemoryJournal),
    Queue(Queue),
}

/// What takes call-outs and runs their flows.
#[derive(Clone)]
pub(crate) enum Work {
    Memory(Runner),
    Queue(Queue, Arc<Onboarding>, NonZeroUsize),
}

/// What a store does beside its flows.
pub(crate) struct Chores {
    poster: Option<EventPoster>,
    retention: Retention,
}

impl Chores {
    pub(crate) fn of(options: &Options, store: &Store) -> Result<Self, ConfigError> {
        let poster = options.event_url.clone().zip(options.event_secret.clone());
        let poster = match (poster, store) {
            (None, _) => None,
            (Some((url, secret)), Store::Queue(queue)) => {
                let events = queue.events();
                let events = events.ok_or_else(|| ConfigError::new("this store has no events"))?;
                Some(EventPoster::builder(events, url, secret).build()?)
            }
            (Some(_), Store::Memory(_)) => {
                return Err(ConfigError::new(
                    "the store in memory has no events: use sqlite://FILE or postgres://…",
                ));
            }
        };
        Ok(Self {
            poster,
            retention: Retention::new()
                .with_flows(options.keep_flows)
                .with_audit(options.keep_audit),
        })
    }
}

/// What is in work.
pub(crate) struct Depth {
    pub(crate) open: u64,
    pub(crate) oldest: Duration,
}

impl Store {
    pub(crate) async fn open(options: &Options) -> Result<Self, ConfigError> {
        if options.store == "memory" {
            tracing::warn!("the store is the memory of this process: a restart forgets all flows");
            return Ok(Self::Memory(MemoryJournal::new()));
        }
        let (store, lease) = (options.store.as_str(), options.lease);
        let queue = if store.starts_with("nats:") || store.starts_with("tls:") {
            queue::nats::builder(store).with_lease(lease).open().await
        } else {
            Queue::builder(store).with_lease(lease).open().await
        };
        queue.map(Self::Queue)
    }

    pub(crate) fn journal(&self) -> Arc<dyn Journal> {
        match self {
            Self::Memory(journal) => Arc::new(journal.clone()),
            Self::Queue(queue) => queue.journal(),
        }
    }

    pub(crate) fn work(self, onboarding: Onboarding, flows: NonZeroUsize) -> Work {
        match self {
            Self::Memory(_) => {
                let runner = Runner::builder(onboarding)
                    .with_workers(flows)
                    .with_observer(|flow, ended| match ended {
                        Ok(ending) => metrics::ended(ending),
                        Err(error) => metrics::left(flow, error),
                    });
                Work::Memory(runner.build())
            }
            Self::Queue(queue) => Work::Queue(queue, Arc::new(onboarding), flows),
        }
    }
}

impl Work {
    pub(crate) fn intake(&self) -> Arc<dyn Intake> {
        match self {
            Self::Memory(runner) => Arc::new(runner.clone()),
            Self::Queue(queue, ..) => Arc::new(queue.clone()),
        }
    }

    pub(crate) fn onboarding(&self) -> Arc<Onboarding> {
        Arc::clone(match self {
            Self::Memory(runner) => runner.onboarding(),
            Self::Queue(_, onboarding, _) => onboarding,
        })
    }

    /// Returns what is in work.
    ///
    /// # Errors
    ///
    /// If the store does not respond.
    pub(crate) async fn depth(&self) -> Result<Depth, JournalError> {
        match self {
            Self::Memory(runner) => Ok(Depth {
                open: runner.open() as u64,
                oldest: runner.oldest().unwrap_or_default(),
            }),
            Self::Queue(queue, ..) => {
                let counts = queue.counts().await?;
                let now = std::time::SystemTime::now();
                let oldest = counts.oldest.map(std::time::SystemTime::from);
                let oldest = oldest.and_then(|oldest| now.duration_since(oldest).ok());
                Ok(Depth {
                    open: counts.open,
                    oldest: oldest.unwrap_or_default(),
                })
            }
        }
    }

    /// Runs flows until `served` completes, and ends what is under way: in memory each flow, and with a store each step,
    /// since another process continues from there.
    pub(crate) async fn run_while(self, served: impl Future<Output = ()>, chores: Chores) {
        match self {
            Self::Memory(runner) => {
                served.await;
                tracing::info!(open = runner.open(), "stopping");
                runner.stop().await;
            }
            Self::Queue(queue, onboarding, flows) => {
                let worker = queue.worker(onboarding).with_flows(flows);
                let worker = worker
                    .with_observer(metrics::ended)
                    .with_retention(chores.retention)
                    .build();
                let (stop, stopped) = watch::channel(());
                let served = async {
                    served.await;
                    tracing::info!("stopping");
                    drop(stop);
                };
                let is_stopped = |mut stopped: watch::Receiver<()>| async move {
                    // The sender is only dropped.
                    let _ = stopped.changed().await;
                };
                let posted = async {
                    if let Some(poster) = &chores.poster {
                        poster.run_until(is_stopped(stopped.clone())).await;
                    }
                };
                tokio::join!(
                    served,
                    posted,
                    worker.run_until(is_stopped(stopped.clone()))
                );
            }
        }
    }
}
