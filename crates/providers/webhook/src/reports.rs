use std::sync::Arc;

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportOptions,
    ReportParser, ReportRequest,
};
use postduif_http::vendor::{
    WebhookSecrets,
    reports::{self, Entry, code, message_id, recipient, time},
    text,
};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::inbound::is_inbound;

/// Parser for the delivery reports of a gateway of your own, signed by
/// [Standard Webhooks](https://www.standardwebhooks.com).
///
/// The gateway POSTs one report a request. `reference` and `status` are required:
///
/// ```json
/// {
///     "reference": "01J9Z8Q4T6M2V7X3",
///     "status": "delivered",
///     "at": "2026-12-24T08:30:07Z",
///     "id": "8f14e45f",
///     "to": "+31612345678",
///     "code": "0"
/// }
/// ```
///
/// | member | what it holds |
/// |---|---|
/// | `reference` | the reference of the request that sent the message |
/// | `status` | the name of a [`DeliveryStatus`]: `buffered`, `delivered`, `expired`, `failed`, `rejected` or `sent`; any other is `unknown`, which is not a failure |
/// | `at` | when the status was reached: RFC 3339 with its zone |
/// | `id` | the gateway's id of the message |
/// | `to` | the recipient |
/// | `code` | the gateway's or the network's code, at most six digits |
///
/// The headers `webhook-id`, `webhook-timestamp` and `webhook-signature` are those of a send, with an id of the
/// gateway's. A time more than five minutes off is refused; a repeat within them only repeats what it reported before.
/// Repeat a report until the response is 2xx, and sign it again each time. The signature does not cover the URL.
#[derive(Debug)]
pub struct WebhookReports(WebhookSecrets);

impl WebhookReports {
    /// Creates a parser that accepts reports signed with any of these secrets, `whsec_` and base64: several while one is
    /// being replaced. Use another secret than for sending.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no secret, or one is not `whsec_` and base64.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        let missing = "invalid secret for the gateway's reports: expected whsec_ and base64, as in Standard Webhooks";
        WebhookSecrets::new(secrets, missing).map(Self)
    }

    /// Verifies a request and returns its body.
    pub(crate) fn verified(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Map<String, Value>, ReportError> {
        self.0.verify(request, now)?;
        serde_json::from_slice(request.body())
            .map_err(|_| ReportError::malformed("the report is not a JSON object"))
    }
}

/// Creates a parser for a gateway's reports, chosen at run time.
///
/// # Errors
///
/// Returns the errors of [`WebhookReports::new`], or an error if the options name an API, since there is only one.
pub fn report_parser(options: ReportOptions) -> Result<Arc<dyn ReportParser>, ConfigError> {
    reports::one_api(&options)?;
    Ok(Arc::new(WebhookReports::new(options.into_secrets())?))
}

impl ReportParser for WebhookReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Signed
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        let body = self.verified(request, now)?;
        let read = match report(&body) {
            Some(report) => Entry::Read(report),
            None if is_inbound(&body) => Entry::Other,
            None => Entry::Unreadable,
        };
        read.into_result("the report needs reference and status")
    }
}

/// Returns a member of a body, or `null` if it is missing.
pub(crate) fn member<'b>(body: &'b Map<String, Value>, name: &str) -> &'b Value {
    body.get(name).unwrap_or(&Value::Null)
}

/// Reads a report. `None` if it has no reference or no status.
fn report(body: &Map<String, Value>) -> Option<DeliveryReport> {
    let member = |name| member(body, name);
    let reference = text(member("reference"))?;
    let status = text(member("status"))?;
    let status: DeliveryStatus = status.parse().unwrap_or(DeliveryStatus::Unknown);
    let mut report = DeliveryReport::new("webhook", status).with_reference_text(&reference);
    report.at = time(member("at"));
    report.id = message_id(member("id"));
    report.recipient = recipient(member("to"));
    report.code = code(member("code"), 6);
    Some(report)
}
