use std::time::Duration;

use postduif_core::{
    Acceptance::{NotAccepted, Unknown},
    directory::{
        GraphErrorKind::{
            Conflict, Forbidden, LifetimeRefused, NotFound, Other, PolicyRefused, Protocol,
        },
        TapIssuer as _, TapRequest,
    },
};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::support::{
    REQUEST_ID, TAPS_PATH, World, assert_error, assert_is_ours, body, ok, said, user,
};

const SECRET: &str = "X7k+q2R!";
const ID: &str = "c6a1f0d2-8b37-4e95-a1c4-7d2e9f3b5a60";

fn pass() -> Value {
    json!({
        "id": ID,
        "isUsable": true,
        "methodUsabilityReason": "EnabledByPolicy",
        "temporaryAccessPass": SECRET,
        "createdDateTime": "2026-11-23T08:00:02.1234567Z",
        "startDateTime": "2026-11-23T08:00:02Z",
        "lifetimeInMinutes": 60,
        "isUsableOnce": true,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut pass = pass();
    pass[name] = value;
    pass
}

fn created(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(201)
        .insert_header("request-id", REQUEST_ID)
        .set_body_json(body)
}

#[tokio::test]
async fn a_pass_is_returned_as_graph_issued_it() {
    let world = World::start().await;
    world.on("POST", TAPS_PATH, created(&pass())).await;
    let issued = world
        .entra()
        .issue(&user(), &TapRequest::new())
        .await
        .unwrap();
    assert_eq!(issued.secret(), SECRET);
    let info = issued.info();
    assert_eq!(
        (info.id.as_str(), info.lifetime),
        (ID, Duration::from_secs(3600))
    );
    assert_eq!(info.valid_until().to_rfc3339(), "2026-11-23T09:00:02+00:00");
    assert!(info.one_time && info.usable && !info.not_yet_valid);
    let [request] = world.asked().await.try_into().unwrap();
    assert_is_ours(&request, "token-1");
    assert_eq!(request.url.query(), None);
}

#[tokio::test]
async fn only_set_options_are_requested_and_never_a_start() {
    let hour = Duration::from_secs(3600);
    for (request, expected) in [
        (TapRequest::new(), json!({"isUsableOnce": true})),
        (TapRequest::new().with_one_time(None), json!({})),
        (
            TapRequest::new().with_one_time(Some(false)),
            json!({"isUsableOnce": false}),
        ),
        (
            TapRequest::new().with_lifetime(hour),
            json!({"lifetimeInMinutes": 60, "isUsableOnce": true}),
        ),
        (
            TapRequest::new()
                .with_lifetime(hour + Duration::from_secs(59))
                .with_one_time(None),
            json!({"lifetimeInMinutes": 60}),
        ),
    ] {
        let world = World::start().await;
        world.on("POST", TAPS_PATH, created(&pass())).await;
        world.entra().issue(&user(), &request).await.unwrap();
        assert_eq!(body(&world.asked().await[0]), expected);
    }
}

#[tokio::test]
async fn what_a_pass_may_leave_out_is_read_with_care() {
    for (answer, one_time, usable, not_yet_valid) in [
        (with("isUsableOnce", Value::Null), false, true, false),
        (with("isUsable", Value::Null), true, true, false),
        (with("isUsable", json!(false)), true, false, false),
        (
            with("methodUsabilityReason", json!("notyetvalid")),
            true,
            true,
            true,
        ),
        (
            with("methodUsabilityReason", json!("somethingNew")),
            true,
            true,
            false,
        ),
        (with("startDateTime", Value::Null), true, true, false),
    ] {
        let world = World::start().await;
        world.on("POST", TAPS_PATH, created(&answer)).await;
        let issued = world
            .entra()
            .issue(&user(), &TapRequest::new())
            .await
            .unwrap();
        let info = issued.info();
        assert_eq!(
            (info.one_time, info.usable, info.not_yet_valid),
            (one_time, usable, not_yet_valid),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_pass_that_cannot_be_read_is_in_doubt_and_asked_for_once() {
    for answer in [
        with("temporaryAccessPass", Value::Null),
        with("temporaryAccessPass", json!("")),
        with("temporaryAccessPass", json!(7)),
        with("id", Value::Null),
        with("id", json!("../x")),
        with("id", json!("")),
        with("lifetimeInMinutes", Value::Null),
        with("lifetimeInMinutes", json!(-1)),
        with("lifetimeInMinutes", json!(1e30)),
        with("startDateTime", json!("now")),
        json!({"startDateTime": null, "createdDateTime": null, "id": ID, "lifetimeInMinutes": 60, "temporaryAccessPass": SECRET}),
        json!({}),
        json!([pass()]),
        json!(null),
    ] {
        let world = World::start().await;
        world.on("POST", TAPS_PATH, created(&answer)).await;
        let error = world
            .entra()
            .issue(&user(), &TapRequest::new())
            .await
            .unwrap_err();
        assert_error(&error, Protocol, Unknown, &answer.to_string());
        assert_eq!(error.request_id(), Some(REQUEST_ID));
        assert_eq!(world.asked().await.len(), 1);
    }
}

#[tokio::test]
async fn refusals_of_a_pass_are_distinguished_by_graphs_message() {
    const LIFETIME: &str =
        "Invalid LifetimeInMinutes specified. The valid range between 60 and 480.";
    const POLICY: &str = "Converged UserCredentialPolicy does not allow creating or updating this authentication method. AuthMethodType [TemporaryAccessPass].";
    const GUEST: &str = "Temporary Access Pass cannot be added to an external guest user.";
    for (status, code, message, kind) in [
        (400, "badRequest", LIFETIME, LifetimeRefused),
        (403, "badRequest", LIFETIME, LifetimeRefused),
        (400, "badRequest", POLICY, PolicyRefused),
        (403, "accessDenied", POLICY, PolicyRefused),
        (
            400,
            "badRequest",
            "The user already has a Temporary Access Pass.",
            Conflict,
        ),
        (400, "badRequest", GUEST, Other),
        (403, "accessDenied", GUEST, Other),
        (
            403,
            "accessDenied",
            "Request Authorization failed",
            Forbidden,
        ),
        (404, "Request_ResourceNotFound", LIFETIME, NotFound),
        (
            400,
            "badRequest",
            "Invalid StartDateTime specified. It can not be a time in the past.",
            Other,
        ),
        (400, "badRequest", "", Other),
    ] {
        let world = World::start().await;
        world
            .on("POST", TAPS_PATH, said(status, code, message))
            .await;
        let error = world
            .entra()
            .issue(&user(), &TapRequest::new())
            .await
            .unwrap_err();
        assert_error(&error, kind, NotAccepted, message);
        assert_eq!(error.code(), Some(code));
        assert!(!format!("{error} {error:?}").contains("Invalid"), "{error}");
        assert_eq!(world.asked().await.len(), 1);
        if message == LIFETIME && kind == LifetimeRefused {
            assert!(error.to_string().contains("60 to 480 minutes"), "{error}");
        }
    }
}

#[tokio::test]
async fn passes_are_listed_without_their_secret() {
    let secretless = with("temporaryAccessPass", Value::Null);
    for (answer, count) in [
        (json!({"value": []}), 0),
        (json!({"value": [secretless]}), 1),
        (json!({"value": [pass(), secretless]}), 2),
    ] {
        let world = World::start().await;
        world.on("GET", TAPS_PATH, ok(&answer)).await;
        let passes = world.entra().list(&user()).await.unwrap();
        assert_eq!(passes.len(), count);
        assert!(
            passes
                .iter()
                .all(|pass| pass.id.as_str() == ID && pass.opens())
        );
        assert_is_ours(&world.asked().await[0], "token-1");
    }
}

#[tokio::test]
async fn an_incomplete_list_is_an_error() {
    for answer in [
        json!({}),
        json!({"value": null}),
        json!({"value": [pass(), {"id": ID}]}),
        json!({"value": [with("id", json!("a/b"))]}),
        json!({"value": [], "@odata.nextLink": "https://evil.example/next"}),
    ] {
        let world = World::start().await;
        world.on("GET", TAPS_PATH, ok(&answer)).await;
        let error = world.entra().list(&user()).await.unwrap_err();
        assert_error(&error, Protocol, NotAccepted, &answer.to_string());
        assert_eq!(world.asked().await.len(), 1);
    }
}

#[tokio::test]
async fn a_pass_is_revoked_and_one_that_is_gone_counts_as_revoked() {
    let path = format!("{TAPS_PATH}/{ID}");
    for answer in [
        ResponseTemplate::new(204),
        said(404, "resourceNotFound", "no"),
    ] {
        let world = World::start().await;
        world.on("DELETE", &path, answer).await;
        world
            .entra()
            .revoke(&user(), &ID.parse().unwrap())
            .await
            .unwrap();
        let [request] = world.asked().await.try_into().unwrap();
        assert_is_ours(&request, "token-1");
        assert!(request.body.is_empty());
    }
}
