//! The HTTP of Postduif: one locked [`Client`], a [`TokenCache`], and one place that decides what a failure
//! proves.
//!
//! Providers see [`Request`] and [`Answer`], never the library beneath. A request goes to a [`BaseUrl`],
//! which is https or loopback, so that credentials reach the host they were configured for and no other.
//!
//! What a failure is called: a name that does not resolve, a refused connection and a failed TLS handshake
//! prove that nothing left ([`Acceptance::NotAccepted`](postduif_core::Acceptance::NotAccepted)). From the
//! moment the request may have been written, a deadline that passed is `Timeout`, a broken connection
//! `Unavailable`, a redirect `Protocol`, and acceptance is unknown. An answer proves a refusal only by
//! [evidence](Answer::refused).

mod answer;
mod base_url;
mod body;
mod client;
mod failure;
mod oauth;
mod report;
mod request;
pub mod signature;
mod token;
mod vendor_url;

pub use answer::{Answer, Refusal};
pub use base_url::BaseUrl;
pub use client::{Client, ClientBuilder};
pub use oauth::{ClientCredentials, TokenStyle};
pub use report::{PathSecrets, ReportUrl, check_window, one_api, query_parameter, signing_secrets};
pub use request::{Request, check_header_setting};
pub use token::{Token, TokenCache, TokenSource};
pub use vendor_url::VendorUrl;
