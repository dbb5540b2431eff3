use std::sync::Arc;

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, InboundMessage, InboundParser, ReportError, ReportOptions,
    ReportParser as _, ReportRequest,
};
use postduif_http::vendor::{
    reports::{self, Entry, entries, inbound, message_id, read_each, receiver},
    text,
};
use secrecy::SecretString;
use serde_json::Value;

use crate::reports::{SmstoolsReports, kind, report};

/// Parser for what people send to numbers at Smstools, signed over the time and the body.
///
/// Create the webhook with the method `POST` and the type `inbox_message`; its secret is its own. One webhook may also
/// have several types. Smstools' times have no documented zone, so a message has no time.
#[derive(Debug)]
pub struct SmstoolsInbound(SmstoolsReports);

impl SmstoolsInbound {
    /// Creates a parser that accepts messages signed with any of these secrets, as [`SmstoolsReports::new`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`SmstoolsReports::new`].
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        SmstoolsReports::new(secrets).map(Self)
    }
}

/// Creates a parser for what people send to numbers at Smstools, chosen at run time.
///
/// # Errors
///
/// Returns the errors of [`SmstoolsInbound::new`], or an error if the options name an API, since Smstools has only one.
pub fn inbound_parser(options: ReportOptions) -> Result<Arc<dyn InboundParser>, ConfigError> {
    reports::one_api(&options)?;
    Ok(Arc::new(SmstoolsInbound::new(options.into_secrets())?))
}

impl InboundParser for SmstoolsInbound {
    fn authenticity(&self) -> Authenticity {
        self.0.authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        let body = self.0.verified(request, now)?;
        read_each(entries(&body), "the request has no inbound text", message)
    }
}

/// The type of an inbound text, and the one in a test of a public receiver.
const TYPES: [&str; 2] = ["inbox_message", "incoming_message"];

fn message(entry: &Value) -> Entry<InboundMessage> {
    match kind(entry) {
        // Without a type, a text and the report of one differ in their status only.
        None if report(&entry["message"]).is_none() => return Entry::Unreadable,
        Some(kind) if TYPES.contains(&kind) => {}
        _ => return Entry::Other,
    }
    let message = &entry["message"];
    if text(&message["sender"]).is_none() || !message["content"].is_string() {
        return Entry::Unreadable;
    }
    inbound("smstools", &message["sender"], &message["content"]).map(|mut read| {
        read.id = message_id(&message["messageid"]);
        read.to = receiver(&message["receiver"]);
        read
    })
}
