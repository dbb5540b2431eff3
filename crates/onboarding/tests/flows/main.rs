//! Whole flows in a world in memory, on a paused clock.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may unwrap like a test"
)]

mod world;

mod after;
mod clocks;
mod conformance;
mod crashes;
mod deadlines;
mod delivered;
mod doubts;
mod fuzz;
mod keep;
mod late;
mod lock;
mod outages;
mod reasons;
mod reports;
mod runner;
mod runtimes;
mod stops;
mod table;
mod two;
mod whole;
mod words;
