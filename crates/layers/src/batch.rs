//! **Does:** turns single sends from many tasks into few vendor calls. Where no call is under way a message
//! goes at once; while one is, those that come gather, up to the profile's batch size, and go together when
//! it ends. Each caller gets its own outcome.
//!
//! **Never:** waits for company; never takes others along when a caller gives up: a message that still waits
//! then is not sent, one on its way goes on. Never sends a message before an earlier one to the same recipient
//! has its outcome.
//!
//! **Belongs** around the stack of one vendor ([`Retry`](crate::Retry) and what is in it), inside of
//! [`Failover`](crate::Failover). A vendor that takes one message a call gains nothing by it but the order
//! and the bounds.

use std::{
    collections::{HashSet, VecDeque},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use postduif_core::{
    ErrorKind, Health, Message, Outcomes, PhoneNumber, Profile, Receipt, SendError, SmsProvider,
    async_trait,
};
use tokio::{runtime::Handle, sync::oneshot};

use crate::way::{Way, alike, refusal};

/// Few vendor calls for many tasks.
///
/// The calls are made by tasks of their own on the runtime of the one who sends, so that nobody's giving up
/// ends somebody else's call. A `send_batch` goes straight through: it is a batch already, and keeps no order
/// with the single sends.
///
/// Its profile has no repeat window: the vendor may get the message in a batch.
///
/// ```
/// # use postduif_core::*;
/// use std::{num::NonZeroUsize, sync::Arc};
/// use postduif_layers::Batch;
///
/// # async fn example(vendor: impl SmsProvider, messages: Vec<Message>) {
/// let provider = Arc::new(Batch::new(vendor).with_queue(NonZeroUsize::new(500).unwrap()));
/// for message in messages {
///     let provider = Arc::clone(&provider);
///     tokio::spawn(async move { provider.send(&message).await });
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Batch<P> {
    profile: Profile,
    calls: Calls<P>,
}

impl<P: SmsProvider> Batch<P> {
    /// Gathers for `inner`.
    #[must_use]
    pub fn new(inner: P) -> Self {
        let profile = inner.profile().clone().with_repeat_window(None);
        let one_a_call = profile.batch_size() == NonZeroUsize::MIN;
        Self {
            calls: Calls {
                inner: Arc::new(inner),
                size: profile.batch_size(),
                different_texts: profile.different_texts(),
                in_flight: match one_a_call {
                    true => NonZeroUsize::MIN.saturating_add(15),
                    false => NonZeroUsize::MIN,
                },
                queue: NonZeroUsize::MIN.saturating_add(9_999),
                state: Arc::default(),
            },
            profile,
        }
    }

    /// How many messages may wait for a call; 10,000 unless given. Those beyond are refused as `Throttled`.
    #[must_use]
    pub const fn with_queue(mut self, messages: NonZeroUsize) -> Self {
        self.calls.queue = messages;
        self
    }

    /// How many calls may be under way at a time. Unless given it is one, which gathers most; and 16 where
    /// the vendor takes one message a call, since there is nothing to gather.
    #[must_use]
    pub const fn with_in_flight(mut self, calls: NonZeroUsize) -> Self {
        self.calls.in_flight = calls;
        self
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for Batch<P> {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(refusal(
                &*self.calls.inner,
                ErrorKind::Misconfigured,
                "batches are sent by tasks of tokio, and there is no runtime here",
            ));
        };
        let (answer, outcome) = oneshot::channel();
        self.calls.enter(Waiting {
            message: message.clone(),
            answer,
        })?;
        self.calls.start(&runtime);
        outcome.await.unwrap_or_else(|_| {
            Err(SendError::unknown(
                ErrorKind::Unavailable,
                "the task that made the call was ended before the answer",
            )
            .with_provider(self.profile.owned_name()))
        })
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        Way::Batch.send(&self.calls.inner, messages).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.calls.inner.check().await
    }
}

#[derive(Debug)]
struct Calls<P> {
    inner: Arc<P>,
    size: NonZeroUsize,
    different_texts: bool,
    in_flight: NonZeroUsize,
    queue: NonZeroUsize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Waiting>,
    under_way: usize,
    /// Whom the calls under way are for.
    recipients: HashSet<PhoneNumber>,
}

#[derive(Debug)]
struct Waiting {
    message: Message,
    answer: oneshot::Sender<Result<Receipt, SendError>>,
}

impl<P> Clone for Calls<P> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            state: Arc::clone(&self.state),
            ..*self
        }
    }
}

impl<P: SmsProvider> Calls<P> {
    fn enter(&self, waiting: Waiting) -> Result<(), SendError> {
        let mut state = lock(&self.state);
        if state.queue.len() >= self.queue.get() {
            state.queue.retain(|waiting| !waiting.answer.is_closed());
        }
        if state.queue.len() >= self.queue.get() {
            let message = "too many messages wait for a call already";
            return Err(refusal(&*self.inner, ErrorKind::Throttled, message));
        }
        state.queue.push_back(waiting);
        Ok(())
    }

    /// Begins as many calls as may be under way and have something to carry.
    fn start(&self, runtime: &Handle) {
        while let Some((gathered, under_way)) = self.next() {
            runtime.spawn(self.clone().call(gathered, under_way));
        }
    }

    fn next(&self) -> Option<(Vec<Waiting>, UnderWay)> {
        let mut state = lock(&self.state);
        if state.under_way >= self.in_flight.get() {
            return None;
        }
        let gathered = state.gather(self.size.get(), self.different_texts);
        if gathered.is_empty() {
            return None;
        }
        let recipients: Vec<_> = gathered.iter().map(|w| w.message.to()).collect();
        state.under_way += 1;
        state.recipients.extend(&recipients);
        let under_way = UnderWay {
            state: Arc::clone(&self.state),
            recipients,
            answered: false,
        };
        Some((gathered, under_way))
    }

    async fn call(self, gathered: Vec<Waiting>, mut under_way: UnderWay) {
        let (messages, answers): (Vec<_>, Vec<_>) = gathered
            .into_iter()
            .map(|waiting| (waiting.message, waiting.answer))
            .unzip();
        let way = match messages.len() {
            1 => Way::Single,
            _ => Way::Batch,
        };
        let outcomes = way.send(&self.inner, &messages).await;
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // Whoever gave up does not want it.
            let _ = answer.send(outcome);
        }
        under_way.answered = true;
        drop(under_way);
        self.start(&Handle::current());
    }
}

impl State {
    /// Takes the first that waits, and what may go in one call with it; nobody whose recipient has an earlier
    /// message on its way or waiting.
    fn gather(&mut self, size: usize, different_texts: bool) -> Vec<Waiting> {
        let mut taken: Vec<Waiting> = Vec::new();
        let mut left = Vec::new();
        let mut busy = self.recipients.clone();
        while taken.len() < size {
            let Some(waiting) = self.queue.pop_front() else {
                break;
            };
            if waiting.answer.is_closed() {
                continue;
            }
            let first = taken.first().map_or(&waiting, |first| first);
            let fits = different_texts || alike(&first.message, &waiting.message);
            match busy.insert(waiting.message.to()) && fits {
                true => taken.push(waiting),
                false => left.push(waiting),
            }
        }
        for waiting in left.into_iter().rev() {
            self.queue.push_front(waiting);
        }
        taken
    }
}

/// A call under way. When it ends, however it does, its place and its recipients are free.
struct UnderWay {
    state: Arc<Mutex<State>>,
    recipients: Vec<PhoneNumber>,
    answered: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.under_way -= 1;
        for recipient in &self.recipients {
            state.recipients.remove(recipient);
        }
        if self.answered {
            return;
        }
        // The runtime shuts down, or the inner provider panicked: nobody would begin the next call, and
        // nothing may be spawned here.
        let queue = std::mem::take(&mut state.queue);
        drop(state);
        for waiting in queue {
            let _ = waiting.answer.send(Err(SendError::not_accepted(
                ErrorKind::Unavailable,
                "the task that makes the calls was ended before this message's turn",
            )));
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
