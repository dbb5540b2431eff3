use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, InboundMessage, InboundParser, InboundPart, ReportError,
    ReportOptions, ReportParser as _, ReportRequest,
};
use postduif_http::vendor::{
    reports::{Entry, api, inbound, json, message_id, one_signature_method, receiver, utc_time},
    text,
};
use secrecy::SecretString;
use serde_json::Value;

use crate::{
    Api, SignatureMethod, VonageReports, VonageSmsReports,
    receipts::Fields,
    reports::{at, reply},
};

/// Parser for what people send to numbers at Vonage, for accounts and applications on the Messages API. It is verified
/// as the webhooks of [`VonageReports`] are.
///
/// Vonage joins the parts of a long text. Messages of other channels than SMS are skipped. An unsigned request is
/// answered with a 503, after which Vonage sends it again, signed.
#[derive(Debug)]
pub struct VonageInbound(VonageReports);

impl VonageInbound {
    /// Creates a parser that accepts messages signed with any of these secrets, as [`VonageReports::new`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`VonageReports::new`].
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        VonageReports::new(secrets).map(Self)
    }

    /// Sets the tolerance for the time of the signature. Defaults to 300 seconds.
    #[must_use]
    pub fn with_window(self, window: Duration) -> Self {
        Self(self.0.with_window(window))
    }
}

impl InboundParser for VonageInbound {
    fn authenticity(&self) -> Authenticity {
        self.0.authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        self.0.verify(request, now)?;
        let body = json(request)?;
        let read = if text(&body["status"]).is_some() {
            Entry::Other
        } else {
            message(&body)
        };
        read.into_result("the request has no inbound text")
    }

    /// 503 for what is unsigned or too old: Vonage sends it again, signed.
    fn reply(&self, result: &Result<Vec<InboundMessage>, ReportError>) -> (u16, &'static str) {
        reply(result)
    }
}

/// Returns whether the body of a webhook is an inbound message of any channel.
pub(crate) fn is_inbound(body: &Value) -> bool {
    text(&body["message_uuid"]).is_some()
        && text(&body["from"]).is_some()
        && (body["text"].is_string() || body["message_type"].is_string())
}

fn message(body: &Value) -> Entry<InboundMessage> {
    if !is_inbound(body) {
        return Entry::Unreadable;
    }
    if text(&body["channel"]).is_some_and(|channel| channel != "sms") {
        return Entry::Other;
    }
    inbound("vonage", &body["from"], &body["text"]).map(|mut message| {
        message.id = message_id(&body["message_uuid"]);
        message.to = receiver(&body["to"]);
        message.at = at(&body["timestamp"]);
        message
    })
}

/// Parser for what people send to numbers at Vonage, for accounts on the SMS API. It is verified as the receipts of
/// [`VonageSmsReports`] are.
///
/// Vonage delivers the [parts](InboundMessage::part) of a long text separately, and the parser does not join them.
/// Binary messages are skipped. The time is that at which Vonage sent the request.
#[derive(Debug)]
pub struct VonageSmsInbound(VonageSmsReports);

impl VonageSmsInbound {
    /// Creates a parser that accepts messages signed with any of these secrets, by this method only, as
    /// [`VonageSmsReports::new`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`VonageSmsReports::new`].
    pub fn new(secrets: Vec<SecretString>, method: SignatureMethod) -> Result<Self, ConfigError> {
        VonageSmsReports::new(secrets, method).map(Self)
    }

    /// Sets the tolerance for the time of the signature. Defaults to 300 seconds.
    #[must_use]
    pub fn with_window(self, window: Duration) -> Self {
        Self(self.0.with_window(window))
    }
}

impl InboundParser for VonageSmsInbound {
    fn authenticity(&self) -> Authenticity {
        self.0.authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        let Some(fields) = self.0.verified(request, now)? else {
            return Ok(Vec::new());
        };
        let read = if fields.has_status() {
            Entry::Other
        } else {
            sms_message(&fields)
        };
        read.into_result("the request has no inbound text")
    }
}

/// Returns whether the parameters are those of an inbound message, of any type.
pub(crate) fn is_sms_inbound(fields: &Fields) -> bool {
    fields.text("msisdn").is_some()
        && ["text", "keyword", "type"]
            .iter()
            .any(|name| fields.text(name).is_some())
}

fn sms_message(fields: &Fields) -> Entry<InboundMessage> {
    if !is_sms_inbound(fields) {
        return Entry::Unreadable;
    }
    if fields.text("type") == Some("binary") {
        return Entry::Other;
    }
    let part = match part(fields) {
        Ok(part) => part,
        Err(Unreadable) => return Entry::Unreadable,
    };
    let field = |name| fields.text(name).map_or(Value::Null, Value::from);
    inbound("vonage", &field("msisdn"), &field("text")).map(|mut message| {
        message.id = message_id(&field("messageId"));
        message.to = receiver(&field("to"));
        message.part = part;
        message.at = utc_time(&field("message-timestamp"));
        message
    })
}

/// A part whose place is missing: as a whole text, it might be taken for an opt-out.
struct Unreadable;

fn part(fields: &Fields) -> Result<Option<InboundPart>, Unreadable> {
    const NAMES: [&str; 4] = ["concat", "concat-ref", "concat-part", "concat-total"];
    let [concat, reference, index, total] = NAMES.map(|name| fields.text(name));
    let is_whole = concat.is_none_or(|concat| concat.eq_ignore_ascii_case("false"));
    if is_whole && [reference, index, total].iter().all(Option::is_none) {
        return Ok(None);
    }
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok());
    let part = reference
        .zip(number(index))
        .zip(number(total))
        .and_then(|((reference, index), total)| InboundPart::new(reference, index, total));
    part.map(Some).ok_or(Unreadable)
}

/// Creates a parser for what people send to numbers at Vonage, chosen at run time: of the API `messages` (default) or
/// `sms`, with the signature methods of [`report_parser`](crate::report_parser).
///
/// # Errors
///
/// Returns an error if there is no such API or method, or no secret.
pub fn inbound_parser(options: ReportOptions) -> Result<Arc<dyn InboundParser>, ConfigError> {
    match api(&options)?.unwrap_or_default() {
        Api::Messages => {
            one_signature_method(&options)?;
            Ok(Arc::new(VonageInbound::new(options.into_secrets())?))
        }
        Api::Sms => {
            let method = SignatureMethod::of(&options)?;
            Ok(Arc::new(VonageSmsInbound::new(
                options.into_secrets(),
                method,
            )?))
        }
    }
}
