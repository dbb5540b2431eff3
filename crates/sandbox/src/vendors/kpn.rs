//! KPN: an OAuth2 token from an Apigee gateway, then one JSON request for each text.
//!
//! Source: KPN's own pages and public copies of its specification, `kpn/sms-kpn` 1.0.6.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use hyper::{
    Method, StatusCode,
    header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};

use super::{
    common::{is_digits, optional, present, reference_in, with_query_of},
    vendor::Vendor,
};
use crate::{
    digest,
    error::SandboxError,
    fault::{Fault, Strike},
    fault_point::FaultPoint,
    http::{self, Head, Request, Response},
    inbound::InboundText,
    proof::Proof,
    random,
    record::{Extra, SentMessage},
    report::{ReportOrder, ReportStatus},
    token::{Audience, Refused},
    vendor_request::VendorRequest,
    world::{Config, State},
};

const TOKEN: &str = "kpn.token";
const SEND: &str = "kpn.send";

const FAULT_POINTS: &[FaultPoint] = &[FaultPoint::send(SEND), FaultPoint::new(TOKEN)];

#[derive(Debug)]
pub(crate) struct Kpn;

impl Vendor for Kpn {
    fn name(&self) -> &'static str {
        "kpn"
    }

    fn fault_points(&self) -> &'static [FaultPoint] {
        FAULT_POINTS
    }

    fn url(&self, authority: &str) -> String {
        format!("kpn://sandbox:sandbox@{authority}/kpn?sender=Postduif")
    }

    fn fault_point(&self, head: &Head) -> Option<&'static str> {
        match head.path().as_slice() {
            ["oauth", "client_credential", "accesstoken"] => Some(TOKEN),
            ["communication", "kpn", "sms", "send"] => Some(SEND),
            _ => None,
        }
    }

    fn respond(
        &self,
        state: &mut State,
        config: &Config,
        request: &Request,
        strike: Option<Strike>,
    ) -> Response {
        let now = Utc::now();
        let response = match (self.fault_point(&request.head), &request.head.method) {
            (None, _) => fault(
                StatusCode::NOT_FOUND,
                "Unable to identify proxy for host: secure and url",
                "messaging.adaptors.http.flow.ApplicationNotFound",
            ),
            (Some(_), method) if method != Method::POST => {
                refusal(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
            }
            (Some(TOKEN), _) => token(state, config, request, strike, now),
            (Some(_), _) => send(state, request, strike, now).unwrap_or_else(Refusal::response),
        };
        quota(response, strike, now)
    }

    fn report(
        &self,
        message: &SentMessage,
        order: &ReportOrder,
        target: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<VendorRequest>, SandboxError> {
        let status = match order.status {
            ReportStatus::Delivered => 1,
            ReportStatus::Buffered => 2,
            ReportStatus::Sent => 3,
            ReportStatus::Failed => 4,
            ReportStatus::Rejected => 5,
            ReportStatus::Expired => 6,
            // None of the six documented ones, which a client must not report as a failure.
            ReportStatus::Unknown => 0,
        };
        let code = order.code.as_deref().or(match order.status {
            ReportStatus::Failed => Some("001"),
            ReportStatus::Rejected => Some("018"),
            ReportStatus::Expired => Some("024"),
            _ => None,
        });
        // KPN lists the fields, but publishes no whole report: these names are from its other pages.
        let body = json!({
            "message_id": message.id,
            "document_id": message.id,
            "DLRID": random::guid(),
            "MessageType": "SMS",
            "RecipientPhonenumber": message.to,
            "Message": message.text,
            "Status": status,
            "ErrorCode": code,
            "StatusDateTime": now.timestamp(),
        });
        // KPN calls the caller's own URL, whose query holds the caller's reference.
        let url = with_query_of(target, message.extra.report_url.as_deref());
        Ok(vec![signed(url, &body, &order.proof, now)])
    }

    fn inbound(&self, text: &InboundText<'_>, target: &str) -> Result<VendorRequest, SandboxError> {
        let to = text.recipient_digits();
        let body = json!({
            "sender": text.sender_digits(),
            "recipient": to,
            "message_id": format!("{}.{to}", random::letters(16).to_uppercase()),
            "content": text.text,
            "timestamp_utc": text.now.format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
            "type": "text/unicode/*",
        });
        Ok(signed(target.to_owned(), &body, text.proof, text.now))
    }
}

/// Returns a webhook, whose signature covers only its body.
fn signed(url: String, body: &Value, proof: &Proof, now: DateTime<Utc>) -> VendorRequest {
    let body = body.to_string();
    let signature = digest::hex(&digest::hmac_sha256(proof.secret(), body.as_bytes()));
    VendorRequest::post_json(url, body)
        .with("X-KPN-Webhook-Signature", signature)
        .with("X-KPN-Webhook-Timestamp", now.timestamp().to_string())
        .with("X-KPN-Webhook-Key-Id", "wk_sandboxsandboxsandboxsan")
        .with("X-KPN-Webhook-Attempt", "1")
}

/// Handles a request for a token. All values of the response are strings, even the numbers.
fn token(
    state: &mut State,
    config: &Config,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Response {
    match strike.map(|strike| strike.fault) {
        Some(Fault::Throttle) => return throttled(),
        Some(Fault::Unauthorized | Fault::UnauthorizedOnce) => {
            return no_client("ClientId is Invalid");
        }
        _ => {}
    }
    // The grant type is read from the query, not from the body.
    if request.head.query("grant_type") != Some("client_credentials") {
        return Response::json(
            StatusCode::BAD_REQUEST,
            &json!({"ErrorCode": "invalid_request", "Error": "Required param : grant_type"}),
        );
    }
    let form = request.form();
    let credentials = request.head.basic().or_else(|| {
        let field = |name| http::value(&form, name).map(str::to_owned);
        Some((field("client_id")?, field("client_secret")?))
    });
    match credentials {
        Some((id, _)) if id != "sandbox" => return no_client("ClientId is Invalid"),
        Some((_, secret)) if secret != "sandbox" => {
            return no_client("Client credentials are invalid");
        }
        Some(_) => {}
        None => return no_client("ClientId is Invalid"),
    }
    let token = state
        .tokens
        .issue(Audience::Vendor("kpn"), true, config.token_life, now);
    Response::json(
        StatusCode::OK,
        &json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": config.token_life.as_secs().to_string(),
            "issued_at": now.timestamp_millis().to_string(),
            "client_id": "sandbox",
            "application_name": "sandbox",
            "api_product_list": "[sms-kpn]",
            "organization_name": "kpn",
            "developer_email": "sandbox@postduif.example",
            "level": "demo",
            "scope": "",
            "refresh_token": "",
            "refresh_token_expires_in": "0",
            "refresh_count": "0",
            "status": "approved",
        }),
    )
}

/// Handles a request to send.
fn send(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let strike = strike.map(|strike| strike.fault);
    match strike {
        Some(Fault::Throttle) => return Err(Refusal::Throttled),
        Some(Fault::Unauthorized) => return Err(Refusal::Unauthorized),
        Some(Fault::UnauthorizedOnce) => {
            if let Some(token) = request.head.bearer() {
                state.tokens.revoke(token);
            }
            return Err(Refusal::Unauthorized);
        }
        _ => {}
    }
    // `BearerToken`, which old clients copied from an older `token_type`, is not a scheme here.
    let token = request.head.bearer().ok_or(Refusal::Unauthorized)?;
    state
        .tokens
        .check(token, Audience::Vendor("kpn"), now)
        .map_err(Refusal::Token)?;
    if !request.head.is("application/json") {
        return Err(Refusal::MediaType);
    }
    let sms = request
        .json()
        .and_then(|body| SendRequest::read(&body))
        .ok_or(Refusal::BadRequest)?;

    match strike {
        // KPN names no cause: four faults, one response.
        Some(Fault::BadNumber | Fault::BadSender | Fault::Blocked | Fault::NoCredit) => {
            return Err(Refusal::BadRequest);
        }
        Some(Fault::EchoText) => {
            let echo = sms.texts.into_iter().next().unwrap_or_default();
            return Err(Refusal::Echo(echo));
        }
        _ => {}
    }

    // One id for the whole request, with any number of texts and recipients.
    let id = random::guid();
    for (to, text) in sms.texts {
        let report_url = sms.webhook.clone();
        state.messages.push(SentMessage {
            reference: report_url.as_deref().and_then(reference_in),
            validity_s: sms.validity_s,
            extra: Extra {
                report_url,
                ..Extra::default()
            },
            ..SentMessage::new("kpn", &to, &sms.sender, &text, &id, now)
        });
    }
    Ok(Response::json(
        StatusCode::OK,
        &match strike {
            Some(Fault::OkWithoutId) => json!({"status": "OK"}),
            _ => json!({"document_id": id, "status": "OK"}),
        },
    ))
}

/// A valid body.
struct SendRequest {
    sender: String,
    webhook: Option<String>,
    validity_s: Option<u64>,
    /// A number in E.164 and a text, at least one.
    texts: Vec<(String, String)>,
}

impl SendRequest {
    fn read(body: &Value) -> Option<Self> {
        let sender = match present(body, "sender") {
            None => "KPN",
            Some(sender) => sender
                .as_str()
                .filter(|sender| (1..=11).contains(&sender.chars().count()))?,
        };
        let url = |url: &Value| Some(url.as_str().filter(|url| is_url(url))?.to_owned());
        let webhook = optional(body, "webhook_url", url).ok()?;
        // A number is refused: the field is a string of digits.
        let seconds = |text: &Value| text.as_str().filter(|text| is_digits(text))?.parse().ok();
        let validity_s = optional(body, "expirein", seconds).ok()?;

        let mut texts = Vec::new();
        for message in body["messages"].as_array()? {
            let text = message["content"]
                .as_str()
                .filter(|text| (1..=1000).contains(&text.chars().count()))?;
            for number in message["mobile_number"].as_str()?.split(',') {
                texts.push((e164(number)?, text.to_owned()));
            }
        }
        // 5000 items by the specification, 200 combinations by the documentation, which binds first.
        if !(1..=200).contains(&texts.len()) {
            return None;
        }
        // "For traffic abroad at least 21 seconds."
        let abroad = texts.iter().any(|(to, _)| !to.starts_with("+31"));
        if abroad && validity_s.is_some_and(|seconds: u64| seconds < 21) {
            return None;
        }
        Some(Self {
            sender: sender.to_owned(),
            webhook,
            validity_s,
            texts,
        })
    }
}

/// Returns whether this looks like a URL.
fn is_url(url: &str) -> bool {
    // The limit is ours, so that a caller cannot fill the sandbox's memory.
    url.len() <= 2048
        && url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"))
            .is_some_and(|rest| {
                !rest.is_empty()
                    && !rest.starts_with(['/', '?', '#'])
                    && !rest.contains(char::is_whitespace)
            })
}

/// Reads a number in the forms of the specification: `06…`, `+316…`, `0031…` and the `097` machine range.
fn e164(written: &str) -> Option<String> {
    let digits = if let Some(international) = written.strip_prefix('+') {
        international.to_owned()
    } else if let Some(international) = written.strip_prefix("00") {
        international.to_owned()
    } else if written.starts_with("06") || written.starts_with("097") {
        format!("31{}", &written[1..])
    } else {
        return None;
    };
    if !is_digits(&digits) || !(8..=15).contains(&digits.len()) || digits.starts_with('0') {
        return None;
    }
    if let Some(national) = digits.strip_prefix("31") {
        // "Not valid in the Netherlands: 060, 067 and 069"; nor can a landline receive texts.
        let mobile = national.len() == 9
            && national.starts_with('6')
            && !["60", "67", "69"]
                .iter()
                .any(|range| national.starts_with(range));
        let machine = national.starts_with("97");
        if !mobile && !machine {
            return None;
        }
    }
    Some(format!("+{digits}"))
}

/// Why KPN refuses a request to send.
#[derive(Debug)]
enum Refusal {
    BadRequest,
    Echo((String, String)),
    MediaType,
    Throttled,
    Token(Refused),
    Unauthorized,
}

impl Refusal {
    fn response(self) -> Response {
        match self {
            Self::BadRequest => refusal(StatusCode::BAD_REQUEST, "Bad Request"),
            Self::Echo((to, text)) => refusal(
                StatusCode::BAD_REQUEST,
                &format!("Bad Request: could not send \"{text}\" to {to}"),
            ),
            Self::MediaType => {
                refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type")
            }
            Self::Throttled => throttled(),
            Self::Token(refused) => invalid_token(refused),
            Self::Unauthorized => refusal(StatusCode::UNAUTHORIZED, "Unauthorized"),
        }
    }
}

/// Returns a refusal in the SMS product's own shape, whose `code` repeats the status as a string.
fn refusal(status: StatusCode, message: &str) -> Response {
    Response::json(
        status,
        &json!({"errorResponse": {
            "code": status.as_str(),
            "message": message,
            "info": "https://developer.kpn.com/",
        }}),
    )
}

/// Returns a refusal in the gateway's shape.
fn fault(status: StatusCode, text: &str, code: &str) -> Response {
    Response::json(
        status,
        &json!({"fault": {"faultstring": text, "detail": {"errorcode": code}}}),
    )
}

fn invalid_token(refused: Refused) -> Response {
    let (text, code) = match refused {
        Refused::Expired => (
            "Access Token expired",
            "keymanagement.service.access_token_expired",
        ),
        Refused::Unknown | Refused::WrongAudience => (
            "Invalid Access Token",
            "keymanagement.service.invalid_access_token",
        ),
    };
    fault(StatusCode::UNAUTHORIZED, text, code).with(
        WWW_AUTHENTICATE,
        "Bearer realm=\"null\",error=\"invalid_token\"",
    )
}

fn throttled() -> Response {
    fault(
        StatusCode::TOO_MANY_REQUESTS,
        "Rate limit quota violation. Quota limit  exceeded. Identifier : sandbox",
        "policies.ratelimit.QuotaViolation",
    )
}

fn no_client(error: &str) -> Response {
    Response::json(
        StatusCode::UNAUTHORIZED,
        &json!({"ErrorCode": "invalid_client", "Error": error}),
    )
}

/// Adds the headers of every response of KPN, and the hints of a throttle.
fn quota(response: Response, strike: Option<Strike>, now: DateTime<Utc>) -> Response {
    let throttle = strike.filter(|strike| strike.fault == Fault::Throttle);
    let wait = throttle.map_or(TimeDelta::minutes(1), |strike| {
        TimeDelta::try_milliseconds(strike.ms.try_into().unwrap_or(i64::MAX))
            .unwrap_or(TimeDelta::MAX)
    });
    let reset = now.checked_add_signed(wait).unwrap_or(now);
    let response = response
        .with(HeaderName::from_static("quota-limit"), "1000")
        .with(
            HeaderName::from_static("quota-used"),
            if throttle.is_some() { "1000" } else { "1" },
        )
        .with(HeaderName::from_static("quota-interval"), "1")
        .with(HeaderName::from_static("quota-time-unit"), "minute")
        // The form is not documented; a date is one of the three that a client must expect.
        .with(
            HeaderName::from_static("quota-reset-utc"),
            reset.to_rfc3339_opts(SecondsFormat::Millis, true),
        )
        .with(HeaderName::from_static("api-version"), "1.0.6")
        .with(HeaderName::from_static("sunset"), "n/a");
    match throttle {
        Some(strike) => response.with(RETRY_AFTER, strike.ms.div_ceil(1000).to_string()),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_accepted_in_the_forms_of_the_specification_only() {
        for good in ["0612345678", "+31612345678", "0031612345678"] {
            assert_eq!(e164(good).as_deref(), Some("+31612345678"), "{good}");
        }
        assert_eq!(e164("097012345678").as_deref(), Some("+3197012345678"));
        assert_eq!(e164("+4915112345678").as_deref(), Some("+4915112345678"));
        for bad in [
            "",
            "+",
            "31612345678",
            "06 12345678",
            "+310612345678",
            "0601234567",
            "0671234567",
            "0691234567",
            "+31201234567",
            "06123456789",
            "06é2345678",
            "+1234567890123456",
        ] {
            assert_eq!(e164(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_body_outside_the_bounds_is_refused() {
        let read = |change: fn(&mut Value)| {
            let mut body = json!({
                "sender": "Acme",
                "messages": [{"mobile_number": "+31612345678", "content": "Hello"}],
            });
            change(&mut body);
            SendRequest::read(&body).is_some()
        };
        assert!(read(|_| {}));
        assert!(read(|body| body["expirein"] = json!("10")));
        assert!(!read(|body| body["expirein"] = json!(10)));
        assert!(!read(|body| body["expirein"] = json!("ten")));
        assert!(!read(
            |body| body["expirein"] = json!("99999999999999999999")
        ));
        assert!(!read(|body| body["sender"] = json!("")));
        assert!(!read(|body| body["sender"] = json!("TwelveLetter")));
        assert!(!read(|body| body["webhook_url"] = json!("nowhere")));
        assert!(!read(|body| body["messages"] = json!([])));
        assert!(!read(|body| body["messages"] = json!({})));
        assert!(!read(|body| body["messages"][0]["content"] = json!("")));
        assert!(!read(
            |body| body["messages"][0]["content"] = json!("a".repeat(1001))
        ));
        assert!(read(|body| {
            body["messages"][0]["mobile_number"] = json!(vec!["+31612345678"; 200].join(","));
        }));
        assert!(!read(|body| {
            body["messages"][0]["mobile_number"] = json!(vec!["+31612345678"; 201].join(","));
        }));
        assert!(!read(|body| {
            body["messages"][0]["mobile_number"] = json!("+4915112345678");
            body["expirein"] = json!("20");
        }));
    }

    #[test]
    fn a_webhook_is_a_whole_url() {
        assert!(is_url("https://x.example/kpn"));
        assert!(!is_url("x.example/kpn?reference=1"));
        assert!(!is_url("https:///kpn"));
    }
}
