//! Verifying who calls: the access tokens of call-outs.

mod error;
mod json;
mod keys;
mod token;

use std::{future::Future, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{ConfigError, Guid};
use postduif_http::Client;

use crate::{Cloud, credential::check_tenant};
use json::{Members, WrongType};
use keys::{Keys, Published};
use token::Token;

pub use error::{CallerError, CallerErrorKind};

/// A verifier of the callers of a service: the sender of a request must hold an access token of Microsoft Entra.
///
/// Every request to a route for call-outs goes through [`verify`](Self::verify) before anything else of it is read.
/// Create one verifier and share it, since it holds the tenant's keys; a clone shares them too.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_entra as entra; }
/// use postduif::entra::{CallerErrorKind, CallerVerifier};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let verifier = CallerVerifier::builder("contoso.onmicrosoft.com")
///     .with_audiences(["api://postduif", "3f0c8a61-52a4-4f0b-9a39-0f6f2a1b7c10"])
///     .with_callers(["9b1c3e5f-2d4a-4c6e-8a90-1b2c3d4e5f60".parse()?])
///     .build()?;
///
/// // As `parts.headers` of an `http::Request`, or `request.headers()` in actix-web.
/// let headers = [("content-type", "application/json")];
/// let now = std::time::SystemTime::now().into();
/// match verifier.verify(headers, now).await {
///     Ok(caller) => println!("called by {}", caller.app_id()),
///     Err(error) => {
///         assert_eq!(error.kind(), CallerErrorKind::Missing);
///         assert_eq!((error.status(), error.www_authenticate()), (401, Some("Bearer")));
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Who calls
///
/// Entra itself calls out to Azure Logic Apps only. A service is called by a relay: a Logic App whose HTTP action sends
/// the body on, signed in with its managed identity, for the audience of the service. Its application id is the
/// caller. (Microsoft's page on custom extensions.)
///
/// Extensions from before proof of possession call with the ids of Entra's own producers:
/// `ce79fdc4-cd1d-4ea5-8139-e74d7dbe0bb7` (lifecycle workflows) and `810dcf14-1858-4bf2-8134-4c369fa3235b`
/// (entitlement management). These are the same in every tenant, so the tenant is always checked too.
///
/// # What is verified
///
/// - The request has exactly one `Authorization` header, of at most 16 KiB, with one bearer token.
/// - The token is a JSON Web Token in strict base64url, without duplicate members and without `crit`. Its algorithm is
///   RS256. Keys and addresses in its header are never used.
/// - One of the tenant's keys signed it, an RSA key of 2048 to 8192 bits.
/// - `iss` is the tenant's own issuer for v1.0 or v2.0 tokens, as its metadata states it, and `tid` is the tenant.
/// - `aud` is one of the audiences, exactly. A list of audiences is refused.
/// - `exp` and `nbf` are present and hold, with a leeway of 60 seconds.
/// - The application is one of the callers: `azp` in a v2.0 token, `appid` in a v1.0 token. If both are present they are
///   equal.
/// - It is an application's own token: one with `scp`, or with another `idtyp` than `app`, is a user's.
///
/// The claims are read only once the signature is verified.
///
/// # Keys
///
/// Keys are those of the tenant's metadata at the login authority of the [`Cloud`], from the same host only. They are
/// fetched for the first token, or by [`load_keys`](Self::load_keys), and again when they are 24 hours old.
///
/// A token with an unknown key id causes a fetch too, at most once in five minutes, whether it succeeds or not. Concurrent
/// requests share one fetch, which ends within 8 seconds. A failed fetch keeps the keys that there are, and no token
/// with a known key waits for a fetch. [`failed_fetches`](Self::failed_fetches) tells of it.
#[derive(Clone, Debug)]
pub struct CallerVerifier {
    keys: Keys,
    audiences: Vec<String>,
    callers: Vec<Guid>,
}

impl CallerVerifier {
    /// Creates a builder for a verifier of callers in `tenant`: the tenant's id or one of its verified domains.
    ///
    /// The id is safer. For a domain, the tenant is the one that the login service states.
    pub fn builder(tenant: impl Into<String>) -> CallerVerifierBuilder {
        CallerVerifierBuilder {
            tenant: tenant.into(),
            cloud: Cloud::GLOBAL,
            client: None,
            audiences: Vec::new(),
            callers: Vec::new(),
        }
    }

    /// Verifies the caller of a request that was received at `now`.
    ///
    /// `headers` are all headers of the request, so that a second `Authorization` is noticed.
    ///
    /// # Errors
    ///
    /// Returns an error with the response's status: 401, or 503 if the tenant's keys were never fetched and cannot be
    /// fetched now.
    pub fn verify<'a, N, V>(
        &self,
        headers: impl IntoIterator<Item = (&'a N, &'a V)>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Caller, CallerError>> + Send
    where
        N: AsRef<str> + ?Sized + 'a,
        V: AsRef<[u8]> + ?Sized + 'a,
    {
        let token = Token::of_request(headers);
        async move {
            let token = token?;
            let published = self.keys.with_key(&token.key_id).await?;
            let is_signed = published
                .key(&token.key_id)
                .is_some_and(|key| key.is_signature(&token.signed, &token.signature));
            if !is_signed {
                return Err(CallerError::new(
                    CallerErrorKind::Forged,
                    "the token is not signed with the tenant's key",
                ));
            }
            self.check(&token.claims, &published, now)
        }
    }

    /// Fetches the tenant's keys, unless there are some already.
    ///
    /// A service that calls it as it starts responds to its first request without delay. It also checks that the tenant
    /// and the login authority are right.
    ///
    /// # Errors
    ///
    /// Returns `Unavailable`, whose [`source`](std::error::Error::source) is the cause. The next request tries again.
    pub async fn load_keys(&self) -> Result<(), CallerError> {
        self.keys.load().await
    }

    /// Returns the age of the tenant's keys. `None` before they were fetched.
    ///
    /// They are renewed by the first request after 24 hours, so that an older age alone is no fault.
    #[must_use]
    pub fn keys_age(&self) -> Option<Duration> {
        self.keys.age()
    }

    /// Returns how many fetches of keys failed since the last one that succeeded.
    ///
    /// Above zero, the login service cannot be reached or its metadata cannot be used. Tokens are verified with the keys
    /// that there are, so nothing else shows it until the tenant's keys change. It is also logged, at `WARN`, at most once
    /// in 15 minutes.
    #[must_use]
    pub fn failed_fetches(&self) -> u32 {
        self.keys.failures()
    }

    /// Checks the claims of a token whose signature is verified.
    fn check(
        &self,
        claims: &[u8],
        published: &Published,
        now: DateTime<Utc>,
    ) -> Result<Caller, CallerError> {
        const INVALID: CallerError =
            CallerError::claims("the claims are not a JSON object without duplicates");
        let claims = Claims(Members::read(claims, MAX_CLAIMS).ok_or(INVALID)?);
        let refused = |kind, message| Err(CallerError::new(kind, message));

        let now = seconds(now);
        let (exp, nbf) = (claims.date("exp")?, claims.date("nbf")?);
        if now >= exp + LEEWAY.as_secs_f64() {
            return refused(CallerErrorKind::Expired, "the token has expired");
        }
        if now < nbf - LEEWAY.as_secs_f64() {
            return refused(CallerErrorKind::NotYetValid, "the token is not valid yet");
        }

        let issuer = claims.text("iss")?;
        let (own, other) = match issuer {
            _ if issuer == published.issuers.v2 => ("azp", "appid"),
            _ if issuer == published.issuers.v1 => ("appid", "azp"),
            _ => {
                return refused(
                    CallerErrorKind::Issuer,
                    "the token was issued by another issuer",
                );
            }
        };
        if claims.id("tid")? != published.tenant {
            return refused(
                CallerErrorKind::Issuer,
                "the token was issued for another tenant",
            );
        }
        let audience = claims.text("aud")?;
        if !self.audiences.iter().any(|known| known == audience) {
            return refused(
                CallerErrorKind::Audience,
                "the token is for another audience",
            );
        }

        let app_id = claims.id(own)?;
        if claims.0.has(other) && claims.id(other)? != app_id {
            return Err(CallerError::claims("the token names two applications"));
        }
        if !self.callers.contains(&app_id) {
            return refused(
                CallerErrorKind::Caller,
                "the application is not in the list of callers",
            );
        }
        if claims.0.has("scp") || claims.0.has("idtyp") && claims.text("idtyp")? != "app" {
            return refused(
                CallerErrorKind::User,
                "the token is not an application's own",
            );
        }
        Ok(Caller {
            app_id,
            tenant: published.tenant,
            object_id: claims.id("oid").ok(),
        })
    }
}

/// The claims of a token.
struct Claims(Members);

impl Claims {
    fn text(&self, name: &str) -> Result<&str, CallerError> {
        required(self.0.text(name))
    }

    fn id(&self, name: &str) -> Result<Guid, CallerError> {
        self.text(name)?
            .parse()
            .map_err(|_| CallerError::claims("a claim is not a GUID"))
    }

    /// Returns a date in seconds since 1970.
    fn date(&self, name: &str) -> Result<f64, CallerError> {
        let date = required(self.0.number(name))?;
        if (0.0..MAX_DATE).contains(&date) {
            Ok(date)
        } else {
            Err(CallerError::claims("a claim is not a date"))
        }
    }
}

fn required<T>(claim: Result<Option<T>, WrongType>) -> Result<T, CallerError> {
    match claim {
        Ok(Some(claim)) => Ok(claim),
        Ok(None) => Err(CallerError::claims("a required claim is missing")),
        Err(WrongType) => Err(CallerError::claims("a claim has another type")),
    }
}

fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_millis() as f64 / 1000.0
}

/// The allowance for clocks that differ, the usual one of libraries for these tokens.
const LEEWAY: Duration = Duration::from_secs(60);
/// The maximum number of claims. Entra's tokens have up to about forty.
const MAX_CLAIMS: usize = 128;
/// The year 10000.
const MAX_DATE: f64 = 253_402_300_800.0;

/// A verified caller: an application with a valid token for this service.
///
/// Only [`CallerVerifier::verify`] creates one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    app_id: Guid,
    tenant: Guid,
    object_id: Option<Guid>,
}

impl Caller {
    /// Returns the application's id (`azp` or `appid`), one of the verifier's callers.
    #[must_use]
    pub const fn app_id(&self) -> Guid {
        self.app_id
    }

    /// Returns the tenant's id (`tid`).
    #[must_use]
    pub const fn tenant(&self) -> Guid {
        self.tenant
    }

    /// Returns the object id of the service principal or managed identity (`oid`). `None` if the token has none.
    #[must_use]
    pub const fn object_id(&self) -> Option<Guid> {
        self.object_id
    }
}

/// A builder for a [`CallerVerifier`]. [`build`](Self::build) checks all options.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is built"]
pub struct CallerVerifierBuilder {
    tenant: String,
    cloud: Cloud,
    client: Option<Client>,
    audiences: Vec<String>,
    callers: Vec<Guid>,
}

impl CallerVerifierBuilder {
    /// Sets the tenant's cloud. Defaults to [`Cloud::GLOBAL`].
    pub fn with_cloud(mut self, cloud: Cloud) -> Self {
        self.cloud = cloud;
        self
    }

    /// Sets the HTTP client that fetches the keys. Defaults to the one that all providers [share](Client::shared).
    pub fn with_client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Sets the audiences, of which a token must name one: the application id of the service, or its application id URI.
    /// At least one is required.
    ///
    /// A v2.0 token always names the id. A v1.0 token names what the caller requested.
    pub fn with_audiences<A: Into<String>>(
        mut self,
        audiences: impl IntoIterator<Item = A>,
    ) -> Self {
        self.audiences = audiences.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the application ids of the callers. At least one is required.
    pub fn with_callers(mut self, callers: impl IntoIterator<Item = Guid>) -> Self {
        self.callers = callers.into_iter().collect();
        self
    }

    /// Builds the verifier, without any request.
    ///
    /// # Errors
    ///
    /// Returns an error if the tenant, an audience or a caller is missing or invalid, or if the HTTP client cannot be
    /// built. An audience of Microsoft's own, such as Graph, is invalid: tokens for it are not meant for this service.
    pub fn build(self) -> Result<CallerVerifier, ConfigError> {
        check_tenant(&self.tenant)?;
        if self.audiences.is_empty() {
            return Err(ConfigError::new(
                "no audience: give the application id of this service, or its application id URI",
            ));
        }
        if self.callers.is_empty() {
            return Err(ConfigError::new(
                "no caller: give the application ids that may call",
            ));
        }
        if self.callers.iter().any(|caller| caller.as_u128() == 0) {
            return Err(ConfigError::new(
                "invalid caller: expected an application id that is not all zeros",
            ));
        }
        let audiences = self.audiences.into_iter().map(audience);
        Ok(CallerVerifier {
            audiences: audiences.collect::<Result<_, _>>()?,
            callers: self.callers,
            keys: Keys::new(
                self.client.map_or_else(Client::shared, Ok)?,
                self.cloud.login()?,
                self.tenant,
            ),
        })
    }
}

/// Checks an audience, and returns it as tokens write it.
fn audience(audience: String) -> Result<String, ConfigError> {
    if audience.is_empty() || !audience.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ConfigError::new(
            "invalid audience: expected printable ASCII without spaces",
        ));
    }
    let name = audience.to_ascii_lowercase();
    let name = name.strip_prefix("https://").unwrap_or(&name);
    let host = name.split(['/', ':']).next().unwrap_or_default();
    if MICROSOFTS_OWN.contains(&host) {
        return Err(ConfigError::new(
            "invalid audience: expected one of this service, not one of Microsoft's",
        ));
    }
    // Entra writes GUIDs in lower case.
    Ok(match audience.parse::<Guid>() {
        Ok(id) => id.to_string(),
        Err(_) => audience,
    })
}

/// The resources for which many applications hold tokens: Graph, its predecessor, and Azure's Resource Manager and Key
/// Vault, in each cloud, by id and by host.
const MICROSOFTS_OWN: &[&str] = &[
    "00000002-0000-0000-c000-000000000000",
    "00000003-0000-0000-c000-000000000000",
    "797f4846-ba00-4fd7-ba43-dac1f8f63013",
    "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
    "dod-graph.microsoft.us",
    "graph.microsoft.com",
    "graph.microsoft.us",
    "graph.windows.net",
    "management.azure.com",
    "management.chinacloudapi.cn",
    "management.core.chinacloudapi.cn",
    "management.core.usgovcloudapi.net",
    "management.core.windows.net",
    "management.usgovcloudapi.net",
    "microsoftgraph.chinacloudapi.cn",
    "vault.azure.cn",
    "vault.azure.net",
    "vault.usgovcloudapi.net",
];
