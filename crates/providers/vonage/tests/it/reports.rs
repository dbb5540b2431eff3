use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind, ReportParser as _,
    ReportRequest,
};
use postduif_http::vendor::signature::{hmac_sha256, sha256};
use postduif_vonage::VonageReports;
use serde_json::{Value, json};

use super::wire::UUID;

const SECRET: &str = "signature-s3cret";
const URL: &str = "https://hooks.example.test/reports/vonage";
const SIGNED_AT: i64 = 1_767_225_605;

fn parser() -> VonageReports {
    VonageReports::new(vec![SECRET.into(), "0ld-s3cret".into()]).unwrap()
}

fn hash(body: &[u8]) -> String {
    sha256(body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The claims on the page.
fn claims(body: &str) -> Value {
    json!({
        "iat": SIGNED_AT, "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5", "iss": "Vonage",
        "payload_hash": hash(body.as_bytes()), "api_key": "abcd1234",
        "application_id": "78d335fa-323d-0114-9c3d-d6f0d48968cf"
    })
}

fn token(header: &Value, claims: &Value, secret: &str) -> String {
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let signed = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let tag = hmac_sha256(&secret.into(), signed.as_bytes());
    format!("{signed}.{}", encode(&tag))
}

fn bearer(claims: &Value, secret: &str) -> String {
    format!(
        "Bearer {}",
        token(&json!({"alg": "HS256", "typ": "JWT"}), claims, secret)
    )
}

fn parse_with(
    parser: &VonageReports,
    authorization: Option<&str>,
    body: &str,
    seconds: i64,
) -> Result<Vec<DeliveryReport>, ReportError> {
    let headers: Vec<(&str, &[u8])> = authorization
        .iter()
        .map(|value| ("Authorization", value.as_bytes()))
        .collect();
    let request = ReportRequest::new("POST", URL, &headers, body.as_bytes());
    let now = DateTime::<Utc>::from_timestamp(SIGNED_AT + seconds, 0).unwrap();
    parser.parse(&request, now)
}

fn parse(body: &str) -> Result<Vec<DeliveryReport>, ReportError> {
    parse_with(&parser(), Some(&bearer(&claims(body), SECRET)), body, 0)
}

/// Returns the only report of a signed body.
pub(crate) fn one(body: &Value) -> DeliveryReport {
    let mut reports = parse(&body.to_string()).unwrap();
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

/// The page's webhook.
pub(crate) fn webhook() -> Value {
    json!({
        "channel": "sms", "message_uuid": UUID, "to": "31612345678", "from": "Acme",
        "timestamp": "2026-01-01T00:00:05Z", "status": "rejected", "client_ref": "01J9Z8",
        "error": {
            "type": "https://developer.vonage.com/api-errors/messages#1120", "title": "1120",
            "detail": "Illegal Sender Address - rejected", "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf"
        },
        "usage": {"currency": "EUR", "price": "0.0727"},
        "destination": {"network_code": "20408"},
        "sms": {"count_total": "2", "segments": [
            {"timestamp": "2026-01-01T00:00:05Z", "status": "delivered"},
            {"timestamp": "2026-01-01T00:00:06Z", "status": "rejected", "error_code": "1230"}
        ]}
    })
}

fn but(name: &str, value: Value) -> Value {
    let mut body = webhook();
    body[name] = value;
    body
}

#[test]
fn the_pages_webhook_is_read() {
    let report = one(&webhook());
    assert_eq!(
        (report.provider.as_ref(), report.status),
        ("vonage", DeliveryStatus::Rejected)
    );
    assert_eq!(report.reference.unwrap().as_str(), "01J9Z8");
    assert_eq!(report.id.as_deref(), Some(UUID));
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    assert_eq!(report.code.as_deref(), Some("1120"));
    assert_eq!(report.at.unwrap().timestamp(), 1_767_225_605);
    assert_eq!(report.price.unwrap().to_string(), "0.0727 EUR");
}

#[test]
fn every_status_is_read_and_an_unknown_one_is_no_error() {
    use DeliveryStatus::{Buffered, Delivered, Expired, Failed, Rejected, Sent, Unknown};
    for (status, code, expected) in [
        ("submitted", None, Sent),
        ("submitted", Some("1220"), Buffered),
        ("submitted", Some("1000"), Sent),
        ("delivered", None, Delivered),
        ("delivered", Some("1330"), Delivered),
        ("rejected", None, Rejected),
        ("rejected", Some("1050"), Rejected),
        ("rejected", Some("1280"), Rejected),
        ("rejected", Some("1470"), Rejected),
        ("rejected", Some("1180"), Failed),
        ("rejected", Some("1190"), Failed),
        ("rejected", Some("1200"), Failed),
        ("rejected", Some("1220"), Failed),
        ("rejected", Some("1230"), Failed),
        ("rejected", Some("1250"), Failed),
        ("rejected", Some("1251"), Failed),
        ("rejected", Some("1260"), Failed),
        ("rejected", Some("1300"), Failed),
        ("rejected", Some("1310"), Failed),
        ("rejected", Some("1330"), Failed),
        ("rejected", Some("1331"), Failed),
        ("rejected", Some("1360"), Expired),
        // Already sent, without a report for every part.
        ("rejected", Some("1320"), Unknown),
        ("rejected", Some("1490"), Unknown),
        ("undeliverable", None, Failed),
        ("undeliverable", Some("1490"), Unknown),
        ("read", None, Unknown),
        ("Delivered", None, Unknown),
    ] {
        let mut body = but("status", json!(status));
        body["error"] = code.map_or(Value::Null, |code| json!({"title": code}));
        let report = one(&body);
        assert_eq!(report.status, expected, "{status} {code:?}");
        assert_eq!(report.code.as_deref(), code);
    }
    assert_eq!(one(&but("status", json!(7))).status, Unknown);
}

#[test]
fn a_code_is_read_from_title_or_type_and_nothing_that_is_none_is_kept() {
    let page = "https://developer.vonage.com/api-errors/messages#1230";
    for (error, code) in [
        (json!({"title": "1120"}), Some("1120")),
        (json!({"title": 1120}), Some("1120")),
        (json!({"title": "Rejected", "type": page}), Some("1230")),
        (json!({"type": page}), Some("1230")),
        (json!({"title": "1120", "type": page}), Some("1120")),
        (json!({"title": "31612345678"}), None),
        (json!({"title": "no", "type": "x#your-code-123456"}), None),
        (json!({"title": "é"}), None),
        (json!("1120"), None),
        (json!([]), None),
    ] {
        assert_eq!(
            one(&but("error", error.clone())).code.as_deref(),
            code,
            "{error}"
        );
    }
}

#[test]
fn a_time_is_read_in_every_observed_format() {
    for (time, at) in [
        (json!("2026-01-01T00:00:05Z"), Some(1_767_225_605)),
        (json!("2026-01-01T00:00:05.123Z"), Some(1_767_225_605)),
        (json!("2026-01-01T01:00:05+01:00"), Some(1_767_225_605)),
        (json!("2020-01-01 14:00:00 +0000"), Some(1_577_887_200)),
        (json!({}), None),
        (json!(""), None),
        (json!("2026-01-01"), None),
        (json!(1_767_225_605), None),
    ] {
        let report = one(&but("timestamp", time.clone()));
        assert_eq!(report.at.map(|at| at.timestamp()), at, "{time}");
    }
}

#[test]
fn a_reference_that_cannot_be_ours_and_a_price_that_is_none_are_left_out() {
    for reference in [
        json!(""),
        json!(null),
        json!("a-b"),
        json!("x".repeat(33)),
        json!({}),
    ] {
        let report = one(&but("client_ref", reference.clone()));
        assert_eq!(report.reference, None);
        let foreign = reference.as_str().filter(|text| !text.is_empty());
        assert_eq!(report.vendor_reference.as_deref(), foreign);
    }
    for id in ["", " ", "abc\u{1b}[31m"] {
        assert_eq!(one(&but("message_uuid", json!(id))).id, None, "{id:?}");
    }
    for usage in [
        json!(null),
        json!({"price": "0.1"}),
        json!({"currency": "EUR"}),
        json!({"currency": "euro", "price": "0.1"}),
        json!({"currency": "EUR", "price": "free"}),
        json!([]),
    ] {
        assert_eq!(one(&but("usage", usage)).price, None);
    }
    let number = one(&but("usage", json!({"currency": "EUR", "price": 0.0333})));
    assert_eq!(number.price.unwrap().to_string(), "0.0333 EUR");
    for to in [
        json!("Acme"),
        json!(null),
        json!({"type": "sms", "number": "31612345678"}),
    ] {
        assert_eq!(one(&but("to", to)).recipient, None);
    }
}

#[test]
fn both_shapes_of_a_workflow_are_ignored() {
    for workflow in [
        json!({"workflow_id": "3Tc", "items_number": "1", "items_total": "2"}),
        json!({"id": "3Tc", "item_number": 1, "total_items": 2}),
    ] {
        assert_eq!(
            one(&but("workflow", workflow)).status,
            DeliveryStatus::Rejected
        );
    }
}

#[test]
fn any_of_our_secrets_is_accepted_and_no_other() {
    let body = webhook().to_string();
    for (secret, error) in [
        (SECRET, None),
        ("0ld-s3cret", None),
        ("0ld-s3cre", Some(ReportErrorKind::Forged)),
        ("", Some(ReportErrorKind::Forged)),
    ] {
        let result = parse_with(&parser(), Some(&bearer(&claims(&body), secret)), &body, 0);
        assert_eq!(result.err().map(ReportError::kind), error, "{secret}");
    }
}

#[test]
fn no_algorithm_but_hs256_is_accepted() {
    let body = webhook().to_string();
    let claims = claims(&body);
    for alg in ["none", "None", "HS512", "RS256", "hs256", ""] {
        for header in [
            json!({"alg": alg, "typ": "JWT"}),
            json!({"alg": alg, "crit": []}),
        ] {
            let token = format!("Bearer {}", token(&header, &claims, SECRET));
            let error = parse_with(&parser(), Some(&token), &body, 0).unwrap_err();
            assert_eq!(error.kind(), ReportErrorKind::Forged, "{alg}");
        }
    }
    // The vendor's own Node helper accepts this one for the same key.
    let unsigned = bearer(&claims, SECRET);
    let (signed, _) = unsigned.rsplit_once('.').unwrap();
    let error = parse_with(&parser(), Some(&format!("{signed}.")), &body, 0).unwrap_err();
    assert_eq!(error.kind(), ReportErrorKind::Forged);
}

#[test]
fn the_token_covers_the_body_to_the_byte() {
    let body = webhook().to_string();
    let token = bearer(&claims(&body), SECRET);
    for changed in [
        format!("{body} "),
        format!("{body}\n"),
        body.replace("rejected", "delivered"),
        body.replacen('{', "{ ", 1),
        body[1..].to_owned(),
        String::new(),
    ] {
        let error = parse_with(&parser(), Some(&token), &changed, 0).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Forged);
    }
    for (payload_hash, accepted) in [
        (json!(hash(body.as_bytes()).to_uppercase()), true),
        (json!(null), false),
        (json!(""), false),
        (json!(hash(b"")), false),
        (json!(&hash(body.as_bytes())[..63]), false),
        (json!(7), false),
    ] {
        let mut claims = claims(&body);
        claims["payload_hash"] = payload_hash.clone();
        let result = parse_with(&parser(), Some(&bearer(&claims, SECRET)), &body, 0);
        assert_eq!(result.is_ok(), accepted, "{payload_hash}");
        let kind = result.err().map(ReportError::kind);
        assert!(kind.is_none_or(|kind| kind == ReportErrorKind::Forged));
    }
    let mut without = claims(&body);
    without.as_object_mut().unwrap().remove("payload_hash");
    assert!(parse_with(&parser(), Some(&bearer(&without, SECRET)), &body, 0).is_err());
}

#[test]
fn a_token_outside_the_window_is_stale() {
    let body = webhook().to_string();
    let token = bearer(&claims(&body), SECRET);
    let kind = |parser: &VonageReports, seconds| {
        let result = parse_with(parser, Some(&token), &body, seconds);
        result.err().map(ReportError::kind)
    };
    for (seconds, error) in [
        (0, None),
        (300, None),
        (-300, None),
        (301, Some(ReportErrorKind::Stale)),
        (-301, Some(ReportErrorKind::Stale)),
        (86_400, Some(ReportErrorKind::Stale)),
    ] {
        assert_eq!(kind(&parser(), seconds), error, "{seconds}");
    }
    let day = parser().with_window(Duration::from_secs(86_400));
    assert_eq!(kind(&day, 86_400), None);
    assert_eq!(kind(&day, 86_401), Some(ReportErrorKind::Stale));
    assert_eq!(
        kind(&parser().with_window(Duration::MAX), 1_000_000_000),
        None
    );
    for iat in [
        json!(null),
        json!("1767225605"),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(1.5),
    ] {
        let mut claims = claims(&body);
        claims["iat"] = iat.clone();
        assert!(
            parse_with(&parser(), Some(&bearer(&claims, SECRET)), &body, 0).is_err(),
            "{iat}"
        );
    }
}

#[test]
fn a_report_without_a_token_is_unsigned_and_an_invalid_token_is_forged() {
    use ReportErrorKind::{Forged, Unsigned};
    let body = webhook().to_string();
    let token = bearer(&claims(&body), SECRET);
    let bare = token.strip_prefix("Bearer ").unwrap();
    for (authorization, kind) in [
        (None, Unsigned),
        (Some(""), Forged),
        (Some("Bearer"), Forged),
        (Some("Bearer "), Forged),
        (Some("Bearer x"), Forged),
        (Some("Bearer a.b"), Forged),
        (Some("Bearer ..."), Forged),
        (Some("Basic a2V5OnNlY3JldA=="), Forged),
        (Some(bare), Forged),
    ] {
        let error = parse_with(&parser(), authorization, &body, 0).unwrap_err();
        assert_eq!(error.kind(), kind, "{authorization:?}");
    }
    let small = format!("bearer {bare}");
    assert!(parse_with(&parser(), Some(&small), &body, 0).is_ok());
    let headers: [(&str, &[u8]); 2] = [
        ("authorization", token.as_bytes()),
        ("Authorization", token.as_bytes()),
    ];
    let twice = ReportRequest::new("POST", URL, &headers, body.as_bytes());
    let now = DateTime::from_timestamp(SIGNED_AT, 0).unwrap();
    assert_eq!(parser().parse(&twice, now).unwrap_err().kind(), Forged);
}

#[test]
fn an_invalid_body_with_a_signature_is_malformed_and_never_a_panic() {
    for body in [
        "",
        "null",
        "7",
        "[]",
        "{",
        "{}",
        "\"x\"",
        "status=delivered",
        &"[".repeat(10_000),
    ] {
        let error = parse(body).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Malformed);
    }
    for status in [json!(null), json!(""), json!(" "), json!({}), json!([])] {
        let error = parse(&but("status", status).to_string()).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Malformed);
    }
}

#[test]
fn a_parser_needs_a_secret() {
    assert!(VonageReports::new(Vec::new()).is_err());
    assert!(VonageReports::new(vec![SECRET.into(), "".into()]).is_err());
    assert!(VonageReports::new(vec![" ".into()]).is_err());
    assert_eq!(parser().authenticity(), Authenticity::Signed);
    assert!(!format!("{:?}", parser()).contains("s3cret"));
}

#[test]
fn an_unsigned_or_old_report_is_asked_for_again() {
    for (error, expected) in [
        (ReportError::unsigned("x"), (503, "")),
        (ReportError::stale("x"), (503, "")),
        (ReportError::forged("x"), (401, "")),
        (ReportError::malformed("x"), (200, "OK")),
    ] {
        assert_eq!(parser().reply(&Err(error)), expected, "{error}");
    }
    assert_eq!(parser().reply(&Ok(Vec::new())), (200, "OK"));
}
