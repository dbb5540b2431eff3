use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportOptions,
    ReportParser, ReportRequest,
};
use postduif_http::vendor::{
    reports::{
        self, Entry, SigningSecrets, check_time, code, entries, message_id, proof_header,
        read_each, recipient, status,
    },
    text,
};
use secrecy::SecretString;
use serde_json::Value;

/// The longer of the two windows that public receivers use. How Smstools repeats a report, and whether it then signs it
/// again, is not documented. A replayed report only repeats what it reported before.
const WINDOW: Duration = Duration::from_secs(900);

/// Parser for Smstools' delivery reports, which are signed over the time and the body.
///
/// Create the webhook for the account in the dashboard, with the method `POST` and the type `delivery_report`; Smstools
/// then shows its secret. A webhook of an older account may not sign: create it again. Two reports for a message are
/// normal, and may arrive out of order: do not replace a final status by one that is not.
#[derive(Debug)]
pub struct SmstoolsReports(SigningSecrets);

impl SmstoolsReports {
    /// Creates a parser that accepts reports signed with any of these secrets: several while one is being replaced.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no secret, or one is blank.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        let missing = "invalid secret for Smstools' reports: expected the secret of the webhook";
        SigningSecrets::new(secrets, missing).map(Self)
    }

    /// Verifies a request and returns its body.
    pub(crate) fn verified(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Value, ReportError> {
        self.verify(request, now)?;
        if request.method() != "POST" {
            return Err(ReportError::malformed(
                "invalid method: expected POST, which is an option of the webhook",
            ));
        }
        reports::json(request)
    }

    fn verify(&self, request: &ReportRequest<'_>, now: DateTime<Utc>) -> Result<(), ReportError> {
        let signature = proof_header(request, "x-smstools-signature")?;
        let (signed_at, tag) = part(signature, "t")
            .zip(part(signature, "v1"))
            .ok_or(ReportError::forged("invalid signature: expected t=…,v1=…"))?;
        let signed = [signed_at.as_bytes(), b".", request.body()].concat();
        self.0.verify_hmac_sha256(&signed, tag)?;
        let stamp = request.header("x-smstools-timestamp")?;
        if stamp.is_some_and(|stamp| stamp.trim() != signed_at) {
            return Err(ReportError::forged(
                "the request is not signed with our secret",
            ));
        }
        check_time(signed_at, now, WINDOW)
    }
}

/// Returns a part of a signature. `None` if it is missing, or a duplicate: which of the two counts is open.
fn part<'a>(signature: &'a str, name: &str) -> Option<&'a str> {
    let mut values = signature
        .split(',')
        .filter_map(|part| part.trim().split_once('='))
        .filter(|(known, _)| *known == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

/// Creates a parser for Smstools' reports, chosen at run time.
///
/// # Errors
///
/// Returns the errors of [`SmstoolsReports::new`], or an error if the options name an API, since Smstools has only one.
pub fn report_parser(options: ReportOptions) -> Result<Arc<dyn ReportParser>, ConfigError> {
    reports::one_api(&options)?;
    Ok(Arc::new(SmstoolsReports::new(options.into_secrets())?))
}

impl ReportParser for SmstoolsReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Signed
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        let body = self.verified(request, now)?;
        read_each(
            entries(&body),
            "the request has no status of a message",
            |entry| match kind(entry) {
                None | Some("delivery_report") => report(&entry["message"]).into(),
                // A webhook may receive other events too, such as inbound texts.
                Some(_) => Entry::Other,
            },
        )
    }
}

/// Returns the type of an entry. `None` if it has none: `null` or blank.
pub(crate) fn kind(entry: &Value) -> Option<&str> {
    match entry.get("webhook_type") {
        None | Some(Value::Null) => None,
        Some(Value::String(kind)) => Some(kind.trim()).filter(|kind| !kind.is_empty()),
        Some(_) => Some("unknown"),
    }
}

/// Reads the message of an entry. `None` if it has no status.
pub(crate) fn report(message: &Value) -> Option<DeliveryReport> {
    let status = status(STATUSES, &text(&message["delivery_code"])?);
    let mut report = DeliveryReport::new("smstools", status)
        .with_reference_text(&text(&message["reference"]).unwrap_or_default());
    report.id = message_id(&message["messageid"]);
    report.recipient = recipient(&message["receiver"]);
    // 10 means an unknown number, 11 one out of range. The meanings of the others are not available.
    report.code = code(&message["delivery_code_detail"], 4);
    // Smstools' times are left out: they have no zone, and it is not documented.
    Some(report)
}

/// Smstools' status codes. 9 means that no report will follow, which is not a failure.
static STATUSES: &[(&str, DeliveryStatus)] = &[
    ("0", DeliveryStatus::Sent),
    ("1", DeliveryStatus::Delivered),
    ("2", DeliveryStatus::Failed),
    ("3", DeliveryStatus::Buffered),
    ("4", DeliveryStatus::Rejected),
    ("5", DeliveryStatus::Rejected),
    ("9", DeliveryStatus::Unknown),
];
