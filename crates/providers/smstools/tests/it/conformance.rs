use std::sync::Arc;

use postduif_core::{ErrorKind, SmsProvider};
use postduif_http::Client;
use postduif_smstools::Smstools;
use postduif_testkit::{DEADLINE, FakeVendor, HttpRequest, Received, Reply};
use serde_json::{Value, json};

#[derive(Clone)]
struct FakeSmstools;

const ID: &str = "hunter2-is-the-id";
const SECRET: &str = "hunter2-is-the-secret";

fn provider(base: &str, options: &str) -> Arc<dyn SmsProvider> {
    let client = Client::builder()
        .with_connect_timeout(DEADLINE / 2)
        .with_timeout(DEADLINE)
        .build()
        .unwrap();
    let host = base.strip_prefix("http://").unwrap();
    let url = format!("smstools://{ID}:{SECRET}@{host}?{options}");
    Arc::new(Smstools::from_url_with(&url, &client).unwrap())
}

fn accepted(id: &str) -> Reply {
    Reply::json(200, json!({"messageid": id}).to_string())
}

impl FakeVendor for FakeSmstools {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        provider(base, "sender=Contoso")
    }

    fn other_reply(&self, request: &HttpRequest) -> Option<Reply> {
        (request.path() == "/v1/balance")
            .then(|| Reply::json(200, r#"{"credits": "42.50", "currency": "EUR", "use": 0}"#))
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        assert_eq!(request.path(), "/v1/message/send");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let digits = body["to"].as_str().unwrap();
        assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
        assert!(body.get("test").is_none() && body.get("date").is_none());
        let mut received = Received::new(
            format!("+{digits}").parse().unwrap(),
            body["message"].as_str().unwrap(),
        );
        received.sender = body["sender"].as_str().map(str::to_owned);
        received.reference = body["reference"].as_str().map(str::to_owned);
        vec![received]
    }

    fn accept(&self, request: &HttpRequest, _: &[usize]) -> Reply {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let sender = body["sender"].as_str().unwrap();
        // Error 110, as listed: digits must have a plus.
        if sender.bytes().all(|byte| byte.is_ascii_digit()) {
            return Reply::json(400, r#"{"error": "110", "errorMsg": "+ required"}"#);
        }
        accepted("e0ncuxht345hjmbjvv2feky0azflcw")
    }

    fn refuse(&self, _: &HttpRequest, text: &str) -> Reply {
        Reply::json(400, json!({"error": "118", "errorMsg": text}).to_string())
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::InvalidText
    }

    fn refuse_with_code(&self, _: &HttpRequest, code: &str) -> Option<Reply> {
        Some(Reply::json(
            400,
            json!({"error": code, "errorMsg": "no"}).to_string(),
        ))
    }

    fn credentials(&self) -> Vec<String> {
        [ID, SECRET].map(str::to_owned).into()
    }

    fn refuse_credentials(&self, _: &HttpRequest) -> Option<Reply> {
        let body = json!({"error": "104", "errorMsg": "Invalid API credentials"});
        Some(Reply::json(401, body.to_string()))
    }

    fn accept_with_id(&self, _: &HttpRequest, id: &str) -> Option<Reply> {
        Some(accepted(id))
    }

    fn with_vendor_messages(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(provider(base, "sender=Contoso&vendor_messages=true"))
    }

    fn without_sender(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(provider(base, ""))
    }
}

postduif_testkit::conformance!(FakeSmstools);
