use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use postduif_core::{
    Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind, ReportParser as _,
};
use postduif_http::vendor::signature::{hmac_sha256, sha256};
use postduif_messagebird::ClassicReports;
use serde_json::{Value, json};

use super::wire;

const NOW: i64 = 1_767_225_600;
const SECRET: &str = "n3w-s3cret";
const URL: &str = "https://sms.example.test/reports/messagebird?id=e8077d803532c0b5937c639b60216938&reference=01J9Z8&recipient=31612345678&status=delivered";

fn parser() -> ClassicReports {
    ClassicReports::new(vec![SECRET.into(), "0ld".into()]).unwrap()
}

fn hex(data: &[u8]) -> String {
    sha256(data)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn token(header: &Value, claims: &Value, secret: &str) -> String {
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let tag = hmac_sha256(&secret.into(), signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
}

fn claims(url: &str, body: &str) -> Value {
    let mut claims = json!({
        "iss": "MessageBird", "nbf": NOW, "exp": NOW + 60, "jti": "59a244dc-e9ad-4e23-9778-371faa238f72",
        "url_hash": hex(url.as_bytes())
    });
    if !body.is_empty() {
        claims["payload_hash"] = json!(hex(body.as_bytes()));
    }
    claims
}

fn hs256() -> Value {
    json!({"alg": "HS256", "typ": "JWT"})
}

fn parse_at(
    method: &str,
    url: &str,
    token: &str,
    body: &str,
    now: i64,
) -> Result<Vec<DeliveryReport>, ReportError> {
    let headers = [("MessageBird-Signature-JWT", token)];
    wire::parse(&parser(), method, url, &headers, body.as_bytes(), now)
}

/// Parses a report that the vendor signed correctly.
fn signed(method: &str, url: &str, body: &str) -> Result<Vec<DeliveryReport>, ReportError> {
    let token = token(&hs256(), &claims(url, body), SECRET);
    parse_at(method, url, &token, body, NOW)
}

fn one(url: &str) -> DeliveryReport {
    let mut reports = signed("GET", url, "").unwrap();
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

/// The file of test cases of the vendor's SDKs.
#[test]
fn the_vendors_own_cases_have_the_results_of_its_sdks() {
    let cases = include_str!("vectors/webhook-signature-jwt-reference.json");
    let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
    assert_eq!(cases.len(), 44);
    let mut accepted = 0;
    for case in &cases {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let secret = case["secret"].as_str().unwrap_or("no secret in this case");
        let parser = ClassicReports::new(vec![secret.into()]).unwrap();
        let now = chrono::DateTime::parse_from_rfc3339(text("timestamp")).unwrap();
        let headers = [("messagebird-signature-jwt", text("token"))];
        let error = wire::parse(
            &parser,
            text("method"),
            text("url"),
            &headers,
            text("payload").as_bytes(),
            now.timestamp(),
        )
        .unwrap_err();
        // None of the cases is a report: an accepted signature leads to a missing status.
        let is_accepted = error.to_string() == "the report has no status";
        let expected = case["valid"].as_bool().unwrap();
        assert_eq!(is_accepted, expected, "{}: {error}", text("name"));
        let kind = match text("reason") {
            reason if reason.contains("nbf") || reason.contains("exp ") => ReportErrorKind::Stale,
            "" if is_accepted => ReportErrorKind::Malformed,
            _ => ReportErrorKind::Forged,
        };
        assert_eq!(error.kind(), kind, "{}: {error}", text("name"));
        accepted += usize::from(is_accepted);
    }
    assert_eq!(accepted, 24);
}

#[test]
fn every_field_of_a_report_is_read() {
    let url = format!(
        "{URL}&statusReason=successfully+delivered&statusErrorCode=&statusDatetime=2026-01-01T10%3A00%3A00%2B00%3A00\
         &mccmnc=20408&ported=0&messageLength=5&messagePartCount=1&datacoding=plain\
         &price%5Bamount%5D=0.070&price%5Bcurrency%5D=EUR"
    );
    let report = one(&url);
    assert_eq!(report.provider, "messagebird");
    assert_eq!(report.status, DeliveryStatus::Delivered);
    assert_eq!(report.reference.unwrap().as_str(), "01J9Z8");
    assert_eq!(
        report.id.as_deref(),
        Some("e8077d803532c0b5937c639b60216938")
    );
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    assert_eq!(report.at.unwrap().timestamp(), 1_767_261_600);
    assert_eq!(report.price.unwrap().to_string(), "0.07 EUR");
    assert_eq!(report.code, None);
}

#[test]
fn every_status_is_read_and_an_unknown_one_is_no_failure() {
    for (word, status) in [
        ("scheduled", DeliveryStatus::Buffered),
        ("sent", DeliveryStatus::Sent),
        ("buffered", DeliveryStatus::Buffered),
        ("delivered", DeliveryStatus::Delivered),
        ("expired", DeliveryStatus::Expired),
        ("delivery_failed", DeliveryStatus::Failed),
        ("expiryttd", DeliveryStatus::Unknown),
        ("DELIVERED", DeliveryStatus::Unknown),
        ("failed", DeliveryStatus::Unknown),
        ("7", DeliveryStatus::Unknown),
    ] {
        let report = one(&format!("https://h.test/?id=1&status={word}"));
        assert_eq!(report.status, status, "{word}");
    }
}

#[test]
fn a_code_is_the_number_or_the_listed_reason() {
    for (query, code) in [
        (
            "statusErrorCode=5&statusReason=unknown+subscriber",
            Some("5"),
        ),
        ("statusErrorCode=103", Some("103")),
        ("statusErrorCode=%20104%20", Some("104")),
        ("statusErrorCode=0", None),
        ("statusErrorCode=", None),
        (
            "statusErrorCode=&statusReason=unknown+subscriber",
            Some("unknown_subscriber"),
        ),
        (
            "statusReason=unknown%20subscriber",
            Some("unknown_subscriber"),
        ),
        (
            "statusReason=received_network_error",
            Some("received_network_error"),
        ),
        ("statusReason=Carrier+Rejected", Some("carrier_rejected")),
        ("statusReason=DLR+not+received", Some("dlr_not_received")),
        ("statusReason=Your+code+is+123456", None),
        ("statusErrorCode=123456", None),
        ("statusErrorCode=-5", None),
        ("statusErrorCode=no", None),
    ] {
        let report = one(&format!("https://h.test/?status=delivery_failed&{query}"));
        assert_eq!(report.code.as_deref(), code, "{query}");
    }
}

#[test]
fn the_plus_of_a_zone_is_read_with_and_without_encoding() {
    for (time, at) in [
        ("2026-01-01T10:00:00+00:00", Some(1_767_261_600)),
        ("2026-01-01T10%3A00%3A00%2B00%3A00", Some(1_767_261_600)),
        ("2026-01-01T11:00:00+01:00", Some(1_767_261_600)),
        ("2026-01-01T10:00:00Z", Some(1_767_261_600)),
        ("2026-01-01T10:00:00", None),
        ("soon", None),
        ("", None),
    ] {
        let report = one(&format!(
            "https://h.test/?status=sent&statusDatetime={time}"
        ));
        assert_eq!(report.at.map(|at| at.timestamp()), at, "{time}");
    }
}

#[test]
fn a_foreign_field_is_left_out() {
    let report = one(
        "https://h.test/?status=sent&reference=n%2Fa&recipient=0612345678&id=&price[amount]=x&price[currency]=EUR",
    );
    assert_eq!(
        (report.reference, report.recipient, report.id),
        (None, None, None)
    );
    assert_eq!((report.price, report.at), (None, None));
    assert_eq!(report.vendor_reference.as_deref(), Some("n/a"));
    let report = one("https://h.test/?status=sent&reference=%20&id=abc%1B%5B31m");
    assert_eq!((report.vendor_reference, report.id), (None, None));
}

#[test]
fn a_post_has_the_same_fields_in_its_body() {
    let url = "https://h.test/reports/messagebird";
    let body = "id=x1&reference=a1&recipient=31612345678&status=delivery_failed&statusErrorCode=1";
    let report = &signed("POST", url, body).unwrap()[0];
    assert_eq!(report.status, DeliveryStatus::Failed);
    assert_eq!(report.reference.unwrap().as_str(), "a1");
    assert_eq!(report.code.as_deref(), Some("1"));
    let report = &signed("POST", URL, "").unwrap()[0];
    assert_eq!(report.status, DeliveryStatus::Delivered);
}

#[test]
fn an_invalid_body_is_malformed_and_never_a_panic() {
    for (url, body) in [
        ("https://h.test/", ""),
        ("https://h.test/?status=", ""),
        ("https://h.test/?status=+", ""),
        ("https://h.test/?id=1", ""),
        ("https://h.test/?status=sent&status=delivered", ""),
        ("https://h.test/?status=sent&reference=a&reference=b", ""),
        ("https://h.test/?status=sent", "rubbish"),
        ("https://h.test/?status=sent", "{\"status\":\"sent\"}"),
        ("", ""),
    ] {
        let error = signed("GET", url, body).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Malformed, "{url} {body}");
    }
    let token = token(&hs256(), &claims(URL, ""), SECRET);
    let headers: [(&str, &[u8]); 1] = [("messagebird-signature-jwt", b"\xff\xfe")];
    let request = postduif_core::ReportRequest::new("GET", URL, &headers, b"");
    let now = chrono::DateTime::from_timestamp(NOW, 0).unwrap();
    assert_eq!(
        parser().parse(&request, now).unwrap_err().kind(),
        ReportErrorKind::Forged
    );
    let twice = [
        ("messagebird-signature-jwt", token.as_str()),
        ("MessageBird-Signature-JWT", &token),
    ];
    let error = wire::parse(&parser(), "GET", URL, &twice, b"", NOW).unwrap_err();
    assert_eq!(error.kind(), ReportErrorKind::Forged);
}

#[test]
fn only_a_complete_signature_with_our_key_is_accepted() {
    use ReportErrorKind::{Forged, Malformed, Stale};
    let with = |name: &str, value: Value| {
        let mut claims = claims(URL, "");
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = claims(URL, "");
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    for (header, claims, secret, expected) in [
        (hs256(), claims(URL, ""), SECRET, None),
        (hs256(), claims(URL, ""), "0ld", None),
        (json!({"alg": "HS256"}), claims(URL, ""), SECRET, None),
        (hs256(), claims(URL, ""), "another", Some(Forged)),
        (hs256(), claims(URL, ""), "", Some(Forged)),
        (
            json!({"alg": "none"}),
            claims(URL, ""),
            SECRET,
            Some(Forged),
        ),
        (
            json!({"alg": "HS384"}),
            claims(URL, ""),
            SECRET,
            Some(Forged),
        ),
        (
            json!({"alg": "hs256"}),
            claims(URL, ""),
            SECRET,
            Some(Forged),
        ),
        (
            json!({"alg": "RS256"}),
            claims(URL, ""),
            SECRET,
            Some(Forged),
        ),
        (json!({"typ": "JWT"}), claims(URL, ""), SECRET, Some(Forged)),
        (
            hs256(),
            with("iss", json!("messagebird")),
            SECRET,
            Some(Forged),
        ),
        (
            hs256(),
            with("iss", json!("MessageBird ")),
            SECRET,
            Some(Forged),
        ),
        (hs256(), without("iss"), SECRET, Some(Malformed)),
        (hs256(), without("nbf"), SECRET, Some(Malformed)),
        (hs256(), without("exp"), SECRET, Some(Malformed)),
        (hs256(), without("jti"), SECRET, Some(Malformed)),
        (hs256(), with("jti", json!("")), SECRET, Some(Forged)),
        (hs256(), without("url_hash"), SECRET, Some(Malformed)),
        (hs256(), with("url_hash", json!("")), SECRET, Some(Forged)),
        (
            hs256(),
            with("url_hash", json!(hex(b"https://sms.example.test/"))),
            SECRET,
            Some(Forged),
        ),
        (
            hs256(),
            with("payload_hash", json!(hex(b""))),
            SECRET,
            Some(Forged),
        ),
        (
            hs256(),
            with("payload_hash", json!(hex(b"x"))),
            SECRET,
            Some(Forged),
        ),
        (hs256(), with("payload_hash", json!(null)), SECRET, None),
        (hs256(), with("exp", json!("soon")), SECRET, Some(Malformed)),
        (hs256(), with("nbf", json!(NOW + 5)), SECRET, None),
        (hs256(), with("nbf", json!(NOW + 6)), SECRET, Some(Stale)),
        (hs256(), with("nbf", json!(i64::MIN)), SECRET, None),
        (hs256(), with("exp", json!(NOW - 5)), SECRET, None),
        (hs256(), with("exp", json!(NOW - 6)), SECRET, Some(Stale)),
        (hs256(), with("exp", json!(i64::MAX)), SECRET, None),
        (hs256(), with("iat", json!(NOW)), SECRET, None),
        (hs256(), with("iat", json!(NOW + 6)), SECRET, Some(Stale)),
        (hs256(), json!([]), SECRET, Some(Malformed)),
    ] {
        let token = token(&header, &claims, secret);
        let kind = parse_at("GET", URL, &token, "", NOW)
            .err()
            .map(ReportError::kind);
        assert_eq!(kind, expected, "{header} {claims} {secret}");
    }
}

#[test]
fn a_signature_is_for_its_url_and_body_only() {
    let good = token(&hs256(), &claims(URL, ""), SECRET);
    let http = URL.replace("https", "http");
    let host = URL.replace("sms.", "evil.");
    let port = URL.replace(".test/", ".test:8443/");
    let failed = URL.replace("delivered", "failed");
    let slash = URL.replace("messagebird?", "messagebird/?");
    let encoded = URL.replace("delivered", "%64elivered");
    for url in [
        &http,
        &host,
        &port,
        &failed,
        &slash,
        &encoded,
        &format!("{URL}&x=1"),
        &format!("{URL}#x"),
    ] {
        let error = parse_at("GET", url, &good, "", NOW).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Forged, "{url}");
    }
    let error = parse_at("POST", URL, &good, "status=delivered", NOW).unwrap_err();
    assert_eq!(error.kind(), ReportErrorKind::Forged);
    let posted = token(&hs256(), &claims(URL, "status=sent"), SECRET);
    for body in ["", "status=delivered", "status=sent "] {
        let error = parse_at("POST", URL, &posted, body, NOW).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Forged, "{body}");
    }
    for broken in [
        format!("{good}x"),
        good[..good.len() - 1].to_owned(),
        good.replace('.', ""),
        "..".into(),
        "a.b.c".into(),
    ] {
        assert!(parse_at("GET", URL, &broken, "", NOW).is_err(), "{broken}");
    }
}

/// A valid signature of the deprecated scheme, from the tests of PyPI `messagebird` 2.2.0. It covers neither host nor
/// path, so it is not enough.
#[test]
fn the_deprecated_signature_alone_is_refused() {
    let parser = ClassicReports::new(vec!["PlLrKaqvZNRR5zAjm42ZT6q1SQxgbbGd".into()]).unwrap();
    let url = "https://h.test/?recipient=31612345678&reference=FOO&statusDatetime=2019-01-11T09%3A17%3A11%2B00%3A00&id=eef0ab57a9e049be946f3821568c2b2e&status=delivered&mccmnc=20408&ported=1";
    let old = (
        "MessageBird-Signature",
        "KVBdcVdz2lYMwcBLZCRITgxUfA/WkwSi+T3Wxl2HL6w=",
    );
    let time = ("MessageBird-Request-Timestamp", "1547198231");
    for headers in [
        vec![],
        vec![old, time],
        vec![old, time, ("MessageBird-Signature-JWT", "")],
    ] {
        let error = wire::parse(&parser, "GET", url, &headers, b"", 1_547_198_231).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Unsigned);
    }
}

#[test]
fn a_parser_needs_a_secret() {
    assert!(ClassicReports::new(Vec::new()).is_err());
    assert!(ClassicReports::new(vec!["good".into(), "".into()]).is_err());
    assert!(ClassicReports::new(vec![" ".into()]).is_err());
    assert_eq!(parser().authenticity(), Authenticity::Signed);
    assert!(!format!("{:?}", parser()).contains("s3cret"));
}
