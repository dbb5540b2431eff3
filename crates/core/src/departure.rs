use std::{
    cell::RefCell,
    error::Error,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use crate::{Acceptance, Outcomes, Receipt, SendError};

/// Knows whether anything of a call has left yet, so that whoever cuts the call off can say so.
///
/// A deadline that drops a call normally leaves its message in doubt: nobody outside sees how far the call
/// was. Most of what a call waits for is harmless, though: a turn in a queue, a permit, a token, a
/// connection. Whoever waits for one of these says so with [`hold`]; the HTTP client says when the body of
/// a request begins to leave. A layer that cuts calls off does it with [`run_until`](Self::run_until).
///
/// A call that waits for anything else counts as having left, so a provider that knows nothing of this is never
/// called "not sent" by mistake. What a call does without ever waiting, such as a blocking request, is not seen.
///
/// ```
/// use std::{future::pending, time::Duration};
/// use postduif_core::{Acceptance, Departure, hold};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let call = async {
///     hold(pending::<()>()).await; // a queue that does not move
///     // the request would be made here
/// };
/// let deadline = tokio::time::sleep(Duration::from_secs(1));
/// let cut_off = Departure::new().run_until(deadline, call).await;
/// assert_eq!(cut_off, Err(Acceptance::NotAccepted), "nothing has left, and nothing will");
/// # }
/// ```
///
/// # Several calls
///
/// A departure made in the scope of another is a part of it: the outer one has left as soon as a part has,
/// until the part [ends](Self::end) with an outcome that takes it back. [`attempt`] does both. A part that
/// is dropped without an outcome can begin nothing any more.
pub struct Departure(DepartureHandle);

impl Departure {
    /// Creates a departure, as a part of the [current](DepartureHandle::current) one where there is one.
    #[must_use]
    pub fn new() -> Self {
        let parent = DepartureHandle::current();
        let created = DepartureHandle(Arc::new(Unit {
            state: Mutex::default(),
            closed: AtomicBool::new(false),
            parent: parent.as_ref().map(|parent| Arc::downgrade(&parent.0)),
        }));
        if let Some(parent) = parent {
            parent.0.state().parts.push(created.clone());
        }
        Self(created)
    }

    /// Runs a call as this departure's own until `cut` is ready, then drops it.
    ///
    /// # Errors
    ///
    /// The acceptance of a call that was cut off: not accepted where nothing of it had left, and now nothing
    /// will.
    pub async fn run_until<C, F>(&self, cut: C, call: F) -> Result<F::Output, Acceptance>
    where
        C: Future,
        F: Future,
    {
        let (mut cut, mut call) = (pin!(cut), pin!(self.scope(call)));
        poll_fn(|context| {
            if let Poll::Ready(output) = call.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            // Closed while the call is still there: once it is dropped, nobody knows what it waited for.
            cut.as_mut().poll(context).map(|_| {
                Err(if self.close() {
                    Acceptance::NotAccepted
                } else {
                    Acceptance::Unknown
                })
            })
        })
        .await
    }

    /// Runs a call as this departure's own.
    pub async fn scope<F: Future>(&self, call: F) -> F::Output {
        let mut call = pin!(call);
        poll_fn(|context| {
            let mut waiting = Waiting(Some(&self.0.0));
            let polled = {
                let _entered = Entered::into(Some(self.0.clone()));
                call.as_mut().poll(context)
            };
            if polled.is_ready() {
                waiting.0 = None;
            }
            polled
        })
        .await
    }

    /// Returns the handle by which the call says what becomes of it.
    #[must_use]
    pub fn handle(&self) -> DepartureHandle {
        self.0.clone()
    }

    /// Lets nothing begin any more, and returns whether nothing has left so far.
    ///
    /// `true` is a proof: nothing has left, and nothing will. Asked before the call is dropped, since a call
    /// that is gone cannot say what it was waiting for.
    #[must_use]
    pub fn close(&self) -> bool {
        // Before the state is read: a call that begins after that finds the door closed.
        self.0.0.closed.store(true, Ordering::SeqCst);
        !self.has_left()
    }

    /// Returns whether anything may have left.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.0.0.has_left()
    }

    /// Ends it with what became of the call: where nothing was accepted for certain, it no longer counts as
    /// having left; otherwise it does.
    pub fn end(self, outcome: &impl Proof) {
        let mut state = self.0.0.state();
        state.left = !outcome.proves_nothing_left();
        state.parts.clear();
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        // Closed first: what has not begun by now never will, so that the answer stays true.
        let nothing_left = self.close();
        if let Some(parent) = self.0.0.parent.as_ref().and_then(Weak::upgrade) {
            let mut state = parent.state();
            state.left |= !nothing_left;
            state.parts.retain(|part| !Arc::ptr_eq(&part.0, &self.0.0));
        }
    }
}

impl Default for Departure {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departure")
            .field("has_left", &self.has_left())
            .field("closed", &self.0.is_closed())
            .finish()
    }
}

/// A call's own view of its [`Departure`]: says when it leaves, and learns whether it still may.
#[derive(Clone)]
pub struct DepartureHandle(Arc<Unit>);

struct Unit {
    state: Mutex<State>,
    closed: AtomicBool,
    parent: Option<Weak<Self>>,
}

#[derive(Default)]
struct State {
    /// Something of it may have left: it began, a part did, or it waited without saying for what.
    left: bool,
    /// How many waits say that nothing leaves while they last.
    holds: usize,
    /// Those that are under way.
    parts: Vec<DepartureHandle>,
}

impl State {
    /// It waits, or panicked. Unless it, or a part of it, says for what it waits, the other side may have it by
    /// now.
    fn waits(&mut self) {
        if self.holds == 0 && self.parts.is_empty() {
            self.left = true;
        }
    }
}

/// A poll after which the call waits, or that panics.
struct Waiting<'a>(Option<&'a Unit>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(unit) = self.0 {
            unit.state().waits();
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<DepartureHandle>> = const { RefCell::new(None) };
}

impl DepartureHandle {
    /// Returns the departure of the call that is being polled, where somebody watches it.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Says that the call leaves now: right before the first byte that the other side could act on.
    ///
    /// # Errors
    ///
    /// Where it was [closed](Departure::close) before: it must not leave any more.
    pub fn begin(&self) -> Result<(), Closed> {
        let before = std::mem::replace(&mut self.0.state().left, true);
        // After the state is set: either this sees the closed door, or `close` sees the state.
        if self.is_closed() {
            self.0.state().left = before;
            return Err(Closed);
        }
        Ok(())
    }

    /// Returns whether the call was cut off, alone or with one that it is a part of. What has not begun by
    /// then must not begin.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl fmt::Debug for DepartureHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DepartureHandle")
            .field("has_left", &self.0.has_left())
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl Unit {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_left(&self) -> bool {
        let state = self.state();
        state.left || state.parts.iter().any(|part| part.0.has_left())
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
            || self.parent.as_ref().is_some_and(|parent| {
                // One that is gone was closed when it was dropped.
                parent.upgrade().is_none_or(|parent| parent.is_closed())
            })
    }
}

/// The call was cut off before it left, and must not leave any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call was cut off before anything of it left")
    }
}

impl Error for Closed {}

/// An outcome that may prove that nothing of its call was accepted. Implemented for the outcome of one
/// message and of a batch, and for nothing else.
pub trait Proof: sealed::Sealed {
    /// Returns whether the outcome proves it for every message of the call.
    fn proves_nothing_left(&self) -> bool;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::Outcomes {}
    impl Sealed for Result<crate::Receipt, crate::SendError> {}
}

impl Proof for Result<Receipt, SendError> {
    fn proves_nothing_left(&self) -> bool {
        matches!(self, Err(error) if error.acceptance() == Acceptance::NotAccepted)
    }
}

impl Proof for Outcomes {
    fn proves_nothing_left(&self) -> bool {
        // An outcome that is missing proves nothing, and here that shows only where all are.
        !self.is_empty() && self.iter().all(Proof::proves_nothing_left)
    }
}

/// Waits for something that comes before a request is made: a turn, a permit, a token, a pause.
///
/// While it waits, nothing of the current call has left, as far as this wait knows. So nothing that sends may
/// run beside it in the same call, joined or selected: make that an [`attempt`] of its own. Outside of any
/// [`Departure`] it only waits.
pub async fn hold<F: Future>(wait: F) -> F::Output {
    let _holding = DepartureHandle::current().map(Holding::new);
    wait.await
}

struct Holding(DepartureHandle);

impl Holding {
    fn new(departure: DepartureHandle) -> Self {
        departure.0.state().holds += 1;
        Self(departure)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.0.state().holds -= 1;
    }
}

/// Makes one of several calls, as a part of the current one: a try, a piece of a batch, a member's turn.
///
/// The part counts as having left, as any call does, until its outcome proves that it was not accepted.
pub async fn attempt<F>(call: F) -> F::Output
where
    F: Future<Output: Proof>,
{
    if DepartureHandle::current().is_none() {
        return call.await;
    }
    let part = Departure::new();
    let outcome = part.scope(call).await;
    part.end(&outcome);
    outcome
}

/// Runs work that several calls share, which is therefore no part of the one that happens to poll it.
pub async fn unwatched<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|context| {
        let _entered = Entered::into(None);
        work.as_mut().poll(context)
    })
    .await
}

/// Puts back what was current before, also where the call panics.
struct Entered(Option<DepartureHandle>);

impl Entered {
    fn into(departure: Option<DepartureHandle>) -> Self {
        Self(CURRENT.replace(departure))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        task::{Context, Waker},
    };

    use futures_executor::block_on;

    use super::*;
    use crate::{ErrorKind, Reference};

    fn refused() -> Result<Receipt, SendError> {
        Err(SendError::not_accepted(ErrorKind::Throttled, "no"))
    }

    fn unsure() -> Result<Receipt, SendError> {
        Err(SendError::unknown(ErrorKind::Timeout, "no answer"))
    }

    fn accepted() -> Result<Receipt, SendError> {
        Ok(Receipt::new("kpn", Reference::random()))
    }

    /// Whether a call that is cut off where it first waits had certainly not left.
    fn cut_off<T>(call: impl Future<Output = T>) -> bool {
        let cut = block_on(Departure::new().run_until(ready(()), call));
        match cut {
            Ok(_) => panic!("the call was to wait"),
            Err(acceptance) => acceptance == Acceptance::NotAccepted,
        }
    }

    #[test]
    fn a_call_that_says_nothing_has_left() {
        assert!(!cut_off(pending::<()>()));
    }

    #[test]
    fn a_call_that_holds_has_not_left() {
        assert!(cut_off(hold(pending::<()>())));
    }

    #[test]
    fn what_follows_a_hold_has_left_again() {
        assert!(!cut_off(async {
            hold(ready(())).await;
            pending::<()>().await;
        }));
    }

    #[test]
    fn a_call_that_waited_without_a_hold_is_not_held_back_by_a_later_one() {
        let departure = Departure::new();
        let mut call = pin!(departure.scope(async {
            poll_fn(yield_once()).await; // a request that nobody told of
            hold(pending::<()>()).await;
        }));
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert!(!departure.close());
    }

    /// Pending at the first poll.
    fn yield_once() -> impl FnMut(&mut Context<'_>) -> Poll<()> {
        let mut polled = false;
        move |_| {
            if std::mem::replace(&mut polled, true) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }
    }

    #[test]
    fn a_hold_that_was_dropped_holds_nothing() {
        assert!(!cut_off(async {
            {
                let mut held = pin!(hold(pending::<()>()));
                poll_fn(|context| {
                    assert!(held.as_mut().poll(context).is_pending());
                    Poll::Ready(())
                })
                .await;
            }
            pending::<()>().await;
        }));
    }

    #[test]
    fn a_hold_inside_of_a_hold_ends_by_itself_only() {
        assert!(cut_off(hold(async {
            hold(ready(())).await;
            pending::<()>().await;
        })));
        assert!(cut_off(async {
            futures_util::future::join(hold(ready(())), hold(pending::<()>())).await;
        }));
    }

    #[test]
    fn a_part_begins_nothing_once_the_whole_is_gone() {
        let departure = Departure::new();
        let part = block_on(departure.scope(async { Departure::new() }));
        assert!(departure.close());
        drop(departure);
        assert_eq!(part.handle().begin(), Err(Closed));
    }

    #[test]
    fn no_outcome_at_all_proves_nothing() {
        assert!(!Outcomes::in_doubt(&[]).proves_nothing_left());
    }

    #[test]
    fn a_request_that_began_is_not_held_back_by_a_later_hold() {
        assert!(!cut_off(async {
            DepartureHandle::current().unwrap().begin().unwrap();
            hold(pending::<()>()).await;
        }));
    }

    #[test]
    fn nothing_begins_once_it_was_closed() {
        let departure = Departure::new();
        let part = block_on(departure.scope(async { Departure::new() }));
        let _holding = Holding::new(part.handle());
        assert!(departure.close());
        assert_eq!(part.handle().begin(), Err(Closed));
        assert!(!departure.has_left());
    }

    #[test]
    fn a_refusal_takes_back_what_left_inside_of_it() {
        let nothing_left = cut_off(async {
            let _ = attempt(attempt(async {
                DepartureHandle::current().unwrap().begin().unwrap();
                refused()
            }))
            .await;
            hold(pending::<()>()).await;
        });
        assert!(nothing_left);
    }

    #[test]
    fn a_part_that_was_dropped_begins_nothing() {
        let departure = Departure::new();
        let part = block_on(departure.scope(async { Departure::new() }));
        let handle = part.handle();
        drop(part);
        assert_eq!(handle.begin(), Err(Closed));
    }

    #[test]
    fn a_part_that_left_and_was_dropped_still_counts() {
        let nothing_left = cut_off(async {
            let part = Departure::new();
            part.handle().begin().unwrap();
            drop(part);
            hold(pending::<()>()).await;
        });
        assert!(!nothing_left);
    }

    #[test]
    fn a_refused_try_is_taken_back_and_a_doubt_is_not() {
        for (outcome, expected) in [(refused(), true), (unsure(), false), (accepted(), false)] {
            let nothing_left = cut_off(async {
                let _ = attempt(ready(outcome)).await;
                hold(pending::<()>()).await;
            });
            assert_eq!(nothing_left, expected);
        }
    }

    #[test]
    fn a_part_that_left_speaks_for_the_whole() {
        let nothing_left = cut_off(async {
            let _ = futures_util::future::join(
                attempt(hold(pending::<Result<Receipt, SendError>>())),
                attempt(pending::<Result<Receipt, SendError>>()),
            )
            .await;
        });
        assert!(!nothing_left);
    }

    #[test]
    fn parts_that_all_hold_hold_the_whole() {
        let nothing_left = cut_off(async {
            let _ = futures_util::future::join(
                attempt(hold(pending::<Result<Receipt, SendError>>())),
                attempt(hold(pending::<Result<Receipt, SendError>>())),
            )
            .await;
        });
        assert!(nothing_left);
    }

    #[test]
    fn shared_work_is_no_part_of_who_polls_it() {
        let nothing_left = cut_off(hold(unwatched(async {
            assert!(DepartureHandle::current().is_none());
            pending::<()>().await;
        })));
        assert!(nothing_left);
        assert!(DepartureHandle::current().is_none());
    }
}
