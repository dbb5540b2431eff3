//! Runs `onboarding`: a call-out in, its verdict out.

use std::{env, fs, future, path::PathBuf, process::ExitCode, time::SystemTime};

use chrono::{DateTime, Utc};
use clap::{Parser, builder::PossibleValuesParser};
use postduif::{
    Guid, SecretString,
    directory::{Callout, FailureReason, Verdict},
    entra::{CalloutParser, Cloud, Parsed},
    http::Client,
    onboarding::{Ending, JournalError},
};
use postduif_sandbox::Sandbox;
use serde_json::json;

use super::{Output, Safety, Stop, output::print};
use world::World;

mod story;
mod world;

/// Runs the whole flow: call-out, user, guards, pass, text, verdict to Entra.
///
/// Without arguments it runs against a sandbox in this process, and needs no account.
#[derive(Parser)]
#[command(after_help = "Example: cargo run --example onboarding -- --fault kpn.send=lost_answer")]
struct Cli {
    /// The vendor that the sandbox simulates
    #[arg(long, default_value = "kpn", value_parser = PossibleValuesParser::new(postduif::VENDORS))]
    provider: String,
    /// Send through this connection URL instead; repeat it for a failover, in order
    #[arg(long)]
    sms_url: Vec<String>,
    /// The file of a call-out's body: of a lifecycle workflow or an access package
    #[arg(long, conflicts_with = "user")]
    callout: Option<PathBuf>,
    /// The URL of a sandbox that already runs, instead of one in this process
    #[arg(long)]
    sandbox: Option<String>,
    /// The user to onboard, by object id; the sandbox's --help lists its users
    #[arg(long)]
    user: Option<Guid>,
    /// Set a fault of the sandbox first, as AT=FAULT or AT=FAULT*TIMES
    #[arg(long)]
    fault: Vec<String>,
    /// Use a real tenant: ENTRA_TENANT_ID, ENTRA_CLIENT_ID, ENTRA_CLIENT_SECRET
    #[arg(long, conflicts_with_all = ["sandbox", "fault"])]
    live: bool,
    #[command(flatten)]
    safety: Safety,
    /// The result as JSON, and no story
    #[arg(long)]
    json: bool,
}

/// The parsed command line.
#[derive(Debug)]
#[non_exhaustive]
pub struct Args {
    /// What Entra asks for.
    pub callout: Callout,
    /// The tenant.
    pub tenant: String,
    /// The application in the tenant.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: SecretString,
    /// Where Microsoft Graph and its login are.
    pub cloud: Cloud,
    /// The connection URLs of the vendors, in order. Empty for the sandbox's vendor.
    pub sms_urls: Vec<String>,
    /// The connection URL of the sandbox's vendor.
    pub sandbox_sms_url: String,
    /// Which numbers may be texted.
    pub safety: Safety,
    /// The HTTP client.
    pub client: Client,
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        Self::Config(error.to_string())
    }
}

/// Parses the command line, and calls `onboard` for a user of a sandbox or of a real tenant.
pub fn run<Onboard>(onboard: impl FnOnce(Args) -> Onboard) -> ExitCode
where
    Onboard: Future<Output = Result<Ending, Stop>>,
{
    super::run(async move |cli: Cli| {
        let output = Output::new(cli.json);
        let body = cli.callout.as_ref().map(read).transpose()?;
        let ending = if cli.live {
            let ending = onboard(live(cli, body)?).await?;
            story::tell(output, &ending);
            ending
        } else {
            // In scope to the end of the flow.
            let (embedded, url) = match &cli.sandbox {
                Some(url) => (None, url.clone()),
                None => {
                    let sandbox = Sandbox::start().await;
                    let url = sandbox.url();
                    (Some(sandbox), url)
                }
            };
            let world = World::join(Client::new()?, &url).await?;
            let args = sandboxed(cli, body, &world).await?;
            let before = world.list("messages").await?.len();
            let ending = onboard(args).await?;
            story::tell(output, &ending);
            story::tell_phone(output, &world.list("messages").await?[before..], &ending);
            story::tell_entra(output, &world.list("resumes").await?, &ending);
            drop(embedded);
            ending
        };
        if output.is_json() {
            print_ending(&ending);
        }
        match ending.verdict {
            Verdict::Completed => Ok(()),
            Verdict::Failed(_) => Err(Stop::Failed),
        }
    })
}

async fn sandboxed(cli: Cli, body: Option<Vec<u8>>, world: &World) -> Result<Args, Stop> {
    for fault in &cli.fault {
        world.set_fault(fault).await?;
    }
    let sandbox_sms_url = if cli.sms_url.is_empty() {
        world.sms_url(&cli.provider)?
    } else {
        String::new()
    };
    let body = match body {
        Some(body) => body,
        None => {
            let order = json!({"user": cli.user.unwrap_or(world.joiner()?), "kind": "lifecycle"});
            world.post("callouts", &order).await?["body"]
                .to_string()
                .into_bytes()
        }
    };
    Ok(Args {
        callout: callout(&body)?,
        tenant: world.text("tenant")?.to_owned(),
        client_id: world.text("client_id")?.to_owned(),
        client_secret: "sandbox".into(),
        cloud: Cloud::GLOBAL
            .with_graph(world.base("graph")?)
            .with_login(world.base("login")?),
        sms_urls: cli.sms_url,
        sandbox_sms_url,
        safety: cli.safety,
        client: Client::new()?,
    })
}

fn live(cli: Cli, body: Option<Vec<u8>>) -> Result<Args, Stop> {
    let variable =
        |name: &str| env::var(name).map_err(|_| Stop::config(format!("--live needs {name}")));
    if cli.sms_url.is_empty() {
        return Err(Stop::config("--live needs --sms-url"));
    }
    Ok(Args {
        tenant: variable("ENTRA_TENANT_ID")?,
        client_id: variable("ENTRA_CLIENT_ID")?,
        client_secret: variable("ENTRA_CLIENT_SECRET")?.into(),
        callout: match (body, cli.user) {
            (Some(body), _) => callout(&body)?,
            // Entra did not call, so nothing is resumed.
            (None, Some(user)) => Callout::new(Guid::random().into(), user.into(), None, now()),
            (None, None) => return Err(Stop::config("--live needs --callout or --user")),
        },
        cloud: Cloud::GLOBAL,
        sms_urls: cli.sms_url,
        sandbox_sms_url: String::new(),
        safety: cli.safety,
        client: Client::new()?,
    })
}

fn callout(body: &[u8]) -> Result<Callout, Stop> {
    match CalloutParser::new().parse(body, now()) {
        // Without a user, the flow fails at once and Entra gets that verdict.
        Ok(Parsed::Callout(callout) | Parsed::NoUser(callout)) => Ok(callout),
        Ok(_) => Err(Stop::config(
            "the call-out asks for nothing: it is Entra's test of the connection",
        )),
        Err(error) => Err(Stop::config(format!("--callout: {error}"))),
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, Stop> {
    fs::read(path).map_err(|error| Stop::config(format!("--callout {}: {error}", path.display())))
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// Completes when the user presses Ctrl-C.
pub async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Signals are not available here, so none comes.
        future::pending().await
    }
}

fn print_ending(ending: &Ending) {
    let receipt = ending.receipt.as_ref().map(|receipt| {
        json!({
            "id": receipt.id(),
            "reference": receipt.reference(),
            "parts": receipt.parts(),
        })
    });
    let pass = ending.pass.as_ref().map(|pass| {
        json!({
            "valid_until": pass.valid_until,
            "one_time": pass.one_time,
            "revoked": pass.revoked(),
        })
    });
    let steps: Vec<_> = ending
        .steps
        .iter()
        .map(|taken| {
            json!({
                "step": taken.step.as_str(),
                "ms": u64::try_from(taken.took.as_millis()).unwrap_or(u64::MAX),
            })
        })
        .collect();
    print(&json!({
        "verdict": if ending.verdict == Verdict::Completed { "completed" } else { "failed" },
        "reason": ending.reason().map(FailureReason::as_str),
        "provider": ending.provider,
        "receipt": receipt,
        "to": ending.to.map(|to| to.masked().to_string()),
        "pass": pass,
        "resumed": ending.heard,
        "attempts": ending.attempts,
        "steps": steps,
    }));
}
