//! **Does:** limits the messages per second, with a burst, and the calls under way. A call that comes too early waits
//! for its turn, first come, first served, for a bounded time and in a bounded queue.
//!
//! **Never:** counts a message that it refuses; never creates a doubt: a refused message is `Throttled` and certainly
//! not accepted, and a call that is cut off while it waits has not left.
//!
//! **Belongs** around [`Timeout`](crate::Timeout), so that the wait lies outside of the call's deadline, and inside of
//! [`Retry`](crate::Retry), so that each attempt is counted. Vendors limit each account, so each needs its own.

use std::{
    collections::VecDeque,
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use postduif_core::{
    ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
    departure::hold_until_closed,
};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use crate::{
    clock::{Late, can_wait, ended, timeout_at},
    dispatch::{call_size, cut_off, in_calls, later, lock, not_cut_off, refusal},
    scope::Scope,
};

/// A layer that limits the messages per second and the calls under way.
///
/// A batch is first split into vendor calls no larger than the burst. The calls wait one after the other, each for as
/// many turns as it has messages. A repeat may wait here before it reaches the vendor, so the profile's repeat window
/// is shorter by the longest wait, and its batches are no larger than the burst.
///
/// The rate and the queue determine when a turn comes. A call whose turn would come too late is refused at once, with
/// that time as its `retry_after`. A send that is neither polled nor dropped does not delay the others: they go first
/// until it is polled again. Once it has its turn, it is one of the calls under way.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use std::{num::{NonZeroU32, NonZeroUsize}, time::Duration};
/// use postduif::layers::RateLimit;
///
/// # fn example(vendor: impl SmsProvider) {
/// let provider = RateLimit::new(vendor, NonZeroU32::new(5).unwrap())
///     .with_burst(NonZeroU32::new(10).unwrap())
///     .with_in_flight(NonZeroUsize::new(4).unwrap())
///     .with_max_wait(Duration::from_secs(5));
/// # }
/// ```
pub struct RateLimit<P> {
    inner: P,
    profile: Profile,
    burst: NonZeroU32,
    longest_wait: Duration,
    in_flight: NonZeroUsize,
    queue: NonZeroUsize,
    turns: Mutex<Turns>,
}

impl<P: SmsProvider> RateLimit<P> {
    /// Creates a layer with this limit of messages per second, at most a million. The burst defaults to the same
    /// number.
    #[must_use]
    pub fn new(inner: P, per_second: NonZeroU32) -> Self {
        // Above a million, the interval between two messages would round to zero.
        let per_second = per_second.min(NonZeroU32::new(1_000_000).unwrap_or(per_second));
        let in_flight = NonZeroUsize::MIN.saturating_add(31);
        let turns = Turns {
            // Rounded up, so that the rate is slightly below the limit, not above.
            interval: Duration::from_nanos(1_000_000_000_u64.div_ceil(per_second.get().into())),
            burst: per_second.get(),
            free_at: Instant::now(),
            in_flight: in_flight.get(),
            under_way: 0,
            queue: VecDeque::new(),
            waits: 0,
            messages: 0,
        };
        Self {
            profile: inner.profile().clone(),
            inner,
            burst: per_second,
            longest_wait: Duration::ZERO,
            in_flight,
            queue: NonZeroUsize::MIN.saturating_add(9_999),
            turns: Mutex::new(turns),
        }
        .with_burst(per_second)
        .with_max_wait(Duration::from_secs(30))
    }

    /// Sets how many messages may go at once after a pause. Defaults to the messages per second.
    #[must_use]
    pub fn with_burst(mut self, messages: NonZeroU32) -> Self {
        self.burst = messages;
        self.turns().burst = messages.get();
        let inner = self.inner.profile();
        let size = inner.batch_size().min(self.largest_call());
        self.profile = self.profile.with_batch(size, inner.batch_texts());
        self
    }

    /// Sets how many calls may be under way at a time. Defaults to 32.
    #[must_use]
    pub fn with_in_flight(mut self, calls: NonZeroUsize) -> Self {
        self.in_flight = calls;
        self.turns().in_flight = calls.get();
        self
    }

    /// Sets the longest that a call waits for its turn, under both limits together. Defaults to 30 s. A call whose turn
    /// by the rate would come later is refused at once.
    #[must_use]
    pub fn with_max_wait(mut self, wait: Duration) -> Self {
        let window = self.inner.profile().repeat_window_after(wait);
        self.profile = self.profile.with_repeat_window(window);
        self.longest_wait = wait;
        self
    }

    /// Sets how many calls may wait at a time. Defaults to 10,000. Calls beyond are refused at once.
    #[must_use]
    pub const fn with_max_waiting(mut self, calls: NonZeroUsize) -> Self {
        self.queue = calls;
        self
    }

    fn largest_call(&self) -> NonZeroUsize {
        NonZeroUsize::try_from(self.burst).unwrap_or(NonZeroUsize::MAX)
    }

    async fn piece(&self, order: &Semaphore, piece: &[Message]) -> Outcomes {
        let first = hold_until_closed(order.acquire()).await;
        let turn = self.turn(piece.len()).await;
        drop(first);
        match turn {
            Ok(_turn) => self.inner.send_batch(piece).await,
            Err(error) => Outcomes::failed(piece, &error),
        }
    }

    /// Waits for the turn of a call with this number of messages. The turn lasts as long as the call.
    async fn turn(&self, messages: usize) -> Result<Turn<'_, P>, SendError> {
        not_cut_off(self.inner.profile())?;
        can_wait(self.inner.profile())?;
        let messages = match u32::try_from(messages) {
            Ok(messages) if messages <= self.burst.get() => messages,
            _ => return Err(self.throttled("the call has more messages than the burst")),
        };
        let scope = Scope::current();
        let longest = match scope.patience {
            Some(patience) if scope.repeat => self.longest_wait.min(patience),
            _ => self.longest_wait,
        };
        let now = Instant::now();
        let mut queued = {
            let mut turns = self.turns();
            turns.give(now);
            if turns.waits == 0 && turns.give_one(messages, now) {
                return Ok(Turn(self));
            }
            if turns.waits >= self.queue.get() {
                return Err(self.throttled("too many calls already wait for their turn"));
            }
            let wait = turns.wait(turns.messages + u64::from(messages), now);
            if wait > longest {
                let error = self.throttled("the turn by the rate would come too late");
                return Err(error.with_retry_after(wait));
            }
            let entry = turns.enter(messages, later(now, wait), later(now, longest));
            Queued {
                limit: self,
                entry: Some(entry),
            }
        };
        // Boxed: most calls have their turn at once, and their future is smaller without this wait.
        Box::pin(hold_until_closed(queued.turn()))
            .await
            .unwrap_or_else(|_| Err(cut_off(self.inner.profile())))
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        lock(&self.turns)
    }

    fn throttled(&self, message: &'static str) -> SendError {
        refusal(self.inner.profile(), ErrorKind::Throttled, message)
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for RateLimit<P> {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let _turn = self.turn(1).await?;
        self.inner.send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let size = call_size(self.inner.profile(), messages).min(self.largest_call());
        // The chunks of a batch queue here, before the time of their wait begins: only the first of them waits among
        // the callers.
        let order = Semaphore::new(1);
        in_calls(messages, size, self.in_flight, async |piece| {
            self.piece(&order, piece).await
        })
        .await
    }

    /// Checks without a turn: a check is not a message.
    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

impl<P: fmt::Debug> fmt::Debug for RateLimit<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let turns = lock(&self.turns);
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("interval", &turns.interval)
            .field("burst", &self.burst)
            .field("in_flight", &self.in_flight)
            .field("longest_wait", &self.longest_wait)
            .field("waiting", &turns.waits)
            .field("under_way", &turns.under_way)
            .finish_non_exhaustive()
    }
}

/// The turns, by GCRA: `free_at` is the instant by which all messages so far would have gone at one message per
/// interval.
struct Turns {
    interval: Duration,
    burst: u32,
    free_at: Instant,
    in_flight: usize,
    under_way: usize,
    /// First come, first served. A call that gave up stays until its turn, or until such calls outnumber the others.
    queue: VecDeque<Arc<Entry>>,
    /// The number of calls in the queue that wait, and of their messages.
    waits: usize,
    messages: u64,
}

/// A call in the queue. Its state changes under the lock only.
struct Entry {
    messages: u32,
    /// When its turn comes by the rate, unless a call before it gives up.
    expected: Instant,
    deadline: Instant,
    state: AtomicU8,
    changed: Notify,
}

const WAITS: u8 = 0;
const HAS_ITS_TURN: u8 = 1;
const GONE: u8 = 2;
/// Out of the queue because it was not polled when its turn came. It is the first again when it is polled.
const ASLEEP: u8 = 3;

impl Turns {
    /// Returns how long it takes until this number of messages may go.
    fn wait(&self, messages: u64, now: Instant) -> Duration {
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        let ahead = self.free_at.saturating_duration_since(now);
        ahead
            .saturating_add(self.interval.saturating_mul(messages))
            .saturating_sub(self.interval.saturating_mul(self.burst))
    }

    fn give_one(&mut self, messages: u32, now: Instant) -> bool {
        if self.under_way >= self.in_flight || !self.wait(messages.into(), now).is_zero() {
            return false;
        }
        self.free_at = self.free_at.max(now) + self.interval.saturating_mul(messages);
        self.under_way += 1;
        true
    }

    /// Gives a turn to every call that is due. Any call does this for the others, since the first may not be polled.
    fn give(&mut self, now: Instant) {
        let mut changed = false;
        while let Some(first) = self.queue.front() {
            let waits = first.state.load(Ordering::Relaxed) == WAITS;
            if waits {
                // It would have left the queue itself, had it been polled.
                let forgotten = later(first.deadline, FORGOTTEN) < now;
                let first = Arc::clone(first);
                if !forgotten && !self.give_one(first.messages, now) {
                    break;
                }
                self.waits -= 1;
                self.messages -= u64::from(first.messages);
                let state = if forgotten { GONE } else { HAS_ITS_TURN };
                first.state.store(state, Ordering::Relaxed);
                first.changed.notify_one();
            }
            self.queue.pop_front();
            changed = true;
        }
        if let (true, Some(first)) = (changed, self.queue.front()) {
            // The time of its turn is exact only now.
            first.changed.notify_one();
        }
    }

    /// Takes the first call out of the queue if it did not take its turn in time. It looks when its turn comes, so it
    /// is not being polled.
    fn pass_over(&mut self, now: Instant) {
        let Some(first) = self.queue.front() else {
            return;
        };
        let messages = first.messages;
        let late = now.checked_sub(LATE).unwrap_or(now);
        if first.state.load(Ordering::Relaxed) != WAITS
            || self.under_way >= self.in_flight
            || !self.wait(messages.into(), late).is_zero()
        {
            return;
        }
        first.state.store(ASLEEP, Ordering::Relaxed);
        self.waits -= 1;
        self.messages -= u64::from(messages);
        self.queue.pop_front();
    }

    /// Puts a call that was passed over back to the front.
    fn wake(&mut self, entry: &Arc<Entry>) {
        entry.state.store(WAITS, Ordering::Relaxed);
        self.queue.push_front(Arc::clone(entry));
        self.waits += 1;
        self.messages += u64::from(entry.messages);
    }

    /// Returns when a call in the queue looks again, unless it is notified before.
    fn next_look(&self, entry: &Arc<Entry>, now: Instant) -> Instant {
        let first = self.is_first(entry);
        let wait = self.wait(entry.messages.into(), now);
        let look = if first && wait.is_zero() {
            entry.deadline
        } else if first {
            later(now, wait)
        } else if entry.expected > now {
            entry.expected
        } else {
            // A call before it may be forgotten.
            later(now, FORGOTTEN)
        };
        look.min(entry.deadline)
    }

    fn is_first(&self, entry: &Arc<Entry>) -> bool {
        let first = self.queue.front();
        first.is_some_and(|first| Arc::ptr_eq(first, entry))
    }

    fn enter(&mut self, messages: u32, expected: Instant, deadline: Instant) -> Arc<Entry> {
        if self.queue.len() > 2 * self.waits + 16 {
            self.queue
                .retain(|entry| entry.state.load(Ordering::Relaxed) == WAITS);
        }
        let entry = Arc::new(Entry {
            messages,
            expected,
            deadline,
            state: AtomicU8::new(WAITS),
            changed: Notify::new(),
        });
        self.queue.push_back(Arc::clone(&entry));
        self.waits += 1;
        self.messages += u64::from(messages);
        entry
    }

    fn leave(&mut self, entry: &Arc<Entry>, now: Instant) {
        match entry.state.swap(GONE, Ordering::Relaxed) {
            WAITS => {
                self.waits -= 1;
                self.messages -= u64::from(entry.messages);
            }
            HAS_ITS_TURN => {
                self.under_way -= 1;
                let unused = self.interval.saturating_mul(entry.messages);
                self.free_at = self.free_at.checked_sub(unused).unwrap_or(self.free_at);
            }
            _ => {}
        }
        self.give(now);
    }
}

/// How long after its deadline a call in the queue counts as forgotten.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// How long after its turn the first call in the queue may look for it: timers are slightly late.
const LATE: Duration = Duration::from_millis(10);

/// A call that waits in the queue. It leaves the queue when it is dropped.
struct Queued<'a, P> {
    limit: &'a RateLimit<P>,
    entry: Option<Arc<Entry>>,
}

impl<'a, P: SmsProvider> Queued<'a, P> {
    async fn turn(&mut self) -> Result<Turn<'a, P>, SendError> {
        while let Some(entry) = &self.entry {
            let wake = {
                let now = Instant::now();
                let mut turns = self.limit.turns();
                if entry.state.load(Ordering::Relaxed) == ASLEEP {
                    turns.wake(entry);
                } else if !turns.is_first(entry) {
                    turns.pass_over(now);
                }
                turns.give(now);
                match entry.state.load(Ordering::Relaxed) {
                    WAITS if now < entry.deadline => turns.next_look(entry, now),
                    HAS_ITS_TURN => {
                        self.entry = None;
                        return Ok(Turn(self.limit));
                    }
                    _ => break,
                }
            };
            // Work that several callers share may be driven by one without a timer.
            can_wait(self.limit.inner.profile())?;
            let woken = timeout_at(wake, entry.changed.notified()).await;
            if matches!(woken, Err(Late::RuntimeEnded)) {
                return Err(ended(self.limit.inner.profile()));
            }
        }
        Err(self.limit.throttled("no turn came in time"))
    }
}

impl<P> Drop for Queued<'_, P> {
    fn drop(&mut self) {
        if let Some(entry) = &self.entry {
            lock(&self.limit.turns).leave(entry, Instant::now());
        }
    }
}

/// The turn of a call under way, which ends when it is dropped.
struct Turn<'a, P>(&'a RateLimit<P>);

impl<P> Drop for Turn<'_, P> {
    fn drop(&mut self) {
        let mut turns = lock(&self.0.turns);
        turns.under_way -= 1;
        if turns.waits > 0 {
            turns.give(Instant::now());
        }
    }
}
