use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use postduif_core::ConfigError;
use url::{Host, Url};

/// The one host that a credential is meant for: https, or plain http on loopback.
///
/// ```
/// # mod postduif { pub use postduif_http as http; }
/// use postduif::http::BaseUrl;
///
/// assert!(BaseUrl::parse("https://api.example.test/prefix").is_ok());
/// assert!(BaseUrl::parse("http://127.0.0.1:8160/kpn").is_ok());
/// assert!(BaseUrl::parse("http://api.example.test").is_err());
/// ```
#[derive(Clone)]
pub struct BaseUrl {
    url: Url,
    last: Arc<Mutex<Option<Joined>>>,
}

/// The URL of the last path. A provider requests the same path for every message, and joining costs more than the copy.
struct Joined {
    path: Box<str>,
    url: Url,
}

impl BaseUrl {
    /// Parses a base URL: scheme, host, port, and a path that precedes every request's own.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not a URL, is plain http to another machine, or has credentials, a query or a
    /// fragment.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        // The cause and the text are left out: people paste secrets into URLs.
        let mut url = Url::parse(text).map_err(|_| {
            ConfigError::new("invalid base URL: expected one such as https://api.example.com")
        })?;
        // One spelling for each address: a request to this machine uses no proxy, however its address is written.
        if let Some(Host::Ipv6(ip)) = url.host()
            && let mapped @ IpAddr::V4(_) = IpAddr::from(ip).to_canonical()
        {
            url.set_ip_host(mapped)
                .map_err(|()| ConfigError::new("invalid base URL: expected a host"))?;
        }
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => return Err(ConfigError::new("invalid base URL: expected a host")),
        };
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => {
                return Err(ConfigError::new(
                    "invalid base URL: expected https://, or plain http on loopback",
                ));
            }
            _ => {
                return Err(ConfigError::new(
                    "invalid base URL: expected https:// at the start",
                ));
            }
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ConfigError::new(
                "invalid base URL: expected no credentials, which are set as options",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(ConfigError::new(
                "invalid base URL: expected neither a query nor a fragment",
            ));
        }
        Ok(Self {
            url,
            last: Arc::default(),
        })
    }

    /// Returns the URL without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Returns the path that precedes every request's own.
    pub(crate) fn prefix(&self) -> &str {
        self.url.path()
    }

    /// Returns whether scheme, host and port are those of another base URL.
    #[must_use]
    pub fn has_origin_of(&self, other: &Self) -> bool {
        self.url.origin() == other.url.origin()
    }

    /// Returns the URL of a path below this one, or this URL itself if the path is empty.
    pub(crate) fn join(&self, path: &str) -> Url {
        if path.is_empty() {
            return self.url.clone();
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(joined) = &*last
            && *joined.path == *path
        {
            return joined.url.clone();
        }
        let mut url = self.url.clone();
        url.set_path(&format!(
            "{}/{}",
            self.url.path().trim_end_matches('/'),
            path.trim_start_matches('/')
        ));
        *last = Some(Joined {
            path: path.into(),
            url: url.clone(),
        });
        url
    }
}

impl PartialEq for BaseUrl {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl Eq for BaseUrl {}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.host_str().unwrap_or_default().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendors_path_follows_the_prefix() {
        for (base, expected) in [
            ("https://a.test", "https://a.test/x/y"),
            ("https://a.test/", "https://a.test/x/y"),
            ("https://a.test/p", "https://a.test/p/x/y"),
            ("http://[::1]:80/p/", "http://[::1]/p/x/y"),
            ("http://[::ffff:127.0.0.1]:9/p/", "http://127.0.0.1:9/p/x/y"),
            ("http://[::ffff:7f00:1]/", "http://127.0.0.1/x/y"),
        ] {
            assert_eq!(
                BaseUrl::parse(base).unwrap().join("/x/y").as_str(),
                expected
            );
        }
    }

    #[test]
    fn without_a_path_it_is_the_url_itself() {
        for base in ["https://a.test/p", "https://a.test/p/", "https://a.test/"] {
            assert_eq!(BaseUrl::parse(base).unwrap().join("").as_str(), base);
        }
    }

    #[test]
    fn each_path_has_its_own_url() {
        let base = BaseUrl::parse("https://a.test/p").unwrap();
        for path in ["/x", "/y", "/y", "/x"] {
            let expected = format!("https://a.test/p{path}");
            assert_eq!(base.join(path).as_str(), expected);
        }
    }

    #[test]
    fn a_path_cannot_leave_the_host() {
        let base = BaseUrl::parse("https://a.test/p").unwrap();
        for path in [
            "//evil.test/x",
            "@evil.test",
            "https://evil.test/",
            "\\\\evil.test\\x",
            "?q#f",
        ] {
            let url = base.join(path);
            assert_eq!(
                (url.host_str(), url.query(), url.fragment()),
                (Some("a.test"), None, None),
                "{path}"
            );
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let base = BaseUrl::parse("https://a.test/p").unwrap();
        for (text, expected) in [
            ("https://A.test:443/q", true),
            ("https://a.test:444/p", false),
            ("https://b.a.test/p", false),
            ("https://a.test.b.test/p", false),
            ("https://a.test./p", false),
        ] {
            let other = BaseUrl::parse(text).unwrap();
            assert_eq!(other.has_origin_of(&base), expected, "{text}");
        }
        let plain = BaseUrl::parse("http://127.0.0.1").unwrap();
        assert!(!plain.has_origin_of(&BaseUrl::parse("https://127.0.0.1").unwrap()));
    }

    #[test]
    fn only_https_or_loopback_without_credentials_is_a_base_url() {
        for text in [
            "http://a.test",
            "http://127.0.0.1.a.test",
            "http://localhost.a.test",
            "http://10.0.0.1",
            "ftp://a.test",
            "a.test",
            "https://u:p@a.test",
            "https://a.test?key=1",
            "https://a.test#f",
            "https://",
        ] {
            let error = BaseUrl::parse(text).unwrap_err();
            assert!(!error.to_string().contains("u:p"), "{error}");
        }
        for text in [
            "http://localhost:1",
            "http://127.9.9.9",
            "http://[::1]",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(BaseUrl::parse(text).is_ok(), "{text}");
        }
    }
}
