//! Channels (2023): one text through a channel of a workspace, which is the sender.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    digest,
    fault::{Fault, Strike},
    http::{Request, Response},
    inbound::InboundText,
    proof::Proof,
    random,
    record::{Extra, SentMessage},
    report::{ReportOrder, ReportStatus},
    segments,
    vendor_request::VendorRequest,
    vendors::common::{e164, optional, present, remove, with_retry_after},
    world::State,
};

/// The name of this API in the records.
pub(super) const API: &str = "channels";

/// The largest body: "200 KB per request."
const MAX_BYTES: usize = 200 * 1000;

/// The sender of the only channel.
const SENDER: &str = "Postduif";

/// A refusal in the shape that the pages suggest: `code`, `message`, and `details` by path.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
    details: Value,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self {
            status,
            code,
            message,
            details: json!({}),
        }
    }

    fn invalid(path: &str, why: &str) -> Self {
        Self {
            details: json!({path: [why]}),
            ..Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "InvalidPayload",
                "One or more fields of the payload are invalid",
            )
        }
    }

    fn recipient() -> Self {
        Self::invalid(
            "receiver.contacts[0].identifierValue",
            "must be a phone number in E.164",
        )
    }

    fn response(self) -> Response {
        Response::json(
            self.status,
            &json!({"code": self.code, "message": self.message, "details": self.details}),
        )
    }
}

pub(super) fn respond(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Response {
    let response = handle(state, request, strike, now).unwrap_or_else(Refusal::response);
    with_retry_after(response, strike)
}

/// Returns the only channel.
fn channel() -> Value {
    json!({
        "id": "sandbox",
        "name": SENDER,
        "platformId": "sms-messagebird",
        "status": "active",
    })
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
            "TooManyRequests",
            "The rate limit was exceeded, the request was not processed",
        ));
    }
    let refused = fault.is_some_and(Fault::refuses_caller);
    if refused || request.head.access_key() != Some("sandbox") {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "Unauthorized",
            "The access key is missing, wrong, or lacks the role",
        ));
    }
    match (request.head.path().as_slice(), &request.head.method) {
        (["workspaces", "sandbox", "channels"], &Method::GET) => Ok(Response::json(
            StatusCode::OK,
            &json!({ "results": [channel()] }),
        )),
        (["workspaces", "sandbox", "channels", "sandbox"], &Method::GET) => {
            Ok(Response::json(StatusCode::OK, &channel()))
        }
        (["workspaces", "sandbox", "channels", "sandbox", "messages"], &Method::POST) => {
            send(state, request, fault, now)
        }
        (
            [
                "workspaces",
                "sandbox",
                "channels",
                "sandbox",
                "messages",
                id,
            ],
            &Method::GET,
        ) => {
            let mut accepted = state.accepted("messagebird", API);
            let message = accepted.find(|message| message.id == *id);
            let message = message.ok_or_else(|| {
                Refusal::new(
                    StatusCode::NOT_FOUND,
                    "ResourceNotFound",
                    "The message does not exist",
                )
            })?;
            let (status, failure) = match message.extra.reported {
                None => ("accepted", None),
                Some(status) => words(status),
            };
            Ok(Response::json(
                StatusCode::OK,
                &with_failure(message, status, failure, None, now),
            ))
        }
        (["workspaces", "sandbox", "channels", "sandbox", ..], _) => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "The method is not allowed here",
        )),
        _ => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            "The workspace or the channel does not exist",
        )),
    }
}

fn send(
    state: &mut State,
    request: &Request,
    fault: Option<Fault>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    if request.body.len() > MAX_BYTES {
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "PayloadTooLarge",
            "The payload is too large",
        ));
    }
    let body = request.json_object().ok_or_else(|| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "InvalidPayload",
            "The payload is not JSON",
        )
    })?;
    if fault == Some(Fault::NoCredit) {
        return Err(Refusal::new(
            StatusCode::PAYMENT_REQUIRED,
            "InsufficientBalance",
            "The balance is too low",
        ));
    }
    let message = read(&body, now)?;
    match fault {
        Some(Fault::BadNumber) => return Err(Refusal::recipient()),
        Some(Fault::BadSender) => {
            return Err(Refusal::invalid("channelId", "the channel may not send"));
        }
        Some(Fault::Blocked) => {
            return Err(Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "ContactUnsubscribed",
                "The receiver does not want messages",
            ));
        }
        Some(Fault::EchoText) => {
            let why = format!("could not send \"{}\" to {}", message.text, message.to);
            return Err(Refusal::invalid("body.text.text", &why));
        }
        _ => {}
    }
    let mut response = describe(&message, "accepted", "", now);
    if fault == Some(Fault::OkWithoutId) {
        remove(&mut response, "id");
    }
    state.messages.push(message);
    Ok(Response::json(StatusCode::ACCEPTED, &response))
}

fn read(body: &Value, now: DateTime<Utc>) -> Result<SentMessage, Refusal> {
    let [contact] = body["receiver"]["contacts"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
    else {
        return Err(Refusal::invalid(
            "receiver.contacts",
            "must hold one contact",
        ));
    };
    if !matches!(
        present(contact, "identifierKey").map(Value::as_str),
        None | Some(Some("phonenumber"))
    ) {
        return Err(Refusal::invalid(
            "receiver.contacts[0].identifierKey",
            "must be phonenumber",
        ));
    }
    let to = contact["identifierValue"]
        .as_str()
        .and_then(|number| e164(number.strip_prefix('+')?))
        .ok_or_else(Refusal::recipient)?;
    if present(body, "template").is_some() || body["body"]["type"] != "text" {
        return Err(Refusal::invalid("body.type", "must be text"));
    }
    let text = body["body"]["text"]["text"]
        .as_str()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::invalid("body.text.text", "is required"))?;
    // The limit is not documented: this is that of classic, which delivers these texts.
    if segments::count(text) > 9 {
        return Err(Refusal::invalid("body.text.text", "is too long"));
    }
    let reference = optional(body, "reference", Value::as_str)
        .ok()
        .filter(|reference| reference.is_none_or(|text| text.len() <= 2048))
        .ok_or_else(|| Refusal::invalid("reference", "must be a string"))?;
    Ok(SentMessage {
        reference: reference.map(str::to_owned),
        extra: Extra {
            api: API,
            ..Extra::default()
        },
        ..SentMessage::new("messagebird", &to, SENDER, text, &random::guid(), now)
    })
}

/// Returns a message as it is in responses and reports.
fn describe(message: &SentMessage, status: &str, reason: &str, now: DateTime<Utc>) -> Value {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    json!({
        "id": message.id,
        "channelId": "sandbox",
        "receiver": {"contacts": [{
            "identifierKey": "phonenumber",
            "identifierValue": message.to,
        }]},
        "body": {"type": "text", "text": {"text": message.text}},
        "reference": message.reference,
        "parts": [],
        "status": status,
        "reason": reason,
        "direction": "outgoing",
        "createdAt": time(message.at),
        "lastStatusAt": time(now),
    })
}

/// Returns the event `sms.outbound`.
pub(super) fn report(
    message: &SentMessage,
    order: &ReportOrder,
    target: &str,
    now: DateTime<Utc>,
) -> VendorRequest {
    let (status, failure) = words(order.status);
    let payload = with_failure(message, status, failure, order.code.as_deref(), now);
    signed("sms.outbound", &payload, target, &order.proof, now)
}

/// A group, a number and a reason.
type Failure = (u32, &'static str, &'static str);

/// Returns a status, and why it failed.
fn words(status: ReportStatus) -> (&'static str, Option<Failure>) {
    match status {
        ReportStatus::Sent => ("sent", None),
        ReportStatus::Delivered => ("delivered", None),
        ReportStatus::Expired => (
            "delivery_failed",
            Some((15_003, "27", "unavailable_subscriber")),
        ),
        ReportStatus::Failed => ("delivery_failed", Some((15_005, "1", "unknown_subscriber"))),
        ReportStatus::Rejected => ("rejected", Some((15_004, "104", "carrier_rejected"))),
        // Neither has a documented status.
        ReportStatus::Buffered => ("buffered", None),
        ReportStatus::Unknown => ("unknown", None),
    }
}

fn with_failure(
    message: &SentMessage,
    status: &str,
    failure: Option<Failure>,
    code: Option<&str>,
    now: DateTime<Utc>,
) -> Value {
    let code = |own| code.unwrap_or(own);
    let reason = failure.map_or_else(String::new, |(_, number, reason)| {
        let details = reason.replace('_', " ");
        format!(
            "details: {details}; reason: {reason}; code: {}",
            code(number)
        )
    });
    let mut payload = describe(message, status, &reason, now);
    if let Some((group, number, _)) = failure {
        payload["failure"] = json!({
            "code": group,
            "source": {"name": "sms-messagebird", "code": code(number)},
        });
    }
    payload
}

/// Returns the event `sms.inbound`.
pub(super) fn inbound(text: &InboundText<'_>, target: &str) -> VendorRequest {
    let at = text.now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let payload = json!({
        "id": random::guid(),
        "channelId": "sandbox",
        "sender": {"contact": {
            "id": random::guid(),
            "identifierKey": "phonenumber",
            "identifierValue": text.from,
        }},
        // The number is in a sample of another channel only: the one of SMS has just an id.
        "receiver": {"connector": {"id": random::guid(), "identifierValue": text.to}},
        "body": {"type": "text", "text": {"text": text.text}},
        "parts": [{"platformReference": random::hex_id()}],
        "status": "delivered",
        "direction": "incoming",
        "lastStatusAt": at,
        "createdAt": at,
        "updatedAt": at,
    });
    signed("sms.inbound", &payload, target, text.proof, text.now)
}

/// Returns an event, signed over its time, the URL and the body.
fn signed(
    event: &str,
    payload: &Value,
    target: &str,
    proof: &Proof,
    now: DateTime<Utc>,
) -> VendorRequest {
    let body = json!({"service": "channels", "event": event, "payload": payload}).to_string();
    let seconds = now.timestamp();
    let mut signed = format!("{seconds}\n{target}\n").into_bytes();
    signed.extend(digest::sha256(body.as_bytes()));
    let signature = STANDARD.encode(digest::hmac_sha256(proof.secret(), &signed));
    VendorRequest::post_json(target.to_owned(), body)
        .with("messagebird-signature", signature)
        .with("messagebird-request-timestamp", seconds.to_string())
}
