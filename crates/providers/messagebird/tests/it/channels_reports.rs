use base64::{Engine as _, prelude::BASE64_STANDARD};
use postduif_core::{
    Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind, ReportParser as _,
};
use postduif_http::vendor::signature::{hmac_sha256, sha256};
use postduif_messagebird::ChannelsReports;
use serde_json::{Value, json};

use super::wire;

const NOW: i64 = 1_767_225_600;
const SECRET: &str = "n3w-s3cret";
const URL: &str = "https://sms.example.test/reports/channels?x=1";

fn parser() -> ChannelsReports {
    ChannelsReports::new(vec![SECRET.into(), "0ld".into()]).unwrap()
}

fn sign(secret: &str, timestamp: &str, url: &str, body: &[u8]) -> String {
    let head = format!("{timestamp}\n{url}\n");
    let text = [head.as_bytes(), &sha256(body)].concat();
    BASE64_STANDARD.encode(hmac_sha256(&secret.into(), &text))
}

fn parse(
    url: &str,
    signature: &str,
    timestamp: &str,
    body: &[u8],
) -> Result<Vec<DeliveryReport>, ReportError> {
    let headers = [
        ("MessageBird-Signature", signature),
        ("MessageBird-Request-Timestamp", timestamp),
    ];
    wire::parse(&parser(), "POST", url, &headers, body, NOW)
}

fn signed(body: &str) -> Result<Vec<DeliveryReport>, ReportError> {
    let timestamp = NOW.to_string();
    let signature = sign(SECRET, &timestamp, URL, body.as_bytes());
    parse(URL, &signature, &timestamp, body.as_bytes())
}

fn event(status: &Value) -> Value {
    json!({"service": "channels", "event": "sms.outbound", "payload": {
        "id": "2c7f2a5e-9f35-4f1b-8f8e-7a1e3f4d5c6b", "channelId": "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d",
        "receiver": {"contacts": [{"identifierKey": "phonenumber", "identifierValue": "+31612345678"}]},
        "body": {"type": "text", "text": {"text": "Your code is 123456"}},
        "reference": "01J9Z8", "status": status, "reason": "", "lastStatusAt": "2026-01-01T10:00:00.123Z"
    }})
}

fn one(event: &Value) -> DeliveryReport {
    let mut reports = signed(&event.to_string()).unwrap();
    assert_eq!(reports.len(), 1, "{event}");
    reports.remove(0)
}

/// Computed with Python's `hmac` and `hashlib` by the published algorithm, since no SDK of the vendor implements it.
#[test]
fn a_signature_of_another_library_is_accepted() {
    let parser = ChannelsReports::new(vec!["my-signing-key".into()]).unwrap();
    let body = br#"{"service":"channels","event":"sms.inbound","payload":{}}"#;
    let headers = [
        (
            "messagebird-signature",
            "O81WuIuF9Ez8OFhiyDMRJOP7A9qLhnfmVU+rnrxFPRg=",
        ),
        ("messagebird-request-timestamp", "1767225600"),
    ];
    let url = "https://hooks.example.test/bird?a=1&b=two%20words";
    assert_eq!(
        wire::parse(&parser, "POST", url, &headers, body, NOW)
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn every_field_of_a_report_is_read() {
    let report = one(&event(&json!("delivered")));
    assert_eq!(report.provider, "messagebird");
    assert_eq!(report.status, DeliveryStatus::Delivered);
    assert_eq!(report.reference.unwrap().as_str(), "01J9Z8");
    assert_eq!(
        report.id.as_deref(),
        Some("2c7f2a5e-9f35-4f1b-8f8e-7a1e3f4d5c6b")
    );
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    assert_eq!(report.at.unwrap().timestamp(), 1_767_261_600);
    assert_eq!((report.code.as_deref(), report.price), (None, None));
    assert!(!format!("{report:?}").contains("123456"));
}

#[test]
fn every_status_is_read_and_an_unknown_one_is_no_failure() {
    for (word, status) in [
        (json!("accepted"), DeliveryStatus::Sent),
        (json!("sent"), DeliveryStatus::Sent),
        (json!("delivered"), DeliveryStatus::Delivered),
        (json!("sending_failed"), DeliveryStatus::Failed),
        (json!("delivery_failed"), DeliveryStatus::Failed),
        (json!("rejected"), DeliveryStatus::Rejected),
        (json!("processing"), DeliveryStatus::Unknown),
        (json!("failed"), DeliveryStatus::Unknown),
        (json!(7), DeliveryStatus::Unknown),
    ] {
        assert_eq!(one(&event(&word)).status, status, "{word}");
    }
}

#[test]
fn the_code_is_the_networks_or_the_vendors_or_the_reason() {
    for (reason, failure, code) in [
        (
            "",
            json!({"code": 15005, "source": {"name": "sms-messagebird", "code": "1"}}),
            Some("1"),
        ),
        (
            "",
            json!({"code": 15005, "source": {"name": "sms-messagebird", "code": 104}}),
            Some("104"),
        ),
        (
            "",
            json!({"code": 14001, "source": {"name": "accounting", "code": "7"}}),
            Some("14001"),
        ),
        ("", json!({"code": "15001"}), Some("15001")),
        ("", json!({"code": 0}), None),
        ("", json!({"code": "Your code"}), None),
        ("", json!(null), None),
        ("", json!(7), None),
        (
            "details: unknown subscriber; reason: unknown_subscriber; code: 1",
            json!(null),
            Some("1"),
        ),
        (
            "details: unknown subscriber; reason: unknown_subscriber",
            json!(null),
            Some("unknown_subscriber"),
        ),
        ("carrier_rejected", json!(null), Some("carrier_rejected")),
        ("details: Your code is 123456", json!(null), None),
        (
            "reason: unknown_subscriber; code: 123456",
            json!(null),
            Some("unknown_subscriber"),
        ),
        (";;:;", json!(null), None),
    ] {
        let mut event = event(&json!("delivery_failed"));
        event["payload"]["reason"] = json!(reason);
        event["payload"]["failure"] = failure;
        assert_eq!(one(&event).code.as_deref(), code, "{event}");
    }
}

#[test]
fn a_missing_or_foreign_field_is_left_out() {
    let bare = json!({"event": "sms.outbound", "payload": {"id": "x", "status": "sent"}});
    let report = one(&bare);
    assert_eq!(
        (report.reference, report.recipient, report.at),
        (None, None, None)
    );
    for (name, value) in [
        ("reference", json!("f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32")),
        ("reference", json!({})),
        ("receiver", json!({"contacts": []})),
        (
            "receiver",
            json!({"contacts": [{"identifierValue": "somebody"}]}),
        ),
        ("receiver", json!(7)),
        ("lastStatusAt", json!("2026-01-01 10:00:00")),
        ("lastStatusAt", json!(7)),
    ] {
        let value_is_text = name == "reference" && value.is_string();
        let mut event = event(&json!("sent"));
        event["payload"][name] = value;
        let report = one(&event);
        if value_is_text {
            assert_eq!(
                report.vendor_reference.as_deref(),
                Some("f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32")
            );
        }
        let gone = match name {
            "reference" => report.reference.is_none(),
            "receiver" => report.recipient.is_none(),
            _ => report.at.is_none(),
        };
        assert!(gone, "{event}");
    }
}

#[test]
fn an_unusable_id_is_left_out() {
    for id in ["", " ", "abc\u{1b}[31m"] {
        let mut event = event(&json!("sent"));
        event["payload"]["id"] = json!(id);
        assert_eq!(one(&event).id, None, "{id:?}");
    }
}

#[test]
fn events_of_other_kinds_give_no_report() {
    for name in ["sms.inbound", "sms.interaction", "whatsapp.outbound", ""] {
        let mut event = event(&json!("delivered"));
        event["event"] = json!(name);
        assert_eq!(signed(&event.to_string()).unwrap().len(), 0, "{name}");
    }
}

#[test]
fn an_invalid_body_is_malformed_and_never_a_panic() {
    for body in [
        "",
        "null",
        "7",
        "[]",
        "{",
        "{}",
        r#"{"event":7}"#,
        r#"{"event":"sms.outbound"}"#,
        r#"{"event":"sms.outbound","payload":null}"#,
        r#"{"event":"sms.outbound","payload":[]}"#,
        r#"{"event":"sms.outbound","payload":{"status":"sent"}}"#,
        r#"{"event":"sms.outbound","payload":{"id":7}}"#,
        r#"{"event":"sms.outbound","payload":{"id":"x"}}"#,
        r#"{"event":"sms.outbound","payload":{"id":"x","status":null}}"#,
        r#"{"event":"sms.outbound","payload":{"id":"x","status":" "}}"#,
        &"[".repeat(10_000),
    ] {
        let shown = &body[..body.len().min(60)];
        assert_eq!(
            signed(body).unwrap_err().kind(),
            ReportErrorKind::Malformed,
            "{shown}"
        );
    }
}

#[test]
fn only_a_complete_signature_with_our_key_is_accepted() {
    use ReportErrorKind::{Forged, Malformed, Stale};
    let body = event(&json!("delivered")).to_string();
    let at = |seconds: i64| (NOW + seconds).to_string();
    let other = "https://evil.example.test/reports/channels?x=1";
    for (secret, signed_at, signed_url, signed_body, sent_at, expected) in [
        (SECRET, at(0), URL, body.as_str(), at(0), None),
        ("0ld", at(0), URL, &body, at(0), None),
        ("another", at(0), URL, &body, at(0), Some(Forged)),
        ("", at(0), URL, &body, at(0), Some(Forged)),
        (SECRET, at(0), other, &body, at(0), Some(Forged)),
        (
            SECRET,
            at(0),
            "https://sms.example.test/reports/channels",
            &body,
            at(0),
            Some(Forged),
        ),
        (
            SECRET,
            at(0),
            "https://sms.example.test/reports/channels?x=2",
            &body,
            at(0),
            Some(Forged),
        ),
        (SECRET, at(0), "", &body, at(0), Some(Forged)),
        (SECRET, at(0), URL, "{}", at(0), Some(Forged)),
        (SECRET, at(0), URL, "", at(0), Some(Forged)),
        (SECRET, at(0), URL, &body, at(1), Some(Forged)),
        (SECRET, at(-86_400), URL, &body, at(-86_400), None),
        (SECRET, at(-86_401), URL, &body, at(-86_401), Some(Stale)),
        (SECRET, at(-4 * 3600), URL, &body, at(-4 * 3600), None),
        (SECRET, at(300), URL, &body, at(300), None),
        (SECRET, at(301), URL, &body, at(301), Some(Stale)),
        (
            SECRET,
            "0".to_owned(),
            URL,
            &body,
            "0".to_owned(),
            Some(Stale),
        ),
        (
            SECRET,
            i64::MIN.to_string(),
            URL,
            &body,
            i64::MIN.to_string(),
            Some(Stale),
        ),
        (
            SECRET,
            i64::MAX.to_string(),
            URL,
            &body,
            i64::MAX.to_string(),
            Some(Stale),
        ),
        (
            SECRET,
            "soon".to_owned(),
            URL,
            &body,
            "soon".to_owned(),
            Some(Malformed),
        ),
        (
            SECRET,
            String::new(),
            URL,
            &body,
            String::new(),
            Some(Malformed),
        ),
        (
            SECRET,
            "1767225600.5".to_owned(),
            URL,
            &body,
            "1767225600.5".to_owned(),
            Some(Malformed),
        ),
    ] {
        let signature = sign(secret, &signed_at, signed_url, signed_body.as_bytes());
        let kind = parse(URL, &signature, &sent_at, body.as_bytes())
            .err()
            .map(ReportError::kind);
        assert_eq!(
            kind, expected,
            "{secret} {signed_at} {signed_url} {sent_at}"
        );
    }
}

#[test]
fn a_signature_of_another_scheme_is_refused() {
    let body = event(&json!("delivered")).to_string();
    let now = NOW.to_string();
    // The deprecated scheme of classic has the same header names, and signs the sorted query instead of the URL.
    let classic = sign(SECRET, &now, "x=1", body.as_bytes());
    assert_eq!(
        parse(URL, &classic, &now, body.as_bytes())
            .unwrap_err()
            .kind(),
        ReportErrorKind::Forged
    );
    for (signature, kind) in [
        ("no base64!", ReportErrorKind::Forged),
        ("c2hvcnQ=", ReportErrorKind::Forged),
        ("", ReportErrorKind::Unsigned),
    ] {
        assert_eq!(
            parse(URL, signature, &now, body.as_bytes())
                .unwrap_err()
                .kind(),
            kind,
            "{signature}"
        );
    }
    let good = sign(SECRET, &now, URL, body.as_bytes());
    for headers in [
        vec![],
        vec![("messagebird-signature", good.as_str())],
        vec![("messagebird-request-timestamp", now.as_str())],
    ] {
        let error =
            wire::parse(&parser(), "POST", URL, &headers, body.as_bytes(), NOW).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Unsigned);
    }
}

#[test]
fn a_parser_needs_a_secret() {
    assert!(ChannelsReports::new(Vec::new()).is_err());
    assert!(ChannelsReports::new(vec!["good".into(), "".into()]).is_err());
    assert!(ChannelsReports::new(vec![" ".into()]).is_err());
    assert_eq!(parser().authenticity(), Authenticity::Signed);
    assert!(!format!("{:?}", parser()).contains("s3cret"));
}
