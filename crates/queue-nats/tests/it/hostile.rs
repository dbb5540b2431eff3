//! Values that this library did not write.

use std::time::Duration;

use postduif_core::{
    Guid, Reference,
    directory::{Callout, FlowId, UserId},
};
use postduif_onboarding::{JournalErrorKind, Record, Taken};
use postduif_queue::{Lease, Queue};
use serde_json::{Value, json};

use crate::server::{Server, can_run, read, write};

const HOSTILE: [&[u8]; 9] = [
    b"\xff\xfe",
    b"null",
    b"[]",
    b"{}",
    b"{\"v\":1}",
    b"{\"v\":99,\"callout\":{}}",
    b"-1",
    b"\"x",
    b"{\"flows\":[[1,2]],\"flow\":7}",
];

pub(crate) fn callout() -> Callout {
    callout_of(Guid::random().into())
}

pub(crate) fn callout_of(user: UserId) -> Callout {
    let now = std::time::SystemTime::now().into();
    Callout::new(Guid::random().into(), user, None, now)
}

pub(crate) fn record(entry: Value) -> Record {
    let mut record = json!({"v": 1, "at": "2026-11-23T08:00:00Z"});
    record["entry"] = entry;
    serde_json::from_value(record).unwrap()
}

pub(crate) fn sending(reference: Reference) -> Record {
    record(json!({"sending": {"round": 1, "reference": reference, "provider": "kpn"}}))
}

/// Claims the next flow.
pub(crate) async fn next(queue: &Queue) -> std::sync::Arc<dyn Lease> {
    for _ in 0..200 {
        if let Some(lease) = queue.engine().next().await.unwrap() {
            return lease;
        }
        queue.engine().wait(Duration::from_millis(100)).await;
    }
    panic!("no flow is due");
}

#[track_caller]
fn is_unreadable<T: std::fmt::Debug>(result: Result<T, postduif_onboarding::JournalError>) {
    let error = result.expect_err("it cannot be read");
    assert_eq!(error.kind(), JournalErrorKind::Unreadable);
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("flows"), "a value is shown: {shown}");
}

#[tokio::test]
async fn a_value_of_a_flow_that_cannot_be_read_is_an_error_and_holds_up_no_other_flow() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let queue = server.open().await;
    let client = server.client().await;
    let journal = queue.journal();
    for hostile in HOSTILE {
        let [bad, good] = [callout(), callout()];
        queue.enqueue(&bad).await.unwrap();
        write(&client, &format!("flow.{}", bad.flow()), hostile).await;
        queue.enqueue(&good).await.unwrap();
        let lease = next(&queue).await;
        assert_eq!(*lease.callout(), good);
        is_unreadable(journal.entries(&bad.flow()).await);
        is_unreadable(journal.claim(&bad).await);
        is_unreadable(queue.status(&bad.flow()).await);
        is_unreadable(queue.enqueue(&bad).await);
        is_unreadable(journal.stop(&bad.flow(), bad.received_at()).await);
        let kept = read(&client, &format!("flow.{}", bad.flow())).await;
        assert_eq!(kept.as_deref(), Some(hostile), "it is overwritten");
    }
}

#[tokio::test]
async fn hints_that_cannot_be_read_are_errors_and_are_not_believed() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let queue = server.open().await;
    let client = server.client().await;
    let journal = queue.journal();
    let callout = callout();
    let user = callout.user().unwrap();
    queue.enqueue(&callout).await.unwrap();
    let lease = next(&queue).await;
    let reference = Reference::random();
    lease.append(0, &sending(reference)).await.unwrap();
    for hostile in HOSTILE {
        write(&client, &format!("ref.{reference}"), hostile).await;
        is_unreadable(journal.flow_of(&reference).await);
        write(&client, &format!("user.{user}"), hostile).await;
        is_unreadable(lease.of_user().await);
        write(&client, &format!("lock.{user}"), hostile).await;
        is_unreadable(lease.lock_user(Duration::from_secs(60)).await);
    }
    // A text of another flow, and a flow of another user: both flows exist, and say something else.
    let other = self::callout();
    queue.enqueue(&other).await.unwrap();
    write(
        &client,
        &format!("ref.{reference}"),
        other.flow().to_string(),
    )
    .await;
    assert_eq!(journal.flow_of(&reference).await.unwrap(), None);
    let unknown: FlowId = Guid::random().into();
    write(&client, &format!("ref.{reference}"), unknown.to_string()).await;
    assert_eq!(journal.flow_of(&reference).await.unwrap(), None);
    let flows = json!({"flows": [
        [callout.flow(), callout.received_at()],
        [other.flow(), other.received_at()],
        [unknown, other.received_at()],
    ]});
    write(&client, &format!("user.{user}"), flows.to_string()).await;
    let own = lease.of_user().await.unwrap();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0].flow, callout.flow());
    // What an operator deleted is not there.
    for key in [
        format!("ref.{reference}"),
        format!("user.{user}"),
        format!("lock.{user}"),
    ] {
        write(&client, &key, "").await;
    }
    assert_eq!(journal.flow_of(&reference).await.unwrap(), None);
    assert!(lease.of_user().await.unwrap().is_empty());
    assert!(lease.lock_user(Duration::from_secs(60)).await.unwrap());
}

#[tokio::test]
async fn numbers_out_of_range_in_a_value_do_no_harm() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let queue = server.open().await;
    let client = server.client().await;
    let callout = callout();
    let key = format!("flow.{}", callout.flow());
    queue.enqueue(&callout).await.unwrap();
    let bytes = read(&client, &key).await.unwrap();
    let mut value: Value = serde_json::from_slice(&bytes).unwrap();
    value["takeovers"] = json!(u32::MAX);
    value["pause_ms"] = json!(u64::MAX);
    value["holder"] = json!({"claim": Guid::random(), "lease_ms": u64::MAX});
    write(&client, &key, value.to_string()).await;
    let journal = queue.journal();
    assert!(
        journal.claim(&callout).await.unwrap().is_none(),
        "it has a holder"
    );
    value["holder"] = json!({"claim": Guid::random(), "lease_ms": 0});
    write(&client, &key, value.to_string()).await;
    let lease = next(&queue).await;
    assert_eq!(lease.takeovers(), u32::MAX);
    lease
        .give_back(
            chrono::DateTime::<chrono::Utc>::MAX_UTC,
            &Default::default(),
        )
        .await
        .unwrap();
    assert!(queue.engine().next().await.unwrap().is_none());
    journal
        .stop(&callout.flow(), callout.received_at())
        .await
        .unwrap();
    assert_eq!(*next(&queue).await.callout(), callout);
}

#[tokio::test]
async fn wake_ups_of_no_flow_are_removed() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let queue = server.open().await;
    let client = server.client().await;
    for subject in ["postduif.wake.x", "postduif.wake.00000000"] {
        client.request(subject, "x".into()).await.unwrap();
    }
    let callout = callout();
    queue.enqueue(&callout).await.unwrap();
    assert_eq!(*next(&queue).await.callout(), callout);
    assert_eq!(queue.counts().await.unwrap().open, 1);
}

#[tokio::test]
async fn a_flow_that_an_operator_deleted_can_be_enqueued_again() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let queue = server.open().await;
    let client = server.client().await;
    let callout = callout();
    queue.enqueue(&callout).await.unwrap();
    write(&client, &format!("flow.{}", callout.flow()), "").await;
    assert!(queue.status(&callout.flow()).await.unwrap().is_none());
    assert_eq!(queue.enqueue(&callout).await.unwrap(), Taken::New);
    assert_eq!(*next(&queue).await.callout(), callout);
}
