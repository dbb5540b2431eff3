//! `printf '+31612345678\tHello\n+31687654321\tHi\n' | cargo run --example bulk`: many texts, few vendor calls.

use std::{
    fs::File,
    io::{BufRead, BufReader, IsTerminal as _},
    num::NonZeroU32,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use futures_util::{StreamExt as _, stream};
use indicatif::ProgressBar;
use postduif::{
    ErrorKind, Message, Receipt, SendError, SmsProvider, Text,
    layers::{Batch, Failover, Member, RateLimit},
};
use postduif_examples::{Catch, Stop, member_names, outcome_json, print_json, run};
use postduif_sandbox::Sandbox;

/// Sends every line of a file, NUMBER<TAB>TEXT, through batches and a rate limit; one result a line, in order.
#[derive(Parser)]
#[command(
    after_help = "Example: cargo run --example bulk -- --url 'cm://default?token=env:CM_TOKEN&sender=Contoso' texts.tsv"
)]
struct Args {
    /// The vendor, as a connection URL; repeat it for a failover, in order. Defaults to a sandbox that plays CM
    #[arg(long, env = "SMS_URL", hide_env_values = true, value_delimiter = ' ')]
    url: Vec<String>,
    /// Messages per second, for each vendor
    #[arg(long, default_value = "200")]
    rate: NonZeroU32,
    #[command(flatten)]
    catch: Catch,
    /// No effect on the results, which are always JSON; a configuration error becomes JSON too
    #[arg(long)]
    json: bool,
    /// The file. Defaults to standard input
    file: Option<PathBuf>,
}

/// Lines under way at a time: what a call can gather, and what waits in memory.
const UNDER_WAY: usize = 2_000;

fn main() -> ExitCode {
    run(bulk)
}

async fn bulk(mut args: Args) -> Result<(), Stop> {
    args.url.retain(|url| !url.is_empty());
    let sandbox = if args.url.is_empty() {
        Some(Sandbox::start().await)
    } else {
        None
    };
    if let Some(sandbox) = &sandbox {
        args.url.push(sandbox.sms_url("cm"));
    }
    let vendors = args
        .url
        .iter()
        .map(|url| postduif::from_url(url))
        .collect::<Result<Vec<_>, _>>()?;
    let members = member_names(&vendors).into_iter().zip(vendors);
    let members = members
        .map(|(name, vendor)| Member::new(name, Batch::new(RateLimit::new(vendor, args.rate))));
    let provider = args.catch.around(Arc::new(Failover::new(members)?));

    let lines = lines(args.file.as_ref())?;
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new_spinner()
    } else {
        ProgressBar::hidden()
    };
    let mut all_accepted = true;
    let mut outcomes = stream::iter(lines.zip(1_u64..))
        .map(|(line, number)| {
            let provider = &provider;
            async move { (number, send(&**provider, line).await) }
        })
        .buffered(UNDER_WAY);
    while let Some((number, outcome)) = outcomes.next().await {
        let mut row = outcome_json(&outcome);
        row["line"] = number.into();
        print_json(&row);
        bar.inc(1);
        all_accepted &= outcome.is_ok();
    }
    bar.finish_and_clear();
    if all_accepted {
        Ok(())
    } else {
        Err(Stop::Failed)
    }
}

async fn send(
    provider: &dyn SmsProvider,
    line: std::io::Result<String>,
) -> Result<Receipt, SendError> {
    let malformed = |words| SendError::not_accepted(ErrorKind::Other, words);
    let line = line.map_err(|_| malformed("the line is not UTF-8, or cannot be read"))?;
    let (number, text) = line
        .split_once('\t')
        .ok_or_else(|| malformed("the line is not NUMBER<TAB>TEXT"))?;
    let number = number
        .trim()
        .parse()
        .map_err(|error: postduif::PhoneNumberError| {
            SendError::not_accepted(ErrorKind::InvalidRecipient, error.to_string())
        })?;
    let text = Text::new(text)
        .map_err(|error| SendError::not_accepted(ErrorKind::InvalidText, error.to_string()))?;
    provider.send(&Message::new(number, text)).await
}

fn lines(
    file: Option<&PathBuf>,
) -> Result<Box<dyn Iterator<Item = std::io::Result<String>> + Send>, Stop> {
    Ok(match file {
        Some(path) => {
            let file = File::open(path)
                .map_err(|error| Stop::config(format!("{}: {error}", path.display())))?;
            Box::new(BufReader::new(file).lines())
        }
        None => Box::new(BufReader::new(std::io::stdin()).lines()),
    })
}
