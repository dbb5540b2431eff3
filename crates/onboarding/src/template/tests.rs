//! The built-in texts, how texts are made to fit, and every check.

use std::fs;

use chrono::Utc;
use chrono_tz::Tz;
use postduif_core::{Encoding, Guid};

use super::*;

const PASS: &str = "X7k+q2Rm";

const LONG_NAME: &str = "Wilhelmina-Maria van den Bergh";

fn time(utc: &str) -> DateTime<Tz> {
    let time = DateTime::parse_from_rfc3339(utc).unwrap();
    time.with_timezone(&Tz::Europe__Amsterdam)
}

fn user(name: &str, language: &str) -> User {
    let mut user = User::new(Guid::random().into());
    user.display_name = Some(name).filter(|name| *name != "none").map(Into::into);
    user.preferred_language = Some(language.into());
    user
}

fn write(templates: &Templates, user: &User, pass: &str) -> Text {
    let (from, until) = (time("2026-11-23T08:00:59Z"), time("2026-11-23T09:00:59Z"));
    templates
        .compose(&Recipient::of(user), pass, &from, &until)
        .unwrap()
}

fn built_in() -> Templates {
    Templates::builder().build().unwrap()
}

fn dutch(name: &str, pass: &str) -> Text {
    write(&built_in(), &user(name, "nl-NL"), pass)
}

/// Returns a builder with a German template, whose tenant and support need no room.
fn own(text: &str) -> TemplatesBuilder {
    Templates::builder().with_text("de", text)
}

fn german(text: &str, user: &User) -> String {
    let mut user = user.clone();
    user.preferred_language = Some("de".into());
    let templates = own(text).build().unwrap();
    write(&templates, &user, PASS).as_str().to_owned()
}

#[track_caller]
fn refused(builder: TemplatesBuilder, said: &[&str]) {
    let error = builder.build().unwrap_err().to_string();
    for said in said {
        assert!(error.contains(said), "{said:?} in {error:?}");
    }
}

#[test]
fn a_text_contains_the_name_the_pass_and_its_end_in_local_time() {
    assert_eq!(
        dutch("Anna de Vries", PASS).as_str(),
        "Hallo Anna de Vries, welkom! Je code X7k+q2Rm geldt tot 23-11-2026 10:00. \
         Log in met je werkaccount en deze code. Alleen de nieuwste sms telt."
    );
    assert_eq!(
        write(&built_in(), &user("Anna de Vries", "en-GB"), PASS).as_str(),
        "Hi Anna de Vries, welcome! Your code X7k+q2Rm works until 23 Nov 2026 10:00. \
         Use it to sign in to your work account. Only the newest text counts."
    );
}

#[test]
fn an_unknown_language_gets_the_default() {
    for language in ["", "fr", "x", "*"] {
        let text = write(&built_in(), &user("Anna", language), PASS);
        assert!(text.as_str().starts_with("Hallo Anna,"), "{language}");
    }
    let templates = Templates::builder()
        .with_default_language("EN")
        .build()
        .unwrap();
    assert!(
        write(&templates, &user("Anna", "fr"), PASS)
            .as_str()
            .starts_with("Hi Anna,")
    );
}

#[test]
fn summer_time_is_applied() {
    let until = time("2026-07-01T09:00:00Z");
    let text = built_in()
        .preview(&user("none", "nl"), &until, &until)
        .unwrap();
    assert!(text.as_str().contains("tot 01-07-2026 11:00."));
}

#[test]
fn an_end_in_the_repeated_hour_names_its_zone() {
    for (utc, expected) in [
        ("2026-03-29T01:30:00Z", "tot 29-03-2026 03:30."),
        ("2026-10-25T00:30:00Z", "tot 25-10-2026 02:30 CEST."),
        ("2026-10-25T01:30:00Z", "tot 25-10-2026 02:30 CET."),
    ] {
        let until = time(utc);
        let text = built_in()
            .preview(&user(LONG_NAME, "nl"), &until, &until)
            .unwrap();
        assert!(text.as_str().contains(expected), "{utc}");
        assert_eq!(text.count().parts(), 1, "{utc}");
    }
}

#[test]
fn it_reads_well_without_a_name() {
    for name in ["none", "", "  \n ", "Иван", "李小龙", "Anna 🕊", "A\u{7}b"] {
        for (language, begins) in [
            ("nl", "Hallo, welkom! Je code X7k+q2Rm "),
            ("en", "Hi, welcome! Your code X7k+q2Rm "),
        ] {
            let text = write(&built_in(), &user(name, language), PASS);
            assert!(text.as_str().starts_with(begins), "{name:?}");
            assert_eq!(text.count().parts(), 1);
        }
    }
}

#[test]
fn a_name_is_greeted_in_the_letters_that_one_part_has() {
    for (name, begins) in [
        ("Zoë", "Hallo Zoe, welkom!"),
        ("François", "Hallo Francois, welkom!"),
        ("Daniël", "Hallo Daniel, welkom!"),
        ("Zoe\u{308}", "Hallo Zoe, welkom!"),
        ("Renée", "Hallo Renée, welkom!"),
        ("Rene\u{301}e", "Hallo Renée, welkom!"),
        (
            "Anna\u{200e} de\u{ad} Vries",
            "Hallo Anna de Vries, welkom!",
        ),
        ("Łukasz Żółć", "Hallo Lukasz Zolc, welkom!"),
    ] {
        let text = write(&built_in(), &user(name, "nl"), PASS);
        assert!(
            text.as_str().starts_with(begins),
            "{name:?}: {}",
            text.as_str()
        );
        assert_eq!((text.encoding(), text.count().parts()), (Encoding::Gsm7, 1));
    }
}

#[test]
fn a_pass_in_a_text_from_right_to_left_is_shown_from_left_to_right() {
    for text in ["الرمز {{ pass }} صالح", "הקוד {{ pass }} תקף"] {
        let templates = Templates::builder()
            .with_max_parts(2)
            .with_text("ar", text)
            .build();
        let text = write(&templates.unwrap(), &user("Anna", "ar"), "X7kq2R!");
        let text = text.as_str();
        assert!(text.contains("\u{200e} X7kq2R! \u{200e}"), "{text:?}");
        assert!(!text.contains("  "), "{text:?}");
    }
    // At the end of a text only the pass's own punctuation could move.
    let templates = Templates::builder()
        .with_max_parts(2)
        .with_text("ar", "الرمز {{ pass }}");
    let text = write(&templates.build().unwrap(), &user("Anna", "ar"), "X7kq2R!");
    assert_eq!(text.as_str(), "الرمز\u{200e} X7kq2R! \u{200e}");
    let text = write(&built_in(), &user("Anna", "nl"), "X7kq2R!");
    assert!(!text.as_str().contains('\u{200e}'));
}

#[test]
fn a_name_outside_gsm_is_kept_if_enough_parts_are_allowed() {
    for (language, begins) in [("nl", "Hallo Łukasz Żółć,"), ("en", "Hi Łukasz Żółć,")] {
        let templates = Templates::builder().with_max_parts(2).build().unwrap();
        let text = write(&templates, &user("Łukasz Żółć", language), PASS);
        assert!(text.as_str().starts_with(begins), "{}", text.as_str());
        assert_eq!((text.encoding(), text.count().parts()), (Encoding::Ucs2, 2));
        // Other names are not affected.
        let text = write(&templates, &user("Anna de Vries", language), PASS);
        assert_eq!((text.encoding(), text.count().parts()), (Encoding::Gsm7, 1));
    }
}

#[test]
fn a_ucs2_template_keeps_any_name() {
    let text = "{{ display_name }}: {{ pass }} ż.{% if given_name and cuts < 1 %} {{ given_name }}{% endif %}";
    let templates = Templates::builder().with_text("pl", text).build();
    // Without a name it would begin with a colon.
    assert!(templates.is_err());
    let text = "Cześć{% if display_name %} {{ display_name }}{% endif %}: {{ pass }}";
    let templates = Templates::builder().with_text("pl", text).build().unwrap();
    assert_eq!(
        write(&templates, &user("Łukasz Żółć", "pl-PL"), PASS).as_str(),
        "Cześć Łukasz Żółć: X7k+q2Rm"
    );
    let text = write(&templates, &user(&"Łu".repeat(99), "pl-PL"), PASS);
    assert!(text.as_str().starts_with("Cześć ŁuŁu"));
    assert_eq!((text.count().parts(), text.count().left()), (1, 0));
}

#[test]
fn an_ordinary_name_fits_into_one_part_with_every_sentence() {
    for (language, name, last) in [
        ("nl", LONG_NAME, "sms telt."),
        ("en", "Wilhelmina van den Bergh", "text counts."),
    ] {
        let text = write(&built_in(), &user(name, language), PASS);
        assert!(text.as_str().contains(name) && text.as_str().ends_with(last));
        assert_eq!(text.count().parts(), 1);
    }
}

#[test]
fn a_longer_name_is_cut_and_the_pass_never() {
    let templates = built_in();
    for length in 31..256 {
        for letter in ["x", "é", "€"] {
            for language in ["nl", "en"] {
                let user = user(&letter.repeat(length), language);
                let text = write(&templates, &user, PASS);
                assert!(text.as_str().contains(" X7k+q2Rm "), "{length}");
                assert!(text.as_str().contains(letter));
                assert_eq!(text.count().parts(), 1, "{length} {letter}");
            }
        }
    }
}

#[test]
fn a_name_in_several_lines_is_one_line() {
    assert!(
        dutch("Anna\r\nde\tVries", PASS)
            .as_str()
            .contains("Anna de Vries,")
    );
}

#[test]
fn any_pass_is_between_spaces_in_one_part() {
    let templates = Templates::builder()
        .with_tenant_name("Contoso")
        .with_support("020 123 4567")
        .build()
        .unwrap();
    for templates in [built_in(), templates] {
        for length in 8..=48 {
            for name in ["none", "Anna de Vries", LONG_NAME] {
                for language in ["nl", "en"] {
                    let pass = "Aa1+!{".chars().cycle().take(length).collect::<String>();
                    let text = write(&templates, &user(name, language), &pass);
                    assert!(text.as_str().contains(&format!("code {pass} ")));
                    assert_eq!(text.count().parts(), 1, "{length} {name}");
                    assert!(!text.as_str().contains('\n'));
                }
            }
        }
    }
}

#[test]
fn a_longer_pass_than_any_policy_allows_is_kept_whole() {
    let pass = "Aa1+!{".repeat(50);
    assert!(dutch("Anna", &pass).as_str().contains(&format!(" {pass} ")));
}

#[test]
fn template_syntax_in_a_name_or_a_pass_is_not_evaluated() {
    let text = dutch("{{ pass }} & <b>", "{{pass}}<&");
    assert!(
        text.as_str()
            .starts_with("Hallo {{ pass }} & <b>, welkom! Je code {{pass}}<& geldt")
    );
}

#[test]
fn a_pass_that_never_expires_does_not_panic() {
    let end = DateTime::<Utc>::MAX_UTC.with_timezone(&Tz::Europe__Amsterdam);
    assert!(built_in().preview(&user("Anna", "nl"), &end, &end).is_ok());
}

#[test]
fn tenant_and_support_are_included_if_there_is_room() {
    let templates = Templates::builder()
        .with_tenant_name(" Contoso ")
        .with_support("020 123 4567")
        .build()
        .unwrap();
    assert_eq!(
        write(&templates, &user("Anna de Vries", "nl"), PASS).as_str(),
        "Hallo Anna de Vries, welkom bij Contoso! Je code X7k+q2Rm geldt tot 23-11-2026 10:00. \
         Log in met je werkaccount en deze code. Hulp: 020 123 4567."
    );
    assert_eq!(
        write(&templates, &user("Anna de Vries", "en"), PASS).as_str(),
        "Hi Anna de Vries, welcome to Contoso! Your code X7k+q2Rm works until 23 Nov 2026 10:00. \
         Use it to sign in to your work account. Help: 020 123 4567."
    );
}

#[test]
fn every_variable_can_be_used() {
    let mut anna = user("Anna Schmidt", "de");
    anna.given_name = Some("Anna".into());
    anna.user_principal_name = Some("anna@contoso.example".into());
    let text = "{% if given_name %}{{ given_name }}{% endif %}{% if display_name %} ({{ display_name }}){% endif %}{% if user_principal_name and cuts == 0 %} {{ user_principal_name }}{% endif %}{{ tenant }}{{ support }} {{ pass }} {{ valid_from }}-{{ valid_until }}";
    assert_eq!(
        german(text, &anna),
        "Anna (Anna Schmidt) anna@contoso.example X7k+q2Rm 23.11.2026 09:00-23.11.2026 10:00"
    );
}

#[test]
fn a_time_format_is_the_languages_or_a_custom_one() {
    let text = "{{ pass }} {{ valid_until }}";
    let templates = own(text)
        .with_text("de-CH", text)
        .with_time_format("de-CH", "%d.%m. %H:%M Uhr")
        .build()
        .unwrap();
    let until =
        |language| write(&templates, &user("none", language), PASS).as_str()[9..].to_owned();
    assert_eq!(until("de-AT"), "23.11.2026 10:00");
    assert_eq!(until("de-CH"), "23.11. 10:00 Uhr");
    refused(
        own(text).with_time_format("de", "%d %Q"),
        &["time format", "de"],
    );
}

#[test]
fn a_name_in_a_text_is_cut_between_graphemes() {
    let text = "{{ pass }} {{ display_name }} ć";
    let mut user = user(&"Zoe\u{308}".repeat(40), "de");
    user.given_name = None;
    let written = german(
        "{{ pass }} ć{% if display_name %} {{ display_name }}{% endif %}",
        &user,
    );
    assert!(written.ends_with("Zoe\u{308}") || written.ends_with("Zo") || written.ends_with('Z'));
    refused(own(text), &["gap", "display_name"]);
}

#[test]
fn a_fault_of_syntax_names_template_and_line() {
    for text in [
        "a\nb {{ pass",
        "a\n{% if pass %} b",
        "a\n{% nonsense %}",
        "a\n{{ pass | }}",
    ] {
        refused(own(text), &["template de", "line 2"]);
    }
}

#[test]
fn an_unknown_variable_names_template_and_line_and_what_there_is() {
    refused(
        own("Hallo {{ pass }}\n\n{% if false %}{{ naam }}{% endif %}"),
        &["template de", "line 3", "naam", "display_name"],
    );
    refused(
        own("{{ pass }} {{ pass.secret }}"),
        &["template de", "line 1"],
    );
}

#[test]
fn an_unsupported_feature_is_refused_when_a_template_is_loaded() {
    for text in [
        "{{ pass | upper }}",
        "{{ pass }} {% if tenant is defined %}x{% endif %}",
        "{% include 'other' %} {{ pass }}",
        "{% macro a() %}{% endmacro %} {{ pass }}",
        "{{ range(3) }} {{ pass }}",
        "{{ pass }} {{ pass.upper() }}",
    ] {
        refused(own(text), &["template de", "line 1"]);
    }
}

#[test]
fn a_template_contains_the_pass_exactly_once_in_every_case() {
    for text in [
        "Hallo!",
        "Hallo! {% if display_name %}{{ pass }}{% endif %}",
        "Hallo! {% if cuts < 3 %}{{ pass }}{% endif %}",
    ] {
        refused(own(text), &["template de", "pass"]);
    }
    refused(own("{{ pass }} {{ pass }}"), &["template de", "2 times"]);
}

#[test]
fn a_pass_that_touches_another_character_is_refused() {
    for text in [
        "Code: {{ pass }}.",
        "Code: {{ pass }}, x",
        "Code:{{ pass }} x",
        "({{ pass }})",
        "Code\n{{ pass }}\nx",
        "Code \"{{ pass }}\" x",
        "Code\u{a0}{{ pass }} x",
        "Code {{ pass }}{% if tenant %} x{% endif %}!",
        "{{ [pass] }}",
    ] {
        refused(own(text), &["template de", "space"]);
    }
    for text in [
        "Code: {{ pass }}",
        "{{ pass }} ist dein Code.\n",
        "Code: {{ pass }} \n",
    ] {
        assert!(own(text).build().is_ok(), "{text:?}");
    }
}

#[test]
fn an_empty_variable_leaves_no_gap() {
    for (text, name) in [
        ("Hallo {{ display_name }}, {{ pass }}", "display_name"),
        ("Hallo {{ given_name }} , {{ pass }}", "given_name"),
        ("{{ given_name }}, dein Code: {{ pass }}", "given_name"),
        ("Hallo {{ display_name }} da, {{ pass }}", "display_name"),
        ("Bei {{ tenant }}: {{ pass }}", "tenant"),
        ("Hilfe: {{ support }}. {{ pass }}", "support"),
        (
            "Als {{ user_principal_name }} mit {{ pass }}",
            "user_principal_name",
        ),
    ] {
        refused(
            own(text).with_max_parts(2),
            &["template de", "gap", name, "endif"],
        );
    }
    assert!(
        own("Bei {{ tenant }}: {{ pass }}")
            .with_tenant_name("Contoso")
            .build()
            .is_ok()
    );
    // In French a space before a punctuation mark is right, if it is always there.
    let text = "Bonjour{% if given_name %} {{ given_name }}{% endif %} ! {{ pass }}";
    assert!(Templates::builder().with_text("fr", text).build().is_ok());
}

#[test]
fn the_longest_case_fits_into_the_allowed_parts() {
    let words = |length: usize| format!("{} {{{{ pass }}}}", "x".repeat(length));
    // The pass of 48 characters counts as 56 septets.
    assert!(own(&words(103)).build().is_ok());
    refused(own(&words(104)), &["template de", "2 parts of 1", "cuts"]);
    assert!(own(&words(104)).with_max_parts(2).build().is_ok());
    refused(own(&(words(60) + " ë")), &["2 parts", "'ë'", "GSM"]);
    // Optional sentences do not count, and a sign-in name is never cut.
    let hint = "{% if cuts < 3 %} Nur die neueste SMS gilt.{% endif %}";
    assert!(own(&(words(103) + hint)).build().is_ok());
    refused(
        own("{{ pass }}{% if user_principal_name %} {{ user_principal_name }}{% endif %}"),
        &["template de", "2 parts"],
    );
}

#[test]
fn a_value_without_room_is_refused() {
    let built_in = Templates::builder;
    refused(
        built_in().with_tenant_name("Zoë"),
        &["tenant", "'ë'", "GSM"],
    );
    refused(
        built_in().with_support("x".repeat(80)),
        &["support", "room"],
    );
    assert!(
        built_in()
            .with_tenant_name("Zoë")
            .with_max_parts(3)
            .build()
            .is_ok()
    );
    // No template uses it.
    let own = built_in()
        .with_text("nl", "{{ pass }}")
        .with_text("en", "{{ pass }}");
    assert!(own.with_tenant_name("Zoë").build().is_ok());
}

#[test]
fn a_template_that_would_never_end_is_refused() {
    for text in [
        "{{ pass }} {% for a in 'x' * 999 %}{% for b in 'x' * 999 %}{% for c in 'x' * 999 %}{% endfor %}{% endfor %}{% endfor %}",
        "{{ pass }} {{ 'x' * 99999999 }}",
    ] {
        refused(own(text), &["template de"]);
    }
    refused(
        own(&format!("{{{{ pass }}}} {}", "x".repeat(9000))),
        &["template de", "bytes"],
    );
}

#[test]
fn a_template_that_fails_in_a_rare_branch_is_replaced_by_the_built_in_text() {
    let text = "{{ pass }}{% if display_name == 'Bob' %}{{ display_name | upper }}{% endif %}";
    for (tag, begins) in [("nl", "Hallo Bob,"), ("de", "Hi Bob,")] {
        let templates = Templates::builder().with_text(tag, text).build().unwrap();
        assert!(
            write(&templates, &user("Bob", tag), PASS)
                .as_str()
                .starts_with(begins)
        );
        assert_eq!(write(&templates, &user("Eve", tag), PASS).as_str(), PASS);
    }
}

#[test]
fn invalid_options_are_refused() {
    refused(
        Templates::builder().with_tenant_name("a\u{7}b"),
        &["tenant"],
    );
    refused(Templates::builder().with_support("\u{f8ff}"), &["support"]);
    refused(Templates::builder().with_max_parts(0), &["parts"]);
    refused(Templates::builder().with_max_parts(256), &["parts"]);
    refused(
        Templates::builder().with_default_language("fr"),
        &["fr", "default"],
    );
    refused(
        Templates::builder().with_text("n l", "{{ pass }}"),
        &["\"n l\"", "language"],
    );
}

/// A folder that is removed with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = std::env::temp_dir().join(format!("postduif-{}", Guid::random()));
        fs::create_dir(&folder).unwrap();
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).unwrap();
        }
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_folder_has_one_template_per_file() {
    let folder = Folder::new(&[
        ("nl.txt", b"\xef\xbb\xbfCode: {{ pass }}\n"),
        ("pt-BR.txt", b"{{ pass }} ok\r\n"),
        ("README.md", b"no template"),
    ]);
    let templates = Templates::from_folder(&folder.0).unwrap();
    assert_eq!(
        templates.languages().collect::<Vec<_>>(),
        ["en", "nl", "pt-br"]
    );
    assert_eq!(
        write(&templates, &user("Anna", "nl"), PASS).as_str(),
        "Code: X7k+q2Rm"
    );
    assert_eq!(
        write(&templates, &user("Anna", "pt-br"), PASS).as_str(),
        "X7k+q2Rm ok"
    );
}

#[test]
fn an_invalid_folder_is_refused() {
    let long = [b'x'; 9000];
    for (files, said) in [
        (vec![], "contains no templates"),
        (vec![("README.md", &b"x"[..])], "contains no templates"),
        (vec![("n l.txt", &b"{{ pass }}"[..])], "language"),
        (vec![("nl.txt", &b"\xff {{ pass }}"[..])], "UTF-8"),
        (vec![("nl.txt", &long[..])], "bytes"),
        (
            vec![("nl.txt", &b"{{ pass }}"[..]), ("nl_.txt", b"x")],
            "language",
        ),
        (
            vec![
                ("nl-BE.txt", &b"{{ pass }}"[..]),
                ("nl_be.txt", b"{{ pass }}"),
            ],
            "twice",
        ),
    ] {
        let folder = Folder::new(&files);
        let error = Templates::from_folder(&folder.0).unwrap_err().to_string();
        assert!(error.contains(said), "{said:?} in {error:?}");
    }
    let error = Templates::from_folder("/nowhere/at/all").unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all"));
}

#[test]
fn debug_shows_no_text() {
    let templates = own("geheim {{ pass }}").build().unwrap();
    assert_eq!(
        format!("{templates:?}"),
        r#"Templates { languages: ["de", "en", "nl"], default: "nl", max_parts: 1, .. }"#
    );
}
