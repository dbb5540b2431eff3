//! What people send to numbers, for each API.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, InboundMessage, InboundParser, OptOut, ReportError, ReportOptions,
    ReportParser as _, ReportRequest,
};
use postduif_http::vendor::{
    reports::{Entry, inbound, json, message_id, query_parameter, receiver, time},
    text,
};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::{
    Api, PROVIDER,
    reports::{ChannelsReports, ClassicReports, PlatformReports, api_of},
};

/// Creates a parser for what people send to the vendor's numbers, chosen at run time: of the API `platform`, `classic`
/// or `channels`. Defaults as [`report_parser`](crate::report_parser) does.
///
/// # Errors
///
/// Returns an error if there is no such API, or no secret.
pub fn inbound_parser(options: ReportOptions) -> Result<Arc<dyn InboundParser>, ConfigError> {
    let api = api_of(&options)?;
    let secrets = options.into_secrets();
    Ok(match api {
        Api::Channels => Arc::new(ChannelsInbound::new(secrets)?),
        Api::Classic => Arc::new(ClassicInbound::new(secrets)?),
        Api::Platform => Arc::new(PlatformInbound::new(secrets)?),
    })
}

/// Parser for what people send to numbers on the platform, signed over id, time and body as the events of
/// [`PlatformReports`] are.
///
/// Subscribe to the events `sms.received` and `sms_suppression.created`. The latter is an opt-out that the vendor
/// registers itself, also one by hand: it has no text. It stops one sender of yours only, which is
/// [`to`](InboundMessage::to).
#[derive(Debug)]
pub struct PlatformInbound(PlatformReports);

impl PlatformInbound {
    /// Creates a parser that accepts messages signed with any of these secrets, as [`PlatformReports::new`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`PlatformReports::new`].
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        PlatformReports::new(secrets).map(Self)
    }
}

impl InboundParser for PlatformInbound {
    fn authenticity(&self) -> Authenticity {
        self.0.authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        self.0.verify(request, now)?;
        let event = json(request)?;
        platform_message(&event).into_result(UNREADABLE)
    }
}

fn platform_message(event: &Value) -> Entry<InboundMessage> {
    let data = &event["data"];
    let read = match event["type"].as_str() {
        None => Entry::Unreadable,
        // An event without data is that of a test, which has a type only.
        Some("sms.received" | "sms_suppression.created") if data.is_null() => Entry::Other,
        Some("sms.received") => {
            inbound(PROVIDER, &data["from"], &data["text"]).map(|mut message| {
                message.id = message_id(&data["sms_id"]);
                message.to = receiver(&data["to"]);
                message.in_reply_to_id = message_id(&data["in_reply_to_message"]["id"]);
                message
            })
        }
        Some("sms_suppression.created") => inbound(PROVIDER, &data["destination"], &Value::Null)
            .map(|mut message| {
                message.id = message_id(&data["suppression_id"]);
                message.to = receiver(&data["originator"]);
                message.opt_out = Some(OptOut::Stop);
                message
            }),
        Some(_) => Entry::Other,
    };
    read.map(|mut message| {
        message.at = time(&event["timestamp"]);
        message
    })
}

/// Parser for what people send to numbers on channels, signed over URL, body and time as the reports of
/// [`ChannelsReports`] are.
///
/// Create a subscription to `sms.inbound` of the service `channels`, with your own signing key. A repeat keeps its first
/// time, so a signature is valid for a day: take each id once.
#[derive(Debug)]
pub struct ChannelsInbound(ChannelsReports);

impl ChannelsInbound {
    /// Creates a parser that accepts messages signed with any of these keys, as [`ChannelsReports::new`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`ChannelsReports::new`].
    pub fn new(signing_keys: Vec<SecretString>) -> Result<Self, ConfigError> {
        ChannelsReports::new(signing_keys).map(Self)
    }
}

impl InboundParser for ChannelsInbound {
    fn authenticity(&self) -> Authenticity {
        self.0.authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        self.0.verify(request, now)?;
        let event = json(request)?;
        let read = match event["event"].as_str() {
            None => Entry::Unreadable,
            Some("sms.inbound") => channels_message(&event["payload"]),
            Some(_) => Entry::Other,
        };
        read.into_result(UNREADABLE)
    }
}

fn channels_message(payload: &Value) -> Entry<InboundMessage> {
    let sender = &payload["sender"]["contact"]["identifierValue"];
    inbound(PROVIDER, sender, &payload["body"]["text"]["text"]).map(|mut message| {
        message.id = message_id(&payload["id"]);
        // The vendor's sample names the channel by an id only, a sample of another channel by its number too.
        message.to = receiver(&payload["receiver"]["connector"]["identifierValue"]);
        message.at = time(&payload["createdAt"]);
        message
    })
}

/// Parser for what people send to classic's numbers, signed over URL, body and time as the reports of
/// [`ClassicReports`] are.
///
/// Let the flow of the number forward texts to your URL, as a form or as JSON. The vendor's page on it was not available:
/// the members are those that a public receiver reads.
#[derive(Debug)]
pub struct ClassicInbound(ClassicReports);

impl ClassicInbound {
    /// Creates a parser that accepts messages signed with any of these keys, as [`ClassicReports::new`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`ClassicReports::new`].
    pub fn new(signing_keys: Vec<SecretString>) -> Result<Self, ConfigError> {
        ClassicReports::new(signing_keys).map(Self)
    }
}

impl InboundParser for ClassicInbound {
    fn authenticity(&self) -> Authenticity {
        self.0.authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        self.0.verify(request, now)?;
        classic_message(&ClassicFields::of(request)?)?.into_result(UNREADABLE)
    }
}

fn classic_message(fields: &ClassicFields<'_>) -> Result<Entry<InboundMessage>, ReportError> {
    if text(&fields.get("status")?).is_some() {
        return Ok(Entry::Other);
    }
    let (short_code, message) = (fields.get("shortcode")?, fields.get("message")?);
    let (id, content) = if text(&short_code).is_some() {
        (fields.get("mid")?, message)
    } else {
        let body = fields.get("body")?;
        (
            fields.get("id")?,
            if body.is_null() { message } else { body },
        )
    };
    let to = match text(&short_code) {
        Some(_) => short_code,
        None => fields.get("recipient")?,
    };
    // The plus of the zone may not be encoded, and is then decoded as a space. A short code's time has no zone.
    let at = text(&fields.get("createdDatetime")?).unwrap_or_default();
    let read = inbound(PROVIDER, &fields.get("originator")?, &content);
    Ok(read.map(|mut message| {
        message.id = message_id(&id);
        message.to = receiver(&to);
        message.at = time(&at.replace(' ', "+").into());
        message
    }))
}

/// Returns whether a request of classic is an inbound text.
pub(crate) fn is_classic_inbound(request: &ReportRequest<'_>) -> Result<bool, ReportError> {
    let fields = ClassicFields::of(request)?;
    let has = |name| fields.get(name).map(|value| !value.is_null());
    Ok(has("originator")? && (has("body")? || has("message")?))
}

/// The members of a JSON body, or the parameters of a form or a query.
enum ClassicFields<'r> {
    Json(Map<String, Value>),
    Form(String),
    Query(&'r str),
}

impl<'r> ClassicFields<'r> {
    fn of(request: &'r ReportRequest<'_>) -> Result<Self, ReportError> {
        let body = str::from_utf8(request.body())
            .map_err(|_| ReportError::malformed("the request is not text"))?;
        match body.trim_start().chars().next() {
            None => Ok(Self::Query(request.url())),
            Some('{') => serde_json::from_str(body)
                .map(Self::Json)
                .map_err(|_| ReportError::malformed("the request is not a JSON object")),
            Some(_) => Ok(Self::Form(format!("?{body}"))),
        }
    }

    /// Returns a value, or `null` if there is none.
    fn get(&self, name: &str) -> Result<Value, ReportError> {
        match self {
            Self::Json(members) => Ok(members.get(name).cloned().unwrap_or_default()),
            Self::Form(form) => query_parameter(form, name).map(Value::from),
            Self::Query(url) => query_parameter(url, name).map(Value::from),
        }
    }
}

const UNREADABLE: &str = "the request has no inbound text";
