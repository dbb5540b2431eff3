//! The suites of promises of journals and of engines.

use std::{sync::Arc, time::Duration};

use postduif_core::directory::FlowId;
use postduif_onboarding::Journal;
use postduif_queue::Engine;
use postduif_testkit::{FakeEngine, FakeStore};
use serde_json::{Value, json};

use crate::server::{LEASE, Server, can_run, read, write};

/// A store on a server of its own. There is none where the tests are skipped.
struct Nats(Option<Server>);

impl Nats {
    fn start() -> Self {
        Self(can_run().then(Server::start))
    }

    fn server(&self) -> &Server {
        self.0.as_ref().unwrap()
    }

    /// Writes an entry into the value of a flow, as another version of this library would.
    async fn write_entry(&self, flow: FlowId, number: usize, json: &str) {
        let client = self.server().client().await;
        let key = format!("flow.{flow}");
        let bytes = read(&client, &key).await.unwrap();
        let mut value: Value = serde_json::from_slice(&bytes).unwrap();
        let entries = value["entries"].as_array_mut().unwrap();
        entries.resize(entries.len().max(number + 1), json!(null));
        entries[number] = serde_json::from_str(json).unwrap();
        write(&client, &key, value.to_string()).await;
    }
}

impl FakeEngine for Nats {
    async fn open(&self) -> Arc<dyn Engine> {
        Arc::clone(self.server().open().await.engine())
    }

    fn lease(&self) -> Duration {
        LEASE
    }

    async fn write_raw(&self, flow: FlowId, number: usize, json: &str) {
        self.write_entry(flow, number, json).await;
    }
}

mod engine {
    use super::{Nats, can_run};

    postduif_testkit::engine_conformance!(Nats::start(), can_run);
}

struct NatsJournal(Nats);

impl FakeStore for NatsJournal {
    async fn open(&self) -> Arc<dyn Journal> {
        self.0.server().open().await.journal()
    }

    async fn write_raw(&self, flow: FlowId, number: usize, json: &str) -> bool {
        self.0.write_entry(flow, number, json).await;
        true
    }

    fn lease(&self) -> Duration {
        LEASE
    }
}

mod journal {
    use super::{Nats, NatsJournal, can_run};

    postduif_testkit::journal_conformance!(NatsJournal(Nats::start()), can_run);
}
