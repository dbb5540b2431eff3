use std::{future::Future, num::NonZeroUsize};

use futures_util::{StreamExt as _, stream};

use crate::{Message, Outcomes, Receipt, SendError, departure::attempt};

/// Cuts a batch into pieces, makes a call for each, and joins the outcomes in the messages' order.
///
/// Pieces are begun in order, at most `in_flight` at a time. Whoever counts deadlines or permits does it
/// inside `call`, so that each belongs to one vendor call: a deadline over the whole batch would turn
/// messages that were accepted in time into doubts.
///
/// A `call` whose outcomes are not as many as its piece leaves those that are missing in doubt.
///
/// ```
/// # use std::num::NonZeroUsize;
/// # use postduif_core::{split, Message, Outcomes, Receipt, Text};
/// # futures_executor::block_on(async {
/// let to = "+31612345678".parse().unwrap();
/// let messages: Vec<_> = (0..5).map(|_| Message::new(to, Text::new("x").unwrap())).collect();
/// let (two, four) = (NonZeroUsize::new(2).unwrap(), NonZeroUsize::new(4).unwrap());
/// let outcomes = split(&messages, two, four, async |piece| {
///     assert!(piece.len() <= 2);
///     Outcomes::from_fn(piece, |message| Ok(Receipt::new("example", *message.reference())))
/// })
/// .await;
/// assert_eq!(outcomes.accepted(), 5);
/// # });
/// ```
pub async fn split<'a, Call, Answer>(
    messages: &'a [Message],
    piece: NonZeroUsize,
    in_flight: NonZeroUsize,
    call: Call,
) -> Outcomes
where
    Call: Fn(&'a [Message]) -> Answer,
    Answer: Future<Output = Outcomes>,
{
    let mut outcomes = Outcomes::in_doubt(messages);
    // Collected, so that no closure lives across an await: the future would not be `Send` for every
    // lifetime, as `async_trait` asks.
    let calls: Vec<_> = messages
        .chunks(piece.get())
        .map(|piece| attempt(whole(piece, call(piece))))
        .collect();
    let mut answers = stream::iter(calls).buffered(in_flight.get());
    let mut start = 0;
    for chunk in messages.chunks(piece.get()) {
        let Some(answer) = answers.next().await else {
            break;
        };
        for (place, outcome) in answer.into_iter().enumerate() {
            outcomes.set(start + place, outcome);
        }
        start += chunk.len();
    }
    outcomes
}

/// A piece's outcomes, one for each message: too few would pass for a proof that nothing left.
async fn whole(piece: &[Message], answer: impl Future<Output = Outcomes>) -> Outcomes {
    answer.await.covering(piece)
}

/// Sends each message in a call of its own, at most `in_flight` at a time: what a vendor's batch is where one
/// call carries one message.
///
/// ```
/// # use std::num::NonZeroUsize;
/// # use postduif_core::{singly, Message, Receipt, Text};
/// # futures_executor::block_on(async {
/// let to = "+31612345678".parse().unwrap();
/// let messages: Vec<_> = (0..5).map(|_| Message::new(to, Text::new("x").unwrap())).collect();
/// let eight = NonZeroUsize::new(8).unwrap();
/// let outcomes = singly(&messages, eight, async |message: &Message| {
///     Ok(Receipt::new("example", *message.reference()))
/// })
/// .await;
/// assert_eq!(outcomes.accepted(), 5);
/// # });
/// ```
pub async fn singly<'a, Call, Answer>(
    messages: &'a [Message],
    in_flight: NonZeroUsize,
    call: Call,
) -> Outcomes
where
    Call: Fn(&'a Message) -> Answer,
    Answer: Future<Output = Result<Receipt, SendError>>,
{
    let mut outcomes = Outcomes::in_doubt(messages);
    // Collected for the reason that `split` gives.
    let calls: Vec<_> = messages
        .iter()
        .map(|message| attempt(call(message)))
        .collect();
    let mut answers = stream::iter(calls).buffered(in_flight.get()).enumerate();
    while let Some((place, outcome)) = answers.next().await {
        outcomes.set(place, outcome);
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::{AtomicUsize, Ordering},
        task::Poll,
    };

    use futures_executor::block_on;

    use super::*;
    use crate::{Acceptance, Text};

    fn messages(count: usize) -> Vec<Message> {
        (0..count)
            .map(|_| Message::new("+31612345678".parse().unwrap(), Text::new("x").unwrap()))
            .collect()
    }

    fn accept(piece: &[Message]) -> Outcomes {
        Outcomes::from_fn(piece, |message| {
            Ok(Receipt::new("example", *message.reference()))
        })
    }

    fn size(size: usize) -> NonZeroUsize {
        NonZeroUsize::new(size).unwrap()
    }

    #[test]
    fn every_outcome_lands_on_its_own_message() {
        for count in 0..8 {
            for piece in 1..5 {
                let messages = messages(count);
                let outcomes = block_on(split(&messages, size(piece), size(3), async |piece| {
                    accept(piece)
                }));
                let sent: Vec<_> = messages.iter().map(Message::reference).collect();
                let told: Vec<_> = outcomes
                    .iter()
                    .map(|outcome| outcome.as_ref().unwrap().reference())
                    .collect();
                assert_eq!(sent, told);
            }
        }
    }

    #[test]
    fn no_more_calls_are_in_flight_than_allowed() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let outcomes = block_on(split(&messages(20), size(1), size(3), async |piece| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let mut polled = false;
            poll_fn(|context| {
                context.waker().wake_by_ref();
                if std::mem::replace(&mut polled, true) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
            now.fetch_sub(1, Ordering::SeqCst);
            accept(piece)
        }));
        assert_eq!((outcomes.accepted(), most.into_inner()), (20, 3));
    }

    #[test]
    fn single_calls_land_on_their_own_messages() {
        let messages = messages(7);
        let outcomes = block_on(singly(&messages, size(3), async |message: &Message| {
            Ok(Receipt::new("example", *message.reference()))
        }));
        for (message, outcome) in messages.iter().zip(&outcomes) {
            assert_eq!(outcome.as_ref().unwrap().reference(), message.reference());
        }
    }

    #[test]
    fn what_a_call_leaves_out_stays_in_doubt() {
        let messages = messages(4);
        let outcomes = block_on(split(&messages, size(2), size(1), async |piece| {
            accept(&piece[..1])
        }));
        let doubts: Vec<_> = outcomes.iter().map(|outcome| outcome.is_err()).collect();
        assert_eq!(doubts, [false, true, false, true]);
        assert_eq!(
            outcomes[1].as_ref().unwrap_err().acceptance(),
            Acceptance::Unknown
        );
    }
}
