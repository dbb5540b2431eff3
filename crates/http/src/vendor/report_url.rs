use std::fmt;

use postduif_core::{ConfigError, Message};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::{BaseUrl, vendor::reports::query_parameter};

/// The URL to which a vendor posts its delivery reports: https, or plain http on loopback.
///
/// Its path or query may have a secret, so `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ReportUrl(SecretString);

impl ReportUrl {
    /// Parses the URL of the option `report_url`. It may have placeholders in braces.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not such a URL; the error names the option and shows nothing of the URL.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let invalid = |problem| ConfigError::new(format!("option report_url: {problem}"));
        if text.contains(char::is_whitespace) || text.contains(char::is_control) {
            return Err(invalid("invalid URL: expected no white space"));
        }
        let url = Url::parse(text).map_err(|_| {
            invalid("invalid URL: expected one such as https://hooks.example.com/sms")
        })?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(invalid(
                "invalid URL: expected no user, password or fragment",
            ));
        }
        let mut address = url.clone();
        address.set_query(None);
        BaseUrl::parse(address.as_str())
            .map_err(|_| invalid("invalid URL: expected https://, or plain http on loopback"))?;
        Ok(Self(text.into()))
    }

    /// Parses the URL of the option `report_url` for a vendor without a reference field. `{reference}` may be the value
    /// of its query parameter `reference`, and becomes the reference of each message.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`parse`](Self::parse), or an error if the placeholder is anywhere else, the parameter is
    /// a duplicate, or there is another placeholder.
    pub fn parse_with_reference(text: &str) -> Result<Self, ConfigError> {
        let url = Self::parse(text)?;
        let (path, query) = url.expose().split_once('?').unwrap_or((url.expose(), ""));
        let is_elsewhere = query
            .split('&')
            .filter(|pair| *pair != "reference={reference}")
            .any(|pair| pair.contains('{'));
        if query_parameter(url.expose(), "reference").is_err() {
            return Err(ConfigError::new(
                "option report_url: invalid URL: expected at most one query parameter reference",
            ));
        }
        if path.contains('{') || is_elsewhere {
            return Err(ConfigError::new(
                "option report_url: invalid URL: expected {reference} as the value of the query parameter reference \
                 only, as in https://hooks.example.com/sms?reference={reference}",
            ));
        }
        Ok(url)
    }

    /// Returns whether the reports of a message have its reference in their URL.
    #[must_use]
    pub fn has_reference(&self) -> bool {
        self.expose().contains(PLACEHOLDER)
    }

    /// Returns the URL for the reports of a message, with its reference.
    #[must_use]
    pub fn for_message(&self, message: &Message) -> String {
        self.expose()
            .replace(PLACEHOLDER, message.reference().as_str())
    }

    /// Checks that it has none of these query parameters, which the vendor adds itself: they would be duplicates.
    ///
    /// # Errors
    ///
    /// Returns an error if it has one; the error names the option, the `vendor` and the parameter.
    pub fn without_parameters(self, vendor: &str, names: &[&str]) -> Result<Self, ConfigError> {
        let is_given = |name: &&&str| !matches!(query_parameter(self.expose(), name), Ok(None));
        match names.iter().find(is_given) {
            Some(name) => Err(ConfigError::new(format!(
                "option report_url: {vendor} adds the query parameter {name} itself: expected another name"
            ))),
            None => Ok(self),
        }
    }

    /// Returns the URL as it was parsed, secrets included.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The placeholder for the message's reference.
const PLACEHOLDER: &str = "{reference}";

impl fmt::Debug for ReportUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReportUrl([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_one_place_in_a_report_url() {
        let url = "https://h.test/x?a=1&reference={reference}";
        let url = ReportUrl::parse_with_reference(url).unwrap();
        assert!(url.has_reference());
        let text = postduif_core::Text::new("x").unwrap();
        let message = Message::new("+31612345678".parse().unwrap(), text);
        let message = message.with_reference("order42".parse().unwrap());
        assert_eq!(
            url.for_message(&message),
            "https://h.test/x?a=1&reference=order42"
        );
        let plain = ReportUrl::parse_with_reference("https://h.test/x?reference=7").unwrap();
        assert!(!plain.has_reference());
        for bad in [
            "https://h.test/{reference}",
            "https://h.test/x?ref={reference}",
            "https://h.test/x?reference={id}",
            "https://h.test/x?reference={reference}&reference={reference}",
            "https://h.test/x?reference=1&reference={reference}",
        ] {
            assert!(ReportUrl::parse_with_reference(bad).is_err(), "{bad}");
        }
    }

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
