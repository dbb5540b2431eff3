//! **Does:** sends one text for one reference. A reference that was accepted gives its first receipt again;
//! who comes while it is under way waits and gets the same outcome, whoever else gives up; one that was certainly
//! not accepted may be sent again.
//!
//! **Never:** sends a reference again that is in doubt while it lives, unless the doubt is settled by name; never
//! answers for another message: the same reference with another text or recipient is refused. Keeps no text and
//! no number, only a keyed digest of both.
//!
//! **Belongs** outside of everything that sends ([`Failover`](crate::Failover), [`Retry`](crate::Retry)),
//! and of every deadline, inside of [`Traced`](crate::Traced): it must see a message's whole fate. What it knows
//! is in memory: a restart forgets acceptances and doubts alike.

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

/// One text for one reference.
///
/// Acceptances are remembered for a time and make room, the oldest first, when the memory is full. Doubts are
/// remembered as long as it lives, or until you [settle](Self::settle) them, and make no room: with nothing but
/// doubts in its memory it refuses new references as `Misconfigured`, not accepted. Watch
/// [`doubts`](Self::doubts), and settle what [`doubtful`](Self::doubtful) lists.
///
/// All of it is in memory. A restart forgets acceptances **and doubts**, and another process knows none of them: a
/// reference that must not go out twice across a restart is kept by you, before the send.
///
/// A send is work of its own: every caller, the first one included, only waits for it. Whoever gives up (a dropped
/// future) leaves it running, the others hear the true outcome, and so does who asks again later. That is why a
/// deadline belongs inside of it: one around it cannot take the message back. It runs on the runtime of the first
/// caller. Where that ends or goes no further, whoever waits or asks begins the send anew within a minute if nothing
/// of it had left. If something had, it is in doubt, unless it ends without that runtime.
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

/// How often a send begins anew for one caller, where the runtimes that it was begun on went no further.
const BEGINNINGS: usize = 10;

/// How many doubts [`Dedupe::doubtful`] lists at most.
const LISTED: usize = 1000;

/// A reference in doubt, as [`Dedupe::doubtful`] lists it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Doubt {
    /// The message's reference.
    pub reference: Reference,
    /// How long it has been in doubt.
    pub age: Duration,
    /// What left it in doubt, with the provider to ask.
    pub error: SendError,
}

/// What [`Dedupe::settle`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Settlement {
    /// The doubt is ended.
    Settled,
    /// The reference is not in doubt: it was accepted, or its send is still under way.
    NotInDoubt,
    /// Nothing is known of the reference: it was never sent here, was not accepted, or is forgotten.
    NotKnown,
    /// The outcome given is in doubt itself, so it ends none.
    OutcomeInDoubt,
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

    /// Sets the longest that a caller waits for an outcome. Defaults to five minutes. It is for work that nobody
    /// drives any more; the calls inside have deadlines of their own. The caller then hears a `Timeout`,
    /// acceptance unknown, and may ask again with the same message for the true outcome.
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

    /// Returns the references in doubt, the oldest first, at most 1000 of them. It is a copy: settle some, and ask
    /// again for the rest.
    ///
    /// ```
    /// # use postduif_core::*;
    /// # use postduif_layers::Dedupe;
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
            .filter_map(|(reference, known)| match &known.fate {
                Fate::Ended(Err(error), since) => Some(Doubt {
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

    /// Ends a doubt by what is known better now: an acceptance, such as a delivery report proves it, or a
    /// failure that is certainly not accepted, after which the reference may be sent again.
    ///
    /// Returns what it did: anything but [`Settled`](Settlement::Settled) changed nothing.
    ///
    /// ```
    /// # use postduif_core::*;
    /// # use postduif_layers::Dedupe;
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
        match state.known.get(reference).map(|known| &known.fate) {
            Some(Fate::Ended(Err(_), _)) => {
                state.doubts -= 1;
                state.settle(*reference, outcome);
                Settlement::Settled
            }
            Some(_) => Settlement::NotInDoubt,
            None => Settlement::NotKnown,
        }
    }

    /// Makes the messages' work its own where nobody has it yet, and returns who waits for what.
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
        for (place, reference) in references.iter().enumerate() {
            if let Some(known) = state.known.get_mut(reference) {
                known.fate = Fate::UnderWay(work.clone(), place);
            }
        }
        for claim in &mut claims {
            if let Claim::Ours(place) = *claim {
                *claim = Claim::UnderWay(work.clone(), place);
            }
        }
        (claims, Some(work))
    }

    fn look_up(&self, state: &mut State, message: &Message, own: &mut Vec<Message>) -> Claim {
        let digest = self.digest(message);
        if let Some(known) = state.known.get(message.reference()) {
            return match &known.fate {
                _ if known.digest != digest => Claim::Answered(Err(refusal(
                    self.inner.profile(),
                    ErrorKind::Blocked,
                    "another message has this reference already",
                ))),
                Fate::Ended(outcome, _) => Claim::Answered(outcome.clone()),
                Fate::UnderWay(work, place) => Claim::UnderWay(work.clone(), *place),
                Fate::Claimed(place) => Claim::Ours(*place),
            };
        }
        if let Err(error) = not_cut_off(self.inner.profile()) {
            return Claim::Answered(Err(error));
        }
        if state.known.len() >= self.capacity.get() && !state.make_room() {
            let (kind, message) = if state.doubts >= self.capacity.get() {
                (
                    ErrorKind::Misconfigured,
                    "the memory is full of references in doubt, which stay until they are settled: \
                     settle them, or give it a larger capacity",
                )
            } else {
                (
                    ErrorKind::Throttled,
                    "the memory is full of references in doubt or under way",
                )
            };
            return Claim::Answered(Err(refusal(self.inner.profile(), kind, message)));
        }
        let place = own.len();
        own.push(message.clone());
        let fate = Fate::Claimed(place);
        state
            .known
            .insert(*message.reference(), Known { digest, fate });
        Claim::Ours(place)
    }

    /// Claims the messages, and hears what becomes of each.
    async fn ask(&self, messages: &[Message], single: bool) -> Outcomes {
        let deadline = later(Instant::now(), self.longest_wait);
        let mut outcomes = Outcomes::in_doubt(messages);
        let mut asked = Cow::Borrowed(messages);
        let mut places: Vec<_> = (0..messages.len()).collect();
        for _ in 0..BEGINNINGS {
            let (claims, own) = self.claim(&asked, single);
            if let Some(own) = &own {
                own.begin();
            }
            let mut again = Vec::new();
            for (claim, &place) in claims.into_iter().zip(&places) {
                match self.hear(claim, deadline, own.as_ref()).await {
                    Some(outcome) => outcomes.set(place, outcome),
                    None => again.push(place),
                }
            }
            places = again;
            if places.is_empty() {
                return outcomes;
            }
            let left = places.iter().filter_map(|&place| messages.get(place));
            asked = left.cloned().collect();
        }
        let message = "the send was not begun: no runtime went on with it";
        let error = refusal(self.inner.profile(), ErrorKind::Unavailable, message);
        for place in places {
            outcomes.set(place, Err(error.clone()));
        }
        outcomes
    }

    /// `None` where the send was withdrawn, so that the message may begin anew.
    async fn hear(&self, claim: Claim, deadline: Instant, own: Option<&Work>) -> Ended<Outcome> {
        let outcome = match claim {
            Claim::Answered(outcome) => return Some(outcome),
            Claim::UnderWay(work, place) => {
                let first = own.is_some_and(|own| own.is(&work));
                work.outcome(place, deadline, first).await
            }
            Claim::Ours(_) => None,
        };
        outcome.unwrap_or_else(|| {
            let message = "the send has no outcome yet: ask again with the same message";
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
        let outcomes = self.ask(std::slice::from_ref(message), true).await;
        outcomes.into_single()
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.ask(messages, false).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

impl<P: fmt::Debug> fmt::Debug for Dedupe<P> {
    /// Leaves the key out.
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

/// Whose business a message is.
enum Claim {
    Answered(Outcome),
    /// In the work that is about to be made.
    Ours(usize),
    UnderWay(Work, usize),
}

#[derive(Default)]
struct State {
    known: HashMap<Reference, Known>,
    /// What was accepted, oldest first.
    accepted: VecDeque<(Instant, Reference)>,
    doubts: usize,
}

struct Known {
    digest: u128,
    fate: Fate,
}

enum Fate {
    /// Accepted, or in doubt, since then.
    Ended(Outcome, Instant),
    UnderWay(Work, usize),
    /// In the work that is about to be made, under the same lock.
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

    /// Forgets the oldest acceptance, where there is one.
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
        known.get_mut().fate = Fate::Ended(outcome, now);
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
