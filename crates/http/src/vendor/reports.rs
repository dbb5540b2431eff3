//! Delivery reports and inbound texts: the secrets that prove them, and their fields.

use std::{borrow::Cow, error::Error, fmt, slice, str::FromStr, time::Duration};

use chrono::{DateTime, NaiveDateTime, Utc};
use postduif_core::{
    ConfigError, DeliveryStatus, InboundMessage, PhoneNumber, ReportError, ReportOptions,
    ReportRequest,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::form_urlencoded;

use crate::{
    Response,
    vendor::{
        signature::{is_hmac_sha256, is_secret, unhex},
        text,
    },
};

/// The maximum number of reports or inbound texts in one request.
pub const MAX_REPORTS: usize = 1000;

/// The secrets with which a vendor signs its reports: several while one is being replaced.
#[derive(Clone, Debug)]
pub struct SigningSecrets(Vec<SecretString>);

impl SigningSecrets {
    /// Creates a set of secrets, any of which proves a report.
    ///
    /// # Errors
    ///
    /// Returns an error with the text `missing`, which says what is expected, if there is no secret or one is blank.
    pub fn new(secrets: Vec<SecretString>, missing: &'static str) -> Result<Self, ConfigError> {
        let is_blank = |secret: &SecretString| secret.expose_secret().trim().is_empty();
        if secrets.is_empty() || secrets.iter().any(is_blank) {
            return Err(ConfigError::new(missing));
        }
        Ok(Self(secrets))
    }

    /// Returns the secrets, for the functions of [`signature`](crate::vendor::signature).
    #[must_use]
    pub fn as_slice(&self) -> &[SecretString] {
        &self.0
    }

    /// Verifies an HMAC-SHA256 in hexadecimal digits over `signed`.
    ///
    /// # Errors
    ///
    /// Returns `Forged` if none of the secrets made it, or it is not hexadecimal.
    pub fn verify_hmac_sha256(&self, signed: &[u8], tag: &str) -> Result<(), ReportError> {
        let tag = unhex(tag).ok_or(ReportError::forged("the signature is not hexadecimal"))?;
        if is_hmac_sha256(&self.0, signed, &tag) {
            Ok(())
        } else {
            Err(ReportError::forged(
                "the request is not signed with our secret",
            ))
        }
    }
}

/// Checks that a signature's time, in seconds since 1970 as text, is at most `window` before or after `now`.
///
/// # Errors
///
/// Returns `Malformed` if it is not a number, `Stale` if it is outside the window.
pub fn check_time(
    signed_at: &str,
    now: DateTime<Utc>,
    window: Duration,
) -> Result<(), ReportError> {
    let signed_at = signed_at
        .parse()
        .map_err(|_| ReportError::malformed("the time of the signature is not a number"))?;
    check_window(signed_at, now, window)
}

/// Checks that a signature's time, in seconds since 1970, is at most `window` before or after `now`.
///
/// # Errors
///
/// Returns `Stale` if it is outside the window.
pub fn check_window(
    signed_at: i64,
    now: DateTime<Utc>,
    window: Duration,
) -> Result<(), ReportError> {
    if now.timestamp().abs_diff(signed_at) > window.as_secs() {
        return Err(ReportError::stale(
            "the request was signed too long ago, or in the future",
        ));
    }
    Ok(())
}

/// Returns the header that proves a report, such as a signature.
///
/// # Errors
///
/// Returns `Unsigned` if it is missing, `Forged` if it is a duplicate.
pub fn proof_header<'r>(
    request: &'r ReportRequest<'_>,
    name: &str,
) -> Result<&'r str, ReportError> {
    request
        .header(name)?
        .ok_or(ReportError::unsigned("the request has no signature"))
}

/// Returns the decoded value of a query parameter. `None` if the URL does not have it.
///
/// # Errors
///
/// Returns `Malformed` if the parameter is a duplicate: which of the two counts is open.
pub fn query_parameter(url: &str, name: &str) -> Result<Option<String>, ReportError> {
    let query = url
        .split_once('#')
        .map_or(url, |(url, _)| url)
        .split_once('?')
        .map_or("", |(_, query)| query);
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some((_, value)), None) => Ok(Some(value.into_owned())),
        (Some(_), Some(_)) => Err(ReportError::malformed("duplicate query parameter")),
    }
}

/// Reads the body of a report as JSON.
///
/// # Errors
///
/// Returns `Malformed` if it is not JSON.
pub fn json(request: &ReportRequest<'_>) -> Result<Value, ReportError> {
    serde_json::from_slice(request.body())
        .map_err(|_| ReportError::malformed("the request is not JSON"))
}

/// Returns the entries of a list, or a single value as a list of one.
#[must_use]
pub fn entries(value: &Value) -> &[Value] {
    match value {
        Value::Array(entries) => entries,
        entry => slice::from_ref(entry),
    }
}

/// What an entry of a verified request holds, for the parser that reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a parser has nothing else to say of an entry"
)]
pub enum Entry<T> {
    /// What this parser reads.
    Read(T),
    /// Something else that the vendor is known to send, such as an inbound text to a parser of reports.
    Other,
    /// Nothing known.
    Unreadable,
}

impl<T> Entry<T> {
    /// Returns an entry whose value, if there is one, was changed by `change`.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Entry<U> {
        match self {
            Self::Read(value) => Entry::Read(change(value)),
            Self::Other => Entry::Other,
            Self::Unreadable => Entry::Unreadable,
        }
    }

    /// Returns the result of a request with this one entry.
    ///
    /// # Errors
    ///
    /// Returns `Malformed` with the text `unreadable` if the entry is.
    pub fn into_result(self, unreadable: &'static str) -> Result<Vec<T>, ReportError> {
        match self {
            Self::Read(value) => Ok(vec![value]),
            Self::Other => Ok(Vec::new()),
            Self::Unreadable => Err(ReportError::malformed(unreadable)),
        }
    }
}

impl<T> From<Option<T>> for Entry<T> {
    /// Converts `None` to `Unreadable`.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unreadable, Self::Read)
    }
}

/// Reads the entries of one request. Those with nothing that this parser reads are skipped.
///
/// # Errors
///
/// Returns `Malformed` if there are more than [`MAX_REPORTS`] entries, and with the text `unreadable` if there is none,
/// or none is known.
pub fn read_each<'v, T>(
    entries: impl IntoIterator<Item = &'v Value>,
    unreadable: &'static str,
    mut read: impl FnMut(&'v Value) -> Entry<T>,
) -> Result<Vec<T>, ReportError> {
    let (mut values, mut count, mut is_known) = (Vec::new(), 0, false);
    for entry in entries {
        count += 1;
        if count > MAX_REPORTS {
            return Err(ReportError::malformed("too many reports in one request"));
        }
        let entry = read(entry);
        is_known |= !matches!(entry, Entry::Unreadable);
        if let Entry::Read(value) = entry {
            values.push(value);
        }
    }
    if is_known {
        Ok(values)
    } else {
        Err(ReportError::malformed(unreadable))
    }
}

/// Reads the sender and the text of an inbound message.
///
/// It is unreadable without a sender, and another event if the sender has no phone number: a short code or a name. The
/// text is kept as it is, and empty if there is none.
#[must_use]
pub fn inbound(provider: &'static str, from: &Value, content: &Value) -> Entry<InboundMessage> {
    let Some(from) = text(from) else {
        return Entry::Unreadable;
    };
    let Ok(from) = PhoneNumber::from_msisdn(&from) else {
        return Entry::Other;
    };
    let content = match content {
        Value::String(content) => content.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    Entry::Read(InboundMessage::new(provider, from, content))
}

/// Returns what an inbound text was sent to: a number, a short code or a name of up to 32 characters. `None` if it is
/// anything else.
#[must_use]
pub fn receiver(value: &Value) -> Option<String> {
    const LONGEST: usize = 32;
    text(value).filter(|to| to.chars().count() <= LONGEST && !to.chars().any(char::is_control))
}

/// Looks up a vendor's status in a table. A status that the table does not list is
/// [`Unknown`](DeliveryStatus::Unknown), which is not a failure.
#[must_use]
pub fn status(table: &[(&str, DeliveryStatus)], name: &str) -> DeliveryStatus {
    table
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(DeliveryStatus::Unknown, |(_, status)| *status)
}

/// Returns the vendor's id of a message. `None` if it is not [usable](Response::message_id).
#[must_use]
pub fn message_id(value: &Value) -> Option<String> {
    let id = text(value)?;
    Response::message_id(&id).ok().map(str::to_owned)
}

/// Returns the recipient's number from digits with or without a plus, as text or as a JSON number.
#[must_use]
pub fn recipient(value: &Value) -> Option<PhoneNumber> {
    PhoneNumber::from_msisdn(&text(value)?).ok()
}

/// Returns a code of at most `max` digits. `None` if it is anything else: a longer one might come from a text.
#[must_use]
pub fn code(value: &Value, max: usize) -> Option<String> {
    text(value).filter(|code| code.len() <= max && code.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns a code of at most `max` digits, for vendors that write zero for none. `None` if it is zero or anything else.
#[must_use]
pub fn nonzero_code(value: &Value, max: usize) -> Option<String> {
    code(value, max).filter(|code| code.bytes().any(|byte| byte != b'0'))
}

/// Parses an RFC 3339 time. `None` if it is anything else, such as a time without a zone.
#[must_use]
pub fn time(value: &Value) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(value.as_str()?.trim()).ok()?;
    Some(time.to_utc())
}

/// Parses a time that the vendor documents as UTC: RFC 3339, or a date and a time without a zone, with a `T` or a blank
/// between them. `None` if it is anything else.
#[must_use]
pub fn utc_time(value: &Value) -> Option<DateTime<Utc>> {
    let naive = || {
        let text = value.as_str()?.trim().replacen(' ', "T", 1);
        let time = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
        Some(time.and_utc())
    };
    time(value).or_else(naive)
}

/// The minimum length of a path secret, in bytes. It is the only proof of its reports, so it must not be guessable.
const MIN_SECRET: usize = 16;

/// Secrets at the end of a report URL: the only proof of reports that a vendor does not sign.
///
/// The last segment of the path is one of them, as in `https://sms.example.com/reports/cm/SECRET`.
pub struct PathSecrets {
    provider: Cow<'static, str>,
    secrets: Vec<SecretString>,
}

impl PathSecrets {
    /// Creates a set of secrets for this provider's reports: several while one is being replaced.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no secret, or one is shorter than 16 characters or cannot be a path segment. A
    /// segment consists of letters, digits and `-._~!$&'()*+,;=:@`.
    pub fn new(
        provider: impl Into<Cow<'static, str>>,
        secrets: Vec<SecretString>,
    ) -> Result<Self, ConfigError> {
        let provider = provider.into();
        let fits = |secret: &SecretString| {
            let secret = secret.expose_secret();
            let plain =
                |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
            secret.len() >= MIN_SECRET && secret.bytes().all(plain)
        };
        if secrets.is_empty() || !secrets.iter().all(fits) {
            return Err(ConfigError::new(format!(
                "invalid secret for the path of {provider}'s reports: expected a random secret of your own, of at least \
                 16 letters, digits and -._~"
            )));
        }
        Ok(Self { provider, secrets })
    }

    /// Verifies that the path ends in one of the secrets, in constant time.
    ///
    /// # Errors
    ///
    /// Returns `Unsigned` if the last segment is missing or the provider's name, `Forged` if it is anything else but a
    /// secret.
    pub fn verify(&self, url: &str) -> Result<(), ReportError> {
        match self.given(url) {
            None => Err(ReportError::unsigned("the URL does not end in a secret")),
            Some(given) if self.contains(given) => Ok(()),
            Some(_) => Err(ReportError::forged("the URL does not end in our secret")),
        }
    }

    /// Returns the last segment of the URL's path. `None` if it is missing or the provider's name.
    #[must_use]
    pub fn given<'u>(&self, url: &'u str) -> Option<&'u str> {
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (_, path) = rest.split_once('/')?;
        let last = path.split('/').next_back();
        last.filter(|segment| !segment.is_empty() && **segment != *self.provider)
    }

    /// Returns whether this is one of the secrets, compared in constant time.
    #[must_use]
    pub fn contains(&self, given: &str) -> bool {
        is_secret(&self.secrets, given)
    }
}

impl fmt::Debug for PathSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathSecrets")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

/// Checks that the options of a parser name neither an API nor a signature method, for a vendor with one of each.
///
/// # Errors
///
/// Returns an error if they name one.
pub fn one_api(options: &ReportOptions) -> Result<(), ConfigError> {
    if options.api().is_some() {
        return Err(ConfigError::new(
            "invalid API: expected none, since this vendor has only one",
        ));
    }
    one_signature_method(options)
}

/// Parses the API that the options of a parser name. `None` if they name none.
///
/// # Errors
///
/// Returns an error if there is no such API.
pub fn api<T>(options: &ReportOptions) -> Result<Option<T>, ConfigError>
where
    T: FromStr<Err: Error>,
{
    let parsed = options.api().map(str::parse).transpose();
    parsed.map_err(|error| ConfigError::new(format!("invalid API: {error}")))
}

/// Checks that the options of a parser name no signature method, for an API with only one.
///
/// # Errors
///
/// Returns an error if they name one.
pub fn one_signature_method(options: &ReportOptions) -> Result<(), ConfigError> {
    if options.signature_method().is_some() {
        return Err(ConfigError::new(
            "invalid signature method: expected none, since this API has only one",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_secret_at_the_end_of_the_path_is_proof() {
        use postduif_core::ReportErrorKind::{Forged, Unsigned};
        let (old, new) = ("0ld-0ld-0ld-0ld-", "n3w-n3w-n3w-n3w-");
        let secrets = PathSecrets::new("cm", vec![old.into(), new.into()]).unwrap();
        for (url, expected) in [
            (format!("https://x.test/reports/cm/{new}"), None),
            (format!("https://x.test/reports/cm/{old}?x=1#f"), None),
            (format!("https://x.test/reports/cm/{new}/"), Some(Unsigned)),
            ("https://x.test/reports/cm".into(), Some(Unsigned)),
            ("https://x.test".into(), Some(Unsigned)),
            ("https://x.test/reports/cm/n3w".into(), Some(Forged)),
            (
                format!("https://x.test/reports/cm/other?{new}"),
                Some(Forged),
            ),
        ] {
            assert_eq!(
                secrets.verify(&url).err().map(ReportError::kind),
                expected,
                "{url}"
            );
        }
    }

    #[test]
    fn a_secret_that_could_be_guessed_or_fits_no_path_is_refused() {
        for bad in [
            vec![],
            vec!["".into()],
            vec!["cm".into()],
            vec!["fifteen-chars-x".into()],
            vec!["a/b/c/d/e/f/g/h/i".into()],
            vec!["a secret with blanks in it".into()],
            vec!["long-enough-and-random".into(), "short".into()],
        ] {
            assert!(PathSecrets::new("cm", bad).is_err());
        }
        for bad in [
            vec![],
            vec!["".into()],
            vec![" ".into()],
            vec!["good".into(), "\t".into()],
        ] {
            assert!(SigningSecrets::new(bad, "expected a secret").is_err());
        }
    }

    #[test]
    fn a_time_without_a_zone_is_utc_where_the_vendor_says_so() {
        let at = |text: &str| utc_time(&text.into()).map(|at| at.timestamp_millis());
        for (text, expected) in [
            ("2026-01-31T14:37:42.218159", Some(1_769_870_262_218)),
            ("2026-01-31T14:37:42", Some(1_769_870_262_000)),
            ("2026-01-31 14:37:42", Some(1_769_870_262_000)),
            ("2026-01-31T14:37:42Z", Some(1_769_870_262_000)),
            ("2026-01-31T15:37:42+01:00", Some(1_769_870_262_000)),
            ("2026-01-31", None),
            ("2026-02-31T14:37:42", None),
            ("20260131143742", None),
            ("", None),
        ] {
            assert_eq!(at(text), expected, "{text}");
        }
        assert_eq!(utc_time(&Value::Null), None);
    }

    #[test]
    fn a_request_with_nothing_known_is_malformed_and_one_with_other_events_is_not() {
        let read = |entries: &[Value]| {
            read_each(entries, "nothing known", |entry| match entry.as_i64() {
                Some(0) => Entry::Other,
                Some(number) => Entry::Read(number),
                None => Entry::Unreadable,
            })
        };
        assert_eq!(
            read(&[1.into(), Value::Null, 0.into(), 2.into()]),
            Ok(vec![1, 2])
        );
        assert_eq!(read(&[0.into(), Value::Null]), Ok(vec![]));
        for nothing in [&[][..], &[Value::Null]] {
            let error = ReportError::malformed("nothing known");
            assert_eq!(read(nothing), Err(error));
        }
        assert_eq!(
            read(&vec![1.into(); MAX_REPORTS]).unwrap().len(),
            MAX_REPORTS
        );
        assert!(read(&vec![1.into(); MAX_REPORTS + 1]).is_err());
    }

    #[test]
    fn a_sender_without_a_number_is_no_message() {
        use serde_json::json;
        let read = |from: Value, content: Value| inbound("kpn", &from, &content);
        let from = "+31612345678".parse().unwrap();
        for number in [
            json!("31612345678"),
            json!("0031612345678"),
            json!(31_612_345_678_u64),
        ] {
            let message = InboundMessage::new("kpn", from, " Stop \n");
            assert_eq!(read(number, json!(" Stop \n")), Entry::Read(message));
        }
        let message = InboundMessage::new("kpn", from, "");
        assert_eq!(
            read(json!("+31612345678"), Value::Null),
            Entry::Read(message)
        );
        for sender in ["1008", "KPN", "0612345678x", "+31"] {
            assert_eq!(read(json!(sender), json!("x")), Entry::Other, "{sender}");
        }
        for nothing in [Value::Null, json!(""), json!({}), json!(true)] {
            assert_eq!(read(nothing, json!("x")), Entry::Unreadable);
        }
    }

    #[test]
    fn a_parameter_is_decoded_and_no_duplicate() {
        let of = |url| query_parameter(url, "a");
        assert_eq!(
            of("https://x.test/?b=1&a=x%2By+z#a=2").unwrap().as_deref(),
            Some("x+y z")
        );
        assert_eq!(of("https://x.test/").unwrap(), None);
        assert_eq!(of("https://x.test/?A=1").unwrap(), None);
        assert!(of("https://x.test/?a=1&a=1").is_err());
    }
}
