//! `cargo run --example swap`: the same program, built for another vendor by feature alone.
//!
//! `cargo run -p postduif-examples --example swap --no-default-features --features cm` builds it for CM.com: no other
//! vendor is compiled, and no line of it changes.

use std::process::ExitCode;

use postduif::{Message, SmsProvider as _, Text};
use postduif_examples::cli::{self, Output, Stop};
use postduif_sandbox::Sandbox;

fn main() -> ExitCode {
    cli::swap::run(swap)
}

async fn swap(output: Output) -> Result<(), Stop> {
    let vendors = postduif::VENDORS;
    output.line(format!("built with: {}", vendors.join(", ")));
    let vendor = match vendors {
        [] => return Err(Stop::config("build it with a vendor: --features kpn")),
        vendors if vendors.contains(&"kpn") => "kpn",
        [first, ..] => first,
    };
    // A service reads the URL from its configuration.
    let sandbox = Sandbox::start().await;
    let sms = postduif::from_url(&sandbox.sms_url(vendor))?;

    let text = Text::new(format!("Hello through {vendor}"))?;
    let message = Message::new("+31612345678".parse()?, text);
    let outcome = sms.send(&message).await;
    let sentence = match &outcome {
        Ok(receipt) => format!("accepted by {}", receipt.provider()),
        Err(error) => error.to_string(),
    };
    output.outcome(&outcome, sentence)
}
