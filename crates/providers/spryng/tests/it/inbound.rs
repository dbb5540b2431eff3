//! What people send to numbers at Spryng.

use std::sync::Arc;

use postduif_core::{InboundMessage, InboundParser, OptOut, ReportErrorKind, ReportOptions};
use postduif_spryng::inbound_parser;
use postduif_testkit::{FakeInbound, RECIPIENT, ReportCall};
use serde_json::{Value, json};

use crate::report_conformance::{RIGHT, V2};

const URL: &str = "https://hooks.example.test/reports/spryng";

#[derive(Clone)]
struct SpryngInbound;

impl FakeInbound for SpryngInbound {
    type Reports = V2;

    fn reports(&self) -> V2 {
        V2
    }

    fn parser(&self) -> Arc<dyn InboundParser> {
        inbound_parser(ReportOptions::new([RIGHT])).unwrap()
    }

    fn message(&self, text: &str) -> ReportCall {
        let body = event(&json!({
            "Msisdn": RECIPIENT.trim_start_matches('+'), "Body": text,
            "MostRecentOutboundMessageId": "0c914d2b"
        }));
        ReportCall::post(URL, body.to_string())
    }

    fn fields(&self) -> InboundMessage {
        let mut message = InboundMessage::new("spryng", RECIPIENT.parse().unwrap(), "");
        message.id = Some("31b2dbc7-765e-4cb2-ac0f-a788cf0cbcf0".to_owned());
        message.to = Some("447786201931".to_owned());
        message.in_reply_to_id = Some("0c914d2b".to_owned());
        message.at = "2026-02-18T15:18:08.8212423Z".parse().ok();
        message
    }
}

/// The portal's example of a received message, with some of its members replaced.
fn event(members: &Value) -> Value {
    let mut message = json!({
        "MessageId": "31b2dbc7-765e-4cb2-ac0f-a788cf0cbcf0", "MostRecentOutboundMessageId": null,
        "MostRecentOutboundRequestId": null, "OccurredAtTime": "2026-02-18T15:18:08.8212423Z",
        "Status": "Received", "DestinationCode": "", "Body": "Lorem ipsum", "MessageParts": 2,
        "MessageCoding": "GSM", "ContactId": null, "ConversationStatus": "Updated",
        "Originator": "447786201931", "Msisdn": "447897890440", "ContainsActionWord": false,
        "ActionWord": null, "Keyword": "", "SenderType": "VirtualMobileNumber"
    });
    for (name, value) in members.as_object().unwrap() {
        message[name] = value.clone();
    }
    json!({
        "RequestId": "afe6beb6-6d92-4efa-bcb8-39164092f449", "AccountReference": "SPNL0000000",
        "Channel": "SMS", "Status": "Received", "Messages": [message]
    })
}

fn read(body: &Value) -> Result<Vec<InboundMessage>, ReportErrorKind> {
    let read = SpryngInbound.read(ReportCall::post(URL, body.to_string()));
    read.map_err(|error| error.kind())
}

#[test]
fn the_person_is_the_msisdn_and_the_originator_is_ours() {
    let message = read(&event(&json!({}))).unwrap().remove(0);
    assert_eq!(message.from.to_string(), "+447897890440");
    assert_eq!(message.to.as_deref(), Some("447786201931"));
    assert_eq!(message.in_reply_to_id, None);
}

#[test]
fn a_message_is_known_by_its_status_or_its_reason() {
    for members in [
        json!({"Status": "received"}),
        json!({"Status": null, "Reason": "Inbound"}),
    ] {
        assert_eq!(read(&event(&members)).unwrap().len(), 1, "{members}");
    }
    let neither = event(&json!({"Status": null}));
    assert_eq!(read(&neither), Err(ReportErrorKind::Malformed));
}

#[test]
fn an_opt_out_of_the_account_has_no_text() {
    let event = json!({
        "AccountReference": "SPNL0000000", "Channel": "SMS", "Address": "31612345678",
        "ActionPerformedBy": "Contact"
    });
    let message = read(&event).unwrap().remove(0);
    assert_eq!(message.opt_out, Some(OptOut::Stop));
    assert_eq!(message.from.to_string(), RECIPIENT);
    assert_eq!((message.text.as_str(), message.id), ("", None));

    let mut of_another_channel = event.clone();
    of_another_channel["Channel"] = json!("WhatsApp");
    assert_eq!(read(&of_another_channel), Ok(Vec::new()));
    let mut of_nobody = event;
    of_nobody["Address"] = json!("");
    assert_eq!(read(&of_nobody), Err(ReportErrorKind::Malformed));
    let schedule = json!({"AccountReference": "SPNL0000000", "ScheduleId": "1"});
    assert_eq!(read(&schedule), Ok(Vec::new()));
}

#[test]
fn version_1_has_no_documented_inbound_call() {
    let error = inbound_parser(ReportOptions::new([RIGHT]).with_api("v1")).unwrap_err();
    assert!(error.to_string().contains("v1"), "{error}");
    assert!(inbound_parser(ReportOptions::new([RIGHT]).with_api("v3")).is_err());
    assert!(inbound_parser(ReportOptions::new(["short"])).is_err());
}

mod conformance {
    postduif_testkit::inbound_conformance!(super::SpryngInbound);
}
