use std::{
    cell::Cell, fmt, future::Future, num::NonZeroUsize, pin::pin, sync::Arc, time::Duration,
};

use axum::Router;
use futures_util::TryFutureExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, watch},
    time::Instant,
};
use tower_service::Service as _;

use crate::{access, impatient::Impatient};

/// Serves a router over HTTP/1.1 with bounded connections, headers and times. TLS is the task of a proxy in front.
///
/// A connection is closed, without a response, if the head of a request is not whole within 10 seconds, or if the
/// request is not whole and answered within 30. The time of the first request begins with the connection, that of a
/// later one when its head is whole. It is closed, too, if the caller takes nothing of the responses for 10 seconds. A
/// head has at most 32 KiB and 100 fields; more is answered with 431. Up to 512 connections are open; the others wait in
/// the system's queue.
///
/// # Access log
///
/// Each request is a `tracing` event of the target `postduif_webhooks::access` at the level `DEBUG`, since anyone can
/// cause one:
///
/// | field | value |
/// |---|---|
/// | `method` | the method; `other` if HTTP does not define it |
/// | `route` | the route as it was added to the router, such as `/reports/{vendor}/{secret}`. Absent if none matches |
/// | `status` | the status of the response. Absent if the caller went away before, or a limit of time closed the connection |
/// | `ms` | how long it took, in milliseconds |
/// | `flow` | the flow of a call-out that was read: the id of its execution. Absent for everything else |
///
/// The path, the query, the headers and the bodies are never in it. What is no HTTP reaches no route, and is not logged.
///
/// ```no_run
/// # mod postduif { pub use postduif_webhooks as webhooks; }
/// use axum::Router;
/// use postduif::webhooks::Server;
///
/// # async fn serve(router: Router) -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// let shutdown = async {
///     tokio::signal::ctrl_c().await.ok();
/// };
/// Server::new(router).run_until(listener, shutdown).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Server {
    router: Router,
    max_connections: NonZeroUsize,
    head: Duration,
    request: Duration,
}

/// The most bytes of a request's head.
const MAX_HEAD: usize = 32 * 1024;

/// The pause after a connection could not be accepted, such as without a free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often that is logged at most.
const WARNING_PAUSE: Duration = Duration::from_secs(1);

/// The most time that the requests under way have after a stop. Most platforms kill after 30 seconds, and flows have to
/// be ended in the rest.
const GRACE: Duration = Duration::from_secs(10);

impl Server {
    /// Creates a server with the default limits.
    pub fn new(router: Router) -> Self {
        const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(512).expect("512 is not zero");
        Self {
            router: router.layer(axum::middleware::from_fn(access::log)),
            max_connections: MAX_CONNECTIONS,
            head: Duration::from_secs(10),
            request: Duration::from_secs(30),
        }
    }

    /// Sets the maximum number of open connections. Defaults to 512: half of the 1,024 files that many systems let a
    /// process open, since it needs some for its store and for its own calls.
    pub const fn with_max_connections(mut self, max_connections: NonZeroUsize) -> Self {
        self.max_connections = max_connections;
        self
    }

    /// Sets the time within which the head of a request must arrive; an idle connection is closed then too, and one whose
    /// caller takes nothing of the responses. Defaults to 10 seconds.
    pub const fn with_max_head_time(mut self, time: Duration) -> Self {
        self.head = time;
        self
    }

    /// Sets the time within which a request must be whole and answered. Defaults to 30 seconds.
    ///
    /// The routes of this crate wait at most 40 seconds for a body in any server, and then respond 408.
    pub const fn with_max_request_time(mut self, time: Duration) -> Self {
        self.request = time;
        self
    }

    /// Serves connections until `shutdown` completes, and then the requests under way, for at most 10 seconds.
    pub async fn run_until(self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        let places = self.max_connections.get().min(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(places));
        // Each connection has a receiver.
        let stopping = watch::Sender::new(false);
        let mut shutdown = pin!(shutdown);
        let mut warned_at: Option<Instant> = None;
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await.ok();
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                biased;
                () = &mut shutdown => break,
                next = next => next,
            };
            match accepted {
                Ok((stream, _)) => {
                    // Without it, a small response may wait for the acknowledgement of an earlier one.
                    let _ = stream.set_nodelay(true);
                    let connection = self.clone().serve(stream, stopping.subscribe());
                    tokio::spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Whoever opens connections can cause it.
                    if warned_at.is_none_or(|at| at.elapsed() >= WARNING_PAUSE) {
                        warned_at = Some(Instant::now());
                        tracing::warn!(%error, "a connection could not be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        stopping.send_replace(true);
        stopping.closed().await;
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        mut stopping: watch::Receiver<bool>,
    ) {
        let (router, limit) = (self.router, self.request);
        let first = Cell::new(Some(Instant::now()));
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let begun = first.take().unwrap_or_else(Instant::now);
            let rest = limit.saturating_sub(begun.elapsed());
            let answered = router.clone().call(request);
            // The error of a late response closes the connection.
            tokio::time::timeout(rest, answered)
                .map_ok(|answered| answered.unwrap_or_else(|never| match never {}))
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.head)
            .max_buf_size(MAX_HEAD)
            // The buffer alone bounds only what is not whole: with spare room it takes a longer head at once.
            .max_header_size(MAX_HEAD);
        let stream = TokioIo::new(Impatient::new(stream, self.head));
        let mut connection = pin!(builder.serve_connection(stream, service));
        tokio::select! {
            // An error is the caller's: it went away, or sent no HTTP.
            _ = connection.as_mut() => return,
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(GRACE, connection).await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "reports"))]
mod tests {
    use postduif_core::LatestReports;
    use postduif_kpn::KpnReports;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
        time::{sleep, timeout},
    };

    use super::*;

    const PATH_SECRET: &str = "5f0c1e9a7b3d4862";

    /// Serves the routes of delivery reports on a connection in memory, where time passes only while all wait.
    fn connect() -> DuplexStream {
        let (client, stop) = connect_until();
        // It serves for as long as the test runs.
        tokio::spawn(async move { stop.closed().await });
        client
    }

    /// Does as [`connect`], and returns what stops the server. It is closed once the connection is.
    fn connect_until() -> (DuplexStream, watch::Sender<bool>) {
        let parser = KpnReports::new(vec!["hush".into()]).expect("a secret");
        let reports = crate::Reports::builder("https://hooks.example.com", LatestReports::new())
            .with_vendor("kpn", parser)
            .with_path_secrets("kpn", [PATH_SECRET])
            .build()
            .expect("a vendor with its secrets");
        let (client, server) = tokio::io::duplex(1024);
        let (stop, stopping) = watch::channel(false);
        tokio::spawn(Server::new(reports.router()).serve(server, stopping));
        (client, stop)
    }

    /// Returns what the server sends until it closes the connection.
    async fn rest(mut stream: DuplexStream) -> String {
        let mut received = String::new();
        stream.read_to_string(&mut received).await.expect("text");
        received
    }

    fn head() -> String {
        format!("POST /reports/kpn/{PATH_SECRET} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n")
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_not_whole_after_10_seconds_closes_the_connection() {
        for start in ["", "P", "POST / HTTP/1.1\r\nhost: x\r\n"] {
            let begun = Instant::now();
            let mut stream = connect();
            stream.write_all(start.as_bytes()).await.unwrap();
            assert_eq!(rest(stream).await, "");
            assert_eq!(begun.elapsed().as_secs(), 10);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_not_whole_after_30_seconds_closes_the_connection() {
        for pause in [0, 9] {
            let begun = Instant::now();
            let mut stream = connect();
            let head = head();
            let (start, end) = head.split_at(20);
            stream.write_all(start.as_bytes()).await.unwrap();
            sleep(Duration::from_secs(pause)).await;
            stream.write_all(end.as_bytes()).await.unwrap();
            stream.write_all(b"{").await.unwrap();
            assert_eq!(rest(stream).await, "");
            assert_eq!(begun.elapsed().as_secs(), 30);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_takes_no_response_for_10_seconds_is_cut_off() {
        let begun = Instant::now();
        let mut stream = connect();
        let more = async { while stream.write_all(head().as_bytes()).await.is_ok() {} };
        timeout(Duration::from_secs(60), more).await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_takes_its_responses_slowly_is_served() {
        let stream = connect();
        let request = "GET /unknown HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
        let (mut responses, mut requests) = tokio::io::split(stream);
        tokio::spawn(async move { requests.write_all(request.as_bytes()).await });
        let mut piece = [0; 256];
        for _ in 0..20 {
            sleep(Duration::from_secs(9)).await;
            responses.read_exact(&mut piece).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_10_seconds_at_most() {
        for start in ["P", &head()] {
            let (mut stream, stop) = connect_until();
            stream.write_all(start.as_bytes()).await.unwrap();
            sleep(Duration::from_secs(1)).await;
            let begun = Instant::now();
            stop.send_replace(true);
            stop.closed().await;
            assert!(begun.elapsed().as_secs() <= 10, "{start}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_whole_in_time_is_answered() {
        let mut stream = connect();
        stream.write_all(head().as_bytes()).await.unwrap();
        stream.write_all(b"{").await.unwrap();
        sleep(Duration::from_secs(29)).await;
        stream.write_all(b"}").await.unwrap();
        assert!(rest(stream).await.starts_with("HTTP/1.1 401"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_request_on_a_connection_has_the_whole_time() {
        let mut stream = connect();
        for _ in 0..2 {
            stream.write_all(head().as_bytes()).await.unwrap();
            sleep(Duration::from_secs(20)).await;
            stream.write_all(b"{}").await.unwrap();
            let mut response = [0; 12];
            stream.read_exact(&mut response).await.unwrap();
            assert_eq!(response, *b"HTTP/1.1 401");
            // The rest of the head, which has no body behind it.
            let mut tail = Vec::new();
            while !tail.ends_with(b"\r\n\r\n") {
                tail.push(stream.read_u8().await.unwrap());
            }
        }
    }
}
