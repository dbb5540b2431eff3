use std::sync::Arc;

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, InboundMessage, InboundParser, ReportError, ReportOptions,
    ReportParser as _, ReportRequest,
};
use postduif_http::vendor::{
    reports::{self, Entry, inbound, message_id, receiver, time},
    text,
};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::reports::{WebhookReports, member};

/// Parser for what people send to a gateway of your own, signed as the reports of [`WebhookReports`] are.
///
/// The gateway POSTs one message a request. `from` and `text` are required:
///
/// ```json
/// {
///     "from": "+31612345678",
///     "text": "Stop",
///     "to": "+31970102030",
///     "id": "1c2d3e4f",
///     "at": "2026-12-24T08:30:07Z",
///     "in_reply_to": "01J9Z8Q4T6M2V7X3",
///     "opt_out": "stop"
/// }
/// ```
///
/// | member | what it holds |
/// |---|---|
/// | `from` | the person who sent it |
/// | `text` | the whole text, which may be empty |
/// | `to` | your number or short code |
/// | `id` | the gateway's id of this message |
/// | `at` | when it was received: RFC 3339 with its zone |
/// | `in_reply_to` | the reference of the message that it answers |
/// | `opt_out` | `stop` or `start`, if the gateway has registered an opt-out or an opt-in itself |
#[derive(Debug)]
pub struct WebhookInbound(WebhookReports);

impl WebhookInbound {
    /// Creates a parser that accepts messages signed with any of these secrets, as [`WebhookReports::new`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`WebhookReports::new`].
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        WebhookReports::new(secrets).map(Self)
    }
}

/// Creates a parser for what people send to a gateway, chosen at run time.
///
/// # Errors
///
/// Returns the errors of [`WebhookInbound::new`], or an error if the options name an API, since there is only one.
pub fn inbound_parser(options: ReportOptions) -> Result<Arc<dyn InboundParser>, ConfigError> {
    reports::one_api(&options)?;
    Ok(Arc::new(WebhookInbound::new(options.into_secrets())?))
}

impl InboundParser for WebhookInbound {
    fn authenticity(&self) -> Authenticity {
        self.0.authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        let body = self.0.verified(request, now)?;
        let read = if text(member(&body, "status")).is_some() {
            Entry::Other
        } else {
            message(&body)
        };
        read.into_result("the message needs from and text")
    }
}

/// Returns whether a body is an inbound text.
pub(crate) fn is_inbound(body: &Map<String, Value>) -> bool {
    text(member(body, "from")).is_some() && member(body, "text").is_string()
}

fn message(body: &Map<String, Value>) -> Entry<InboundMessage> {
    if !is_inbound(body) {
        return Entry::Unreadable;
    }
    inbound("webhook", member(body, "from"), member(body, "text")).map(|mut message| {
        message.id = message_id(member(body, "id"));
        message.to = receiver(member(body, "to"));
        message.at = time(member(body, "at"));
        message.in_reply_to =
            text(member(body, "in_reply_to")).and_then(|reference| reference.parse().ok());
        message.opt_out = text(member(body, "opt_out")).and_then(|word| word.parse().ok());
        message
    })
}
