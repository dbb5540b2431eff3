//! **Does:** keeps to so many messages a second, with a burst, and to so many calls under way. Whoever comes
//! too early waits its turn, first come, first served, for a bounded time and in a bounded crowd.
//!
//! **Never:** counts a message that it refuses; never makes a doubt: what it refuses is `Throttled` and
//! certainly not accepted.
//!
//! **Belongs** around [`Timeout`](crate::Timeout), so that the wait lies outside of the call's deadline, and
//! inside of [`Retry`](crate::Retry), so that each try is counted: limits are the vendor's, one for each
//! account.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    slice,
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use postduif_core::{
    ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
    split,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout_at},
};

use crate::way::{Way, call_size, refusal};

/// Messages a second, and calls under way.
///
/// A batch is split into vendor calls first, each no larger than the burst; each call waits, one after the
/// other, for as many turns as it has messages. A repeat may wait here before it reaches the vendor, so the profile's repeat
/// window is shorter by the longest wait.
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
///     .with_longest_wait(Duration::from_secs(5));
/// # }
/// ```
#[derive(Debug)]
pub struct RateLimit<P> {
    inner: P,
    profile: Profile,
    per_second: NonZeroU32,
    burst: NonZeroU32,
    longest_wait: Duration,
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>,
    in_flight: NonZeroUsize,
    /// One permit for each call under way.
    calls: Semaphore,
    /// Whose turn it is to wait for the limiter: the semaphore is fair, the limiter is not.
    turn: Semaphore,
    /// How many may wait.
    crowd: Semaphore,
}

impl<P: SmsProvider> RateLimit<P> {
    /// Lets so many messages a second through, at most a million. The burst is as many, unless given.
    #[must_use]
    pub fn new(inner: P, per_second: NonZeroU32) -> Self {
        // Beyond it the interval between two messages would round to nothing.
        let per_second = per_second.min(NonZeroU32::new(1_000_000).unwrap_or(per_second));
        let in_flight = NonZeroUsize::MIN.saturating_add(31);
        Self {
            profile: inner.profile().clone(),
            inner,
            per_second,
            burst: per_second,
            longest_wait: Duration::ZERO,
            limiter: limiter(per_second, per_second),
            in_flight,
            calls: semaphore(in_flight),
            turn: Semaphore::new(1),
            crowd: Semaphore::new(10_000),
        }
        .with_longest_wait(Duration::from_secs(30))
    }

    /// How many messages may go at once after a pause.
    #[must_use]
    pub fn with_burst(mut self, messages: NonZeroU32) -> Self {
        self.burst = messages;
        self.limiter = limiter(self.per_second, messages);
        self
    }

    /// How many calls may be under way at a time; 32 unless given.
    #[must_use]
    pub fn with_in_flight(mut self, calls: NonZeroUsize) -> Self {
        self.in_flight = calls;
        self.calls = semaphore(calls);
        self
    }

    /// The longest that a call waits for its turn, both limits together; 30 s unless given. One that would
    /// have to wait longer is refused at once.
    #[must_use]
    pub fn with_longest_wait(mut self, wait: Duration) -> Self {
        let left = |window: Duration| window.checked_sub(wait).filter(|left| !left.is_zero());
        let window = self.inner.profile().repeat_window().and_then(left);
        self.profile = self.profile.with_repeat_window(window);
        self.longest_wait = wait;
        self
    }

    /// How many calls may wait at a time; 10,000 unless given. Those beyond are refused at once.
    #[must_use]
    pub fn with_crowd(mut self, calls: NonZeroUsize) -> Self {
        self.crowd = semaphore(calls);
        self
    }

    async fn run(&self, messages: &[Message], way: Way) -> Outcomes {
        let burst = NonZeroUsize::try_from(self.burst).unwrap_or(NonZeroUsize::MAX);
        let size = call_size(self.inner.profile(), messages).min(burst);
        // The pieces of a batch queue here, where their time does not run: only the first of them waits
        // among the callers.
        let order = Semaphore::new(1);
        split(messages, size, self.in_flight, async |piece| {
            let first = order.acquire().await;
            let permit = self.permit(piece.len()).await;
            drop(first);
            match permit {
                Ok(_permit) => way.send(&self.inner, piece).await,
                Err(error) => Outcomes::failed(piece, &error),
            }
        })
        .await
    }

    /// Waits for the turn of a call with so many messages. The permit is for as long as the call lasts.
    async fn permit(&self, messages: usize) -> Result<SemaphorePermit<'_>, SendError> {
        let Some(messages) = u32::try_from(messages).ok().and_then(NonZeroU32::new) else {
            return Err(self.throttled("no call has so many messages"));
        };
        let Ok(_waiting) = self.crowd.try_acquire() else {
            return Err(self.throttled("too many wait for their turn already"));
        };
        let now = Instant::now();
        let deadline = now.checked_add(self.longest_wait).unwrap_or(now);
        let turn = async {
            let call = self.calls.acquire().await.ok()?;
            let turn = self.turn.acquire().await.ok()?;
            Some((call, turn))
        };
        let Ok(Some((call, _turn))) = timeout_at(deadline, turn).await else {
            return Err(self.throttled("no turn came in time"));
        };
        loop {
            let Ok(checked) = self.limiter.check_n(messages) else {
                return Err(self.throttled("the call has more messages than the burst"));
            };
            let Err(not_yet) = checked else {
                return Ok(call);
            };
            let wait = not_yet.wait_time_from(self.limiter.clock().now());
            if wait > deadline.saturating_duration_since(Instant::now()) {
                let error = self.throttled("the messages of a second are used up");
                return Err(error.with_retry_after(wait));
            }
            sleep(wait).await;
        }
    }

    fn throttled(&self, message: &'static str) -> SendError {
        refusal(&self.inner, ErrorKind::Throttled, message)
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for RateLimit<P> {
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

    /// Not counted: it is no message.
    async fn check(&self) -> Result<Health, SendError> {
        self.inner.check().await
    }
}

fn semaphore(permits: NonZeroUsize) -> Semaphore {
    Semaphore::new(permits.get().min(Semaphore::MAX_PERMITS))
}

fn limiter(
    per_second: NonZeroU32,
    burst: NonZeroU32,
) -> RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>> {
    let quota = Quota::per_second(per_second).allow_burst(burst);
    RateLimiter::direct_with_clock(quota, TokioClock(Instant::now()))
}

/// Tokio's time for governor, which would read the system's: a paused test would wait for ever.
#[derive(Clone, Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}
