//! What a layer says to those inside of it: how patient they may be.

use std::{future::Future, time::Duration};

/// How long a message that has somewhere else to go waits for another try at one vendor.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

tokio::task_local! {
    static SCOPE: Scope;
}

/// What holds for the call that is being polled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scope {
    /// The longest wait before a repeat, where the message has another member to go to.
    pub(crate) patience: Option<Duration>,
    /// This is a repeat, so its turn has to come within the patience, too.
    pub(crate) repeat: bool,
    /// Callers that know nothing of each other wait for this batch: none of them waits for another's repeat.
    pub(crate) gathered: bool,
}

impl Scope {
    pub(crate) fn current() -> Self {
        SCOPE.try_with(|scope| *scope).unwrap_or_default()
    }

    /// Runs a call in this scope.
    pub(crate) fn around<F: Future>(self, call: F) -> impl Future<Output = F::Output> {
        SCOPE.scope(self, call)
    }
}
