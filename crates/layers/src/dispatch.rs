//! What the layers share: refusals, moments, verdicts on a batch, and the trail of those who were tried.

use std::{
    borrow::Cow,
    future::Future,
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postduif_core::{
    Attempt, BatchTexts, DepartureHandle, ErrorKind, Message, Outcomes, Profile, Receipt,
    SendError, SmsProvider, batch,
};
use tokio::time::Instant;

/// Calls of one batch under way at a time, unless a layer was set otherwise.
pub(crate) const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// The moment so long after `start`. What lies beyond the clock is far enough away: 30 years.
pub(crate) fn later(start: Instant, wait: Duration) -> Instant {
    let far = Duration::from_secs(30 * 365 * 86_400);
    start + wait.min(far)
}

/// Sends a batch. A message that the provider gave no outcome for is in doubt.
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

/// Sends the messages at these places, and returns their outcomes.
pub(crate) async fn send_some<P: SmsProvider>(
    inner: &P,
    messages: &[Message],
    places: &[usize],
) -> Outcomes {
    if places.len() == messages.len() {
        return send_batch(inner, messages).await;
    }
    let some: Vec<_> = places
        .iter()
        .filter_map(|&place| messages.get(place).cloned())
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

/// Puts these outcomes at these places.
pub(crate) fn put(places: &[usize], answered: Outcomes, outcomes: &mut Outcomes) {
    for (&place, outcome) in places.iter().zip(answered) {
        outcomes.set(place, outcome);
    }
}

fn left_out() -> SendError {
    SendError::unknown(
        ErrorKind::Protocol,
        "the provider gave no outcome for this message",
    )
}

/// Sends what `pass` makes of the messages; what it refuses has its refusal for an outcome.
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
    let (mut places, mut passed) = (Vec::new(), Vec::new());
    for (place, verdict) in verdicts.into_iter().enumerate() {
        match verdict {
            Ok(message) => {
                places.push(place);
                passed.push(message.into_owned());
            }
            Err(error) => outcomes.set(place, Err(error)),
        }
    }
    if !passed.is_empty() {
        put(&places, send_batch(inner, &passed).await, &mut outcomes);
    }
    outcomes
}

/// How many of these messages one vendor call carries. Where all of a call have the same text, a list of
/// different ones goes singly: cut larger, a piece would be many calls under one deadline.
pub(crate) fn call_size(profile: &Profile, messages: &[Message]) -> NonZeroUsize {
    let one_call = profile.batch_texts() == BatchTexts::Mixed
        || messages
            .iter()
            .zip(messages.iter().skip(1))
            .all(|(one, next)| alike(one, next));
    if one_call {
        profile.batch_size()
    } else {
        NonZeroUsize::MIN
    }
}

/// Whether two messages differ in nothing but recipient and reference.
pub(crate) fn alike(one: &Message, other: &Message) -> bool {
    one.text() == other.text()
        && one.sender() == other.sender()
        && one.validity() == other.validity()
        && one.send_at() == other.send_at()
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

/// Locks a mutex whose data stays valid where a holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who was tried for one message, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail(Vec<Attempt>);

impl Trail {
    /// Adds a failed try; the trail that its error has of its own comes before it, once.
    pub(crate) fn push(&mut self, provider: impl Into<Cow<'static, str>>, error: &SendError) {
        self.0.extend_from_slice(error.attempts());
        let error = error.clone().with_attempts(Vec::new());
        self.0.push(Attempt::new(provider, error));
    }

    /// Returns this trail with the later one after it.
    pub(crate) fn followed_by(&self, later: &Self) -> Self {
        Self([&self.0[..], &later.0[..]].concat())
    }

    /// Puts the trail before the one that the outcome has of its own.
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

    /// Puts the trail before the one that the error has of its own.
    pub(crate) fn before(mut self, error: SendError) -> SendError {
        if self.0.is_empty() {
            return error;
        }
        self.0.extend_from_slice(error.attempts());
        error.with_attempts(self.0)
    }
}
