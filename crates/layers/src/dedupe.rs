//! **Does:** sends one text per reference. A reference that was accepted returns its first receipt again. A duplicate
//! of one under way waits for the same outcome, whichever caller gives up. One that was certainly not accepted may be
//! sent again.
//!
//! **Never:** resends a reference in doubt, unless the doubt is [settled](Dedupe::settle); never returns the outcome of
//! another message: the same reference with another text or recipient is refused. It keeps no text and no number, only
//! a keyed digest of both.
//!
//! **Belongs** outside of everything that sends ([`Failover`](crate::Failover), [`Retry`](crate::Retry)) and of every
//! deadline, and inside of [`Traced`](crate::Traced), since it must see the final outcome of a message. Its state is in
//! memory: a restart forgets acceptances and doubts.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{HashMap, VecDeque, hash_map},
    fmt,
    hash::Hasher as _,
    num::NonZeroUsize,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use postduif_core::{
    Acceptance, ErrorKind, Health, Message, Outcomes, Profile, Receipt, Reference, SendError,
    SmsProvider, async_trait,
};
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use tokio::time::Instant;
use tracing::Span;

use crate::{
    dispatch::{later, lock, not_cut_off, refusal},
    scope::Scope,
    shared::{Ended, Outcome, Work},
};

/// A layer that sends one text per reference.
///
/// Acceptances are remembered for a time; when the memory is full, the oldest are forgotten. Doubts are remembered
/// until you [settle](Self::settle) them. If the memory is full of doubts, new references are refused as
/// `Misconfigured`, not accepted. Monitor [`doubts`](Self::doubts), and settle those that [`doubtful`](Self::doubtful)
/// lists.
///
/// The state is in memory. A restart forgets acceptances **and doubts**, and another process has none of them. To rule
/// out a duplicate across a restart, store the reference before the send.
///
/// A send is independent of its callers: each of them, the first one included, only waits for it. A caller that drops
/// its future leaves the send running; the others, and later duplicates, get its outcome. A deadline therefore belongs
/// inside of this layer: one around it cannot take the message back.
///
/// The send runs on the runtime of the first caller. If that runtime ends or stalls, a waiting or later caller starts
/// the send anew within a minute, provided that nothing of it had left. Otherwise it is in doubt, unless it ends
/// without that runtime.
///
/// The same reference with another text or recipient is refused as `Blocked`, not accepted. They are compared by
/// SipHash-2-4 with 128 bits and a random key per layer: collisions do not occur by chance, and cannot be found without
/// the key. Only a reader of this process's memory, which holds the key, could guess a short text from its digest.
///
/// Its profile has no repeat window, since a repeat never reaches the vendor.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use std::{num::NonZeroUsize, time::Duration};
/// use postduif::{layers::Dedupe, SmsProvider as _};
///
/// # async fn example(vendor: impl SmsProvider, message: Message) -> Result<(), SendError> {
/// let provider = Dedupe::new(vendor)
///     .with_memory(Duration::from_secs(86_400))
///     .with_max_references(NonZeroUsize::new(50_000).unwrap());
/// let first = provider.send(&message).await?;
/// let again = provider.send(&message).await?; // the same receipt, and no second text
/// assert_eq!(first.id(), again.id());
/// # Ok(())
/// # }
/// ```
pub struct Dedupe<P> {
    inner: Arc<P>,
    profile: Profile,
    memory: Duration,
    capacity: NonZeroUsize,
    longest_wait: Duration,
    key: [u8; 16],
    state: Arc<Mutex<State>>,
}

/// How often a send begins for one caller, if the runtimes that drove it stalled.
const BEGINNINGS: usize = 10;

/// The most doubts that [`Dedupe::doubtful`] lists.
const LISTED: usize = 1000;

/// A reference in doubt, as [`Dedupe::doubtful`] lists it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Doubt {
    /// The message's reference.
    pub reference: Reference,
    /// How long it has been in doubt.
    pub age: Duration,
    /// The error that left it in doubt, with the provider to ask.
    pub error: SendError,
}

/// The result of [`Dedupe::settle`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Settlement {
    /// The doubt has ended.
    Settled,
    /// The reference is not in doubt: it was accepted, or its send is still under way.
    NotInDoubt,
    /// The reference is unknown: it was never sent here, was not accepted, or has been forgotten.
    NotKnown,
    /// The given outcome is in doubt itself, so it ends no doubt.
    OutcomeInDoubt,
}

impl<P: SmsProvider> Dedupe<P> {
    /// Creates a layer that remembers 100,000 references, and acceptances for a day.
    ///
    /// # Panics
    ///
    /// Panics if the operating system provides no random bytes, as std's hash maps do.
    #[must_use]
    pub fn new(inner: P) -> Self {
        let mut key = [0; 16];
        getrandom::fill(&mut key).expect("the operating system gives random bytes");
        Self {
            profile: inner.profile().clone().with_repeat_window(None),
            inner: Arc::new(inner),
            memory: Duration::from_secs(86_400),
            capacity: NonZeroUsize::MIN.saturating_add(99_999),
            longest_wait: Duration::from_secs(300),
            key,
            state: Arc::default(),
        }
    }

    /// Sets for how long an acceptance is remembered. Defaults to a day.
    #[must_use]
    pub const fn with_memory(mut self, memory: Duration) -> Self {
        self.memory = memory;
        self
    }

    /// Sets how many references are remembered at a time, those under way included. Defaults to 100,000.
    #[must_use]
    pub const fn with_max_references(mut self, references: NonZeroUsize) -> Self {
        self.capacity = references;
        self
    }

    /// Sets the longest that a caller waits for an outcome. Defaults to five minutes. It covers sends whose runtime has
    /// stalled; the calls inside have their own deadlines. The caller then gets a `Timeout`, acceptance unknown, and
    /// may send the same message again to get the final outcome.
    #[must_use]
    pub const fn with_max_wait(mut self, wait: Duration) -> Self {
        self.longest_wait = wait;
        self
    }

    /// Returns how many references are in doubt.
    #[must_use]
    pub fn doubts(&self) -> usize {
        lock(&self.state).doubts
    }

    /// Returns the references in doubt, the oldest first, at most 1000 of them. To get the rest, settle some and call
    /// it again.
    ///
    /// ```
    /// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
    /// # use postduif::*;
    /// # use postduif::layers::Dedupe;
    /// # fn example(provider: &Dedupe<impl SmsProvider>) {
    /// for doubt in provider.doubtful() {
    ///     println!("{} in doubt for {:?}: {}", doubt.reference, doubt.age, doubt.error);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn doubtful(&self) -> Vec<Doubt> {
        let now = Instant::now();
        let state = lock(&self.state);
        let mut doubts: Vec<_> = state
            .known
            .iter()
            .filter_map(|(reference, known)| match &known.progress {
                Progress::Ended(Err(error), since) => Some(Doubt {
                    reference: *reference,
                    age: now.saturating_duration_since(*since),
                    error: error.clone(),
                }),
                _ => None,
            })
            .collect();
        drop(state);
        doubts.sort_unstable_by_key(|doubt| Reverse(doubt.age));
        doubts.truncate(LISTED);
        doubts
    }

    /// Ends a doubt with the outcome that has become known: an acceptance, which a delivery report may prove, or an
    /// error that was certainly not accepted, after which the reference may be sent again.
    ///
    /// Anything but [`Settled`](Settlement::Settled) means that nothing changed.
    ///
    /// ```
    /// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
    /// use postduif::{DeliveryStatus, Receipt};
    /// # use postduif::*;
    /// # use postduif::layers::Dedupe;
    /// # fn example(provider: &Dedupe<impl SmsProvider>, report: &DeliveryReport) {
    /// if let (Some(reference), DeliveryStatus::Delivered) = (&report.reference, report.status) {
    ///     provider.settle(reference, Ok(Receipt::new("kpn", *reference)));
    /// }
    /// # }
    /// ```
    pub fn settle(&self, reference: &Reference, outcome: Result<Receipt, SendError>) -> Settlement {
        if is_doubt(&outcome) {
            return Settlement::OutcomeInDoubt;
        }
        let mut state = lock(&self.state);
        match state.known.get(reference).map(|known| &known.progress) {
            Some(Progress::Ended(Err(_), _)) => {
                state.doubts -= 1;
                state.settle(*reference, outcome);
                Settlement::Settled
            }
            Some(_) => Settlement::NotInDoubt,
            None => Settlement::NotKnown,
        }
    }

    /// Prepares a send of the messages that are not under way or known yet, and returns the claim of each message.
    fn claim(&self, messages: &[Message], single: bool) -> (Vec<Claim>, Option<Work>) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.forget(now, self.memory);
        let mut own: Vec<Message> = Vec::new();
        let mut claims: Vec<_> = messages
            .iter()
            .map(|message| self.look_up(&mut state, message, &mut own))
            .collect();
        if own.is_empty() {
            return (claims, None);
        }
        let references: Vec<_> = own.iter().map(|message| *message.reference()).collect();
        let settled = (Arc::downgrade(&self.state), references.clone());
        let then = move |ended: Ended<&[Outcome]>| settle_all(&settled.0, &settled.1, ended);
        let work = Work::new(
            Arc::clone(&self.inner),
            own,
            single,
            &[],
            Scope::default(),
            Span::current(),
            then,
        );
        for (index, reference) in references.iter().enumerate() {
            if let Some(known) = state.known.get_mut(reference) {
                known.progress = Progress::UnderWay(work.clone(), index);
            }
        }
        for claim in &mut claims {
            if let Claim::Ours(index) = *claim {
                *claim = Claim::UnderWay(work.clone(), index);
            }
        }
        (claims, Some(work))
    }

    fn look_up(&self, state: &mut State, message: &Message, own: &mut Vec<Message>) -> Claim {
        let digest = self.digest(message);
        if let Some(known) = state.known.get(message.reference()) {
            return match &known.progress {
                _ if known.digest != digest => Claim::Ended(Err(refusal(
                    self.inner.profile(),
                    ErrorKind::Blocked,
                    "another message already has this reference",
                ))),
                Progress::Ended(outcome, _) => Claim::Ended(outcome.clone()),
                Progress::UnderWay(work, index) => Claim::UnderWay(work.clone(), *index),
                Progress::Claimed(index) => Claim::Ours(*index),
            };
        }
        if let Err(error) = not_cut_off(self.inner.profile()) {
            return Claim::Ended(Err(error));
        }
        if state.known.len() >= self.capacity.get() && !state.make_room() {
            let (kind, message) = if state.doubts >= self.capacity.get() {
                (
                    ErrorKind::Misconfigured,
                    "the memory is full of references in doubt: settle them, or set a larger capacity",
                )
            } else {
                (
                    ErrorKind::Throttled,
                    "the memory is full of references in doubt or under way",
                )
            };
            return Claim::Ended(Err(refusal(self.inner.profile(), kind, message)));
        }
        let index = own.len();
        own.push(message.clone());
        let progress = Progress::Claimed(index);
        state
            .known
            .insert(*message.reference(), Known { digest, progress });
        Claim::Ours(index)
    }

    /// Claims the messages, and waits for the outcome of each.
    async fn send_once(&self, messages: &[Message], single: bool) -> Outcomes {
        let deadline = later(Instant::now(), self.longest_wait);
        let mut outcomes = Outcomes::in_doubt(messages);
        let mut pending = Cow::Borrowed(messages);
        let mut indices: Vec<_> = (0..messages.len()).collect();
        for _ in 0..BEGINNINGS {
            let (claims, own) = self.claim(&pending, single);
            if let Some(own) = &own {
                own.begin();
            }
            let mut again = Vec::new();
            for (claim, &index) in claims.into_iter().zip(&indices) {
                match self.outcome_of(claim, deadline, own.as_ref()).await {
                    Some(outcome) => outcomes.set(index, outcome),
                    None => again.push(index),
                }
            }
            indices = again;
            if indices.is_empty() {
                return outcomes;
            }
            let left = indices.iter().filter_map(|&index| messages.get(index));
            pending = left.cloned().collect();
        }
        let message = "the send did not begin: each runtime that was to drive it stalled";
        let error = refusal(self.inner.profile(), ErrorKind::Unavailable, message);
        for index in indices {
            outcomes.set(index, Err(error.clone()));
        }
        outcomes
    }

    /// Waits for the outcome of a claim. `None` means that the send was withdrawn, so that the message may begin anew.
    async fn outcome_of(
        &self,
        claim: Claim,
        deadline: Instant,
        own: Option<&Work>,
    ) -> Ended<Outcome> {
        let outcome = match claim {
            Claim::Ended(outcome) => return Some(outcome),
            Claim::UnderWay(work, index) => {
                let first = own.is_some_and(|own| own.is(&work));
                work.outcome(index, deadline, first).await
            }
            Claim::Ours(_) => None,
        };
        outcome.unwrap_or_else(|| {
            let message = "the send has no outcome yet: send the same message again to get it";
            Some(Err(SendError::unknown(ErrorKind::Timeout, message)
                .with_provider(self.profile.owned_name())))
        })
    }

    fn digest(&self, message: &Message) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&message.to().to_u64().to_le_bytes());
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
        let outcomes = self.send_once(std::slice::from_ref(message), true).await;
        outcomes.into_single()
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.send_once(messages, false).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

impl<P: fmt::Debug> fmt::Debug for Dedupe<P> {
    /// Omits the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("Dedupe")
            .field("inner", &self.inner)
            .field("memory", &self.memory)
            .field("capacity", &self.capacity)
            .field("known", &state.known.len())
            .field("doubts", &state.doubts)
            .finish_non_exhaustive()
    }
}

/// The source of a message's outcome.
enum Claim {
    Ended(Outcome),
    /// The message at this index of the work that is about to be created.
    Ours(usize),
    UnderWay(Work, usize),
}

#[derive(Default)]
struct State {
    known: HashMap<Reference, Known>,
    /// The accepted references, oldest first.
    accepted: VecDeque<(Instant, Reference)>,
    doubts: usize,
}

struct Known {
    digest: u128,
    progress: Progress,
}

enum Progress {
    /// Accepted or in doubt, since that instant.
    Ended(Outcome, Instant),
    UnderWay(Work, usize),
    /// At this index of the work that is about to be created under the same lock.
    Claimed(usize),
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

    /// Forgets the oldest acceptance, and returns whether there was one.
    fn make_room(&mut self) -> bool {
        self.accepted
            .pop_front()
            .is_some_and(|(_, reference)| self.known.remove(&reference).is_some())
    }

    fn settle(&mut self, reference: Reference, outcome: Outcome) {
        let hash_map::Entry::Occupied(mut known) = self.known.entry(reference) else {
            return;
        };
        let now = Instant::now();
        match &outcome {
            Ok(_) => self.accepted.push_back((now, reference)),
            Err(error) if error.acceptance() == Acceptance::Unknown => self.doubts += 1,
            Err(_) => {
                known.remove();
                return;
            }
        }
        known.get_mut().progress = Progress::Ended(outcome, now);
    }
}

fn settle_all(state: &Weak<Mutex<State>>, references: &[Reference], ended: Ended<&[Outcome]>) {
    let Some(state) = state.upgrade() else { return };
    let mut state = lock(&state);
    let Some(outcomes) = ended else {
        for reference in references {
            state.known.remove(reference);
        }
        return;
    };
    for (reference, outcome) in references.iter().zip(outcomes) {
        state.settle(*reference, outcome.clone());
    }
}

fn is_doubt(outcome: &Outcome) -> bool {
    matches!(outcome, Err(error) if error.acceptance() == Acceptance::Unknown)
}
