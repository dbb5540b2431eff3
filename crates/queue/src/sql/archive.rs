//! Events, the audit, and what operators do, in the tables.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use postduif_core::{
    Guid, async_trait,
    directory::{Callout, FlowId, UserId, Verdict},
};
use postduif_onboarding::{
    Ending, Entries, Entry, EventSource, JournalError, PendingEvent, Record,
};

use super::{
    db::{Row, Sql, Topic, Tx, Value, apart, unexpected},
    store::{Inner, SqlStore, from_json, millis, time, to_json},
};
use crate::{
    Status,
    archive::{
        Archive, AuditAction, AuditLine, FlowDetails, FlowEvent, FlowEventType, FlowFilter,
        FlowSummary, Forgotten, Operator, Retention, Retried, Swept, UserExport, audit::lines,
    },
};

/// Stores what follows from the end of a flow, once.
pub(super) async fn ended(
    tx: &mut Tx,
    callout: &Callout,
    ending: &Ending,
) -> Result<(), JournalError> {
    archive(tx, callout, ending, true).await
}

async fn archive(
    tx: &mut Tx,
    callout: &Callout,
    ending: &Ending,
    is_news: bool,
) -> Result<(), JournalError> {
    let flow = callout.flow().to_string();
    let reason = ending.reason().map(|reason| reason.as_str());
    let keep = keep_until(ending).map(|until| until.timestamp_millis());
    let values = [(&flow).into(), reason.into(), keep.into()];
    if tx.execute(&ARCHIVE, &values).await? == 0 {
        return Ok(());
    }
    let entries = entries(tx, callout.flow()).await?;
    for line in lines(callout, &entries, ending) {
        insert_line(tx, &line).await?;
    }
    if is_news {
        insert_event(tx, &FlowEvent::ended(callout, ending, now())).await?;
    }
    Ok(())
}

/// Stores that a flow needs a person, if an entry that was just appended says so. Returns whether it did.
pub(super) async fn appended(
    tx: &mut Tx,
    callout: &Callout,
    record: &Record,
) -> Result<bool, JournalError> {
    if !matches!(record.entry, Entry::Resumed { .. } | Entry::Unseen { .. }) {
        return Ok(false);
    }
    let ending = Ending::of(&entries(tx, callout.flow()).await?);
    let Some(ending) = ending.filter(|ending| ending.may_be_usable_until().is_some()) else {
        return Ok(false);
    };
    let kind = FlowEventType::PassMayBeUsable;
    insert_event(tx, &FlowEvent::new(kind, callout, Some(&ending), now())).await?;
    Ok(true)
}

/// Returns until when the ids of the flow's passes are needed.
fn keep_until(ending: &Ending) -> Option<DateTime<Utc>> {
    let pass = ending.pass.as_ref();
    let pass = pass.filter(|pass| !pass.revoked() && !pass.expired());
    // Graph states an expiry with every pass. Without one, the longest life of a pass counts.
    let pass = pass.map(|pass| pass.valid_until.unwrap_or_else(|| now() + LONGEST_PASS));
    pass.max(ending.unseen_until)
}

async fn entries(tx: &mut Tx, flow: FlowId) -> Result<Entries, JournalError> {
    let id = flow.to_string();
    let mut entries = Entries::new(flow);
    for row in tx.fetch(&READ_ENTRIES, &[(&id).into()]).await? {
        entries.records.push(from_json(&row.text("body")?)?);
    }
    if let Some(row) = tx.fetch(&READ_STOP, &[(&id).into()]).await?.first() {
        entries.stop = row.int_or_null("stop_at")?.map(time).transpose()?;
    }
    Ok(entries)
}

async fn insert_event(tx: &mut Tx, event: &FlowEvent) -> Result<(), JournalError> {
    let (id, flow, body) = (event.id(), event.data.flow.to_string(), to_json(event)?);
    let values = [
        (&id).into(),
        (&flow).into(),
        (&body).into(),
        event.timestamp.timestamp_millis().into(),
    ];
    tx.execute(&INSERT_EVENT, &values).await.map(drop)
}

async fn insert_line(tx: &mut Tx, line: &AuditLine) -> Result<(), JournalError> {
    let flow = line.flow.map(|flow| flow.to_string());
    let user = line.user.map(|user| user.to_string());
    let body = to_json(line)?;
    let values = [
        (&line.id).into(),
        line.at.timestamp_millis().into(),
        flow.as_deref().into(),
        user.as_deref().into(),
        (&body).into(),
    ];
    tx.execute(&INSERT_LINE, &values).await.map(drop)
}

#[async_trait]
impl EventSource for SqlStore {
    async fn take(&self, at_most: Duration) -> Result<Option<PendingEvent>, JournalError> {
        let rows = self
            .0
            .db
            .fetch(&TAKE_EVENT, &[millis(at_most).into()])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut event =
            PendingEvent::new(row.text("id")?, time(row.int("at")?)?, row.text("body")?);
        event.tries = u32::try_from(row.int("tries")? - 1).unwrap_or_default();
        Ok(Some(event))
    }

    async fn posted(&self, id: &str) -> Result<(), JournalError> {
        self.0.db.execute(&POSTED, &[id.into()]).await.map(drop)
    }

    async fn postpone(&self, id: &str, pause: Duration) -> Result<(), JournalError> {
        let values = [id.into(), millis(pause).into()];
        self.0.db.execute(&POSTPONE, &values).await.map(drop)
    }

    async fn wait(&self, at_most: Duration) {
        self.0.db.woken(Topic::Events, at_most).await;
    }
}

#[async_trait]
impl Archive for SqlStore {
    async fn flows(
        &self,
        filter: &FlowFilter,
        after: Option<&FlowId>,
        limit: usize,
    ) -> Result<Vec<FlowSummary>, JournalError> {
        let user = filter.user.map(|user| user.to_string());
        let after = after.map(ToString::to_string);
        let values = [
            i64::from(filter.failed).into(),
            i64::from(filter.open).into(),
            user.as_deref().into(),
            filter.since.map(|since| since.timestamp_millis()).into(),
            after.as_deref().into(),
            limited(limit).into(),
        ];
        let rows = self.0.db.fetch(&LIST, &values).await?;
        rows.iter().map(summary).collect()
    }

    async fn flow(&self, flow: &FlowId) -> Result<Option<FlowDetails>, JournalError> {
        let id = flow.to_string();
        let rows = self.0.db.fetch(&SHOW, &[(&id).into()]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut summary = summary(row)?;
        let entries = postduif_onboarding::Journal::entries(self, flow).await?;
        if summary.status.ending.is_none() {
            summary.status.ending = Ending::of(&entries);
        }
        let mut details = FlowDetails::new(summary, entries);
        details.retried_as = flow_or_null(row, "retried_as")?;
        details.due_at = row.int_or_null("due")?.map(time).transpose()?;
        Ok(Some(details))
    }

    async fn retry(
        &self,
        flow: &FlowId,
        by: &Operator,
        at: DateTime<Utc>,
    ) -> Result<Retried, JournalError> {
        let (store, flow, by) = (self.clone(), *flow, by.clone());
        apart(async move { store.retry_apart(&flow, &by, at).await }).await
    }

    async fn export(
        &self,
        user: &UserId,
        by: &Operator,
        at: DateTime<Utc>,
    ) -> Result<UserExport, JournalError> {
        let (store, user, by) = (self.clone(), *user, by.clone());
        apart(async move { store.export_apart(&user, &by, at).await }).await
    }

    async fn forget(
        &self,
        user: &UserId,
        by: &Operator,
        at: DateTime<Utc>,
    ) -> Result<Forgotten, JournalError> {
        let (store, user, by) = (self.clone(), *user, by.clone());
        apart(async move { store.forget_apart(&user, &by, at).await }).await
    }

    async fn audit(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AuditLine>, JournalError> {
        let values = [
            from.timestamp_millis().into(),
            to.timestamp_millis().into(),
            after.into(),
            limited(limit).into(),
        ];
        let rows = self.0.db.fetch(&AUDIT, &values).await?;
        rows.iter()
            .map(|row| from_json(&row.text("body")?))
            .collect()
    }

    async fn attention(
        &self,
        callout: &Callout,
        what: FlowEventType,
        at: DateTime<Utc>,
    ) -> Result<(), JournalError> {
        let (store, callout) = (self.clone(), callout.clone());
        apart(async move { store.attention_apart(&callout, what, at).await }).await
    }

    async fn sweep(&self, retention: &Retention) -> Result<Option<Swept>, JournalError> {
        let (store, retention) = (self.clone(), *retention);
        apart(async move { store.sweep_apart(&retention).await }).await
    }
}

impl SqlStore {
    async fn retry_apart(
        &self,
        flow: &FlowId,
        by: &Operator,
        at: DateTime<Utc>,
    ) -> Result<Retried, JournalError> {
        let old = flow.to_string();
        let mut tx = self.0.db.begin().await?;
        // Two operators take turns.
        tx.fetch(&LOCK, &[(&old).into()]).await?;
        let rows = tx.fetch(&SHOW, &[(&old).into()]).await?;
        let callout = match rows.first() {
            None => Err(Retried::Unknown),
            Some(row) => retryable(row)?,
        };
        let callout = match callout {
            Ok(user) => {
                let new = FlowId::from(Guid::random());
                Callout::new(new, user, None, at)
            }
            Err(refused) => {
                tx.rollback().await?;
                return Ok(refused);
            }
        };
        let new = callout.flow();
        let user = callout.user().map(|user| user.to_string());
        let (id, json) = (new.to_string(), to_json(&callout)?);
        let values = [
            (&id).into(),
            user.as_deref().into(),
            (&json).into(),
            at.timestamp_millis().into(),
            (&old).into(),
        ];
        tx.execute(&INSERT_RETRY, &values).await?;
        let mut line = AuditLine::by(by, at, AuditAction::Retried);
        line.flow = Some(new);
        line.user = callout.user();
        line.retry_of = Some(*flow);
        insert_line(&mut tx, &line).await?;
        tx.commit().await?;
        self.0.db.wake(Topic::Flows).await;
        Ok(Retried::Started(new))
    }

    async fn export_apart(
        &self,
        user: &UserId,
        by: &Operator,
        at: DateTime<Utc>,
    ) -> Result<UserExport, JournalError> {
        let mut export = UserExport::new(*user);
        let filter = FlowFilter::new().of_user(*user);
        let listed = self.flows(&filter, None, MAX_LIST).await?;
        export.truncated = listed.len() >= MAX_LIST;
        for summary in listed {
            export.flows.extend(self.flow(&summary.status.flow).await?);
        }
        let mut line = AuditLine::by(by, at, AuditAction::Exported);
        line.user = Some(*user);
        let mut tx = self.0.db.begin().await?;
        insert_line(&mut tx, &line).await?;
        let id = user.to_string();
        let rows = tx
            .fetch(&AUDIT_OF_USER, &[(&id).into(), (MAX_EXPORT + 1).into()])
            .await?;
        tx.commit().await?;
        let most = usize::try_from(MAX_EXPORT).unwrap_or(usize::MAX);
        export.truncated |= rows.len() > most;
        for row in rows.iter().take(most).rev() {
            export.audit.push(from_json(&row.text("body")?)?);
        }
        Ok(export)
    }

    async fn forget_apart(
        &self,
        user: &UserId,
        by: &Operator,
        at: DateTime<Utc>,
    ) -> Result<Forgotten, JournalError> {
        let id = user.to_string();
        let mut line = AuditLine::by(by, at, AuditAction::Forgotten);
        line.user = Some(*user);
        let mut tx = self.0.db.begin().await?;
        tx.execute(&FORGET, &[(&id).into()]).await?;
        insert_line(&mut tx, &line).await?;
        tx.commit().await?;
        let mut emptied = 0;
        for _ in 0..MAX_BATCHES {
            let batch = self.0.empty(&EMPTIABLE_OF_USER, &[(&id).into()]).await?;
            emptied += batch;
            if batch < BATCH {
                break;
            }
        }
        let rows = self.0.db.fetch(&COUNT_OF_USER, &[(&id).into()]).await?;
        let later = rows.first().ok_or_else(unexpected)?.int("flows")?;
        Ok(Forgotten::new(
            emptied,
            u64::try_from(later).unwrap_or_default(),
        ))
    }

    async fn attention_apart(
        &self,
        callout: &Callout,
        what: FlowEventType,
        at: DateTime<Utc>,
    ) -> Result<(), JournalError> {
        let mut tx = self.0.db.begin().await?;
        insert_event(&mut tx, &FlowEvent::new(what, callout, None, at)).await?;
        tx.commit().await?;
        self.0.db.wake(Topic::Events).await;
        Ok(())
    }

    async fn sweep_apart(&self, retention: &Retention) -> Result<Option<Swept>, JournalError> {
        if self.0.db.execute(&TAKE_TURN, &[TURN_MS.into()]).await? == 0 {
            return Ok(None);
        }
        let mut swept = Swept::default();
        let audited = self.0.catch_up().await?;
        let keep = millis(retention.flows).into();
        let emptied = self.0.empty(&EMPTIABLE, &[keep]).await?;
        let keep = millis(retention.audit).into();
        let removed = self.0.db.execute(&REMOVE_FLOWS, &[keep]).await?;
        let audit = self.0.db.execute(&REMOVE_LINES, &[keep]).await?;
        let keep = millis(retention.events).into();
        let events = self.0.db.fetch(&REMOVE_EVENTS, &[keep]).await?;
        for row in &events {
            let is_posted = row.int_or_null("due")?.is_none();
            swept.unposted += u64::from(!is_posted && row.int("tries")? > 0);
        }
        let events = events.len() as u64;
        let rows = u64::try_from(ROWS).unwrap_or_default();
        swept.more = audited >= BATCH
            || emptied >= BATCH
            || [removed, audit, events].iter().any(|count| *count >= rows);
        (swept.audited, swept.emptied) = (audited, emptied);
        (swept.removed, swept.audit, swept.events) = (removed, audit, events);
        let pause = if swept.more { 0 } else { PAUSE_MS };
        self.0.db.execute(&END_TURN, &[pause.into()]).await?;
        Ok(Some(swept))
    }
}

impl Inner {
    /// Writes what a program of an older version has left out, and returns the number of flows.
    async fn catch_up(&self) -> Result<u64, JournalError> {
        let mut tx = self.db.begin().await?;
        let rows = tx.fetch(&LEFT_OUT, &[]).await?;
        let mut count = 0;
        for row in rows {
            // One of a newer version is left to that.
            let Ok(callout) = from_json::<Callout>(&row.text("callout")?) else {
                continue;
            };
            let Ok(ending) = from_json::<Ending>(&row.text("ending")?) else {
                continue;
            };
            let age = now() - time(row.int("done_at")?)?;
            let is_news = age.to_std().is_ok_and(|age| age < NEWS);
            archive(&mut tx, &callout, &ending, is_news).await?;
            count += 1;
        }
        tx.commit().await?;
        if count > 0 {
            self.db.wake(Topic::Events).await;
        }
        Ok(count)
    }

    /// Empties a batch of flows that a statement returns, and returns their number.
    async fn empty(&self, sql: &'static Sql, values: &[Value<'_>]) -> Result<u64, JournalError> {
        let mut tx = self.db.begin().await?;
        let rows = tx.fetch(sql, values).await?;
        let mut count = 0;
        for row in rows {
            let flow = row.text("id")?;
            let id = flow.parse::<FlowId>().map_err(|_| unexpected())?;
            let received = time(row.int("received")?)?;
            let callout = Callout::without_user(id, None, received);
            // One of a newer version is left to that.
            let Ok(mut ending) = from_json::<Ending>(&row.text("ending")?) else {
                continue;
            };
            (ending.receipt, ending.graph, ending.detail) = (None, None, None);
            (ending.pass, ending.unseen_until, ending.code) = (None, None, None);
            ending.steps.clear();
            let resumed = resumed(ending.verdict, ending.heard, received)?;
            let (callout, ending) = (to_json(&callout)?, to_json(&ending)?);
            let flow = Value::from(&flow);
            tx.execute(&EMPTY_ENTRIES, &[flow]).await?;
            tx.execute(&EMPTY_REPORTS, &[flow]).await?;
            tx.execute(&EMPTY_REFERENCES, &[flow]).await?;
            tx.execute(&EMPTY_VENDOR_IDS, &[flow]).await?;
            tx.execute(&EMPTY_EVENTS, &[flow]).await?;
            let at = received.timestamp_millis().into();
            tx.execute(&INSERT_RESUMED, &[flow, at, (&resumed).into()])
                .await?;
            let values = [flow, (&callout).into(), (&ending).into()];
            tx.execute(&EMPTY_FLOW, &values).await?;
            count += 1;
        }
        tx.commit().await?;
        Ok(count)
    }
}

/// Returns the one entry of a flow that is empty: whoever claims it once more finds that it has ended.
fn resumed(verdict: Verdict, heard: bool, at: DateTime<Utc>) -> Result<String, JournalError> {
    let entry = serde_json::json!({"resumed": {"verdict": verdict, "heard": heard}});
    let entry = serde_json::from_value::<Entry>(entry).map_err(|_| unexpected())?;
    to_json(&Record::new(at, entry))
}

/// Returns the user of a flow that may be retried, else why it may not.
fn retryable(row: &Row) -> Result<Result<UserId, Retried>, JournalError> {
    if let Some(retry) = flow_or_null(row, "retried_as")? {
        return Ok(Err(Retried::Already(retry)));
    }
    let summary = summary(row)?;
    let status = summary.status;
    let (Some(_), Some(ending)) = (status.done_at, status.ending) else {
        return Ok(Err(Retried::Open));
    };
    if ending.verdict == Verdict::Completed {
        return Ok(Err(Retried::Completed));
    }
    Ok(status.user.ok_or(Retried::NoUser))
}

fn summary(row: &Row) -> Result<FlowSummary, JournalError> {
    let flow = row.text("id")?.parse().map_err(|_| unexpected())?;
    let mut status = Status::new(flow, time(row.int("received")?)?);
    let user = row.text_or_null("user_id")?.map(|user| user.parse());
    status.user = user.transpose().map_err(|_| unexpected())?;
    status.done_at = row.int_or_null("done_at")?.map(time).transpose()?;
    let ending = row.text_or_null("ending")?;
    status.ending = ending.map(|ending| from_json(&ending)).transpose()?;
    Ok(FlowSummary::new(status, flow_or_null(row, "retry_of")?))
}

fn flow_or_null(row: &Row, column: &str) -> Result<Option<FlowId>, JournalError> {
    let flow = row.text_or_null(column)?.map(|flow| flow.parse());
    flow.transpose().map_err(|_| unexpected())
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit.clamp(1, MAX_LIST)).unwrap_or(1)
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// The most elements of a list.
const MAX_LIST: usize = 1000;

/// The most lines of an export.
const MAX_EXPORT: i64 = 10_000;

/// How many flows are emptied in a transaction, within the time of a call.
const BATCH: u64 = 50;

const MAX_BATCHES: usize = 20;

/// How many rows a statement of the clean-up removes.
const ROWS: i64 = 500;

/// The longest life of a pass.
const LONGEST_PASS: Duration = Duration::from_secs(30 * 24 * 3600);

/// The end of a flow is no news later than that: there are no events of what happened before a store had them.
const NEWS: Duration = Duration::from_secs(24 * 3600);

/// How long a process has for its turn, and then for the next one.
const TURN_MS: i64 = 2 * 60 * 1000;
const PAUSE_MS: i64 = 3600 * 1000;

/// The tables and columns. A program that knows none of them goes on: nothing it writes needs them, and
/// [`Archive::sweep`] adds what it leaves out.
pub(super) static TABLES: [Sql; 19] = [
    // 0 until its audit is written, then 1, and 2 once it is emptied.
    Sql::new("ALTER TABLE postduif_flow ADD COLUMN archived BIGINT NOT NULL DEFAULT 0"),
    // Why it failed.
    Sql::new("ALTER TABLE postduif_flow ADD COLUMN reason TEXT"),
    // Until when the ids of its passes are needed.
    Sql::new("ALTER TABLE postduif_flow ADD COLUMN keep_until BIGINT"),
    // When it was ordered to be emptied.
    Sql::new("ALTER TABLE postduif_flow ADD COLUMN forget_at BIGINT"),
    Sql::new("ALTER TABLE postduif_flow ADD COLUMN retry_of TEXT"),
    Sql::new(
        "CREATE UNIQUE INDEX postduif_flow_retry ON postduif_flow (retry_of) WHERE retry_of IS NOT NULL",
    ),
    Sql::new("CREATE INDEX postduif_flow_received ON postduif_flow (received, id)"),
    Sql::new(
        "CREATE INDEX postduif_flow_archived ON postduif_flow (archived, done_at) WHERE done_at IS NOT NULL",
    ),
    // `due` is when it is to be posted, and NULL once it was.
    Sql::new(
        "CREATE TABLE postduif_event (
            id TEXT PRIMARY KEY,
            flow TEXT NOT NULL,
            body TEXT NOT NULL,
            at BIGINT NOT NULL,
            due BIGINT,
            tries BIGINT NOT NULL
        )",
    ),
    Sql::new("CREATE INDEX postduif_event_due ON postduif_event (due) WHERE due IS NOT NULL"),
    Sql::new("CREATE INDEX postduif_event_at ON postduif_event (at)"),
    Sql::new("CREATE INDEX postduif_event_flow ON postduif_event (flow)"),
    Sql::new(
        "CREATE TABLE postduif_audit (
            id TEXT PRIMARY KEY,
            at BIGINT NOT NULL,
            flow TEXT,
            user_id TEXT,
            body TEXT NOT NULL
        )",
    ),
    Sql::new("CREATE INDEX postduif_audit_at ON postduif_audit (at, id)"),
    Sql::new("CREATE INDEX postduif_audit_user ON postduif_audit (user_id, at)"),
    Sql::new("{define_refuse}"),
    Sql::new("CREATE TRIGGER postduif_audit_kept BEFORE UPDATE ON postduif_audit {refuse}"),
    // Who has the turn to do what one process at a time does, and until when.
    Sql::new("CREATE TABLE postduif_turn (name TEXT PRIMARY KEY, until BIGINT NOT NULL)"),
    Sql::new("INSERT INTO postduif_turn (name, until) VALUES ('sweep', 0)"),
];

static ARCHIVE: Sql = Sql::new(
    "UPDATE postduif_flow SET archived = 1, reason = $2, keep_until = $3
     WHERE id = $1 AND archived = 0 AND done_at IS NOT NULL",
);

static READ_ENTRIES: Sql = Sql::new("SELECT body FROM postduif_entry WHERE flow = $1 ORDER BY no");

static READ_STOP: Sql = Sql::new("SELECT stop_at FROM postduif_flow WHERE id = $1");

static INSERT_EVENT: Sql = Sql::new(
    "INSERT INTO postduif_event (id, flow, body, at, due, tries) VALUES ($1, $2, $3, $4, {now}, 0)
     ON CONFLICT (id) DO NOTHING",
);

static INSERT_LINE: Sql = Sql::new(
    "INSERT INTO postduif_audit (id, at, flow, user_id, body) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (id) DO NOTHING",
);

static TAKE_EVENT: Sql = Sql::new(
    // One that is due far ahead is of a clock that was set back.
    "WITH found AS MATERIALIZED (
        SELECT id FROM postduif_event
        WHERE due IS NOT NULL AND (due <= (SELECT {now}) OR due > (SELECT {now}) + 7200000)
        ORDER BY due LIMIT 1{skip}
     )
     UPDATE postduif_event SET due = {now} + $1, tries = tries + 1
     WHERE id IN (SELECT id FROM found)
     RETURNING id, at, body, tries",
);

/// It stays for a while, so that the same event is not made again.
static POSTED: Sql = Sql::new("UPDATE postduif_event SET due = NULL WHERE id = $1");

static POSTPONE: Sql =
    Sql::new("UPDATE postduif_event SET due = {now} + $2 WHERE id = $1 AND due IS NOT NULL");

static LIST: Sql = Sql::new(
    "SELECT id, user_id, received, done_at, ending, retry_of FROM postduif_flow
     WHERE ($1 = 0 OR reason IS NOT NULL)
       AND ($2 = 0 OR done_at IS NULL)
       AND (CAST($3 AS TEXT) IS NULL OR user_id = $3)
       AND (CAST($4 AS BIGINT) IS NULL OR received >= $4)
       AND (CAST($5 AS TEXT) IS NULL
            OR (received, id) < (SELECT received, id FROM postduif_flow WHERE id = $5))
     ORDER BY received DESC, id DESC LIMIT $6",
);

static SHOW: Sql = Sql::new(
    "SELECT id, user_id, received, done_at, due, ending, retry_of,
            (SELECT id FROM postduif_flow AS retry WHERE retry.retry_of = postduif_flow.id) AS retried_as
     FROM postduif_flow WHERE id = $1",
);

static LOCK: Sql = Sql::new("SELECT id FROM postduif_flow WHERE id = $1{lock}");

static INSERT_RETRY: Sql = Sql::new(
    "INSERT INTO postduif_flow
        (id, user_id, callout, epoch, takeovers, due, again, touched, received, retry_of)
     VALUES ($1, $2, $3, 0, 0, {now}, 0, {now}, $4, $5)",
);

static AUDIT: Sql = Sql::new(
    "SELECT body FROM postduif_audit
     WHERE at >= $1 AND at < $2
       AND (CAST($3 AS TEXT) IS NULL
            OR (at, id) > (SELECT at, id FROM postduif_audit WHERE id = $3))
     ORDER BY at, id LIMIT $4",
);

static AUDIT_OF_USER: Sql = Sql::new(
    "SELECT body FROM postduif_audit WHERE user_id = $1 ORDER BY at DESC, id DESC LIMIT $2",
);

static FORGET: Sql =
    Sql::new("UPDATE postduif_flow SET forget_at = {now} WHERE user_id = $1 AND forget_at IS NULL");

static COUNT_OF_USER: Sql =
    Sql::new("SELECT count(*) AS flows FROM postduif_flow WHERE user_id = $1");

static EMPTIABLE: Sql = Sql::new(
    "SELECT id, received, ending FROM postduif_flow
     WHERE archived = 1 AND done_at IS NOT NULL
       AND (done_at < (SELECT {now}) - $1 OR forget_at IS NOT NULL)
       AND (keep_until IS NULL OR keep_until < (SELECT {now}))
     ORDER BY done_at LIMIT 50{skip}",
);

static EMPTIABLE_OF_USER: Sql = Sql::new(
    "SELECT id, received, ending FROM postduif_flow
     WHERE archived = 1 AND done_at IS NOT NULL AND user_id = $1
       AND (keep_until IS NULL OR keep_until < (SELECT {now}))
     ORDER BY done_at LIMIT 50{skip}",
);

static EMPTY_ENTRIES: Sql = Sql::new("DELETE FROM postduif_entry WHERE flow = $1");
static EMPTY_REPORTS: Sql = Sql::new("DELETE FROM postduif_report WHERE flow = $1");
static EMPTY_REFERENCES: Sql = Sql::new("DELETE FROM postduif_reference WHERE flow = $1");
static EMPTY_VENDOR_IDS: Sql = Sql::new("DELETE FROM postduif_vendor_id WHERE flow = $1");
static EMPTY_EVENTS: Sql = Sql::new("DELETE FROM postduif_event WHERE flow = $1 AND due IS NULL");

static INSERT_RESUMED: Sql =
    Sql::new("INSERT INTO postduif_entry (flow, no, at, body) VALUES ($1, 0, $2, $3)");

static EMPTY_FLOW: Sql = Sql::new(
    "UPDATE postduif_flow SET archived = 2, user_id = NULL, callout = $2, ending = $3, memo = NULL WHERE id = $1",
);

static LEFT_OUT: Sql = Sql::new(
    "SELECT id, callout, ending, done_at FROM postduif_flow
     WHERE archived = 0 AND done_at IS NOT NULL AND ending IS NOT NULL ORDER BY done_at LIMIT 50{skip}",
);

static REMOVE_FLOWS: Sql = Sql::new(
    "DELETE FROM postduif_flow WHERE id IN (
        SELECT id FROM postduif_flow
        WHERE archived = 2 AND done_at < (SELECT {now}) - $1 ORDER BY done_at LIMIT 500
     )",
);

static REMOVE_LINES: Sql = Sql::new(
    "DELETE FROM postduif_audit WHERE id IN (
        SELECT id FROM postduif_audit WHERE at < (SELECT {now}) - $1 ORDER BY at LIMIT 500
     )",
);

static REMOVE_EVENTS: Sql = Sql::new(
    "DELETE FROM postduif_event WHERE id IN (
        SELECT id FROM postduif_event WHERE at < (SELECT {now}) - $1 ORDER BY at LIMIT 500
     ) RETURNING due, tries",
);

static TAKE_TURN: Sql = Sql::new(
    "UPDATE postduif_turn SET until = {now} + $1
     WHERE name = 'sweep' AND (until <= (SELECT {now}) OR until > (SELECT {now}) + 7200000)",
);

static END_TURN: Sql = Sql::new("UPDATE postduif_turn SET until = {now} + $1 WHERE name = 'sweep'");
