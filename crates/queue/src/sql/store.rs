//! The flows: what the queue and the journal need of the tables.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Guid, Reference, async_trait,
    directory::{Callout, FlowId, UserId},
};
use postduif_onboarding::{
    Claim, Ending, Entries, Journal, JournalError, JournalErrorKind, Memo, Report, Taken,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{
    db::{Db, Row, Sql, Topic, Value, apart, unexpected},
    lease::SqlLease,
};
use crate::{Archive, Counts, Engine, Lease, Status, queue::Options};

/// The store of flows in a database. Clones share it.
#[derive(Clone)]
pub(crate) struct SqlStore(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) db: Db,
    pub(super) options: Options,
    /// The name of this process among the holders, for whoever looks into the tables.
    process: String,
    /// When the database's clock was last looked at.
    looked: Mutex<Option<Instant>>,
}

impl SqlStore {
    /// Uses a database that has the tables.
    pub(super) async fn new(db: Db, options: Options) -> Result<Self, JournalError> {
        let store = Self::beside(db, options);
        store.0.repair_clock().await?;
        if store.0.db.is_own() {
            // No other process can have a flow, so each holder has died with its own.
            store.0.db.execute(&FREE_ALL, &[]).await?;
        }
        Ok(store)
    }

    /// Uses a database that has the tables, and leaves the flows to their holders.
    pub(super) fn beside(db: Db, options: Options) -> Self {
        Self(Arc::new(Inner {
            db,
            options,
            process: Guid::random().to_string(),
            looked: Mutex::default(),
        }))
    }
}

impl Inner {
    pub(super) fn lease_ms(&self) -> i64 {
        millis(self.options.lease)
    }

    /// Looks whether the database's clock was set back, once in a while.
    async fn look_at_clock(self: &Arc<Self>) -> Result<(), JournalError> {
        let now = Instant::now();
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_some_and(|looked| now - looked < CLOCK) {
                return Ok(());
            }
            *looked = Some(now);
        }
        if self.db.execute(&SEE_CLOCK, &[]).await? == 0 {
            let inner = Arc::clone(self);
            apart(async move { inner.repair_clock().await }).await?;
        }
        Ok(())
    }

    /// Moves the stored times along with a clock that was set back: nothing is to wait until it has caught up.
    async fn repair_clock(&self) -> Result<(), JournalError> {
        let mut tx = self.db.begin().await?;
        // One process at a time, since a repetition would move the times again.
        let rows = tx.fetch(&READ_CLOCK, &[]).await?;
        let clock = rows.first().ok_or_else(unexpected)?;
        let back = clock.int("at")? - clock.int("now")?;
        if back <= TOLERANCE_MS {
            return tx.rollback().await;
        }
        tx.execute(&MOVE_FLOWS, &[back.into()]).await?;
        tx.execute(&MOVE_LOCKS, &[]).await?;
        tx.execute(&SET_CLOCK, &[]).await?;
        tx.commit().await?;
        tracing::warn!(
            by_ms = back,
            "the clock of the queue's database was set back; the times of its flows were moved along"
        );
        Ok(())
    }

    /// Stores a flow that is not known yet, if there is room for it.
    async fn take(&self, callout: &Callout) -> Result<Taken, JournalError> {
        let id = callout.flow().to_string();
        let user = callout.user().map(|user| user.to_string());
        let json = to_json(callout)?;
        let most = i64::try_from(self.options.max_open.get()).unwrap_or(i64::MAX);
        let values = [
            (&id).into(),
            user.as_deref().into(),
            (&json).into(),
            callout.received_at().timestamp_millis().into(),
            most.into(),
        ];
        if self.db.execute(&INSERT, &values).await? == 1 {
            return Ok(Taken::New);
        }
        let known = self.db.fetch(&IS_KNOWN, &[(&id).into()]).await?;
        Ok(if known.is_empty() {
            Taken::Full
        } else {
            Taken::Known
        })
    }

    /// Stores a report, and returns whether it is new.
    async fn report(&self, flow: &str, report: &Report) -> Result<bool, JournalError> {
        let id = Value::from(flow);
        let mut tx = self.db.begin().await?;
        // Reports of one flow are stored one after the other.
        if tx.fetch(&LOCK_FLOW, &[id]).await?.is_empty() {
            tx.rollback().await?;
            return Ok(false);
        }
        let rows = tx.fetch(&READ_REPORTS, &[id]).await?;
        let mut known = Vec::new();
        for row in &rows {
            // One of a newer version is another report.
            let report = serde_json::from_str::<Report>(&row.text("body")?).ok();
            known.push((row.int("no")?, report));
        }
        let same = |known: &Report| known.says_the_same_as(report);
        if known
            .iter()
            .any(|(_, known)| known.as_ref().is_some_and(same))
        {
            tx.rollback().await?;
            return Ok(false);
        }
        if known.len() >= MAX_REPORTS {
            let is_open = |known: &Report| !known.status.is_final();
            let mut all = known.iter();
            let oldest = all.find(|(_, known)| known.as_ref().is_some_and(is_open));
            // A final status decides the flow.
            let Some((oldest, _)) = oldest.filter(|_| report.status.is_final()) else {
                tx.rollback().await?;
                return Ok(false);
            };
            tx.execute(&DELETE_REPORT, &[id, (*oldest).into()]).await?;
        }
        let number = known.last().map_or(0, |(number, _)| number + 1);
        let body = to_json(report)?;
        tx.execute(&INSERT_REPORT, &[id, number.into(), (&body).into()])
            .await?;
        tx.execute(&MAKE_DUE, &[id]).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn flow(
        &self,
        sql: &'static Sql,
        values: &[Value<'_>],
    ) -> Result<Option<FlowId>, JournalError> {
        let rows = self.db.fetch(sql, values).await?;
        rows.first().map(|row| flow_id(row, "flow")).transpose()
    }

    /// Reads a flow that is not given back or done, with the number of its claim.
    pub(super) async fn read_claimed(
        &self,
        flow: &str,
    ) -> Result<Option<(Entries, i64)>, JournalError> {
        let read = self.read(&READ_CLAIMED, &[flow.into()]).await?;
        Ok(read.into_iter().next())
    }

    /// Reads the flows of a user that can have a pass.
    pub(super) async fn read_user(&self, user: &str) -> Result<Vec<(Entries, i64)>, JournalError> {
        self.read(&READ_USER, &[user.into(), PASSES_MS.into()])
            .await
    }

    /// Reads flows with one of the statements below, each with the number of its claim.
    async fn read(
        &self,
        sql: &'static Sql,
        values: &[Value<'_>],
    ) -> Result<Vec<(Entries, i64)>, JournalError> {
        let rows = self.db.fetch(sql, values).await?;
        let mut flows = Vec::<(Entries, i64)>::new();
        for row in &rows {
            let flow = flow_id(row, "flow")?;
            match row.int("kind")? {
                FLOW => {
                    let mut entries = Entries::new(flow);
                    let stop = row.int_or_null("at")?;
                    entries.stop = stop.map(time).transpose()?;
                    flows.push((entries, row.int("no")?));
                }
                kind => {
                    let (entries, _) = flows.last_mut().ok_or_else(unexpected)?;
                    let body = row.text("body")?;
                    if kind == ENTRY {
                        entries.records.push(from_json(&body)?);
                    } else {
                        entries.reports.push(from_json(&body)?);
                    }
                }
            }
        }
        Ok(flows)
    }

    /// Makes a claim of a row of [`NEXT`] or [`CLAIM`], whose lease began here at `began`.
    fn claimed(self: &Arc<Self>, row: &Row, began: Instant) -> Result<SqlLease, JournalError> {
        let callout = from_json::<Callout>(&row.text("callout")?)?;
        let memo = row.text_or_null("memo")?;
        // A memo with a newer word is none: the flow is as safe without it.
        let memo = memo.and_then(|memo| serde_json::from_str::<Memo>(&memo).ok());
        let takeovers = u32::try_from(row.int("takeovers")?).unwrap_or(u32::MAX);
        let epoch = row.int("epoch")?;
        Ok(SqlLease::new(
            Arc::clone(self),
            callout,
            memo,
            epoch,
            takeovers,
            began,
        ))
    }

    fn claim_values(&self) -> [Value<'_>; 2] {
        [(&self.process).into(), self.lease_ms().into()]
    }
}

#[async_trait]
impl Journal for SqlStore {
    async fn claim(&self, callout: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError> {
        if self.0.take(callout).await? == Taken::Full {
            return Err(JournalError::new(
                JournalErrorKind::Full,
                "the queue has no room for another flow",
            ));
        }
        let began = Instant::now();
        let [process, lease] = self.0.claim_values();
        let flow = callout.flow().to_string();
        let rows = self
            .0
            .db
            .fetch(&CLAIM, &[process, lease, (&flow).into()])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Box::new(self.0.claimed(row, began)?)))
    }

    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError> {
        let id = flow.to_string();
        let read = self.0.read(&READ_FLOW, &[(&id).into()]).await?;
        let known = read.into_iter().next();
        Ok(known.map_or_else(|| Entries::new(*flow), |(entries, _)| entries))
    }

    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError> {
        let reference = reference.to_string();
        self.0.flow(&FLOW_OF, &[(&reference).into()]).await
    }

    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError> {
        self.0
            .flow(&FLOW_BY_ID, &[provider.into(), id.into()])
            .await
    }

    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError> {
        let (inner, flow, report) = (Arc::clone(&self.0), *flow, report.clone());
        let is_new = apart(async move { inner.report(&flow.to_string(), &report).await });
        if is_new.await? {
            self.0.db.wake(Topic::Flows).await;
        }
        Ok(())
    }

    async fn stop(&self, flow: &FlowId, at: DateTime<Utc>) -> Result<(), JournalError> {
        let id = flow.to_string();
        let values = [(&id).into(), at.timestamp_millis().into()];
        if self.0.db.execute(&STOP, &values).await? == 1 {
            self.0.db.wake(Topic::Flows).await;
        }
        Ok(())
    }
}

#[async_trait]
impl Engine for SqlStore {
    async fn enqueue(&self, callout: &Callout) -> Result<Taken, JournalError> {
        let taken = self.0.take(callout).await?;
        if taken == Taken::New {
            self.0.db.wake(Topic::Flows).await;
        }
        Ok(taken)
    }

    async fn next(&self) -> Result<Option<Arc<dyn Lease>>, JournalError> {
        self.0.look_at_clock().await?;
        for _ in 0..MAX_UNREADABLE {
            let began = Instant::now();
            let rows = self.0.db.fetch(&NEXT, &self.0.claim_values()).await?;
            let Some(row) = rows.first() else {
                return Ok(None);
            };
            match self.0.claimed(row, began) {
                Ok(lease) => return Ok(Some(Arc::new(lease))),
                // It waits for a process of the newer version, and the others do not wait for it.
                Err(error) => {
                    let flow = row.text("id")?;
                    tracing::warn!(flow, %error, "a flow waits, since its call-out cannot be read");
                    let values = [
                        (&flow).into(),
                        row.int("epoch")?.into(),
                        UNREADABLE_MS.into(),
                    ];
                    self.0.db.execute(&PUT_OFF, &values).await?;
                }
            }
        }
        Ok(None)
    }

    async fn wait(&self, at_most: Duration) {
        self.0.db.woken(Topic::Flows, at_most).await;
    }

    fn archive(&self) -> Option<&dyn Archive> {
        Some(self)
    }

    async fn status(&self, flow: &FlowId) -> Result<Option<Status>, JournalError> {
        let id = flow.to_string();
        let rows = self.0.db.fetch(&STATUS, &[(&id).into()]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut status = Status::new(*flow, time(row.int("received")?)?);
        let user = row.text_or_null("user_id")?;
        status.user = user
            .map(|user| user.parse::<UserId>().map_err(|_| unexpected()))
            .transpose()?;
        status.done_at = row.int_or_null("done_at")?.map(time).transpose()?;
        status.ending = match row.text_or_null("ending")? {
            Some(ending) => Some(from_json(&ending)?),
            None => Ending::of(&self.entries(flow).await?),
        };
        Ok(Some(status))
    }

    async fn counts(&self) -> Result<Counts, JournalError> {
        let rows = self.0.db.fetch(&COUNT, &[]).await?;
        let row = rows.first().ok_or_else(unexpected)?;
        let count = |column| Ok::<_, JournalError>(u64::try_from(row.int(column)?).unwrap_or(0));
        Ok(Counts {
            open: count("open")?,
            due: count("due")?,
            oldest: row.int_or_null("oldest")?.map(time).transpose()?,
        })
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("db", &self.0.db)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, JournalError> {
    // Not with its source: it may show a value.
    serde_json::to_string(value).map_err(|_| {
        JournalError::new(
            JournalErrorKind::Unavailable,
            "what is to be stored cannot be written as JSON",
        )
    })
}

pub(super) fn from_json<T: DeserializeOwned>(json: &str) -> Result<T, JournalError> {
    serde_json::from_str(json).map_err(|_| {
        JournalError::new(
            JournalErrorKind::Unreadable,
            "a newer version of this library has written to the flow",
        )
    })
}

fn flow_id(row: &Row, column: &str) -> Result<FlowId, JournalError> {
    row.text(column)?.parse().map_err(|_| unexpected())
}

pub(super) fn time(millis: i64) -> Result<DateTime<Utc>, JournalError> {
    DateTime::from_timestamp_millis(millis).ok_or_else(unexpected)
}

/// Returns a duration in milliseconds, and at most ten years.
pub(super) fn millis(duration: Duration) -> i64 {
    const MOST: i64 = 10 * 366 * 24 * 3600 * 1000;
    i64::try_from(duration.as_millis()).map_or(MOST, |millis| millis.min(MOST))
}

/// Returns how long it is until this time by the clock of this process, in milliseconds.
pub(super) fn millis_until(time: DateTime<Utc>) -> i64 {
    let now = DateTime::<Utc>::from(SystemTime::now());
    millis((time - now).to_std().unwrap_or_default())
}

/// A day longer than any pass lives.
const PASSES_MS: i64 = 31 * 24 * 3600 * 1000;

/// The kinds of rows of [`READ_FLOW`].
const FLOW: i64 = 0;
const ENTRY: i64 = 1;

/// As in the memory journal.
const MAX_REPORTS: usize = 256;

/// How often the database's clock is looked at, and so by how much longer a flow may wait after it was set back.
const CLOCK: Duration = Duration::from_secs(10);

/// A clock that is corrected by less than this is let be.
const TOLERANCE_MS: i64 = 2000;

/// How many flows in a row a call puts off.
const MAX_UNREADABLE: usize = 16;

/// How long a flow waits that only a newer version can read.
const UNREADABLE_MS: i64 = 30_000;

// In a condition the clock stands in a query of its own, so that it is read once and an index is used.

static INSERT: Sql = Sql::new(
    "INSERT INTO postduif_flow
        (id, user_id, callout, epoch, takeovers, due, again, touched, received)
     SELECT $1, $2, $3, 0, 0, {now}, 0, {now}, $4
     WHERE $5 > (
        SELECT count(*) FROM (
            SELECT 1 FROM postduif_flow WHERE done_at IS NULL LIMIT $5
        ) AS known
     )
     ON CONFLICT (id) DO NOTHING",
);

static IS_KNOWN: Sql = Sql::new("SELECT id FROM postduif_flow WHERE id = $1");

/// Finds and claims in one statement, a flow whose lease has expired as one that is due.
static NEXT: Sql = Sql::new(
    "WITH found AS MATERIALIZED (
        SELECT id FROM postduif_flow
        WHERE done_at IS NULL AND due <= (SELECT {now})
        ORDER BY due LIMIT 1{skip}
     )
     UPDATE postduif_flow
     SET takeovers = takeovers + CASE WHEN holder IS NULL THEN 0 ELSE 1 END,
         holder = $1, epoch = epoch + 1, due = {now} + $2, touched = {now}, again = 0
     WHERE id IN (SELECT id FROM found)
     RETURNING id, callout, memo, epoch, takeovers",
);

static CLAIM: Sql = Sql::new(
    "UPDATE postduif_flow
     SET takeovers = takeovers + CASE WHEN holder IS NULL THEN 0 ELSE 1 END,
         holder = $1, epoch = epoch + 1, due = {now} + $2, touched = {now}, again = 0
     WHERE id = $3 AND (holder IS NULL OR due <= (SELECT {now}))
     RETURNING id, callout, memo, epoch, takeovers",
);

static PUT_OFF: Sql = Sql::new(
    "UPDATE postduif_flow SET holder = NULL, due = {now} + $3, touched = {now}
     WHERE id = $1 AND epoch = $2",
);

static FREE_ALL: Sql =
    Sql::new("UPDATE postduif_flow SET due = {now}, touched = {now} WHERE holder IS NOT NULL");

/// A query of everything that is stored for the flows that meet a condition.
macro_rules! everything_of {
    ($flows:literal) => {
        Sql::new(concat!(
            "WITH those AS (SELECT id, epoch, stop_at FROM postduif_flow WHERE ",
            $flows,
            ")
             SELECT id AS flow, CAST(0 AS BIGINT) AS kind, epoch AS no, stop_at AS at, NULL AS body FROM those
             UNION ALL
             SELECT flow, 1, no, at, body FROM postduif_entry WHERE flow IN (SELECT id FROM those)
             UNION ALL
             SELECT flow, 2, no, NULL, body FROM postduif_report WHERE flow IN (SELECT id FROM those)
             ORDER BY flow, kind, no",
        ))
    };
}

static READ_FLOW: Sql = everything_of!("id = $1");

static READ_CLAIMED: Sql = everything_of!("id = $1 AND holder IS NOT NULL");

static READ_USER: Sql = everything_of!("user_id = $1 AND received > (SELECT {now}) - $2");

static FLOW_OF: Sql = Sql::new("SELECT flow FROM postduif_reference WHERE reference = $1");

static FLOW_BY_ID: Sql =
    Sql::new("SELECT flow FROM postduif_vendor_id WHERE provider = $1 AND id = $2");

static LOCK_FLOW: Sql = Sql::new("SELECT id FROM postduif_flow WHERE id = $1{lock}");

static READ_REPORTS: Sql =
    Sql::new("SELECT no, body FROM postduif_report WHERE flow = $1 ORDER BY no");

static DELETE_REPORT: Sql = Sql::new("DELETE FROM postduif_report WHERE flow = $1 AND no = $2");

static INSERT_REPORT: Sql =
    Sql::new("INSERT INTO postduif_report (flow, no, body) VALUES ($1, $2, $3)");

/// A flow that is being run is due again once it is given back.
static MAKE_DUE: Sql = Sql::new(
    "UPDATE postduif_flow
     SET again = 1,
         due = CASE WHEN holder IS NULL AND due > (SELECT {now}) THEN {now} ELSE due END
     WHERE id = $1 AND done_at IS NULL",
);

static STOP: Sql = Sql::new(
    "UPDATE postduif_flow
     SET stop_at = $2, again = 1,
         due = CASE WHEN holder IS NULL AND due > (SELECT {now}) THEN {now} ELSE due END
     WHERE id = $1 AND stop_at IS NULL",
);

static STATUS: Sql =
    Sql::new("SELECT user_id, received, done_at, ending FROM postduif_flow WHERE id = $1");

static COUNT: Sql = Sql::new(
    "SELECT count(*) AS open, min(received) AS oldest,
            count(CASE WHEN due <= (SELECT {now}) THEN 1 END) AS due
     FROM postduif_flow WHERE done_at IS NULL",
);

static SEE_CLOCK: Sql = Sql::new("UPDATE postduif_clock SET at = {now} WHERE at <= (SELECT {now})");

static READ_CLOCK: Sql = Sql::new("SELECT at, {now} AS now FROM postduif_clock{lock}");

static SET_CLOCK: Sql = Sql::new("UPDATE postduif_clock SET at = {now}");

/// A flow without a holder may run too early. A holder keeps its flow for its whole lease, since it may have extended it
/// after the clock was set.
static MOVE_FLOWS: Sql = Sql::new(
    "UPDATE postduif_flow
     SET due = CASE
             WHEN holder IS NULL THEN due - $1
             WHEN touched > (SELECT {now}) THEN {now} + (due - touched)
             ELSE due
         END,
         touched = CASE WHEN touched > (SELECT {now}) THEN {now} ELSE touched END
     WHERE done_at IS NULL AND (due > (SELECT {now}) OR touched > (SELECT {now}))",
);

static MOVE_LOCKS: Sql = Sql::new(
    "UPDATE postduif_user_lock SET until = {now} + (until - touched), touched = {now}
     WHERE touched > (SELECT {now})",
);
