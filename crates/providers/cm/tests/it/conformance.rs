use std::{sync::Arc, time::Duration};

use postduif_cm::Cm;
use postduif_core::{ErrorKind, PhoneNumber, SmsProvider};
use postduif_http::Client;
use postduif_testkit::{DEADLINE, FakeVendor, HttpRequest, Received, Reply};
use serde_json::{Value, json};

#[derive(Clone)]
struct FakeCm;

const TOKEN: &str = "4b0e7c1a-93d5-4f6e-8a27-d15c0b9e6f38";

fn provider(base: &str, options: &str) -> Arc<dyn SmsProvider> {
    let client = Client::builder()
        .with_connect_timeout(DEADLINE / 2)
        .with_timeout(DEADLINE)
        .build()
        .unwrap();
    let host = base.strip_prefix("http://").unwrap();
    let url = format!("cm://{TOKEN}@{host}?{options}");
    Arc::new(Cm::from_url_with(&url, &client).unwrap())
}

fn messages(request: &HttpRequest) -> Vec<Value> {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    body["messages"]["msg"].as_array().unwrap().clone()
}

/// Parses CM's two relative formats of a period: `30m`, `2h`.
fn period(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let seconds = match unit {
        "m" => 60,
        "h" => 3600,
        _ => panic!("no period: {text}"),
    };
    Duration::from_secs(number.parse::<u64>().unwrap() * seconds)
}

/// A response that rejects every message, with this text in each member for one.
fn rejected(request: &HttpRequest, text: &str, code: &Value) -> Reply {
    let rejected = |message: &Value| {
        json!({
            "to": message["to"][0]["number"], "status": "Rejected", "reference": message["reference"],
            "parts": 0, "messageDetails": text, "messageErrorCode": code
        })
    };
    let body = json!({
        "details": text, "errorCode": 201,
        "messages": messages(request).iter().map(rejected).collect::<Vec<_>>()
    });
    Reply::json(400, body.to_string())
}

impl FakeVendor for FakeCm {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        provider(base, "sender=Contoso")
    }

    fn other_reply(&self, _: &HttpRequest) -> Option<Reply> {
        None
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        assert_eq!(request.path(), "/v1.0/message");
        messages(request)
            .iter()
            .map(|message| {
                assert_eq!(message["allowedChannels"], json!(["SMS"]));
                assert_eq!(message["body"]["type"], "auto");
                assert_eq!(message["to"].as_array().unwrap().len(), 1);
                let to = message["to"][0]["number"].as_str().unwrap();
                let to: PhoneNumber = format!("+{}", to.strip_prefix("00").unwrap())
                    .parse()
                    .unwrap();
                let mut received = Received::new(to, message["body"]["content"].as_str().unwrap());
                received.sender = message["from"].as_str().map(str::to_owned);
                received.reference = message["reference"].as_str().map(str::to_owned);
                received.validity = message["validity"].as_str().map(period);
                received
            })
            .collect()
    }

    fn accept(&self, request: &HttpRequest, entries: &[usize]) -> Reply {
        let messages = messages(request);
        let accepted = |index: &usize| {
            json!({
                "to": messages[*index]["to"][0]["number"], "status": "Accepted",
                "reference": messages[*index]["reference"], "parts": 1, "messageDetails": null,
                "messageErrorCode": 0
            })
        };
        let body = json!({
            "details": format!("Created {} message(s)", entries.len()), "errorCode": 0,
            "messages": entries.iter().map(accepted).collect::<Vec<_>>()
        });
        Reply::json(200, body.to_string())
    }

    fn refuse(&self, request: &HttpRequest, text: &str) -> Reply {
        rejected(request, text, &json!(304))
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::InvalidText
    }

    fn refuse_with_code(&self, request: &HttpRequest, code: &str) -> Option<Reply> {
        let code = code
            .parse::<u64>()
            .map_or_else(|_| json!(code), |number| json!(number));
        Some(rejected(request, "no", &code))
    }

    fn credentials(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }

    fn refuse_credentials(&self, _: &HttpRequest) -> Option<Reply> {
        let body = json!({"details": "Invalid product token.", "errorCode": 101, "messages": []});
        Some(Reply::json(401, body.to_string()))
    }

    fn replies_name_the_message(&self) -> bool {
        true
    }

    fn with_vendor_messages(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(provider(base, "sender=Contoso&vendor_messages=true"))
    }

    fn without_sender(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(provider(base, ""))
    }
}

postduif_testkit::conformance!(FakeCm);
