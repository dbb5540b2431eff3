//! What the examples share: their command line, their output and their exit codes.
//!
//! With `--json` the results go to stdout, one JSON document a line, and nothing else does. Stories and logs
//! go to stderr. Exit 0: done; 1: what was asked for failed; 2: wrong use or configuration.

use std::{io::IsTerminal as _, process::ExitCode, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use clap::{
    Parser,
    error::{ContextKind, ErrorKind},
};
use postduif::{
    Acceptance, ConfigError, PhoneNumber, Price, Receipt, SendError, SmsProvider,
    layers::{OnlyTo, Prefix, RedirectTo},
};
use serde_json::{Value, json};

/// The vendors that the examples were built with.
pub const VENDORS: &[&str] = &[
    #[cfg(feature = "kpn")]
    "kpn",
    #[cfg(feature = "cm")]
    "cm",
    #[cfg(feature = "messagebird")]
    "messagebird",
    #[cfg(feature = "smstools")]
    "smstools",
    #[cfg(feature = "spryng")]
    "spryng",
    #[cfg(feature = "vonage")]
    "vonage",
];

/// Runs an example: reads its command line, sets up logging, and turns what it says into an exit code.
pub fn run<Args, Main>(main: impl FnOnce(Args) -> Main) -> ExitCode
where
    Args: Parser,
    Main: Future<Output = Result<(), Stop>>,
{
    let json = std::env::args_os().any(|argument| argument == "--json");
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.kind() == ErrorKind::ValueValidation => {
            // clap's own words repeat the value, which may be a number or a secret.
            let argument = error
                .get(ContextKind::InvalidArg)
                .map(ToString::to_string)
                .unwrap_or_default();
            let cause = std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default();
            return tell(Stop::config(format!("{argument}: {cause}")), json);
        }
        Err(error) if json && error.use_stderr() => {
            let message = error.render().to_string();
            let message = message
                .trim_start_matches("error: ")
                .split("\n\n")
                .next()
                .unwrap_or_default();
            return tell(
                Stop::config(message.split_whitespace().collect::<Vec<_>>().join(" ")),
                json,
            );
        }
        // Help and the like go to stdout with 0, all else to stderr with 2.
        Err(error) => error.exit(),
    };
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => match runtime.block_on(main(args)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(stop) => tell(stop, json),
        },
        Err(error) => tell(Stop::config(error.to_string()), json),
    }
}

fn tell(stop: Stop, json: bool) -> ExitCode {
    match stop {
        Stop::Config(message) if json => {
            print_json(&json!({"error": {"kind": "config", "message": message}}));
            ExitCode::from(2)
        }
        Stop::Config(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
        Stop::Failed => ExitCode::FAILURE,
    }
}

/// The safety catch of a system that is not production.
#[derive(clap::Args, Clone, Debug)]
#[non_exhaustive]
pub struct Catch {
    /// Send to these numbers or prefixes only; every other is refused before any call
    #[arg(long, value_name = "NUMBER|PREFIX")]
    pub only_to: Vec<Prefix>,
    /// Send everything to this number instead, with the masked original in front
    #[arg(long, value_name = "NUMBER")]
    pub redirect_to: Option<PhoneNumber>,
}

impl Catch {
    /// Puts it around a provider. Where both are given, it is judged where the text would really go.
    #[must_use]
    pub fn around(&self, mut provider: Arc<dyn SmsProvider>) -> Arc<dyn SmsProvider> {
        if !self.only_to.is_empty() {
            provider = Arc::new(OnlyTo::new(provider, self.only_to.iter().copied()));
        }
        match self.redirect_to {
            Some(number) => Arc::new(RedirectTo::new(provider, number)),
            None => provider,
        }
    }
}

/// What to call each of several vendors: its name, and a number behind it where an earlier one has that name.
#[must_use]
pub fn member_names(vendors: &[Arc<dyn SmsProvider>]) -> Vec<String> {
    let names: Vec<_> = vendors
        .iter()
        .map(|vendor| vendor.profile().name())
        .collect();
    let numbered = |(index, name): (usize, &&str)| {
        let earlier = names[..index].iter().filter(|known| *known == name).count();
        match earlier {
            0 => (*name).to_owned(),
            earlier => format!("{name}-{}", earlier + 1),
        }
    };
    names.iter().enumerate().map(numbered).collect()
}

/// Why an example ends other than well.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stop {
    /// Wrong use or configuration, and what to do about it.
    Config(String),
    /// What was asked for failed, and that was told.
    Failed,
}

impl Stop {
    /// Wrong use or configuration.
    pub fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }
}

impl From<ConfigError> for Stop {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}

/// Writes a JSON document as a line of its own on stdout.
#[expect(clippy::print_stdout, reason = "results belong on stdout")]
pub fn print_json(document: &Value) {
    println!("{document}");
}

/// Writes a line for people on stdout.
#[expect(clippy::print_stdout, reason = "results belong on stdout")]
pub fn print(line: impl AsRef<str>) {
    println!("{}", line.as_ref());
}

/// A duration as people write it: `250ms`, `10s`, `30m`, `2h`, `3d`.
///
/// # Errors
///
/// The text is no such duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|char: char| char.is_ascii_digit());
    let number = &text[..text.len() - unit.len()];
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("write a number and a unit, such as 250ms, 10s, 30m, 2h or 3d".into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "a duration starts with a whole number")?;
    number
        .checked_mul(milliseconds)
        .map(Duration::from_millis)
        .ok_or_else(|| "that is too long".into())
}

/// A time in RFC 3339.
///
/// # Errors
///
/// The text is no such time.
pub fn time(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse()
        .map_err(|_| "write a time in RFC 3339, such as 2026-12-31T09:00:00Z".into())
}

/// An outcome as the examples print it.
#[must_use]
pub fn outcome_json(outcome: &Result<Receipt, SendError>) -> Value {
    match outcome {
        Ok(receipt) => json!({
            "accepted": true,
            "provider": receipt.provider(),
            "id": receipt.id(),
            "reference": receipt.reference().as_str(),
            "parts": receipt.parts(),
            "price": receipt.price().map(price_json),
        }),
        Err(error) => json!({"accepted": false, "error": error_json(error)}),
    }
}

/// A failed send as the examples print it.
#[must_use]
pub fn error_json(error: &SendError) -> Value {
    json!({
        "kind": error.kind().as_str(),
        "acceptance": error.acceptance().as_str(),
        "provider": error.provider(),
        "code": error.code(),
        "retry_after_ms": error.retry_after().map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        "may_resend": error.may_resend(),
        "may_reroute": error.may_reroute(),
        "message": error.to_string(),
    })
}

/// An amount of money as the examples print it.
#[must_use]
pub fn price_json(price: Price) -> Value {
    json!({"amount": price.amount(), "currency": price.currency()})
}

/// What became of a message, in a sentence for people.
#[must_use]
pub fn outcome_sentence(to: PhoneNumber, outcome: &Result<Receipt, SendError>) -> String {
    match outcome {
        Ok(receipt) => {
            let id = receipt
                .id()
                .map(|id| format!(" as {id}"))
                .unwrap_or_default();
            let price = receipt
                .price()
                .map(|price| format!(", for {price}"))
                .unwrap_or_default();
            let (provider, reference) = (receipt.provider(), receipt.reference());
            format!(
                "accepted: {provider} has the text for {}{id}{price} (reference {reference})",
                to.masked()
            )
        }
        Err(error) if error.acceptance() == Acceptance::NotAccepted => {
            let advice = match (error.may_resend(), error.may_reroute()) {
                (true, _) => "it may be sent again",
                (false, true) => "another vendor may be tried",
                (false, false) => "the message itself is at fault",
            };
            format!("not accepted: {error}; {advice}")
        }
        Err(error) => format!("in doubt: {error}; do not send it again"),
    }
}
