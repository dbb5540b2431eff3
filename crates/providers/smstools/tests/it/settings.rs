use std::time::Duration;

use postduif_core::{Acceptance, ErrorKind, Health, Message, Price, SmsProvider as _, Text};
use postduif_http::{BaseUrl, Client};
use postduif_smstools::{PROFILE, Smstools};
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use super::wire::{accepted, calls, failure, message, responding, smstools};

#[tokio::test]
async fn url_and_builder_give_the_same_provider() {
    let mut written = Vec::new();
    for turn in 0..4 {
        let server = responding(accepted()).await;
        let address = server.address();
        let options = "sender=Acme&sub_account=17&test=true";
        let smstools = match turn {
            0 => Smstools::from_url(&format!("smstools://me:s%2F3@{address}/p?{options}")),
            1 => Smstools::from_url(&format!(
                "smstools://{address}/p?id=me&secret=s/3&{options}"
            )),
            2 => Smstools::from_url_with(
                &format!("smstools://me@{address}/p?secret=s/3&{options}"),
                &Client::new().unwrap(),
            ),
            _ => Smstools::builder("me", "s/3")
                .with_base(BaseUrl::parse(&format!("{}/p", server.uri())).unwrap())
                .with_client(Client::new().unwrap())
                .with_sender("Acme".parse().unwrap())
                .with_sub_account("17")
                .with_test(true)
                .build(),
        }
        .unwrap();
        // The fake vendor has no prefix, so its response is irrelevant here.
        let _ = smstools.send(&message()).await;
        let request = server.received_requests().await.unwrap().remove(0);
        let mut headers = request.headers.clone();
        headers.remove("host");
        written.push((request.url.path().to_owned(), headers, request.body));
    }
    assert_eq!(written[0].0, "/p/v1/message/send");
    assert_eq!(written[0].1.get("x-client-secret").unwrap(), "s/3");
    for other in &written[1..] {
        assert_eq!(&written[0], other);
    }
}

#[test]
fn an_invalid_configuration_is_refused_when_it_is_built() {
    for (url, expected) in [
        ("smstools://default", "id is missing"),
        ("smstools://me@default", "secret is missing"),
        ("smstools://:hunter2@default", "id is missing"),
        ("kpn://me:hunter2@default", "expected smstools://"),
        (
            "smstools://me:hunter2@default?secret=hunter2",
            "duplicate credential secret",
        ),
        ("smstools://env:hunter2@default", "write ?id=env:"),
        (
            "smstools://me:hunter2@default?date=x",
            "unknown option date; known are sender, sub_account, test, vendor_messages, id, secret",
        ),
        ("smstools://me:hunter2@default?test=1", "option test"),
        (
            "smstools://me:hunter2@default?sender=ThisIsTooLongAName",
            "at most 11 characters",
        ),
        (
            "smstools://me:hunter2@default?sender=1008",
            "no short code as sender",
        ),
        (
            "smstools://me:hunter2@default?sender=%2B491234567890123",
            "a number of at most 14 digits",
        ),
        (
            "smstools://m%0Ae:hunter2@default",
            "id: expected printable ASCII",
        ),
        (
            "smstools://me:hunter2%00@default",
            "secret: expected printable ASCII",
        ),
        (
            "smstools://me:hunter2@default?sub_account=1%0D7",
            "option sub_account: expected printable ASCII",
        ),
        (
            "smstools://me:hunter2@default?sub_account=",
            "option sub_account: expected printable ASCII",
        ),
        (
            "smstools://me:hunter2@default:8443",
            "default without port and path",
        ),
    ] {
        let error = Smstools::from_url(url).unwrap_err();
        assert!(error.to_string().contains(expected), "{url}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    for sender in [
        "Contoso",
        "KPN%20API",
        "%2B31612345678",
        "%2B49123456789012",
    ] {
        assert!(Smstools::from_url(&format!("smstools://a:b@default?sender={sender}")).is_ok());
    }
    assert!(Smstools::from_url("smstools://a:b@api.smstools.com").is_ok());
}

#[test]
fn the_profile_has_the_documented_capabilities() {
    assert_eq!(PROFILE.name(), "smstools");
    assert_eq!(PROFILE.batch_size().get(), 1);
    assert_eq!(
        (
            PROFILE.validity(),
            PROFILE.repeat_window(),
            PROFILE.max_schedule_ahead()
        ),
        (None, None, None)
    );
    assert!(PROFILE.sender_required() && PROFILE.reports());
    let required = |url: &str| Smstools::from_url(url).unwrap().profile().sender_required();
    assert!(required("smstools://a:b@default"));
    assert!(!required("smstools://a:b@default?sender=Acme"));
}

async fn refused(smstools: &Smstools, message: &Message) -> ErrorKind {
    let error = smstools.send(message).await.unwrap_err();
    assert_eq!(error.acceptance(), Acceptance::NotAccepted);
    assert_eq!(error.provider(), Some("smstools"));
    error.kind()
}

#[tokio::test]
async fn an_unsupported_option_is_refused_before_any_call() {
    let server = responding(accepted()).await;
    let smstools = smstools(&server);
    let later = message().with_send_at(chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap());
    assert_eq!(refused(&smstools, &later).await, ErrorKind::Unsupported);
    let brief = message().with_validity(Duration::from_secs(600));
    assert_eq!(refused(&smstools, &brief).await, ErrorKind::Unsupported);
    let short_code = message().with_sender("1008".parse().unwrap());
    assert_eq!(
        refused(&smstools, &short_code).await,
        ErrorKind::Unsupported
    );
    let long_number = message().with_sender("+491234567890123".parse().unwrap());
    assert_eq!(
        refused(&smstools, &long_number).await,
        ErrorKind::InvalidSender
    );
    for text in ["x".repeat(613), "€".repeat(307)] {
        let long = Message::new("+31612345678".parse().unwrap(), Text::new(text).unwrap());
        assert_eq!(refused(&smstools, &long).await, ErrorKind::InvalidText);
    }
    let without = Smstools::from_url(&format!("smstools://a:b@{}", server.address())).unwrap();
    assert_eq!(
        refused(&without, &message()).await,
        ErrorKind::InvalidSender
    );
    assert_eq!(calls(&server).await.len(), 0);
}

#[tokio::test]
async fn a_batch_is_single_calls_with_an_outcome_for_each() {
    let server = MockServer::start().await;
    Mock::given(path("/v1/message/send"))
        .respond_with(|request: &wiremock::Request| {
            let body: serde_json::Value = request.body_json().unwrap();
            if body["to"].as_str().unwrap().ends_with('9') {
                ResponseTemplate::new(400).set_body_json(json!({"error": "103"}))
            } else {
                accepted()
            }
        })
        .mount(&server)
        .await;
    let messages: Vec<_> = (0..20)
        .map(|index| {
            Message::new(
                format!("+316123456{index:02}").parse().unwrap(),
                Text::new("x").unwrap(),
            )
        })
        .collect();
    let outcomes = smstools(&server).send_batch(&messages).await;
    for (index, (outcome, message)) in outcomes.iter().zip(&messages).enumerate() {
        match outcome {
            Ok(receipt) => assert_eq!(receipt.reference(), message.reference()),
            Err(error) => assert_eq!(error.code(), Some("103")),
        }
        assert_eq!(outcome.is_ok(), index % 10 != 9, "{index}");
    }
    assert_eq!(calls(&server).await.len(), 20);
}

/// Returns the outcome of a check with this response to the balance request.
async fn check(response: ResponseTemplate) -> Result<Health, postduif_core::SendError> {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/v1/balance"))
        .and(header("x-client-id", "me"))
        .and(header("x-client-secret", "s3cret"))
        .respond_with(response)
        .expect(1)
        .mount(&server)
        .await;
    let health = smstools(&server).check().await;
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
    health
}

#[tokio::test]
async fn a_check_returns_the_balance_in_every_known_form() {
    let euros = |amount: &str| Health::verified().with_balance(Price::new(amount, "EUR").unwrap());
    for (body, health) in [
        (
            json!({"credits": "42.50", "currency": "EUR", "use": 0}),
            euros("42.5"),
        ),
        (json!({"credits": 42.5, "currency": "EUR"}), euros("42.5")),
        (json!({"balance": "7", "currency": "eur"}), euros("7")),
        (
            json!({"credits": 12, "balance": 7, "currency": "EUR"}),
            euros("12"),
        ),
        // Neither credits nor an unreadable amount are a price.
        (json!({"credits": "42.50"}), Health::verified()),
        (
            json!({"credits": "42.50", "currency": ""}),
            Health::verified(),
        ),
        (
            json!({"credits": "42.50", "currency": "credits"}),
            Health::verified(),
        ),
        (
            json!({"credits": "many", "currency": "EUR"}),
            Health::verified(),
        ),
    ] {
        let checked = check(ResponseTemplate::new(200).set_body_json(&body)).await;
        assert_eq!(checked.unwrap(), health, "{body}");
    }
}

#[tokio::test]
async fn a_check_that_fails_says_why_and_leaves_nothing_in_doubt() {
    for (status, body, kind, code) in [
        (
            401,
            json!({"error": "104"}),
            ErrorKind::Unauthorized,
            Some("104"),
        ),
        (
            400,
            json!({"error": 104}),
            ErrorKind::Unauthorized,
            Some("104"),
        ),
        (
            200,
            json!({"error": "200"}),
            ErrorKind::Unauthorized,
            Some("200"),
        ),
        (
            400,
            json!({"error": "1002"}),
            ErrorKind::Unauthorized,
            Some("1002"),
        ),
        (
            400,
            json!({"error": "105"}),
            ErrorKind::Unavailable,
            Some("105"),
        ),
        (
            403,
            json!({"message": "Forbidden"}),
            ErrorKind::Protocol,
            None,
        ),
        (200, json!({"user": "acme"}), ErrorKind::Protocol, None),
        (200, json!(["42.50"]), ErrorKind::Protocol, None),
        (404, json!({}), ErrorKind::Misconfigured, None),
        (429, json!({}), ErrorKind::Throttled, None),
        (503, json!({}), ErrorKind::Unavailable, None),
    ] {
        let error = failure(check(ResponseTemplate::new(status).set_body_json(&body)).await);
        assert_eq!(
            (error.kind(), error.acceptance(), error.code()),
            (kind, Acceptance::NotAccepted, code),
            "{status} {body}"
        );
        assert_eq!(error.provider(), Some("smstools"));
        assert!(!error.to_string().contains("the message"), "{error}");
    }
}

#[tokio::test]
async fn a_check_whose_response_is_lost_mentions_no_message() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let closing = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let url = format!("smstools://me:secret@{address}?sender=Acme");
    let error = failure(Smstools::from_url(&url).unwrap().check().await);
    closing.join().unwrap();
    assert_eq!(error.acceptance(), Acceptance::NotAccepted);
    assert!(!error.to_string().contains("message"), "{error}");
}

#[test]
fn a_credential_that_no_header_can_hold_is_refused_without_showing_it() {
    let error = Smstools::builder("me", "hunter\n2").build().unwrap_err();
    assert!(error.to_string().contains("secret"), "{error}");
    assert!(!format!("{error:?}").contains("hunter"));
}

#[test]
fn debug_masks_a_number_as_sender() {
    let url = "smstools://a:b@default?sender=%2B31687654321";
    let builder = Smstools::builder("a", "b").with_sender("+31687654321".parse().unwrap());
    let shown = format!("{:?} {builder:?}", Smstools::from_url(url).unwrap());
    assert!(!shown.contains("31687654321"), "{shown}");
}

#[test]
fn debug_shows_no_credential() {
    let smstools = Smstools::from_url("smstools://client-id:hunter2@default").unwrap();
    let shown = format!(
        "{smstools:?} {:?}",
        Smstools::builder("client-id", "hunter2")
    );
    assert!(
        !shown.contains("hunter2") && !shown.contains("client-id"),
        "{shown}"
    );
}
