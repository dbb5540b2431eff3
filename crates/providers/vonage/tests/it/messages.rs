use std::time::Duration;

use postduif_core::{
    Acceptance::{NotAccepted, Unknown},
    ErrorKind::{
        self, Blocked, InsufficientBalance, InvalidRecipient, InvalidSender, InvalidText,
        Misconfigured, Other, Protocol, Throttled, Timeout, Unauthorized, Unavailable,
    },
    Message, SmsProvider as _, Text,
};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::wire::{UUID, World, accepted, message, problem, response};

#[tokio::test]
async fn a_send_is_made_as_documented() {
    let world = World::new(
        "key:secret@",
        "?sender=Acme&report_url=https%3A%2F%2Fhooks.example.test%2Fstatus",
    )
    .await;
    world.respond(accepted()).await;
    let message = message().with_validity(Duration::from_secs(1800));
    let receipt = world.vonage.send(&message).await.unwrap();
    let request = &world.requests().await[0];
    assert_eq!(
        (request.method.as_str(), request.url.path()),
        ("POST", "/v1/messages")
    );
    assert_eq!(request.url.query(), None);
    assert_eq!(request.headers["authorization"], "Basic a2V5OnNlY3JldA==");
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["accept"], "application/json");
    let body: Value = request.body_json().unwrap();
    assert_eq!(
        body,
        json!({
            "channel": "sms", "message_type": "text", "to": "31612345678", "from": "Acme",
            "text": "Your code is 123456", "client_ref": "01J9Z8", "ttl": 1800,
            "webhook_url": "https://hooks.example.test/status", "webhook_version": "v1"
        })
    );
    assert_eq!(
        (
            receipt.provider(),
            receipt.id(),
            receipt.parts(),
            receipt.price()
        ),
        ("vonage", Some(UUID), None, None)
    );
    assert_eq!(receipt.reference(), message.reference());
}

#[tokio::test]
async fn an_option_that_is_not_set_is_not_sent() {
    let world = World::messages().await;
    let body: Value = world.sent(&message()).await.body_json().unwrap();
    assert_eq!(body.as_object().unwrap().len(), 6);
}

#[tokio::test]
async fn vonage_chooses_the_encoding_of_any_text() {
    let world = World::messages().await;
    let text = Text::new("Zoë 👋").unwrap();
    let message = Message::new("+31612345678".parse().unwrap(), text);
    let body: Value = world.sent(&message).await.body_json().unwrap();
    assert_eq!((&body["text"], body.get("sms")), (&json!("Zoë 👋"), None));
}

#[tokio::test]
async fn only_a_202_with_its_id_is_an_acceptance() {
    let world = World::messages().await;
    for response in [
        response(202, &json!({})),
        response(202, &json!({"message_uuid": ""})),
        response(202, &json!({"message_uuid": null})),
        response(202, &json!({"message_uuid": "x".repeat(257)})),
        response(200, &json!({"message_uuid": UUID})),
        response(201, &json!({"message_uuid": UUID})),
        response(202, &problem("throttled")),
        response(200, &problem("throttled")),
        ResponseTemplate::new(204),
    ] {
        world.assert_fails(response, (Protocol, Unknown), &"").await;
    }
    let with_workflow = json!({"message_uuid": UUID, "workflow_id": "3TcNjguHxr2vcCZ9Ddsnq6"});
    world.send(response(202, &with_workflow)).await.unwrap();
}

#[tokio::test]
async fn a_problem_is_read_by_its_status_and_its_type() {
    let world = World::messages().await;
    for (status, code, kind) in [
        (400, "InvalidParams", Protocol),
        (400, "1020", Protocol),
        (401, "jwt-expired", Unauthorized),
        (401, "jwt-revoked", Unauthorized),
        (401, "unauthorized", Unauthorized),
        (401, "unathorized", Unauthorized),
        (401, "unprovisioned", Unauthorized),
        (401, "invalid-api-key", Unauthorized),
        (401, "invalid-signature", Unauthorized),
        (401, "application-suspended", Unauthorized),
        (401, "invalid-ip", Unauthorized),
        (401, "multiple-auth-methods", Misconfigured),
        (402, "low-balance", InsufficientBalance),
        (403, "forbidden", Unauthorized),
        (403, "account-suspended", Unauthorized),
        (403, "application-suspended", Unauthorized),
        (403, "invalid-ip", Unauthorized),
        (403, "multiple-auth-methods", Misconfigured),
        (404, "not-found", Misconfigured),
        (405, "wrong-verb", Protocol),
        (406, "accept-header", Protocol),
        (415, "content-type-header", Protocol),
        (422, "invalid-json", Protocol),
        (429, "throttled", Throttled),
        (429, "1000", Throttled),
        (429, "1010", Throttled),
        (451, "unavailable-legal", Blocked),
    ] {
        let error = world
            .assert_fails(
                response(status, &problem(code)),
                (kind, NotAccepted),
                &(status, code),
            )
            .await;
        assert_eq!(error.code(), Some(code));
    }
    for (status, kind) in [
        (401, Unauthorized),
        (402, InsufficientBalance),
        (403, Unauthorized),
        (451, Blocked),
    ] {
        let outcome = (kind, NotAccepted);
        let error = world
            .assert_fails(
                response(status, &problem("something-else")),
                outcome,
                &status,
            )
            .await;
        assert_eq!(error.code(), None);
    }
}

#[tokio::test]
async fn an_undocumented_status_is_in_doubt_even_in_vonages_shape() {
    let world = World::messages().await;
    for status in [408, 409, 410, 418, 421, 425] {
        let response = response(status, &problem("forbidden"));
        world
            .assert_fails(response, (Protocol, Unknown), &status)
            .await;
    }
    for status in [500, 502, 503, 504] {
        for code in ["throttled", "1050", "unauthorized"] {
            let response = response(status, &problem(code));
            world
                .assert_fails(response, (Unavailable, Unknown), &status)
                .await;
        }
    }
    world
        .assert_fails(
            response(302, &problem("forbidden")),
            (Protocol, Unknown),
            &302,
        )
        .await;
}

#[tokio::test]
async fn a_status_alone_proves_what_the_page_says() {
    let world = World::messages().await;
    for (status, kind) in [
        (404, Misconfigured),
        (405, Protocol),
        (411, Misconfigured),
        (413, Misconfigured),
        (414, Misconfigured),
        (415, Protocol),
        (429, Throttled),
        (431, Misconfigured),
    ] {
        for response in [
            ResponseTemplate::new(status),
            ResponseTemplate::new(status).set_body_raw("<html>", "text/html"),
            response(status, &json!({"message": "no"})),
        ] {
            world
                .assert_fails(response, (kind, NotAccepted), &status)
                .await;
        }
    }
    let challenge = ResponseTemplate::new(401).insert_header("www-authenticate", "Basic");
    world
        .assert_fails(challenge, (Unauthorized, NotAccepted), &401)
        .await;
}

#[tokio::test]
async fn only_a_problem_of_vonage_is_a_refusal() {
    let world = World::messages().await;
    for page in [
        "https://developer.vonage.com/api-errors#forbidden",
        "https://developer.vonage.com/api-errors/#forbidden",
        "https://developer.nexmo.com/api-errors#forbidden",
        "https://developer.nexmo.com/api-errors/messages-olympus#forbidden",
        "https://www.nexmo.com/messages/Errors#forbidden",
    ] {
        let body = json!({"type": page, "title": "x"});
        world
            .assert_fails(response(403, &body), (Unauthorized, NotAccepted), &page)
            .await;
        let body = ResponseTemplate::new(403).set_body_json(body);
        world
            .assert_fails(body, (Unauthorized, NotAccepted), &page)
            .await;
    }
    for body in [
        json!({"type": "https://developer.vonage.com/api-errors", "title": "x"}),
        json!({"type": "about:blank#forbidden"}),
        json!({"type": "https://tools.ietf.org/html/rfc9110#section-15.5.4", "title": "Forbidden", "status": 403}),
        json!({"type": "https://vonage.com.example.test/#forbidden"}),
        json!({"type": "https://notvonage.com/#forbidden"}),
        json!({"type": 403, "title": "#"}),
        json!({"title": "https://developer.vonage.com/api-errors#forbidden"}),
        json!([problem("forbidden")]),
        json!({"error": problem("forbidden")}),
    ] {
        for status in [400, 401, 402, 403, 406, 422, 451] {
            world
                .assert_fails(response(status, &body), (Protocol, Unknown), &body)
                .await;
        }
    }
}

/// The samples of the definition have other numbers than the published list.
#[tokio::test]
async fn a_422_is_read_by_its_title_before_its_number() {
    let world = World::messages().await;
    for (title, code, kind) in [
        ("Unsupported channel", "1100", Misconfigured),
        ("Invalid channel parameters", "1110", Misconfigured),
        ("Invalid sender", "1120", InvalidSender),
        ("Invalid recipient", "110", InvalidRecipient),
        ("Invalid message type", "1140", Protocol),
        ("Invalid params", "1150", Misconfigured),
        ("Invalid client reference", "1060", Misconfigured),
        // Numbers that alone would leave the message in doubt.
        ("Invalid sender", "1320", InvalidSender),
        ("Invalid recipient", "9999", InvalidRecipient),
    ] {
        let mut body = problem(code);
        body["title"] = json!(title);
        let error = world
            .assert_fails(response(422, &body), (kind, NotAccepted), &title)
            .await;
        assert_eq!(error.code(), Some(code));
    }
}

#[tokio::test]
async fn a_422_is_read_by_the_fields_it_names_first() {
    let world = World::messages().await;
    for (names, kind) in [
        (vec!["to"], InvalidRecipient),
        (vec!["from"], InvalidSender),
        (vec!["text"], InvalidText),
        (vec!["ttl"], Misconfigured),
        (vec!["sms.encoding_type"], Misconfigured),
        (vec!["ttl", "to"], InvalidRecipient),
    ] {
        let parameters: Vec<_> = names
            .iter()
            .map(|name| json!({"name": name, "reason": "invalid value"}))
            .collect();
        for title in [
            "Invalid params",
            "Invalid channel parameters",
            "Invalid sender",
            "something else",
        ] {
            let mut body = problem("1150");
            body["title"] = json!(title);
            body["invalid_parameters"] = json!(parameters);
            world
                .assert_fails(response(422, &body), (kind, NotAccepted), &names)
                .await;
        }
    }
    // An unreadable list names no field.
    for parameters in [
        json!(null),
        json!([]),
        json!([7]),
        json!([{"reason": "x"}]),
        json!("to"),
    ] {
        let mut body = problem("1050");
        body["invalid_parameters"] = parameters;
        world
            .assert_fails(response(422, &body), (Blocked, NotAccepted), &body)
            .await;
    }
}

#[tokio::test]
async fn a_422_without_fields_or_a_known_title_is_read_by_its_number() {
    let world = World::messages().await;
    let refused: &[(ErrorKind, &[u16])] = &[
        (Throttled, &[1000, 1241, 1460, 1472]),
        (Protocol, &[1010, 1431]),
        (
            Misconfigured,
            &[
                1020, 1021, 1022, 1080, 1130, 1140, 1150, 1160, 1242, 1400, 1410, 1440, 1450, 1480,
                1482, 1484,
            ],
        ),
        (
            InvalidRecipient,
            &[1040, 1170, 1190, 1200, 1260, 1300, 1310, 1430],
        ),
        (
            Blocked,
            &[
                1050, 1210, 1240, 1270, 1280, 1282, 1290, 1470, 1473, 1474, 1475, 1483, 2001,
            ],
        ),
        (Unauthorized, &[1060]),
        (InsufficientBalance, &[1070]),
        (InvalidText, &[1090]),
        (InvalidSender, &[1120, 1420, 1476, 1481]),
        (Unavailable, &[1180, 1230, 1250, 1251]),
        (
            Other,
            &[
                1330, 1340, 1350, 1370, 1380, 1381, 1382, 1451, 1461, 2002, 2003,
            ],
        ),
        (Timeout, &[1360]),
    ];
    let in_doubt: &[(ErrorKind, &[u16])] = &[
        (Unavailable, &[1030, 1100, 1220, 1331]),
        (Other, &[1320, 1490, 1110, 1999, 7]),
    ];
    for (rows, acceptance) in [(refused, NotAccepted), (in_doubt, Unknown)] {
        for (kind, codes) in rows {
            for code in *codes {
                let response = response(422, &problem(&code.to_string()));
                let error = world
                    .assert_fails(response, (*kind, acceptance), code)
                    .await;
                assert_eq!(error.code(), Some(code.to_string().as_str()));
            }
        }
    }
}

#[tokio::test]
async fn a_throttled_call_has_the_vendors_delay_of_at_most_a_minute() {
    let world = World::messages().await;
    for (header, wait) in [
        ("15", Some(15)),
        ("61", Some(60)),
        ("86400", Some(60)),
        ("soon", None),
    ] {
        for response in [
            response(429, &problem("throttled")),
            ResponseTemplate::new(429),
        ] {
            let error = world
                .error(response.insert_header("retry-after", header))
                .await;
            assert_eq!(
                error.retry_after(),
                wait.map(Duration::from_secs),
                "{header}"
            );
            assert!(error.may_resend() && error.may_reroute());
        }
    }
    // The unit of the reset is unclear, so it is not a delay.
    let reset =
        response(429, &problem("throttled")).insert_header("x-ratelimit-reset", "1769182705723");
    assert_eq!(world.error(reset).await.retry_after(), None);
}
