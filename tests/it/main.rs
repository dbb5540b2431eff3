//! What holds across the crates.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

#[path = "../file_journal.rs"]
mod file_journal;

mod failover;
mod flows;
mod journal;
mod kills;
mod leaks;
mod outage;
mod packages;
mod settings;
mod vendor_requests;
mod versions;
mod where_possible;
mod world;
