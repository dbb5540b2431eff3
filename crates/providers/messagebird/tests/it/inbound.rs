//! What people send to numbers, for each of the three APIs.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use postduif_core::{
    InboundMessage, InboundParser, OptOut, ReportError, ReportErrorKind, ReportOptions,
};
use postduif_messagebird::inbound_parser;
use postduif_testkit::{FakeInbound, RECIPIENT, ReportCall};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::report_conformance::{Channels, Classic, Platform, RIGHT};

const URL: &str = "https://hooks.example.test/bird?a=1";

fn read(inbound: &impl FakeInbound, body: &Value) -> Result<Vec<InboundMessage>, ReportErrorKind> {
    let read = inbound.read(ReportCall::post(URL, body.to_string()));
    read.map_err(ReportError::kind)
}

/// The events of PyPI `messagebird-sdk` 0.106.0, `bird/_generated.py`, with their examples.
#[derive(Clone)]
struct PlatformInbound;

impl FakeInbound for PlatformInbound {
    type Reports = Platform;

    fn reports(&self) -> Platform {
        Platform
    }

    fn parser(&self) -> Arc<dyn InboundParser> {
        let secret = format!("whsec_{}", BASE64_STANDARD.encode(RIGHT));
        inbound_parser(ReportOptions::new([secret])).unwrap()
    }

    fn message(&self, text: &str) -> ReportCall {
        ReportCall::post(URL, received(RECIPIENT, text).to_string())
    }

    fn fields(&self) -> InboundMessage {
        let mut message = InboundMessage::new("messagebird", RECIPIENT.parse().unwrap(), "");
        message.id = Some("sms_01krdgeqcxet5s7t44vh8rt9mg".to_owned());
        message.to = Some("+15551234567".to_owned());
        message.in_reply_to_id = Some("sms_01krdgeqcxet5s7t44vh8rt9mh".to_owned());
        message.at = "2026-05-21T12:00:00Z".parse().ok();
        message
    }
}

fn received(from: &str, text: &str) -> Value {
    json!({
        "type": "sms.received", "timestamp": "2026-05-21T12:00:00Z",
        "data": {
            "sms_id": "sms_01krdgeqcxet5s7t44vh8rt9mg", "workspace_id": "ws_01krdgeqcxet5s7t44vh8rt9mg",
            "to": "+15551234567", "from": from, "tags": null, "metadata": null, "text": text,
            "country_code": "US", "carrier": "Verizon", "mcc_mnc": "311480",
            "in_reply_to_message": {
                "id": "sms_01krdgeqcxet5s7t44vh8rt9mh", "text": "Your code is 482910",
                "sent_at": "2026-10-22T10:14:04.001Z"
            }
        }
    })
}

#[test]
fn an_opt_out_that_the_platform_registered_has_no_text() {
    let event = json!({
        "type": "sms_suppression.created", "timestamp": "2026-08-12T12:00:00Z",
        "data": {
            "suppression_id": "ssu_01krdgeqcxet5s7t44vh8rt9mg", "destination": "+15550001234",
            "originator": "+15557654321", "reason": "keyword_stop",
            "workspace_id": "ws_01krdgeqcxet5s7t44vh8rt9mg"
        }
    });
    let message = read(&PlatformInbound, &event).unwrap().remove(0);
    assert_eq!(message.opt_out, Some(OptOut::Stop));
    assert_eq!(message.from.to_string(), "+15550001234");
    assert_eq!(message.to.as_deref(), Some("+15557654321"));
    assert_eq!(
        message.id.as_deref(),
        Some("ssu_01krdgeqcxet5s7t44vh8rt9mg")
    );
    assert_eq!(message.text.as_str(), "");
    assert!(message.at.is_some());
}

#[test]
fn a_picture_is_a_message_without_text_and_a_short_code_is_none() {
    let mut picture = received(RECIPIENT, "");
    picture["data"].as_object_mut().unwrap().remove("text");
    let message = read(&PlatformInbound, &picture).unwrap().remove(0);
    assert_eq!(message.text.as_str(), "");
    for from in ["12345", "Contoso"] {
        let read = read(&PlatformInbound, &received(from, "STOP"));
        assert_eq!(read, Ok(Vec::new()), "{from}");
    }
}

#[test]
fn other_events_and_tests_of_the_platform_are_no_messages() {
    for event in [
        json!({"type": "sms.received"}),
        json!({"type": "sms_suppression.created", "data": null}),
        json!({"type": "whatsapp.received", "data": {"from": RECIPIENT, "text": "STOP"}}),
        json!({"type": "email.received"}),
    ] {
        assert_eq!(read(&PlatformInbound, &event), Ok(Vec::new()), "{event}");
    }
    for broken in [
        json!({"type": "sms.received", "data": {}}),
        json!({"type": "sms.received", "data": 7}),
        json!({"type": 7}),
        json!({}),
    ] {
        let read = read(&PlatformInbound, &broken);
        assert_eq!(read, Err(ReportErrorKind::Malformed), "{broken}");
    }
}

/// Bird's page "Receiving messages" of the channel SMS, in the envelope of a webhook.
#[derive(Clone)]
struct ChannelsInbound;

impl FakeInbound for ChannelsInbound {
    type Reports = Channels;

    fn reports(&self) -> Channels {
        Channels
    }

    fn parser(&self) -> Arc<dyn InboundParser> {
        inbound_parser(ReportOptions::new([RIGHT]).with_api("channels")).unwrap()
    }

    fn message(&self, text: &str) -> ReportCall {
        ReportCall::post(URL, channels_event(text).to_string())
    }

    fn fields(&self) -> InboundMessage {
        let mut message = InboundMessage::new("messagebird", RECIPIENT.parse().unwrap(), "");
        message.id = Some("96a0b5fa-a986-453d-be5c-3117f989f025".to_owned());
        message.at = "2022-12-22T08:32:50.736Z".parse().ok();
        message
    }
}

fn channels_event(text: &str) -> Value {
    json!({"service": "channels", "event": "sms.inbound", "payload": {
        "id": "96a0b5fa-a986-453d-be5c-3117f989f025",
        "channelId": "614208aa-b153-4d5d-9989-2fddfc0ce4c3",
        "sender": {"contact": {
            "id": "32cf5eee-f940-422c-ab8c-5f753aad5efd", "identifierKey": "phonenumber",
            "identifierValue": RECIPIENT
        }},
        "receiver": {"connector": {"id": "86cc4dc0-3dc0-41b7-ac43-8ec829ead56f"}},
        "body": {"type": "text", "text": {"text": text}},
        "parts": [{"platformReference": "e8077d803532c0b5937c639b60216938"}],
        "status": "delivered", "direction": "incoming",
        "lastStatusAt": "2022-12-22T08:32:50.736Z", "createdAt": "2022-12-22T08:32:50.736Z",
        "updatedAt": "2022-12-22T08:32:50.736Z"
    }})
}

#[test]
fn other_events_of_channels_are_no_messages_and_one_without_a_sender_is_malformed() {
    for name in ["whatsapp.inbound", "sms.interaction", ""] {
        let mut event = channels_event("STOP");
        event["event"] = json!(name);
        assert_eq!(read(&ChannelsInbound, &event), Ok(Vec::new()), "{name}");
    }
    let mut event = channels_event("STOP");
    event["payload"]["receiver"]["connector"]["identifierValue"] = json!("+3197010203040");
    let to = read(&ChannelsInbound, &event).unwrap().remove(0).to;
    assert_eq!(to.as_deref(), Some("+3197010203040"));
    for payload in [json!(null), json!({}), json!({"sender": {"contact": {}}})] {
        event["payload"] = payload;
        assert_eq!(
            read(&ChannelsInbound, &event),
            Err(ReportErrorKind::Malformed)
        );
    }
}

/// What `nyaruka/courier` reads, `handlers/messagebird/handler.go`, with the names of its tests' JSON.
#[derive(Clone)]
enum ClassicInbound {
    Form,
    Json,
}

impl FakeInbound for ClassicInbound {
    type Reports = Classic;

    fn reports(&self) -> Classic {
        Classic
    }

    fn parser(&self) -> Arc<dyn InboundParser> {
        inbound_parser(ReportOptions::new([RIGHT])).unwrap()
    }

    fn message(&self, text: &str) -> ReportCall {
        let pairs = classic_pairs(text);
        match self {
            Self::Json => {
                let members = pairs.map(|(name, value)| (name.to_owned(), Value::from(value)));
                let members = Value::Object(members.into_iter().collect());
                ReportCall::post(URL, members.to_string())
            }
            Self::Form => ReportCall::post(URL, form(&pairs)),
        }
    }

    fn fields(&self) -> InboundMessage {
        let mut message = InboundMessage::new("messagebird", RECIPIENT.parse().unwrap(), "");
        message.id = Some("b6aae1b5dfb2427a8f7ea6a717ba31a9".to_owned());
        message.to = Some("18005551515".to_owned());
        message.at = "2023-07-27T00:49:29Z".parse().ok();
        message
    }
}

fn classic_pairs(text: &str) -> [(&'static str, &str); 11] {
    [
        ("receiver", "18005551515"),
        ("sender", "31612345678"),
        ("message", "Test again"),
        ("date_utc", "1690418969"),
        ("reference", "1"),
        ("id", "b6aae1b5dfb2427a8f7ea6a717ba31a9"),
        ("message_id", "3b53c137369242138120d6b0b2122607"),
        ("recipient", "18005551515"),
        ("originator", "31612345678"),
        ("body", text),
        ("createdDatetime", "2023-07-27T00:49:29+00:00"),
    ]
}

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

#[test]
fn a_text_to_a_short_code_has_other_names() {
    let body = form(&[
        ("shortcode", "51515"),
        ("message", "Stop"),
        ("mid", "3b53c137369242138120d6b0b2122607"),
        ("originator", "31612345678"),
        ("receive_datetime", "20230727004929"),
    ]);
    let read = ClassicInbound::Form.read(ReportCall::post(URL, body));
    let message = read.unwrap().remove(0);
    assert_eq!(message.text.as_str(), "Stop");
    assert_eq!(message.to.as_deref(), Some("51515"));
    assert_eq!(
        message.id.as_deref(),
        Some("3b53c137369242138120d6b0b2122607")
    );
    assert_eq!(message.at, None, "the zone is not documented");
}

#[test]
fn a_zone_whose_plus_was_decoded_as_a_space_is_read() {
    let body = "originator=31612345678&body=x&createdDatetime=2023-07-27T02:49:29+02:00";
    let read = ClassicInbound::Form.read(ReportCall::post(URL, body));
    let at = read.unwrap()[0].at.unwrap();
    assert_eq!(at.to_rfc3339(), "2023-07-27T00:49:29+00:00");
}

#[test]
fn a_text_without_a_sender_or_with_two_is_malformed() {
    for body in [
        "body=x",
        "originator=&body=x",
        "originator=31612345678&originator=31687654321&body=x",
    ] {
        let read = ClassicInbound::Form.read(ReportCall::post(URL, body));
        assert_eq!(
            read.unwrap_err().kind(),
            ReportErrorKind::Malformed,
            "{body}"
        );
    }
}

mod platform {
    postduif_testkit::inbound_conformance!(super::PlatformInbound);
}

mod channels {
    postduif_testkit::inbound_conformance!(super::ChannelsInbound);
}

mod classic_form {
    postduif_testkit::inbound_conformance!(super::ClassicInbound::Form);
}

mod classic_json {
    postduif_testkit::inbound_conformance!(super::ClassicInbound::Json);
}
