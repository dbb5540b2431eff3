//! **Does:** sends one text for one reference. A reference that was accepted gives its first receipt again;
//! who comes while it is under way waits and gets the same outcome; one that was certainly not accepted may
//! be sent again.
//!
//! **Never:** sends a reference again that is in doubt, and never forgets that it is; never answers for
//! another message: the same reference with another text or recipient is refused. Keeps no text and no
//! number, only a keyed digest of both.
//!
//! **Belongs** outside of everything that sends ([`Failover`](crate::Failover), [`Retry`](crate::Retry)),
//! inside of [`Traced`](crate::Traced): it must see a message's whole fate. What it knows dies with the
//! process.

use std::{
    collections::{HashMap, VecDeque, hash_map},
    fmt,
    hash::Hasher as _,
    num::NonZeroUsize,
    slice,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postduif_core::{
    Acceptance, ErrorKind, Health, Message, Outcomes, Profile, Receipt, Reference, SendError,
    SmsProvider, async_trait,
};
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use tokio::{sync::watch, time::Instant};

use crate::way::{Way, refusal};

/// One text for one reference.
///
/// Acceptances are remembered for a time and make room, the oldest first, when the memory is full. Doubts are
/// remembered as long as it lives and make no room: with nothing but doubts and sends under way in its
/// memory, it refuses new references as `Throttled`, not accepted. A send that is given up before its outcome
/// (a dropped future) leaves its reference in doubt; who waited for it hears so.
///
/// The same reference with another text or recipient is refused as `Blocked`, not accepted. Told apart are
/// they by SipHash-2-4 of 128 bits under a random key of its own: collisions cannot be sought without the
/// key, and do not happen by chance; a short text could be found again by whoever reads this process's
/// memory, key included, and nobody else.
///
/// Its profile has no repeat window: a repeat never reaches the vendor.
///
/// ```
/// # use postduif_core::*;
/// use std::{num::NonZeroUsize, time::Duration};
/// use postduif_layers::Dedupe;
///
/// # async fn example(vendor: impl SmsProvider, message: Message) -> Result<(), SendError> {
/// let provider = Dedupe::new(vendor)
///     .with_memory(Duration::from_secs(86_400))
///     .with_capacity(NonZeroUsize::new(50_000).unwrap());
/// let first = provider.send(&message).await?;
/// let again = provider.send(&message).await?; // the same receipt, and no second text
/// assert_eq!(first.id(), again.id());
/// # Ok(())
/// # }
/// ```
pub struct Dedupe<P> {
    inner: P,
    profile: Profile,
    memory: Duration,
    capacity: NonZeroUsize,
    key: [u8; 16],
    state: Mutex<State>,
}

impl<P: SmsProvider> Dedupe<P> {
    /// Remembers 100,000 references, acceptances for a day.
    ///
    /// # Panics
    ///
    /// When the operating system has no random bytes to give, as std's hash maps do.
    #[must_use]
    pub fn new(inner: P) -> Self {
        let mut key = [0; 16];
        getrandom::fill(&mut key).expect("the operating system gives random bytes");
        Self {
            profile: inner.profile().clone().with_repeat_window(None),
            inner,
            memory: Duration::from_secs(86_400),
            capacity: NonZeroUsize::MIN.saturating_add(99_999),
            key,
            state: Mutex::default(),
        }
    }

    /// For how long an acceptance is remembered; a day unless given.
    #[must_use]
    pub const fn with_memory(mut self, memory: Duration) -> Self {
        self.memory = memory;
        self
    }

    /// How many references are remembered at a time, those under way included; 100,000 unless given.
    #[must_use]
    pub const fn with_capacity(mut self, references: NonZeroUsize) -> Self {
        self.capacity = references;
        self
    }

    async fn run(&self, messages: &[Message], way: Way) -> Outcomes {
        let mut outcomes = Outcomes::in_doubt(messages);
        let (mut places, mut waits) = (Vec::new(), Vec::new());
        let mut claims = Claims {
            state: &self.state,
            list: VecDeque::new(),
        };
        for (place, message) in messages.iter().enumerate() {
            match self.claim(message) {
                Claim::Answered(outcome) => outcomes.set(place, outcome),
                Claim::Ours(answer) => {
                    claims.list.push_back((*message.reference(), answer));
                    places.push(place);
                }
                Claim::UnderWay(answer) => waits.push((place, answer)),
            }
        }
        way.send_some(&self.inner, messages, &places, &mut outcomes)
            .await;
        for &place in &places {
            if let Some(outcome) = outcomes.get(place) {
                claims.settle_next(outcome);
            }
        }
        drop(claims);
        // After our own: two batches that wait for each other's messages both get on.
        for (place, mut answer) in waits {
            let told = answer.wait_for(Option::is_some).await;
            if let Some(outcome) = told.ok().and_then(|told| told.clone()) {
                outcomes.set(place, outcome);
            }
        }
        outcomes
    }

    fn claim(&self, message: &Message) -> Claim {
        let digest = self.digest(message);
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.forget(now, self.memory);
        if let Some(known) = state.known.get(message.reference()) {
            return match &known.fate {
                _ if known.digest != digest => Claim::Answered(Err(refusal(
                    &self.inner,
                    ErrorKind::Blocked,
                    "another message has this reference already",
                ))),
                Fate::Ended(outcome) => Claim::Answered(outcome.clone()),
                Fate::UnderWay(answer) => Claim::UnderWay(answer.clone()),
            };
        }
        if state.known.len() >= self.capacity.get() && !state.make_room() {
            return Claim::Answered(Err(refusal(
                &self.inner,
                ErrorKind::Throttled,
                "the memory is full of messages in doubt or under way",
            )));
        }
        let (answer, told) = watch::channel(None);
        let fate = Fate::UnderWay(told);
        state
            .known
            .insert(*message.reference(), Known { digest, fate });
        Claim::Ours(answer)
    }

    fn digest(&self, message: &Message) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&message.to().digits().to_le_bytes());
        hasher.write(message.text().as_str().as_bytes());
        hasher.finish128().as_u128()
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for Dedupe<P> {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.run(slice::from_ref(message), Way::Single)
            .await
            .into_single()
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.run(messages, Way::Batch).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

impl<P: fmt::Debug> fmt::Debug for Dedupe<P> {
    /// Leaves the key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dedupe")
            .field("inner", &self.inner)
            .field("memory", &self.memory)
            .field("capacity", &self.capacity)
            .field("known", &lock(&self.state).known.len())
            .finish_non_exhaustive()
    }
}

type Outcome = Result<Receipt, SendError>;

/// Whose business a message is.
enum Claim {
    Answered(Outcome),
    Ours(watch::Sender<Option<Outcome>>),
    UnderWay(watch::Receiver<Option<Outcome>>),
}

#[derive(Default)]
struct State {
    known: HashMap<Reference, Known>,
    /// What was accepted, oldest first.
    accepted: VecDeque<(Instant, Reference)>,
}

struct Known {
    digest: u128,
    fate: Fate,
}

enum Fate {
    /// Accepted, or in doubt.
    Ended(Outcome),
    UnderWay(watch::Receiver<Option<Outcome>>),
}

impl State {
    /// Forgets acceptances older than `memory`.
    fn forget(&mut self, now: Instant, memory: Duration) {
        while self
            .accepted
            .front()
            .is_some_and(|&(at, _)| now.saturating_duration_since(at) >= memory)
        {
            self.make_room();
        }
    }

    /// Forgets the oldest acceptance, where there is one.
    fn make_room(&mut self) -> bool {
        self.accepted
            .pop_front()
            .is_some_and(|(_, reference)| self.known.remove(&reference).is_some())
    }

    fn settle(&mut self, reference: Reference, outcome: &Outcome) {
        let hash_map::Entry::Occupied(mut known) = self.known.entry(reference) else {
            return;
        };
        match outcome {
            Err(error) if error.acceptance() == Acceptance::NotAccepted => {
                known.remove();
            }
            outcome => {
                known.get_mut().fate = Fate::Ended(outcome.clone());
                if outcome.is_ok() {
                    self.accepted.push_back((Instant::now(), reference));
                }
            }
        }
    }
}

/// The messages that a call of ours is to send. Those without an outcome when it is dropped are in doubt.
struct Claims<'a> {
    state: &'a Mutex<State>,
    list: VecDeque<(Reference, watch::Sender<Option<Outcome>>)>,
}

impl Claims<'_> {
    fn settle_next(&mut self, outcome: &Outcome) {
        if let Some((reference, answer)) = self.list.pop_front() {
            lock(self.state).settle(reference, outcome);
            answer.send_replace(Some(outcome.clone()));
        }
    }
}

impl Drop for Claims<'_> {
    fn drop(&mut self) {
        let outcome = Err(SendError::unknown(
            ErrorKind::Other,
            "the send was given up before its outcome",
        ));
        while !self.list.is_empty() {
            self.settle_next(&outcome);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
