use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use postduif_sandbox::{Fault, ReportOrder, ReportStatus, Sandbox, VendorRequest};
use ring::{
    digest::{SHA256, digest},
    hmac,
};
use serde_json::{Value, json};

use crate::{
    client::{FORM, JSON, Response, authority, call, hex},
    processed::{GoodCall, assert_faults},
};

const PLATFORM: &str = "/messagebird/v1/sms/messages";
const BATCHES: &str = "/messagebird/v1/sms/batches";
const CLASSIC: &str = "/messagebird/messages";
const CHANNELS: &str = "/messagebird/workspaces/sandbox/channels/sandbox/messages";
const TARGET: &str = "http://x.example/reports/messagebird";

const BEARER: (&str, &str) = ("Authorization", "Bearer bk_eu1_sandbox");
const ACCESS_KEY: (&str, &str) = ("Authorization", "AccessKey sandbox");

fn platform(reference: &str) -> Value {
    json!({
        "to": "+31612345678",
        "from": "Postduif",
        "text": "Hello",
        "category": "transactional",
        "metadata": {"reference": reference},
    })
}

fn classic() -> Value {
    json!({
        "originator": "Postduif",
        "recipients": ["31612345678"],
        "body": "Hello",
        "datacoding": "auto",
        "reference": "01J9Z8",
    })
}

fn channels() -> Value {
    json!({
        "receiver": {"contacts": [{
            "identifierKey": "phonenumber",
            "identifierValue": "+31612345678",
        }]},
        "body": {"type": "text", "text": {"text": "Hello"}},
        "reference": "01J9Z8",
    })
}

async fn send(sandbox: &Sandbox, path: &str, body: &Value) -> Response {
    let key = if path.starts_with("/messagebird/v1") {
        BEARER
    } else {
        ACCESS_KEY
    };
    let headers = [JSON, key, ("User-Agent", "test")];
    call(sandbox, "POST", path, &headers, &body.to_string())
        .await
        .unwrap()
}

async fn under_key(sandbox: &Sandbox, key: &str, path: &str, body: &str) -> Response {
    let headers = [
        JSON,
        BEARER,
        ("User-Agent", "test"),
        ("Idempotency-Key", key),
    ];
    call(sandbox, "POST", path, &headers, body).await.unwrap()
}

fn mac(text: &[u8], signature: &str) {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"sandbox");
    hmac::verify(&key, text, &STANDARD.decode(signature).unwrap()).unwrap();
}

fn header<'a>(report: &'a VendorRequest, name: &str) -> &'a str {
    let mut headers = report.headers.iter();
    &headers.find(|(other, _)| *other == name).unwrap().1
}

#[tokio::test]
async fn platform_accepts_with_202_and_returns_what_it_accepted() {
    let sandbox = Sandbox::start().await;
    let response = send(&sandbox, PLATFORM, &platform("01J9Z8")).await;
    assert_eq!(response.status, 202);
    let message = sandbox.message_to("+31612345678").unwrap();
    let shown = response.json();
    assert_eq!(shown["id"], message.id);
    assert!(message.id.starts_with("sms_") && message.id.len() == 30);
    assert_eq!(shown["status"], "accepted");
    assert_eq!(shown["segments"]["count"], 1);
    assert_eq!(shown["segments"]["encoding"], "GSM_7BIT");
    assert_eq!(shown["metadata"]["reference"], "01J9Z8");
    assert_eq!(shown["cost"], Value::Null);
    assert_eq!(message.vendor, "messagebird");
    assert_eq!(message.reference.as_deref(), Some("01J9Z8"));
    assert_eq!(message.sender, "Postduif");
}

#[tokio::test]
async fn platform_refuses_each_field_by_name() {
    let sandbox = Sandbox::start().await;
    for (field, value, status, name) in [
        ("to", json!("31612345678"), 422, "ValidationError"),
        ("from", Value::Null, 422, "SMSNoEligibleSender"),
        ("from", json!("TwelveLetter"), 422, "ValidationError"),
        ("text", json!(""), 422, "ValidationError"),
        ("text", json!("a".repeat(1837)), 422, "ValidationError"),
        ("category", Value::Null, 422, "ValidationError"),
        (
            "metadata",
            json!({"a": "b".repeat(2048)}),
            422,
            "ValidationError",
        ),
        ("validity_period", json!(60), 422, "SMSUnsupportedFeature"),
        (
            "scheduled_at",
            json!("2026-12-24T09:30:00Z"),
            422,
            "SMSUnsupportedFeature",
        ),
        ("reference", json!("01J9Z8"), 400, "InvalidRequest"),
    ] {
        let mut body = platform("01J9Z8");
        body[field] = value;
        let response = send(&sandbox, PLATFORM, &body).await;
        let error = response.json()["error"].clone();
        assert_eq!(response.status, status, "{field}");
        assert_eq!(error["name"], name, "{field}");
        assert_eq!(error["param"], field);
        if name == "ValidationError" {
            assert_eq!(error["details"][0]["param"], field);
            assert_eq!(error["code"], "E01001");
        }
    }
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn platform_requires_its_own_key_and_a_user_agent() {
    let sandbox = Sandbox::start().await;
    let body = platform("01J9Z8").to_string();
    for key in [
        "Bearer sandbox",
        "Bearer bk_us1_sandbox",
        "AccessKey sandbox",
    ] {
        let headers = [JSON, ("User-Agent", "test"), ("Authorization", key)];
        let response = call(&sandbox, "POST", PLATFORM, &headers, &body)
            .await
            .unwrap();
        assert_eq!(response.status, 401, "{key}");
        assert_eq!(response.json()["error"]["type"], "auth_error");
    }
    let response = call(&sandbox, "POST", PLATFORM, &[JSON, BEARER], &body)
        .await
        .unwrap();
    assert_eq!(response.status, 403);
    assert_eq!(response.json()["error"]["type"], "permission_error");
    let headers = [BEARER, ("User-Agent", "test")];
    let response = call(&sandbox, "GET", PLATFORM, &headers, "").await.unwrap();
    assert_eq!(
        (response.status, &response.json()["data"]),
        (200, &json!([]))
    );
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn platform_accepts_a_batch_as_a_whole_or_not_at_all() {
    let sandbox = Sandbox::start().await;
    let batch = json!({"messages": [platform("a1"), platform("b2")]});
    let response = send(&sandbox, BATCHES, &batch).await;
    assert_eq!(response.status, 202);
    assert_eq!(response.json()["summary"]["accepted_count"], 2);
    let shown = response.json()["data"].clone();
    for (at, message) in sandbox.messages().iter().enumerate() {
        assert_eq!(shown[at]["id"], message.id);
        assert_eq!(
            shown[at]["metadata"]["reference"].as_str(),
            message.reference.as_deref()
        );
    }

    let mut bad = batch.clone();
    bad["messages"][1]["to"] = json!("nobody");
    let response = send(&sandbox, BATCHES, &bad).await;
    assert_eq!(response.status, 422);
    assert_eq!(response.json()["error"]["param"], "messages[1].to");
    for messages in [json!([]), json!(vec![platform("a"); 101])] {
        let response = send(&sandbox, BATCHES, &json!({"messages": messages})).await;
        assert_eq!(response.status, 422);
    }
    assert_eq!(
        send(&sandbox, BATCHES, &batch["messages"]).await.status,
        400
    );
    assert_eq!(sandbox.messages().len(), 2);

    for (fault, references) in [
        (Fault::WrongOrder, vec!["b2", "a1"]),
        (Fault::MissingEntry, vec!["a1"]),
    ] {
        sandbox.fault("messagebird.send", fault);
        let shown = send(&sandbox, BATCHES, &batch).await.json()["data"].clone();
        let shown: Vec<_> = shown
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["metadata"]["reference"].clone())
            .collect();
        assert_eq!(shown, references, "{fault}");
    }
    assert_eq!(sandbox.messages().len(), 6);
}

#[tokio::test]
async fn platform_stores_its_response_under_the_idempotency_key() {
    let sandbox = Sandbox::start().await;
    let body = platform("01J9Z8").to_string();
    let first = under_key(&sandbox, "k1", PLATFORM, &body).await;
    assert_eq!(first.header("idempotency-replay"), None);
    let again = under_key(&sandbox, "k1", PLATFORM, &body).await;
    assert_eq!((again.status, &again.body), (202, &first.body));
    assert_eq!(again.header("idempotency-replay"), Some("true"));
    assert_eq!(sandbox.messages().len(), 1);

    let other = under_key(&sandbox, "k1", PLATFORM, &platform("other").to_string()).await;
    assert_eq!(other.status, 409);
    assert_eq!(other.json()["error"]["code"], "E01005");
    assert_eq!(under_key(&sandbox, "k2", PLATFORM, &body).await.status, 202);
    let long = "k".repeat(256);
    assert_eq!(
        under_key(&sandbox, &long, PLATFORM, &body).await.status,
        400
    );
    assert_eq!(sandbox.messages().len(), 2);

    // A lost response is found by its key, and so is a refusal.
    sandbox.fault("messagebird.send", Fault::LostAnswer);
    let headers = [
        JSON,
        BEARER,
        ("User-Agent", "test"),
        ("Idempotency-Key", "k3"),
    ];
    assert!(
        call(&sandbox, "POST", PLATFORM, &headers, &body)
            .await
            .is_err()
    );
    let found = under_key(&sandbox, "k3", PLATFORM, &body).await;
    assert_eq!(found.json()["id"], sandbox.messages()[2].id);
    sandbox.fault("messagebird.send", Fault::BadNumber);
    for _ in 0..2 {
        assert_eq!(under_key(&sandbox, "k4", PLATFORM, &body).await.status, 422);
    }
    assert_eq!(sandbox.messages().len(), 3);

    // A refusal before the request was processed is not stored.
    sandbox.fault("messagebird.send", Fault::Throttle);
    assert_eq!(under_key(&sandbox, "k5", PLATFORM, &body).await.status, 429);
    assert_eq!(under_key(&sandbox, "k5", PLATFORM, &body).await.status, 202);
}

#[tokio::test]
async fn refusals_by_a_fault_have_the_shape_of_each_api() {
    let sandbox = Sandbox::start().await;
    for (fault, of_platform, of_classic, of_channels) in [
        (
            Fault::BadNumber,
            (422, "SMSInvalidRecipient"),
            (422, 9),
            (422, "InvalidPayload"),
        ),
        (
            Fault::BadSender,
            (422, "SMSSenderNotConfigured"),
            (422, 10),
            (422, "InvalidPayload"),
        ),
        (
            Fault::Blocked,
            (422, "SMSRecipientOptedOut"),
            (422, 9),
            (422, "ContactUnsubscribed"),
        ),
        (
            Fault::EchoText,
            (422, "ValidationError"),
            (422, 10),
            (422, "InvalidPayload"),
        ),
        (
            Fault::NoCredit,
            (402, "InsufficientBalance"),
            (422, 25),
            (402, "InsufficientBalance"),
        ),
        (
            Fault::Unauthorized,
            (401, "Unauthorized"),
            (401, 2),
            (401, "Unauthorized"),
        ),
        (
            Fault::UnauthorizedOnce,
            (401, "Unauthorized"),
            (401, 2),
            (401, "Unauthorized"),
        ),
    ] {
        sandbox.fault("messagebird.send", fault).times(3);
        let answers = [
            send(&sandbox, PLATFORM, &platform("a")).await,
            send(&sandbox, CLASSIC, &classic()).await,
            send(&sandbox, CHANNELS, &channels()).await,
        ];
        let statuses = [of_platform.0, of_classic.0, of_channels.0];
        assert_eq!(
            answers.each_ref().map(|response| response.status),
            statuses,
            "{fault}"
        );
        assert_eq!(answers[0].json()["error"]["name"], of_platform.1, "{fault}");
        assert_eq!(
            answers[1].json()["errors"][0]["code"],
            of_classic.1,
            "{fault}"
        );
        assert_eq!(answers[2].json()["code"], of_channels.1, "{fault}");
        for response in answers {
            let shown = response.json().to_string();
            let echoes = shown.contains("Hello") && shown.contains("+31612345678");
            assert_eq!(echoes, fault == Fault::EchoText, "{shown}");
        }
    }
    sandbox
        .fault("messagebird.send", Fault::Throttle)
        .times(3)
        .ms(1500);
    for (path, body) in [
        (PLATFORM, platform("a")),
        (CLASSIC, classic()),
        (CHANNELS, channels()),
    ] {
        let response = send(&sandbox, path, &body).await;
        assert_eq!(
            (response.status, response.header("retry-after")),
            (429, Some("2"))
        );
    }
    assert!(sandbox.messages().is_empty());

    sandbox
        .fault("messagebird.send", Fault::OkWithoutId)
        .times(3);
    for (path, body) in [
        (PLATFORM, platform("a")),
        (CLASSIC, classic()),
        (CHANNELS, channels()),
    ] {
        let response = send(&sandbox, path, &body).await;
        assert!(
            response.status < 300 && response.json().get("id").is_none(),
            "{path}"
        );
    }
    assert_eq!(sandbox.messages().len(), 3);
}

#[tokio::test]
async fn classic_accepts_with_201_one_id_and_an_item_for_each_number() {
    let sandbox = Sandbox::start().await;
    let mut body = classic();
    body["recipients"] = json!("31612345678,nobody,+31687654321,31612345678");
    body["validity"] = json!(1800);
    body["scheduledDatetime"] = json!("2026-12-24T09:30:00+01:00");
    let response = send(&sandbox, CLASSIC, &body).await;
    assert_eq!(response.status, 201);
    let shown = response.json();
    assert_eq!(shown["id"].as_str().unwrap().len(), 32);
    let items = shown["recipients"]["items"].as_array().unwrap();
    let numbers: Vec<_> = items.iter().map(|item| item["recipient"].clone()).collect();
    assert_eq!(numbers, [31_612_345_678_u64, 31_687_654_321]);
    assert_eq!(items[0]["status"], "scheduled");
    assert_eq!(items[0]["statusDatetime"], Value::Null);
    let messages = sandbox.messages();
    assert_eq!(messages.len(), 2);
    for message in messages {
        assert_eq!(message.id, shown["id"]);
        assert_eq!(message.validity_s, Some(1800));
        assert_eq!(
            message.send_at.unwrap().to_rfc3339(),
            "2026-12-24T08:30:00+00:00"
        );
    }
    for (fault, first, count) in [
        (Fault::WrongOrder, 31_687_654_321_u64, 2),
        (Fault::MissingEntry, 31_612_345_678, 1),
    ] {
        sandbox.fault("messagebird.send", fault);
        let shown = send(&sandbox, CLASSIC, &body).await.json();
        assert_eq!(
            shown["recipients"]["items"][0]["recipient"], first,
            "{fault}"
        );
        assert_eq!(
            shown["recipients"]["items"].as_array().unwrap().len(),
            count
        );
    }
}

#[tokio::test]
async fn classic_replaces_characters_outside_gsm() {
    let sandbox = Sandbox::start().await;
    let headers = [FORM, ACCESS_KEY];
    let form = "originator=Acme&recipients=31612345678&body=Zo%C3%AB";
    let response = call(&sandbox, "POST", CLASSIC, &headers, form)
        .await
        .unwrap();
    assert_eq!(response.json()["datacoding"], "plain");
    assert_eq!(sandbox.messages()[0].text, "Zo?");
    let auto = format!("{form}&datacoding=auto");
    call(&sandbox, "POST", CLASSIC, &headers, &auto)
        .await
        .unwrap();
    assert_eq!(sandbox.messages()[1].text, "Zoë");
}

#[tokio::test]
async fn classic_refuses_each_field_by_code_and_parameter() {
    let sandbox = Sandbox::start().await;
    for (field, value, code, parameter) in [
        ("originator", Value::Null, 9, "originator"),
        ("originator", json!("TwelveLetter"), 10, "originator"),
        ("recipients", Value::Null, 9, "recipients"),
        ("recipients", json!(["nobody"]), 9, "recipient"),
        (
            "recipients",
            json!(vec!["31612345678"; 51]),
            10,
            "recipients",
        ),
        ("body", json!(""), 9, "body"),
        ("body", json!("a".repeat(1378)), 10, "body"),
        ("datacoding", json!("utf8"), 10, "datacoding"),
        ("validity", json!("soon"), 10, "validity"),
        ("scheduledDatetime", json!("soon"), 10, "scheduledDatetime"),
        ("reportUrl", json!("nowhere"), 10, "reportUrl"),
    ] {
        let mut body = classic();
        body[field] = value;
        let response = send(&sandbox, CLASSIC, &body).await;
        let error = response.json()["errors"][0].clone();
        assert_eq!(response.status, 422, "{field}");
        assert_eq!(
            (&error["code"], &error["parameter"]),
            (&json!(code), &json!(parameter))
        );
    }
    let headers = [JSON, ("Authorization", "AccessKey wrong")];
    let response = call(&sandbox, "POST", CLASSIC, &headers, "{}")
        .await
        .unwrap();
    assert_eq!(response.status, 401);
    assert_eq!(response.json()["errors"][0]["code"], 2);
    let response = call(&sandbox, "POST", CLASSIC, &[ACCESS_KEY], "{")
        .await
        .unwrap();
    assert_eq!(
        (response.status, &response.json()["errors"][0]["code"]),
        (400, &json!(21))
    );
    assert!(sandbox.messages().is_empty());

    let response = call(&sandbox, "GET", "/messagebird/balance", &[ACCESS_KEY], "")
        .await
        .unwrap();
    assert_eq!(
        response.json(),
        json!({"payment": "prepaid", "type": "euros", "amount": 42.5})
    );
}

#[tokio::test]
async fn channels_send_under_the_name_of_the_channel() {
    let sandbox = Sandbox::start().await;
    let response = send(&sandbox, CHANNELS, &channels()).await;
    assert_eq!(response.status, 202);
    let message = sandbox.message_to("+31612345678").unwrap();
    assert_eq!(response.json()["id"], message.id);
    assert_eq!(response.json()["reference"], "01J9Z8");
    assert_eq!(message.sender, "Postduif");

    for (at, value, path) in [
        ("/receiver/contacts", json!([]), "receiver.contacts"),
        (
            "/receiver/contacts/0/identifierValue",
            json!("31612345678"),
            "receiver.contacts[0].identifierValue",
        ),
        ("/body/type", json!("image"), "body.type"),
        ("/body/text/text", json!(""), "body.text.text"),
    ] {
        let mut body = channels();
        *body.pointer_mut(at).unwrap() = value;
        let response = send(&sandbox, CHANNELS, &body).await;
        assert_eq!(response.status, 422, "{at}");
        assert!(response.json()["details"].get(path).is_some(), "{at}");
    }
    let elsewhere = CHANNELS.replace("channels/sandbox", "channels/other");
    assert_eq!(send(&sandbox, &elsewhere, &channels()).await.status, 404);
    let channel = "/messagebird/workspaces/sandbox/channels/sandbox";
    let response = call(&sandbox, "GET", channel, &[ACCESS_KEY], "")
        .await
        .unwrap();
    assert_eq!(response.json()["platformId"], "sms-messagebird");
    let list = "/messagebird/workspaces/sandbox/channels";
    let listed = call(&sandbox, "GET", list, &[ACCESS_KEY], "")
        .await
        .unwrap();
    assert_eq!(listed.json()["results"], json!([response.json()]));
    let response = call(&sandbox, "GET", channel, &[], "").await.unwrap();
    assert_eq!(response.status, 401);
    assert_eq!(sandbox.messages().len(), 1);
}

#[tokio::test]
async fn platform_reports_are_standard_webhooks() {
    let sandbox = Sandbox::start().await;
    send(&sandbox, PLATFORM, &platform("01J9Z8")).await;
    for (status, kind, error) in [
        (ReportStatus::Delivered, "sms.delivered", None),
        (
            ReportStatus::Failed,
            "sms.failed",
            Some("invalid_destination"),
        ),
        (ReportStatus::Expired, "sms.expired", Some("unreachable")),
        (ReportStatus::Sent, "sms.sent", None),
    ] {
        let order = ReportOrder::new("01J9Z8", status);
        let report = sandbox.report(&order, TARGET).unwrap().remove(0);
        assert_eq!((report.method, report.url.as_str()), ("POST", TARGET));
        let text = format!(
            "{}.{}.{}",
            header(&report, "webhook-id"),
            header(&report, "webhook-timestamp"),
            report.body
        );
        let signature = header(&report, "webhook-signature");
        mac(text.as_bytes(), signature.strip_prefix("v1,").unwrap());
        let body: Value = serde_json::from_str(&report.body).unwrap();
        assert_eq!(body["type"], kind);
        assert_eq!(body["data"]["sms_id"], sandbox.messages()[0].id);
        assert_eq!(body["data"]["metadata"]["reference"], "01J9Z8");
        assert_eq!(body["data"]["error"]["code"].as_str(), error);
    }
}

#[tokio::test]
async fn classic_reports_are_bound_to_their_url_in_two_ways() {
    let sandbox = Sandbox::start().await;
    send(&sandbox, CLASSIC, &classic()).await;
    let target = format!("{TARGET}?b=1&a=x%20y");
    let order = ReportOrder::new("01J9Z8", ReportStatus::Failed);
    let report = sandbox.report(&order, &target).unwrap().remove(0);
    assert_eq!(report.method, "GET");
    assert!(report.url.starts_with(&format!("{target}&id=")));
    assert!(report.body.is_empty());
    let mut fields = crate::client::form(report.url.split_once('?').unwrap().1);
    for (name, value) in [
        ("reference", "01J9Z8"),
        ("recipient", "31612345678"),
        ("status", "delivery_failed"),
        ("statusReason", "unknown subscriber"),
        ("statusErrorCode", "1"),
        ("price[amount]", "0.070"),
    ] {
        assert!(
            fields.contains(&(name.to_owned(), value.to_owned())),
            "{name}"
        );
    }

    let (signed, signature) = header(&report, "MessageBird-Signature-JWT")
        .rsplit_once('.')
        .unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"sandbox");
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
    let claims = signed.split_once('.').unwrap().1;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["iss"], "MessageBird");
    assert_eq!(
        claims["url_hash"],
        hex(digest(&SHA256, report.url.as_bytes()).as_ref())
    );
    assert_eq!(claims.get("payload_hash"), None);
    assert_eq!(
        claims["exp"].as_i64(),
        claims["nbf"].as_i64().map(|nbf| nbf + 60)
    );
    assert!(claims["jti"].is_string());

    fields.sort();
    let query: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect();
    let time = header(&report, "MessageBird-Request-Timestamp");
    let mut text = format!("{time}\n{}\n", query.join("&")).into_bytes();
    text.extend(digest(&SHA256, b"").as_ref());
    mac(&text, header(&report, "MessageBird-Signature"));

    // Without a reference classic sends no report.
    let mut body = classic();
    body["reference"] = Value::Null;
    let id = send(&sandbox, CLASSIC, &body).await.json()["id"].clone();
    let order = ReportOrder::by_id(id.as_str().unwrap(), ReportStatus::Delivered);
    assert!(sandbox.report(&order, TARGET).unwrap().is_empty());
}

fn escape(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        b' ' => "+".to_owned(),
        b'-' | b'.' | b'_' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    escaped.collect()
}

#[tokio::test]
async fn channel_reports_sign_their_url_and_body() {
    let sandbox = Sandbox::start().await;
    send(&sandbox, CHANNELS, &channels()).await;
    for (status, word, number) in [
        (ReportStatus::Delivered, "delivered", None),
        (ReportStatus::Failed, "delivery_failed", Some("1")),
        (ReportStatus::Rejected, "rejected", Some("104")),
    ] {
        let order = ReportOrder::new("01J9Z8", status);
        let report = sandbox.report(&order, TARGET).unwrap().remove(0);
        let time = header(&report, "messagebird-request-timestamp");
        let mut text = format!("{time}\n{TARGET}\n").into_bytes();
        text.extend(digest(&SHA256, report.body.as_bytes()).as_ref());
        mac(&text, header(&report, "messagebird-signature"));
        let body: Value = serde_json::from_str(&report.body).unwrap();
        assert_eq!(body["event"], "sms.outbound");
        assert_eq!(body["payload"]["reference"], "01J9Z8");
        assert_eq!(body["payload"]["status"], word);
        assert_eq!(
            body["payload"]["failure"]["source"]["code"].as_str(),
            number
        );
    }
}

#[tokio::test]
async fn its_url_to_copy_holds_good_credentials_and_a_sender() {
    let sandbox = Sandbox::start().await;
    let host = authority(&sandbox);
    assert_eq!(
        sandbox.sms_url("messagebird"),
        format!("messagebird://bk_eu1_sandbox@{host}/messagebird?sender=Postduif")
    );
}

#[tokio::test]
async fn every_fault_leaves_behind_what_it_says() {
    assert_faults("messagebird.send", CALLS).await;
}

/// A good request to each API.
const CALLS: &[GoodCall] = &[
    GoodCall {
        path: "/messagebird/v1/sms/messages",
        headers: &[
            JSON,
            ("Authorization", "Bearer bk_eu1_sandbox"),
            ("User-Agent", "test"),
        ],
        body: r#"{"to": "+31612345678", "from": "Acme", "text": "Hello", "category": "service"}"#,
    },
    GoodCall {
        path: "/messagebird/messages",
        headers: &[JSON, ACCESS_KEY],
        body: r#"{"originator": "Acme", "recipients": ["31612345678"], "body": "Hello"}"#,
    },
    GoodCall {
        path: "/messagebird/workspaces/sandbox/channels/sandbox/messages",
        headers: &[JSON, ACCESS_KEY],
        body: r#"{"receiver": {"contacts": [{"identifierValue": "+31612345678"}]},
            "body": {"type": "text", "text": {"text": "Hello"}}}"#,
    },
];
