//! Requests that are refused, each for one reason.

use postduif_entra::CallerErrorKind::{
    self, Algorithm, Audience, Caller, Claims, Expired, Forged, Issuer, Malformed, Missing,
    NotYetValid, UnknownKey, User,
};
use ring::{
    hmac,
    rsa::PublicKeyComponents,
    signature::{
        RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding,
    },
};
use serde_json::{Value, json};

use super::{
    AUDIENCE, CALLER, KEY_ID, Login, NOW, OTHER_ID, after, claims, claims_v1, encode, header,
    issuer, issuer_v1, now, other_key, refusal, sign, sign_as, sign_text, sign_with_id, tenant_key,
    verify, verify_at, with,
};
use crate::support::TENANT;

/// Verifies each token, and compares the kinds.
async fn assert_refused(rows: impl IntoIterator<Item = (String, String, CallerErrorKind)>) {
    let login = Login::start().await;
    let verifier = login.verifier();
    verify(&verifier, &sign(&claims())).await.unwrap();
    for (name, token, expected) in rows {
        let kind = refusal(verify(&verifier, &token).await, &name);
        assert_eq!(kind, expected, "{name}");
    }
}

/// Returns an object with a member twice, in JSON.
fn doubled(object: &Value, name: &str, again: &Value) -> String {
    let json = object.to_string();
    format!("{},{}:{again}}}", &json[..json.len() - 1], json!(name))
}

fn sign_json(header: &str, claims: impl AsRef<[u8]>) -> String {
    sign_text(&tenant_key(), &RSA_PKCS1_SHA256, header, claims)
}

#[tokio::test]
async fn every_required_claim_must_be_there_once_and_have_its_type() {
    let mut rows = Vec::new();
    for (claims, required) in [
        (claims(), ["aud", "azp", "exp", "iss", "nbf", "tid"]),
        (claims_v1(), ["aud", "appid", "exp", "iss", "nbf", "tid"]),
    ] {
        for name in required {
            let mut row = |of: &str, token| rows.push((format!("{name} {of}"), token, Claims));
            row("missing", sign(&with(claims.clone(), name, Value::Null)));
            let whole = &claims[name];
            let mut wrong = vec![json!(true), json!([whole]), json!({"a": whole})];
            wrong.push(match whole {
                Value::String(_) => json!(7),
                number => json!(number.to_string()),
            });
            for value in wrong {
                row(&value.to_string(), sign(&with(claims.clone(), name, value)));
            }
            let null = doubled(&with(claims.clone(), name, Value::Null), name, &Value::Null);
            row("null", sign_json(&header().to_string(), null));
            for again in [whole, &Value::Null, &json!(OTHER_ID)] {
                let claims = doubled(&claims, name, again);
                row("doubled", sign_json(&header().to_string(), claims));
            }
        }
    }
    assert_eq!(rows.len(), 108);
    assert_refused(rows).await;
}

#[tokio::test]
async fn every_claim_must_have_its_value() {
    let upper = issuer(TENANT).to_uppercase();
    let mut rows = Vec::new();
    for (name, value, expected) in [
        ("aud", json!(OTHER_ID), Audience),
        ("aud", json!(AUDIENCE.to_uppercase()), Audience),
        ("aud", json!("API://postduif"), Audience),
        ("aud", json!("api://postduif/"), Audience),
        ("aud", json!("api://postduif.example"), Audience),
        ("aud", json!(format!("{AUDIENCE} ")), Audience),
        ("aud", json!(format!("{AUDIENCE}\u{0}")), Audience),
        ("aud", json!(format!("{AUDIENCE},{OTHER_ID}")), Audience),
        ("aud", json!("https://graph.microsoft.com"), Audience),
        ("aud", json!("https://management.azure.com"), Audience),
        ("aud", json!(""), Audience),
        ("aud", json!("*"), Audience),
        ("iss", json!(issuer(OTHER_ID)), Issuer),
        ("iss", json!(issuer_v1(OTHER_ID)), Issuer),
        ("iss", json!(issuer("{tenantid}")), Issuer),
        ("iss", json!(format!("{}/", issuer(TENANT))), Issuer),
        ("iss", json!(format!("{} ", issuer(TENANT))), Issuer),
        (
            "iss",
            json!(issuer_v1(TENANT).trim_end_matches('/')),
            Issuer,
        ),
        ("iss", json!(upper), Issuer),
        (
            "iss",
            json!(format!("https://login.microsoftonline.us/{TENANT}/v2.0")),
            Issuer,
        ),
        (
            "iss",
            json!(format!(
                "https://login.microsoftonline.com.evil.example/{TENANT}/v2.0"
            )),
            Issuer,
        ),
        ("iss", json!(""), Issuer),
        ("tid", json!(OTHER_ID), Issuer),
        ("tid", json!("contoso.onmicrosoft.com"), Claims),
        ("tid", json!(""), Claims),
        ("azp", json!(OTHER_ID), Caller),
        ("azp", json!(""), Claims),
        ("azp", json!(format!("{CALLER} ")), Claims),
        ("azp", json!(format!("{{{CALLER}}}")), Claims),
        ("appid", json!(OTHER_ID), Claims),
        ("appid", json!(""), Claims),
        ("scp", json!("user_impersonation"), User),
        ("scp", json!(""), User),
        ("scp", json!([]), User),
        ("idtyp", json!("user"), User),
        ("idtyp", json!("device"), User),
        ("idtyp", json!("App"), User),
        ("idtyp", json!(true), Claims),
        ("exp", json!(NOW - 60), Expired),
        ("exp", json!(0), Expired),
        ("exp", json!(-1), Claims),
        ("exp", json!(1e300), Claims),
        ("exp", json!(u64::MAX), Claims),
        ("exp", json!(i64::MIN), Claims),
        ("exp", json!(253_402_300_800_i64), Claims),
        ("exp", json!(NOW * 1000), Claims),
        ("nbf", json!(NOW + 61), NotYetValid),
        ("nbf", json!(1_800_000_060.001), NotYetValid),
        ("nbf", json!(-1), Claims),
        ("nbf", json!(1e300), Claims),
    ] {
        let token = sign(&with(claims(), name, value.clone()));
        rows.push((format!("{name} {value}"), token, expected));
    }
    for (name, value, expected) in [
        ("appid", json!(OTHER_ID), Caller),
        ("azp", json!(OTHER_ID), Claims),
        ("iss", json!(issuer_v1(OTHER_ID)), Issuer),
        // The application's claim of the other version.
        ("iss", json!(issuer(TENANT)), Claims),
    ] {
        let token = sign(&with(claims_v1(), name, value.clone()));
        rows.push((format!("v1.0 {name} {value}"), token, expected));
    }
    let of_v1 = with(claims(), "iss", issuer_v1(TENANT).into());
    rows.push(("azp in a v1.0 token".into(), sign(&of_v1), Claims));
    assert_refused(rows).await;
}

#[tokio::test]
async fn claims_are_one_json_object_and_nothing_else() {
    let good = claims().to_string();
    let nested = sign(&claims());
    let deep = format!(
        r#"{},"x":{}{}}}"#,
        &good[..good.len() - 1],
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let many: Vec<String> = (0..128).map(|index| format!(r#""m{index}":1"#)).collect();
    let many = format!("{},{}}}", &good[..good.len() - 1], many.join(","));
    let header = header().to_string();
    let mut rows: Vec<(String, String, CallerErrorKind)> = [
        "",
        "null",
        "true",
        "1",
        "[]",
        "{}",
        "{",
        &format!("[{good}]"),
        &format!("{good}{good}"),
        &format!("{good} x"),
        &format!("\u{feff}{good}"),
        &json!(good).to_string(),
        &nested,
        &many,
        &good.replace(r#""tid""#, r#""t\u0069d":1,"tid""#),
        &good.replace(r#""tid""#, r#""tid":"\ud800","x""#),
        &good.replace(r#""exp""#, r#""exp":1e999,"x""#),
        &good.replace(r#""exp""#, r#""exp":NaN,"x""#),
        &good.replace(r#""exp""#, r#""exp":0x7fffffff,"x""#),
        &good.replace(r#""tid""#, r#""ver":"1.0","tid""#),
    ]
    .iter()
    .map(|claims| {
        (
            (*claims).chars().take(40).collect(),
            sign_json(&header, claims),
            Claims,
        )
    })
    .collect();
    let invalid = [good.as_bytes(), b"\xff"].concat();
    rows.push(("invalid UTF-8".into(), sign_json(&header, invalid), Claims));
    let mut invalid = good.replace(r#""tid""#, r#""x":"?","tid""#).into_bytes();
    let at = invalid.iter().position(|byte| *byte == b'?').unwrap();
    invalid[at] = 0xff;
    rows.push((
        "invalid UTF-8 inside".into(),
        sign_json(&header, invalid),
        Claims,
    ));
    assert_refused(rows).await;

    // A value that is not read may be anything that is JSON.
    let login = Login::start().await;
    let outcome = verify(&login.verifier(), &sign_json(&header, &deep)).await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[tokio::test]
async fn only_rs256_is_an_algorithm() {
    let mut rows = Vec::new();
    for alg in [
        "none", "None", "NONE", "nOnE", "HS256", "HS512", "PS256", "PS512", "RS384", "RS512",
        "RS1", "ES256", "EdDSA", "rs256", "Rs256", "RS256 ", " RS256", "RS256\0", "",
    ] {
        let token = sign_as(&with(header(), "alg", alg.into()), &claims());
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        rows.push((
            format!("{alg:?} unsigned"),
            format!("{unsigned}."),
            Algorithm,
        ));
        rows.push((format!("{alg:?} signed by RS256"), token, Algorithm));
    }
    let others: [(&str, &'static dyn RsaEncoding); 3] = [
        ("PS256", &RSA_PSS_SHA256),
        ("RS384", &RSA_PKCS1_SHA384),
        ("RS512", &RSA_PKCS1_SHA512),
    ];
    for (alg, encoding) in others {
        let sign = |alg: &str| {
            let header = with(header(), "alg", alg.into()).to_string();
            sign_text(&tenant_key(), encoding, &header, claims().to_string())
        };
        rows.push((format!("{alg} as it says"), sign(alg), Algorithm));
        rows.push((format!("{alg} as RS256"), sign("RS256"), Forged));
    }
    // The public key as a shared secret.
    let public: PublicKeyComponents<Vec<u8>> = tenant_key().public().into();
    let secrets = [
        public.n.clone(),
        encode(&public.n).into_bytes(),
        tenant_key().public().as_ref().to_vec(),
        super::jwk(&tenant_key(), KEY_ID).to_string().into_bytes(),
        Vec::new(),
    ];
    for (alg, expected) in [("HS256", Algorithm), ("RS256", Forged)] {
        for (index, secret) in secrets.iter().enumerate() {
            let header = with(header(), "alg", alg.into()).to_string();
            let signed = format!("{}.{}", encode(header), encode(claims().to_string()));
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let tag = hmac::sign(&key, signed.as_bytes());
            let token = format!("{signed}.{}", encode(tag));
            rows.push((
                format!("{alg} by HMAC under secret {index}"),
                token,
                expected,
            ));
        }
    }
    assert_refused(rows).await;
}

#[tokio::test]
async fn a_header_is_one_object_with_an_algorithm_and_a_key_id() {
    let json = header().to_string();
    let mut rows: Vec<(String, String, CallerErrorKind)> = Vec::new();
    for (name, value) in [
        ("alg", Value::Null),
        ("alg", json!(256)),
        ("alg", json!(["RS256"])),
        ("alg", json!({"RS256": true})),
        ("kid", Value::Null),
        ("kid", json!("")),
        ("kid", json!(1)),
        ("kid", json!([KEY_ID])),
        ("kid", json!("k".repeat(257))),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(false)),
    ] {
        let token = sign_as(&with(header(), name, value.clone()), &claims());
        rows.push((format!("{name} {value}"), token, Malformed));
    }
    for header in [
        String::new(),
        "null".into(),
        "[]".into(),
        format!("[{json}]"),
        format!("{json}{json}"),
        format!("\u{feff}{json}"),
        json!(json).to_string(),
        doubled(&header(), "alg", &json!("RS256")),
        doubled(&header(), "alg", &json!("none")),
        doubled(&header(), "kid", &json!(KEY_ID)),
        doubled(&header(), "typ", &json!("JWT")),
        json.replace(r#""alg""#, r#""\u0061lg":"none","alg""#),
        json.replace(r#""alg":"RS256""#, r#""alg":null"#),
        json.replace(r#""alg":"RS256""#, r#""Alg":"RS256""#),
        json.replace(r#""kid""#, r#""KID""#),
    ] {
        rows.push((
            header.clone(),
            sign_json(&header, claims().to_string()),
            Malformed,
        ));
    }
    let many = (0..13).fold(header(), |header, index| {
        with(header, &format!("m{index}"), 1.into())
    });
    rows.push(("many members".into(), sign_as(&many, &claims()), Malformed));
    for id in [
        "tenant-key-2",
        "TENANT-KEY-1",
        "tenant-key-1 ",
        "tenant-key-1\0",
        "../../../../etc/passwd",
        "..%2f..%2fdev%2fnull",
        "/dev/null",
        "https://evil.example/key",
        "' OR 1=1 --",
        "$(id)",
        "{tenantid}",
    ] {
        rows.push((id.into(), sign_with_id(&tenant_key(), id), UnknownKey));
    }
    assert_refused(rows).await;
}

#[tokio::test]
async fn a_token_is_three_parts_of_strict_base64url() {
    let good = sign(&claims());
    let [head, body, tag] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let forged = |tag: &str| format!("{head}.{body}.{tag}");
    let other = encode([0; 256]);
    let mut rows: Vec<(String, String, CallerErrorKind)> = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        head.into(),
        format!("{head}.{body}"),
        format!(".{good}"),
        format!("{good}."),
        format!("{good}.."),
        format!("{good}.{tag}"),
        format!("{head}..{body}.{tag}"),
        format!("{head}.{body}.{tag}.{tag}.{tag}"),
        format!("{head}.{body}.{tag}.."),
        format!(".{body}.{tag}"),
        format!("{head}=.{body}.{tag}"),
        format!("{head}.{body}=.{tag}"),
        format!("{good}="),
        format!("{good}=="),
        format!("{good}\n"),
        format!("{good} "),
        format!("{good}\t"),
        format!("{head}. {body}.{tag}"),
        format!("{head}.\n{body}.{tag}"),
        format!("{head}\0.{body}.{tag}"),
        format!("{head}.{body}.{}+", &tag[1..]),
        format!("{head}.{body}.{}/", &tag[1..]),
        format!("{head}.{body}.%2e"),
        format!("\"{good}\""),
        format!("{good},{good}"),
        format!("{good}, Bearer {good}"),
        format!("{good};{good}"),
        format!("{good} {good}"),
        format!("Bearer {good}"),
        format!("{head}.{body}.{tag}é"),
        // The last digit of 256 bytes has four bits that must be zero.
        format!("{head}.{body}.{}", nudge(tag)),
        format!("{}.{body}.{tag}", "A".repeat(16 * 1024)),
    ]
    .into_iter()
    .map(|token| (token.chars().rev().take(60).collect(), token, Malformed))
    .collect();
    rows.extend([
        ("no signature".into(), forged(""), Forged),
        ("a short signature".into(), forged(&tag[..340]), Forged),
        ("zeros".into(), forged(&other), Forged),
        (
            "the signature of another token".into(),
            {
                let other = sign(&with(claims(), "uti", "x".into()));
                forged(other.rsplit_once('.').unwrap().1)
            },
            Forged,
        ),
        (
            "other claims".into(),
            {
                let claims = encode(with(claims(), "uti", "x".into()).to_string());
                format!("{head}.{claims}.{tag}")
            },
            Forged,
        ),
        (
            "claims that are none, unsigned".into(),
            format!("{head}.AAAA.{tag}"),
            Forged,
        ),
        (
            "another header".into(),
            {
                let header = encode(with(header(), "typ", "at+jwt".into()).to_string());
                format!("{header}.{body}.{tag}")
            },
            Forged,
        ),
        (
            "another key".into(),
            sign_with_id(&other_key(), KEY_ID),
            Forged,
        ),
    ]);
    for index in [0, 100, 341] {
        let mut flipped = tag.as_bytes().to_vec();
        flipped[index] = if flipped[index] == b'A' { b'Q' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();
        if flipped != tag {
            rows.push((
                format!("digit {index} of the signature"),
                forged(&flipped),
                Forged,
            ));
        }
    }
    assert_refused(rows).await;
}

/// Changes only the unused bits of the last digit.
fn nudge(part: &str) -> String {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = DIGITS.find(part.chars().last().unwrap()).unwrap();
    format!("{}{}", &part[..part.len() - 1], &DIGITS[last + 1..last + 2])
}

#[tokio::test]
async fn a_request_has_exactly_one_bearer_token() {
    let login = Login::start().await;
    let verifier = login.verifier();
    let good = sign(&claims());
    let bearer = format!("Bearer {good}");
    let long = format!("Bearer {}{good}", " ".repeat(16 * 1024));
    let values = [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        good.clone(),
        format!("Bearer{good}"),
        format!("Bearer\t{good}"),
        format!("Bearer:{good}"),
        format!(" Bearer {good}"),
        format!("Basic {good}"),
        format!("PoP {good}"),
        format!("DPoP {good}"),
        format!("Bearer token={good}"),
        format!("Negotiate, Bearer {good}"),
        format!("bearer\u{a0}{good}"),
        long,
    ];
    for value in &values {
        let outcome = verifier.verify([("authorization", value)], now()).await;
        assert_eq!(refusal(outcome, value), Malformed, "{value}");
    }
    let invalid = [bearer.as_bytes(), b"\xff"].concat();
    let outcome = verifier.verify([("authorization", &invalid)], now()).await;
    assert_eq!(refusal(outcome, "not UTF-8"), Malformed);

    let one = ("authorization", &*bearer);
    for headers in [
        vec![one, one],
        vec![one, ("Authorization", "Basic Og==")],
        vec![("AUTHORIZATION", ""), one],
        vec![one, ("cookie", "a=b"), one],
    ] {
        let outcome = verifier.verify(headers.clone(), now()).await;
        assert_eq!(refusal(outcome, "several"), Malformed, "{}", headers.len());
    }
    for headers in [
        vec![],
        vec![("proxy-authorization", &*bearer)],
        vec![("x-authorization", &*bearer)],
        vec![("authorization ", &*bearer)],
        vec![("cookie", &*bearer)],
    ] {
        let outcome = verifier.verify(headers, now()).await;
        assert_eq!(refusal(outcome, "none"), Missing);
    }

    for (name, value) in [
        ("authorization", bearer.clone()),
        ("Authorization", format!("bearer {good}")),
        ("AUTHORIZATION", format!("BEARER   {good}")),
    ] {
        let headers = [("host", "a"), (name, &*value)];
        let caller = verifier.verify(headers, now()).await.unwrap();
        assert_eq!(caller.app_id().to_string(), CALLER);
        assert_eq!(caller.tenant().to_string(), TENANT);
        assert!(caller.object_id().is_some());
    }
}

#[tokio::test]
async fn both_versions_of_tokens_are_accepted() {
    let login = Login::start().await;
    let verifier = login.verifier();
    let upper = |id: &str| json!(id.to_uppercase());
    for (name, claims) in [
        ("v1.0", claims_v1()),
        ("v2.0", claims()),
        ("the URI", with(claims_v1(), "aud", "api://postduif".into())),
        ("both ids", with(claims(), "appid", upper(CALLER))),
        ("both ids, v1.0", with(claims_v1(), "azp", CALLER.into())),
        ("no type", with(claims(), "idtyp", Value::Null)),
        (
            "upper case",
            with(with(claims(), "azp", upper(CALLER)), "tid", upper(TENANT)),
        ),
        (
            "decimals",
            with(claims(), "exp", json!((NOW + 3600) as f64 + 0.5)),
        ),
        (
            "a list that is not read",
            with(claims(), "wids", json!([[1], {"a": null}, 1e300])),
        ),
    ] {
        let outcome = verify(&verifier, &sign(&claims)).await;
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn times_hold_with_a_leeway_of_a_minute() {
    let login = Login::start().await;
    let verifier = login.verifier();
    let token = sign(&claims());
    for (milliseconds, expected) in [
        (-60_001, Some(NotYetValid)),
        (-60_000, None),
        (3_659_999, None),
        (3_660_000, Some(Expired)),
        (1 << 50, Some(Expired)),
        (-1 << 50, Some(NotYetValid)),
    ] {
        let outcome = verify_at(&verifier, &token, after(milliseconds)).await;
        let kind = outcome.err().map(|error| error.kind());
        assert_eq!(kind, expected, "{milliseconds}");
    }
}

#[tokio::test]
async fn a_token_cannot_bring_its_own_key() {
    let login = Login::start().await;
    let evil = Login::empty().await;
    let key = json!({"keys": [super::jwk(&other_key(), KEY_ID)]});
    evil.fail(super::ok(&key)).await;
    let verifier = login.verifier();
    let url = format!("{}/keys", evil.server.uri());
    for (name, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("jwk", super::jwk(&other_key(), KEY_ID)),
        ("x5c", json!([encode([0; 800])])),
        ("iss", json!(url)),
    ] {
        let header = with(header(), name, value);
        let forged = sign_text(
            &other_key(),
            &RSA_PKCS1_SHA256,
            &header.to_string(),
            claims().to_string(),
        );
        assert_eq!(refusal(verify(&verifier, &forged).await, name), Forged);
        verify(&verifier, &sign_as(&header, &claims()))
            .await
            .unwrap();
    }
    assert!(evil.requests().await.is_empty());
    assert_eq!(login.fetches().await, 1);
}
