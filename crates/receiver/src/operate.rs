//! The commands of operators and auditors. They open the store alone: no vendor, no Graph.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
    time::SystemTime,
};

use clap::{Args, Subcommand};
use postduif::{
    ConfigError, Guid,
    directory::{FlowId, UserId},
    onboarding::JournalError,
    queue::{Archive, AuditLine, FlowDetails, FlowFilter, FlowSummary, Operator, Queue, Retried},
};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists flows, the latest call-out first
    Flows(Flows),
    /// Shows a flow with its entries
    Show(Show),
    /// Runs a flow that has failed once more, as a new flow; Entra is not told of it, since it no longer waits
    Retry(Retry),
    /// Prints all that is stored of a user, as JSON
    Export(Export),
    /// Empties the flows of a user to ids and verdicts; the audit keeps the object id
    Forget(Forget),
    /// Prints the audit as JSON, one line each
    Audit(Audit),
}

#[derive(Args, Debug)]
pub(crate) struct Flows {
    /// Only those that have failed
    #[arg(long, conflicts_with = "open")]
    failed: bool,
    /// Only those that are open
    #[arg(long)]
    open: bool,
    /// Only those of this user
    #[arg(long, value_name = "GUID")]
    user: Option<Guid>,
    /// Only those whose call-out was received at this time or later
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Time>,
    /// How many at most
    #[arg(long, default_value = "100")]
    limit: usize,
    /// As JSON, one line each
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The flow: the id of Entra's execution
    execution: Guid,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Retry {
    /// The flow: the id of Entra's execution
    execution: Guid,
    /// Your name, for the audit
    #[arg(long, value_name = "NAME")]
    by: Operator,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Export {
    /// The object id of the user
    #[arg(long, value_name = "GUID")]
    user: Guid,
    /// Your name, for the audit
    #[arg(long, value_name = "NAME", env = "USER")]
    by: Operator,
}

#[derive(Args, Debug)]
pub(crate) struct Forget {
    /// The object id of the user
    #[arg(long, value_name = "GUID")]
    user: Guid,
    /// Your name, for the audit
    #[arg(long, value_name = "NAME")]
    by: Operator,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Audit {
    /// From this time on, such as 2026-11-01 or 2026-11-01T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Time,
    /// Up to this time, which is left out; defaults to now
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Time>,
}

type Time = postduif::chrono::DateTime<postduif::chrono::Utc>;

/// Reads a day or a time, in UTC.
fn time(text: &str) -> Result<Time, &'static str> {
    let expected = "expected a day such as 2026-11-01, or a time such as 2026-11-01T08:00:00Z";
    let whole = if text.contains('T') {
        text.to_owned()
    } else {
        format!("{text}T00:00:00Z")
    };
    whole.parse().map_err(|_| expected)
}

/// Why a command fails.
enum Failure {
    /// Wrong use, or a store that cannot be opened.
    Config(ConfigError),
    Store(JournalError),
    /// What was asked for cannot be done.
    Refused(String),
    /// Nobody reads the output.
    Output(io::Error),
}

/// Runs a command, and returns its exit code: 0 if it is done, 1 if what was asked for failed, 2 for wrong use.
pub(crate) async fn run(store: &str, command: &Command) -> ExitCode {
    let is_json = match command {
        Command::Flows(flows) => flows.json,
        Command::Show(show) => show.json,
        Command::Retry(retry) => retry.json,
        Command::Forget(forget) => forget.json,
        Command::Export(_) | Command::Audit(_) => true,
    };
    let (kind, message, code) = match execute(store, command).await {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Err(Failure::Output(error)) => ("output", error.to_string(), 1),
        Err(Failure::Config(error)) => ("config", error.to_string(), 2),
        Err(Failure::Store(error)) => ("store", error.to_string(), 1),
        Err(Failure::Refused(why)) => ("refused", why, 1),
    };
    if is_json {
        let error = json!({"error": {"kind": kind, "message": message}});
        // The exit code tells as well.
        let _ = writeln!(io::stdout(), "{error}");
    } else {
        eprintln!("error: {message}");
    }
    ExitCode::from(code)
}

async fn execute(store: &str, command: &Command) -> Result<(), Failure> {
    if store == "memory" {
        return Err(Failure::Config(ConfigError::new(
            "the store is the memory of the service, which nobody else can read: give --store",
        )));
    }
    // Beside the service, which may run: a transaction of ours is as good as one of its own.
    let queue = Queue::builder(store).open_beside().await?;
    let archive = queue.archive().ok_or_else(|| {
        Failure::Config(ConfigError::new("this store keeps nothing for operators"))
    })?;
    let mut out = io::stdout();
    match command {
        Command::Flows(flows) => list(archive, flows, &mut out).await?,
        Command::Show(show) => {
            let flow = FlowId::from(show.execution);
            let details = archive.flow(&flow).await?;
            let details = details.ok_or_else(|| Failure::Refused(Retried::Unknown.to_string()))?;
            if show.json {
                writeln!(out, "{}", serde_json::to_string(&details)?)?;
            } else {
                describe(&mut out, &details)?;
            }
        }
        Command::Retry(retry) => {
            let flow = FlowId::from(retry.execution);
            let retried = archive.retry(&flow, &retry.by, now()).await?;
            let Retried::Started(new) = retried else {
                return Err(Failure::Refused(retried.to_string()));
            };
            if retry.json {
                writeln!(
                    out,
                    "{}",
                    serde_json::to_string(&json!({"flow": new, "retry_of": flow}))?
                )?;
            } else {
                writeln!(out, "{new}")?;
            }
        }
        Command::Export(export) => {
            let user = UserId::from(export.user);
            let export = archive.export(&user, &export.by, now()).await?;
            writeln!(out, "{}", serde_json::to_string(&export)?)?;
        }
        Command::Forget(forget) => {
            let user = UserId::from(forget.user);
            let forgotten = archive.forget(&user, &forget.by, now()).await?;
            if forget.json {
                writeln!(out, "{}", serde_json::to_string(&forgotten)?)?;
            } else {
                writeln!(out, "emptied {} flows", forgotten.emptied)?;
                if forgotten.later > 0 {
                    writeln!(
                        out,
                        "{} more are emptied later: they are open, or have a pass that may be usable",
                        forgotten.later
                    )?;
                }
            }
        }
        Command::Audit(audit) => {
            let to = audit.to.unwrap_or_else(now);
            let mut after = None::<AuditLine>;
            loop {
                let last = after.as_ref().map(|line| line.id.as_str());
                let page = archive.audit(audit.from, to, last, PAGE).await?;
                for line in &page {
                    writeln!(out, "{}", serde_json::to_string(line)?)?;
                }
                match page.into_iter().next_back() {
                    Some(last) => after = Some(last),
                    None => break,
                }
            }
        }
    }
    out.flush()?;
    Ok(())
}

async fn list(
    archive: &dyn Archive,
    flows: &Flows,
    out: &mut (impl Write + Send),
) -> Result<(), Failure> {
    let mut filter = FlowFilter::new();
    if flows.failed {
        filter = filter.failed();
    }
    if flows.open {
        filter = filter.open();
    }
    if let Some(user) = flows.user {
        filter = filter.of_user(user.into());
    }
    if let Some(since) = flows.since {
        filter = filter.since(since);
    }
    if !flows.json {
        let head = ["execution", "received", "state", "reason", "provider"];
        let [execution, received, state, reason, provider] = head;
        writeln!(
            out,
            "{execution:36}  {received:20}  {state:9}  {reason:18}  {provider:12}  passes  heard"
        )?;
    }
    let (mut left, mut after) = (flows.limit, None);
    while left > 0 {
        let page = archive
            .flows(&filter, after.as_ref(), left.min(PAGE))
            .await?;
        for flow in &page {
            if flows.json {
                writeln!(out, "{}", serde_json::to_string(flow)?)?;
            } else {
                row(out, flow)?;
            }
        }
        left = left.saturating_sub(page.len());
        match page.last() {
            Some(last) => after = Some(last.status.flow),
            None => break,
        }
    }
    Ok(())
}

fn row(out: &mut impl Write, flow: &FlowSummary) -> io::Result<()> {
    let status = &flow.status;
    let ending = status.ending.as_ref();
    let state = state(flow);
    let reason = ending.and_then(|ending| ending.reason());
    let provider = ending.and_then(|ending| ending.provider.as_deref());
    let passes = ending.map_or_else(String::new, |ending| ending.attempts.to_string());
    let heard = ending.map_or("", |ending| if ending.heard { "yes" } else { "no" });
    let line = format!(
        "{:36}  {:20}  {state:9}  {:18}  {:12}  {passes:>6}  {heard}",
        status.flow.to_string(),
        second(&status.received_at),
        reason.map_or("", |reason| reason.as_str()),
        provider.unwrap_or_default(),
    );
    writeln!(out, "{}", line.trim_end())
}

fn describe(out: &mut impl Write, details: &FlowDetails) -> io::Result<()> {
    let status = &details.summary.status;
    let mut line = |name: &str, value: &dyn Display| writeln!(out, "{name:10} {value}");
    line("execution", &status.flow)?;
    if let Some(user) = &status.user {
        line("user", user)?;
    }
    line("state", &state(&details.summary))?;
    line("received", &second(&status.received_at))?;
    if let Some(ending) = &status.ending {
        if let Some(reason) = ending.reason() {
            line("reason", &reason)?;
        }
        if let Some(provider) = &ending.provider {
            line("provider", provider)?;
        }
        if let Some(code) = &ending.code {
            line("code", code)?;
        }
        line("passes", &ending.attempts)?;
        line("doubts", &ending.doubts)?;
        line("heard", &(if ending.heard { "yes" } else { "no" }))?;
        if let Some(until) = ending.may_be_usable_until() {
            line(
                "usable",
                &format!("a pass may be, until {}", second(&until)),
            )?;
        }
    }
    if let Some(at) = &status.done_at {
        line("ended", &second(at))?;
    }
    if let Some(at) = &details.due_at {
        line("due", &second(at))?;
    }
    if let Some(flow) = &details.summary.retry_of {
        line("retry of", flow)?;
    }
    if let Some(flow) = &details.retried_as {
        line("retried as", flow)?;
    }
    for record in &details.entries.records {
        let entry = serde_json::to_string(&record.entry)?;
        writeln!(out, "{}  {entry}", second(&record.at))?;
    }
    for report in &details.entries.reports {
        writeln!(
            out,
            "{}  {}",
            second(&report.at),
            serde_json::to_string(report)?
        )?;
    }
    Ok(())
}

fn state(flow: &FlowSummary) -> &'static str {
    let ending = flow.status.ending.as_ref();
    match (
        flow.status.done_at,
        ending.and_then(|ending| ending.reason()),
    ) {
        (None, _) => "open",
        (Some(_), None) => "completed",
        (Some(_), Some(_)) => "failed",
    }
}

fn second(time: &Time) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn now() -> Time {
    SystemTime::now().into()
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::Store(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Output(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// The most elements of a call to the store.
const PAGE: usize = 1000;
