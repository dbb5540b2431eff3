use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use postduif_core::{DeliveryReport, DeliveryStatus, ReportOptions, ReportParser};
use postduif_http::vendor::signature::hmac_sha256;
use postduif_testkit::{FakeReports, Key, Proof, RECIPIENT, REPORTED_TEXT, ReportCall};
use postduif_webhook::report_parser;
use serde_json::json;

pub(crate) const RIGHT: &str = "hunter2-signs-the-reports-of-us";
const WRONG: &str = "hunter3-signs-the-reports-of-us";

#[derive(Clone)]
pub(crate) struct FakeGateway;

impl FakeReports for FakeGateway {
    fn parser(&self) -> Arc<dyn ReportParser> {
        let secret = format!("whsec_{}", BASE64_STANDARD.encode(RIGHT));
        report_parser(ReportOptions::new([secret])).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![RIGHT.to_owned(), BASE64_STANDARD.encode(RIGHT)]
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        [
            ("delivered", DeliveryStatus::Delivered),
            ("buffered", DeliveryStatus::Buffered),
            ("expired", DeliveryStatus::Expired),
            ("failed", DeliveryStatus::Failed),
            ("rejected", DeliveryStatus::Rejected),
            ("sent", DeliveryStatus::Sent),
            ("unknown", DeliveryStatus::Unknown),
        ]
        .map(|(word, status)| (word.to_owned(), status))
        .into()
    }

    fn unknown_status(&self) -> String {
        "parked".to_owned()
    }

    fn report(&self, status: &str, reference: &str) -> ReportCall {
        let body = json!({
            "reference": reference, "status": status, "at": "2026-12-24T09:30:07+01:00", "id": "8f14e45f",
            "to": RECIPIENT, "code": "27", "description": REPORTED_TEXT
        });
        ReportCall::post("https://hooks.example.test/webhook", body.to_string())
    }

    fn fields(&self) -> Option<DeliveryReport> {
        let mut report = DeliveryReport::new("webhook", DeliveryStatus::Unknown);
        report.id = Some("8f14e45f".to_owned());
        report.code = Some("27".to_owned());
        report.at = "2026-12-24T08:30:07Z".parse().ok();
        Some(report)
    }

    fn prove(&self, call: ReportCall, at: DateTime<Utc>, key: Key) -> ReportCall {
        let secret = match key {
            Key::Right => RIGHT,
            _ => WRONG,
        };
        let time = at.timestamp().to_string();
        let signed = [format!("dlr_1.{time}.").as_bytes(), &call.body].concat();
        let tag = BASE64_STANDARD.encode(hmac_sha256(&secret.into(), &signed));
        call.with_header("webhook-id", "dlr_1")
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

postduif_testkit::report_conformance!(FakeGateway);
