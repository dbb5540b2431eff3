use serde_json::{Value, json};

use super::row::{Row, config_error, failed, row, rows};

fn accepted(line: u64) -> Value {
    json!({
        "accepted": true, "provider": "cm", "id": null, "reference": "<reference>", "parts": 1, "price": null,
        "line": line,
    })
}

fn refused(line: u64, error: &Value) -> Value {
    let mut row = failed(error);
    row["line"] = line.into();
    row
}

fn malformed(line: u64, kind: &str) -> Value {
    refused(
        line,
        &json!({"kind": kind, "provider": null, "may_reroute": "<flag>"}),
    )
}

rows! {
    every_line_has_a_result_in_order => Row {
        args: &["--url", "{cm}", "--json"],
        input: b"+31612345678\tOne\n+31687654321\tTwo\n+31612345679\tThree\n",
        prints: Some(json!([accepted(1), accepted(2), accepted(3)])),
        texts: Some(json!([
            ["cm", "+31612345678", "One"], ["cm", "+31687654321", "Two"], ["cm", "+31612345679", "Three"],
        ])),
        ..row("bulk")
    };
    without_a_vendor_it_goes_to_the_sandboxs_cm => Row {
        input: b"+31612345678\tHello\n",
        prints: Some(json!([accepted(1)])),
        ..row("bulk")
    };
    a_malformed_line_is_an_error_line_and_no_abort => Row {
        args: &["--url", "{cm}", "--json"],
        input: b"+31612345678\tOne\nno tab in here\n0612345678\tTwo\n+31612345679\t\n\xff\xfe\n+31612345679\tThree\n",
        exit: 1,
        prints: Some(json!([
            accepted(1), malformed(2, "other"), malformed(3, "invalid_recipient"), malformed(4, "invalid_text"),
            malformed(5, "other"), accepted(6),
        ])),
        texts: Some(json!([["cm", "+31612345678", "One"], ["cm", "+31612345679", "Three"]])),
        ..row("bulk")
    };
    lines_may_come_from_a_file => Row {
        args: &["--url", "{cm}", "{file}"],
        file: Some(b"+31612345678\tHello".to_vec()),
        prints: Some(json!([accepted(1)])),
        texts: Some(json!([["cm", "+31612345678", "Hello"]])),
        ..row("bulk")
    };
    no_line_is_no_result => Row {
        args: &["--url", "{cm}"],
        prints: Some(json!([])),
        texts: Some(json!([])),
        ..row("bulk")
    };
    a_call_in_doubt_is_told_for_each_line_of_it => Row {
        args: &["--url", "{cm}", "--json"],
        input: b"+31612345678\tHello\n",
        faults: &["cm.send=lost_answer"],
        exit: 1,
        prints: Some(json!([refused(1, &json!({
            "kind": "unavailable", "acceptance": "unknown", "provider": "cm", "may_reroute": false,
        }))])),
        texts: Some(json!([["cm", "+31612345678", "Hello"]])),
        ..row("bulk")
    };
    a_text_that_certainly_did_not_leave_goes_to_the_next_vendor => Row {
        args: &["--url", "{closed}", "--url", "{cm}", "--json"],
        input: b"+31612345678\tHello\n",
        prints: Some(json!([accepted(1)])),
        texts: Some(json!([["cm", "+31612345678", "Hello"]])),
        ..row("bulk")
    };
    the_catch_holds_for_every_line => Row {
        args: &["--url", "{cm}", "--only-to", "+316", "--json"],
        input: b"+31612345678\tHello\n+32470123456\tHello\n",
        exit: 1,
        prints: Some(json!([
            accepted(1), refused(2, &json!({"kind": "blocked", "may_reroute": false})),
        ])),
        texts: Some(json!([["cm", "+31612345678", "Hello"]])),
        ..row("bulk")
    };
    a_missing_file_is_a_configuration_error => Row {
        args: &["--url", "{cm}", "--json", "no-such-file.tsv"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("bulk")
    };
    a_rate_of_nothing_is_a_configuration_error => Row {
        args: &["--rate", "0", "--json"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("bulk")
    };
}
