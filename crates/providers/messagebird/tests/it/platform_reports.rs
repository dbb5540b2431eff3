use base64::{Engine as _, prelude::BASE64_STANDARD};
use postduif_core::{
    Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind, ReportParser as _,
};
use postduif_http::vendor::signature::hmac_sha256;
use postduif_messagebird::PlatformReports;
use serde_json::{Value, json};

use super::wire;

const NOW: i64 = 1_767_225_600;
/// Secrets that are text, so that a test can sign with them.
const KEYS: [&str; 2] = [
    "a key of the platform, the newer",
    "a key of the platform, the older",
];

fn secret(key: &str) -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(key))
}

fn parser() -> PlatformReports {
    PlatformReports::new(KEYS.iter().map(|key| secret(key).into()).collect()).unwrap()
}

fn sign(key: &str, id: &str, timestamp: &str, body: &str) -> String {
    let tag = hmac_sha256(&key.into(), format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(tag))
}

fn parse(
    id: &str,
    timestamp: &str,
    signature: &str,
    body: &str,
) -> Result<Vec<DeliveryReport>, ReportError> {
    let headers = [
        ("Webhook-Id", id),
        ("Webhook-Timestamp", timestamp),
        ("Webhook-Signature", signature),
    ];
    wire::parse(
        &parser(),
        "POST",
        "https://h.test/",
        &headers,
        body.as_bytes(),
        NOW,
    )
}

fn signed(body: &str) -> Result<Vec<DeliveryReport>, ReportError> {
    let now = NOW.to_string();
    parse("msg_1", &now, &sign(KEYS[0], "msg_1", &now, body), body)
}

fn event(kind: &str) -> Value {
    json!({
        "type": kind, "timestamp": "2026-01-01T10:00:00Z",
        "data": {
            "sms_id": "sms_01krdgeqcxet5s7t44vh8rt9mg", "workspace_id": "ws_01krdgeqcxet5s7t44vh8rt9mg",
            "to": "+31612345678", "from": "Acme", "tags": null, "metadata": {"reference": "01J9Z8"},
            "cost": null, "carrier": "KPN", "mcc_mnc": "20408"
        }
    })
}

fn one(event: &Value) -> DeliveryReport {
    let mut reports = signed(&event.to_string()).unwrap();
    assert_eq!(reports.len(), 1, "{event}");
    reports.remove(0)
}

/// The example of the Standard Webhooks specification, whose secret is not text.
#[test]
fn the_published_example_is_accepted() {
    let parser =
        PlatformReports::new(vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()]).unwrap();
    let headers = |signature| {
        [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ]
    };
    let body = br#"{"test": 2432232314}"#;
    for (signature, kind) in [
        (
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ReportErrorKind::Malformed,
        ),
        (
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=",
            ReportErrorKind::Forged,
        ),
    ] {
        let error = wire::parse(
            &parser,
            "POST",
            "",
            &headers(signature),
            body,
            1_614_265_330,
        )
        .unwrap_err();
        // Its signature is accepted, but it is not an event.
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[test]
fn every_field_of_a_report_is_read() {
    let mut event = event("sms.delivered");
    event["data"]["cost"] = json!({"amount": "0.0727", "currency_code": "EUR"});
    let report = one(&event);
    assert_eq!(report.provider, "messagebird");
    assert_eq!(report.status, DeliveryStatus::Delivered);
    assert_eq!(report.reference.unwrap().as_str(), "01J9Z8");
    assert_eq!(report.id.as_deref(), Some("sms_01krdgeqcxet5s7t44vh8rt9mg"));
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    assert_eq!(report.at.unwrap().timestamp(), 1_767_261_600);
    assert_eq!(report.price.unwrap().to_string(), "0.0727 EUR");
    assert_eq!(report.code, None);
}

#[test]
fn every_event_is_read_and_an_unknown_one_is_no_failure() {
    for (kind, status) in [
        ("sms.accepted", DeliveryStatus::Sent),
        ("sms.sent", DeliveryStatus::Sent),
        ("sms.delivered", DeliveryStatus::Delivered),
        ("sms.undelivered", DeliveryStatus::Failed),
        ("sms.failed", DeliveryStatus::Failed),
        ("sms.rejected", DeliveryStatus::Rejected),
        ("sms.expired", DeliveryStatus::Expired),
        ("sms.something", DeliveryStatus::Unknown),
        ("sms.", DeliveryStatus::Unknown),
    ] {
        assert_eq!(one(&event(kind)).status, status, "{kind}");
    }
}

#[test]
fn events_of_other_kinds_inbound_texts_and_test_events_have_no_report() {
    for kind in [
        "sms.received",
        "email.delivered",
        "whatsapp.sent",
        "",
        "sms",
    ] {
        assert_eq!(signed(&event(kind).to_string()).unwrap().len(), 0, "{kind}");
    }
    for stub in [
        r#"{"type":"sms.delivered"}"#,
        r#"{"type":"sms.delivered","data":null}"#,
    ] {
        assert_eq!(signed(stub).unwrap().len(), 0, "{stub}");
    }
}

#[test]
fn the_code_is_the_platforms_reason_or_the_networks_code() {
    for (code, network, kept) in [
        (
            json!("invalid_destination"),
            json!("1"),
            Some("invalid_destination"),
        ),
        (
            json!("landline_unreachable"),
            json!(null),
            Some("landline_unreachable"),
        ),
        (json!("unreachable"), json!(null), Some("unreachable")),
        (
            json!("blocked_by_carrier"),
            json!(null),
            Some("blocked_by_carrier"),
        ),
        (
            json!("blocked_by_fraud_protection"),
            json!(null),
            Some("blocked_by_fraud_protection"),
        ),
        (
            json!("blocked_by_recipient"),
            json!(null),
            Some("blocked_by_recipient"),
        ),
        (
            json!("recipient_opted_out"),
            json!("103"),
            Some("recipient_opted_out"),
        ),
        (
            json!("content_rejected"),
            json!("5"),
            Some("content_rejected"),
        ),
        (json!("content_rejected"), json!("104"), Some("104")),
        (
            json!("sender_unregistered"),
            json!("104"),
            Some("sender_unregistered"),
        ),
        (
            json!("provider_unavailable"),
            json!(null),
            Some("provider_unavailable"),
        ),
        (
            json!("insufficient_balance"),
            json!(null),
            Some("insufficient_balance"),
        ),
        (json!("unknown"), json!("34"), Some("34")),
        (json!("unknown"), json!(34), Some("34")),
        (json!("unknown"), json!(null), None),
        (json!("Your code is 123456"), json!("123456"), None),
        (json!(7), json!("0"), None),
    ] {
        let mut event = event("sms.failed");
        event["data"]["error"] = json!({
            "code": code, "description": "Your code is 123456", "carrier_error_code": network,
            "occurred_at": "2026-01-01T10:00:00Z", "permanent": null
        });
        let report = one(&event);
        assert_eq!(report.code.as_deref(), kept, "{event}");
        assert_eq!(report.status, DeliveryStatus::Failed);
        assert!(!format!("{report:?}").contains("123456"));
    }
}

#[test]
fn a_missing_or_foreign_field_is_left_out() {
    for (name, value) in [
        ("metadata", json!(null)),
        ("metadata", json!({"reference": "n/a"})),
        ("metadata", json!({"reference": 7})),
        ("metadata", json!([])),
        ("sms_id", json!("sms_\u{1b}[31m")),
        ("sms_id", json!("eml_1")),
        ("sms_id", json!(7)),
        ("to", json!("0612345678")),
        ("to", json!(null)),
        ("cost", json!({"amount": "x", "currency_code": "EUR"})),
    ] {
        let mut event = event("sms.sent");
        event["data"][name] = value;
        let report = one(&event);
        let gone = match name {
            "metadata" => {
                let theirs = report.vendor_reference.as_deref();
                report.reference.is_none() && theirs.is_none_or(|text| text == "n/a")
            }
            "sms_id" => report.id.is_none(),
            "to" => report.recipient.is_none(),
            _ => report.price.is_none(),
        };
        assert!(gone, "{event}");
    }
    let bare = one(&json!({"type": "sms.sent", "data": {}}));
    assert_eq!(
        (bare.reference, bare.at, bare.status),
        (None, None, DeliveryStatus::Sent)
    );
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
        r#"{"type":7}"#,
        r#"{"type":"sms.sent","data":7}"#,
        r#"{"type":"sms.sent","data":[]}"#,
        r#"{"type":"sms.sent","data":"x"}"#,
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
fn only_a_complete_signature_with_our_secret_is_accepted() {
    use ReportErrorKind::{Forged, Malformed, Stale, Unsigned};
    let body = event("sms.delivered").to_string();
    let at = |seconds: i64| (NOW + seconds).to_string();
    let good = |key: &str| sign(key, "msg_1", &at(0), &body);
    let base64 = good(KEYS[0]).replace("v1,", "");
    for (id, timestamp, signature, expected) in [
        ("msg_1", at(0), good(KEYS[0]), None),
        ("msg_1", at(0), good(KEYS[1]), None),
        ("msg_1", at(0), good("another"), Some(Forged)),
        ("msg_1", at(0), good(&secret(KEYS[0])), Some(Forged)),
        (
            "msg_1",
            at(0),
            format!("{} {}", good("another"), good(KEYS[0])),
            None,
        ),
        (
            "msg_1",
            at(0),
            format!("v1a,x v2,{base64} {}", good(KEYS[1])),
            None,
        ),
        ("msg_1", at(0), format!("v1,no! {}", good(KEYS[0])), None),
        (
            "msg_1",
            at(0),
            format!("{}{}", "v1,AAAA ".repeat(15), good(KEYS[0])),
            None,
        ),
        (
            "msg_1",
            at(0),
            format!("{}{}", "v1,AAAA ".repeat(16), good(KEYS[0])),
            Some(Forged),
        ),
        ("msg_1", at(0), format!("v2,{base64}"), Some(Forged)),
        ("msg_1", at(0), format!("v1a,{base64}"), Some(Forged)),
        ("msg_1", at(0), format!("V1,{base64}"), Some(Forged)),
        ("msg_1", at(0), base64, Some(Forged)),
        ("msg_1", at(0), "v1,".to_owned(), Some(Forged)),
        ("msg_1", at(0), " ".to_owned(), Some(Forged)),
        ("msg_1", at(0), String::new(), Some(Unsigned)),
        ("", at(0), good(KEYS[0]), Some(Unsigned)),
        ("msg_1", String::new(), good(KEYS[0]), Some(Unsigned)),
        ("msg_2", at(0), good(KEYS[0]), Some(Forged)),
        ("msg_1", at(1), good(KEYS[0]), Some(Forged)),
        (
            "msg_1",
            at(300),
            sign(KEYS[0], "msg_1", &at(300), &body),
            None,
        ),
        (
            "msg_1",
            at(-300),
            sign(KEYS[0], "msg_1", &at(-300), &body),
            None,
        ),
        (
            "msg_1",
            at(301),
            sign(KEYS[0], "msg_1", &at(301), &body),
            Some(Stale),
        ),
        (
            "msg_1",
            at(-301),
            sign(KEYS[0], "msg_1", &at(-301), &body),
            Some(Stale),
        ),
        (
            "msg_1",
            i64::MIN.to_string(),
            sign(KEYS[0], "msg_1", &i64::MIN.to_string(), &body),
            Some(Stale),
        ),
        (
            "msg_1",
            "soon".to_owned(),
            sign(KEYS[0], "msg_1", "soon", &body),
            Some(Malformed),
        ),
        (
            "msg_1",
            "1767225600.5".to_owned(),
            sign(KEYS[0], "msg_1", "1767225600.5", &body),
            Some(Malformed),
        ),
    ] {
        let kind = parse(id, &timestamp, &signature, &body)
            .err()
            .map(ReportError::kind);
        assert_eq!(kind, expected, "{id} {timestamp} {signature}");
    }
    let error = parse(
        "msg_1",
        &at(0),
        &good(KEYS[0]),
        &body.replace("sms.delivered", "sms.failed"),
    );
    assert_eq!(error.unwrap_err().kind(), Forged);
    for headers in [
        vec![],
        vec![("webhook-id", "msg_1")],
        vec![("webhook-signature", "v1,x")],
    ] {
        let error = wire::parse(&parser(), "POST", "", &headers, body.as_bytes(), NOW).unwrap_err();
        assert_eq!(error.kind(), Unsigned);
    }
}

#[test]
fn a_parser_needs_a_secret_in_the_platforms_format() {
    let good = secret(KEYS[0]);
    assert!(PlatformReports::new(Vec::new()).is_err());
    for bad in [
        "",
        "whsec_",
        "whsec_!",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_===",
        "WHSEC_MfKQ",
    ] {
        let error = PlatformReports::new(vec![good.clone().into(), bad.into()]).unwrap_err();
        assert!(bad.len() < 8 || !format!("{error:?}").contains(bad));
    }
    // The same secret without its padding.
    assert!(PlatformReports::new(vec![good.trim_end_matches('=').into()]).is_ok());
    assert_eq!(parser().authenticity(), Authenticity::Signed);
    assert!(!format!("{:?}", parser()).contains("key of"));
}
