//! `cargo run --example send -- --to +31612345678 --text "Hallo van Postduif"`: one message, one attempt.

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use clap::Parser;
use postduif::{
    Credentials, ErrorKind, Health, Message, Outcomes, PhoneNumber, Profile, Receipt, Reference,
    SendError, Sender, SmsProvider, Text, async_trait,
    http::Client,
    layers::{Failover, Member},
};
use postduif_examples::{
    Catch, Stop, duration, error_json, member_names, outcome_json, outcome_sentence, price_json,
    print, print_json, run, time,
};
use postduif_sandbox::Sandbox;
use serde_json::json;

/// Sends one message. Each vendor is tried once at most: the next one only where the text certainly never left.
///
/// Without --url and SMS_URL it goes to a sandbox in this process, which plays KPN.
#[derive(Parser)]
#[command(
    after_help = "Example: cargo run --example send -- --url 'kpn://default?id=env:KPN_ID&secret=env:KPN_SECRET' \
                        --to +31612345678 --text 'Your code is 482913' --json"
)]
struct Args {
    /// The vendor, as a connection URL; repeat it for a failover, in order
    #[arg(long, env = "SMS_URL", hide_env_values = true, value_delimiter = ' ')]
    url: Vec<String>,
    /// The recipient in E.164, such as +31612345678
    #[arg(long, required_unless_present = "check")]
    to: Option<PhoneNumber>,
    /// The text
    #[arg(long, required_unless_present = "check")]
    text: Option<Text>,
    /// The sender: a name, a number or a short code. Defaults to the sender of the URL
    #[arg(long)]
    sender: Option<Sender>,
    /// The message's reference, at most 32 letters and digits. Defaults to a new one
    #[arg(long)]
    reference: Option<Reference>,
    /// The validity period, such as 30m
    #[arg(long, value_parser = duration)]
    validity: Option<Duration>,
    /// When to send it, in RFC 3339, such as 2026-12-31T09:00:00Z. Defaults to now
    #[arg(long, value_parser = time)]
    at: Option<DateTime<Utc>>,
    /// How long sending may take, over all vendors
    #[arg(long, value_parser = duration, default_value = "10s")]
    timeout: Duration,
    #[command(flatten)]
    catch: Catch,
    /// Checks and counts everything, and sends nothing
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,
    /// Tries the credentials, and sends nothing
    #[arg(long)]
    check: bool,
    /// Results as JSON, one document a line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(send)
}

async fn send(mut args: Args) -> Result<(), Stop> {
    args.url.retain(|url| !url.is_empty());
    // Kept to the end: it is the vendor where no other is named.
    let sandbox = if args.url.is_empty() {
        Some(Sandbox::start().await)
    } else {
        None
    };
    if let Some(sandbox) = &sandbox {
        args.url.push(sandbox.sms_url("kpn"));
    }
    // A little less than the whole, so that an answer about which call stalled comes before the deadline.
    let client = Client::builder()
        .with_timeout(args.timeout.mul_f64(0.95))
        .build()?;
    let vendors = args
        .url
        .iter()
        .map(|url| postduif::from_url_with(url, &client))
        .collect::<Result<Vec<_>, _>>()?;
    if args.check {
        return check(&vendors, args.json).await;
    }
    let (Some(to), Some(text)) = (args.to, args.text.clone()) else {
        return Err(Stop::config("--to and --text are needed"));
    };
    let message = message(&args, to, text);
    if args.dry_run {
        return dry_run(vendors, &args.catch, &message, args.json).await;
    }
    let provider = args.catch.around(failover(vendors)?);
    let outcome = tokio::time::timeout(args.timeout, provider.send(&message))
        .await
        .unwrap_or_else(|_| {
            let error = SendError::unknown(ErrorKind::Timeout, "no answer in time");
            Err(error.with_provider(provider.profile().owned_name()))
        });
    tell(to, &outcome, args.json);
    outcome.map(drop).map_err(|_| Stop::Failed)
}

fn tell(to: PhoneNumber, outcome: &Result<Receipt, SendError>, json: bool) {
    if json {
        print_json(&outcome_json(outcome))
    } else {
        print(outcome_sentence(to, outcome))
    }
}

/// Each vendor once, in order.
fn failover(vendors: Vec<Arc<dyn SmsProvider>>) -> Result<Arc<dyn SmsProvider>, Stop> {
    let names = member_names(&vendors);
    let members = names.into_iter().zip(vendors);
    Ok(Arc::new(Failover::new(
        members.map(|(name, vendor)| Member::new(name, vendor)),
    )?))
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

/// Stands in a vendor's place, refuses what the vendor would refuse, and sends nothing.
#[derive(Debug)]
struct Dry {
    vendor: Arc<dyn SmsProvider>,
    seen: Arc<Mutex<Option<Message>>>,
}

#[async_trait]
impl SmsProvider for Dry {
    fn profile(&self) -> &Profile {
        self.vendor.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.profile().validate(message)?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.clone());
        Ok(Receipt::new(
            self.profile().owned_name(),
            *message.reference(),
        ))
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let error = SendError::not_accepted(ErrorKind::Unsupported, "one message at a time");
        Outcomes::failed(messages, &error)
    }

    async fn check(&self) -> Result<Health, SendError> {
        Ok(Health::unknown())
    }
}

async fn dry_run(
    vendors: Vec<Arc<dyn SmsProvider>>,
    catch: &Catch,
    message: &Message,
    json: bool,
) -> Result<(), Stop> {
    let seen = Arc::default();
    let dry = |vendor| {
        Arc::new(Dry {
            vendor,
            seen: Arc::clone(&seen),
        }) as Arc<dyn SmsProvider>
    };
    let provider = catch.around(failover(vendors.into_iter().map(dry).collect())?);
    let outcome = provider.send(message).await;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (Ok(receipt), Some(message)) = (&outcome, seen) else {
        tell(message.to(), &outcome, json);
        return Err(Stop::Failed);
    };
    let (to, count) = (message.to().masked().to_string(), message.text().count());
    if json {
        print_json(&json!({
            "dry_run": true,
            "provider": receipt.provider(),
            "to": to,
            "encoding": count.encoding().as_str(),
            "parts": count.parts(),
            "reference": message.reference().as_str(),
        }))
    } else {
        print(format!(
            "nothing was sent: {} would get {} units of {} for {to}, in {} part(s)",
            receipt.provider(),
            count.units(),
            count.encoding(),
            count.parts()
        ))
    }
    Ok(())
}

async fn check(vendors: &[Arc<dyn SmsProvider>], json: bool) -> Result<(), Stop> {
    let mut all_good = true;
    for vendor in vendors {
        let name = vendor.profile().name();
        let (verified, balance, error) = match vendor.check().await {
            Ok(health) => {
                let verified = match health.credentials() {
                    Credentials::Verified => Some(true),
                    Credentials::Refused => Some(false),
                    _ => None,
                };
                (verified, health.balance(), health.refusal().cloned())
            }
            Err(error) => (None, None, Some(error)),
        };
        all_good &= error.is_none();
        if json {
            let mut row =
                json!({"provider": name, "verified": verified, "balance": balance.map(price_json)});
            if let Some(error) = &error {
                row["error"] = error_json(error);
            }
            print_json(&row);
            continue;
        }
        let balance = balance
            .map(|balance| format!(", balance {balance}"))
            .unwrap_or_default();
        print(match (verified, &error) {
            (Some(true), _) => format!("{name}: the credentials are good{balance}"),
            (_, None) => format!("{name}: the vendor cannot tell without sending"),
            (_, Some(error)) => error.to_string(),
        });
    }
    if all_good { Ok(()) } else { Err(Stop::Failed) }
}
