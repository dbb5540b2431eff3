//! Providers outside of a tokio runtime, and in several.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use postduif::{Acceptance, ErrorKind, Message, SmsProvider, Text};
use tokio::runtime::{Builder, Runtime};

fn message() -> Message {
    let to = "+31612345678".parse().unwrap();
    Message::new(to, Text::new("Your code is 482913").unwrap())
}

/// Polls once without any runtime.
fn without_a_runtime<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for something that never comes"),
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_stack_without_a_runtime_with_time_refuses_every_message() {
    let poor = Builder::new_current_thread().enable_io().build().unwrap();
    let sms = postduif::failover("null:// null://").unwrap();
    let message = message();
    for (sent, what_to_do) in [
        (
            without_a_runtime(sms.send(&message)),
            "no tokio runtime: send from within one with time enabled",
        ),
        (
            poor.block_on(sms.send(&message)),
            "the tokio runtime has no time: build it with enable_all",
        ),
    ] {
        let error = sent.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
        assert_eq!(error.acceptance(), Acceptance::NotAccepted, "{error}");
        assert!(error.to_string().contains(what_to_do), "{error}");
    }
    assert!(runtime().block_on(sms.send(&message)).is_ok());
}

#[cfg(all(feature = "testing", feature = "kpn", feature = "smstools"))]
mod over_http {
    use postduif::{
        http::Client,
        testing::{Reply, Server},
    };

    use super::*;

    /// A runtime for a server, which runs by itself.
    fn running() -> Runtime {
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    }

    fn url(vendor: &str, server: &Server) -> String {
        let host = server.address();
        format!("{vendor}://id:secret@{host}?sender=Contoso")
    }

    #[test]
    fn a_provider_survives_the_end_of_the_runtime_that_used_it_first() {
        let world = running();
        let server = world.block_on(Server::start(|_| Reply::json(200, r#"{"messageid":"m1"}"#)));
        let sms = postduif::from_url(&url("smstools", &server)).unwrap();
        for turn in 1..=20 {
            let sent = runtime().block_on(sms.send(&message()));
            assert!(sent.is_ok(), "runtime {turn}: {sent:?}");
        }
        assert_eq!(server.requests().len(), 20);
    }

    #[test]
    fn the_providers_of_a_process_share_their_connections() {
        let world = running();
        let server = world.block_on(Server::start(|_| Reply::json(200, r#"{"messageid":"m1"}"#)));
        runtime().block_on(async {
            for turn in 1..=20 {
                let sms = postduif::from_url(&url("smstools", &server)).unwrap();
                let sent = sms.send(&message()).await;
                assert!(sent.is_ok(), "provider {turn}: {sent:?}");
            }
        });
        assert_eq!((server.requests().len(), server.connections()), (20, 1));
    }

    #[test]
    fn a_header_of_the_program_is_on_every_request_of_a_provider() {
        let world = running();
        let server = world.block_on(Server::start(|_| {
            Reply::json(200, r#"{"access_token":"t0ken","expires_in":3600}"#)
        }));
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let client = Client::shared().unwrap();
        let client = client.with_headers(move || [("traceparent", parent)]);
        let sms = postduif::from_url_with(&url("kpn", &server), &client).unwrap();
        // Only the requests matter here: one for the token, and one for the message.
        let _ = runtime().block_on(sms.send(&message()));
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        for request in requests {
            assert_eq!(request.header("traceparent"), Some(parent));
        }
    }
}
