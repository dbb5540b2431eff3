//! Flows from the call-out to the end, with every fault of a user, a pass or a text.

use std::{future, sync::Arc, time::Duration};

use serde_json::json;

use crate::world::{IssueFault, SendFault, World, entry, minutes, start, step_until_idle};
use postduif_core::{
    ErrorKind, Guid, PhoneNumber, Profile, async_trait,
    directory::{Callout, FailureReason, GraphErrorKind, Roles, TapRequest, UserKind, Verdict},
};
use postduif_onboarding::{
    Candidate, CompleteOn, Entry, ExistingPass, Guard, OnDoubt, Onboarding, Step, StepName,
};

fn failed(reason: FailureReason) -> Verdict {
    Verdict::Failed(reason)
}

#[tokio::test(start_paused = true)]
async fn every_intent_is_recorded_before_its_effect_and_every_outcome_after_it() {
    let world = World::new();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(
        world.log(),
        [
            "user", "list", "issuing", "issue", "issued", "sending", "send", "accepted", "list",
            "resuming", "resume", "resumed"
        ]
    );
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn an_ending_has_what_the_examples_print() {
    let world = World::new();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(
        (ending.verdict, ending.reason()),
        (Verdict::Completed, None)
    );
    assert_eq!(ending.provider.as_deref(), Some("kpn"));
    let receipt = ending.receipt.as_ref().unwrap();
    assert_eq!(receipt.reference(), &world.state().texts[0].reference);
    assert_eq!((receipt.id(), receipt.parts()), (Some("vendor-1"), Some(1)));
    assert_eq!(ending.to, Some(world.state().texts[0].to));
    assert_eq!(ending.to.unwrap().to_string(), "+31612345678");
    let pass = ending.pass.as_ref().unwrap();
    assert_eq!(pass.valid_until, Some(start() + minutes(60)));
    assert_eq!((pass.one_time, pass.revoked()), (Some(true), false));
    assert_eq!(pass.may_be_usable_until(), None);
    assert!(ending.heard);
    assert_eq!(ending.attempts, 1);
    let steps = ending.steps.iter().map(|taken| taken.step.as_str());
    assert_eq!(
        steps.collect::<Vec<_>>(),
        ["read_user", "guard", "issue_pass", "send", "resume"]
    );
}

#[tokio::test(start_paused = true)]
async fn no_debug_shows_a_secret_a_name_or_a_number() {
    let world = World::new();
    let onboarding = world.onboarding();
    let mut run = world.start(&onboarding, &world.callout()).await;
    let mut shown = String::new();
    let ending = loop {
        match onboarding.step(&mut run).await.unwrap() {
            Step::Done(ending) => break ending,
            step => shown += &format!("{step:?}{run:?}"),
        }
    };
    shown += &format!(
        "{ending:?}{ending:#?}{:?}",
        world.entries(ending.flow).await
    );
    for secret in ["S1+cret", "Anna", "31612345678", "612345678"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    assert!(shown.contains("+316•••••678"));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_callout_finds_its_ending_and_has_no_effect() {
    let world = World::new();
    let (onboarding, callout) = (world.onboarding(), world.callout());
    let first = world.ending(&onboarding, &callout).await;
    world.clear_log();
    let again = world.ending(&onboarding, &callout).await;
    assert!(world.log().is_empty());
    assert_eq!(again.verdict, first.verdict);
    let (receipt, pass) = (again.receipt.unwrap(), again.pass.unwrap());
    assert_eq!(receipt.reference(), first.receipt.unwrap().reference());
    assert_eq!(receipt.id(), Some("vendor-1"));
    assert_eq!(pass.valid_until, first.pass.unwrap().valid_until);
    assert_eq!((again.attempts, again.heard), (1, true));
}

#[tokio::test(start_paused = true)]
async fn a_callout_that_comes_twice_at_once_is_one_flow() {
    let world = World::new();
    world.state().send_faults = [SendFault::Slow(Duration::from_secs(20))].into();
    let (onboarding, callout) = (world.onboarding(), world.callout());
    let (one, two) = tokio::join!(onboarding.run(callout.clone()), onboarding.run(callout),);
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.verdict, Verdict::Completed);
    world.assert_settled(&one, "one");
    world.assert_settled(&two, "two");
    let state = world.state();
    assert_eq!(
        (state.sends, state.verdicts.len(), state.passes.len()),
        (1, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_callback_entra_gets_no_verdict() {
    let world = World::new();
    let user = world.state().user.id;
    let callout = Callout::new(Guid::random().into(), user, None, start());
    let ending = world.ending(&world.onboarding(), &callout).await;
    assert_eq!((ending.verdict, ending.heard), (Verdict::Completed, false));
    assert!(world.state().verdicts.is_empty());
    let done = entry(json!({"resumed": {"verdict": "completed", "heard": false}}));
    assert_eq!(world.entries(callout.flow()).await.last(), Some(&done));
}

#[tokio::test(start_paused = true)]
async fn a_user_who_must_not_have_a_pass_gets_none_and_the_flow_fails() {
    type Change = fn(&mut postduif_core::directory::User);
    let cases: [(Change, FailureReason); 9] = [
        (
            |user| user.enabled = Some(false),
            FailureReason::UserDisabled,
        ),
        (|user| user.external = true, FailureReason::UserGuest),
        (
            |user| (user.kind, user.external) = (Some(UserKind::Member), true),
            FailureReason::UserGuest,
        ),
        (
            |user| user.roles = Roles::Held(vec!["Helpdesk Administrator".into()]),
            FailureReason::UserAdministrator,
        ),
        (
            |user| user.roles = Roles::Unreadable,
            FailureReason::RolesUnreadable,
        ),
        (
            |user| user.roles = Roles::NotAsked,
            FailureReason::RolesUnreadable,
        ),
        (|user| user.mobile = None, FailureReason::NoNumber),
        (
            |user| user.mobile = Some("  ".into()),
            FailureReason::NoNumber,
        ),
        (
            |user| user.mobile = Some("06-12345678".into()),
            FailureReason::InvalidNumber,
        ),
    ];
    for (change, reason) in cases {
        let world = World::new();
        change(&mut world.state().user);
        let ending = world.ending(&world.onboarding(), &world.callout()).await;
        assert_eq!(ending.verdict, failed(reason));
        assert_eq!(
            world.log(),
            ["user", "resuming", "resume", "resumed"],
            "{reason}"
        );
        world.assert_settled(&ending, reason.as_str());
    }
}

#[tokio::test(start_paused = true)]
async fn guards_that_were_switched_off_let_pass() {
    let world = World::new();
    world.state().user.enabled = Some(false);
    world.state().user.roles = Roles::NotAsked;
    let onboarding = world.builder().allow_disabled().allow_administrators();
    let ending = world
        .ending(&onboarding.build().unwrap(), &world.callout())
        .await;
    assert_eq!(ending.verdict, Verdict::Completed);
}

#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Guard for Nobody {
    async fn check(&self, candidate: &Candidate<'_>) -> Result<(), FailureReason> {
        assert_eq!(candidate.number()?.to_string(), "+31612345678");
        Err(FailureReason::GuardRefused)
    }
}

#[derive(Debug)]
struct Asleep;

#[async_trait]
impl Guard for Asleep {
    async fn check(&self, _: &Candidate<'_>) -> Result<(), FailureReason> {
        future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_custom_guard_refuses_and_a_guard_that_never_returns_counts_as_a_refusal() {
    for guard in [Arc::new(Nobody) as Arc<dyn Guard>, Arc::new(Asleep)] {
        let world = World::new();
        let onboarding = world.builder().with_guard(guard).build().unwrap();
        let ending = world.ending(&onboarding, &world.callout()).await;
        assert_eq!(ending.verdict, failed(FailureReason::GuardRefused));
        assert!(world.state().passes.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_who_is_not_there_yet_is_waited_for_with_growing_pauses() {
    let world = World::new();
    world.state().user_faults = [GraphErrorKind::NotFound; 5].into();
    let onboarding = world.onboarding();
    let mut run = world.start(&onboarding, &world.callout()).await;
    for pause in [2, 5, 10, 20, 40] {
        let now = world.clock.now();
        let Step::WaitUntil(until) = step_until_idle(&onboarding, &mut run).await else {
            panic!("it should wait");
        };
        assert_eq!((until - now).num_seconds(), pause);
        tokio::time::advance((until - now).to_std().unwrap()).await;
    }
    let step = step_until_idle(&onboarding, &mut run).await;
    assert!(matches!(step, Step::Done(ending) if ending.verdict == Verdict::Completed));
}

#[tokio::test(start_paused = true)]
async fn a_user_who_never_comes_is_not_found() {
    let world = World::new();
    world.state().user_faults = [GraphErrorKind::NotFound; 6].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.verdict, failed(FailureReason::UserNotFound));
    assert_eq!(ending.steps[0].step, StepName::ReadUser);
    assert_eq!(ending.steps[0].took, Duration::from_secs(77));
}

#[tokio::test(start_paused = true)]
async fn reads_that_may_succeed_later_are_repeated_until_the_deadline_and_no_longer() {
    for kind in [
        GraphErrorKind::Throttled,
        GraphErrorKind::Timeout,
        GraphErrorKind::Unavailable,
        GraphErrorKind::Protocol,
    ] {
        let world = World::new();
        world.state().user_faults = [kind; 12].into();
        world.state().list_faults = [kind; 8].into();
        let ending = world.ending(&world.onboarding(), &world.callout()).await;
        assert_eq!(ending.verdict, Verdict::Completed);

        let world = World::new();
        world.state().user_faults = [kind; 500].into();
        let ending = world.ending(&world.onboarding(), &world.callout()).await;
        assert_eq!(ending.verdict, failed(FailureReason::GraphUnavailable));
        assert_eq!(world.state().verdicts[0].0, start() + minutes(29));
    }
    let world = World::new();
    world.state().user_faults = [GraphErrorKind::Forbidden].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.verdict, failed(FailureReason::PermissionMissing));
    assert_eq!(world.state().verdicts[0].0, start());
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_may_be_issued_later_is_asked_for_again_in_the_same_round() {
    for kind in [
        GraphErrorKind::NotFound,
        GraphErrorKind::PolicyRefused,
        GraphErrorKind::Throttled,
        GraphErrorKind::Unavailable,
    ] {
        let world = World::new();
        world.state().issue_faults = [IssueFault::Refused(kind); 7].into();
        let callout = world.callout();
        let ending = world.ending(&world.onboarding(), &callout).await;
        assert_eq!((ending.verdict, ending.attempts), (Verdict::Completed, 1));
        let rounds = world.entries(callout.flow()).await;
        let rounds = rounds.iter().filter_map(|entry| match entry {
            Entry::Issuing { round, .. } => Some(*round),
            _ => None,
        });
        assert_eq!(rounds.collect::<Vec<_>>(), [1; 8]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_refuses_for_fifteen_minutes_is_final() {
    let world = World::new();
    let refused = IssueFault::Refused(GraphErrorKind::PolicyRefused);
    world.state().issue_faults = [refused; 500].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.verdict, failed(FailureReason::PassRefused));
    assert_eq!(world.state().verdicts[0].0, start() + minutes(15));
    assert!(world.state().records < 40);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_stays_ends_the_flow_at_once() {
    for kind in [GraphErrorKind::Forbidden, GraphErrorKind::Other] {
        let world = World::new();
        world.state().issue_faults = [IssueFault::Refused(kind)].into();
        let ending = world.ending(&world.onboarding(), &world.callout()).await;
        assert_eq!(ending.verdict, failed(FailureReason::PassRefused));
        assert_eq!(world.state().verdicts[0].0, start());
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_is_read_again_after_a_long_wait() {
    let world = World::new();
    let throttled = IssueFault::Refused(GraphErrorKind::Throttled);
    world.state().issue_faults = [throttled; 6].into();
    let onboarding = world.onboarding();
    let callout = world.callout();
    let disabled = async {
        tokio::time::sleep(Duration::from_secs(80)).await;
        world.state().user.enabled = Some(false);
        future::pending::<()>().await;
    };
    let ending = tokio::select! {
        ending = world.ending(&onboarding, &callout) => ending,
        () = disabled => unreachable!(),
    };
    assert_eq!(ending.verdict, failed(FailureReason::UserDisabled));
}

#[tokio::test(start_paused = true)]
async fn a_pass_with_a_lost_response_is_revoked_and_another_is_issued() {
    for fault in [
        IssueFault::Lost,
        IssueFault::Vanished,
        IssueFault::LostAndLate(Duration::from_millis(2500)),
    ] {
        let world = World::new();
        world.state().issue_faults = [fault].into();
        let ending = world.ending(&world.onboarding(), &world.callout()).await;
        assert_eq!((ending.verdict, ending.attempts), (Verdict::Completed, 1));
        world.assert_settled(&ending, &format!("{fault:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_in_doubt_that_is_listed_in_a_later_round_is_still_revoked() {
    let world = World::new();
    // After the first look.
    let late = IssueFault::LostAndLate(Duration::from_secs(20));
    let throttled = IssueFault::Refused(GraphErrorKind::Throttled);
    world.state().issue_faults = [late, throttled, throttled].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.verdict, Verdict::Completed);
    // Graph replaces it: nothing is revoked before its successor exists.
    assert!(!world.log().contains(&"revoke tap-1".to_owned()));
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_pass_that_is_still_listed_is_ignored() {
    for setting in [ExistingPass::Refuse, ExistingPass::ReplaceOurs] {
        let world = World::new();
        world.state().send_faults = [SendFault::Lost].into();
        world.state().stale = Duration::from_secs(3600);
        let onboarding = world.builder().with_existing_pass(setting).build().unwrap();
        let ending = world.ending(&onboarding, &world.callout()).await;
        assert_eq!(ending.verdict, Verdict::Completed, "{setting:?}");
        world.assert_settled(&ending, "");
    }
}

#[tokio::test(start_paused = true)]
async fn three_passes_with_lost_responses_end_the_flow() {
    let world = World::new();
    world.state().issue_faults = [IssueFault::Lost; 3].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.verdict, failed(FailureReason::GraphUnavailable));
    assert_eq!(world.state().passes.len(), 3);
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_cannot_be_used_is_revoked() {
    let world = World::new();
    world.state().issue_faults = [IssueFault::Disabled].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.verdict, failed(FailureReason::PassRefused));
    assert!(ending.pass.unwrap().revoked());
    assert_eq!(world.state().sends, 0);
}

#[tokio::test(start_paused = true)]
async fn the_pass_of_a_text_that_is_not_accepted_is_revoked() {
    let world = World::new();
    world.state().send_faults = [SendFault::Refused(ErrorKind::InsufficientBalance)].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.verdict, failed(FailureReason::NotAccepted));
    assert_eq!(ending.error, Some(ErrorKind::InsufficientBalance));
    assert!(ending.receipt.is_none() && ending.pass.as_ref().unwrap().revoked());
    assert_eq!(world.state().sends, 1);
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_settled_by_another_pass_in_another_text() {
    for fault in [SendFault::Lost, SendFault::Vanished] {
        let world = World::new();
        world.state().send_faults = [fault].into();
        let ending = world.ending(&world.onboarding(), &world.callout()).await;
        assert_eq!((ending.verdict, ending.attempts), (Verdict::Completed, 2));
        assert_eq!(world.state().sends, 2);
        world.assert_settled(&ending, &format!("{fault:?}"));
    }
    let world = World::new();
    world.state().send_faults = [SendFault::Lost].into();
    world.ending(&world.onboarding(), &world.callout()).await;
    let state = world.state();
    assert_ne!(state.texts[0].reference, state.texts[1].reference);
}

/// A vendor whose queue does not move: no text departs.
#[derive(Debug)]
struct Queued(Arc<World>);

#[async_trait]
impl postduif_core::SmsProvider for Queued {
    fn profile(&self) -> &Profile {
        self.0.profile()
    }

    async fn send(
        &self,
        _: &postduif_core::Message,
    ) -> Result<postduif_core::Receipt, postduif_core::SendError> {
        postduif_core::departure::hold(future::pending()).await
    }

    async fn send_batch(&self, messages: &[postduif_core::Message]) -> postduif_core::Outcomes {
        self.0.send_batch(messages).await
    }

    async fn check(&self) -> Result<postduif_core::Health, postduif_core::SendError> {
        self.0.check().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_never_left_is_not_in_doubt() {
    let world = World::new();
    let provider = Arc::new(Queued(Arc::clone(&world)));
    let onboarding = world.builder().with_provider(provider).build().unwrap();
    let ending = world.ending(&onboarding, &world.callout()).await;
    assert_eq!(ending.verdict, failed(FailureReason::NotAccepted));
    assert_eq!(ending.error, Some(ErrorKind::Timeout));
    assert!(world.log().contains(&"not_accepted".to_owned()));
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn three_doubts_are_enough() {
    let world = World::new();
    world.state().send_faults = [SendFault::Lost; 3].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(
        (ending.verdict, ending.attempts),
        (failed(FailureReason::InDoubt), 3)
    );
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_doubt_ends_the_flow_under_on_doubt_fail() {
    let world = World::new();
    world.state().send_faults = [SendFault::Lost].into();
    let onboarding = world
        .builder()
        .with_on_doubt(OnDoubt::Fail)
        .build()
        .unwrap();
    let ending = world.ending(&onboarding, &world.callout()).await;
    assert_eq!(
        (ending.verdict, ending.attempts),
        (failed(FailureReason::InDoubt), 1)
    );
    assert_eq!(ending.error, Some(ErrorKind::Unavailable));
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_pass_of_another_issuer_is_refused_and_ours_is_replaced() {
    for (setting, verdict) in [
        (ExistingPass::KeepOurs, failed(FailureReason::PassExists)),
        (ExistingPass::ReplaceOurs, failed(FailureReason::PassExists)),
        (ExistingPass::Refuse, failed(FailureReason::PassExists)),
        (ExistingPass::Replace, Verdict::Completed),
    ] {
        let world = World::new();
        world.has_pass("strange");
        let onboarding = world.builder().with_existing_pass(setting).build().unwrap();
        let ending = world.ending(&onboarding, &world.callout()).await;
        assert_eq!(ending.verdict, verdict, "{setting:?}");
        match verdict {
            Verdict::Completed => world.assert_settled(&ending, "replaced"),
            Verdict::Failed(_) => assert_eq!(world.usable(), ["strange+secret"]),
        }
    }
    for (setting, verdict) in [
        (ExistingPass::ReplaceOurs, Verdict::Completed),
        (ExistingPass::Refuse, failed(FailureReason::PassExists)),
        (ExistingPass::Replace, Verdict::Completed),
    ] {
        let world = World::new();
        let onboarding = world.builder().with_existing_pass(setting).build().unwrap();
        world.ending(&onboarding, &world.callout()).await;
        world.clear_log();
        let ending = world.ending(&onboarding, &world.callout()).await;
        assert_eq!(ending.verdict, verdict, "{setting:?}");
        assert_eq!(world.usable().len(), 1);
        if verdict == Verdict::Completed {
            assert_eq!(
                world.log()[..6],
                ["user", "list", "issuing", "issue", "issued", "sending"]
            );
            let last = world.state().texts.last().unwrap().text.clone();
            assert!(last.contains(&world.usable()[0]));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_pass_is_ignored() {
    let world = World::new();
    world.has_pass("old");
    world.state().passes[0].info.usable = false;
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.verdict, Verdict::Completed);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_built_from_what_cannot_work() {
    let world = World::new();
    let refused =
        |builder: postduif_onboarding::OnboardingBuilder| builder.build().unwrap_err().to_string();
    assert!(refused(Onboarding::builder()).contains("graph"));
    assert!(refused(world.builder().with_time_zone("Amsterdam")).contains("time zone"));
    assert!(refused(world.builder().with_margin(Duration::ZERO)).contains("margin"));
    assert!(refused(world.builder().with_window(Duration::from_secs(60))).contains("margin"));
    assert!(refused(world.builder().with_pauses([])).contains("pauses"));
    assert!(refused(world.builder().with_pauses([Duration::ZERO])).contains("pauses"));
    assert!(refused(world.builder().with_sender("Contoso".parse().unwrap())).contains("sender"));
    for lifetime in [60, 601, 43_201 * 60] {
        let pass = TapRequest::new().with_lifetime(Duration::from_secs(lifetime));
        assert!(refused(world.builder().with_pass(pass)).contains("minutes"));
    }
    let mute = World::with_profile(Profile::new("mute"));
    let error = refused(mute.builder().with_complete_on(CompleteOn::Delivered));
    assert!(error.contains("mute"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_flow_can_be_spawned() {
    let world = World::new();
    let (onboarding, callout) = (Arc::new(world.onboarding()), world.callout());
    let ended = tokio::spawn(async move { onboarding.run(callout).await });
    assert_eq!(ended.await.unwrap().unwrap().verdict, Verdict::Completed);
}

#[tokio::test(start_paused = true)]
async fn the_directorys_number_is_read_with_the_users_region_or_the_default() {
    for (region, expected) in [(Some("BE"), "BE"), (None, "NL")] {
        let world = World::new();
        world.state().user.mobile = Some("0612 345678".into());
        world.state().user.region = region.map(str::to_owned);
        let numbers =
            postduif_onboarding::Numbers::reading("NL", move |text: &str, region: &str| {
                assert_eq!((text, region), ("0612 345678", expected));
                Ok("+31612345678".parse::<PhoneNumber>()?.into())
            });
        let onboarding = world.builder().with_numbers(numbers).build().unwrap();
        let ending = world.ending(&onboarding, &world.callout()).await;
        assert_eq!(ending.verdict, Verdict::Completed, "{region:?}");
    }
}
