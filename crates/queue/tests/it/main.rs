//! The promises of the queue, on SQLite and on PostgreSQL.

#![cfg(all(feature = "postgres", feature = "sqlite"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod archive;
mod conformance;
mod engine;
mod opening;
mod outages;
mod outbox;
mod proxy;
mod schema;
mod store;
mod workers;
