//! Delivery reports: found, matched, joined, and awaited for as long as they matter.

use std::{sync::Arc, time::Duration};

use postduif_core::{
    DeliveryReport, DeliveryStatus, Profile,
    directory::{Callout, FailureReason, Verdict},
};
use postduif_onboarding::{CompleteOn, Ending, Onboarding, Run, Step};
use serde_json::json;

use crate::world::{
    SendFault, World, entry, issued, issuing, minutes, reference, sending, start, step_until_idle,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn delivered(world: &Arc<World>) -> Onboarding {
    let builder = world.builder().with_complete_on(CompleteOn::Delivered);
    builder.build().unwrap()
}

fn report(provider: &'static str, status: DeliveryStatus) -> DeliveryReport {
    DeliveryReport::new(provider, status)
}

#[tokio::test(start_paused = true)]
async fn a_report_finds_its_flow_by_reference_or_by_provider_and_id() {
    type Name = fn(&World, &mut DeliveryReport);
    let names: [(Name, bool); 5] = [
        (
            |world, report| report.reference = Some(world.state().texts[0].reference),
            true,
        ),
        (|_, report| report.id = Some("vendor-1".into()), true),
        (
            |_, report| report.reference = Some(reference("another")),
            false,
        ),
        (|_, report| report.id = Some("vendor-2".into()), false),
        (|_, _| {}, false),
    ];
    for (name, finds) in names {
        let world = World::new();
        let onboarding = delivered(&world);
        let callout = world.callout();
        let mut run = world.start(&onboarding, &callout).await;
        let waits = step_until_idle(&onboarding, &mut run).await;
        assert!(matches!(waits, Step::WaitUntil(_)));
        let mut report = report("kpn", DeliveryStatus::Delivered);
        name(&world, &mut report);
        let found = onboarding.report(&report).await.unwrap();
        assert_eq!(found, finds.then_some(callout.flow()));
        let step = step_until_idle(&onboarding, &mut run).await;
        assert_eq!(matches!(step, Step::Done(_)), finds);
    }
}

/// Ends a flow whose text this vendor accepted in a number of parts, after these reports of the text or of its parts.
async fn ends(parts: u16, reports: &[(&'static str, Option<&str>, DeliveryStatus)]) -> Ending {
    ends_after(parts, 1, None, reports).await
}

/// The same for a receipt that expects a number of reports. Each report has a time.
async fn ends_after(
    parts: u16,
    expected: u16,
    seconds_apart: Option<i64>,
    reports: &[(&'static str, Option<&str>, DeliveryStatus)],
) -> Ending {
    let world = World::new();
    world.has_pass("ours");
    let callout = world.callout();
    let entries = [
        issuing(1, &[]),
        issued(1, "ours"),
        sending(1, "spryng,kpn"),
        entry(json!({"accepted": {
            "round": 1,
            "reference": "text",
            "provider": "kpn",
            "parts": parts,
            "reports": expected,
        }})),
    ];
    world.given(&callout, &entries).await;
    let onboarding = delivered(&world);
    for (index, (provider, part, status)) in (0..).zip(reports) {
        let mut report = report(provider, *status);
        report.at = seconds_apart.map(|apart| start() + chrono::TimeDelta::seconds(index * apart));
        report.reference = Some(reference("text"));
        report.part = part.map(str::to_owned);
        onboarding.report(&report).await.unwrap();
    }
    world.ending(&onboarding, &callout).await
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_of_one_vendor_does_not_undo_the_delivery_by_another() {
    use DeliveryStatus::{Delivered, Rejected, Sent};
    for reports in [
        [("spryng", None, Rejected), ("kpn", None, Delivered)],
        [("kpn", None, Delivered), ("spryng", None, Rejected)],
    ] {
        assert_eq!(ends(1, &reports).await.verdict, Verdict::Completed);
    }
    let ending = ends(1, &[("spryng", None, Delivered), ("kpn", None, Sent)]).await;
    assert!(
        matches!(ending.verdict, Verdict::Failed(_)),
        "not the one that has it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_text_is_delivered_when_all_its_parts_are() {
    use DeliveryStatus::{Delivered, Failed};
    let [one, two] = [Some("1"), Some("2")];
    let cases: [(&[_], bool); 5] = [
        (&[("kpn", one, Delivered)], false),
        (&[("kpn", one, Delivered), ("kpn", one, Delivered)], false),
        (&[("kpn", one, Delivered), ("kpn", two, Delivered)], true),
        (&[("kpn", one, Delivered), ("kpn", two, Failed)], false),
        // A report without a part is about the whole text.
        (&[("kpn", None, Delivered)], true),
    ];
    for (reports, completes) in cases {
        let completed = ends(2, reports).await.verdict == Verdict::Completed;
        assert_eq!(completed, completes, "{reports:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unnamed_part_is_distinguished_from_a_duplicate_by_its_time() {
    let delivered = ("kpn", None, DeliveryStatus::Delivered);
    for (seconds_apart, completes) in [(Some(0), false), (Some(1), true), (None, false)] {
        let ending = ends_after(2, 2, seconds_apart, &[delivered, delivered]).await;
        assert_eq!(
            ending.verdict == Verdict::Completed,
            completes,
            "{seconds_apart:?}"
        );
    }
    let one = ends_after(2, 2, Some(1), &[delivered]).await;
    assert_ne!(one.verdict, Verdict::Completed);
}

#[tokio::test(start_paused = true)]
async fn while_one_of_several_vendors_may_have_a_text_only_a_delivery_counts() {
    use DeliveryStatus::{Delivered, Rejected};
    for (status, sends) in [(Rejected, 2), (Delivered, 1)] {
        let world = World::with_profile(Profile::new("spryng,kpn").with_reports(true));
        world.state().send_faults = [SendFault::Lost].into();
        let onboarding = world.onboarding();
        let callout = world.callout();
        let mut run = world.start(&onboarding, &callout).await;
        while world.state().sends == 0 {
            onboarding.step(&mut run).await.unwrap();
        }
        let mut report = report("spryng", status);
        report.reference = Some(world.state().texts[0].reference);
        assert!(onboarding.report(&report).await.unwrap().is_some());
        drop(run);
        let ending = world.ending(&onboarding, &callout).await;
        assert_eq!(ending.verdict, Verdict::Completed);
        assert_eq!(world.state().sends, sends, "{status}");
        world.assert_settled(&ending, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_arrives_when_its_pass_has_ended_completes_nothing() {
    let world = World::new();
    let onboarding = delivered(&world);
    let callout = world.callout().with_window(seconds(14 * 86_400));
    let ending = onboarding.run(callout).await.unwrap();
    assert_eq!(ending.verdict, Verdict::Failed(FailureReason::NotDelivered));
    assert_eq!(world.state().verdicts[0].0, start() + minutes(60));
    assert!(world.usable().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_text_has_the_remaining_life_of_its_pass_as_validity_if_the_vendor_supports_it() {
    let hour = seconds(3600);
    let plain = Profile::new("kpn").with_reports(true);
    for (profile, expected) in [
        (plain.clone(), None),
        (
            plain.clone().with_validity(seconds(60), seconds(86_400)),
            Some(hour),
        ),
        (plain.with_validity(seconds(60), seconds(1800)), None),
    ] {
        let world = World::with_profile(profile);
        world.ending(&world.onboarding(), &world.callout()).await;
        assert_eq!(world.state().texts[0].validity, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn reports_without_number_do_not_keep_entra_from_hearing() {
    let world = World::new();
    let onboarding = delivered(&world);
    let callout = world.callout();
    let mut run = world.start(&onboarding, &callout).await;
    step_until_idle(&onboarding, &mut run).await;
    let mut report = report("kpn", DeliveryStatus::Sent);
    report.reference = Some(world.state().texts[0].reference);
    for part in 0..5000 {
        report.part = Some(part.to_string());
        onboarding.report(&report).await.unwrap();
    }
    tokio::time::advance(seconds(29 * 60)).await;
    drop(run);
    let ending = world.ending(&onboarding, &callout).await;
    assert_eq!(
        ending.verdict,
        Verdict::Failed(FailureReason::DeadlinePassed)
    );
    world.assert_settled(&ending, "");
}

/// Runs a flow that waits for reports of a text with these ids of the vendor.
async fn waits_for(world: &Arc<World>, part_ids: &[&str]) -> (Onboarding, Run, Callout) {
    world.has_pass("ours");
    let callout = world.callout();
    let entries = [
        issuing(1, &[]),
        issued(1, "ours"),
        sending(1, "kpn"),
        entry(json!({"accepted": {
            "round": 1,
            "reference": "text",
            "provider": "kpn",
            "id": "vendor-1",
            "part_ids": part_ids,
            "parts": 1,
        }})),
    ];
    world.given(&callout, &entries).await;
    let onboarding = delivered(world);
    let run = world.start(&onboarding, &callout).await;
    (onboarding, run, callout)
}

#[tokio::test(start_paused = true)]
async fn a_report_that_names_its_part_alone_counts() {
    let world = World::new();
    let (onboarding, mut run, callout) = waits_for(&world, &["part-1"]).await;
    let mut report = report("kpn", DeliveryStatus::Delivered);
    report.part = Some("part-1".into());
    let found = onboarding.report(&report).await.unwrap();
    assert_eq!(found, Some(callout.flow()));
    let step = step_until_idle(&onboarding, &mut run).await;
    assert!(matches!(step, Step::Done(_)));
}

#[tokio::test(start_paused = true)]
async fn a_report_with_an_unknown_reference_is_matched_by_its_id() {
    let world = World::new();
    let (onboarding, mut run, callout) = waits_for(&world, &[]).await;
    let mut report = report("kpn", DeliveryStatus::Delivered);
    report.reference = Some(reference("theirs"));
    report.id = Some("vendor-1".into());
    let found = onboarding.report(&report).await.unwrap();
    assert_eq!(found, Some(callout.flow()));
    let step = step_until_idle(&onboarding, &mut run).await;
    assert!(matches!(step, Step::Done(_)));
}
