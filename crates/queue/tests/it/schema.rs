//! A PostgreSQL schema for one test.

use std::{
    env,
    io::{self, Write as _},
    thread,
    time::Duration,
};

use postduif_core::Guid;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// An empty schema, dropped with everything in it.
pub(crate) struct Schema {
    server: String,
    name: String,
}

impl Schema {
    /// Creates a schema in the database of `DATABASE_URL`, else in one on the usual port. Says so and returns `None` if
    /// no server answers, which fails the test where `CI` is set.
    pub(crate) async fn new() -> Option<Self> {
        let server = env::var("DATABASE_URL");
        let server = server.unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".into());
        let name = format!("test_{}", Guid::random().to_string().replace('-', "_"));
        let schema = Self { server, name };
        match schema.run(&format!("CREATE SCHEMA {}", schema.name)).await {
            Ok(()) => Some(schema),
            Err(error) => {
                assert!(env::var_os("CI").is_none(), "no PostgreSQL: {error}");
                // Not captured with the output of a test that passes.
                let _ = writeln!(io::stderr(), "skipped: no PostgreSQL answers: {error}");
                None
            }
        }
    }

    /// Returns the URL of a store in the schema.
    pub(crate) fn url(&self) -> String {
        let sign = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{sign}schema={}", self.server, self.name)
    }

    /// Returns the address of the server, with its port.
    pub(crate) fn address(&self) -> String {
        let (_, place) = self.server.split_once("://").unwrap_or_default();
        let place = place.split(['/', '?']).next().unwrap_or_default();
        let address = place.rsplit('@').next().unwrap_or_default();
        if address.contains(':') {
            address.to_owned()
        } else {
            format!("{address}:5432")
        }
    }

    /// Returns the URL of a store in the schema at another address.
    pub(crate) fn url_at(&self, address: &str) -> String {
        let host = self.address();
        let host = host.strip_suffix(":5432").unwrap_or(&host).to_owned();
        let url = self.url().replacen(&format!("{host}:5432"), &host, 1);
        url.replacen(&host, address, 1)
    }

    /// Creates a role that may use all tables of the schema and create none, and returns the URL of a store for it.
    pub(crate) async fn role(&self) -> String {
        let name = self.name.replacen("test", "role", 1);
        let schema = &self.name;
        let statements = format!(
            "CREATE ROLE {name} LOGIN PASSWORD 'role';
             GRANT USAGE ON SCHEMA {schema} TO {name};
             ALTER DEFAULT PRIVILEGES IN SCHEMA {schema}
                 GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {name};"
        );
        let created = self.run(&statements).await;
        created.expect("a role is created");
        let url = self.url();
        let (scheme, place) = url.split_once("://").unwrap_or_default();
        let (_, place) = place.split_once('@').unwrap_or(("", place));
        format!("{scheme}://{name}:role@{place}")
    }

    /// Returns everything in the tables of flows, as text.
    pub(crate) async fn dump(&self) -> String {
        use sqlx::Row as _;

        let mut connection = PgConnection::connect(&self.server)
            .await
            .expect("it is there");
        let mut all = String::new();
        for table in ["flow", "entry", "report", "reference", "vendor_id"] {
            let name = format!("{}.postduif_{table}", self.name);
            let select = format!("SELECT CAST(t AS TEXT) FROM {name} AS t");
            let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(&mut connection);
            for row in rows.await.expect("it is read") {
                all += &row.get::<String, _>(0);
            }
        }
        all
    }

    /// Executes statements in the schema, as an administrator would.
    pub(crate) async fn run(&self, statements: &str) -> Result<(), sqlx::Error> {
        let connected = PgConnection::connect(&self.server);
        let connected = tokio::time::timeout(Duration::from_secs(5), connected).await;
        let mut connection = connected.map_err(|_| sqlx::Error::PoolTimedOut)??;
        let all = format!("SET search_path TO {}; {statements}", self.name);
        connection
            .execute(sqlx::raw_sql(AssertSqlSafe(all)))
            .await?;
        connection.close().await
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        // A schema that stays harms nobody.
        thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let drop = format!(
                    "SET lock_timeout = '2s'; DROP SCHEMA IF EXISTS {name} CASCADE;
                     DROP ROLE IF EXISTS {role}",
                    name = self.name,
                    role = self.name.replacen("test", "role", 1),
                );
                let _ = runtime.map(|runtime| runtime.block_on(self.run(&drop)));
            });
        });
    }
}
