//! The tokens by which an application authenticates at the Messages API.

use std::sync::OnceLock;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{DateTime, Utc};
use ring::{
    rsa::PublicKeyComponents,
    signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, RsaPublicKeyComponents},
};
use serde_json::Value;

/// The id of the only application.
pub(crate) const APPLICATION: &str = "sandbox";

/// The application's key, in PKCS #8. It is published with this code and protects nothing.
const KEY: &[u8] = include_bytes!("../../keys/vonage.der");

/// Why a token is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refused {
    Expired,
    Wrong,
}

/// Returns the private key in PEM, as Vonage hands it out with an application.
pub(crate) fn private_key() -> String {
    let base64 = STANDARD.encode(KEY);
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    for (at, c) in base64.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem + "\n-----END PRIVATE KEY-----\n"
}

/// Checks a token as Vonage documents it: signature, application, and age.
pub(super) fn check(token: &str, now: DateTime<Utc>) -> Result<(), Refused> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Wrong)?;
    let (header, claims) = signed.split_once('.').ok_or(Refused::Wrong)?;
    let (header, claims) = (part(header)?, part(claims)?);
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| Refused::Wrong)?;
    let verified = header["alg"] == "RS256"
        && public_key()
            .verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature)
            .is_ok();
    if !verified || claims["application_id"] != APPLICATION {
        return Err(Refused::Wrong);
    }
    // "Without `exp` the token lives 15 minutes; 24 h after `iat` is the hard maximum; with neither
    // it is refused."
    let expires = match (claims["iat"].as_i64(), claims["exp"].as_i64()) {
        (None, None) => return Err(Refused::Wrong),
        (None, Some(exp)) => exp,
        (Some(iat), None) => iat.saturating_add(15 * 60),
        (Some(iat), Some(exp)) => exp.min(iat.saturating_add(24 * 3600)),
    };
    if expires <= now.timestamp() {
        return Err(Refused::Expired);
    }
    Ok(())
}

fn part(encoded: &str) -> Result<Value, Refused> {
    URL_SAFE_NO_PAD
        .decode(encoded)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or(Refused::Wrong)
}

fn public_key() -> &'static RsaPublicKeyComponents<Vec<u8>> {
    static PUBLIC: OnceLock<RsaPublicKeyComponents<Vec<u8>>> = OnceLock::new();
    PUBLIC.get_or_init(|| {
        let pair = RsaKeyPair::from_pkcs8(KEY).expect("the file holds an RSA key");
        let public: PublicKeyComponents<Vec<u8>> = pair.public().into();
        RsaPublicKeyComponents {
            n: public.n,
            e: public.e,
        }
    })
}

#[cfg(test)]
mod tests {
    use ring::{rand::SystemRandom, signature::RSA_PKCS1_SHA256};
    use serde_json::json;

    use super::*;

    fn token(alg: &str, claims: &Value) -> String {
        let key = RsaKeyPair::from_pkcs8(KEY).unwrap();
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT"}).to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn a_token_is_checked_by_key_application_and_age() {
        let now = Utc::now();
        let at = now.timestamp();
        let claims = |iat: Option<i64>, exp: Option<i64>| json!({"application_id": "sandbox", "jti": "a", "iat": iat, "exp": exp});
        for (iat, exp, expected) in [
            (Some(at), Some(at + 900), Ok(())),
            (Some(at), None, Ok(())),
            (None, Some(at + 900), Ok(())),
            (None, None, Err(Refused::Wrong)),
            (Some(at - 900), None, Err(Refused::Expired)),
            (Some(at - 90), Some(at - 1), Err(Refused::Expired)),
            (Some(at - 86_400), Some(at + 900), Err(Refused::Expired)),
            (Some(i64::MAX), None, Ok(())),
        ] {
            let token = token("RS256", &claims(iat, exp));
            assert_eq!(check(&token, now), expected, "{iat:?} {exp:?}");
        }
        let good = claims(Some(at), None);
        assert_eq!(check(&token("none", &good), now), Err(Refused::Wrong));
        let other = json!({"application_id": "other", "iat": at});
        assert_eq!(check(&token("RS256", &other), now), Err(Refused::Wrong));
        let mut forged = token("RS256", &good);
        forged.insert(forged.len() - 9, 'A');
        for wrong in ["", "a", "a.b", "a.b.c", &forged] {
            assert_eq!(check(wrong, now), Err(Refused::Wrong), "{wrong}");
        }
    }

    #[test]
    fn the_private_key_is_returned_as_pem() {
        let pem = private_key();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\nMII"));
        assert!(pem.lines().all(|line| line.len() <= 64));
    }
}
