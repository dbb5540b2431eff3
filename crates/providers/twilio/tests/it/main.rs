//! Twilio's wire: the suite of promises, and each row of the tables of its documentation.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod conformance;
mod errors;
mod inbound;
mod report_conformance;
mod reports;
mod settings;
mod signatures;
mod wire;
