//! MessageBird's three wire formats: the conformance suite, and each row of the tables of its documentation.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod batch;
mod channels;
mod channels_reports;
mod classic;
mod classic_reports;
mod conformance;
mod foreign;
mod inbound;
mod platform;
mod platform_reports;
mod report_conformance;
mod settings;
mod wire;
