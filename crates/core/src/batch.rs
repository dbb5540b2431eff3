//! Splitting a batch into requests.
//!
//! A provider or layer that implements [`send_batch`](crate::SmsProvider::send_batch) makes one call per chunk with
//! [`in_chunks`], or one call per message with [`one_by_one`].

use std::{future::Future, num::NonZeroUsize};

use futures_util::{StreamExt as _, stream};

use crate::{Message, Outcomes, Receipt, SendError, departure::attempt};

/// Makes a call for each chunk of a batch, and returns the outcomes in the order of the messages.
///
/// Chunks have up to `size` messages and start in order, up to `in_flight` at a time. Deadlines and permits belong
/// inside `call`, so that each covers one request: a deadline over the whole batch would put messages in doubt that
/// were accepted in time.
///
/// If `call` returns too few outcomes for its chunk, the missing ones are in doubt.
///
/// ```
/// # use postduif_core as postduif;
/// use std::num::NonZeroUsize;
/// use postduif::{Message, Outcomes, Receipt, Text, batch};
///
/// # futures_executor::block_on(async {
/// let to = "+31612345678".parse().unwrap();
/// let messages: Vec<_> = (0..5).map(|_| Message::new(to, Text::new("x").unwrap())).collect();
/// let (two, four) = (NonZeroUsize::new(2).unwrap(), NonZeroUsize::new(4).unwrap());
/// let outcomes = batch::in_chunks(&messages, two, four, async |chunk| {
///     assert!(chunk.len() <= 2);
///     Outcomes::from_fn(chunk, |message| Ok(Receipt::new("example", *message.reference())))
/// })
/// .await;
/// assert_eq!(outcomes.accepted(), 5);
/// # });
/// ```
pub async fn in_chunks<'a, Call, Response>(
    messages: &'a [Message],
    size: NonZeroUsize,
    in_flight: NonZeroUsize,
    call: Call,
) -> Outcomes
where
    Call: Fn(&'a [Message]) -> Response,
    Response: Future<Output = Outcomes>,
{
    if (1..=size.get()).contains(&messages.len()) {
        let response = call(messages);
        drop(call);
        return attempt(whole(messages, response)).await;
    }
    let mut outcomes = Outcomes::in_doubt(messages);
    // Collected, so that no closure lives across an await: the future would not be `Send` for every
    // lifetime, as `async_trait` requires.
    let calls: Vec<_> = messages
        .chunks(size.get())
        .map(|chunk| attempt(whole(chunk, call(chunk))))
        .collect();
    let mut responses = stream::iter(calls).buffered(in_flight.get());
    let mut start = 0;
    for chunk in messages.chunks(size.get()) {
        let Some(response) = responses.next().await else {
            break;
        };
        for (index, outcome) in response.into_iter().enumerate() {
            outcomes.set(start + index, outcome);
        }
        start += chunk.len();
    }
    outcomes
}

/// Returns one outcome for each message of a chunk. With too few, the rest could pass for proof that nothing left.
async fn whole(chunk: &[Message], response: impl Future<Output = Outcomes>) -> Outcomes {
    response.await.covering(chunk)
}

/// Makes a call for each message of a batch, and returns the outcomes in the order of the messages.
///
/// Calls start in order, up to `in_flight` at a time. This is the batch of a vendor whose requests carry one message.
///
/// ```
/// # use postduif_core as postduif;
/// use std::num::NonZeroUsize;
/// use postduif::{Message, Receipt, Text, batch};
///
/// # futures_executor::block_on(async {
/// let to = "+31612345678".parse().unwrap();
/// let messages: Vec<_> = (0..5).map(|_| Message::new(to, Text::new("x").unwrap())).collect();
/// let eight = NonZeroUsize::new(8).unwrap();
/// let outcomes = batch::one_by_one(&messages, eight, async |message: &Message| {
///     Ok(Receipt::new("example", *message.reference()))
/// })
/// .await;
/// assert_eq!(outcomes.accepted(), 5);
/// # });
/// ```
pub async fn one_by_one<'a, Call, Response>(
    messages: &'a [Message],
    in_flight: NonZeroUsize,
    call: Call,
) -> Outcomes
where
    Call: Fn(&'a Message) -> Response,
    Response: Future<Output = Result<Receipt, SendError>>,
{
    if let [message] = messages {
        let response = call(message);
        drop(call);
        return Outcomes::one(attempt(response).await);
    }
    let mut outcomes = Outcomes::in_doubt(messages);
    // Collected for the same reason as in `in_chunks`.
    let calls: Vec<_> = messages
        .iter()
        .map(|message| attempt(call(message)))
        .collect();
    let mut responses = stream::iter(calls).buffered(in_flight.get()).enumerate();
    while let Some((index, outcome)) = responses.next().await {
        outcomes.set(index, outcome);
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

    fn accept(chunk: &[Message]) -> Outcomes {
        Outcomes::from_fn(chunk, |message| {
            Ok(Receipt::new("example", *message.reference()))
        })
    }

    fn size(size: usize) -> NonZeroUsize {
        NonZeroUsize::new(size).unwrap()
    }

    #[test]
    fn every_outcome_lands_on_its_own_message() {
        for count in 0..8 {
            for chunk in 1..5 {
                let messages = messages(count);
                let outcomes =
                    block_on(in_chunks(&messages, size(chunk), size(3), async |chunk| {
                        accept(chunk)
                    }));
                let sent: Vec<_> = messages.iter().map(Message::reference).collect();
                let returned: Vec<_> = outcomes
                    .iter()
                    .map(|outcome| outcome.as_ref().unwrap().reference())
                    .collect();
                assert_eq!(sent, returned);
            }
        }
    }

    #[test]
    fn no_more_calls_are_in_flight_than_allowed() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let outcomes = block_on(in_chunks(&messages(20), size(1), size(3), async |chunk| {
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
            accept(chunk)
        }));
        assert_eq!((outcomes.accepted(), most.into_inner()), (20, 3));
    }

    #[test]
    fn single_calls_land_on_their_own_messages() {
        let messages = messages(7);
        let outcomes = block_on(one_by_one(&messages, size(3), async |message: &Message| {
            Ok(Receipt::new("example", *message.reference()))
        }));
        for (message, outcome) in messages.iter().zip(&outcomes) {
            assert_eq!(outcome.as_ref().unwrap().reference(), message.reference());
        }
    }

    #[test]
    fn what_a_call_leaves_out_stays_in_doubt() {
        let messages = messages(4);
        let outcomes = block_on(in_chunks(&messages, size(2), size(1), async |chunk| {
            accept(&chunk[..1])
        }));
        let doubts: Vec<_> = outcomes.iter().map(|outcome| outcome.is_err()).collect();
        assert_eq!(doubts, [false, true, false, true]);
        assert_eq!(
            outcomes[1].as_ref().unwrap_err().acceptance(),
            Acceptance::Unknown
        );
    }
}
