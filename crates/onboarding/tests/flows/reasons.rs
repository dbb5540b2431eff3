//! The reason of a failure and its causes in the ending.

use postduif_core::{
    ErrorKind, PhoneNumberError, PhoneNumberErrorKind,
    directory::{FailureReason, GraphErrorKind, Verdict},
};
use postduif_onboarding::{Entry, Numbers, ReadNumber};
use serde_json::json;

use crate::world::{IssueFault, SendFault, World, entry, issued, issuing, sending, start};

#[tokio::test(start_paused = true)]
async fn a_flow_without_further_rounds_fails_with_the_cause_that_used_them_up() {
    let issued = |world: &World| {
        world.has_pass("ours");
        [issuing(3, &[]), issued(3, "ours")]
    };
    for (tail, reason) in [
        (vec![], FailureReason::Shutdown),
        (vec![sending(3, "kpn")], FailureReason::InDoubt),
    ] {
        let world = World::new();
        let callout = world.callout();
        let revoked = entry(json!({"revoked": {"tap": "ours", "then": "issue"}}));
        let entries = [issued(&world).to_vec(), tail, vec![revoked]].concat();
        world.state().passes.clear();
        world.given(&callout, &entries).await;
        let ending = world.ending(&world.onboarding(), &callout).await;
        assert_eq!(ending.verdict, Verdict::Failed(reason));
        assert_eq!(world.state().verdicts[0].0, start());
    }
}

#[tokio::test(start_paused = true)]
async fn the_error_of_graph_is_in_the_entries_and_the_ending() {
    for fault in [
        IssueFault::Refused(GraphErrorKind::Forbidden),
        IssueFault::Refused(GraphErrorKind::LifetimeRefused),
    ] {
        let world = World::new();
        world.state().issue_faults = [fault].into();
        let callout = world.callout();
        let ending = world.ending(&world.onboarding(), &callout).await;
        let graph = ending.graph.unwrap();
        assert_eq!(graph.code.as_deref(), Some("badRequest"));
        assert_eq!(graph.request_id.as_deref(), Some("0f1e2d3c"));
        assert_eq!(graph.date, Some(start()));
        let entries = world.entries(callout.flow()).await;
        let kept =
            |entry: &Entry| matches!(entry, Entry::NotIssued { cause, .. } if *cause == graph);
        assert!(entries.iter().any(kept), "{entries:#?}");
    }
    let world = World::new();
    world.state().user_faults = [GraphErrorKind::Forbidden].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.graph.unwrap().kind, GraphErrorKind::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn the_error_of_the_vendor_is_in_the_ending() {
    let world = World::new();
    world.state().send_faults = [SendFault::Refused(ErrorKind::Blocked)].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(ending.error, Some(ErrorKind::Blocked));
    assert_eq!(ending.code.as_deref(), Some("303"));
}

#[tokio::test(start_paused = true)]
async fn why_a_number_was_refused_is_in_the_ending() {
    for &kind in PhoneNumberErrorKind::ALL {
        let world = World::new();
        let numbers = Numbers::reading("NL", move |_: &str, _: &str| {
            Err(PhoneNumberError::from(kind))
        });
        let onboarding = world.builder().with_numbers(numbers).build().unwrap();
        let ending = world.ending(&onboarding, &world.callout()).await;
        assert_eq!(
            ending.verdict,
            Verdict::Failed(FailureReason::InvalidNumber)
        );
        assert_eq!(ending.detail.as_deref(), Some(kind.as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_of_an_unknown_range_is_used_and_the_ending_reports_it() {
    let reading = |known| {
        Numbers::reading("NL", move |text: &str, _: &str| {
            Ok(ReadNumber::new(text.parse()?, known))
        })
    };
    for known in [true, false] {
        let world = World::new();
        let onboarding = world
            .builder()
            .with_numbers(reading(known))
            .build()
            .unwrap();
        let ending = world.ending(&onboarding, &world.callout()).await;
        assert_eq!(ending.verdict, Verdict::Completed);
        assert_eq!(ending.number_known, Some(known));
    }
    let world = World::new();
    let strict = world.builder().with_numbers(reading(false));
    let onboarding = strict.refuse_unknown_numbers().build().unwrap();
    let ending = world.ending(&onboarding, &world.callout()).await;
    assert_eq!(
        ending.verdict,
        Verdict::Failed(FailureReason::InvalidNumber)
    );
    assert_eq!(ending.detail.as_deref(), Some("unknown_range"));
    assert_eq!((ending.attempts, ending.number_known), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_has_its_own_reason() {
    let world = World::new();
    world.state().user_faults = [GraphErrorKind::Forbidden].into();
    let ending = world.ending(&world.onboarding(), &world.callout()).await;
    assert_eq!(
        ending.verdict,
        Verdict::Failed(FailureReason::PermissionMissing)
    );
}
