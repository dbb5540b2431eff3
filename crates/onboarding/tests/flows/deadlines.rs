//! Flows at their deadline, and at the shutdown of their process.

use std::time::Duration;

use postduif_core::{
    Guid,
    directory::{Callback, Callout, FailureReason, GraphError, GraphErrorKind, Verdict},
};
use postduif_onboarding::{CompleteOn, Ending, Journal, Step};
use serde_json::json;

use crate::world::{IssueFault, SendFault, World, entry, graph_error, issued, minutes, start};

fn failed(reason: FailureReason) -> Verdict {
    Verdict::Failed(reason)
}

#[tokio::test(start_paused = true)]
async fn a_call_out_after_its_deadline_fails_with_no_effect_except_the_verdict() {
    let world = World::new();
    let callout = world.callout().with_created_at(start() - minutes(29));
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert_eq!(ending.verdict, failed(FailureReason::DeadlinePassed));
    assert_eq!(world.log(), ["resuming", "resume", "resumed"]);
}

#[tokio::test(start_paused = true)]
async fn the_window_of_the_callout_counts_before_the_setting() {
    let world = World::new();
    let onboarding = world.builder().with_margin(Duration::from_secs(30));
    let onboarding = onboarding.build().unwrap();
    let [request, stage_instance, flow] = std::array::from_fn(|_| Guid::random());
    let callback = Callback::assignment(
        request,
        stage_instance,
        postduif_core::directory::AccessPackageStage::RequestGranted,
    );
    let user = world.state().user.id;
    let callout =
        Callout::new(flow.into(), user, callback, start()).with_window(Duration::from_secs(300));
    let run = world.start(&onboarding, &callout).await;
    assert_eq!(run.closes(), start() + minutes(5));
    assert_eq!(run.deadline(), start() + Duration::from_secs(270));
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_comes_after_the_deadline_is_not_sent() {
    let world = World::new();
    let half = Duration::from_secs(30);
    let callout = world
        .callout()
        .with_created_at(start() - minutes(29) + half);
    let slow = IssueFault::Slow(Duration::from_secs(40));
    world.state().issue_faults = [slow].into();
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert_eq!(ending.verdict, failed(FailureReason::DeadlinePassed));
    assert_eq!((ending.attempts, world.state().sends), (1, 0));
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_text_accepted_after_the_deadline_completes_the_flow() {
    let world = World::new();
    let callout = world.callout().with_created_at(start() - minutes(28));
    let slow = SendFault::Slow(Duration::from_secs(80));
    world.state().send_faults = [slow].into();
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert_eq!(ending.verdict, Verdict::Completed);
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_text_without_a_response_is_in_doubt_in_time_for_the_verdict() {
    let world = World::new();
    world.state().send_faults = [SendFault::Slow(Duration::from_secs(86_400))].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.verdict, failed(FailureReason::DeadlinePassed));
    assert!(world.state().verdicts[0].0 < start() + minutes(30));
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_revocation_is_retried_until_the_pass_expires_and_no_other_pass_follows() {
    for fault in [
        SendFault::Lost,
        SendFault::Refused(postduif_core::ErrorKind::Other),
    ] {
        let world = World::new();
        world.state().send_faults = [fault].into();
        world.state().revoke_faults = [GraphErrorKind::Unavailable; 500].into();
        let onboarding = world.onboarding();
        let mut run = world.start(&onboarding, &world.callout()).await;
        let mut before_its_end = None;
        let ending = loop {
            match onboarding.step(&mut run).await.unwrap() {
                Step::Done(ending) => break ending,
                Step::Next => {}
                Step::WaitUntil(until) => {
                    let wait = (until - world.clock.now()).to_std().unwrap_or_default();
                    tokio::time::advance(wait).await;
                    if run.is_resumed() && before_its_end.is_none() {
                        let entries = world.journal.entries(&run.flow()).await.unwrap();
                        before_its_end = Ending::of(&entries);
                    }
                }
            }
        };
        assert!(matches!(ending.verdict, Verdict::Failed(_)));
        let until = before_its_end.unwrap().may_be_usable_until();
        assert_eq!(until, Some(start() + minutes(60)));
        let pass = ending.pass.as_ref().unwrap();
        assert!(!pass.revoked() && pass.expired());
        assert_eq!(ending.may_be_usable_until(), None);
        // Graph's clock may be an hour behind.
        assert_eq!(world.clock.now(), start() + minutes(120));
        let state = world.state();
        assert_eq!((state.sends, state.passes.len()), (1, 1));
        assert_eq!(state.verdicts.len(), 1);
        assert_eq!(state.verdicts[0].0, start() + minutes(29));
        let tries = state
            .log
            .iter()
            .filter(|line| line.starts_with("revoke "))
            .count();
        assert!(tries > 20, "{tries}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_is_revoked_after_the_deadline_too() {
    let world = World::new();
    world.has_pass("ours");
    let callout = world.callout().with_created_at(start() - minutes(600));
    world.given(&callout, &[issued(1, "ours")]).await;
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert_eq!(ending.verdict, failed(FailureReason::DeadlinePassed));
    world.assert_settled(&ending, "");

    // A pass that cannot be revoked at first does not delay the verdict, and is revoked afterwards.
    let callout = world.callout().with_created_at(start() - minutes(600));
    world.state().revoke_faults = [GraphErrorKind::Unavailable].into();
    let valid_until = start() + minutes(60);
    let revoking = entry(json!({
        "revoking": {"tap": "ours", "valid_until": valid_until, "then": "issue"}
    }));
    world.given(&callout, &[revoking]).await;
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert_eq!(ending.verdict, failed(FailureReason::DeadlinePassed));
    assert!(ending.pass.unwrap().revoked());
    let log = world.log();
    let at = |what: &str| log.iter().rposition(|line| line == what);
    assert!(at("resume") < at("revoke ours"), "{log:#?}");
}

#[tokio::test(start_paused = true)]
async fn the_verdict_is_retried_until_entra_hears_or_the_window_closes() {
    let world = World::new();
    let throttled = graph_error(GraphErrorKind::Throttled);
    world.state().resume_faults = [
        throttled.clone().with_retry_after(Duration::from_secs(100)),
        graph_error(GraphErrorKind::Forbidden),
        GraphError::unknown(GraphErrorKind::Protocol, "a stranger's 404"),
        GraphError::unknown(GraphErrorKind::Other, "in doubt"),
    ]
    .into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!((ending.verdict, ending.heard), (Verdict::Completed, true));
    let verdicts = world.state().verdicts.clone();
    assert_eq!(verdicts.len(), 5);
    assert!(verdicts[1].0 >= start() + Duration::from_secs(100));

    let world = World::new();
    world.state().resume_faults = vec![throttled; 500].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!((ending.verdict, ending.heard), (Verdict::Completed, false));
    let verdicts = world.state().verdicts.clone();
    assert!(verdicts.last().unwrap().0 >= start() + minutes(29));
    assert!(verdicts.last().unwrap().0 < start() + minutes(30));
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_no_longer_waits_counts_as_heard() {
    for kind in [
        GraphErrorKind::Conflict,
        GraphErrorKind::NotFound,
        GraphErrorKind::Other,
    ] {
        let world = World::new();
        world.state().resume_faults = [graph_error(kind)].into();
        let ending = world.ending(&world.onboarding(), &world.callout()).await;
        assert!(ending.heard);
        assert_eq!(world.state().verdicts.len(), 1);
    }
}

/// Ends a flow whose process is asked to stop after a number of seconds.
async fn stopped(
    world: &std::sync::Arc<World>,
    complete_on: CompleteOn,
    seconds: u64,
) -> postduif_onboarding::Ending {
    let onboarding = world
        .builder()
        .with_complete_on(complete_on)
        .build()
        .unwrap();
    let shutdown = tokio::time::sleep(Duration::from_secs(seconds));
    onboarding
        .run_until(world.callout(), shutdown)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn shutdown_finishes_the_current_step_and_keeps_an_accepted_text() {
    let world = World::new();
    world.state().send_faults = [SendFault::Slow(Duration::from_secs(20))].into();
    let ending = stopped(&world, CompleteOn::Accepted, 5).await;
    assert_eq!(ending.verdict, Verdict::Completed);
    assert_eq!(
        world.state().verdicts[0].0,
        start() + Duration::from_secs(20)
    );
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_every_wait() {
    let world = World::new();
    world.state().user_faults = [GraphErrorKind::Unavailable; 500].into();
    let ending = stopped(&world, CompleteOn::Accepted, 5).await;
    assert_eq!(ending.verdict, failed(FailureReason::Shutdown));
    assert_eq!(
        world.state().verdicts[0].0,
        start() + Duration::from_secs(5)
    );

    let world = World::new();
    let ending = stopped(&world, CompleteOn::Delivered, 5).await;
    assert_eq!(ending.verdict, failed(FailureReason::Shutdown));
    assert_eq!(
        world.state().verdicts[0].0,
        start() + Duration::from_secs(5)
    );
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn shutdown_allows_no_next_round() {
    let world = World::new();
    world.state().send_faults = [SendFault::Lost].into();
    world.state().revoke_faults = [GraphErrorKind::Unavailable; 5].into();
    let ending = stopped(&world, CompleteOn::Accepted, 100).await;
    assert_eq!(ending.verdict, Verdict::Completed, "it was quicker");

    let world = World::new();
    world.state().send_faults = [SendFault::Lost].into();
    world.state().revoke_faults = [GraphErrorKind::Unavailable; 2].into();
    let ending = stopped(&world, CompleteOn::Accepted, 4).await;
    assert_eq!(ending.verdict, failed(FailureReason::Shutdown));
    assert_eq!(world.state().passes.len(), 1);
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn shutdown_gives_entra_the_margin_to_hear() {
    let world = World::new();
    world.state().resume_faults = vec![graph_error(GraphErrorKind::Unavailable); 500].into();
    let ending = stopped(&world, CompleteOn::Accepted, 100).await;
    assert_eq!((ending.verdict, ending.heard), (Verdict::Completed, false));
    let last = world.state().verdicts.last().unwrap().0;
    assert!(last > start() + Duration::from_secs(140));
    assert!(last < start() + Duration::from_secs(160));
}
