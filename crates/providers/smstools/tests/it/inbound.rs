//! What people send to numbers at Smstools.

use std::sync::Arc;

use postduif_core::{InboundMessage, InboundParser, ReportErrorKind, ReportOptions};
use postduif_smstools::inbound_parser;
use postduif_testkit::{FakeInbound, RECIPIENT, ReportCall};
use serde_json::{Value, json};

use crate::report_conformance::{FakeSmstools, RIGHT};

const URL: &str = "https://hooks.example.test/smstools";

/// Smstools' page "Webhooks": the envelope of a report with another type.
#[derive(Clone)]
struct SmstoolsInbound;

impl FakeInbound for SmstoolsInbound {
    type Reports = FakeSmstools;

    fn reports(&self) -> FakeSmstools {
        FakeSmstools
    }

    fn parser(&self) -> Arc<dyn InboundParser> {
        inbound_parser(ReportOptions::new([RIGHT])).unwrap()
    }

    fn message(&self, text: &str) -> ReportCall {
        ReportCall::post(URL, event("inbox_message", text).to_string())
    }

    fn fields(&self) -> InboundMessage {
        let mut message = InboundMessage::new("smstools", RECIPIENT.parse().unwrap(), "");
        message.id = Some("c2hlqhbyk3xrsx1rj5ik".to_owned());
        message.to = Some("32460123456".to_owned());
        message
    }
}

fn event(kind: &str, text: &str) -> Value {
    json!({
        "webhook_id": "48213", "webhook_type": kind, "username": "acme",
        "message": {
            "messageid": "c2hlqhbyk3xrsx1rj5ik", "datetime": "2026-02-01 15:00:02", "content": text,
            "sender": "31612345678", "receiver": "32460123456"
        }
    })
}

fn read(body: &Value) -> Result<Vec<InboundMessage>, ReportErrorKind> {
    let read = SmstoolsInbound.read(ReportCall::post(URL, body.to_string()));
    read.map_err(|error| error.kind())
}

#[test]
fn both_names_of_the_type_are_read_and_other_events_are_skipped() {
    for (kind, count) in [
        ("inbox_message", 1),
        ("incoming_message", 1),
        ("delivery_report", 0),
        ("read_report", 0),
        ("add_optout", 0),
    ] {
        assert_eq!(read(&event(kind, "x")).unwrap().len(), count, "{kind}");
    }
    let list = json!([event("read_report", "x"), event("inbox_message", "STOP")]);
    assert_eq!(read(&list).unwrap()[0].text.as_str(), "STOP");
}

#[test]
fn a_text_without_a_type_is_not_guessed() {
    for kind in ["", " "] {
        assert_eq!(read(&event(kind, "x")), Err(ReportErrorKind::Malformed));
    }
    let mut without = event("inbox_message", "x");
    without["message"]["sender"] = json!(null);
    assert_eq!(read(&without), Err(ReportErrorKind::Malformed));
}

mod conformance {
    postduif_testkit::inbound_conformance!(super::SmstoolsInbound);
}
