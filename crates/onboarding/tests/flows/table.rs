//! Every row of the table, by a journal that ends with its entry: a new run, which holds no secret.

use std::sync::Arc;

use postduif_core::{
    DeliveryStatus, ErrorKind,
    directory::{Callout, FailureReason, GraphErrorKind, Verdict},
};
use postduif_onboarding::{CompleteOn, Ending, Entry, OnDoubt, OnboardingBuilder, Record, Then};
use serde_json::json;

use crate::world::{self, World, entry, issuing, minutes, reference, sending, start};

/// Returns a world with a usable pass of round 1, and a call-out.
fn world() -> (Arc<World>, Callout) {
    let world = World::new();
    world.has_pass("ours");
    let callout = world.callout();
    (world, callout)
}

fn issued(round: u8) -> [Entry; 2] {
    [issuing(round, &[]), world::issued(round, "ours")]
}

fn accepted(round: u8) -> Entry {
    entry(json!({"accepted": {
        "round": round,
        "reference": "text",
        "provider": "kpn",
        "id": "vendor-7",
        "parts": 1,
        "price": "0.07 EUR",
    }}))
}

const FAILED: Verdict = Verdict::Failed(FailureReason::NotAccepted);

async fn end(world: &Arc<World>, callout: &Callout, entries: &[Entry]) -> Ending {
    end_with(world, callout, entries, |builder| builder).await
}

async fn end_with(
    world: &Arc<World>,
    callout: &Callout,
    entries: &[Entry],
    setting: impl Fn(OnboardingBuilder) -> OnboardingBuilder,
) -> Ending {
    world.given(callout, entries).await;
    let onboarding = setting(world.builder()).build().unwrap();
    world.ending(&onboarding, callout).await
}

/// A whole round, and the verdict.
const ROUND: [&str; 10] = [
    "list", "issuing", "issue", "issued", "sending", "send", "accepted", "list", "resuming",
    "resume",
];

const REVOKE: [&str; 3] = ["revoking", "revoke ours", "revoked"];

const FAIL: [&str; 3] = ["resuming", "resume", "resumed"];

fn log(parts: &[&[&str]]) -> Vec<String> {
    parts.concat().into_iter().map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn none_reads_asks_lists_and_issues() {
    let world = World::new();
    let callout = world.callout();
    let ending = end(&world, &callout, &[]).await;
    assert_eq!(world.log(), log(&[&["user"], &ROUND, &["resumed"]]));
    world.assert_settled(&ending, "none");
}

#[tokio::test(start_paused = true)]
async fn issuing_revokes_a_new_pass_that_no_flow_issued() {
    let (world, callout) = world();
    let ending = end(&world, &callout, &[issuing(1, &[])]).await;
    assert_eq!(
        world.log(),
        log(&[&["list"], &REVOKE, &["user"], &ROUND, &["resumed"]])
    );
    assert!(
        world
            .entries(callout.flow())
            .await
            .contains(&issuing(2, &[]))
    );
    world.assert_settled(&ending, "new");
}

#[tokio::test(start_paused = true)]
async fn issuing_leaves_what_was_there_before_or_is_another_flows() {
    // A pass of another issuer, seen before: it is left, and refused as in any round.
    let (world, callout) = world();
    let ending = end(&world, &callout, &[issuing(1, &["ours"])]).await;
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::PassExists));
    assert_eq!(world.usable(), ["ours+secret"]);
    // A new pass that another flow recorded: it is ours, and replaced as such.
    let (world, callout) = self::world();
    world.given(&world.callout(), &issued(1)).await;
    let ending = end(&world, &callout, &[issuing(1, &[])]).await;
    assert_eq!(
        world.log(),
        log(&[
            // Not kept, since no text with it was accepted.
            &["list", "user", "list", "list"],
            &ROUND,
            &["resumed"]
        ])
    );
    world.assert_settled(&ending, "another flow's");
}

#[tokio::test(start_paused = true)]
async fn issuing_in_the_last_round_ends_without_a_pass() {
    let (world, callout) = world();
    let ending = end(&world, &callout, &[issuing(3, &[])]).await;
    assert_eq!(world.log(), log(&[&["list"], &REVOKE, &FAIL]));
    assert_eq!(
        ending.verdict,
        Verdict::Failed(FailureReason::GraphUnavailable)
    );
    world.assert_settled(&ending, "last round");
}

#[tokio::test(start_paused = true)]
async fn not_issued_retries_in_the_same_round_if_the_cause_is_temporary() {
    for &kind in GraphErrorKind::ALL {
        let world = World::new();
        let callout = world.callout();
        let entries = [
            issuing(1, &[]),
            entry(json!({"not_issued": {"round": 1, "cause": {"kind": kind}}})),
        ];
        let ending = end(&world, &callout, &entries).await;
        let again = matches!(
            kind,
            GraphErrorKind::NotFound
                | GraphErrorKind::PolicyRefused
                | GraphErrorKind::Protocol
                | GraphErrorKind::Throttled
                | GraphErrorKind::Timeout
                | GraphErrorKind::Unauthorized
                | GraphErrorKind::Unavailable
        );
        if again {
            assert_eq!(
                world.log(),
                log(&[&["user"], &ROUND, &["resumed"]]),
                "{kind}"
            );
            assert_eq!(world.entries(callout.flow()).await[2], issuing(1, &[]));
        } else {
            // A list shows whether a pass is in the way.
            let may_exist = matches!(kind, GraphErrorKind::Conflict | GraphErrorKind::Other);
            let looked: &[&str] = if may_exist { &["list"] } else { &[] };
            assert_eq!(world.log(), log(&[looked, &FAIL]), "{kind}");
        }
        world.assert_settled(&ending, kind.as_str());
    }
}

#[tokio::test(start_paused = true)]
async fn issued_revokes_and_goes_into_the_next_round() {
    let (world, callout) = world();
    let ending = end(&world, &callout, &issued(1)).await;
    assert_eq!(
        world.log(),
        log(&[&REVOKE, &["user"], &ROUND, &["resumed"]])
    );
    assert_eq!(ending.attempts, 2);
    world.assert_settled(&ending, "issued");

    let (world, callout) = self::world();
    let ending = end(&world, &callout, &issued(3)).await;
    assert_eq!(world.log(), log(&[&REVOKE, &FAIL]));
    world.assert_settled(&ending, "issued in the last round");
}

#[tokio::test(start_paused = true)]
async fn sending_and_in_doubt_follow_on_doubt() {
    let in_doubt = entry(json!({
        "in_doubt": {"round": 1, "reference": "text", "cause": {"kind": "timeout"}}
    }));
    let sending = sending(1, "kpn");
    for tail in [vec![sending.clone()], vec![sending, in_doubt]] {
        let entries = [issued(1).to_vec(), tail].concat();

        let (world, callout) = world();
        let ending = end(&world, &callout, &entries).await;
        assert_eq!(
            world.log(),
            log(&[&REVOKE, &["user"], &ROUND, &["resumed"]])
        );
        let first = reference("text");
        assert!(
            world
                .state()
                .texts
                .iter()
                .all(|text| text.reference != first)
        );
        world.assert_settled(&ending, "reissue");

        let (world, callout) = self::world();
        let fail = |builder: OnboardingBuilder| builder.with_on_doubt(OnDoubt::Fail);
        let ending = end_with(&world, &callout, &entries, fail).await;
        assert_eq!(world.log(), log(&[&REVOKE, &FAIL]));
        assert_eq!(ending.verdict, Verdict::Failed(FailureReason::InDoubt));
        world.assert_settled(&ending, "fail");
    }
}

#[tokio::test(start_paused = true)]
async fn not_accepted_revokes_and_fails() {
    let (world, callout) = world();
    let refused = entry(json!({
        "not_accepted": {"round": 1, "reference": "text", "cause": {"kind": "blocked"}}
    }));
    let entries = [issued(1).to_vec(), vec![sending(1, "kpn"), refused]].concat();
    let ending = end(&world, &callout, &entries).await;
    assert_eq!(world.log(), log(&[&REVOKE, &FAIL]));
    assert_eq!(ending.verdict, FAILED);
    assert_eq!(ending.error, Some(ErrorKind::Blocked));
    world.assert_settled(&ending, "not accepted");
}

#[tokio::test(start_paused = true)]
async fn accepted_is_completed_with_the_receipt_of_the_journal() {
    let (world, callout) = world();
    let entries = [issued(1).to_vec(), vec![sending(1, "kpn"), accepted(1)]].concat();
    let ending = end(&world, &callout, &entries).await;
    assert_eq!(world.log(), log(&[&["list"], &FAIL]));
    assert_eq!(ending.verdict, Verdict::Completed);
    let receipt = ending.receipt.unwrap();
    assert_eq!(receipt.id(), Some("vendor-7"));
    assert_eq!(receipt.price().unwrap().to_string(), "0.07 EUR");
    assert_eq!(world.usable(), ["ours+secret"]);
}

#[tokio::test(start_paused = true)]
async fn accepted_waits_for_delivery_under_complete_on_delivered() {
    let (world, callout) = world();
    let entries = [issued(1).to_vec(), vec![sending(1, "kpn"), accepted(1)]].concat();
    let delivered = |builder: OnboardingBuilder| builder.with_complete_on(CompleteOn::Delivered);
    let ending = end_with(&world, &callout, &entries, delivered).await;
    assert_eq!(world.log(), log(&[&REVOKE, &FAIL]));
    assert_eq!(
        ending.verdict,
        Verdict::Failed(FailureReason::DeadlinePassed)
    );
    assert_eq!(world.state().verdicts[0].0, start() + minutes(29));
    world.assert_settled(&ending, "no report");
}

#[tokio::test(start_paused = true)]
async fn reported_decides_by_its_status() {
    for &status in DeliveryStatus::ALL {
        for complete_on in [CompleteOn::Accepted, CompleteOn::Delivered] {
            for before in [vec![], vec![accepted(1)]] {
                let (world, callout) = world();
                let entries = [issued(1).to_vec(), vec![sending(1, "kpn")], before].concat();
                world.given(&callout, &entries).await;
                world
                    .reported(callout.flow(), reference("text"), status)
                    .await;
                let setting = |builder: OnboardingBuilder| builder.with_complete_on(complete_on);
                let ending = end_with(&world, &callout, &[], setting).await;
                let waits = complete_on == CompleteOn::Delivered;
                let verdict = match status {
                    DeliveryStatus::Delivered => Verdict::Completed,
                    status if status.is_final() => Verdict::Failed(FailureReason::NotDelivered),
                    _ if waits => Verdict::Failed(FailureReason::DeadlinePassed),
                    _ => Verdict::Completed,
                };
                assert_eq!(ending.verdict, verdict, "{status} {complete_on:?}");
                match verdict {
                    Verdict::Completed => assert_eq!(world.log(), log(&[&["list"], &FAIL])),
                    Verdict::Failed(_) => assert_eq!(world.log(), log(&[&REVOKE, &FAIL])),
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn revoking_revokes_again() {
    for (then, follows) in [
        (Then::Issue, log(&[&["user"], &ROUND, &["resumed"]])),
        (Then::End(FAILED), log(&[&FAIL])),
    ] {
        let (world, callout) = world();
        let revoking = entry(json!({"revoking": {"tap": "ours", "then": then}}));
        let entries = [issued(1).to_vec(), vec![revoking]].concat();
        let ending = end(&world, &callout, &entries).await;
        assert_eq!(world.log()[..2], ["revoke ours", "revoked"]);
        assert_eq!(world.log()[2..], follows);
        world.assert_settled(&ending, "revoking");
    }
}

#[tokio::test(start_paused = true)]
async fn revoked_continues_as_recorded_and_issues_only_in_another_round() {
    for (round, then, follows) in [
        (1, Then::Issue, log(&[&["user"], &ROUND, &["resumed"]])),
        (3, Then::Issue, log(&[&FAIL])),
        (1, Then::End(FAILED), log(&[&FAIL])),
    ] {
        let world = World::new();
        let callout = world.callout();
        let revoked = entry(json!({"revoked": {"tap": "ours", "then": then}}));
        let entries = [issued(round).to_vec(), vec![revoked]].concat();
        let ending = end(&world, &callout, &entries).await;
        assert_eq!(world.log(), follows, "{round} {then:?}");
        world.assert_settled(&ending, "revoked");
    }
}

#[tokio::test(start_paused = true)]
async fn resuming_sends_the_same_verdict_again() {
    for verdict in [Verdict::Completed, FAILED] {
        let world = World::new();
        let callout = world.callout();
        // The process died after Entra got the verdict: Entra refuses the second one, which counts as heard.
        world.state().heard.push(verdict);
        let ending = end(
            &world,
            &callout,
            &[entry(json!({"resuming": {"verdict": verdict}}))],
        )
        .await;
        assert_eq!(world.log(), ["resume", "resumed"]);
        assert_eq!((ending.verdict, ending.heard), (verdict, true));
        assert_eq!(world.state().verdicts[0].1, verdict);
    }
}

#[tokio::test(start_paused = true)]
async fn resumed_does_nothing() {
    let world = World::new();
    let callout = world.callout();
    let entries = [
        issued(1).to_vec(),
        vec![
            sending(1, "kpn"),
            accepted(1),
            entry(json!({"resumed": {"verdict": "completed", "heard": false}})),
        ],
    ]
    .concat();
    let ending = end(&world, &callout, &entries).await;
    assert!(world.log().is_empty());
    assert_eq!((ending.verdict, ending.heard), (Verdict::Completed, false));
}

#[tokio::test(start_paused = true)]
async fn not_accepted_is_overruled_by_a_delivered_text_only() {
    for status in DeliveryStatus::ALL {
        let (world, callout) = world();
        let refused = json!({"round": 1, "reference": "text", "cause": {"kind": "blocked"}});
        let not_accepted = entry(json!({"not_accepted": refused}));
        let entries = [issued(1).to_vec(), vec![sending(1, "kpn"), not_accepted]].concat();
        world.given(&callout, &entries).await;
        let flow = callout.flow();
        world.reported(flow, reference("text"), *status).await;
        let ending = world.ending(&world.onboarding(), &callout).await;
        if *status == DeliveryStatus::Delivered {
            assert_eq!(world.log(), log(&[&["list"], &FAIL]));
            assert_eq!(ending.verdict, Verdict::Completed);
            assert_eq!(world.usable(), ["ours+secret"]);
        } else {
            assert_eq!(world.log(), log(&[&REVOKE, &FAIL]), "{status:?}");
            assert_eq!(ending.verdict, FAILED);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_flow_with_4_000_entries_issues_no_further_pass_and_fails() {
    use postduif_onboarding::Journal as _;
    for (count, issues) in [(3_998, true), (4_000, false)] {
        let world = World::new();
        let callout = world.callout();
        let claim = world.journal.claim(&callout).await.unwrap().unwrap();
        let given = [issuing(1, &[]), entry(json!({"not_asked": {"round": 1}}))];
        for (at, entry) in given.iter().cycle().take(count).enumerate() {
            let record = Record::new(world.clock.now(), entry.clone());
            claim.append(at, &record).await.unwrap();
        }
        drop(claim);
        let ending = world.ending(&world.onboarding(), &callout).await;
        assert_eq!(world.log().contains(&"issue".to_owned()), issues, "{count}");
        assert_eq!(ending.verdict == Verdict::Completed, issues, "{count}");
        let detail = (!issues).then_some("the flow has too many entries");
        assert_eq!(ending.detail.as_deref(), detail);
        world.assert_settled(&ending, "4,000 entries");
    }
}
