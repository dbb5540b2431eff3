use std::time::Duration;

use chrono::{DateTime, Utc};
use postduif_core::{Acceptance, ErrorKind, Message, Sender, SmsProvider as _, Text};
use postduif_twilio::Twilio;
use serde_json::{Value, json};
use url::form_urlencoded;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

pub(crate) const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub(crate) const KEY: &str = "SK0123456789abcdef0123456789abcdef";
pub(crate) const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";
pub(crate) const SID: &str = "SM0123456789abcdef0123456789abcdef";
const SEND: &str = "/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages.json";

pub(crate) fn message() -> Message {
    let text = Text::new("Your code is 482910 ~ €").unwrap();
    Message::new("+31612345678".parse().unwrap(), text).with_reference("order42".parse().unwrap())
}

/// The response of the documentation, with every member that it shows.
pub(crate) fn accepted() -> Value {
    json!({
        "account_sid": ACCOUNT, "api_version": "2010-04-01", "body": "Hi there",
        "date_created": "Thu, 24 Aug 2023 05:01:45 +0000", "date_sent": null,
        "date_updated": "Thu, 24 Aug 2023 05:01:45 +0000", "direction": "outbound-api", "error_code": null,
        "error_message": null, "from": "Contoso", "num_media": "0", "num_segments": "2", "price": null,
        "price_unit": null, "messaging_service_sid": null, "sid": SID, "status": "queued",
        "subresource_uris": {"media": "/2010-04-01/Accounts/AC/Messages/SM/Media.json"}, "to": "+31612345678",
        "uri": "/2010-04-01/Accounts/AC/Messages/SM.json"
    })
}

pub(crate) async fn server(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(SEND))
        .respond_with(response)
        .mount(&server)
        .await;
    server
}

pub(crate) fn twilio(server: &MockServer, options: &str) -> Twilio {
    let host = server.address();
    Twilio::from_url(&format!(
        "twilio://{ACCOUNT}:auth-token-123@{host}?{options}"
    ))
    .unwrap()
}

/// Returns the fields of each request, in their order.
async fn sent(server: &MockServer) -> Vec<Vec<(String, String)>> {
    let requests = server.received_requests().await.unwrap();
    let fields = requests
        .iter()
        .map(|request| form_urlencoded::parse(&request.body).into_owned().collect());
    fields.collect()
}

/// Returns the fields of a form as an official library wrote it.
fn recorded(form: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(form.as_bytes())
        .into_owned()
        .collect()
}

fn sorted(mut fields: Vec<(String, String)>) -> Vec<(String, String)> {
    fields.sort();
    fields
}

#[tokio::test]
async fn a_send_is_written_as_the_official_libraries_write_it() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(SEND))
        .and(header("accept", "application/json"))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .and(header(
            "authorization",
            "Basic QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjphdXRoLXRva2VuLTEyMw==",
        ))
        .respond_with(ResponseTemplate::new(201).set_body_json(accepted()))
        .expect(1)
        .mount(&server)
        .await;
    let url = "report_url=https%3A%2F%2Fhooks.example.com%2Ftwilio%3Freference%3D%7Breference%7D";
    let twilio = twilio(&server, &format!("sender=Contoso&{url}"));
    let receipt = twilio
        .send(&message().with_validity(Duration::from_secs(1800)))
        .await
        .unwrap();
    assert_eq!(
        (receipt.provider(), receipt.id(), receipt.parts()),
        ("twilio", Some(SID), Some(2))
    );
    assert_eq!((receipt.price(), receipt.expected_reports()), (None, 1));
    // npm `twilio` 6.3.1 and PyPI `twilio` 9.13.0, recorded.
    let node = "To=%2B31612345678&StatusCallback=https%3A%2F%2Fhooks.example.com%2Ftwilio%3Freference%3Dorder42\
                &ValidityPeriod=1800&From=Contoso&Body=Your%20code%20is%20482910%20~%20%E2%82%AC";
    let python = "To=%2B31612345678&StatusCallback=https%3A%2F%2Fhooks.example.com%2Ftwilio%3Freference%3Dorder42\
                  &ValidityPeriod=1800&From=Contoso&Body=Your+code+is+482910+~+%E2%82%AC";
    assert_eq!(recorded(node), recorded(python));
    assert_eq!(sent(&server).await, [recorded(node)]);
}

#[tokio::test]
async fn an_api_key_signs_in_beside_the_account() {
    let server = MockServer::start().await;
    Mock::given(path(SEND))
        .and(header(
            "authorization",
            "Basic U0swMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjprZXktc2VjcmV0LTEyMw==",
        ))
        .respond_with(ResponseTemplate::new(201).set_body_json(accepted()))
        .expect(1)
        .mount(&server)
        .await;
    let host = server.address();
    let url =
        format!("twilio://{KEY}:key-secret-123@{host}?account={ACCOUNT}&sender=%2B31687654321");
    let text = Text::new("x").unwrap();
    let message = Message::new("+31612345678".parse().unwrap(), text);
    Twilio::from_url(&url)
        .unwrap()
        .send(&message)
        .await
        .unwrap();
    let python = "To=%2B31612345678&From=%2B31687654321&Body=x";
    assert_eq!(sent(&server).await, [recorded(python)]);
}

#[tokio::test]
async fn a_messaging_service_takes_the_place_of_the_sender_and_sends_later() {
    let mut body = accepted();
    body["status"] = "scheduled".into();
    body["from"] = Value::Null;
    body["num_segments"] = "0".into();
    let server = server(ResponseTemplate::new(201).set_body_json(body)).await;
    let now = DateTime::<Utc>::from(std::time::SystemTime::now()).timestamp();
    let at = DateTime::from_timestamp(now + 3600, 0).unwrap();
    let later =
        Message::new("+31612345678".parse().unwrap(), Text::new("later").unwrap()).with_send_at(at);
    let service: Sender = SERVICE.parse().unwrap();
    for (options, message) in [
        (format!("sender={SERVICE}"), later.clone()),
        (String::new(), later.with_sender(service)),
    ] {
        let receipt = twilio(&server, &options).send(&message).await.unwrap();
        assert_eq!((receipt.id(), receipt.parts()), (Some(SID), None));
    }
    // As both libraries wrote it, an hour ahead.
    let recorded = recorded(&format!(
        "To=%2B31612345678&ScheduleType=fixed&SendAt={}&MessagingServiceSid={SERVICE}&Body=later",
        at.format("%Y-%m-%dT%H%%3A%M%%3A%SZ")
    ));
    assert_eq!(sent(&server).await, [recorded.clone(), recorded]);
}

#[tokio::test]
async fn only_a_messaging_service_sends_later_and_only_within_twilios_bounds() {
    let server = server(ResponseTemplate::new(201).set_body_json(accepted())).await;
    let now = DateTime::<Utc>::from(std::time::SystemTime::now());
    let later = |seconds: i64| message().with_send_at(now + chrono::TimeDelta::seconds(seconds));
    let service = twilio(&server, &format!("sender={SERVICE}"));
    let number = twilio(&server, "sender=%2B31687654321");
    let none = twilio(&server, "");
    let name: Sender = "Contoso".parse().unwrap();
    let days = 24 * 60 * 60;
    for (provider, message) in [
        (&number, later(3600)),
        (&none, later(3600).with_sender(name.clone())),
        (&service, later(3600).with_sender(name)),
        (&service, later(0)),
        (&service, later(-3600)),
        (&service, later(899)),
        (&service, later(35 * days + 60)),
    ] {
        let error = provider.send(&message).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Unsupported, Acceptance::NotAccepted),
            "{error}"
        );
    }
    assert_eq!(sent(&server).await.len(), 0);
    for seconds in [905, 35 * days - 60] {
        service.send(&later(seconds)).await.unwrap();
    }
    assert_eq!(sent(&server).await.len(), 2);
}

#[tokio::test]
async fn what_is_not_set_is_not_written() {
    let server = server(ResponseTemplate::new(201).set_body_json(accepted())).await;
    twilio(&server, "sender=1008")
        .send(&message())
        .await
        .unwrap();
    let names: Vec<_> = sent(&server).await[0]
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    assert_eq!(names, ["To", "From", "Body"]);
}

#[tokio::test]
async fn the_messages_sender_comes_before_the_default_whatever_its_kind() {
    let server = server(ResponseTemplate::new(201).set_body_json(accepted())).await;
    for (default, own, field) in [
        ("Contoso", SERVICE, "MessagingServiceSid"),
        (SERVICE, "Contoso", "From"),
    ] {
        let message = message().with_sender(own.parse().unwrap());
        let twilio = twilio(&server, &format!("sender={default}"));
        twilio.send(&message).await.unwrap();
        let fields = sorted(sent(&server).await.pop().unwrap());
        assert!(fields.contains(&(field.to_owned(), own.to_owned())));
        assert!(!fields.iter().any(|(_, value)| value == default));
    }
}

#[tokio::test]
async fn an_acceptance_that_is_not_of_this_message_is_in_doubt() {
    for (member, value) in [
        ("sid", json!(null)),
        ("sid", json!("")),
        ("sid", json!(7)),
        ("sid", json!("AC0123456789abcdef0123456789abcdef")),
        ("sid", json!("SM0123456789abcdef0123456789abcde")),
        ("sid", json!("SM0123456789abcdef0123456789abcdeg")),
        ("status", json!("failed")),
        ("status", json!("undelivered")),
        ("status", json!("canceled")),
        ("error_code", json!(30007)),
        ("code", json!(21211)),
        ("to", json!("+31687654321")),
    ] {
        let mut body = accepted();
        body[member] = value;
        let server = server(ResponseTemplate::new(201).set_body_json(&body)).await;
        let twilio = twilio(&server, "sender=Contoso");
        let error = twilio.send(&message()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Protocol, Acceptance::Unknown),
            "{member} {}",
            body[member]
        );
        assert_eq!(sent(&server).await.len(), 1);
    }
}

#[tokio::test]
async fn an_acceptance_needs_no_more_than_its_sid() {
    for body in [
        json!({"sid": SID}),
        json!({"sid": SID.replace("SM", "MM"), "status": "accepted", "num_segments": "x"}),
        json!({"sid": SID, "status": "a word of tomorrow", "to": "31612345678"}),
    ] {
        let server = server(ResponseTemplate::new(201).set_body_json(&body)).await;
        let twilio = twilio(&server, "sender=Contoso");
        let receipt = twilio.send(&message()).await.unwrap();
        assert_eq!(receipt.id(), body["sid"].as_str());
        assert_eq!(receipt.parts(), None);
    }
}
