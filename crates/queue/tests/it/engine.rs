//! What a queue of flows promises beyond a journal.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::{
    DeliveryReport, DeliveryStatus, Guid, Reference,
    directory::{Callout, FailureReason, FlowId, Verdict},
};
use postduif_onboarding::{
    Ending, Entries, Journal as _, JournalErrorKind, Memo, Record, Report, Taken,
};
use postduif_queue::{Lease, Queue};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::store::{Store, on_each_store};

on_each_store! {
    a_flow_is_enqueued_once_and_claimed_once
    the_flow_that_was_due_first_is_claimed_first
    several_processes_claim_each_flow_once
    too_many_open_flows_are_refused
    a_flow_that_was_given_back_is_due_at_its_time
    a_report_makes_a_waiting_flow_due
    a_report_during_a_run_makes_the_flow_due_when_it_is_given_back
    a_stop_makes_a_waiting_flow_due
    a_flow_whose_holder_died_is_claimed_after_its_lease
    takeovers_in_a_row_are_counted
    a_lease_that_is_extended_does_not_end
    a_lease_that_has_ended_is_lost_for_good
    an_outcome_is_recorded_after_the_lease_unless_another_has_the_flow
    a_flow_that_is_done_is_due_no_more
    done_can_be_repeated
    a_lost_lease_cannot_be_done
    a_done_flow_frees_its_user
    a_claim_of_a_done_flow_does_not_put_it_back_into_the_queue
    a_status_tells_how_far_a_flow_is
    the_counts_are_those_of_open_flows
    a_waiting_worker_is_woken
    a_clock_that_is_set_back_delays_nothing
    a_live_holder_keeps_its_flow_when_the_clock_is_set_back
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

async fn a_flow_is_enqueued_once_and_claimed_once(store: Store) {
    let queue = store.open().await;
    let callout = enqueued(&queue).await;
    let there = store.another(&queue).await;
    assert_eq!(there.enqueue(&callout).await.unwrap(), Taken::Known);
    let lease = next(&there).await.unwrap();
    assert_eq!(*lease.callout(), callout);
    assert!(lease.holds());
    assert_eq!(lease.takeovers(), 0);
    assert!(next(&queue).await.is_none());
    assert!(next(&there).await.is_none());
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

async fn several_processes_claim_each_flow_once(store: Store) {
    const FLOWS: usize = 60;
    let queue = store.open().await;
    let mut known = HashSet::new();
    for _ in 0..FLOWS {
        known.insert(enqueued(&queue).await.flow());
    }
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let queue = store.another(&queue).await;
        tasks.push(tokio::spawn(async move {
            let mut claimed = Vec::new();
            // Another transaction may have the flow that was found.
            for _ in 0..FLOWS * 4 {
                if let Some(lease) = next(&queue).await {
                    claimed.push(lease.callout().flow());
                }
            }
            claimed
        }));
    }
    let mut claimed = Vec::new();
    for task in tasks {
        claimed.extend(task.await.unwrap());
    }
    assert_eq!(claimed.len(), FLOWS);
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), known);
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

async fn a_flow_that_was_given_back_is_due_at_its_time(store: Store) {
    let queue = store.open().await;
    enqueued(&queue).await;
    let lease = next(&queue).await.unwrap();
    let began = Instant::now();
    give_back(&*lease, TimeDelta::milliseconds(600)).await;
    assert!(!lease.holds());
    let lease = due(&queue).await;
    assert!(began.elapsed() >= Duration::from_millis(500));
    assert_eq!(lease.takeovers(), 0);
    // A time that has passed is now, and nobody has to die for it.
    give_back(&*lease, TimeDelta::hours(-1)).await;
    assert!(next(&queue).await.is_some());
}

async fn a_report_makes_a_waiting_flow_due(store: Store) {
    let queue = store.open().await;
    let callout = enqueued(&queue).await;
    let lease = next(&queue).await.unwrap();
    give_back(&*lease, TimeDelta::hours(1)).await;
    assert!(next(&queue).await.is_none());
    let report = report();
    let there = store.another(&queue).await.journal();
    there.report(&callout.flow(), &report).await.unwrap();
    let lease = next(&queue).await.unwrap();
    give_back(&*lease, TimeDelta::hours(1)).await;
    // A repeated report is nothing new.
    there.report(&callout.flow(), &report).await.unwrap();
    assert!(next(&queue).await.is_none());
}

async fn a_report_during_a_run_makes_the_flow_due_when_it_is_given_back(store: Store) {
    let queue = store.open().await;
    let callout = enqueued(&queue).await;
    let lease = next(&queue).await.unwrap();
    let journal = queue.journal();
    journal.report(&callout.flow(), &report()).await.unwrap();
    assert!(next(&queue).await.is_none(), "the flow has a holder");
    give_back(&*lease, TimeDelta::hours(1)).await;
    let lease = next(&queue).await.unwrap();
    give_back(&*lease, TimeDelta::hours(1)).await;
    assert!(next(&queue).await.is_none(), "it was read");
}

async fn a_stop_makes_a_waiting_flow_due(store: Store) {
    let queue = store.open().await;
    let callout = enqueued(&queue).await;
    let lease = next(&queue).await.unwrap();
    give_back(&*lease, TimeDelta::hours(1)).await;
    let journal = queue.journal();
    journal.stop(&callout.flow(), now()).await.unwrap();
    let lease = next(&queue).await.unwrap();
    let entries = lease.entries().await.unwrap();
    assert!(entries.stop.is_some());
}

async fn a_flow_whose_holder_died_is_claimed_after_its_lease(store: Store) {
    let queue = store.open_with(LEASE).await;
    let callout = enqueued(&queue).await;
    let began = Instant::now();
    let lease = next(&queue).await.unwrap();
    lease.append(0, &issuing()).await.unwrap();
    drop(lease);
    let again = due(&queue).await;
    assert!(began.elapsed() >= LEASE);
    assert_eq!(again.callout().flow(), callout.flow());
    let entries = again.entries().await.unwrap();
    assert_eq!(entries.records.len(), 1, "what it wrote is there");
}

async fn takeovers_in_a_row_are_counted(store: Store) {
    let queue = store.open().await;
    let flow = enqueued(&queue).await.flow();
    let expired = format!("UPDATE postduif_flow SET due = 0 WHERE id = '{flow}'");
    for takeovers in 0..3 {
        let lease = next(&queue).await.unwrap();
        assert_eq!(lease.takeovers(), takeovers);
        store.run(&expired).await;
    }
    let lease = next(&queue).await.unwrap();
    assert_eq!(lease.takeovers(), 3);
    give_back(&*lease, TimeDelta::zero()).await;
    assert_eq!(next(&queue).await.unwrap().takeovers(), 0);
}

async fn a_lease_that_is_extended_does_not_end(store: Store) {
    let queue = store.open_with(LEASE).await;
    enqueued(&queue).await;
    let lease = next(&queue).await.unwrap();
    assert_eq!(lease.length(), LEASE);
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < LEASE * 3 {
        // By turns with a heartbeat and with a write.
        if number % 2 == 0 {
            lease.extend().await.unwrap();
        } else {
            lease.append(number / 2, &issuing()).await.unwrap();
        }
        number += 1;
        if !lease.holds() {
            return; // The machine was too busy to tell.
        }
        assert!(next(&queue).await.is_none(), "the flow has a holder");
        sleep(LEASE / 8).await;
    }
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
    assert!(next(&queue).await.is_some(), "it was not extended");
    let late = lease.extend().await.unwrap_err();
    assert_eq!(late.kind(), JournalErrorKind::Lost);
}

async fn an_outcome_is_recorded_after_the_lease_unless_another_has_the_flow(store: Store) {
    let queue = store.open_with(LEASE).await;
    enqueued(&queue).await;
    let lease = next(&queue).await.unwrap();
    lease.lost().await;
    lease.append(0, &issuing()).await.unwrap();
    let next = next(&queue).await.unwrap();
    let late = lease.append(1, &issuing()).await.unwrap_err();
    assert_eq!(late.kind(), JournalErrorKind::Lost);
    assert_eq!(next.entries().await.unwrap().records.len(), 1);
}

async fn a_flow_that_is_done_is_due_no_more(store: Store) {
    let queue = store.open().await;
    let callout = enqueued(&queue).await;
    let flow = callout.flow();
    let lease = next(&queue).await.unwrap();
    lease.done(&ending(flow)).await.unwrap();
    assert!(!lease.holds());
    assert!(lease.append(0, &issuing()).await.is_err());
    queue.journal().report(&flow, &report()).await.unwrap();
    queue.journal().stop(&flow, now()).await.unwrap();
    assert_eq!(queue.enqueue(&callout).await.unwrap(), Taken::Known);
    assert!(next(&queue).await.is_none());
    assert_eq!(queue.counts().await.unwrap().open, 0);
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

async fn a_lost_lease_cannot_be_done(store: Store) {
    let queue = store.open().await;
    let flow = enqueued(&queue).await.flow();
    let lease = next(&queue).await.unwrap();
    store.run("UPDATE postduif_flow SET due = 0").await;
    let _other = next(&queue).await.unwrap();
    let late = lease.done(&ending(flow)).await.unwrap_err();
    assert_eq!(late.kind(), JournalErrorKind::Lost);
    assert_eq!(queue.counts().await.unwrap().open, 1);
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

async fn a_status_tells_how_far_a_flow_is(store: Store) {
    let queue = store.open().await;
    let callout = enqueued(&queue).await;
    let flow = callout.flow();
    let status = queue.status(&flow).await.unwrap().unwrap();
    assert_eq!(status.flow, flow);
    assert_eq!(status.user, callout.user());
    assert_eq!(status.received_at, callout.received_at());
    assert!(status.done_at.is_none() && status.ending.is_none());
    let lease = next(&queue).await.unwrap();
    lease.append(0, &resumed()).await.unwrap();
    let status = queue.status(&flow).await.unwrap().unwrap();
    let failed = Verdict::Failed(FailureReason::NoNumber);
    assert_eq!(status.ending.unwrap().verdict, failed);
    assert!(status.done_at.is_none(), "it is still in the queue");
    lease.done(&ending(flow)).await.unwrap();
    let status = queue.status(&flow).await.unwrap().unwrap();
    assert_eq!(status.ending.unwrap().verdict, failed);
    assert!(status.done_at.is_some());
    let unknown = queue.status(&Guid::random().into()).await.unwrap();
    assert!(unknown.is_none());
}

async fn the_counts_are_those_of_open_flows(store: Store) {
    let queue = store.open().await;
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.open, counts.due, counts.oldest), (0, 0, None));
    let first = enqueued(&queue).await;
    for _ in 0..3 {
        enqueued(&queue).await;
    }
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.open, counts.due), (4, 4));
    assert!(counts.oldest.unwrap() <= first.received_at());
    let [done, held, waits] = [
        next(&queue).await.unwrap(),
        next(&queue).await.unwrap(),
        next(&queue).await.unwrap(),
    ];
    done.done(&ending(done.callout().flow())).await.unwrap();
    give_back(&*waits, TimeDelta::hours(1)).await;
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.open, counts.due), (3, 1));
    assert!(held.holds());
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

async fn a_live_holder_keeps_its_flow_when_the_clock_is_set_back(store: Store) {
    let queue = store.open().await;
    if store.is_sqlite() {
        return; // A holder dies with its process.
    }
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
