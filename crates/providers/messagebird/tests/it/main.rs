//! MessageBird's three wires: the suite of promises, and each row of the tables of the documentation.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod batch;
mod channels;
mod channels_reports;
mod classic;
mod classic_reports;
mod conformance;
mod platform;
mod platform_reports;
mod report_conformance;
mod settings;
mod strangers;
mod wire;
