use std::process::ExitCode;

use postduif::{Price, Receipt, SendError};
use serde_json::{Value, json};

use super::Stop;

/// The form of the output: lines for people, or JSON.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Output {
    json: bool,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(super) const fn is_json(self) -> bool {
        self.json
    }

    /// Writes a line for people on stdout. Writes nothing with `--json`.
    #[expect(clippy::print_stdout, reason = "results belong on stdout")]
    pub fn line(self, line: impl AsRef<str>) {
        if !self.json {
            println!("{}", line.as_ref());
        }
    }

    /// Writes a line for people on stderr. Writes nothing with `--json`.
    pub fn note(self, line: impl AsRef<str>) {
        if !self.json {
            eprintln!("{}", line.as_ref());
        }
    }

    /// Writes the outcome of a send: its JSON, or a sentence for people.
    ///
    /// # Errors
    ///
    /// Returns [`Stop::Failed`] if the message was not accepted, or may not have been.
    pub fn outcome(
        self,
        outcome: &Result<Receipt, SendError>,
        sentence: impl AsRef<str>,
    ) -> Result<(), Stop> {
        if self.json {
            print(&outcome_json(outcome));
        }
        self.line(sentence);
        match outcome {
            Ok(_) => Ok(()),
            Err(_) => Err(Stop::Failed),
        }
    }

    pub(super) fn config_error(self, message: &str) -> ExitCode {
        if self.json {
            print(&json!({"error": {"kind": "config", "message": message}}));
        } else {
            eprintln!("error: {message}");
        }
        ExitCode::from(2)
    }
}

/// Writes a JSON document as a line of its own on stdout.
#[expect(clippy::print_stdout, reason = "results belong on stdout")]
pub(super) fn print(document: &Value) {
    println!("{document}");
}

pub(super) fn outcome_json(outcome: &Result<Receipt, SendError>) -> Value {
    match outcome {
        Ok(receipt) => json!({
            "accepted": true,
            "provider": receipt.provider(),
            "id": receipt.id(),
            "reference": receipt.reference(),
            "parts": receipt.parts(),
            "price": receipt.price().map(price_json),
        }),
        Err(error) => json!({"accepted": false, "error": error_json(error)}),
    }
}

pub(super) fn error_json(error: &SendError) -> Value {
    let mut fields = json!(error);
    // The output has a fixed form, without the earlier attempts.
    fields
        .as_object_mut()
        .and_then(|fields| fields.remove("attempts"));
    fields
}

pub(super) fn price_json(price: Price) -> Value {
    json!({"amount": price.amount(), "currency": price.currency()})
}
