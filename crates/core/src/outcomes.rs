use std::{array, ops::Index, slice, sync::OnceLock, vec};

use crate::{ErrorKind, Message, Receipt, SendError};

type Outcome = Result<Receipt, SendError>;

/// The outcomes of a batch, one per message, in the messages' order.
///
/// It is created *from* the messages and starts as in doubt, so its length always equals theirs, and
/// a message that a response leaves out stays in doubt. The outcome of a single message does not allocate.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{Acceptance, Message, Outcomes, Receipt, Text};
///
/// let to = "+31612345678".parse()?;
/// let messages = [Message::new(to, Text::new("one")?), Message::new(to, Text::new("two")?)];
/// let mut outcomes = Outcomes::in_doubt(&messages);
/// outcomes.set(1, Ok(Receipt::new("kpn", *messages[1].reference())));
/// assert_eq!(outcomes[0].as_ref().unwrap_err().acceptance(), Acceptance::Unknown);
/// assert!(outcomes[1].is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "an outcome that nobody reads may be a message in doubt"]
pub struct Outcomes(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Many(Vec<Outcome>),
    One([Outcome; 1]),
}

impl Outcomes {
    /// Creates outcomes in which every message is in doubt, until its outcome is set.
    pub fn in_doubt(messages: &[Message]) -> Self {
        static DOUBT: OnceLock<SendError> = OnceLock::new();
        let doubt = DOUBT.get_or_init(|| {
            SendError::unknown(
                ErrorKind::Protocol,
                "the response does not mention this message",
            )
        });
        Self::failed(messages, doubt)
    }

    /// Creates outcomes with the same failure for every message: the call as a whole failed.
    pub fn failed(messages: &[Message], error: &SendError) -> Self {
        Self::from_fn(messages, |_| Err(error.clone()))
    }

    /// Creates the outcome of each message by calling `outcome` with it.
    pub fn from_fn<'a>(
        messages: &'a [Message],
        mut outcome: impl FnMut(&'a Message) -> Result<Receipt, SendError>,
    ) -> Self {
        match messages {
            [message] => Self::one(outcome(message)),
            messages => Self(Inner::Many(messages.iter().map(outcome).collect())),
        }
    }

    /// Creates the outcome of a single message.
    pub const fn one(outcome: Result<Receipt, SendError>) -> Self {
        Self(Inner::One([outcome]))
    }

    /// Returns one outcome per message, for a provider that may have returned too few: missing outcomes are in doubt,
    /// and those beyond the messages are dropped.
    pub fn covering(self, messages: &[Message]) -> Self {
        if self.len() == messages.len() {
            return self;
        }
        let mut covering = Self::in_doubt(messages);
        for (index, outcome) in self.into_iter().enumerate() {
            covering.set(index, outcome);
        }
        covering
    }

    /// Replaces the outcome of the message at this index. An index beyond the batch changes nothing.
    pub fn set(&mut self, index: usize, outcome: Result<Receipt, SendError>) {
        let outcomes = match &mut self.0 {
            Inner::Many(outcomes) => outcomes.as_mut_slice(),
            Inner::One(outcomes) => outcomes,
        };
        if let Some(current) = outcomes.get_mut(index) {
            *current = outcome;
        }
    }

    /// Returns the outcome of the message at this index, or `None` beyond the batch.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Result<Receipt, SendError>> {
        self.as_slice().get(index)
    }

    /// Returns the number of outcomes, one per message.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Returns whether there was no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Returns an iterator over the outcomes, in the messages' order.
    pub fn iter(&self) -> slice::Iter<'_, Result<Receipt, SendError>> {
        self.as_slice().iter()
    }

    /// Returns how many messages were accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.iter().filter(|outcome| outcome.is_ok()).count()
    }

    /// Returns the only outcome. Intended for providers that implement `send` on top of `send_batch`.
    ///
    /// # Errors
    ///
    /// Returns an error in doubt if there is not exactly one message.
    pub fn into_single(self) -> Result<Receipt, SendError> {
        let mut outcomes = self.into_iter();
        match (outcomes.next(), outcomes.next()) {
            (Some(outcome), None) => outcome,
            _ => Err(SendError::unknown(
                ErrorKind::Protocol,
                "not one outcome for one message",
            )),
        }
    }

    fn as_slice(&self) -> &[Outcome] {
        match &self.0 {
            Inner::Many(outcomes) => outcomes,
            Inner::One(outcomes) => outcomes,
        }
    }
}

impl Index<usize> for Outcomes {
    type Output = Result<Receipt, SendError>;

    fn index(&self, index: usize) -> &Self::Output {
        &self.as_slice()[index]
    }
}

/// An iterator over [`Outcomes`] by value.
#[derive(Debug)]
pub struct IntoIter(Items);

#[derive(Debug)]
enum Items {
    Many(vec::IntoIter<Outcome>),
    One(array::IntoIter<Outcome, 1>),
}

impl Iterator for IntoIter {
    type Item = Result<Receipt, SendError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Items::Many(outcomes) => outcomes.next(),
            Items::One(outcomes) => outcomes.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Items::Many(outcomes) => outcomes.size_hint(),
            Items::One(outcomes) => outcomes.size_hint(),
        }
    }
}

impl ExactSizeIterator for IntoIter {}

impl IntoIterator for Outcomes {
    type Item = Result<Receipt, SendError>;
    type IntoIter = IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        IntoIter(match self.0 {
            Inner::Many(outcomes) => Items::Many(outcomes.into_iter()),
            Inner::One(outcomes) => Items::One(outcomes.into_iter()),
        })
    }
}

impl<'a> IntoIterator for &'a Outcomes {
    type Item = &'a Result<Receipt, SendError>;
    type IntoIter = slice::Iter<'a, Result<Receipt, SendError>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Acceptance, Text};

    fn messages(count: usize) -> Vec<Message> {
        (0..count)
            .map(|_| Message::new("+31612345678".parse().unwrap(), Text::new("x").unwrap()))
            .collect()
    }

    #[test]
    fn outcomes_are_as_many_as_messages_and_begin_in_doubt() {
        for count in 0..4 {
            let outcomes = Outcomes::in_doubt(&messages(count));
            assert_eq!(outcomes.len(), count);
            for outcome in &outcomes {
                assert_eq!(
                    outcome.as_ref().unwrap_err().acceptance(),
                    Acceptance::Unknown
                );
            }
        }
    }

    #[test]
    fn an_index_beyond_the_batch_changes_nothing() {
        let messages = messages(2);
        let mut outcomes = Outcomes::in_doubt(&messages);
        outcomes.set(2, Ok(Receipt::new("kpn", *messages[0].reference())));
        assert_eq!((outcomes.len(), outcomes.accepted()), (2, 0));
    }

    #[test]
    fn what_is_missing_is_in_doubt_and_what_is_too_much_is_dropped() {
        let messages = messages(3);
        let receipt = |message: &Message| Ok(Receipt::new("kpn", *message.reference()));
        for told in 0..3 {
            let outcomes = Outcomes::from_fn(&messages[..told], receipt).covering(&messages);
            assert_eq!((outcomes.len(), outcomes.accepted()), (3, told));
        }
        let outcomes = Outcomes::from_fn(&messages, receipt).covering(&messages[..1]);
        assert_eq!(outcomes.len(), 1);
    }

    #[test]
    fn single_is_the_outcome_of_one_message_and_a_doubt_otherwise() {
        let one = messages(1);
        let receipt = |message: &Message| Ok(Receipt::new("kpn", *message.reference()));
        assert!(Outcomes::from_fn(&one, receipt).into_single().is_ok());
        for count in [0, 2] {
            let error = Outcomes::from_fn(&messages(count), receipt)
                .into_single()
                .unwrap_err();
            assert_eq!(error.acceptance(), Acceptance::Unknown);
        }
    }
}
