//! Microsoft Entra for onboarding. [`Entra`] reads users, issues Temporary Access Passes and reports verdicts over
//! Microsoft Graph v1.0. [`CallerVerifier`] verifies who sends a request, and [`CalloutParser`] parses what Entra sends.
//!
//! ```
//! # mod postduif { pub use postduif_core::*; pub use postduif_entra as entra; }
//! use std::sync::Arc;
//!
//! use postduif::{directory::{Graph, TapIssuer}, entra::{CalloutParser, Credential, Entra, Parsed}};
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
//!     panic!("this call-out is about a user");
//! };
//! let user = callout.user().expect("the call-out names a user");
//! assert_eq!(user.to_string(), "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where requests go
//!
//! Requests go to the Graph root and the login authority of the [`Cloud`], and nowhere else. Every path is built from
//! parsed ids. No link in a response (`@odata.nextLink`, `Location`) and no `callbackUriPath` of a call-out is ever
//! requested.
//!
//! # What is retried
//!
//! A request is repeated once with a new token if its token was certainly refused. Every other error is returned with
//! Graph's [`retry_after`](postduif_core::directory::GraphError::retry_after). The caller has the deadline, so it
//! decides about further waits.
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
//! "Graph's shape" is a JSON object whose `error` is an object with a string `code`, which may be empty. It also needs
//! Graph's request id, a GUID, in the body's `innerError` or in the header `request-id`. Gateways use the error shape
//! of OData too, but have no such id.
//!
//! A read changes nothing, so a failed read is always not accepted. A revocation with unknown acceptance may have been
//! executed; repeating it is harmless.
//!
//! At [`resume`](postduif_core::directory::Graph::resume) a 404 in another shape is unknown too, since a proof would
//! end the retries there. A not accepted `Conflict`, `NotFound` or `Other` (409, 404, 400) is Graph's own response that
//! nothing waits any more. Only that counts as heard.
//!
//! An error keeps Graph's code if it is a plain word, Graph's request id if it is a GUID, and the time of the response.
//! It never keeps Graph's message, which repeats parts of the request.

mod caller;
mod callout;
mod client;
mod cloud;
mod credential;
mod error;
mod graph;
mod resume;
mod roles;
mod tap;

pub use caller::{Caller, CallerError, CallerErrorKind, CallerVerifier, CallerVerifierBuilder};
pub use callout::{CalloutError, CalloutErrorKind, CalloutParser, Parsed};
pub use client::{Entra, EntraBuilder};
pub use cloud::Cloud;
pub use credential::Credential;
