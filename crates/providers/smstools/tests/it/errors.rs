use std::time::Duration;

use postduif_core::{
    Acceptance::{self, NotAccepted, Unknown},
    ErrorKind, SendError, SmsProvider as _,
};
use postduif_smstools::Smstools;
use serde_json::{Value, json};
use wiremock::{MockServer, ResponseTemplate};

use super::wire::{calls, message, mount, smstools};

/// One server and one provider for a whole table: building a client takes longer than a row.
struct Vendor {
    server: MockServer,
    smstools: Smstools,
}

impl Vendor {
    async fn start() -> Self {
        let server = MockServer::start().await;
        let smstools = smstools(&server);
        Self { server, smstools }
    }

    async fn error(&self, response: ResponseTemplate) -> SendError {
        self.server.reset().await;
        mount(&self.server, response).await;
        let error = self.smstools.send(&message()).await.unwrap_err();
        assert_eq!(calls(&self.server).await.len(), 1);
        assert_eq!(error.provider(), Some("smstools"));
        error
    }

    async fn outcome(&self, status: u16, body: &Value) -> (ErrorKind, Acceptance) {
        let response = ResponseTemplate::new(status).set_body_json(body);
        let error = self.error(response).await;
        (error.kind(), error.acceptance())
    }
}

/// Every row of the vendor's list.
static CODES: &[(u16, ErrorKind)] = &[
    (102, ErrorKind::InvalidText),
    (103, ErrorKind::InvalidRecipient),
    (104, ErrorKind::Unauthorized),
    (106, ErrorKind::InvalidRecipient),
    (108, ErrorKind::InsufficientBalance),
    (109, ErrorKind::InvalidSender),
    (110, ErrorKind::InvalidSender),
    (111, ErrorKind::InvalidSender),
    (112, ErrorKind::InvalidText),
    (113, ErrorKind::Other),
    (114, ErrorKind::Other),
    (116, ErrorKind::Unauthorized),
    (118, ErrorKind::InvalidText),
    (121, ErrorKind::Other),
    (122, ErrorKind::Other),
    (123, ErrorKind::Other),
    (124, ErrorKind::Other),
    (125, ErrorKind::Other),
    (126, ErrorKind::Other),
    (128, ErrorKind::Other),
    (129, ErrorKind::Other),
    (131, ErrorKind::Blocked),
    (132, ErrorKind::Other),
    (133, ErrorKind::Other),
    (134, ErrorKind::Other),
    (135, ErrorKind::Other),
    (136, ErrorKind::Other),
    (137, ErrorKind::Other),
    (138, ErrorKind::Unauthorized),
    (139, ErrorKind::Other),
    (140, ErrorKind::Other),
    (200, ErrorKind::Unauthorized),
    (1002, ErrorKind::Unauthorized),
    (1403, ErrorKind::Unauthorized),
];

#[tokio::test]
async fn a_listed_code_is_a_refusal_at_any_status_below_500_and_in_every_form() {
    let vendor = Vendor::start().await;
    for (code, kind) in CODES {
        for (status, error) in [
            (400, json!(code.to_string())),
            (400, json!(code)),
            (401, json!(code.to_string())),
            (403, json!(code)),
            (404, json!(code)),
            (409, json!(format!(" {code} "))),
            (200, json!(code.to_string())),
        ] {
            let body = json!({"error": error, "errorMsg": "Your code is 123456"});
            let response = ResponseTemplate::new(status).set_body_json(&body);
            let error = vendor.error(response).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (*kind, NotAccepted),
                "{status} {body}"
            );
            assert_eq!(error.code(), Some(code.to_string().as_str()));
            assert!(!format!("{error} {error:?}").contains("123456"));
        }
    }
}

#[tokio::test]
async fn a_problem_of_the_vendor_is_in_doubt_although_its_text_is_a_refusal() {
    let vendor = Vendor::start().await;
    for status in [200, 400, 401, 403, 409, 422, 500, 503] {
        for code in [json!(105), json!("105")] {
            let response = ResponseTemplate::new(status).set_body_json(json!({"error": code}));
            let error = vendor.error(response).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Unavailable, Unknown),
                "{status}"
            );
            assert_eq!(error.code(), Some("105"));
        }
    }
    // A status that proves that the message was not read takes precedence.
    for (status, kind) in [(404, ErrorKind::Misconfigured), (429, ErrorKind::Throttled)] {
        assert_eq!(
            vendor.outcome(status, &json!({"error": 105})).await,
            (kind, NotAccepted)
        );
    }
}

#[tokio::test]
async fn from_500_up_a_code_proves_nothing() {
    let vendor = Vendor::start().await;
    for status in [500, 502, 503, 504] {
        for error in [json!("103"), json!(104), json!(777), json!("no")] {
            assert_eq!(
                vendor.outcome(status, &json!({"error": error})).await,
                (ErrorKind::Unavailable, Unknown),
                "{status} {error}"
            );
        }
    }
}

#[tokio::test]
async fn without_a_listed_code_the_shape_and_the_status_decide() {
    let vendor = Vendor::start().await;
    // The documented example without a code.
    assert_eq!(
        vendor
            .outcome(400, &json!({"error": "error parsing json"}))
            .await,
        (ErrorKind::Other, NotAccepted)
    );
    for (status, error, kind, acceptance) in [
        (400, json!("777"), ErrorKind::Other, NotAccepted),
        (400, json!(777), ErrorKind::Other, NotAccepted),
        (400, json!("no such thing"), ErrorKind::Other, NotAccepted),
        (422, json!("777"), ErrorKind::Other, NotAccepted),
        (401, json!("777"), ErrorKind::Unauthorized, NotAccepted),
        (403, json!(777), ErrorKind::Unauthorized, NotAccepted),
        (404, json!("777"), ErrorKind::Misconfigured, NotAccepted),
        (429, json!("777"), ErrorKind::Throttled, NotAccepted),
        // The statuses of a timeout.
        (408, json!("777"), ErrorKind::Protocol, Unknown),
        (409, json!("777"), ErrorKind::Protocol, Unknown),
        (425, json!("777"), ErrorKind::Protocol, Unknown),
        (499, json!("777"), ErrorKind::Protocol, Unknown),
        (500, json!("777"), ErrorKind::Unavailable, Unknown),
        (200, json!("777"), ErrorKind::Protocol, Unknown),
    ] {
        assert_eq!(
            vendor
                .outcome(status, &json!({"error": error, "errorMsg": "x"}))
                .await,
            (kind, acceptance),
            "{status} {error}"
        );
    }
    for status in [404, 405, 411, 413, 414, 415, 431] {
        assert_eq!(
            vendor.outcome(status, &json!({"error": "x"})).await,
            (ErrorKind::Misconfigured, NotAccepted),
            "{status}"
        );
    }
    assert_eq!(
        vendor.outcome(429, &json!({"error": "slow down"})).await,
        (ErrorKind::Throttled, NotAccepted)
    );
}

#[tokio::test]
async fn a_text_or_a_number_that_any_server_might_write_proves_nothing() {
    let vendor = Vendor::start().await;
    for status in [400, 401, 402, 403, 408, 409, 421, 422, 425, 451, 499] {
        for error in [
            json!("777"),
            json!(777),
            json!(1020),
            json!("0"),
            json!(status),
            json!("Bad Request"),
            json!("error parsing JSON"),
        ] {
            assert_eq!(
                vendor.outcome(status, &json!({"error": error})).await,
                (ErrorKind::Protocol, Unknown),
                "{status} {error}"
            );
        }
    }
    // The documented example has status 400.
    for status in [401, 403, 409, 422] {
        let body = json!({"error": "error parsing json"});
        assert_eq!(
            vendor.outcome(status, &body).await,
            (ErrorKind::Protocol, Unknown),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_number_that_repeats_the_status_proves_nothing_without_a_text() {
    let vendor = Vendor::start().await;
    for error in [json!(200), json!("200"), json!(" 200 ")] {
        assert_eq!(
            vendor.outcome(200, &json!({"error": error})).await,
            (ErrorKind::Protocol, Unknown),
            "{error}"
        );
        assert_eq!(
            vendor
                .outcome(200, &json!({"error": error, "errorMsg": "x"}))
                .await,
            (ErrorKind::Unauthorized, NotAccepted),
            "{error}"
        );
        assert_eq!(
            vendor.outcome(400, &json!({"error": error})).await,
            (ErrorKind::Unauthorized, NotAccepted),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_id_at_a_status_of_refusal_is_in_doubt_without_an_error_too() {
    let vendor = Vendor::start().await;
    for status in [400, 401, 404, 405, 413, 429] {
        for body in [json!({"messageid": "abc"}), json!({"messageids": ["abc"]})] {
            let response = ResponseTemplate::new(status)
                .insert_header("www-authenticate", "Bearer")
                .set_body_json(&body);
            let error = vendor.error(response).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Protocol, Unknown),
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn foreign_json_is_no_refusal() {
    let vendor = Vendor::start().await;
    for body in [
        json!({"type": "about:blank", "title": "Forbidden", "status": 403}),
        json!({"detail": "Not authenticated"}),
        json!({"errors": [{"title": "x"}]}),
        json!({"errors": [{"code": 1020}]}),
        json!({"message": "Conflict"}),
        json!({"error": "Bad Request", "statusCode": 400}),
        json!({"error": 1020}),
        json!({"code": "WAF_BLOCKED", "message": "x"}),
        json!({"transactionId": "1", "message": "x"}),
        json!({"error": {"type": "x_error", "code": "y"}}),
    ] {
        for status in [400, 401, 402, 403, 408, 409, 421, 422, 425, 451, 499] {
            assert_eq!(
                vendor.outcome(status, &body).await,
                (ErrorKind::Protocol, Unknown),
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_refusal_with_an_id_beside_it_contradicts_itself() {
    let vendor = Vendor::start().await;
    for status in [200, 400, 401, 403, 422] {
        for id in [
            json!({"messageid": "abc"}),
            json!({"messageids": ["abc"]}),
            json!({"messageid": null, "messageids": ["abc"]}),
            json!({"messageid": 7}),
            json!({"messageid": {}}),
            json!({"messageids": {}}),
            json!({"messageids": "abc"}),
            json!({"messageid": "", "messageids": ["abc"]}),
        ] {
            let mut body = json!({"error": "104", "errorMsg": "x"});
            body.as_object_mut()
                .unwrap()
                .extend(id.as_object().unwrap().clone());
            assert_eq!(
                vendor.outcome(status, &body).await,
                (ErrorKind::Protocol, Unknown),
                "{status} {body}"
            );
        }
    }
    for nothing in [
        json!({"messageid": null}),
        json!({"messageid": " "}),
        json!({"messageids": []}),
    ] {
        let mut body = json!({"error": "104", "errorMsg": "x"});
        body.as_object_mut()
            .unwrap()
            .extend(nothing.as_object().unwrap().clone());
        assert_eq!(
            vendor.outcome(400, &body).await,
            (ErrorKind::Unauthorized, NotAccepted),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_body_that_only_resembles_smstools_proves_nothing() {
    let vendor = Vendor::start().await;
    for body in [
        json!({"error": null}),
        json!({"error": true}),
        json!({"error": ["103"]}),
        json!({"error": {"code": "103"}}),
        json!({"errorMsg": "Invalid credentials"}),
        json!({"error": "777", "errorMsg": null}),
        json!({"error": "777", "errorMsg": {"x": 1}}),
        json!({"error": null, "errorMsg": "x"}),
        json!({"error": "", "errorMsg": "x"}),
        json!({"code": 103}),
        json!(["103"]),
        json!([{"error": "103"}]),
        json!("103"),
        json!(103),
    ] {
        for status in [400, 401, 403, 422] {
            assert_eq!(
                vendor.outcome(status, &body).await,
                (ErrorKind::Protocol, Unknown),
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_challenge_proves_a_401() {
    let vendor = Vendor::start().await;
    for body in [json!({"error": "Unauthorized"}), json!({}), json!(null)] {
        let response = ResponseTemplate::new(401)
            .insert_header("www-authenticate", "Basic")
            .set_body_json(&body);
        let error = vendor.error(response).await;
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Unauthorized, NotAccepted)
        );
    }
}

#[tokio::test]
async fn an_unlisted_code_is_kept_unless_it_repeats_the_message() {
    let vendor = Vendor::start().await;
    for (error, code) in [
        (json!("777"), Some("777")),
        (json!(1500), Some("1500")),
        // Part of the text, and of the number.
        (json!("1234"), None),
        (json!(3161), None),
        (json!("12345"), None),
        (json!("none"), None),
        (json!("no"), None),
        (json!(-1), None),
        (json!(10.5), None),
    ] {
        let body = json!({"error": error, "errorMsg": "x"});
        let response = ResponseTemplate::new(400).set_body_json(body);
        let refused = vendor.error(response).await;
        assert_eq!(
            (refused.kind(), refused.acceptance()),
            (ErrorKind::Other, NotAccepted)
        );
        assert_eq!(refused.code(), code, "{error}");
    }
}

#[tokio::test]
async fn the_delay_of_a_throttled_call_is_the_vendors() {
    let vendor = Vendor::start().await;
    for body in [json!({"error": "777"}), json!({})] {
        let response = ResponseTemplate::new(429)
            .insert_header("retry-after", "3")
            .set_body_json(&body);
        let error = vendor.error(response).await;
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
        assert!(error.may_resend());
    }
}

#[tokio::test]
async fn too_many_failed_logins_are_not_tried_again() {
    let vendor = Vendor::start().await;
    let response = ResponseTemplate::new(400).set_body_json(json!({"error": "1002"}));
    assert!(!vendor.error(response).await.may_resend());
}
