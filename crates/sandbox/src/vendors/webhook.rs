//! A gateway of one's own: one JSON request a text, with a refusal in words and an idempotency key.
//!
//! Source: the documentation of the crate `postduif-webhook`, which is the whole wire.

use chrono::{DateTime, SecondsFormat, Utc};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    common::{
        e164, optional, remove, rfc3339, standard_signature, standard_webhook, with_retry_after,
    },
    vendor::Vendor,
};
use crate::{
    error::SandboxError,
    fault::{Fault, Strike},
    fault_point::FaultPoint,
    http::{Head, Request, Response},
    idempotency::Known,
    inbound::InboundText,
    proof::Proof,
    random,
    record::SentMessage,
    report::{ReportOrder, ReportStatus},
    vendor_request::VendorRequest,
    world::{Config, State},
};

const CHECK: &str = "webhook.check";
const SEND: &str = "webhook.send";

const FAULT_POINTS: &[FaultPoint] = &[FaultPoint::new(CHECK), FaultPoint::send(SEND)];

/// The sender of requests that name none.
const SENDER: &str = "Gateway";
/// How far a signature's time may be off, in seconds.
const WINDOW: u64 = 300;

#[derive(Debug)]
pub(crate) struct Webhook;

impl Vendor for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn fault_points(&self) -> &'static [FaultPoint] {
        FAULT_POINTS
    }

    fn url(&self, authority: &str) -> String {
        format!(
            "webhook://sandbox@{authority}/webhook?secret=whsec_c2FuZGJveA==&sender=Postduif\
             &validity=60-259200&schedule_ahead=604800&reports=true"
        )
    }

    fn fault_point(&self, head: &Head) -> Option<&'static str> {
        match (head.path().as_slice(), &head.method) {
            ([], &Method::GET) => Some(CHECK),
            ([], _) => Some(SEND),
            _ => None,
        }
    }

    fn respond(
        &self,
        state: &mut State,
        _: &Config,
        request: &Request,
        strike: Option<Strike>,
    ) -> Response {
        let response = handle(state, request, strike, Utc::now()).unwrap_or_else(Refusal::response);
        with_retry_after(response, strike)
    }

    fn new_id(&self, _: &str) -> String {
        random::letters(24)
    }

    fn report(
        &self,
        message: &SentMessage,
        order: &ReportOrder,
        target: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<VendorRequest>, SandboxError> {
        // A gateway knows a text by its reference, which every request has.
        let Some(reference) = &message.reference else {
            return Ok(Vec::new());
        };
        let status = match order.status {
            ReportStatus::Unknown => "unheard_of",
            status => status.name(),
        };
        let mut body = json!({
            "reference": reference,
            "status": status,
            "at": now.to_rfc3339_opts(SecondsFormat::Secs, true),
            "id": message.id,
            "to": message.to,
        });
        if let Some(code) = &order.code {
            body["code"] = json!(code);
        }
        let id = format!("dlr_{}", random::letters(20));
        Ok(vec![standard_webhook(
            &order.proof,
            target,
            &id,
            &body,
            now,
        )?])
    }

    fn inbound(&self, text: &InboundText<'_>, target: &str) -> Result<VendorRequest, SandboxError> {
        let mut body = json!({
            "from": text.from,
            "text": text.text,
            "to": text.to,
            "id": random::letters(24),
            "at": text.now.to_rfc3339_opts(SecondsFormat::Secs, true),
        });
        if let Some(earlier) = text.earlier {
            body["in_reply_to"] = json!(earlier.reference);
        }
        let id = format!("in_{}", random::letters(20));
        standard_webhook(text.proof, target, &id, &body, text.now)
    }
}

/// A refusal: a status, the kind, and a sentence for the log.
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, message: &str) -> Self {
        Self {
            status,
            kind,
            message: message.to_owned(),
        }
    }

    fn field(kind: &'static str, message: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, message)
    }

    fn response(self) -> Response {
        let body = json!({"status": "refused", "kind": self.kind, "message": self.message});
        Response::json(self.status, &body)
    }
}

fn handle(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let fault = strike.map(|strike| strike.fault);
    if !request.head.path().is_empty() {
        return Ok(Response::empty(StatusCode::NOT_FOUND));
    }
    let is_check = match request.head.method {
        Method::GET => true,
        Method::POST => false,
        _ => return Ok(Response::empty(StatusCode::METHOD_NOT_ALLOWED)),
    };
    if fault == Some(Fault::Throttle) {
        return Err(Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "throttled",
            "Too many requests",
        ));
    }
    if fault.is_some_and(Fault::refuses_caller)
        || request.head.bearer() != Some("sandbox")
        || !is_signed(request, now)
    {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "The token or the signature is wrong",
        ));
    }
    if is_check {
        return Ok(Response::json(StatusCode::OK, &json!({"status": "ready"})));
    }
    let Some(key) = request.head.header("idempotency-key") else {
        return send(state, request, fault, now);
    };
    // Apart from the keys of other vendors.
    let key = format!("webhook {key}");
    match state.stored_responses.look_up(&key, request, now) {
        Known::Same(status, body) => return Ok(Response::text(status, "application/json", body)),
        Known::Another => {
            return Err(Refusal::field(
                "other",
                "The idempotency key was used for another request",
            ));
        }
        Known::New => {}
    }
    // A refusal is not stored: the caller may try again.
    let response = send(state, request, fault, now)?;
    let stored = (response.status, response.body.clone());
    state.stored_responses.keep(&key, request, stored, now);
    Ok(response)
}

/// Returns whether a request is signed, now. One without any signature is, so that `curl` can send a text.
fn is_signed(request: &Request, now: DateTime<Utc>) -> bool {
    let header = |name| request.head.header(name);
    let Some(signature) = header("webhook-signature") else {
        return true;
    };
    let (Some(id), Some(time)) = (header("webhook-id"), header("webhook-timestamp")) else {
        return false;
    };
    let is_recent = time
        .parse()
        .is_ok_and(|time: i64| now.timestamp().abs_diff(time) <= WINDOW);
    let expected = standard_signature(&Proof::default(), id, time, &request.body);
    is_recent && expected.is_ok_and(|expected| signature.split(' ').any(|given| given == expected))
}

fn send(
    state: &mut State,
    request: &Request,
    fault: Option<Fault>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let body = request
        .json_object()
        .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "other", "The body is not JSON"))?;
    let message = read(&body, now)?;
    if let Some(refusal) = fault.and_then(|fault| refused(fault, &message)) {
        return Err(refusal);
    }
    let mut response = json!({
        "status": "accepted", "id": message.id, "reference": message.reference,
    });
    if fault == Some(Fault::OkWithoutId) {
        remove(&mut response, "id");
    }
    state.messages.push(message);
    Ok(Response::json(StatusCode::ACCEPTED, &response))
}

/// Reads a text to send.
fn read(body: &Value, now: DateTime<Utc>) -> Result<SentMessage, Refusal> {
    let invalid = |kind, member: &str| Refusal::field(kind, &format!("{member} is invalid"));
    let to = body["to"]
        .as_str()
        .and_then(|to| e164(to.strip_prefix('+')?))
        .ok_or_else(|| invalid("invalid_recipient", "to"))?;
    let text = body["text"]
        .as_str()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| invalid("invalid_text", "text"))?;
    let reference = body["reference"]
        .as_str()
        .filter(|reference| {
            (1..=32).contains(&reference.len())
                && reference.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
        .ok_or_else(|| invalid("other", "reference"))?;
    let name = |value: &Value| {
        value
            .as_str()
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
    };
    let sender = optional(body, "sender", name).map_err(|_| invalid("invalid_sender", "sender"))?;
    let seconds = |value: &Value| value.as_u64().filter(|seconds| *seconds > 0);
    let validity_s =
        optional(body, "validity_s", seconds).map_err(|_| invalid("unsupported", "validity_s"))?;
    let send_at =
        optional(body, "send_at", rfc3339).map_err(|_| invalid("unsupported", "send_at"))?;
    let sender = sender.as_deref().unwrap_or(SENDER);
    let id = Webhook.new_id("");
    Ok(SentMessage {
        reference: Some(reference.to_owned()),
        validity_s,
        send_at,
        ..SentMessage::new("webhook", &to, sender, text, &id, now)
    })
}

/// Returns the refusal of a text by a fault.
fn refused(fault: Fault, message: &SentMessage) -> Option<Refusal> {
    Some(match fault {
        Fault::BadNumber => Refusal::field("invalid_recipient", "The number does not exist"),
        Fault::BadSender => Refusal::field("invalid_sender", "The sender is not allowed"),
        Fault::Blocked => Refusal::field("blocked", "The recipient has opted out"),
        Fault::NoCredit => Refusal::field("insufficient_balance", "The account has no credit"),
        Fault::EchoText => Refusal::field(
            "other",
            &format!("could not send \"{}\" to {}", message.text, message.to),
        ),
        _ => return None,
    })
}
