//! Vonage's wire formats: the conformance suite, and each row of the tables of its documentation.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod account;
mod conformance;
mod foreign;
mod inbound;
mod messages;
mod openapi;
mod receipts;
mod report_conformance;
mod reports;
mod settings;
mod sms;
mod token;
mod wire;
