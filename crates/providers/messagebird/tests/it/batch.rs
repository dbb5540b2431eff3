//! The laws of the platform's batches, against a vendor that keeps its own count of what it took.

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
        .map(|place| message_of(&format!("+3161234{place:04}"), &format!("r{place}")))
        .collect()
}

/// A vendor, what it took, and the sizes of the calls that it got, 0 for a single one.
struct Platform {
    server: Server,
    taken: Arc<Mutex<Vec<String>>>,
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
    /// A vendor that answers what `judge` makes of the references of a call; none where it takes them.
    async fn start(judge: impl Fn(&[String]) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let server = Server::start({
            let taken = Arc::clone(&taken);
            move |request| {
                let (entries, is_batch) = entries(request);
                let references: Vec<_> = entries.iter().map(reference).collect();
                if let Some(refused) = judge(&references) {
                    return refused;
                }
                taken.lock().unwrap().extend(references);
                let told =
                    |entry: &Value| accepted(&reference(entry), entry["to"].as_str().unwrap());
                let data: Vec<_> = entries.iter().map(told).collect();
                let body = if is_batch {
                    json!({"data": data, "summary": {"accepted_count": data.len()}})
                } else {
                    data[0].clone()
                };
                Reply::json(202, body.to_string())
            }
        })
        .await;
        Self { server, taken }
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

    fn taken(&self) -> Vec<String> {
        let mut taken = self.taken.lock().unwrap().clone();
        taken.sort();
        taken
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

fn told(outcomes: &Outcomes) -> Vec<&str> {
    outcomes
        .iter()
        .map(|outcome| match outcome {
            Ok(_) => "ok",
            Err(error) if error.acceptance() == Acceptance::Unknown => "doubt",
            Err(error) => error.kind().as_str(),
        })
        .collect()
}

/// Refuses for these fields, as paths.
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

/// The places, in a call, of the references that are bad.
fn bad(references: &[String], bad: &[&str]) -> Vec<usize> {
    let places = references.iter().enumerate();
    places
        .filter(|(_, reference)| bad.contains(&reference.as_str()))
        .map(|(place, _)| place)
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
    assert_eq!(platform.taken().len(), 101);
}

#[tokio::test]
async fn a_batch_refused_for_one_entry_goes_again_once_without_it() {
    for path in ["messages[{}].to", "messages.{}.to", "[{}].to"] {
        let platform = Platform::start(move |references| {
            let bad = bad(references, &["r2"]);
            let path = |place: &usize| path.replace("{}", &place.to_string());
            (!bad.is_empty()).then(|| refuse(&bad.iter().map(path).collect::<Vec<_>>()))
        })
        .await;
        let outcomes = platform.send(&messages(4)).await;
        assert_eq!(
            told(&outcomes),
            ["ok", "ok", "invalid_recipient", "ok"],
            "{path}"
        );
        assert_eq!(outcomes[2].as_ref().unwrap_err().code(), Some("E01001"));
        assert_eq!(platform.sizes(), [4, 3]);
        assert_eq!(platform.taken(), ["r0", "r1", "r3"]);
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
    assert_eq!(told(&outcomes), ["ok", "invalid_sender", "ok"]);
    assert_eq!(platform.sizes(), [3, 2]);
}

#[tokio::test]
async fn a_batch_refused_for_several_entries_goes_again_once_without_them() {
    let platform = Platform::start(|references| {
        let bad = bad(references, &["r0", "r3", "r4"]);
        let fields = ["to", "text", "category"];
        let path = |(place, field): (&usize, &str)| format!("messages[{place}].{field}");
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
    assert_eq!(told(&outcomes), expected);
    assert_eq!(platform.sizes(), [5, 2]);
    assert_eq!(platform.taken(), ["r1", "r2"]);
}

#[tokio::test]
async fn entries_named_one_after_the_other_end_in_fewer_and_fewer() {
    let platform = Platform::start(|references| {
        let bad = bad(references, &["r1", "r3"]);
        let first = format!("messages[{}].to", bad.first()?);
        Some(refuse(&[first]))
    })
    .await;
    let outcomes = platform.send(&messages(5)).await;
    assert_eq!(
        told(&outcomes),
        ["ok", "invalid_recipient", "ok", "invalid_recipient", "ok"]
    );
    assert_eq!(platform.sizes(), [5, 4, 3]);
    assert_eq!(platform.taken(), ["r0", "r2", "r4"]);
}

#[tokio::test]
async fn a_vendor_that_names_somebody_each_time_comes_to_an_end() {
    let platform = Platform::start(|_| Some(refuse(&["messages[0].to".to_owned()]))).await;
    let outcomes = platform.send(&messages(4)).await;
    assert_eq!(platform.sizes(), [4, 3, 2, 0]);
    assert_eq!(told(&outcomes)[..3], ["invalid_recipient"; 3]);
    assert!(
        outcomes.iter().all(|outcome| {
            outcome.as_ref().unwrap_err().acceptance() == Acceptance::NotAccepted
        })
    );
}

#[tokio::test]
async fn a_batch_refused_for_an_entry_that_is_not_named_goes_singly() {
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
        assert_eq!(told(&outcomes), ["ok", "invalid_recipient", "ok"]);
        let sizes = platform.sizes();
        assert_eq!(sizes, [3, 0, 0, 0]);
        assert_eq!(platform.taken(), ["r0", "r2"]);
    }
}

#[tokio::test]
async fn a_batch_too_long_for_the_vendor_goes_singly() {
    let platform =
        Platform::start(|references| (references.len() > 1).then(|| Reply::html(413))).await;
    assert_eq!(told(&platform.send(&messages(3)).await), ["ok", "ok", "ok"]);
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
            told(&platform.send(&messages(3)).await),
            [expected; 3],
            "{status} {kind}"
        );
        assert_eq!(platform.sizes(), [3]);
    }
}

#[tokio::test]
async fn a_doubt_is_never_sent_again_though_it_names_an_entry() {
    for (status, kind) in [
        (500, "internal_error"),
        (503, "service_unavailable_error"),
        (500, "validation_error"),
    ] {
        let mut body = fault(kind, json!("E01001"), json!("ValidationError"));
        body["error"]["param"] = json!("messages[1].to");
        let body = body.to_string();
        let platform = Platform::start(move |_| Some(Reply::json(status, body.clone()))).await;
        assert_eq!(told(&platform.send(&messages(3)).await), ["doubt"; 3]);
        assert_eq!(platform.sizes(), [3]);
    }
    for reply in [
        Reply::Reset,
        Reply::html(422),
        Reply::html(502),
        Reply::status(400),
    ] {
        let platform = Platform::start(move |_| Some(reply.clone())).await;
        assert_eq!(told(&platform.send(&messages(3)).await), ["doubt"; 3]);
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
                assert_eq!(told(&outcomes), ["doubt"; 3], "{status} {kind}");
                assert_eq!(platform.sizes(), [3], "{status} {kind}");
            }
        }
    }
}

#[tokio::test]
async fn a_second_call_that_is_lost_leaves_only_its_own_messages_in_doubt() {
    let platform = Platform::start(|references| {
        Some(match bad(references, &["r1"]).first() {
            Some(place) => refuse(&[format!("messages[{place}].to")]),
            None => Reply::Reset,
        })
    })
    .await;
    assert_eq!(
        told(&platform.send(&messages(3)).await),
        ["doubt", "invalid_recipient", "doubt"]
    );
    assert_eq!(platform.sizes(), [3, 2]);
}

#[tokio::test]
async fn a_key_belongs_to_the_composition_of_a_call() {
    let platform = Platform::start(|references| {
        bad(references, &["r2"])
            .first()
            .map(|place| refuse(&[format!("messages[{place}].to")]))
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
async fn a_reference_used_twice_goes_in_two_calls() {
    let platform = Platform::start(|_| None).await;
    let messages = [
        message_of("+31612345670", "a1"),
        message_of("+31612345671", "a1"),
        message_of("+31612345672", "b2"),
        message_of("+31612345673", "b2"),
    ];
    assert_eq!(platform.send(&messages).await.accepted(), 4);
    assert_eq!(platform.sizes(), [2, 2]);
    assert_eq!(platform.taken(), ["a1", "a1", "b2", "b2"]);
}

#[tokio::test]
async fn what_the_platform_would_not_take_stays_out_of_the_call() {
    let platform = Platform::start(|_| None).await;
    let mut messages = messages(4);
    messages[1] = messages[1]
        .clone()
        .with_validity(std::time::Duration::from_secs(600));
    messages[2] = messages[2].clone().with_sender("cm.com".parse().unwrap());
    let outcomes = platform.send(&messages).await;
    assert_eq!(
        told(&outcomes),
        ["ok", "unsupported", "invalid_sender", "ok"]
    );
    assert_eq!(platform.sizes(), [2]);
}

/// The outcomes of three messages whose call is answered with this `data`.
async fn answered(data: Value) -> Outcomes {
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
async fn entries_find_their_message_by_reference_in_any_order() {
    let [first, second, third] = three();
    let outcomes = answered(json!([third, first, second, first])).await;
    assert_eq!(told(&outcomes), ["ok"; 3]);
    for (place, outcome) in outcomes.iter().enumerate() {
        let id = outcome.as_ref().unwrap().id().unwrap();
        assert!(id.ends_with(&format!("r{place}")), "{id}");
    }
}

#[tokio::test]
async fn without_references_the_order_counts_where_no_entry_is_missing() {
    let nameless = three().map(|mut entry| {
        entry["metadata"] = json!(null);
        entry
    });
    assert_eq!(told(&answered(json!(nameless)).await), ["ok"; 3]);
    assert_eq!(told(&answered(json!(nameless[..2])).await), ["doubt"; 3]);
    let [first, second, third] = nameless;
    // The numbers say that the order is another.
    assert_eq!(
        told(&answered(json!([second, first, third])).await),
        ["doubt", "doubt", "ok"]
    );
}

#[tokio::test]
async fn an_entry_that_is_wrong_or_missing_leaves_its_message_in_doubt() {
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
        let outcomes = answered(json!([first, entry, third])).await;
        assert_eq!(told(&outcomes), ["ok", "doubt", "ok"], "{entry}");
    }
    assert_eq!(
        told(&answered(json!([second, strange("status", json!("failed")), third])).await),
        ["doubt", "doubt", "ok"]
    );
    for data in [json!(null), json!({}), json!([])] {
        assert_eq!(told(&answered(data).await), ["doubt"; 3]);
    }
}
