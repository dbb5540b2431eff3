use postduif_sandbox::{InboundOrder, Sandbox};
use ring::hmac;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    client::{JSON, KPN_SEND, Response, call, hex, kpn_token, text, with_token},
    reports::respond_once,
};

async fn post(sandbox: &Sandbox, body: &Value) -> Response {
    call(
        sandbox,
        "POST",
        "/_sandbox/inbound",
        &[JSON],
        &body.to_string(),
    )
    .await
    .unwrap()
}

fn order(target: &str) -> Value {
    json!({
        "vendor": "kpn", "from": "+31612345678", "to": "+3197010203040", "text": "STOP",
        "target": target,
    })
}

#[tokio::test]
async fn an_inbound_text_is_delivered_signed_and_the_status_of_its_response_returned() {
    let sandbox = Sandbox::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/inbound/kpn", listener.local_addr().unwrap());
    let mut order = order(&target);
    order["at"] = json!("2026-01-31T15:37:42.218159+01:00");
    order["secret"] = json!("of-my-own");
    let (response, arrived) = tokio::join!(post(&sandbox, &order), respond_once(listener, 204));
    assert_eq!(
        (response.status, response.json()),
        (200, json!({"status": 204}))
    );
    assert!(
        arrived.starts_with("POST /inbound/kpn HTTP/1.1\r\n"),
        "{arrived}"
    );
    let (head, body) = arrived.split_once("\r\n\r\n").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"of-my-own");
    let signature = hex(hmac::sign(&key, body.as_bytes()).as_ref());
    assert!(head.contains(&format!("X-KPN-Webhook-Signature: {signature}")));
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["sender"], "31612345678");
    assert_eq!(body["recipient"], "3197010203040");
    assert_eq!(body["content"], "STOP");
    assert_eq!(body["timestamp_utc"], "2026-01-31T14:37:42.218159");
}

#[tokio::test]
async fn an_invalid_order_is_refused_with_what_is_wrong() {
    let sandbox = Sandbox::start().await;
    let target = "http://127.0.0.1:1/";
    for (member, value, part) in [
        ("vendor", json!("acme"), "known: kpn"),
        ("vendor", json!(null), "missing"),
        ("api", json!("v1"), "api"),
        ("from", json!("31612345678"), "from"),
        ("to", json!("Contoso"), "to"),
        ("text", json!(7), "text"),
        ("text", json!("a".repeat(3201)), "3200"),
        ("at", json!("yesterday"), "at"),
        ("target", json!(null), "target"),
        ("target", json!("https://x.example/"), "target"),
        ("reference", json!("x"), "reference"),
    ] {
        let mut order = order(target);
        order[member] = value;
        let response = post(&sandbox, &order).await;
        assert_eq!(response.status, 400, "{member}");
        let message = response.json()["error"]["message"].to_string();
        assert!(message.contains(part), "{member}: {message}");
    }
    let spryng = json!({
        "vendor": "spryng", "api": "v1", "from": "+31612345678", "to": "1008", "text": "STOP",
        "target": target,
    });
    assert_eq!(post(&sandbox, &spryng).await.status, 400);
}

#[tokio::test]
async fn a_reply_names_the_last_text_of_the_vendor_to_that_person() {
    let sandbox = Sandbox::start().await;
    let order = |vendor, from| InboundOrder::new(vendor, from, "+3197010203040", "Thanks");
    let reply = |order: &InboundOrder| -> Value {
        let request = sandbox.inbound(order, "https://x.example/in").unwrap();
        serde_json::from_str(&request.body).unwrap()
    };
    let cm = json!({"messages": {"msg": [{
        "from": "Acme", "to": [{"number": "0031612345678"}], "reference": "01J9Z8",
        "body": {"content": "Hello", "type": "AUTO"},
    }]}});
    let headers = [JSON, ("X-CM-PRODUCTTOKEN", "sandbox")];
    let sent = call(
        &sandbox,
        "POST",
        "/cm/v1.0/message",
        &headers,
        &cm.to_string(),
    )
    .await;
    assert_eq!(sent.unwrap().status, 200);
    let kpn = kpn_token(&sandbox).await;
    with_token(
        &sandbox,
        &kpn,
        "POST",
        KPN_SEND,
        &text("+31612345678", "Hi"),
    )
    .await
    .unwrap();

    let body = reply(&order("cm", "+31612345678"));
    assert_eq!(body["reference"], "01J9Z8");
    assert_eq!(body["from"]["number"], "0031612345678");
    let body = reply(&order("cm", "+31687654321"));
    assert_eq!(body["reference"], "", "no text went there");
    assert!(reply(&order("webhook", "+31612345678"))["in_reply_to"].is_null());
}
