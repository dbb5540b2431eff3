//! `cargo run --example failover`: what travels on to another vendor, what does not, and who comes back.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use postduif::{
    Acceptance, Message, PhoneNumber, SmsProvider, Text,
    layers::{Failover, Member},
};
use postduif_examples::{Stop, outcome_json, print, print_json, run};
use postduif_sandbox::{Fault, Sandbox};

/// Fails over under faults of a sandbox, and prints the outcome of each attempt.
#[derive(Parser)]
#[command(after_help = "Example: cargo run --example failover -- --json")]
struct Args {
    /// The outcomes as JSON, one a line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(failover)
}

async fn failover(args: Args) -> Result<(), Stop> {
    let sandbox = Sandbox::start().await;
    let kpn = postduif::from_url(&sandbox.sms_url("kpn"))?;
    let cm = postduif::from_url(&sandbox.sms_url("cm"))?;
    // Short, so that the last act need not wait for long.
    let pause = Duration::from_millis(200);
    let sms = Failover::new([Member::new("kpn", kpn), Member::new("cm", cm)])?.with_cooldown(pause);
    let stage = Stage {
        sandbox,
        sms,
        json: args.json,
    };

    stage.tell("KPN refuses: too many requests. The text certainly never left, so CM gets it.");
    stage.sandbox.fault("kpn.send", Fault::Throttle);
    stage.send().await?;

    stage.tell(
        "KPN was set aside for that. Once the pause is over, one text finds out that it is back.",
    );
    tokio::time::sleep(pause * 2).await;
    stage.send().await?;

    stage.tell("KPN takes a text, and its answer is lost. Nobody knows, so nobody sends it again.");
    stage.sandbox.fault("kpn.send", Fault::LostAnswer);
    stage.send().await?;

    stage.tell("Nobody listens at KPN's address: the commonest outage, and certain.");
    let nobody = postduif::from_url("kpn://id:secret@127.0.0.1:1?sender=Postduif")?;
    let cm = postduif::from_url(&stage.sandbox.sms_url("cm"))?;
    let sms = Failover::new([Member::new("kpn", nobody), Member::new("cm", cm)])?;
    Stage { sms, ..stage }.send().await
}

struct Stage {
    sandbox: Sandbox,
    sms: Failover,
    json: bool,
}

impl Stage {
    fn tell(&self, act: &str) {
        if !self.json {
            print(format!("\n{act}\n"));
        }
    }

    async fn send(&self) -> Result<(), Stop> {
        let before = self.sandbox.messages().len();
        let to: PhoneNumber = "+31612345678"
            .parse()
            .map_err(|_| Stop::config("a number"))?;
        let text = Text::new("Hello").map_err(|_| Stop::config("a text"))?;
        let outcome = self.sms.send(&Message::new(to, text)).await;
        if self.json {
            print_json(&outcome_json(&outcome));
            return Ok(());
        }
        let attempts = match &outcome {
            Ok(receipt) => receipt.attempts(),
            Err(error) => error.attempts(),
        };
        for attempt in attempts {
            print(format!("  tried    {attempt}"));
        }
        print(match &outcome {
            Ok(receipt) => format!("  accepted {}", receipt.provider()),
            Err(error) if error.acceptance() == Acceptance::NotAccepted => {
                format!("  not sent {error}")
            }
            Err(error) => format!("  in doubt {error}"),
        });
        let texts = self.sandbox.messages().split_off(before);
        let vendors: Vec<_> = texts.iter().map(|text| text.vendor).collect();
        print(format!(
            "  texts in the world: {} ({})",
            texts.len(),
            vendors.join(", ")
        ));
        Ok(())
    }
}
