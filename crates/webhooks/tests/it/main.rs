//! The routes and the server, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod access;
mod events;
mod inbound;
mod reports;
mod server;
#[cfg(feature = "entra")]
mod servers;
mod vectors;
