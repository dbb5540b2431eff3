use std::{
    cell::RefCell,
    error::Error,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
};

use crate::{Acceptance, Outcomes, Receipt, SendError};

/// Knows whether anything of a call has left yet, so that whoever cuts the call off can say so.
///
/// A deadline that drops a call normally leaves its message in doubt: nobody outside sees how far the call
/// was. Most of what a call waits for is harmless, though: a turn in a queue, a permit, a token, a
/// connection. Whoever waits for one of these says so with [`hold`]; the HTTP client says when the body of
/// a request begins to leave. A layer that cuts a call off runs it under a `Departure` and asks
/// [`close`](Self::close).
///
/// A call that never says anything counts as having left from its start, so a provider that knows nothing
/// of this is never called "not sent" by mistake.
///
/// ```
/// use std::{future::pending, time::Duration};
/// use postduif_core::{Departure, hold};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let departure = Departure::new();
/// let call = departure.scope(async {
///     hold(pending::<()>()).await; // a queue that does not move
///     // the request would be made here
/// });
/// assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
/// assert!(departure.close(), "nothing has left, and now nothing will");
/// # }
/// ```
///
/// # Several calls
///
/// A departure made inside the scope of another is part of it: the outer one counts as having left as soon
/// as a part has, until [`end`](Self::end) takes the part back. [`attempt`] does both for a call whose
/// outcome is known.
#[derive(Clone)]
pub struct Departure(Arc<Unit>);

struct Unit {
    state: AtomicU8,
    /// How many units, this one and its parts, may have left.
    out: AtomicUsize,
    closed: AtomicBool,
    parent: Option<Departure>,
}

/// It has said nothing, so it counts as having left.
const SILENT: u8 = 0;
/// It says that nothing has left.
const HELD: u8 = 1;
/// Its parts say what has left.
const DIVIDED: u8 = 2;
/// It has left.
const LEFT: u8 = 3;
/// Its outcome proves that the other side did not take it.
const RETURNED: u8 = 4;

const fn counts(state: u8) -> bool {
    matches!(state, SILENT | LEFT)
}

thread_local! {
    static CURRENT: RefCell<Option<Departure>> = const { RefCell::new(None) };
}

impl Departure {
    /// Creates a departure, as a part of the [current](Self::current) one where there is one.
    #[must_use]
    pub fn new() -> Self {
        let parent = Self::current();
        if let Some(parent) = &parent {
            parent.divide();
        }
        let created = Self(Arc::new(Unit {
            state: AtomicU8::new(SILENT),
            out: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            parent,
        }));
        created.add();
        created
    }

    /// Returns the departure of the call that is being polled, where somebody watches it.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Runs a call as this departure's own.
    pub async fn scope<F: Future>(&self, call: F) -> F::Output {
        enter(Some(self.clone()), call).await
    }

    /// Says that it leaves now: called right before the first byte that the other side could act on.
    ///
    /// # Errors
    ///
    /// Where it was [closed](Self::close) before: it must not leave any more.
    pub fn begin(&self) -> Result<(), Closed> {
        self.change(|_| Some(LEFT));
        // After the count went up: either this sees the door closed, or `close` sees the count.
        if self.is_closed() {
            return Err(Closed);
        }
        Ok(())
    }

    /// Lets nothing begin any more, and returns whether nothing has left so far.
    ///
    /// `true` is a proof: nothing has left, and nothing will.
    #[must_use]
    pub fn close(&self) -> bool {
        self.0.closed.store(true, Ordering::SeqCst);
        !self.has_left()
    }

    /// Returns whether anything may have left.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.0.out.load(Ordering::SeqCst) > 0
    }

    /// Returns whether this departure, or one that it is a part of, was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.line().any(|unit| unit.0.closed.load(Ordering::SeqCst))
    }

    /// Ends it with what became of the call. Where nothing was accepted for certain, it no longer counts as
    /// having left.
    pub fn end(&self, outcome: &impl Proof) {
        if outcome.proves_nothing_left() {
            self.change(|_| Some(RETURNED));
        }
    }

    /// Says that nothing has left, until [`release`](Self::release) or [`begin`](Self::begin).
    fn hold(&self) {
        self.change(|state| (state == SILENT).then_some(HELD));
    }

    fn release(&self) {
        self.change(|state| (state == HELD).then_some(SILENT));
    }

    fn divide(&self) {
        self.change(|state| matches!(state, SILENT | HELD).then_some(DIVIDED));
    }

    fn change(&self, next: impl Fn(u8) -> Option<u8>) {
        let changed = self
            .0
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, &next);
        let Ok(before) = changed else { return };
        let after = next(before).unwrap_or(before);
        match (counts(before), counts(after)) {
            (false, true) => self.add(),
            (true, false) => {
                for unit in self.line() {
                    unit.0.out.fetch_sub(1, Ordering::SeqCst);
                }
            }
            _ => {}
        }
    }

    fn add(&self) {
        for unit in self.line() {
            unit.0.out.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// This departure, and all that it is a part of.
    fn line(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |unit| unit.0.parent.as_ref())
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
            .field("closed", &self.is_closed())
            .finish()
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
        self.iter().all(Proof::proves_nothing_left)
    }
}

/// Waits for something that comes before a request is made: a turn, a permit, a token, a pause.
///
/// While it waits, nothing of the current call has left, as far as this wait knows. Outside of any
/// [`Departure`] it only waits.
pub async fn hold<F: Future>(wait: F) -> F::Output {
    let Some(departure) = Departure::current() else {
        return wait.await;
    };
    departure.hold();
    let output = wait.await;
    departure.release();
    output
}

/// Makes one of several calls, as a part of the current one: a try, a piece of a batch, a member's turn.
///
/// The part counts as having left, as any call does, until its outcome proves that it was not accepted.
pub async fn attempt<F>(call: F) -> F::Output
where
    F: Future<Output: Proof>,
{
    if Departure::current().is_none() {
        return call.await;
    }
    let part = Departure::new();
    let outcome = part.scope(call).await;
    part.end(&outcome);
    outcome
}

/// Runs work that several calls share, which is therefore no part of the one that happens to poll it.
pub async fn unwatched<F: Future>(work: F) -> F::Output {
    enter(None, work).await
}

async fn enter<F: Future>(departure: Option<Departure>, call: F) -> F::Output {
    let mut call = pin!(call);
    poll_fn(|context| {
        let _entered = Entered(CURRENT.replace(departure.clone()));
        call.as_mut().poll(context)
    })
    .await
}

/// Puts back what was current before, also where the call panics.
struct Entered(Option<Departure>);

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

    /// Polls a call once under a departure, and drops it where it waits.
    fn cut_off<T>(call: impl Future<Output = T>) -> Departure {
        let departure = Departure::new();
        let call = departure.scope(call);
        assert!(
            pin!(call)
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        departure
    }

    #[test]
    fn a_call_that_says_nothing_has_left() {
        assert!(!cut_off(pending::<()>()).close());
    }

    #[test]
    fn a_call_that_holds_has_not_left() {
        assert!(cut_off(hold(pending::<()>())).close());
    }

    #[test]
    fn what_follows_a_hold_has_left_again() {
        assert!(
            !cut_off(async {
                hold(ready(())).await;
                pending::<()>().await;
            })
            .close()
        );
    }

    #[test]
    fn a_request_that_began_is_not_held_back_by_a_later_hold() {
        assert!(
            !cut_off(async {
                Departure::current().unwrap().begin().unwrap();
                hold(pending::<()>()).await;
            })
            .close()
        );
    }

    #[test]
    fn nothing_begins_once_it_was_closed() {
        let departure = Departure::new();
        let part = block_on(departure.scope(async { Departure::new() }));
        part.hold();
        assert!(departure.close());
        assert_eq!(part.begin(), Err(Closed));
    }

    #[test]
    fn a_refused_try_is_taken_back_and_a_doubt_is_not() {
        for (outcome, nothing_left) in [(refused(), true), (unsure(), false), (accepted(), false)] {
            let departure = cut_off(async {
                let _ = attempt(ready(outcome)).await;
                hold(pending::<()>()).await;
            });
            assert_eq!(departure.close(), nothing_left);
        }
    }

    #[test]
    fn a_part_that_left_speaks_for_the_whole() {
        let departure = cut_off(async {
            let _ = futures_util::future::join(
                attempt(hold(pending::<Result<Receipt, SendError>>())),
                attempt(pending::<Result<Receipt, SendError>>()),
            )
            .await;
        });
        assert!(!departure.close());
    }

    #[test]
    fn parts_that_all_hold_hold_the_whole() {
        let departure = cut_off(async {
            let _ = futures_util::future::join(
                attempt(hold(pending::<Result<Receipt, SendError>>())),
                attempt(hold(pending::<Result<Receipt, SendError>>())),
            )
            .await;
        });
        assert!(departure.close());
    }

    #[test]
    fn shared_work_is_no_part_of_who_polls_it() {
        let departure = cut_off(hold(unwatched(async {
            assert!(Departure::current().is_none());
            pending::<()>().await;
        })));
        assert!(departure.close());
        assert!(Departure::current().is_none());
    }
}
