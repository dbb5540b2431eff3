//! Runs `numbers`: lines in, JSON out.

use std::{io::BufRead as _, process::ExitCode};

use clap::Parser;
use postduif::PhoneNumberError;
use serde_json::{Value, json};

use super::{Output, Stop, output::print};

/// Reads lines of a region, a tab, and a phone number as a person typed it.
///
/// The region is two letters of ISO 3166, such as NL. It may be empty if the number begins with a plus and its
/// country code. Notes on stderr name the ranges that the metadata does not know. Exit code 1 if a line has no number.
#[derive(Parser)]
#[command(
    after_help = "Example: printf 'NL\\t06-1234 5678\\n\\t+31 (0)6 12345678\\n' | cargo run --example numbers"
)]
struct Args {
    /// No effect on the results, which are always JSON; leaves out the notes on stderr
    #[arg(long)]
    json: bool,
}

/// Parses the command line and calls `number` with the region, the typed number and the output, for each line.
pub fn run(number: fn(&str, &str, Output) -> Result<Value, PhoneNumberError>) -> ExitCode {
    super::run(async move |args: Args| {
        let mut outcome = Ok(());
        for (line, index) in std::io::stdin().lock().split(b'\n').zip(1_u64..) {
            let line = line.map_err(|error| Stop::config(error.to_string()))?;
            // What is not UTF-8 becomes a character that no number has.
            let line = String::from_utf8_lossy(&line);
            let line = line.strip_suffix('\r').unwrap_or(&line);
            let columns = line.split_once('\t');
            let (region, typed) = columns.unwrap_or(("", line));
            let row = number(region, typed, Output::new(args.json)).unwrap_or_else(|error| {
                outcome = Err(Stop::Failed);
                let form = match columns {
                    Some(_) => "",
                    None => "; a line is a region, a tab and a number, such as NL<TAB>06-1234 5678",
                };
                let message = format!("line {index}: {error}{form}");
                json!({"error": {"kind": error.kind().as_str(), "message": message}})
            });
            print(&row);
        }
        outcome
    })
}
