//! **Does:** keeps to so many messages a second, with a burst, and to so many calls under way. Whoever comes
//! too early waits its turn, first come, first served, for a bounded time and in a bounded queue.
//!
//! **Never:** counts a message that it refuses; never makes a doubt: what it refuses is `Throttled` and
//! certainly not accepted, and a call that is cut off while it waits has not left.
//!
//! **Belongs** around [`Timeout`](crate::Timeout), so that the wait lies outside of the call's deadline, and
//! inside of [`Retry`](crate::Retry), so that each try is counted: limits are the vendor's, one for each
//! account.

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
    hold_until_closed,
};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{
    dispatch::{call_size, cut_off, in_calls, later, lock, not_cut_off, refusal},
    scope::Scope,
};

/// Messages a second, and calls under way.
///
/// A batch is split into vendor calls first, each no larger than the burst; each call waits, one after the
/// other, for as many turns as it has messages. A repeat may wait here before it reaches the vendor, so the
/// profile's repeat window is shorter by the longest wait, and its batches are no larger than the burst.
///
/// The rate and those who wait already tell when a turn comes: a call whose turn would come too late is refused
/// at once, with that time as its `retry_after`. A send that is neither polled nor dropped does not make the
/// others wait for it: they go before it until it is polled again. Its turn, once given, is one of the calls under
/// way.
///
/// ```
/// # use postduif_core::*;
/// use std::{num::{NonZeroU32, NonZeroUsize}, time::Duration};
/// use postduif_layers::RateLimit;
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
    /// Lets so many messages a second through, at most a million. The burst defaults to as many.
    #[must_use]
    pub fn new(inner: P, per_second: NonZeroU32) -> Self {
        // Beyond it the interval between two messages would round to nothing.
        let per_second = per_second.min(NonZeroU32::new(1_000_000).unwrap_or(per_second));
        let in_flight = NonZeroUsize::MIN.saturating_add(31);
        let turns = Turns {
            // Rounded up: a little slower keeps to the limit, a little faster does not.
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

    /// Sets how many messages may go at once after a pause. Defaults to the messages of a second.
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

    /// Sets the longest that a call waits for its turn, both limits together. Defaults to 30 s. One whose turn
    /// by the rate would come later is refused at once.
    #[must_use]
    pub fn with_max_wait(mut self, wait: Duration) -> Self {
        let window = self.inner.profile().repeat_window_after(wait);
        self.profile = self.profile.with_repeat_window(window);
        self.longest_wait = wait;
        self
    }

    /// Sets how many calls may wait at a time. Defaults to 10,000. Those beyond are refused at once.
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

    /// Waits for the turn of a call with so many messages. It is for as long as the call lasts.
    async fn turn(&self, messages: usize) -> Result<Turn<'_, P>, SendError> {
        not_cut_off(self.inner.profile())?;
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
                return Err(self.throttled("too many wait for their turn already"));
            }
            let wait = turns.wait(turns.messages + u64::from(messages), now);
            if wait > longest {
                let error = self.throttled("the messages of a second are used up");
                return Err(error.with_retry_after(wait));
            }
            let place = turns.enter(messages, later(now, wait), later(now, longest));
            Queued {
                limit: self,
                place: Some(place),
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
        // The pieces of a batch queue here, where their time does not run: only the first of them waits
        // among the callers.
        let order = Semaphore::new(1);
        in_calls(messages, size, self.in_flight, async |piece| {
            self.piece(&order, piece).await
        })
        .await
    }

    /// Not counted: it is no message.
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

/// Who may go when. The rate is kept as by GCRA: `free_at` is when all that was given so far would have gone,
/// one message an interval.
struct Turns {
    interval: Duration,
    burst: u32,
    free_at: Instant,
    in_flight: usize,
    under_way: usize,
    /// First come, first served. Who gave up stays until its turn, or until the others are fewer.
    queue: VecDeque<Arc<Place>>,
    /// How many of the queue wait, and with how many messages.
    waits: usize,
    messages: u64,
}

/// A place in the queue. Its state changes under the lock only.
struct Place {
    messages: u32,
    /// When its turn comes by the rate, if nobody before it gives up.
    expected: Instant,
    deadline: Instant,
    state: AtomicU8,
    changed: Notify,
}

const WAITS: u8 = 0;
const HAS_ITS_TURN: u8 = 1;
const GONE: u8 = 2;
/// Out of the queue because nobody polled it when its turn came. It is the first again when somebody does.
const ASLEEP: u8 = 3;

impl Turns {
    /// How long it takes until so many messages have gone.
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

    /// Gives a turn to everybody whose turn it is, whoever asks: the first in the queue may not be polled.
    fn give(&mut self, now: Instant) {
        let mut changed = false;
        while let Some(first) = self.queue.front() {
            let waits = first.state.load(Ordering::Relaxed) == WAITS;
            if waits {
                // It would have left by itself, if anybody polled it.
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
            // It knows now exactly when its turn comes.
            first.changed.notify_one();
        }
    }

    /// Takes the first out of the queue where its turn came before this moment and it did not take it: it looks when
    /// its turn comes, so nobody polls it.
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

    /// Puts somebody who was passed over back where it was.
    fn wake(&mut self, place: &Arc<Place>) {
        place.state.store(WAITS, Ordering::Relaxed);
        self.queue.push_front(Arc::clone(place));
        self.waits += 1;
        self.messages += u64::from(place.messages);
    }

    /// When somebody in the queue looks again, if nothing changes before.
    fn next_look(&self, place: &Arc<Place>, now: Instant) -> Instant {
        let first = self.is_first(place);
        let wait = self.wait(place.messages.into(), now);
        let look = match first {
            true if wait.is_zero() => place.deadline,
            true => later(now, wait),
            // Somebody before it may be forgotten.
            false if place.expected > now => place.expected,
            false => later(now, FORGOTTEN),
        };
        look.min(place.deadline)
    }

    fn is_first(&self, place: &Arc<Place>) -> bool {
        let first = self.queue.front();
        first.is_some_and(|first| Arc::ptr_eq(first, place))
    }

    fn enter(&mut self, messages: u32, expected: Instant, deadline: Instant) -> Arc<Place> {
        if self.queue.len() > 2 * self.waits + 16 {
            self.queue
                .retain(|place| place.state.load(Ordering::Relaxed) == WAITS);
        }
        let place = Arc::new(Place {
            messages,
            expected,
            deadline,
            state: AtomicU8::new(WAITS),
            changed: Notify::new(),
        });
        self.queue.push_back(Arc::clone(&place));
        self.waits += 1;
        self.messages += u64::from(messages);
        place
    }

    fn leave(&mut self, place: &Arc<Place>, now: Instant) {
        match place.state.swap(GONE, Ordering::Relaxed) {
            WAITS => {
                self.waits -= 1;
                self.messages -= u64::from(place.messages);
            }
            HAS_ITS_TURN => {
                self.under_way -= 1;
                let unused = self.interval.saturating_mul(place.messages);
                self.free_at = self.free_at.checked_sub(unused).unwrap_or(self.free_at);
            }
            _ => {}
        }
        self.give(now);
    }
}

/// How long after its deadline somebody in the queue counts as forgotten.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// How much later than its turn the first in the queue may look for it: timers are late by some.
const LATE: Duration = Duration::from_millis(10);

/// Somebody in the queue. Dropped, it leaves.
struct Queued<'a, P> {
    limit: &'a RateLimit<P>,
    place: Option<Arc<Place>>,
}

impl<'a, P: SmsProvider> Queued<'a, P> {
    async fn turn(&mut self) -> Result<Turn<'a, P>, SendError> {
        while let Some(place) = &self.place {
            let wake = {
                let now = Instant::now();
                let mut turns = self.limit.turns();
                if place.state.load(Ordering::Relaxed) == ASLEEP {
                    turns.wake(place);
                } else if !turns.is_first(place) {
                    turns.pass_over(now);
                }
                turns.give(now);
                match place.state.load(Ordering::Relaxed) {
                    WAITS if now < place.deadline => turns.next_look(place, now),
                    HAS_ITS_TURN => {
                        self.place = None;
                        return Ok(Turn(self.limit));
                    }
                    _ => break,
                }
            };
            let _ = timeout_at(wake, place.changed.notified()).await;
        }
        Err(self.limit.throttled("no turn came in time"))
    }
}

impl<P> Drop for Queued<'_, P> {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            lock(&self.limit.turns).leave(place, Instant::now());
        }
    }
}

/// The turn of a call under way.
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
