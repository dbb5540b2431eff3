//! The process dies, or the journal fails, around every entry.

use std::{sync::Arc, time::Duration};

use postduif_core::{
    DeliveryStatus, ErrorKind,
    directory::{Callout, GraphErrorKind, Verdict},
};
use postduif_onboarding::{CompleteOn, OnDoubt, OnboardingBuilder};

use crate::world::{Break, IssueFault, SendFault, World};

/// The effects that a flow may have, whatever happens to its process.
struct Scenario {
    name: &'static str,
    faults: fn(&World),
    setting: fn(OnboardingBuilder) -> OnboardingBuilder,
    /// The number of texts that the vendor receives if the process does not die.
    sends: usize,
}

const PLAIN: fn(OnboardingBuilder) -> OnboardingBuilder = |builder| builder;

static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "plain",
        faults: |_| {},
        setting: PLAIN,
        sends: 1,
    },
    Scenario {
        name: "the answer to the text is lost",
        faults: |world| world.state().send_faults = [SendFault::Lost].into(),
        setting: PLAIN,
        sends: 2,
    },
    Scenario {
        name: "the text and its answer are lost, and that is the end",
        faults: |world| world.state().send_faults = [SendFault::Vanished].into(),
        setting: |builder| builder.with_on_doubt(OnDoubt::Fail),
        sends: 1,
    },
    Scenario {
        name: "the text is refused",
        faults: |world| {
            world.state().send_faults = [SendFault::Refused(ErrorKind::Blocked)].into();
        },
        setting: PLAIN,
        sends: 1,
    },
    Scenario {
        name: "the pass is lost on its way",
        faults: |world| world.state().issue_faults = [IssueFault::Lost].into(),
        setting: PLAIN,
        sends: 1,
    },
    Scenario {
        name: "the pass is lost on its way, and shows late",
        faults: |world| {
            let late = IssueFault::LostAndLate(Duration::from_secs(7));
            world.state().issue_faults = [late].into();
        },
        setting: PLAIN,
        sends: 1,
    },
    Scenario {
        name: "the pass is lost on its way, shows late, and another is refused meanwhile",
        faults: |world| {
            let late = IssueFault::LostAndLate(Duration::from_secs(30));
            let refused = IssueFault::Refused(GraphErrorKind::Forbidden);
            world.state().issue_faults = [late, refused].into();
        },
        setting: PLAIN,
        sends: 1,
    },
    Scenario {
        name: "the pass that was sent shows late",
        faults: |world| {
            let late = IssueFault::ShownLate(Duration::from_secs(30));
            world.state().issue_faults = [late].into();
        },
        setting: PLAIN,
        sends: 1,
    },
    Scenario {
        name: "the pass is refused at first",
        faults: |world| {
            let throttled = IssueFault::Refused(GraphErrorKind::Throttled);
            world.state().issue_faults = [throttled].into();
        },
        setting: PLAIN,
        sends: 1,
    },
    Scenario {
        name: "the policy lets nobody use the pass",
        faults: |world| world.state().issue_faults = [IssueFault::Disabled].into(),
        setting: PLAIN,
        sends: 0,
    },
    Scenario {
        name: "revoking fails at first",
        faults: |world| {
            world.state().send_faults = [SendFault::Lost].into();
            world.state().revoke_faults = [GraphErrorKind::Unavailable; 3].into();
        },
        setting: PLAIN,
        sends: 2,
    },
    Scenario {
        name: "delivery is waited for in vain",
        faults: |_| {},
        setting: |builder| builder.with_complete_on(CompleteOn::Delivered),
        sends: 1,
    },
];

impl Scenario {
    fn world(&self) -> (Arc<World>, Callout) {
        let world = World::new();
        (self.faults)(&world);
        let callout = world.callout();
        (world, callout)
    }

    fn onboarding(&self, world: &Arc<World>) -> postduif_onboarding::Onboarding {
        (self.setting)(world.builder()).build().unwrap()
    }

    /// Returns the number of entries of an undisturbed flow.
    async fn records(&self) -> usize {
        let (world, callout) = self.world();
        let ending = world.ending(&self.onboarding(&world), &callout).await;
        world.assert_settled(&ending, self.name);
        assert_eq!(world.state().sends, self.sends, "{}", self.name);
        world.state().records
    }
}

#[tokio::test(start_paused = true)]
async fn killed_around_any_entry_a_flow_ends_with_one_usable_pass_in_the_last_text_or_none() {
    for scenario in SCENARIOS {
        for at in 0..scenario.records().await {
            for how in [Break::DieBefore, Break::DieAfter] {
                let context = format!("{}: {how:?} {at}", scenario.name);
                let (world, callout) = scenario.world();
                world.state().broken = Some((at, how));
                let dead = world.live(&scenario.onboarding(&world), &callout).await;
                assert!(dead.is_none(), "{context}");
                let ending = world.ending(&scenario.onboarding(&world), &callout).await;
                world.assert_settled(&ending, &context);
                let sends = world.state().sends;
                assert!(sends <= scenario.sends + 1, "{context}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn killed_twice_it_does_so_too() {
    // Except for the last one, which waits without entries.
    for scenario in &SCENARIOS[..SCENARIOS.len() - 1] {
        let records = scenario.records().await;
        for first in 0..records {
            for second in first + 1..records + 8 {
                for how in [Break::DieBefore, Break::DieAfter] {
                    let context = format!("{}: {how:?} {first}, {second}", scenario.name);
                    let (world, callout) = scenario.world();
                    for at in [first, second] {
                        world.state().broken = Some((at, how));
                        world.live(&scenario.onboarding(&world), &callout).await;
                    }
                    let ending = world.ending(&scenario.onboarding(&world), &callout).await;
                    world.assert_settled(&ending, &context);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_every_entry_it_still_ends_within_three_rounds() {
    for how in [Break::DieBefore, Break::DieAfter] {
        let world = World::new();
        let callout = world.callout();
        let mut lives = 0;
        let ending = loop {
            let next = world.state().records + 2;
            world.state().broken = Some((next, how));
            lives += 1;
            assert!(lives < 50, "{:#?}", world.log());
            if let Some(ended) = world.live(&world.onboarding(), &callout).await {
                break ended.unwrap();
            }
        };
        assert!(ending.attempts <= 3);
        world.assert_settled(&ending, &format!("{how:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_error_of_the_journal_there_is_no_further_effect() {
    for scenario in SCENARIOS {
        for at in 0..scenario.records().await {
            for how in [Break::FailBefore, Break::FailAfter] {
                let context = format!("{}: {how:?} {at}", scenario.name);
                let (world, callout) = scenario.world();
                world.state().broken = Some((at, how));
                let ended = world.live(&scenario.onboarding(&world), &callout).await;
                assert!(ended.unwrap().is_err(), "{context}");
                let log = world.log();
                let failed = log.iter().position(|line| line == "-- failed --").unwrap();
                // Except for the revocation of a pass that no other run may look for.
                let after: Vec<_> = log[failed + 1..].iter().map(String::as_str).collect();
                let revokes = after.iter().all(|line| line.starts_with("revoke "));
                let of_one = after.windows(2).all(|two| two[0] == two[1]);
                assert!(revokes && of_one && after.len() <= 3, "{context}: {log:#?}");
                // The next run that reads the journal ends the flow.
                let ending = world.ending(&scenario.onboarding(&world), &callout).await;
                world.assert_settled(&ending, &context);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_was_delivered_while_the_process_was_dead_is_not_sent_again() {
    let world = World::new();
    let callout = world.callout();
    // The process dies with the vendor's response.
    world.state().broken = Some((3, Break::DieBefore));
    assert!(world.live(&world.onboarding(), &callout).await.is_none());
    let reference = world.state().texts[0].reference;
    world
        .reported(callout.flow(), reference, DeliveryStatus::Delivered)
        .await;
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert_eq!(ending.verdict, Verdict::Completed);
    assert_eq!(world.state().sends, 1);
    world.assert_settled(&ending, "");
}
