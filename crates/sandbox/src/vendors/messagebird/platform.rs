//! Platform (2026): a text, or a batch of up to a hundred with an id each, under an idempotency key.

use chrono::{DateTime, SecondsFormat, Utc};
use hyper::{
    Method, StatusCode,
    header::{HeaderName, USER_AGENT},
};
use serde_json::{Value, json};

use super::MessageBird;
use crate::{
    error::SandboxError,
    fault::{Fault, Strike},
    http::{Request, Response},
    idempotency::Known,
    inbound::InboundText,
    proof::Proof,
    random,
    record::{Extra, SentMessage},
    report::{ReportOrder, ReportStatus},
    segments,
    vendor_request::VendorRequest,
    vendors::{
        common::{e164, is_digits, present, remove, standard_webhook, with_retry_after},
        vendor::Vendor as _,
    },
    world::State,
};

/// The name of this API in the records.
pub(super) const API: &str = "platform";

/// The only key, whose second part names the region.
const KEY: &str = "bk_eu1_sandbox";

/// The only workspace.
const WORKSPACE: &str = "ws_01krdgeqcxet5s7t44vh8rt9mg";

/// The most texts of a batch, and segments of a text.
const MAX_BATCH: usize = 100;
const MAX_SEGMENTS: u32 = 12;

/// A refusal. It has a code only where the code is published.
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    name: &'static str,
    message: String,
    param: Option<String>,
}

impl Refusal {
    fn new(
        status: StatusCode,
        kind: &'static str,
        code: Option<&'static str>,
        name: &'static str,
        message: &str,
    ) -> Self {
        Self {
            status,
            kind,
            code,
            name,
            message: message.to_owned(),
            param: None,
        }
    }

    fn invalid_request(message: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_request_error",
            Some("E01002"),
            "InvalidRequest",
            message,
        )
    }

    fn field(param: &str, message: &str) -> Self {
        Self {
            param: Some(param.to_owned()),
            ..Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "validation_error",
                Some("E01001"),
                "ValidationError",
                message,
            )
        }
    }

    /// Creates a refusal of the SMS product, by its name.
    fn sms(name: &'static str, param: &str, message: &str) -> Self {
        Self {
            code: None,
            name,
            ..Self::field(param, message)
        }
    }

    /// Makes it the refusal of an entry of a batch.
    fn within(mut self, at: usize) -> Self {
        self.param = self.param.map(|param| format!("messages[{at}].{param}"));
        self
    }

    fn response(self) -> Response {
        let request_id = format!("req_{}", random::letters(26));
        let details: Vec<_> = self
            .param
            .iter()
            .filter(|_| self.kind == "validation_error")
            .map(|param| json!({"param": param, "message": self.message}))
            .collect();
        let mut error = json!({
            "type": self.kind,
            "name": self.name,
            "message": self.message,
            "doc_url": format!("https://bird.com/docs/api/errors#{}", self.name),
            "request_id": request_id,
        });
        if let Some(code) = self.code {
            error["code"] = json!(code);
        }
        if let Some(param) = self.param {
            error["param"] = json!(param);
            error["details"] = json!(details);
        }
        numbered(
            Response::json(self.status, &json!({"error": error})),
            &request_id,
        )
    }
}

fn numbered(response: Response, request_id: &str) -> Response {
    response.with(HeaderName::from_static("x-request-id"), request_id)
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
            "rate_limit_error",
            None,
            "RateLimitExceeded",
            "Too many requests",
        ));
    }
    let refused = fault.is_some_and(Fault::refuses_caller);
    if refused || request.head.bearer() != Some(KEY) {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "auth_error",
            None,
            "Unauthorized",
            "The API key is missing, wrong, revoked, or another region's",
        ));
    }
    if request.head.header(USER_AGENT.as_str()).is_none() {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "permission_error",
            None,
            "UserAgentRequired",
            "A User-Agent is required",
        ));
    }
    let batch = match (request.head.path().as_slice(), &request.head.method) {
        (["v1", "sms", "messages"], &Method::GET) => return list(state, request),
        (["v1", "sms", "messages", id], &Method::GET) => {
            let mut accepted = state.accepted("messagebird", API);
            let message = accepted.find(|message| message.id == *id);
            let message = message.ok_or_else(not_found)?;
            let request_id = format!("req_{}", random::letters(26));
            let response = Response::json(StatusCode::OK, &read_later(message));
            return Ok(numbered(response, &request_id));
        }
        (["v1", "sms", "messages"], &Method::POST) => false,
        (["v1", "sms", "batches"], &Method::POST) => true,
        (["v1", "sms", "batches" | "messages"] | ["v1", "sms", "messages", _], _) => {
            return Ok(Response::empty(StatusCode::METHOD_NOT_ALLOWED));
        }
        _ => return Err(not_found()),
    };
    let Some(key) = request.head.header("idempotency-key") else {
        return send(state, request, batch, fault, now);
    };
    if !(1..=255).contains(&key.len()) {
        return Err(Refusal::invalid_request(
            "The idempotency key has 1 to 255 characters",
        ));
    }
    match state.stored_responses.look_up(key, request, now) {
        Known::Same(status, body) => {
            let mut response = Response::text(status, "application/json", body);
            response = numbered(response, &format!("req_{}", random::letters(26)));
            return Ok(response.with(HeaderName::from_static("idempotency-replay"), "true"));
        }
        Known::Another => {
            return Err(Refusal::new(
                StatusCode::CONFLICT,
                "conflict_error",
                Some("E01005"),
                "IdempotencyKeyReuse",
                "The idempotency key was used for another request",
            ));
        }
        Known::New => {}
    }
    // Refusals are stored as well as acceptances.
    let response = send(state, request, batch, fault, now).unwrap_or_else(Refusal::response);
    let stored = (response.status, response.body.clone());
    state.stored_responses.keep(key, request, stored, now);
    Ok(response)
}

fn not_found() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "not_found_error",
        None,
        "NotFound",
        "The resource does not exist",
    )
}

/// Returns a page of the messages that fit the filters, the newest first. With it, a caller can also check its key.
fn list(state: &State, request: &Request) -> Result<Response, Refusal> {
    let query = |name| request.head.query(name);
    const KNOWN: [&str; 7] = [
        "limit",
        "starting_after",
        "direction",
        "status",
        "to",
        "from",
        "created_after",
    ];
    let mut names = request.head.query.iter().map(|(name, _)| name.as_str());
    if names.any(|name| !KNOWN.contains(&name)) {
        return Err(Refusal::invalid_request("There is no such parameter"));
    }
    let limit = match query("limit").map(str::parse) {
        None => 20,
        Some(Ok(limit @ 1..=100)) => limit,
        Some(_) => return Err(Refusal::invalid_request("limit is 1 to 100")),
    };
    let after = match query("created_after").map(DateTime::parse_from_rfc3339) {
        None => None,
        Some(Ok(time)) => Some(time.to_utc()),
        Some(Err(_)) => return Err(Refusal::invalid_request("created_after is a time")),
    };
    let is = |name, value: &str| query(name).is_none_or(|wanted| wanted == value);
    let fits = |message: &&SentMessage| {
        is("direction", "outbound")
            && is("status", status_of(message))
            && is("to", &message.to)
            && is("from", &message.sender)
            && after.is_none_or(|after| message.at > after)
    };
    let mut newest_first = state.accepted("messagebird", API).rev();
    if let Some(id) = query("starting_after") {
        newest_first.find(|message| message.id == id);
    }
    let mut found = newest_first.filter(fits);
    let page: Vec<_> = found.by_ref().take(limit).collect();
    let next = found.next().and(page.last()).map(|message| &message.id);
    let data: Vec<_> = page.iter().map(|message| read_later(message)).collect();
    Ok(Response::json(
        StatusCode::OK,
        &json!({"data": data, "next_cursor": next, "prev_cursor": null, "refresh_cursor": null}),
    ))
}

/// Returns the status of a message.
fn status_of(message: &SentMessage) -> &'static str {
    let event = message
        .extra
        .reported
        .map_or("sms.accepted", |status| words(status).0);
    event.trim_start_matches("sms.")
}

/// Returns the event of a status, and the code and the number of its error.
fn words(status: ReportStatus) -> (&'static str, Option<(&'static str, &'static str)>) {
    match status {
        ReportStatus::Sent => ("sms.sent", None),
        ReportStatus::Delivered => ("sms.delivered", None),
        ReportStatus::Expired => ("sms.expired", Some(("unreachable", "27"))),
        ReportStatus::Failed => ("sms.failed", Some(("invalid_destination", "1"))),
        ReportStatus::Rejected => ("sms.rejected", Some(("content_rejected", "104"))),
        // The nearest status: an operator that keeps trying has accepted.
        ReportStatus::Buffered => ("sms.accepted", None),
        ReportStatus::Unknown => ("sms.unheard_of", None),
    }
}

fn send(
    state: &mut State,
    request: &Request,
    batch: bool,
    fault: Option<Fault>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let body = request
        .json_object()
        .ok_or_else(|| Refusal::invalid_request("The body is not a JSON object"))?;
    if fault == Some(Fault::NoCredit) {
        return Err(Refusal::new(
            StatusCode::PAYMENT_REQUIRED,
            "billing_error",
            None,
            "InsufficientBalance",
            "The wallet cannot pay for this",
        ));
    }
    // All are read before any is accepted: a batch is accepted or refused as a whole.
    let texts = match body["messages"].as_array() {
        Some(list) if batch => {
            if !(1..=MAX_BATCH).contains(&list.len()) {
                return Err(Refusal::field("messages", "must hold 1 to 100 messages"));
            }
            let read = |(at, one)| read(one, now).map_err(|refusal| refusal.within(at));
            list.iter()
                .enumerate()
                .map(read)
                .collect::<Result<Vec<_>, _>>()?
        }
        _ if batch => return Err(Refusal::field("messages", "is required")),
        _ => vec![read(&body, now)?],
    };
    if let Some(refusal) = fault.and_then(|fault| refused(fault, texts.first()?)) {
        return Err(if batch { refusal.within(0) } else { refusal });
    }

    let mut entries: Vec<_> = texts.iter().map(describe).collect();
    if fault == Some(Fault::OkWithoutId) {
        for one in &mut entries {
            remove(one, "id");
        }
    }
    let count = entries.len();
    for text in texts {
        state.messages.push(text);
    }
    let request_id = format!("req_{}", random::letters(26));
    let response = if batch {
        if let Some(fault) = fault {
            fault.spoil_list(&mut entries);
        }
        json!({"data": entries, "summary": {"accepted_count": count}})
    } else {
        entries.pop().unwrap_or_default()
    };
    Ok(numbered(
        Response::json(StatusCode::ACCEPTED, &response),
        &request_id,
    ))
}

/// Returns the refusal of the first text by a fault.
fn refused(fault: Fault, message: &SentMessage) -> Option<Refusal> {
    Some(match fault {
        Fault::BadNumber => {
            Refusal::sms("SMSInvalidRecipient", "to", "The number cannot be routed")
        }
        Fault::BadSender => Refusal::sms(
            "SMSSenderNotConfigured",
            "from",
            "The sender is not held by the workspace",
        ),
        Fault::Blocked => Refusal::sms(
            "SMSRecipientOptedOut",
            "to",
            "The recipient does not want messages",
        ),
        Fault::EchoText => {
            let reason = format!("could not send \"{}\" to {}", message.text, message.to);
            Refusal::field("text", &reason)
        }
        _ => return None,
    })
}

/// Reads a text to send.
fn read(body: &Value, now: DateTime<Utc>) -> Result<SentMessage, Refusal> {
    let members = body
        .as_object()
        .ok_or_else(|| Refusal::invalid_request("A message is a JSON object"))?;
    for (name, value) in members {
        match name.as_str() {
            "to" | "from" | "text" | "category" | "metadata" | "tags" | "options" => {}
            _ if value.is_null() => {}
            "validity_period"
            | "scheduled_at"
            | "media_urls"
            | "messaging_profile_id"
            | "campaign_id"
            | "callback_url" => {
                return Err(Refusal::sms(
                    "SMSUnsupportedFeature",
                    name,
                    "This feature is in preview and not enabled for the workspace",
                ));
            }
            "template" => {
                return Err(Refusal::field(name, "There is no such template"));
            }
            _ => {
                return Err(Refusal {
                    param: Some(name.chars().take(64).collect()),
                    ..Refusal::invalid_request("There is no such field")
                });
            }
        }
    }
    let to = body["to"]
        .as_str()
        .and_then(|number| e164(number.strip_prefix('+')?))
        .ok_or_else(|| Refusal::field("to", "must be a phone number in E.164"))?;
    let from = match present(body, "from") {
        None => {
            return Err(Refusal::sms(
                "SMSNoEligibleSender",
                "from",
                "No sender fits the destination",
            ));
        }
        Some(from) => from
            .as_str()
            .filter(|from| is_sender(from))
            .ok_or_else(|| Refusal::field("from", "is not a sender"))?,
    };
    let text = body["text"]
        .as_str()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::field("text", "is required"))?;
    if segments::count(text) > MAX_SEGMENTS {
        return Err(Refusal::field("text", "exceeds 12 segments"));
    }
    let category = match body["category"].as_str() {
        Some(category @ ("transactional" | "marketing" | "authentication" | "service")) => {
            category.to_owned()
        }
        _ => return Err(Refusal::field("category", "is required")),
    };
    let metadata = body["metadata"].clone();
    let small = metadata.to_string().len() <= 2048;
    if !(metadata.is_null() || metadata.is_object() && small) {
        return Err(Refusal::field("metadata", "is an object of at most 2 KB"));
    }
    let tags = body["tags"].clone();
    let few = tags.as_array().is_some_and(|tags| tags.len() <= 20);
    if !(tags.is_null() || few && tags.to_string().len() <= 8192) {
        return Err(Refusal::field("tags", "is a list of at most 20"));
    }
    let id = MessageBird.new_id(API);
    Ok(SentMessage {
        reference: metadata["reference"].as_str().map(str::to_owned),
        extra: Extra {
            api: API,
            metadata,
            shown: json!({"category": category, "tags": tags}),
            ..Extra::default()
        },
        ..SentMessage::new("messagebird", &to, from, text, &id, now)
    })
}

/// Returns a message as responses and look-ups show it.
fn describe(message: &SentMessage) -> Value {
    let shown = &message.extra.shown;
    let reported = message.extra.reported;
    let fits = segments::is_gsm(&message.text);
    let at = message.at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let error = reported.and_then(|status| words(status).1);
    json!({
        "id": message.id,
        "direction": "outbound",
        "status": status_of(message),
        "to": message.to,
        "from": message.sender,
        "text": message.text,
        "category": shown["category"],
        "requested_language": null,
        "resolved_language": null,
        "template_id": null,
        "template_version_id": null,
        "template_content_hash": null,
        "segments": {
            "count": message.parts,
            "encoding": if fits { "GSM_7BIT" } else { "UCS2" },
            "characters": message.text.chars().count(),
        },
        "cost": null,
        "tags": shown["tags"],
        "metadata": message.extra.metadata,
        "created_at": at,
        "sent_at": reported.is_some().then_some(&at),
        "delivered_at": (reported == Some(ReportStatus::Delivered)).then_some(&at),
        "last_error": error.map(|(code, number)| json!({
            "code": code,
            "description": "The message was not delivered.",
            "carrier_error_code": number,
            "occurred_at": at,
            "permanent": null,
        })),
    })
}

/// Returns a message as a later read shows it, without the text of an authentication.
fn read_later(message: &SentMessage) -> Value {
    let mut shown = describe(message);
    if shown["category"] == "authentication" {
        shown["text"] = json!("**REDACTED**");
    }
    shown
}

/// Returns whether this is a number in E.164, a short code, or a name of letters, digits, spaces, dashes and
/// underscores with at least one letter. The workspace holds all senders.
fn is_sender(from: &str) -> bool {
    if let Some(digits) = from.strip_prefix('+') {
        return e164(digits).is_some();
    }
    if is_digits(from) {
        return (5..=6).contains(&from.len());
    }
    (1..=11).contains(&from.len())
        && from
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b" -_".contains(&byte))
        && from.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Returns the event of a status.
pub(super) fn report(
    message: &SentMessage,
    order: &ReportOrder,
    target: &str,
    now: DateTime<Utc>,
) -> Result<VendorRequest, SandboxError> {
    let (kind, error) = words(order.status);
    let at = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut data = json!({
        "sms_id": message.id,
        "workspace_id": WORKSPACE,
        "to": message.to,
        "from": message.sender,
        "tags": null,
        "metadata": message.extra.metadata,
        "requested_language": null,
        "resolved_language": null,
        "template_id": null,
        "template_version_id": null,
        "template_content_hash": null,
        "cost": null,
        "carrier": "KPN",
        "mcc_mnc": "20408",
    });
    if kind == "sms.delivered" {
        data["cost"] = json!({"amount": "0.0700", "currency_code": "EUR"});
    }
    if let Some((code, number)) = error {
        data["error"] = json!({
            "code": order.code.as_deref().unwrap_or(code),
            "description": "The message was not delivered.",
            "carrier_error_code": number,
            "occurred_at": at,
            "permanent": null,
        });
    }
    signed(kind, &data, target, &order.proof, now)
}

/// Returns the event `sms.received`.
pub(super) fn inbound(text: &InboundText<'_>, target: &str) -> Result<VendorRequest, SandboxError> {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let earlier = text.earlier.map(
        |earlier| json!({"id": earlier.id, "text": earlier.text, "sent_at": time(earlier.at)}),
    );
    let data = json!({
        "sms_id": format!("sms_{}", random::letters(26)),
        "workspace_id": WORKSPACE,
        "to": text.to,
        "from": text.from,
        "tags": null,
        "metadata": null,
        "text": text.text,
        "country_code": "NL",
        "carrier": "KPN",
        "mcc_mnc": "20408",
        "in_reply_to_message": earlier,
    });
    signed("sms.received", &data, target, text.proof, text.now)
}

/// Returns an event, signed as Standard Webhooks are.
fn signed(
    kind: &str,
    data: &Value,
    target: &str,
    proof: &Proof,
    now: DateTime<Utc>,
) -> Result<VendorRequest, SandboxError> {
    let at = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let body = json!({"type": kind, "timestamp": at, "data": data});
    let id = format!("msg_{}", random::letters(26));
    standard_webhook(proof, target, &id, &body, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_a_number_a_short_code_or_a_name() {
        for good in ["+31612345678", "12345", "Post-duif_1", "A"] {
            assert!(is_sender(good), "{good}");
        }
        for bad in ["", "31612345678", "1234", "TwelveLetter", "12-34", "Zoë"] {
            assert!(!is_sender(bad), "{bad}");
        }
    }
}
