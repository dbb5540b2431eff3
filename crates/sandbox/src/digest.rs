//! Hashes, keyed hashes and tokens made of them, with which vendors sign.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    digest::{self, SHA256},
    hmac,
};
use serde_json::{Value, json};

pub(crate) fn hmac_sha256(key: impl AsRef<[u8]>, text: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
    hmac::sign(&key, text).as_ref().to_vec()
}

/// An HMAC with SHA-1, in base64.
pub(crate) fn hmac_sha1_base64(key: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

pub(crate) fn sha256(text: &[u8]) -> Vec<u8> {
    digest::digest(&SHA256, text).as_ref().to_vec()
}

/// Returns a JSON Web Token signed with a shared key.
pub(crate) fn hs256(claims: &Value, key: &str) -> String {
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = URL_SAFE_NO_PAD.encode(hmac_sha256(key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
