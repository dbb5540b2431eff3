use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportOptions,
    ReportParser, ReportRequest,
};
use postduif_http::vendor::{
    reports::{
        self, SigningSecrets, check_time, entries, message_id, nonzero_code, proof_header,
        query_parameter, read_each, recipient,
    },
    text,
};
use secrecy::SecretString;
use serde_json::{Map, Value};

/// KPN tries four times within seven minutes, and does not say whether each try has a time of its own.
const WINDOW: Duration = Duration::from_secs(600);

/// Parser of KPN's delivery reports: signed over the body alone, so the route that takes them needs a secret of its
/// own too.
///
/// A report finds its message by the `reference` in the query of the URL that it was sent to, which no
/// signature covers. KPN makes a signing key by itself at the first report; make and activate one before the
/// first send, or reveal KPN's.
#[derive(Debug)]
pub struct KpnReports(SigningSecrets);

impl KpnReports {
    /// Creates a parser that takes what any of these signing secrets signed: several while one is being replaced.
    ///
    /// # Errors
    ///
    /// Where there is no secret, or one is blank.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        let missing = "KPN signs its reports: give the webhook key's secret";
        SigningSecrets::new(secrets, missing).map(Self)
    }

    fn verify(&self, request: &ReportRequest<'_>, now: DateTime<Utc>) -> Result<(), ReportError> {
        let signature = proof_header(request, "x-kpn-webhook-signature")?;
        let signed_at = proof_header(request, "x-kpn-webhook-timestamp")?;
        let tag = signature.strip_prefix("sha256=").unwrap_or(signature);
        self.0.verify_hmac_sha256(request.body(), tag)?;
        check_time(signed_at, now, WINDOW)
    }
}

/// Creates a parser of KPN's reports, chosen at run time.
///
/// # Errors
///
/// As [`KpnReports::new`]; and where the options name an API, since KPN has one.
pub fn report_parser(options: ReportOptions) -> Result<Arc<dyn ReportParser>, ConfigError> {
    reports::one_api(&options)?;
    Ok(Arc::new(KpnReports::new(options.into_secrets())?))
}

impl ReportParser for KpnReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::BodyOnly
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.verify(request, now)?;
        let reference = query_parameter(request.url(), "reference")?;
        let body = reports::json(request)?;
        let reports = read_each(entries(&body), |entry| {
            report(&Fields(entry.as_object()?), reference.as_deref())
        })?;
        if reports.is_empty() {
            return Err(ReportError::malformed("the request holds no report"));
        }
        Ok(reports)
    }
}

/// The members that make an entry a report: inbound texts have a `message_id` too.
static STATUS_NAMES: &[&str] = &[
    "status",
    "statuscode",
    "deliverystatus",
    "deliverystatuscode",
];
static OTHER_NAMES: &[&str] = &[
    "statusdatetime",
    "recipientphonenumber",
    "documentid",
    "dlrid",
];

fn report(fields: &Fields<'_>, reference: Option<&str>) -> Option<DeliveryReport> {
    let status = text(fields.first(STATUS_NAMES));
    if status.is_none() && text(fields.first(OTHER_NAMES)).is_none() {
        return None;
    }
    let status = reports::status(STATUSES, &status.unwrap_or_default());
    let mut report =
        DeliveryReport::new("kpn", status).with_reference_text(reference.unwrap_or_default());
    report.id = message_id(fields.first(&["messageid", "documentid", "dlrid"]));
    report.recipient = recipient(fields.first(&["recipientphonenumber"]));
    report.code = nonzero_code(
        fields.first(&["errorcode", "error", "reason", "statuserrorcode"]),
        3,
    )
    .map(|code| format!("{code:0>3}"));
    report.at = text(fields.first(&["statusdatetime"])).and_then(|time| {
        let number: i64 = time.parse().ok()?;
        // Seconds or milliseconds, KPN does not say: nothing happened before 1973 in milliseconds.
        if number > 100_000_000_000 {
            DateTime::from_timestamp_millis(number)
        } else {
            DateTime::from_timestamp(number, 0)
        }
    });
    Some(report)
}

/// KPN's numbers for how far a text has come.
static STATUSES: &[(&str, DeliveryStatus)] = &[
    ("1", DeliveryStatus::Delivered),
    ("2", DeliveryStatus::Buffered),
    ("3", DeliveryStatus::Sent),
    ("4", DeliveryStatus::Failed),
    ("5", DeliveryStatus::Rejected),
    ("6", DeliveryStatus::Expired),
];

/// A report's members. KPN publishes no schema, so names are looked up without case, hyphens and underscores.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    /// Returns the first of these members that is text or a number; `null` where none is.
    fn first(&self, names: &[&str]) -> &Value {
        let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
        let member = |name: &&str| {
            let (_, value) = self.0.iter().find(|(known, _)| plain(known) == **name)?;
            text(value).map(|_| value)
        };
        names.iter().find_map(member).unwrap_or(&Value::Null)
    }
}
