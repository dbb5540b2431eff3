//! What parsers of delivery reports share.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{ConfigError, ReportError};
use secrecy::{ExposeSecret as _, SecretString};
use url::form_urlencoded;

use crate::signature::is_secret;

/// The secrets that a vendor signs its reports with: several while one is being replaced.
///
/// # Errors
///
/// Where there is none, or one is empty, with `words` of what to give.
pub fn signing_secrets(
    secrets: Vec<SecretString>,
    words: &'static str,
) -> Result<Vec<SecretString>, ConfigError> {
    let is_empty = |secret: &SecretString| secret.expose_secret().is_empty();
    match secrets.is_empty() || secrets.iter().any(is_empty) {
        true => Err(ConfigError::new(words)),
        false => Ok(secrets),
    }
}

/// Whether the time of a signature, in seconds since 1970, is within `window` of now: before it or after.
///
/// # Errors
///
/// Stale where it is not.
pub fn check_window(
    signed_at: i64,
    now: DateTime<Utc>,
    window: Duration,
) -> Result<(), ReportError> {
    match now.timestamp().abs_diff(signed_at) > window.as_secs() {
        true => Err(ReportError::stale(
            "the report was signed too long ago, or in the future",
        )),
        false => Ok(()),
    }
}

/// The value of a query parameter of a URL, decoded.
///
/// # Errors
///
/// Malformed where the parameter stands there twice: nobody may choose which one is meant.
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
        (Some(_), Some(_)) => Err(ReportError::malformed(
            "a query parameter stands there twice",
        )),
    }
}

/// Secrets of our own at the end of a report's URL: all the proof there is where a vendor does not sign.
///
/// One of them is the last segment of the path, as in `https://sms.example.com/reports/cm/SECRET`.
pub struct PathSecrets {
    provider: &'static str,
    secrets: Vec<SecretString>,
}

impl PathSecrets {
    /// Takes any of these secrets, several while one is being replaced, at the URL of this provider.
    ///
    /// # Errors
    ///
    /// Where there is none, or one cannot stand in a path: it holds anything but letters, digits and
    /// `-._~!$&'()*+,;=:@`, nothing at all, or the provider's name, which stands in every path anyway.
    pub fn new(provider: &'static str, secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        let fits = |secret: &SecretString| {
            let secret = secret.expose_secret();
            let plain =
                |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
            !secret.is_empty() && secret != provider && secret.bytes().all(plain)
        };
        if secrets.is_empty() || !secrets.iter().all(fits) {
            return Err(ConfigError::new(format!(
                "{provider} does not sign its reports: give a secret of your own that can stand in a URL's path"
            )));
        }
        Ok(Self { provider, secrets })
    }

    /// Compares the end of the path, in constant time.
    ///
    /// # Errors
    ///
    /// Unsigned where the path ends in nothing or in the provider's name, forged where it ends in anything
    /// but a secret of ours.
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

    /// What stands where the secret belongs; none where there is nothing, or the provider's name.
    #[must_use]
    pub fn given<'u>(&self, url: &'u str) -> Option<&'u str> {
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (_, path) = rest.split_once('/')?;
        let last = path.split('/').next_back();
        last.filter(|segment| !segment.is_empty() && *segment != self.provider)
    }

    /// Whether it is a secret of ours, wherever it was given; in constant time.
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

/// Says that a vendor has one API, where somebody asks for one by name.
///
/// # Errors
///
/// Where an API is named.
pub fn one_api(api: Option<&str>) -> Result<(), ConfigError> {
    match api {
        None => Ok(()),
        Some(_) => Err(ConfigError::new("this vendor has one API: leave it out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_secret_of_ours_at_the_end_of_the_path_is_proof() {
        use postduif_core::ReportErrorKind::{Forged, Unsigned};
        let secrets = PathSecrets::new("cm", vec!["old".into(), "new".into()]).unwrap();
        for (url, expected) in [
            ("https://x.test/reports/cm/new", None),
            ("https://x.test/reports/cm/old?x=1#f", None),
            ("https://x.test/reports/cm/new/", Some(Unsigned)),
            ("https://x.test/reports/cm", Some(Unsigned)),
            ("https://x.test", Some(Unsigned)),
            ("https://x.test/reports/cm/ne", Some(Forged)),
            ("https://x.test/reports/cm/other?new", Some(Forged)),
        ] {
            assert_eq!(
                secrets.verify(url).err().map(ReportError::kind),
                expected,
                "{url}"
            );
        }
        for bad in [
            vec![],
            vec!["".into()],
            vec!["cm".into()],
            vec!["a/b".into()],
            vec!["a b".into()],
        ] {
            assert!(PathSecrets::new("cm", bad).is_err());
        }
    }

    #[test]
    fn a_parameter_is_decoded_and_stands_there_once() {
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
