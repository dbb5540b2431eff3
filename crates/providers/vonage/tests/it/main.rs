//! The provider against a Vonage on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod account;
mod conformance;
mod messages;
mod openapi;
mod receipts;
mod report_conformance;
mod reports;
mod settings;
mod sms;
mod strangers;
mod token;
mod wire;
