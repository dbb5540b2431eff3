//! The journal in a file, which the kills are done with, keeps what every journal promises.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::PathBuf,
    sync::Arc,
};

use postduif::{FlowId, Guid, onboarding::Journal, testing::PretendStore};
use serde_json::{Value, json};

use crate::file_journal::{Death, FileJournal};

/// A file of its own, gone when the test is over.
struct Store(PathBuf);

impl Store {
    fn new() -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        Self(folder.join(format!("conformance-{}.journal", Guid::random())))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl PretendStore for Store {
    async fn open(&self) -> Arc<dyn Journal> {
        Arc::new(FileJournal::open(&self.0, Death::Never).unwrap())
    }

    async fn write_raw(&self, flow: FlowId, number: usize, json: &str) -> bool {
        let record: Value = serde_json::from_str(json).unwrap();
        let line =
            json!({"entry": {"flow": flow, "number": number, "writer": "newer", "record": record}});
        let mut file = OpenOptions::new().append(true).open(&self.0).unwrap();
        writeln!(file, "{line}").unwrap();
        true
    }
}

mod conformance {
    use super::Store;

    postduif::testing::journal_conformance!(Store::new());
}
