//! Version 1 of the REST API, as its SDKs and those who use it speak it.

use postduif_core::{
    DeliveryReport, DeliveryStatus, ErrorKind, Message, PhoneNumber, Reference, ReportError,
    ReportRequest, SendError, Sender,
};
use postduif_http::{BaseUrl, Refusal, Request, Response, query_parameter};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{PROFILE_V1, names, plain, refusal_by_field, refusal_by_status, report_id, text};

pub(crate) const HOST: &str = "https://rest.spryngsms.com";
const MESSAGES_PATH: &str = "/v1/messages";
const BALANCE_PATH: &str = "/v1/balance";
/// The digits of a number as originator.
const LONGEST_NUMBER: usize = 14;

#[derive(Debug)]
pub(crate) struct Api {
    /// The whole `Authorization` header.
    bearer: SecretString,
    route: SecretString,
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

/// What a call for a message has, and the credit that it costs: who complains of another field is not Spryng.
const OWN_FIELDS: [&str; 10] = [
    "balance",
    "body",
    "credit",
    "credits",
    "encoding",
    "originator",
    "recipients",
    "reference",
    "route",
    "scheduled_at",
];

/// The fields of version 1's error shape: an object of lists of text beside `message`. No code is known.
fn fields(body: &Map<String, Value>) -> Option<Vec<&str>> {
    let fields = body.get("errors")?.as_object()?;
    let is_list = |complaints: &Value| {
        complaints.as_array().is_some_and(|complaints| {
            !complaints.is_empty() && complaints.iter().all(Value::is_string)
        })
    };
    let named = || {
        fields
            .keys()
            .filter_map(|name| name.split(['.', '[']).next())
    };
    (!fields.is_empty() && fields.values().all(is_list)).then(|| named().collect())
}

/// What a lone `message` says, which counts at 422 alone: gateways write one too, and name no recipient or
/// credit.
fn refusal_by_message(words: &str) -> Option<Refusal> {
    if names(words, &["credit", "credits"]) {
        return refusal_by_field(&["credits"]);
    }
    if !names(words, &["recipient", "recipients"]) {
        return None;
    }
    // The sender's fault is mentioned with the recipient's country.
    refusal_by_field(match names(words, &["originator", "sender"]) {
        true => &["originator"],
        false => &["recipients"],
    })
}

impl Api {
    pub(crate) fn new(key: &SecretString, route: Option<SecretString>) -> Self {
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
            route: self.route.expose_secret(),
            reference: message.reference().as_str(),
        }))
    }

    fn id(&self, body: &Map<String, Value>) -> Option<String> {
        body.get("id").and_then(Value::as_str).map(str::to_owned)
    }

    fn ids<'a>(&self, body: &'a Map<String, Value>) -> Vec<&'a Value> {
        let wrapped = body.get("data").and_then(|data| data.get("id"));
        body.get("id").into_iter().chain(wrapped).collect()
    }

    fn is_about(&self, body: &Map<String, Value>, message: &Message) -> bool {
        let reference = text(body, "reference");
        let numbers = body.get("recipients").and_then(Value::as_array);
        let is_other = |recipient: &Value| {
            let number = match recipient {
                Value::Object(recipient) => text(recipient, "number"),
                Value::String(number) => Some(number.clone()),
                _ => None,
            };
            let number = number.and_then(|number| PhoneNumber::from_msisdn(&number).ok());
            number.is_some_and(|number| number != message.to())
        };
        reference.is_none_or(|told| told == message.reference().as_str())
            && !numbers.into_iter().flatten().any(is_other)
    }

    fn balance(&self, base: &BaseUrl) -> Request {
        self.authenticated(Request::get(base, BALANCE_PATH))
    }

    /// A number; one SDK has it as text.
    fn is_balance(&self, body: &Map<String, Value>) -> bool {
        text(body, "amount").is_some()
    }

    fn refusal(&self, answer: &Response, message: Option<&Message>) -> Option<Refusal> {
        let body: Map<String, Value> = answer.json().ok()?;
        let words = body.get("message").and_then(Value::as_str)?.trim();
        if words.is_empty() {
            return None;
        }
        let fields = fields(&body);
        if message.is_some() && answer.status() != 422 {
            return None;
        }
        let named = match (answer.status(), &fields) {
            (402, _) => Some(Refusal::new(
                ErrorKind::InsufficientBalance,
                "the account has too few credits",
            )),
            (422, Some(fields)) => refusal_by_field(fields),
            (422, None) => refusal_by_message(words),
            _ => None,
        };
        if message.is_some() {
            let is_lone = body.get("errors").is_none_or(Value::is_null);
            let is_own = fields
                .as_ref()
                .map_or(is_lone && named.is_some(), |fields| {
                    fields.iter().all(|field| OWN_FIELDS.contains(field))
                });
            if !is_own {
                return None;
            }
        }
        // Without a text nothing hangs on who it was that said so.
        Some(named.unwrap_or_else(|| refusal_by_status(answer.status())))
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
            report.id = text(message, "id").as_deref().and_then(report_id);
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
    if let Some(reference) = field(&["reference"])? {
        report = report.with_reference_text(&reference);
    }
    report.id = field(&["id", "message_id", "messageid"])?
        .as_deref()
        .and_then(report_id);
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
