use std::{sync::Arc, time::Duration};

use postduif_core::{ErrorKind, SmsProvider};
use postduif_http::Client;
use postduif_kpn::Kpn;
use postduif_testkit::{DEADLINE, HttpRequest, PretendVendor, Received, Reply};
use serde_json::{Value, json};

#[derive(Clone)]
struct PretendKpn;

impl PretendVendor for PretendKpn {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        let client = Client::builder()
            .with_connect_timeout(DEADLINE / 2)
            .with_timeout(DEADLINE)
            .build()
            .unwrap();
        let host = base.strip_prefix("http://").unwrap();
        let url = format!(
            "kpn://me:secret@{host}?sender=Contoso\
             &webhook_url=https%3A%2F%2Fhooks.example.test%2Fkpn%3Freference%3D%7Breference%7D"
        );
        Arc::new(Kpn::from_url_with(&url, &client).unwrap())
    }

    fn aside(&self, request: &HttpRequest) -> Option<Reply> {
        (request.path() == "/oauth/client_credential/accesstoken")
            .then(|| Reply::json(200, r#"{"access_token":"t0ken","expires_in":"3599"}"#))
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
        Reply::json(
            200,
            r#"{"document_id":"5f0c7f1e-2c6d-4a8e-9b1f-0d5a7c3e9b42","status":"OK"}"#,
        )
    }

    fn refuse(&self, _: &HttpRequest, words: &str) -> Reply {
        let body = json!({"errorResponse": {"code": "400", "message": words, "info": words}});
        Reply::json(400, body.to_string())
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::Other
    }

    fn refuse_with_code(&self, _: &HttpRequest, code: &str) -> Option<Reply> {
        let body = json!({"fault": {"faultstring": code, "detail": {"errorcode": code}}});
        Some(Reply::json(400, body.to_string()))
    }
}

postduif_testkit::conformance!(PretendKpn);
