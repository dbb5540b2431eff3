use std::time::Duration;

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind, ReportParser as _,
    ReportRequest,
};
use postduif_vonage::{SignatureMethod, VonageSmsReports};
use serde_json::{Value, json};

const URL: &str = "https://hooks.example.test/reports/vonage";
const SECRET: &str = "my_secret_key_for_testing";

/// Parameters, the time of the signature, and the signature by Vonage's own SDK.
struct Vector {
    method: SignatureMethod,
    signature: &'static str,
    secret: &'static str,
    fields: &'static [(&'static str, &'static str)],
}

const INBOUND: &[(&str, &str)] = &[
    ("message-timestamp", "2013-11-21 15:27:30"),
    ("messageId", "020000001B0FE827"),
    ("msisdn", "14843472194"),
    ("text", "Test again"),
    ("timestamp", "1385047698"),
    ("to", "13239877404"),
    ("type", "text"),
];
const OUTBOUND: &[(&str, &str)] = &[
    ("api_key", "fake_api_key"),
    ("from", "AcmeInc"),
    ("text", "Test From Nexmo"),
    ("timestamp", "1540924779"),
    ("to", "14155550100"),
    ("type", "text"),
];

/// From `Vonage/vonage-php-sdk-core`, `test/Client/SignatureTest.php` (MIT, copyright (c) 2016 Vonage, Inc.),
/// the last three from `Vonage/vonage-python-sdk`, `http_client/tests/test_auth.py` (Apache 2.0).
const VECTORS: &[Vector] = &[
    Vector {
        method: SignatureMethod::Md5Hash,
        signature: "d2e7b1dc968737c5998ad624e02f90b7",
        secret: SECRET,
        fields: INBOUND,
    },
    Vector {
        method: SignatureMethod::Md5,
        signature: "DDEBD46008C2D4E93CCE578A332A52D5",
        secret: SECRET,
        fields: INBOUND,
    },
    Vector {
        method: SignatureMethod::Sha1,
        signature: "27D0D05C2876C7CB1720DBCDBA4D492E1E55C09A",
        secret: SECRET,
        fields: INBOUND,
    },
    Vector {
        method: SignatureMethod::Sha256,
        signature: "DDB8397C2B90AAC7F3882D306475C9A5058C92322EEF43C92B298B6E0FC0D330",
        secret: SECRET,
        fields: INBOUND,
    },
    Vector {
        method: SignatureMethod::Sha512,
        signature: "E0D3C650F8C9D1A5C174D10DDDBFB003E561F59B265616208B0487C5D819481CD3C311D59CF6165ECD1139622D5BA3A256C0D763AC4A9AD9144B5A426B94FE82",
        secret: SECRET,
        fields: INBOUND,
    },
    Vector {
        method: SignatureMethod::Md5,
        signature: "51CDAFEBB4BBCE9525B195C1617CB8D2",
        secret: "71efab63122f1d179f51c46bac838fb5",
        fields: OUTBOUND,
    },
    Vector {
        method: SignatureMethod::Sha1,
        signature: "0162AEC64BC183B2E1256545951FE5639DC98020",
        secret: "71efab63122f1d179f51c46bac838fb5",
        fields: OUTBOUND,
    },
    Vector {
        method: SignatureMethod::Sha256,
        signature: "9FEC5EF6D0F2B3D2BB7558B6E4042569823CAB9EA0DD30503472B7B304601975",
        secret: "71efab63122f1d179f51c46bac838fb5",
        fields: OUTBOUND,
    },
    Vector {
        method: SignatureMethod::Sha512,
        signature: "40BD12B9A4B6000AD1138EEFD24FFE9FBD72AEE13C3FA04B32BB69DBC256AD0A04A463B1A9AF6660D10F6E1E769EE14B9CFF6A635502E93AFCD0BFAB29F38F87",
        secret: "71efab63122f1d179f51c46bac838fb5",
        fields: OUTBOUND,
    },
    Vector {
        method: SignatureMethod::Md5Hash,
        signature: "83c052a82906ec7c116e16f6d92f7eee",
        secret: SECRET,
        fields: &[
            ("message-timestamp", "2013-11-21 17:37:31"),
            ("messageId", "030000002A267DBB"),
            ("msisdn", "14843472194"),
            ("text", "One more time"),
            ("timestamp", "1385055451"),
            ("to", "14849970568"),
            ("type", "text"),
        ],
    },
    Vector {
        method: SignatureMethod::Md5Hash,
        signature: "e06d9763e3fd0b9c31beb5fc2fcb011c",
        secret: SECRET,
        fields: &[
            ("keyword", "TEST"),
            ("message-timestamp", "2017-04-04 22:57:47"),
            ("messageId", "0B00000042AC53BD"),
            ("msisdn", "14843472194"),
            ("nonce", "929d6744-bd28-42c8-b6cf-31d5b4f43732"),
            ("text", "Test with & and ="),
            ("timestamp", "1491346667"),
            ("to", "12192259404"),
            ("type", "text"),
        ],
    },
    Vector {
        method: SignatureMethod::Md5Hash,
        signature: "17f5e3b22f778ec73464c01d180e9d0f",
        secret: SECRET,
        fields: &[
            ("api_key", "not_a_key"),
            ("from", "12192259404"),
            ("text", "Test&test=something"),
            ("timestamp", "1490638615"),
            ("to", "14843472194"),
        ],
    },
    Vector {
        method: SignatureMethod::Sha256,
        signature: "280c4320703dbc98bfa22db676655ed2acfbfe8792b062ff7622e67f1183c287",
        secret: "signature_secret",
        fields: &[
            ("param1", "value1"),
            ("param2", "value2"),
            ("timestamp", "1234567890"),
        ],
    },
    Vector {
        method: SignatureMethod::Md5,
        signature: "724c2bf6ca423c36e20631b11d1c5753",
        secret: "signature_secret",
        fields: &[
            ("param1", "value1"),
            ("param2", "value2"),
            ("timestamp", "1234567890"),
        ],
    },
    Vector {
        method: SignatureMethod::Md5,
        signature: "2bbf0abafb2c55e5af6231513896a2ac",
        secret: "signature_secret",
        fields: &[
            ("param1", "value&1"),
            ("param2", "value=2"),
            ("timestamp", "1234567890"),
        ],
    },
];

fn encode(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

fn parse_at(
    parser: &VonageSmsReports,
    (method, url, kind, body): (&str, &str, &str, &str),
    now: i64,
) -> Result<Vec<DeliveryReport>, ReportError> {
    let headers: [(&str, &[u8]); 1] = [("Content-Type", kind.as_bytes())];
    let headers = if kind.is_empty() {
        &[][..]
    } else {
        &headers[..]
    };
    let request = ReportRequest::new(method, url, headers, body.as_bytes());
    parser.parse(&request, DateTime::<Utc>::from_timestamp(now, 0).unwrap())
}

const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";

/// Parses the fields in each of the three formats of an account, and in some of clients.
fn in_every_form(
    parser: &VonageSmsReports,
    fields: &[(&str, &str)],
    now: i64,
) -> Vec<Result<Vec<DeliveryReport>, ReportError>> {
    let form = encode(fields);
    let json: serde_json::Map<_, _> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let json = Value::Object(json).to_string();
    [
        ("GET", format!("{URL}?{form}"), "", ""),
        ("GET", format!("{URL}?{form}#x=1"), "", ""),
        ("POST", URL.to_owned(), FORM, form.as_str()),
        ("POST", URL.to_owned(), "", form.as_str()),
        ("POST", format!("{URL}?tenant=7"), FORM, form.as_str()),
        ("POST", URL.to_owned(), "application/json", json.as_str()),
        (
            "POST",
            URL.to_owned(),
            "Application/JSON; charset=utf-8",
            json.as_str(),
        ),
        ("POST", URL.to_owned(), "", json.as_str()),
    ]
    .iter()
    .map(|(method, url, kind, body)| parse_at(parser, (method, url, kind, body), now))
    .collect()
}

#[test]
fn every_published_signature_is_accepted_in_every_format_and_case() {
    for vector in VECTORS {
        let parser = VonageSmsReports::new(vec![vector.secret.into()], vector.method).unwrap();
        let now = vector
            .fields
            .iter()
            .find(|(name, _)| *name == "timestamp")
            .unwrap()
            .1
            .parse()
            .unwrap();
        for signature in [
            vector.signature.to_lowercase(),
            vector.signature.to_uppercase(),
        ] {
            let mut fields = vector.fields.to_vec();
            fields.insert(1, ("sig", signature.as_str()));
            for result in in_every_form(&parser, &fields, now) {
                // None of them is a receipt: an accepted signature leads to a missing report.
                let accepted = match result {
                    Ok(reports) => reports.is_empty(),
                    Err(error) => error.kind() == ReportErrorKind::Malformed,
                };
                assert!(accepted, "{:?}", vector.method);
            }
        }
    }
}

#[test]
fn a_secret_longer_than_a_block_of_md5_is_hashed_first() {
    // Python 3: hmac.new(b"k" * 80, b"&status=delivered&timestamp=1582650446", "md5").hexdigest()
    let signature = "faf9fbad1dbd3d19be2ecc5a8fea9998";
    let parser = VonageSmsReports::new(vec!["k".repeat(80).into()], SignatureMethod::Md5).unwrap();
    let fields = [
        ("status", "delivered"),
        ("timestamp", "1582650446"),
        ("sig", signature),
    ];
    for result in in_every_form(&parser, &fields, NOW) {
        assert_eq!(result.unwrap().len(), 1);
    }
}

#[test]
fn no_published_signature_is_accepted_by_another_method_or_secret_or_for_other_values() {
    let all = [
        SignatureMethod::Md5,
        SignatureMethod::Md5Hash,
        SignatureMethod::Sha1,
        SignatureMethod::Sha256,
        SignatureMethod::Sha512,
    ];
    for vector in VECTORS {
        let now = vector
            .fields
            .iter()
            .find(|(name, _)| *name == "timestamp")
            .unwrap()
            .1
            .parse()
            .unwrap();
        let signed = [vector.fields, &[("sig", vector.signature)]].concat();
        let forged = |parser: &VonageSmsReports, fields: &[(&str, &str)]| {
            for result in in_every_form(parser, fields, now) {
                assert_eq!(result.unwrap_err().kind(), ReportErrorKind::Forged);
            }
        };
        for method in all {
            if method != vector.method {
                forged(
                    &VonageSmsReports::new(vec![vector.secret.into()], method).unwrap(),
                    &signed,
                );
            }
        }
        let parser = VonageSmsReports::new(vec![vector.secret.into()], vector.method).unwrap();
        forged(
            &VonageSmsReports::new(vec!["other".into()], vector.method).unwrap(),
            &signed,
        );
        for index in 0..vector.fields.len() {
            let mut changed = signed.clone();
            let value = format!("{}1", changed[index].1);
            changed[index].1 = &value;
            forged(&parser, &changed);
            let mut missing = signed.clone();
            if missing.remove(index).0 != "timestamp" {
                forged(&parser, &missing);
            }
        }
        forged(&parser, &[&signed[..], &[("added", "1")]].concat());
        let cut = &vector.signature[1..];
        forged(&parser, &[vector.fields, &[("sig", cut)]].concat());
    }
}

/// Returns the fields with a time and an MD5 signature, by the page's rule.
fn receipt(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    use md5::Digest as _;
    let mut fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    if !fields.iter().any(|(name, _)| name == "timestamp") {
        fields.push(("timestamp".to_owned(), NOW.to_string()));
    }
    fields.sort();
    let mut base = String::new();
    for (name, value) in &fields {
        base += &format!("&{name}={}", value.replace(['&', '='], "_"));
    }
    let sum = md5::Md5::digest(format!("{base}{SECRET}"));
    let signature = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    fields.push(("sig".to_owned(), signature));
    fields
}

const NOW: i64 = 1_582_650_446;

fn parser() -> VonageSmsReports {
    VonageSmsReports::new(
        vec!["0ld-s3cret".into(), SECRET.into()],
        SignatureMethod::default(),
    )
    .unwrap()
}

fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// The definition's receipt, with some fields replaced or added.
pub(crate) fn with(changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let fields = [
        ("msisdn", "447700900000"),
        ("to", "AcmeInc"),
        ("network-code", "12345"),
        ("messageId", "0A0000001234567B"),
        ("price", "0.03330000"),
        ("status", "delivered"),
        ("scts", "2001011400"),
        ("err-code", "0"),
        ("api-key", "abcd1234"),
        ("client-ref", "01J9Z8"),
        ("message-timestamp", "2020-01-01 12:00:00"),
        ("nonce", "ec11dd3e-1e7f-4db5-9467-82b02cd223b9"),
    ];
    let kept = fields
        .into_iter()
        .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let fields: Vec<_> = kept
        .chain(
            changes
                .iter()
                .copied()
                .filter(|(_, value)| *value != "(none)"),
        )
        .collect();
    receipt(&fields)
}

fn one(changes: &[(&str, &str)]) -> DeliveryReport {
    let mut results = in_every_form(&parser(), &borrowed(&with(changes)), NOW);
    let reports = results.swap_remove(0).unwrap();
    for result in results {
        assert_eq!(format!("{:?}", result.unwrap()), format!("{reports:?}"));
    }
    reports.into_iter().next().unwrap()
}

#[test]
fn the_definitions_receipt_is_read() {
    let report = one(&[]);
    assert_eq!(
        (report.provider.as_ref(), report.status),
        ("vonage", DeliveryStatus::Delivered)
    );
    assert_eq!(report.reference.unwrap().as_str(), "01J9Z8");
    assert_eq!(report.id.as_deref(), Some("0A0000001234567B"));
    assert_eq!(report.part, report.id, "a receipt is of one part");
    assert_eq!(report.recipient.unwrap().to_string(), "+447700900000");
    assert_eq!(report.code, None);
    assert_eq!(report.at.unwrap().to_rfc3339(), "2020-01-01T12:00:00+00:00");
    assert_eq!(report.price.unwrap().to_string(), "0.0333 EUR");
}

#[test]
fn every_status_is_read_and_an_unknown_one_is_no_error() {
    use DeliveryStatus::{Buffered, Delivered, Expired, Failed, Rejected, Sent, Unknown};
    for (status, expected) in [
        ("accepted", Sent),
        ("buffered", Buffered),
        ("delivered", Delivered),
        ("expired", Expired),
        ("failed", Failed),
        ("rejected", Rejected),
        ("unknown", Unknown),
        ("undeliverable", Unknown),
        ("deleted", Unknown),
        ("Delivered", Unknown),
    ] {
        assert_eq!(one(&[("status", status)]).status, expected, "{status}");
    }
}

#[test]
fn every_error_code_is_kept_only_if_it_is_one() {
    for code in [
        "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "50",
        "51", "52", "53", "54", "95", "99",
    ] {
        let report = one(&[("status", "failed"), ("err-code", code)]);
        assert_eq!(
            (report.code.as_deref(), report.status),
            (Some(code), DeliveryStatus::Failed)
        );
    }
    for code in ["0", "", "(none)", "31612345678", "no", "-1", "é"] {
        assert_eq!(
            one(&[("status", "failed"), ("err-code", code)]).code,
            None,
            "{code}"
        );
    }
}

#[test]
fn every_field_may_be_missing_or_odd() {
    // A live receipt of 2023 had no `scts` and a network that is not a number.
    let report = one(&[
        ("scts", "(none)"),
        ("network-code", "US-TOLL-FREE"),
        ("status", "failed"),
    ]);
    assert_eq!(report.status, DeliveryStatus::Failed);
    for value in ["(none)", "", "?", "a-b"] {
        let report = one(&[
            ("msisdn", value),
            ("messageId", "(none)"),
            ("price", value),
            ("client-ref", value),
            ("message-timestamp", value),
            ("err-code", value),
        ]);
        assert_eq!(
            (report.recipient, report.id, report.price),
            (None, None, None)
        );
        assert_eq!(
            (report.reference, report.at, report.code),
            (None, None, None)
        );
        let foreign = Some(value).filter(|text| ["?", "a-b"].contains(text));
        assert_eq!(report.vendor_reference.as_deref(), foreign);
    }
    for id in ["", " ", "abc\u{1b}[31m"] {
        let report = one(&[("messageId", id)]);
        assert_eq!((report.id, report.part), (None, None), "{id:?}");
    }
    let report = one(&[("unheard-of", "& = % + é ✓"), ("Capital", "1")]);
    assert_eq!(report.status, DeliveryStatus::Delivered);
}

#[test]
fn an_inbound_text_is_no_report_and_a_receipt_without_a_status_is_malformed() {
    let parse = |changes: &[(&str, &str)]| {
        let mut results = in_every_form(&parser(), &borrowed(&with(changes)), NOW);
        results.swap_remove(0)
    };
    let inbound = parse(&[("status", "(none)"), ("text", "STOP"), ("type", "text")]);
    assert_eq!(inbound.unwrap().len(), 0);
    for status in ["(none)", "", " "] {
        let error = parse(&[("status", status)]).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Malformed, "{status:?}");
    }
}

#[test]
fn the_receipts_of_the_parts_combine_to_the_status_of_the_message() {
    let mut delivery = postduif_core::Delivery::new().with_parts(2);
    let first = one(&[("messageId", "0A01"), ("status", "delivered")]);
    assert_eq!(delivery.add(&first), DeliveryStatus::Sent);
    let second = one(&[("messageId", "0A02"), ("status", "failed")]);
    assert_eq!(delivery.add(&second), DeliveryStatus::Failed);
}

#[test]
fn numbers_in_json_are_signed_as_text() {
    let mut fields = with(&[("err-code", "4"), ("status", "failed")]);
    let signature = fields.pop().unwrap().1;
    let mut body: Value = fields
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    body["err-code"] = json!(4);
    body["msisdn"] = json!(447_700_900_000_u64);
    body["timestamp"] = json!(NOW);
    body["sig"] = json!(signature);
    let report = parse_at(
        &parser(),
        ("POST", URL, "application/json", &body.to_string()),
        NOW,
    )
    .unwrap()
    .remove(0);
    assert_eq!(report.code.as_deref(), Some("4"));
    assert_eq!(report.recipient.unwrap().to_string(), "+447700900000");
    for odd in [json!(null), json!([]), json!({})] {
        body["extra"] = odd;
        let error = parse_at(
            &parser(),
            ("POST", URL, "application/json", &body.to_string()),
            NOW,
        )
        .unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Forged);
    }
}

#[test]
fn a_receipt_outside_the_window_is_stale() {
    let fields = with(&[]);
    let kind = |parser: &VonageSmsReports, now| {
        let mut results = in_every_form(parser, &borrowed(&fields), now);
        results.swap_remove(0).err().map(ReportError::kind)
    };
    for (seconds, error) in [
        (0, None),
        (300, None),
        (-300, None),
        (301, Some(ReportErrorKind::Stale)),
        (-301, Some(ReportErrorKind::Stale)),
    ] {
        assert_eq!(kind(&parser(), NOW + seconds), error, "{seconds}");
    }
    let day = parser().with_window(Duration::from_secs(86_400));
    assert_eq!(kind(&day, NOW + 86_400), None);
    assert_eq!(kind(&day, NOW + 86_401), Some(ReportErrorKind::Stale));
    assert_eq!(
        kind(&parser().with_window(Duration::MAX), NOW + 1_000_000_000),
        None
    );
    for timestamp in [
        "soon",
        "1.5",
        "99999999999999999999",
        "-9223372036854775808",
    ] {
        let fields = with(&[("timestamp", timestamp)]);
        for result in in_every_form(&parser(), &borrowed(&fields), NOW) {
            assert!(result.is_err(), "{timestamp}");
        }
    }
}

#[test]
fn a_receipt_without_a_signature_or_a_time_is_unsigned() {
    let mut fields = with(&[]);
    fields.pop();
    for signature in [None, Some("")] {
        let mut fields = fields.clone();
        fields.extend(signature.map(|value| ("sig".to_owned(), value.to_owned())));
        for result in in_every_form(&parser(), &borrowed(&fields), NOW) {
            assert_eq!(result.unwrap_err().kind(), ReportErrorKind::Unsigned);
        }
    }
    let timeless = with(&[("timestamp", "")]);
    for result in in_every_form(&parser(), &borrowed(&timeless), NOW) {
        assert_eq!(result.unwrap_err().kind(), ReportErrorKind::Unsigned);
    }
}

#[test]
fn a_duplicate_parameter_is_forged() {
    let form = encode(&borrowed(&with(&[])));
    for twice in [
        format!("{form}&status=failed"),
        format!("status=delivered&{form}"),
        format!("{form}&sig=x"),
    ] {
        for parts in [
            ("GET", format!("{URL}?{twice}"), ""),
            ("POST", URL.to_owned(), twice.as_str()),
        ] {
            let error = parse_at(&parser(), (parts.0, &parts.1, "", parts.2), NOW).unwrap_err();
            assert_eq!(error.kind(), ReportErrorKind::Forged);
        }
    }
    let json: Value = with(&[])
        .into_iter()
        .map(|(name, value)| (name, json!(value)))
        .collect();
    let json = json.to_string().replacen('{', r#"{"status":"failed","#, 1);
    let error = parse_at(&parser(), ("POST", URL, "application/json", &json), NOW).unwrap_err();
    assert_eq!(error.kind(), ReportErrorKind::Forged);
}

#[test]
fn two_parameters_do_not_count_as_one() {
    let fields = with(&[]);
    let (signature, rest) = fields.split_last().unwrap();
    // The signed text is the same: `…&scts=…&status=delivered&…`.
    let merged: Vec<_> = rest
        .iter()
        .filter(|(name, _)| name != "scts" && name != "status")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain([
            ("scts=2001011400&status", "delivered"),
            ("sig", signature.1.as_str()),
        ])
        .collect();
    for result in in_every_form(&parser(), &merged, NOW) {
        assert_eq!(result.unwrap_err().kind(), ReportErrorKind::Forged);
    }
}

#[test]
fn query_and_body_are_never_mixed() {
    let form = encode(&borrowed(&with(&[])));
    let url = format!("{URL}?{form}");
    for body in ["", "status=delivered"] {
        let error = parse_at(&parser(), ("POST", &url, FORM, body), NOW).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Unsigned);
    }
    let error = parse_at(
        &parser(),
        ("GET", &format!("{URL}?status=delivered"), FORM, &form),
        NOW,
    )
    .unwrap_err();
    assert_eq!(error.kind(), ReportErrorKind::Unsigned);
}

#[test]
fn the_vendors_test_of_the_url_is_no_report() {
    for url in [URL.to_owned(), format!("{URL}?"), format!("{URL}#x")] {
        assert!(
            parse_at(&parser(), ("GET", &url, "", ""), NOW)
                .unwrap()
                .is_empty()
        );
    }
    for (method, url) in [("POST", URL), ("PUT", URL), ("GET", "https://h.test/?x=1")] {
        let error = parse_at(&parser(), (method, url, "", ""), NOW).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Unsigned);
    }
}

#[test]
fn an_invalid_receipt_is_forged_or_unsigned_and_never_a_panic() {
    let deep = "{\"a\":".repeat(10_000);
    for body in [
        "{", "{}", "{7}", "null", "[]", "\u{0}", "%ff=%fe", "&&&&", "=", &deep,
    ] {
        for kind in ["", FORM, "application/json"] {
            let error = parse_at(&parser(), ("POST", URL, kind, body), NOW).unwrap_err();
            assert!(matches!(
                error.kind(),
                ReportErrorKind::Forged | ReportErrorKind::Unsigned
            ));
        }
    }
}

#[test]
fn a_parser_needs_a_secret_and_a_known_method() {
    let method = SignatureMethod::Sha256;
    assert!(VonageSmsReports::new(Vec::new(), method).is_err());
    assert!(VonageSmsReports::new(vec![SECRET.into(), "".into()], method).is_err());
    assert_eq!(parser().authenticity(), Authenticity::Signed);
    assert!(!format!("{:?}", parser()).contains("secret"));
    for (name, method) in [
        ("md5", SignatureMethod::Md5),
        ("md5hash", SignatureMethod::Md5Hash),
        ("sha1", SignatureMethod::Sha1),
        ("sha256", SignatureMethod::Sha256),
        ("sha512", SignatureMethod::Sha512),
    ] {
        assert_eq!(name.parse::<SignatureMethod>().unwrap(), method);
    }
    assert_eq!(SignatureMethod::default(), SignatureMethod::Md5Hash);
    assert!("MD5".parse::<SignatureMethod>().is_err());
}
