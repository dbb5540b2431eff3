//! `cargo run --example delivery_reports -- --provider kpn --secret sandbox --now 2026-01-01T00:00:00Z --public-url https://hooks.example.test examples/reports/kpn.http`: verifies a vendor's delivery report.

use std::process::ExitCode;

use postduif::{ReportOptions, ReportRequest};
use postduif_examples::cli::{
    self, Stop,
    delivery_reports::{Args, Received, accept, refuse},
};

fn main() -> ExitCode {
    cli::delivery_reports::run(reports)
}

/// Verifies a request, and reads its reports.
fn reports(args: Args, received: Received<'_>) -> Result<(), Stop> {
    let mut options = ReportOptions::new(args.secrets);
    if let Some(api) = args.api {
        options = options.with_api(api);
    }
    if let Some(method) = args.signature_method {
        options = options.with_signature_method(method);
    }
    // A service builds it once, as it starts.
    let parser = postduif::report_parser(&args.provider, options)?;

    // The origin is configured: the host of a request proves nothing.
    let url = format!("{}{}", args.public_url, received.target);
    let Received {
        method,
        headers,
        body,
        ..
    } = received;
    let request = ReportRequest::new(method, &url, &headers, body);
    match parser.parse(&request, args.now) {
        Ok(reports) => {
            accept(&reports);
            Ok(())
        }
        // Use nothing of such a request. The docs of `ReportRequest` list what a service responds.
        Err(error) => Err(refuse(&error)),
    }
}
