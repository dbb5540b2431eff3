//! `cargo run --example swap`: the same program, built for another vendor by feature alone.
//!
//! `cargo run -p postduif-examples --example swap --no-default-features --features cm` builds it for CM.com:
//! no other vendor is compiled, and no line of it changes.

use std::process::ExitCode;

use clap::Parser;
use postduif::{Message, Text};
use postduif_examples::{Stop, VENDORS, outcome_json, outcome_sentence, print, print_json, run};
use postduif_sandbox::Sandbox;

/// Sends one text through the first vendor that this program was built with.
#[derive(Parser)]
#[command(
    after_help = "Example: cargo run -p postduif-examples --example swap --no-default-features --features cm"
)]
struct Args {
    /// The result as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(swap)
}

async fn swap(args: Args) -> Result<(), Stop> {
    let Some(vendor) = VENDORS.first() else {
        return Err(Stop::config("build it with a vendor: --features kpn"));
    };
    // A service of yours reads this from its configuration.
    let sandbox = Sandbox::start().await;
    let sms = postduif::from_url(&sandbox.sms_url(vendor))?;
    let to = "+31612345678"
        .parse()
        .map_err(|_| Stop::config("a number"))?;
    let text = Text::new(format!("Hello through {vendor}")).map_err(|_| Stop::config("a text"))?;
    let outcome = sms.send(&Message::new(to, text)).await;
    if args.json {
        print_json(&outcome_json(&outcome))
    } else {
        print(format!("built with: {}", VENDORS.join(", ")));
        print(outcome_sentence(to, &outcome));
    }
    outcome.map(drop).map_err(|_| Stop::Failed)
}
