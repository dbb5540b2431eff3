//! A gateway of one's own: the conformance suite, and each row of the tables of the crate's documentation.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod conformance;
mod errors;
mod inbound;
mod report_conformance;
mod reports;
mod settings;
mod wire;
