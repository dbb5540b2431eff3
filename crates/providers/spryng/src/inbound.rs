use std::sync::Arc;

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, InboundMessage, InboundParser, OptOut, ReportError, ReportOptions,
    ReportParser as _, ReportRequest,
};
use postduif_http::vendor::reports::{
    Entry, api, inbound, message_id, one_signature_method, read_each, receiver, time,
};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::{
    Api, member, plain,
    reports::{PROVIDER, SpryngReports, is_inbound, v2_body, v2_messages},
};

/// Parser for what people send to numbers at Spryng, version 2. Spryng does not sign it, so a secret is the only proof,
/// as for [`SpryngReports`].
///
/// Subscribe to the events `message-received` and `inbound-opted-out`. The latter is an opt-out that Spryng registers
/// itself: it has no text and no id. Spryng tells its id of the last message to the same person, which need not be the
/// one that the text answers.
///
/// For version 1 no inbound call is documented.
#[derive(Debug)]
pub struct SpryngInbound(SpryngReports);

impl SpryngInbound {
    /// Creates a parser that accepts messages with any of these secrets, as [`SpryngReports::new`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`SpryngReports::new`].
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        SpryngReports::new(secrets).map(Self)
    }
}

/// Creates a parser for what people send to numbers at Spryng, chosen at run time.
///
/// # Errors
///
/// Returns the errors of [`SpryngInbound::new`]; an error for the API `v1`, for which no inbound call is documented; and
/// an error if there is no such API.
pub fn inbound_parser(options: ReportOptions) -> Result<Arc<dyn InboundParser>, ConfigError> {
    one_signature_method(&options)?;
    match api(&options)?.unwrap_or_default() {
        Api::V1 => Err(ConfigError::new(
            "invalid API: Spryng documents no inbound texts for v1; expected v2",
        )),
        Api::V2 => Ok(Arc::new(SpryngInbound::new(options.into_secrets())?)),
    }
}

impl InboundParser for SpryngInbound {
    fn authenticity(&self) -> Authenticity {
        self.0.authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        _: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        self.0.verify(request)?;
        let body = v2_body(request)?;
        match v2_messages(&body)? {
            None => opt_out(&body).into_result("the opt-out has no number"),
            Some(_) if !is_sms(&body) => Ok(Vec::new()),
            Some(messages) => read_each(messages, "no message has a status", |entry| {
                entry.as_object().map_or(Entry::Unreadable, message)
            }),
        }
    }
}

/// Reads an opt-out that Spryng registered. Other events of the account have no `ActionPerformedBy`.
fn opt_out(event: &Map<String, Value>) -> Entry<InboundMessage> {
    if member(event, "actionperformedby").is_none() || !is_sms(event) {
        return Entry::Other;
    }
    let address = member(event, "address").map_or(Value::Null, Value::String);
    inbound(PROVIDER, &address, &Value::Null).map(|mut message| {
        message.opt_out = Some(OptOut::Stop);
        message
    })
}

fn message(entry: &Map<String, Value>) -> Entry<InboundMessage> {
    match is_inbound(entry) {
        None => return Entry::Unreadable,
        Some(true) => {}
        Some(false) => return Entry::Other,
    }
    let field = |name| member(entry, name).map_or(Value::Null, Value::String);
    // Unlike `member`, unchanged.
    let body = entry
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("body"))
        .map_or(&Value::Null, |(_, body)| body);
    // For an inbound text the MSISDN is the person, and the originator the number that it was sent to.
    inbound(PROVIDER, &field("msisdn"), body).map(|mut message| {
        message.id = message_id(&field("messageid"));
        message.to = receiver(&field("originator"));
        message.in_reply_to_id = message_id(&field("mostrecentoutboundmessageid"));
        message.at = time(&field("occurredattime"));
        message
    })
}

fn is_sms(event: &Map<String, Value>) -> bool {
    member(event, "channel").is_none_or(|channel| plain(&channel) == "sms")
}
