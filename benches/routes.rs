//! `cargo bench -p postduif-benches --bench routes`: the route of call-outs, with good tokens, forged tokens and none,
//! beside a bare axum server that reads the body and answers 202. Each server is a process of its own with one thread
//! that works; the client has another one. It takes about a minute.

#![expect(
    clippy::print_stdout,
    reason = "a server prints its address, and the bench its figures"
)]

mod figures;

use std::{
    env,
    error::Error,
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use figures::{Goal, median, report};
use futures_util::future::join_all;
use postduif::{
    async_trait,
    directory::Callout,
    entra::{CallerVerifier, Cloud},
    http::BaseUrl,
    onboarding::{Intake, JournalError, Taken},
    webhooks::{Callouts, Server},
};
use postduif_sandbox::{CalloutKind, CalloutOrder, Cast, Sandbox};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{MissedTickBehavior, interval},
};

type Outcome<T = ()> = Result<T, Failure>;
type Failure = Box<dyn Error + Send + Sync>;

const ROUNDS: usize = 5;
/// The requests of a round for each server and kind.
const REQUESTS: usize = 3_000;
/// How many call-outs a second a service of one tenant may get in its busiest minute.
const PACE: u64 = 100;
const PACED: usize = 500;
/// After so many requests the memory is read first, and last after a hundred thousand more.
const WARM: usize = 10_000;
const MANY: usize = 100_000;
/// What makes this program a server: its login authority, tenant, audience and callers, or `bare`.
const SERVER: &str = "POSTDUIF_BENCH_SERVER";

fn main() -> Outcome {
    if let Ok(settings) = env::var(SERVER) {
        return runtime()?.block_on(serve(&settings));
    }
    // The sandbox signs the token and publishes the key, on a thread of its own.
    let sandboxed = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (sandbox, good) = sandboxed.block_on(async {
        let sandbox = Sandbox::start().await;
        let good = captured(&sandbox).await?;
        Ok::<_, Failure>((sandbox, good))
    })?;
    let settings = [
        &*sandbox.login_url(),
        sandbox.tenant(),
        sandbox.audience(),
        &CALLERS.join(" "),
    ]
    .join(" ");
    let (routes, bare) = (Process::start(&settings)?, Process::start("bare")?);
    runtime()?.block_on(compare(&routes, &bare, &good))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Entra's own producers, whose ids the sandbox's tokens have.
const CALLERS: [&str; 2] = [
    "ce79fdc4-cd1d-4ea5-8139-e74d7dbe0bb7",
    "810dcf14-1858-4bf2-8134-4c369fa3235b",
];

/// Takes every call-out, and does nothing with it.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Intake for Nothing {
    async fn take(&self, _: Callout) -> Result<Taken, JournalError> {
        Ok(Taken::New)
    }
}

/// Answers until it is killed or its parent is gone.
async fn serve(settings: &str) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::thread::spawn(|| {
        std::io::stdin().lines().for_each(drop);
        std::process::exit(0);
    });
    if settings == "bare" {
        let accept = async |_: Bytes| StatusCode::ACCEPTED;
        let router = Router::new().route("/callouts/lifecycle", post(accept));
        return Ok(axum::serve(listener, router).await?);
    }
    let mut settings = settings.split(' ');
    let mut next = || settings.next().ok_or("a setting is missing");
    let login = BaseUrl::parse(next()?)?;
    let verifier = CallerVerifier::builder(next()?)
        .with_cloud(Cloud::GLOBAL.with_login(login))
        .with_audiences([next()?])
        .with_callers([next()?.parse()?, next()?.parse()?])
        .build()?;
    verifier.load_keys().await?;
    let router = Callouts::new(verifier, Nothing).router();
    Server::new(router)
        .run_until(listener, std::future::pending())
        .await;
    Ok(())
}

/// A server, which is killed on drop.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(settings: &str) -> Outcome<Self> {
        let mut child = Command::new(env::current_exe()?)
            .env(SERVER, settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("the server has no output")?;
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address)?;
        let address = address.trim().to_owned();
        Ok(Self { child, address })
    }

    /// Returns for how long the server has run on a processor. `None` on systems that do not tell it in `/proc`.
    fn cpu_time(&self) -> Option<Duration> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        let nanos = tasks.flatten().filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Some(Duration::from_nanos(nanos.sum()))
    }

    /// Returns the resident memory in MB. `None` on systems that do not tell it in `/proc`.
    fn memory(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a call-out as the sandbox sends it: the `Authorization` header and the body.
async fn captured(sandbox: &Sandbox) -> Outcome<(String, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let target = format!("http://{}/", listener.local_addr()?);
    let receive = async {
        let (mut stream, _) = listener.accept().await?;
        let mut request = String::new();
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer).await?;
            request += std::str::from_utf8(&buffer[..read])?;
            if let Some((head, body)) = request.split_once("\r\n\r\n")
                && head.contains(&format!("Content-Length: {}", body.len()))
            {
                stream.write_all(b"HTTP/1.1 202 Accepted\r\n\r\n").await?;
                let mut lines = head.lines();
                let header = lines.find(|line| line.starts_with("Authorization"));
                return Ok((header.ok_or("no token")?.to_owned(), body.to_owned()));
            }
        }
    };
    let order = CalloutOrder::new(Cast::JOINER, CalloutKind::Lifecycle);
    let (captured, sent) = tokio::join!(receive, sandbox.deliver(order, &target));
    sent?;
    captured
}

fn request(header: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /callouts/lifecycle HTTP/1.1\r\nhost: x\r\n{header}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A connection that sends the same request again and again.
struct Connection<'r> {
    stream: TcpStream,
    request: &'r [u8],
    status: &'static str,
}

impl<'r> Connection<'r> {
    async fn open(address: &str, request: &'r [u8], status: &'static str) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            request,
            status,
        })
    }

    async fn send(&mut self) -> Outcome {
        self.stream.write_all(self.request).await?;
        let mut response = [0; 1024];
        let mut filled = 0;
        // No response here has a body.
        while !response[..filled].ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut response[filled..]).await? {
                0 => return Err("the server closed the connection".into()),
                read => filled += read,
            }
        }
        let found = String::from_utf8_lossy(&response[9..12]);
        if found == self.status {
            Ok(())
        } else {
            Err(format!("{found} instead of {}", self.status).into())
        }
    }
}

/// Sends requests, a number of them at a time, and returns the seconds that it takes.
async fn seconds(
    server: &Process,
    request: &[u8],
    status: &'static str,
    in_flight: usize,
    requests: usize,
) -> Outcome<f64> {
    let opened = (0..in_flight).map(|_| Connection::open(&server.address, request, status));
    let mut connections = Vec::new();
    for connection in join_all(opened).await {
        connections.push(connection?);
    }
    let begun = Instant::now();
    let sent = connections.iter_mut().map(async |connection| {
        for _ in 0..requests / in_flight {
            connection.send().await?;
        }
        Ok::<_, Failure>(())
    });
    join_all(sent).await.into_iter().collect::<Outcome>()?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Sends requests at a fixed pace, and returns the time that each takes, in milliseconds and in order.
async fn paced(server: &Process, request: &[u8]) -> Outcome<Vec<f64>> {
    let mut connection = Connection::open(&server.address, request, "202").await?;
    let mut ticks = interval(Duration::from_micros(1_000_000 / PACE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut times = Vec::new();
    for _ in 0..PACED {
        // From the time at which it was due, so that a slow one counts for those behind it.
        let due = ticks.tick().await;
        connection.send().await?;
        times.push(due.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

async fn compare(routes: &Process, bare: &Process, good: &(String, String)) -> Outcome {
    let (header, body) = good;
    let (signed, signature) = header
        .rsplit_once('.')
        .ok_or("the token has no signature")?;
    // Another number below the modulus, so that the whole verification is done.
    let (start, end) = signature.split_at(signature.len() / 2);
    let other = if end.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{signed}.{start}{other}{}", &end[1..]);
    let good = request(header, body);
    let kinds = [
        ("good", good.clone(), "202", 0.2),
        ("forged", request(&forged, body), "401", 0.2),
        ("no_token", request("x-no: token", body), "401", 0.5),
    ];
    println!(
        "{:<10} {:>9} {:>12} {:>12} {:>12}",
        "", "at a time", "requests/s", "of bare", "CPU us each"
    );
    let mut cost_of_forged = Vec::new();
    for in_flight in [16, 64] {
        let mut of_bare = Vec::new();
        let mut of_kind = vec![(Vec::new(), Vec::new(), Vec::new()); kinds.len()];
        // The first round warms up. Interleaved, so that what else the machine does meets all alike.
        for round in 0..=ROUNDS {
            let base = seconds(bare, &good, "202", in_flight, REQUESTS).await?;
            of_bare.push(REQUESTS as f64 / base);
            for ((_, request, status, _), (rates, ratios, costs)) in kinds.iter().zip(&mut of_kind)
            {
                let start = routes.cpu_time();
                let took = seconds(routes, request, status, in_flight, REQUESTS).await?;
                if round > 0 {
                    rates.push(REQUESTS as f64 / took);
                    ratios.push(base / took);
                    let spent = routes.cpu_time().zip(start).map(|(end, start)| end - start);
                    costs.extend(spent.map(|spent| spent.as_secs_f64() * 1e6 / REQUESTS as f64));
                }
            }
        }
        println!("{:<10} {in_flight:>9} {:>12.0}", "bare", median(of_bare));
        for ((name, _, _, _), (rates, ratios, costs)) in kinds.iter().zip(&of_kind) {
            let cost = if costs.is_empty() {
                f64::NAN
            } else {
                median(costs.clone())
            };
            println!(
                "{name:<10} {in_flight:>9} {:>12.0} {:>12.2} {cost:>12.1}",
                median(rates.clone()),
                median(ratios.clone()),
            );
        }
        cost_of_forged.extend(
            of_kind[1]
                .2
                .iter()
                .zip(&of_kind[0].2)
                .map(|(forged, good)| forged / good),
        );
        for ((name, _, _, goal), (_, ratios, _)) in kinds.iter().zip(of_kind) {
            report(
                &format!("routes_{name}_vs_bare_c{in_flight}"),
                median(ratios),
                Goal::AtLeast(*goal),
            );
        }
    }
    if !cost_of_forged.is_empty() {
        report(
            "routes_cpu_of_forged_vs_good",
            median(cost_of_forged),
            Goal::AtMost(1.1),
        );
    }

    let (of_bare, of_routes) = (paced(bare, &good).await?, paced(routes, &good).await?);
    println!(
        "{:<10} {:>9} {:>12} {:>12}",
        "", "a second", "p50 ms", "p99 ms"
    );
    for (name, times) in [("bare", &of_bare), ("good", &of_routes)] {
        println!(
            "{name:<10} {PACE:>9} {:>12.3} {:>12.3}",
            times[PACED / 2],
            times[PACED * 99 / 100]
        );
    }
    report(
        "routes_p50_ms_more_than_bare",
        of_routes[PACED / 2] - of_bare[PACED / 2],
        Goal::AtMost(2.0),
    );
    report(
        "routes_p99_ms",
        of_routes[PACED * 99 / 100],
        Goal::AtMost(20.0),
    );

    let (mut first, mut last) = (None, None);
    for (requests, memory) in [(WARM, &mut first), (MANY, &mut last)] {
        for (_, request, status, _) in &kinds {
            seconds(routes, request, status, 64, requests / kinds.len()).await?;
        }
        *memory = routes.memory();
    }
    if let (Some(first), Some(last)) = (first, last) {
        println!(
            "{:<10} {WARM:>9} {first:>9.1} MB, {MANY} later {last:.1} MB",
            "memory"
        );
        report(
            "routes_memory_after_100000",
            last / first,
            Goal::AtMost(1.05),
        );
    }
    Ok(())
}
