use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportParser,
    ReportRequest,
};
use postduif_http::vendor::{
    WebhookSecrets, price,
    reports::{message_id, nonzero_code, recipient, status, time},
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::MAX_CODE;
use crate::PROVIDER;

/// Parser for the platform's delivery reports, which are signed over id, time and body by
/// [Standard Webhooks](https://www.standardwebhooks.com).
///
/// The signature does not cover the URL. `webhook-id` identifies duplicates; a replayed report only repeats what it
/// reported before. Events of other kinds, such as inbound texts, have no report. A request has one event; the first 16
/// signatures of its header are tried.
#[derive(Debug)]
pub struct PlatformReports(WebhookSecrets);

impl PlatformReports {
    /// Creates a parser that accepts reports signed with any of these secrets, `whsec_…`. An endpoint has up to five;
    /// after a rotation, the older one also signs for a day.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no secret, or one is not `whsec_` and base64.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        let missing =
            "invalid secret for the platform's reports: expected the endpoint's, whsec_ and base64";
        WebhookSecrets::new(secrets, missing).map(Self)
    }

    pub(crate) fn verify(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), ReportError> {
        self.0.verify(request, now)
    }
}

impl ReportParser for PlatformReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Signed
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.verify(request, now)?;
        let event: Event = serde_json::from_slice(request.body())
            .map_err(|_| ReportError::malformed("the report is not an event"))?;
        let foreign = !event.kind.starts_with("sms.") || event.kind == "sms.received";
        // An event without a message is that of a test, which has a type only.
        if foreign || event.data.is_null() {
            return Ok(Vec::new());
        }
        if !event.data.is_object() {
            return Err(ReportError::malformed("the event has no message"));
        }
        Ok(vec![event.report()])
    }
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    timestamp: Value,
    #[serde(default)]
    data: Value,
}

impl Event {
    fn report(&self) -> DeliveryReport {
        let data = &self.data;
        let reference = data["metadata"]["reference"].as_str().unwrap_or_default();
        let mut report = DeliveryReport::new(PROVIDER, status(EVENTS, &self.kind))
            .with_reference_text(reference);
        let is_own = data["sms_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("sms_"));
        report.id = message_id(&data["sms_id"]).filter(|_| is_own);
        report.recipient = recipient(&data["to"]);
        report.code = code(&data["error"]);
        report.at = time(&self.timestamp);
        report.price = price(&data["cost"]["amount"], &data["cost"]["currency_code"]);
        report
    }
}

/// Returns the platform's reason if it is listed, or the network's code if that is more specific.
fn code(error: &Value) -> Option<String> {
    let network = nonzero_code(&error["carrier_error_code"], MAX_CODE);
    let listed = REASONS.iter().find(|known| error["code"] == **known);
    match (listed, network) {
        // Live records have the code of an unregistered sender with the reason of a refused text.
        (Some(&"content_rejected"), Some(network)) if network == "104" => Some(network),
        (Some(reason), _) => Some((*reason).to_owned()),
        (None, network) => network,
    }
}

/// The statuses of events. An undelivered text failed for a temporary reason, but the status is final.
static EVENTS: &[(&str, DeliveryStatus)] = &[
    ("sms.accepted", DeliveryStatus::Sent),
    ("sms.sent", DeliveryStatus::Sent),
    ("sms.delivered", DeliveryStatus::Delivered),
    ("sms.undelivered", DeliveryStatus::Failed),
    ("sms.failed", DeliveryStatus::Failed),
    ("sms.rejected", DeliveryStatus::Rejected),
    ("sms.expired", DeliveryStatus::Expired),
];

/// The platform's reasons, except `unknown`.
static REASONS: &[&str] = &[
    "blocked_by_carrier",
    "blocked_by_fraud_protection",
    "blocked_by_recipient",
    "content_rejected",
    "insufficient_balance",
    "invalid_destination",
    "landline_unreachable",
    "provider_unavailable",
    "recipient_opted_out",
    "sender_unregistered",
    "unreachable",
];
