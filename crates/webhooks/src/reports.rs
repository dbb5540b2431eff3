use std::{collections::BTreeMap, fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::{
    Authenticity, ConfigError, DeliveryReport, ReportError, ReportErrorKind, ReportParser,
    ReportRequest, ReportSink, ReportSinkError, SecretString, Stored,
};
use postduif_http::{
    BaseUrl,
    vendor::{reports::PathSecrets, signature::sha256},
};

use crate::{
    Reply, count,
    quiet::Quiet,
    seen::{Digest, Known, Seen},
};

/// The default number of requests that are remembered.
const SEEN: NonZeroUsize = NonZeroUsize::new(100_000).expect("100,000 is not zero");

/// How old a report of an unknown message may be for its vendor to repeat it: the message may not be stored yet.
const FRESH: TimeDelta = TimeDelta::minutes(1);

/// The most time that a sink has for all reports of a request.
const MAX_STORE: Duration = Duration::from_secs(5);

/// The routes of the vendors' delivery reports, at `/reports/VENDOR` or `/reports/VENDOR/SECRET`.
///
/// A vendor has a route only with its [parser](ReportParser), which is built with a secret. Where the vendor signs the
/// body only, the route also needs a secret of yours in its path: without it, nothing can be built.
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
/// the body only, the digest is that of the body: a captured body counts for one URL only, the first.
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
pub struct Reports(Arc<Inner>);

struct Inner {
    origin: String,
    vendors: BTreeMap<String, Vendor>,
    sink: Arc<dyn ReportSink>,
    seen: Seen,
    refusals: Quiet,
}

struct Vendor {
    parser: Arc<dyn ReportParser>,
    path_secrets: Option<PathSecrets>,
}

/// A builder of [`Reports`].
#[must_use]
pub struct ReportsBuilder {
    origin: String,
    sink: Arc<dyn ReportSink>,
    parsers: Vec<(String, Arc<dyn ReportParser>)>,
    path_secrets: Vec<(String, Vec<SecretString>)>,
    seen: NonZeroUsize,
}

impl Reports {
    /// The maximum length of a body in bytes. A web server should stop reading there.
    pub const BODY_LIMIT: usize = 256 * 1024;

    /// Creates a builder.
    ///
    /// `origin` is the origin of the URLs that the vendors call, such as `https://hooks.example.com`, and a prefix of the
    /// path if there is one. Signatures cover it, so the `Host` of a request is never used.
    pub fn builder(origin: impl Into<String>, sink: impl ReportSink) -> ReportsBuilder {
        ReportsBuilder {
            origin: origin.into(),
            sink: Arc::new(sink),
            parsers: Vec::new(),
            path_secrets: Vec::new(),
            seen: SEEN,
        }
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
        ReportRequest::from_http(&self.0.origin, method, target, headers, body)
    }

    /// Returns whether a vendor has a route.
    #[must_use]
    pub fn has(&self, vendor: &str) -> bool {
        self.0.vendors.contains_key(vendor)
    }

    /// Verifies a request, stores its reports, and returns the response.
    pub async fn receive(&self, vendor: &str, request: &ReportRequest<'_>) -> Reply {
        self.receive_at(vendor, request, std::time::SystemTime::now().into())
            .await
    }

    /// Receives a request as [`receive`](Self::receive) does. A signature is too old or not as of `now`.
    pub async fn receive_at(
        &self,
        name: &str,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Reply {
        let vendor = match self.vendor(name, request.url()) {
            Ok(vendor) => vendor,
            Err(reply) => return reply,
        };
        if request.body().len() > Self::BODY_LIMIT {
            return Reply::TOO_LARGE;
        }
        let result = vendor.parser.parse(request, now);
        match &result {
            Err(error) if error.kind() == ReportErrorKind::Malformed => {
                count::report(name, "malformed");
                // Whoever captured a request can repeat it.
                if let Some(more) = self.0.refusals.tell(name, &error.to_string()) {
                    tracing::warn!(vendor = name, %error, more, "a delivery report cannot be read");
                }
            }
            Err(error) => {
                self.refused(name, &error.to_string());
                // The secret in the path is all that such a vendor proves.
                if vendor.parser.authenticity() == Authenticity::Unsigned {
                    return Reply::NOT_FOUND;
                }
            }
            Ok(reports) => {
                let digest = vendor.digest(name, request);
                let storing = match self.0.seen.look_up(digest, MAX_STORE).await {
                    Known::New(storing) => storing,
                    Known::Stored => {
                        count::report(name, "repeated");
                        return vendor.reply(&result);
                    }
                    // The first one may still fail, and the vendor repeats no request that was answered.
                    Known::Storing => {
                        count::report(name, "not_stored");
                        return Reply::UNAVAILABLE;
                    }
                };
                if let Err(reply) = self.store(name, reports, now).await {
                    count::report(name, "not_stored");
                    return reply;
                }
                storing.stored();
                count::report(name, "stored");
            }
        }
        vendor.reply(&result)
    }

    /// Returns the vendor of a route, if the URL has the secret that the route needs.
    fn vendor(&self, name: &str, url: &str) -> Result<&Vendor, Reply> {
        let vendor = self.0.vendors.get(name).ok_or(Reply::NOT_FOUND)?;
        let secrets = vendor.path_secrets.as_ref();
        if secrets.is_none_or(|secrets| secrets.verify(url).is_ok()) {
            return Ok(vendor);
        }
        self.refused(name, "the secret in the path is wrong or missing");
        Err(Reply::NOT_FOUND)
    }

    /// Refuses a request before its body is read, if its path is enough for that.
    #[cfg(feature = "axum")]
    pub(crate) fn refuses(&self, name: &str, target: &str) -> Option<Reply> {
        let headers: [(&str, &str); 0] = [];
        let headers = headers.iter().map(|(name, value)| (*name, *value));
        let request = self.request("", target, headers, b"");
        self.vendor(name, request.url()).err()
    }

    async fn store(
        &self,
        vendor: &str,
        reports: &[DeliveryReport],
        now: DateTime<Utc>,
    ) -> Result<(), Reply> {
        let store = async {
            let mut is_complete = true;
            for report in reports {
                if let Some(at) = report.at {
                    let lag = now.signed_duration_since(at).to_std().unwrap_or_default();
                    count::report_lag(vendor, lag.as_secs_f64());
                }
                let stored = self.0.sink.store(report).await?;
                is_complete &= stored == Stored::Known || !is_early(report, now);
            }
            Ok(if is_complete {
                Ok(())
            } else {
                Err(Reply::UNAVAILABLE)
            })
        };
        let stored = tokio::time::timeout(MAX_STORE, store).await;
        let stored = stored.unwrap_or_else(|_| Err(ReportSinkError::new("it took too long")));
        stored.unwrap_or_else(|error| {
            tracing::error!(vendor, %error, "a delivery report was not stored");
            Err(Reply::UNAVAILABLE)
        })
    }

    /// Logs a refusal, at most once a second for each vendor and reason.
    fn refused(&self, vendor: &str, reason: &str) {
        count::report(vendor, "refused");
        if let Some(more) = self.0.refusals.tell(vendor, reason) {
            tracing::warn!(vendor, reason, more, "a delivery report was refused");
        }
    }
}

/// Returns whether the message of a report may just not be stored yet.
fn is_early(report: &DeliveryReport, now: DateTime<Utc>) -> bool {
    let is_fresh = |at: DateTime<Utc>| now.signed_duration_since(at).abs() < FRESH;
    report.reference.is_none() && report.id.is_some() && report.at.is_some_and(is_fresh)
}

impl Vendor {
    fn reply(&self, result: &Result<Vec<DeliveryReport>, ReportError>) -> Reply {
        let (status, body) = self.parser.reply(result);
        Reply::new(status, body)
    }

    fn digest(&self, vendor: &str, request: &ReportRequest<'_>) -> Digest {
        let url = match self.parser.authenticity() {
            // The rest of the request is anybody's.
            Authenticity::BodyOnly => "",
            Authenticity::Signed | Authenticity::Unsigned => request.url(),
        };
        let parts = [vendor.as_bytes(), url.as_bytes(), request.body()];
        // No part can end where another one would.
        let digests: Vec<u8> = parts.iter().flat_map(|part| sha256(part)).collect();
        sha256(&digests)
    }
}

impl ReportsBuilder {
    /// Adds a vendor, by the name in its path. A later parser of the same vendor replaces the earlier one.
    pub fn with_vendor(mut self, vendor: impl Into<String>, parser: impl ReportParser) -> Self {
        self.parsers.push((vendor.into(), Arc::new(parser)));
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
        let secrets = secrets.into_iter().map(Into::into).collect();
        self.path_secrets.push((vendor.into(), secrets));
        self
    }

    /// Sets how many requests are remembered. Defaults to 100,000, about 10 MB.
    pub const fn with_seen(mut self, requests: NonZeroUsize) -> Self {
        self.seen = requests;
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
        // The rules of a base URL: https, or http on loopback; no query and no credentials.
        BaseUrl::parse(&self.origin).map_err(|error| {
            ConfigError::new("invalid origin: expected https://HOST, or http on loopback")
                .with_source(error)
        })?;
        let mut vendors = BTreeMap::new();
        for (name, parser) in self.parsers {
            let vendor = Vendor {
                parser,
                path_secrets: None,
            };
            vendors.insert(name, vendor);
        }
        let mut path_secrets: BTreeMap<String, Vec<SecretString>> = BTreeMap::new();
        for (name, secrets) in self.path_secrets {
            path_secrets.entry(name).or_default().extend(secrets);
        }
        for (name, secrets) in path_secrets {
            let vendor = vendors.get_mut(&name).ok_or_else(|| {
                ConfigError::new(format!(
                    "a path secret is set for {name}, which has no parser of delivery reports"
                ))
            })?;
            vendor.path_secrets = Some(PathSecrets::new(name, secrets)?);
        }
        if vendors.is_empty() {
            return Err(ConfigError::new(
                "no vendor has a parser of delivery reports",
            ));
        }
        let is_open = |vendor: &Vendor| {
            vendor.path_secrets.is_none() && vendor.parser.authenticity() == Authenticity::BodyOnly
        };
        if let Some((name, _)) = vendors.iter().find(|(_, vendor)| is_open(vendor)) {
            return Err(ConfigError::new(format!(
                "{name} signs only the body of a report: set a secret of yours for its path, /reports/{name}/SECRET"
            )));
        }
        Ok(Reports(Arc::new(Inner {
            origin: self.origin,
            vendors,
            sink: self.sink,
            seen: Seen::new(self.seen),
            refusals: Quiet::new(),
        })))
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reports")
            .field("vendors", &self.0.vendors.keys())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ReportsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vendors: Vec<_> = self.parsers.iter().map(|(vendor, _)| vendor).collect();
        f.debug_struct("ReportsBuilder")
            .field("vendors", &vendors)
            .finish_non_exhaustive()
    }
}
