//! The claim of a flow, with its lease.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use postduif_core::{async_trait, directory::Callout};
use postduif_onboarding::{
    Claim, Ending, Entries, Entry, JournalError, JournalErrorKind, Memo, Record,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{
    archive,
    db::{Sql, Topic, Tx, Value, apart},
    store::{Inner, millis, millis_until, to_json},
};
use crate::Lease;

/// The claim of a flow. Every write first extends the lease under the claim's number, which also locks the flow for the
/// rest of the transaction: no other claim comes in between.
pub(super) struct SqlLease(Arc<Held>);

struct Held {
    store: Arc<Inner>,
    callout: Callout,
    /// The flow, as the tables have it.
    flow: String,
    memo: Option<Memo>,
    epoch: i64,
    takeovers: u32,
    /// When the lease ends, as far as this process is certain. `None` once it is lost.
    until: Mutex<Option<Instant>>,
    ended: Notify,
}

impl SqlLease {
    pub(super) fn new(
        store: Arc<Inner>,
        callout: Callout,
        memo: Option<Memo>,
        epoch: i64,
        takeovers: u32,
        began: Instant,
    ) -> Self {
        Self(Arc::new(Held {
            flow: callout.flow().to_string(),
            until: Mutex::new(Some(began + store.options.lease)),
            store,
            callout,
            memo,
            epoch,
            takeovers,
            ended: Notify::new(),
        }))
    }
}

impl Held {
    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the lease ends, or `None` once it has ended.
    fn held_until(&self) -> Option<Instant> {
        let mut until = self.until();
        *until = until.filter(|until| *until > Instant::now());
        *until
    }

    fn lose(&self) {
        *self.until() = None;
        self.ended.notify_waiters();
    }

    fn lost_now(&self) -> JournalError {
        self.lose();
        JournalError::lost()
    }

    /// Notes that the lease was extended by a request that began at this time. A lease that has ended here stays so.
    fn extended(&self, began: Instant) {
        let mut until = self.until();
        if let Some(until) = &mut *until {
            *until = (*until).max(began + self.store.options.lease);
        }
    }

    /// Returns by how much a write extends the lease in the store: not at all once it has ended here, so that whoever
    /// claims the flow next waits no longer.
    fn extension(&self) -> Option<i64> {
        self.held_until().map(|_| self.store.lease_ms())
    }

    fn extend_values(&self) -> [Value<'_>; 3] {
        [
            (&self.flow).into(),
            self.epoch.into(),
            self.extension().into(),
        ]
    }

    /// Begins a transaction in which this claim, and no other, has the flow.
    async fn begin(&self) -> Result<(Tx, Instant), JournalError> {
        let mut tx = self.store.db.begin().await?;
        let began = Instant::now();
        if tx.execute(&EXTEND, &self.extend_values()).await? == 1 {
            Ok((tx, began))
        } else {
            self.lose();
            tx.rollback().await?;
            Err(JournalError::lost())
        }
    }

    async fn commit(&self, tx: Tx, began: Instant) -> Result<(), JournalError> {
        tx.commit().await?;
        self.extended(began);
        Ok(())
    }

    async fn append(&self, number: i64, record: &Record, body: &str) -> Result<(), JournalError> {
        let (mut tx, began) = self.begin().await?;
        let values = [
            (&self.flow).into(),
            number.into(),
            record.at.timestamp_millis().into(),
            body.into(),
        ];
        if tx.execute(&APPEND, &values).await? == 0 {
            tx.rollback().await?;
            return Err(JournalError::lost());
        }
        self.index(&mut tx, &record.entry).await?;
        let is_news = archive::appended(&mut tx, &self.callout, record).await?;
        self.commit(tx, began).await?;
        if is_news {
            self.store.db.wake(Topic::Events).await;
        }
        Ok(())
    }

    async fn lock_user(&self, user: &str, at_most: Duration) -> Result<bool, JournalError> {
        let (mut tx, began) = self.begin().await?;
        let values = [user.into(), (&self.flow).into(), millis(at_most).into()];
        let locked = tx.execute(&LOCK_USER, &values).await? == 1;
        self.commit(tx, began).await?;
        Ok(locked)
    }

    async fn free_user(&self) -> Result<(), JournalError> {
        let (mut tx, began) = self.begin().await?;
        tx.execute(&FREE_USER, &[(&self.flow).into()]).await?;
        self.commit(tx, began).await
    }

    async fn done(&self, ending: &Ending) -> Result<(), JournalError> {
        let json = to_json(ending)?;
        let flow = (&self.flow).into();
        let mut tx = self.store.db.begin().await?;
        let values = [flow, self.epoch.into(), (&json).into()];
        if tx.execute(&DONE, &values).await? == 0 {
            tx.rollback().await?;
            return Err(self.lost_now());
        }
        tx.execute(&FREE_USER, &[flow]).await?;
        archive::ended(&mut tx, &self.callout, ending).await?;
        tx.commit().await?;
        self.lose();
        self.store.db.wake(Topic::Events).await;
        Ok(())
    }

    /// Stores how the flow is found by what came back from outside.
    async fn index(&self, tx: &mut Tx, entry: &Entry) -> Result<(), JournalError> {
        match entry {
            Entry::Sending { reference, .. } => {
                let reference = reference.to_string();
                tx.execute(
                    &INSERT_REFERENCE,
                    &[(&reference).into(), (&self.flow).into()],
                )
                .await?;
            }
            Entry::Accepted {
                provider,
                id,
                part_ids,
                ..
            } => {
                for id in id.iter().chain(part_ids) {
                    let values = [provider.into(), id.into(), (&self.flow).into()];
                    tx.execute(&INSERT_VENDOR_ID, &values).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[async_trait]
impl Claim for SqlLease {
    fn callout(&self) -> &Callout {
        &self.0.callout
    }

    fn memo(&self) -> Option<Memo> {
        self.0.memo.clone()
    }

    async fn give_back(&self, until: DateTime<Utc>, memo: &Memo) -> Result<(), JournalError> {
        let memo = to_json(memo)?;
        let pause = millis_until(until);
        let values = [
            (&self.0.flow).into(),
            self.0.epoch.into(),
            (&memo).into(),
            pause.into(),
        ];
        let rows = self.0.store.db.fetch(&GIVE_BACK, &values).await?;
        // From here on others can have it.
        self.0.lose();
        let row = rows.first().ok_or_else(JournalError::lost)?;
        if pause == 0 || row.int("again")? != 0 {
            self.0.store.db.wake(Topic::Flows).await;
        }
        Ok(())
    }

    fn holds(&self) -> bool {
        self.0.held_until().is_some()
    }

    async fn lost(&self) {
        loop {
            // Before the look, so that no end is missed.
            let ended = self.0.ended.notified();
            let Some(until) = self.0.held_until() else {
                return;
            };
            let _ = timeout_at(until, ended).await;
        }
    }

    async fn entries(&self) -> Result<Entries, JournalError> {
        let read = self.0.store.read_claimed(&self.0.flow).await?;
        match read {
            Some((entries, epoch)) if epoch == self.0.epoch => Ok(entries),
            _ => Err(self.0.lost_now()),
        }
    }

    async fn append(&self, at: usize, record: &Record) -> Result<(), JournalError> {
        if at >= MAX_ENTRIES {
            return Err(JournalError::new(
                JournalErrorKind::Full,
                "the flow has too many entries",
            ));
        }
        let number = i64::try_from(at).map_err(|_| JournalError::lost())?;
        let body = to_json(record)?;
        let (held, record) = (Arc::clone(&self.0), record.clone());
        apart(async move { held.append(number, &record, &body).await }).await
    }

    async fn of_user(&self) -> Result<Vec<Entries>, JournalError> {
        let Some(user) = self.0.callout.user() else {
            return Ok(Vec::new());
        };
        let read = self.0.store.read_user(&user.to_string()).await?;
        Ok(read.into_iter().map(|(entries, _)| entries).collect())
    }

    async fn lock_user(&self, at_most: Duration) -> Result<bool, JournalError> {
        let Some(user) = self.0.callout.user() else {
            return Ok(true);
        };
        let user = user.to_string();
        let held = Arc::clone(&self.0);
        apart(async move { held.lock_user(&user, at_most).await }).await
    }

    async fn free_user(&self) -> Result<(), JournalError> {
        if self.0.callout.user().is_none() {
            return Ok(());
        }
        let held = Arc::clone(&self.0);
        apart(async move { held.free_user().await }).await
    }
}

#[async_trait]
impl Lease for SqlLease {
    fn length(&self) -> Duration {
        self.0.store.options.lease
    }

    fn takeovers(&self) -> u32 {
        self.0.takeovers
    }

    async fn extend(&self) -> Result<(), JournalError> {
        let began = Instant::now();
        let values = self.0.extend_values();
        if self.0.store.db.execute(&EXTEND, &values).await? == 0 {
            return Err(self.0.lost_now());
        }
        self.0.extended(began);
        Ok(())
    }

    async fn done(&self, ending: &Ending) -> Result<(), JournalError> {
        let (held, ending) = (Arc::clone(&self.0), ending.clone());
        apart(async move { held.done(&ending).await }).await
    }
}

impl fmt::Debug for SqlLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlLease")
            .field("flow", &self.0.callout.flow())
            .field("epoch", &self.0.epoch)
            .field("takeovers", &self.0.takeovers)
            .finish_non_exhaustive()
    }
}

/// As in the memory journal: more than two weeks of refusals need.
const MAX_ENTRIES: usize = 4096;

/// Without a length it only locks the flow of a claim whose lease has ended here, but that nobody else has claimed.
static EXTEND: Sql = Sql::new(
    "UPDATE postduif_flow SET due = COALESCE({now} + $3, due), touched = {now}
     WHERE id = $1 AND epoch = $2 AND holder IS NOT NULL",
);

static APPEND: Sql = Sql::new(
    "INSERT INTO postduif_entry (flow, no, at, body)
     SELECT $1, $2, $3, $4
     WHERE $2 = (SELECT COALESCE(max(no) + 1, 0) FROM postduif_entry WHERE flow = $1)",
);

static INSERT_REFERENCE: Sql = Sql::new(
    "INSERT INTO postduif_reference (reference, flow) VALUES ($1, $2)
     ON CONFLICT (reference) DO UPDATE SET flow = excluded.flow",
);

static INSERT_VENDOR_ID: Sql = Sql::new(
    "INSERT INTO postduif_vendor_id (provider, id, flow) VALUES ($1, $2, $3)
     ON CONFLICT (provider, id) DO UPDATE SET flow = excluded.flow",
);

/// Returns whether something arrived while the flow was held.
static GIVE_BACK: Sql = Sql::new(
    "UPDATE postduif_flow
     SET memo = $3, holder = NULL, takeovers = 0, touched = {now},
         due = {now} + CASE WHEN again = 0 THEN $4 ELSE 0 END
     WHERE id = $1 AND epoch = $2 AND holder IS NOT NULL
     RETURNING again",
);

/// A repetition changes nothing. The first ending stays, if a repeated call-out has claimed the flow again.
static DONE: Sql = Sql::new(
    "UPDATE postduif_flow
     SET done_at = COALESCE(done_at, {now}), ending = COALESCE(ending, $3),
         due = NULL, holder = NULL, takeovers = 0, touched = {now}
     WHERE id = $1 AND epoch = $2 AND (holder IS NOT NULL OR done_at IS NOT NULL)",
);

static LOCK_USER: Sql = Sql::new(
    "INSERT INTO postduif_user_lock (user_id, flow, until, touched)
     VALUES ($1, $2, {now} + $3, {now})
     ON CONFLICT (user_id) DO UPDATE
     SET flow = excluded.flow, until = excluded.until, touched = excluded.touched
     WHERE postduif_user_lock.flow = excluded.flow OR postduif_user_lock.until <= (SELECT {now})",
);

static FREE_USER: Sql = Sql::new("DELETE FROM postduif_user_lock WHERE flow = $1");
