//! The service as a process, beside a sandbox.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod flows;
mod hostile;
mod operating;
mod reports;
mod service;
mod usage;
