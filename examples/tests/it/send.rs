use serde_json::{Value, json};

use super::row::{Row, config_error, failed, row, rows};

fn accepted(provider: &str) -> Value {
    json!({
        "accepted": true, "provider": provider, "id": "<text>", "reference": "<reference>",
        "parts": null, "price": null,
    })
}

rows! {
    without_a_vendor_it_goes_to_the_sandboxs_kpn => Row {
        args: &["--to", "+31612345678", "--text", "Hello", "--json"],
        prints: Some(json!([accepted("kpn")])),
        ..row("send")
    };
    an_accepted_text_is_told_with_its_reference => Row {
        args: &["--url", "{kpn}", "--to", "+31612345678", "--text", "Hello", "--reference", "abc123", "--json"],
        prints: Some(json!([{
            "accepted": true, "provider": "kpn", "id": "<text>", "reference": "abc123", "parts": null, "price": null,
        }])),
        texts: Some(json!([["kpn", "+31612345678", "Hello"]])),
        ..row("send")
    };
    a_vendor_without_ids_has_a_null_for_it => Row {
        args: &["--url", "{cm}", "--to", "+31612345678", "--text", "Hello", "--json"],
        prints: Some(json!([{
            "accepted": true, "provider": "cm", "id": null, "reference": "<reference>", "parts": 1, "price": null,
        }])),
        texts: Some(json!([["cm", "+31612345678", "Hello"]])),
        ..row("send")
    };
    a_price_is_an_amount_and_a_currency => Row {
        args: &["--url", "{vonage}&api=sms", "--to", "+31612345678", "--text", "Hello", "--json"],
        prints: Some(json!([{
            "accepted": true, "provider": "vonage", "id": "<text>", "reference": "<reference>", "parts": 1,
            "price": {"amount": "<text>", "currency": "EUR"},
        }])),
        ..row("send")
    };
    people_read_a_sentence_without_the_whole_number => Row {
        args: &["--url", "{kpn}", "--to", "+31612345678", "--text", "Hello"],
        tells: &["accepted: kpn has the text for +316•••••678"],
        ..row("send")
    };
    the_vendor_may_stand_in_the_environment => Row {
        args: &["--to", "+31612345678", "--text", "Hello", "--json"],
        sms_url: Some("{smstools}"),
        prints: Some(json!([accepted("smstools")])),
        texts: Some(json!([["smstools", "+31612345678", "Hello"]])),
        ..row("send")
    };
    a_refusal_has_its_kind_and_code => Row {
        args: &["--url", "{cm}", "--to", "+31612345678", "--text", "Hello", "--json"],
        faults: &["cm.send=bad_number"],
        exit: 1,
        prints: Some(json!([failed(&json!({
            "kind": "invalid_recipient", "provider": "cm", "code": "303", "may_reroute": false,
        }))])),
        texts: Some(json!([])),
        ..row("send")
    };
    a_throttled_text_has_the_vendors_wait => Row {
        args: &["--url", "{messagebird}", "--to", "+31612345678", "--text", "Hello", "--json"],
        faults: &["messagebird.send=throttle"],
        exit: 1,
        prints: Some(json!([failed(&json!({
            "kind": "throttled", "provider": "messagebird", "code": "<text>", "retry_after_ms": "<number>",
            "may_resend": true,
        }))])),
        texts: Some(json!([])),
        ..row("send")
    };
    a_lost_answer_is_unknown_and_not_to_be_sent_again => Row {
        args: &["--url", "{kpn}", "--to", "+31612345678", "--text", "Hello", "--json"],
        faults: &["kpn.send=lost_answer"],
        exit: 1,
        prints: Some(json!([failed(&json!({
            "kind": "unavailable", "acceptance": "unknown", "provider": "kpn", "may_reroute": false,
        }))])),
        texts: Some(json!([["kpn", "+31612345678", "Hello"]])),
        ..row("send")
    };
    a_deadline_that_passes_is_unknown => Row {
        args: &[
            "--url", "{kpn}", "--to", "+31612345678", "--text", "Hello", "--timeout", "2s", "--json",
        ],
        faults: &["kpn.send=stall"],
        exit: 1,
        prints: Some(json!([failed(&json!({
            "kind": "timeout", "acceptance": "unknown", "provider": "kpn", "may_reroute": false,
        }))])),
        ..row("send")
    };
    people_are_told_not_to_send_a_doubt_again => Row {
        args: &["--url", "{kpn}", "--to", "+31612345678", "--text", "Hello"],
        faults: &["kpn.send=lost_answer"],
        exit: 1,
        tells: &["in doubt: ", "do not send it again"],
        ..row("send")
    };
    what_was_certainly_not_sent_goes_to_the_next_vendor => Row {
        args: &[
            "--url", "{kpn}", "--url", "{cm}", "--to", "+31612345678", "--text", "Hello", "--reference", "abc123",
            "--json",
        ],
        faults: &["kpn.send=throttle"],
        prints: Some(json!([{
            "accepted": true, "provider": "cm", "id": null, "reference": "abc123", "parts": 1, "price": null,
        }])),
        texts: Some(json!([["cm", "+31612345678", "Hello"]])),
        ..row("send")
    };
    a_vendor_where_nobody_listens_is_passed_over => Row {
        args: &["--url", "{closed}", "--url", "{cm}", "--to", "+31612345678", "--text", "Hello", "--json"],
        prints: Some(json!([{
            "accepted": true, "provider": "cm", "id": null, "reference": "<reference>", "parts": 1, "price": null,
        }])),
        texts: Some(json!([["cm", "+31612345678", "Hello"]])),
        ..row("send")
    };
    a_doubt_goes_to_no_other_vendor => Row {
        args: &["--url", "{kpn}", "--url", "{cm}", "--to", "+31612345678", "--text", "Hello", "--json"],
        faults: &["kpn.send=lost_answer"],
        exit: 1,
        prints: Some(json!([failed(&json!({
            "kind": "unavailable", "acceptance": "unknown", "provider": "kpn", "may_reroute": false,
        }))])),
        texts: Some(json!([["kpn", "+31612345678", "Hello"]])),
        ..row("send")
    };
    each_vendor_is_tried_once_at_most => Row {
        args: &["--url", "{kpn}", "--to", "+31612345678", "--text", "Hello", "--json"],
        faults: &["kpn.send=throttle*1"],
        exit: 1,
        prints: Some(json!([failed(&json!({
            "kind": "throttled", "provider": "kpn", "code": "<text>", "retry_after_ms": "<number>",
            "may_resend": true,
        }))])),
        texts: Some(json!([])),
        ..row("send")
    };
    a_validity_period_travels => Row {
        args: &[
            "--url", "{kpn}", "--to", "+31612345678", "--text", "Hello", "--validity", "30m", "--sender", "Contoso",
            "--json",
        ],
        prints: Some(json!([accepted("kpn")])),
        ..row("send")
    };
    a_time_that_the_vendor_cannot_keep_is_refused_before_any_call => Row {
        args: &[
            "--url", "{kpn}", "--to", "+31612345678", "--text", "Hello", "--at", "2099-01-01T00:00:00Z", "--json",
        ],
        exit: 1,
        prints: Some(json!([failed(&json!({"kind": "unsupported", "provider": "kpn"}))])),
        texts: Some(json!([])),
        ..row("send")
    };

    a_time_in_words_is_told_which_form_is_right => Row {
        args: &["--url", "{kpn}", "--to", "+31612345678", "--text", "Hello", "--at", "tomorrow"],
        exit: 2,
        complains: &["--at", "RFC 3339, such as 2026-12-31T09:00:00Z"],
        texts: Some(json!([])),
        ..row("send")
    };
    a_number_without_a_country_code_is_told_what_to_write => Row {
        args: &["--url", "{kpn}", "--to", "0612345678", "--text", "Hello"],
        exit: 2,
        complains: &["write a plus and the country code\n"],
        texts: Some(json!([])),
        ..row("send")
    };

    only_to_refuses_every_other_number => Row {
        args: &[
            "--url", "{kpn}", "--only-to", "+32", "--to", "+31612345678", "--text", "Hello", "--json",
        ],
        exit: 1,
        prints: Some(json!([failed(&json!({"kind": "blocked", "may_reroute": false}))])),
        texts: Some(json!([])),
        ..row("send")
    };
    only_to_lets_a_named_number_through => Row {
        args: &[
            "--url", "{kpn}", "--only-to", "+32", "--only-to", "+31612345678", "--to", "+31612345678", "--text",
            "Hello", "--json",
        ],
        prints: Some(json!([accepted("kpn")])),
        texts: Some(json!([["kpn", "+31612345678", "Hello"]])),
        ..row("send")
    };
    redirect_to_sends_elsewhere_with_the_masked_original_in_front => Row {
        args: &[
            "--url", "{kpn}", "--redirect-to", "+31687654321", "--to", "+31612345678", "--text", "Hello", "--json",
        ],
        prints: Some(json!([accepted("kpn")])),
        texts: Some(json!([["kpn", "+31687654321", "…Hello"]])),
        ..row("send")
    };
    only_to_judges_where_the_text_would_really_go => Row {
        args: &[
            "--url", "{kpn}", "--redirect-to", "+31687654321", "--only-to", "+31612345678", "--to", "+31612345678",
            "--text", "Hello", "--json",
        ],
        exit: 1,
        prints: Some(json!([failed(&json!({"kind": "blocked", "may_reroute": false}))])),
        texts: Some(json!([])),
        ..row("send")
    };

    a_dry_run_counts_and_sends_nothing => Row {
        args: &[
            "--url", "{kpn}", "--to", "+31612345678", "--text", "Hello", "--reference", "abc123", "--dry-run", "--json",
        ],
        prints: Some(json!([{
            "dry_run": true, "provider": "kpn", "to": "+316•••••678", "encoding": "gsm7", "parts": 1,
            "reference": "abc123",
        }])),
        texts: Some(json!([])),
        ..row("send")
    };
    a_dry_run_tells_what_a_text_costs => Row {
        args: &["--url", "{cm}", "--to", "+31612345678", "--text", "Hello 👋", "--dry-run", "--json"],
        prints: Some(json!([{
            "dry_run": true, "provider": "cm", "to": "+316•••••678", "encoding": "ucs2", "parts": 1,
            "reference": "<reference>",
        }])),
        texts: Some(json!([])),
        ..row("send")
    };
    a_dry_run_in_words => Row {
        args: &["--url", "{kpn}", "--to", "+31612345678", "--text", "Hello", "--dry-run"],
        tells: &["nothing was sent", "+316•••••678"],
        ..row("send")
    };
    a_dry_run_refuses_what_a_send_would_refuse => Row {
        args: &[
            "--url", "{kpn}", "--to", "+31612345678", "--text", "Hello", "--at", "2099-01-01T00:00:00Z", "--dry-run",
            "--json",
        ],
        exit: 1,
        prints: Some(json!([failed(&json!({"kind": "unsupported", "provider": "kpn"}))])),
        texts: Some(json!([])),
        ..row("send")
    };
    a_dry_run_heeds_the_catch => Row {
        args: &[
            "--url", "{kpn}", "--only-to", "+32", "--to", "+31612345678", "--text", "Hello", "--dry-run", "--json",
        ],
        exit: 1,
        prints: Some(json!([failed(&json!({"kind": "blocked", "may_reroute": false}))])),
        texts: Some(json!([])),
        ..row("send")
    };
    a_dry_run_is_redirected_too => Row {
        args: &[
            "--url", "{kpn}", "--redirect-to", "+31687654321", "--to", "+31612345678", "--text", "Hello", "--dry-run",
            "--json",
        ],
        prints: Some(json!([{
            "dry_run": true, "provider": "kpn", "to": "+316•••••321", "encoding": "<text>", "parts": 1,
            "reference": "<reference>",
        }])),
        texts: Some(json!([])),
        ..row("send")
    };

    a_check_tells_good_credentials => Row {
        args: &["--url", "{kpn}", "--check", "--json"],
        prints: Some(json!([{"provider": "kpn", "verified": true, "balance": null}])),
        texts: Some(json!([])),
        ..row("send")
    };
    a_check_tells_a_balance_where_the_vendor_has_one => Row {
        args: &["--url", "{vonage}", "--check", "--json"],
        prints: Some(json!([{
            "provider": "vonage", "verified": true, "balance": {"amount": "<text>", "currency": "EUR"},
        }])),
        ..row("send")
    };
    a_check_of_several_has_a_line_for_each => Row {
        args: &["--url", "{kpn}", "--url", "{smstools}", "--check", "--json"],
        prints: Some(json!([
            {"provider": "kpn", "verified": true, "balance": null},
            {"provider": "smstools", "verified": true, "balance": {"amount": "<text>", "currency": "EUR"}},
        ])),
        ..row("send")
    };
    a_check_with_refused_credentials_fails => Row {
        args: &["--url", "{kpn}", "--check", "--json"],
        faults: &["kpn.token=unauthorized"],
        exit: 1,
        prints: Some(json!([{
            "provider": "kpn", "verified": false, "balance": null,
            "error": failed(&json!({
                "kind": "unauthorized", "code": "<text>", "provider": "kpn",
            }))["error"],
        }])),
        ..row("send")
    };

    a_send_needs_a_recipient => Row {
        args: &["--text", "Hello", "--json"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("send")
    };
    a_number_in_a_national_form_is_a_configuration_error => Row {
        args: &["--to", "0612345678", "--text", "Hello", "--json"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("send")
    };
    a_scheme_that_no_vendor_has_is_a_configuration_error => Row {
        args: &["--url", "pigeon://hunter2@default", "--to", "+31612345678", "--text", "Hello", "--json"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("send")
    };
    an_unknown_option_of_a_url_is_a_configuration_error => Row {
        args: &["--url", "{kpn}&sendr=Contoso", "--to", "+31612345678", "--text", "Hello", "--json"],
        exit: 2,
        prints: Some(json!([config_error()])),
        texts: Some(json!([])),
        ..row("send")
    };
    a_duration_without_a_unit_is_a_configuration_error => Row {
        args: &["--to", "+31612345678", "--text", "Hello", "--validity", "30", "--json"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("send")
    };
    a_dry_run_and_a_check_exclude_each_other => Row {
        args: &["--to", "+31612345678", "--text", "Hello", "--dry-run", "--check", "--json"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("send")
    };
    an_unknown_argument_is_a_configuration_error => Row {
        args: &["--too", "+31612345678", "--json"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("send")
    };
    a_configuration_error_without_json_is_on_stderr => Row {
        args: &["--url", "pigeon://hunter2@default", "--to", "+31612345678", "--text", "Hello"],
        exit: 2,
        prints: Some(json!([])),
        complains: &["error: ", "kpn://"],
        ..row("send")
    };
}
