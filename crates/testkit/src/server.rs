use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};

/// The maximum size of a request in bytes, more than any provider in this workspace writes.
const REQUEST_LIMIT: usize = 8 * 1024 * 1024;
/// The maximum time of a connection: a test that hangs must end.
const CONNECTION_LIMIT: Duration = Duration::from_secs(60);

/// A server on loopback without an HTTP library, so that it can break off at any phase.
///
/// It keeps every request that it read to the end, as a vendor would have acted on it. Count here, not in the client,
/// how often a message was posted.
///
/// ```
/// # mod postduif { pub extern crate postduif_testkit as testing; }
/// use postduif::testing::{Reply, Server};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let server = Server::start(|request| match request.path() {
///     "/send" => Reply::json(200, r#"{"id":"1"}"#),
///     _ => Reply::Reset,
/// })
/// .await;
/// assert!(server.url().starts_with("http://127.0.0.1:"));
/// assert_eq!(server.requests().len(), 0);
/// # });
/// ```
pub struct Server {
    scheme: &'static str,
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<HttpRequest>,
}

impl Server {
    /// Starts a server that replies to each request by `reply`.
    ///
    /// # Panics
    ///
    /// Panics if loopback has no free port.
    pub async fn start(reply: impl Fn(&HttpRequest) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(Greeting::Read, reply).await
    }

    /// Starts a server that does `greeting` with every connection before it reads a request.
    ///
    /// # Panics
    ///
    /// Panics if loopback has no free port.
    pub async fn start_at(
        greeting: Greeting,
        reply: impl Fn(&HttpRequest) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let reply = Arc::new(reply);
        Self::accept("http", move |stream, seen| {
            let reply = Arc::clone(&reply);
            async move { serve(stream, greeting, &seen, &*reply).await }
        })
        .await
    }

    /// Starts a server that uses TLS, with this certificate.
    ///
    /// # Panics
    ///
    /// Panics if loopback has no free port.
    #[cfg(feature = "tls")]
    pub async fn start_tls(
        certificate: crate::Certificate,
        reply: impl Fn(&HttpRequest) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let reply = Arc::new(reply);
        let acceptor = certificate.acceptor();
        Self::accept("https", move |stream, seen| {
            let (reply, acceptor) = (Arc::clone(&reply), acceptor.clone());
            async move {
                let stream = acceptor.accept(stream).await?;
                serve(stream, Greeting::Read, &seen, &*reply).await
            }
        })
        .await
    }

    async fn accept<F>(
        scheme: &'static str,
        serve: impl Fn(TcpStream, Arc<Mutex<Seen>>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    lock(&seen).connections += 1;
                    // Ignored: many tests are about clients that close the connection.
                    let served = serve(stream, Arc::clone(&seen));
                    tokio::spawn(tokio::time::timeout(CONNECTION_LIMIT, served));
                }
            }
        });
        Self {
            scheme,
            address,
            seen,
            task,
        }
    }

    /// Returns `http://127.0.0.1:port`, or `https` with TLS, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Returns the address it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns every request that was read to the end, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<HttpRequest> {
        lock(&self.seen).requests.clone()
    }

    /// Returns the number of connections that were opened.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.seen).connections
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Returns an address on loopback that refuses connections as long as this process lives: its port is bound, without a
/// listener.
///
/// # Panics
///
/// Panics if loopback has no free port.
pub async fn refusing_address() -> SocketAddr {
    // Bound and kept: a released port may become the next server's.
    static KEPT: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    let socket = TcpSocket::new_v4().expect("a socket");
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(anywhere).expect("loopback has a free port");
    let address = socket.local_addr().expect("a bound socket has an address");
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.push(socket);
    address
}

/// The treatment of a connection before a request is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Greeting {
    /// Reads the request.
    Read,
    /// Resets it at once, without reading.
    Reset,
    /// Resets it after this number of bytes of the request.
    ResetAfter(usize),
    /// Never reads or writes.
    Stall,
    /// Writes bytes that are not TLS, so that a handshake fails.
    Talk,
}

/// The reply to a request that was read to the end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reply {
    /// A response, after which the connection stays open.
    Response {
        /// The status code.
        status: u16,
        /// The headers, without `content-length`.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// These bytes alone; then the connection ends in this way.
    Raw(Vec<u8>, End),
    /// These bytes, one at a time with this pause after each; then the connection closes.
    Slow(Vec<u8>, Duration),
    /// These bytes, then zeros for as long as the client reads, at most 1 GiB.
    Endless(Vec<u8>),
    /// A reset instead of a response.
    Reset,
    /// A closed connection, without a byte of a response.
    Close,
    /// No response, ever.
    Stall,
}

/// The end of a connection after raw bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum End {
    /// Closes it in order.
    Close,
    /// Resets it.
    Reset,
    /// Leaves it open, and silent.
    Stall,
}

impl Reply {
    /// Creates a response with a JSON body.
    #[must_use]
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Response {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.into(),
        }
    }

    /// Creates a response without a body.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self::Response {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Creates a response with an HTML body, as gateways and filters send it.
    #[must_use]
    pub fn html(status: u16) -> Self {
        Self::Response {
            status,
            headers: vec![("content-type".into(), "text/html".into())],
            body: b"<html><body><h1>Request blocked</h1></body></html>".to_vec(),
        }
    }

    /// Adds a header. Changes only a [`Response`](Self::Response).
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Response { headers, .. } = &mut self {
            headers.push((name.into(), value.into()));
        }
        self
    }

    /// Sets the status. Changes only a [`Response`](Self::Response).
    #[must_use]
    pub const fn with_status(mut self, code: u16) -> Self {
        if let Self::Response { status, .. } = &mut self {
            *status = code;
        }
        self
    }

    /// Returns the bytes of the reply, to cut for one that breaks off. Empty for a reply without bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Response {
                status,
                headers,
                body,
            } => {
                let mut head = format!(
                    "HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n",
                    body.len()
                );
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                [head.as_bytes(), b"\r\n", body].concat()
            }
            Self::Raw(bytes, _) | Self::Slow(bytes, _) | Self::Endless(bytes) => bytes.clone(),
            Self::Reset | Self::Close | Self::Stall => Vec::new(),
        }
    }
}

/// A request as it was read.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The method, as written.
    pub method: String,
    /// The path and query, as written.
    pub target: String,
    /// The header names in lower case, and their values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// Returns the path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Returns the query, still encoded; empty if there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// Returns the first value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the body as text. Bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl fmt::Debug for HttpRequest {
    /// Writes neither headers nor body: they hold credentials and texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// A connection of a server, with or without TLS.
trait Line: AsyncRead + AsyncWrite + Send + Unpin {
    /// Makes its end a reset: a socket that lingers for zero seconds closes with one.
    fn reset(&self) -> std::io::Result<()>;
}

impl Line for TcpStream {
    fn reset(&self) -> std::io::Result<()> {
        self.set_zero_linger()
    }
}

#[cfg(feature = "tls")]
impl Line for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(&self) -> std::io::Result<()> {
        self.get_ref().0.set_zero_linger()
    }
}

async fn serve(
    mut stream: impl Line,
    greeting: Greeting,
    seen: &Mutex<Seen>,
    reply: &(impl Fn(&HttpRequest) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    match greeting {
        Greeting::Read => {}
        Greeting::Reset => return stream.reset(),
        Greeting::ResetAfter(bytes) => {
            let mut rest = vec![0; bytes];
            stream.read_exact(&mut rest).await?;
            return stream.reset();
        }
        Greeting::Stall => return std::future::pending().await,
        Greeting::Talk => {
            stream.write_all(b"220 this is no TLS\r\n").await?;
            let _ = stream.read(&mut [0; 1024]).await?;
            return Ok(());
        }
    }
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await? {
        let reply = reply(&request);
        lock(seen).requests.push(request);
        match reply {
            Reply::Response { .. } => {
                stream.write_all(&reply.to_bytes()).await?;
                stream.flush().await?;
            }
            Reply::Raw(bytes, end) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                return match end {
                    End::Close => stream.shutdown().await,
                    End::Reset => stream.reset(),
                    End::Stall => std::future::pending().await,
                };
            }
            Reply::Slow(bytes, pause) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await?;
                    stream.flush().await?;
                    tokio::time::sleep(pause).await;
                }
                return stream.shutdown().await;
            }
            Reply::Endless(head) => {
                stream.write_all(&head).await?;
                for _ in 0..16 * 1024 {
                    stream.write_all(&[0; 64 * 1024]).await?;
                }
                return Ok(());
            }
            Reply::Reset => return stream.reset(),
            Reply::Close => return stream.shutdown().await,
            Reply::Stall => return std::future::pending().await,
        }
    }
    Ok(())
}

async fn read_request(
    stream: &mut impl Line,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<HttpRequest>> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if buffer.len() > REQUEST_LIMIT || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines
        .next()
        .unwrap_or_default()
        .split(' ')
        .map(str::to_owned);
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0_usize);
    if length > REQUEST_LIMIT {
        return Ok(None);
    }
    let start = end + 4;
    while buffer.len() < start + length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let body = buffer[start..start + length].to_vec();
    buffer.drain(..start + length);
    Ok(Some(HttpRequest {
        method,
        target,
        headers,
        body,
    }))
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
