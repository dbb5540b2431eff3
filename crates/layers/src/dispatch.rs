//! Helpers that the layers share: refusals, instants, batches in calls, and the trail of failed attempts.

use std::{
    borrow::Cow,
    future::Future,
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postduif_core::{
    Attempt, BatchTexts, ErrorKind, Message, Outcomes, Profile, Receipt, SendError, SmsProvider,
    batch, departure::DepartureHandle,
};
use tokio::time::Instant;

/// The default number of calls of one batch under way at a time.
pub(crate) const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// Returns the instant `wait` after `start`, or 30 years after it if that is earlier: the clock has an end.
pub(crate) fn later(start: Instant, wait: Duration) -> Instant {
    let far = Duration::from_secs(30 * 365 * 86_400);
    start + wait.min(far)
}

/// Sends a batch. A message without an outcome from the provider is in doubt.
pub(crate) async fn send_batch<P: SmsProvider>(inner: &P, messages: &[Message]) -> Outcomes {
    let outcomes = inner.send_batch(messages).await;
    if outcomes.len() == messages.len() {
        return outcomes;
    }
    let mut outcomes = outcomes.into_iter();
    Outcomes::from_fn(messages, |_| {
        outcomes.next().unwrap_or_else(|| Err(left_out()))
    })
}

/// Sends the messages at these indices, and returns their outcomes in that order.
pub(crate) async fn send_some<P: SmsProvider>(
    inner: &P,
    messages: &[Message],
    indices: &[usize],
) -> Outcomes {
    if indices.len() == messages.len() {
        return send_batch(inner, messages).await;
    }
    let some: Vec<_> = indices
        .iter()
        .filter_map(|&index| messages.get(index).cloned())
        .collect();
    match some.as_slice() {
        [] => Outcomes::in_doubt(&[]),
        some => send_batch(inner, some).await,
    }
}

/// Sends a batch in calls of up to `size` messages.
///
/// The future of a call is boxed when its turn comes: `in_chunks` makes one for each call at once.
pub(crate) async fn in_calls<'a, Call, Response>(
    messages: &'a [Message],
    size: NonZeroUsize,
    in_flight: NonZeroUsize,
    call: Call,
) -> Outcomes
where
    Call: Fn(&'a [Message]) -> Response + Copy,
    Response: Future<Output = Outcomes>,
{
    batch::in_chunks(messages, size, in_flight, move |piece| async move {
        Box::pin(call(piece)).await
    })
    .await
}

/// Sets the outcomes at these indices.
pub(crate) fn put(indices: &[usize], some: Outcomes, outcomes: &mut Outcomes) {
    for (&index, outcome) in indices.iter().zip(some) {
        outcomes.set(index, outcome);
    }
}

fn left_out() -> SendError {
    SendError::unknown(
        ErrorKind::Protocol,
        "the provider gave no outcome for this message",
    )
}

/// Sends the messages that `pass` returns. The outcome of one that it refuses is that refusal.
pub(crate) async fn send_passed<'a, P: SmsProvider>(
    inner: &P,
    messages: &'a [Message],
    pass: impl FnMut(&'a Message) -> Result<Cow<'a, Message>, SendError>,
) -> Outcomes {
    let verdicts: Vec<_> = messages.iter().map(pass).collect();
    let untouched = |verdict: &Result<Cow<'_, Message>, _>| matches!(verdict, Ok(Cow::Borrowed(_)));
    if verdicts.iter().all(untouched) {
        return send_batch(inner, messages).await;
    }
    let mut outcomes = Outcomes::in_doubt(messages);
    let (mut indices, mut passed) = (Vec::new(), Vec::new());
    for (index, verdict) in verdicts.into_iter().enumerate() {
        match verdict {
            Ok(message) => {
                indices.push(index);
                passed.push(message.into_owned());
            }
            Err(error) => outcomes.set(index, Err(error)),
        }
    }
    if !passed.is_empty() {
        put(&indices, send_batch(inner, &passed).await, &mut outcomes);
    }
    outcomes
}

/// Returns how many of these messages one vendor call carries. If a call carries one text only, messages with different
/// texts go singly: a larger chunk would be many calls under one deadline.
pub(crate) fn call_size(profile: &Profile, messages: &[Message]) -> NonZeroUsize {
    let one_call = profile.batch_texts() == BatchTexts::Mixed
        || messages
            .iter()
            .zip(messages.iter().skip(1))
            .all(|(one, next)| one.has_same_content(next));
    if one_call {
        profile.batch_size()
    } else {
        NonZeroUsize::MIN
    }
}

/// Creates the refusal of a layer with this profile, which made no call.
pub(crate) fn refusal(
    profile: &Profile,
    kind: ErrorKind,
    message: impl Into<Cow<'static, str>>,
) -> SendError {
    SendError::not_accepted(kind, message)
        .with_provider(profile.owned_name())
        .local()
}

/// Returns whether the call that is being polled was cut off, so that nothing of it may begin any more.
pub(crate) fn is_cut_off() -> bool {
    DepartureHandle::current().is_some_and(|departure| departure.is_closed())
}

/// Refuses a call that was cut off before it began.
pub(crate) fn not_cut_off(profile: &Profile) -> Result<(), SendError> {
    if is_cut_off() {
        Err(cut_off(profile))
    } else {
        Ok(())
    }
}

/// Creates the refusal of a call that was cut off before it began.
pub(crate) fn cut_off(profile: &Profile) -> SendError {
    let message = "the call was cut off before it began";
    refusal(profile, ErrorKind::Timeout, message)
}

/// Locks a mutex whose data stays valid even if a holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The failed attempts of one message, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail(Vec<Attempt>);

impl Trail {
    /// Adds a failed attempt, after those that its error has itself.
    pub(crate) fn push(&mut self, provider: impl Into<Cow<'static, str>>, error: &SendError) {
        self.0.extend_from_slice(error.attempts());
        let error = error.clone().with_attempts(Vec::new());
        self.0.push(Attempt::new(provider, error));
    }

    /// Returns this trail with the later one after it.
    pub(crate) fn followed_by(&self, later: &Self) -> Self {
        Self([&self.0[..], &later.0[..]].concat())
    }

    /// Puts the trail before the attempts of the outcome.
    pub(crate) fn ends_in(
        mut self,
        outcome: Result<Receipt, SendError>,
    ) -> Result<Receipt, SendError> {
        match outcome {
            Ok(receipt) if self.0.is_empty() => Ok(receipt),
            Ok(receipt) => {
                self.0.extend_from_slice(receipt.attempts());
                Ok(receipt.with_attempts(self.0))
            }
            Err(error) => Err(self.before(error)),
        }
    }

    /// Puts the trail before the attempts of the error.
    pub(crate) fn before(mut self, error: SendError) -> SendError {
        if self.0.is_empty() {
            return error;
        }
        self.0.extend_from_slice(error.attempts());
        error.with_attempts(self.0)
    }
}
