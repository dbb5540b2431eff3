//! The store against servers of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may unwrap like a test"
)]

mod cluster;
mod conformance;
mod hostile;
mod outages;
mod safety;
mod server;
