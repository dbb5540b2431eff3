//! CM.com: one JSON call for up to a thousand texts, and a verdict for each recipient.
//!
//! Source: CM's pages on its Business Messaging API, and its SDKs where the pages are silent. CM has no
//! ids: the caller's own reference identifies a text. Names in its JSON are read in any case.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    common::{central_european, e164, is_digits, with_retry_after},
    vendor::Vendor,
};
use crate::{
    error::SandboxError,
    fault::{Fault, Strike},
    fault_point::FaultPoint,
    guid,
    http::{Head, Request, Response},
    inbound::InboundText,
    random,
    record::{SentMessage, short},
    report::{ReportOrder, ReportStatus},
    segments::{Encoding, is_gsm},
    vendor_request::VendorRequest,
    world::{Config, State},
};

const BALANCE: &str = "cm.balance";
const MESSAGE: &str = "cm.message";
const SEND: &str = "cm.send";

const FAULT_POINTS: &[FaultPoint] = &[
    FaultPoint::new(BALANCE),
    FaultPoint::new(MESSAGE),
    FaultPoint::send_list(SEND),
];

/// The most texts of a request, and recipients of a text.
const MAX_BATCH: usize = 1000;

/// The most segments. CM documents no limit, but all of its own clients have this one.
const MAX_SEGMENTS: u32 = 8;

#[derive(Debug)]
pub(crate) struct Cm;

impl Vendor for Cm {
    fn name(&self) -> &'static str {
        "cm"
    }

    fn fault_points(&self) -> &'static [FaultPoint] {
        FAULT_POINTS
    }

    fn url(&self, authority: &str) -> String {
        format!("cm://sandbox@{authority}/cm?sender=Postduif")
    }

    fn fault_point(&self, head: &Head) -> Option<&'static str> {
        match head.path().as_slice() {
            ["v1.0", "message"] => Some(SEND),
            ["v1.2", "transactions"] | ["v1.2", "transactions", ""] => Some(MESSAGE),
            ["accountbalance", "v1.0", "accountbalance", _] => Some(BALANCE),
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
        match (self.fault_point(&request.head), &request.head.method) {
            (None, _) => Response::empty(StatusCode::NOT_FOUND),
            (Some(BALANCE), &Method::GET) => balance(request, strike),
            (Some(MESSAGE), &Method::GET) => transactions(state, request, strike),
            (Some(SEND), &Method::POST) => send(state, request, strike, Utc::now()),
            (Some(_), &Method::GET | &Method::POST) => {
                Response::empty(StatusCode::METHOD_NOT_ALLOWED)
            }
            // The gateway's response to any other method.
            (Some(_), _) => Response::empty(StatusCode::BAD_REQUEST),
        }
    }

    /// Returns one unsigned report for the whole text.
    fn report(
        &self,
        message: &SentMessage,
        order: &ReportOrder,
        target: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<VendorRequest>, SandboxError> {
        let (code, error, text) = match order.status {
            ReportStatus::Sent => ("0", "", ""),
            ReportStatus::Buffered => ("0", "7", "Not yet delivered"),
            ReportStatus::Rejected => ("1", "28", "Suspected spam"),
            ReportStatus::Delivered => ("2", "", ""),
            ReportStatus::Expired => ("3", "8", "Message expired"),
            ReportStatus::Failed => ("3", "5", "Undelivered"),
            ReportStatus::Unknown => ("9", "", ""),
        };
        let body = json!({"messages": {"msg": {
            "received": now.format("%Y-%m-%dT%H:%M:%S").to_string(),
            "to": message.to.replace('+', "00"),
            "reference": message.reference.as_deref().unwrap_or_default(),
            "status": {
                "code": code,
                "errorCode": order.code.as_deref().unwrap_or(error),
                "errorDescription": text,
            },
            "operator": "20408",
        }}});
        Ok(vec![VendorRequest::post_json(
            target.to_owned(),
            body.to_string(),
        )])
    }

    /// Returns an unsigned request, in the newer of its two forms.
    fn inbound(&self, text: &InboundText<'_>, target: &str) -> Result<VendorRequest, SandboxError> {
        let earlier = text.earlier.and_then(|text| text.reference.as_deref());
        let body = json!({
            "from": {"number": text.from.replace('+', "00"), "name": ""},
            "to": {"number": text.to.replace('+', "00")},
            "message": {
                "text": text.text,
                "media": {"mediaUri": "", "contentType": "", "title": ""},
            },
            "reference": earlier.unwrap_or_default(),
            "groupings": ["", "", ""],
            "timeUtc": text.now.format("%Y-%m-%dT%H:%M:%S").to_string(),
            "channel": "SMS",
            "messageContext": "",
        });
        Ok(VendorRequest::post_json(
            target.to_owned(),
            body.to_string(),
        ))
    }
}

/// Returns the refusal of a whole request, without entries.
fn refusal(code: u16, details: &str) -> Response {
    Response::json(
        StatusCode::BAD_REQUEST,
        &json!({"details": details, "errorCode": code, "messages": []}),
    )
}

fn unauthorized(token: Option<&str>) -> Response {
    match token {
        Some(token) if !guid::is(token) => refusal(103, "The product token is incorrect"),
        _ => refusal(101, "No account found for the given authentication"),
    }
}

/// Returns the throttling response of Cloudflare, which is in front of CM. CM has none of its own.
fn too_many(strike: Option<Strike>) -> Response {
    let page = Response::text(
        StatusCode::TOO_MANY_REQUESTS,
        "text/plain; charset=UTF-8",
        "error code: 1015",
    );
    with_retry_after(page, strike)
}

fn header_token(head: &Head) -> Option<&str> {
    head.header("x-cm-producttoken")
}

/// Returns the refusal of the host of the balance and the transactions.
fn refused_there(request: &Request, strike: Option<Strike>) -> Option<Response> {
    match strike.map(|strike| strike.fault) {
        Some(Fault::Throttle) => Some(too_many(strike)),
        Some(Fault::Unauthorized | Fault::UnauthorizedOnce) => {
            Some(Response::empty(StatusCode::UNAUTHORIZED))
        }
        _ if header_token(&request.head) != Some("sandbox") => {
            Some(Response::empty(StatusCode::UNAUTHORIZED))
        }
        _ => None,
    }
}

/// Returns the texts of a period, which has no filter by reference. The members of `summary` and `pagination` are not
/// documented.
fn transactions(state: &State, request: &Request, strike: Option<Strike>) -> Response {
    if let Some(refusal) = refused_there(request, strike) {
        return refusal;
    }
    let time = |name| {
        let text = request.head.query(name)?;
        let day = || {
            NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .ok()?
                .and_hms_opt(0, 0, 0)
        };
        let local = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").ok();
        let instant = DateTime::parse_from_rfc3339(text).ok();
        instant
            .map(|time| time.to_utc())
            .or_else(|| Some(local().or_else(day)?.and_utc()))
    };
    let (Some(start), Some(end)) = (time("startdate"), time("enddate")) else {
        return Response::empty(StatusCode::BAD_REQUEST);
    };
    let accepted = state.accepted("cm", "");
    let result: Vec<_> = accepted
        .filter(|message| (start..=end).contains(&message.at))
        .take(MAX_BATCH)
        .map(transaction)
        .collect();
    Response::json(
        StatusCode::OK,
        &json!({
            "status": 1,
            "message": "Ok",
            "summary": {},
            "pagination": {},
            "result": result,
        }),
    )
}

fn transaction(message: &SentMessage) -> Value {
    // Only the number of a delivered text is documented.
    let (status, description, error, reason) = match message.extra.reported {
        Some(ReportStatus::Delivered) => (20, "Delivered", "", ""),
        Some(ReportStatus::Expired | ReportStatus::Failed | ReportStatus::Rejected) => {
            (30, "Failed", "5", "Undelivered")
        }
        _ => (10, "Accepted", "", ""),
    };
    json!({
        "sender": message.sender,
        "recipient": message.to.replace('+', "00"),
        "message": message.text,
        "reference": message.reference,
        "standarderror": error,
        "errordescription": reason,
        "status": status,
        "statusdescription": description,
        "created": message.at.format("%Y-%m-%dT%H:%M:%S").to_string(),
        "countryiso": "NL",
        "mccmnc": "20408",
        "operatorname": "KPN",
    })
}

fn balance(request: &Request, strike: Option<Strike>) -> Response {
    if let Some(refusal) = refused_there(request, strike) {
        return refusal;
    }
    if request.head.path().last() != Some(&"sandbox") {
        return Response::empty(StatusCode::NOT_FOUND);
    }
    Response::json(
        StatusCode::OK,
        &json!({"Currency": "EUR", "Amount": 84.2601}),
    )
}

fn send(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Response {
    let fault = strike.map(|strike| strike.fault);
    if fault == Some(Fault::Throttle) {
        return too_many(strike);
    }
    let body = request.json();
    let messages = body.as_ref().and_then(|body| member(body, "messages"));
    let token = header_token(&request.head).or_else(|| {
        let authentication = member(messages?, "authentication")?;
        member(authentication, "productToken")?.as_str()
    });
    match fault {
        Some(Fault::Unauthorized | Fault::UnauthorizedOnce) => return unauthorized(None),
        _ if token != Some("sandbox") => return unauthorized(token),
        Some(Fault::NoCredit) => return refusal(102, "The account balance is too low"),
        _ => {}
    }
    let Some(messages) = messages.filter(|messages| messages.is_object()) else {
        return refusal(202, "The message is malformed");
    };
    let entries = match member(messages, "msg") {
        Some(Value::Array(msgs)) if (1..=MAX_BATCH).contains(&msgs.len()) => {
            let entries: Option<Vec<_>> = msgs.iter().map(|msg| read(msg, now)).collect();
            entries.map(|entries| entries.into_iter().flatten().collect::<Vec<_>>())
        }
        _ => return refusal(203, "The msg array is incorrect"),
    };
    let Some(mut entries) = entries else {
        return refusal(202, "The message is malformed");
    };

    for entry in &mut entries {
        if let Some(refused) = fault.and_then(|fault| refused(fault, entry)) {
            entry.verdict = Err(refused);
        }
    }

    let mut accepted = 0;
    let mut verdicts = Vec::with_capacity(entries.len());
    for entry in entries {
        let (status, parts, details, code) = match &entry.verdict {
            Ok(message) => ("Accepted", message.parts, None, 0),
            Err(Refused(code, details)) => ("Rejected", 0, Some(details.clone()), *code),
        };
        // CM has no id but the reference.
        let reference = match fault {
            Some(Fault::OkWithoutId) => None,
            _ => entry.reference,
        };
        verdicts.push(json!({
            "to": entry.to,
            "status": status,
            "reference": reference,
            "parts": parts,
            "messageDetails": details,
            "messageErrorCode": code,
        }));
        if let Ok(message) = entry.verdict {
            accepted += 1;
            state.messages.push(*message);
        }
    }
    let all = accepted == verdicts.len();
    if let Some(fault) = fault {
        fault.spoil_list(&mut verdicts);
    }
    Response::json(
        if accepted == 0 {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::OK
        },
        &json!({
            "details": format!("Created {accepted} message(s)"),
            "errorCode": if all { 0 } else { 201 },
            "messages": verdicts,
        }),
    )
}

/// Returns the refusal of an entry by a fault.
fn refused(fault: Fault, entry: &Entry) -> Option<Refused> {
    let (code, details) = match fault {
        Fault::BadNumber => (303, format!("Gsm '{}' is not a number.", entry.to)),
        Fault::BadSender => (301, "The from field is invalid".to_owned()),
        Fault::Blocked => (402, "The message is blacklisted".to_owned()),
        Fault::EchoText => (
            403,
            format!(
                "Could not send \"{}\" to {}",
                entry
                    .verdict
                    .as_ref()
                    .map_or("", |message| message.text.as_str()),
                entry.to
            ),
        ),
        _ => return None,
    };
    Some(Refused(code, details))
}

/// A code of CM's list, and its text.
#[derive(Clone, Debug)]
struct Refused(u16, String);

/// One text to one number.
struct Entry {
    /// The number as the caller wrote it, which the response repeats.
    to: String,
    reference: Option<String>,
    verdict: Result<Box<SentMessage>, Refused>,
}

/// Reads the entries of one `msg`. A wrong type makes the whole request malformed.
fn read(msg: &Value, now: DateTime<Utc>) -> Option<Vec<Entry>> {
    if !msg.is_object() {
        return None;
    }
    let string = |from, name| match member(from, name) {
        None => Some(None),
        Some(value) => value.as_str().map(Some),
    };
    let number = |name| match member(msg, name) {
        None => Some(None),
        Some(value) => value.as_u64().map(Some),
    };
    let from = string(msg, "from")?;
    let reference = string(msg, "reference")?;
    let validity = string(msg, "validity")?;
    let body = member(msg, "body");
    let (content, kind) = match body {
        None => (None, None),
        Some(body) if body.is_object() => (string(body, "content")?, string(body, "type")?),
        Some(_) => return None,
    };
    let limits = (
        number("minimumNumberOfMessageParts")?,
        number("maximumNumberOfMessageParts")?,
    );
    let unicode = number("dcs")? == Some(8);
    let channels = match member(msg, "allowedChannels") {
        None => None,
        Some(channels) => Some(channels.as_array()?),
    };
    let recipients = match member(msg, "to") {
        None => &[][..],
        Some(to) => to.as_array()?,
    };

    let sent = sender(from)
        .and_then(|from| Ok((from, text(content, kind, unicode, limits)?)))
        .and_then(|sent| {
            let sms = |channel: &Value| {
                channel
                    .as_str()
                    .is_some_and(|name| name.eq_ignore_ascii_case("sms"))
            };
            if channels.is_some_and(|channels| !channels.iter().any(sms)) {
                return Err(invalid("allowedChannels"));
            }
            if reference.is_some_and(|reference| !is_reference(reference)) {
                return Err(invalid("reference"));
            }
            let validity_s = match validity {
                None => None,
                Some(text) => Some(seconds(text, now).ok_or_else(|| invalid("validity"))?),
            };
            Ok((sent, validity_s))
        });
    let entry = |to: &str, number: Result<String, Refused>| Entry {
        to: to.to_owned(),
        // A refused reference may be of any length, and the response repeats it for each number.
        reference: reference.map(short),
        verdict: number.and_then(|number| {
            let ((from, (text, parts)), validity_s) = sent.clone()?;
            // This id is only in the record, not on the wire.
            let id = random::guid();
            Ok(Box::new(SentMessage {
                reference: reference.map(str::to_owned),
                parts,
                validity_s,
                ..SentMessage::new("cm", &number, from, &text, &id, now)
            }))
        }),
    };
    if recipients.is_empty() || recipients.len() > MAX_BATCH {
        let refused = Refused(302, "The to field is invalid".to_owned());
        return Some(vec![entry("", Err(refused))]);
    }
    let mut entries = Vec::with_capacity(recipients.len());
    for recipient in recipients {
        let written = member(recipient, "number")?.as_str()?;
        // "00 + country code + number, no plus": the only documented form.
        let number = written
            .strip_prefix("00")
            .and_then(e164)
            .ok_or_else(|| Refused(303, format!("Gsm '{written}' is not a number.")));
        entries.push(entry(written, number));
    }
    Some(entries)
}

fn sender(from: Option<&str>) -> Result<&str, Refused> {
    let from = from.unwrap_or_default();
    let good = if is_digits(from) {
        from.len() <= 16
    } else {
        // The GSM table without its extension, by a maintainer's comment.
        (3..=11).contains(&from.chars().count()) && is_gsm(from)
    };
    if good {
        Ok(from)
    } else {
        Err(Refused(301, "The from field is invalid".to_owned()))
    }
}

/// Returns the text as it goes to the phone, and the number of its segments.
fn text(
    content: Option<&str>,
    kind: Option<&str>,
    unicode: bool,
    limits: (Option<u64>, Option<u64>),
) -> Result<(String, u32), Refused> {
    let content = content.unwrap_or_default();
    if content.is_empty() {
        return Err(Refused(304, "A body without content was found".to_owned()));
    }
    let auto = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("auto"));
    let encoding = match (auto, unicode) {
        (true, _) => Encoding::Auto,
        (false, true) => Encoding::Unicode,
        // "Without it the text is treated as GSM."
        (false, false) => Encoding::Gsm,
    };
    let (text, parts) = encoding.apply(content);
    let most = match limits {
        (Some(least), Some(most)) if least <= most => most.min(MAX_SEGMENTS.into()),
        (None, None) => MAX_SEGMENTS.into(),
        _ => return Err(invalid("maximumNumberOfMessageParts")),
    };
    if u64::from(parts) > most {
        return Err(Refused(
            304,
            format!("Maximum number of parts exceeded: need at least {parts}, max is {most}"),
        ));
    }
    Ok((text, parts))
}

fn invalid(field: &str) -> Refused {
    Refused(305, format!("The {field} field is invalid"))
}

fn is_reference(reference: &str) -> bool {
    (1..=32).contains(&reference.len())
        && reference.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Reads `2h`, `30m`, or a time such as `2026-04-20 11:50:05 GMT`, as seconds from now: a minute to 48 hours.
fn seconds(validity: &str, now: DateTime<Utc>) -> Option<u64> {
    let counted = |unit, worth: u64| {
        let number = validity.strip_suffix(unit)?;
        (is_digits(number) && number.len() <= 6)
            .then(|| number.parse::<u64>().ok())
            .flatten()
            .map(|number| number * worth)
    };
    let seconds = counted('h', 3600)
        .or_else(|| counted('m', 60))
        .or_else(|| u64::try_from((instant(validity)? - now).num_seconds()).ok())?;
    (60..=48 * 3600).contains(&seconds).then_some(seconds)
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    let (time, zone) = match text.char_indices().nth(19) {
        None => (text, ""),
        Some((at, _)) => (&text[..at], text[at..].trim()),
    };
    let local = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S").ok()?;
    let sign = match zone.chars().next() {
        // "Without a zone it is Dutch local time."
        None => return central_european(local),
        Some('+') => 1,
        Some('-') => -1,
        Some(_) => return (zone == "GMT").then(|| local.and_utc()),
    };
    let (hours, minutes) = zone[1..].split_once(':').unwrap_or((&zone[1..], "0"));
    let offset: i64 = hours.parse::<u8>().ok()?.into();
    let minutes: i64 = minutes.parse::<u8>().ok()?.into();
    local
        .and_utc()
        .checked_sub_signed(TimeDelta::minutes(sign * (offset * 60 + minutes)))
}

/// Returns a member by its name in any case, since CM's own clients differ in it.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value
        .as_object()?
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validity_is_a_duration_or_a_time() {
        let now = "2026-04-20T09:50:05Z".parse().unwrap();
        for (text, expected) in [
            ("2h", Some(7200)),
            ("30m", Some(1800)),
            ("48h", Some(172_800)),
            ("49h", None),
            ("0m", None),
            ("1h30m", None),
            ("2026-04-20 11:50:05 GMT", Some(7200)),
            ("2026-04-20 11:55:05", Some(300)),
            ("2026-04-20 17:55:05 +8", Some(300)),
            ("2026-04-20 02:55:05 -07:00", Some(300)),
            ("2026-04-20 11:50:05 CET", None),
            ("2026-04-20 09:50:00 GMT", None),
            ("é", None),
            ("2026-04-20 09:55:05 +é", None),
        ] {
            assert_eq!(seconds(text, now), expected, "{text}");
        }
    }

    #[test]
    fn a_sender_is_a_name_of_three_to_eleven_or_a_number() {
        for (from, good) in [
            ("Acme", true),
            ("CM Telecom", true),
            ("cm.com", true),
            ("0031612345678", true),
            ("1234", true),
            ("Ac", false),
            ("TwelveLetter", false),
            ("Ac🌷e", false),
            ("12345678901234567", false),
            ("", false),
        ] {
            assert_eq!(sender(Some(from)).is_ok(), good, "{from}");
        }
    }
}
