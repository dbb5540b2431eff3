//! Microsoft Entra as onboarding needs it: [`Entra`] reads people, issues Temporary Access Passes and tells
//! Entra how it went, all over Microsoft Graph v1.0; [`CalloutParser`] reads what Entra sends.
//!
//! ```
//! use std::sync::Arc;
//!
//! use postduif_core::directory::{Graph, TapIssuer};
//! use postduif_entra::{CalloutParser, Credential, Entra, Parsed};
//!
//! let credential = Credential::client_secret("contoso.onmicrosoft.com", "client-id", "client-secret");
//! let entra = Arc::new(Entra::builder(credential).build()?);
//! let (graph, issuer): (Arc<dyn Graph>, Arc<dyn TapIssuer>) = (entra.clone(), entra);
//!
//! let body = br#"{"data": {
//!     "subject": {"id": "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43"},
//!     "taskProcessingResult": {"id": "f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32"}
//! }}"#;
//! let received_at = std::time::SystemTime::now().into();
//! let Parsed::Callout(callout) = CalloutParser::new().parse(body, received_at)? else {
//!     panic!("this one is about a user");
//! };
//! let user = callout.user().expect("it names a user");
//! assert_eq!(user.to_string(), "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where requests go
//!
//! To the Graph root and the login authority of the [`Cloud`] and nowhere else. Every path is built from ids
//! that parsed as such; no link of an response (`@odata.nextLink`, `Location`) and no `callbackUriPath` of a
//! call-out is ever requested.
//!
//! # What is repeated
//!
//! Only a request whose token was refused for certain, once, with a new token. Everything else is told to the
//! caller as it is, with Graph's [`retry_after`](postduif_core::directory::GraphError::retry_after): who has the deadline
//! does the waiting, and a wait in two places would be a wait of unknown length.
//!
//! # What an error proves
//!
//! | response | kind | acceptance |
//! |---|---|---|
//! | no connection; no token | `Unavailable`, `Timeout`, `Unauthorized`, `Throttled`, `Protocol` | not accepted |
//! | no response, or not a whole one | `Unavailable`, `Timeout`, `Protocol` | unknown |
//! | 400 in Graph's shape | `Other`; `NotFound` where the code says so; at a pass, see [`TapIssuer::issue`](Entra#method.issue) | not accepted |
//! | 401, 403, 404, 409 in Graph's shape | `Unauthorized`, `Forbidden`, `NotFound`, `Conflict` | not accepted |
//! | 408 in Graph's shape | `Timeout` | unknown |
//! | any other status below 500 in Graph's shape | `Protocol` | not accepted |
//! | 401 with `WWW-Authenticate`, 429 | `Unauthorized`, `Throttled` | not accepted |
//! | 404, 405, 411, 413, 414, 415, 431 in another shape | `Protocol` | not accepted |
//! | any other status below 500 in another shape, a redirect | `Protocol` | unknown |
//! | from 500 up | `Unavailable` | unknown |
//! | a success that cannot be read | `Protocol` | unknown |
//!
//! "Graph's shape" is a JSON object whose `error` is an object with a text `code`, empty or not, and Graph's
//! request id, a GUID, in the body's `innerError` or in the header `request-id`: gateways use OData's form of
//! error too, and have no such id. A read does
//! nothing, so that its failure is always not accepted: it was certainly not done. Taking a pass away may have
//! been done where acceptance is unknown; repeating it is harmless.
//!
//! At [`resume`](postduif_core::directory::Graph::resume) a 404 in another shape is unknown too: there a proof would end
//! the tries. What that call says with acceptance not accepted and kind `Conflict`, `NotFound` or `Other` is
//! Graph's own word (409, 404, 400) that nobody waits any more: that, and nothing else, counts as heard.
//!
//! An error keeps Graph's code, where it is a plain word, Graph's id of the request, where it is a GUID, and when
//! Graph answered; never its message, which repeats what was sent.

mod callout;
mod client;
mod cloud;
mod credential;
mod error;
mod graph;
mod resume;
mod roles;
mod tap;

pub use callout::{CalloutError, CalloutErrorKind, CalloutParser, Parsed};
pub use client::{Entra, EntraBuilder};
pub use cloud::Cloud;
pub use credential::Credential;
