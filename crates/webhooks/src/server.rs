use std::{fmt, future::Future, num::NonZeroUsize, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use futures_util::TryFutureExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tower_service::Service as _;

/// Serves a router over HTTP/1.1 with bounded connections, headers and times. TLS is the task of a proxy in front.
///
/// A request whose head is not there after 10 seconds is cut off, and so is one that is not answered after 30. The head
/// has at most 32 KiB. Up to 1,024 connections are open; the others wait in the system's queue.
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

impl Server {
    /// Creates a server with the default limits.
    pub fn new(router: Router) -> Self {
        const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(1_024).expect("1,024 is not zero");
        Self {
            router,
            max_connections: MAX_CONNECTIONS,
            head: Duration::from_secs(10),
            request: Duration::from_secs(30),
        }
    }

    /// Sets the maximum number of open connections. Defaults to 1,024.
    pub const fn with_max_connections(mut self, max_connections: NonZeroUsize) -> Self {
        self.max_connections = max_connections;
        self
    }

    /// Sets the time within which the head of a request must arrive; an idle connection is closed then too. Defaults to
    /// 10 seconds.
    pub const fn with_max_head_time(mut self, time: Duration) -> Self {
        self.head = time;
        self
    }

    /// Sets the time within which a request must be read and answered. Defaults to 30 seconds.
    pub const fn with_max_request_time(mut self, time: Duration) -> Self {
        self.request = time;
        self
    }

    /// Serves connections until `shutdown` completes, and then the requests under way.
    pub async fn run_until(self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        let places = self.max_connections.get().min(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(places));
        // Each connection has a receiver.
        let stopping = watch::Sender::new(false);
        let mut shutdown = pin!(shutdown);
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
                    let connection = self.clone().serve(stream, stopping.subscribe());
                    tokio::spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        stopping.send_replace(true);
        stopping.closed().await;
    }

    async fn serve(self, stream: TcpStream, mut stopping: watch::Receiver<bool>) {
        // Without it, a small response may wait for the acknowledgement of an earlier one.
        let _ = stream.set_nodelay(true);
        let (router, limit) = (self.router, self.request);
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let answered = router.clone().call(request);
            // The error of a late response closes the connection.
            tokio::time::timeout(limit, answered)
                .map_ok(|answered| answered.unwrap_or_else(|never| match never {}))
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.head)
            .max_buf_size(MAX_HEAD);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            // An error is the caller's: it went away, or sent no HTTP.
            _ = connection.as_mut() => return,
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}
