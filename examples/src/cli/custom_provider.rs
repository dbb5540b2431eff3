//! Runs `custom_provider`: over a server that plays the vendor, and a proxy that refuses.

use std::process::ExitCode;

use clap::Parser;
use postduif::{
    Acceptance, ConfigError, Message, Receipt, SendError, SmsProvider, Text,
    http::Client,
    testing::{Reply, Server},
};

use super::{Output, Stop};

/// Sends one text through Acme, and one with a proxy in between that refuses.
#[derive(Parser)]
#[command(after_help = "Example: cargo run --example custom_provider -- --json")]
struct Cli {
    /// The outcomes as JSON, one a line
    #[arg(long)]
    json: bool,
}

/// Parses the command line, and sends through the provider that `provider` creates from a base URL.
pub fn run<Provider: SmsProvider>(
    provider: fn(&str, Client) -> Result<Provider, ConfigError>,
) -> ExitCode {
    super::run(async move |cli: Cli| {
        let output = Output::new(cli.json);
        let client = Client::new()?;
        let acme = Server::start(|_| Reply::json(201, r#"{"id":"acme-1"}"#)).await;
        let accepted = send(&provider(&acme.url(), client.clone())?, output).await?;
        let proxy = Server::start(|_| Reply::html(403)).await;
        let refused = send(&provider(&proxy.url(), client)?, output).await?;
        // The refusal of a proxy proves nothing about the vendor.
        match (accepted, refused) {
            (Ok(_), Err(error)) if error.acceptance() == Acceptance::Unknown => Ok(()),
            _ => Err(Stop::Failed),
        }
    })
}

async fn send(
    provider: &impl SmsProvider,
    output: Output,
) -> Result<Result<Receipt, SendError>, Stop> {
    let text = Text::new("Hello from a vendor of your own")?;
    let message = Message::new("+31612345678".parse()?, text);
    let outcome = provider.send(&message).await;
    let sentence = match &outcome {
        Ok(receipt) => format!("accepted by {}", receipt.provider()),
        Err(error) if error.acceptance() == Acceptance::NotAccepted => {
            format!("not accepted: {error}")
        }
        Err(error) => format!("in doubt: {error}"),
    };
    // The exit code depends on both.
    let _ = output.outcome(&outcome, sentence);
    Ok(outcome)
}
