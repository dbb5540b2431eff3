//! Logs on stderr, as text or JSON.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Starts logging. `RUST_LOG` decides what is logged, by default `info`.
pub(crate) fn start(format: Format) {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    // The library that reads numbers writes them whole at its lowest level.
    if let Ok(off) = "rlibphonenumber=off".parse() {
        filter = filter.add_directive(off);
    }
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        Format::Text => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        Format::Json => logs.json().flatten_event(true).init(),
    }
}
