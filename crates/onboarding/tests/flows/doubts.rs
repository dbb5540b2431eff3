//! Passes in doubt: lists that lag, effects that are late, passes that no list ever shows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use postduif_core::{
    async_trait,
    directory::{
        FailureReason, GraphError, GraphErrorKind, TapId, TapInfo, TapIssuer, TapRequest,
        TemporaryAccessPass, UserId, Verdict,
    },
};
use postduif_onboarding::Step;
use serde_json::json;

use crate::world::{IssueFault, World, entry, issued, issuing, minutes, start, step_until_idle};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const REFUSALS: [GraphErrorKind; 3] = [
    GraphErrorKind::Other,
    GraphErrorKind::Conflict,
    GraphErrorKind::Forbidden,
];

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_doubt_leaves_no_pass_that_the_list_shows_late() {
    for kind in REFUSALS {
        for late in [25, 60, 200] {
            let world = World::new();
            let lost = IssueFault::LostAndLate(seconds(late));
            world.state().issue_faults = [lost, IssueFault::Refused(kind)].into();
            let ending = world.ending(&world.onboarding(), &world.callout()).await;
            // The revoked pass may have been the reason; the next one was issued.
            assert_eq!(ending.verdict, Verdict::Completed, "{kind} {late}");
            world.assert_settled(&ending, &format!("{kind} {late}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_of_a_doubt_counts_as_ours_for_the_users_next_flow() {
    let world = World::new();
    // It is listed long after the first flow has stopped looking.
    world.state().issue_faults = [
        IssueFault::LostAndLate(seconds(900)),
        IssueFault::Refused(GraphErrorKind::Forbidden),
    ]
    .into();
    let onboarding = world.onboarding();
    let ending = world.ending(&onboarding, &world.callout()).await;
    assert!(matches!(ending.verdict, Verdict::Failed(_)));
    tokio::time::advance(seconds(900)).await;
    world.state().heard.clear();
    world.state().verdicts.clear();
    let next = world.ending(&onboarding, &world.callout()).await;
    assert_eq!(next.verdict, Verdict::Completed);
    world.assert_settled(&next, "");
    // A pass of another issuer from another time is not revoked.
    tokio::time::advance(seconds(7200)).await;
    world.state().passes.clear();
    world.has_pass("strange");
    let next = world.ending(&onboarding, &world.callout()).await;
    assert_eq!(next.verdict, Verdict::Failed(FailureReason::PassExists));
}

#[tokio::test(start_paused = true)]
async fn a_late_pass_after_several_doubts_is_not_left() {
    let world = World::new();
    world.state().issue_faults = [
        IssueFault::Vanished,
        IssueFault::Vanished,
        IssueFault::LostAndLate(seconds(5)),
    ]
    .into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.verdict, Verdict::Completed);
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn an_ending_names_a_pass_that_no_list_could_show() {
    let world = World::new();
    world.state().issue_faults = [IssueFault::Lost].into();
    let onboarding = world.onboarding();
    let callout = world.callout();
    let mut run = world.start(&onboarding, &callout).await;
    step_until_idle(&onboarding, &mut run).await;
    world.state().list_faults = vec![GraphErrorKind::Unavailable; 500].into();
    let ending = loop {
        match onboarding.step(&mut run).await.unwrap() {
            Step::Next => {}
            Step::WaitUntil(_) => tokio::time::advance(seconds(1)).await,
            Step::Done(ending) => break ending,
        }
    };
    assert_eq!(
        ending.verdict,
        Verdict::Failed(FailureReason::GraphUnavailable)
    );
    assert_eq!(world.state().verdicts[0].0, start() + minutes(29));
    assert_eq!(world.usable().len(), 1);
    // No lifetime was requested, so the maximum of Graph counts.
    let until = ending.may_be_usable_until().unwrap();
    assert!(until >= start() + chrono::TimeDelta::days(30));
    let entries = world.entries(callout.flow()).await;
    assert!(entries.contains(&entry(json!({"unseen": {"until": until}}))));
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_is_listed_after_the_verdict_is_revoked() {
    let world = World::new();
    world.state().issue_faults = [IssueFault::LostAndLate(seconds(90))].into();
    let callout = world
        .callout()
        .with_created_at(start() - minutes(29) + seconds(1));
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert!(matches!(ending.verdict, Verdict::Failed(_)));
    assert_eq!(world.state().verdicts[0].0, start() + seconds(1));
    assert!(world.usable().is_empty(), "{:#?}", world.log());
    assert_eq!(ending.may_be_usable_until(), None);
    world.assert_settled(&ending, "");
}

/// A server that executes requests some seconds later, also if the caller is gone.
#[derive(Debug)]
struct LateServer {
    world: Arc<World>,
    late: AtomicUsize,
    by: Duration,
}

#[async_trait]
impl TapIssuer for LateServer {
    async fn issue(
        &self,
        user: &UserId,
        request: &TapRequest,
    ) -> Result<TemporaryAccessPass, GraphError> {
        if self.late.load(Ordering::SeqCst) == 0 {
            return self.world.issue(user, request).await;
        }
        self.late.fetch_sub(1, Ordering::SeqCst);
        let (world, user, request) = (Arc::clone(&self.world), *user, *request);
        let by = self.by;
        let made = tokio::spawn(async move {
            tokio::time::sleep(by).await;
            world.make(&user, &request, None)
        });
        made.await
            .map_err(|_| GraphError::unknown(GraphErrorKind::Other, "the server died"))
    }

    async fn list(&self, user: &UserId) -> Result<Vec<TapInfo>, GraphError> {
        self.world.list(user).await
    }

    async fn revoke(&self, user: &UserId, tap: &TapId) -> Result<(), GraphError> {
        self.world.revoke(user, tap).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_step_is_settled_when_its_pass_can_be_there() {
    for by in [2, 10, 18] {
        for anew in [false, true] {
            let world = World::new();
            let server = LateServer {
                world: Arc::clone(&world),
                late: AtomicUsize::new(1),
                by: seconds(by),
            };
            let onboarding = world
                .builder()
                .with_issuer(Arc::new(server))
                .build()
                .unwrap();
            let callout = world.callout();
            let mut run = world.start(&onboarding, &callout).await;
            let ending = loop {
                match tokio::time::timeout(seconds(1), onboarding.step(&mut run)).await {
                    // Dropped: the process lost its lease, or was restarted at once.
                    Err(_) if anew => {
                        drop(run);
                        run = world.start(&onboarding, &callout).await;
                    }
                    Err(_) | Ok(Ok(Step::Next)) => {}
                    Ok(Ok(Step::Done(ending))) => break ending,
                    Ok(Ok(Step::WaitUntil(_))) => tokio::time::sleep(seconds(1)).await,
                    Ok(Err(error)) => panic!("{error}"),
                }
            };
            tokio::time::sleep(seconds(30)).await;
            assert_eq!(ending.verdict, Verdict::Completed);
            world.assert_settled(&ending, &format!("{by} s, {anew}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_takeover_waits_by_the_time_of_the_entry_and_longer_in_each_round() {
    for (round, least) in [(1, 29), (2, 58), (3, 117)] {
        let world = World::new();
        world.has_pass("ours");
        let callout = world.callout();
        let entries = [issuing(round, &[]), issued(round, "ours")];
        world.given(&callout, &entries).await;
        tokio::time::advance(seconds(5)).await;
        let onboarding = world.onboarding();
        let mut run = world.start(&onboarding, &callout).await;
        let Step::WaitUntil(until) = onboarding.step(&mut run).await.unwrap() else {
            panic!("it should wait");
        };
        assert_eq!((until - start()).num_seconds(), least);
        assert_eq!(world.usable(), ["ours+secret"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_again_and_again_does_not_use_up_the_rounds() {
    let world = World::new();
    let onboarding = world.onboarding();
    let callout = world.callout();
    // For forty seconds it dies half a second after it began.
    for _ in 0..40 {
        let run = onboarding.run(callout.clone());
        let _ = tokio::time::timeout(Duration::from_millis(500), async {
            world.state().send_faults = [crate::world::SendFault::Slow(seconds(2))].into();
            run.await
        })
        .await;
        tokio::time::advance(Duration::from_millis(500)).await;
    }
    world.state().send_faults.clear();
    let ending = world.ending(&onboarding, &callout).await;
    assert_eq!(ending.verdict, Verdict::Completed, "{:#?}", world.log());
    world.assert_settled(&ending, "");
}
