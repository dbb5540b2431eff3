//! The suite of promises that every store of the queue keeps, one function each.
//!
//! [`engine_conformance!`](crate::engine_conformance) makes each of them a named test.

mod stopping;
mod tenant;

use std::{
    future::{Future, pending},
    num::NonZeroUsize,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::{
    DeliveryReport, DeliveryStatus, Guid, Reference,
    directory::{Callback, Callout, FlowId, UserId, Verdict},
};
use postduif_onboarding::{
    Claim as _, CompleteOn, Journal as _, JournalError, JournalErrorKind, Memo, Onboarding,
    OnboardingBuilder, Record, Report, Taken,
};
use postduif_queue::{Engine, Lease, Worker};
use serde_json::{Value, json};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use stopping::Stopping;
use tenant::Tenant;

/// A store whose engine the suite tests.
///
/// Two engines from [`open`](Self::open) stand for two processes. Each is opened and used in a runtime of its own. Keep
/// nothing in a `static`, or the suite takes the memory of one process for what is written.
pub trait FakeEngine: Send + Sync + 'static {
    /// Opens the store as a process that has just started does. The first call creates an empty store.
    fn open(&self) -> impl Future<Output = Arc<dyn Engine>> + Send;

    /// Returns whether two processes can have the store open at the same time. If not, promises of several processes are
    /// not tried.
    ///
    /// Defaults to `true`.
    fn is_shared(&self) -> bool {
        true
    }

    /// Returns the length of the store's leases, 500 ms to 5 seconds here. It must be long enough for a call to the
    /// store on a busy machine.
    fn lease(&self) -> Duration;

    /// Writes this JSON as the flow's entry of this number, counted from 0, in place of a [`Record`], as a newer
    /// version would have.
    fn write_raw(&self, flow: FlowId, number: usize, json: &str)
    -> impl Future<Output = ()> + Send;
}

/// Makes a named test of every promise, for a [`FakeEngine`]. The expression is evaluated for each test, so that each
/// has a store of its own. An optional second argument is a function that tells whether the tests can run, such as
/// whether a server responds:
///
/// ```
/// # mod postduif {
/// #     pub use postduif_core::*;
/// #     pub use postduif_queue as queue;
/// #     pub extern crate postduif_testkit as testing;
/// # }
/// use std::{sync::Arc, time::Duration};
///
/// use postduif::directory::FlowId;
/// use postduif::queue::Engine;
/// use postduif::testing::FakeEngine;
///
/// # async fn connect(_: &str, _: Duration) -> Arc<dyn Engine> { unimplemented!() }
/// # fn has_server() -> bool { false }
/// /// Tables of a test's own, in a schema that is dropped with it.
/// struct Tables {
///     schema: String,
/// }
///
/// # impl Tables {
/// #     fn new() -> Self { Self { schema: String::new() } }
/// # }
/// impl FakeEngine for Tables {
///     async fn open(&self) -> Arc<dyn Engine> {
///         connect(&self.schema, self.lease()).await
///     }
///
///     fn lease(&self) -> Duration {
///         Duration::from_secs(1)
///     }
///
///     async fn write_raw(&self, flow: FlowId, number: usize, json: &str) {
///         // Writes the row of this entry, over one that is there.
///     }
/// }
///
/// mod conformance {
/// #   use super::{Tables, has_server, postduif};
///     postduif::testing::engine_conformance!(Tables::new(), has_server);
/// }
/// # fn main() {}
/// ```
///
/// An engine is a journal too: test it with [`journal_conformance!`](crate::journal_conformance) as well, for which the
/// same type can be a [`FakeStore`](crate::FakeStore).
#[macro_export]
macro_rules! engine_conformance {
    ($store:expr) => {
        $crate::engine_conformance!($store, || true);
    };
    ($store:expr, $can_run:expr) => {
        $crate::engine_conformance!(@each $store, $can_run;
            an_enqueued_flow_is_due
            one_of_several_concurrent_call_outs_is_new
            a_due_flow_is_claimed_once
            a_flow_is_due_again_at_the_time_of_its_return
            a_report_makes_a_flow_due
            a_stop_makes_a_flow_due
            a_report_during_a_run_makes_the_flow_due_again
            a_flow_whose_holder_died_is_due_after_its_lease
            takeovers_are_counted_until_a_flow_is_given_back
            an_extended_lease_keeps_its_flow
            a_flow_that_is_done_is_due_no_more
            a_lost_lease_ends_nothing
            a_status_tells_what_became_of_a_flow
            the_open_flows_are_counted
            a_wait_ends_when_a_flow_is_due
            a_shutdown_that_asks_the_store_delays_no_flow
            an_entry_of_a_newer_version_holds_up_no_other_flow
            flows_survive_workers_that_die
            a_worker_that_is_stopped_before_its_request_makes_none
            a_user_who_does_not_exist_yet_is_read_with_pauses
            a_user_with_several_flows_has_one_usable_pass
            a_flow_that_waits_for_its_report_is_ended_by_it
        );
    };
    (@each $store:expr, $can_run:expr; $($promise:ident)+) => {
        $(
            #[test]
            fn $promise() {
                if ($can_run)() {
                    let store = std::sync::Arc::new($store);
                    $crate::block_on($crate::engine_promises::$promise(store));
                }
            }
        )+
    };
}

/// The maximum time of any call of an engine.
const CALL: Duration = Duration::from_secs(10);

/// The time in which flows must end, beyond leases.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn soon<T>(call: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match timeout(CALL, call).await {
            Ok(output) => output,
            Err(_) => panic!("a call at {caller} did not end within {CALL:?}"),
        }
    }
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

fn callout_of(user: UserId) -> Callout {
    let [workflow, task, result] = std::array::from_fn(|_| Guid::random());
    let callback = Callback::lifecycle(workflow, task, result);
    Callout::new(result.into(), user, callback, now())
}

fn callout() -> Callout {
    callout_of(Guid::random().into())
}

fn callouts(count: usize) -> Vec<Callout> {
    std::iter::repeat_with(callout).take(count).collect()
}

/// Returns a record of an entry in its stored form.
fn record(entry: Value) -> Record {
    let entry = serde_json::from_value(entry).expect("it is an entry");
    Record::new(now(), entry)
}

fn issuing() -> Record {
    record(json!({"issuing": {"round": 1, "seen": []}}))
}

fn resumed() -> Record {
    record(json!({"resumed": {"verdict": "completed", "heard": true}}))
}

fn report_of(reference: Reference) -> Report {
    let mut report = DeliveryReport::new("example", DeliveryStatus::Delivered);
    report.reference = Some(reference);
    Report::new(&report, now())
}

async fn enqueue(engine: &dyn Engine, callout: &Callout) -> Taken {
    let taken = soon(engine.enqueue(callout)).await;
    taken.expect("a call-out is stored")
}

async fn next(engine: &dyn Engine) -> Option<Arc<dyn Lease>> {
    soon(engine.next()).await.expect("the store responds")
}

/// Claims the next flow, which is due or will be when a lease has expired.
async fn due<S: FakeEngine>(store: &S, engine: &dyn Engine) -> Arc<dyn Lease> {
    let until = Instant::now() + store.lease() * 2 + CALL;
    loop {
        if let Some(lease) = next(engine).await {
            return lease;
        }
        assert!(Instant::now() < until, "no flow is due");
        engine.wait(Duration::from_millis(50)).await;
    }
}

async fn append(lease: &dyn Lease, number: usize, record: &Record) {
    let appended = soon(lease.append(number, record)).await;
    appended.unwrap_or_else(|error| panic!("entry {number} is not appended: {error:?}"));
}

async fn give_back(lease: &dyn Lease, until: DateTime<Utc>) {
    let given = soon(lease.give_back(until, &Memo::default())).await;
    given.expect("a flow is given back");
}

/// Waits until a flow's lease has expired without anybody's use of it.
async fn lapse(lease: &dyn Lease) {
    let lost = timeout(lease.length() + CALL, lease.lost()).await;
    lost.expect("an unused lease expires");
    assert!(!lease.holds());
}

fn kind<T>(result: Result<T, JournalError>) -> Option<JournalErrorKind> {
    result.err().map(|error| error.kind())
}

fn onboarding(tenant: &Arc<Tenant>) -> OnboardingBuilder {
    Onboarding::builder()
        .with_graph(Arc::clone(tenant))
        .with_issuer(Arc::clone(tenant))
        .with_provider(Arc::clone(tenant))
        .with_pauses([Duration::from_millis(100), Duration::from_millis(400)])
}

fn worker(engine: &Arc<dyn Engine>, onboarding: OnboardingBuilder) -> Worker {
    let worker = Worker::builder(Arc::clone(engine), onboarding);
    worker.expect("the options are good").build()
}

/// A worker in a process of its own: a thread whose runtime ends without finishing anything.
struct Process {
    kill: Arc<Notify>,
    thread: thread::JoinHandle<()>,
}

/// The flows that a worker runs at a time.
const FLOWS: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not zero");

impl Process {
    fn start<S: FakeEngine>(
        store: &Arc<S>,
        tenant: &Arc<Tenant>,
        stop: Option<Stopping>,
        complete_on: CompleteOn,
    ) -> Self {
        let (store, tenant) = (Arc::clone(store), Arc::clone(tenant));
        let kill = Arc::new(Notify::new());
        let killed = Arc::clone(&kill);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts");
            runtime.block_on(async {
                let mut engine = store.open().await;
                if let Some(stop) = stop {
                    engine = stop.around(engine);
                }
                let onboarding = onboarding(&tenant).with_complete_on(complete_on);
                let worker = Worker::builder(engine, onboarding).expect("the options are good");
                let worker = worker.with_flows(FLOWS).build();
                tokio::select! {
                    () = worker.run_until(pending()) => {}
                    () = killed.notified() => {}
                }
            });
            runtime.shutdown_background();
        });
        Self { kill, thread }
    }

    async fn kill(self) {
        self.kill.notify_one();
        let thread = self.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        joined
            .expect("it is joined")
            .expect("a worker does not panic");
    }
}

/// Looks from a process of its own whether all flows are done, and gives up after a while.
async fn all_done(engine: &dyn Engine, lease: Duration) {
    let until = Instant::now() + lease * 4 + PATIENCE;
    loop {
        let counts = soon(engine.counts()).await.expect("the store responds");
        if counts.open == 0 {
            return;
        }
        assert!(Instant::now() < until, "flows do not end: {counts:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The promises, one function each, for tests that are not made by the macro.
#[expect(
    clippy::missing_panics_doc,
    reason = "each of them panics if the engine breaks it"
)]
pub mod promises {
    use super::*;

    /// Checks that a stored call-out is due in every process, with its first call-out.
    pub async fn an_enqueued_flow_is_due<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        assert!(
            next(&*engine).await.is_none(),
            "an empty store has nothing due"
        );
        let first = callout();
        assert_eq!(enqueue(&*engine, &first).await, Taken::New);
        let lease = due(&*store, &*engine).await;
        assert_eq!(*lease.callout(), first);
        assert_eq!(lease.takeovers(), 0);
        assert_eq!(lease.length(), store.lease());
        assert!(lease.holds());
        assert!(next(&*engine).await.is_none(), "it has a holder");
    }

    /// Checks that concurrent call-outs of one flow start it once, and that a later one changes nothing.
    pub async fn one_of_several_concurrent_call_outs_is_new<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        for _ in 0..10 {
            let callout = callout();
            let mut calls = JoinSet::new();
            for _ in 0..4 {
                let (engine, callout) = (Arc::clone(&engine), callout.clone());
                calls.spawn(async move { enqueue(&*engine, &callout).await });
            }
            let taken = calls.join_all().await;
            let new = taken.iter().filter(|taken| **taken == Taken::New).count();
            let known = taken.iter().filter(|taken| **taken == Taken::Known).count();
            assert_eq!((new, known), (1, 3));
            let other = Callout::new(callout.flow(), Guid::random().into(), None, now());
            assert_eq!(enqueue(&*engine, &other).await, Taken::Known);
            let lease = due(&*store, &*engine).await;
            assert_eq!(*lease.callout(), callout, "the first call-out is kept");
        }
    }

    /// Checks that many claims at the same time give each flow to one of them.
    pub async fn a_due_flow_is_claimed_once<S: FakeEngine>(store: Arc<S>) {
        const ALL: usize = 40;
        let engine = store.open().await;
        let mut expected = Vec::new();
        for callout in callouts(ALL) {
            expected.push(callout.flow());
            enqueue(&*engine, &callout).await;
        }
        let mut claims = JoinSet::new();
        for _ in 0..4 {
            let engine = Arc::clone(&engine);
            claims.spawn(async move {
                let mut leases = Vec::new();
                while let Some(lease) = next(&*engine).await {
                    leases.push(lease);
                }
                leases
            });
        }
        let leases = claims.join_all().await.concat();
        let mut claimed: Vec<_> = leases.iter().map(|lease| lease.callout().flow()).collect();
        claimed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(claimed, expected);
    }

    /// Checks that a flow that was given back is due at its time and not before, with its memo.
    pub async fn a_flow_is_due_again_at_the_time_of_its_return<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        enqueue(&*engine, &callout()).await;
        let lease = due(&*store, &*engine).await;
        let memo = json!({"failures": 3, "wakes_at": now(), "pause_ms": 2000});
        let memo: Memo = serde_json::from_value(memo).expect("it is a memo");
        let (wait, began) = (Duration::from_secs(2), Instant::now());
        let until = now() + TimeDelta::seconds(2);
        let given = soon(lease.give_back(until, &memo)).await;
        given.expect("a flow is given back");
        drop(lease);
        let lease = due(&*store, &*engine).await;
        let waited = began.elapsed();
        assert!(waited > wait.mul_f64(0.9), "it was due after {waited:?}");
        assert_eq!(lease.memo(), Some(memo));
        assert_eq!(lease.takeovers(), 0);
    }

    /// Checks that a delivery report makes a flow due that waits for longer.
    pub async fn a_report_makes_a_flow_due<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        let callout = callout();
        enqueue(&*engine, &callout).await;
        let lease = due(&*store, &*engine).await;
        give_back(&*lease, now() + TimeDelta::hours(1)).await;
        drop(lease);
        assert!(next(&*engine).await.is_none());
        let report = report_of(Reference::random());
        let stored = soon(engine.report(&callout.flow(), &report)).await;
        stored.expect("a report is stored");
        let lease = due(&*store, &*engine).await;
        let entries = soon(lease.entries()).await.expect("it is read");
        assert_eq!(entries.reports, [report]);
    }

    /// Checks that an order to stop makes a flow due that waits for longer.
    pub async fn a_stop_makes_a_flow_due<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        let callout = callout();
        enqueue(&*engine, &callout).await;
        let lease = due(&*store, &*engine).await;
        give_back(&*lease, now() + TimeDelta::hours(1)).await;
        drop(lease);
        let stopped = soon(engine.stop(&callout.flow(), now())).await;
        stopped.expect("an order is stored");
        let lease = due(&*store, &*engine).await;
        let entries = soon(lease.entries()).await.expect("it is read");
        assert!(entries.stop.is_some());
    }

    /// Checks that a report that arrives while a flow has a holder makes it due right after it was given back.
    pub async fn a_report_during_a_run_makes_the_flow_due_again<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        let callout = callout();
        enqueue(&*engine, &callout).await;
        let lease = due(&*store, &*engine).await;
        let entries = soon(lease.entries()).await.expect("it is read");
        assert!(entries.reports.is_empty());
        let report = report_of(Reference::random());
        let stored = soon(engine.report(&callout.flow(), &report)).await;
        stored.expect("a report is stored");
        assert!(next(&*engine).await.is_none(), "it has a holder");
        give_back(&*lease, now() + TimeDelta::hours(1)).await;
        drop(lease);
        let lease = due(&*store, &*engine).await;
        let entries = soon(lease.entries()).await.expect("it is read");
        assert_eq!(entries.reports.len(), 1);
        give_back(&*lease, now() + TimeDelta::hours(1)).await;
        drop(lease);
        assert!(next(&*engine).await.is_none(), "it was seen");
    }

    /// Checks that a flow stays with a holder that died for a lease, and no longer.
    pub async fn a_flow_whose_holder_died_is_due_after_its_lease<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        enqueue(&*engine, &callout()).await;
        let old = due(&*store, &*engine).await;
        append(&*old, 0, &issuing()).await;
        assert!(next(&*engine).await.is_none());
        lapse(&*old).await;
        let new = due(&*store, &*engine).await;
        assert_eq!(
            kind(soon(old.append(1, &issuing())).await),
            Some(JournalErrorKind::Lost)
        );
        assert_eq!(kind(soon(old.extend()).await), Some(JournalErrorKind::Lost));
        append(&*new, 1, &resumed()).await;
    }

    /// Checks that a flow tells how many holders died on it, and forgets it once one gave it back.
    pub async fn takeovers_are_counted_until_a_flow_is_given_back<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        enqueue(&*engine, &callout()).await;
        for takeovers in 0..3 {
            let lease = due(&*store, &*engine).await;
            assert_eq!(lease.takeovers(), takeovers);
            if takeovers < 2 {
                lapse(&*lease).await;
            } else {
                give_back(&*lease, now()).await;
            }
        }
        let lease = due(&*store, &*engine).await;
        assert_eq!(lease.takeovers(), 0);
    }

    /// Checks that a lease that is extended in time is kept.
    pub async fn an_extended_lease_keeps_its_flow<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        enqueue(&*engine, &callout()).await;
        let lease = due(&*store, &*engine).await;
        for _ in 0..12 {
            sleep(store.lease() / 4).await;
            soon(lease.extend()).await.expect("a lease is extended");
            assert!(next(&*engine).await.is_none(), "it has a holder");
        }
        assert!(lease.holds());
        append(&*lease, 0, &issuing()).await;
    }

    /// Checks that a flow that is done is not due again, whatever arrives for it, and is known.
    pub async fn a_flow_that_is_done_is_due_no_more<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        let callout = callout();
        enqueue(&*engine, &callout).await;
        let lease = due(&*store, &*engine).await;
        append(&*lease, 0, &resumed()).await;
        let entries = soon(lease.entries()).await.expect("it is read");
        let ending = postduif_onboarding::Ending::of(&entries).expect("it has ended");
        soon(lease.done(&ending)).await.expect("a flow is done");
        soon(lease.done(&ending))
            .await
            .expect("a repetition changes nothing");
        drop(lease);
        let report = report_of(Reference::random());
        let stored = soon(engine.report(&callout.flow(), &report)).await;
        stored.expect("a late report is no error");
        assert_eq!(enqueue(&*engine, &callout).await, Taken::Known);
        assert!(next(&*engine).await.is_none(), "it is done");
    }

    /// Checks that a holder that lost its flow cannot take it out of the queue.
    pub async fn a_lost_lease_ends_nothing<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        enqueue(&*engine, &callout()).await;
        let old = due(&*store, &*engine).await;
        append(&*old, 0, &resumed()).await;
        let entries = soon(old.entries()).await.expect("it is read");
        let ending = postduif_onboarding::Ending::of(&entries).expect("it has ended");
        lapse(&*old).await;
        let new = due(&*store, &*engine).await;
        assert_eq!(
            kind(soon(old.done(&ending)).await),
            Some(JournalErrorKind::Lost)
        );
        let given = soon(old.give_back(now(), &Memo::default())).await;
        assert_eq!(kind(given), Some(JournalErrorKind::Lost));
        let counts = soon(engine.counts()).await.expect("it counts");
        assert_eq!(counts.open, 1);
        assert!(new.holds());
    }

    /// Checks the status of an unknown flow, an open one, and one that is done.
    pub async fn a_status_tells_what_became_of_a_flow<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        let callout = callout();
        let flow = callout.flow();
        let status = soon(engine.status(&flow)).await.expect("it responds");
        assert!(status.is_none());
        enqueue(&*engine, &callout).await;
        let status = soon(engine.status(&flow)).await.expect("it responds");
        let status = status.expect("it is stored");
        assert_eq!((status.flow, status.user), (flow, callout.user()));
        assert!(status.done_at.is_none() && status.ending.is_none());
        let lease = due(&*store, &*engine).await;
        append(&*lease, 0, &resumed()).await;
        let entries = soon(lease.entries()).await.expect("it is read");
        let ending = postduif_onboarding::Ending::of(&entries).expect("it has ended");
        soon(lease.done(&ending)).await.expect("a flow is done");
        let status = soon(engine.status(&flow)).await.expect("it responds");
        let status = status.expect("it is stored");
        assert!(status.done_at.is_some());
        let verdict = status.ending.map(|ending| ending.verdict);
        assert_eq!(verdict, Some(Verdict::Completed));
    }

    /// Checks that open and due flows are counted, and the oldest is named.
    pub async fn the_open_flows_are_counted<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        let counts = soon(engine.counts()).await.expect("it counts");
        assert_eq!((counts.open, counts.due, counts.oldest), (0, 0, None));
        let before = now() - TimeDelta::seconds(1);
        for callout in callouts(3) {
            enqueue(&*engine, &callout).await;
        }
        let lease = due(&*store, &*engine).await;
        let counts = soon(engine.counts()).await.expect("it counts");
        assert_eq!((counts.open, counts.due), (3, 2));
        assert!(counts.oldest.is_some_and(|oldest| oldest > before));
        drop(lease);
    }

    /// Checks that a wait does not outlast the arrival of a flow by much, nor its own limit.
    pub async fn a_wait_ends_when_a_flow_is_due<S: FakeEngine>(store: Arc<S>) {
        let engine = store.open().await;
        let began = Instant::now();
        engine.wait(Duration::from_millis(100)).await;
        assert!(began.elapsed() < CALL, "it is limited");
        let waiting = Arc::clone(&engine);
        let waited = tokio::spawn(async move {
            while next(&*waiting).await.is_none() {
                waiting.wait(Duration::from_secs(60)).await;
                // A store that never waits must not keep this from being ended.
                tokio::task::yield_now().await;
            }
        });
        enqueue(&*engine, &callout()).await;
        soon(waited).await.expect("the wait ends");
    }

    /// Checks that a worker goes on polling the future that shuts it down: it may hold what the worker waits for.
    pub async fn a_shutdown_that_asks_the_store_delays_no_flow<S: FakeEngine>(store: Arc<S>) {
        let (engine, tenant) = (store.open().await, Arc::new(Tenant::new()));
        for callout in callouts(8) {
            enqueue(&*engine, &callout).await;
        }
        let worker = worker(&engine, onboarding(&tenant));
        let asked = async {
            while soon(engine.counts()).await.expect("it counts").open > 0 {
                tokio::task::yield_now().await;
            }
        };
        let began = Instant::now();
        worker.run_until(asked).await;
        assert!(began.elapsed() < CALL, "it took {:?}", began.elapsed());
    }

    /// Checks that a flow with an entry of a newer version waits for a worker that can read it, while others end.
    pub async fn an_entry_of_a_newer_version_holds_up_no_other_flow<S: FakeEngine>(store: Arc<S>) {
        const NEWER: &str =
            r#"{"v":1,"at":"2026-11-23T08:00:00Z","entry":{"recalled":{"tap":"c6a1f0d2"}}}"#;
        let engine = store.open().await;
        let newer = callout();
        enqueue(&*engine, &newer).await;
        let lease = due(&*store, &*engine).await;
        append(&*lease, 0, &issuing()).await;
        give_back(&*lease, now()).await;
        drop(lease);
        store.write_raw(newer.flow(), 0, NEWER).await;
        let others = callouts(4);
        for callout in &others {
            enqueue(&*engine, callout).await;
        }
        let tenant = Arc::new(Tenant::new());
        let worker = worker(&engine, onboarding(&tenant));
        let looked = async {
            let until = Instant::now() + PATIENCE;
            while soon(engine.counts()).await.expect("it counts").open > 1 {
                assert!(Instant::now() < until, "the other flows do not end");
                sleep(Duration::from_millis(50)).await;
            }
        };
        worker.run_until(looked).await;
        tenant.assert_settled(&others);
        let status = soon(engine.status(&newer.flow())).await;
        assert_ne!(
            status.ok().flatten().map(|status| status.done_at.is_some()),
            Some(true)
        );
    }

    /// Checks that flows whose workers die at any moment all end well: none is lost, no pass is sent twice, and each
    /// user has one usable pass, in the last text.
    pub async fn flows_survive_workers_that_die<S: FakeEngine>(store: Arc<S>) {
        const KILLS: u64 = 5;
        let tenant = Arc::new(Tenant::new());
        let all = callouts(40);
        {
            let engine = store.open().await;
            for callout in &all {
                enqueue(&*engine, callout).await;
            }
        }
        let start = || Process::start(&store, &tenant, None, CompleteOn::Accepted);
        let second = store.is_shared().then(start);
        for kill in 0..KILLS {
            let process = start();
            // Between two moments of its work, another one each time.
            sleep(Duration::from_millis(120 + 70 * kill)).await;
            process.kill().await;
        }
        if let Some(second) = second {
            second.kill().await;
        }
        let last = start_and_watch(&store, &tenant).await;
        last.kill().await;
        tenant.assert_settled(&all);
    }

    /// Starts a worker, and waits until all flows are done.
    async fn start_and_watch<S: FakeEngine>(store: &Arc<S>, tenant: &Arc<Tenant>) -> Process {
        let (told, done) = mpsc::channel();
        let process = watched(store, tenant, told);
        let waited = tokio::task::spawn_blocking(move || done.recv_timeout(PATIENCE * 2)).await;
        waited.expect("it is waited for").expect("all flows end");
        process
    }

    /// A worker that tells when its store has no open flow: nobody else can open it.
    fn watched<S: FakeEngine>(
        store: &Arc<S>,
        tenant: &Arc<Tenant>,
        told: mpsc::Sender<()>,
    ) -> Process {
        let (store, tenant) = (Arc::clone(store), Arc::clone(tenant));
        let kill = Arc::new(Notify::new());
        let killed = Arc::clone(&kill);
        let thread = thread::spawn(move || {
            block_on_one(async {
                let engine = store.open().await;
                let worker = worker(&engine, onboarding(&tenant));
                let done = async {
                    all_done(&*engine, store.lease()).await;
                    let _ = told.send(());
                    killed.notified().await;
                };
                worker.run_until(done).await;
            });
        });
        Process { kill, thread }
    }

    fn block_on_one(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime starts").block_on(work);
    }

    /// Checks that a worker whose process is stopped between an intent's entry and its request, for longer than its
    /// lease, makes no request when it continues: another one has taken the flow over.
    pub async fn a_worker_that_is_stopped_before_its_request_makes_none<S: FakeEngine>(
        store: Arc<S>,
    ) {
        if !store.is_shared() {
            return;
        }
        for entry in ["issuing", "sending"] {
            let tenant = Arc::new(Tenant::new());
            let engine = store.open().await;
            let callout = callout();
            enqueue(&*engine, &callout).await;
            let (stop, stopped) = Stopping::after(entry, store.lease() * 3);
            let first = Process::start(&store, &tenant, Some(stop), CompleteOn::Accepted);
            let waited = tokio::task::spawn_blocking(move || stopped.recv_timeout(PATIENCE)).await;
            waited.expect("it is waited for").expect("it is stopped");
            let second = Process::start(&store, &tenant, None, CompleteOn::Accepted);
            all_done(&*engine, store.lease()).await;
            let texts = tenant.texts();
            // It continues when the others have long ended.
            sleep(store.lease() * 2).await;
            first.kill().await;
            second.kill().await;
            assert_eq!(tenant.texts(), texts, "{entry}: it sent a text");
            tenant.assert_settled(&[callout]);
        }
    }

    /// Checks that the pauses between reads of a user grow, although the flow is given back in between.
    pub async fn a_user_who_does_not_exist_yet_is_read_with_pauses<S: FakeEngine>(store: Arc<S>) {
        let tenant = Arc::new(Tenant::new());
        let callout = callout();
        let user = callout.user().expect("it has a user");
        tenant.hide(user, usize::MAX);
        let engine = store.open().await;
        enqueue(&*engine, &callout).await;
        let worker = worker(&engine, onboarding(&tenant));
        worker.run_until(all_done(&*engine, store.lease())).await;
        assert_eq!(tenant.reads(user), 3, "one read, and one after each pause");
        let status = soon(engine.status(&callout.flow()))
            .await
            .expect("it responds");
        let ending = status
            .and_then(|status| status.ending)
            .expect("it has ended");
        let reason = ending.reason().map(|reason| reason.to_string());
        assert_eq!(reason.as_deref(), Some("user_not_found"));
    }

    /// Checks that flows of one user, run by several workers, leave one usable pass, in the last text.
    pub async fn a_user_with_several_flows_has_one_usable_pass<S: FakeEngine>(store: Arc<S>) {
        let tenant = Arc::new(Tenant::new());
        let engine = store.open().await;
        let mut all = Vec::new();
        for _ in 0..4 {
            let user = Guid::random().into();
            all.extend([callout_of(user), callout_of(user), callout_of(user)]);
        }
        for callout in &all {
            enqueue(&*engine, callout).await;
        }
        let worker = || worker(&engine, onboarding(&tenant));
        let (one, two) = (worker(), worker());
        let lease = store.lease();
        tokio::join!(
            one.run_until(all_done(&*engine, lease)),
            two.run_until(all_done(&*engine, lease)),
        );
        tenant.assert_settled(&all);
    }

    /// Checks that a flow that completes on delivery ends with its report, and not before.
    pub async fn a_flow_that_waits_for_its_report_is_ended_by_it<S: FakeEngine>(store: Arc<S>) {
        let tenant = Arc::new(Tenant::new());
        let engine = store.open().await;
        let callout = callout();
        let user = callout.user().expect("it has a user");
        enqueue(&*engine, &callout).await;
        let onboarding = onboarding(&tenant).with_complete_on(CompleteOn::Delivered);
        let worker = worker(&engine, onboarding);
        let reported = async {
            let until = Instant::now() + PATIENCE;
            let reference = loop {
                if let Some(reference) = tenant.last_reference(user) {
                    break reference;
                }
                assert!(Instant::now() < until, "no text is sent");
                sleep(Duration::from_millis(20)).await;
            };
            let status = soon(engine.status(&callout.flow()))
                .await
                .expect("it responds");
            assert!(status.is_some_and(|status| status.ending.is_none()));
            let mut report = DeliveryReport::new("example", DeliveryStatus::Delivered);
            report.reference = Some(reference);
            loop {
                // The flow is known by its text right before the text is sent.
                match soon(worker.onboarding().report(&report)).await {
                    Ok(Some(flow)) => break assert_eq!(flow, callout.flow()),
                    other => assert!(
                        Instant::now() < until,
                        "the report finds no flow: {other:?}"
                    ),
                }
            }
            all_done(&*engine, store.lease()).await;
        };
        worker.run_until(reported).await;
        tenant.assert_settled(&[callout]);
    }
}
