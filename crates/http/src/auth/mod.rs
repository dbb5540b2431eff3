//! Tokens: their sources, their cache, and when a request is repeated with a new one.

mod oauth;
mod token;

pub use oauth::{ClientCredentials, TokenStyle};
pub use token::{Token, TokenCache, TokenSource, TokenVerdict};
