//! REST v1: one id for the request, numbers without a plus, refusals in the shape of a PHP framework.

use chrono::{DateTime, SecondsFormat, Utc};
use hyper::{
    Method, StatusCode,
    header::{ACCEPT, LOCATION},
};
use serde_json::{Value, json};

use super::is_sender;
use crate::{
    fault::{Fault, Strike},
    http::{Request, Response},
    random,
    record::{Extra, SentMessage},
    report::{ReportOrder, ReportStatus},
    segments::Encoding,
    vendor_request::{self, VendorRequest},
    vendors::common::{e164, optional, present, remove, rfc3339, text_within, with_retry_after},
    world::State,
};

/// The name of this API in the records.
pub(super) const API: &str = "v1";

/// The most numbers of a request, and segments of a text. v1 publishes no limits: these are the older APIs'.
const MAX_RECIPIENTS: usize = 1000;
const MAX_SEGMENTS: u32 = 4;

/// A status, a text, and the field that is invalid.
struct Refusal(StatusCode, String, Option<String>);

impl Refusal {
    fn new(status: StatusCode, message: &str) -> Self {
        Self(status, message.to_owned(), None)
    }

    fn field(name: &str, why: &str) -> Self {
        Self(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("The {name} {why}."),
            Some(name.to_owned()),
        )
    }

    fn response(self, request: &Request) -> Response {
        let Self(status, message, field) = self;
        let Some(field) = field else {
            return Response::json(status, &json!({"message": message}));
        };
        // A caller that does not accept JSON is redirected, as a browser is to its form.
        if !request
            .head
            .header(ACCEPT.as_str())
            .is_some_and(|accept| accept.contains("json"))
        {
            return Response::empty(StatusCode::FOUND).with(LOCATION, "/");
        }
        Response::json(
            status,
            &json!({"message": "The given data was invalid.", "errors": {field: [message]}}),
        )
    }
}

pub(super) fn respond(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Response {
    let response =
        handle(state, request, strike, now).unwrap_or_else(|refusal| refusal.response(request));
    with_retry_after(response, strike)
}

fn handle(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let fault = strike.map(|strike| strike.fault);
    if fault == Some(Fault::Throttle) {
        return Err(Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too Many Attempts.",
        ));
    }
    let refused = fault.is_some_and(Fault::refuses_caller);
    if refused || request.head.bearer() != Some("sandbox") {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "Unauthenticated."));
    }
    match (request.head.path().as_slice(), &request.head.method) {
        (["v1", "balance"], &Method::GET) => {
            Ok(Response::json(StatusCode::OK, &json!({"amount": 10.5})))
        }
        (["v1", "messages"], &Method::POST) => send(state, request, fault, now),
        (["v1", "messages"], &Method::GET) => list(state, request),
        (["v1", "messages", id], &Method::GET) => {
            let accepted = state.accepted("spryng", API);
            let messages: Vec<_> = accepted.filter(|message| message.id == *id).collect();
            if messages.is_empty() {
                return Err(Refusal::new(StatusCode::NOT_FOUND, "Not Found"));
            }
            Ok(Response::json(
                StatusCode::OK,
                &resource(&messages, wants_recipients(request)),
            ))
        }
        (["v1", "balance" | "messages"] | ["v1", "messages", _], _) => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "The method is not supported for this route.",
        )),
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, "Not Found")),
    }
}

fn send(
    state: &mut State,
    request: &Request,
    fault: Option<Fault>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let body = request.json().unwrap_or_default();
    let sms = SendRequest::read(&body)?;
    match fault {
        Some(Fault::BadNumber) => return Err(Refusal::field("recipients.0", "is invalid")),
        Some(Fault::Blocked) => return Err(Refusal::field("recipients.0", "is blacklisted")),
        Some(Fault::BadSender) => return Err(Refusal::field("originator", "is invalid")),
        Some(Fault::NoCredit) => {
            return Err(Refusal::new(
                StatusCode::PAYMENT_REQUIRED,
                "Not enough credits.",
            ));
        }
        Some(Fault::EchoText) => {
            let to = sms.recipients.first().map_or("", String::as_str);
            let reason = format!("\"{}\" could not be sent to {to}", sms.text);
            return Err(Refusal::field("body", &reason));
        }
        _ => {}
    }
    let id = random::guid();
    let message = |to: &String| SentMessage {
        reference: sms.reference.clone(),
        parts: sms.parts,
        send_at: sms.send_at,
        extra: Extra {
            api: API,
            shown: json!(sms.encoding),
            ..Extra::default()
        },
        ..SentMessage::new("spryng", to, &sms.originator, &sms.text, &id, now)
    };
    let messages: Vec<_> = sms.recipients.iter().map(message).collect();
    let shown: Vec<_> = messages.iter().collect();
    let mut response = resource(&shown, wants_recipients(request));
    if fault == Some(Fault::OkWithoutId) {
        remove(&mut response, "id");
    }
    let recipients = response.get_mut("recipients").and_then(Value::as_array_mut);
    if let (Some(fault), Some(recipients)) = (fault, recipients) {
        fault.spoil_list(recipients);
    }
    for message in messages {
        state.messages.push(message);
    }
    Ok(Response::json(StatusCode::OK, &response))
}

/// Returns whether the recipients are to be in the response.
fn wants_recipients(request: &Request) -> bool {
    let query = &request.head.query;
    query
        .iter()
        .any(|(name, value)| name.starts_with("with[") && value == "recipients")
}

/// Returns the page of messages that fit the filters, the first one unless the query names another.
fn list(state: &State, request: &Request) -> Result<Response, Refusal> {
    const PER_PAGE: usize = 15;
    let head = &request.head;
    // The vendor's SDKs differ in how they write a filter.
    let filter = |name: &'static str| {
        let in_brackets = format!("filters[{name}]");
        head.query(&in_brackets).or_else(|| head.query(name))
    };
    let time = |name: &'static str| match filter(name).map(DateTime::parse_from_rfc3339) {
        None => Ok(None),
        Some(Ok(time)) => Ok(Some(time.to_utc())),
        Some(Err(_)) => Err(Refusal::field(name, "is not a valid date")),
    };
    let (created_from, created_until) = (time("created_from")?, time("created_until")?);
    let (planned_from, planned_until) = (time("scheduled_from")?, time("scheduled_until")?);
    let within =
        |time: DateTime<Utc>, from: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>| {
            from.is_none_or(|from| time >= from) && until.is_none_or(|until| time <= until)
        };
    let is = |name: &'static str, value: &str| filter(name).is_none_or(|wanted| wanted == value);
    let fits = |message: &&SentMessage| {
        is(
            "reference",
            message.reference.as_deref().unwrap_or_default(),
        ) && is("originator", &message.sender)
            && is("recipient_number", message.to_digits())
            && is("status", state_of(message))
            && within(message.at, created_from, created_until)
            && within(
                message.send_at.unwrap_or(message.at),
                planned_from,
                planned_until,
            )
    };
    let mut ids: Vec<&str> = Vec::new();
    for message in state.accepted("spryng", API).filter(fits) {
        // The texts of one request follow each other.
        if ids.last() != Some(&message.id.as_str()) {
            ids.push(&message.id);
        }
    }
    let pages = ids.len().div_ceil(PER_PAGE).max(1);
    let page = head
        .query("page")
        .and_then(|page| page.parse().ok())
        .unwrap_or(1);
    let start = PER_PAGE.saturating_mul(usize::max(page, 1) - 1);
    let with_recipients = wants_recipients(request);
    let data: Vec<_> = ids
        .iter()
        .skip(start)
        .take(PER_PAGE)
        .map(|id| {
            let accepted = state.accepted("spryng", API);
            let messages: Vec<_> = accepted.filter(|message| message.id == *id).collect();
            resource(&messages, with_recipients)
        })
        .collect();
    let url = |to: bool, page: usize| {
        to.then(|| format!("https://rest.spryngsms.com/v1/messages?page={page}"))
    };
    Ok(Response::json(
        StatusCode::OK,
        &json!({
            "total": ids.len(),
            "per_page": PER_PAGE,
            "current_page": page,
            "last_page": pages,
            "next_page_url": url(page < pages, page.saturating_add(1)),
            "prev_page_url": url(page > 1, page.saturating_sub(1)),
            "from": (!data.is_empty()).then_some(start.saturating_add(1)),
            "to": (!data.is_empty()).then_some(start.saturating_add(data.len())),
            "data": data,
        }),
    ))
}

/// Returns the message of one request, whose recipients have each a state.
fn resource(messages: &[&SentMessage], with_recipients: bool) -> Value {
    let Some(first) = messages.first() else {
        return Value::Null;
    };
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, false);
    let credits: u64 = messages
        .iter()
        .map(|message| u64::from(message.parts))
        .sum();
    let mut resource = json!({
        "id": first.id,
        "encoding": first.extra.shown,
        "originator": first.sender,
        "body": first.text,
        "reference": first.reference,
        "credits": credits,
        "scheduled_at": time(first.send_at.unwrap_or(first.at)),
        "canceled_at": null,
        "created_at": time(first.at),
        "updated_at": time(first.at),
        "links": {"self": format!("https://rest.spryngsms.com/v1/messages/{}", first.id)},
    });
    if with_recipients {
        let recipients = messages.iter().map(|message| {
            let is_sent = message.extra.reported.is_some();
            json!({
                "number": message.to_digits(),
                "status": state_of(message),
                "sent_at": is_sent.then(|| time(message.at)),
            })
        });
        resource["recipients"] = recipients.collect();
    }
    resource
}

/// Returns the state of a recipient.
fn state_of(message: &SentMessage) -> &'static str {
    match message.extra.reported {
        None => "pending",
        Some(ReportStatus::Delivered) => "delivered",
        Some(ReportStatus::Buffered | ReportStatus::Sent) => "sent",
        Some(ReportStatus::Expired | ReportStatus::Failed | ReportStatus::Rejected) => "failed",
        Some(ReportStatus::Unknown) => "unknown",
    }
}

struct SendRequest {
    originator: String,
    text: String,
    parts: u32,
    encoding: &'static str,
    recipients: Vec<String>,
    reference: Option<String>,
    send_at: Option<DateTime<Utc>>,
}

impl SendRequest {
    fn read(body: &Value) -> Result<Self, Refusal> {
        let required = |name| {
            body[name]
                .as_str()
                .filter(|text| !text.is_empty())
                .ok_or_else(|| Refusal::field(name, "field is required"))
        };
        let text = required("body")?;
        let originator = required("originator")?;
        if !is_sender(originator) {
            return Err(Refusal::field("originator", "is invalid"));
        }
        let (encoding, name) = match present(body, "encoding").map(Value::as_str) {
            None | Some(Some("plain")) => (Encoding::Gsm, "plain"),
            Some(Some("unicode")) => (Encoding::Unicode, "unicode"),
            Some(Some("auto")) => (Encoding::Auto, "auto"),
            Some(_) => return Err(Refusal::field("encoding", "is invalid")),
        };
        let (text, parts) = encoding.apply(text);
        if parts > MAX_SEGMENTS {
            return Err(Refusal::field("body", "is too long"));
        }
        let list = body["recipients"]
            .as_array()
            .filter(|list| (1..=MAX_RECIPIENTS).contains(&list.len()))
            .ok_or_else(|| Refusal::field("recipients", "field is required"))?;
        let mut recipients = Vec::with_capacity(list.len());
        for (at, number) in list.iter().enumerate() {
            // "No plus, no 00."
            let number = number.as_str().and_then(e164);
            let wrong = || Refusal::field(&format!("recipients.{at}"), "format is invalid");
            recipients.push(number.ok_or_else(wrong)?);
        }
        let reference = optional(body, "reference", |value| text_within(value, 256))
            .ok()
            .filter(|reference| *reference != Some(""))
            .ok_or_else(|| Refusal::field("reference", "is invalid"))?;
        let send_at = optional(body, "scheduled_at", rfc3339)
            .map_err(|_| Refusal::field("scheduled_at", "is not a valid date"))?;
        Ok(Self {
            originator: originator.to_owned(),
            text,
            parts,
            encoding: name,
            recipients,
            reference: reference.map(str::to_owned),
            send_at,
        })
    }
}

/// Returns an unsigned GET with capitals in its query, as one service in production receives it.
pub(super) fn report(message: &SentMessage, order: &ReportOrder, target: &str) -> VendorRequest {
    let (status, reason) = match order.status {
        ReportStatus::Delivered => ("10", "0"),
        ReportStatus::Expired => ("20", "20"),
        ReportStatus::Failed => ("20", "22"),
        ReportStatus::Rejected => ("20", "31"),
        // Statuses of the older page, whose numbers are not known.
        ReportStatus::Buffered => ("Buffered", "0"),
        ReportStatus::Sent => ("sent", "0"),
        ReportStatus::Unknown => ("99", "0"),
    };
    let fields = vendor_request::form([
        ("STATUS", status),
        ("REASONCODE", order.code.as_deref().unwrap_or(reason)),
        (
            "REFERENCE",
            message.reference.as_deref().unwrap_or_default(),
        ),
    ]);
    VendorRequest::get(vendor_request::with_query(target, &fields))
}
