//! Version 1 of the REST API, as its SDKs and those who use it speak it.

use postduif_core::{
    DeliveryReport, DeliveryStatus, ErrorKind, Message, PhoneNumber, Reference, ReportError,
    ReportRequest, SendError, Sender,
};
use postduif_http::{Answer, BaseUrl, Refusal, Request, query_parameter};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{LONGEST_ID, PROFILE_V1, plain, refusal_by_status, refusal_by_words, text};

pub(crate) const HOST: &str = "https://rest.spryngsms.com";
const MESSAGES_PATH: &str = "/v1/messages";
const BALANCE_PATH: &str = "/v1/balance";
/// The digits of a number as originator.
const LONGEST_NUMBER: usize = 14;

#[derive(Debug)]
pub(crate) struct Api {
    /// The whole `Authorization` header.
    bearer: SecretString,
    route: String,
}

#[derive(Serialize)]
struct SendBody<'a> {
    body: &'a str,
    encoding: &'static str,
    originator: String,
    /// Digits alone, and one number: there is one id for all.
    recipients: [String; 1],
    route: &'a str,
    reference: &'a str,
}

/// A sender as version 1 takes it: a number without its plus, and none that is too long.
pub(crate) fn originator(sender: &Sender) -> Option<String> {
    match sender.number() {
        Some(number) => {
            Some(number.digits().to_string()).filter(|digits| digits.len() <= LONGEST_NUMBER)
        }
        None => Some(sender.to_string()),
    }
}

/// What Spryng's words or the names of its fields name, at 422. No code of version 1 is known.
static NAMED: &[(&str, ErrorKind, &str)] = &[
    (
        "recipient",
        ErrorKind::InvalidRecipient,
        "the number is not valid",
    ),
    (
        "credit",
        ErrorKind::InsufficientBalance,
        "the account has too few credits",
    ),
];

/// Where a lone `message` is no proof: gateways write it too, on a key that they refuse (401, 403) and on
/// requests that they give up on themselves, perhaps after Spryng has the text (408, 421, 425).
static LONE_MESSAGE_PROVES_NOTHING: [u16; 5] = [401, 403, 408, 421, 425];

impl Api {
    pub(crate) fn new(key: &SecretString, route: Option<String>) -> Self {
        Self {
            bearer: format!("Bearer {}", key.expose_secret()).into(),
            route: route.unwrap_or_else(|| "business".into()),
        }
    }

    /// Without `Accept` the framework behind it may redirect where a field is wrong.
    fn authenticated(&self, request: Request) -> Request {
        request
            .with_secret_header("authorization", &self.bearer)
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
        let originator = sender.and_then(originator).ok_or(SendError::not_accepted(
            ErrorKind::InvalidSender,
            "version 1 takes a number of at most 14 digits as sender",
        ))?;
        let request = self.authenticated(Request::post(base, MESSAGES_PATH));
        Ok(request.with_json(&SendBody {
            body: message.text().as_str(),
            encoding: "auto",
            originator,
            recipients: [message.to().digits().to_string()],
            route: &self.route,
            reference: message.reference().as_str(),
        }))
    }

    fn id(&self, answer: &Answer) -> Result<Option<String>, SendError> {
        let body: Map<String, Value> = answer.json()?;
        Ok(body.get("id").and_then(Value::as_str).map(str::to_owned))
    }

    fn balance(&self, base: &BaseUrl) -> Request {
        self.authenticated(Request::get(base, BALANCE_PATH))
    }

    /// A number; one SDK has it as text.
    fn is_balance(&self, body: &Map<String, Value>) -> bool {
        text(body, "amount").is_some()
    }

    fn refusal(&self, answer: &Answer, message: Option<&Message>) -> Option<Refusal> {
        let body: Map<String, Value> = answer.json().ok()?;
        let words = body
            .get("message")
            .and_then(Value::as_str)
            .filter(|words| !words.is_empty());
        let errors = body.get("errors").filter(|errors| match errors {
            Value::Object(fields) => !fields.is_empty(),
            Value::Array(entries) => !entries.is_empty(),
            _ => false,
        });
        // Without a text nothing hangs on who it was that said so.
        let lone_is_enough =
            message.is_none() || !LONE_MESSAGE_PROVES_NOTHING.contains(&answer.status());
        let spoken = errors.is_some() || (words.is_some() && lone_is_enough);
        if !spoken {
            return None;
        }
        let by_words = match answer.status() {
            402 => Some(Refusal::new(
                ErrorKind::InsufficientBalance,
                "the account has too few credits",
            )),
            422 => {
                let errors = errors.map(Value::to_string).unwrap_or_default();
                refusal_by_words(NAMED, &[words.unwrap_or_default(), &errors].join(" "))
            }
            _ => None,
        };
        Some(by_words.unwrap_or_else(|| refusal_by_status(answer.status())))
    }

    /// The filter is written in both ways that the official SDKs know; they disagree on it.
    fn look_up(&self, base: &BaseUrl, reference: &Reference) -> Option<Request> {
        let request = self.authenticated(Request::get(base, MESSAGES_PATH));
        Some(
            request
                .with_query("reference", reference.as_str())
                .with_query("filters[reference]", reference.as_str())
                .with_query("with[]", "recipients"),
        )
    }
}

/// What a list of messages holds under this reference. That it holds nothing is believed only where the list
/// is whole or was filtered.
pub(crate) fn listed(
    body: &Map<String, Value>,
    reference: &Reference,
) -> Result<Vec<DeliveryReport>, SendError> {
    let protocol = |words| SendError::unknown(ErrorKind::Protocol, words);
    let messages = body
        .get("data")
        .and_then(Value::as_array)
        .ok_or(protocol("the answer is no list of messages"))?;
    let mut reports = Vec::new();
    for message in messages {
        let message = message
            .as_object()
            .ok_or(protocol("the answer is no list of messages"))?;
        if text(message, "reference").as_deref() != Some(reference.as_str()) {
            continue;
        }
        let report = |state: &Map<String, Value>| {
            let status = text(state, "status").unwrap_or_default();
            let mut report = DeliveryReport::new(PROFILE_V1.owned_name(), status_of(&status));
            report.reference = Some(*reference);
            report.id = text(message, "id").filter(|id| id.len() <= LONGEST_ID);
            report.recipient =
                text(state, "number").and_then(|number| PhoneNumber::from_msisdn(&number).ok());
            report
        };
        let recipients = message.get("recipients").and_then(Value::as_array);
        let recipients = recipients.map_or(&[][..], Vec::as_slice);
        match recipients.is_empty() {
            true => reports.push(report(message)),
            false => reports.extend(recipients.iter().filter_map(Value::as_object).map(report)),
        }
    }
    let number = |name| body.get(name).and_then(Value::as_u64);
    let shown = u64::try_from(messages.len()).unwrap_or(u64::MAX);
    let more = body.get("next_page_url").is_some_and(Value::is_string)
        || number("last_page").is_some_and(|last| last > number("current_page").unwrap_or(1))
        || number("total").is_some_and(|total| total > shown);
    if reports.is_empty() && more {
        return Err(protocol("the list is longer than what was shown of it"));
    }
    Ok(reports)
}

/// A report: a GET with its parameters in the query, as a public service takes them, or a POST with a form or
/// JSON in case Spryng sends one. The names are in capitals there; their case does not count.
pub(crate) fn reports(request: &ReportRequest<'_>) -> Result<Vec<DeliveryReport>, ReportError> {
    let body = str::from_utf8(request.body())
        .map_err(|_| ReportError::malformed("the report is not text"))?
        .trim();
    let (form, json) = match body.starts_with(['{', '[']) {
        true => (
            String::new(),
            serde_json::from_str(body)
                .map_err(|_| ReportError::malformed("the report is no JSON object"))?,
        ),
        false => (format!("?{body}"), Map::new()),
    };
    let field = |names: &[&str]| -> Result<Option<String>, ReportError> {
        for name in names {
            let found = match parameter(request.url(), name)? {
                Some(value) => Some(value),
                None => parameter(&form, name)?.or_else(|| text(&json, name)),
            };
            if found.as_ref().is_some_and(|value| !value.is_empty()) {
                return Ok(found);
            }
        }
        Ok(None)
    };
    let status = field(&["status"])?.ok_or(ReportError::malformed("the report tells no status"))?;
    let mut report = DeliveryReport::new(PROFILE_V1.owned_name(), status_of(&status));
    report.reference = field(&["reference"])?.and_then(|reference| reference.parse().ok());
    report.id = field(&["id", "message_id", "messageid"])?.filter(|id| id.len() <= LONGEST_ID);
    report.recipient = field(&["recipient", "number", "destination"])?
        .and_then(|number| PhoneNumber::from_msisdn(&number).ok());
    // 0 is none; 20 unreachable, 21 a wrong number, 22 a failure, 31 a block list, 32 the sender.
    report.code = field(&["reasoncode"])?.filter(|code| {
        (1..=3).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_digit())
            && code != "0"
    });
    Ok(vec![report])
}

/// A parameter of a query whatever the case of its name.
fn parameter(url: &str, name: &str) -> Result<Option<String>, ReportError> {
    let query = url.split('#').next().unwrap_or_default();
    let query = query.split_once('?').map_or("", |(_, query)| query);
    let written: Vec<_> = query
        .split('&')
        .filter_map(|pair| pair.split('=').next())
        .filter(|known| known.eq_ignore_ascii_case(name))
        .collect();
    match written[..] {
        [] => Ok(None),
        [written] => Ok(query_parameter(url, written)?.map(|value| value.trim().to_owned())),
        _ => Err(ReportError::malformed(
            "a query parameter stands there twice",
        )),
    }
}

fn status_of(word: &str) -> DeliveryStatus {
    let word = plain(word);
    let known = STATUSES.iter().find(|(known, _)| *known == word);
    known.map_or(DeliveryStatus::Unknown, |(_, status)| *status)
}

/// How far a text has come: the numbers of a service in use, the words of the old product's page, and the
/// states of a look-up.
static STATUSES: &[(&str, DeliveryStatus)] = &[
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
