use std::{sync::Arc, time::Duration};

use postduif_core::{ErrorKind, SmsProvider};
use postduif_http::Client;
use postduif_messagebird::MessageBird;
use postduif_testkit::{DEADLINE, FakeVendor, HttpRequest, Received, Reply};
use serde_json::{Value, json};

use super::wire::{CHANNEL, WORKSPACE};

const PLATFORM_KEY: &str = "bk_eu1_hunter2-of-bird";
const KEY: &str = "hunter2-of-bird";
const ACCESS: &str = "AccessKey hunter2-of-bird";
const REPORT_URL: &str = "https://hooks.example.com/bird/0ur-s3cret";

fn provider(base: &str, key: &str, options: &str) -> Arc<dyn SmsProvider> {
    let client = Client::builder()
        .with_connect_timeout(DEADLINE / 2)
        .with_timeout(DEADLINE)
        .build()
        .unwrap();
    let host = base.strip_prefix("http://").unwrap();
    let url = format!("messagebird://{key}@{host}?{options}");
    Arc::new(MessageBird::from_url_with(&url, &client).unwrap())
}

fn body(request: &HttpRequest) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[derive(Clone)]
struct FakePlatform;

impl FakePlatform {
    fn is_batch(request: &HttpRequest) -> bool {
        request.path() == "/v1/sms/batches"
    }

    fn entries(request: &HttpRequest) -> Vec<Value> {
        if Self::is_batch(request) {
            body(request)["messages"].as_array().unwrap().clone()
        } else {
            vec![body(request)]
        }
    }
}

impl FakeVendor for FakePlatform {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        provider(base, PLATFORM_KEY, "sender=Contoso")
    }

    fn with_vendor_messages(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(provider(
            base,
            PLATFORM_KEY,
            "sender=Contoso&vendor_messages=true",
        ))
    }

    fn without_sender(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(provider(base, PLATFORM_KEY, ""))
    }

    fn credentials(&self) -> Vec<String> {
        vec![PLATFORM_KEY.to_owned()]
    }

    fn refuse_credentials(&self, _: &HttpRequest) -> Option<Reply> {
        let body = json!({"error": {"type": "auth_error", "code": "E01010", "message": "no"}});
        Some(Reply::json(401, body.to_string()))
    }

    fn accept_with_id(&self, request: &HttpRequest, id: &str) -> Option<Reply> {
        let entry = &Self::entries(request)[0];
        let body = json!({"id": id, "status": "accepted", "to": entry["to"], "metadata": entry["metadata"]});
        Some(Reply::json(202, body.to_string()))
    }

    fn replies_name_the_message(&self) -> bool {
        true
    }

    fn other_reply(&self, request: &HttpRequest) -> Option<Reply> {
        (request.method == "GET").then(|| {
            assert_eq!(request.path(), "/v1/sms/messages");
            Reply::json(200, r#"{"data":[],"has_more":false}"#)
        })
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        let key = format!("Bearer {PLATFORM_KEY}");
        assert_eq!(request.header("authorization"), Some(key.as_str()));
        let key = request.header("idempotency-key").unwrap();
        assert!((1..=255).contains(&key.len()));
        let entries = Self::entries(request);
        assert!((1..=100).contains(&entries.len()));
        entries
            .iter()
            .map(|entry| {
                assert_eq!(entry["category"], "transactional");
                let to = entry["to"].as_str().unwrap().parse().unwrap();
                let mut received = Received::new(to, entry["text"].as_str().unwrap());
                received.sender = text(&entry["from"]);
                received.reference = text(&entry["metadata"]["reference"]);
                received
            })
            .collect()
    }

    fn accept(&self, request: &HttpRequest, entries: &[usize]) -> Reply {
        let received = Self::entries(request);
        let accepted = |index: &usize| {
            json!({
                "id": format!("sms_{index:026}"), "direction": "outbound", "status": "accepted",
                "to": received[*index]["to"], "from": received[*index]["from"], "text": received[*index]["text"],
                "category": "transactional",
                "segments": {"count": 1, "encoding": "GSM_7BIT", "characters": 20},
                "cost": null, "tags": null, "metadata": received[*index]["metadata"],
                "created_at": "2026-11-01T10:00:00Z", "sent_at": null, "delivered_at": null,
                "last_error": null
            })
        };
        let data: Vec<_> = entries.iter().map(accepted).collect();
        let body = if Self::is_batch(request) {
            json!({"data": data, "summary": {"accepted_count": data.len()}})
        } else {
            data[0].clone()
        };
        Reply::json(202, body.to_string())
    }

    /// Names every entry of a batch: an unnamed one would be sent again.
    fn refuse(&self, request: &HttpRequest, text: &str) -> Reply {
        let path = |index| {
            if Self::is_batch(request) {
                format!("messages[{index}].text")
            } else {
                "text".to_owned()
            }
        };
        let indices = 0..Self::entries(request).len();
        let details: Vec<_> = indices
            .map(|index| json!({"param": path(index), "message": text}))
            .collect();
        let body = json!({"error": {
            "type": "validation_error", "code": "E01001", "name": "ValidationError", "message": text,
            "doc_url": text, "request_id": "req_01", "param": path(0), "details": details
        }});
        Reply::json(422, body.to_string())
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::InvalidText
    }

    fn refuse_with_code(&self, _: &HttpRequest, code: &str) -> Option<Reply> {
        let body = json!({"error": {"type": "validation_error", "code": code, "name": code, "message": code}});
        Some(Reply::json(422, body.to_string()))
    }
}

#[derive(Clone)]
struct FakeClassic;

impl FakeVendor for FakeClassic {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        provider(
            base,
            KEY,
            &format!("sender=Contoso&report_url={REPORT_URL}"),
        )
    }

    fn with_vendor_messages(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        let options = format!("sender=Contoso&vendor_messages=true&report_url={REPORT_URL}");
        Some(provider(base, KEY, &options))
    }

    fn without_sender(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(provider(base, KEY, ""))
    }

    fn credentials(&self) -> Vec<String> {
        vec![KEY.to_owned(), REPORT_URL.to_owned()]
    }

    fn refuse_credentials(&self, _: &HttpRequest) -> Option<Reply> {
        let fault = json!({"code": 2, "description": "no", "parameter": "access_key"});
        Some(Reply::json(401, json!({"errors": [fault]}).to_string()))
    }

    fn accept_with_id(&self, request: &HttpRequest, id: &str) -> Option<Reply> {
        let body = body(request);
        let items = json!([{"recipient": body["recipients"][0], "status": "sent"}]);
        let response = json!({
            "id": id, "reference": body["reference"],
            "recipients": {"totalCount": 1, "totalSentCount": 1, "items": items}
        });
        Some(Reply::json(201, response.to_string()))
    }

    fn replies_name_the_message(&self) -> bool {
        true
    }

    fn other_reply(&self, request: &HttpRequest) -> Option<Reply> {
        (request.method == "GET").then(|| {
            assert_eq!(request.path(), "/balance");
            Reply::json(
                200,
                r#"{"payment":"prepaid","type":"credits","amount":42.5}"#,
            )
        })
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        assert_eq!(request.path(), "/messages");
        assert_eq!(request.header("authorization"), Some(ACCESS));
        let body = body(request);
        let gsm = body["body"]
            .as_str()
            .unwrap()
            .chars()
            .all(|char| char.is_ascii_graphic() && char != '`' || " \n€éè".contains(char));
        assert_eq!(body["datacoding"], if gsm { "plain" } else { "unicode" });
        let recipients = body["recipients"].as_array().unwrap();
        recipients
            .iter()
            .map(|recipient| {
                let to = format!("+{}", recipient.as_str().unwrap()).parse().unwrap();
                let mut received = Received::new(to, body["body"].as_str().unwrap());
                received.sender = text(&body["originator"]);
                received.reference = text(&body["reference"]);
                received.validity = body["validity"].as_u64().map(Duration::from_secs);
                received.send_at = body["scheduledDatetime"]
                    .as_str()
                    .map(|at| chrono::DateTime::parse_from_rfc3339(at).unwrap().to_utc());
                received
            })
            .collect()
    }

    fn accept(&self, request: &HttpRequest, _: &[usize]) -> Reply {
        let body = body(request);
        let scheduled = body["scheduledDatetime"].is_string();
        let number: u64 = body["recipients"][0].as_str().unwrap().parse().unwrap();
        let response = json!({
            "id": "e8077d803532c0b5937c639b60216938",
            "href": "https://rest.messagebird.com/messages/e8077d803532c0b5937c639b60216938",
            "direction": "mt", "type": "sms", "originator": body["originator"], "body": body["body"],
            "reference": body["reference"], "validity": body["validity"], "gateway": 10,
            "typeDetails": {}, "datacoding": body["datacoding"], "mclass": 1,
            "scheduledDatetime": body["scheduledDatetime"],
            "createdDatetime": "2026-01-01T10:00:00+00:00",
            "recipients": {
                "totalCount": 1, "totalSentCount": u8::from(!scheduled), "totalDeliveredCount": 0,
                "totalDeliveryFailedCount": 0,
                "items": [{
                    "recipient": number, "status": if scheduled { "scheduled" } else { "sent" },
                    "statusDatetime": null, "messagePartCount": 1
                }]
            }
        });
        Reply::json(201, response.to_string())
    }

    fn refuse(&self, _: &HttpRequest, text: &str) -> Reply {
        let body = json!({"errors": [{"code": 9, "description": text, "parameter": "recipient"}]});
        Reply::json(422, body.to_string())
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::InvalidRecipient
    }

    fn refuse_with_code(&self, _: &HttpRequest, code: &str) -> Option<Reply> {
        let code = code
            .parse::<u64>()
            .map_or_else(|_| json!(code), |number| json!(number));
        let body = json!({"errors": [{"code": code, "description": "no", "parameter": code}]});
        Some(Reply::json(422, body.to_string()))
    }
}

#[derive(Clone)]
struct FakeChannels;

impl FakeVendor for FakeChannels {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        let options = format!("workspace={WORKSPACE}&channel={CHANNEL}");
        provider(base, KEY, &options)
    }

    fn with_vendor_messages(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        let options = format!("workspace={WORKSPACE}&channel={CHANNEL}&vendor_messages=true");
        Some(provider(base, KEY, &options))
    }

    fn credentials(&self) -> Vec<String> {
        vec![KEY.to_owned()]
    }

    fn refuse_credentials(&self, _: &HttpRequest) -> Option<Reply> {
        let body = json!({"code": "Unauthorized", "message": "no"});
        let challenged = Reply::json(401, body.to_string());
        Some(challenged.with_header("www-authenticate", "AccessKey"))
    }

    fn accept_with_id(&self, request: &HttpRequest, id: &str) -> Option<Reply> {
        let body = json!({"id": id, "status": "accepted", "reference": body(request)["reference"]});
        Some(Reply::json(202, body.to_string()))
    }

    fn replies_name_the_message(&self) -> bool {
        true
    }

    fn other_reply(&self, request: &HttpRequest) -> Option<Reply> {
        (request.method == "GET").then(|| {
            assert_eq!(request.path(), format!("/workspaces/{WORKSPACE}/channels"));
            Reply::json(200, r#"{"results":[]}"#)
        })
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        let path = format!("/workspaces/{WORKSPACE}/channels/{CHANNEL}/messages");
        assert_eq!(request.path(), path);
        assert_eq!(request.header("authorization"), Some(ACCESS));
        let body = body(request);
        assert_eq!(body["body"]["type"], "text");
        let contacts = body["receiver"]["contacts"].as_array().unwrap();
        contacts
            .iter()
            .map(|contact| {
                assert_eq!(contact["identifierKey"], "phonenumber");
                let to = contact["identifierValue"]
                    .as_str()
                    .unwrap()
                    .parse()
                    .unwrap();
                let mut received =
                    Received::new(to, body["body"]["text"]["text"].as_str().unwrap());
                received.reference = text(&body["reference"]);
                received
            })
            .collect()
    }

    fn accept(&self, request: &HttpRequest, _: &[usize]) -> Reply {
        let response = json!({
            "id": "2c7f2a5e-9f35-4f1b-8f8e-7a1e3f4d5c6b", "channelId": CHANNEL, "status": "accepted",
            "reference": body(request)["reference"], "parts": 1, "reason": "",
            "createdAt": "2026-01-01T10:00:00Z", "lastStatusAt": "2026-01-01T10:00:00Z"
        });
        Reply::json(202, response.to_string())
    }

    fn refuse(&self, _: &HttpRequest, text: &str) -> Reply {
        let body = json!({
            "code": "InvalidPayload", "message": text,
            "details": {".receiver.contacts[0].identifierValue": [text]}
        });
        Reply::json(422, body.to_string())
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::InvalidRecipient
    }

    fn refuse_with_code(&self, _: &HttpRequest, code: &str) -> Option<Reply> {
        Some(Reply::json(
            422,
            json!({"code": code, "message": "no"}).to_string(),
        ))
    }
}

mod platform {
    postduif_testkit::conformance!(super::FakePlatform);
}

mod classic {
    postduif_testkit::conformance!(super::FakeClassic);
}

mod channels {
    postduif_testkit::conformance!(super::FakeChannels);
}
