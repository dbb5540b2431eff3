//! The Messages API v1: a JSON request, a 202 with an id, refusals as problem documents.

use chrono::{DateTime, SecondsFormat, Utc};
use hyper::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderName},
};
use serde_json::{Value, json};

use super::{MAX_CHARACTERS, has_account, jwt, network, sender};
use crate::{
    digest,
    fault::{Fault, Strike},
    http::{Request, Response},
    inbound::InboundText,
    proof::Proof,
    random,
    record::{Extra, SentMessage},
    report::{ReportOrder, ReportStatus},
    segments::{self, Encoding},
    vendor_request::VendorRequest,
    vendors::common::{e164, optional, present, text_within, with_retry_after},
    world::State,
};

/// The names of this API in the records, by credential: reports on an application's texts name it.
const APPLICATION: &str = "messages of an application";
pub(super) const ACCOUNT: &str = "messages";

const ERRORS: &str = "https://developer.vonage.com/api-errors";

/// A refusal of a request.
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    /// The parameter that is wrong, and why.
    invalid: Option<(&'static str, String)>,
}

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: &str) -> Self {
        Self {
            status,
            kind,
            title,
            detail: detail.to_owned(),
            invalid: None,
        }
    }

    // The numbers are those of the definition's samples, which live responses match. The published list has
    // others for the same errors.
    fn unprocessable(kind: &'static str, title: &'static str, detail: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title, detail)
    }

    fn recipient() -> Self {
        Self::unprocessable(
            "/messages#110",
            "Invalid recipient",
            "The `to` parameter is invalid for the given channel.",
        )
    }

    fn sender() -> Self {
        Self::unprocessable(
            "/messages#1120",
            "Invalid sender",
            "The `from` parameter is invalid for the given channel.",
        )
    }

    fn parameter(name: &'static str, reason: &str) -> Self {
        Self {
            invalid: Some((name, reason.to_owned())),
            ..Self::unprocessable(
                "/messages#1150",
                "Invalid params",
                "The value of one or more parameters is invalid.",
            )
        }
    }

    fn unauthorized() -> Self {
        // The definition's own spelling.
        Self::new(
            StatusCode::UNAUTHORIZED,
            "/#unathorized",
            "You did not provide correct credentials.",
            "Check that you're using the correct credentials, and that your account has this feature enabled",
        )
    }

    fn expired() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "#jwt-expired",
            "JWT expired",
            "The JWT provided has expired",
        )
    }

    fn response(self) -> Response {
        let mut body = json!({
            "type": format!("{ERRORS}{}", self.kind),
            "title": self.title,
            "detail": self.detail,
            "instance": random::hex_id(),
        });
        if let Some((name, reason)) = self.invalid {
            body["invalid_parameters"] = json!([{"name": name, "reason": reason}]);
        }
        let response = numbered(Response::json(self.status, &body));
        // The definition declares 422 as plain JSON, and every other refusal as a problem.
        match self.status {
            StatusCode::UNPROCESSABLE_ENTITY => response,
            _ => response.with(CONTENT_TYPE, "application/problem+json"),
        }
    }
}

fn numbered(response: Response) -> Response {
    response.with(HeaderName::from_static("x-request-id"), random::guid())
}

pub(super) fn not_found() -> Response {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "#not-found",
        "Not Found",
        "The requested resource does not exist",
    )
    .response()
}

pub(super) fn wrong_verb() -> Response {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "#wrong-verb",
        "Method Not Allowed",
        "The HTTP verb used to make this request is not supported",
    )
    .response()
}

pub(super) fn send(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Response {
    let response = handle(state, request, strike, now).unwrap_or_else(Refusal::response);
    with_limits(with_retry_after(response, strike), strike, now)
}

fn with_limits(response: Response, strike: Option<Strike>, now: DateTime<Utc>) -> Response {
    if response.status != StatusCode::TOO_MANY_REQUESTS {
        return response;
    }
    let wait = strike.map_or(0, |strike| i64::try_from(strike.ms).unwrap_or(i64::MAX));
    // Milliseconds, by the thirteen digits of the definition's sample, despite its text.
    let reset = now.timestamp_millis().saturating_add(wait);
    response
        .with(HeaderName::from_static("x-ratelimit-limit"), "30")
        .with(HeaderName::from_static("x-ratelimit-remaining"), "0")
        .with(
            HeaderName::from_static("x-ratelimit-reset"),
            reset.to_string(),
        )
}

fn handle(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let fault = strike.map(|strike| strike.fault);
    let bearer = request.head.bearer();
    match fault {
        Some(Fault::Throttle) => {
            return Err(Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "#throttled",
                "Rate Limit Hit",
                "Please wait, then retry your request",
            ));
        }
        Some(Fault::Unauthorized) => return Err(Refusal::unauthorized()),
        // Only a token expires.
        Some(Fault::UnauthorizedOnce) if bearer.is_some() => return Err(Refusal::expired()),
        Some(Fault::UnauthorizedOnce) => return Err(Refusal::unauthorized()),
        _ => {}
    }
    let api = match bearer.map(|token| jwt::check(token, now)) {
        Some(Ok(())) => APPLICATION,
        Some(Err(jwt::Refused::Expired)) => return Err(Refusal::expired()),
        None if has_account(&request.head) => ACCOUNT,
        Some(Err(jwt::Refused::Wrong)) | None => return Err(Refusal::unauthorized()),
    };
    if fault == Some(Fault::NoCredit) {
        return Err(Refusal::new(
            StatusCode::PAYMENT_REQUIRED,
            "/#low-balance",
            "Low balance",
            "This request could not be performed due to your account balance being low.",
        ));
    }
    if !request.head.is("application/json") {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "#content-type-header",
            "Invalid Content-Type header",
            "Check the Content-Type of your request",
        ));
    }
    let body = request.json_object().ok_or_else(|| {
        Refusal::unprocessable(
            "#invalid-json",
            "The request body did not contain valid JSON",
            "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries",
        )
    })?;
    let mut message = read(&body, now)?;
    match fault {
        Some(Fault::BadNumber) => return Err(Refusal::recipient()),
        Some(Fault::BadSender) => return Err(Refusal::sender()),
        Some(Fault::Blocked) => {
            return Err(Refusal::unprocessable(
                "/messages#1050",
                "Number barred",
                "The number you are trying to send messages to is barred and may not receive them.",
            ));
        }
        Some(Fault::EchoText) => {
            let reason = format!("could not send \"{}\" to {}", message.text, message.to);
            return Err(Refusal::parameter("text", &reason));
        }
        _ => {}
    }
    message.extra.api = api;
    let mut response = match fault {
        Some(Fault::OkWithoutId) => json!({}),
        _ => json!({"message_uuid": message.id}),
    };
    if present(&body, "failover").is_some() {
        response["workflow_id"] = random::letters(32).into();
    }
    state.messages.push(message);
    Ok(numbered(Response::json(StatusCode::ACCEPTED, &response)))
}

fn read(body: &Value, now: DateTime<Utc>) -> Result<SentMessage, Refusal> {
    if body["channel"] != "sms" {
        return Err(Refusal::unprocessable(
            "/messages#1100",
            "Unsupported channel",
            "The specified channel is not supported.",
        ));
    }
    if body["message_type"] != "text" {
        return Err(Refusal::unprocessable(
            "/messages#1140",
            "Invalid message type",
            "The `message_type` parameter is invalid for the given channel.",
        ));
    }
    // "Don't use a leading + or 00."
    let to = body["to"]
        .as_str()
        .and_then(e164)
        .ok_or_else(Refusal::recipient)?;
    let from = body["from"]
        .as_str()
        .and_then(sender)
        .ok_or_else(Refusal::sender)?;
    let text = body["text"]
        .as_str()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::parameter("text", "must not be blank"))?;
    if text.chars().count() > MAX_CHARACTERS {
        return Err(Refusal::parameter(
            "text",
            "must be at most 3200 characters",
        ));
    }
    let ttl = |ttl: &Value| ttl.as_u64().filter(|ttl| (20..=604_800).contains(ttl));
    let validity_s = optional(body, "ttl", ttl)
        .map_err(|_| Refusal::parameter("ttl", "must be between 20 and 604800"))?;
    let reference =
        optional(body, "client_ref", |value| text_within(value, 100)).map_err(|_| {
            Refusal::unprocessable(
                "/messages#1060",
                "Invalid client reference",
                "The client reference can be a string of up to 100 characters.",
            )
        })?;
    let url = |url: &'_ Value| {
        let url = url.as_str()?;
        (url.starts_with("http") && url.len() <= 2048).then(|| url.to_owned())
    };
    let report_url = optional(body, "webhook_url", url)
        .map_err(|_| Refusal::parameter("webhook_url", "must be a valid URL"))?;
    if present(body, "webhook_version").is_some_and(|version| version != "v1" && version != "v0.1")
    {
        return Err(Refusal::parameter(
            "webhook_version",
            "must be one of `v0.1`, `v1`",
        ));
    }
    let encoding = match present(&body["sms"], "encoding_type").map(Value::as_str) {
        None | Some(Some("auto")) => Encoding::Auto,
        Some(Some("text")) => Encoding::Gsm,
        Some(Some("unicode")) => Encoding::Unicode,
        Some(_) => {
            return Err(Refusal::parameter(
                "sms.encoding_type",
                "must be one of `text`, `unicode`, `auto`",
            ));
        }
    };
    let (text, parts) = encoding.apply(text);
    Ok(SentMessage {
        reference: reference.map(str::to_owned),
        parts,
        validity_s,
        extra: Extra {
            report_url,
            ..Extra::default()
        },
        ..SentMessage::new("vonage", &to, &from, &text, &random::guid(), now)
    })
}

/// Returns the status webhook, in its version v1.
pub(super) fn status(
    message: &SentMessage,
    order: &ReportOrder,
    target: &str,
    now: DateTime<Utc>,
) -> VendorRequest {
    let (status, error) = match order.status {
        ReportStatus::Sent => ("submitted", None),
        ReportStatus::Buffered => ("submitted", Some(("1220", "Handset busy"))),
        ReportStatus::Delivered => ("delivered", None),
        ReportStatus::Expired => ("rejected", Some(("1360", "TTL was hit before delivery"))),
        ReportStatus::Failed => ("rejected", Some(("1330", "Unknown"))),
        ReportStatus::Rejected => ("rejected", Some(("1280", "Operator blocked"))),
        // A status of other channels.
        ReportStatus::Unknown => ("read", None),
    };
    let at = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let digits = message.to_digits();
    let mut segment = json!({"timestamp": at, "status": status});
    let mut body = json!({
        "channel": "sms",
        "message_uuid": message.id,
        "to": digits,
        "from": message.sender,
        "timestamp": at,
        "status": status,
        "usage": {"currency": "EUR", "price": "0.0727"},
    });
    if let Some(network) = network(&message.to) {
        body["destination"] = json!({"network_code": network});
    }
    if let Some(reference) = &message.reference {
        body["client_ref"] = json!(reference);
    }
    if let Some((code, detail)) = error {
        let code = order.code.as_deref().unwrap_or(code);
        segment["error_code"] = json!(code);
        body["error"] = json!({
            "type": format!("{ERRORS}/messages#{code}"),
            "title": code,
            "detail": format!("{detail} - {status}"),
            "instance": random::hex_id(),
        });
    }
    let segments = vec![segment; message.parts as usize];
    body["sms"] = json!({"count_total": message.parts.to_string(), "segments": segments});
    signed(&body, message.extra.api, target, &order.proof, now)
}

/// Returns the webhook of an inbound text.
pub(super) fn inbound(text: &InboundText<'_>, target: &str) -> VendorRequest {
    let body = json!({
        "channel": "sms",
        "message_uuid": random::guid(),
        "to": text.recipient_digits(),
        "from": text.sender_digits(),
        "timestamp": text.now.to_rfc3339_opts(SecondsFormat::Secs, true),
        "text": text.text,
        "sms": {
            "num_messages": segments::count(text.text).to_string(),
            "keyword": text.keyword(),
        },
        "usage": {"currency": "EUR", "price": "0.0333"},
        "origin": {"network_code": network(text.from).unwrap_or("00000")},
    });
    signed(&body, text.api, target, text.proof, text.now)
}

/// Returns a webhook with a token that covers its time and body.
fn signed(
    body: &Value,
    api: &str,
    target: &str,
    proof: &Proof,
    now: DateTime<Utc>,
) -> VendorRequest {
    let body = body.to_string();
    let mut claims = json!({
        "iat": now.timestamp(),
        "jti": random::guid(),
        "iss": "Vonage",
        "payload_hash": digest::hex(&digest::sha256(body.as_bytes())),
        "api_key": "sandbox",
    });
    if api == APPLICATION {
        claims["application_id"] = json!(jwt::APPLICATION);
    }
    let token = digest::hs256(&claims, proof.secret());
    VendorRequest::post_json(target.to_owned(), body)
        .with("Authorization", format!("Bearer {token}"))
}
