//! The conformance suite of report parsers, for both APIs.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use postduif_core::{
    DeliveryReport,
    DeliveryStatus::{self, Buffered, Delivered, Expired, Failed, Rejected, Sent},
    ReportParser,
};
use postduif_http::vendor::signature::{hmac_sha256, sha256};
use postduif_testkit::{FakeReports, Key, Proof, RECIPIENT, REPORTED_TEXT, ReportCall};
use postduif_vonage::report_parser;
use serde_json::json;

use super::wire::UUID;

pub(crate) const RIGHT: &str = "hunter2-signs-reports";
const WRONG: &str = "hunter3-signs-reports";
const URL: &str = "https://hooks.example.test/vonage";

fn secret(key: Key) -> &'static str {
    match key {
        Key::Right => RIGHT,
        _ => WRONG,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn table(statuses: &[(&str, DeliveryStatus)]) -> Vec<(String, DeliveryStatus)> {
    let owned = statuses
        .iter()
        .map(|(word, status)| ((*word).to_owned(), *status));
    owned.collect()
}

#[derive(Clone)]
pub(crate) struct Messages;

impl FakeReports for Messages {
    fn parser(&self) -> Arc<dyn ReportParser> {
        report_parser(postduif_core::ReportOptions::new([RIGHT]).with_api("messages")).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![RIGHT.to_owned()]
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        table(&[
            ("delivered", Delivered),
            ("submitted", Sent),
            ("rejected", Rejected),
            ("undeliverable", Failed),
        ])
    }

    fn unknown_status(&self) -> String {
        "read".to_owned()
    }

    fn report(&self, status: &str, reference: &str) -> ReportCall {
        let body = json!({
            "channel": "sms", "message_uuid": UUID, "to": RECIPIENT.trim_start_matches('+'), "from": "Acme",
            "timestamp": "2026-01-01T00:00:05Z", "status": status, "client_ref": reference,
            "error": {"title": REPORTED_TEXT, "detail": REPORTED_TEXT}, "text": REPORTED_TEXT
        });
        ReportCall::post(URL, body.to_string())
    }

    fn fields(&self) -> Option<DeliveryReport> {
        let mut report = DeliveryReport::new("vonage", DeliveryStatus::Unknown);
        report.id = Some(UUID.to_owned());
        report.at = "2026-01-01T00:00:05Z".parse().ok();
        Some(report)
    }

    fn prove(&self, call: ReportCall, at: DateTime<Utc>, key: Key) -> ReportCall {
        let encode = |part: String| BASE64_URL_SAFE_NO_PAD.encode(part);
        let claims = json!({
            "iat": at.timestamp(), "jti": "c5ba8f24", "iss": "Vonage",
            "payload_hash": hex(&sha256(&call.body))
        });
        let header = r#"{"alg":"HS256","typ":"JWT"}"#.to_owned();
        let signed = format!("{}.{}", encode(header), encode(claims.to_string()));
        let tag = hmac_sha256(&secret(key).into(), signed.as_bytes());
        let tag = BASE64_URL_SAFE_NO_PAD.encode(tag);
        call.with_header("Authorization", format!("Bearer {signed}.{tag}"))
    }

    fn proof(&self) -> Proof {
        Proof::Header("Authorization")
    }

    fn window(&self) -> Option<Duration> {
        Some(Duration::from_secs(300))
    }
}

#[derive(Clone)]
pub(crate) struct Sms;

impl FakeReports for Sms {
    fn parser(&self) -> Arc<dyn ReportParser> {
        report_parser(
            postduif_core::ReportOptions::new([RIGHT])
                .with_api("sms")
                .with_signature_method("sha256"),
        )
        .unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![RIGHT.to_owned()]
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        table(&[
            ("delivered", Delivered),
            ("accepted", Sent),
            ("buffered", Buffered),
            ("expired", Expired),
            ("failed", Failed),
            ("rejected", Rejected),
            ("unknown", DeliveryStatus::Unknown),
        ])
    }

    fn unknown_status(&self) -> String {
        "deleted".to_owned()
    }

    fn report(&self, status: &str, reference: &str) -> ReportCall {
        let text = REPORTED_TEXT.replace(' ', "+");
        let to = RECIPIENT.trim_start_matches('+');
        ReportCall::get(format!(
            "{URL}?msisdn={to}&to=Acme&messageId=0A0000001234567B&status={status}&err-code={text}\
             &client-ref={reference}"
        ))
    }

    fn with_content(&self, _: &[u8]) -> Option<ReportCall> {
        None
    }

    fn fields(&self) -> Option<DeliveryReport> {
        let mut report = DeliveryReport::new("vonage", DeliveryStatus::Unknown);
        report.id = Some("0A0000001234567B".to_owned());
        report.part = report.id.clone();
        Some(report)
    }

    fn prove(&self, mut call: ReportCall, at: DateTime<Utc>, key: Key) -> ReportCall {
        call.url += &format!("&timestamp={}", at.timestamp());
        let (_, query) = call.url.split_once('?').unwrap();
        let mut fields: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        fields.sort();
        let base: String = fields
            .iter()
            .map(|(name, value)| format!("&{name}={}", value.replace(['&', '='], "_")))
            .collect();
        let tag = hex(&hmac_sha256(&secret(key).into(), base.as_bytes()));
        call.url += &format!("&sig={tag}");
        call
    }

    fn proof(&self) -> Proof {
        Proof::Parameter("sig")
    }

    fn window(&self) -> Option<Duration> {
        Some(Duration::from_secs(300))
    }

    fn signs_query(&self) -> bool {
        true
    }
}

mod messages {
    postduif_testkit::report_conformance!(super::Messages);
}

mod sms {
    postduif_testkit::report_conformance!(super::Sms);
}
