use std::time::Duration;

/// How long a store keeps what.
///
/// | what | from | default |
/// |---|---|---|
/// | what a flow has of its user: object id, passes, texts, reports | its end | 30 days |
/// | events, posted or not | the event | 30 days |
/// | the audit, and the ids and verdicts of flows | the line; the end of the flow | 2 years |
///
/// A pass lives for up to 30 days, and its id is kept until it has expired, also with a shorter time. The id and the
/// verdict of a flow outlast everything, so that a repeated call-out starts nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retention {
    pub(crate) flows: Duration,
    pub(crate) events: Duration,
    pub(crate) audit: Duration,
}

impl Retention {
    /// Creates the defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            flows: days(30),
            events: days(30),
            audit: days(2 * 365),
        }
    }

    /// Sets how long a flow that has ended is kept whole. Defaults to 30 days.
    #[must_use]
    pub const fn with_flows(mut self, flows: Duration) -> Self {
        self.flows = flows;
        self
    }

    /// Sets how long an event is kept. One that was not posted by then is given up, which is logged as an error.
    /// Defaults to 30 days.
    #[must_use]
    pub const fn with_events(mut self, events: Duration) -> Self {
        self.events = events;
        self
    }

    /// Sets how long the audit is kept, and with it the ids and verdicts of flows. At least 30 days, so that no call-out
    /// can be repeated for a flow that was removed: Entra waits for 14 days at most. Defaults to 2 years.
    #[must_use]
    pub const fn with_audit(mut self, audit: Duration) -> Self {
        self.audit = if audit.as_secs() < days(30).as_secs() {
            days(30)
        } else {
            audit
        };
        self
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::new()
    }
}

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3600)
}

/// What a [clean-up](crate::Archive::sweep) did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Swept {
    /// The number of flows whose audit was still to be written: a program of an older version had ended them.
    pub audited: u64,
    /// The number of flows that were emptied to ids and verdicts.
    pub emptied: u64,
    /// The number of flows that were removed.
    pub removed: u64,
    /// The number of events that were removed.
    pub events: u64,
    /// The number of those that a poster had tried, but never posted.
    pub unposted: u64,
    /// The number of lines of the audit that were removed.
    pub audit: u64,
    /// Whether there is more to do, at once.
    pub more: bool,
}
