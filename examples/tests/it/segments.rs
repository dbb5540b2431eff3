use serde_json::json;

use super::row::{Row, row, rows};

rows! {
    a_long_text_is_two_parts => Row {
        args: &["--json", "--text", concat!(
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
            "0123456789012345678901234567890123456789012345678901234567890",
        )],
        prints: Some(json!([{"encoding": "gsm7", "units": 161, "parts": 2, "per_part": 153, "left": 145}])),
        ..row("segments")
    };
    an_extension_character_counts_two => Row {
        args: &["--json", "--text", "€"],
        prints: Some(json!([{"encoding": "gsm7", "units": 2, "parts": 1, "per_part": 160, "left": 158}])),
        ..row("segments")
    };
    an_emoji_makes_it_ucs2_and_counts_two => Row {
        args: &["--json", "--text", "a👋"],
        prints: Some(json!([{"encoding": "ucs2", "units": 3, "parts": 1, "per_part": 70, "left": 67}])),
        ..row("segments")
    };
    every_line_of_the_input_is_a_text => Row {
        args: &["--json"],
        input: "Hello\n\nç\n".as_bytes(),
        prints: Some(json!([
            {"encoding": "gsm7", "units": 5, "parts": 1, "per_part": 160, "left": 155},
            {"encoding": "gsm7", "units": 0, "parts": "<number>", "per_part": 160, "left": "<number>"},
            {"encoding": "ucs2", "units": 1, "parts": 1, "per_part": 70, "left": 69},
        ])),
        ..row("segments")
    };
    a_line_that_is_no_utf_8_is_an_error_and_no_abort => Row {
        args: &["--json"],
        input: b"\xff\nHello\n",
        exit: 1,
        prints: Some(json!([
            {"error": {"kind": "not_a_text", "message": "<words>"}},
            {"encoding": "gsm7", "units": 5, "parts": 1, "per_part": 160, "left": 155},
        ])),
        ..row("segments")
    };
    a_transliteration_lists_what_it_changed => Row {
        args: &["--json", "--transliterate", "--text", "Graças"],
        prints: Some(json!([{
            "encoding": "gsm7", "units": 6, "parts": 1, "per_part": 160, "left": 154,
            "text": "Gracas", "changed": [{"at": 3, "from": "ç", "to": "c"}],
        }])),
        ..row("segments")
    };
    people_are_told_what_forced_a_text_into_ucs2 => Row {
        args: &["--text", "aç"],
        prints: Some(json!([{"encoding": "ucs2", "units": 2, "parts": 1, "per_part": 70, "left": 68}])),
        complains: &["UCS-2 because of 'ç' at 1"],
        ..row("segments")
    };
}
