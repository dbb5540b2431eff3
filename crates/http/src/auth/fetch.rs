use std::{fmt, future::Future, ops::ControlFlow, panic::AssertUnwindSafe, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use postduif_core::{
    Acceptance, ErrorKind, SendError,
    departure::{hold, unwatched},
};
use tokio::{
    runtime::{Handle, Id},
    task::AbortHandle,
    time::{Instant, timeout},
};

use crate::client::on_tokio;

/// How long a fetch may take. Well below the deadline of a vendor call, so that time is left for another vendor.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(8);

/// How long a fetch of another runtime is waited for, which may stand still.
const FOREIGN_TIMEOUT: Duration = Duration::from_secs(2);

/// How many fetches of other runtimes are waited for.
const ROUNDS: u32 = 4;

/// A fetch in progress, such as that of a token, which all concurrent callers share.
///
/// It runs in a task of its own. It continues if the caller that started it gives up, and ends within 8 seconds, or with
/// its runtime. Waiting for it never leaves a message in doubt.
pub struct SharedFetch<T> {
    what: &'static str,
    began_at: Instant,
    /// `None` without a runtime: the fetch has failed.
    driver: Option<Driver>,
    outcome: Shared<BoxFuture<'static, Result<T, SendError>>>,
}

/// The task that drives a fetch, and its runtime. Callers only wait: on another runtime, the end of this one would look
/// like a failed fetch.
#[derive(Clone)]
struct Driver {
    runtime: Id,
    task: AbortHandle,
}

impl<T: Clone + Send + Sync + 'static> SharedFetch<T> {
    /// Starts a fetch of `what`, a noun for its errors. `settle` is called once with the result, even if every caller
    /// has given up by then. If the runtime ends before, it is not called.
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
                Err(_) => Err(failed(what, ErrorKind::Unavailable)),
            })
        };
        let (driver, outcome) = match Handle::try_current() {
            Ok(runtime) => {
                let task = runtime.spawn(outcome);
                let driver = Driver {
                    runtime: runtime.id(),
                    task: task.abort_handle(),
                };
                let ended = move |_| Err(failed(what, ErrorKind::Unavailable).local());
                (
                    Some(driver),
                    task.map(move |outcome| outcome.unwrap_or_else(ended))
                        .boxed(),
                )
            }
            Err(_) => (None, outcome.boxed()),
        };
        Self {
            what,
            began_at,
            driver,
            outcome: outcome.shared(),
        }
    }

    /// Returns whether a caller on the current runtime should wait for it. If not, although it was not settled, it must
    /// be replaced: its runtime has ended or stands still.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let has_ended = |driver: &Driver| driver.task.is_finished();
        !self.driver.as_ref().is_some_and(has_ended) && self.began_at.elapsed() < self.limit()
    }

    /// Waits for the fetch that `next` returns, or returns the value that it returns at once. Asks it again if the runtime
    /// that drives that fetch has ended or stands still, up to three times.
    ///
    /// # Errors
    ///
    /// Returns the error of `next`, or that which `settle` returned; `Timeout` if the fetches took too long: 8 seconds on
    /// one runtime, 14 on several.
    pub async fn wait_for<E>(
        next: impl Fn() -> Result<ControlFlow<T, Self>, E>,
    ) -> Result<Result<T, SendError>, E> {
        let (mut rounds, mut lost) = (0, None);
        loop {
            let fetching = match next()? {
                ControlFlow::Break(value) => return Ok(Ok(value)),
                ControlFlow::Continue(fetching) => fetching,
            };
            if let Some(error) = lost.take_if(|_| rounds >= ROUNDS) {
                return Ok(Err(error));
            }
            rounds += 1;
            match fetching.wait().await {
                Err(error) if is_lost(&error) => lost = Some(error),
                outcome => return Ok(outcome),
            }
        }
    }

    async fn wait(self) -> Result<T, SendError> {
        let (limit, is_foreign) = (self.limit(), self.is_foreign());
        match hold(on_tokio(|| timeout(limit, self.outcome))).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) if is_foreign => Err(late(self.what).local()),
            Ok(Err(_)) => Err(late(self.what)),
            Err(failure) => Err(failure.into_token_error()),
        }
    }

    /// Returns whether another runtime than the current one drives it.
    fn is_foreign(&self) -> bool {
        let current = Handle::try_current().map(|runtime| runtime.id()).ok();
        self.driver
            .as_ref()
            .is_some_and(|driver| current.is_some_and(|current| current != driver.runtime))
    }

    fn limit(&self) -> Duration {
        if self.is_foreign() {
            FOREIGN_TIMEOUT
        } else {
            FETCH_TIMEOUT
        }
    }
}

/// Returns whether an error is that of the runtime that drove a fetch, so that another fetch may succeed.
fn is_lost(error: &SendError) -> bool {
    error.is_local() && error.kind() != ErrorKind::Misconfigured
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
            driver: self.driver.clone(),
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
