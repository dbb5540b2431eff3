use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use postduif_core::{DeliveryReport, DeliveryStatus, ReportOptions, ReportParser};
use postduif_testkit::{FakeReports, Key, Proof, RECIPIENT, REPORTED_TEXT, ReportCall};
use postduif_twilio::report_parser;
use url::form_urlencoded;

use crate::signatures::sign;

pub(crate) const RIGHT: &str = "hunter2-signs-reports";
const WRONG: &str = "hunter3-signs-reports";
const SIGNATURE: &str = "X-Twilio-Signature";

#[derive(Clone)]
pub(crate) struct FakeTwilio;

impl FakeReports for FakeTwilio {
    fn parser(&self) -> Arc<dyn ReportParser> {
        report_parser(ReportOptions::new([RIGHT])).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![RIGHT.to_owned()]
    }

    fn statuses(&self) -> Vec<(String, DeliveryStatus)> {
        [
            ("undelivered", DeliveryStatus::Failed),
            ("accepted", DeliveryStatus::Sent),
            ("canceled", DeliveryStatus::Rejected),
            ("delivered", DeliveryStatus::Delivered),
            ("failed", DeliveryStatus::Failed),
            ("partially_delivered", DeliveryStatus::Failed),
            ("queued", DeliveryStatus::Sent),
            ("read", DeliveryStatus::Delivered),
            ("scheduled", DeliveryStatus::Sent),
            ("sending", DeliveryStatus::Sent),
            ("sent", DeliveryStatus::Sent),
        ]
        .map(|(word, status)| (word.to_owned(), status))
        .into()
    }

    fn unknown_status(&self) -> String {
        "parked".to_owned()
    }

    fn report(&self, status: &str, reference: &str) -> ReportCall {
        // The order and the names of a callback that was seen, and a parameter that was added without notice.
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("RawDlrDoneDate", "2611291002"),
                ("SmsSid", "SM0123456789abcdef0123456789abcdef"),
                ("SmsStatus", status),
                ("MessageStatus", status),
                ("To", RECIPIENT),
                ("MessageSid", "SM0123456789abcdef0123456789abcdef"),
                ("AccountSid", "ACf00dfeedf00dfeedf00dfeedf00dfeed"),
                ("From", "Contoso"),
                ("ApiVersion", "2010-04-01"),
                ("ErrorCode", "30003"),
                ("ErrorMessage", REPORTED_TEXT),
            ])
            .finish();
        let url = format!("https://hooks.example.test/twilio?reference={reference}");
        ReportCall::post(url, body).with_header("Content-Type", "application/x-www-form-urlencoded")
    }

    fn fields(&self) -> Option<DeliveryReport> {
        let mut report = DeliveryReport::new("twilio", DeliveryStatus::Unknown);
        report.id = Some("SM0123456789abcdef0123456789abcdef".to_owned());
        report.code = Some("30003".to_owned());
        Some(report)
    }

    fn prove(&self, call: ReportCall, _: DateTime<Utc>, key: Key) -> ReportCall {
        let secret = match key {
            Key::Right => RIGHT,
            _ => WRONG,
        };
        let mut pairs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(&call.body) {
            pairs.entry(name).or_default().insert(value);
        }
        let mut signed = call.url.clone();
        for (name, values) in &pairs {
            for value in values {
                signed.push_str(name);
                signed.push_str(value);
            }
        }
        let tag = sign(secret, &signed);
        call.with_header(SIGNATURE, tag)
    }

    fn proof(&self) -> Proof {
        Proof::Header(SIGNATURE)
    }

    fn signs_query(&self) -> bool {
        true
    }
}

postduif_testkit::report_conformance!(FakeTwilio);
