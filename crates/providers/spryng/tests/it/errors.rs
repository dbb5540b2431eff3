use std::time::Duration;

use postduif_core::{
    Acceptance::{self, NotAccepted, Unknown},
    ErrorKind, SendError, SmsProvider as _,
};
use postduif_spryng::Spryng;
use serde_json::{Value, json};
use wiremock::{MockServer, ResponseTemplate};

use super::wire::{V1, V2, calls, message, mount, spryng};

/// One server and one provider for a whole table: building a client takes longer than a row.
struct Vendor {
    server: MockServer,
    spryng: Spryng,
    api: &'static str,
}

impl Vendor {
    async fn start(api: &'static str) -> Self {
        let server = MockServer::start().await;
        let spryng = spryng(&server, api);
        Self {
            server,
            spryng,
            api,
        }
    }

    async fn error(&self, response: ResponseTemplate) -> SendError {
        self.server.reset().await;
        mount(&self.server, self.api, response).await;
        let error = self.spryng.send(&message()).await.unwrap_err();
        assert_eq!(calls(&self.server).await.len(), 1);
        assert_eq!(error.provider(), Some("spryng"));
        error
    }

    async fn outcome(&self, status: u16, body: &Value) -> (ErrorKind, Acceptance) {
        let response = ResponseTemplate::new(status).set_body_json(body);
        let error = self.error(response).await;
        (error.kind(), error.acceptance())
    }
}

fn error(code: &str, text: &str) -> Value {
    json!({"errors": [{"errorCode": code, "errorMessage": text}]})
}

#[tokio::test]
async fn v2_refusals_are_read_by_their_status_in_its_shape() {
    let vendor = Vendor::start(V2).await;
    for (status, kind, acceptance) in [
        (400, ErrorKind::Other, NotAccepted),
        (401, ErrorKind::Unauthorized, NotAccepted),
        (402, ErrorKind::Protocol, Unknown),
        (403, ErrorKind::Unauthorized, NotAccepted),
        (404, ErrorKind::Misconfigured, NotAccepted),
        (405, ErrorKind::Misconfigured, NotAccepted),
        (411, ErrorKind::Misconfigured, NotAccepted),
        (412, ErrorKind::Protocol, Unknown),
        (413, ErrorKind::Misconfigured, NotAccepted),
        (414, ErrorKind::Misconfigured, NotAccepted),
        (415, ErrorKind::Misconfigured, NotAccepted),
        (421, ErrorKind::Protocol, Unknown),
        (422, ErrorKind::Protocol, Unknown),
        (429, ErrorKind::Throttled, NotAccepted),
        (431, ErrorKind::Misconfigured, NotAccepted),
    ] {
        for body in [
            error("someError", "no"),
            json!({
                "errors": [
                    {"errorCode": "x", "errorMessage": "no"},
                    {"errorCode": "y", "errorMessage": "no", "metadata": {}}
                ],
                "title": "t"
            }),
        ] {
            assert_eq!(
                vendor.outcome(status, &body).await,
                (kind, acceptance),
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_listed_code_of_v2_needs_no_text_at_its_status() {
    let vendor = Vendor::start(V2).await;
    for (code, status, kind) in [
        ("msisdn_invalid", 400, ErrorKind::InvalidRecipient),
        ("unauthenticatedError", 401, ErrorKind::Unauthorized),
    ] {
        let body = json!({"errors": [{"errorCode": code}]});
        assert_eq!(vendor.outcome(status, &body).await, (kind, NotAccepted));
        let outcome = vendor.outcome(403, &body).await;
        assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{code}");
    }
}

#[tokio::test]
async fn a_v2_400_is_read_by_what_it_names() {
    let vendor = Vendor::start(V2).await;
    for (body, kind) in [
        (error("msisdn_invalid", "no"), ErrorKind::InvalidRecipient),
        (error("MsisdnInvalid", "no"), ErrorKind::InvalidRecipient),
        (
            error("validationError", "recipients[0].msisdn is not valid"),
            ErrorKind::InvalidRecipient,
        ),
        (
            json!({"errors": [{"errorCode": "x", "errorMessage": "no"}, {"errorCode": "MSISDN_INVALID"}]}),
            ErrorKind::InvalidRecipient,
        ),
        (
            error("insufficient_balance", "no"),
            ErrorKind::InsufficientBalance,
        ),
        (
            error("x", "Not enough credit."),
            ErrorKind::InsufficientBalance,
        ),
        (
            error("x", "Your BALANCE is too low"),
            ErrorKind::InsufficientBalance,
        ),
        (
            error("senderInvalid", "from is not valid"),
            ErrorKind::InvalidSender,
        ),
        (
            error("x", "The 'from' field is not valid"),
            ErrorKind::InvalidSender,
        ),
        (error("x", "body.text is too long"), ErrorKind::InvalidText),
        // Mentioned, but not the cause.
        (
            error(
                "x",
                "The sender is not allowed in the country of the msisdn",
            ),
            ErrorKind::Other,
        ),
        (
            error("x", "Text messages from abroad, the recipient's msisdn"),
            ErrorKind::Other,
        ),
        (
            error("x", "recipients[0].metaData is not valid"),
            ErrorKind::Other,
        ),
        (error("x", "Credited elsewhere"), ErrorKind::Other),
    ] {
        assert_eq!(
            vendor.outcome(400, &body).await,
            (kind, NotAccepted),
            "{body}"
        );
    }
    // Only there.
    let body = error("x", "msisdn and balance");
    assert_eq!(
        vendor.outcome(412, &body).await,
        (ErrorKind::Protocol, Unknown)
    );
    assert_eq!(
        vendor.outcome(403, &body).await,
        (ErrorKind::Unauthorized, NotAccepted)
    );
}

#[tokio::test]
async fn a_v2_code_is_kept_if_it_is_listed_or_repeats_nothing_of_the_message() {
    let vendor = Vendor::start(V2).await;
    for (written, kept) in [
        ("unauthenticatedError", Some("UnauthenticatedError")),
        ("UnauthenticatedError", Some("UnauthenticatedError")),
        ("messageNotFound", Some("message_not_found")),
        ("invalid_request_id", Some("invalid_request_id")),
        (
            "webhook_subscription_not_found",
            Some("webhook_subscription_not_found"),
        ),
        ("MsisdnInvalid", Some("msisdn_invalid")),
        ("E42", Some("E42")),
        ("someOtherError", None),
        ("code", None),
        ("1234", None),
        ("3161", None),
        ("", None),
    ] {
        let body = error(written, "Your code is 123456");
        let response = ResponseTemplate::new(400).set_body_json(&body);
        let error = vendor.error(response).await;
        assert_eq!(error.code(), kept, "{written}");
        assert_eq!(error.acceptance(), NotAccepted);
        assert!(!format!("{error} {error:?}").contains("123456"));
    }
}

#[tokio::test]
async fn a_body_that_only_resembles_v2_proves_nothing() {
    let vendor = Vendor::start(V2).await;
    for body in [
        json!({"errors": []}),
        json!({"errors": null}),
        json!({"errors": {"errorCode": "x"}}),
        json!({"errors": ["x"]}),
        json!({"errors": [["x"]]}),
        json!({"errors": [{"code": "x", "message": "no"}]}),
        json!({"errors": [{"errorCode": null}]}),
        json!({"errors": [{"errorCode": 7}]}),
        json!({"errors": [{"errorCode": "x"}, {"message": "no"}]}),
        json!({"errorCode": "x"}),
        json!({"message": "Forbidden"}),
        json!([{"errors": [{"errorCode": "x"}]}]),
        json!([[{"errorCode": "x"}]]),
    ] {
        for status in [400, 401, 403, 408, 409, 421, 422, 425] {
            assert_eq!(
                vendor.outcome(status, &body).await,
                (ErrorKind::Protocol, Unknown),
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn at_the_statuses_of_a_timeout_nothing_is_a_refusal() {
    for (api, shape) in [
        (V2, error("someError", "no")),
        (V2, error("msisdn_invalid", "no")),
        (
            V1,
            json!({"message": "no", "errors": {"recipients": ["no"]}}),
        ),
    ] {
        let vendor = Vendor::start(api).await;
        for status in [408, 409, 425, 499] {
            let outcome = vendor.outcome(status, &shape).await;
            assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{api} {status}");
        }
    }
}

#[tokio::test]
async fn v1_refusals_are_read_by_their_status_in_its_shape() {
    let vendor = Vendor::start(V1).await;
    let body = json!({"message": "no", "errors": {"reference": ["no", "no"], "encoding": ["no"]}});
    for (status, kind, acceptance) in [
        (400, ErrorKind::Protocol, Unknown),
        (401, ErrorKind::Protocol, Unknown),
        (402, ErrorKind::Protocol, Unknown),
        (403, ErrorKind::Protocol, Unknown),
        (404, ErrorKind::Misconfigured, NotAccepted),
        (405, ErrorKind::Misconfigured, NotAccepted),
        (411, ErrorKind::Misconfigured, NotAccepted),
        (412, ErrorKind::Protocol, Unknown),
        (413, ErrorKind::Misconfigured, NotAccepted),
        (414, ErrorKind::Misconfigured, NotAccepted),
        (415, ErrorKind::Misconfigured, NotAccepted),
        (422, ErrorKind::Other, NotAccepted),
        (429, ErrorKind::Throttled, NotAccepted),
        (431, ErrorKind::Misconfigured, NotAccepted),
    ] {
        assert_eq!(
            vendor.outcome(status, &body).await,
            (kind, acceptance),
            "{status}"
        );
    }
    let challenge = ResponseTemplate::new(401)
        .insert_header("www-authenticate", "Bearer")
        .set_body_json(json!({"message": "Unauthenticated."}));
    let error = vendor.error(challenge).await;
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Unauthorized, NotAccepted)
    );
}

#[tokio::test]
async fn a_lone_message_of_v1_counts_at_422_only_and_if_it_mentions_credit_or_recipient() {
    let vendor = Vendor::start(V1).await;
    for (text, kind) in [
        (
            "The Recipients field is required.",
            Some(ErrorKind::InvalidRecipient),
        ),
        (
            "This recipient is not valid",
            Some(ErrorKind::InvalidRecipient),
        ),
        ("Not enough credits.", Some(ErrorKind::InsufficientBalance)),
        ("Insufficient credit", Some(ErrorKind::InsufficientBalance)),
        // An error about the sender, which another vendor may accept.
        (
            "The originator is not allowed in the recipient's country",
            Some(ErrorKind::InvalidSender),
        ),
        ("The originator is not valid", None),
        ("Conflict", None),
        ("Unprocessable Entity", None),
        ("Accredited parties only", None),
        (" ", None),
    ] {
        for errors in [json!({}), json!({"errors": null})] {
            let mut body = errors;
            body["message"] = json!(text);
            let expected = kind.map_or((ErrorKind::Protocol, Unknown), |kind| (kind, NotAccepted));
            assert_eq!(vendor.outcome(422, &body).await, expected, "{body}");
            for status in [400, 401, 402, 403, 408, 409, 412, 421, 425, 451, 499] {
                assert_eq!(
                    vendor.outcome(status, &body).await,
                    (ErrorKind::Protocol, Unknown),
                    "{status} {body}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_v1_422_is_read_by_the_field_it_names() {
    let vendor = Vendor::start(V1).await;
    let text = "The originator, the recipient, the body and the credit of 123456";
    for (field, kind) in [
        ("recipients", ErrorKind::InvalidRecipient),
        ("recipients.0", ErrorKind::InvalidRecipient),
        ("recipients[0].number", ErrorKind::InvalidRecipient),
        ("originator", ErrorKind::InvalidSender),
        ("body", ErrorKind::InvalidText),
        ("credits", ErrorKind::InsufficientBalance),
        ("route", ErrorKind::Misconfigured),
        ("reference", ErrorKind::Other),
        ("encoding", ErrorKind::Other),
    ] {
        let body = json!({"message": text, "errors": {field: [text]}});
        let response = ResponseTemplate::new(422).set_body_json(&body);
        let error = vendor.error(response).await;
        assert_eq!(
            (error.kind(), error.acceptance(), error.code()),
            (kind, NotAccepted, None),
            "{body}"
        );
        assert!(!format!("{error} {error:?}").contains("123456"));
    }
    // Of several fields, the one for which another vendor cannot help.
    let both = json!({"message": "no", "errors": {"originator": ["no"], "recipients": ["no"]}});
    assert_eq!(
        vendor.outcome(422, &both).await,
        (ErrorKind::InvalidRecipient, NotAccepted)
    );
}

#[tokio::test]
async fn a_body_that_only_resembles_v1_proves_nothing() {
    let vendor = Vendor::start(V1).await;
    for body in [
        json!({"message": ""}),
        json!({"message": null}),
        json!({"message": 7}),
        json!({"message": {"text": "no"}}),
        json!({"errors": []}),
        json!({"errors": {}}),
        json!({"errors": true}),
        json!({"errors": "no"}),
        json!({"error": "no"}),
        json!(["no"]),
        json!([{"message": "no"}]),
    ] {
        for status in [400, 401, 402, 403, 409, 422] {
            assert_eq!(
                vendor.outcome(status, &body).await,
                (ErrorKind::Protocol, Unknown),
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn from_500_up_nothing_is_proven_in_either_shape() {
    for (api, body) in [
        (V2, error("msisdn_invalid", "no")),
        (
            V1,
            json!({"message": "no", "errors": {"recipients": ["no"]}}),
        ),
    ] {
        let vendor = Vendor::start(api).await;
        for status in [500, 502, 503, 504] {
            assert_eq!(
                vendor.outcome(status, &body).await,
                (ErrorKind::Unavailable, Unknown),
                "{api} {status}"
            );
        }
    }
}

#[tokio::test]
async fn a_throttled_v2_call_has_the_vendors_delay_or_five_seconds() {
    let vendor = Vendor::start(V2).await;
    for body in [json!({}), error("x", "no")] {
        for (hint, wait) in [(None, 5), (Some("7"), 7), (Some("0"), 0), (Some("soon"), 5)] {
            let mut response = ResponseTemplate::new(429).set_body_json(&body);
            if let Some(hint) = hint {
                response = response.insert_header("retry-after", hint);
            }
            let error = vendor.error(response).await;
            assert_eq!(
                (error.kind(), error.acceptance(), error.retry_after()),
                (
                    ErrorKind::Throttled,
                    NotAccepted,
                    Some(Duration::from_secs(wait))
                ),
                "{hint:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_throttled_v1_call_has_no_default_delay() {
    let vendor = Vendor::start(V1).await;
    let error = vendor.error(ResponseTemplate::new(429)).await;
    assert_eq!(
        (error.kind(), error.retry_after()),
        (ErrorKind::Throttled, None)
    );
}
