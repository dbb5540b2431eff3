//! The sandbox as a process of its own: prints what to copy, and runs until ctrl-c.

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser};
use postduif_sandbox::{Cast, Sandbox};

/// A pretend world for Postduif: SMS vendors, Microsoft Graph and Entra on loopback
#[derive(Parser)]
#[command(
    name = "postduif-sandbox",
    override_usage = "cargo run -p postduif-sandbox -- [--listen 127.0.0.1:8160]"
)]
struct Options {
    /// Where to listen; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:8160", value_name = "ADDRESS")]
    listen: SocketAddr,
}

fn main() -> ExitCode {
    let matches = Options::command().after_help(more()).get_matches();
    let options = Options::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails too.
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
    writeln!(out, "GRAPH={}", sandbox.graph_url())?;
    writeln!(out, "LOGIN={}", sandbox.login_url())?;
    writeln!(out, "ENTRA_TENANT_ID={}", sandbox.tenant())?;
    writeln!(out, "ENTRA_CLIENT_ID={}", sandbox.client_id())?;
    writeln!(out, "ENTRA_CLIENT_SECRET={}", sandbox.client_secret())?;
    writeln!(out, "more: GET {}/_sandbox", sandbox.url())?;
    out.flush()
}

fn more() -> String {
    let people: String = Cast::ALL
        .iter()
        .map(|(id, what)| format!("\n  {id}  {what}"))
        .collect();
    let vendors: Vec<_> = Sandbox::vendors().collect();
    format!(
        "The vendors: {}. The sandbox prints a connection URL for each; add &api=sms (vonage), \
         &api=classic or &api=channels&workspace=sandbox&channel=sandbox (messagebird, with the key \
         sandbox), or &api=v1 (spryng) for their other ways to send. Reports are signed with the \
         secret sandbox.\n\nThe cast:{people}",
        vendors.join(", ")
    )
}
