use std::{sync::Arc, time::Duration};

use postduif::{
    directory::{FailureReason, Verdict},
    entra::{CalloutParser, Parsed},
    onboarding::{ExistingPass, OnDoubt},
};
use postduif_sandbox::{CalloutKind, Cast, Fault, Sandbox};

use crate::world::{assert_settled, onboard, onboarding, parse, told};

#[tokio::test]
async fn everybody_ends_as_one_would_expect_and_entra_hears_it() {
    for kind in [CalloutKind::Lifecycle, CalloutKind::AccessPackage] {
        for (user, expected) in [
            (Cast::JOINER, "completed"),
            (Cast::NO_MOBILE, "no_number"),
            (Cast::AS_TYPED, "completed"),
            (Cast::DISABLED, "user_disabled"),
            (Cast::GUEST, "user_guest"),
            (Cast::ADMINISTRATOR, "user_administrator"),
            (Cast::HAS_PASS, "pass_exists"),
            (Cast::LATE, "completed"),
            (Cast::ENGLISH, "completed"),
        ] {
            let sandbox = Sandbox::start().await;
            let ending = onboard(&sandbox, user, kind).await;
            assert_eq!(told(ending.verdict), expected, "{user}");
            let resumes = sandbox.resumes();
            assert_eq!((resumes.len(), resumes[0].answered), (1, 204), "{user}");
            assert_eq!(resumes[0].execution, ending.flow.to_string());
            assert!(ending.heard);
            let completed = expected == "completed";
            match kind {
                CalloutKind::Lifecycle => {
                    let status = if completed { "Completed" } else { "Failed" };
                    assert_eq!(resumes[0].status.as_deref(), Some(status), "{user}");
                }
                _ => {
                    let detail = resumes[0].detail.as_deref().unwrap();
                    assert_eq!(
                        detail.contains("was accepted"),
                        completed,
                        "{user}: {detail}"
                    );
                }
            }
            assert_eq!(sandbox.messages().len(), usize::from(completed), "{user}");
        }
    }
}

#[tokio::test]
async fn the_text_is_in_the_readers_language_and_greets_whom_gsm_can_name() {
    for (language, name, start) in [
        ("nl-NL", "Sanne de Vries", "Hallo Sanne de Vries, welkom!"),
        ("en-GB", "Sanne de Vries", "Hi Sanne de Vries, welcome!"),
        // ż, ó, ł and ć are not all in GSM 03.38: in another spelling the name keeps to one part.
        ("pl-PL", "Łukasz Żółć", "Hallo Lukasz Zolc, welkom!"),
        // No spelling of this one does: it is left out.
        ("zh-CN", "李小龙", "Hallo, welkom!"),
        ("en", "", "Hi, welcome!"),
    ] {
        let sandbox = Sandbox::start().await;
        let user = serde_json::json!({
            "displayName": name, "mobilePhone": "06-12345678", "usageLocation": "NL", "accountEnabled": true,
            "userType": "Member", "preferredLanguage": language,
        });
        let user = sandbox.put_user(user).unwrap();
        onboard(&sandbox, &user, CalloutKind::Lifecycle).await;
        let message = sandbox.message_to("+31612345678").unwrap();
        assert!(
            message.text.starts_with(start),
            "{language}: {}",
            message.text
        );
        assert_eq!(message.parts, 1, "{language}");
    }
}

#[tokio::test]
async fn the_text_shows_the_end_of_the_pass_in_amsterdam() {
    let sandbox = Sandbox::start().await;
    let ending = onboard(&sandbox, Cast::JOINER, CalloutKind::Lifecycle).await;
    let text = sandbox.message_to("+31612345678").unwrap().text;
    let until = ending.pass.unwrap().valid_until.unwrap();
    // Winter and summer time by the rule of the European Union, counted here and not by a time zone library.
    let hours = if is_summer(until) { 2 } else { 1 };
    let local = until + chrono::TimeDelta::hours(hours);
    assert!(
        text.contains(&local.format("%d-%m-%Y %H:%M").to_string()),
        "{text}"
    );
    assert_eq!(sandbox.messages()[0].parts, 1);
}

/// Whether it is summer time: from the last Sunday of March to the last of October, at 01:00 UTC.
fn is_summer(at: chrono::DateTime<chrono::Utc>) -> bool {
    use chrono::{Datelike as _, NaiveDate};
    let switch = |month| {
        let last = NaiveDate::from_ymd_opt(at.year(), month, 31).unwrap();
        let back = last.weekday().num_days_from_sunday();
        (last - chrono::TimeDelta::days(i64::from(back)))
            .and_hms_opt(1, 0, 0)
            .unwrap()
    };
    (switch(3)..switch(10)).contains(&at.naive_utc())
}

#[tokio::test]
async fn a_lost_answer_is_never_resent_and_the_pass_in_it_dies() {
    let sandbox = Sandbox::start().await;
    sandbox.fault("kpn.send", Fault::LostAnswer);
    let ending = onboard(&sandbox, Cast::JOINER, CalloutKind::Lifecycle).await;
    assert_eq!((ending.verdict, ending.attempts), (Verdict::Completed, 2));
    let (texts, passes) = (sandbox.messages(), sandbox.passes());
    assert_eq!(texts.len(), 2);
    let lost = passes
        .iter()
        .find(|pass| texts[0].text.contains(&pass.secret))
        .unwrap();
    assert!(!lost.usable && lost.revoked_at.is_some());
    assert_settled(&sandbox, Cast::JOINER, "a lost answer");
}

#[tokio::test]
async fn a_refused_text_leaves_no_pass_and_entra_hears_failed() {
    let sandbox = Sandbox::start().await;
    sandbox.fault("kpn.send", Fault::BadNumber);
    let ending = onboard(&sandbox, Cast::JOINER, CalloutKind::Lifecycle).await;
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::NotAccepted));
    assert!(ending.pass.unwrap().revoked());
    assert_settled(&sandbox, Cast::JOINER, "a refused text");
}

#[tokio::test]
async fn whatever_befalls_the_calls_of_a_flow_it_ends_settled() {
    for at in [
        "login",
        "graph.user",
        "graph.roles",
        "graph.tap_list",
        "graph.tap",
        "kpn.token",
        "kpn.send",
        "graph.resume",
    ] {
        for fault in [
            Fault::ResetBeforeRead,
            Fault::ResetAfterRead,
            Fault::LostAnswer,
            Fault::Stall,
            Fault::StallBefore,
            Fault::TruncatedBody,
            Fault::NotJson,
            Fault::InvalidUtf8,
            Fault::EmptyOk,
            Fault::GzipBomb,
            Fault::HugeBody,
            Fault::Html502,
            Fault::Status503,
            Fault::Redirect,
            Fault::Throttle,
            Fault::UnauthorizedOnce,
        ] {
            let sandbox = Sandbox::start().await;
            sandbox.fault(at, fault).ms(20);
            let what = format!("{at}={}", fault.name());
            let pauses = match fault {
                // A token of a second is believed to be good: it is renewed when it is older.
                Fault::UnauthorizedOnce => [Duration::from_millis(1500); 6],
                _ => [Duration::from_millis(10); 6],
            };
            let body = sandbox
                .callout(Cast::JOINER, CalloutKind::Lifecycle)
                .unwrap()
                .body;
            let onboarding = onboarding(&sandbox).with_pauses(pauses).build().unwrap();
            let ended = onboarding.run(parse(&body)).await;
            let ending = ended.unwrap();
            // A refused login or token is final for the flow; that the pass is gone is what counts.
            let may_fail = at == "login" || at.starts_with("kpn");
            assert!(
                may_fail || ending.verdict == Verdict::Completed,
                "{what}: {ending:?}"
            );
            assert_settled(&sandbox, Cast::JOINER, &what);
        }
    }
}

#[tokio::test]
async fn told_to_fail_in_doubt_it_revokes_and_fails() {
    let sandbox = Sandbox::start().await;
    sandbox.fault("kpn.send", Fault::LostAnswer);
    let callout = parse(
        &sandbox
            .callout(Cast::JOINER, CalloutKind::Lifecycle)
            .unwrap()
            .body,
    );
    let onboarding = onboarding(&sandbox)
        .with_on_doubt(OnDoubt::Fail)
        .build()
        .unwrap();
    let ending = onboarding.run(callout).await.unwrap();
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::InDoubt));
    assert_settled(&sandbox, Cast::JOINER, "told to fail in doubt");
}

#[tokio::test]
async fn two_flows_for_one_user_at_once_leave_one_usable_pass_in_the_last_text() {
    for (existing_pass, texts) in [(ExistingPass::KeepOurs, 1), (ExistingPass::ReplaceOurs, 2)] {
        let sandbox = Sandbox::start().await;
        let onboarding = onboarding(&sandbox).with_existing_pass(existing_pass);
        let onboarding = Arc::new(onboarding.build().unwrap());
        let run = || {
            let callout = parse(
                &sandbox
                    .callout(Cast::JOINER, CalloutKind::Lifecycle)
                    .unwrap()
                    .body,
            );
            let onboarding = Arc::clone(&onboarding);
            tokio::spawn(async move { onboarding.run(callout).await.unwrap() })
        };
        let (one, two) = (run(), run());
        assert_eq!(one.await.unwrap().verdict, Verdict::Completed);
        assert_eq!(two.await.unwrap().verdict, Verdict::Completed);
        let usable = sandbox.usable_passes(Cast::JOINER);
        let messages = sandbox.messages();
        assert_eq!((usable.len(), messages.len()), (1, texts));
        let last = messages.last().unwrap();
        assert!(last.text.contains(&usable[0].secret), "{existing_pass:?}");
    }
}

#[tokio::test]
async fn a_call_out_that_comes_twice_sends_one_text() {
    let sandbox = Sandbox::start().await;
    let onboarding = onboarding(&sandbox).build().unwrap();
    let callout = parse(
        &sandbox
            .callout(Cast::JOINER, CalloutKind::Lifecycle)
            .unwrap()
            .body,
    );
    let first = onboarding.run(callout.clone()).await.unwrap();
    let again = onboarding.run(callout).await.unwrap();
    assert_eq!(
        (first.verdict, again.verdict),
        (Verdict::Completed, Verdict::Completed)
    );
    assert_eq!((sandbox.messages().len(), sandbox.resumes().len()), (1, 1));
}

#[tokio::test]
async fn a_list_that_lags_and_an_effect_that_comes_late_leave_one_usable_pass_in_the_last_text() {
    type Faults = fn(&Sandbox);
    let cases: [(&str, Faults); 5] = [
        ("a list that lags", |sandbox| {
            sandbox
                .fault("graph.tap_list", Fault::Lag)
                .ms(300)
                .times(50);
        }),
        ("a pass that is made late", |sandbox| {
            sandbox.fault("graph.tap", Fault::Late).ms(100);
        }),
        (
            "a pass that is made late, and a list that lags",
            |sandbox| {
                sandbox.fault("graph.tap", Fault::Late).ms(100);
                sandbox.fault("graph.tap_list", Fault::Lag).ms(50).times(50);
            },
        ),
        ("a text that is sent late", |sandbox| {
            sandbox.fault("kpn.send", Fault::Late).ms(50);
        }),
        ("a pass in doubt, and refusals", |sandbox| {
            sandbox.fault("graph.tap", Fault::LostAnswer);
            sandbox.fault("graph.tap", Fault::Exists).times(2);
            sandbox.fault("graph.tap_list", Fault::Lag).ms(300).times(3);
        }),
    ];
    for (name, faults) in cases {
        let sandbox = Sandbox::start().await;
        faults(&sandbox);
        let body = sandbox
            .callout(Cast::JOINER, CalloutKind::Lifecycle)
            .unwrap()
            .body;
        // What a flow expects of lists and of late effects follows from these.
        let pauses = [Duration::from_millis(200); 5];
        let onboarding = onboarding(&sandbox).with_pauses(pauses).build().unwrap();
        let ended = onboarding.run(parse(&body)).await;
        assert_eq!(ended.unwrap().verdict, Verdict::Completed, "{name}");
        assert_settled(&sandbox, Cast::JOINER, name);
    }
}

#[tokio::test]
async fn where_graph_refuses_because_a_pass_exists_ours_is_taken_away_first_and_no_strangers() {
    let sandbox = Sandbox::start().await;
    let builder = onboarding(&sandbox).with_existing_pass(ExistingPass::ReplaceOurs);
    let onboarding = builder.build().unwrap();
    for exists in [false, true] {
        if exists {
            sandbox.fault("graph.tap", Fault::Exists);
        }
        let body = sandbox
            .callout(Cast::JOINER, CalloutKind::Lifecycle)
            .unwrap()
            .body;
        let ended = onboarding.run(parse(&body)).await;
        assert_eq!(ended.unwrap().verdict, Verdict::Completed);
    }
    let usable = sandbox.usable_passes(Cast::JOINER);
    assert_eq!(usable.len(), 1);
    assert!(sandbox.messages()[1].text.contains(&usable[0].secret));
    assert!(sandbox.faults_left().is_empty());
    let strangers = sandbox.usable_passes(Cast::HAS_PASS);
    sandbox.fault("graph.tap", Fault::Exists);
    let body = sandbox
        .callout(Cast::HAS_PASS, CalloutKind::Lifecycle)
        .unwrap()
        .body;
    let ended = onboarding.run(parse(&body)).await;
    let refused = Verdict::Failed(FailureReason::PassExists);
    assert_eq!(ended.unwrap().verdict, refused);
    assert_eq!(sandbox.usable_passes(Cast::HAS_PASS)[0].id, strangers[0].id);
}

#[tokio::test]
async fn a_call_out_about_nobody_is_answered_once_with_failed() {
    let sandbox = Sandbox::start().await;
    let mut body = sandbox
        .callout(Cast::JOINER, CalloutKind::Lifecycle)
        .unwrap()
        .body;
    body["data"]["subject"] = serde_json::Value::Null;
    let now = std::time::SystemTime::now().into();
    let parsed = CalloutParser::new().parse(body.to_string().as_bytes(), now);
    let Ok(Parsed::NoUser(callout)) = parsed else {
        panic!("{parsed:?}");
    };
    let onboarding = onboarding(&sandbox).build().unwrap();
    for _ in 0..2 {
        let ended = onboarding.run(callout.clone()).await;
        let ending = ended.unwrap();
        assert_eq!(ending.verdict, Verdict::Failed(FailureReason::UserNotFound));
        assert!(ending.heard);
    }
    let resumes = sandbox.resumes();
    assert_eq!(resumes.len(), 1);
    assert_eq!(resumes[0].status.as_deref(), Some("Failed"));
}
