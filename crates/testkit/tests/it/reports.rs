//! A correct parser of delivery reports, and the mistakes that a parser could make.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, DeliveryReport, DeliveryStatus, Price, ReportError, ReportParser, ReportRequest,
};
use postduif_http::vendor::{reports::check_window, signature::hmac_sha256};
use postduif_testkit::{
    FakeReports, Key, Proof, RECIPIENT, REPORTED_TEXT, ReportCall, Verdict, report_promises,
};
use serde_json::{Value, json};

/// One mistake of a parser, each of which breaks a promise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flaw {
    AcceptsAnySignature,
    AcceptsDuplicateSignature,
    AcceptsLongBodies,
    AcceptsUnsigned,
    ComparesTheBeginning,
    DropsCode,
    DropsForeignReference,
    DropsId,
    DropsPart,
    DropsPrice,
    DropsReference,
    DropsTime,
    EmptySuccess,
    IgnoresTime,
    LogsBody,
    MisreadsStatus,
    PanicsOnMany,
    PanicsOnText,
    ReadsTheFirst,
    RepeatsStatusOfFirst,
    ShowsSecret,
    ShowsText,
    SignsWithoutBlanks,
    UnknownIsError,
    UnknownIsFailure,
    UnreadableCostsAll,
}

const SECRET: &str = "acme-rep0rts-5d1e";
const WINDOW: Duration = Duration::from_secs(300);
const SIGNATURE: &str = "X-Acme-Signature";
const TIME: &str = "X-Acme-Time";

struct Parser(Option<Flaw>);

impl std::fmt::Debug for Parser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.has(Flaw::ShowsSecret) {
            SECRET
        } else {
            "Parser"
        })
    }
}

/// Returns the fields that are equal in every report of the vendor.
fn fields() -> DeliveryReport {
    let mut report = DeliveryReport::new("acme", DeliveryStatus::Delivered);
    report.id = Some("acme-1".to_owned());
    report.part = Some("2".to_owned());
    report.code = Some("104".to_owned());
    report.at = DateTime::from_timestamp(1_767_225_590, 0);
    report.price = Price::new("0.0750", "EUR").ok();
    report
}

fn signature(secret: &str, time: &str, body: &[u8]) -> String {
    let signed = [time.as_bytes(), b".", body].concat();
    let tag = hmac_sha256(&secret.into(), &signed);
    tag.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Parser {
    fn has(&self, flaw: Flaw) -> bool {
        self.0 == Some(flaw)
    }

    fn verify(&self, request: &ReportRequest<'_>, now: DateTime<Utc>) -> Result<(), ReportError> {
        let given = match request.header(SIGNATURE) {
            Err(_) if self.has(Flaw::AcceptsDuplicateSignature) => return Ok(()),
            given => given?,
        };
        let (given, time) = match (given, request.header(TIME)?) {
            (Some(given), Some(time)) => (given, time),
            _ if self.has(Flaw::AcceptsUnsigned) => return Ok(()),
            _ => return Err(ReportError::unsigned("the report is not signed")),
        };
        let body = match self.0 {
            Some(Flaw::SignsWithoutBlanks) => request.body().trim_ascii(),
            Some(Flaw::AcceptsLongBodies) if request.body().len() > 1_000_000 => return Ok(()),
            _ => request.body(),
        };
        let expected = signature(SECRET, time, body);
        let is_right = match self.0 {
            Some(Flaw::ComparesTheBeginning) => given.get(..32) == expected.get(..32),
            Some(Flaw::AcceptsAnySignature) => true,
            _ => given == expected,
        };
        if !is_right {
            return Err(ReportError::forged("the signature is wrong"));
        }
        let time = time
            .parse()
            .map_err(|_| ReportError::malformed("the time is no number"))?;
        if self.has(Flaw::IgnoresTime) {
            Ok(())
        } else {
            check_window(time, now, WINDOW)
        }
    }

    fn read(&self, entry: &Value) -> Option<Result<DeliveryReport, ReportError>> {
        let status = match entry.get("status")?.as_str()? {
            "done" if self.has(Flaw::MisreadsStatus) => DeliveryStatus::Sent,
            "done" => DeliveryStatus::Delivered,
            "lost" => DeliveryStatus::Failed,
            _ if self.has(Flaw::UnknownIsFailure) => DeliveryStatus::Failed,
            _ if self.has(Flaw::UnknownIsError) => {
                return Some(Err(ReportError::malformed("an unknown status")));
            }
            _ => DeliveryStatus::Unknown,
        };
        let mut report = DeliveryReport::new("acme", status);
        report.recipient = entry["to"].as_str().and_then(|to| to.parse().ok());
        if let Some(reference) = entry["reference"].as_str() {
            report = report.with_reference_text(reference);
        }
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        report.id = text("id");
        report.part = text("part");
        report.code = text("code");
        let at = entry["at"].as_i64();
        report.at = at.and_then(|at| DateTime::from_timestamp(at, 0));
        report.price = text("price").and_then(|amount| Price::new(&amount, "EUR").ok());
        match self.0 {
            Some(Flaw::DropsId) => report.id = None,
            Some(Flaw::DropsPart) => report.part = None,
            Some(Flaw::DropsCode) => report.code = None,
            Some(Flaw::DropsTime) => report.at = None,
            Some(Flaw::DropsPrice) => report.price = None,
            Some(Flaw::DropsReference) => report.reference = None,
            Some(Flaw::DropsForeignReference) => report.vendor_reference = None,
            Some(Flaw::ShowsText) => report.code = entry["words"].as_str().map(str::to_owned),
            _ => {}
        }
        Some(Ok(report))
    }
}

impl ReportParser for Parser {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Signed
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.verify(request, now)?;
        if self.has(Flaw::LogsBody) {
            tracing::debug!(body = %String::from_utf8_lossy(request.body()), "a report");
        }
        if self.has(Flaw::PanicsOnText) {
            assert!(str::from_utf8(request.body()).is_ok(), "no text");
        }
        let body: Value = serde_json::from_slice(request.body())
            .map_err(|_| ReportError::malformed("the report is not JSON"))?;
        let entries = match &body {
            Value::Array(entries) => entries.as_slice(),
            entry => std::slice::from_ref(entry),
        };
        if self.has(Flaw::PanicsOnMany) {
            assert!(entries.len() < 10_000, "too many");
        }
        let entries = match self.0 {
            Some(Flaw::ReadsTheFirst) => entries.get(..1).unwrap_or_default(),
            Some(Flaw::UnreadableCostsAll)
                if entries.iter().any(|entry| self.read(entry).is_none()) =>
            {
                return Err(ReportError::malformed("an entry is no report"));
            }
            _ => entries,
        };
        let read = entries.iter().filter_map(|entry| self.read(entry));
        let mut read = read.collect::<Result<Vec<_>, _>>()?;
        if self.has(Flaw::RepeatsStatusOfFirst)
            && let Some(status) = read.first().map(|report| report.status)
        {
            read.iter_mut().for_each(|report| report.status = status);
        }
        if read.is_empty() && !self.has(Flaw::EmptySuccess) {
            return Err(ReportError::malformed("the request holds no report"));
        }
        Ok(read)
    }
}

const URL: &str = "https://hooks.example.test/acme";

fn entry(status: &str, reference: &str) -> Value {
    json!({
        "status": status, "reference": reference, "to": RECIPIENT, "words": REPORTED_TEXT,
        "id": "acme-1", "part": "2", "code": "104", "at": 1_767_225_590, "price": "0.0750"
    })
}

/// The vendor's reports, and its parser with at most one mistake.
#[derive(Clone, Copy, Debug)]
struct Acme(Option<Flaw>);

impl FakeReports for Acme {
    fn parser(&self) -> Arc<dyn ReportParser> {
        Arc::new(Parser(self.0))
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        vec![
            ("done".to_owned(), DeliveryStatus::Delivered),
            ("lost".to_owned(), DeliveryStatus::Failed),
        ]
    }

    fn unknown_status(&self) -> String {
        "eaten".to_owned()
    }

    fn report(&self, status: &str, reference: &str) -> ReportCall {
        ReportCall::post(URL, entry(status, reference).to_string())
    }

    fn fields(&self) -> Option<DeliveryReport> {
        Some(fields())
    }

    fn list(&self, entries: &[Option<(&str, &str)>]) -> Option<ReportCall> {
        let entries = entries.iter().map(|told| match told {
            Some((status, reference)) => entry(status, reference),
            None => json!({"event": "inbound"}),
        });
        Some(ReportCall::post(
            URL,
            entries.collect::<Value>().to_string(),
        ))
    }

    fn prove(&self, call: ReportCall, at: DateTime<Utc>, key: Key) -> ReportCall {
        let secret = match key {
            Key::Right => SECRET,
            _ => "acme-an0ther-5d1e",
        };
        let time = at.timestamp().to_string();
        let signature = signature(secret, &time, &call.body);
        call.with_header(SIGNATURE, signature)
            .with_header(TIME, time)
    }

    fn proof(&self) -> Proof {
        Proof::Header(SIGNATURE)
    }

    fn window(&self) -> Option<Duration> {
        Some(WINDOW)
    }
}

mod a_right_parser_keeps {
    postduif_testkit::report_conformance!(super::Acme(None));
}

#[track_caller]
fn assert_broken(flaw: Flaw, promise: impl FnOnce(Acme) -> Verdict) {
    let verdict = catch_unwind(AssertUnwindSafe(|| promise(Acme(Some(flaw)))));
    assert!(verdict.is_err(), "{flaw:?} was not found: {verdict:?}");
}

/// Makes a test of each promise, which each of these mistakes breaks.
macro_rules! mistakes {
    ($($promise:ident: $($flaw:ident)+;)+) => {
        mod a_wrong_parser_breaks {
            use super::*;

            $(
                #[test]
                fn $promise() {
                    for flaw in [$(Flaw::$flaw),+] {
                        assert_broken(flaw, |reports| report_promises::$promise(&reports));
                    }
                }
            )+
        }

        const PROMISES: &[&str] = &[$(stringify!($promise)),+];

        #[test]
        fn nothing_is_skipped_for_a_vendor_that_signs_all() {
            $(
                let verdict = report_promises::$promise(&Acme(None));
                assert_eq!(verdict.why_skipped(), [""; 0], stringify!($promise));
            )+
        }
    };
}

mistakes! {
    a_genuine_report_is_accepted_and_finds_its_message: DropsReference;
    every_field_of_a_report_is_read: DropsId DropsPart DropsCode DropsTime DropsPrice;
    every_report_of_a_list_is_read: ReadsTheFirst RepeatsStatusOfFirst;
    an_unreadable_entry_loses_no_other: UnreadableCostsAll;
    every_documented_status_is_read: MisreadsStatus;
    an_unknown_status_is_not_a_failure: UnknownIsFailure UnknownIsError;
    a_foreign_reference_is_kept: DropsForeignReference;
    an_unsigned_report_is_refused: AcceptsUnsigned;
    a_forged_report_is_refused: AcceptsAnySignature AcceptsLongBodies;
    a_stale_report_is_refused: IgnoresTime;
    every_byte_of_the_proof_counts: ComparesTheBeginning;
    every_signed_byte_counts: SignsWithoutBlanks;
    a_duplicate_proof_is_refused: AcceptsDuplicateSignature;
    a_malformed_report_is_never_an_empty_success: EmptySuccess;
    a_huge_report_does_no_harm: PanicsOnMany;
    random_bytes_do_no_harm: PanicsOnText;
    no_secret_of_a_report_is_shown: ShowsSecret ShowsText LogsBody;
}

#[test]
fn every_promise_is_broken_by_a_flaw() {
    let source = include_str!("../../src/report/promises.rs");
    let promises: Vec<_> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub fn "))
        .filter_map(|rest| rest.split('(').next())
        .collect();
    assert_eq!(promises, PROMISES);
    let list = include_str!("../../src/report/mod.rs");
    for promise in promises {
        let line = format!("            {promise}\n");
        assert_eq!(list.matches(&line).count(), 1, "{promise}");
    }
}

#[test]
fn a_promise_that_does_not_apply_is_skipped_by_name() {
    #[derive(Clone)]
    struct Unsigned;

    #[derive(Debug)]
    struct ByPath(postduif_http::vendor::reports::PathSecrets);

    impl ReportParser for ByPath {
        fn authenticity(&self) -> Authenticity {
            Authenticity::Unsigned
        }

        fn parse(
            &self,
            request: &ReportRequest<'_>,
            _: DateTime<Utc>,
        ) -> Result<Vec<DeliveryReport>, ReportError> {
            self.0.verify(request.url())?;
            Err(ReportError::malformed("nothing is read"))
        }
    }

    const ROUTE: &str = "acme-r0ute-secret-1";

    impl FakeReports for Unsigned {
        fn parser(&self) -> Arc<dyn ReportParser> {
            let secrets =
                postduif_http::vendor::reports::PathSecrets::new("acme", vec![ROUTE.into()]);
            Arc::new(ByPath(secrets.unwrap()))
        }

        fn secrets(&self) -> Vec<String> {
            vec![ROUTE.to_owned()]
        }

        fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
            Acme(None).statuses()
        }

        fn unknown_status(&self) -> String {
            Acme(None).unknown_status()
        }

        fn report(&self, status: &str, reference: &str) -> ReportCall {
            let mut call = Acme(None).report(status, reference);
            call.method = "GET".to_owned();
            call.body = Vec::new();
            call
        }

        fn with_content(&self, _: &[u8]) -> Option<ReportCall> {
            None
        }

        fn prove(&self, mut call: ReportCall, _: DateTime<Utc>, key: Key) -> ReportCall {
            let secret = if key == Key::Right {
                ROUTE
            } else {
                "acme-r0ute-secret-2"
            };
            call.url = format!("{}/{secret}", call.url);
            call
        }

        fn proof(&self) -> Proof {
            Proof::Path
        }
    }

    use report_promises as promises;
    for verdict in [
        promises::every_field_of_a_report_is_read(&Unsigned),
        promises::every_report_of_a_list_is_read(&Unsigned),
        promises::an_unreadable_entry_loses_no_other(&Unsigned),
        promises::a_stale_report_is_refused(&Unsigned),
        promises::every_signed_byte_counts(&Unsigned),
        promises::a_duplicate_proof_is_refused(&Unsigned),
        promises::a_malformed_report_is_never_an_empty_success(&Unsigned),
        promises::a_huge_report_does_no_harm(&Unsigned),
    ] {
        assert_eq!(verdict.why_skipped().len(), 1, "{verdict:?}");
    }
    for verdict in [
        promises::an_unsigned_report_is_refused(&Unsigned),
        promises::a_forged_report_is_refused(&Unsigned),
        promises::every_byte_of_the_proof_counts(&Unsigned),
        promises::random_bytes_do_no_harm(&Unsigned),
        promises::no_secret_of_a_report_is_shown(&Unsigned),
    ] {
        assert_eq!(verdict.why_skipped(), [""; 0]);
    }
}
