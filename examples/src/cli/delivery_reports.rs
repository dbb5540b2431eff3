//! Runs `delivery_reports`: an HTTP request in, JSON out.

use std::{fs, path::PathBuf, process::ExitCode, time::SystemTime};

use chrono::{DateTime, Utc};
use clap::Parser;
use postduif::{DeliveryReport, ReportError};
use serde_json::{Value, json};

use super::{
    Stop,
    args::time,
    output::{price_json, print},
};

/// Verifies a delivery report and prints what it says, as a JSON array.
#[derive(Parser)]
#[command(
    after_help = "Example: cargo run --example delivery_reports -- --provider kpn --secret sandbox \
                        --now 2026-01-01T00:00:00Z examples/reports/kpn.http"
)]
struct Cli {
    /// The vendor
    #[arg(long)]
    provider: String,
    /// The vendor's API, if it has several
    #[arg(long)]
    api: Option<String>,
    /// The vendor's signing secret, or your own at the end of the path if it does not sign; repeat it for a rotation
    #[arg(long, required = true)]
    secret: Vec<String>,
    /// How Vonage's SMS API signs: md5hash, md5, sha1, sha256 or sha512
    #[arg(long)]
    signature_method: Option<String>,
    /// The public origin, and prefix, to which the request's path belongs
    #[arg(long, default_value = "https://localhost")]
    public_url: String,
    /// The time at which signatures are checked, in RFC 3339, such as 2026-01-01T00:00:00Z. Defaults to now
    #[arg(long, value_parser = time)]
    now: Option<DateTime<Utc>>,
    /// No effect on the results, which are always JSON; a configuration error becomes JSON too
    #[arg(long)]
    json: bool,
    /// The raw HTTP/1.1 request as received
    file: PathBuf,
}

/// The parsed command line.
#[derive(Debug)]
#[non_exhaustive]
pub struct Args {
    /// The vendor.
    pub provider: String,
    /// The vendor's API, if it has several.
    pub api: Option<String>,
    /// The secrets, several during a rotation.
    pub secrets: Vec<String>,
    /// How the vendor signs, if an account chooses it.
    pub signature_method: Option<String>,
    /// The origin that the vendor calls, without a slash at the end.
    pub public_url: String,
    /// The time at which signatures are checked.
    pub now: DateTime<Utc>,
}

/// An HTTP request as a web framework hands it over.
#[derive(Debug)]
#[non_exhaustive]
pub struct Received<'a> {
    /// The method.
    pub method: &'a str,
    /// The path and query.
    pub target: &'a str,
    /// The names and values of the headers.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// The raw body.
    pub body: &'a [u8],
}

/// Parses the command line and the file, and calls `reports` with both.
pub fn run(reports: fn(Args, Received<'_>) -> Result<(), Stop>) -> ExitCode {
    super::run(async move |cli: Cli| {
        if cli.signature_method.is_some() && cli.api.as_deref() != Some("sms") {
            return Err(Stop::config("--signature-method belongs to --api sms"));
        }
        let file = fs::read(&cli.file)
            .map_err(|error| Stop::config(format!("{}: {error}", cli.file.display())))?;
        let received = Received::read(&file).ok_or_else(|| {
            Stop::config("invalid file: write a request line, headers, an empty line and the body")
        })?;
        let args = Args {
            provider: cli.provider,
            api: cli.api,
            secrets: cli.secret,
            signature_method: cli.signature_method,
            public_url: cli.public_url.trim_end_matches('/').to_owned(),
            now: cli.now.unwrap_or_else(|| SystemTime::now().into()),
        };
        reports(args, received)
    })
}

/// Writes verified reports.
pub fn accept(reports: &[DeliveryReport]) {
    print(&reports.iter().map(report_json).collect());
}

/// Writes why a request is not believed.
#[must_use]
pub fn refuse(error: &ReportError) -> Stop {
    print(&json!({"error": {"kind": error.kind().as_str(), "message": error.to_string()}}));
    Stop::Failed
}

fn report_json(report: &DeliveryReport) -> Value {
    let mut row = json!(report);
    row["reference_text"] = row["vendor_reference"].take();
    row.as_object_mut()
        .and_then(|fields| fields.remove("vendor_reference"));
    row["final"] = report.status.is_final().into();
    row["price"] = json!(report.price.map(price_json));
    row
}

impl<'a> Received<'a> {
    fn read(file: &'a [u8]) -> Option<Self> {
        // An editor may have replaced the line ends of the head.
        let (head, body) = [&b"\r\n\r\n"[..], b"\n\n"].iter().find_map(|end| {
            let at = file.windows(end.len()).position(|window| window == *end)?;
            Some((&file[..at], &file[at + end.len()..]))
        })?;
        let mut lines = std::str::from_utf8(head).ok()?.lines();
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let headers = lines
            .map(|line| {
                line.split_once(':')
                    .map(|(name, value)| (name, value.trim().as_bytes()))
            })
            .collect::<Option<_>>()?;
        Some(Self {
            method,
            target,
            headers,
            body,
        })
    }
}
