//! The access tokens of Entra's call-outs, and the keys that verify them.

use std::sync::OnceLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use ring::{
    hmac,
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Value, json};

use crate::{
    AUDIENCE, TENANT, random,
    record::{Hostile, TokenVersion},
};

/// The id of the tenant's only key.
const KID: &str = "postduif-sandbox-1";

/// The id of a tenant, a caller and an audience that a receiver must refuse.
const OTHER_ID: &str = "0bad0000-0000-4000-8000-000000000001";

/// Returns the issuer of a tenant's tokens, which is Entra's own name at any host.
pub(crate) fn issuer(tenant: &str) -> String {
    format!("https://login.microsoftonline.com/{tenant}/v2.0")
}

/// Returns the issuer of a tenant's v1.0 tokens.
pub(crate) fn issuer_v1(tenant: &str) -> String {
    format!("https://sts.windows.net/{tenant}/")
}

/// Returns the tenant's public keys.
pub(crate) fn jwks() -> Value {
    let public: PublicKeyComponents<Vec<u8>> = entra().public().into();
    json!({"keys": [{
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": KID,
        "n": URL_SAFE_NO_PAD.encode(public.n),
        "e": URL_SAFE_NO_PAD.encode(public.e),
        "issuer": issuer(TENANT),
    }]})
}

/// Returns an access token of `caller`, with a defect if `hostile` names one.
pub(crate) fn token(
    caller: &str,
    version: TokenVersion,
    hostile: Option<Hostile>,
    now: DateTime<Utc>,
) -> String {
    let tenant = match hostile {
        Some(Hostile::OtherTenant) => OTHER_ID,
        _ => TENANT,
    };
    let start = match hostile {
        Some(Hostile::Expired) => now - TimeDelta::hours(3),
        Some(Hostile::NotYet) => now + TimeDelta::hours(1),
        _ => now,
    }
    .timestamp();
    let mut claims = json!({
        "aud": if hostile == Some(Hostile::Audience) { OTHER_ID } else { AUDIENCE },
        "iat": start,
        "nbf": start,
        "exp": start + 3600,
        "idtyp": "app",
        "oid": caller,
        "sub": caller,
        "tid": tenant,
        "uti": random::guid(),
    });
    let app = if hostile == Some(Hostile::Caller) {
        OTHER_ID
    } else {
        caller
    };
    let of_version = match version {
        TokenVersion::V1 => [
            ("iss", issuer_v1(tenant)),
            ("idp", issuer_v1(tenant)),
            ("appid", app.to_owned()),
            ("appidacr", "2".to_owned()),
            ("ver", "1.0".to_owned()),
        ]
        .to_vec(),
        TokenVersion::V2 => [
            ("iss", issuer(tenant)),
            ("azp", app.to_owned()),
            ("azpacr", "2".to_owned()),
            ("ver", "2.0".to_owned()),
        ]
        .to_vec(),
    };
    for (name, value) in of_version {
        claims[name] = value.into();
    }
    let alg = match hostile {
        Some(Hostile::AlgNone) => "none",
        Some(Hostile::Hs256) => "HS256",
        _ => "RS256",
    };
    let header = json!({"typ": "JWT", "alg": alg, "kid": KID});
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = match hostile {
        Some(Hostile::AlgNone) => Vec::new(),
        // Algorithm confusion: the public key as a shared secret.
        Some(Hostile::Hs256) => {
            let public: PublicKeyComponents<Vec<u8>> = entra().public().into();
            let key = hmac::Key::new(hmac::HMAC_SHA256, &public.n);
            hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
        }
        Some(Hostile::OtherKey) => rs256(other(), &signed),
        _ => rs256(entra(), &signed),
    };
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn rs256(key: &RsaKeyPair, signed: &str) -> Vec<u8> {
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .expect("the signature has the length of the modulus");
    signature
}

/// Returns the tenant's key. It is published with this code and protects nothing.
fn entra() -> &'static RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| read(include_bytes!("keys/entra.der")))
}

/// Returns a key that is not the tenant's.
fn other() -> &'static RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| read(include_bytes!("keys/other.der")))
}

fn read(der: &[u8]) -> RsaKeyPair {
    RsaKeyPair::from_der(der).expect("the file beside this one holds an RSA key")
}
