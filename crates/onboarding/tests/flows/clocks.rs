//! Clocks that are set, flows that are given back, and short windows.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::directory::{FailureReason, GraphErrorKind, Verdict};
use postduif_onboarding::{CompleteOn, Ending, GraphCause, Journal, Memo, Record, Step};
use serde_json::json;

use crate::world::{World, entry, issuing, minutes, reference, start, step_until_idle, tap};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const HOUR_MS: i64 = 3_600_000;

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_makes_no_pause_longer() {
    let world = World::new();
    world.state().user_faults = [GraphErrorKind::Unavailable].into();
    let began = tokio::time::Instant::now();
    let onboarding = world.onboarding();
    let (ending, ()) = tokio::join!(onboarding.run(world.callout()), async {
        tokio::time::sleep(seconds(1)).await;
        world.clock.set_by(-HOUR_MS);
    });
    assert_eq!(ending.unwrap().verdict, Verdict::Completed);
    assert!(began.elapsed() < seconds(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_makes_no_deadline_later() {
    let world = World::new();
    world.state().user_faults = vec![GraphErrorKind::Unavailable; 500].into();
    let began = tokio::time::Instant::now();
    let onboarding = world.onboarding();
    let (ending, ()) = tokio::join!(onboarding.run(world.callout()), async {
        tokio::time::sleep(seconds(100)).await;
        world.clock.set_by(-HOUR_MS);
    });
    assert_eq!(
        ending.unwrap().verdict,
        Verdict::Failed(FailureReason::GraphUnavailable)
    );
    assert_eq!(began.elapsed().as_secs(), 29 * 60);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_forward_ends_the_flow_in_time_by_either() {
    let world = World::new();
    let onboarding = world.builder().with_complete_on(CompleteOn::Delivered);
    let onboarding = onboarding.build().unwrap();
    let (ending, ()) = tokio::join!(onboarding.run(world.callout()), async {
        tokio::time::sleep(seconds(60)).await;
        world.clock.set_by(HOUR_MS);
    });
    let ending = ending.unwrap();
    assert!(matches!(ending.verdict, Verdict::Failed(_)));
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_is_given_back_at_each_wait_goes_on_with_its_limits() {
    let world = World::new();
    world.state().user_faults = vec![GraphErrorKind::NotFound; 100_000].into();
    let onboarding = world.onboarding();
    let callout = world.callout();
    let ending = loop {
        let mut run = world.start(&onboarding, &callout).await;
        match step_until_idle(&onboarding, &mut run).await {
            Step::Done(ending) => break ending,
            Step::WaitUntil(until) => {
                // In the stored form.
                let stored = serde_json::to_string(&run.memo()).unwrap();
                drop(run);
                world.state().memo = serde_json::from_str(&stored).unwrap();
                let wait = (until - world.clock.now()).to_std().unwrap_or_default();
                // One step too early: the flow keeps waiting.
                tokio::time::advance(wait / 2).await;
                let mut early = world.start(&onboarding, &callout).await;
                let step = onboarding.step(&mut early).await.unwrap();
                assert!(matches!(step, Step::WaitUntil(still) if still == until));
                world.state().memo = Some(early.memo());
                drop(early);
                tokio::time::advance(wait - wait / 2 + Duration::from_millis(1)).await;
            }
            Step::Next => unreachable!(),
        }
    };
    let reads = world.log().iter().filter(|line| *line == "user").count();
    assert_eq!(reads, 6);
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::UserNotFound));
    let resumed = world.state().verdicts[0].0 - start();
    assert_eq!(resumed.num_seconds(), 77);
}

#[tokio::test(start_paused = true)]
async fn a_memo_of_another_release_is_read() {
    let memo: Memo = serde_json::from_str(r#"{"failures":3,"mood":"good"}"#).unwrap();
    assert_ne!(memo, Memo::default());
    assert_eq!(serde_json::from_str::<Memo>("{}").unwrap(), Memo::default());
}

#[tokio::test(start_paused = true)]
async fn a_short_window_of_the_callout_leaves_time_to_do_something() {
    let world = World::new();
    let onboarding = world.builder().with_margin(seconds(360)).build().unwrap();
    let callout = world.callout().with_window(seconds(300));
    let run = world.start(&onboarding, &callout).await;
    assert_eq!(run.deadline(), start() + seconds(225));
    drop(run);
    let ending = world.ending(&onboarding, &callout).await;
    assert_eq!(ending.verdict, Verdict::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_margin_in_which_nothing_can_be_done_is_refused() {
    let world = World::new();
    for margin in [0, 1, 19] {
        let error = world
            .builder()
            .with_margin(seconds(margin))
            .build()
            .unwrap_err();
        assert!(error.to_string().contains("20 seconds"), "{error}");
    }
    assert!(world.builder().with_margin(seconds(20)).build().is_ok());
    // That leaves enough time for Entra to get the verdict.
    let onboarding = world.builder().with_margin(seconds(20)).build().unwrap();
    world.state().issue_faults = [crate::world::IssueFault::Slow(seconds(15))].into();
    let callout = world
        .callout()
        .with_created_at(start() - minutes(30) + seconds(22));
    world.ending(&onboarding, &callout).await;
    assert!(world.state().verdicts[0].0 <= start() + seconds(22));
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_is_given_back_in_memory_goes_on_with_its_limits() {
    let world = World::new();
    world.state().user_faults = vec![GraphErrorKind::NotFound; 100_000].into();
    let builder = world
        .builder()
        .with_journal(Arc::new(world.journal.clone()));
    let onboarding = builder.build().unwrap();
    let callout = world.callout();
    let ending = loop {
        let claim = world.journal.claim(&callout).await.unwrap().unwrap();
        let mut run = onboarding.start(claim);
        match step_until_idle(&onboarding, &mut run).await {
            Step::Done(ending) => break ending,
            Step::WaitUntil(until) => {
                run.give_back(until).await.unwrap();
                let wait = (until - world.clock.now()).to_std().unwrap_or_default();
                tokio::time::advance(wait + Duration::from_millis(1)).await;
            }
            Step::Next => unreachable!(),
        }
    };
    let reads = world.log().iter().filter(|line| *line == "user").count();
    assert_eq!(reads, 6);
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::UserNotFound));
}

#[tokio::test(start_paused = true)]
async fn a_memo_is_void_once_the_flow_has_gone_on() {
    let world = World::new();
    world.state().user_faults = vec![GraphErrorKind::NotFound; 4].into();
    let onboarding = world.onboarding();
    let callout = world.callout();
    let stored = r#"{"failures":4,"wakes_at":"2026-11-23T08:20:00Z","pause_ms":1200000,
        "obstacle":"user_not_found","entries":0}"#;
    let cause = GraphCause::new(GraphErrorKind::Throttled);
    world
        .given(
            &callout,
            &[
                issuing(1, &[]),
                entry(json!({"not_issued": {"round": 1, "cause": cause}})),
            ],
        )
        .await;
    world.state().memo = serde_json::from_str(stored).unwrap();
    let ending = world.ending(&onboarding, &callout).await;
    assert_eq!(ending.verdict, Verdict::Completed);
    let resumed = world.state().verdicts[0].0;
    assert!(resumed < start() + minutes(3), "{resumed}");
}

#[tokio::test(start_paused = true)]
async fn a_memo_makes_no_pause_that_outlasts_the_window() {
    let world = World::new();
    let onboarding = world.onboarding();
    for stored in [
        r#"{"pause_ms":18446744073709551615,"wakes_at":"+262142-12-31T23:59:59.999999999Z"}"#,
        r#"{"pause_ms":86400000,"wakes_at":"2026-11-24T08:00:00Z","failures":4294967295}"#,
    ] {
        world.state().memo = serde_json::from_str(stored).unwrap();
        let mut run = world.start(&onboarding, &world.callout()).await;
        let step = step_until_idle(&onboarding, &mut run).await;
        assert!(matches!(step, Step::WaitUntil(until) if until <= run.closes()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_to_stop_ends_a_pause() {
    let world = World::new();
    let onboarding = world.onboarding();
    let callout = world.callout();
    world.state().memo = serde_json::from_str(
        r#"{"failures":1,"wakes_at":"2026-11-23T08:20:00Z","pause_ms":1200000}"#,
    )
    .unwrap();
    let mut run = world.start(&onboarding, &callout).await;
    let waits = step_until_idle(&onboarding, &mut run).await;
    assert!(matches!(waits, Step::WaitUntil(_)));
    world.journal.stop(&callout.flow(), start()).await.unwrap();
    let step = step_until_idle(&onboarding, &mut run).await;
    let Step::Done(ending) = step else {
        panic!("it pauses still")
    };
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::Shutdown));
}

/// Runs a flow whose first request for a pass was recorded by a clock ahead by `ahead`. The flow is taken over
/// `after` minutes into its window, in turns that end at each pause. Returns its ending and its duration.
async fn ends_after_a_clock_ahead(
    world: &Arc<World>,
    ahead: TimeDelta,
    after: i64,
) -> (Ending, Duration) {
    let callout = world.callout().with_created_at(start() - minutes(after));
    let claim = world.journal.claim(&callout).await.unwrap().unwrap();
    let record = Record::new(start() + ahead, issuing(1, &[]));
    claim.append(0, &record).await.unwrap();
    drop(claim);
    let began = tokio::time::Instant::now();
    let onboarding = world.onboarding();
    for _ in 0..2000 {
        let claim = world.journal.claim(&callout).await.unwrap().unwrap();
        let mut run = onboarding.start(claim);
        match step_until_idle(&onboarding, &mut run).await {
            Step::Done(ending) => return (ending, began.elapsed()),
            Step::WaitUntil(until) => {
                run.give_back(until).await.unwrap();
                let wait = (until - world.clock.now()).to_std().unwrap_or_default();
                tokio::time::advance(wait + Duration::from_millis(1)).await;
            }
            Step::Next => unreachable!(),
        }
    }
    panic!("it does not end")
}

#[tokio::test(start_paused = true)]
async fn a_pass_of_a_clock_that_was_ahead_is_found() {
    for ahead in [TimeDelta::hours(2), TimeDelta::days(3650)] {
        for after in [0, 31] {
            let world = World::new();
            world.has_pass("orphan");
            let (ending, took) = ends_after_a_clock_ahead(&world, ahead, after).await;
            assert!(
                world.log().contains(&"revoke orphan".into()),
                "{ahead} {after}"
            );
            assert!(took < seconds(1800), "{ahead} {after}: {took:?}");
            world.assert_settled(&ending, &format!("{ahead} {after}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_ahead_leaves_in_doubt_ends_and_is_named() {
    for ahead in [TimeDelta::hours(2), TimeDelta::days(3650)] {
        let world = World::new();
        let (ending, took) = ends_after_a_clock_ahead(&world, ahead, 31).await;
        assert!(took < seconds(1800), "{ahead}: {took:?}");
        let entries = World::entries(&world, ending.flow).await;
        let nothing_seen = entry(json!({"nothing_seen": {}}));
        assert!(!entries.contains(&nothing_seen), "{ahead}");
        let until = ending.may_be_usable_until().unwrap();
        assert!(until < start() + TimeDelta::days(31), "{ahead}: {until}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_the_times_of_its_entries_a_flow_ends() {
    let mut seed = 0x1234_5678_9abc_def1_u64;
    let mut below = |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % n as u64).unwrap()
    };
    for number in 0..300 {
        let world = World::new();
        let callout = world.callout();
        let claim = world.journal.claim(&callout).await.unwrap().unwrap();
        let times = [
            start(),
            start() + TimeDelta::days(9000),
            DateTime::<Utc>::MAX_UTC,
            DateTime::<Utc>::MIN_UTC,
        ];
        for at in 0..below(8) {
            let round = [1, 2, 3, 255][below(4)];
            let tap = tap(["a", "b"][below(2)]);
            let reference = reference(["one", "two"][below(2)]);
            let cause = GraphCause::new(GraphErrorKind::Throttled);
            let until = times[below(4)];
            let stored = match below(9) {
                0 => json!({"issued": {"round": round, "tap": tap, "valid_until": until}}),
                1 => json!({"issue_in_doubt": {"round": round, "cause": cause}}),
                2 => json!({"not_issued": {"round": round, "cause": cause}}),
                3 => {
                    json!({"sending": {"round": round, "reference": reference, "provider": "kpn"}})
                }
                4 => json!({"revoked": {"tap": tap, "then": "issue"}}),
                5 => json!({"unseen": {"until": until}}),
                6 => json!({"nothing_seen": {}}),
                7 => json!({"expired": {"tap": tap}}),
                _ => json!({"issuing": {"round": round, "seen": []}}),
            };
            let record = Record::new(times[below(4)], entry(stored));
            claim.append(at, &record).await.unwrap();
        }
        drop(claim);
        let began = tokio::time::Instant::now();
        world.ending(&world.onboarding(), &callout).await;
        assert!(
            began.elapsed() < seconds(3 * 3600),
            "{number}: {:?}",
            began.elapsed()
        );
    }
}
