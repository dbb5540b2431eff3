//! Where flows are written down: what every store has to promise, and the one in memory.

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

/// Where flows are written down, for all of them: it gives out the [`Claim`] by which one flow is run, and
/// takes what comes from outside of it.
///
/// # Contract
///
/// - **One claim at a time.** [`claim`](Self::claim) gives a flow to one holder. Whoever lost it (a lease that
///   lapsed, a process that was stopped) may still hold the old claim, which can write nothing any more.
/// - **From outside.** Delivery reports and orders to stop are taken at any time and whoever holds the claim.
///   They are kept beside the flow's own entries, take none of their room, and are given with them.
/// - **Look-ups.** A flow is found by the reference of each of its texts from
///   [`Sending`](crate::Entry::Sending) on, and by the vendor's ids from [`Accepted`](crate::Entry::Accepted)
///   on.
/// - **The first call-out stays.** A call-out of a flow that is known claims the flow as the first one described
///   it: its user, its window and the time it was taken. A repeat starts no new window and names no other user.
/// - **Unknown words.** An entry that a newer version wrote is an error of kind
///   [`Unreadable`](JournalErrorKind::Unreadable): the flow is given back for the newer version to go on with.
///   It never counts as failed. It holds up the other flows of its user too, since nobody can tell which passes
///   are ours. That is so during a rolling upgrade, until a newer version runs them.
/// - No wait without an end, no panic.
///
/// A store of your own is held to this by `journal_conformance!` of `postduif-testkit`, and `tests/file_journal.rs`
/// in this project's repository is a worked example: a journal in a file, durable and shared by the processes of one
/// machine.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync + 'static {
    /// Takes a flow: its first claim makes it known, by this call-out. Returns `None` while another claim holds it.
    ///
    /// # Errors
    ///
    /// Where the store did not answer, or has no room for another flow.
    async fn claim(&self, callout: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError>;

    /// Returns what is written of a flow, whoever holds it; nothing where nobody knows it.
    ///
    /// # Errors
    ///
    /// Where the store did not answer, or holds words of a newer version.
    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError>;

    /// Returns the flow that sent the text of this reference.
    ///
    /// # Errors
    ///
    /// Where the store did not answer.
    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError>;

    /// Returns the flow one of whose texts, or a segment of it, this provider took under this id.
    ///
    /// # Errors
    ///
    /// Where the store did not answer.
    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError>;

    /// Keeps a delivery report with a flow. The same report a second time changes nothing; neither does one of
    /// a flow that nobody knows, nor one beyond a bound of the store's, of 100 reports or more; there a final status
    /// takes the room of an earlier one that is not.
    ///
    /// # Errors
    ///
    /// Where it may not be durable.
    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError>;

    /// Orders a flow to stop: from its next step on nothing is issued or sent, a pass whose text was not
    /// accepted is taken away, and Entra hears "failed". A flow that ended stays as it ended. The first order
    /// stays. One to a flow that nobody knows is no error, and nothing of it is kept: a call-out that comes later
    /// starts the flow all the same.
    ///
    /// # Errors
    ///
    /// Where it may not be durable.
    async fn stop(&self, flow: &FlowId, at: DateTime<Utc>) -> Result<(), JournalError>;
}

/// One flow, held by one run: the handle that is given to [`Onboarding::start`](crate::Onboarding::start).
///
/// # Contract
///
/// - **Durable first.** [`append`](Self::append) returns once the entry would survive whatever the store
///   promises to survive. An effect follows only then.
/// - **Compare and append.** An entry is appended only where it is the next: `at` is how many entries of the
///   flow the caller has read. Where the flow has another number of entries by now, or another claim holds it,
///   that is an error of kind [`Lost`](JournalErrorKind::Lost), and nothing is written. In a database, a
///   primary key of flow and number does it.
/// - **An error means: stop.** After a [`JournalError`] that lasts, the run has no further effect, not even
///   telling Entra; whoever claims the flow next goes on. An entry whose `append` failed may still be there.
/// - **[`holds`](Self::holds) is local.** It asks no server: it compares a clock that cannot be set with the end
///   of the lease as it was when the lease was last extended for certain, and once `false` it stays `false`. It
///   is asked between an intent's entry and its effect, so that a process that was stopped for longer than its
///   lease does nothing when it continues. Where a store has no leases it is `false` from the first call on that
///   was told `Lost` because another claim has the flow.
/// - **The user's lock is the flow's**, and not the claim's: it outlives a dropped claim and a process that
///   died, for as long as an effect of the flow may be open. See [`lock_user`](Self::lock_user).
/// - Dropping the claim leaves the flow to whoever claims it next, at once or when its lease ends.
/// - No wait without an end, no panic.
#[async_trait]
pub trait Claim: fmt::Debug + Send + Sync + 'static {
    /// Returns the call-out that made the flow known, whichever the claim was asked for with.
    fn callout(&self) -> &Callout;

    /// Returns the [`Memo`] of the last [`give_back`](Self::give_back). `None` where there was none, or where it
    /// cannot be read, such as one with a word of a newer version: the flow is as safe without it.
    fn memo(&self) -> Option<Memo>;

    /// Gives the flow back until this time, with what its next run needs to know: the next claim has it as its
    /// [`memo`](Self::memo), in whichever process. Called by [`Run::give_back`](crate::Run::give_back) right before
    /// the claim is dropped. A queue hands the flow out again at that time, or earlier when a report or an order
    /// to stop comes for it.
    ///
    /// # Errors
    ///
    /// `Lost` where another claim holds the flow, which changes nothing; another kind where it may not be
    /// durable. Drop the claim all the same: the flow goes on from its entries, but calls Graph more often than
    /// it should.
    async fn give_back(&self, until: DateTime<Utc>, memo: &Memo) -> Result<(), JournalError>;

    /// Returns whether the claim still holds the flow. See the contract.
    fn holds(&self) -> bool;

    /// Returns what is written of the flow: its own entries in order, and beside them the reports and the order
    /// to stop that came from outside.
    ///
    /// # Errors
    ///
    /// Where the store did not answer, the claim is lost, or a word is of a newer version.
    async fn entries(&self) -> Result<Entries, JournalError>;

    /// Appends an entry behind the first `at` ones, and returns once it is durable.
    ///
    /// # Errors
    ///
    /// `Lost` where it is not the next; another kind where it may not be durable.
    async fn append(&self, at: usize, record: &Record) -> Result<(), JournalError>;

    /// Returns what is written of every flow about the same user, this one's too: from it follows which passes
    /// are ours. Flows that began more than 30 days ago can be left out: no pass lives longer.
    ///
    /// # Errors
    ///
    /// Where the store did not answer, or a word is of a newer version.
    async fn of_user(&self) -> Result<Vec<Entries>, JournalError>;

    /// Takes the user for this flow, for so long at most from now on, and returns whether it has the user.
    ///
    /// The flow that has the user already has them for so long from now on. Nobody else gets them before that
    /// time is over or [`free_user`](Self::free_user) is called. When a store restarts without a record of its
    /// locks, a flow whose entries say that an [effect is open](Entries::holds_user) has its user until its
    /// window closes.
    ///
    /// # Errors
    ///
    /// `Lost` where another claim holds the flow, and nothing changes; another kind where the store did not answer.
    async fn lock_user(&self, at_most: Duration) -> Result<bool, JournalError>;

    /// Lets others have the user. It is no error where this flow does not have them.
    ///
    /// # Errors
    ///
    /// `Lost` where another claim holds the flow, and nothing changes: the user may be that one's by now; another
    /// kind where the store did not answer.
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

/// What is the matter with a journal.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum JournalErrorKind {
    /// There is no room for another flow, or another entry.
    Full,
    /// Another holds the flow, or has written in it: stop.
    Lost,
    /// The store did not do it, or did not answer. It may do it later.
    Unavailable,
    /// A newer version wrote what this one cannot read: leave the flow to that one.
    Unreadable,
}

/// The journal did not do its work: the run that met it has stopped, and the flow is left to whoever claims it
/// next.
#[derive(Clone)]
pub struct JournalError {
    kind: JournalErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl JournalError {
    /// Creates an error with a message that has no personal data.
    #[must_use]
    pub fn new(kind: JournalErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Creates the error of a claim that no longer holds the flow, or of an entry that was not the next.
    #[must_use]
    pub fn lost() -> Self {
        Self::new(
            JournalErrorKind::Lost,
            "another run holds the flow or has written in it",
        )
    }

    /// Sets the underlying cause. Its `Display` output must not contain secrets or URLs.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Returns what is the matter.
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
            // By `Display`: a foreign error's `Debug` may show what its `Display` leaves out.
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
