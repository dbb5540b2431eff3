//! `cargo run --example segments -- --text "Graças, €5…" --transliterate`: what a text costs, and what would make it cheaper.

use std::{io::BufRead as _, process::ExitCode};

use clap::Parser;
use postduif::text::{Preview, Transliteration};
use postduif_examples::{Stop, print_json, run};
use serde_json::{Value, json};

/// Counts texts, one a line: encoding, units, parts, and what is left in the last part.
///
/// On stderr it says which characters forced a text into UCS-2. Positions are bytes of the text as it was given.
#[derive(Parser)]
#[command(
    after_help = "Example: cargo run --example segments -- --text 'Graças, €5…' --transliterate"
)]
struct Args {
    /// The text. Defaults to the lines of standard input
    #[arg(long)]
    text: Option<String>,
    /// Rewrite the text to fit GSM 03.38 first, and list each change
    #[arg(long)]
    transliterate: bool,
    /// No effect on the results, which are always JSON; writes nothing on stderr
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(segments)
}

async fn segments(args: Args) -> Result<(), Stop> {
    if let Some(text) = &args.text {
        count(text, &args);
        return Ok(());
    }
    let mut outcome = Ok(());
    for line in std::io::stdin().lock().lines() {
        match line {
            Ok(line) => count(&line, &args),
            Err(error) => {
                print_json(&json!({"error": {"kind": "not_a_text", "message": error.to_string()}}));
                outcome = Err(Stop::Failed);
                if error.kind() != std::io::ErrorKind::InvalidData {
                    break;
                }
            }
        }
    }
    outcome
}

fn count(text: &str, args: &Args) {
    let said = args.transliterate.then(|| Transliteration::of(text));
    let preview = Preview::of(said.as_ref().map_or(text, Transliteration::text));
    let count = preview.count();
    let mut row = json!({
        "encoding": count.encoding().as_str(),
        "units": count.units(),
        "parts": count.parts(),
        "per_part": count.per_part(),
        "left": count.left(),
    });
    if let Some(said) = &said {
        row["text"] = said.text().into();
        row["changed"] = said
            .changes()
            .iter()
            .map(|change| json!({"at": change.at(), "from": change.from(), "to": change.to()}))
            .collect::<Vec<Value>>()
            .into();
    }
    print_json(&row);
    if !args.json {
        match &said {
            Some(said) => tell(said.left().iter().copied()),
            None => tell(preview.forced_by()),
        }
    }
}

fn tell(forced_by: impl Iterator<Item = (usize, char)>) {
    for (at, char) in forced_by {
        eprintln!("UCS-2 because of {char:?} at {at}");
    }
}
