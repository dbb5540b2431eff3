//! Responses that are not valid HTTP, or contradict their own headers.

use std::time::Duration;

use postduif_core::{Acceptance, ErrorKind};
use postduif_http::Client;
use postduif_testkit::{End, Reply, Server};

use crate::phases::{assert_error, client, post_by};

/// Sends one request to a server that responds with these bytes, and asserts that it was made once.
async fn after(
    bytes: Vec<u8>,
    end: End,
) -> Result<postduif_http::Response, postduif_core::SendError> {
    let server = Server::start(move |_| Reply::Raw(bytes.clone(), end)).await;
    let result = post_by(&client(), &server.url()).await;
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
    result
}

#[tokio::test]
async fn chunks_that_end_before_the_last_one_or_have_no_size_are_in_doubt() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (chunks, end) in [
        ("8\r\n{\"id\":1}\r\n", End::Close),
        ("8\r\n{\"id\":1}\r\n", End::Reset),
        ("8\r\n{\"id\":1}\r\n", End::Stall),
        ("8\r\n{\"id\"", End::Close),
        ("xyz\r\n{}\r\n0\r\n\r\n", End::Close),
        ("-2\r\n{}\r\n0\r\n\r\n", End::Close),
        ("ffffffffffffffffff\r\n{}\r\n0\r\n\r\n", End::Close),
        ("2\r\n{}xx\r\n0\r\n\r\n", End::Close),
        ("", End::Close),
    ] {
        let result = after([head, chunks].concat().into_bytes(), end).await;
        let error = match result {
            Ok(response) => {
                assert!(response.body().is_err(), "{chunks:?} was read as complete");
                response.refused(None)
            }
            Err(error) => error,
        };
        assert_eq!(
            error.acceptance(),
            Acceptance::Unknown,
            "{chunks:?} {end:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn json_is_read_under_any_content_type() {
    for content_type in ["text/html", "text/plain; charset=utf-16", "", "é"] {
        let server = Server::start(move |_| Reply::Response {
            status: 200,
            headers: vec![("content-type".into(), content_type.into())],
            body: br#"{"id":"1"}"#.to_vec(),
        })
        .await;
        let response = post_by(&client(), &server.url()).await.unwrap();
        let body: serde_json::Value = response.json().unwrap();
        assert_eq!(body["id"], "1", "{content_type}");
    }
}

#[tokio::test]
async fn a_head_beyond_any_bound_is_in_doubt_and_not_read_to_its_end() {
    let long = format!("x-long: {}\r\n", "x".repeat(2 * 1024 * 1024));
    let names: String = (0..10_000).map(|name| format!("x-{name}: 1\r\n")).collect();
    for headers in [long, names] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{headers}content-length: 2\r\n\r\n{{}}");
        let server =
            Server::start(move |_| Reply::Raw(bytes.clone().into_bytes(), End::Stall)).await;
        let client = Client::builder()
            .with_timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        let result = post_by(&client, &server.url()).await;
        assert_error(result, ErrorKind::Protocol, Acceptance::Unknown);
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_ambiguous_head_is_in_doubt() {
    for headers in [
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: 2, 3\r\n",
        "content-length: two\r\n",
        "content-length: -2\r\n",
        "content-length: +2\r\n",
        "content-length: 2\r\nx-bad: a\rb\r\n",
        "content-length: 2\r\nx-bad: a\0b\r\n",
        "content-length: 2\r\n x-folded: 1\r\nbad header: 1\r\n",
        "content-length: 2\r\nbad header: 1\r\n",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{headers}\r\n{{}}");
        let result = after(bytes.into_bytes(), End::Stall).await;
        let error = match result {
            Ok(response) => panic!("{headers:?}: status {}", response.status()),
            Err(error) => error,
        };
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Protocol, Acceptance::Unknown),
            "{headers:?}: {error:?}"
        );
    }
}

/// By RFC 9112, 6.3, the chunks take precedence, and the connection must not be reused.
#[tokio::test]
async fn after_a_length_and_chunks_at_once_the_connection_is_not_used_again() {
    let bytes = "HTTP/1.1 200 OK\r\ncontent-length: 60\r\ntransfer-encoding: chunked\r\n\r\n\
        2\r\n{}\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"id\":\"evil\"}";
    let server = Server::start(move |request| match request.header("x-turn") {
        Some(_) => Reply::json(200, r#"{"id":"mine"}"#),
        None => Reply::Raw(bytes.as_bytes().to_vec(), End::Stall),
    })
    .await;
    let client = client();
    let base = postduif_http::BaseUrl::parse(&server.url()).unwrap();
    let request = postduif_http::Request::post(&base, "/send").with_json(&"text");
    if let Ok(response) = client.send(request).await {
        assert_eq!(response.body().unwrap(), b"{}");
    }
    let request = postduif_http::Request::post(&base, "/send")
        .with_header("x-turn", "2")
        .with_json(&"text");
    let response = client.send(request).await.unwrap();
    assert_eq!(response.body().unwrap(), br#"{"id":"mine"}"#);
    assert_eq!(server.connections(), 2);
}
