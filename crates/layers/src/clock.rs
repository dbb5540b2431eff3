//! tokio's timer, and the refusal of a call without one.

use std::panic::catch_unwind;

use postduif_core::{ErrorKind, Profile, SendError};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};

use crate::dispatch::refusal;

/// Refuses a call that could not wait: outside of a tokio runtime, or in one without a timer.
pub(crate) fn can_wait(profile: &Profile) -> Result<(), SendError> {
    let message = if Handle::try_current().is_err() {
        "no tokio runtime: send from within one with time enabled"
    } else if !has_timer() {
        "the tokio runtime has no time: build it with enable_all"
    } else {
        return Ok(());
    };
    Err(refusal(profile, ErrorKind::Misconfigured, message))
}

/// Returns whether a timer can be created here.
///
/// tokio has no function that tells whether a runtime has a timer: creating one panics without.
pub(crate) fn has_timer() -> bool {
    Handle::try_current().is_ok() && catch_unwind(|| sleep_until(Instant::now())).is_ok()
}
