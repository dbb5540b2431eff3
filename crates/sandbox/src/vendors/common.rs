//! What several vendors read or write alike.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use hyper::{StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use crate::{
    digest,
    error::SandboxError,
    fault::Strike,
    http::{self, Response},
    proof::Proof,
    vendor_request::{self, VendorRequest},
};

/// Returns the number in E.164 for digits that begin with the country code, without a plus.
pub(super) fn e164(digits: &str) -> Option<String> {
    let fits = is_digits(digits) && (7..=15).contains(&digits.len()) && !digits.starts_with('0');
    fits.then(|| format!("+{digits}"))
}

/// Returns whether this is a number in E.164, with its plus.
pub(crate) fn is_number(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| e164(digits).is_some())
}

/// Returns whether this is a short code of three to eight digits.
pub(crate) fn is_short_code(text: &str) -> bool {
    is_digits(text) && (3..=8).contains(&text.len())
}

pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns a member that is neither missing nor null.
pub(super) fn present<'a>(body: &'a Value, member: &str) -> Option<&'a Value> {
    body.get(member).filter(|value| !value.is_null())
}

/// Removes a member from an object.
pub(super) fn remove(object: &mut Value, member: &str) {
    if let Some(members) = object.as_object_mut() {
        members.remove(member);
    }
}

/// Adds `Retry-After`, in whole seconds, to a response with status 429.
pub(super) fn with_retry_after(response: Response, strike: Option<Strike>) -> Response {
    if response.status != StatusCode::TOO_MANY_REQUESTS {
        return response;
    }
    let seconds = strike.map_or(1, |strike| strike.ms.div_ceil(1000));
    response.with(RETRY_AFTER, seconds.to_string())
}

/// Reads a member that may be missing or null.
pub(super) fn optional<'a, T>(
    body: &'a Value,
    member: &str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<Option<T>, Invalid> {
    match present(body, member) {
        None => Ok(None),
        Some(value) => read(value).map(Some).ok_or(Invalid),
    }
}

/// The error that a member is present and cannot be read.
#[derive(Debug)]
pub(super) struct Invalid;

/// Reads a string of at most `most` characters.
pub(super) fn text_within(value: &Value, most: usize) -> Option<&str> {
    value.as_str().filter(|text| text.chars().count() <= most)
}

/// Reads a time in RFC 3339.
pub(super) fn rfc3339(value: &Value) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
    Some(time.to_utc())
}

/// Returns the query of a URL, without its question mark.
fn query(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    url.split_once('?').map_or("", |(_, query)| query)
}

/// Returns the caller's reference in a URL for reports, for vendors that have no other field for it.
pub(crate) fn reference_in(url: &str) -> Option<String> {
    http::value(&http::pairs(query(url)), "reference").map(str::to_owned)
}

/// Returns the URL of a report with the query of the one that the request named, where the reference is.
pub(super) fn with_query_of(target: &str, report_url: Option<&str>) -> String {
    let own = report_url.map(query).unwrap_or_default();
    if own.is_empty() || query(target) == own {
        target.to_owned()
    } else {
        vendor_request::with_query(target, own)
    }
}

/// Returns the signature of Standard Webhooks.
pub(super) fn standard_signature(
    proof: &Proof,
    id: &str,
    timestamp: &str,
    body: &[u8],
) -> Result<String, SandboxError> {
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let signature = STANDARD.encode(digest::hmac_sha256(&proof.standard_key()?, &signed));
    Ok(format!("v1,{signature}"))
}

/// Returns a request signed as Standard Webhooks are.
pub(super) fn standard_webhook(
    proof: &Proof,
    target: &str,
    id: &str,
    body: &Value,
    now: DateTime<Utc>,
) -> Result<VendorRequest, SandboxError> {
    let (seconds, body) = (now.timestamp().to_string(), body.to_string());
    let signature = standard_signature(proof, id, &seconds, body.as_bytes())?;
    Ok(VendorRequest::post_json(target.to_owned(), body)
        .with("webhook-id", id.to_owned())
        .with("webhook-timestamp", seconds)
        .with("webhook-signature", signature))
}

/// Returns whether a sender is a name of at most eleven letters, digits and spaces.
pub(super) fn is_name(sender: &str) -> bool {
    (1..=11).contains(&sender.len())
        && sender
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b' ')
}

/// Converts local time in the Netherlands and Belgium; a repeated hour is the first one.
pub(super) fn central_european(local: NaiveDateTime) -> Option<DateTime<Utc>> {
    let hours = |date: NaiveDate, hour| date.and_hms_opt(hour, 0, 0);
    let summer =
        hours(last_sunday(local.year(), 3)?, 2)?..hours(last_sunday(local.year(), 10)?, 3)?;
    let offset = if summer.contains(&local) { 2 } else { 1 };
    local
        .checked_sub_signed(TimeDelta::hours(offset))
        .map(|utc| utc.and_utc())
}

/// Converts to local time in the Netherlands and Belgium.
pub(super) fn brussels(utc: DateTime<Utc>) -> NaiveDateTime {
    let shown = |hours| utc.naive_utc() + TimeDelta::hours(hours);
    let summer = shown(2);
    if central_european(summer) == Some(utc) {
        summer
    } else {
        shown(1)
    }
}

/// Returns the last Sunday of a month that has 31 days.
fn last_sunday(year: i32, month: u32) -> Option<NaiveDate> {
    let last = NaiveDate::from_ymd_opt(year, month, 31)?;
    last.checked_sub_days(Days::new(last.weekday().num_days_from_sunday().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_seven_to_fifteen_digits_without_a_zero_before() {
        assert_eq!(e164("31612345678").as_deref(), Some("+31612345678"));
        for bad in [
            "",
            "123456",
            "0031612345678",
            "+31612345678",
            "1234567890123456",
            "31é1234",
        ] {
            assert_eq!(e164(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_reference_is_the_query_parameter_of_that_name() {
        assert_eq!(
            reference_in("https://x.example/kpn?a=1&reference=01J9Z8#f").as_deref(),
            Some("01J9Z8")
        );
        assert_eq!(reference_in("https://x.example/kpn"), None);
        let own = Some("https://x.example/kpn?reference=01J9Z8");
        for (target, expected) in [
            (
                "https://x.example/r",
                "https://x.example/r?reference=01J9Z8",
            ),
            (
                "https://x.example/r?a=1",
                "https://x.example/r?a=1&reference=01J9Z8",
            ),
            (
                "https://x.example/r?reference=01J9Z8",
                "https://x.example/r?reference=01J9Z8",
            ),
        ] {
            assert_eq!(with_query_of(target, own), expected);
            assert_eq!(with_query_of(target, None), target);
        }
    }

    #[test]
    fn clocks_change_on_the_last_sundays_of_march_and_october() {
        let utc = |text: &str| {
            let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
            central_european(local).unwrap().format("%H:%M").to_string()
        };
        assert_eq!(utc("2026-03-29 01:59"), "00:59");
        assert_eq!(utc("2026-03-29 03:00"), "01:00");
        assert_eq!(utc("2026-10-25 01:59"), "23:59");
        assert_eq!(utc("2026-10-25 03:00"), "02:00");
        assert_eq!(utc("2026-12-24 09:30"), "08:30");
        for time in ["2026-07-01T12:00:00Z", "2026-12-24T08:30:00Z"] {
            let time = time.parse().unwrap();
            assert_eq!(central_european(brussels(time)), Some(time));
        }
    }
}
