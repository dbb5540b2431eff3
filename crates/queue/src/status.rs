use chrono::{DateTime, Utc};
use postduif_core::directory::{FlowId, UserId};
use postduif_onboarding::Ending;
use serde::{Deserialize, Serialize};

/// What a store knows of a flow. It contains no name, no number and no secret.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The flow.
    pub flow: FlowId,
    /// Its user. `None` if its call-out names none, or its personal data was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// When its call-out was received.
    pub received_at: DateTime<Utc>,
    /// When it was taken out of the queue. `None` while it is open: it may have an ending before that, with a pass that
    /// is still to be revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<DateTime<Utc>>,
    /// Its ending, once Entra was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

impl Status {
    /// Creates the status of a flow that is open.
    #[must_use]
    pub const fn new(flow: FlowId, received_at: DateTime<Utc>) -> Self {
        Self {
            flow,
            user: None,
            received_at,
            done_at: None,
            ending: None,
        }
    }
}

/// How much is in the queue.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// The number of open flows: not yet [done](crate::Lease::done).
    pub open: u64,
    /// The number of open flows that are due and have no holder.
    pub due: u64,
    /// When the call-out of the oldest open flow was received. `None` if none is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<DateTime<Utc>>,
}
