//! A provider in this process that answers as scripted and remembers what it was given.

use std::{
    collections::{HashMap, VecDeque},
    future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use postduif_core::{
    ErrorKind, Health, Message, Outcomes, Price, Profile, Receipt, Reference, SendError,
    SmsProvider, async_trait,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

/// A provider that makes no call: it answers as scripted, accepts what no script speaks of, and keeps a log.
///
/// Clones share script and log. It refuses nothing by its profile: what reaches it, it was given. A batch is
/// cut into calls of the profile's batch size, one after the other.
///
/// ```
/// use postduif_core::{ErrorKind, Message, Profile, SmsProvider as _, Text};
/// use postduif_testkit::{Recording, Scripted, block_on};
///
/// let vendor = Recording::new(Profile::new("example"));
/// vendor.script([Scripted::refuse(ErrorKind::Throttled)]);
/// let message = Message::new("+31612345678".parse()?, Text::new("Hello")?);
/// assert!(block_on(vendor.send(&message)).is_err());
/// assert!(block_on(vendor.send(&message)).is_ok());
/// assert_eq!(vendor.sizes(), [1, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Recording {
    profile: Profile,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// A permit for each call that is let through a closed gate.
    gate: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<Scripted>,
    scripts: HashMap<Reference, VecDeque<Scripted>>,
    checks: VecDeque<Result<Health, SendError>>,
    log: Vec<Call>,
    gated: bool,
    in_flight: usize,
    most_in_flight: usize,
}

/// What becomes of a message.
#[derive(Clone, Debug)]
pub struct Scripted {
    after: Duration,
    answer: Answer,
}

#[derive(Clone, Debug)]
enum Answer {
    Accept(Option<Price>),
    Fail(SendError),
    Panic,
    Stall,
}

impl Scripted {
    /// It is accepted.
    #[must_use]
    pub const fn accept() -> Self {
        Self::new(Answer::Accept(None))
    }

    /// It is accepted, and costs so much.
    #[must_use]
    pub const fn accept_for(price: Price) -> Self {
        Self::new(Answer::Accept(Some(price)))
    }

    /// It fails so.
    #[must_use]
    pub const fn fail(error: SendError) -> Self {
        Self::new(Answer::Fail(error))
    }

    /// It was certainly not accepted.
    #[must_use]
    pub fn refuse(kind: ErrorKind) -> Self {
        Self::fail(SendError::not_accepted(kind, "scripted"))
    }

    /// It may have been accepted.
    #[must_use]
    pub fn doubt(kind: ErrorKind) -> Self {
        Self::fail(SendError::unknown(kind, "scripted"))
    }

    /// No answer ever comes.
    #[must_use]
    pub const fn stall() -> Self {
        Self::new(Answer::Stall)
    }

    /// The provider breaks its contract.
    #[must_use]
    pub const fn panic() -> Self {
        Self::new(Answer::Panic)
    }

    const fn new(answer: Answer) -> Self {
        Self {
            after: Duration::ZERO,
            answer,
        }
    }

    /// The answer takes so long. A batch takes as long as its slowest message.
    #[must_use]
    pub const fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}

/// A call, as the vendor would have seen it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// When it came.
    pub at: Instant,
    /// Its place among all calls to all recordings: many come at one moment of a paused clock.
    pub place: u64,
    /// Whether it came by `send_batch`.
    pub batch: bool,
    /// What it carried.
    pub messages: Vec<Message>,
    /// How it was answered, message by message; none while it is under way, or where it was given up.
    pub outcomes: Option<Vec<Result<Receipt, SendError>>>,
}

impl Recording {
    /// A provider with this profile that accepts everything at once.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            shared: Arc::new(Shared {
                state: Mutex::default(),
                gate: Semaphore::new(0),
            }),
        }
    }

    /// What becomes of the next messages, in the order in which they come, whichever they are.
    pub fn script(&self, outcomes: impl IntoIterator<Item = Scripted>) {
        self.state().script.extend(outcomes);
    }

    /// What becomes of this message, each time that it comes. It goes before the script for all.
    pub fn script_for(&self, reference: &Reference, outcomes: impl IntoIterator<Item = Scripted>) {
        let mut state = self.state();
        state
            .scripts
            .entry(*reference)
            .or_default()
            .extend(outcomes);
    }

    /// What the next checks learn; after that, that all is good.
    pub fn script_checks(&self, answers: impl IntoIterator<Item = Result<Health, SendError>>) {
        self.state().checks.extend(answers);
    }

    /// From now on a call waits, after it was logged, until it is [let through](Self::let_through).
    pub fn close_gate(&self) {
        self.state().gated = true;
    }

    /// Lets so many calls through, waiting or yet to come.
    pub fn let_through(&self, calls: usize) {
        self.shared.gate.add_permits(calls);
    }

    /// The calls, in the order in which they came.
    #[must_use]
    pub fn log(&self) -> Vec<Call> {
        self.state().log.clone()
    }

    /// How many messages each call carried.
    #[must_use]
    pub fn sizes(&self) -> Vec<usize> {
        let state = self.state();
        state.log.iter().map(|call| call.messages.len()).collect()
    }

    /// The references of all messages, in the order in which they came.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let state = self.state();
        let messages = state.log.iter().flat_map(|call| &call.messages);
        messages.map(|message| *message.reference()).collect()
    }

    /// How many calls are under way, and how many were at most.
    #[must_use]
    pub fn in_flight(&self) -> (usize, usize) {
        let state = self.state();
        (state.in_flight, state.most_in_flight)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn call(&self, messages: &[Message], batch: bool) -> Outcomes {
        let (place, gated, scripted) = {
            let mut state = self.state();
            state.log.push(Call {
                at: Instant::now(),
                place: CALLS.fetch_add(1, Ordering::Relaxed),
                batch,
                messages: messages.to_vec(),
                outcomes: None,
            });
            state.in_flight += 1;
            state.most_in_flight = state.most_in_flight.max(state.in_flight);
            let scripted: Vec<_> = messages
                .iter()
                .map(|message| {
                    let own = state.scripts.get_mut(message.reference());
                    own.and_then(VecDeque::pop_front)
                        .or_else(|| state.script.pop_front())
                        .unwrap_or(Scripted::accept())
                })
                .collect();
            (state.log.len() - 1, state.gated, scripted)
        };
        let _in_flight = InFlight(self);
        if gated {
            let permit = self.shared.gate.acquire().await;
            permit.expect("nobody closes the semaphore").forget();
        }
        let after = scripted.iter().map(|scripted| scripted.after).max();
        if let Some(after) = after.filter(|after| !after.is_zero()) {
            sleep(after).await;
        }
        if scripted.iter().any(|s| matches!(s.answer, Answer::Stall)) {
            future::pending::<()>().await;
        }
        let mut scripted = scripted.into_iter();
        let name = self.profile.owned_name();
        let outcomes = Outcomes::from_fn(messages, |message| {
            match scripted
                .next()
                .map_or(Answer::Stall, |scripted| scripted.answer)
            {
                Answer::Accept(price) => {
                    let receipt = Receipt::new(name.clone(), *message.reference());
                    Ok(match price {
                        Some(price) => receipt.with_price(price),
                        None => receipt,
                    })
                }
                Answer::Fail(error) => Err(error.with_provider(name.clone())),
                Answer::Panic => panic!("scripted"),
                Answer::Stall => Err(SendError::unknown(ErrorKind::Other, "stalled")),
            }
        });
        self.state().log[place].outcomes = Some(outcomes.iter().cloned().collect());
        outcomes
    }
}

static CALLS: AtomicU64 = AtomicU64::new(0);

struct InFlight<'a>(&'a Recording);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
    }
}

#[async_trait]
impl SmsProvider for Recording {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.call(std::slice::from_ref(message), false)
            .await
            .into_single()
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let mut outcomes = Outcomes::in_doubt(messages);
        let mut place = 0;
        for piece in messages.chunks(self.profile.batch_size().get()) {
            for outcome in self.call(piece, true).await {
                outcomes.set(place, outcome);
                place += 1;
            }
        }
        outcomes
    }

    async fn check(&self) -> Result<Health, SendError> {
        let scripted = self.state().checks.pop_front();
        scripted.unwrap_or(Ok(Health::verified()))
    }
}
