use std::error::Error;

use postduif_core::{
    async_trait,
    directory::{Callback, Graph as _, GraphError, TapIssuer as _, TapRequest, Verdict},
};
use postduif_entra::{CalloutParser, Credential, Entra};
use postduif_http::auth::{Token, TokenSource};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::support::{TAPS_PATH, USER, USER_PATH, World, ok, user};

/// A marker that must not be shown.
const CANARY: &str = "hunter2";

fn shown(error: &GraphError) -> String {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        shown += &format!("{error} {error:?} {error:#?}");
        cause = error.source();
    }
    shown
}

#[track_caller]
fn assert_silent(shown: &str) {
    assert!(!shown.contains(CANARY), "{shown}");
}

/// Returns a response with the marker wherever Graph might put it.
fn loud(status: u16) -> Vec<ResponseTemplate> {
    let said: Value = json!({"error": {
        "code": format!("{CANARY} +31612345678"),
        "message": CANARY,
        "innerError": {"message": CANARY, "request-id": CANARY, "client-request-id": CANARY},
        "request-id": CANARY,
    }});
    vec![
        ResponseTemplate::new(status)
            .insert_header("request-id", CANARY)
            .insert_header("x-ms-ags-diagnostic", CANARY)
            .insert_header("retry-after", CANARY)
            .insert_header("location", &*format!("https://{CANARY}.example"))
            .set_body_json(&said),
        ResponseTemplate::new(status).set_body_raw(CANARY, "text/html"),
        ResponseTemplate::new(status).set_body_json(json!({
            "id": CANARY, "temporaryAccessPass": CANARY, "mobilePhone": CANARY,
            "value": [{"id": format!("{CANARY}/"), "temporaryAccessPass": CANARY}],
        })),
    ]
}

#[tokio::test]
async fn no_error_repeats_graphs_message() {
    let id = "3d6f0c61-7a5e-4f0b-9a39-0f6f2a1b7c10".parse().unwrap();
    let callback = Callback::lifecycle(id, id, id);
    let world = World::start().await;
    let entra = world.entra();
    for status in [200, 201, 302, 400, 401, 403, 404, 409, 429, 500, 503] {
        for answer in loud(status) {
            world.any(answer).await;
            for error in [
                entra.user(&user()).await.err(),
                entra.list(&user()).await.err(),
                entra.issue(&user(), &TapRequest::new()).await.err(),
                entra
                    .revoke(&user(), &"c6a1f0d2".parse().unwrap())
                    .await
                    .err(),
                entra.resume(&callback, &Verdict::Completed).await.err(),
            ]
            .into_iter()
            .flatten()
            {
                assert_silent(&shown(&error));
            }
        }
    }
}

#[tokio::test]
async fn nothing_shows_a_credential_a_token_or_a_pass() {
    #[derive(Debug)]
    struct Source;

    #[async_trait]
    impl TokenSource for Source {
        async fn fetch(&self) -> Result<Token, postduif_core::SendError> {
            Ok(Token::new(
                CANARY.into(),
                std::time::Duration::from_secs(3600),
            ))
        }
    }

    for credential in [
        Credential::client_secret("contoso.example", CANARY, CANARY),
        Credential::tokens(Source),
    ] {
        let builder = Entra::builder(credential.clone());
        let mut shown = format!("{credential:?} {builder:?} {builder:#?}");
        let entra = builder.build().unwrap();
        shown += &format!("{entra:?} {entra:#?}");
        assert_silent(&shown);
    }

    let world = World::start().await;
    let pass = json!({
        "id": "c6a1f0d2", "temporaryAccessPass": CANARY, "startDateTime": "2026-11-23T08:00:02Z",
        "lifetimeInMinutes": 60,
    });
    world
        .on(
            "POST",
            TAPS_PATH,
            ResponseTemplate::new(201).set_body_json(&pass),
        )
        .await;
    let person = json!({
        "id": USER, "displayName": CANARY, "givenName": CANARY, "surname": CANARY,
        "userPrincipalName": CANARY, "mail": CANARY, "mobilePhone": CANARY,
    });
    world.on("GET", USER_PATH, ok(&person)).await;
    let entra = world.builder().with_roles(false).build().unwrap();
    let issued = entra.issue(&user(), &TapRequest::new()).await.unwrap();
    assert_eq!(issued.secret(), CANARY);
    let read = entra.user(&user()).await.unwrap();
    assert_silent(&format!(
        "{issued:?} {issued:#?} {read:?} {read:#?} {entra:?}"
    ));
}

#[tokio::test]
async fn no_call_out_shows_a_name_and_no_error_its_body() {
    let now = std::time::SystemTime::now().into();
    let parser = CalloutParser::new();
    let body = json!({"data": {
        "subject": {"id": USER, "displayName": CANARY, "email": CANARY},
        "taskProcessingResult": {"id": USER},
    }});
    let parsed = parser.parse(body.to_string().as_bytes(), now).unwrap();
    assert_silent(&format!("{parsed:?} {parsed:#?}"));
    for body in [
        CANARY.to_owned(),
        json!({"data": CANARY, "Stage": CANARY}).to_string(),
        json!({"Stage": CANARY}).to_string(),
        json!({"data": {"taskProcessingResult": {"id": CANARY}}}).to_string(),
        json!({"data": {
            "callbackUriPath": CANARY, "workflow": {"id": USER}, "task": {"id": USER},
            "taskProcessingResult": {"id": USER},
        }})
        .to_string(),
    ] {
        let error = parser.parse(body.as_bytes(), now).unwrap_err();
        assert_silent(&format!("{error} {error:?}"));
    }
}
