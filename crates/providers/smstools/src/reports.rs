use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportOptions,
    ReportParser, ReportRequest,
};
use postduif_http::vendor::{
    reports::{
        self, SigningSecrets, check_time, code, entries, message_id, proof_header, read_each,
        recipient, status,
    },
    text,
};
use secrecy::SecretString;
use serde_json::{Map, Value};

/// The longer of the two windows that public receivers use: how Smstools repeats a report, and whether it
/// signs anew, is not documented, and a report played back says only what it said before.
const WINDOW: Duration = Duration::from_secs(900);

/// Parser of Smstools' delivery reports, signed over the time and the body.
///
/// The secret is the one that Smstools shows when the webhook is made: for the account, in the dashboard, with
/// the method `POST` and the type `delivery_report`. A webhook of an older account may not sign: make it anew.
/// Two reports of a message are normal, and they can come in the wrong order: let no status that is not final
/// overwrite a final one.
#[derive(Debug)]
pub struct SmstoolsReports(SigningSecrets);

impl SmstoolsReports {
    /// Creates a parser that takes what any of these secrets signed: several while one is being replaced.
    ///
    /// # Errors
    ///
    /// Where there is no secret, or one is blank.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        let missing = "Smstools signs its reports: give the webhook's secret";
        SigningSecrets::new(secrets, missing).map(Self)
    }

    fn verify(&self, request: &ReportRequest<'_>, now: DateTime<Utc>) -> Result<(), ReportError> {
        let signature = proof_header(request, "x-smstools-signature")?;
        let (signed_at, tag) = part(signature, "t")
            .zip(part(signature, "v1"))
            .ok_or(ReportError::malformed("the signature is not t=…,v1=…"))?;
        let signed = [signed_at.as_bytes(), b".", request.body()].concat();
        self.0.verify_hmac_sha256(&signed, tag)?;
        let stamp = request.header("x-smstools-timestamp")?;
        if stamp.is_some_and(|stamp| stamp.trim() != signed_at) {
            return Err(ReportError::forged(
                "the report is not signed with our secret",
            ));
        }
        check_time(signed_at, now, WINDOW)
    }
}

/// Returns a part of a signature. `None` where it is missing or a duplicate: nobody may choose which one is meant.
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

/// Creates a parser of Smstools' reports, chosen at run time.
///
/// # Errors
///
/// As [`SmstoolsReports::new`]; and where the options name an API, since Smstools has one.
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
        self.verify(request, now)?;
        if request.method() != "POST" {
            return Err(ReportError::malformed(
                "reports are read by POST, the method to choose for the webhook",
            ));
        }
        let body = reports::json(request)?;
        // A webhook can be told of much else, inbound texts among it.
        let mut has_others = false;
        let reports = read_each(entries(&body), |entry| {
            let entry = entry.as_object()?;
            if is_of_another_type(entry) {
                has_others = true;
                return None;
            }
            report(entry.get("message")?)
        })?;
        if reports.is_empty() && !has_others {
            return Err(ReportError::malformed(
                "the request has no message's status",
            ));
        }
        Ok(reports)
    }
}

/// Returns whether it names a type that is not a report's. One that is null or blank is absent.
fn is_of_another_type(entry: &Map<String, Value>) -> bool {
    match entry.get("webhook_type") {
        None | Some(Value::Null) => false,
        Some(Value::String(kind)) => !["", "delivery_report"].contains(&kind.trim()),
        Some(_) => true,
    }
}

/// Reads the message of an entry. `None` where it has no status.
fn report(message: &Value) -> Option<DeliveryReport> {
    let status = status(STATUSES, &text(&message["delivery_code"])?);
    let mut report = DeliveryReport::new("smstools", status)
        .with_reference_text(&text(&message["reference"]).unwrap_or_default());
    report.id = message_id(&message["messageid"]);
    report.recipient = recipient(&message["receiver"]);
    // 10 is an unknown number, 11 one out of range; there are more, whose meanings could not be read.
    report.code = code(&message["delivery_code_detail"], 4);
    // Smstools' times have no zone, and which is meant is not said: they tell nothing.
    Some(report)
}

/// How far a text has come. 9 says that no report will come, which is no failure.
static STATUSES: &[(&str, DeliveryStatus)] = &[
    ("0", DeliveryStatus::Sent),
    ("1", DeliveryStatus::Delivered),
    ("2", DeliveryStatus::Failed),
    ("3", DeliveryStatus::Buffered),
    ("4", DeliveryStatus::Rejected),
    ("5", DeliveryStatus::Rejected),
    ("9", DeliveryStatus::Unknown),
];
