//! Runs `segments`: texts in, JSON out.

use std::{io::BufRead as _, process::ExitCode};

use clap::Parser;
use serde_json::{Value, json};

use super::{Output, Stop, output::print};

/// Counts texts, one a line: encoding, units, parts, and what is left in the last part.
///
/// Notes on stderr name the characters that make a text UCS-2. Positions are bytes of the text as it was given.
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
    /// No effect on the results, which are always JSON; leaves out the notes on stderr
    #[arg(long)]
    json: bool,
}

/// An operation on a text.
pub type Operation = fn(&str, Output) -> Value;

/// Parses the command line, and calls `count` for each text, or with `--transliterate` `transliterate`.
pub fn run(count: Operation, transliterate: Operation) -> ExitCode {
    super::run(async move |args: Args| {
        let output = Output::new(args.json);
        let operation = if args.transliterate {
            transliterate
        } else {
            count
        };
        if let Some(text) = &args.text {
            print(&operation(text, output));
            return Ok(());
        }
        let mut outcome = Ok(());
        for line in std::io::stdin().lock().lines() {
            match line {
                Ok(line) => print(&operation(&line, output)),
                Err(error) => {
                    print(&json!({"error": {"kind": "not_a_text", "message": error.to_string()}}));
                    outcome = Err(Stop::Failed);
                    if error.kind() != std::io::ErrorKind::InvalidData {
                        break;
                    }
                }
            }
        }
        outcome
    })
}
