//! What people send to numbers at Vonage, in both APIs.

use std::sync::Arc;

use postduif_core::{
    InboundMessage, InboundParser, InboundPart, OptOutWords, ReportError, ReportErrorKind,
    ReportOptions, ReportRequest, chrono::DateTime,
};
use postduif_testkit::{FakeInbound, RECIPIENT, ReportCall};
use postduif_vonage::{SignatureMethod, VonageSmsInbound, inbound_parser};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::report_conformance::{Messages, RIGHT, Sms};

const URL: &str = "https://hooks.example.test/vonage";

/// The schema `inboundMessageSMS` of Vonage's definition of the Messages API.
#[derive(Clone)]
struct MessagesInbound;

impl FakeInbound for MessagesInbound {
    type Reports = Messages;

    fn reports(&self) -> Messages {
        Messages
    }

    fn parser(&self) -> Arc<dyn InboundParser> {
        inbound_parser(ReportOptions::new([RIGHT]).with_api("messages")).unwrap()
    }

    fn message(&self, text: &str) -> ReportCall {
        let mut body = webhook();
        body["from"] = json!(RECIPIENT.trim_start_matches('+'));
        body["text"] = json!(text);
        ReportCall::post(URL, body.to_string())
    }

    fn fields(&self) -> InboundMessage {
        let mut message = InboundMessage::new("vonage", RECIPIENT.parse().unwrap(), "");
        message.id = Some("aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab".to_owned());
        message.to = Some("447700900000".to_owned());
        message.at = "2025-02-03T12:14:25Z".parse().ok();
        message
    }
}

/// The examples of the schema.
fn webhook() -> Value {
    json!({
        "channel": "sms", "message_uuid": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab",
        "to": "447700900000", "from": "447700900001", "timestamp": "2025-02-03T12:14:25Z",
        "text": "Hello From Vonage!", "sms": {"num_messages": "2", "keyword": "HELLO"},
        "usage": {"currency": "EUR", "price": "0.0333"}, "origin": {"network_code": "12345"}
    })
}

#[test]
fn the_examples_of_the_definition_are_read() {
    let call = ReportCall::post(URL, webhook().to_string());
    let message = MessagesInbound.read(call).unwrap().remove(0);
    assert_eq!(message.from.to_string(), "+447700900001");
    assert_eq!(message.text.as_str(), "Hello From Vonage!");
    assert_eq!(message.part, None, "Vonage has joined the parts");
}

#[test]
fn messages_of_other_channels_are_skipped_and_others_are_malformed() {
    for (members, expected) in [
        (json!({"channel": "whatsapp"}), Ok(0)),
        (
            json!({"channel": "mms", "message_type": "image", "text": null}),
            Ok(0),
        ),
        (json!({"from": "1008"}), Ok(0)),
        (json!({"channel": null}), Ok(1)),
        (json!({"text": null}), Err(ReportErrorKind::Malformed)),
        (json!({"from": ""}), Err(ReportErrorKind::Malformed)),
        (
            json!({"message_uuid": null}),
            Err(ReportErrorKind::Malformed),
        ),
    ] {
        let mut body = webhook();
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        let read = MessagesInbound.read(ReportCall::post(URL, body.to_string()));
        let read = read.map(|read| read.len()).map_err(ReportError::kind);
        assert_eq!(read, expected, "{members}");
    }
}

#[test]
fn an_unsigned_message_comes_again() {
    let parser = MessagesInbound.parser();
    assert_eq!(parser.reply(&Err(ReportError::unsigned("x"))), (503, ""));
    assert_eq!(parser.reply(&Err(ReportError::stale("x"))), (503, ""));
    assert_eq!(parser.reply(&Err(ReportError::forged("x"))), (401, ""));
    assert_eq!(parser.reply(&Ok(Vec::new())), (200, "OK"));
}

/// The schema `InboundMessage` of Vonage's definition of the SMS API, as a GET.
#[derive(Clone)]
struct SmsInbound;

impl FakeInbound for SmsInbound {
    type Reports = Sms;

    fn reports(&self) -> Sms {
        Sms
    }

    fn parser(&self) -> Arc<dyn InboundParser> {
        let options = ReportOptions::new([RIGHT])
            .with_api("sms")
            .with_signature_method("sha256");
        inbound_parser(options).unwrap()
    }

    fn message(&self, text: &str) -> ReportCall {
        call(&[("text", text)])
    }

    fn with_content(&self, _: &[u8]) -> Option<ReportCall> {
        None
    }

    fn fields(&self) -> InboundMessage {
        let mut message = InboundMessage::new("vonage", RECIPIENT.parse().unwrap(), "");
        message.id = Some("0A0000000123ABCD1".to_owned());
        message.to = Some("447700900000".to_owned());
        message.at = "2020-01-01T12:00:00Z".parse().ok();
        message
    }
}

fn call(changes: &[(&str, &str)]) -> ReportCall {
    let mut fields = vec![
        ("api-key", "abcd1234"),
        ("msisdn", RECIPIENT.trim_start_matches('+')),
        ("to", "447700900000"),
        ("messageId", "0A0000000123ABCD1"),
        ("type", "text"),
        ("keyword", "HELLO"),
        ("message-timestamp", "2020-01-01 12:00:00"),
        ("nonce", "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"),
    ];
    fields.retain(|(name, _)| changes.iter().all(|(changed, _)| name != changed));
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .extend_pairs(changes)
        .finish();
    ReportCall::get(format!("{URL}?{query}"))
}

fn read(changes: &[(&str, &str)]) -> Result<Vec<InboundMessage>, ReportErrorKind> {
    SmsInbound.read(call(changes)).map_err(ReportError::kind)
}

#[test]
fn a_part_has_its_place_and_is_no_opt_out() {
    let part = [
        ("text", "STOP"),
        ("concat", "true"),
        ("concat-ref", "1"),
        ("concat-total", "3"),
        ("concat-part", "2"),
    ];
    let message = read(&part).unwrap().remove(0);
    assert_eq!(message.part, InboundPart::new("1", 2, 3));
    assert_eq!(OptOutWords::new().classify(&message), None);
    // A part without its place is not taken for a whole text.
    for (name, value) in [
        ("concat-ref", ""),
        ("concat-total", "x"),
        ("concat-part", "4"),
        ("concat-part", "0"),
        ("concat-part", ""),
    ] {
        let mut broken = part;
        for pair in &mut broken {
            if pair.0 == name {
                pair.1 = value;
            }
        }
        assert_eq!(read(&broken), Err(ReportErrorKind::Malformed), "{name}");
    }
    let whole = read(&[("text", "STOP"), ("concat", "false")]).unwrap();
    assert_eq!(whole[0].part, None);
}

#[test]
fn binary_messages_and_short_codes_are_skipped() {
    assert_eq!(read(&[("type", "binary"), ("data", "00")]), Ok(Vec::new()));
    assert_eq!(read(&[("msisdn", "1008"), ("text", "x")]), Ok(Vec::new()));
    assert_eq!(
        read(&[("type", "unicode"), ("text", "é")]).unwrap().len(),
        1
    );
    let nobody = [("msisdn", ""), ("text", "x")];
    assert_eq!(read(&nobody), Err(ReportErrorKind::Malformed));
    let nothing = [("type", ""), ("keyword", "")];
    assert_eq!(read(&nothing), Err(ReportErrorKind::Malformed));
}

/// The inbound text of `Vonage/vonage-php-sdk-core`, `test/Client/SignatureTest.php` (MIT, copyright (c) 2016 Vonage,
/// Inc.), signed by Vonage's own SDK.
#[test]
fn an_inbound_text_that_vonages_sdk_signed_is_read() {
    let secrets = vec!["my_secret_key_for_testing".into()];
    let parser = VonageSmsInbound::new(secrets, SignatureMethod::Sha512).unwrap();
    let query = "message-timestamp=2013-11-21+15%3A27%3A30&messageId=020000001B0FE827&msisdn=14843472194\
                 &text=Test+again&timestamp=1385047698&to=13239877404&type=text\
                 &sig=E0D3C650F8C9D1A5C174D10DDDBFB003E561F59B265616208B0487C5D819481CD3C311D59CF6165ECD1139622D5BA3A256C0D763AC4A9AD9144B5A426B94FE82";
    let url = format!("{URL}?{query}");
    let now = DateTime::from_timestamp(1_385_047_698, 0).unwrap();
    let message = parser
        .parse(&ReportRequest::new("GET", &url, &[], b""), now)
        .unwrap()
        .remove(0);
    assert_eq!(message.text.as_str(), "Test again");
    assert_eq!(message.from.to_string(), "+14843472194");
    assert_eq!(message.to.as_deref(), Some("13239877404"));
    assert_eq!(
        message.at.unwrap().to_rfc3339(),
        "2013-11-21T15:27:30+00:00"
    );
}

#[test]
fn a_test_of_the_url_is_no_message() {
    let now = DateTime::from_timestamp(1_385_047_698, 0).unwrap();
    let request = ReportRequest::new("GET", URL, &[], b"");
    assert_eq!(SmsInbound.parser().parse(&request, now), Ok(Vec::new()));
}

mod messages {
    postduif_testkit::inbound_conformance!(super::MessagesInbound);
}

mod sms {
    postduif_testkit::inbound_conformance!(super::SmsInbound);
}
