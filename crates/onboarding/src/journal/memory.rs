use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::Hash,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Reference, async_trait,
    directory::{Callout, FlowId, UserId},
};

use crate::{
    Claim, Entries, Entry, Journal, JournalError, JournalErrorKind, Memo, Record, Report,
    flow::lock::Locks,
};

/// A journal in memory. It survives lost connections, dropped futures and repeated call-outs, but not its process.
/// Clones share the same journal.
///
/// The number of flows is bounded. If the journal is full, it removes the flow that was resumed first, or else the oldest
/// flow without entries. If there is neither, a new flow is refused with a [`JournalError`] before it has any effect. A
/// flow that never ends is never removed.
///
/// A repeated call-out of a removed flow starts it again, and its pass counts as one of another issuer, which is not
/// replaced by default. So choose a capacity larger than the number of flows within which a repeat can arrive.
///
/// For each flow it holds up to 4,096 entries, more than two weeks of refusals need, and 256 reports. Beyond these a
/// report with a final status replaces the oldest report without one.
#[derive(Clone)]
pub struct MemoryJournal(Arc<Inner>);

struct Inner {
    capacity: NonZeroUsize,
    state: Mutex<State>,
    users: Locks<UserId, FlowId>,
}

#[derive(Default)]
struct State {
    flows: HashMap<FlowId, Flow>,
    /// The flows in the order in which they were resumed.
    resumed: VecDeque<FlowId>,
    by_user: HashMap<UserId, Vec<FlowId>>,
    by_reference: HashMap<Reference, FlowId>,
    by_id: HashMap<(String, String), FlowId>,
}

struct Flow {
    callout: Callout,
    entries: Entries,
    memo: Option<Memo>,
    claimed: bool,
}

impl MemoryJournal {
    /// Creates a journal with room for 10,000 flows, a few MiB when full.
    #[must_use]
    pub fn new() -> Self {
        const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).expect("10,000 is not zero");
        Self::with_capacity(CAPACITY)
    }

    /// Creates a journal with room for a number of flows.
    #[must_use]
    pub fn with_capacity(capacity: NonZeroUsize) -> Self {
        Self(Arc::new(Inner {
            capacity,
            state: Mutex::default(),
            users: Locks::new(),
        }))
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code under the lock panics between two related changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryJournal")
            .field("capacity", &self.0.capacity)
            .field("flows", &self.0.state().flows.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn claim(&self, callout: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError> {
        let flow = callout.flow();
        let mut state = self.0.state();
        if !state.flows.contains_key(&flow) {
            if state.flows.len() >= self.0.capacity.get() {
                state.make_room()?;
            }
            state.add(callout);
        }
        let Some(known) = state.flows.get_mut(&flow).filter(|known| !known.claimed) else {
            return Ok(None);
        };
        known.claimed = true;
        Ok(Some(Box::new(MemoryClaim {
            journal: Arc::clone(&self.0),
            callout: known.callout.clone(),
            memo: known.memo.clone(),
        })))
    }

    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError> {
        let state = self.0.state();
        let known = state.flows.get(flow).map(|known| known.entries.clone());
        Ok(known.unwrap_or_else(|| Entries::new(*flow)))
    }

    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError> {
        Ok(self.0.state().by_reference.get(reference).copied())
    }

    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError> {
        let key = (provider.to_owned(), id.to_owned());
        Ok(self.0.state().by_id.get(&key).copied())
    }

    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError> {
        let mut state = self.0.state();
        // A report of an unknown flow would never be removed.
        if let Some(known) = state.flows.get_mut(flow) {
            let reports = &mut known.entries.reports;
            let again = reports.iter().any(|known| known.says_the_same_as(report));
            if !again && reports.len() >= MAX_REPORTS && report.status.is_final() {
                // A final status decides the flow.
                let oldest = reports.iter().position(|known| !known.status.is_final());
                oldest.map(|oldest| reports.remove(oldest));
            }
            if !again && reports.len() < MAX_REPORTS {
                reports.push(report.clone());
            }
        }
        Ok(())
    }

    async fn stop(&self, flow: &FlowId, at: DateTime<Utc>) -> Result<(), JournalError> {
        if let Some(known) = self.0.state().flows.get_mut(flow) {
            known.entries.stop.get_or_insert(at);
        }
        Ok(())
    }
}

/// The claim of a flow in a [`MemoryJournal`].
struct MemoryClaim {
    journal: Arc<Inner>,
    callout: Callout,
    memo: Option<Memo>,
}

impl fmt::Debug for MemoryClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryClaim")
            .field("flow", &self.callout.flow())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Claim for MemoryClaim {
    fn callout(&self) -> &Callout {
        &self.callout
    }

    fn memo(&self) -> Option<Memo> {
        self.memo.clone()
    }

    async fn give_back(&self, _: DateTime<Utc>, memo: &Memo) -> Result<(), JournalError> {
        let mut state = self.journal.state();
        let known = state.flows.get_mut(&self.callout.flow());
        known.ok_or_else(JournalError::lost)?.memo = Some(memo.clone());
        Ok(())
    }

    fn holds(&self) -> bool {
        // There is no lease: the flow has no other claim while this one exists.
        true
    }

    async fn lost(&self) {
        // There is no lease.
        std::future::pending().await
    }

    async fn entries(&self) -> Result<Entries, JournalError> {
        let state = self.journal.state();
        let known = state.flows.get(&self.callout.flow());
        known
            .map(|known| known.entries.clone())
            .ok_or_else(JournalError::lost)
    }

    async fn append(&self, at: usize, record: &Record) -> Result<(), JournalError> {
        let flow = self.callout.flow();
        let mut state = self.journal.state();
        let known = state.flows.get_mut(&flow).ok_or_else(JournalError::lost)?;
        if known.entries.records.len() != at {
            return Err(JournalError::lost());
        }
        if at >= MAX_ENTRIES {
            return Err(JournalError::new(
                JournalErrorKind::Full,
                "the flow has too many entries",
            ));
        }
        let mut own = known.entries.records.iter();
        let again = own.any(|known| matches!(known.entry, Entry::Resumed { .. }));
        known.entries.records.push(record.clone());
        match &record.entry {
            Entry::Sending { reference, .. } => {
                state.by_reference.insert(*reference, flow);
            }
            Entry::Accepted {
                provider,
                id,
                part_ids,
                ..
            } => {
                for id in id.iter().chain(part_ids) {
                    state.by_id.insert((provider.clone(), id.clone()), flow);
                }
            }
            Entry::Resumed { .. } if !again => state.resumed.push_back(flow),
            _ => {}
        }
        Ok(())
    }

    async fn of_user(&self) -> Result<Vec<Entries>, JournalError> {
        let state = self.journal.state();
        let Some(user) = self.callout.user() else {
            return Ok(Vec::new());
        };
        let flows = state.by_user.get(&user).into_iter().flatten();
        let known = flows.filter_map(|flow| state.flows.get(flow));
        Ok(known.map(|known| known.entries.clone()).collect())
    }

    async fn lock_user(&self, at_most: Duration) -> Result<bool, JournalError> {
        Ok(match self.callout.user() {
            Some(user) => self.journal.users.take(user, self.callout.flow(), at_most),
            None => true,
        })
    }

    async fn free_user(&self) -> Result<(), JournalError> {
        if let Some(user) = self.callout.user() {
            self.journal.users.free(user, self.callout.flow());
        }
        Ok(())
    }
}

impl Drop for MemoryClaim {
    fn drop(&mut self) {
        let flow = self.callout.flow();
        let mut state = self.journal.state();
        let Some(known) = state.flows.get_mut(&flow) else {
            return;
        };
        known.claimed = false;
        // With an open effect the flow keeps its user until it continues or its window closes.
        let user = known.callout.user();
        if let Some(user) = user.filter(|_| !known.entries.holds_user()) {
            self.journal.users.free(user, flow);
        }
        if known.is_idle() && known.entries.stop.is_none() && known.memo.is_none() {
            // It had no effect, and its call-out may never be repeated.
            state.remove(flow);
        }
    }
}

impl Flow {
    /// Returns whether the flow has had no effect.
    fn is_idle(&self) -> bool {
        self.entries.records.is_empty()
    }
}

impl State {
    fn add(&mut self, callout: &Callout) {
        let (flow, user) = (callout.flow(), callout.user());
        if let Some(user) = user {
            self.by_user.entry(user).or_default().push(flow);
        }
        let known = Flow {
            callout: callout.clone(),
            entries: Entries::new(flow),
            memo: None,
            claimed: false,
        };
        self.flows.insert(flow, known);
    }

    fn make_room(&mut self) -> Result<(), JournalError> {
        let free = |flow: &FlowId| self.flows.get(flow).is_none_or(|known| !known.claimed);
        let oldest = self.resumed.iter().position(free);
        let resumed = oldest.and_then(|oldest| self.resumed.remove(oldest));
        let removed = resumed.or_else(|| {
            let mut idle: Vec<_> = self
                .flows
                .values()
                .filter(|known| known.is_idle())
                .collect();
            idle.retain(|known| !known.claimed);
            let oldest = idle.iter().min_by_key(|known| known.callout.window_start());
            oldest.map(|known| known.callout.flow())
        });
        let flow = removed.ok_or_else(|| {
            JournalError::new(
                JournalErrorKind::Full,
                "the journal in memory is full of flows that have not ended",
            )
        })?;
        self.remove(flow);
        Ok(())
    }

    fn remove(&mut self, flow: FlowId) {
        let Some(known) = self.flows.remove(&flow) else {
            return;
        };
        if let Some(user) = known.callout.user()
            && let Some(flows) = self.by_user.get_mut(&user)
        {
            flows.retain(|other| *other != flow);
            if flows.is_empty() {
                self.by_user.remove(&user);
            }
        }
        for record in known.entries.records {
            match record.entry {
                Entry::Sending { reference, .. } => {
                    remove_own(&mut self.by_reference, &reference, flow);
                }
                Entry::Accepted {
                    provider,
                    id,
                    part_ids,
                    ..
                } => {
                    for id in id.into_iter().chain(part_ids) {
                        remove_own(&mut self.by_id, &(provider.clone(), id), flow);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Removes an index entry that leads to this flow. Another flow may have taken the same key since.
fn remove_own<K: Eq + Hash>(index: &mut HashMap<K, FlowId>, key: &K, flow: FlowId) {
    if index.get(key) == Some(&flow) {
        index.remove(key);
    }
}

/// The maximum number of entries of one flow. Two weeks of refused passes take 2,700.
const MAX_ENTRIES: usize = 4096;

/// The maximum number of reports of one flow. No text has more segments.
const MAX_REPORTS: usize = 256;

#[cfg(test)]
mod tests {
    use postduif_core::{DeliveryReport, DeliveryStatus, Guid, directory::Verdict};

    use super::*;

    fn callout() -> Callout {
        let [flow, user] = [Guid::random(), Guid::random()];
        Callout::new(flow.into(), user.into(), None, DateTime::UNIX_EPOCH)
    }

    async fn claim(journal: &MemoryJournal, callout: &Callout) -> Box<dyn Claim> {
        journal.claim(callout).await.unwrap().unwrap()
    }

    fn record(entry: Entry) -> Record {
        Record::new(DateTime::UNIX_EPOCH, entry)
    }

    fn resumed() -> Record {
        record(Entry::Resumed {
            verdict: Verdict::Completed,
            heard: true,
            cause: None,
        })
    }

    fn asked() -> Record {
        let (round, seen) = (1, Vec::new());
        record(Entry::Issuing { round, seen })
    }

    #[tokio::test]
    async fn when_full_only_flows_that_were_resumed_are_removed() {
        let journal = MemoryJournal::with_capacity(NonZeroUsize::new(2).unwrap());
        let [one, two, three] = std::array::from_fn(|_| callout());
        claim(&journal, &one)
            .await
            .append(0, &asked())
            .await
            .unwrap();
        claim(&journal, &two)
            .await
            .append(0, &asked())
            .await
            .unwrap();
        let full = journal.claim(&three).await.unwrap_err();
        assert_eq!(full.kind(), JournalErrorKind::Full);
        // A known flow continues, also in a full journal.
        let two_again = claim(&journal, &two).await;
        two_again.append(1, &resumed()).await.unwrap();
        assert!(journal.claim(&three).await.is_err(), "it is claimed");
        drop(two_again);
        claim(&journal, &three)
            .await
            .append(0, &asked())
            .await
            .unwrap();
        let forgotten = journal.entries(&two.flow()).await.unwrap();
        assert!(forgotten.records.is_empty());
        let kept = journal.entries(&one.flow()).await.unwrap();
        assert_eq!(kept.records, [asked()]);
    }

    #[tokio::test]
    async fn a_flow_without_an_entry_takes_no_room() {
        let journal = MemoryJournal::with_capacity(NonZeroUsize::MIN);
        drop(claim(&journal, &callout()).await);
        assert!(journal.claim(&callout()).await.unwrap().is_some());
        assert!(journal.0.state().by_user.is_empty());
    }

    #[tokio::test]
    async fn reports_take_no_room_of_the_flows_own_and_none_without_a_flow() {
        let journal = MemoryJournal::new();
        let callout = callout();
        let claim = claim(&journal, &callout).await;
        let mut report = DeliveryReport::new("kpn", DeliveryStatus::Sent);
        for part in 0..10_000 {
            report.part = Some(part.to_string());
            let report = Report::new(&report, DateTime::UNIX_EPOCH);
            journal.report(&callout.flow(), &report).await.unwrap();
            journal
                .report(&Guid::random().into(), &report)
                .await
                .unwrap();
        }
        for at in 0..MAX_ENTRIES {
            claim.append(at, &asked()).await.unwrap();
        }
        let full = claim.append(MAX_ENTRIES, &asked()).await.unwrap_err();
        assert_eq!(full.kind(), JournalErrorKind::Full);
        let entries = claim.entries().await.unwrap();
        assert_eq!(entries.reports.len(), MAX_REPORTS);
        assert_eq!(journal.0.state().flows.len(), 1);
    }

    #[tokio::test]
    async fn a_removed_flow_leaves_nothing_behind() {
        let journal = MemoryJournal::with_capacity(NonZeroUsize::MIN);
        let one = callout();
        let claimed = claim(&journal, &one).await;
        let reference: Reference = "text".parse().unwrap();
        let (round, provider) = (1, "kpn".to_owned());
        let sending = record(Entry::Sending {
            round,
            reference,
            provider: provider.clone(),
        });
        let accepted = record(Entry::Accepted {
            round,
            reference,
            provider,
            id: Some("1".into()),
            part_ids: vec!["2".into()],
            parts: None,
            reports: 1,
            price: None,
        });
        for (at, record) in [sending, accepted, resumed()].iter().enumerate() {
            claimed.append(at, record).await.unwrap();
        }
        let found = journal.flow_by_id("kpn", "2").await.unwrap();
        assert_eq!(found, Some(one.flow()));
        drop(claimed);
        claim(&journal, &callout()).await;
        assert_eq!(journal.flow_of(&reference).await.unwrap(), None);
        assert_eq!(journal.flow_by_id("kpn", "1").await.unwrap(), None);
        let state = journal.0.state();
        assert!(state.by_id.is_empty() && state.by_reference.is_empty());
        assert!(state.resumed.is_empty());
    }

    #[tokio::test]
    async fn the_first_call_out_of_a_flow_stays() {
        let journal = MemoryJournal::new();
        let first = callout();
        claim(&journal, &first)
            .await
            .append(0, &asked())
            .await
            .unwrap();
        let later = DateTime::from_timestamp(1500, 0).unwrap();
        let repeats = [first.user().unwrap(), Guid::random().into()]
            .map(|user| Callout::new(first.flow(), user, None, later));
        for repeat in repeats {
            let again = claim(&journal, &repeat).await;
            assert_eq!(*again.callout(), first);
            assert_eq!(again.of_user().await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_flow_that_was_stopped_before_its_first_entry_makes_room() {
        let journal = MemoryJournal::with_capacity(NonZeroUsize::MIN);
        let one = callout();
        let claimed = claim(&journal, &one).await;
        journal
            .stop(&one.flow(), DateTime::UNIX_EPOCH)
            .await
            .unwrap();
        assert!(journal.claim(&callout()).await.is_err(), "it is claimed");
        drop(claimed);
        assert!(journal.claim(&callout()).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_flow_that_was_resumed_twice_is_removed_once() {
        let journal = MemoryJournal::with_capacity(NonZeroUsize::MIN);
        let [one, two] = [callout(), callout()];
        let claimed = claim(&journal, &one).await;
        claimed.append(0, &resumed()).await.unwrap();
        claimed.append(1, &resumed()).await.unwrap();
        drop(claimed);
        claim(&journal, &two)
            .await
            .append(0, &resumed())
            .await
            .unwrap();
        claim(&journal, &one)
            .await
            .append(0, &asked())
            .await
            .unwrap();
        assert!(journal.claim(&two).await.is_err(), "the flow has not ended");
    }

    #[tokio::test]
    async fn a_removed_flow_takes_no_other_flows_id_along() {
        let journal = MemoryJournal::with_capacity(NonZeroUsize::new(2).unwrap());
        let accepted = record(Entry::Accepted {
            round: 1,
            reference: "text".parse().unwrap(),
            provider: "kpn".into(),
            id: Some("1".into()),
            part_ids: Vec::new(),
            parts: None,
            reports: 1,
            price: None,
        });
        let [one, two] = [callout(), callout()];
        let claimed = claim(&journal, &one).await;
        claimed.append(0, &accepted).await.unwrap();
        claimed.append(1, &resumed()).await.unwrap();
        drop(claimed);
        claim(&journal, &two)
            .await
            .append(0, &accepted)
            .await
            .unwrap();
        claim(&journal, &callout()).await;
        assert!(
            journal
                .entries(&one.flow())
                .await
                .unwrap()
                .records
                .is_empty()
        );
        let found = journal.flow_by_id("kpn", "1").await.unwrap();
        assert_eq!(found, Some(two.flow()));
    }

    #[tokio::test]
    async fn a_final_report_has_room_among_many_that_decide_nothing() {
        let journal = MemoryJournal::new();
        let callout = callout();
        let _claim = claim(&journal, &callout).await;
        let statuses = std::iter::repeat_n(DeliveryStatus::Sent, 1000);
        for (number, status) in (0..).zip(statuses.chain([DeliveryStatus::Delivered])) {
            let mut report = DeliveryReport::new("kpn", status);
            report.code = Some(format!("trace-{number}"));
            let report = Report::new(&report, DateTime::UNIX_EPOCH);
            journal.report(&callout.flow(), &report).await.unwrap();
        }
        let reports = journal.entries(&callout.flow()).await.unwrap().reports;
        assert_eq!(reports.len(), MAX_REPORTS);
        let last = reports.last().map(|report| report.status);
        assert_eq!(last, Some(DeliveryStatus::Delivered));
    }
}
