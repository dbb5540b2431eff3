//! What people send to numbers at CM.

use std::sync::Arc;

use postduif_cm::inbound_parser;
use postduif_core::{InboundMessage, InboundParser, ReportErrorKind, ReportOptions};
use postduif_testkit::{FakeInbound, FakeReports as _, RECIPIENT, ReportCall};
use serde_json::{Value, json};

use crate::report_conformance::{FakeCm, RIGHT};

const URL: &str = "https://hooks.example.test/reports/cm";

/// CM's pages "Incoming Messages" and, for the flat form, "MO Webhooks".
#[derive(Clone)]
enum CmInbound {
    Flat,
    Nested,
}

impl FakeInbound for CmInbound {
    type Reports = FakeCm;

    fn reports(&self) -> FakeCm {
        FakeCm::Post
    }

    fn parser(&self) -> Arc<dyn InboundParser> {
        inbound_parser(ReportOptions::new([RIGHT])).unwrap()
    }

    fn message(&self, text: &str) -> ReportCall {
        let body = match self {
            Self::Nested => message(text),
            Self::Flat => json!({
                "reference": "01J9Z8Q4T6M2V7X3", "from": "0031612345678", "to": "1008",
                "body": text, "groupings": ["", "", ""]
            }),
        };
        ReportCall::post(URL, body.to_string())
    }

    fn fields(&self) -> InboundMessage {
        let mut message = InboundMessage::new("cm", RECIPIENT.parse().unwrap(), "");
        message.in_reply_to = "01J9Z8Q4T6M2V7X3".parse().ok();
        match self {
            Self::Nested => {
                message.to = Some("003197010203040".to_owned());
                message.at = "2026-02-01T14:00:09Z".parse().ok();
            }
            Self::Flat => message.to = Some("1008".to_owned()),
        }
        message
    }
}

fn message(text: &str) -> Value {
    json!({
        "from": {"number": "0031612345678", "name": ""}, "to": {"number": "003197010203040"},
        "message": {"text": text, "media": {"mediaUri": "", "contentType": "", "title": ""}},
        "reference": "01J9Z8Q4T6M2V7X3", "groupings": ["", "", ""],
        "timeUtc": "2026-02-01T14:00:09", "channel": "SMS", "messageContext": ""
    })
}

fn read(body: &Value) -> Result<Vec<InboundMessage>, ReportErrorKind> {
    let read = CmInbound::Nested.read(ReportCall::post(URL, body.to_string()));
    read.map_err(|error| error.kind())
}

#[test]
fn messages_of_other_channels_are_skipped() {
    for (channel, count) in [
        (json!("SMS"), 1),
        (json!("sms"), 1),
        (json!(null), 1),
        (json!("WhatsApp"), 0),
        (json!("RCS"), 0),
    ] {
        let mut body = message("STOP");
        body["channel"] = channel.clone();
        assert_eq!(read(&body).unwrap().len(), count, "{channel}");
    }
}

#[test]
fn a_foreign_reference_is_left_out() {
    for reference in [json!("their-ref"), json!(""), json!(null)] {
        let mut body = message("Hello");
        body["reference"] = reference;
        assert_eq!(read(&body).unwrap()[0].in_reply_to, None);
    }
}

#[test]
fn a_request_without_a_sender_or_a_text_is_malformed() {
    for name in ["from", "message"] {
        let mut body = message("Hello");
        body[name] = json!(null);
        assert_eq!(read(&body), Err(ReportErrorKind::Malformed), "{name}");
    }
    let mut body = message("Hello");
    body["from"] = json!({"name": "Ada"});
    assert_eq!(read(&body), Err(ReportErrorKind::Malformed));
}

#[test]
fn a_report_in_the_older_format_is_no_message() {
    let report = FakeCm::Get.report("2", "01J9Z8Q4T6M2V7X3");
    assert_eq!(CmInbound::Nested.read(report), Ok(Vec::new()));
    let nothing = CmInbound::Nested.read(ReportCall::get(URL));
    assert_eq!(nothing.unwrap_err().kind(), ReportErrorKind::Malformed);
}

mod nested {
    postduif_testkit::inbound_conformance!(super::CmInbound::Nested);
}

mod flat {
    postduif_testkit::inbound_conformance!(super::CmInbound::Flat);
}
