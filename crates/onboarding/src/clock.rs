use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// Where a flow takes the time from: the wall clock, since its deadlines are Entra's.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Tokio {
        start: DateTime<Utc>,
        at: Instant,
    },
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `start` now and runs as tokio's does: paused where that is paused. For tests.
    #[must_use]
    pub fn starting_at(start: DateTime<Utc>) -> Self {
        let at = Instant::now();
        Self(Source::Tokio { start, at })
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self.0 {
            Source::System => SystemTime::now().into(),
            Source::Tokio { start, at } => after(start, at.elapsed()),
        }
    }
}

/// The moment so long after another, or the end of time: waits come from configuration and from servers.
pub(crate) fn after(at: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(wait)
        .ok()
        .and_then(|wait| at.checked_add_signed(wait))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The moment so long before another, or the beginning of time.
pub(crate) fn before(at: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(wait)
        .ok()
        .and_then(|wait| at.checked_sub_signed(wait))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// How long it is from one moment to another; nothing where the other came first.
pub(crate) fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    (to - from).to_std().unwrap_or_default()
}
