use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind, ReportParser as _,
    ReportRequest,
};
use postduif_http::vendor::signature::hmac_sha256;
use postduif_smstools::SmstoolsReports;
use serde_json::{Value, json};

const URL: &str = "https://sms.example.test/reports/smstools";
const NOW: i64 = 1_767_225_600;
const SIGNATURE: &str = "X-Smstools-Signature";
const TIMESTAMP: &str = "X-Smstools-Timestamp";

fn parser() -> SmstoolsReports {
    SmstoolsReports::new(vec!["old".into(), "key".into()]).unwrap()
}

fn tag(key: &str, time: &str, body: &str) -> String {
    hmac_sha256(&key.into(), format!("{time}.{body}").as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn parse_as(
    method: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Vec<DeliveryReport>, ReportError> {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let now: DateTime<Utc> = DateTime::from_timestamp(NOW, 0).unwrap();
    parser().parse(
        &ReportRequest::new(method, URL, &headers, body.as_bytes()),
        now,
    )
}

fn parse(body: &str) -> Result<Vec<DeliveryReport>, ReportError> {
    let time = NOW.to_string();
    let signature = format!("t={time},v1={}", tag("key", &time, body));
    parse_as("POST", &[(TIMESTAMP, &time), (SIGNATURE, &signature)], body)
}

/// The documented report, with some of the message's members replaced.
fn report_with(members: &Value) -> Value {
    let mut message = json!({
        "messageid": "e0ncuxht345hjmbjvv2feky0azflcw", "datetime": "2026-02-01 15:00:02",
        "content": "Your code is 123456", "sender": "Acme", "receiver": "31612345678",
        "reference": "01J9Z8", "delivery_code": "1", "delivery_status": "delivered",
        "delivery_status_datetime": "2026-02-01 15:00:09", "delivery_code_detail": "",
        "delivery_code_detail_description": ""
    });
    for (name, value) in members.as_object().unwrap() {
        message[name] = value.clone();
    }
    json!({
        "webhook_id": "48213", "webhook_type": "delivery_report", "username": "acme", "message": message
    })
}

fn one(members: &Value) -> DeliveryReport {
    let mut reports = parse(&report_with(members).to_string()).unwrap();
    assert_eq!(reports.len(), 1, "{members}");
    reports.remove(0)
}

#[test]
fn the_signature_is_what_openssl_makes_of_time_and_body() {
    // printf '%s' '1767225600.{}' | openssl dgst -sha256 -hmac key
    let made = "df344de429b8ee672e1863e0008fdbd0080000536fbccdf0e4f89846acbbe872";
    assert_eq!(tag("key", "1767225600", "{}"), made);
}

#[test]
fn the_documented_report_is_read() {
    let report = one(&json!({}));
    assert_eq!(report.provider, "smstools");
    assert_eq!(report.status, DeliveryStatus::Delivered);
    assert_eq!(report.reference.unwrap().as_str(), "01J9Z8");
    assert_eq!(report.id.as_deref(), Some("e0ncuxht345hjmbjvv2feky0azflcw"));
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    // Its times have no zone.
    assert_eq!((report.code, report.at, report.price), (None, None, None));
    let shown = format!(
        "{:?}",
        one(&json!({"delivery_code_detail_description": "123456"}))
    );
    assert!(!shown.contains("123456"), "{shown}");
}

#[test]
fn every_status_is_read_as_text_or_number_and_an_unknown_one_is_no_failure() {
    for (code, status) in [
        (0, DeliveryStatus::Sent),
        (1, DeliveryStatus::Delivered),
        (2, DeliveryStatus::Failed),
        (3, DeliveryStatus::Buffered),
        (4, DeliveryStatus::Rejected),
        (5, DeliveryStatus::Rejected),
        (6, DeliveryStatus::Unknown),
        (9, DeliveryStatus::Unknown),
        (10, DeliveryStatus::Unknown),
        (-1, DeliveryStatus::Unknown),
    ] {
        for code in [
            json!(code),
            json!(code.to_string()),
            json!(format!(" {code} ")),
        ] {
            let report = one(&json!({"delivery_code": code}));
            assert_eq!(report.status, status, "{code}");
        }
    }
    for code in [json!(1.5), json!("delivered")] {
        let report = one(&json!({"delivery_code": code}));
        assert_eq!(report.status, DeliveryStatus::Unknown, "{code}");
    }
}

#[test]
fn a_detail_is_kept_only_if_it_is_a_code() {
    for (detail, code) in [
        (json!("10"), Some("10")),
        (json!(11), Some("11")),
        (json!("12"), Some("12")),
        (json!("1234"), Some("1234")),
        (json!("0"), Some("0")),
        (json!("12345"), None),
        (json!(""), None),
        (json!(null), None),
        (json!("no"), None),
        (json!(-5), None),
        (json!(["10"]), None),
    ] {
        let report = one(&json!({"delivery_code": "5", "delivery_code_detail": detail}));
        assert_eq!(report.code.as_deref(), code, "{detail}");
        assert_eq!(report.status, DeliveryStatus::Rejected, "{detail}");
    }
}

#[test]
fn an_unreadable_member_is_left_out() {
    for value in [
        json!(null),
        json!(""),
        json!(" "),
        json!({}),
        json!("a\u{1b}b"),
    ] {
        let report = one(&json!({"reference": value, "receiver": value, "messageid": value}));
        assert_eq!(report.vendor_reference, None);
        assert_eq!(
            (report.reference, report.recipient, report.id),
            (None, None, None)
        );
    }
    let report = one(&json!({"messageid": "x".repeat(257), "receiver": 31_612_345_678_u64}));
    assert_eq!(report.id, None);
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
}

#[test]
fn a_reference_that_is_not_ours_is_kept_as_text() {
    for reference in ["n/a", "é", "f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32", "my-ref"] {
        let report = one(&json!({"reference": reference}));
        assert_eq!(
            (report.reference, report.vendor_reference.as_deref()),
            (None, Some(reference))
        );
    }
}

#[test]
fn an_unreadable_report_is_skipped() {
    let good = report_with(&json!({}));
    let silent = report_with(&json!({"delivery_code": ""}));
    let no_message = json!({"webhook_type": "delivery_report"});
    let body = json!([7, good, silent, no_message, null, good]);
    assert_eq!(parse(&body.to_string()).unwrap().len(), 2);
    let body = json!([no_message, {"webhook_type": "inbox_message"}]);
    assert_eq!(parse(&body.to_string()).unwrap().len(), 0);
}

#[test]
fn a_report_without_a_status_is_malformed() {
    for code in [json!(""), json!(" "), json!(null), json!([]), json!({})] {
        let body = report_with(&json!({"delivery_code": code}));
        let error = parse(&body.to_string()).err().map(ReportError::kind);
        assert_eq!(error, Some(ReportErrorKind::Malformed), "{code}");
    }
}

#[test]
fn one_report_or_several_are_read_and_other_events_are_left_out() {
    let report = report_with(&json!({}));
    let kind = |kind: Value| {
        let mut other = report.clone();
        other["webhook_type"] = kind;
        other
    };
    let mut nameless = report.clone();
    nameless.as_object_mut().unwrap().remove("webhook_type");
    for (body, count) in [
        (report.clone(), 1),
        (json!([report]), 1),
        (json!([report, report]), 2),
        (nameless, 1),
        (kind(json!("inbox_message")), 0),
        (kind(json!("incoming_message")), 0),
        (kind(json!("read_report")), 0),
        (kind(json!(null)), 1),
        (kind(json!("")), 1),
        (kind(json!(" delivery_report ")), 1),
        (kind(json!(7)), 0),
        (
            json!({"webhook_type": "insufficient_funds", "username": "acme"}),
            0,
        ),
        (json!([report, kind(json!("add_optout"))]), 1),
    ] {
        assert_eq!(parse(&body.to_string()).unwrap().len(), count, "{body}");
    }
}

#[test]
fn only_a_signature_of_our_secret_is_accepted() {
    use ReportErrorKind::{Forged, Unsigned};
    let body = report_with(&json!({})).to_string();
    let time = NOW.to_string();
    let good = tag("key", &time, &body);
    let with = |signature: &str| parse_as("POST", &[(SIGNATURE, signature)], &body);
    for accepted in [
        format!("t={time},v1={good}"),
        format!("v1={good},t={time}"),
        format!("t={time}, v1={}", good.to_uppercase()),
        format!("t={time},v1={good},v0=x"),
        format!("t={time},v1={}", tag("old", &time, &body)),
    ] {
        assert!(with(&accepted).is_ok(), "{accepted}");
    }
    for index in 0..good.len() {
        let mut forged = good.clone().into_bytes();
        forged[index] = if forged[index] == b'0' { b'1' } else { b'0' };
        let forged = String::from_utf8(forged).unwrap();
        let kind = with(&format!("t={time},v1={forged}")).unwrap_err().kind();
        assert_eq!(kind, Forged, "{index}");
    }
    for (signature, kind) in [
        (format!("t={},v1={good}", NOW - 1), Forged),
        (format!("t=0{time},v1={good}"), Forged),
        (format!("t={time},v1={}", &good[..62]), Forged),
        (format!("t={time},v1="), Forged),
        (
            format!("t={time},v1={}", tag("other", &time, &body)),
            Forged,
        ),
        (format!("t={time},v1={}", &good[..63]), Forged),
        (format!("t={time},v1={good},v1={good}"), Forged),
        (format!("t={time},t={time},v1={good}"), Forged),
        (format!("t={time}"), Forged),
        (format!("v1={good}"), Forged),
        (good.clone(), Forged),
        (String::new(), Forged),
        (format!("t={time},v1=zz"), Forged),
    ] {
        assert_eq!(with(&signature).unwrap_err().kind(), kind, "{signature}");
    }
    let signature = format!("t={time},v1={good}");
    for (headers, kind) in [
        (vec![], Unsigned),
        (vec![(TIMESTAMP, time.as_str())], Unsigned),
        (
            vec![(SIGNATURE, signature.as_str()), (SIGNATURE, &signature)],
            Forged,
        ),
        (
            vec![(SIGNATURE, signature.as_str()), (TIMESTAMP, "1767225601")],
            Forged,
        ),
        (
            vec![(SIGNATURE, signature.as_str()), (TIMESTAMP, "")],
            Forged,
        ),
    ] {
        let error = parse_as("POST", &headers, &body).unwrap_err();
        assert_eq!(error.kind(), kind, "{headers:?}");
    }
    let changed = body.replace("delivered", "Delivered");
    let error = parse_as("POST", &[(SIGNATURE, &signature)], &changed).unwrap_err();
    assert_eq!(error.kind(), Forged);
}

#[test]
fn a_report_outside_the_window_is_stale() {
    let body = report_with(&json!({})).to_string();
    for (offset, stale) in [
        (-901, true),
        (-900, false),
        (0, false),
        (900, false),
        (901, true),
    ] {
        let time = (NOW + offset).to_string();
        let signature = format!("t={time},v1={}", tag("key", &time, &body));
        let error = parse_as("POST", &[(SIGNATURE, &signature)], &body).err();
        assert_eq!(
            error.map(ReportError::kind),
            stale.then_some(ReportErrorKind::Stale),
            "{offset}"
        );
    }
    for time in ["9223372036854775807", "-9223372036854775808"] {
        let signature = format!("t={time},v1={}", tag("key", time, &body));
        let error = parse_as("POST", &[(SIGNATURE, &signature)], &body).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Stale);
    }
    for time in ["", "soon", "1767225600.0", "99999999999999999999"] {
        let signature = format!("t={time},v1={}", tag("key", time, &body));
        let error = parse_as("POST", &[(SIGNATURE, &signature)], &body).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Malformed);
    }
}

#[test]
fn an_invalid_body_is_malformed_and_never_a_panic() {
    let many = json!(vec![report_with(&json!({})); 1001]).to_string();
    for body in [
        "",
        "null",
        "7",
        "[7]",
        "{",
        "{}",
        "[]",
        "[{}]",
        r#"{"webhook_type": "delivery_report"}"#,
        r#"{"webhook_type": "delivery_report", "message": []}"#,
        "webhook_type=delivery_report",
        &"[".repeat(10_000),
        &many,
    ] {
        let error = parse(body).unwrap_err();
        let shown = &body[..body.len().min(40)];
        assert_eq!(error.kind(), ReportErrorKind::Malformed, "{shown}");
    }
}

#[test]
fn nothing_is_read_before_the_signature_is_verified() {
    for body in ["", "rubbish", "{}"] {
        let signature = format!("t={NOW},v1={}", "0".repeat(64));
        let error = parse_as("POST", &[(SIGNATURE, &signature)], body).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Forged, "{body}");
    }
}

#[test]
fn only_a_post_is_read() {
    let (body, time) = (report_with(&json!({})).to_string(), NOW.to_string());
    let signature = format!("t={time},v1={}", tag("key", &time, &body));
    let error = parse_as("GET", &[(SIGNATURE, &signature)], &body).unwrap_err();
    assert_eq!(error.kind(), ReportErrorKind::Malformed);
}

#[test]
fn a_parser_needs_its_secret() {
    assert!(SmstoolsReports::new(Vec::new()).is_err());
    assert!(SmstoolsReports::new(vec!["key".into(), "".into()]).is_err());
    assert!(SmstoolsReports::new(vec![" ".into()]).is_err());
    assert_eq!(parser().authenticity(), Authenticity::Signed);
    assert!(!format!("{:?}", parser()).contains("key"));
}
