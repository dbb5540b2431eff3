use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind, ReportParser as _,
    ReportRequest,
};
use postduif_spryng::SpryngReports;
use serde_json::{Value, json};

const URL: &str = "https://sms.example.test/reports/spryng/n3w-s3cret-of-ours";

fn v2() -> SpryngReports {
    SpryngReports::new(vec!["0ld-of-16-letter".into(), "n3w-s3cret-of-ours".into()]).unwrap()
}

fn v1() -> SpryngReports {
    SpryngReports::new_v1(vec!["0ld-of-16-letter".into(), "n3w-s3cret-of-ours".into()]).unwrap()
}

fn parse_as(
    parser: &SpryngReports,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Vec<DeliveryReport>, ReportError> {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let now: DateTime<Utc> = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
    parser.parse(
        &ReportRequest::new(method, url, &headers, body.as_bytes()),
        now,
    )
}

fn parse(body: &str) -> Result<Vec<DeliveryReport>, ReportError> {
    parse_as(&v2(), "POST", URL, &[], body)
}

/// The documented report of version 2, with some of the message's members replaced.
fn event(members: &Value) -> Value {
    let mut message = json!({
        "MessageId": "0c914d2b", "Status": "Delivered", "Reason": "Delivered",
        "OccurredAtTime": "2026-02-18T15:18:08.8212423Z", "Msisdn": "31612345678",
        "Originator": "Acme", "Body": "Your code is 123456", "MessageParts": 1, "MessageCoding": "GSM",
        "DestinationCode": "NL", "Metadata": {"reference": "01J9Z8"}
    });
    for (name, value) in members.as_object().unwrap() {
        message[name] = value.clone();
    }
    json!({
        "RequestId": "8a2f", "AccountReference": "SPNL0000000", "Channel": "SMS", "Status": "Delivered",
        "Messages": [message]
    })
}

fn one(members: &Value) -> DeliveryReport {
    let mut reports = parse(&event(members).to_string()).unwrap();
    assert_eq!(reports.len(), 1, "{members}");
    reports.remove(0)
}

#[test]
fn the_documented_report_of_v2_is_read() {
    let report = one(&json!({}));
    assert_eq!(report.provider, "spryng");
    assert_eq!(report.status, DeliveryStatus::Delivered);
    assert_eq!(report.reference.unwrap().as_str(), "01J9Z8");
    assert_eq!(report.id.as_deref(), Some("0c914d2b"));
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    assert_eq!((report.code.as_deref(), report.price), (None, None));
    assert_eq!(report.at.unwrap().timestamp_micros(), 1_771_427_888_821_242);
    assert!(!format!("{report:?}").contains("123456"), "{report:?}");
}

#[test]
fn every_status_of_v2_is_read_in_any_spelling_and_an_unknown_one_is_no_failure() {
    for (names, status) in [
        (&["Delivered", "delivered"][..], DeliveryStatus::Delivered),
        (&["Failed", "FAILED"], DeliveryStatus::Failed),
        (&["Sent", " sent "], DeliveryStatus::Sent),
        (
            &["In Progress", "InProgress", "in_progress"],
            DeliveryStatus::Sent,
        ),
        (
            &["Rejected", "Expired", "Deliveredx", "é"],
            DeliveryStatus::Unknown,
        ),
    ] {
        for name in names {
            for reason in [json!(null), json!(""), json!("SomethingNew")] {
                let report = one(&json!({"Status": name, "Reason": reason}));
                assert_eq!(report.status, status, "{name} {reason}");
                assert_eq!(report.code, None);
            }
        }
    }
    let report = one(&json!({"Status": 1, "Reason": null}));
    assert_eq!(report.status, DeliveryStatus::Unknown);
}

#[test]
fn a_message_of_v2_without_a_status_is_malformed_and_leaves_the_others() {
    let good = event(&json!({}))["Messages"][0].clone();
    for status in [
        json!(null),
        json!(""),
        json!(" "),
        json!({}),
        json!(["Failed"]),
    ] {
        let bad = event(&json!({"Status": status, "Reason": null}))["Messages"][0].clone();
        let alone = parse(&json!({"Messages": [bad]}).to_string()).unwrap_err();
        assert_eq!(alone.kind(), ReportErrorKind::Malformed, "{status}");
        let reports = parse(&json!({"Messages": [bad, good, 7, good, null]}).to_string()).unwrap();
        assert_eq!(reports.len(), 2, "{status}");
    }
}

#[test]
fn every_reason_of_a_failure_is_kept_in_one_spelling() {
    for (written, code) in [
        ("MsisdnInvalid", "MsisdnInvalid"),
        ("msisdn_invalid", "MsisdnInvalid"),
        ("LandlineNotAllowed", "LandlineNotAllowed"),
        ("DestinationNotAllowed", "DestinationNotAllowed"),
        ("OptedOut", "OptedOut"),
        ("Opted Out", "OptedOut"),
        ("senderIdInvalid", "senderIdInvalid"),
        ("SenderIdInvalid", "senderIdInvalid"),
        ("MessagePartCountExceeded", "MessagePartCountExceeded"),
        ("DisallowedContent", "DisallowedContent"),
        ("Unprocessable", "Unprocessable"),
        ("SendingLimitExceeded", "SendingLimitExceeded"),
        ("OutsideBusinessHours", "OutsideBusinessHours"),
        ("WithinQuietHours", "WithinQuietHours"),
        ("NetworkFailed", "NetworkFailed"),
        ("EdgeFailed", "EdgeFailed"),
        ("FailedToRoute", "FailedToRoute"),
        ("PartiallyDelivered", "PartiallyDelivered"),
    ] {
        let report = one(&json!({"Status": "Failed", "Reason": written}));
        assert_eq!(
            (report.status, report.code.as_deref()),
            (DeliveryStatus::Failed, Some(code)),
            "{written}"
        );
    }
}

#[test]
fn status_and_reason_are_read_together() {
    use DeliveryStatus::{Delivered, Failed, Sent, Unknown};
    for (status, reason, outcome) in [
        // The portal's sample.
        ("Sent", "Delivered", Delivered),
        ("In Progress", "Delivered", Delivered),
        ("Delivered", "EdgeSubmitted", Delivered),
        ("Sent", "EdgeSubmitted", Sent),
        ("Failed", "EdgeSubmitted", Failed),
        ("Failed", "PartiallyDelivered", Failed),
        ("Delivered", "PartiallyDelivered", Unknown),
        ("Sent", "PartiallyDelivered", Unknown),
        ("Failed", "Delivered", Unknown),
        ("Delivered", "NetworkFailed", Unknown),
        ("Sent", "NetworkFailed", Unknown),
        ("In Progress", "WithinQuietHours", Unknown),
        ("SomethingNew", "Delivered", Unknown),
        ("SomethingNew", "NetworkFailed", Unknown),
    ] {
        let report = one(&json!({"Status": status, "Reason": reason}));
        assert_eq!(report.status, outcome, "{status} {reason}");
    }
}

#[test]
fn metadata_of_v2_may_be_anything_or_nothing() {
    for (metadata, reference) in [
        (json!({"reference": "a1"}), Some("a1")),
        (json!({"Reference": "a1", "x": []}), Some("a1")),
        (json!({"reference": 42}), Some("42")),
        (
            json!({"reference": "f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32"}),
            None,
        ),
        (json!({"reference": "x".repeat(33)}), None),
        (json!({"reference": null}), None),
        (json!({"ref": "a1"}), None),
        (json!({}), None),
        (json!([]), None),
        (json!(["reference"]), None),
        (json!(null), None),
        (json!("a1"), None),
    ] {
        let report = one(&json!({"Metadata": metadata}));
        let read = report.reference.map(|reference| reference.to_string());
        assert_eq!(read.as_deref(), reference, "{metadata}");
        let foreign = metadata["reference"]
            .as_str()
            .filter(|_| reference.is_none());
        assert_eq!(report.vendor_reference.as_deref(), foreign, "{metadata}");
    }
    let mut body = event(&json!({}));
    body["Messages"][0]
        .as_object_mut()
        .unwrap()
        .remove("Metadata");
    assert_eq!(parse(&body.to_string()).unwrap()[0].reference, None);
}

#[test]
fn a_member_of_v2_that_is_unreadable_is_left_out() {
    let report = one(&json!({
        "MessageId": "abc\u{1b}[31m", "Msisdn": "0612345678", "OccurredAtTime": "2026-02-18 15:18:08"
    }));
    assert_eq!((report.id, report.recipient, report.at), (None, None, None));
    let report =
        one(&json!({"MessageId": null, "Msisdn": 31_612_345_678_u64, "OccurredAtTime": 7}));
    assert_eq!((report.id, report.at), (None, None));
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
}

#[test]
fn several_reports_of_v2_are_read_and_others_are_left_out() {
    let report = event(&json!({}))["Messages"][0].clone();
    let inbound = event(&json!({"Status": "Received", "Reason": null}))["Messages"][0].clone();
    let inbound_by_reason =
        event(&json!({"Status": "Sent", "Reason": "Inbound"}))["Messages"][0].clone();
    for (body, count) in [
        (json!({"Messages": [report, report]}), 2),
        (json!({"messages": [report]}), 1),
        (json!({"Messages": [inbound]}), 0),
        (json!({"Messages": [inbound_by_reason, report]}), 1),
        (
            json!({"AccountReference": "A", "Channel": "SMS", "Address": "31612345678", "ActionPerformedBy": "x"}),
            0,
        ),
        (json!({"ScheduleId": "x", "Status": "Sent"}), 0),
    ] {
        assert_eq!(parse(&body.to_string()).unwrap().len(), count, "{body}");
    }
}

#[test]
fn an_invalid_body_for_v2_is_malformed_and_never_a_panic() {
    let many = json!({"Messages": vec![json!({}); 1001]}).to_string();
    for body in [
        "",
        "null",
        "7",
        "[]",
        "[{}]",
        "{",
        r#"{"Messages": null}"#,
        r#"{"Messages": {}}"#,
        r#"{"Messages": [7]}"#,
        r#"{"Messages": [[]]}"#,
        r#"{"Messages": []}"#,
        r#"{"Messages": [{}]}"#,
        "{}",
        "Status=Delivered",
        &"[".repeat(10_000),
        &many,
    ] {
        let error = parse(body).unwrap_err();
        let shown = &body[..body.len().min(40)];
        assert_eq!(error.kind(), ReportErrorKind::Malformed, "{shown}");
    }
}

fn get(query: &str) -> Result<Vec<DeliveryReport>, ReportError> {
    parse_as(&v1(), "GET", &format!("{URL}?{query}"), &[], "")
}

#[test]
fn the_report_of_v1_in_use_is_read() {
    let report =
        &get("STATUS=20&REASONCODE=31&REFERENCE=f2a9d7c45f634c4e9a0e1e3f7b6a8d32").unwrap()[0];
    assert_eq!(report.provider, "spryng");
    assert_eq!(report.status, DeliveryStatus::Failed);
    assert_eq!(report.code.as_deref(), Some("31"));
    assert_eq!(
        report.reference.unwrap().as_str(),
        "f2a9d7c45f634c4e9a0e1e3f7b6a8d32"
    );
    assert_eq!((report.id.as_deref(), report.at), (None, None));
    // A foreign reference of 36 characters, as observed in use.
    let report =
        &get("STATUS=10&REASONCODE=0&REFERENCE=f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32").unwrap()[0];
    assert_eq!(
        (report.status, report.reference),
        (DeliveryStatus::Delivered, None)
    );
    assert_eq!(
        report.vendor_reference.as_deref(),
        Some("f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32")
    );
    let report = &get("STATUS=10&REFERENCE=%20&ID=abc%1B%5B31m").unwrap()[0];
    assert_eq!((&report.vendor_reference, &report.id), (&None, &None));
}

#[test]
fn every_status_of_v1_is_read_and_an_unknown_one_is_no_failure() {
    for (word, status) in [
        ("10", DeliveryStatus::Delivered),
        ("20", DeliveryStatus::Failed),
        ("0", DeliveryStatus::Unknown),
        ("1", DeliveryStatus::Unknown),
        ("15", DeliveryStatus::Unknown),
        ("30", DeliveryStatus::Unknown),
        ("-20", DeliveryStatus::Unknown),
        ("020", DeliveryStatus::Unknown),
        ("Delivered", DeliveryStatus::Delivered),
        ("Not%20Delivered", DeliveryStatus::Failed),
        ("Not+Delivered", DeliveryStatus::Failed),
        ("not_delivered", DeliveryStatus::Failed),
        ("Buffered", DeliveryStatus::Buffered),
        ("pending", DeliveryStatus::Sent),
        ("sent", DeliveryStatus::Sent),
        ("delivered", DeliveryStatus::Delivered),
        ("failed", DeliveryStatus::Failed),
        ("scheduled", DeliveryStatus::Buffered),
        ("expired", DeliveryStatus::Unknown),
    ] {
        let report = &get(&format!("STATUS={word}&REASONCODE=0&REFERENCE=a1")).unwrap()[0];
        assert_eq!(report.status, status, "{word}");
        assert_eq!(report.code, None);
    }
}

#[test]
fn a_reason_of_v1_is_kept_only_if_it_is_one() {
    for (reason, code) in [
        ("0", None),
        ("20", Some("20")),
        ("21", Some("21")),
        ("22", Some("22")),
        ("31", Some("31")),
        ("32", Some("32")),
        ("99", Some("99")),
        ("1234", None),
        ("no", None),
        ("-1", None),
        ("", None),
    ] {
        let report = &get(&format!("STATUS=20&REASONCODE={reason}&REFERENCE=a1")).unwrap()[0];
        assert_eq!(report.code.as_deref(), code, "{reason}");
        assert_eq!(report.status, DeliveryStatus::Failed);
    }
}

#[test]
fn a_report_of_v1_is_read_from_query_form_and_json_in_any_case() {
    for (method, query, body) in [
        (
            "GET",
            "?status=20&reasoncode=21&reference=a1&id=m1&recipient=31612345678",
            "",
        ),
        (
            "GET",
            "?Status=20&ReasonCode=21&Reference=a1&Message_Id=m1&Number=%2B31612345678",
            "",
        ),
        (
            "POST",
            "",
            "STATUS=20&REASONCODE=21&REFERENCE=a1&MESSAGEID=m1&DESTINATION=0031612345678",
        ),
        (
            "POST",
            "?reference=a1",
            "status=20&reasoncode=21&messageid=m1&number=31612345678\r\n",
        ),
        (
            "POST",
            "",
            r#" {"STATUS": 20, "reasonCode": "21", "Reference": "a1", "Id": "m1", "recipient": 31612345678}"#,
        ),
        (
            "POST",
            "?STATUS=20",
            r#"{"status": "10", "reasoncode": 21, "reference": "a1", "message_id": "m1", "number": "31612345678"}"#,
        ),
    ] {
        let reports = parse_as(&v1(), method, &format!("{URL}{query}"), &[], body).unwrap();
        let report = &reports[0];
        assert_eq!(reports.len(), 1);
        assert_eq!(report.status, DeliveryStatus::Failed, "{query} {body}");
        assert_eq!(report.code.as_deref(), Some("21"), "{query} {body}");
        assert_eq!(report.reference.unwrap().as_str(), "a1");
        assert_eq!(report.id.as_deref(), Some("m1"));
        assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    }
}

#[test]
fn an_invalid_body_for_v1_is_malformed_and_never_a_panic() {
    for (query, body) in [
        ("", ""),
        ("?", ""),
        ("?REFERENCE=a1", ""),
        ("?STATUS=", ""),
        ("?STATUS", ""),
        ("?STATUS=10&STATUS=20", ""),
        ("?STATUS=10&status=20", ""),
        ("?STATUS=10&REFERENCE=a&REFERENCE=b", ""),
        ("", "rubbish"),
        ("", "status=10&status=20"),
        ("", "{"),
        ("", "[]"),
        ("", r#"[{"status": 10}]"#),
        ("", r#"{"status": [10]}"#),
        ("", r#"{"status": null}"#),
    ] {
        let error = parse_as(&v1(), "POST", &format!("{URL}{query}"), &[], body).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Malformed, "{query} {body}");
    }
    let request = ReportRequest::new("POST", URL, &[], b"status=\xff\xfe");
    let error = v1().parse(&request, DateTime::UNIX_EPOCH).unwrap_err();
    assert_eq!(error.kind(), ReportErrorKind::Malformed);
}

#[test]
fn only_a_report_with_our_secret_is_accepted() {
    use ReportErrorKind::{Forged, Unsigned};
    let body = event(&json!({})).to_string();
    for (url, error) in [
        (URL, None),
        ("https://h.test/reports/spryng/0ld-of-16-letter", None),
        ("https://h.test/reports/spryng/0ld-of-16-letter?x=y/z", None),
        ("https://h.test/reports/spryng/0ld-of-16-letter#x", None),
        ("https://h.test/0ld-of-16-letter", None),
        ("https://h.test/reports/spryng", Some(Unsigned)),
        ("https://h.test/reports/spryng/", Some(Unsigned)),
        (
            "https://h.test/reports/spryng/?secret=0ld-of-16-letter",
            Some(Unsigned),
        ),
        (
            "https://h.test/reports/spryng?/0ld-of-16-letter",
            Some(Unsigned),
        ),
        ("https://h.test", Some(Unsigned)),
        ("https://h.test/", Some(Unsigned)),
        ("https://0ld-of-16-letter", Some(Unsigned)),
        ("", Some(Unsigned)),
        (
            "https://h.test/reports/spryng/0ld-of-16-letter/",
            Some(Unsigned),
        ),
        (
            "https://h.test/reports/spryng/0LD-OF-16-LETTER",
            Some(Forged),
        ),
        (
            "https://h.test/reports/spryng/0ld-of-16-lette",
            Some(Forged),
        ),
        (
            "https://h.test/reports/spryng/0ld-of-16-letterx",
            Some(Forged),
        ),
        (
            "https://h.test/reports/spryng/%30ld-of-16-letter",
            Some(Forged),
        ),
        ("https://h.test/0ld-of-16-letter/spryng/x", Some(Forged)),
    ] {
        let kind = |parser: SpryngReports, method, url: &str, body: &str| {
            let result = parse_as(&parser, method, url, &[], body);
            result.err().map(ReportError::kind)
        };
        assert_eq!(kind(v2(), "POST", url, &body), error, "{url}");
        assert_eq!(kind(v1(), "POST", url, "status=10"), error, "{url}");
        if !url.contains(['?', '#']) {
            let url = format!("{url}?STATUS=10");
            assert_eq!(kind(v1(), "GET", &url, ""), error, "{url}");
        }
    }
}

#[test]
fn the_secret_may_be_the_password_of_a_basic_pair() {
    use ReportErrorKind::Forged;
    let body = event(&json!({})).to_string();
    let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
    let bare = "https://h.test/reports/spryng";
    for (url, authorization, error) in [
        (bare, basic("spryng:0ld-of-16-letter"), None),
        (bare, basic(":n3w-s3cret-of-ours"), None),
        (
            bare,
            basic("spryng:0ld-of-16-letter").replace("Basic", "bASIC"),
            None,
        ),
        // Either of the two is enough, since the password is one for the whole account.
        (URL, basic("spryng:another"), None),
        (URL, "Bearer x".into(), None),
        (bare, basic("spryng:another"), Some(Forged)),
        (bare, basic("0ld-of-16-letter:spryng"), Some(Forged)),
        (bare, basic("0ld-of-16-letter"), Some(Forged)),
        (bare, basic("spryng:0ld-of-16-letter:"), Some(Forged)),
        (bare, basic(""), Some(Forged)),
        (bare, "Basic".into(), Some(Forged)),
        (bare, "Basic ***".into(), Some(Forged)),
        (
            bare,
            format!("Basic {}", BASE64_STANDARD.encode(b"\xff:0ld-of-16-letter")),
            Some(Forged),
        ),
        (bare, "Bearer 0ld-of-16-letter".into(), Some(Forged)),
        (bare, String::new(), Some(Forged)),
    ] {
        let headers = [("Authorization", authorization.as_str())];
        let kind = parse_as(&v2(), "POST", url, &headers, &body)
            .err()
            .map(ReportError::kind);
        assert_eq!(kind, error, "{url} {authorization}");
    }
    let good = basic("spryng:0ld-of-16-letter");
    let headers = [("authorization", good.as_str()), ("Authorization", &good)];
    let error = parse_as(&v2(), "POST", bare, &headers, &body).unwrap_err();
    assert_eq!(error.kind(), Forged);
}

#[test]
fn nothing_is_read_before_the_secret_is_verified() {
    for parser in [v2(), v1()] {
        for body in ["", "rubbish", "{"] {
            let url = "https://h.test/reports/spryng/x";
            let error = parse_as(&parser, "POST", url, &[], body).unwrap_err();
            assert_eq!(error.kind(), ReportErrorKind::Forged, "{body}");
        }
    }
}

#[test]
fn a_parser_needs_a_secret_that_fits_a_path() {
    for new in [SpryngReports::new, SpryngReports::new_v1] {
        assert!(new(Vec::new()).is_err());
        for secret in [
            "",
            "spryng",
            "fifteen-letters",
            "a/b-a/b-a/b-a/b-",
            "a?b-a?b-a?b-a?b-",
            "a#b-a#b-a#b-a#b-",
            "a%20-a%20-a%20-a%20-",
            "a b-a b-a b-a b-",
            "a\nb-a\nb-a\nb-a\nb-",
            "é-é-é-é-é-é-é-é-",
        ] {
            let error = new(vec!["good-good-good-good".into(), secret.into()]).unwrap_err();
            assert!(
                secret == "spryng" || secret.len() < 3 || !format!("{error:?}").contains(secret)
            );
        }
    }
    for parser in [v2(), v1()] {
        assert_eq!(parser.authenticity(), Authenticity::Unsigned);
        assert!(!format!("{parser:?}").contains("s3cret"));
    }
}
