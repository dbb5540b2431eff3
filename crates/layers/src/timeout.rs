//! **Does:** gives each vendor call a deadline. A batch is first split by the inner profile, so that each
//! deadline belongs to one call and none turns messages that were accepted in time into doubts.
//!
//! **Never:** says of a call that it dropped that nothing was sent, unless nothing of it had left: a call that
//! still waits for a turn, a token or a connection says so by its [`Departure`].
//!
//! **Belongs** next to the vendor, inside of [`RateLimit`](crate::RateLimit) and [`Retry`](crate::Retry). For a
//! deadline over a whole stack there is [`StartWithin`](crate::StartWithin).

use std::{future::Future, num::NonZeroUsize, time::Duration};

use postduif_core::{
    Acceptance, Departure, ErrorKind, Health, Message, Outcomes, Profile, Proof, Receipt,
    SendError, SmsProvider, async_trait,
};
use tokio::time::{sleep, timeout};

use crate::dispatch::{IN_FLIGHT, call_size, in_calls, not_cut_off, refusal};

/// A deadline for each vendor call.
///
/// When it passes, the call is dropped where it is, and its messages end as `Timeout`: acceptance unknown, since
/// the request may have been written, or not accepted where nothing of the call had left yet. A
/// [`check`](SmsProvider::check) has the same deadline; it sends nothing, so that its `Timeout` is not accepted.
/// A deadline of zero leaves no time for a call: everything is refused as `Misconfigured`, not accepted.
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
///     if error.kind() == ErrorKind::Timeout && error.acceptance() == Acceptance::Unknown {
///         println!("the vendor did not answer within 10 seconds");
///     }
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

    /// Sets how many calls of one batch are under way at a time. Defaults to 8.
    #[must_use]
    pub const fn with_in_flight(mut self, calls: NonZeroUsize) -> Self {
        self.in_flight = calls;
        self
    }

    async fn within<T: Proof>(&self, call: impl Future<Output = T> + Send) -> Result<T, SendError> {
        not_cut_off(self.inner.profile())?;
        self.leaves_time()?;
        let departure = Departure::new();
        let answer = departure.run_until(sleep(self.deadline), call).await;
        match answer {
            Ok(outcome) => {
                departure.end(&outcome);
                Ok(outcome)
            }
            Err(acceptance) => {
                let late = self.late(acceptance);
                departure.end(&Err(late.clone()));
                Err(late)
            }
        }
    }

    fn leaves_time(&self) -> Result<(), SendError> {
        if self.deadline.is_zero() {
            Err(refusal(
                self.inner.profile(),
                ErrorKind::Misconfigured,
                "a deadline of zero leaves no time for a call: set a longer one",
            ))
        } else {
            Ok(())
        }
    }

    fn late(&self, acceptance: Acceptance) -> SendError {
        match acceptance {
            Acceptance::NotAccepted => SendError::not_accepted(
                ErrorKind::Timeout,
                "the deadline passed before anything was sent",
            ),
            Acceptance::Unknown => {
                SendError::unknown(ErrorKind::Timeout, "no answer before the deadline")
            }
        }
        .with_provider(self.inner.profile().owned_name())
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for Timeout<P> {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.within(self.inner.send(message)).await?
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let size = call_size(self.inner.profile(), messages);
        in_calls(messages, size, self.in_flight, async |piece| {
            match self.within(self.inner.send_batch(piece)).await {
                Ok(outcomes) => outcomes,
                Err(error) => Outcomes::failed(piece, &error),
            }
        })
        .await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.leaves_time().map_err(SendError::of_check)?;
        match timeout(self.deadline, self.inner.check()).await {
            Ok(answer) => answer.map_err(SendError::of_check),
            Err(_) => Err(self.late(Acceptance::Unknown).of_check()),
        }
    }
}
