//! Responses of other servers, or ones that contradict themselves: they prove nothing.

use postduif_core::{Acceptance, ErrorKind, SmsProvider as _};
use postduif_spryng::Spryng;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

use super::wire::{V1, V2, calls, failure, message, mount, spryng};

/// Error bodies of common frameworks, filters and gateways.
fn foreign_bodies() -> [Value; 24] {
    [
        json!({"type": "about:blank", "title": "Forbidden", "status": 403}),
        json!({"detail": "Not authenticated"}),
        json!({"errors": [{"title": "x"}]}),
        json!({"errors": [{"code": 1020}]}),
        json!({"errors": [{"message": "x"}]}),
        json!({"errors": ["timeout"]}),
        json!({"success": false, "errors": [{"code": 1020, "message": "x"}]}),
        json!({"message": "Conflict"}),
        json!({"message": "Bad Request", "errors": ["recipient"]}),
        json!({"message": "x", "errors": {"recipients": "x"}}),
        json!({"message": "x", "errors": {"recipients": []}}),
        json!({"error": "Bad Request", "statusCode": 400}),
        json!({"error": 1020}),
        json!({"code": "WAF_BLOCKED", "message": "x"}),
        json!({"transactionId": "1", "message": "x"}),
        json!({"error": {"type": "x_error", "code": "y"}}),
        json!({"errors": {"recipients": ["x"]}}),
        json!({"errors": [{"errorCode": "X"}]}),
        json!({"errors": [{"errorCode": "X", "errorMessage": " "}]}),
        json!({"errors": [{"errorCode": "X", "errorMessage": ["y"]}]}),
        json!({"errors": [{"errorCode": "X", "errorMessage": "y"}, {"errorCode": "X"}]}),
        // Laravel's, of another application.
        json!({"message": "Forbidden", "errors": {"ip": ["blocked"]}}),
        json!({"message": "The given data was invalid.", "errors": {"x": ["y"]}}),
        json!({"message": "x", "errors": {"recipients": ["x"], "ip": ["blocked"]}}),
    ]
}

const STATUSES: [u16; 12] = [400, 401, 402, 403, 408, 409, 412, 421, 422, 425, 451, 499];

struct World {
    server: MockServer,
    spryng: Spryng,
    api: &'static str,
}

impl World {
    async fn of(api: &'static str) -> Self {
        let server = MockServer::start().await;
        let spryng = spryng(&server, api);
        Self {
            server,
            spryng,
            api,
        }
    }

    async fn outcome(&self, status: u16, body: &Value) -> Result<String, (ErrorKind, Acceptance)> {
        self.server.reset().await;
        let response = ResponseTemplate::new(status).set_body_json(body);
        mount(&self.server, self.api, response).await;
        let outcome = self.spryng.send(&message()).await;
        assert_eq!(calls(&self.server).await.len(), 1, "{status} {body}");
        outcome
            .map(|receipt| receipt.id().unwrap_or_default().to_owned())
            .map_err(|error| (error.kind(), error.acceptance()))
    }
}

#[tokio::test]
async fn foreign_json_is_no_refusal() {
    for api in [V2, V1] {
        let world = World::of(api).await;
        for body in foreign_bodies() {
            for status in STATUSES {
                assert_eq!(
                    world.outcome(status, &body).await,
                    Err((ErrorKind::Protocol, Acceptance::Unknown)),
                    "{api} {status} {body}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_with_an_id_is_in_doubt() {
    for (api, body, id) in [
        (
            V2,
            json!({"errors": [{"errorCode": "msisdn_invalid"}]}),
            ("data", json!({"messageIds": ["0c914d2b"]})),
        ),
        (
            V1,
            json!({"message": "no", "errors": {"recipients": ["no"]}}),
            ("id", json!("9d3e7c1a")),
        ),
    ] {
        let world = World::of(api).await;
        for status in [200, 202, 400, 404, 409, 422, 429] {
            let mut both = body.clone();
            both[id.0] = id.1.clone();
            let outcome = world.outcome(status, &both).await.unwrap_err();
            assert_eq!(outcome.1, Acceptance::Unknown, "{api} {status}");
        }
    }
}

#[tokio::test]
async fn a_refusal_beside_an_id_of_any_type_is_in_doubt() {
    let v1 = json!({"message": "no", "errors": {"recipients": ["no"]}});
    let v2 = json!({"errors": [{"errorCode": "msisdn_invalid", "errorMessage": "no"}]});
    for (api, status, refusal, member, value) in [
        (V1, 422, &v1, "id", json!(1)),
        (V1, 422, &v1, "data", json!({"id": "9d3e7c1a"})),
        (V1, 422, &v1, "data", json!({"id": 1})),
        (V2, 400, &v2, "data", json!({"messageIds": [7]})),
        (V2, 400, &v2, "data", json!({"messageIds": "0c914d2b"})),
        (V2, 400, &v2, "data", json!({"requestId": "8a2f"})),
        (V2, 400, &v2, "messageIds", json!(["0c914d2b"])),
    ] {
        let world = World::of(api).await;
        let mut both = refusal.clone();
        both[member] = value.clone();
        let bare = json!({member: value});
        for (status, body) in [(status, &both), (404, &bare), (429, &bare)] {
            let outcome = world.outcome(status, body).await;
            assert_eq!(
                outcome,
                Err((ErrorKind::Protocol, Acceptance::Unknown)),
                "{api} {status} {body}"
            );
        }
    }
}

/// A shape proves a refusal only at the statuses that are documented for it.
#[tokio::test]
async fn a_refusal_with_another_status_is_in_doubt() {
    for (api, body, documented) in [
        (
            V2,
            json!({"errors": [{"errorCode": "msisdn_invalid", "errorMessage": "no"}]}),
            &[400, 401, 403][..],
        ),
        (
            V2,
            json!({"errors": [{"errorCode": "X", "errorMessage": "y"}]}),
            &[400, 401, 403],
        ),
        (
            V1,
            json!({"message": "no", "errors": {"recipients": ["no"]}}),
            &[422],
        ),
    ] {
        let world = World::of(api).await;
        for status in [
            400, 401, 402, 403, 406, 408, 409, 410, 412, 418, 421, 422, 423, 425, 428, 451, 499,
        ] {
            let outcome = world.outcome(status, &body).await.unwrap_err();
            let expected = if documented.contains(&status) {
                Acceptance::NotAccepted
            } else {
                Acceptance::Unknown
            };
            assert_eq!(outcome.1, expected, "{api} {status} {body}");
        }
    }
}

#[tokio::test]
async fn an_acceptance_beside_errors_or_of_two_messages_is_in_doubt() {
    for (api, body) in [
        (
            V2,
            json!({"data": {"messageIds": ["a"]}, "errors": [{"errorCode": "x"}]}),
        ),
        (
            V2,
            json!({"data": {"messageIds": ["a"]}, "errors": [{"title": "x"}]}),
        ),
        (V2, json!({"data": {"messageIds": ["a", "b"]}})),
        (
            V1,
            json!({"id": "a", "message": "no", "errors": {"x": ["no"]}}),
        ),
    ] {
        let world = World::of(api).await;
        assert_eq!(
            world.outcome(202, &body).await,
            Err((ErrorKind::Protocol, Acceptance::Unknown)),
            "{body}"
        );
    }
    for (api, body) in [
        (V2, json!({"data": {"messageIds": ["a"]}, "errors": []})),
        (V1, json!({"id": "a", "message": "sent", "errors": null})),
    ] {
        let world = World::of(api).await;
        assert_eq!(world.outcome(202, &body).await, Ok("a".into()), "{body}");
    }
}

#[tokio::test]
async fn an_unusable_id_is_no_acceptance() {
    for api in [V2, V1] {
        let world = World::of(api).await;
        for id in [" ", "\t", "abc\u{1b}[31m", "\u{0}", &"x".repeat(257)] {
            let body = json!({"id": id, "data": {"messageIds": [id]}});
            assert_eq!(
                world.outcome(202, &body).await,
                Err((ErrorKind::Protocol, Acceptance::Unknown)),
                "{api} {id:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_response_of_v1_about_another_message_is_in_doubt() {
    let world = World::of(V1).await;
    for body in [
        json!({"id": "a", "reference": "other"}),
        json!({"id": "a", "reference": "01J9Z8", "recipients": [{"number": "31687654321"}]}),
        json!({"id": "a", "recipients": ["31687654321"]}),
        json!({"id": "a", "recipients": [{"number": "31612345678"}, {"number": 31_687_654_321_u64}]}),
    ] {
        assert_eq!(
            world.outcome(200, &body).await,
            Err((ErrorKind::Protocol, Acceptance::Unknown)),
            "{body}"
        );
    }
    for body in [
        json!({"id": "a"}),
        json!({"id": "a", "reference": null, "recipients": null}),
        json!({"id": "a", "reference": "", "recipients": []}),
        json!({"id": "a", "reference": "01J9Z8", "recipients": [{"number": "31612345678", "status": "pending"}]}),
        json!({"id": "a", "recipients": ["+31612345678"]}),
    ] {
        assert_eq!(world.outcome(200, &body).await, Ok("a".into()), "{body}");
    }
}

#[tokio::test]
async fn a_check_mentions_no_message() {
    for api in [V2, V1] {
        let world = World::of(api).await;
        for status in [200, 302, 400, 409, 503] {
            world.server.reset().await;
            Mock::given(method("GET"))
                .respond_with(ResponseTemplate::new(status))
                .mount(&world.server)
                .await;
            let error = failure(world.spryng.check().await);
            assert_eq!(
                error.acceptance(),
                Acceptance::NotAccepted,
                "{api} {status}"
            );
            assert!(!error.to_string().contains("message"), "{api} {error}");
        }
    }
}
