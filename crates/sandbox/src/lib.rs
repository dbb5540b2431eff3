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
//! From another process: `cargo run -p postduif-sandbox`, and the calls below `/_sandbox`.
//!
//! # Calls below `/_sandbox`
//!
//! They do what [`Sandbox`] does. Bodies and answers are JSON; a member without a default must be there. A wrong
//! body is a 400 with `{"error":{"message":…}}`, which lists the names that exist.
//!
//! | call | what it does |
//! | --- | --- |
//! | `GET /_sandbox` | what a program needs to use the sandbox: `tenant`, `client_id`, `audience`, `issuer`, `graph`, `login`, `callers`, a connection URL for each vendor in `urls`, Vonage's private key in `vonage`, and `foreign_requests`, the number of requests that followed a redirect |
//! | `DELETE /_sandbox` | everything back to the start, as [`Sandbox::reset`]; 204 |
//! | `GET /_sandbox/messages` | the texts that vendors accepted, in order, as [`SentMessage`] |
//! | `GET /_sandbox/requests` | the requests, in order, as [`SeenRequest`]: no secrets |
//! | `GET /_sandbox/passes` | the passes, as [`Pass`] |
//! | `GET /_sandbox/resumes` | the calls that resumed something or tried to, as [`Resume`] |
//! | `GET /_sandbox/users` | the Graph user objects, [`Cast`] first |
//! | `POST /_sandbox/users` | adds or replaces a user, as [`Sandbox::put_user`]; answers the user |
//! | `GET /_sandbox/faults` | the faults that have not struck for the last time |
//! | `POST /_sandbox/faults` | sets a fault, as [`FaultSpec`]: `at` (a point), `fault` (a [`Fault::name`]), `times` (defaults to 1), `ms` (defaults to the fault's own); answers the fault |
//! | `DELETE /_sandbox/faults` | removes all faults; 204 |
//! | `POST /_sandbox/callouts` | calls out as Entra, as [`CalloutOrder`]: `user` (defaults to [`Cast::JOINER`]), `kind` (`lifecycle`, the default, or `access_package`), `window` (such as `PT30M`), `repeat` (0, the default, or 1), `hostile` (a [`Hostile::name`]), `target` (a URL; without one nothing is called); answers a [`Callout`] |
//! | `POST /_sandbox/reports` | reports as a vendor, as [`ReportOrder`]: `reference` or `id` (which text), `status` (a [`ReportStatus::name`]), `to`, `code`, `target` (a URL; defaults to the text's own); for Vonage's SMS API also `form` and `signature_method`; answers `{"status":…}`, what the target answered |
//!
//! ```sh
//! # The next token that KPN is asked for never comes.
//! curl -d '{"at":"kpn.token","fault":"stall"}' http://127.0.0.1:8160/_sandbox/faults
//! # A vendor reports that a text has arrived.
//! curl -d '{"reference":"0M1A2B3C","status":"delivered"}' http://127.0.0.1:8160/_sandbox/reports
//! ```
//!
//! # Vendors
//!
//! [`Sandbox::vendors`] names them. [`Sandbox::sms_url`] returns a connection URL for each, with good
//! credentials, and [`Sandbox::other_sms_urls`] one for each other API. A vendor's paths are its own, behind
//! its name: a text goes to KPN by `POST /kpn/communication/kpn/sms/send`. All APIs and hosts of a vendor
//! share that prefix, since their paths do not collide.
//!
//! Vonage also accepts a token of the application `sandbox`, signed with [`Sandbox::vonage_private_key`].
//!
//! Each refuses what its pages say that it refuses. Where pages leave a choice, the sandbox takes the
//! one that is harder on the caller: no number in a form that is not promised, and no character
//! outside GSM 03.38 where a vendor is not asked for more.
//!
//! # Faults
//!
//! A [`FaultSpec`] names a point where a fault strikes, the fault, and how often.
//! [`Sandbox::fault_points`] lists the points: each vendor has `….send`, and its other calls have points
//! such as `kpn.token` and `cm.balance`; beside them are `login` and those that begin with `graph.`. Faults
//! of one point strike in the order they were set. One that claims success, such as [`Fault::NotJson`],
//! spoils an acceptance only: a request that is refused anyway is refused as ever.
//!
//! A key that lives for ever has no life to take: with the vendors that have no tokens,
//! [`Fault::UnauthorizedOnce`] is one refusal. [`Fault::WrongOrder`] and [`Fault::MissingEntry`] change
//! an answer that has a list in it, and no other. CM gives no ids: [`Fault::OkWithoutId`] leaves out
//! the reference, which stands for one there.
//!
//! # Delivery reports
//!
//! [`Sandbox::report`] makes the request by which a vendor reports on a text, and
//! [`Sandbox::deliver_report`] sends it. Every signing secret is `sandbox`; MessageBird's platform
//! writes that as `whsec_c2FuZGJveA==`. CM and Spryng sign nothing: a target's path or query may hold a
//! secret of the receiver's own. KPN adds the query of the text's own `webhook_url`, in which the
//! caller's reference stands.
//!
//! # Secrets
//!
//! Everything here is pretence, the secrets too. `requests` and `Debug` still leave them out, so
//! that a search for leaked secrets over a whole test's output finds those of the program under
//! test only. [`SentMessage::text`] and [`Pass::secret`] are there to be looked at.

mod callout;
mod client;
mod control;
mod digest;
mod directory;
mod entra_token;
mod error;
mod execution;
mod fault;
mod fault_point;
mod fault_spec;
mod graph;
mod guid;
mod history;
mod http;
mod idempotency;
mod login;
mod pass;
mod random;
mod record;
mod report;
mod report_sender;
mod sandbox;
mod segments;
mod serve;
mod services;
mod token;
mod users;
mod vendors;
mod world;

pub use callout::CalloutOrder;
pub use error::SandboxError;
pub use fault::Fault;
pub use fault_spec::FaultSpec;
pub use record::{
    Callout, CalloutKind, Hostile, Pass, Resume, ResumeKind, SeenRequest, SentMessage,
};
pub use report::{ReceiptForm, Report, ReportOrder, ReportStatus, SignatureMethod};
pub use sandbox::{Sandbox, SandboxBuilder, SetFault};
pub use users::Cast;

/// The tenant.
const TENANT: &str = "7e4a4700-0000-4000-8000-000000000001";

/// The application that onboards people.
const CLIENT_ID: &str = "sandbox";

/// The application for which Entra's call-outs are meant.
const AUDIENCE: &str = "7e4a4700-0000-4000-8000-000000000002";
