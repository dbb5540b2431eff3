//! The tables of messages.

use postduif_onboarding::JournalError;

use crate::sql::db::{Sql, Tx};

/// A message by its key.
///
/// Times are milliseconds since 1970. `docs/outbox.md` documents the columns that have a default or are set by an
/// `INSERT` of another program; all others are ours.
static TABLES: [Sql; 9] = [
    Sql::new("CREATE TABLE postduif_message (
        key TEXT PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 200),
        reference TEXT NOT NULL UNIQUE CHECK (length(reference) BETWEEN 1 AND 32),
        key_id TEXT NOT NULL,
        sealed {bytes},
        fingerprint {bytes},
        state TEXT NOT NULL DEFAULT 'queued'
            CHECK (state IN ('queued', 'sending', 'accepted', 'not_accepted', 'expired', 'unknown')),
        created_at BIGINT NOT NULL DEFAULT ({now}),
        not_before BIGINT NOT NULL DEFAULT ({now}),
        due_at BIGINT NOT NULL DEFAULT ({now}),
        expires_at BIGINT NOT NULL DEFAULT ({now} + 86400000),
        tries BIGINT NOT NULL DEFAULT 0,
        epoch TEXT,
        lease_until BIGINT,
        provider TEXT,
        vendor_id TEXT,
        parts BIGINT,
        expected_reports BIGINT NOT NULL DEFAULT 1,
        error_kind TEXT,
        error_code TEXT,
        reported BIGINT NOT NULL DEFAULT 0,
        ended_at BIGINT
    )"),
    Sql::new("CREATE INDEX postduif_message_due ON postduif_message (due_at) WHERE state = 'queued'"),
    Sql::new("CREATE INDEX postduif_message_open ON postduif_message (not_before) WHERE state IN ('queued', 'sending')"),
    Sql::new("CREATE INDEX postduif_message_expires ON postduif_message (expires_at) WHERE state = 'queued'"),
    Sql::new("CREATE INDEX postduif_message_lease ON postduif_message (lease_until) WHERE state = 'sending'"),
    Sql::new("CREATE INDEX postduif_message_ended ON postduif_message (ended_at) WHERE ended_at IS NOT NULL"),
    Sql::new("CREATE TABLE postduif_message_id (
        provider TEXT NOT NULL,
        id TEXT NOT NULL,
        key TEXT NOT NULL REFERENCES postduif_message (key) ON DELETE CASCADE,
        PRIMARY KEY (provider, id)
    )"),
    Sql::new("CREATE INDEX postduif_message_id_key ON postduif_message_id (key)"),
    Sql::new("CREATE TABLE postduif_message_report (
        key TEXT NOT NULL REFERENCES postduif_message (key) ON DELETE CASCADE,
        report TEXT NOT NULL,
        received_at BIGINT NOT NULL DEFAULT ({now}),
        PRIMARY KEY (key, report)
    )"),
];

/// The function with which any client of PostgreSQL enqueues a message, in a transaction of its own. It finds the tables
/// whatever the client's `search_path` is.
#[cfg(feature = "postgres")]
static FUNCTION: Sql = Sql::new("
    CREATE FUNCTION postduif_enqueue(
        message_key text,
        message_reference text,
        sealed_with text,
        sealed_message bytea,
        send_after timestamptz DEFAULT NULL,
        expires timestamptz DEFAULT NULL
    ) RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    DECLARE
        begins bigint := extract(epoch FROM greatest(send_after, clock_timestamp())) * 1000;
    BEGIN
        INSERT INTO postduif_message (key, reference, key_id, sealed, not_before, due_at, expires_at)
        VALUES (
            message_key, message_reference, sealed_with, sealed_message, begins, begins,
            coalesce((extract(epoch FROM expires) * 1000)::bigint, begins + 86400000)
        )
        ON CONFLICT (key) DO NOTHING;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
        PERFORM pg_notify('postduif', 'texts');
        RETURN true;
    END
    $$");

/// Creates the tables, in a database of this process alone or in PostgreSQL.
pub(crate) async fn create_tables(tx: &mut Tx, is_own: bool) -> Result<(), JournalError> {
    for sql in &TABLES {
        tx.execute(sql, &[]).await?;
    }
    #[cfg(feature = "postgres")]
    if !is_own {
        tx.execute(&FUNCTION, &[]).await?;
    }
    let _ = is_own;
    Ok(())
}
