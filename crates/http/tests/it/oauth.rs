use std::time::Duration;

use postduif_core::{Acceptance, ErrorKind};
use postduif_http::{
    BaseUrl, Client,
    auth::{ClientCredentials, TokenCache, TokenSource as _, TokenStyle},
};
use postduif_testkit::{End, Reply, Server, refusing_address};

const GOOD: &str = r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":"3599"}"#;

fn credentials(url: &str) -> ClientCredentials {
    let client = Client::builder()
        .with_connect_timeout(Duration::from_millis(300))
        .with_timeout(Duration::from_millis(600))
        .build()
        .unwrap();
    ClientCredentials::new(
        client,
        BaseUrl::parse(url).unwrap(),
        "/token",
        "me&co".into(),
        "s=cret".into(),
    )
}

#[tokio::test]
async fn the_credentials_are_in_the_form_or_in_basic() {
    let server = Server::start(|_| Reply::json(200, GOOD)).await;
    let form = credentials(&server.url())
        .with_form("scope", "a/.default")
        .with_query("grant_type", "x");
    form.fetch().await.unwrap();
    credentials(&server.url())
        .with_style(TokenStyle::Basic)
        .fetch()
        .await
        .unwrap();
    let [form, basic] = server.requests().try_into().unwrap();
    assert_eq!(form.target, "/token?grant_type=x");
    assert_eq!(
        form.text(),
        "scope=a%2F.default&client_id=me%26co&client_secret=s%3Dcret"
    );
    assert_eq!(form.header("authorization"), None);
    assert_eq!(
        basic.header("authorization"),
        Some("Basic bWUmY286cz1jcmV0")
    );
    assert_eq!(
        (basic.text().as_str(), basic.header("content-length")),
        ("", Some("0"))
    );
}

#[tokio::test]
async fn a_lifetime_is_read_as_number_or_text_and_assumed_otherwise() {
    for (life, expected) in [
        ("3599", 3599.0),
        (r#""3599""#, 3599.0),
        (r#"" 60 ""#, 60.0),
        ("-1", 0.0),
        ("0.5", 0.5),
        ("null", 3000.0),
        (r#""soon""#, 3000.0),
        ("[]", 3000.0),
        ("1e300", 3000.0),
    ] {
        let body = format!(r#"{{"access_token":"t","expires_in":{life}}}"#);
        let server = Server::start(move |_| Reply::json(200, body.clone())).await;
        // A slow machine makes the remaining time less, never more.
        let started = std::time::Instant::now();
        let token = credentials(&server.url()).fetch().await.unwrap();
        let (left, expected) = (token.remaining(), Duration::from_secs_f64(expected));
        assert!(
            left <= expected && left + started.elapsed() >= expected,
            "{life}: {left:?}"
        );
    }
    let server = Server::start(|_| Reply::json(200, r#"{"access_token":"t"}"#)).await;
    assert!(credentials(&server.url()).fetch().await.is_ok());
}

#[tokio::test]
async fn a_failed_token_request_is_never_in_doubt() {
    for (reply, kind) in [
        (Reply::Reset, ErrorKind::Unavailable),
        (Reply::Close, ErrorKind::Unavailable),
        (Reply::Stall, ErrorKind::Timeout),
        (Reply::status(500), ErrorKind::Unavailable),
        (Reply::status(404), ErrorKind::Misconfigured),
        (Reply::status(429), ErrorKind::Throttled),
        (Reply::html(403), ErrorKind::Protocol),
        (
            Reply::status(302).with_header("location", "/x"),
            ErrorKind::Protocol,
        ),
        (Reply::html(200), ErrorKind::Protocol),
        (
            Reply::json(200, r#"{"access_token":""}"#),
            ErrorKind::Protocol,
        ),
        (
            Reply::json(200, r#"{"access_token":7}"#),
            ErrorKind::Protocol,
        ),
        (
            Reply::Raw(
                b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec(),
                End::Close,
            ),
            ErrorKind::Protocol,
        ),
        (
            Reply::json(400, r#"{"error":"invalid_client","error_codes":[7000215]}"#),
            ErrorKind::Unauthorized,
        ),
    ] {
        let server = Server::start({
            let reply = reply.clone();
            move |_| reply.clone()
        })
        .await;
        let error = credentials(&server.url()).fetch().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (kind, Acceptance::NotAccepted),
            "{reply:?}"
        );
        assert!(!error.to_string().contains("may have been sent"), "{error}");
    }
    let error = credentials(&format!("http://{}", refusing_address().await))
        .fetch()
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Unavailable, Acceptance::NotAccepted)
    );
}

#[tokio::test]
async fn entras_code_is_kept_and_its_description_is_not() {
    let server = Server::start(|_| {
        Reply::json(401, r#"{"error":"invalid_client","error_description":"AADSTS7000222: s=cret","error_codes":[7000222]}"#)
    })
    .await;
    let error = credentials(&server.url()).fetch().await.unwrap_err();
    assert_eq!(error.code(), Some("AADSTS7000222"));
    assert!(!format!("{error} {error:?}").contains("s=cret"));
}

#[tokio::test]
async fn sixty_four_senders_share_one_token_request() {
    let server = Server::start(|_| Reply::json(200, GOOD)).await;
    let cache = std::sync::Arc::new(TokenCache::new(
        credentials(&server.url()),
        Duration::from_secs(60),
    ));
    let senders: Vec<_> = (0..64)
        .map(|_| {
            let cache = std::sync::Arc::clone(&cache);
            tokio::spawn(async move { cache.token().await.is_ok() })
        })
        .collect();
    for sender in senders {
        assert!(sender.await.unwrap());
    }
    assert_eq!(server.requests().len(), 1);
}
