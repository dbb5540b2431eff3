//! What the providers of Postduif are made of: a locked-down HTTP client, tokens, and a vendor's toolbox.
//!
//! | room | what is in it |
//! |---|---|
//! | the root | [`Client`], [`Request`], [`Response`], [`BaseUrl`], and [`Refusal`]: what a response proves |
//! | [`auth`] | OAuth 2.0 client credentials and [`TokenCache`](auth::TokenCache) |
//! | [`vendor`] | what providers share: endpoint, codes, batches, delivery reports, connection URLs, signatures |
//!
//! A request goes to a [`BaseUrl`], which is https or loopback, so that credentials reach the host they were
//! configured for and no other.
//!
//! # What a failure proves
//!
//! A name that does not resolve, a refused connection and a failed TLS handshake prove that nothing left
//! ([`Acceptance::NotAccepted`](postduif_core::Acceptance::NotAccepted)). From the moment the body may have been
//! written, a deadline that passed is `Timeout`, a broken connection `Unavailable`, a redirect `Protocol`, and
//! acceptance is unknown. A response proves a refusal only by [evidence](Response::refused).
//!
//! # Runtime
//!
//! The client needs a tokio runtime with time and I/O enabled.

pub mod auth;
mod client;
pub mod vendor;

/// What the table macro [`codes!`] names.
#[doc(hidden)]
pub use postduif_core::ErrorKind;

pub use client::{
    BaseUrl, Client, ClientBuilder, Proof, Refusal, Request, Response, check_header_setting,
};
