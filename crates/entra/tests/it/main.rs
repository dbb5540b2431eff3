//! What is asked of Graph, what its answers mean, and what a call-out may not do.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

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
