//! The service: Entra calls out about a new colleague, who gets a Temporary Access Pass by text, and Entra goes on.
//!
//! `postduif-receiver --help` lists its options. It speaks plain HTTP: TLS is the task of the proxy in front of it.

use std::{process::ExitCode, sync::Arc};

use postduif::{
    ConfigError,
    entra::{CallerVerifier, Entra},
    onboarding::Onboarding,
    queue::Retention,
    webhooks::{Callouts, Server},
};
use tokio::net::TcpListener;

mod logs;
mod metrics;
mod operate;
mod options;
mod reload;
mod routes;
mod sandbox;
mod signals;
mod vendors;
mod work;

use options::{Directory, Options};

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(code) => return code,
    };
    if let Some(command) = &options.command {
        return operate::run(&options.store, command).await;
    }
    logs::start(options.log);
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => options::wrong(&error.to_string()),
    }
}

async fn run(options: Options) -> Result<(), ConfigError> {
    let metrics = metrics::install()?;
    let listener = listen(&options.listen).await?;
    let address = listener
        .local_addr()
        .map_err(|error| cannot("listen", &error))?;

    let directory = Directory::of(&options).await?;
    let vendors = vendors::Vendors::of(&options, &directory, address)?;
    directory.check_callers()?;
    let entra = Entra::builder(directory.credential.clone())
        .with_cloud(directory.cloud.clone())
        .build()?;
    let entra = Arc::new(entra);
    let provider = reload::Reloaded::new(vendors.provider()?);
    let store = work::Store::open(&options).await?;
    let onboarding = Onboarding::builder()
        .with_graph(Arc::clone(&entra))
        .with_issuer(entra)
        .with_provider(options.safety.around(Arc::clone(&provider) as _))
        .with_numbers(options::numbers(&options.region))
        .with_complete_on(options.complete_on.into())
        .with_window(options.window);
    let retention = Retention::new()
        .with_flows(options.keep_flows)
        .with_audit(options.keep_audit);
    let poster = work::poster(&options, &store)?;
    let work = store.work(onboarding, options.workers, retention)?;

    let verifier = CallerVerifier::builder(&directory.tenant)
        .with_cloud(directory.cloud)
        .with_audiences(directory.audiences)
        .with_callers(directory.callers)
        .build()?;
    let callouts = Callouts::new(verifier.clone(), work.intake()).with_parser(options.parser());
    let router = callouts
        .router()
        .merge(vendors.reports(work.onboarding())?)
        .merge(routes::operating(metrics, work.clone(), verifier.clone()));

    // A first call-out need not wait for them. Without them the service starts all the same.
    tokio::spawn(async move {
        if let Err(error) = verifier.load_keys().await {
            tracing::warn!(%error, "the tenant's keys could not be fetched yet");
        }
    });
    // Before anybody can know of this process: by default the signal ends it.
    let (stop, reloads) = (signals::stop(), signals::reloads());
    tokio::spawn(provider.follow(reloads, move || vendors.provider()));
    announce(address);
    let server = Server::new(router);
    let serve = async |stopped: work::Stopped| server.run_until(listener, stopped.wait()).await;
    work.run_until(stop, serve, poster).await;
    Ok(())
}

async fn listen(address: &str) -> Result<TcpListener, ConfigError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| cannot(&format!("listen on {address}"), &error))
}

fn cannot(what: &str, error: &std::io::Error) -> ConfigError {
    ConfigError::new(format!("cannot {what}: {error}"))
}

#[expect(clippy::print_stdout, reason = "scripts wait for this line")]
fn announce(address: std::net::SocketAddr) {
    println!("listening on http://{address}");
}
