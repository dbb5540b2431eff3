//! `cargo bench -p postduif-benches --bench stack_vs_reqwest`: one vendor, and the recommended stack over it, beside
//! bare reqwest with JSON both ways. Each figure is messages per CPU second of the client, as a share of reqwest's; the
//! server is a process of its own.

#![expect(clippy::print_stdout, reason = "the server prints its address")]

mod figures;

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Instant,
};

use figures::{Goal, cpu_time, median, report};
use futures_util::{StreamExt as _, stream};
use postduif::{
    Message, SmsProvider, Text,
    testing::{Reply, Server},
};
use serde::{Deserialize, Serialize};

const ROUNDS: usize = 9;
const MESSAGES: usize = 4_000;
const ACCEPTED: &str = r#"{"document_id":"5f0c7f1e-2c6d-4a8e-9b1f-0d5a7c3e9b42","status":"OK"}"#;
const TOKEN: &str = r#"{"access_token":"t0ken","expires_in":"3599"}"#;
/// What makes this program the server.
const SERVER: &str = "POSTDUIF_BENCH_SERVER";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if env::var_os(SERVER).is_some() {
        return serve();
    }
    let mut server = Command::new(env::current_exe()?)
        .env(SERVER, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let measured = measure(&mut server);
    server.kill()?;
    server.wait()?;
    measured
}

/// Answers as KPN does, until it is killed or its parent is gone.
fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let server = runtime.block_on(Server::start(|request| {
        let is_message = request.path().ends_with("/send");
        Reply::json(200, if is_message { ACCEPTED } else { TOKEN })
    }));
    println!("{}", server.url());
    std::io::stdin().lines().for_each(drop);
    Ok(())
}

fn measure(server: &mut Child) -> Result<(), Box<dyn std::error::Error>> {
    let mut url = String::new();
    let output = server.stdout.take().ok_or("the server has no output")?;
    BufReader::new(output).read_line(&mut url)?;
    // One thread, so that its CPU time is the client's.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(compare(url.trim()))
}

async fn compare(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let host = url.trim_start_matches("http://");
    let vendor = postduif::from_url(&format!("kpn://me:secret@{host}?sender=Acme"))?;
    let stack = postduif::failover(&format!(
        "kpn://me:secret@{host}?sender=Acme&rate=1000000&burst=1000000"
    ))?;
    let bare = reqwest::Client::builder()
        .tls_backend_preconfigured(no_tls())
        .timeout(std::time::Duration::from_secs(30))
        .build()?;
    let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
    for in_flight in [16, 64] {
        let (mut one_vendor, mut whole_stack) = (Vec::new(), Vec::new());
        // The first round warms up. Interleaved, so that what else the machine does meets all alike.
        for round in 0..=ROUNDS {
            let reqwest = seconds(in_flight, || post(&bare, url)).await;
            let of_vendor = seconds(in_flight, || send(&vendor, &message)).await;
            let of_stack = seconds(in_flight, || send(&stack, &message)).await;
            if round > 0 {
                one_vendor.push(reqwest / of_vendor);
                whole_stack.push(reqwest / of_stack);
            }
        }
        report(
            &format!("vendor_vs_reqwest_c{in_flight}"),
            median(one_vendor),
            Goal::AtLeast(0.95),
        );
        report(
            &format!("stack_vs_reqwest_c{in_flight}"),
            median(whole_stack),
            Goal::AtLeast(0.90),
        );
    }
    Ok(())
}

async fn send(provider: &Arc<dyn SmsProvider>, message: &Message) {
    provider.send(message).await.expect("the server accepts");
}

#[derive(Serialize)]
struct Body {
    sender: &'static str,
    messages: [Entry; 1],
}

#[derive(Serialize)]
struct Entry {
    mobile_number: &'static str,
    content: &'static str,
}

#[derive(Deserialize)]
struct Accepted {
    document_id: String,
}

async fn post(client: &reqwest::Client, url: &str) {
    let body = Body {
        sender: "Acme",
        messages: [Entry {
            mobile_number: "+31612345678",
            content: "Your code is 482913",
        }],
    };
    let response = client
        .post(format!("{url}/communication/kpn/sms/send"))
        .header("authorization", "Bearer t0ken")
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&body).expect("it is JSON"))
        .send()
        .await
        .expect("the server answers");
    let body = response.bytes().await.expect("a body");
    let accepted: Accepted = serde_json::from_slice(&body).expect("JSON");
    assert!(!accepted.document_id.is_empty());
}

#[expect(clippy::future_not_send, reason = "it is blocked on, by one thread")]
/// Seconds of CPU time for all messages, or of the clock where the system does not tell it.
async fn seconds<F: Future<Output = ()>>(in_flight: usize, call: impl Fn() -> F) -> f64 {
    let (start, begun) = (cpu_time(), Instant::now());
    stream::iter(0..MESSAGES)
        .for_each_concurrent(in_flight, |_| call())
        .await;
    match (start, cpu_time()) {
        (Some(start), Some(end)) => end.saturating_sub(start).as_secs_f64(),
        _ => begun.elapsed().as_secs_f64(),
    }
}

/// reqwest wants a TLS configuration even where none is used.
fn no_tls() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}
