//! Reads the URL of a PostgreSQL database, and listens to it.

use std::{sync::Arc, time::Duration};

use postduif_core::ConfigError;
use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::time::{sleep, timeout};

use super::db::Server;

/// Reads a URL as `libpq` does, with an option `schema` of our own.
pub(super) fn server(url: &str) -> Result<Server, ConfigError> {
    let (place, options) = url.split_once('?').unwrap_or((url, ""));
    let mut schema = None;
    let mut known = Vec::new();
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "schema" => schema = Some(schema_name(value)?),
            _ if OPTIONS.contains(&name) => known.push(option),
            // Not with its name: it may be a part of a password.
            _ => {
                return Err(ConfigError::new(
                    "the URL of the database has an unknown option",
                ));
            }
        }
    }
    let url = format!("{place}?{}", known.join("&"));
    let options: PgConnectOptions = url
        .parse()
        .map_err(|_| ConfigError::new("the URL of the database cannot be read"))?;
    let mut prepare = PREPARE.to_owned();
    if let Some(schema) = schema {
        prepare += "SET search_path TO ";
        prepare += schema;
    }
    Ok(Server::Postgres {
        options: Box::new(options.disable_statement_logging()),
        prepare: Arc::from(prepare),
        schema: schema.map(Arc::from),
    })
}

/// A name that needs no quotes, so that nothing else can be in it.
fn schema_name(name: &str) -> Result<&str, ConfigError> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let starts = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if name.len() < 64 && name.bytes().all(is_plain) && name.bytes().next().is_some_and(starts) {
        Ok(name)
    } else {
        Err(ConfigError::new(
            "a schema has a name of a to z, 0 to 9 and _, up to 63 characters",
        ))
    }
}

/// Calls `told` with each topic that somebody wakes, and with `None` if some may have been missed, until it returns
/// `false`.
pub(super) async fn listen(options: PgConnectOptions, told: impl Fn(Option<&str>) -> bool) {
    while told(None) {
        // A new pool each time: the connection of an old one may hang.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT)
            .connect_lazy_with(options.clone());
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen("postduif").await.is_ok()
        {
            while told(None) {
                match timeout(SILENCE, listener.try_recv()).await {
                    Ok(Ok(Some(notification))) => {
                        told(Some(notification.payload()));
                    }
                    // A server that is away says nothing either.
                    Ok(Ok(None) | Err(_)) | Err(_) => break,
                }
            }
        }
        sleep(PAUSE).await;
    }
}

/// Not `statement-cache-capacity`: with 0, sqlx 0.9 leaves a statement behind at each call.
const OPTIONS: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// The limits of a connection. A process that was stopped in a transaction keeps its locks no longer than that.
const PREPARE: &str = "\
    SET statement_timeout = '5s';
    SET lock_timeout = '4s';
    SET idle_in_transaction_session_timeout = '15s';
    SET default_transaction_isolation = 'read committed';
    SET client_min_messages = 'error';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
";

const CONNECT: Duration = Duration::from_secs(5);

/// How long it may be quiet until the connection is replaced.
const SILENCE: Duration = Duration::from_secs(300);

const PAUSE: Duration = Duration::from_secs(1);
