use std::sync::Arc;

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportOptions,
    ReportParser, ReportRequest,
};
use postduif_http::vendor::{
    reports::{
        self, PathSecrets, entries, nonzero_code, query_parameter, read_each, recipient, time,
    },
    text,
};
use secrecy::SecretString;
use serde_json::{Value, json};

/// Parser of CM's status reports: not signed, so a secret of ours in the URL is all the proof there is.
///
/// The secret is the last segment of the path, as in `https://sms.example.com/reports/cm/SECRET`, and the URL
/// is set once per account in CM's web app, in the format JSON or GET; XML is not read. CM repeats for 7 days
/// what was not answered with a success, so answer with one for what is not yours too: the reports of all senders of
/// the account come here, and a reference that is not in the form of ours is kept as text. An entry without a status,
/// such as an inbound text, is malformed. A text of several parts can give several reports, which CM
/// does not number: [`Delivery`](postduif_core::Delivery) joins them, with the parts of the receipt.
#[derive(Debug)]
pub struct CmReports {
    secrets: PathSecrets,
}

impl CmReports {
    /// Creates a parser that takes what comes with any of these secrets: several while one is being replaced.
    ///
    /// # Errors
    ///
    /// As [`PathSecrets::new`].
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        let secrets = PathSecrets::new("cm", secrets)?;
        Ok(Self { secrets })
    }
}

/// Creates a parser of CM's reports, chosen at run time.
///
/// # Errors
///
/// As [`CmReports::new`]; and where the options name an API, since CM has one.
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
        self.secrets.verify(request.url())?;
        if request.method() == "GET" {
            let report = report(&from_query(request.url())?);
            return report
                .map(|report| vec![report])
                .ok_or(ReportError::malformed("the report's URL has no status"));
        }
        let body: Value = serde_json::from_slice(request.body()).map_err(|_| {
            ReportError::malformed("the report is not JSON, the format to choose in CM's web app")
        })?;
        // CM's template has lists in lists, or an object in place of a list of one.
        let nested = |part| match entries_of(part, "messages") {
            Some(messages) => messages
                .iter()
                .flat_map(|part| entries(&part["msg"]))
                .collect(),
            None => vec![part],
        };
        let reports = read_each(entries(&body).iter().flat_map(nested), report)?;
        if reports.is_empty() {
            return Err(ReportError::malformed("the request has no status"));
        }
        Ok(reports)
    }
}

fn entries_of<'v>(value: &'v Value, name: &str) -> Option<&'v [Value]> {
    value.get(name).map(entries)
}

/// Returns the older form, a GET with parameters, as the members of the newer one.
fn from_query(url: &str) -> Result<Value, ReportError> {
    let text = |name| query_parameter(url, name).map(Value::from);
    Ok(json!({
        "reference": text("reference")?,
        "to": text("to")?,
        "received": text("received")?,
        "status": text("statuscode")?,
        "errorCode": text("errorcode")?,
    }))
}

/// Reads a report of CM's template, or of the flat form that a community integration expects. `None` where it has no
/// status.
fn report(entry: &Value) -> Option<DeliveryReport> {
    let (code, error) = match &entry["status"] {
        Value::Object(status) => (status.get("code")?, &entry["status"]["errorCode"]),
        code => (code, &entry["errorCode"]),
    };
    let status = match reports::status(STATUSES, &text(code)?) {
        status @ (DeliveryStatus::Delivered | DeliveryStatus::Unknown) => status,
        // The network keeps trying, for want of the subscriber's credit.
        _ if text(error).as_deref() == Some("7") => DeliveryStatus::Buffered,
        status => status,
    };
    let mut report = DeliveryReport::new("cm", status)
        .with_reference_text(&text(&entry["reference"]).unwrap_or_default());
    report.recipient = recipient(&entry["to"]);
    // Nothing, 0 and, in older reports, 200 are no error; all known numbers are short.
    report.code = nonzero_code(error, 3).filter(|code| code != "200");
    // CM's example has no zone, and CM does not say which is meant: such a time tells nothing.
    report.at = time(&entry["received"]);
    Some(report)
}

/// How far a text has come. 4, read, is of chat channels only.
static STATUSES: &[(&str, DeliveryStatus)] = &[
    ("0", DeliveryStatus::Sent),
    ("1", DeliveryStatus::Rejected),
    ("2", DeliveryStatus::Delivered),
    ("3", DeliveryStatus::Failed),
    ("4", DeliveryStatus::Delivered),
];
