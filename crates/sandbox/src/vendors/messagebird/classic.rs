//! Classic, REST v1: one text for up to fifty numbers, with one id and one reference for all.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};
use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::{
    digest,
    fault::{Fault, Strike},
    http::{Request, Response},
    inbound::InboundText,
    proof::Proof,
    random,
    record::{Extra, SentMessage},
    report::{ReportOrder, ReportStatus},
    segments::{Encoding, is_gsm},
    vendor_request::{self, VendorRequest},
    vendors::common::{e164, is_digits, optional, present, remove, rfc3339, with_retry_after},
    world::State,
};

/// The name of this API in the records.
pub(super) const API: &str = "classic";

/// The most numbers of a request, and segments of a text.
const MAX_RECIPIENTS: usize = 50;
const MAX_SEGMENTS: u32 = 9;

/// The most messages of a page, which is ours.
const MAX_PAGE: usize = 200;

struct Refusal {
    status: StatusCode,
    code: u8,
    description: String,
    parameter: Option<&'static str>,
}

impl Refusal {
    fn new(status: StatusCode, code: u8, description: &str) -> Self {
        Self {
            status,
            code,
            description: description.to_owned(),
            parameter: None,
        }
    }

    fn missing(parameter: &'static str, description: &str) -> Self {
        Self {
            parameter: Some(parameter),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, 9, description)
        }
    }

    fn invalid(parameter: &'static str) -> Self {
        Self {
            code: 10,
            ..Self::missing(parameter, &format!("{parameter} is invalid"))
        }
    }

    fn recipients() -> Self {
        Self::missing("recipient", "no (correct) recipients found")
    }

    fn response(self) -> Response {
        Response::json(
            self.status,
            &json!({"errors": [{
                "code": self.code,
                "description": self.description,
                "parameter": self.parameter,
            }]}),
        )
    }
}

pub(super) fn respond(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Response {
    if strike.is_some_and(|strike| strike.fault == Fault::Throttle) {
        return with_retry_after(Response::empty(StatusCode::TOO_MANY_REQUESTS), strike);
    }
    let refused = strike.is_some_and(|strike| strike.fault.refuses_caller());
    if refused || request.head.access_key() != Some("sandbox") {
        return Refusal {
            parameter: Some("access_key"),
            ..Refusal::new(
                StatusCode::UNAUTHORIZED,
                2,
                "Request not allowed (incorrect access_key)",
            )
        }
        .response();
    }
    match (request.head.path().as_slice(), &request.head.method) {
        (["balance"], &Method::GET) => Response::json(
            StatusCode::OK,
            &json!({"payment": "prepaid", "type": "euros", "amount": 42.5}),
        ),
        (["messages"], &Method::POST) => {
            send(state, request, strike, now).unwrap_or_else(Refusal::response)
        }
        (["messages"], &Method::GET) => list(state, request).unwrap_or_else(Refusal::response),
        (["messages", id], &Method::GET) => {
            let accepted = state.accepted("messagebird", API);
            let messages: Vec<_> = accepted.filter(|message| message.id == *id).collect();
            match messages.is_empty() {
                true => Refusal::new(StatusCode::NOT_FOUND, 20, "message not found").response(),
                false => Response::json(StatusCode::OK, &read_later(&messages)),
            }
        }
        (["balance" | "messages"], _) => {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, 98, "API not found").response()
        }
        (["messages", _], _) => {
            Refusal::new(StatusCode::NOT_FOUND, 20, "message not found").response()
        }
        _ => Refusal::new(StatusCode::NOT_FOUND, 98, "API not found").response(),
    }
}

fn send(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let fault = strike.map(|strike| strike.fault);
    // JSON by the documentation; old clients send forms, which work.
    let body = if request.head.is("application/x-www-form-urlencoded") {
        let fields = request.form().into_iter();
        Value::Object(
            fields
                .map(|(name, value)| (name, value.into()))
                .collect::<Map<_, _>>(),
        )
    } else {
        request
            .json_object()
            .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, 21, "Bad request"))?
    };
    if fault == Some(Fault::NoCredit) {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Refusal::new(status, 25, "Not enough balance"));
    }
    let sms = SendRequest::read(&body)?;
    match fault {
        // Classic has no response for a blocked recipient: it finds no recipient.
        Some(Fault::BadNumber | Fault::Blocked) => return Err(Refusal::recipients()),
        Some(Fault::BadSender) => return Err(Refusal::invalid("originator")),
        Some(Fault::EchoText) => {
            let to = sms.recipients.first().map_or("", String::as_str);
            return Err(Refusal {
                description: format!("could not send \"{}\" to {to}", sms.body),
                ..Refusal::invalid("body")
            });
        }
        _ => {}
    }

    let id = random::hex_id();
    let message = |to: &String| SentMessage {
        reference: sms.reference.clone(),
        parts: sms.parts,
        validity_s: sms.validity_s,
        send_at: sms.send_at,
        extra: Extra {
            api: API,
            report_url: sms.report_url.clone(),
            shown: json!(sms.datacoding),
            ..Extra::default()
        },
        ..SentMessage::new("messagebird", to, &sms.originator, &sms.body, &id, now)
    };
    let messages: Vec<_> = sms.recipients.iter().map(message).collect();
    let mut response = resource(&messages.iter().collect::<Vec<_>>());
    if let (Some(fault), Some(items)) = (fault, response["recipients"]["items"].as_array_mut()) {
        fault.spoil_list(items);
    }
    if fault == Some(Fault::OkWithoutId) {
        remove(&mut response, "id");
        remove(&mut response, "href");
    }
    for message in messages {
        state.messages.push(message);
    }
    Ok(Response::json(StatusCode::CREATED, &response))
}

/// Returns the message of one request, which has an item for each recipient.
fn resource(messages: &[&SentMessage]) -> Value {
    let Some(first) = messages.first() else {
        return Value::Null;
    };
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, false);
    let items = messages.iter().map(|message| {
        let (status, ..) = status_of(message);
        // A number without a plus.
        let digits: u64 = message.to_digits().parse().unwrap_or_default();
        json!({
            "recipient": digits,
            "status": status,
            "statusDatetime": (status != "scheduled").then(|| time(message.at)),
            "messagePartCount": message.parts,
        })
    });
    let items: Vec<_> = items.collect();
    let with = |wanted: &[&str]| {
        let fits = |message: &&&SentMessage| wanted.contains(&status_of(message).0);
        messages.iter().filter(fits).count()
    };
    json!({
        "id": first.id,
        "href": format!("https://rest.messagebird.com/messages/{}", first.id),
        "direction": "mt",
        "type": "sms",
        "originator": first.sender,
        "body": first.text,
        "reference": first.reference,
        "reportUrl": first.extra.report_url,
        "validity": first.validity_s,
        "gateway": 10,
        "typeDetails": {},
        "datacoding": first.extra.shown,
        "mclass": 1,
        "scheduledDatetime": first.send_at.map(time),
        "createdDatetime": time(first.at),
        "recipients": {
            "totalCount": messages.len(),
            "totalSentCount": messages.len() - with(&["scheduled"]),
            "totalDeliveredCount": with(&["delivered"]),
            "totalDeliveryFailedCount": with(&["delivery_failed", "expired"]),
            "items": items,
        },
    })
}

/// Returns a message as a look-up shows it: its items have more members.
fn read_later(messages: &[&SentMessage]) -> Value {
    let mut shown = resource(messages);
    let items = shown["recipients"]["items"].as_array_mut();
    for (item, message) in items.into_iter().flatten().zip(messages) {
        let (_, reason, code) = status_of(message);
        let code: Option<u16> = code.parse().ok();
        item["recipientCountry"] = json!("Netherlands");
        item["recipientCountryPrefix"] = json!(31);
        item["recipientOperator"] = json!("KPN");
        item["messageLength"] = json!(message.text.chars().count());
        item["statusErrorCode"] = json!(code);
        item["statusReason"] = json!(reason);
        item["price"] = json!({"amount": 0.07, "currency": "EUR"});
        item["mccmnc"] = json!("20408");
        item["mcc"] = json!("204");
        item["mnc"] = json!("08");
    }
    shown
}

/// Returns a page of the messages that fit the filters, the newest first. There is no filter by reference.
fn list(state: &State, request: &Request) -> Result<Response, Refusal> {
    let query = |name: &'static str| request.head.query(name);
    let number = |name, default| match query(name).map(str::parse) {
        None => Ok(default),
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(Refusal::invalid(name)),
    };
    let time = |name| match query(name).map(DateTime::parse_from_rfc3339) {
        None => Ok(None),
        Some(Ok(time)) => Ok(Some(time.to_utc())),
        Some(Err(_)) => Err(Refusal::invalid(name)),
    };
    let (offset, limit): (usize, usize) = (number("offset", 0)?, number("limit", 20)?);
    let (from, until) = (time("from")?, time("until")?);
    let is = |name, value: &str| query(name).is_none_or(|wanted| wanted == value);
    let fits = |message: &&SentMessage| {
        is("originator", &message.sender)
            && is("recipient", message.to_digits())
            && is("direction", "mt")
            && is("type", "sms")
            && is("status", status_of(message).0)
            && query("searchterm").is_none_or(|term| message.text.contains(term))
            && query("contact_id").is_none()
            && from.is_none_or(|from| message.at >= from)
            && until.is_none_or(|until| message.at <= until)
    };
    let mut ids: Vec<&str> = Vec::new();
    for message in state.accepted("messagebird", API).rev().filter(fits) {
        // The texts of one request follow each other.
        if ids.last() != Some(&message.id.as_str()) {
            ids.push(&message.id);
        }
    }
    let page = ids.iter().skip(offset).take(limit.min(MAX_PAGE));
    let items: Vec<_> = page
        .map(|id| {
            let accepted = state.accepted("messagebird", API);
            let messages: Vec<_> = accepted.filter(|message| message.id == *id).collect();
            read_later(&messages)
        })
        .collect();
    Ok(Response::json(
        StatusCode::OK,
        &json!({
            "offset": offset,
            "limit": limit,
            "count": items.len(),
            "totalCount": ids.len(),
            "links": {"first": null, "previous": null, "next": null, "last": null},
            "items": items,
        }),
    ))
}

/// Returns the status of a text, its reason, and the number of its error.
fn status_of(message: &SentMessage) -> (&'static str, &'static str, &'static str) {
    match (message.extra.reported, message.send_at) {
        (Some(status), _) => words(status),
        (None, Some(_)) => ("scheduled", "", ""),
        (None, None) => words(ReportStatus::Sent),
    }
}

/// Returns a status, its reason, and the number of its error.
fn words(status: ReportStatus) -> (&'static str, &'static str, &'static str) {
    match status {
        ReportStatus::Sent => ("sent", "pending DLR", ""),
        ReportStatus::Buffered => ("buffered", "unavailable subscriber", "27"),
        ReportStatus::Delivered => ("delivered", "successfully delivered", ""),
        ReportStatus::Expired => ("expired", "expired", ""),
        ReportStatus::Failed => ("delivery_failed", "unknown subscriber", "1"),
        ReportStatus::Rejected => ("delivery_failed", "carrier rejected", "104"),
        ReportStatus::Unknown => ("unheard_of", "", ""),
    }
}

struct SendRequest {
    originator: String,
    /// In E.164, without duplicates.
    recipients: Vec<String>,
    body: String,
    parts: u32,
    datacoding: &'static str,
    reference: Option<String>,
    report_url: Option<String>,
    validity_s: Option<u64>,
    send_at: Option<DateTime<Utc>>,
}

impl SendRequest {
    fn read(body: &Value) -> Result<Self, Refusal> {
        let text = |name: &'static str| match present(body, name) {
            None => Ok(None),
            Some(value) => match value.as_str() {
                // The limit is ours, so that a caller cannot fill the sandbox's memory.
                Some(text) if text.len() <= 2048 => Ok(Some(text)),
                _ => Err(Refusal::invalid(name)),
            },
        };
        let originator = text("originator")?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Refusal::missing("originator", "originator is required"))?;
        if !is_originator(originator) {
            return Err(Refusal::invalid("originator"));
        }
        let words = match present(body, "body").map(Value::as_str) {
            None | Some(Some("")) => return Err(Refusal::missing("body", "body is required")),
            Some(None) => return Err(Refusal::invalid("body")),
            Some(Some(text)) => text,
        };
        let encoding = match text("datacoding")? {
            // The default, which replaces other characters without an error.
            None | Some("plain") => Encoding::Gsm,
            Some("unicode") => Encoding::Unicode,
            Some("auto") => Encoding::Auto,
            Some(_) => return Err(Refusal::invalid("datacoding")),
        };
        let datacoding = match encoding {
            Encoding::Unicode => "unicode",
            Encoding::Auto if !is_gsm(words) => "unicode",
            Encoding::Auto | Encoding::Gsm => "plain",
        };
        let (words, parts) = encoding.apply(words);
        if parts > MAX_SEGMENTS {
            return Err(Refusal::invalid("body"));
        }
        if !matches!(text("type")?, None | Some("sms" | "flash")) {
            return Err(Refusal::invalid("type"));
        }
        let seconds = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let validity_s =
            optional(body, "validity", seconds).map_err(|_| Refusal::invalid("validity"))?;
        let send_at = optional(body, "scheduledDatetime", rfc3339)
            .map_err(|_| Refusal::invalid("scheduledDatetime"))?;
        let report_url = text("reportUrl")?;
        if report_url.is_some_and(|url| !url.starts_with("http")) {
            return Err(Refusal::invalid("reportUrl"));
        }
        Ok(Self {
            originator: originator.to_owned(),
            recipients: recipients(body)?,
            body: words,
            parts,
            datacoding,
            reference: text("reference")?.map(str::to_owned),
            report_url: report_url.map(str::to_owned),
            validity_s,
            send_at,
        })
    }
}

/// Reads a list, or one string with commas. Invalid numbers are dropped; having no other is an error.
fn recipients(body: &Value) -> Result<Vec<String>, Refusal> {
    let written: Vec<String> = match present(body, "recipients") {
        None => return Err(Refusal::missing("recipients", "recipients is required")),
        Some(Value::String(list)) => list.split(',').map(|one| one.trim().to_owned()).collect(),
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|one| match one {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
            .collect(),
        Some(_) => return Err(Refusal::invalid("recipients")),
    };
    if written.len() > MAX_RECIPIENTS {
        return Err(Refusal::invalid("recipients"));
    }
    let mut numbers = Vec::with_capacity(written.len());
    for number in written {
        match e164(number.strip_prefix('+').unwrap_or(&number)) {
            Some(number) if !numbers.contains(&number) => numbers.push(number),
            _ => {}
        }
    }
    if numbers.is_empty() {
        return Err(Refusal::recipients());
    }
    Ok(numbers)
}

/// Returns whether this is a number with or without a plus, or words of letters and digits of at most eleven
/// characters together.
fn is_originator(originator: &str) -> bool {
    let digits = originator.strip_prefix('+').unwrap_or(originator);
    if is_digits(digits) {
        return digits.len() <= 15;
    }
    originator.len() <= 11
        && originator
            .split(' ')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Returns a GET with all fields in its query, or `None` for a text without a reference, which has no reports.
pub(super) fn report(
    message: &SentMessage,
    order: &ReportOrder,
    target: &str,
    now: DateTime<Utc>,
) -> Option<VendorRequest> {
    let reference = message.reference.as_deref()?;
    let (status, reason, code) = words(order.status);
    let code = order.code.as_deref().unwrap_or(code);
    let at = now.to_rfc3339_opts(SecondsFormat::Secs, false);
    let length = message.text.chars().count().to_string();
    let parts = message.parts.to_string();
    let mut fields = vec![
        ("id", message.id.as_str()),
        ("reference", reference),
        ("recipient", message.to_digits()),
        ("status", status),
        ("statusDatetime", &at),
        ("mccmnc", "20408"),
        ("ported", "0"),
        ("messageLength", &length),
        ("messagePartCount", &parts),
        ("datacoding", "plain"),
        ("price[amount]", "0.070"),
        ("price[currency]", "EUR"),
    ];
    if !reason.is_empty() {
        fields.push(("statusReason", reason));
    }
    if !code.is_empty() {
        fields.push(("statusErrorCode", code));
    }
    let url = vendor_request::with_query(target, &vendor_request::form(fields));
    Some(signed(VendorRequest::get(url), &order.proof, now))
}

/// Returns a form, as an integration in the field receives it.
pub(super) fn inbound(text: &InboundText<'_>, target: &str) -> VendorRequest {
    let (seconds, id) = (text.now.timestamp().to_string(), random::hex_id());
    let (message_id, at) = (
        random::hex_id(),
        text.now.to_rfc3339_opts(SecondsFormat::Secs, false),
    );
    let body = vendor_request::form([
        ("receiver", text.recipient_digits()),
        ("sender", text.sender_digits()),
        ("message", text.text),
        ("date_utc", &seconds),
        ("reference", ""),
        ("id", &id),
        ("message_id", &message_id),
        ("recipient", text.recipient_digits()),
        ("originator", text.sender_digits()),
        ("body", text.text),
        ("createdDatetime", &at),
    ]);
    let form = "application/x-www-form-urlencoded";
    let request = VendorRequest::post(target.to_owned(), form, body);
    signed(request, text.proof, text.now)
}

/// Signs a request over its URL and its body.
fn signed(request: VendorRequest, proof: &Proof, now: DateTime<Utc>) -> VendorRequest {
    let seconds = now.timestamp();
    let body_hash = digest::sha256(request.body.as_bytes());
    let mut claims = json!({
        "iss": "MessageBird",
        "nbf": seconds,
        "exp": seconds + 60,
        "jti": random::guid(),
        "url_hash": digest::hex(&digest::sha256(request.url.as_bytes())),
    });
    if !request.body.is_empty() {
        claims["payload_hash"] = json!(digest::hex(&body_hash));
    }
    let jwt = digest::hs256(&claims, proof.secret());

    // The older signature is sent too: over the time, the sorted query, and the body's hash.
    let (_, query) = request.url.split_once('?').unwrap_or_default();
    let mut sorted = crate::http::pairs(query);
    sorted.sort();
    let sorted = sorted
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let mut signed = format!("{seconds}\n{}\n", vendor_request::form(sorted)).into_bytes();
    signed.extend(body_hash);
    let signature = STANDARD.encode(digest::hmac_sha256(proof.secret(), &signed));
    request
        .with("MessageBird-Signature-JWT", jwt)
        .with("MessageBird-Signature", signature)
        .with("MessageBird-Request-Timestamp", seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_originator_is_words_or_a_number() {
        for good in ["Acme", "My Shop 1", "31612345678", "+31612345678"] {
            assert!(is_originator(good), "{good}");
        }
        for bad in [
            "TwelveLetter",
            "Ac-me",
            " Acme",
            "Zoë",
            "+",
            "1234567890123456",
        ] {
            assert!(!is_originator(bad), "{bad}");
        }
    }

    #[test]
    fn invalid_numbers_and_duplicates_are_dropped() {
        let read = |recipients: Value| recipients_of(&recipients);
        assert_eq!(
            read(json!("31612345678,x")),
            Some(vec!["+31612345678".into()])
        );
        assert_eq!(
            read(json!(["+31612345678", 31_612_345_678_u64, null])),
            Some(vec!["+31612345678".into()])
        );
        assert_eq!(read(json!(["x"])), None);
        assert_eq!(read(json!(vec!["31612345678"; 51])), None);
    }

    fn recipients_of(list: &Value) -> Option<Vec<String>> {
        recipients(&json!({"recipients": list})).ok()
    }
}
