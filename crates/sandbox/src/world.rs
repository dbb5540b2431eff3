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

/// The pretend world: what is fixed about it, and what happened in it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: Config,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

/// Where the world is to be found, and what its services are set to.
#[derive(Debug)]
pub(crate) struct Config {
    /// Host and port of every pretend service.
    pub(crate) authority: String,
    /// Host and port of the stranger to whom [`Fault::Redirect`](crate::Fault::Redirect) points.
    pub(crate) foreign: String,
    /// How long the tokens of this world live.
    pub(crate) token_life: Duration,
}

/// Everything that happened, and everybody there is.
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

    /// The state, for as long as the guard lives: never over an `await`.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Back to the start; tokens die too, so that nothing of the old world works in the new one.
    pub(crate) fn reset(&self) {
        {
            let mut state = self.state();
            // A request still on its way must not write its end into the new world's list.
            let requests = state.requests.successor();
            *state = State::new(Utc::now());
            state.requests = requests;
        }
        self.has_changed();
    }

    /// What reached the stranger.
    pub(crate) fn foreign(&self) -> Vec<SeenRequest> {
        let state = self.state();
        let reached = state
            .requests
            .iter()
            .filter(|request| request.host == self.config.foreign);
        reached.cloned().collect()
    }

    /// Wakes whoever waits for something to happen.
    pub(crate) fn has_changed(&self) {
        self.changed.send_replace(());
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

impl State {
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
