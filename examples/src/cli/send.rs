//! Runs `send`: a message in, its outcome out.

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
use serde_json::json;

use super::{
    Output, Safety, Stop,
    args::{duration, sandbox_unless_given, time},
    output::{error_json, price_json, print},
};

/// Sends one message. Each vendor is tried once at most: the next one only if the text was certainly not sent.
///
/// Without --url and SMS_URL it goes to a sandbox in this process, which simulates KPN.
#[derive(Parser)]
#[command(
    after_help = "Example: cargo run --example send -- --url 'kpn://default?id=env:KPN_ID&secret=env:KPN_SECRET' \
                        --to +31612345678 --text 'Your code is 482913' --json"
)]
struct Cli {
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
    safety: Safety,
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

/// The parsed command line.
#[derive(Debug)]
#[non_exhaustive]
pub struct Args {
    /// The connection URLs of the vendors, in order.
    pub urls: Vec<String>,
    /// The recipient.
    pub to: PhoneNumber,
    /// The text.
    pub text: Text,
    /// How long sending may take, over all vendors.
    pub timeout: Duration,
    /// Which numbers may be texted.
    pub safety: Safety,
    /// What is written.
    pub output: Output,
    options: Options,
}

#[derive(Debug)]
struct Options {
    sender: Option<Sender>,
    reference: Option<Reference>,
    validity: Option<Duration>,
    at: Option<DateTime<Utc>>,
}

impl Args {
    /// Sets the options of the message that were given: sender, reference, validity period and time.
    #[must_use]
    pub fn with_options(&self, mut message: Message) -> Message {
        let options = &self.options;
        if let Some(sender) = options.sender.clone() {
            message = message.with_sender(sender);
        }
        if let Some(reference) = options.reference {
            message = message.with_reference(reference);
        }
        if let Some(validity) = options.validity {
            message = message.with_validity(validity);
        }
        if let Some(at) = options.at {
            message = message.with_send_at(at);
        }
        message
    }

    fn message(&self) -> Message {
        self.with_options(Message::new(self.to, self.text.clone()))
    }
}

/// Parses the command line and calls `send`, unless it is for `--check` or `--dry-run`.
pub fn run<Send>(send: impl FnOnce(Args) -> Send) -> ExitCode
where
    Send: Future<Output = Result<(), Stop>>,
{
    super::run(async move |mut cli: Cli| {
        let _sandbox = sandbox_unless_given(&mut cli.url, "kpn").await;
        let output = Output::new(cli.json);
        if cli.check {
            return check(&vendors(&cli.url, cli.timeout)?, output).await;
        }
        let (Some(to), Some(text)) = (cli.to, cli.text) else {
            return Err(Stop::config("--to and --text are needed"));
        };
        let args = Args {
            urls: cli.url,
            to,
            text,
            timeout: cli.timeout,
            safety: cli.safety,
            output,
            options: Options {
                sender: cli.sender,
                reference: cli.reference,
                validity: cli.validity,
                at: cli.at,
            },
        };
        if cli.dry_run {
            return dry_run(&args).await;
        }
        send(args).await
    })
}

fn vendors(urls: &[String], timeout: Duration) -> Result<Vec<Arc<dyn SmsProvider>>, Stop> {
    let client = Client::builder().with_timeout(timeout).build()?;
    let vendors = urls
        .iter()
        .map(|url| postduif::from_url_with(url, &client))
        .collect::<Result<_, _>>()?;
    Ok(vendors)
}

async fn check(vendors: &[Arc<dyn SmsProvider>], output: Output) -> Result<(), Stop> {
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
        if output.is_json() {
            let mut row =
                json!({"provider": name, "verified": verified, "balance": balance.map(price_json)});
            if let Some(error) = &error {
                row["error"] = error_json(error);
            }
            print(&row);
        }
        let balance = balance
            .map(|balance| format!(", balance {balance}"))
            .unwrap_or_default();
        output.line(match (verified, &error) {
            (Some(true), _) => format!("{name}: the credentials are good{balance}"),
            (_, None) => format!("{name}: the vendor cannot tell without sending"),
            (_, Some(error)) => error.to_string(),
        });
    }
    if all_good { Ok(()) } else { Err(Stop::Failed) }
}

/// A provider that refuses what the vendor would refuse, and sends nothing.
#[derive(Debug)]
struct Dry {
    vendor: Arc<dyn SmsProvider>,
    checked: Arc<Mutex<Option<Message>>>,
}

#[async_trait]
impl SmsProvider for Dry {
    fn profile(&self) -> &Profile {
        self.vendor.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.profile().validate(message)?;
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.clone());
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

async fn dry_run(args: &Args) -> Result<(), Stop> {
    let checked = Arc::default();
    let dry = |vendor| {
        Arc::new(Dry {
            vendor,
            checked: Arc::clone(&checked),
        }) as Arc<dyn SmsProvider>
    };
    let vendors = vendors(&args.urls, args.timeout)?.into_iter().map(dry);
    let provider = args.safety.around(Failover::new(vendors.map(Member::of))?);
    let outcome = provider.send(&args.message()).await;
    let checked = checked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let (Ok(receipt), Some(message)) = (&outcome, checked) else {
        let error = outcome.as_ref().err().map(ToString::to_string);
        return args.output.outcome(
            &outcome,
            format!("not accepted: {}", error.unwrap_or_default()),
        );
    };
    let (to, count) = (message.to().masked().to_string(), message.text().count());
    if args.output.is_json() {
        print(&json!({
            "dry_run": true,
            "provider": receipt.provider(),
            "to": to,
            "encoding": count.encoding().as_str(),
            "parts": count.parts(),
            "reference": message.reference(),
        }));
    }
    args.output.line(format!(
        "nothing was sent: {} would get {} units of {} for {to}, in {} part(s)",
        receipt.provider(),
        count.units(),
        count.encoding(),
        count.parts()
    ));
    Ok(())
}
