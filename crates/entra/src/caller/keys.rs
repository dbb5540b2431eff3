//! What a tenant publishes: its issuers and its keys.

use std::{
    fmt,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postduif_core::{ErrorKind, Guid, SendError};
use postduif_http::{
    BaseUrl, Client, Request,
    auth::SharedFetch,
    vendor::signature::{Rs256PublicKey, unbase64_url},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::Instant;

use super::{CallerError, CallerErrorKind, token::MAX_KEY_ID};

/// The age at which keys are fetched again, as in Microsoft's own libraries.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// The minimum time between two fetches while there are keys, as in Microsoft's own libraries. Otherwise anyone could
/// cause a fetch with each request, by a made-up key id.
const FETCH_PAUSE: Duration = Duration::from_secs(5 * 60);
/// The time without a fetch after a failure while there are no keys, and its maximum if the server states one.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);
const MAX_FAILURE_PAUSE: Duration = Duration::from_secs(60);
/// The minimum time between two warnings about fetches that fail while there are keys.
const WARNING_PAUSE: Duration = Duration::from_secs(15 * 60);
/// The maximum number of keys. Entra's cloud has about ten.
const MAX_KEYS: usize = 100;
/// The place of the tenant's id in the issuer of a key that several tenants share.
const ANY_TENANT: &str = "{tenantid}";

/// A cache of what a tenant publishes.
#[derive(Clone)]
pub(super) struct Keys(Arc<Inner>);

struct Inner {
    client: Client,
    authority: BaseUrl,
    tenant: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    fetching: Option<SharedFetch<Arc<Published>>>,
    /// How many fetches have begun.
    fetches: u64,
    /// Which of them fetched the current keys.
    stored: u64,
    began_at: Option<Instant>,
    /// Why there are no keys, and when a fetch may begin.
    failed: Option<(SendError, Instant)>,
    /// How many fetches failed since the last one that succeeded.
    failures: u32,
    warned_at: Option<Instant>,
}

struct Current {
    published: Arc<Published>,
    fetched_at: Instant,
}

/// What a tenant publishes.
pub(super) struct Published {
    pub(super) tenant: Guid,
    pub(super) issuers: Issuers,
    keys: Vec<(String, Rs256PublicKey)>,
}

/// The issuers of a tenant's tokens.
pub(super) struct Issuers {
    pub(super) v1: String,
    pub(super) v2: String,
}

impl Keys {
    pub(super) fn new(client: Client, authority: BaseUrl, tenant: String) -> Self {
        Self(Arc::new(Inner {
            client,
            authority,
            tenant,
            state: Mutex::default(),
        }))
    }

    /// Returns what the tenant publishes, which includes a key with this id.
    pub(super) async fn with_key(&self, id: &str) -> Result<Arc<Published>, CallerError> {
        const UNKNOWN: CallerError = CallerError::new(
            CallerErrorKind::UnknownKey,
            "the tenant has no key with the token's key id",
        );
        let next = || {
            let mut state = self.0.state();
            match &state.current {
                Some(current) if current.published.key(id).is_some() => {
                    let published = Arc::clone(&current.published);
                    if current.fetched_at.elapsed() >= MAX_AGE {
                        // Not waited for: the token is verified with the key that there is.
                        let _ = self.refresh(&mut state);
                    }
                    Ok(ControlFlow::Break(published))
                }
                Some(_) => self
                    .refresh(&mut state)
                    .map(ControlFlow::Continue)
                    .ok_or(UNKNOWN),
                None => self.first(&mut state).map(ControlFlow::Continue),
            }
        };
        match SharedFetch::wait_for(next).await? {
            Ok(published) if published.key(id).is_some() => Ok(published),
            Ok(_) => Err(UNKNOWN),
            Err(error) => Err(self.unavailable(error).unwrap_or(UNKNOWN)),
        }
    }

    /// Fetches the keys unless there are some.
    pub(super) async fn load(&self) -> Result<(), CallerError> {
        let next = || {
            let mut state = self.0.state();
            match &state.current {
                Some(current) => Ok(ControlFlow::Break(Arc::clone(&current.published))),
                None => self.first(&mut state).map(ControlFlow::Continue),
            }
        };
        match SharedFetch::wait_for(next).await? {
            Ok(_) => Ok(()),
            Err(error) => self.unavailable(error).map_or(Ok(()), Err),
        }
    }

    /// Returns for how long there have been these keys.
    pub(super) fn age(&self) -> Option<Duration> {
        let state = self.0.state();
        state
            .current
            .as_ref()
            .map(|current| current.fetched_at.elapsed())
    }

    /// Returns how many fetches failed since the last one that succeeded.
    pub(super) fn failures(&self) -> u32 {
        self.0.state().failures
    }

    /// Returns the first fetch, unless one failed a moment ago.
    fn first(&self, state: &mut State) -> Result<SharedFetch<Arc<Published>>, CallerError> {
        if let Some((error, until)) = &state.failed {
            let wait = until.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                return Err(CallerError::unavailable(wait, error.clone()));
            }
        }
        Ok(self.join(state))
    }

    /// Returns the fetch in progress, or starts one unless one began a moment ago.
    fn refresh(&self, state: &mut State) -> Option<SharedFetch<Arc<Published>>> {
        let is_due = state
            .began_at
            .is_none_or(|began_at| began_at.elapsed() >= FETCH_PAUSE);
        // One that was not settled runs, or was lost with its runtime.
        (is_due || state.fetching.is_some()).then(|| self.join(state))
    }

    /// Returns the fetch in progress, or starts one.
    fn join(&self, state: &mut State) -> SharedFetch<Arc<Published>> {
        if let Some(fetching) = state.fetching.clone().filter(SharedFetch::is_running) {
            return fetching;
        }
        state.fetches += 1;
        state.began_at = Some(Instant::now());
        let (turn, inner, owner) = (state.fetches, Arc::clone(&self.0), Arc::clone(&self.0));
        let fetching =
            SharedFetch::start("keys", async move { inner.fetch().await }, move |fetched| {
                owner.settle(turn, fetched)
            });
        state.fetching = Some(fetching.clone());
        fetching
    }

    /// Returns the error of a failed fetch if there are no keys.
    fn unavailable(&self, error: SendError) -> Option<CallerError> {
        let state = self.0.state();
        let pause = pause(&error);
        let unavailable = CallerError::unavailable(pause, error);
        state.current.is_none().then_some(unavailable)
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the outcome of a fetch. A failure keeps the keys that there are. A slow fetch may end after the one that
    /// replaced it, and is stored unless that one has stored its own.
    fn settle(
        &self,
        turn: u64,
        fetched: Result<Published, SendError>,
    ) -> Result<Arc<Published>, SendError> {
        let fetched = fetched.map(Arc::new);
        let mut state = self.state();
        let is_last = state.fetches == turn;
        if is_last {
            state.fetching = None;
        }
        match &fetched {
            Ok(published) if turn > state.stored => {
                state.stored = turn;
                state.failed = None;
                state.renewed();
                state.current = Some(Current {
                    published: Arc::clone(published),
                    fetched_at: Instant::now(),
                });
            }
            // The runtime of one caller, not the server: the next caller may have another.
            Err(error) if is_last && error.is_local() => state.began_at = None,
            Err(error) if is_last => {
                state.not_renewed(error);
                state.failed = Some((error.clone(), Instant::now() + pause(error)));
            }
            Ok(_) | Err(_) => {}
        }
        fetched
    }

    async fn fetch(&self) -> Result<Published, SendError> {
        #[derive(Deserialize)]
        struct Metadata {
            issuer: String,
        }
        #[derive(Deserialize)]
        struct MetadataWithKeys {
            issuer: String,
            jwks_uri: String,
        }
        #[derive(Deserialize)]
        struct KeySet {
            keys: Vec<Value>,
        }
        let path =
            |version: &str| format!("/{}{version}/.well-known/openid-configuration", self.tenant);
        let v2: MetadataWithKeys = self.get(&self.authority, &path("/v2.0")).await?;
        let v1: Metadata = self.get(&self.authority, &path("")).await?;
        // A configured domain is of the tenant whose id the login service states.
        let configured: Option<Guid> = self.tenant.parse().ok();
        let tenant = tenant_of(&v2.issuer, "v2.0")
            .filter(|id| configured.is_none_or(|configured| configured == *id))
            .filter(|id| tenant_of(&v1.issuer, "") == Some(*id))
            .ok_or_else(|| unusable("the metadata is of another tenant"))?;
        let issuers = Issuers {
            v1: v1.issuer,
            v2: v2.issuer,
        };
        let location = BaseUrl::parse(&v2.jwks_uri)
            .ok()
            .filter(|location| location.has_origin_of(&self.authority))
            .ok_or_else(|| unusable("the metadata names keys of another host"))?;
        // Both versions of tokens are signed with these, as Microsoft.IdentityModel verifies them too.
        let set: KeySet = self.get(&location, "").await?;
        if set.keys.len() > MAX_KEYS {
            return Err(unusable("the tenant has too many keys"));
        }
        let keys: Vec<_> = set
            .keys
            .iter()
            .filter_map(|key| issuers.key(key, tenant))
            .collect();
        if keys.is_empty() {
            return Err(unusable("the tenant has no usable key"));
        }
        Ok(Published {
            tenant,
            issuers,
            keys,
        })
    }

    async fn get<T: DeserializeOwned>(&self, base: &BaseUrl, path: &str) -> Result<T, SendError> {
        let request = Request::get(base, path).with_header("accept", "application/json");
        let response = self.client.ask(request).await?;
        match response.status() {
            200 => response.json(),
            _ => Err(response.refused(None)),
        }
    }
}

impl State {
    fn renewed(&mut self) {
        if self.warned_at.take().is_some() {
            tracing::info!("the tenant's keys were renewed");
        }
        self.failures = 0;
    }

    /// Without keys every request is refused, which its service logs. With old ones nobody would notice.
    fn not_renewed(&mut self, error: &SendError) {
        self.failures = self.failures.saturating_add(1);
        let Some(current) = &self.current else {
            return;
        };
        let is_due = |warned_at: Instant| warned_at.elapsed() >= WARNING_PAUSE;
        if self.warned_at.is_none_or(is_due) {
            self.warned_at = Some(Instant::now());
            let age_seconds = current.fetched_at.elapsed().as_secs();
            let failures = self.failures;
            tracing::warn!(%error, age_seconds, failures, "the tenant's keys could not be renewed; the old ones are used");
        }
    }
}

impl Published {
    pub(super) fn key(&self, id: &str) -> Option<&Rs256PublicKey> {
        let (_, key) = self.keys.iter().find(|(known, _)| known == id)?;
        Some(key)
    }
}

impl Issuers {
    /// Reads a JSON Web Key. `None` if it is not for verifying RS256 signatures of this tenant.
    fn key(&self, key: &Value, tenant: Guid) -> Option<(String, Rs256PublicKey)> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let is_unset_or = |name: &str, value: &str| {
            key.get(name)
                .is_none_or(|given| given.as_str() == Some(value))
        };
        // A key without an issuer is one of every issuer.
        let is_ours = key.get("issuer").is_none_or(|issuer| {
            issuer.as_str().is_some_and(|issuer| {
                let issuer = issuer.replace(ANY_TENANT, &tenant.to_string());
                issuer == self.v2 || issuer == self.v1
            })
        });
        let is_usable = text("kty") == Some("RSA")
            && is_unset_or("use", "sig")
            && is_unset_or("alg", "RS256")
            && is_ours;
        let id = text("kid").filter(|id| (1..=MAX_KEY_ID).contains(&id.len()))?;
        let key = Rs256PublicKey::new(&unbase64_url(text("n")?)?, &unbase64_url(text("e")?)?)?;
        is_usable.then(|| (id.to_owned(), key))
    }
}

/// Returns the tenant's id in an issuer `https://HOST/ID/VERSION`. `None` in another form, such as that of the metadata
/// that all tenants share.
fn tenant_of(issuer: &str, version: &str) -> Option<Guid> {
    let mut parts = issuer.strip_prefix("https://")?.split('/');
    let (host, id, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole = !host.is_empty() && rest == version && parts.next().is_none();
    is_whole.then(|| id.parse().ok())?
}

fn unusable(message: &'static str) -> SendError {
    SendError::not_accepted(ErrorKind::Protocol, message)
}

fn pause(error: &SendError) -> Duration {
    error
        .retry_after()
        .unwrap_or_default()
        .clamp(FAILURE_PAUSE, MAX_FAILURE_PAUSE)
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("authority", &self.0.authority)
            .field("tenant", &self.0.tenant)
            .finish_non_exhaustive()
    }
}
