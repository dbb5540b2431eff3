//! The suite of promises that every journal of the onboarding flow keeps, one function each.
//!
//! [`journal_conformance!`](crate::journal_conformance) makes each of them a named test.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::{
    DeliveryReport, DeliveryStatus, Guid, Reference,
    directory::{Callback, Callout, FlowId, UserId},
};
use postduif_onboarding::{
    Claim, Entries, Journal, JournalError, JournalErrorKind, Memo, Record, Report,
};
use serde_json::{Value, json};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::JoinHandle,
    time::Instant,
};

/// A store whose journal the suite tests.
///
/// Two journals from [`open`](Self::open) stand for two processes. Keep nothing in a `static`, or the suite takes the
/// memory of one process for what is written. The suite cannot test that a write survives a loss of power: sync
/// each write to the disk.
pub trait FakeStore: Send + Sync + 'static {
    /// Opens the store as a process that has just started does, and returns its journal.
    ///
    /// The first call creates an empty store. Each later call opens the same store again, as another process would,
    /// while earlier journals may still be in use.
    fn open(&self) -> impl Future<Output = Arc<dyn Journal>> + Send;

    /// Returns whether one process reads what another has written. If not, promises of several processes are not tried.
    ///
    /// Defaults to `true`.
    fn is_shared(&self) -> bool {
        true
    }

    /// Writes this JSON as the flow's entry of this number, counted from 0, in place of a [`Record`], as a newer
    /// version would have.
    ///
    /// Returns whether it did. A store without a written form returns `false`: entries of newer versions are then not
    /// tried.
    fn write_raw(
        &self,
        flow: FlowId,
        number: usize,
        json: &str,
    ) -> impl Future<Output = bool> + Send;

    /// Returns the store's lease: the time a flow stays with its claim after the last use, 200 ms or more here.
    ///
    /// Within it another process gets no claim of the flow. After it the claim no longer [holds](Claim::holds).
    ///
    /// Defaults to zero: another process takes a flow over at once.
    fn lease(&self) -> Duration {
        Duration::ZERO
    }

    /// Lets the lease of a flow's claim expire, as if its process were stopped. A store that extends leases in the
    /// background stops doing so for this flow.
    ///
    /// Defaults to doing nothing: a lease that only the use of its claim extends expires by itself.
    fn lapse(&self, flow: FlowId) -> impl Future<Output = ()> + Send {
        let _ = flow;
        std::future::ready(())
    }
}

/// Makes a named test of every promise, for a [`FakeStore`]. The expression is evaluated for each test, so that each
/// has its own store:
///
/// ```
/// # mod postduif {
/// #     pub use postduif_core::*;
/// #     pub use postduif_onboarding as onboarding;
/// #     pub extern crate postduif_testkit as testing;
/// # }
/// use std::sync::Arc;
///
/// use postduif::directory::FlowId;
/// use postduif::onboarding::{Journal, MemoryJournal};
/// use postduif::testing::FakeStore;
///
/// /// A journal in memory, which no other process shares.
/// struct Memory(MemoryJournal);
///
/// impl FakeStore for Memory {
///     async fn open(&self) -> Arc<dyn Journal> {
///         Arc::new(self.0.clone())
///     }
///
///     fn is_shared(&self) -> bool {
///         false
///     }
///
///     async fn write_raw(&self, _: FlowId, _: usize, _: &str) -> bool {
///         false // nothing is kept in a written form
///     }
/// }
///
/// mod conformance {
/// #   use super::{Memory, MemoryJournal, postduif};
///     postduif::testing::journal_conformance!(Memory(MemoryJournal::new()));
/// }
/// #
/// # fn main() {
/// #     use postduif::testing::{block_on, journal_promises as promises};
/// #     let memory = || Memory(MemoryJournal::new());
/// #     block_on(promises::entries_are_read_as_they_were_appended(&memory()));
/// #     block_on(promises::an_entry_is_appended_only_at_the_end(&memory()));
/// #     block_on(promises::a_claim_reads_every_flow_of_its_user(&memory()));
/// # }
/// ```
///
/// A failure then reads `conformance::an_entry_is_appended_only_at_the_end`.
///
/// An optional second argument is a function that tells whether the tests can run, such as whether a server responds.
#[macro_export]
macro_rules! journal_conformance {
    ($store:expr) => {
        $crate::journal_conformance!($store, || true);
    };
    ($store:expr, $can_run:expr) => {
        $crate::journal_conformance!(@each $store, $can_run;
            an_unknown_flow_has_no_entries
            a_claim_returns_its_call_out
            the_first_call_out_of_a_flow_is_kept
            entries_are_read_as_they_were_appended
            an_entry_is_appended_only_at_the_end
            one_of_several_concurrent_appends_is_written
            only_the_last_of_two_holders_appends
            a_takeover_at_any_moment_loses_no_entry
            a_lost_claim_says_that_it_is_lost
            a_lost_claim_changes_nothing
            a_flow_has_one_holder_at_a_time
            a_lease_keeps_other_processes_out
            a_memo_is_kept_for_the_next_claim
            entries_survive_their_process
            an_entry_of_a_newer_version_is_unreadable
            an_entry_of_a_newer_version_is_not_overwritten
            an_entry_of_a_newer_version_is_not_left_out_of_the_users_flows
            a_flow_is_found_by_its_references
            a_flow_is_found_by_the_vendors_ids
            reports_are_kept_without_a_claim
            reports_leave_room_for_entries
            a_stop_is_kept_without_a_claim
            a_claim_reads_every_flow_of_its_user
            a_user_is_locked_by_one_flow_at_a_time
            a_user_is_locked_across_processes
            a_user_lock_expires
            a_flow_with_an_open_effect_keeps_its_user
        );
    };
    (@each $store:expr, $can_run:expr; $($promise:ident)+) => {
        $(
            #[test]
            fn $promise() {
                if ($can_run)() {
                    $crate::block_on($crate::journal_promises::$promise(&$store));
                }
            }
        )+
    };
}

/// The maximum time of any call of a journal.
const CALL: Duration = Duration::from_secs(10);

/// The time the suite waits beyond a store's lease for a flow or user that is free again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The least number of different reports that a store keeps of one flow.
const LEAST_REPORTS: usize = 100;

/// The number of times the suite repeats a race.
const ROUNDS: usize = 30;

/// Waits for a call that must end, with any result.
#[track_caller]
fn soon<T>(call: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(CALL, call).await {
            Ok(output) => output,
            Err(_) => panic!("a call at {caller} did not end within {CALL:?}"),
        }
    }
}

fn at() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn callout_of(user: UserId) -> Callout {
    let [workflow, task, result] = std::array::from_fn(|_| Guid::random());
    let callback = Callback::lifecycle(workflow, task, result);
    // Received now: a store may forget flows older than any pass.
    let received_at = std::time::SystemTime::now().into();
    Callout::new(result.into(), user, callback, received_at)
}

fn callout() -> Callout {
    callout_of(Guid::random().into())
}

/// Returns a record of an entry in its stored form.
fn record(entry: Value) -> Record {
    let entry = serde_json::from_value(entry).expect("it is an entry");
    Record::new(at(), entry)
}

fn issuing() -> Record {
    record(json!({"issuing": {"round": 1, "seen": ["seen-1", "seen-2"]}}))
}

fn sending(reference: Reference) -> Record {
    record(json!({"sending": {"round": 1, "reference": reference, "provider": "kpn"}}))
}

fn accepted(reference: Reference, id: &str, part_id: &str) -> Record {
    record(json!({"accepted": {
        "round": 1,
        "reference": reference,
        "provider": "kpn",
        "id": id,
        "part_ids": [part_id],
        "parts": 2,
        "reports": 2,
        "price": "0.0727 EUR",
    }}))
}

/// Returns one entry of each kind.
fn every_entry() -> Vec<Record> {
    let reference = Reference::random();
    let (tap, valid_until) = ("tap-1", at());
    let cause = json!({"kind": "unavailable", "message": "Graph \"failed\"\n'é'", "date": at()});
    let refused = json!({"kind": "blocked"});
    let entries = [
        json!({"not_asked": {"round": 1}}),
        json!({"not_issued": {"round": 1, "cause": cause}}),
        json!({"issue_in_doubt": {"round": 1, "cause": cause}}),
        json!({"nothing_seen": {}}),
        json!({"issued": {"round": 1, "tap": tap, "valid_until": valid_until}}),
        json!({"not_sent": {"round": 1, "reference": reference}}),
        json!({"in_doubt": {"round": 1, "reference": reference, "cause": refused}}),
        json!({"not_accepted": {"round": 1, "reference": reference, "cause": refused}}),
        json!({"kept": {"tap": tap, "valid_until": valid_until}}),
        json!({"revoking": {
            "tap": tap,
            "valid_until": valid_until,
            "then": {"end": {"failed": "not_accepted"}},
        }}),
        json!({"revoked": {"tap": tap, "then": "issue"}}),
        json!({"expired": {"tap": tap}}),
        json!({"unseen": {"until": valid_until}}),
        json!({"resuming": {"verdict": "completed", "detail": "two_numbers", "cause": cause}}),
        json!({"resumed": {"verdict": "completed", "heard": true}}),
    ];
    let mut records = vec![issuing(), sending(reference), accepted(reference, "1", "2")];
    records.extend(entries.map(record));
    records
}

/// Entries that a newer version may write.
const NEWER: [&str; 3] = [
    r#"{"v":1,"at":"2026-11-23T08:00:00Z","entry":{"recalled":{"tap":"c6a1f0d2"}}}"#,
    r#"{"v":1,"at":"2026-11-23T08:00:00Z","entry":{"not_issued":{"round":1,"cause":{"kind":"eclipse"}}}}"#,
    r#"{"v":2,"at":"2026-11-23T08:00:00Z","entry":{"not_asked":{"round":1}}}"#,
];

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

/// Claims a flow that is free, or will be when its lease has expired.
async fn claim<S: FakeStore>(
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
        assert!(Instant::now() < until, "a free flow cannot be claimed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn append(claim: &dyn Claim, number: usize, record: &Record) {
    let appended = soon(claim.append(number, record)).await;
    appended.unwrap_or_else(|error| panic!("entry {number} is not appended: {error:?}"));
}

/// Claims a flow that another process has claimed and not dropped.
async fn take_over<S: FakeStore>(
    store: &S,
    journal: &Arc<dyn Journal>,
    callout: &Callout,
) -> Box<dyn Claim> {
    store.lapse(callout.flow()).await;
    claim(store, journal, callout).await
}

/// Opens the store as another process, if there can be one.
async fn another<S: FakeStore>(store: &S, journal: &Arc<dyn Journal>) -> Arc<dyn Journal> {
    if store.is_shared() {
        store.open().await
    } else {
        Arc::clone(journal)
    }
}

/// A start line for several tasks.
struct Start {
    tasks: tokio::sync::Barrier,
    threads: std::sync::Barrier,
    awake: AtomicUsize,
    all: usize,
}

impl Start {
    fn of(all: usize) -> Arc<Self> {
        Arc::new(Self {
            tasks: tokio::sync::Barrier::new(all),
            threads: std::sync::Barrier::new(all),
            awake: AtomicUsize::new(0),
            all,
        })
    }

    /// Waits until all threads are here and awake.
    fn together(&self) {
        const AWAKE: Duration = Duration::from_millis(1);
        self.threads.wait();
        self.awake.fetch_add(1, Ordering::SeqCst);
        let began = std::time::Instant::now();
        while self.awake.load(Ordering::SeqCst) < self.all && began.elapsed() < AWAKE {
            std::hint::spin_loop();
        }
    }
}

/// Starts work on a thread of its own together with the others, or in turns if the runtime has one thread.
fn at_once<T: Send + 'static>(
    start: &Arc<Start>,
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    let start = Arc::clone(start);
    let runtime = Handle::current();
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        return tokio::spawn(async move {
            start.tasks.wait().await;
            work.await
        });
    }
    tokio::task::spawn_blocking(move || {
        start.together();
        runtime.block_on(work)
    })
}

async fn joined<T>(task: JoinHandle<T>) -> T {
    task.await.expect("a call does not panic")
}

fn memo(failures: u32) -> Memo {
    let memo = json!({"failures": failures, "wakes_at": at(), "pause_ms": 2000});
    serde_json::from_value(memo).expect("it is a memo")
}

async fn give_back(claim: &dyn Claim, memo: &Memo) -> Result<(), JournalError> {
    soon(claim.give_back(at(), memo)).await
}

async fn locks(claim: &dyn Claim) -> bool {
    let locked = soon(claim.lock_user(Duration::from_secs(600))).await;
    locked.expect("no error")
}

async fn entries(journal: &Arc<dyn Journal>, flow: FlowId) -> Entries {
    let entries = soon(journal.entries(&flow)).await;
    entries.expect("what was written can be read")
}

/// The promises, one function each, for tests that are not made by the macro.
#[expect(
    clippy::missing_panics_doc,
    reason = "each of them panics if the journal breaks it"
)]
pub mod promises {
    use super::*;

    /// Checks that a flow that was never claimed has no entries, and that reading it is not an error.
    pub async fn an_unknown_flow_has_no_entries<S: FakeStore>(store: &S) {
        let journal = store.open().await;
        let flow = Guid::random().into();
        assert_eq!(entries(&journal, flow).await, Entries::new(flow));
        let reference = Reference::random();
        let found = soon(journal.flow_of(&reference)).await;
        assert_eq!(found.expect("no error"), None);
        let found = soon(journal.flow_by_id("kpn", "1")).await;
        assert_eq!(found.expect("no error"), None);
    }

    /// Checks that a claim returns its call-out unchanged, with a user or without, and holds.
    pub async fn a_claim_returns_its_call_out<S: FakeStore>(store: &S) {
        let journal = store.open().await;
        let known = callout();
        let window = Duration::from_secs(300);
        for callout in [
            callout(),
            callout().with_created_at(at()).with_window(window),
            Callout::without_user(Guid::random().into(), known.callback().copied(), at()),
        ] {
            let claim = claim(store, &journal, &callout).await;
            assert_eq!(*claim.callout(), callout);
            assert!(claim.holds());
            let entries = soon(claim.entries()).await;
            assert_eq!(entries.expect("it is read"), Entries::new(callout.flow()));
            append(&*claim, 0, &issuing()).await;
        }
    }

    /// Checks that a later claim of a flow returns its first call-out, with the first user and window, also in another
    /// process.
    pub async fn the_first_call_out_of_a_flow_is_kept<S: FakeStore>(store: &S) {
        let here = store.open().await;
        let there = another(store, &here).await;
        let first = callout().with_window(Duration::from_secs(300));
        let user = first.user();
        let claimed = claim(store, &here, &first).await;
        append(&*claimed, 0, &issuing()).await;
        drop(claimed);
        let later = first.received_at() + TimeDelta::minutes(5);
        let window = Duration::from_secs(600);
        for user in user.into_iter().chain([Guid::random().into()]) {
            let second = Callout::new(first.flow(), user, first.callback().copied(), later);
            let second = second.with_window(window);
            for journal in [&here, &there] {
                let again = claim(store, journal, &second).await;
                assert_eq!(*again.callout(), first);
                let read = soon(again.of_user()).await.expect("it is read");
                assert_eq!(read.len(), 1, "the flow is the first user's");
            }
        }
    }

    /// Checks that entries of every kind are read as they were appended, in order, with a claim and without.
    pub async fn entries_are_read_as_they_were_appended<S: FakeStore>(store: &S) {
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

    /// Checks that an entry with any number but the next is refused as `Lost`, and not written.
    pub async fn an_entry_is_appended_only_at_the_end<S: FakeStore>(store: &S) {
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

    /// Checks that one of several concurrent appends of a number is written, and that the others fail as `Lost`.
    pub async fn one_of_several_concurrent_appends_is_written<S: FakeStore>(store: &S) {
        let journal = store.open().await;
        let callout = callout();
        let claim: Arc<dyn Claim> = claim(store, &journal, &callout).await.into();
        for number in 0..ROUNDS {
            let start = Start::of(4);
            let tasks: [_; 4] = std::array::from_fn(|_| {
                let claim = Arc::clone(&claim);
                let record = sending(Reference::random());
                at_once(&start, async move {
                    let appended = soon(claim.append(number, &record)).await;
                    (record, appended)
                })
            });
            let mut written = Vec::new();
            for task in tasks {
                match joined(task).await {
                    (record, Ok(())) => written.push(record),
                    (_, refused) => assert_eq!(kind(refused), JournalErrorKind::Lost),
                }
            }
            let read = entries(&journal, callout.flow()).await;
            assert_eq!(read.records.len(), number + 1);
            assert_eq!(read.records[number..], written, "entry {number}");
        }
    }

    /// Checks that, of two processes with a claim of a flow, the last to claim it appends, and the other fails as
    /// `Lost`.
    pub async fn only_the_last_of_two_holders_appends<S: FakeStore>(store: &S) {
        if !store.is_shared() {
            return;
        }
        let [here, there] = [store.open().await, store.open().await];
        let callout = callout();
        let old = claim(store, &here, &callout).await;
        append(&*old, 0, &issuing()).await;
        let new = take_over(store, &there, &callout).await;
        for number in 1..20 {
            let records = [Reference::random(), Reference::random()].map(sending);
            let (late, own) = tokio::join!(
                soon(old.append(number, &records[0])),
                soon(new.append(number, &records[1])),
            );
            assert_eq!(kind(late), JournalErrorKind::Lost);
            own.expect("the last claim appends");
            let read = entries(&here, callout.flow()).await;
            assert_eq!(read.records.len(), number + 1);
            assert_eq!(read.records.last(), Some(&records[1]));
        }
        assert_eq!(kind(soon(old.entries()).await), JournalErrorKind::Lost);
    }

    /// Checks that a process that takes over a flow during appends reads every entry whose append succeeded, and that
    /// none is added after that.
    pub async fn a_takeover_at_any_moment_loses_no_entry<S: FakeStore>(store: &S) {
        if !store.is_shared() || !store.lease().is_zero() {
            return;
        }
        let [here, there] = [store.open().await, store.open().await];
        for round in 0..ROUNDS {
            let callout = callout();
            let old = claim(store, &here, &callout).await;
            let start = Start::of(2);
            let writes = at_once(&start, async move {
                let mut written = Vec::new();
                for number in 0..1000 {
                    let record = sending(Reference::random());
                    match soon(old.append(number, &record)).await {
                        Ok(()) => written.push(record),
                        Err(error) => {
                            assert_eq!(error.kind(), JournalErrorKind::Lost);
                            return written;
                        }
                    }
                    // Gives a process that tries to claim the flow a turn.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                panic!("no append fails as lost");
            });
            let taken = callout.clone();
            let journal = Arc::clone(&there);
            let takes_over = at_once(&start, async move {
                for _ in 0..round {
                    tokio::task::yield_now().await;
                }
                let claimed = soon(journal.claim(&taken)).await;
                let claim = claimed.expect("no error");
                let claim = claim.expect("without a lease a flow can be claimed at once");
                let read = soon(claim.entries()).await.expect("it is read");
                // A run takes time to decide, in which a late entry would arrive.
                tokio::time::sleep(Duration::from_millis(1)).await;
                append(&*claim, read.records.len(), &issuing()).await;
                (claim, read.records)
            });
            let (claim, read) = joined(takes_over).await;
            assert_eq!(joined(writes).await, read);
            let now = soon(claim.entries()).await.expect("it is read");
            assert_eq!(now.records.len(), read.len() + 1);
            assert_eq!(now.records[..read.len()], read);
        }
    }

    /// Checks that a replaced claim no longer holds: from the end of its lease, or without one from the first call that
    /// fails as `Lost`, and forever.
    pub async fn a_lost_claim_says_that_it_is_lost<S: FakeStore>(store: &S) {
        if !store.is_shared() {
            return;
        }
        let [here, there] = [store.open().await, store.open().await];
        let callout = callout();
        let old = claim(store, &here, &callout).await;
        append(&*old, 0, &issuing()).await;
        assert!(old.holds());
        let new = take_over(store, &there, &callout).await;
        if !store.lease().is_zero() {
            assert!(!old.holds(), "its lease has ended");
            soon(old.lost()).await;
        }
        let late = soon(old.append(1, &issuing())).await;
        assert_eq!(kind(late), JournalErrorKind::Lost);
        assert!(!old.holds());
        append(&*new, 1, &issuing()).await;
        assert!(new.holds());
        drop(new);
        let third = claim(store, &here, &callout).await;
        assert!(third.holds());
        assert!(!old.holds(), "lost is lost");
    }

    /// Checks that a replaced claim neither locks nor frees the user, keeps no memo, and frees nothing on drop.
    pub async fn a_lost_claim_changes_nothing<S: FakeStore>(store: &S) {
        if !store.is_shared() {
            return;
        }
        let [here, there] = [store.open().await, store.open().await];
        let user = Guid::random().into();
        let [callout, other] = [callout_of(user), callout_of(user)];
        let old = claim(store, &here, &callout).await;
        append(&*old, 0, &issuing()).await;
        let new = take_over(store, &there, &callout).await;
        append(&*new, 1, &issuing()).await;
        let minute = Duration::from_secs(60);
        let lost = JournalErrorKind::Lost;
        assert_eq!(kind(soon(old.lock_user(minute)).await), lost);
        let beside = claim(store, &here, &other).await;
        assert!(locks(&*beside).await, "the user is free");
        soon(beside.free_user()).await.expect("no error");
        assert!(locks(&*new).await);
        assert_eq!(kind(soon(old.free_user()).await), lost);
        assert_eq!(kind(give_back(&*old, &memo(1)).await), lost);
        drop(old);
        assert!(!locks(&*beside).await, "the user is its successor's");
        let second = soon(there.claim(&callout)).await;
        let second = second.expect("no error");
        assert!(second.is_none(), "the flow is its successor's");
        append(&*new, 2, &issuing()).await;
        drop(new);
        let next = claim(store, &there, &callout).await;
        assert_eq!(next.memo(), None, "a lost claim keeps no memo");
    }

    /// Checks that a journal returns no second claim of a flow until the first is dropped.
    pub async fn a_flow_has_one_holder_at_a_time<S: FakeStore>(store: &S) {
        let journal = store.open().await;
        let callout = callout();
        let held = claim(store, &journal, &callout).await;
        append(&*held, 0, &issuing()).await;
        let second = soon(journal.claim(&callout)).await;
        assert!(second.expect("no error").is_none(), "it has a holder");
        drop(held);
        let next = claim(store, &journal, &callout).await;
        append(&*next, 1, &issuing()).await;
    }

    /// Checks that no other process gets a claim within a lease, and that one of several concurrent claims succeeds.
    pub async fn a_lease_keeps_other_processes_out<S: FakeStore>(store: &S) {
        let lease = store.lease();
        if !store.is_shared() || lease.is_zero() {
            return;
        }
        let journals = [store.open().await, store.open().await];
        let mut tried = 0;
        for _ in 0..ROUNDS {
            let callout = callout();
            let began = Instant::now();
            let start = Start::of(2);
            let tasks = journals.clone().map(|journal| {
                let callout = callout.clone();
                at_once(&start, async move {
                    soon(journal.claim(&callout)).await.expect("no error")
                })
            });
            let mut claims = Vec::new();
            for task in tasks {
                claims.extend(joined(task).await);
            }
            // On a busy machine the lease may have expired.
            if began.elapsed() < lease {
                assert_eq!(claims.len(), 1, "within {lease:?}");
                tried += 1;
            }
        }
        assert!(tried > 0, "a lease of {lease:?} is too short to be seen");
    }

    /// Checks that the next claim, in any process, has the last memo of the flow.
    pub async fn a_memo_is_kept_for_the_next_claim<S: FakeStore>(store: &S) {
        let here = store.open().await;
        let there = another(store, &here).await;
        let [callout, other] = [callout(), callout()];
        let claimed = claim(store, &here, &callout).await;
        assert_eq!(claimed.memo(), None);
        append(&*claimed, 0, &issuing()).await;
        let given_back = give_back(&*claimed, &memo(1)).await;
        given_back.expect("a memo is kept");
        drop(claimed);
        for (failures, journal) in (1..).zip([&there, &here, &there, &here]) {
            let again = claim(store, journal, &callout).await;
            assert_eq!(again.memo(), Some(memo(failures)));
            let given_back = give_back(&*again, &memo(failures + 1)).await;
            given_back.expect("a memo is kept");
        }
        let read = entries(&here, callout.flow()).await;
        assert_eq!(read.records, [issuing()], "a memo is not an entry");
        assert_eq!(claim(store, &here, &other).await.memo(), None);
    }

    /// Checks that a process that starts reads the entries, reports and stops that others have written.
    pub async fn entries_survive_their_process<S: FakeStore>(store: &S) {
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

    /// Checks that a flow with an entry of a newer version fails as `Unreadable`, and that other flows are not
    /// affected.
    pub async fn an_entry_of_a_newer_version_is_unreadable<S: FakeStore>(store: &S) {
        for raw in NEWER {
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
            // Lookups of other flows still work.
            let found = soon(journal.flow_of(&Reference::random())).await;
            assert_eq!(found.expect("no error"), None);
        }
    }

    /// Checks that an append at the number of an entry of a newer version fails as `Lost`, and that the entry stays.
    pub async fn an_entry_of_a_newer_version_is_not_overwritten<S: FakeStore>(store: &S) {
        let here = store.open().await;
        let there = another(store, &here).await;
        for raw in NEWER {
            let callout = callout();
            let claimed = claim(store, &here, &callout).await;
            append(&*claimed, 0, &issuing()).await;
            if !store.write_raw(callout.flow(), 1, raw).await {
                return;
            }
            let late = soon(claimed.append(1, &issuing())).await;
            assert_eq!(kind(late), JournalErrorKind::Lost, "{raw}");
            drop(claimed);
            let again = claim(store, &there, &callout).await;
            let late = soon(again.append(1, &issuing())).await;
            assert_eq!(kind(late), JournalErrorKind::Lost, "{raw}");
            for journal in [&here, &there] {
                let read = soon(journal.entries(&callout.flow())).await;
                assert_eq!(kind(read), JournalErrorKind::Unreadable, "{raw}");
            }
        }
    }

    /// Checks that reading a user's flows fails as `Unreadable` if one has an entry of a newer version: a pass of ours
    /// would otherwise look foreign.
    pub async fn an_entry_of_a_newer_version_is_not_left_out_of_the_users_flows<S: FakeStore>(
        store: &S,
    ) {
        for raw in NEWER {
            let journal = store.open().await;
            let user = Guid::random().into();
            let [newer, other] = [callout_of(user), callout_of(user)];
            let claimed = claim(store, &journal, &newer).await;
            append(&*claimed, 0, &issuing()).await;
            drop(claimed);
            if !store.write_raw(newer.flow(), 1, raw).await {
                return;
            }
            let beside = claim(store, &journal, &other).await;
            append(&*beside, 0, &issuing()).await;
            let read = soon(beside.of_user()).await;
            assert_eq!(kind(read), JournalErrorKind::Unreadable, "{raw}");
        }
    }

    /// Checks that every process finds a flow by each reference of its texts, from the entry `Sending` on.
    pub async fn a_flow_is_found_by_its_references<S: FakeStore>(store: &S) {
        let journal = store.open().await;
        let there = another(store, &journal).await;
        let [one, other] = [callout(), callout()];
        let references: [Reference; 3] = std::array::from_fn(|_| Reference::random());
        let claimed = claim(store, &journal, &one).await;
        append(&*claimed, 0, &sending(references[0])).await;
        append(&*claimed, 1, &sending(references[1])).await;
        let beside = claim(store, &journal, &other).await;
        append(&*beside, 0, &sending(references[2])).await;
        let later = another(store, &journal).await;
        for journal in [journal, there, later] {
            for (reference, flow) in references
                .iter()
                .zip([one.flow(), one.flow(), other.flow()])
            {
                let found = soon(journal.flow_of(reference)).await;
                assert_eq!(found.expect("no error"), Some(flow));
            }
            let unknown = soon(journal.flow_of(&Reference::random())).await;
            assert_eq!(unknown.expect("no error"), None);
        }
    }

    /// Checks that every process finds a flow by the vendor's ids of its texts and their parts, and only with that
    /// vendor's name.
    pub async fn a_flow_is_found_by_the_vendors_ids<S: FakeStore>(store: &S) {
        let journal = store.open().await;
        let there = another(store, &journal).await;
        let callout = callout();
        let claim = claim(store, &journal, &callout).await;
        let reference = Reference::random();
        let [id, part_id] = [Guid::random().to_string(), Guid::random().to_string()];
        append(&*claim, 0, &sending(reference)).await;
        append(&*claim, 1, &accepted(reference, &id, &part_id)).await;
        let flow = Some(callout.flow());
        let later = another(store, &journal).await;
        for journal in [journal, there, later] {
            for (provider, id, expected) in [
                ("kpn", id.as_str(), flow),
                ("kpn", &part_id, flow),
                ("cm", &id, None),
                ("kpn", "another", None),
            ] {
                let found = soon(journal.flow_by_id(provider, id)).await;
                let found = found.expect("no error");
                assert_eq!(found, expected, "{provider} {id}");
            }
        }
    }

    /// Checks that a report is kept once without a claim, separate from the entries, and only of a known flow.
    pub async fn reports_are_kept_without_a_claim<S: FakeStore>(store: &S) {
        let journal = store.open().await;
        let callout = callout();
        let flow = callout.flow();
        let claim = claim(store, &journal, &callout).await;
        append(&*claim, 0, &issuing()).await;
        let outside = another(store, &journal).await;
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
        // An unknown flow is not an error, and keeps nothing.
        let unknown = self::callout();
        let kept = soon(outside.report(&unknown.flow(), &sent)).await;
        kept.expect("a report of an unknown flow is not an error");
        let nothing = Entries::new(unknown.flow());
        assert_eq!(entries(&journal, unknown.flow()).await, nothing);
        let known = self::claim(store, &journal, &unknown).await;
        assert_eq!(soon(known.entries()).await.expect("it is read"), nothing);
    }

    /// Checks that any number of reports leaves room for entries. At least the first 100 different reports are kept,
    /// and beyond the store's bound a final one.
    pub async fn reports_leave_room_for_entries<S: FakeStore>(store: &S) {
        let journal = store.open().await;
        let callout = callout();
        let claim = claim(store, &journal, &callout).await;
        append(&*claim, 0, &issuing()).await;
        for part in 0..300 {
            let report = reported(DeliveryStatus::Sent, Some(&part.to_string()));
            let kept = soon(journal.report(&callout.flow(), &report)).await;
            kept.expect("a report beyond the bound is not an error");
        }
        for number in 1..100 {
            append(&*claim, number, &issuing()).await;
        }
        let read = entries(&journal, callout.flow()).await;
        assert_eq!(read.records.len(), 100);
        assert!(read.reports.len() >= LEAST_REPORTS);
        for (part, report) in read.reports.iter().take(LEAST_REPORTS).enumerate() {
            assert_eq!(report.part, Some(part.to_string()));
        }
        let last = reported(DeliveryStatus::Delivered, Some("last"));
        let kept = soon(journal.report(&callout.flow(), &last)).await;
        kept.expect("a final report is kept");
        let read = entries(&journal, callout.flow()).await;
        assert!(read.reports.contains(&last), "it decides the flow");
    }

    /// Checks that the first stop of a flow is kept without a claim, separate from the entries.
    pub async fn a_stop_is_kept_without_a_claim<S: FakeStore>(store: &S) {
        let journal = store.open().await;
        let callout = callout();
        let flow = callout.flow();
        let claim = claim(store, &journal, &callout).await;
        append(&*claim, 0, &issuing()).await;
        for later in [0, 1] {
            let ordered = soon(journal.stop(&flow, at() + TimeDelta::hours(later))).await;
            ordered.expect("a stop is kept");
        }
        let read = soon(claim.entries()).await.expect("it is read");
        assert_eq!(read.stop, Some(at()));
        append(&*claim, 1, &issuing()).await;
        let unknown = Guid::random().into();
        let ordered = soon(journal.stop(&unknown, at())).await;
        ordered.expect("a stop of an unknown flow is not an error");
        let read = entries(&journal, unknown).await;
        assert_eq!(read, Entries::new(unknown), "nothing of it stays");
    }

    /// Checks that a claim reads every flow of its user, including its own, and none of another user.
    pub async fn a_claim_reads_every_flow_of_its_user<S: FakeStore>(store: &S) {
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

    /// Checks that one flow at a time locks a user, any number of times, until it frees the user.
    pub async fn a_user_is_locked_by_one_flow_at_a_time<S: FakeStore>(store: &S) {
        let journal = store.open().await;
        let user = Guid::random().into();
        let one = claim(store, &journal, &callout_of(user)).await;
        let two = claim(store, &journal, &callout_of(user)).await;
        let other = claim(store, &journal, &callout()).await;
        let minute = Duration::from_secs(60);
        let lock = async |claim: &dyn Claim| {
            let locked = soon(claim.lock_user(minute)).await;
            locked.expect("no error")
        };
        let free = async |claim: &dyn Claim| {
            soon(claim.free_user()).await.expect("no error");
        };
        assert!(lock(&*one).await && lock(&*one).await);
        assert!(!lock(&*two).await);
        assert!(lock(&*other).await, "another user is free");
        free(&*two).await;
        assert!(!lock(&*two).await, "it frees no lock of another flow");
        free(&*one).await;
        free(&*one).await;
        assert!(lock(&*two).await && !lock(&*one).await);
    }

    /// Checks that a user locked in one process is locked in all, before the flow has any entry, and that one of two
    /// concurrent locks succeeds.
    pub async fn a_user_is_locked_across_processes<S: FakeStore>(store: &S) {
        if !store.is_shared() {
            return;
        }
        let [here, there] = [store.open().await, store.open().await];
        for round in 0..ROUNDS {
            let user = Guid::random().into();
            let [one, two]: [Arc<dyn Claim>; 2] = [
                claim(store, &here, &callout_of(user)).await.into(),
                claim(store, &there, &callout_of(user)).await.into(),
            ];
            let start = Start::of(2);
            let tasks = [&one, &two].map(|claim| {
                let claim = Arc::clone(claim);
                at_once(&start, async move { locks(&*claim).await })
            });
            let [first, second] = tasks.map(joined);
            let (first, second) = (first.await, second.await);
            assert!(first != second, "round {round}: {first}, {second}");
            let [owner, other] = if first { [&one, &two] } else { [&two, &one] };
            assert!(locks(&**owner).await && !locks(&**other).await);
            soon(owner.free_user()).await.expect("no error");
            assert!(locks(&**other).await && !locks(&**owner).await);
        }
    }

    /// Checks that a lock expires at its time, and not much sooner.
    pub async fn a_user_lock_expires<S: FakeStore>(store: &S) {
        let journal = store.open().await;
        let user = Guid::random().into();
        let one = claim(store, &journal, &callout_of(user)).await;
        let two = claim(store, &journal, &callout_of(user)).await;
        let at_most = Duration::from_millis(1500);
        let locked_at = Instant::now();
        let locked = soon(one.lock_user(at_most)).await;
        assert!(locked.expect("no error"));
        while !soon(two.lock_user(at_most)).await.expect("no error") {
            assert!(locked_at.elapsed() < at_most + PATIENCE, "it does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // A store may count in whole seconds.
        assert!(locked_at.elapsed() > at_most / 4, "it ended too soon");
    }

    /// Checks that a flow whose holder stopped in the middle of an effect keeps its user, and locks the user again when
    /// it continues, also in another process.
    pub async fn a_flow_with_an_open_effect_keeps_its_user<S: FakeStore>(store: &S) {
        let mut journal = store.open().await;
        let user = Guid::random().into();
        let [open, other] = [callout_of(user), callout_of(user)];
        let minutes = Duration::from_secs(600);
        {
            let claim = claim(store, &journal, &open).await;
            let locked = soon(claim.lock_user(minutes)).await;
            assert!(locked.expect("no error"));
            append(&*claim, 0, &issuing()).await;
        }
        for restarts in [false, true] {
            if restarts && store.is_shared() {
                journal = store.open().await;
            }
            let other = claim(store, &journal, &other).await;
            let locked = soon(other.lock_user(minutes)).await;
            assert!(!locked.expect("no error"), "its effect is open");
            let again = claim(store, &journal, &open).await;
            let locked = soon(again.lock_user(minutes)).await;
            assert!(locked.expect("no error"), "it is the flow's");
        }
    }
}
