use serde_json::json;

use super::row::{Row, row, rows};

rows! {
    an_error_names_its_line => Row {
        args: &["--json"],
        input: b"NL\t06-1234 5678\nNL\tO6-12345678\n",
        exit: 1,
        tells: &["\"line 2: a phone number with a letter"],
        ..row("numbers")
    };
    a_line_without_a_tab_is_told_what_a_line_looks_like => Row {
        args: &["--json"],
        input: b"0612345678\n",
        exit: 1,
        tells: &["\"line 1: a phone number without a plus or a region", "such as NL<TAB>06-1234 5678"],
        ..row("numbers")
    };
    each_mistake_of_an_editor_has_a_kind_of_its_own => Row {
        args: &["--json"],
        input: b"Nederland\t0612345678\nNL\t\nDE\t1713920012.0\nNL\t3,16E+10\n",
        exit: 1,
        prints: Some(json!([
            {"error": {"kind": "unknown_region", "message": "<words>"}},
            {"error": {"kind": "empty", "message": "<words>"}},
            {"error": {"kind": "quantity", "message": "<words>"}},
            {"error": {"kind": "quantity", "message": "<words>"}},
        ])),
        ..row("numbers")
    };
    a_number_as_people_write_it_becomes_e164 => Row {
        args: &["--json"],
        input: b"NL\t06-1234 5678\n\t+31 (0)6 12345678\n",
        prints: Some(json!([
            {"e164": "+31612345678", "region": "NL", "masked": "+316•••••678", "known": true},
            {"e164": "+31612345678", "region": "NL", "masked": "+316•••••678", "known": true},
        ])),
        ..row("numbers")
    };
    a_line_without_a_number_is_an_error_and_no_abort => Row {
        args: &["--json"],
        input: b"NL\tcall me\n\t0612345678\nNL\t06-12345678 / 020-1234567\nNL\t06-1234 5678\n",
        exit: 1,
        prints: Some(json!([
            {"error": {"kind": "not_a_number", "message": "<words>"}},
            {"error": {"kind": "no_region", "message": "<words>"}},
            {"error": {"kind": "two_numbers", "message": "<words>"}},
            {"e164": "+31612345678", "region": "NL", "masked": "+316•••••678", "known": true},
        ])),
        ..row("numbers")
    };
}
