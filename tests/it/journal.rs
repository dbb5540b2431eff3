//! The journal in a file, which the kills are done with, keeps what every journal promises.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use postduif::{
    Guid,
    chrono::DateTime,
    directory::{Callout, FlowId},
    onboarding::{Journal, JournalErrorKind, Record},
    testing::FakeStore,
};
use serde_json::{Value, json};

use crate::file_journal::{Death, FileJournal};

/// A file of its own, gone when the test is over.
struct Store(PathBuf, Duration);

impl Store {
    fn new(lease: Duration) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let name = format!("conformance-{}.journal", Guid::random());
        Self(folder.join(name), lease)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl FakeStore for Store {
    async fn open(&self) -> Arc<dyn Journal> {
        Arc::new(FileJournal::open(&self.0, Death::Never, self.1).unwrap())
    }

    fn lease(&self) -> Duration {
        self.1
    }

    async fn write_raw(&self, flow: FlowId, _: usize, json: &str) -> bool {
        let record: Value = serde_json::from_str(json).unwrap();
        let line = json!({"entry": {"flow": flow, "record": record}});
        let mut file = OpenOptions::new().append(true).open(&self.0).unwrap();
        writeln!(file, "{line}").unwrap();
        true
    }
}

mod without_a_lease {
    use super::*;

    postduif::testing::journal_conformance!(Store::new(Duration::ZERO));
}

mod with_a_lease {
    use super::*;

    postduif::testing::journal_conformance!(Store::new(Duration::from_secs(1)));
}

fn callout() -> Callout {
    let [flow, user] = [Guid::random(), Guid::random()];
    let received_at = std::time::SystemTime::now().into();
    Callout::new(flow.into(), user.into(), None, received_at)
}

fn resumed() -> Record {
    let entry = json!({"resumed": {"verdict": "completed", "heard": true}});
    Record::new(DateTime::UNIX_EPOCH, serde_json::from_value(entry).unwrap())
}

/// A process that died while it wrote has not written.
#[tokio::test]
async fn half_a_line_is_cut_off() {
    let store = Store::new(Duration::ZERO);
    let journal = store.open().await;
    let callout = callout();
    let claim = journal.claim(&callout).await.unwrap().unwrap();
    claim.append(0, &resumed()).await.unwrap();
    let before = fs::read(&store.0).unwrap();
    let half = r#"{"entry":{"flow":"é"#.as_bytes();
    let mut file = OpenOptions::new().append(true).open(&store.0).unwrap();
    file.write_all(&half[..half.len() - 1]).unwrap();
    let read = store.open().await.entries(&callout.flow()).await.unwrap();
    assert_eq!(read.records, [resumed()]);
    assert_eq!(fs::read(&store.0).unwrap(), before);
    claim.append(1, &resumed()).await.unwrap();
    assert_eq!(claim.entries().await.unwrap().records.len(), 2);
}

/// A kind of line that only a newer version writes is about one flow, and no other is harmed.
#[tokio::test]
async fn a_newer_kind_of_line_makes_its_own_flow_unreadable() {
    let store = Store::new(Duration::ZERO);
    let journal = store.open().await;
    let [newer, other] = [callout(), callout()];
    for callout in [&newer, &other] {
        let claim = journal.claim(callout).await.unwrap().unwrap();
        claim.append(0, &resumed()).await.unwrap();
    }
    let line = json!({"pardoned": {"flow": newer.flow()}});
    let mut file = OpenOptions::new().append(true).open(&store.0).unwrap();
    writeln!(file, "{line}").unwrap();
    for journal in [journal, store.open().await] {
        let read = journal.entries(&newer.flow()).await.unwrap_err();
        assert_eq!(read.kind(), JournalErrorKind::Unreadable);
        let read = journal.entries(&other.flow()).await.unwrap();
        assert_eq!(read.records, [resumed()]);
    }
}

/// Whoever cannot have the file is told so in the end, and waits no longer.
#[tokio::test(start_paused = true)]
async fn a_file_that_another_keeps_is_unavailable() {
    let store = Store::new(Duration::ZERO);
    let journal = store.open().await;
    let other = OpenOptions::new().read(true).open(&store.0).unwrap();
    other.lock().unwrap();
    let asked = journal.claim(&callout()).await.unwrap_err();
    assert_eq!(asked.kind(), JournalErrorKind::Unavailable);
    other.unlock().unwrap();
    assert!(journal.claim(&callout()).await.unwrap().is_some());
}
