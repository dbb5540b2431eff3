//! A small layer over sqlx, so that one text of a statement serves SQLite and PostgreSQL.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use postduif_core::ConfigError;
use postduif_onboarding::{JournalError, JournalErrorKind};
#[cfg(feature = "postgres")]
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
#[cfg(feature = "sqlite")]
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _, SqlSafeStr as _, SqlStr};
use tokio::{
    runtime::Handle,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout_at,
};
use tracing::Instrument as _;

#[cfg(feature = "postgres")]
use tokio::runtime;

#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite;

/// The text of a statement. Its parameters are `$1`, `$2`, and so on. These words stand for what the databases call
/// differently:
///
/// | word | is |
/// |---|---|
/// | `{now}` | the database's clock, in milliseconds since 1970; within a statement it may advance |
/// | `{skip}` | ` FOR UPDATE SKIP LOCKED` in PostgreSQL |
/// | `{lock}` | ` FOR UPDATE` in PostgreSQL |
/// | `{bytes}` | the type of a column of bytes |
/// | `{tables}` | a query of the `name` of each table |
/// | `{define_refuse}`, `{refuse}` | the function of a trigger where one is needed, and the body of a trigger that refuses a change |
/// | `{alone}` | waits until no other process changes the tables, which SQLite sees to by itself |
///
/// It belongs in a `static`, since the finished texts are kept with it.
pub(crate) struct Sql {
    text: &'static str,
    #[cfg(feature = "sqlite")]
    sqlite: OnceLock<Arc<str>>,
    #[cfg(feature = "postgres")]
    postgres: OnceLock<Arc<str>>,
}

/// What a parameter of a statement is bound to. `None` is NULL.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Int(Option<i64>),
    Text(Option<&'a str>),
    Bytes(Option<&'a [u8]>),
}

/// A [`Value`] of a call that goes on without its caller.
enum Owned {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// A row of a result. A column that is missing, has another type, or is NULL unexpectedly, is an error.
pub(crate) enum Row {
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(PgRow),
}

/// A database. Clones share its connections.
#[derive(Clone)]
pub(crate) struct Db(Arc<Inner>);

struct Inner {
    server: Server,
    /// The idle connections, the last used one last.
    idle: Mutex<Vec<Idle>>,
    permits: Arc<Semaphore>,
    topics: [Notify; Topic::ALL.len()],
    #[cfg(feature = "postgres")]
    listens: std::sync::atomic::AtomicBool,
}

/// What tells of a change, so that nobody has to ask for it all the time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Topic {
    Events,
    Flows,
    Texts,
}

pub(super) enum Server {
    #[cfg(feature = "sqlite")]
    Sqlite {
        options: Box<SqliteConnectOptions>,
        /// Keeps other processes away from the file. `None` in memory.
        _lock: Option<std::fs::File>,
    },
    #[cfg(feature = "postgres")]
    Postgres {
        options: Box<PgConnectOptions>,
        /// The statements that prepare a new connection.
        prepare: Arc<str>,
        schema: Option<Arc<str>>,
    },
}

enum Connection {
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(PgConnection),
}

struct Idle {
    connection: Connection,
    /// Whether it may be in the middle of a transaction that nobody continues.
    in_doubt: bool,
    since: Instant,
    #[cfg(feature = "postgres")]
    born: Instant,
    /// The runtime whose sockets it uses.
    #[cfg(feature = "postgres")]
    runtime: runtime::Id,
}

/// A connection in use.
struct Held {
    db: Arc<Inner>,
    idle: Option<Idle>,
    _permit: OwnedSemaphorePermit,
}

/// A transaction. Dropped without a commit, it changes nothing.
pub(crate) struct Tx {
    held: Held,
    deadline: tokio::time::Instant,
}

impl Sql {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self {
            text,
            #[cfg(feature = "sqlite")]
            sqlite: OnceLock::new(),
            #[cfg(feature = "postgres")]
            postgres: OnceLock::new(),
        }
    }

    fn text_for(&self, connection: &Connection) -> SqlStr {
        let (text, words) = match connection {
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(_) => (&self.sqlite, &SQLITE_WORDS),
            #[cfg(feature = "postgres")]
            Connection::Postgres(_) => (&self.postgres, &POSTGRES_WORDS),
        };
        let text = text.get_or_init(|| {
            let mut text = self.text.to_owned();
            for (word, is) in words {
                text = text.replace(word, is);
            }
            text.into()
        });
        AssertSqlSafe(Arc::clone(text)).into_sql_str()
    }
}

#[cfg(feature = "sqlite")]
const SQLITE_WORDS: [(&str, &str); 8] = [
    ("{define_refuse}", "SELECT 1"),
    (
        "{refuse}",
        "BEGIN SELECT RAISE(ABORT, 'a line of the audit is never changed'); END",
    ),
    ("{now}", "CAST(unixepoch('subsec') * 1000 AS INTEGER)"),
    ("{skip}", ""),
    ("{lock}", ""),
    ("{bytes}", "BLOB"),
    (
        "{tables}",
        "(SELECT name FROM sqlite_schema WHERE type = 'table')",
    ),
    ("{alone}", "1"),
];

#[cfg(feature = "postgres")]
const POSTGRES_WORDS: [(&str, &str); 8] = [
    (
        "{define_refuse}",
        "CREATE FUNCTION postduif_refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'a line of the audit is never changed'; END $$",
    ),
    (
        "{refuse}",
        "FOR EACH ROW EXECUTE FUNCTION postduif_refuse()",
    ),
    (
        "{now}",
        "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
    ),
    ("{skip}", " FOR UPDATE SKIP LOCKED"),
    ("{lock}", " FOR UPDATE"),
    ("{bytes}", "BYTEA"),
    (
        "{tables}",
        "(SELECT tablename AS name FROM pg_catalog.pg_tables WHERE schemaname = ANY (current_schemas(false)))",
    ),
    // Beside the other programs of the database, by a name of our own.
    (
        "{alone}",
        "pg_advisory_xact_lock(hashtext('postduif'), hashtext(current_setting('search_path')))",
    ),
];

impl Db {
    /// Opens the database of a URL.
    pub(crate) async fn open(url: &str) -> Result<Self, ConfigError> {
        Self::open_as(url, false).await
    }

    /// Opens the database of a URL beside the process that has it, which matters to SQLite only.
    pub(super) async fn open_beside(url: &str) -> Result<Self, ConfigError> {
        Self::open_as(url, true).await
    }

    async fn open_as(url: &str, is_beside: bool) -> Result<Self, ConfigError> {
        #[cfg(not(feature = "sqlite"))]
        let _ = is_beside;
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        let server = match scheme {
            #[cfg(feature = "sqlite")]
            "memory" if rest.is_empty() && !is_beside => sqlite::in_memory(),
            #[cfg(feature = "sqlite")]
            "sqlite" => sqlite::file(rest, is_beside)?,
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" if !rest.is_empty() => postgres::server(url)?,
            _ => return Err(crate::queue::unknown(url)),
        };
        let db = Self(Arc::new(Inner {
            permits: Arc::new(Semaphore::new(server.connections())),
            server,
            idle: Mutex::default(),
            topics: Topic::ALL.map(|_| Notify::new()),
            #[cfg(feature = "postgres")]
            listens: false.into(),
        }));
        static ANSWER: Sql = Sql::new("SELECT {now} AS now");
        db.fetch(&ANSWER, &[])
            .await
            .map_err(|error| cannot_open(&error))?;
        Ok(db)
    }

    /// Returns whether this process is the only one that has the database.
    pub(crate) fn is_own(&self) -> bool {
        self.0.server.is_own()
    }

    /// Executes a statement by itself, and returns the number of rows that it changed.
    pub(crate) async fn execute(
        &self,
        sql: &'static Sql,
        values: &[Value<'_>],
    ) -> Result<u64, JournalError> {
        let (inner, values) = (Arc::clone(&self.0), owned(values));
        apart(async move {
            let deadline = deadline()?;
            let mut held = within(deadline, inner.hold()).await?;
            within(deadline, held.execute(sql, &borrowed(&values))).await
        })
        .await
    }

    /// Executes a statement by itself, and returns its rows.
    pub(crate) async fn fetch(
        &self,
        sql: &'static Sql,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, JournalError> {
        let (inner, values) = (Arc::clone(&self.0), owned(values));
        apart(async move {
            let deadline = deadline()?;
            let mut held = within(deadline, inner.hold()).await?;
            within(deadline, held.fetch(sql, &borrowed(&values))).await
        })
        .await
    }

    /// Begins a transaction. In SQLite it is the only one from here on, so that it belongs into [`apart`].
    pub(crate) async fn begin(&self) -> Result<Tx, JournalError> {
        let deadline = deadline()?;
        let mut held = within(deadline, self.0.hold()).await?;
        within(deadline, held.begin()).await?;
        Ok(Tx { held, deadline })
    }

    /// Tells those that wait for this topic, in this process and in others, that there is something. A call that fails
    /// tells nobody: the others also look by themselves.
    pub(crate) async fn wake(&self, topic: Topic) {
        self.0.topics[topic as usize].notify_one();
        #[cfg(feature = "postgres")]
        if !self.is_own() {
            static WAKE: Sql = Sql::new("SELECT pg_notify('postduif', $1)");
            let _ = self.fetch(&WAKE, &[topic.name().into()]).await;
        }
    }

    /// Waits until somebody wakes this topic, and for at most this time.
    pub(crate) async fn woken(&self, topic: Topic, at_most: Duration) {
        #[cfg(feature = "postgres")]
        self.listen();
        let woken = self.0.topics[topic as usize].notified();
        let _ = tokio::time::timeout(at_most, woken).await;
    }

    /// Passes on what other processes tell, if nobody does.
    #[cfg(feature = "postgres")]
    fn listen(&self) {
        use std::sync::{Weak, atomic::Ordering};

        /// Lets somebody else listen once this task ends, as when its runtime does.
        struct Listens(Weak<Inner>);

        impl Drop for Listens {
            fn drop(&mut self) {
                if let Some(inner) = self.0.upgrade() {
                    inner.listens.store(false, Ordering::SeqCst);
                }
            }
        }

        let options = match &self.0.server {
            #[cfg(feature = "sqlite")]
            Server::Sqlite { .. } => return,
            Server::Postgres { options, .. } => options,
        };
        if self.0.listens.swap(true, Ordering::SeqCst) {
            return;
        }
        let listens = Listens(Arc::downgrade(&self.0));
        let options = (**options).clone();
        tokio::spawn(async move {
            postgres::listen(options, |told| {
                let inner = listens.0.upgrade();
                if let Some(inner) = &inner {
                    for topic in Topic::ALL {
                        if told.is_none_or(|told| told == topic.name()) {
                            inner.topics[topic as usize].notify_one();
                        }
                    }
                }
                inner.is_some()
            })
            .await;
        });
    }
}

impl Tx {
    /// Executes a statement, and returns the number of rows that it changed.
    pub(crate) async fn execute(
        &mut self,
        sql: &Sql,
        values: &[Value<'_>],
    ) -> Result<u64, JournalError> {
        within(self.deadline, self.held.execute(sql, values)).await
    }

    /// Executes a statement, and returns its rows.
    pub(crate) async fn fetch(
        &mut self,
        sql: &Sql,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, JournalError> {
        within(self.deadline, self.held.fetch(sql, values)).await
    }

    /// Creates the schema of the URL, if it has one that does not exist.
    pub(super) async fn create_schema(&mut self) -> Result<(), JournalError> {
        #[cfg(feature = "postgres")]
        if let Some(schema) = self.held.db.server.schema() {
            static IS_THERE: Sql =
                Sql::new("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = $1");
            // By itself, since IF NOT EXISTS needs the right to create one also if it is there.
            if self
                .fetch(&IS_THERE, &[(&*schema).into()])
                .await?
                .is_empty()
            {
                let create = format!("CREATE SCHEMA {schema}");
                return within(self.deadline, self.held.run(create)).await;
            }
        }
        Ok(())
    }

    /// Returns once everything is durable. After an error it may be.
    pub(crate) async fn commit(mut self) -> Result<(), JournalError> {
        within(self.deadline, self.held.run("COMMIT")).await?;
        self.held.free();
        Ok(())
    }

    /// Changes nothing, and keeps the connection, which a drop does not do in PostgreSQL.
    pub(crate) async fn rollback(mut self) -> Result<(), JournalError> {
        within(self.deadline, self.held.run("ROLLBACK")).await?;
        self.held.free();
        Ok(())
    }
}

impl Inner {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        // No code under the lock panics between two related changes.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an idle connection, one of this runtime if there is one.
    fn pop(&self) -> Option<Idle> {
        let mut idle = self.idle();
        #[cfg(feature = "postgres")]
        {
            let here = Handle::current().id();
            if let Some(own) = idle.iter().rposition(|idle| idle.runtime == here) {
                return Some(idle.remove(own));
            }
        }
        idle.pop()
    }

    async fn hold(self: &Arc<Self>) -> Result<Held, JournalError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| unavailable("the store is closed"))?;
        let idle = self.pop();
        // Before anything is awaited: the connection of a store in memory is the store.
        let mut held = Held {
            db: Arc::clone(self),
            idle,
            _permit: permit,
        };
        if !held.is_usable().await {
            held.idle = None;
            let connection = self.server.connect().await;
            held.idle = Some(Idle {
                connection: connection.map_err(|error| failed(&error))?,
                in_doubt: false,
                #[cfg(feature = "postgres")]
                born: Instant::now(),
                #[cfg(feature = "postgres")]
                runtime: Handle::current().id(),
                since: Instant::now(),
            });
        }
        Ok(held)
    }
}

impl Held {
    async fn is_usable(&mut self) -> bool {
        let Some(idle) = &mut self.idle else {
            return false;
        };
        match &mut idle.connection {
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(connection) => {
                if idle.in_doubt {
                    // Fails if there is no transaction. A lasting failure shows at the next statement.
                    let _ = connection.execute("ROLLBACK").await;
                    idle.in_doubt = false;
                }
                true
            }
            #[cfg(feature = "postgres")]
            Connection::Postgres(connection) => {
                use sqlx::Connection as _;

                // Of another runtime, which may have ended.
                if idle.born.elapsed() > MAX_AGE || idle.runtime != Handle::current().id() {
                    return false;
                }
                if idle.since.elapsed() < MAX_IDLE {
                    return true;
                }
                let pong = tokio::time::timeout(PING, connection.ping()).await;
                let responds = matches!(pong, Ok(Ok(())));
                if !responds {
                    // The others have probably gone with it.
                    self.db.idle().clear();
                }
                responds
            }
        }
    }

    async fn execute(&mut self, sql: &Sql, values: &[Value<'_>]) -> Result<u64, JournalError> {
        let idle = self.idle.as_mut().ok_or_else(gone)?;
        let was_in_doubt = std::mem::replace(&mut idle.in_doubt, true);
        let done = idle.connection.execute(sql, values).await;
        self.settle(done, was_in_doubt)
    }

    async fn fetch(&mut self, sql: &Sql, values: &[Value<'_>]) -> Result<Vec<Row>, JournalError> {
        let idle = self.idle.as_mut().ok_or_else(gone)?;
        let was_in_doubt = std::mem::replace(&mut idle.in_doubt, true);
        let rows = idle.connection.fetch(sql, values).await;
        self.settle(rows, was_in_doubt)
    }

    async fn begin(&mut self) -> Result<(), JournalError> {
        // A transaction that reads first and finds the file locked later would not wait in SQLite.
        let begin = if self.db.server.is_own() {
            "BEGIN IMMEDIATE"
        } else {
            "BEGIN"
        };
        self.run(begin).await
    }

    /// Executes a statement of a transaction.
    async fn run(&mut self, sql: impl Into<Cow<'static, str>>) -> Result<(), JournalError> {
        let idle = self.idle.as_mut().ok_or_else(gone)?;
        idle.in_doubt = true;
        let done = idle.connection.run(sql.into()).await;
        self.settle(done, true)
    }

    /// Leaves the connection to others, after the end of a transaction.
    fn free(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.in_doubt = false;
        }
    }

    fn settle<T>(
        &mut self,
        result: Result<T, sqlx::Error>,
        in_doubt: bool,
    ) -> Result<T, JournalError> {
        match result {
            Ok(output) => {
                if let Some(idle) = &mut self.idle {
                    idle.in_doubt = in_doubt;
                }
                Ok(output)
            }
            Err(error) => {
                if matches!(error, sqlx::Error::WorkerCrashed | sqlx::Error::Io(_)) {
                    self.idle = None;
                    self.db.idle().clear();
                }
                Err(failed(&error))
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(mut idle) = self.idle.take() else {
            return;
        };
        // In the middle of something PostgreSQL rolls back once the connection is closed, and a server that is away
        // keeps nobody waiting.
        if !idle.in_doubt || self.db.server.is_own() {
            idle.since = Instant::now();
            self.db.idle().push(idle);
        }
    }
}

impl Server {
    const fn is_own(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { .. } => true,
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => false,
        }
    }

    #[cfg(feature = "postgres")]
    fn schema(&self) -> Option<Arc<str>> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { .. } => None,
            Self::Postgres { schema, .. } => schema.clone(),
        }
    }

    const fn connections(&self) -> usize {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { .. } => 1,
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => MAX_CONNECTIONS,
        }
    }

    async fn connect(&self) -> Result<Connection, sqlx::Error> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { options, .. } => options.connect().await.map(Connection::Sqlite),
            #[cfg(feature = "postgres")]
            Self::Postgres {
                options, prepare, ..
            } => {
                let mut connection = options.connect().await?;
                let prepare = AssertSqlSafe(Arc::clone(prepare));
                connection.execute(sqlx::raw_sql(prepare)).await?;
                Ok(Connection::Postgres(connection))
            }
        }
    }
}

/// Binds the values to a statement.
macro_rules! bound {
    ($text:expr, $values:expr) => {
        $values
            .iter()
            .fold(sqlx::query($text), |query, value| match *value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            })
    };
}

impl Connection {
    async fn execute(&mut self, sql: &Sql, values: &[Value<'_>]) -> Result<u64, sqlx::Error> {
        let text = sql.text_for(self);
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => {
                let done = bound!(text, values).execute(connection).await?;
                done.rows_affected()
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => {
                let done = bound!(text, values).execute(connection).await?;
                done.rows_affected()
            }
        })
    }

    async fn fetch(&mut self, sql: &Sql, values: &[Value<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        let text = sql.text_for(self);
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => {
                let rows = bound!(text, values).fetch_all(connection).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => {
                let rows = bound!(text, values).fetch_all(connection).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    async fn run(&mut self, sql: Cow<'static, str>) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(sql);
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => connection.execute(sql).await.map(drop),
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => connection.execute(sql).await.map(drop),
        }
    }
}

/// Reads a column of a row of either database.
macro_rules! column {
    ($row:expr, $column:expr, $type:ty) => {
        match $row {
            #[cfg(feature = "sqlite")]
            Row::Sqlite(row) => row.try_get::<Option<$type>, _>($column),
            #[cfg(feature = "postgres")]
            Row::Postgres(row) => row.try_get::<Option<$type>, _>($column),
        }
        .map_err(|_| unexpected())
    };
}

impl Row {
    pub(crate) fn int(&self, column: &str) -> Result<i64, JournalError> {
        self.int_or_null(column)?.ok_or_else(unexpected)
    }

    pub(crate) fn int_or_null(&self, column: &str) -> Result<Option<i64>, JournalError> {
        column!(self, column, i64)
    }

    pub(crate) fn text(&self, column: &str) -> Result<String, JournalError> {
        self.text_or_null(column)?.ok_or_else(unexpected)
    }

    pub(crate) fn text_or_null(&self, column: &str) -> Result<Option<String>, JournalError> {
        column!(self, column, String)
    }

    pub(crate) fn bytes_or_null(&self, column: &str) -> Result<Option<Vec<u8>>, JournalError> {
        column!(self, column, Vec<u8>)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(value: Option<&'a str>) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(Some(value))
    }
}

impl Topic {
    const ALL: [Self; 3] = [Self::Events, Self::Flows, Self::Texts];

    #[cfg(feature = "postgres")]
    const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Flows => "flows",
            Self::Texts => "texts",
        }
    }
}

/// Runs a call in a task of its own. A caller that is not polled for a while, as in a `select!`, would otherwise keep the
/// connection from all others, and one that is dropped would leave it in the middle of something.
pub(crate) async fn apart<T: Send + 'static>(
    call: impl Future<Output = Result<T, JournalError>> + Send + 'static,
) -> Result<T, JournalError> {
    if Handle::try_current().is_err() {
        return Err(misconfigured("no tokio runtime"));
    }
    let called = tokio::spawn(call.in_current_span()).await;
    called.unwrap_or_else(|_| Err(unavailable("the runtime of the store has ended")))
}

fn misconfigured(message: &'static str) -> JournalError {
    JournalError::new(JournalErrorKind::Misconfigured, message)
}

fn owned(values: &[Value<'_>]) -> Vec<Owned> {
    let owned = values.iter().map(|value| match *value {
        Value::Int(value) => Owned::Int(value),
        Value::Text(value) => Owned::Text(value.map(str::to_owned)),
        Value::Bytes(value) => Owned::Bytes(value.map(<[u8]>::to_vec)),
    });
    owned.collect()
}

fn borrowed(values: &[Owned]) -> Vec<Value<'_>> {
    let borrowed = values.iter().map(|value| match value {
        Owned::Int(value) => Value::Int(*value),
        Owned::Text(value) => Value::Text(value.as_deref()),
        Owned::Bytes(value) => Value::Bytes(value.as_deref()),
    });
    borrowed.collect()
}

/// Returns when a call ends at the latest. Refuses to do anything outside of a tokio runtime, or in one without a timer.
fn deadline() -> Result<tokio::time::Instant, JournalError> {
    let deadline = tokio::time::Instant::now() + CALL;
    if Handle::try_current().is_err() {
        return Err(misconfigured("no tokio runtime"));
    }
    // Creating a timer panics without one, and nothing else tells.
    std::panic::catch_unwind(|| drop(tokio::time::sleep_until(deadline)))
        .map_err(|_| misconfigured("the tokio runtime has no time: build it with enable_all"))?;
    Ok(deadline)
}

async fn within<T>(
    deadline: tokio::time::Instant,
    call: impl Future<Output = Result<T, JournalError>>,
) -> Result<T, JournalError> {
    match timeout_at(deadline, call).await {
        Ok(output) => output,
        Err(_) => Err(unavailable("the database did not respond in time")),
    }
}

fn unavailable(message: &'static str) -> JournalError {
    JournalError::new(JournalErrorKind::Unavailable, message)
}

/// Returns the error of a column that is not as the statement says.
pub(super) fn unexpected() -> JournalError {
    unavailable("the database returned something unexpected")
}

fn gone() -> JournalError {
    unavailable("the connection has failed")
}

/// Returns the error of an error of sqlx, whose own words may contain a value.
fn failed(error: &sqlx::Error) -> JournalError {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code();
            let code = code.as_deref().unwrap_or("unknown");
            if is_full(code) {
                let message = "the disk of the database is full";
                return JournalError::new(JournalErrorKind::Full, message);
            }
            let words = words(code).unwrap_or("the database refused a statement");
            JournalError::new(
                JournalErrorKind::Unavailable,
                format!("{words} (code {code})"),
            )
        }
        sqlx::Error::Io(error) => JournalError::new(
            JournalErrorKind::Unavailable,
            format!("the database cannot be reached ({})", error.kind()),
        ),
        sqlx::Error::Tls(_) => unavailable("TLS with the database failed"),
        sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_) => unexpected(),
        sqlx::Error::Configuration(_) => unavailable("the options of the database are wrong"),
        _ => gone(),
    }
}

/// A code of PostgreSQL has five characters, one of SQLite is a number with the primary code in its lowest byte.
fn primary(code: &str) -> Option<u32> {
    let code = code.parse::<u32>().ok().filter(|_| code.len() < 5);
    code.map(|code| code & 0xff)
}

fn is_full(code: &str) -> bool {
    code == "53100" || primary(code) == Some(13)
}

fn words(code: &str) -> Option<&'static str> {
    Some(match (code, primary(code)) {
        (_, Some(5 | 6)) => "another program has locked the file",
        (_, Some(8)) => "the file may not be written",
        (_, Some(10)) => "the disk failed",
        (_, Some(11 | 26)) => "the file is damaged, or is no database",
        (_, Some(14)) => "the file cannot be opened",
        ("25006", _) => "the database takes no writes at the moment",
        ("28000" | "28P01", _) => "the database refused the role or its password",
        ("3D000", _) => "there is no such database",
        ("3F000", _) => "there is no such schema",
        ("42501", _) => "the role may not do this",
        ("42P01" | "42703", _) => "a table is missing",
        ("53300", _) => "the database has too many connections",
        ("55P03" | "57014", _) => "the database took too long",
        ("57P01" | "57P02" | "57P03", _) => "the database is stopping or starting",
        _ => return None,
    })
}

pub(super) fn cannot_open(error: &JournalError) -> ConfigError {
    ConfigError::new(format!("the store cannot be opened: {error}"))
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0.server {
            #[cfg(feature = "sqlite")]
            Server::Sqlite { .. } => "SQLite",
            #[cfg(feature = "postgres")]
            Server::Postgres { .. } => "PostgreSQL",
        };
        // Not the options: they contain a password.
        f.debug_tuple("Db").field(&kind).finish()
    }
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value")
    }
}

/// The longest time of a call, less than the 10 seconds after which a worker gives up.
const CALL: Duration = Duration::from_secs(8);

#[cfg(feature = "postgres")]
const MAX_CONNECTIONS: usize = 10;

/// A connection is replaced at this age, so that a changed address or password is noticed.
#[cfg(feature = "postgres")]
const MAX_AGE: Duration = Duration::from_secs(1800);

/// A connection that was idle for longer is tested first.
#[cfg(feature = "postgres")]
const MAX_IDLE: Duration = Duration::from_secs(5);

#[cfg(feature = "postgres")]
const PING: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: Sql = Sql::new(
        "CREATE TABLE postduif_try (id BIGINT PRIMARY KEY, word TEXT, raw {bytes}, at BIGINT)",
    );
    static INSERT: Sql = Sql::new("INSERT INTO postduif_try VALUES ($1, $2, $3, {now})");
    static SELECT: Sql = Sql::new("SELECT * FROM postduif_try WHERE id = $1{lock}");
    static CLAIM: Sql = Sql::new(
        "UPDATE postduif_try SET word = $1 WHERE id IN (
            SELECT id FROM postduif_try WHERE word IS NULL ORDER BY id LIMIT 1{skip}
        ) RETURNING id",
    );

    #[cfg(feature = "postgres")]
    use crate::sql::test_schema::Schema;

    struct Opened {
        db: Db,
        #[cfg(feature = "postgres")]
        _schema: Option<Schema>,
    }

    impl std::ops::Deref for Opened {
        type Target = Db;

        fn deref(&self) -> &Db {
            &self.db
        }
    }

    /// Opens every kind of database that can be had here, each empty.
    async fn databases() -> Vec<Opened> {
        let mut databases = Vec::new();
        if cfg!(feature = "sqlite") {
            databases.push(Opened {
                db: Db::open("memory").await.unwrap(),
                #[cfg(feature = "postgres")]
                _schema: None,
            });
        }
        #[cfg(feature = "postgres")]
        if let Some(schema) = Schema::new().await {
            databases.push(Opened {
                db: Db::open(&schema.url()).await.unwrap(),
                _schema: Some(schema),
            });
        }
        databases
    }

    #[tokio::test]
    async fn one_text_of_a_statement_serves_both_databases() {
        for db in databases().await {
            db.execute(&TABLE, &[]).await.unwrap();
            let mut tx = db.begin().await.unwrap();
            let values: [Value<'_>; 3] = [1.into(), "one".into(), b"\0\x01".as_slice().into()];
            assert_eq!(
                tx.execute(&INSERT, &values).await.unwrap(),
                1,
                "{:?}",
                db.db
            );
            let nothing = [2.into(), Value::Text(None), Value::Bytes(None)];
            tx.execute(&INSERT, &nothing).await.unwrap();
            let [row] = &tx.fetch(&SELECT, &[1.into()]).await.unwrap()[..] else {
                panic!()
            };
            assert_eq!(row.int("id").unwrap(), 1);
            assert_eq!(row.text("word").unwrap(), "one");
            let raw = row.bytes_or_null("raw").unwrap();
            assert_eq!(raw.as_deref(), Some(b"\0\x01".as_slice()));
            let age = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now())
                .timestamp_millis()
                - row.int("at").unwrap();
            assert!(age.abs() < 60_000, "{:?}: {age}", db.db);
            tx.commit().await.unwrap();
            let claimed = db.fetch(&CLAIM, &["two".into()]).await.unwrap();
            assert_eq!(claimed[0].int("id").unwrap(), 2);
            assert!(db.fetch(&CLAIM, &["x".into()]).await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn a_column_that_is_not_as_expected_is_an_error() {
        for db in databases().await {
            db.execute(&TABLE, &[]).await.unwrap();
            let nothing = [2.into(), Value::Text(None), Value::Bytes(None)];
            db.execute(&INSERT, &nothing).await.unwrap();
            let rows = db.fetch(&SELECT, &[2.into()]).await.unwrap();
            assert_eq!(rows[0].text_or_null("word").unwrap(), None);
            assert!(rows[0].text("word").is_err());
            assert!(rows[0].int("none").is_err());
            assert!(rows[0].text("id").is_err());
        }
    }

    #[tokio::test]
    async fn a_dropped_transaction_changes_nothing() {
        for db in databases().await {
            db.execute(&TABLE, &[]).await.unwrap();
            let values = [1.into(), "one".into(), Value::Bytes(None)];
            for ends in [false, true] {
                let mut tx = db.begin().await.unwrap();
                tx.execute(&INSERT, &values).await.unwrap();
                if ends {
                    tx.rollback().await.unwrap();
                }
            }
            assert!(db.fetch(&SELECT, &[1.into()]).await.unwrap().is_empty());
            // An error in a transaction does not stay with the connection.
            let mut tx = db.begin().await.unwrap();
            tx.execute(&INSERT, &values).await.unwrap();
            let again = tx.execute(&INSERT, &values).await.unwrap_err();
            assert_eq!(again.kind(), JournalErrorKind::Unavailable);
            drop(tx);
            assert_eq!(db.execute(&INSERT, &values).await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn an_error_shows_no_value() {
        for db in databases().await {
            db.execute(&TABLE, &[]).await.unwrap();
            let values = [4711.into(), "hunter2".into(), Value::Bytes(None)];
            db.execute(&INSERT, &values).await.unwrap();
            let again = db.execute(&INSERT, &values).await.unwrap_err();
            let shown = format!("{again} {again:?}");
            assert!(!shown.contains("4711") && !shown.contains("hunter2"));
        }
    }

    #[tokio::test]
    async fn an_url_that_is_not_understood_is_refused_without_being_shown() {
        for url in [
            "hunter2",
            "mysql://hunter2@host/db",
            "memory:hunter2",
            "sqlite:hunter2",
            "sqlite://",
            "sqlite://:memory:",
            "sqlite://flows.db?hunter2=1",
            "sqlite:///there/is/no/hunter2/flows.db",
            "postgres:",
            "postgres://postgres:hunter2@localhost:port/db",
            "postgres://localhost/db?hunter2=1",
            "postgres://localhost/db?schema=Hunter2",
            "postgres://localhost/db?sslmode=hunter2",
            "postgres://postgres:hunter2@127.0.0.1:1/db",
        ] {
            let error = Db::open(url).await.unwrap_err();
            let shown = format!("{error} {error:?}").to_lowercase();
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
