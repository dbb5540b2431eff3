//! Cutting calls off: whether anything of a call has left, and which waits are harmless.
//!
//! A layer with a deadline uses [`Departure`]. A provider or a layer that waits before anything leaves uses [`hold`].

use std::{
    cell::RefCell,
    error::Error,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    slice,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use crate::{Acceptance, Outcomes, Receipt, SendError};

/// A record of whether anything of a call has left, for a layer that cuts calls off.
///
/// A deadline that drops a call normally leaves its message in doubt, since its progress is not visible from outside.
/// Most waits of a call are harmless, though: for a turn in a queue, a permit, a token or a connection. Code that
/// waits for one of these declares it with [`hold`], and the HTTP client declares when a request body begins to leave.
///
/// A layer cuts a call off with [`run_until`](Self::run_until). A wait in [`hold_until_closed`] then ends, even if
/// another part of the call continues.
///
/// A call that waits for anything else counts as having left, so a provider that does not use this type is never
/// reported as "not sent" by mistake. Work without any wait, such as a blocking request, is not noticed.
///
/// ```
/// # use postduif_core as postduif;
/// use std::{future::pending, time::Duration};
/// use postduif::{Acceptance, departure::{Departure, hold}};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let call = async {
///     hold(pending::<()>()).await; // a queue that does not move
///     // the request would be made here
/// };
/// let deadline = tokio::time::sleep(Duration::from_secs(1));
/// let cut_off = Departure::new().run_until(deadline, call).await;
/// assert_eq!(cut_off, Err(Acceptance::NotAccepted), "nothing has left, and nothing can any more");
/// # }
/// ```
///
/// # Several calls
///
/// A departure created in the scope of another is a part of it. The outer one has left as soon as a part has, until
/// the part [ends](Self::end) with an outcome that proves otherwise. [`attempt`] does both. A part that is dropped
/// without an outcome can begin nothing any more. Work that several calls share is a part of each of them: see
/// [`shared`](Self::shared).
pub struct Departure(DepartureHandle);

impl Departure {
    /// Creates a departure, as a part of the [current](DepartureHandle::current) one if there is one.
    #[must_use]
    pub fn new() -> Self {
        match DepartureHandle::current() {
            Some(parent) => {
                let created = Unit::part_of(Whole::Call(Arc::downgrade(&parent.0)));
                parent.0.state().parts.push(created.clone());
                Self(created)
            }
            None => Self(Unit::part_of(Whole::Nothing)),
        }
    }

    /// Creates the departure of work that these calls share, as a part of each of them and of no other.
    ///
    /// Once something of the work leaves, all the calls have left. The work is closed as soon as one of the calls is,
    /// unless something of it has left by then. Run it with [`run_unless_closed`](Self::run_unless_closed); the calls
    /// [`hold`] while they wait for it.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::departure::{Departure, DepartureHandle};
    ///
    /// let (one, other) = (Departure::new(), Departure::new());
    /// let work = Departure::shared(&[one.handle(), other.handle()]);
    /// assert!(one.close(), "nothing has left");
    /// assert!(work.handle().begin().is_err(), "and nothing can any more");
    /// assert!(!other.handle().is_closed());
    /// ```
    #[must_use]
    pub fn shared(calls: &[DepartureHandle]) -> Self {
        let whole = calls.iter().map(|call| Arc::downgrade(&call.0)).collect();
        let created = Unit::part_of(Whole::Calls(whole));
        for call in calls {
            call.0.state().parts.push(created.clone());
        }
        // Only now that it is a part of them: a later close finds it.
        created.0.follow_callers();
        Self(created)
    }

    /// Runs a call in this departure's scope until `cut` is ready, then drops it.
    ///
    /// # Errors
    ///
    /// Returns the acceptance of a call that was cut off: not accepted if nothing of it had left.
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
            // Closed before the call is dropped: afterwards it is unknown what the call waited for.
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

    /// Runs a call in this departure's scope.
    pub async fn scope<F: Future>(&self, call: F) -> F::Output {
        let mut call = pin!(call);
        poll_fn(|context| Polling::of(&self.0.0).poll(&self.0, call.as_mut(), context)).await
    }

    /// Runs a call in this departure's scope, unless it is closed before anything of the call has left.
    ///
    /// A call of which something has left continues to its end.
    ///
    /// # Errors
    ///
    /// Returns an error if the departure was closed first: nothing has left, and nothing can any more.
    pub async fn run_unless_closed<F: Future>(&self, call: F) -> Result<F::Output, Closed> {
        let unit = &*self.0.0;
        let (mut call, mut closed) = (pin!(call), pin!(self.0.closed()));
        let mut is_closed = false;
        poll_fn(|context| {
            {
                let mut polling = Polling::of(unit);
                // After the poll is recorded: either this sees that it is closed, or `close` sees the poll.
                if unit.is_closed() && !unit.state().left() {
                    polling.after = After::Untouched;
                    return Poll::Ready(Err(Closed));
                }
                if let Poll::Ready(output) = polling.poll(&self.0, call.as_mut(), context) {
                    return Poll::Ready(Ok(output));
                }
            }
            is_closed = is_closed || closed.as_mut().poll(context).is_ready();
            if is_closed && !unit.has_left() {
                Poll::Ready(Err(Closed))
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// Returns the handle with which the call declares that it leaves.
    #[must_use]
    pub fn handle(&self) -> DepartureHandle {
        self.0.clone()
    }

    /// Closes the departure, so that nothing can begin any more, and returns whether nothing has left.
    ///
    /// `true` proves that nothing has left and nothing can. Close it before the call is dropped, since afterwards
    /// it is unknown what the call waited for.
    #[must_use]
    pub fn close(&self) -> bool {
        self.0.0.close();
        !self.has_left()
    }

    /// Returns whether anything may have left.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.0.0.has_left()
    }

    /// Ends the departure with the outcome of the call. If that proves that nothing was accepted, the call no longer
    /// counts as having left; otherwise it does.
    pub fn end(self, outcome: &impl Proof) {
        let mut state = self.0.0.state();
        state.left = !outcome.proves_nothing_left();
        if !state.parts.is_empty() {
            drop(state);
            // Wakes the waits in parts that are still under way.
            self.0.0.close();
            self.0.0.state().parts.clear();
        }
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        // Closed first, so that nothing begins after the result is known.
        let nothing_left = self.close();
        for parent in self.0.0.whole.calls().iter().filter_map(Weak::upgrade) {
            let mut state = parent.state();
            state.left |= !nothing_left;
            state.parts.remove(&self.0.0);
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

/// A call's handle to its [`Departure`], which declares that the call leaves and shows whether it still may.
#[derive(Clone)]
pub struct DepartureHandle(Arc<Unit>);

struct Unit {
    state: Mutex<State>,
    closed: AtomicBool,
    whole: Whole,
}

/// What a departure is a part of.
enum Whole {
    Nothing,
    Call(Weak<Unit>),
    /// Calls that share its work.
    Calls(Box<[Weak<Unit>]>),
}

impl Whole {
    fn calls(&self) -> &[Weak<Unit>] {
        match self {
            Self::Nothing => &[],
            Self::Call(call) => slice::from_ref(call),
            Self::Calls(calls) => calls,
        }
    }
}

#[derive(Default)]
struct State {
    /// Something of it may have left: it began, a part did, or it waited outside of a hold.
    left: bool,
    /// The number of holds, during which nothing leaves.
    holds: usize,
    parts: Parts,
    /// It is shared work that is being polled: its callers cannot see how far it is.
    polled: bool,
    /// The wakers of the futures that wait for it to be closed.
    waiting: Vec<(u64, Waker)>,
    /// The number of the next waker.
    next: u64,
}

/// The parts that are under way. There is rarely more than one, and one needs no allocation.
#[derive(Default)]
struct Parts {
    first: Option<DepartureHandle>,
    others: Vec<DepartureHandle>,
}

impl Parts {
    fn push(&mut self, part: DepartureHandle) {
        if self.first.is_none() {
            self.first = Some(part);
        } else {
            self.others.push(part);
        }
    }

    fn remove(&mut self, unit: &Arc<Unit>) {
        if matches!(&self.first, Some(part) if Arc::ptr_eq(&part.0, unit)) {
            self.first = None;
        } else {
            self.others.retain(|part| !Arc::ptr_eq(&part.0, unit));
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = &DepartureHandle> {
        self.first.iter().chain(&self.others)
    }
}

impl State {
    fn left(&self) -> bool {
        self.left || self.parts.iter().any(|part| part.0.has_left())
    }

    /// Records that the call waits, or panicked. Outside of a hold, the other side may have the request by now.
    fn waits(&mut self) {
        if self.holds == 0 && self.parts.is_empty() {
            self.left = true;
        }
    }
}

/// A poll of a call.
struct Polling<'a> {
    unit: &'a Unit,
    after: After,
}

/// The state after a poll.
#[derive(Clone, Copy)]
enum After {
    /// The call waits, or panicked.
    Waits,
    Ready,
    Untouched,
}

impl<'a> Polling<'a> {
    fn of(unit: &'a Unit) -> Self {
        if unit.is_shared() {
            unit.state().polled = true;
        }
        Self {
            unit,
            after: After::Waits,
        }
    }

    fn poll<F: Future>(
        mut self,
        departure: &DepartureHandle,
        call: Pin<&mut F>,
        context: &mut Context<'_>,
    ) -> Poll<F::Output> {
        let _entered = Entered::into(Some(departure.clone()));
        let polled = call.poll(context);
        if polled.is_ready() {
            self.after = After::Ready;
        }
        polled
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        let shared = self.unit.is_shared();
        if !shared && !matches!(self.after, After::Waits) {
            return;
        }
        {
            let mut state = self.unit.state();
            state.polled = false;
            match self.after {
                After::Waits => state.waits(),
                // Its callers may ask before its outcome proves otherwise.
                After::Ready => state.left = true,
                After::Untouched => {}
            }
        }
        if shared {
            self.unit.follow_callers();
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<DepartureHandle>> = const { RefCell::new(None) };
}

impl DepartureHandle {
    /// Returns the departure of the call that is being polled, or `None` outside of any.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Declares that the call leaves now. Call it right before the first byte that the other side could act on.
    ///
    /// # Errors
    ///
    /// Returns an error if the departure is [closed](Departure::close): the call must not leave any more.
    pub fn begin(&self) -> Result<(), Closed> {
        let before = std::mem::replace(&mut self.0.state().left, true);
        // After the state is set: either this sees that it is closed, or `close` sees the state.
        if self.is_closed() {
            self.0.state().left = before;
            return Err(Closed);
        }
        Ok(())
    }

    /// Returns whether the departure, or one that it is a part of, is closed. What has not begun then must not begin.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits until the departure, or one that it is a part of, is closed.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        UntilClosed {
            departure: self.clone(),
            number: None,
        }
    }

    /// Closes the departure unless something has left, and returns whether nothing has left and nothing can.
    ///
    /// Intended for a caller that waits for work that another task drives: work of which something has left continues.
    #[must_use]
    pub fn close_unless_left(&self) -> bool {
        if self.0.has_left() {
            return false;
        }
        self.0.close();
        !self.0.has_left()
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

    fn part_of(whole: Whole) -> DepartureHandle {
        DepartureHandle(Arc::new(Self {
            state: Mutex::default(),
            closed: AtomicBool::new(false),
            whole,
        }))
    }

    const fn is_shared(&self) -> bool {
        matches!(self.whole, Whole::Calls(_))
    }

    fn has_left(&self) -> bool {
        let state = self.state();
        state.polled || state.left()
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
            || match &self.whole {
                // A departure is closed when it is dropped.
                Whole::Call(call) => call.upgrade().is_none_or(|call| call.is_closed()),
                // Closing one of its callers closes it, unless something has left.
                Whole::Nothing | Whole::Calls(_) => false,
            }
    }

    fn close(&self) {
        // Before the state is read: a call that begins later finds it closed.
        self.closed.store(true, Ordering::SeqCst);
        let mut waiting = Vec::new();
        self.take_waiting(&mut waiting);
        // After the locks are released: a woken task may drop what takes them.
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Takes the wakers of it and of its parts, all of which are closed now.
    fn take_waiting(&self, waiting: &mut Vec<Waker>) {
        let mut state = self.state();
        waiting.extend(state.waiting.drain(..).map(|(_, waker)| waker));
        for DepartureHandle(part) in state.parts.iter() {
            if part.is_shared() {
                // Its other callers wait for what has left.
                if part.has_left() {
                    continue;
                }
                part.closed.store(true, Ordering::SeqCst);
            }
            part.take_waiting(waiting);
        }
    }

    /// Closes shared work of which nothing has left if one of its callers is closed.
    fn follow_callers(&self) {
        let closed = |call: &Weak<Self>| call.upgrade().is_none_or(|call| call.is_closed());
        if !self.closed.load(Ordering::SeqCst)
            && self.whole.calls().iter().any(closed)
            && !self.has_left()
        {
            self.close();
        }
    }
}

struct UntilClosed {
    departure: DepartureHandle,
    /// The number of its waker.
    number: Option<u64>,
}

impl Future for UntilClosed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.departure.is_closed() {
            return Poll::Ready(());
        }
        let number = {
            let mut state = self.departure.0.state();
            let known = self.number;
            let mut kept = state.waiting.iter_mut();
            match kept.find(|(number, _)| Some(*number) == known) {
                Some((number, waker)) => {
                    waker.clone_from(context.waker());
                    *number
                }
                None => {
                    let number = state.next;
                    state.next += 1;
                    state.waiting.push((number, context.waker().clone()));
                    number
                }
            }
        };
        self.number = Some(number);
        // Checked again: a close before the waker was stored did not find it.
        if self.departure.is_closed() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for UntilClosed {
    fn drop(&mut self) {
        if let Some(own) = self.number {
            let mut state = self.departure.0.state();
            state.waiting.retain(|(number, _)| *number != own);
        }
    }
}

/// An error for a call that was cut off before it left, and must not leave any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("the call was cut off before anything left")
    }
}

impl Error for Closed {}

/// An outcome that may prove that nothing of its call was accepted.
///
/// It is implemented for the outcome of one message and for that of a batch, and cannot be implemented elsewhere.
pub trait Proof: sealed::Sealed {
    /// Returns whether the outcome proves that no message of the call was accepted.
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
        // A missing outcome proves nothing, and here only a lack of all shows.
        !self.is_empty() && self.iter().all(Proof::proves_nothing_left)
    }
}

/// Waits for something that precedes a request, such as a turn, a permit, a token or a pause.
///
/// During the wait, nothing of the current call leaves. Nothing that sends may therefore run beside it in the same
/// call, joined or selected; make that a separate [`attempt`]. Outside of any [`Departure`] it only waits.
pub async fn hold<F: Future>(wait: F) -> F::Output {
    let _holding = DepartureHandle::current().map(Holding::new);
    wait.await
}

/// Waits like [`hold`], but ends when the current call is cut off.
///
/// Use it for a wait that may be long. Another part of a call that is cut off may have left and continue, while the
/// part that waits here must not begin any more.
///
/// # Errors
///
/// Returns an error if the call is closed before the wait ends.
///
/// ```
/// # use postduif_core as postduif;
/// use std::{future::pending, time::Duration};
/// use postduif::departure::{Closed, Departure, hold_until_closed};
///
/// # futures_executor::block_on(async {
/// let departure = Departure::new();
/// let _ = departure.close();
/// let turn = departure.scope(hold_until_closed(pending::<()>())).await;
/// assert!(turn.is_err());
/// # });
/// ```
pub async fn hold_until_closed<F: Future>(wait: F) -> Result<F::Output, Closed> {
    let Some(departure) = DepartureHandle::current() else {
        return Ok(wait.await);
    };
    let (mut wait, mut closed) = (pin!(wait), pin!(departure.closed()));
    let _holding = Holding::new(departure.clone());
    poll_fn(|context| {
        if departure.is_closed() {
            return Poll::Ready(Err(Closed));
        }
        match wait.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => closed.as_mut().poll(context).map(|()| Err(Closed)),
        }
    })
    .await
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

/// Runs one of several calls as a part of the current one, such as one attempt or one chunk of a batch.
///
/// The part counts as having left, as any call does, until its outcome proves that nothing was accepted.
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

/// Runs work that several calls share, outside of the departure of the call that polls it.
pub async fn unwatched<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|context| {
        let _entered = Entered::into(None);
        work.as_mut().poll(context)
    })
    .await
}

/// Restores the previous current departure, even if the call panics.
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
        sync::atomic::AtomicUsize,
        task::Wake,
    };

    use futures_executor::block_on;

    use super::*;
    use crate::{ErrorKind, Reference};

    fn refused() -> Result<Receipt, SendError> {
        Err(SendError::not_accepted(ErrorKind::Throttled, "no"))
    }

    fn unsure() -> Result<Receipt, SendError> {
        Err(SendError::unknown(ErrorKind::Timeout, "no response"))
    }

    fn accepted() -> Result<Receipt, SendError> {
        Ok(Receipt::new("kpn", Reference::random()))
    }

    /// Returns whether a call that is cut off at its first wait had certainly not left.
    fn cut_off<T>(call: impl Future<Output = T>) -> bool {
        let cut = block_on(Departure::new().run_until(ready(()), call));
        match cut {
            Ok(_) => panic!("the call was to wait"),
            Err(acceptance) => acceptance == Acceptance::NotAccepted,
        }
    }

    #[test]
    fn a_call_that_declares_nothing_has_left() {
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
            poll_fn(yield_once()).await; // a request without a hold
            hold(pending::<()>()).await;
        }));
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert!(!departure.close());
    }

    /// Creates a future that is pending at its first poll.
    fn yield_once() -> impl FnMut(&mut Context<'_>) -> Poll<()> {
        let mut polled = false;
        move |context| {
            if std::mem::replace(&mut polled, true) {
                Poll::Ready(())
            } else {
                context.waker().wake_by_ref();
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
    fn a_part_begins_nothing_once_the_whole_is_dropped() {
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
    fn a_refused_attempt_is_taken_back_and_a_doubt_is_not() {
        for (outcome, expected) in [(refused(), true), (unsure(), false), (accepted(), false)] {
            let nothing_left = cut_off(async {
                let _ = attempt(ready(outcome)).await;
                hold(pending::<()>()).await;
            });
            assert_eq!(nothing_left, expected);
        }
    }

    #[test]
    fn once_a_part_has_left_the_whole_has_left() {
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
    fn the_whole_holds_while_all_its_parts_do() {
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
    fn shared_work_is_not_a_part_of_the_call_that_polls_it() {
        let nothing_left = cut_off(hold(unwatched(async {
            assert!(DepartureHandle::current().is_none());
            pending::<()>().await;
        })));
        assert!(nothing_left);
        assert!(DepartureHandle::current().is_none());
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn closing_wakes_a_wait_in_a_part() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        let departure = Departure::new();
        let mut call = pin!(departure.scope(async {
            let part = Departure::new();
            part.scope(hold_until_closed(pending::<()>())).await
        }));
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
        assert!(departure.close());
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(call.as_mut().poll(&mut context), Poll::Ready(Err(Closed)));
    }

    #[test]
    fn a_dropped_wait_is_not_woken() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let departure = Departure::new();
        {
            let mut closed = pin!(departure.handle().closed());
            let mut context = Context::from_waker(&waker);
            assert!(closed.as_mut().poll(&mut context).is_pending());
        }
        assert!(departure.close());
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn shared_work_leaves_for_all_its_callers() {
        let calls = [Departure::new(), Departure::new()];
        let work = Departure::shared(&calls.each_ref().map(Departure::handle));
        assert!(calls.iter().all(|call| !call.has_left()));
        work.handle().begin().unwrap();
        assert!(calls.iter().all(Departure::has_left));
        assert!(!calls[0].close());
        assert!(!work.handle().is_closed(), "the other one waits for it");
        work.end(&refused());
        assert!(calls.iter().all(|call| !call.has_left()));
    }

    #[test]
    fn shared_work_does_not_leave_once_a_caller_is_gone() {
        for close in [true, false] {
            let calls = [Departure::new(), Departure::new()];
            let work = Departure::shared(&calls.each_ref().map(Departure::handle));
            let [one, other] = calls;
            if close {
                assert!(one.close());
            } else {
                drop(one);
            }
            assert_eq!(work.handle().begin(), Err(Closed));
            drop(work);
            assert!(other.close());
        }
    }

    #[test]
    fn shared_work_of_a_caller_that_was_closed_does_not_begin() {
        let call = Departure::new();
        let _ = call.close();
        let work = Departure::shared(&[call.handle()]);
        assert_eq!(work.handle().begin(), Err(Closed));
    }

    #[test]
    fn shared_work_that_is_being_polled_may_have_left() {
        let call = Departure::new();
        let work = Departure::shared(&[call.handle()]);
        let polled = hold(poll_fn(|_| {
            // Another thread asks in the meantime.
            assert!(!call.close());
            Poll::<()>::Pending
        }));
        assert_eq!(block_on(work.run_unless_closed(polled)), Err(Closed));
        assert!(call.close(), "it only held");
    }

    #[test]
    fn shared_work_that_is_ready_at_once_has_left_until_it_ends() {
        let call = Departure::new();
        let work = Departure::shared(&[call.handle()]);
        let outcome = block_on(work.run_unless_closed(ready(accepted()))).unwrap();
        assert!(call.has_left());
        work.end(&outcome);
        assert!(!call.close());
    }

    #[test]
    fn a_call_closed_before_it_left_is_no_longer_polled() {
        let departure = Departure::new();
        assert!(departure.handle().close_unless_left());
        let call = poll_fn(|_| -> Poll<()> { panic!("it must not begin") });
        assert_eq!(block_on(departure.run_unless_closed(call)), Err(Closed));
        assert!(departure.close());
    }

    #[test]
    fn a_call_that_left_is_not_closed_from_outside() {
        let departure = Departure::new();
        departure.handle().begin().unwrap();
        assert!(!departure.handle().close_unless_left());
        assert!(!departure.handle().is_closed());
        let _ = departure.close();
        let call = departure.run_unless_closed(async {
            poll_fn(yield_once()).await;
        });
        assert_eq!(block_on(call), Ok(()), "it goes on to its end");
    }
}
