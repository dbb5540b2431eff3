//! Against the sandbox's simulated Entra, which was written independently from the same pages.

use postduif_core::{
    Acceptance::{NotAccepted, Unknown},
    directory::{
        FailureReason, Graph as _,
        GraphErrorKind::{
            Conflict, Forbidden, LifetimeRefused, NotFound, PolicyRefused, Throttled,
        },
        Roles, TapIssuer as _, TapRequest, Verdict,
    },
};
use postduif_entra::{CalloutParser, Cloud, Credential, Entra, Parsed};
use postduif_http::BaseUrl;
use postduif_sandbox::{CalloutKind, Cast, Fault, Sandbox};

use crate::support::{a_while_later, assert_error};

fn entra(sandbox: &Sandbox) -> Entra {
    let cloud = Cloud::GLOBAL
        .with_graph(BaseUrl::parse(&sandbox.graph_url()).unwrap())
        .with_login(BaseUrl::parse(&sandbox.login_url()).unwrap());
    let credential = Credential::client_secret(
        sandbox.tenant(),
        sandbox.client_id(),
        sandbox.client_secret(),
    );
    Entra::builder(credential)
        .with_cloud(cloud)
        .with_manager(true)
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_cast_is_read_as_it_is() {
    let sandbox = Sandbox::start().await;
    let entra = entra(&sandbox);
    let joiner = entra.user(&Cast::JOINER.parse().unwrap()).await.unwrap();
    assert_eq!(joiner.mobile.as_deref(), Some("+31612345678"));
    assert_eq!(joiner.roles, Roles::Held(vec![]));
    assert_eq!(joiner.manager.unwrap().id, Cast::ENGLISH.parse().unwrap());
    let guest = entra.user(&Cast::GUEST.parse().unwrap()).await.unwrap();
    assert!(guest.external);
    let administrator = entra
        .user(&Cast::ADMINISTRATOR.parse().unwrap())
        .await
        .unwrap();
    assert_eq!(
        administrator.roles,
        Roles::Held(vec!["User Administrator".into()])
    );
    let disabled = entra.user(&Cast::DISABLED.parse().unwrap()).await.unwrap();
    assert_eq!(disabled.enabled, Some(false));
    let late = Cast::LATE.parse().unwrap();
    for _ in 0..2 {
        assert_error(
            &entra.user(&late).await.unwrap_err(),
            NotFound,
            NotAccepted,
            "late",
        );
    }
    entra.user(&late).await.unwrap();
}

#[tokio::test]
async fn a_pass_is_issued_listed_and_revoked() {
    let sandbox = Sandbox::start().await;
    let entra = entra(&sandbox);
    let user = Cast::JOINER.parse().unwrap();
    let pass = entra.issue(&user, &TapRequest::new()).await.unwrap();
    assert_eq!(sandbox.usable_passes(Cast::JOINER)[0].secret, pass.secret());
    let listed = entra.list(&user).await.unwrap();
    assert_eq!(listed, [pass.info().clone()]);
    entra.revoke(&user, &pass.info().id).await.unwrap();
    entra.revoke(&user, &pass.info().id).await.unwrap();
    assert!(sandbox.usable_passes(Cast::JOINER).is_empty());
    assert!(entra.list(&user).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_pass_with_a_lost_response_exists_once() {
    let sandbox = Sandbox::start().await;
    let entra = entra(&sandbox);
    let user = Cast::JOINER.parse().unwrap();
    for fault in [
        Fault::LostAnswer,
        Fault::NotJson,
        Fault::TruncatedBody,
        Fault::HugeBody,
        Fault::EmptyOk,
    ] {
        let before = sandbox.passes().len();
        sandbox.fault("graph.tap", fault);
        let error = entra.issue(&user, &TapRequest::new()).await.unwrap_err();
        assert_eq!(error.acceptance(), Unknown, "{fault:?}: {error:?}");
        assert_eq!(sandbox.passes().len(), before + 1, "{fault:?}");
    }
}

#[tokio::test]
async fn graphs_own_refusals_are_known() {
    let sandbox = Sandbox::start().await;
    let entra = entra(&sandbox);
    let user = Cast::JOINER.parse().unwrap();
    for (fault, kind) in [
        (Fault::Throttle, Throttled),
        (Fault::NotReplicated, NotFound),
        (Fault::PolicyRefuses, PolicyRefused),
    ] {
        sandbox.fault("graph.tap", fault);
        let error = entra.issue(&user, &TapRequest::new()).await.unwrap_err();
        assert_error(&error, kind, NotAccepted, &format!("{fault:?}"));
    }
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let error = entra
        .issue(&user, &TapRequest::new().with_lifetime(day))
        .await
        .unwrap_err();
    assert_error(&error, LifetimeRefused, NotAccepted, "the lifetime");
    let guest = Cast::GUEST.parse().unwrap();
    assert!(entra.issue(&guest, &TapRequest::new()).await.is_err());
    assert!(sandbox.usable_passes(Cast::JOINER).is_empty());
}

#[tokio::test]
async fn a_refused_token_is_replaced_at_once_and_one_without_permission_for_the_next_call() {
    let sandbox = Sandbox::start().await;
    let entra = entra(&sandbox);
    let user = Cast::JOINER.parse().unwrap();
    entra.list(&user).await.unwrap();
    a_while_later().await;
    sandbox.fault("graph.tap", Fault::UnauthorizedOnce);
    entra.issue(&user, &TapRequest::new()).await.unwrap();
    sandbox.fault("graph.tap_list", Fault::TokenWithoutRoles);
    a_while_later().await;
    let error = entra.list(&user).await.unwrap_err();
    assert_error(&error, Forbidden, NotAccepted, "a token without roles");
    entra.list(&user).await.unwrap();
}

#[tokio::test]
async fn both_kinds_of_call_outs_are_resumed() {
    let sandbox = Sandbox::start().await;
    let entra = entra(&sandbox);
    let failed = Verdict::Failed(FailureReason::NoNumber);
    for (kind, verdict) in [
        (CalloutKind::Lifecycle, Verdict::Completed),
        (CalloutKind::Lifecycle, failed),
        (CalloutKind::AccessPackage, Verdict::Completed),
        (CalloutKind::AccessPackage, failed),
    ] {
        let sent = sandbox.callout(Cast::JOINER, kind).unwrap();
        let now = std::time::SystemTime::now().into();
        let body = sent.body.to_string();
        let Ok(Parsed::Callout(callout)) = CalloutParser::new().parse(body.as_bytes(), now) else {
            panic!("{body}");
        };
        assert_eq!(callout.user(), Some(Cast::JOINER.parse().unwrap()));
        assert_eq!(callout.flow().to_string(), sent.execution);
        entra
            .resume(callout.callback().unwrap(), &verdict)
            .await
            .unwrap();
        let heard = sandbox.resumes().pop().unwrap();
        assert_eq!(
            (heard.execution.as_str(), heard.answered),
            (&*sent.execution, 204)
        );
        let again = entra
            .resume(callout.callback().unwrap(), &verdict)
            .await
            .unwrap_err();
        assert_eq!(again.acceptance(), NotAccepted, "{again:?}");
    }
}

#[tokio::test]
async fn roles_are_read_by_any_query_that_the_directory_supports() {
    let sandbox = Sandbox::start().await;
    let of = |n: usize, kind: &str| serde_json::json!({"@odata.type": format!("#microsoft.graph.{kind}"), "id": format!("{n}"), "displayName": "M"});
    let mut many: Vec<_> = (0..1200).map(|n| of(n, "group")).collect();
    many.push(of(1200, "directoryRole"));
    let user = sandbox
        .put_user(serde_json::json!({"displayName": "A", "transitiveMemberOf": many}))
        .unwrap()
        .parse()
        .unwrap();
    let entra = entra(&sandbox);
    for breaks in 0..3 {
        sandbox.fault("graph.roles", Fault::Status503).times(breaks);
        let read = entra.user(&user).await.unwrap();
        assert_eq!(
            read.roles,
            postduif_core::directory::Roles::Held(vec!["M".into()]),
            "{breaks}"
        );
        assert!(sandbox.faults_left().is_empty());
    }
}

#[tokio::test]
async fn a_conflict_means_that_nothing_waits() {
    let sandbox = Sandbox::start().await;
    let entra = entra(&sandbox);
    let sent = sandbox
        .callout(Cast::JOINER, CalloutKind::Lifecycle)
        .unwrap();
    let now = std::time::SystemTime::now().into();
    let parsed = CalloutParser::new().parse(sent.body.to_string().as_bytes(), now);
    let Ok(Parsed::Callout(callout)) = parsed else {
        panic!("{parsed:?}")
    };
    sandbox.fault("graph.resume", Fault::ResumeConflict);
    let error = entra
        .resume(callout.callback().unwrap(), &Verdict::Completed)
        .await
        .unwrap_err();
    assert_error(&error, Conflict, NotAccepted, "resumed already");
}
