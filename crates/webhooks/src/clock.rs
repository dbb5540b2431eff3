//! The refusal of a request whose waits could not be bounded.

use std::panic::catch_unwind;

use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};

/// Returns whether waits can be bounded here, and logs why they cannot.
///
/// tokio has no function that tells whether a runtime has a timer: creating one panics without.
pub(crate) fn can_wait() -> bool {
    let reason = if Handle::try_current().is_err() {
        "no tokio runtime: receive requests within one with time enabled"
    } else if catch_unwind(|| drop(sleep_until(Instant::now()))).is_err() {
        "the tokio runtime has no time: build it with enable_all"
    } else {
        return true;
    };
    tracing::error!(reason, "a request was not stored");
    false
}
