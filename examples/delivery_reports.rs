//! `cargo run --example delivery_reports -- --provider kpn --secret sandbox --now 2026-01-01T00:00:00Z --public-url https://hooks.example.test examples/reports/kpn.http`: a vendor's report, believed or not.

use std::{fs, path::PathBuf, process::ExitCode, time::SystemTime};

use chrono::{DateTime, Utc};
use clap::Parser;
use postduif::{DeliveryReport, ReportOptions, ReportRequest};
use postduif_examples::{Stop, price_json, print_json, run, time};
use serde_json::{Value, json};

/// Verifies a delivery report and prints what it says, as a JSON array.
#[derive(Parser)]
#[command(
    after_help = "Example: cargo run --example delivery_reports -- --provider kpn --secret sandbox \
                        --now 2026-01-01T00:00:00Z examples/reports/kpn.http"
)]
struct Args {
    /// The vendor
    #[arg(long)]
    provider: String,
    /// The vendor's API, where it has several
    #[arg(long)]
    api: Option<String>,
    /// The vendor's signing secret, or your own at the end of the path where it does not sign; repeat it for a rotation
    #[arg(long, required = true)]
    secret: Vec<String>,
    /// How Vonage's SMS API signs: md5hash, md5, sha1, sha256 or sha512
    #[arg(long)]
    signature_method: Option<String>,
    /// The public origin, and prefix, to which the request's path belongs
    #[arg(long, default_value = "https://localhost")]
    public_url: String,
    /// The time of the check of signatures, in RFC 3339, such as 2026-01-01T00:00:00Z. Defaults to now
    #[arg(long, value_parser = time)]
    now: Option<DateTime<Utc>>,
    /// No effect on the results, which are always JSON; a configuration error becomes JSON too
    #[arg(long)]
    json: bool,
    /// The raw HTTP/1.1 request as received
    file: PathBuf,
}

fn main() -> ExitCode {
    run(reports)
}

async fn reports(args: Args) -> Result<(), Stop> {
    let mut options = ReportOptions::new(args.secret.iter().map(String::as_str));
    if let Some(api) = &args.api {
        options = options.with_api(api);
    }
    if let Some(method) = &args.signature_method {
        if args.api.as_deref() != Some("sms") {
            return Err(Stop::config("--signature-method belongs to --api sms"));
        }
        options = options.with_signature_method(method);
    }
    let parser = postduif::report_parser(&args.provider, options)?;
    let file = fs::read(&args.file)
        .map_err(|error| Stop::config(format!("{}: {error}", args.file.display())))?;
    let raw =
        RawRequest::read(&file).ok_or_else(|| Stop::config("the file is no HTTP/1.1 request"))?;
    let url = format!("{}{}", args.public_url.trim_end_matches('/'), raw.target);
    let headers: Vec<_> = raw
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let now = args.now.unwrap_or_else(|| SystemTime::now().into());
    match parser.parse(
        &ReportRequest::new(&raw.method, &url, &headers, raw.body),
        now,
    ) {
        Ok(reports) => {
            print_json(&reports.iter().map(report_json).collect());
            Ok(())
        }
        Err(error) => {
            print_json(
                &json!({"error": {"kind": error.kind().as_str(), "message": error.to_string()}}),
            );
            Err(Stop::Failed)
        }
    }
}

fn report_json(report: &DeliveryReport) -> Value {
    json!({
        "provider": report.provider,
        "reference": report.reference.as_ref().map(|reference| reference.as_str()),
        "reference_text": report.vendor_reference,
        "id": report.id,
        "part": report.part,
        "recipient": report.recipient,
        "status": report.status.as_str(),
        "final": report.status.is_final(),
        "code": report.code,
        "at": report.at,
        "price": report.price.map(price_json),
    })
}

/// A request taken apart: what any web framework would hand over.
struct RawRequest<'a> {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: &'a [u8],
}

impl<'a> RawRequest<'a> {
    fn read(file: &'a [u8]) -> Option<Self> {
        // An editor may have made bare line feeds of the head's line ends.
        let (head, body) = [&b"\r\n\r\n"[..], b"\n\n"].iter().find_map(|end| {
            let place = file.windows(end.len()).position(|window| window == *end)?;
            Some((&file[..place], &file[place + end.len()..]))
        })?;
        let mut lines = std::str::from_utf8(head).ok()?.lines();
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let headers = lines
            .map(|line| {
                line.split_once(':')
                    .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
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
