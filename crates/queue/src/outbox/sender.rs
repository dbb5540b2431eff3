use std::{
    fmt,
    future::{Future, pending},
    num::NonZeroUsize,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use postduif_core::{
    Acceptance, BatchTexts, ConfigError, ErrorKind, Message, Outcomes, Profile, Receipt, SendError,
    SmsProvider, departure::Departure,
};
use postduif_onboarding::JournalError;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    MessageStatus, Outbox, SendFailure, metered,
    store::{Outcome, Take, Taken, TakenRow, lock, now},
};
use crate::worker::observe;

/// Sends the messages of an outbox with a provider. Any number of senders may share a store.
///
/// A message is marked as being sent, in the store, before its first byte leaves. A message that was certainly not
/// accepted for a passing reason is sent again, after pauses that grow from 2 seconds to 5 minutes, until it expires. A
/// message that may have been accepted is in doubt, and is never sent again.
///
/// A process that dies leaves the messages that it was sending in doubt, once the lease of the queue has run out. One
/// that was stopped for longer than a part of the lease gives back what it had not begun to send.
///
/// While a vendor accepts nothing, one message at a time tries it, after pauses that grow to a minute, and the others
/// wait.
///
/// Messages are sent in no particular order. A sender needs a tokio runtime with time enabled.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_queue as queue; }
/// use postduif::{ConfigError, SmsProvider, queue::Queue};
///
/// async fn send(
///     queue: Queue,
///     provider: impl SmsProvider,
///     stopped: impl Future<Output = ()>,
/// ) -> Result<(), ConfigError> {
///     let sender = queue.sender(provider).build()?;
///     // Takes no new message once `stopped` completes, and finishes the current calls.
///     sender.run_until(stopped).await;
///     Ok(())
/// }
/// ```
pub struct MessageSender {
    inner: Arc<Inner>,
}

/// A builder of a [`MessageSender`].
#[must_use]
pub struct MessageSenderBuilder {
    outbox: Option<Outbox>,
    provider: Arc<dyn SmsProvider>,
    calls: Option<NonZeroUsize>,
    observer: Option<Observer>,
}

type Observer = Box<dyn Fn(&str, &MessageStatus) + Send + Sync>;

struct Inner {
    outbox: Outbox,
    provider: Arc<dyn SmsProvider>,
    calls: usize,
    observer: Option<Observer>,
    gate: Mutex<Gate>,
}

/// The end of a run, as its calls see it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Stop {
    No,
    /// Calls that have not begun do not.
    Begin,
    /// Calls that are under way are cut off.
    Now,
}

impl MessageSenderBuilder {
    /// Sets the maximum number of vendor calls that are under way or whose outcome is not stored yet. Defaults to 16, or
    /// to 4 for a vendor that takes several messages per call. If the process dies, their messages are in doubt.
    pub const fn with_calls(mut self, calls: NonZeroUsize) -> Self {
        self.calls = Some(calls);
        self
    }

    /// Sets what is called with the key and the status of each message that has ended. It must not block.
    pub fn with_observer(
        mut self,
        observer: impl Fn(&str, &MessageStatus) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Builds the sender.
    ///
    /// # Errors
    ///
    /// If the queue has no keys, or a store of your own.
    pub fn build(self) -> Result<MessageSender, ConfigError> {
        let Some(outbox) = self.outbox else {
            return Err(ConfigError::new(
                "the store of the queue has no messages: it is one of your own",
            ));
        };
        if let Err(error) = outbox.keys() {
            return Err(ConfigError::new(error.to_string()));
        }
        let default = match self.provider.profile().batch_size() {
            NonZeroUsize::MIN => 16,
            _ => 4,
        };
        let calls = self.calls.map_or(default, NonZeroUsize::get);
        Ok(MessageSender {
            inner: Arc::new(Inner {
                outbox,
                provider: self.provider,
                calls: calls.min(MAX_TAKE),
                observer: self.observer,
                gate: Mutex::new(Gate::Open { failures: 0 }),
            }),
        })
    }
}

impl MessageSender {
    pub(super) fn builder(
        outbox: Option<Outbox>,
        provider: impl SmsProvider,
    ) -> MessageSenderBuilder {
        MessageSenderBuilder {
            outbox,
            provider: Arc::new(provider),
            calls: None,
            observer: None,
        }
    }

    /// Sends messages until `shutdown` completes. Then it takes no more, and finishes the current calls for up to 15
    /// seconds. Calls that take longer are cut off, which leaves those messages in doubt of which anything has left.
    ///
    /// Outcomes that cannot be stored at once are stored later, as long as the runtime lives. Dropping the future is
    /// like a crash.
    pub async fn run_until(&self, shutdown: impl Future<Output = ()>) {
        let inner = &self.inner;
        let mut shutdown = pin!(shutdown);
        let slots = Arc::new(Semaphore::new(inner.calls));
        let stop = watch::Sender::new(Stop::No);
        let (told, outcomes) = mpsc::unbounded_channel();
        let recorder = tokio::spawn(Arc::clone(inner).record_all(outcomes));
        let mut calls = JoinSet::new();
        let mut run = Run {
            inner,
            told: told.clone(),
            undone: None,
            swept_at: None,
            away_since: None,
        };
        // That of a run that was dropped.
        lock(&inner.gate).no_probe(Instant::now());
        let mut is_shutdown = false;
        while !is_shutdown {
            while let Some(ended) = calls.try_join_next() {
                if ended.is_err() {
                    told_panic();
                    lock(&inner.gate).no_probe(Instant::now());
                }
            }
            let room = tokio::select! {
                biased;
                () = &mut shutdown => break,
                room = inner.room(&slots) => room,
            };
            let Some(mut room) = room else {
                break; // Nobody closes it.
            };
            let next = {
                let mut next = pin!(run.next(room.num_permits()));
                tokio::select! {
                    next = &mut next => next,
                    // Polled here too, since it may hold what the store needs. But what is taken is not dropped.
                    () = &mut shutdown => {
                        is_shutdown = true;
                        next.await
                    }
                }
            };
            let taken = match next {
                Ok(taken) => taken,
                Err(_) if is_shutdown => break,
                Err(pause) => {
                    drop(room);
                    let woken = async {
                        match pause {
                            Pause::Idle => inner.outbox.woken(POLL).await,
                            Pause::For(pause) => sleep(pause).await,
                        }
                    };
                    tokio::select! {
                        biased;
                        () = &mut shutdown => break,
                        () = woken => continue,
                    }
                }
            };
            for messages in into_calls(taken, inner.provider.profile()) {
                let call = Call {
                    inner: Arc::clone(inner),
                    slots: Arc::clone(&slots),
                    told: told.clone(),
                };
                // Messages with different texts may need more calls than there is room for.
                calls.spawn(call.run(messages, room.split(1), stop.subscribe()));
            }
        }
        for (stage, grace) in [(Stop::Begin, GRACE), (Stop::Now, CUT_OFF)] {
            stop.send_replace(stage);
            let ended = timeout(grace, async {
                while let Some(ended) = calls.join_next().await {
                    if ended.is_err() {
                        told_panic();
                    }
                }
            });
            if ended.await.is_ok() {
                break;
            }
        }
        calls.shutdown().await;
        run.undo().await;
        drop((told, run));
        if timeout(RECORD, recorder).await.is_err() {
            tracing::error!(
                "outcomes of messages are not stored yet; without them the messages are in doubt"
            );
        }
    }
}

/// A run of a sender.
struct Run<'a> {
    inner: &'a Inner,
    told: mpsc::UnboundedSender<Told>,
    /// A take whose response was lost.
    undone: Option<Arc<Take>>,
    swept_at: Option<Instant>,
    away_since: Option<Instant>,
}

/// Why there is nothing to send now.
enum Pause {
    Idle,
    For(Duration),
}

impl Run<'_> {
    /// Takes messages for this many calls.
    async fn next(&mut self, room: usize) -> Result<Vec<Taken>, Pause> {
        let outbox = &self.inner.outbox;
        let between = (outbox.lease() / 4).min(MAX_SWEEP);
        if self.swept_at.is_none_or(|at| at.elapsed() >= between) {
            let swept = self.sweep().await;
            self.responds(swept)?;
            self.swept_at = Some(Instant::now());
        }
        let most = match lock(&self.inner.gate).ask(Instant::now()) {
            Asked::Open => room
                .saturating_mul(self.inner.provider.profile().batch_size().get())
                .min(MAX_TAKE),
            Asked::Probe => 1,
            Asked::Closed(pause) => return Err(Pause::For(pause.min(between))),
        };
        let taken = self.take(most).await;
        if !matches!(&taken, Ok((taken, _)) if !taken.is_empty()) {
            lock(&self.inner.gate).no_probe(Instant::now());
        }
        let (taken, unreadable) = self.responds(taken)?;
        if !unreadable.is_empty() {
            self.give_back_unreadable(unreadable);
        }
        if taken.is_empty() {
            return Err(Pause::Idle);
        }
        Ok(taken)
    }

    async fn take(&mut self, most: usize) -> Result<(Vec<Taken>, Vec<TakenRow>), JournalError> {
        if let Some(undone) = &self.undone {
            self.inner.outbox.undo(undone).await?;
            self.undone = None;
        }
        let take = Take::new(&self.inner.outbox);
        let taken = self.inner.outbox.take(&take, most).await;
        if taken.is_err() {
            self.undone = Some(take);
        }
        taken
    }

    fn give_back_unreadable(&self, rows: Vec<TakenRow>) {
        let messages = rows.len() as u64;
        metered::count(self.inner.provider.profile().name(), "unreadable", messages);
        tracing::error!(
            messages,
            "messages cannot be opened: their key is missing or another one, or they were changed; they are tried again \
             later"
        );
        for row in rows {
            let pause = UNREADABLE_PAUSE;
            let _ = self.told.send(Told {
                row,
                outcome: Outcome::Again { pause, error: None },
                slot: None,
            });
        }
    }

    /// Gives back what was taken without our knowledge.
    async fn undo(&mut self) {
        if let Some(undone) = self.undone.take() {
            let _ = timeout(RECORD, self.inner.outbox.undo(&undone)).await;
        }
    }

    async fn sweep(&self) -> Result<(), JournalError> {
        let name = self.inner.provider.profile().name();
        let swept = self.inner.outbox.sweep().await?;
        metered::count(name, "expired", swept.expired);
        metered::count(name, "unknown", swept.in_doubt);
        if swept.expired > 0 {
            tracing::warn!(messages = swept.expired, "messages have expired");
        }
        if swept.in_doubt > 0 {
            tracing::error!(
                messages = swept.in_doubt,
                "messages are in doubt: the process that was sending them died"
            );
        }
        if cfg!(feature = "metrics") {
            let (messages, oldest) = self.inner.outbox.depth().await?;
            metered::depth(name, messages, oldest);
        }
        Ok(())
    }

    /// Tells once when the store goes away, and when it returns.
    fn responds<T>(&mut self, result: Result<T, JournalError>) -> Result<T, Pause> {
        match (result, self.away_since) {
            (Ok(output), None) => Ok(output),
            (Ok(output), Some(since)) => {
                tracing::warn!(away = ?since.elapsed(), "the store of the messages responds again");
                self.away_since = None;
                Ok(output)
            }
            (Err(error), since) => {
                if since.is_none() {
                    tracing::error!(%error, "the store of the messages does not respond");
                }
                let since = *self.away_since.get_or_insert_with(Instant::now);
                Err(Pause::For(
                    since.elapsed().clamp(FIRST_PAUSE, MAX_STORE_PAUSE),
                ))
            }
        }
    }
}

impl Inner {
    /// Waits until calls may begin, and returns how many. Messages that are taken together cost one transaction, so
    /// that it waits a little for more than one.
    async fn room(&self, slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let mut room = Arc::clone(slots).acquire_owned().await.ok()?;
        let more = u32::try_from(self.calls / 2).unwrap_or(u32::MAX);
        let more = Arc::clone(slots).acquire_many_owned(more);
        if let Ok(Ok(more)) = timeout(LINGER, more).await {
            room.merge(more);
        }
        while let Ok(one) = Arc::clone(slots).try_acquire_owned() {
            room.merge(one);
        }
        Some(room)
    }

    async fn record_all(self: Arc<Self>, mut outcomes: mpsc::UnboundedReceiver<Told>) {
        let mut some = Vec::new();
        while outcomes.recv_many(&mut some, MAX_RECORD).await > 0 {
            let (stored, slots): (Vec<_>, Vec<_>) = some
                .drain(..)
                .map(|told: Told| ((told.row, told.outcome), told.slot))
                .unzip();
            self.record(&stored).await;
            drop(slots);
            for (row, outcome) in stored {
                self.tell(&row, &outcome);
            }
        }
    }

    /// Stores outcomes. It does not give up: without them the messages would be in doubt.
    async fn record(&self, outcomes: &[(TakenRow, Outcome)]) {
        let mut pause = FIRST_PAUSE;
        let mut is_told = false;
        while let Err(error) = self.outbox.record(outcomes).await {
            if !is_told {
                tracing::error!(%error, messages = outcomes.len(), "outcomes of messages are not stored yet");
                is_told = true;
            }
            sleep(pause).await;
            pause = (pause * 2).min(MAX_STORE_PAUSE);
        }
    }

    fn tell(&self, row: &TakenRow, outcome: &Outcome) {
        let name = self.provider.profile().name();
        let reference = row.reference();
        let status = match outcome {
            Outcome::Accepted(receipt) => {
                metered::sent(name, "accepted");
                MessageStatus::Accepted {
                    at: now(),
                    provider: receipt.provider().to_owned(),
                    id: receipt.id().map(str::to_owned),
                    parts: receipt.parts(),
                }
            }
            Outcome::NotAccepted(error) => {
                metered::sent(name, "not_accepted");
                tracing::warn!(?reference, %error, "a message was not accepted");
                let (at, error) = (now(), failure(error));
                MessageStatus::NotAccepted { at, error }
            }
            Outcome::Unknown(error) => {
                metered::sent(name, "unknown");
                tracing::warn!(?reference, %error, "a message is in doubt");
                let (at, error) = (now(), Some(failure(error)));
                MessageStatus::Unknown { at, error }
            }
            Outcome::Again { error, pause } => {
                metered::sent(name, "again");
                if let Some(error) = error {
                    tracing::debug!(?reference, %error, ?pause, "a message is sent again later");
                }
                return;
            }
        };
        if let Some(observer) = &self.observer {
            observe(|| observer(&row.key, &status));
        }
    }
}

/// What a call has to tell.
struct Told {
    row: TakenRow,
    outcome: Outcome,
    /// The call's, until its outcomes are stored: a crash leaves no more than that in doubt.
    slot: Option<Arc<OwnedSemaphorePermit>>,
}

/// A vendor call.
struct Call {
    inner: Arc<Inner>,
    slots: Arc<Semaphore>,
    told: mpsc::UnboundedSender<Told>,
}

impl Call {
    async fn run(
        self,
        taken: Vec<Taken>,
        slot: Option<OwnedSemaphorePermit>,
        mut stop: watch::Receiver<Stop>,
    ) {
        let slot = match slot {
            Some(slot) => Some(slot),
            None => tokio::select! {
                biased;
                () = stopped(&mut stop, Stop::Begin) => None,
                slot = Arc::clone(&self.slots).acquire_owned() => slot.ok(),
            },
        };
        let (rows, messages): (Vec<_>, Vec<_>) = taken
            .into_iter()
            .map(|taken| (taken.row, taken.message))
            .unzip();
        let Some(limit) = rows.first().map(|row| row.take.limit()) else {
            return;
        };
        // Last of all before the send.
        let begins = slot.is_some() && rows.iter().all(|row| row.take.may_begin());
        if !begins {
            for row in rows {
                let again = Outcome::Again {
                    pause: Duration::ZERO,
                    error: None,
                };
                let _ = self.told.send(Told {
                    row,
                    outcome: again,
                    slot: None,
                });
            }
            lock(&self.inner.gate).no_probe(Instant::now());
            return;
        }
        let outcomes = self.send(&messages, limit, &mut stop).await;
        lock(&self.inner.gate).hear(&outcomes, Instant::now());
        let slot = slot.map(Arc::new);
        for (row, outcome) in rows.into_iter().zip(outcomes) {
            let outcome = decide(outcome, row.tries);
            let _ = self.told.send(Told {
                row,
                outcome,
                slot: slot.clone(),
            });
        }
    }

    async fn send(
        &self,
        messages: &[Message],
        limit: Duration,
        stop: &mut watch::Receiver<Stop>,
    ) -> Outcomes {
        let provider = &self.inner.provider;
        let cut = async {
            tokio::select! {
                () = sleep(limit) => {}
                () = stopped(stop, Stop::Now) => {}
            }
        };
        let call = async {
            match messages {
                [message] => Outcomes::one(provider.send(message).await),
                messages => provider.send_batch(messages).await,
            }
        };
        // A message that only waited for a turn or a token has not departed, and is not in doubt.
        match Departure::new().run_until(cut, call).await {
            Ok(outcomes) => outcomes.covering(messages),
            Err(acceptance) => {
                let late = "the provider did not respond in time";
                let error = match acceptance {
                    Acceptance::NotAccepted => SendError::not_accepted(ErrorKind::Timeout, late),
                    Acceptance::Unknown => SendError::unknown(ErrorKind::Timeout, late),
                };
                let name = provider.profile().owned_name();
                Outcomes::failed(messages, &error.with_provider(name))
            }
        }
    }
}

fn decide(outcome: Result<Receipt, SendError>, tries: u32) -> Outcome {
    match outcome {
        Ok(receipt) => Outcome::Accepted(receipt),
        Err(error) if error.may_resend() => {
            let asked = error.retry_after().unwrap_or_default().min(MAX_ASKED);
            Outcome::Again {
                pause: pause_after(tries).max(asked),
                error: Some(error),
            }
        }
        Err(error) => match error.acceptance() {
            Acceptance::NotAccepted => Outcome::NotAccepted(error),
            Acceptance::Unknown => Outcome::Unknown(error),
        },
    }
}

fn pause_after(tries: u32) -> Duration {
    let pause = FIRST_TRY_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(16));
    pause.min(MAX_TRY_PAUSE)
}

/// Puts messages into calls that one vendor request can carry.
fn into_calls(taken: Vec<Taken>, profile: &Profile) -> Vec<Vec<Taken>> {
    let size = profile.batch_size().get();
    let mut calls: Vec<Vec<Taken>> = Vec::new();
    for taken in taken {
        let fits = |call: &&mut Vec<Taken>| {
            let first = call.first().map(|first| &first.message);
            call.len() < size
                && (profile.batch_texts() == BatchTexts::Mixed
                    || first.is_some_and(|first| first.has_same_content(&taken.message)))
        };
        // The latest call first: the others are mostly full.
        match calls.iter_mut().rev().find(fits).filter(|_| size > 1) {
            Some(call) => call.push(taken),
            None => calls.push(vec![taken]),
        }
    }
    calls
}

async fn stopped(stop: &mut watch::Receiver<Stop>, stage: Stop) {
    if stop.wait_for(|stop| *stop >= stage).await.is_err() {
        // The run is gone, and this with it.
        pending().await
    }
}

fn told_panic() {
    // Its message may contain anything.
    tracing::error!("a call panicked; its messages are in doubt once their lease has run out");
}

fn failure(error: &SendError) -> SendFailure {
    SendFailure {
        kind: error.kind(),
        provider: error.provider().map(str::to_owned),
        code: error.code().map(str::to_owned),
    }
}

/// Keeps the messages back while the vendor accepts nothing.
#[derive(Clone, Copy, Debug)]
enum Gate {
    Open {
        /// Calls in a row that failed for no fault of their messages.
        failures: u32,
    },
    Closed {
        until: Instant,
        pause: Duration,
    },
    /// One message tries.
    Probing {
        since: Instant,
        pause: Duration,
    },
}

#[derive(Debug, Eq, PartialEq)]
enum Asked {
    Open,
    Probe,
    Closed(Duration),
}

impl Gate {
    fn ask(&mut self, now: Instant) -> Asked {
        match *self {
            Self::Open { .. } => Asked::Open,
            Self::Closed { until, .. } if now < until => Asked::Closed(until - now),
            // A probe of a run that was dropped is forgotten.
            Self::Probing { since, .. } if now < since + MAX_PROBE => Asked::Closed(FIRST_PAUSE),
            Self::Closed { pause, .. } | Self::Probing { pause, .. } => {
                *self = Self::Probing { since: now, pause };
                Asked::Probe
            }
        }
    }

    /// Takes note that no message tries.
    fn no_probe(&mut self, now: Instant) {
        if let Self::Probing { pause, .. } = *self {
            *self = Self::Closed { until: now, pause };
        }
    }

    fn hear(&mut self, outcomes: &Outcomes, now: Instant) {
        let is_bad = |error: &SendError| !error.is_local() && is_the_vendors(error);
        let heard =
            |outcome: &Result<_, SendError>| !matches!(outcome, Err(error) if error.is_local());
        if !outcomes.iter().any(heard) {
            // No evidence about the vendor.
            return self.no_probe(now);
        }
        let bad = |outcome: &Result<_, SendError>| matches!(outcome, Err(error) if is_bad(error));
        if !outcomes.iter().all(bad) {
            if !matches!(self, Self::Open { .. }) {
                tracing::warn!("the vendor accepts messages again");
            }
            *self = Self::Open { failures: 0 };
            return;
        }
        let errors = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        let asked = errors.filter_map(SendError::retry_after).max();
        let asked = asked.unwrap_or_default().min(MAX_ASKED);
        let pause = match *self {
            Self::Open { failures } if failures + 1 < FAILURES => {
                *self = Self::Open {
                    failures: failures + 1,
                };
                return;
            }
            Self::Open { .. } => {
                tracing::warn!("the vendor accepts nothing; its messages wait");
                FIRST_GATE_PAUSE
            }
            // The calls that were under way.
            Self::Closed { .. } => return,
            Self::Probing { pause, .. } => (pause * 2).min(MAX_GATE_PAUSE),
        };
        *self = Self::Closed {
            until: now + pause.max(asked),
            pause,
        };
    }
}

/// Returns whether an error would probably meet every message.
fn is_the_vendors(error: &SendError) -> bool {
    error.may_resend()
        || error.acceptance() == Acceptance::Unknown
        || matches!(
            error.kind(),
            ErrorKind::InsufficientBalance | ErrorKind::Misconfigured | ErrorKind::Unauthorized
        )
}

impl fmt::Debug for MessageSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageSender")
            .field("outbox", &self.inner.outbox)
            .field("provider", &self.inner.provider)
            .field("calls", &self.inner.calls)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MessageSenderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageSenderBuilder")
            .field("outbox", &self.outbox)
            .field("provider", &self.provider)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

/// The most messages of one take.
const MAX_TAKE: usize = 256;

/// The most outcomes of one transaction.
const MAX_RECORD: usize = 256;

/// How long a sender waits for the store to tell of a message before it looks.
const POLL: Duration = Duration::from_millis(250);

const LINGER: Duration = Duration::from_millis(20);

const MAX_SWEEP: Duration = Duration::from_secs(5);

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_STORE_PAUSE: Duration = Duration::from_secs(5);

const FIRST_TRY_PAUSE: Duration = Duration::from_secs(2);
const MAX_TRY_PAUSE: Duration = Duration::from_secs(300);

/// The longest pause that a vendor may ask for.
const MAX_ASKED: Duration = Duration::from_secs(3600);

/// How many calls in a row fail until the others wait.
const FAILURES: u32 = 3;

const FIRST_GATE_PAUSE: Duration = Duration::from_secs(1);
const MAX_GATE_PAUSE: Duration = Duration::from_secs(60);

/// Longer than the longest lease.
const MAX_PROBE: Duration = Duration::from_secs(3700);

/// How long a message waits that cannot be opened: somebody has to bring its key.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(60);

/// The stages of a shutdown: less than the 30 seconds after which most platforms kill.
const GRACE: Duration = Duration::from_secs(15);
const CUT_OFF: Duration = Duration::from_secs(1);
const RECORD: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(outcome: Result<(), SendError>) -> Outcomes {
        let reference = postduif_core::Reference::random();
        Outcomes::one(outcome.map(|()| Receipt::new("a", reference)))
    }

    fn down() -> Outcomes {
        outcomes(Err(SendError::not_accepted(ErrorKind::Unavailable, "down")))
    }

    #[test]
    fn while_a_vendor_is_down_one_message_at_a_time_tries_it() {
        let mut gate = Gate::Open { failures: 0 };
        let mut now = Instant::now();
        for _ in 0..FAILURES {
            assert_eq!(gate.ask(now), Asked::Open);
            gate.hear(&down(), now);
        }
        let mut probes = 0;
        let end = now + Duration::from_secs(3600);
        while now < end {
            match gate.ask(now) {
                Asked::Closed(pause) => now += pause,
                Asked::Probe => {
                    probes += 1;
                    assert!(matches!(gate.ask(now), Asked::Closed(_)), "one at a time");
                    gate.hear(&down(), now);
                }
                Asked::Open => panic!("the vendor is down"),
            }
        }
        assert!((60..70).contains(&probes), "{probes} in an hour");
        now += MAX_GATE_PAUSE;
        assert_eq!(gate.ask(now), Asked::Probe);
        gate.hear(&outcomes(Ok(())), now);
        assert_eq!(gate.ask(now), Asked::Open);
    }

    #[test]
    fn a_vendor_that_leaves_all_in_doubt_gets_one_message_at_a_time_too() {
        let mut gate = Gate::Open { failures: 0 };
        let lost = SendError::unknown(ErrorKind::Timeout, "no response");
        for _ in 0..FAILURES {
            gate.hear(&outcomes(Err(lost.clone())), Instant::now());
        }
        assert!(matches!(gate.ask(Instant::now()), Asked::Closed(_)));
    }

    #[test]
    fn the_fault_of_a_message_or_of_our_own_limits_closes_nothing() {
        let mut gate = Gate::Open { failures: 0 };
        let own = SendError::not_accepted(ErrorKind::InvalidRecipient, "x");
        let limit = SendError::not_accepted(ErrorKind::Throttled, "x").local();
        for error in [own, limit] {
            for _ in 0..2 * FAILURES {
                gate.hear(&outcomes(Err(error.clone())), Instant::now());
            }
            assert_eq!(gate.ask(Instant::now()), Asked::Open);
        }
    }

    #[test]
    fn a_vendor_that_asks_for_a_pause_gets_it() {
        let mut gate = Gate::Open { failures: 0 };
        let now = Instant::now();
        let busy = SendError::not_accepted(ErrorKind::Throttled, "busy")
            .with_retry_after(Duration::from_secs(40));
        for _ in 0..FAILURES {
            gate.hear(&outcomes(Err(busy.clone())), now);
        }
        assert_eq!(gate.ask(now), Asked::Closed(Duration::from_secs(40)));
        let Outcome::Again { pause, .. } = decide(Err(busy), 1) else {
            panic!("it is sent again");
        };
        assert_eq!(pause, Duration::from_secs(40));
    }

    #[test]
    fn a_probe_that_came_to_nothing_is_not_waited_for() {
        let now = Instant::now();
        let pause = FIRST_GATE_PAUSE;
        let mut gate = Gate::Probing { since: now, pause };
        gate.no_probe(now);
        assert_eq!(gate.ask(now), Asked::Probe);
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        assert_eq!(pause_after(1), Duration::from_secs(2));
        assert_eq!(pause_after(2), Duration::from_secs(4));
        assert_eq!(pause_after(u32::MAX), MAX_TRY_PAUSE);
    }
}
