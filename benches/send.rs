//! `cargo bench -p postduif-benches --bench send`: a provider's send beside bare reqwest with JSON both ways.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use postduif::{
    Message, SmsProvider, Text,
    testing::{Reply, Server},
};

const ROUNDS: usize = 7;
const CALLS: usize = 3_000;
const ACCEPTED: &str = r#"{"document_id":"5f0c7f1e-2c6d-4a8e-9b1f-0d5a7c3e9b42","status":"OK"}"#;
const TOKEN: &str = r#"{"access_token":"t0ken","expires_in":"3599"}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The server has a runtime of its own, so that both clients meet the same one.
    let serving = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let server = serving.block_on(Server::start(|request| {
        Reply::json(
            200,
            if request.path().ends_with("/send") {
                ACCEPTED
            } else {
                TOKEN
            },
        )
    }));
    let calling = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    calling.block_on(compare(&server.url()))
}

async fn compare(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let kpn = postduif::from_url(&format!(
        "kpn://me:secret@{}?sender=Acme",
        url.trim_start_matches("http://")
    ))?;
    let bare = reqwest::Client::builder()
        .tls_backend_preconfigured(no_tls())
        .build()?;
    let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
    println!(
        "{:12} {:>16} {:>16} {:>8}",
        "in flight", "reqwest msg/s", "postduif msg/s", "ratio"
    );
    for in_flight in [1, 16, 64] {
        let (mut bare_rates, mut our_rates) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare_rates.push(rate(in_flight, || post(&bare, url)).await);
            our_rates.push(rate(in_flight, || send(&*kpn, &message)).await);
        }
        let (bare, ours) = (median(bare_rates), median(our_rates));
        println!(
            "{in_flight:<12} {bare:16.0} {ours:16.0} {:8.2}",
            ours / bare
        );
    }
    Ok(())
}

async fn send(kpn: &dyn SmsProvider, message: &Message) {
    kpn.send(message).await.expect("the server accepts");
}

async fn post(client: &reqwest::Client, url: &str) {
    let body = serde_json::json!({
        "sender": "Acme",
        "messages": [{"mobile_number": "+31612345678", "content": "Your code is 482913"}]
    });
    let answer = client
        .post(format!("{url}/communication/kpn/sms/send"))
        .header("authorization", "Bearer t0ken")
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .expect("the server answers");
    let body: serde_json::Value =
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    assert!(body["document_id"].is_string());
}

#[expect(clippy::future_not_send, reason = "it is blocked on, by one thread")]
/// Calls a second, so many in flight at a time.
async fn rate<F: Future<Output = ()>>(in_flight: usize, call: impl Fn() -> F) -> f64 {
    let start = Instant::now();
    stream::iter(0..CALLS)
        .for_each_concurrent(in_flight, |_| call())
        .await;
    CALLS as f64 / start.elapsed().as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// reqwest wants a TLS configuration even where none is used.
fn no_tls() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .expect("ring has the default versions")
    .with_root_certificates(rustls::RootCertStore::empty())
    .with_no_client_auth()
}
