//! The journal: the contract of every store, and a store in memory.

pub(crate) mod entry;
pub(crate) mod memory;
pub(crate) mod record;

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    Reference, async_trait,
    directory::{Callout, FlowId},
};

use crate::{Entries, Memo, Record, Report};

/// A store of all flows. It hands out the [`Claim`] with which one flow is run, and stores what comes from outside.
///
/// # Contract
///
/// - **One claim at a time.** [`claim`](Self::claim) gives a flow to one holder. A holder that lost the flow, because its
///   lease expired or its process was stopped, may still have the old claim, which can no longer write.
/// - **Input from outside.** Delivery reports and orders to stop are stored at any time, without a claim. They are kept
///   beside the flow's entries, take none of their room, and are returned with them.
/// - **Lookups.** A flow is found by the reference of each of its texts from [`Sending`](crate::Entry::Sending) on, and
///   by the vendor's ids from [`Accepted`](crate::Entry::Accepted) on.
/// - **The first call-out is kept.** A repeated call-out claims the flow as the first one described it: its user, its
///   window and the time it was received. A repeat starts no new window and names no other user.
/// - **Newer versions.** An entry of a newer version is an error of kind [`Unreadable`](JournalErrorKind::Unreadable).
///   The flow does not fail: it waits for a process of the newer version. The other flows of its user wait too, since
///   its passes are not known. This happens during a rolling upgrade.
/// - Every call ends, and no call panics.
///
/// `journal_conformance!` of `postduif-testkit` tests a store of your own against this contract: in the crate `postduif`
/// it is in `testing`, with the features `testing` and `onboarding`. `tests/file_journal.rs` in the repository is a
/// complete example: a durable journal in a file, shared by the processes of one machine.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync + 'static {
    /// Claims a flow. The first claim stores its call-out. Returns `None` while another claim holds the flow.
    ///
    /// # Errors
    ///
    /// If the store does not respond, or has no room for another flow.
    async fn claim(&self, callout: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError>;

    /// Returns what is stored for a flow, without a claim. An unknown flow has no entries.
    ///
    /// # Errors
    ///
    /// If the store does not respond, or the flow has an entry of a newer version.
    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError>;

    /// Returns the flow that sent the text with this reference.
    ///
    /// # Errors
    ///
    /// If the store does not respond.
    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError>;

    /// Returns the flow with a text, or a segment of a text, that this provider accepted under this id.
    ///
    /// # Errors
    ///
    /// If the store does not respond.
    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError>;

    /// Stores a delivery report with a flow. A duplicate report and a report of an unknown flow change nothing.
    ///
    /// A store may bound the reports of a flow to 100 or more. Beyond the bound, a report with a final status replaces
    /// an earlier report whose status is not final, and other reports change nothing.
    ///
    /// # Errors
    ///
    /// If the report may not be durable.
    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError>;

    /// Orders a flow to stop, and keeps the first order.
    ///
    /// From its next step on the flow issues and sends nothing, revokes a pass whose text was not accepted, and fails. A
    /// flow that has ended does not change. An order to an unknown flow is not an error and is not kept: a later
    /// call-out still starts the flow.
    ///
    /// # Errors
    ///
    /// If the order may not be durable.
    async fn stop(&self, flow: &FlowId, at: DateTime<Utc>) -> Result<(), JournalError>;
}

/// A flow that one run holds: the handle for [`Onboarding::start`](crate::Onboarding::start).
///
/// # Contract
///
/// - **Durable first.** [`append`](Self::append) returns once the entry would survive whatever the store
///   promises to survive. The effect follows only then.
/// - **Compare and append.** An entry is appended only at the end: `at` is the number of entries that the caller has
///   read. If the flow has another number of entries, or another claim holds it, `append` fails with
///   [`Lost`](JournalErrorKind::Lost) and writes nothing. In a database, a primary key of flow and number is enough.
/// - **An error means stop.** After a lasting [`JournalError`] the run has no further effect, and Entra gets no verdict
///   from it. The next claim continues the flow. An entry whose `append` failed may still be there.
/// - **[`holds`](Self::holds) is local.** It asks no server. It compares a monotonic clock with the end of the lease as
///   it was last extended with certainty. Once `false`, it stays `false`. The flow calls it between an intent's entry
///   and its effect, so a process that was stopped for longer than its lease has no effect when it continues. In a
///   store without leases it is `false` after the first `Lost` caused by another claim.
/// - **The user's lock belongs to the flow**, not to the claim. It outlives a dropped claim and a crashed process, for as
///   long as an effect of the flow may be open. See [`lock_user`](Self::lock_user).
/// - Dropping the claim frees the flow, at once or when its lease expires.
/// - Every call ends, and no call panics.
#[async_trait]
pub trait Claim: fmt::Debug + Send + Sync + 'static {
    /// Returns the first call-out of the flow, also if the claim was made with a repeated one.
    fn callout(&self) -> &Callout;

    /// Returns the [`Memo`] of the last [`give_back`](Self::give_back). `None` if there is none, or it cannot be read,
    /// such as a memo of a newer version: the flow is as safe without it.
    fn memo(&self) -> Option<Memo>;

    /// Gives the flow back until this time, and stores the memo for the next claim in any process.
    ///
    /// [`Run::give_back`](crate::Run::give_back) calls it right before it drops the claim. A queue runs the flow again
    /// at that time, or earlier if a report or an order to stop arrives.
    ///
    /// # Errors
    ///
    /// `Lost` if another claim holds the flow, and nothing changes. Another kind if the memo may not be durable. Drop
    /// the claim all the same: the flow continues from its entries, but calls Graph more often than it should.
    async fn give_back(&self, until: DateTime<Utc>, memo: &Memo) -> Result<(), JournalError>;

    /// Returns whether the claim still holds the flow, as the contract describes.
    fn holds(&self) -> bool;

    /// Completes once the claim no longer holds the flow, by the same clock as [`holds`](Self::holds). Never completes in
    /// a store without leases.
    ///
    /// The flow waits for it beside a request that must not reach its server late: a pass that is issued, or a text
    /// that is sent, after another run has taken the flow over.
    async fn lost(&self);

    /// Returns what is stored for the flow: its entries in order, its reports, and the order to stop.
    ///
    /// # Errors
    ///
    /// If the store does not respond, the claim is lost, or the flow has an entry of a newer version.
    async fn entries(&self) -> Result<Entries, JournalError>;

    /// Appends an entry after the first `at` entries, and returns once it is durable.
    ///
    /// # Errors
    ///
    /// `Lost` if the flow has another number of entries. Another kind if the entry may not be durable.
    async fn append(&self, at: usize, record: &Record) -> Result<(), JournalError>;

    /// Returns what is stored for every flow of the same user, including this one: it shows which passes are ours.
    ///
    /// Flows that began more than 30 days ago may be left out, since no pass lives longer.
    ///
    /// # Errors
    ///
    /// If the store does not respond, or one of the flows has an entry of a newer version.
    async fn of_user(&self) -> Result<Vec<Entries>, JournalError>;

    /// Locks the user for this flow until `at_most` has passed, and returns whether this flow has the lock.
    ///
    /// A flow that has the lock extends it. No other flow gets it before it expires or [`free_user`](Self::free_user) is
    /// called. After a restart without stored locks, a flow with an [open effect](Entries::holds_user) has the lock of
    /// its user until its window closes.
    ///
    /// # Errors
    ///
    /// `Lost` if another claim holds the flow, and nothing changes. Another kind if the store does not respond.
    async fn lock_user(&self, at_most: Duration) -> Result<bool, JournalError>;

    /// Frees the lock of the user. Without a lock it does nothing.
    ///
    /// # Errors
    ///
    /// `Lost` if another claim holds the flow, and nothing changes: that claim may use the lock. Another kind if the
    /// store does not respond.
    async fn free_user(&self) -> Result<(), JournalError>;
}

const _: fn(&dyn Journal, &dyn Claim) = |_, _| {};

#[async_trait]
impl<J: Journal + ?Sized> Journal for Arc<J> {
    async fn claim(&self, callout: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError> {
        (**self).claim(callout).await
    }

    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError> {
        (**self).entries(flow).await
    }

    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError> {
        (**self).flow_of(reference).await
    }

    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError> {
        (**self).flow_by_id(provider, id).await
    }

    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError> {
        (**self).report(flow, report).await
    }

    async fn stop(&self, flow: &FlowId, at: DateTime<Utc>) -> Result<(), JournalError> {
        (**self).stop(flow, at).await
    }
}

#[async_trait]
impl<C: Claim + ?Sized> Claim for Arc<C> {
    fn callout(&self) -> &Callout {
        (**self).callout()
    }

    fn memo(&self) -> Option<Memo> {
        (**self).memo()
    }

    async fn give_back(&self, until: DateTime<Utc>, memo: &Memo) -> Result<(), JournalError> {
        (**self).give_back(until, memo).await
    }

    fn holds(&self) -> bool {
        (**self).holds()
    }

    async fn lost(&self) {
        (**self).lost().await;
    }

    async fn entries(&self) -> Result<Entries, JournalError> {
        (**self).entries().await
    }

    async fn append(&self, at: usize, record: &Record) -> Result<(), JournalError> {
        (**self).append(at, record).await
    }

    async fn of_user(&self) -> Result<Vec<Entries>, JournalError> {
        (**self).of_user().await
    }

    async fn lock_user(&self, at_most: Duration) -> Result<bool, JournalError> {
        (**self).lock_user(at_most).await
    }

    async fn free_user(&self) -> Result<(), JournalError> {
        (**self).free_user().await
    }
}

/// The kind of a [`JournalError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum JournalErrorKind {
    /// The store has no room for another flow or another entry.
    Full,
    /// Another claim holds the flow, or another run has appended an entry: stop.
    Lost,
    /// There is no tokio runtime with time enabled. The journal was not asked.
    Misconfigured,
    /// The store failed or did not respond. A retry may succeed.
    Unavailable,
    /// A newer version wrote an entry that this version cannot read: leave the flow to the newer version.
    Unreadable,
}

/// An error of a journal. The run has stopped, and the next claim continues the flow.
#[derive(Clone)]
pub struct JournalError {
    kind: JournalErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl JournalError {
    /// Creates an error. The message must not contain personal data.
    #[must_use]
    pub fn new(kind: JournalErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Creates the error of a claim that no longer holds the flow, or of an entry that is not at the end.
    #[must_use]
    pub fn lost() -> Self {
        Self::new(
            JournalErrorKind::Lost,
            "another run holds the flow, or has appended an entry",
        )
    }

    /// Sets the underlying cause. Its `Display` output must not contain secrets or URLs.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Returns the kind.
    #[must_use]
    pub const fn kind(&self) -> JournalErrorKind {
        self.kind
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("JournalError");
        shown.field("kind", &self.kind);
        shown.field("message", &self.message);
        if let Some(source) = &self.source {
            // By `Display`: the `Debug` of a foreign error may show more.
            shown.field("source", &format_args!("{source}"));
        }
        shown.finish()
    }
}

impl Error for JournalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
