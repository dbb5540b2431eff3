//! Work that several callers wait for and none of them owns.

use std::{
    borrow::Cow,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
    task::AtomicWaker,
};
use postduif_core::{
    Departure, DepartureHandle, ErrorKind, Message, Outcomes, Receipt, SendError, SmsProvider,
    unwatched,
};
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};
use tracing::{Instrument as _, Span};

use crate::{
    dispatch::{lock, send_batch},
    scope::Scope,
};

pub(crate) type Outcome = Result<Receipt, SendError>;

/// What a call ended in. `None` where it was withdrawn: nothing of it has left, and nothing will, so that its
/// messages may begin anew.
pub(crate) type Ended<T> = Option<T>;

type Call = BoxFuture<'static, Ended<Arc<[Outcome]>>>;

/// A call that is shared. The runtime that it was spawned on drives it. Where that does not run, who waits withdraws
/// it, or drives it on where something of it has left.
#[derive(Clone)]
pub(crate) struct Work {
    call: Shared<Call>,
    run: Arc<Run>,
}

/// How a call is driven.
struct Run {
    departure: DepartureHandle,
    ended: Notify,
    is_begun: AtomicBool,
    /// How often its driver was polled.
    beats: AtomicU64,
    driver: AtomicWaker,
    /// Whether the runtime that drove it ended before it did.
    is_deserted: AtomicBool,
}

impl Run {
    /// Asks the driver to be polled, and returns how often it was before.
    fn ask(&self) -> u64 {
        let beats = self.beats();
        self.driver.wake();
        beats
    }

    fn beats(&self) -> u64 {
        self.beats.load(Ordering::SeqCst)
    }
}

/// How long a caller leaves the driving to the one that began the call, and how soon after that it asks whether
/// anybody drives it. If all drove it, each of its steps would wake all of them.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LAST_LOOKS: Duration = Duration::from_secs(16);

const RUNTIME_ENDED: &str = "the runtime that made the call ended before the answer";

impl Work {
    /// Prepares a call for these messages, as a part of the calls of `callers`; nothing happens before it is first
    /// polled. `then` hears the outcomes before anybody else, also where the call panics, and where nobody is left
    /// to drive it.
    pub(crate) fn new<P: SmsProvider>(
        inner: Arc<P>,
        messages: Vec<Message>,
        single: bool,
        callers: &[DepartureHandle],
        scope: Scope,
        span: Span,
        then: impl FnOnce(Ended<&[Outcome]>) + Send + 'static,
    ) -> Self {
        let departure = Departure::shared(callers);
        let run = Arc::new(Run {
            departure: departure.handle(),
            ended: Notify::new(),
            is_begun: AtomicBool::new(false),
            beats: AtomicU64::new(0),
            driver: AtomicWaker::new(),
            is_deserted: AtomicBool::new(false),
        });
        let mut ending = Ending {
            departure: Some(departure),
            provider: inner.profile().owned_name(),
            messages: messages.len(),
            then: Some(then),
            run: Arc::clone(&run),
        };
        let work = async move {
            let call = async {
                match messages.as_slice() {
                    [message] if single => Outcomes::one(inner.send(message).await),
                    messages => send_batch(&*inner, messages).await,
                }
            };
            let departure = ending.departure.get_or_insert_with(Departure::new);
            let call = departure.run_unless_closed(scope.around(call));
            let called = AssertUnwindSafe(call).catch_unwind().await;
            let ended: Ended<Vec<Outcome>> = match called {
                Ok(Ok(outcomes)) => {
                    if let Some(departure) = ending.departure.take() {
                        departure.end(&outcomes);
                    }
                    Some(outcomes.into_iter().collect())
                }
                Ok(Err(_)) => None,
                // The timers and connections of a runtime that ended panic, too.
                Err(_) if ending.run.is_deserted.load(Ordering::SeqCst) => {
                    Some(ending.failed(RUNTIME_ENDED))
                }
                Err(_) => Some(ending.failed("the provider panicked")),
            };
            ending.tell(ended.as_deref());
            ended.map(Arc::from)
        };
        Self {
            call: unwatched(work.instrument(span)).boxed().shared(),
            run,
        }
    }

    /// Has the current runtime drive it, where there is one, whether anybody waits or not. Returns whether nobody had
    /// begun it before.
    pub(crate) fn begin(&self) -> bool {
        let first = !self.run.is_begun.swap(true, Ordering::SeqCst);
        if first && let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn(Driver {
                call: Some(self.call.clone()),
                run: Arc::clone(&self.run),
            }));
        }
        first
    }

    /// Waits for the outcome of the message at this place. `None` where it does not come in time. The `first`
    /// caller, who is on the runtime that it was spawned on, drives the call from the start.
    pub(crate) async fn outcome(
        &self,
        place: usize,
        deadline: Instant,
        first: bool,
    ) -> Option<Ended<Outcome>> {
        let ended = match Handle::try_current() {
            Ok(_) => {
                if !first && self.call.peek().is_none() {
                    timeout_at(deadline, self.left_to_the_driver()).await.ok()?;
                }
                timeout_at(deadline, self.call.clone()).await.ok()?
            }
            // Without a runtime there is no clock, and whoever waits drives it to its end.
            Err(_) => self.call.clone().await,
        };
        match ended {
            Some(outcomes) => outcomes.get(place).cloned().map(Some),
            None => Some(None),
        }
    }

    /// Waits until the call has ended, or nobody drives it. It is withdrawn then, where nothing of it has left.
    async fn left_to_the_driver(&self) {
        let mut wait = FIRST_LOOK;
        loop {
            let ended = self.run.ended.notified();
            if self.call.peek().is_some() {
                return;
            }
            let beats = self.run.ask();
            if timeout(wait, ended).await.is_ok() {
                return;
            }
            if self.run.beats() == beats {
                let _ = self.run.departure.close_unless_left();
                return;
            }
            wait = (2 * wait).min(LAST_LOOKS);
        }
    }

    /// Returns the call for those who wait for its end and have no part in it.
    pub(crate) fn watched(&self) -> Watched {
        Watched {
            call: self.call.downgrade(),
            run: Arc::clone(&self.run),
            asked: Mutex::default(),
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.run, &other.run)
    }
}

/// A call that somebody keeps an eye on.
pub(crate) struct Watched {
    call: Option<WeakShared<Call>>,
    run: Arc<Run>,
    /// When its driver was last asked to be polled, and how often it had been by then.
    asked: Mutex<Option<(Instant, u64)>>,
}

impl Watched {
    /// Begins the call where none of its callers does, and withdraws it where nobody drives it any more and nothing of
    /// it has left.
    pub(crate) fn look(&self) {
        let now = Instant::now();
        let beats = {
            let mut asked = lock(&self.asked);
            match *asked {
                // It has time to be polled.
                Some((at, _)) if now.saturating_duration_since(at) < FIRST_LOOK => return,
                _ => asked.replace((now, self.run.ask())).map(|(_, beats)| beats),
            }
        };
        if beats != Some(self.run.beats()) {
            return;
        }
        let Some(call) = self.call.as_ref().and_then(WeakShared::upgrade) else {
            return;
        };
        let run = Arc::clone(&self.run);
        let is_begun = !Work {
            call: call.clone(),
            run,
        }
        .begin();
        if is_begun && self.run.departure.close_unless_left() {
            end(call);
        }
    }
}

/// Ends a call that was withdrawn, so that those who wait hear of it.
fn end(call: Shared<Call>) {
    let _ = call.now_or_never();
}

/// The task that drives a call. When its runtime ends, the call is withdrawn, where nothing of it has left; else those
/// who wait drive it on.
struct Driver {
    /// `None` once it has ended.
    call: Option<Shared<Call>>,
    run: Arc<Run>,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.run.driver.register(context.waker());
        self.run.beats.fetch_add(1, Ordering::SeqCst);
        let Some(call) = &mut self.call else {
            return Poll::Ready(());
        };
        if call.poll_unpin(context).is_pending() {
            return Poll::Pending;
        }
        self.call = None;
        Poll::Ready(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.run.is_deserted.store(true, Ordering::SeqCst);
            if self.run.departure.close_unless_left() {
                end(call);
            }
            self.run.ended.notify_waiters();
        }
    }
}

/// What becomes of a call however it ends.
struct Ending<F: FnOnce(Ended<&[Outcome]>)> {
    departure: Option<Departure>,
    provider: Cow<'static, str>,
    messages: usize,
    then: Option<F>,
    run: Arc<Run>,
}

impl<F: FnOnce(Ended<&[Outcome]>)> Ending<F> {
    fn tell(&mut self, outcomes: Ended<&[Outcome]>) {
        if let Some(then) = self.then.take() {
            then(outcomes);
            self.run.ended.notify_waiters();
        }
    }

    /// The outcomes of a call that broke off.
    fn failed(&self, message: &'static str) -> Vec<Outcome> {
        let nothing_left = self.departure.as_ref().is_none_or(Departure::close);
        let error = if nothing_left {
            SendError::not_accepted(ErrorKind::Unavailable, message)
        } else {
            SendError::unknown(ErrorKind::Unavailable, message)
        };
        vec![Err(error.with_provider(self.provider.clone())); self.messages]
    }
}

impl<F: FnOnce(Ended<&[Outcome]>)> Drop for Ending<F> {
    fn drop(&mut self) {
        if self.then.is_some() {
            let nothing_left = self.departure.as_ref().is_none_or(Departure::close);
            let outcomes = (!nothing_left).then(|| self.failed(RUNTIME_ENDED));
            self.tell(outcomes.as_deref());
        }
    }
}
