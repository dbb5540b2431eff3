use std::process::Command;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use postduif::testing::{Reply, Server};
use postduif_sandbox::{CalloutKind, Cast, Fault, Sandbox};
use serde_json::json;

/// Everything that the victim prints at the most talkative level, from every crate.
fn trace(arguments: &[&str], about: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_victim"))
        .args(arguments)
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        .env("SANDBOX_ABOUT", about)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A secret in the forms in which it could be shown.
fn forms(secret: &str) -> Vec<String> {
    let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let quoted = json!(secret).to_string().trim_matches('"').to_owned();
    let encoded = secret
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect();
    vec![
        secret.to_owned(),
        BASE64_STANDARD.encode(secret),
        hex,
        quoted,
        encoded,
    ]
}

#[track_caller]
fn assert_absent(shown: &str, secrets: &[&str], what: &str) {
    for secret in secrets {
        for form in forms(secret) {
            assert!(
                !shown.contains(&form),
                "{what}: {form} is in what was printed"
            );
        }
    }
}

#[tokio::test]
async fn a_flow_tells_no_pass_no_text_and_no_whole_number_at_any_level() {
    for (at, fault) in [
        ("kpn.send", Fault::LostAnswer),
        ("kpn.send", Fault::EchoText),
        ("kpn.send", Fault::NotJson),
        ("graph.tap", Fault::LostAnswer),
        ("graph.tap", Fault::TruncatedBody),
        ("graph.resume", Fault::Html502),
    ] {
        let sandbox = Sandbox::start().await;
        sandbox.fault(at, fault);
        let what = format!("{at}={}", fault.name());
        let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let (callout, journal) = (
            folder.join(format!("leak-{what}.json")),
            folder.join(format!("leak-{what}.journal")),
        );
        let body = sandbox
            .callout(Cast::JOINER, CalloutKind::Lifecycle)
            .unwrap()
            .body;
        std::fs::write(&callout, body.to_string()).unwrap();
        let _ = std::fs::remove_file(&journal);
        let about = json!({
            "tenant": sandbox.tenant(), "client_id": sandbox.client_id(), "sms_url": sandbox.sms_url("kpn"),
        });
        let arguments = [
            "flow",
            &sandbox.url(),
            callout.to_str().unwrap(),
            journal.to_str().unwrap(),
            "never",
        ];
        let shown =
            trace(&arguments, &about.to_string()) + &std::fs::read_to_string(&journal).unwrap();
        assert!(
            shown.contains("+316•••••678"),
            "{what}: the masked number is shown, so something was"
        );
        assert!(!sandbox.passes().is_empty());
        for pass in sandbox.passes() {
            assert_absent(&shown, &[&pass.secret], &what);
        }
        assert_absent(
            &shown,
            &[
                "31612345678",
                "612345678",
                "Sanne",
                "Je code",
                "sanne.devries",
            ],
            &what,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_tells_no_credential_no_token_and_no_text_at_any_level() {
    let replies: [fn() -> Reply; 6] = [
        || Reply::json(200, r#"{"document_id":"id-1","status":"OK"}"#),
        || {
            Reply::json(
                400,
                r#"{"errorResponse":{"code":"400","message":"canary-text +31612345678"}}"#,
            )
        },
        || {
            Reply::json(
                401,
                r#"{"errorResponse":{"code":"401","message":"canary-token"}}"#,
            )
        },
        || Reply::html(502),
        || Reply::Reset,
        || Reply::status(307).with_header("location", "http://127.0.0.1:1/canary-text"),
    ];
    for reply in replies {
        let server = Server::start(move |request| match request.path() {
            "/oauth/client_credential/accesstoken" => Reply::json(
                200,
                r#"{"access_token":"canary-token","expires_in":"3599"}"#,
            ),
            _ => reply(),
        })
        .await;
        let url = format!(
            "kpn://canary-id:canary-secret@{}?sender=Acme&vendor_messages=true",
            server.address()
        );
        let shown = trace(&["send", &url, "+31612345678", "canary-text 482913"], "{}");
        assert!(shown.contains("Text(18 units of gsm7, 1 part)"), "{shown}");
        let basic = BASE64_STANDARD.encode("canary-id:canary-secret");
        let secrets = [
            "canary-id",
            "canary-secret",
            "canary-token",
            "canary-text",
            "482913",
            "31612345678",
            basic.as_str(),
            &url,
        ];
        assert_absent(&shown, &secrets, &format!("{:?}", reply()));
    }
}

/// A route for reports that only the vendor is told, as it is written into an option of a connection URL.
const ROUTE: &str = "https%3A%2F%2Fhooks.example.com%2Fr0ute-s3cret-1";

/// Every API of every vendor that the sandbox plays: its name there, and a connection URL with a number as
/// sender and a route for reports, where the API has them; and the same with the vendor's words kept.
fn every_api(sandbox: &Sandbox) -> Vec<(String, String)> {
    let key = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("leak-vonage.pem");
    std::fs::write(&key, sandbox.vonage_private_key()).unwrap();
    let host = sandbox.url().replace("http://", "");
    let sender = "sender=%2B31687654321";
    let others = [
        format!("messagebird://sandbox@{host}/messagebird?{sender}&report_url={ROUTE}"),
        format!("messagebird://sandbox@{host}/messagebird?workspace=sandbox&channel=sandbox"),
        format!("spryng://sandbox@{host}/spryng?api=v1&{sender}"),
        format!(
            "twilio://SK73616e64626f78000000000000000000:sandbox@{host}/twilio\
             ?account=AC73616e64626f78000000000000000000&{sender}\
             &report_url={ROUTE}%3Freference%3D%7Breference%7D"
        ),
        format!("vonage://sandbox:sandbox@{host}/vonage?api=sms&{sender}&report_url={ROUTE}"),
        format!(
            "vonage://sandbox@{host}/vonage?private_key=file:{}&{sender}&report_url={ROUTE}",
            key.display()
        ),
    ];
    let own = Sandbox::vendors().map(|vendor| match (vendor, sandbox.sms_url(vendor)) {
        // It takes names alone.
        ("kpn", url) => format!("{url}&report_url={ROUTE}%3Freference%3D%7Breference%7D"),
        ("vonage", url) => url.replace("sender=Postduif", sender) + &format!("&report_url={ROUTE}"),
        (_, url) => url.replace("sender=Postduif", sender),
    });
    own.chain(others)
        .flat_map(|url| {
            let with_words = format!("{url}&vendor_messages=true");
            [url, with_words]
        })
        .map(|url| (url.split("://").next().unwrap().to_owned(), url))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_vendor_tells_a_credential_a_text_or_a_whole_number_at_any_level() {
    let sandbox = Sandbox::start().await;
    let apis = every_api(&sandbox);
    assert!(apis.len() >= 22, "{} URLs", apis.len());
    let key = sandbox.vonage_private_key();
    let key = key.lines().nth(3).unwrap().to_owned();
    let mut cleaned_echoes = 0;
    for (vendor, url) in &apis {
        for fault in [
            None,
            Some(Fault::EchoText),
            Some(Fault::LostAnswer),
            Some(Fault::NotJson),
            Some(Fault::Redirect),
            Some(Fault::Unauthorized),
        ] {
            sandbox.clear_faults();
            if let Some(fault) = fault {
                sandbox.fault(&format!("{vendor}.send"), fault);
            }
            let arguments = ["send", url, "+31612345678", "canary-text 482913"];
            let shown = tokio::task::block_in_place(|| trace(&arguments, "{}"));
            // Without what tells the fault: the API of a vendor is only known by its whole URL.
            let what = format!("{vendor}, {fault:?}");
            assert!(
                shown.contains("Text(18 units of gsm7, 1 part)"),
                "{what}: {shown}"
            );
            assert_eq!(
                shown.contains("Ok(Receipt"),
                fault.is_none(),
                "{what}: {shown}"
            );
            let has_words = shown.contains("the vendor says: ");
            let keeps_words = url.ends_with("vendor_messages=true");
            assert!(keeps_words || !has_words, "{what}: {shown}");
            cleaned_echoes += usize::from(has_words && fault == Some(Fault::EchoText));
            // A workspace and a channel are names, in the sandbox the same as the key.
            let shown = ["workspace", "channel"].iter().fold(shown, |shown, name| {
                shown.replace(&format!("{name}: \"sandbox\""), name)
            });
            let secrets = [
                "sandbox",
                "sandbox:sandbox",
                "bk_eu1_sandbox",
                "r0ute-s3cret-1",
                "canary-text",
                "482913",
                "612345678",
                "687654321",
                key.as_str(),
                url,
            ];
            assert_absent(&shown, &secrets, &what);
        }
    }
    assert!(cleaned_echoes >= 10, "{cleaned_echoes} echoes");
    assert_eq!(sandbox.foreign_requests().len(), 0);
}

#[tokio::test]
async fn a_planted_leak_is_found() {
    let shown = format!("log line with {}", BASE64_STANDARD.encode("canary-secret"));
    let found = std::panic::catch_unwind(|| assert_absent(&shown, &["canary-secret"], "planted"));
    assert!(found.is_err());
}
