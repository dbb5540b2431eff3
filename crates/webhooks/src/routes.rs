//! What the routes of delivery reports and of inbound texts have in common.

use std::{
    collections::BTreeMap, fmt, future::Future, num::NonZeroUsize, sync::Arc, time::Duration,
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, ReportError, ReportErrorKind, ReportRequest, ReportSinkError,
    SecretString,
};
use postduif_http::{
    BaseUrl,
    vendor::{reports::PathSecrets, signature::sha256},
};

use crate::{
    Reply,
    clock::can_wait,
    count,
    quiet::Quiet,
    seen::{Digest, Known, Seen},
};

/// The maximum length of a body in bytes.
pub(crate) const BODY_LIMIT: usize = 256 * 1024;

/// The default number of requests that are remembered.
const SEEN: NonZeroUsize = NonZeroUsize::new(100_000).expect("100,000 is not zero");

/// The most time that a sink has for everything in a request.
const MAX_STORE: Duration = Duration::from_secs(5);

/// What the requests to a route hold.
pub(crate) trait Kind: 'static {
    type Parser: ?Sized + Send + Sync;
    type Sink: ?Sized + Send + Sync;
    type Item: Send + Sync;

    /// The first segment of the path.
    const PATH: &'static str;
    /// One of them, and all of them, as an operator reads it.
    const ONE: &'static str;
    const ALL: &'static str;
    /// The counter of requests.
    const COUNTER: &'static str;

    fn authenticity(parser: &Self::Parser) -> Authenticity;

    fn parse(
        parser: &Self::Parser,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Self::Item>, ReportError>;

    fn reply(
        parser: &Self::Parser,
        result: &Result<Vec<Self::Item>, ReportError>,
    ) -> (u16, &'static str);

    /// Returns whether an equal one can only be a repetition.
    fn is_distinct(item: &Self::Item) -> bool;

    /// Stores one of them. `false` if the vendor should send it again.
    fn store(
        sink: &Self::Sink,
        vendor: &str,
        item: &Self::Item,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<bool, ReportSinkError>> + Send;
}

/// The routes of one kind.
pub(crate) struct Routes<K: Kind> {
    origin: String,
    vendors: BTreeMap<String, Vendor<K>>,
    sink: Arc<K::Sink>,
    seen: Seen,
    refusals: Quiet,
}

struct Vendor<K: Kind> {
    parser: Arc<K::Parser>,
    path_secrets: Option<PathSecrets>,
}

impl<K: Kind> Routes<K> {
    pub(crate) fn request<'a, N, V>(
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
        ReportRequest::from_http(&self.origin, method, target, headers, body)
    }

    pub(crate) fn has(&self, vendor: &str) -> bool {
        self.vendors.contains_key(vendor)
    }

    pub(crate) async fn receive(
        &self,
        name: &str,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Reply {
        let vendor = match self.vendor(name, request.url()) {
            Ok(vendor) => vendor,
            Err(reply) => return reply,
        };
        if request.body().len() > BODY_LIMIT {
            return Reply::TOO_LARGE;
        }
        let result = K::parse(&vendor.parser, request, now);
        match &result {
            Err(error) if error.kind() == ReportErrorKind::Malformed => {
                count::request(K::COUNTER, name, "malformed");
                // Whoever captured a request can repeat it.
                if let Some(more) = self.refusals.tell(name, &error.to_string()) {
                    tracing::warn!(vendor = name, %error, more, "{} cannot be read", K::ONE);
                }
            }
            Err(error) => {
                self.refused(name, &error.to_string());
                // The secret in the path is all that such a vendor proves.
                if K::authenticity(&vendor.parser) == Authenticity::Unsigned {
                    return Reply::NOT_FOUND;
                }
            }
            Ok(_) if !can_wait() => {
                count::request(K::COUNTER, name, "not_stored");
                return Reply::UNAVAILABLE;
            }
            Ok(items) => {
                let digest = vendor.digest(name, request);
                let storing = match self.seen.look_up(digest, MAX_STORE).await {
                    Known::New(storing) => storing,
                    Known::Stored => {
                        count::request(K::COUNTER, name, "repeated");
                        return vendor.reply(&result);
                    }
                    // The first one may still fail, and the vendor repeats no request that was answered.
                    Known::Storing => {
                        count::request(K::COUNTER, name, "not_stored");
                        return Reply::UNAVAILABLE;
                    }
                };
                if let Err(reply) = self.store(name, items, now).await {
                    count::request(K::COUNTER, name, "not_stored");
                    return reply;
                }
                if items.iter().all(K::is_distinct) {
                    storing.stored();
                }
                count::request(K::COUNTER, name, "stored");
            }
        }
        vendor.reply(&result)
    }

    /// Returns the vendor of a route, if the URL has the secret that the route needs.
    fn vendor(&self, name: &str, url: &str) -> Result<&Vendor<K>, Reply> {
        let vendor = self.vendors.get(name).ok_or(Reply::NOT_FOUND)?;
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
        items: &[K::Item],
        now: DateTime<Utc>,
    ) -> Result<(), Reply> {
        let store = async {
            let mut is_complete = true;
            for item in items {
                is_complete &= K::store(&self.sink, vendor, item, now).await?;
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
            tracing::error!(vendor, %error, "{} was not stored", K::ONE);
            Err(Reply::UNAVAILABLE)
        })
    }

    /// Logs a refusal, at most once a second for each vendor and reason.
    fn refused(&self, vendor: &str, reason: &str) {
        count::request(K::COUNTER, vendor, "refused");
        if let Some(more) = self.refusals.tell(vendor, reason) {
            tracing::warn!(vendor, reason, more, "{} was refused", K::ONE);
        }
    }
}

impl<K: Kind> Vendor<K> {
    fn reply(&self, result: &Result<Vec<K::Item>, ReportError>) -> Reply {
        let (status, body) = K::reply(&self.parser, result);
        Reply::new(status, body)
    }

    fn digest(&self, vendor: &str, request: &ReportRequest<'_>) -> Digest {
        let url = match K::authenticity(&self.parser) {
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

/// A builder of [`Routes`].
pub(crate) struct Builder<K: Kind> {
    pub(crate) origin: String,
    pub(crate) sink: Arc<K::Sink>,
    pub(crate) parsers: Vec<(String, Arc<K::Parser>)>,
    pub(crate) path_secrets: Vec<(String, Vec<SecretString>)>,
    pub(crate) seen: NonZeroUsize,
}

impl<K: Kind> Builder<K> {
    pub(crate) fn new(origin: String, sink: Arc<K::Sink>) -> Self {
        Self {
            origin,
            sink,
            parsers: Vec::new(),
            path_secrets: Vec::new(),
            seen: SEEN,
        }
    }

    pub(crate) fn with_path_secrets(
        &mut self,
        vendor: String,
        secrets: impl IntoIterator<Item = impl Into<SecretString>>,
    ) {
        let secrets = secrets.into_iter().map(Into::into).collect();
        self.path_secrets.push((vendor, secrets));
    }

    pub(crate) fn build(self) -> Result<Arc<Routes<K>>, ConfigError> {
        // The rules of a base URL: https, or http on loopback; no query and no credentials.
        BaseUrl::parse(&self.origin).map_err(|error| {
            ConfigError::new("invalid origin: expected https://HOST, or http on loopback")
                .with_source(error)
        })?;
        let all = K::ALL;
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
            let vendor: &mut Vendor<K> = vendors.get_mut(&name).ok_or_else(|| {
                ConfigError::new(format!(
                    "a path secret is set for {name}, which has no parser of {all}"
                ))
            })?;
            vendor.path_secrets = Some(PathSecrets::new(name, secrets)?);
        }
        if vendors.is_empty() {
            return Err(ConfigError::new(format!("no vendor has a parser of {all}")));
        }
        let is_open = |vendor: &Vendor<K>| {
            vendor.path_secrets.is_none()
                && K::authenticity(&vendor.parser) == Authenticity::BodyOnly
        };
        if let Some((name, _)) = vendors.iter().find(|(_, vendor)| is_open(vendor)) {
            let (one, path) = (K::ONE, K::PATH);
            return Err(ConfigError::new(format!(
                "{name} signs only the body of {one}: set a secret of yours for its path, /{path}/{name}/SECRET"
            )));
        }
        Ok(Arc::new(Routes {
            origin: self.origin,
            vendors,
            sink: self.sink,
            seen: Seen::new(self.seen),
            refusals: Quiet::new(),
        }))
    }
}

impl<K: Kind> fmt::Debug for Routes<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("vendors", &self.vendors.keys())
            .finish_non_exhaustive()
    }
}

impl<K: Kind> fmt::Debug for Builder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vendors: Vec<_> = self.parsers.iter().map(|(vendor, _)| vendor).collect();
        f.debug_struct("Builder")
            .field("vendors", &vendors)
            .finish_non_exhaustive()
    }
}
