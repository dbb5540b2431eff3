//! The parts of tokio that this crate needs, and the failure if one is missing.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    task::Poll,
};

use tokio::runtime::Handle;

use super::Failure;

pub(crate) const NO_RUNTIME: &str =
    "no tokio runtime: send from within one with I/O and time enabled";

/// Creates a future and runs it. Fails without a tokio runtime, or with one that has no timer or no I/O.
///
/// tokio panics if either is missing, and has no function to test for them. Every other panic is resumed.
pub(crate) async fn on_tokio<F: Future>(create: impl FnOnce() -> F) -> Result<F::Output, Failure> {
    if Handle::try_current().is_err() {
        return Err(Failure::runtime(NO_RUNTIME));
    }
    let future = catch_unwind(AssertUnwindSafe(create)).or_else(|panic| disabled(panic))?;
    let mut future = pin!(future);
    poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(disabled(panic)),
        },
    )
    .await
}

fn disabled<T>(panic: Box<dyn Any + Send>) -> Result<T, Failure> {
    let message = match panic.downcast_ref::<String>() {
        Some(message) => message,
        None => panic.downcast_ref::<&str>().copied().unwrap_or_default(),
    };
    // tokio's message for a runtime that was built without a part. One that is shutting down has another.
    if message.starts_with("A Tokio 1.x context was found, but") && message.contains("disabled") {
        return Err(Failure::runtime(
            "the tokio runtime has no I/O or no time: build it with enable_all",
        ));
    }
    resume_unwind(panic)
}
