//! Tests for SMS providers: a [`Server`] that breaks off at any phase of a request, and [`conformance!`], the suite of
//! promises that every provider keeps.
//!
//! [`report_conformance!`] is the suite for parsers of delivery reports, [`inbound_conformance!`] for those of inbound
//! messages. `journal_conformance!`, with the feature `journal`, is the suite for journals of the onboarding flow.
//! `engine_conformance!`, with the feature `engine`, is the suite for stores of the queue.
//!
//! [`Recording`], a provider that replies as scripted, is for tests of programs that send texts.
//!
//! The module `sandbox`, with the feature `sandbox`, makes the requests by which vendors report deliveries and deliver
//! inbound texts, signed with a secret of yours, for tests of your own routes: see `ReportOrder` and `InboundOrder` there.
//! A [`ReportCall`] of one is what a parser reads.
//!
//! Without `engine`, `journal` and `sandbox` the crate depends on no other of the workspace but `postduif-core`, so a provider
//! elsewhere is tested by the same suite. In the crate `postduif` it is the module `testing`, with the feature `testing`.

mod conformance;
#[cfg(feature = "engine")]
mod engine;
mod fake;
mod inbound;
#[cfg(feature = "journal")]
mod journal;
mod recording;
mod report;
mod server;
#[cfg(feature = "tls")]
mod tls;
mod watch;

pub use conformance::{Verdict, block_on, promises};
#[cfg(feature = "engine")]
pub use engine::{FakeEngine, promises as engine_promises};
pub use fake::{DEADLINE, FakeVendor, Received};
pub use inbound::{FakeInbound, InboundProofs, promises as inbound_promises};
#[cfg(feature = "journal")]
pub use journal::{FakeStore, promises as journal_promises};
#[cfg(feature = "sandbox")]
pub use postduif_sandbox as sandbox;
pub use recording::{Call, Recording, Scripted};
pub use report::{
    FakeReports, Key, Proof, RECIPIENT, REPORTED_TEXT, ReportCall, promises as report_promises,
};
pub use server::{End, Greeting, HttpRequest, Reply, Server, refusing_address};
#[cfg(feature = "tls")]
pub use tls::Certificate;
