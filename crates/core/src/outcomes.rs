use std::{ops::Index, slice};

use crate::{ErrorKind, Message, Receipt, SendError};

/// One outcome for each message of a batch, in the messages' order.
///
/// It is made *from* the messages and filled with "unknown", so that it cannot have another length than
/// they have, and a message that an answer leaves out stays in doubt.
///
/// ```
/// use postduif_core::{Acceptance, Message, Outcomes, Receipt, Text};
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
pub struct Outcomes(Vec<Result<Receipt, SendError>>);

impl Outcomes {
    /// Every message in doubt, until something better is known of it.
    pub fn in_doubt(messages: &[Message]) -> Self {
        let error = SendError::unknown(
            ErrorKind::Protocol,
            "the answer does not mention this message",
        );
        Self::failed(messages, &error)
    }

    /// The same failure for every message: the call as a whole failed.
    pub fn failed(messages: &[Message], error: &SendError) -> Self {
        Self::from_fn(messages, |_| Err(error.clone()))
    }

    /// An outcome for each message, as `outcome` says.
    pub fn from_fn<'a>(
        messages: &'a [Message],
        outcome: impl FnMut(&'a Message) -> Result<Receipt, SendError>,
    ) -> Self {
        Self(messages.iter().map(outcome).collect())
    }

    /// Makes it one outcome for each of these messages: those that are missing are in doubt, and those beyond
    /// are dropped. For outcomes of a provider that may have given too few.
    pub fn covering(self, messages: &[Message]) -> Self {
        if self.len() == messages.len() {
            return self;
        }
        let mut covering = Self::in_doubt(messages);
        for (index, outcome) in self.0.into_iter().enumerate() {
            covering.set(index, outcome);
        }
        covering
    }

    /// Replaces the outcome of the message at this index. An index beyond the batch changes nothing.
    pub fn set(&mut self, index: usize, outcome: Result<Receipt, SendError>) {
        if let Some(place) = self.0.get_mut(index) {
            *place = outcome;
        }
    }

    /// The outcome of the message at this index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Result<Receipt, SendError>> {
        self.0.get(index)
    }

    /// As many as there are messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there was no message at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The outcomes, in the messages' order.
    pub fn iter(&self) -> slice::Iter<'_, Result<Receipt, SendError>> {
        self.0.iter()
    }

    /// How many messages were accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.iter().filter(|outcome| outcome.is_ok()).count()
    }

    /// The outcome of the only message, for whoever does the work for one and for many in one place.
    ///
    /// # Errors
    ///
    /// The message's own failure; and where there is not exactly one message, one in doubt.
    pub fn into_single(mut self) -> Result<Receipt, SendError> {
        match self.0.pop() {
            Some(outcome) if self.0.is_empty() => outcome,
            _ => Err(SendError::unknown(
                ErrorKind::Protocol,
                "not one outcome for one message",
            )),
        }
    }
}

impl Index<usize> for Outcomes {
    type Output = Result<Receipt, SendError>;

    fn index(&self, index: usize) -> &Self::Output {
        &self.0[index]
    }
}

impl IntoIterator for Outcomes {
    type Item = Result<Receipt, SendError>;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
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
