//! The sandbox from outside: over its sockets, by a client that knows nothing but HTTP.

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
mod kpn;
mod login;
mod messagebird;
mod processed;
mod program;
mod reports;
mod smstools;
mod spryng;
mod vonage;
