//! Processes that die at any moment, and are stopped for longer than their leases, on every store.
//!
//! Larger runs: `POSTDUIF_CRASH_FLOWS=2000 POSTDUIF_CRASH_KILLS=20 cargo test --release -p postduif-receiver crashes --
//! --nocapture`. Each prints its counts.

#![expect(clippy::print_stdout, reason = "the figures of a run")]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use postduif_sandbox::{CalloutKind, CalloutOrder, Fault, Sandbox, SentMessage};
use serde_json::json;

use crate::{nats, schema::Schema, service::Service, stores::TempDir};

/// How large a run is.
struct Plan {
    users: usize,
    kills: usize,
}

impl Plan {
    fn from_environment() -> Self {
        let number = |name: &str| {
            std::env::var(name)
                .ok()
                .and_then(|value| value.parse().ok())
        };
        Self {
            users: number("POSTDUIF_CRASH_FLOWS").unwrap_or(40),
            kills: number("POSTDUIF_CRASH_KILLS").unwrap_or(4),
        }
    }
}

/// The world, with users of its own, that responds late.
async fn world(users: usize) -> (Arc<Sandbox>, Vec<String>) {
    let sandbox = Sandbox::start().await;
    for (at, ms) in [
        ("graph.user", 30),
        ("graph.tap", 80),
        ("cm.send", 120),
        ("graph.tap_revoke", 40),
        ("graph.resume", 60),
    ] {
        sandbox.fault(at, Fault::Delay).times(u32::MAX).ms(ms);
    }
    let users = (0..users).map(|number| {
        let user = json!({
            "displayName": format!("Example {number}"),
            "mobilePhone": format!("+31 6 1{number:07}"),
            "userPrincipalName": format!("user{number}@example.com"),
            "accountEnabled": true,
            "userType": "Member",
            "preferredLanguage": "nl-NL",
        });
        sandbox.put_user(user).unwrap()
    });
    let users = users.collect();
    (Arc::new(sandbox), users)
}

/// The call-outs that were answered with 202: their flows must end. By execution, with the user.
type Taken = Arc<Mutex<BTreeMap<String, String>>>;

/// Calls out for each user, for every sixth one twice, to the process that is up, until it takes them.
async fn call_out(
    sandbox: Arc<Sandbox>,
    users: Vec<String>,
    up: Arc<Mutex<String>>,
    taken: Taken,
    spacing: Duration,
) {
    for (number, user) in users.into_iter().enumerate() {
        let flows = if number % 6 == 0 { 2 } else { 1 };
        for _ in 0..flows {
            loop {
                let target = format!("{}/callouts/lifecycle", up.lock().unwrap());
                let order = CalloutOrder::new(&*user, CalloutKind::Lifecycle);
                let callout = sandbox.deliver(order, &target).await.unwrap();
                if callout.status == Some(202) {
                    taken
                        .lock()
                        .unwrap()
                        .insert(callout.execution, user.clone());
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        tokio::time::sleep(spacing).await;
    }
}

/// Waits until Entra has heard of every flow that was taken.
async fn all_heard(sandbox: &Sandbox, taken: &Taken, patience: Duration) {
    let began = Instant::now();
    loop {
        let heard: HashSet<_> = accepted_resumes(sandbox)
            .map(|(execution, _)| execution)
            .collect();
        let missing: Vec<_> = taken
            .lock()
            .unwrap()
            .keys()
            .filter(|execution| !heard.contains(*execution))
            .cloned()
            .collect();
        if missing.is_empty() {
            return;
        }
        assert!(
            began.elapsed() < patience,
            "{} flows were not resumed, such as {:?}",
            missing.len(),
            &missing[..missing.len().min(3)]
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn accepted_resumes(sandbox: &Sandbox) -> impl Iterator<Item = (String, String)> {
    let resumes = sandbox.resumes().into_iter();
    let accepted = resumes.filter(|resume| resume.answered == 204);
    accepted.map(|resume| (resume.execution, resume.status.unwrap_or_default()))
}

/// Counts what the world saw, checks that nobody was harmed, and prints the figures.
fn judge(name: &str, sandbox: &Sandbox, taken: &Taken, kills: usize, took: Duration) {
    let taken = taken.lock().unwrap();
    let mut verdicts: HashMap<String, Vec<String>> = HashMap::new();
    for (execution, status) in accepted_resumes(sandbox) {
        verdicts.entry(execution).or_default().push(status);
    }
    let (passes, messages) = (sandbox.passes(), sandbox.messages());
    let mut failed = 0;
    let mut by_user: HashMap<&str, Vec<&str>> = HashMap::new();
    for (execution, user) in taken.iter() {
        let heard = &verdicts[execution];
        assert_eq!(heard.len(), 1, "{execution} was resumed {heard:?}");
        failed += usize::from(heard[0] != "Completed");
        by_user.entry(user).or_default().push(&heard[0]);
    }
    // Executions that were stored although their answer was lost count too.
    let mut references = HashSet::new();
    for message in &messages {
        let reference = message.reference.clone().expect("it has our reference");
        assert!(
            references.insert(reference),
            "a reference was accepted twice"
        );
    }
    for pass in &passes {
        let texts = messages
            .iter()
            .filter(|message| message.text.contains(&pass.secret));
        assert!(texts.count() <= 1, "a pass was texted twice");
    }
    for user in by_user.keys() {
        let usable: Vec<_> = passes
            .iter()
            .filter(|pass| pass.user == *user && pass.usable)
            .collect();
        let completed = by_user[user].contains(&"Completed");
        assert!(
            usable.len() <= 1,
            "a user has {} usable passes",
            usable.len()
        );
        assert!(
            !completed || usable.len() == 1,
            "a completed flow without a usable pass"
        );
        if let Some(pass) = usable.first() {
            let own: HashSet<_> = passes
                .iter()
                .filter(|pass| pass.user == *user)
                .map(|pass| pass.secret.clone())
                .collect();
            let to_user =
                |message: &&SentMessage| own.iter().any(|secret| message.text.contains(secret));
            let last = messages.iter().rfind(to_user);
            let last = last.expect("a usable pass that was never texted");
            assert!(
                last.text.contains(&pass.secret),
                "the last text has a pass that does not work"
            );
        }
    }
    println!(
        "{name}: {} flows, {kills} kills, {} texts, {} passes, {failed} failed, took {took:.1?}",
        taken.len(),
        messages.len(),
        passes.len(),
    );
}

/// Kills a number of processes on this store while call-outs arrive, and checks the end.
async fn kills(name: &str, store: &str, processes: usize) {
    let plan = Plan::from_environment();
    let (sandbox, users) = world(plan.users).await;
    let sandbox_url = sandbox.url();
    // A vendor that carries our reference.
    let sms_url = sandbox.sms_url("cm");
    let options = [
        "--sandbox",
        &sandbox_url,
        "--sms-url",
        &sms_url,
        "--store",
        store,
        "--lease",
        "2s",
    ];
    let mut services: Vec<_> = (0..processes).map(|_| Service::start(&options)).collect();
    let up = Arc::new(Mutex::new(services[0].url.clone()));
    let taken = Taken::default();
    let began = Instant::now();
    let calls = tokio::spawn(call_out(
        Arc::clone(&sandbox),
        users,
        Arc::clone(&up),
        Arc::clone(&taken),
        Duration::from_millis(20),
    ));
    for kill in 0..plan.kills {
        // Another moment each time, without randomness: between 300 and 700 ms.
        tokio::time::sleep(Duration::from_millis(300 + (kill as u64 * 137) % 400)).await;
        let victim = services.remove(0);
        if let Some(other) = services.first() {
            (*up.lock().unwrap()).clone_from(&other.url);
        }
        victim.kill();
        services.push(Service::start(&options));
        (*up.lock().unwrap()).clone_from(&services[services.len() - 1].url);
    }
    calls.await.unwrap();
    all_heard(&sandbox, &taken, Duration::from_secs(120)).await;
    let took = began.elapsed();
    for service in services {
        let (code, _) = service.terminate();
        assert_eq!(code, Some(0));
    }
    judge(name, &sandbox, &taken, plan.kills, took);
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_on_sqlite_survive_kills() {
    let folder = TempDir::new();
    kills("sqlite, one process", &folder.sqlite(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_on_postgresql_survive_kills_of_two_processes() {
    let Some(schema) = Schema::new().await else {
        return;
    };
    kills("postgresql, two processes", &schema.url(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_on_jetstream_survive_kills_of_two_processes() {
    if !nats::can_run() {
        return;
    }
    let server = nats::Server::start();
    server.ready().await;
    kills("jetstream, two processes", &server.url(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_stopped_for_three_leases_harms_nobody() {
    let Some(schema) = Schema::new().await else {
        return;
    };
    let plan = Plan::from_environment();
    let (sandbox, users) = world(plan.users).await;
    let sandbox_url = sandbox.url();
    let (store, sms_url) = (schema.url(), sandbox.sms_url("cm"));
    let options = [
        "--sandbox",
        &sandbox_url,
        "--sms-url",
        &sms_url,
        "--store",
        &store,
        "--lease",
        "1s",
    ];
    let services = [Service::start(&options), Service::start(&options)];
    let up = Arc::new(Mutex::new(services[1].url.clone()));
    let taken = Taken::default();
    let began = Instant::now();
    let calls = tokio::spawn(call_out(
        Arc::clone(&sandbox),
        users,
        up,
        Arc::clone(&taken),
        Duration::from_millis(20),
    ));
    tokio::time::sleep(Duration::from_millis(400)).await;
    for stop in 0..3_u64 {
        services[0].signal("STOP");
        tokio::time::sleep(Duration::from_secs(3)).await;
        services[0].signal("CONT");
        tokio::time::sleep(Duration::from_millis(200 + 170 * stop)).await;
    }
    calls.await.unwrap();
    all_heard(&sandbox, &taken, Duration::from_secs(120)).await;
    let took = began.elapsed();
    for service in services {
        let (code, _) = service.terminate();
        assert_eq!(code, Some(0));
    }
    judge("postgresql, stopped 3 × 3 s", &sandbox, &taken, 0, took);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_one_file_is_refused_with_a_sentence() {
    let (sandbox, _) = world(0).await;
    let folder = TempDir::new();
    let (sandbox_url, store) = (sandbox.url(), folder.sqlite());
    let options = ["--sandbox", &sandbox_url, "--store", &store];
    let first = Service::start(&options);
    let second = crate::service::command(&options).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(error.contains("another process"), "{error}");
    let (code, _) = first.terminate();
    assert_eq!(code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_of_the_store_contains_a_pass_a_token_or_a_text() {
    let (sandbox, users) = world(6).await;
    let folder = TempDir::new();
    let (sandbox_url, store) = (sandbox.url(), folder.sqlite());
    let options = ["--sandbox", &sandbox_url, "--store", &store];
    let service = Service::start(&options);
    let taken = Taken::default();
    let up = Arc::new(Mutex::new(service.url.clone()));
    call_out(
        Arc::clone(&sandbox),
        users,
        up,
        Arc::clone(&taken),
        Duration::ZERO,
    )
    .await;
    all_heard(&sandbox, &taken, Duration::from_secs(60)).await;
    // Killed, so that the log of the database is there too.
    service.kill();
    let files: Vec<PathBuf> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert!(files.len() >= 2, "{files:?}");
    let execution = taken.lock().unwrap().keys().next().unwrap().clone();
    let mut found = false;
    let mut secrets = vec![
        "eyJ".to_owned(),
        "sandbox:sandbox".to_owned(),
        "Example 1".to_owned(),
        "31610000".to_owned(),
    ];
    secrets.extend(sandbox.passes().into_iter().map(|pass| pass.secret));
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        found |= text.contains(&execution);
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} is in {file:?}");
        }
    }
    assert!(found, "the flows are in these files");
}
