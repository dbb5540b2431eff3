use std::time::Duration;

use postduif_core::{
    Acceptance::{NotAccepted, Unknown},
    ErrorKind::{
        Blocked, InsufficientBalance, InvalidRecipient, InvalidSender, InvalidText, Misconfigured,
        Other, Protocol, Throttled, Unauthorized, Unavailable,
    },
    Message, SmsProvider as _, Text,
};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::wire::{World, entries_body, failed, form, message, part, response_of};

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[tokio::test]
async fn a_send_is_made_as_documented() {
    let world = World::new(
        "key:secret@",
        "?sender=Acme&api=sms&report_url=https%3A%2F%2Fhooks.example.test%2Fdlr",
    )
    .await;
    let text = Text::new("Zoë, je code is 123456 ✓").unwrap();
    let message = Message::new("+31612345678".parse().unwrap(), text)
        .with_reference("01J9Z8".parse().unwrap())
        .with_validity(Duration::from_secs(1800));
    let request = world.sent(&message).await;
    assert_eq!(
        (request.method.as_str(), request.url.path()),
        ("POST", "/sms/json")
    );
    assert_eq!(request.url.query(), None);
    assert_eq!(request.headers["authorization"], "Basic a2V5OnNlY3JldA==");
    assert_eq!(
        request.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(
        form(&request.body),
        [
            pair("from", "Acme"),
            pair("to", "31612345678"),
            pair("text", "Zoë, je code is 123456 ✓"),
            pair("client-ref", "01J9Z8"),
            pair("type", "unicode"),
            pair("ttl", "1800000"),
            pair("callback", "https://hooks.example.test/dlr"),
        ]
    );
}

#[tokio::test]
async fn an_option_that_is_not_set_is_not_sent_and_the_gsm_tables_need_no_type() {
    let world = World::sms().await;
    for text in ["Your code is 123456", "€ [x] {y} ~ ^ | \\", "èéùìò Ç ß"] {
        let text = Text::new(text).unwrap();
        let request = world
            .sent(&Message::new("+31612345678".parse().unwrap(), text))
            .await;
        let fields = form(&request.body);
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["from", "to", "text", "client-ref"]);
    }
}

#[tokio::test]
async fn every_part_has_its_entry_and_the_receipt_sums_them() {
    let world = World::sms().await;
    let receipt = world
        .send(response_of(&[
            part("0C0000002C4D0001"),
            part("0C0000002C4D0002"),
        ]))
        .await
        .unwrap();
    assert_eq!(
        (receipt.provider(), receipt.id(), receipt.parts()),
        ("vonage", Some("0C0000002C4D0001"), Some(2))
    );
    assert_eq!(
        receipt.part_ids().collect::<Vec<_>>(),
        ["0C0000002C4D0001", "0C0000002C4D0002"]
    );
    assert_eq!(receipt.price().unwrap().to_string(), "0.1454 EUR");
    assert_eq!(receipt.reference(), message().reference());
}

#[tokio::test]
async fn an_acceptance_is_read_with_its_numbers_as_text_or_as_numbers() {
    let world = World::sms().await;
    let mut bare = json!({"to": "31612345678", "message-id": 7, "status": 0});
    for count in [json!("1"), json!(1), json!(null), json!("x"), json!(0)] {
        let body = json!({"message-count": count, "messages": [bare]});
        let receipt = world
            .send(ResponseTemplate::new(200).set_body_json(body))
            .await
            .unwrap();
        assert_eq!(
            (receipt.id(), receipt.parts(), receipt.price()),
            (Some("7"), Some(1), None)
        );
    }
    bare["message-price"] = json!("free");
    let receipt = world.send(response_of(&[part("1"), bare])).await.unwrap();
    assert_eq!((receipt.parts(), receipt.price()), (Some(2), None));
}

#[tokio::test]
async fn an_incomplete_acceptance_is_in_doubt() {
    let world = World::sms().await;
    let without = |name: &str| {
        let mut entry = part("1");
        entry.as_object_mut().unwrap().remove(name);
        entry
    };
    let mut foreign = part("1");
    foreign["client-ref"] = json!("another");
    for body in [
        entries_body(&[]),
        json!({"message-count": "0"}),
        json!({"message-count": "2", "messages": [part("1")]}),
        json!({"message-count": 3, "messages": [part("1"), part("2")]}),
        entries_body(&[part("1"), without("message-id")]),
        entries_body(&[part("")]),
        entries_body(&[foreign]),
        json!({"messages": {"status": "0"}}),
    ] {
        let response = ResponseTemplate::new(200).set_body_json(&body);
        world
            .assert_fails(response, (Protocol, Unknown), &body)
            .await;
    }
    for body in [
        entries_body(&[without("status")]),
        entries_body(&[json!(7)]),
        entries_body(&[json!({})]),
    ] {
        let response = ResponseTemplate::new(200).set_body_json(&body);
        world.assert_fails(response, (Other, Unknown), &body).await;
    }
    for status in [201, 202, 400, 404, 429] {
        let response = ResponseTemplate::new(status).set_body_json(entries_body(&[part("1")]));
        world
            .assert_fails(response, (Protocol, Unknown), &status)
            .await;
    }
    let failing = ResponseTemplate::new(500).set_body_json(entries_body(&[part("1")]));
    world
        .assert_fails(failing, (Unavailable, Unknown), &500)
        .await;
}

#[tokio::test]
async fn a_failure_inside_a_success_is_read_by_its_status() {
    let world = World::sms().await;
    for (code, kind, acceptance) in [
        ("1", Throttled, NotAccepted),
        ("2", Protocol, NotAccepted),
        ("3", Misconfigured, NotAccepted),
        ("4", Unauthorized, NotAccepted),
        ("5", Unavailable, Unknown),
        ("6", InvalidRecipient, NotAccepted),
        ("7", Blocked, NotAccepted),
        ("8", Unauthorized, NotAccepted),
        ("9", InsufficientBalance, NotAccepted),
        ("10", Throttled, NotAccepted),
        ("11", Misconfigured, NotAccepted),
        ("12", InvalidText, NotAccepted),
        ("13", Unavailable, Unknown),
        ("14", Unauthorized, NotAccepted),
        ("15", InvalidSender, NotAccepted),
        ("16", Misconfigured, NotAccepted),
        ("17", Blocked, NotAccepted),
        ("18", Protocol, NotAccepted),
        ("19", Misconfigured, NotAccepted),
        ("20", Misconfigured, NotAccepted),
        ("21", Other, Unknown),
        ("22", Misconfigured, NotAccepted),
        ("23", Misconfigured, NotAccepted),
        ("29", Misconfigured, NotAccepted),
        ("32", Misconfigured, NotAccepted),
        ("33", InvalidRecipient, NotAccepted),
        ("99", Other, Unknown),
        // "Invalid Account for Campaign", in a fixture of the PHP SDK.
        ("101", Other, Unknown),
    ] {
        // The same at the statuses that an SDK or other vendors suggest.
        for status in [200, 400, 401, 402, 403, 422] {
            let body = entries_body(&[failed(code, "words")]);
            let response = ResponseTemplate::new(status).set_body_json(body);
            let error = world
                .assert_fails(response, (kind, acceptance), &(status, code))
                .await;
            assert_eq!(error.code(), Some(code));
        }
        for status in [500, 503] {
            let body = entries_body(&[failed(code, "words")]);
            let response = ResponseTemplate::new(status).set_body_json(body);
            world
                .assert_fails(response, (Unavailable, Unknown), &(status, code))
                .await;
        }
    }
}

#[tokio::test]
async fn a_missing_or_invalid_parameter_is_read_by_its_name() {
    let world = World::sms().await;
    for (text, kind) in [
        ("Missing to param", Some(InvalidRecipient)),
        ("Missing from param", Some(InvalidSender)),
        ("Missing text param", Some(InvalidText)),
        ("Missing api_key param", Some(Unauthorized)),
        ("Missing api_secret param", Some(Unauthorized)),
        ("Missing: to", Some(InvalidRecipient)),
        ("Invalid value for param: from", Some(InvalidSender)),
        ("Invalid `text` parameter", Some(InvalidText)),
        ("to address is not numeric", Some(InvalidRecipient)),
        ("From address is not valid", Some(InvalidSender)),
        ("text is too long", Some(InvalidText)),
        ("Missing ttl param", None),
        ("To many of them", None),
        // Common words, not names.
        ("not allowed to send text from here", None),
        ("", None),
    ] {
        for (code, otherwise) in [("2", Protocol), ("3", Misconfigured)] {
            let outcome = (kind.unwrap_or(otherwise), NotAccepted);
            world
                .assert_fails(response_of(&[failed(code, text)]), outcome, &text)
                .await;
        }
        // For other codes the text is irrelevant.
        let outcome = (Blocked, NotAccepted);
        world
            .assert_fails(response_of(&[failed("7", text)]), outcome, &text)
            .await;
    }
}

#[tokio::test]
async fn the_delay_of_a_throttled_part_is_read_in_three_wordings() {
    let world = World::sms().await;
    let interval = |left: u32| {
        format!(
            "Exceeded maximum MT throughput[ MAX [ 30 ] INTERVAL [ 5000 ] COUNT [ 30 ] LAST INT-START [ 1 ]  \
             TIME_SINCE_LAST_INTERVAL_START [ {left} ]  ] "
        )
    };
    for (text, millis) in [
        (
            "Throughput Rate Exceeded - please wait [ 250 ] and retry",
            1000,
        ),
        (
            "Throughput Rate Exceeded - please wait [ 1800 ] and retry",
            1800,
        ),
        (
            "Throughput Rate Exceeded - please wait [ 31000 ] and retry",
            5000,
        ),
        ("Throughput Rate Exceeded - please wait and retry", 1000),
        (interval(529).as_str(), 4471),
        (interval(4900).as_str(), 1000),
        (interval(9000).as_str(), 1000),
        ("please wait [ soon ]", 1000),
        ("please wait [", 1000),
        ("", 1000),
    ] {
        let error = world.error(response_of(&[failed("1", text)])).await;
        assert_eq!(
            error.retry_after(),
            Some(Duration::from_millis(millis)),
            "{text}"
        );
        assert!(error.may_resend());
    }
    // A throttled entry may have more members, as in the PHP SDK's fixture.
    let entry = json!({"to": "31612345678", "status": "1", "error-text": "x", "network": "20408"});
    world
        .assert_fails(response_of(&[entry]), (Throttled, NotAccepted), &"")
        .await;
    let outcome = ResponseTemplate::new(429).insert_header("retry-after", "7");
    assert_eq!(
        world.error(outcome).await.retry_after(),
        Some(Duration::from_secs(7))
    );
}

#[tokio::test]
async fn accepted_parts_beside_refused_ones_are_in_doubt_and_never_repeated() {
    let world = World::sms().await;
    for (entries, kind, code) in [
        (
            vec![part("1"), failed("1", "please wait [ 250 ]")],
            Throttled,
            "1",
        ),
        (vec![failed("9", ""), part("2")], InsufficientBalance, "9"),
        (
            vec![part("1"), failed("7", ""), failed("1", "")],
            Blocked,
            "7",
        ),
        (vec![part("1"), failed("5", "")], Unavailable, "5"),
    ] {
        let error = world
            .assert_fails(response_of(&entries), (kind, Unknown), &entries)
            .await;
        assert_eq!(error.code(), Some(code));
        assert!(!error.may_resend() && !error.may_reroute());
    }
}

#[tokio::test]
async fn parts_that_all_failed_are_refused_if_each_proves_it() {
    let world = World::sms().await;
    let both = [failed("1", ""), failed("9", "")];
    world
        .assert_fails(response_of(&both), (Throttled, NotAccepted), &"")
        .await;
    for doubt in ["5", "13", "77", ""] {
        let entries = [failed("1", ""), failed(doubt, "")];
        world
            .assert_fails(response_of(&entries), (Throttled, Unknown), &doubt)
            .await;
    }
    let short = json!({"message-count": "2", "messages": [failed("1", "")]});
    let response = ResponseTemplate::new(200).set_body_json(short);
    world
        .assert_fails(response, (Throttled, Unknown), &"short")
        .await;
    for status in [201, 204] {
        let response =
            ResponseTemplate::new(status).set_body_json(entries_body(&[failed("9", "")]));
        let error = world.error(response).await;
        assert_eq!(error.acceptance(), Unknown, "{status}");
    }
}

#[tokio::test]
async fn vonages_other_error_shape_proves_a_refusal_and_a_foreign_one_does_not() {
    let world = World::sms().await;
    let body =
        |code: Value| json!({"error-code": code, "error-code-label": "authentication failed"});
    for (status, kind) in [
        (400, Protocol),
        (401, Unauthorized),
        (402, Unauthorized),
        (403, Unauthorized),
        (404, Misconfigured),
        (405, Misconfigured),
        (411, Misconfigured),
        (412, Protocol),
        (413, Misconfigured),
        (414, Misconfigured),
        (415, Misconfigured),
        (422, Protocol),
        (429, Throttled),
        (431, Misconfigured),
    ] {
        for code in [json!("401"), json!(401)] {
            let response = ResponseTemplate::new(status).set_body_json(body(code));
            world
                .assert_fails(response, (kind, NotAccepted), &status)
                .await;
        }
    }
    // Its code is not in the list, so it proves nothing at the statuses of a timeout.
    for status in [408, 409, 425, 499] {
        let response = ResponseTemplate::new(status).set_body_json(body(json!("420")));
        world
            .assert_fails(response, (Protocol, Unknown), &status)
            .await;
        for code in ["1", "9"] {
            let listed =
                ResponseTemplate::new(status).set_body_json(entries_body(&[failed(code, "x")]));
            world
                .assert_fails(listed, (Protocol, Unknown), &status)
                .await;
        }
        let unlisted =
            ResponseTemplate::new(status).set_body_json(entries_body(&[failed("77", "x")]));
        let error = world.error(unlisted).await;
        assert_eq!(error.acceptance(), Unknown, "{status}");
    }
    let challenge = ResponseTemplate::new(401).insert_header("www-authenticate", "Basic");
    world
        .assert_fails(challenge, (Unauthorized, NotAccepted), &401)
        .await;
    for foreign in [
        json!({"error-code": "401"}),
        json!({"error-code-label": "x"}),
        json!({"error-code": null, "error-code-label": "x"}),
        json!([]),
    ] {
        let response = ResponseTemplate::new(401).set_body_json(&foreign);
        world
            .assert_fails(response, (Protocol, Unknown), &foreign)
            .await;
    }
    // Observed on a sibling path.
    let page = ResponseTemplate::new(402)
        .set_body_raw("<html>Bad Account Credentials</html>", "text/html");
    world.assert_fails(page, (Protocol, Unknown), &402).await;
    let odd = ResponseTemplate::new(200).set_body_json(body(json!("401")));
    world.assert_fails(odd, (Protocol, Unknown), &200).await;
    let failing = ResponseTemplate::new(500).set_body_json(body(json!("500")));
    world
        .assert_fails(failing, (Unavailable, Unknown), &500)
        .await;
    let moved = ResponseTemplate::new(302).set_body_json(body(json!("401")));
    world.assert_fails(moved, (Protocol, Unknown), &302).await;
}

/// Vonage refuses with 200: at another status only its whole shape is its own.
#[tokio::test]
async fn a_refused_part_needs_the_whole_shape_unless_the_status_is_200() {
    let world = World::sms().await;
    let whole = entries_body(&[failed("9", "x")]);
    let without = |name: &str| {
        let mut body = whole.clone();
        body.as_object_mut().unwrap().remove(name);
        body["messages"][0].as_object_mut().unwrap().remove(name);
        body
    };
    let mut blank = whole.clone();
    blank["messages"][0]["error-text"] = json!(" ");
    for body in [without("message-count"), without("error-text"), blank] {
        for status in [400, 401, 402, 403, 412, 421, 422, 451] {
            let response = ResponseTemplate::new(status).set_body_json(&body);
            world
                .assert_fails(response, (Protocol, Unknown), &(status, &body))
                .await;
        }
        let response = ResponseTemplate::new(200).set_body_json(&body);
        world
            .assert_fails(response, (InsufficientBalance, NotAccepted), &body)
            .await;
        let response = ResponseTemplate::new(503).set_body_json(&body);
        world
            .assert_fails(response, (Unavailable, Unknown), &body)
            .await;
    }
    let outcome = (InsufficientBalance, NotAccepted);
    for status in [400, 401, 402, 403] {
        let response = ResponseTemplate::new(status).set_body_json(&whole);
        world.assert_fails(response, outcome, &status).await;
    }
}

#[tokio::test]
async fn a_response_of_2014_is_read_as_latin_1() {
    let world = World::sms().await;
    let body = b"{\"message-count\":\"1\",\"messages\":[{\"status\":\"15\",\"error-text\":\"Ill\xe9gal\"}]}";
    let response = ResponseTemplate::new(200)
        .set_body_raw(body.to_vec(), "application/json;charset=ISO-8859-1");
    world
        .assert_fails(response, (InvalidSender, NotAccepted), &"")
        .await;
}

#[tokio::test]
async fn a_refused_secret_is_not_tried_again() {
    let world = World::sms().await;
    let error = world
        .error(response_of(&[failed("4", "Bad Credentials")]))
        .await;
    assert!(!error.may_resend() && error.may_reroute());
    let outcomes = world.vonage.send_batch(&[message(), message()]).await;
    assert_eq!((outcomes.len(), outcomes.accepted()), (2, 0));
    assert_eq!(world.requests().await.len(), 3);
}
