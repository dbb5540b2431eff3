//! A simulated world for Postduif: SMS vendors, Microsoft Graph and Entra on loopback.
//!
//! The servers use the real wire formats over real sockets, credentials, tokens and quirks included. A
//! [`Fault`] makes a request fail as a vendor, a gateway or a network fails. The crate depends on no other
//! crate of Postduif, so that it can disagree with them.
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
//! They do what [`Sandbox`] does. Requests and responses are JSON; a member without a default is required. An
//! invalid request gets a 400 with `{"error":{"message":…}}`, which lists the names that exist.
//!
//! | call | what it does |
//! | --- | --- |
//! | `GET /_sandbox` | what a program needs to use the sandbox: `tenant`, `client_id`, `audience`, `issuer`, `graph`, `login`, `callers`, a connection URL for each vendor in `urls`, Vonage's private key in `vonage`, and `foreign_requests`, the number of requests that followed a redirect |
//! | `DELETE /_sandbox` | resets everything, as [`Sandbox::reset`]; 204 |
//! | `GET /_sandbox/messages` | the texts that vendors accepted, in order, as [`SentMessage`] |
//! | `GET /_sandbox/requests` | the requests, in order, as [`SeenRequest`]: no secrets |
//! | `GET /_sandbox/passes` | the passes, as [`Pass`] |
//! | `GET /_sandbox/resumes` | the resume requests, also the refused ones, as [`Resume`] |
//! | `GET /_sandbox/users` | the Graph user objects, [`Cast`] first |
//! | `POST /_sandbox/users` | adds or replaces a user, as [`Sandbox::put_user`]; returns the user |
//! | `GET /_sandbox/faults` | the faults that are still to strike |
//! | `POST /_sandbox/faults` | sets a fault, as [`FaultSpec`]: `at` (a point), `fault` (a [`Fault::name`]), `times` (defaults to 1), `ms` (defaults to the fault's own); returns the fault |
//! | `DELETE /_sandbox/faults` | removes all faults; 204 |
//! | `POST /_sandbox/callouts` | sends a call-out as Entra, as [`CalloutOrder`]: `user` (defaults to [`Cast::JOINER`]), `kind` (`lifecycle`, the default, or `access_package`), `window` (such as `PT30M`), `repeat` (0, the default, or 1), `token` (`v1` or `v2`, the default), `hostile` (a [`Hostile::name`]), `target` (a URL; without one nothing is sent); returns a [`Callout`] |
//! | `POST /_sandbox/reports` | sends a report as a vendor, as [`ReportOrder`]: `reference` or `id` (which text), `status` (a [`ReportStatus::name`]), `to`, `code`, `secret` and `at` (for a forged or an old one), `target` (a URL; defaults to the text's own); for Vonage's SMS API also `form` and `signature_method`; returns `{"status":…}`, the status of the target's response |
//! | `POST /_sandbox/inbound` | delivers an inbound text as a vendor, as [`InboundOrder`]: `vendor`, `api` (defaults to the vendor's first), `from`, `to`, `text`, `target` (a URL), and `secret`, `at`, `form` and `signature_method` as for a report; returns `{"status":…}` |
//!
//! ```sh
//! # The next request for a token of KPN gets no response.
//! curl -d '{"at":"kpn.token","fault":"stall"}' http://127.0.0.1:8160/_sandbox/faults
//! # A vendor reports that a text has arrived.
//! curl -d '{"reference":"0M1A2B3C","status":"delivered"}' http://127.0.0.1:8160/_sandbox/reports
//! ```
//!
//! # Vendors
//!
//! [`Sandbox::vendors`] names them. [`Sandbox::sms_url`] returns a connection URL for each, with good
//! credentials, and [`Sandbox::other_sms_urls`] one for each other API. A vendor's paths have its name as a
//! prefix: KPN accepts a text at `POST /kpn/communication/kpn/sms/send`. All APIs and hosts of a vendor
//! share that prefix, since their paths do not collide.
//!
//! Vonage also accepts a token of the application `sandbox`, signed with [`Sandbox::vonage_private_key`].
//!
//! Each vendor refuses what its documentation says it refuses. Where the documentation leaves a choice, the
//! sandbox is strict: it refuses a number in an undocumented form, and replaces a character outside
//! GSM 03.38 unless the request selects another encoding.
//!
//! # Look-ups
//!
//! An accepted text can be looked up as the vendor's documentation says, and shows the last status of a report that was
//! delivered, whether or not its target responded:
//!
//! | vendor | calls |
//! | --- | --- |
//! | CM | the transactions of a period, `GET /cm/v1.2/transactions` |
//! | MessageBird | `classic`: `GET /messagebird/messages` and `/{id}`; `platform`: `GET /messagebird/v1/sms/messages` and `/{id}`; `channels`: `/{id}` below its messages |
//! | Smstools | the log, `GET /smstools/v1/message/logging` |
//! | Spryng | `v2`: `GET /spryng/v2/messages/{id}`, `/spryng/v2/requests/{id}/messages`; `v1`: `GET /spryng/v1/messages` and `/{id}` |
//! | Twilio | `GET /twilio/2010-04-01/Accounts/{account}/Messages/{id}.json` |
//!
//! KPN, Vonage and the webhook gateway document none. The lists of Spryng's `v2` and of `channels`, and Smstools' outbox,
//! are left out, since the form of their responses is not known.
//!
//! # Faults
//!
//! A [`FaultSpec`] names a point where a fault strikes, the fault, and how often.
//! [`Sandbox::fault_points`] lists the points: each vendor has `….send`, and its other calls have points
//! such as `kpn.token` and `cm.balance`; the others are `login` (tokens), `login.metadata` (the discovery document),
//! `login.keys`, and those that begin with `graph.`. Faults
//! of one point strike in the order they were set. A fault that claims success, such as
//! [`Fault::NotJson`], changes only the response to an accepted request; a refusal stays as it is.
//!
//! Keys do not expire: for vendors without tokens, [`Fault::UnauthorizedOnce`] is a single refusal.
//! [`Fault::WrongOrder`] and [`Fault::MissingEntry`] change only responses that hold a list. CM has no ids:
//! there, [`Fault::OkWithoutId`] leaves out the reference.
//!
//! # Delivery reports and inbound texts
//!
//! [`Sandbox::report`] builds the request by which a vendor reports on a text, and
//! [`Sandbox::deliver_report`] sends it. [`ReportOrder::request`] builds it without a running sandbox, for a test of a
//! route. For inbound texts these are [`Sandbox::inbound`], [`Sandbox::deliver_inbound`] and [`InboundOrder::request`];
//! Spryng's `v1` documents none.
//!
//! Every signing secret is `sandbox` unless the order has another; MessageBird's platform
//! and the webhook gateway write it as `whsec_c2FuZGJveA==`. CM and Spryng do not sign: the receiver may put a secret of its own
//! in the target's path or query. KPN appends the query of the text's `webhook_url`, which holds the
//! caller's reference.
//!
//! # Secrets
//!
//! All secrets here are fake. `requests` and `Debug` leave them out nevertheless, so that a search of a
//! test's output for leaked secrets finds only those that the program under test leaked. Tests read
//! them from [`SentMessage::text`] and [`Pass::secret`].

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
mod inbound;
mod login;
mod names;
mod pass;
mod proof;
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
mod vendor_request;
mod vendors;
mod world;

pub use callout::CalloutOrder;
pub use error::SandboxError;
pub use fault::Fault;
pub use fault_spec::FaultSpec;
pub use inbound::InboundOrder;
pub use proof::{ReceiptForm, SignatureMethod};
pub use record::{
    Callout, CalloutKind, Hostile, Pass, Resume, ResumeKind, SeenRequest, SentMessage, TokenVersion,
};
pub use report::{ReportOrder, ReportStatus};
pub use sandbox::{Sandbox, SandboxBuilder, SetFault};
pub use users::Cast;
pub use vendor_request::VendorRequest;

/// The id of the tenant.
const TENANT: &str = "7e4a4700-0000-4000-8000-000000000001";

/// The id of the application that onboards people.
const CLIENT_ID: &str = "sandbox";

/// The audience of the tokens of Entra's call-outs: an application id.
const AUDIENCE: &str = "7e4a4700-0000-4000-8000-000000000002";
