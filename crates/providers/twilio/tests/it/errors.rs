use postduif_core::{Acceptance, Credentials, ErrorKind, Health, SendError, SmsProvider as _};
use postduif_twilio::Twilio;
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header_exists, method, path},
};

use super::wire::{ACCOUNT, KEY, SID, message, server, twilio};

/// Twilio's shape, whose message repeats the whole number.
fn refusal(status: u16, code: impl Into<Value>) -> Value {
    let code = code.into();
    json!({
        "code": code, "message": "The 'To' number +31612345678 is not valid: Your code is 482910",
        "more_info": format!("https://www.twilio.com/docs/errors/{code}"), "status": status
    })
}

async fn error(status: u16, body: &Value) -> SendError {
    let server = server(ResponseTemplate::new(status).set_body_json(body)).await;
    let twilio = twilio(&server, "sender=Contoso");
    let error = twilio.send(&message()).await.unwrap_err();
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("482910") && !shown.contains("612345678"));
    error
}

#[tokio::test]
async fn each_listed_code_proves_a_refusal_of_its_kind() {
    for (status, code, kind) in [
        (401, 20003, ErrorKind::Unauthorized),
        (404, 20404, ErrorKind::Misconfigured),
        (429, 20429, ErrorKind::Throttled),
        (400, 21211, ErrorKind::InvalidRecipient),
        (400, 21212, ErrorKind::InvalidSender),
        (400, 21266, ErrorKind::InvalidRecipient),
        (400, 21408, ErrorKind::Misconfigured),
        (400, 21603, ErrorKind::InvalidSender),
        (400, 21606, ErrorKind::InvalidSender),
        (400, 21608, ErrorKind::Misconfigured),
        (400, 21610, ErrorKind::Blocked),
        (400, 21612, ErrorKind::Misconfigured),
        (400, 21614, ErrorKind::InvalidRecipient),
        (400, 21617, ErrorKind::InvalidText),
        (400, 21619, ErrorKind::InvalidText),
        (400, 35114, ErrorKind::Unsupported),
        (400, 35118, ErrorKind::Unsupported),
        (403, 70051, ErrorKind::Unauthorized),
        (400, 90007, ErrorKind::Unsupported),
    ] {
        let error = error(status, &refusal(status, code)).await;
        assert_eq!(
            (error.kind(), error.acceptance()),
            (kind, Acceptance::NotAccepted),
            "{code}"
        );
        assert_eq!(error.code(), Some(code.to_string().as_str()));
    }
}

#[tokio::test]
async fn twilios_words_are_kept_without_the_number_and_the_text() {
    let template = ResponseTemplate::new(400).set_body_json(refusal(400, 21211));
    let server = server(template).await;
    let twilio = twilio(&server, "sender=Contoso&vendor_messages=true");
    let error = twilio.send(&message()).await.unwrap_err();
    assert_eq!(
        error.vendor_message(),
        Some("The 'To' number … is not valid: … is …")
    );
}

#[tokio::test]
async fn another_vendor_may_try_what_the_account_cannot_reach() {
    for (code, reroutes) in [
        (21211, false),
        (21408, true),
        (21608, true),
        (21610, false),
        (21612, true),
    ] {
        let error = error(400, &refusal(400, code)).await;
        assert_eq!(error.may_reroute(), reroutes, "{code}");
    }
}

#[tokio::test]
async fn a_code_that_is_not_listed_is_kept_whole() {
    for code in ["1", "21654", "63038"] {
        let number: u64 = code.parse().unwrap();
        for status in [400, 403, 422] {
            let error = error(status, &refusal(status, number)).await;
            assert_eq!(
                (error.kind(), error.acceptance(), error.code()),
                (ErrorKind::Other, Acceptance::NotAccepted, Some(code)),
                "{status}"
            );
        }
    }
    // A part of the text or the number, or longer than any code: six digits could be a code that a person was sent.
    for echo in [48291, 82910, 12345, 120_210, 1_234_567] {
        let error = error(400, &refusal(400, echo)).await;
        assert_eq!((error.kind(), error.code()), (ErrorKind::Other, None));
    }
    let throttled = error(429, &refusal(429, 14107)).await;
    assert_eq!(
        (throttled.kind(), throttled.code()),
        (ErrorKind::Throttled, Some("14107"))
    );
}

#[tokio::test]
async fn from_500_up_and_at_a_redirect_no_code_proves_anything() {
    for status in [500, 502, 503, 504] {
        for code in [20003, 20429, 20500, 21211, 12345] {
            let error = error(status, &refusal(status, code)).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Unavailable, Acceptance::Unknown),
                "{status} {code}"
            );
        }
    }
    for status in [301, 307] {
        let error = error(status, &refusal(status, 21211)).await;
        assert_eq!(error.acceptance(), Acceptance::Unknown, "{status}");
    }
}

#[tokio::test]
async fn what_is_not_the_whole_shape_is_not_twilios() {
    let whole = refusal(400, 21211);
    let mut bodies = vec![
        // RFC 9457, which anybody writes.
        json!({"type": "https://x.test/21211", "title": "x", "status": 400, "code": 21211, "errors": []}),
        refusal(400, "21211"),
        refusal(400, -21211),
        refusal(400, 21211.5),
        refusal(422, 21211),
        json!([whole]),
    ];
    for member in ["code", "message", "more_info", "status"] {
        let mut body = whole.clone();
        body.as_object_mut().unwrap().remove(member);
        bodies.push(body);
    }
    for body in bodies {
        let error = error(400, &body).await;
        assert_eq!(
            (error.kind(), error.acceptance(), error.code()),
            (ErrorKind::Protocol, Acceptance::Unknown, None),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_refusal_beside_a_sid_is_in_doubt_whatever_the_status() {
    for status in [400, 401, 404, 429, 500] {
        for sid in [json!(SID), json!(7), json!([])] {
            let mut body = refusal(status, 21211);
            body["sid"] = sid;
            let error = error(status, &body).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Protocol, Acceptance::Unknown),
                "{body}"
            );
        }
    }
}

/// Checks the credentials of an auth token, or of an API key, against this response to the one request.
async fn check(has_key: bool, status: u16, body: Value) -> Result<Health, SendError> {
    let server = MockServer::start().await;
    let resource = if has_key {
        "Messages/SM00000000000000000000000000000000.json"
    } else {
        "Balance.json"
    };
    Mock::given(method("GET"))
        .and(path(format!("/2010-04-01/Accounts/{ACCOUNT}/{resource}")))
        .and(header_exists("authorization"))
        .respond_with(ResponseTemplate::new(status).set_body_json(body))
        .expect(1)
        .mount(&server)
        .await;
    let host = server.address();
    let url = if has_key {
        format!("twilio://{KEY}:secret@{host}?account={ACCOUNT}")
    } else {
        format!("twilio://{ACCOUNT}:token@{host}")
    };
    Twilio::from_url(&url).unwrap().check().await
}

#[tokio::test]
async fn a_check_asks_for_the_balance_and_with_a_key_for_a_missing_message() {
    let balance = json!({"account_sid": ACCOUNT, "balance": "-0.0075", "currency": "USD"});
    let health = check(false, 200, balance).await.unwrap();
    assert_eq!(health.credentials(), Credentials::Verified);
    assert_eq!(health.balance().unwrap().to_string(), "-0.0075 USD");

    let subaccount = json!({"account_sid": ACCOUNT, "balance": null, "currency": null});
    let health = check(false, 200, subaccount).await.unwrap();
    assert_eq!(health, Health::verified());
    for has_key in [false, true] {
        let health = check(has_key, 404, refusal(404, 20404)).await.unwrap();
        assert_eq!(health, Health::verified());
    }
}

#[tokio::test]
async fn a_check_says_that_credentials_are_refused_and_when_it_cannot_tell() {
    for has_key in [false, true] {
        let health = check(has_key, 401, refusal(401, 20003)).await.unwrap();
        assert_eq!(health.credentials(), Credentials::Refused, "{has_key}");
        assert_eq!(health.refusal().unwrap().code(), Some("20003"));
    }
    // Also the refusal of a restricted key that may send.
    let health = check(true, 401, refusal(401, 70051)).await.unwrap();
    assert_eq!(health.credentials(), Credentials::Unknown);
    let health = check(false, 401, refusal(401, 70051)).await.unwrap();
    assert_eq!(health.credentials(), Credentials::Refused);
}

#[tokio::test]
async fn a_check_believes_no_stranger() {
    for (status, body) in [
        (200, json!({"balance": "1", "currency": "EUR"})),
        (
            200,
            json!({"account_sid": "ACffffffffffffffffffffffffffffffff", "balance": "1", "currency": "EUR"}),
        ),
        (404, json!({"code": 20404})),
        (503, refusal(503, 20404)),
        (503, refusal(503, 70051)),
    ] {
        for has_key in [false, true] {
            let outcome = check(has_key, status, body.clone()).await;
            let expected = match status {
                200 => ErrorKind::Protocol,
                404 => ErrorKind::Misconfigured,
                _ => ErrorKind::Unavailable,
            };
            assert_eq!(outcome.unwrap_err().kind(), expected, "{status} {body}");
        }
    }
}
