//! A pretend world for Postduif: SMS vendors, Microsoft Graph and Entra on loopback.
//!
//! It speaks their own wire over real sockets, credentials, tokens and quirks included, and can be
//! told to go wrong in every way that a vendor, a gateway or a network does: see [`Fault`]. It
//! depends on no other crate of Postduif, so that it can disagree with them.
//!
//! In a test:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use postduif_sandbox::{CalloutKind, Cast, Sandbox};
//!
//! let sandbox = Sandbox::start().await;
//! let callout = sandbox.callout(Cast::JOINER, CalloutKind::Lifecycle).unwrap();
//! assert_eq!(callout.body["data"]["subject"]["id"], Cast::JOINER);
//! assert!(sandbox.sms_url("kpn").starts_with("kpn://sandbox:sandbox@127.0.0.1:"));
//! # }
//! ```
//!
//! From another process: `cargo run -p postduif-sandbox`, and the calls below `/_sandbox`, which
//! do what [`Sandbox`] does.
//!
//! # Faults
//!
//! A [`FaultSpec`] names a point where a fault strikes (`kpn.token`, `kpn.send`, `login`,
//! `graph.user`, `graph.roles`, `graph.tap`, `graph.tap_list`, `graph.tap_revoke`,
//! `graph.resume`), the fault, and how often. Faults of one point strike in the order they were
//! set. One that claims success, such as [`Fault::NotJson`], spoils an acceptance only: a request
//! that is refused anyway is refused as ever.
//!
//! # Secrets
//!
//! Everything here is pretence, the secrets too. `requests` and `Debug` still leave them out, so
//! that a search for leaked secrets over a whole test's output finds those of the program under
//! test only. [`SentMessage::text`] and [`Pass::secret`] are there to be looked at.

mod callout;
mod cast;
mod control;
mod directory;
mod error;
mod execution;
mod fault;
mod graph;
mod guid;
mod log;
mod login;
mod parts;
mod pass;
mod point;
mod post;
mod random;
mod record;
mod sandbox;
mod serve;
mod sign;
mod token;
mod vendors;
mod wire;
mod world;

pub use callout::CalloutOrder;
pub use cast::Cast;
pub use error::SandboxError;
pub use fault::{Fault, FaultSpec};
pub use record::{
    Callout, CalloutKind, Hostile, Pass, Resume, ResumeKind, SeenRequest, SentMessage,
};
pub use sandbox::{Sandbox, SandboxBuilder, SetFault};

/// The tenant.
const TENANT: &str = "7e4a4700-0000-4000-8000-000000000001";

/// The application that onboards people.
const CLIENT_ID: &str = "sandbox";

/// The application for which Entra's call-outs are meant.
const AUDIENCE: &str = "7e4a4700-0000-4000-8000-000000000002";
