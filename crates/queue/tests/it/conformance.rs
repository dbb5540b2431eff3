//! The suites of every journal and of every store of a queue.

use std::{sync::Arc, time::Duration};

use postduif_core::directory::FlowId;
use postduif_onboarding::{Journal, MemoryJournal};
use postduif_queue::{Engine, Queue};
use postduif_testkit::{FakeEngine, FakeStore};
use tokio::sync::OnceCell;

use crate::store::Store;

const LEASE: Duration = Duration::from_secs(1);

struct Tested {
    /// `None` if there is no server. The memory journal then stands in, so that the test passes.
    store: Option<Store>,
    memory: MemoryJournal,
    first: OnceCell<Queue>,
}

impl Tested {
    fn new(store: Option<Store>) -> Self {
        Self {
            store,
            memory: MemoryJournal::new(),
            first: OnceCell::new(),
        }
    }

    fn sqlite() -> Self {
        Self::new(Some(Store::sqlite()))
    }

    fn postgres() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Self::new(runtime.unwrap().block_on(Store::postgres()))
    }
}

impl FakeStore for Tested {
    async fn open(&self) -> Arc<dyn Journal> {
        match &self.store {
            None => Arc::new(self.memory.clone()),
            // One process has the file, but a queue remembers nothing of a flow.
            Some(store) if store.is_sqlite() => {
                let first = self.first.get_or_init(|| store.open_with(LEASE)).await;
                first.journal()
            }
            Some(store) => store.open_with(LEASE).await.journal(),
        }
    }

    fn is_shared(&self) -> bool {
        self.store.is_some()
    }

    async fn write_raw(&self, flow: FlowId, number: usize, json: &str) -> bool {
        let Some(store) = &self.store else {
            return false;
        };
        let values = format!("('{flow}', {number}, 0, '{json}')");
        let insert = "INSERT INTO postduif_entry (flow, no, at, body) VALUES";
        let replace = "ON CONFLICT (flow, no) DO UPDATE SET body = excluded.body";
        store.run(&format!("{insert} {values} {replace}")).await;
        true
    }

    fn lease(&self) -> Duration {
        self.store.as_ref().map_or(Duration::ZERO, |_| LEASE)
    }
}

/// A store that each process opens by itself, in SQLite one after the other.
struct Opened(Tested);

impl FakeEngine for Opened {
    async fn open(&self) -> Arc<dyn Engine> {
        let store = self.0.store.as_ref().unwrap();
        Arc::clone(store.open_with(LEASE).await.engine())
    }

    fn is_shared(&self) -> bool {
        self.0
            .store
            .as_ref()
            .is_some_and(|store| !store.is_sqlite())
    }

    fn lease(&self) -> Duration {
        LEASE
    }

    async fn write_raw(&self, flow: FlowId, number: usize, json: &str) {
        FakeStore::write_raw(&self.0, flow, number, json).await;
    }
}

mod sqlite {
    use super::{Opened, Tested};

    postduif_testkit::journal_conformance!(Tested::sqlite());

    mod engine {
        use super::{Opened, Tested};

        postduif_testkit::engine_conformance!(Opened(Tested::sqlite()));
    }
}

mod postgres {
    use super::{Opened, Tested};

    postduif_testkit::journal_conformance!(Tested::postgres());

    mod engine {
        use super::{Opened, Tested};

        postduif_testkit::engine_conformance!(Opened(Tested::postgres()), || {
            Tested::postgres().store.is_some()
        });
    }
}
