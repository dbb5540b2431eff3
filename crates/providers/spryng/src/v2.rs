//! Version 2 of the messaging API, as the portal documents it.

use std::{
    slice,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use postduif_core::{
    DeliveryReport, DeliveryStatus, ErrorKind, Message, PhoneNumber, Reference, ReportError,
    ReportRequest, SendError, Sender,
};
use postduif_http::{Answer, BaseUrl, Refusal, Request};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{LONGEST_ID, PROFILE, plain, refusal_by_status, refusal_by_words, text};

/// Square brackets enclose a variable, no escape is documented, and a text is sent as it is or not at all.
pub(crate) const VARIABLES: &str = "[]";
pub(crate) const HOST: &str = "https://api.spryng.nl";
const SEND_PATH: &str = "/v2/messages";
const BALANCE_PATH: &str = "/v2/balance";
/// The portal's figure for a call too many, where an answer has none.
const THROTTLED_WAIT: Duration = Duration::from_secs(5);
/// The most reports that are read from one request.
const REPORT_LIMIT: usize = 1000;

#[derive(Debug)]
pub(crate) struct Api {
    key: SecretString,
    account: SecretString,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SendBody<'a> {
    account_reference: &'a str,
    channel: &'static str,
    /// Left out, the account's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    character_set: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    validity: Option<String>,
    body: Body<'a>,
    recipients: [Recipient<'a>; 1],
}

#[derive(Serialize)]
struct Body<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Recipient<'a> {
    msisdn: String,
    /// The only place for a reference: it comes back in the reports.
    meta_data: MetaData<'a>,
}

#[derive(Serialize)]
struct MetaData<'a> {
    reference: &'a str,
}

/// Every code that is known of an answer. There is no published list, and none of them is a text's or a
/// number's, so that they can be kept; what they mean is told by their status.
static CODES: &[&str] = &[
    "UnauthenticatedError",
    "message_not_found",
    "invalid_request_id",
    "webhook_subscription_not_found",
    "msisdn_invalid",
];

/// What a code or Spryng's words name, at 400.
static NAMED: &[(&str, ErrorKind, &str)] = &[
    (
        "msisdn",
        ErrorKind::InvalidRecipient,
        "the number is not valid",
    ),
    (
        "balance",
        ErrorKind::InsufficientBalance,
        "the account has too little balance",
    ),
    (
        "credit",
        ErrorKind::InsufficientBalance,
        "the account has too little balance",
    ),
];

/// The entries of Spryng's error shape. None where it is somebody else speaking.
fn errors(answer: &Answer) -> Option<Vec<Map<String, Value>>> {
    let body: Map<String, Value> = answer.json().ok()?;
    let errors = body.get("errors")?.as_array()?;
    let errors: Option<Vec<_>> = errors
        .iter()
        .map(|error| error.as_object().cloned())
        .collect();
    errors.filter(|errors| {
        let coded =
            |error: &Map<String, Value>| error.get("errorCode").is_some_and(Value::is_string);
        !errors.is_empty() && errors.iter().all(coded)
    })
}

impl Api {
    pub(crate) const fn new(key: SecretString, account: SecretString) -> Self {
        Self { key, account }
    }

    fn authenticated(&self, request: Request) -> Request {
        request
            .with_secret_header("x-api-key", &self.key)
            .with_header("accept", "application/json")
    }
}

impl crate::Api for Api {
    fn send(
        &self,
        base: &BaseUrl,
        sender: Option<&Sender>,
        message: &Message,
    ) -> Result<Request, SendError> {
        let text = message.text().as_str();
        let now: DateTime<Utc> = SystemTime::now().into();
        let request = self.authenticated(Request::post(base, SEND_PATH));
        Ok(request.with_json(&SendBody {
            account_reference: self.account.expose_secret(),
            channel: "SMS",
            from: sender.map(Sender::to_string),
            character_set: "Auto",
            validity: message
                .validity()
                .map(|wish| (now + wish).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
            body: Body { text },
            recipients: [Recipient {
                msisdn: message.to().to_string(),
                meta_data: MetaData {
                    reference: message.reference().as_str(),
                },
            }],
        }))
    }

    fn id(&self, answer: &Answer) -> Result<Option<String>, SendError> {
        let body: Map<String, Value> = answer.json()?;
        let ids = body.get("data").and_then(|data| data.get("messageIds"));
        // One recipient, so that the first is the only one.
        let id = ids.and_then(|ids| ids.get(0)).and_then(Value::as_str);
        Ok(id.map(str::to_owned))
    }

    fn balance(&self, base: &BaseUrl) -> Request {
        self.authenticated(Request::get(base, BALANCE_PATH))
            .with_secret_header("accountreference", &self.account)
    }

    /// Inside `data` as the service answers, or bare as the portal prints it.
    fn is_balance(&self, body: &Map<String, Value>) -> bool {
        let data = body.get("data").and_then(Value::as_object).unwrap_or(body);
        text(data, "available").is_some()
    }

    fn refusal(&self, answer: &Answer, message: Option<&Message>) -> Option<Refusal> {
        let errors = errors(answer);
        if errors.is_none() && answer.status() != 429 {
            return None;
        }
        let errors = errors.unwrap_or_default();
        let words: String = errors
            .iter()
            .flat_map(|error| [text(error, "errorCode"), text(error, "errorMessage")])
            .flatten()
            .map(|words| plain(&words) + " ")
            .collect();
        let by_words = match answer.status() {
            400 => refusal_by_words(NAMED, &words),
            _ => None,
        };
        let mut refusal = by_words.unwrap_or_else(|| refusal_by_status(answer.status()));
        if let Some(code) = errors.first().and_then(|error| text(error, "errorCode")) {
            let known = CODES.iter().find(|known| plain(known) == plain(&code));
            refusal = match known {
                Some(known) => refusal.with_code(*known),
                None => refusal.with_unlisted_code(&code, message.map_or(&[], slice::from_ref)),
            };
        }
        let hint = answer.retry_after(SystemTime::now().into());
        Some(match (answer.status(), hint) {
            (429, None) => refusal.with_retry_after(THROTTLED_WAIT),
            _ => refusal,
        })
    }

    fn look_up(&self, _: &BaseUrl, _: &Reference) -> Option<Request> {
        None
    }
}

/// The reports of a webhook call. What has no list of messages (an opt-out, a schedule) is none.
pub(crate) fn reports(request: &ReportRequest<'_>) -> Result<Vec<DeliveryReport>, ReportError> {
    let body: Map<String, Value> = serde_json::from_slice(request.body())
        .map_err(|_| ReportError::malformed("the report is no JSON object"))?;
    let Some((_, messages)) = body
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("messages"))
    else {
        return Ok(Vec::new());
    };
    let messages = messages
        .as_array()
        .ok_or(ReportError::malformed("the messages are no list"))?;
    if messages.len() > REPORT_LIMIT {
        return Err(ReportError::malformed("too many reports in one request"));
    }
    let reports: Result<Vec<_>, _> = messages
        .iter()
        .map(|message| {
            let message = message
                .as_object()
                .ok_or(ReportError::malformed("a report is no object"))?;
            Ok(report(message))
        })
        .collect();
    Ok(reports?.into_iter().flatten().collect())
}

/// None where the message is not one that we sent.
fn report(message: &Map<String, Value>) -> Option<DeliveryReport> {
    let status = text(message, "status").map(|status| plain(&status));
    let reason = text(message, "reason").map(|reason| plain(&reason));
    if status.as_deref() == Some("received") || reason.as_deref() == Some("inbound") {
        return None;
    }
    let status = REPORT_STATUSES
        .iter()
        .find(|(known, _)| Some(*known) == status.as_deref());
    let reason = REASONS
        .iter()
        .find(|(known, _)| Some(plain(known)) == reason);
    let mut report = DeliveryReport::new(
        PROFILE.owned_name(),
        outcome(
            status.map(|(_, status)| *status),
            reason.map(|(_, outcome)| *outcome),
        ),
    );
    // An empty list stands there where there is nothing, in some answers.
    let metadata = message
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("metadata"))
        .and_then(|(_, metadata)| metadata.as_object());
    report.reference = metadata
        .and_then(|metadata| text(metadata, "reference"))
        .and_then(|reference| reference.parse().ok());
    report.id = text(message, "messageid").filter(|id| id.len() <= LONGEST_ID);
    report.recipient =
        text(message, "msisdn").and_then(|number| PhoneNumber::from_msisdn(&number).ok());
    report.code = reason
        .filter(|(_, outcome)| !matches!(outcome, DeliveryStatus::Delivered | DeliveryStatus::Sent))
        .map(|(reason, _)| (*reason).to_owned());
    report.at = text(message, "occurredattime")
        .and_then(|time| DateTime::parse_from_rfc3339(&time).ok())
        .map(|time| time.to_utc());
    Some(report)
}

/// What status and reason say together. A sample of the portal has `Sent` with `Delivered`: the reason is the
/// newer of the two. Where they contradict each other in any other way, nothing is known.
fn outcome(status: Option<DeliveryStatus>, reason: Option<DeliveryStatus>) -> DeliveryStatus {
    use DeliveryStatus::{Delivered, Failed, Sent, Unknown};
    match (status, reason) {
        (Some(status), None) => status,
        (Some(status), Some(reason)) if status == reason => status,
        (Some(Sent | Delivered), Some(Delivered | Sent)) => Delivered,
        // Of a text in parts that came in part only, the rest has failed.
        (Some(Failed), Some(Sent | Unknown)) => Failed,
        _ => Unknown,
    }
}

/// How far a text has come.
static REPORT_STATUSES: &[(&str, DeliveryStatus)] = &[
    ("delivered", DeliveryStatus::Delivered),
    ("failed", DeliveryStatus::Failed),
    ("inprogress", DeliveryStatus::Sent),
    ("sent", DeliveryStatus::Sent),
];

/// Why, and what that makes of the text.
static REASONS: &[(&str, DeliveryStatus)] = &[
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
