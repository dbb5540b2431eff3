//! The conformance suite of report parsers, for the JSON that is posted and for the older GET.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use postduif_cm::report_parser;
use postduif_core::{DeliveryReport, DeliveryStatus, ReportParser};
use postduif_testkit::{FakeReports, Key, Proof, RECIPIENT, REPORTED_TEXT, ReportCall};
use serde_json::json;

pub(crate) const RIGHT: &str = "hunter2-of-the-route";
const WRONG: &str = "hunter3-of-the-route";
const URL: &str = "https://hooks.example.test/reports/cm";

#[derive(Clone, Copy)]
pub(crate) enum FakeCm {
    Get,
    Post,
}

impl FakeReports for FakeCm {
    fn parser(&self) -> Arc<dyn ReportParser> {
        report_parser(postduif_core::ReportOptions::new([RIGHT])).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![RIGHT.to_owned()]
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        [
            ("0", DeliveryStatus::Sent),
            ("1", DeliveryStatus::Rejected),
            ("2", DeliveryStatus::Delivered),
            ("3", DeliveryStatus::Failed),
            ("4", DeliveryStatus::Delivered),
        ]
        .map(|(code, status)| (code.to_owned(), status))
        .into()
    }

    fn unknown_status(&self) -> String {
        "5".to_owned()
    }

    fn report(&self, status: &str, reference: &str) -> ReportCall {
        let to = format!("00{}", RECIPIENT.trim_start_matches('+'));
        if let Self::Get = self {
            let text = REPORTED_TEXT.replace(' ', "+");
            return ReportCall::get(format!(
                "{URL}?received=2026-02-01T14%3A00%3A09&to={to}&reference={reference}\
                 &statuscode={status}&errorcode=24&errordescription={text}"
            ));
        }
        let body = json!({"messages": {"msg": {
            "received": "2026-02-01T14:00:09", "to": to, "reference": reference,
            "status": {"code": status, "errorCode": "24", "errorDescription": REPORTED_TEXT},
            "operator": "20404"
        }}});
        ReportCall::post(URL, body.to_string())
    }

    fn with_content(&self, content: &[u8]) -> Option<ReportCall> {
        match self {
            Self::Get => None,
            Self::Post => Some(ReportCall::post(URL, content)),
        }
    }

    fn fields(&self) -> Option<DeliveryReport> {
        let mut report = DeliveryReport::new("cm", DeliveryStatus::Unknown);
        report.code = Some("24".to_owned());
        Some(report)
    }

    fn list(&self, entries: &[Option<(&str, &str)>]) -> Option<ReportCall> {
        let entries = entries.iter().map(|entry| match entry {
            Some((status, reference)) => {
                json!({"reference": reference, "status": {"code": status}})
            }
            None => json!({"operator": "20404"}),
        });
        let body = json!({"messages": {"msg": entries.collect::<Vec<_>>()}});
        matches!(self, Self::Post).then(|| ReportCall::post(URL, body.to_string()))
    }

    fn prove(&self, mut call: ReportCall, _: DateTime<Utc>, key: Key) -> ReportCall {
        let secret = match key {
            Key::Right => RIGHT,
            _ => WRONG,
        };
        call.url = call.url.replacen(URL, &format!("{URL}/{secret}"), 1);
        call
    }

    fn proof(&self) -> Proof {
        Proof::Path
    }
}

mod posted {
    postduif_testkit::report_conformance!(super::FakeCm::Post);
}

mod by_get {
    postduif_testkit::report_conformance!(super::FakeCm::Get);
}
