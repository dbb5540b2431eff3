//! An engine whose process is stopped when an entry is durable, and continues by itself.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Reference, async_trait,
    directory::{Callout, FlowId},
};
use postduif_onboarding::{
    Claim, Ending, Entries, Journal, JournalError, Memo, Record, Report, Taken,
};
use postduif_queue::{Archive, Counts, Engine, Lease, Status};

/// When a process is stopped, and for how long.
pub(super) struct Stopping(Arc<Hook>);

#[derive(Debug)]
struct Hook {
    entry: &'static str,
    stops_for: Duration,
    has_stopped: AtomicBool,
    tell: Mutex<mpsc::Sender<()>>,
}

impl Stopping {
    /// Stops a process once, after the first entry of this name. The receiver is told when it is.
    pub(super) fn after(entry: &'static str, stops_for: Duration) -> (Self, mpsc::Receiver<()>) {
        let (tell, stopped) = mpsc::channel();
        let hook = Hook {
            entry,
            stops_for,
            has_stopped: AtomicBool::new(false),
            tell: Mutex::new(tell),
        };
        (Self(Arc::new(hook)), stopped)
    }

    pub(super) fn around(self, engine: Arc<dyn Engine>) -> Arc<dyn Engine> {
        Arc::new(Stopped {
            hook: self.0,
            engine,
        })
    }
}

impl Hook {
    /// Stops this thread, and with it all tasks of its runtime, as a stopped process would.
    fn appended(&self, record: &Record) {
        let name = serde_json::to_value(&record.entry).unwrap_or_default();
        let is_it = name
            .as_object()
            .is_some_and(|entry| entry.contains_key(self.entry));
        if is_it && !self.has_stopped.swap(true, Ordering::SeqCst) {
            let tell = self
                .tell
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let _ = tell.send(());
            thread::sleep(self.stops_for);
        }
    }
}

#[derive(Debug)]
struct Stopped {
    hook: Arc<Hook>,
    engine: Arc<dyn Engine>,
}

struct StoppedLease {
    hook: Arc<Hook>,
    lease: Arc<dyn Lease>,
}

impl fmt::Debug for StoppedLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lease.fmt(f)
    }
}

#[async_trait]
impl Journal for Stopped {
    async fn claim(&self, callout: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError> {
        self.engine.claim(callout).await
    }

    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError> {
        self.engine.entries(flow).await
    }

    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError> {
        self.engine.flow_of(reference).await
    }

    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError> {
        self.engine.flow_by_id(provider, id).await
    }

    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError> {
        self.engine.report(flow, report).await
    }

    async fn stop(&self, flow: &FlowId, at: DateTime<Utc>) -> Result<(), JournalError> {
        self.engine.stop(flow, at).await
    }
}

#[async_trait]
impl Engine for Stopped {
    async fn enqueue(&self, callout: &Callout) -> Result<Taken, JournalError> {
        self.engine.enqueue(callout).await
    }

    async fn next(&self) -> Result<Option<Arc<dyn Lease>>, JournalError> {
        let lease = self.engine.next().await?;
        Ok(lease.map(|lease| {
            let hook = Arc::clone(&self.hook);
            Arc::new(StoppedLease { hook, lease }) as Arc<dyn Lease>
        }))
    }

    async fn wait(&self, at_most: Duration) {
        self.engine.wait(at_most).await;
    }

    async fn status(&self, flow: &FlowId) -> Result<Option<Status>, JournalError> {
        self.engine.status(flow).await
    }

    async fn counts(&self) -> Result<Counts, JournalError> {
        self.engine.counts().await
    }

    fn archive(&self) -> Option<&dyn Archive> {
        self.engine.archive()
    }
}

#[async_trait]
impl Claim for StoppedLease {
    fn callout(&self) -> &Callout {
        self.lease.callout()
    }

    fn memo(&self) -> Option<Memo> {
        self.lease.memo()
    }

    async fn give_back(&self, until: DateTime<Utc>, memo: &Memo) -> Result<(), JournalError> {
        self.lease.give_back(until, memo).await
    }

    fn holds(&self) -> bool {
        self.lease.holds()
    }

    async fn lost(&self) {
        self.lease.lost().await;
    }

    async fn entries(&self) -> Result<Entries, JournalError> {
        self.lease.entries().await
    }

    async fn append(&self, at: usize, record: &Record) -> Result<(), JournalError> {
        self.lease.append(at, record).await?;
        self.hook.appended(record);
        Ok(())
    }

    async fn of_user(&self) -> Result<Vec<Entries>, JournalError> {
        self.lease.of_user().await
    }

    async fn lock_user(&self, at_most: Duration) -> Result<bool, JournalError> {
        self.lease.lock_user(at_most).await
    }

    async fn free_user(&self) -> Result<(), JournalError> {
        self.lease.free_user().await
    }
}

#[async_trait]
impl Lease for StoppedLease {
    fn length(&self) -> Duration {
        self.lease.length()
    }

    fn takeovers(&self) -> u32 {
        self.lease.takeovers()
    }

    async fn extend(&self) -> Result<(), JournalError> {
        self.lease.extend().await
    }

    async fn done(&self, ending: &Ending) -> Result<(), JournalError> {
        self.lease.done(ending).await
    }
}
