use postduif_sandbox::{ReportOrder, ReportStatus, Sandbox, VendorRequest};
use ring::hmac;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::client::{JSON, KPN_SEND, Response, call, hex, kpn_token, soon, text, with_token};

async fn sent() -> Sandbox {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    let body = text("+31612345678", "Hello");
    with_token(&sandbox, &token, "POST", KPN_SEND, &body)
        .await
        .unwrap();
    sandbox
}

async fn post(sandbox: &Sandbox, body: &Value) -> Response {
    call(
        sandbox,
        "POST",
        "/_sandbox/reports",
        &[JSON],
        &body.to_string(),
    )
    .await
    .unwrap()
}

/// Accepts one request of a vendor, responds with a status, and returns the request.
pub(crate) async fn respond_once(listener: TcpListener, status: u16) -> String {
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        soon(stream.read_buf(&mut bytes)).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.starts_with("GET") && text.ends_with("\r\n\r\n") || text.ends_with('}') {
            let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            soon(stream.write_all(response.as_bytes())).await.unwrap();
            return text;
        }
    }
}

#[tokio::test]
async fn a_report_is_delivered_and_the_status_of_its_response_returned() {
    let sandbox = sent().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!(
        "http://{}/reports/kpn/secret",
        listener.local_addr().unwrap()
    );
    let order = json!({"reference": "01J9Z8", "status": "delivered", "target": target});
    let (response, arrived) = tokio::join!(post(&sandbox, &order), respond_once(listener, 204));
    assert_eq!(
        (response.status, response.json()),
        (200, json!({"status": 204}))
    );
    assert!(arrived.starts_with("POST /reports/kpn/secret?reference=01J9Z8 HTTP/1.1\r\n"));
    let (head, body) = arrived.split_once("\r\n\r\n").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"sandbox");
    let signature = hex(hmac::sign(&key, body.as_bytes()).as_ref());
    assert!(head.contains(&format!("X-KPN-Webhook-Signature: {signature}")));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/", listener.local_addr().unwrap());
    let order = ReportOrder::new("01J9Z8", ReportStatus::Failed);
    let (status, _) = tokio::join!(
        sandbox.deliver_report(&order, &target),
        respond_once(listener, 503)
    );
    assert_eq!(status, Ok(Some(503)));
}

#[tokio::test]
async fn the_secret_and_the_time_of_a_report_can_be_set() {
    let sandbox = sent().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/reports/kpn", listener.local_addr().unwrap());
    let order = json!({
        "reference": "01J9Z8", "status": "delivered", "target": target,
        "secret": "another", "at": "2026-01-01T00:00:00Z",
    });
    let (_, arrived) = tokio::join!(post(&sandbox, &order), respond_once(listener, 401));
    let (head, body) = arrived.split_once("\r\n\r\n").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"another");
    let signature = hex(hmac::sign(&key, body.as_bytes()).as_ref());
    assert!(head.contains(&format!("X-KPN-Webhook-Signature: {signature}")));
    assert!(head.contains("X-KPN-Webhook-Timestamp: 1767225600"));
    assert!(body.contains("\"StatusDateTime\":1767225600"), "{body}");
}

#[tokio::test]
async fn a_target_that_does_not_respond_has_a_status_of_null() {
    let sandbox = sent().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let order = json!({"reference": "01J9Z8", "status": "delivered", "target": target});
    assert_eq!(post(&sandbox, &order).await.json(), json!({"status": null}));
}

#[tokio::test]
async fn kpn_keeps_the_query_of_the_webhook_and_has_a_number_for_each_status() {
    let sandbox = sent().await;
    let id = sandbox.messages()[0].id.clone();
    for (status, number, code) in [
        (ReportStatus::Delivered, 1, None),
        (ReportStatus::Buffered, 2, None),
        (ReportStatus::Sent, 3, None),
        (ReportStatus::Failed, 4, Some("001")),
        (ReportStatus::Rejected, 5, Some("018")),
        (ReportStatus::Expired, 6, Some("024")),
    ] {
        let order = ReportOrder::by_id(id.clone(), status);
        let reports = sandbox
            .report(&order, "http://x.example/kpn?secret=1")
            .unwrap();
        let [report] = reports.as_slice() else {
            panic!("{reports:?}");
        };
        assert_eq!(report.url, "http://x.example/kpn?secret=1&reference=01J9Z8");
        let body: Value = serde_json::from_str(&report.body).unwrap();
        assert_eq!(body["Status"], number);
        assert_eq!(body["ErrorCode"].as_str(), code);
        assert_eq!(body["message_id"], id);
    }
    let order = ReportOrder::by_id(id, ReportStatus::Failed).code("008");
    let VendorRequest { body, .. } = sandbox
        .report(&order, "http://x.example/")
        .unwrap()
        .remove(0);
    assert!(body.contains("\"ErrorCode\":\"008\""));
}

#[tokio::test]
async fn without_a_target_a_report_goes_to_the_url_of_the_text() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut body = text("+31612345678", "Hello");
    let hook = format!(
        "http://{}/kpn?reference=ABC",
        listener.local_addr().unwrap()
    );
    body["webhook_url"] = json!(hook);
    with_token(&sandbox, &token, "POST", KPN_SEND, &body)
        .await
        .unwrap();
    let order = json!({"reference": "ABC", "status": "delivered"});
    let (response, arrived) = tokio::join!(post(&sandbox, &order), respond_once(listener, 200));
    assert_eq!(response.json()["status"], 200);
    assert!(arrived.starts_with("POST /kpn?reference=ABC HTTP/1.1\r\n"));
}

#[tokio::test]
async fn an_invalid_order_is_refused_with_what_is_valid() {
    let sandbox = sent().await;
    let target = "http://127.0.0.1:1/";
    for (order, named) in [
        (
            json!({"status": "delivered", "target": target}),
            "reference",
        ),
        (
            json!({"reference": "01J9Z8", "id": "1", "status": "delivered"}),
            "reference",
        ),
        (
            json!({"reference": "other", "status": "delivered", "target": target}),
            "no accepted text",
        ),
        (
            json!({"reference": "01J9Z8", "to": "+31600000000", "status": "delivered", "target": target}),
            "no accepted text",
        ),
        (json!({"reference": "01J9Z8", "target": target}), "status"),
        (
            json!({"reference": "01J9Z8", "status": "arrived", "target": target}),
            "expired",
        ),
        (
            json!({"reference": "01J9Z8", "status": "delivered", "form": "XML"}),
            "POST-JSON",
        ),
        (
            json!({"reference": "01J9Z8", "status": "delivered", "target": "x"}),
            "target",
        ),
        // The text's own URL is https, which the sandbox does not support.
        (
            json!({"reference": "01J9Z8", "status": "delivered"}),
            "target",
        ),
    ] {
        let response = post(&sandbox, &order).await;
        assert_eq!(response.status, 400, "{order}");
        let shown = response.json()["error"]["message"].to_string();
        assert!(shown.contains(named), "{order}: {shown}");
    }
}

#[tokio::test]
async fn a_report_shows_neither_text_nor_number_in_debug() {
    let sandbox = sent().await;
    let order = ReportOrder::new("01J9Z8", ReportStatus::Delivered);
    let shown = format!("{:?}", sandbox.report(&order, "http://x.example/").unwrap());
    assert!(
        !shown.contains("Hello") && !shown.contains("31612345678"),
        "{shown}"
    );
}
