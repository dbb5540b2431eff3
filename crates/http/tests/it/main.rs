//! What a failure at each phase of a request proves, seen from a server that counts.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod evidence;
mod oauth;
mod phases;
mod secrecy;
mod signature;
