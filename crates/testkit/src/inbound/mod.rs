//! The suite of promises that every parser of inbound messages keeps.

pub mod promises;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, DeliveryReport, DeliveryStatus, InboundMessage, InboundParser, ReportError,
    ReportParser, ReportRequest,
};

use crate::{FakeReports, Key, Proof, REPORTED_TEXT, ReportCall, report::promises::now};

/// Makes a named test of every promise, for a [`FakeInbound`]:
///
/// ```
/// # mod postduif {
/// #     pub use postduif_core::*;
/// #     pub use {chrono, postduif_http as http};
/// #     pub extern crate postduif_testkit as testing;
/// # }
/// # use postduif::chrono::{DateTime, Utc};
/// # use postduif::http::vendor::reports::PathSecrets;
/// # use postduif::{Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportParser, ReportRequest};
/// # use postduif::testing::{Key, Proof};
/// # use serde_json::Value;
/// # const SECRET: &str = "acme-r0ute-secret-1";
/// # #[derive(Debug)]
/// # struct Acme(PathSecrets);
/// # impl Acme {
/// #     fn new() -> Self { Self(PathSecrets::new("acme", vec![SECRET.into()]).unwrap()) }
/// #     fn body(&self, request: &ReportRequest<'_>) -> Result<Value, ReportError> {
/// #         self.0.verify(request.url())?;
/// #         let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
/// #         let known = body["status"].is_string() || body["text"].is_string();
/// #         if known { Ok(body) } else { Err(ReportError::malformed("not Acme's")) }
/// #     }
/// # }
/// # impl ReportParser for Acme {
/// #     fn authenticity(&self) -> Authenticity { Authenticity::Unsigned }
/// #     fn parse(&self, request: &ReportRequest<'_>, _: DateTime<Utc>) -> Result<Vec<DeliveryReport>, ReportError> {
/// #         let body = self.body(request)?;
/// #         let report = DeliveryReport::new("acme", DeliveryStatus::Delivered);
/// #         Ok(body["status"].is_string().then_some(report).into_iter().collect())
/// #     }
/// # }
/// # impl InboundParser for Acme {
/// #     fn authenticity(&self) -> Authenticity { Authenticity::Unsigned }
/// #     fn parse(&self, request: &ReportRequest<'_>, _: DateTime<Utc>) -> Result<Vec<InboundMessage>, ReportError> {
/// #         let body = self.body(request)?;
/// #         let Some(text) = body["text"].as_str() else { return Ok(Vec::new()) };
/// #         let from = body["from"].as_str().and_then(|from| from.parse().ok());
/// #         let from = from.ok_or(ReportError::malformed("no sender"))?;
/// #         let mut message = InboundMessage::new("acme", from, text);
/// #         message.id = body["id"].as_str().map(str::to_owned);
/// #         Ok(vec![message])
/// #     }
/// # }
/// # #[derive(Clone)]
/// # struct FakeAcme;
/// # impl FakeReports for FakeAcme {
/// #     fn parser(&self) -> Arc<dyn ReportParser> { Arc::new(Acme::new()) }
/// #     fn secrets(&self) -> Vec<String> { vec![SECRET.to_owned()] }
/// #     fn statuses(&self) -> Vec<(String, DeliveryStatus)> { vec![("done".into(), DeliveryStatus::Delivered)] }
/// #     fn unknown_status(&self) -> String { "parked".to_owned() }
/// #     fn report(&self, status: &str, _: &str) -> ReportCall {
/// #         ReportCall::post("https://hooks.example.test/acme", json!({"status": status}).to_string())
/// #     }
/// #     fn prove(&self, mut call: ReportCall, _: DateTime<Utc>, key: Key) -> ReportCall {
/// #         let secret = if key == Key::Right { SECRET } else { "acme-r0ute-secret-2" };
/// #         call.url = format!("{}/{secret}", call.url);
/// #         call
/// #     }
/// #     fn proof(&self) -> Proof { Proof::Path }
/// # }
/// use std::sync::Arc;
///
/// use postduif::testing::{FakeInbound, FakeReports, RECIPIENT, ReportCall};
/// use postduif::{InboundMessage, InboundParser};
/// use serde_json::json;
///
/// /// Acme as its documentation describes it: it posts `{"id", "from", "text"}` to the same URL as its reports.
/// #[derive(Clone)]
/// struct AcmeInbound;
///
/// impl FakeInbound for AcmeInbound {
///     type Reports = FakeAcme; // as for report_conformance!
///
///     fn reports(&self) -> FakeAcme {
///         FakeAcme
///     }
///
///     fn parser(&self) -> Arc<dyn InboundParser> {
///         Arc::new(Acme::new()) // your parser
///     }
///
///     fn message(&self, text: &str) -> ReportCall {
///         let body = json!({"id": "in-1", "from": RECIPIENT, "text": text});
///         ReportCall::post("https://hooks.example.test/acme", body.to_string())
///     }
///
///     fn fields(&self) -> InboundMessage {
///         let mut message = InboundMessage::new("acme", RECIPIENT.parse().unwrap(), "");
///         message.id = Some("in-1".to_owned());
///         message
///     }
/// }
///
/// mod inbound_conformance {
/// #   use super::postduif;
///     postduif::testing::inbound_conformance!(super::AcmeInbound);
/// }
/// #
/// # fn main() {
/// #     use postduif::testing::inbound_promises as promises;
/// #     for verdict in [
/// #         promises::every_field_of_a_message_is_read(&AcmeInbound),
/// #         promises::a_text_is_kept_as_it_was_written(&AcmeInbound),
/// #         promises::an_opt_out_is_recognized(&AcmeInbound),
/// #         promises::a_delivery_report_is_no_message(&AcmeInbound),
/// #         promises::a_message_is_no_delivery_report(&AcmeInbound),
/// #         promises::no_text_and_no_number_of_a_message_is_shown(&AcmeInbound),
/// #     ] {
/// #         assert!(verdict.why_skipped().is_empty(), "{verdict:?}");
/// #     }
/// # }
/// ```
///
/// Besides the promises of [`inbound_promises`](crate::inbound_promises), these are those of
/// [`report_conformance!`](crate::report_conformance) about the proof and about hostile requests.
#[macro_export]
macro_rules! inbound_conformance {
    ($inbound:expr) => {
        $crate::inbound_conformance!(@each $inbound;
            every_field_of_a_message_is_read
            a_text_is_kept_as_it_was_written
            an_opt_out_is_recognized
            a_delivery_report_is_no_message
            a_message_is_no_delivery_report
            no_text_and_no_number_of_a_message_is_shown
        );
        $crate::report_conformance!(@each $crate::InboundProofs($inbound);
            an_unsigned_report_is_refused
            a_forged_report_is_refused
            a_stale_report_is_refused
            every_byte_of_the_proof_counts
            every_signed_byte_counts
            a_duplicate_proof_is_refused
            a_malformed_report_is_never_an_empty_success
            a_huge_report_does_no_harm
            random_bytes_do_no_harm
            no_secret_of_a_report_is_shown
        );
    };
    (@each $inbound:expr; $($promise:ident)+) => {
        $(
            #[test]
            fn $promise() {
                $crate::inbound_promises::$promise(&$inbound).print_skipped(stringify!($promise));
            }
        )+
    };
}

/// A description of what a vendor sends for an inbound message, which the suite uses to simulate the vendor.
///
/// Write it from the vendor's documentation, not from the parser.
pub trait FakeInbound: Clone + Send + Sync + 'static {
    /// The vendor's delivery reports, which have the same proof and the same secrets.
    type Reports: FakeReports;

    /// Returns the description of the vendor's delivery reports.
    fn reports(&self) -> Self::Reports;

    /// Builds the parser under test, with the secret of [`Key::Right`].
    fn parser(&self) -> Arc<dyn InboundParser>;

    /// Returns the vendor's request for a message of [`RECIPIENT`](crate::RECIPIENT) with this text, without a proof.
    fn message(&self, text: &str) -> ReportCall;

    /// Returns a request with this content in place of the message, without a proof, or `None` if the message is in the
    /// URL.
    ///
    /// Defaults to [`message`](Self::message) with another body.
    fn with_content(&self, content: &[u8]) -> Option<ReportCall> {
        let mut call = self.message(REPORTED_TEXT);
        call.body = content.to_vec();
        Some(call)
    }

    /// Returns what the parser must read from a [`message`](Self::message). Its text is not looked at.
    fn fields(&self) -> InboundMessage;

    /// Adds the vendor's proof to a request, and reads it at the time of the proof. For tests of other shapes of a
    /// message than that of [`message`](Self::message).
    ///
    /// # Errors
    ///
    /// Returns the error of the parser.
    fn read(&self, call: ReportCall) -> Result<Vec<InboundMessage>, ReportError> {
        let call = self.reports().prove(call, now(), Key::Right);
        call.with_request(|request| self.parser().parse(request, now()))
    }
}

/// The proofs of inbound messages as those of delivery reports, for the promises that both keep.
#[derive(Clone, Debug)]
#[doc(hidden)]
#[expect(clippy::exhaustive_structs, reason = "a macro makes it")]
pub struct InboundProofs<I>(pub I);

impl<I: FakeInbound> FakeReports for InboundProofs<I> {
    fn parser(&self) -> Arc<dyn ReportParser> {
        Arc::new(AsReports(self.0.parser()))
    }

    fn secrets(&self) -> Vec<String> {
        self.0.reports().secrets()
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        vec![(String::new(), DeliveryStatus::Unknown)]
    }

    fn unknown_status(&self) -> String {
        String::new()
    }

    fn report(&self, _: &str, _: &str) -> ReportCall {
        self.0.message(REPORTED_TEXT)
    }

    fn with_content(&self, content: &[u8]) -> Option<ReportCall> {
        self.0.with_content(content)
    }

    fn prove(&self, call: ReportCall, at: DateTime<Utc>, key: Key) -> ReportCall {
        self.0.reports().prove(call, at, key)
    }

    fn proof(&self) -> Proof {
        self.0.reports().proof()
    }

    fn window(&self) -> Option<Duration> {
        self.0.reports().window()
    }

    fn signs_query(&self) -> bool {
        self.0.reports().signs_query()
    }
}

/// A parser of inbound messages as one of reports: one report for each message.
#[derive(Debug)]
struct AsReports(Arc<dyn InboundParser>);

impl ReportParser for AsReports {
    fn authenticity(&self) -> Authenticity {
        self.0.authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        let messages = self.0.parse(request, now)?;
        let report = |message: InboundMessage| {
            let mut report = DeliveryReport::new(message.provider, DeliveryStatus::Unknown);
            report.recipient = Some(message.from);
            report
        };
        Ok(messages.into_iter().map(report).collect())
    }
}
