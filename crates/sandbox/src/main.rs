//! The sandbox as a program, which prints its URLs and runs until ctrl-c.

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser};
use postduif_sandbox::{Cast, Fault, Sandbox};

/// Simulates SMS vendors, Microsoft Graph and Microsoft Entra on loopback
#[derive(Parser)]
#[command(
    name = "postduif-sandbox",
    override_usage = "cargo run -p postduif-sandbox -- [--listen 127.0.0.1:8160] [--allow-remote]"
)]
struct Options {
    /// The address to listen on; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:8160", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Listen on an address that other machines reach. Anyone there can then read all texts and passes, and use this
    /// program to call others
    #[arg(long)]
    allow_remote: bool,
}

fn main() -> ExitCode {
    let matches = Options::command().after_help(more()).get_matches();
    let options = Options::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if !options.listen.ip().is_loopback() && !options.allow_remote {
        // A failure to write to stderr cannot be reported.
        let _ = writeln!(
            io::stderr(),
            "{} is not a loopback address: anyone who reaches it could read all texts and passes; if that is meant, add \
             --allow-remote",
            options.listen
        );
        return ExitCode::from(2);
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A failure to write to stderr cannot be reported.
            let _ = writeln!(io::stderr(), "cannot serve on {}: {error}", options.listen);
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(async {
            let sandbox = Sandbox::builder().listen(options.listen).start().await?;
            print(&sandbox)?;
            tokio::signal::ctrl_c().await
        })
}

fn print(sandbox: &Sandbox) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {}", sandbox.url())?;
    for vendor in Sandbox::vendors() {
        writeln!(out, "SMS_URL={}", sandbox.sms_url(vendor))?;
    }
    for url in sandbox.other_sms_urls() {
        writeln!(out, "also: {url}")?;
    }
    writeln!(out, "GRAPH={}", sandbox.graph_url())?;
    writeln!(out, "LOGIN={}", sandbox.login_url())?;
    writeln!(out, "ENTRA_TENANT_ID={}", sandbox.tenant())?;
    writeln!(out, "ENTRA_CLIENT_ID={}", sandbox.client_id())?;
    writeln!(out, "ENTRA_CLIENT_SECRET={}", sandbox.client_secret())?;
    writeln!(out, "more: GET {}/_sandbox", sandbox.url())?;
    out.flush()
}

fn more() -> String {
    let users: String = Cast::ALL
        .iter()
        .map(|(id, what)| format!("\n  {id}  {what}"))
        .collect();
    let vendors: Vec<_> = Sandbox::vendors().collect();
    let points: Vec<_> = Sandbox::fault_points().collect();
    let faults: String = Fault::ALL
        .iter()
        .map(|fault| {
            let processed = if fault.is_processed() { "yes" } else { "no" };
            let what = fault.description().replace('`', "");
            format!("\n  {:<21}{processed:<5}{what}", fault.name())
        })
        .collect();
    format!(
        "Vendors: {}. The sandbox prints a connection URL for each, and after \"also:\" one for each of \
         their other APIs. The secret of signed reports is sandbox.\n\n\
         Requests for other programs, with a JSON body:\n{CALLS}\n\n\
         Faults, and whether the request is processed:{faults}\n\n\
         The points where they strike: {}. The error for a fault that cannot happen at a point lists those \
         that can.\n\n\
         Example, after which the next request for a token of KPN gets no response:\n  \
         curl -d '{{\"at\":\"kpn.token\",\"fault\":\"stall\"}}' http://127.0.0.1:8160/_sandbox/faults\n\n\
         Users:{users}",
        vendors.join(", "),
        points.join(", ")
    )
}

const CALLS: &str = "  \
    GET    /_sandbox           what a program needs to use the sandbox, such as its URLs
  GET    /_sandbox/messages  the texts that vendors accepted
  GET    /_sandbox/requests  the requests, without secrets
  GET    /_sandbox/passes    the passes
  GET    /_sandbox/resumes   the resume requests of workflows and access packages
  GET    /_sandbox/users     the users
  POST   /_sandbox/users     adds or replaces a user: a Graph user object
  GET    /_sandbox/faults    the faults that are still to strike
  POST   /_sandbox/faults    sets a fault: at, fault, times, ms
  DELETE /_sandbox/faults    removes all faults
  POST   /_sandbox/callouts  sends a call-out as Entra: target, user, kind, window, repeat, token,
                             hostile
  POST   /_sandbox/reports   sends a report as a vendor: reference or id, to, status, code, secret, at, target
  POST   /_sandbox/inbound   delivers an inbound text as a vendor: vendor, api, from, to, text, secret, at, target
  DELETE /_sandbox           resets everything";
