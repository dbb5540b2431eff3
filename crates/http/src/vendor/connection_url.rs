use std::{
    collections::BTreeMap,
    env, fmt, fs,
    io::{self, Read as _},
    net::IpAddr,
};

use percent_encoding::percent_decode_str;
use postduif_core::ConfigError;
use secrecy::SecretString;
use url::Url;

use crate::BaseUrl;

/// A parsed connection URL: `scheme://user:secret@host[:port][/prefix]?option=value`.
///
/// The host `default` is the vendor's own. Credentials are in the authority, percent-encoded, or among the options
/// under the vendor's names for them, where they may also be `env:NAME` or `file:PATH`.
///
/// `Debug` shows nothing of it, since it holds secrets.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_http as http; }
/// use postduif::http::vendor::ConnectionUrl;
///
/// let url = "example://id:secret@default?sender=Contoso";
/// let url = ConnectionUrl::parse("example", url, &["id", "secret"], &["sender"])?;
/// assert_eq!(url.option("sender"), Some("Contoso"));
/// assert!(url.credential("secret").is_ok());
/// assert!(url.host().is_none());
/// # Ok::<(), postduif::ConfigError>(())
/// ```
pub struct ConnectionUrl {
    base: Option<BaseUrl>,
    credentials: BTreeMap<&'static str, SecretString>,
    options: BTreeMap<&'static str, String>,
}

impl ConnectionUrl {
    /// Parses `text` as a URL of this scheme. The first two of `credentials` may be in the authority, in that order;
    /// all of them, and `options`, in the query.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not such a URL, an option is unknown, an option or a credential is a duplicate, or an
    /// `env:` or `file:` cannot be read. The error names the option, never a value.
    pub fn parse(
        scheme: &str,
        text: &str,
        credentials: &[&'static str],
        options: &[&'static str],
    ) -> Result<Self, ConfigError> {
        one_url(text)?;
        // The cause is left out: it is useless without the text, which holds a secret.
        let url = Url::parse(text).map_err(|_| {
            ConfigError::new(
                "invalid connection URL: expected one such as vendor://id:secret@default?sender=Contoso; \
                 a credential with / : @ ? or # goes among the options, percent-encoded",
            )
        })?;
        if url.scheme() != scheme {
            return Err(ConfigError::new(format!(
                "invalid connection URL: expected {scheme}:// at the start"
            )));
        }
        if url.fragment().is_some() {
            return Err(ConfigError::new(
                "a # in a connection URL must be written %23",
            ));
        }
        if url.path().contains('@') || url.path().contains("//") {
            return Err(ConfigError::new(
                "invalid connection URL: expected no @ or // in its path; a credential with / : @ ? or # goes \
                 among the options, percent-encoded",
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
        for (index, value) in given.into_iter().enumerate() {
            let Some(value) = value else { continue };
            // `env:NAME@` parses as the user `env`, `key:env:NAME@` as a password that starts with `env:`.
            let source = ["env", "file"].into_iter().find(|source| match index {
                0 => value == *source,
                _ => value
                    .strip_prefix(source)
                    .is_some_and(|rest| rest.starts_with(':') || rest.starts_with("%3A")),
            });
            if let Some(source) = source {
                let name = names.get(index).copied().unwrap_or("key");
                return Err(ConfigError::new(format!(
                    "{source}: is read among the options only: write ?{name}={source}:… after the host"
                )));
            }
            let Some(name) = names.get(index) else {
                return Err(ConfigError::new(
                    "invalid connection URL: expected one credential, not two",
                ));
            };
            let value = percent_decode_str(value).decode_utf8().map_err(|_| {
                ConfigError::new(format!("invalid {name}: expected percent-encoded UTF-8"))
            })?;
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
        for (name, value) in pairs(url.query().unwrap_or_default())? {
            if let Some(name) = credentials.iter().copied().find(|known| *known == name) {
                if self
                    .credentials
                    .insert(name, secret(name, &value)?)
                    .is_some()
                {
                    return Err(ConfigError::new(format!("duplicate credential {name}")));
                }
            } else if let Some(name) = options.iter().copied().find(|known| *known == name) {
                if self.options.insert(name, value).is_some() {
                    return Err(ConfigError::new(format!("duplicate option {name}")));
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

    /// Returns the configured host with its path prefix. `None` if the host is `default`, which is the vendor's own.
    #[must_use]
    pub const fn host(&self) -> Option<&BaseUrl> {
        self.base.as_ref()
    }

    /// Returns a required credential.
    ///
    /// # Errors
    ///
    /// Returns an error if it is missing or empty.
    pub fn credential(&self, name: &str) -> Result<SecretString, ConfigError> {
        self.optional_credential(name).ok_or_else(|| {
            ConfigError::new(format!(
                "{name} is missing: expected it before the @, or among the options"
            ))
        })
    }

    /// Returns a credential. `None` if it is missing or empty.
    #[must_use]
    pub fn optional_credential(&self, name: &str) -> Option<SecretString> {
        use secrecy::ExposeSecret as _;
        self.credentials
            .get(name)
            .filter(|secret| !secret.expose_secret().is_empty())
            .cloned()
    }

    /// Returns an option. `None` if it is missing.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Parses an option as a `T`. `None` if it is missing.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not a `T`; the error names the option and the problem.
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

impl fmt::Debug for ConnectionUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionUrl").finish_non_exhaustive()
    }
}

/// Refuses a text that parses as one URL but is probably two, or another one: its host would be wrong, and a credential
/// might become part of a path.
fn one_url(text: &str) -> Result<(), ConfigError> {
    // The URL parser silently drops tabs and line breaks, and with them a part of a secret.
    if text.trim().contains(['\t', '\n', '\r']) {
        return Err(ConfigError::new(
            "invalid connection URL: expected no tab or line break; write %09 or %0A, and one URL a line",
        ));
    }
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let before_options = rest.get(..end).unwrap_or(rest);
    if before_options.contains("://") {
        return Err(ConfigError::new(
            "invalid connection URL: expected one URL; separate several by white space, and write a host without https://",
        ));
    }
    let host = before_options
        .rsplit_once('@')
        .map_or(before_options, |(_, host)| host);
    let authority = host.split('/').next().unwrap_or(host);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if !authority.bytes().all(plain) || host.contains("//") {
        return Err(ConfigError::new(
            "invalid host in the connection URL: expected letters, digits, dots and hyphens, as in \
             vendor://id:secret@api.example.com:8443/prefix; separate several URLs by white space",
        ));
    }
    let name = authority.trim_end_matches('.');
    if name.eq_ignore_ascii_case("default") && authority != "default" {
        return Err(ConfigError::new(
            "invalid host in the connection URL: expected default in lower case, without a dot, for the vendor's own",
        ));
    }
    Ok(())
}

/// Returns the options, percent-decoded only: in a form's encoding a `+` would become a space, and secrets in base64
/// have it.
fn pairs(query: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(|text| text.into_owned())
            .map_err(|_| ConfigError::new("invalid option: expected percent-encoded UTF-8"))
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn base(url: &Url) -> Result<Option<BaseUrl>, ConfigError> {
    let host = match url.host_str() {
        Some("default") if url.port().is_none() && matches!(url.path(), "" | "/") => {
            return Ok(None);
        }
        Some("default") => {
            return Err(ConfigError::new(
                "invalid host in the connection URL: expected default without port and path",
            ));
        }
        Some(host) if !host.is_empty() => host,
        _ => {
            return Err(ConfigError::new(
                "invalid connection URL: expected a host, such as @default for the vendor's own",
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

/// Resolves a secret of a configuration: `env:NAME`, `file:PATH` (its last line end trimmed), or the secret itself.
///
/// # Errors
///
/// Returns an error if the variable is not set, or the file cannot be read, is no regular file or is longer than 64 KiB.
/// The error starts with `name`, the option's.
pub fn secret(name: &str, value: &str) -> Result<SecretString, ConfigError> {
    if let Some(variable) = value.strip_prefix("env:") {
        return env::var(variable).map(SecretString::from).map_err(|_| {
            ConfigError::new(format!(
                "{name}: the environment variable {} is not set",
                printable_variable(variable)
            ))
        });
    }
    if let Some(path) = value.strip_prefix("file:") {
        let content = read(path).map_err(|error| {
            ConfigError::new(format!("{name}: the file cannot be read")).with_source(error)
        })?;
        let content = content.strip_suffix('\n').unwrap_or(&content);
        return Ok(content.strip_suffix('\r').unwrap_or(content).into());
    }
    Ok(value.into())
}

/// The maximum length of a file with a secret, in bytes. A private key has a few thousand.
const MAX_FILE: u64 = 64 * 1024;

/// Reads a file with a secret. A pipe or a device could make it wait, or never end.
fn read(path: &str) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut content = String::new();
    let length = fs::File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_string(&mut content)?;
    if length as u64 > MAX_FILE {
        return Err(io::Error::other("it is longer than 64 KiB"));
    }
    Ok(content)
}

/// Returns a variable's name if it may be shown: a secret that was put there by mistake is rarely all upper case.
fn printable_variable(name: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let is_name = name.bytes().any(|byte| byte.is_ascii_uppercase()) && name.contains('_');
    if name.len() <= 40 && is_name && name.bytes().all(plain) {
        name
    } else {
        "it names"
    }
}

/// Returns an unknown option's name if it may be shown: a misplaced secret is longer than any name.
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

    fn parse(text: &str) -> Result<ConnectionUrl, ConfigError> {
        ConnectionUrl::parse("x", text, &["id", "secret"], &["sender", "api"])
    }

    fn both(text: &str) -> (String, String) {
        let url = parse(text).unwrap();
        let secret = |name| url.credential(name).unwrap().expose_secret().to_owned();
        (secret("id"), secret("secret"))
    }

    #[test]
    fn authority_and_options_give_the_same_credentials() {
        let expected = ("me".to_owned(), "s/e:c@ret".to_owned());
        assert_eq!(both("x://me:s%2Fe%3Ac%40ret@default"), expected);
        assert_eq!(both("x://default?id=me&secret=s/e:c@ret"), expected);
        assert_eq!(both("x://me@default?secret=s/e:c@ret"), expected);
    }

    #[test]
    fn the_host_is_the_vendors_own_or_a_base_url() {
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
                    .host()
                    .map_or("https://vendor.test", BaseUrl::as_str),
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
    fn unknown_and_duplicate_options_are_named() {
        for (text, expected) in [
            (
                "x://a:b@default?sendr=x",
                "unknown option sendr; known are sender, api, id, secret",
            ),
            (
                "x://a:b@default?sender=x&sender=y",
                "duplicate option sender",
            ),
            ("x://a:b@default?secret=c", "duplicate credential secret"),
            ("x://default?id=a&id=b", "duplicate credential id"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn env_or_file_in_the_authority_is_refused_with_the_right_form() {
        for (url, advice) in [
            (
                "x://env:KPN_SECRET@default",
                "env: is read among the options only: write ?id=env:… after the host",
            ),
            (
                "x://me:env:KPN_SECRET@default",
                "env: is read among the options only: write ?secret=env:… after the host",
            ),
            (
                "x://me:file:%2Frun%2Fs@default",
                "file: is read among the options only: write ?secret=file:… after the host",
            ),
        ] {
            assert_eq!(parse(url).unwrap_err().to_string(), advice);
        }
    }

    #[test]
    fn a_plus_stays_a_plus_everywhere() {
        for url in [
            "x://default?id=me&secret=ab+cd/ef==",
            "x://default?id=me&secret=ab%2Bcd%2Fef%3D%3D",
            "x://me:ab+cd%2Fef==@default",
        ] {
            assert_eq!(both(url).1, "ab+cd/ef==", "{url}");
        }
        let url = parse("x://a:b@default?sender=+31612345678").unwrap();
        assert_eq!(url.option("sender"), Some("+31612345678"));
    }

    #[test]
    fn two_urls_in_one_or_a_misspelled_host_are_refused_with_advice() {
        for (url, advice) in [
            ("x://a:b@default,y://c@default?sender=Z", "white space"),
            ("x://a:b@default;y://c@default", "white space"),
            ("x://a:b@default,cm.example.com", "white space"),
            ("x://a:b@https://api.example.com", "without https://"),
            ("x://a:b@DEFAULT", "lower case"),
            ("x://a:b@Default.", "lower case"),
            ("x://a:b@default.", "without a dot"),
            ("x://a:b@host/p@q", "no @ or //"),
            ("x://a:b@host//q", "invalid host"),
            ("x://a:b@ho st", "invalid host"),
            ("x://a:b\tc@default", "tab or line break"),
            ("x://default?id=a&secret=b\nc", "tab or line break"),
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains(advice), "{url}: {error}");
        }
        for url in [
            "x://a:b@[::1]:8160/p",
            "x://a:b@127.0.0.1:1/p",
            "x://a:b@h.example-1.com:8443/p",
        ] {
            assert!(parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let error = parse("x://default?id=env:POSTDUIF_SURELY_UNSET").unwrap_err();
        assert_eq!(
            error.to_string(),
            "id: the environment variable POSTDUIF_SURELY_UNSET is not set"
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
    fn a_credential_is_read_from_a_short_regular_file_only() {
        let path = std::env::temp_dir().join(format!("postduif-long-{}", std::process::id()));
        let url = format!("x://default?id=a&secret=file:{}", path.display());
        for (length, fits) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
            fs::write(&path, "s".repeat(length)).unwrap();
            assert_eq!(parse(&url).is_ok(), fits, "{length}");
        }
        fs::remove_file(&path).unwrap();
        // Without the check, these never end.
        #[cfg(unix)]
        for endless in ["/dev/zero", "/dev/random"] {
            assert!(parse(&format!("x://default?id=a&secret=file:{endless}")).is_err());
        }
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
