//! The user's lock, which a flow holds while an effect may be open.

use std::time::Duration;

use postduif_core::{DeliveryReport, DeliveryStatus, directory::Verdict};
use postduif_onboarding::{ExistingPass, Report, Step};
use serde_json::json;

use crate::world::{
    IssueFault, SendFault, World, entry, issued, issuing, minutes, reference, sending, start,
};

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

#[tokio::test(start_paused = true)]
async fn no_look_and_no_revocation_begins_while_another_flow_has_the_user() {
    use postduif_onboarding::Journal as _;
    let text = json!({"round": 1, "reference": "text", "provider": "kpn"});
    let refused = json!({"round": 1, "reference": "text", "cause": {"kind": "blocked"}});
    let lost = json!({"round": 1, "cause": {"kind": "timeout"}});
    let sent = vec![issuing(1, &[]), issued(1, "ours"), sending(1, "kpn")];
    for entries in [
        vec![issuing(1, &[]), entry(json!({"issue_in_doubt": lost}))],
        [sent.clone(), vec![entry(json!({"not_accepted": refused}))]].concat(),
        [sent, vec![entry(json!({"accepted": text}))]].concat(),
    ] {
        let world = World::new();
        world.has_pass("ours");
        let callout = world.callout();
        world.given(&callout, &entries).await;
        let other = world.journal.claim(&world.callout()).await.unwrap();
        let other = other.unwrap();
        assert!(other.lock_user(seconds(3600)).await.unwrap());
        // A request in doubt is not pending any more.
        tokio::time::advance(seconds(60)).await;
        let onboarding = world.onboarding();
        let mut run = world.start(&onboarding, &callout).await;
        for _ in 0..3 {
            let step = onboarding.step(&mut run).await.unwrap();
            assert!(matches!(step, Step::WaitUntil(_)), "{step:?}");
            tokio::time::advance(seconds(1)).await;
        }
        assert!(world.log().is_empty(), "{:#?}", world.log());
        other.free_user().await.unwrap();
        onboarding.step(&mut run).await.unwrap();
        assert!(!world.log().is_empty(), "{entries:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_that_arrives_before_the_user_is_locked_saves_the_pass() {
    let world = World::new();
    world.has_pass("ours");
    let callout = world.callout();
    let lost = json!({"round": 1, "reference": "text", "cause": {"kind": "timeout"}});
    let entries = [
        issuing(1, &[]),
        issued(1, "ours"),
        sending(1, "kpn"),
        entry(json!({"in_doubt": lost})),
    ];
    world.given(&callout, &entries).await;
    let mut report = DeliveryReport::new("kpn", DeliveryStatus::Delivered);
    report.reference = Some(reference("text"));
    let report = Report::new(&report, world.clock.now());
    world.state().report_at_lock = Some((callout.flow(), report));
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert_eq!(ending.verdict, Verdict::Completed);
    assert_eq!(world.usable(), ["ours+secret"]);
}
