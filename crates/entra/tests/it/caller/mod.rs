//! Who may call: tokens that are refused, and the keys that verify the others.

mod hostile;
mod keys;
mod others;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use postduif_entra::{
    Caller, CallerError, CallerErrorKind, CallerVerifier, CallerVerifierBuilder, Cloud,
};
use postduif_http::BaseUrl;
use ring::{
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{RSA_PKCS1_SHA256, RsaEncoding, RsaKeyPair},
};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Respond, ResponseTemplate,
    matchers::{method, path},
};

use crate::support::TENANT;

const AUDIENCE: &str = "3f0c8a61-52a4-4f0b-9a39-0f6f2a1b7c10";
const CALLER: &str = "9b1c3e5f-2d4a-4c6e-8a90-1b2c3d4e5f60";
const OTHER_ID: &str = "0bad0000-0000-4000-8000-000000000001";
/// When requests are received here: the start of every token.
const NOW: i64 = 1_800_000_000;
const KEY_ID: &str = "tenant-key-1";

fn now() -> DateTime<Utc> {
    after(0)
}

/// Returns the time this many milliseconds after the start of every token.
fn after(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(NOW * 1000 + milliseconds).unwrap()
}

/// The key of the tenant. See `keys/README.md`.
fn tenant_key() -> RsaKeyPair {
    RsaKeyPair::from_der(include_bytes!("../keys/tenant.der")).unwrap()
}

fn other_key() -> RsaKeyPair {
    RsaKeyPair::from_der(include_bytes!("../keys/other.der")).unwrap()
}

fn encode(part: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part)
}

fn issuer(tenant: &str) -> String {
    format!("https://login.microsoftonline.com/{tenant}/v2.0")
}

fn issuer_v1(tenant: &str) -> String {
    format!("https://sts.windows.net/{tenant}/")
}

/// Returns the JSON Web Key of a key pair.
fn jwk(key: &RsaKeyPair, id: &str) -> Value {
    let public: PublicKeyComponents<Vec<u8>> = key.public().into();
    json!({"kty": "RSA", "use": "sig", "kid": id, "n": encode(public.n), "e": encode(public.e)})
}

fn header() -> Value {
    json!({"typ": "JWT", "alg": "RS256", "kid": KEY_ID, "x5t": KEY_ID})
}

/// Returns the claims of a v2.0 token that is accepted.
fn claims() -> Value {
    json!({
        "aud": AUDIENCE,
        "iss": issuer(TENANT),
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 3600,
        "azp": CALLER,
        "azpacr": "2",
        "idtyp": "app",
        "oid": "2a3b4c5d-6e7f-4081-92a3-b4c5d6e7f809",
        "roles": ["Callout"],
        "tid": TENANT,
        "ver": "2.0",
    })
}

/// Returns the claims of a v1.0 token that is accepted.
fn claims_v1() -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    members.remove("azp");
    members.insert("appid".into(), CALLER.into());
    members.insert("iss".into(), issuer_v1(TENANT).into());
    members.insert("ver".into(), "1.0".into());
    claims
}

/// Returns the same object with one other member, or without it where the value is null.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    match value {
        Value::Null => members.remove(name),
        value => members.insert(name.into(), value),
    };
    object
}

/// Signs text as it is, in place of the JSON of a token.
fn sign_text(
    key: &RsaKeyPair,
    encoding: &'static dyn RsaEncoding,
    header: &str,
    claims: impl AsRef<[u8]>,
) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        encoding,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", encode(signature))
}

fn sign_as(header: &Value, claims: &Value) -> String {
    sign_text(
        &tenant_key(),
        &RSA_PKCS1_SHA256,
        &header.to_string(),
        claims.to_string(),
    )
}

/// Returns a token of the tenant with these claims.
fn sign(claims: &Value) -> String {
    sign_as(&header(), claims)
}

fn sign_with_id(key: &RsaKeyPair, id: &str) -> String {
    let header = with(header(), "kid", id.into()).to_string();
    sign_text(key, &RSA_PKCS1_SHA256, &header, claims().to_string())
}

/// A login service with one tenant.
struct Login {
    server: MockServer,
}

impl Login {
    /// Publishes the metadata of the tenant, and its key.
    async fn start() -> Self {
        let login = Self::empty().await;
        login
            .publish(&json!({"keys": [jwk(&tenant_key(), KEY_ID)]}))
            .await;
        login
    }

    /// Starts without a tenant.
    async fn empty() -> Self {
        Self {
            server: MockServer::start().await,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/login/{TENANT}{path}", self.server.uri())
    }

    fn metadata(&self) -> Value {
        json!({"issuer": issuer(TENANT), "jwks_uri": self.url("/discovery/v2.0/keys")})
    }

    /// Replaces everything by the tenant with these keys.
    async fn publish(&self, keys: &Value) {
        self.publish_as(
            &self.metadata(),
            &json!({"issuer": issuer_v1(TENANT)}),
            ok(keys),
        )
        .await;
    }

    async fn publish_as(&self, v2: &Value, v1: &Value, keys: impl Respond + 'static) {
        self.server.reset().await;
        self.on("/v2.0/.well-known/openid-configuration", ok(v2))
            .await;
        self.on("/.well-known/openid-configuration", ok(v1)).await;
        self.on("/discovery/v2.0/keys", keys).await;
    }

    async fn on(&self, below: &str, response: impl Respond + 'static) {
        Mock::given(method("GET"))
            .and(path(format!("/login/{TENANT}{below}")))
            .respond_with(response)
            .mount(&self.server)
            .await;
    }

    /// Fails every request from now on.
    async fn fail(&self, response: ResponseTemplate) {
        self.server.reset().await;
        Mock::given(wiremock::matchers::any())
            .respond_with(response)
            .mount(&self.server)
            .await;
    }

    fn builder(&self) -> CallerVerifierBuilder {
        builder(&self.server.uri())
    }

    fn verifier(&self) -> CallerVerifier {
        self.builder().build().unwrap()
    }

    /// Returns the paths of all requests since the last change, in order.
    async fn requests(&self) -> Vec<String> {
        let requests = self.server.received_requests().await.unwrap();
        requests
            .iter()
            .map(|request| request.url.path().to_owned())
            .collect()
    }

    /// Waits until the keys were fetched this often since the last change.
    async fn asked(&self, times: usize) {
        let asked = async {
            while self.fetches().await < times {
                tokio::task::yield_now().await;
            }
        };
        let limit = std::time::Duration::from_secs(30);
        tokio::time::timeout(limit, asked).await.unwrap();
    }

    /// Returns how often the keys were fetched since the last change.
    async fn fetches(&self) -> usize {
        let requests = self.requests().await;
        requests
            .iter()
            .filter(|path| path.ends_with("/v2.0/.well-known/openid-configuration"))
            .count()
    }
}

fn builder(url: &str) -> CallerVerifierBuilder {
    let login = BaseUrl::parse(&format!("{url}/login")).unwrap();
    CallerVerifier::builder(TENANT)
        .with_cloud(Cloud::GLOBAL.with_login(login))
        .with_audiences(["api://postduif", AUDIENCE])
        .with_callers([CALLER.parse().unwrap()])
}

fn ok(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

async fn verify(verifier: &CallerVerifier, token: &str) -> Result<Caller, CallerError> {
    verify_at(verifier, token, now()).await
}

async fn verify_at(
    verifier: &CallerVerifier,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Caller, CallerError> {
    let value = format!("Bearer {token}");
    let headers = [("host", "hooks.example.com"), ("authorization", &*value)];
    verifier.verify(headers, now).await
}

/// Returns the kind of a refusal, whose words hold no part of the token.
#[track_caller]
fn refusal(outcome: Result<Caller, CallerError>, of: &str) -> CallerErrorKind {
    let error = match outcome {
        Ok(caller) => panic!("{of}: accepted {caller:?}"),
        Err(error) => error,
    };
    let words = format!("{error} {error:?}");
    for part in [
        AUDIENCE, CALLER, OTHER_ID, TENANT, KEY_ID, "eyJ", "postduif", "Callout",
    ] {
        assert!(!words.contains(part), "{of}: {words}");
    }
    error.kind()
}
