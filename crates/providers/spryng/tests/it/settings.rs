use std::time::Duration;

use postduif_core::{Acceptance, ErrorKind, Health, Message, SendError, SmsProvider as _, Text};
use postduif_http::{BaseUrl, Client};
use postduif_spryng::{Api, PROFILE, PROFILE_V1, Spryng};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use super::wire::{V1, V2, accepted, calls, failure, message, responding, spryng, url};

/// Sends a message with a provider for the server's address, and returns the path, headers and body of its request.
async fn sent(
    api: &str,
    provider: fn(&str) -> Spryng,
) -> (String, Vec<(String, Vec<u8>)>, Vec<u8>) {
    let server = responding(api, accepted(api)).await;
    // The fake vendor has no prefix, so its response is irrelevant here.
    let _ = provider(&server.address().to_string())
        .send(&message())
        .await;
    let request = server.received_requests().await.unwrap().remove(0);
    let mut headers: Vec<_> = request
        .headers
        .iter()
        .filter(|(name, _)| *name != "host")
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    headers.sort();
    (request.url.path().to_owned(), headers, request.body)
}

#[tokio::test]
async fn url_and_builder_give_the_same_provider() {
    fn base(host: &str) -> BaseUrl {
        BaseUrl::parse(&format!("http://{host}/p")).unwrap()
    }
    fn from(url: &str) -> Spryng {
        Spryng::from_url(url).unwrap()
    }
    fn with(url: &str) -> Spryng {
        Spryng::from_url_with(url, &Client::new().unwrap()).unwrap()
    }
    let v2: [fn(&str) -> Spryng; 6] = [
        |host| from(&format!("spryng://k%2Fy@{host}/p?account=A1&sender=Acme")),
        |host| {
            from(&format!(
                "spryng://k%2Fy@{host}/p?account=A1&sender=Acme&api=v2"
            ))
        },
        |host| from(&format!("spryng://k%2Fy:A1@{host}/p?sender=Acme")),
        |host| from(&format!("spryng://{host}/p?key=k/y&account=A1&sender=Acme")),
        |host| with(&format!("spryng://k%2Fy@{host}/p?account=A1&sender=Acme")),
        |host| {
            Spryng::builder("k/y")
                .with_account("A1")
                .with_base(base(host))
                .with_client(Client::new().unwrap())
                .with_sender("Acme".parse().unwrap())
                .build()
                .unwrap()
        },
    ];
    let v1: [fn(&str) -> Spryng; 4] = [
        |host| {
            from(&format!(
                "spryng://k%2Fy@{host}/p?api=v1&route=7&sender=Acme"
            ))
        },
        |host| {
            from(&format!(
                "spryng://{host}/p?key=k/y&api=v1&route=7&sender=Acme"
            ))
        },
        |host| {
            with(&format!(
                "spryng://k%2Fy@{host}/p?api=v1&route=7&sender=Acme"
            ))
        },
        |host| {
            Spryng::builder("k/y")
                .with_api(Api::V1)
                .with_base(base(host))
                .with_client(Client::new().unwrap())
                .with_sender("Acme".parse().unwrap())
                .with_route("7")
                .build()
                .unwrap()
        },
    ];
    for (api, providers) in [(V2, &v2[..]), (V1, &v1)] {
        let first = sent(api, providers[0]).await;
        assert_eq!(first.0, format!("/p{api}"));
        for provider in &providers[1..] {
            assert_eq!(sent(api, *provider).await, first);
        }
    }
}

#[tokio::test]
async fn the_route_of_v1_is_business_unless_set() {
    let server = responding(V1, accepted(V1)).await;
    for options in ["", "&route=1"] {
        Spryng::from_url(&(url(&server, V1) + "&sender=Acme" + options))
            .unwrap()
            .send(&message())
            .await
            .unwrap();
    }
    let calls = calls(&server).await;
    assert_eq!(
        (&calls[0]["route"], &calls[1]["route"]),
        (&json!("business"), &json!("1"))
    );
}

#[test]
fn an_invalid_configuration_is_refused_when_it_is_built() {
    for (url, expected) in [
        ("spryng://default?account=A", "key is missing"),
        ("spryng://default?api=v1", "key is missing"),
        ("spryng://hunter2@default", "account is missing"),
        ("spryng://hunter2@default?api=v2", "account is missing"),
        (
            "spryng://hunter2@default?api=v1&account=A",
            "option account: expected none for the API v1",
        ),
        (
            "spryng://hunter2:A@default?api=v1",
            "option account: expected none for the API v1",
        ),
        ("spryng://hunter2@default?api=v3&account=A", "option api"),
        ("spryng://hunter2@default?api=&account=A", "option api"),
        (
            "spryng://hunter2@default?account=A&route=business",
            "option route: expected none for the API v2",
        ),
        ("kpn://hunter2@default", "expected spryng://"),
        (
            "spryng://hunter2@default?key=hunter2&account=A",
            "duplicate credential key",
        ),
        (
            "spryng://hunter2:A@default?account=A",
            "duplicate credential account",
        ),
        ("spryng://env:hunter2@default?account=A", "write ?key=env:"),
        (
            "spryng://hunter2@default?account=A&token=x",
            "unknown option token; known are sender, api, route, vendor_messages, key, account",
        ),
        (
            "spryng://hunter2@default?account=A&sender=ThisIsTooLongAName",
            "at most 11 characters",
        ),
        (
            "spryng://hunter2@default?api=v1&sender=%2B491234567890123",
            "a number of at most 14 digits",
        ),
        (
            "spryng://hunter2@default:8443?account=A",
            "default without port and path",
        ),
    ] {
        let error = Spryng::from_url(url).unwrap_err();
        assert!(error.to_string().contains(expected), "{url}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    for sender in ["Acme", "%2B31612345678", "1008"] {
        for api in ["api=v1", "account=A"] {
            let url = format!("spryng://k@default?{api}&sender={sender}");
            assert!(Spryng::from_url(&url).is_ok(), "{url}");
        }
    }
    assert!(
        Spryng::builder("k")
            .with_account("A")
            .with_route("business")
            .build()
            .is_err()
    );
}

#[test]
fn the_profiles_have_the_documented_capabilities() {
    for profile in [PROFILE, PROFILE_V1] {
        assert_eq!((profile.name(), profile.batch_size().get()), ("spryng", 1));
        assert_eq!(
            (profile.repeat_window(), profile.max_schedule_ahead()),
            (None, None)
        );
        assert!(profile.reports());
        assert_eq!(profile.senders().len(), 3);
    }
    assert_eq!(
        PROFILE.validity(),
        Some(Duration::from_secs(120)..=Duration::from_secs(259_140))
    );
    assert_eq!(PROFILE_V1.validity(), None);
    assert!(!PROFILE.sender_required() && PROFILE_V1.sender_required());
    let required = |url: &str| Spryng::from_url(url).unwrap().profile().sender_required();
    assert!(required("spryng://k@default?api=v1"));
    assert!(!required("spryng://k@default?api=v1&sender=Acme"));
    assert!(!required("spryng://k@default?account=A"));
}

async fn refused(spryng: &Spryng, message: &Message) -> SendError {
    let error = spryng.send(message).await.unwrap_err();
    assert_eq!(error.acceptance(), Acceptance::NotAccepted);
    assert_eq!(error.provider(), Some("spryng"));
    error
}

#[tokio::test]
async fn an_unsupported_option_is_refused_before_any_call() {
    for api in [V2, V1] {
        let server = responding(api, accepted(api)).await;
        let spryng = spryng(&server, api);
        let later =
            message().with_send_at(chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap());
        assert_eq!(
            refused(&spryng, &later).await.kind(),
            ErrorKind::Unsupported
        );
        for seconds in [0, 60, 119, 259_141, 259_200] {
            let odd = message().with_validity(Duration::from_secs(seconds));
            assert_eq!(refused(&spryng, &odd).await.kind(), ErrorKind::Unsupported);
        }
        assert_eq!(calls(&server).await.len(), 0);
    }
    let server = responding(V1, accepted(V1)).await;
    let brief = message().with_validity(Duration::from_secs(600));
    let v1 = spryng(&server, V1);
    assert_eq!(refused(&v1, &brief).await.kind(), ErrorKind::Unsupported);
    let long_number = message().with_sender("+491234567890123".parse().unwrap());
    assert_eq!(
        refused(&v1, &long_number).await.kind(),
        ErrorKind::InvalidSender
    );
    let without = Spryng::from_url(&url(&server, V1)).unwrap();
    assert_eq!(
        refused(&without, &message()).await.kind(),
        ErrorKind::InvalidSender
    );
    assert_eq!(calls(&server).await.len(), 0);
}

#[tokio::test]
async fn v2_refuses_brackets_which_another_vendor_can_send() {
    let server = responding(V2, accepted(V2)).await;
    let spryng = spryng(&server, V2);
    for text in [
        "[name]",
        "€ 5 [ok] ~ {x}",
        "a[",
        "]b",
        "[shorten: https://x.test]",
    ] {
        let message = Message::new("+31612345678".parse().unwrap(), Text::new(text).unwrap());
        let error = refused(&spryng, &message).await;
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.may_reroute() && !error.may_resend());
    }
    assert_eq!(calls(&server).await.len(), 0);
}

#[tokio::test]
async fn a_batch_is_single_calls_with_an_outcome_for_each() {
    for api in [V2, V1] {
        let server = MockServer::start().await;
        Mock::given(path(api))
            .respond_with(move |request: &wiremock::Request| {
                let body: Value = request.body_json().unwrap();
                let recipients = body["recipients"].as_array().unwrap();
                assert_eq!(recipients.len(), 1);
                match recipients[0].to_string().contains('9') {
                    true if api == V2 => ResponseTemplate::new(400)
                        .set_body_json(json!({"errors": [{"errorCode": "msisdn_invalid"}]})),
                    true => {
                        ResponseTemplate::new(422).set_body_json(json!({"message": "recipients"}))
                    }
                    false if api == V1 => ResponseTemplate::new(200)
                        .set_body_json(json!({"id": "9d3e7c1a", "reference": body["reference"]})),
                    false => accepted(api),
                }
            })
            .mount(&server)
            .await;
        let messages: Vec<_> = (0..20)
            .map(|index| {
                let to = format!("+316123456{index:02}").parse().unwrap();
                let reference = if index % 10 == 9 { "z9" } else { "z" };
                Message::new(to, Text::new("x").unwrap()).with_reference(reference.parse().unwrap())
            })
            .collect();
        let outcomes = spryng(&server, api).send_batch(&messages).await;
        assert_eq!(outcomes.len(), 20);
        for (index, outcome) in outcomes.iter().enumerate() {
            assert_eq!(outcome.is_ok(), index % 10 != 9, "{api} {index}");
        }
        assert_eq!(calls(&server).await.len(), 20);
    }
}

/// Returns the outcome of a check with this response to the balance request.
async fn check(api: &str, response: ResponseTemplate) -> Result<Health, SendError> {
    let server = MockServer::start().await;
    let balance = match api {
        V1 => Mock::given(path("/v1/balance")).and(header("authorization", "Bearer s3cret")),
        _ => Mock::given(path("/v2/balance"))
            .and(header("x-api-key", "s3cret"))
            .and(header("accountreference", "SPNL0000000")),
    };
    balance
        .and(method("GET"))
        .respond_with(response)
        .expect(1)
        .mount(&server)
        .await;
    let health = spryng(&server, api).check().await;
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
    health
}

#[tokio::test]
async fn a_check_verifies_the_key_and_leaves_out_a_balance_without_a_currency() {
    for (api, status, body) in [
        (
            V2,
            200,
            json!({"data": {"available": "115.82000", "reserved": "0"}}),
        ),
        (V2, 201, json!({"available": "115.82000", "reserved": "0"})),
        (V2, 200, json!({"data": {"available": 115.82}})),
        (V1, 200, json!({"amount": 10.5})),
        (V1, 200, json!({"amount": "10.5"})),
    ] {
        let response = ResponseTemplate::new(status).set_body_json(&body);
        assert_eq!(
            check(api, response).await.unwrap(),
            Health::verified(),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_check_that_fails_says_why_and_leaves_nothing_in_doubt() {
    let unauthenticated = json!({"errors": [{"errorCode": "UnauthenticatedError"}]});
    for (api, status, body, kind) in [
        (V2, 401, &unauthenticated, ErrorKind::Unauthorized),
        (V2, 403, &unauthenticated, ErrorKind::Unauthorized),
        (V2, 401, &json!({"message": "no"}), ErrorKind::Protocol),
        (
            V2,
            400,
            &json!({"errors": [{"errorCode": "x"}]}),
            ErrorKind::Other,
        ),
        (V2, 429, &json!({}), ErrorKind::Throttled),
        (V2, 503, &json!({}), ErrorKind::Unavailable),
        (V2, 200, &json!({"data": {}}), ErrorKind::Protocol),
        (V2, 200, &json!({"data": ["1"]}), ErrorKind::Protocol),
        (V2, 200, &json!(["1"]), ErrorKind::Protocol),
        // Version 1 has no other shape for a refused key, and a check carries no text.
        (
            V1,
            401,
            &json!({"message": "Unauthenticated."}),
            ErrorKind::Unauthorized,
        ),
        (
            V1,
            403,
            &json!({"message": "Forbidden"}),
            ErrorKind::Unauthorized,
        ),
        (V1, 401, &json!({}), ErrorKind::Protocol),
        (V1, 404, &json!({}), ErrorKind::Misconfigured),
        (
            V1,
            500,
            &json!({"message": "Server Error"}),
            ErrorKind::Unavailable,
        ),
        (V1, 200, &json!({"balance": 7}), ErrorKind::Protocol),
        (V1, 200, &json!({"amount": null}), ErrorKind::Protocol),
    ] {
        let response = ResponseTemplate::new(status).set_body_json(body);
        let error = failure(check(api, response).await);
        assert_eq!(
            (error.kind(), error.acceptance()),
            (kind, Acceptance::NotAccepted),
            "{api} {status} {body}"
        );
        assert_eq!(error.provider(), Some("spryng"));
    }
}

#[test]
fn a_key_that_no_header_can_hold_is_refused_without_showing_it() {
    for (builder, name) in [
        (
            Spryng::builder("hunter\n2").with_account("A"),
            "invalid key: ",
        ),
        (
            Spryng::builder("hunter\n2").with_api(Api::V1),
            "invalid key: ",
        ),
        (
            Spryng::builder("A").with_account("hunter2\0"),
            "invalid account: ",
        ),
    ] {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().starts_with(name), "{error}");
        assert!(!format!("{error:?}").contains("hunter"));
    }
}

#[test]
fn debug_shows_no_route_of_the_account() {
    let builder = Spryng::builder("key")
        .with_api(Api::V1)
        .with_route("hunter2");
    let shown = format!("{builder:?}");
    let shown = format!("{shown} {:#?}", builder.build().unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn debug_shows_no_credential() {
    let v2 = Spryng::from_url("spryng://hunter2@default?account=SPNL0000000").unwrap();
    let v1 = Spryng::from_url("spryng://hunter2@default?api=v1").unwrap();
    let shown = format!(
        "{v2:?} {v1:?} {:?} {:?}",
        Spryng::builder("hunter2").with_account("SPNL0000000"),
        Spryng::builder("hunter2").with_api(Api::V1)
    );
    assert!(
        !shown.contains("hunter2") && !shown.contains("SPNL"),
        "{shown}"
    );
}
