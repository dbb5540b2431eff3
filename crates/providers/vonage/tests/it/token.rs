use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use postduif_core::{Acceptance, ErrorKind, SmsProvider as _};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use wiremock::{Mock, ResponseTemplate, matchers::any};

use super::wire::{APPLICATION, World, accepted, message, problem, response};

/// Verifies a token with the application's key, as Vonage does, and returns its claims.
pub(crate) fn claims(authorization: &str) -> Value {
    let token = authorization.strip_prefix("Bearer ").unwrap();
    let (signed, tag) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
    let public = include_bytes!("keys/application.public.der");
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
        .verify(signed.as_bytes(), &decode(tag))
        .unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT"}));
    serde_json::from_slice(&decode(claims)).unwrap()
}

/// Returns the token of each call, in order.
async fn tokens(world: &World) -> Vec<String> {
    let requests = world.requests().await;
    let tokens = requests.iter().map(|request| {
        request.headers["authorization"]
            .to_str()
            .unwrap()
            .to_owned()
    });
    tokens.collect()
}

/// Refuses the first call like this, and accepts the others.
async fn refuse_once(world: &World, refusal: ResponseTemplate) {
    Mock::given(any())
        .respond_with(refusal)
        .up_to_n_times(1)
        .mount(&world.server)
        .await;
    Mock::given(any())
        .respond_with(accepted())
        .mount(&world.server)
        .await;
}

#[tokio::test]
async fn a_token_has_the_claims_that_vonage_requires() {
    let world = World::application().await;
    let before = DateTime::<Utc>::from(std::time::SystemTime::now()).timestamp();
    world.send(accepted()).await.unwrap();
    let claims = claims(&tokens(&world).await[0]);
    assert_eq!(claims["application_id"], APPLICATION);
    let iat = claims["iat"].as_i64().unwrap();
    assert!((before..before + 60).contains(&iat));
    assert_eq!(claims["exp"], iat + 900);
    let jti = claims["jti"].as_str().unwrap();
    assert_eq!((jti.len(), jti.split('-').count()), (36, 5));
    assert_eq!(claims.as_object().unwrap().len(), 4);
}

#[tokio::test]
async fn one_token_serves_many_sends() {
    let world = World::application().await;
    world.respond(accepted()).await;
    let messages: Vec<_> = (0..20).map(|_| message()).collect();
    assert_eq!(world.vonage.send_batch(&messages).await.accepted(), 20);
    let mut tokens = tokens(&world).await;
    assert_eq!(tokens.len(), 20);
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
}

/// An application whose token has been in use long enough to be replaced after a refusal.
async fn with_a_token_in_use() -> World {
    let world = World::application().await;
    world.send(accepted()).await.unwrap();
    world.server.reset().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    world
}

#[tokio::test]
async fn an_expired_token_is_replaced_once_and_the_send_repeated_once() {
    let world = with_a_token_in_use().await;
    refuse_once(&world, response(401, &problem("jwt-expired"))).await;
    world.vonage.send(&message()).await.unwrap();
    let tokens = tokens(&world).await;
    assert_eq!(tokens.len(), 2);
    assert_ne!(claims(&tokens[0])["jti"], claims(&tokens[1])["jti"]);
}

#[tokio::test]
async fn a_second_refusal_is_returned() {
    let world = with_a_token_in_use().await;
    let error = world
        .send(response(401, &problem("jwt-expired")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.acceptance(), error.code()),
        (
            ErrorKind::Unauthorized,
            Acceptance::NotAccepted,
            Some("jwt-expired")
        )
    );
    assert_eq!(world.requests().await.len(), 2);
}

#[tokio::test]
async fn a_token_refused_while_young_is_not_replaced() {
    let world = World::application().await;
    for _ in 0..20 {
        world.error(response(401, &problem("jwt-expired"))).await;
    }
}

#[tokio::test]
async fn only_a_refusal_for_an_expired_token_is_repeated() {
    let world = with_a_token_in_use().await;
    for refusal in [
        response(401, &problem("unauthorized")),
        response(401, &problem("invalid-signature")),
        response(401, &problem("unprovisioned")),
        response(401, &problem("jwt-revoked")),
        response(401, &problem("application-suspended")),
        response(401, &problem("something-else")),
        response(408, &problem("jwt-expired")),
        ResponseTemplate::new(401).insert_header("www-authenticate", "Bearer"),
        ResponseTemplate::new(401),
        ResponseTemplate::new(401).set_body_raw("<html>", "text/html"),
        response(401, &json!({"message": "Unauthorized"})),
        response(
            401,
            &json!({"type": "https://tools.ietf.org/html/rfc9110#section-15.5.2", "title": "Unauthorized"}),
        ),
        response(401, &problem("multiple-auth-methods")),
        response(403, &problem("forbidden")),
        response(402, &problem("low-balance")),
        response(422, &problem("1060")),
        response(500, &problem("unauthorized")),
        ResponseTemplate::new(500),
    ] {
        world.error(refusal).await;
    }
}

#[tokio::test]
async fn a_repeat_whose_response_is_lost_is_in_doubt() {
    let world = with_a_token_in_use().await;
    let expired = Mock::given(any()).respond_with(response(401, &problem("jwt-expired")));
    expired.up_to_n_times(1).mount(&world.server).await;
    let failing = Mock::given(any()).respond_with(ResponseTemplate::new(502));
    failing.mount(&world.server).await;
    let error = world.vonage.send(&message()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Unavailable, Acceptance::Unknown)
    );
    assert_eq!(world.requests().await.len(), 2);
}

#[tokio::test]
async fn an_account_repeats_nothing() {
    let world = World::messages().await;
    world.error(response(401, &problem("unauthorized"))).await;
    world.error(response(401, &problem("jwt-expired"))).await;
}
