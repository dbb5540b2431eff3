//! Version 2 of the messaging API, as the portal documents it.

use std::{
    slice,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use postduif_core::{
    DeliveryReport, DeliveryStatus, Message, PhoneNumber, Reference, ReportError, ReportRequest,
    SendError, Sender,
};
use postduif_http::{BaseUrl, Refusal, Request, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{PROFILE, names, plain, refusal_by_field, refusal_by_status, report_id, text};

/// Square brackets enclose a variable, no escape is documented, and a text is sent as it is or not at all.
pub(crate) const VARIABLES: &str = "[]";
pub(crate) const HOST: &str = "https://api.spryng.nl";
const SEND_PATH: &str = "/v2/messages";
const BALANCE_PATH: &str = "/v2/balance";
/// The portal's figure for a call too many, where an answer has none.
const THROTTLED_WAIT: Duration = Duration::from_secs(5);
/// The most reports that are read from one request; [`crate::SpryngReports::new`] documents it.
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

/// Every code that is known of an answer, and the status that it comes with. There is no published list, and none
/// of them is a text's or a number's, so that they can be kept; what they mean is told by their status.
static CODES: &[(u16, &str)] = &[
    (401, "UnauthenticatedError"),
    (404, "message_not_found"),
    (400, "invalid_request_id"),
    (400, "webhook_subscription_not_found"),
    (400, "msisdn_invalid"),
];

/// The statuses with which the shape is documented for a call that sends.
const REFUSED: [u16; 3] = [400, 401, 403];

/// Whether it is Spryng that refused a message: at a documented status, by a code that is known there or with
/// words beside the code. Other servers write bare codes.
fn is_spryng(status: u16, errors: &[Map<String, Value>]) -> bool {
    let is_own = |error: &Map<String, Value>| {
        let code = plain(&text(error, "errorCode").unwrap_or_default());
        let is_known = CODES
            .iter()
            .any(|(known, name)| *known == status && plain(name) == code);
        let words = error.get("errorMessage").and_then(Value::as_str);
        is_known || words.is_some_and(|words| !words.trim().is_empty())
    };
    REFUSED.contains(&status) && errors.iter().all(is_own)
}

/// What codes name, at 400.
static NAMED: [&str; 3] = ["msisdn", "balance", "credit"];

/// What follows a field's name where the field is what is wrong.
static COMPLAINTS: [&str; 8] = [
    "cannot", "field", "has", "is", "may", "must", "should", "was",
];

/// What an error of a 400 is about: what its code names, else the field that its words begin with, else the
/// balance. A word anywhere else in a sentence is not what is wrong.
fn refusal_by_error(error: &Map<String, Value>) -> Option<Refusal> {
    let code = plain(&text(error, "errorCode").unwrap_or_default());
    let words = text(error, "errorMessage").unwrap_or_default();
    let by_code = NAMED.into_iter().find(|name| code.contains(name));
    let is_balance = names(&words, &["balance", "credit", "credits"]);
    by_code
        .and_then(|name| refusal_by_field(&[name]))
        .or_else(|| refusal_by_field(&[field(&words)?]))
        .or_else(|| refusal_by_field(&[is_balance.then_some("balance")?]))
}

/// The field that a sentence begins with: `from is not valid`, or the path `recipients[0].msisdn`.
fn field(words: &str) -> Option<&str> {
    let mut words = words
        .split_whitespace()
        .map(|word| word.trim_matches(['\'', '"', '`']))
        .skip_while(|word| word.eq_ignore_ascii_case("the"));
    let (path, next) = (words.next()?, words.next().unwrap_or_default());
    let is_path = path.contains(['.', '[']) || path.ends_with(':');
    let is_name = |segment: &&str| !segment.is_empty() && segment.parse::<usize>().is_err();
    let last = path.split(['.', '[', ']', ':']).rfind(is_name)?;
    let is_complaint = COMPLAINTS
        .iter()
        .any(|verb| verb.eq_ignore_ascii_case(next));
    (is_path || is_complaint).then_some(last)
}

/// The entries of Spryng's error shape. None where it is somebody else speaking.
fn errors(answer: &Response) -> Option<Vec<Map<String, Value>>> {
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

    fn id(&self, body: &Map<String, Value>) -> Option<String> {
        // One recipient, so that two ids are not those of this message alone.
        match body.get("data")?.get("messageIds")?.as_array()?.as_slice() {
            [id] => id.as_str().map(str::to_owned),
            _ => None,
        }
    }

    fn ids<'a>(&self, body: &'a Map<String, Value>) -> Vec<&'a Value> {
        let inside = ["messageIds", "requestId"]
            .into_iter()
            .filter_map(|name| body.get("data")?.get(name));
        body.get("messageIds").into_iter().chain(inside).collect()
    }

    /// The answer repeats nothing of the call.
    fn is_about(&self, _: &Map<String, Value>, _: &Message) -> bool {
        true
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

    fn refusal(&self, answer: &Response, message: Option<&Message>) -> Option<Refusal> {
        let errors =
            errors(answer).filter(|errors| message.is_none() || is_spryng(answer.status(), errors));
        if errors.is_none() && answer.status() != 429 {
            return None;
        }
        let errors = errors.unwrap_or_default();
        let by_error = match answer.status() {
            400 => errors.iter().find_map(refusal_by_error),
            _ => None,
        };
        let mut refusal = by_error.unwrap_or_else(|| refusal_by_status(answer.status()));
        if let Some(code) = errors.first().and_then(|error| text(error, "errorCode")) {
            let known = CODES.iter().find(|(_, known)| plain(known) == plain(&code));
            refusal = match known {
                Some((_, known)) => refusal.with_code(*known),
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

/// What tells an event of the account from something that is none of Spryng's.
static EVENTS: [&str; 3] = ["accountreference", "address", "scheduleid"];

/// The reports of a webhook call. What has no list of messages (an opt-out, a schedule) is none.
pub(crate) fn reports(request: &ReportRequest<'_>) -> Result<Vec<DeliveryReport>, ReportError> {
    let body: Map<String, Value> = serde_json::from_slice(request.body())
        .map_err(|_| ReportError::malformed("the report is no JSON object"))?;
    let Some((_, messages)) = body
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("messages"))
    else {
        let is_event = |name: &String| EVENTS.iter().any(|known| known.eq_ignore_ascii_case(name));
        return match body.keys().any(is_event) {
            true => Ok(Vec::new()),
            false => Err(ReportError::malformed("the report has no messages")),
        };
    };
    let messages = messages
        .as_array()
        .ok_or(ReportError::malformed("the messages are no list"))?;
    if messages.len() > REPORT_LIMIT {
        return Err(ReportError::malformed("too many reports in one request"));
    }
    // One that cannot be read costs none of the others.
    let readable: Vec<_> = messages
        .iter()
        .filter_map(Value::as_object)
        .filter_map(report)
        .collect();
    if readable.is_empty() {
        return Err(ReportError::malformed("no message has a status"));
    }
    Ok(readable.into_iter().flatten().collect())
}

/// None where the message cannot be read, and inside of it none where it is not one that we sent.
fn report(message: &Map<String, Value>) -> Option<Option<DeliveryReport>> {
    let status = text(message, "status").map(|status| plain(&status));
    let reason = text(message, "reason").map(|reason| plain(&reason));
    if status.is_none() && reason.is_none() {
        return None;
    }
    if status.as_deref() == Some("received") || reason.as_deref() == Some("inbound") {
        return Some(None);
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
    if let Some(reference) = metadata.and_then(|metadata| text(metadata, "reference")) {
        report = report.with_reference_text(&reference);
    }
    report.id = text(message, "messageid").as_deref().and_then(report_id);
    report.recipient =
        text(message, "msisdn").and_then(|number| PhoneNumber::from_msisdn(&number).ok());
    report.code = reason
        .filter(|(_, outcome)| !matches!(outcome, DeliveryStatus::Delivered | DeliveryStatus::Sent))
        .map(|(reason, _)| (*reason).to_owned());
    report.at = text(message, "occurredattime")
        .and_then(|time| DateTime::parse_from_rfc3339(&time).ok())
        .map(|time| time.to_utc());
    Some(Some(report))
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
