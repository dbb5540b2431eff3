//! The promises of parsers of delivery reports, one function each, which panics if the promise is broken.

use std::time::Duration;

use chrono::{DateTime, Utc};
use postduif_core::{Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind};

use super::{FakeReports, Key, OUR_REFERENCE, Proof, RECIPIENT, ReportCall};
use crate::{
    Verdict,
    watch::{Watch, forms},
};

/// Returns a fixed time: a parser receives the time from its caller.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).expect("a time")
}

/// Returns a report of the first documented status, of a message of ours.
fn genuine(reports: &impl FakeReports) -> ReportCall {
    let (status, _) = reports.statuses().swap_remove(0);
    reports.report(&status, OUR_REFERENCE)
}

fn parse(
    reports: &impl FakeReports,
    call: &ReportCall,
) -> Result<Vec<DeliveryReport>, ReportError> {
    call.parse(&*reports.parser(), now())
}

fn proven(reports: &impl FakeReports, call: ReportCall) -> ReportCall {
    reports.prove(call, now(), Key::Right)
}

/// Returns the only report of a request with a right proof.
#[track_caller]
fn one(reports: &impl FakeReports, call: ReportCall, what: &str) -> DeliveryReport {
    let mut read = match parse(reports, &proven(reports, call)) {
        Ok(read) => read,
        Err(error) => panic!("{what}: refused: {error}"),
    };
    assert_eq!(read.len(), 1, "{what}: reports");
    read.remove(0)
}

#[track_caller]
fn assert_refused(reports: &impl FakeReports, call: &ReportCall, what: &str) -> ReportErrorKind {
    match parse(reports, call) {
        Ok(read) => panic!("{what}: accepted, as {read:?}"),
        Err(error) => error.kind(),
    }
}

/// Checks that a report with the vendor's proof is read, with the reference and the recipient.
pub fn a_genuine_report_is_accepted_and_finds_its_message(reports: &impl FakeReports) -> Verdict {
    let report = one(reports, genuine(reports), "a genuine report");
    let reference = report.reference.map(|reference| reference.to_string());
    assert_eq!(reference.as_deref(), Some(OUR_REFERENCE));
    assert_eq!(report.vendor_reference, None);
    assert!(!report.provider.is_empty());
    match report.recipient {
        Some(recipient) => {
            assert_eq!(recipient.to_string(), RECIPIENT);
            Verdict::kept()
        }
        None => Verdict::skipped("the vendor's report names no recipient"),
    }
}

/// Checks that the provider, the id, the part, the code, the time and the price of a report are read.
pub fn every_field_of_a_report_is_read(reports: &impl FakeReports) -> Verdict {
    let Some(expected) = reports.fields() else {
        return Verdict::skipped("FakeReports::fields describes no field of a report");
    };
    let report = one(reports, genuine(reports), "a genuine report");
    assert_eq!(report.provider, expected.provider, "provider");
    assert_eq!(report.id, expected.id, "id");
    assert_eq!(report.part, expected.part, "part");
    assert_eq!(report.code, expected.code, "code");
    assert_eq!(report.at, expected.at, "at");
    assert_eq!(report.price, expected.price, "price");
    Verdict::kept()
}

/// References of our form, one for each report of a list.
const LISTED: [&str; 3] = ["01J9Z8Q4T6M2V7X3", "01J9Z8Q4T6M2V7X4", "01J9Z8Q4T6M2V7X5"];

/// Checks the references and statuses read from a list of three, with `unreadable` entries at these indices.
#[track_caller]
fn assert_list(reports: &impl FakeReports, unreadable: &[usize], what: &str) -> Verdict {
    let statuses = reports.statuses();
    let listed: Vec<_> = LISTED
        .iter()
        .zip(statuses.iter().cycle())
        .map(|(reference, (status, expected))| (status.as_str(), *reference, *expected))
        .collect();
    let entry = |(status, reference, _): &(_, _, _)| Some((*status, *reference));
    let mut entries: Vec<_> = listed.iter().map(entry).collect();
    for index in unreadable {
        entries.insert(*index, None);
    }
    let Some(call) = reports.list(&entries) else {
        return Verdict::skipped("FakeReports::list describes no request with several reports");
    };
    let read = match parse(reports, &proven(reports, call)) {
        Ok(read) => read,
        Err(error) => panic!("{what}: refused: {error}"),
    };
    let read: Vec<_> = read
        .into_iter()
        .map(|report| {
            let reference = report.reference.map(|reference| reference.to_string());
            (reference.unwrap_or_default(), report.status)
        })
        .collect();
    let expected: Vec<_> = listed
        .iter()
        .map(|(_, reference, status)| ((*reference).to_owned(), *status))
        .collect();
    assert_eq!(read, expected, "{what}");
    Verdict::kept()
}

/// Checks that every report of a list is read, in order, with its own reference and status.
pub fn every_report_of_a_list_is_read(reports: &impl FakeReports) -> Verdict {
    assert_list(reports, &[], "a list")
}

/// Checks that the readable reports of a list are read, whatever else is in it.
pub fn an_unreadable_entry_loses_no_other(reports: &impl FakeReports) -> Verdict {
    let mut verdict = Verdict::kept();
    for (unreadable, what) in [
        (&[0][..], "an unreadable entry before"),
        (&[1][..], "an unreadable entry between"),
        (&[3][..], "an unreadable entry after"),
        (&[0, 2, 4][..], "unreadable entries everywhere"),
    ] {
        verdict = assert_list(reports, unreadable, what);
    }
    verdict
}

/// Checks that every documented status is read with its meaning.
pub fn every_documented_status_is_read(reports: &impl FakeReports) -> Verdict {
    for (status, expected) in reports.statuses() {
        let report = one(reports, reports.report(&status, OUR_REFERENCE), &status);
        assert_eq!(report.status, expected, "{status}");
    }
    Verdict::kept()
}

/// Checks that an undocumented status is read as `Unknown`, neither as a failure nor as an error.
pub fn an_unknown_status_is_not_a_failure(reports: &impl FakeReports) -> Verdict {
    let status = reports.unknown_status();
    let report = one(reports, reports.report(&status, OUR_REFERENCE), &status);
    assert_eq!(report.status, DeliveryStatus::Unknown, "{status}");
    Verdict::kept()
}

/// Checks that a reference of another system on the same account is kept as text.
pub fn a_foreign_reference_is_kept(reports: &impl FakeReports) -> Verdict {
    let (status, _) = reports.statuses().swap_remove(0);
    for theirs in ["their-ref-42", "f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32"] {
        let report = one(reports, reports.report(&status, theirs), theirs);
        assert_eq!(report.vendor_reference.as_deref(), Some(theirs));
        assert_eq!(report.reference, None);
    }
    Verdict::kept()
}

/// Checks that a report without a proof is refused as `Unsigned`.
pub fn an_unsigned_report_is_refused(reports: &impl FakeReports) -> Verdict {
    let kind = assert_refused(reports, &genuine(reports), "without a proof");
    assert_eq!(kind, ReportErrorKind::Unsigned);
    Verdict::kept()
}

/// Checks that a report proven with another secret is refused as `Forged`, also a very long one.
pub fn a_forged_report_is_refused(reports: &impl FakeReports) -> Verdict {
    let forged = reports.prove(genuine(reports), now(), Key::Wrong);
    let kind = assert_refused(reports, &forged, "with another secret");
    assert_eq!(kind, ReportErrorKind::Forged);
    for length in PADDINGS {
        if let Some(call) = padded(reports, length) {
            let forged = reports.prove(call, now(), Key::Wrong);
            let what = format!("with another secret and {length} blanks");
            let kind = assert_refused(reports, &forged, &what);
            assert_eq!(kind, ReportErrorKind::Forged, "{what}");
        }
    }
    Verdict::kept()
}

/// Numbers of blanks after a report that make it longer than any bound on what is verified.
const PADDINGS: [usize; 3] = [70_000, 1_100_000, 5_000_000];

/// Returns a genuine report with `length` blanks after it, which change nothing, or `None` if it is in the URL.
fn padded(reports: &impl FakeReports, length: usize) -> Option<ReportCall> {
    let mut body = genuine(reports).body;
    if body.is_empty() {
        return None;
    }
    body.resize(body.len() + length, b' ');
    reports.with_content(&body)
}

/// Checks that a proof outside its window is refused as `Stale`, before and after.
pub fn a_stale_report_is_refused(reports: &impl FakeReports) -> Verdict {
    let Some(window) = reports.window() else {
        return Verdict::skipped("the proof has no time");
    };
    let outside = window + Duration::from_secs(120);
    for (at, what) in [(now() - outside, "too old"), (now() + outside, "too new")] {
        let call = reports.prove(genuine(reports), at, Key::Right);
        let kind = assert_refused(reports, &call, what);
        assert_eq!(kind, ReportErrorKind::Stale, "{what}");
    }
    let recent = reports.prove(genuine(reports), now() - window / 2, Key::Right);
    assert!(parse(reports, &recent).is_ok(), "a recent one is accepted");
    Verdict::kept()
}

/// Changes one byte of a text; `None` if the result is not UTF-8.
fn flipped(text: &str, index: usize) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    bytes[index] ^= 1;
    String::from_utf8(bytes).ok()
}

/// Returns the range of the proof's value in a URL, or `None` if it is in a header.
fn span(url: &str, proof: Proof) -> Option<std::ops::Range<usize>> {
    match proof {
        Proof::Header(_) => None,
        Proof::Parameter(name) => {
            let start = ['?', '&']
                .iter()
                .find_map(|before| {
                    let name = format!("{before}{name}=");
                    url.find(&name).map(|at| at + name.len())
                })
                .expect("the proof is in the query");
            let end = url[start..]
                .find(['&', '#'])
                .map_or(url.len(), |at| start + at);
            Some(start..end)
        }
        Proof::Path => {
            let end = url.find(['?', '#']).unwrap_or(url.len());
            let start = url[..end].rfind('/').expect("a path") + 1;
            Some(start..end)
        }
    }
}

/// Checks that a signature or secret with one byte changed or cut off is refused.
pub fn every_byte_of_the_proof_counts(reports: &impl FakeReports) -> Verdict {
    let call = proven(reports, genuine(reports));
    if let Some(span) = span(&call.url, reports.proof()) {
        assert!(!span.is_empty(), "a proof");
        for index in span.clone() {
            let mut forged = call.clone();
            if let Some(url) = flipped(&call.url, index) {
                forged.url = url;
                assert_refused(reports, &forged, &format!("byte {index} of the URL"));
            }
        }
        for end in span.start..span.end {
            let mut forged = call.clone();
            forged.url.replace_range(end..span.end, "");
            assert_refused(reports, &forged, "a proof that is cut short");
        }
        return Verdict::kept();
    }
    let Proof::Header(name) = reports.proof() else {
        unreachable!("every other proof is in the URL");
    };
    let header = |call: &ReportCall| {
        let headers = &mut call.headers.iter();
        headers.position(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    let index = header(&call).expect("the proof is in its header");
    for byte in 0..call.headers[index].1.len() {
        let mut forged = call.clone();
        forged.headers[index].1[byte] ^= 1;
        assert_refused(reports, &forged, &format!("byte {byte} of {name}"));
        let mut forged = call.clone();
        forged.headers[index].1.truncate(byte);
        assert_refused(reports, &forged, &format!("{name} cut at {byte}"));
    }
    Verdict::kept()
}

/// Checks that a change to any signed byte is refused, also one that means the same.
pub fn every_signed_byte_counts(reports: &impl FakeReports) -> Verdict {
    if reports.parser().authenticity() == Authenticity::Unsigned {
        return Verdict::skipped("the vendor does not sign");
    }
    let call = proven(reports, genuine(reports));
    for index in 0..call.body.len() {
        let mut forged = call.clone();
        forged.body[index] ^= 1;
        assert_refused(reports, &forged, &format!("byte {index} of the body"));
    }
    if !call.body.is_empty() {
        for (what, body) in [
            ("a blank before", [b" ".as_slice(), &call.body].concat()),
            ("a blank after", [&call.body, b" ".as_slice()].concat()),
            ("no last byte", call.body[..call.body.len() - 1].to_vec()),
            ("nothing", Vec::new()),
        ] {
            let mut forged = call.clone();
            forged.body = body;
            assert_refused(reports, &forged, what);
        }
    }
    if reports.signs_query() {
        let query = call.url.find('?').expect("what is signed has a query") + 1;
        for index in query..call.url.len() {
            let mut forged = call.clone();
            if let Some(url) = flipped(&call.url, index) {
                forged.url = url;
                assert_refused(reports, &forged, &format!("byte {index} of the URL"));
            }
        }
        let mut forged = call.clone();
        forged.url += "&status=delivered";
        assert_refused(reports, &forged, "a parameter more");
    }
    Verdict::kept()
}

/// Checks that a request with two proofs is refused.
pub fn a_duplicate_proof_is_refused(reports: &impl FakeReports) -> Verdict {
    let call = proven(reports, genuine(reports));
    let mut doubled = call.clone();
    match reports.proof() {
        Proof::Header(name) => {
            let proof = call
                .headers
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name));
            let (_, value) = proof.expect("the proof is in its header");
            doubled
                .headers
                .push((name.to_ascii_uppercase(), value.clone()));
        }
        Proof::Parameter(name) => {
            let span = span(&call.url, reports.proof()).expect("the proof is in the query");
            let value = &call.url[span];
            doubled.url = format!("{}&{name}={value}", call.url);
        }
        Proof::Path => {
            return Verdict::skipped("the proof is a part of the path, which is there once");
        }
    }
    assert_refused(reports, &doubled, "the same proof twice");
    Verdict::kept()
}

/// Checks that a proven request without a readable report is an error, not an empty list.
pub fn a_malformed_report_is_never_an_empty_success(reports: &impl FakeReports) -> Verdict {
    let contents: [&[u8]; 16] = [
        b"",
        b" ",
        b"null",
        b"7",
        b"true",
        br#""delivered""#,
        b"[]",
        b"[[]]",
        b"[null]",
        b"[7]",
        b"{",
        b"{}]",
        br#"{"status":"#,
        b"<html>Sign in</html>",
        b"\xff\xfe{\0}\0",
        b"{\"status\":\"\xff\"}",
    ];
    for content in contents {
        let Some(call) = reports.with_content(content) else {
            return Verdict::skipped("the report is in the URL");
        };
        let shown = String::from_utf8_lossy(content);
        if let Ok(read) = parse(reports, &proven(reports, call)) {
            assert!(!read.is_empty(), "{shown}: an empty success");
        }
    }
    Verdict::kept()
}

/// Checks that deep, long and numerous reports cause no panic, accepted or not.
pub fn a_huge_report_does_no_harm(reports: &impl FakeReports) -> Verdict {
    let many = |entry: &str| format!("[{entry}{}]", format!(",{entry}").repeat(50_000));
    for (what, content) in [
        ("arrays in arrays", "[".repeat(100_000)),
        ("objects in objects", r#"{"a":"#.repeat(100_000)),
        ("closed arrays", "[".repeat(100_000) + &"]".repeat(100_000)),
        ("one long word", "x".repeat(4 * 1024 * 1024)),
        (
            "one long text",
            format!("{{\"status\":\"{}\"}}", "x".repeat(1024 * 1024)),
        ),
        ("many empty entries", many("{}")),
        ("many numbers", many("7")),
        ("many parameters", "status=1&".repeat(50_000)),
    ] {
        let Some(call) = reports.with_content(content.as_bytes()) else {
            return Verdict::skipped("the report is in the URL");
        };
        let unproven = parse(reports, &call);
        assert!(unproven.is_err(), "{what}: accepted without a proof");
        let forged = reports.prove(call.clone(), now(), Key::Wrong);
        assert_refused(reports, &forged, what);
        // Accepted or not: it may be an event of another kind.
        let _ = parse(reports, &proven(reports, call));
    }
    Verdict::kept()
}

/// Pseudo-random numbers, the same in every run: xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or_default()
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(200)).map(|_| self.next() as u8).collect()
    }
}

/// Checks that random bytes in place of the report, its headers or its URL cause no panic.
pub fn random_bytes_do_no_harm(reports: &impl FakeReports) -> Verdict {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let call = genuine(reports);
    for _ in 0..300 {
        if let Some(call) = reports.with_content(&random.bytes()) {
            assert!(parse(reports, &call).is_err(), "accepted without a proof");
            if let Ok(read) = parse(reports, &proven(reports, call)) {
                assert!(!read.is_empty(), "an empty success");
            }
        }
        // The report with a few bytes changed, and then signed.
        if !call.body.is_empty() {
            let mut changed = call.body.clone();
            for _ in 0..=random.below(4) {
                let index = random.below(changed.len());
                changed[index] = random.next() as u8;
            }
            if let Some(call) = reports.with_content(&changed) {
                let _ = parse(reports, &proven(reports, call));
            }
        }
        let mut strange = proven(reports, call.clone());
        for (_, value) in &mut strange.headers {
            *value = random.bytes();
        }
        let bytes = random.bytes();
        strange.url += &String::from_utf8_lossy(&bytes);
        let _ = parse(reports, &strange);
        strange.url = String::from_utf8_lossy(&bytes).into_owned();
        let _ = parse(reports, &strange);
    }
    Verdict::kept()
}

/// Checks that no secret, text, whole number or foreign reference is shown in any error, event or `Debug`.
pub fn no_secret_of_a_report_is_shown(reports: &impl FakeReports) -> Verdict {
    let secrets = reports.secrets();
    for secret in &secrets {
        assert!(
            secret.len() >= 8,
            "a secret of fewer than 8 characters is found everywhere"
        );
    }
    let (shown, logged) = Watch::over(|| async {
        let parser = reports.parser();
        let mut shown = format!("{parser:?} {parser:#?} ");
        let (status, _) = reports.statuses().swap_remove(0);
        let mut calls = vec![
            genuine(reports),
            reports.prove(genuine(reports), now(), Key::Wrong),
            reports.prove(
                genuine(reports),
                now() - Duration::from_secs(86_400),
                Key::Right,
            ),
            proven(reports, genuine(reports)),
            proven(reports, reports.report(&status, "their-ref-42")),
            proven(
                reports,
                reports.report(&reports.unknown_status(), OUR_REFERENCE),
            ),
        ];
        let content = format!("{{\"x\":\"{}\"", secrets.join(" "));
        calls.extend(
            reports
                .with_content(content.as_bytes())
                .map(|call| proven(reports, call)),
        );
        for call in calls {
            shown += &match parse(reports, &call) {
                Ok(read) => format!("{read:?} {read:#?} "),
                Err(error) => format!("{error} {error:?} "),
            };
        }
        shown
    });
    let private = ["482910", "Your code", "612345678", "their-ref-42"];
    for secret in private
        .into_iter()
        .chain(secrets.iter().map(String::as_str))
    {
        for form in forms(secret) {
            assert!(
                !shown.contains(&form),
                "{form} is in what is shown: {shown}"
            );
            assert!(
                !logged.contains(&form),
                "{form} is in an event or span: {logged}"
            );
        }
    }
    if secrets.is_empty() {
        return Verdict::skipped("FakeReports::secrets names no secrets to search for");
    }
    Verdict::kept()
}
