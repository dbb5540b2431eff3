use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::Utc;
use md5::{Digest, Md5};
use postduif_sandbox::{Fault, ReceiptForm, ReportOrder, ReportStatus, Sandbox, SignatureMethod};
use ring::{
    digest::{SHA256, digest},
    hmac,
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Value, json};

use crate::{
    client::{BASIC, FORM, JSON, Response, authority, call, hex},
    processed::{GoodCall, assert_faults},
};

const MESSAGES: &str = "/vonage/v1/messages";
const SMS: &str = "/vonage/sms/json";
const TARGET: &str = "http://x.example/reports/vonage";

fn text() -> Value {
    json!({
        "channel": "sms",
        "message_type": "text",
        "to": "31612345678",
        "from": "Postduif",
        "text": "Hello",
        "client_ref": "01J9Z8",
    })
}

async fn post(sandbox: &Sandbox, authorization: (&str, &str), body: &Value) -> Response {
    let headers = [JSON, authorization];
    call(sandbox, "POST", MESSAGES, &headers, &body.to_string())
        .await
        .unwrap()
}

async fn form(sandbox: &Sandbox, fields: &str) -> Response {
    let body = format!("from=Postduif&to=31612345678&client-ref=01J9Z8&{fields}");
    call(sandbox, "POST", SMS, &[FORM, BASIC], &body)
        .await
        .unwrap()
}

fn token(sandbox: &Sandbox, claims: &Value) -> String {
    let pem = sandbox.vonage_private_key();
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap();
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"RS256"}"#),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let mut signature = vec![0; key.public().modulus_len()];
    let rng = SystemRandom::new();
    key.sign(&RSA_PKCS1_SHA256, &rng, signed.as_bytes(), &mut signature)
        .unwrap();
    format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_message_is_accepted_with_its_uuid_and_recorded() {
    let sandbox = Sandbox::start().await;
    let mut body = text();
    body["text"] = json!("ë".repeat(71));
    body["ttl"] = json!(1800);
    let response = post(&sandbox, BASIC, &body).await;
    assert_eq!(response.status, 202);
    assert_eq!(response.header("x-request-id").unwrap().len(), 36);
    let message = sandbox.message_to("+31612345678").unwrap();
    assert_eq!(response.json(), json!({"message_uuid": message.id}));
    assert_eq!(message.vendor, "vonage");
    assert_eq!(message.sender, "Postduif");
    assert_eq!(message.reference.as_deref(), Some("01J9Z8"));
    assert_eq!(message.validity_s, Some(1800));
    assert_eq!(message.parts, 2);
}

#[tokio::test]
async fn an_application_authenticates_with_a_token_signed_by_its_key() {
    let sandbox = Sandbox::start().await;
    let now = Utc::now().timestamp();
    for (claims, status, kind) in [
        (
            json!({"application_id": "sandbox", "iat": now, "jti": "a"}),
            202,
            "",
        ),
        (
            json!({"application_id": "sandbox", "iat": now - 901, "jti": "a"}),
            401,
            "jwt-expired",
        ),
        (
            json!({"application_id": "other", "iat": now}),
            401,
            "unathorized",
        ),
    ] {
        let token = token(&sandbox, &claims);
        let response = post(&sandbox, ("Authorization", &token), &text()).await;
        assert_eq!(response.status, status, "{claims}");
        assert!(
            response.json()["type"]
                .as_str()
                .unwrap_or_default()
                .ends_with(kind)
        );
    }
    let order = ReportOrder::new("01J9Z8", ReportStatus::Delivered);
    let report = sandbox.report(&order, TARGET).unwrap().remove(0);
    let claims = report.headers[1].1.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["application_id"], "sandbox");
}

#[tokio::test]
async fn wrong_credentials_are_refused_with_a_problem_document() {
    let sandbox = Sandbox::start().await;
    for authorization in ["", "Basic d3Jvbmc6c2FuZGJveA==", "Bearer a.b.c", "Bearer x"] {
        let response = post(&sandbox, ("Authorization", authorization), &text()).await;
        assert_eq!(response.status, 401, "{authorization}");
        assert_eq!(
            response.header("content-type"),
            Some("application/problem+json")
        );
        assert!(response.json()["type"].as_str().unwrap().contains('#'));
        assert_eq!(response.json()["instance"].as_str().unwrap().len(), 32);
    }
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn each_field_has_its_refusal() {
    let sandbox = Sandbox::start().await;
    for (field, value, title, parameter) in [
        ("channel", json!("viber"), "Unsupported channel", None),
        ("message_type", json!("image"), "Invalid message type", None),
        ("to", json!("+31612345678"), "Invalid recipient", None),
        ("to", json!("0031612345678"), "Invalid recipient", None),
        ("from", json!("TwelveLetter"), "Invalid sender", None),
        ("from", json!("Zoë"), "Invalid sender", None),
        ("text", json!(""), "Invalid params", Some("text")),
        (
            "text",
            json!("a".repeat(3201)),
            "Invalid params",
            Some("text"),
        ),
        ("ttl", json!(19), "Invalid params", Some("ttl")),
        (
            "client_ref",
            json!("a".repeat(101)),
            "Invalid client reference",
            None,
        ),
        (
            "webhook_url",
            json!("x"),
            "Invalid params",
            Some("webhook_url"),
        ),
        (
            "sms",
            json!({"encoding_type": "gsm"}),
            "Invalid params",
            Some("sms.encoding_type"),
        ),
    ] {
        let mut body = text();
        body[field] = value;
        let response = post(&sandbox, BASIC, &body).await;
        assert_eq!(response.status, 422, "{field}");
        assert_eq!(response.json()["title"], title, "{field}");
        let named = response.json()["invalid_parameters"][0]["name"].clone();
        assert_eq!(named.as_str(), parameter, "{field}");
    }
    let headers = [JSON, BASIC];
    let response = call(&sandbox, "POST", MESSAGES, &headers, "{")
        .await
        .unwrap();
    assert_eq!(response.status, 422);
    assert!(
        response.json()["type"]
            .as_str()
            .unwrap()
            .ends_with("#invalid-json")
    );
    let response = call(&sandbox, "POST", MESSAGES, &[FORM, BASIC], "a=b")
        .await
        .unwrap();
    assert_eq!(response.status, 415);
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn faults_of_the_messages_api_are_problem_documents_and_leave_nothing_behind() {
    let sandbox = Sandbox::start().await;
    for (fault, status, kind) in [
        (Fault::BadNumber, 422, "#110"),
        (Fault::BadSender, 422, "#1120"),
        (Fault::Blocked, 422, "#1050"),
        (Fault::EchoText, 422, "#1150"),
        (Fault::NoCredit, 402, "#low-balance"),
        (Fault::Unauthorized, 401, "#unathorized"),
        (Fault::UnauthorizedOnce, 401, "#unathorized"),
        (Fault::Throttle, 429, "#throttled"),
    ] {
        sandbox.fault("vonage.send", fault).ms(1500);
        let response = post(&sandbox, BASIC, &text()).await;
        assert_eq!(response.status, status, "{fault}");
        let body = response.json();
        assert!(body["type"].as_str().unwrap().ends_with(kind), "{fault}");
        assert_eq!(
            body.to_string().contains("Hello"),
            fault == Fault::EchoText,
            "{fault}"
        );
        if fault == Fault::Throttle {
            assert_eq!(response.header("retry-after"), Some("2"));
            assert_eq!(response.header("x-ratelimit-reset").unwrap().len(), 13);
        }
    }
    assert!(sandbox.messages().is_empty());
    sandbox.fault("vonage.send", Fault::OkWithoutId);
    let response = post(&sandbox, BASIC, &text()).await;
    assert_eq!((response.status, response.json()), (202, json!({})));
    assert_eq!(sandbox.messages().len(), 1);
}

#[tokio::test]
async fn the_sms_api_returns_id_price_and_balance_for_each_segment() {
    let sandbox = Sandbox::start().await;
    let response = form(&sandbox, &format!("ttl=1800000&text={}", "a".repeat(161))).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["message-count"], "2");
    let message = sandbox.message_to("+31612345678").unwrap();
    assert_eq!(message.parts, 2);
    assert_eq!(message.validity_s, Some(1800));
    let parts = response.json()["messages"].clone();
    assert_eq!(parts[0]["message-id"], message.id);
    assert_ne!(parts[1]["message-id"], parts[0]["message-id"]);
    for part in parts.as_array().unwrap() {
        assert_eq!(part["status"], "0");
        assert_eq!(part["to"], "31612345678");
        assert_eq!(part["message-price"], "0.07270000");
        assert_eq!(part["client-ref"], "01J9Z8");
        assert_eq!(part["network"], "20408");
    }
    assert_eq!(parts[1]["remaining-balance"], "12.20027890");
    let second = parts[1]["message-id"].as_str().unwrap();
    let order = ReportOrder::by_id(second, ReportStatus::Delivered);
    assert_eq!(sandbox.report(&order, TARGET).unwrap().len(), 2);
}

#[tokio::test]
async fn without_a_type_characters_outside_gsm_are_replaced() {
    let sandbox = Sandbox::start().await;
    form(&sandbox, "text=Zo%C3%AB").await;
    form(&sandbox, "type=unicode&text=Zo%C3%AB").await;
    // A form labelled as JSON, as the vendor's own Python client sends it after a JSON request.
    let body = "from=Acme&to=31612345678&text=Zoe";
    call(&sandbox, "POST", SMS, &[JSON, BASIC], body)
        .await
        .unwrap();
    let texts: Vec<_> = sandbox
        .messages()
        .into_iter()
        .map(|message| message.text)
        .collect();
    assert_eq!(texts, ["Zo?", "Zoë", "Zoe"]);
}

#[tokio::test]
async fn the_sms_api_refuses_with_200_and_a_code() {
    let sandbox = Sandbox::start().await;
    for (fields, code) in [
        ("", "2"),
        ("text=Hello&ttl=1000", "3"),
        ("text=Hello&type=wappush", "3"),
        ("text=Hello&callback=x", "23"),
    ] {
        let response = form(&sandbox, fields).await;
        assert_eq!(response.status, 200, "{fields}");
        assert_eq!(response.json()["messages"][0]["status"], code, "{fields}");
    }
    for (body, code) in [
        ("from=Acme&text=Hello", "2"),
        ("from=Acme&to=%2B31612345678&text=Hello", "3"),
        ("from=Zo%C3%AB&to=31612345678&text=Hello", "3"),
    ] {
        let response = call(&sandbox, "POST", SMS, &[FORM, BASIC], body)
            .await
            .unwrap();
        assert_eq!(response.json()["messages"][0]["status"], code, "{body}");
    }
    let wrong = ("Authorization", "Basic c2FuZGJveDp3cm9uZw==");
    let body = "from=Acme&to=31612345678&text=Hello";
    let response = call(&sandbox, "POST", SMS, &[FORM, wrong], body)
        .await
        .unwrap();
    assert_eq!(response.json()["messages"][0]["status"], "4");
    for (keys, code) in [
        ("", "2"),
        ("api_key=sandbox", "2"),
        ("api_key=sandbox&api_secret=wrong", "4"),
        ("api_key=wrong&api_secret=sandbox", "4"),
        ("api_key=sandbox&api_secret=sandbox&sig=a", "32"),
        ("api_key=sandbox&sig=a&timestamp=1", "14"),
        ("api_key=sandbox&api_secret=sandbox", "0"),
    ] {
        let body = format!("{keys}&from=Acme&to=31612345678&text=Hello");
        let response = call(&sandbox, "POST", SMS, &[FORM], &body).await.unwrap();
        assert_eq!(response.json()["messages"][0]["status"], code, "{keys}");
    }
    assert_eq!(sandbox.messages().len(), 1);
}

#[tokio::test]
async fn a_signed_request_needs_no_secret() {
    let sandbox = Sandbox::start().await;
    let base = "&api_key=sandbox&from=Acme&text=a_b&timestamp=1&to=31612345678";
    let sig = hex(&Md5::digest(format!("{base}sandbox")));
    let body = format!("api_key=sandbox&from=Acme&text=a%26b&timestamp=1&to=31612345678&sig={sig}");
    let response = call(&sandbox, "POST", SMS, &[FORM], &body).await.unwrap();
    assert_eq!(response.json()["messages"][0]["status"], "0");
    assert_eq!(sandbox.messages()[0].text, "a&b");
}

#[tokio::test]
async fn faults_of_the_sms_api_are_codes_and_leave_nothing_behind() {
    let sandbox = Sandbox::start().await;
    for (fault, code) in [
        (Fault::BadNumber, "6"),
        (Fault::BadSender, "15"),
        (Fault::Blocked, "7"),
        (Fault::EchoText, "3"),
        (Fault::NoCredit, "9"),
        (Fault::Throttle, "1"),
        (Fault::Unauthorized, "4"),
        (Fault::UnauthorizedOnce, "4"),
    ] {
        sandbox.fault("vonage.send", fault).ms(250);
        let response = form(&sandbox, "text=Hello").await;
        let entry = response.json()["messages"][0].clone();
        assert_eq!(entry["status"], code, "{fault}");
        let shown = entry["error-text"].as_str().unwrap();
        assert_eq!(shown.contains("Hello"), fault == Fault::EchoText, "{fault}");
        assert_eq!(
            shown.contains("[ 250 ]"),
            fault == Fault::Throttle,
            "{fault}"
        );
    }
    assert!(sandbox.messages().is_empty());

    let long = format!("text={}", "a".repeat(161));
    for (fault, entries) in [
        (Fault::WrongOrder, 2),
        (Fault::MissingEntry, 1),
        (Fault::OkWithoutId, 2),
    ] {
        sandbox.fault("vonage.send", fault);
        let response = form(&sandbox, &long).await;
        let parts = response.json()["messages"].clone();
        assert_eq!(response.json()["message-count"], "2", "{fault}");
        assert_eq!(parts.as_array().unwrap().len(), entries, "{fault}");
        assert_eq!(
            parts[0].get("message-id").is_none(),
            fault == Fault::OkWithoutId,
            "{fault}"
        );
    }
    assert_eq!(sandbox.messages().len(), 3);
}

#[tokio::test]
async fn the_balance_is_for_key_and_secret() {
    let sandbox = Sandbox::start().await;
    let path = "/vonage/account/get-balance";
    let response = call(&sandbox, "GET", path, &[BASIC], "").await.unwrap();
    assert_eq!(
        response.json(),
        json!({"value": 10.28, "autoReload": false})
    );
    let response = call(&sandbox, "GET", path, &[], "").await.unwrap();
    assert_eq!(response.status, 401);
    assert_eq!(response.json()["error-code"], "401");
}

#[tokio::test]
async fn a_status_is_bound_to_its_token_by_the_hash_of_its_body() {
    let sandbox = Sandbox::start().await;
    post(&sandbox, BASIC, &text()).await;
    for (status, word, code) in [
        (ReportStatus::Delivered, "delivered", None),
        (ReportStatus::Sent, "submitted", None),
        (ReportStatus::Failed, "rejected", Some("1330")),
        (ReportStatus::Expired, "rejected", Some("1360")),
    ] {
        let order = ReportOrder::new("01J9Z8", status);
        let report = sandbox.report(&order, TARGET).unwrap().remove(0);
        assert_eq!((report.method, report.url.as_str()), ("POST", TARGET));
        let (name, token) = &report.headers[1];
        assert_eq!(*name, "Authorization");
        let (signed, signature) = token
            .strip_prefix("Bearer ")
            .unwrap()
            .rsplit_once('.')
            .unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"sandbox");
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
        let part = |at: usize| -> Value {
            let part = signed.split('.').nth(at).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(part(0)["alg"], "HS256");
        assert_eq!(part(1)["iss"], "Vonage");
        assert_eq!(part(1)["api_key"], "sandbox");
        assert!(part(1)["iat"].is_i64() && part(1)["jti"].is_string());
        let hash = hex(digest(&SHA256, report.body.as_bytes()).as_ref());
        assert_eq!(part(1)["payload_hash"], hash);

        let body: Value = serde_json::from_str(&report.body).unwrap();
        assert_eq!(body["status"], word);
        assert_eq!(body["message_uuid"], sandbox.messages()[0].id);
        assert_eq!(body["client_ref"], "01J9Z8");
        assert_eq!(
            (&body["to"], &body["from"]),
            (&json!("31612345678"), &json!("Postduif"))
        );
        assert_eq!(body["error"]["title"].as_str(), code);
    }
}

#[tokio::test]
async fn receipts_come_in_three_forms_and_are_signed_by_five_methods() {
    let sandbox = Sandbox::start().await;
    form(&sandbox, "text=Hello").await;
    for method in SignatureMethod::ALL {
        for way in ReceiptForm::ALL {
            let order = ReportOrder::new("01J9Z8", ReportStatus::Failed)
                .form(*way)
                .signature_method(*method);
            let report = sandbox.report(&order, TARGET).unwrap().remove(0);
            let mut fields = match way {
                ReceiptForm::Get => crate::client::form(report.url.split_once('?').unwrap().1),
                ReceiptForm::Post => crate::client::form(&report.body),
                _ => {
                    let body: Value = serde_json::from_str(&report.body).unwrap();
                    let members = body.as_object().unwrap().iter();
                    members
                        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                        .collect()
                }
            };
            fields.sort();
            let sig = fields
                .iter()
                .find(|(name, _)| name == "sig")
                .map(|(_, sig)| sig.clone())
                .unwrap();
            let base: String = fields
                .iter()
                .filter(|(name, _)| name != "sig")
                .map(|(name, value)| format!("&{name}={}", value.replace(['&', '='], "_")))
                .collect();
            let keyed = |algorithm| {
                let key = hmac::Key::new(algorithm, b"sandbox");
                hex(hmac::sign(&key, base.as_bytes()).as_ref())
            };
            let expected = match method {
                SignatureMethod::Md5Hash => hex(&Md5::digest(format!("{base}sandbox"))),
                SignatureMethod::Sha1 => keyed(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
                SignatureMethod::Sha256 => keyed(hmac::HMAC_SHA256),
                SignatureMethod::Sha512 => keyed(hmac::HMAC_SHA512),
                // ring has no MD5: a unit test has a vector of RFC 2202.
                _ => sig.to_lowercase(),
            };
            assert_eq!(sig.to_lowercase(), expected, "{method:?} {way:?}");
            for (name, value) in [
                ("msisdn", "31612345678"),
                ("to", "Postduif"),
                ("status", "failed"),
                ("err-code", "1"),
                ("client-ref", "01J9Z8"),
            ] {
                assert!(
                    fields.contains(&(name.to_owned(), value.to_owned())),
                    "{name}"
                );
            }
        }
    }
}

#[tokio::test]
async fn its_url_to_copy_holds_good_credentials_and_a_sender() {
    let sandbox = Sandbox::start().await;
    let host = authority(&sandbox);
    assert_eq!(
        sandbox.sms_url("vonage"),
        format!("vonage://sandbox:sandbox@{host}/vonage?sender=Postduif")
    );
}

#[tokio::test]
async fn every_fault_leaves_behind_what_it_says() {
    assert_faults("vonage.send", CALLS).await;
}

/// A good request to each API.
const CALLS: &[GoodCall] = &[
    GoodCall {
        path: "/vonage/v1/messages",
        headers: &[JSON, BASIC],
        body: r#"{"channel": "sms", "message_type": "text", "to": "31612345678", "from": "Acme",
            "text": "Hello"}"#,
    },
    GoodCall {
        path: "/vonage/sms/json",
        headers: &[FORM, BASIC],
        body: "from=Acme&to=31612345678&text=Hello",
    },
];
