//! A user who already has a pass: what is kept, replaced or refused.

use std::{future, time::Duration};

use postduif_core::{
    DeliveryStatus, ErrorKind,
    directory::{FailureReason, GraphErrorKind, Verdict},
};
use postduif_onboarding::{CompleteOn, ExistingPass, Step};
use serde_json::json;

use crate::world::{IssueFault, SendFault, World, entry, minutes, start, step_until_idle, tap};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_was_sent_completes_a_second_flow_without_a_second_text() {
    let faults: [fn(&World); 4] = [
        |_| {},
        |world| {
            let refused = SendFault::Refused(ErrorKind::InsufficientBalance);
            world.state().send_faults = [refused].into();
        },
        |world| {
            let refused = IssueFault::Refused(GraphErrorKind::Forbidden);
            world.state().issue_faults = [refused].into();
        },
        |world| world.state().issue_faults = [IssueFault::Vanished; 3].into(),
    ];
    for fault in faults {
        let world = World::new();
        let onboarding = world.onboarding();
        world.ending(&onboarding, &world.callout()).await;
        fault(&world);
        world.clear_log();
        world.state().heard.clear();
        let callout = world.callout();
        let ending = world.ending(&onboarding, &callout).await;
        assert_eq!(
            world.log(),
            [
                "user", "list", "kept", "list", "resuming", "resume", "resumed"
            ]
        );
        assert_eq!((ending.verdict, ending.attempts), (Verdict::Completed, 0));
        assert_eq!(ending.pass.unwrap().id, tap("tap-1"));
        assert_eq!(world.usable(), ["S1+cret!"]);
        assert_eq!(world.state().texts.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_about_to_expire_is_not_revoked_before_its_successor_exists() {
    let world = World::new();
    let onboarding = world.onboarding();
    world.ending(&onboarding, &world.callout()).await;
    tokio::time::advance(seconds(31 * 60)).await;
    world.clear_log();
    world.state().heard.clear();
    world.state().issue_faults = [IssueFault::Refused(GraphErrorKind::Forbidden)].into();
    let ending = world.ending(&onboarding, &world.callout()).await;
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::PassRefused));
    assert_eq!(world.usable(), ["S1+cret!"], "it had a pass, and has it");

    world.state().heard.clear();
    let ending = world.ending(&onboarding, &world.callout()).await;
    assert_eq!(ending.verdict, Verdict::Completed);
    assert_eq!(world.usable(), ["S2+cret!"]);
    assert!(!world.log().iter().any(|line| line.starts_with("revoke")));
}

#[tokio::test(start_paused = true)]
async fn no_usable_pass_is_replaced_with_too_little_time_left() {
    let world = World::new();
    let replace = world
        .builder()
        .with_existing_pass(ExistingPass::ReplaceOurs);
    let onboarding = replace.build().unwrap();
    world.ending(&onboarding, &world.callout()).await;
    let late = world
        .callout()
        .with_created_at(start() - minutes(29) + seconds(20));
    let ending = world.ending(&onboarding, &late).await;
    assert_eq!(
        ending.verdict,
        Verdict::Failed(FailureReason::DeadlinePassed)
    );
    assert_eq!(world.usable(), ["S1+cret!"]);
}

#[tokio::test(start_paused = true)]
async fn a_pass_is_revoked_first_only_if_graph_refuses_because_one_exists() {
    for kind in [GraphErrorKind::Conflict, GraphErrorKind::Other] {
        let world = World::new();
        world.state().refuses_existing = Some(kind);
        let replace = world
            .builder()
            .with_existing_pass(ExistingPass::ReplaceOurs);
        let onboarding = replace.build().unwrap();
        world.ending(&onboarding, &world.callout()).await;
        world.clear_log();
        world.state().heard.clear();
        let ending = world.ending(&onboarding, &world.callout()).await;
        assert_eq!(ending.verdict, Verdict::Completed, "{:#?}", world.log());
        let log = world.log();
        let at = |what: &str| log.iter().position(|line| line == what);
        assert!(at("issue") < at("revoke tap-1"), "{log:#?}");
        assert_eq!(ending.attempts, 1);
        world.assert_settled(&ending, "");
        // A pass of another issuer is left.
        let world = World::new();
        world.state().refuses_existing = Some(kind);
        world.has_pass("strange");
        let ending = world.ending(&world.onboarding(), &world.callout()).await;
        assert_eq!(ending.verdict, Verdict::Failed(FailureReason::PassExists));
        assert_eq!(world.usable(), ["strange+secret"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_because_of_a_just_revoked_pass_is_retried() {
    let world = World::new();
    let replace = world
        .builder()
        .with_existing_pass(ExistingPass::ReplaceOurs);
    let onboarding = replace.build().unwrap();
    world.ending(&onboarding, &world.callout()).await;
    world.state().heard.clear();
    world.state().issue_faults = [IssueFault::Refused(GraphErrorKind::Conflict); 4].into();
    let ending = world.ending(&onboarding, &world.callout()).await;
    assert_eq!(ending.verdict, Verdict::Completed, "{:#?}", world.log());
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_second_flow_waits_for_the_delivery_that_the_first_waits_for() {
    for (status, expected) in [
        (DeliveryStatus::Delivered, ["S1+cret!"]),
        (DeliveryStatus::Failed, ["S2+cret!"]),
    ] {
        let world = World::new();
        let onboarding = world.builder().with_complete_on(CompleteOn::Delivered);
        let onboarding = onboarding.build().unwrap();
        let [first, second] = [world.callout(), world.callout()];
        let (one_flow, two_flow) = (first.flow(), second.flow());
        let reports = async {
            tokio::time::sleep(seconds(120)).await;
            let reference = world.state().texts[0].reference;
            world.reported(one_flow, reference, status).await;
            tokio::time::sleep(seconds(120)).await;
            if let Some(text) = { world.state().texts.get(1).cloned() } {
                let delivered = DeliveryStatus::Delivered;
                world.reported(two_flow, text.reference, delivered).await;
            }
            future::pending::<()>().await
        };
        let both = async {
            tokio::join!(onboarding.run(first), async {
                tokio::time::sleep(seconds(60)).await;
                onboarding.run(second).await
            })
        };
        let (one, two) = tokio::select! { both = both => both, () = reports => unreachable!() };
        let completed = one.unwrap().verdict == Verdict::Completed;
        assert_eq!(completed, status == DeliveryStatus::Delivered);
        assert_eq!(two.unwrap().verdict, Verdict::Completed);
        assert_eq!(world.usable(), expected, "{:#?}", world.log());
    }
}

#[tokio::test(start_paused = true)]
async fn a_flow_is_not_completed_by_a_pass_that_is_not_there_any_more() {
    // An administrator revoked it while the flow waited for the report.
    let world = World::new();
    let onboarding = world.builder().with_complete_on(CompleteOn::Delivered);
    let onboarding = onboarding.build().unwrap();
    let callout = world.callout();
    let flow = callout.flow();
    let reports = async {
        tokio::time::sleep(seconds(600)).await;
        let first = world.state().texts[0].reference;
        world.state().passes[0].usable = false;
        world.reported(flow, first, DeliveryStatus::Delivered).await;
        tokio::time::sleep(seconds(60)).await;
        let second = world.state().texts[1].reference;
        world
            .reported(flow, second, DeliveryStatus::Delivered)
            .await;
        future::pending::<()>().await
    };
    let ending = tokio::select! {
        ending = onboarding.run(callout) => ending.unwrap(),
        () = reports => unreachable!(),
    };
    assert_eq!((ending.verdict, ending.attempts), (Verdict::Completed, 2));
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_another_flow_replaced_is_gone_whatever_an_old_list_shows() {
    for (set_by, name) in [(0, "plain"), (-3_600_000, "a clock set back")] {
        let world = World::new();
        world.state().stale = seconds(3600);
        let replace = world
            .builder()
            .with_existing_pass(ExistingPass::ReplaceOurs);
        let onboarding = replace
            .with_complete_on(CompleteOn::Delivered)
            .build()
            .unwrap();
        let [first, second] = [world.callout(), world.callout()];
        let flows = [first.flow(), second.flow()];
        let reports = async {
            tokio::time::sleep(seconds(300)).await;
            // Of the second text first, whose pass is the usable one.
            for text in [1, 0, 2] {
                let text = { world.state().texts.get(text).cloned() };
                if let Some(text) = text {
                    for flow in flows {
                        let delivered = DeliveryStatus::Delivered;
                        world.reported(flow, text.reference, delivered).await;
                    }
                }
                tokio::time::sleep(seconds(100)).await;
            }
            future::pending::<()>().await
        };
        let both = async {
            tokio::join!(onboarding.run(first), async {
                tokio::time::sleep(seconds(60)).await;
                world.clock.set_by(set_by);
                onboarding.run(second).await
            })
        };
        let (one, two) = tokio::select! { both = both => both, () = reports => unreachable!() };
        assert_eq!(two.unwrap().verdict, Verdict::Completed, "{name}");
        // The first flow found its pass replaced, and issued another.
        let one = one.unwrap();
        assert_eq!(
            (one.verdict, one.attempts),
            (Verdict::Completed, 2),
            "{name}"
        );
        assert_eq!(world.usable(), ["S3+cret!"], "{name}: {:#?}", world.log());
        let last = world.state().texts.last().unwrap().text.clone();
        assert!(last.contains("S3+cret!"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_the_list_shows_late_is_not_taken_for_one_that_is_gone() {
    let world = World::new();
    world.state().issue_faults = [IssueFault::ShownLate(seconds(100))].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!((ending.verdict, ending.attempts), (Verdict::Completed, 1));
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_kept_pass_that_goes_before_the_end_is_followed_by_an_own_one() {
    let world = World::new();
    let callout = world.callout();
    let valid_until = start() + minutes(60);
    let kept = entry(json!({"kept": {"tap": "gone", "valid_until": valid_until}}));
    world.given(&callout, &[kept]).await;
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert_eq!((ending.verdict, ending.attempts), (Verdict::Completed, 1));
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_strangers_pass_that_appears_after_a_refusal_is_not_revoked() {
    for kind in [GraphErrorKind::Conflict, GraphErrorKind::Other] {
        let world = World::new();
        world.state().refuses_existing = Some(kind);
        world.has_pass("strange");
        world.state().passes[0].shows_at = start() + minutes(60);
        let onboarding = world.onboarding();
        let mut run = world.start(&onboarding, &world.callout()).await;
        while !world.log().contains(&"not_issued".to_owned()) {
            onboarding.step(&mut run).await.unwrap();
        }
        world.state().passes[0].shows_at = start();
        let step = step_until_idle(&onboarding, &mut run).await;
        let Step::Done(ending) = step else {
            panic!("{kind}: {step:?}")
        };
        assert_eq!(ending.verdict, Verdict::Failed(FailureReason::PassExists));
        assert_eq!(world.usable(), ["strange+secret"], "{kind}");
        let log = world.log();
        assert!(
            !log.iter().any(|line| line.starts_with("revok")),
            "{log:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_once_before_the_verdict_is_read_again() {
    let world = World::new();
    let onboarding = world.onboarding();
    let callout = world.callout();
    let mut run = world.start(&onboarding, &callout).await;
    while !world.log().contains(&"accepted".to_owned()) {
        onboarding.step(&mut run).await.unwrap();
    }
    drop(run);
    // An administrator revoked the pass.
    world.state().passes[0].usable = false;
    world.state().list_faults = [GraphErrorKind::Unavailable].into();
    let ending = world.ending(&onboarding, &callout).await;
    assert_eq!((ending.verdict, ending.attempts), (Verdict::Completed, 2));
    world.assert_settled(&ending, "");
}
