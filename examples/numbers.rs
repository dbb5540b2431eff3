//! `printf 'NL\t06-1234 5678\n' | cargo run --example numbers`: phone numbers as people type them, in E.164.

use std::process::ExitCode;

use postduif::{PhoneNumberError, numbers::read};
use postduif_examples::cli::{self, Output};
use serde_json::{Value, json};

fn main() -> ExitCode {
    cli::numbers::run(number)
}

/// Reads a phone number as people in a region, such as `NL`, type it.
fn number(region: &str, typed: &str, output: Output) -> Result<Value, PhoneNumberError> {
    let reading = read(typed, Some(region))?;
    // Safe to log: the first and last digits only.
    let masked = reading.number().masked().to_string();
    if !reading.is_known() {
        // A new range, or a typing error.
        output.note(format!("{masked}: the metadata does not know this range"));
    }
    Ok(json!({
        "e164": reading.number(),
        "region": reading.region(),
        "masked": masked,
        "known": reading.is_known(),
    }))
}
