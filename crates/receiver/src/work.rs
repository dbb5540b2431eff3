//! Who runs the flows: this process alone, or the workers of a store.

use std::{future::Future, num::NonZeroUsize, sync::Arc, time::Duration};

use postduif::{
    ConfigError,
    onboarding::{Intake, JournalError, Onboarding, OnboardingBuilder, Runner},
    queue::{self, Queue, Retention, Worker},
    webhooks::EventPoster,
};
use tokio::sync::watch;

use crate::{metrics, options::Options};

/// The store of `--store`.
pub(crate) enum Store {
    Memory,
    Queue(Queue),
}

/// What takes call-outs and runs their flows.
#[derive(Clone)]
pub(crate) enum Work {
    Memory(Runner),
    Queue(Queue, Arc<Worker>),
}

/// Returns what posts the events of a store, if they are to be posted.
pub(crate) fn poster(options: &Options, store: &Store) -> Result<Option<EventPoster>, ConfigError> {
    let target = options.event_url.clone().zip(options.event_secret.clone());
    let Some((url, secret)) = target else {
        return Ok(None);
    };
    let Store::Queue(queue) = store else {
        return Err(ConfigError::new(
            "the store in memory has no events: use sqlite://FILE or postgres://…",
        ));
    };
    let events = queue.events();
    let events = events.ok_or_else(|| ConfigError::new("this store has no events"))?;
    EventPoster::builder(events, url, secret).build().map(Some)
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
            return Ok(Self::Memory);
        }
        let (store, lease) = (options.store.as_str(), options.lease);
        let queue = if store.starts_with("nats:") || store.starts_with("tls:") {
            queue::nats::builder(store).with_lease(lease).open().await
        } else {
            Queue::builder(store).with_lease(lease).open().await
        };
        queue.map(Self::Queue)
    }

    /// Returns what runs the flows of this store with this onboarding.
    pub(crate) fn work(
        self,
        onboarding: OnboardingBuilder,
        flows: NonZeroUsize,
        retention: Retention,
    ) -> Result<Work, ConfigError> {
        Ok(match self {
            Self::Memory => {
                let runner = Runner::builder(onboarding.build()?)
                    .with_workers(flows)
                    .with_observer(|flow, ended| match ended {
                        Ok(ending) => metrics::ended(ending),
                        Err(error) => metrics::left(flow, error),
                    });
                Work::Memory(runner.build())
            }
            Self::Queue(queue) => {
                let worker = queue.worker(onboarding)?.with_flows(flows);
                let worker = worker
                    .with_observer(metrics::ended)
                    .with_retention(retention);
                Work::Queue(queue, Arc::new(worker.build()))
            }
        })
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
            Self::Queue(_, worker) => worker.onboarding(),
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

    /// Runs flows beside what serves requests, until `stop`. Then it ends what is under way: in memory each flow, and with
    /// a store each step, since another process continues from there.
    pub(crate) async fn run_until(
        self,
        stop: impl Future<Output = ()>,
        serve: impl AsyncFnOnce(Stopped),
        poster: Option<EventPoster>,
    ) {
        let (stopping, stopped) = watch::channel(());
        let stopped = Stopped(stopped);
        let stop = async {
            stop.await;
            tracing::info!("stopping");
            drop(stopping);
        };
        let run = async {
            match &self {
                Self::Memory(runner) => {
                    stopped.clone().wait().await;
                    runner.stop().await;
                }
                Self::Queue(_, worker) => worker.run_until(stopped.clone().wait()).await,
            }
        };
        let post = async {
            if let Some(poster) = &poster {
                poster.run_until(stopped.clone().wait()).await;
            }
        };
        tokio::join!(stop, serve(stopped.clone()), run, post);
    }
}

/// Whether the process is to stop.
#[derive(Clone)]
pub(crate) struct Stopped(watch::Receiver<()>);

impl Stopped {
    /// Completes once it is.
    pub(crate) async fn wait(mut self) {
        // The sender is only dropped.
        let _ = self.0.changed().await;
    }
}
