//! A program that the tests let die: one flow over a journal in a file, or one text.
//!
//! `victim flow SANDBOX CALLOUT JOURNAL DEATH`, with DEATH as `never`, `before:N` or `after:N`: the process
//! ends, as by `kill -9`, before or after the N-th entry is written. `victim send URL NUMBER TEXT`.

#![expect(clippy::print_stdout, reason = "what became of it goes to stdout")]

use std::{
    env, fs,
    fs::{File, OpenOptions},
    future,
    io::Write as _,
    process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use postduif::{
    FlowId, Message, SmsProvider as _, TapId, Text, async_trait,
    entra::{CalloutParser, Cloud, Credential, Entra, Parsed},
    http::{BaseUrl, Client},
    onboarding::{Entry, Journal, JournalError, Onboarding},
};
use serde_json::{Value, json};

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
        .graph(Arc::clone(&entra) as _)
        .issuer(entra)
        .provider(postduif::from_url_with(&text("sms_url"), &client)?)
        .journal(Arc::new(FileJournal::open(journal, death)?))
        .pauses([Duration::from_millis(10); 6])
        .build()?;
    let Parsed::Callout(callout) =
        CalloutParser::new().parse(&fs::read(callout)?, SystemTime::now().into())?
    else {
        return Err("the call-out is not about a user".into());
    };
    let ending = onboarding.run(callout, future::pending()).await?;
    println!("{ending:?}");
    Ok(())
}

async fn send(url: &str, number: &str, text: &str) -> Outcome {
    let provider = postduif::from_url(url)?;
    let message = Message::new(number.parse()?, Text::new(text)?);
    println!(
        "{provider:?} {message:?} {:?}",
        provider.send(&message).await
    );
    Ok(())
}

/// A journal of one JSON line an entry, synced before `record` returns.
#[derive(Debug)]
struct FileJournal {
    path: String,
    file: Mutex<File>,
    written: AtomicUsize,
    death: Option<(Moment, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    After,
    Before,
}

impl FileJournal {
    fn open(path: &str, death: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let death = match death.split_once(':') {
            Some(("before", place)) => Some((Moment::Before, place.parse()?)),
            Some(("after", place)) => Some((Moment::After, place.parse()?)),
            _ => None,
        };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(file),
            written: AtomicUsize::new(0),
            death,
        })
    }

    fn lines(&self) -> Result<Vec<Value>, JournalError> {
        let text = fs::read_to_string(&self.path)
            .map_err(|error| JournalError::new("read").with_source(error))?;
        let lines = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>();
        lines.map_err(|error| JournalError::new("a line is no entry").with_source(error))
    }

    fn die(&self, moment: Moment, place: usize) {
        if self.death == Some((moment, place)) {
            // No destructor, no flush: as by `kill -9`.
            process::abort();
        }
    }
}

#[async_trait]
impl Journal for FileJournal {
    async fn entries(&self, flow: &FlowId) -> Result<Vec<Entry>, JournalError> {
        let lines = self
            .lines()?
            .into_iter()
            .filter(|line| line["flow"] == json!(flow));
        let entries = lines
            .map(|line| serde_json::from_value(line["entry"].clone()))
            .collect::<Result<_, _>>();
        entries.map_err(|error| JournalError::new("a line is no entry").with_source(error))
    }

    async fn record(&self, flow: &FlowId, entry: &Entry) -> Result<(), JournalError> {
        let place = self.written.fetch_add(1, Ordering::SeqCst);
        self.die(Moment::Before, place);
        let line = json!({"flow": flow, "entry": entry}).to_string() + "\n";
        let written = self
            .file
            .lock()
            .map_err(|_| JournalError::new("a writer died"))
            .and_then(|mut file| {
                let written = file
                    .write_all(line.as_bytes())
                    .and_then(|()| file.sync_data());
                written.map_err(|error| JournalError::new("write").with_source(error))
            });
        written?;
        self.die(Moment::After, place);
        Ok(())
    }

    async fn issued(&self, tap: &TapId) -> Result<bool, JournalError> {
        Ok(self
            .lines()?
            .iter()
            .any(|line| line["entry"]["issued"]["tap"] == json!(tap)))
    }
}
