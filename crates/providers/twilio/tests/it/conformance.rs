use std::{collections::HashMap, sync::Arc, time::Duration};

use postduif_core::{ErrorKind, SmsProvider};
use postduif_http::Client;
use postduif_testkit::{DEADLINE, FakeVendor, HttpRequest, Received, Reply};
use postduif_twilio::Twilio;
use serde_json::{Value, json};
use url::form_urlencoded;

/// Twilio as an account with an auth token uses it, through a messaging service; or as an API key does, from a number.
#[derive(Clone, Copy)]
enum FakeTwilio {
    ApiKey,
    AuthToken,
}

const ACCOUNT: &str = "ACf00dfeedf00dfeedf00dfeedf00dfeed";
const KEY: &str = "SKdeadbeefdeadbeefdeadbeefdeadbeef";
const SECRET: &str = "hunter2-is-the-secret";
const ROUTE: &str = "hunter2-is-the-route";
const SERVICE: &str = "MGfeedf00dfeedf00dfeedf00dfeedf00d";

impl FakeTwilio {
    fn at(self, base: &str, with_sender: bool, more: &str) -> Arc<dyn SmsProvider> {
        let client = Client::builder()
            .with_connect_timeout(DEADLINE / 2)
            .with_timeout(DEADLINE)
            .build()
            .unwrap();
        let host = base.strip_prefix("http://").unwrap();
        let (user, options) = match self {
            Self::ApiKey => (KEY, format!("account={ACCOUNT}&")),
            Self::AuthToken => (ACCOUNT, String::new()),
        };
        let sender = match (with_sender, self) {
            (false, _) => String::new(),
            (true, Self::ApiKey) => "sender=%2B31687650000&".to_owned(),
            (true, Self::AuthToken) => format!("sender={SERVICE}&"),
        };
        let url = format!(
            "twilio://{user}:{SECRET}@{host}?{options}{sender}report_url=https%3A%2F%2Fhooks.example.test%2F{ROUTE}\
             %3Freference%3D%7Breference%7D{more}"
        );
        Arc::new(Twilio::from_url_with(&url, &client).unwrap())
    }
}

fn fields(request: &HttpRequest) -> HashMap<String, String> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn error(status: u16, code: impl Into<Value>, words: &str) -> Reply {
    let code = code.into();
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    let body = json!({"code": code, "message": words, "more_info": more, "status": status});
    Reply::json(status, body.to_string())
}

impl FakeVendor for FakeTwilio {
    fn provider(&self, base: &str) -> Arc<dyn SmsProvider> {
        self.at(base, true, "")
    }

    fn other_reply(&self, request: &HttpRequest) -> Option<Reply> {
        let path = request.path();
        if path.ends_with("/Balance.json") {
            let body = json!({"account_sid": ACCOUNT, "balance": "42.5", "currency": "EUR"});
            return Some(Reply::json(200, body.to_string()));
        }
        path.contains("/Messages/SM")
            .then(|| error(404, 20404, "not found"))
    }

    fn received(&self, request: &HttpRequest) -> Vec<Received> {
        assert_eq!(
            request.path(),
            format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
        );
        let fields = fields(request);
        let mut received = Received::new(fields["To"].parse().unwrap(), &fields["Body"]);
        received.sender = match (fields.get("From"), fields.get("MessagingServiceSid")) {
            (Some(sender), None) | (None, Some(sender)) => Some(sender.clone()),
            given => panic!("one sender: {given:?}"),
        };
        received.reference = fields
            .get("StatusCallback")
            .and_then(|url| url.split_once("?reference="))
            .map(|(_, reference)| reference.to_owned());
        received.validity = fields
            .get("ValidityPeriod")
            .map(|seconds| Duration::from_secs(seconds.parse().unwrap()));
        let is_fixed = fields
            .get("ScheduleType")
            .map(|schedule| assert_eq!(schedule, "fixed"));
        assert_eq!(is_fixed.is_some(), fields.contains_key("SendAt"));
        received.send_at = fields.get("SendAt").map(|time| time.parse().unwrap());
        vec![received]
    }

    fn accept(&self, request: &HttpRequest, _: &[usize]) -> Reply {
        self.accept_with_id(request, "SM0123456789abcdef0123456789abcdef")
            .unwrap()
    }

    fn refuse(&self, _: &HttpRequest, words: &str) -> Reply {
        error(400, 21211, words)
    }

    fn refusal(&self) -> ErrorKind {
        ErrorKind::InvalidRecipient
    }

    fn refuse_with_code(&self, _: &HttpRequest, code: &str) -> Option<Reply> {
        // Twilio's codes are whole numbers.
        let code = code.parse::<u64>().map_or(json!(code), |code| json!(code));
        Some(error(400, code, "no"))
    }

    fn credentials(&self) -> Vec<String> {
        let user = match self {
            Self::ApiKey => KEY,
            Self::AuthToken => ACCOUNT,
        };
        [user, SECRET, ROUTE, &format!("{user}:{SECRET}")]
            .map(str::to_owned)
            .into()
    }

    fn refuse_credentials(&self, _: &HttpRequest) -> Option<Reply> {
        Some(error(401, 20003, "Authenticate"))
    }

    fn accept_with_id(&self, request: &HttpRequest, id: &str) -> Option<Reply> {
        let fields = fields(request);
        let service = fields.get("MessagingServiceSid");
        let body = json!({
            "account_sid": ACCOUNT, "api_version": "2010-04-01", "body": fields["Body"],
            "date_created": "Thu, 24 Aug 2023 05:01:45 +0000", "date_sent": null, "direction": "outbound-api",
            "error_code": null, "error_message": null, "from": fields.get("From"),
            "messaging_service_sid": service, "num_media": "0",
            "num_segments": if service.is_some() { "0" } else { "1" }, "price": null, "price_unit": null,
            "sid": id, "status": if service.is_some() { "accepted" } else { "queued" }, "to": fields["To"],
            "subresource_uris": {"media": "/2010-04-01/Accounts/Messages/Media.json"}
        });
        Some(Reply::json(201, body.to_string()))
    }

    fn replies_name_the_message(&self) -> bool {
        true
    }

    fn with_vendor_messages(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(self.at(base, true, "&vendor_messages=true"))
    }

    fn without_sender(&self, base: &str) -> Option<Arc<dyn SmsProvider>> {
        Some(self.at(base, false, ""))
    }
}

mod auth_token {
    postduif_testkit::conformance!(super::FakeTwilio::AuthToken);
}

mod api_key {
    postduif_testkit::conformance!(super::FakeTwilio::ApiKey);
}
