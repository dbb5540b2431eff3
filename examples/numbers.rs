//! `printf 'NL\t06-1234 5678\n' | cargo run --example numbers`: what people write in directories, as numbers.

use std::{io::BufRead as _, process::ExitCode};

use clap::Parser;
use postduif::numbers::read;
use postduif_examples::{Stop, print_json, run};
use serde_json::json;

/// Reads lines of a region, a tab, and a phone number as a person wrote it.
///
/// The region is two letters of ISO 3166, such as NL. It may be empty: then the number must begin with a plus and
/// its country code. On stderr it says which ranges the metadata does not know. Exit 1 when a line holds no number.
#[derive(Parser)]
#[command(
    after_help = "Example: printf 'NL\\t06-1234 5678\\n\\t+31 (0)6 12345678\\n' | cargo run --example numbers"
)]
struct Args {
    /// No effect on the results, which are always JSON; writes nothing on stderr
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(numbers)
}

async fn numbers(args: Args) -> Result<(), Stop> {
    let mut outcome = Ok(());
    for (line, number) in std::io::stdin().lock().split(b'\n').zip(1_u64..) {
        let line = line.map_err(|error| Stop::config(error.to_string()))?;
        // What is not UTF-8 becomes a sign that no number has.
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        let columns = line.split_once('\t');
        let (region, written) = columns.unwrap_or(("", line));
        match read(written, Some(region)) {
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
                let form = match columns {
                    Some(_) => "",
                    None => "; a line is a region, a tab and a number, such as NL<TAB>06-1234 5678",
                };
                let message = format!("line {number}: {error}{form}");
                print_json(&json!({"error": {"kind": error.kind().as_str(), "message": message}}));
                outcome = Err(Stop::Failed);
            }
        }
    }
    outcome
}
