use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind, ReportParser as _,
    ReportRequest,
};
use postduif_http::vendor::signature::hmac_sha256;
use postduif_kpn::KpnReports;

const URL: &str = "https://hooks.example.test/kpn/s3cret?reference=01J9Z8";
const NOW: i64 = 1_767_225_600;

fn parser() -> KpnReports {
    KpnReports::new(vec!["old".into(), "key".into()]).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn signed(body: &str) -> String {
    hex(&hmac_sha256(&"key".into(), body.as_bytes()))
}

fn parse_as(
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Vec<DeliveryReport>, ReportError> {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let now: DateTime<Utc> = DateTime::from_timestamp(NOW, 0).unwrap();
    parser().parse(
        &ReportRequest::new("POST", url, &headers, body.as_bytes()),
        now,
    )
}

fn parse(body: &str) -> Result<Vec<DeliveryReport>, ReportError> {
    let (signature, time) = (signed(body), NOW.to_string());
    let headers = [
        ("X-KPN-Webhook-Signature", signature.as_str()),
        ("X-KPN-Webhook-Timestamp", &time),
        ("X-KPN-Webhook-Key-Id", "wk_0123456789abcdef01234567"),
        ("X-KPN-Webhook-Attempt", "1"),
    ];
    parse_as(URL, &headers, body)
}

#[test]
fn the_signature_is_what_openssl_makes_of_the_body() {
    // printf '%s' '{"Status":1}' | openssl dgst -sha256 -hmac key
    let made = "867d4518b989f2b01c26e93c4adfd5f88d1f074fc3a35a75b87d42b03e8cb585";
    assert_eq!(signed(r#"{"Status":1}"#), made);
}

#[test]
fn every_status_is_read_as_number_or_text_and_an_unknown_one_is_no_error() {
    for (number, status) in [
        (1, DeliveryStatus::Delivered),
        (2, DeliveryStatus::Buffered),
        (3, DeliveryStatus::Sent),
        (4, DeliveryStatus::Failed),
        (5, DeliveryStatus::Rejected),
        (6, DeliveryStatus::Expired),
        (7, DeliveryStatus::Unknown),
    ] {
        for body in [
            format!(r#"{{"Status":{number}}}"#),
            format!(r#"[{{"delivery_status_code":"{number}"}}]"#),
        ] {
            assert_eq!(parse(&body).unwrap()[0].status, status, "{body}");
        }
    }
    let report = &parse(r#"{"DLRID":"d-1"}"#).unwrap()[0];
    assert_eq!(report.status, DeliveryStatus::Unknown);
}

#[test]
fn the_reference_is_in_the_query_and_fields_have_any_spelling() {
    let body = r#"{"Status":"4","ErrorCode":8,"RecipientPhonenumber":"31612345678","StatusDateTime":1767225599,
        "message_id":"m-1","DLRID":"d-1","Message":"Your code is 123456","CustomerId":7}"#;
    let report = &parse(body).unwrap()[0];
    assert_eq!(report.reference.unwrap().as_str(), "01J9Z8");
    assert_eq!(
        (report.id.as_deref(), report.code.as_deref()),
        (Some("m-1"), Some("008"))
    );
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    assert_eq!(report.at.unwrap().timestamp(), 1_767_225_599);
    assert!(!format!("{report:?}").contains("123456"), "{report:?}");
    let report = &parse(r#"{"status-date-time":"1767225599123"}"#).unwrap()[0];
    assert_eq!(report.at.unwrap().timestamp_millis(), 1_767_225_599_123);
}

#[test]
fn a_blank_member_is_absent() {
    let body = r#"{"Status":"1","ErrorCode":" ","message_id":" ","document_id":"\t","RecipientPhonenumber":" "}"#;
    let report = &parse(body).unwrap()[0];
    assert_eq!(
        (&report.code, &report.id, report.recipient),
        (&None, &None, None)
    );
    let report =
        &parse(r#"{"Status":" ","StatusCode":"1","message_id":"","DLRID":"d-1"}"#).unwrap()[0];
    assert_eq!(
        (report.status, report.id.as_deref()),
        (DeliveryStatus::Delivered, Some("d-1"))
    );
    let report = &parse(r#"{"Status":1,"message_id":"a\u001b[31mb"}"#).unwrap()[0];
    assert_eq!(report.id, None);
}

#[test]
fn a_code_of_zero_is_absent_since_kpns_list_begins_at_one() {
    for (code, read) in [
        (r#""0""#, None),
        ("0", None),
        (r#""000""#, None),
        (r#""1""#, Some("001")),
        ("30", Some("030")),
        (r#""031""#, Some("031")),
    ] {
        let body = format!(r#"{{"Status":"1","ErrorCode":{code}}}"#);
        assert_eq!(parse(&body).unwrap()[0].code.as_deref(), read, "{code}");
    }
}

#[test]
fn an_unreadable_report_is_skipped() {
    let reports = parse(r#"[7, {"Status":1}, {}, null, {"Status":4}]"#).unwrap();
    let statuses: Vec<_> = reports.iter().map(|report| report.status).collect();
    assert_eq!(
        statuses,
        [DeliveryStatus::Delivered, DeliveryStatus::Failed]
    );
}

#[test]
fn a_reference_that_is_not_ours_is_kept_as_text() {
    let (body, time) = (r#"{"Status":1}"#, NOW.to_string());
    let signature = signed(body);
    for (url, theirs) in [
        ("https://x.test/?reference=a-b", Some("a-b")),
        (
            "https://x.test/?reference=f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32",
            Some("f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32"),
        ),
        ("https://x.test/?reference=", None),
        ("https://x.test/?reference=%20", None),
        ("https://x.test/?reference=a%0Ab", None),
    ] {
        let report = &parse_as(url, &[by(&signature), at(&time)], body).unwrap()[0];
        assert_eq!(
            (report.reference, report.vendor_reference.as_deref()),
            (None, theirs),
            "{url}"
        );
    }
}

fn at(time: &str) -> (&str, &str) {
    ("x-kpn-webhook-timestamp", time)
}

fn by(signature: &str) -> (&str, &str) {
    ("x-kpn-webhook-signature", signature)
}

#[test]
fn only_a_signature_of_our_key_is_accepted() {
    let kind =
        |headers: &[(&str, &str)], body: &str| parse_as(URL, headers, body).unwrap_err().kind();
    let (body, time) = (r#"{"Status":1}"#, NOW.to_string());
    let good = signed(body);
    for accepted in [
        good.clone(),
        good.to_uppercase(),
        format!("sha256={good}"),
        hex(&hmac_sha256(&"old".into(), body.as_bytes())),
    ] {
        assert!(
            parse_as(URL, &[by(&accepted), at(&time)], body).is_ok(),
            "{accepted}"
        );
    }
    for index in 0..good.len() {
        let mut forged = good.clone().into_bytes();
        forged[index] = if forged[index] == b'0' { b'1' } else { b'0' };
        let forged = String::from_utf8(forged).unwrap();
        assert_eq!(
            kind(&[by(&forged), at(&time)], body),
            ReportErrorKind::Forged
        );
    }
    assert_eq!(
        kind(&[by(&good), at(&time)], r#"{"Status": 1}"#),
        ReportErrorKind::Forged
    );
    assert_eq!(
        kind(&[by(&good[..62]), at(&time)], body),
        ReportErrorKind::Forged
    );
    assert_eq!(kind(&[at(&time)], body), ReportErrorKind::Unsigned);
    assert_eq!(kind(&[by(&good)], body), ReportErrorKind::Unsigned);
    assert_eq!(kind(&[by("x"), at(&time)], body), ReportErrorKind::Forged);
    assert_eq!(
        kind(&[by(&good), by(&good), at(&time)], body),
        ReportErrorKind::Forged
    );
}

#[test]
fn a_report_outside_the_window_is_stale() {
    let body = r#"{"Status":1}"#;
    let good = signed(body);
    for (offset, stale) in [
        (-601, true),
        (-600, false),
        (0, false),
        (600, false),
        (601, true),
    ] {
        let time = (NOW + offset).to_string();
        let headers = [
            ("x-kpn-webhook-signature", good.as_str()),
            ("x-kpn-webhook-timestamp", &time),
        ];
        let error = parse_as(URL, &headers, body).err().map(ReportError::kind);
        assert_eq!(error, stale.then_some(ReportErrorKind::Stale), "{offset}");
    }
}

#[test]
fn an_invalid_body_is_malformed_and_never_a_panic() {
    for body in [
        "",
        "null",
        "7",
        "[7]",
        "[]",
        "{}",
        "[{}]",
        r#"{"x":1}"#,
        r#"{"Status":" "}"#,
        r#"{"Status":null}"#,
        "{",
        &"[".repeat(10_000),
    ] {
        assert_eq!(
            parse(body).unwrap_err().kind(),
            ReportErrorKind::Malformed,
            "{body}"
        );
    }
    let (body, time) = (r#"{"Status":1}"#, NOW.to_string());
    let signature = signed(body);
    let headers = [by(&signature), at(&time)];
    let duplicate = "https://x.test/?reference=a&reference=b";
    assert_eq!(
        parse_as(duplicate, &headers, body).unwrap_err().kind(),
        ReportErrorKind::Malformed
    );
    let without = parse_as("https://x.test/", &headers, body).unwrap();
    assert_eq!(without[0].reference, None);
}

#[test]
fn a_parser_needs_its_secret() {
    assert!(KpnReports::new(Vec::new()).is_err());
    assert!(KpnReports::new(vec!["".into()]).is_err());
    assert!(KpnReports::new(vec![" ".into()]).is_err());
    assert_eq!(parser().authenticity(), Authenticity::BodyOnly);
    assert!(!format!("{:?}", parser()).contains("key"));
}
