//! `cargo bench -p postduif-benches --bench queue`: flows through the durable queue, beside bare tables that take as many
//! commits of one row each, in a SQLite file and, where a server responds, in PostgreSQL (`DATABASE_URL`, else
//! `postgres://postgres@127.0.0.1:5432/test`). Graph and the vendor respond at once.

#![expect(clippy::print_stdout, reason = "figures are printed")]

use std::{
    collections::HashMap,
    env,
    error::Error,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use futures_util::{StreamExt as _, stream};
use postduif::{
    Guid, Profile, async_trait,
    directory::{
        Callback, Callout, Graph, GraphError, Roles, TapId, TapInfo, TapIssuer, TapRequest,
        TemporaryAccessPass, User, UserId, Verdict,
    },
    onboarding::{Onboarding, Taken},
    queue::Queue,
    testing::Recording,
};
use sqlx::{
    AssertSqlSafe, Executor as _,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The flows of each measurement.
const FLOWS: usize = 300;

/// How many call-outs arrive at a time, and how many flows a worker runs.
const AT_ONCE: usize = 16;

/// The commits of one flow that nothing goes wrong with: it is stored, claimed, locks its user, appends six entries, frees
/// its user, and is done.
const COMMITS: usize = 11;

/// The users and passes of a tenant that responds at once.
#[derive(Debug, Default)]
struct Directory(Mutex<HashMap<UserId, TapId>>);

impl Directory {
    fn passes(&self) -> MutexGuard<'_, HashMap<UserId, TapId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn info(id: TapId) -> TapInfo {
    TapInfo::new(id, SystemTime::now().into(), Duration::from_secs(3600))
}

#[async_trait]
impl Graph for Directory {
    async fn user(&self, id: &UserId) -> std::result::Result<User, GraphError> {
        let mut user = User::new(*id);
        user.mobile = Some("+31612345678".into());
        user.enabled = Some(true);
        user.roles = Roles::Held(Vec::new());
        Ok(user)
    }

    async fn resume(&self, _: &Callback, _: &Verdict) -> std::result::Result<(), GraphError> {
        Ok(())
    }
}

#[async_trait]
impl TapIssuer for Directory {
    async fn issue(
        &self,
        user: &UserId,
        _: &TapRequest,
    ) -> std::result::Result<TemporaryAccessPass, GraphError> {
        let id: TapId = Guid::random().to_string().parse().expect("it is an id");
        self.passes().insert(*user, id.clone());
        Ok(TemporaryAccessPass::new(info(id), "example+pass".into()))
    }

    async fn list(&self, user: &UserId) -> std::result::Result<Vec<TapInfo>, GraphError> {
        Ok(self
            .passes()
            .get(user)
            .cloned()
            .map(info)
            .into_iter()
            .collect())
    }

    async fn revoke(&self, user: &UserId, _: &TapId) -> std::result::Result<(), GraphError> {
        self.passes().remove(user);
        Ok(())
    }
}

fn callout() -> Callout {
    let [workflow, task, result, user] = std::array::from_fn(|_| Guid::random());
    let callback = Callback::lifecycle(workflow, task, result);
    Callout::new(
        result.into(),
        user.into(),
        callback,
        SystemTime::now().into(),
    )
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        println!("{FLOWS} flows, {COMMITS} commits each, {AT_ONCE} at a time");
        println!(
            "store        call-outs/s   p99 ms   bare flows/s   1 worker   2 workers   4 workers"
        );
        let folder = env::temp_dir().join(format!("postduif-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("flows.db");
        let bare = bare_sqlite(&folder.join("bare.db").display().to_string()).await?;
        let measured = measure("sqlite", &format!("sqlite://{}", file.display()), bare).await;
        std::fs::remove_dir_all(&folder)?;
        measured?;
        let server = env::var("DATABASE_URL");
        let server = server.unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".into());
        match bare_postgres(&server).await {
            Ok((bare, schema)) => {
                let sign = if server.contains('?') { '&' } else { '?' };
                let measured = measure(
                    "postgresql",
                    &format!("{server}{sign}schema={schema}"),
                    bare,
                )
                .await;
                let pool = PgPoolOptions::new().connect(&server).await?;
                pool.execute(sqlx::raw_sql(AssertSqlSafe(format!(
                    "DROP SCHEMA {schema} CASCADE"
                ))))
                .await?;
                measured
            }
            Err(error) => {
                println!("skipped: no PostgreSQL responds: {error}");
                Ok(())
            }
        }
    })
}

async fn measure(name: &str, url: &str, bare: f64) -> Result<()> {
    let mut figures = Vec::new();
    let (mut taken, mut latencies) = (0.0, Vec::new());
    let queue = Queue::open(url).await?;
    for workers in [1_usize, 2, 4] {
        let began = Instant::now();
        let calls = stream::iter((0..FLOWS).map(|_| {
            let (queue, callout) = (queue.clone(), callout());
            async move {
                let began = Instant::now();
                let taken = queue.enqueue(&callout).await;
                (taken, began.elapsed())
            }
        }));
        let calls: Vec<_> = calls.buffer_unordered(AT_ONCE).collect().await;
        taken = f64::max(taken, FLOWS as f64 / began.elapsed().as_secs_f64());
        for (taken, latency) in calls {
            if taken? != Taken::New {
                return Err("a call-out was not taken".into());
            }
            latencies.push(latency);
        }
        // Of one process: a SQLite file has no other, and a PostgreSQL server would not notice.
        let directory = Arc::new(Directory::default());
        let began = Instant::now();
        let all = (0..workers).map(|_| {
            let onboarding = Onboarding::builder()
                .with_graph(Arc::clone(&directory))
                .with_issuer(Arc::clone(&directory))
                .with_provider(Recording::new(Profile::new("example")));
            let queue = queue.clone();
            async move {
                let flows = NonZeroUsize::new(AT_ONCE).expect("it is not zero");
                let worker = queue.worker(onboarding)?.with_flows(flows).build();
                worker.run_until(all_done(&queue)).await;
                Ok::<_, Box<dyn Error + Send + Sync>>(())
            }
        });
        for done in futures_util::future::join_all(all).await {
            done?;
        }
        figures.push(FLOWS as f64 / began.elapsed().as_secs_f64());
    }
    latencies.sort_unstable();
    let p99 = latencies[latencies.len() * 99 / 100].as_secs_f64() * 1000.0;
    print!("{name:<12} {taken:>11.0} {p99:>8.1} {bare:>14.0}");
    for figure in figures {
        print!("   {figure:>5.0} {:.2}", figure / bare);
    }
    println!();
    Ok(())
}

async fn all_done(queue: &Queue) {
    while queue.counts().await.is_ok_and(|counts| counts.open > 0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const BARE: &str = "CREATE TABLE bare (flow TEXT NOT NULL, no BIGINT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (flow, no))";
const INSERT: &str = "INSERT INTO bare (flow, no, body) VALUES ($1, $2, $3)";

/// Inserts as many rows as a flow has commits, each by itself.
macro_rules! bare {
    ($pool:expr, $flows:expr) => {{
        let began = Instant::now();
        let all = stream::iter((0..$flows).map(|_| {
            let pool = $pool.clone();
            async move {
                let flow = Guid::random().to_string();
                let body = "x".repeat(160);
                for number in 0..COMMITS as i64 {
                    sqlx::query(INSERT)
                        .bind(&flow)
                        .bind(number)
                        .bind(&body)
                        .execute(&pool)
                        .await?;
                }
                Ok::<_, sqlx::Error>(())
            }
        }));
        let all: Vec<_> = all.buffer_unordered(AT_ONCE).collect().await;
        for done in all {
            done?;
        }
        $flows as f64 / began.elapsed().as_secs_f64()
    }};
}

async fn bare_sqlite(file: &str) -> Result<f64> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await?;
    pool.execute(BARE).await?;
    let figure = bare!(pool, FLOWS);
    pool.close().await;
    Ok(figure)
}

async fn bare_postgres(server: &str) -> Result<(f64, String)> {
    let schema = format!("bench_{}", Guid::random().to_string().replace('-', "_"));
    let connections = PgPoolOptions::new()
        .max_connections(10)
        .acquire_timeout(Duration::from_secs(5));
    let pool = connections.connect(server).await?;
    pool.execute(sqlx::raw_sql(AssertSqlSafe(format!(
        "CREATE SCHEMA {schema}"
    ))))
    .await?;
    pool.close().await;
    let options: sqlx::postgres::PgConnectOptions = server.parse()?;
    let options = options.options([("search_path", &schema)]);
    let pool = PgPoolOptions::new()
        .max_connections(10)
        .connect_with(options)
        .await?;
    pool.execute(BARE).await?;
    let figure = bare!(pool, FLOWS);
    pool.close().await;
    Ok((figure, schema))
}
