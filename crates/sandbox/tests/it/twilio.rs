use chrono::{TimeDelta, Utc};
use postduif_sandbox::{Fault, ReportOrder, ReportStatus, Sandbox};
use ring::hmac;
use serde_json::{Value, json};

use crate::{
    client::{FORM, Response, authority, call, form},
    processed::{GoodCall, assert_faults},
};

const ACCOUNT: &str = "AC73616e64626f78000000000000000000";
const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";
const SEND: &str = "/twilio/2010-04-01/Accounts/AC73616e64626f78000000000000000000/Messages.json";

/// The account with its auth token, and the API key with its secret: each is `sandbox`.
const TOKEN: (&str, &str) = (
    "Authorization",
    "Basic QUM3MzYxNmU2NDYyNmY3ODAwMDAwMDAwMDAwMDAwMDAwMDpzYW5kYm94",
);
const KEY: (&str, &str) = (
    "Authorization",
    "Basic U0s3MzYxNmU2NDYyNmY3ODAwMDAwMDAwMDAwMDAwMDAwMDpzYW5kYm94",
);

const FIELDS: [(&str, &str); 3] = [
    ("To", "%2B31612345678"),
    ("From", "Postduif"),
    ("Body", "Hello"),
];

/// Posts the fields of a good request and these, which replace its own; an empty one is left out.
async fn send(sandbox: &Sandbox, others: &[(&str, &str)]) -> Response {
    let own = FIELDS
        .iter()
        .filter(|(name, _)| !others.iter().any(|(other, _)| other == name));
    let fields = own.chain(others).filter(|(_, value)| !value.is_empty());
    let fields: Vec<_> = fields
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    call(sandbox, "POST", SEND, &[FORM, TOKEN], &fields.join("&"))
        .await
        .unwrap()
}

fn refused(response: &Response) -> (u16, Value) {
    let body = response.json();
    assert_eq!(body["status"], response.status);
    assert!(body["message"].is_string() && body["more_info"].is_string());
    (response.status, body["code"].clone())
}

#[tokio::test]
async fn a_text_becomes_a_resource_that_can_be_fetched() {
    let sandbox = Sandbox::start().await;
    let callback = ("StatusCallback", "http://x.example/t?reference=01J9Z8");
    let response = send(&sandbox, &[callback, ("ValidityPeriod", "1800")]).await;
    assert_eq!(response.status, 201);
    let body = response.json();
    let message = sandbox.message_to("+31612345678").unwrap();
    assert_eq!(
        (body["sid"].as_str(), body["status"].as_str()),
        (Some(message.id.as_str()), Some("queued"))
    );
    assert_eq!((message.id.len(), &message.id[..2]), (34, "SM"));
    assert_eq!(
        (
            body["from"].as_str(),
            body["num_segments"].as_str(),
            &body["price"]
        ),
        (Some("Postduif"), Some("1"), &Value::Null)
    );
    assert_eq!(message.reference.as_deref(), Some("01J9Z8"));
    assert_eq!(message.validity_s, Some(1800));

    let path = SEND.replace(".json", &format!("/{}.json", message.id));
    let fetched = call(&sandbox, "GET", &path, &[KEY], "").await.unwrap();
    assert_eq!(
        (fetched.status, &fetched.json()["sid"]),
        (200, &body["sid"])
    );
    let other = path.replace(&message.id, "SM00000000000000000000000000000000");
    let missing = call(&sandbox, "GET", &other, &[KEY], "").await.unwrap();
    assert_eq!(refused(&missing), (404, json!(20404)));
}

#[tokio::test]
async fn a_messaging_service_chooses_the_sender_and_sends_later() {
    let sandbox = Sandbox::start().await;
    let at = (Utc::now() + TimeDelta::hours(1))
        .format("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    for service in [
        [("From", ""), ("MessagingServiceSid", SERVICE)],
        [("From", SERVICE), ("MessagingServiceSid", "")],
    ] {
        let body = send(&sandbox, &service).await.json();
        assert_eq!(
            (&body["status"], &body["from"], &body["num_segments"]),
            (&json!("accepted"), &Value::Null, &json!("0"))
        );
        let later = [&service[..], &[("ScheduleType", "fixed"), ("SendAt", &at)]].concat();
        let body = send(&sandbox, &later).await.json();
        assert_eq!(body["status"], "scheduled");
        let sent = sandbox.messages().pop().unwrap().send_at.unwrap();
        assert_eq!(sent.format("%Y-%m-%dT%H:%M:%SZ").to_string(), at);
    }
}

#[tokio::test]
async fn each_field_has_its_code() {
    let sandbox = Sandbox::start().await;
    let ahead = |minutes| {
        let at = Utc::now() + TimeDelta::minutes(minutes);
        at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    let (soon, late) = (ahead(14), ahead(35 * 24 * 60 + 1));
    let long = "a".repeat(1601);
    let service = ("MessagingServiceSid", SERVICE);
    let fixed = ("ScheduleType", "fixed");
    for (fields, code) in [
        (&[("To", "")][..], 21604),
        (&[("To", "31612345678")], 21211),
        (&[("To", "whatsapp:%2B31612345678")], 21211),
        (&[("Body", "")], 21619),
        (&[("Body", &long)], 21617),
        (&[("From", "")], 21603),
        (&[("From", "TwelveLetter")], 21212),
        (&[("From", "31687654321")], 21212),
        (&[("From", "%2B31612345678")], 21266),
        (&[("From", ""), ("MessagingServiceSid", "Postduif")], 21212),
        (&[("ValidityPeriod", "0")], 90007),
        (&[("ValidityPeriod", "36001")], 90007),
        (&[("StatusCallback", "hooks")], 21609),
        (&[service, fixed], 35111),
        (&[service, ("SendAt", &ahead(60))], 35126),
        (&[fixed, ("SendAt", &ahead(60))], 35118),
        (&[service, fixed, ("SendAt", &soon)], 35114),
        (&[service, fixed, ("SendAt", &late)], 35114),
        (&[service, fixed, ("SendAt", "tomorrow")], 35114),
    ] {
        let response = send(&sandbox, fields).await;
        assert_eq!(refused(&response), (400, json!(code)), "{fields:?}");
    }
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn account_and_secret_must_fit_and_a_key_may_not_read_the_balance() {
    let sandbox = Sandbox::start().await;
    let body = "To=%2B31612345678&From=Postduif&Body=Hello";
    let balance = SEND.replace("Messages", "Balance");
    for (method, path, authorization) in [
        ("POST", SEND, None),
        (
            "POST",
            SEND,
            Some(("Authorization", "Basic c2FuZGJveDpzYW5kYm94")),
        ),
        ("POST", &SEND.replace("AC73", "AC00"), Some(TOKEN)),
        ("GET", &balance, Some(KEY)),
    ] {
        let headers: Vec<_> = [FORM].into_iter().chain(authorization).collect();
        let response = call(&sandbox, method, path, &headers, body).await.unwrap();
        assert_eq!(refused(&response), (401, json!(20003)), "{path}");
    }
    assert!(sandbox.messages().is_empty());
    let response = call(&sandbox, "GET", &balance, &[TOKEN], "").await.unwrap();
    assert_eq!(
        response.json(),
        json!({"account_sid": ACCOUNT, "balance": "12.345", "currency": "EUR"})
    );
    let response = call(&sandbox, "DELETE", SEND, &[TOKEN], "").await.unwrap();
    assert_eq!(refused(&response), (405, json!(20004)));
}

#[tokio::test]
async fn faults_that_refuse_leave_nothing_behind() {
    let sandbox = Sandbox::start().await;
    for (fault, status, code) in [
        (Fault::BadNumber, 400, 21211),
        (Fault::BadSender, 400, 21212),
        (Fault::Blocked, 400, 21610),
        (Fault::EchoText, 400, 30008),
        (Fault::NoCredit, 401, 20003),
        (Fault::Unauthorized, 401, 20003),
        (Fault::UnauthorizedOnce, 401, 20003),
    ] {
        sandbox.fault("twilio.send", fault);
        let response = send(&sandbox, &[]).await;
        assert_eq!(refused(&response), (status, json!(code)), "{fault}");
        let words = response.json()["message"].to_string();
        let echoes = words.contains("Hello") && words.contains("+31612345678");
        assert_eq!(echoes, fault == Fault::EchoText, "{words}");
    }
    sandbox.fault("twilio.send", Fault::Throttle).ms(2000);
    let response = send(&sandbox, &[]).await;
    assert_eq!(refused(&response), (429, json!(20429)));
    assert_eq!(response.header("retry-after"), Some("2"));
    assert!(sandbox.messages().is_empty());
    sandbox.fault("twilio.send", Fault::OkWithoutId);
    let response = send(&sandbox, &[]).await;
    assert_eq!((response.status, response.json().get("sid")), (201, None));
    assert_eq!(sandbox.messages().len(), 1);
}

#[tokio::test]
async fn a_report_signs_its_url_and_its_parameters_in_order() {
    let sandbox = Sandbox::start().await;
    let callback = ("StatusCallback", "http://x.example/t?reference=01J9Z8");
    send(&sandbox, &[callback]).await;
    let url = "http://x.example/t?reference=01J9Z8";
    for (status, word, code) in [
        (ReportStatus::Sent, "sent", None),
        (ReportStatus::Buffered, "sent", None),
        (ReportStatus::Delivered, "delivered", None),
        (ReportStatus::Expired, "failed", Some("30036")),
        (ReportStatus::Failed, "undelivered", Some("30003")),
        (ReportStatus::Rejected, "failed", Some("30007")),
        (ReportStatus::Unknown, "unheard_of", None),
    ] {
        let order = ReportOrder::new("01J9Z8", status);
        let report = sandbox
            .report(&order, "http://x.example/t")
            .unwrap()
            .remove(0);
        assert_eq!((report.method, report.url.as_str()), ("POST", url));
        let mut fields = form(&report.body);
        assert_eq!(fields[0].0, "RawDlrDoneDate");
        let value = |name| {
            let field = fields.iter().find(|(other, _)| other == name);
            field.map(|(_, value)| value.as_str())
        };
        assert_eq!(value("MessageStatus"), Some(word));
        assert_eq!(value("SmsStatus"), Some(word));
        assert_eq!(value("MessageSid"), Some(sandbox.messages()[0].id.as_str()));
        assert_eq!(value("To"), Some("+31612345678"));
        assert_eq!(value("ErrorCode"), code);
        fields.sort();
        let signed: String = fields
            .into_iter()
            .flat_map(|(name, value)| [name, value])
            .collect();
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"sandbox");
        let tag = hmac::sign(&key, format!("{url}{signed}").as_bytes());
        let header = |name| {
            let mut headers = report.headers.iter();
            headers.find(|(other, _)| *other == name).unwrap().1.clone()
        };
        let expected = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, tag);
        assert_eq!(header("X-Twilio-Signature"), expected);
        assert_eq!(header("Content-Type"), "application/x-www-form-urlencoded");
    }
}

#[tokio::test]
async fn its_urls_to_copy_hold_good_credentials_and_a_sender() {
    let sandbox = Sandbox::start().await;
    let host = authority(&sandbox);
    assert_eq!(
        sandbox.sms_url("twilio"),
        format!("twilio://{ACCOUNT}:sandbox@{host}/twilio?sender=Postduif")
    );
    let key = ACCOUNT.replace("AC", "SK");
    let other = format!("twilio://{key}:sandbox@{host}/twilio?account={ACCOUNT}&sender=Postduif");
    assert!(sandbox.other_sms_urls().contains(&other));
}

#[tokio::test]
async fn every_fault_leaves_behind_what_it_says() {
    assert_faults("twilio.send", CALLS).await;
}

/// A good request by either of the credentials.
const CALLS: &[GoodCall] = &[
    GoodCall {
        path: SEND,
        headers: &[FORM, TOKEN],
        body: "To=%2B31612345678&From=Postduif&Body=Hello",
    },
    GoodCall {
        path: SEND,
        headers: &[FORM, KEY],
        body: "To=%2B31612345678&From=Postduif&Body=Hello",
    },
];
