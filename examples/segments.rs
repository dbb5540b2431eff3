//! `cargo run --example segments -- --text "Graças, €5…" --transliterate`: what a text costs, before it is sent.

use std::process::ExitCode;

use postduif::text::{Change, Count, Preview, Transliteration};
use postduif_examples::cli::{self, Output};
use serde_json::{Value, json};

fn main() -> ExitCode {
    cli::segments::run(count, transliterate)
}

/// Counts a text as it is.
fn count(text: &str, output: Output) -> Value {
    let preview = Preview::of(text);
    // One such character more than halves what fits into a part.
    for (at, char) in preview.forced_by() {
        output.note(format!("UCS-2 because of {char:?} at {at}"));
    }
    row(preview.count())
}

/// Rewrites a text to fit GSM 03.38, and counts the result.
fn transliterate(text: &str, output: Output) -> Value {
    let rewritten = Transliteration::of(text);
    for (at, char) in rewritten.left() {
        output.note(format!("UCS-2 because of {char:?} at {at}"));
    }
    let change =
        |change: &Change<'_>| json!({"at": change.at(), "from": change.from(), "to": change.to()});
    let mut row = row(Count::of(rewritten.text()));
    row["text"] = rewritten.text().into();
    row["changed"] = rewritten.changes().iter().map(change).collect();
    row
}

fn row(count: Count) -> Value {
    json!({
        "encoding": count.encoding().as_str(),
        "units": count.units(),
        "parts": count.parts(),
        "per_part": count.per_part(),
        "left": count.left(),
    })
}
