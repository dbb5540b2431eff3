//! What SMS providers are tested with: a [`Server`] that breaks off at every phase of a request, and a suite
//! of promises that every provider has to keep, ours or yours: [`conformance!`]. Parsers of delivery reports
//! have one of their own: [`report_conformance!`].
//!
//! So have journals of the onboarding flow, with the feature `journal`: `journal_conformance!`.
//!
//! And what programs that send texts are tested with: [`Recording`], a provider that answers as scripted.
//!
//! But for that feature it depends on `postduif-core` alone, so that a provider outside this workspace is tested by the same suite.

mod conformance;
mod fake;
#[cfg(feature = "journal")]
mod journal;
mod recording;
mod report;
mod server;
#[cfg(feature = "tls")]
mod tls;
mod watch;

pub use conformance::{Verdict, block_on, promises};
pub use fake::{DEADLINE, FakeVendor, Received};
#[cfg(feature = "journal")]
pub use journal::{FakeStore, promises as journal_promises};
pub use recording::{Call, Recording, Scripted};
pub use report::{
    FakeReports, Key, Proof, RECIPIENT, REPORTED_TEXT, ReportCall, promises as report_promises,
};
pub use server::{End, Greeting, HttpRequest, Reply, Server, refusing_address};
#[cfg(feature = "tls")]
pub use tls::Certificate;
