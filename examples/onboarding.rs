//! `cargo run --example onboarding`: one colleague onboarded, over real HTTP, and the story of it.

use std::{fs, future, path::PathBuf, process::ExitCode, sync::Arc, time::SystemTime};

use chrono::{DateTime, Utc};
use clap::{Parser, builder::PossibleValuesParser};
use postduif::{
    Guid, SmsProvider,
    directory::{Callout, FailureReason, Verdict},
    entra::{CalloutParser, Cloud, Credential, Entra, Parsed},
    http::{BaseUrl, Client, Request},
    numbers,
    onboarding::{Ending, Numbers, Onboarding, ReadNumber},
};
use postduif_examples::{Catch, Stop, VENDORS, print_json, run};
use postduif_sandbox::{Cast, FaultSpec, Sandbox};
use serde_json::{Value, json};

/// Runs the whole flow: call-out, person, guards, pass, text, answer to Entra.
///
/// Without arguments it plays against a pretend world in this process, and needs no account.
#[derive(Parser)]
#[command(after_help = "Example: cargo run --example onboarding -- --fault kpn.send=lost_answer")]
struct Args {
    /// The pretend world's vendor
    #[arg(long, default_value = "kpn", value_parser = PossibleValuesParser::new(VENDORS))]
    provider: String,
    /// Send through this instead; a connection URL; several are a failover
    #[arg(long)]
    sms_url: Vec<String>,
    /// A call-out's body: of a lifecycle workflow or an access package
    #[arg(long, conflicts_with = "user")]
    callout: Option<PathBuf>,
    /// A pretend world already running, instead of one in this process
    #[arg(long)]
    sandbox: Option<String>,
    /// Whom to onboard, by object id; the sandbox's --help lists its people
    #[arg(long)]
    user: Option<Guid>,
    /// Sets a fault of the pretend world first, as AT=FAULT or AT=FAULT*TIMES
    #[arg(long)]
    fault: Vec<String>,
    /// A real tenant: ENTRA_TENANT_ID, ENTRA_CLIENT_ID, ENTRA_CLIENT_SECRET
    #[arg(long, conflicts_with_all = ["sandbox", "fault"])]
    live: bool,
    #[command(flatten)]
    catch: Catch,
    /// The result as JSON, and no story
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run(onboard)
}

async fn onboard(args: Args) -> Result<(), Stop> {
    let client = Client::new()?;
    let body = args.callout.as_ref().map(read).transpose()?;
    if args.live {
        return live(&args, client, body).await;
    }
    // Kept to the end: it is the world where no other is named.
    let embedded = if args.sandbox.is_none() {
        Some(Sandbox::start().await)
    } else {
        None
    };
    let url = args
        .sandbox
        .clone()
        .unwrap_or_else(|| embedded.as_ref().map(Sandbox::url).unwrap_or_default());
    let world = World::join(client.clone(), &url).await?;
    for fault in &args.fault {
        world.set_fault(fault).await?;
    }
    let vendor = args.provider.as_str();
    let provider = match args.sms_url.as_slice() {
        [] => {
            let url = world.about["urls"][vendor].as_str();
            postduif::from_url_with(
                url.ok_or_else(|| Stop::config(format!("no {vendor} there")))?,
                &client,
            )?
        }
        urls => postduif::failover_with(&urls.join(" "), &client)?,
    };
    let provider = args.catch.around(provider);
    let cloud = Cloud::GLOBAL
        .with_graph(world.base("graph")?)
        .with_login(world.base("login")?);
    let credential =
        Credential::client_secret(world.text("tenant")?, world.text("client_id")?, "sandbox");
    let entra = Arc::new(
        Entra::builder(credential)
            .with_cloud(cloud)
            .with_client(client)
            .build()?,
    );
    let body = match body {
        Some(body) => body,
        None => {
            let order = json!({"user": args.user.unwrap_or(world.joiner()?), "kind": "lifecycle"});
            world.post("callouts", &order).await?["body"]
                .to_string()
                .into_bytes()
        }
    };
    let before = world.list("messages").await?.len();
    let ending = flow(&entra, provider, callout(&body)?).await?;
    if !args.json {
        story::tell(&ending);
        story::tell_phone(&world.list("messages").await?[before..], &ending);
        story::tell_entra(&world.list("resumes").await?, &ending);
    }
    finish(&ending, args.json)
}

/// The same flow in a real tenant.
async fn live(args: &Args, client: Client, body: Option<Vec<u8>>) -> Result<(), Stop> {
    let variable =
        |name: &str| std::env::var(name).map_err(|_| Stop::config(format!("--live needs {name}")));
    if args.sms_url.is_empty() {
        return Err(Stop::config("--live needs --sms-url"));
    }
    let credential = Credential::client_secret(
        variable("ENTRA_TENANT_ID")?,
        variable("ENTRA_CLIENT_ID")?,
        variable("ENTRA_CLIENT_SECRET")?,
    );
    let entra = Arc::new(
        Entra::builder(credential)
            .with_client(client.clone())
            .build()?,
    );
    let callout = match (body, args.user) {
        (Some(body), _) => callout(&body)?,
        // Nobody called, so nobody is told.
        (None, Some(user)) => Callout::new(Guid::random().into(), user.into(), None, now()),
        (None, None) => return Err(Stop::config("--live needs --callout or --user")),
    };
    let provider = args
        .catch
        .around(postduif::failover_with(&args.sms_url.join(" "), &client)?);
    let ending = flow(&entra, provider, callout).await?;
    if !args.json {
        story::tell(&ending);
    }
    finish(&ending, args.json)
}

/// Puts the flow together and runs it: all that a service of yours needs.
async fn flow(
    entra: &Arc<Entra>,
    provider: Arc<dyn SmsProvider>,
    callout: Callout,
) -> Result<Ending, Stop> {
    let onboarding = Onboarding::builder()
        .with_graph(Arc::clone(entra))
        .with_issuer(Arc::clone(entra))
        .with_provider(provider)
        // What people type into a directory: with the user's region, else as in the Netherlands.
        .with_numbers(Numbers::reading("NL", |text, region| {
            let reading = numbers::read(text, Some(region))?;
            Ok(ReadNumber::new(
                reading.require_mobile()?,
                reading.is_known(),
            ))
        }))
        .build()?;
    let shutdown = async {
        // Where no signal can be waited for, none comes.
        if tokio::signal::ctrl_c().await.is_err() {
            future::pending().await
        }
    };
    onboarding
        .run_until(callout, shutdown)
        .await
        .map_err(|error| Stop::config(error.to_string()))
}

/// Reads a call-out. One that is about nobody whom we could text runs as well, and Entra hears "failed".
fn callout(body: &[u8]) -> Result<Callout, Stop> {
    match CalloutParser::new().parse(body, now()) {
        Ok(Parsed::Callout(callout) | Parsed::NoUser(callout)) => Ok(callout),
        Ok(_) => Err(Stop::config(
            "the call-out asks for nothing: somebody tests the connection",
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

fn finish(ending: &Ending, json: bool) -> Result<(), Stop> {
    if json {
        print_json(&json!({
            "verdict": if ending.verdict == Verdict::Completed { "completed" } else { "failed" },
            "reason": ending.reason().map(FailureReason::as_str),
            "provider": ending.provider,
            "receipt": ending.receipt.as_ref().map(|receipt| json!({
                "id": receipt.id(),
                "reference": receipt.reference().as_str(),
                "parts": receipt.parts(),
            })),
            "to": ending.to.map(|to| to.masked().to_string()),
            "pass": ending.pass.as_ref().map(|pass| json!({
                "valid_until": pass.valid_until,
                "one_time": pass.one_time,
                "revoked": pass.revoked(),
            })),
            "resumed": ending.heard,
            "attempts": ending.attempts,
            "steps": ending.steps.iter().map(|taken| json!({
                "step": taken.step.as_str(),
                "ms": u64::try_from(taken.took.as_millis()).unwrap_or(u64::MAX),
            })).collect::<Vec<_>>(),
        }));
    }
    match ending.verdict {
        Verdict::Completed => Ok(()),
        Verdict::Failed(_) => Err(Stop::Failed),
    }
}

/// A sandbox, in this process or another: what it says of itself, and its control calls.
struct World {
    client: Client,
    base: BaseUrl,
    about: Value,
}

impl World {
    async fn join(client: Client, url: &str) -> Result<Self, Stop> {
        let mut world = Self {
            client,
            base: BaseUrl::parse(url)?,
            about: Value::Null,
        };
        world.about = world.get("").await?;
        Ok(world)
    }

    async fn get(&self, what: &str) -> Result<Value, Stop> {
        // Room for what a long life of the sandbox has gathered.
        self.call(Request::get(&self.base, &format!("/_sandbox/{what}")).with_messages(10_000))
            .await
    }

    async fn post(&self, what: &str, body: &Value) -> Result<Value, Stop> {
        self.call(Request::post(&self.base, &format!("/_sandbox/{what}")).with_json(body))
            .await
    }

    async fn call(&self, request: Request) -> Result<Value, Stop> {
        let answer = self
            .client
            .send(request)
            .await
            .map_err(|_| Stop::config("no sandbox answers there"))?;
        let body = answer
            .body()
            .map_err(|_| Stop::config("the sandbox's answer broke off"))?;
        let told: Value = serde_json::from_slice(body)
            .map_err(|_| Stop::config("what answers there is no sandbox"))?;
        if answer.is_success() {
            Ok(told)
        } else {
            Err(Stop::config(format!(
                "the sandbox says: {}",
                told["error"].as_str().unwrap_or("no")
            )))
        }
    }

    async fn set_fault(&self, fault: &str) -> Result<(), Stop> {
        let spec: FaultSpec = fault
            .parse()
            .map_err(|error| Stop::config(format!("--fault: {error}")))?;
        self.post("faults", &json!(spec)).await.map(drop)
    }

    async fn list(&self, what: &str) -> Result<Vec<Value>, Stop> {
        match self.get(what).await? {
            Value::Array(list) => Ok(list),
            _ => Err(Stop::config("what answers there is no sandbox")),
        }
    }

    fn text(&self, name: &str) -> Result<&str, Stop> {
        self.about[name]
            .as_str()
            .ok_or_else(|| Stop::config("what answers there is no sandbox"))
    }

    fn base(&self, name: &str) -> Result<BaseUrl, Stop> {
        Ok(BaseUrl::parse(self.text(name)?)?)
    }

    fn joiner(&self) -> Result<Guid, Stop> {
        Cast::JOINER
            .parse()
            .map_err(|_| Stop::config("the sandbox's joiner has no GUID"))
    }
}

/// The story, for people.
mod story {
    use postduif::{
        directory::{FailureReason, Verdict},
        onboarding::{Ending, StepName},
    };
    use postduif_examples::print;
    use serde_json::Value;

    /// What the flow did, step by step, and how long each took.
    pub(crate) fn tell(ending: &Ending) {
        print(format!(
            "\nEntra calls about a new colleague (execution {}).\n",
            ending.flow
        ));
        for taken in &ending.steps {
            let what = match taken.step {
                StepName::ReadUser => "the person is read from Microsoft Graph",
                StepName::Guard => "enabled, no guest, no administrator, a mobile number?",
                StepName::IssuePass => "a Temporary Access Pass",
                StepName::Send => "the pass goes out as a text",
                StepName::AwaitReport => "the vendor's report is waited for",
                StepName::RevokePass => "the pass is taken away",
                StepName::Resume => "Entra is told",
                _ => "",
            };
            print(format!(
                "  {:<13}{:>6} ms   {what}",
                taken.step.as_str(),
                taken.took.as_millis()
            ));
        }
        print("");
        if let (Some(receipt), Some(to)) = (&ending.receipt, ending.to) {
            let id = receipt
                .id()
                .map(|id| format!(" as {id}"))
                .unwrap_or_default();
            print(format!(
                "{} has the text for {}{id}.",
                receipt.provider(),
                to.masked()
            ));
        }
        if let Some(pass) = &ending.pass {
            let until = pass
                .valid_until
                .map(|until| until.format("%Y-%m-%d %H:%M UTC").to_string());
            let until = until.unwrap_or_else(|| "an unknown time".into());
            print(
                match (pass.revoked(), pass.may_be_usable_until().is_some()) {
                    (true, _) => "The pass was taken away: nobody can sign in with it.".to_owned(),
                    (false, true) => {
                        format!("The pass could not be taken away; it may be usable until {until}.")
                    }
                    (false, false) => format!("The pass works until {until}."),
                },
            );
        }
        print(match ending.verdict {
            Verdict::Completed => "The verdict: completed.".to_owned(),
            Verdict::Failed(reason) => format!("The verdict: failed, {}.", words(reason)),
        });
    }

    /// The texts that reached the phone, as it shows them.
    pub(crate) fn tell_phone(messages: &[Value], ending: &Ending) {
        let usable =
            ending.receipt.is_some() && ending.pass.as_ref().is_some_and(|pass| !pass.revoked());
        for (place, message) in messages.iter().enumerate() {
            let last = place + 1 == messages.len();
            let pass = if usable && last {
                "its pass works"
            } else {
                "its pass was taken away"
            };
            print(format!(
                "\nWhat the phone shows, from {} ({} part(s); {pass}):\n",
                message["sender"].as_str().unwrap_or_default(),
                message["parts"]
            ));
            for line in wrapped(message["text"].as_str().unwrap_or_default(), 56) {
                print(format!("  | {line}"));
            }
        }
        if messages.is_empty() {
            print("\nThe phone shows nothing: no text was sent.");
        }
    }

    /// What Entra heard of this execution.
    pub(crate) fn tell_entra(resumes: &[Value], ending: &Ending) {
        let flow = ending.flow.to_string();
        let heard = resumes
            .iter()
            .rfind(|resume| resume["execution"] == flow.as_str());
        print(match heard {
            Some(resume) => {
                let said = resume["status"]
                    .as_str()
                    .or(resume["detail"].as_str())
                    .unwrap_or_default();
                format!(
                    "\nWhat Entra heard: {said} (answered {}).",
                    resume["answered"]
                )
            }
            None => "\nEntra heard nothing: nobody waits.".to_owned(),
        });
    }

    fn words(reason: FailureReason) -> String {
        reason.as_str().replace('_', " ")
    }

    fn wrapped(text: &str, width: usize) -> Vec<String> {
        let mut lines = vec![String::new()];
        for word in text.split(' ') {
            match lines.last_mut() {
                Some(line) if line.is_empty() => line.push_str(word),
                Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines
    }
}
