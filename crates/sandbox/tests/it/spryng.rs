use chrono::{SecondsFormat, TimeDelta, Utc};
use postduif_sandbox::{Fault, ReportOrder, ReportStatus, Sandbox};
use serde_json::{Value, json};

use crate::{
    client::{JSON, Response, authority, call, form},
    processed::{GoodCall, assert_faults},
};

const V2: &str = "/spryng/v2/messages";
const LATER: &str = "/spryng/v2/schedules/delayed";
const V1: &str = "/spryng/v1/messages";
const TARGET: &str = "http://x.example/reports/spryng/secret";

const KEY: (&str, &str) = ("X-Api-Key", "sandbox");
const ACCOUNT: (&str, &str) = ("AccountReference", "SPNL0000000");
const BEARER: (&str, &str) = ("Authorization", "Bearer sandbox");
const ACCEPT: (&str, &str) = ("Accept", "application/json");

fn v2() -> Value {
    json!({
        "accountReference": "SPNL0000000",
        "channel": "SMS",
        "from": "Postduif",
        "characterSet": "Auto",
        "body": {"text": "Hello"},
        "recipients": [{"msisdn": "+31612345678", "metaData": {"ref": "01J9Z8"}}],
    })
}

fn v1() -> Value {
    json!({
        "body": "Hello",
        "encoding": "auto",
        "originator": "Postduif",
        "recipients": ["31612345678"],
        "route": "business",
        "reference": "01J9Z8",
    })
}

async fn send(sandbox: &Sandbox, path: &str, body: &Value) -> Response {
    let headers = [JSON, ACCEPT, KEY, ACCOUNT, BEARER];
    call(sandbox, "POST", path, &headers, &body.to_string())
        .await
        .unwrap()
}

#[tokio::test]
async fn v2_accepts_with_202_and_an_id_for_each_recipient() {
    let sandbox = Sandbox::start().await;
    let mut body = v2();
    let second = json!({"msisdn": "+31687654321", "variables": {"name": "Sanne"}});
    body["recipients"].as_array_mut().unwrap().push(second);
    body["body"]["text"] = json!("Hi [name]!");
    let until = (Utc::now() + TimeDelta::minutes(31)).to_rfc3339_opts(SecondsFormat::Millis, true);
    body["validity"] = json!(until);
    let response = send(&sandbox, V2, &body).await;
    assert_eq!(response.status, 202);
    assert!(response.json()["data"]["requestId"].is_string());
    let messages = sandbox.messages();
    let ids: Vec<_> = messages.iter().map(|message| message.id.clone()).collect();
    assert_eq!(response.json()["data"]["messageIds"], json!(ids));
    assert_eq!(messages[0].reference.as_deref(), Some("01J9Z8"));
    assert_eq!(messages[0].to, "+31612345678");
    assert!((1800..=1860).contains(&messages[0].validity_s.unwrap()));
    // An unknown variable is empty.
    assert_eq!(messages[0].text, "Hi !");
    assert_eq!(messages[1].text, "Hi Sanne!");

    for (fault, expected) in [
        (Fault::WrongOrder, 2),
        (Fault::MissingEntry, 1),
        (Fault::OkWithoutId, 0),
    ] {
        sandbox.fault("spryng.send", fault);
        let shown = send(&sandbox, V2, &body).await.json()["data"]["messageIds"].clone();
        assert_eq!(shown.as_array().unwrap().len(), expected, "{fault}");
        if fault == Fault::WrongOrder {
            assert_eq!(shown[0], sandbox.messages()[3].id);
        }
    }
    assert_eq!(sandbox.messages().len(), 8);
}

#[tokio::test]
async fn v2_refuses_with_400_and_a_code() {
    let sandbox = Sandbox::start().await;
    for (at, value, status, code) in [
        ("accountReference", Value::Null, 400, "validation_error"),
        (
            "accountReference",
            json!("SPNL0000001"),
            403,
            "ForbiddenError",
        ),
        ("channel", json!("WhatsApp"), 400, "validation_error"),
        ("from", Value::Null, 400, "sender_id_invalid"),
        ("from", json!("TwelveLetter"), 400, "sender_id_invalid"),
        ("body", json!({"text": ""}), 400, "validation_error"),
        (
            "body",
            json!({"text": "a".repeat(1531)}),
            400,
            "message_part_count_exceeded",
        ),
        ("recipients", json!([]), 400, "validation_error"),
        (
            "recipients",
            json!([{"msisdn": "31612345678"}]),
            400,
            "msisdn_invalid",
        ),
        ("characterSet", json!("auto"), 400, "validation_error"),
        ("messageType", json!("Other"), 400, "validation_error"),
        (
            "validity",
            json!("2020-01-01T00:00:00Z"),
            400,
            "validation_error",
        ),
    ] {
        let mut body = v2();
        body[at] = value;
        let response = send(&sandbox, V2, &body).await;
        assert_eq!(response.status, status, "{at}");
        assert_eq!(response.json()["errors"][0]["errorCode"], code, "{at}");
    }
    let headers = [JSON, ("X-Api-Key", "wrong")];
    let response = call(&sandbox, "POST", V2, &headers, &v2().to_string())
        .await
        .unwrap();
    assert_eq!(response.status, 401);
    assert_eq!(
        response.json()["errors"][0]["errorCode"],
        "UnauthenticatedError"
    );
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn v2_sends_later_and_returns_the_balance_of_the_account_in_the_header() {
    let sandbox = Sandbox::start().await;
    let time = (Utc::now() + TimeDelta::hours(1)).to_rfc3339_opts(SecondsFormat::Millis, true);
    let body = json!({
        "scheduleInformation": {"sendTime": time},
        "dispatch": {"channel": "SMS", "from": "Postduif", "body": {"text": "Hello"}},
        "recipients": [{"msisdn": "+31612345678"}],
    });
    let response = send(&sandbox, LATER, &body).await;
    assert_eq!(response.status, 201);
    assert!(response.json()["data"]["scheduleId"].is_string());
    assert!(sandbox.messages()[0].send_at.unwrap() > Utc::now());
    let mut late = body;
    late["scheduleInformation"]["sendTime"] = json!("2020-01-01T00:00:00Z");
    assert_eq!(send(&sandbox, LATER, &late).await.status, 400);

    let path = "/spryng/v2/balance";
    let response = call(&sandbox, "GET", path, &[KEY, ACCOUNT], "")
        .await
        .unwrap();
    assert_eq!(response.json()["data"]["available"], "115.82000");
    assert_eq!(
        call(&sandbox, "GET", path, &[KEY], "")
            .await
            .unwrap()
            .status,
        400
    );
    assert_eq!(
        call(&sandbox, "GET", path, &[ACCOUNT], "")
            .await
            .unwrap()
            .status,
        401
    );
}

#[tokio::test]
async fn v1_accepts_with_200_and_returns_recipients_only_on_request() {
    let sandbox = Sandbox::start().await;
    let mut body = v1();
    body["scheduled_at"] = json!("2026-12-24T09:30:00+01:00");
    let response = send(&sandbox, V1, &body).await;
    assert_eq!(response.status, 200);
    let shown = response.json();
    let message = sandbox.message_to("+31612345678").unwrap();
    assert_eq!(shown["id"], message.id);
    assert_eq!(shown["credits"], 1);
    assert_eq!(shown["reference"], "01J9Z8");
    assert_eq!(shown["scheduled_at"], "2026-12-24T08:30:00+00:00");
    assert_eq!(shown.get("recipients"), None);
    assert_eq!(
        message.send_at.unwrap().to_rfc3339(),
        "2026-12-24T08:30:00+00:00"
    );

    body["recipients"] = json!(["31612345678", "31687654321"]);
    for (fault, numbers) in [
        (None, vec!["31612345678", "31687654321"]),
        (Some(Fault::WrongOrder), vec!["31687654321", "31612345678"]),
        (Some(Fault::MissingEntry), vec!["31612345678"]),
    ] {
        if let Some(fault) = fault {
            sandbox.fault("spryng.send", fault);
        }
        let path = format!("{V1}?with%5B%5D=recipients");
        let shown = send(&sandbox, &path, &body).await.json();
        let shown = shown["recipients"].as_array().unwrap().iter();
        let shown: Vec<_> = shown.map(|one| one["number"].clone()).collect();
        assert_eq!(shown, numbers, "{fault:?}");
    }
    sandbox.fault("spryng.send", Fault::OkWithoutId);
    assert_eq!(send(&sandbox, V1, &body).await.json().get("id"), None);
    assert_eq!(sandbox.messages().len(), 9);
}

#[tokio::test]
async fn v1_refuses_with_422_and_the_field_or_redirects_a_browser() {
    let sandbox = Sandbox::start().await;
    for (field, value, named) in [
        ("body", Value::Null, "body"),
        ("body", json!("a".repeat(613)), "body"),
        ("encoding", json!("gsm"), "encoding"),
        ("originator", json!("TwelveLetter"), "originator"),
        ("originator", json!("123456789012345"), "originator"),
        ("recipients", json!([]), "recipients"),
        (
            "recipients",
            json!(["31687654321", "+31612345678"]),
            "recipients.1",
        ),
        ("reference", json!(""), "reference"),
        ("scheduled_at", json!("soon"), "scheduled_at"),
    ] {
        let mut body = v1();
        body[field] = value;
        let response = send(&sandbox, V1, &body).await;
        assert_eq!(response.status, 422, "{field}");
        assert!(response.json()["message"].is_string());
        assert!(response.json()["errors"].get(named).is_some(), "{field}");
    }
    let response = call(&sandbox, "POST", V1, &[JSON, BEARER], "{}")
        .await
        .unwrap();
    assert_eq!(
        (response.status, response.header("location")),
        (302, Some("/"))
    );
    let wrong = ("Authorization", "Bearer wrong");
    let response = call(&sandbox, "POST", V1, &[JSON, wrong], "{}")
        .await
        .unwrap();
    assert_eq!(
        (response.status, response.json()),
        (401, json!({"message": "Unauthenticated."}))
    );
    let response = call(&sandbox, "GET", "/spryng/v1/balance", &[BEARER], "")
        .await
        .unwrap();
    assert_eq!(response.json(), json!({"amount": 10.5}));
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn refusals_by_a_fault_have_the_shape_of_both_apis() {
    let sandbox = Sandbox::start().await;
    for (fault, of_v2, of_v1) in [
        (Fault::BadNumber, (400, "msisdn_invalid"), 422),
        (Fault::BadSender, (400, "sender_id_invalid"), 422),
        (Fault::Blocked, (400, "opted_out"), 422),
        (Fault::EchoText, (400, "validation_error"), 422),
        (Fault::NoCredit, (400, "insufficient_balance"), 402),
        (Fault::Unauthorized, (401, "UnauthenticatedError"), 401),
        (Fault::UnauthorizedOnce, (401, "UnauthenticatedError"), 401),
        (Fault::Throttle, (429, "too_many_requests"), 429),
    ] {
        sandbox.fault("spryng.send", fault).times(2).ms(5000);
        let answers = [
            send(&sandbox, V2, &v2()).await,
            send(&sandbox, V1, &v1()).await,
        ];
        assert_eq!(answers[0].status, of_v2.0, "{fault}");
        assert_eq!(
            answers[0].json()["errors"][0]["errorCode"],
            of_v2.1,
            "{fault}"
        );
        assert_eq!(answers[1].status, of_v1, "{fault}");
        for response in answers {
            let shown = response.json().to_string();
            let echoes = shown.contains("Hello") && shown.contains("+31612345678");
            assert_eq!(echoes, fault == Fault::EchoText, "{shown}");
            let wait = response.header("retry-after");
            assert_eq!(wait, (fault == Fault::Throttle).then_some("5"), "{fault}");
        }
    }
    assert!(sandbox.messages().is_empty());
}

#[tokio::test]
async fn v2_reports_in_pascal_case_without_a_signature() {
    let sandbox = Sandbox::start().await;
    send(&sandbox, V2, &v2()).await;
    for (status, word, reason) in [
        (ReportStatus::Delivered, "Delivered", "Delivered"),
        (ReportStatus::Failed, "Failed", "NetworkFailed"),
        (ReportStatus::Sent, "Sent", "EdgeSubmitted"),
    ] {
        let order = ReportOrder::new("01J9Z8", status);
        let report = sandbox.report(&order, TARGET).unwrap().remove(0);
        assert_eq!((report.url.as_str(), report.headers.len()), (TARGET, 1));
        let body: Value = serde_json::from_str(&report.body).unwrap();
        let one = &body["Messages"][0];
        assert_eq!(body["AccountReference"], "SPNL0000000");
        assert_eq!(one["MessageId"], sandbox.messages()[0].id);
        assert_eq!(
            (&one["Status"], &one["Reason"]),
            (&json!(word), &json!(reason))
        );
        assert_eq!(one["Msisdn"], "31612345678");
        assert_eq!(one["Metadata"], json!({"ref": "01J9Z8"}));
    }
    let mut bare = v2();
    bare["recipients"][0]["metaData"] = Value::Null;
    let id = send(&sandbox, V2, &bare).await.json()["data"]["messageIds"][0].clone();
    let order = ReportOrder::by_id(id.as_str().unwrap(), ReportStatus::Delivered);
    let report = sandbox.report(&order, TARGET).unwrap().remove(0);
    let body: Value = serde_json::from_str(&report.body).unwrap();
    assert_eq!(body["Messages"][0]["Metadata"], json!([]));
}

#[tokio::test]
async fn v1_reports_by_a_get_with_capitals() {
    let sandbox = Sandbox::start().await;
    send(&sandbox, V1, &v1()).await;
    for (status, number, reason) in [
        (ReportStatus::Delivered, "10", "0"),
        (ReportStatus::Failed, "20", "22"),
        (ReportStatus::Expired, "20", "20"),
    ] {
        let order = ReportOrder::new("01J9Z8", status);
        let report = sandbox.report(&order, TARGET).unwrap().remove(0);
        assert_eq!((report.method, report.headers.len()), ("GET", 0));
        let fields = form(
            report
                .url
                .strip_prefix(TARGET)
                .unwrap()
                .trim_start_matches('?'),
        );
        for (name, value) in [
            ("STATUS", number),
            ("REASONCODE", reason),
            ("REFERENCE", "01J9Z8"),
        ] {
            assert!(
                fields.contains(&(name.to_owned(), value.to_owned())),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn its_url_to_copy_holds_good_credentials_and_a_sender() {
    let sandbox = Sandbox::start().await;
    let host = authority(&sandbox);
    assert_eq!(
        sandbox.sms_url("spryng"),
        format!("spryng://sandbox@{host}/spryng?account=SPNL0000000&sender=Postduif")
    );
}

#[tokio::test]
async fn every_fault_leaves_behind_what_it_says() {
    assert_faults("spryng.send", CALLS).await;
}

/// A good request to each API.
const CALLS: &[GoodCall] = &[
    GoodCall {
        path: "/spryng/v2/messages",
        headers: &[JSON, ("X-Api-Key", "sandbox")],
        body: r#"{"accountReference": "SPNL0000000", "channel": "SMS", "from": "Acme",
            "body": {"text": "Hello"}, "recipients": [{"msisdn": "+31612345678"}]}"#,
    },
    GoodCall {
        path: "/spryng/v1/messages",
        headers: &[JSON, ("Authorization", "Bearer sandbox")],
        body: r#"{"body": "Hello", "originator": "Acme", "recipients": ["31612345678"]}"#,
    },
];
