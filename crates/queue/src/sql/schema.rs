//! The tables, and how they come into a database.
//!
//! A change only adds: version N of the tables works with a program that knows N, and with one that knows N-1. So the
//! programs of a rolling upgrade share the tables that the first new one, or [`migrate`] before it, has updated.

use postduif_core::ConfigError;
use postduif_onboarding::JournalError;

use super::{
    archive,
    db::{Db, Sql, Tx},
};

/// The version of the tables that this program knows.
const VERSION: i64 = 3;

/// The oldest version that a program must know to work with these tables.
const OLDEST: i64 = 1;

/// Creates or updates the tables where that is still to be done. Where it is not, it needs no right to do so.
pub(super) async fn migrate(db: &Db) -> Result<(), ConfigError> {
    let mut tx = db.begin().await.map_err(|error| failed(&error))?;
    let known = found(&mut tx).await?;
    tx.rollback().await.map_err(|error| failed(&error))?;
    if let Found::Known = known {
        return Ok(());
    }
    let mut tx = db.begin().await.map_err(|error| failed(&error))?;
    tx.fetch(&ALONE, &[])
        .await
        .map_err(|error| failed(&error))?;
    tx.create_schema().await.map_err(|error| failed(&error))?;
    // Another process may have been faster.
    if let Found::Older(version) = found(&mut tx).await? {
        change(&mut tx, version, db.is_own())
            .await
            .map_err(|error| failed(&error))?;
        tx.commit().await.map_err(|error| failed(&error))?;
        tracing::info!(
            from = version,
            to = VERSION,
            "updated the tables of the queue"
        );
    }
    Ok(())
}

/// Refuses tables of another version than this program, its predecessor or its successor can use.
pub(super) async fn check(db: &Db) -> Result<(), ConfigError> {
    let mut tx = db.begin().await.map_err(|error| failed(&error))?;
    let found = found(&mut tx).await?;
    tx.rollback().await.map_err(|error| failed(&error))?;
    match found {
        Found::Known => Ok(()),
        Found::Older(_) => Err(ConfigError::new(
            "the store has no tables of this version: start the service of this version once",
        )),
    }
}

enum Found {
    /// Tables of this version or of the next one.
    Known,
    /// Tables of an older version. 0 for none.
    Older(i64),
}

async fn found(tx: &mut Tx) -> Result<Found, ConfigError> {
    let version = version(tx).await.map_err(|error| failed(&error))?;
    match version {
        Some((_, oldest)) if oldest > VERSION => Err(ConfigError::new(
            "a newer version of this program has changed the tables of the store, and this version would damage them: \
             run the newer version",
        )),
        Some((version, _)) if version < VERSION => Ok(Found::Older(version)),
        Some(_) => Ok(Found::Known),
        None => Ok(Found::Older(0)),
    }
}

async fn version(tx: &mut Tx) -> Result<Option<(i64, i64)>, JournalError> {
    if tx.fetch(&HAS_VERSION, &[]).await?.is_empty() {
        return Ok(None);
    }
    let rows = tx.fetch(&READ_VERSION, &[]).await?;
    let known = rows.first();
    known
        .map(|row| Ok((row.int("version")?, row.int("oldest")?)))
        .transpose()
}

async fn change(tx: &mut Tx, version: i64, is_own: bool) -> Result<(), JournalError> {
    if version < 1 {
        for sql in &FIRST {
            tx.execute(sql, &[]).await?;
        }
    }
    if version < 2 {
        for sql in &archive::TABLES {
            tx.execute(sql, &[]).await?;
        }
    }
    if version < 3 {
        crate::outbox::create_tables(tx, is_own).await?;
    }
    tx.execute(&DELETE_VERSION, &[]).await?;
    tx.execute(&WRITE_VERSION, &[VERSION.into(), OLDEST.into()])
        .await?;
    Ok(())
}

fn failed(error: &JournalError) -> ConfigError {
    ConfigError::new(format!(
        "the tables of the store cannot be created or updated: {error}; if the role may not create tables, have another \
         one do it with `QueueBuilder::migrate`"
    ))
}

static ALONE: Sql = Sql::new("SELECT {alone}");

static HAS_VERSION: Sql =
    Sql::new("SELECT name FROM {tables} AS known WHERE name = 'postduif_schema'");

static READ_VERSION: Sql = Sql::new("SELECT version, oldest FROM postduif_schema");

static DELETE_VERSION: Sql = Sql::new("DELETE FROM postduif_schema");

static WRITE_VERSION: Sql =
    Sql::new("INSERT INTO postduif_schema (version, oldest) VALUES ($1, $2)");

/// The tables of version 1. Times are milliseconds since 1970; all but `received`, `at` and `stop_at` are by the
/// database's clock.
static FIRST: [Sql; 14] = [
    Sql::new("CREATE TABLE postduif_schema (version BIGINT NOT NULL, oldest BIGINT NOT NULL)"),
    // The latest time that anybody has seen on the database's clock.
    Sql::new("CREATE TABLE postduif_clock (at BIGINT NOT NULL)"),
    Sql::new("INSERT INTO postduif_clock (at) VALUES ({now})"),
    // `holder` is NULL once the flow is given back. `due` is when it is to be run, or when the lease of its holder ends,
    // and NULL once it is done. `again` is 1 if something arrived for a flow that has a holder.
    Sql::new(
        "CREATE TABLE postduif_flow (
            id TEXT PRIMARY KEY,
            user_id TEXT,
            callout TEXT NOT NULL,
            memo TEXT,
            stop_at BIGINT,
            epoch BIGINT NOT NULL,
            holder TEXT,
            takeovers BIGINT NOT NULL,
            due BIGINT,
            again BIGINT NOT NULL,
            touched BIGINT NOT NULL,
            received BIGINT NOT NULL,
            done_at BIGINT,
            ending TEXT
        )",
    ),
    Sql::new("CREATE INDEX postduif_flow_due ON postduif_flow (due) WHERE done_at IS NULL"),
    Sql::new("CREATE INDEX postduif_flow_user ON postduif_flow (user_id, received)"),
    // Its key lets only one run append the entry of a number.
    Sql::new(
        "CREATE TABLE postduif_entry (
            flow TEXT NOT NULL REFERENCES postduif_flow (id) ON DELETE CASCADE,
            no BIGINT NOT NULL,
            at BIGINT NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (flow, no)
        )",
    ),
    Sql::new(
        "CREATE TABLE postduif_report (
            flow TEXT NOT NULL REFERENCES postduif_flow (id) ON DELETE CASCADE,
            no BIGINT NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (flow, no)
        )",
    ),
    Sql::new(
        "CREATE TABLE postduif_reference (
            reference TEXT PRIMARY KEY,
            flow TEXT NOT NULL REFERENCES postduif_flow (id) ON DELETE CASCADE
        )",
    ),
    Sql::new(
        "CREATE TABLE postduif_vendor_id (
            provider TEXT NOT NULL,
            id TEXT NOT NULL,
            flow TEXT NOT NULL REFERENCES postduif_flow (id) ON DELETE CASCADE,
            PRIMARY KEY (provider, id)
        )",
    ),
    Sql::new("CREATE INDEX postduif_reference_flow ON postduif_reference (flow)"),
    Sql::new("CREATE INDEX postduif_vendor_id_flow ON postduif_vendor_id (flow)"),
    // A user's lock outlives the claim of its flow.
    Sql::new(
        "CREATE TABLE postduif_user_lock (
            user_id TEXT PRIMARY KEY,
            flow TEXT NOT NULL REFERENCES postduif_flow (id) ON DELETE CASCADE,
            until BIGINT NOT NULL,
            touched BIGINT NOT NULL
        )",
    ),
    Sql::new("CREATE INDEX postduif_user_lock_flow ON postduif_user_lock (flow)"),
];
