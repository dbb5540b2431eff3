//! Tests of the sandbox from outside, over its sockets.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do: by a panic"
)]

mod callouts;
mod client;
mod cm;
mod control;
mod faults;
mod graph;
mod inbound;
mod kpn;
mod login;
mod look_ups;
mod messagebird;
mod processed;
#[cfg(feature = "program")]
mod program;
mod reports;
mod smstools;
mod spryng;
mod twilio;
mod vonage;
mod webhook;
