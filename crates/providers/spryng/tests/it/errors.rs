use std::time::Duration;

use postduif_core::{
    Acceptance::{self, NotAccepted, Unknown},
    ErrorKind, SendError, SmsProvider as _,
};
use postduif_spryng::Spryng;
use serde_json::{Value, json};
use wiremock::{MockServer, ResponseTemplate};

use super::wire::{V1, V2, calls, message, mount, spryng};

/// One vendor and one provider for a whole table: a client's certificates take longer to load than a row.
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

    async fn error(&self, answer: ResponseTemplate) -> SendError {
        self.server.reset().await;
        mount(&self.server, self.api, answer).await;
        let error = self.spryng.send(&message()).await.unwrap_err();
        assert_eq!(calls(&self.server).await.len(), 1);
        assert_eq!(error.provider(), Some("spryng"));
        error
    }

    async fn told(&self, status: u16, body: &Value) -> (ErrorKind, Acceptance) {
        let answer = ResponseTemplate::new(status).set_body_json(body);
        let error = self.error(answer).await;
        (error.kind(), error.acceptance())
    }
}

fn error(code: &str, words: &str) -> Value {
    json!({"errors": [{"errorCode": code, "errorMessage": words}]})
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
                vendor.told(status, &body).await,
                (kind, acceptance),
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_v2_code_of_the_list_needs_no_words_where_it_belongs() {
    let vendor = Vendor::start(V2).await;
    for (code, status, kind) in [
        ("msisdn_invalid", 400, ErrorKind::InvalidRecipient),
        ("unauthenticatedError", 401, ErrorKind::Unauthorized),
    ] {
        let body = json!({"errors": [{"errorCode": code}]});
        assert_eq!(vendor.told(status, &body).await, (kind, NotAccepted));
        let told = vendor.told(403, &body).await;
        assert_eq!(told, (ErrorKind::Protocol, Unknown), "{code}");
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
        // Mentioned, and not what is wrong.
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
        assert_eq!(vendor.told(400, &body).await, (kind, NotAccepted), "{body}");
    }
    // Only there.
    let body = error("x", "msisdn and balance");
    assert_eq!(
        vendor.told(412, &body).await,
        (ErrorKind::Protocol, Unknown)
    );
    assert_eq!(
        vendor.told(403, &body).await,
        (ErrorKind::Unauthorized, NotAccepted)
    );
}

#[tokio::test]
async fn a_v2_code_is_kept_from_the_list_or_where_it_gives_nothing_away() {
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
        let answer = ResponseTemplate::new(400).set_body_json(&body);
        let error = vendor.error(answer).await;
        assert_eq!(error.code(), kept, "{written}");
        assert_eq!(error.acceptance(), NotAccepted);
        assert!(!format!("{error} {error:?}").contains("123456"));
    }
}

#[tokio::test]
async fn what_looks_like_v2_and_is_not_proves_nothing() {
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
                vendor.told(status, &body).await,
                (ErrorKind::Protocol, Unknown),
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn where_somebody_gave_up_nothing_is_a_refusal() {
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
            let told = vendor.told(status, &shape).await;
            assert_eq!(told, (ErrorKind::Protocol, Unknown), "{api} {status}");
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
            vendor.told(status, &body).await,
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
async fn a_lone_message_of_v1_counts_at_422_alone_and_where_it_names_credit_or_recipient() {
    let vendor = Vendor::start(V1).await;
    for (words, kind) in [
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
        // The sender's fault, which another vendor may not have.
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
            body["message"] = json!(words);
            let expected = kind.map_or((ErrorKind::Protocol, Unknown), |kind| (kind, NotAccepted));
            assert_eq!(vendor.told(422, &body).await, expected, "{body}");
            for status in [400, 401, 402, 403, 408, 409, 412, 421, 425, 451, 499] {
                assert_eq!(
                    vendor.told(status, &body).await,
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
    let words = "The originator, the recipient, the body and the credit of 123456";
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
        let body = json!({"message": words, "errors": {field: [words]}});
        let answer = ResponseTemplate::new(422).set_body_json(&body);
        let error = vendor.error(answer).await;
        assert_eq!(
            (error.kind(), error.acceptance(), error.code()),
            (kind, NotAccepted, None),
            "{body}"
        );
        assert!(!format!("{error} {error:?}").contains("123456"));
    }
    // Of several, what another vendor cannot mend.
    let both = json!({"message": "no", "errors": {"originator": ["no"], "recipients": ["no"]}});
    assert_eq!(
        vendor.told(422, &both).await,
        (ErrorKind::InvalidRecipient, NotAccepted)
    );
}

#[tokio::test]
async fn what_looks_like_v1_and_is_not_proves_nothing() {
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
                vendor.told(status, &body).await,
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
                vendor.told(status, &body).await,
                (ErrorKind::Unavailable, Unknown),
                "{api} {status}"
            );
        }
    }
}

#[tokio::test]
async fn a_v2_call_too_many_waits_as_told_or_five_seconds() {
    let vendor = Vendor::start(V2).await;
    for body in [json!({}), error("x", "no")] {
        for (hint, wait) in [(None, 5), (Some("7"), 7), (Some("0"), 0), (Some("soon"), 5)] {
            let mut answer = ResponseTemplate::new(429).set_body_json(&body);
            if let Some(hint) = hint {
                answer = answer.insert_header("retry-after", hint);
            }
            let error = vendor.error(answer).await;
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
async fn of_v1_no_wait_is_known() {
    let vendor = Vendor::start(V1).await;
    let error = vendor.error(ResponseTemplate::new(429)).await;
    assert_eq!(
        (error.kind(), error.retry_after()),
        (ErrorKind::Throttled, None)
    );
}
