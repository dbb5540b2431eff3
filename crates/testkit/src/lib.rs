//! What SMS providers are tested with: a [`Server`] that breaks off at every phase of a request, and a suite
//! of promises that every provider has to keep, ours or yours.
//!
//! It depends on `postduif-core` alone, so that a provider outside this workspace is tested by the same suite.

mod conformance;
mod pretend;
mod server;

pub use conformance::{block_on, promises};
pub use pretend::{DEADLINE, PretendVendor, Received};
pub use server::{End, Greeting, HttpRequest, Reply, Server, refusing_address};
