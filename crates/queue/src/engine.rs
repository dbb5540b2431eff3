use std::{fmt, sync::Arc, time::Duration};

use postduif_core::{
    async_trait,
    directory::{Callout, FlowId},
};
use postduif_onboarding::{Claim, Ending, Journal, JournalError, Taken};

use crate::{Archive, Counts, Status};

/// A store of flows that also queues them: a [`Journal`] that says which flow is to be run next.
///
/// # Contract
///
/// - **Durable first.** [`enqueue`](Self::enqueue) returns once the flow would survive whatever the store promises to
///   survive.
/// - **Nothing is forgotten.** A flow is due when it is enqueued, when the time of its
///   [`give_back`](Claim::give_back) has come, when a [report](Journal::report) or an order to
///   [stop](Journal::stop) is stored for it, and when the lease of its claim has expired. From
///   [`Lease::done`] on it is due no more.
/// - **Leases.** A claim from [`next`](Self::next) or [`claim`](Journal::claim) has a lease, which
///   [`Lease::extend`] and each write extend. While it has not expired nobody else gets a claim. Each claim has a higher
///   number than the one before, and every write states it, so that a holder that lost its flow writes nothing.
/// - **The store's clock decides about leases.** A holder knows only the length, and measures it with its own monotonic
///   clock from before the request. A clock that is set back may delay a flow by no more than a lease.
/// - Every call ends, and no call panics.
///
/// `engine_conformance!` of `postduif-testkit` tests a store of your own against this contract, and
/// `journal_conformance!` against that of [`Journal`]. In the crate `postduif` both are in `testing`, with the features
/// `testing` and `queue`.
#[async_trait]
pub trait Engine: Journal {
    /// Stores a call-out, so that its flow will run. A flow that is stored already is `Known`, and keeps its first
    /// call-out. With too many open flows it is `Full`, and nothing is stored.
    ///
    /// # Errors
    ///
    /// If the call-out may not be durable.
    async fn enqueue(&self, callout: &Callout) -> Result<Taken, JournalError>;

    /// Claims the flow that has been due for longest. `None` if none is due.
    ///
    /// # Errors
    ///
    /// If the store does not respond.
    async fn next(&self) -> Result<Option<Arc<dyn Lease>>, JournalError>;

    /// Waits until a flow may be due, and for at most this time.
    async fn wait(&self, at_most: Duration);

    /// Returns what is known of a flow. `None` if the store does not have it.
    ///
    /// # Errors
    ///
    /// If the store does not respond, or the flow has an entry of a newer version.
    async fn status(&self, flow: &FlowId) -> Result<Option<Status>, JournalError>;

    /// Counts what is in the queue. It also tells whether the store responds.
    ///
    /// # Errors
    ///
    /// If the store does not respond.
    async fn counts(&self) -> Result<Counts, JournalError>;

    /// Returns what the store keeps for operators and auditors. `None` for a store without that.
    fn archive(&self) -> Option<&dyn Archive>;
}

/// A [`Claim`] with a lease, as [`Engine::next`] returns it.
///
/// Its [`give_back`](Claim::give_back) ends the lease, and the flow is due again at that time. Without it the flow is
/// left to the lease, and whoever claims it next knows that its holder died.
#[async_trait]
pub trait Lease: Claim {
    /// Returns the length of the lease.
    fn length(&self) -> Duration;

    /// Returns how often in a row the flow's claim was left to its lease, by a process that died or lost the store.
    fn takeovers(&self) -> u32;

    /// Extends the lease to its full length.
    ///
    /// # Errors
    ///
    /// `Lost` if another claim holds the flow. Another kind if the lease may not be extended: it can be tried again
    /// while the claim [holds](Claim::holds).
    async fn extend(&self) -> Result<(), JournalError>;

    /// Takes the flow out of the queue, as it has ended. A store that keeps events and an audit writes them in the same
    /// transaction. A repetition changes nothing.
    ///
    /// # Errors
    ///
    /// `Lost` if another claim holds the flow. Another kind if it may not be durable: the flow is then claimed again, and
    /// ends again with nothing to do.
    async fn done(&self, ending: &Ending) -> Result<(), JournalError>;
}

const _: fn(&dyn Engine, &dyn Lease) = |_, _| {};

/// A journal needs `Debug`, and an engine is one.
const _: fn(&dyn Engine) -> &dyn fmt::Debug = |engine| engine;
