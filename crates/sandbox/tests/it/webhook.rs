use std::time::SystemTime;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use postduif_sandbox::{Fault, ReportOrder, ReportStatus, Sandbox};
use ring::hmac;
use serde_json::{Value, json};

use crate::{
    client::{JSON, Response, authority, call},
    processed::{GoodCall, assert_faults},
};

const SEND: &str = "/webhook";
const TOKEN: (&str, &str) = ("Authorization", "Bearer sandbox");
const TARGET: &str = "http://x.example/reports/webhook";

fn text() -> Value {
    json!({"to": "+31612345678", "text": "Zoë €", "reference": "01J9Z8"})
}

async fn send_with(sandbox: &Sandbox, headers: &[(&str, &str)], body: &Value) -> Response {
    let headers = [&[JSON, TOKEN], headers].concat();
    call(sandbox, "POST", SEND, &headers, &body.to_string())
        .await
        .unwrap()
}

async fn send(sandbox: &Sandbox, body: &Value) -> Response {
    send_with(sandbox, &[], body).await
}

fn sign(id: &str, time: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"sandbox");
    let mac = hmac::sign(&key, format!("{id}.{time}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac))
}

#[tokio::test]
async fn a_text_is_accepted_as_it_is_with_an_id_and_its_reference() {
    let sandbox = Sandbox::start().await;
    let response = send(&sandbox, &text()).await;
    let message = sandbox.message_to("+31612345678").unwrap();
    assert_eq!(response.status, 202);
    let accepted = json!({"status": "accepted", "id": message.id, "reference": "01J9Z8"});
    assert_eq!(response.json(), accepted);
    assert_eq!(message.text, "Zoë €");
    assert_eq!(message.sender, "Gateway");
    assert_eq!((message.validity_s, message.send_at), (None, None));

    let mut body = text();
    body["sender"] = json!("+31687654321");
    body["validity_s"] = json!(600);
    body["send_at"] = json!("2099-12-24T09:30:00+01:00");
    send(&sandbox, &body).await;
    let message = sandbox.messages().pop().unwrap();
    assert_eq!(message.sender, "+31687654321");
    assert_eq!(message.validity_s, Some(600));
    let send_at = message.send_at.unwrap().to_rfc3339();
    assert_eq!(send_at, "2099-12-24T08:30:00+00:00");

    sandbox.fault("webhook.send", Fault::OkWithoutId);
    let response = send(&sandbox, &text()).await;
    let without_id = json!({"status": "accepted", "reference": "01J9Z8"});
    assert_eq!(response.json(), without_id);
    assert_eq!(sandbox.messages().len(), 3);
}

#[tokio::test]
async fn each_member_has_its_refusal() {
    let sandbox = Sandbox::start().await;
    for (member, value, kind) in [
        ("to", json!("31612345678"), "invalid_recipient"),
        ("to", json!("+0612345678"), "invalid_recipient"),
        ("to", Value::Null, "invalid_recipient"),
        ("text", json!(""), "invalid_text"),
        ("text", json!(7), "invalid_text"),
        ("reference", json!("a-b"), "other"),
        ("reference", json!("a".repeat(33)), "other"),
        ("reference", Value::Null, "other"),
        ("sender", json!(""), "invalid_sender"),
        ("sender", json!(1008), "invalid_sender"),
        ("validity_s", json!(0), "unsupported"),
        ("validity_s", json!("600"), "unsupported"),
        ("send_at", json!("2099-12-24 09:30"), "unsupported"),
    ] {
        let mut body = text();
        body[member] = value;
        let response = send(&sandbox, &body).await;
        assert_eq!(response.status, 422, "{body}");
        assert_eq!(response.json()["status"], "refused", "{body}");
        assert_eq!(response.json()["kind"], kind, "{body}");
    }
    let response = send(&sandbox, &json!([])).await;
    assert_eq!(
        (response.status, &response.json()["kind"]),
        (400, &json!("other"))
    );
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn the_token_is_needed_and_a_signature_must_be_right_and_recent() {
    let sandbox = Sandbox::start().await;
    for headers in [&[JSON][..], &[JSON, ("Authorization", "Bearer wrong")]] {
        let response = call(&sandbox, "POST", SEND, headers, &text().to_string())
            .await
            .unwrap();
        assert_eq!(response.status, 401);
        assert_eq!(response.json()["kind"], "unauthorized");
    }
    let now: DateTime<Utc> = SystemTime::now().into();
    let time = |offset: i64| (now.timestamp() + offset).to_string();
    let body = text().to_string();
    for (time, signed, status) in [
        (time(0), body.as_str(), 202),
        (time(-200), &body, 202),
        (time(-400), &body, 401),
        (time(400), &body, 401),
        (time(0), "{}", 401),
    ] {
        let signature = format!("v2,x {}", sign("01J9Z8", &time, signed));
        let headers = [
            ("webhook-id", "01J9Z8"),
            ("webhook-timestamp", time.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        let response = send_with(&sandbox, &headers, &text()).await;
        assert_eq!(response.status, status, "{time} {signed}");
    }
    let alone = [("webhook-signature", "v1,x")];
    assert_eq!(send_with(&sandbox, &alone, &text()).await.status, 401);
    assert_eq!(sandbox.messages().len(), 2);
}

#[tokio::test]
async fn a_repeat_sends_one_text_and_a_refusal_may_be_tried_again() {
    let sandbox = Sandbox::start().await;
    let key = [("idempotency-key", "01J9Z8")];
    sandbox.fault("webhook.send", Fault::Throttle).ms(2000);
    let response = send_with(&sandbox, &key, &text()).await;
    assert_eq!(
        (response.status, response.header("retry-after")),
        (429, Some("2"))
    );
    assert_eq!(response.json()["kind"], "throttled");
    let first = send_with(&sandbox, &key, &text()).await;
    let again = send_with(&sandbox, &key, &text()).await;
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(first.json(), again.json());
    let mut other = text();
    other["text"] = json!("Hello");
    let response = send_with(&sandbox, &key, &other).await;
    assert_eq!(
        (response.status, &response.json()["kind"]),
        (422, &json!("other"))
    );
    assert_eq!(sandbox.messages().len(), 1);
}

#[tokio::test]
async fn a_check_is_a_get_and_no_other_path_or_method_is_there() {
    let sandbox = Sandbox::start().await;
    let get = |headers| call(&sandbox, "GET", SEND, headers, "");
    assert_eq!(
        get(&[TOKEN]).await.unwrap().json(),
        json!({"status": "ready"})
    );
    assert_eq!(get(&[]).await.unwrap().json()["kind"], "unauthorized");
    for (method, path, status) in [("PUT", SEND, 405), ("POST", "/webhook/send", 404)] {
        let response = call(&sandbox, method, path, &[JSON, TOKEN], &text().to_string())
            .await
            .unwrap();
        assert_eq!(response.status, status, "{method} {path}");
    }
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn faults_that_refuse_leave_nothing_behind() {
    let sandbox = Sandbox::start().await;
    for (fault, status, kind) in [
        (Fault::BadNumber, 422, "invalid_recipient"),
        (Fault::BadSender, 422, "invalid_sender"),
        (Fault::Blocked, 422, "blocked"),
        (Fault::EchoText, 422, "other"),
        (Fault::NoCredit, 422, "insufficient_balance"),
        (Fault::Unauthorized, 401, "unauthorized"),
        (Fault::UnauthorizedOnce, 401, "unauthorized"),
    ] {
        sandbox.fault("webhook.send", fault);
        let response = send(&sandbox, &text()).await;
        assert_eq!(response.status, status, "{fault}");
        assert_eq!(response.json()["kind"], kind, "{fault}");
        let shown = response.json()["message"].to_string();
        let echoes = shown.contains("Zoë €") && shown.contains("+31612345678");
        assert_eq!(echoes, fault == Fault::EchoText, "{shown}");
    }
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn a_report_is_a_standard_webhook() {
    let sandbox = Sandbox::start().await;
    send(&sandbox, &text()).await;
    for status in ReportStatus::ALL {
        let order = ReportOrder::new("01J9Z8", *status).code("17");
        let report = sandbox.report(&order, TARGET).unwrap().remove(0);
        assert_eq!((report.method, report.url.as_str()), ("POST", TARGET));
        let header = |name| {
            let mut headers = report.headers.iter();
            headers.find(|(other, _)| *other == name).unwrap().1.clone()
        };
        let (id, time) = (header("webhook-id"), header("webhook-timestamp"));
        let expected = sign(&id, &time, &report.body);
        assert_eq!(header("webhook-signature"), expected);
        let body: Value = serde_json::from_str(&report.body).unwrap();
        let word = match status {
            ReportStatus::Unknown => "unheard_of",
            status => status.name(),
        };
        assert_eq!(body["status"], word);
        assert_eq!(body["reference"], "01J9Z8");
        assert_eq!(body["id"], sandbox.messages()[0].id);
        assert_eq!(body["to"], "+31612345678");
        assert_eq!(body["code"], "17");
        let at: DateTime<Utc> = body["at"].as_str().unwrap().parse().unwrap();
        assert_eq!(at.timestamp().to_string(), time);
    }
}

#[tokio::test]
async fn its_url_to_copy_holds_good_credentials_and_its_options() {
    let sandbox = Sandbox::start().await;
    let host = authority(&sandbox);
    assert_eq!(
        sandbox.sms_url("webhook"),
        format!(
            "webhook://sandbox@{host}/webhook?secret=whsec_c2FuZGJveA==&sender=Postduif\
             &validity=60-259200&schedule_ahead=604800&reports=true"
        )
    );
}

#[tokio::test]
async fn every_fault_leaves_behind_what_it_says() {
    assert_faults("webhook.send", CALLS).await;
}

/// A good request to its one API.
const CALLS: &[GoodCall] = &[GoodCall {
    path: SEND,
    headers: &[JSON, TOKEN],
    body: r#"{"to": "+31612345678", "text": "Hello", "reference": "01J9Z8"}"#,
}];
