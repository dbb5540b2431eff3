use std::time::Duration;

use postduif_core::{
    Acceptance::{self, NotAccepted, Unknown},
    ErrorKind, Receipt, SendError, SmsProvider as _,
};
use postduif_webhook::Webhook;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

use super::wire::{message, requests, webhook};

/// One server and one provider for a whole table: building a client takes longer than a row.
struct Gateway {
    server: MockServer,
    webhook: Webhook,
}

impl Gateway {
    async fn start() -> Self {
        let server = MockServer::start().await;
        let webhook = webhook(&server, "token=x");
        Self { server, webhook }
    }

    async fn send(&self, response: ResponseTemplate) -> Result<Receipt, SendError> {
        self.server.reset().await;
        Mock::given(method("POST"))
            .respond_with(response)
            .mount(&self.server)
            .await;
        let result = self.webhook.send(&message()).await;
        assert_eq!(requests(&self.server).await.len(), 1);
        result
    }

    async fn error(&self, status: u16, body: &Value) -> SendError {
        let response = ResponseTemplate::new(status).set_body_json(body);
        let error = match self.send(response).await {
            Ok(receipt) => panic!("{status} {body}: {receipt:?}"),
            Err(error) => error,
        };
        assert_eq!(error.provider(), Some("webhook"));
        error
    }

    async fn outcome(&self, status: u16, body: &Value) -> (ErrorKind, Acceptance) {
        let error = self.error(status, body).await;
        (error.kind(), error.acceptance())
    }
}

fn refused(kind: &str) -> Value {
    json!({"status": "refused", "kind": kind, "code": "17"})
}

#[tokio::test]
async fn an_acceptance_is_a_success_with_the_word_and_an_id() {
    let gateway = Gateway::start().await;
    for status in [200, 201, 202, 299] {
        for (body, id) in [
            (json!({"status": "accepted", "id": "8f14e45f"}), "8f14e45f"),
            (
                json!({"status": "accepted", "id": 17, "kind": null, "code": ""}),
                "17",
            ),
            (
                json!({"status": "accepted", "id": "order42", "reference": "order42", "queue": 3}),
                "order42",
            ),
        ] {
            let response = ResponseTemplate::new(status).set_body_json(&body);
            let receipt = gateway.send(response).await.unwrap();
            assert_eq!(receipt.id(), Some(id), "{status} {body}");
        }
    }
}

#[tokio::test]
async fn anything_short_of_an_acceptance_is_in_doubt() {
    let gateway = Gateway::start().await;
    for body in [
        // What queues and proxies write.
        json!({"status": "accepted"}),
        json!({"status": "accepted", "id": null}),
        json!({"status": "accepted", "id": " "}),
        json!({"status": "accepted", "id": {}}),
        json!({"status": "accepted", "id": "a\nb"}),
        json!({"status": "accepted", "id": "x".repeat(257)}),
        json!({"status": "Accepted", "id": "8f14e45f"}),
        json!({"status": "ready", "id": "8f14e45f"}),
        json!({"status": true, "id": "8f14e45f"}),
        json!({"id": "8f14e45f"}),
        json!({"status": "accepted", "id": "8f14e45f", "reference": "order43"}),
        json!({"status": "accepted", "id": "8f14e45f", "kind": "blocked"}),
        json!({"status": "accepted", "id": "8f14e45f", "code": "17"}),
        json!(["accepted"]),
        json!("accepted"),
    ] {
        let outcome = gateway.outcome(200, &body).await;
        assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{body}");
    }
}

#[tokio::test]
async fn an_acceptance_at_another_status_is_in_doubt() {
    let gateway = Gateway::start().await;
    let body = json!({"status": "accepted", "id": "8f14e45f"});
    for status in [302, 400, 401, 404, 409, 429, 500, 503] {
        let outcome = gateway.outcome(status, &body).await;
        assert_eq!(outcome.1, Unknown, "{status}");
    }
}

#[tokio::test]
async fn every_kind_is_a_refusal_of_that_kind() {
    let gateway = Gateway::start().await;
    for kind in ErrorKind::ALL {
        for status in [200, 400, 401, 403, 404, 422, 429] {
            let error = gateway.error(status, &refused(kind.as_str())).await;
            let found = (error.kind(), error.acceptance(), error.code());
            assert_eq!(found, (*kind, NotAccepted, Some("17")), "{status}");
        }
    }
    let error = gateway.error(422, &refused("invalid_recipient")).await;
    assert_eq!(
        error.to_string(),
        "webhook: the gateway refused the request: invalid_recipient (code 17); the message was not sent"
    );
}

#[tokio::test]
async fn a_refusal_at_a_status_that_proves_nothing_is_in_doubt() {
    let gateway = Gateway::start().await;
    for status in [301, 307, 408, 409, 425, 499, 500, 502, 503, 504] {
        let outcome = gateway.outcome(status, &refused("blocked")).await;
        assert_eq!(outcome.1, Unknown, "{status}");
    }
}

#[tokio::test]
async fn a_refusal_of_another_shape_proves_nothing() {
    let gateway = Gateway::start().await;
    for body in [
        json!({"status": "refused"}),
        json!({"status": "refused", "code": "17"}),
        json!({"status": "refused", "kind": null}),
        json!({"status": "refused", "kind": "no_such_kind"}),
        json!({"status": "refused", "kind": "Blocked"}),
        json!({"status": "refused", "kind": ["blocked"]}),
        json!({"status": "Refused", "kind": "blocked"}),
        json!({"kind": "blocked", "code": "17"}),
        json!({"status": "refused", "kind": "blocked", "id": "8f14e45f"}),
        json!({"status": "refused", "kind": "blocked", "id": 17}),
        json!({"status": "refused", "kind": "blocked", "reference": "order43"}),
    ] {
        for status in [200, 400, 422] {
            let outcome = gateway.outcome(status, &body).await;
            assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{status} {body}");
        }
    }
}

#[tokio::test]
async fn a_refusal_may_repeat_our_reference() {
    let gateway = Gateway::start().await;
    let mut body = refused("blocked");
    body["reference"] = json!("order42");
    body["id"] = json!(null);
    let outcome = gateway.outcome(422, &body).await;
    assert_eq!(outcome, (ErrorKind::Blocked, NotAccepted));
}

#[tokio::test]
async fn only_a_status_given_before_reading_proves_a_refusal_in_any_body() {
    let gateway = Gateway::start().await;
    let foreign = json!({"error": "no"});
    for (status, kind) in [
        (404, ErrorKind::Misconfigured),
        (405, ErrorKind::Misconfigured),
        (411, ErrorKind::Misconfigured),
        (413, ErrorKind::Misconfigured),
        (414, ErrorKind::Misconfigured),
        (415, ErrorKind::Misconfigured),
        (431, ErrorKind::Misconfigured),
        (429, ErrorKind::Throttled),
    ] {
        let outcome = gateway.outcome(status, &foreign).await;
        assert_eq!(outcome, (kind, NotAccepted), "{status}");
    }
    for (status, kind) in [
        (400, ErrorKind::Protocol),
        (401, ErrorKind::Protocol),
        (403, ErrorKind::Protocol),
        (409, ErrorKind::Protocol),
        (422, ErrorKind::Protocol),
        (500, ErrorKind::Unavailable),
        (503, ErrorKind::Unavailable),
    ] {
        let outcome = gateway.outcome(status, &foreign).await;
        assert_eq!(outcome, (kind, Unknown), "{status}");
    }
    let challenge = ResponseTemplate::new(401).insert_header("www-authenticate", "Bearer");
    let error = gateway.send(challenge).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Unauthorized, NotAccepted)
    );
}

#[tokio::test]
async fn a_throttled_gateway_says_how_long_to_wait() {
    let gateway = Gateway::start().await;
    for (kind, wait, expected) in [
        ("throttled", json!(7), Some(7)),
        ("throttled", json!(u64::MAX), Some(86_400)),
        ("throttled", json!("7"), Some(3)),
        ("throttled", json!(-7), Some(3)),
        ("throttled", json!(null), Some(3)),
        ("unavailable", json!(7), None),
    ] {
        let body = json!({"status": "refused", "kind": kind, "retry_after_s": wait});
        let response = ResponseTemplate::new(429)
            .insert_header("retry-after", "3")
            .set_body_json(&body);
        let error = gateway.send(response).await.unwrap_err();
        let expected = expected.map(Duration::from_secs);
        assert_eq!(error.retry_after(), expected, "{body}");
        assert!(error.may_resend(), "{body}");
    }
}

#[tokio::test]
async fn a_code_is_kept_unless_it_is_long_or_repeats_the_message() {
    let gateway = Gateway::start().await;
    for (code, kept) in [
        (json!("E17"), Some("E17")),
        (json!(17), Some("17")),
        (json!("20210"), Some("20210")),
        (json!("120210"), None),
        (json!("482910"), None),
        (json!("number-unknown"), None),
        (json!(""), None),
        (json!(null), None),
        (json!({}), None),
    ] {
        let body = json!({"status": "refused", "kind": "other", "code": code});
        let error = gateway.error(422, &body).await;
        assert_eq!(error.code(), kept, "{body}");
        assert_eq!(error.acceptance(), NotAccepted, "{body}");
    }
}

#[tokio::test]
async fn the_gateways_words_repeat_no_key_in_its_path() {
    let server = MockServer::start().await;
    let words = "cannot post to /send/qwertyuiopas: no key qwertyuiopas";
    let body = json!({"status": "refused", "kind": "other", "message": words});
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(400).set_body_json(body))
        .mount(&server)
        .await;
    let host = server.address();
    let url = format!("webhook://{host}/send/qwertyuiopas?vendor_messages=true");
    let error = Webhook::from_url(&url).unwrap().send(&message()).await;
    assert_eq!(
        error.unwrap_err().vendor_message(),
        Some("cannot post to … no key …")
    );
}
