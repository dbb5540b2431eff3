use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportOptions,
    ReportParser, ReportRequest,
};
use postduif_http::vendor::{
    reports::{
        self, Entry, SigningSecrets, check_time, entries, message_id, nonzero_code, proof_header,
        query_parameter, read_each, recipient,
    },
    text,
};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::inbound::is_inbound;

/// KPN makes four attempts within seven minutes, and does not document whether each has its own timestamp.
const WINDOW: Duration = Duration::from_secs(600);

/// Parser for KPN's delivery reports. KPN signs the body alone, so their route needs a secret in its URL too.
///
/// A report matches its message by the `reference` in the query of its URL, which the signature does not cover. KPN
/// creates a signing key at the first report: create and activate one before the first send, or reveal KPN's.
#[derive(Debug)]
pub struct KpnReports(SigningSecrets);

impl KpnReports {
    /// Creates a parser that accepts reports signed with any of these secrets: several while one is being replaced.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no secret, or one is blank.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        let missing =
            "invalid secret for KPN's reports: expected the secret of the webhook signing key";
        SigningSecrets::new(secrets, missing).map(Self)
    }

    pub(crate) fn verify(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), ReportError> {
        let signature = proof_header(request, "x-kpn-webhook-signature")?;
        let signed_at = proof_header(request, "x-kpn-webhook-timestamp")?;
        let tag = signature.strip_prefix("sha256=").unwrap_or(signature);
        self.0.verify_hmac_sha256(request.body(), tag)?;
        check_time(signed_at, now, WINDOW)
    }
}

/// Creates a parser for KPN's reports, chosen at run time.
///
/// # Errors
///
/// Returns the errors of [`KpnReports::new`], or an error if the options name an API, since KPN has only one.
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
        read_each(
            entries(&body),
            "the request has no report",
            |entry| match report(entry, reference.as_deref()) {
                Some(report) => Entry::Read(report),
                None if is_inbound(entry) => Entry::Other,
                None => Entry::Unreadable,
            },
        )
    }
}

/// The members that identify a report: inbound texts have a `message_id` too.
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

/// Returns whether an entry is a report.
pub(crate) fn is_report(entry: &Value) -> bool {
    report(entry, None).is_some()
}

fn report(entry: &Value, reference: Option<&str>) -> Option<DeliveryReport> {
    let fields = Fields(entry.as_object()?);
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
        // KPN does not document the unit. A larger number is in milliseconds: as one, it is after 1973.
        if number > 100_000_000_000 {
            DateTime::from_timestamp_millis(number)
        } else {
            DateTime::from_timestamp(number, 0)
        }
    });
    Some(report)
}

/// KPN's status numbers.
static STATUSES: &[(&str, DeliveryStatus)] = &[
    ("1", DeliveryStatus::Delivered),
    ("2", DeliveryStatus::Buffered),
    ("3", DeliveryStatus::Sent),
    ("4", DeliveryStatus::Failed),
    ("5", DeliveryStatus::Rejected),
    ("6", DeliveryStatus::Expired),
];

/// The members of a report. KPN publishes no schema, so names are compared without case, hyphens and underscores.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    /// Returns the first of these members that is text or a number; `null` if none is.
    fn first(&self, names: &[&str]) -> &Value {
        let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
        let member = |name: &&str| {
            let (_, value) = self.0.iter().find(|(known, _)| plain(known) == **name)?;
            text(value).map(|_| value)
        };
        names.iter().find_map(member).unwrap_or(&Value::Null)
    }
}
