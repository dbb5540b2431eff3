use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use postduif_core::{ErrorKind, SmsProvider};
use postduif_http::Client;
use postduif_testkit::{DEADLINE, FakeVendor, HttpRequest, Received, Reply};
use postduif_webhook::Webhook;
use serde_json::{Value, json};

/// A gateway behind a token that supports every option, or one that verifies signatures and supports none.
#[derive(Clone, Copy)]
enum FakeGateway {
    Signed,
    Token,
}

const TOKEN: &str = "hunter2-is-the-token";
const KEY: &str = "hunter2-signs-the-requests-of-us";

impl FakeGateway {
    fn at(self, base: &str, options: &str) -> Arc<dyn SmsProvider> {
        let client = Client::builder()
            .with_connect_timeout(DEADLINE / 2)
            .with_timeout(DEADLINE)
            .build()
            .unwrap();
        let host = base.strip_prefix("http://").unwrap();
        let own = match self {
            Self::Signed => format!("secret=whsec_{}", BASE64_STANDARD.encode(KEY)),
            Self::Token => {
                format!(
                    "token={TOKEN}&validity=60-86400&schedule_ahead=604800&reports=true&repeat_window=600"
                )
            }
        };
        let url = format!("webhook://{host}/sms/send?{own}{options}");
        Arc::new(Webhook::from_url_with(&url, &client).unwrap())
    }
}

fn body(request: &HttpRequest) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn refusal(status: u16, kind: &str, code: &str, words: &str) -> Reply {
    let body = json!({"status": "refused", "kind": kind, "code": code, "message": words});
    Reply::json(status, body.to_string())
}

impl FakeVendor for FakeGateway {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        self.at(base, "&sender=Contoso")
    }

    fn other_reply(&self, request: &HttpRequest) -> Option<Reply> {
        let ready = json!({"status": "ready"}).to_string();
        (request.method == "GET").then(|| Reply::json(200, ready))
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        assert_eq!(request.target, "/sms/send");
        let body = body(request);
        let mut received = Received::new(
            body["to"].as_str().unwrap().parse().unwrap(),
            body["text"].as_str().unwrap(),
        );
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        received.sender = text("sender");
        received.reference = text("reference");
        received.validity = body["validity_s"].as_u64().map(Duration::from_secs);
        received.send_at = text("send_at").map(|time| time.parse().unwrap());
        vec![received]
    }

    fn accept(&self, request: &HttpRequest, _: &[usize]) -> Reply {
        self.accept_with_id(request, "8f14e45f").unwrap()
    }

    fn refuse(&self, _: &HttpRequest, words: &str) -> Reply {
        refusal(422, "invalid_recipient", "17", words)
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::InvalidRecipient
    }

    fn refuse_with_code(&self, _: &HttpRequest, code: &str) -> Option<Reply> {
        Some(refusal(422, "other", code, "no"))
    }

    fn credentials(&self) -> Vec<String> {
        match self {
            Self::Signed => vec![KEY.to_owned(), BASE64_STANDARD.encode(KEY)],
            Self::Token => vec![TOKEN.to_owned()],
        }
    }

    fn refuse_credentials(&self, _: &HttpRequest) -> Option<Reply> {
        Some(refusal(401, "unauthorized", "1", "no"))
    }

    fn accept_with_id(&self, request: &HttpRequest, id: &str) -> Option<Reply> {
        let reference = &body(request)["reference"];
        let body = json!({"status": "accepted", "id": id, "reference": reference});
        Some(Reply::json(202, body.to_string()))
    }

    fn replies_name_the_message(&self) -> bool {
        true
    }

    fn with_vendor_messages(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(self.at(base, "&sender=Contoso&vendor_messages=true"))
    }

    fn without_sender(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(self.at(base, ""))
    }
}

mod signed {
    postduif_testkit::conformance!(super::FakeGateway::Signed);
}

mod token {
    postduif_testkit::conformance!(super::FakeGateway::Token);
}
