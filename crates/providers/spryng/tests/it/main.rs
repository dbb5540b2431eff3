//! Spryng's two wires: the suite of promises, and each row of the tables of its documentation.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod conformance;
mod errors;
mod look_up;
mod report_conformance;
mod reports;
mod settings;
mod strangers;
mod wire;
