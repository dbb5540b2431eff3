//! Entra's call-outs, from the call to the resume.

use std::collections::BTreeMap;

use postduif_sandbox::{CalloutKind, CalloutOrder, Cast, Hostile, Sandbox};

use crate::service::Service;

const KINDS: [(CalloutKind, &str); 2] = [
    (CalloutKind::Lifecycle, "/callouts/lifecycle"),
    (CalloutKind::AccessPackage, "/callouts/access-package"),
];

/// Who gets a pass.
const TEXTED: [&str; 4] = [Cast::JOINER, Cast::AS_TYPED, Cast::LATE, Cast::ENGLISH];

#[tokio::test(flavor = "multi_thread")]
async fn every_user_of_both_kinds_is_resumed_once_and_repeats_change_nothing() {
    for (kind, path) in KINDS {
        let sandbox = Sandbox::start().await;
        let service = Service::start(&["--sandbox", &sandbox.url()]);
        let target = format!("{}{path}", service.url);
        let mut users = BTreeMap::new();
        for (user, _) in Cast::ALL {
            let order = CalloutOrder::new(user, kind).repeated();
            let callout = sandbox.deliver(order, &target).await.unwrap();
            assert_eq!(callout.status, Some(202), "{user}");
            users.insert(callout.execution, user);
        }
        let all = |sandbox: &Sandbox| (sandbox.resumes().len() >= users.len()).then_some(());
        sandbox.wait_for(all).await;
        // A repeat that started anything would resume once more before this ends.
        let (code, _) = service.terminate();
        assert_eq!(code, Some(0));
        let resumes = sandbox.resumes();
        assert_eq!(resumes.len(), users.len());
        for resume in &resumes {
            assert_eq!(resume.answered, 204);
            let user = users.remove(&resume.execution).unwrap();
            let is_texted = TEXTED.contains(&user);
            assert_eq!(
                sandbox.usable_passes(user).len(),
                usize::from(is_texted || user == Cast::HAS_PASS)
            );
        }
        assert_eq!(sandbox.messages().len(), TEXTED.len());
        assert!(sandbox.foreign_requests().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_call_out_has_no_effect() {
    let sandbox = Sandbox::start().await;
    let service = Service::start(&["--sandbox", &sandbox.url()]);
    for (kind, path) in KINDS {
        for hostile in Hostile::ALL {
            let order = CalloutOrder::new(Cast::JOINER, kind).hostile(*hostile);
            let target = format!("{}{path}", service.url);
            let callout = sandbox.deliver(order, &target).await.unwrap();
            let expected = if *hostile == Hostile::Body { 400 } else { 401 };
            assert_eq!(callout.status, Some(expected), "{hostile:?}");
        }
    }
    let (code, _) = service.terminate();
    assert_eq!(code, Some(0));
    // Only the tenant's keys were fetched.
    let requests = sandbox.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.path.starts_with("/login/")),
        "{requests:?}"
    );
    assert!(sandbox.messages().is_empty() && sandbox.resumes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_shows_a_pass_a_number_a_text_or_a_token() {
    let sandbox = Sandbox::start().await;
    let service = Service::start(&["--sandbox", &sandbox.url(), "--log", "json"]);
    let target = format!("{}/callouts/lifecycle", service.url);
    let order = CalloutOrder::new(Cast::JOINER, CalloutKind::Lifecycle);
    let callout = sandbox.deliver(order, &target).await.unwrap();
    sandbox
        .wait_for(|sandbox| sandbox.resumes().first().cloned())
        .await;
    let (_, logs) = service.terminate();
    assert!(logs.contains(&callout.execution));
    assert!(logs.contains("a flow has ended"));
    let line = logs
        .lines()
        .find(|line| line.contains(r#""target":"postduif_webhooks::access""#))
        .unwrap();
    for field in [
        r#""level":"DEBUG""#,
        r#""method":"POST""#,
        r#""route":"/callouts/lifecycle""#,
        r#""status":202"#,
        &format!(r#""flow":"{}""#, callout.execution),
    ] {
        assert!(line.contains(field), "{line}");
    }
    let pass = &sandbox.passes()[0].secret;
    for secret in [
        pass.as_str(),
        "31612345678",
        "612345678",
        "eyJ",
        "Sanne",
        "sandbox:sandbox",
    ] {
        assert!(!logs.contains(secret), "{secret}");
    }
}
