use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::async_trait;

use crate::JournalError;

/// Where events wait until they are posted to an operator's system: that a flow has ended, or needs a person.
///
/// A durable queue is one. A poster takes the events and posts them. Any number of posters may share a source.
///
/// # Contract
///
/// - **At least once.** An event is returned again until [`posted`](Self::posted) has returned, or until the source no
///   longer keeps it.
/// - **One poster at a time.** An event that was taken is not returned again for the time that the poster stated, which
///   counts by the source's clock.
/// - Every call ends, and no call panics.
#[async_trait]
pub trait EventSource: fmt::Debug + Send + Sync + 'static {
    /// Takes the event that has been due for longest, for at most this time. `None` if none is due.
    ///
    /// # Errors
    ///
    /// If the source does not respond.
    async fn take(&self, at_most: Duration) -> Result<Option<PendingEvent>, JournalError>;

    /// Marks an event as posted: it is not returned again.
    ///
    /// # Errors
    ///
    /// If the source does not respond. The event may then be posted once more.
    async fn posted(&self, id: &str) -> Result<(), JournalError>;

    /// Returns an event to the source, due again after this pause.
    ///
    /// # Errors
    ///
    /// If the source does not respond. The event is then due when the time has passed for which it was taken.
    async fn postpone(&self, id: &str, pause: Duration) -> Result<(), JournalError>;

    /// Waits until an event may be due, and for at most this time.
    async fn wait(&self, at_most: Duration);
}

const _: fn(&dyn EventSource) = |_| {};

#[async_trait]
impl<S: EventSource + ?Sized> EventSource for Arc<S> {
    async fn take(&self, at_most: Duration) -> Result<Option<PendingEvent>, JournalError> {
        (**self).take(at_most).await
    }

    async fn posted(&self, id: &str) -> Result<(), JournalError> {
        (**self).posted(id).await
    }

    async fn postpone(&self, id: &str, pause: Duration) -> Result<(), JournalError> {
        (**self).postpone(id, pause).await
    }

    async fn wait(&self, at_most: Duration) {
        (**self).wait(at_most).await;
    }
}

/// An event that is to be posted.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PendingEvent {
    /// Its id, of visible ASCII without a dot. Each try has the same one, so that a receiver can tell duplicates.
    pub id: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The event as JSON, as it is posted.
    pub body: String,
    /// How often it was taken before.
    pub tries: u32,
}

impl PendingEvent {
    /// Creates an event that was never taken before.
    #[must_use]
    pub fn new(id: impl Into<String>, at: DateTime<Utc>, body: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            at,
            body: body.into(),
            tries: 0,
        }
    }
}
