//! The promises of the platform's batches, tested against a vendor that counts what it accepts.

use std::sync::{Arc, Mutex};

use postduif_core::{Acceptance, Message, Outcomes, SmsProvider as _};
use postduif_messagebird::MessageBird;
use postduif_testkit::{HttpRequest, Reply, Server};
use serde_json::{Value, json};

use super::{
    platform::{accepted, fault},
    wire::message_of,
};

fn messages(count: usize) -> Vec<Message> {
    (0..count)
        .map(|index| message_of(&format!("+3161234{index:04}"), &format!("r{index}")))
        .collect()
}

/// A server, the references of the messages that it accepted, and the sizes of its calls, 0 for a single send.
struct Platform {
    server: Server,
    received: Arc<Mutex<Vec<String>>>,
}

fn entries(request: &HttpRequest) -> (Vec<Value>, bool) {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    match body.get("messages") {
        Some(messages) => (messages.as_array().unwrap().clone(), true),
        None => (vec![body], false),
    }
}

fn reference(entry: &Value) -> String {
    entry["metadata"]["reference"].as_str().unwrap().to_owned()
}

impl Platform {
    /// Starts a server that responds with what `judge` returns for the references of a call, or accepts them if that is
    /// `None`.
    async fn start(judge: impl Fn(&[String]) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let server = Server::start({
            let received = Arc::clone(&received);
            move |request| {
                let (entries, is_batch) = entries(request);
                let references: Vec<_> = entries.iter().map(reference).collect();
                if let Some(refused) = judge(&references) {
                    return refused;
                }
                received.lock().unwrap().extend(references);
                let outcome =
                    |entry: &Value| accepted(&reference(entry), entry["to"].as_str().unwrap());
                let data: Vec<_> = entries.iter().map(outcome).collect();
                let body = if is_batch {
                    json!({"data": data, "summary": {"accepted_count": data.len()}})
                } else {
                    data[0].clone()
                };
                Reply::json(202, body.to_string())
            }
        })
        .await;
        Self { server, received }
    }

    async fn send(&self, messages: &[Message]) -> Outcomes {
        let host = self.server.address();
        let url = format!("messagebird://bk_eu1_key@{host}?sender=Acme");
        let bird = MessageBird::from_url(&url).unwrap();
        let outcomes = bird.send_batch(messages).await;
        for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert_eq!(error.provider(), Some("messagebird"));
            assert!(!format!("{error:?} {error}").contains("123456"));
        }
        outcomes
    }

    fn received(&self) -> Vec<String> {
        let mut received = self.received.lock().unwrap().clone();
        received.sort();
        received
    }

    fn sizes(&self) -> Vec<usize> {
        let size = |request: &HttpRequest| match entries(request) {
            (entries, true) => entries.len(),
            (_, false) => 0,
        };
        self.server.requests().iter().map(size).collect()
    }

    fn keys(&self) -> Vec<String> {
        let requests = self.server.requests();
        let key = |request: &HttpRequest| request.header("idempotency-key").unwrap().to_owned();
        requests.iter().map(key).collect()
    }
}

fn summary(outcomes: &Outcomes) -> Vec<&str> {
    outcomes
        .iter()
        .map(|outcome| match outcome {
            Ok(_) => "ok",
            Err(error) if error.acceptance() == Acceptance::Unknown => "doubt",
            Err(error) => error.kind().as_str(),
        })
        .collect()
}

/// Returns a refusal that names these fields, as paths.
fn refuse(params: &[String]) -> Reply {
    let mut body = fault(
        "validation_error",
        json!("E01001"),
        json!("ValidationError"),
    );
    let details = params
        .iter()
        .map(|param| json!({"param": param, "message": "no"}));
    body["error"]["details"] = details.collect();
    Reply::json(422, body.to_string())
}

/// Returns the indices, in a call, of the invalid references.
fn bad(references: &[String], bad: &[&str]) -> Vec<usize> {
    let indices = references.iter().enumerate();
    indices
        .filter(|(_, reference)| bad.contains(&reference.as_str()))
        .map(|(index, _)| index)
        .collect()
}

#[tokio::test]
async fn a_hundred_and_one_messages_are_two_calls() {
    let platform = Platform::start(|_| None).await;
    let messages = messages(101);
    let outcomes = platform.send(&messages).await;
    for (message, outcome) in messages.iter().zip(&outcomes) {
        let receipt = outcome.as_ref().unwrap();
        assert_eq!(receipt.reference(), message.reference());
        assert!(
            receipt
                .id()
                .unwrap()
                .ends_with(message.reference().as_str())
        );
        assert_eq!(receipt.parts(), Some(2));
    }
    let mut sizes = platform.sizes();
    sizes.sort_unstable();
    assert_eq!(sizes, [0, 100]);
    assert_eq!(platform.received().len(), 101);
}

#[tokio::test]
async fn a_batch_refused_for_one_entry_is_sent_again_once_without_it() {
    for path in ["messages[{}].to", "messages.{}.to", "[{}].to"] {
        let platform = Platform::start(move |references| {
            let bad = bad(references, &["r2"]);
            let path = |index: &usize| path.replace("{}", &index.to_string());
            (!bad.is_empty()).then(|| refuse(&bad.iter().map(path).collect::<Vec<_>>()))
        })
        .await;
        let outcomes = platform.send(&messages(4)).await;
        assert_eq!(
            summary(&outcomes),
            ["ok", "ok", "invalid_recipient", "ok"],
            "{path}"
        );
        assert_eq!(outcomes[2].as_ref().unwrap_err().code(), Some("E01001"));
        assert_eq!(platform.sizes(), [4, 3]);
        assert_eq!(platform.received(), ["r0", "r1", "r3"]);
    }
}

#[tokio::test]
async fn the_entry_may_be_named_by_the_refusal_itself_and_by_a_name_of_the_table() {
    let platform = Platform::start(|references| {
        let bad = bad(references, &["r1"]);
        let mut body = fault(
            "validation_error",
            json!("E2"),
            json!("SMSSenderNotConfigured"),
        );
        body["error"]["param"] = json!(format!("messages[{}].from", bad.first()?));
        Some(Reply::json(422, body.to_string()))
    })
    .await;
    let outcomes = platform.send(&messages(3)).await;
    assert_eq!(summary(&outcomes), ["ok", "invalid_sender", "ok"]);
    assert_eq!(platform.sizes(), [3, 2]);
}

#[tokio::test]
async fn a_batch_refused_for_several_entries_is_sent_again_once_without_them() {
    let platform = Platform::start(|references| {
        let bad = bad(references, &["r0", "r3", "r4"]);
        let fields = ["to", "text", "category"];
        let path = |(index, field): (&usize, &str)| format!("messages[{index}].{field}");
        (!bad.is_empty()).then(|| refuse(&bad.iter().zip(fields).map(path).collect::<Vec<_>>()))
    })
    .await;
    let outcomes = platform.send(&messages(5)).await;
    let expected = [
        "invalid_recipient",
        "ok",
        "ok",
        "invalid_text",
        "misconfigured",
    ];
    assert_eq!(summary(&outcomes), expected);
    assert_eq!(platform.sizes(), [5, 2]);
    assert_eq!(platform.received(), ["r1", "r2"]);
}

#[tokio::test]
async fn entries_named_one_after_the_other_are_removed_one_by_one() {
    let platform = Platform::start(|references| {
        let bad = bad(references, &["r1", "r3"]);
        let first = format!("messages[{}].to", bad.first()?);
        Some(refuse(&[first]))
    })
    .await;
    let outcomes = platform.send(&messages(5)).await;
    assert_eq!(
        summary(&outcomes),
        ["ok", "invalid_recipient", "ok", "invalid_recipient", "ok"]
    );
    assert_eq!(platform.sizes(), [5, 4, 3]);
    assert_eq!(platform.received(), ["r0", "r2", "r4"]);
}

#[tokio::test]
async fn a_vendor_that_names_an_entry_each_time_ends_the_batch() {
    let platform = Platform::start(|_| Some(refuse(&["messages[0].to".to_owned()]))).await;
    let outcomes = platform.send(&messages(4)).await;
    assert_eq!(platform.sizes(), [4, 3, 2, 0]);
    assert_eq!(summary(&outcomes)[..3], ["invalid_recipient"; 3]);
    assert!(
        outcomes.iter().all(|outcome| {
            outcome.as_ref().unwrap_err().acceptance() == Acceptance::NotAccepted
        })
    );
}

#[tokio::test]
async fn a_batch_refused_for_an_unnamed_entry_is_sent_singly() {
    for params in [
        vec![],
        vec!["to"],
        vec!["messages[7].to"],
        vec!["messages[x].to"],
        vec!["messages"],
    ] {
        let platform = Platform::start(move |references| {
            let bad = bad(references, &["r1"]);
            let alone = references.len() == 1;
            let params = if alone {
                vec!["to".to_owned()]
            } else {
                params.iter().map(|param| (*param).to_owned()).collect()
            };
            (!bad.is_empty()).then(|| refuse(&params))
        })
        .await;
        let outcomes = platform.send(&messages(3)).await;
        assert_eq!(summary(&outcomes), ["ok", "invalid_recipient", "ok"]);
        let sizes = platform.sizes();
        assert_eq!(sizes, [3, 0, 0, 0]);
        assert_eq!(platform.received(), ["r0", "r2"]);
    }
}

#[tokio::test]
async fn a_batch_that_is_too_long_for_the_vendor_is_sent_singly() {
    let platform =
        Platform::start(|references| (references.len() > 1).then(|| Reply::html(413))).await;
    assert_eq!(
        summary(&platform.send(&messages(3)).await),
        ["ok", "ok", "ok"]
    );
    assert_eq!(platform.sizes(), [3, 0, 0, 0]);
}

#[tokio::test]
async fn a_batch_refused_as_a_whole_is_not_tried_again() {
    for (status, kind, code, expected) in [
        (401, "auth_error", "E1", "unauthorized"),
        (402, "billing_error", "E1", "insufficient_balance"),
        (403, "permission_error", "E1", "unauthorized"),
        (421, "misdirected_error", "E1", "misconfigured"),
        (429, "rate_limit_error", "E1", "throttled"),
        (501, "not_implemented_error", "E1", "misconfigured"),
        (503, "service_unavailable_error", "E01033", "unavailable"),
        (409, "conflict_error", "E01004", "doubt"),
        (422, "conflict_error", "E01004", "doubt"),
        (503, "service_unavailable_error", "E1", "doubt"),
    ] {
        let body = fault(kind, json!(code), json!(null)).to_string();
        let platform = Platform::start(move |_| Some(Reply::json(status, body.clone()))).await;
        assert_eq!(
            summary(&platform.send(&messages(3)).await),
            [expected; 3],
            "{status} {kind}"
        );
        assert_eq!(platform.sizes(), [3]);
    }
}

#[tokio::test]
async fn a_doubt_is_never_sent_again_although_it_names_an_entry() {
    for (status, kind) in [
        (500, "internal_error"),
        (503, "service_unavailable_error"),
        (500, "validation_error"),
    ] {
        let mut body = fault(kind, json!("E01001"), json!("ValidationError"));
        body["error"]["param"] = json!("messages[1].to");
        let body = body.to_string();
        let platform = Platform::start(move |_| Some(Reply::json(status, body.clone()))).await;
        assert_eq!(summary(&platform.send(&messages(3)).await), ["doubt"; 3]);
        assert_eq!(platform.sizes(), [3]);
    }
    for reply in [
        Reply::Reset,
        Reply::html(422),
        Reply::html(502),
        Reply::status(400),
    ] {
        let platform = Platform::start(move |_| Some(reply.clone())).await;
        assert_eq!(summary(&platform.send(&messages(3)).await), ["doubt"; 3]);
        assert_eq!(platform.sizes(), [3]);
    }
}

#[tokio::test]
async fn a_validation_with_another_status_is_never_sent_again() {
    for (kind, code, name) in [
        ("validation_error", "E01001", "ValidationError"),
        ("validation_error", "E2", "SMSInvalidRecipient"),
        ("conflict_error", "E2", "SMSInvalidRecipient"),
    ] {
        let mut body = fault(kind, json!(code), json!(name));
        body["error"]["param"] = json!("messages[0].to");
        for status in [400, 401, 403, 408, 409, 425, 499] {
            for body in [&body, &body["error"]] {
                let body = body.to_string();
                let platform =
                    Platform::start(move |_| Some(Reply::json(status, body.clone()))).await;
                let outcomes = platform.send(&messages(3)).await;
                assert_eq!(summary(&outcomes), ["doubt"; 3], "{status} {kind}");
                assert_eq!(platform.sizes(), [3], "{status} {kind}");
            }
        }
    }
}

#[tokio::test]
async fn a_second_call_that_is_lost_leaves_only_its_own_messages_in_doubt() {
    let platform = Platform::start(|references| {
        Some(match bad(references, &["r1"]).first() {
            Some(index) => refuse(&[format!("messages[{index}].to")]),
            None => Reply::Reset,
        })
    })
    .await;
    assert_eq!(
        summary(&platform.send(&messages(3)).await),
        ["doubt", "invalid_recipient", "doubt"]
    );
    assert_eq!(platform.sizes(), [3, 2]);
}

#[tokio::test]
async fn an_idempotency_key_depends_on_the_messages_of_a_call() {
    let platform = Platform::start(|references| {
        bad(references, &["r2"])
            .first()
            .map(|index| refuse(&[format!("messages[{index}].to")]))
    })
    .await;
    let messages = messages(3);
    let _ = platform.send(&messages).await;
    let _ = platform.send(&messages).await;
    let _ = platform.send(&messages[..1]).await;
    let keys = platform.keys();
    assert_eq!(platform.sizes(), [3, 2, 3, 2, 0]);
    assert_eq!((&keys[0], &keys[1]), (&keys[2], &keys[3]));
    assert!(keys[0] != keys[1] && keys[0] != keys[4] && keys[1] != keys[4]);
    assert!(keys.iter().all(|key| key.len() <= 255));
}

#[tokio::test]
async fn a_duplicate_reference_is_sent_in_two_calls() {
    let platform = Platform::start(|_| None).await;
    let messages = [
        message_of("+31612345670", "a1"),
        message_of("+31612345671", "a1"),
        message_of("+31612345672", "b2"),
        message_of("+31612345673", "b2"),
    ];
    assert_eq!(platform.send(&messages).await.accepted(), 4);
    assert_eq!(platform.sizes(), [2, 2]);
    assert_eq!(platform.received(), ["a1", "a1", "b2", "b2"]);
}

#[tokio::test]
async fn an_invalid_message_is_left_out_of_the_call() {
    let platform = Platform::start(|_| None).await;
    let mut messages = messages(4);
    messages[1] = messages[1]
        .clone()
        .with_validity(std::time::Duration::from_secs(600));
    messages[2] = messages[2].clone().with_sender("cm.com".parse().unwrap());
    let outcomes = platform.send(&messages).await;
    assert_eq!(
        summary(&outcomes),
        ["ok", "unsupported", "invalid_sender", "ok"]
    );
    assert_eq!(platform.sizes(), [2]);
}

/// Returns the outcomes of three messages, sent in a call whose response has this `data`.
async fn outcomes_of(data: Value) -> Outcomes {
    let body = json!({"data": data, "summary": {"accepted_count": 3}}).to_string();
    let platform = Platform::start(move |_| Some(Reply::json(202, body.clone()))).await;
    let outcomes = platform.send(&messages(3)).await;
    assert_eq!(platform.sizes(), [3]);
    outcomes
}

fn three() -> [Value; 3] {
    ["r0", "r1", "r2"].map(|reference| {
        let to = format!("+3161234000{}", &reference[1..]);
        accepted(reference, &to)
    })
}

#[tokio::test]
async fn entries_match_their_message_by_reference_in_any_order() {
    let [first, second, third] = three();
    let outcomes = outcomes_of(json!([third, first, second, first])).await;
    assert_eq!(summary(&outcomes), ["ok"; 3]);
    for (index, outcome) in outcomes.iter().enumerate() {
        let id = outcome.as_ref().unwrap().id().unwrap();
        assert!(id.ends_with(&format!("r{index}")), "{id}");
    }
}

#[tokio::test]
async fn without_references_the_order_counts_if_no_entry_is_missing() {
    let nameless = three().map(|mut entry| {
        entry["metadata"] = json!(null);
        entry
    });
    assert_eq!(summary(&outcomes_of(json!(nameless)).await), ["ok"; 3]);
    assert_eq!(
        summary(&outcomes_of(json!(nameless[..2])).await),
        ["doubt"; 3]
    );
    let [first, second, third] = nameless;
    // The numbers show another order.
    assert_eq!(
        summary(&outcomes_of(json!([second, first, third])).await),
        ["doubt", "doubt", "ok"]
    );
}

#[tokio::test]
async fn a_wrong_or_missing_entry_leaves_its_message_in_doubt() {
    let [first, second, third] = three();
    let strange = |name: &str, value: Value| {
        let mut entry = second.clone();
        entry[name] = value;
        entry
    };
    for entry in [
        strange("id", json!(null)),
        strange("id", json!("x")),
        strange("status", json!("rejected")),
        strange("metadata", json!({"reference": "zz"})),
        strange("metadata", json!(null)),
        json!(null),
        json!([]),
    ] {
        let outcomes = outcomes_of(json!([first, entry, third])).await;
        assert_eq!(summary(&outcomes), ["ok", "doubt", "ok"], "{entry}");
    }
    assert_eq!(
        summary(&outcomes_of(json!([second, strange("status", json!("failed")), third])).await),
        ["doubt", "doubt", "ok"]
    );
    for data in [json!(null), json!({}), json!([])] {
        assert_eq!(summary(&outcomes_of(data).await), ["doubt"; 3]);
    }
}
