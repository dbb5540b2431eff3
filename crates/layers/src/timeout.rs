//! **Does:** gives each vendor call a deadline. A batch is first split by the inner profile, so that each
//! deadline belongs to one call and none turns messages that were accepted in time into doubts.
//!
//! **Never:** says of a call that it dropped that nothing was sent; never cuts a wait that another layer makes
//! outside of it.
//!
//! **Belongs** next to the vendor, inside of [`RateLimit`](crate::RateLimit) and [`Retry`](crate::Retry):
//! around them it would turn their waits into doubts.

use std::{future::Future, num::NonZeroUsize, slice, time::Duration};

use postduif_core::{
    ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
    split,
};
use tokio::time::timeout;

use crate::way::{IN_FLIGHT, Way, call_size};

/// A deadline for each vendor call.
///
/// When it passes, the call is dropped where it stands and its messages end as `Timeout`, acceptance unknown:
/// the request may have been written. A [`check`](SmsProvider::check) has the same deadline; it sends nothing,
/// so that its `Timeout` is not accepted.
///
/// A provider whose profile sends different texts in different calls gets a mixed batch message by message.
///
/// ```
/// # use postduif_core::*;
/// # use postduif_layers::Timeout;
/// use std::time::Duration;
///
/// # async fn example(vendor: impl SmsProvider, message: Message) {
/// let provider = Timeout::new(vendor, Duration::from_secs(10));
/// if let Err(error) = provider.send(&message).await {
///     assert!(error.kind() != ErrorKind::Timeout || !error.may_resend());
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Timeout<P> {
    inner: P,
    deadline: Duration,
    in_flight: NonZeroUsize,
}

impl<P: SmsProvider> Timeout<P> {
    /// Gives each call to `inner` so long.
    #[must_use]
    pub const fn new(inner: P, deadline: Duration) -> Self {
        Self {
            inner,
            deadline,
            in_flight: IN_FLIGHT,
        }
    }

    /// How many calls of one batch are under way at a time; 8 unless given.
    #[must_use]
    pub const fn with_in_flight(mut self, calls: NonZeroUsize) -> Self {
        self.in_flight = calls;
        self
    }

    async fn run(&self, messages: &[Message], way: Way) -> Outcomes {
        let size = call_size(self.inner.profile(), messages);
        split(messages, size, self.in_flight, async |piece| {
            match self.within(way.send(&self.inner, piece)).await {
                Some(outcomes) => outcomes,
                None => Outcomes::failed(piece, &self.late(SendError::unknown)),
            }
        })
        .await
    }

    async fn within<T>(&self, call: impl Future<Output = T> + Send) -> Option<T> {
        timeout(self.deadline, call).await.ok()
    }

    fn late(&self, error: fn(ErrorKind, &'static str) -> SendError) -> SendError {
        error(ErrorKind::Timeout, "no answer before the deadline")
            .with_provider(self.inner.profile().owned_name())
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for Timeout<P> {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.run(slice::from_ref(message), Way::Single)
            .await
            .into_single()
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.run(messages, Way::Batch).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        match self.within(self.inner.check()).await {
            Some(answer) => answer,
            None => Err(self.late(SendError::not_accepted)),
        }
    }
}
