use postduif_core::{
    Acceptance::{NotAccepted, Unknown},
    ErrorKind, Health, Message, Receipt, SendError, SmsProvider as _, Text,
};
use postduif_messagebird::{Api, MessageBird};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, header, header_exists, header_regex, method, path},
};

use super::wire::{Vendor, assert_rule_of_evidence, failure, message, message_of};

const KEY: &str = "bk_eu1_key";

async fn vendor() -> Vendor {
    let url = format!("messagebird://{KEY}@{{}}?sender=Acme");
    Vendor::start(&url, "/v1/sms/messages").await
}

/// The response to an accepted message, by the vendor's schema.
pub(crate) fn accepted(reference: &str, to: &str) -> Value {
    json!({
        "id": format!("sms_01krdgeqcxet5s7t44vh8{reference:0>5}"), "direction": "outbound",
        "status": "accepted", "to": to, "from": "Acme", "text": "Your code is 123456",
        "category": "transactional", "requested_language": null, "resolved_language": null,
        "segments": {"count": 2, "encoding": "GSM_7BIT", "characters": 19},
        "cost": null, "tags": null, "metadata": {"reference": reference},
        "created_at": "2026-11-01T10:00:00Z", "sent_at": null, "delivered_at": null
    })
}

pub(crate) fn fault(kind: &str, code: impl Into<Value>, name: impl Into<Value>) -> Value {
    let (code, name): (Value, Value) = (code.into(), name.into());
    json!({"error": {
        "type": kind, "code": code, "name": name, "message": "no 123456",
        "doc_url": "https://x.test/123456", "request_id": "req_1", "remediation": "x",
        "next": [{"kind": "external", "description": "x", "url": "https://x.test"}]
    }})
}

pub(crate) fn response(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

#[tokio::test]
async fn a_send_is_made_as_documented() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/sms/messages"))
        .and(header("authorization", "Bearer bk_eu1_key"))
        .and(header("accept", "application/json"))
        .and(header("content-type", "application/json"))
        .and(header_exists("idempotency-key"))
        .and(header_regex("user-agent", "^postduif/"))
        .and(body_json(json!({
            "to": "+31612345678", "from": "Acme", "text": "Your code is 123456",
            "category": "authentication", "metadata": {"reference": "a1"}
        })))
        .respond_with(response(202, &accepted("a1", "+31612345678")))
        .expect(1)
        .mount(&server)
        .await;
    let url = format!(
        "messagebird://{KEY}@{}?sender=Acme&category=authentication",
        server.address()
    );
    let bird = MessageBird::from_url(&url).unwrap();
    let receipt = bird.send(&message()).await.unwrap();
    assert_eq!(receipt.provider(), "messagebird");
    assert_eq!(receipt.id(), Some("sms_01krdgeqcxet5s7t44vh8000a1"));
    assert_eq!((receipt.parts(), receipt.price()), (Some(2), None));
}

#[tokio::test]
async fn a_price_is_kept_if_it_is_known_already() {
    let vendor = vendor().await;
    for (cost, price) in [
        (
            json!({"amount": "0.0727", "currency_code": "EUR"}),
            Some("0.0727 EUR"),
        ),
        (
            json!({"amount": 0.5, "currency_code": "usd"}),
            Some("0.5 USD"),
        ),
        (json!({"amount": "much", "currency_code": "EUR"}), None),
        (json!({"amount": "1"}), None),
        (json!(7), None),
        (json!(null), None),
    ] {
        let mut body = accepted("a1", "+31612345678");
        body["cost"] = cost.clone();
        let receipt = vendor.send(response(202, &body)).await.unwrap();
        let outcome = receipt.price().map(|price| price.to_string());
        assert_eq!(outcome.as_deref(), price, "{cost}");
    }
}

#[tokio::test]
async fn a_repeat_has_the_same_key_and_bytes_and_another_message_another_key() {
    let vendor = vendor().await;
    vendor.mount(response(503, &json!({}))).await;
    let other = message_of("+31612345678", "b2");
    let (first, repeat) = (message(), message());
    for message in [&first, &repeat, &other] {
        let error = vendor.bird.send(message).await.unwrap_err();
        assert_eq!(error.acceptance(), Unknown);
    }
    let calls = vendor.calls().await;
    let key = |index: usize| calls[index].headers["idempotency-key"].clone();
    assert_eq!((key(0), &calls[0].body), (key(1), &calls[1].body));
    assert_ne!(key(0), key(2));
    assert!(key(0).to_str().unwrap().ends_with("a1"));
}

#[test]
fn the_repeat_window_is_below_three_hours() {
    let window = Api::Platform.profile().repeat_window().unwrap();
    assert!((2 * 3600..3 * 3600).contains(&window.as_secs()));
    assert_eq!(Api::Classic.profile().repeat_window(), None);
    assert_eq!(Api::Channels.profile().repeat_window(), None);
}

/// Each row of the table, with the type of its status.
#[tokio::test]
async fn every_row_of_the_table_is_read_by_name_then_code_then_type() {
    use ErrorKind::{
        InsufficientBalance, InvalidRecipient, InvalidSender, InvalidText, Misconfigured, Other,
        Throttled, Unauthorized, Unavailable,
    };
    let vendor = vendor().await;
    let none = || json!(null);
    for (status, kind, code, name, expected, acceptance, kept) in [
        (
            400,
            "bad_request_error",
            json!("E01002"),
            json!("InvalidRequest"),
            Misconfigured,
            NotAccepted,
            "InvalidRequest",
        ),
        (
            400,
            "bad_request_error",
            json!("E01002"),
            none(),
            Misconfigured,
            NotAccepted,
            "E01002",
        ),
        (
            400,
            "bad_request_error",
            json!("E09999"),
            none(),
            Misconfigured,
            NotAccepted,
            "bad_request_error",
        ),
        (
            401,
            "auth_error",
            json!("E01010"),
            none(),
            Unauthorized,
            NotAccepted,
            "auth_error",
        ),
        (
            402,
            "billing_error",
            json!("E01020"),
            none(),
            InsufficientBalance,
            NotAccepted,
            "billing_error",
        ),
        (
            403,
            "permission_error",
            json!("E01011"),
            json!("MissingScope"),
            Unauthorized,
            NotAccepted,
            "permission_error",
        ),
        (
            404,
            "not_found_error",
            json!("E01030"),
            none(),
            Misconfigured,
            NotAccepted,
            "not_found_error",
        ),
        (
            409,
            "conflict_error",
            json!("E01004"),
            json!("RequestInProgress"),
            Throttled,
            Unknown,
            "RequestInProgress",
        ),
        (
            409,
            "conflict_error",
            json!("E01004"),
            none(),
            Throttled,
            Unknown,
            "E01004",
        ),
        (
            409,
            "conflict_error",
            json!("E01005"),
            json!("IdempotencyKeyReuse"),
            Misconfigured,
            Unknown,
            "IdempotencyKeyReuse",
        ),
        (
            409,
            "conflict_error",
            json!("E01005"),
            none(),
            Misconfigured,
            Unknown,
            "E01005",
        ),
        (
            409,
            "conflict_error",
            json!("E09999"),
            none(),
            Other,
            Unknown,
            "conflict_error",
        ),
        (
            412,
            "precondition_error",
            json!("E01040"),
            none(),
            Misconfigured,
            NotAccepted,
            "precondition_error",
        ),
        (
            428,
            "precondition_error",
            json!("E01040"),
            none(),
            Misconfigured,
            NotAccepted,
            "precondition_error",
        ),
        (
            413,
            "payload_too_large_error",
            json!("E01050"),
            none(),
            InvalidText,
            NotAccepted,
            "payload_too_large_error",
        ),
        (
            421,
            "misdirected_error",
            json!("E01060"),
            none(),
            Misconfigured,
            NotAccepted,
            "misdirected_error",
        ),
        (
            422,
            "validation_error",
            json!("E2"),
            json!("SMSInvalidRecipient"),
            InvalidRecipient,
            NotAccepted,
            "SMSInvalidRecipient",
        ),
        (
            422,
            "validation_error",
            json!("E2"),
            json!("SMSNoEligibleSender"),
            InvalidSender,
            NotAccepted,
            "SMSNoEligibleSender",
        ),
        (
            422,
            "validation_error",
            json!("E2"),
            json!("SMSSenderNotConfigured"),
            InvalidSender,
            NotAccepted,
            "SMSSenderNotConfigured",
        ),
        (
            422,
            "validation_error",
            json!("E2"),
            json!("SMSSenderReserved"),
            InvalidSender,
            NotAccepted,
            "SMSSenderReserved",
        ),
        (
            422,
            "validation_error",
            json!("E2"),
            json!("SenderCategoryNotPermitted"),
            InvalidSender,
            NotAccepted,
            "SenderCategoryNotPermitted",
        ),
        (
            422,
            "validation_error",
            json!("E2"),
            json!("SMSUnsupportedFeature"),
            Misconfigured,
            NotAccepted,
            "SMSUnsupportedFeature",
        ),
        (
            422,
            "validation_error",
            json!("E2"),
            json!("SMSMessagingProfileNotFound"),
            Misconfigured,
            NotAccepted,
            "SMSMessagingProfileNotFound",
        ),
        (
            422,
            "validation_error",
            json!("E2"),
            json!("SMSMessagingProfileSenderBound"),
            Misconfigured,
            NotAccepted,
            "SMSMessagingProfileSenderBound",
        ),
        (
            422,
            "validation_error",
            json!("E01099"),
            json!("SMSSomethingNew"),
            Other,
            NotAccepted,
            "validation_error",
        ),
        (
            429,
            "rate_limit_error",
            json!("E01070"),
            none(),
            Throttled,
            NotAccepted,
            "rate_limit_error",
        ),
        (
            500,
            "internal_error",
            json!("E01080"),
            none(),
            Unavailable,
            Unknown,
            "internal_error",
        ),
        (
            502,
            "internal_error",
            json!("E01080"),
            none(),
            Unavailable,
            Unknown,
            "internal_error",
        ),
        (
            504,
            "internal_error",
            json!("E01080"),
            none(),
            Unavailable,
            Unknown,
            "internal_error",
        ),
        (
            501,
            "not_implemented_error",
            json!("E01090"),
            none(),
            Misconfigured,
            NotAccepted,
            "not_implemented_error",
        ),
        (
            503,
            "service_unavailable_error",
            json!("E01033"),
            json!("IdempotencyUnavailable"),
            Unavailable,
            NotAccepted,
            "IdempotencyUnavailable",
        ),
        (
            503,
            "service_unavailable_error",
            json!("E01033"),
            none(),
            Unavailable,
            NotAccepted,
            "E01033",
        ),
        (
            503,
            "service_unavailable_error",
            json!("E09999"),
            none(),
            Unavailable,
            Unknown,
            "service_unavailable_error",
        ),
        // A type of another status proves nothing.
        (
            402,
            "auth_error",
            json!("E01010"),
            none(),
            Unauthorized,
            Unknown,
            "auth_error",
        ),
        (
            409,
            "validation_error",
            json!("E09999"),
            none(),
            Other,
            Unknown,
            "validation_error",
        ),
        (
            408,
            "auth_error",
            json!("E01010"),
            none(),
            Unauthorized,
            Unknown,
            "auth_error",
        ),
        // The name of a refusal proves nothing from 500 up, and the type of a failure nothing below.
        (
            500,
            "validation_error",
            json!("E2"),
            json!("SMSInvalidRecipient"),
            Unavailable,
            Unknown,
            "SMSInvalidRecipient",
        ),
        (
            400,
            "internal_error",
            json!("E01080"),
            none(),
            Unavailable,
            Unknown,
            "internal_error",
        ),
    ] {
        let wrapped = fault(kind, code, name);
        for body in [wrapped.clone(), wrapped["error"].clone()] {
            let error = vendor.error(response(status, &body)).await;
            let outcome = (error.kind(), error.acceptance());
            assert_eq!(outcome, (expected, acceptance), "{status} {body}");
            assert_eq!(error.code(), Some(kept), "{status} {body}");
            assert!(!format!("{error:?} {error}").contains("123456"));
        }
    }
}

/// With a code of unknown format, only the request id in the wrapped shape identifies the platform.
#[tokio::test]
async fn a_fault_without_a_code_is_the_platforms_by_its_request() {
    let vendor = vendor().await;
    let body = fault("auth_error", json!(null), json!("Unauthorized"));
    let outcome = vendor.outcome(response(401, &body)).await;
    assert_eq!(outcome, (ErrorKind::Unauthorized, NotAccepted));
    let outcome = vendor.outcome(response(401, &body["error"])).await;
    assert_eq!(outcome, (ErrorKind::Protocol, Unknown));
}

#[tokio::test]
async fn a_success_beside_the_shape_of_a_fault_is_in_doubt() {
    let vendor = vendor().await;
    let mut body = accepted("a1", "+31612345678");
    for fault in [
        json!({"type": "validation_error", "code": "x"}),
        json!({"type": "auth_error", "name": "x"}),
    ] {
        body["error"] = fault;
        let outcome = vendor.outcome(response(202, &body)).await;
        assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{body}");
    }
}

#[tokio::test]
async fn from_500_up_only_what_is_listed_proves_anything() {
    let vendor = vendor().await;
    for (status, kind, code) in [
        (500, "not_implemented_error", "E01090"),
        (503, "not_implemented_error", "E01090"),
        (501, "strange_error", "E01090"),
        (501, "internal_error", "E01090"),
        (503, "strange_error", "E01034"),
        (500, "auth_error", "E01010"),
        (500, "rate_limit_error", "E01070"),
    ] {
        let outcome = vendor
            .outcome(response(status, &fault(kind, code, json!(null))))
            .await;
        let expected = (ErrorKind::Unavailable, Unknown);
        assert_eq!(outcome, expected, "{status} {kind} {code}");
    }
}

#[tokio::test]
async fn a_validation_error_has_the_kind_of_its_field() {
    let vendor = vendor().await;
    for (param, details, kind) in [
        (json!("to"), json!(null), ErrorKind::InvalidRecipient),
        (json!("from"), json!(null), ErrorKind::InvalidSender),
        (json!("text"), json!(null), ErrorKind::InvalidText),
        (json!("category"), json!(null), ErrorKind::Misconfigured),
        (
            json!(null),
            json!([{"param": "to", "message": "x"}]),
            ErrorKind::InvalidRecipient,
        ),
        (
            json!(null),
            json!([{"param": "to[0].number", "message": "x"}]),
            ErrorKind::InvalidRecipient,
        ),
        (
            json!(null),
            json!([{"param": "metadata.to"}, {"param": "text"}]),
            ErrorKind::InvalidText,
        ),
        (
            json!("."),
            json!([{"param": "from"}]),
            ErrorKind::InvalidSender,
        ),
        (
            json!(null),
            json!([{"param": "total"}]),
            ErrorKind::Misconfigured,
        ),
        (
            json!(null),
            json!([7, {"param": 7}, "to"]),
            ErrorKind::Misconfigured,
        ),
        (json!(null), json!("to"), ErrorKind::Misconfigured),
        (json!(null), json!(null), ErrorKind::Misconfigured),
    ] {
        let mut body = fault(
            "validation_error",
            json!("E01001"),
            json!("ValidationError"),
        );
        body["error"]["param"] = param;
        body["error"]["details"] = details;
        let error = vendor.error(response(422, &body)).await;
        let outcome = (error.kind(), error.acceptance());
        assert_eq!(outcome, (kind, NotAccepted), "{body}");
        assert_eq!(error.code(), Some("E01001"));
    }
}

#[tokio::test]
async fn a_body_that_only_resembles_the_platforms_proves_nothing() {
    let vendor = vendor().await;
    for body in [
        json!({"error": {"type": "validation_error"}}),
        json!({"error": {"code": "E01001", "name": "ValidationError"}}),
        json!({"error": {"type": 7, "code": "E01001"}}),
        json!({"error": {"type": "validation_error", "code": 1001}}),
        json!({"error": {"type": "about:blank", "code": "403"}}),
        json!({"error": {"type": "wallet_error", "code": "E01002", "name": "InvalidRequest"}}),
        json!({"error": "validation_error"}),
        json!({"type": "https://x.test/forbidden", "code": "403", "title": "x"}),
        json!({"errors": [{"code": 9}]}),
    ] {
        for status in [400, 401, 403, 409, 422] {
            let outcome = vendor.outcome(response(status, &body)).await;
            assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{status} {body}");
        }
    }
}

#[tokio::test]
async fn only_evidence_counts() {
    let vendor = vendor().await;
    assert_rule_of_evidence(&vendor).await;
    let outcome = vendor.outcome(ResponseTemplate::new(413)).await;
    assert_eq!(outcome, (ErrorKind::InvalidText, NotAccepted));
}

#[tokio::test]
async fn the_delay_is_read_from_a_throttled_response() {
    let vendor = vendor().await;
    for (status, kind, code) in [
        (429, "rate_limit_error", "E01070"),
        (409, "conflict_error", "E01004"),
    ] {
        let body = fault(kind, json!(code), json!(null));
        let error = vendor
            .error(response(status, &body).insert_header("retry-after", "30"))
            .await;
        assert_eq!(error.retry_after().unwrap().as_secs(), 30);
    }
}

#[tokio::test]
async fn an_incomplete_success_is_in_doubt() {
    let vendor = vendor().await;
    let good = accepted("a1", "+31612345678");
    for (name, value) in [
        ("id", json!("")),
        ("id", json!("sms")),
        ("id", json!(7)),
        ("id", json!(null)),
        ("id", json!("eml_01krdgeqcxet5s7t44vh8rt9mg")),
        ("id", json!(format!("sms_{}", "x".repeat(257)))),
        ("metadata", json!({"reference": "b2"})),
    ] {
        let mut body = good.clone();
        body[name] = value;
        let outcome = vendor.outcome(response(202, &body)).await;
        assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{body}");
    }
    for status in ["rejected", "failed", "undelivered", "expired", "canceled"] {
        let mut body = good.clone();
        body["status"] = json!(status);
        let outcome = vendor.outcome(response(202, &body)).await;
        assert_eq!(outcome, (ErrorKind::Other, Unknown), "{status}");
    }
}

#[tokio::test]
async fn a_success_may_have_the_required_members_only() {
    let vendor = vendor().await;
    let body = json!({"id": "sms_01krdgeqcxet5s7t44vh8rt9mg"});
    for status in [200, 201, 202] {
        let receipt = vendor.send(response(status, &body)).await.unwrap();
        assert_eq!((receipt.parts(), receipt.price()), (None, None));
    }
}

async fn refused(vendor: &Vendor, message: &Message) -> ErrorKind {
    vendor.mount(response(202, &json!({}))).await;
    let outcome: Result<Receipt, SendError> = vendor.bird.send(message).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.acceptance(), NotAccepted);
    assert_eq!(error.provider(), Some("messagebird"));
    assert_eq!(vendor.calls().await.len(), 0);
    error.kind()
}

#[tokio::test]
async fn an_unsupported_message_is_refused_before_any_call() {
    let vendor = vendor().await;
    let with_sender = |sender: &str| message().with_sender(sender.parse().unwrap());
    for sender in ["cm.com", "Zo\u{eb}", "12-34", "1 2", "A&B"] {
        let kind = match sender {
            // A name that cannot be a sender at all says nothing about the platform.
            name if name.parse::<postduif_core::Sender>().is_err() => continue,
            _ => refused(&vendor, &with_sender(sender)).await,
        };
        assert_eq!(kind, ErrorKind::InvalidSender, "{sender}");
    }
    let later = chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap();
    let message = message();
    assert_eq!(
        refused(&vendor, &message.clone().with_send_at(later)).await,
        ErrorKind::Unsupported
    );
    let validity = std::time::Duration::from_secs(600);
    assert_eq!(
        refused(&vendor, &message.clone().with_validity(validity)).await,
        ErrorKind::Unsupported
    );
    for text in ["x".repeat(12 * 153 + 1), "ж".repeat(12 * 67 + 1)] {
        let long = Message::new(message.to(), Text::new(text).unwrap());
        assert_eq!(refused(&vendor, &long).await, ErrorKind::InvalidText);
    }
}

#[tokio::test]
async fn every_kind_of_sender_is_sent_unchanged() {
    let vendor = vendor().await;
    for sender in ["Contoso", "My Shop-1_", "+31687654321", "10088", "1008"] {
        let message = message().with_sender(sender.parse().unwrap());
        let accepted = accepted("a1", "+31612345678");
        vendor
            .send_with(&message, response(202, &accepted))
            .await
            .unwrap();
        let call: Value = vendor.calls().await[0].body_json().unwrap();
        assert_eq!(call["from"], sender);
    }
}

#[tokio::test]
async fn a_check_lists_one_message_and_is_unknown_for_a_key_that_may_not() {
    let vendor = vendor().await;
    let path = "/v1/sms/messages";
    let listed = response(200, &json!({"data": [{"id": "sms_1"}], "has_more": true}));
    vendor.mount_get(path, listed).await;
    assert_eq!(vendor.bird.check().await.unwrap(), Health::verified());
    let call = &vendor.calls().await[0];
    assert_eq!(call.url.query(), Some("limit=1"));
    assert_eq!(call.headers["authorization"], "Bearer bk_eu1_key");
    let forbidden = response(403, &fault("permission_error", json!("E1"), json!(null)));
    vendor.mount_get(path, forbidden).await;
    assert_eq!(vendor.bird.check().await.unwrap(), Health::unknown());
    for (given, kind) in [
        (
            response(401, &fault("auth_error", json!("E1"), json!(null))),
            ErrorKind::Unauthorized,
        ),
        (
            response(403, &json!({"message": "Forbidden"})),
            ErrorKind::Protocol,
        ),
        (response(200, &json!({"ok": true})), ErrorKind::Protocol),
        (
            ResponseTemplate::new(200).set_body_string("<html>Sign in</html>"),
            ErrorKind::Protocol,
        ),
        (response(503, &json!({})), ErrorKind::Unavailable),
    ] {
        vendor.mount_get(path, given).await;
        let error = failure(vendor.bird.check().await);
        assert_eq!(
            (error.kind(), error.provider()),
            (kind, Some("messagebird"))
        );
    }
}
