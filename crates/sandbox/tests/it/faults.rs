use std::{
    io::{self, Read},
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;
use postduif_sandbox::{Cast, Fault, Sandbox};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{
    KPN_SEND, Response, authority, graph_token, kpn_token, passes_of, read, soon, text, waiting,
    with_token, write,
};

async fn send(sandbox: &Sandbox, token: &str) -> io::Result<Response> {
    with_token(
        sandbox,
        token,
        "POST",
        KPN_SEND,
        &text("+31612345678", "Hello"),
    )
    .await
}

async fn sent_under(fault: Fault) -> (Sandbox, io::Result<Response>) {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    sandbox.fault("kpn.send", fault).ms(1);
    let response = send(&sandbox, &token).await;
    (sandbox, response)
}

#[tokio::test]
async fn a_request_whose_response_is_lost_is_processed() {
    let (sandbox, response) = sent_under(Fault::LostAnswer).await;
    assert_eq!(response.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(sandbox.messages().len(), 1);
    assert_eq!(sandbox.requests()[1].status, None);
}

#[tokio::test]
async fn a_reset_before_or_after_reading_leaves_nothing_behind() {
    for fault in [Fault::ResetBeforeRead, Fault::ResetAfterRead] {
        let (sandbox, response) = sent_under(fault).await;
        assert_eq!(
            response.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset,
            "{fault}"
        );
        assert!(sandbox.messages().is_empty(), "{fault}");
        let token = kpn_token(&sandbox).await;
        assert_eq!(send(&sandbox, &token).await.unwrap().status, 200, "{fault}");
    }
}

#[tokio::test]
async fn a_reset_before_the_body_does_not_wait_for_it() {
    let sandbox = Sandbox::start().await;
    sandbox.fault("kpn.send", Fault::ResetBeforeRead);
    let authority = authority(&sandbox);
    let mut stream = soon(tokio::net::TcpStream::connect(&authority))
        .await
        .unwrap();
    let head =
        format!("POST {KPN_SEND} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 9\r\n\r\n");
    soon(stream.write_all(head.as_bytes())).await.unwrap();
    let error = soon(stream.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_stall_never_responds_and_is_processed_only_as_documented() {
    for (fault, messages) in [(Fault::Stall, 1), (Fault::StallBefore, 0)] {
        let sandbox = Sandbox::start().await;
        let token = kpn_token(&sandbox).await;
        sandbox.fault("kpn.send", fault);
        let body = text("+31612345678", "Hello").to_string();
        let bearer = format!("Bearer {token}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
        ];
        let mut stream = write(&authority(&sandbox), "POST", KPN_SEND, &headers, &body).await;
        soon(sandbox.wait_for(|sandbox| sandbox.faults_left().is_empty().then_some(()))).await;
        // A later request has a response, so this one has none for good.
        assert_eq!(send(&sandbox, &token).await.unwrap().status, 200);
        let waits = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut [0; 1])).await;
        assert!(waits.is_err(), "{fault}: {waits:?}");
        assert_eq!(sandbox.messages().len(), 1 + messages, "{fault}");

        // The connection ends with the sandbox.
        drop(sandbox);
        let end = soon(stream.read(&mut [0; 1])).await;
        assert!(!matches!(end, Ok(1)), "{fault}: {end:?}");
    }
}

#[tokio::test]
async fn a_delay_delays_what_was_processed_at_once() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    sandbox.fault("kpn.send", Fault::Delay).ms(100);
    let start = Instant::now();
    let response = send(&sandbox, &token).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!(response.status, 200);
    let message = &sandbox.messages()[0];
    assert_eq!(response.json()["document_id"], message.id);
}

#[tokio::test]
async fn requests_with_an_empty_claim_of_success_are_processed() {
    for (fault, body) in [
        (Fault::EmptyOk, &b""[..]),
        (Fault::InvalidUtf8, b"{\"status\":\"O\xffK\"}"),
        (Fault::NotJson, b"It worked, thank you!"),
    ] {
        let (sandbox, response) = sent_under(fault).await;
        let response = response.unwrap();
        assert_eq!(response.status, 200, "{fault}");
        assert_eq!(response.body, body, "{fault}");
        assert_eq!(sandbox.messages().len(), 1, "{fault}");
    }
}

#[tokio::test]
async fn a_slow_body_arrives_whole() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    sandbox.fault("kpn.send", Fault::SlowBody).ms(2);
    let start = Instant::now();
    let response = send(&sandbox, &token).await.unwrap();
    assert_eq!(response.json()["status"], "OK");
    let bytes = u32::try_from(response.body.len()).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(2) * bytes);
}

#[tokio::test]
async fn a_truncated_body_ends_before_its_length() {
    let (sandbox, response) = sent_under(Fault::TruncatedBody).await;
    let response = response.unwrap();
    assert_eq!(response.status, 200);
    let promised: usize = response.header("content-length").unwrap().parse().unwrap();
    assert!(!response.body.is_empty());
    assert!(response.body.len() < promised);
    assert_eq!(sandbox.messages().len(), 1);
}

#[tokio::test]
async fn a_gzip_bomb_is_small_on_the_wire_and_large_after() {
    let (_sandbox, response) = sent_under(Fault::GzipBomb).await;
    let response = response.unwrap();
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert!(response.body.len() < 66 * 1024);
    let mut inflated = GzDecoder::new(&response.body[..]).take(1 << 30);
    let bytes = io::copy(&mut inflated, &mut io::sink()).unwrap();
    assert!(bytes >= 64 << 20);
}

#[tokio::test]
async fn a_huge_body_goes_on_until_the_caller_hangs_up() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    sandbox.fault("kpn.send", Fault::HugeBody);
    let body = text("+31612345678", "Hello").to_string();
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let mut stream = write(&authority(&sandbox), "POST", KPN_SEND, &headers, &body).await;
    let mut bytes = vec![0; 1 << 20];
    for _ in 0..8 {
        soon(stream.read_exact(&mut bytes)).await.unwrap();
    }
    drop(stream);
    assert_eq!(send(&sandbox, &token).await.unwrap().status, 200);
    assert_eq!(sandbox.messages().len(), 2);
}

#[tokio::test]
async fn a_gateway_responds_for_a_vendor_that_received_nothing() {
    let (sandbox, response) = sent_under(Fault::Html502).await;
    let response = response.unwrap();
    assert_eq!(response.status, 502);
    assert!(response.body.starts_with(b"<html>"));
    assert!(sandbox.messages().is_empty());

    let (sandbox, response) = sent_under(Fault::Status503).await;
    let response = response.unwrap();
    assert_eq!(response.status, 503);
    assert!(response.body.is_empty());
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn a_request_that_follows_a_redirect_is_counted() {
    let (sandbox, response) = sent_under(Fault::Redirect).await;
    let response = response.unwrap();
    assert_eq!(response.status, 307);
    assert!(sandbox.messages().is_empty());
    assert!(sandbox.foreign_requests().is_empty());

    let location = response.header("location").unwrap();
    let (host, path) = location
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    assert_ne!(host, authority(&sandbox));
    let followed = read(write(host, "POST", &format!("/{path}"), &[], "{}").await).await;
    assert_eq!(followed.unwrap().status, 200);
    let foreign = sandbox.foreign_requests();
    assert_eq!(foreign.len(), 1);
    assert_eq!(foreign[0].path, KPN_SEND);

    // It counts with any host in the request.
    let followed = read(write(host, "GET", "http://other.example/", &[], "").await).await;
    assert_eq!(followed.unwrap().status, 200);
    assert_eq!(sandbox.foreign_requests().len(), 2);
}

#[tokio::test]
async fn a_claim_of_success_does_not_hide_a_refusal() {
    let sandbox = Sandbox::start().await;
    sandbox.fault("kpn.send", Fault::NotJson);
    assert_eq!(send(&sandbox, "wrong").await.unwrap().status, 401);
}

#[tokio::test]
async fn faults_strike_as_often_as_set_and_in_order() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    sandbox.fault("kpn.send", Fault::Html502).times(2);
    sandbox
        .set_fault("kpn.send=status_503".parse().unwrap())
        .unwrap();
    for status in [502, 502, 503, 200] {
        assert_eq!(send(&sandbox, &token).await.unwrap().status, status);
    }
    assert!(sandbox.faults_left().is_empty());
}

#[tokio::test]
async fn the_response_to_a_pass_and_to_a_resume_can_be_lost_too() {
    let sandbox = Sandbox::start().await;
    let token = graph_token(&sandbox).await;

    sandbox.fault("graph.tap", Fault::LostAnswer);
    let passes = passes_of(Cast::JOINER);
    let response = with_token(&sandbox, &token, "POST", &passes, &json!({})).await;
    assert!(response.is_err());
    assert_eq!(sandbox.usable_passes(Cast::JOINER).len(), 1);

    sandbox.fault("graph.resume", Fault::LostAnswer);
    let (_, path, body) = waiting(&sandbox, Cast::JOINER);
    assert!(
        with_token(&sandbox, &token, "POST", &path, &body)
            .await
            .is_err()
    );
    assert_eq!(sandbox.resumes()[0].answered, 204);

    // A response without a body gets one.
    sandbox.fault("graph.resume", Fault::NotJson);
    let (_, path, body) = waiting(&sandbox, Cast::JOINER);
    let response = with_token(&sandbox, &token, "POST", &path, &body)
        .await
        .unwrap();
    assert_eq!(response.body, b"It worked, thank you!");
}
