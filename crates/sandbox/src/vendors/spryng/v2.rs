//! Messaging v2: one text for many recipients, each with an id; numbers have a plus.

use chrono::{DateTime, SecondsFormat, Utc};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::is_sender;
use crate::{
    fault::{Fault, Strike},
    http::{Request, Response},
    inbound::InboundText,
    random,
    record::{Extra, SentMessage},
    report::{ReportOrder, ReportStatus},
    segments::{self, Encoding, is_gsm},
    vendor_request::VendorRequest,
    vendors::common::{e164, is_short_code, optional, present, rfc3339, with_retry_after},
    world::State,
};

/// The name of this API in the records.
pub(super) const API: &str = "v2";

/// The reference of the only account.
pub(super) const ACCOUNT: &str = "SPNL0000000";

/// The most recipients of a request.
const MAX_RECIPIENTS: usize = 50_000;

/// The most segments: Spryng has a limit (`MessagePartCountExceeded`), but does not publish it.
const MAX_SEGMENTS: u32 = 10;

/// The most bytes of text or `metaData`: not published, and more than any text needs.
const MAX_BYTES: usize = 8192;

/// The purposes of a text.
const TYPES: [&str; 7] = [
    "MarketingAndResearch",
    "NotificationsAndReminders",
    "AuthenticationAndSecurity",
    "PaymentsAndCollections",
    "InternalOperations",
    "CustomerSupport",
    "Conversational",
];

/// A status, a code and a text. Few codes are published: the others are the reasons of failed texts, in the
/// same spelling.
struct Refusal(StatusCode, &'static str, String);

impl Refusal {
    fn new(code: &'static str, message: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, code, message.to_owned())
    }

    fn number(written: &str) -> Self {
        let written: String = written.chars().take(32).collect();
        Self::new(
            "msisdn_invalid",
            &format!("The msisdn '{written}' is invalid."),
        )
    }

    fn sender() -> Self {
        Self::new("sender_id_invalid", "The sender id is invalid.")
    }

    fn field(name: &str) -> Self {
        Self::new("validation_error", &format!("The field {name} is invalid."))
    }

    fn response(self) -> Response {
        let Self(status, code, message) = self;
        Response::json(
            status,
            &json!({"errors": [{"errorCode": code, "errorMessage": message}]}),
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

fn handle(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let fault = strike.map(|strike| strike.fault);
    if fault == Some(Fault::Throttle) {
        return Err(Refusal(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "Too many requests.".to_owned(),
        ));
    }
    let refused = fault.is_some_and(Fault::refuses_caller);
    if refused || request.head.header("x-api-key") != Some("sandbox") {
        return Err(Refusal(
            StatusCode::UNAUTHORIZED,
            "UnauthenticatedError",
            "The API key is missing, wrong or expired.".to_owned(),
        ));
    }
    match (request.head.path().as_slice(), &request.head.method) {
        (["v2", "balance"], &Method::GET) => {
            check_account(request.head.header("accountreference"))?;
            Ok(Response::json(
                StatusCode::OK,
                &json!({"data": {"available": "115.82000", "reserved": "0"}}),
            ))
        }
        (["v2", "messages"], &Method::POST) => send(state, request, fault, now),
        (["v2", "schedules", "delayed"], &Method::POST) => schedule(state, request, fault, now),
        (["v2", "messages", id], &Method::GET) => {
            check_account(request.head.header("accountreference"))?;
            let mut accepted = state.accepted("spryng", API);
            let message = accepted.find(|message| message.id == *id);
            let message = message.ok_or_else(|| {
                Refusal(
                    StatusCode::NOT_FOUND,
                    "message_not_found",
                    "The message was not found.".to_owned(),
                )
            })?;
            Ok(Response::json(
                StatusCode::OK,
                &json!({"data": resource(message)}),
            ))
        }
        (["v2", "requests", id, "messages"], &Method::GET) => {
            check_account(request.head.header("accountreference"))?;
            let accepted = state.accepted("spryng", API);
            let of_request = accepted.filter(|message| message.extra.request_id == *id);
            let messages: Vec<_> = of_request.map(resource).collect();
            // What an unknown request gets is not documented: a page without messages.
            Ok(Response::json(
                StatusCode::OK,
                &json!({"data": {
                    "messages": messages,
                    "totalCount": messages.len(),
                    "currentPage": 1,
                    "totalPages": 1,
                }}),
            ))
        }
        (
            ["v2", "balance" | "messages"]
            | ["v2", "messages", _]
            | ["v2", "requests", _, "messages"]
            | ["v2", "schedules", "delayed"],
            _,
        ) => Ok(Response::empty(StatusCode::METHOD_NOT_ALLOWED)),
        _ => Ok(Response::empty(StatusCode::NOT_FOUND)),
    }
}

/// Checks that the key belongs to this account.
fn check_account(account: Option<&str>) -> Result<(), Refusal> {
    match account {
        Some(ACCOUNT) => Ok(()),
        Some(_) => Err(Refusal(
            StatusCode::FORBIDDEN,
            "ForbiddenError",
            "The API key is not allowed for this account.".to_owned(),
        )),
        None => Err(Refusal::field("accountReference")),
    }
}

fn object(request: &Request) -> Result<Value, Refusal> {
    request
        .json_object()
        .ok_or_else(|| Refusal::new("validation_error", "The body is not a JSON object."))
}

fn send(
    state: &mut State,
    request: &Request,
    fault: Option<Fault>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    let body = object(request)?;
    check_account(body["accountReference"].as_str())?;
    let mut messages = read(&body, &body["recipients"], now)?;
    refused(fault, &messages)?;
    let seconds = |validity: &Value| {
        rfc3339(validity)
            .map(|until| (until - now).num_seconds())
            .filter(|seconds| (61..72 * 3600).contains(seconds))
            .and_then(|seconds| seconds.try_into().ok())
    };
    let validity_s =
        optional(&body, "validity", seconds).map_err(|_| Refusal::field("validity"))?;
    let request_id = random::guid();
    for message in &mut messages {
        message.validity_s = validity_s;
        message.extra.request_id.clone_from(&request_id);
    }
    let mut ids: Vec<_> = messages.iter().map(|message| message.id.clone()).collect();
    for message in messages {
        state.messages.push(message);
    }
    match fault {
        Some(Fault::OkWithoutId) => ids.clear(),
        Some(fault) => fault.spoil_list(&mut ids),
        None => {}
    }
    Ok(Response::json(
        StatusCode::ACCEPTED,
        &json!({"data": {"requestId": request_id, "messageIds": ids}}),
    ))
}

/// Handles a request to send later, whose response has only the id of the schedule.
fn schedule(
    state: &mut State,
    request: &Request,
    fault: Option<Fault>,
    now: DateTime<Utc>,
) -> Result<Response, Refusal> {
    check_account(request.head.header("accountreference"))?;
    let body = object(request)?;
    let time = rfc3339(&body["scheduleInformation"]["sendTime"])
        .filter(|time| *time > now)
        .ok_or_else(|| Refusal::field("scheduleInformation.sendTime"))?;
    let messages = read(&body["dispatch"], &body["recipients"], now)?;
    refused(fault, &messages)?;
    for mut message in messages {
        message.send_at = Some(time);
        state.messages.push(message);
    }
    let mut data = json!({"validationResult": {"isValid": true, "errors": []}});
    if fault != Some(Fault::OkWithoutId) {
        data["scheduleId"] = random::guid().into();
    }
    Ok(Response::json(StatusCode::CREATED, &json!({"data": data})))
}

fn refused(fault: Option<Fault>, messages: &[SentMessage]) -> Result<(), Refusal> {
    let first = messages.first();
    let to = first.map_or("", |message| message.to.as_str());
    match fault {
        Some(Fault::BadNumber) => Err(Refusal::number(to)),
        Some(Fault::BadSender) => Err(Refusal::sender()),
        Some(Fault::Blocked) => Err(Refusal::new("opted_out", "The recipient opted out.")),
        Some(Fault::NoCredit) => Err(Refusal::new(
            "insufficient_balance",
            "The account has not enough balance.",
        )),
        Some(Fault::EchoText) => {
            let text = first.map_or("", |message| message.text.as_str());
            let message = format!("Could not send \"{text}\" to {to}.");
            Err(Refusal::new("validation_error", &message))
        }
        _ => Ok(()),
    }
}

fn read(
    dispatch: &Value,
    recipients: &Value,
    now: DateTime<Utc>,
) -> Result<Vec<SentMessage>, Refusal> {
    if dispatch["channel"] != "SMS" {
        return Err(Refusal::field("channel"));
    }
    let from = dispatch["from"]
        .as_str()
        .filter(|from| is_sender(from.strip_prefix('+').unwrap_or(from)))
        .ok_or_else(Refusal::sender)?;
    if present(&dispatch["body"], "templateId").is_some() {
        return Err(Refusal::field("body.templateId"));
    }
    let text = dispatch["body"]["text"]
        .as_str()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::field("body.text"))?;
    let encoding = match present(dispatch, "characterSet").map(Value::as_str) {
        None | Some(Some("Auto")) => Encoding::Auto,
        Some(Some("GSM")) => Encoding::Gsm,
        Some(Some("Unicode")) => Encoding::Unicode,
        Some(_) => return Err(Refusal::field("characterSet")),
    };
    let known = |kind: &Value| kind.as_str().is_some_and(|kind| TYPES.contains(&kind));
    if present(dispatch, "messageType").is_some_and(|kind| !known(kind)) {
        return Err(Refusal::field("messageType"));
    }
    let recipients = recipients
        .as_array()
        .filter(|list| (1..=MAX_RECIPIENTS).contains(&list.len()))
        .ok_or_else(|| Refusal::field("recipients"))?;
    let mut messages = Vec::with_capacity(recipients.len());
    for recipient in recipients {
        let written = recipient["msisdn"].as_str().unwrap_or_default();
        let to = written
            .strip_prefix('+')
            .and_then(e164)
            .ok_or_else(|| Refusal::number(written))?;
        let text = filled(text, &recipient["variables"]).ok_or_else(too_long)?;
        let (text, parts) = encoding.apply(&text);
        if parts > MAX_SEGMENTS {
            return Err(too_long());
        }
        let metadata = recipient["metaData"].clone();
        if metadata.to_string().len() > MAX_BYTES {
            return Err(Refusal::field("recipients.metaData"));
        }
        messages.push(SentMessage {
            reference: reference(&metadata),
            parts,
            extra: Extra {
                api: API,
                metadata,
                shown: json!({"messageType": dispatch["messageType"]}),
                ..Extra::default()
            },
            ..SentMessage::new("spryng", &to, from, &text, &random::guid(), now)
        });
    }
    Ok(messages)
}

fn too_long() -> Refusal {
    Refusal::new(
        "message_part_count_exceeded",
        "The text has too many parts.",
    )
}

/// Replaces the variables of a text, or returns `None` where the result is far too long.
///
/// Anything in brackets is a variable, since the page documents no escape; an unknown one is empty.
fn filled(text: &str, variables: &Value) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let Some((name, after)) = after.split_once(']') else {
            break;
        };
        filled.push_str(before);
        filled.push_str(variables[name].as_str().unwrap_or_default());
        rest = after;
        if filled.len() > MAX_BYTES {
            return None;
        }
    }
    filled.push_str(rest);
    (filled.len() <= MAX_BYTES).then_some(filled)
}

/// Returns the caller's reference from `metaData`, whose names are free: the API has no other field for it.
fn reference(metadata: &Value) -> Option<String> {
    ["reference", "ref"]
        .into_iter()
        .find_map(|name| metadata[name].as_str())
        .or_else(|| metadata.as_object()?.values().find_map(Value::as_str))
        .map(str::to_owned)
}

/// Returns an unsigned report in Pascal case, unlike the rest of the API, and with a number without a plus.
pub(super) fn report(
    message: &SentMessage,
    order: &ReportOrder,
    target: &str,
    now: DateTime<Utc>,
) -> VendorRequest {
    let (status, reason) = words(order.status);
    let request_id = match message.extra.request_id.as_str() {
        "" => random::guid(),
        id => id.to_owned(),
    };
    let fits = is_gsm(&message.text);
    let metadata = match &message.extra.metadata {
        Value::Object(members) if !members.is_empty() => message.extra.metadata.clone(),
        // PHP's JSON for an empty map.
        _ => json!([]),
    };
    let body = json!({
        "RequestId": request_id,
        "AccountReference": ACCOUNT,
        "Channel": "SMS",
        "Status": status,
        "Messages": [{
            "MessageId": message.id,
            "Status": status,
            "Reason": order.code.as_deref().unwrap_or(reason),
            "OccurredAtTime": seven_digits(now),
            "Msisdn": message.to_digits(),
            "Originator": message.sender,
            "Body": message.text,
            "MessageParts": message.parts,
            "MessageCoding": if fits { "GSM" } else { "Unicode" },
            "DestinationCode": "NL",
            "Metadata": metadata,
        }],
    });
    VendorRequest::post_json(target.to_owned(), body.to_string())
}

/// Returns a status and its reason.
fn words(status: ReportStatus) -> (&'static str, &'static str) {
    match status {
        ReportStatus::Sent => ("Sent", "EdgeSubmitted"),
        ReportStatus::Buffered => ("In Progress", "EdgeSubmitted"),
        ReportStatus::Delivered => ("Delivered", "Delivered"),
        ReportStatus::Expired => ("Failed", "EdgeFailed"),
        ReportStatus::Failed => ("Failed", "NetworkFailed"),
        ReportStatus::Rejected => ("Failed", "DisallowedContent"),
        ReportStatus::Unknown => ("Held", "Unheard"),
    }
}

/// Returns a text as a look-up shows it. In which form its number is, the page does not say: as in the request.
fn resource(message: &SentMessage) -> Value {
    let (status, reason) = words(message.extra.reported.unwrap_or(ReportStatus::Buffered));
    let encoding = if is_gsm(&message.text) {
        "Gsm"
    } else {
        "Unicode"
    };
    let at = seven_digits(message.at);
    json!({
        "messageId": message.id,
        "requestId": message.extra.request_id,
        "accountReference": ACCOUNT,
        "msisdn": message.to,
        "status": status,
        "reason": reason,
        "destinationCode": "NL",
        "requestedChannel": "SMS",
        "source": "API",
        "originator": message.sender,
        "isBillable": true,
        "characterSet": encoding,
        "content": message.text,
        "characterCount": message.text.chars().count(),
        "messagePartCount": message.parts,
        "variables": {},
        "submittedAt": at,
        "sentAt": message.send_at.is_none().then_some(&at),
        "lastUpdateTimestamp": at,
        "requestName": null,
        "messageType": message.extra.shown["messageType"],
        "direction": "Outbound",
    })
}

/// Returns the event of a received text, whose person is the MSISDN.
pub(super) fn inbound(text: &InboundText<'_>, target: &str) -> VendorRequest {
    let encoding = if is_gsm(text.text) { "GSM" } else { "Unicode" };
    let earlier = text.earlier.map(|earlier| &earlier.id);
    let is_code = is_short_code(text.to);
    let body = json!({
        "RequestId": random::guid(),
        "AccountReference": ACCOUNT,
        "Channel": "SMS",
        "Status": "Received",
        "Messages": [{
            "MessageId": random::guid(),
            "MostRecentOutboundMessageId": earlier,
            "MostRecentOutboundRequestId": null,
            "OccurredAtTime": seven_digits(text.now),
            "Status": "Received",
            "DestinationCode": "",
            "Body": text.text,
            "MessageParts": segments::count(text.text),
            "MessageCoding": encoding,
            "ContactId": null,
            "ConversationStatus": "Updated",
            "Originator": text.recipient_digits(),
            "Msisdn": text.sender_digits(),
            "ContainsActionWord": false,
            "ActionWord": null,
            "Keyword": "",
            "SenderType": if is_code { "ShortCode" } else { "VirtualMobileNumber" },
        }],
    });
    VendorRequest::post_json(target.to_owned(), body.to_string())
}

/// Writes a time as the API does, with seven decimals.
fn seven_digits(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
        .replace('Z', "0Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_in_brackets_is_a_variable() {
        let variables = json!({"name": "Sanne"});
        let filled = |text: &str| filled(text, &variables);
        assert_eq!(filled("Hi [name]!").as_deref(), Some("Hi Sanne!"));
        assert_eq!(filled("a [b] c] d [e").as_deref(), Some("a  c] d [e"));
        assert_eq!(filled(&"[name]".repeat(10_000)), None);
    }

    #[test]
    fn the_reference_is_in_the_metadata_under_any_name() {
        let of = |metadata| reference(&metadata);
        assert_eq!(
            of(json!({"a": "x", "reference": "y"})).as_deref(),
            Some("y")
        );
        assert_eq!(of(json!({"id": 1, "mine": "z"})).as_deref(), Some("z"));
        assert_eq!(of(json!([])), None);
    }
}
