//! tokio's timer, the refusal of a call without one, and waits that outlive it.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll, Waker},
};

use postduif_core::{ErrorKind, Profile, SendError};
use tokio::{
    runtime::{Handle, Id},
    time::{self, Instant},
};

use crate::dispatch::refusal;

thread_local! {
    /// The last runtime on this thread that was seen to have a timer: to look costs more than a layer does.
    static WITH_TIMER: Cell<Option<Id>> = const { Cell::new(None) };
}

/// Refuses a call that could not wait: outside of a tokio runtime, or in one without a timer.
pub(crate) fn can_wait(profile: &Profile) -> Result<(), SendError> {
    let message = match timer() {
        Some(true) => return Ok(()),
        Some(false) => "the tokio runtime has no time: build it with enable_all",
        None => "no tokio runtime: send from within one with time enabled",
    };
    Err(refusal(profile, ErrorKind::Misconfigured, message))
}

/// Returns whether a timer can be created here.
pub(crate) fn has_timer() -> bool {
    timer() == Some(true)
}

/// Returns whether the current runtime has a timer. `None` without a runtime.
///
/// tokio has no function that tells it: creating a timer panics without.
fn timer() -> Option<bool> {
    let runtime = Handle::try_current().ok()?.id();
    if WITH_TIMER.get() == Some(runtime) {
        return Some(true);
    }
    let has_timer = catch_unwind(|| time::sleep_until(Instant::now())).is_ok();
    if has_timer {
        WITH_TIMER.set(Some(runtime));
    }
    Some(has_timer)
}

/// Refuses a call whose runtime was shut down while nothing of it had left.
pub(crate) fn still_runs(profile: &Profile) -> Result<(), SendError> {
    can_wait(profile)?;
    let mut context = Context::from_waker(Waker::noop());
    match pin!(sleep_until(Instant::now())).poll(&mut context) {
        Poll::Ready(Err(RuntimeEnded)) => Err(ended(profile)),
        Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
    }
}

pub(crate) fn ended(profile: &Profile) -> SendError {
    let message = "the tokio runtime was shut down";
    refusal(profile, ErrorKind::Misconfigured, message)
}

/// The runtime of a timer was shut down before the time came.
#[derive(Debug)]
pub(crate) struct RuntimeEnded;

/// Waits until then, or until the runtime ends: tokio's timer panics after that.
pub(crate) async fn sleep_until(then: Instant) -> Result<(), RuntimeEnded> {
    let sleep = catch_unwind(|| time::sleep_until(then)).map_err(|_| RuntimeEnded)?;
    let mut sleep = pin!(sleep);
    poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| sleep.as_mut().poll(context))) {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(RuntimeEnded)),
        },
    )
    .await
}

/// Why a wait ended without what it was for.
#[derive(Debug)]
pub(crate) enum Late {
    Deadline,
    RuntimeEnded,
}

/// Waits for a future until then, or until the runtime ends.
pub(crate) async fn timeout_at<F: Future>(then: Instant, future: F) -> Result<F::Output, Late> {
    let (mut future, mut alarm) = (pin!(future), pin!(sleep_until(then)));
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        alarm.as_mut().poll(context).map(|rang| match rang {
            Ok(()) => Err(Late::Deadline),
            Err(RuntimeEnded) => Err(Late::RuntimeEnded),
        })
    })
    .await
}
