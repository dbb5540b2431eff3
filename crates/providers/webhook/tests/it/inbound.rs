//! What people send to a gateway.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use postduif_core::{
    InboundMessage, InboundParser, OptOut, ReportError, ReportErrorKind, ReportOptions,
};
use postduif_testkit::{FakeInbound, RECIPIENT, ReportCall};
use postduif_webhook::inbound_parser;
use serde_json::{Value, json};

use crate::report_conformance::{FakeGateway, RIGHT};

const URL: &str = "https://hooks.example.test/webhook";

#[derive(Clone)]
struct GatewayInbound;

impl FakeInbound for GatewayInbound {
    type Reports = FakeGateway;

    fn reports(&self) -> FakeGateway {
        FakeGateway
    }

    fn parser(&self) -> Arc<dyn InboundParser> {
        let secret = format!("whsec_{}", BASE64_STANDARD.encode(RIGHT));
        inbound_parser(ReportOptions::new([secret])).unwrap()
    }

    fn message(&self, text: &str) -> ReportCall {
        ReportCall::post(URL, message(text).to_string())
    }

    fn fields(&self) -> InboundMessage {
        let mut message = InboundMessage::new("webhook", RECIPIENT.parse().unwrap(), "");
        message.id = Some("1c2d3e4f".to_owned());
        message.to = Some("+31970102030".to_owned());
        message.in_reply_to = "01J9Z8Q4T6M2V7X3".parse().ok();
        message.at = "2026-12-24T08:30:07Z".parse().ok();
        message
    }
}

fn message(text: &str) -> Value {
    json!({
        "from": RECIPIENT, "text": text, "to": "+31970102030", "id": "1c2d3e4f",
        "at": "2026-12-24T09:30:07+01:00", "in_reply_to": "01J9Z8Q4T6M2V7X3"
    })
}

fn read(members: &Value) -> Result<Vec<InboundMessage>, ReportErrorKind> {
    let mut body = message("Hello");
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    let read = GatewayInbound.read(ReportCall::post(URL, body.to_string()));
    read.map_err(ReportError::kind)
}

#[test]
fn the_gateways_own_word_on_an_opt_out_is_kept() {
    for (word, expected) in [
        (json!("stop"), Some(OptOut::Stop)),
        (json!("start"), Some(OptOut::Start)),
        (json!("help"), None),
        (json!(null), None),
    ] {
        let message = read(&json!({"opt_out": word})).unwrap().remove(0);
        assert_eq!(message.opt_out, expected, "{word}");
    }
}

#[test]
fn a_message_needs_a_sender_and_a_text() {
    for members in [
        json!({"from": null}),
        json!({"from": " "}),
        json!({"text": null}),
        json!({"text": {}}),
    ] {
        assert_eq!(read(&members), Err(ReportErrorKind::Malformed), "{members}");
    }
    assert_eq!(read(&json!({"from": "1008"})), Ok(Vec::new()));
    assert_eq!(read(&json!({"status": "delivered"})), Ok(Vec::new()));
}

mod conformance {
    postduif_testkit::inbound_conformance!(super::GatewayInbound);
}
