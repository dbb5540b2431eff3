//! The conformance suite of report parsers, for each of the three APIs.

use std::{sync::Arc, time::Duration};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use chrono::{DateTime, Utc};
use postduif_core::{
    DeliveryReport,
    DeliveryStatus::{self, Buffered, Delivered, Expired, Failed, Rejected, Sent},
    ReportParser,
};
use postduif_http::vendor::signature::{hmac_sha256, sha256};
use postduif_messagebird::report_parser;
use postduif_testkit::{FakeReports, Key, Proof, RECIPIENT, REPORTED_TEXT, ReportCall};
use serde_json::json;

/// Has 32 characters, so that no part of it is readable in the platform's base64.
pub(crate) const RIGHT: &str = "hunter2-signs-the-reports-of-us";
const WRONG: &str = "hunter3-signs-the-reports-of-us";

fn secret(key: Key) -> &'static str {
    match key {
        Key::Right => RIGHT,
        _ => WRONG,
    }
}

fn hex(data: &[u8]) -> String {
    let sum = sha256(data);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn table(statuses: &[(&str, DeliveryStatus)]) -> Vec<(String, DeliveryStatus)> {
    let owned = statuses
        .iter()
        .map(|(word, status)| ((*word).to_owned(), *status));
    owned.collect()
}

#[derive(Clone)]
pub(crate) struct Platform;

impl FakeReports for Platform {
    fn parser(&self) -> Arc<dyn ReportParser> {
        let secret = format!("whsec_{}", BASE64_STANDARD.encode(RIGHT));
        report_parser(postduif_core::ReportOptions::new([secret]).with_api("platform")).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![RIGHT.to_owned(), BASE64_STANDARD.encode(RIGHT)]
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        table(&[
            ("sms.delivered", Delivered),
            ("sms.accepted", Sent),
            ("sms.sent", Sent),
            ("sms.undelivered", Failed),
            ("sms.failed", Failed),
            ("sms.rejected", Rejected),
            ("sms.expired", Expired),
        ])
    }

    fn unknown_status(&self) -> String {
        "sms.something".to_owned()
    }

    fn report(&self, status: &str, reference: &str) -> ReportCall {
        let body = json!({
            "type": status, "timestamp": "2026-01-01T10:00:00Z",
            "data": {
                "sms_id": "sms_01krdgeqcxet5s7t44vh8rt9mg", "to": RECIPIENT, "from": "Acme",
                "text": REPORTED_TEXT, "metadata": {"reference": reference}, "cost": null,
                "error": {"code": REPORTED_TEXT, "description": REPORTED_TEXT, "carrier_error_code": REPORTED_TEXT}
            }
        });
        ReportCall::post("https://hooks.example.test/bird", body.to_string())
    }

    fn fields(&self) -> Option<DeliveryReport> {
        let mut report = DeliveryReport::new("messagebird", DeliveryStatus::Unknown);
        report.id = Some("sms_01krdgeqcxet5s7t44vh8rt9mg".to_owned());
        report.at = "2026-01-01T10:00:00Z".parse().ok();
        Some(report)
    }

    fn prove(&self, call: ReportCall, at: DateTime<Utc>, key: Key) -> ReportCall {
        let time = at.timestamp().to_string();
        let signed = [format!("msg_1.{time}.").as_bytes(), &call.body].concat();
        let tag = BASE64_STANDARD.encode(hmac_sha256(&secret(key).into(), &signed));
        call.with_header("webhook-id", "msg_1")
            .with_header("webhook-timestamp", time)
            .with_header("webhook-signature", format!("v1,{tag}"))
    }

    fn proof(&self) -> Proof {
        Proof::Header("webhook-signature")
    }

    fn window(&self) -> Option<Duration> {
        Some(Duration::from_secs(300))
    }
}

#[derive(Clone)]
pub(crate) struct Classic;

impl FakeReports for Classic {
    fn parser(&self) -> Arc<dyn ReportParser> {
        report_parser(postduif_core::ReportOptions::new([RIGHT]).with_api("classic")).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![RIGHT.to_owned()]
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        table(&[
            ("delivered", Delivered),
            ("scheduled", Buffered),
            ("sent", Sent),
            ("buffered", Buffered),
            ("expired", Expired),
            ("delivery_failed", Failed),
        ])
    }

    fn unknown_status(&self) -> String {
        "expiryttd".to_owned()
    }

    fn report(&self, status: &str, reference: &str) -> ReportCall {
        let text = REPORTED_TEXT.replace(' ', "+");
        let to = RECIPIENT.trim_start_matches('+');
        ReportCall::get(format!(
            "https://hooks.example.test/bird?id=e8077d80&reference={reference}&recipient={to}&status={status}\
             &statusReason={text}&statusErrorCode=482910"
        ))
    }

    fn with_content(&self, _: &[u8]) -> Option<ReportCall> {
        None
    }

    fn fields(&self) -> Option<DeliveryReport> {
        let mut report = DeliveryReport::new("messagebird", DeliveryStatus::Unknown);
        report.id = Some("e8077d80".to_owned());
        Some(report)
    }

    fn prove(&self, call: ReportCall, at: DateTime<Utc>, key: Key) -> ReportCall {
        let encode = |part: String| BASE64_URL_SAFE_NO_PAD.encode(part);
        let mut claims = json!({
            "iss": "MessageBird", "nbf": at.timestamp(), "exp": at.timestamp() + 60, "jti": "59a244dc",
            "url_hash": hex(call.url.as_bytes())
        });
        if !call.body.is_empty() {
            claims["payload_hash"] = json!(hex(&call.body));
        }
        let header = r#"{"alg":"HS256","typ":"JWT"}"#.to_owned();
        let signed = format!("{}.{}", encode(header), encode(claims.to_string()));
        let tag = hmac_sha256(&secret(key).into(), signed.as_bytes());
        let token = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag));
        call.with_header("MessageBird-Signature-JWT", token)
    }

    fn proof(&self) -> Proof {
        Proof::Header("MessageBird-Signature-JWT")
    }

    fn window(&self) -> Option<Duration> {
        Some(Duration::from_secs(60))
    }

    fn signs_query(&self) -> bool {
        true
    }
}

#[derive(Clone)]
pub(crate) struct Channels;

impl FakeReports for Channels {
    fn parser(&self) -> Arc<dyn ReportParser> {
        report_parser(postduif_core::ReportOptions::new([RIGHT]).with_api("channels")).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![RIGHT.to_owned()]
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        table(&[
            ("delivered", Delivered),
            ("accepted", Sent),
            ("sent", Sent),
            ("sending_failed", Failed),
            ("delivery_failed", Failed),
            ("rejected", Rejected),
        ])
    }

    fn unknown_status(&self) -> String {
        "processing".to_owned()
    }

    fn report(&self, status: &str, reference: &str) -> ReportCall {
        let body = json!({"service": "channels", "event": "sms.outbound", "payload": {
            "id": "2c7f2a5e-9f35-4f1b-8f8e-7a1e3f4d5c6b", "reference": reference, "status": status,
            "receiver": {"contacts": [{"identifierKey": "phonenumber", "identifierValue": RECIPIENT}]},
            "body": {"type": "text", "text": {"text": REPORTED_TEXT}},
            "reason": format!("details: {REPORTED_TEXT}; code: 482910"),
            "failure": {"code": 482_910, "description": REPORTED_TEXT}
        }});
        ReportCall::post("https://hooks.example.test/bird?a=1", body.to_string())
    }

    fn fields(&self) -> Option<DeliveryReport> {
        let mut report = DeliveryReport::new("messagebird", DeliveryStatus::Unknown);
        report.id = Some("2c7f2a5e-9f35-4f1b-8f8e-7a1e3f4d5c6b".to_owned());
        Some(report)
    }

    fn prove(&self, call: ReportCall, at: DateTime<Utc>, key: Key) -> ReportCall {
        let time = at.timestamp().to_string();
        let head = format!("{time}\n{}\n", call.url);
        let signed = [head.as_bytes(), &sha256(&call.body)].concat();
        let tag = BASE64_STANDARD.encode(hmac_sha256(&secret(key).into(), &signed));
        call.with_header("messagebird-signature", tag)
            .with_header("messagebird-request-timestamp", time)
    }

    fn proof(&self) -> Proof {
        Proof::Header("messagebird-signature")
    }

    fn window(&self) -> Option<Duration> {
        Some(Duration::from_secs(86_400))
    }

    fn signs_query(&self) -> bool {
        true
    }
}

mod platform {
    postduif_testkit::report_conformance!(super::Platform);
}

mod classic {
    postduif_testkit::report_conformance!(super::Classic);
}

mod channels {
    postduif_testkit::report_conformance!(super::Channels);
}
