use std::sync::Arc;

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind,
    ReportOptions, ReportParser, ReportRequest,
};
use postduif_http::vendor::reports::{
    self, SigningSecrets, message_id, nonzero_code, query_parameter, recipient,
};
use secrecy::SecretString;
use serde_json::Value;

use crate::{inbound::is_inbound, signed::Fields};

/// Parser of Twilio's status callbacks: signed over the URL and every parameter, with the auth token or with the secret
/// of a shared key.
///
/// The URL of the request must be the one that Twilio received from the account, character for character: its origin is
/// configured, and its path and query are as received. Twilio signs no time, so a replayed callback is accepted again.
/// Statuses can arrive in the wrong order; [`Delivery`](postduif_core::Delivery) keeps the final one.
#[derive(Debug)]
pub struct TwilioReports(SigningSecrets);

impl TwilioReports {
    /// Creates a parser that accepts a signature by any of these secrets: the auth token of the account or the
    /// subaccount, and the secrets of shared keys; several while one is being replaced.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no secret, or one is blank.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        let missing = "Twilio signs its reports: the account's auth token is missing, which an API key cannot replace";
        SigningSecrets::new(secrets, missing).map(Self)
    }

    pub(crate) fn verified(&self, request: &ReportRequest<'_>) -> Result<Fields, ReportError> {
        Fields::verified(request, self.0.as_slice())
    }
}

/// Creates a parser of Twilio's status callbacks, chosen at run time.
///
/// # Errors
///
/// Returns the errors of [`TwilioReports::new`], and an error if the options name an API or a signature method: Twilio
/// has one API, and its request names the method.
pub fn report_parser(options: ReportOptions) -> Result<Arc<dyn ReportParser>, ConfigError> {
    reports::one_api(&options)?;
    Ok(Arc::new(TwilioReports::new(options.into_secrets())?))
}

impl ReportParser for TwilioReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Signed
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        _: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        let fields = self.verified(request)?;
        if is_inbound(&fields)? {
            return Ok(Vec::new());
        }
        let status = fields
            .status()?
            .ok_or(ReportError::malformed("the report has no status"))?;
        Ok(vec![report(&fields, status, request.url())?])
    }

    /// Returns no body: if incoming texts are reported to the same URL, Twilio sends a plain text body back to the phone.
    fn reply(&self, result: &Result<Vec<DeliveryReport>, ReportError>) -> (u16, &'static str) {
        reply(result)
    }
}

pub(crate) fn reply<T>(result: &Result<Vec<T>, ReportError>) -> (u16, &'static str) {
    match result {
        Err(error) if error.kind() != ReportErrorKind::Malformed => (401, ""),
        _ => (200, ""),
    }
}

fn report(fields: &Fields, status: &str, url: &str) -> Result<DeliveryReport, ReportError> {
    let value = |name| Ok(fields.text(name)?.map_or(Value::Null, Value::from));
    let reference = query_parameter(url, "reference")?.unwrap_or_default();
    let mut report = DeliveryReport::new("twilio", reports::status(STATUSES, status))
        .with_reference_text(&reference);
    report.id = message_id(&match value("MessageSid")? {
        Value::Null => value("SmsSid")?,
        id => id,
    });
    let to = fields.text("To")?.unwrap_or_default();
    report.recipient = recipient(&to.strip_prefix("whatsapp:").unwrap_or(to).into());
    report.code = nonzero_code(&value("ErrorCode")?, 6);
    if report.status == DeliveryStatus::Failed && report.code.as_deref() == Some(VALIDITY_OVER) {
        report.status = DeliveryStatus::Expired;
    }
    // `RawDlrDoneDate` has no time zone.
    Ok(report)
}

const VALIDITY_OVER: &str = "30036";

/// Twilio's statuses. For `partially_delivered` a part failed, which makes the message failed.
static STATUSES: &[(&str, DeliveryStatus)] = &[
    ("accepted", DeliveryStatus::Sent),
    ("canceled", DeliveryStatus::Rejected),
    ("delivered", DeliveryStatus::Delivered),
    ("failed", DeliveryStatus::Failed),
    ("partially_delivered", DeliveryStatus::Failed),
    ("queued", DeliveryStatus::Sent),
    ("read", DeliveryStatus::Delivered),
    ("scheduled", DeliveryStatus::Sent),
    ("sending", DeliveryStatus::Sent),
    ("sent", DeliveryStatus::Sent),
    ("undelivered", DeliveryStatus::Failed),
];
