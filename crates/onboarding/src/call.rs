//! What every step is made of: locks, calls that end, entries, pauses.

use std::{future::Future, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{GraphError, GraphErrorKind, TapId, TapInfo};
use tokio::time::Instant;

use crate::{
    Entry, JournalError, Onboarding, Run, Step, StepName, Then,
    clock::{after, between},
    history::History,
};

impl Onboarding {
    /// Whether the flow is this run's alone, in this process.
    pub(crate) fn claim(&self, run: &mut Run) -> bool {
        if run.claim.is_none() {
            let now = self.clock.now();
            run.claim = self.flows.take(run.flow(), now, DateTime::<Utc>::MAX_UTC);
        }
        run.claim.is_some()
    }

    /// Whether the user is this flow's alone.
    pub(crate) fn lock(&self, run: &mut Run) -> bool {
        if !run.holds_user() {
            let now = self.clock.now();
            run.lock = self.users.take(run.whom(), now, run.deadline);
        }
        run.lock.is_some()
    }

    pub(crate) async fn list(&self, run: &mut Run) -> Result<Vec<TapInfo>, GraphError> {
        let began = Instant::now();
        let user = run.whom();
        let passes = within(self.limit(run), self.issuer.list(&user)).await;
        run.took(StepName::IssuePass, began);
        passes.unwrap_or_else(|| Err(no_answer()))
    }

    pub(crate) async fn history(&self, run: &Run) -> Result<History, JournalError> {
        let flow = run.flow();
        let entries = within(CALL, self.journal.entries(&flow)).await;
        entries.unwrap_or_else(journal_silent).map(History::new)
    }

    pub(crate) async fn journal_issued(&self, tap: &TapId) -> Result<bool, JournalError> {
        let issued = within(CALL, self.journal.issued(tap)).await;
        issued.unwrap_or_else(journal_silent)
    }

    pub(crate) async fn record(&self, run: &mut Run, entry: Entry) -> Result<(), JournalError> {
        let flow = run.flow();
        let recorded = within(CALL, self.journal.record(&flow, &entry)).await;
        recorded.unwrap_or_else(journal_silent)?;
        run.went_on();
        let settled = match entry {
            Entry::Resuming { .. } => true,
            Entry::Revoked { then, .. } => matches!(then, Then::End(_)),
            _ => false,
        };
        if settled {
            run.lock = None;
        }
        Ok(())
    }

    /// Pauses, but not beyond the end.
    pub(crate) fn pause(&self, run: &mut Run, wait: Duration, end: DateTime<Utc>) -> Step {
        let until = after(self.clock.now(), wait).min(end);
        run.pause(until);
        Step::WaitUntil(until)
    }

    /// How long to wait after so many failures: as configured, then twice as long each time.
    pub(crate) fn wait(
        &self,
        failures: u32,
        longest: Duration,
        asked: Option<Duration>,
    ) -> Duration {
        let configured = self.pauses.get(failures as usize).copied();
        let wait = configured.unwrap_or_else(|| {
            let last = self.pauses.last().copied().unwrap_or(longest);
            let doublings = (failures as usize).saturating_sub(self.pauses.len()) + 1;
            let factor = u32::try_from(doublings)
                .ok()
                .and_then(|n| 2_u32.checked_pow(n));
            let grown = last.saturating_mul(factor.unwrap_or(u32::MAX));
            grown.min(longest.max(last))
        });
        wait.max(asked.unwrap_or_default())
    }

    /// How long an effect may take that began before the deadline: half of the margin is left for what
    /// must follow it.
    pub(crate) fn grace(&self, run: &Run) -> Duration {
        let end = after(run.deadline, self.margin / 2);
        between(self.clock.now(), end).max(LEAST)
    }

    /// How long a call to Graph may take.
    pub(crate) fn limit(&self, run: &Run) -> Duration {
        self.grace(run).min(CALL)
    }
}

/// How soon to ask again for what another flow holds.
pub(crate) const A_WHILE: Duration = Duration::from_secs(1);

/// The longest pause between repeats.
pub(crate) const OFTEN: Duration = Duration::from_secs(60);

/// The longest that any call may take but a send. Graph's own deadlines are shorter.
pub(crate) const CALL: Duration = Duration::from_secs(60);

/// The least time that a call is given, when the window is closing or closed.
pub(crate) const LEAST: Duration = Duration::from_secs(5);

pub(crate) async fn within<T>(limit: Duration, call: impl Future<Output = T> + Send) -> Option<T> {
    tokio::time::timeout(limit, call).await.ok()
}

pub(crate) fn no_answer() -> GraphError {
    GraphError::unknown(GraphErrorKind::Timeout, "Graph gave no answer in time")
}

fn journal_silent<T>() -> Result<T, JournalError> {
    Err(JournalError::new("the journal gave no answer in time"))
}
