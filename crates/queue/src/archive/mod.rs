//! What operators and auditors need of a store: lists, retries, exports, events, an audit, and a clean-up.

#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    expect(dead_code, reason = "the stores in databases write them")
)]
pub(crate) mod audit;
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    expect(dead_code, reason = "the stores in databases write them")
)]
pub(crate) mod event;
mod retention;

use std::fmt;

use chrono::{DateTime, Utc};
use postduif_core::{
    async_trait,
    directory::{Callout, FlowId, UserId},
};
use postduif_onboarding::{Entries, EventSource, JournalError};
use serde::Serialize;

pub use audit::{AuditAction, AuditLine, Operator};
pub use event::{FlowEvent, FlowEventData, FlowEventType};
pub use retention::{Retention, Swept};

use crate::Status;

/// What operators and auditors need of a store, beside its [`Engine`](crate::Engine).
///
/// # Contract
///
/// - **Events.** [`Lease::done`](crate::Lease::done) stores an event that the flow has ended, and
///   [`Claim::append`](postduif_onboarding::Claim::append) one if the flow was resumed and a pass that should not be
///   usable may be, each in its own transaction. [`EventSource`] hands them to a poster.
/// - **Audit.** `done` writes the lines of the flow in the same transaction, and each action of an operator its own.
///   A line is never changed, and is removed only after its retention.
/// - **Bounds.** A list has at most 1,000 elements. The next ones follow after the last of them.
/// - Every call ends, and no call panics.
#[async_trait]
pub trait Archive: EventSource {
    /// Lists flows, the latest call-out first. At most `limit` of them, up to 1,000, and only those after the flow
    /// `after` of an earlier list.
    ///
    /// # Errors
    ///
    /// If the store does not respond, or a flow has an ending of a newer version.
    async fn flows(
        &self,
        filter: &FlowFilter,
        after: Option<&FlowId>,
        limit: usize,
    ) -> Result<Vec<FlowSummary>, JournalError>;

    /// Returns a flow with its entries. `None` if the store does not have it.
    ///
    /// # Errors
    ///
    /// If the store does not respond, or the flow has an entry of a newer version.
    async fn flow(&self, flow: &FlowId) -> Result<Option<FlowDetails>, JournalError>;

    /// Starts a flow that has failed once more, as a flow of its own with a new id.
    ///
    /// The new flow has no callback: Entra has heard that the first one failed, or no longer waits, and the workflow
    /// that called out is not continued by a success. It has the window that the onboarding is configured with, from now
    /// on. Each flow is retried once; a retry that fails can itself be retried. Once the personal data of a flow was
    /// removed it cannot be retried.
    ///
    /// # Errors
    ///
    /// If the store does not respond, or the flow is one of a newer version.
    async fn retry(
        &self,
        flow: &FlowId,
        by: &Operator,
        at: DateTime<Utc>,
    ) -> Result<Retried, JournalError>;

    /// Returns what is stored of a user: the latest 1,000 flows, and the latest 10,000 lines of the audit. The audit
    /// tells of the export.
    ///
    /// # Errors
    ///
    /// If the store does not respond, or a flow has an entry of a newer version.
    async fn export(
        &self,
        user: &UserId,
        by: &Operator,
        at: DateTime<Utc>,
    ) -> Result<UserExport, JournalError>;

    /// Removes what the flows of a user have of the user, down to ids of flows and verdicts.
    ///
    /// A flow that is open is emptied once it has ended, and one with a pass that may still be usable once that has
    /// expired, by the [clean-up](Self::sweep): without the id of a pass nobody could revoke it. The audit keeps the
    /// object id of the user until its own retention ends, and tells of the order to forget.
    ///
    /// # Errors
    ///
    /// If the store does not respond. What was not forgotten yet is on a repetition, or by the clean-up.
    async fn forget(
        &self,
        user: &UserId,
        by: &Operator,
        at: DateTime<Utc>,
    ) -> Result<Forgotten, JournalError>;

    /// Returns the lines of the audit of a span of time, without its end, the earliest first. At most `limit` of them,
    /// up to 1,000, and only those after the line with the id `after`.
    ///
    /// The lines of a flow are written when it ends, with the times at which they happened. So a line may come in front
    /// of others that were exported before: export days that are over for longer than Entra's window.
    ///
    /// # Errors
    ///
    /// If the store does not respond.
    async fn audit(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AuditLine>, JournalError>;

    /// Stores at once that a flow needs a person. A repetition changes nothing.
    ///
    /// # Errors
    ///
    /// If it may not be durable.
    async fn attention(
        &self,
        callout: &Callout,
        what: FlowEventType,
        at: DateTime<Utc>,
    ) -> Result<(), JournalError>;

    /// Removes what is kept no longer, a bounded part at a time. `None` if it is not yet time for that again, or another
    /// process does it: all processes of a store share one turn an hour.
    ///
    /// # Errors
    ///
    /// If the store does not respond.
    async fn sweep(&self, retention: &Retention) -> Result<Option<Swept>, JournalError>;
}

const _: fn(&dyn Archive) = |_| {};

/// Which flows a list has. Defaults to all.
#[derive(Clone, Debug, Default)]
pub struct FlowFilter {
    pub(crate) failed: bool,
    pub(crate) open: bool,
    pub(crate) user: Option<UserId>,
    pub(crate) since: Option<DateTime<Utc>>,
}

impl FlowFilter {
    /// Creates a filter of all flows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps flows that have ended and failed.
    #[must_use]
    pub const fn failed(mut self) -> Self {
        self.failed = true;
        self
    }

    /// Keeps flows that are open.
    #[must_use]
    pub const fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Keeps flows of this user. A flow whose personal data was removed is nobody's.
    #[must_use]
    pub const fn of_user(mut self, user: UserId) -> Self {
        self.user = Some(user);
        self
    }

    /// Keeps flows whose call-out was received at this time or later.
    #[must_use]
    pub const fn since(mut self, since: DateTime<Utc>) -> Self {
        self.since = Some(since);
        self
    }
}

/// A flow in a list. The ending of an open flow is not there.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FlowSummary {
    /// What is known of it.
    #[serde(flatten)]
    pub status: Status,
    /// The flow that it retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<FlowId>,
}

impl FlowSummary {
    /// Creates a summary.
    #[must_use]
    pub const fn new(status: Status, retry_of: Option<FlowId>) -> Self {
        Self { status, retry_of }
    }
}

/// A flow with everything that is stored for it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FlowDetails {
    /// What is known of it.
    #[serde(flatten)]
    pub summary: FlowSummary,
    /// The flow that retries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retried_as: Option<FlowId>,
    /// When it is run next, or when the lease of its holder ends. `None` once it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<DateTime<Utc>>,
    /// Its entries, its delivery reports, and the order to stop.
    pub entries: Entries,
}

impl FlowDetails {
    /// Creates the details of a flow that was not retried.
    #[must_use]
    pub const fn new(summary: FlowSummary, entries: Entries) -> Self {
        Self {
            summary,
            retried_as: None,
            due_at: None,
            entries,
        }
    }
}

/// What became of a [retry](Archive::retry).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Retried {
    /// The flow runs again, as the flow with this id.
    Started(FlowId),
    /// It was retried before, as the flow with this id.
    Already(FlowId),
    /// The store does not have the flow.
    Unknown,
    /// The flow is open, and may still end well.
    Open,
    /// The flow completed.
    Completed,
    /// The flow has no user: its call-out named none, or its personal data was removed.
    NoUser,
}

impl fmt::Display for Retried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(flow) => write!(f, "runs again as {flow}"),
            Self::Already(flow) => write!(f, "it was retried before, as {flow}"),
            Self::Unknown => f.write_str("the store does not have this flow"),
            Self::Open => f.write_str("the flow is open, and may still end well"),
            Self::Completed => f.write_str("the flow completed"),
            Self::NoUser => f.write_str(
                "the flow has no user: its call-out named none, or its personal data was removed",
            ),
        }
    }
}

/// What is stored of a user.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct UserExport {
    /// The user.
    pub user: UserId,
    /// The flows, the latest first.
    pub flows: Vec<FlowDetails>,
    /// The lines of the audit, the earliest first.
    pub audit: Vec<AuditLine>,
    /// Whether there is more than an export has room for.
    pub truncated: bool,
}

impl UserExport {
    /// Creates an export without anything.
    #[must_use]
    pub const fn new(user: UserId) -> Self {
        Self {
            user,
            flows: Vec::new(),
            audit: Vec::new(),
            truncated: false,
        }
    }
}

/// What [`Archive::forget`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Forgotten {
    /// The number of flows that were emptied.
    pub emptied: u64,
    /// The number of flows that the clean-up empties later: they are open, or have a pass that may be usable.
    pub later: u64,
}

impl Forgotten {
    /// Creates the result of these numbers of flows.
    #[must_use]
    pub const fn new(emptied: u64, later: u64) -> Self {
        Self { emptied, later }
    }
}
