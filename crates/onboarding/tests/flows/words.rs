//! What the recipient reads: language, name and time, through the whole flow.

use crate::world::World;
use chrono::DateTime;
use postduif_core::{
    Profile, TextLimit,
    directory::{User, Verdict},
};
use postduif_onboarding::template::Templates;

/// Returns the text that this user gets from a flow that starts at this time.
async fn text(start: &str, templates: Option<Templates>, change: fn(&mut User)) -> String {
    let start = DateTime::parse_from_rfc3339(start).unwrap().to_utc();
    let world = World::at(start, Profile::new("kpn").with_reports(true));
    change(&mut world.state().user);
    let mut builder = world.builder().with_time_zone_in("PT", "Europe/Lisbon");
    if let Some(templates) = templates {
        builder = builder.with_templates(templates);
    }
    let ending = world
        .ending(&builder.build().unwrap(), &world.callout())
        .await;
    assert_eq!(ending.verdict, Verdict::Completed);
    world.assert_settled(&ending, "");
    world.state().texts[0].text.clone()
}

const MORNING: &str = "2026-11-23T08:00:00Z";

#[tokio::test(start_paused = true)]
async fn the_language_is_the_directorys() {
    for (language, begins) in [
        (None, "Hallo Anna de Vries, welkom!"),
        (Some("nl-BE"), "Hallo Anna de Vries, welkom!"),
        (Some("fr-FR"), "Hallo Anna de Vries, welkom!"),
        (Some("en-US"), "Hi Anna de Vries, welcome!"),
    ] {
        let world = World::new();
        world.state().user.preferred_language = language.map(Into::into);
        let ending = world.ending(&world.onboarding(), &world.callout()).await;
        world.assert_settled(&ending, "");
        assert!(world.state().texts[0].text.starts_with(begins));
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_zone_is_the_countrys() {
    let lisbon = text(MORNING, None, |user| user.region = Some("PT".into())).await;
    assert!(lisbon.contains("23-11-2026 09:00."), "{lisbon}");
    let amsterdam = text(MORNING, None, |user| user.region = Some("NL".into())).await;
    assert!(amsterdam.contains("23-11-2026 10:00."), "{amsterdam}");
}

#[tokio::test(start_paused = true)]
async fn a_pass_over_a_switch_of_the_clock_ends_at_the_readers_time() {
    // Each pass lives for an hour.
    for (start, expected) in [
        ("2026-03-29T00:30:00Z", "tot 29-03-2026 03:30."),
        ("2026-10-24T23:30:00Z", "tot 25-10-2026 02:30 CEST."),
        ("2026-10-25T00:30:00Z", "tot 25-10-2026 02:30 CET."),
        ("2026-10-25T01:30:00Z", "tot 25-10-2026 03:30."),
    ] {
        let text = text(start, None, |_| {}).await;
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_polish_name_is_kept_if_a_text_may_take_two_parts() {
    let polish = |user: &mut User| user.display_name = Some("Łukasz Żółć".into());
    let plain = text(MORNING, None, polish).await;
    assert!(plain.starts_with("Hallo Lukasz Zolc, welkom!"), "{plain}");
    let templates = Templates::builder().with_max_parts(2).build().unwrap();
    let named = text(MORNING, Some(templates), polish).await;
    assert!(named.starts_with("Hallo Łukasz Żółć, welkom!"), "{named}");
}

#[tokio::test(start_paused = true)]
async fn a_text_can_contain_the_start_of_the_pass_and_the_sign_in_name() {
    let templates = Templates::builder()
        .with_text(
            "nl",
            "{{ pass }} van {{ valid_from }}{% if user_principal_name %} voor {{ user_principal_name }}{% endif %}",
        )
        .with_max_parts(2)
        .build()
        .unwrap();
    let text = text(MORNING, Some(templates), |user| {
        user.user_principal_name = Some("anna@contoso.example".into());
    })
    .await;
    assert_eq!(
        text,
        "S1+cret! van 23-11-2026 09:00 voor anna@contoso.example"
    );
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_cannot_take_the_longest_text_is_refused_at_once() {
    let world = World::with_profile(Profile::new("short").with_longest_text(TextLimit::Parts(1)));
    assert!(world.builder().build().is_ok());
    let templates = Templates::builder().with_max_parts(2).build().unwrap();
    let error = world
        .builder()
        .with_templates(templates)
        .build()
        .unwrap_err();
    let error = error.to_string();
    assert!(error.contains("short cannot send the text in"), "{error}");
    let error = world
        .builder()
        .with_time_zone_in("Portugal", "Europe/Lisbon");
    assert!(error.build().unwrap_err().to_string().contains("country"));
}
