//! The requests to Graph, the meaning of its responses, and the checks of call-outs.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod caller;
mod callout;
mod evidence;
mod faults;
mod resume;
mod sandbox;
mod secrecy;
mod support;
mod tap;
mod token;
mod user;
