//! What the providers share, so that a vendor's own file is its wire types, a table of codes, one request and one
//! outcome.
//!
//! | part | what it does |
//! |---|---|
//! | [`Endpoint`], [`EndpointBuilder`] | sends one message, probes for `check`, makes the receipt |
//! | [`Code`], [`codes!`](crate::codes) | a vendor's codes as a table, each with what it proves |
//! | [`batch`] | keeps equal references apart, and finds the message that a verdict is about |
//! | [`reports`] | secrets, entries and fields of delivery reports |
//! | [`ConnectionUrl`], [`ReportUrl`] | the URLs of a configuration |
//! | [`signature`] | HMAC and JSON Web Tokens |

pub mod batch;
mod codes;
mod connection_url;
mod endpoint;
mod json;
mod report_url;
pub mod reports;
pub mod signature;

pub use codes::Code;
pub use connection_url::{ConnectionUrl, secret};
pub use endpoint::{Endpoint, EndpointBuilder};
pub use json::{has_value, is_given, text};
pub use report_url::ReportUrl;
