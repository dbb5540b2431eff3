//! What a server on this machine says of itself on its monitoring port.

use std::time::Duration;

use postduif_core::ConfigError;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// The parts of `/varz` that are read. A server shows `sync_always` only if it is set.
#[derive(Deserialize)]
struct Varz {
    server_id: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Default, Deserialize)]
struct JetStream {
    #[serde(default)]
    config: Config,
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    sync_always: bool,
}

/// Checks that the server with this id syncs each write.
pub(crate) async fn check(address: &str, server_id: &str) -> Result<(), ConfigError> {
    let Ok(Some(body)) = timeout(LIMIT, read(address)).await else {
        return Err(ConfigError::new(
            "the monitoring port of the NATS server does not respond",
        ));
    };
    let varz: Varz = serde_json::from_slice(&body).map_err(|_| {
        ConfigError::new("the monitoring port does not respond as that of a NATS server")
    })?;
    if varz.server_id != server_id {
        return Err(ConfigError::new(
            "the monitoring port is that of another NATS server",
        ));
    }
    if !varz.jetstream.config.sync_always {
        return Err(ConfigError::new(
            "the NATS server does not sync each write: set `sync_interval: always` in its `jetstream` block",
        ));
    }
    Ok(())
}

/// Reads the body of a response. In HTTP/1.0 it is not chunked, and ends with the connection.
async fn read(address: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream
        .write_all(b"GET /varz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        .await
        .ok()?;
    let mut response = Vec::new();
    stream
        .take(MAX_RESPONSE)
        .read_to_end(&mut response)
        .await
        .ok()?;
    let head = response.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(response.split_off(head + 4))
}

const LIMIT: Duration = Duration::from_secs(5);

const MAX_RESPONSE: u64 = 1 << 20;
