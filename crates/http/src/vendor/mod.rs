//! What the providers share. A vendor's crate is left with its wire types, a table of codes, one request and one
//! outcome.
//!
//! | part | purpose |
//! |---|---|
//! | [`Endpoint`], [`EndpointBuilder`], [`provider_builder!`](crate::provider_builder) | send one message, run the request of a `check`, create the receipt |
//! | [`Code`], [`codes!`](crate::codes) | list a vendor's codes, each with what it proves |
//! | [`batch`] | separates equal references, and finds the message of each verdict |
//! | [`reports`] | reads secrets, entries and fields of delivery reports |
//! | [`ConnectionUrl`], [`ReportUrl`] | parse the URLs of a configuration |
//! | [`signature`] | computes and verifies HMAC and JSON Web Tokens |
//! | [`WebhookSecrets`] | signs requests and verifies reports by Standard Webhooks |

pub mod batch;
mod codes;
mod connection_url;
mod endpoint;
mod json;
mod report_url;
pub mod reports;
pub mod signature;
mod standard_webhooks;

pub use codes::Code;
pub use connection_url::{ConnectionUrl, secret};
pub use endpoint::{Endpoint, EndpointBuilder, Fitted, FittedBatch};
pub use json::{check_about, has_value, is_given, price, text};
pub use report_url::ReportUrl;
pub use standard_webhooks::WebhookSecrets;
