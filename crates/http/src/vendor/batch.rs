//! Batches: which messages may share a request, and which message each verdict belongs to.

use std::collections::HashMap;

use postduif_core::{Acceptance, ErrorKind, Message, PhoneNumber, Receipt, Reference, SendError};

use crate::Response;

/// Groups the messages at these indices so that no group has a duplicate reference, since a response could not
/// distinguish the two messages.
#[must_use]
pub fn with_distinct_references(
    messages: &[Message],
    indices: impl IntoIterator<Item = usize>,
) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut seen: HashMap<&Reference, usize> = HashMap::new();
    for index in indices {
        let Some(message) = messages.get(index) else {
            continue;
        };
        let times = seen.entry(message.reference()).or_default();
        if groups.len() == *times {
            groups.push(Vec::new());
        }
        groups[*times].push(index);
        *times += 1;
    }
    groups
}

/// The messages of one request, and the verdicts on them so far.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_http as http; }
/// use postduif::{http::vendor::batch::Verdicts, Acceptance, Message, Receipt, Text};
///
/// let message = |number: &str| -> Result<_, Box<dyn std::error::Error>> {
///     Ok(Message::new(number.parse()?, Text::new("Your code is 482913")?))
/// };
/// let (first, second) = (message("+31612345678")?, message("+31687654321")?);
/// let mut verdicts = Verdicts::new(vec![&first, &second]);
/// let index = verdicts.find(None, Some("31687654321")).expect("one of the two");
/// verdicts.add(index, Ok(Receipt::new("example", *second.reference())));
/// let outcomes = verdicts.finish();
/// assert_eq!(outcomes[0].as_ref().unwrap_err().acceptance(), Acceptance::Unknown);
/// assert!(outcomes[1].is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Verdicts<'a> {
    messages: Vec<&'a Message>,
    by_reference: HashMap<&'a str, usize>,
    /// `None` if several messages have the number.
    by_number: HashMap<PhoneNumber, Option<usize>>,
    outcomes: Vec<Option<Result<Receipt, SendError>>>,
}

impl<'a> Verdicts<'a> {
    /// Creates an empty set of verdicts on the messages of one request.
    #[must_use]
    pub fn new(messages: Vec<&'a Message>) -> Self {
        let mut by_number = HashMap::new();
        for (index, message) in messages.iter().enumerate() {
            by_number
                .entry(message.to())
                .and_modify(|index| *index = None)
                .or_insert(Some(index));
        }
        let references = messages.iter().enumerate();
        Self {
            by_reference: references
                .map(|(index, message)| (message.reference().as_str(), index))
                .collect(),
            by_number,
            outcomes: vec![None; messages.len()],
            messages,
        }
    }

    /// Returns the message at this index of the request.
    #[must_use]
    pub fn message(&self, index: usize) -> Option<&'a Message> {
        self.messages.get(index).copied()
    }

    /// Returns the number of messages in the request.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns whether the request has no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Returns the index of the only message that a verdict can belong to: by its reference, else by its number if no
    /// other message has it. `None` if neither matches one message.
    ///
    /// A verdict without either matches only in a request for one message, since no vendor promises the order.
    #[must_use]
    pub fn find(&self, reference: Option<&str>, number: Option<&str>) -> Option<usize> {
        match (reference, number) {
            (Some(reference), _) => self.by_reference.get(reference).copied(),
            (None, Some(number)) => {
                let number = PhoneNumber::from_msisdn(number).ok()?;
                self.by_number.get(&number).copied().flatten()
            }
            (None, None) => (self.messages.len() == 1).then_some(0),
        }
    }

    /// Adds a verdict on the message at this index.
    ///
    /// A duplicate acceptance changes nothing. Of two refusals the first is kept, unless the second is in doubt. An
    /// acceptance beside a refusal is a [contradiction](Response::contradiction).
    pub fn add(&mut self, index: usize, verdict: Result<Receipt, SendError>) {
        let Some(outcome) = self.outcomes.get_mut(index) else {
            return;
        };
        *outcome = Some(match (outcome.take(), verdict) {
            (None, verdict) => verdict,
            (Some(Ok(first)), Ok(_)) => Ok(first),
            (Some(Err(_)), Err(second)) if second.acceptance() == Acceptance::Unknown => {
                Err(second)
            }
            (Some(Err(first)), Err(_)) => Err(first),
            (Some(_), _) => Err(Response::contradiction()),
        });
    }

    /// Returns the outcome of each message, in the request's order. A message without a verdict is in doubt.
    #[must_use]
    pub fn finish(self) -> Vec<Result<Receipt, SendError>> {
        let unmentioned = || {
            SendError::unknown(
                ErrorKind::Protocol,
                "the response has no clear verdict on this message",
            )
        };
        self.outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| Err(unmentioned())))
            .collect()
    }
}
