use postduif_core::{Acceptance, ErrorKind, Message, SmsProvider as _, Text};
use postduif_smstools::Smstools;
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, header, method, path},
};

pub(crate) const ID: &str = "e0ncuxht345hjmbjvv2feky0azflcw";

pub(crate) fn url(server: &MockServer, options: &str) -> String {
    format!(
        "smstools://me:s3cret@{}?sender=Acme{options}",
        server.address()
    )
}

pub(crate) fn smstools(server: &MockServer) -> Smstools {
    Smstools::from_url(&url(server, "")).unwrap()
}

pub(crate) fn message() -> Message {
    Message::new(
        "+31612345678".parse().unwrap(),
        Text::new("Your code is 123456").unwrap(),
    )
    .with_reference("01J9Z8".parse().unwrap())
}

pub(crate) fn accepted() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"messageid": ID}))
}

pub(crate) async fn mount(server: &MockServer, response: ResponseTemplate) {
    Mock::given(method("POST"))
        .and(path("/v1/message/send"))
        .respond_with(response)
        .mount(server)
        .await;
}

pub(crate) async fn responding(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    mount(&server, response).await;
    server
}

/// The bodies of the calls, in order.
pub(crate) async fn calls(server: &MockServer) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .map(|request| request.body_json().unwrap())
        .collect()
}

#[tokio::test]
async fn a_send_is_made_as_documented() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/message/send"))
        .and(header("x-client-id", "me"))
        .and(header("x-client-secret", "s3cret"))
        .and(header("content-type", "application/json"))
        .and(header("accept", "application/json"))
        .and(body_json(json!({
            "message": "Your code is 123456", "to": "31612345678", "sender": "Acme", "reference": "01J9Z8",
            "subid": "17"
        })))
        .respond_with(accepted())
        .expect(1)
        .mount(&server)
        .await;
    let receipt = Smstools::from_url(&url(&server, "&sub_account=17"))
        .unwrap()
        .send(&message())
        .await
        .unwrap();
    assert_eq!((receipt.provider(), receipt.id()), ("smstools", Some(ID)));
    assert_eq!((receipt.parts(), receipt.price()), (None, None));
    assert_eq!(receipt.reference().as_str(), "01J9Z8");
}

#[tokio::test]
async fn an_option_that_is_not_set_is_not_sent() {
    let server = responding(accepted()).await;
    smstools(&server).send(&message()).await.unwrap();
    let calls = calls(&server).await;
    let names: Vec<_> = calls[0].as_object().unwrap().keys().collect();
    assert_eq!(names, ["message", "reference", "sender", "to"]);
}

#[tokio::test]
async fn the_credentials_are_in_headers_only_and_no_encoding_is_requested() {
    let server = responding(accepted()).await;
    smstools(&server).send(&message()).await.unwrap();
    let request = &server.received_requests().await.unwrap()[0];
    assert!(!String::from_utf8_lossy(&request.body).contains("s3cret"));
    assert_eq!(request.url.query(), None);
    assert!(!request.headers.contains_key("authorization"));
    assert!(!request.headers.contains_key("accept-encoding"));
}

#[tokio::test]
async fn a_sender_is_sent_unchanged_and_a_number_keeps_its_plus() {
    let server = responding(accepted()).await;
    let senders = ["Contoso", "KPN API", "+31687654321", "+49123456789012"];
    for sender in senders {
        let message = message().with_sender(sender.parse().unwrap());
        smstools(&server).send(&message).await.unwrap();
    }
    let calls = calls(&server).await;
    let written: Vec<_> = calls
        .iter()
        .map(|call| call["sender"].as_str().unwrap())
        .collect();
    assert_eq!(written, senders);
}

#[tokio::test]
async fn an_id_is_read_in_both_forms() {
    let server = MockServer::start().await;
    let smstools = smstools(&server);
    for body in [
        json!({"messageid": ID}),
        json!({"messageids": [ID]}),
        json!({"messageid": null, "messageids": [ID]}),
        json!({"messageids": [ID, "678rjqhrjwg3r7t78te1yxfda9u3yt"]}),
        json!({"messageid": ID, "error": null, "status": "queued"}),
    ] {
        server.reset().await;
        mount(&server, ResponseTemplate::new(200).set_body_json(&body)).await;
        let receipt = smstools.send(&message()).await.unwrap();
        assert_eq!(receipt.id(), Some(ID), "{body}");
    }
}

#[tokio::test]
async fn a_success_without_an_id_is_in_doubt() {
    let server = MockServer::start().await;
    let smstools = smstools(&server);
    for body in [
        json!({}),
        json!([ID]),
        json!({"messageid": ""}),
        json!({"messageid": 7}),
        json!({"messageid": " "}),
        json!({"messageid": "abc\u{1b}[31m"}),
        json!({"messageid": "a\nb"}),
        json!({"messageids": ["\t"]}),
        json!({"messageid": "x".repeat(257)}),
        json!({"messageids": []}),
        json!({"messageids": [7]}),
        json!({"messageids": ID}),
        json!({"messageid": ID, "error": "103"}),
        json!({"messageid": ID, "error": ""}),
        json!({"error": "777"}),
        json!({"error": "no such thing"}),
        json!({"error": {"messageid": ID}}),
    ] {
        server.reset().await;
        mount(&server, ResponseTemplate::new(200).set_body_json(&body)).await;
        let error = smstools.send(&message()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Protocol, Acceptance::Unknown),
            "{body}"
        );
        assert_eq!(calls(&server).await.len(), 1);
    }
}

#[tokio::test]
async fn a_test_is_requested_and_its_response_may_have_no_id() {
    let server = MockServer::start().await;
    let smstools = Smstools::from_url(&url(&server, "&test=true")).unwrap();
    assert!(!smstools.profile().reports());
    for (body, id) in [
        (json!({"messageid": ID}), Some(ID)),
        (json!({"result": "valid"}), None),
        (json!({}), None),
    ] {
        server.reset().await;
        mount(&server, ResponseTemplate::new(200).set_body_json(&body)).await;
        let receipt = smstools.send(&message()).await.unwrap();
        assert_eq!(receipt.id(), id, "{body}");
        assert_eq!(calls(&server).await[0]["test"], true);
    }
    for (body, acceptance) in [
        (json!({"error": "103"}), Acceptance::NotAccepted),
        (json!({"error": "777"}), Acceptance::Unknown),
        (json!("valid"), Acceptance::Unknown),
    ] {
        server.reset().await;
        mount(&server, ResponseTemplate::new(200).set_body_json(&body)).await;
        let error = smstools.send(&message()).await.unwrap_err();
        assert_eq!(error.acceptance(), acceptance, "{body}");
    }
}

#[tokio::test]
async fn an_encoded_response_is_in_doubt_unless_its_status_alone_decides() {
    let server = MockServer::start().await;
    let smstools = smstools(&server);
    for (status, kind, acceptance) in [
        (200, ErrorKind::Protocol, Acceptance::Unknown),
        (400, ErrorKind::Protocol, Acceptance::Unknown),
        (404, ErrorKind::Misconfigured, Acceptance::NotAccepted),
        (429, ErrorKind::Throttled, Acceptance::NotAccepted),
    ] {
        server.reset().await;
        let zipped = ResponseTemplate::new(status)
            .set_body_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec())
            .insert_header("content-encoding", "gzip");
        mount(&server, zipped).await;
        let error = smstools.send(&message()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (kind, acceptance),
            "{status}"
        );
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
