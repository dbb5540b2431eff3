use postduif_core::{
    Acceptance::{NotAccepted, Unknown},
    ErrorKind, Health, SmsProvider as _,
};
use postduif_messagebird::MessageBird;
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, header, method, path},
};

use super::wire::{CHANNEL, Vendor, WORKSPACE, assert_rule_of_evidence, failure, message};

const PATH: &str = "/workspaces/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed/channels/9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d/messages";

async fn vendor() -> Vendor {
    let url = format!("messagebird://key@{{}}?workspace={WORKSPACE}&channel={CHANNEL}");
    Vendor::start(&url, PATH).await
}

fn response(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

fn accepted() -> Value {
    json!({
        "id": "2c7f2a5e-9f35-4f1b-8f8e-7a1e3f4d5c6b", "channelId": CHANNEL, "status": "accepted",
        "reference": "a1", "parts": 2, "reason": "", "createdAt": "2026-01-01T10:00:00Z",
        "lastStatusAt": "2026-01-01T10:00:00Z"
    })
}

#[tokio::test]
async fn a_send_is_made_as_documented() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(PATH))
        .and(header("authorization", "AccessKey key"))
        .and(header("content-type", "application/json"))
        .and(body_json(json!({
            "receiver": {"contacts": [
                {"identifierKey": "phonenumber", "identifierValue": "+31612345678"}
            ]},
            "body": {"type": "text", "text": {"text": "Your code is 123456"}},
            "reference": "a1"
        })))
        .respond_with(response(202, &accepted()))
        .expect(1)
        .mount(&server)
        .await;
    let url = format!(
        "messagebird://key@{}?workspace={}&channel={CHANNEL}",
        server.address(),
        WORKSPACE.to_uppercase()
    );
    let receipt = MessageBird::from_url(&url)
        .unwrap()
        .send(&message())
        .await
        .unwrap();
    assert_eq!(receipt.id(), Some("2c7f2a5e-9f35-4f1b-8f8e-7a1e3f4d5c6b"));
    assert_eq!((receipt.parts(), receipt.price()), (Some(2), None));
}

#[tokio::test]
async fn only_the_observed_status_proves_a_refusal_in_the_vendors_shape() {
    use ErrorKind::{
        InsufficientBalance, Misconfigured, Protocol, Throttled, Unauthorized, Unavailable,
    };
    let vendor = vendor().await;
    for (status, kind, acceptance) in [
        (400, Misconfigured, Unknown),
        (401, Unauthorized, Unknown),
        (403, Unauthorized, Unknown),
        (402, InsufficientBalance, Unknown),
        (404, Misconfigured, NotAccepted),
        (405, Misconfigured, NotAccepted),
        (411, Misconfigured, NotAccepted),
        (413, Misconfigured, NotAccepted),
        (414, Misconfigured, NotAccepted),
        (415, Misconfigured, NotAccepted),
        (431, Misconfigured, NotAccepted),
        (412, Protocol, Unknown),
        (421, Protocol, Unknown),
        (451, Protocol, Unknown),
        (429, Throttled, NotAccepted),
        (500, Unavailable, Unknown),
        (501, Unavailable, Unknown),
        (503, Unavailable, Unknown),
    ] {
        for body in [
            json!({"code": "Nope", "message": "no 123456"}),
            json!({"code": "InvalidPayload", "message": "x", "details": null}),
            json!({"code": "InvalidPayload", "details": {"x": ["no 123456"]}}),
        ] {
            let error = vendor.error(response(status, &body)).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (kind, acceptance),
                "{status} {body}"
            );
            assert!(!format!("{error:?} {error}").contains("123456"));
        }
    }
}

#[tokio::test]
async fn details_name_the_invalid_part_of_the_call() {
    let vendor = vendor().await;
    for (details, kind) in [
        (json!({"receiver": "x"}), ErrorKind::InvalidRecipient),
        (
            json!({"receiver.contacts[0].identifierValue": ["x"]}),
            ErrorKind::InvalidRecipient,
        ),
        (
            json!({"/receiver/contacts/0": ["x"]}),
            ErrorKind::InvalidRecipient,
        ),
        (json!({"body.text.text": ["x"]}), ErrorKind::InvalidText),
        (json!({"$.body.text": ["x"]}), ErrorKind::InvalidText),
        (
            json!([{"path": "body.text", "message": "receiver"}]),
            ErrorKind::InvalidText,
        ),
        (
            json!([{"field": "receiver.contacts"}]),
            ErrorKind::InvalidRecipient,
        ),
        (
            json!([{"property": "x"}, {"property": "body"}]),
            ErrorKind::InvalidText,
        ),
        (
            json!({"bodyguard": "x", "x.receiver": "x"}),
            ErrorKind::Misconfigured,
        ),
        (
            json!([{"message": "receiver"}, 7, null, "body"]),
            ErrorKind::Misconfigured,
        ),
        (json!("receiver"), ErrorKind::Misconfigured),
        (json!([]), ErrorKind::Misconfigured),
    ] {
        for (status, acceptance) in [(400, Unknown), (422, NotAccepted)] {
            let body = json!({"code": "InvalidPayload", "message": "no", "details": details});
            let outcome = vendor.outcome(response(status, &body)).await;
            assert_eq!(outcome, (kind, acceptance), "{status} {details}");
        }
        let body = json!({"code": "Denied", "message": "no", "details": details});
        let outcome = vendor.outcome(response(403, &body)).await;
        assert_eq!(outcome, (ErrorKind::Unauthorized, Unknown));
    }
}

/// No list of codes is published, and other servers write such codes and texts.
#[tokio::test]
async fn only_the_observed_code_is_a_refusal() {
    let vendor = vendor().await;
    for code in [
        "NotAuthorized",
        "Forbidden",
        "InvalidArgument",
        "Misdirected",
    ] {
        for status in [400, 401, 402, 403, 410, 412, 418, 421, 422, 423, 428, 451] {
            let body = json!({"code": code, "message": "x"});
            let outcome = vendor.outcome(response(status, &body)).await;
            assert_eq!(outcome.1, Unknown, "{status} {code}");
        }
    }
    let body = json!({"code": "InvalidPayload", "message": "x"});
    let outcome = vendor.outcome(response(422, &body)).await;
    assert_eq!(outcome, (ErrorKind::Misconfigured, NotAccepted));
}

#[tokio::test]
async fn a_shape_without_the_vendors_own_code_proves_nothing() {
    let vendor = vendor().await;
    for body in [
        json!({"message": "no", "request_id": "x"}),
        json!({"message": 7}),
        json!({"code": null, "details": null}),
        json!({"error": "x"}),
        json!({"code": "InvalidPayload"}),
        json!({"code": "InvalidPayload", "message": " "}),
        json!({"code": "InvalidPayload", "details": {}}),
        json!({"code": "InvalidPayload", "details": []}),
        json!({"code": "", "message": "x"}),
        json!({"code": "forbidden", "message": "x"}),
        json!({"code": "FORBIDDEN", "message": "x"}),
        json!({"code": "invalid-payload", "message": "x"}),
        json!({"code": "E4001", "message": "x"}),
        json!({"code": ["InvalidPayload"], "message": "x"}),
        json!({"code": "InvalidPayload", "message": "x", "title": "x"}),
        json!({"code": "InvalidPayload", "message": "x", "type": "x"}),
        json!({"code": "InvalidPayload", "message": "x", "detail": "x"}),
    ] {
        for status in [400, 401, 402, 403, 421, 422] {
            let outcome = vendor.outcome(response(status, &body)).await;
            assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{status} {body}");
        }
    }
}

#[tokio::test]
async fn at_the_statuses_of_a_timeout_no_shape_proves_anything() {
    let vendor = vendor().await;
    let body = json!({"code": "InvalidPayload", "message": "no"});
    for status in [408, 409, 425, 499] {
        let outcome = vendor.outcome(response(status, &body)).await;
        assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{status}");
    }
}

#[tokio::test]
async fn only_evidence_counts() {
    let vendor = vendor().await;
    assert_rule_of_evidence(&vendor).await;
    let outcome = vendor.outcome(ResponseTemplate::new(413)).await;
    assert_eq!(outcome, (ErrorKind::Misconfigured, NotAccepted));
}

#[tokio::test]
async fn only_a_short_code_of_the_vendors_is_kept() {
    let vendor = vendor().await;
    for (code, kept) in [
        (json!("Nope"), Some("Nope")),
        (json!("InvalidPayload"), None),
    ] {
        let body = json!({"code": code, "message": "no"});
        let error = vendor.error(response(422, &body)).await;
        assert_eq!(error.code(), kept, "{code}");
    }
}

#[tokio::test]
async fn an_incomplete_success_is_in_doubt() {
    let vendor = vendor().await;
    for id in [json!(null), json!(""), json!(7), json!("x".repeat(257))] {
        let mut body = accepted();
        body["id"] = id;
        let outcome = vendor.outcome(response(202, &body)).await;
        assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{body}");
    }
    for status in ["rejected", "sending_failed", "delivery_failed"] {
        let mut body = accepted();
        body["status"] = json!(status);
        let outcome = vendor.outcome(response(202, &body)).await;
        assert_eq!(outcome, (ErrorKind::Other, Unknown), "{status}");
    }
    let receipt = vendor
        .send(response(200, &json!({"id": "x"})))
        .await
        .unwrap();
    assert_eq!((receipt.id(), receipt.parts()), (Some("x"), None));
}

#[tokio::test]
async fn no_option_is_supported() {
    let vendor = vendor().await;
    vendor.mount(response(202, &accepted())).await;
    for message in [
        message().with_sender("Acme".parse().unwrap()),
        message().with_sender("+31687654321".parse().unwrap()),
        message().with_validity(std::time::Duration::from_secs(600)),
        message().with_send_at(chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap()),
    ] {
        let error = vendor.bird.send(&message).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Unsupported, NotAccepted)
        );
    }
    assert_eq!(vendor.calls().await.len(), 0);
}

#[tokio::test]
async fn a_check_lists_the_workspaces_channels() {
    let vendor = vendor().await;
    let path = format!("/workspaces/{WORKSPACE}/channels");
    let many = json!({"results": vec![json!({"id": CHANNEL, "name": "x".repeat(300)}); 300]});
    for listed in [json!({"results": []}), many] {
        vendor.mount_get(&path, response(200, &listed)).await;
        assert_eq!(vendor.bird.check().await.unwrap(), Health::verified());
    }
    for (given, kind) in [
        (
            response(401, &json!({"code": "Unauthorized", "message": "no"})),
            ErrorKind::Unauthorized,
        ),
        (
            response(404, &json!({"code": "NotFound", "message": "no"})),
            ErrorKind::Misconfigured,
        ),
        (
            response(401, &json!({"message": "no"})),
            ErrorKind::Protocol,
        ),
        (
            ResponseTemplate::new(200).set_body_string("<html>Sign in</html>"),
            ErrorKind::Protocol,
        ),
    ] {
        vendor.mount_get(&path, given).await;
        let error = failure(vendor.bird.check().await);
        assert_eq!(
            (error.kind(), error.provider()),
            (kind, Some("messagebird"))
        );
    }
}
