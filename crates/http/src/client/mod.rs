mod base_url;
mod body;
mod failure;
mod own_headers;
mod pools;
mod redactor;
mod refusal;
mod request;
mod response;
mod runtime;

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use postduif_core::{
    ConfigError, SendError,
    departure::{Departure, DepartureHandle, hold, unwatched},
};
use reqwest::{NoProxy, Proxy, Url, redirect};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;

pub use base_url::BaseUrl;
pub use redactor::Redactor;
pub use refusal::{Proof, Refusal};
pub use request::{Request, check_header_setting};
pub use response::Response;

use body::Body;
pub(crate) use failure::Failure;
use own_headers::{OwnHeaders, own_headers};
use pools::Pools;
pub(crate) use redactor::Private;
pub(crate) use runtime::on_tokio;

/// An HTTP client that leaks nothing and repeats nothing.
///
/// It is cheap to clone, and clones share one pool of connections. However it was built, it follows no redirect,
/// repeats no request, sends no referer and writes no connection log. It uses a proxy only if one is configured.
/// Every request has a deadline, and a limit on the length of its response.
///
/// Sending needs a tokio runtime with time and I/O enabled, and fails as `Misconfigured` without one. If there is a
/// runtime without them, tokio writes a message to standard error, and a program built with `panic = "abort"` ends.
///
/// A program may send from several runtimes, and end any of them: each has connections of its own. Those of the 64
/// runtimes that were used last are kept.
///
/// The first client of a process takes about 20 ms to build, since it reads the system's certificates; each further one
/// a fraction of a millisecond.
///
/// # A client of your own
///
/// All providers of a process share one client, [`shared`](Self::shared), unless they are given another. Pass one for a
/// proxy, root certificates or other deadlines. What [`ClientBuilder`] has no option for is in reqwest's own builder:
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_http as http; }
/// use postduif::http::Client;
///
/// // A reqwest builder uses the process-wide crypto provider.
/// let _ = rustls::crypto::ring::default_provider().install_default();
/// let client = Client::from_reqwest(|| {
///     reqwest::Client::builder().local_address(std::net::IpAddr::from([192, 0, 2, 7]))
/// })?;
/// // Then: postduif::from_url_with(url, &client)
/// # Ok::<(), postduif::ConfigError>(())
/// ```
///
/// Middleware, such as that of the crate `reqwest-middleware`, cannot be added: it wraps a finished client, and could
/// repeat a request that is in doubt.
///
/// # Traces
///
/// [`with_headers`](Self::with_headers) adds headers to every request, such as the `traceparent` of the current span.
#[derive(Clone)]
pub struct Client {
    pools: Arc<Pools>,
    headers: Option<OwnHeaders>,
    /// `None` if the vendor's words are not kept.
    private: Option<Private>,
}

impl Client {
    /// Creates a client with the defaults of [`ClientBuilder`].
    ///
    /// # Errors
    ///
    /// Returns an error if TLS cannot be set up.
    pub fn new() -> Result<Self, ConfigError> {
        Self::builder().build()
    }

    /// Returns the client that all providers of a process share unless they are given another. It has the defaults of
    /// [`ClientBuilder`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`new`](Self::new).
    pub fn shared() -> Result<Self, ConfigError> {
        static SHARED: OnceLock<Client> = OnceLock::new();
        if let Some(client) = SHARED.get() {
            return Ok(client.clone());
        }
        let client = Self::new()?;
        Ok(SHARED.get_or_init(|| client).clone())
    }

    /// Creates a builder, none of whose options depends on reqwest.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Creates a client from reqwest builders, for everything that [`ClientBuilder`] has no option for. `builder` is
    /// called for each tokio runtime that sends.
    ///
    /// This function changes with reqwest's version, which is 0.13 now. The builder's TLS is kept; its deadlines and its
    /// settings for redirects, retries, referer and connection log are replaced. Cookies cannot be disabled here: leave
    /// reqwest's feature `cookies` off, or pass a builder without a cookie store.
    ///
    /// # Errors
    ///
    /// Returns an error if no process-wide crypto provider is installed. Such a builder would panic when built, and
    /// does not show whether it has its own.
    pub fn from_reqwest(
        builder: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        if CryptoProvider::get_default().is_none() {
            return Err(ConfigError::new(
                "a reqwest builder needs a process-wide crypto provider: call \
                 rustls::crypto::ring::default_provider().install_default() at the start of the program, \
                 or use Client::builder()",
            ));
        }
        Self::of(Pools::new(move || {
            // Any proxy at all disables those of the environment. `no_proxy()` would clear the caller's own.
            let builder = builder().proxy(Proxy::custom(|_| None::<Url>));
            lock(builder, CONNECT_TIMEOUT, TIMEOUT)
        }))
    }

    fn of(pools: Result<Pools, ConfigError>) -> Result<Self, ConfigError> {
        Ok(Self {
            pools: Arc::new(pools?),
            headers: None,
            private: None,
        })
    }

    /// Adds headers to every request, such as those that carry a trace. A further call replaces the function.
    ///
    /// The function is called before each request, in the task and span of the caller. The exception is a request for
    /// a token, which all waiting callers share: it runs in a task of its own, outside of any span.
    ///
    /// A header that the request has already is never replaced. Left out are headers that HTTP itself defines
    /// (`authorization`, `host`, `cookie`, `content-…`, `accept…`, `user-agent`), values that no header can hold or of
    /// more than 8 KiB, and all after the first 16. The headers go to the vendor, so they must hold no secret.
    ///
    /// The function must not block. If it panics, the request is sent with the headers that it had returned before.
    ///
    /// ```
    /// # mod postduif { pub use postduif_core::*; pub use postduif_http as http; }
    /// use postduif::http::Client;
    ///
    /// /// The trace that the current task belongs to. With OpenTelemetry, return the `HashMap` that its propagator
    /// /// has filled.
    /// fn traceparent() -> String {
    ///     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()
    /// }
    ///
    /// let client = Client::shared()?.with_headers(|| [("traceparent", traceparent())]);
    /// // Then: postduif::from_url_with(url, &client)
    /// # Ok::<(), postduif::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_headers<H, N, V>(mut self, headers: impl Fn() -> H + Send + Sync + 'static) -> Self
    where
        H: IntoIterator<Item = (N, V)>,
        N: AsRef<str>,
        V: AsRef<str>,
    {
        self.headers = Some(own_headers(headers));
        self
    }

    /// Sends the request and reads its response.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no response. It is not accepted if nothing of the body had left: a failed name
    /// look-up, connection or TLS handshake, or a deadline before the body was started. Once the body may have been
    /// written, every error is in doubt.
    pub async fn send(&self, request: Request) -> Result<Response, SendError> {
        // Boxed, so that a caller's future has a few hundred bytes instead of thousands that are moved at each step.
        Box::pin(self.attempt(request))
            .await
            .map_err(Failure::into_send_error)
    }

    /// Sends a request that carries no text, such as a look-up or that of a `check`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`send`](Self::send), but never in doubt: no text can have left.
    pub async fn ask(&self, request: Request) -> Result<Response, SendError> {
        hold(unwatched(Box::pin(self.attempt(request))))
            .await
            .map_err(Failure::into_token_error)
    }

    /// Makes a client whose responses keep the vendor's words, without these secrets.
    pub(crate) fn keeping_words(self, private: Private) -> Self {
        Self {
            private: Some(private),
            ..self
        }
    }

    pub(crate) async fn attempt(&self, request: Request) -> Result<Response, Failure> {
        let limit = request.response_limit();
        if DepartureHandle::current().is_some_and(|call| call.is_closed()) {
            return Err(Failure::cut_off());
        }
        let departure = Departure::new();
        let has_body = request.has_body();
        let mut request = request.into_reqwest(departure.handle())?;
        let private = self.private.as_ref();
        let private = private.map(|private| private.with_headers(request.headers()));
        if let Some(add_headers) = &self.headers {
            add_headers(request.headers_mut());
        }
        let client = self.pools.current()?;
        if !has_body {
            // The text may be in the URL, so it leaves with the request's head.
            departure.handle().begin().map_err(|_| Failure::cut_off())?;
            let sent = departure.scope(on_tokio(|| client.execute(request)));
            let response = sent.await.map_err(|failure| failure.if_left(true))?;
            let response = response.map_err(Failure::from_reqwest)?;
            return Ok(Response::read(response, limit, private).await);
        }
        // Until the body starts to leave, this only waits for a connection.
        let response = match departure
            .scope(hold(on_tokio(|| client.execute(request))))
            .await
            .map_err(|failure| failure.if_left(departure.has_left()))?
        {
            Ok(response) => response,
            Err(error) => {
                return Err(if departure.has_left() {
                    Failure::from_reqwest(error)
                } else if departure.handle().is_closed() {
                    Failure::cut_off()
                } else {
                    Failure::from_reqwest(error).before_it_left()
                });
            }
        };
        Ok(Response::read(response, limit, private).await)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// Builder for a [`Client`], which [`Client::builder`] creates.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_http as http; }
/// use std::time::Duration;
/// use postduif::http::Client;
///
/// let client = Client::builder()
///     .with_timeout(Duration::from_secs(20))
///     .with_user_agent("contoso-onboarding/1.0")
///     .build()?;
/// # Ok::<(), postduif::ConfigError>(())
/// ```
#[must_use]
pub struct ClientBuilder {
    connect_timeout: Option<Duration>,
    timeout: Duration,
    user_agent: String,
    proxy: Option<String>,
    roots: Vec<Vec<u8>>,
    resolve: Vec<(String, SocketAddr)>,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long an idle connection is kept. Shorter than at common servers (Apache and Node.js close after 5 seconds): a
/// request that crosses the server's close is in doubt although the server did not read it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// The hosts that bypass a proxy: it could not reach this machine's loopback, and would see those requests in plain
/// text.
const NO_PROXY: &str = "localhost,127.0.0.0/8,::1";

impl ClientBuilder {
    fn new() -> Self {
        Self {
            connect_timeout: None,
            timeout: TIMEOUT,
            user_agent: concat!("postduif/", env!("CARGO_PKG_VERSION")).into(),
            proxy: None,
            roots: Vec::new(),
            resolve: Vec::new(),
        }
    }

    /// Sets how long name look-up, connection and TLS may take together. Defaults to 5 seconds, or half of the total
    /// if that is less. It must be below the total: only a failure in this phase proves that nothing was sent.
    pub const fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Sets how long a request may take in total, its response included. Defaults to 30 seconds.
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the user agent. Defaults to `postduif/` and the version.
    pub fn with_user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Sends requests through a proxy (`http://[user:secret@]host:port`), except those to loopback. Defaults to none.
    ///
    /// The environment's proxy variables are not read, so that a proxy is always a decision of the program.
    pub fn with_proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(url.into());
        self
    }

    /// Adds trusted root certificates (PEM, one or more) to the system's own.
    pub fn with_root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Resolves `host` to this address, without a name look-up.
    pub fn with_resolve(mut self, host: impl Into<String>, address: SocketAddr) -> Self {
        self.resolve.push((host.into(), address));
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// Returns an error if a certificate, the proxy or the user agent is invalid, or the connect timeout is not below
    /// the total.
    pub fn build(self) -> Result<Client, ConfigError> {
        let total = self.timeout;
        let connect = self
            .connect_timeout
            .unwrap_or(CONNECT_TIMEOUT.min(total / 2));
        if connect.is_zero() || connect >= total {
            return Err(ConfigError::new(
                "the connect timeout must be above zero and below the total timeout",
            ));
        }
        let tls = tls(&self.roots)?;
        let proxy = match self.proxy {
            // The cause is left out: it may show the URL, and with it the proxy's password.
            Some(url) => Some(Proxy::all(url).map_err(|_| {
                ConfigError::new(
                    "invalid proxy: expected a URL such as http://proxy.example.com:3128",
                )
            })?),
            None => None,
        };
        let proxy = proxy.map(|proxy| proxy.no_proxy(NoProxy::from_string(NO_PROXY)));
        let (user_agent, resolve) = (self.user_agent, self.resolve);
        Client::of(Pools::new(move || {
            let mut builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .user_agent(&user_agent)
                // Ignores the environment's proxies. Looking for one at each request costs as much as a provider does.
                .no_proxy();
            if let Some(proxy) = &proxy {
                builder = builder.proxy(proxy.clone());
            }
            for (host, address) in &resolve {
                builder = builder.resolve(host, *address);
            }
            lock(builder, connect, total)
        }))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Builds the client with the settings that no option of a caller may change.
fn lock(
    builder: reqwest::ClientBuilder,
    connect: Duration,
    total: Duration,
) -> Result<reqwest::Client, ConfigError> {
    builder
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connection_verbose(false)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .connect_timeout(connect)
        .timeout(total)
        .build()
        .map_err(|error| {
            ConfigError::new("the HTTP client cannot be built").with_source(error.without_url())
        })
}

/// Returns the TLS configuration. It names ring without installing it, since the process-wide provider belongs to the
/// program.
fn tls(roots: &[Vec<u8>]) -> Result<ClientConfig, ConfigError> {
    let provider = Arc::new(ring::default_provider());
    let mut extra: Vec<CertificateDer<'static>> = Vec::new();
    for pem in roots {
        let before = extra.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            extra.push(
                certificate
                    .map_err(|_| ConfigError::new("invalid root certificate: expected PEM"))?,
            );
        }
        if extra.len() == before {
            return Err(ConfigError::new(
                "invalid root certificate: expected at least one certificate in the PEM",
            ));
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::new("TLS cannot be set up").with_source(error))?;
    let verifier = if extra.is_empty() {
        system_verifier(provider)
    } else {
        Verifier::new_with_extra_roots(extra.clone(), provider).map(Arc::new)
    };
    let config = match verifier {
        Ok(verifier) => builder
            .dangerous()
            .with_custom_certificate_verifier(verifier),
        // A machine without any certificates can still reach loopback; other hosts fail at the handshake.
        Err(_) => {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(extra);
            builder.with_root_certificates(store)
        }
    };
    let mut config = config.with_no_client_auth();
    // reqwest does not change such a configuration, so the protocols are set here.
    if cfg!(feature = "http2") {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(config)
}

/// The verifier of all clients that trust the system's certificates alone. Reading them takes about 20 ms, as much as
/// a hundred clients.
fn system_verifier(provider: Arc<CryptoProvider>) -> Result<Arc<Verifier>, rustls::Error> {
    static VERIFIER: OnceLock<Arc<Verifier>> = OnceLock::new();
    if let Some(verifier) = VERIFIER.get() {
        return Ok(Arc::clone(verifier));
    }
    let verifier = Arc::new(Verifier::new(provider)?);
    Ok(Arc::clone(VERIFIER.get_or_init(|| verifier)))
}
