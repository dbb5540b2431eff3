//! The SMS API: a form as request, and always a 200, in which each segment has its own status.

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{MAX_CHARACTERS, has_account, network, receipt, sender};
use crate::{
    fault::{Fault, Strike},
    http::{self, Request, Response},
    proof::{Proof, SignatureMethod},
    random,
    record::{Extra, SentMessage},
    segments::Encoding,
    vendors::common::{e164, remove},
    world::State,
};

/// The name of this API in the records.
pub(super) const API: &str = "sms";

/// The price of a segment and the balance, in hundred-millionths of a euro, which is the wire's precision.
const PRICE: u64 = 7_270_000;
const BALANCE: u64 = 1_234_567_890;

/// A code of the vendor's list, and its text.
struct Refused(u16, String);

pub(super) fn send(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Response {
    match handle(state, request, strike, now) {
        Ok(body) => Response::json(StatusCode::OK, &body),
        Err(Refused(code, text)) => Response::json(
            StatusCode::OK,
            &json!({
                "message-count": "1",
                "messages": [{"status": code.to_string(), "error-text": text}],
            }),
        ),
    }
}

fn handle(
    state: &mut State,
    request: &Request,
    strike: Option<Strike>,
    now: DateTime<Utc>,
) -> Result<Value, Refused> {
    let bad_credentials = || Refused(4, "Bad Credentials".to_owned());
    let fields = fields(request);
    let field = |name| http::value(&fields, name).filter(|value| !value.is_empty());
    let fault = strike.map(|strike| strike.fault);
    match (fault, strike) {
        (Some(Fault::Throttle), Some(strike)) => {
            let text = format!(
                "Throughput Rate Exceeded - please wait [ {} ] and retry",
                strike.ms
            );
            return Err(Refused(1, text));
        }
        (Some(Fault::Unauthorized | Fault::UnauthorizedOnce), _) => return Err(bad_credentials()),
        _ => {}
    }
    if request.head.basic().is_some() {
        if !has_account(&request.head) {
            return Err(bad_credentials());
        }
    } else {
        let key = field("api_key").ok_or_else(|| missing("api_key"))?;
        match (field("sig"), field("api_secret")) {
            (Some(_), Some(_)) => {
                return Err(Refused(
                    32,
                    "Signature And API Secret Disallowed".to_owned(),
                ));
            }
            _ if key != "sandbox" => return Err(bad_credentials()),
            (Some(sig), None) if is_signed(&fields, sig) => {}
            (Some(_), None) => return Err(Refused(14, "Invalid Signature".to_owned())),
            (None, Some("sandbox")) => {}
            (None, Some(_)) => return Err(bad_credentials()),
            (None, None) => return Err(missing("api_secret")),
        }
    }
    if fault == Some(Fault::NoCredit) {
        return Err(Refused(9, "Partner quota violation".to_owned()));
    }
    let mut message = read(field, now)?;
    match fault {
        Some(Fault::BadNumber) => {
            return Err(Refused(6, "Unroutable message - rejected".to_owned()));
        }
        Some(Fault::BadSender) => {
            return Err(Refused(15, "Illegal Sender Address - rejected".to_owned()));
        }
        Some(Fault::Blocked) => return Err(Refused(7, "Number barred".to_owned())),
        Some(Fault::EchoText) => {
            let text = format!("could not send \"{}\" to {}", message.text, message.to);
            return Err(Refused(3, text));
        }
        _ => {}
    }

    // Each segment has an id, whose last digits count the segments.
    let id = random::hex_id()[..12].to_uppercase();
    let mut ids: Vec<_> = (1..=message.parts)
        .map(|part| format!("{id}{part:04X}"))
        .collect();
    let mut entries: Vec<_> = (1..)
        .zip(&ids)
        .map(|(part, id)| {
            let mut entry = json!({
                "to": message.to_digits(),
                "message-id": id,
                "status": "0",
                "remaining-balance": euros(BALANCE.saturating_sub(part * PRICE)),
                "message-price": euros(PRICE),
            });
            if let Some(network) = network(&message.to) {
                entry["network"] = json!(network);
            }
            if let Some(reference) = &message.reference {
                entry["client-ref"] = json!(reference);
            }
            entry
        })
        .collect();
    message.id = ids.remove(0);
    message.extra.more_ids = ids;
    let count = message.parts;
    state.messages.push(message);
    match fault {
        Some(Fault::OkWithoutId) => {
            for entry in &mut entries {
                remove(entry, "message-id");
            }
        }
        Some(fault) => fault.spoil_list(&mut entries),
        None => {}
    }
    Ok(json!({"message-count": count.to_string(), "messages": entries}))
}

/// Returns the fields of a form, or of the JSON that the vendor's own Node client sends instead.
///
/// `Content-Type` does not decide: after a request to the Messages API, the vendor's own Python client labels
/// its forms as JSON.
fn fields(request: &Request) -> Vec<(String, String)> {
    let Some(Value::Object(members)) = request.json() else {
        return std::str::from_utf8(&request.body)
            .map(http::pairs)
            .unwrap_or_default();
    };
    members
        .into_iter()
        .filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            Value::Bool(_) | Value::Number(_) => Some((name, value.to_string())),
            Value::Array(_) | Value::Null | Value::Object(_) => None,
        })
        .collect()
}

/// Returns whether the request is signed with the account's secret, by any of the methods.
fn is_signed(fields: &[(String, String)], sig: &str) -> bool {
    let others: Vec<_> = fields
        .iter()
        .filter(|(name, _)| name != "sig")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    others.iter().any(|(name, _)| *name == "timestamp")
        && SignatureMethod::ALL.iter().any(|method| {
            let proof = Proof {
                method: *method,
                ..Proof::default()
            };
            receipt::sign(&others, &proof).eq_ignore_ascii_case(sig)
        })
}

fn read<'a>(
    field: impl Fn(&'static str) -> Option<&'a str>,
    now: DateTime<Utc>,
) -> Result<SentMessage, Refused> {
    let required = |name| field(name).ok_or_else(|| missing(name));
    let (from, to, text) = (required("from")?, required("to")?, required("text")?);
    let to = e164(to).ok_or_else(|| invalid("to"))?;
    let from = sender(from).ok_or_else(|| invalid("from"))?;
    if text.chars().count() > MAX_CHARACTERS {
        return Err(Refused(12, "The message is too long".to_owned()));
    }
    let encoding = match field("type") {
        None | Some("text") => Encoding::Gsm,
        Some("unicode") => Encoding::Unicode,
        Some(_) => return Err(invalid("type")),
    };
    let validity_s = match field("ttl") {
        None => None,
        Some(ttl) => Some(
            ttl.parse()
                .ok()
                .filter(|ttl| (20_000..=604_800_000u64).contains(ttl))
                .ok_or_else(|| invalid("ttl"))?
                / 1000,
        ),
    };
    let reference = field("client-ref");
    if reference.is_some_and(|reference| reference.chars().count() > 100) {
        return Err(invalid("client-ref"));
    }
    let report_url = field("callback");
    if report_url.is_some_and(|url| url.len() > 100 || !url.starts_with("http")) {
        return Err(Refused(23, "Invalid callback URL".to_owned()));
    }
    let (text, parts) = encoding.apply(text);
    Ok(SentMessage {
        reference: reference.map(str::to_owned),
        parts,
        validity_s,
        extra: Extra {
            api: API,
            report_url: report_url.map(str::to_owned),
            ..Extra::default()
        },
        ..SentMessage::new("vonage", &to, &from, &text, "", now)
    })
}

fn missing(name: &str) -> Refused {
    Refused(2, format!("Missing {name} param"))
}

fn invalid(name: &str) -> Refused {
    Refused(3, format!("Invalid {name} param"))
}

fn euros(amount: u64) -> String {
    format!("{}.{:08}", amount / 100_000_000, amount % 100_000_000)
}
