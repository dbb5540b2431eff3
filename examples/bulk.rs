//! `printf '+31612345678\tHello\n+31687654321\tHi\n' | cargo run --example bulk`: many messages, few vendor calls.

use std::process::ExitCode;

use futures_util::{StreamExt as _, stream};
use postduif::{
    ConfigError, SmsProvider as _,
    layers::{Batch, Failover, Member, RateLimit},
};
use postduif_examples::cli::{
    self, Stop,
    bulk::{Args, Rows},
};

fn main() -> ExitCode {
    cli::bulk::run(bulk)
}

/// Sends every message, in calls as large as the vendor takes, and writes the outcomes in order.
async fn bulk(args: Args) -> Result<(), Stop> {
    let members = args
        .urls
        .iter()
        .map(|url| {
            let vendor = postduif::from_url(url)?;
            Ok(Member::of(Batch::new(RateLimit::new(vendor, args.rate))))
        })
        .collect::<Result<Vec<_>, ConfigError>>()?;
    let sms = args.safety.around(Failover::new(members)?);

    // `Batch` gathers what is sent at the same time, so up to 2,000 messages are under way.
    let mut outcomes = stream::iter(args.messages()?)
        .map(async |message| sms.send(&message?).await)
        .buffered(2_000);
    let mut rows = Rows::new();
    while let Some(outcome) = outcomes.next().await {
        rows.write(&outcome);
    }
    rows.finish()
}
