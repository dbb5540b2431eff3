//! **Does:** turns single sends from many tasks into few vendor calls. If no call is under way, a message goes at once.
//! Messages that arrive during a call are gathered, up to the profile's batch size, and go together when it ends. Each
//! caller gets its own outcome.
//!
//! **Never:** delays a message in order to gather more; never ends a call because one of its callers gives up or is cut
//! off: that caller's message is not sent if it still waits, and goes on if it is on its way. Never sends a message
//! before an earlier one to the same recipient has its outcome.
//!
//! **Belongs** around the limits of one vendor ([`RateLimit`](crate::RateLimit), [`Timeout`](crate::Timeout)) and
//! inside of [`Retry`](crate::Retry), so that a message to be repeated delays no other. For a vendor that takes one
//! message per call, it only adds the order and the bounds.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use postduif_core::{
    BatchTexts, ErrorKind, Health, Message, Outcomes, PhoneNumber, Profile, Receipt, SendError,
    SmsProvider, async_trait,
    departure::{DepartureHandle, hold, hold_until_closed},
};
use tokio::{sync::Notify, time::Instant};
use tracing::Span;

use crate::{
    clock::{Late, ended, still_runs, timeout_at},
    dispatch::{cut_off, later, lock, not_cut_off, refusal, send_batch},
    scope::{PATIENCE, Scope},
    shared::{Ended, Outcome, Watched, Work},
};

/// A layer that gathers the messages of many tasks into few vendor calls.
///
/// A call is shared by the callers whose messages it carries, and continues when one of them gives up. While it waits
/// for its turn or a connection, nothing of it has left. A caller that a deadline around it
/// ([`StartWithin`](crate::StartWithin), [`Timeout`](crate::Timeout)) cuts off during that wait is removed, and the
/// others are gathered again, before all later messages.
///
/// One of the callers starts the call, and its runtime drives it. If that runtime ends or stalls, the waiting callers
/// start the call anew within a minute, provided that nothing of it had left. Otherwise its messages are in doubt,
/// unless it ends without that runtime.
///
/// A `send_batch` is passed on as it is, and keeps no order with the single sends.
///
/// Put [`Retry`](crate::Retry) around it: `Retry::new(Batch::new(RateLimit::new(..)))`. A `Retry` inside of it repeats
/// only calls that failed as a whole, and only for about a second, since other messages wait for the next call.
///
/// Its profile has no repeat window, since the vendor may get the message in a batch.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use std::{num::NonZeroUsize, sync::Arc};
/// use postduif::{layers::{Batch, Retry}, SmsProvider as _};
///
/// # async fn example(vendor: impl SmsProvider, messages: Vec<Message>) {
/// let batch = Batch::new(vendor).with_max_waiting(NonZeroUsize::new(500).unwrap());
/// let provider = Arc::new(Retry::new(batch));
/// for message in messages {
///     let provider = Arc::clone(&provider);
///     tokio::spawn(async move { provider.send(&message).await });
/// }
/// # }
/// ```
pub struct Batch<P> {
    profile: Profile,
    calls: Arc<Calls<P>>,
}

impl<P: SmsProvider> Batch<P> {
    /// Creates a layer that gathers messages for `inner`.
    #[must_use]
    pub fn new(inner: P) -> Self {
        let profile = inner.profile().clone().with_repeat_window(None);
        let in_flight = if profile.batch_size() == NonZeroUsize::MIN {
            16
        } else {
            1
        };
        Self {
            calls: Arc::new(Calls {
                inner: Arc::new(inner),
                size: profile.batch_size(),
                different_texts: profile.batch_texts() == BatchTexts::Mixed,
                state: Mutex::new(State {
                    in_flight,
                    capacity: 10_000,
                    longest_wait: Duration::from_secs(300),
                    queue: VecDeque::new(),
                    waits: 0,
                    under_way: Vec::new(),
                    recipients: HashSet::new(),
                    calls: 0,
                }),
            }),
            profile,
        }
    }

    /// Sets how many messages may wait for a call. Defaults to 10,000. Those beyond are refused as `Throttled`.
    #[must_use]
    pub fn with_max_waiting(self, messages: NonZeroUsize) -> Self {
        self.calls.state().capacity = messages.get();
        self
    }

    /// Sets how many calls may be under way at a time. Defaults to one, which gathers most, or to 16 if the vendor
    /// takes one message per call and there is nothing to gather.
    #[must_use]
    pub fn with_in_flight(self, calls: NonZeroUsize) -> Self {
        self.calls.state().in_flight = calls.get();
        self
    }

    /// Sets the longest that a message waits for a call, and a call for its response. Defaults to five minutes. It
    /// covers calls whose runtime has stalled; the calls inside have their own deadlines.
    #[must_use]
    pub fn with_max_wait(self, wait: Duration) -> Self {
        self.calls.state().longest_wait = wait;
        self
    }
}

#[async_trait]
impl<P: SmsProvider> SmsProvider for Batch<P> {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let inner = &*self.calls.inner;
        not_cut_off(inner.profile())?;
        still_runs(inner.profile())?;
        let queued = self.calls.enter(message)?;
        let longest = self.calls.state().longest_wait;
        let waits_until = later(Instant::now(), longest);
        loop {
            let call = match hold_until_closed(queued.call(waits_until)).await {
                Ok(call) => call?,
                Err(_) => return Err(cut_off(inner.profile())),
            };
            let first = call.work.begin();
            let deadline = later(Instant::now(), longest);
            // The call declares whether anything has left.
            match hold(call.work.outcome(call.index, deadline, first)).await {
                Some(Some(outcome)) => return outcome,
                // Withdrawn, as each further call would be if this runtime was shut down.
                Some(None) => {
                    if let Err(error) = still_runs(inner.profile())
                        && queued.withdraw()
                    {
                        return Err(error);
                    }
                }
                None => {
                    let message = "the batch had no outcome in time";
                    return Err(SendError::unknown(ErrorKind::Timeout, message)
                        .with_provider(self.profile.owned_name()));
                }
            }
        }
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        send_batch(&*self.calls.inner, messages).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.calls.inner.check().await
    }
}

impl<P: fmt::Debug> fmt::Debug for Batch<P> {
    /// Shows how many messages wait, and none of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.calls.state);
        f.debug_struct("Batch")
            .field("inner", &self.calls.inner)
            .field("in_flight", &state.in_flight)
            .field("queue", &state.capacity)
            .field("longest_wait", &state.longest_wait)
            .field("waiting", &state.waits)
            .field("under_way", &state.under_way.len())
            .finish_non_exhaustive()
    }
}

struct Calls<P> {
    inner: Arc<P>,
    size: NonZeroUsize,
    different_texts: bool,
    state: Mutex<State>,
}

struct State {
    in_flight: usize,
    capacity: usize,
    longest_wait: Duration,
    /// Messages whose callers gave up stay until they reach the front or outnumber the others.
    queue: VecDeque<Arc<Waiting>>,
    waits: usize,
    under_way: Vec<UnderWay>,
    /// The recipients of the calls under way.
    recipients: HashSet<PhoneNumber>,
    /// The number of calls so far, and so the next one's number.
    calls: u64,
}

struct UnderWay {
    number: u64,
    since: Instant,
    recipients: Vec<PhoneNumber>,
    /// The callers whose messages it carries, as long as they wait.
    callers: Vec<Weak<Waiting>>,
    work: Arc<Watched>,
}

/// A message in the queue.
struct Waiting {
    message: Message,
    /// The departure of its caller's call, if there is one.
    departure: Option<DepartureHandle>,
    span: Span,
    gone: AtomicBool,
    /// The call that carries it. Changes under the lock of the queue only.
    call: Mutex<Option<Call>>,
    taken: Notify,
}

impl Waiting {
    fn call(&self) -> MutexGuard<'_, Option<Call>> {
        lock(&self.call)
    }

    fn is_cut_off(&self) -> bool {
        let departure = self.departure.as_ref();
        departure.is_some_and(DepartureHandle::is_closed)
    }
}

/// A call, and the index of the message in it.
#[derive(Clone)]
struct Call {
    work: Work,
    index: usize,
}

impl<P: SmsProvider> Calls<P> {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn enter(self: &Arc<Self>, message: &Message) -> Result<Queued<P>, SendError> {
        let mut state = self.state();
        if state.waits >= state.capacity {
            let message = "too many messages wait for a call already";
            return Err(refusal(self.inner.profile(), ErrorKind::Throttled, message));
        }
        if state.queue.len() > 2 * state.waits + 16 {
            state
                .queue
                .retain(|waiting| !waiting.gone.load(Ordering::Relaxed));
        }
        let waiting = Arc::new(Waiting {
            message: message.clone(),
            departure: DepartureHandle::current(),
            span: Span::current(),
            gone: AtomicBool::new(false),
            call: Mutex::default(),
            taken: Notify::new(),
        });
        state.queue.push_back(Arc::clone(&waiting));
        state.waits += 1;
        Ok(Queued {
            calls: Arc::clone(self),
            waiting,
        })
    }

    /// Gathers as many calls as may be under way and as the queue has messages for. They begin when one of their
    /// callers is polled.
    fn gather(self: &Arc<Self>) {
        let mut state = self.state();
        state.forget();
        while state.under_way.len() < state.in_flight {
            let gathered = state.take(self.size.get(), self.different_texts);
            if gathered.is_empty() {
                return;
            }
            let number = state.calls;
            state.calls += 1;
            let messages: Vec<_> = gathered.iter().map(|w| w.message.clone()).collect();
            let single = messages.len() == 1;
            let scope = Scope {
                patience: Some(PATIENCE),
                gathered: true,
                ..Scope::default()
            };
            let calls = Arc::clone(self);
            let ended = move |ended: Ended<&[Outcome]>| {
                calls.state().end(number, ended.is_none());
                calls.gather();
            };
            let callers: Vec<_> = gathered
                .iter()
                .filter_map(|w| w.departure.clone())
                .collect();
            // A span has one parent, so the call belongs to the first message's.
            let span = gathered.first().map_or_else(Span::none, |w| w.span.clone());
            let inner = Arc::clone(&self.inner);
            let work = Work::new(inner, messages, single, &callers, scope, span, ended);
            state.begin(number, &gathered, &work);
            for (index, waiting) in gathered.iter().enumerate() {
                *waiting.call() = Some(Call {
                    work: work.clone(),
                    index,
                });
                waiting.taken.notify_one();
            }
        }
    }
}

impl<P: SmsProvider> Calls<P> {
    /// Begins or withdraws calls that no runtime drives.
    fn look(&self) {
        let works: Vec<_> = {
            let state = self.state();
            let works = state.under_way.iter().map(|call| Arc::clone(&call.work));
            works.collect()
        };
        for work in works {
            work.look();
        }
    }
}

impl State {
    /// Ends calls that take longer than any caller waits, so that others can begin.
    fn forget(&mut self) {
        let now = Instant::now();
        let longest = self.longest_wait;
        let forgotten = |call: &UnderWay| later(call.since, longest) < now;
        while let Some(call) = self.under_way.iter().find(|call| forgotten(call)) {
            let number = call.number;
            self.end(number, false);
        }
    }

    fn begin(&mut self, number: u64, gathered: &[Arc<Waiting>], work: &Work) {
        let recipients: Vec<_> = gathered.iter().map(|w| w.message.to()).collect();
        self.recipients.extend(&recipients);
        self.under_way.push(UnderWay {
            number,
            since: Instant::now(),
            recipients,
            callers: gathered.iter().map(Arc::downgrade).collect(),
            work: Arc::new(work.watched()),
        });
    }

    /// Ends a call. The messages of a withdrawn one wait again, before all others.
    fn end(&mut self, number: u64, withdrawn: bool) {
        let Some(index) = self.under_way.iter().position(|call| call.number == number) else {
            return;
        };
        let ended = self.under_way.swap_remove(index);
        for recipient in ended.recipients {
            self.recipients.remove(&recipient);
        }
        if !withdrawn {
            return;
        }
        for waiting in ended.callers.iter().rev().filter_map(Weak::upgrade) {
            if waiting.gone.load(Ordering::Relaxed) || waiting.is_cut_off() {
                continue;
            }
            *waiting.call() = None;
            self.waits += 1;
            self.queue.push_front(waiting);
        }
    }

    /// Takes the first waiting message and those that fit into one call with it, without recipients that have an
    /// earlier message on its way or waiting. The search is bounded, since in a queue of messages that do not fit
    /// together each call would look at all of them.
    fn take(&mut self, size: usize, different_texts: bool) -> Vec<Arc<Waiting>> {
        let mut taken: Vec<Arc<Waiting>> = Vec::new();
        let mut left = Vec::new();
        let mut busy = HashSet::new();
        let most = size.saturating_mul(4).max(256);
        while taken.len() < size && left.len() < most {
            let Some(waiting) = self.queue.pop_front() else {
                break;
            };
            if waiting.gone.load(Ordering::Relaxed) {
                continue;
            }
            let to = waiting.message.to();
            let first = taken.first().unwrap_or(&waiting);
            let fits = different_texts || first.message.has_same_content(&waiting.message);
            if !busy.insert(to) || self.recipients.contains(&to) || !fits {
                left.push(waiting);
                continue;
            }
            self.waits -= 1;
            if waiting.is_cut_off() {
                waiting.gone.store(true, Ordering::Relaxed)
            } else {
                taken.push(waiting)
            }
        }
        for waiting in left.into_iter().rev() {
            self.queue.push_front(waiting);
        }
        taken
    }
}

/// A message in the queue. Dropped before a call has taken it, it leaves the queue.
struct Queued<P: SmsProvider> {
    calls: Arc<Calls<P>>,
    waiting: Arc<Waiting>,
}

impl<P: SmsProvider> Queued<P> {
    /// Waits for the call that takes the message. Fails if none did in time.
    async fn call(&self, deadline: Instant) -> Result<Call, SendError> {
        loop {
            self.calls.gather();
            if let Some(call) = &*self.waiting.call() {
                return Ok(call.clone());
            }
            let now = Instant::now();
            if now >= deadline || self.waiting.gone.load(Ordering::Relaxed) {
                return self.leave(self.too_late());
            }
            // The end of a call gathers the next. If that fails, the waiting callers do it.
            let look = later(now, Duration::from_secs(10)).min(deadline);
            let taken = timeout_at(look, self.waiting.taken.notified()).await;
            match taken {
                Ok(()) => {}
                Err(Late::Deadline) => self.calls.look(),
                Err(Late::RuntimeEnded) => {
                    return self.leave(ended(self.calls.inner.profile()));
                }
            }
        }
    }

    /// Takes the message out of the queue for this error, unless a call took it meanwhile.
    fn leave(&self, error: SendError) -> Result<Call, SendError> {
        let mut state = self.calls.state();
        if let Some(call) = &*self.waiting.call() {
            return Ok(call.clone());
        }
        if !self.waiting.gone.swap(true, Ordering::Relaxed) {
            state.waits -= 1;
        }
        Err(error)
    }

    /// Takes the message out of the queue and of a call of which nothing has left. Returns whether it will not be sent.
    fn withdraw(&self) -> bool {
        let call = {
            let mut state = self.calls.state();
            let is_gone = self.waiting.gone.swap(true, Ordering::Relaxed);
            let call = self.waiting.call().clone();
            if call.is_none() && !is_gone {
                state.waits -= 1;
            }
            call
        };
        call.is_none_or(|call| call.work.withdraw())
    }

    fn too_late(&self) -> SendError {
        let message = "no call took the message in time";
        refusal(self.calls.inner.profile(), ErrorKind::Throttled, message)
    }
}

impl<P: SmsProvider> Drop for Queued<P> {
    fn drop(&mut self) {
        let mut state = self.calls.state();
        let waits = self.waiting.call().is_none();
        if waits && !self.waiting.gone.swap(true, Ordering::Relaxed) {
            state.waits -= 1;
        }
    }
}
