//! What people send to numbers at KPN.

use std::sync::Arc;

use postduif_core::{
    InboundMessage, InboundParser, OptOut, OptOutWords, ReportErrorKind, ReportOptions,
};
use postduif_kpn::inbound_parser;
use postduif_testkit::{FakeInbound, RECIPIENT, ReportCall};
use serde_json::{Value, json};

use crate::report_conformance::{FakeKpn, RIGHT};

const URL: &str = "https://hooks.example.test/inbound/kpn";

/// KPN's specification of inbound SMS 1.0.0.
#[derive(Clone)]
struct KpnInbound;

impl FakeInbound for KpnInbound {
    type Reports = FakeKpn;

    fn reports(&self) -> FakeKpn {
        FakeKpn
    }

    fn parser(&self) -> Arc<dyn InboundParser> {
        inbound_parser(ReportOptions::new([RIGHT])).unwrap()
    }

    fn message(&self, text: &str) -> ReportCall {
        let mut body = sample();
        body["sender"] = json!(RECIPIENT.trim_start_matches('+'));
        body["content"] = json!(text);
        ReportCall::post(URL, body.to_string())
    }

    fn fields(&self) -> InboundMessage {
        let mut message = InboundMessage::new("kpn", RECIPIENT.parse().unwrap(), "");
        message.id = Some("6W0000001G7BB999.3197000000000".to_owned());
        message.to = Some("3197000000000".to_owned());
        message.at = "2026-01-31T14:37:42.218159Z".parse().ok();
        message
    }
}

/// The example of KPN's specification.
fn sample() -> Value {
    json!({
        "sender": "31600000000", "recipient": "3197000000000",
        "message_id": "6W0000001G7BB999.3197000000000", "content": "Hello",
        "timestamp_utc": "2026-01-31T14:37:42.218159", "type": "text/unicode/*"
    })
}

fn read(body: &Value) -> Result<Vec<InboundMessage>, ReportErrorKind> {
    let read = KpnInbound.read(ReportCall::post(URL, body.to_string()));
    read.map_err(|error| error.kind())
}

#[test]
fn kpns_example_is_read() {
    let message = read(&sample()).unwrap().remove(0);
    assert_eq!(message.from.to_string(), "+31600000000");
    assert_eq!(message.text.as_str(), "Hello");
    assert_eq!(OptOutWords::new().classify(&message), None);
}

#[test]
fn a_request_may_hold_several_messages_and_reports() {
    let mut stop = sample();
    stop["content"] = json!("STOP");
    let report = json!({"Status": "1", "message_id": "m-1", "RecipientPhonenumber": "31612345678"});
    let read = read(&json!([report, sample(), {"x": 1}, stop])).unwrap();
    let words = OptOutWords::new();
    let meanings: Vec<_> = read.iter().map(|message| words.classify(message)).collect();
    assert_eq!(meanings, [None, Some(OptOut::Stop)]);
}

#[test]
fn a_sender_without_a_number_is_skipped_and_a_text_without_one_is_malformed() {
    for (sender, expected) in [
        (json!("1008"), Ok(0)),
        (json!("KPN"), Ok(0)),
        (json!(31_612_345_678_u64), Ok(1)),
        (json!(""), Err(ReportErrorKind::Malformed)),
        (json!(null), Err(ReportErrorKind::Malformed)),
    ] {
        let mut body = sample();
        body["sender"] = sender.clone();
        let read = read(&body).map(|read| read.len());
        assert_eq!(read, expected, "{sender}");
    }
    let mut body = sample();
    body["content"] = json!(null);
    assert_eq!(read(&body), Err(ReportErrorKind::Malformed));
}

mod conformance {
    postduif_testkit::inbound_conformance!(super::KpnInbound);
}
