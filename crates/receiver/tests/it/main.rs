//! The service as a process, beside a sandbox.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod crashes;
mod flows;
mod hostile;
mod operating;
mod reports;
#[path = "../../../queue/tests/it/schema.rs"]
mod schema;
mod service;
mod stores;
mod usage;
