use std::sync::Arc;

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportOptions,
    ReportParser, ReportRequest,
};
use postduif_http::vendor::{
    reports::{
        self, Entry, PathSecrets, entries, nonzero_code, query_parameter, read_each, recipient,
        time,
    },
    text,
};
use secrecy::SecretString;
use serde_json::Value;

use crate::inbound::is_inbound;

/// Parser for CM's status reports. CM does not sign them, so a secret in the URL is the only proof.
///
/// The secret is the last segment of the path, as in `https://sms.example.com/reports/cm/SECRET`. The URL is set once
/// per account in CM's web app, with the format JSON or GET; XML is not supported.
///
/// CM repeats a report for 7 days until the response is a success. The URL receives the reports of all senders of the
/// account, so respond with a success to those of others too. Their references are kept as text.
///
/// An entry without a status is malformed, unless it is an inbound text, which is skipped. A text of several parts may
/// have several reports, which CM does not number: [`Delivery`](postduif_core::Delivery) combines them, by the parts of
/// the receipt.
#[derive(Debug)]
pub struct CmReports {
    secrets: PathSecrets,
}

impl CmReports {
    /// Creates a parser that accepts reports with any of these secrets: several while one is being replaced.
    ///
    /// CM does not sign its reports. A secret is a random one of yours, of at least 16 letters, digits and `-._~`. It
    /// is the last segment of the route's path, as in `https://sms.example.com/reports/cm/SECRET`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`PathSecrets::new`].
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        let secrets = PathSecrets::new("cm", secrets)?;
        Ok(Self { secrets })
    }

    pub(crate) fn verify(&self, request: &ReportRequest<'_>) -> Result<(), ReportError> {
        self.secrets.verify(request.url())
    }
}

/// Creates a parser for CM's reports, chosen at run time.
///
/// # Errors
///
/// Returns the errors of [`CmReports::new`], or an error if the options name an API, since CM has only one.
pub fn report_parser(options: ReportOptions) -> Result<Arc<dyn ReportParser>, ConfigError> {
    reports::one_api(&options)?;
    Ok(Arc::new(CmReports::new(options.into_secrets())?))
}

impl ReportParser for CmReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Unsigned
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        _: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.verify(request)?;
        if request.method() == "GET" {
            let report = report(&from_query(request.url())?);
            return Entry::from(report).into_result("the report's URL has no status");
        }
        let body = json(request)?;
        let parts = entries(&body).iter().flat_map(parts);
        read_each(parts, "the request has no status", |part| {
            match report(part) {
                Some(report) => Entry::Read(report),
                None if is_inbound(part) => Entry::Other,
                None => Entry::Unreadable,
            }
        })
    }
}

pub(crate) fn json(request: &ReportRequest<'_>) -> Result<Value, ReportError> {
    serde_json::from_slice(request.body()).map_err(|_| {
        ReportError::malformed("invalid report: expected JSON, which is an option in CM's web app")
    })
}

/// Returns the reports of an entry. CM's template has lists in lists, or an object instead of a list of one.
fn parts(entry: &Value) -> Vec<&Value> {
    match entry.get("messages") {
        Some(messages) => entries(messages)
            .iter()
            .flat_map(|part| entries(&part["msg"]))
            .collect(),
        None => vec![entry],
    }
}

/// Returns whether an entry holds a report.
pub(crate) fn holds_a_report(entry: &Value) -> bool {
    parts(entry).into_iter().any(|part| report(part).is_some())
}

/// Returns whether a request is a report in the older format, a GET.
pub(crate) fn is_report_by_get(request: &ReportRequest<'_>) -> Result<bool, ReportError> {
    Ok(request.method() == "GET" && report(&from_query(request.url())?).is_some())
}

/// Converts the older format, a GET with parameters, to the members of the newer one.
fn from_query(url: &str) -> Result<Value, ReportError> {
    let text = |name| query_parameter(url, name).map(Value::from);
    Ok(serde_json::json!({
        "reference": text("reference")?,
        "to": text("to")?,
        "received": text("received")?,
        "status": text("statuscode")?,
        "errorCode": text("errorcode")?,
    }))
}

/// Reads a report in the shape of CM's template, or the flat shape of a community integration. `None` if it has no
/// status.
fn report(entry: &Value) -> Option<DeliveryReport> {
    let (code, error) = match &entry["status"] {
        Value::Object(status) => (status.get("code")?, &entry["status"]["errorCode"]),
        code => (code, &entry["errorCode"]),
    };
    let status = match reports::status(STATUSES, &text(code)?) {
        status @ (DeliveryStatus::Delivered | DeliveryStatus::Unknown) => status,
        // The subscriber has no credit, and the network keeps trying.
        _ if text(error).as_deref() == Some("7") => DeliveryStatus::Buffered,
        status => status,
    };
    let mut report = DeliveryReport::new("cm", status)
        .with_reference_text(&text(&entry["reference"]).unwrap_or_default());
    report.recipient = recipient(&entry["to"]);
    // 0 and, in older reports, 200 mean no error. All known codes are short.
    report.code = nonzero_code(error, 3).filter(|code| code != "200");
    // CM's example has no zone, and CM does not document it: such a time is left out.
    report.at = time(&entry["received"]);
    Some(report)
}

/// CM's status codes. 4, read, occurs in chat channels only.
static STATUSES: &[(&str, DeliveryStatus)] = &[
    ("0", DeliveryStatus::Sent),
    ("1", DeliveryStatus::Rejected),
    ("2", DeliveryStatus::Delivered),
    ("3", DeliveryStatus::Failed),
    ("4", DeliveryStatus::Delivered),
];
