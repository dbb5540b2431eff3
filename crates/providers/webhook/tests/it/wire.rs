use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use postduif_core::{Acceptance, Credentials, ErrorKind, Message, SmsProvider as _, Text};
use postduif_http::vendor::signature::hmac_sha256;
use postduif_webhook::Webhook;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::method};

pub(crate) const TOKEN: &str = "t0ken-of-the-gateway";
const KEY: &str = "postduif-example-secret-32-bytes";
const SECRET: &str = "whsec_cG9zdGR1aWYtZXhhbXBsZS1zZWNyZXQtMzItYnl0ZXM=";

pub(crate) fn webhook(server: &MockServer, options: &str) -> Webhook {
    let host = server.address();
    Webhook::from_url(&format!("webhook://{host}/sms/send?{options}")).unwrap()
}

pub(crate) fn message() -> Message {
    let text = Text::new("Your code is 482910 ~ €").unwrap();
    Message::new("+31612345678".parse().unwrap(), text).with_reference("order42".parse().unwrap())
}

pub(crate) fn accepted() -> ResponseTemplate {
    let body = json!({"status": "accepted", "id": "8f14e45f", "reference": "order42"});
    ResponseTemplate::new(202).set_body_json(body)
}

pub(crate) async fn server(verb: &str, response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method(verb))
        .respond_with(response)
        .mount(&server)
        .await;
    server
}

pub(crate) async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

/// Returns a header. `None` if it is missing.
fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request
        .headers
        .get(name)
        .map(|value| value.to_str().unwrap())
}

/// Asserts that the headers of Standard Webhooks sign this request now.
#[track_caller]
fn assert_signed(request: &Request, id: &str) {
    assert_eq!(header(request, "webhook-id"), Some(id));
    let time = header(request, "webhook-timestamp").unwrap();
    let now: DateTime<Utc> = SystemTime::now().into();
    assert!(now.timestamp().abs_diff(time.parse().unwrap()) < 60);
    let signed = [format!("{id}.{time}.").as_bytes(), &request.body].concat();
    let tag = BASE64_STANDARD.encode(hmac_sha256(&KEY.into(), &signed));
    assert_eq!(
        header(request, "webhook-signature"),
        Some(&*format!("v1,{tag}"))
    );
}

#[tokio::test]
async fn a_send_is_made_as_documented() {
    let server = server("POST", accepted()).await;
    let options =
        format!("token={TOKEN}&sender=Contoso&validity=60-86400&schedule_ahead=2000000000");
    let message = message()
        .with_validity(Duration::from_secs(600))
        .with_send_at("2066-12-24T09:30:00.25+01:00".parse().unwrap());
    let receipt = webhook(&server, &options).send(&message).await.unwrap();
    assert_eq!(
        (receipt.provider(), receipt.id()),
        ("webhook", Some("8f14e45f"))
    );
    assert_eq!(receipt.reference(), message.reference());
    let request = requests(&server).await.remove(0);
    assert_eq!(request.url.path(), "/sms/send");
    assert_eq!(request.url.query(), None);
    let given = |name| header(&request, name);
    assert_eq!(given("authorization"), Some("Bearer t0ken-of-the-gateway"));
    assert_eq!(given("content-type"), Some("application/json"));
    assert_eq!(given("accept"), Some("application/json"));
    assert_eq!(given("idempotency-key"), Some("order42"));
    assert_eq!(given("webhook-signature"), None);
    let expected = json!({
        "to": "+31612345678", "text": "Your code is 482910 ~ €", "reference": "order42", "sender": "Contoso",
        "validity_s": 600, "send_at": "2066-12-24T08:30:00Z"
    });
    assert_eq!(request.body_json::<Value>().unwrap(), expected);
}

#[tokio::test]
async fn what_is_not_set_is_left_out() {
    let server = server("POST", accepted()).await;
    webhook(&server, "").send(&message()).await.unwrap();
    let request = requests(&server).await.remove(0);
    for name in ["authorization", "webhook-id", "webhook-timestamp"] {
        assert_eq!(header(&request, name), None);
    }
    let expected =
        json!({"to": "+31612345678", "text": "Your code is 482910 ~ €", "reference": "order42"});
    assert_eq!(request.body_json::<Value>().unwrap(), expected);
}

#[tokio::test]
async fn every_kind_of_sender_is_written_as_it_is() {
    let server = server("POST", accepted()).await;
    let webhook = webhook(&server, "sender=Contoso");
    let senders = [
        "Acme Shop",
        "+31687654321",
        "1008",
        "MG0123456789abcdef0123456789abcdef",
    ];
    for sender in senders {
        let message = message().with_sender(sender.parse().unwrap());
        webhook.send(&message).await.unwrap();
    }
    for (request, sender) in requests(&server).await.iter().zip(senders) {
        assert_eq!(request.body_json::<Value>().unwrap()["sender"], sender);
    }
}

#[tokio::test]
async fn a_secret_signs_the_body_that_is_sent_and_a_repeat_has_the_same_key_and_body() {
    let server = server("POST", accepted()).await;
    let webhook = webhook(&server, &format!("secret={SECRET}&repeat_window=600"));
    let other = Message::new(message().to(), message().text().clone());
    for message in [message(), message(), other.clone()] {
        let _ = webhook.send(&message).await;
    }
    let requests = requests(&server).await;
    assert_signed(&requests[0], "order42");
    assert_signed(&requests[1], "order42");
    assert_signed(&requests[2], other.reference().as_str());
    let identity = |request: &Request| {
        let key = header(request, "idempotency-key").map(str::to_owned);
        (key, request.body.clone())
    };
    assert_eq!(identity(&requests[0]), identity(&requests[1]));
    assert_ne!(identity(&requests[0]).0, identity(&requests[2]).0);
}

#[tokio::test]
async fn a_check_is_a_signed_get_that_only_ready_verifies() {
    let refused = |kind: &str| {
        ResponseTemplate::new(401).set_body_json(json!({"status": "refused", "kind": kind}))
    };
    let json = |status, body: Value| ResponseTemplate::new(status).set_body_json(body);
    for (response, expected) in [
        (
            json(200, json!({"status": "ready"})),
            Ok(Credentials::Verified),
        ),
        (refused("unauthorized"), Ok(Credentials::Refused)),
        (ResponseTemplate::new(405), Ok(Credentials::Unknown)),
        (refused("throttled"), Err(ErrorKind::Throttled)),
        (ResponseTemplate::new(404), Err(ErrorKind::Misconfigured)),
        (json(200, json!({"status": "ok"})), Err(ErrorKind::Protocol)),
        (json(200, json!({})), Err(ErrorKind::Protocol)),
        (
            json(403, json!({"status": "ready"})),
            Err(ErrorKind::Protocol),
        ),
        (
            json(503, json!({"status": "ready"})),
            Err(ErrorKind::Unavailable),
        ),
    ] {
        let server = server("GET", response).await;
        let webhook = webhook(&server, &format!("token={TOKEN}&secret={SECRET}"));
        let health = webhook.check().await;
        let found = health
            .map(|health| health.credentials())
            .map_err(|error| error.kind());
        assert_eq!(found, expected);
        let request = requests(&server).await.remove(0);
        assert_signed(&request, "check");
        assert_eq!(
            header(&request, "authorization"),
            Some("Bearer t0ken-of-the-gateway")
        );
        assert_eq!(header(&request, "idempotency-key"), None);
    }
}

#[tokio::test]
async fn what_the_owner_did_not_declare_is_refused_before_any_request() {
    let server = server("POST", accepted()).await;
    let now: DateTime<Utc> = SystemTime::now().into();
    for (options, message) in [
        ("", message().with_validity(Duration::from_secs(600))),
        (
            "validity=60-86400",
            message().with_validity(Duration::from_secs(59)),
        ),
        ("", message().with_send_at(now + Duration::from_secs(60))),
        (
            "schedule_ahead=3600",
            message().with_send_at(now + Duration::from_secs(3700)),
        ),
    ] {
        let error = webhook(&server, options).send(&message).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Unsupported, Acceptance::NotAccepted)
        );
    }
    assert_eq!(requests(&server).await.len(), 0);
}
