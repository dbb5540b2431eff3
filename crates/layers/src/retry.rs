//! **Does:** resends a message that was certainly not sent because of a temporary failure (`may_resend`), and a single
//! send in doubt inside the inner profile's repeat window, byte for byte the same. It waits in between: exponential
//! back-off with full jitter, added to the vendor's `retry_after`. A budget shared by all messages limits the load on a
//! vendor that is down.
//!
//! **Never:** repeats a doubt in a batch, outside of the window, or at a vendor without one, unless it is asked for at
//! least one delivery (`at_least_once`); never ends a doubt with anything but an acceptance, whatever else the repeats
//! return. Never repeats earlier than the vendor asks, and never repeats a message that a layer refused.
//!
//! **Belongs** around [`RateLimit`](crate::RateLimit) and [`Timeout`](crate::Timeout), so that each attempt has its own
//! turn and deadline, around [`Batch`](crate::Batch), so that no message waits for another's repeat, and inside of
//! [`Failover`](crate::Failover).

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use postduif_core::{
    Acceptance, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider,
    async_trait,
    departure::{attempt, hold_until_closed},
};
use tokio::time::Instant;

use crate::{
    clock::{RuntimeEnded, can_wait, has_timer, sleep_until},
    dispatch::{Trail, is_cut_off, later, send_batch, send_some},
    scope::{Progress, Scope},
    start_within::started,
};

/// A layer that resends messages that were certainly not sent.
///
/// The failed attempts are the `attempts` of the receipt and the error.
///
/// It gives up at once if it would have to repeat earlier than the vendor asks (`retry_after`), or later than its own
/// limits allow. In a [`Failover`](crate::Failover) with another open member it waits about a second at most: after a
/// longer `retry_after` or a `Timeout`, the message goes to the next member. A batch gathered by a
/// [`Batch`](crate::Batch) around it is repeated only as a whole and within about a second, so that finished messages
/// do not wait for the others.
///
/// Repeats may begin up to [`with_deadline`](Self::with_deadline) after the first attempt. This layer's profile
/// subtracts that time from the vendor's repeat window. A layer outside that repeats a send within the rest thus stays
/// within the vendor's window.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use std::{num::NonZeroU32, time::Duration};
/// use postduif::{layers::Retry, SmsProvider as _};
///
/// # async fn example(vendor: impl SmsProvider, message: Message) {
/// let provider = Retry::new(vendor)
///     .with_attempts(NonZeroU32::new(4).unwrap())
///     .with_backoff(Duration::from_millis(100), Duration::from_secs(2));
/// if let Ok(receipt) = provider.send(&message).await {
///     println!("accepted at attempt {}", receipt.attempts().len() + 1);
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
    budget: Budget,
    at_least_once: bool,
}

impl<P: SmsProvider> Retry<P> {
    /// Creates a layer with up to three attempts per message, the last within a minute, and a budget of 50 repeats.
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
            budget: Budget::new(50),
            at_least_once: false,
        }
        .with_deadline(Duration::from_secs(60))
    }

    /// Sets the most attempts for a message, the first one included. Defaults to 3.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the pause between attempts: a random time of at most `shortest`, doubled with each attempt up to `longest`.
    /// Defaults to 200 ms and 10 s. Neither can be more than a day.
    #[must_use]
    pub fn with_backoff(mut self, shortest: Duration, longest: Duration) -> Self {
        let day = Duration::from_secs(86_400);
        self.shortest = shortest.min(day);
        self.longest = longest.min(day);
        self
    }

    /// Sets the longest `retry_after` of the vendor that it follows, before the back-off is added. Defaults to 30 s. If
    /// the vendor asks for more, the message is not repeated.
    #[must_use]
    pub const fn with_max_hint(mut self, longest: Duration) -> Self {
        self.longest_hint = longest;
        self
    }

    /// Sets how long after its first attempt a message's last repeat may begin. Defaults to 60 s. A wait that would end
    /// later does not begin.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        let window = self.inner.profile().repeat_window_after(deadline);
        self.profile = self.profile.with_repeat_window(window);
        self.deadline = deadline;
        self
    }

    /// Sets how many repeated calls a full budget holds, as it does at the start. Defaults to 50. A repeat costs one.
    /// An accepted message returns a tenth, and one accepted at a repeat also returns the repeat. An empty budget is
    /// full again after five minutes. While it is empty, nothing is repeated.
    #[must_use]
    pub fn with_budget(mut self, repeats: u32) -> Self {
        self.budget = Budget::new(repeats);
        self
    }

    /// Repeats messages in doubt as well, at every vendor and in batches: for alerts that must arrive, even twice.
    ///
    /// **The price:** after a lost response the vendor may have sent the text, and sends it again. A person can get the
    /// same text as often as there are [attempts](Self::with_attempts), and each is billed. Do not use it for codes or
    /// passwords that replace each other, or for whatever is done once for each text. An error is still in doubt if any
    /// of its attempts was.
    ///
    /// ```
    /// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
    /// # use postduif::*;
    /// use postduif::layers::Retry;
    ///
    /// # fn example(vendor: impl SmsProvider) {
    /// let alerts = Retry::new(vendor).at_least_once();
    /// # }
    /// ```
    #[must_use]
    pub const fn at_least_once(mut self) -> Self {
        self.at_least_once = true;
        self
    }

    /// Returns how long to wait before the message is resent, or `None` if it is not.
    fn pause(&self, error: &SendError, doubt: bool, tried: u32, scope: Scope) -> Option<Duration> {
        let again = error.may_resend() && !error.is_local()
            || error.acceptance() == Acceptance::Unknown && doubt;
        let hint = error.retry_after().unwrap_or_default();
        if !again || hint > self.longest_hint {
            return None;
        }
        // A doubt goes to no other member, so it may wait, unless other messages wait for its call.
        let patience = scope.patience.filter(|_| !doubt || scope.gathered);
        if let Some(patience) = patience
            && (hint > patience || error.kind() == ErrorKind::Timeout)
        {
            return None;
        }
        let pause = hint.saturating_add(self.back_off(tried));
        Some(match patience {
            Some(patience) => pause.min(hint.max(patience)),
            _ => pause,
        })
    }

    async fn repeat(
        &self,
        message: &Message,
        begun: Instant,
        mut progress: Option<Progress>,
        first: SendError,
    ) -> Result<Receipt, SendError> {
        let scope = Scope::current();
        let window = self.inner.profile().repeat_window();
        let window = window.filter(|_| !self.at_least_once);
        let mut history = History::default();
        let mut outcome = Err(first);
        for tried in 1..self.attempts.get() {
            let Err(error) = &outcome else { break };
            history.doubt |= error.acceptance() == Acceptance::Unknown;
            let repeatable = history.doubt && (window.is_some() || self.at_least_once);
            if history.doubt && !repeatable {
                break;
            }
            let limit = match window {
                Some(window) if history.doubt => self.deadline.min(window),
                _ => self.deadline,
            };
            let in_time = |wait: Duration| begun.elapsed().saturating_add(wait) < limit;
            let Some(pause) = self.pause(error, repeatable, tried, scope) else {
                break;
            };
            if !in_time(pause) || self.budget.is_empty() || is_cut_off() || !has_timer() {
                break;
            }
            if let Some(before) = progress.take() {
                let failed = before.with_failure(self.inner.profile().owned_name(), error);
                failed.clone().publish();
                progress = Some(failed);
            }
            let paused = hold_until_closed(sleep_until(later(Instant::now(), pause))).await;
            // Checked again: a timer may be late.
            if matches!(paused, Err(_) | Ok(Err(RuntimeEnded)))
                || !in_time(Duration::ZERO)
                || self.budget.take(1) == 0
            {
                break;
            }
            let repeat = Scope {
                repeat: !history.doubt,
                ..scope
            };
            let send = repeat.around(attempt(self.inner.send(message)));
            let again = match window {
                // It may wait inside of the layer below, and must not leave after the window.
                Some(window) if history.doubt => {
                    started(window.saturating_sub(begun.elapsed()), send).await
                }
                _ => Some(send.await),
            };
            let Some(again) = again else { break };
            if never_began(&again) {
                self.budget.give_back(1);
                break;
            }
            history.push(error, self.inner.profile());
            outcome = again;
            self.book(1, usize::from(outcome.is_ok()), is_local(&outcome));
        }
        history.ends_in(outcome)
    }

    /// Updates the budget after a repeat of this number of calls. A repeat that a layer refused costs nothing.
    fn book(&self, calls: usize, accepted: usize, local: bool) {
        if accepted > 0 || local {
            self.budget.give_back(calls);
        }
        self.budget.refill(accepted);
    }

    async fn repeat_batch(
        &self,
        messages: &[Message],
        begun: Instant,
        mut outcomes: Outcomes,
    ) -> Outcomes {
        let scope = Scope::current();
        let size = self.inner.profile().batch_size();
        let mut histories = vec![History::default(); messages.len()];
        let mut pending: Vec<usize> = (0..messages.len()).collect();
        for tried in 1..self.attempts.get() {
            let mut pause = Duration::ZERO;
            pending.retain(|&index| {
                let Some(Err(error)) = outcomes.get(index) else {
                    return false;
                };
                let wait = self.pause(error, self.at_least_once, tried, scope);
                pause = pause.max(wait.unwrap_or_default());
                wait.is_some()
            });
            let in_time = |wait: Duration| begun.elapsed().saturating_add(wait) < self.deadline;
            let settled = pending.len() < messages.len();
            if pending.is_empty()
                || scope.gathered && settled
                || !in_time(pause)
                || self.budget.is_empty()
                || is_cut_off()
                || !has_timer()
            {
                break;
            }
            let paused = hold_until_closed(sleep_until(later(Instant::now(), pause))).await;
            if matches!(paused, Err(_) | Ok(Err(RuntimeEnded))) || !in_time(Duration::ZERO) {
                break;
            }
            let calls = self.budget.take(pending.len().div_ceil(size.get()));
            pending.truncate(calls.saturating_mul(size.get()));
            let repeat = Scope {
                repeat: true,
                ..scope
            };
            let again = attempt(send_some(&self.inner, messages, &pending));
            let repeated = repeat.around(again).await;
            self.book(calls, repeated.accepted(), repeated.iter().all(is_local));
            for (&index, outcome) in pending.iter().zip(repeated) {
                if never_began(&outcome) {
                    continue;
                }
                if let (Some(Err(error)), Some(history)) =
                    (outcomes.get(index), histories.get_mut(index))
                {
                    history.push(error, self.inner.profile());
                }
                outcomes.set(index, outcome);
            }
        }
        for (index, history) in histories.into_iter().enumerate() {
            if let Some(outcome) = outcomes.get(index).cloned() {
                outcomes.set(index, history.ends_in(outcome));
            }
        }
        outcomes
    }

    /// Returns a random time up to a bound that doubles with each attempt. After a fixed time, callers that failed
    /// together would repeat together.
    fn back_off(&self, tried: u32) -> Duration {
        let most = self
            .shortest
            .saturating_mul(2_u32.saturating_pow(tried - 1))
            .min(self.longest);
        // Without random bytes, the longest wait is the safe one.
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
        can_wait(&self.profile)?;
        let begun = Instant::now();
        let progress = Progress::current();
        match attempt(self.inner.send(message)).await {
            Ok(receipt) => {
                self.budget.refill(1);
                Ok(receipt)
            }
            Err(error) => Box::pin(self.repeat(message, begun, progress, error)).await,
        }
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        if let Err(error) = can_wait(&self.profile) {
            return Outcomes::failed(messages, &error);
        }
        let begun = Instant::now();
        let outcomes = attempt(send_batch(&self.inner, messages)).await;
        let accepted = outcomes.accepted();
        self.budget.refill(accepted);
        if accepted == messages.len() {
            return outcomes;
        }
        Box::pin(self.repeat_batch(messages, begun, outcomes)).await
    }

    /// Checks once: the caller can check again.
    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

fn is_local(outcome: &Result<Receipt, SendError>) -> bool {
    matches!(outcome, Err(error) if error.is_local())
}

/// Returns whether a repeat was cut off before anything of it began. The outcome of its message is then that of the
/// attempt before.
fn never_began(outcome: &Result<Receipt, SendError>) -> bool {
    let untried = |error: &SendError| error.is_local() && error.attempts().is_empty();
    is_cut_off() && matches!(outcome, Err(error) if untried(error))
}

/// The failed attempts of a message so far.
#[derive(Clone, Debug, Default)]
struct History {
    /// Whether one of the attempts may have sent it; only an acceptance ends that doubt.
    doubt: bool,
    trail: Trail,
}

impl History {
    fn push(&mut self, error: &SendError, inner: &Profile) {
        self.doubt |= error.acceptance() == Acceptance::Unknown;
        let name = error.provider().unwrap_or(inner.name()).to_owned();
        self.trail.push(name, error);
    }

    fn ends_in(self, outcome: Result<Receipt, SendError>) -> Result<Receipt, SendError> {
        self.trail
            .ends_in(outcome.map_err(|error| if self.doubt { error.in_doubt() } else { error }))
    }
}

/// The budget of repeats, shared by all messages and counted in tenths.
#[derive(Debug)]
struct Budget {
    left: AtomicU32,
    most: u32,
    /// The time in milliseconds after `start` up to which the budget has been refilled.
    given_until: AtomicU64,
    start: Instant,
}

impl Budget {
    const ONE: u32 = 10;
    /// The milliseconds after which an empty budget is full again.
    const FILLS_IN: u64 = 300_000;

    fn new(repeats: u32) -> Self {
        let most = repeats.saturating_mul(Self::ONE);
        Self {
            left: AtomicU32::new(most),
            most,
            given_until: AtomicU64::new(0),
            start: Instant::now(),
        }
    }

    fn is_empty(&self) -> bool {
        self.give_for_time();
        self.left.load(Ordering::Relaxed) < Self::ONE
    }

    /// Refills the budget for the time that has passed.
    fn give_for_time(&self) {
        let most = u64::from(self.most);
        if most == 0 {
            return;
        }
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let until = self.given_until.load(Ordering::Relaxed);
        let passed = now.saturating_sub(until).min(Self::FILLS_IN);
        let due = passed * most / Self::FILLS_IN;
        if due == 0 {
            return;
        }
        // The rest of a tenth counts the next time.
        let next = match passed {
            Self::FILLS_IN => now,
            _ => until + (due * Self::FILLS_IN).div_ceil(most),
        };
        let ours =
            self.given_until
                .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed);
        if ours.is_ok() {
            self.add(u32::try_from(due).unwrap_or(u32::MAX));
        }
    }

    /// Takes up to `calls` repeats from the budget, and returns their number.
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

    fn refill(&self, accepted: usize) {
        self.add(u32::try_from(accepted).unwrap_or(u32::MAX));
    }

    fn add(&self, tenths: u32) {
        let _ = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                // Not written if it is full, as it nearly always is: a write costs all threads the cache line.
                (left < self.most).then(|| left.saturating_add(tenths).min(self.most))
            });
    }
}
