//! Where keys come from, when they are fetched, and what happens without them.

use std::{
    error::Error as _,
    future::{Future, ready},
    io,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use postduif_core::{ErrorKind, Guid, SendError};
use postduif_entra::{
    CallerErrorKind::{self, Forged, Unavailable, UnknownKey},
    CallerVerifier,
};
use ring::signature::RsaKeyPair;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tracing_subscriber::fmt::MakeWriter;
use wiremock::ResponseTemplate;

use super::{
    AUDIENCE, CALLER, KEY_ID, Login, OTHER_ID, builder, claims, claims_v1, encode, header, issuer,
    issuer_v1, jwk, now, ok, other_key, refusal, sign, sign_with_id, tenant_key, verify, with,
};
use crate::support::{TENANT, html};

const MINUTE: Duration = Duration::from_secs(60);

/// Advances the clock.
async fn advance(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

async fn kind(verifier: &CallerVerifier, token: &str) -> Option<CallerErrorKind> {
    let error = verify(verifier, token).await.err()?;
    Some(error.kind())
}

/// Returns the outcome of what never waits.
async fn at_once<T>(call: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        outcome = call => outcome,
        () = ready(()) => panic!("it waits"),
    }
}

/// Starts a call, and drops it.
async fn start_and_leave<T>(call: impl Future<Output = T>) {
    tokio::select! {
        biased;
        _ = call => panic!("it did not wait"),
        () = ready(()) => {}
    }
}

/// Returns a token by a key that the tenant does not have.
fn unknown() -> String {
    sign_with_id(&other_key(), "made-up")
}

fn rolled() -> Value {
    json!({"keys": [jwk(&tenant_key(), KEY_ID), jwk(&other_key(), "tenant-key-2")]})
}

#[test]
fn without_a_tenant_an_audience_or_a_caller_there_is_no_verifier() {
    let caller: Guid = CALLER.parse().unwrap();
    let build = |tenant: &str, audiences: &[&str], callers: &[Guid]| {
        CallerVerifier::builder(tenant)
            .with_audiences(audiences.iter().copied())
            .with_callers(callers.iter().copied())
            .build()
    };
    assert!(build(TENANT, &[AUDIENCE], &[caller]).is_ok());
    assert!(
        build(
            "contoso.onmicrosoft.com",
            &["api://a", "https://a.example/b"],
            &[caller]
        )
        .is_ok()
    );
    assert!(CallerVerifier::builder(TENANT).build().is_err());
    for tenant in [
        "",
        "common",
        "organizations",
        "consumers",
        "a/b",
        "..",
        "{tenantid}",
    ] {
        assert!(build(tenant, &[AUDIENCE], &[caller]).is_err(), "{tenant}");
    }
    for audiences in [
        &[][..],
        &[""],
        &[AUDIENCE, ""],
        &[" "],
        &["a b"],
        &["api://postduif\n"],
        &["https://graph.microsoft.com"],
        &["https://Graph.Microsoft.com/"],
        &["https://graph.microsoft.com:443/.default"],
        &["graph.microsoft.com"],
        &["00000003-0000-0000-C000-000000000000"],
        &["https://management.azure.com/"],
        &["https://management.core.windows.net/"],
        &["797f4846-ba00-4fd7-ba43-dac1f8f63013"],
        &["https://vault.azure.net"],
    ] {
        assert!(
            build(TENANT, audiences, &[caller]).is_err(),
            "{audiences:?}"
        );
    }
    assert!(build(TENANT, &[AUDIENCE], &[]).is_err());
    assert!(build(TENANT, &[AUDIENCE], &[Guid::from_u128(0)]).is_err());
    assert!(build(TENANT, &[AUDIENCE], &[caller, Guid::from_u128(0)]).is_err());
}

#[tokio::test]
async fn a_configured_id_may_be_in_upper_case() {
    let login = Login::start().await;
    let verifier = login.builder().with_audiences([AUDIENCE.to_uppercase()]);
    let verifier = verifier.build().unwrap();
    assert!(verify(&verifier, &sign(&claims())).await.is_ok());
}

#[tokio::test]
async fn keys_are_fetched_once_for_all_tokens() {
    let login = Login::start().await;
    let verifier = login.verifier();
    let token = sign(&claims());
    let calls = (0..100).map(|_| {
        let (verifier, token) = (verifier.clone(), token.clone());
        tokio::spawn(async move { verify(&verifier, &token).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    at_once(verify(&verifier, &token)).await.unwrap();
    at_once(verifier.load_keys()).await.unwrap();
    let root = format!("/login/{TENANT}");
    assert_eq!(
        login.requests().await,
        [
            format!("{root}/v2.0/.well-known/openid-configuration"),
            format!("{root}/.well-known/openid-configuration"),
            format!("{root}/discovery/v2.0/keys"),
        ]
    );
}

#[tokio::test]
async fn keys_may_be_loaded_at_the_start() {
    let login = Login::start().await;
    let verifier = login.verifier();
    verifier.load_keys().await.unwrap();
    at_once(verify(&verifier, &sign(&claims()))).await.unwrap();
    assert_eq!(login.fetches().await, 1);
}

#[tokio::test]
async fn a_made_up_key_id_causes_one_fetch_in_five_minutes() {
    let login = Login::start().await;
    let verifier = login.verifier();
    verifier.load_keys().await.unwrap();
    for _ in 0..20 {
        let outcome = at_once(verify(&verifier, &unknown())).await;
        assert_eq!(refusal(outcome, "unknown"), UnknownKey);
    }
    assert_eq!(login.fetches().await, 1);

    advance(5 * MINUTE).await;
    let token = unknown();
    let calls = (0..100).map(|_| {
        let (verifier, token) = (verifier.clone(), token.clone());
        tokio::spawn(async move { verify(&verifier, &token).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(refusal(call.await.unwrap(), "unknown"), UnknownKey);
    }
    assert_eq!(login.fetches().await, 2);

    login.fail(html(503)).await;
    for minutes in [5, 4, 1] {
        advance(minutes * MINUTE).await;
        for _ in 0..3 {
            assert_eq!(kind(&verifier, &token).await, Some(UnknownKey));
        }
    }
    assert_eq!(login.fetches().await, 2, "a failed fetch counts as one");
    at_once(verify(&verifier, &sign(&claims()))).await.unwrap();
}

#[tokio::test]
async fn a_new_key_is_found_and_an_old_one_is_dropped() {
    let login = Login::start().await;
    let verifier = login.verifier();
    let token = sign_with_id(&other_key(), "tenant-key-2");
    assert_eq!(kind(&verifier, &token).await, Some(UnknownKey));
    login.publish(&rolled()).await;
    assert_eq!(kind(&verifier, &token).await, Some(UnknownKey));
    advance(5 * MINUTE).await;
    assert_eq!(kind(&verifier, &token).await, None);
    assert_eq!(kind(&verifier, &sign(&claims())).await, None);

    login
        .publish(&json!({"keys": [jwk(&other_key(), "tenant-key-2")]}))
        .await;
    advance(5 * MINUTE).await;
    assert_eq!(kind(&verifier, &unknown()).await, Some(UnknownKey));
    assert_eq!(kind(&verifier, &sign(&claims())).await, Some(UnknownKey));
}

#[tokio::test]
async fn keys_are_fetched_again_after_a_day_and_kept_through_an_outage() {
    let login = Login::start().await;
    let verifier = login.verifier();
    verifier.load_keys().await.unwrap();
    let token = sign(&claims());
    login.fail(html(503)).await;
    advance(24 * 60 * MINUTE - MINUTE).await;
    at_once(verify(&verifier, &token)).await.unwrap();
    assert!(login.requests().await.is_empty());

    for turn in 1..=3 {
        advance(5 * MINUTE).await;
        for _ in 0..3 {
            at_once(verify(&verifier, &token)).await.unwrap();
        }
        login.asked(turn).await;
        // A call that waits for the fetch in progress, so that it has ended.
        let _ = kind(&verifier, &unknown()).await;
        assert_eq!(login.fetches().await, turn);
        assert_eq!(usize::try_from(verifier.failed_fetches()), Ok(turn));
        assert!(verifier.keys_age().unwrap() >= 24 * 60 * MINUTE);
    }

    login.publish(&rolled()).await;
    advance(5 * MINUTE).await;
    at_once(verify(&verifier, &token)).await.unwrap();
    login.asked(1).await;
    let new = sign_with_id(&other_key(), "tenant-key-2");
    assert_eq!(kind(&verifier, &new).await, None);
    assert_eq!(login.fetches().await, 1);
    assert_eq!(verifier.failed_fetches(), 0);
    assert!(verifier.keys_age().unwrap() < MINUTE);
}

#[tokio::test]
async fn a_renewal_that_keeps_failing_is_logged_once_in_15_minutes() {
    let logs = Logs::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(logs.clone());
    // With a second subscriber, tracing does not disable callsites because the threads of other tests have none.
    let _other =
        tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(logs.clone()).finish());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let login = Login::start().await;
    let verifier = login.verifier();
    assert_eq!(verifier.keys_age(), None);
    verifier.load_keys().await.unwrap();
    login.fail(html(503)).await;
    // The first at 5 minutes, and the others five minutes apart.
    for (turn, lines) in [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2)] {
        advance(5 * MINUTE).await;
        assert_eq!(kind(&verifier, &unknown()).await, Some(UnknownKey));
        assert_eq!(login.fetches().await, turn);
        let logged = logs.text();
        let warnings = logged
            .lines()
            .filter(|line| line.contains("WARN postduif_entra") && line.contains("not be renewed"));
        assert_eq!(warnings.count(), lines, "{logged}");
    }
    let all = json!({"keys": [jwk(&tenant_key(), KEY_ID)]});
    login.publish(&all).await;
    advance(5 * MINUTE).await;
    assert_eq!(kind(&verifier, &unknown()).await, Some(UnknownKey));
    assert!(logs.text().contains("INFO postduif_entra"));
    // A new failure is news again.
    login.fail(html(503)).await;
    advance(5 * MINUTE).await;
    assert_eq!(kind(&verifier, &unknown()).await, Some(UnknownKey));
    assert_eq!(logs.text().matches("not be renewed").count(), 3);
}

/// What was logged on this thread.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_fetch_that_hangs_holds_up_no_token_with_a_known_key() {
    let login = Login::start().await;
    let verifier = login.verifier();
    verifier.load_keys().await.unwrap();
    login.fail(html(200).set_delay(60 * MINUTE)).await;
    advance(25 * 60 * MINUTE).await;
    start_and_leave(verify(&verifier, &unknown())).await;
    for _ in 0..20 {
        at_once(verify(&verifier, &sign(&claims()))).await.unwrap();
    }
    start_and_leave(verify(&verifier, &unknown())).await;
}

#[tokio::test(start_paused = true)]
async fn a_login_service_that_hangs_is_waited_for_eight_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let verifier = builder(&url).build().unwrap();
    let started = tokio::time::Instant::now();
    let error = verify(&verifier, &sign(&claims())).await.unwrap_err();
    assert_eq!(error.kind(), Unavailable);
    assert!(started.elapsed() <= Duration::from_secs(8));
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_no_fetch() {
    let login = Login::start().await;
    let verifier = login.verifier();
    for _ in 0..5 {
        start_and_leave(verify(&verifier, &sign(&claims()))).await;
    }
    assert_eq!(kind(&verifier, &sign(&claims())).await, None);
    assert_eq!(login.fetches().await, 1);
}

#[tokio::test]
async fn without_keys_nobody_is_refused_or_accepted() {
    let login = Login::empty().await;
    login.fail(html(503)).await;
    let verifier = login.verifier();
    for token in [sign(&claims()), unknown()] {
        let error = verify(&verifier, &token).await.unwrap_err();
        assert_eq!((error.kind(), error.status()), (Unavailable, 503));
        assert_eq!(error.www_authenticate(), None);
        let wait = error.retry_after().unwrap();
        assert!((1..=5).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(wait.subsec_nanos(), 0);
        let cause = error.source().unwrap().downcast_ref::<SendError>().unwrap();
        assert_eq!(cause.kind(), ErrorKind::Unavailable);
    }
    assert!(verifier.load_keys().await.is_err());
    assert_eq!(login.requests().await.len(), 1, "not once for each token");

    login
        .publish(&json!({"keys": [jwk(&tenant_key(), KEY_ID)]}))
        .await;
    advance(Duration::from_secs(5)).await;
    assert_eq!(kind(&verifier, &sign(&claims())).await, None);
}

#[test]
fn without_a_tokio_runtime_there_are_no_keys() {
    let verifier = builder("http://127.0.0.1:1").build().unwrap();
    for _ in 0..2 {
        let mut context = Context::from_waker(Waker::noop());
        let token = sign(&claims());
        let Poll::Ready(outcome) = pin!(verify(&verifier, &token)).poll(&mut context) else {
            panic!("it waits for something that never comes");
        };
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), Unavailable);
        let cause = error.source().unwrap().to_string();
        assert!(cause.contains("no tokio runtime"), "{cause}");
    }
}

#[tokio::test]
async fn a_throttling_login_service_is_given_its_time() {
    let login = Login::empty().await;
    for (stated, expected) in [("30", 30), ("1", 5), ("86400", 60)] {
        login
            .fail(html(429).insert_header("retry-after", stated))
            .await;
        let verifier = login.verifier();
        let error = verifier.load_keys().await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(expected)));
        advance(Duration::from_secs(expected / 2)).await;
        let error = verifier.load_keys().await.unwrap_err();
        assert!(error.retry_after() <= Some(Duration::from_secs(expected.div_ceil(2))));
        assert_eq!(login.requests().await.len(), 1);
    }
}

#[tokio::test]
async fn what_is_malformed_causes_no_fetch() {
    let login = Login::start().await;
    let verifier = login.verifier();
    let good = sign(&claims());
    let hs256 = super::sign_as(&with(header(), "alg", "HS256".into()), &claims());
    for token in [
        "",
        "a.b.c",
        &format!("{good}="),
        &format!("{good}.{good}"),
        &hs256,
    ] {
        at_once(verify(&verifier, token)).await.unwrap_err();
    }
    at_once(verifier.verify([("host", "a")], now()))
        .await
        .unwrap_err();
    assert!(login.requests().await.is_empty());
}

#[tokio::test]
async fn a_domain_is_of_the_tenant_that_the_login_service_states() {
    let login = Login::empty().await;
    let domain = "contoso.onmicrosoft.com";
    let metadata =
        |version: &str| format!("/login/{domain}{version}/.well-known/openid-configuration");
    let keys = json!({"keys": [jwk(&tenant_key(), KEY_ID)]});
    login.publish(&keys).await;
    for (path, body) in [
        (metadata("/v2.0"), login.metadata()),
        (metadata(""), json!({"issuer": issuer_v1(TENANT)})),
    ] {
        wiremock::Mock::given(wiremock::matchers::path(path))
            .respond_with(ok(&body))
            .mount(&login.server)
            .await;
    }
    let verifier =
        CallerVerifier::builder(domain)
            .with_cloud(super::Cloud::GLOBAL.with_login(
                super::BaseUrl::parse(&format!("{}/login", login.server.uri())).unwrap(),
            ))
            .with_audiences([AUDIENCE])
            .with_callers([CALLER.parse().unwrap()])
            .build()
            .unwrap();
    assert_eq!(kind(&verifier, &sign(&claims())).await, None);
    assert_eq!(kind(&verifier, &sign(&claims_v1())).await, None);
    let other = with(
        with(claims(), "tid", OTHER_ID.into()),
        "iss",
        issuer(OTHER_ID).into(),
    );
    assert_eq!(
        kind(&verifier, &sign(&other)).await,
        Some(CallerErrorKind::Issuer)
    );
}

#[tokio::test]
async fn metadata_must_be_the_tenants_and_name_keys_of_the_same_host() {
    let login = Login::empty().await;
    let evil = Login::start().await;
    let good = login.metadata();
    let good_v1 = json!({"issuer": issuer_v1(TENANT)});
    let keys = json!({"keys": [jwk(&tenant_key(), KEY_ID)]});
    let token = sign(&claims());

    login.publish(&keys).await;
    assert_eq!(kind(&login.verifier(), &token).await, None);

    let port = login.server.address().port();
    for (name, value) in [
        ("issuer", issuer(OTHER_ID)),
        ("issuer", issuer("{tenantid}")),
        ("issuer", issuer_v1(TENANT)),
        ("issuer", format!("{}/", issuer(TENANT))),
        (
            "issuer",
            format!("http://login.microsoftonline.com/{TENANT}/v2.0"),
        ),
        ("issuer", format!("https:///{TENANT}/v2.0")),
        ("issuer", TENANT.into()),
        ("jwks_uri", evil.url("/discovery/v2.0/keys")),
        ("jwks_uri", "http://login.evil.example/keys".into()),
        ("jwks_uri", "https://login.microsoftonline.com/keys".into()),
        ("jwks_uri", format!("https://127.0.0.1:{port}/keys")),
        ("jwks_uri", format!("http://a@127.0.0.1:{port}/keys")),
        ("jwks_uri", format!("http://localhost:{port}/keys")),
        ("jwks_uri", "file:///etc/passwd".into()),
        ("jwks_uri", "/discovery/v2.0/keys".into()),
        ("jwks_uri", String::new()),
    ] {
        let v2 = with(good.clone(), name, value.clone().into());
        login.publish_as(&v2, &good_v1, ok(&keys)).await;
        assert_eq!(
            kind(&login.verifier(), &token).await,
            Some(Unavailable),
            "{value}"
        );
    }
    for v2 in [
        json!([good]),
        json!({}),
        with(good.clone(), "issuer", Value::Null),
        with(good.clone(), "jwks_uri", Value::Null),
        with(
            good.clone(),
            "jwks_uri",
            json!([login.url("/discovery/v2.0/keys")]),
        ),
    ] {
        login.publish_as(&v2, &good_v1, ok(&keys)).await;
        assert_eq!(
            kind(&login.verifier(), &token).await,
            Some(Unavailable),
            "{v2}"
        );
    }
    for value in [
        issuer_v1(OTHER_ID),
        issuer(TENANT),
        issuer_v1(TENANT).replace("https", "http"),
    ] {
        login
            .publish_as(&good, &json!({"issuer": value}), ok(&keys))
            .await;
        assert_eq!(
            kind(&login.verifier(), &token).await,
            Some(Unavailable),
            "{value}"
        );
    }
    let v2 = with(good, "issuer", issuer(OTHER_ID).into());
    let v1 = json!({"issuer": issuer_v1(OTHER_ID)});
    login.publish_as(&v2, &v1, ok(&keys)).await;
    let other = with(claims(), "tid", OTHER_ID.into());
    let other = sign(&with(other, "iss", issuer(OTHER_ID).into()));
    assert_eq!(kind(&login.verifier(), &other).await, Some(Unavailable));
    assert!(evil.requests().await.is_empty());
}

#[tokio::test]
async fn no_response_but_a_bounded_set_of_keys_is_one() {
    let login = Login::empty().await;
    let evil = Login::start().await;
    let token = sign(&claims());
    let key = jwk(&tenant_key(), KEY_ID);
    let redirect = |url: String| ResponseTemplate::new(302).insert_header("location", url);
    let many: Vec<_> = (0..101)
        .map(|id| json!({"kty": "EC", "kid": format!("{id}")}))
        .collect();
    let many = [many, vec![key.clone()]].concat();
    let long = json!({"keys": [key], "more": "x".repeat(64 * 1024)});
    for (name, response) in [
        ("an array", ok(&json!([key]))),
        ("no list", ok(&json!({"keys": key}))),
        ("no keys", ok(&json!({"keys": []}))),
        ("nothing", ok(&json!({}))),
        ("HTML", html(200)),
        ("too many", ok(&json!({"keys": many}))),
        ("too long", ok(&long)),
        ("a redirect", redirect(evil.url("/discovery/v2.0/keys"))),
        ("404", html(404)),
        (
            "created",
            ResponseTemplate::new(201).set_body_json(json!({"keys": [key]})),
        ),
        ("500", html(500)),
    ] {
        let v1 = json!({"issuer": issuer_v1(TENANT)});
        login.publish_as(&login.metadata(), &v1, response).await;
        assert_eq!(
            kind(&login.verifier(), &token).await,
            Some(Unavailable),
            "{name}"
        );
    }
    assert!(evil.requests().await.is_empty());
}

#[tokio::test]
async fn only_keys_for_this_tenants_signatures_are_used() {
    let login = Login::empty().await;
    let other = jwk(&other_key(), "other");
    let key = || jwk(&tenant_key(), KEY_ID);
    let key_with = |name: &str, value: Value| with(key(), name, value);
    for (name, key, expected) in [
        ("plain", key(), None),
        ("no use", key_with("use", Value::Null), None),
        ("RS256", key_with("alg", "RS256".into()), None),
        (
            "the issuer",
            key_with("issuer", issuer(TENANT).into()),
            None,
        ),
        (
            "the issuer, v1.0",
            key_with("issuer", issuer_v1(TENANT).into()),
            None,
        ),
        (
            "any tenant",
            key_with("issuer", issuer("{tenantid}").into()),
            None,
        ),
        (
            "another tenant",
            key_with("issuer", issuer(OTHER_ID).into()),
            Some(UnknownKey),
        ),
        (
            "another cloud",
            key_with(
                "issuer",
                json!("https://login.microsoftonline.us/{tenantid}/v2.0"),
            ),
            Some(UnknownKey),
        ),
        (
            "a list of issuers",
            key_with("issuer", json!([issuer(TENANT)])),
            Some(UnknownKey),
        ),
        (
            "encryption",
            key_with("use", "enc".into()),
            Some(UnknownKey),
        ),
        ("RS512", key_with("alg", "RS512".into()), Some(UnknownKey)),
        (
            "RSA-OAEP",
            key_with("alg", "RSA-OAEP".into()),
            Some(UnknownKey),
        ),
        ("EC", key_with("kty", "EC".into()), Some(UnknownKey)),
        ("oct", key_with("kty", "oct".into()), Some(UnknownKey)),
        ("no type", key_with("kty", Value::Null), Some(UnknownKey)),
        ("no id", key_with("kid", Value::Null), Some(UnknownKey)),
        (
            "a number as id",
            key_with("kid", json!(1)),
            Some(UnknownKey),
        ),
        ("no modulus", key_with("n", Value::Null), Some(UnknownKey)),
        (
            "a padded modulus",
            key_with("n", format!("{}==", key()["n"].as_str().unwrap()).into()),
            Some(UnknownKey),
        ),
        (
            "a short modulus",
            key_with("n", encode([0xff; 255]).into()),
            Some(UnknownKey),
        ),
        ("no exponent", key_with("e", Value::Null), Some(UnknownKey)),
        (
            "exponent 0",
            key_with("e", encode([0]).into()),
            Some(UnknownKey),
        ),
        (
            "exponent 1",
            key_with("e", encode([1]).into()),
            Some(Forged),
        ),
        ("not an object", json!("key"), Some(UnknownKey)),
    ] {
        for keys in [json!([key, other]), json!([other, key])] {
            login.publish(&json!({"keys": keys})).await;
            let outcome = kind(&login.verifier(), &sign(&claims())).await;
            assert_eq!(outcome, expected, "{name}");
        }
    }
    // Of two keys with one id, the first counts.
    let keys = |first: &RsaKeyPair, second: &RsaKeyPair| json!({"keys": [jwk(first, KEY_ID), jwk(second, KEY_ID)]});
    login.publish(&keys(&tenant_key(), &other_key())).await;
    assert_eq!(kind(&login.verifier(), &sign(&claims())).await, None);
    login.publish(&keys(&other_key(), &tenant_key())).await;
    assert_eq!(
        kind(&login.verifier(), &sign(&claims())).await,
        Some(Forged)
    );
}
