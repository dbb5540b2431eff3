//! `cargo run --example send -- --to +31612345678 --text "Hallo van Postduif"`: one message, one attempt.

use std::{process::ExitCode, time::Duration};

use chrono::{DateTime, Utc};
use clap::Parser;
use postduif::{
    ErrorKind, Message, PhoneNumber, Reference, SendError, Sender, SmsProvider, Text, http::Client,
};
use postduif_examples::{
    Stop, duration, error_json, outcome_json, outcome_sentence, price_json, print, print_json, run,
};
use postduif_sandbox::Sandbox;
use serde_json::json;

/// Sends one message, at most once.
///
/// Without --url and SMS_URL it goes to a pretend KPN in this process.
#[derive(Parser)]
#[command(
    after_help = "Example: cargo run --example send -- --url 'kpn://default?id=env:KPN_ID&secret=env:KPN_SECRET' \
                        --to +31612345678 --text 'Your code is 482913' --json"
)]
struct Args {
    /// The vendor, as a connection URL; SMS_URL where it is not given
    #[arg(long, env = "SMS_URL", hide_env_values = true)]
    url: Vec<String>,
    /// The recipient, in E.164
    #[arg(long, required_unless_present = "check")]
    to: Option<PhoneNumber>,
    /// The text
    #[arg(long, required_unless_present = "check")]
    text: Option<Text>,
    /// Who it is from: a name, a number or a short code
    #[arg(long)]
    sender: Option<Sender>,
    /// Our key of the message, 1 to 32 letters and digits; drawn where it is not given
    #[arg(long)]
    reference: Option<Reference>,
    /// How long the network may go on trying, such as 30m
    #[arg(long, value_parser = duration)]
    validity: Option<Duration>,
    /// When to send it (RFC 3339)
    #[arg(long)]
    at: Option<DateTime<Utc>>,
    /// How long it may take in all
    #[arg(long, value_parser = duration, default_value = "10s")]
    timeout: Duration,
    /// Send to these numbers or prefixes only (comes with the layers)
    #[arg(long)]
    only_to: Vec<String>,
    /// Send to this number instead (comes with the layers)
    #[arg(long)]
    redirect_to: Option<PhoneNumber>,
    /// Check and count everything, and send nothing
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,
    /// Try the credentials, and send nothing
    #[arg(long)]
    check: bool,
    /// Results as JSON, one document a line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(send)
}

async fn send(args: Args) -> Result<(), Stop> {
    if !args.only_to.is_empty() || args.redirect_to.is_some() || args.url.len() > 1 {
        return Err(Stop::config(
            "several --url, --only-to and --redirect-to come with the layers",
        ));
    }
    // Kept to the end: it is the vendor where no other is named.
    let sandbox = if args.url.is_empty() {
        Some(Sandbox::start().await)
    } else {
        None
    };
    let url = match &sandbox {
        Some(sandbox) => sandbox.sms_url("kpn"),
        None => args.url[0].clone(),
    };
    // A little less than the whole, so that an answer about which call stalled comes before the deadline.
    let call = args.timeout.mul_f64(0.95);
    let client = Client::builder()
        .with_timeout(call)
        .with_connect_timeout(Duration::from_secs(5).min(call / 2))
        .build()?;
    let provider = postduif::from_url_with(&url, &client)?;
    if args.check {
        return check(&*provider, args.json).await;
    }
    let (Some(to), Some(text)) = (args.to, args.text.clone()) else {
        return Err(Stop::config("--to and --text are needed"));
    };
    let message = message(&args, to, text);
    if args.dry_run {
        return dry_run(&*provider, &message, args.json);
    }
    let outcome = tokio::time::timeout(args.timeout, provider.send(&message))
        .await
        .unwrap_or_else(|_| {
            let error = SendError::unknown(ErrorKind::Timeout, "no answer in time");
            Err(error.with_provider(provider.profile().owned_name()))
        });
    match args.json {
        true => print_json(&outcome_json(&outcome)),
        false => print(outcome_sentence(to, &outcome)),
    }
    outcome.map(drop).map_err(|_| Stop::Failed)
}

fn message(args: &Args, to: PhoneNumber, text: Text) -> Message {
    let mut message = Message::new(to, text);
    if let Some(sender) = args.sender.clone() {
        message = message.with_sender(sender);
    }
    if let Some(reference) = args.reference {
        message = message.with_reference(reference);
    }
    if let Some(validity) = args.validity {
        message = message.with_validity(validity);
    }
    if let Some(at) = args.at {
        message = message.with_send_at(at);
    }
    message
}

fn dry_run(provider: &dyn SmsProvider, message: &Message, json: bool) -> Result<(), Stop> {
    let (profile, count) = (provider.profile(), message.text().count());
    if let Err(error) = profile.admit(message) {
        match json {
            true => print_json(&outcome_json(&Err(error))),
            false => print(outcome_sentence(message.to(), &Err(error))),
        }
        return Err(Stop::Failed);
    }
    let (to, parts) = (message.to().masked().to_string(), count.parts());
    match json {
        true => print_json(&json!({
            "dry_run": true,
            "provider": profile.name(),
            "to": to,
            "encoding": count.encoding().as_str(),
            "parts": parts,
            "reference": message.reference().as_str(),
        })),
        false => print(format!(
            "nothing was sent: {} would get {} units of {} for {to}, in {parts} part(s)",
            profile.name(),
            count.units(),
            count.encoding()
        )),
    }
    Ok(())
}

async fn check(provider: &dyn SmsProvider, json: bool) -> Result<(), Stop> {
    let name = provider.profile().name();
    let (verified, balance, error) = match provider.check().await {
        Ok(health) => (health.is_verified().then_some(true), health.balance(), None),
        Err(error) if error.kind() == ErrorKind::Unauthorized => (Some(false), None, Some(error)),
        Err(error) => (None, None, Some(error)),
    };
    if json {
        let mut row =
            json!({"provider": name, "verified": verified, "balance": balance.map(price_json)});
        if let Some(error) = &error {
            row["error"] = error_json(error);
        }
        print_json(&row);
    } else {
        let balance = balance
            .map(|balance| format!(", balance {balance}"))
            .unwrap_or_default();
        print(match (verified, &error) {
            (Some(true), _) => format!("{name}: the credentials are good{balance}"),
            (_, None) => format!("{name}: the vendor cannot tell without sending"),
            (_, Some(error)) => format!("{name}: {error}"),
        });
    }
    error.map_or(Ok(()), |_| Err(Stop::Failed))
}
