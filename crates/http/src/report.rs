//! What parsers of delivery reports share.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{ConfigError, ReportError};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Url, form_urlencoded};

use crate::{BaseUrl, signature::is_secret};

/// The secrets that a vendor signs its reports with: several while one is being replaced.
///
/// # Errors
///
/// Where there is none, or one is blank, with `words` of what to give.
pub fn signing_secrets(
    secrets: Vec<SecretString>,
    words: &'static str,
) -> Result<Vec<SecretString>, ConfigError> {
    let is_blank = |secret: &SecretString| secret.expose_secret().trim().is_empty();
    if secrets.is_empty() || secrets.iter().any(is_blank) {
        return Err(ConfigError::new(words));
    }
    Ok(secrets)
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
    if now.timestamp().abs_diff(signed_at) > window.as_secs() {
        return Err(ReportError::stale(
            "the report was signed too long ago, or in the future",
        ));
    }
    Ok(())
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

/// Nobody guesses as many random characters as this; a shorter secret of ours is not all the proof there is.
const SHORTEST_SECRET: usize = 16;

/// Where a vendor is asked to post its delivery reports: https, or plain http on loopback.
///
/// Its path or query may hold a secret of ours, so `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ReportUrl(SecretString);

impl ReportUrl {
    /// Reads the URL that an option of this name gives. It may hold placeholders in braces.
    ///
    /// # Errors
    ///
    /// Where it is not such a URL; the error names the option and shows nothing of the URL.
    pub fn parse(option: &str, text: &str) -> Result<Self, ConfigError> {
        let invalid = |problem| ConfigError::new(format!("option {option}: {problem}"));
        if text.contains(char::is_whitespace) || text.contains(char::is_control) {
            return Err(invalid("a URL has no white space"));
        }
        let url = Url::parse(text)
            .map_err(|_| invalid("write a URL such as https://hooks.example.com/sms"))?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(invalid("a URL with neither user, password nor fragment"));
        }
        let mut address = url.clone();
        address.set_query(None);
        BaseUrl::parse(address.as_str())
            .map_err(|_| invalid("an https:// URL; plain http only on loopback"))?;
        Ok(Self(text.into()))
    }

    /// Makes sure that none of these query parameters stands in it: a vendor that adds its own would make each
    /// of its reports hold one twice.
    ///
    /// # Errors
    ///
    /// Where one does; the error names the option, the `vendor` and the parameter.
    pub fn without_parameters(
        self,
        option: &str,
        vendor: &str,
        names: &[&str],
    ) -> Result<Self, ConfigError> {
        let is_there = |name: &&&str| !matches!(query_parameter(self.expose(), name), Ok(None));
        match names.iter().find(is_there) {
            Some(name) => Err(ConfigError::new(format!(
                "option {option}: {vendor} adds the query parameter {name} itself: take another name"
            ))),
            None => Ok(self),
        }
    }

    /// Returns the URL as it was written.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for ReportUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReportUrl([REDACTED])")
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
    /// Where there is none, one is shorter than 16 characters and could be guessed, or one cannot be a segment
    /// of a path: it holds anything but letters, digits and `-._~!$&'()*+,;=:@`.
    pub fn new(provider: &'static str, secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        let fits = |secret: &SecretString| {
            let secret = secret.expose_secret();
            let plain =
                |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
            secret.len() >= SHORTEST_SECRET && secret.bytes().all(plain)
        };
        if secrets.is_empty() || !secrets.iter().all(fits) {
            return Err(ConfigError::new(format!(
                "{provider} does not sign its reports: give a random secret of your own, of 16 characters or \
                 more, from letters, digits and -._~"
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
    fn a_secret_that_could_be_guessed_or_fits_no_path_builds_nothing() {
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
            assert!(signing_secrets(bad, "give one").is_err());
        }
    }

    #[test]
    fn a_report_url_is_https_and_is_never_shown() {
        for good in [
            "https://h.test/kpn/hunTer2?reference={reference}",
            "http://127.0.0.1:8160/x",
            "http://localhost/x",
        ] {
            let url = ReportUrl::parse("report_url", good).unwrap();
            assert_eq!(url.expose(), good);
            assert_eq!(format!("{url:?}"), "ReportUrl([REDACTED])");
        }
        for bad in [
            "http://h.test/hunTer2",
            "ftp://h.test/hunTer2",
            "hunTer2",
            "https://",
            "https://h.test/hunTer2 x",
            "https://user:hunTer2@h.test/",
            "",
        ] {
            let error = ReportUrl::parse("report_url", bad).unwrap_err();
            assert!(
                error.to_string().starts_with("option report_url: "),
                "{error}"
            );
            assert!(!format!("{error:?}").contains("unTer2"), "{error:?}");
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
