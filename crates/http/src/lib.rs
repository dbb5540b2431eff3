//! The HTTP layer of Postduif's providers: a locked-down client, tokens, and a toolbox for vendors.
//!
//! | module | contents |
//! |---|---|
//! | the root | [`Client`], [`Request`], [`Response`], [`BaseUrl`], and [`Refusal`]: what a response proves |
//! | [`auth`] | OAuth 2.0 client credentials and [`TokenCache`](auth::TokenCache) |
//! | [`vendor`] | what providers share: endpoint, codes, batches, delivery reports, connection URLs, signatures |
//!
//! A request goes to a [`BaseUrl`], which is https or loopback, so that credentials reach only the host that they
//! are configured for.
//!
//! # What a failure proves
//!
//! A failed name look-up, a refused connection and a failed TLS handshake prove that nothing left
//! ([`Acceptance::NotAccepted`](postduif_core::Acceptance::NotAccepted)). Once the body may have been written,
//! acceptance is unknown. A passed deadline is then `Timeout`, a broken connection `Unavailable`, and a redirect
//! `Protocol`. A response proves a refusal only by [evidence](Response::refused).
//!
//! # Runtime
//!
//! The client needs a tokio runtime with time and I/O enabled.

pub mod auth;
mod client;
pub mod vendor;

/// The paths that the macros [`codes!`] and [`provider_builder!`] expand to.
#[doc(hidden)]
pub use postduif_core::{ConfigError, ErrorKind, Sender};

pub use client::{
    BaseUrl, Client, ClientBuilder, Proof, Redactor, Refusal, Request, Response,
    check_header_setting,
};
