//! The suite of promises that every parser of delivery reports keeps.

pub mod promises;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{DeliveryReport, DeliveryStatus, ReportError, ReportParser, ReportRequest};

/// Makes a named test of every promise, for a [`FakeReports`]:
///
/// ```
/// # mod postduif {
/// #     pub use postduif_core::*;
/// #     pub use {chrono, postduif_http as http};
/// #     pub extern crate postduif_testkit as testing;
/// # }
/// # use postduif::{Authenticity, DeliveryReport, ReportError, ReportRequest};
/// # #[derive(Debug)]
/// # struct Acme(postduif::http::vendor::reports::PathSecrets);
/// # impl Acme {
/// #     fn reports(secret: &str) -> Self {
/// #         Self(postduif::http::vendor::reports::PathSecrets::new("acme", vec![secret.into()]).unwrap())
/// #     }
/// # }
/// # impl ReportParser for Acme {
/// #     fn authenticity(&self) -> Authenticity { Authenticity::Unsigned }
/// #     fn parse(&self, request: &ReportRequest<'_>, _: DateTime<Utc>) -> Result<Vec<DeliveryReport>, ReportError> {
/// #         self.0.verify(request.url())?;
/// #         let malformed = || ReportError::malformed("this is not a report of Acme");
/// #         let body: Value = serde_json::from_slice(request.body()).map_err(|_| malformed())?;
/// #         let status = match body["status"].as_str().ok_or_else(malformed)? {
/// #             "done" => DeliveryStatus::Delivered,
/// #             "lost" => DeliveryStatus::Failed,
/// #             _ => DeliveryStatus::Unknown,
/// #         };
/// #         let mut report = DeliveryReport::new("acme", status);
/// #         report.recipient = body["to"].as_str().and_then(|to| to.parse().ok());
/// #         Ok(vec![report.with_reference_text(body["ref"].as_str().ok_or_else(malformed)?)])
/// #     }
/// # }
/// use std::sync::Arc;
///
/// use postduif::chrono::{DateTime, Utc};
/// use postduif::testing::{FakeReports, Key, Proof, RECIPIENT, ReportCall};
/// use postduif::{DeliveryStatus, ReportParser};
/// use serde_json::{Value, json};
///
/// /// Acme as its documentation describes it: it posts `{"status", "ref", "to"}` to a URL of ours, and does not sign.
/// #[derive(Clone)]
/// struct FakeAcme;
///
/// const SECRET: &str = "acme-r0ute-secret-1";
///
/// impl FakeReports for FakeAcme {
///     fn parser(&self) -> Arc<dyn ReportParser> {
///         Arc::new(Acme::reports(SECRET)) // your parser
///     }
///
///     fn secrets(&self) -> Vec<String> {
///         vec![SECRET.to_owned()]
///     }
///
///     fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
///         let statuses = [("done", DeliveryStatus::Delivered), ("lost", DeliveryStatus::Failed)];
///         statuses.map(|(status, meaning)| (status.to_owned(), meaning)).into()
///     }
///
///     fn unknown_status(&self) -> String {
///         "parked".to_owned()
///     }
///
///     fn report(&self, status: &str, reference: &str) -> ReportCall {
///         let body = json!({"status": status, "ref": reference, "to": RECIPIENT});
///         ReportCall::post("https://hooks.example.test/acme", body.to_string())
///     }
///
///     fn prove(&self, mut call: ReportCall, _: DateTime<Utc>, key: Key) -> ReportCall {
///         let secret = if key == Key::Right { SECRET } else { "acme-r0ute-secret-2" };
///         call.url = format!("{}/{secret}", call.url);
///         call
///     }
///
///     fn proof(&self) -> Proof {
///         Proof::Path
///     }
/// }
///
/// mod report_conformance {
/// #   use super::postduif;
///     postduif::testing::report_conformance!(super::FakeAcme);
/// }
/// #
/// # fn main() {
/// #     use postduif::testing::report_promises as promises;
/// #     for verdict in [
/// #         promises::a_genuine_report_is_accepted_and_finds_its_message(&FakeAcme),
/// #         promises::every_documented_status_is_read(&FakeAcme),
/// #         promises::an_unknown_status_is_not_a_failure(&FakeAcme),
/// #         promises::a_foreign_reference_is_kept(&FakeAcme),
/// #         promises::a_forged_report_is_refused(&FakeAcme),
/// #         promises::a_malformed_report_is_never_an_empty_success(&FakeAcme),
/// #         promises::no_secret_of_a_report_is_shown(&FakeAcme),
/// #     ] {
/// #         assert!(verdict.why_skipped().is_empty(), "{verdict:?}");
/// #     }
/// # }
/// ```
///
/// A promise that does not apply passes and prints so on standard error, as with [`conformance!`](crate::conformance).
#[macro_export]
macro_rules! report_conformance {
    ($reports:expr) => {
        $crate::report_conformance!(@each $reports;
            a_genuine_report_is_accepted_and_finds_its_message
            every_field_of_a_report_is_read
            every_report_of_a_list_is_read
            an_unreadable_entry_loses_no_other
            every_documented_status_is_read
            an_unknown_status_is_not_a_failure
            a_foreign_reference_is_kept
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
    (@each $reports:expr; $($promise:ident)+) => {
        $(
            #[test]
            fn $promise() {
                $crate::report_promises::$promise(&$reports).print_skipped(stringify!($promise));
            }
        )+
    };
}

/// A description of a vendor's delivery reports, which the suite uses to simulate the vendor: their shape and their proof.
///
/// Write it from the vendor's documentation, not from the parser.
pub trait FakeReports: Clone + Send + Sync + 'static {
    /// Builds the parser under test, with the secret of [`Key::Right`].
    fn parser(&self) -> Arc<dyn ReportParser>;

    /// Returns the secrets that the parser is built with, each at least 8 characters long. None may appear in any
    /// output.
    fn secrets(&self) -> Vec<String>;

    /// Returns each status that the vendor documents, as its wire has it, and its meaning.
    fn statuses(&self) -> Vec<(String, DeliveryStatus)>;

    /// Returns a status in the vendor's form that it does not document.
    fn unknown_status(&self) -> String;

    /// Returns the vendor's request that reports this status of the message with `reference`, without a proof.
    ///
    /// The recipient is [`RECIPIENT`], and each free text of the shape is [`REPORTED_TEXT`].
    fn report(&self, status: &str, reference: &str) -> ReportCall;

    /// Returns a request with this content in place of the report, without a proof, or `None` if the report is in the
    /// URL.
    ///
    /// Defaults to [`report`](Self::report) with another body.
    fn with_content(&self, content: &[u8]) -> Option<ReportCall> {
        let (status, _) = self.statuses().swap_remove(0);
        let mut call = self.report(&status, OUR_REFERENCE);
        call.body = content.to_vec();
        Some(call)
    }

    /// Returns the other fields of [`report`](Self::report) for the first of the [`statuses`](Self::statuses).
    ///
    /// They are the provider's name, and `id`, `part`, `code`, `at` and `price`, each `None` if the vendor does not
    /// report it.
    ///
    /// Defaults to `None`: these fields are then not compared.
    fn fields(&self) -> Option<DeliveryReport> {
        None
    }

    /// Returns one request that reports these pairs of status and reference, in this order and without a proof.
    ///
    /// `None` among the entries stands for one that holds no report, such as JSON's `null`.
    ///
    /// Defaults to `None`: the vendor's requests hold one report each.
    fn list(&self, entries: &[Option<(&str, &str)>]) -> Option<ReportCall> {
        let _ = entries;
        None
    }

    /// Adds the vendor's proof to a request, made at this time with this secret.
    fn prove(&self, call: ReportCall, at: DateTime<Utc>, key: Key) -> ReportCall;

    /// Returns where the proof is.
    fn proof(&self) -> Proof;

    /// Returns the maximum age of a proof, before or after now, or `None` if the proof has no time.
    ///
    /// Defaults to `None`.
    fn window(&self) -> Option<Duration> {
        None
    }

    /// Returns whether the proof covers the query of the URL, besides any body.
    ///
    /// Defaults to `false`.
    fn signs_query(&self) -> bool {
        false
    }
}

/// The recipient in the reports of the suite.
pub const RECIPIENT: &str = "+31612345678";

/// The value of each free text in the reports of the suite.
pub const REPORTED_TEXT: &str = "Your code is 482910";

/// A reference in our own form.
pub(crate) const OUR_REFERENCE: &str = "01J9Z8Q4T6M2V7X3";

/// The secret that a report is proven with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Key {
    /// The secret that the parser was built with.
    Right,
    /// Another secret of the same form.
    Wrong,
}

/// The position of a proof in a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Proof {
    /// This header.
    Header(&'static str),
    /// This parameter of the query.
    Parameter(&'static str),
    /// The last segment of the path, a secret of our own.
    Path,
}

/// A vendor's request that reports deliveries.
#[derive(Clone)]
#[non_exhaustive]
pub struct ReportCall {
    /// The method, in upper case.
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// The headers, as the vendor writes them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The raw body.
    pub body: Vec<u8>,
}

impl ReportCall {
    /// Creates a GET of this URL.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: "GET".to_owned(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Creates a POST of this body to this URL.
    #[must_use]
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST".to_owned(),
            body: body.into(),
            ..Self::get(url)
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Reads the request as this parser does at this time.
    ///
    /// # Errors
    ///
    /// Returns the error of the parser.
    pub fn parse(
        &self,
        parser: &dyn ReportParser,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.with_request(|request| parser.parse(request, now))
    }

    /// Calls `read` with the request, and returns what it returns: for an `InboundParser`, or a route of yours.
    pub fn with_request<T>(&self, read: impl FnOnce(&ReportRequest<'_>) -> T) -> T {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        read(&ReportRequest::new(
            &self.method,
            &self.url,
            &headers,
            &self.body,
        ))
    }
}

/// A request of the sandbox, such as one of `ReportOrder::request`.
#[cfg(feature = "sandbox")]
impl From<postduif_sandbox::VendorRequest> for ReportCall {
    fn from(request: postduif_sandbox::VendorRequest) -> Self {
        let headers = request.headers.into_iter();
        Self {
            method: request.method.to_owned(),
            url: request.url,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.into_bytes()))
                .collect(),
            body: request.body.into_bytes(),
        }
    }
}

impl std::fmt::Debug for ReportCall {
    /// Writes neither URL nor headers nor body: they hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReportCall")
            .field("method", &self.method)
            .field("body_length", &self.body.len())
            .finish_non_exhaustive()
    }
}
