use std::sync::Arc;

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, InboundMessage, InboundParser, ReportError, ReportOptions,
    ReportParser as _, ReportRequest,
};
use postduif_http::vendor::{
    reports::{self, Entry, entries, inbound, read_each, receiver, utc_time},
    text,
};
use secrecy::SecretString;
use serde_json::Value;

use crate::reports::{CmReports, holds_a_report, is_report_by_get, json};

/// Parser for what people send to numbers at CM. CM does not sign it, so a secret in the URL is the only proof.
///
/// The secret is the last segment of the path, as in `https://sms.example.com/inbound/cm/SECRET`. The URL is a webhook of
/// the account, set in CM's Channels app. CM repeats a message every five minutes, for up to a month, until the response
/// is 200.
///
/// CM gives no id: a repeat has the same sender, text and time. The channel is SMS; messages of other channels are
/// skipped. The older, flat form of the same webhook is read too.
#[derive(Debug)]
pub struct CmInbound(CmReports);

impl CmInbound {
    /// Creates a parser that accepts messages with any of these secrets, as [`CmReports::new`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`CmReports::new`].
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        CmReports::new(secrets).map(Self)
    }
}

/// Creates a parser for what people send to numbers at CM, chosen at run time.
///
/// # Errors
///
/// Returns the errors of [`CmInbound::new`], or an error if the options name an API, since CM has only one.
pub fn inbound_parser(options: ReportOptions) -> Result<Arc<dyn InboundParser>, ConfigError> {
    reports::one_api(&options)?;
    Ok(Arc::new(CmInbound::new(options.into_secrets())?))
}

impl InboundParser for CmInbound {
    fn authenticity(&self) -> Authenticity {
        self.0.authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        _: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        self.0.verify(request)?;
        if is_report_by_get(request)? {
            return Ok(Vec::new());
        }
        let body = json(request)?;
        read_each(entries(&body), "the request has no inbound text", |entry| {
            if holds_a_report(entry) {
                Entry::Other
            } else {
                message(entry)
            }
        })
    }
}

/// Returns whether an entry is an inbound text, in either form.
pub(crate) fn is_inbound(entry: &Value) -> bool {
    text(number(&entry["from"])).is_some()
        && (entry["message"].is_object() || entry["body"].is_string())
}

fn message(entry: &Value) -> Entry<InboundMessage> {
    if !is_inbound(entry) {
        return Entry::Unreadable;
    }
    let channel = text(&entry["channel"]);
    if channel.is_some_and(|channel| !channel.eq_ignore_ascii_case("SMS")) {
        return Entry::Other;
    }
    let content = if entry["message"].is_object() {
        &entry["message"]["text"]
    } else {
        &entry["body"]
    };
    inbound("cm", number(&entry["from"]), content).map(|mut message| {
        message.to = receiver(number(&entry["to"]));
        message.in_reply_to = text(&entry["reference"]).and_then(|text| text.parse().ok());
        message.at = utc_time(&entry["timeUtc"]);
        message
    })
}

/// Returns the number of a sender or a receiver, which is an object, or in the older form the number itself.
fn number(value: &Value) -> &Value {
    value.get("number").unwrap_or(value)
}
