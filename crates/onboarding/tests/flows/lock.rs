//! The user's lock, which a flow holds while an effect may be open.

use std::time::Duration;

use postduif_core::directory::Verdict;
use postduif_onboarding::ExistingPass;

use crate::world::{IssueFault, SendFault, World, issuing, minutes, start};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Runs two flows of one user: the first one minute before its deadline, and the second right after it.
async fn first_near_its_end(world: &std::sync::Arc<World>) -> [Verdict; 2] {
    let replace = world
        .builder()
        .with_existing_pass(ExistingPass::ReplaceOurs);
    let onboarding = replace.build().unwrap();
    let first = world.callout().with_created_at(start() - minutes(28));
    let second = world.callout();
    let (one, two) = tokio::join!(
        async {
            tokio::time::sleep(seconds(30)).await;
            onboarding.run(first).await
        },
        async {
            tokio::time::sleep(seconds(31)).await;
            onboarding.run(second).await
        },
    );
    [one.unwrap().verdict, two.unwrap().verdict]
}

#[tokio::test(start_paused = true)]
async fn a_late_pass_does_not_replace_the_pass_of_a_completed_flow() {
    let world = World::new();
    world.state().issue_faults = [IssueFault::Slow(seconds(40))].into();
    let [_, two] = first_near_its_end(&world).await;
    assert_eq!(two, Verdict::Completed);
    let last = world.state().texts.last().unwrap().text.clone();
    assert!(
        matches!(&world.usable()[..], [pass] if last.contains(pass)),
        "{:#?}",
        world.log()
    );
}

#[tokio::test(start_paused = true)]
async fn a_text_that_is_taken_late_is_not_newer_than_the_one_with_the_usable_pass() {
    let world = World::new();
    world.state().send_faults = [SendFault::Slow(seconds(50))].into();
    first_near_its_end(&world).await;
    let last = world.state().texts.last().unwrap().text.clone();
    assert!(
        matches!(&world.usable()[..], [pass] if last.contains(pass)),
        "{:#?}",
        world.log()
    );
}

#[tokio::test(start_paused = true)]
async fn a_flow_past_its_deadline_does_not_mistake_another_flows_new_pass_for_its_own() {
    let world = World::new();
    world.state().issue_faults = [IssueFault::SlowAnswer(seconds(9))].into();
    let onboarding = world.onboarding();
    let crashed = world.callout().with_created_at(start() - minutes(40));
    world.given(&crashed, &[issuing(1, &[])]).await;
    let (one, two) = tokio::join!(onboarding.run(world.callout()), async {
        // The other flow's pass exists, and is not in its journal yet.
        tokio::time::sleep(seconds(3)).await;
        onboarding.run(crashed).await
    });
    assert_eq!(one.unwrap().verdict, Verdict::Completed);
    assert!(matches!(two.unwrap().verdict, Verdict::Failed(_)));
    assert_eq!(world.usable(), ["S1+cret!"], "{:#?}", world.log());
    // Entra got the verdict in time. The flow looked for its pass when the user was free.
    let verdicts = world.state().verdicts.clone();
    assert_eq!(verdicts[0].0, start() + seconds(3));
}
