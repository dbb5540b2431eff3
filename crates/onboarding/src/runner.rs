use std::{
    collections::HashMap,
    fmt,
    future::{Future, poll_fn},
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use chrono::{DateTime, Utc};
use postduif_core::{
    async_trait,
    directory::{Callout, FlowId},
};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use crate::{
    Claim, Ending, JournalError, JournalErrorKind, Onboarding,
    clock::{after, can_wait},
    flow::{
        effects::{journal_timeout, within},
        times::{FIRST_RERUN_PAUSE, MAX_RERUN_PAUSE, MAX_TAKE, RERUN_AFTER_CLOSE},
    },
};

/// Where a web service puts the call-outs that it has received and verified.
///
/// [`Runner`] runs them in this process.
///
/// # Contract
///
/// - [`take`](Self::take) returns `New` or `Known` only once the flow will run: respond with 202 then. It survives
///   whatever the intake promises to survive.
/// - A repeated call-out starts nothing.
/// - Every call ends, soon enough for Entra, which waits for one second by default. No call panics.
#[async_trait]
pub trait Intake: fmt::Debug + Send + Sync + 'static {
    /// Takes a call-out, to run its flow.
    ///
    /// # Errors
    ///
    /// If the store does not respond: respond with 503, and Entra may repeat the call-out.
    async fn take(&self, callout: Callout) -> Result<Taken, JournalError>;
}

const _: fn(&dyn Intake) = |_| {};

#[async_trait]
impl<I: Intake + ?Sized> Intake for Arc<I> {
    async fn take(&self, callout: Callout) -> Result<Taken, JournalError> {
        (**self).take(callout).await
    }
}

/// What an [`Intake`] did with a call-out.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a route must decide on each of them"
)]
pub enum Taken {
    /// The flow is new, and will run.
    New,
    /// The flow is known: it runs, or has ended.
    Known,
    /// There is no room for another flow, or the intake stops. Nothing was stored.
    Full,
}

/// Runs flows in this process, each in a task of its own: the [`Intake`] of a service without a queue.
///
/// Each flow is claimed in the onboarding's [journal](crate::OnboardingBuilder::with_journal) before it is taken, so the
/// journal has room for it. What happens at a restart is the journal's promise: a
/// [`MemoryJournal`](crate::MemoryJournal) forgets everything.
///
/// The number of open flows is bounded, and so is the number of steps at a time. A flow that waits, for a delivery
/// report or for Graph, takes no step.
///
/// A runner needs a tokio runtime with time enabled. Its clones share everything.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_onboarding as onboarding; }
/// use std::sync::Arc;
/// use postduif::{directory::Callout, onboarding::{Intake as _, Onboarding, Runner, Taken}};
///
/// /// Returns the status of the response.
/// async fn receive(runner: &Runner, callout: Callout) -> u16 {
///     match runner.take(callout).await {
///         Ok(Taken::New | Taken::Known) => 202,
///         Ok(Taken::Full) | Err(_) => 503,
///     }
/// }
///
/// async fn serve(onboarding: Onboarding) {
///     let runner = Runner::builder(onboarding)
///         .with_observer(|flow, ended| match ended {
///             Ok(ending) => println!("{flow}: {:?}", ending.verdict),
///             Err(error) => eprintln!("{flow}: {error}"),
///         })
///         .build();
///     // Serve requests until the process is asked to stop, then:
///     runner.stop().await;
/// }
/// ```
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

/// A builder of a [`Runner`].
#[must_use]
pub struct RunnerBuilder {
    onboarding: Arc<Onboarding>,
    max_open: NonZeroUsize,
    workers: NonZeroUsize,
    observer: Option<Observer>,
}

type Observer = Box<dyn Fn(FlowId, &Result<Ending, JournalError>) + Send + Sync>;

struct Inner {
    onboarding: Arc<Onboarding>,
    max_open: usize,
    /// For each step.
    permits: Semaphore,
    open: Mutex<HashMap<FlowId, Open>>,
    /// The task of each open flow has a receiver.
    stopping: watch::Sender<bool>,
    observer: Option<Observer>,
}

/// An open flow.
struct Open {
    since: Instant,
    /// Whether it is taken. Until then taking it may still fail, and the sender is dropped.
    is_taken: watch::Receiver<bool>,
}

impl Runner {
    /// Creates a runner with the default options.
    #[must_use]
    pub fn new(onboarding: impl Into<Arc<Onboarding>>) -> Self {
        Self::builder(onboarding).build()
    }

    /// Creates a builder with the default options.
    pub fn builder(onboarding: impl Into<Arc<Onboarding>>) -> RunnerBuilder {
        const MAX_OPEN: NonZeroUsize = NonZeroUsize::new(1_000).expect("1,000 is not zero");
        const WORKERS: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not zero");
        RunnerBuilder {
            onboarding: onboarding.into(),
            max_open: MAX_OPEN,
            workers: WORKERS,
            observer: None,
        }
    }

    /// Returns the onboarding that it runs.
    #[must_use]
    pub fn onboarding(&self) -> &Arc<Onboarding> {
        &self.0.onboarding
    }

    /// Returns the number of open flows.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.open().len()
    }

    /// Returns how long ago the oldest open flow was taken. `None` if there is none.
    #[must_use]
    pub fn oldest(&self) -> Option<Duration> {
        let open = self.0.open();
        open.values().map(|open| open.since.elapsed()).max()
    }

    /// Takes no more call-outs, ends the open flows as [`Onboarding::run_until`] does, and returns once all have ended.
    ///
    /// Nothing is issued or sent any more. A flow ends within its margin, a minute by default.
    pub async fn stop(&self) {
        self.0.stopping.send_replace(true);
        self.0.stopping.closed().await;
    }
}

impl RunnerBuilder {
    /// Sets the maximum number of open flows. Defaults to 1,000.
    ///
    /// Beyond it a new call-out is [`Full`](Taken::Full).
    pub const fn with_max_open(mut self, max_open: NonZeroUsize) -> Self {
        self.max_open = max_open;
        self
    }

    /// Sets the maximum number of steps at a time, each a request to Graph or to the vendor. Defaults to 16.
    pub const fn with_workers(mut self, workers: NonZeroUsize) -> Self {
        self.workers = workers;
        self
    }

    /// Sets what is called with the ending of each flow, or with the error that left it without one. It must not block.
    pub fn with_observer(
        mut self,
        observer: impl Fn(FlowId, &Result<Ending, JournalError>) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Builds the runner.
    #[must_use]
    pub fn build(self) -> Runner {
        Runner(Arc::new(Inner {
            onboarding: self.onboarding,
            max_open: self.max_open.get(),
            permits: Semaphore::new(self.workers.get().min(Semaphore::MAX_PERMITS)),
            open: Mutex::default(),
            stopping: watch::Sender::new(false),
            observer: self.observer,
        }))
    }
}

#[async_trait]
impl Intake for Runner {
    async fn take(&self, callout: Callout) -> Result<Taken, JournalError> {
        can_wait()?;
        // In a task: a caller that goes away must not leave a flow behind that is stored and never runs.
        let taken = tokio::spawn(Arc::clone(&self.0).take(callout)).await;
        taken.unwrap_or_else(|_| Err(not_taken()))
    }
}

fn not_taken() -> JournalError {
    JournalError::new(JournalErrorKind::Unavailable, "the call-out was not taken")
}

/// The place of an open flow, given back on drop.
struct Place {
    inner: Arc<Inner>,
    flow: FlowId,
    is_taken: watch::Sender<bool>,
    stopping: watch::Receiver<bool>,
}

/// What becomes of a call-out that gets no place.
enum NoPlace {
    Full,
    Stopping,
    /// Its flow is open.
    Open(watch::Receiver<bool>),
}

impl Drop for Place {
    fn drop(&mut self) {
        self.inner.open().remove(&self.flow);
    }
}

impl Inner {
    fn open(&self) -> MutexGuard<'_, HashMap<FlowId, Open>> {
        // No code under the lock panics between two related changes.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(self: Arc<Self>, callout: Callout) -> Result<Taken, JournalError> {
        let journal = &self.onboarding.journal;
        let place = match self.place(callout.flow()) {
            Ok(place) => place,
            Err(NoPlace::Full) => {
                let entries = within(MAX_TAKE, journal.entries(&callout.flow())).await;
                let entries = entries.unwrap_or_else(journal_timeout)?;
                return Ok(Ending::of(&entries).map_or(Taken::Full, |_| Taken::Known));
            }
            Err(NoPlace::Stopping) => return Ok(Taken::Full),
            Err(NoPlace::Open(mut is_taken)) => {
                // It ends soon: the other call is bounded.
                let taken = is_taken.wait_for(|is_taken| *is_taken).await;
                return taken.map(|_| Taken::Known).map_err(|_| not_taken());
            }
        };
        let claim = within(MAX_TAKE, journal.claim(&callout)).await;
        let claim = match claim.unwrap_or_else(journal_timeout) {
            Ok(Some(claim)) => claim,
            // Another process runs it.
            Ok(None) => return Ok(Taken::Known),
            Err(error) if error.kind() == JournalErrorKind::Full => return Ok(Taken::Full),
            Err(error) => return Err(error),
        };
        let entries = within(MAX_TAKE, claim.entries()).await;
        let entries = entries.unwrap_or_else(journal_timeout)?;
        if Ending::of(&entries).is_some() {
            return Ok(Taken::Known);
        }
        let taken = if entries.records.is_empty() {
            Taken::New
        } else {
            Taken::Known
        };
        place.is_taken.send_replace(true);
        tokio::spawn(place.run(callout, claim));
        Ok(taken)
    }

    /// Returns the place of a new open flow, or what becomes of the call-out without one.
    fn place(self: &Arc<Self>, flow: FlowId) -> Result<Place, NoPlace> {
        let mut open = self.open();
        if let Some(open) = open.get(&flow) {
            return Err(NoPlace::Open(open.is_taken.clone()));
        }
        // Before the look at it: a stop waits for every receiver.
        let stopping = self.stopping.subscribe();
        if *stopping.borrow() {
            return Err(NoPlace::Stopping);
        }
        if open.len() >= self.max_open {
            return Err(NoPlace::Full);
        }
        let is_taken = watch::Sender::new(false);
        let place = Open {
            since: Instant::now(),
            is_taken: is_taken.subscribe(),
        };
        open.insert(flow, place);
        Ok(Place {
            inner: Arc::clone(self),
            flow,
            is_taken,
            stopping,
        })
    }
}

impl Place {
    async fn run(self, callout: Callout, claim: Box<dyn Claim>) {
        let Inner {
            onboarding,
            permits,
            observer,
            ..
        } = &*self.inner;
        let stopping = || {
            let mut stopping = self.stopping.clone();
            async move {
                // The sender lives as long as this.
                let _ = stopping.wait_for(|stopping| *stopping).await;
            }
        };
        let last = after(onboarding.closes(&callout), RERUN_AFTER_CLOSE);
        let (mut claim, mut pause) = (Some(claim), FIRST_RERUN_PAUSE);
        let ended = loop {
            let shutdown = pin!(stopping());
            let run = onboarding.run_with(callout.clone(), claim.take(), shutdown, Some(permits));
            match caught(run).await {
                Err(error) if self.may_rerun(&error, last) => {
                    tracing::warn!(flow = %self.flow, %error, "a flow failed without an ending; it is run again");
                    tokio::select! {
                        () = stopping() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(MAX_RERUN_PAUSE);
                }
                ended => break ended,
            }
        };
        if let Some(observer) = observer {
            observer(self.flow, &ended);
        }
    }

    /// Returns whether a flow continues in this process after an error.
    fn may_rerun(&self, error: &JournalError, last: DateTime<Utc>) -> bool {
        // A newer process runs what this one cannot read.
        error.kind() != JournalErrorKind::Unreadable
            && !*self.stopping.borrow()
            && self.inner.onboarding.clock.now() < last
    }
}

/// Runs a flow in which code of the program may panic, such as a guard: its caller was told that it will end.
async fn caught(
    run: impl Future<Output = Result<Ending, JournalError>>,
) -> Result<Ending, JournalError> {
    let mut run = pin!(run);
    // The run is dropped after a panic. The next one continues from the journal.
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context)));
        polled.unwrap_or_else(|_| {
            Poll::Ready(Err(JournalError::new(
                JournalErrorKind::Unavailable,
                "the flow panicked",
            )))
        })
    })
    .await
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("open", &self.open())
            .field("max_open", &self.0.max_open)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RunnerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnerBuilder")
            .field("max_open", &self.max_open)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}
