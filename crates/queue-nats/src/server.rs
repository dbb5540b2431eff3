//! What a server must be and have before anything is stored on it.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use postduif_core::ConfigError;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    jetstream::{Fail, JetStream, nanos},
    monitor,
    options::Options,
};

/// The names of the streams of a store, and of the consumer that all workers share.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// The stream of the bucket, as every client of a key-value store of NATS names it.
    pub(crate) bucket: String,
    /// What the subject of a key begins with.
    pub(crate) keys: String,
    /// The stream of wake-ups.
    pub(crate) wakes: String,
    /// What the subject of a flow's wake-up begins with.
    pub(crate) wake: String,
}

impl Names {
    fn new(name: &str) -> Self {
        Self {
            bucket: format!("KV_{name}"),
            keys: format!("$KV.{name}."),
            wakes: format!("{name}-wakes"),
            wake: format!("{name}.wake."),
        }
    }
}

#[derive(Deserialize)]
struct StreamInfo {
    config: StreamConfig,
}

/// The parts of a stream's configuration on which the store relies.
#[derive(Deserialize)]
struct StreamConfig {
    #[serde(default)]
    subjects: Vec<String>,
    retention: String,
    storage: String,
    num_replicas: u64,
    #[serde(default)]
    max_msgs: i64,
    #[serde(default)]
    max_bytes: i64,
    #[serde(default)]
    max_msgs_per_subject: i64,
}

/// Connects to a server, and creates what the store needs unless it exists.
pub(crate) async fn open(
    options: &Options,
    lease: Duration,
) -> Result<(JetStream, Names), ConfigError> {
    let client = connect(options).await?;
    let info = client.server_info();
    if !is_new_enough(&info.version) {
        return Err(ConfigError::new(
            "the NATS server is too old: version 2.10 or newer is needed",
        ));
    }
    if info.max_payload < MIN_PAYLOAD {
        return Err(ConfigError::new(
            "the NATS server allows too small messages: `max_payload` must be 1 MiB, its default, or more",
        ));
    }
    let names = Names::new(&options.name);
    let setup = Setup {
        jetstream: JetStream::new(client),
        options,
        server_id: info.server_id,
    };
    setup.stream(&names.bucket, &bucket(&names)).await?;
    setup.stream(&names.wakes, &wakes(&names)).await?;
    let consumer = consumer(&names, lease);
    let path = format!("CONSUMER.CREATE.{}.{CONSUMER}", names.wakes);
    setup.call(&path, &consumer).await?;
    Ok((setup.jetstream, names))
}

async fn connect(options: &Options) -> Result<Client, ConfigError> {
    let mut connect = ConnectOptions::new()
        .name("postduif")
        .require_tls(options.tls)
        .tls_client_config(tls(options)?)
        // The password goes to the hosts of the URL only.
        .ignore_discovered_servers()
        .connection_timeout(CONNECT)
        .ping_interval(PING)
        .reconnect_delay_callback(|attempt| match attempt {
            0 | 1 => Duration::ZERO,
            _ => RECONNECT,
        });
    if let Some((user, password)) = &options.login {
        connect = connect.user_and_password(user.clone(), password.clone());
    }
    if let Some(path) = &options.credentials {
        let text = fs::read_to_string(path).map_err(|error| unreadable("credentials", &error))?;
        connect = connect.credentials(&text).map_err(|_| {
            ConfigError::new("the file of `credentials` does not have a user's JWT and seed")
        })?;
    }
    let scheme = if options.tls { "tls" } else { "nats" };
    let servers: Vec<_> = options
        .servers
        .iter()
        .map(|server| format!("{scheme}://{server}"))
        .collect();
    let connected = timeout(CONNECT * 3, connect.connect(servers)).await;
    match connected {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => Err(ConfigError::new(match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                "the NATS server refused the user"
            }
            ConnectErrorKind::Dns => "no host of the URL has an address",
            ConnectErrorKind::ServerParse => "a server of the URL is not a host and port",
            ConnectErrorKind::Tls => "no TLS connection to the NATS server could be made",
            _ => "no NATS server of the URL could be reached",
        })),
        Err(_) => Err(ConfigError::new(
            "no NATS server of the URL responded in time",
        )),
    }
}

/// Returns a configuration that does not depend on what the process has installed.
fn tls(options: &Options) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &options.ca {
        let certificates = read_certificates(path).map_err(|error| unreadable("ca", &error))?;
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(ConfigError::new("the file of `ca` has no certificate"));
        }
    } else {
        // Those that cannot be read verify no server.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|_| ConfigError::new("TLS cannot be configured"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn read_certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = fs::read(path)?;
    // One that is none ends the list.
    Ok(CertificateDer::pem_slice_iter(&pem)
        .map_while(Result::ok)
        .collect())
}

fn unreadable(option: &str, error: &io::Error) -> ConfigError {
    ConfigError::new(format!(
        "the file of `{option}` cannot be read: {}",
        error.kind()
    ))
}

struct Setup<'a> {
    jetstream: JetStream,
    options: &'a Options,
    server_id: String,
}

impl Setup<'_> {
    /// Creates a stream on three servers, or on the only one if its operator states that it syncs each write.
    async fn stream(&self, name: &str, config: &Value) -> Result<(), ConfigError> {
        let path = format!("STREAM.INFO.{name}");
        if let Some(info) = self.call(&path, &json!({})).await? {
            return self.check(info, config).await;
        }
        let path = format!("STREAM.CREATE.{name}");
        let mut config = config.clone();
        config["num_replicas"] = json!(REPLICAS);
        let created = self.jetstream.call::<Value>(&path, &config).await;
        if !matches!(created, Err(Fail::Refused(NO_CLUSTER))) {
            let info = self.call(&path, &config).await?;
            return match info {
                Some(info) => self.check(info, &config).await,
                None => Err(away()),
            };
        }
        self.single().await?;
        config["num_replicas"] = json!(1);
        match self.call(&path, &config).await? {
            Some(info) => self.check(info, &config).await,
            None => Err(away()),
        }
    }

    /// Checks that a stream is what the store needs, also if somebody else created it.
    async fn check(&self, info: Value, wanted: &Value) -> Result<(), ConfigError> {
        let Ok(StreamInfo { config }) = serde_json::from_value(info) else {
            return Err(away());
        };
        if config.num_replicas < REPLICAS {
            self.single().await?;
        }
        let is_ours = json!(config.subjects) == wanted["subjects"]
            && wanted["retention"] == config.retention
            && wanted["max_msgs_per_subject"] == config.max_msgs_per_subject
            && config.storage == "file"
            && config.max_msgs <= 0
            && config.max_bytes <= 0;
        if is_ours {
            return Ok(());
        }
        Err(ConfigError::new(
            "a stream of this `name` has another configuration than the store needs; choose another `name`",
        ))
    }

    /// Checks that a single server syncs each write.
    async fn single(&self) -> Result<(), ConfigError> {
        if let Some(address) = &self.options.monitor {
            return monitor::check(address, &self.server_id).await;
        }
        if self.options.syncs_always {
            return Ok(());
        }
        Err(ConfigError::new(
            "a single NATS server acknowledges what a loss of power undoes, unless it has `sync_interval: always` in \
             its `jetstream` block: set that and state it with `?single=sync_always`, or use a cluster of three servers",
        ))
    }

    /// Calls the API, and again for as long as a cluster elects a leader.
    async fn call(&self, name: &str, request: &Value) -> Result<Option<Value>, ConfigError> {
        let until = Instant::now() + SETUP;
        loop {
            match self.jetstream.call(name, request).await {
                Ok(response) => return Ok(response),
                Err(Fail::Away(_)) if Instant::now() < until => sleep(SETUP_PAUSE).await,
                Err(Fail::Away(_)) => return Err(away()),
                Err(Fail::Refused(NO_PEERS | NO_RESOURCES)) => {
                    return Err(ConfigError::new(
                        "the NATS cluster does not have three servers with JetStream and room for the store",
                    ));
                }
                Err(Fail::Refused(NOT_ENABLED | NOT_ENABLED_FOR_ACCOUNT)) => {
                    return Err(ConfigError::new(
                        "JetStream is not enabled: set a `jetstream` block in the configuration of the NATS server, \
                         and for the account",
                    ));
                }
                Err(Fail::Refused(code)) => {
                    return Err(ConfigError::new(format!(
                        "JetStream refused to create the store with error {code}"
                    )));
                }
                Err(Fail::Conflict | Fail::TooLarge) => return Err(away()),
            }
        }
    }
}

fn away() -> ConfigError {
    ConfigError::new(
        "JetStream does not respond: it must be enabled in the configuration of the NATS server, and for the account",
    )
}

fn bucket(names: &Names) -> Value {
    json!({
        "name": names.bucket,
        "description": "flows of postduif, as a key-value bucket",
        "subjects": [format!("{}>", names.keys)],
        "retention": "limits",
        "storage": "file",
        "max_msgs_per_subject": 1,
        "discard": "new",
        "max_age": nanos(KEPT),
        "allow_rollup_hdrs": true,
        "deny_delete": true,
        // A replica may lag behind the leader.
        "allow_direct": false,
    })
}

fn wakes(names: &Names) -> Value {
    json!({
        "name": names.wakes,
        "description": "wake-ups of the flows of postduif",
        "subjects": [format!("{}*", names.wake)],
        "retention": "workqueue",
        "storage": "file",
        "max_msgs_per_subject": -1,
        "discard": "new",
    })
}

fn consumer(names: &Names, lease: Duration) -> Value {
    json!({
        "stream_name": names.wakes,
        "config": {
            "name": CONSUMER,
            "durable_name": CONSUMER,
            "deliver_policy": "all",
            "replay_policy": "instant",
            "ack_policy": "explicit",
            "ack_wait": nanos(lease),
            "max_deliver": -1,
            // Each flow that waits counts.
            "max_ack_pending": -1,
        },
    })
}

/// Returns whether a server has what is used: the time in what it says of a stream, and consumers that can be updated.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (2u32, 10u32),
        _ => false,
    }
}

/// The consumer that all workers share.
pub(crate) const CONSUMER: &str = "workers";

const REPLICAS: u64 = 3;

/// How long a value is kept after it was last written. An open flow is written each time it runs, and no pass lives
/// longer than 30 days.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

const MIN_PAYLOAD: usize = 1 << 20;

const CONNECT: Duration = Duration::from_secs(5);
const RECONNECT: Duration = Duration::from_millis(250);

/// A server that is gone without a word is noticed after three of these.
const PING: Duration = Duration::from_secs(5);

/// How long the elections of a cluster that has just started may take.
const SETUP: Duration = Duration::from_secs(20);
const SETUP_PAUSE: Duration = Duration::from_millis(250);

/// Error codes of JetStream: "no suitable peers for placement", "insufficient resources", "JetStream not enabled for
/// account", "replicas > 1 not supported in non-clustered mode", "JetStream not enabled".
const NO_PEERS: u64 = 10005;
const NO_RESOURCES: u64 = 10023;
const NOT_ENABLED_FOR_ACCOUNT: u64 = 10039;
const NO_CLUSTER: u64 = 10074;
const NOT_ENABLED: u64 = 10076;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for new in ["2.10.0", "2.15.1", "2.11.0-RC.1", "3.0.0"] {
            assert!(is_new_enough(new), "{new}");
        }
        for old in ["2.9.10", "1.99.0", "", "two", "2"] {
            assert!(!is_new_enough(old), "{old}");
        }
    }
}
