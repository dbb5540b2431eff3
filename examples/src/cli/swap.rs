//! Runs `swap`.

use std::process::ExitCode;

use clap::Parser;

use super::{Output, Stop};

/// Sends one text through a vendor that this program was built with: kpn, or the first.
#[derive(Parser)]
#[command(
    after_help = "Example: cargo run -p postduif-examples --example swap --no-default-features --features cm"
)]
struct Cli {
    /// The result as JSON
    #[arg(long)]
    json: bool,
}

/// Parses the command line and calls `swap`.
pub fn run<Swap>(swap: impl FnOnce(Output) -> Swap) -> ExitCode
where
    Swap: Future<Output = Result<(), Stop>>,
{
    super::run(async move |cli: Cli| swap(Output::new(cli.json)).await)
}
