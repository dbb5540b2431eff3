//! The runner of a service: what it takes, how many flows, and how it stops.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::{
    DeliveryReport, DeliveryStatus, Reference, ReportSink as _, Stored, async_trait,
    directory::{Callout, FailureReason, FlowId, GraphErrorKind, Verdict},
};
use postduif_onboarding::{
    Candidate, Claim, CompleteOn, Ending, Entries, Guard, Intake as _, Journal, JournalError,
    JournalErrorKind, MemoryJournal, Onboarding, Report, Runner, Taken,
};
use tokio::sync::{Notify, mpsc};

use crate::world::World;

type Ended = (FlowId, Result<Ending, JournalError>);

/// Returns a runner, and the endings of its flows.
fn runner(onboarding: Onboarding, max_open: usize) -> (Runner, mpsc::UnboundedReceiver<Ended>) {
    let (sender, endings) = mpsc::unbounded_channel();
    let runner = Runner::builder(onboarding)
        .with_max_open(NonZeroUsize::new(max_open).unwrap())
        .with_observer(move |flow, ended| drop(sender.send((flow, ended.clone()))))
        .build();
    (runner, endings)
}

/// Returns a world whose directory does not know the user yet, so that a flow stays open.
fn waiting() -> Arc<World> {
    let world = World::new();
    let never = std::iter::repeat_n(GraphErrorKind::NotFound, 1_000);
    world.state().user_faults = never.collect();
    world
}

#[tokio::test(start_paused = true)]
async fn a_call_out_that_was_taken_runs_to_its_end() {
    let world = World::new();
    let (runner, mut endings) = runner(world.onboarding(), 10);
    let callout = world.callout();
    assert_eq!(runner.take(callout.clone()).await.unwrap(), Taken::New);
    let (flow, ended) = endings.recv().await.unwrap();
    assert_eq!(flow, callout.flow());
    assert_eq!(ended.unwrap().verdict, Verdict::Completed);
    runner.stop().await;
    assert_eq!((runner.open(), runner.oldest()), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_call_out_starts_nothing() {
    let world = World::new();
    let (runner, mut endings) = runner(world.onboarding(), 10);
    let callout = world.callout();
    assert_eq!(runner.take(callout.clone()).await.unwrap(), Taken::New);
    assert_eq!(runner.take(callout.clone()).await.unwrap(), Taken::Known);
    endings.recv().await.unwrap().1.unwrap();
    // The flow has ended, and so has its task.
    while runner.open() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(runner.take(callout).await.unwrap(), Taken::Known);
    assert_eq!(runner.open(), 0);
    runner.stop().await;
    assert!(endings.try_recv().is_err());
    assert_eq!(world.state().texts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn beyond_its_bound_a_new_call_out_is_refused_and_a_known_one_is_not() {
    let world = waiting();
    let (runner, _endings) = runner(world.onboarding(), 2);
    let open = [world.callout(), world.callout()];
    for callout in &open {
        assert_eq!(runner.take(callout.clone()).await.unwrap(), Taken::New);
    }
    let refused = world.callout();
    assert_eq!(runner.take(refused.clone()).await.unwrap(), Taken::Full);
    let entries = world.journal.entries(&refused.flow()).await.unwrap();
    assert!(entries.records.is_empty());
    assert_eq!(runner.take(open[0].clone()).await.unwrap(), Taken::Known);
    assert_eq!(runner.open(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_out_that_was_taken_always_has_room_in_the_journal() {
    let world = waiting();
    let journal = MemoryJournal::with_capacity(NonZeroUsize::new(3).unwrap());
    let onboarding = world.builder().with_journal(journal).build().unwrap();
    let (runner, mut endings) = runner(onboarding, 100);
    let mut taken = Vec::new();
    for _ in 0..10 {
        taken.push(runner.take(world.callout()).await.unwrap());
    }
    assert_eq!(taken[..3], [Taken::New; 3]);
    assert_eq!(taken[3..], [Taken::Full; 7]);
    for _ in 0..3 {
        endings.recv().await.unwrap().1.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_a_flow_that_runs() {
    let world = World::new();
    let (runner, mut endings) = runner(world.onboarding(), 10);
    let callout = world.callout();
    let take = runner.take(callout.clone());
    // Polled once, and dropped.
    assert!(futures_poll(take).await.is_none());
    let (flow, ended) = endings.recv().await.unwrap();
    assert_eq!(
        (flow, ended.unwrap().verdict),
        (callout.flow(), Verdict::Completed)
    );
}

/// Polls a future once.
async fn futures_poll<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = future => Some(value),
        () = std::future::ready(()) => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_every_flow_and_takes_no_other() {
    let world = waiting();
    let (runner, mut endings) = runner(world.onboarding(), 10);
    let callouts = [world.callout(), world.callout()];
    for callout in &callouts {
        runner.take(callout.clone()).await.unwrap();
    }
    let started = world.clock.now();
    runner.stop().await;
    assert!(world.clock.now() - started <= TimeDelta::minutes(1));
    for _ in &callouts {
        let (_, ended) = endings.recv().await.unwrap();
        assert_eq!(
            ended.unwrap().verdict,
            Verdict::Failed(FailureReason::Shutdown)
        );
    }
    assert_eq!(runner.take(world.callout()).await.unwrap(), Taken::Full);
    assert_eq!(world.state().sends, 0);
}

/// A guard that takes a second, and counts how many run at a time.
#[derive(Debug, Default)]
struct Slow {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Guard for Slow {
    async fn check(&self, _: &Candidate<'_>) -> Result<(), FailureReason> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_steps_than_workers_run_at_a_time() {
    for workers in [1, 3] {
        let (world, slow) = (World::new(), Arc::<Slow>::default());
        let onboarding = world.builder().with_guard(Arc::clone(&slow)).build();
        let (sender, mut endings) = mpsc::unbounded_channel();
        let runner = Runner::builder(onboarding.unwrap())
            .with_workers(NonZeroUsize::new(workers).unwrap())
            .with_observer(move |_, ended| drop(sender.send(ended.clone())))
            .build();
        for _ in 0..5 {
            runner.take(world.callout()).await.unwrap();
        }
        for _ in 0..5 {
            endings.recv().await.unwrap().unwrap();
        }
        assert_eq!(slow.most.load(Ordering::SeqCst), workers);
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_away_takes_nothing() {
    #[derive(Debug)]
    struct Away;

    #[async_trait]
    impl Journal for Away {
        async fn claim(&self, _: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError> {
            std::future::pending().await
        }
        async fn entries(&self, _: &FlowId) -> Result<Entries, JournalError> {
            std::future::pending().await
        }
        async fn flow_of(&self, _: &Reference) -> Result<Option<FlowId>, JournalError> {
            Ok(None)
        }
        async fn flow_by_id(&self, _: &str, _: &str) -> Result<Option<FlowId>, JournalError> {
            Ok(None)
        }
        async fn report(&self, _: &FlowId, _: &Report) -> Result<(), JournalError> {
            Err(JournalError::new(JournalErrorKind::Unavailable, "away"))
        }
        async fn stop(&self, _: &FlowId, _: DateTime<Utc>) -> Result<(), JournalError> {
            Ok(())
        }
    }

    let world = World::new();
    let onboarding = world.builder().with_journal(Away).build().unwrap();
    let (runner, _endings) = runner(onboarding, 1);
    let started = tokio::time::Instant::now();
    let error = runner.take(world.callout()).await.unwrap_err();
    assert_eq!(error.kind(), JournalErrorKind::Unavailable);
    assert!(started.elapsed() <= Duration::from_secs(5));
    // Its place is free again.
    assert_eq!(runner.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_report_ends_a_flow_that_waits_for_it() {
    let world = World::new();
    let builder = world.builder().with_complete_on(CompleteOn::Delivered);
    let (runner, mut endings) = runner(builder.build().unwrap(), 10);
    runner.take(world.callout()).await.unwrap();
    while world.state().texts.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut report = DeliveryReport::new("kpn", DeliveryStatus::Delivered);
    report.reference = Some(world.state().texts[0].reference);
    let sink = Arc::clone(runner.onboarding());
    while sink.store(&report).await.unwrap() == Stored::Unknown {
        tokio::task::yield_now().await;
    }
    let (_, ended) = endings.recv().await.unwrap();
    assert_eq!(ended.unwrap().verdict, Verdict::Completed);
    let other = DeliveryReport::new("kpn", DeliveryStatus::Delivered).with_reference_text("a");
    assert_eq!(sink.store(&other).await.unwrap(), Stored::Unknown);
}

/// A journal whose first claim waits, and then fails.
#[derive(Debug)]
struct Failing {
    journal: MemoryJournal,
    claims: AtomicUsize,
    fails: Notify,
}

#[async_trait]
impl Journal for Failing {
    async fn claim(&self, callout: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError> {
        if self.claims.fetch_add(1, Ordering::SeqCst) == 0 {
            self.fails.notified().await;
            return Err(JournalError::new(JournalErrorKind::Unavailable, "away"));
        }
        self.journal.claim(callout).await
    }
    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError> {
        self.journal.entries(flow).await
    }
    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError> {
        self.journal.flow_of(reference).await
    }
    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError> {
        self.journal.flow_by_id(provider, id).await
    }
    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError> {
        self.journal.report(flow, report).await
    }
    async fn stop(&self, flow: &FlowId, at: DateTime<Utc>) -> Result<(), JournalError> {
        self.journal.stop(flow, at).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_call_out_is_known_only_once_the_first_was_taken() {
    let world = World::new();
    let journal = Arc::new(Failing {
        journal: MemoryJournal::new(),
        claims: AtomicUsize::new(0),
        fails: Notify::new(),
    });
    let builder = world.builder().with_journal(Arc::clone(&journal));
    let (runner, mut endings) = runner(builder.build().unwrap(), 10);
    let callout = world.callout();
    let fails = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        journal.fails.notify_one();
    };
    let (first, repeated, ()) = tokio::join!(
        runner.take(callout.clone()),
        runner.take(callout.clone()),
        fails
    );
    let kinds = [first, repeated].map(|taken| taken.map_err(|error| error.kind()));
    assert_eq!(kinds, [Err(JournalErrorKind::Unavailable); 2]);
    assert_eq!(runner.take(callout).await.unwrap(), Taken::New);
    endings.recv().await.unwrap().1.unwrap();
}

/// A guard that panics the first time.
#[derive(Debug, Default)]
struct Panicking(AtomicUsize);

#[async_trait]
impl Guard for Panicking {
    async fn check(&self, _: &Candidate<'_>) -> Result<(), FailureReason> {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "a fault");
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_flow_in_which_a_guard_panics_gets_a_verdict() {
    let world = World::new();
    let builder = world.builder().with_guard(Panicking::default());
    let (runner, mut endings) = runner(builder.build().unwrap(), 10);
    assert_eq!(runner.take(world.callout()).await.unwrap(), Taken::New);
    let ended = tokio::time::timeout(Duration::from_secs(3_600), endings.recv()).await;
    let (_, ended) = ended.expect("an ending").unwrap();
    assert_eq!(ended.unwrap().verdict, Verdict::Completed);
    assert_eq!(world.state().texts.len(), 1);
}
