use std::{fmt, num::NonZeroUsize, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, ReportError, ReportParser, ReportRequest,
    ReportSink, ReportSinkError, SecretString, Stored,
};

use crate::{
    Reply, count,
    routes::{BODY_LIMIT, Builder, Kind, Routes},
};

/// How old a report of an unknown message may be for its vendor to repeat it: the message may not be stored yet.
const FRESH: TimeDelta = TimeDelta::minutes(1);

/// The routes of the vendors' delivery reports, at `/reports/VENDOR` or `/reports/VENDOR/SECRET`.
///
/// A vendor has a route only with its [parser](ReportParser), which is built with a secret. Where the vendor signs the
/// body only, the route also needs a secret of yours in its path: without it, nothing can be built.
///
/// They need a tokio runtime with time enabled. In its absence nothing is stored, and the response is 503.
///
/// # Responses
///
/// | request | response |
/// |---|---|
/// | a report, also a repeated one, of an unknown message, or with an unknown status | as the vendor [expects](ReportParser::reply): 200 |
/// | a verified request that cannot be read | 200: repeating it does not help |
/// | a signature that is wrong, cannot be read, or is too old | 401 |
/// | no signature | 401, for Vonage's Messages API 503 |
/// | an unknown vendor; no secret in the path, or a wrong one | 404 |
/// | a body over [`BODY_LIMIT`](Self::BODY_LIMIT) | 413 |
/// | the sink did not store the report within 5 seconds | 503 with `Retry-After` |
/// | an unknown message, named by the vendor's id alone and less than a minute ago | 503: it may be sent just now |
///
/// # Repeated requests
///
/// A request that was stored is remembered by its digest, and changes nothing when it comes again. Where a vendor signs
/// the body only, the digest is that of the body: a captured body counts for one URL only, the first. What is remembered
/// ends with the process: whoever has such a body and the secret in the path can use it once more after a restart.
///
/// Of equal requests at the same time, one is stored and the others wait, for at most 5 seconds. They are answered as
/// repeated ones once it is stored. If it is not, the next of them is stored instead, so that none is acknowledged
/// before, and none is lost.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_webhooks as webhooks; }
/// # use postduif::{Authenticity, DeliveryReport, ReportError, ReportParser, chrono::{DateTime, Utc}};
/// # #[derive(Debug)]
/// # struct Parser;
/// # impl ReportParser for Parser {
/// #     fn authenticity(&self) -> Authenticity { Authenticity::BodyOnly }
/// #     fn parse(&self, _: &ReportRequest<'_>, _: DateTime<Utc>) -> Result<Vec<DeliveryReport>, ReportError> {
/// #         Ok(vec![])
/// #     }
/// # }
/// use postduif::{LatestReports, ReportRequest, webhooks::Reports};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), postduif::ConfigError> {
/// # let parser: std::sync::Arc<dyn ReportParser> = std::sync::Arc::new(Parser);
/// // `parser` is `postduif::report_parser("kpn", …)?`, or `settings.reports()?`.
/// let store = LatestReports::new();
/// let reports = Reports::builder("https://hooks.example.com", store.clone())
///     .with_vendor("kpn", parser)
///     .with_path_secrets("kpn", ["5f0c1e9a7b3d4862"])
///     .build()?;
///
/// // In a web server of any kind. With the feature `axum`, `reports.router()` is all of it.
/// let target = "/reports/kpn/5f0c1e9a7b3d4862?reference=a1";
/// let headers: [(String, String); 0] = [];
/// let request = reports.request("POST", target, headers.iter().map(|(name, value)| (name, value)), b"{}");
/// let reply = reports.receive("kpn", &request).await;
/// assert_eq!((reply.status(), reply.body()), (200, "OK"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Reports(pub(crate) Arc<Routes<OfReports>>);

/// A builder of [`Reports`].
#[must_use]
pub struct ReportsBuilder(Builder<OfReports>);

impl Reports {
    /// The maximum length of a body in bytes. A web server should stop reading there.
    pub const BODY_LIMIT: usize = BODY_LIMIT;

    /// Creates a builder.
    ///
    /// `origin` is the origin of the URLs that the vendors call, such as `https://hooks.example.com`, and a prefix of the
    /// path if there is one. Signatures cover it, so the `Host` of a request is never used.
    pub fn builder(origin: impl Into<String>, sink: impl ReportSink) -> ReportsBuilder {
        let sink: Arc<dyn ReportSink> = Arc::new(sink);
        ReportsBuilder(Builder::new(origin.into(), sink))
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

    /// Verifies a request, stores its reports, and returns the response.
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

impl ReportsBuilder {
    /// Adds a vendor, by the name in its path. A later parser of the same vendor replaces the earlier one.
    pub fn with_vendor(mut self, vendor: impl Into<String>, parser: impl ReportParser) -> Self {
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
    pub fn build(self) -> Result<Reports, ConfigError> {
        Ok(Reports(self.0.build()?))
    }
}

/// Delivery reports.
pub(crate) struct OfReports;

impl Kind for OfReports {
    type Parser = dyn ReportParser;
    type Sink = dyn ReportSink;
    type Item = DeliveryReport;

    const PATH: &'static str = "reports";
    const ONE: &'static str = "a delivery report";
    const ALL: &'static str = "delivery reports";
    const COUNTER: &'static str = "postduif_reports_total";

    fn authenticity(parser: &Self::Parser) -> Authenticity {
        parser.authenticity()
    }

    fn parse(
        parser: &Self::Parser,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        parser.parse(request, now)
    }

    fn reply(
        parser: &Self::Parser,
        result: &Result<Vec<DeliveryReport>, ReportError>,
    ) -> (u16, &'static str) {
        parser.reply(result)
    }

    fn is_distinct(_: &DeliveryReport) -> bool {
        // One that says the same is nothing new.
        true
    }

    async fn store(
        sink: &Self::Sink,
        vendor: &str,
        report: &DeliveryReport,
        now: DateTime<Utc>,
    ) -> Result<bool, ReportSinkError> {
        if let Some(at) = report.at {
            let lag = now.signed_duration_since(at).to_std().unwrap_or_default();
            count::report_lag(vendor, lag.as_secs_f64());
        }
        Ok(sink.store(report).await? == Stored::Known || !is_early(report, now))
    }
}

/// Returns whether the message of a report may just not be stored yet.
fn is_early(report: &DeliveryReport, now: DateTime<Utc>) -> bool {
    let is_fresh = |at: DateTime<Utc>| now.signed_duration_since(at).abs() < FRESH;
    report.reference.is_none() && report.id.is_some() && report.at.is_some_and(is_fresh)
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reports").field(&self.0).finish()
    }
}

impl fmt::Debug for ReportsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReportsBuilder").field(&self.0).finish()
    }
}
