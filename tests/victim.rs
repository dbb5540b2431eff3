//! A program that the tests let die: one flow over a journal in a file, or one text.
//!
//! `victim flow SANDBOX CALLOUT JOURNAL DEATH`, with DEATH as `never`, `before:N` or `after:N`: the process
//! ends, as by `kill -9`, before or after the N-th entry is written. `victim send URL NUMBER TEXT`.

#![expect(clippy::print_stdout, reason = "what became of it goes to stdout")]

mod file_journal;

use std::{
    env, fs,
    sync::Arc,
    time::{Duration, SystemTime},
};

use file_journal::{Death, FileJournal};
use postduif::{
    Message, SmsProvider as _, Text,
    entra::{CalloutParser, Cloud, Credential, Entra, Parsed},
    http::{BaseUrl, Client},
    onboarding::Onboarding,
};
use serde_json::Value;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["flow", sandbox, callout, journal, death] => flow(sandbox, callout, journal, death).await,
        ["send", url, number, text] => send(url, number, text).await,
        _ => Err("flow SANDBOX CALLOUT JOURNAL DEATH, or send URL NUMBER TEXT".into()),
    }
}

async fn flow(sandbox: &str, callout: &str, journal: &str, death: &str) -> Outcome {
    let about: Value = serde_json::from_str(&env::var("SANDBOX_ABOUT")?)?;
    let base = |path: &str| BaseUrl::parse(&format!("{sandbox}/{path}"));
    let client = Client::builder()
        .with_timeout(Duration::from_secs(5))
        .build()?;
    let text = |name: &str| about[name].as_str().unwrap_or_default().to_owned();
    let entra = Entra::builder(Credential::client_secret(
        text("tenant"),
        text("client_id"),
        "sandbox",
    ))
    .with_cloud(
        Cloud::GLOBAL
            .with_graph(base("graph")?)
            .with_login(base("login")?),
    )
    .with_client(client.clone())
    .build()?;
    let entra = Arc::new(entra);
    let onboarding = Onboarding::builder()
        .with_graph(Arc::clone(&entra))
        .with_issuer(entra)
        .with_provider(postduif::from_url_with(&text("sms_url"), &client)?)
        .with_journal(Arc::new(FileJournal::open(
            journal,
            parse(death)?,
            Duration::ZERO,
        )?))
        .with_pauses([Duration::from_millis(10); 6])
        .build()?;
    let Parsed::Callout(callout) =
        CalloutParser::new().parse(&fs::read(callout)?, SystemTime::now().into())?
    else {
        return Err("the call-out is not about a user".into());
    };
    let ending = onboarding.run(callout).await?;
    println!("{ending:?}");
    Ok(())
}

fn parse(death: &str) -> Result<Death, std::num::ParseIntError> {
    Ok(match death.split_once(':') {
        Some(("before", place)) => Death::Before(place.parse()?),
        Some(("after", place)) => Death::After(place.parse()?),
        _ => Death::Never,
    })
}

async fn send(url: &str, number: &str, text: &str) -> Outcome {
    let provider = postduif::from_url(url)?;
    let message = Message::new(number.parse()?, Text::new(text)?);
    let sent = provider.send(&message).await;
    println!("{provider:?} {message:?} {sent:?}");
    if let Some(words) = sent.as_ref().err().and_then(|error| error.vendor_message()) {
        println!("the vendor says: {words}");
    }
    println!("{:?}", provider.check().await);
    Ok(())
}
