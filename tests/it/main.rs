//! What holds across the crates.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod failover;
mod flows;
mod kills;
mod leaks;
mod outage;
mod packages;
mod versions;
mod world;
