use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use postduif_core::ReportErrorKind;
use postduif_http::vendor::signature::{
    Rs256Key, Rs256PublicKey, hmac_sha256, hs256_claims, is_hmac_sha256, is_secret, sha256,
    unbase64_url,
};
use secrecy::ExposeSecret as _;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn hmac_is_that_of_rfc_4231() {
    // Test case 2.
    let tag = hmac_sha256(&"Jefe".into(), b"what do ya want for nothing?");
    assert_eq!(
        hex(&tag),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    assert!(is_hmac_sha256(
        &["other".into(), "Jefe".into()],
        b"what do ya want for nothing?",
        &tag
    ));
    for index in 0..tag.len() {
        let mut forged = tag;
        forged[index] ^= 1;
        assert!(!is_hmac_sha256(
            &["Jefe".into()],
            b"what do ya want for nothing?",
            &forged
        ));
    }
    assert!(!is_hmac_sha256(
        &["Jefe".into()],
        b"what do ya want for nothing?",
        &tag[..31]
    ));
    assert!(!is_hmac_sha256(&[], b"what do ya want for nothing?", &tag));
    assert_eq!(hex(&sha256(b"abc"))[..16], *"ba7816bf8f01cfea");
}

#[test]
fn any_of_several_secrets_is_recognized() {
    let secrets = ["old".into(), "new".into()];
    assert!(is_secret(&secrets, "old") && is_secret(&secrets, "new"));
    assert!(!is_secret(&secrets, "ol") && !is_secret(&secrets, "") && !is_secret(&[], ""));
}

/// A token with this header and these claims, signed with HMAC-SHA256 under `key`.
fn token(header: &str, claims: &str, key: &str) -> String {
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let signed = format!(
        "{}.{}",
        encode(header.as_bytes()),
        encode(claims.as_bytes())
    );
    let tag = hmac_sha256(&key.into(), signed.as_bytes());
    format!("{signed}.{}", encode(&tag))
}

#[test]
fn a_token_of_another_library_is_accepted() {
    // PyJWT 2.15.1: jwt.encode({"iat": 1767225600}, "0123456789abcdef0123456789abcdef", "HS256")
    let made = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3NjcyMjU2MDB9\
                .ehzoqZZBHJUpb7eIUQmqN66KwAqEgEIV_KSrXATDDBs";
    let claims = hs256_claims(made, &["0123456789abcdef0123456789abcdef".into()]).unwrap();
    assert_eq!(claims, br#"{"iat":1767225600}"#);
}

#[test]
fn only_hs256_under_our_key_is_accepted() {
    let kind = |token: &str| hs256_claims(token, &["key".into()]).unwrap_err().kind();
    for (header, key, expected) in [
        (r#"{"alg":"HS256"}"#, "other", ReportErrorKind::Forged),
        (r#"{"alg":"none"}"#, "key", ReportErrorKind::Forged),
        (r#"{"alg":"RS256"}"#, "key", ReportErrorKind::Forged),
        (r#"{"alg":"hs256"}"#, "key", ReportErrorKind::Forged),
        (
            r#"{"alg":"HS256","crit":["x"]}"#,
            "key",
            ReportErrorKind::Forged,
        ),
        (r#"{"typ":"JWT"}"#, "key", ReportErrorKind::Forged),
        ("[]", "key", ReportErrorKind::Forged),
    ] {
        assert_eq!(kind(&token(header, "{}", key)), expected, "{header}");
    }
    let good = token(r#"{"alg":"HS256"}"#, "{}", "key");
    let unsigned = good.rsplit_once('.').unwrap().0;
    for text in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        unsigned,
        &format!("{good}="),
    ] {
        assert_eq!(kind(text), ReportErrorKind::Forged, "{text}");
    }
    assert_eq!(kind(&format!("{unsigned}.")), ReportErrorKind::Forged);
}

#[test]
fn rs256_signs_as_openssl_does() {
    // `openssl dgst -sha256 -sign pkcs8.pem` over header and claims; RS256 signatures are deterministic.
    let expected = include_str!("keys/rs256.jwt").trim();
    for pem in [
        include_str!("keys/pkcs8.pem"),
        include_str!("keys/pkcs1.pem"),
    ] {
        let key = Rs256Key::from_pem(&pem.into()).unwrap();
        let token = key.sign(br#"{"iat":1767225600,"sub":"postduif"}"#).unwrap();
        assert_eq!(token.expose_secret(), expected);
    }
}

#[test]
fn an_invalid_rsa_key_is_refused_without_showing_it() {
    for pem in [
        "",
        "hunter2",
        "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n",
    ] {
        let error = Rs256Key::from_pem(&pem.into()).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[test]
fn the_rs256_signatures_of_the_rfcs_are_verified() {
    #[derive(serde::Deserialize)]
    struct Vector {
        source: String,
        n: String,
        e: String,
        token: String,
    }
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("keys/rs256_rfc.json")).unwrap();
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let (n, e) = (
            unbase64_url(&vector.n).unwrap(),
            unbase64_url(&vector.e).unwrap(),
        );
        let (signed, signature) = vector.token.rsplit_once('.').unwrap();
        let signature = unbase64_url(signature).unwrap();
        let key = Rs256PublicKey::new(&n, &e).unwrap();
        assert!(
            key.is_signature(signed.as_bytes(), &signature),
            "{}",
            vector.source
        );

        let padded = [&[0, 0], &n[..]].concat();
        let key = Rs256PublicKey::new(&padded, &e).unwrap();
        assert!(
            key.is_signature(signed.as_bytes(), &signature),
            "a leading zero"
        );

        for index in [0, signature.len() / 2, signature.len() - 1] {
            let mut forged = signature.clone();
            forged[index] ^= 1;
            assert!(!key.is_signature(signed.as_bytes(), &forged));
        }
        let longer = [&signature[..], &[0]].concat();
        for forged in [&b""[..], &signature[1..], &signature[..255], &longer] {
            assert!(!key.is_signature(signed.as_bytes(), forged));
        }
        assert!(!key.is_signature(&signed.as_bytes()[1..], &signature));
    }
}

#[test]
fn a_public_key_has_2048_to_8192_bits() {
    let modulus = |bytes: usize, first: u8| [&[first], &vec![0xff; bytes - 1][..]].concat();
    for (modulus, expected) in [
        (modulus(256, 0x80), true),
        (modulus(256, 0x7f), false),
        (modulus(1024, 0xff), true),
        (modulus(1025, 0x01), false),
        (modulus(128, 0xff), false),
        (Vec::new(), false),
        (vec![0; 256], false),
    ] {
        let key = Rs256PublicKey::new(&modulus, &[1, 0, 1]);
        assert_eq!(key.is_some(), expected, "{}", modulus.len());
    }
    assert!(Rs256PublicKey::new(&modulus(256, 0x80), &[]).is_none());
    assert!(Rs256PublicKey::new(&modulus(256, 0x80), &[0]).is_none());
}
