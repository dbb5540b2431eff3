use std::{fmt, num::NonZeroUsize, sync::Arc};

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, InboundMessage, InboundParser, InboundSink, ReportError,
    ReportRequest, ReportSinkError, SecretString,
};

use crate::{
    Reply,
    routes::{BODY_LIMIT, Builder, Kind, Routes},
};

/// The routes of the texts that people send to your numbers, at `/inbound/VENDOR` or `/inbound/VENDOR/SECRET`.
///
/// The rules are those of [`Reports`](crate::Reports): a vendor has a route only with its [parser](InboundParser), which
/// is built with a secret, and where the vendor signs the body only, the route also needs a secret of yours in its path.
///
/// # Responses
///
/// | request | response |
/// |---|---|
/// | inbound texts, also repeated ones, and other events of the vendor | as the vendor [expects](InboundParser::reply): 200 |
/// | a verified request that cannot be read | 200: repeating it does not help |
/// | a signature that is wrong, cannot be read, or is too old | 401 |
/// | no signature | 401 |
/// | an unknown vendor; no secret in the path, or a wrong one | 404 |
/// | a body over [`BODY_LIMIT`](Self::BODY_LIMIT) | 413 |
/// | the sink did not store the texts within 5 seconds | 503 with `Retry-After` |
///
/// # Repeated requests
///
/// A request that was stored is remembered by its digest, and its texts are not stored again when it is repeated, so that
/// an old opt-in undoes no later opt-out. Of equal requests at the same time, one is stored and the others wait, as with
/// reports. What is remembered ends with the process: a sink that must know a text for longer takes each
/// [`id`](postduif_core::InboundMessage::id) once.
///
/// A text with neither an id nor a time is stored whenever it comes: a repeated one is like the next one of a person who
/// sends the same word again, and a second opt-out must not be lost.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_webhooks as webhooks; }
/// # use postduif::{Authenticity, InboundParser, ReportError, chrono::{DateTime, Utc}};
/// # #[derive(Debug)]
/// # struct Parser;
/// # impl InboundParser for Parser {
/// #     fn authenticity(&self) -> Authenticity { Authenticity::BodyOnly }
/// #     fn parse(&self, _: &ReportRequest<'_>, _: DateTime<Utc>) -> Result<Vec<InboundMessage>, ReportError> {
/// #         Ok(vec![InboundMessage::new("kpn", "+31612345678".parse().unwrap(), "Stop!")])
/// #     }
/// # }
/// use postduif::{InboundMessage, InboundSink, ReportRequest, ReportSinkError, async_trait, webhooks::Inbound};
///
/// #[derive(Debug)]
/// struct Answers;
///
/// #[async_trait]
/// impl InboundSink for Answers {
///     async fn store(&self, message: &InboundMessage) -> Result<(), ReportSinkError> {
///         println!("{} characters", message.text.as_str().chars().count());
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), postduif::ConfigError> {
/// # let parser: std::sync::Arc<dyn InboundParser> = std::sync::Arc::new(Parser);
/// // `parser` is `postduif::inbound_parser("kpn", …)?`, or `settings.inbound()?`.
/// let inbound = Inbound::builder("https://hooks.example.com", Answers)
///     .with_vendor("kpn", parser)
///     .with_path_secrets("kpn", ["5f0c1e9a7b3d4862"])
///     .build()?;
///
/// // In a web server of any kind. With the feature `axum`, `inbound.router()` is all of it.
/// let target = "/inbound/kpn/5f0c1e9a7b3d4862";
/// let headers: [(String, String); 0] = [];
/// let request = inbound.request("POST", target, headers.iter().map(|(name, value)| (name, value)), b"{}");
/// let reply = inbound.receive("kpn", &request).await;
/// assert_eq!((reply.status(), reply.body()), (200, "OK"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Inbound(pub(crate) Arc<Routes<OfInbound>>);

/// A builder of [`Inbound`].
#[must_use]
pub struct InboundBuilder(Builder<OfInbound>);

impl Inbound {
    /// The maximum length of a body in bytes. A web server should stop reading there.
    pub const BODY_LIMIT: usize = BODY_LIMIT;

    /// Creates a builder.
    ///
    /// `origin` is the origin of the URLs that the vendors call, such as `https://hooks.example.com`, and a prefix of the
    /// path if there is one. Signatures cover it, so the `Host` of a request is never used.
    pub fn builder(origin: impl Into<String>, sink: impl InboundSink) -> InboundBuilder {
        let sink: Arc<dyn InboundSink> = Arc::new(sink);
        InboundBuilder(Builder::new(origin.into(), sink))
    }

    /// Creates the request that the parsers verify, from the parts that a web server received: see
    /// [`ReportRequest::from_http`].
    #[must_use]
    pub fn request<'a, N, V>(
        &self,
        method: &'a str,
        target: &str,
        headers: impl IntoIterator<Item = (&'a N, &'a V)>,
        body: &'a [u8],
    ) -> ReportRequest<'a>
    where
        N: AsRef<str> + ?Sized + 'a,
        V: AsRef<[u8]> + ?Sized + 'a,
    {
        self.0.request(method, target, headers, body)
    }

    /// Returns whether a vendor has a route.
    #[must_use]
    pub fn has(&self, vendor: &str) -> bool {
        self.0.has(vendor)
    }

    /// Verifies a request, stores its texts, and returns the response.
    pub async fn receive(&self, vendor: &str, request: &ReportRequest<'_>) -> Reply {
        self.receive_at(vendor, request, std::time::SystemTime::now().into())
            .await
    }

    /// Receives a request as [`receive`](Self::receive) does. A signature is too old or not as of `now`.
    pub async fn receive_at(
        &self,
        vendor: &str,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Reply {
        self.0.receive(vendor, request, now).await
    }
}

impl InboundBuilder {
    /// Adds a vendor, by the name in its path. A later parser of the same vendor replaces the earlier one.
    pub fn with_vendor(mut self, vendor: impl Into<String>, parser: impl InboundParser) -> Self {
        self.0.parsers.push((vendor.into(), Arc::new(parser)));
        self
    }

    /// Adds secrets of yours, one of which is the last segment of a vendor's path: several while one is being replaced.
    ///
    /// A vendor that signs the body only needs one. For any other it is optional; the parser of a vendor that does not
    /// sign has its own, which is the same.
    pub fn with_path_secrets(
        mut self,
        vendor: impl Into<String>,
        secrets: impl IntoIterator<Item = impl Into<SecretString>>,
    ) -> Self {
        self.0.with_path_secrets(vendor.into(), secrets);
        self
    }

    /// Sets how many requests are remembered. Defaults to 100,000, about 10 MB.
    pub const fn with_seen(mut self, requests: NonZeroUsize) -> Self {
        self.0.seen = requests;
        self
    }

    /// Builds the routes.
    ///
    /// # Errors
    ///
    /// Returns an error if the origin is not https, or http on loopback; if there is no vendor; if a vendor that signs
    /// the body only has no secret in its path; if such a secret is shorter than 16 characters, cannot be a path
    /// segment, or is of a vendor without a parser.
    pub fn build(self) -> Result<Inbound, ConfigError> {
        Ok(Inbound(self.0.build()?))
    }
}

/// Inbound texts.
pub(crate) struct OfInbound;

impl Kind for OfInbound {
    type Parser = dyn InboundParser;
    type Sink = dyn InboundSink;
    type Item = InboundMessage;

    const PATH: &'static str = "inbound";
    const ONE: &'static str = "an inbound text";
    const ALL: &'static str = "inbound texts";
    const COUNTER: &'static str = "postduif_inbound_total";

    fn authenticity(parser: &Self::Parser) -> Authenticity {
        parser.authenticity()
    }

    fn parse(
        parser: &Self::Parser,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        parser.parse(request, now)
    }

    fn reply(
        parser: &Self::Parser,
        result: &Result<Vec<InboundMessage>, ReportError>,
    ) -> (u16, &'static str) {
        parser.reply(result)
    }

    fn is_distinct(message: &InboundMessage) -> bool {
        // People send the same word again.
        message.id.is_some() || message.at.is_some()
    }

    async fn store(
        sink: &Self::Sink,
        _: &str,
        message: &InboundMessage,
        _: DateTime<Utc>,
    ) -> Result<bool, ReportSinkError> {
        sink.store(message).await?;
        Ok(true)
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inbound").field(&self.0).finish()
    }
}

impl fmt::Debug for InboundBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InboundBuilder").field(&self.0).finish()
    }
}
