//! The promises that every parser of delivery reports keeps.

pub mod promises;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{DeliveryReport, DeliveryStatus, ReportError, ReportParser, ReportRequest};

/// Makes a named test of every promise, for a [`FakeReports`]:
///
/// ```no_run
/// # struct Example;
/// # impl Example { const fn new() -> Self { Self } }
/// mod report_conformance {
///     // postduif_testkit::report_conformance!(Example::new());
/// }
/// ```
///
/// What does not apply passes and says so on standard error, as with [`conformance!`](crate::conformance).
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

/// What the suite must know of a vendor's delivery reports: how they look and how they are proven.
///
/// Write it from the vendor's documentation, not from the parser.
pub trait FakeReports: Clone + Send + Sync + 'static {
    /// The parser under test, built with [`Key::Right`].
    fn parser(&self) -> Arc<dyn ReportParser>;

    /// The secrets that the parser is built with, each at least 8 characters long. None of them may show
    /// anywhere.
    fn secrets(&self) -> Vec<String>;

    /// Each status that the vendor documents, as its wire has it, and what it means.
    fn statuses(&self) -> Vec<(String, DeliveryStatus)>;

    /// A status in the vendor's form that it does not document.
    fn unknown_status(&self) -> String;

    /// The vendor's request that reports this status of a message, without any proof: about `reference`, to
    /// [`RECIPIENT`], and with [`REPORTED_TEXT`] wherever the shape has room for words.
    fn report(&self, status: &str, reference: &str) -> ReportCall;

    /// A request with this content in the place of the report, without any proof. `None` where the report
    /// is in the URL.
    ///
    /// Defaults to the body of [`report`](Self::report), replaced.
    fn with_content(&self, content: &[u8]) -> Option<ReportCall> {
        let (status, _) = self.statuses().swap_remove(0);
        let mut call = self.report(&status, OUR_REFERENCE);
        call.body = content.to_vec();
        Some(call)
    }

    /// What [`report`](Self::report) says of the first of the [`statuses`](Self::statuses) beside the status, the
    /// reference and the recipient: the provider's name, and `id`, `part`, `code`, `at` and `price`, each `None`
    /// where the vendor does not say it.
    ///
    /// Defaults to `None`, and then these fields are not looked at.
    fn fields(&self) -> Option<DeliveryReport> {
        None
    }

    /// One request that reports all of these, in this order and without any proof: of each its status and its
    /// reference. An entry of `None` is one in which nobody can read a report, such as JSON's `null`.
    ///
    /// Defaults to `None`, which says that the vendor's requests have one report each.
    fn list(&self, entries: &[Option<(&str, &str)>]) -> Option<ReportCall> {
        let _ = entries;
        None
    }

    /// The same request with the vendor's proof, made at this moment.
    fn prove(&self, call: ReportCall, at: DateTime<Utc>, key: Key) -> ReportCall;

    /// Where the proof is.
    fn proof(&self) -> Proof;

    /// How long before and after now a proof is believed. `None` where it says nothing of its time.
    ///
    /// Defaults to `None`.
    fn window(&self) -> Option<Duration> {
        None
    }

    /// Whether the proof covers the query of the URL, beside the body where there is one.
    ///
    /// Defaults to no.
    fn signs_query(&self) -> bool {
        false
    }
}

/// Whom the reports of the suite are about.
pub const RECIPIENT: &str = "+31612345678";

/// What stands wherever a vendor's report has room for words.
pub const REPORTED_TEXT: &str = "Your code is 482910";

/// A reference in our own form.
pub(crate) const OUR_REFERENCE: &str = "01J9Z8Q4T6M2V7X3";

/// The secret that a report is proven with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Key {
    /// The one that the parser was built with.
    Right,
    /// Another of the same form.
    Wrong,
}

/// Where a proof is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Proof {
    /// In this header.
    Header(&'static str),
    /// In this parameter of the query.
    Parameter(&'static str),
    /// The last segment of the path is a secret of our own.
    Path,
}

/// A request that reports something.
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

    fn parse(
        &self,
        parser: &dyn ReportParser,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        let request = ReportRequest::new(&self.method, &self.url, &headers, &self.body);
        parser.parse(&request, now)
    }
}

impl std::fmt::Debug for ReportCall {
    /// Neither URL nor headers nor body: they hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReportCall")
            .field("method", &self.method)
            .field("body_length", &self.body.len())
            .finish_non_exhaustive()
    }
}
