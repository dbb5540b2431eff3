//! The suite of promises that the example's provider passes, over what Acme's page says about its wire.

use std::sync::Arc;

use postduif::{
    ErrorKind, SmsProvider,
    http::Client,
    testing::{DEADLINE, FakeVendor, HttpRequest, Received, Reply},
};
use serde_json::{Value, json};

#[expect(dead_code, reason = "its main runs as a program")]
#[path = "../../custom_provider.rs"]
mod example;

/// Acme as its page describes it.
#[derive(Clone)]
struct Acme;

impl FakeVendor for Acme {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        let client = Client::builder().with_timeout(DEADLINE).build().unwrap();
        Arc::new(example::Acme::new(base, client).unwrap())
    }

    fn other_reply(&self, _: &HttpRequest) -> Option<Reply> {
        None
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let to = body["to"].as_str().unwrap_or_default().parse();
        let mut received = Received::new(to.unwrap(), body["text"].as_str().unwrap_or_default());
        received.reference = body["ref"].as_str().map(str::to_owned);
        vec![received]
    }

    fn accept(&self, _: &HttpRequest, _: &[usize]) -> Reply {
        Reply::json(201, r#"{"id":"acme-1"}"#)
    }

    fn accept_with_id(&self, _: &HttpRequest, id: &str) -> Option<Reply> {
        Some(Reply::json(201, json!({"id": id}).to_string()))
    }

    fn credentials(&self) -> Vec<String> {
        vec!["hunter2-at-acme".to_owned()]
    }

    fn refuse(&self, _: &HttpRequest, words: &str) -> Reply {
        Reply::json(
            400,
            json!({"acme_error": 1, "explanation": words}).to_string(),
        )
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::InvalidRecipient
    }

    fn refuse_with_code(&self, _: &HttpRequest, _: &str) -> Option<Reply> {
        None
    }

    fn refuse_unlisted(&self, _: &HttpRequest) -> Option<Reply> {
        Some(Reply::json(400, r#"{"acme_error":7391}"#))
    }
}

mod conformance {
    postduif::testing::conformance!(super::Acme);
}
