//! What SMS providers are tested with: a [`Server`] that breaks off at every phase of a request, and a suite
//! of promises that every provider has to keep, ours or yours.
//!
//! It depends on `postduif-core` alone, so that a provider outside this workspace is tested by the same suite.

mod server;

pub use server::{End, Greeting, HttpRequest, Reply, Server, refusing_address};
