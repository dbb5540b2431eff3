use std::time::Duration;

use postduif_sandbox::{Fault, Sandbox};
use serde_json::json;

use crate::{
    client::{FORM, JSON, KPN_SEND, authority, call, kpn_token, text, with_token, write},
    processed::assert_faults_of,
};

const TOKEN: &str = "/kpn/oauth/client_credential/accesstoken?grant_type=client_credentials";

#[tokio::test]
async fn both_styles_of_credentials_give_a_token_whose_numbers_are_strings() {
    let sandbox = Sandbox::start().await;
    let basic = [("Authorization", "Basic c2FuZGJveDpzYW5kYm94")];
    let form = "client_id=sandbox&client_secret=sandbox";
    for (headers, body) in [(basic, ""), ([FORM], form)] {
        let response = call(&sandbox, "POST", TOKEN, &headers, body).await.unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(response.json()["expires_in"], "3599");
        assert_eq!(response.json()["token_type"], "Bearer");
    }
}

#[tokio::test]
async fn wrong_credentials_are_refused_in_the_token_endpoints_shape() {
    let sandbox = Sandbox::start().await;
    for body in [
        "",
        "client_id=sandbox",
        "client_id=me&client_secret=sandbox",
        "client_id=sandbox&client_secret=wrong",
    ] {
        let response = call(&sandbox, "POST", TOKEN, &[FORM], body).await.unwrap();
        assert_eq!(response.status, 401, "{body}");
        assert_eq!(response.json()["ErrorCode"], "invalid_client");
    }
    let path = TOKEN.split('?').next().unwrap();
    let body = "grant_type=client_credentials&client_id=sandbox&client_secret=sandbox";
    let response = call(&sandbox, "POST", path, &[FORM], body).await.unwrap();
    assert_eq!(response.status, 400, "the grant type belongs in the query");
}

#[tokio::test]
async fn an_accepted_text_is_recorded_as_the_phone_will_have_it() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    let mut body = text("0612345678", &"€".repeat(81));
    body["expirein"] = json!("1800");
    let response = with_token(&sandbox, &token, "POST", KPN_SEND, &body)
        .await
        .unwrap();

    assert_eq!(response.status, 200);
    assert_eq!(response.json()["status"], "OK");
    assert_eq!(response.header("quota-limit"), Some("1000"));
    let message = sandbox.message_to("+31612345678").unwrap();
    assert_eq!(response.json()["document_id"], message.id);
    assert_eq!(message.vendor, "kpn");
    assert_eq!(message.sender, "Postduif");
    assert_eq!(message.text, "€".repeat(81));
    assert_eq!(message.reference.as_deref(), Some("01J9Z8"));
    assert_eq!(message.validity_s, Some(1800));
    assert_eq!(message.parts, 2);
    assert_eq!(sandbox.messages().len(), 1);
}

#[tokio::test]
async fn a_bad_text_is_refused_without_a_cause_and_not_recorded() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    let response = with_token(
        &sandbox,
        &token,
        "POST",
        KPN_SEND,
        &text("06 12345678", "Hello"),
    )
    .await
    .unwrap();
    assert_eq!(response.status, 400);
    assert_eq!(response.json()["errorResponse"]["code"], "400");
    assert_eq!(response.json()["errorResponse"]["message"], "Bad Request");
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn a_token_is_required_and_bearer_is_its_only_scheme() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    let body = text("+31612345678", "Hello").to_string();
    let json = ("Content-Type", "application/json");

    let response = call(&sandbox, "POST", KPN_SEND, &[json], &body)
        .await
        .unwrap();
    assert_eq!(response.status, 401);
    assert_eq!(response.json()["errorResponse"]["code"], "401");

    let old = format!("BearerToken {token}");
    let response = call(
        &sandbox,
        "POST",
        KPN_SEND,
        &[json, ("Authorization", &old)],
        &body,
    )
    .await
    .unwrap();
    assert_eq!(response.status, 401);

    let wrong = ("Authorization", "Bearer wrong");
    let response = call(&sandbox, "POST", KPN_SEND, &[json, wrong], &body)
        .await
        .unwrap();
    assert_eq!(response.status, 401);
    assert_eq!(
        response.json()["fault"]["detail"]["errorcode"],
        "keymanagement.service.invalid_access_token"
    );
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn a_token_is_refused_after_its_lifetime() {
    let sandbox = Sandbox::builder()
        .token_life(Duration::ZERO)
        .start()
        .await
        .unwrap();
    let token = kpn_token(&sandbox).await;
    let response = with_token(
        &sandbox,
        &token,
        "POST",
        KPN_SEND,
        &text("+31612345678", "Hello"),
    )
    .await
    .unwrap();
    assert_eq!(response.status, 401);
    assert_eq!(
        response.json()["fault"]["detail"]["errorcode"],
        "keymanagement.service.access_token_expired"
    );
}

#[tokio::test]
async fn refusals_by_a_fault_have_kpns_own_shape() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    let body = text("+31612345678", "The pass is X7kq2Rm!");
    for (fault, status) in [
        (Fault::BadNumber, 400),
        (Fault::BadSender, 400),
        (Fault::Blocked, 400),
        (Fault::EchoText, 400),
        (Fault::NoCredit, 400),
        (Fault::Unauthorized, 401),
    ] {
        sandbox.fault("kpn.send", fault);
        let response = with_token(&sandbox, &token, "POST", KPN_SEND, &body)
            .await
            .unwrap();
        assert_eq!(response.status, status, "{fault}");
        let shown = response.json()["errorResponse"]["message"].to_string();
        let echoes = shown.contains("X7kq2Rm!") && shown.contains("+31612345678");
        assert_eq!(echoes, fault == Fault::EchoText, "{fault}: {shown}");
    }
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn a_throttle_hints_at_its_end_by_date_and_by_seconds() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    sandbox.fault("kpn.send", Fault::Throttle).ms(2500);
    let response = with_token(
        &sandbox,
        &token,
        "POST",
        KPN_SEND,
        &text("+31612345678", "Hello"),
    )
    .await
    .unwrap();
    assert_eq!(response.status, 429);
    assert_eq!(response.header("retry-after"), Some("3"));
    assert!(response.header("quota-reset-utc").unwrap().ends_with('Z'));
    assert_eq!(
        response.json()["fault"]["detail"]["errorcode"],
        "policies.ratelimit.QuotaViolation"
    );
}

#[tokio::test]
async fn unauthorized_once_revokes_the_token_of_the_request() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    let body = text("+31612345678", "Hello");
    sandbox.fault("kpn.send", Fault::UnauthorizedOnce);
    for (token, status) in [
        (token.clone(), 401),
        (token, 401),
        (kpn_token(&sandbox).await, 200),
    ] {
        let response = with_token(&sandbox, &token, "POST", KPN_SEND, &body)
            .await
            .unwrap();
        assert_eq!(response.status, status);
    }
}

#[tokio::test]
async fn the_text_of_a_response_without_an_id_is_accepted() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    sandbox.fault("kpn.send", Fault::OkWithoutId);
    let response = with_token(
        &sandbox,
        &token,
        "POST",
        KPN_SEND,
        &text("+31612345678", "Hello"),
    )
    .await
    .unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(response.json(), json!({"status": "OK"}));
    assert_eq!(sandbox.messages().len(), 1);
}

#[tokio::test]
async fn its_url_to_copy_holds_good_credentials_and_a_sender() {
    let sandbox = Sandbox::start().await;
    let host = authority(&sandbox);
    assert_eq!(
        sandbox.sms_url("kpn"),
        format!("kpn://sandbox:sandbox@{host}/kpn?sender=Postduif")
    );
}

#[tokio::test]
async fn every_fault_leaves_behind_what_it_says() {
    assert_faults_of("kpn.send", KPN_SEND, async |sandbox| {
        let bearer = format!("Bearer {}", kpn_token(sandbox).await);
        let headers = [JSON, ("Authorization", bearer.as_str())];
        let body = text("+31612345678", "Hello").to_string();
        write(&authority(sandbox), "POST", KPN_SEND, &headers, &body).await
    })
    .await;
}
