use std::{
    net::TcpListener,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use postduif_core::{Acceptance, ErrorKind, SendError};
use postduif_http::{
    BaseUrl, Client, Request,
    auth::{ClientCredentials, TokenCache},
};
use tokio::runtime::Builder;

/// Sends to a port on which nothing accepts, and fetches a token from there.
async fn attempts() -> [SendError; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (client, base) = (Client::new().unwrap(), BaseUrl::parse(&base).unwrap());
    let request = Request::post(&base, "/").with_json(&"text");
    let sent = client.send(request).await.unwrap_err();
    let source = ClientCredentials::new(client, base, "/token", "id".into(), "secret".into());
    let tokens = TokenCache::new(source, Duration::from_secs(60));
    [sent, tokens.token().await.unwrap_err()]
}

fn assert_misconfigured(errors: [SendError; 2], expected: &str) {
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
        assert_eq!(error.acceptance(), Acceptance::NotAccepted, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn without_a_tokio_runtime_a_request_fails_as_misconfigured() {
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(errors) = pin!(attempts()).poll(&mut context) else {
        panic!("it waits for something that never comes");
    };
    assert_misconfigured(errors, "no tokio runtime");
}

#[test]
fn on_a_runtime_without_time_a_request_fails_as_misconfigured() {
    let runtime = Builder::new_current_thread().enable_io().build().unwrap();
    assert_misconfigured(runtime.block_on(attempts()), "build it with enable_all");
}

#[test]
fn on_a_runtime_without_io_a_request_fails_as_misconfigured() {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    assert_misconfigured(runtime.block_on(attempts()), "build it with enable_all");
}

#[test]
fn a_runtime_that_lacks_a_part_spoils_no_token_for_another() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = BaseUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    // From here on a connection is refused.
    drop(listener);
    let client = Client::new().unwrap();
    let source = ClientCredentials::new(client, base, "/token", "id".into(), "secret".into());
    let tokens = TokenCache::new(source, Duration::from_secs(60));
    let poor = Builder::new_current_thread().enable_time().build().unwrap();
    let error = poor.block_on(tokens.token()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    let full = Builder::new_current_thread().enable_all().build().unwrap();
    let error = full.block_on(tokens.token()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}
