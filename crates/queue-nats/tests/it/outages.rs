//! Servers and processes that go away.

use std::{
    num::NonZeroUsize,
    time::{Duration, SystemTime},
};

use postduif_core::Reference;
use postduif_onboarding::{JournalErrorKind, Memo, Taken};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    hostile::{callout, next, record, sending},
    server::{LEASE, Server, call, can_run, read, write},
};

#[tokio::test]
async fn a_repeated_call_out_wakes_a_flow_whose_wake_up_was_not_published() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let queue = server.open().await;
    let client = server.client().await;
    let callout = callout();
    queue.enqueue(&callout).await.unwrap();
    // As a process leaves it that dies between the two writes.
    call(&client, "STREAM.PURGE.postduif-wakes", json!({})).await;
    assert!(queue.engine().next().await.unwrap().is_none());
    assert_eq!(queue.enqueue(&callout).await.unwrap(), Taken::Known);
    assert_eq!(*next(&queue).await.callout(), callout);
}

#[tokio::test]
async fn a_process_that_starts_wakes_old_flows_without_a_wake_up() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let queue = server.open().await;
    let client = server.client().await;
    let [lost, waiting, done] = [callout(), callout(), callout()];
    for callout in [&done, &waiting] {
        queue.enqueue(callout).await.unwrap();
        let lease = next(&queue).await;
        if *callout == done {
            let resumed = record(json!({"resumed": {"verdict": "completed", "heard": true}}));
            lease.append(0, &resumed).await.unwrap();
            let entries = lease.entries().await.unwrap();
            let ending = postduif_onboarding::Ending::of(&entries).unwrap();
            lease.done(&ending).await.unwrap();
        } else {
            let later = SystemTime::now() + Duration::from_secs(3600);
            lease
                .give_back(later.into(), &Memo::default())
                .await
                .unwrap();
        }
    }
    queue.enqueue(&lost).await.unwrap();
    let state = call(&client, "STREAM.INFO.postduif-wakes", json!({})).await;
    let last = &state["state"]["last_seq"];
    call(
        &client,
        "STREAM.MSG.DELETE.postduif-wakes",
        json!({"seq": last}),
    )
    .await;
    assert_eq!(queue.counts().await.unwrap().open, 1);
    // Later, since the wake-up of a new flow may be on its way.
    sleep(LEASE * 2).await;
    let another = server.open().await;
    assert_eq!(*next(&another).await.callout(), lost);
    assert_eq!(another.counts().await.unwrap().open, 2, "one is done");
}

#[tokio::test]
async fn hints_of_a_process_that_died_before_its_entry_are_not_believed() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let queue = server.open().await;
    let client = server.client().await;
    let callout = callout();
    queue.enqueue(&callout).await.unwrap();
    let lease = next(&queue).await;
    let reference = Reference::random();
    write(
        &client,
        &format!("ref.{reference}"),
        callout.flow().to_string(),
    )
    .await;
    assert_eq!(queue.journal().flow_of(&reference).await.unwrap(), None);
    lease.append(0, &sending(reference)).await.unwrap();
    let found = queue.journal().flow_of(&reference).await.unwrap();
    assert_eq!(found, Some(callout.flow()));
}

#[tokio::test]
async fn a_server_that_was_away_for_longer_than_a_lease_has_lost_nothing() {
    if !can_run() {
        return;
    }
    let mut server = Server::start();
    let queue = server.open().await;
    let callouts: Vec<_> = (0..10).map(|_| callout()).collect();
    for callout in &callouts {
        queue.enqueue(callout).await.unwrap();
    }
    let lease = next(&queue).await;
    lease
        .append(0, &sending(Reference::random()))
        .await
        .unwrap();
    server.kill();
    let began = Instant::now();
    let error = queue.engine().next().await.unwrap_err();
    assert_eq!(error.kind(), JournalErrorKind::Unavailable);
    let error = lease.append(1, &sending(Reference::random())).await;
    assert_eq!(error.unwrap_err().kind(), JournalErrorKind::Unavailable);
    assert!(queue.enqueue(&callout()).await.is_err());
    assert!(queue.counts().await.is_err());
    timeout(LEASE, lease.lost()).await.unwrap();
    assert!(!lease.holds());
    sleep((LEASE * 2).saturating_sub(began.elapsed())).await;
    server.run();
    server.ready().await;
    let mut claimed = Vec::new();
    let mut leases = Vec::new();
    while claimed.len() < callouts.len() {
        let lease = next_again(&queue).await;
        claimed.push(lease.callout().clone());
        leases.push(lease);
    }
    claimed.sort_unstable_by_key(|callout| callout.flow());
    let mut expected = callouts.clone();
    expected.sort_unstable_by_key(|callout| callout.flow());
    assert_eq!(claimed, expected);
    let flow = lease.callout().flow();
    let again = leases.iter().find(|lease| lease.callout().flow() == flow);
    let again = again.unwrap();
    assert_eq!(again.takeovers(), 1);
    let entries = again.entries().await.unwrap();
    // The write during the outage may have landed. It is one entry at most.
    assert!((1..=2).contains(&entries.records.len()));
    let another = sending(Reference::random());
    let late = lease.append(entries.records.len(), &another).await;
    assert_eq!(late.unwrap_err().kind(), JournalErrorKind::Lost);
}

/// Claims the next flow, of a server that may have just come back.
async fn next_again(queue: &postduif_queue::Queue) -> std::sync::Arc<dyn postduif_queue::Lease> {
    let until = Instant::now() + Duration::from_secs(40);
    loop {
        if let Ok(Some(lease)) = queue.engine().next().await {
            return lease;
        }
        assert!(Instant::now() < until, "no flow is due");
        queue.engine().wait(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_wait_that_is_dropped_loses_no_wake_up() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let queue = server.open().await;
    let waiting = queue.engine().wait(Duration::from_secs(20));
    assert!(timeout(Duration::from_millis(300), waiting).await.is_err());
    let callout = callout();
    queue.enqueue(&callout).await.unwrap();
    let began = Instant::now();
    assert_eq!(*next(&queue).await.callout(), callout);
    assert!(began.elapsed() < LEASE, "the wake-up went to nobody");
}

#[tokio::test]
async fn an_open_flow_beyond_the_maximum_is_refused_and_not_stored() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    server.ready().await;
    let builder = postduif_queue_nats::builder(server.url());
    let builder = builder.with_max_open(NonZeroUsize::new(2).unwrap());
    let queue = builder.open().await.unwrap();
    let [one, two, three] = [callout(), callout(), callout()];
    assert_eq!(queue.enqueue(&one).await.unwrap(), Taken::New);
    assert_eq!(queue.enqueue(&two).await.unwrap(), Taken::New);
    assert_eq!(queue.enqueue(&three).await.unwrap(), Taken::Full);
    assert_eq!(queue.enqueue(&one).await.unwrap(), Taken::Known);
    assert!(queue.status(&three.flow()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_flow_that_is_full_of_entries_says_so_and_keeps_them() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let queue = server.open().await;
    let client = server.client().await;
    let callout = callout();
    queue.enqueue(&callout).await.unwrap();
    let key = format!("flow.{}", callout.flow());
    let bytes = read(&client, &key).await.unwrap();
    let mut value: Value = serde_json::from_slice(&bytes).unwrap();
    let entry = serde_json::to_value(sending(Reference::random())).unwrap();
    value["entries"] = json!(vec![entry; 4095]);
    write(&client, &key, value.to_string()).await;
    let lease = next(&queue).await;
    lease
        .append(4095, &sending(Reference::random()))
        .await
        .unwrap();
    let full = lease.append(4096, &sending(Reference::random())).await;
    assert_eq!(full.unwrap_err().kind(), JournalErrorKind::Full);
    assert_eq!(lease.entries().await.unwrap().records.len(), 4096);
    assert!(lease.holds());
}

#[tokio::test]
async fn a_claim_without_a_wake_up_is_given_back_for_its_time() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let queue = server.open().await;
    let callout = callout();
    let claim = queue.journal().claim(&callout).await.unwrap().unwrap();
    assert!(
        queue.engine().next().await.unwrap().is_none(),
        "it has a holder"
    );
    let (pause, began) = (Duration::from_secs(1), Instant::now());
    let until = SystemTime::now() + pause;
    claim
        .give_back(until.into(), &Memo::default())
        .await
        .unwrap();
    assert!(!claim.holds());
    drop(claim);
    let lease = next(&queue).await;
    assert!(
        began.elapsed() > pause.mul_f64(0.9),
        "after {:?}",
        began.elapsed()
    );
    assert_eq!(lease.takeovers(), 0);
    assert_eq!(
        queue.counts().await.unwrap().open,
        1,
        "its first wake-up is gone"
    );
}
