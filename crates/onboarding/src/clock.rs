use std::{
    panic::catch_unwind,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};

use crate::{JournalError, JournalErrorKind, flow::times::MAX_WAIT};

/// The wall clock of a flow, whose deadlines are Entra's.
///
/// Pauses and remaining times are also measured with the monotonic clock. So setting the wall clock makes no pause
/// longer and no deadline later.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Tokio {
        start: DateTime<Utc>,
        at: Instant,
        set_by: Arc<AtomicI64>,
    },
}

impl Clock {
    /// Creates the system's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// Creates a clock for tests that starts at `start` and runs with tokio's clock, also if that is paused.
    #[must_use]
    pub fn starting_at(start: DateTime<Utc>) -> Self {
        Self(Source::Tokio {
            start,
            at: Instant::now(),
            set_by: Arc::default(),
        })
    }

    /// Sets a clock of [`starting_at`](Self::starting_at) and its clones forward by milliseconds, or back if negative.
    /// It simulates an administrator who sets the clock. The system's clock is never set.
    pub fn set_by(&self, milliseconds: i64) {
        if let Source::Tokio { set_by, .. } = &self.0 {
            set_by.fetch_add(milliseconds, Ordering::SeqCst);
        }
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::System => SystemTime::now().into(),
            Source::Tokio { start, at, set_by } => {
                let shown = after(*start, at.elapsed());
                let by = TimeDelta::milliseconds(set_by.load(Ordering::SeqCst));
                shown.checked_add_signed(by).unwrap_or(shown)
            }
        }
    }
}

/// Returns the time after a wait, or the end of time: waits come from the configuration and from servers.
pub(crate) fn after(at: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(wait)
        .ok()
        .and_then(|wait| at.checked_add_signed(wait))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Returns the time before a wait, or the beginning of time.
pub(crate) fn before(at: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(wait)
        .ok()
        .and_then(|wait| at.checked_sub_signed(wait))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// Returns the duration between two times, or zero if the second is earlier.
pub(crate) fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    (to - from).to_std().unwrap_or_default()
}

/// Returns the instant after this wait, or after [`MAX_WAIT`] if that is shorter.
pub(crate) fn instant_in(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait.min(MAX_WAIT)).unwrap_or(now)
}

/// Refuses to do anything outside of a tokio runtime, or in one without a timer, which bounds each wait.
///
/// tokio has no function that tells whether a runtime has a timer: creating one panics without.
pub(crate) fn can_wait() -> Result<(), JournalError> {
    let message = if Handle::try_current().is_err() {
        "no tokio runtime: run the flow within one with time enabled"
    } else if catch_unwind(|| sleep_until(Instant::now())).is_err() {
        "the tokio runtime has no time: build it with enable_all"
    } else {
        return Ok(());
    };
    Err(JournalError::new(JournalErrorKind::Misconfigured, message))
}
