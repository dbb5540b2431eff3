//! What the layers share: how messages reach the inner provider, and the trail of those who were tried.

use std::{borrow::Cow, num::NonZeroUsize};

use postduif_core::{
    Attempt, ErrorKind, Message, Outcomes, Profile, Receipt, SendError, SmsProvider,
};

/// Calls of one batch under way at a time, unless a layer is told otherwise.
pub(crate) const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// By which method messages reach the inner provider. A single send stays one all the way down: the repeat
/// window covers nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Batch,
    Single,
}

impl Way {
    pub(crate) async fn send<P: SmsProvider>(self, inner: &P, messages: &[Message]) -> Outcomes {
        match (self, messages) {
            (_, []) => Outcomes::in_doubt(messages),
            (Self::Single, [message]) => {
                let outcome = inner.send(message).await;
                let mut outcomes = Outcomes::in_doubt(messages);
                outcomes.set(0, outcome);
                outcomes
            }
            _ => inner.send_batch(messages).await,
        }
    }

    /// Sends the messages at these places, and puts their outcomes there.
    pub(crate) async fn send_some<P: SmsProvider>(
        self,
        inner: &P,
        messages: &[Message],
        places: &[usize],
        outcomes: &mut Outcomes,
    ) {
        let answered = if places.len() == messages.len() {
            self.send(inner, messages).await
        } else {
            let some: Vec<_> = places
                .iter()
                .filter_map(|&place| messages.get(place).cloned())
                .collect();
            self.send(inner, &some).await
        };
        for (&place, outcome) in places.iter().zip(answered) {
            outcomes.set(place, outcome);
        }
    }

    /// Sends what `pass` makes of the messages; what it refuses has its refusal for an outcome.
    pub(crate) async fn send_passed<P: SmsProvider>(
        self,
        inner: &P,
        messages: &[Message],
        pass: impl FnMut(&Message) -> Result<Message, SendError>,
    ) -> Outcomes {
        let verdicts: Vec<_> = messages.iter().map(pass).collect();
        let mut outcomes = Outcomes::in_doubt(messages);
        let (mut places, mut passed) = (Vec::new(), Vec::new());
        for (place, verdict) in verdicts.into_iter().enumerate() {
            match verdict {
                Ok(message) => {
                    places.push(place);
                    passed.push(message);
                }
                Err(error) => outcomes.set(place, Err(error)),
            }
        }
        for (place, outcome) in places.into_iter().zip(self.send(inner, &passed).await) {
            outcomes.set(place, outcome);
        }
        outcomes
    }
}

/// How many of these messages one vendor call carries. Where all of a call have the same text, a list of
/// different ones goes singly: cut larger, a piece would be many calls under one deadline.
pub(crate) fn call_size(profile: &Profile, messages: &[Message]) -> NonZeroUsize {
    let one_call = profile.different_texts()
        || messages
            .iter()
            .zip(messages.iter().skip(1))
            .all(|(one, next)| alike(one, next));
    match one_call {
        true => profile.batch_size(),
        false => NonZeroUsize::MIN,
    }
}

/// Whether two messages differ in nothing but recipient and reference.
pub(crate) fn alike(one: &Message, other: &Message) -> bool {
    one.text() == other.text()
        && one.sender() == other.sender()
        && one.validity() == other.validity()
        && one.send_at() == other.send_at()
}

/// A refusal of ours, before any call.
pub(crate) fn refusal(
    inner: &impl SmsProvider,
    kind: ErrorKind,
    message: &'static str,
) -> SendError {
    SendError::not_accepted(kind, message).with_provider(inner.profile().owned_name())
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

    /// Puts the trail before the one that the outcome has of its own.
    pub(crate) fn ends_in(
        mut self,
        outcome: Result<Receipt, SendError>,
    ) -> Result<Receipt, SendError> {
        if self.0.is_empty() {
            return outcome;
        }
        match outcome {
            Ok(receipt) => {
                self.0.extend_from_slice(receipt.attempts());
                Ok(receipt.with_attempts(self.0))
            }
            Err(error) => {
                self.0.extend_from_slice(error.attempts());
                Err(error.with_attempts(self.0))
            }
        }
    }
}
