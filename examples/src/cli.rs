//! Command lines, output and exit codes, with a module per example.
//!
//! With `--json`, results are JSON documents on stdout, one a line, and nothing else is written there. Notes and logs
//! go to stderr. Exit code 0: done; 1: the operation failed; 2: wrong use or configuration.

use std::{io::IsTerminal as _, process::ExitCode, sync::Arc};

use clap::{
    Parser,
    error::{ContextKind, ErrorKind},
};
use postduif::{
    ConfigError, ParseError, PhoneNumber, PhoneNumberError, Prefix, SmsProvider, TextError,
    layers::{OnlyTo, RedirectTo},
};

#[cfg(feature = "all-providers")]
mod args;
mod output;

#[cfg(feature = "all-providers")]
pub mod bulk;
#[cfg(all(feature = "all-providers", feature = "testing"))]
pub mod custom_provider;
#[cfg(feature = "all-providers")]
pub mod delivery_reports;
#[cfg(feature = "all-providers")]
pub mod failover;
#[cfg(feature = "regional-numbers")]
pub mod numbers;
#[cfg(all(feature = "all-providers", feature = "onboarding"))]
pub mod onboarding;
#[cfg(feature = "transliteration")]
pub mod segments;
#[cfg(feature = "all-providers")]
pub mod send;
pub mod swap;

pub use output::Output;

/// Parses the command line, sets up logging, runs `main` on a tokio runtime, and returns the exit code.
fn run<Args, Main>(main: impl FnOnce(Args) -> Main) -> ExitCode
where
    Args: Parser,
    Main: Future<Output = Result<(), Stop>>,
{
    let output = Output::new(std::env::args_os().any(|argument| argument == "--json"));
    let outcome = parse::<Args>().and_then(|args| {
        log_to_stderr();
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Stop::config(error.to_string()))?
            .block_on(main(args))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Failed) => ExitCode::FAILURE,
        Err(Stop::Usage(error)) if !output.is_json() => error.exit(),
        Err(Stop::Usage(error)) => {
            let message = error.render().to_string();
            let message = message
                .trim_start_matches("error: ")
                .split("\n\n")
                .next()
                .unwrap_or_default();
            let words: Vec<_> = message.split_whitespace().collect();
            output.config_error(&words.join(" "))
        }
        Err(Stop::Config(message)) => output.config_error(&message),
    }
}

fn parse<Args: Parser>() -> Result<Args, Stop> {
    Args::try_parse().map_err(|error| match error.kind() {
        // clap's message repeats the value, which may be a number or a secret.
        ErrorKind::ValueValidation => {
            let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string);
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Stop::config(format!(
                "{}: {}",
                argument.unwrap_or_default(),
                cause.unwrap_or_default()
            ))
        }
        // Help is for people, with --json too.
        _ if !error.use_stderr() => error.exit(),
        _ => Stop::Usage(error),
    })
}

fn log_to_stderr() {
    let mut filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    // The library that reads numbers writes them whole at its lowest level.
    if let Ok(off) = "rlibphonenumber=off".parse() {
        filter = filter.add_directive(off);
    }
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// The reason why an example stops without success.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stop {
    /// Wrong use or configuration, and what to do about it.
    Config(String),
    /// A command line that clap refuses.
    Usage(clap::Error),
    /// The operation failed, and the output says why.
    Failed,
}

impl Stop {
    /// Creates a configuration error.
    pub fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }
}

macro_rules! is_a_configuration_error {
    ($($error:ty),+) => {
        $(
            impl From<$error> for Stop {
                fn from(error: $error) -> Self {
                    Self::Config(error.to_string())
                }
            }
        )+
    };
}

is_a_configuration_error!(ConfigError, ParseError, PhoneNumberError, TextError);

/// Options that keep a test system from texting strangers.
#[derive(clap::Args, Clone, Debug)]
#[non_exhaustive]
pub struct Safety {
    /// Send to these numbers or prefixes only; every other is refused before any call
    #[arg(long, value_name = "NUMBER|PREFIX")]
    pub only_to: Vec<Prefix>,
    /// Send everything to this number instead, with the masked original in front
    #[arg(long, value_name = "NUMBER")]
    pub redirect_to: Option<PhoneNumber>,
}

impl Safety {
    /// Wraps a provider. With both options, `--only-to` checks the number of `--redirect-to`.
    #[must_use]
    pub fn around(&self, provider: impl SmsProvider) -> Arc<dyn SmsProvider> {
        let mut provider: Arc<dyn SmsProvider> = Arc::new(provider);
        if !self.only_to.is_empty() {
            provider = Arc::new(OnlyTo::new(provider, self.only_to.iter().copied()));
        }
        match self.redirect_to {
            Some(number) => Arc::new(RedirectTo::new(provider, number)),
            None => provider,
        }
    }
}
