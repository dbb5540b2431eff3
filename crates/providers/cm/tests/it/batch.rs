use std::collections::HashSet;

use postduif_core::{Acceptance, ErrorKind, Message, Outcomes, SmsProvider as _};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::path};

use super::wire::{accepted, calls, cm, message_of, rejected, responding, response};

const NUMBERS: [&str; 3] = ["+31612345678", "+31687654321", "+31600000003"];
const SENT: [&str; 3] = ["0031612345678", "0031687654321", "0031600000003"];

fn three() -> Vec<Message> {
    let references = ["a1", "b2", "c3"];
    references
        .iter()
        .zip(NUMBERS)
        .map(|(reference, to)| message_of(to, reference))
        .collect()
}

/// Summarizes each outcome: accepted, rejected with a code, or in doubt.
fn summary(outcomes: &Outcomes) -> Vec<&str> {
    outcomes
        .iter()
        .map(|outcome| match outcome {
            Ok(_) => "ok",
            Err(error) if error.acceptance() == Acceptance::Unknown => "doubt",
            Err(error) => error.code().unwrap_or("no"),
        })
        .collect()
}

/// Returns the outcomes of these messages, sent in one request with this response.
async fn outcomes(messages: &[Message], status: u16, code: u32, entries: &[Value]) -> Outcomes {
    let server = responding(response(status, code, entries)).await;
    let outcomes = cm(&server).send_batch(messages).await;
    assert_eq!(calls(&server).await.len(), 1);
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(error.provider(), Some("cm"));
    }
    outcomes
}

fn nameless(entry: Value) -> Value {
    let mut entry = entry;
    entry["reference"] = Value::Null;
    entry
}

#[tokio::test]
async fn every_entry_of_a_partial_success_is_read() {
    let entries = [
        accepted("a1", SENT[0]),
        rejected("b2", SENT[1], 303),
        accepted("c3", SENT[2]),
    ];
    let outcomes = outcomes(&three(), 200, 201, &entries).await;
    assert_eq!(summary(&outcomes), ["ok", "303", "ok"]);
    assert_eq!(
        outcomes[1].as_ref().unwrap_err().kind(),
        ErrorKind::InvalidRecipient
    );
    assert_eq!(outcomes[2].as_ref().unwrap().reference().as_str(), "c3");
}

#[tokio::test]
async fn a_400_with_entries_is_a_batch_of_rejected_messages() {
    let entries = [
        rejected("a1", SENT[0], 304),
        rejected("b2", SENT[1], 401),
        rejected("c3", SENT[2], 301),
    ];
    let outcomes = outcomes(&three(), 400, 201, &entries).await;
    assert_eq!(summary(&outcomes), ["304", "401", "301"]);
}

#[tokio::test]
async fn a_call_refused_as_a_whole_refuses_each_message() {
    assert_eq!(
        summary(&outcomes(&three(), 400, 101, &[]).await),
        ["101", "101", "101"]
    );
}

#[tokio::test]
async fn the_order_of_entries_is_irrelevant() {
    let entries = [
        accepted("c3", SENT[2]),
        rejected("a1", SENT[0], 304),
        accepted("b2", SENT[1]),
    ];
    assert_eq!(
        summary(&outcomes(&three(), 200, 201, &entries).await),
        ["304", "ok", "ok"]
    );
}

#[tokio::test]
async fn a_missing_message_is_in_doubt_and_a_foreign_entry_is_ignored() {
    let entries = [
        accepted("a1", SENT[0]),
        // A foreign reference is not replaced by the number or the position.
        accepted("zz", SENT[1]),
        accepted("", "0031611111111"),
    ];
    assert_eq!(
        summary(&outcomes(&three(), 200, 0, &entries).await),
        ["ok", "doubt", "doubt"]
    );
}

#[tokio::test]
async fn an_unreadable_entry_leaves_the_others() {
    let entries = [
        json!(null),
        accepted("b2", SENT[1]),
        json!({"reference": 7, "status": "Accepted"}),
    ];
    assert_eq!(
        summary(&outcomes(&three(), 200, 0, &entries).await),
        ["doubt", "ok", "doubt"]
    );
}

#[tokio::test]
async fn a_duplicate_entry_counts_once_and_two_that_differ_are_in_doubt() {
    let entries = [
        accepted("a1", SENT[0]),
        accepted("a1", SENT[0]),
        rejected("b2", SENT[1], 304),
        rejected("b2", SENT[1], 304),
        accepted("c3", SENT[2]),
        rejected("c3", SENT[2], 304),
    ];
    assert_eq!(
        summary(&outcomes(&three(), 200, 201, &entries).await),
        ["ok", "304", "doubt"]
    );
}

#[tokio::test]
async fn of_two_refusals_the_first_is_kept() {
    let entries = [
        rejected("a1", SENT[0], 301),
        rejected("a1", SENT[0], 304),
        rejected("b2", SENT[1], 304),
        rejected("c3", SENT[2], 304),
    ];
    assert_eq!(
        summary(&outcomes(&three(), 400, 201, &entries).await),
        ["301", "304", "304"]
    );
}

#[tokio::test]
async fn without_references_numbers_identify_the_messages() {
    let entries = [
        nameless(rejected("", SENT[2], 303)),
        nameless(accepted("", SENT[0])),
        nameless(accepted("", SENT[1])),
    ];
    assert_eq!(
        summary(&outcomes(&three(), 200, 201, &entries).await),
        ["ok", "ok", "303"]
    );
}

#[tokio::test]
async fn without_references_two_messages_to_one_number_are_in_doubt() {
    let mut messages = three();
    messages[2] = message_of(NUMBERS[0], "c3");
    for second in [accepted("", SENT[0]), rejected("", SENT[0], 304)] {
        let entries = [
            nameless(accepted("", SENT[0])),
            nameless(accepted("", SENT[1])),
            nameless(second),
        ];
        assert_eq!(
            summary(&outcomes(&messages, 200, 201, &entries).await),
            ["doubt", "ok", "doubt"]
        );
    }
    // The references distinguish them.
    let entries = [
        rejected("c3", SENT[0], 304),
        accepted("b2", SENT[1]),
        accepted("a1", SENT[0]),
    ];
    assert_eq!(
        summary(&outcomes(&messages, 200, 201, &entries).await),
        ["ok", "ok", "304"]
    );
}

#[tokio::test]
async fn position_alone_proves_nothing_in_a_batch() {
    let entries = vec![json!({"status": "Accepted", "messageErrorCode": 0}); 3];
    assert_eq!(
        summary(&outcomes(&three(), 200, 0, &entries).await),
        ["doubt", "doubt", "doubt"]
    );
}

#[tokio::test]
async fn swapped_references_and_numbers_leave_both_in_doubt() {
    let entries = [
        accepted("a1", SENT[1]),
        rejected("b2", SENT[0], 304),
        accepted("c3", SENT[2]),
    ];
    assert_eq!(
        summary(&outcomes(&three(), 200, 201, &entries).await),
        ["doubt", "doubt", "ok"]
    );
}

/// Rejects numbers that end in 9, and responds in reverse order.
fn by_number(request: &Request) -> ResponseTemplate {
    let body: Value = request.body_json().unwrap();
    let messages = body["messages"]["msg"].as_array().unwrap();
    let entries: Vec<_> = messages
        .iter()
        .rev()
        .map(|message| {
            let to = message["to"][0]["number"].as_str().unwrap();
            let reference = message["reference"].as_str().unwrap();
            if to.ends_with('9') {
                rejected(reference, to, 303)
            } else {
                accepted(reference, to)
            }
        })
        .collect();
    let all = |status| entries.iter().all(|entry| entry["status"] == status);
    match (all("Accepted"), all("Rejected")) {
        (true, _) => response(200, 0, &entries),
        (_, true) => response(400, 201, &entries),
        _ => response(200, 201, &entries),
    }
}

async fn responding_by_number() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(path("/v1.0/message"))
        .respond_with(by_number)
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_duplicate_reference_is_sent_in_two_calls_and_not_mixed_up() {
    let server = responding_by_number().await;
    let messages = [
        message_of("+31612345670", "a1"),
        message_of("+31612345679", "a1"),
        message_of("+31612345671", "b2"),
        message_of("+31612345672", "a1"),
        message_of("+31612345679", "b2"),
    ];
    let outcomes = cm(&server).send_batch(&messages).await;
    assert_eq!(summary(&outcomes), ["ok", "303", "ok", "ok", "303"]);
    let calls = calls(&server).await;
    let references = |call: &Value| {
        let messages = call["messages"]["msg"].as_array().unwrap();
        messages
            .iter()
            .map(|message| message["reference"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let references: Vec<_> = calls.iter().map(references).collect();
    assert_eq!(references, [vec!["a1", "b2"], vec!["a1", "b2"], vec!["a1"]]);
}

#[tokio::test]
async fn a_thousand_and_one_messages_are_two_calls() {
    let server = responding_by_number().await;
    let messages: Vec<_> = (0..1001)
        .map(|index| message_of(&format!("+3161234{index:04}"), &format!("r{index}")))
        .collect();
    let outcomes = cm(&server).send_batch(&messages).await;
    for (index, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_ok(), index % 10 != 9, "{index}");
    }
    let mut sizes: Vec<_> = calls(&server)
        .await
        .iter()
        .map(|call| call["messages"]["msg"].as_array().unwrap().len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1000]);
}

#[tokio::test]
async fn texts_senders_and_validities_differ_within_one_call() {
    let server = responding_by_number().await;
    let messages = [
        message_of(NUMBERS[0], "a1"),
        message_of(NUMBERS[1], "b2").with_sender("+31687654321".parse().unwrap()),
        message_of(NUMBERS[2], "c3").with_validity(std::time::Duration::from_secs(3600)),
    ];
    assert_eq!(cm(&server).send_batch(&messages).await.accepted(), 3);
    let calls = calls(&server).await;
    let members = |name: &str| {
        let messages = calls[0]["messages"]["msg"].as_array().unwrap();
        messages
            .iter()
            .map(|message| message.get(name).cloned().unwrap_or_default())
            .collect::<Vec<_>>()
    };
    assert_eq!(calls.len(), 1);
    assert_eq!(members("from"), ["Acme", "0031687654321", "Acme"]);
    assert_eq!(members("validity"), [json!(null), json!(null), json!("1h")]);
}

#[tokio::test]
async fn an_invalid_message_is_left_out_of_the_call() {
    let server = responding_by_number().await;
    let mut messages = three();
    messages[1] = messages[1]
        .clone()
        .with_validity(std::time::Duration::from_secs(1));
    let outcomes = cm(&server).send_batch(&messages).await;
    assert_eq!(summary(&outcomes), ["ok", "no", "ok"]);
    let error = outcomes[1].as_ref().unwrap_err();
    assert_eq!(
        (error.kind(), error.provider()),
        (ErrorKind::Unsupported, Some("cm"))
    );
    let calls = calls(&server).await;
    assert_eq!(calls[0]["messages"]["msg"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_batch_without_a_valid_message_makes_no_call() {
    let server = responding_by_number().await;
    let messages: Vec<_> = three()
        .into_iter()
        .map(|message| message.with_send_at(chrono::DateTime::UNIX_EPOCH))
        .collect();
    assert_eq!(
        summary(&cm(&server).send_batch(&messages).await),
        ["no", "no", "no"]
    );
    assert_eq!(calls(&server).await.len(), 0);
}

#[tokio::test]
async fn the_response_to_a_thousand_messages_may_be_long() {
    let server = MockServer::start().await;
    Mock::given(path("/v1.0/message"))
        .respond_with(|request: &Request| {
            let body: Value = request.body_json().unwrap();
            let messages = body["messages"]["msg"].as_array().unwrap();
            let entries: Vec<_> = messages
                .iter()
                .map(|message| {
                    let mut entry = rejected(
                        message["reference"].as_str().unwrap(),
                        message["to"][0]["number"].as_str().unwrap(),
                        304,
                    );
                    entry["messageDetails"] = "x".repeat(500).into();
                    entry
                })
                .collect();
            response(400, 201, &entries)
        })
        .mount(&server)
        .await;
    let messages: Vec<_> = (0..1000)
        .map(|index| message_of(NUMBERS[0], &format!("r{index}")))
        .collect();
    let outcomes = cm(&server).send_batch(&messages).await;
    let codes: HashSet<_> = summary(&outcomes).into_iter().collect();
    assert_eq!(codes, HashSet::from(["304"]));
}

/// The refusal of a request with too many messages.
fn too_many(how: &str) -> ResponseTemplate {
    match how {
        "413" => ResponseTemplate::new(413),
        "413 of a gateway" => ResponseTemplate::new(413).set_body_string("<html>"),
        _ => response(400, 203, &[]),
    }
}

/// A server that accepts requests of at most this many messages.
async fn taking(most: usize, refusal: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    let respond = move |request: &Request| {
        let body: Value = request.body_json().unwrap();
        if body["messages"]["msg"].as_array().unwrap().len() <= most {
            by_number(request)
        } else {
            refusal.clone()
        }
    };
    Mock::given(path("/v1.0/message"))
        .respond_with(respond)
        .mount(&server)
        .await;
    server
}

fn many(count: usize) -> Vec<Message> {
    (0..count)
        .map(|index| message_of(&format!("+3161234{index:04}"), &format!("r{index}")))
        .collect()
}

async fn sizes(server: &MockServer) -> Vec<usize> {
    let calls = calls(server).await;
    calls
        .iter()
        .map(|call| call["messages"]["msg"].as_array().unwrap().len())
        .collect()
}

#[tokio::test]
async fn a_batch_refused_for_its_size_is_split_and_each_message_accepted_once() {
    for how in ["413", "413 of a gateway", "203"] {
        let server = taking(3, too_many(how)).await;
        let outcomes = cm(&server).send_batch(&many(10)).await;
        for (index, outcome) in outcomes.iter().enumerate() {
            assert_eq!(outcome.is_ok(), index % 10 != 9, "{how}: {outcome:?}");
        }
        let mut sizes = sizes(&server).await;
        sizes.retain(|size| *size <= 3);
        assert_eq!(sizes.iter().sum::<usize>(), 10, "{how}");
    }
}

#[tokio::test]
async fn a_batch_that_is_always_too_large_is_refused_after_a_few_calls() {
    let server = taking(0, too_many("413")).await;
    let outcomes = cm(&server).send_batch(&many(1000)).await;
    for outcome in &outcomes {
        let error = outcome.as_ref().unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Misconfigured, Acceptance::NotAccepted)
        );
    }
    let calls = sizes(&server).await.len();
    assert!(calls <= 20, "{calls}");
}

#[tokio::test]
async fn a_thousand_messages_reach_a_server_with_a_limit_of_a_hundred() {
    let server = taking(100, too_many("413")).await;
    let outcomes = cm(&server).send_batch(&many(1000)).await;
    assert_eq!(outcomes.accepted(), 900);
}

#[tokio::test]
async fn only_a_proven_refusal_for_size_is_split() {
    for refusal in [
        response(400, 101, &[]),
        response(413, 101, &[]),
        response(400, 202, &[]),
        response(500, 203, &[]),
        response(302, 203, &[]),
        response(200, 203, &[]),
        // Not in CM's shape.
        ResponseTemplate::new(400).set_body_string(r#"{"errorCode":203}"#),
        ResponseTemplate::new(400).set_body_string(r#"{"errorCode":203,"messages":[]}"#),
        ResponseTemplate::new(400),
        ResponseTemplate::new(503),
    ] {
        let server = taking(0, refusal).await;
        let outcomes = cm(&server).send_batch(&many(4)).await;
        assert_eq!(outcomes.accepted(), 0);
        assert_eq!(sizes(&server).await, [4]);
    }
    // A message alone is not refused for the size of the batch.
    let server = taking(0, too_many("203")).await;
    cm(&server).send(&many(1)[0]).await.unwrap_err();
    assert_eq!(sizes(&server).await, [1]);
}

#[tokio::test]
async fn a_split_batch_keeps_its_refusals_and_its_duplicate_references() {
    let server = taking(2, too_many("413")).await;
    let mut messages = many(4);
    messages[1] = message_of("+31612345670", "r0");
    messages[2] = messages[2]
        .clone()
        .with_validity(std::time::Duration::from_secs(1));
    messages.push(message_of("+31612345671", "r0"));
    messages.push(message_of("+31612345679", "r9"));
    let outcomes = cm(&server).send_batch(&messages).await;
    assert_eq!(summary(&outcomes), ["ok", "ok", "no", "ok", "ok", "303"]);
    let accepted = calls(&server).await.into_iter().filter(|call| {
        let messages = call["messages"]["msg"].as_array().unwrap();
        messages.len() <= 2
    });
    let sent = accepted.flat_map(|call| call["messages"]["msg"].as_array().unwrap().clone());
    assert_eq!(sent.count(), 5);
}
