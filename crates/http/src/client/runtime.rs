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

/// Creates a future and runs it. Fails without a tokio runtime, with one that has no timer or no I/O, and when it is
/// shut down.
///
/// tokio panics in each of these cases, and has no function to test for them. Every other panic is resumed.
pub(crate) async fn on_tokio<F: Future>(create: impl FnOnce() -> F) -> Result<F::Output, Failure> {
    if Handle::try_current().is_err() {
        return Err(Failure::runtime(NO_RUNTIME));
    }
    let future = catch_unwind(AssertUnwindSafe(create)).or_else(|panic| missing(panic))?;
    let mut future = pin!(future);
    poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(missing(panic)),
        },
    )
    .await
}

fn missing<T>(panic: Box<dyn Any + Send>) -> Result<T, Failure> {
    let message = match panic.downcast_ref::<String>() {
        Some(message) => message,
        None => panic.downcast_ref::<&str>().copied().unwrap_or_default(),
    };
    // tokio's messages for a runtime that was built without a part, and for one that was shut down.
    let is_tokios = message.starts_with("A Tokio 1.x context was found, but");
    if is_tokios && message.contains("disabled") {
        return Err(Failure::runtime(
            "the tokio runtime has no I/O or no time: build it with enable_all",
        ));
    }
    if is_tokios && message.contains("shutdown") {
        return Err(Failure::runtime_ended());
    }
    resume_unwind(panic)
}
