//! Twilio: a form in, a Messages resource out, and codes of five digits.
//!
//! Source: Twilio's pages, and its official libraries for Node and Python, which run against it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    common::{e164, is_digits, reference_in, remove, with_query_of, with_retry_after},
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
    segments,
    vendor_request::{self, VendorRequest},
    world::{Config, State},
};

const BALANCE: &str = "twilio.balance";
const MESSAGE: &str = "twilio.message";
const SEND: &str = "twilio.send";

const FAULT_POINTS: &[FaultPoint] = &[
    FaultPoint::new(BALANCE),
    FaultPoint::new(MESSAGE),
    FaultPoint::send(SEND),
];

const VERSION: &str = "2010-04-01";
/// The SIDs of the account and of its API key: `sandbox` in hexadecimal digits.
const ACCOUNT: &str = "AC73616e64626f78000000000000000000";
const KEY: &str = "SK73616e64626f78000000000000000000";

const MAX_CHARACTERS: usize = 1600;

#[derive(Debug)]
pub(crate) struct Twilio;

impl Vendor for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
    }

    fn fault_points(&self) -> &'static [FaultPoint] {
        FAULT_POINTS
    }

    fn url(&self, authority: &str) -> String {
        format!("twilio://{ACCOUNT}:sandbox@{authority}/twilio?sender=Postduif")
    }

    fn other_urls(&self, authority: &str) -> Vec<String> {
        vec![format!(
            "twilio://{KEY}:sandbox@{authority}/twilio?account={ACCOUNT}&sender=Postduif"
        )]
    }

    fn fault_point(&self, head: &Head) -> Option<&'static str> {
        match head.path().as_slice() {
            [VERSION, "Accounts", _, "Messages.json"] => Some(SEND),
            [VERSION, "Accounts", _, "Messages", _] => Some(MESSAGE),
            [VERSION, "Accounts", _, "Balance.json"] => Some(BALANCE),
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
        let response = handle(state, request, strike, Utc::now());
        with_retry_after(response.unwrap_or_else(Refusal::response), strike)
    }

    fn new_id(&self, _: &str) -> String {
        format!("SM{}", random::hex_id())
    }

    /// A status callback, signed over the URL and the parameters of its form.
    fn report(
        &self,
        message: &SentMessage,
        order: &ReportOrder,
        target: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<VendorRequest>, SandboxError> {
        let (status, code) = words(order.status);
        let done = now.format("%y%m%d%H%M").to_string();
        let mut fields = vec![
            ("RawDlrDoneDate", done.as_str()),
            ("SmsSid", &message.id),
            ("SmsStatus", status),
            ("MessageStatus", status),
            ("To", &message.to),
            ("MessageSid", &message.id),
            ("AccountSid", ACCOUNT),
            ("From", &message.sender),
            ("ApiVersion", VERSION),
        ];
        if let Some(code) = order.code.as_deref().or(code) {
            fields.push(("ErrorCode", code));
        }
        let url = with_query_of(target, message.extra.report_url.as_deref());
        Ok(vec![signed(url, fields, &order.proof)])
    }

    /// The request to the URL of an incoming message.
    fn inbound(&self, text: &InboundText<'_>, target: &str) -> Result<VendorRequest, SandboxError> {
        let id = self.new_id("");
        let segments = segments::count(text.text).to_string();
        let fields = vec![
            ("ToCountry", "NL"),
            ("SmsMessageSid", id.as_str()),
            ("NumMedia", "0"),
            ("SmsSid", &id),
            ("SmsStatus", "received"),
            ("FromCountry", "NL"),
            ("Body", text.text),
            ("To", text.to),
            ("NumSegments", &segments),
            ("MessageSid", &id),
            ("AccountSid", ACCOUNT),
            ("From", text.from),
            ("ApiVersion", VERSION),
        ];
        Ok(signed(target.to_owned(), fields, text.proof))
    }
}

/// Returns a form, signed over the URL and all its fields. The signature has no time.
fn signed(url: String, fields: Vec<(&str, &str)>, proof: &Proof) -> VendorRequest {
    let in_order: BTreeMap<_, _> = fields.iter().copied().collect();
    let signed: String = in_order
        .iter()
        .flat_map(|(name, value)| [*name, *value])
        .collect();
    let signature = digest::hmac_sha1_base64(proof.secret(), &format!("{url}{signed}"));
    let body = vendor_request::form(fields);
    VendorRequest::post(url, "application/x-www-form-urlencoded", body)
        .with("I-Twilio-Idempotency-Token", random::guid())
        .with("X-Twilio-Signature", signature)
}

/// A status, and a code with its words.
struct Refusal(StatusCode, u32, String);

impl Refusal {
    fn new(code: u32, words: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, code, words.to_owned())
    }

    fn unauthorized(words: &str) -> Self {
        Self(StatusCode::UNAUTHORIZED, 20003, words.to_owned())
    }

    fn not_found(head: &Head) -> Self {
        let words = format!("The requested resource {} was not found", head.raw_path);
        Self(StatusCode::NOT_FOUND, 20404, words)
    }

    fn response(self) -> Response {
        let Self(status, code, message) = self;
        Response::json(
            status,
            &json!({
                "code": code,
                "message": message,
                "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
                "status": status.as_u16(),
            }),
        )
    }
}

fn handle(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let head = &request.head;
    let fault = strike.map(|strike| strike.fault);
    if fault == Some(Fault::Throttle) {
        let words = "Too Many Requests".to_owned();
        return Err(Refusal(StatusCode::TOO_MANY_REQUESTS, 20429, words));
    }
    let path = head.path();
    let [VERSION, "Accounts", account, resource @ ..] = path.as_slice() else {
        return Err(Refusal::not_found(head));
    };
    let user = head.basic().filter(|(_, secret)| secret == "sandbox");
    let user = user.map(|(user, _)| user).unwrap_or_default();
    if fault.is_some_and(Fault::refuses_caller)
        || *account != ACCOUNT
        || ![ACCOUNT, KEY].contains(&user.as_str())
    {
        return Err(Refusal::unauthorized("Authenticate"));
    }
    match (resource, &head.method) {
        (["Messages.json"], &Method::POST) => send(state, request, fault, now),
        (["Messages", file], &Method::GET) => {
            let sid = file.strip_suffix(".json").unwrap_or(file);
            let known = |message: &&SentMessage| message.vendor == "twilio" && message.id == sid;
            let message = state.messages.iter().find(known);
            let message = message.ok_or_else(|| Refusal::not_found(head))?;
            Ok(Response::json(StatusCode::OK, &resource_of(message, now)))
        }
        // What only a main key may read.
        (["Balance.json"], &Method::GET) if user == KEY => Err(Refusal::unauthorized(
            "Authentication Error - invalid username",
        )),
        (["Balance.json"], &Method::GET) => Ok(Response::json(
            StatusCode::OK,
            &json!({"account_sid": ACCOUNT, "balance": "12.345", "currency": "EUR"}),
        )),
        (["Messages.json" | "Balance.json"] | ["Messages", _], _) => Err(Refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            20004,
            "Method not allowed".to_owned(),
        )),
        _ => Err(Refusal::not_found(head)),
    }
}

fn send(
    state: &mut State,
    request: &Request,
    fault: Option<Fault>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let mut message = read(&request.form(), now)?;
    match fault {
        Some(Fault::BadNumber) => return Err(wrong_number(&message.to)),
        Some(Fault::BadSender) => return Err(wrong_sender(&message.sender)),
        Some(Fault::Blocked) => {
            return Err(Refusal::new(
                21610,
                "Attempt to send to unsubscribed recipient",
            ));
        }
        // An account without credit is suspended.
        Some(Fault::NoCredit) => return Err(Refusal::unauthorized("Authenticate")),
        Some(Fault::EchoText) => {
            let words = format!("cannot send \"{}\" to {}", message.text, message.to);
            return Err(Refusal::new(30008, &words));
        }
        _ => {}
    }
    message.id = Twilio.new_id("");
    let mut body = resource_of(&message, now);
    state.messages.push(message);
    if fault == Some(Fault::OkWithoutId) {
        remove(&mut body, "sid");
    }
    Ok(Response::json(StatusCode::CREATED, &body))
}

fn read(fields: &[(String, String)], now: DateTime<Utc>) -> Result<SentMessage, Refusal> {
    let field = |name| http::value(fields, name).filter(|value| !value.is_empty());
    let to = field("To").ok_or_else(|| Refusal::new(21604, "A 'To' phone number is required."))?;
    let text =
        field("Body").ok_or_else(|| Refusal::new(21619, "A text message body is required."))?;
    let service = field("MessagingServiceSid").or(field("From").filter(|from| is_service(from)));
    let sender = service.or(field("From"));
    let sender = sender.ok_or_else(|| Refusal::new(21603, "A 'From' phone number is required."))?;
    let number = to.strip_prefix('+').and_then(e164);
    let to = number.ok_or_else(|| wrong_number(to))?;
    if sender == to {
        let words = "'To' and 'From' number cannot be the same";
        return Err(Refusal::new(21266, words));
    }
    if !is_sender(sender) || service.is_some() && !is_service(sender) {
        return Err(wrong_sender(sender));
    }
    if text.chars().count() > MAX_CHARACTERS {
        let words = "The concatenated message body exceeds the 1600 character limit";
        return Err(Refusal::new(21617, words));
    }
    let validity_s = field("ValidityPeriod").map(|seconds| {
        let seconds = seconds.parse().ok();
        seconds
            .filter(|seconds| (1..=36_000).contains(seconds))
            .ok_or_else(|| Refusal::new(90007, "Invalid validity period value"))
    });
    let report_url = field("StatusCallback");
    if report_url.is_some_and(|url| !url.starts_with("http")) {
        return Err(Refusal::new(21609, "Invalid 'StatusCallback' URL"));
    }
    Ok(SentMessage {
        reference: report_url.and_then(reference_in),
        validity_s: validity_s.transpose()?,
        send_at: send_at(field, service.is_some(), now)?,
        extra: Extra {
            report_url: report_url.map(str::to_owned),
            ..Extra::default()
        },
        ..SentMessage::new("twilio", &to, sender, text, "", now)
    })
}

/// Reads when to send a message: `None` where it is now.
fn send_at<'a>(
    field: impl Fn(&'static str) -> Option<&'a str>,
    has_service: bool,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, Refusal> {
    let (time, kind) = (field("SendAt"), field("ScheduleType"));
    match (time, kind) {
        (None, None) => return Ok(None),
        (_, Some("fixed")) => {}
        _ => {
            let words = "The ScheduleType value provided is not supported for this channel";
            return Err(Refusal::new(35126, words));
        }
    }
    let time = time.ok_or_else(|| Refusal::new(35111, "SendAt timestamp is missing"))?;
    if !has_service {
        let words = "MessagingServiceSid is required to schedule a message";
        return Err(Refusal::new(35118, words));
    }
    let time = DateTime::parse_from_rfc3339(time).ok();
    let bounds = now + TimeDelta::minutes(15)..=now + TimeDelta::days(35);
    let time = time
        .map(|time| time.to_utc())
        .filter(|time| bounds.contains(time));
    let words =
        "SendAt time must be between 900 seconds and 35 days (3024000 seconds) in the future";
    time.map(Some).ok_or_else(|| Refusal::new(35114, words))
}

fn is_service(sender: &str) -> bool {
    let digits = sender.strip_prefix("MG").unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns whether a sender is a number, a short code, a messaging service, or a name of the characters that the page of
/// the AlphaSender resource lists.
fn is_sender(sender: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" +-_&".contains(&byte);
    let is_name = (1..=11).contains(&sender.len())
        && sender.bytes().all(plain)
        && sender.bytes().any(|byte| byte.is_ascii_alphabetic());
    let is_number = sender
        .strip_prefix('+')
        .is_some_and(|digits| e164(digits).is_some());
    let is_short_code = is_digits(sender) && (3..=8).contains(&sender.len());
    is_name || is_number || is_short_code || is_service(sender)
}

fn wrong_number(number: &str) -> Refusal {
    let number: String = number.chars().take(32).collect();
    Refusal::new(21211, &format!("Invalid 'To' Phone Number: {number}"))
}

fn wrong_sender(sender: &str) -> Refusal {
    let sender: String = sender.chars().take(64).collect();
    let words = format!(
        "The 'From' number {sender} is not a valid phone number, shortcode, or alphanumeric sender ID."
    );
    Refusal::new(21212, &words)
}

/// Returns a status and the code of its error.
fn words(status: ReportStatus) -> (&'static str, Option<&'static str>) {
    match status {
        // It has no word for a phone that is off.
        ReportStatus::Buffered | ReportStatus::Sent => ("sent", None),
        ReportStatus::Delivered => ("delivered", None),
        ReportStatus::Expired => ("failed", Some("30036")),
        ReportStatus::Failed => ("undelivered", Some("30003")),
        ReportStatus::Rejected => ("failed", Some("30007")),
        ReportStatus::Unknown => ("unheard_of", None),
    }
}

/// Returns the resource of a message as Twilio shows it.
fn resource_of(message: &SentMessage, now: DateTime<Utc>) -> Value {
    let service = Some(&message.sender).filter(|sender| is_service(sender));
    let (status, code) = match (message.extra.reported, message.send_at, service) {
        (Some(reported), ..) => words(reported),
        (None, Some(_), _) => ("scheduled", None),
        (None, None, Some(_)) => ("accepted", None),
        (None, None, None) => ("queued", None),
    };
    // A number here, unlike in a callback.
    let code: Option<u32> = code.and_then(|code| code.parse().ok());
    // A service has chosen no sender yet, and counts no parts before it has.
    let (from, parts) = match service {
        Some(_) => (None, 0),
        None => (Some(&message.sender), message.parts),
    };
    let path = format!("/{VERSION}/Accounts/{ACCOUNT}/Messages/{}", message.id);
    json!({
        "account_sid": ACCOUNT,
        "api_version": VERSION,
        "body": message.text,
        "date_created": message.at.to_rfc2822(),
        "date_sent": null,
        "date_updated": now.to_rfc2822(),
        "direction": "outbound-api",
        "error_code": code,
        "error_message": null,
        "from": from,
        "messaging_service_sid": service,
        "num_media": "0",
        "num_segments": parts.to_string(),
        "price": null,
        "price_unit": null,
        "sid": message.id,
        "status": status,
        "subresource_uris": {"media": format!("{path}/Media.json")},
        "to": message.to,
        "uri": format!("{path}.json"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_a_number_a_code_a_name_or_a_service() {
        for good in [
            "+31612345678",
            "1008",
            "Postduif",
            "A+B-C_D&E 1",
            "MG0123456789abcdef0123456789ABCDEF",
        ] {
            assert!(is_sender(good), "{good}");
        }
        for bad in [
            "",
            "31612345678",
            "TwelveLetter",
            "Zoë",
            "1-2",
            "whatsapp:+1",
            "+0612345678",
            "MG0123456789abcdef0123456789abcde",
        ] {
            assert!(!is_sender(bad), "{bad}");
        }
    }
}
