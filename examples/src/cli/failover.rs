//! Runs `failover`.

use std::process::ExitCode;

use clap::Parser;
use postduif::{Attempt, Receipt, SendError};
use postduif_sandbox::Sandbox;

use super::{
    Output, Stop,
    output::{outcome_json, print},
};

/// Fails over under faults of a sandbox, and prints the outcome of each attempt.
#[derive(Parser)]
#[command(after_help = "Example: cargo run --example failover -- --json")]
struct Cli {
    /// The outcomes as JSON, one a line
    #[arg(long)]
    json: bool,
}

/// A sandbox, and what is written about it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stage {
    /// The simulated vendors.
    pub sandbox: Sandbox,
    output: Output,
    earlier_texts: usize,
}

impl Stage {
    /// Writes what happens next, for people.
    pub fn act(&self, act: &str) {
        self.output.line(format!("\n{act}\n"));
    }

    /// Writes an outcome as JSON, or for people the attempts before, its end, and the texts that the vendors then have.
    pub fn write(&mut self, outcome: &Result<Receipt, SendError>, attempts: &[Attempt], end: &str) {
        if self.output.is_json() {
            print(&outcome_json(outcome));
        }
        for attempt in attempts {
            self.output.line(format!("  tried    {attempt}"));
        }
        self.output.line(format!("  {end}"));
        let texts = self.sandbox.messages().split_off(self.earlier_texts);
        let vendors: Vec<_> = texts.iter().map(|text| text.vendor).collect();
        self.output.line(format!(
            "  texts in the world: {} ({})",
            texts.len(),
            vendors.join(", ")
        ));
        self.earlier_texts += texts.len();
    }
}

/// Parses the command line, starts a sandbox and calls `failover`.
pub fn run<Failover>(failover: impl FnOnce(Stage) -> Failover) -> ExitCode
where
    Failover: Future<Output = Result<(), Stop>>,
{
    super::run(async move |cli: Cli| {
        failover(Stage {
            sandbox: Sandbox::start().await,
            output: Output::new(cli.json),
            earlier_texts: 0,
        })
        .await
    })
}
