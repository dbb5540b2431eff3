//! Tokens: their sources, their cache, and when a request is repeated with a new one.

mod fetch;
mod oauth;
mod token;

pub use fetch::SharedFetch;
pub use oauth::{ClientCredentials, TokenStyle};
pub use token::{Token, TokenCache, TokenSource, TokenVerdict};
