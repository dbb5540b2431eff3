//! The promises that every journal of the onboarding flow keeps, one function each.
//!
//! [`journal_conformance!`](crate::journal_conformance) makes each of them a named test.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::{
    Callback, Callout, DeliveryReport, DeliveryStatus, ErrorKind, FlowId, GraphErrorKind, Guid,
    Reason, Reference, UserId, Verdict,
};
use postduif_onboarding::{
    Claim, Entries, Entry, GraphCause, Journal, JournalError, JournalErrorKind, Record, Report,
    SendCause, Then,
};

/// What the suite must know of a store to test its journal.
pub trait PretendStore: Send + Sync + 'static {
    /// Opens the store as a process that has just started does, and returns its journal. The first call makes a
    /// store of its own, that nobody has written in; each further call opens the same one a second time, while
    /// the journals of earlier calls may still be in use, as by another process.
    fn open(&self) -> impl Future<Output = Arc<dyn Journal>> + Send;

    /// Whether another process sees what one has written. Where it is not so, what several processes do is not
    /// tried.
    ///
    /// Defaults to yes.
    fn is_shared(&self) -> bool {
        true
    }

    /// Writes this JSON as the flow's entry of this number, counted from 0, in place of a [`Record`]: what a newer
    /// version would have written. Returns whether it did. A store that keeps no written form returns `false`,
    /// and then unknown words are not tried.
    fn write_raw(
        &self,
        flow: FlowId,
        number: usize,
        json: &str,
    ) -> impl Future<Output = bool> + Send;

    /// How long a flow, or a user, may stay taken after its holder is gone: the store's lease.
    ///
    /// Defaults to nothing.
    fn lease(&self) -> Duration {
        Duration::ZERO
    }
}

/// Makes a named test of every promise, for a [`PretendStore`]. The expression is evaluated for each of them, so
/// that each has a store of its own:
///
/// ```no_run
/// mod conformance {
///     // postduif_testkit::journal_conformance!(ExampleStore::new());
/// }
/// ```
///
/// A failure then reads `conformance::an_entry_is_appended_only_as_the_next`.
#[macro_export]
macro_rules! journal_conformance {
    ($store:expr) => {
        $crate::journal_conformance!(@each $store;
            nothing_is_written_of_a_flow_that_nobody_knows
            a_claim_is_of_the_call_out_that_was_claimed
            entries_come_as_they_were_appended
            an_entry_is_appended_only_as_the_next
            of_two_holders_one_appends
            a_flow_has_one_holder_at_a_time
            what_was_written_outlives_its_process
            an_unknown_word_gives_the_flow_back
            a_flow_is_found_by_the_references_of_its_texts
            a_flow_is_found_by_the_vendors_ids
            reports_come_from_outside
            reports_take_none_of_the_flows_room
            an_order_to_stop_comes_from_outside
            the_flows_of_a_user_are_known
            a_user_is_one_flows_at_a_time
            a_users_lock_ends_by_itself
            a_user_stays_with_a_flow_whose_effect_is_open
        );
    };
    (@each $store:expr; $($promise:ident)+) => {
        $(
            #[test]
            fn $promise() {
                $crate::block_on($crate::journal_promises::$promise(&$store));
            }
        )+
    };
}

/// How long any call of a journal may take.
const CALL: Duration = Duration::from_secs(10);

/// How long the suite waits beyond a store's lease for what is free again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A call that must end, whatever comes of it.
#[track_caller]
fn soon<T>(call: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(CALL, call).await {
            Ok(output) => output,
            Err(_) => panic!("a call at {place} did not end within {CALL:?}"),
        }
    }
}

fn at() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn callout_of(user: UserId) -> Callout {
    let [workflow, task, result] = std::array::from_fn(|_| Guid::random());
    let callback = Callback::Lifecycle {
        workflow,
        task,
        result,
    };
    // Begun now: a store may forget what is older than a pass can be.
    let received_at = std::time::SystemTime::now().into();
    Callout::new(result.into(), user, callback, received_at)
}

fn callout() -> Callout {
    callout_of(Guid::random().into())
}

fn record(entry: Entry) -> Record {
    Record::new(at(), entry)
}

fn tap(id: &str) -> postduif_core::TapId {
    id.parse().expect("it is the id of a pass")
}

fn issuing() -> Record {
    record(Entry::Issuing {
        round: 1,
        seen: vec![tap("seen-1"), tap("seen-2")],
    })
}

fn sending(reference: Reference) -> Record {
    record(Entry::Sending {
        round: 1,
        reference,
        provider: "kpn".into(),
    })
}

fn accepted(reference: Reference, id: &str, part_id: &str) -> Record {
    record(Entry::Accepted {
        round: 1,
        reference,
        provider: "kpn".into(),
        id: Some(id.into()),
        part_ids: vec![part_id.into()],
        parts: Some(2),
        reports: 1,
        price: "0.0727 EUR".parse().ok(),
    })
}

/// One entry of each kind, as a flow might have them.
fn every_entry() -> Vec<Record> {
    let reference = Reference::random();
    let valid_until = at();
    let then = Then::End(Verdict::Failed(Reason::NotAccepted));
    let mut cause = GraphCause::new(GraphErrorKind::Unavailable);
    cause.message = Some("Graph \"failed\"\n'é'".into());
    cause.date = Some(at());
    let refused = SendCause::new(ErrorKind::Blocked);
    let entries = [
        Entry::NotAsked { round: 1 },
        Entry::NotIssued {
            round: 1,
            cause: cause.clone(),
        },
        Entry::IssueInDoubt {
            round: 1,
            cause: cause.clone(),
        },
        Entry::NothingSeen {},
        Entry::Issued {
            round: 1,
            tap: tap("tap-1"),
            valid_until,
        },
        Entry::NotSent {
            round: 1,
            reference,
        },
        Entry::InDoubt {
            round: 1,
            reference,
            cause: refused.clone(),
        },
        Entry::NotAccepted {
            round: 1,
            reference,
            cause: refused,
        },
        Entry::Kept {
            tap: tap("tap-1"),
            valid_until,
        },
        Entry::Revoking {
            tap: tap("tap-1"),
            valid_until: Some(valid_until),
            then,
        },
        Entry::Revoked {
            tap: tap("tap-1"),
            then: Then::Issue,
        },
        Entry::Expired { tap: tap("tap-1") },
        Entry::Unseen { until: valid_until },
        Entry::Resuming {
            verdict: Verdict::Completed,
            detail: Some("two_numbers".into()),
            cause: Some(cause),
        },
        Entry::Resumed {
            verdict: Verdict::Completed,
            heard: true,
            cause: None,
        },
    ];
    let mut records = vec![issuing(), sending(reference), accepted(reference, "1", "2")];
    records.extend(entries.map(record));
    records
}

fn reported(status: DeliveryStatus, part: Option<&str>) -> Report {
    let mut report = DeliveryReport::new("kpn", status);
    report.id = Some("vendor-1".into());
    report.code = Some("17".into());
    report.part = part.map(str::to_owned);
    Report::new(&report, at())
}

#[track_caller]
fn kind<T: std::fmt::Debug>(result: Result<T, JournalError>) -> JournalErrorKind {
    match result {
        Ok(done) => panic!("it should have failed, and gave {done:?}"),
        Err(error) => error.kind(),
    }
}

/// Claims a flow that is free, or will be when its lease has ended.
async fn claim<S: PretendStore>(
    store: &S,
    journal: &Arc<dyn Journal>,
    callout: &Callout,
) -> Box<dyn Claim> {
    let until = Instant::now() + store.lease() + PATIENCE;
    loop {
        let claim = soon(journal.claim(callout)).await;
        if let Some(claim) = claim.expect("a flow that is free can be claimed") {
            return claim;
        }
        assert!(Instant::now() < until, "a free flow is not given out");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn append(claim: &dyn Claim, number: usize, record: &Record) {
    let appended = soon(claim.append(number, record)).await;
    appended.unwrap_or_else(|error| panic!("entry {number} is not appended: {error:?}"));
}

async fn entries(journal: &Arc<dyn Journal>, flow: FlowId) -> Entries {
    let entries = soon(journal.entries(&flow)).await;
    entries.expect("what was written can be read")
}

/// The promises, for whoever makes tests of them in another way than by the macro.
#[expect(
    clippy::missing_panics_doc,
    reason = "each of them panics where a journal does not keep it"
)]
pub mod promises {
    use super::*;

    /// Reading of a flow that nobody claimed gives nothing, and no error.
    pub async fn nothing_is_written_of_a_flow_that_nobody_knows<S: PretendStore>(store: &S) {
        let journal = store.open().await;
        let flow = Guid::random().into();
        assert_eq!(entries(&journal, flow).await, Entries::new(flow));
        let reference = Reference::random();
        let found = soon(journal.flow_of(&reference)).await;
        assert_eq!(found.expect("it is looked for"), None);
        let found = soon(journal.flow_by_id("kpn", "1")).await;
        assert_eq!(found.expect("it is looked for"), None);
    }

    /// A claim names the call-out as it was given, with a user or without, and holds.
    pub async fn a_claim_is_of_the_call_out_that_was_claimed<S: PretendStore>(store: &S) {
        let journal = store.open().await;
        let known = callout();
        let window = Duration::from_secs(300);
        for callout in [
            callout(),
            callout().with_created_at(at()).with_window(window),
            Callout::without_user(Guid::random().into(), *known.callback(), at()),
        ] {
            let claim = claim(store, &journal, &callout).await;
            assert_eq!(*claim.callout(), callout);
            assert!(claim.holds());
            let entries = soon(claim.entries()).await;
            assert_eq!(entries.expect("it is read"), Entries::new(callout.flow()));
            append(&*claim, 0, &issuing()).await;
        }
    }

    /// Entries of every kind are read as they were appended, in order, by the claim and from outside.
    pub async fn entries_come_as_they_were_appended<S: PretendStore>(store: &S) {
        let journal = store.open().await;
        let [one, other] = [callout(), callout()];
        let claimed = claim(store, &journal, &one).await;
        let beside = claim(store, &journal, &other).await;
        let records = every_entry();
        for (number, record) in records.iter().enumerate() {
            append(&*claimed, number, record).await;
            if number == 3 {
                append(&*beside, 0, &issuing()).await;
            }
        }
        let read = soon(claimed.entries()).await.expect("it is read");
        assert_eq!(read.records, records);
        assert_eq!(entries(&journal, one.flow()).await, read);
        let beside = entries(&journal, other.flow()).await;
        assert_eq!(beside.records, [issuing()]);
    }

    /// An entry that is not the next is refused as lost, and nothing of it is written.
    pub async fn an_entry_is_appended_only_as_the_next<S: PretendStore>(store: &S) {
        let journal = store.open().await;
        let callout = callout();
        let claim = claim(store, &journal, &callout).await;
        append(&*claim, 0, &issuing()).await;
        append(&*claim, 1, &issuing()).await;
        for number in [0, 1, 3, 4] {
            let refused = soon(claim.append(number, &sending(Reference::random()))).await;
            assert_eq!(kind(refused), JournalErrorKind::Lost, "entry {number}");
        }
        let read = entries(&journal, callout.flow()).await;
        assert_eq!(read.records, [issuing(), issuing()]);
        append(&*claim, 2, &issuing()).await;
    }

    /// Of two processes that both believe to hold a flow, one appends each entry, and the other is told that it
    /// is lost.
    pub async fn of_two_holders_one_appends<S: PretendStore>(store: &S) {
        if !store.is_shared() {
            return;
        }
        let [here, there] = [store.open().await, store.open().await];
        let callout = callout();
        let old = claim(store, &here, &callout).await;
        append(&*old, 0, &issuing()).await;
        // Another has it by now: at once where the store has no lease, else when that has ended.
        let new = claim(store, &there, &callout).await;
        for number in 1..20 {
            let records = [Reference::random(), Reference::random()].map(sending);
            let (one, two) = tokio::join!(
                soon(old.append(number, &records[0])),
                soon(new.append(number, &records[1])),
            );
            let written = match (one, two) {
                (Ok(()), Err(error)) => {
                    assert_eq!(error.kind(), JournalErrorKind::Lost);
                    &records[0]
                }
                (Err(error), Ok(())) => {
                    assert_eq!(error.kind(), JournalErrorKind::Lost);
                    &records[1]
                }
                both => panic!("of two holders one appends: {both:?}"),
            };
            let read = entries(&here, callout.flow()).await;
            assert_eq!(read.records.len(), number + 1);
            assert_eq!(read.records.last(), Some(written));
        }
    }

    /// While a claim is held nobody gets another from the same journal; when it is dropped somebody does.
    pub async fn a_flow_has_one_holder_at_a_time<S: PretendStore>(store: &S) {
        let journal = store.open().await;
        let callout = callout();
        let held = claim(store, &journal, &callout).await;
        append(&*held, 0, &issuing()).await;
        let second = soon(journal.claim(&callout)).await;
        assert!(second.expect("it is tried").is_none(), "it has a holder");
        drop(held);
        let next = claim(store, &journal, &callout).await;
        append(&*next, 1, &issuing()).await;
    }

    /// A process that starts reads what others have written: entries, reports, orders to stop.
    pub async fn what_was_written_outlives_its_process<S: PretendStore>(store: &S) {
        if !store.is_shared() {
            return;
        }
        let callout = callout();
        let flow = callout.flow();
        let written = {
            let journal = store.open().await;
            let claim = claim(store, &journal, &callout).await;
            for (number, record) in every_entry().iter().enumerate() {
                append(&*claim, number, record).await;
            }
            let report = reported(DeliveryStatus::Sent, None);
            let kept = soon(journal.report(&flow, &report)).await;
            kept.expect("a report is kept");
            soon(journal.stop(&flow, at())).await.expect("it is kept");
            entries(&journal, flow).await
        };
        assert_eq!(written.reports.len(), 1);
        assert_eq!(written.stop, Some(at()));
        let journal = store.open().await;
        assert_eq!(entries(&journal, flow).await, written);
        let claim = claim(store, &journal, &callout).await;
        append(&*claim, written.records.len(), &issuing()).await;
    }

    /// An entry of a newer version is unreadable, and harms no other flow. It is not skipped, and the flow does
    /// not look as if nothing were written.
    pub async fn an_unknown_word_gives_the_flow_back<S: PretendStore>(store: &S) {
        for raw in [
            r#"{"v":1,"at":"2026-11-23T08:00:00Z","entry":{"recalled":{"tap":"c6a1f0d2"}}}"#,
            r#"{"v":1,"at":"2026-11-23T08:00:00Z","entry":{"not_issued":{"round":1,"cause":{"kind":"eclipse"}}}}"#,
            r#"{"v":2,"at":"2026-11-23T08:00:00Z","entry":{"not_asked":{"round":1}}}"#,
        ] {
            let journal = store.open().await;
            let [newer, other] = [callout(), callout()];
            let claimed = claim(store, &journal, &newer).await;
            append(&*claimed, 0, &issuing()).await;
            let beside = claim(store, &journal, &other).await;
            append(&*beside, 0, &issuing()).await;
            if !store.write_raw(newer.flow(), 1, raw).await {
                return;
            }
            let read = soon(claimed.entries()).await;
            assert_eq!(kind(read), JournalErrorKind::Unreadable, "{raw}");
            let read = soon(journal.entries(&newer.flow())).await;
            assert_eq!(kind(read), JournalErrorKind::Unreadable, "{raw}");
            append(&*beside, 1, &issuing()).await;
            assert_eq!(entries(&journal, other.flow()).await.records.len(), 2);
            // The look-ups of others go on too.
            let found = soon(journal.flow_of(&Reference::random())).await;
            assert_eq!(found.expect("it is looked for"), None);
        }
    }

    /// A flow is found by each of its texts' references, from the moment that the intent to send is written.
    pub async fn a_flow_is_found_by_the_references_of_its_texts<S: PretendStore>(store: &S) {
        let journal = store.open().await;
        let [one, other] = [callout(), callout()];
        let references: [Reference; 3] = std::array::from_fn(|_| Reference::random());
        let claimed = claim(store, &journal, &one).await;
        append(&*claimed, 0, &sending(references[0])).await;
        append(&*claimed, 1, &sending(references[1])).await;
        let beside = claim(store, &journal, &other).await;
        append(&*beside, 0, &sending(references[2])).await;
        for (reference, flow) in references
            .iter()
            .zip([one.flow(), one.flow(), other.flow()])
        {
            let found = soon(journal.flow_of(reference)).await;
            assert_eq!(found.expect("it is looked for"), Some(flow));
        }
        let unknown = soon(journal.flow_of(&Reference::random())).await;
        assert_eq!(unknown.expect("it is looked for"), None);
    }

    /// A flow is found by the vendor's ids of its texts and of their segments, and by no other vendor's.
    pub async fn a_flow_is_found_by_the_vendors_ids<S: PretendStore>(store: &S) {
        let journal = store.open().await;
        let callout = callout();
        let claim = claim(store, &journal, &callout).await;
        let reference = Reference::random();
        let [id, part_id] = [Guid::random().to_string(), Guid::random().to_string()];
        append(&*claim, 0, &sending(reference)).await;
        append(&*claim, 1, &accepted(reference, &id, &part_id)).await;
        let flow = Some(callout.flow());
        for (provider, id, expected) in [
            ("kpn", id.as_str(), flow),
            ("kpn", &part_id, flow),
            ("cm", &id, None),
            ("kpn", "another", None),
        ] {
            let found = soon(journal.flow_by_id(provider, id)).await;
            assert_eq!(
                found.expect("it is looked for"),
                expected,
                "{provider} {id}"
            );
        }
    }

    /// Reports are kept whoever holds the flow, do not count among its entries, and say the same once.
    pub async fn reports_come_from_outside<S: PretendStore>(store: &S) {
        let journal = store.open().await;
        let callout = callout();
        let flow = callout.flow();
        let claim = claim(store, &journal, &callout).await;
        append(&*claim, 0, &issuing()).await;
        let outside = if store.is_shared() {
            store.open().await
        } else {
            Arc::clone(&journal)
        };
        let [sent, delivered] = [
            reported(DeliveryStatus::Sent, Some("1")),
            reported(DeliveryStatus::Delivered, Some("1")),
        ];
        let mut later = sent.clone();
        later.at += TimeDelta::hours(1);
        for report in [&sent, &delivered, &later] {
            let kept = soon(outside.report(&flow, report)).await;
            kept.expect("a report is kept");
        }
        let read = soon(claim.entries()).await.expect("it is read");
        assert_eq!(read.reports, [sent.clone(), delivered]);
        assert_eq!(read.records, [issuing()]);
        append(&*claim, 1, &issuing()).await;
        // Of a flow that nobody knows: no error, and nothing that stays.
        let unknown = Guid::random().into();
        let kept = soon(outside.report(&unknown, &sent)).await;
        kept.expect("a report of nobody's is no error");
    }

    /// However many reports come, the flow's own entries have room.
    pub async fn reports_take_none_of_the_flows_room<S: PretendStore>(store: &S) {
        let journal = store.open().await;
        let callout = callout();
        let claim = claim(store, &journal, &callout).await;
        append(&*claim, 0, &issuing()).await;
        for part in 0..300 {
            let report = reported(DeliveryStatus::Sent, Some(&part.to_string()));
            let kept = soon(journal.report(&callout.flow(), &report)).await;
            kept.expect("a report beyond the bound is no error");
        }
        for number in 1..100 {
            append(&*claim, number, &issuing()).await;
        }
        let read = entries(&journal, callout.flow()).await;
        assert_eq!(read.records.len(), 100);
        assert!(!read.reports.is_empty());
    }

    /// The first order to stop stays, and does not count among the entries.
    pub async fn an_order_to_stop_comes_from_outside<S: PretendStore>(store: &S) {
        let journal = store.open().await;
        let callout = callout();
        let flow = callout.flow();
        let claim = claim(store, &journal, &callout).await;
        append(&*claim, 0, &issuing()).await;
        for later in [0, 1] {
            let ordered = soon(journal.stop(&flow, at() + TimeDelta::hours(later))).await;
            ordered.expect("an order is kept");
        }
        let read = soon(claim.entries()).await.expect("it is read");
        assert_eq!(read.stop, Some(at()));
        append(&*claim, 1, &issuing()).await;
        let unknown = Guid::random().into();
        let ordered = soon(journal.stop(&unknown, at())).await;
        ordered.expect("an order to nobody is no error");
    }

    /// A claim reads every flow about its user, its own too, and of nobody else.
    pub async fn the_flows_of_a_user_are_known<S: PretendStore>(store: &S) {
        let journal = store.open().await;
        let user = Guid::random().into();
        let [one, two, other] = [callout_of(user), callout_of(user), callout()];
        let first = claim(store, &journal, &one).await;
        append(&*first, 0, &issuing()).await;
        let stranger = claim(store, &journal, &other).await;
        append(&*stranger, 0, &issuing()).await;
        drop(first);
        let second = claim(store, &journal, &two).await;
        append(&*second, 0, &issuing()).await;
        append(&*second, 1, &issuing()).await;
        let read = soon(second.of_user()).await.expect("it is read");
        let mut known: Vec<_> = read
            .iter()
            .map(|entries| (entries.flow, entries.records.len()))
            .collect();
        known.sort_unstable();
        let mut expected = [(one.flow(), 1), (two.flow(), 2)];
        expected.sort_unstable();
        assert_eq!(known, expected);
    }

    /// A user is locked by one flow, which has them as often as it asks, until it lets go.
    pub async fn a_user_is_one_flows_at_a_time<S: PretendStore>(store: &S) {
        let journal = store.open().await;
        let user = Guid::random().into();
        let one = claim(store, &journal, &callout_of(user)).await;
        let two = claim(store, &journal, &callout_of(user)).await;
        let other = claim(store, &journal, &callout()).await;
        let minute = Duration::from_secs(60);
        let lock = async |claim: &dyn Claim| {
            let locked = soon(claim.lock_user(minute)).await;
            locked.expect("it is tried")
        };
        let free = async |claim: &dyn Claim| {
            soon(claim.free_user()).await.expect("it is let go");
        };
        assert!(lock(&*one).await && lock(&*one).await);
        assert!(!lock(&*two).await);
        assert!(lock(&*other).await, "another user is free");
        free(&*two).await;
        assert!(!lock(&*two).await, "it frees nobody else's");
        free(&*one).await;
        free(&*one).await;
        assert!(lock(&*two).await && !lock(&*one).await);
    }

    /// A lock ends at its time although nobody lets go, and not before.
    pub async fn a_users_lock_ends_by_itself<S: PretendStore>(store: &S) {
        let journal = store.open().await;
        let user = Guid::random().into();
        let one = claim(store, &journal, &callout_of(user)).await;
        let two = claim(store, &journal, &callout_of(user)).await;
        let at_most = Duration::from_millis(1500);
        let locked_at = Instant::now();
        let locked = soon(one.lock_user(at_most)).await;
        assert!(locked.expect("it is tried"));
        while !soon(two.lock_user(at_most)).await.expect("it is tried") {
            assert!(locked_at.elapsed() < at_most + PATIENCE, "it does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // A store may count in whole seconds.
        assert!(locked_at.elapsed() > at_most / 4, "it ended too soon");
    }

    /// A flow whose holder is gone in the middle of an effect keeps its user, and has them when it goes on, in
    /// another process too.
    pub async fn a_user_stays_with_a_flow_whose_effect_is_open<S: PretendStore>(store: &S) {
        let mut journal = store.open().await;
        let user = Guid::random().into();
        let [open, other] = [callout_of(user), callout_of(user)];
        let minutes = Duration::from_secs(600);
        {
            let claim = claim(store, &journal, &open).await;
            let locked = soon(claim.lock_user(minutes)).await;
            assert!(locked.expect("it is tried"));
            append(&*claim, 0, &issuing()).await;
        }
        for restarts in [false, true] {
            if restarts && store.is_shared() {
                journal = store.open().await;
            }
            let other = claim(store, &journal, &other).await;
            let locked = soon(other.lock_user(minutes)).await;
            assert!(!locked.expect("it is tried"), "its effect is open");
            let again = claim(store, &journal, &open).await;
            let locked = soon(again.lock_user(minutes)).await;
            assert!(locked.expect("it is tried"), "it is the flow's");
        }
    }
}
