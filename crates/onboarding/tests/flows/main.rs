//! Whole flows in a world in memory, on a clock that is paused.

#![expect(
    clippy::unwrap_used,
    reason = "what helps a test may do what a test may"
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
mod stops;
mod table;
mod two;
mod whole;
mod words;
