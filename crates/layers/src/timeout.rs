//! **Does:** sets a deadline for each vendor call. A batch is first split by the inner profile, so that each deadline
//! covers one call and puts no messages in doubt that were accepted in time.
//!
//! **Never:** reports a dropped call as not accepted, unless nothing of it had left: a call that still waits for a
//! turn, a token or a connection declares that through its [`Departure`].
//!
//! **Belongs** next to the vendor, inside of [`RateLimit`](crate::RateLimit) and [`Retry`](crate::Retry). For a
//! deadline over a whole stack, use [`StartWithin`](crate::StartWithin).

use std::{future::Future, num::NonZeroUsize, time::Duration};

use postduif_core::{
    Acceptance, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider,
    async_trait,
    departure::{Departure, Proof},
};
use tokio::time::Instant;

use crate::{
    clock::{can_wait, sleep_until, timeout_at},
    dispatch::{IN_FLIGHT, call_size, in_calls, later, not_cut_off, refusal},
};

/// A layer with a deadline for each vendor call.
///
/// At the deadline, the call is dropped, and its messages end as `Timeout`: acceptance unknown, since the request may
/// have been written, or not accepted if nothing of the call had left. A [`check`](SmsProvider::check) has the same
/// deadline; it sends no message, so its `Timeout` is not accepted. With a deadline of zero, every message is refused
/// as `Misconfigured`, not accepted.
///
/// A provider whose calls carry one text each gets a batch of different texts message by message.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use postduif::{layers::Timeout, Acceptance, ErrorKind, SmsProvider as _};
/// use std::time::Duration;
///
/// # async fn example(vendor: impl SmsProvider, message: Message) {
/// let provider = Timeout::new(vendor, Duration::from_secs(10));
/// if let Err(error) = provider.send(&message).await {
///     if error.kind() == ErrorKind::Timeout && error.acceptance() == Acceptance::Unknown {
///         println!("the vendor did not respond within 10 seconds");
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
    /// Creates a layer with this deadline for each call to `inner`.
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
        can_wait(self.inner.profile())?;
        let departure = Departure::new();
        let ended = departure.run_until(sleep_until(self.ends_at()), call).await;
        match ended {
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

    fn ends_at(&self) -> Instant {
        later(Instant::now(), self.deadline)
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
                SendError::unknown(ErrorKind::Timeout, "no response before the deadline")
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
        self.leaves_time()
            .and_then(|()| can_wait(self.inner.profile()))
            .map_err(SendError::of_check)?;
        match timeout_at(self.ends_at(), self.inner.check()).await {
            Ok(checked) => checked.map_err(SendError::of_check),
            Err(_) => Err(self.late(Acceptance::Unknown).of_check()),
        }
    }
}
