//! **Does:** limits what a fault or fraud can cost: the parts of a message, the messages to one recipient and the money
//! spent, each of the last two within several windows. A message above a limit is refused before any call.
//!
//! **Never:** sends without counting: a message is counted before its call, and only one that was certainly not
//! accepted is subtracted again. A message in doubt and a call that was given up stay counted. Never tracks more
//! recipients than its memory allows: beyond, it refuses.
//!
//! **Belongs** inside of [`Dedupe`](crate::Dedupe), which returns the outcome of a duplicate without sending, and
//! outside of [`Failover`](crate::Failover), so that it sees each message once. Its counts end with the process.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use postduif_core::{
    Acceptance, ConfigError, ErrorKind, Health, Message, Outcomes, PhoneNumber, Price, Profile,
    Receipt, SendError, SmsProvider, async_trait,
};
use tokio::time::Instant;

use crate::dispatch::{lock, put, refusal, send_some};

/// A layer that limits parts, messages per recipient, and money.
///
/// A message above a limit is refused as `Blocked`, not accepted, and goes to no other vendor. Windows slide: exactly
/// for recipients, and in steps of a sixtieth for money, where the step in which the window begins still counts.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use std::{num::NonZeroU32, time::Duration};
/// use postduif::layers::Budget;
///
/// # fn example(vendor: impl SmsProvider) -> Result<(), Box<dyn std::error::Error>> {
/// let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
/// let provider = Budget::new(vendor)
///     .with_max_parts(3)
///     .with_recipient_limit(NonZeroU32::new(1).unwrap(), minute)
///     .with_recipient_limit(NonZeroU32::new(5).unwrap(), 15 * minute)
///     .with_spend_limit("25 EUR".parse()?, hour, "0.08 EUR".parse()?)?;
/// # Ok(())
/// # }
/// ```
pub struct Budget<P> {
    inner: P,
    longest: Option<usize>,
    by_recipient: Vec<(NonZeroU32, Duration)>,
    spending: Vec<Spending>,
    most_recipients: NonZeroUsize,
    state: Mutex<State>,
}

impl<P: SmsProvider> Budget<P> {
    /// Creates the layer without a limit, so that it lets every message through.
    #[must_use]
    pub fn new(inner: P) -> Self {
        Self {
            inner,
            longest: None,
            by_recipient: Vec::new(),
            spending: Vec::new(),
            most_recipients: NonZeroUsize::MIN.saturating_add(99_999),
            state: Mutex::new(State {
                recipients: HashMap::new(),
                by_age: BTreeSet::new(),
                ledgers: Vec::new(),
            }),
        }
    }

    /// Sets the most parts that one message may take. Defaults to no limit.
    #[must_use]
    pub const fn with_max_parts(mut self, parts: usize) -> Self {
        self.longest = Some(parts);
        self
    }

    /// Limits the messages to one recipient within any window of this length. Several limits hold together.
    #[must_use]
    pub fn with_recipient_limit(mut self, messages: NonZeroU32, window: Duration) -> Self {
        self.by_recipient.push((messages, window));
        self
    }

    /// Limits the money spent within any window of this length. Several limits hold together.
    ///
    /// A message counts with the price on its receipt if that is in the limit's currency, else with its parts (by the
    /// vendor's count if it has one) times `per_part`. During its call and in doubt, it counts with its parts times
    /// `per_part`, so set that to the price of the most expensive part that you send.
    ///
    /// # Errors
    ///
    /// Returns an error if the two prices have different currencies, or `per_part` is not above zero.
    pub fn with_spend_limit(
        mut self,
        limit: Price,
        window: Duration,
        per_part: Price,
    ) -> Result<Self, ConfigError> {
        if limit.currency() != per_part.currency() {
            return Err(ConfigError::new(
                "a spend limit and its price per part need the same currency",
            ));
        }
        if per_part.nanos() <= 0 {
            return Err(ConfigError::new(
                "a price per part of zero never reaches the limit: set a higher one",
            ));
        }
        self.spending.push(Spending {
            limit,
            per_part,
            slot: (window / Spending::SLOTS).max(Duration::from_nanos(1)),
            start: Instant::now(),
        });
        self.state().ledgers.push(Ledger::default());
        Ok(self)
    }

    /// Sets how many recipients are counted at a time. Defaults to 100,000. While that many had a text within the
    /// longest window, a text to another recipient is refused.
    #[must_use]
    pub const fn with_max_recipients(mut self, most: NonZeroUsize) -> Self {
        self.most_recipients = most;
        self
    }

    fn blocked(&self, reason: &'static str) -> SendError {
        refusal(self.inner.profile(), ErrorKind::Blocked, reason)
    }

    /// Counts a message against every limit, or against none if it is above one.
    fn count(&self, message: &Message) -> Result<Counted, &'static str> {
        let parts = message.text().count().parts();
        if self.longest.is_some_and(|longest| parts > longest) {
            return Err("the text takes more parts than one message may have");
        }
        let now = Instant::now();
        let mut state = self.state();
        for (rule, ledger) in self.spending.iter().zip(&mut state.ledgers) {
            if ledger.sum(rule.slot_at(now)) + rule.estimate(parts) > rule.limit.nanos().into() {
                return Err("the spend limit of this window is reached");
            }
        }
        if let Some(longest) = self.by_recipient.iter().map(|&(_, window)| window).max() {
            if !state.recipients.contains_key(&message.to()) {
                state.make_room(now, longest, self.most_recipients.get());
                if state.recipients.len() >= self.most_recipients.get() {
                    return Err("the limit of recipients within the window is reached");
                }
            }
            let State {
                recipients, by_age, ..
            } = &mut *state;
            let times = recipients.entry(message.to()).or_default();
            let last = times.back().copied();
            while times.front().is_some_and(|&time| now - time >= longest) {
                times.pop_front();
            }
            for &(most, window) in &self.by_recipient {
                let within = times.iter().rev().take_while(|&&time| now - time < window);
                if within.count() >= most.get() as usize {
                    return Err(
                        "the limit of texts to this recipient within the window is reached",
                    );
                }
            }
            times.push_back(now);
            if let Some(last) = last {
                by_age.remove(&(last, message.to()));
            }
            by_age.insert((now, message.to()));
        }
        for (rule, ledger) in self.spending.iter().zip(&mut state.ledgers) {
            ledger.add(rule.slot_at(now), rule.estimate(parts));
        }
        Ok(Counted {
            to: message.to(),
            parts,
            at: now,
        })
    }

    fn settle(&self, counted: &Counted, outcome: &Result<Receipt, SendError>) {
        let mut state = self.state();
        match outcome {
            Ok(receipt) => {
                for (rule, ledger) in self.spending.iter().zip(&mut state.ledgers) {
                    let difference =
                        rule.price(receipt, counted.parts) - rule.estimate(counted.parts);
                    ledger.correct(rule.slot_at(counted.at), difference);
                }
            }
            Err(error) if error.acceptance() == Acceptance::NotAccepted => {
                for (rule, ledger) in self.spending.iter().zip(&mut state.ledgers) {
                    ledger.correct(rule.slot_at(counted.at), -rule.estimate(counted.parts));
                }
                state.take_off(counted);
            }
            Err(_) => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for Budget<P> {
    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let counted = self.count(message).map_err(|reason| self.blocked(reason))?;
        let outcome = self.inner.send(message).await;
        self.settle(&counted, &outcome);
        outcome
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let mut outcomes = Outcomes::in_doubt(messages);
        let (mut indices, mut counted) = (Vec::new(), Vec::new());
        for (index, message) in messages.iter().enumerate() {
            match self.count(message) {
                Ok(entry) => {
                    indices.push(index);
                    counted.push(entry);
                }
                Err(reason) => outcomes.set(index, Err(self.blocked(reason))),
            }
        }
        let sent = send_some(&self.inner, messages, &indices).await;
        for (entry, outcome) in counted.iter().zip(&sent) {
            self.settle(entry, outcome);
        }
        put(&indices, sent, &mut outcomes);
        outcomes
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

impl<P: fmt::Debug> fmt::Debug for Budget<P> {
    /// Shows the number of recipients, and none of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("inner", &self.inner)
            .field("longest", &self.longest)
            .field("by_recipient", &self.by_recipient)
            .field("spending", &self.spending)
            .field("most_recipients", &self.most_recipients)
            .field("counted", &lock(&self.state).recipients.len())
            .finish_non_exhaustive()
    }
}

/// A message that is counted, until its outcome is known.
struct Counted {
    to: PhoneNumber,
    parts: usize,
    at: Instant,
}

struct State {
    /// The times of each recipient's texts within the longest window.
    recipients: HashMap<PhoneNumber, VecDeque<Instant>>,
    /// The time of each recipient's last text, oldest first.
    by_age: BTreeSet<(Instant, PhoneNumber)>,
    ledgers: Vec<Ledger>,
}

impl State {
    /// Removes recipients whose texts lie outside of the longest window, if there is no room for another.
    fn make_room(&mut self, now: Instant, longest: Duration, most: usize) {
        while self.recipients.len() >= most {
            match self.by_age.first() {
                Some(&(last, recipient)) if now - last >= longest => {
                    self.by_age.pop_first();
                    self.recipients.remove(&recipient);
                }
                _ => return,
            }
        }
    }

    fn take_off(&mut self, counted: &Counted) {
        let Some(times) = self.recipients.get_mut(&counted.to) else {
            return;
        };
        let last = times.back().copied();
        if let Some(index) = times.iter().rposition(|&time| time == counted.at) {
            times.remove(index);
        }
        if let Some(last) = last {
            self.by_age.remove(&(last, counted.to));
        }
        match times.back() {
            Some(&last) => {
                self.by_age.insert((last, counted.to));
            }
            None => {
                self.recipients.remove(&counted.to);
            }
        }
    }
}

/// A spend limit.
#[derive(Debug)]
struct Spending {
    limit: Price,
    per_part: Price,
    slot: Duration,
    start: Instant,
}

impl Spending {
    const SLOTS: u32 = 60;

    fn slot_at(&self, time: Instant) -> u128 {
        time.saturating_duration_since(self.start).as_nanos() / self.slot.as_nanos()
    }

    fn estimate(&self, parts: usize) -> i128 {
        i128::from(self.per_part.nanos()) * parts as i128
    }

    fn price(&self, receipt: &Receipt, parts: usize) -> i128 {
        match receipt.price() {
            Some(price) if price.currency() == self.limit.currency() => price.nanos().max(0).into(),
            _ => self.estimate(receipt.parts().map_or(parts, usize::from)),
        }
    }
}

/// The money spent in each slot of a window, in billionths.
#[derive(Debug, Default)]
struct Ledger(VecDeque<(u128, i128)>);

impl Ledger {
    fn sum(&mut self, now: u128) -> i128 {
        let slots = u128::from(Spending::SLOTS);
        while self.0.front().is_some_and(|&(slot, _)| slot + slots < now) {
            self.0.pop_front();
        }
        self.0.iter().map(|&(_, nanos)| nanos).sum()
    }

    fn add(&mut self, slot: u128, nanos: i128) {
        match self.0.back_mut() {
            Some((last, sum)) if *last == slot => *sum += nanos,
            _ => self.0.push_back((slot, nanos)),
        }
    }

    /// Corrects the sum of a slot, if the window still has it.
    fn correct(&mut self, slot: u128, difference: i128) {
        if let Some((_, sum)) = self.0.iter_mut().find(|(known, _)| *known == slot) {
            *sum += difference;
        }
    }
}
