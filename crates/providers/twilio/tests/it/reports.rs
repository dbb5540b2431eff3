use postduif_core::{
    Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind, ReportOptions,
    ReportRequest, SmsProvider as _, chrono::DateTime,
};
use postduif_sandbox::{ReportOrder, ReportStatus, Sandbox};
use postduif_twilio::{Twilio, TwilioReports, report_parser};

use super::{
    signatures::{parse, sign},
    wire::message,
};

const TOKEN: &str = "hunter2-auth-token";
const URL: &str = "https://hooks.example.com/t?reference=order42";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const SETTINGS: &str = "X-Twilio-Webhooks-Signature-Settings";

/// Reads a form whose pairs are given in the order in which they are signed.
fn form(pairs: &[(&str, &str)]) -> Result<Vec<DeliveryReport>, ReportErrorKind> {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    let signed: String = pairs
        .iter()
        .flat_map(|(name, value)| [*name, *value])
        .collect();
    let tag = sign(TOKEN, &format!("{URL}{signed}"));
    let headers = [FORM, ("X-Twilio-Signature", &tag)];
    parse(&[TOKEN], "POST", URL, &headers, &body).map_err(|error| error.kind())
}

fn one(pairs: &[(&str, &str)]) -> DeliveryReport {
    let mut read = form(pairs).unwrap();
    assert_eq!(read.len(), 1);
    read.remove(0)
}

#[test]
fn a_report_finds_its_message_by_the_reference_in_the_url_and_by_the_id() {
    let report = one(&[("MessageSid", "SM1"), ("MessageStatus", "sent")]);
    assert_eq!(report.reference.unwrap().as_str(), "order42");
    assert_eq!(report.id.as_deref(), Some("SM1"));
    assert_eq!((report.part, report.at, report.price), (None, None, None));
}

#[test]
fn the_older_names_are_read_where_the_newer_are_missing() {
    let report = one(&[("SmsSid", "SM1"), ("SmsStatus", "delivered")]);
    assert_eq!(report.id.as_deref(), Some("SM1"));
    assert_eq!(report.status, DeliveryStatus::Delivered);
}

#[test]
fn an_error_code_is_kept_whole_and_a_failure_may_have_none() {
    let code = |code| {
        one(&[("ErrorCode", code), ("MessageStatus", "failed")])
            .code
            .unwrap_or_default()
    };
    for failure in ["30002", "30003", "30034", "21610"] {
        assert_eq!(code(failure), failure);
    }
    for none in ["", "0", "your code", "3000300"] {
        assert_eq!(code(none), "", "{none}");
    }
    let bare = one(&[("MessageStatus", "failed")]);
    assert_eq!((bare.status, bare.code), (DeliveryStatus::Failed, None));
}

#[test]
fn a_failure_whose_validity_was_over_is_expired() {
    for (status, expected) in [
        ("failed", DeliveryStatus::Expired),
        ("undelivered", DeliveryStatus::Expired),
        ("delivered", DeliveryStatus::Delivered),
        ("sent", DeliveryStatus::Sent),
    ] {
        let report = one(&[("ErrorCode", "30036"), ("MessageStatus", status)]);
        assert_eq!(report.status, expected, "{status}");
        assert_eq!(report.code.as_deref(), Some("30036"));
    }
}

#[test]
fn a_recipient_is_read_behind_the_name_of_another_channel() {
    for to in ["+31612345678", "whatsapp:+31612345678"] {
        let report = one(&[("MessageStatus", "read"), ("To", to)]);
        assert_eq!(report.recipient.unwrap().to_string(), "+31612345678");
        assert_eq!(report.status, DeliveryStatus::Delivered);
    }
}

#[test]
fn a_text_that_came_in_is_no_report() {
    for status in ["received", "receiving"] {
        assert_eq!(
            form(&[("Body", "Hello"), ("SmsStatus", status)]),
            Ok(vec![])
        );
    }
}

#[test]
fn a_parameter_with_two_values_is_malformed_where_it_is_read() {
    let doubled = [("MessageStatus", "delivered"), ("MessageStatus", "failed")];
    assert_eq!(form(&doubled), Err(ReportErrorKind::Malformed));
    let other = [("MessageStatus", "delivered"), ("X", "1"), ("X", "2")];
    assert!(form(&other).is_ok());
    for (url, expected) in [
        ("https://h.test/t?reference=a&reference=b", None),
        ("https://h.test/t?reference=a", Some("a")),
        ("https://h.test/t", Some("")),
    ] {
        let tag = sign(TOKEN, &format!("{url}MessageStatussent"));
        let headers = [FORM, ("X-Twilio-Signature", &tag)];
        let read = parse(&[TOKEN], "POST", url, &headers, "MessageStatus=sent");
        let reference = read.ok().map(|read| {
            read[0]
                .reference
                .map_or(String::new(), |reference| reference.to_string())
        });
        assert_eq!(reference.as_deref(), expected, "{url}");
    }
}

#[test]
fn a_get_has_its_parameters_in_the_url_and_no_body() {
    let url = "https://hooks.example.com/t?MessageStatus=delivered&reference=order42";
    let tag = sign(TOKEN, url);
    let signature = ("x-twilio-signature", tag.as_str());
    let read = parse(&[TOKEN], "GET", url, &[signature], "").unwrap();
    assert_eq!(read[0].status, DeliveryStatus::Delivered);
    assert_eq!(read[0].reference.unwrap().as_str(), "order42");
    let error = parse(
        &[TOKEN],
        "GET",
        url,
        &[FORM, signature],
        "MessageStatus=failed",
    );
    assert_eq!(error.unwrap_err().kind(), ReportErrorKind::Unsigned);
}

#[test]
fn a_body_that_is_not_signed_is_never_read() {
    let tag = sign(TOKEN, URL);
    let signature = ("x-twilio-signature", tag.as_str());
    let form = "MessageStatus=delivered";
    let json = r#"{"MessageStatus":"delivered"}"#;
    for (method, kind, body) in [
        ("POST", "text/plain", form),
        ("POST", "", form),
        ("POST", "multipart/form-data", form),
        ("POST", "application/json", json),
        ("PUT", "application/json", json),
        ("PUT", "application/x-www-form-urlencoded", form),
        ("post", "application/x-www-form-urlencoded", form),
        ("HEAD", "application/x-www-form-urlencoded", ""),
    ] {
        let headers = [("content-type", kind), signature];
        let error = parse(&[TOKEN], method, URL, &headers, body).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Unsigned, "{method} {kind}");
    }
    // As a form it is, and its parameters are missing in the signature.
    let error = parse(&[TOKEN], "POST", URL, &[FORM, signature], form).unwrap_err();
    assert_eq!(error.kind(), ReportErrorKind::Forged);
}

#[test]
fn any_of_several_secrets_verifies() {
    let body = "MessageStatus=sent";
    let signed = format!("{URL}MessageStatussent");
    for secret in ["0ld-token", "n3w-token", "shared-key"] {
        let tag = sign(secret, &signed);
        let headers = [FORM, ("X-Twilio-Signature", &tag)];
        let secrets = ["0ld-token", "n3w-token", "shared-key"];
        assert!(parse(&secrets, "POST", URL, &headers, body).is_ok());
        let others = secrets.map(|known| if known == secret { "other" } else { known });
        let error = parse(&others, "POST", URL, &headers, body).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Forged, "{secret}");
    }
}

#[test]
fn the_settings_of_a_signature_name_one_of_two_algorithms() {
    let tag = sign(TOKEN, &format!("{URL}MessageStatussent"));
    let parsed = |settings: &str| {
        let headers = [FORM, ("X-Twilio-Signature", &tag), (SETTINGS, settings)];
        parse(&[TOKEN], "POST", URL, &headers, "MessageStatus=sent").map_err(|error| error.kind())
    };
    for sha1 in [
        "",
        "key=webhooks_sharedkey_1",
        "key=k,algorithm=HMAC_SHA1",
        "key=k, algorithm = hmac_sha1 ",
        "key=k,algorithm=",
        "key=k,algorithm=,algorithm=HMAC_SHA1",
    ] {
        assert!(parsed(sha1).is_ok(), "{sha1}");
    }
    for other in [
        "key=k,algorithm=HMAC_SHA256",
        "key=k,algorithm=HMAC_SHA512",
        "algorithm=none",
        "algorithm=HMAC_SHA256,algorithm=HMAC_SHA1",
    ] {
        assert_eq!(parsed(other), Err(ReportErrorKind::Forged), "{other}");
    }
    let twice = [
        FORM,
        ("X-Twilio-Signature", &tag),
        (SETTINGS, ""),
        (SETTINGS, ""),
    ];
    assert!(parse(&[TOKEN], "POST", URL, &twice, "MessageStatus=sent").is_err());
}

#[test]
fn a_reply_has_no_words_that_twilio_could_send_to_a_phone() {
    let parser = report_parser(ReportOptions::new([TOKEN])).unwrap();
    for (result, status) in [
        (Ok(vec![]), 200),
        (Err(ReportError::malformed("x")), 200),
        (Err(ReportError::forged("x")), 401),
        (Err(ReportError::unsigned("x")), 401),
    ] {
        assert_eq!(parser.reply(&result), (status, ""), "{result:?}");
    }
}

#[tokio::test]
async fn what_the_sandbox_reports_is_read() {
    let sandbox = Sandbox::start().await;
    let url = "http://127.0.0.1:1/t?reference=order42";
    let option = "http%3A%2F%2F127.0.0.1%3A1%2Ft%3Freference%3D%7Breference%7D";
    let twilio = format!("{}&report_url={option}", sandbox.sms_url("twilio"));
    let twilio = Twilio::from_url(&twilio).unwrap();
    let receipt = twilio.send(&message()).await.unwrap();
    let parser = report_parser(ReportOptions::new(["sandbox"])).unwrap();
    for (status, expected) in [
        (ReportStatus::Buffered, DeliveryStatus::Sent),
        (ReportStatus::Delivered, DeliveryStatus::Delivered),
        (ReportStatus::Expired, DeliveryStatus::Expired),
        (ReportStatus::Failed, DeliveryStatus::Failed),
        (ReportStatus::Rejected, DeliveryStatus::Failed),
        (ReportStatus::Sent, DeliveryStatus::Sent),
        (ReportStatus::Unknown, DeliveryStatus::Unknown),
    ] {
        let order = ReportOrder::new("order42", status);
        let call = sandbox
            .report(&order, "http://127.0.0.1:1/t")
            .unwrap()
            .remove(0);
        assert_eq!(call.url, url);
        let headers: Vec<_> = call
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let request = ReportRequest::new(call.method, &call.url, &headers, call.body.as_bytes());
        let read = parser
            .parse(&request, DateTime::UNIX_EPOCH)
            .unwrap()
            .remove(0);
        assert_eq!(read.status, expected, "{status:?}");
        assert_eq!(read.reference.as_ref(), Some(receipt.reference()));
        assert_eq!(read.id.as_deref(), receipt.id());
        assert_eq!(read.recipient, Some(message().to()));
    }
}

#[test]
fn no_parser_is_built_without_a_secret() {
    for secrets in [
        vec![],
        vec!["".into()],
        vec![" ".into()],
        vec!["good".into(), "".into()],
    ] {
        let error = TwilioReports::new(secrets).unwrap_err().to_string();
        assert!(error.contains("auth token"), "{error}");
    }
    for options in [
        ReportOptions::new([TOKEN]).with_api("sms"),
        ReportOptions::new([TOKEN]).with_signature_method("sha256"),
    ] {
        assert!(report_parser(options).is_err());
    }
    let parser = report_parser(ReportOptions::new([TOKEN])).unwrap();
    assert_eq!(parser.authenticity(), Authenticity::Signed);
}
