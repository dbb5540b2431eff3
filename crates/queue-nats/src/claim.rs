use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use postduif_core::{
    async_trait,
    directory::{Callout, UserId},
};
use postduif_onboarding::{
    Claim, Ending, Entries, Entry, JournalError, JournalErrorKind, Memo, Record,
};
use postduif_queue::Lease;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    engine::MAX_DELAY,
    jetstream::{Ack, Delivery, Fail, Patience},
    lease::Holding,
    store::{Change, Known, PutError, Store},
    value::{
        self, Flow, Flows, Lock, id_key, lock_key, millis, reference_key, to_bytes, to_value,
        user_key,
    },
};

/// A claim of a flow, from a wake-up or without one.
pub(crate) struct NatsClaim {
    store: Arc<Store>,
    callout: Callout,
    memo: Option<Memo>,
    epoch: u64,
    takeovers: u32,
    holding: Holding,
    delivery: Option<Delivery>,
    /// The value as this claim last saw it. `None` once the claim has given the flow back.
    known: Mutex<Option<Known<Flow>>>,
}

impl NatsClaim {
    pub(crate) fn new(
        store: Arc<Store>,
        known: Known<Flow>,
        asked: Instant,
        delivery: Option<Delivery>,
    ) -> Self {
        let flow = &known.value;
        Self {
            callout: flow.callout.clone(),
            memo: flow.read_memo(),
            epoch: flow.epoch,
            takeovers: flow.takeovers,
            holding: Holding::new(store.lease, asked),
            delivery,
            known: Mutex::new(Some(known)),
            store,
        }
    }

    /// Reads the flow, and checks that this claim has it.
    async fn read(&self) -> Result<Known<Flow>, JournalError> {
        let known = self.store.flow(&self.callout.flow()).await?;
        known
            .filter(|known| known.value.epoch == self.epoch)
            .ok_or_else(|| self.lost_to_another())
    }

    fn lost_to_another(&self) -> JournalError {
        self.holding.lose();
        JournalError::lost()
    }

    /// Changes the flow if this claim has it, which extends the lease. `change` is told whether an earlier try may have
    /// been stored, and is asked again where somebody else has changed the flow.
    async fn change<T>(
        &self,
        change: impl Fn(&mut Flow, bool) -> Result<Change<T>, JournalError> + Send + Sync,
    ) -> Result<T, JournalError> {
        let mut kept = self.known.lock().await;
        let Some(known) = kept.as_mut() else {
            return Err(JournalError::lost());
        };
        let mut patience = Patience::new();
        let mut is_doubted = false;
        loop {
            let mut flow = known.value.clone();
            let output = match change(&mut flow, is_doubted)? {
                Change::Keep(output) => return Ok(output),
                Change::Write(output) => output,
            };
            let asked = Instant::now();
            match self.store.put_flow(&flow, known.revision).await {
                Ok(revision) => {
                    known.revision = revision;
                    known.value = flow;
                    self.holding.extend(asked);
                    return Ok(output);
                }
                Err(PutError::Journal(error)) => return Err(error),
                Err(PutError::Fail(Fail::Conflict)) => {
                    patience.once_more().await?;
                    *known = self.read().await?;
                }
                Err(PutError::Fail(fail)) => {
                    is_doubted = true;
                    patience.after(fail).await?;
                }
            }
        }
    }

    /// Proves that this claim has the flow, by a write.
    async fn touch(&self) -> Result<(), JournalError> {
        self.change(|_, _| Ok(Change::Write(()))).await
    }

    async fn read_lock(&self, user: &UserId) -> Result<(u64, Option<Known<Lock>>), JournalError> {
        let Some(known) = self.store.get(&lock_key(user)).await? else {
            return Ok((0, None));
        };
        if known.value.is_empty() {
            return Ok((known.revision, None));
        }
        let lock = Known {
            revision: known.revision,
            at: known.at,
            value: value::read(&known.value)?,
        };
        Ok((lock.revision, Some(lock)))
    }

    /// Returns whether another flow has this lock.
    async fn is_others(&self, user: &UserId, lock: &Known<Lock>) -> Result<bool, JournalError> {
        if lock.value.flow == self.callout.flow() {
            return Ok(false);
        }
        let at_most = Duration::from_millis(lock.value.at_most_ms);
        let now = self.store.server_time().await?;
        match Store::left(lock.at, at_most, now) {
            Some(left) if left.is_zero() => return Ok(false),
            Some(_) => {}
            None => {
                // The server's clock was set back: the time counts from now.
                let bytes = to_bytes(&lock.value)?;
                let key = lock_key(user);
                let _ = self
                    .store
                    .put(&key, bytes, Some(lock.revision), false)
                    .await;
            }
        }
        // A flow that is done has freed its user, or failed to.
        let holder = self.store.flow(&lock.value.flow).await?;
        Ok(holder.is_none_or(|holder| holder.value.done.is_none()))
    }
}

#[async_trait]
impl Claim for NatsClaim {
    fn callout(&self) -> &Callout {
        &self.callout
    }

    fn memo(&self) -> Option<Memo> {
        self.memo.clone()
    }

    async fn give_back(&self, until: DateTime<Utc>, memo: &Memo) -> Result<(), JournalError> {
        let pause = until.signed_duration_since(now()).to_std();
        let pause = pause.unwrap_or_default();
        let memo = to_value(memo)?;
        // Without a wake-up of its own the claim needs one for that time.
        let wake = match &self.delivery {
            Some(_) => None,
            None => {
                self.touch().await?;
                Some(self.store.wake(&self.callout).await?)
            }
        };
        let given_back = self.change(|flow, _| {
            flow.memo = Some(memo.clone());
            flow.holder = None;
            flow.takeovers = 0;
            flow.pause_ms = if flow.woken { 0 } else { millis(pause) };
            let old = flow.wake;
            flow.wake = wake.unwrap_or(old);
            Ok(Change::Write((flow.pause_ms, old)))
        });
        let (pause_ms, old) = given_back.await?;
        self.known.lock().await.take();
        self.holding.lose();
        if let Some(delivery) = &self.delivery {
            let pause = Duration::from_millis(pause_ms).min(MAX_DELAY);
            self.store.ack(delivery, Ack::Again(pause)).await;
        } else if old != 0 {
            self.store.remove(old).await;
        }
        Ok(())
    }

    fn holds(&self) -> bool {
        self.holding.holds()
    }

    async fn lost(&self) {
        self.holding.lost().await;
    }

    async fn entries(&self) -> Result<Entries, JournalError> {
        let mut kept = self.known.lock().await;
        let Some(known) = kept.as_mut() else {
            return Err(JournalError::lost());
        };
        *known = self.read().await?;
        known.value.parse()
    }

    async fn append(&self, at: usize, record: &Record) -> Result<(), JournalError> {
        // What finds the flow first: it counts only with the entry.
        let flow = self.callout.flow();
        match &record.entry {
            Entry::Sending { reference, .. } => {
                self.store.point(&reference_key(reference), &flow).await?;
            }
            Entry::Accepted {
                provider,
                id,
                part_ids,
                ..
            } => {
                let ids = id.iter().chain(part_ids);
                let keys: Vec<_> = ids.map(|id| id_key(provider, id)).collect();
                stream::iter(keys)
                    .map(|key| async move { self.store.point(&key, &flow).await })
                    .buffer_unordered(AT_ONCE)
                    .try_collect::<()>()
                    .await?;
            }
            _ => {}
        }
        let new = to_value(record)?;
        self.change(|flow, is_doubted| {
            if is_doubted && flow.entries.len() == at + 1 && flow.entries.get(at) == Some(&new) {
                // Its response was lost.
                return Ok(Change::Keep(()));
            }
            if flow.entries.len() != at {
                return Err(JournalError::lost());
            }
            if !flow.has_room() {
                return Err(JournalError::new(
                    JournalErrorKind::Full,
                    "the flow has too many entries",
                ));
            }
            flow.entries.push(new.clone());
            Ok(Change::Write(()))
        })
        .await
    }

    async fn of_user(&self) -> Result<Vec<Entries>, JournalError> {
        let Some(user) = self.callout.user() else {
            return Ok(Vec::new());
        };
        let known = self.store.get(&user_key(&user)).await?;
        let flows = Flows::read(known.as_ref().map(|known| &*known.value))?.flows;
        let flows: Vec<_> = flows.into_iter().map(|(flow, _)| flow).collect();
        let read = stream::iter(flows)
            .map(|flow| async move { self.store.flow(&flow).await })
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        // One without a value, or of another user, has never begun as this user's.
        let own = read
            .iter()
            .flatten()
            .filter(|known| known.value.callout.user() == Some(user));
        own.map(|known| known.value.parse()).collect()
    }

    async fn lock_user(&self, at_most: Duration) -> Result<bool, JournalError> {
        let Some(user) = self.callout.user() else {
            return Ok(true);
        };
        let lock = to_bytes(&Lock {
            flow: self.callout.flow(),
            at_most_ms: millis(at_most),
        })?;
        let mut patience = Patience::new();
        loop {
            let (revision, seen) = self.read_lock(&user).await?;
            // After the lock was read: if it is still the same, no later claim of this flow has used it.
            self.touch().await?;
            if let Some(seen) = seen
                && self.is_others(&user, &seen).await?
            {
                return Ok(false);
            }
            let key = lock_key(&user);
            let put = self.store.put(&key, lock.clone(), Some(revision), false);
            match put.await {
                Ok(_) => return Ok(true),
                Err(Fail::Conflict) => patience.once_more().await?,
                Err(fail) => patience.after(fail).await?,
            }
        }
    }

    async fn free_user(&self) -> Result<(), JournalError> {
        let Some(user) = self.callout.user() else {
            return Ok(());
        };
        let mut patience = Patience::new();
        loop {
            let (revision, seen) = self.read_lock(&user).await?;
            self.touch().await?;
            if seen.is_none_or(|seen| seen.value.flow != self.callout.flow()) {
                return Ok(());
            }
            let key = lock_key(&user);
            let put = self.store.put(&key, Vec::new(), Some(revision), false);
            match put.await {
                Ok(_) => return Ok(()),
                Err(Fail::Conflict) => patience.once_more().await?,
                Err(fail) => patience.after(fail).await?,
            }
        }
    }
}

#[async_trait]
impl Lease for NatsClaim {
    fn length(&self) -> Duration {
        self.holding.length()
    }

    fn takeovers(&self) -> u32 {
        self.takeovers
    }

    async fn extend(&self) -> Result<(), JournalError> {
        self.touch().await?;
        if let Some(delivery) = &self.delivery {
            self.store.ack(delivery, Ack::Working).await;
        }
        Ok(())
    }

    async fn done(&self, ending: &Ending) -> Result<(), JournalError> {
        let (at, ending) = (now(), to_value(ending)?);
        self.change(|flow, _| {
            if flow.done.is_some() {
                return Ok(Change::Keep(()));
            }
            flow.done = Some(at);
            flow.ending = Some(ending.clone());
            flow.memo = None;
            flow.holder = None;
            Ok(Change::Write(()))
        })
        .await?;
        // One that stays is removed when it is delivered.
        if let Some(delivery) = &self.delivery {
            self.store.ack(delivery, Ack::Done).await;
        }
        self.store.remove_all(&self.callout.flow()).await;
        Ok(())
    }
}

impl fmt::Debug for NatsClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsClaim")
            .field("flow", &self.callout.flow())
            .field("epoch", &self.epoch)
            .field("holds", &self.holds())
            .finish_non_exhaustive()
    }
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// How many keys are read or written at once.
const AT_ONCE: usize = 16;
