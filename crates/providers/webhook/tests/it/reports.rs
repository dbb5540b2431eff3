use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind, ReportOptions,
    ReportParser as _, ReportRequest,
};
use postduif_http::vendor::signature::hmac_sha256;
use postduif_webhook::{WebhookReports, report_parser};
use serde_json::{Value, json};

/// The instant of the signed example.
const NOW: i64 = 1_798_101_007;
const KEY: &str = "postduif-example-secret-32-bytes";
const SECRET: &str = "whsec_cG9zdGR1aWYtZXhhbXBsZS1zZWNyZXQtMzItYnl0ZXM=";

/// The documented report.
const REPORT: &str = r#"{"reference":"01J9Z8Q4T6M2V7X3","status":"delivered","at":"2026-12-24T08:30:07Z","id":"8f14e45f","to":"+31612345678","code":"0"}"#;

fn parse_signed(signature: &str, body: &str) -> Result<Vec<DeliveryReport>, ReportError> {
    let time = NOW.to_string();
    let headers = [
        ("Webhook-Id", b"dlr_1".as_slice()),
        ("Webhook-Timestamp", time.as_bytes()),
        ("Webhook-Signature", signature.as_bytes()),
    ];
    let request = ReportRequest::new(
        "POST",
        "https://sms.example.test/reports/webhook",
        &headers,
        body.as_bytes(),
    );
    let now: DateTime<Utc> = DateTime::from_timestamp(NOW, 0).unwrap();
    let secrets = vec!["whsec_YSBuZXcgc2VjcmV0".into(), SECRET.into()];
    WebhookReports::new(secrets).unwrap().parse(&request, now)
}

fn parse(body: &str) -> Result<Vec<DeliveryReport>, ReportError> {
    let tag = hmac_sha256(&KEY.into(), format!("dlr_1.{NOW}.{body}").as_bytes());
    parse_signed(&format!("v1,{}", BASE64_STANDARD.encode(tag)), body)
}

/// Reads the documented report with a member replaced, or left out if the value is null.
fn with(name: &str, value: Value) -> Result<DeliveryReport, ReportErrorKind> {
    let mut body: Value = serde_json::from_str(REPORT).unwrap();
    body[name] = value;
    let mut reports = parse(&body.to_string()).map_err(ReportError::kind)?;
    assert_eq!(reports.len(), 1, "{body}");
    Ok(reports.remove(0))
}

/// `new Webhook(secret).sign("dlr_1", new Date(1798101007000), body)` of npm `standardwebhooks` 1.1.1 and the same of
/// PyPI `standardwebhooks` 1.1.0 made this signature.
#[test]
fn a_report_that_the_official_libraries_signed_is_read() {
    let signature = "v1,KUWT4bae1iWy/zhNjRkgL2m58dMdWNk7WdrDLytMwZg=";
    let mut reports = parse_signed(signature, REPORT).unwrap();
    let report = reports.remove(0);
    assert_eq!(reports.len(), 0);
    assert_eq!(report.provider, "webhook");
    assert_eq!(report.status, DeliveryStatus::Delivered);
    assert_eq!(report.reference.unwrap().as_str(), "01J9Z8Q4T6M2V7X3");
    assert_eq!(report.id.as_deref(), Some("8f14e45f"));
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    assert_eq!(report.code.as_deref(), Some("0"));
    assert_eq!(report.at.unwrap().timestamp(), NOW);
    assert_eq!((report.part, report.price), (None, None));
}

/// The example that the tests of all libraries of Standard Webhooks share, at `b2fa7b8` of
/// `standard-webhooks/standard-webhooks`: `libraries/javascript/src/webhook.test.ts`, "sign function works".
#[test]
fn the_published_example_is_verified() {
    let parser =
        WebhookReports::new(vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()]).unwrap();
    for (signature, kind) in [
        // It is signed, but is not a report.
        (
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ReportErrorKind::Malformed,
        ),
        (
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=",
            ReportErrorKind::Forged,
        ),
    ] {
        let headers = [
            ("webhook-id", b"msg_p5jXN8AQM9LWM0D4loKWxJek".as_slice()),
            ("webhook-timestamp", b"1614265330"),
            ("webhook-signature", signature.as_bytes()),
        ];
        let body = br#"{"test": 2432232314}"#;
        let request = ReportRequest::new("POST", "https://x.test/", &headers, body);
        let now = DateTime::from_timestamp(1_614_265_330, 0).unwrap();
        assert_eq!(parser.parse(&request, now).unwrap_err().kind(), kind);
    }
}

#[test]
fn a_report_needs_a_reference_and_a_status() {
    for name in ["reference", "status"] {
        for value in [
            Value::Null,
            json!(""),
            json!(" "),
            json!([]),
            json!({}),
            json!(true),
        ] {
            let error = with(name, value.clone()).unwrap_err();
            assert_eq!(error, ReportErrorKind::Malformed, "{name}: {value}");
        }
    }
}

#[test]
fn an_unreadable_member_is_left_out() {
    for (name, values) in [
        ("at", [json!("2026-12-24T08:30:07"), json!(1_798_101_007)]),
        ("id", [json!("a\u{1b}b"), json!({})]),
        ("to", [json!("nobody"), json!(null)]),
        ("code", [json!("4829107"), json!("E17")]),
    ] {
        for value in values {
            let report = with(name, value.clone()).unwrap();
            let left_out = match name {
                "at" => report.at.is_none(),
                "id" => report.id.is_none(),
                "to" => report.recipient.is_none(),
                _ => report.code.is_none(),
            };
            assert!(left_out, "{name}: {value}");
            assert_eq!(report.status, DeliveryStatus::Delivered);
        }
    }
    assert_eq!(with("id", json!(17)).unwrap().id.as_deref(), Some("17"));
    assert_eq!(with("code", json!(17)).unwrap().code.as_deref(), Some("17"));
}

#[test]
fn a_status_is_the_name_of_ours_and_any_other_is_unknown() {
    for status in DeliveryStatus::ALL {
        assert_eq!(
            with("status", json!(status.as_str())).unwrap().status,
            *status
        );
    }
    for status in ["Delivered", "DELIVRD", "ok", "0"] {
        let read = with("status", json!(status)).unwrap().status;
        assert_eq!(read, DeliveryStatus::Unknown, "{status}");
    }
}

#[test]
fn a_signed_body_of_another_shape_is_malformed() {
    let list = format!("[{REPORT}]");
    // What a send signs, in case both use the same secret.
    let send = r#"{"to":"+31612345678","text":"Hello","reference":"01J9Z8"}"#;
    for body in [
        "",
        "null",
        "7",
        "{",
        "{}",
        "[]",
        "status=delivered",
        &list,
        send,
    ] {
        let error = parse(body).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Malformed, "{body}");
        let error = parse_signed("v1,AAAA", body).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Forged, "{body}");
    }
}

#[test]
fn a_parser_needs_its_secret_and_has_one_api() {
    for secrets in [
        vec![],
        vec![""],
        vec!["postduif-example-secret-32-bytes"],
        vec!["whsec_"],
        vec!["whsec_?"],
        vec![SECRET, " "],
    ] {
        let secrets = secrets.into_iter().map(Into::into).collect();
        let error = WebhookReports::new(secrets).unwrap_err().to_string();
        assert!(error.contains("expected whsec_ and base64"), "{error}");
    }
    let parser = report_parser(ReportOptions::new([SECRET])).unwrap();
    assert_eq!(parser.authenticity(), Authenticity::Signed);
    assert!(!format!("{parser:?}").contains("cG9z"));
    assert!(report_parser(ReportOptions::new([SECRET]).with_api("v1")).is_err());
    assert!(report_parser(ReportOptions::new([SECRET]).with_signature_method("md5")).is_err());
}
