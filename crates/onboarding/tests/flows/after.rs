//! A flow after its deadline, and after Entra got the verdict.

use std::{future, time::Duration};

use postduif_core::{
    ErrorKind,
    directory::{FailureReason, GraphErrorKind, Verdict},
};
use postduif_onboarding::{Ending, Step};
use serde_json::json;

use crate::world::{Break, IssueFault, SendFault, World, entry, minutes, start};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_fails_after_the_deadline_is_repeated() {
    for faults in [1, 3, 20] {
        let world = World::new();
        world.state().issue_faults = [IssueFault::Slow(seconds(5))].into();
        world.state().revoke_faults = vec![GraphErrorKind::Throttled; faults].into();
        let callout = world
            .callout()
            .with_created_at(start() - minutes(29) + seconds(3));
        let ending = world.ending(&world.onboarding(), &callout).await;
        assert!(world.usable().is_empty(), "an orphan: {:#?}", world.log());
        assert!(ending.pass.unwrap().revoked());
        // Entra did not wait for it.
        assert_eq!(world.state().verdicts[0].0, start() + seconds(5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_in_doubt_at_the_deadline_leaves_no_usable_pass() {
    let world = World::new();
    world.state().send_faults = [SendFault::Lost].into();
    world.state().issue_faults = [IssueFault::Slow(seconds(2))].into();
    world.state().revoke_faults = [GraphErrorKind::Throttled; 2].into();
    let callout = world
        .callout()
        .with_created_at(start() - minutes(29) + seconds(2) + Duration::from_millis(3));
    let onboarding = world.onboarding();
    let mut run = world.start(&onboarding, &callout).await;
    let ending = loop {
        match onboarding.step(&mut run).await.unwrap() {
            Step::Next => tokio::time::advance(Duration::from_millis(1)).await,
            Step::WaitUntil(_) => tokio::time::advance(seconds(1)).await,
            Step::Done(ending) => break ending,
        }
    };
    assert!(matches!(ending.verdict, Verdict::Failed(_)));
    assert_eq!(world.state().texts.len(), 1, "it is on the phone");
    assert!(world.usable().is_empty(), "{:#?}", world.log());
}

#[tokio::test(start_paused = true)]
async fn a_revocation_goes_on_in_the_next_process() {
    let world = World::new();
    world.state().send_faults = [SendFault::Refused(ErrorKind::Blocked)].into();
    world.state().revoke_faults = vec![GraphErrorKind::Unavailable; 60].into();
    let callout = world.callout();
    // The process dies when Entra has the verdict.
    world.state().broken = Some((6, Break::DieAfter));
    assert!(world.live(&world.onboarding(), &callout).await.is_none());
    assert_eq!(world.state().heard.len(), 1, "{:#?}", world.log());
    assert_eq!(world.usable().len(), 1);
    world.state().revoke_faults.clear();
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert!(world.usable().is_empty());
    assert!(ending.pass.unwrap().revoked());
    assert_eq!(world.state().verdicts.len(), 1, "Entra gets one verdict");
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_a_pass_to_expire_and_the_ending_names_it() {
    let world = World::new();
    world.state().send_faults = [SendFault::Refused(ErrorKind::Blocked)].into();
    world.state().revoke_faults = vec![GraphErrorKind::Unavailable; 500].into();
    let onboarding = world.onboarding();
    let shutdown = tokio::time::sleep(seconds(100));
    let callout = world.callout();
    let ending = onboarding
        .run_until(callout.clone(), shutdown)
        .await
        .unwrap();
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::NotAccepted));
    assert_eq!(ending.may_be_usable_until(), Some(start() + minutes(60)));
    assert!(world.clock.now() <= start() + seconds(170));
    // The next claim continues the flow.
    world.state().revoke_faults.clear();
    let ending = onboarding.run(callout).await.unwrap();
    assert_eq!(ending.may_be_usable_until(), None);
    assert!(world.usable().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_users_next_flow_does_not_wait_for_a_pass_that_cannot_be_revoked() {
    let world = World::new();
    world.state().send_faults = [SendFault::Refused(ErrorKind::Blocked)].into();
    world.state().revoke_faults = vec![GraphErrorKind::Unavailable; 500].into();
    let onboarding = world.onboarding();
    let old = world.callout().with_created_at(start() - minutes(28));
    let next = async {
        tokio::time::sleep(seconds(120)).await;
        world.state().heard.clear();
        onboarding.run(world.callout()).await
    };
    let (one, two) = tokio::join!(onboarding.run(old), next);
    assert_eq!(two.unwrap().verdict, Verdict::Completed);
    assert!(one.unwrap().pass.unwrap().expired());
    // Its own pass was replaced, and it touched no other pass.
    assert_eq!(world.usable(), ["S2+cret!"]);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_callout_does_not_wait_for_what_is_looked_after() {
    let world = World::new();
    world.state().send_faults = [SendFault::Refused(ErrorKind::Blocked)].into();
    world.state().revoke_faults = vec![GraphErrorKind::Unavailable; 500].into();
    let onboarding = world.onboarding();
    let callout = world.callout().with_created_at(start() - minutes(28));
    let (first, ()) = tokio::join!(onboarding.run(callout.clone()), async {
        tokio::time::sleep(seconds(90)).await;
        let again = onboarding.run(callout.clone()).await;
        let again = again.unwrap();
        assert_eq!(world.clock.now(), start() + seconds(90));
        assert_eq!(again.verdict, Verdict::Failed(FailureReason::NotAccepted));
        assert!(again.may_be_usable_until().is_some());
    });
    assert_eq!(first.unwrap().may_be_usable_until(), None);
}

#[tokio::test(start_paused = true)]
async fn an_order_to_stop_ends_a_flow_and_leaves_nothing() {
    use postduif_onboarding::Journal as _;
    let world = World::new();
    world.state().send_faults = [SendFault::Lost].into();
    world.state().revoke_faults = [GraphErrorKind::Unavailable; 3].into();
    let onboarding = world.onboarding();
    let callout = world.callout();
    let flow = callout.flow();
    let order = async {
        tokio::time::sleep(seconds(1)).await;
        world.journal.stop(&flow, world.clock.now()).await.unwrap();
        future::pending::<()>().await
    };
    let ending = tokio::select! {
        ending = onboarding.run(callout) => ending.unwrap(),
        () = order => unreachable!(),
    };
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::Shutdown));
    world.assert_settled(&ending, "");
    assert_eq!(world.state().passes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_ending_is_made_from_entries_and_read_back_as_stored() {
    use postduif_onboarding::Journal as _;
    let world = World::new();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    let entries = world.journal.entries(&ending.flow).await.unwrap();
    let made = Ending::of(&entries).unwrap();
    assert_eq!(made.verdict, ending.verdict);
    let stored = serde_json::to_string(&made).unwrap();
    assert!(!stored.contains("31612345678"));
    let read: Ending = serde_json::from_str(&stored).unwrap();
    assert_eq!(format!("{read:?}"), format!("{made:?}"));
    let stored = serde_json::to_string(&entries).unwrap();
    assert_eq!(
        serde_json::from_str::<postduif_onboarding::Entries>(&stored).unwrap(),
        entries
    );
    let begun = [entry(json!({"not_asked": {"round": 1}}))];
    let callout = world.callout();
    world.given(&callout, &begun).await;
    let entries = world.journal.entries(&callout.flow()).await.unwrap();
    assert!(Ending::of(&entries).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_callout_without_a_user_ends_durably_as_failed() {
    let world = World::new();
    let known = world.callout();
    let callout = postduif_core::directory::Callout::without_user(
        known.flow(),
        known.callback().copied(),
        start(),
    );
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::UserNotFound));
    assert_eq!(world.log(), ["resuming", "resume", "resumed"]);
    world.clear_log();
    world.ending(&world.onboarding(), &callout).await;
    assert!(world.log().is_empty(), "a repeated call finds its ending");
}

#[tokio::test(start_paused = true)]
async fn an_order_to_stop_changes_nothing_after_entra_has_the_verdict() {
    use postduif_onboarding::Journal as _;
    let world = World::new();
    world.state().send_faults = [SendFault::Refused(ErrorKind::Blocked)].into();
    world.state().revoke_faults = vec![GraphErrorKind::Unavailable; 500].into();
    let onboarding = world.onboarding();
    let callout = world.callout().with_created_at(start() - minutes(28));
    let mut run = world.start(&onboarding, &callout).await;
    let mut waits = false;
    while !(run.is_resumed() && waits) {
        waits = match onboarding.step(&mut run).await.unwrap() {
            Step::Next => false,
            Step::WaitUntil(_) => true,
            Step::Done(ending) => panic!("{ending:?}"),
        };
        if waits && !run.is_resumed() {
            tokio::time::advance(seconds(1)).await;
        }
    }
    let (log, closes) = (world.log(), run.closes());
    let now = world.clock.now();
    world.journal.stop(&callout.flow(), now).await.unwrap();
    let step = onboarding.step(&mut run).await.unwrap();
    // The pause before the next revocation goes on.
    assert!(
        matches!(step, Step::WaitUntil(until) if until > now),
        "{step:?}"
    );
    assert_eq!((world.log(), run.closes()), (log, closes));
}
