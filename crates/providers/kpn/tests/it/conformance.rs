use std::{sync::Arc, time::Duration};

use postduif_core::{ErrorKind, SmsProvider};
use postduif_http::Client;
use postduif_kpn::Kpn;
use postduif_testkit::{DEADLINE, FakeVendor, HttpRequest, Received, Reply};
use serde_json::{Value, json};

#[derive(Clone)]
struct FakeKpn;

const ID: &str = "hunter2-is-the-id";
const SECRET: &str = "hunter2-is-the-secret";
const TOKEN: &str = "hunter2-is-the-token";
const ROUTE: &str = "hunter2-is-the-route";

fn provider(base: &str, options: &str) -> Arc<dyn SmsProvider> {
    let client = Client::builder()
        .with_connect_timeout(DEADLINE / 2)
        .with_timeout(DEADLINE)
        .build()
        .unwrap();
    let host = base.strip_prefix("http://").unwrap();
    let url = format!(
        "kpn://{ID}:{SECRET}@{host}?{options}report_url=https%3A%2F%2Fhooks.example.test%2F{ROUTE}\
         %3Freference%3D%7Breference%7D"
    );
    Arc::new(Kpn::from_url_with(&url, &client).unwrap())
}

fn accepted(id: &str) -> Reply {
    let body = json!({"document_id": id, "status": "OK"});
    Reply::json(200, body.to_string())
}

impl FakeVendor for FakeKpn {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        provider(base, "sender=Contoso&")
    }

    fn other_reply(&self, request: &HttpRequest) -> Option<Reply> {
        self.is_token(request)
            .then(|| json!({"access_token": TOKEN, "expires_in": "3599"}).to_string())
            .map(|body| Reply::json(200, body))
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let webhook = body["webhook_url"].as_str().unwrap_or_default();
        let messages = body["messages"].as_array().unwrap();
        messages
            .iter()
            .map(|message| {
                let to = message["mobile_number"].as_str().unwrap().parse().unwrap();
                let mut received = Received::new(to, message["content"].as_str().unwrap());
                received.sender = body["sender"].as_str().map(str::to_owned);
                received.reference = webhook
                    .split_once("?reference=")
                    .map(|(_, reference)| reference.to_owned());
                received.validity = body["expirein"]
                    .as_str()
                    .map(|digits| Duration::from_secs(digits.parse().unwrap()));
                received
            })
            .collect()
    }

    fn accept(&self, _: &HttpRequest, _: &[usize]) -> Reply {
        accepted("5f0c7f1e-2c6d-4a8e-9b1f-0d5a7c3e9b42")
    }

    fn refuse(&self, _: &HttpRequest, text: &str) -> Reply {
        let body = json!({"errorResponse": {"code": "400", "message": text, "info": text}});
        Reply::json(400, body.to_string())
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::Other
    }

    fn refuse_with_code(&self, _: &HttpRequest, code: &str) -> Option<Reply> {
        let body = json!({"fault": {"faultstring": code, "detail": {"errorcode": code}}});
        Some(Reply::json(400, body.to_string()))
    }

    fn credentials(&self) -> Vec<String> {
        let basic = format!("{ID}:{SECRET}");
        [ID, SECRET, TOKEN, ROUTE, &basic].map(str::to_owned).into()
    }

    fn refuse_credentials(&self, request: &HttpRequest) -> Option<Reply> {
        let body = json!({"ErrorCode": "invalid_client", "Error": "ClientId is Invalid"});
        self.is_token(request)
            .then(|| Reply::json(401, body.to_string()))
    }

    fn is_token(&self, request: &HttpRequest) -> bool {
        request.path() == "/oauth/client_credential/accesstoken"
    }

    fn accept_with_id(&self, _: &HttpRequest, id: &str) -> Option<Reply> {
        Some(accepted(id))
    }

    fn with_vendor_messages(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(provider(base, "sender=Contoso&vendor_messages=true&"))
    }

    fn without_sender(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(provider(base, ""))
    }
}

postduif_testkit::conformance!(FakeKpn);
