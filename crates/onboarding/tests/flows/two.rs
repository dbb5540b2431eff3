//! Two flows of one user at the same time.

use std::time::Duration;

use postduif_core::directory::{FailureReason, GraphErrorKind, Verdict};
use postduif_onboarding::Step;

use crate::world::{IssueFault, SendFault, World, issuing, minutes, start, step_until_idle};

#[tokio::test(start_paused = true)]
async fn two_flows_at_once_leave_one_usable_pass_in_the_last_text() {
    for (issue, send) in [
        (
            IssueFault::Slow(Duration::from_secs(3)),
            SendFault::Slow(Duration::from_secs(7)),
        ),
        (IssueFault::Lost, SendFault::Lost),
        (
            IssueFault::Refused(GraphErrorKind::Throttled),
            SendFault::Vanished,
        ),
    ] {
        let world = World::new();
        world.state().issue_faults = [issue].into();
        world.state().send_faults = [send].into();
        let onboarding = world.onboarding();
        let (one, two) = tokio::join!(
            onboarding.run(world.callout()),
            onboarding.run(world.callout()),
        );
        assert_eq!(one.unwrap().verdict, Verdict::Completed);
        assert_eq!(two.unwrap().verdict, Verdict::Completed);
        let usable = world.usable();
        assert_eq!(usable.len(), 1);
        let last = world.state().texts.last().unwrap().text.clone();
        assert!(last.contains(&usable[0]), "{:#?}", world.log());
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_flow_waits_while_the_first_has_an_open_effect() {
    let world = World::new();
    world.state().send_faults = [SendFault::Lost].into();
    world.state().revoke_faults = [GraphErrorKind::Unavailable; 500].into();
    let onboarding = world.onboarding();
    let first_callout = world.callout();
    let mut first = world.start(&onboarding, &first_callout).await;
    assert!(matches!(
        step_until_idle(&onboarding, &mut first).await,
        Step::WaitUntil(_)
    ));
    assert!(first.holds_user());
    world.clear_log();
    let mut second = world.start(&onboarding, &world.callout()).await;
    assert!(matches!(
        step_until_idle(&onboarding, &mut second).await,
        Step::WaitUntil(_)
    ));
    assert!(!second.holds_user());
    assert_eq!(world.log(), ["user"]);

    // A flow with an open effect keeps its user, in any run.
    drop(first);
    tokio::time::advance(Duration::from_secs(10)).await;
    world.state().revoke_faults.clear();
    let step = step_until_idle(&onboarding, &mut second).await;
    assert!(matches!(step, Step::WaitUntil(_)));
    let ending = world.ending(&onboarding, &first_callout).await;
    assert_eq!(ending.verdict, Verdict::Completed);
    tokio::time::advance(Duration::from_secs(1)).await;
    let step = step_until_idle(&onboarding, &mut second).await;
    assert!(matches!(step, Step::Done(ending) if ending.verdict == Verdict::Completed));
    assert_eq!(world.usable().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lock_lapses_when_its_flows_window_closes() {
    let world = World::new();
    world.state().send_faults = [SendFault::Lost].into();
    world.state().revoke_faults = [GraphErrorKind::Unavailable].into();
    let onboarding = world.onboarding();
    let mut first = world.start(&onboarding, &world.callout()).await;
    step_until_idle(&onboarding, &mut first).await;
    tokio::time::advance(Duration::from_secs(600)).await;
    // The first flow is never stepped again: the second one gets the user when no effect of the first can be open.
    let ending = world.ending(&onboarding, &world.callout()).await;
    assert_eq!(ending.verdict, Verdict::Completed);
    assert!(world.state().verdicts[0].0 >= start() + minutes(30));
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_never_gets_its_user_fails_at_its_own_deadline() {
    let world = World::new();
    world.state().send_faults = [SendFault::Lost].into();
    world.state().revoke_faults = [GraphErrorKind::Unavailable].into();
    let onboarding = world.onboarding();
    let mut first = world.start(&onboarding, &world.callout()).await;
    step_until_idle(&onboarding, &mut first).await;
    let second = world.callout().with_created_at(start() - minutes(20));
    let ending = world.ending(&onboarding, &second).await;
    assert_eq!(
        ending.verdict,
        Verdict::Failed(FailureReason::DeadlinePassed)
    );
    assert_eq!(world.state().verdicts[0].0, start() + minutes(9));
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_looks_for_its_pass_does_not_mistake_another_flows_pass_for_it() {
    let world = World::new();
    world.state().issue_faults = [IssueFault::SlowAnswer(Duration::from_secs(9))].into();
    let onboarding = world.onboarding();
    let crashed = world.callout();
    world.given(&crashed, &[issuing(1, &[])]).await;
    let (one, two) = tokio::join!(onboarding.run(world.callout()), async {
        // The other flow's pass exists, and is not in its journal yet.
        tokio::time::sleep(Duration::from_secs(3)).await;
        onboarding.run(crashed).await
    },);
    assert_eq!(one.unwrap().verdict, Verdict::Completed);
    assert_eq!(two.unwrap().verdict, Verdict::Completed);
    // It was sent: it is kept, and there is no second text.
    assert_eq!(world.usable(), ["S1+cret!"]);
    assert_eq!(world.state().sends, 1);
}
