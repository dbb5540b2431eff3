use std::time::Duration;

use postduif_core::{Acceptance, ErrorKind, SendError, SmsProvider as _};
use postduif_kpn::Kpn;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::wire::{message, mount_send, sends, server, url};

async fn error(response: ResponseTemplate) -> SendError {
    let server = server().await;
    mount_send(&server, response).await;
    let error = Kpn::from_url(&url(&server, ""))
        .unwrap()
        .send(&message())
        .await
        .unwrap_err();
    assert_eq!(sends(&server).await, 1);
    error
}

/// KPN's error shapes, except those of the token endpoint and the gateway, which have codes.
fn shapes(status: u16) -> [Value; 3] {
    let flat = json!({
        "transactionId": "b1c2", "status": status.to_string(), "name": "x", "message": "x", "info": "x"
    });
    [
        json!({"errorResponse": {"code": status.to_string(), "message": "x", "info": "https://x.test"}}),
        json!({"error": flat.clone()}),
        flat,
    ]
}

#[tokio::test]
async fn kpns_own_refusals_prove_that_nothing_was_sent() {
    for (status, kind) in [
        (400, ErrorKind::Other),
        (403, ErrorKind::Unauthorized),
        (404, ErrorKind::Misconfigured),
        (405, ErrorKind::Misconfigured),
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
async fn a_refusal_of_the_gateway_before_its_target_proves_that_nothing_was_sent() {
    for (code, kind) in [
        (
            "keymanagement.service.InvalidAPICallAsNoApiProductMatchFound",
            ErrorKind::Unauthorized,
        ),
        (
            "keymanagement.service.access_token_not_approved",
            ErrorKind::Unauthorized,
        ),
        (
            "keymanagement.service.apiresource_doesnot_exist",
            ErrorKind::Unauthorized,
        ),
        (
            "messaging.adaptors.http.flow.ApplicationNotFound",
            ErrorKind::Misconfigured,
        ),
    ] {
        for status in [400, 401, 403, 404, 500] {
            let error = error(ResponseTemplate::new(status).set_body_json(fault(code))).await;
            assert_eq!(
                (error.kind(), error.acceptance(), error.code()),
                (kind, Acceptance::NotAccepted, Some(code)),
                "{status}"
            );
        }
    }
}

#[tokio::test]
async fn a_gateway_code_that_is_not_in_the_list_proves_nothing() {
    for code in [
        "",
        "x.y",
        "steps.jsonthreatprotection.ExecutionFailed",
        "steps.raisefault.RaiseFault",
        "messaging.adaptors.http.flow.ErrorResponseCode",
        "oauth.v2.InvalidAccessToken ",
    ] {
        for status in [400, 401, 403, 408, 422] {
            let error = error(ResponseTemplate::new(status).set_body_json(fault(code))).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Protocol, Acceptance::Unknown),
                "{status} {code}"
            );
        }
    }
}

#[tokio::test]
async fn an_id_in_a_response_that_is_no_success_is_in_doubt_at_any_status() {
    let id = json!({"document_id": "5f0c7f1e", "status": "OK"});
    let mut bodies = vec![id.clone(), json!({"document_id": 7})];
    for error in [
        json!({"errorResponse": {"code": "401", "message": "x"}}),
        fault("oauth.v2.AccessTokenExpired"),
        fault("policies.ratelimit.QuotaViolation"),
    ] {
        let mut body = id.clone();
        body.as_object_mut()
            .unwrap()
            .extend(error.as_object().unwrap().clone());
        bodies.push(body);
    }
    for body in bodies {
        for status in [400, 401, 403, 404, 405, 409, 413, 429, 500] {
            let response = ResponseTemplate::new(status)
                .insert_header("www-authenticate", "Bearer")
                .set_body_json(&body);
            let error = error(response).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Protocol, Acceptance::Unknown),
                "{status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_blank_id_beside_a_refusal_is_ignored() {
    for id in [json!(null), json!(""), json!(" ")] {
        let body = json!({"document_id": id, "errorResponse": {"code": "400", "message": "x"}});
        let error = error(ResponseTemplate::new(400).set_body_json(&body)).await;
        assert_eq!(error.acceptance(), Acceptance::NotAccepted, "{body}");
    }
}

#[tokio::test]
async fn an_id_of_any_type_contradicts_a_refusal() {
    for id in [
        json!("5f0c7f1e"),
        json!(7),
        json!(["x"]),
        json!([]),
        json!({}),
    ] {
        let body = json!({"document_id": id, "errorResponse": {"code": "400", "message": "x"}});
        let error = error(ResponseTemplate::new(400).set_body_json(&body)).await;
        assert_eq!(error.acceptance(), Acceptance::Unknown, "{body}");
    }
}

#[tokio::test]
async fn a_wrong_path_is_misconfigured() {
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
async fn from_500_up_every_other_refusal_is_in_doubt() {
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
async fn at_the_statuses_of_a_timeout_only_a_listed_code_is_a_refusal() {
    for status in [408, 409, 425, 499] {
        for body in shapes(status) {
            let error = error(ResponseTemplate::new(status).set_body_json(&body)).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Protocol, Acceptance::Unknown),
                "{status} {body}"
            );
        }
        let listed = fault("policies.ratelimit.SpikeArrestViolation");
        let error = error(ResponseTemplate::new(status).set_body_json(listed)).await;
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Throttled, Acceptance::NotAccepted),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_body_that_only_resembles_kpns_proves_nothing() {
    for body in [
        json!({"errorResponse": "no"}),
        json!({"errorResponse": {}}),
        json!({"errorResponse": {"code": null, "message": "x"}}),
        json!({"fault": {"faultstring": "x"}}),
        json!({"fault": true}),
        json!({"transactionId": 7}),
        json!({"transactionId": "b1c2"}),
        json!({"transactionId": "b1c2", "message": "x"}),
        json!({"transactionId": "b1c2", "status": "403"}),
        json!({"transactionId": "b1c2", "status": "failed"}),
        json!({"status": "400", "message": "x"}),
        json!({"error": {"message": "x"}}),
        json!({"error": {"transactionId": "b1c2"}}),
        json!({"error": {"transactionId": "b1c2"}, "status": "400"}),
        json!({"ErrorCode": "invalid_client"}),
        // An id beside an error is a contradiction.
        json!({"document_id": "5f0c7f1e", "errorResponse": {"code": "400"}}),
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
async fn foreign_json_is_no_refusal_and_causes_no_second_post() {
    let server = server().await;
    let kpn = Kpn::from_url(&url(&server, "")).unwrap();
    kpn.check().await.unwrap();
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
            server.reset().await;
            mount_send(&server, ResponseTemplate::new(status).set_body_json(&body)).await;
            let error = kpn.send(&message()).await.unwrap_err();
            assert_eq!(error.acceptance(), Acceptance::Unknown, "{status} {body}");
            let requests = server.received_requests().await.unwrap();
            assert_eq!(requests.len(), 1, "{status} {body}");
        }
    }
}

#[tokio::test]
async fn a_success_with_an_error_is_in_doubt() {
    for error in [
        json!({"errorResponse": {"code": "400", "message": "x"}}),
        fault("policies.ratelimit.QuotaViolation"),
    ] {
        let mut body = error;
        body["document_id"] = json!("5f0c7f1e");
        let server = server().await;
        mount_send(&server, ResponseTemplate::new(200).set_body_json(&body)).await;
        let kpn = Kpn::from_url(&url(&server, "")).unwrap();
        let error = kpn.send(&message()).await.unwrap_err();
        assert_eq!(error.acceptance(), Acceptance::Unknown, "{body}");
    }
}

#[tokio::test]
async fn an_unusable_id_is_in_doubt() {
    for id in [" ", "\t", "a\u{1b}[31mb", "a\nb", &"x".repeat(257)] {
        let response = ResponseTemplate::new(200).set_body_json(json!({"document_id": id}));
        let error = error(response).await;
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Protocol, Acceptance::Unknown),
            "{id:?}"
        );
    }
}

fn fault(code: &str) -> Value {
    json!({"fault": {"faultstring": "x", "detail": {"errorcode": code}}})
}

fn over_quota() -> ResponseTemplate {
    ResponseTemplate::new(500).set_body_json(fault("policies.ratelimit.QuotaViolation"))
}

#[tokio::test]
async fn a_used_up_quota_waits_for_its_reset_in_any_format() {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let at = chrono::DateTime::from_timestamp(i64::try_from(now).unwrap() + 600, 0).unwrap();
    for value in [
        (now + 600).to_string(),
        ((now + 600) * 1000).to_string(),
        at.to_rfc3339(),
        at.to_rfc2822(),
    ] {
        let error = error(over_quota().insert_header("quota-reset-UTC", value.as_str())).await;
        let wait = error.retry_after().unwrap();
        assert!(
            (Duration::from_secs(300)..=Duration::from_secs(600)).contains(&wait),
            "{value}: {wait:?}"
        );
    }
    for value in ["soon", "", "-1", "99999999999999999999"] {
        let error = error(over_quota().insert_header("quota-reset-UTC", value)).await;
        assert_eq!(
            (error.kind(), error.retry_after()),
            (ErrorKind::Throttled, None),
            "{value}"
        );
    }
}

#[tokio::test]
async fn the_reset_of_the_quota_is_a_delay_for_the_quota_only() {
    let spike = |status| {
        ResponseTemplate::new(status)
            .set_body_json(fault("policies.ratelimit.SpikeArrestViolation"))
    };
    for response in [
        spike(500),
        spike(429),
        ResponseTemplate::new(429),
        ResponseTemplate::new(429).set_body_json(&shapes(429)[0]),
    ] {
        let response = response.insert_header("quota-reset-UTC", "4102444800");
        let without = error(response.clone()).await;
        assert_eq!(
            (without.kind(), without.retry_after()),
            (ErrorKind::Throttled, None)
        );
        let with = error(response.insert_header("retry-after", "1")).await;
        assert_eq!(with.retry_after(), Some(Duration::from_secs(1)));
    }
}

#[tokio::test]
async fn retry_after_takes_precedence_over_the_reset_of_the_quota() {
    let response = over_quota()
        .insert_header("quota-reset-UTC", "4102444800")
        .insert_header("retry-after", "1");
    let error = error(response).await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
}
