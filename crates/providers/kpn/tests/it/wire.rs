use std::time::Duration;

use postduif_core::{ErrorKind, Message, SmsProvider as _, Text};
use postduif_kpn::Kpn;
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, body_string, header, method, path, query_param},
};

pub(crate) async fn server() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/oauth/client_credential/accesstoken"))
        .respond_with(ResponseTemplate::new(200).set_body_json(token("t0ken")))
        .mount(&server)
        .await;
    server
}

/// KPN's token response, with every member that the documentation shows.
pub(crate) fn token(access_token: &str) -> Value {
    json!({
        "access_token": access_token, "token_type": "BearerToken", "expires_in": "3599",
        "issued_at": "1767225600000", "client_id": "me", "application_name": "my-project",
        "api_product_list": "[sms-kpn]", "organization_name": "kpn", "developer_email": "dev@example.test",
        "level": "demo", "scope": "", "refresh_token": "", "refresh_token_expires_in": "0",
        "refresh_count": "0", "status": "approved"
    })
}

pub(crate) fn url(server: &MockServer, options: &str) -> String {
    format!("kpn://me:secret@{}{options}", server.address())
}

pub(crate) fn message() -> Message {
    Message::new(
        "+31612345678".parse().unwrap(),
        Text::new("Your code is 123456").unwrap(),
    )
    .with_reference("01J9Z8".parse().unwrap())
}

pub(crate) fn accepted() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"document_id": "5f0c7f1e", "status": "OK"}))
}

pub(crate) async fn mount_send(server: &MockServer, response: ResponseTemplate) {
    let send = Mock::given(method("POST")).and(path("/communication/kpn/sms/send"));
    send.respond_with(response).mount(server).await;
}

pub(crate) async fn sends(server: &MockServer) -> usize {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .filter(|request| request.url.path().ends_with("/send"))
        .count()
}

#[tokio::test]
async fn a_send_is_made_as_documented() {
    let server = server().await;
    Mock::given(method("POST"))
        .and(path("/communication/kpn/sms/send"))
        .and(header("authorization", "Bearer t0ken"))
        .and(header("content-type", "application/json"))
        .and(header("accept", "application/json"))
        .and(header("subaccount", "branch"))
        .and(body_json(json!({
            "sender": "Acme",
            "webhook_url": "https://hooks.example.test/kpn/dlr?reference=01J9Z8",
            "expirein": "1800",
            "messages": [{"mobile_number": "+31612345678", "content": "Your code is 123456"}]
        })))
        .respond_with(accepted())
        .expect(1)
        .mount(&server)
        .await;
    let webhook = "https%3A%2F%2Fhooks.example.test%2Fkpn%2Fdlr%3Freference%3D%7Breference%7D";
    let kpn = Kpn::from_url(&url(
        &server,
        &format!("?sender=Acme&sub_account=branch&report_url={webhook}"),
    ))
    .unwrap();
    let receipt = kpn
        .send(&message().with_validity(Duration::from_secs(1800)))
        .await
        .unwrap();
    assert_eq!(
        (receipt.provider(), receipt.id(), receipt.parts()),
        ("kpn", Some("5f0c7f1e"), None)
    );
}

#[tokio::test]
async fn an_option_that_is_not_set_is_not_sent() {
    let server = server().await;
    Mock::given(path("/communication/kpn/sms/send"))
        .and(body_json(json!({"messages": [{"mobile_number": "+31612345678", "content": "Your code is 123456"}]})))
        .respond_with(accepted())
        .expect(1)
        .mount(&server)
        .await;
    Kpn::from_url(&url(&server, ""))
        .unwrap()
        .send(&message())
        .await
        .unwrap();
}

#[tokio::test]
async fn the_messages_sender_replaces_the_default() {
    let server = server().await;
    mount_send(&server, accepted()).await;
    let kpn = Kpn::from_url(&url(&server, "?sender=Acme")).unwrap();
    kpn.send(&message().with_sender("KPN API".parse().unwrap()))
        .await
        .unwrap();
    let requests = server.received_requests().await.unwrap();
    assert!(String::from_utf8_lossy(&requests[1].body).contains(r#""sender":"KPN API""#));
}

#[tokio::test]
async fn the_token_is_requested_as_documented() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/oauth/client_credential/accesstoken"))
        .and(query_param("grant_type", "client_credentials"))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .and(body_string("client_id=me&client_secret=secret"))
        .respond_with(ResponseTemplate::new(200).set_body_json(token("t0ken")))
        .expect(1)
        .mount(&server)
        .await;
    Kpn::from_url(&url(&server, ""))
        .unwrap()
        .check()
        .await
        .unwrap();
}

#[tokio::test]
async fn the_token_is_requested_with_basic_credentials() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/oauth/client_credential/accesstoken"))
        .and(query_param("grant_type", "client_credentials"))
        .and(header("authorization", "Basic bWU6c2VjcmV0"))
        .and(header("content-length", "0"))
        .and(body_string(""))
        .respond_with(ResponseTemplate::new(200).set_body_json(token("t0ken")))
        .expect(1)
        .mount(&server)
        .await;
    Kpn::from_url(&url(&server, "?token_style=basic"))
        .unwrap()
        .check()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_success_without_an_id_is_in_doubt() {
    for body in [
        json!({"status": "OK"}),
        json!({"document_id": "", "status": "OK"}),
        json!({"document_id": null}),
    ] {
        let server = server().await;
        mount_send(&server, ResponseTemplate::new(200).set_body_json(&body)).await;
        let error = Kpn::from_url(&url(&server, ""))
            .unwrap()
            .send(&message())
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Protocol, postduif_core::Acceptance::Unknown),
            "{body}"
        );
        assert_eq!(sends(&server).await, 1);
    }
}

/// The error of a check that did not succeed, or the refusal of the credentials.
pub(crate) fn failure(
    checked: Result<postduif_core::Health, postduif_core::SendError>,
) -> postduif_core::SendError {
    match checked {
        Ok(health) => {
            let refusal = health.refusal().expect("the check succeeded").clone();
            assert_eq!(refusal.kind(), ErrorKind::Unauthorized);
            refusal
        }
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::Unauthorized, "{error:?}");
            error
        }
    }
}
