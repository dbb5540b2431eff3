//! The conformance suite of report parsers, for both versions.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use postduif_core::{
    DeliveryReport,
    DeliveryStatus::{self, Buffered, Delivered, Failed, Sent},
    ReportParser,
};
use postduif_spryng::report_parser;
use postduif_testkit::{FakeReports, Key, Proof, RECIPIENT, REPORTED_TEXT, ReportCall};
use serde_json::json;

pub(crate) const RIGHT: &str = "hunter2-of-16-letters";
const WRONG: &str = "hunter3-of-16-letters";
const URL: &str = "https://hooks.example.test/reports/spryng";

/// Adds the secret as the last segment of the path.
fn prove(mut call: ReportCall, key: Key) -> ReportCall {
    let secret = match key {
        Key::Right => RIGHT,
        _ => WRONG,
    };
    call.url = call.url.replacen(URL, &format!("{URL}/{secret}"), 1);
    call
}

fn table(statuses: &[(&str, DeliveryStatus)]) -> Vec<(String, DeliveryStatus)> {
    let owned = statuses
        .iter()
        .map(|(word, status)| ((*word).to_owned(), *status));
    owned.collect()
}

#[derive(Clone)]
pub(crate) struct V2;

impl FakeReports for V2 {
    fn parser(&self) -> Arc<dyn ReportParser> {
        report_parser(postduif_core::ReportOptions::new([RIGHT]).with_api("v2")).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![RIGHT.to_owned()]
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        table(&[
            ("Delivered", Delivered),
            ("Failed", Failed),
            ("In Progress", Sent),
            ("Sent", Sent),
        ])
    }

    fn unknown_status(&self) -> String {
        "Rejected".to_owned()
    }

    fn report(&self, status: &str, reference: &str) -> ReportCall {
        let message = json!({
            "MessageId": "0c914d2b", "Status": status, "Reason": REPORTED_TEXT, "Body": REPORTED_TEXT,
            "OccurredAtTime": "2026-02-18T15:18:08.8212423Z", "Msisdn": RECIPIENT.trim_start_matches('+'),
            "Originator": "Acme", "Metadata": {"reference": reference}
        });
        let body =
            json!({"RequestId": "8a2f", "Channel": "SMS", "Status": status, "Messages": [message]});
        ReportCall::post(URL, body.to_string())
    }

    fn fields(&self) -> Option<DeliveryReport> {
        let mut report = DeliveryReport::new("spryng", DeliveryStatus::Unknown);
        report.id = Some("0c914d2b".to_owned());
        report.at = "2026-02-18T15:18:08.8212423Z".parse().ok();
        Some(report)
    }

    fn list(&self, entries: &[Option<(&str, &str)>]) -> Option<ReportCall> {
        let entries = entries.iter().map(|entry| {
            entry.map(|(status, reference)| {
                json!({"Status": status, "Metadata": {"reference": reference}})
            })
        });
        let entries: Vec<_> = entries.collect();
        let body = json!({"RequestId": "8a2f", "Channel": "SMS", "Messages": entries});
        Some(ReportCall::post(URL, body.to_string()))
    }

    fn prove(&self, call: ReportCall, _: DateTime<Utc>, key: Key) -> ReportCall {
        prove(call, key)
    }

    fn proof(&self) -> Proof {
        Proof::Path
    }
}

#[derive(Clone)]
struct V1;

impl FakeReports for V1 {
    fn parser(&self) -> Arc<dyn ReportParser> {
        report_parser(postduif_core::ReportOptions::new([RIGHT]).with_api("v1")).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![RIGHT.to_owned()]
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        table(&[
            ("10", Delivered),
            ("20", Failed),
            ("Delivered", Delivered),
            ("Not+Delivered", Failed),
            ("Buffered", Buffered),
        ])
    }

    fn unknown_status(&self) -> String {
        "15".to_owned()
    }

    fn report(&self, status: &str, reference: &str) -> ReportCall {
        let text = REPORTED_TEXT.replace(' ', "+");
        let to = RECIPIENT.trim_start_matches('+');
        ReportCall::get(format!(
            "{URL}?STATUS={status}&REASONCODE={text}&REFERENCE={reference}&RECIPIENT={to}"
        ))
    }

    fn with_content(&self, content: &[u8]) -> Option<ReportCall> {
        Some(ReportCall::post(URL, content))
    }

    fn fields(&self) -> Option<DeliveryReport> {
        Some(DeliveryReport::new("spryng", DeliveryStatus::Unknown))
    }

    fn prove(&self, call: ReportCall, _: DateTime<Utc>, key: Key) -> ReportCall {
        prove(call, key)
    }

    fn proof(&self) -> Proof {
        Proof::Path
    }
}

mod v2 {
    postduif_testkit::report_conformance!(super::V2);
}

mod v1 {
    postduif_testkit::report_conformance!(super::V1);
}
