//! What a queue of flows promises beyond a journal.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::{
    DeliveryReport, DeliveryStatus, Guid, Reference,
    directory::{Callout, FlowId},
};
use postduif_onboarding::{
    Ending, Entries, Journal as _, JournalErrorKind, Memo, Record, Report, Taken,
};
use postduif_queue::{Lease, Queue};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::store::{Store, on_each_store};

on_each_store! {
    the_flow_that_was_due_first_is_claimed_first
    too_many_open_flows_are_refused
    a_lease_that_has_ended_is_lost_for_good
    an_outcome_is_recorded_after_the_lease_unless_another_has_the_flow
    done_can_be_repeated
    a_done_flow_frees_its_user
    a_claim_of_a_done_flow_does_not_put_it_back_into_the_queue
    a_waiting_worker_is_woken
    a_clock_that_is_set_back_delays_nothing
    a_flow_with_an_unreadable_call_out_holds_up_no_other
    debug_shows_no_url_and_no_user
}

const LEASE: Duration = Duration::from_secs(1);

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

fn callout() -> Callout {
    Callout::new(
        Guid::random().into(),
        Guid::random().into(),
        None,
        DateTime::from_timestamp_millis(now().timestamp_millis()).unwrap(),
    )
}

fn record(entry: Value) -> Record {
    Record::new(now(), serde_json::from_value(entry).unwrap())
}

fn issuing() -> Record {
    record(json!({"issuing": {"round": 1, "seen": []}}))
}

fn memo() -> Memo {
    serde_json::from_value(json!({})).unwrap()
}

fn ending(flow: FlowId) -> Ending {
    let mut entries = Entries::new(flow);
    entries.records.push(resumed());
    Ending::of(&entries).unwrap()
}

fn resumed() -> Record {
    record(json!({"resumed": {"verdict": {"failed": "no_number"}, "heard": true}}))
}

fn report() -> Report {
    let mut report = DeliveryReport::new("kpn", DeliveryStatus::Delivered);
    report.reference = Some(Reference::random());
    Report::new(&report, now())
}

async fn next(queue: &Queue) -> Option<Arc<dyn Lease>> {
    queue.engine().next().await.unwrap()
}

/// Claims the next flow, waiting until one is due.
async fn due(queue: &Queue) -> Arc<dyn Lease> {
    let began = Instant::now();
    loop {
        if let Some(lease) = next(queue).await {
            return lease;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no flow is due");
        queue.engine().wait(Duration::from_millis(50)).await;
    }
}

async fn enqueued(queue: &Queue) -> Callout {
    let callout = callout();
    assert_eq!(queue.enqueue(&callout).await.unwrap(), Taken::New);
    callout
}

async fn give_back(lease: &dyn Lease, pause: TimeDelta) {
    lease.give_back(now() + pause, &memo()).await.unwrap();
}

async fn the_flow_that_was_due_first_is_claimed_first(store: Store) {
    let queue = store.open().await;
    let [one, two, three] = [
        enqueued(&queue).await,
        enqueued(&queue).await,
        enqueued(&queue).await,
    ];
    let order = [(&two, 1), (&three, 2), (&one, 3)];
    for (callout, due) in order {
        let flow = callout.flow();
        let update = format!("UPDATE postduif_flow SET due = {due} WHERE id = '{flow}'");
        store.run(&update).await;
    }
    for (callout, _) in order {
        let claimed = next(&queue).await.unwrap();
        assert_eq!(claimed.callout().flow(), callout.flow());
    }
}

async fn too_many_open_flows_are_refused(store: Store) {
    let queue = Queue::builder(store.url())
        .with_max_open(2.try_into().unwrap())
        .open()
        .await
        .unwrap();
    let [one, two] = [enqueued(&queue).await, enqueued(&queue).await];
    let refused = callout();
    assert_eq!(queue.enqueue(&refused).await.unwrap(), Taken::Full);
    let claimed = queue.journal().claim(&refused).await.unwrap_err();
    assert_eq!(claimed.kind(), JournalErrorKind::Full);
    assert!(queue.status(&refused.flow()).await.unwrap().is_none());
    assert_eq!(queue.enqueue(&one).await.unwrap(), Taken::Known);
    // A flow that is done makes room.
    let lease = next(&queue).await.unwrap();
    lease.done(&ending(one.flow())).await.unwrap();
    assert_eq!(queue.enqueue(&refused).await.unwrap(), Taken::New);
    assert_eq!(queue.enqueue(&two).await.unwrap(), Taken::Known);
}

async fn a_lease_that_has_ended_is_lost_for_good(store: Store) {
    let queue = store.open_with(LEASE).await;
    enqueued(&queue).await;
    let lease = next(&queue).await.unwrap();
    let began = Instant::now();
    lease.lost().await;
    assert!(began.elapsed() <= LEASE + Duration::from_secs(10));
    assert!(!lease.holds());
    // Nobody else has the flow, so that this is no error, but it takes back no effect.
    lease.extend().await.unwrap();
    assert!(!lease.holds());
    // It was not extended: in the store it ends a moment later.
    let _next = due(&queue).await;
    let late = lease.extend().await.unwrap_err();
    assert_eq!(late.kind(), JournalErrorKind::Lost);
}

async fn an_outcome_is_recorded_after_the_lease_unless_another_has_the_flow(store: Store) {
    let queue = store.open_with(LEASE).await;
    enqueued(&queue).await;
    let lease = next(&queue).await.unwrap();
    lease.lost().await;
    lease.append(0, &issuing()).await.unwrap();
    let next = due(&queue).await;
    let late = lease.append(1, &issuing()).await.unwrap_err();
    assert_eq!(late.kind(), JournalErrorKind::Lost);
    assert_eq!(next.entries().await.unwrap().records.len(), 1);
}

async fn done_can_be_repeated(store: Store) {
    let queue = store.open().await;
    let flow = enqueued(&queue).await.flow();
    let lease = next(&queue).await.unwrap();
    lease.done(&ending(flow)).await.unwrap();
    let first = queue.status(&flow).await.unwrap().unwrap().done_at;
    lease.done(&ending(flow)).await.unwrap();
    let second = queue.status(&flow).await.unwrap().unwrap().done_at;
    assert!(first.is_some() && first == second);
}

async fn a_done_flow_frees_its_user(store: Store) {
    let queue = store.open().await;
    let user = Guid::random().into();
    let [one, two] = [callout(), callout()]
        .map(|callout| Callout::new(callout.flow(), user, None, callout.received_at()));
    for callout in [&one, &two] {
        queue.enqueue(callout).await.unwrap();
    }
    let minutes = Duration::from_secs(600);
    let [first, second] = [next(&queue).await.unwrap(), next(&queue).await.unwrap()];
    assert!(first.lock_user(minutes).await.unwrap());
    assert!(!second.lock_user(minutes).await.unwrap());
    first.done(&ending(first.callout().flow())).await.unwrap();
    assert!(second.lock_user(minutes).await.unwrap());
}

async fn a_claim_of_a_done_flow_does_not_put_it_back_into_the_queue(store: Store) {
    let queue = store.open_with(LEASE).await;
    let callout = enqueued(&queue).await;
    let lease = next(&queue).await.unwrap();
    lease.done(&ending(callout.flow())).await.unwrap();
    let claim = queue.journal().claim(&callout).await.unwrap().unwrap();
    claim.give_back(now(), &memo()).await.unwrap();
    assert!(next(&queue).await.is_none());
    let claim = queue.journal().claim(&callout).await.unwrap().unwrap();
    claim.lost().await;
    assert!(next(&queue).await.is_none());
}

async fn a_waiting_worker_is_woken(store: Store) {
    let queue = store.open().await;
    let there = store.another(&queue).await;
    // Begins to listen.
    queue.engine().wait(Duration::ZERO).await;
    let patience = Duration::from_secs(60);
    let began = Instant::now();
    let waits = async {
        while next(&queue).await.is_none() {
            queue.engine().wait(patience).await;
        }
    };
    let (callout, ()) = tokio::join!(enqueued(&there), waits);
    assert!(began.elapsed() < patience / 2, "nobody woke it");
    store
        .run("UPDATE postduif_flow SET holder = NULL, due = 99999999999999")
        .await;
    let journal = there.journal();
    let flow = callout.flow();
    let report = report();
    let waits = async {
        while next(&queue).await.is_none() {
            queue.engine().wait(patience).await;
        }
    };
    let (reported, ()) = tokio::join!(journal.report(&flow, &report), waits);
    reported.unwrap();
    assert!(began.elapsed() < patience / 2, "nobody woke it");
}

/// Makes it look as if the database's clock had been set back by an hour just now.
async fn set_back(store: &Store) {
    store
        .run(
            "UPDATE postduif_flow SET due = due + 3600000, touched = touched + 3600000;
             UPDATE postduif_user_lock SET until = until + 3600000, touched = touched + 3600000;
             UPDATE postduif_clock SET at = at + 3600000;",
        )
        .await;
}

async fn a_clock_that_is_set_back_delays_nothing(store: Store) {
    let mut known = HashSet::new();
    {
        let queue = store.open_with(LEASE).await;
        for _ in 0..3 {
            known.insert(enqueued(&queue).await.flow());
        }
        let [waits, ready, held] = [
            next(&queue).await.unwrap(),
            next(&queue).await.unwrap(),
            next(&queue).await.unwrap(),
        ];
        give_back(&*waits, TimeDelta::seconds(2)).await;
        // It was given back long before the clock was set.
        let flow = waits.callout().flow();
        let before = format!("UPDATE postduif_flow SET touched = 0 WHERE id = '{flow}'");
        store.run(&before).await;
        give_back(&*ready, TimeDelta::zero()).await;
        assert!(held.lock_user(LEASE).await.unwrap());
        set_back(&store).await;
    }
    let queue = store.open_with(LEASE).await;
    while !known.is_empty() {
        let lease = due(&queue).await;
        known.remove(&lease.callout().flow());
        lease.done(&ending(lease.callout().flow())).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_holder_keeps_its_flow_when_the_clock_is_set_back() {
    // In SQLite a holder dies with its process.
    let Some(store) = Store::postgres().await else {
        return;
    };
    let queue = store.open().await;
    enqueued(&queue).await;
    let lease = next(&queue).await.unwrap();
    set_back(&store).await;
    let there = store.another(&queue).await;
    assert!(next(&there).await.is_none());
    lease.extend().await.unwrap();
    assert!(next(&there).await.is_none());
    // A lease that began after the clock was set is not shortened either.
    store
        .run("UPDATE postduif_clock SET at = at + 3600000")
        .await;
    let there = store.another(&queue).await;
    assert!(next(&there).await.is_none());
    lease.append(0, &issuing()).await.unwrap();
}

async fn a_flow_with_an_unreadable_call_out_holds_up_no_other(store: Store) {
    let queue = store.open().await;
    let newer = enqueued(&queue).await.flow();
    let other = enqueued(&queue).await;
    store
        .run(&format!(
            "UPDATE postduif_flow SET callout = '{{\"v\":2}}', due = 1 WHERE id = '{newer}'"
        ))
        .await;
    let lease = next(&queue).await.unwrap();
    assert_eq!(lease.callout().flow(), other.flow());
    assert!(next(&queue).await.is_none());
    assert_eq!(queue.counts().await.unwrap().open, 2, "it waits");
}

async fn debug_shows_no_url_and_no_user(store: Store) {
    let queue = store.open().await;
    let shown = format!("{queue:?} {:?}", next(&queue).await);
    assert!(
        !shown.contains("postgres://") && !shown.contains("flows.db"),
        "{shown}"
    );
    enqueued(&queue).await;
    let lease = next(&queue).await.unwrap();
    let shown = format!("{lease:?}");
    assert!(!shown.contains("user"), "{shown}");
}
