use postduif_core::{ErrorKind, Message, Price, SendError};
use serde_json::Value;

use crate::vendor::reports::recipient;

/// Returns a JSON string or number as text, trimmed. `None` if it is anything else, or blank.
///
/// Vendors, their clients and their documentation disagree on which of the two a field is.
///
/// ```
/// # mod postduif { pub use postduif_http as http; }
/// use postduif::http::vendor::text;
/// use serde_json::json;
///
/// assert_eq!(text(&json!(" 4 ")).as_deref(), Some("4"));
/// assert_eq!(text(&json!(4)).as_deref(), Some("4"));
/// assert_eq!(text(&json!(" ")), None);
/// assert_eq!(text(&json!(true)), None);
/// ```
#[must_use]
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns whether a response has a member that is one value, such as an id: it is neither `null` nor a blank string.
/// A list or an object counts, even an empty one.
#[must_use]
pub fn is_given(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    }
}

/// Returns whether a member of a response has any content: it is not `null`, a blank string, an empty list or an empty
/// object.
///
/// Use it to find a refusal with an id of any type, which contradicts itself.
#[must_use]
pub fn has_value(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Returns a price from an amount, as text or as a JSON number, and a currency. `None` if either is invalid.
#[must_use]
pub fn price(amount: &Value, currency: &Value) -> Option<Price> {
    Price::new(&text(amount)?, currency.as_str()?).ok()
}

/// Checks that a response has no other reference and no other number than the message. Either may be missing.
///
/// # Errors
///
/// Returns an error in doubt if one is another message's.
pub fn check_about(reference: &Value, number: &Value, message: &Message) -> Result<(), SendError> {
    let has_reference =
        text(reference).is_none_or(|reference| reference == message.reference().as_str());
    let has_number = recipient(number).is_none_or(|number| number == message.to());
    if has_reference && has_number {
        return Ok(());
    }
    Err(SendError::unknown(
        ErrorKind::Protocol,
        "the response is about another message",
    ))
}
