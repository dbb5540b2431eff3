//! The journal in memory keeps the promises of every journal, and the suite finds a journal that does not.

use std::{sync::Arc, time::Duration};

use postduif_core::{
    Reference, async_trait,
    directory::{Callout, FlowId},
};
use postduif_onboarding::{
    Claim, Entries, Journal, JournalError, Memo, MemoryJournal, Record, Report,
};
use postduif_testkit::{FakeStore, journal_promises as promises};

/// A process with its memory.
struct Memory(Arc<dyn Journal>);

impl FakeStore for Memory {
    async fn open(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.0)
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn write_raw(&self, _: FlowId, _: usize, _: &str) -> bool {
        false
    }
}

mod memory {
    use super::*;

    postduif_testkit::journal_conformance!(Memory(Arc::new(MemoryJournal::new())));
}

/// A fault of a journal.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    AppendsAnywhere,
    CountsReports,
    FindsNoIds,
    FindsNoReferences,
    ForgetsTheEnd,
    FreesEverybody,
    GivesToMany,
    KnowsOneFlowOfAUser,
    LocksNobody,
    LosesStops,
    NeverAnswers,
    RepeatsReports,
}

#[derive(Clone, Debug)]
struct Spoilt {
    journal: MemoryJournal,
    wrong: Wrong,
}

#[derive(Debug)]
struct SpoiltClaim {
    claim: Arc<dyn Claim>,
    wrong: Wrong,
}

#[async_trait]
impl Journal for Spoilt {
    async fn claim(&self, callout: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError> {
        let claim = match self.journal.claim(callout).await? {
            Some(claim) => claim.into(),
            None if self.wrong == Wrong::GivesToMany => {
                let other = MemoryJournal::new();
                other.claim(callout).await?.unwrap().into()
            }
            None => return Ok(None),
        };
        let wrong = self.wrong;
        Ok(Some(Box::new(SpoiltClaim { claim, wrong })))
    }

    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError> {
        self.journal.entries(flow).await
    }

    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError> {
        match self.wrong {
            Wrong::FindsNoReferences => Ok(None),
            _ => self.journal.flow_of(reference).await,
        }
    }

    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError> {
        match self.wrong {
            Wrong::FindsNoIds => Ok(None),
            _ => self.journal.flow_by_id(provider, id).await,
        }
    }

    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError> {
        let mut report = report.clone();
        if self.wrong == Wrong::RepeatsReports {
            report.code = Some(report.at.to_rfc3339());
        }
        self.journal.report(flow, &report).await
    }

    async fn stop(
        &self,
        flow: &FlowId,
        at: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), JournalError> {
        match self.wrong {
            Wrong::LosesStops => Ok(()),
            _ => self.journal.stop(flow, at).await,
        }
    }
}

#[async_trait]
impl Claim for SpoiltClaim {
    fn callout(&self) -> &Callout {
        self.claim.callout()
    }

    fn memo(&self) -> Option<Memo> {
        self.claim.memo()
    }

    async fn give_back(
        &self,
        until: chrono::DateTime<chrono::Utc>,
        memo: &Memo,
    ) -> Result<(), JournalError> {
        self.claim.give_back(until, memo).await
    }

    fn holds(&self) -> bool {
        self.claim.holds()
    }

    async fn lost(&self) {
        self.claim.lost().await;
    }

    async fn entries(&self) -> Result<Entries, JournalError> {
        let mut entries = self.claim.entries().await?;
        if self.wrong == Wrong::ForgetsTheEnd {
            entries.records.pop();
        }
        Ok(entries)
    }

    async fn append(&self, at: usize, record: &Record) -> Result<(), JournalError> {
        let entries = self.claim.entries().await?;
        let at = match self.wrong {
            Wrong::AppendsAnywhere => entries.records.len(),
            Wrong::CountsReports => at.saturating_sub(entries.reports.len()),
            _ => at,
        };
        self.claim.append(at, record).await
    }

    async fn of_user(&self) -> Result<Vec<Entries>, JournalError> {
        let mut flows = self.claim.of_user().await?;
        if self.wrong == Wrong::KnowsOneFlowOfAUser {
            flows.truncate(1);
        }
        Ok(flows)
    }

    async fn lock_user(&self, at_most: Duration) -> Result<bool, JournalError> {
        match self.wrong {
            Wrong::LocksNobody => Ok(true),
            Wrong::NeverAnswers => std::future::pending().await,
            _ => self.claim.lock_user(at_most).await,
        }
    }

    async fn free_user(&self) -> Result<(), JournalError> {
        self.claim.free_user().await
    }
}

impl Drop for SpoiltClaim {
    fn drop(&mut self) {
        if self.wrong == Wrong::FreesEverybody {
            let claim = Arc::clone(&self.claim);
            // The memory journal completes at once.
            let _ = futures_now(async move { claim.free_user().await });
        }
    }
}

/// Polls a future that is ready at once.
fn futures_now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// Returns whether the promise fails for a journal with this fault.
fn fails(wrong: Wrong, promise: impl AsyncFnOnce(&Memory)) -> bool {
    let journal = MemoryJournal::new();
    let store = Memory(Arc::new(Spoilt { journal, wrong }));
    // On a paused clock, so that waiting for an event that never comes takes no time.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let tried = std::panic::AssertUnwindSafe(|| runtime.block_on(promise(&store)));
    std::panic::catch_unwind(tried).is_err()
}

#[test]
fn each_promise_is_broken_by_a_journal_that_does_not_keep_it() {
    use Wrong::*;
    assert!(fails(
        AppendsAnywhere,
        promises::an_entry_is_appended_only_at_the_end
    ));
    assert!(fails(
        CountsReports,
        promises::reports_are_kept_without_a_claim
    ));
    assert!(fails(
        FindsNoIds,
        promises::a_flow_is_found_by_the_vendors_ids
    ));
    assert!(fails(
        FindsNoReferences,
        promises::a_flow_is_found_by_its_references
    ));
    assert!(fails(
        ForgetsTheEnd,
        promises::entries_are_read_as_they_were_appended
    ));
    assert!(fails(
        FreesEverybody,
        promises::a_flow_with_an_open_effect_keeps_its_user
    ));
    assert!(fails(
        GivesToMany,
        promises::a_flow_has_one_holder_at_a_time
    ));
    assert!(fails(
        KnowsOneFlowOfAUser,
        promises::a_claim_reads_every_flow_of_its_user
    ));
    assert!(fails(
        LocksNobody,
        promises::a_user_is_locked_by_one_flow_at_a_time
    ));
    assert!(fails(LosesStops, promises::a_stop_is_kept_without_a_claim));
    assert!(fails(NeverAnswers, promises::a_user_lock_expires));
    assert!(fails(
        RepeatsReports,
        promises::reports_are_kept_without_a_claim
    ));
}
