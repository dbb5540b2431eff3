//! A provider in this process that replies as scripted and keeps a log.

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

/// A provider without network that replies as scripted, accepts every message beyond the script, and keeps a log.
///
/// Clones share script and log. Unless it is [strict](Self::strict), it does not validate messages by its profile: the
/// log holds every message. A batch is split into calls of the profile's batch size, one after the other.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub extern crate postduif_testkit as testing; }
/// use postduif::{ErrorKind, Message, Profile, SmsProvider as _, Text};
/// use postduif::testing::{Recording, Scripted, block_on};
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
    is_strict: bool,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Holds a permit for each call that may pass a closed gate.
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

/// The scripted outcome of a message.
#[derive(Clone, Debug)]
pub struct Scripted {
    after: Duration,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
enum Outcome {
    Accept(Option<Price>),
    Fail(SendError),
    Panic,
    Stall,
}

impl Scripted {
    /// Accepts the message.
    #[must_use]
    pub const fn accept() -> Self {
        Self::new(Outcome::Accept(None))
    }

    /// Accepts the message at this price.
    #[must_use]
    pub const fn accept_for(price: Price) -> Self {
        Self::new(Outcome::Accept(Some(price)))
    }

    /// Fails with this error.
    #[must_use]
    pub const fn fail(error: SendError) -> Self {
        Self::new(Outcome::Fail(error))
    }

    /// Fails with an error of this kind: certainly not accepted.
    #[must_use]
    pub fn refuse(kind: ErrorKind) -> Self {
        Self::fail(SendError::not_accepted(kind, "scripted"))
    }

    /// Fails with an error of this kind: acceptance unknown.
    #[must_use]
    pub fn doubt(kind: ErrorKind) -> Self {
        Self::fail(SendError::unknown(kind, "scripted"))
    }

    /// Never replies.
    #[must_use]
    pub const fn stall() -> Self {
        Self::new(Outcome::Stall)
    }

    /// Panics, which breaks the contract of a provider.
    #[must_use]
    pub const fn panic() -> Self {
        Self::new(Outcome::Panic)
    }

    const fn new(outcome: Outcome) -> Self {
        Self {
            after: Duration::ZERO,
            outcome,
        }
    }

    /// Delays the reply. A batch takes as long as its slowest message.
    #[must_use]
    pub const fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}

/// A call as the vendor would see it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// The time of the call.
    pub at: Instant,
    /// The number of the call among those of all recordings: with a paused clock, many have the same time.
    pub sequence: u64,
    /// Whether `send_batch` made it.
    pub batch: bool,
    /// The messages in it.
    pub messages: Vec<Message>,
    /// The outcome of each message; `None` while the call is in flight, and after it was dropped.
    pub outcomes: Option<Vec<Result<Receipt, SendError>>>,
}

impl Recording {
    /// Creates a provider with this profile that accepts every message at once.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            is_strict: false,
            shared: Arc::new(Shared {
                state: Mutex::default(),
                gate: Semaphore::new(0),
            }),
        }
    }

    /// Refuses the messages that the profile refuses, as a provider does before any request. Such a message is not
    /// logged.
    ///
    /// With the profile of the provider that production uses, a test fails on the messages that it would refuse. Take
    /// it from a provider with the same sender and options: the constant `PROFILE` of a vendor has no configured sender.
    /// Building a provider makes no request, so credentials of the right form are enough.
    ///
    /// ```
    /// # mod postduif {
    /// #     pub use postduif_core::*;
    /// #     pub extern crate postduif_testkit as testing;
    /// #     pub fn from_url(_: &str) -> Result<testing::Recording, ConfigError> {
    /// #         Ok(testing::Recording::new(Profile::new("smstools")))
    /// #     }
    /// # }
    /// use std::time::Duration;
    /// use postduif::{ErrorKind, Message, SmsProvider as _, Text};
    /// use postduif::testing::{Recording, block_on};
    ///
    /// let real = postduif::from_url("smstools://id:secret@default?sender=Contoso")?;
    /// let sms = Recording::new(real.profile().clone()).strict();
    ///
    /// let message = Message::new("+31612345678".parse()?, Text::new("Hello")?);
    /// assert!(block_on(sms.send(&message)).is_ok());
    /// let error = block_on(sms.send(&message.with_validity(Duration::from_secs(600)))).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Unsupported, "Smstools has no validity periods");
    /// assert_eq!(sms.log().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn strict(mut self) -> Self {
        self.is_strict = true;
        self
    }

    /// Returns the error of a message that the profile refuses.
    fn refused(&self, message: &Message) -> Option<SendError> {
        let (message, _) = message.fit(&self.profile);
        let error = self.profile.validate(&message).err()?;
        self.is_strict
            .then(|| error.with_provider(self.profile.owned_name()))
    }

    /// Adds outcomes for the next messages, in the order in which they arrive.
    pub fn script(&self, outcomes: impl IntoIterator<Item = Scripted>) {
        self.state().script.extend(outcomes);
    }

    /// Adds outcomes for one message, one each time it arrives. They precede those of [`script`](Self::script).
    pub fn script_for(&self, reference: &Reference, outcomes: impl IntoIterator<Item = Scripted>) {
        let mut state = self.state();
        state
            .scripts
            .entry(*reference)
            .or_default()
            .extend(outcomes);
    }

    /// Adds results for the next checks. Later ones report good credentials.
    pub fn script_checks(&self, results: impl IntoIterator<Item = Result<Health, SendError>>) {
        self.state().checks.extend(results);
    }

    /// Closes the gate: from now on a call is logged, and then waits until it is [let through](Self::let_through).
    pub fn close_gate(&self) {
        self.state().gated = true;
    }

    /// Lets this number of calls through the gate, waiting or future ones.
    pub fn let_through(&self, calls: usize) {
        self.shared.gate.add_permits(calls);
    }

    /// Returns the calls, in order of arrival.
    #[must_use]
    pub fn log(&self) -> Vec<Call> {
        self.state().log.clone()
    }

    /// Returns the number of messages in each call.
    #[must_use]
    pub fn sizes(&self) -> Vec<usize> {
        let state = self.state();
        state.log.iter().map(|call| call.messages.len()).collect()
    }

    /// Returns the references of all messages, in order of arrival.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let state = self.state();
        let messages = state.log.iter().flat_map(|call| &call.messages);
        messages.map(|message| *message.reference()).collect()
    }

    /// Returns the number of calls in flight, and the maximum so far.
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
        let (index, gated, scripted) = {
            let mut state = self.state();
            state.log.push(Call {
                at: Instant::now(),
                sequence: CALLS.fetch_add(1, Ordering::Relaxed),
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
            permit.expect("the semaphore is never closed").forget();
        }
        let after = scripted.iter().map(|scripted| scripted.after).max();
        if let Some(after) = after.filter(|after| !after.is_zero()) {
            sleep(after).await;
        }
        if scripted.iter().any(|s| matches!(s.outcome, Outcome::Stall)) {
            future::pending::<()>().await;
        }
        let mut scripted = scripted.into_iter();
        let name = self.profile.owned_name();
        let outcomes = Outcomes::from_fn(messages, |message| {
            match scripted
                .next()
                .map_or(Outcome::Stall, |scripted| scripted.outcome)
            {
                Outcome::Accept(price) => {
                    let (_, dropped) = message.fit(&self.profile);
                    let receipt =
                        Receipt::new(name.clone(), *message.reference()).with_dropped(dropped);
                    Ok(match price {
                        Some(price) => receipt.with_price(price),
                        None => receipt,
                    })
                }
                Outcome::Fail(error) => Err(error.with_provider(name.clone())),
                Outcome::Panic => panic!("scripted"),
                Outcome::Stall => Err(SendError::unknown(ErrorKind::Other, "stalled")),
            }
        });
        self.state().log[index].outcomes = Some(outcomes.iter().cloned().collect());
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
        if let Some(error) = self.refused(message) {
            return Err(error);
        }
        self.call(std::slice::from_ref(message), false)
            .await
            .into_single()
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let mut outcomes = Outcomes::in_doubt(messages);
        let mut accepted = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            match self.refused(message) {
                Some(error) => outcomes.set(index, Err(error)),
                None => accepted.push((index, message.clone())),
            }
        }
        for piece in accepted.chunks(self.profile.batch_size().get()) {
            let (indices, piece): (Vec<_>, Vec<_>) = piece.iter().cloned().unzip();
            for (index, outcome) in indices.into_iter().zip(self.call(&piece, true).await) {
                outcomes.set(index, outcome);
            }
        }
        outcomes
    }

    async fn check(&self) -> Result<Health, SendError> {
        let scripted = self.state().checks.pop_front();
        scripted.unwrap_or(Ok(Health::verified()))
    }
}
