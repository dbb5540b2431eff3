use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::{
    directory::Directory,
    execution::Executions,
    fault_spec::Faults,
    history::History,
    idempotency::StoredResponses,
    pass::Passes,
    record::{Resume, SeenRequest, SentMessage},
    token::Tokens,
};

/// The simulated world: its configuration and its state.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: Config,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

/// The addresses of the world, and the settings of its services.
#[derive(Debug)]
pub(crate) struct Config {
    /// The host and port of all services.
    pub(crate) authority: String,
    /// The host and port to which [`Fault::Redirect`](crate::Fault::Redirect) points.
    pub(crate) foreign: String,
    /// The lifetime of tokens.
    pub(crate) token_life: Duration,
}

/// All records, and all that later requests depend on.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) directory: Directory,
    pub(crate) executions: Executions,
    pub(crate) faults: Faults,
    pub(crate) messages: History<SentMessage>,
    pub(crate) passes: Passes,
    pub(crate) stored_responses: StoredResponses,
    pub(crate) requests: History<SeenRequest>,
    pub(crate) resumes: History<Resume>,
    pub(crate) tokens: Tokens,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            state: Mutex::new(State::new(Utc::now())),
            changed: watch::Sender::new(()),
        }
    }

    /// Locks the state. The guard must not live across an `await`.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resets the state, valid tokens included.
    pub(crate) fn reset(&self) {
        {
            let mut state = self.state();
            // A request in flight must not write its status into the new list.
            let requests = state.requests.successor();
            *state = State::new(Utc::now());
            state.requests = requests;
        }
        self.has_changed();
    }

    /// Returns the requests that followed a redirect.
    pub(crate) fn foreign(&self) -> Vec<SeenRequest> {
        let state = self.state();
        let foreign = state
            .requests
            .iter()
            .filter(|request| request.host == self.config.foreign);
        foreign.cloned().collect()
    }

    /// Wakes the tasks that wait for a change.
    pub(crate) fn has_changed(&self) {
        self.changed.send_replace(());
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

impl State {
    /// Returns the texts that an API of a vendor accepted, in order.
    pub(crate) fn accepted(
        &self,
        vendor: &'static str,
        api: &'static str,
    ) -> impl DoubleEndedIterator<Item = &SentMessage> {
        let all = self.messages.iter();
        all.filter(move |message| message.vendor == vendor && message.extra.api == api)
    }

    fn new(now: DateTime<Utc>) -> Self {
        Self {
            directory: Directory::default(),
            executions: Executions::default(),
            faults: Faults::default(),
            messages: History::default(),
            passes: Passes::new(now),
            stored_responses: StoredResponses::default(),
            requests: History::default(),
            resumes: History::default(),
            tokens: Tokens::default(),
        }
    }
}
