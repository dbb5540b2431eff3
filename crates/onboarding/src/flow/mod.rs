//! The flow: a state machine over a journal, one effect a step.

mod admit;
pub(crate) mod effects;
mod finish;
pub(crate) mod history;
mod issue;
pub(crate) mod lock;
pub(crate) mod outcome;
pub(crate) mod run;
pub(crate) mod step;
pub(crate) mod times;
