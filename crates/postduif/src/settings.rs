#[cfg(feature = "layers")]
use std::time::Duration;
use std::{env, ffi::OsStr, fmt, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use postduif_core::{
    ConfigError, InboundParser, ReportOptions, ReportParser, Requirement, SmsProvider,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};

use crate::{
    DEADLINE, HttpClient, has_no_limits, inbound_parser, is_scheme, no_scheme, no_url, open,
    report_parser,
};

/// One vendor as a configuration holds it: for sending, for delivery reports and for inbound texts, so that a swap of vendors is a swap
/// of one value.
///
/// It comes from a table (TOML, JSON, or whatever serde reads), from environment variables, or from a connection URL.
/// All three say the same with the same names:
///
/// | name | what it sets |
/// |---|---|
/// | `vendor` | the vendor, by the scheme of its connection URL |
/// | `host` | another host than the vendor's own, with a port and a path if need be; defaults to `default` |
/// | `report_secret` | the secret of delivery reports and inbound texts (see below), or a list of them, such as while one is being replaced |
/// | `signature_method` | how Vonage's SMS API signs its reports, as set in the account: `md5hash` (default), `md5`, `sha1`, `sha256` or `sha512` |
/// | `require` | what the vendor must be able to do, as a list of [`Requirement`]s such as `validity=600` |
/// | `deadline` | seconds within which a call may begin (feature `layers`) |
/// | `rate`, `burst`, `in_flight`, `max_wait`, `timeout`, `attempts` | the limits of `Stack` (feature `layers`) |
/// | `vendor_messages` | `true`: errors keep the vendor's own words, cleaned, as [`vendor_message`](crate::SendError::vendor_message); defaults to `false` |
/// | anything else | a credential or an option of the vendor, such as `id`, `secret`, `sender` or `api` |
/// | `url` | a connection URL, in place of `vendor`, `host` and what a URL can say |
///
/// The secret of delivery reports and inbound texts is the vendor's signing secret (Twilio: the auth token). CM.com and Spryng do not
/// sign: there it is a random one of yours, of at least 16 letters, digits and `-._~`. It is the last segment of the
/// route's path, as in `https://sms.example.com/reports/cm/SECRET`.
///
/// A credential may be `env:NAME` or `file:PATH`, so that the configuration itself holds no secret. They are read by
/// [`open`](Self::open), [`reports`](Self::reports) and [`inbound`](Self::inbound). The error names the option of an
/// unset variable, and the variable itself if it is written as `KPN_ID` is: any other name may be a secret.
///
/// Errors of Postduif show no value. Those of the `toml` crate quote a line, and their `Debug` the whole table, also
/// where `main` returns them: one more reason for `env:` and `file:`.
///
/// **Read no settings from people whom you do not trust**, such as the customers of a service: they could name any file
/// or variable of the server, and the host to which it is sent. Pass values of theirs to a vendor's builder, which takes
/// them as they are.
///
/// ```
/// # #[cfg(feature = "kpn")] {
/// let settings: postduif::Settings = serde_json::from_str(r#"{
///     "vendor": "kpn",
///     "id": "client-id",
///     "secret": "client-secret",
///     "sender": "Contoso",
///     "report_secret": "signing-secret"
/// }"#).unwrap();
/// let sms = settings.open()?;
/// let reports = settings.reports()?;
/// assert_eq!(sms.profile().name(), "kpn");
/// assert!(!format!("{settings:?}").contains("client-secret"));
/// # }
/// # Ok::<(), postduif::ConfigError>(())
/// ```
///
/// [`open`](Self::open) checks the table, and makes no request:
///
/// ```
/// # #[cfg(feature = "kpn")] {
/// let settings: postduif::Settings = serde_json::from_str(r#"{
///     "vendor": "kpn",
///     "id": "client-id",
///     "sender": "Contoso"
/// }"#).unwrap();
/// assert_eq!(settings.open().unwrap_err().to_string(), "kpn: secret is missing: expected it before the @, or among the options");
/// # }
/// ```
///
/// Several vendors are a map of such tables:
///
/// ```
/// # #[cfg(all(feature = "kpn", feature = "cm", feature = "layers"))] {
/// use std::collections::BTreeMap;
/// use postduif::{Settings, Stack};
///
/// let vendors: BTreeMap<String, Settings> = serde_json::from_str(r#"{
///     "first": {"vendor": "kpn", "id": "client-id", "secret": "client-secret", "rate": 20},
///     "second": {"vendor": "cm", "token": "product-token", "sender": "Contoso"}
/// }"#).unwrap();
/// let sms = Stack::new()
///     .with_settings(&vendors["first"])?
///     .with_settings(&vendors["second"])?
///     .build()?;
/// assert_eq!(sms.profile().name(), "kpn,cm");
/// # }
/// # Ok::<(), postduif::ConfigError>(())
/// ```
///
/// As TOML, the first example is:
///
/// ```toml
/// [sms]
/// vendor = "kpn"
/// id = "env:KPN_ID"
/// secret = "file:/run/secrets/kpn"
/// sender = "Contoso"
/// report_secret = ["env:KPN_REPORTS", "env:KPN_REPORTS_OLD"]
/// rate = 20
/// ```
#[derive(Clone)]
pub struct Settings {
    /// Without what only we know: the options for reports, and the deadline.
    url: SecretString,
    api: Option<String>,
    report_secrets: Vec<SecretString>,
    signature_method: Option<String>,
    requirements: Vec<Requirement>,
    deadline: Option<String>,
}

/// The names that no connection URL knows.
const REPORT_SECRET: &str = "report_secret";
const SIGNATURE_METHOD: &str = "signature_method";
const REQUIRE: &str = "require";

impl Settings {
    /// Reads a connection URL, as [`from_url`](crate::from_url) takes it. It may also hold `report_secret` and `require`
    /// (more than once), `signature_method`, `deadline`, and the limits of `Stack`.
    ///
    /// # Errors
    ///
    /// Where it is not a URL, or holds an option of the table above twice. [`open`](Self::open) checks the rest.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        let url = url.trim();
        let Some((vendor, rest)) = url.split_once("://") else {
            return Err(no_url(url));
        };
        if !is_scheme(vendor) {
            return Err(no_scheme());
        }
        if rest.contains(char::is_whitespace) {
            return Err(ConfigError::new(
                "settings hold one connection URL: write white space as %20, and use settings for each vendor",
            ));
        }
        let url = format!("{}://{rest}", vendor.to_ascii_lowercase());
        let url = url.as_str();
        let (front, options) = url.split_once('?').unwrap_or((url, ""));
        let mut settings = Self {
            url: front.into(),
            api: None,
            report_secrets: Vec::new(),
            signature_method: None,
            requirements: Vec::new(),
            deadline: None,
        };
        let mut left = front.to_owned();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            // As the vendor's own reader of URLs sees it.
            let name = &*decoded("name", name)?;
            if name == "api" {
                once(&mut settings.api, name, &decoded(name, value)?)?;
            }
            match name {
                REPORT_SECRET => settings.report_secrets.push(decoded(name, value)?.into()),
                SIGNATURE_METHOD => {
                    once(&mut settings.signature_method, name, &decoded(name, value)?)?
                }
                REQUIRE => settings
                    .requirements
                    .push(required(&decoded(name, value)?)?),
                DEADLINE => once(&mut settings.deadline, name, &decoded(name, value)?)?,
                _ => {
                    left.push(if left.len() == front.len() { '?' } else { '&' });
                    left.push_str(option);
                }
            }
        }
        settings.url = left.into();
        Ok(settings)
    }

    /// Reads the environment variables that start with `prefix` and an underscore: `SMS_VENDOR`, `SMS_SENDER`,
    /// `SMS_REPORT_SECRET` and so on for the prefix `SMS`, or `SMS_URL`.
    ///
    /// Several report secrets are separated by white space, several requirements by commas.
    ///
    /// ```no_run
    /// let sms = postduif::Settings::from_env("SMS")?.open()?;
    /// # Ok::<(), postduif::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where neither the vendor nor a URL is set, both are, or a variable is not UTF-8.
    pub fn from_env(prefix: &str) -> Result<Self, ConfigError> {
        Self::from_variables(prefix, env::vars_os())
    }

    fn from_variables<S: AsRef<OsStr>>(
        prefix: &str,
        variables: impl IntoIterator<Item = (S, S)>,
    ) -> Result<Self, ConfigError> {
        let mut table = Table::default();
        for (name, value) in variables {
            let Some(name) = name.as_ref().to_str() else {
                continue;
            };
            let key = name
                .strip_prefix(prefix)
                .and_then(|rest| rest.strip_prefix('_'));
            let Some(key) = key.filter(|key| !key.is_empty()) else {
                continue;
            };
            let value = value
                .as_ref()
                .to_str()
                .ok_or_else(|| ConfigError::new(format!("{name} is not UTF-8")))?;
            let key = key.to_ascii_lowercase();
            if key == REPORT_SECRET {
                for secret in value.split_whitespace() {
                    table.set(key.clone(), secret.into())?;
                }
            } else if key == REQUIRE {
                let named = |requirement: &&str| !requirement.is_empty();
                for requirement in value.split(',').map(str::trim).filter(named) {
                    table.set(key.clone(), requirement.into())?;
                }
            } else if !value.is_empty() {
                table.set(key, value.into())?;
            }
        }
        if table.vendor.is_none() && table.url.is_none() {
            return Err(ConfigError::new(format!(
                "no vendor is configured: set {prefix}_URL, or {prefix}_VENDOR and its credentials"
            )));
        }
        table.settings()
    }

    /// Builds the provider, over the HTTP client that all providers of the process share. Where a limit or a deadline
    /// is set, it is the recommended stack over this vendor, as `failover` builds it from one URL.
    ///
    /// # Errors
    ///
    /// As [`from_url`](crate::from_url); where the vendor cannot do what is required; and where a limit is set and the
    /// feature `layers` is off.
    pub fn open(&self) -> Result<Arc<dyn SmsProvider>, ConfigError> {
        self.open_over(None)
    }

    /// Builds the provider as [`open`](Self::open) does, over the given HTTP client.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    #[cfg(feature = "http")]
    pub fn open_with(
        &self,
        client: &crate::http::Client,
    ) -> Result<Arc<dyn SmsProvider>, ConfigError> {
        self.open_over(Some(client))
    }

    fn open_over(&self, client: Option<&HttpClient>) -> Result<Arc<dyn SmsProvider>, ConfigError> {
        let url = self.url.expose_secret();
        let sms = if self.deadline.is_none() && has_no_limits(url).is_ok() {
            open(url, client)
        } else {
            self.stack(client)
        }
        .map_err(|error| self.named(&error))?;
        sms.require(&self.requirements)?;
        Ok(sms)
    }

    #[cfg(not(feature = "layers"))]
    fn stack(&self, _: Option<&HttpClient>) -> Result<Arc<dyn SmsProvider>, ConfigError> {
        Err(ConfigError::new(format!(
            "deadline and the limits {} need the feature `layers` of postduif",
            crate::LIMITS.join(", ")
        )))
    }

    #[cfg(feature = "layers")]
    fn stack(&self, client: Option<&HttpClient>) -> Result<Arc<dyn SmsProvider>, ConfigError> {
        let stack = crate::Stack::new().with_urls(self.url.expose_secret())?;
        let stack = match &self.deadline {
            Some(deadline) => match crate::stack::seconds(DEADLINE, deadline)? {
                Duration::ZERO => {
                    return Err(ConfigError::new(
                        "option deadline: a call needs more time than 0 seconds, such as 15",
                    ));
                }
                deadline => stack.with_deadline(deadline),
            },
            None => stack,
        };
        #[cfg(feature = "http")]
        if let Some(client) = client {
            return stack.with_client(client).build();
        }
        let _ = client;
        stack.build()
    }

    /// Builds the parser of the vendor's delivery reports.
    ///
    /// # Errors
    ///
    /// As [`report_parser`]; without a `report_secret`, and where one is an `env:` or a `file:` that cannot be read.
    pub fn reports(&self) -> Result<Arc<dyn ReportParser>, ConfigError> {
        self.report_options()
            .and_then(|options| report_parser(self.vendor(), options))
            .map_err(|error| self.named(&error))
    }

    /// Builds the parser of what people send to your numbers at the vendor, with the same secrets.
    ///
    /// # Errors
    ///
    /// As [`reports`](Self::reports), and where the vendor documents no inbound texts for its API.
    pub fn inbound(&self) -> Result<Arc<dyn InboundParser>, ConfigError> {
        self.report_options()
            .and_then(|options| inbound_parser(self.vendor(), options))
            .map_err(|error| self.named(&error))
    }

    fn report_options(&self) -> Result<ReportOptions, ConfigError> {
        if self.report_secrets.is_empty() {
            return Err(ConfigError::new(
                "report_secret is missing: delivery reports and inbound texts are proven by it",
            ));
        }
        let secrets: Result<Vec<_>, _> = self.report_secrets.iter().map(resolved).collect();
        let mut options = ReportOptions::new(secrets?);
        if let Some(api) = &self.api {
            options = options.with_api(api);
        }
        if let Some(method) = &self.signature_method {
            options = options.with_signature_method(method);
        }
        Ok(options)
    }

    /// Names the vendor in an error. With settings for several, it is of use to know which.
    fn named(&self, error: &ConfigError) -> ConfigError {
        match self.printable_vendor() {
            Some(vendor) => ConfigError::new(format!("{vendor}: {error}")),
            None => ConfigError::new(error.to_string()),
        }
    }

    /// Returns the vendor, or `None` if it is a text that somebody misplaced, which may be a secret.
    fn printable_vendor(&self) -> Option<&str> {
        const LONGEST: usize = 20;
        Some(self.vendor()).filter(|vendor| vendor.len() <= LONGEST && is_scheme(vendor))
    }

    #[cfg(feature = "layers")]
    pub(crate) fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Returns the connection URL for a stack over several vendors.
    #[cfg(feature = "layers")]
    pub(crate) fn member_url(&self) -> Result<&str, ConfigError> {
        match self.deadline {
            Some(_) => Err(crate::deadline_is_no_option()),
            None => Ok(self.url.expose_secret()),
        }
    }

    /// Returns the vendor, as the scheme of its connection URL.
    #[must_use]
    pub fn vendor(&self) -> &str {
        let url = self.url.expose_secret();
        url.split_once("://").map_or(url, |(vendor, _)| vendor)
    }
}

impl fmt::Debug for Settings {
    /// Shows the vendor, and no option.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("vendor", &self.printable_vendor())
            .finish_non_exhaustive()
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = deserializer.deserialize_any(TableVisitor)?;
        table.settings().map_err(D::Error::custom)
    }
}

/// What a table or the environment holds, before it becomes a URL.
#[derive(Default)]
struct Table {
    vendor: Option<String>,
    host: Option<String>,
    url: Option<SecretString>,
    /// As they stand in a query.
    options: Vec<(String, SecretString)>,
}

impl Table {
    fn set(&mut self, name: String, value: String) -> Result<(), ConfigError> {
        match name.as_str() {
            "vendor" => once(&mut self.vendor, &name, &value),
            "host" => once(&mut self.host, &name, &value),
            "url" => match self.url.replace(value.into()) {
                Some(_) => Err(ConfigError::new("the option url is given twice")),
                None => Ok(()),
            },
            _ => {
                self.options.push((name, value.into()));
                Ok(())
            }
        }
    }

    fn settings(self) -> Result<Settings, ConfigError> {
        let mut url = match (self.url, self.vendor) {
            (Some(url), None) if self.host.is_none() => url.expose_secret().trim().to_owned(),
            (Some(_), _) => {
                return Err(ConfigError::new(
                    "url stands in place of vendor and host: leave them out, or write the vendor's options \
                     one by one without url",
                ));
            }
            (None, Some(vendor)) => {
                let host = self.host.as_deref().unwrap_or("default");
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]/".contains(&byte);
                if host.is_empty() || host.contains("//") || !host.bytes().all(plain) {
                    return Err(ConfigError::new(
                        "invalid host: write a name, with a port and a path if need be, such as \
                         api.example.com:8443/prefix, and no scheme",
                    ));
                }
                format!("{}://{host}", vendor.trim())
            }
            (None, None) => {
                return Err(ConfigError::new(
                    "no vendor is configured: set vendor, or url",
                ));
            }
        };
        let mut separator = if url.contains('?') { '&' } else { '?' };
        for (name, value) in self.options {
            url.push(separator);
            separator = '&';
            url.extend(utf8_percent_encode(&name, ENCODED));
            url.push('=');
            url.extend(utf8_percent_encode(value.expose_secret(), ENCODED));
        }
        Settings::from_url(&url)
    }
}

/// All but what needs no encoding in a URL (RFC 3986, section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

struct TableVisitor;

fn neither_table_nor_url<E: serde::de::Error>() -> E {
    E::custom("SMS settings are a table or a connection URL")
}

impl<'de> Visitor<'de> for TableVisitor {
    type Value = Table;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of SMS settings")
    }

    /// Reads a connection URL in place of a table.
    fn visit_str<E: serde::de::Error>(self, url: &str) -> Result<Table, E> {
        Ok(Table {
            url: Some(url.into()),
            ..Table::default()
        })
    }

    // Without these the error would show the value, which may be a secret.

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Table, E> {
        Err(neither_table_nor_url())
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Table, E> {
        Err(neither_table_nor_url())
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Table, E> {
        Err(neither_table_nor_url())
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Table, E> {
        Err(neither_table_nor_url())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table, A::Error> {
        let mut table = Table::default();
        while let Some(name) = map.next_key::<String>()? {
            let Values(values) = map.next_value()?;
            if values.len() > 1 && name != REPORT_SECRET && name != REQUIRE {
                return Err(A::Error::custom(format_args!(
                    "only {REPORT_SECRET} and {REQUIRE} may be lists"
                )));
            }
            for value in values {
                table.set(name.clone(), value).map_err(A::Error::custom)?;
            }
        }
        Ok(table)
    }
}

/// The texts, numbers and booleans of a value as texts: one, those of a list, or none for null.
struct Values(Vec<String>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValuesVisitor)
    }
}

struct ValuesVisitor;

impl<'de> Visitor<'de> for ValuesVisitor {
    type Value = Values;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, a boolean, or a list of them")
    }

    fn visit_str<E>(self, value: &str) -> Result<Values, E> {
        Ok(Values(vec![value.to_owned()]))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Values, E> {
        Ok(Values(vec![value.to_string()]))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Values, E> {
        Ok(Values(vec![value.to_string()]))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Values, E> {
        Ok(Values(vec![value.to_string()]))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Values, E> {
        Ok(Values(vec![value.to_string()]))
    }

    fn visit_unit<E>(self) -> Result<Values, E> {
        Ok(Values(Vec::new()))
    }

    fn visit_none<E>(self) -> Result<Values, E> {
        Ok(Values(Vec::new()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Values, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Values, A::Error> {
        let mut all = Vec::new();
        while let Some(Values(values)) = sequence.next_element()? {
            all.extend(values);
        }
        Ok(Values(all))
    }
}

fn once(setting: &mut Option<String>, name: &str, value: &str) -> Result<(), ConfigError> {
    match setting.replace(value.to_owned()) {
        Some(_) => Err(ConfigError::new(format!(
            "the option {name} is given twice"
        ))),
        None => Ok(()),
    }
}

fn required(text: &str) -> Result<Requirement, ConfigError> {
    text.parse()
        .map_err(|error| ConfigError::new(format!("{REQUIRE}: {error}")))
}

/// Reads a part of a URL's query.
fn decoded(name: &str, value: &str) -> Result<String, ConfigError> {
    percent_decode_str(value)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| ConfigError::new(format!("the option {name} is not percent-encoded UTF-8")))
}

#[cfg(feature = "http")]
fn resolved(secret: &SecretString) -> Result<SecretString, ConfigError> {
    crate::http::vendor::secret(REPORT_SECRET, secret.expose_secret())
}

/// Without a vendor there is no parser, whatever the secret.
#[cfg(not(feature = "http"))]
fn resolved(secret: &SecretString) -> Result<SecretString, ConfigError> {
    Ok(secret.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a+b/c:d@e?f#g&h=i%41 \"é";

    fn json(text: &str) -> Settings {
        serde_json::from_str(text).unwrap()
    }

    fn variables(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        Settings::from_variables("SMS", variables.iter().copied())
    }

    fn assert_equal(one: &Settings, other: &Settings) {
        let secrets = |settings: &Settings| -> Vec<_> {
            let secrets = settings.report_secrets.iter();
            secrets
                .map(|secret| secret.expose_secret().to_owned())
                .collect()
        };
        assert_eq!(one.url.expose_secret(), other.url.expose_secret());
        assert_eq!(secrets(one), secrets(other));
        assert_eq!(
            (
                &one.api,
                &one.signature_method,
                &one.deadline,
                &one.requirements
            ),
            (
                &other.api,
                &other.signature_method,
                &other.deadline,
                &other.requirements
            )
        );
    }

    #[test]
    fn an_encoded_name_of_an_option_is_the_same_option() {
        let url =
            "kpn://id:secret@default?sender=Contoso&%72eport_secret=s3cret&signature%5fmethod=md5";
        let settings = Settings::from_url(url).unwrap();
        assert_eq!(settings.report_secrets.len(), 1);
        assert_eq!(settings.signature_method.as_deref(), Some("md5"));
        let twice = Settings::from_url("vonage://k:s@default?api=sms&%61pi=messages");
        assert!(
            twice
                .unwrap_err()
                .to_string()
                .contains("api is given twice")
        );
    }

    #[test]
    fn a_table_the_environment_and_a_url_mean_the_same() {
        let table = serde_json::json!({
            "vendor": "vonage", "host": "127.0.0.1:8080/prefix", "secret": SECRET, "api": "sms", "rate": 20,
            "timeout": 2.5, "report_secret": ["one", "two&"], "signature_method": "sha256", "deadline": 15,
            "sender": null, "require": ["validity=600", "sender=Acme Shop"],
        });
        let table = Settings::deserialize(table).unwrap();
        // In another order, which is that of the variables' names in the end.
        let environment = variables(&[
            ("SMS_API", "sms"),
            ("SMS_RATE", "20"),
            ("SMS_SECRET", SECRET),
            ("SMS_TIMEOUT", "2.5"),
            ("SMS_DEADLINE", "15"),
            ("SMS_HOST", "127.0.0.1:8080/prefix"),
            ("SMS_REPORT_SECRET", "one two&"),
            ("SMS_SENDER", ""),
            ("SMS_REQUIRE", "validity=600, sender=Acme Shop"),
            ("SMS_SIGNATURE_METHOD", "sha256"),
            ("SMS_VENDOR", "vonage"),
            ("SMSX_VENDOR", "kpn"),
            ("SMS_", "x"),
        ])
        .unwrap();
        let url = "vonage://127.0.0.1:8080/prefix?api=sms&rate=20&secret=\
                   a%2Bb%2Fc%3Ad%40e%3Ff%23g%26h%3Di%2541%20%22%C3%A9&timeout=2.5&deadline=15\
                   &report_secret=one&report_secret=two%26&signature_method=sha256\
                   &require=validity=600&require=sender%3DAcme%20Shop";
        let url = Settings::from_url(url).unwrap();
        assert_equal(&table, &url);
        assert_equal(&environment, &url);
        assert_eq!(url.vendor(), "vonage");
    }

    #[test]
    fn a_table_may_hold_the_url() {
        let url = "kpn://id:secret@default?sender=Contoso";
        let settings = json(&format!(
            r#"{{"url": "{url}", "report_secret": "x", "rate": 5}}"#
        ));
        let expected = Settings::from_url(&format!("{url}&report_secret=x&rate=5")).unwrap();
        assert_equal(&settings, &expected);
    }

    #[test]
    fn settings_that_contradict_themselves_are_refused() {
        for (text, expected) in [
            ("{}", "no vendor is configured"),
            (
                r#"{"vendor": "kpn", "url": "kpn://a:b@default"}"#,
                "url stands in place",
            ),
            (
                r#"{"url": "kpn://a:b@default", "host": "x"}"#,
                "url stands in place",
            ),
            (r#"{"url": "kpn"}"#, "no ://"),
            (r#"{"vendor": "kpn", "host": "https://x"}"#, "invalid host"),
            (r#"{"vendor": "kpn", "host": "x?y"}"#, "invalid host"),
            (r#"{"vendor": "kpn", "host": ""}"#, "invalid host"),
            (r#"{"vendor": "kpn", "sender": ["a", "b"]}"#, "may be lists"),
            (
                r#"{"vendor": "kpn", "deadline": 1, "deadline": 2}"#,
                "given twice",
            ),
            (r#"{"vendor": "kpn", "id": {}}"#, "invalid type: map"),
        ] {
            let error = serde_json::from_str::<Settings>(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
        let error = variables(&[("SMS_ID", "hunter2")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no vendor is configured: set SMS_URL, or SMS_VENDOR and its credentials"
        );
    }

    #[test]
    fn what_is_no_settings_is_refused_without_its_value() {
        for text in [
            r#""hunter2 kpn://a@default""#,
            r#""kpn:hunter2:secret@default?report_url=https://x""#,
            r#""kpn://hunter2@default cm://hunter2@default""#,
            r#"{"url": "kpn://hunter2@default?sender=a b", "rate": 5}"#,
            r#"{"vendor": "kpn:hunter2"}"#,
            "48291348",
            "-48291348",
            "4829.1348",
            "true",
        ] {
            let error = serde_json::from_str::<Settings>(text)
                .unwrap_err()
                .to_string();
            assert!(
                !error.contains("hunter2") && !error.contains("4829"),
                "{error}"
            );
        }
        let settings = Settings::from_url("hunter2-hunter2-hunter2://a@default").unwrap();
        let shown = format!("{settings:?} {:?}", settings.open().unwrap_err());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_text_in_place_of_a_table_is_a_connection_url() {
        let settings = json(r#""KPN://id:secret@default?sender=Contoso&require=parts=2""#);
        let expected =
            Settings::from_url("kpn://id:secret@default?sender=Contoso&require=parts=2").unwrap();
        assert_equal(&settings, &expected);
        assert_eq!(settings.vendor(), "kpn");
    }

    #[cfg(feature = "kpn")]
    #[test]
    fn one_value_opens_the_provider_and_the_parsers_of_reports_and_inbound_texts() {
        let settings = json(
            r#"{"vendor": "kpn", "id": "a", "secret": "b", "sender": "Contoso", "report_secret": "c"}"#,
        );
        assert_eq!(settings.open().unwrap().profile().name(), "kpn");
        assert!(settings.reports().is_ok());
        assert!(settings.inbound().is_ok());
    }

    #[cfg(feature = "spryng")]
    #[test]
    fn an_api_without_inbound_texts_is_an_error_that_names_the_vendor() {
        let url = "spryng://k@default?api=v1&report_secret=s3cret-s3cret-16";
        let settings = Settings::from_url(url).unwrap();
        assert!(settings.reports().is_ok());
        let error = settings.inbound().unwrap_err().to_string();
        assert!(
            error.starts_with("spryng: ") && error.contains("v1"),
            "{error}"
        );
    }

    #[cfg(feature = "kpn")]
    #[test]
    fn what_is_missing_or_unknown_is_named_and_no_value_is_shown() {
        for (text, expected) in [
            (r#"{"vendor": "kpn", "secret": "hunter2"}"#, "id is missing"),
            (
                r#"{"vendor": "kpn", "id": "hunter2", "secret": "env:POSTDUIF_SURELY_UNSET"}"#,
                "secret: the environment variable POSTDUIF_SURELY_UNSET is not set",
            ),
            (
                r#"{"vendor": "kpn", "id": "hunter2", "secret": "hunter2", "sendr": "hunter2"}"#,
                "unknown option sendr; known are",
            ),
            (
                r#"{"vendor": "acme", "id": "hunter2"}"#,
                "unknown scheme; known are",
            ),
        ] {
            let settings = json(text);
            let error = settings.open().unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
            for shown in [format!("{error:?}"), format!("{settings:?}")] {
                assert!(!shown.contains("hunter2"), "{shown}");
            }
        }
        let settings =
            json(r#"{"vendor": "kpn", "report_secret": ["a", "env:POSTDUIF_SURELY_UNSET"]}"#);
        assert_eq!(
            settings.reports().unwrap_err().to_string(),
            "kpn: report_secret: the environment variable POSTDUIF_SURELY_UNSET is not set"
        );
        let without = json(r#"{"vendor": "kpn"}"#);
        assert!(without.reports().is_err());
        assert!(without.inbound().is_err());
    }

    #[cfg(all(feature = "kpn", feature = "smstools"))]
    #[test]
    fn a_swap_to_a_vendor_that_cannot_do_what_is_required_fails_at_start() {
        let settings = |vendor| {
            json(&format!(
                r#"{{"vendor": "{vendor}", "id": "a", "secret": "b", "sender": "Contoso",
                     "require": ["parts=2", "validity=600"]}}"#
            ))
        };
        assert!(settings("kpn").open().is_ok());
        assert_eq!(
            settings("smstools").open().unwrap_err().to_string(),
            "smstools cannot do what is required: validity=600: this vendor takes no validity period"
        );
    }

    #[cfg(all(feature = "kpn", feature = "smstools", feature = "layers"))]
    #[test]
    fn a_stack_requires_of_each_vendor_what_its_settings_say() {
        let settings = json(
            r#"{"vendor": "smstools", "id": "a", "secret": "b", "sender": "X1a", "require": "validity=600"}"#,
        );
        let stack = crate::Stack::new().with_settings(&settings).unwrap();
        let error = stack.build().unwrap_err().to_string();
        assert!(
            error.starts_with("smstools cannot do what is required"),
            "{error}"
        );
        let deadline = json(r#"{"vendor": "kpn", "id": "a", "secret": "b", "deadline": 5}"#);
        let error = crate::Stack::new().with_settings(&deadline).unwrap_err();
        assert!(
            error.to_string().contains("Stack::with_deadline"),
            "{error}"
        );
    }

    #[cfg(feature = "vonage")]
    #[test]
    fn the_parser_of_reports_is_that_of_the_api_and_the_signature_method() {
        let reports = |rest: &str| {
            let url =
                format!("vonage://a:b@default?sender=X1a&report_secret=s3cret-s3cret-16{rest}");
            format!("{:?}", Settings::from_url(&url).unwrap().reports().unwrap())
        };
        let [messages, sms, sha256] =
            ["", "&api=sms", "&api=sms&signature_method=sha256"].map(reports);
        assert!(
            messages != sms && sms != sha256,
            "{messages} {sms} {sha256}"
        );
    }

    #[cfg(all(feature = "kpn", feature = "layers"))]
    #[test]
    fn a_limit_or_a_deadline_makes_it_a_stack() {
        for (text, is_stack) in [
            ("kpn://a:b@default?sender=X", false),
            ("kpn://a:b@default?sender=X&rate=5", true),
            ("kpn://a:b@default?sender=X&deadline=5", true),
        ] {
            let shown = format!("{:?}", Settings::from_url(text).unwrap().open().unwrap());
            assert_eq!(shown.contains("Failover"), is_stack, "{text}: {shown}");
        }
        for (deadline, expected) in [
            ("soon", "write a number"),
            ("0", "more time than 0 seconds"),
        ] {
            let url = format!("kpn://a:b@default?sender=X&deadline={deadline}");
            let error = Settings::from_url(&url)
                .unwrap()
                .open()
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("option deadline: ") && error.contains(expected),
                "{error}"
            );
        }
    }

    #[cfg(all(feature = "kpn", not(feature = "layers")))]
    #[test]
    fn a_limit_without_the_layers_names_the_feature() {
        let settings = Settings::from_url("kpn://a:b@default?sender=X&rate=5").unwrap();
        let error = settings.open().unwrap_err().to_string();
        assert!(
            error.contains("the feature `layers` of postduif"),
            "{error}"
        );
    }
}
