//! **Does:** lets no call begin after the deadline: a message of which nothing has left by then is not accepted, and a
//! call under way continues to its outcome.
//!
//! **Never:** drops a call that may have left, so it creates no doubt; never lets a repeat or the next member's
//! turn begin after the deadline.
//!
//! **Belongs** around [`Failover`](crate::Failover), or around all that may take a message's time, and inside of
//! [`Dedupe`](crate::Dedupe), whose sends are not part of the call that began them. The calls inside need
//! their own deadlines ([`Timeout`](crate::Timeout)), since this layer waits for them.

use std::{
    borrow::Cow,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use postduif_core::{
    ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
    departure::{Departure, Proof},
};
use tokio::time::Instant;

use crate::{
    clock::{can_wait, sleep_until, timeout_at},
    dispatch::{later, refusal},
    scope::{Progress, Watch},
};

/// A layer with a deadline after which no call begins.
///
/// It serves callers that need an early outcome without a doubt, such as a user at a form, or a system that must
/// respond within a window. At the deadline
///
/// - a message that still waits for a turn, a token, a connection or a repeat is not accepted, as `Timeout`;
/// - a call that may have left continues to its outcome, without a repeat and without another member.
///
/// A [`Timeout`](crate::Timeout) around a stack drops that call instead, and leaves its message in doubt.
///
/// The error of a single send names the member of a [`Failover`](crate::Failover) that had the message and those that
/// were not tried; its [`attempts`](SendError::attempts) are those that had failed by then.
///
/// The outcome comes at the latest after the deadline plus that of one vendor call ([`Timeout`](crate::Timeout)). A
/// message in doubt whose repeat still waits at the deadline stays in doubt. Of a batch, the calls that still wait are
/// not accepted, and the others end with their outcomes. A provider that declares nothing through a [`Departure`]
/// counts as having left from its start.
///
/// # How long
///
/// A deadline shorter than the longest wait of a [`Failover`](crate::Failover)'s first member leaves no time for the
/// second. A stalled token endpoint takes up to 8 seconds, and a call as long as its [`Timeout`](crate::Timeout). Give
/// each member a `Timeout` of at most the deadline divided by the number of members, so that the first leaves time for
/// the others.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use postduif::{layers::StartWithin, Acceptance, ErrorKind, SmsProvider as _};
/// use std::time::Duration;
///
/// # async fn example(stack: impl SmsProvider, message: Message) {
/// let provider = StartWithin::new(stack, Duration::from_secs(10));
/// match provider.send(&message).await {
///     Err(error) if error.kind() == ErrorKind::Timeout && error.acceptance() == Acceptance::NotAccepted => {
///         println!("no vendor could take it within 10 seconds");
///     }
///     _ => {}
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct StartWithin<P> {
    inner: P,
    deadline: Duration,
}

impl<P: SmsProvider> StartWithin<P> {
    /// Creates a layer that lets `inner` begin calls until the deadline.
    #[must_use]
    pub const fn new(inner: P, deadline: Duration) -> Self {
        Self { inner, deadline }
    }

    fn too_late(&self, progress: Progress) -> SendError {
        let message = match (progress.waits_for, progress.not_tried.as_slice()) {
            (None, _) => Cow::Borrowed("the deadline passed before anything was sent"),
            (Some(member), []) => format!("the deadline passed while waiting for {member}").into(),
            (Some(member), [other]) => {
                format!("the deadline passed while waiting for {member}; {other} was not tried")
                    .into()
            }
            (Some(member), others) => {
                let others = others.join(", ");
                format!("the deadline passed while waiting for {member}; {others} were not tried")
                    .into()
            }
        };
        let error = refusal(self.inner.profile(), ErrorKind::Timeout, message);
        progress.attempts.before(error)
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for StartWithin<P> {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        can_wait(self.profile())?;
        let watch = Arc::new(Watch::default());
        let call = Progress::watched(Arc::clone(&watch), self.inner.send(message));
        match started(self.deadline, call).await {
            Some(outcome) => outcome,
            None => Err(self.too_late(Progress::of(&watch))),
        }
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        if let Err(error) = can_wait(self.profile()) {
            return Outcomes::failed(messages, &error);
        }
        match started(self.deadline, self.inner.send_batch(messages)).await {
            Some(outcomes) => outcomes,
            None => Outcomes::failed(messages, &self.too_late(Progress::default())),
        }
    }

    /// Checks with the same deadline, at which it is dropped: a check sends no message.
    async fn check(&self) -> Result<Health, SendError> {
        can_wait(self.profile()).map_err(SendError::of_check)?;
        let ends_at = later(Instant::now(), self.deadline);
        match timeout_at(ends_at, self.inner.check()).await {
            Ok(checked) => checked.map_err(SendError::of_check),
            Err(_) => Err(self.too_late(Progress::default()).of_check()),
        }
    }
}

/// Runs a call that may begin until the deadline, and returns `None` if nothing of it had left by then.
pub(crate) async fn started<T: Proof>(
    deadline: Duration,
    call: impl Future<Output = T> + Send,
) -> Option<T> {
    let departure = Departure::new();
    let outcome = {
        let mut call = pin!(departure.scope(call));
        let mut deadline = pin!(sleep_until(later(Instant::now(), deadline)));
        let mut passed = false;
        poll_fn(|context| {
            if let Poll::Ready(outcome) = call.as_mut().poll(context) {
                return Poll::Ready(Some(outcome));
            }
            passed = passed || deadline.as_mut().poll(context).is_ready();
            // Checked at each poll: a call that is refused after the deadline no longer counts as having left.
            if passed && departure.close() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    };
    match &outcome {
        Some(outcome) => departure.end(outcome),
        None => {
            let error = SendError::not_accepted(ErrorKind::Timeout, "the deadline passed");
            departure.end(&Err::<Receipt, _>(error));
        }
    }
    outcome
}
