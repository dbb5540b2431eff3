//! The URL of a store.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use postduif_core::ConfigError;

/// What a URL says.
pub(crate) struct Options {
    pub(crate) servers: Vec<String>,
    pub(crate) tls: bool,
    pub(crate) login: Option<(String, String)>,
    /// A file with a user's JWT and seed.
    pub(crate) credentials: Option<PathBuf>,
    /// A file with certificates to trust in place of the system's.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) name: String,
    /// Whether the operator states that the one server syncs each write.
    pub(crate) syncs_always: bool,
    /// Where the server's monitoring is: a host and port on this machine.
    pub(crate) monitor: Option<String>,
}

impl Options {
    /// Reads a URL. No error shows any part of it but the name of an option.
    pub(crate) fn parse(url: &str) -> Result<Self, ConfigError> {
        let (tls, rest) = match url.split_once("://") {
            Some(("nats", rest)) => (false, rest),
            Some(("tls", rest)) => (true, rest),
            _ => {
                return Err(ConfigError::new(
                    "a store on NATS is nats://HOST or tls://HOST",
                ));
            }
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, hosts) = match rest.rsplit_once('@') {
            Some((login, hosts)) => (Some(read_login(login)?), hosts),
            None => (None, rest),
        };
        let servers: Vec<_> = hosts.split(',').map(str::to_owned).collect();
        if servers.iter().any(|server| !is_address(server)) || servers.len() > MAX_SERVERS {
            return Err(ConfigError::new(
                "the servers of a store on NATS are 1 to 16 hosts, each with or without a port, separated by commas",
            ));
        }
        let mut options = Self {
            servers,
            tls,
            login,
            credentials: None,
            ca: None,
            name: "postduif".into(),
            syncs_always: false,
            monitor: None,
        };
        let mut seen = Vec::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            if seen.contains(&key) {
                return Err(duplicate(key));
            }
            seen.push(key);
            options.set(key, decoded(value)?)?;
        }
        if options.login.is_some() && options.credentials.is_some() {
            return Err(ConfigError::new(
                "a store on NATS has a user in its URL or a file of credentials, not both",
            ));
        }
        Ok(options)
    }

    fn set(&mut self, key: &str, value: String) -> Result<(), ConfigError> {
        match key {
            "credentials" if !value.is_empty() => self.credentials = Some(value.into()),
            "ca" if !value.is_empty() => self.ca = Some(value.into()),
            "name" if is_name(&value) => self.name = value,
            "name" => {
                return Err(ConfigError::new(
                    "`name` is 1 to 32 letters, digits, hyphens and underscores",
                ));
            }
            "single" if value == "sync_always" => self.syncs_always = true,
            "single" => {
                return Err(ConfigError::new(
                    "`single` can only be `sync_always`: the statement that the one server has `sync_interval: always`",
                ));
            }
            "monitor" => self.monitor = Some(local_address(&value)?),
            "credentials" | "ca" => {
                return Err(ConfigError::new(format!("`{key}` is the path of a file")));
            }
            _ => {
                return Err(ConfigError::new(
                    "an option of a store on NATS is not known; it has `ca`, `credentials`, `monitor`, `name`, `single`",
                ));
            }
        }
        Ok(())
    }
}

fn duplicate(key: &str) -> ConfigError {
    // Only a known name is shown: anything else may be a secret in the wrong place.
    let known = ["ca", "credentials", "monitor", "name", "single"];
    match known.iter().find(|known| **known == key) {
        Some(known) => ConfigError::new(format!("`{known}` is there twice")),
        None => ConfigError::new("an option is there twice"),
    }
}

fn read_login(login: &str) -> Result<(String, String), ConfigError> {
    let Some((user, password)) = login.split_once(':') else {
        return Err(ConfigError::new(
            "a user of NATS has a password: nats://USER:PASSWORD@HOST",
        ));
    };
    Ok((decoded(user)?, decoded(password)?))
}

fn decoded(text: &str) -> Result<String, ConfigError> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(ConfigError::new(
            "a percent-encoded part of the URL is not UTF-8",
        )),
    }
}

/// Whether this can be a host with or without a port. What else is wrong with it, the look-up of its name says.
fn is_address(server: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']')
    };
    !server.is_empty() && server.bytes().all(plain)
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=32).contains(&name.len()) && name.bytes().all(plain)
}

/// Returns host and port of a URL on this machine.
fn local_address(url: &str) -> Result<String, ConfigError> {
    let address = url.strip_prefix("http://").unwrap_or_default();
    let address = address.strip_suffix('/').unwrap_or(address);
    let host = address.rsplit_once(':').map_or("", |(host, _)| host);
    if matches!(host, "127.0.0.1" | "localhost" | "[::1]") {
        return Ok(address.to_owned());
    }
    Err(ConfigError::new(
        "`monitor` is http://127.0.0.1:PORT, the monitoring port of a server on this machine",
    ))
}

const MAX_SERVERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        match Options::parse(url) {
            Ok(_) => panic!("it is understood"),
            Err(error) => format!("{error} {error:?}"),
        }
    }

    #[test]
    fn a_url_names_servers_a_user_and_options() {
        let url = "nats://us%40er:pass%3Aword@one:4222,two,[::1]:4333/?name=a-b_1&single=sync_always&monitor=http://127.0.0.1:8222";
        let options = Options::parse(url).unwrap();
        assert_eq!(options.servers, ["one:4222", "two", "[::1]:4333"]);
        assert_eq!(options.login, Some(("us@er".into(), "pass:word".into())));
        assert_eq!(options.name, "a-b_1");
        assert_eq!(options.monitor.as_deref(), Some("127.0.0.1:8222"));
        assert!(options.syncs_always && !options.tls);
        let options = Options::parse("tls://host?credentials=/run/a.creds&ca=/etc/ca.pem").unwrap();
        assert!(options.tls && !options.syncs_always && options.login.is_none());
        assert_eq!(options.credentials, Some("/run/a.creds".into()));
        assert_eq!(options.ca, Some("/etc/ca.pem".into()));
        assert_eq!(options.name, "postduif");
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_shown() {
        for url in [
            "s3cret",
            "http://s3cret",
            "nats://",
            "nats://s3cret@host",
            "nats://a:s3cret@",
            "nats://a:s3cret@one,,two",
            "nats://a:s3cret@ho st",
            "nats://a:s3cret%ff@host",
            "nats://host?s3cret=1",
            "nats://host?s3cret=1&s3cret=2",
            "nats://host?single=s3cret",
            "nats://host?single",
            "nats://host?name=",
            "nats://host?name=s3cret.s3cret",
            "nats://host?name=a&name=b",
            "nats://host?credentials=",
            "nats://a:s3cret@host?credentials=/a",
            "nats://host?monitor=https://s3cret:8222",
            "nats://host?monitor=http://10.0.0.1:8222",
            "nats://host?monitor=http://127.0.0.1.s3cret:8222",
            "nats://host?monitor=http://s3cret@127.0.0.1:8222",
        ] {
            let error = refused(url);
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
