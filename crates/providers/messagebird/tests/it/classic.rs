use std::time::{Duration, SystemTime};

use postduif_core::{
    Acceptance::{NotAccepted, Unknown},
    Credentials, ErrorKind, Health, Message, SmsProvider as _, Text,
};
use postduif_messagebird::MessageBird;
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, header, method, path},
};

use super::wire::{Vendor, assert_rule_of_evidence, failure, message};

async fn vendor() -> Vendor {
    Vendor::start("messagebird://live_key@{}?sender=Acme", "/messages").await
}

fn response(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

/// Returns the response of the documentation's example, with these items.
fn created(items: &Value, total: u64, sent: u64) -> Value {
    json!({
        "id": "e8077d803532c0b5937c639b60216938",
        "href": "https://rest.messagebird.com/messages/e8077d803532c0b5937c639b60216938",
        "direction": "mt", "type": "sms", "originator": "Acme", "body": "...",
        "reference": "a1", "validity": null, "gateway": 10, "typeDetails": {},
        "datacoding": "plain", "mclass": 1, "scheduledDatetime": null,
        "createdDatetime": "2026-01-01T10:00:00+00:00",
        "recipients": {
            "totalCount": total, "totalSentCount": sent, "totalDeliveredCount": 0,
            "totalDeliveryFailedCount": 0, "items": items
        }
    })
}

fn item(status: &str) -> Value {
    json!({
        "recipient": 31_612_345_678_u64, "status": status,
        "statusDatetime": "2026-01-01T10:00:00+00:00", "messagePartCount": 3
    })
}

fn errors(faults: &[(i64, Value)]) -> Value {
    let faults = faults.iter().map(|(code, parameter)| {
        json!({"code": code, "description": "no 123456", "parameter": parameter})
    });
    json!({"errors": faults.collect::<Vec<_>>()})
}

#[tokio::test]
async fn a_send_is_made_as_documented() {
    let server = MockServer::start().await;
    let at = chrono::DateTime::<chrono::Utc>::from(SystemTime::now() + Duration::from_secs(86_400));
    Mock::given(method("POST"))
        .and(path("/messages"))
        .and(header("authorization", "AccessKey live_key"))
        .and(header("accept", "application/json"))
        .and(header("content-type", "application/json"))
        .and(body_json(json!({
            "originator": "Acme", "recipients": ["31612345678"], "body": "Your code is 123456",
            "datacoding": "plain", "reference": "a1",
            "reportUrl": "https://hooks.example.test/mb/dlr", "validity": 1800,
            "scheduledDatetime": at.format("%Y-%m-%dT%H:%M:%S+00:00").to_string()
        })))
        .respond_with(response(201, &created(&json!([item("scheduled")]), 1, 0)))
        .expect(1)
        .mount(&server)
        .await;
    let url = format!(
        "messagebird://live_key@{}?sender=Acme&report_url=https://hooks.example.test/mb/dlr",
        server.address()
    );
    let message = message()
        .with_validity(Duration::from_secs(1800))
        .with_send_at(at);
    let bird = MessageBird::from_url(&url).unwrap();
    let receipt = bird.send(&message).await.unwrap();
    assert_eq!(receipt.id(), Some("e8077d803532c0b5937c639b60216938"));
    assert_eq!((receipt.parts(), receipt.price()), (Some(3), None));
}

/// Sends one message, and returns it in the wire format.
async fn sent(vendor: &Vendor, message: &Message) -> Value {
    let good = response(201, &created(&json!([item("sent")]), 1, 1));
    vendor.send_with(message, good).await.unwrap();
    vendor.calls().await[0].body_json().unwrap()
}

#[tokio::test]
async fn an_option_that_is_not_set_is_not_sent_but_the_encoding_and_the_reference_always_are() {
    let body = sent(&vendor().await, &message()).await;
    let names: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        [
            "body",
            "datacoding",
            "originator",
            "recipients",
            "reference"
        ]
    );
}

#[tokio::test]
async fn the_encoding_is_the_one_that_the_text_needs() {
    let vendor = vendor().await;
    for (text, coding) in [
        ("Your code is 482913", "plain"),
        ("€ {5} [x] ~ ñ", "plain"),
        ("ж", "unicode"),
        ("naïve", "unicode"),
        ("👋", "unicode"),
        ("“quoted”", "unicode"),
    ] {
        let message = Message::new(message().to(), Text::new(text).unwrap())
            .with_reference("a1".parse().unwrap());
        assert_eq!(
            sent(&vendor, &message).await["datacoding"],
            coding,
            "{text}"
        );
    }
}

#[tokio::test]
async fn senders_have_classics_format() {
    let vendor = vendor().await;
    for (sender, originator) in [
        ("Contoso", "Contoso"),
        ("My Shop", "My Shop"),
        ("+31687654321", "31687654321"),
    ] {
        let message = message().with_sender(sender.parse().unwrap());
        assert_eq!(sent(&vendor, &message).await["originator"], originator);
    }
}

#[tokio::test]
async fn an_unsupported_message_is_refused_before_any_call() {
    let vendor = vendor().await;
    vendor.mount(response(201, &json!({}))).await;
    let far = SystemTime::now() + Duration::from_secs(36 * 86_400);
    let text = |text: String| Message::new(message().to(), Text::new(text).unwrap());
    for (message, kind) in [
        (
            message().with_sender("inbox".parse().unwrap()),
            ErrorKind::InvalidSender,
        ),
        (
            message().with_sender("Inbox".parse().unwrap()),
            ErrorKind::InvalidSender,
        ),
        (
            message().with_sender("1008".parse().unwrap()),
            ErrorKind::Unsupported,
        ),
        (
            message().with_validity(Duration::ZERO),
            ErrorKind::Unsupported,
        ),
        (
            message().with_validity(Duration::from_secs(604_801)),
            ErrorKind::Unsupported,
        ),
        (message().with_send_at(far.into()), ErrorKind::Unsupported),
        (text("x".repeat(9 * 153 + 1)), ErrorKind::InvalidText),
        (text("ж".repeat(9 * 67 + 1)), ErrorKind::InvalidText),
    ] {
        let error = vendor.bird.send(&message).await.unwrap_err();
        assert_eq!((error.kind(), error.acceptance()), (kind, NotAccepted));
    }
    assert_eq!(vendor.calls().await.len(), 0);
}

#[tokio::test]
async fn a_success_is_read_with_200_201_and_202_and_in_any_form_of_the_number() {
    let vendor = vendor().await;
    for status in [200, 201, 202] {
        for number in [
            json!(31_612_345_678_u64),
            json!("31612345678"),
            json!("+31612345678"),
        ] {
            for word in ["sent", "scheduled", "buffered", "delivered", "something"] {
                let mut item = item(word);
                item["recipient"] = number.clone();
                item["price"] = json!({"amount": 0.07, "currency": "EUR"});
                let body = created(&json!([item, item]), 1, 1);
                let receipt = vendor.send(response(status, &body)).await.unwrap();
                assert_eq!(receipt.parts(), Some(3));
                assert_eq!(receipt.price().unwrap().to_string(), "0.07 EUR");
            }
        }
    }
}

#[tokio::test]
async fn a_number_missing_in_the_response_was_refused_only_if_no_recipient_is_counted() {
    let vendor = vendor().await;
    let other = json!({"recipient": 31_687_654_321_u64, "status": "sent", "messagePartCount": 1});
    let without = |name: &str| {
        let mut body = created(&json!([]), 0, 0);
        body["recipients"].as_object_mut().unwrap().remove(name);
        body
    };
    let mut no_recipients = created(&json!([]), 0, 0);
    no_recipients.as_object_mut().unwrap().remove("recipients");
    let mut null_recipients = no_recipients.clone();
    null_recipients["recipients"] = json!(null);
    let proven = (ErrorKind::InvalidRecipient, NotAccepted);
    let doubt = (ErrorKind::Protocol, Unknown);
    for (body, expected) in [
        (created(&json!([]), 0, 0), proven),
        (without("totalSentCount"), proven),
        (without("totalCount"), doubt),
        (without("items"), doubt),
        (created(&json!(null), 0, 0), doubt),
        (created(&json!([]), 1, 0), doubt),
        (created(&json!([]), 0, 1), doubt),
        (created(&json!([other]), 1, 1), doubt),
        (created(&json!([other]), 0, 0), doubt),
        (created(&json!([7]), 1, 1), doubt),
        (no_recipients, doubt),
        (null_recipients, doubt),
    ] {
        assert_eq!(
            vendor.outcome(response(201, &body)).await,
            expected,
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_success_without_an_id_is_in_doubt() {
    let vendor = vendor().await;
    for id in [json!(null), json!(""), json!(7), json!("x".repeat(257))] {
        for items in [json!([item("sent")]), json!([])] {
            let mut body = created(&items, 0, 0);
            body["id"] = id.clone();
            let outcome = vendor.outcome(response(201, &body)).await;
            assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{body}");
        }
    }
}

#[tokio::test]
async fn a_failed_item_is_in_doubt_with_the_networks_reason() {
    let vendor = vendor().await;
    for (code, reason, kind) in [
        (json!(1), "unknown subscriber", ErrorKind::InvalidRecipient),
        (json!(2), "", ErrorKind::InvalidRecipient),
        (json!(3), "", ErrorKind::InvalidRecipient),
        (json!(5), "", ErrorKind::InvalidRecipient),
        (json!(6), "unavailable subscriber", ErrorKind::Other),
        (json!(27), "", ErrorKind::Other),
        (json!(7), "", ErrorKind::InvalidRecipient),
        (json!(9), "", ErrorKind::InvalidRecipient),
        (json!(12), "", ErrorKind::InvalidRecipient),
        (json!(8), "", ErrorKind::Other),
        (json!(10), "", ErrorKind::InvalidRecipient),
        (json!(11), "", ErrorKind::InvalidRecipient),
        (json!(13), "", ErrorKind::Blocked),
        (json!(21), "", ErrorKind::InvalidRecipient),
        (json!(31), "", ErrorKind::Other),
        (json!(32), "", ErrorKind::Other),
        (json!(33), "", ErrorKind::Other),
        (json!(34), "received network error", ErrorKind::Unavailable),
        (json!(35), "", ErrorKind::Unavailable),
        (json!(36), "", ErrorKind::Unavailable),
        (json!(51), "carrier rejected", ErrorKind::Other),
        (json!(72), "", ErrorKind::Other),
        (json!(103), "", ErrorKind::Blocked),
        (json!(104), "carrier rejected", ErrorKind::InvalidSender),
        (json!(105), "Carrier Rejected", ErrorKind::Blocked),
        (json!(105), "unknown subscriber", ErrorKind::Other),
        (
            json!(null),
            "unknown_subscriber",
            ErrorKind::InvalidRecipient,
        ),
        (json!(null), "carrier rejected", ErrorKind::Blocked),
        (json!(null), "something else", ErrorKind::Other),
    ] {
        let mut failed = item("delivery_failed");
        failed["statusErrorCode"] = code.clone();
        failed["statusReason"] = json!(reason);
        let body = created(&json!([item("sent"), failed]), 1, 1);
        let error = vendor.error(response(201, &body)).await;
        assert_eq!(
            (error.kind(), error.acceptance()),
            (kind, Unknown),
            "{code} {reason}"
        );
        let kept = code.as_u64().map(|code| code.to_string());
        assert_eq!(error.code(), kept.as_deref());
    }
    let body = created(&json!([item("expired")]), 1, 1);
    assert_eq!(
        vendor.outcome(response(201, &body)).await,
        (ErrorKind::Other, Unknown)
    );
}

#[tokio::test]
async fn every_row_of_the_table_is_read_by_code_and_parameter() {
    use ErrorKind::{
        InsufficientBalance, InvalidRecipient, InvalidSender, InvalidText, Misconfigured,
        Unauthorized,
    };
    let vendor = vendor().await;
    for (code, parameter, kind, statuses) in [
        (2, json!("access_key"), Unauthorized, vec![401, 403]),
        (9, json!("recipient"), InvalidRecipient, vec![422, 400]),
        (9, json!("recipients"), InvalidRecipient, vec![422, 400]),
        (9, json!("originator"), InvalidSender, vec![422, 400]),
        (9, json!("body"), InvalidText, vec![422, 400]),
        (9, json!("datacoding"), Misconfigured, vec![422]),
        (9, json!(null), Misconfigured, vec![422]),
        (10, json!("recipient"), InvalidRecipient, vec![422, 400]),
        (10, json!("recipients"), InvalidRecipient, vec![422]),
        (10, json!("originator"), InvalidSender, vec![422, 400]),
        (10, json!("body"), InvalidText, vec![422]),
        (10, json!("datacoding"), InvalidText, vec![422]),
        (10, json!("validity"), Misconfigured, vec![422]),
        (10, json!("scheduledDatetime"), Misconfigured, vec![422]),
        (10, json!("reportUrl"), Misconfigured, vec![422]),
        (10, json!(7), Misconfigured, vec![422]),
        (20, json!(null), Misconfigured, vec![404]),
        (21, json!(null), Misconfigured, vec![400, 422]),
        (25, json!(null), InsufficientBalance, vec![422, 402, 400]),
        (98, json!(null), Misconfigured, vec![404, 405]),
    ] {
        for status in statuses {
            let body = errors(&[(code, parameter.clone())]);
            let error = vendor.error(response(status, &body)).await;
            let outcome = (error.kind(), error.acceptance());
            assert_eq!(outcome, (kind, NotAccepted), "{status} {body}");
            assert_eq!(error.code(), Some(code.to_string().as_str()));
            assert!(!format!("{error:?} {error}").contains("123456"));
        }
        let outcome = vendor
            .outcome(response(500, &errors(&[(code, parameter)])))
            .await;
        assert_eq!(outcome, (ErrorKind::Unavailable, Unknown), "500 {code}");
    }
}

#[tokio::test]
async fn the_vendors_own_failure_is_in_doubt_at_any_status_and_beside_any_error() {
    let vendor = vendor().await;
    for status in [400, 422, 500, 503] {
        for faults in [
            vec![(99, json!(null))],
            vec![(9, json!("recipient")), (99, json!(null))],
            vec![(99, json!(null)), (25, json!(null))],
        ] {
            let error = vendor.error(response(status, &errors(&faults))).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Unavailable, Unknown)
            );
            assert_eq!(error.code(), Some("99"));
        }
    }
    let outcome = vendor
        .outcome(response(404, &errors(&[(99, json!(null))])))
        .await;
    assert_eq!(outcome, (ErrorKind::Misconfigured, NotAccepted));
}

#[tokio::test]
async fn of_several_errors_the_balance_counts_first_then_the_first_known() {
    let vendor = vendor().await;
    let missing = |name: &str| (9, json!(name));
    for (faults, kind, code) in [
        (
            vec![missing("recipient"), (25, json!(null))],
            ErrorKind::InsufficientBalance,
            "25",
        ),
        (
            vec![(77, json!(null)), missing("originator")],
            ErrorKind::InvalidSender,
            "9",
        ),
        (
            vec![missing("body"), missing("originator")],
            ErrorKind::InvalidText,
            "9",
        ),
    ] {
        let error = vendor.error(response(400, &errors(&faults))).await;
        assert_eq!(
            (error.kind(), error.acceptance()),
            (kind, NotAccepted),
            "{faults:?}"
        );
        assert_eq!(error.code(), Some(code), "{faults:?}");
    }
}

#[tokio::test]
async fn an_unlisted_code_or_one_with_another_status_is_in_doubt() {
    let vendor = vendor().await;
    for (code, statuses) in [
        (77, vec![400, 401, 403, 412, 422]),
        (1003, vec![400, 403, 421, 422]),
        (2, vec![400, 412, 421, 422]),
        (9, vec![401, 403, 412, 421, 451]),
        (10, vec![401, 403, 412, 421, 451]),
        (25, vec![401, 403, 421]),
    ] {
        for status in statuses {
            let body = errors(&[(code, json!("recipient"))]);
            let outcome = vendor.outcome(response(status, &body)).await;
            assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{status} {code}");
        }
    }
}

#[tokio::test]
async fn too_many_calls_are_throttled_with_any_code() {
    let vendor = vendor().await;
    let throttled = response(429, &errors(&[(77, json!(null))])).insert_header("retry-after", "3");
    let error = vendor.error(throttled).await;
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Throttled, NotAccepted)
    );
    assert_eq!(error.retry_after().unwrap().as_secs(), 3);
}

#[tokio::test]
async fn only_evidence_counts() {
    let vendor = vendor().await;
    assert_rule_of_evidence(&vendor).await;
    for body in [
        json!({"errors": []}),
        json!({"errors": "no"}),
        json!({"errors": [{"description": "no"}]}),
        json!({"errors": [{"code": 9, "parameter": "recipient"}]}),
        json!({"errors": [{"code": 9, "description": " "}]}),
        json!({"errors": [{"code": 9, "description": 7}]}),
        json!({"errors": [{"code": 9, "description": "no"}, {"code": 9}]}),
        json!({"errors": [{"code": "9", "parameter": "recipient"}]}),
        json!({"errors": [{"code": 9}, {"message": "no"}]}),
        json!({"errors": {"code": 9}}),
        json!({"error": {"type": "validation_error", "code": "E01001"}}),
        json!({"code": 9, "description": "no"}),
    ] {
        for status in [400, 401, 402, 403, 408, 409, 421, 422, 425] {
            let outcome = vendor.outcome(response(status, &body)).await;
            assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{status} {body}");
        }
    }
}

#[tokio::test]
async fn at_the_statuses_of_a_timeout_no_code_is_a_refusal() {
    let vendor = vendor().await;
    for status in [408, 409, 425, 499] {
        let unlisted = response(status, &errors(&[(77, json!(null))]));
        assert_eq!(
            vendor.outcome(unlisted).await,
            (ErrorKind::Protocol, Unknown)
        );
        let listed = response(status, &errors(&[(9, json!("recipient"))]));
        let outcome = vendor.outcome(listed).await;
        assert_eq!(outcome, (ErrorKind::Protocol, Unknown), "{status}");
    }
}

#[tokio::test]
async fn a_check_requests_the_balance() {
    let vendor = vendor().await;
    for (payment, unit, amount, balance) in [
        ("prepaid", "euros", json!(42.5), Some("42.5 EUR")),
        ("prepaid", "euros", json!("3"), Some("3 EUR")),
        ("prepaid", "credits", json!(42.5), None),
        ("prepaid", "pounds", json!(42.5), None),
        ("postpaid", "euros", json!(0), None),
        ("prepaid", "euros", json!(null), None),
    ] {
        let body = json!({"payment": payment, "type": unit, "amount": amount});
        vendor.mount_get("/balance", response(200, &body)).await;
        let health = vendor.bird.check().await.unwrap();
        let outcome = health.balance().map(|price| price.to_string());
        assert_eq!(outcome.as_deref(), balance, "{body}");
        assert_eq!(health.credentials(), Credentials::Verified);
        let call = &vendor.calls().await[0];
        assert_eq!(call.headers["authorization"], "AccessKey live_key");
    }
    for (given, kind) in [
        (
            response(401, &errors(&[(2, json!("access_key"))])),
            ErrorKind::Unauthorized,
        ),
        (
            response(401, &json!({"message": "no"})),
            ErrorKind::Protocol,
        ),
        (response(200, &json!({"ok": true})), ErrorKind::Protocol),
    ] {
        vendor.mount_get("/balance", given).await;
        let error = failure(vendor.bird.check().await);
        assert_eq!(
            (error.kind(), error.provider()),
            (kind, Some("messagebird"))
        );
    }
    assert_ne!(Health::verified(), Health::unknown());
}

#[tokio::test]
async fn a_batch_is_a_call_for_each() {
    let vendor = vendor().await;
    vendor
        .mount(response(201, &created(&json!([item("sent")]), 1, 1)))
        .await;
    let outcomes = vendor.bird.send_batch(&vec![message(); 20]).await;
    assert_eq!(outcomes.accepted(), 20);
    assert_eq!(vendor.calls().await.len(), 20);
}
