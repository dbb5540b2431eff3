//! `cargo bench -p postduif-benches --bench outbox`: the outbox beside bare tables, on SQLite, and on PostgreSQL where
//! `DATABASE_URL` is set. Then all messages once more through processes that are killed, and an outage of the vendor; the
//! vendor counts them.
//!
//! `POSTDUIF_BENCH_MESSAGES` is how many, 2,000 by default.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod figures;

use std::{
    collections::HashMap,
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use figures::{Goal, median, report};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use postduif::{
    ErrorKind, Health, Message, Null, Outcomes, Profile, Receipt, SecretString, SendError,
    SmsProvider, Text, async_trait, batch,
};
use postduif_queue::{Keys, MessageStatus, Queue};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _},
    sync::oneshot,
};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What makes this program a sender that may be killed.
const CHILD: &str = "POSTDUIF_BENCH_STORE";
const VENDOR: &str = "POSTDUIF_BENCH_VENDOR";

const LEASE: Duration = Duration::from_secs(2);
const IN_FLIGHT: usize = 16;

fn main() -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    if let Ok(url) = env::var(CHILD) {
        return runtime.block_on(send(&url, env::var(VENDOR)?.parse()?));
    }
    let messages = match env::var("POSTDUIF_BENCH_MESSAGES") {
        Ok(messages) => messages.parse()?,
        Err(_) => 2_000,
    };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let fresh_file = |part: &str| {
        for ending in ["", "-wal", "-shm", ".lock"] {
            let _ = fs::remove_file(folder.join(format!("bench-{part}.db{ending}")));
        }
        folder.join(format!("bench-{part}.db"))
    };
    let rounds = if messages > 10_000 { 1 } else { 3 };
    runtime.block_on(async {
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let bare = bare_sqlite(&fresh_file("bare"), messages).await?;
            let ours = outbox(&sqlite(&fresh_file("outbox")), messages).await?;
            ratios.push(ratio("sqlite", messages, bare, ours));
        }
        report("outbox_vs_bare_sqlite", median(ratios), Goal::AtLeast(0.5));
        let Ok(server) = env::var("DATABASE_URL") else {
            return Outcome::Ok(());
        };
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let schema = fresh_schema(&server).await?;
            let bare = bare_postgres(&server, &schema, messages).await?;
            let ours = outbox(&postgres(&server, &schema), messages).await?;
            ratios.push(ratio("postgres", messages, bare, ours));
        }
        report(
            "outbox_vs_bare_postgres",
            median(ratios),
            Goal::AtLeast(0.5),
        );
        Ok(())
    })?;
    kills(&runtime, "sqlite", &sqlite(&fresh_file("kills")), messages)?;
    if let Ok(server) = env::var("DATABASE_URL") {
        let schema = runtime.block_on(fresh_schema(&server))?;
        kills(&runtime, "postgres", &postgres(&server, &schema), messages)?;
    }
    Ok(())
}

fn ratio(store: &str, messages: usize, bare: Duration, outbox: Duration) -> f64 {
    let rate = |took: Duration| per_second(messages, took);
    println!(
        "{store}: {:.0} messages/s through the outbox, {:.0} rows/s through bare tables",
        rate(outbox),
        rate(bare)
    );
    rate(outbox) / rate(bare)
}

fn per_second(messages: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(messages).unwrap_or(u32::MAX)) / took.as_secs_f64()
}

fn sqlite(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}

fn postgres(server: &str, schema: &str) -> String {
    let sign = if server.contains('?') { '&' } else { '?' };
    format!("{server}{sign}schema={schema}")
}

async fn fresh_schema(server: &str) -> Outcome<String> {
    let schema = "postduif_bench";
    let mut connection = sqlx::PgConnection::connect(server).await?;
    let sql = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(sql)))
        .await?;
    Ok(schema.to_owned())
}

const TABLE: &str =
    "CREATE TABLE bare (key TEXT PRIMARY KEY, reference TEXT NOT NULL UNIQUE, body TEXT NOT NULL,
    state TEXT NOT NULL, due_at BIGINT NOT NULL, provider TEXT, vendor_id TEXT);
    CREATE INDEX bare_due ON bare (due_at) WHERE state = 'queued'";
const INSERT: &str = "INSERT INTO bare VALUES ($1, $1, $2, 'queued', 0, NULL, NULL)";
const TAKE: &str = "UPDATE bare SET state = 'sending' WHERE key IN
    (SELECT key FROM bare WHERE state = 'queued' ORDER BY due_at LIMIT $1) RETURNING key";
const DONE: &str =
    "UPDATE bare SET state = 'accepted', provider = 'null', vendor_id = $1 WHERE key = $1";

/// Inserts each row, takes them 16 at a time, and updates each: a transaction each time, and nothing else.
async fn bare_sqlite(file: &Path, messages: usize) -> Outcome<Duration> {
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
        .synchronous(sqlx::sqlite::SqliteSynchronous::Full)
        .connect()
        .await?;
    connection.execute(sqlx::raw_sql(TABLE)).await?;
    let body = "x".repeat(120);
    let begun = Instant::now();
    for index in 0..messages {
        let insert = sqlx::query(INSERT).bind(key(index)).bind(&body);
        insert.execute(&mut connection).await?;
    }
    loop {
        let take = sqlx::query(TAKE).bind(16_i64);
        let taken = take.fetch_all(&mut connection).await?;
        if taken.is_empty() {
            return Ok(begun.elapsed());
        }
        for row in taken {
            let done = sqlx::query(DONE).bind(row.get::<String, _>(0));
            done.execute(&mut connection).await?;
        }
    }
}

/// The same with as many connections as the outbox has calls.
async fn bare_postgres(server: &str, schema: &str, messages: usize) -> Outcome<Duration> {
    let path = format!("SET search_path TO {schema}");
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(10)
        .after_connect(move |connection, _| {
            let path = AssertSqlSafe(path.clone());
            Box::pin(async move {
                connection.execute(sqlx::raw_sql(path)).await?;
                Ok(())
            })
        })
        .connect(server)
        .await?;
    pool.execute(sqlx::raw_sql(TABLE)).await?;
    let body = "x".repeat(120);
    let begun = Instant::now();
    stream::iter(0..messages)
        .map(Ok::<_, sqlx::Error>)
        .try_for_each_concurrent(IN_FLIGHT, async |index| {
            let insert = sqlx::query(INSERT).bind(key(index)).bind(&body);
            insert.execute(&pool).await.map(drop)
        })
        .await?;
    loop {
        let taken = sqlx::query(TAKE).bind(16_i64).fetch_all(&pool).await?;
        if taken.is_empty() {
            return Ok(begun.elapsed());
        }
        stream::iter(taken)
            .map(Ok::<_, sqlx::Error>)
            .try_for_each_concurrent(IN_FLIGHT, async |row| {
                let done = sqlx::query(DONE).bind(row.get::<String, _>(0));
                done.execute(&pool).await.map(drop)
            })
            .await?;
    }
}

fn key(index: usize) -> String {
    format!("message{index:09}")
}

async fn open(url: &str) -> Outcome<Queue> {
    let secret = SecretString::from("6PDjC5CQXd5dXMZ6WmD2qyEtI1Hvgg4HkY+yuLxXcOM=");
    let keys = Keys::new("bench", &secret)?;
    let queue = Queue::builder(url).with_keys(keys).with_lease(LEASE);
    Ok(queue.open().await?)
}

fn message(index: usize) -> Outcome<Message> {
    let text = Text::new(format!("Your order {index} has left"))?;
    Ok(Message::new("+31612345678".parse()?, text).with_reference(key(index).parse()?))
}

/// Enqueues each message, and sends all with a provider that accepts at once.
async fn outbox(url: &str, messages: usize) -> Outcome<Duration> {
    let queue = open(url).await?;
    let begun = Instant::now();
    stream::iter(0..messages)
        .map(Ok::<_, Box<dyn std::error::Error + Send + Sync>>)
        .try_for_each_concurrent(IN_FLIGHT, async |index| {
            queue.send(message(index)?).await?;
            Ok(())
        })
        .await?;
    let (all, done) = oneshot::channel::<()>();
    let (all, ended) = (Mutex::new(Some(all)), AtomicUsize::new(0));
    let sender = queue.sender(Null::new()).with_observer(move |_, _| {
        if ended.fetch_add(1, Ordering::SeqCst) + 1 == messages {
            all.lock().expect("nobody panics").take();
        }
    });
    sender
        .build()?
        .run_until(async {
            let _ = done.await;
        })
        .await;
    Ok(begun.elapsed())
}

/// Sends all messages while processes are killed and the vendor is away for a while.
fn kills(runtime: &tokio::runtime::Runtime, store: &str, url: &str, messages: usize) -> Outcome {
    let vendor = Vendor::start()?;
    runtime.block_on(async {
        let queue = open(url).await?;
        stream::iter(0..messages)
            .map(Ok::<_, Box<dyn std::error::Error + Send + Sync>>)
            .try_for_each_concurrent(IN_FLIGHT, async |index| {
                queue.send(message(index)?).await?;
                Ok(())
            })
            .await
    })?;
    let begun = Instant::now();
    let mut kills = 0;
    loop {
        let mut child = sender(url, &vendor)?;
        // Not at the same place each time.
        thread::sleep(Duration::from_millis(700 + 137 * (kills % 11)));
        if kills == 3 {
            vendor.away.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_secs(3));
            vendor.away.store(false, Ordering::SeqCst);
        }
        let (received, _) = vendor.counts();
        if kills == MAX_KILLS || kills > 3 && received > messages * 9 / 10 {
            child.wait()?;
            break;
        }
        child.kill()?;
        child.wait()?;
        kills += 1;
    }
    let took = begun.elapsed();
    let (mut accepted, mut doubts, mut lost) = (0, 0, 0);
    runtime.block_on(async {
        let queue = open(url).await?;
        for index in 0..messages {
            let sent = vendor.count(&key(index));
            match queue.message(&key(index)).await? {
                Some(MessageStatus::Accepted { .. }) if sent > 0 => accepted += 1,
                Some(MessageStatus::Unknown { .. }) => doubts += 1,
                _ => lost += 1,
            }
        }
        Outcome::Ok(())
    })?;
    let (received, twice) = vendor.counts();
    println!(
        "{store}: {messages} messages, {kills} kills, an outage: {accepted} accepted, {doubts} in doubt, {lost} lost, \
         {twice} twice; the vendor has {received}; {:.0} messages/s",
        per_second(messages, took)
    );
    let fault = f64::from(u32::try_from(lost + twice).unwrap_or(u32::MAX));
    report(&format!("outbox_faults_{store}"), fault, Goal::AtMost(0.0));
    Ok(())
}

const MAX_KILLS: u64 = 100;

fn sender(url: &str, vendor: &Vendor) -> Outcome<Child> {
    Ok(Command::new(env::current_exe()?)
        .env(CHILD, url)
        .env(VENDOR, vendor.address.to_string())
        .stdin(Stdio::null())
        .spawn()?)
}

/// Sends until nothing waits.
async fn send(url: &str, vendor: SocketAddr) -> Outcome {
    let queue = open(url).await?;
    let sender = queue.sender(Wire {
        vendor,
        profile: Profile::new("wire"),
        idle: Mutex::default(),
    });
    let idle = async {
        while queue
            .messages_waiting()
            .await
            .is_ok_and(|waiting| waiting > 0)
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    sender.build()?.run_until(idle).await;
    Ok(())
}

/// A vendor that counts what it gets.
struct Vendor {
    address: SocketAddr,
    away: Arc<AtomicBool>,
    received: Arc<Mutex<HashMap<String, usize>>>,
}

impl Vendor {
    fn start() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let vendor = Self {
            address: listener.local_addr()?,
            away: Arc::default(),
            received: Arc::default(),
        };
        let (away, received) = (Arc::clone(&vendor.away), Arc::clone(&vendor.received));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (away, received) = (Arc::clone(&away), Arc::clone(&received));
                thread::spawn(move || serve(&stream, &away, &received));
            }
        });
        Ok(vendor)
    }

    fn count(&self, reference: &str) -> usize {
        let received = self.received.lock().expect("nobody panics");
        received.get(reference).copied().unwrap_or_default()
    }

    /// How many messages came, and how many of them more than once.
    fn counts(&self) -> (usize, usize) {
        let received = self.received.lock().expect("nobody panics");
        let twice = received.values().filter(|count| **count > 1).count();
        (received.len(), twice)
    }
}

fn serve(mut stream: &TcpStream, away: &AtomicBool, received: &Mutex<HashMap<String, usize>>) {
    for reference in BufReader::new(stream).lines() {
        let Ok(reference) = reference else {
            return;
        };
        let is_away = away.load(Ordering::SeqCst);
        if !is_away {
            let mut received = received.lock().expect("nobody panics");
            *received.entry(reference).or_default() += 1;
        }
        let word: &[u8] = if is_away { b"down\n" } else { b"accepted\n" };
        if stream.write_all(word).is_err() {
            return;
        }
    }
}

/// Its provider, with connections that it keeps.
#[derive(Debug)]
struct Wire {
    vendor: SocketAddr,
    profile: Profile,
    idle: Mutex<Vec<tokio::io::BufReader<tokio::net::TcpStream>>>,
}

#[async_trait]
impl SmsProvider for Wire {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let away = || SendError::not_accepted(ErrorKind::Unavailable, "the vendor is away");
        let lost = |_| SendError::unknown(ErrorKind::Unavailable, "the connection broke");
        let idle = self.idle.lock().expect("nobody panics").pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => {
                let stream = tokio::net::TcpStream::connect(self.vendor).await;
                tokio::io::BufReader::new(stream.map_err(|_| away())?)
            }
        };
        let line = format!("{}\n", message.reference());
        stream.write_all(line.as_bytes()).await.map_err(lost)?;
        let mut word = String::new();
        stream.read_line(&mut word).await.map_err(lost)?;
        match word.as_str() {
            "accepted\n" => {
                self.idle.lock().expect("nobody panics").push(stream);
                Ok(Receipt::new("wire", *message.reference()))
            }
            "down\n" => Err(away()),
            _ => Err(SendError::unknown(ErrorKind::Protocol, "no response")),
        }
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::one_by_one(messages, std::num::NonZeroUsize::MIN, |message| {
            self.send(message)
        })
        .await
    }

    async fn check(&self) -> Result<Health, SendError> {
        Ok(Health::verified())
    }
}
