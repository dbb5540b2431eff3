use std::{sync::Arc, time::Duration};

use postduif_core::{ErrorKind, SmsProvider};
use postduif_http::Client;
use postduif_testkit::{DEADLINE, FakeVendor, HttpRequest, Received, Reply};
use postduif_vonage::Vonage;
use serde_json::{Value, json};

use super::{
    token,
    wire::{APPLICATION, form, private_key},
};

/// A fake of Vonage by its definitions and pages, with a mode for each kind of credentials and API.
#[derive(Clone, Copy)]
enum FakeVonage {
    Basic,
    Jwt,
    Sms,
}

const KEY: &str = "hunter2-of-vonage";
const SECRET: &str = "s3cret-of-vonage";
/// `KEY:SECRET` in base64.
const BASIC: &str = "Basic aHVudGVyMi1vZi12b25hZ2U6czNjcmV0LW9mLXZvbmFnZQ==";
const WEBHOOK: &str = "https://hooks.example.com/vonage/0ur-s3cret";

/// Returns the response of the SMS API that accepts a request with this id.
fn entry_of(request: &HttpRequest, id: &str) -> Value {
    let fields = form(&request.body);
    let field = |name: &str| {
        let field = fields.iter().find(|(known, _)| known == name);
        field.map(|(_, value)| value)
    };
    let entry = json!({
        "to": field("to"), "message-id": id, "status": "0",
        "remaining-balance": "3.14159265", "message-price": "0.03330000", "network": "12345",
        "client-ref": field("client-ref")
    });
    json!({"message-count": "1", "messages": [entry]})
}

impl FakeVonage {
    fn problem(status: u16, code: &str, text: &str) -> Reply {
        let body = json!({
            "type": format!("https://developer.vonage.com/api-errors/messages#{code}"),
            "title": text, "detail": text, "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf",
            "invalid_parameters": [{"name": "text", "reason": text}]
        });
        Reply::json(status, body.to_string())
    }

    fn failed(code: &str, text: &str) -> Reply {
        let entry = json!({"status": code, "error-text": text});
        Reply::json(
            200,
            json!({"message-count": "1", "messages": [entry]}).to_string(),
        )
    }
}

impl FakeVonage {
    fn build(self, base: &str, sender: &str) -> Arc<dyn SmsProvider> {
        let client = Client::builder()
            .with_connect_timeout(DEADLINE / 2)
            .with_timeout(DEADLINE)
            .build()
            .unwrap();
        let host = base.strip_prefix("http://").unwrap();
        let url = match self {
            Self::Basic => format!("vonage://{KEY}:{SECRET}@{host}?"),
            Self::Sms => format!("vonage://{KEY}:{SECRET}@{host}?api=sms&"),
            Self::Jwt => format!(
                "vonage://{APPLICATION}@{host}?private_key=file:{}&",
                private_key()
            ),
        };
        let url = format!("{url}report_url={WEBHOOK}{sender}");
        Arc::new(Vonage::from_url_with(&url, &client).unwrap())
    }
}

impl FakeVendor for FakeVonage {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        self.build(base, "&sender=Contoso")
    }

    fn with_vendor_messages(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(self.build(base, "&sender=Contoso&vendor_messages=true"))
    }

    fn without_sender(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(self.build(base, ""))
    }

    fn credentials(&self) -> Vec<String> {
        let mut credentials = vec![WEBHOOK.to_owned()];
        credentials.extend(match self {
            Self::Jwt => {
                let pem = std::fs::read_to_string(private_key()).unwrap();
                [APPLICATION.to_owned(), pem[40..80].to_owned()]
            }
            Self::Basic | Self::Sms => [KEY.to_owned(), SECRET.to_owned()],
        });
        credentials
    }

    fn refuse_credentials(&self, _: &HttpRequest) -> Option<Reply> {
        Some(match self {
            Self::Sms => Reply::json(
                401,
                r#"{"error-code":"401","error-code-label":"authentication failed"}"#,
            ),
            Self::Basic | Self::Jwt => Self::problem(401, "unauthorized", "no"),
        })
    }

    fn accept_with_id(&self, request: &HttpRequest, id: &str) -> Option<Reply> {
        let body = match self {
            Self::Sms => entry_of(request, id),
            Self::Basic | Self::Jwt => json!({"message_uuid": id}),
        };
        Some(Reply::json(
            if matches!(self, Self::Sms) { 200 } else { 202 },
            body.to_string(),
        ))
    }

    fn replies_name_the_message(&self) -> bool {
        matches!(self, Self::Sms)
    }

    fn other_reply(&self, request: &HttpRequest) -> Option<Reply> {
        (request.path() == "/account/get-balance").then(|| {
            assert_eq!(
                (request.method.as_str(), request.header("authorization")),
                ("GET", Some(BASIC))
            );
            Reply::json(200, r#"{"value":10.28,"autoReload":false}"#)
        })
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        assert_eq!(request.method, "POST");
        let authorization = request.header("authorization").unwrap();
        match self {
            Self::Basic | Self::Sms => assert_eq!(authorization, BASIC),
            Self::Jwt => drop(token::claims(authorization)),
        }
        let number = |digits: &str| format!("+{digits}").parse().unwrap();
        if let Self::Sms = self {
            assert_eq!(request.path(), "/sms/json");
            let fields = form(&request.body);
            let field = |name: &str| {
                let mut found = fields.iter().filter(|(known, _)| known == name);
                let value = found.next().map(|(_, value)| value.clone());
                assert!(found.next().is_none(), "{name} twice");
                value
            };
            let text = field("text").unwrap();
            let is_gsm = postduif_core::Text::new(text.as_str()).unwrap().encoding()
                == postduif_core::Encoding::Gsm7;
            assert_eq!(field("type").is_none(), is_gsm);
            let mut received = Received::new(number(&field("to").unwrap()), text);
            received.sender = field("from");
            received.reference = field("client-ref");
            received.validity = field("ttl").map(|ttl| Duration::from_millis(ttl.parse().unwrap()));
            return vec![received];
        }
        assert_eq!(request.path(), "/v1/messages");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            (&body["channel"], &body["message_type"]),
            (&json!("sms"), &json!("text"))
        );
        assert_eq!(body.get("failover"), None);
        let mut received = Received::new(
            number(body["to"].as_str().unwrap()),
            body["text"].as_str().unwrap(),
        );
        received.sender = body["from"].as_str().map(str::to_owned);
        received.reference = body["client_ref"].as_str().map(str::to_owned);
        received.validity = body["ttl"].as_u64().map(Duration::from_secs);
        vec![received]
    }

    fn accept(&self, request: &HttpRequest, _: &[usize]) -> Reply {
        if let Self::Sms = self {
            return Reply::json(200, entry_of(request, "0A0000000123ABCD1").to_string());
        }
        Reply::json(
            202,
            r#"{"message_uuid":"aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"}"#,
        )
    }

    fn refuse(&self, _: &HttpRequest, text: &str) -> Reply {
        match self {
            Self::Sms => Self::failed("12", text),
            Self::Basic | Self::Jwt => Self::problem(422, "1150", text),
        }
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::InvalidText
    }

    fn refuse_with_code(&self, _: &HttpRequest, code: &str) -> Option<Reply> {
        Some(match self {
            Self::Sms => Self::failed(code, "no"),
            Self::Basic | Self::Jwt => Self::problem(422, code, "no"),
        })
    }
}

mod messages_with_basic {
    postduif_testkit::conformance!(super::FakeVonage::Basic);
}

mod messages_with_a_token {
    postduif_testkit::conformance!(super::FakeVonage::Jwt);
}

mod sms {
    postduif_testkit::conformance!(super::FakeVonage::Sms);
}
