//! `printf 'NL\t06-1234 5678\n' | cargo run --example numbers`: what people write in directories, as numbers.

use std::{io::BufRead as _, process::ExitCode};

use clap::Parser;
use postduif::numbers::read;
use postduif_examples::{Stop, print_json, run};
use serde_json::json;

/// Reads lines of a region, a tab, and a phone number as a person wrote it.
///
/// The region (NL, BE, …) may be empty: then the number must name its country. On stderr it says which ranges the
/// metadata does not know. Exit 1 where a line holds no number.
#[derive(Parser)]
#[command(
    after_help = "Example: printf 'NL\\t06-1234 5678\\n\\t+31 (0)6 12345678\\n' | cargo run --example numbers"
)]
struct Args {
    /// Results are JSON anyway; says nothing on stderr
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(numbers)
}

async fn numbers(args: Args) -> Result<(), Stop> {
    let mut outcome = Ok(());
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line.map_err(|error| Stop::config(error.to_string()))?;
        // What is not UTF-8 becomes a sign that no number has.
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        let (region, written) = line.split_once('\t').unwrap_or(("", line));
        let region = Some(region.trim()).filter(|region| !region.is_empty());
        match read(written, region) {
            Ok(reading) => {
                let masked = reading.number().masked().to_string();
                if !reading.is_known() && !args.json {
                    eprintln!("{masked}: the metadata does not know this range");
                }
                print_json(&json!({
                    "e164": reading.number().to_string(),
                    "region": reading.region(),
                    "masked": masked,
                    "known": reading.is_known(),
                }));
            }
            Err(error) => {
                print_json(
                    &json!({"error": {"kind": error.kind().as_str(), "message": error.to_string()}}),
                );
                outcome = Err(Stop::Failed);
            }
        }
    }
    outcome
}
