use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDateTime, Utc};
use postduif_cm::Cm;
use postduif_core::{Message, SmsProvider as _, Text};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, header, method, path},
};

pub(crate) const TOKEN: &str = "11111111-2222-3333-4444-555555555555";

pub(crate) fn cm(server: &MockServer) -> Cm {
    Cm::from_url(&format!("cm://{TOKEN}@{}?sender=Acme", server.address())).unwrap()
}

pub(crate) fn message() -> Message {
    message_of("+31612345678", "a1")
}

pub(crate) fn message_of(to: &str, reference: &str) -> Message {
    Message::new(
        to.parse().unwrap(),
        Text::new("Your code is 123456").unwrap(),
    )
    .with_reference(reference.parse().unwrap())
}

/// The verdict on a message, in the form of CM's own example.
pub(crate) fn accepted(reference: &str, to: &str) -> Value {
    json!({
        "to": to, "status": "Accepted", "reference": reference, "parts": 1, "messageDetails": null,
        "messageErrorCode": 0
    })
}

pub(crate) fn rejected(reference: &str, to: &str, code: u32) -> Value {
    json!({
        "to": to, "status": "Rejected", "reference": reference, "parts": 0,
        "messageDetails": "A body without content was found", "messageErrorCode": code
    })
}

pub(crate) fn response(status: u16, code: u32, messages: &[Value]) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(
        json!({"details": "Created 1 message(s)", "errorCode": code, "messages": messages}),
    )
}

pub(crate) async fn responding(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    mount(&server, response).await;
    server
}

pub(crate) async fn mount(server: &MockServer, response: ResponseTemplate) {
    let send = Mock::given(method("POST")).and(path("/v1.0/message"));
    send.respond_with(response).mount(server).await;
}

/// The bodies of the calls, in order.
pub(crate) async fn calls(server: &MockServer) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .map(|request| request.body_json().unwrap())
        .collect()
}

/// Sends one message, and returns it in the wire format.
async fn sent(message: Message) -> Value {
    let server = responding(response(200, 0, &[accepted("a1", "0031612345678")])).await;
    cm(&server).send(&message).await.unwrap();
    calls(&server).await[0]["messages"]["msg"][0].clone()
}

#[tokio::test]
async fn a_send_is_made_as_documented() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1.0/message"))
        .and(header("x-cm-producttoken", TOKEN))
        .and(header("content-type", "application/json"))
        .and(header("accept", "application/json"))
        .and(body_json(json!({"messages": {"msg": [{
            "allowedChannels": ["SMS"],
            "from": "Acme",
            "to": [{"number": "0031612345678"}],
            "body": {"type": "auto", "content": "Your code is 123456"},
            "minimumNumberOfMessageParts": 1,
            "maximumNumberOfMessageParts": 8,
            "reference": "a1",
            "validity": "30m"
        }]}})))
        .respond_with(response(
            200,
            0,
            &[json!({
                "to": "0031612345678", "status": "Accepted", "reference": "a1", "parts": 2,
                "messageDetails": null, "messageErrorCode": 0
            })],
        ))
        .expect(1)
        .mount(&server)
        .await;
    let receipt = cm(&server)
        .send(&message().with_validity(Duration::from_secs(1800)))
        .await
        .unwrap();
    assert_eq!(
        (receipt.provider(), receipt.id(), receipt.parts()),
        ("cm", None, Some(2))
    );
    assert_eq!(receipt.reference().as_str(), "a1");
}

#[tokio::test]
async fn the_token_is_in_its_header_only() {
    let server = responding(response(200, 0, &[accepted("a1", "0031612345678")])).await;
    cm(&server).send(&message()).await.unwrap();
    let request = &server.received_requests().await.unwrap()[0];
    assert!(!String::from_utf8_lossy(&request.body).contains(TOKEN));
    assert_eq!(request.url.query(), None);
    assert!(!request.headers.contains_key("authorization"));
}

#[tokio::test]
async fn an_option_that_is_not_set_is_not_sent() {
    let written = sent(message()).await;
    assert_eq!(written.get("validity"), None);
    assert_eq!(written.as_object().unwrap().len(), 7);
}

#[tokio::test]
async fn every_kind_of_sender_has_cms_format() {
    for (sender, from) in [
        ("Contoso", "Contoso"),
        ("CM Telecom", "CM Telecom"),
        ("cm.com", "cm.com"),
        ("+31687654321", "0031687654321"),
        ("+49123456789012", "0049123456789012"),
        ("1008", "1008"),
    ] {
        let message = message().with_sender(sender.parse().unwrap());
        assert_eq!(sent(message).await["from"], from);
    }
}

#[tokio::test]
async fn whole_hours_and_minutes_below_one_hour_have_the_documented_format() {
    for (seconds, validity) in [
        (60, "1m"),
        (3540, "59m"),
        (1800, "30m"),
        (3600, "1h"),
        (7200, "2h"),
        (86_400, "24h"),
        (172_800, "48h"),
    ] {
        let message = message().with_validity(Duration::from_secs(seconds));
        assert_eq!(sent(message).await["validity"], validity);
    }
}

#[tokio::test]
async fn any_other_validity_ends_at_an_instant() {
    let now = || DateTime::<Utc>::from(SystemTime::now()).timestamp();
    for seconds in [61_u32, 90, 3660, 5400, 5401, 169_260, 172_799] {
        let before = now();
        let message = message().with_validity(Duration::from_secs(seconds.into()));
        let written = sent(message).await["validity"].as_str().unwrap().to_owned();
        let end = NaiveDateTime::parse_from_str(&written, "%Y-%m-%d %H:%M:%S GMT").unwrap();
        let end = end.and_utc().timestamp() - i64::from(seconds);
        assert!((before..=now()).contains(&end), "{written}");
    }
}
