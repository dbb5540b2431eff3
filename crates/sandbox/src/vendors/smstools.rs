//! Smstools: one JSON request with one text for one number or several, and numbered errors.
//!
//! Source: Smstools' pages and its PHP SDK, and for the webhook's signature two public receivers that agree.

use chrono::{DateTime, NaiveDateTime, Utc};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    common::{brussels, central_european, e164, is_digits, is_name, present, with_retry_after},
    vendor::Vendor,
};
use crate::{
    digest,
    error::SandboxError,
    fault::{Fault, Strike},
    fault_point::FaultPoint,
    http::{Head, Request, Response},
    inbound::InboundText,
    proof::Proof,
    random,
    record::SentMessage,
    report::{ReportOrder, ReportStatus},
    segments::Encoding,
    vendor_request::VendorRequest,
    world::{Config, State},
};

const BALANCE: &str = "smstools.balance";
const CHECK: &str = "smstools.check";
const MESSAGE: &str = "smstools.message";
const SEND: &str = "smstools.send";

const FAULT_POINTS: &[FaultPoint] = &[
    FaultPoint::new(BALANCE),
    FaultPoint::new(CHECK),
    FaultPoint::new(MESSAGE),
    FaultPoint::send_list(SEND),
];

/// The most numbers of a request: not published, but none of its lists exceeds it.
const MAX_RECIPIENTS: usize = 2000;

/// The most segments: "612 characters (4 x 153)", by the newest copy of the page.
const MAX_SEGMENTS: u32 = 4;

#[derive(Debug)]
pub(crate) struct Smstools;

impl Vendor for Smstools {
    fn name(&self) -> &'static str {
        "smstools"
    }

    fn fault_points(&self) -> &'static [FaultPoint] {
        FAULT_POINTS
    }

    fn url(&self, authority: &str) -> String {
        format!("smstools://sandbox:sandbox@{authority}/smstools?sender=Postduif")
    }

    fn fault_point(&self, head: &Head) -> Option<&'static str> {
        match head.path().as_slice() {
            ["v1", "message", "send"] => Some(SEND),
            ["v1", "message", "logging"] => Some(MESSAGE),
            ["v1", "balance"] => Some(BALANCE),
            ["v1", "auth"] => Some(CHECK),
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
        if strike.is_some_and(|strike| strike.fault == Fault::Throttle) {
            return with_retry_after(Response::empty(StatusCode::TOO_MANY_REQUESTS), strike);
        }
        handle(state, request, strike, Utc::now()).unwrap_or_else(Refusal::response)
    }

    fn new_id(&self, _: &str) -> String {
        random::letters(30)
    }

    /// Returns the event `delivery_report`.
    fn report(
        &self,
        message: &SentMessage,
        order: &ReportOrder,
        target: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<VendorRequest>, SandboxError> {
        let (code, status, detail, why) = words(order.status);
        let report = json!({
            "messageid": message.id,
            "datetime": local(message.at),
            "content": message.text,
            "sender": message.sender,
            "receiver": message.to_digits(),
            "reference": message.reference.as_deref().unwrap_or_default(),
            "delivery_code": code,
            "delivery_status": status,
            "delivery_status_datetime": local(now),
            "delivery_code_detail": order.code.as_deref().unwrap_or(detail),
            "delivery_code_detail_description": why,
        });
        let event = signed("delivery_report", &report, target, &order.proof, now);
        Ok(vec![event])
    }

    /// Returns the event `inbox_message`.
    fn inbound(&self, text: &InboundText<'_>, target: &str) -> Result<VendorRequest, SandboxError> {
        let message = json!({
            "messageid": random::letters(20),
            "datetime": local(text.now),
            "content": text.text,
            "sender": text.sender_digits(),
            "receiver": text.recipient_digits(),
        });
        Ok(signed(
            "inbox_message",
            &message,
            target,
            text.proof,
            text.now,
        ))
    }
}

/// Returns an event, signed over its time and body.
fn signed(
    kind: &str,
    message: &Value,
    target: &str,
    proof: &Proof,
    now: DateTime<Utc>,
) -> VendorRequest {
    let body = json!({
        "webhook_id": "48213",
        "webhook_type": kind,
        "username": "sandbox",
        "message": message,
    })
    .to_string();
    let seconds = now.timestamp();
    let signed = format!("{seconds}.{body}");
    let signature = digest::hex(&digest::hmac_sha256(proof.secret(), signed.as_bytes()));
    VendorRequest::post_json(target.to_owned(), body)
        .with("X-Smstools-Timestamp", seconds.to_string())
        .with(
            "X-Smstools-Signature",
            format!("t={seconds},v1={signature}"),
        )
}

/// Returns the vendor's local time.
fn local(time: DateTime<Utc>) -> String {
    brussels(time).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A number of the vendor's list, and its text.
struct Refusal(u16, String);

impl Refusal {
    fn new(code: u16, message: &str) -> Self {
        Self(code, message.to_owned())
    }

    fn response(self) -> Response {
        let Self(code, message) = self;
        // The number is a string, and the status always 400, as in the page's example.
        Response::json(
            StatusCode::BAD_REQUEST,
            &json!({"error": code.to_string(), "errorMsg": message}),
        )
    }
}

fn handle(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let fault = strike.map(|strike| strike.fault);
    // The query works too, although it exposes the secret.
    let credential = |header, field| {
        request
            .head
            .header(header)
            .or_else(|| request.head.query(field))
    };
    let refused = fault.is_some_and(Fault::refuses_caller);
    if refused
        || credential("x-client-id", "client_id") != Some("sandbox")
        || credential("x-client-secret", "client_secret") != Some("sandbox")
    {
        return Err(Refusal::new(104, "Invalid credentials"));
    }
    Ok(
        match (request.head.path().as_slice(), &request.head.method) {
            (["v1", "message", "send"], &Method::POST) => return send(state, request, fault, now),
            (["v1", "balance"], &Method::GET) => Response::json(
                StatusCode::OK,
                &json!({"credits": "42.50", "currency": "EUR", "use": 0}),
            ),
            (["v1", "auth"], &Method::GET) => {
                Response::json(StatusCode::OK, &json!({"username": "sandbox"}))
            }
            (["v1", "message", "logging"], &Method::GET) => logging(state, request),
            (["v1", "auth" | "balance"] | ["v1", "message", "logging" | "send"], _) => {
                Response::empty(StatusCode::METHOD_NOT_ALLOWED)
            }
            _ => Response::empty(StatusCode::NOT_FOUND),
        },
    )
}

/// Returns a page of the sent texts, the newest first, which is the only way to look one up.
///
/// The default of `limit` is not documented, and neither is the form of `from` and `to`, which are ignored.
fn logging(state: &State, request: &Request) -> Response {
    let number = |name| request.head.query(name)?.parse().ok();
    let limit = number("limit")
        .unwrap_or(MAX_RECIPIENTS)
        .clamp(1, MAX_RECIPIENTS);
    let page = number("page").unwrap_or(1).max(1);
    let entry = |message: &SentMessage| {
        let (_, status, ..) = words(message.extra.reported.unwrap_or(ReportStatus::Sent));
        json!({
            "ID": message.id,
            "message_ID": message.id,
            "message": message.text,
            "to": message.to_digits(),
            "sender": message.sender,
            "date": local(message.send_at.unwrap_or(message.at)),
            "type": "sms",
            "status": status,
            "response": {
                "read": 0,
                "read_date": "",
                "response": 0,
                "response_sms": "",
                "response_sms_date": "",
            },
        })
    };
    let newest_first = state.accepted("smstools", "").rev();
    let messages: Vec<_> = newest_first
        .skip(limit.saturating_mul(page - 1))
        .take(limit)
        .map(entry)
        .collect();
    Response::json(StatusCode::OK, &json!({ "messages": messages }))
}

/// Returns a delivery code and its words, and the code and the words of the detail.
fn words(status: ReportStatus) -> (&'static str, &'static str, &'static str, &'static str) {
    match status {
        ReportStatus::Sent => ("0", "submitted", "", ""),
        ReportStatus::Delivered => ("1", "delivered", "", ""),
        ReportStatus::Failed => ("2", "not delivered", "10", "Receiver number invalid"),
        ReportStatus::Expired => ("2", "not delivered", "11", "Receiver out of range"),
        ReportStatus::Buffered => ("3", "buffered", "", ""),
        ReportStatus::Rejected => ("4", "rejected", "", ""),
        ReportStatus::Unknown => ("9", "unknown", "", ""),
    }
}

fn send(
    state: &mut State,
    request: &Request,
    fault: Option<Fault>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let Some(Value::Object(members)) = request.json() else {
        // The other form of an error, free text.
        return Ok(Response::json(
            StatusCode::BAD_REQUEST,
            &json!({"error": "error parsing json"}),
        ));
    };
    if members.is_empty() {
        return Err(Refusal::new(114, "Empty request"));
    }
    let sms = SendRequest::read(&Value::Object(members), now)?;
    let first = sms.recipients.first().map_or("", String::as_str);
    match fault {
        Some(Fault::BadNumber) => return Err(wrong_number(first)),
        Some(Fault::BadSender) => return Err(Refusal::new(111, "Sender is invalid")),
        Some(Fault::Blocked) => {
            return Err(Refusal::new(131, "Number is on the opt-out list"));
        }
        Some(Fault::NoCredit) => return Err(Refusal::new(108, "Not enough credits")),
        Some(Fault::EchoText) => {
            let message = format!("Could not send \"{}\" to {first}", sms.text);
            return Err(Refusal::new(139, &message));
        }
        _ => {}
    }
    if sms.is_test {
        // The response to a test is not documented. It has no id here, since no text is sent.
        return Ok(Response::json(StatusCode::OK, &json!({})));
    }
    let mut ids = Vec::with_capacity(sms.recipients.len());
    for to in &sms.recipients {
        let id = Smstools.new_id("");
        state.messages.push(SentMessage {
            reference: sms.reference.clone(),
            send_at: sms.send_at,
            ..SentMessage::new("smstools", to, &sms.sender, &sms.text, &id, now)
        });
        ids.push(id);
    }
    let response = match fault {
        Some(Fault::OkWithoutId) => json!({}),
        _ if !sms.is_list => json!({"messageid": ids[0]}),
        _ => {
            if let Some(fault) = fault {
                fault.spoil_list(&mut ids);
            }
            json!({"messageids": ids})
        }
    };
    Ok(Response::json(StatusCode::OK, &response))
}

struct SendRequest {
    sender: String,
    text: String,
    /// At least one.
    recipients: Vec<String>,
    /// Whether they came as a list, which decides the form of the response.
    is_list: bool,
    reference: Option<String>,
    send_at: Option<DateTime<Utc>>,
    is_test: bool,
}

impl SendRequest {
    fn read(body: &Value, now: DateTime<Utc>) -> Result<Self, Refusal> {
        // An empty string counts as missing, as the vendor's own n8n node writes it.
        let field = |name: &'static str| match present(body, name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(Refusal::new(139, &format!("Invalid parameter {name}"))),
        };
        // "UTF-8 in, GSM out."
        let text = field("message")?.ok_or_else(|| Refusal::new(112, "Message required"))?;
        let (text, parts) = Encoding::Gsm.apply(text);
        if parts > MAX_SEGMENTS {
            return Err(Refusal::new(118, "Message too long"));
        }
        let (written, is_list) = match present(body, "to") {
            Some(Value::Array(list)) if list.len() <= MAX_RECIPIENTS => {
                (list.iter().collect(), true)
            }
            Some(one @ Value::String(_)) => (vec![one], false),
            _ => (Vec::new(), false),
        };
        if written.is_empty() {
            return Err(Refusal::new(103, "Phone number required"));
        }
        let mut recipients = Vec::with_capacity(written.len());
        for number in written {
            let number = number.as_str().unwrap_or_default();
            let digits = number.strip_prefix('+').unwrap_or(number);
            recipients.push(e164(digits).ok_or_else(|| wrong_number(number))?);
        }
        let sender = field("sender")?.ok_or_else(|| Refusal::new(109, "Sender is empty"))?;
        check_sender(sender)?;
        let send_at = match field("date")? {
            None => None,
            Some(date) => Some(
                NaiveDateTime::parse_from_str(date, "%Y-%m-%d %H:%M")
                    .ok()
                    .and_then(central_european)
                    .filter(|time| *time > now)
                    .ok_or_else(|| Refusal::new(121, "Date is invalid or in the past"))?,
            ),
        };
        let reference = field("reference")?;
        if reference.is_some_and(|reference| reference.chars().count() > 255) {
            return Err(Refusal::new(139, "Invalid parameter reference"));
        }
        Ok(Self {
            sender: sender.to_owned(),
            text,
            recipients,
            is_list,
            reference: reference.map(str::to_owned),
            send_at,
            is_test: body["test"] == true,
        })
    }
}

/// Checks a sender: "A numeric sender must always start with a plus", and has at most fourteen digits.
fn check_sender(sender: &str) -> Result<(), Refusal> {
    if is_digits(sender) {
        return Err(Refusal::new(110, "A numeric sender must start with +"));
    }
    let good = match sender.strip_prefix('+') {
        Some(digits) => is_digits(digits) && digits.len() <= 14,
        None => is_name(sender),
    };
    if good {
        Ok(())
    } else {
        Err(Refusal::new(111, "Sender is invalid"))
    }
}

fn wrong_number(number: &str) -> Refusal {
    let number: String = number.chars().take(32).collect();
    Refusal(106, format!("Destination number {number} is invalid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_a_short_name_or_a_number_with_its_plus() {
        let code = |sender: &str| check_sender(sender).map_err(|Refusal(code, _)| code);
        for good in ["Acme", "My Shop", "+31612345678"] {
            assert_eq!(code(good), Ok(()), "{good}");
        }
        assert_eq!(code("31612345678"), Err(110));
        for bad in ["TwelveLetter", "Ac-me", "Zoë", "+", "+123456789012345"] {
            assert_eq!(code(bad), Err(111), "{bad}");
        }
    }
}
