//! Signatures of vendors: HMAC, and JSON Web Tokens of the two algorithms that vendors use. They use ring, which TLS
//! needs anyway.
//!
//! The caller sets the allowed algorithms; a received token can only choose among these. Every comparison takes
//! constant time.

use std::fmt;

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use postduif_core::{ConfigError, ReportError};
use ring::{
    digest,
    hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512},
    rand::SystemRandom,
    signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// Returns the HMAC-SHA256 of `data` under the text of `key`.
#[must_use]
pub fn hmac_sha256(key: &SecretString, data: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(HMAC_SHA256, key.expose_secret().as_bytes());
    let mut tag = [0; 32];
    tag.copy_from_slice(hmac::sign(&key, data).as_ref());
    tag
}

/// Returns whether `tag` is the HMAC-SHA256 of `data` under the text of any of `keys`: several while one is being
/// replaced.
#[must_use]
pub fn is_hmac_sha256(keys: &[SecretString], data: &[u8], tag: &[u8]) -> bool {
    is_tag(HMAC_SHA256, keys, data, tag)
}

/// A hash function of vendors' HMACs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Hash {
    /// SHA-1, which is broken as a hash but not in HMAC.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// Returns whether `tag` is the HMAC of `data` by this hash under the text of any of `keys`: several while one is being
/// replaced.
#[must_use]
pub fn is_hmac(hash: Hash, keys: &[SecretString], data: &[u8], tag: &[u8]) -> bool {
    let algorithm = match hash {
        Hash::Sha1 => HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => HMAC_SHA256,
    };
    is_tag(algorithm, keys, data, tag)
}

fn is_tag(algorithm: hmac::Algorithm, keys: &[SecretString], data: &[u8], tag: &[u8]) -> bool {
    // All are tried, so that the time does not reveal which one it was.
    keys.iter().fold(false, |found, key| {
        let key = hmac::Key::new(algorithm, key.expose_secret().as_bytes());
        hmac::verify(&key, data, tag).is_ok() | found
    })
}

/// Returns whether `given` is one of `secrets`, in constant time.
#[must_use]
pub fn is_secret(secrets: &[SecretString], given: &str) -> bool {
    is_hmac_sha256(secrets, b"", hmac_sha256(&given.into(), b"").as_ref())
}

/// Decodes base64 with padding. `None` if the text is anything else, such as another encoding of the same bytes.
#[must_use]
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

/// Decodes base64url without padding, the encoding of JSON Web Tokens and keys. `None` if the text is anything else,
/// such as another encoding of the same bytes.
#[must_use]
pub fn unbase64_url(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes hexadecimal digits of either case. `None` if the text has anything else.
#[must_use]
pub fn unhex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| Some(value(pair[0])? << 4 | value(*pair.get(1)?)?))
        .collect()
}

/// Encodes bytes as hexadecimal digits in lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Returns the SHA-256 of `data`.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    sum
}

/// Returns the claims of a JSON Web Token that is signed with HMAC-SHA256 under any of `keys`.
///
/// # Errors
///
/// Returns `Forged` if it is not such a token, or another algorithm or another key signed it. The caller checks the
/// claims, such as times, and hashes of the signed data.
pub fn hs256_claims(token: &str, keys: &[SecretString]) -> Result<Vec<u8>, ReportError> {
    claims(token, keys, &[("HS256", HMAC_SHA256)])
}

/// Returns the claims of a JSON Web Token that is signed with HMAC under any of `keys`. Its header chooses SHA-256,
/// SHA-384 or SHA-512; all three need the same secret, so the choice weakens nothing.
///
/// # Errors
///
/// Returns the errors of [`hs256_claims`].
pub fn hmac_claims(token: &str, keys: &[SecretString]) -> Result<Vec<u8>, ReportError> {
    let algorithms = [
        ("HS256", HMAC_SHA256),
        ("HS384", HMAC_SHA384),
        ("HS512", HMAC_SHA512),
    ];
    claims(token, keys, &algorithms)
}

fn claims(
    token: &str,
    keys: &[SecretString],
    algorithms: &[(&str, hmac::Algorithm)],
) -> Result<Vec<u8>, ReportError> {
    const NO_TOKEN: ReportError = ReportError::forged("the signature is not a JSON Web Token");
    #[derive(Deserialize)]
    struct Header {
        alg: String,
        #[serde(default)]
        crit: Option<serde::de::IgnoredAny>,
    }
    let (signed, tag) = token.rsplit_once('.').ok_or(NO_TOKEN)?;
    let (header, claims) = signed.split_once('.').ok_or(NO_TOKEN)?;
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| NO_TOKEN);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| NO_TOKEN)?;
    let (claims, tag) = (decode(claims)?, decode(tag)?);
    let algorithm = algorithms.iter().find(|(name, _)| *name == header.alg);
    let (Some((_, algorithm)), None) = (algorithm, header.crit) else {
        return Err(ReportError::forged(
            "the token is signed with an algorithm that is not allowed",
        ));
    };
    if !is_tag(*algorithm, keys, signed.as_bytes(), &tag) {
        return Err(ReportError::forged(
            "the token is not signed with our secret",
        ));
    }
    Ok(claims)
}

/// An RSA key for signing JSON Web Tokens with RS256.
pub struct Rs256Key(RsaKeyPair);

impl Rs256Key {
    /// Parses a private key of at least 2048 bits in PEM: PKCS#8 or PKCS#1, since vendors issue both.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not such a key.
    pub fn from_pem(pem: &SecretString) -> Result<Self, ConfigError> {
        // The causes are left out: they do not help with a wrong file.
        let no_key = || {
            ConfigError::new(
                "invalid private key: expected an RSA key of at least 2048 bits in PEM",
            )
        };
        let pair = match PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes()) {
            Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            _ => return Err(no_key()),
        };
        pair.map(Self).map_err(|_| no_key())
    }

    /// Creates a signed token with these claims, which are JSON.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system has no random bytes for the signature.
    pub fn sign(&self, claims: &[u8]) -> Result<SecretString, ConfigError> {
        let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
        let signed = format!(
            "{}.{}",
            encode(br#"{"alg":"RS256","typ":"JWT"}"#),
            encode(claims)
        );
        let mut tag = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut tag,
            )
            .map_err(|_| ConfigError::new("the token cannot be signed"))?;
        Ok(format!("{signed}.{}", encode(&tag)).into())
    }
}

impl fmt::Debug for Rs256Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rs256Key").finish_non_exhaustive()
    }
}

/// An RSA public key for verifying RS256 (RSASSA-PKCS1-v1_5 with SHA-256), such as one of a JSON Web Key Set.
pub struct Rs256PublicKey(RsaPublicKeyComponents<Vec<u8>>);

impl Rs256PublicKey {
    /// Creates a key from its modulus and exponent, most significant byte first: `n` and `e` of a JSON Web Key. `None`
    /// unless the modulus has 2048 to 8192 bits.
    #[must_use]
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        // Some servers write a leading zero, which ring refuses.
        let significant = |number: &[u8]| {
            let start = number.iter().position(|byte| *byte != 0)?;
            Some(number[start..].to_vec())
        };
        let (n, e) = (significant(modulus)?, significant(exponent)?);
        let bits = n.len() * 8 - usize::try_from(n[0].leading_zeros()).ok()?;
        (2048..=8192)
            .contains(&bits)
            .then_some(Self(RsaPublicKeyComponents { n, e }))
    }

    /// Returns whether `signature` is that of `data` by the private key of this one.
    #[must_use]
    pub fn is_signature(&self, data: &[u8], signature: &[u8]) -> bool {
        self.0
            .verify(&RSA_PKCS1_2048_8192_SHA256, data, signature)
            .is_ok()
    }
}

impl fmt::Debug for Rs256PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rs256PublicKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hmac_is_that_of_its_hash_and_of_one_of_the_keys() {
        // RFC 2202, case 2, and RFC 4231, case 2.
        let data = b"what do ya want for nothing?";
        let sha1 = unhex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79").unwrap();
        let sha256 =
            unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843").unwrap();
        let (right, wrong) = (SecretString::from("Jefe"), SecretString::from("jefe"));
        let keys = [wrong.clone(), right];
        assert!(is_hmac(Hash::Sha1, &keys, data, &sha1));
        assert!(is_hmac(Hash::Sha256, &keys, data, &sha256));
        assert!(!is_hmac(Hash::Sha256, &keys, data, &sha1));
        assert!(!is_hmac(Hash::Sha1, &[wrong], data, &sha1));
        assert!(!is_hmac(Hash::Sha1, &keys, data, &sha1[..19]));
        assert!(!is_hmac(Hash::Sha1, &keys, data, b""));
    }

    #[test]
    fn base64_has_one_form_for_the_same_bytes() {
        assert_eq!(unbase64("AQI=").as_deref(), Some(&[1, 2][..]));
        for other in ["AQI", "AQJ=", "AQI= ", "AQI=\n", "AQ-_", "="] {
            assert_eq!(unbase64(other), None, "{other:?}");
        }
    }
}
