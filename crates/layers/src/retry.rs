//! **Does:** sends again what was certainly not sent and passes by itself (`may_resend`), and a single send in
//! doubt inside the inner profile's repeat window, byte for byte the same. Waits in between: exponential
//! back-off with full jitter on top of what the vendor asks for. A budget across all messages keeps a dead
//! vendor from being hammered.
//!
//! **Never:** repeats a doubt through a batch, outside of the window, or at a vendor without one; never lets a
//! doubt end in anything but an acceptance, whatever else the repeats meet.
//!
//! **Belongs** around [`RateLimit`](crate::RateLimit) and [`Timeout`](crate::Timeout), so that each try has
//! its own permit and its own deadline, and inside of [`Failover`](crate::Failover).

use std::{
    num::NonZeroU32,
    slice,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use postduif_core::{
    Acceptance, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
};
use tokio::time::{Instant, sleep};

use crate::way::{Trail, Way};

/// Sends again what may be sent again.
///
/// Who was tried before is in the receipt's and the error's `attempts`.
///
/// Its repeats may begin up to [`with_deadline`](Self::with_deadline) after the first try, so its own profile
/// has a repeat window that much shorter: who repeats a send of this layer never leads it out of the vendor's
/// window.
///
/// ```
/// # use postduif_core::*;
/// use std::{num::NonZeroU32, time::Duration};
/// use postduif_layers::Retry;
///
/// # async fn example(vendor: impl SmsProvider, message: Message) {
/// let provider = Retry::new(vendor)
///     .with_attempts(NonZeroU32::new(4).unwrap())
///     .with_backoff(Duration::from_millis(100), Duration::from_secs(2));
/// if let Ok(receipt) = provider.send(&message).await {
///     println!("accepted at try {}", receipt.attempts().len() + 1);
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Retry<P> {
    inner: P,
    profile: Profile,
    attempts: NonZeroU32,
    shortest: Duration,
    longest: Duration,
    longest_hint: Duration,
    deadline: Duration,
    budget: Repeats,
}

impl<P: SmsProvider> Retry<P> {
    /// Tries each message up to three times, the last within a minute, with a budget of 50 repeats.
    #[must_use]
    pub fn new(inner: P) -> Self {
        let profile = inner.profile().clone();
        Self {
            inner,
            profile,
            attempts: NonZeroU32::MIN.saturating_add(2),
            shortest: Duration::from_millis(200),
            longest: Duration::from_secs(10),
            longest_hint: Duration::from_secs(30),
            deadline: Duration::ZERO,
            budget: Repeats::new(50),
        }
        .with_deadline(Duration::from_secs(60))
    }

    /// How often a message is tried in all, the first try included; 3 unless given.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Between tries it waits a random time of at most `shortest`, doubled with each try up to `longest`;
    /// 200 ms and 10 s unless given. Neither is more than a day.
    #[must_use]
    pub fn with_backoff(mut self, shortest: Duration, longest: Duration) -> Self {
        let day = Duration::from_secs(86_400);
        self.shortest = shortest.min(day);
        self.longest = longest.min(day);
        self
    }

    /// The most that is waited because the vendor asks for it (`retry_after`), before the back-off is added;
    /// 30 s unless given.
    #[must_use]
    pub const fn with_longest_hint(mut self, longest: Duration) -> Self {
        self.longest_hint = longest;
        self
    }

    /// How long after its first try a message's last repeat may begin; 60 s unless given. A wait that would
    /// end later is not begun.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        let left = |window: Duration| window.checked_sub(deadline).filter(|left| !left.is_zero());
        let window = self.inner.profile().repeat_window().and_then(left);
        self.profile = self.profile.with_repeat_window(window);
        self.deadline = deadline;
        self
    }

    /// How many repeated calls are in the budget when it is full, as it is at the start; 50 unless given. A
    /// repeat takes one, an accepted message gives a tenth back, and one accepted at a repeat gives the
    /// repeat back too. Where the budget is empty nothing is repeated.
    #[must_use]
    pub const fn with_budget(mut self, repeats: u32) -> Self {
        self.budget = Repeats::new(repeats);
        self
    }

    async fn run(&self, messages: &[Message], way: Way) -> Outcomes {
        let begun = Instant::now();
        let size = self.inner.profile().batch_size();
        let window = match way {
            Way::Single => self.inner.profile().repeat_window(),
            Way::Batch => None,
        };
        let mut outcomes = way.send(&self.inner, messages).await;
        self.budget.refill(&outcomes);
        let mut histories = vec![History::default(); messages.len()];
        let mut pending: Vec<usize> = (0..messages.len()).collect();
        for tried in 1..self.attempts.get() {
            let (mut hint, mut limit) = (Duration::ZERO, self.deadline);
            pending.retain(|&place| {
                let (Some(Err(error)), Some(history)) =
                    (outcomes.get(place), histories.get_mut(place))
                else {
                    return false;
                };
                let unknown = error.acceptance() == Acceptance::Unknown;
                history.doubt |= unknown;
                let again = error.may_resend() || unknown && window.is_some();
                if again {
                    hint = hint.max(error.retry_after().unwrap_or_default());
                }
                if let (true, true, Some(window)) = (again, history.doubt, window) {
                    limit = limit.min(window);
                }
                again
            });
            let wait = hint
                .min(self.longest_hint)
                .saturating_add(self.back_off(tried));
            let in_time = |wait: Duration| begun.elapsed().saturating_add(wait) < limit;
            if pending.is_empty() || !in_time(wait) || self.budget.is_empty() {
                break;
            }
            sleep(wait).await;
            // Asked again: a timer may be late.
            if !in_time(Duration::ZERO) {
                break;
            }
            let calls = self.budget.take(pending.len().div_ceil(size.get()));
            pending.truncate(calls.saturating_mul(size.get()));
            for &place in &pending {
                if let (Some(Err(error)), Some(history)) =
                    (outcomes.get(place), histories.get_mut(place))
                {
                    let name = self.inner.profile().name();
                    let name = error.provider().unwrap_or(name).to_owned();
                    history.trail.push(name, error);
                }
            }
            way.send_some(&self.inner, messages, &pending, &mut outcomes)
                .await;
            let repeated: Vec<_> = pending.iter().filter_map(|&p| outcomes.get(p)).collect();
            if repeated.iter().any(|outcome| outcome.is_ok()) {
                self.budget.give_back(calls);
            }
            self.budget.refill(repeated);
        }
        for (place, history) in histories.into_iter().enumerate() {
            if let Some(outcome) = outcomes.get(place).cloned() {
                outcomes.set(place, history.ends_in(outcome));
            }
        }
        outcomes
    }

    /// A random time up to a bound that doubles with each try: with a fixed one, callers that failed together
    /// would come back together.
    fn back_off(&self, tried: u32) -> Duration {
        let most = self
            .shortest
            .saturating_mul(2_u32.saturating_pow(tried - 1))
            .min(self.longest);
        // Without random bytes the longest wait is the careful one.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        most.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for Retry<P> {
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

    /// Asks once: whoever checks can ask again.
    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

/// What befell a message so far.
#[derive(Clone, Debug, Default)]
struct History {
    /// It may have gone out at one of the tries; only an acceptance ends that.
    doubt: bool,
    trail: Trail,
}

impl History {
    fn ends_in(self, outcome: Result<Receipt, SendError>) -> Result<Receipt, SendError> {
        self.trail
            .ends_in(outcome.map_err(|error| match self.doubt {
                true => error.in_doubt(),
                false => error,
            }))
    }
}

/// The budget of repeats that all messages share, counted in tenths.
#[derive(Debug)]
struct Repeats {
    left: AtomicU32,
    most: u32,
}

impl Repeats {
    const ONE: u32 = 10;

    const fn new(repeats: u32) -> Self {
        let most = repeats.saturating_mul(Self::ONE);
        Self {
            left: AtomicU32::new(most),
            most,
        }
    }

    fn is_empty(&self) -> bool {
        self.left.load(Ordering::Relaxed) < Self::ONE
    }

    /// Takes as many repeats as are there, at most `calls`.
    fn take(&self, calls: usize) -> usize {
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let taken = |left: u32| (left / Self::ONE).min(calls);
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left - taken(left) * Self::ONE)
            });
        taken(before.unwrap_or_else(|left| left)) as usize
    }

    fn give_back(&self, calls: usize) {
        self.add(u32::try_from(calls).map_or(u32::MAX, |calls| calls.saturating_mul(Self::ONE)));
    }

    fn refill<'a>(&self, outcomes: impl IntoIterator<Item = &'a Result<Receipt, SendError>>) {
        let accepted = outcomes.into_iter().filter(|outcome| outcome.is_ok());
        self.add(u32::try_from(accepted.count()).unwrap_or(u32::MAX));
    }

    fn add(&self, tenths: u32) {
        let _ = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_add(tenths).min(self.most))
            });
    }
}
