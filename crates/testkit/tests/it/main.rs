//! Tests of the suites: a correct implementation keeps every promise, and for each promise there is a wrong one that
//! breaks it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod acme;
#[cfg(feature = "journal")]
mod journal;
mod recording;
mod reports;
mod server;
mod wrong;
