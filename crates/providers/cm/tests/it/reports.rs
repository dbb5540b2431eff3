use chrono::{DateTime, Utc};
use postduif_cm::CmReports;
use postduif_core::{
    Authenticity, Delivery, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind,
    ReportParser as _, ReportRequest,
};
use serde_json::json;

const URL: &str = "https://hooks.example.test/reports/cm/n3w-s3cret-n3w-s3cret";

fn parser() -> CmReports {
    CmReports::new(vec![
        "0ld-0ld-0ld-0ld-".into(),
        "n3w-s3cret-n3w-s3cret".into(),
    ])
    .unwrap()
}

fn parse_as(method: &str, url: &str, body: &str) -> Result<Vec<DeliveryReport>, ReportError> {
    let now: DateTime<Utc> = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
    parser().parse(&ReportRequest::new(method, url, &[], body.as_bytes()), now)
}

fn parse(body: &str) -> Result<Vec<DeliveryReport>, ReportError> {
    parse_as("POST", URL, body)
}

fn one(body: &serde_json::Value) -> DeliveryReport {
    let mut reports = parse(&body.to_string()).unwrap();
    assert_eq!(reports.len(), 1, "{body}");
    reports.remove(0)
}

/// CM's template with this status and error.
fn template(code: &serde_json::Value, error: &serde_json::Value) -> serde_json::Value {
    json!({"messages": {"msg": {
        "received": "2026-02-01T14:00:09", "to": "0031612345678", "reference": "01J9Z8Q4T6M2V7X3",
        "status": {"code": code, "errorCode": error, "errorDescription": "Your code is 123456"},
        "operator": "20404"
    }}})
}

#[test]
fn cms_template_is_read() {
    let report = one(&template(&json!("2"), &json!("")));
    assert_eq!(report.provider, "cm");
    assert_eq!(report.status, DeliveryStatus::Delivered);
    assert_eq!(report.reference.unwrap().as_str(), "01J9Z8Q4T6M2V7X3");
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    assert_eq!(
        (report.id.as_deref(), report.code.as_deref(), report.price),
        (None, None, None)
    );
    let report = one(&template(&json!("3"), &json!("23")));
    assert!(!format!("{report:?}").contains("123456"), "{report:?}");
}

#[test]
fn every_status_is_read_as_text_or_number_and_an_unknown_one_is_no_error() {
    for (code, status) in [
        (0, DeliveryStatus::Sent),
        (1, DeliveryStatus::Rejected),
        (2, DeliveryStatus::Delivered),
        (3, DeliveryStatus::Failed),
        (4, DeliveryStatus::Delivered),
        (5, DeliveryStatus::Unknown),
        (-1, DeliveryStatus::Unknown),
        (20, DeliveryStatus::Unknown),
    ] {
        for code in [
            json!(code),
            json!(code.to_string()),
            json!(format!(" {code} ")),
        ] {
            let report = one(&template(&code, &json!("")));
            assert_eq!(report.status, status, "{code}");
        }
    }
    for code in [json!(2.5), json!("delivered")] {
        let report = one(&template(&code, &json!("")));
        assert_eq!(report.status, DeliveryStatus::Unknown, "{code}");
    }
}

#[test]
fn an_error_is_kept_only_if_it_is_a_code() {
    for (error, code) in [
        (json!(""), None),
        (json!("0"), None),
        (json!(0), None),
        (json!("200"), None),
        (json!(null), None),
        (json!("5"), Some("5")),
        (json!(8), Some("8")),
        (json!("23"), Some("23")),
        (json!(40), Some("40")),
        (json!("731"), Some("731")),
        (json!("1234"), None),
        (json!("no"), None),
        (json!("é"), None),
        (json!(-5), None),
        (json!(["5"]), None),
    ] {
        let report = one(&template(&json!("3"), &error));
        assert_eq!(report.code.as_deref(), code, "{error}");
        assert_eq!(report.status, DeliveryStatus::Failed, "{error}");
    }
}

#[test]
fn a_text_for_a_subscriber_without_credit_is_buffered() {
    for (code, status) in [
        ("0", DeliveryStatus::Buffered),
        ("1", DeliveryStatus::Buffered),
        ("2", DeliveryStatus::Delivered),
        ("3", DeliveryStatus::Buffered),
        ("9", DeliveryStatus::Unknown),
    ] {
        let report = one(&template(&json!(code), &json!(7)));
        assert_eq!(report.status, status, "{code}");
        assert_eq!(report.code.as_deref(), Some("7"));
    }
}

#[test]
fn only_a_time_with_a_zone_is_a_time() {
    for (received, at) in [
        (json!("2026-02-01T14:00:09"), None),
        (json!("2026-02-01 14:00:09"), None),
        (json!(1_767_225_600), None),
        (json!(""), None),
        (json!("2026-02-01T14:00:09Z"), Some(1_769_954_409)),
        (json!("2026-02-01T15:00:09+01:00"), Some(1_769_954_409)),
    ] {
        let mut body = template(&json!(2), &json!(""));
        body["messages"]["msg"]["received"] = received.clone();
        assert_eq!(one(&body).at.map(|at| at.timestamp()), at, "{received}");
    }
}

#[test]
fn a_reference_that_is_not_ours_is_kept_as_text() {
    for reference in [
        json!(""),
        json!(null),
        json!("n/a"),
        json!("f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32"),
        json!("x".repeat(33)),
        json!({}),
    ] {
        let mut body = template(&json!(2), &json!(""));
        body["messages"]["msg"]["reference"] = reference.clone();
        let report = one(&body);
        assert_eq!(report.reference, None, "{reference}");
        let text = reference.as_str().filter(|text| !text.is_empty());
        assert_eq!(report.vendor_reference.as_deref(), text, "{reference}");
    }
    let mut body = template(&json!(2), &json!(""));
    body["messages"]["msg"]["reference"] = json!(42);
    assert_eq!(one(&body).reference.unwrap().as_str(), "42");
}

#[test]
fn a_recipient_is_one_number_in_any_form() {
    for to in [
        json!("0031612345678"),
        json!("+31612345678"),
        json!("31612345678"),
        json!(31_612_345_678_u64),
    ] {
        let mut body = template(&json!(2), &json!(""));
        body["messages"]["msg"]["to"] = to.clone();
        assert_eq!(
            one(&body).recipient.unwrap().to_string(),
            "+31612345678",
            "{to}"
        );
    }
    for to in [json!("0612345678"), json!(""), json!("Contoso")] {
        let mut body = template(&json!(2), &json!(""));
        body["messages"]["msg"]["to"] = to.clone();
        assert_eq!(one(&body).recipient, None, "{to}");
    }
}

#[test]
fn one_report_or_several_in_every_nesting() {
    let flat = json!({"reference": "a1", "status": "2", "statusDescription": "x", "errorCode": "5", "messageId": "m"});
    let nested = template(&json!(2), &json!(5))["messages"]["msg"].clone();
    for (body, count) in [
        (flat.clone(), 1),
        (json!([flat, flat]), 2),
        (nested.clone(), 1),
        (json!({"messages": {"msg": [nested, nested]}}), 2),
        (json!({"messages": [{"msg": nested}, {"msg": [nested]}]}), 2),
        (json!([{"messages": {"msg": nested}}, flat]), 2),
    ] {
        let reports = parse(&body.to_string()).unwrap();
        assert_eq!(reports.len(), count, "{body}");
        for report in reports {
            assert_eq!(report.status, DeliveryStatus::Delivered, "{body}");
            assert_eq!(report.code.as_deref(), Some("5"), "{body}");
            assert!(report.reference.is_some(), "{body}");
        }
    }
}

#[test]
fn an_unreadable_report_is_skipped() {
    let good = template(&json!(2), &json!(5))["messages"]["msg"].clone();
    let mut silent = good.clone();
    silent.as_object_mut().unwrap().remove("status");
    for (body, count) in [
        (
            json!({"messages": {"msg": [7, good, silent, good, null]}}),
            2,
        ),
        (json!([{"x": 1}, good, []]), 1),
        (json!([{"messages": {}}, {"messages": {"msg": good}}]), 1),
        (json!({"messages": [{"msg": []}, {"msg": good}]}), 1),
    ] {
        let reports = parse(&body.to_string()).unwrap();
        assert_eq!(reports.len(), count, "{body}");
        assert!(reports.iter().all(|report| report.reference.is_some()));
    }
}

#[test]
fn a_report_without_a_status_is_malformed() {
    let without = json!({"to": "0031612345678", "reference": "a1"});
    let mut bodies = vec![
        json!([]),
        json!({}),
        json!([{}]),
        json!({"x": 1}),
        json!({"messages": []}),
        json!({"messages": {"msg": []}}),
        json!({"messages": {"msg": without}}),
        json!([without]),
    ];
    for code in [json!(""), json!(" "), json!(null), json!({}), json!([2])] {
        bodies.push(template(&code, &json!("5")));
    }
    for body in bodies {
        let error = parse(&body.to_string()).err().map(ReportError::kind);
        assert_eq!(error, Some(ReportErrorKind::Malformed), "{body}");
    }
}

#[test]
fn a_text_of_several_parts_is_delivered_when_all_of_its_reports_are() {
    let report = |code| one(&template(&json!(code), &json!("")));
    assert_eq!(report(2).part, None, "CM does not number the parts");
    let join = |codes: [u8; 2]| {
        let mut delivery = Delivery::new().with_parts(2);
        codes.map(|code| delivery.add(&report(code)))[1]
    };
    assert_eq!(join([2, 2]), DeliveryStatus::Delivered);
    assert_eq!(join([2, 3]), DeliveryStatus::Failed);
    assert_eq!(join([3, 2]), DeliveryStatus::Failed);
}

#[test]
fn the_older_get_form_is_read() {
    let url = format!(
        "{URL}?reference=a1&sent=2026-02-01T14:00:00&received=2026-02-01T14:00:09Z&to=0031612345678\
         &statuscode=3&errorcode=24&errordescription=absent"
    );
    let report = &parse_as("GET", &url, "").unwrap()[0];
    assert_eq!(report.status, DeliveryStatus::Failed);
    assert_eq!(report.reference.unwrap().as_str(), "a1");
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    assert_eq!(report.code.as_deref(), Some("24"));
    assert_eq!(report.at.unwrap().timestamp(), 1_769_954_409);
    let blanks = "?statuscode=%202&errorcode=%2023%20&reference=+a1&to=%200031612345678";
    let report = &parse_as("GET", &format!("{URL}{blanks}"), "").unwrap()[0];
    assert_eq!(report.status, DeliveryStatus::Delivered);
    assert_eq!(report.reference.unwrap().as_str(), "a1");
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    assert_eq!(report.code.as_deref(), Some("23"));
    let plus = format!("{URL}?statuscode=2&to=%2B31612345678&reference=");
    let report = &parse_as("GET", &plus, "").unwrap()[0];
    assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
    assert_eq!(report.reference, None);
    for query in [
        "",
        "?reference=a1",
        "?statuscode=",
        "?statuscode=%20&reference=a1",
        "?statuscode=2&statuscode=3",
        "?statuscode=2&to=1&to=2",
    ] {
        let error = parse_as("GET", &format!("{URL}{query}"), "").unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Malformed, "{query}");
    }
}

#[test]
fn only_a_path_that_ends_in_our_secret_is_accepted() {
    use ReportErrorKind::{Forged, Unsigned};
    let body = template(&json!("2"), &json!("")).to_string();
    for (url, error) in [
        ("https://h.test/reports/cm/n3w-s3cret-n3w-s3cret", None),
        ("https://h.test/reports/cm/0ld-0ld-0ld-0ld-", None),
        ("https://h.test/reports/cm/0ld-0ld-0ld-0ld-?x=/y", None),
        ("https://h.test/0ld-0ld-0ld-0ld-#/y", None),
        ("/reports/cm/0ld-0ld-0ld-0ld-", None),
        ("https://h.test/reports/cm", Some(Unsigned)),
        ("https://h.test/reports/cm/", Some(Unsigned)),
        (
            "https://h.test/reports/cm/?secret=0ld-0ld-0ld-0ld-",
            Some(Unsigned),
        ),
        (
            "https://h.test/reports/cm?/0ld-0ld-0ld-0ld-",
            Some(Unsigned),
        ),
        ("https://h.test", Some(Unsigned)),
        ("https://h.test/", Some(Unsigned)),
        ("https://0ld-0ld-0ld-0ld-", Some(Unsigned)),
        ("", Some(Unsigned)),
        ("https://h.test/reports/cm/0LD-0ld-0ld-0ld-", Some(Forged)),
        (
            "https://h.test/reports/cm/0ld-0ld-0ld-0ld-0ld-0ld-0ld-",
            Some(Forged),
        ),
        ("https://h.test/reports/cm/0ld-0ld-0ld-0ld-x", Some(Forged)),
        ("https://h.test/reports/cm/%30ld-0ld-0ld-0ld-", Some(Forged)),
        ("https://h.test/0ld-0ld-0ld-0ld-/cm/x", Some(Forged)),
        (
            "https://h.test/reports/cm/0ld-0ld-0ld-0ld-/",
            Some(Unsigned),
        ),
        (
            "https://h.test/reports/cm/n3w-s3cret-n3w-s3cret0ld-0ld-0ld-0ld-",
            Some(Forged),
        ),
    ] {
        let kind = parse_as("POST", url, &body).err().map(ReportError::kind);
        assert_eq!(kind, error, "{url}");
        let get = url.split_once('?').map_or(url, |(url, _)| url);
        if !get.contains('#') {
            let kind = parse_as("GET", &format!("{get}?statuscode=2"), "").err();
            assert_eq!(kind.map(ReportError::kind), error, "{url}");
        }
    }
}

#[test]
fn nothing_is_read_before_the_secret_is_verified() {
    for body in ["", "rubbish", "<MESSAGES/>"] {
        let error = parse_as("POST", "https://h.test/reports/cm/x", body).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Forged, "{body}");
    }
}

#[test]
fn an_invalid_body_is_malformed_and_never_a_panic() {
    let many = json!(vec![json!({}); 1001]).to_string();
    for body in [
        "",
        "null",
        "7",
        "[7]",
        "{",
        r#"{"messages": null}"#,
        r#"{"messages": {}}"#,
        r#"{"messages": [7]}"#,
        r#"{"messages": {"msg": 7}}"#,
        r#"{"messages": {"msg": [[]]}}"#,
        "<MESSAGES><MSG RECEIVED=\"2026-02-01T14:00:09\"><STATUS><CODE>2</CODE></STATUS></MSG></MESSAGES>",
        "reference=a1&statuscode=2",
        &"[".repeat(10_000),
        &many,
    ] {
        let error = parse(body).unwrap_err();
        let shown = &body[..body.len().min(40)];
        assert_eq!(error.kind(), ReportErrorKind::Malformed, "{shown}");
    }
}

#[test]
fn a_parser_needs_a_secret_that_fits_a_path() {
    assert!(CmReports::new(Vec::new()).is_err());
    for end in [
        "",
        "cm",
        "a/b",
        "a?b",
        "a#b",
        "a%20",
        "a b",
        "a\nb",
        "é",
        "15-characters-x",
    ] {
        let good = "long-enough-for-a-secret";
        let long = match end.len() {
            15 => end.to_owned(),
            _ => format!("{good}{end}"),
        };
        for secret in [end, &long] {
            if matches!(end, "" | "cm") && secret == long {
                continue;
            }
            let error = CmReports::new(vec![good.into(), secret.into()]).unwrap_err();
            assert!(secret.len() < 3 || !format!("{error:?}").contains(secret));
        }
    }
    assert_eq!(parser().authenticity(), Authenticity::Unsigned);
    assert!(!format!("{:?}", parser()).contains("s3cret"));
}
