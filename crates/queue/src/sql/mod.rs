//! The store on SQLite and PostgreSQL.

pub(crate) mod db;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(all(test, feature = "postgres"))]
#[path = "../../tests/it/schema.rs"]
pub(crate) mod test_schema;
