use std::fmt;

use postduif_core::ConfigError;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::{BaseUrl, vendor::reports::query_parameter};

/// Where a vendor is asked to post its delivery reports: https, or plain http on loopback.
///
/// Its path or query may hold a secret of ours, so `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ReportUrl(SecretString);

impl ReportUrl {
    /// Reads the URL of the option `report_url`. It may hold placeholders in braces.
    ///
    /// # Errors
    ///
    /// Where it is not such a URL; the error names the option and shows nothing of the URL.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let invalid = |problem| ConfigError::new(format!("option report_url: {problem}"));
        if text.contains(char::is_whitespace) || text.contains(char::is_control) {
            return Err(invalid("invalid URL: write it without white space"));
        }
        let url = Url::parse(text)
            .map_err(|_| invalid("invalid URL: write one such as https://hooks.example.com/sms"))?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(invalid(
                "invalid URL: write it without user, password and fragment",
            ));
        }
        let mut address = url.clone();
        address.set_query(None);
        BaseUrl::parse(address.as_str())
            .map_err(|_| invalid("invalid URL: write https://, or plain http on loopback only"))?;
        Ok(Self(text.into()))
    }

    /// Makes sure that it has none of these query parameters: where a vendor adds its own, each of its reports would
    /// have a duplicate.
    ///
    /// # Errors
    ///
    /// Where it has one; the error names the option, the `vendor` and the parameter.
    pub fn without_parameters(self, vendor: &str, names: &[&str]) -> Result<Self, ConfigError> {
        let is_given = |name: &&&str| !matches!(query_parameter(self.expose(), name), Ok(None));
        match names.iter().find(is_given) {
            Some(name) => Err(ConfigError::new(format!(
                "option report_url: {vendor} adds the query parameter {name} itself: take another name"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_url_is_https_and_is_never_shown() {
        for good in [
            "https://h.test/kpn/hunTer2?reference={reference}",
            "http://127.0.0.1:8160/x",
            "http://localhost/x",
        ] {
            let url = ReportUrl::parse(good).unwrap();
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
            let error = ReportUrl::parse(bad).unwrap_err();
            assert!(
                error.to_string().starts_with("option report_url: "),
                "{error}"
            );
            assert!(!format!("{error:?}").contains("unTer2"), "{error:?}");
        }
    }
}
