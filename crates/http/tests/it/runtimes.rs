use std::{
    net::TcpListener,
    pin::pin,
    sync::{Mutex, mpsc},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use postduif_core::{Acceptance, ErrorKind, SendError};
use postduif_http::{
    BaseUrl, Client, Request,
    auth::{ClientCredentials, TokenCache},
};
use postduif_testkit::{Reply, Server};
use tokio::runtime::{Builder, Runtime};

use crate::phases::post_by;

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
fn on_a_runtime_that_was_shut_down_nothing_is_sent() {
    let runtime = running();
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    for error in handle.block_on(attempts()) {
        assert_eq!(error.acceptance(), Acceptance::NotAccepted, "{error}");
    }
}

#[test]
fn a_runtime_that_is_shut_down_before_the_response_leaves_the_message_in_doubt() {
    let (read, is_read) = mpsc::channel();
    let (respond, may_respond) = mpsc::channel::<()>();
    let held = Mutex::new((read, may_respond));
    let world = running();
    let server = world.block_on(Server::start(move |_| {
        let held = held.lock().unwrap();
        held.0.send(()).unwrap();
        held.1.recv().unwrap();
        Reply::json(200, "{}")
    }));
    let client = Client::new().unwrap();
    let runtime = running();
    let (handle, url) = (runtime.handle().clone(), server.url());
    let sends = thread::spawn(move || handle.block_on(post_by(&client, &url)));
    is_read.recv().unwrap();
    runtime.shutdown_background();
    let sent = sends.join();
    respond.send(()).unwrap();
    let error = sent.unwrap().unwrap_err();
    assert_eq!(error.acceptance(), Acceptance::Unknown, "{error}");
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

/// A runtime for a server, which runs by itself.
fn running() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// A runtime that runs only while something blocks on it.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_client_survives_the_end_of_the_runtime_that_used_it_first() {
    let world = running();
    let server = world.block_on(Server::start(|_| Reply::json(200, "{}")));
    let client = Client::new().unwrap();
    for turn in 1..=100 {
        let sent = runtime().block_on(post_by(&client, &server.url()));
        assert_eq!(sent.unwrap().status(), 200, "runtime {turn}");
    }
    assert_eq!(server.requests().len(), 100);
}

#[test]
fn the_end_of_a_runtime_leaves_the_calls_of_others_alone() {
    let (read, is_read) = mpsc::channel();
    let (respond, may_respond) = mpsc::channel::<()>();
    let held = Mutex::new((0, read, may_respond));
    let world = running();
    let server = world.block_on(Server::start(move |_| {
        let mut held = held.lock().unwrap();
        held.0 += 1;
        if held.0 == 2 {
            held.1.send(()).unwrap();
            held.2.recv().unwrap();
        }
        Reply::json(200, "{}")
    }));
    let client = Client::new().unwrap();
    let first = runtime();
    first.block_on(post_by(&client, &server.url())).unwrap();
    let second = thread::spawn({
        let (client, url) = (client, server.url());
        move || runtime().block_on(post_by(&client, &url))
    });
    is_read.recv().unwrap();
    drop(first);
    respond.send(()).unwrap();
    assert_eq!(second.join().unwrap().unwrap().status(), 200);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_runtime_that_does_not_run_holds_up_no_call_of_another() {
    let world = running();
    let server = world.block_on(Server::start(|_| Reply::json(200, "{}")));
    let client = Client::new().unwrap();
    let idle = runtime();
    idle.block_on(post_by(&client, &server.url())).unwrap();
    let sent = runtime().block_on(post_by(&client, &server.url()));
    assert_eq!(sent.unwrap().status(), 200);
    assert_eq!((server.requests().len(), server.connections()), (2, 2));
}
