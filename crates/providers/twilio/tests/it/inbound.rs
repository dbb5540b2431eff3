//! What people send to numbers at Twilio.

use std::sync::Arc;

use postduif_core::{
    InboundMessage, InboundParser, OptOut, ReportError, ReportErrorKind, ReportOptions,
};
use postduif_testkit::{FakeInbound, RECIPIENT, ReportCall};
use postduif_twilio::inbound_parser;
use url::form_urlencoded;

use crate::report_conformance::{FakeTwilio, RIGHT};

/// Twilio's page on its request to the URL of an incoming message, and the status that its requests have.
#[derive(Clone)]
struct TwilioInbound;

impl FakeInbound for TwilioInbound {
    type Reports = FakeTwilio;

    fn reports(&self) -> FakeTwilio {
        FakeTwilio
    }

    fn parser(&self) -> Arc<dyn InboundParser> {
        inbound_parser(ReportOptions::new([RIGHT])).unwrap()
    }

    fn message(&self, text: &str) -> ReportCall {
        call(&[
            ("SmsStatus", "received"),
            ("From", RECIPIENT),
            ("Body", text),
        ])
    }

    fn fields(&self) -> InboundMessage {
        let mut message = InboundMessage::new("twilio", RECIPIENT.parse().unwrap(), "");
        message.id = Some("SM0123456789abcdef0123456789abcdef".to_owned());
        message.to = Some("+3197010203040".to_owned());
        message
    }
}

fn call(pairs: &[(&str, &str)]) -> ReportCall {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("ToCountry", "NL"),
            ("SmsMessageSid", "SM0123456789abcdef0123456789abcdef"),
            ("NumMedia", "0"),
            ("SmsSid", "SM0123456789abcdef0123456789abcdef"),
            ("FromCountry", "NL"),
            ("To", "+3197010203040"),
            ("NumSegments", "1"),
            ("MessageSid", "SM0123456789abcdef0123456789abcdef"),
            ("AccountSid", "ACf00dfeedf00dfeedf00dfeedf00dfeed"),
            ("ApiVersion", "2010-04-01"),
        ])
        .extend_pairs(pairs)
        .finish();
    ReportCall::post("https://hooks.example.test/twilio?a=1", body)
        .with_header("Content-Type", "application/x-www-form-urlencoded")
}

fn read(pairs: &[(&str, &str)]) -> Result<Vec<InboundMessage>, ReportErrorKind> {
    TwilioInbound
        .read(call(pairs))
        .map_err(|error| error.kind())
}

#[test]
fn twilios_own_word_on_an_opt_out_is_kept() {
    for (kind, expected) in [
        ("STOP", Some(OptOut::Stop)),
        ("START", Some(OptOut::Start)),
        ("HELP", None),
        ("", None),
    ] {
        let pairs = [("From", RECIPIENT), ("Body", "basta"), ("OptOutType", kind)];
        let message = read(&pairs).unwrap().remove(0);
        assert_eq!(message.opt_out, expected, "{kind}");
    }
}

#[test]
fn a_text_is_known_by_its_body_where_the_status_is_missing() {
    assert_eq!(read(&[("From", RECIPIENT), ("Body", "")]).unwrap().len(), 1);
    assert_eq!(
        read(&[("From", RECIPIENT)]),
        Err(ReportErrorKind::Malformed)
    );
    assert_eq!(read(&[("Body", "x")]), Err(ReportErrorKind::Malformed));
    let without_sender = [("SmsStatus", "received"), ("Body", "x")];
    assert_eq!(read(&without_sender), Err(ReportErrorKind::Malformed));
    let twice = [("From", RECIPIENT), ("From", "+31687654321"), ("Body", "x")];
    assert_eq!(read(&twice), Err(ReportErrorKind::Malformed));
}

#[test]
fn messages_of_other_channels_and_short_codes_are_skipped() {
    for from in ["whatsapp:+31612345678", "rcs:brand", "1008", "Contoso"] {
        let pairs = [("SmsStatus", "received"), ("From", from), ("Body", "STOP")];
        assert_eq!(read(&pairs), Ok(Vec::new()), "{from}");
    }
}

#[test]
fn nothing_is_texted_back_to_the_phone() {
    let parser = TwilioInbound.parser();
    assert_eq!(parser.reply(&Ok(Vec::new())), (200, ""));
    assert_eq!(parser.reply(&Err(ReportError::malformed("x"))), (200, ""));
    assert_eq!(parser.reply(&Err(ReportError::forged("x"))), (401, ""));
}

mod conformance {
    postduif_testkit::inbound_conformance!(super::TwilioInbound);
}
