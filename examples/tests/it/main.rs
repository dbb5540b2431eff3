//! The examples' command lines, what they print, and their exit codes: each built example as a person runs it,
//! against a sandbox on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod apis;
mod bulk;
mod custom_provider;
mod delivery_reports;
mod help;
mod numbers;
mod onboarding;
mod row;
mod segments;
mod send;
mod teaching;
