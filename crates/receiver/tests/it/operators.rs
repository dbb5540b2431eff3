//! What operators and auditors see, in commands and events.

use std::time::Duration;

use postduif_core::Guid;
use postduif_sandbox::{CalloutKind, CalloutOrder, Cast, Sandbox};
use postduif_testkit::{Reply, Server};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{service::Service, service::command, stores::TempDir};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Runs a command beside the service, and returns its exit code, stdout and stderr.
fn run(store: &str, options: &[&str]) -> (Option<i32>, String, String) {
    let output = command(options)
        .env_remove("RUST_LOG")
        .env("POSTDUIF_STORE", store)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn lines(json: &str) -> Vec<Value> {
    json.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Calls out about a user, and returns the execution.
async fn call_out(sandbox: &Sandbox, service: &Service, user: &str) -> String {
    let order = CalloutOrder::new(user, CalloutKind::Lifecycle);
    let target = format!("{}/callouts/lifecycle", service.url);
    let callout = sandbox.deliver(order, &target).await.unwrap();
    assert_eq!(callout.status, Some(202));
    callout.execution
}

/// Runs a command until what it prints is as expected.
async fn until(store: &str, options: &[&str], holds: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let (_, printed, error) = run(store, options);
        if holds(&printed) {
            return printed;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{printed} {error}"
        );
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_work_beside_the_service_and_see_no_secret() {
    let sandbox = Sandbox::start().await;
    let receiver = Server::start(|_| Reply::status(204)).await;
    let folder = TempDir::new();
    let (sandbox_url, store) = (sandbox.url(), folder.sqlite());
    let event_url = receiver.url();
    let service = Service::start(&[
        "--sandbox",
        &sandbox_url,
        "--store",
        &store,
        "--event-url",
        &event_url,
        "--event-secret",
        SECRET,
    ]);
    let good = call_out(&sandbox, &service, Cast::JOINER).await;
    let bad = call_out(&sandbox, &service, Cast::NO_MOBILE).await;

    let both = |printed: &str| {
        lines(printed)
            .iter()
            .filter(|flow| flow["done_at"].is_string())
            .count()
            == 2
    };
    let listed = until(&store, &["flows", "--json"], both).await;
    let (code, failed, _) = run(&store, &["flows", "--failed", "--json"]);
    assert_eq!((code, lines(&failed).len()), (Some(0), 1));
    assert_eq!(lines(&failed)[0]["flow"], bad);
    let (_, table, _) = run(&store, &["flows"]);
    assert!(
        table.contains("no_number") && table.contains(&good),
        "{table}"
    );

    let (code, shown, _) = run(&store, &["show", &good]);
    assert_eq!(code, Some(0));
    assert!(
        shown.contains("completed") && shown.contains("accepted"),
        "{shown}"
    );
    let (code, _, error) = run(&store, &["show", &Guid::random().to_string()]);
    assert_eq!(code, Some(1), "{error}");

    let (code, new, _) = run(&store, &["retry", &bad, "--by", "J. Jansen"]);
    assert_eq!(code, Some(0));
    let (code, refused, _) = run(&store, &["retry", &bad, "--by", "J. Jansen", "--json"]);
    assert_eq!(code, Some(1));
    assert!(refused.contains(new.trim()), "{refused}");
    let (code, _, _) = run(&store, &["retry", &good, "--by", "J. Jansen"]);
    assert_eq!(code, Some(1));
    // The service runs the retry. Entra hears the first verdict only.
    let ended = |printed: &str| printed.contains("\"done_at\"");
    let retried = until(&store, &["show", new.trim(), "--json"], ended).await;
    assert_eq!(lines(&retried)[0]["retry_of"], bad);
    assert_eq!(sandbox.resumes().len(), 2);

    let (code, exported, _) = run(
        &store,
        &["export", "--user", Cast::JOINER, "--by", "J. Jansen"],
    );
    assert_eq!(
        (code, lines(&exported)[0]["flows"].as_array().unwrap().len()),
        (Some(0), 1)
    );
    let (code, forgotten, _) = run(
        &store,
        &[
            "forget",
            "--user",
            Cast::NO_MOBILE,
            "--by",
            "J. Jansen",
            "--json",
        ],
    );
    assert_eq!(code, Some(0));
    assert_eq!(lines(&forgotten)[0]["emptied"], 2, "{forgotten}");
    let (code, audit, _) = run(&store, &["audit", "--from", "2020-01-01"]);
    assert_eq!(code, Some(0));
    let actions: Vec<_> = lines(&audit)
        .iter()
        .map(|line| line["action"].as_str().unwrap().to_owned())
        .collect();
    for action in [
        "pass_issued",
        "text_accepted",
        "verdict",
        "retried",
        "exported",
        "forgotten",
    ] {
        assert!(
            actions.iter().any(|found| found == action),
            "{action}: {audit}"
        );
    }

    let began = Instant::now();
    while receiver.requests().len() < 3 {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "an event is missing"
        );
        sleep(Duration::from_millis(50)).await;
    }
    let events: String = receiver
        .requests()
        .iter()
        .map(|request| request.text() + "\n")
        .collect();
    let types: Vec<_> = lines(&events)
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        types.iter().filter(|kind| *kind == "flow.failed").count(),
        2,
        "{types:?}"
    );
    assert!(
        receiver
            .requests()
            .iter()
            .all(|request| request.header("webhook-signature").is_some())
    );

    let everything = [
        listed, failed, table, shown, retried, exported, audit, events,
    ]
    .join("\n");
    let mut secrets = vec!["eyJ".to_owned(), SECRET.to_owned()];
    for pass in sandbox.passes() {
        secrets.push(pass.secret);
    }
    for message in sandbox.messages() {
        secrets.push(message.to.trim_start_matches('+').to_owned());
        secrets.push(message.text);
    }
    assert!(secrets.len() >= 5);
    for secret in secrets {
        assert!(!everything.contains(&secret), "{secret} is in {everything}");
    }
    let (code, _) = service.terminate();
    assert_eq!(code, Some(0));
}

#[test]
fn wrong_use_of_a_command_is_exit_code_2() {
    let folder = TempDir::new();
    let store = folder.sqlite();
    let user = Cast::JOINER;
    for (store, options, words) in [
        (&*store, &["flows"][..], "cannot be opened"),
        ("memory", &["flows"], "memory of the service"),
        (&store, &["show", "x"], "GUID"),
        (&store, &["retry", user], "--by"),
        (&store, &["retry", user, "--by", " "], "name of an operator"),
        (
            &store,
            &["audit", "--from", "yesterday"],
            "such as 2026-11-01",
        ),
        (&store, &["flows", "--failed", "--open"], "--open"),
    ] {
        let (code, printed, error) = run(store, options);
        assert_eq!((code, &*printed), (Some(2), ""), "{options:?}: {error}");
        assert!(error.contains(words), "{options:?}: {error}");
    }
    let (code, printed, _) = run("memory", &["flows", "--json"]);
    assert_eq!(code, Some(2));
    assert_eq!(lines(&printed)[0]["error"]["kind"], "config");
}

#[test]
fn events_need_a_url_a_secret_and_a_durable_store() {
    for (options, words) in [
        (
            &["--event-url", "https://hr.example.com/"][..],
            "--event-secret",
        ),
        (&["--event-secret", SECRET], "--event-url"),
    ] {
        let (code, _, error) = run("memory", options);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(words), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
}
