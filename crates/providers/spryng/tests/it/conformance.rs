use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use postduif_core::{ErrorKind, SmsProvider};
use postduif_http::Client;
use postduif_spryng::Spryng;
use postduif_testkit::{DEADLINE, FakeVendor, HttpRequest, Received, Reply};
use serde_json::{Value, json};

fn client() -> Client {
    Client::builder()
        .with_connect_timeout(DEADLINE / 2)
        .with_timeout(DEADLINE)
        .build()
        .unwrap()
}

fn body(request: &HttpRequest) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

const KEY: &str = "hunter2-of-spryng";

#[derive(Clone)]
struct FakeV2;

impl FakeVendor for FakeV2 {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        let host = base.strip_prefix("http://").unwrap();
        let url = format!("spryng://{KEY}@{host}?account=SPNL0000000&sender=Contoso");
        Arc::new(Spryng::from_url_with(&url, &client()).unwrap())
    }

    fn with_vendor_messages(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        let host = base.strip_prefix("http://").unwrap();
        let options = "account=SPNL0000000&sender=Contoso&vendor_messages=true";
        let url = format!("spryng://{KEY}@{host}?{options}");
        Some(Arc::new(Spryng::from_url_with(&url, &client()).unwrap()))
    }

    fn credentials(&self) -> Vec<String> {
        vec![KEY.to_owned(), "SPNL0000000".to_owned()]
    }

    fn refuse_credentials(&self, _: &HttpRequest) -> Option<Reply> {
        let error = json!({"errorCode": "unauthenticatedError", "errorMessage": "no"});
        Some(Reply::json(401, json!({"errors": [error]}).to_string()))
    }

    fn accept_with_id(&self, _: &HttpRequest, id: &str) -> Option<Reply> {
        let data = json!({"requestId": "8a2f", "messageIds": [id]});
        Some(Reply::json(202, json!({"data": data}).to_string()))
    }

    fn other_reply(&self, request: &HttpRequest) -> Option<Reply> {
        (request.path() == "/v2/balance").then(|| {
            Reply::json(
                200,
                r#"{"data": {"available": "115.82000", "reserved": "0"}}"#,
            )
        })
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        assert_eq!(request.path(), "/v2/messages");
        assert_eq!(request.header("x-api-key"), Some(KEY));
        let body = body(request);
        assert_eq!(body["accountReference"], "SPNL0000000");
        assert_eq!(
            (&body["channel"], &body["characterSet"]),
            (&json!("SMS"), &json!("Auto"))
        );
        let text = body["body"]["text"].as_str().unwrap();
        assert!(!text.contains(['[', ']']), "an unfilled variable");
        let recipients = body["recipients"].as_array().unwrap();
        recipients
            .iter()
            .map(|recipient| {
                let to = recipient["msisdn"].as_str().unwrap().parse().unwrap();
                let mut received = Received::new(to, text);
                received.sender = body["from"].as_str().map(str::to_owned);
                received.reference = recipient["metaData"]["reference"]
                    .as_str()
                    .map(str::to_owned);
                received.validity = body["validity"].as_str().map(ahead);
                received
            })
            .collect()
    }

    fn accept(&self, _: &HttpRequest, _: &[usize]) -> Reply {
        let data = json!({"requestId": "8a2f", "messageIds": ["0c91"]});
        Reply::json(202, json!({"data": data}).to_string())
    }

    fn refuse(&self, _: &HttpRequest, text: &str) -> Reply {
        let error = json!({
            "errorCode": "validationError", "errorMessage": text, "metadata": {"text": text}
        });
        Reply::json(400, json!({"errors": [error]}).to_string())
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::Other
    }

    fn refuse_with_code(&self, _: &HttpRequest, code: &str) -> Option<Reply> {
        let error = json!({"errorCode": code, "errorMessage": "no"});
        Some(Reply::json(400, json!({"errors": [error]}).to_string()))
    }
}

/// Returns how far ahead an instant is, to the minute, which is finer than any validity of the suite.
fn ahead(instant: &str) -> Duration {
    let now: DateTime<Utc> = SystemTime::now().into();
    let instant = DateTime::parse_from_rfc3339(instant).unwrap().to_utc();
    let minutes = ((instant - now).num_seconds() + 30) / 60;
    Duration::from_secs(u64::try_from(minutes).unwrap() * 60)
}

mod v2 {
    use super::FakeV2;

    postduif_testkit::conformance!(FakeV2);
}

#[derive(Clone)]
struct FakeV1;

impl FakeVendor for FakeV1 {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        let host = base.strip_prefix("http://").unwrap();
        let url = format!("spryng://{KEY}@{host}?api=v1&sender=Contoso");
        Arc::new(Spryng::from_url_with(&url, &client()).unwrap())
    }

    fn with_vendor_messages(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        let host = base.strip_prefix("http://").unwrap();
        let url = format!("spryng://{KEY}@{host}?api=v1&sender=Contoso&vendor_messages=true");
        Some(Arc::new(Spryng::from_url_with(&url, &client()).unwrap()))
    }

    fn without_sender(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        let host = base.strip_prefix("http://").unwrap();
        let url = format!("spryng://{KEY}@{host}?api=v1");
        Some(Arc::new(Spryng::from_url_with(&url, &client()).unwrap()))
    }

    fn credentials(&self) -> Vec<String> {
        vec![KEY.to_owned()]
    }

    fn refuse_credentials(&self, _: &HttpRequest) -> Option<Reply> {
        let challenge = Reply::json(401, r#"{"message":"Unauthenticated."}"#);
        Some(challenge.with_header("www-authenticate", "Bearer"))
    }

    fn accept_with_id(&self, request: &HttpRequest, id: &str) -> Option<Reply> {
        let mut response = body(request);
        response["id"] = id.into();
        response.as_object_mut().unwrap().remove("recipients");
        Some(Reply::json(200, response.to_string()))
    }

    fn replies_name_the_message(&self) -> bool {
        true
    }

    fn other_reply(&self, request: &HttpRequest) -> Option<Reply> {
        (request.path() == "/v1/balance").then(|| Reply::json(200, r#"{"amount": 10.5}"#))
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        assert_eq!(
            (request.method.as_str(), request.path()),
            ("POST", "/v1/messages")
        );
        assert_eq!(
            request.header("authorization"),
            Some(format!("Bearer {KEY}").as_str())
        );
        assert_eq!(request.header("accept"), Some("application/json"));
        let body = body(request);
        assert_eq!(
            (&body["encoding"], &body["route"]),
            (&json!("auto"), &json!("business"))
        );
        let recipients = body["recipients"].as_array().unwrap();
        recipients
            .iter()
            .map(|recipient| {
                let digits = recipient.as_str().unwrap();
                assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
                let to = format!("+{digits}").parse().unwrap();
                let mut received = Received::new(to, body["body"].as_str().unwrap());
                received.sender = body["originator"].as_str().map(str::to_owned);
                received.reference = body["reference"].as_str().map(str::to_owned);
                received
            })
            .collect()
    }

    fn accept(&self, request: &HttpRequest, _: &[usize]) -> Reply {
        let mut response = body(request);
        response["id"] = "9d3e".into();
        response["credits"] = 1.0.into();
        response["canceled_at"] = Value::Null;
        response.as_object_mut().unwrap().remove("recipients");
        Reply::json(200, response.to_string())
    }

    fn refuse(&self, _: &HttpRequest, text: &str) -> Reply {
        let body = json!({"message": text, "errors": {"body": [text]}});
        Reply::json(422, body.to_string())
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::InvalidText
    }

    fn refuse_unlisted(&self, request: &HttpRequest) -> Option<Reply> {
        Some(self.refuse(request, "no"))
    }

    fn refuse_with_code(&self, _: &HttpRequest, _: &str) -> Option<Reply> {
        None
    }
}

mod v1 {
    use super::FakeV1;

    postduif_testkit::conformance!(FakeV1);
}
