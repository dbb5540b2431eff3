//! Wrong use and wrong configuration.

use crate::service::command;

/// Returns the exit code and what is on stderr.
fn run(options: &[&str]) -> (Option<i32>, String) {
    let output = command(options)
        .args(["--listen", "127.0.0.1:0"])
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn help_names_every_option_and_an_example() {
    let output = command(&["--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for option in [
        "--listen",
        "--store",
        "--event-url",
        "--event-secret",
        "--keep-flows",
        "--keep-audit",
        "--sms-url",
        "--sandbox",
        "--audience",
        "--caller",
        "--catalog",
        "--stage",
        "--request-type",
        "--public-url",
        "--report-secret",
        "--path-secret",
        "--workers",
        "--window",
        "--complete-on",
        "--only-to",
        "--redirect-to",
    ] {
        assert!(help.contains(option), "{option}");
        let variable = format!("POSTDUIF_{}", option[2..].to_uppercase().replace('-', "_"));
        assert!(help.contains(&variable), "{variable}");
    }
    assert!(help.contains("Example"));
}

#[test]
fn a_wrong_configuration_is_exit_code_2_and_says_what_to_do() {
    let tenant = [
        ("ENTRA_TENANT_ID", "contoso.onmicrosoft.com"),
        ("ENTRA_CLIENT_ID", "id"),
        ("ENTRA_CLIENT_SECRET", "hush"),
    ];
    let kpn = "kpn://id:hush@default?sender=Contoso";
    let cm = "cm://hush@default?sender=Contoso";
    let cases: [(&[&str], &str); 15] = [
        (&["--sms-url", kpn], "with --audience"),
        (
            &["--sms-url", kpn, "--audience", "api://x"],
            "with --caller",
        ),
        (&["--audience", "api://x"], "no vendor: give --sms-url"),
        (
            &["--sms-url", kpn, "--complete-on", "delivered"],
            "needs delivery reports",
        ),
        (
            &["--sms-url", kpn, "--report-secret", "kpn=hush-hush"],
            "both --report-secret and --path-secret",
        ),
        (
            &[
                "--sms-url",
                kpn,
                "--report-secret",
                "kpn=hush-hush",
                "--path-secret",
                "kpn=0123456789abcdef",
            ],
            "need --public-url",
        ),
        (
            &["--sms-url", kpn, "--report-secret", "hush"],
            "expected VENDOR=SECRET",
        ),
        (
            &["--sms-url", kpn, "--window", "PT4H"],
            "expected a duration such as PT30M",
        ),
        // As an unquoted variable with two values becomes.
        (
            &["--sms-url", kpn, cm],
            "neither a command nor behind its option",
        ),
        (
            &["--path-secret", "kpn=hush-hush", "cm=hush-hush"],
            "neither a command nor behind its option",
        ),
        (
            &["--sms-url", kpn, "--region", "UK"],
            "expected a region of ISO 3166",
        ),
        (
            &["--sms-url", kpn, "--public-url", "hooks.example.com"],
            "--public-url: expected https://HOST",
        ),
        (&["--sms-url", kpn, "--only-to", ""], "no value is given"),
        (
            &[
                "--sms-url",
                kpn,
                "--sms-url",
                cm,
                "--public-url",
                "https://hooks.example.com",
                "--path-secret",
                "cm=0123456789abcdef",
                "--complete-on",
                "delivered",
            ],
            "and kpn has no route",
        ),
        (
            &[
                "--sms-url",
                "vonage://a:hush@default?api=sms",
                "--sms-url",
                "vonage://b:hush@default",
            ],
            "different api",
        ),
    ];
    for (options, expected) in cases {
        let output = command(options)
            .args(["--listen", "127.0.0.1:0"])
            .envs(tenant)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}: {stderr}");
        assert!(stderr.contains(expected), "{options:?}: {stderr}");
        assert!(
            !stderr.contains("hush-hush") && !stderr.contains(":hush"),
            "{stderr}"
        );
    }
}

#[test]
fn several_values_of_a_variable_are_separated_by_any_white_space() {
    let urls = "\n  kpn://id:hush@default?sender=Contoso\n  cm://hush@default?sender=Contoso\n";
    let output = command(&["--listen", "127.0.0.1:0"])
        .envs([
            ("ENTRA_TENANT_ID", "contoso.onmicrosoft.com"),
            ("ENTRA_CLIENT_ID", "id"),
            ("ENTRA_CLIENT_SECRET", "hush"),
            ("POSTDUIF_SMS_URL", urls),
        ])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("no audience"), "{stderr}");
}

#[test]
fn without_a_tenant_the_missing_variable_is_named() {
    let (code, stderr) = run(&[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("ENTRA_TENANT_ID is not set"), "{stderr}");
    let (code, stderr) = run(&["--sandbox", "http://127.0.0.1:9"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("no sandbox responds there"), "{stderr}");
}
