#[cfg(feature = "queue-sqlite")]
mod outbox;
#[cfg(feature = "smstools")]
mod strict;
mod unit_test;

const README: &str = include_str!("../../README.md");

#[test]
fn the_unit_tests_of_the_readme_are_ones_that_run() {
    for test in [
        include_str!("readme/unit_test.rs"),
        include_str!("readme/strict.rs"),
        include_str!("readme/outbox.rs"),
    ] {
        let block = format!("```rust\n{test}```\n");
        assert!(
            README.contains(&block),
            "the README has another than {test}"
        );
    }
}

/// The table of what changes with the vendor, as the profiles have it.
#[cfg(feature = "all-providers")]
#[test]
fn the_readme_lists_what_each_vendor_can_do() {
    use postduif::{Profile, TextLimit};

    const VENDORS: [(&str, &str); 11] = [
        (
            "KPN",
            "kpn://a:b@default?report_url=https://example.test/?reference={reference}",
        ),
        ("CM.com", "cm://a@default?sender=Contoso"),
        (
            "MessageBird, platform",
            "messagebird://bk_eu1_a@default?sender=Contoso",
        ),
        (
            "MessageBird, classic",
            "messagebird://a@default?api=classic&sender=Contoso",
        ),
        (
            "MessageBird, channels",
            "messagebird://a@default?api=channels&workspace=00000000-0000-0000-0000-000000000000&channel=00000000-0000-0000-0000-000000000000",
        ),
        ("Smstools", "smstools://a:b@default?sender=Contoso"),
        (
            "Spryng, version 2",
            "spryng://a@default?account=SPNL0000000&sender=Contoso",
        ),
        (
            "Spryng, version 1",
            "spryng://a@default?api=v1&sender=Contoso",
        ),
        (
            "Twilio",
            "twilio://AC00000000000000000000000000000000:a@default?sender=MG00000000000000000000000000000000",
        ),
        ("Vonage", "vonage://a:b@default?sender=Contoso"),
        ("a gateway of yours", "webhook://sms.example.test/send"),
    ];

    fn duration(seconds: u64) -> String {
        for (unit, length) in [("d", 86_400), ("h", 3600), ("min", 60)] {
            if seconds >= length && seconds.is_multiple_of(length) {
                return format!("{} {unit}", seconds / length);
            }
        }
        format!("{seconds} s")
    }

    fn row(name: &str, profile: &Profile) -> String {
        let senders: Vec<_> = profile
            .senders()
            .iter()
            .map(|kind| kind.as_str().replace('_', " "))
            .collect();
        let senders = if senders.is_empty() {
            "none".to_owned()
        } else {
            senders.join(", ")
        };
        let text = match profile.longest_text() {
            Some(TextLimit::Parts(parts)) => format!("{parts} parts"),
            Some(TextLimit::Characters(characters)) => format!("{characters} characters"),
            _ => "no limit".into(),
        };
        let validity = profile.validity().map_or("no".into(), |range| {
            format!(
                "{} to {}",
                duration(range.start().as_secs()),
                duration(range.end().as_secs())
            )
        });
        let schedule = profile
            .max_schedule_ahead()
            .map_or("no".into(), |ahead| duration(ahead.as_secs()));
        let batch = profile.batch_size();
        format!(
            "| {name} | {} | {text} | {validity} | {schedule} | {batch} |\n",
            senders
        )
    }

    let mut table = String::from(
        "| vendor | senders | longest text | validity period | scheduled ahead | messages per request |\n\
         |---|---|---|---|---|---|\n",
    );
    for (name, url) in VENDORS {
        table += &row(name, postduif::from_url(url).unwrap().profile());
    }
    assert!(
        README.contains(&table),
        "the README has another table than\n{table}"
    );
}
