use std::sync::Arc;

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, InboundMessage, InboundParser, ReportError, ReportOptions,
    ReportParser as _, ReportRequest,
};
use postduif_http::vendor::{
    reports::{self, Entry, entries, inbound, message_id, read_each, receiver, utc_time},
    text,
};
use secrecy::SecretString;
use serde_json::Value;

use crate::reports::{KpnReports, is_report};

/// Parser for what people send to numbers at KPN, signed over the body as the reports of [`KpnReports`] are.
///
/// The URL is the webhook of the project, the team or the application, and the signing key is that of delivery reports.
/// The signature does not cover the URL.
#[derive(Debug)]
pub struct KpnInbound(KpnReports);

impl KpnInbound {
    /// Creates a parser that accepts messages signed with any of these secrets, as [`KpnReports::new`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`KpnReports::new`].
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        KpnReports::new(secrets).map(Self)
    }
}

/// Creates a parser for what people send to numbers at KPN, chosen at run time.
///
/// # Errors
///
/// Returns the errors of [`KpnInbound::new`], or an error if the options name an API, since KPN has only one.
pub fn inbound_parser(options: ReportOptions) -> Result<Arc<dyn InboundParser>, ConfigError> {
    reports::one_api(&options)?;
    Ok(Arc::new(KpnInbound::new(options.into_secrets())?))
}

impl InboundParser for KpnInbound {
    fn authenticity(&self) -> Authenticity {
        self.0.authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        self.0.verify(request, now)?;
        let body = reports::json(request)?;
        read_each(entries(&body), "the request has no inbound text", |entry| {
            if is_report(entry) {
                Entry::Other
            } else {
                message(entry)
            }
        })
    }
}

/// Returns whether an entry is an inbound text. KPN documents all of its members as required.
pub(crate) fn is_inbound(entry: &Value) -> bool {
    text(&entry["sender"]).is_some() && entry["content"].is_string()
}

fn message(entry: &Value) -> Entry<InboundMessage> {
    if !is_inbound(entry) {
        return Entry::Unreadable;
    }
    inbound("kpn", &entry["sender"], &entry["content"]).map(|mut message| {
        message.id = message_id(&entry["message_id"]);
        message.to = receiver(&entry["recipient"]);
        message.at = utc_time(&entry["timestamp_utc"]);
        message
    })
}
