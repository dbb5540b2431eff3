//! Runs `bulk`: lines in, outcomes out.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal as _},
    num::NonZeroU32,
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use indicatif::ProgressBar;
use postduif::{ErrorKind, Message, PhoneNumber, PhoneNumberError, Receipt, SendError, Text};

use super::{
    Safety, Stop,
    args::sandbox_unless_given,
    output::{outcome_json, print},
};

/// Sends every line of a file, NUMBER<TAB>TEXT, through batches and a rate limit; one result a line, in order.
#[derive(Parser)]
#[command(
    after_help = "Example: cargo run --example bulk -- --url 'cm://default?token=env:CM_TOKEN&sender=Contoso' texts.tsv"
)]
struct Cli {
    /// The vendor, as a connection URL; repeat it for a failover, in order. Defaults to a sandbox that simulates CM
    #[arg(long, env = "SMS_URL", hide_env_values = true, value_delimiter = ' ')]
    url: Vec<String>,
    /// Messages per second, for each vendor
    #[arg(long, default_value = "200")]
    rate: NonZeroU32,
    #[command(flatten)]
    safety: Safety,
    /// No effect on the results, which are always JSON; a configuration error becomes JSON too
    #[arg(long)]
    json: bool,
    /// The file. Defaults to standard input
    file: Option<PathBuf>,
}

/// The parsed command line.
#[derive(Debug)]
#[non_exhaustive]
pub struct Args {
    /// The connection URLs of the vendors, in order.
    pub urls: Vec<String>,
    /// Messages per second, for each vendor.
    pub rate: NonZeroU32,
    /// Which numbers may be texted.
    pub safety: Safety,
    file: Option<PathBuf>,
}

impl Args {
    /// Opens the file, and returns the message of each line, or why a line has none.
    ///
    /// # Errors
    ///
    /// Returns a configuration error if the file cannot be opened.
    pub fn messages(
        &self,
    ) -> Result<impl Iterator<Item = Result<Message, SendError>> + Send + use<>, Stop> {
        let lines: Box<dyn Iterator<Item = io::Result<String>> + Send> = match &self.file {
            Some(path) => {
                let file = File::open(path)
                    .map_err(|error| Stop::config(format!("{}: {error}", path.display())))?;
                Box::new(BufReader::new(file).lines())
            }
            None => Box::new(BufReader::new(io::stdin()).lines()),
        };
        Ok(lines.map(message))
    }
}

fn message(line: io::Result<String>) -> Result<Message, SendError> {
    let refused = |kind, why: String| SendError::not_accepted(kind, why);
    let line = line.map_err(|_| {
        refused(
            ErrorKind::Other,
            "the line is not UTF-8, or cannot be read".into(),
        )
    })?;
    let (number, text) = line
        .split_once('\t')
        .ok_or_else(|| refused(ErrorKind::Other, "the line is not NUMBER<TAB>TEXT".into()))?;
    let number: PhoneNumber = number.trim().parse().map_err(|error: PhoneNumberError| {
        refused(ErrorKind::InvalidRecipient, error.to_string())
    })?;
    let text =
        Text::new(text).map_err(|error| refused(ErrorKind::InvalidText, error.to_string()))?;
    Ok(Message::new(number, text))
}

/// Parses the command line and calls `bulk`.
pub fn run<Bulk>(bulk: impl FnOnce(Args) -> Bulk) -> ExitCode
where
    Bulk: Future<Output = Result<(), Stop>>,
{
    super::run(async move |mut cli: Cli| {
        let _sandbox = sandbox_unless_given(&mut cli.url, "cm").await;
        bulk(Args {
            urls: cli.url,
            rate: cli.rate,
            safety: cli.safety,
            file: cli.file,
        })
        .await
    })
}

/// The rows of the results, with a progress bar on a terminal.
#[derive(Debug)]
pub struct Rows {
    bar: ProgressBar,
    line: u64,
    failed: bool,
}

impl Rows {
    /// Creates the rows and shows the bar.
    #[must_use]
    pub fn new() -> Self {
        let bar = if io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        Self {
            bar,
            line: 0,
            failed: false,
        }
    }

    /// Writes the outcome of the next line.
    pub fn write(&mut self, outcome: &Result<Receipt, SendError>) {
        self.line += 1;
        self.failed |= outcome.is_err();
        let mut row = outcome_json(outcome);
        row["line"] = self.line.into();
        print(&row);
        self.bar.inc(1);
    }

    /// Removes the bar.
    ///
    /// # Errors
    ///
    /// Returns [`Stop::Failed`] if any line failed.
    pub fn finish(self) -> Result<(), Stop> {
        self.bar.finish_and_clear();
        if self.failed {
            Err(Stop::Failed)
        } else {
            Ok(())
        }
    }
}

impl Default for Rows {
    fn default() -> Self {
        Self::new()
    }
}
