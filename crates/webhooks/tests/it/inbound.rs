//! The routes of inbound texts. What they share with those of delivery reports is tried there.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, InboundMessage, InboundParser, InboundSink, ReportError, ReportRequest,
    ReportSinkError, async_trait,
};
use postduif_webhooks::{Inbound, Reply};

const SECRET: &str = "5f0c1e9a7b3d4862";

/// The text is the body, with its id after a #. An empty one cannot be read.
#[derive(Debug)]
struct Parser(Authenticity);

impl InboundParser for Parser {
    fn authenticity(&self) -> Authenticity {
        self.0
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        _: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        if request.header("x-signature")? != Some("good") {
            return Err(ReportError::forged("wrong"));
        }
        match std::str::from_utf8(request.body()) {
            Ok("") | Err(_) => Err(ReportError::malformed("no text")),
            Ok("a report") => Ok(vec![]),
            Ok(text) => {
                let from = "+31612345678".parse().unwrap();
                let mut message = InboundMessage::new("acme", from, text);
                message.id = text.split_once('#').map(|(_, id)| id.to_owned());
                Ok(vec![message])
            }
        }
    }
}

/// Keeps the texts, and fails for the first ones.
#[derive(Debug, Default)]
struct Sink {
    texts: Mutex<Vec<String>>,
    failures: Mutex<usize>,
}

#[async_trait]
impl InboundSink for Sink {
    async fn store(&self, message: &InboundMessage) -> Result<(), ReportSinkError> {
        let mut failures = self.failures.lock().unwrap();
        if let Some(fewer) = failures.checked_sub(1) {
            *failures = fewer;
            return Err(ReportSinkError::new("away"));
        }
        let text = message.text.as_str().to_owned();
        self.texts.lock().unwrap().push(text);
        Ok(())
    }
}

fn routes(sink: &Arc<Sink>) -> Inbound {
    Inbound::builder("https://hooks.example.com", Arc::clone(sink))
        .with_vendor("acme", Parser(Authenticity::Signed))
        .build()
        .unwrap()
}

async fn post(inbound: &Inbound, path: &str, signature: &str, body: &str) -> Reply {
    let headers = [("x-signature", signature)];
    let headers = headers.iter().map(|(name, value)| (*name, *value));
    let request = inbound.request("POST", path, headers, body.as_bytes());
    inbound.receive("acme", &request).await
}

#[tokio::test]
async fn only_a_verified_text_is_stored_and_only_once() {
    let sink = Arc::default();
    let inbound = routes(&sink);
    for (signature, body, status) in [
        ("wrong", "Stop!", 401),
        ("good", "Hello#1", 200),
        ("good", "Hello#1", 200),
        ("good", "a report", 200),
        ("good", "", 200),
    ] {
        let reply = post(&inbound, "/inbound/acme", signature, body).await;
        assert_eq!(reply.status(), status, "{body}");
    }
    assert_eq!(*sink.texts.lock().unwrap(), ["Hello#1"]);
}

#[tokio::test]
async fn a_word_that_a_person_sends_again_counts_where_a_vendor_gives_no_id() {
    let sink = Arc::default();
    let inbound = routes(&sink);
    for text in ["Stop", "Start", "Stop"] {
        let reply = post(&inbound, "/inbound/acme", "good", text).await;
        assert_eq!(reply.status(), 200);
    }
    assert_eq!(*sink.texts.lock().unwrap(), ["Stop", "Start", "Stop"]);
}

#[test]
fn a_request_without_a_runtime_that_can_wait_is_not_stored() {
    let sink = Arc::default();
    let inbound = routes(&sink);
    let mut received = pin!(post(&inbound, "/inbound/acme", "good", "Hello"));
    let polled = received
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    let without_time = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let polled_there = without_time.block_on(post(&inbound, "/inbound/acme", "good", "Hello"));
    assert!(matches!(polled, Poll::Ready(reply) if reply.status() == 503));
    assert_eq!(polled_there.status(), 503);
    assert!(sink.texts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_text_that_was_not_stored_is_taken_when_it_comes_again() {
    let sink = Arc::new(Sink {
        failures: Mutex::new(1),
        ..Sink::default()
    });
    let inbound = routes(&sink);
    for status in [503, 200] {
        let reply = post(&inbound, "/inbound/acme", "good", "Hello").await;
        assert_eq!(reply.status(), status);
    }
    assert_eq!(*sink.texts.lock().unwrap(), ["Hello"]);
}

#[tokio::test]
async fn a_vendor_that_signs_the_body_only_has_no_route_without_a_path_secret() {
    let builder = || {
        Inbound::builder("https://hooks.example.com", Arc::<Sink>::default())
            .with_vendor("acme", Parser(Authenticity::BodyOnly))
    };
    let error = builder().build().unwrap_err().to_string();
    let expected = "acme signs only the body of an inbound text: set a secret of yours for its path, /inbound/acme/SECRET";
    assert_eq!(error, expected);
    let inbound = builder()
        .with_path_secrets("acme", [SECRET])
        .build()
        .unwrap();
    for (path, status) in [
        ("/inbound/acme".to_owned(), 404),
        (format!("/inbound/acme/x{SECRET}"), 404),
        (format!("/inbound/acme/{SECRET}"), 200),
    ] {
        let reply = post(&inbound, &path, "good", "Hello").await;
        assert_eq!(reply.status(), status, "{path}");
    }
    assert!(!format!("{inbound:?}").contains(SECRET));
}
