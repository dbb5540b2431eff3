use postduif_core::{Credentials, ErrorKind, Health, SmsProvider as _};
use serde_json::json;
use wiremock::ResponseTemplate;

use super::wire::{World, accepted, failure, problem, response};

async fn check(world: &World, response: ResponseTemplate) -> Result<Health, ErrorKind> {
    world.respond(response).await;
    let checked = world.vonage.check().await;
    if matches!(&checked, Ok(health) if health.refusal().is_none()) {
        return checked.map_err(|error| error.kind());
    }
    let error = failure(checked);
    assert_eq!(error.provider(), Some("vonage"));
    Err(error.kind())
}

#[tokio::test]
async fn the_balance_is_requested_as_documented() {
    for world in [World::messages().await, World::sms().await] {
        let response =
            ResponseTemplate::new(200).set_body_json(json!({"value": 10.28, "autoReload": false}));
        let health = check(&world, response).await.unwrap();
        assert!(health.credentials() == Credentials::Verified);
        assert_eq!(health.balance().unwrap().to_string(), "10.28 EUR");
        let request = &world.requests().await[0];
        assert_eq!(
            (request.method.as_str(), request.url.path()),
            ("GET", "/account/get-balance")
        );
        assert_eq!(request.headers["authorization"], "Basic a2V5OnNlY3JldA==");
        assert_eq!(request.url.query(), None);
    }
}

#[tokio::test]
async fn a_balance_is_read_as_text_or_as_any_number() {
    let world = World::messages().await;
    for (value, shown) in [
        (json!(0), Some("0 EUR")),
        (json!(-1.5), Some("-1.5 EUR")),
        (json!(12.345_678_9), Some("12.3456789 EUR")),
        (json!(1e-7), Some("0.0000001 EUR")),
        (json!("10.28"), Some("10.28 EUR")),
        (json!(1e300), None),
        (json!("much"), None),
        (json!(null), None),
    ] {
        let response = ResponseTemplate::new(200).set_body_json(json!({"value": value}));
        let health = check(&world, response).await.unwrap();
        assert!(health.credentials() == Credentials::Verified);
        assert_eq!(
            health
                .balance()
                .map(|balance| balance.to_string())
                .as_deref(),
            shown,
            "{value}"
        );
    }
}

#[tokio::test]
async fn a_check_reports_refused_credentials() {
    let world = World::messages().await;
    let label = json!({"error-code": "401", "error-code-label": "authentication failed"});
    for (response, kind) in [
        (
            ResponseTemplate::new(401).set_body_json(&label),
            ErrorKind::Unauthorized,
        ),
        (
            ResponseTemplate::new(401).insert_header("www-authenticate", "Basic"),
            ErrorKind::Unauthorized,
        ),
        (
            response(401, &problem("unauthorized")),
            ErrorKind::Unauthorized,
        ),
        (
            response(403, &problem("forbidden")),
            ErrorKind::Unauthorized,
        ),
        (
            ResponseTemplate::new(420).set_body_json(&label),
            ErrorKind::Protocol,
        ),
        (ResponseTemplate::new(401), ErrorKind::Protocol),
        (ResponseTemplate::new(429), ErrorKind::Throttled),
        (ResponseTemplate::new(503), ErrorKind::Unavailable),
        (ResponseTemplate::new(302), ErrorKind::Protocol),
        (ResponseTemplate::new(200), ErrorKind::Protocol),
        (
            ResponseTemplate::new(200).set_body_json(json!({})),
            ErrorKind::Protocol,
        ),
        (ResponseTemplate::new(204), ErrorKind::Protocol),
    ] {
        assert_eq!(check(&world, response).await, Err(kind));
        assert_eq!(world.requests().await.len(), 1);
    }
}

#[tokio::test]
async fn the_check_of_an_application_is_unknown_and_makes_no_request() {
    let world = World::application().await;
    assert_eq!(check(&world, accepted()).await, Ok(Health::unknown()));
    assert_eq!(world.requests().await.len(), 0);
}

#[tokio::test]
async fn the_check_of_a_host_without_a_balance_is_unknown_in_the_messages_api_only() {
    let missing = || ResponseTemplate::new(404);
    assert_eq!(
        check(&World::messages().await, missing()).await,
        Ok(Health::unknown())
    );
    assert_eq!(
        check(&World::sms().await, missing()).await,
        Err(ErrorKind::Misconfigured)
    );
}
