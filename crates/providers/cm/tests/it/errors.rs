use std::time::Duration;

use postduif_cm::Cm;
use postduif_core::{
    Acceptance::{self, NotAccepted, Unknown},
    ErrorKind, Receipt, SendError, SmsProvider as _,
};
use serde_json::{Value, json};
use wiremock::{MockServer, ResponseTemplate};

use super::wire::{accepted, calls, cm, message, mount, rejected, response};

const NUMBER: &str = "0031612345678";

/// One server and one provider for a whole table: building a client takes longer than a row.
struct Vendor {
    server: MockServer,
    cm: Cm,
}

impl Vendor {
    async fn start() -> Self {
        let server = MockServer::start().await;
        let cm = cm(&server);
        Self { server, cm }
    }

    /// Returns the outcome of one message, sent in a request with this response.
    async fn send(&self, response: ResponseTemplate) -> Result<Receipt, SendError> {
        self.server.reset().await;
        mount(&self.server, response).await;
        let outcome = self.cm.send(&message()).await;
        assert_eq!(calls(&self.server).await.len(), 1);
        outcome
    }

    async fn error(&self, response: ResponseTemplate) -> SendError {
        let error = self.send(response).await.unwrap_err();
        assert_eq!(error.provider(), Some("cm"));
        error
    }

    async fn outcome(&self, response: ResponseTemplate) -> (ErrorKind, Acceptance) {
        let error = self.error(response).await;
        (error.kind(), error.acceptance())
    }
}

#[tokio::test]
async fn a_call_refused_as_a_whole_is_read_by_its_code() {
    let vendor = Vendor::start().await;
    for (code, kind, acceptance) in [
        (101, ErrorKind::Unauthorized, NotAccepted),
        (102, ErrorKind::InsufficientBalance, NotAccepted),
        (103, ErrorKind::Unauthorized, NotAccepted),
        (202, ErrorKind::Protocol, NotAccepted),
        (203, ErrorKind::Protocol, NotAccepted),
        (500, ErrorKind::Unavailable, Unknown),
        (999, ErrorKind::Other, Unknown),
        (201, ErrorKind::Other, Unknown),
        // The code of a message proves nothing about a request.
        (304, ErrorKind::Other, Unknown),
        (403, ErrorKind::Other, Unknown),
        (777, ErrorKind::Other, Unknown),
    ] {
        for status in [400, 401, 403, 422] {
            let error = vendor.error(response(status, code, &[])).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (kind, acceptance),
                "{status} {code}"
            );
            assert_eq!(error.code(), Some(code.to_string().as_str()));
        }
    }
}

#[tokio::test]
async fn a_refusal_may_have_no_list_of_messages() {
    let vendor = Vendor::start().await;
    for body in [
        json!({"details": "x", "errorCode": 101, "messages": null}),
        json!({"details": "", "errorCode": 101, "messages": []}),
    ] {
        let response = ResponseTemplate::new(400).set_body_json(body);
        assert_eq!(
            vendor.outcome(response).await,
            (ErrorKind::Unauthorized, NotAccepted)
        );
    }
}

#[tokio::test]
async fn a_rejected_message_is_read_by_its_own_code() {
    let vendor = Vendor::start().await;
    for (code, kind) in [
        (301, ErrorKind::InvalidSender),
        (302, ErrorKind::InvalidRecipient),
        (303, ErrorKind::InvalidRecipient),
        (304, ErrorKind::InvalidText),
        (305, ErrorKind::Misconfigured),
        (401, ErrorKind::Blocked),
        (402, ErrorKind::Blocked),
        (403, ErrorKind::Other),
        (500, ErrorKind::Other),
        (999, ErrorKind::Other),
        (777, ErrorKind::Other),
    ] {
        for (status, call) in [(200, 201), (400, 201), (400, 777), (400, 500)] {
            let error = vendor
                .error(response(status, call, &[rejected("a1", NUMBER, code)]))
                .await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (kind, NotAccepted),
                "{status} {code}"
            );
            assert_eq!(error.code(), Some(code.to_string().as_str()));
        }
    }
}

#[tokio::test]
async fn at_the_statuses_of_a_timeout_only_a_listed_code_is_a_refusal() {
    let vendor = Vendor::start().await;
    let unnumbered = but(
        &rejected("a1", NUMBER, 999),
        json!({"messageErrorCode": null}),
    );
    for status in [408, 409, 425, 499] {
        for (call, entries) in [
            (101, vec![]),
            (203, vec![]),
            (201, vec![rejected("a1", NUMBER, 304)]),
        ] {
            let error = vendor.error(response(status, call, &entries)).await;
            assert_eq!(error.acceptance(), NotAccepted, "{status} {call}");
        }
        for entry in [rejected("a1", NUMBER, 777), unnumbered.clone()] {
            assert_eq!(
                vendor.outcome(response(status, 201, &[entry])).await,
                (ErrorKind::Protocol, Unknown),
                "{status}"
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
            let response = ResponseTemplate::new(status).set_body_json(&body);
            assert_eq!(
                vendor.outcome(response).await,
                (ErrorKind::Protocol, Unknown),
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_verdict_of_2017_has_no_code() {
    let vendor = Vendor::start().await;
    let entry =
        |status: &str| json!({"to": NUMBER, "status": status, "reference": null, "parts": 0});
    let error = vendor.error(response(400, 201, &[entry("Rejected")])).await;
    assert_eq!(
        (error.kind(), error.acceptance(), error.code()),
        (ErrorKind::Other, NotAccepted, Some("999"))
    );
    let accepted = response(200, 0, &[entry("Accepted")]);
    let receipt = vendor.send(accepted).await.unwrap();
    assert_eq!(receipt.parts(), None);
}

/// The verdict on the message, with some members replaced.
fn but(entry: &Value, members: Value) -> Value {
    let mut entry = entry.clone();
    let Value::Object(members) = members else {
        unreachable!("members are an object")
    };
    entry.as_object_mut().unwrap().extend(members);
    entry
}

#[tokio::test]
async fn a_response_that_contradicts_itself_is_in_doubt() {
    let vendor = Vendor::start().await;
    let (yes, no) = (accepted("a1", NUMBER), rejected("a1", NUMBER, 304));
    for (status, call, entries) in [
        // The code of the request contradicts it.
        (400, 201, vec![yes.clone()]),
        (400, 0, vec![yes.clone()]),
        (200, 101, vec![yes.clone()]),
        (200, 500, vec![yes.clone()]),
        (200, 0, vec![no.clone()]),
        // The code contradicts the status.
        (200, 201, vec![but(&yes, json!({"messageErrorCode": 304}))]),
        (200, 201, vec![but(&no, json!({"messageErrorCode": 0}))]),
        // A code that needs a count of zero, with parts.
        (
            200,
            201,
            vec![but(&no, json!({"messageErrorCode": 500, "parts": 1}))],
        ),
        (
            200,
            201,
            vec![but(&no, json!({"messageErrorCode": 999, "parts": 1}))],
        ),
        (
            200,
            201,
            vec![but(&no, json!({"messageErrorCode": null, "parts": 1}))],
        ),
        // An undocumented status.
        (200, 0, vec![but(&yes, json!({"status": "Queued"}))]),
        (200, 0, vec![but(&yes, json!({"status": "accepted"}))]),
        (200, 0, vec![but(&yes, json!({"status": ""}))]),
        // Our reference, another's number.
        (200, 0, vec![but(&yes, json!({"to": "0031687654321"}))]),
        (200, 0, vec![but(&yes, json!({"to": "x"}))]),
        (
            200,
            0,
            vec![yes.clone(), but(&yes, json!({"to": "0031687654321"}))],
        ),
        // Two verdicts.
        (200, 201, vec![yes.clone(), no.clone()]),
        (200, 201, vec![no.clone(), yes.clone()]),
        (200, 201, vec![no.clone(), yes.clone(), no.clone()]),
        (200, 201, vec![yes.clone(), no.clone(), yes.clone()]),
        (
            200,
            201,
            vec![no.clone(), but(&no, json!({"status": "Queued"}))],
        ),
        (
            200,
            201,
            vec![but(&no, json!({"status": "Queued"})), no.clone()],
        ),
    ] {
        let what = json!(entries).to_string();
        let outcome = vendor.outcome(response(status, call, &entries)).await;
        assert_eq!(
            outcome,
            (ErrorKind::Protocol, Unknown),
            "{status} {call} {what}"
        );
    }
}

#[tokio::test]
async fn a_code_that_needs_a_count_of_zero_is_in_doubt_with_any_parts() {
    let vendor = Vendor::start().await;
    for code in [json!(500), json!(999), json!(null)] {
        let entry = |parts: &Value| {
            let members = json!({"messageErrorCode": code, "parts": parts});
            but(&rejected("a1", NUMBER, 999), members)
        };
        for parts in [
            json!(1),
            json!("1"),
            json!(" 2 "),
            json!("1.0"),
            json!(1.0),
            json!(0.5),
            json!("1e0"),
            json!(-1),
            json!("two"),
            json!([2]),
            json!(true),
        ] {
            let outcome = vendor.outcome(response(200, 201, &[entry(&parts)])).await;
            assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{code} {parts}");
        }
        for parts in [json!(0), json!(0.0), json!("0"), json!(""), json!(null)] {
            let outcome = vendor.outcome(response(200, 201, &[entry(&parts)])).await;
            assert_eq!(outcome, (ErrorKind::Other, NotAccepted), "{code} {parts}");
        }
    }
}

#[tokio::test]
async fn an_acceptance_is_no_refusal_at_any_status_and_in_any_form() {
    let vendor = Vendor::start().await;
    let yes = accepted("a1", NUMBER);
    for body in [
        json!({"details": "x", "errorCode": 0, "messages": [yes]}),
        json!({"details": "x", "errorCode": "0", "messages": [yes]}),
        json!({"messages": [yes]}),
        json!({"errorCode": 203, "messages": [yes]}),
    ] {
        for status in [400, 401, 404, 405, 413, 429] {
            let response = ResponseTemplate::new(status)
                .insert_header("www-authenticate", "Bearer")
                .set_body_json(&body);
            let outcome = vendor.outcome(response).await;
            assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{status} {body}");
        }
    }
}

#[tokio::test]
async fn a_success_that_does_not_mention_the_message_is_in_doubt() {
    let vendor = Vendor::start().await;
    let yes = accepted("a1", NUMBER);
    for entries in [
        vec![],
        vec![json!(null)],
        vec![json!(7)],
        vec![json!({})],
        vec![but(&yes, json!({"status": null}))],
        vec![but(&yes, json!({"reference": "b2"}))],
        vec![but(&yes, json!({"reference": "A1"}))],
        vec![but(&yes, json!({"reference": 7}))],
        vec![but(&yes, json!({"reference": null, "to": "0031687654321"}))],
        vec![but(&yes, json!({"reference": null, "to": "x"}))],
        vec![but(&yes, json!({"messageErrorCode": "0"}))],
    ] {
        let what = json!(entries).to_string();
        for code in [0, 201] {
            let outcome = vendor.outcome(response(200, code, &entries)).await;
            assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{what}");
        }
    }
    for body in [
        r#"{"errorCode": 0}"#,
        r#"{"errorCode": 0, "messages": null}"#,
        r#"{"errorCode": 0, "messages": {}}"#,
        r#"{"messages": [{"to": "0031612345678", "status": "Accepted", "reference": "a1"}]}"#,
        r#"{"errorCode": "0", "messages": [{"status": "Accepted", "reference": "a1"}]}"#,
        r#"{"errorCode": 0, "errorCode": 0, "messages": [{"status": "Accepted", "reference": "a1"}]}"#,
        r#"{"errorCode": 0, "messages": [{"status": "Rejected", "status": "Accepted", "reference": "a1"}]}"#,
        // A refused request is never documented with a success.
        r#"{"errorCode": 101, "messages": []}"#,
    ] {
        let response = ResponseTemplate::new(200).set_body_string(body);
        assert_eq!(
            vendor.outcome(response).await,
            (ErrorKind::Protocol, Unknown),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_verdict_matches_by_reference_then_number_then_position() {
    let vendor = Vendor::start().await;
    let yes = accepted("a1", NUMBER);
    for entry in [
        yes.clone(),
        but(&yes, json!({"to": null})),
        but(&yes, json!({"to": ""})),
        but(&yes, json!({"to": "+31612345678"})),
        but(&yes, json!({"to": "31612345678"})),
        but(&yes, json!({"reference": null})),
        but(&yes, json!({"reference": ""})),
        but(&yes, json!({"reference": null, "to": null})),
        json!({"status": "Accepted"}),
        but(&yes, json!({"parts": "1", "messageErrorCode": null})),
    ] {
        let outcome = vendor
            .send(response(200, 0, std::slice::from_ref(&entry)))
            .await;
        assert!(outcome.is_ok(), "{entry}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_invalid_count_of_parts_is_left_out() {
    let vendor = Vendor::start().await;
    for (parts, read) in [
        (json!(3), Some(3)),
        (json!(0), None),
        (json!(-1), None),
        (json!(65_536), None),
        (json!(1.5), None),
        (json!(null), None),
        (json!({"a": 1}), None),
    ] {
        let entry = but(&accepted("a1", NUMBER), json!({"parts": parts}));
        let receipt = vendor.send(response(200, 0, &[entry])).await.unwrap();
        assert_eq!(receipt.parts(), read, "{parts}");
    }
}

#[tokio::test]
async fn without_cms_shape_only_a_few_statuses_prove_anything() {
    let vendor = Vendor::start().await;
    for (status, kind, acceptance) in [
        (204, ErrorKind::Protocol, Unknown),
        (302, ErrorKind::Protocol, Unknown),
        (400, ErrorKind::Protocol, Unknown),
        (401, ErrorKind::Protocol, Unknown),
        (402, ErrorKind::Protocol, Unknown),
        (403, ErrorKind::Protocol, Unknown),
        (404, ErrorKind::Misconfigured, NotAccepted),
        (405, ErrorKind::Misconfigured, NotAccepted),
        (408, ErrorKind::Protocol, Unknown),
        (409, ErrorKind::Protocol, Unknown),
        (411, ErrorKind::Misconfigured, NotAccepted),
        (413, ErrorKind::Misconfigured, NotAccepted),
        (414, ErrorKind::Misconfigured, NotAccepted),
        (415, ErrorKind::Misconfigured, NotAccepted),
        (421, ErrorKind::Protocol, Unknown),
        (425, ErrorKind::Protocol, Unknown),
        (429, ErrorKind::Throttled, NotAccepted),
        (431, ErrorKind::Misconfigured, NotAccepted),
        (500, ErrorKind::Unavailable, Unknown),
        (502, ErrorKind::Unavailable, Unknown),
        (503, ErrorKind::Unavailable, Unknown),
        (504, ErrorKind::Unavailable, Unknown),
        (520, ErrorKind::Unavailable, Unknown),
        (521, ErrorKind::Unavailable, Unknown),
        (522, ErrorKind::Timeout, Unknown),
        (523, ErrorKind::Unavailable, Unknown),
        (524, ErrorKind::Timeout, Unknown),
        (525, ErrorKind::Unavailable, Unknown),
        (526, ErrorKind::Unavailable, Unknown),
    ] {
        for body in ["", "<html>no</html>", r#"{"message":"no"}"#] {
            let response = ResponseTemplate::new(status).set_body_string(body);
            assert_eq!(
                vendor.outcome(response).await,
                (kind, acceptance),
                "{status} {body}"
            );
        }
    }
    let challenged = ResponseTemplate::new(401).insert_header("www-authenticate", "Basic");
    assert_eq!(
        vendor.outcome(challenged).await,
        (ErrorKind::Unauthorized, NotAccepted)
    );
    let throttled = ResponseTemplate::new(429).insert_header("retry-after", "7");
    assert_eq!(
        vendor.error(throttled).await.retry_after(),
        Some(Duration::from_secs(7))
    );
}

#[tokio::test]
async fn a_body_that_only_resembles_cm_proves_nothing() {
    let vendor = Vendor::start().await;
    for body in [
        json!({"errorcode": 101}),
        json!({"errorCode": "101", "messages": []}),
        json!({"errorCode": null, "messages": []}),
        json!({"errorCode": 101.5, "messages": []}),
        json!({"errorCode": 101, "messages": "none"}),
        json!({"messages": [rejected("a1", NUMBER, 304)]}),
        json!([{"errorCode": 101}]),
        // CM always writes all three members.
        json!({"errorCode": 101}),
        json!({"errorCode": 101, "message": "x"}),
        json!({"errorCode": 102, "errorMessage": "x", "timestamp": 1}),
        json!({"errorCode": 203}),
        json!({"errorCode": 101, "messages": []}),
        json!({"errorCode": 101, "messages": null}),
        json!({"errorCode": 203, "details": "x"}),
        json!({"errorCode": 101, "details": null, "messages": []}),
        json!({"errorCode": 101, "details": {"x": 1}, "messages": []}),
        json!({"errorCode": 201, "messages": [{"status": "Rejected", "messageErrorCode": 304}]}),
    ] {
        for status in [400, 401, 403, 408, 422] {
            let response = ResponseTemplate::new(status).set_body_json(&body);
            assert_eq!(
                vendor.outcome(response).await,
                (ErrorKind::Protocol, Unknown),
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_status_that_alone_is_proof_remains_one_in_cms_shape() {
    let vendor = Vendor::start().await;
    for code in [500, 999, 777] {
        assert_eq!(
            vendor.outcome(response(429, code, &[])).await,
            (ErrorKind::Throttled, NotAccepted)
        );
        assert_eq!(
            vendor.outcome(response(404, code, &[])).await,
            (ErrorKind::Misconfigured, NotAccepted)
        );
    }
}

#[tokio::test]
async fn a_redirect_and_all_from_500_up_are_in_doubt_with_any_body() {
    let vendor = Vendor::start().await;
    for entries in [
        vec![],
        vec![rejected("a1", NUMBER, 304)],
        vec![accepted("a1", NUMBER)],
    ] {
        for code in [0, 101, 201, 500] {
            for status in [500, 502, 503] {
                assert_eq!(
                    vendor.outcome(response(status, code, &entries)).await,
                    (ErrorKind::Unavailable, Unknown),
                    "{status} {code}"
                );
            }
            assert_eq!(
                vendor.outcome(response(307, code, &entries)).await,
                (ErrorKind::Protocol, Unknown)
            );
        }
    }
}

#[tokio::test]
async fn a_code_of_more_than_three_digits_is_not_kept() {
    let vendor = Vendor::start().await;
    for code in [1234, 123_456, 31_612_345] {
        let entry = rejected("a1", NUMBER, code);
        assert_eq!(
            vendor.error(response(400, 201, &[entry])).await.code(),
            None
        );
        assert_eq!(vendor.error(response(400, code, &[])).await.code(), None);
    }
}
