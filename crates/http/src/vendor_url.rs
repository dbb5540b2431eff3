use std::{collections::BTreeMap, env, fmt, fs, net::IpAddr};

use percent_encoding::percent_decode_str;
use postduif_core::ConfigError;
use secrecy::SecretString;
use url::Url;

use crate::BaseUrl;

/// A connection URL taken apart: `scheme://user:secret@host[:port][/prefix]?option=value`.
///
/// The host `default` is the vendor's own. Credentials stand in the authority, percent-encoded, or among
/// the options under the vendor's names for them, where they may also be `env:NAME` or `file:PATH`.
///
/// It is never printed, neither whole nor in part: it holds secrets.
///
/// ```
/// use postduif_http::VendorUrl;
///
/// let url = "example://id:secret@default?sender=Contoso";
/// let url = VendorUrl::parse("example", url, &["id", "secret"], &["sender"])?;
/// assert_eq!(url.option("sender"), Some("Contoso"));
/// assert!(url.credential("secret").is_ok());
/// assert_eq!(url.base("https://api.example.test")?.as_str(), "https://api.example.test");
/// # Ok::<(), postduif_core::ConfigError>(())
/// ```
pub struct VendorUrl {
    base: Option<BaseUrl>,
    credentials: BTreeMap<&'static str, SecretString>,
    options: BTreeMap<&'static str, String>,
}

impl VendorUrl {
    /// Takes a `text` of this scheme apart. The first two of `credentials` may stand in the authority, in that order; all
    /// of them, and `options`, in the query.
    ///
    /// # Errors
    ///
    /// Where it is no such URL, an option is unknown or stands there twice, a credential is given twice,
    /// or an `env:` or `file:` cannot be read. The error names the option, never a value.
    pub fn parse(
        scheme: &str,
        text: &str,
        credentials: &[&'static str],
        options: &[&'static str],
    ) -> Result<Self, ConfigError> {
        // The cause is left out: it is of no use without the text, and the text holds a secret.
        let url = Url::parse(text).map_err(|_| {
            ConfigError::new(
                "not a connection URL such as vendor://id:secret@default?sender=Contoso; \
                 a credential that holds / : @ ? or # goes among the options, percent-encoded",
            )
        })?;
        if url.scheme() != scheme {
            return Err(ConfigError::new(format!(
                "the connection URL does not start with {scheme}://"
            )));
        }
        if url.fragment().is_some() {
            return Err(ConfigError::new(
                "a # in a connection URL must be written %23",
            ));
        }
        let mut parsed = Self {
            base: base(&url)?,
            credentials: BTreeMap::new(),
            options: BTreeMap::new(),
        };
        parsed.read_authority(&url, credentials)?;
        parsed.read_options(&url, credentials, options)?;
        Ok(parsed)
    }

    fn read_authority(&mut self, url: &Url, names: &[&'static str]) -> Result<(), ConfigError> {
        let given = [
            Some(url.username()).filter(|user| !user.is_empty()),
            url.password(),
        ];
        if let Some(user @ ("env" | "file")) = given[0] {
            let name = names.first().copied().unwrap_or("key");
            return Err(ConfigError::new(format!(
                "{user}: is read among the options only: write ?{name}={user}:… behind the host"
            )));
        }
        for (place, value) in given.into_iter().enumerate() {
            let Some(value) = value else { continue };
            let Some(name) = names.get(place) else {
                return Err(ConfigError::new(
                    "this vendor takes one credential, the URL holds two",
                ));
            };
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| ConfigError::new(format!("{name} is not percent-encoded UTF-8")))?;
            self.credentials.insert(name, value.into_owned().into());
        }
        Ok(())
    }

    fn read_options(
        &mut self,
        url: &Url,
        credentials: &[&'static str],
        options: &[&'static str],
    ) -> Result<(), ConfigError> {
        for (name, value) in url.query_pairs() {
            if let Some(name) = credentials.iter().find(|known| **known == name) {
                if self
                    .credentials
                    .insert(name, resolve(name, &value)?)
                    .is_some()
                {
                    return Err(ConfigError::new(format!("{name} is given twice")));
                }
            } else if let Some(name) = options.iter().find(|known| **known == name) {
                if self.options.insert(name, value.into_owned()).is_some() {
                    return Err(ConfigError::new(format!(
                        "the option {name} is given twice"
                    )));
                }
            } else {
                let known: Vec<_> = options.iter().chain(credentials).copied().collect();
                return Err(ConfigError::new(format!(
                    "unknown option {}; known are {}",
                    printable(&name),
                    known.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// The configured host, or the vendor's own.
    ///
    /// # Errors
    ///
    /// Where `vendor` is no base address.
    pub fn base(&self, vendor: &str) -> Result<BaseUrl, ConfigError> {
        self.base.clone().map_or_else(|| BaseUrl::parse(vendor), Ok)
    }

    /// A credential that must be there.
    ///
    /// # Errors
    ///
    /// Where it is missing or empty.
    pub fn credential(&self, name: &str) -> Result<SecretString, ConfigError> {
        self.optional_credential(name).ok_or_else(|| {
            ConfigError::new(format!(
                "{name} is missing: put it before the @, or among the options"
            ))
        })
    }

    /// A credential that may be missing.
    #[must_use]
    pub fn optional_credential(&self, name: &str) -> Option<SecretString> {
        use secrecy::ExposeSecret as _;
        self.credentials
            .get(name)
            .filter(|secret| !secret.expose_secret().is_empty())
            .cloned()
    }

    /// An option, where it is given.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// An option read as a `T`, where it is given.
    ///
    /// # Errors
    ///
    /// Where it is given and is none; the error names the option and says what is wrong with it.
    pub fn parsed_option<T>(&self, name: &str) -> Result<Option<T>, ConfigError>
    where
        T: std::str::FromStr<Err: std::error::Error>,
    {
        self.option(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|error| ConfigError::new(format!("option {name}: {error}")))
            })
            .transpose()
    }
}

impl fmt::Debug for VendorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VendorUrl").finish_non_exhaustive()
    }
}

fn base(url: &Url) -> Result<Option<BaseUrl>, ConfigError> {
    let host = match url.host_str() {
        Some("default") if url.port().is_none() && matches!(url.path(), "" | "/") => {
            return Ok(None);
        }
        Some("default") => {
            return Err(ConfigError::new(
                "the host default has neither port nor path",
            ));
        }
        Some(host) if !host.is_empty() => host,
        _ => {
            return Err(ConfigError::new(
                "the connection URL has no host: write @default for the vendor's own",
            ));
        }
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare == "localhost"
        || bare
            .parse()
            .is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback());
    let scheme = if loopback { "http" } else { "https" };
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    BaseUrl::parse(&format!("{scheme}://{host}{port}{}", url.path())).map(Some)
}

/// `env:NAME`, `file:PATH` (its last line end trimmed), or the value itself.
fn resolve(name: &str, value: &str) -> Result<SecretString, ConfigError> {
    if let Some(variable) = value.strip_prefix("env:") {
        return env::var(variable).map(SecretString::from).map_err(|_| {
            ConfigError::new(format!(
                "{name}: the environment variable it names is not set"
            ))
        });
    }
    if let Some(path) = value.strip_prefix("file:") {
        let content = fs::read_to_string(path).map_err(|error| {
            ConfigError::new(format!("{name}: the file it names cannot be read")).with_source(error)
        })?;
        let content = content.strip_suffix('\n').unwrap_or(&content);
        return Ok(content.strip_suffix('\r').unwrap_or(content).into());
    }
    Ok(value.into())
}

/// An option's name as somebody wrote it, as far as it may be shown: a misplaced secret is longer than
/// any name.
fn printable(name: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-';
    if name.len() <= 20 && name.bytes().all(plain) {
        name
    } else {
        "(not shown)"
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn parse(text: &str) -> Result<VendorUrl, ConfigError> {
        VendorUrl::parse("x", text, &["id", "secret"], &["sender", "api"])
    }

    fn both(text: &str) -> (String, String) {
        let url = parse(text).unwrap();
        let secret = |name| url.credential(name).unwrap().expose_secret().to_owned();
        (secret("id"), secret("secret"))
    }

    #[test]
    fn both_places_give_the_same_credentials() {
        let expected = ("me".to_owned(), "s/e:c@ret".to_owned());
        assert_eq!(both("x://me:s%2Fe%3Ac%40ret@default"), expected);
        assert_eq!(both("x://default?id=me&secret=s/e:c@ret"), expected);
        assert_eq!(both("x://me@default?secret=s/e:c@ret"), expected);
    }

    #[test]
    fn the_host_is_the_vendors_or_one_that_may_have_credentials() {
        for (text, base) in [
            ("x://a:b@default", "https://vendor.test"),
            ("x://a:b@default/?sender=x", "https://vendor.test"),
            ("x://a:b@mirror.test", "https://mirror.test"),
            ("x://a:b@mirror.test:8443/p", "https://mirror.test:8443/p"),
            (
                "x://a:b@127.0.0.1:8160/kpn?sender=x",
                "http://127.0.0.1:8160/kpn",
            ),
            ("x://a:b@[::1]:1", "http://[::1]:1"),
            ("x://a:b@localhost:1/p", "http://localhost:1/p"),
        ] {
            assert_eq!(
                parse(text)
                    .unwrap()
                    .base("https://vendor.test")
                    .unwrap()
                    .as_str(),
                base,
                "{text}"
            );
        }
        for text in [
            "x://a:b@default:1",
            "x://a:b@default/p",
            "x:///p",
            "x:p",
            "y://a:b@default",
            "nonsense",
            "",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_and_doubled_options_are_named() {
        for (text, words) in [
            (
                "x://a:b@default?sendr=x",
                "unknown option sendr; known are sender, api, id, secret",
            ),
            (
                "x://a:b@default?sender=x&sender=y",
                "the option sender is given twice",
            ),
            ("x://a:b@default?secret=c", "secret is given twice"),
            ("x://default?id=a&id=b", "id is given twice"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn a_pointer_in_the_authority_shows_the_other_form() {
        let error = parse("x://env:KPN_SECRET@default").unwrap_err();
        assert_eq!(
            error.to_string(),
            "env: is read among the options only: write ?id=env:… behind the host"
        );
    }

    #[test]
    fn a_credential_is_read_from_a_file_without_its_last_line_end() {
        let path = std::env::temp_dir().join(format!("postduif-http-{}", std::process::id()));
        for (content, expected) in [("s\r\n", "s"), ("s\n\n", "s\n"), ("s", "s")] {
            fs::write(&path, content).unwrap();
            let url = parse(&format!("x://default?id=a&secret=file:{}", path.display())).unwrap();
            assert_eq!(url.credential("secret").unwrap().expose_secret(), expected);
        }
        fs::remove_file(&path).unwrap();
        assert!(parse(&format!("x://default?id=a&secret=file:{}", path.display())).is_err());
        assert!(parse("x://default?id=env:POSTDUIF_SURELY_UNSET").is_err());
    }

    #[test]
    fn no_error_shows_a_value() {
        for text in [
            "x://user:hunter2@default?hunter2hunter2hunter2=1",
            "x://user:hunter2@default?Hunter2=1",
            "x://user:hunter2@default#f",
            "x://user:hunter2@default:99999",
            "x://default?id=env:hunter2",
            "x://default?id=file:hunter2",
            "x://user:hunter2@default?secret=hunter2",
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                !format!("{error} {error:?}").contains("unter2"),
                "{text}: {error:?}"
            );
        }
        assert!(!format!("{:?}", parse("x://user:hunter2@default").unwrap()).contains("hunter2"));
    }
}
