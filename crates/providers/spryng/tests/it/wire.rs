use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use postduif_core::{Acceptance, ErrorKind, Message, SmsProvider as _, Text};
use postduif_spryng::Spryng;
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, header, method, path},
};

pub(crate) const V2: &str = "/v2/messages";
pub(crate) const V1: &str = "/v1/messages";

pub(crate) fn url(server: &MockServer, api: &str) -> String {
    let options = match api {
        V1 => "api=v1",
        _ => "account=SPNL0000000",
    };
    format!("spryng://s3cret@{}?{options}", server.address())
}

/// A provider of the version that sends to this path.
pub(crate) fn spryng(server: &MockServer, api: &str) -> Spryng {
    Spryng::from_url(&(url(server, api) + "&sender=Acme")).unwrap()
}

pub(crate) fn message() -> Message {
    Message::new(
        "+31612345678".parse().unwrap(),
        Text::new("Your code is 123456").unwrap(),
    )
    .with_reference("01J9Z8".parse().unwrap())
}

pub(crate) fn accepted(api: &str) -> ResponseTemplate {
    match api {
        V1 => ResponseTemplate::new(200).set_body_json(json!({
            "id": "9d3e7c1a", "encoding": "auto", "originator": "Acme", "body": "Your code is 123456",
            "reference": "01J9Z8", "credits": 1.0, "scheduled_at": "2026-02-01T15:00:00+00:00",
            "canceled_at": null, "created_at": "2026-02-01T14:59:58+00:00",
            "links": {"self": "https://rest.spryngsms.com/v1/messages/9d3e7c1a"}
        })),
        _ => ResponseTemplate::new(202)
            .set_body_json(json!({"data": {"requestId": "8a2f", "messageIds": ["0c914d2b"]}})),
    }
}

pub(crate) async fn mount(server: &MockServer, api: &str, response: ResponseTemplate) {
    Mock::given(method("POST"))
        .and(path(api))
        .respond_with(response)
        .mount(server)
        .await;
}

pub(crate) async fn responding(api: &str, response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    mount(&server, api, response).await;
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
async fn a_v2_send_is_made_as_documented() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(V2))
        .and(header("x-api-key", "s3cret"))
        .and(header("content-type", "application/json"))
        .and(body_json(json!({
            "accountReference": "SPNL0000000",
            "channel": "SMS",
            "from": "Acme",
            "characterSet": "Auto",
            "body": {"text": "Your code is 123456"},
            "recipients": [{"msisdn": "+31612345678", "metaData": {"reference": "01J9Z8"}}]
        })))
        .respond_with(accepted(V2))
        .expect(1)
        .mount(&server)
        .await;
    let receipt = spryng(&server, V2).send(&message()).await.unwrap();
    assert_eq!(
        (receipt.provider(), receipt.id()),
        ("spryng", Some("0c914d2b"))
    );
    assert_eq!((receipt.parts(), receipt.price()), (None, None));
    assert_eq!(receipt.reference().as_str(), "01J9Z8");
}

#[tokio::test]
async fn a_v1_send_is_made_as_documented() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(V1))
        .and(header("authorization", "Bearer s3cret"))
        .and(header("content-type", "application/json"))
        .and(header("accept", "application/json"))
        .and(body_json(json!({
            "body": "Your code is 123456",
            "encoding": "auto",
            "originator": "Acme",
            "recipients": ["31612345678"],
            "route": "business",
            "reference": "01J9Z8"
        })))
        .respond_with(accepted(V1))
        .expect(1)
        .mount(&server)
        .await;
    let receipt = spryng(&server, V1).send(&message()).await.unwrap();
    assert_eq!(
        (receipt.provider(), receipt.id()),
        ("spryng", Some("9d3e7c1a"))
    );
    // Credits are not a price.
    assert_eq!((receipt.parts(), receipt.price()), (None, None));
}

#[tokio::test]
async fn the_credentials_are_in_headers_only() {
    for api in [V2, V1] {
        let server = responding(api, accepted(api)).await;
        spryng(&server, api).send(&message()).await.unwrap();
        let request = &server.received_requests().await.unwrap()[0];
        assert!(!String::from_utf8_lossy(&request.body).contains("s3cret"));
        assert_eq!(request.url.query(), None);
        let other = if api == V1 {
            "x-api-key"
        } else {
            "authorization"
        };
        assert!(!request.headers.contains_key(other));
    }
}

#[tokio::test]
async fn v2_texts_are_sent_unchanged() {
    let server = responding(V2, accepted(V2)).await;
    let spryng = spryng(&server, V2);
    let texts = [
        "Hallo, je code is 482913",
        "€ 5 (ok) ~ {x}",
        "Zoë 👋 \"quoted\" \\ back\nline",
        "é&=+%20?#<b>",
        "0",
    ];
    for text in texts {
        let message = Message::new("+31612345678".parse().unwrap(), Text::new(text).unwrap());
        spryng.send(&message).await.unwrap();
    }
    let calls = calls(&server).await;
    let written: Vec<_> = calls
        .iter()
        .map(|call| call["body"]["text"].as_str().unwrap())
        .collect();
    assert_eq!(written, texts);
}

#[tokio::test]
async fn every_kind_of_sender_has_the_format_of_its_version() {
    for (api, field, senders) in [
        (
            V2,
            "from",
            [
                ("Contoso", "Contoso"),
                ("+31687654321", "+31687654321"),
                ("1008", "1008"),
            ],
        ),
        (
            V1,
            "originator",
            [
                ("Contoso", "Contoso"),
                ("+31687654321", "31687654321"),
                ("1008", "1008"),
            ],
        ),
    ] {
        let server = responding(api, accepted(api)).await;
        let spryng = spryng(&server, api);
        for (sender, _) in senders {
            let message = message().with_sender(sender.parse().unwrap());
            spryng.send(&message).await.unwrap();
        }
        let calls = calls(&server).await;
        for (call, (_, written)) in calls.iter().zip(senders) {
            assert_eq!(call[field], written);
        }
    }
}

#[tokio::test]
async fn v2_defaults_to_the_accounts_own_sender() {
    let server = responding(V2, accepted(V2)).await;
    let spryng = Spryng::from_url(&url(&server, V2)).unwrap();
    assert!(!spryng.profile().sender_required());
    spryng.send(&message()).await.unwrap();
    assert_eq!(calls(&server).await[0].get("from"), None);
}

#[tokio::test]
async fn a_v2_validity_is_an_instant_in_utc() {
    let server = responding(V2, accepted(V2)).await;
    let spryng = spryng(&server, V2);
    let now = || DateTime::<Utc>::from(SystemTime::now()).timestamp_millis();
    for seconds in [120_u32, 1800, 86_400, 259_140] {
        let before = now();
        let message = message().with_validity(Duration::from_secs(seconds.into()));
        spryng.send(&message).await.unwrap();
        let written = calls(&server).await.pop().unwrap();
        let written = written["validity"].as_str().unwrap();
        assert_eq!((written.len(), written.ends_with('Z')), (24, true));
        let end = DateTime::parse_from_rfc3339(written).unwrap();
        let start = end.timestamp_millis() - i64::from(seconds) * 1000;
        assert!((before..=now()).contains(&start), "{written}");
    }
}

#[tokio::test]
async fn any_success_with_an_id_is_one() {
    for (api, status, body, id) in [
        (V2, 200, json!({"data": {"messageIds": ["a"]}}), "a"),
        (V2, 201, json!({"data": {"messageIds": ["a"]}}), "a"),
        (
            V2,
            202,
            json!({"data": {"messageIds": ["a"], "requestId": null}, "errors": []}),
            "a",
        ),
        (V1, 200, json!({"id": "a"}), "a"),
        (V1, 201, json!({"id": "a", "status": "scheduled"}), "a"),
        (V1, 202, json!({"id": "a", "recipients": []}), "a"),
    ] {
        let response = ResponseTemplate::new(status).set_body_json(&body);
        let server = responding(api, response).await;
        let receipt = spryng(&server, api).send(&message()).await.unwrap();
        assert_eq!(receipt.id(), Some(id), "{body}");
    }
}

#[tokio::test]
async fn a_success_without_an_id_is_in_doubt() {
    let long = "x".repeat(257);
    let v2 = [
        json!({}),
        json!({"messageIds": ["a"]}),
        json!({"data": {"requestId": "8a2f"}}),
        json!({"data": {"messageIds": []}}),
        json!({"data": {"messageIds": [""]}}),
        json!({"data": {"messageIds": [7]}}),
        json!({"data": {"messageIds": "a"}}),
        json!({"data": {"messageIds": {"0": "a"}}}),
        json!({"data": {"messageIds": [long]}}),
        json!({"data": ["a"]}),
        json!([{"messageIds": ["a"]}]),
        json!([[["a"]]]),
        json!({"errors": [{"errorCode": "msisdn_invalid"}]}),
    ];
    let v1 = [
        json!({}),
        json!({"id": null}),
        json!({"id": ""}),
        json!({"id": 7}),
        json!({"id": long}),
        json!({"messageId": "a"}),
        json!({"data": {"id": "a"}}),
        json!(["a"]),
        json!({"message": "no", "errors": {"recipients": ["no"]}}),
    ];
    for (api, bodies) in [(V2, &v2[..]), (V1, &v1)] {
        let server = MockServer::start().await;
        let spryng = spryng(&server, api);
        for body in bodies {
            server.reset().await;
            mount(&server, api, ResponseTemplate::new(202).set_body_json(body)).await;
            let error = spryng.send(&message()).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Protocol, Acceptance::Unknown),
                "{api} {body}"
            );
            assert_eq!(calls(&server).await.len(), 1);
        }
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
