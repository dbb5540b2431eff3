use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{DeliveryReport, DeliveryStatus, ReportParser};
use postduif_http::vendor::signature::hmac_sha256;
use postduif_smstools::report_parser;
use postduif_testkit::{FakeReports, Key, Proof, RECIPIENT, REPORTED_TEXT, ReportCall};
use serde_json::json;

pub(crate) const RIGHT: &str = "hunter2-signs-reports";
const WRONG: &str = "hunter3-signs-reports";
const SIGNATURE: &str = "X-Smstools-Signature";

#[derive(Clone)]
pub(crate) struct FakeSmstools;

impl FakeReports for FakeSmstools {
    fn parser(&self) -> Arc<dyn ReportParser> {
        report_parser(postduif_core::ReportOptions::new([RIGHT])).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![RIGHT.to_owned()]
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        [
            ("0", DeliveryStatus::Sent),
            ("1", DeliveryStatus::Delivered),
            ("2", DeliveryStatus::Failed),
            ("3", DeliveryStatus::Buffered),
            ("4", DeliveryStatus::Rejected),
            ("5", DeliveryStatus::Rejected),
            ("9", DeliveryStatus::Unknown),
        ]
        .map(|(code, status)| (code.to_owned(), status))
        .into()
    }

    fn unknown_status(&self) -> String {
        "6".to_owned()
    }

    fn report(&self, status: &str, reference: &str) -> ReportCall {
        let message = json!({
            "messageid": "e0ncuxht345hjmbjvv2feky0azflcw", "datetime": "2026-02-01 15:00:02",
            "content": REPORTED_TEXT, "sender": "Acme",
            "receiver": RECIPIENT.trim_start_matches('+'), "reference": reference,
            "delivery_code": status, "delivery_status": REPORTED_TEXT,
            "delivery_status_datetime": "2026-02-01 15:00:09",
            "delivery_code_detail": "11", "delivery_code_detail_description": REPORTED_TEXT
        });
        let body = json!({
            "webhook_id": "48213", "webhook_type": "delivery_report", "username": "acme",
            "message": message
        });
        ReportCall::post("https://hooks.example.test/smstools", body.to_string())
    }

    fn fields(&self) -> Option<DeliveryReport> {
        let mut report = DeliveryReport::new("smstools", DeliveryStatus::Unknown);
        report.id = Some("e0ncuxht345hjmbjvv2feky0azflcw".to_owned());
        report.code = Some("11".to_owned());
        Some(report)
    }

    fn prove(&self, call: ReportCall, at: DateTime<Utc>, key: Key) -> ReportCall {
        let secret = match key {
            Key::Right => RIGHT,
            _ => WRONG,
        };
        let time = at.timestamp().to_string();
        let signed = [time.as_bytes(), b".", &call.body].concat();
        let tag = hmac_sha256(&secret.into(), &signed);
        let tag: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        call.with_header(SIGNATURE, format!("t={time},v1={tag}"))
            .with_header("X-Smstools-Timestamp", time)
    }

    fn proof(&self) -> Proof {
        Proof::Header(SIGNATURE)
    }

    fn window(&self) -> Option<Duration> {
        Some(Duration::from_secs(900))
    }
}

postduif_testkit::report_conformance!(FakeSmstools);
