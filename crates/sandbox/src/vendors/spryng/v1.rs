//! REST v1: one id for the call, numbers without their plus, refusals as a PHP framework writes them.

use chrono::{DateTime, SecondsFormat, Utc};
use hyper::{
    Method, StatusCode,
    header::{ACCEPT, LOCATION},
};
use serde_json::{Value, json};

use super::is_sender;
use crate::{
    fault::{Fault, Strike},
    parts::Encoding,
    random,
    record::{Kept, SentMessage},
    report::{self, Report, ReportOrder, ReportStatus},
    vendors::common::{e164, optional, present, rfc3339, text_within, with_retry_after},
    wire::{Call, Reply},
    world::State,
};

/// How these texts are told from those of v2.
pub(super) const API: &str = "v1";

/// How many numbers a call may hold, and parts a text: the older APIs' limits, for v1 publishes none.
const MOST: usize = 1000;
const MOST_PARTS: u32 = 4;

/// A status, a sentence, and the field that it is about.
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

    fn reply(self, call: &Call) -> Reply {
        let Self(status, message, field) = self;
        let Some(field) = field else {
            return Reply::json(status, &json!({"message": message}));
        };
        // Who does not ask for JSON is taken for a browser, and led back to its form.
        if !call
            .head
            .header(ACCEPT.as_str())
            .is_some_and(|accept| accept.contains("json"))
        {
            return Reply::empty(StatusCode::FOUND).with(LOCATION, "/");
        }
        Reply::json(
            status,
            &json!({"message": "The given data was invalid.", "errors": {field: [message]}}),
        )
    }
}

pub(super) fn answer(
    state: &mut State,
    call: &Call,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Reply {
    let reply = take(state, call, strike, now).unwrap_or_else(|refusal| refusal.reply(call));
    with_retry_after(reply, strike)
}

fn take(
    state: &mut State,
    call: &Call,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Result<Reply, Refusal> {
    let fault = strike.map(|strike| strike.fault);
    if fault == Some(Fault::Throttle) {
        return Err(Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too Many Attempts.",
        ));
    }
    let refused = fault.is_some_and(Fault::refuses_caller);
    if refused || call.head.bearer() != Some("sandbox") {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "Unauthenticated."));
    }
    match (call.head.path().as_slice(), &call.head.method) {
        (["v1", "balance"], &Method::GET) => {
            Ok(Reply::json(StatusCode::OK, &json!({"amount": 10.5})))
        }
        (["v1", "messages"], &Method::POST) => send(state, call, fault, now),
        (["v1", "balance" | "messages"], _) => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "The method is not supported for this route.",
        )),
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, "Not Found")),
    }
}

fn send(
    state: &mut State,
    call: &Call,
    fault: Option<Fault>,
    now: DateTime<Utc>,
) -> Result<Reply, Refusal> {
    let body = call.json().unwrap_or_default();
    let request = Request::read(&body)?;
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
            let to = request.recipients.first().map_or("", String::as_str);
            let told = format!("\"{}\" could not be sent to {to}", request.text);
            return Err(Refusal::field("body", &told));
        }
        _ => {}
    }
    let id = random::guid();
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, false);
    let parts = u64::from(request.parts) * request.recipients.len() as u64;
    let mut answer = json!({
        "encoding": request.encoding,
        "originator": request.originator,
        "body": request.text,
        "reference": request.reference,
        "credits": parts,
        "scheduled_at": time(request.send_at.unwrap_or(now)),
        "canceled_at": null,
        "created_at": time(now),
        "updated_at": time(now),
        "links": {"self": format!("https://rest.spryngsms.com/v1/messages/{id}")},
    });
    match fault {
        Some(Fault::OkWithoutId) => {}
        _ => answer["id"] = json!(id),
    }
    // Only who asks is told of the recipients.
    if call
        .head
        .query
        .iter()
        .any(|(name, value)| name.starts_with("with[") && value == "recipients")
    {
        let mut told: Vec<_> = request
            .recipients
            .iter()
            .map(|to| {
                json!({
                    "number": to.trim_start_matches('+'),
                    "status": "pending",
                    "sent_at": null,
                })
            })
            .collect();
        if let Some(fault) = fault {
            fault.spoil_list(&mut told);
        }
        answer["recipients"] = told.into();
    }
    for to in &request.recipients {
        state.messages.push(SentMessage {
            reference: request.reference.clone(),
            parts: request.parts,
            send_at: request.send_at,
            kept: Kept {
                api: API,
                ..Kept::default()
            },
            ..SentMessage::new("spryng", to, &request.originator, &request.text, &id, now)
        });
    }
    Ok(Reply::json(StatusCode::OK, &answer))
}

struct Request {
    originator: String,
    text: String,
    parts: u32,
    encoding: &'static str,
    recipients: Vec<String>,
    reference: Option<String>,
    send_at: Option<DateTime<Utc>>,
}

impl Request {
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
        if parts > MOST_PARTS {
            return Err(Refusal::field("body", "is too long"));
        }
        let list = body["recipients"]
            .as_array()
            .filter(|list| (1..=MOST).contains(&list.len()))
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

/// A GET in capitals, unsigned, as one service in production takes it.
pub(super) fn report(message: &SentMessage, order: &ReportOrder, target: &str) -> Report {
    let (status, reason) = match order.status {
        ReportStatus::Delivered => ("10", "0"),
        ReportStatus::Expired => ("20", "20"),
        ReportStatus::Failed => ("20", "22"),
        ReportStatus::Rejected => ("20", "31"),
        // Words of the older page: no numbers are known.
        ReportStatus::Buffered => ("Buffered", "0"),
        ReportStatus::Sent => ("sent", "0"),
        ReportStatus::Unknown => ("99", "0"),
    };
    let fields = report::form([
        ("STATUS", status),
        ("REASONCODE", order.code.as_deref().unwrap_or(reason)),
        (
            "REFERENCE",
            message.reference.as_deref().unwrap_or_default(),
        ),
    ]);
    Report::get(report::with_query(target, &fields))
}
