use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{DeliveryReport, DeliveryStatus, ReportOptions, ReportParser};
use postduif_http::vendor::signature::hmac_sha256;
use postduif_kpn::report_parser;
use postduif_testkit::{FakeReports, Key, Proof, RECIPIENT, REPORTED_TEXT, ReportCall};
use serde_json::json;

pub(crate) const RIGHT: &str = "hunter2-signs-reports";
const WRONG: &str = "hunter3-signs-reports";
const SIGNATURE: &str = "X-KPN-Webhook-Signature";

#[derive(Clone)]
pub(crate) struct FakeKpn;

impl FakeReports for FakeKpn {
    fn parser(&self) -> Arc<dyn ReportParser> {
        report_parser(ReportOptions::new([RIGHT])).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![RIGHT.to_owned()]
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        [
            ("1", DeliveryStatus::Delivered),
            ("2", DeliveryStatus::Buffered),
            ("3", DeliveryStatus::Sent),
            ("4", DeliveryStatus::Failed),
            ("5", DeliveryStatus::Rejected),
            ("6", DeliveryStatus::Expired),
        ]
        .map(|(code, status)| (code.to_owned(), status))
        .into()
    }

    fn unknown_status(&self) -> String {
        "7".to_owned()
    }

    fn report(&self, status: &str, reference: &str) -> ReportCall {
        let body = json!({
            "Status": status, "ErrorCode": "012", "RecipientPhonenumber": RECIPIENT,
            "StatusDateTime": 1_767_225_599, "message_id": "m-1", "Message": REPORTED_TEXT,
            "Description": REPORTED_TEXT
        });
        let url = format!("https://hooks.example.test/kpn?reference={reference}");
        ReportCall::post(url, body.to_string())
    }

    fn fields(&self) -> Option<DeliveryReport> {
        let mut report = DeliveryReport::new("kpn", DeliveryStatus::Unknown);
        report.id = Some("m-1".to_owned());
        report.code = Some("012".to_owned());
        report.at = DateTime::from_timestamp(1_767_225_599, 0);
        Some(report)
    }

    fn prove(&self, call: ReportCall, at: DateTime<Utc>, key: Key) -> ReportCall {
        let secret = match key {
            Key::Right => RIGHT,
            _ => WRONG,
        };
        let tag = hmac_sha256(&secret.into(), &call.body);
        let tag: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        call.with_header(SIGNATURE, tag)
            .with_header("X-KPN-Webhook-Timestamp", at.timestamp().to_string())
    }

    fn proof(&self) -> Proof {
        Proof::Header(SIGNATURE)
    }

    fn window(&self) -> Option<Duration> {
        Some(Duration::from_secs(600))
    }
}

postduif_testkit::report_conformance!(FakeKpn);
