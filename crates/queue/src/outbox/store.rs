//! The statements over the table of messages.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Delivery, DeliveryReport, DeliveryStatus, ExposeSecret as _, Message, Receipt, Reference,
    SecretString, SendError,
};
use postduif_onboarding::JournalError;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::Instant};

use super::{
    Enqueued, Keys, MessageStatus, OutboxError, OutboxErrorKind, SealedMessage, SendFailure, body,
    metered,
};
use crate::sql::db::{Db, Row, Sql, Topic, Tx, Value, apart};

/// The messages of a store. Clones share it.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<Inner>);

struct Inner {
    db: Db,
    keys: Option<Keys>,
    options: Options,
    /// The takes whose messages are in the hands of this process.
    active: Mutex<HashSet<String>>,
    /// Changes with each message that ends in this process.
    ended: watch::Sender<()>,
    waiting: Mutex<Option<Waiting>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) lease: Duration,
    pub(crate) max_waiting: u64,
    pub(crate) keep: Duration,
}

/// How many messages wait, as last counted.
struct Waiting {
    at: Instant,
    messages: u64,
}

/// Messages that one transaction marked as being sent. Its id is their epoch: an outcome is stored only under it.
pub(crate) struct Take {
    epoch: String,
    since: Instant,
    lease: Duration,
    outbox: Outbox,
}

/// A message that this process sends, or gives back.
pub(crate) struct Taken {
    pub(crate) row: TakenRow,
    pub(crate) message: Message,
}

pub(crate) struct TakenRow {
    pub(crate) key: String,
    reference: String,
    pub(crate) take: Arc<Take>,
    pub(crate) tries: u32,
    fingerprint: Option<Vec<u8>>,
}

impl TakenRow {
    /// Returns the reference for a log, which masks one that may be a number.
    pub(crate) fn reference(&self) -> Option<Reference> {
        self.reference.parse().ok()
    }
}

/// What became of a message that was taken.
pub(crate) enum Outcome {
    Accepted(Receipt),
    NotAccepted(SendError),
    Unknown(SendError),
    /// It was certainly not sent, and is to be sent again.
    Again {
        pause: Duration,
        /// `None` if there was no try.
        error: Option<SendError>,
    },
}

/// A message, and the digest by which it is recognized once it has ended.
type Opened = (Message, Option<Vec<u8>>);

/// What a sweep did.
#[derive(Default)]
pub(crate) struct Swept {
    pub(crate) expired: u64,
    pub(crate) in_doubt: u64,
}

impl Outbox {
    pub(crate) fn new(db: Db, keys: Option<Keys>, options: Options) -> Self {
        Self(Arc::new(Inner {
            db,
            keys,
            options,
            active: Mutex::default(),
            ended: watch::Sender::new(()),
            waiting: Mutex::default(),
        }))
    }

    pub(crate) fn keys(&self) -> Result<&Keys, OutboxError> {
        const MESSAGE: &str =
            "the queue has no keys to seal a message: set them with `QueueBuilder::with_keys`";
        let keys = self.0.keys.as_ref();
        keys.ok_or(OutboxError::new(OutboxErrorKind::Misconfigured, MESSAGE))
    }

    pub(crate) fn lease(&self) -> Duration {
        self.0.options.lease
    }

    /// Stores a message unless one has its key.
    pub(crate) async fn enqueue(
        &self,
        sealed: &SealedMessage,
        message: &Message,
    ) -> Result<Enqueued, OutboxError> {
        static INSERT: Sql = Sql::new(
            "INSERT INTO postduif_message (key, reference, key_id, sealed, not_before, due_at, expires_at)
            VALUES ($1, $2, $3, $4, COALESCE($5, {now}), COALESCE($5, {now}), COALESCE($6, COALESCE($5, {now}) + $7))
            ON CONFLICT DO NOTHING",
        );
        let values = [
            sealed.key().into(),
            sealed.reference().into(),
            sealed.key_id().into(),
            sealed.sealed().into(),
            sealed.not_before.map(|at| at.timestamp_millis()).into(),
            sealed.expires.map(|at| at.timestamp_millis()).into(),
            milliseconds(sealed.lifetime).into(),
        ];
        if let Err(full) = self.has_room().await {
            // A message that is there already needs no room.
            return self.known(sealed.key(), message).await?.ok_or(full);
        }
        let is_new = self.0.db.execute(&INSERT, &values).await? > 0;
        if is_new {
            self.0.db.wake(Topic::Texts).await;
            let now = now();
            return Ok(Enqueued {
                is_new,
                status: MessageStatus::Queued {
                    since: now,
                    next_try: sealed.not_before.unwrap_or(now),
                    last_error: None,
                },
            });
        }
        // Another caller was faster, or the reference is another message's.
        let known = self.known(sealed.key(), message).await?;
        known.ok_or_else(|| {
            metered::conflict();
            OutboxError::new(
                OutboxErrorKind::Conflict,
                "another message has the same reference",
            )
        })
    }

    /// Returns what is known of the message with this key, if it is the same message.
    async fn known(&self, key: &str, message: &Message) -> Result<Option<Enqueued>, OutboxError> {
        let Some(row) = self.row(key).await? else {
            return Ok(None);
        };
        if !self.is_same(&row, key, message)? {
            metered::conflict();
            return Err(OutboxError::new(
                OutboxErrorKind::Conflict,
                "another message has the same key",
            ));
        }
        Ok(Some(Enqueued {
            is_new: false,
            status: self.status_of(key, &row).await?,
        }))
    }

    /// Returns whether a row is of a message with the same recipient, text and options.
    fn is_same(&self, row: &Row, key: &str, message: &Message) -> Result<bool, OutboxError> {
        let keys = self.keys()?;
        let key_id = row.text("key_id")?;
        let closed = || {
            OutboxError::new(
                OutboxErrorKind::Sealed,
                "the message with this key cannot be opened",
            )
        };
        if let Some(sealed) = row.bytes_or_null("sealed")? {
            let reference = row.text("reference")?;
            let plain = keys.open(&key_id, &reference, key, &sealed);
            let plain = plain.map_err(|_| closed())?;
            let stored = body::read(&plain, *message.reference()).ok_or_else(closed)?;
            return Ok(stored == *message);
        }
        let fingerprint = row.bytes_or_null("fingerprint")?.ok_or_else(closed)?;
        let plain = body::write(message).ok_or_else(closed)?;
        let is_same = keys.is_fingerprint(&key_id, plain.expose_secret(), &fingerprint);
        is_same.ok_or_else(closed)
    }

    /// Refuses a message beyond the limit.
    async fn has_room(&self) -> Result<(), OutboxError> {
        let recent = {
            let mut waiting = lock(&self.0.waiting);
            waiting
                .as_mut()
                .filter(|waiting| waiting.at.elapsed() < COUNTED_FOR)
                .map(|waiting| {
                    // So that a burst between two counts is seen.
                    waiting.messages += 1;
                    waiting.messages
                })
        };
        let waiting = match recent {
            Some(waiting) if waiting <= self.0.options.max_waiting => return Ok(()),
            _ => self.depth().await?.0,
        };
        if waiting < self.0.options.max_waiting {
            if let Some(waiting) = &mut *lock(&self.0.waiting) {
                waiting.messages += 1;
            }
            return Ok(());
        }
        Err(OutboxError::new(
            OutboxErrorKind::Full,
            "too many messages wait to be sent",
        ))
    }

    /// Counts the messages that wait, and returns for how long the oldest one has been due.
    pub(crate) async fn depth(&self) -> Result<(u64, Duration), JournalError> {
        static DEPTH: Sql = Sql::new(
            "SELECT COUNT(*) AS waiting, {now} - MIN(not_before) AS age FROM postduif_message
            WHERE state IN ('queued', 'sending')",
        );
        let rows = self.0.db.fetch(&DEPTH, &[]).await?;
        let (messages, age) = match rows.first() {
            Some(row) => (row.int("waiting")?, row.int_or_null("age")?),
            None => (0, None),
        };
        let messages = u64::try_from(messages).unwrap_or_default();
        *lock(&self.0.waiting) = Some(Waiting {
            at: Instant::now(),
            messages,
        });
        Ok((messages, duration(age.unwrap_or_default())))
    }

    /// Returns what is known of the message with this key.
    pub(crate) async fn status(&self, key: &str) -> Result<Option<MessageStatus>, OutboxError> {
        match self.row(key).await? {
            Some(row) => Ok(Some(self.status_of(key, &row).await?)),
            None => Ok(None),
        }
    }

    /// Waits until a message has ended, and for at most this time.
    pub(crate) async fn outcome(
        &self,
        key: &str,
        at_most: Duration,
    ) -> Result<Option<MessageStatus>, OutboxError> {
        let begun = Instant::now();
        let mut ended = self.0.ended.subscribe();
        let mut pause = FIRST_LOOK;
        loop {
            let status = self.status(key).await?;
            let left = at_most.saturating_sub(begun.elapsed());
            if left.is_zero() || !matches!(&status, Some(status) if !status.is_ended()) {
                return Ok(status);
            }
            // Another process may send it, so it is also looked up without a sign.
            let _ = tokio::time::timeout(pause.min(left), ended.changed()).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    async fn row(&self, key: &str) -> Result<Option<Row>, JournalError> {
        static ROW: Sql = Sql::new("SELECT * FROM postduif_message WHERE key = $1");
        let rows = self.0.db.fetch(&ROW, &[key.into()]).await?;
        Ok(rows.into_iter().next())
    }

    async fn status_of(&self, key: &str, row: &Row) -> Result<MessageStatus, JournalError> {
        if row.int("reported")? > 0 {
            let status = self.delivery(key, row.int("expected_reports")?).await?;
            match status {
                DeliveryStatus::Delivered => return Ok(MessageStatus::Delivered),
                status if status.is_final() => return Ok(MessageStatus::Undelivered { status }),
                _ => {}
            }
        }
        let time = |column: &str| row.int(column).map(time);
        let error = match row.text_or_null("error_kind")? {
            Some(kind) => Some(SendFailure {
                // One of a newer version.
                kind: kind.parse().unwrap_or(postduif_core::ErrorKind::Other),
                provider: row.text_or_null("provider")?,
                code: row.text_or_null("error_code")?,
            }),
            None => None,
        };
        Ok(match row.text("state")?.as_str() {
            "queued" => MessageStatus::Queued {
                since: time("created_at")?,
                next_try: time("due_at")?,
                last_error: error,
            },
            "sending" => MessageStatus::Sending {
                since: time("created_at")?,
            },
            "accepted" => MessageStatus::Accepted {
                at: time("ended_at")?,
                provider: row.text("provider")?,
                id: row.text_or_null("vendor_id")?,
                parts: row
                    .int_or_null("parts")?
                    .and_then(|parts| parts.try_into().ok()),
            },
            "not_accepted" => MessageStatus::NotAccepted {
                at: time("ended_at")?,
                error: error.unwrap_or(SendFailure {
                    kind: postduif_core::ErrorKind::Other,
                    provider: None,
                    code: None,
                }),
            },
            "expired" => MessageStatus::Expired {
                at: time("ended_at")?,
                last_error: error,
            },
            _ => MessageStatus::Unknown {
                at: time("ended_at")?,
                error,
            },
        })
    }

    /// Takes up to this many messages that are due: they are marked as being sent once this returns.
    ///
    /// After an error they may be. [`undo`](Self::undo) gives back what was then taken.
    pub(crate) async fn take(
        &self,
        take: &Arc<Take>,
        messages: usize,
    ) -> Result<(Vec<Taken>, Vec<TakenRow>), JournalError> {
        static TAKE: Sql = Sql::new(
            "WITH due AS MATERIALIZED (
                SELECT key FROM postduif_message
                WHERE state = 'queued' AND due_at <= (SELECT {now}) AND expires_at > (SELECT {now})
                ORDER BY due_at LIMIT $3{skip}
            )
            UPDATE postduif_message SET state = 'sending', epoch = $1, lease_until = {now} + $2, tries = tries + 1
            WHERE key IN (SELECT key FROM due)
            RETURNING key, reference, key_id, sealed, tries",
        );
        let values = [
            (&take.epoch).into(),
            milliseconds(take.lease).into(),
            i64::try_from(messages).unwrap_or(i64::MAX).into(),
        ];
        let rows = self.0.db.fetch(&TAKE, &values).await?;
        let (mut taken, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            // SQLite takes a value of any type, and one row must not hold up the others.
            let Ok(key) = row.text("key") else {
                tracing::error!("the key of a message is no text; it is never sent");
                continue;
            };
            let tries = row.int("tries").unwrap_or(i64::MAX);
            let mut taken_row = TakenRow {
                key,
                reference: row.text("reference").unwrap_or_default(),
                take: Arc::clone(take),
                tries: u32::try_from(tries).unwrap_or(u32::MAX),
                fingerprint: None,
            };
            match self.open(&row, &taken_row.key) {
                Some((message, fingerprint)) => {
                    taken_row.fingerprint = fingerprint;
                    taken.push(Taken {
                        row: taken_row,
                        message,
                    });
                }
                None => unreadable.push(taken_row),
            }
        }
        Ok((taken, unreadable))
    }

    /// Opens the message of a row. `None` if it cannot be opened.
    fn open(&self, row: &Row, key: &str) -> Option<Opened> {
        let keys = self.0.keys.as_ref()?;
        let (key_id, reference) = (row.text("key_id").ok()?, row.text("reference").ok()?);
        let sealed = row.bytes_or_null("sealed").ok()??;
        let plain = keys.open(&key_id, &reference, key, &sealed).ok()?;
        let reference: Reference = reference.parse().ok()?;
        let message = body::read(&plain, reference)?;
        // As we write it: another program may order the members in another way.
        let plain: SecretString = body::write(&message)?;
        let fingerprint = keys.fingerprint(&key_id, plain.expose_secret());
        Some((message, fingerprint))
    }

    /// Gives back what a take has taken whose response was lost. Nothing of it was sent.
    pub(crate) async fn undo(&self, take: &Take) -> Result<(), JournalError> {
        static UNDO: Sql = Sql::new(
            "UPDATE postduif_message SET state = 'queued', tries = tries - 1, lease_until = NULL
            WHERE epoch = $1 AND state = 'sending'",
        );
        self.0.db.execute(&UNDO, &[(&take.epoch).into()]).await?;
        Ok(())
    }

    /// Stores outcomes, all or none. A repetition changes nothing.
    pub(crate) async fn record(
        &self,
        outcomes: &[(TakenRow, Outcome)],
    ) -> Result<(), JournalError> {
        let mut tx = self.0.db.begin().await?;
        for (row, outcome) in outcomes {
            record(&mut tx, row, outcome).await?;
        }
        tx.commit().await?;
        self.0.ended.send_replace(());
        Ok(())
    }

    /// Ends what has expired, and what another process left: its lease has run out, so it may have been sent.
    pub(crate) async fn sweep(&self) -> Result<Swept, JournalError> {
        let outbox = self.clone();
        apart(async move { outbox.sweep_once().await }).await
    }

    async fn sweep_once(&self) -> Result<Swept, JournalError> {
        static EXPIRED: Sql = Sql::new(
            "SELECT key, reference, key_id, sealed FROM postduif_message
            WHERE state = 'queued' AND expires_at <= (SELECT {now}) ORDER BY expires_at LIMIT 200{skip}",
        );
        static EXPIRE: Sql = Sql::new(
            "UPDATE postduif_message SET state = 'expired', ended_at = {now}, sealed = NULL, fingerprint = $2
            WHERE key = $1 AND state = 'queued'",
        );
        static LEFT: Sql = Sql::new(
            "SELECT key, reference, key_id, sealed, epoch FROM postduif_message
            WHERE state = 'sending' AND lease_until < (SELECT {now}) ORDER BY lease_until LIMIT 1000{skip}",
        );
        static DOUBT: Sql = Sql::new(
            "UPDATE postduif_message SET state = 'unknown', ended_at = {now}, sealed = NULL, fingerprint = $2,
                lease_until = NULL, provider = NULL, error_kind = NULL, error_code = NULL
            WHERE key = $1 AND epoch = $3 AND state = 'sending'",
        );
        let mut swept = Swept::default();
        let mut tx = self.0.db.begin().await?;
        for row in tx.fetch(&EXPIRED, &[]).await? {
            let Ok(key) = row.text("key") else {
                continue;
            };
            let fingerprint = self.open(&row, &key).and_then(|(_, print)| print);
            let values = [(&key).into(), Value::Bytes(fingerprint.as_deref())];
            swept.expired += tx.execute(&EXPIRE, &values).await?;
        }
        for row in tx.fetch(&LEFT, &[]).await? {
            let (Ok(key), Ok(epoch)) = (row.text("key"), row.text("epoch")) else {
                continue;
            };
            // This process lives, and knows what becomes of it.
            if lock(&self.0.active).contains(&epoch) {
                continue;
            }
            let fingerprint = self.open(&row, &key).and_then(|(_, print)| print);
            let print = Value::Bytes(fingerprint.as_deref());
            let values = [(&key).into(), print, (&epoch).into()];
            swept.in_doubt += tx.execute(&DOUBT, &values).await?;
        }
        tx.commit().await?;
        if swept.expired + swept.in_doubt > 0 {
            self.0.ended.send_replace(());
        }
        self.forget().await?;
        Ok(swept)
    }

    /// Removes messages that ended long ago.
    async fn forget(&self) -> Result<(), JournalError> {
        static FORGET: Sql = Sql::new(
            "DELETE FROM postduif_message WHERE key IN (
                SELECT key FROM postduif_message WHERE ended_at < (SELECT {now}) - $1 ORDER BY ended_at LIMIT 500
            )",
        );
        let keep = milliseconds(self.0.options.keep);
        self.0.db.execute(&FORGET, &[keep.into()]).await?;
        Ok(())
    }

    /// Waits until a message may be due, and for at most this time.
    pub(crate) async fn woken(&self, at_most: Duration) {
        self.0.db.woken(Topic::Texts, at_most).await;
    }

    /// Stores a report with its message. `false` if no message of ours has its keys.
    pub(crate) async fn report(&self, report: &DeliveryReport) -> Result<bool, JournalError> {
        let (outbox, report) = (self.clone(), report.clone());
        apart(async move { outbox.store_report(&report).await }).await
    }

    async fn store_report(&self, report: &DeliveryReport) -> Result<bool, JournalError> {
        static COUNT: Sql =
            Sql::new("SELECT COUNT(*) AS reports FROM postduif_message_report WHERE key = $1");
        static REPORT: Sql = Sql::new(
            "INSERT INTO postduif_message_report (key, report) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        );
        static REPORTED: Sql = Sql::new("UPDATE postduif_message SET reported = 1 WHERE key = $1");
        static SENT: Sql = Sql::new(
            "UPDATE postduif_message SET state = 'unknown', ended_at = {now}, sealed = NULL, fingerprint = $2
            WHERE key = $1 AND state = 'queued'",
        );
        let mut tx = self.0.db.begin().await?;
        let Some((key, row)) = reported(&mut tx, report).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        let reports = tx.fetch(&COUNT, &[(&key).into()]).await?;
        let reports = reports.first().map_or(Ok(0), |row| row.int("reports"))?;
        if reports < MAX_REPORTS {
            let stored = StoredReport::of(report);
            let stored = serde_json::to_string(&stored).unwrap_or_default();
            tx.execute(&REPORT, &[(&key).into(), (&stored).into()])
                .await?;
            tx.execute(&REPORTED, &[(&key).into()]).await?;
        }
        if row.text("state")? == "queued" {
            // A vendor has it, whatever it said before.
            let fingerprint = self.open(&row, &key).and_then(|(_, print)| print);
            let values = [(&key).into(), Value::Bytes(fingerprint.as_deref())];
            tx.execute(&SENT, &values).await?;
        }
        tx.commit().await?;
        self.0.ended.send_replace(());
        Ok(true)
    }

    async fn delivery(&self, key: &str, expected: i64) -> Result<DeliveryStatus, JournalError> {
        static REPORTS: Sql = Sql::new(
            "SELECT report FROM postduif_message_report WHERE key = $1 ORDER BY received_at, report",
        );
        let parts = u16::try_from(expected).unwrap_or(1);
        let mut delivery = Delivery::new().with_parts(parts);
        for row in self.0.db.fetch(&REPORTS, &[key.into()]).await? {
            // One of a newer version adds nothing.
            if let Ok(stored) = serde_json::from_str::<StoredReport>(&row.text("report")?) {
                delivery.add(&stored.into_report());
            }
        }
        Ok(delivery.status())
    }
}

impl Take {
    /// Creates a take, from whose creation the lease counts.
    pub(crate) fn new(outbox: &Outbox) -> Arc<Self> {
        let epoch = Reference::random().to_string();
        lock(&outbox.0.active).insert(epoch.clone());
        Arc::new(Self {
            epoch,
            since: Instant::now(),
            lease: outbox.lease(),
            outbox: outbox.clone(),
        })
    }

    /// Returns whether a send may still begin: it has half a lease, and its outcome a quarter.
    ///
    /// By this process's own clock, which nobody sets and which goes on while the process is stopped.
    pub(crate) fn may_begin(&self) -> bool {
        self.since.elapsed() < self.lease / 4
    }

    /// Returns the maximum duration of a send.
    pub(crate) fn limit(&self) -> Duration {
        self.lease / 2
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        lock(&self.outbox.0.active).remove(&self.epoch);
    }
}

async fn record(tx: &mut Tx, row: &TakenRow, outcome: &Outcome) -> Result<(), JournalError> {
    static END: Sql = Sql::new(
        "UPDATE postduif_message SET state = $3, ended_at = {now}, lease_until = NULL, sealed = NULL,
            fingerprint = COALESCE($4, fingerprint), provider = $5, vendor_id = $6, parts = $7,
            expected_reports = $8, error_kind = $9, error_code = $10
        WHERE key = $1 AND epoch = $2 AND (state = 'sending' OR state = 'unknown')",
    );
    static ID: Sql = Sql::new(
        "INSERT INTO postduif_message_id (provider, id, key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    );
    static AGAIN: Sql = Sql::new(
        "UPDATE postduif_message SET state = 'queued', due_at = {now} + $3, lease_until = NULL, tries = tries - $4,
            provider = COALESCE($5, provider), error_kind = COALESCE($6, error_kind),
            error_code = CASE WHEN $6 IS NULL THEN error_code ELSE $7 END
        WHERE key = $1 AND epoch = $2 AND state = 'sending' AND reported = 0",
    );
    // Told to be in doubt meanwhile, which stays, or reported, which proves that a vendor has it.
    static SETTLE: Sql = Sql::new(
        "UPDATE postduif_message SET state = CASE WHEN reported = 0 THEN 'not_accepted' ELSE 'unknown' END,
            ended_at = {now}, lease_until = NULL, sealed = NULL, fingerprint = COALESCE($3, fingerprint),
            provider = $4, error_kind = $5, error_code = $6
        WHERE key = $1 AND epoch = $2 AND (state = 'sending' OR state = 'unknown')",
    );
    let (key, epoch) = (&row.key, &row.take.epoch);
    let fingerprint = Value::Bytes(row.fingerprint.as_deref());
    let (state, error) = match outcome {
        Outcome::Accepted(receipt) => {
            let provider = clean(receipt.provider());
            let id = receipt.id().map(clean);
            let values = [
                key.into(),
                epoch.into(),
                "accepted".into(),
                fingerprint,
                (&provider).into(),
                id.as_deref().into(),
                receipt.parts().map(i64::from).into(),
                i64::from(receipt.expected_reports()).into(),
                Value::Text(None),
                Value::Text(None),
            ];
            if tx.execute(&END, &values).await? > 0 {
                let ids = receipt.id().into_iter().chain(receipt.part_ids());
                for id in ids.take(MAX_IDS).map(clean) {
                    let values = [(&provider).into(), (&id).into(), key.into()];
                    tx.execute(&ID, &values).await?;
                }
            }
            return Ok(());
        }
        Outcome::NotAccepted(error) => ("not_accepted", Some(error)),
        Outcome::Unknown(error) => ("unknown", Some(error)),
        Outcome::Again { error, .. } => ("queued", error.as_ref()),
    };
    let provider = error.and_then(SendError::provider).map(clean);
    let kind = error.map(|error| error.kind().as_str());
    let code = error.and_then(SendError::code).map(clean);
    let (provider, code) = (provider.as_deref(), code.as_deref());
    let Outcome::Again { pause, error } = outcome else {
        let values = [
            key.into(),
            epoch.into(),
            state.into(),
            fingerprint,
            provider.into(),
            Value::Text(None),
            Value::Int(None),
            1.into(),
            kind.into(),
            code.into(),
        ];
        tx.execute(&END, &values).await?;
        return Ok(());
    };
    let values = [
        key.into(),
        epoch.into(),
        milliseconds(*pause).into(),
        i64::from(error.is_none()).into(),
        provider.into(),
        kind.into(),
        code.into(),
    ];
    if tx.execute(&AGAIN, &values).await? == 0 {
        let kind = kind.unwrap_or(postduif_core::ErrorKind::Timeout.as_str());
        let values = [
            key.into(),
            epoch.into(),
            fingerprint,
            provider.into(),
            kind.into(),
            code.into(),
        ];
        tx.execute(&SETTLE, &values).await?;
    }
    Ok(())
}

/// Finds the message of a report, and keeps it from being changed. One that was never sent is not the report's.
async fn reported(
    tx: &mut Tx,
    report: &DeliveryReport,
) -> Result<Option<(String, Row)>, JournalError> {
    static BY_REFERENCE: Sql =
        Sql::new("SELECT * FROM postduif_message WHERE reference = $1{lock}");
    static BY_KEY: Sql = Sql::new("SELECT * FROM postduif_message WHERE key = $1{lock}");
    static BY_ID: Sql =
        Sql::new("SELECT key FROM postduif_message_id WHERE provider = $1 AND id = $2");
    let mut found = None;
    if let Some(reference) = &report.reference {
        let rows = tx
            .fetch(&BY_REFERENCE, &[reference.as_str().into()])
            .await?;
        found = rows.into_iter().next();
    }
    for id in report.id.iter().chain(&report.part) {
        if found.is_some() {
            break;
        }
        let id = clean(id);
        let values = [(&*report.provider).into(), (&id).into()];
        if let Some(row) = tx.fetch(&BY_ID, &values).await?.first() {
            let key = row.text("key")?;
            let rows = tx.fetch(&BY_KEY, &[(&key).into()]).await?;
            found = rows.into_iter().next();
        }
    }
    let Some(row) = found else {
        return Ok(None);
    };
    let was_sent = row.text("state")? != "queued" || row.int("tries")? > 0;
    Ok(was_sent.then_some((row.text("key")?, row)))
}

/// A report as it is stored. A repeated one is the same text.
#[derive(Deserialize, Serialize)]
struct StoredReport {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<String>,
    status: DeliveryStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<DateTime<Utc>>,
}

impl StoredReport {
    fn of(report: &DeliveryReport) -> Self {
        Self {
            id: report.id.as_deref().map(clean),
            part: report.part.as_deref().map(clean),
            status: report.status,
            code: report.code.as_deref().map(clean),
            at: report.at,
        }
    }

    fn into_report(self) -> DeliveryReport {
        let mut report = DeliveryReport::new("", self.status);
        report.part = self.part;
        report
    }
}

/// Returns a vendor's text without what a database refuses, and not too long for it.
fn clean(text: &str) -> String {
    let shown = text.chars().filter(|char| !char.is_control());
    shown.take(MAX_CHARACTERS).collect()
}

fn milliseconds(duration: Duration) -> i64 {
    const FAR: i64 = 1 << 50;
    i64::try_from(duration.as_millis()).unwrap_or(FAR).min(FAR)
}

fn duration(milliseconds: i64) -> Duration {
    Duration::from_millis(milliseconds.try_into().unwrap_or_default())
}

fn time(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}

pub(crate) fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

/// Locks a mutex whose data stays valid even if a holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("db", &self.0.db)
            .field("keys", &self.0.keys)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

/// For how long a count of the messages holds.
const COUNTED_FOR: Duration = Duration::from_secs(5);

const FIRST_LOOK: Duration = Duration::from_millis(50);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// The most ids of a message: its own, and one for each part.
const MAX_IDS: usize = 1 + 255;

/// The most reports of a message that are told apart: each part has a few.
const MAX_REPORTS: i64 = 4 * 255;

/// The most characters of a vendor's id, part or code that are kept.
const MAX_CHARACTERS: usize = 200;

#[cfg(test)]
mod tests {
    use postduif_core::{ErrorKind, Text};

    use super::*;
    /// Two processes with one store.
    async fn two(url: &str) -> [Outbox; 2] {
        let db = crate::sql::open(url).await.unwrap();
        let secret = SecretString::from("6PDjC5CQXd5dXMZ6WmD2qyEtI1Hvgg4HkY+yuLxXcOM=");
        let keys = Keys::new("a", &secret).unwrap();
        let options = Options {
            lease: Duration::from_millis(100),
            max_waiting: 100,
            keep: Duration::from_secs(60),
        };
        [(); 2].map(|()| Outbox::new(db.clone(), Some(keys.clone()), options))
    }

    async fn enqueue(outbox: &Outbox, key: &str) -> Message {
        let text = Text::new("hello").unwrap();
        let message = Message::new("+31612345678".parse().unwrap(), text);
        let enqueue = crate::Enqueue::new(Some(outbox), message.clone()).with_key(key);
        enqueue.await.unwrap();
        message
    }

    async fn take(outbox: &Outbox) -> (Arc<Take>, TakenRow) {
        let take = Take::new(outbox);
        let (mut taken, unreadable) = outbox.take(&take, 10).await.unwrap();
        assert!(unreadable.is_empty());
        (take, taken.pop().unwrap().row)
    }

    /// Sweeps until a message is in doubt, as its lease has run out.
    async fn sweep(outbox: &Outbox) {
        while outbox.sweep().await.unwrap().in_doubt == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn status(outbox: &Outbox, key: &str) -> MessageStatus {
        outbox.status(key).await.unwrap().unwrap()
    }

    async fn stores() -> Vec<(String, Box<dyn std::any::Any + Send>)> {
        let in_memory = cfg!(feature = "sqlite").then(|| ("memory".to_owned(), Box::new(()) as _));
        #[cfg_attr(
            not(feature = "postgres"),
            expect(unused_mut, reason = "there is no other")
        )]
        let mut stores: Vec<(String, Box<dyn std::any::Any + Send>)> =
            in_memory.into_iter().collect();
        #[cfg(feature = "postgres")]
        if let Some(schema) = crate::sql::test_schema::Schema::new().await {
            stores.push((schema.url(), Box::new(schema)));
        }
        stores
    }

    #[tokio::test]
    async fn a_message_whose_lease_ran_out_is_in_doubt_for_good() {
        for (url, _schema) in stores().await {
            let [one, other] = two(&url).await;
            enqueue(&one, "a").await;
            let (_take, row) = take(&one).await;
            // The process that has it lives, and does not give it up.
            sweep(&other).await;
            assert!(matches!(
                status(&other, "a").await,
                MessageStatus::Unknown { .. }
            ));
            let nothing = Take::new(&other);
            assert!(other.take(&nothing, 10).await.unwrap().0.is_empty());
            // Not even by a holder that knows that it was not sent.
            let again = Outcome::Again {
                pause: Duration::ZERO,
                error: None,
            };
            one.record(&[(row, again)]).await.unwrap();
            assert!(matches!(
                status(&other, "a").await,
                MessageStatus::NotAccepted { .. }
            ));
            assert!(other.take(&nothing, 10).await.unwrap().0.is_empty());
        }
    }

    #[tokio::test]
    async fn an_outcome_that_comes_late_ends_the_doubt() {
        for (url, _schema) in stores().await {
            let [one, other] = two(&url).await;
            let message = enqueue(&one, "a").await;
            let (_take, row) = take(&one).await;
            sweep(&other).await;
            let receipt = Receipt::new("kpn", *message.reference()).with_id("7");
            one.record(&[(row, Outcome::Accepted(receipt))])
                .await
                .unwrap();
            assert!(matches!(
                status(&other, "a").await,
                MessageStatus::Accepted { .. }
            ));
        }
    }

    #[tokio::test]
    async fn a_process_does_not_doubt_what_it_holds_itself() {
        for (url, _schema) in stores().await {
            let [one, other] = two(&url).await;
            enqueue(&one, "a").await;
            enqueue(&one, "b").await;
            let take = Take::new(&one);
            let held = one.take(&take, 1).await.unwrap();
            let (_second, row) = self::take(&other).await;
            // It dies with what it holds; the other one lives.
            drop((row, _second));
            sweep(&one).await;
            assert_eq!(held.0.len(), 1);
            let key = &held.0[0].row.key;
            assert!(matches!(
                status(&one, key).await,
                MessageStatus::Sending { .. }
            ));
        }
    }

    #[tokio::test]
    async fn a_former_outcome_changes_nothing_of_a_message_that_was_taken_again() {
        for (url, _schema) in stores().await {
            let [one, other] = two(&url).await;
            let message = enqueue(&one, "a").await;
            let (_take, row) = take(&one).await;
            let again = || Outcome::Again {
                pause: Duration::ZERO,
                error: Some(SendError::not_accepted(ErrorKind::Unavailable, "down")),
            };
            let outcomes = [(row, again())];
            one.record(&outcomes).await.unwrap();
            let (_second, second) = take(&other).await;
            assert_eq!(second.tries, 2);
            // Its response was lost, so it is stored again.
            one.record(&outcomes).await.unwrap();
            assert!(matches!(
                status(&one, "a").await,
                MessageStatus::Sending { .. }
            ));
            let receipt = Receipt::new("kpn", *message.reference());
            let accepted = [(second, Outcome::Accepted(receipt))];
            other.record(&accepted).await.unwrap();
            one.record(&outcomes).await.unwrap();
            other.record(&accepted).await.unwrap();
            assert!(matches!(
                status(&one, "a").await,
                MessageStatus::Accepted { .. }
            ));
        }
    }

    #[tokio::test]
    async fn a_take_whose_response_was_lost_is_given_back() {
        for (url, _schema) in stores().await {
            let [one, other] = two(&url).await;
            enqueue(&one, "a").await;
            let (lost, row) = take(&one).await;
            drop(row);
            one.undo(&lost).await.unwrap();
            let (_take, row) = take(&other).await;
            assert_eq!(row.tries, 1);
            // It gives back nothing of a later take.
            one.undo(&lost).await.unwrap();
            assert!(matches!(
                status(&one, "a").await,
                MessageStatus::Sending { .. }
            ));
        }
    }

    #[tokio::test]
    async fn what_ended_long_ago_is_removed_with_all_about_it() {
        for (url, _schema) in stores().await {
            let [one, _] = two(&url).await;
            let message = enqueue(&one, "a").await;
            let (_take, row) = take(&one).await;
            let receipt = Receipt::new("kpn", *message.reference()).with_id("7");
            one.record(&[(row, Outcome::Accepted(receipt))])
                .await
                .unwrap();
            one.sweep().await.unwrap();
            assert!(one.status("a").await.unwrap().is_some());
            static OLD: Sql = Sql::new("UPDATE postduif_message SET ended_at = ended_at - 61000");
            one.0.db.execute(&OLD, &[]).await.unwrap();
            one.sweep().await.unwrap();
            assert!(one.status("a").await.unwrap().is_none());
            static IDS: Sql = Sql::new("SELECT key FROM postduif_message_id");
            assert!(one.0.db.fetch(&IDS, &[]).await.unwrap().is_empty());
        }
    }

    #[test]
    fn a_vendors_text_is_stored_without_what_a_database_refuses() {
        assert_eq!(clean("a\0b\n"), "ab");
        assert_eq!(clean(&"x".repeat(1000)).len(), 200);
    }
}
