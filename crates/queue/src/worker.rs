use std::{
    convert::Infallible,
    fmt,
    future::{Future, pending},
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use postduif_core::ConfigError;
use postduif_onboarding::{
    Ending, Entry, Journal, JournalError, JournalErrorKind, Onboarding, OnboardingBuilder, Step,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinError, JoinSet},
    time::{Instant, sleep, timeout},
};

use crate::{Engine, FlowEventType, Lease, Retention, Swept, count};

/// Runs the flows of a queue in this process. Any number of workers may share a store.
///
/// A worker claims the flow that has been due for longest, and takes one step after the other. It gives a flow that
/// waits back to the queue. While a flow is claimed its lease is extended. A worker that loses a lease, since its
/// process was stopped or the store was away, has no further effect on the flow; an outcome that it knows is still
/// recorded, unless another worker has claimed the flow.
///
/// After a takeover a worker waits, 2 seconds at the first and twice as long each time, up to a minute: a flow on which
/// processes die must not use up its passes within seconds.
///
/// A worker needs a tokio runtime with time enabled.
///
/// ```
/// # mod postduif { pub use postduif_queue as queue; pub use postduif_onboarding as onboarding; }
/// use postduif::{onboarding::OnboardingBuilder, queue::Queue};
///
/// async fn work(
///     queue: Queue,
///     onboarding: OnboardingBuilder,
///     stopped: impl Future<Output = ()>,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let worker = queue
///         .worker(onboarding)?
///         .with_observer(|ending| println!("{}: {:?}", ending.flow, ending.verdict))
///         .build();
///     // Takes no new flow once `stopped` completes, finishes the current steps, and gives the flows back.
///     worker.run_until(stopped).await;
///     Ok(())
/// }
/// ```
pub struct Worker {
    inner: Arc<Inner>,
    flows: NonZeroUsize,
}

/// A builder of a [`Worker`].
#[must_use]
pub struct WorkerBuilder {
    inner: Inner,
    flows: NonZeroUsize,
}

struct Inner {
    engine: Arc<dyn Engine>,
    onboarding: Arc<Onboarding>,
    observer: Option<Observer>,
    retention: Retention,
}

type Observer = Box<dyn Fn(&Ending) + Send + Sync>;

impl Worker {
    /// Creates a builder with the default options. The journal of the onboarding becomes this engine.
    ///
    /// # Errors
    ///
    /// The errors of [`OnboardingBuilder::build`].
    pub fn builder(
        engine: Arc<dyn Engine>,
        onboarding: OnboardingBuilder,
    ) -> Result<WorkerBuilder, ConfigError> {
        const FLOWS: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not zero");
        let journal: Arc<dyn Journal> = Arc::<dyn Engine>::clone(&engine);
        let onboarding = onboarding.with_journal(journal).build()?;
        Ok(WorkerBuilder {
            inner: Inner {
                engine,
                onboarding: Arc::new(onboarding),
                observer: None,
                retention: Retention::new(),
            },
            flows: FLOWS,
        })
    }

    /// Returns the onboarding, which stores delivery reports with their flows.
    #[must_use]
    pub fn onboarding(&self) -> &Arc<Onboarding> {
        &self.inner.onboarding
    }

    /// Runs flows until `shutdown` completes. Then it claims no more, finishes the current steps for up to 25 seconds,
    /// and gives its flows back to the queue, where another worker continues them at once.
    ///
    /// Dropping the future is like a crash.
    pub async fn run_until(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let slots = Arc::new(Semaphore::new(self.flows.get().min(Semaphore::MAX_PERMITS)));
        let stopping = watch::Sender::new(false);
        let mut flows = JoinSet::new();
        // Ends with this function: what it has begun is done again.
        let mut chores = JoinSet::new();
        chores.spawn(Arc::clone(&self.inner).clean_up());
        let mut away_since = None;
        let mut is_shutdown = false;
        while !is_shutdown {
            while let Some(ended) = flows.try_join_next() {
                told_panic(&ended);
            }
            let slot = tokio::select! {
                biased;
                () = &mut shutdown => break,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            let Ok(slot) = slot else {
                break; // Nobody closes it.
            };
            let mut next = pin!(within(MAX_NEXT, self.inner.engine.next()));
            let next = tokio::select! {
                next = &mut next => next,
                // Polled here too, since it may hold what the store needs. But the claim is not dropped: its flow would
                // be left to its lease.
                () = &mut shutdown => {
                    is_shutdown = true;
                    // Before the claim: a flow would take further steps meanwhile.
                    stopping.send_replace(true);
                    next.await
                }
            };
            match next {
                Ok(Some(lease)) => {
                    let inner = Arc::clone(&self.inner);
                    let slot = (Arc::clone(&slots), slot);
                    flows.spawn(inner.run(lease, stopping.subscribe(), slot));
                }
                _ if is_shutdown => {}
                Ok(None) => {
                    drop(slot);
                    tokio::select! {
                        biased;
                        () = &mut shutdown => break,
                        () = self.inner.engine.wait(POLL) => {}
                    }
                }
                Err(error) => {
                    drop(slot);
                    if away_since.is_none() {
                        tracing::error!(%error, "the store of the queue does not respond");
                    }
                    let since = *away_since.get_or_insert_with(Instant::now);
                    tokio::select! {
                        biased;
                        () = &mut shutdown => break,
                        () = self.inner.returned() => {}
                    }
                    tracing::warn!(away = ?since.elapsed(), "the store of the queue responds again");
                    away_since = None;
                }
            }
        }
        stopping.send_replace(true);
        let ended = timeout(GRACE, async {
            while let Some(ended) = flows.join_next().await {
                told_panic(&ended);
            }
        });
        if ended.await.is_err() {
            let left = flows.len();
            tracing::warn!(
                left,
                "steps did not end in time; their flows are left to their leases"
            );
            flows.shutdown().await;
        }
    }
}

impl WorkerBuilder {
    /// Sets the maximum number of flows at a time. Defaults to 16.
    ///
    /// A flow that waits, for a delivery report or for Graph, does not count: it is in the store.
    pub const fn with_flows(mut self, flows: NonZeroUsize) -> Self {
        self.flows = flows;
        self
    }

    /// Sets what is called with the ending of each flow. It must not block.
    pub fn with_observer(mut self, observer: impl Fn(&Ending) + Send + Sync + 'static) -> Self {
        self.inner.observer = Some(Box::new(observer));
        self
    }

    /// Sets how long the store keeps what. Defaults to [`Retention::new`].
    ///
    /// The workers of a store take turns at the clean-up: give all of them the same.
    pub const fn with_retention(mut self, retention: Retention) -> Self {
        self.inner.retention = retention;
        self
    }

    /// Builds the worker.
    #[must_use]
    pub fn build(self) -> Worker {
        Worker {
            inner: Arc::new(self.inner),
            flows: self.flows,
        }
    }
}

impl Inner {
    /// Waits until the store responds again, and until the flows of this process have recorded what they know: a flow
    /// whose lease has expired meanwhile would otherwise be claimed before its outcome is there.
    async fn returned(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            sleep(pause).await;
            if within(MAX_NEXT, self.engine.counts()).await.is_ok() {
                break;
            }
            pause = (pause * 2).min(MAX_PAUSE);
        }
        sleep(RECORD_PAUSE).await;
    }

    /// Removes what is kept no longer, from time to time.
    async fn clean_up(self: Arc<Self>) {
        let Some(archive) = self.engine.archive() else {
            return;
        };
        loop {
            sleep(CLEAN_UP_PAUSE).await;
            // Bounded by the time that the store has for each of its calls.
            while let Ok(Some(swept)) = archive.sweep(&self.retention).await {
                told_sweep(&swept);
                if !swept.more {
                    break;
                }
                sleep(SWEEP_PAUSE).await;
            }
        }
    }

    /// Stores that Entra had stopped waiting when the flow was found.
    async fn tell_late(&self, lease: &dyn Lease) -> Result<(), JournalError> {
        let Some(archive) = self.engine.archive() else {
            return Ok(());
        };
        let entries = lease.entries().await?;
        let mut own = entries.records.iter().map(|record| &record.entry);
        if own.any(|entry| matches!(entry, Entry::Resumed { .. })) {
            return Ok(());
        }
        let what = FlowEventType::WindowClosed;
        archive.attention(lease.callout(), what, now()).await
    }

    async fn run(
        self: Arc<Self>,
        lease: Arc<dyn Lease>,
        stopping: watch::Receiver<bool>,
        slot: (Arc<Semaphore>, OwnedSemaphorePermit),
    ) {
        // Not dropped when the lease is lost: the step may know an outcome that nobody else does. It has no further
        // effect by itself, since it asks the claim before each.
        tokio::select! {
            biased;
            () = self.steps(&lease, stopping, slot) => {}
            never = keep(&*lease) => match never {},
        }
    }

    async fn steps(
        &self,
        lease: &Arc<dyn Lease>,
        mut stopping: watch::Receiver<bool>,
        (slots, slot): (Arc<Semaphore>, OwnedSemaphorePermit),
    ) {
        let mut slot = Some(slot);
        let flow = lease.callout().flow();
        let mut run = self.onboarding.start(Box::new(Arc::clone(lease)));
        if lease.takeovers() > 0 {
            count::takeover();
            let pause = pause_after(lease.takeovers());
            tracing::warn!(%flow, takeovers = lease.takeovers(), ?pause, "claimed a flow whose holder died");
            // Another flow has the slot meanwhile: after many crashes the pauses would keep all of them waiting.
            drop(slot.take());
            let paused = async {
                sleep(pause).await;
                // Nobody closes it.
                slots.acquire_owned().await.ok()
            };
            tokio::select! {
                biased;
                () = stopped(&mut stopping) => {}
                again = paused => slot = again,
            }
        }
        let _slot = slot;
        if run.closes() <= now()
            && let Err(error) = within(MAX_NEXT, self.tell_late(&**lease)).await
        {
            tracing::warn!(%flow, %error, "no event tells that a flow was found late");
        }
        let until = loop {
            if !lease.holds() {
                tracing::warn!(%flow, "lost the lease of a flow");
                count::lost();
                return;
            }
            if *stopping.borrow() {
                break now();
            }
            match self.onboarding.step(&mut run).await {
                Ok(Step::Next) => {}
                Ok(Step::WaitUntil(until)) => break until,
                Ok(Step::Done(ending)) => return self.done(&**lease, &ending).await,
                Err(error) => {
                    tracing::warn!(%flow, %error, "a step failed; the flow is run again");
                    break match error.kind() {
                        JournalErrorKind::Lost => return count::lost(),
                        // A worker of the newer version runs it.
                        JournalErrorKind::Unreadable => now() + UNREADABLE_PAUSE,
                        _ => now() + FAILED_PAUSE,
                    };
                }
            }
        };
        if let Err(error) = run.give_back(until).await {
            tracing::warn!(%flow, %error, "a flow was not given back; it is left to its lease");
        }
    }

    async fn done(&self, lease: &dyn Lease, ending: &Ending) {
        let flow = ending.flow;
        let mut pauses = DONE_PAUSES.iter();
        while let Err(error) = within(MAX_NEXT, lease.done(ending)).await {
            match pauses.next() {
                Some(pause) if error.kind() != JournalErrorKind::Lost => sleep(*pause).await,
                _ => {
                    tracing::warn!(%flow, %error, "a flow that has ended is not done yet; it is claimed again");
                    return;
                }
            }
        }
        if let Some(observer) = &self.observer {
            observe(|| observer(ending));
        }
    }
}

/// Extends a lease for as long as this is polled. A lease that is lost is not extended any more.
async fn keep(lease: &dyn Lease) -> Infallible {
    let pause = lease.length() / EXTENSIONS;
    while lease.holds() {
        sleep(pause).await;
        match within(pause, lease.extend()).await {
            Err(error) if error.kind() == JournalErrorKind::Lost => break,
            // It is tried again while the claim holds.
            Ok(()) | Err(_) => {}
        }
    }
    pending().await
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    if stopping.wait_for(|stopping| *stopping).await.is_err() {
        // The worker is gone, and this with it.
        pending().await
    }
}

pub(crate) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, JournalError>>,
) -> Result<T, JournalError> {
    match timeout(limit, call).await {
        Ok(output) => output,
        Err(_) => Err(JournalError::new(
            JournalErrorKind::Unavailable,
            "the store did not respond in time",
        )),
    }
}

/// Calls what observes endings. It is not ours, and its panic ends nothing of ours.
pub(crate) fn observe(call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        // Its message may contain anything.
        tracing::error!("an observer panicked");
    }
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

fn pause_after(takeovers: u32) -> Duration {
    let pause = FIRST_TAKEOVER_PAUSE.saturating_mul(1 << takeovers.saturating_sub(1).min(16));
    pause.min(MAX_TAKEOVER_PAUSE)
}

fn told_sweep(swept: &Swept) {
    tracing::debug!(?swept, "removed what is kept no longer");
    if swept.unposted > 0 {
        tracing::error!(
            events = swept.unposted,
            "events were given up: the receiver has not taken them for as long as they are kept"
        );
    }
}

fn told_panic(ended: &Result<(), JoinError>) {
    if ended.is_err() {
        // Its message may contain anything.
        tracing::error!("a flow panicked; it is left to its lease");
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("engine", &self.inner.engine)
            .field("flows", &self.flows)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("engine", &self.inner.engine)
            .field("flows", &self.flows)
            .finish_non_exhaustive()
    }
}

/// How long a worker waits for the store to tell of a due flow before it asks.
const POLL: Duration = Duration::from_millis(250);

/// The maximum duration of a call to the store.
const MAX_NEXT: Duration = Duration::from_secs(10);

/// How often a lease is extended in its length: two failures in a row do not lose it.
const EXTENSIONS: u32 = 4;

/// How long the current steps may take at a shutdown: less than the 30 seconds after which most platforms kill.
const GRACE: Duration = Duration::from_secs(25);

/// How often a worker asks whether it is time to clean up.
const CLEAN_UP_PAUSE: Duration = Duration::from_secs(60);

/// The pause between two parts of a clean-up, for others that use the store.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A little more than the longest pause before a flow records an outcome again.
const RECORD_PAUSE: Duration = Duration::from_secs(6);

const FIRST_TAKEOVER_PAUSE: Duration = Duration::from_secs(2);
const MAX_TAKEOVER_PAUSE: Duration = Duration::from_secs(60);

/// How long a flow waits after a step that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(2);

/// How long a flow waits that only a newer version can read.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(30);

const DONE_PAUSES: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
];
