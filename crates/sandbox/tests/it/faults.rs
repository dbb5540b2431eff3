use std::{
    io::{self, Read},
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;
use postduif_sandbox::{Cast, Fault, Sandbox};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{
    Answer, KPN_SEND, authority, graph_token, kpn_token, passes_of, read, soon, text, waiting,
    with_token, write,
};

async fn send(sandbox: &Sandbox, token: &str) -> io::Result<Answer> {
    with_token(
        sandbox,
        token,
        "POST",
        KPN_SEND,
        &text("+31612345678", "Hello"),
    )
    .await
}

async fn sent_under(fault: Fault) -> (Sandbox, io::Result<Answer>) {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    sandbox.fault("kpn.send", fault).ms(1);
    let answer = send(&sandbox, &token).await;
    (sandbox, answer)
}

#[tokio::test]
async fn a_lost_answer_was_still_processed() {
    let (sandbox, answer) = sent_under(Fault::LostAnswer).await;
    assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(sandbox.messages().len(), 1);
    assert_eq!(sandbox.requests()[1].status, None);
}

#[tokio::test]
async fn a_reset_before_or_after_the_request_was_read_left_nothing_behind() {
    for fault in [Fault::ResetBeforeRead, Fault::ResetAfterRead] {
        let (sandbox, answer) = sent_under(fault).await;
        assert_eq!(
            answer.unwrap_err().kind(),
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
async fn a_stall_never_answers_and_processed_only_if_it_says_so() {
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
        // A later request is answered, so this one would have been.
        assert_eq!(send(&sandbox, &token).await.unwrap().status, 200);
        let waits = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut [0; 1])).await;
        assert!(waits.is_err(), "{fault}: {waits:?}");
        assert_eq!(sandbox.messages().len(), 1 + messages, "{fault}");

        // It ends with the sandbox.
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
    let answer = send(&sandbox, &token).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!(answer.status, 200);
    let message = &sandbox.messages()[0];
    assert_eq!(answer.json()["document_id"], message.id);
}

#[tokio::test]
async fn answers_that_claim_success_and_say_nothing_were_processed() {
    for (fault, body) in [
        (Fault::EmptyOk, &b""[..]),
        (Fault::InvalidUtf8, b"{\"status\":\"O\xffK\"}"),
        (Fault::NotJson, b"It worked, thank you!"),
    ] {
        let (sandbox, answer) = sent_under(fault).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{fault}");
        assert_eq!(answer.body, body, "{fault}");
        assert_eq!(sandbox.messages().len(), 1, "{fault}");
    }
}

#[tokio::test]
async fn a_slow_body_comes_whole_in_the_end() {
    let sandbox = Sandbox::start().await;
    let token = kpn_token(&sandbox).await;
    sandbox.fault("kpn.send", Fault::SlowBody).ms(2);
    let start = Instant::now();
    let answer = send(&sandbox, &token).await.unwrap();
    assert_eq!(answer.json()["status"], "OK");
    let bytes = u32::try_from(answer.body.len()).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(2) * bytes);
}

#[tokio::test]
async fn a_truncated_body_ends_before_the_length_it_promised() {
    let (sandbox, answer) = sent_under(Fault::TruncatedBody).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200);
    let promised: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert!(!answer.body.is_empty());
    assert!(answer.body.len() < promised);
    assert_eq!(sandbox.messages().len(), 1);
}

#[tokio::test]
async fn a_gzip_bomb_is_small_on_the_wire_and_large_after() {
    let (_sandbox, answer) = sent_under(Fault::GzipBomb).await;
    let answer = answer.unwrap();
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert!(answer.body.len() < 66 * 1024);
    let mut inflated = GzDecoder::new(&answer.body[..]).take(1 << 30);
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
async fn a_gateway_answers_for_a_vendor_that_heard_nothing() {
    let (sandbox, answer) = sent_under(Fault::Html502).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 502);
    assert!(answer.body.starts_with(b"<html>"));
    assert!(sandbox.messages().is_empty());

    let (sandbox, answer) = sent_under(Fault::Status503).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.body.is_empty());
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn who_follows_a_redirect_is_counted() {
    let (sandbox, answer) = sent_under(Fault::Redirect).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 307);
    assert!(sandbox.messages().is_empty());
    assert!(sandbox.foreign_requests().is_empty());

    let location = answer.header("location").unwrap();
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

    // It counts whatever host the caller believes to speak to.
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
async fn a_pass_and_a_resume_can_be_lost_on_their_way_back_too() {
    let sandbox = Sandbox::start().await;
    let token = graph_token(&sandbox).await;

    sandbox.fault("graph.tap", Fault::LostAnswer);
    let passes = passes_of(Cast::JOINER);
    let answer = with_token(&sandbox, &token, "POST", &passes, &json!({})).await;
    assert!(answer.is_err());
    assert_eq!(sandbox.usable_passes(Cast::JOINER).len(), 1);

    sandbox.fault("graph.resume", Fault::LostAnswer);
    let (_, path, body) = waiting(&sandbox, Cast::JOINER);
    assert!(
        with_token(&sandbox, &token, "POST", &path, &body)
            .await
            .is_err()
    );
    assert_eq!(sandbox.resumes()[0].answered, 204);

    // An answer without a body has one to spoil.
    sandbox.fault("graph.resume", Fault::NotJson);
    let (_, path, body) = waiting(&sandbox, Cast::JOINER);
    let answer = with_token(&sandbox, &token, "POST", &path, &body)
        .await
        .unwrap();
    assert_eq!(answer.body, b"It worked, thank you!");
}
