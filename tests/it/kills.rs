use std::{fs, path::PathBuf, process::Command};

use postduif_sandbox::{CalloutKind, Cast, Fault, Sandbox};
use serde_json::json;

use crate::world::assert_settled;

/// A flow whose process can be killed: a call-out and a journal on disk, and a world that goes on.
struct Flow {
    sandbox: Sandbox,
    callout: PathBuf,
    journal: PathBuf,
}

impl Flow {
    async fn new(name: &str, faults: &[(&str, Fault, u32)]) -> Self {
        let sandbox = Sandbox::start().await;
        for (at, fault, times) in faults {
            sandbox.fault(at, *fault).times(*times);
        }
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let flow = Self {
            callout: folder.join(format!("{name}.callout.json")),
            journal: folder.join(format!("{name}.journal")),
            sandbox,
        };
        let body = flow
            .sandbox
            .callout(Cast::JOINER, CalloutKind::Lifecycle)
            .unwrap()
            .body;
        fs::write(&flow.callout, body.to_string()).unwrap();
        let _ = fs::remove_file(&flow.journal);
        flow
    }

    /// Runs a process of the flow; whether it came to its end.
    fn run(&self, death: &str) -> bool {
        let about = json!({
            "tenant": self.sandbox.tenant(),
            "client_id": self.sandbox.client_id(),
            "sms_url": self.sandbox.sms_url("kpn"),
        });
        let output = Command::new(env!("CARGO_BIN_EXE_victim"))
            .args(["flow", &self.sandbox.url()])
            .args([&self.callout, &self.journal])
            .arg(death)
            .env("SANDBOX_ABOUT", about.to_string())
            .output()
            .unwrap();
        let died = output.status.code().is_none();
        assert!(
            died || output.status.success(),
            "{death}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        !died
    }

    fn entries(&self) -> usize {
        fs::read_to_string(&self.journal)
            .map(|text| {
                text.lines()
                    .filter(|line| line.starts_with(r#"{"entry""#))
                    .count()
            })
            .unwrap_or_default()
    }
}

/// Kills the flow's process before and after each of its entries, and lets the next one end it.
async fn killed_everywhere(name: &str, faults: &[(&str, Fault, u32)]) {
    let whole = Flow::new(name, faults).await;
    assert!(whole.run("never"));
    assert_settled(&whole.sandbox, Cast::JOINER, name);
    let entries = whole.entries();
    assert!(entries >= 4, "{name}: {entries} entries");
    for place in 0..entries {
        for moment in ["before", "after"] {
            let what = format!("{name}, {moment} entry {place}");
            let flow = Flow::new(name, faults).await;
            assert!(
                !flow.run(&format!("{moment}:{place}")),
                "{what}: it was to die"
            );
            assert!(flow.run("never"), "{what}: the next process ends the flow");
            assert_settled(&flow.sandbox, Cast::JOINER, &what);
            // At most one text more than without the kill.
            assert!(
                flow.sandbox.messages().len() <= whole.sandbox.messages().len() + 1,
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn killed_in_a_flow_that_nothing_befalls() {
    killed_everywhere("plain", &[]).await;
}

#[tokio::test]
async fn killed_in_a_flow_whose_text_is_in_doubt() {
    killed_everywhere("doubt", &[("kpn.send", Fault::LostAnswer, 1)]).await;
}

#[tokio::test]
async fn killed_in_a_flow_whose_text_never_arrives_and_is_in_doubt() {
    killed_everywhere("vanished", &[("kpn.send", Fault::ResetAfterRead, 1)]).await;
}

#[tokio::test]
async fn killed_in_a_flow_whose_text_is_refused() {
    killed_everywhere("refused", &[("kpn.send", Fault::BadNumber, 2)]).await;
}

#[tokio::test]
async fn killed_in_a_flow_whose_pass_is_in_doubt() {
    killed_everywhere("pass", &[("graph.tap", Fault::LostAnswer, 1)]).await;
}

#[tokio::test]
async fn killed_in_a_flow_whose_pass_is_refused_at_first() {
    killed_everywhere("throttled", &[("graph.tap", Fault::Throttle, 1)]).await;
}

#[tokio::test]
async fn killed_in_a_flow_whose_revocation_is_in_doubt() {
    let faults = [
        ("kpn.send", Fault::LostAnswer, 1),
        ("graph.tap_revoke", Fault::LostAnswer, 1),
    ];
    killed_everywhere("revocation", &faults).await;
}

#[tokio::test]
async fn killed_in_a_flow_whose_resume_is_in_doubt() {
    killed_everywhere("resume", &[("graph.resume", Fault::LostAnswer, 1)]).await;
}
