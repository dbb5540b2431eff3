//! A store shared by several processes keeps every promise of a journal, with a lease and without. For each promise
//! there is a store that breaks it.

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Reference, async_trait,
    directory::{Callout, FlowId, UserId},
};
use postduif_onboarding::{
    Claim, Entries, Entry, Journal, JournalError, JournalErrorKind, Memo, Record, Report,
};
use postduif_testkit::{FakeStore, journal_promises as promises};
use serde_json::Value;
use tokio::{task::yield_now, time::Instant};

/// The mistakes of a store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    AppendsWithoutALock,
    DropsFinalReports,
    FencesWithoutALock,
    FindsWhatItWroteItself,
    ForgetsMemos,
    FreesItsSuccessor,
    HoldsForEver,
    IgnoresItsLease,
    KeepsReportsOfUnknownFlows,
    KeepsStopsOfUnknownFlows,
    KeepsTwoReports,
    LeavesUnreadableFlowsOut,
    LetsTheLostAppend,
    LetsTheLostFree,
    LetsTheLostLock,
    LetsTheLostRemember,
    LocksForItself,
    LocksWithoutALock,
    NeverLost,
    TakesTheNewestCallout,
    OverwritesNewerEntries,
}

#[derive(Default)]
struct Disk {
    flows: HashMap<FlowId, Flow>,
    users: HashMap<UserId, (FlowId, Instant)>,
    of_unknown: HashMap<FlowId, Entries>,
}

struct Flow {
    callout: Callout,
    /// The number of its claims: a claim with a lower number is lost.
    epoch: u64,
    /// The process that holds it, and until when.
    holder: Option<(u64, Instant)>,
    records: Vec<Value>,
    reports: Vec<Report>,
    stop: Option<DateTime<Utc>>,
    memo: Option<Memo>,
}

impl Flow {
    fn new(callout: Callout) -> Self {
        Self {
            callout,
            epoch: 0,
            holder: None,
            records: Vec::new(),
            reports: Vec::new(),
            stop: None,
            memo: None,
        }
    }

    fn readable(&self) -> impl Iterator<Item = Record> {
        let records = self.records.iter();
        records.filter_map(|record| serde_json::from_value(record.clone()).ok())
    }

    fn entries(&self) -> Result<Entries, JournalError> {
        let mut entries = Entries::new(self.callout.flow());
        entries.records = self.readable().collect();
        if entries.records.len() < self.records.len() {
            let kind = JournalErrorKind::Unreadable;
            return Err(JournalError::new(kind, "a newer version wrote it"));
        }
        entries.reports.clone_from(&self.reports);
        entries.stop = self.stop;
        Ok(entries)
    }
}

/// A disk, its lease, and its mistake.
struct Store {
    disk: Arc<Mutex<Disk>>,
    lease: Duration,
    wrong: Option<Wrong>,
}

impl Store {
    fn new(lease: Duration) -> Self {
        Self {
            disk: Arc::default(),
            lease,
            wrong: None,
        }
    }
}

impl FakeStore for Store {
    async fn open(&self) -> Arc<dyn Journal> {
        static PROCESSES: AtomicU64 = AtomicU64::new(0);
        Arc::new(Process(Arc::new(Inner {
            disk: Arc::clone(&self.disk),
            lease: self.lease,
            wrong: self.wrong,
            number: PROCESSES.fetch_add(1, Ordering::SeqCst),
            own: Mutex::default(),
            users: Mutex::default(),
        })))
    }

    async fn write_raw(&self, flow: FlowId, number: usize, json: &str) -> bool {
        let mut disk = self.disk.lock().unwrap();
        let flow = disk.flows.get_mut(&flow).unwrap();
        assert_eq!(flow.records.len(), number);
        flow.records.push(serde_json::from_str(json).unwrap());
        true
    }

    fn lease(&self) -> Duration {
        self.lease
    }
}

mod without_a_lease {
    use super::*;

    postduif_testkit::journal_conformance!(Store::new(Duration::ZERO));
}

mod with_a_lease {
    use super::*;

    postduif_testkit::journal_conformance!(Store::new(Duration::from_millis(500)));
}

#[derive(Clone)]
struct Process(Arc<Inner>);

struct Inner {
    disk: Arc<Mutex<Disk>>,
    lease: Duration,
    wrong: Option<Wrong>,
    number: u64,
    /// The state of this process: the flows that it claimed, and the users that it locked.
    own: Mutex<HashSet<FlowId>>,
    users: Mutex<HashMap<UserId, (FlowId, Instant)>>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Process").field(&self.0.number).finish()
    }
}

impl Inner {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    fn find(&self, wanted: impl Fn(&Entry) -> bool) -> Option<FlowId> {
        let disk = self.disk();
        let mut flows = disk.flows.iter();
        let found = flows.find(|(_, flow)| flow.readable().any(|record| wanted(&record.entry)));
        let found = found.map(|(flow, _)| *flow)?;
        let own = self.own.lock().unwrap().contains(&found);
        (own || !self.is(Wrong::FindsWhatItWroteItself)).then_some(found)
    }

    fn of_unknown(&self, wrong: Wrong, flow: FlowId, keep: impl FnOnce(&mut Entries)) {
        if self.is(wrong) {
            let mut disk = self.disk();
            let known = disk.of_unknown.entry(flow);
            keep(known.or_insert_with(|| Entries::new(flow)));
        }
    }
}

#[async_trait]
impl Journal for Process {
    async fn claim(&self, callout: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError> {
        let process = &self.0;
        let mut disk = process.disk();
        let known = disk.flows.entry(callout.flow());
        let flow = known.or_insert_with(|| Flow::new(callout.clone()));
        let now = Instant::now();
        let taken = |(holder, until): &(u64, Instant)| {
            let lease_runs = *until > now && !process.is(Wrong::IgnoresItsLease);
            *holder == process.number || lease_runs
        };
        if flow.holder.as_ref().is_some_and(taken) {
            return Ok(None);
        }
        if process.is(Wrong::TakesTheNewestCallout) {
            flow.callout = callout.clone();
        }
        flow.epoch += 1;
        let until = now + process.lease;
        flow.holder = Some((process.number, until));
        process.own.lock().unwrap().insert(callout.flow());
        Ok(Some(Box::new(Held {
            process: self.clone(),
            callout: flow.callout.clone(),
            memo: flow.memo.clone(),
            epoch: flow.epoch,
            until: Mutex::new(until),
            lost: AtomicBool::new(false),
        })))
    }

    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError> {
        let disk = self.0.disk();
        match disk.flows.get(flow) {
            Some(known) => known.entries(),
            None => {
                let kept = disk.of_unknown.get(flow).cloned();
                Ok(kept.unwrap_or_else(|| Entries::new(*flow)))
            }
        }
    }

    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError> {
        Ok(self
            .0
            .find(|entry| matches!(entry, Entry::Sending { reference: of, .. } if of == reference)))
    }

    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError> {
        Ok(self.0.find(|entry| match entry {
            Entry::Accepted {
                provider: by,
                id: of,
                part_ids,
                ..
            } => by == provider && of.iter().chain(part_ids).any(|of| of == id),
            _ => false,
        }))
    }

    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError> {
        const MOST: usize = 200;
        let process = &self.0;
        if let Some(known) = process.disk().flows.get_mut(flow) {
            let most = if process.is(Wrong::KeepsTwoReports) {
                2
            } else {
                MOST
            };
            let reports = &mut known.reports;
            let again = reports.iter().any(|known| known.says_the_same_as(report));
            let decides = report.status.is_final() && !process.is(Wrong::DropsFinalReports);
            if !again && reports.len() >= most && decides {
                let oldest = reports.iter().position(|known| !known.status.is_final());
                oldest.map(|oldest| reports.remove(oldest));
            }
            if !again && reports.len() < most {
                reports.push(report.clone());
            }
            return Ok(());
        }
        process.of_unknown(Wrong::KeepsReportsOfUnknownFlows, *flow, |entries| {
            entries.reports.push(report.clone());
        });
        Ok(())
    }

    async fn stop(&self, flow: &FlowId, at: DateTime<Utc>) -> Result<(), JournalError> {
        if let Some(known) = self.0.disk().flows.get_mut(flow) {
            known.stop.get_or_insert(at);
            return Ok(());
        }
        self.0
            .of_unknown(Wrong::KeepsStopsOfUnknownFlows, *flow, |entries| {
                entries.stop = Some(at);
            });
        Ok(())
    }
}

struct Held {
    process: Process,
    callout: Callout,
    memo: Option<Memo>,
    epoch: u64,
    until: Mutex<Instant>,
    lost: AtomicBool,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Held").field(&self.epoch).finish()
    }
}

impl Held {
    fn is(&self, wrong: Wrong) -> bool {
        self.process.0.is(wrong)
    }

    /// Returns the flow if this claim still holds it, and renews its lease.
    fn held<'a>(&self, disk: &'a mut Disk, unless: Wrong) -> Result<&'a mut Flow, JournalError> {
        let flow = disk.flows.get_mut(&self.callout.flow());
        let flow = flow.ok_or_else(JournalError::lost)?;
        if flow.epoch == self.epoch {
            let until = Instant::now() + self.process.0.lease;
            flow.holder = Some((self.process.0.number, until));
            *self.until.lock().unwrap() = until;
        } else if !self.is(unless) {
            self.lost.store(true, Ordering::SeqCst);
            return Err(JournalError::lost());
        }
        Ok(flow)
    }
}

#[async_trait]
impl Claim for Held {
    fn callout(&self) -> &Callout {
        &self.callout
    }

    fn memo(&self) -> Option<Memo> {
        let memo = self.memo.clone();
        memo.filter(|_| !self.is(Wrong::ForgetsMemos))
    }

    async fn give_back(&self, _: DateTime<Utc>, memo: &Memo) -> Result<(), JournalError> {
        let mut disk = self.process.0.disk();
        let flow = self.held(&mut disk, Wrong::LetsTheLostRemember)?;
        flow.memo = Some(memo.clone());
        Ok(())
    }

    fn holds(&self) -> bool {
        let lease = self.process.0.lease;
        if !lease.is_zero() && *self.until.lock().unwrap() <= Instant::now() {
            self.lost.store(true, Ordering::SeqCst);
        }
        !self.lost.load(Ordering::SeqCst) || self.is(Wrong::HoldsForEver)
    }

    async fn lost(&self) {
        if self.process.0.lease.is_zero() || self.is(Wrong::NeverLost) {
            std::future::pending().await
        }
        while self.holds() {
            let until = *self.until.lock().unwrap();
            tokio::time::sleep_until(until).await;
        }
    }

    async fn entries(&self) -> Result<Entries, JournalError> {
        let mut disk = self.process.0.disk();
        self.held(&mut disk, Wrong::LetsTheLostAppend)?.entries()
    }

    async fn append(&self, at: usize, record: &Record) -> Result<(), JournalError> {
        let written = |flow: &Flow| {
            if self.is(Wrong::OverwritesNewerEntries) {
                flow.readable().count()
            } else {
                flow.records.len()
            }
        };
        let check = |disk: &mut Disk| {
            let flow = self.held(disk, Wrong::LetsTheLostAppend)?;
            let is_next = written(flow) == at;
            is_next.then_some(()).ok_or_else(JournalError::lost)
        };
        let record = serde_json::to_value(record).unwrap();
        let write = |disk: &mut Disk| {
            let flow = disk.flows.get_mut(&self.callout.flow()).unwrap();
            flow.records.truncate(at);
            flow.records.push(record.clone());
        };
        if self.is(Wrong::AppendsWithoutALock) {
            check(&mut self.process.0.disk())?;
            yield_now().await;
            write(&mut self.process.0.disk());
            return Ok(());
        }
        if self.is(Wrong::FencesWithoutALock) {
            let held = {
                let mut disk = self.process.0.disk();
                let held = self.held(&mut disk, Wrong::LetsTheLostAppend);
                held.map(|_| ())
            };
            held?;
            for _ in 0..3 {
                yield_now().await;
            }
            let mut disk = self.process.0.disk();
            let flow = disk.flows.get(&self.callout.flow()).unwrap();
            if written(flow) != at {
                return Err(JournalError::lost());
            }
            write(&mut disk);
            return Ok(());
        }
        let mut disk = self.process.0.disk();
        check(&mut disk)?;
        write(&mut disk);
        Ok(())
    }

    async fn of_user(&self) -> Result<Vec<Entries>, JournalError> {
        let disk = self.process.0.disk();
        let flows = disk.flows.values();
        let flows = flows.filter(|flow| flow.callout.user() == self.callout.user());
        let entries = flows.map(Flow::entries);
        entries
            .filter(|entries| entries.is_ok() || !self.is(Wrong::LeavesUnreadableFlowsOut))
            .collect()
    }

    async fn lock_user(&self, at_most: Duration) -> Result<bool, JournalError> {
        let Some(user) = self.callout.user() else {
            return Ok(true);
        };
        let (owner, now) = (self.callout.flow(), Instant::now());
        let others = |held: Option<&(FlowId, Instant)>| {
            held.is_some_and(|(by, until)| *by != owner && *until > now)
        };
        {
            let mut disk = self.process.0.disk();
            self.held(&mut disk, Wrong::LetsTheLostLock)?;
            if self.is(Wrong::LocksForItself) {
                let mut users = self.process.0.users.lock().unwrap();
                let taken = others(users.get(&user));
                if !taken {
                    users.insert(user, (owner, now + at_most));
                }
                return Ok(!taken);
            }
            if others(disk.users.get(&user)) {
                return Ok(false);
            }
            if !self.is(Wrong::LocksWithoutALock) {
                disk.users.insert(user, (owner, now + at_most));
                return Ok(true);
            }
        }
        yield_now().await;
        let mut disk = self.process.0.disk();
        disk.users.insert(user, (owner, now + at_most));
        Ok(true)
    }

    async fn free_user(&self) -> Result<(), JournalError> {
        let Some(user) = self.callout.user() else {
            return Ok(());
        };
        let owner = self.callout.flow();
        let mut disk = self.process.0.disk();
        self.held(&mut disk, Wrong::LetsTheLostFree)?;
        if disk.users.get(&user).is_some_and(|(by, _)| *by == owner) {
            disk.users.remove(&user);
        }
        let mut users = self.process.0.users.lock().unwrap();
        if users.get(&user).is_some_and(|(by, _)| *by == owner) {
            users.remove(&user);
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut disk = self.process.0.disk();
        let successors = self.is(Wrong::FreesItsSuccessor);
        if let Some(flow) = disk.flows.get_mut(&self.callout.flow())
            && (flow.epoch == self.epoch || successors)
        {
            flow.holder = None;
        }
    }
}

/// Returns whether the promise fails for a store with this mistake. It must hold for one without.
fn fails(lease: Duration, wrong: Wrong, promise: &impl AsyncFn(&Store)) -> bool {
    let holds = |wrong| {
        let store = Store {
            wrong,
            ..Store::new(lease)
        };
        // On a paused clock, so that no wait takes time, and on one thread, so that concurrent calls always take turns
        // in the same order.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        catch_unwind(AssertUnwindSafe(|| runtime.block_on(promise(&store)))).is_ok()
    };
    assert!(holds(None), "it also fails for a correct store");
    !holds(Some(wrong))
}

/// Makes a test of each mistake, with the promise that it breaks.
macro_rules! broken {
    ($($name:ident: $wrong:ident, $lease:literal, $promise:ident;)+) => {
        $(
            #[test]
            fn $name() {
                let lease = Duration::from_millis($lease);
                assert!(fails(lease, Wrong::$wrong, &async |store: &Store| {
                    promises::$promise(store).await;
                }));
            }
        )+
    };
}

mod is_noticed {
    use super::*;

    broken! {
        an_append_without_a_lock: AppendsWithoutALock, 0, one_of_several_concurrent_appends_is_written;
        a_fence_without_a_lock: FencesWithoutALock, 0, a_takeover_at_any_moment_loses_no_entry;
        a_claim_that_appends_when_it_is_lost: LetsTheLostAppend, 0, only_the_last_of_two_holders_appends;
        a_claim_that_holds_for_ever: HoldsForEver, 0, a_lost_claim_says_that_it_is_lost;
        a_claim_that_holds_beyond_its_lease: HoldsForEver, 500, a_lost_claim_says_that_it_is_lost;
        a_claim_whose_loss_nobody_hears: NeverLost, 500, a_lost_claim_says_that_it_is_lost;
        a_claim_that_locks_when_it_is_lost: LetsTheLostLock, 0, a_lost_claim_changes_nothing;
        a_claim_that_frees_when_it_is_lost: LetsTheLostFree, 0, a_lost_claim_changes_nothing;
        a_claim_that_keeps_a_memo_when_it_is_lost: LetsTheLostRemember, 0, a_lost_claim_changes_nothing;
        a_drop_that_frees_the_successor: FreesItsSuccessor, 0, a_lost_claim_changes_nothing;
        a_lease_that_is_ignored: IgnoresItsLease, 500, a_lease_keeps_other_processes_out;
        a_second_call_out_that_replaces_the_first: TakesTheNewestCallout, 0, the_first_call_out_of_a_flow_is_kept;
        a_memo_that_is_forgotten: ForgetsMemos, 0, a_memo_is_kept_for_the_next_claim;
        an_entry_of_a_newer_version_that_is_overwritten: OverwritesNewerEntries, 0, an_entry_of_a_newer_version_is_not_overwritten;
        an_unreadable_flow_that_is_left_out: LeavesUnreadableFlowsOut, 0,
            an_entry_of_a_newer_version_is_not_left_out_of_the_users_flows;
        a_reference_that_only_its_writer_finds: FindsWhatItWroteItself, 0,
            a_flow_is_found_by_its_references;
        an_id_that_only_its_writer_finds: FindsWhatItWroteItself, 0, a_flow_is_found_by_the_vendors_ids;
        a_report_of_an_unknown_flow_that_stays: KeepsReportsOfUnknownFlows, 0, reports_are_kept_without_a_claim;
        a_stop_of_an_unknown_flow_that_stays: KeepsStopsOfUnknownFlows, 0, a_stop_is_kept_without_a_claim;
        a_store_of_two_reports: KeepsTwoReports, 0, reports_leave_room_for_entries;
        a_final_report_without_room: DropsFinalReports, 0, reports_leave_room_for_entries;
        a_lock_of_one_process: LocksForItself, 0, a_user_is_locked_across_processes;
        a_lock_without_a_lock: LocksWithoutALock, 0, a_user_is_locked_across_processes;
    }
}
