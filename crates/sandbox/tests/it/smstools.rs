use postduif_sandbox::{Fault, ReportOrder, ReportStatus, Sandbox};
use ring::hmac;
use serde_json::{Value, json};

use crate::{
    client::{JSON, Response, authority, call, hex},
    processed::{GoodCall, assert_faults},
};

const SEND: &str = "/smstools/v1/message/send";
const TARGET: &str = "http://x.example/reports/smstools";

const ID: (&str, &str) = ("X-Client-Id", "sandbox");
const SECRET: (&str, &str) = ("X-Client-Secret", "sandbox");

fn text() -> Value {
    json!({
        "message": "Hello",
        "to": "31612345678",
        "sender": "Postduif",
        "reference": "01J9Z8",
        "test": false,
    })
}

async fn send(sandbox: &Sandbox, body: &Value) -> Response {
    let headers = [JSON, ID, SECRET];
    call(sandbox, "POST", SEND, &headers, &body.to_string())
        .await
        .unwrap()
}

#[tokio::test]
async fn one_number_gives_an_id_and_a_list_gives_ids() {
    let sandbox = Sandbox::start().await;
    let mut body = text();
    body["date"] = json!("2099-07-01 12:00");
    let response = send(&sandbox, &body).await;
    assert_eq!(response.status, 200);
    let message = sandbox.message_to("+31612345678").unwrap();
    assert_eq!(response.json(), json!({"messageid": message.id}));
    assert_eq!(message.id.len(), 30);
    assert_eq!(message.reference.as_deref(), Some("01J9Z8"));
    assert_eq!(
        message.send_at.unwrap().to_rfc3339(),
        "2099-07-01T10:00:00+00:00"
    );

    // The vendor's own n8n node writes an option that is not set as an empty string.
    let mut body = text();
    body["to"] = json!(["31612345678", "+31687654321"]);
    body["date"] = json!("");
    body["reference"] = json!("");
    for (fault, count) in [
        (None, 2),
        (Some(Fault::WrongOrder), 2),
        (Some(Fault::MissingEntry), 1),
    ] {
        if let Some(fault) = fault {
            sandbox.fault("smstools.send", fault);
        }
        let ids = send(&sandbox, &body).await.json()["messageids"].clone();
        assert_eq!(ids.as_array().unwrap().len(), count, "{fault:?}");
        let sent = sandbox.messages();
        let first = &sent[sent.len() - 2];
        assert_eq!(
            ids[0] == first.id,
            fault != Some(Fault::WrongOrder),
            "{fault:?}"
        );
    }
    assert_eq!(sandbox.messages()[1].reference, None);
    sandbox.fault("smstools.send", Fault::OkWithoutId);
    assert_eq!(send(&sandbox, &text()).await.json(), json!({}));
    assert_eq!(sandbox.messages().len(), 8);
}

#[tokio::test]
async fn a_test_sends_nothing_and_other_characters_than_gsm_are_replaced() {
    let sandbox = Sandbox::start().await;
    let mut body = text();
    body["test"] = json!(true);
    assert_eq!(send(&sandbox, &body).await.status, 200);
    assert!(sandbox.messages().is_empty());
    body["test"] = json!(false);
    body["message"] = json!("Zoë €");
    send(&sandbox, &body).await;
    assert_eq!(sandbox.messages()[0].text, "Zo? €");
}

#[tokio::test]
async fn each_field_has_its_number() {
    let sandbox = Sandbox::start().await;
    for (field, value, code) in [
        ("message", Value::Null, "112"),
        ("message", json!(""), "112"),
        ("message", json!("a".repeat(613)), "118"),
        ("to", Value::Null, "103"),
        ("to", json!([]), "103"),
        ("to", json!("nobody"), "106"),
        ("to", json!(["31612345678", "0612345678"]), "106"),
        ("sender", json!(""), "109"),
        ("sender", json!("31612345678"), "110"),
        ("sender", json!("TwelveLetter"), "111"),
        ("date", json!("2020-01-01 12:00"), "121"),
        ("date", json!("2026-12-24T09:30:00Z"), "121"),
        ("reference", json!("a".repeat(256)), "139"),
        ("reference", json!(1), "139"),
    ] {
        let mut body = text();
        body[field] = value;
        let response = send(&sandbox, &body).await;
        assert_eq!(response.status, 400, "{field}");
        assert_eq!(response.json()["error"], code, "{field}");
    }
    assert_eq!(send(&sandbox, &json!({})).await.json()["error"], "114");
    let response = call(&sandbox, "POST", SEND, &[JSON, ID, SECRET], "{")
        .await
        .unwrap();
    assert_eq!(
        (response.status, response.json()),
        (400, json!({"error": "error parsing json"}))
    );
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn both_halves_of_the_credentials_are_needed() {
    let sandbox = Sandbox::start().await;
    for headers in [
        vec![ID],
        vec![SECRET],
        vec![ID, ("X-Client-Secret", "wrong")],
    ] {
        let response = call(&sandbox, "POST", SEND, &headers, &text().to_string())
            .await
            .unwrap();
        assert_eq!(response.status, 400);
        assert_eq!(
            response.json(),
            json!({"error": "104", "errorMsg": "Invalid credentials"})
        );
    }
    for (path, member) in [("balance", "credits"), ("auth", "username")] {
        let path = format!("/smstools/v1/{path}");
        let response = call(&sandbox, "GET", &path, &[ID, SECRET], "")
            .await
            .unwrap();
        assert!(response.json()[member].is_string());
        let response = call(&sandbox, "GET", &path, &[], "").await.unwrap();
        assert_eq!(response.json()["error"], "104");
    }
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn faults_that_refuse_leave_nothing_behind() {
    let sandbox = Sandbox::start().await;
    for (fault, code) in [
        (Fault::BadNumber, "106"),
        (Fault::BadSender, "111"),
        (Fault::Blocked, "131"),
        (Fault::EchoText, "139"),
        (Fault::NoCredit, "108"),
        (Fault::Unauthorized, "104"),
        (Fault::UnauthorizedOnce, "104"),
    ] {
        sandbox.fault("smstools.send", fault);
        let response = send(&sandbox, &text()).await;
        assert_eq!(response.status, 400, "{fault}");
        assert_eq!(response.json()["error"], code, "{fault}");
        let shown = response.json()["errorMsg"].to_string();
        let echoes = shown.contains("Hello") && shown.contains("+31612345678");
        assert_eq!(echoes, fault == Fault::EchoText, "{shown}");
    }
    sandbox.fault("smstools.send", Fault::Throttle).ms(2000);
    let response = send(&sandbox, &text()).await;
    assert_eq!(
        (response.status, response.header("retry-after")),
        (429, Some("2"))
    );
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn a_report_signs_its_time_and_body() {
    let sandbox = Sandbox::start().await;
    send(&sandbox, &text()).await;
    for (status, code, detail) in [
        (ReportStatus::Delivered, "1", ""),
        (ReportStatus::Failed, "2", "10"),
        (ReportStatus::Sent, "0", ""),
        (ReportStatus::Buffered, "3", ""),
    ] {
        let order = ReportOrder::new("01J9Z8", status);
        let report = sandbox.report(&order, TARGET).unwrap().remove(0);
        assert_eq!((report.method, report.url.as_str()), ("POST", TARGET));
        let header = |name| {
            let mut headers = report.headers.iter();
            headers.find(|(other, _)| *other == name).unwrap().1.clone()
        };
        let time = header("X-Smstools-Timestamp");
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"sandbox");
        let mac = hmac::sign(&key, format!("{time}.{}", report.body).as_bytes());
        let expected = format!("t={time},v1={}", hex(mac.as_ref()));
        assert_eq!(header("X-Smstools-Signature"), expected);
        let body: Value = serde_json::from_str(&report.body).unwrap();
        let message = &body["message"];
        assert_eq!(body["webhook_type"], "delivery_report");
        assert_eq!(message["messageid"], sandbox.messages()[0].id);
        assert_eq!(message["reference"], "01J9Z8");
        assert_eq!(message["receiver"], "31612345678");
        assert_eq!(message["delivery_code"], code);
        assert_eq!(message["delivery_code_detail"], detail);
    }
}

#[tokio::test]
async fn its_url_to_copy_holds_good_credentials_and_a_sender() {
    let sandbox = Sandbox::start().await;
    let host = authority(&sandbox);
    assert_eq!(
        sandbox.sms_url("smstools"),
        format!("smstools://sandbox:sandbox@{host}/smstools?sender=Postduif")
    );
}

#[tokio::test]
async fn every_fault_leaves_behind_what_it_says() {
    assert_faults("smstools.send", CALLS).await;
}

/// A good request to each API.
const CALLS: &[GoodCall] = &[GoodCall {
    path: "/smstools/v1/message/send",
    headers: &[
        JSON,
        ("X-Client-Id", "sandbox"),
        ("X-Client-Secret", "sandbox"),
    ],
    body: r#"{"message": "Hello", "to": "31612345678", "sender": "Acme"}"#,
}];
