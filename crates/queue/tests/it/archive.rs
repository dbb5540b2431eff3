//! What operators and auditors are promised.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::{
    Guid,
    directory::{Callback, Callout, FlowId, UserId},
};
use postduif_onboarding::{Ending, Memo, Record, Taken};
use postduif_queue::{
    Archive, AuditAction, FlowEvent, FlowEventType, FlowFilter, Lease, Operator, Queue, Retention,
    Retried,
};
use serde_json::{Value, json};

use crate::store::{Store, on_each_store};

on_each_store! {
    the_end_of_a_flow_is_an_event_and_lines_of_the_audit
    a_repeated_end_adds_nothing
    an_end_that_is_lost_adds_nothing
    each_way_to_end_has_its_type_of_event
    a_pass_that_may_be_usable_is_an_event_at_once
    an_event_is_taken_by_one_poster_until_it_is_posted
    a_taken_event_is_due_again_after_its_time
    a_list_has_the_flows_of_its_filter_and_goes_on_after_any_of_them
    the_details_of_a_flow_have_its_entries
    only_a_flow_that_has_failed_is_retried_and_only_once
    of_two_operators_one_retries
    a_retry_runs_without_a_callback
    an_export_has_what_is_stored_of_a_user_and_is_in_the_audit
    a_user_who_is_forgotten_is_in_no_flow
    a_flow_that_is_open_is_forgotten_once_it_has_ended
    the_id_of_a_pass_that_may_be_usable_is_not_forgotten
    a_flow_is_emptied_after_its_time_and_its_ending_stays
    the_clean_up_removes_what_is_kept_no_longer
    processes_take_turns_at_the_clean_up
    the_audit_is_read_in_pages_and_never_changed
    tables_of_the_version_before_are_updated_and_their_flows_go_on
    statements_of_the_version_before_run_on_these_tables
    an_operator_works_beside_the_service
}

fn now() -> DateTime<Utc> {
    let now = DateTime::<Utc>::from(SystemTime::now());
    DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap()
}

fn by() -> Operator {
    "J. Jansen".parse().unwrap()
}

fn archive(queue: &Queue) -> &dyn Archive {
    queue.archive().unwrap()
}

fn callout(user: UserId) -> Callout {
    let result = Guid::random();
    let callback = Callback::lifecycle(Guid::random(), Guid::random(), result);
    Callout::new(result.into(), user, callback, now())
}

/// Claims the flow of this call-out.
async fn claimed(queue: &Queue, callout: &Callout) -> Arc<dyn Lease> {
    assert_eq!(queue.enqueue(callout).await.unwrap(), Taken::New);
    let lease = queue.engine().next().await.unwrap().unwrap();
    assert_eq!(lease.callout().flow(), callout.flow());
    lease
}

async fn append(lease: &dyn Lease, entries: &[Value]) {
    let from = lease.entries().await.unwrap().records.len();
    for (at, entry) in entries.iter().enumerate() {
        let entry = serde_json::from_value(entry.clone()).unwrap();
        lease
            .append(from + at, &Record::new(now(), entry))
            .await
            .unwrap();
    }
}

async fn done(lease: &dyn Lease) {
    let ending = Ending::of(&lease.entries().await.unwrap()).unwrap();
    lease.done(&ending).await.unwrap();
}

fn pass(valid_until: DateTime<Utc>) -> [Value; 3] {
    [
        json!({"issuing": {"round": 1, "seen": []}}),
        json!({"issued": {"round": 1, "tap": "c6a1f0d2", "valid_until": valid_until}}),
        json!({"sending": {"round": 1, "reference": "order42", "provider": "kpn"}}),
    ]
}

fn resumed(verdict: &Value) -> [Value; 2] {
    [
        json!({"resuming": {"verdict": verdict}}),
        json!({"resumed": {"verdict": verdict, "heard": true}}),
    ]
}

/// Runs a flow that fails before there is a pass.
async fn failed(queue: &Queue, user: UserId, reason: &str) -> Callout {
    let callout = callout(user);
    let lease = claimed(queue, &callout).await;
    append(&*lease, &resumed(&json!({"failed": reason}))).await;
    done(&*lease).await;
    callout
}

/// Runs a flow whose text with a pass of this expiry is accepted.
async fn completed(queue: &Queue, user: UserId, valid_until: DateTime<Utc>) -> Callout {
    let callout = callout(user);
    let lease = claimed(queue, &callout).await;
    append(&*lease, &pass(valid_until)).await;
    let accepted =
        json!({"accepted": {"round": 1, "reference": "order42", "provider": "kpn", "id": "a-1"}});
    append(&*lease, &[accepted]).await;
    append(&*lease, &resumed(&json!("completed"))).await;
    done(&*lease).await;
    callout
}

fn user() -> UserId {
    Guid::random().into()
}

/// Takes and returns all events.
async fn events(queue: &Queue) -> Vec<(String, FlowEvent)> {
    let source = queue.events().unwrap();
    let mut events = Vec::new();
    while let Some(event) = source.take(Duration::from_secs(60)).await.unwrap() {
        events.push((event.id, serde_json::from_str(&event.body).unwrap()));
    }
    events
}

async fn audit(queue: &Queue) -> Vec<Value> {
    let (from, to) = (now() - TimeDelta::days(3650), now() + TimeDelta::days(1));
    let lines = archive(queue).audit(from, to, None, 1000).await.unwrap();
    lines
        .iter()
        .map(|line| serde_json::to_value(line).unwrap())
        .collect()
}

async fn actions(queue: &Queue) -> Vec<String> {
    let lines = audit(queue).await;
    lines
        .iter()
        .map(|line| line["action"].as_str().unwrap().to_owned())
        .collect()
}

async fn listed(queue: &Queue, filter: &FlowFilter) -> Vec<FlowId> {
    let flows = archive(queue).flows(filter, None, 1000).await.unwrap();
    flows.iter().map(|flow| flow.status.flow).collect()
}

/// Lets the next clean-up begin at once.
async fn sweep(store: &Store, queue: &Queue, retention: &Retention) -> postduif_queue::Swept {
    store.run("UPDATE postduif_turn SET until = 0").await;
    archive(queue).sweep(retention).await.unwrap().unwrap()
}

async fn the_end_of_a_flow_is_an_event_and_lines_of_the_audit(store: Store) {
    let queue = store.open().await;
    let user = user();
    let callout = callout(user);
    let lease = claimed(&queue, &callout).await;
    append(&*lease, &pass(now() + TimeDelta::hours(1))).await;
    let cause = json!({"kind": "insufficient_balance", "code": "303", "provider": "kpn"});
    let end = json!({"end": {"failed": "not_accepted"}});
    let entries = [
        json!({"not_accepted": {"round": 1, "reference": "order42", "cause": cause}}),
        json!({"revoking": {"tap": "c6a1f0d2", "then": end}}),
        json!({"revoked": {"tap": "c6a1f0d2", "then": end}}),
    ];
    append(&*lease, &entries).await;
    append(&*lease, &resumed(&json!({"failed": "not_accepted"}))).await;
    assert_eq!(events(&queue).await, []);
    assert_eq!(audit(&queue).await, Vec::<Value>::new());
    done(&*lease).await;

    let [(id, event)] = &events(&queue).await[..] else {
        panic!("one event")
    };
    assert_eq!(
        *id,
        format!("evt_{}_ended", callout.flow().to_string().replace('-', ""))
    );
    let mut event = serde_json::to_value(event).unwrap();
    assert_eq!(event["timestamp"], event["data"]["ended_at"]);
    event["timestamp"] = Value::Null;
    event["data"]["ended_at"] = Value::Null;
    let expected = json!({"type": "flow.failed", "timestamp": null, "data": {
        "flow": callout.flow(), "user": user, "verdict": "failed", "reason": "not_accepted", "heard": true,
        "provider": "kpn", "id": null, "error": "insufficient_balance", "code": "303", "passes": 1, "doubts": 0,
        "may_be_usable": false, "may_be_usable_until": null, "received_at": callout.received_at(), "ended_at": null,
    }});
    assert_eq!(event, expected);

    let lines = audit(&queue).await;
    let found: Vec<_> = lines
        .iter()
        .map(|line| line["action"].as_str().unwrap())
        .collect();
    let expected = [
        "callout_received",
        "pass_issued",
        "text_not_accepted",
        "pass_revoked",
        "verdict",
    ];
    assert_eq!(found, expected);
    for line in &lines {
        assert_eq!(line["user"], user.to_string());
        assert_eq!(line["flow"], callout.flow().to_string());
    }
    assert_eq!(lines[1]["pass"], "c6a1f0d2");
    assert_eq!(lines[2]["code"], "303");
    assert_eq!(lines[4]["reason"], "not_accepted");
}

async fn a_repeated_end_adds_nothing(store: Store) {
    let queue = store.open().await;
    let callout = callout(user());
    let lease = claimed(&queue, &callout).await;
    append(&*lease, &resumed(&json!("completed"))).await;
    let ending = Ending::of(&lease.entries().await.unwrap()).unwrap();
    lease.done(&ending).await.unwrap();
    let (lines, events_before) = (audit(&queue).await, events(&queue).await.len());
    lease.done(&ending).await.unwrap();
    assert_eq!(audit(&queue).await, lines);
    assert_eq!((events_before, events(&queue).await.len()), (1, 0));
}

async fn an_end_that_is_lost_adds_nothing(store: Store) {
    let queue = store.open().await;
    let callout = callout(user());
    let lease = claimed(&queue, &callout).await;
    append(&*lease, &resumed(&json!("completed"))).await;
    let ending = Ending::of(&lease.entries().await.unwrap()).unwrap();
    store
        .run("UPDATE postduif_flow SET epoch = epoch + 1")
        .await;
    lease.done(&ending).await.unwrap_err();
    assert_eq!(audit(&queue).await, Vec::<Value>::new());
    assert_eq!(events(&queue).await, []);
}

async fn each_way_to_end_has_its_type_of_event(store: Store) {
    let queue = store.open().await;
    for (reason, kind) in [
        ("no_number", FlowEventType::Failed),
        ("in_doubt", FlowEventType::InDoubt),
        ("deadline_passed", FlowEventType::Late),
    ] {
        failed(&queue, user(), reason).await;
        assert_eq!(events(&queue).await[0].1.kind, kind, "{reason}");
    }
    completed(&queue, user(), now()).await;
    let event = &events(&queue).await[0].1;
    assert_eq!(event.kind, FlowEventType::Completed);
    assert_eq!(event.data.id.as_deref(), Some("a-1"));
}

async fn a_pass_that_may_be_usable_is_an_event_at_once(store: Store) {
    let queue = store.open().await;
    let callout = callout(user());
    let lease = claimed(&queue, &callout).await;
    let until = now() + TimeDelta::hours(1);
    append(&*lease, &pass(until)).await;
    let end = json!({"end": {"failed": "graph_unavailable"}});
    append(
        &*lease,
        &[json!({"revoking": {"tap": "c6a1f0d2", "valid_until": until, "then": end}})],
    )
    .await;
    append(&*lease, &resumed(&json!({"failed": "graph_unavailable"}))).await;
    let [(id, event)] = &events(&queue).await[..] else {
        panic!("one event")
    };
    assert!(id.ends_with("_pass"), "{id}");
    assert_eq!(event.kind, FlowEventType::PassMayBeUsable);
    assert!(event.data.may_be_usable);
    assert_eq!(event.data.may_be_usable_until, Some(until));
    assert_eq!((event.data.doubts, event.data.ended_at), (1, None));
    // The last event tells that it was revoked after all.
    append(
        &*lease,
        &[json!({"revoked": {"tap": "c6a1f0d2", "then": end}})],
    )
    .await;
    done(&*lease).await;
    let [(_, event)] = &events(&queue).await[..] else {
        panic!("one event")
    };
    assert_eq!(event.kind, FlowEventType::Failed);
    assert!(!event.data.may_be_usable);
}

async fn an_event_is_taken_by_one_poster_until_it_is_posted(store: Store) {
    let queue = store.open().await;
    failed(&queue, user(), "no_number").await;
    let other = store.another(&queue).await;
    let (one, two) = (queue.events().unwrap(), other.events().unwrap());
    let minute = Duration::from_secs(60);
    let event = one.take(minute).await.unwrap().unwrap();
    assert_eq!(event.tries, 0);
    assert_eq!(two.take(minute).await.unwrap(), None);
    one.postpone(&event.id, Duration::ZERO).await.unwrap();
    let again = two.take(minute).await.unwrap().unwrap();
    assert_eq!((&again.id, again.tries), (&event.id, 1));
    assert_eq!(again.body, event.body);
    two.posted(&event.id).await.unwrap();
    // A poster that was slow does not bring it back.
    one.postpone(&event.id, Duration::ZERO).await.unwrap();
    assert_eq!(one.take(minute).await.unwrap(), None);
}

async fn a_taken_event_is_due_again_after_its_time(store: Store) {
    let queue = store.open().await;
    failed(&queue, user(), "no_number").await;
    let source = queue.events().unwrap();
    assert!(source.take(Duration::ZERO).await.unwrap().is_some());
    assert!(
        source
            .take(Duration::from_secs(60))
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        source
            .take(Duration::from_secs(60))
            .await
            .unwrap()
            .is_none()
    );
    // Also if the clock was set back by days.
    store
        .run("UPDATE postduif_event SET due = due + 864000000")
        .await;
    assert!(
        source
            .take(Duration::from_secs(60))
            .await
            .unwrap()
            .is_some()
    );
}

async fn a_list_has_the_flows_of_its_filter_and_goes_on_after_any_of_them(store: Store) {
    let queue = store.open().await;
    let person = user();
    let one = failed(&queue, person, "no_number").await.flow();
    let two = completed(&queue, user(), now()).await.flow();
    let open = callout(person);
    queue.enqueue(&open).await.unwrap();
    let open = open.flow();
    let all = FlowFilter::new();
    assert_eq!(listed(&queue, &all).await.len(), 3);
    assert_eq!(listed(&queue, &all.clone().failed()).await, [one]);
    assert_eq!(listed(&queue, &all.clone().open()).await, [open]);
    let of_user: HashSet<_> = listed(&queue, &all.clone().of_user(person))
        .await
        .into_iter()
        .collect();
    assert_eq!(of_user, HashSet::from([one, open]));
    assert_eq!(
        listed(&queue, &all.clone().since(now() + TimeDelta::hours(1))).await,
        []
    );
    let mut pages = Vec::new();
    let mut after = None;
    while let [flow] = &archive(&queue)
        .flows(&all, after.as_ref(), 1)
        .await
        .unwrap()[..]
    {
        pages.push(flow.status.flow);
        after = Some(flow.status.flow);
    }
    assert_eq!(pages, listed(&queue, &all).await);
    assert!(pages.contains(&two));
}

async fn the_details_of_a_flow_have_its_entries(store: Store) {
    let queue = store.open().await;
    let flow = completed(&queue, user(), now()).await.flow();
    let details = archive(&queue).flow(&flow).await.unwrap().unwrap();
    assert_eq!(details.entries.records.len(), 6);
    assert_eq!(details.due_at, None);
    assert!(details.summary.status.ending.is_some());
    let unknown = Guid::random().into();
    assert!(archive(&queue).flow(&unknown).await.unwrap().is_none());
}

async fn only_a_flow_that_has_failed_is_retried_and_only_once(store: Store) {
    let queue = store.open().await;
    let retry = async |flow: FlowId| archive(&queue).retry(&flow, &by(), now()).await.unwrap();
    assert_eq!(retry(Guid::random().into()).await, Retried::Unknown);
    let good = completed(&queue, user(), now()).await.flow();
    assert_eq!(retry(good).await, Retried::Completed);
    let bad = failed(&queue, user(), "no_number").await.flow();
    let Retried::Started(new) = retry(bad).await else {
        panic!("it failed")
    };
    assert_eq!(retry(bad).await, Retried::Already(new));
    assert_eq!(retry(new).await, Retried::Open);
    let details = archive(&queue).flow(&bad).await.unwrap().unwrap();
    assert_eq!(details.retried_as, Some(new));
    let details = archive(&queue).flow(&new).await.unwrap().unwrap();
    assert_eq!(details.summary.retry_of, Some(bad));
    let lines = audit(&queue).await;
    let [line] = &lines
        .iter()
        .filter(|line| line["action"] == "retried")
        .collect::<Vec<_>>()[..]
    else {
        panic!("one line")
    };
    assert_eq!(line["by"], "J. Jansen");
    assert_eq!(line["retry_of"], bad.to_string());
    // Nobody knows whom a flow without a user is about.
    let nobody = Callout::without_user(Guid::random().into(), None, now());
    queue.enqueue(&nobody).await.unwrap();
    store
        .run("UPDATE postduif_flow SET due = due + 60000 WHERE user_id IS NOT NULL")
        .await;
    let lease = queue.engine().next().await.unwrap().unwrap();
    append(&*lease, &resumed(&json!({"failed": "user_not_found"}))).await;
    done(&*lease).await;
    assert_eq!(retry(nobody.flow()).await, Retried::NoUser);
}

async fn of_two_operators_one_retries(store: Store) {
    let queue = store.open().await;
    let other = store.another(&queue).await;
    let flow = failed(&queue, user(), "no_number").await.flow();
    let (by, at) = (by(), now());
    let (one, two) = tokio::join!(
        archive(&queue).retry(&flow, &by, at),
        archive(&other).retry(&flow, &by, at)
    );
    let both = [one.unwrap(), two.unwrap()];
    let started = |retried: &&Retried| matches!(retried, Retried::Started(_));
    assert_eq!(both.iter().filter(started).count(), 1, "{both:?}");
}

async fn a_retry_runs_without_a_callback(store: Store) {
    let queue = store.open().await;
    let person = user();
    let flow = failed(&queue, person, "no_number").await.flow();
    let Retried::Started(new) = archive(&queue).retry(&flow, &by(), now()).await.unwrap() else {
        panic!("it failed")
    };
    let lease = queue.engine().next().await.unwrap().unwrap();
    let callout = lease.callout();
    assert_eq!((callout.flow(), callout.user()), (new, Some(person)));
    assert!(callout.callback().is_none());
    // It knows the passes of the first one.
    assert_eq!(lease.of_user().await.unwrap().len(), 2);
}

async fn an_export_has_what_is_stored_of_a_user_and_is_in_the_audit(store: Store) {
    let queue = store.open().await;
    let person = user();
    let flow = completed(&queue, person, now()).await.flow();
    failed(&queue, user(), "no_number").await;
    let export = archive(&queue).export(&person, &by(), now()).await.unwrap();
    let [only] = &export.flows[..] else {
        panic!("one flow")
    };
    assert_eq!(only.summary.status.flow, flow);
    assert_eq!(only.entries.records.len(), 6);
    assert!(!export.truncated);
    assert!(export.audit.iter().all(|line| line.user == Some(person)));
    let last = export.audit.last().unwrap();
    assert_eq!(
        (last.action, last.by.as_deref()),
        (AuditAction::Exported, Some("J. Jansen"))
    );
    assert_eq!(export.audit[0].action, AuditAction::CalloutReceived);
}

async fn a_user_who_is_forgotten_is_in_no_flow(store: Store) {
    let queue = store.open().await;
    let person = user();
    let gone = now() - TimeDelta::seconds(1);
    let callout = completed(&queue, person, gone).await;
    let other = failed(&queue, user(), "no_number").await.flow();
    let forgotten = archive(&queue).forget(&person, &by(), now()).await.unwrap();
    assert_eq!((forgotten.emptied, forgotten.later), (1, 0));
    let filter = FlowFilter::new().of_user(person);
    assert_eq!(listed(&queue, &filter).await, []);
    let details = archive(&queue)
        .flow(&callout.flow())
        .await
        .unwrap()
        .unwrap();
    let json = serde_json::to_string(&details).unwrap();
    for gone in [person.to_string().as_str(), "c6a1f0d2", "order42", "a-1"] {
        assert!(!json.contains(gone), "{gone}: {json}");
    }
    // The verdict stays, and a repeated call-out starts nothing.
    assert!(details.summary.status.ending.unwrap().heard);
    assert_eq!(queue.enqueue(&callout).await.unwrap(), Taken::Known);
    assert!(queue.engine().next().await.unwrap().is_none());
    assert_eq!(
        queue
            .journal()
            .flow_of(&"order42".parse().unwrap())
            .await
            .unwrap(),
        None
    );
    let claim = queue.journal().claim(&callout).await.unwrap().unwrap();
    assert!(Ending::of(&claim.entries().await.unwrap()).is_some());
    // Others are as they were, and the audit tells who ordered it.
    let details = archive(&queue).flow(&other).await.unwrap().unwrap();
    assert!(details.summary.status.user.is_some());
    assert!(actions(&queue).await.contains(&"forgotten".to_owned()));
}

async fn a_flow_that_is_open_is_forgotten_once_it_has_ended(store: Store) {
    let queue = store.open().await;
    let person = user();
    let callout = callout(person);
    let lease = claimed(&queue, &callout).await;
    let forgotten = archive(&queue).forget(&person, &by(), now()).await.unwrap();
    assert_eq!((forgotten.emptied, forgotten.later), (0, 1));
    append(&*lease, &resumed(&json!({"failed": "no_number"}))).await;
    done(&*lease).await;
    assert_eq!(sweep(&store, &queue, &Retention::new()).await.emptied, 1);
    assert_eq!(listed(&queue, &FlowFilter::new().of_user(person)).await, []);
}

async fn the_id_of_a_pass_that_may_be_usable_is_not_forgotten(store: Store) {
    let queue = store.open().await;
    let person = user();
    completed(&queue, person, now() + TimeDelta::hours(1)).await;
    let forgotten = archive(&queue).forget(&person, &by(), now()).await.unwrap();
    assert_eq!((forgotten.emptied, forgotten.later), (0, 1));
    let soon = Retention::new().with_flows(Duration::ZERO);
    assert_eq!(sweep(&store, &queue, &soon).await.emptied, 0);
    store.run("UPDATE postduif_flow SET keep_until = 1").await;
    assert_eq!(sweep(&store, &queue, &soon).await.emptied, 1);
}

async fn a_flow_is_emptied_after_its_time_and_its_ending_stays(store: Store) {
    let queue = store.open().await;
    let callout = failed(&queue, user(), "no_number").await;
    let days = Retention::new();
    assert_eq!(sweep(&store, &queue, &days).await.emptied, 0);
    store
        .run("UPDATE postduif_flow SET done_at = done_at - 2678400000")
        .await;
    assert_eq!(sweep(&store, &queue, &days).await.emptied, 1);
    assert_eq!(sweep(&store, &queue, &days).await.emptied, 0);
    let status = queue.status(&callout.flow()).await.unwrap().unwrap();
    assert_eq!(status.user, None);
    assert!(
        status
            .ending
            .is_some_and(|ending| ending.reason().is_some())
    );
    assert_eq!(queue.enqueue(&callout).await.unwrap(), Taken::Known);
    assert_eq!(audit(&queue).await.len(), 2);
}

async fn the_clean_up_removes_what_is_kept_no_longer(store: Store) {
    let queue = store.open().await;
    let callout = failed(&queue, user(), "no_number").await;
    failed(&queue, user(), "no_number").await;
    // One was tried, the other one never.
    queue
        .events()
        .unwrap()
        .take(Duration::from_secs(60))
        .await
        .unwrap();
    let soon = Retention::new().with_flows(Duration::ZERO);
    // By the clock of the database, a moment later.
    store
        .run("UPDATE postduif_flow SET done_at = done_at - 10")
        .await;
    assert_eq!(sweep(&store, &queue, &soon).await.emptied, 2);
    store
        .run("UPDATE postduif_event SET at = at - 2678400000")
        .await;
    let swept = sweep(&store, &queue, &soon).await;
    assert_eq!((swept.events, swept.unposted), (2, 1));
    assert_eq!(events(&queue).await, []);
    assert_eq!(audit(&queue).await.len(), 4);
    // No call-out of a flow that was removed can come again.
    let never = soon.with_audit(Duration::ZERO);
    assert_eq!(sweep(&store, &queue, &never).await.removed, 0);
    store
        .run("UPDATE postduif_flow SET done_at = done_at - 2678400000")
        .await;
    assert_eq!(sweep(&store, &queue, &soon).await.removed, 0);
    assert_eq!(sweep(&store, &queue, &never).await.removed, 2);
    assert!(queue.status(&callout.flow()).await.unwrap().is_none());
}

async fn processes_take_turns_at_the_clean_up(store: Store) {
    let queue = store.open().await;
    let other = store.another(&queue).await;
    let days = Retention::new();
    let (one, two) = tokio::join!(archive(&queue).sweep(&days), archive(&other).sweep(&days));
    let turns = [one.unwrap(), two.unwrap()];
    assert_eq!(turns.iter().flatten().count(), 1);
    assert_eq!(archive(&other).sweep(&days).await.unwrap(), None);
}

async fn the_audit_is_read_in_pages_and_never_changed(store: Store) {
    let queue = store.open().await;
    for _ in 0..3 {
        failed(&queue, user(), "no_number").await;
    }
    let (from, to) = (now() - TimeDelta::hours(1), now() + TimeDelta::hours(1));
    let whole = archive(&queue).audit(from, to, None, 1000).await.unwrap();
    assert_eq!(whole.len(), 6);
    let mut pages = Vec::new();
    loop {
        let after = pages
            .last()
            .map(|line: &postduif_queue::AuditLine| line.id.clone());
        let page = archive(&queue)
            .audit(from, to, after.as_deref(), 2)
            .await
            .unwrap();
        if page.is_empty() {
            break;
        }
        pages.extend(page);
    }
    assert_eq!(pages, whole);
    assert_eq!(archive(&queue).audit(to, from, None, 10).await.unwrap(), []);
    let change = "UPDATE postduif_audit SET body = '{}'";
    assert!(store.try_run(change).await.is_err());
    assert_eq!(
        archive(&queue).audit(from, to, None, 1000).await.unwrap(),
        whole
    );
}

const TABLES_1: &str = include_str!("../tables_1.sql");

async fn tables_of_the_version_before_are_updated_and_their_flows_go_on(store: Store) {
    store.run(TABLES_1).await;
    let queue = store.open().await;
    let flow = |number: u128| {
        FlowId::from(Guid::from_u128(
            0x0a1b_2c3d_4e5f_4a6b_8c7d_0000_0000_0000 + number,
        ))
    };
    // Both flows that were open go on from their entries.
    let mut entries = Vec::new();
    for _ in 0..2 {
        let lease = queue.engine().next().await.unwrap().unwrap();
        entries.push((
            lease.callout().flow(),
            lease.entries().await.unwrap().records.len(),
        ));
        append(&*lease, &resumed(&json!({"failed": "deadline_passed"}))).await;
        done(&*lease).await;
    }
    entries.sort_unstable();
    assert_eq!(entries, [(flow(3), 3), (flow(4), 0)]);
    // Those that had ended are in the audit after the first clean-up.
    let swept = sweep(&store, &queue, &Retention::new()).await;
    assert_eq!(swept.audited, 2);
    let told = |line: &&Value| line["action"] == "verdict";
    assert_eq!(audit(&queue).await.iter().filter(told).count(), 4);
    let Retried::Started(_) = archive(&queue).retry(&flow(2), &by(), now()).await.unwrap() else {
        panic!("it had failed")
    };
}

async fn statements_of_the_version_before_run_on_these_tables(store: Store) {
    let queue = store.open().await;
    // What a program of version 1 writes when a flow comes in, is claimed, has entries, and ends.
    let inserts = TABLES_1.lines().filter(|line| {
        line.starts_with("INSERT")
            && !line.contains("postduif_schema")
            && !line.contains("postduif_clock")
    });
    store.run(&inserts.collect::<Vec<_>>().join("\n")).await;
    store
        .run(
            "UPDATE postduif_flow
             SET takeovers = takeovers + CASE WHEN holder IS NULL THEN 0 ELSE 1 END,
                 holder = 'old', epoch = epoch + 1, due = 1, touched = 1, again = 0
             WHERE id = '0a1b2c3d-4e5f-4a6b-8c7d-000000000004';
             UPDATE postduif_flow
             SET done_at = COALESCE(done_at, 1795971566077), ending = COALESCE(ending,
                 '{\"flow\":\"0a1b2c3d-4e5f-4a6b-8c7d-000000000004\",\"verdict\":{\"failed\":\"no_number\"}}'),
                 due = NULL, holder = NULL, takeovers = 0, touched = 1
             WHERE id = '0a1b2c3d-4e5f-4a6b-8c7d-000000000004' AND epoch = 1
                 AND (holder IS NOT NULL OR done_at IS NOT NULL)",
        )
        .await;
    // The program of this version adds what the other one does not know.
    assert_eq!(sweep(&store, &queue, &Retention::new()).await.audited, 3);
    assert_eq!(listed(&queue, &FlowFilter::new().failed()).await.len(), 2);
}

async fn an_operator_works_beside_the_service(store: Store) {
    let service = store.open().await;
    let flow = failed(&service, user(), "no_number").await.flow();
    let held = callout(user());
    let lease = claimed(&service, &held).await;
    let beside = Queue::builder(store.url()).open_beside().await.unwrap();
    assert_eq!(listed(&beside, &FlowFilter::new().failed()).await, [flow]);
    let Retried::Started(new) = archive(&beside).retry(&flow, &by(), now()).await.unwrap() else {
        panic!("it failed")
    };
    // The service runs it, and no flow was taken from it.
    let retry = service.engine().next().await.unwrap().unwrap();
    assert_eq!(retry.callout().flow(), new);
    lease.extend().await.unwrap();
    drop(beside);
    append(&*lease, &resumed(&json!({"failed": "no_number"}))).await;
    done(&*lease).await;
    let memo: Memo = serde_json::from_value(json!({})).unwrap();
    retry.give_back(now(), &memo).await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_not_there_is_not_created_beside() {
    let store = Store::sqlite();
    let error = Queue::builder(store.url()).open_beside().await.unwrap_err();
    assert!(error.to_string().contains("cannot be opened"), "{error}");
    let Store::Sqlite { folder } = &store else {
        panic!("a folder")
    };
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0);
    // Nor are older tables updated.
    store.run(TABLES_1).await;
    let error = Queue::builder(store.url()).open_beside().await.unwrap_err();
    assert!(error.to_string().contains("start the service"), "{error}");
    Queue::builder("memory").open_beside().await.unwrap_err();
}
