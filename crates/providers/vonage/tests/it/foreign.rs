//! Responses of other servers, or ones that contradict themselves: they prove nothing, and nothing is repeated for
//! them.

use postduif_core::{
    Acceptance::{NotAccepted, Unknown},
    ErrorKind::Protocol,
    SmsProvider as _,
};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::wire::{UUID, World, entries_body, failed, failure, part, problem, response};

/// Error bodies of common frameworks, filters and gateways.
fn foreign_bodies() -> [Value; 19] {
    [
        json!({"type": "about:blank", "title": "Forbidden", "status": 403}),
        json!({"detail": "Not authenticated"}),
        json!({"errors": [{"title": "x"}]}),
        json!({"errors": [{"code": 1020}]}),
        json!({"success": false, "errors": [{"code": 1020, "message": "x"}]}),
        json!({"message": "Conflict"}),
        json!({"error": "Bad Request", "statusCode": 400}),
        json!({"error": 1020}),
        json!({"error": "invalid_token", "error_description": "jwt-expired"}),
        json!({"code": "WAF_BLOCKED", "message": "x"}),
        json!({"code": "jwt-expired", "title": "jwt-expired"}),
        json!({"transactionId": "1", "message": "x"}),
        json!({"error": {"type": "x_error", "code": "y"}}),
        json!({"messages": ["x"], "status": 403}),
        json!({"messages": []}),
        // A list of verdicts of another service.
        json!({"messages": [{"status": 1}]}),
        json!({"messages": [{"status": "4", "error-text": "x"}]}),
        json!({"message-count": "1", "messages": [{"status": "4"}]}),
        json!({"message-count": "2", "messages": [{"status": "4", "error-text": "x"}]}),
    ]
}

const STATUSES: [u16; 12] = [400, 401, 402, 403, 408, 409, 412, 421, 422, 425, 451, 499];

#[tokio::test]
async fn foreign_json_is_no_refusal_and_the_call_is_made_once() {
    for (mode, world) in [
        ("account", World::messages().await),
        ("application", World::application().await),
        ("sms", World::sms().await),
    ] {
        for body in foreign_bodies() {
            for status in STATUSES {
                let what = (mode, status, &body);
                let error = world.error(response(status, &body)).await;
                assert_eq!(error.acceptance(), Unknown, "{what:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_with_an_id_is_in_doubt() {
    let world = World::messages().await;
    for (status, code) in [
        (202, "forbidden"),
        (400, "1020"),
        (401, "unauthorized"),
        (404, "not-found"),
        (422, "1050"),
        (429, "throttled"),
    ] {
        let mut body = problem(code);
        body["message_uuid"] = json!(UUID);
        world
            .assert_fails(response(status, &body), (Protocol, Unknown), &status)
            .await;
        for given in [
            json!(7),
            json!(["x"]),
            json!({"id": "x"}),
            json!([]),
            json!({}),
        ] {
            body["message_uuid"] = given;
            world
                .assert_fails(response(status, &body), (Protocol, Unknown), &body)
                .await;
        }
        body["message_uuid"] = json!(" ");
        if status != 202 {
            let error = world.error(response(status, &body)).await;
            assert_eq!(error.acceptance(), NotAccepted, "{status}");
        }
    }
    // A token is not replaced for it either.
    let application = World::application().await;
    let mut body = problem("jwt-expired");
    body["message_uuid"] = json!(UUID);
    application
        .assert_fails(response(401, &body), (Protocol, Unknown), &"jwt-expired")
        .await;
    let sms = World::sms().await;
    let mut refused = part("1");
    refused["status"] = json!("4");
    let mut label = entries_body(&[part("1")]);
    label["error-code"] = json!("420");
    label["error-code-label"] = json!("no");
    for status in [200, 400, 404, 429] {
        for body in [entries_body(&[refused.clone()]), label.clone()] {
            let response = ResponseTemplate::new(status).set_body_json(&body);
            let error = sms.error(response).await;
            assert_eq!(error.acceptance(), Unknown, "{status} {body}");
        }
    }
}

#[tokio::test]
async fn an_unusable_id_is_no_acceptance() {
    let (messages, sms) = (World::messages().await, World::sms().await);
    for id in [" ", "\t", "abc\u{1b}[31m", "\u{0}", &"x".repeat(257)] {
        let accepted = response(202, &json!({"message_uuid": id}));
        messages
            .assert_fails(accepted, (Protocol, Unknown), &id)
            .await;
        for entries in [vec![part(id)], vec![part("1"), part(id)]] {
            let accepted = ResponseTemplate::new(200).set_body_json(entries_body(&entries));
            sms.assert_fails(accepted, (Protocol, Unknown), &id).await;
        }
    }
}

#[tokio::test]
async fn an_entry_about_another_message_is_in_doubt() {
    let world = World::sms().await;
    let but = |mut entry: Value, name: &str, value: &str| {
        entry[name] = json!(value);
        entry
    };
    let nameless = |to: &str| json!({"to": to, "message-id": "1", "status": "0"});
    for entries in [
        vec![nameless("31687654321")],
        vec![but(part("1"), "to", "31687654321")],
        vec![but(part("1"), "client-ref", "other")],
        vec![part("1"), but(part("2"), "to", "31687654321")],
        vec![but(failed("1", "x"), "to", "31687654321")],
        vec![but(failed("7", "x"), "client-ref", "other")],
    ] {
        let response = ResponseTemplate::new(200).set_body_json(entries_body(&entries));
        let error = world.error(response).await;
        assert_eq!(error.acceptance(), Unknown, "{entries:?}");
    }
    for to in ["31612345678", "+31612345678", ""] {
        let response = ResponseTemplate::new(200).set_body_json(entries_body(&[nameless(to)]));
        assert!(world.send(response).await.is_ok(), "{to}");
    }
}

#[tokio::test]
async fn a_check_is_never_in_doubt_and_mentions_no_message() {
    for world in [World::messages().await, World::sms().await] {
        for response in [
            ResponseTemplate::new(200),
            ResponseTemplate::new(302),
            ResponseTemplate::new(400),
            response(401, &problem("unauthorized")),
            ResponseTemplate::new(409),
            ResponseTemplate::new(503),
        ] {
            world.respond(response).await;
            let error = failure(world.vonage.check().await);
            assert_eq!(error.acceptance(), NotAccepted, "{error:?}");
            assert!(!error.to_string().contains("the message"), "{error}");
        }
    }
}
