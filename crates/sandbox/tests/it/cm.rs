use postduif_sandbox::{Fault, ReportOrder, ReportStatus, Sandbox};
use serde_json::{Value, json};

use crate::{
    client::{JSON, Response, authority, call},
    processed::{GoodCall, assert_faults},
};

const SEND: &str = "/cm/v1.0/message";

fn msg(number: &str, reference: &str) -> Value {
    json!({
        "allowedChannels": ["SMS"],
        "from": "Postduif",
        "to": [{"number": number}],
        "body": {"type": "auto", "content": "Hello"},
        "minimumNumberOfMessageParts": 1,
        "maximumNumberOfMessageParts": 8,
        "reference": reference,
    })
}

async fn post(sandbox: &Sandbox, token: &str, msgs: &[Value]) -> Response {
    let body = json!({"messages": {"msg": msgs}}).to_string();
    let headers = [JSON, ("X-CM-PRODUCTTOKEN", token)];
    call(sandbox, "POST", SEND, &headers, &body).await.unwrap()
}

async fn one(sandbox: &Sandbox, change: impl FnOnce(&mut Value)) -> Response {
    let mut msg = msg("0031612345678", "01J9Z8");
    change(&mut msg);
    post(sandbox, "sandbox", &[msg]).await
}

#[tokio::test]
async fn an_accepted_text_is_recorded_and_returned_with_its_segments() {
    let sandbox = Sandbox::start().await;
    let response = one(&sandbox, |msg| {
        msg["body"]["content"] = json!("ë".repeat(71));
        msg["validity"] = json!("30m");
    })
    .await;
    assert_eq!(response.status, 200);
    assert_eq!(
        response.json(),
        json!({
            "details": "Created 1 message(s)",
            "errorCode": 0,
            "messages": [{
                "to": "0031612345678",
                "status": "Accepted",
                "reference": "01J9Z8",
                "parts": 2,
                "messageDetails": null,
                "messageErrorCode": 0,
            }],
        })
    );
    let message = sandbox.message_to("+31612345678").unwrap();
    assert_eq!(message.vendor, "cm");
    assert_eq!(message.sender, "Postduif");
    assert_eq!(message.reference.as_deref(), Some("01J9Z8"));
    assert_eq!(message.validity_s, Some(1800));
    assert_eq!(message.parts, 2);
}

#[tokio::test]
async fn the_token_may_be_in_the_body_and_names_are_read_in_any_case() {
    let sandbox = Sandbox::start().await;
    let body = json!({"Messages": {
        "Authentication": {"ProductToken": "sandbox"},
        "Msg": [{"From": "Acme", "To": [{"Number": "0031612345678"}], "Body": {"Content": "Zoë"}}],
    }});
    let response = call(&sandbox, "POST", SEND, &[JSON], &body.to_string())
        .await
        .unwrap();
    assert_eq!(response.json()["errorCode"], 0);
    assert_eq!(response.json()["messages"][0]["reference"], Value::Null);
    // Without a type the encoding is GSM 03.38.
    assert_eq!(sandbox.messages()[0].text, "Zo?");
}

#[tokio::test]
async fn wrong_tokens_are_refused_by_their_format() {
    let sandbox = Sandbox::start().await;
    for (token, code) in [
        ("11111111-1111-4111-8111-111111111111", 101),
        ("wrong", 103),
    ] {
        let response = post(&sandbox, token, &[msg("0031612345678", "a")]).await;
        assert_eq!(response.status, 400, "{token}");
        assert_eq!(response.json()["errorCode"], code, "{token}");
        assert_eq!(response.json()["messages"], json!([]), "{token}");
    }
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn each_field_has_its_refusal() {
    let sandbox = Sandbox::start().await;
    let cases = [
        ("from", json!("TwelveLetter"), 301),
        ("from", json!(""), 301),
        ("to", json!([]), 302),
        ("to", json!([{"number": "+31612345678"}]), 303),
        ("to", json!([{"number": "invalid"}]), 303),
        ("body", json!({"content": ""}), 304),
        ("maximumNumberOfMessageParts", json!(0), 305),
        ("reference", json!("11111111-1111-4111"), 305),
        ("validity", json!("49h"), 305),
        ("allowedChannels", json!(["WhatsApp"]), 305),
    ];
    for (field, value, code) in cases {
        let response = one(&sandbox, |msg| msg[field] = value.clone()).await;
        assert_eq!(response.status, 400, "{field}");
        assert_eq!(response.json()["errorCode"], 201, "{field}");
        let entry = &response.json()["messages"][0];
        assert_eq!(entry["status"], "Rejected", "{field}");
        assert_eq!(entry["messageErrorCode"], code, "{field}: {value}");
    }
    let long = one(&sandbox, |msg| {
        msg["body"]["content"] = json!("a".repeat(161));
        msg["maximumNumberOfMessageParts"] = json!(1);
    })
    .await;
    assert_eq!(long.json()["messages"][0]["messageErrorCode"], 304);
    assert_eq!(
        one(&sandbox, |msg| msg["from"] = json!(1)).await.json()["errorCode"],
        202
    );
    for msgs in [vec![], vec![msg("0031612345678", "a"); 1001]] {
        let response = post(&sandbox, "sandbox", &msgs).await;
        assert_eq!(response.json()["errorCode"], 203);
    }
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn a_batch_is_accepted_in_part_with_200() {
    let sandbox = Sandbox::start().await;
    let mut bad = msg("0031687654321", "b2");
    bad["body"]["content"] = json!("");
    let msgs = [msg("0031612345678", "a1"), bad, msg("0031611111111", "c3")];
    let response = post(&sandbox, "sandbox", &msgs).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["errorCode"], 201);
    assert_eq!(response.json()["details"], "Created 2 message(s)");
    let codes: Vec<_> = (0..3)
        .map(|at| response.json()["messages"][at]["messageErrorCode"].clone())
        .collect();
    assert_eq!(codes, [0, 304, 0]);
    assert_eq!(sandbox.messages().len(), 2);
}

#[tokio::test]
async fn a_thousand_texts_fit_in_one_request() {
    let sandbox = Sandbox::start().await;
    let msgs: Vec<_> = (0..1000)
        .map(|n| msg("0031612345678", &format!("r{n}")))
        .collect();
    let response = post(&sandbox, "sandbox", &msgs).await;
    assert_eq!(response.json()["errorCode"], 0);
    assert_eq!(sandbox.messages().len(), 1000);
}

#[tokio::test]
async fn faults_that_spoil_a_batch_leave_it_accepted() {
    let sandbox = Sandbox::start().await;
    let msgs = [msg("0031612345678", "a1"), msg("0031687654321", "b2")];
    let references = |response: &Response| -> Vec<Value> {
        let entries = response.json()["messages"].clone();
        let entries = entries.as_array().unwrap().iter();
        entries.map(|entry| entry["reference"].clone()).collect()
    };
    for (fault, expected) in [
        (Fault::WrongOrder, vec![json!("b2"), json!("a1")]),
        (Fault::MissingEntry, vec![json!("a1")]),
        (Fault::OkWithoutId, vec![Value::Null, Value::Null]),
    ] {
        sandbox.fault("cm.send", fault);
        let response = post(&sandbox, "sandbox", &msgs).await;
        assert_eq!(response.status, 200, "{fault}");
        assert_eq!(references(&response), expected, "{fault}");
    }
    assert_eq!(sandbox.messages().len(), 6);
}

#[tokio::test]
async fn faults_that_refuse_leave_nothing_behind() {
    let sandbox = Sandbox::start().await;
    for (fault, code, entry) in [
        (Fault::BadNumber, 201, Some(303)),
        (Fault::BadSender, 201, Some(301)),
        (Fault::Blocked, 201, Some(402)),
        (Fault::EchoText, 201, Some(403)),
        (Fault::NoCredit, 102, None),
        (Fault::Unauthorized, 101, None),
        (Fault::UnauthorizedOnce, 101, None),
    ] {
        sandbox.fault("cm.send", fault);
        let response = one(&sandbox, |_| {}).await;
        assert_eq!(response.status, 400, "{fault}");
        assert_eq!(response.json()["errorCode"], code, "{fault}");
        let shown = &response.json()["messages"][0];
        assert_eq!(shown["messageErrorCode"].as_u64(), entry, "{fault}");
        let echoes = shown.to_string().contains("Hello");
        assert_eq!(echoes, fault == Fault::EchoText, "{fault}");
    }
    sandbox.fault("cm.send", Fault::Throttle).ms(1500);
    let response = one(&sandbox, |_| {}).await;
    assert_eq!(response.status, 429);
    assert_eq!(response.header("retry-after"), Some("2"));
    assert!(sandbox.messages().is_empty());
    assert_eq!(one(&sandbox, |_| {}).await.status, 200);
}

#[tokio::test]
async fn the_balance_needs_the_account_as_well() {
    let sandbox = Sandbox::start().await;
    for (token, account, status) in [
        ("sandbox", "sandbox", 200),
        ("wrong", "sandbox", 401),
        ("sandbox", "other", 404),
    ] {
        let path = format!("/cm/accountbalance/v1.0/accountbalance/{account}");
        let headers = [("X-CM-PRODUCTTOKEN", token)];
        let response = call(&sandbox, "GET", &path, &headers, "").await.unwrap();
        assert_eq!(response.status, status);
        if status == 200 {
            assert_eq!(response.json()["Currency"], "EUR");
        }
    }
}

#[tokio::test]
async fn a_report_names_the_reference_and_is_not_signed() {
    let sandbox = Sandbox::start().await;
    one(&sandbox, |_| {}).await;
    for (status, code, error) in [
        (ReportStatus::Delivered, "2", ""),
        (ReportStatus::Failed, "3", "5"),
        (ReportStatus::Rejected, "1", "28"),
        (ReportStatus::Sent, "0", ""),
    ] {
        let order = ReportOrder::new("01J9Z8", status);
        let report = sandbox
            .report(&order, "http://x.example/reports/cm/secret")
            .unwrap()
            .remove(0);
        assert_eq!(report.method, "POST");
        assert_eq!(report.url, "http://x.example/reports/cm/secret");
        assert_eq!(report.headers.len(), 1);
        let body: Value = serde_json::from_str(&report.body).unwrap();
        let msg = &body["messages"]["msg"];
        assert_eq!(msg["to"], "0031612345678");
        assert_eq!(msg["reference"], "01J9Z8");
        assert_eq!(msg["status"]["code"], code);
        assert_eq!(msg["status"]["errorCode"], error);
    }
}

#[tokio::test]
async fn its_url_to_copy_holds_good_credentials_and_a_sender() {
    let sandbox = Sandbox::start().await;
    let host = authority(&sandbox);
    assert_eq!(
        sandbox.sms_url("cm"),
        format!("cm://sandbox@{host}/cm?sender=Postduif")
    );
}

#[tokio::test]
async fn every_fault_leaves_behind_what_it_says() {
    assert_faults("cm.send", CALLS).await;
}

/// A good request to each API.
const CALLS: &[GoodCall] = &[GoodCall {
    path: "/cm/v1.0/message",
    headers: &[JSON, ("X-CM-PRODUCTTOKEN", "sandbox")],
    body: r#"{"messages": {"msg": [{"from": "Acme", "to": [{"number": "0031612345678"}],
            "body": {"type": "auto", "content": "Hello"}, "reference": "a1"}]}}"#,
}];
