//! Spryng's two wire formats: the conformance suite, and each row of the tables of its documentation.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod conformance;
mod errors;
mod foreign;
mod inbound;
mod look_up;
mod report_conformance;
mod reports;
mod settings;
mod wire;
