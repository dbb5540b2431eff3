//! Calls that several callers wait for and none of them owns.

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
    ErrorKind, Message, Outcomes, Receipt, SendError, SmsProvider,
    departure::{Departure, DepartureHandle, unwatched},
};
use tokio::{runtime::Handle, sync::Notify, time::Instant};
use tracing::{Instrument as _, Span};

use crate::{
    clock::{has_timer, timeout_at},
    dispatch::{later, lock, send_batch},
    scope::Scope,
};

pub(crate) type Outcome = Result<Receipt, SendError>;

/// The result of a call, or `None` if it was withdrawn: nothing of it has left or will, so its messages may begin anew.
pub(crate) type Ended<T> = Option<T>;

type Call = BoxFuture<'static, Ended<Arc<[Outcome]>>>;

/// A shared call. The runtime that it was spawned on drives it. If that stalls, a waiting caller withdraws the call, or
/// drives it to its end if something of it has left.
#[derive(Clone)]
pub(crate) struct Work {
    call: Shared<Call>,
    run: Arc<Run>,
}

/// The state of a call's driver.
struct Run {
    departure: DepartureHandle,
    ended: Notify,
    is_begun: AtomicBool,
    /// The number of polls of its driver.
    beats: AtomicU64,
    driver: AtomicWaker,
    /// Whether the runtime that drove it ended before it did.
    is_deserted: AtomicBool,
}

impl Run {
    /// Wakes the driver, and returns the number of its polls so far.
    fn wake(&self) -> u64 {
        let beats = self.beats();
        self.driver.wake();
        beats
    }

    fn beats(&self) -> u64 {
        self.beats.load(Ordering::SeqCst)
    }
}

/// How long a caller leaves the call to its driver before it first checks that the driver is polled, and the longest
/// interval of later checks. If all callers drove the call, each of its steps would wake all of them.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LAST_LOOKS: Duration = Duration::from_secs(16);

const RUNTIME_ENDED: &str = "the runtime that made the call ended before the response";

impl Work {
    /// Prepares a call for these messages, as a part of the calls of `callers`. Nothing happens before it is first
    /// polled. `then` gets the outcomes before any caller, even if the call panics or is never driven to its end.
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
            ending.finish(ended.as_deref());
            ended.map(Arc::from)
        };
        Self {
            call: unwatched(work.instrument(span)).boxed().shared(),
            run,
        }
    }

    /// Spawns the driver on the current runtime, if there is one, so that the call continues without its callers.
    /// Returns whether this began the call.
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

    /// Ends the call, unless something of it has left. Returns whether it did.
    pub(crate) fn withdraw(&self) -> bool {
        let nothing_left = self.run.departure.close_unless_left();
        if nothing_left {
            end(self.call.clone());
        }
        nothing_left
    }

    /// Waits for the outcome of the message at this index, and returns `None` if it does not come in time. The `first`
    /// caller, on whose runtime the call was spawned, drives it from the start.
    pub(crate) async fn outcome(
        &self,
        index: usize,
        deadline: Instant,
        first: bool,
    ) -> Option<Ended<Outcome>> {
        let ended = if has_timer() {
            if !first && self.call.peek().is_none() {
                timeout_at(deadline, self.left_to_the_driver()).await.ok()?;
            }
            timeout_at(deadline, self.call.clone()).await.ok()?
        } else {
            // It cannot wait for a time, so this caller drives it to its end.
            self.call.clone().await
        };
        match ended {
            Some(outcomes) => outcomes.get(index).cloned().map(Some),
            None => Some(None),
        }
    }

    /// Waits until the call has ended or its driver has stalled. A stalled call of which nothing has left is withdrawn.
    async fn left_to_the_driver(&self) {
        let mut wait = FIRST_LOOK;
        loop {
            let ended = self.run.ended.notified();
            if self.call.peek().is_some() {
                return;
            }
            let beats = self.run.wake();
            let until = later(Instant::now(), wait);
            if timeout_at(until, ended).await.is_ok() {
                return;
            }
            if self.run.beats() == beats {
                let _ = self.run.departure.close_unless_left();
                return;
            }
            wait = (2 * wait).min(LAST_LOOKS);
        }
    }

    /// Returns the call for an observer without a part in it.
    pub(crate) fn watched(&self) -> Watched {
        Watched {
            call: self.call.downgrade(),
            run: Arc::clone(&self.run),
            woken: Mutex::default(),
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.run, &other.run)
    }
}

/// A call seen by an observer, which does not keep it alive.
pub(crate) struct Watched {
    call: Option<WeakShared<Call>>,
    run: Arc<Run>,
    /// When its driver was last woken, and the number of its polls before that.
    woken: Mutex<Option<(Instant, u64)>>,
}

impl Watched {
    /// Begins the call if none of its callers has, and withdraws it if its driver has stalled and nothing of it has
    /// left.
    pub(crate) fn look(&self) {
        let now = Instant::now();
        let beats = {
            let mut woken = lock(&self.woken);
            match *woken {
                // The driver still has time to be polled.
                Some((at, _)) if now.saturating_duration_since(at) < FIRST_LOOK => return,
                _ => woken
                    .replace((now, self.run.wake()))
                    .map(|(_, beats)| beats),
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

/// Ends a withdrawn call, so that its callers are notified.
fn end(call: Shared<Call>) {
    let _ = call.now_or_never();
}

/// The task that drives a call. When its runtime ends, the call is withdrawn if nothing of it has left. Otherwise the
/// waiting callers drive it to its end.
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

/// The end of a call, whether it returns, panics or is dropped.
struct Ending<F: FnOnce(Ended<&[Outcome]>)> {
    departure: Option<Departure>,
    provider: Cow<'static, str>,
    messages: usize,
    then: Option<F>,
    run: Arc<Run>,
}

impl<F: FnOnce(Ended<&[Outcome]>)> Ending<F> {
    fn finish(&mut self, outcomes: Ended<&[Outcome]>) {
        if let Some(then) = self.then.take() {
            then(outcomes);
            self.run.ended.notify_waiters();
        }
    }

    /// Returns the outcomes of a call that ended without any.
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
            self.finish(outcomes.as_deref());
        }
    }
}
