//! What a layer passes to the layers inside of it, such as the longest wait, and the progress that they report back.

use std::{
    borrow::Cow,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use postduif_core::SendError;

use crate::dispatch::{Trail, lock};

/// The longest that a message with another member to go to waits for another attempt at one vendor.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

tokio::task_local! {
    static SCOPE: Scope;
    static WATCH: Arc<Watch>;
}

/// The settings of the call that is being polled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scope {
    /// The longest wait before a repeat, if the message has another member to go to.
    pub(crate) patience: Option<Duration>,
    /// Whether this is a repeat, so that its turn has to come within the patience, too.
    pub(crate) repeat: bool,
    /// Whether independent callers wait for this batch, so that none of them may wait for another's repeat.
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

/// The progress of a message, shared with the layer that may end it.
pub(crate) type Watch = Mutex<Progress>;

/// How far one message has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// The failed attempts so far, oldest first.
    pub(crate) attempts: Trail,
    /// The member that has the message.
    pub(crate) waits_for: Option<Cow<'static, str>>,
    /// The members that come after it.
    pub(crate) not_tried: Vec<Cow<'static, str>>,
}

impl Progress {
    /// Runs the call of one message, which stores its progress in `watch`.
    pub(crate) fn watched<F: Future>(
        watch: Arc<Watch>,
        call: F,
    ) -> impl Future<Output = F::Output> {
        WATCH.scope(watch, call)
    }

    pub(crate) fn of(watch: &Watch) -> Self {
        lock(watch).clone()
    }

    /// Returns the progress of the call that is being polled, if a layer watches it.
    pub(crate) fn current() -> Option<Self> {
        WATCH.try_with(|watch| Self::of(watch)).ok()
    }

    /// Adds a failure to the progress.
    pub(crate) fn with_failure(mut self, name: Cow<'static, str>, error: &SendError) -> Self {
        let name = self.waits_for.clone().unwrap_or(name);
        self.attempts.push(name, error);
        self
    }

    /// Stores it as the progress of the call that is being polled.
    pub(crate) fn publish(self) {
        // Without a layer that watches there is nothing to store it in.
        let _ = WATCH.try_with(|watch| {
            *lock(watch) = self;
        });
    }
}
