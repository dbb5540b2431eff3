//! Delivery reports: the secrets that prove them, and their fields.

use std::{borrow::Cow, error::Error, fmt, slice, str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    ConfigError, DeliveryReport, DeliveryStatus, PhoneNumber, ReportError, ReportOptions,
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

/// The maximum number of reports in one request.
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
    /// Returns `Malformed` if `tag` is not hexadecimal, `Forged` if none of the secrets made it.
    pub fn verify_hmac_sha256(&self, signed: &[u8], tag: &str) -> Result<(), ReportError> {
        let tag = unhex(tag).ok_or(ReportError::malformed("the signature is not hexadecimal"))?;
        if is_hmac_sha256(&self.0, signed, &tag) {
            Ok(())
        } else {
            Err(ReportError::forged(
                "the report is not signed with our secret",
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
            "the report was signed too long ago, or in the future",
        ));
    }
    Ok(())
}

/// Returns the header that proves a report, such as a signature.
///
/// # Errors
///
/// Returns `Unsigned` if it is missing, `Malformed` if it is a duplicate.
pub fn proof_header<'r>(
    request: &'r ReportRequest<'_>,
    name: &str,
) -> Result<&'r str, ReportError> {
    request
        .header(name)?
        .ok_or(ReportError::unsigned("the report has no signature"))
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
        .map_err(|_| ReportError::malformed("the report is not JSON"))
}

/// Returns the entries of a list, or a single value as a list of one.
#[must_use]
pub fn entries(value: &Value) -> &[Value] {
    match value {
        Value::Array(entries) => entries,
        entry => slice::from_ref(entry),
    }
}

/// Reads the entries of one request, and skips those for which `read` returns `None`.
///
/// # Errors
///
/// Returns `Malformed` if there are more than [`MAX_REPORTS`] entries.
pub fn read_each<'v>(
    entries: impl IntoIterator<Item = &'v Value>,
    read: impl FnMut(&'v Value) -> Option<DeliveryReport>,
) -> Result<Vec<DeliveryReport>, ReportError> {
    let entries: Vec<_> = entries.into_iter().collect();
    if entries.len() > MAX_REPORTS {
        return Err(ReportError::malformed("too many reports in one request"));
    }
    Ok(entries.into_iter().filter_map(read).collect())
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
            None => Err(ReportError::unsigned(
                "the report's URL does not end in a secret",
            )),
            Some(given) if self.contains(given) => Ok(()),
            Some(_) => Err(ReportError::forged(
                "the report's URL does not end in our secret",
            )),
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
