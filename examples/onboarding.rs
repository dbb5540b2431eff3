//! `cargo run --example onboarding`: onboards one colleague over real HTTP, and tells the story of it.

use std::{process::ExitCode, sync::Arc};

use postduif::{
    entra::{Credential, Entra},
    numbers,
    onboarding::{Ending, Numbers, Onboarding, ReadNumber},
};
use postduif_examples::cli::{
    self, Stop,
    onboarding::{Args, ctrl_c},
};

fn main() -> ExitCode {
    cli::onboarding::run(onboard)
}

/// Builds the flow and runs it: all that a service needs beside a route for Entra's call-outs.
async fn onboard(args: Args) -> Result<Ending, Stop> {
    let credential = Credential::client_secret(args.tenant, args.client_id, args.client_secret);
    let entra = Entra::builder(credential)
        .with_cloud(args.cloud)
        .with_client(args.client.clone())
        .build()?;
    let entra = Arc::new(entra);
    let sms = match args.sms_urls.as_slice() {
        [] => postduif::from_url_with(&args.sandbox_sms_url, &args.client)?,
        urls => postduif::failover_with(&urls.join(" "), &args.client)?,
    };
    let onboarding = Onboarding::builder()
        .with_graph(Arc::clone(&entra))
        .with_issuer(entra)
        .with_provider(args.safety.around(sms))
        // As people type them: with the user's region, else as in the Netherlands.
        .with_numbers(Numbers::reading("NL", |typed, region| {
            let reading = numbers::read(typed, Some(region))?;
            Ok(ReadNumber::new(
                reading.require_mobile()?,
                reading.is_known(),
            ))
        }))
        .build()?;
    Ok(onboarding.run_until(args.callout, ctrl_c()).await?)
}
