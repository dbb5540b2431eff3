//! Responses of other servers, or ones that contradict themselves: they prove nothing, and nothing is repeated for
//! them.

use postduif_core::{Acceptance, ErrorKind, SmsProvider as _};
use postduif_testkit::{Reply, Server};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::wire::{CHANNEL, Vendor, WORKSPACE, failure, message_of};

/// Error bodies of common frameworks, filters and gateways.
fn foreign_bodies() -> [Value; 29] {
    [
        json!({"type": "about:blank", "title": "Forbidden", "status": 403}),
        json!({"detail": "Not authenticated"}),
        json!({"errors": [{"title": "x"}]}),
        json!({"errors": [{"code": 1020}]}),
        json!({"errors": [{"code": 1020, "message": "x"}]}),
        json!({"success": false, "errors": [{"code": 1020, "message": "x"}]}),
        json!({"message": "Conflict"}),
        json!({"message": "Bad Request", "errors": ["x"]}),
        json!({"error": "Bad Request", "statusCode": 400}),
        json!({"error": 1020}),
        json!({"code": "WAF_BLOCKED", "message": "x"}),
        json!({"code": 7, "message": "x", "details": []}),
        json!({"transactionId": "1", "message": "x"}),
        json!({"error": {"type": "x_error", "code": "y"}}),
        json!({"error": {"code": "Forbidden", "message": "x"}}),
        json!({"code": "Forbidden", "message": "x", "type": "about:blank", "title": "x"}),
        // Validation libraries, gateways and filters that share members or names with the vendor.
        json!({"type": "validation_error", "name": "ValidationError", "message": "\"to\" is required"}),
        json!({"type": "validation_error", "name": "ValidationError", "param": "messages[0].to"}),
        json!({"type": "validation_error", "code": "x", "message": "m"}),
        json!({"error": {"type": "validation_error", "name": "ValidationError", "param": "to"}}),
        json!({"error": {"type": "bad_request_error", "name": "InvalidRequest", "code": "x"}}),
        json!({"error": {"type": "auth_error", "code": "x"}}),
        json!({"error": {"type": "auth_error", "code": "401", "message": "x", "param": null}}),
        json!({"error": {"type": "permission_error", "code": "x"}}),
        json!({"error": {"type": "misdirected_error", "code": "E1"}}),
        json!({"type": "auth_error", "code": "x", "request_id": "req_1"}),
        json!({"errors": [{"code": 1003, "description": "blocked"}]}),
        json!({"errors": [{"code": 77, "description": "x"}, {"code": 78, "description": "y"}]}),
        json!({"errors": [{"code": 1003, "description": "blocked", "parameter": "recipient"}]}),
    ]
}

const STATUSES: [u16; 12] = [400, 401, 402, 403, 408, 409, 412, 421, 422, 425, 451, 499];

async fn vendors() -> [(&'static str, Vendor); 3] {
    let path = "/workspaces/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed/channels/9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d/messages";
    let channels = format!("messagebird://key@{{}}?workspace={WORKSPACE}&channel={CHANNEL}");
    [
        (
            "platform",
            Vendor::start(
                "messagebird://bk_eu1_key@{}?sender=Acme",
                "/v1/sms/messages",
            )
            .await,
        ),
        (
            "classic",
            Vendor::start("messagebird://live_key@{}?sender=Acme", "/messages").await,
        ),
        ("channels", Vendor::start(&channels, path).await),
    ]
}

#[tokio::test]
async fn foreign_json_is_no_refusal() {
    for (api, vendor) in vendors().await {
        for body in foreign_bodies() {
            for status in STATUSES {
                let response = ResponseTemplate::new(status).set_body_json(&body);
                let outcome = vendor.outcome(response).await;
                assert_eq!(
                    outcome,
                    (ErrorKind::Protocol, Acceptance::Unknown),
                    "{api} {status} {body}"
                );
            }
        }
    }
}

#[tokio::test]
async fn foreign_json_sends_no_message_of_a_batch_again() {
    let messages = ["a1", "b2", "c3"].map(|reference| message_of("+31612345678", reference));
    let request = |name: &str, code: Value| {
        json!({"error": {
            "type": "validation_error", "code": code, "name": name, "request_id": "req_1",
            "param": "messages[0].to"
        }})
    };
    for body in foreign_bodies().into_iter().chain([
        // The platform's shape, with only the type from its tables.
        json!({"error": {"type": "validation_error", "code": "y"}}),
        // Neither a code in the platform's format nor a name of its SMS product.
        request("ValidationError", json!("y")),
        request("ValidationError", json!(null)),
    ]) {
        for status in STATUSES {
            let reply = Reply::json(status, body.to_string());
            let server = Server::start(move |_| reply.clone()).await;
            let url = format!("messagebird://bk_eu1_key@{}?sender=Acme", server.address());
            let bird = postduif_messagebird::MessageBird::from_url(&url).unwrap();
            let outcomes = bird.send_batch(&messages).await;
            assert_eq!(server.requests().len(), 1, "{status} {body}");
            assert_eq!(outcomes.accepted(), 0);
        }
    }
}

/// Returns a refusal in the shape of this API.
fn refusal(api: &str) -> Value {
    match api {
        "platform" => {
            json!({"error": {"type": "validation_error", "code": "E01001", "name": "ValidationError"}})
        }
        "classic" => {
            json!({"errors": [{"code": 9, "description": "no", "parameter": "recipient"}]})
        }
        _ => json!({"code": "InvalidPayload", "message": "no", "details": {".receiver": ["no"]}}),
    }
}

#[tokio::test]
async fn a_refusal_with_an_id_is_in_doubt() {
    for (api, vendor) in vendors().await {
        for status in [200, 202, 400, 404, 409, 422, 429] {
            let mut body = refusal(api);
            body["id"] = json!("sms_01krdgeqcxet5s7t44vh8000a1");
            body["recipients"] =
                json!({"items": [{"recipient": 31_612_345_678_u64, "status": "sent"}]});
            let response = ResponseTemplate::new(status).set_body_json(&body);
            assert_eq!(
                vendor.outcome(response).await.1,
                Acceptance::Unknown,
                "{api} {status}"
            );
            body["id"] = json!(" ");
            body["recipients"] = json!({"totalSentCount": 0, "items": []});
            let response = ResponseTemplate::new(422).set_body_json(&body);
            assert_eq!(
                vendor.outcome(response).await.1,
                Acceptance::NotAccepted,
                "{api}"
            );
        }
    }
}

#[tokio::test]
async fn a_refusal_beside_an_id_of_any_type_is_in_doubt() {
    for (api, vendor) in vendors().await {
        for (member, value) in [
            ("id", json!(7)),
            ("data", json!({"id": "sms_1"})),
            ("data", json!({"id": 7})),
            ("data", json!([{"id": "sms_1"}])),
            ("error", json!({"id": "sms_1"})),
            ("recipients", json!({"totalSentCount": 1})),
            (
                "recipients",
                json!({"items": [{"recipient": 31_612_345_678_u64}]}),
            ),
        ] {
            let mut body = refusal(api);
            match (value.as_object(), body[member].as_object_mut()) {
                (Some(value), Some(known)) => known.extend(value.clone()),
                _ => body[member] = value.clone(),
            }
            for status in [404, 422, 429] {
                let response = ResponseTemplate::new(status).set_body_json(&body);
                let outcome = vendor.outcome(response).await;
                assert_eq!(outcome.1, Acceptance::Unknown, "{api} {status} {body}");
            }
        }
    }
}

/// A code of the vendor proves a refusal only with its own status.
#[tokio::test]
async fn a_refusal_with_another_status_is_in_doubt() {
    for (api, vendor) in vendors().await {
        for status in [
            401, 402, 403, 406, 408, 409, 412, 418, 421, 425, 428, 451, 499,
        ] {
            let response = ResponseTemplate::new(status).set_body_json(refusal(api));
            let outcome = vendor.outcome(response).await;
            assert_eq!(outcome.1, Acceptance::Unknown, "{api} {status}");
        }
        let response = ResponseTemplate::new(422).set_body_json(refusal(api));
        assert_eq!(
            vendor.outcome(response).await.1,
            Acceptance::NotAccepted,
            "{api}"
        );
    }
}

#[tokio::test]
async fn an_unusable_id_is_no_acceptance() {
    for (api, vendor) in vendors().await {
        for id in [
            json!(" "),
            json!("\t"),
            json!("sms_abc\u{1b}[31m"),
            json!("sms_\u{0}"),
            json!(format!("sms_{}", "x".repeat(300))),
        ] {
            let body = json!({
                "id": id,
                "recipients": {"items": [{"recipient": 31_612_345_678_u64, "status": "sent"}]}
            });
            let response = ResponseTemplate::new(202).set_body_json(&body);
            let outcome = vendor.outcome(response).await;
            assert_eq!(
                outcome,
                (ErrorKind::Protocol, Acceptance::Unknown),
                "{api} {id}"
            );
        }
    }
}

#[tokio::test]
async fn a_response_about_another_message_is_in_doubt() {
    let id = "sms_01krdgeqcxet5s7t44vh8000a1";
    let items = json!({"items": [{"recipient": 31_612_345_678_u64, "status": "sent"}]});
    for (api, vendor) in vendors().await {
        let bodies = match api {
            "platform" => vec![
                json!({"id": id, "metadata": {"reference": "zz"}}),
                json!({"id": id, "metadata": {"reference": "a1"}, "to": "+31687654321"}),
                json!({"id": id, "to": "31687654321"}),
            ],
            "classic" => vec![json!({"id": id, "reference": "zz", "recipients": items})],
            _ => vec![
                json!({"id": id, "reference": "zz"}),
                json!({"id": id, "reference": "a1", "receiver": {"contacts": [{"identifierValue": "+31687654321"}]}}),
            ],
        };
        for body in bodies {
            let response = ResponseTemplate::new(202).set_body_json(&body);
            let outcome = vendor.outcome(response).await;
            assert_eq!(
                outcome,
                (ErrorKind::Protocol, Acceptance::Unknown),
                "{api} {body}"
            );
        }
        for reference in [json!("a1"), json!(null), json!("")] {
            let body = json!({
                "id": id, "reference": reference, "metadata": {"reference": reference}, "to": "+31612345678",
                "receiver": {"contacts": [{"identifierValue": "+31612345678"}]}, "recipients": items
            });
            let response = ResponseTemplate::new(202).set_body_json(&body);
            assert!(vendor.send(response).await.is_ok(), "{api} {body}");
        }
    }
}

#[tokio::test]
async fn a_check_is_never_in_doubt_and_mentions_no_message() {
    for (api, vendor) in vendors().await {
        let path = match api {
            "platform" => "/v1/sms/messages",
            "classic" => "/balance",
            _ => "/workspaces/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed/channels",
        };
        for response in [
            ResponseTemplate::new(200).set_body_string("<html>Sign in</html>"),
            ResponseTemplate::new(302),
            ResponseTemplate::new(400),
            ResponseTemplate::new(409).set_body_json(refusal(api)),
            ResponseTemplate::new(503),
        ] {
            vendor.mount_get(path, response).await;
            let error = failure(vendor.bird.check().await);
            assert_eq!(
                error.acceptance(),
                Acceptance::NotAccepted,
                "{api} {error:?}"
            );
            assert!(!error.to_string().contains("the message"), "{api} {error}");
        }
    }
}
