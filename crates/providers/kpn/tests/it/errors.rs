use std::time::Duration;

use postduif_core::{Acceptance, ErrorKind, SendError, SmsProvider as _};
use postduif_kpn::Kpn;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::wire::{message, mount_send, sends, server, url};

async fn error(answer: ResponseTemplate) -> SendError {
    let server = server().await;
    mount_send(&server, answer).await;
    let error = Kpn::from_url(&url(&server, ""))
        .unwrap()
        .send(&message())
        .await
        .unwrap_err();
    assert_eq!(sends(&server).await, 1);
    error
}

/// The shapes in which KPN speaks, beside the token endpoint's.
fn shapes(status: u16) -> [Value; 4] {
    let flat = json!({
        "transactionId": "b1c2", "status": status.to_string(), "name": "x", "message": "x", "info": "x"
    });
    [
        json!({"errorResponse": {"code": status.to_string(), "message": "x", "info": "https://x.test"}}),
        json!({"error": flat.clone()}),
        flat,
        json!({"fault": {"faultstring": "x", "detail": {"errorcode": "steps.jsonthreatprotection.ExecutionFailed"}}}),
    ]
}

#[tokio::test]
async fn kpns_own_refusals_prove_that_nothing_was_sent() {
    for (status, kind) in [
        (400, ErrorKind::Other),
        (403, ErrorKind::Unauthorized),
        (404, ErrorKind::Misconfigured),
        (405, ErrorKind::Misconfigured),
        (409, ErrorKind::Other),
        (422, ErrorKind::Other),
        (429, ErrorKind::Throttled),
    ] {
        for body in shapes(status) {
            let error = error(ResponseTemplate::new(status).set_body_json(&body)).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (kind, Acceptance::NotAccepted),
                "{status} {body}"
            );
            assert_eq!(error.code(), Some(status.to_string().as_str()));
        }
    }
}

#[tokio::test]
async fn a_wrong_path_is_a_matter_of_configuration() {
    let fault = json!({"fault": {"faultstring": "x", "detail": {"errorcode": "messaging.adaptors.http.flow.ApplicationNotFound"}}});
    let error = error(ResponseTemplate::new(404).set_body_json(fault)).await;
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Misconfigured, Acceptance::NotAccepted)
    );
}

#[tokio::test]
async fn a_quota_fault_hidden_in_a_500_was_not_sent() {
    for code in [
        "policies.ratelimit.QuotaViolation",
        "policies.ratelimit.SpikeArrestViolation",
    ] {
        for status in [429, 500] {
            let fault = json!({"fault": {"faultstring": "x", "detail": {"errorcode": code}}});
            let error = error(ResponseTemplate::new(status).set_body_json(fault)).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Throttled, Acceptance::NotAccepted)
            );
            assert_eq!(error.code(), Some(code));
        }
    }
}

#[tokio::test]
async fn from_500_up_all_else_is_in_doubt_in_kpns_shape_too() {
    for status in [500, 502, 503, 504] {
        for body in shapes(status) {
            let error = error(ResponseTemplate::new(status).set_body_json(&body)).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Unavailable, Acceptance::Unknown),
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn what_looks_like_kpn_and_is_not_proves_nothing() {
    for body in [
        json!({"errorResponse": "no"}),
        json!({"errorResponse": {}}),
        json!({"fault": {"faultstring": "x"}}),
        json!({"fault": true}),
        json!({"transactionId": 7}),
        json!({"error": {"message": "x"}}),
        json!({"ErrorCode": "invalid_client"}),
    ] {
        let error = error(ResponseTemplate::new(400).set_body_json(&body)).await;
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Protocol, Acceptance::Unknown),
            "{body}"
        );
    }
}

#[tokio::test]
async fn the_wait_is_read_from_the_quotas_reset_in_any_form() {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let at = chrono::DateTime::from_timestamp(i64::try_from(now).unwrap() + 60, 0).unwrap();
    for value in [
        (now + 60).to_string(),
        ((now + 60) * 1000).to_string(),
        at.to_rfc3339(),
        at.to_rfc2822(),
    ] {
        let error =
            error(ResponseTemplate::new(429).insert_header("quota-reset-UTC", value.as_str()))
                .await;
        let wait = error.retry_after().unwrap();
        assert!(
            (Duration::from_secs(50)..=Duration::from_secs(60)).contains(&wait),
            "{value}: {wait:?}"
        );
    }
    for value in ["soon", "", "-1", "99999999999999999999"] {
        let error = error(ResponseTemplate::new(429).insert_header("quota-reset-UTC", value)).await;
        assert_eq!(
            (error.kind(), error.retry_after()),
            (ErrorKind::Throttled, None),
            "{value}"
        );
    }
}
