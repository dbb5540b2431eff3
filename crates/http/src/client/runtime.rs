//! What this crate needs of tokio, and the failure where it is missing.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    task::Poll,
};

use tokio::runtime::Handle;

use super::Failure;

/// Creates a future and runs it. Fails without a tokio runtime, or with one that has no timer or no I/O.
///
/// tokio panics where either is missing, and has no way to ask for them beforehand. Every other panic goes on.
pub(crate) async fn on_tokio<F: Future>(create: impl FnOnce() -> F) -> Result<F::Output, Failure> {
    if Handle::try_current().is_err() {
        return Err(Failure::before(
            "there is no tokio runtime: send from within one that has I/O and time enabled",
        ));
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
    // As tokio says of a runtime that was built without a part. One that is shutting down is another matter.
    if message.starts_with("A Tokio 1.x context was found, but") && message.contains("disabled") {
        return Err(Failure::before(
            "the tokio runtime has no I/O or no time: build it with enable_all",
        ));
    }
    resume_unwind(panic)
}
