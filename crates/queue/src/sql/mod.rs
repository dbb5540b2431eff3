//! The store on SQLite and PostgreSQL.

mod archive;
pub(crate) mod db;
mod lease;
#[cfg(feature = "postgres")]
mod postgres;
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;

use postduif_core::ConfigError;

use self::{db::Db, store::SqlStore};
use crate::queue::Options;

/// Opens the database of a URL, and creates or updates its tables.
pub(crate) async fn open(url: &str) -> Result<Db, ConfigError> {
    let db = Db::open(url).await?;
    schema::migrate(&db).await?;
    Ok(db)
}

/// Opens the database of a URL beside the processes that use it, and changes no tables.
pub(crate) async fn open_beside(url: &str) -> Result<Db, ConfigError> {
    let db = Db::open_beside(url).await?;
    schema::check(&db).await?;
    Ok(db)
}

/// Uses the tables of a database for flows, beside the processes that run them.
pub(crate) fn store_beside(db: Db, options: Options) -> SqlStore {
    SqlStore::beside(db, options)
}

/// Uses the tables of a database for flows.
pub(crate) async fn store(db: Db, options: Options) -> Result<SqlStore, ConfigError> {
    let store = SqlStore::new(db, options).await;
    store.map_err(|error| db::cannot_open(&error))
}

#[cfg(all(test, feature = "postgres"))]
#[path = "../../tests/it/schema.rs"]
#[expect(dead_code, reason = "the integration tests use more of it")]
pub(crate) mod test_schema;
