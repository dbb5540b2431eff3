//! What a layer says to those inside of it: how patient they may be; and what they say to it: how far they are.

use std::{
    borrow::Cow,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use postduif_core::SendError;

use crate::dispatch::{Trail, lock};

/// How long a message that has somewhere else to go waits for another try at one vendor.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

tokio::task_local! {
    static SCOPE: Scope;
    static WATCH: Arc<Watch>;
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

/// Where a message leaves its progress for whoever may end its way.
pub(crate) type Watch = Mutex<Progress>;

/// How far one message has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Who failed so far, oldest first.
    pub(crate) attempts: Trail,
    /// The member that has the message.
    pub(crate) waits_for: Option<Cow<'static, str>>,
    /// The members that come after it.
    pub(crate) not_tried: Vec<Cow<'static, str>>,
}

impl Progress {
    /// Runs the call of one message, which leaves its progress in `watch`.
    pub(crate) fn watched<F: Future>(
        watch: Arc<Watch>,
        call: F,
    ) -> impl Future<Output = F::Output> {
        WATCH.scope(watch, call)
    }

    pub(crate) fn of(watch: &Watch) -> Self {
        lock(watch).clone()
    }

    /// The progress of the call that is being polled, where somebody watches it.
    pub(crate) fn current() -> Option<Self> {
        WATCH.try_with(|watch| Self::of(watch)).ok()
    }

    /// The same, with this failure behind it.
    pub(crate) fn with_failure(mut self, name: Cow<'static, str>, error: &SendError) -> Self {
        let name = self.waits_for.clone().unwrap_or(name);
        self.attempts.push(name, error);
        self
    }

    /// Makes it the progress of the call that is being polled.
    pub(crate) fn tell(self) {
        // Without anybody who watches there is nobody to tell.
        let _ = WATCH.try_with(|watch| {
            *lock(watch) = self;
        });
    }
}
