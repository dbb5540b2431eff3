use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use postduif_core::{Acceptance, ErrorKind, SmsProvider as _, departure::Departure};
use postduif_kpn::Kpn;
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, path},
};

use super::wire::{accepted, failure, message, mount_send, sends, server, token, url};

fn fault(code: &str) -> serde_json::Value {
    json!({"fault": {"faultstring": "x", "detail": {"errorcode": code}}})
}

/// A token endpoint that issues `old` once and then `new`.
async fn renewing() -> MockServer {
    let server = MockServer::start().await;
    let endpoint = || Mock::given(path("/oauth/client_credential/accesstoken"));
    let issue = |name| ResponseTemplate::new(200).set_body_json(token(name));
    endpoint()
        .respond_with(issue("old"))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    endpoint().respond_with(issue("new")).mount(&server).await;
    server
}

/// A provider whose token, `old`, has been in use long enough to be replaced after a refusal.
async fn with_an_old_token(server: &MockServer) -> Kpn {
    let kpn = Kpn::from_url(&url(server, "")).unwrap();
    kpn.check().await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    kpn
}

/// Refuses the token `old` like this, and accepts a text with the token `new`.
async fn mount_refusal(server: &MockServer, refusal: ResponseTemplate) {
    let send = |token: &str| {
        Mock::given(path("/communication/kpn/sms/send"))
            .and(header("authorization", format!("Bearer {token}").as_str()))
    };
    send("old").respond_with(refusal).mount(server).await;
    send("new").respond_with(accepted()).mount(server).await;
}

fn product_401() -> ResponseTemplate {
    let body = json!({"errorResponse": {"code": "401", "message": "Unauthorized", "info": "https://x.test"}});
    ResponseTemplate::new(401).set_body_json(body)
}

#[tokio::test]
async fn the_words_of_the_token_endpoint_reach_a_check_and_a_send() {
    let server = MockServer::start().await;
    let body = json!({"ErrorCode": "invalid_client", "Error": "ClientId is Invalid"});
    Mock::given(path("/oauth/client_credential/accesstoken"))
        .respond_with(ResponseTemplate::new(401).set_body_json(body))
        .mount(&server)
        .await;
    let kpn = Kpn::from_url(&url(&server, "?vendor_messages=true")).unwrap();
    let health = kpn.check().await.unwrap();
    let refusal = health.refusal().unwrap();
    assert_eq!(refusal.vendor_message(), Some("ClientId is Invalid"));
    let error = kpn.send(&message()).await.unwrap_err();
    assert_eq!(error.vendor_message(), Some("ClientId is Invalid"));
}

#[tokio::test]
async fn a_provably_refused_token_is_renewed_once_and_the_send_repeated_once() {
    for refusal in [
        ResponseTemplate::new(401).insert_header("www-authenticate", "Bearer"),
        product_401().insert_header("www-authenticate", "Bearer realm=\"null\""),
        ResponseTemplate::new(401).set_body_json(fault("oauth.v2.InvalidAccessToken")),
        ResponseTemplate::new(500).set_body_json(fault("oauth.v2.InvalidAccessToken")),
        ResponseTemplate::new(500).set_body_json(fault("oauth.v2.AccessTokenExpired")),
        ResponseTemplate::new(500)
            .set_body_json(fault("keymanagement.service.invalid_access_token")),
        ResponseTemplate::new(500)
            .set_body_json(fault("keymanagement.service.access_token_expired")),
    ] {
        let server = renewing().await;
        mount_refusal(&server, refusal).await;
        let kpn = with_an_old_token(&server).await;
        kpn.send(&message()).await.unwrap();
        assert_eq!(sends(&server).await, 2);
    }
}

#[tokio::test]
async fn a_401_in_kpns_shape_alone_is_not_repeated_but_the_next_send_has_a_new_token() {
    let server = renewing().await;
    mount_refusal(&server, product_401()).await;
    let kpn = with_an_old_token(&server).await;
    let error = kpn.send(&message()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Unauthorized, Acceptance::NotAccepted)
    );
    assert_eq!(sends(&server).await, 1);
    kpn.send(&message()).await.unwrap();
    assert_eq!(sends(&server).await, 2);
}

#[tokio::test]
async fn a_challenge_for_anything_but_a_bearer_token_is_not_repeated() {
    let server = renewing().await;
    let response = ResponseTemplate::new(401).insert_header("www-authenticate", "Negotiate");
    mount_refusal(&server, response).await;
    let kpn = with_an_old_token(&server).await;
    let error = kpn.send(&message()).await.unwrap_err();
    assert_eq!(error.acceptance(), Acceptance::NotAccepted);
    assert_eq!(sends(&server).await, 1);
}

#[tokio::test]
async fn a_refusal_of_the_token_with_an_id_beside_it_is_in_doubt_and_not_repeated() {
    let id = json!({"document_id": "5f0c7f1e", "status": "OK"});
    let mut both = fault("oauth.v2.InvalidAccessToken");
    both["document_id"] = json!("5f0c7f1e");
    for response in [
        ResponseTemplate::new(401)
            .insert_header("www-authenticate", "Bearer")
            .set_body_json(&id),
        ResponseTemplate::new(401).set_body_json(&both),
        ResponseTemplate::new(500).set_body_json(&both),
    ] {
        let server = renewing().await;
        mount_refusal(&server, response).await;
        let kpn = with_an_old_token(&server).await;
        let error = kpn.send(&message()).await.unwrap_err();
        assert_eq!(error.acceptance(), Acceptance::Unknown);
        assert_eq!(sends(&server).await, 1);
    }
}

#[tokio::test]
async fn a_refusal_for_which_a_new_token_does_not_help_is_not_repeated() {
    for code in [
        "keymanagement.service.InvalidAPICallAsNoApiProductMatchFound",
        "keymanagement.service.access_token_not_approved",
        "keymanagement.service.apiresource_doesnot_exist",
    ] {
        let server = renewing().await;
        mount_refusal(
            &server,
            ResponseTemplate::new(401).set_body_json(fault(code)),
        )
        .await;
        let kpn = with_an_old_token(&server).await;
        let error = kpn.send(&message()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Unauthorized, Acceptance::NotAccepted)
        );
        assert_eq!(sends(&server).await, 1);
    }
}

#[tokio::test]
async fn a_redirect_with_a_token_fault_is_in_doubt_and_not_repeated() {
    let server = renewing().await;
    let response = ResponseTemplate::new(302).set_body_json(fault("oauth.v2.InvalidAccessToken"));
    mount_refusal(&server, response).await;
    let kpn = with_an_old_token(&server).await;
    let error = kpn.send(&message()).await.unwrap_err();
    assert_eq!(error.acceptance(), Acceptance::Unknown);
    assert_eq!(sends(&server).await, 1);
}

#[tokio::test]
async fn a_permanent_401_makes_one_post_for_each_text_and_one_token_request() {
    for refusal in [
        product_401(),
        ResponseTemplate::new(401).set_body_json(fault("oauth.v2.InvalidAccessToken")),
        ResponseTemplate::new(401).insert_header("www-authenticate", "Bearer"),
    ] {
        let server = server().await;
        mount_send(&server, refusal).await;
        let kpn = Kpn::from_url(&url(&server, "")).unwrap();
        let messages: Vec<_> = (0..20).map(|_| message()).collect();
        for outcome in &kpn.send_batch(&messages).await {
            let error = outcome.as_ref().unwrap_err();
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Unauthorized, Acceptance::NotAccepted)
            );
        }
        let requests = server.received_requests().await.unwrap().len();
        assert_eq!((sends(&server).await, requests), (20, 21));
    }
}

#[tokio::test]
async fn a_send_cut_off_while_its_second_token_is_fetched_was_not_sent() {
    let server = MockServer::start().await;
    let endpoint = || Mock::given(path("/oauth/client_credential/accesstoken"));
    let old = ResponseTemplate::new(200).set_body_json(token("old"));
    endpoint()
        .respond_with(old)
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let is_requested = Arc::new(AtomicBool::new(false));
    let requested = Arc::clone(&is_requested);
    let stall = move |_: &wiremock::Request| {
        requested.store(true, Ordering::SeqCst);
        ResponseTemplate::new(200).set_delay(Duration::from_secs(3600))
    };
    endpoint().respond_with(stall).mount(&server).await;
    let refusal = ResponseTemplate::new(401).set_body_json(fault("oauth.v2.InvalidAccessToken"));
    mount_refusal(&server, refusal).await;
    let kpn = with_an_old_token(&server).await;
    let message = message();
    let second_fetch = std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if is_requested.load(Ordering::SeqCst) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    let cut = Departure::new()
        .run_until(second_fetch, kpn.send(&message))
        .await;
    assert_eq!(cut.err(), Some(Acceptance::NotAccepted));
    assert_eq!(sends(&server).await, 1);
}

#[tokio::test]
async fn a_second_refusal_is_returned() {
    let server = renewing().await;
    mount_send(
        &server,
        ResponseTemplate::new(500).set_body_json(fault("oauth.v2.InvalidAccessToken")),
    )
    .await;
    let kpn = with_an_old_token(&server).await;
    let error = kpn.send(&message()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Unauthorized, Acceptance::NotAccepted)
    );
    assert_eq!(error.code(), Some("oauth.v2.InvalidAccessToken"));
    assert_eq!(sends(&server).await, 2);
}

#[tokio::test]
async fn a_bare_401_or_403_is_in_doubt_and_not_repeated() {
    for status in [401, 403] {
        for response in [
            ResponseTemplate::new(status),
            ResponseTemplate::new(status).set_body_raw("<html>", "text/html"),
            ResponseTemplate::new(status).set_body_json(json!({"message": "Unauthorized"})),
            ResponseTemplate::new(status)
                .set_body_json(json!({"error": {"message": "Unauthorized"}})),
        ] {
            let server = renewing().await;
            mount_send(&server, response).await;
            let error = Kpn::from_url(&url(&server, ""))
                .unwrap()
                .send(&message())
                .await
                .unwrap_err();
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Protocol, Acceptance::Unknown)
            );
            assert_eq!(
                server.received_requests().await.unwrap().len(),
                2,
                "one token, one send"
            );
        }
    }
}

#[tokio::test]
async fn a_product_that_is_not_on_the_project_is_refused_without_a_new_token() {
    let server = renewing().await;
    let body = json!({"errorResponse": {"code": "403", "message": "Forbidden"}});
    mount_send(&server, ResponseTemplate::new(403).set_body_json(body)).await;
    let error = Kpn::from_url(&url(&server, ""))
        .unwrap()
        .send(&message())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Unauthorized, Acceptance::NotAccepted)
    );
    assert_eq!(
        server.received_requests().await.unwrap().len(),
        2,
        "one token, one send"
    );
}

#[tokio::test]
async fn a_send_without_a_token_is_not_accepted() {
    for (response, kind) in [
        (
            ResponseTemplate::new(401).set_body_json(
                json!({"ErrorCode": "invalid_client", "Error": "ClientId is Invalid"}),
            ),
            ErrorKind::Unauthorized,
        ),
        (
            ResponseTemplate::new(500).set_body_string("invalid_client"),
            ErrorKind::Unauthorized,
        ),
        (
            ResponseTemplate::new(500).set_body_json(fault("oauth.v2.invalid_client")),
            ErrorKind::Unauthorized,
        ),
        (ResponseTemplate::new(429), ErrorKind::Throttled),
        (
            ResponseTemplate::new(500)
                .set_body_json(fault("policies.ratelimit.SpikeArrestViolation")),
            ErrorKind::Throttled,
        ),
        (ResponseTemplate::new(503), ErrorKind::Unavailable),
        (ResponseTemplate::new(200), ErrorKind::Protocol),
    ] {
        let server = MockServer::start().await;
        Mock::given(path("/oauth/client_credential/accesstoken"))
            .respond_with(response)
            .mount(&server)
            .await;
        mount_send(&server, accepted()).await;
        let kpn = Kpn::from_url(&url(&server, "")).unwrap();
        for error in [
            kpn.send(&message()).await.unwrap_err(),
            failure(kpn.check().await),
        ] {
            assert_eq!(
                (error.kind(), error.acceptance()),
                (kind, Acceptance::NotAccepted),
                "{error:?}"
            );
            assert_eq!(error.provider(), Some("kpn"));
        }
        let error = failure(kpn.check().await).to_string();
        assert!(!error.contains("message"), "{error}");
        assert_eq!(sends(&server).await, 0);
    }
}

#[tokio::test]
async fn one_token_serves_many_sends() {
    let server = server().await;
    mount_send(&server, accepted()).await;
    let kpn = Kpn::from_url(&url(&server, "")).unwrap();
    let messages: Vec<_> = (0..20).map(|_| message()).collect();
    assert_eq!(kpn.send_batch(&messages).await.accepted(), 20);
    assert_eq!(server.received_requests().await.unwrap().len(), 21);
}
