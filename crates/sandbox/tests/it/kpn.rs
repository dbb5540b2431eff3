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
        let answer = call(&sandbox, "POST", TOKEN, &headers, body).await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["expires_in"], "3599");
        assert_eq!(answer.json()["token_type"], "Bearer");
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
        let answer = call(&sandbox, "POST", TOKEN, &[FORM], body).await.unwrap();
        assert_eq!(answer.status, 401, "{body}");
        assert_eq!(answer.json()["ErrorCode"], "invalid_client");
    }
    let path = TOKEN.split('?').next().unwrap();
    let body = "grant_type=client_credentials&client_id=sandbox&client_secret=sandbox";
    let answer = call(&sandbox, "POST", path, &[FORM], body).await.unwrap();
    assert_eq!(answer.status, 400, "the grant type belongs in the query");
}

#[tokio::test]
async fn an_accepted_text_is_recorded_as_the_phone_will_have_it() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    let mut body = text("0612345678", &"€".repeat(81));
    body["expirein"] = json!("1800");
    let answer = with_token(&sandbox, &token, "POST", KPN_SEND, &body)
        .await
        .unwrap();

    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["status"], "OK");
    assert_eq!(answer.header("quota-limit"), Some("1000"));
    let message = sandbox.message_to("+31612345678").unwrap();
    assert_eq!(answer.json()["document_id"], message.id);
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
    let answer = with_token(
        &sandbox,
        &token,
        "POST",
        KPN_SEND,
        &text("06 12345678", "Hello"),
    )
    .await
    .unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["errorResponse"]["code"], "400");
    assert_eq!(answer.json()["errorResponse"]["message"], "Bad Request");
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn a_token_is_needed_and_only_the_word_bearer_brings_it() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    let body = text("+31612345678", "Hello").to_string();
    let json = ("Content-Type", "application/json");

    let answer = call(&sandbox, "POST", KPN_SEND, &[json], &body)
        .await
        .unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["errorResponse"]["code"], "401");

    let old = format!("BearerToken {token}");
    let answer = call(
        &sandbox,
        "POST",
        KPN_SEND,
        &[json, ("Authorization", &old)],
        &body,
    )
    .await
    .unwrap();
    assert_eq!(answer.status, 401);

    let wrong = ("Authorization", "Bearer wrong");
    let answer = call(&sandbox, "POST", KPN_SEND, &[json, wrong], &body)
        .await
        .unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.json()["fault"]["detail"]["errorcode"],
        "keymanagement.service.invalid_access_token"
    );
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn a_token_is_dead_after_its_life() {
    let sandbox = Sandbox::builder()
        .token_life(Duration::ZERO)
        .start()
        .await
        .unwrap();
    let token = kpn_token(&sandbox).await;
    let answer = with_token(
        &sandbox,
        &token,
        "POST",
        KPN_SEND,
        &text("+31612345678", "Hello"),
    )
    .await
    .unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.json()["fault"]["detail"]["errorcode"],
        "keymanagement.service.access_token_expired"
    );
}

#[tokio::test]
async fn refusals_that_a_fault_asks_for_come_in_kpns_own_shape() {
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
        let answer = with_token(&sandbox, &token, "POST", KPN_SEND, &body)
            .await
            .unwrap();
        assert_eq!(answer.status, status, "{fault}");
        let told = answer.json()["errorResponse"]["message"].to_string();
        let echoes = told.contains("X7kq2Rm!") && told.contains("+31612345678");
        assert_eq!(echoes, fault == Fault::EchoText, "{fault}: {told}");
    }
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn a_throttle_hints_at_its_end_by_date_and_by_seconds() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    sandbox.fault("kpn.send", Fault::Throttle).ms(2500);
    let answer = with_token(
        &sandbox,
        &token,
        "POST",
        KPN_SEND,
        &text("+31612345678", "Hello"),
    )
    .await
    .unwrap();
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("3"));
    assert!(answer.header("quota-reset-utc").unwrap().ends_with('Z'));
    assert_eq!(
        answer.json()["fault"]["detail"]["errorcode"],
        "policies.ratelimit.QuotaViolation"
    );
}

#[tokio::test]
async fn unauthorized_once_takes_the_life_of_the_token_presented() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    let body = text("+31612345678", "Hello");
    sandbox.fault("kpn.send", Fault::UnauthorizedOnce);
    for (token, status) in [
        (token.clone(), 401),
        (token, 401),
        (kpn_token(&sandbox).await, 200),
    ] {
        let answer = with_token(&sandbox, &token, "POST", KPN_SEND, &body)
            .await
            .unwrap();
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn an_answer_without_an_id_still_had_its_text_accepted() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    sandbox.fault("kpn.send", Fault::OkWithoutId);
    let answer = with_token(
        &sandbox,
        &token,
        "POST",
        KPN_SEND,
        &text("+31612345678", "Hello"),
    )
    .await
    .unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"status": "OK"}));
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
