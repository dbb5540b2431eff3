use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, DeliveryStatus, ReportError, ReportOptions,
    ReportParser, ReportRequest,
};
use postduif_http::vendor::{
    reports::{
        Entry, PathSecrets, api, message_id, nonzero_code, one_signature_method, query_parameter,
        read_each, recipient, status, time,
    },
    text,
};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::{Api, member, plain};

pub(crate) const PROVIDER: &str = "spryng";

/// Parser for Spryng's delivery reports. Spryng does not sign them, so a secret is the only proof.
///
/// The secret is the last segment of the path, as in `https://sms.example.com/reports/spryng/SECRET`. Spryng sets the
/// URL of version 1 for the account. The webhooks of version 2 are subscriptions of the account. If their
/// authentication method is `basic`, the secret may also be the password; the user name is ignored.
///
/// The URL receives the reports of all senders of the account: a reference of another format is kept as
/// [`vendor_reference`](DeliveryReport::vendor_reference). Whether Spryng repeats reports is not documented: ignore a
/// duplicate of id and status.
#[derive(Debug)]
pub struct SpryngReports {
    secrets: PathSecrets,
    read: fn(&ReportRequest<'_>) -> Result<Vec<DeliveryReport>, ReportError>,
}

impl SpryngReports {
    /// Creates a parser for reports of version 2 with any of these secrets: several while one is being replaced. A
    /// request with more than 1000 reports is refused.
    ///
    /// Spryng does not sign its reports. A secret is a random one of yours, of at least 16 letters, digits and `-._~`. It
    /// is the last segment of the route's path, as in `https://sms.example.com/reports/spryng/SECRET`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`PathSecrets::new`].
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        Self::reading(secrets, read_v2)
    }

    /// Creates a parser for reports of version 1, which has one per request.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`PathSecrets::new`].
    pub fn new_v1(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        Self::reading(secrets, read_v1)
    }

    fn reading(
        secrets: Vec<SecretString>,
        read: fn(&ReportRequest<'_>) -> Result<Vec<DeliveryReport>, ReportError>,
    ) -> Result<Self, ConfigError> {
        let secrets = PathSecrets::new("spryng", secrets)?;
        Ok(Self { secrets, read })
    }

    pub(crate) fn verify(&self, request: &ReportRequest<'_>) -> Result<(), ReportError> {
        let password = request.header("authorization")?.map(password);
        let segment = self.secrets.given(request.url()).map(str::to_owned);
        let mut given = [password, segment].into_iter().flatten().peekable();
        if given.peek().is_none() {
            return Err(ReportError::unsigned(
                "the request has no secret in its URL or its headers",
            ));
        }
        if given.any(|given| self.secrets.contains(&given)) {
            Ok(())
        } else {
            Err(ReportError::forged("the request does not have our secret"))
        }
    }
}

/// Returns the password of Basic credentials (RFC 7617). Empty, which no secret is, if the header has none.
fn password(authorization: &str) -> String {
    let pair = authorization
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, pair)| BASE64_STANDARD.decode(pair.trim()).ok())
        .and_then(|pair| String::from_utf8(pair).ok());
    let password = pair.as_deref().and_then(|pair| pair.split_once(':'));
    password.map_or_else(String::new, |(_, password)| password.to_owned())
}

/// Creates a parser for Spryng's reports, chosen at run time: `v2` (default) or `v1`.
///
/// # Errors
///
/// Returns the errors of [`SpryngReports::new`], or an error if there is no such API.
pub fn report_parser(options: ReportOptions) -> Result<Arc<dyn ReportParser>, ConfigError> {
    one_signature_method(&options)?;
    let api: Api = api(&options)?.unwrap_or_default();
    let secrets = options.into_secrets();
    Ok(Arc::new(match api {
        Api::V1 => SpryngReports::new_v1(secrets)?,
        Api::V2 => SpryngReports::new(secrets)?,
    }))
}

impl ReportParser for SpryngReports {
    fn authenticity(&self) -> Authenticity {
        Authenticity::Unsigned
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        _: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        self.verify(request)?;
        (self.read)(request)
    }
}

/// Reads a report of version 1: a GET with its parameters in the query, as a public service receives them, or a POST
/// with a form or JSON. The names are in capitals there, and are compared without case.
fn read_v1(request: &ReportRequest<'_>) -> Result<Vec<DeliveryReport>, ReportError> {
    let body = str::from_utf8(request.body())
        .map_err(|_| ReportError::malformed("the request is not text"))?
        .trim();
    let (form, json) = if body.starts_with(['{', '[']) {
        let json = serde_json::from_str(body)
            .map_err(|_| ReportError::malformed("the request is not a JSON object"))?;
        (String::new(), json)
    } else {
        (format!("?{body}"), Map::new())
    };
    let field = |names: &[&str]| -> Result<Value, ReportError> {
        for name in names {
            let found = match parameter(request.url(), name)? {
                Some(value) => Some(value),
                None => parameter(&form, name)?.or_else(|| member(&json, name)),
            };
            if let Some(value) = found.filter(|value| !value.is_empty()) {
                return Ok(value.into());
            }
        }
        Ok(Value::Null)
    };
    let status =
        text(&field(&["status"])?).ok_or(ReportError::malformed("the report has no status"))?;
    let reference = text(&field(&["reference"])?).unwrap_or_default();
    let mut report =
        DeliveryReport::new(PROVIDER, v1_status(&status)).with_reference_text(&reference);
    report.id = message_id(&field(&["id", "message_id", "messageid"])?);
    report.recipient = recipient(&field(&["recipient", "number", "destination"])?);
    // 0 is none, 20 unreachable, 21 a wrong number, 22 a failure, 31 a block list, 32 the sender.
    report.code = nonzero_code(&field(&["reasoncode"])?, 3);
    Ok(vec![report])
}

/// Returns a query parameter, by its name in any case.
fn parameter(url: &str, name: &str) -> Result<Option<String>, ReportError> {
    let query = url.split('#').next().unwrap_or_default();
    let query = query.split_once('?').map_or("", |(_, query)| query);
    let names: Vec<_> = query
        .split('&')
        .filter_map(|pair| pair.split('=').next())
        .filter(|known| known.eq_ignore_ascii_case(name))
        .collect();
    match names[..] {
        [] => Ok(None),
        [name] => Ok(query_parameter(url, name)?.map(|value| value.trim().to_owned())),
        _ => Err(ReportError::malformed("duplicate query parameter")),
    }
}

pub(crate) fn v1_status(name: &str) -> DeliveryStatus {
    status(V1_STATUSES, &plain(name))
}

/// The statuses of version 1: the numbers of the current service, the names of the old product's page, and the states
/// of a look-up.
static V1_STATUSES: &[(&str, DeliveryStatus)] = &[
    ("10", DeliveryStatus::Delivered),
    ("20", DeliveryStatus::Failed),
    ("buffered", DeliveryStatus::Buffered),
    ("delivered", DeliveryStatus::Delivered),
    ("failed", DeliveryStatus::Failed),
    ("notdelivered", DeliveryStatus::Failed),
    ("pending", DeliveryStatus::Sent),
    ("scheduled", DeliveryStatus::Buffered),
    ("sent", DeliveryStatus::Sent),
];

/// The members that identify an event of the account that is not a report.
static V2_EVENTS: [&str; 3] = ["accountreference", "address", "scheduleid"];

/// Reads the reports of version 2. An event without a list of messages (an opt-out, a schedule) has no reports.
fn read_v2(request: &ReportRequest<'_>) -> Result<Vec<DeliveryReport>, ReportError> {
    let body = v2_body(request)?;
    let Some(messages) = v2_messages(&body)? else {
        return Ok(Vec::new());
    };
    read_each(messages, "no message has a status", |message| {
        message.as_object().map_or(Entry::Unreadable, v2_report)
    })
}

pub(crate) fn v2_body(request: &ReportRequest<'_>) -> Result<Map<String, Value>, ReportError> {
    serde_json::from_slice(request.body())
        .map_err(|_| ReportError::malformed("the request is not a JSON object"))
}

/// Returns the messages of a request. `None` if it is another event of the account.
pub(crate) fn v2_messages(body: &Map<String, Value>) -> Result<Option<&[Value]>, ReportError> {
    let Some((_, messages)) = body
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("messages"))
    else {
        let is_event = |name: &String| {
            V2_EVENTS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        };
        if body.keys().any(is_event) {
            return Ok(None);
        }
        return Err(ReportError::malformed("the report has no messages"));
    };
    match messages {
        Value::Array(messages) => Ok(Some(messages)),
        _ => Err(ReportError::malformed("the messages are not a list")),
    }
}

/// Returns whether a message is an inbound text. `None` if it has neither a status nor a reason.
pub(crate) fn is_inbound(message: &Map<String, Value>) -> Option<bool> {
    let value = |name| member(message, name).map(|value| plain(&value));
    match (value("status"), value("reason")) {
        (None, None) => None,
        (status, reason) => {
            Some(status.as_deref() == Some("received") || reason.as_deref() == Some("inbound"))
        }
    }
}

fn v2_report(message: &Map<String, Value>) -> Entry<DeliveryReport> {
    match is_inbound(message) {
        None => return Entry::Unreadable,
        Some(true) => return Entry::Other,
        Some(false) => {}
    }
    let value = |name| member(message, name).map(|value| plain(&value));
    let (status, reason) = (value("status"), value("reason"));
    let status = V2_STATUSES
        .iter()
        .find(|(known, _)| Some(*known) == status.as_deref());
    let reason = V2_REASONS
        .iter()
        .find(|(known, _)| Some(plain(known)) == reason);
    let outcome = v2_outcome(
        status.map(|(_, status)| *status),
        reason.map(|(_, outcome)| *outcome),
    );
    let field = |name| member(message, name).map_or(Value::Null, Value::String);
    // Some requests have an empty list instead of an object.
    let metadata = message
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("metadata"))
        .and_then(|(_, metadata)| metadata.as_object());
    let reference = metadata.and_then(|metadata| member(metadata, "reference"));
    let mut report =
        DeliveryReport::new(PROVIDER, outcome).with_reference_text(&reference.unwrap_or_default());
    report.id = message_id(&field("messageid"));
    report.recipient = recipient(&field("msisdn"));
    report.code = reason
        .filter(|(_, outcome)| !matches!(outcome, DeliveryStatus::Delivered | DeliveryStatus::Sent))
        .map(|(reason, _)| (*reason).to_owned());
    report.at = time(&field("occurredattime"));
    Entry::Read(report)
}

/// Combines status and reason. A sample of the portal has the status `Sent` with the reason `Delivered`: the reason is
/// newer. Any other contradiction is `Unknown`.
fn v2_outcome(status: Option<DeliveryStatus>, reason: Option<DeliveryStatus>) -> DeliveryStatus {
    use DeliveryStatus::{Delivered, Failed, Sent, Unknown};
    match (status, reason) {
        (Some(status), None) => status,
        (Some(status), Some(reason)) if status == reason => status,
        (Some(Sent | Delivered), Some(Delivered | Sent)) => Delivered,
        // A text of which only some parts were delivered has failed.
        (Some(Failed), Some(Sent | Unknown)) => Failed,
        _ => Unknown,
    }
}

/// The statuses of version 2.
static V2_STATUSES: &[(&str, DeliveryStatus)] = &[
    ("delivered", DeliveryStatus::Delivered),
    ("failed", DeliveryStatus::Failed),
    ("inprogress", DeliveryStatus::Sent),
    ("sent", DeliveryStatus::Sent),
];

/// The reasons of version 2, and the status that each implies.
static V2_REASONS: &[(&str, DeliveryStatus)] = &[
    ("Delivered", DeliveryStatus::Delivered),
    ("PartiallyDelivered", DeliveryStatus::Unknown),
    ("EdgeSubmitted", DeliveryStatus::Sent),
    ("MsisdnInvalid", DeliveryStatus::Failed),
    ("LandlineNotAllowed", DeliveryStatus::Failed),
    ("DestinationNotAllowed", DeliveryStatus::Failed),
    ("OptedOut", DeliveryStatus::Failed),
    ("senderIdInvalid", DeliveryStatus::Failed),
    ("MessagePartCountExceeded", DeliveryStatus::Failed),
    ("DisallowedContent", DeliveryStatus::Failed),
    ("Unprocessable", DeliveryStatus::Failed),
    ("SendingLimitExceeded", DeliveryStatus::Failed),
    ("OutsideBusinessHours", DeliveryStatus::Failed),
    ("WithinQuietHours", DeliveryStatus::Failed),
    ("NetworkFailed", DeliveryStatus::Failed),
    ("EdgeFailed", DeliveryStatus::Failed),
    ("FailedToRoute", DeliveryStatus::Failed),
];
