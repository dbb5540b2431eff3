use postduif_sandbox::{CalloutKind, Cast};
use serde_json::{Value, json};

use super::row::{Row, config_error, row, rows};

/// The document of a flow in which one text was sent and accepted.
fn completed(provider: &str, attempts: u64, steps: &[&str]) -> Value {
    json!({
        "verdict": "completed", "reason": null, "provider": provider,
        "receipt": {"id": "<text>", "reference": "<reference>", "parts": null},
        "to": "+316•••••678",
        "pass": {"valid_until": "<time>", "one_time": true, "revoked": false},
        "resumed": true, "attempts": attempts, "steps": taken(steps),
    })
}

/// The document of a flow that ended before a pass was issued.
fn refused(reason: &str, steps: &[&str]) -> Value {
    json!({
        "verdict": "failed", "reason": reason, "provider": null, "receipt": null, "to": null, "pass": null,
        "resumed": true, "attempts": 0, "steps": taken(steps),
    })
}

fn taken(steps: &[&str]) -> Value {
    steps
        .iter()
        .map(|step| json!({"step": step, "ms": "<number>"}))
        .collect()
}

/// A lifecycle workflow's call-out whose subject is no user.
fn about_nobody(callout: &mut Value) {
    callout["data"]["subject"] = json!({});
}

const PLAIN: &[&str] = &["read_user", "guard", "issue_pass", "send", "resume"];

rows! {
    a_joiner_is_onboarded => Row {
        args: &["--json"],
        prints: Some(json!([completed("kpn", 1, PLAIN)])),
        ..row("onboarding")
    };
    any_vendor_of_the_sandbox_carries_the_pass => Row {
        args: &["--provider", "smstools", "--json"],
        prints: Some(json!([completed("smstools", 1, PLAIN)])),
        ..row("onboarding")
    };
    a_sandbox_that_runs_already_is_played_with => Row {
        args: &["--sandbox", "{sandbox}", "--json"],
        prints: Some(json!([completed("kpn", 1, PLAIN)])),
        texts: Some(json!([["kpn", "+31612345678", "<words>"]])),
        ..row("onboarding")
    };
    several_urls_are_a_failover => Row {
        args: &["--sandbox", "{sandbox}", "--sms-url", "{closed}", "--sms-url", "{smstools}", "--json"],
        prints: Some(json!([completed("smstools", 1, PLAIN)])),
        texts: Some(json!([["smstools", "+31612345678", "<words>"]])),
        ..row("onboarding")
    };
    a_text_in_doubt_is_followed_by_one_with_another_pass => Row {
        args: &["--fault", "kpn.send=lost_answer", "--json"],
        tells: &[r#""verdict":"completed""#, r#""attempts":2"#, r#""step":"revoke_pass""#],
        ..row("onboarding")
    };
    a_disabled_user_gets_no_pass => Row {
        args: &["--user", Cast::DISABLED, "--json"],
        exit: 1,
        prints: Some(json!([refused("user_disabled", &["read_user", "guard", "resume"])])),
        ..row("onboarding")
    };
    a_guest_gets_no_pass => Row {
        args: &["--user", Cast::GUEST, "--json"],
        exit: 1,
        tells: &[r#""reason":"user_guest""#, r#""pass":null"#],
        ..row("onboarding")
    };
    an_administrator_gets_no_pass => Row {
        args: &["--user", Cast::ADMINISTRATOR, "--json"],
        exit: 1,
        tells: &[r#""reason":"user_administrator""#, r#""pass":null"#],
        ..row("onboarding")
    };
    a_user_without_a_number_gets_no_pass => Row {
        args: &["--user", Cast::NO_MOBILE, "--json"],
        exit: 1,
        tells: &[r#""reason":"no_number""#, r#""pass":null"#],
        ..row("onboarding")
    };
    an_access_packages_call_out_is_told_by_its_shape => Row {
        args: &["--sandbox", "{sandbox}", "--callout", "{file}", "--json"],
        callout: Some((CalloutKind::AccessPackage, |_| {})),
        prints: Some(json!([completed("kpn", 1, PLAIN)])),
        texts: Some(json!([["kpn", "+31612345678", "<words>"]])),
        ..row("onboarding")
    };
    a_call_out_about_no_user_has_its_document => Row {
        args: &["--sandbox", "{sandbox}", "--callout", "{file}", "--json"],
        callout: Some((CalloutKind::Lifecycle, about_nobody)),
        exit: 1,
        prints: Some(json!([refused("user_not_found", &["resume"])])),
        texts: Some(json!([])),
        ..row("onboarding")
    };
    a_call_out_about_no_user_is_told_to_people => Row {
        args: &["--sandbox", "{sandbox}", "--callout", "{file}"],
        callout: Some((CalloutKind::Lifecycle, about_nobody)),
        exit: 1,
        tells: &["The verdict: failed, user not found"],
        ..row("onboarding")
    };
    the_catch_holds_for_the_flow => Row {
        args: &["--sandbox", "{sandbox}", "--only-to", "+32", "--json"],
        exit: 1,
        tells: &[r#""verdict":"failed""#, r#""revoked":true"#, r#""resumed":true"#],
        texts: Some(json!([])),
        ..row("onboarding")
    };
    people_read_the_story => Row {
        tells: &[
            "Entra calls about a new colleague", "read_user", "kpn has the text for +316•••••678",
            "What the phone shows", "What Entra heard: Completed (answered 204)",
        ],
        ..row("onboarding")
    };
    a_vendor_that_the_sandbox_lacks_is_a_configuration_error => Row {
        args: &["--provider", "pigeon", "--json"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("onboarding")
    };
    a_fault_that_does_not_exist_is_a_configuration_error => Row {
        args: &["--fault", "kpn.send=hiccup", "--json"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("onboarding")
    };
    a_call_out_that_cannot_be_read_is_a_configuration_error => Row {
        args: &["--callout", "no-such-file.json", "--json"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("onboarding")
    };
    a_real_tenant_needs_its_settings => Row {
        args: &["--live", "--sms-url", "{kpn}", "--user", Cast::JOINER, "--json"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("onboarding")
    };
    a_real_tenant_needs_a_vendor => Row {
        args: &["--live", "--user", Cast::JOINER, "--json"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("onboarding")
    };
}
