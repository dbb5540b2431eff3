use std::{fmt, future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use postduif_core::{
    Acceptance, ErrorKind, SendError,
    departure::{hold, unwatched},
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use crate::client::on_tokio;

/// How long a fetch may take. Well below the deadline of a vendor call, so that time is left for another vendor.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(8);

/// A fetch in progress, such as that of a token, which all concurrent callers share.
///
/// It continues if the caller that started it gives up, and ends within 8 seconds. Waiting for it never leaves a
/// message in doubt.
pub struct SharedFetch<T> {
    what: &'static str,
    began_at: Instant,
    outcome: Shared<BoxFuture<'static, Result<T, SendError>>>,
}

impl<T: Clone + Send + Sync + 'static> SharedFetch<T> {
    /// Starts a fetch of `what`, a noun for its errors. `settle` is called once with the result, even if every caller
    /// has given up by then.
    ///
    /// An error of the fetch is always not accepted, since a fetch carries no text.
    pub fn start<F, R>(
        what: &'static str,
        fetch: F,
        settle: impl FnOnce(Result<R, SendError>) -> Result<T, SendError> + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<R, SendError>> + Send + 'static,
        R: Send,
    {
        let began_at = Instant::now();
        let outcome = async move {
            let fetched = on_tokio(|| unwatched(timeout(FETCH_TIMEOUT, fetch)));
            settle(match AssertUnwindSafe(fetched).catch_unwind().await {
                Ok(Ok(Ok(fetched))) => fetched.map_err(|error| certain(what, error)),
                Ok(Ok(Err(_))) => Err(late(what)),
                Ok(Err(failure)) => Err(failure.into_token_error()),
                // The runtime that drives it may have been shut down.
                Err(_) => Err(failed(what, ErrorKind::Unavailable)),
            })
        }
        .boxed()
        .shared();
        // Every waiting caller drives it, and so does a task, which outlives them all.
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn(outcome.clone()));
        }
        Self {
            what,
            began_at,
            outcome,
        }
    }

    /// Returns whether it is within its deadline. The runtime that drives it may have stopped, so one beyond it must be
    /// replaced.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.began_at.elapsed() < FETCH_TIMEOUT
    }

    /// Waits for the result, at most 8 seconds.
    ///
    /// # Errors
    ///
    /// Returns the error that `settle` returned; `Timeout` if the fetch took too long.
    pub async fn wait(self) -> Result<T, SendError> {
        // With a separate deadline: the runtime that drives the fetch may have stopped.
        match hold(on_tokio(|| timeout(FETCH_TIMEOUT, self.outcome))).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(late(self.what)),
            Err(failure) => Err(failure.into_token_error()),
        }
    }
}

fn late(what: &str) -> SendError {
    SendError::not_accepted(ErrorKind::Timeout, format!("no {what} within the deadline"))
}

fn failed(what: &str, kind: ErrorKind) -> SendError {
    SendError::not_accepted(kind, format!("the {what} could not be fetched"))
}

/// Makes an error of any fetch a certain one.
fn certain(what: &str, error: SendError) -> SendError {
    if error.acceptance() == Acceptance::NotAccepted {
        return error;
    }
    let failed = failed(what, error.kind());
    match error.vendor_message().map(str::to_owned) {
        Some(words) => failed.with_vendor_message(words),
        None => failed,
    }
    .with_source(error)
}

impl<T> Clone for SharedFetch<T> {
    fn clone(&self) -> Self {
        Self {
            what: self.what,
            began_at: self.began_at,
            outcome: self.outcome.clone(),
        }
    }
}

impl<T> fmt::Debug for SharedFetch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFetch")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}
