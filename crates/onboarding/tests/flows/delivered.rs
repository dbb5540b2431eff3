//! `CompleteOn::Delivered`: a flow that waits for delivery reports.

use std::{future, sync::Arc, time::Duration};

use postduif_core::{
    DeliveryStatus,
    directory::{FailureReason, Verdict},
};
use postduif_onboarding::{CompleteOn, Ending, Step, StepName};

use crate::world::{SendFault, World, minutes, start, step_until_idle};

/// Ends a flow for which these statuses are reported, a minute apart.
async fn reported(world: &Arc<World>, statuses: &[DeliveryStatus]) -> Ending {
    let onboarding = world.builder().with_complete_on(CompleteOn::Delivered);
    let onboarding = onboarding.build().unwrap();
    let callout = world.callout();
    let flow = callout.flow();
    let reports = async {
        for &status in statuses {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let reference = world.state().texts[0].reference;
            world.reported(flow, reference, status).await;
        }
        future::pending().await
    };
    tokio::select! {
        ending = onboarding.run(callout) => ending.unwrap(),
        () = reports => unreachable!(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_flow_is_completed_when_the_text_is_delivered() {
    let world = World::new();
    let statuses = [
        DeliveryStatus::Sent,
        DeliveryStatus::Buffered,
        DeliveryStatus::Unknown,
        DeliveryStatus::Delivered,
    ];
    let ending = reported(&world, &statuses).await;
    assert_eq!(ending.verdict, Verdict::Completed);
    let waited = ending
        .steps
        .iter()
        .find(|taken| taken.step == StepName::AwaitReport);
    assert!(waited.unwrap().took.abs_diff(Duration::from_secs(240)) <= Duration::from_secs(1));
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn the_pass_of_an_undelivered_text_is_revoked() {
    for status in [
        DeliveryStatus::Expired,
        DeliveryStatus::Failed,
        DeliveryStatus::Rejected,
    ] {
        let world = World::new();
        let ending = reported(&world, &[status]).await;
        assert_eq!(ending.verdict, Verdict::Failed(FailureReason::NotDelivered));
        assert!(ending.receipt.is_some() && ending.pass.as_ref().unwrap().revoked());
        world.assert_settled(&ending, status.as_str());
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_report_by_the_deadline_the_flow_fails() {
    let world = World::new();
    let ending = reported(&world, &[]).await;
    assert_eq!(
        ending.verdict,
        Verdict::Failed(FailureReason::DeadlinePassed)
    );
    assert_eq!(world.state().verdicts[0].0, start() + minutes(29));
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_waits_for_a_report_waits_until_the_deadline_and_holds_no_user() {
    let world = World::new();
    let onboarding = world.builder().with_complete_on(CompleteOn::Delivered);
    let onboarding = onboarding.build().unwrap();
    let mut run = world.start(&onboarding, &world.callout()).await;
    let step = step_until_idle(&onboarding, &mut run).await;
    assert!(matches!(step, Step::WaitUntil(until) if until == run.deadline()));
    assert!(!run.holds_user());
}

#[tokio::test(start_paused = true)]
async fn a_report_ends_the_doubt_about_a_text() {
    let world = World::new();
    world.state().send_faults = [SendFault::Lost].into();
    let onboarding = world.builder().with_complete_on(CompleteOn::Delivered);
    let onboarding = onboarding.build().unwrap();
    let callout = world.callout();
    let mut run = world.start(&onboarding, &callout).await;
    while world.state().sends == 0 {
        onboarding.step(&mut run).await.unwrap();
    }
    assert!(run.holds_user());
    let reference = world.state().texts[0].reference;
    world
        .reported(callout.flow(), reference, DeliveryStatus::Sent)
        .await;
    // The vendor has it: the flow waits, and the user is free.
    let step = step_until_idle(&onboarding, &mut run).await;
    assert!(matches!(step, Step::WaitUntil(until) if until == run.deadline()));
    assert!(!run.holds_user());
}
