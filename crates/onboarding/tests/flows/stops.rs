//! Stopped processes, slow stores, and lost claims.

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use postduif_core::{
    ErrorKind, Reference, async_trait,
    directory::{Callout, FailureReason, FlowId, Verdict},
};
use postduif_onboarding::{
    Claim, Entries, Journal, JournalError, JournalErrorKind, Memo, Record, Report,
};
use tokio::sync::Notify;

use serde_json::json;

use crate::world::{Break, IssueFault, SendFault, World, entry, minutes, name_of, start};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A journal whose claims have a lease, like a store for several processes. Its worker is stopped (SIGSTOP) when a
/// named entry is durable, and loses the lease meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Leased(Arc<Lease>);

#[derive(Debug)]
struct Lease {
    world: Arc<World>,
    stop_after: Option<&'static str>,
    stopped: Notify,
    go: Notify,
    /// How long the worker is stopped after a named entry, if it continues by itself.
    stops_for: Option<(&'static str, Duration)>,
    lost: AtomicBool,
    told: Notify,
    loses: Option<Loses>,
    /// Whether the claim notices a lost lease by itself.
    notices: bool,
}

/// When a claim is lost while its run continues at once.
#[derive(Clone, Copy, Debug)]
enum Loses {
    /// When an entry of this name is durable.
    Appended(&'static str),
    /// When a later step has read an entry of this name as the last.
    Read(&'static str),
}

impl Leased {
    fn losing(world: &Arc<World>, loses: Loses) -> Self {
        Self(Arc::new(Lease {
            world: Arc::clone(world),
            stop_after: None,
            stopped: Notify::new(),
            go: Notify::new(),
            stops_for: None,
            lost: AtomicBool::new(false),
            told: Notify::new(),
            loses: Some(loses),
            notices: true,
        }))
    }

    fn new(world: &Arc<World>, stop_after: Option<&'static str>, notices: bool) -> Self {
        Self(Arc::new(Lease {
            world: Arc::clone(world),
            stop_after,
            stopped: Notify::new(),
            go: Notify::new(),
            stops_for: None,
            lost: AtomicBool::new(false),
            told: Notify::new(),
            loses: None,
            notices,
        }))
    }

    /// Creates a worker that is stopped after each entry of this name.
    pub(crate) fn stopping(world: &Arc<World>, entry: &'static str, stops_for: Duration) -> Self {
        Self(Arc::new(Lease {
            world: Arc::clone(world),
            stop_after: None,
            stopped: Notify::new(),
            go: Notify::new(),
            stops_for: Some((entry, stops_for)),
            lost: AtomicBool::new(false),
            told: Notify::new(),
            loses: None,
            notices: true,
        }))
    }

    /// Gives the flow to another claim.
    pub(crate) fn lose(&self) {
        self.0.lost.store(true, Ordering::SeqCst);
        self.0.told.notify_waiters();
    }
}

/// Reads and appends like any claim of the flow, also beside another one.
#[derive(Debug)]
struct LeasedClaim {
    lease: Arc<Lease>,
    callout: Callout,
    /// A claim of an unrelated flow: the memory journal gives a flow to one holder only.
    claim: Arc<dyn Claim>,
}

#[async_trait]
impl Journal for Leased {
    async fn claim(&self, callout: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError> {
        let claim = shared(&self.0.world, callout).await?;
        Ok(Some(Box::new(LeasedClaim {
            lease: Arc::clone(&self.0),
            callout: callout.clone(),
            claim,
        })))
    }

    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError> {
        self.0.world.journal.entries(flow).await
    }

    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError> {
        self.0.world.journal.flow_of(reference).await
    }

    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError> {
        self.0.world.journal.flow_by_id(provider, id).await
    }

    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError> {
        self.0.world.journal.report(flow, report).await
    }

    async fn stop(
        &self,
        flow: &FlowId,
        at: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), JournalError> {
        self.0.world.journal.stop(flow, at).await
    }
}

/// Returns the one claim of the flow in the memory journal, which all workers of a test share.
async fn shared(world: &Arc<World>, callout: &Callout) -> Result<Arc<dyn Claim>, JournalError> {
    if let Some(claim) = { world.state().shared.clone() } {
        return Ok(claim);
    }
    let claim: Arc<dyn Claim> = world.journal.claim(callout).await?.unwrap().into();
    world.state().shared = Some(Arc::clone(&claim));
    Ok(claim)
}

#[async_trait]
impl Claim for LeasedClaim {
    fn callout(&self) -> &Callout {
        &self.callout
    }

    fn memo(&self) -> Option<Memo> {
        None
    }

    async fn give_back(
        &self,
        until: chrono::DateTime<chrono::Utc>,
        memo: &Memo,
    ) -> Result<(), JournalError> {
        self.claim.give_back(until, memo).await
    }

    fn holds(&self) -> bool {
        !(self.lease.notices && self.lease.lost.load(Ordering::SeqCst))
    }

    async fn lost(&self) {
        let told = self.lease.told.notified();
        if self.holds() {
            told.await;
        }
        if !self.lease.notices {
            future::pending().await
        }
    }

    async fn entries(&self) -> Result<Entries, JournalError> {
        if self.lease.lost.load(Ordering::SeqCst) {
            return Err(JournalError::lost());
        }
        let entries = self.claim.entries().await?;
        let last = entries.records.last();
        if let Some(Loses::Read(name)) = self.lease.loses
            && last.is_some_and(|last| name_of(&last.entry) == name)
        {
            self.lease.lost.store(true, Ordering::SeqCst);
        }
        Ok(entries)
    }

    async fn append(&self, at: usize, record: &Record) -> Result<(), JournalError> {
        if self.lease.lost.load(Ordering::SeqCst) {
            return Err(JournalError::lost());
        }
        self.claim.append(at, record).await?;
        let name = name_of(&record.entry);
        self.lease.world.state().log.push(name.clone());
        if matches!(self.lease.loses, Some(Loses::Appended(entry)) if entry == name) {
            self.lease.lost.store(true, Ordering::SeqCst);
        }
        if let Some((entry, wait)) = self.lease.stops_for
            && entry == name
        {
            tokio::time::sleep(wait).await;
        }
        if self.lease.stop_after == Some(name.as_str()) {
            self.lease.stopped.notify_one();
            self.lease.go.notified().await;
        }
        Ok(())
    }

    async fn of_user(&self) -> Result<Vec<Entries>, JournalError> {
        self.claim.of_user().await
    }

    async fn lock_user(&self, at_most: Duration) -> Result<bool, JournalError> {
        self.claim.lock_user(at_most).await
    }

    async fn free_user(&self) -> Result<(), JournalError> {
        self.claim.free_user().await
    }
}

/// Stops a worker when this entry is durable, lets another run end the flow, and continues the first one.
async fn stopped_after(world: &Arc<World>, entry: &'static str, notices: bool) {
    let callout = world.callout();
    let old = Leased::new(world, Some(entry), notices);
    let new = Leased::new(world, None, true);
    let first = world.builder().with_journal(Arc::new(old.clone()));
    let first = first.build().unwrap();
    let second = world.builder().with_journal(Arc::new(new)).build().unwrap();
    let (one, two) = tokio::join!(first.run(callout.clone()), async {
        old.0.stopped.notified().await;
        world.state().log.push("-- stopped --".into());
        old.lose();
        let ending = second.run(callout.clone()).await;
        world.state().log.push("-- continued --".into());
        old.0.go.notify_one();
        ending
    });
    let error = one.unwrap_err();
    assert_eq!(error.kind(), JournalErrorKind::Lost);
    assert_eq!(two.unwrap().verdict, Verdict::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_wakes_up_after_its_lease_does_nothing() {
    for (entry, notices) in [
        ("issuing", true),
        // By the age of its intent.
        ("issuing", false),
        ("sending", true),
        ("sending", false),
        ("revoking", true),
        ("resuming", true),
    ] {
        let world = World::new();
        if entry == "revoking" {
            world.state().send_faults = [SendFault::Lost].into();
        }
        stopped_after(&world, entry, notices).await;
        let log = world.log();
        assert_eq!(log.last().unwrap(), "-- continued --", "{entry}: {log:#?}");
        let last = world.state().texts.last().unwrap().text.clone();
        assert!(
            matches!(&world.usable()[..], [pass] if last.contains(pass)),
            "{entry}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_claim_is_lost_after_an_intent_has_no_effect() {
    for (loses, intent) in [
        (Loses::Appended("issuing"), "issuing"),
        (Loses::Appended("sending"), "sending"),
        (Loses::Read("revoking"), "revoking"),
        (Loses::Read("resuming"), "resuming"),
    ] {
        let world = World::new();
        if intent == "revoking" {
            let refused = SendFault::Refused(ErrorKind::Blocked);
            world.state().send_faults = [refused].into();
        }
        let journal = Arc::new(Leased::losing(&world, loses));
        let onboarding = world.builder().with_journal(journal).build().unwrap();
        let error = onboarding.run(world.callout()).await.unwrap_err();
        assert_eq!(error.kind(), JournalErrorKind::Lost, "{intent}");
        let log = world.log();
        assert_eq!(log.last().unwrap(), intent, "{log:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_claim_is_lost_revokes_no_pass_that_it_finds() {
    let world = World::new();
    let callout = world.callout();
    let verdict = json!({"verdict": {"failed": "pass_refused"}, "heard": true});
    let resumed = entry(json!({"resumed": verdict}));
    crate::late::given_two_doubts(&world, &callout, &[resumed]).await;
    let journal = Arc::new(Leased::losing(&world, Loses::Read("resumed")));
    let onboarding = world.builder().with_journal(journal).build().unwrap();
    let error = onboarding.run(callout).await.unwrap_err();
    assert_eq!(error.kind(), JournalErrorKind::Lost);
    assert_eq!(world.log(), ["list"]);
}

#[tokio::test(start_paused = true)]
async fn a_pass_whose_entry_is_refused_is_revoked_at_once() {
    let world = World::new();
    // The request is on its way when its worker is stopped.
    world.state().revoke_faults = [postduif_core::directory::GraphErrorKind::Throttled; 2].into();
    world.state().issue_faults = [IssueFault::Slow(seconds(50))].into();
    let callout = world.callout();
    let old = Leased::new(&world, None, false);
    let new = Leased::new(&world, None, true);
    let first = world.builder().with_journal(Arc::new(old.clone()));
    let first = first.build().unwrap();
    let second = world.builder().with_journal(Arc::new(new)).build().unwrap();
    let (one, two) = tokio::join!(first.run(callout.clone()), async {
        tokio::time::sleep(seconds(1)).await;
        old.lose();
        second.run(callout.clone()).await
    });
    assert_eq!(one.unwrap_err().kind(), JournalErrorKind::Lost);
    assert_eq!(two.unwrap().verdict, Verdict::Completed);
    let log = world.log();
    assert_eq!(log.last().unwrap(), "revoke tap-2", "{log:#?}");
    // The documented limit: the text's pass was replaced. But no other pass is left.
    assert!(world.usable().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_when_the_claim_is_lost_is_dropped() {
    for entry in ["issuing", "sending"] {
        let world = World::new();
        match entry {
            "issuing" => world.state().issue_faults = [IssueFault::Slow(seconds(50))].into(),
            _ => world.state().send_faults = [SendFault::Slow(seconds(50))].into(),
        }
        let journal = Leased::new(&world, None, true);
        let onboarding = world.builder().with_journal(Arc::new(journal.clone()));
        let onboarding = onboarding.build().unwrap();
        let began = tokio::time::Instant::now();
        let (error, ()) = tokio::join!(onboarding.run(world.callout()), async {
            tokio::time::sleep(seconds(1)).await;
            journal.lose();
        });
        assert_eq!(error.unwrap_err().kind(), JournalErrorKind::Lost, "{entry}");
        assert!(began.elapsed() < seconds(40), "{entry}");
        assert!(world.state().texts.is_empty(), "{entry}");
        let recorded = ["issue_in_doubt", "issued", "in_doubt", "accepted"];
        let log = world.log();
        let after = log.iter().skip_while(|name| *name != entry);
        assert!(after.count() <= 2, "only the effect follows: {log:#?}");
        assert!(
            !recorded.contains(&log.last().unwrap().as_str()),
            "{log:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_was_written_long_ago_is_followed_by_no_effect() {
    // A run that took the flow over may have waited long enough.
    for (entry, instead) in [("issuing", "not_asked"), ("sending", "not_sent")] {
        let world = World::new();
        world.state().slow = Some((entry, seconds(11)));
        let callout = world.callout();
        let onboarding = world.onboarding();
        let mut run = world.start(&onboarding, &callout).await;
        while !world.log().contains(&instead.to_owned()) {
            onboarding.step(&mut run).await.unwrap();
        }
        assert_eq!(world.state().sends, 0);
        let made = world.state().passes.len();
        assert_eq!(made, usize::from(entry == "sending"));
        world.state().slow = None;
        drop(run);
        let ending = world.ending(&onboarding, &callout).await;
        assert_eq!(ending.verdict, Verdict::Completed);
        world.assert_settled(&ending, entry);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_deadline_though_the_store_is_slow() {
    let world = World::new();
    world.state().slow = Some(("sending", seconds(59)));
    let onboarding = world.builder().with_margin(seconds(30)).build().unwrap();
    let callout = world
        .callout()
        .with_created_at(start() - minutes(30) + seconds(40));
    let ending = world.ending(&onboarding, &callout).await;
    assert_eq!(
        ending.verdict,
        Verdict::Failed(FailureReason::DeadlinePassed)
    );
    assert_eq!(world.state().sends, 0);
    assert!(world.log().contains(&"not_sent".to_owned()));
    assert!(world.usable().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_issued_after_the_deadline_though_the_store_is_slow() {
    let world = World::new();
    world.state().slow = Some(("issuing", seconds(59)));
    let onboarding = world.builder().with_margin(seconds(30)).build().unwrap();
    let callout = world
        .callout()
        .with_created_at(start() - minutes(30) + seconds(40));
    let ending = world.ending(&onboarding, &callout).await;
    assert_eq!(
        ending.verdict,
        Verdict::Failed(FailureReason::DeadlinePassed)
    );
    assert!(!world.log().contains(&"issue".to_owned()));
    assert!(world.log().contains(&"not_asked".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_given_to_the_store_until_it_is_back() {
    // The entries of an undisturbed flow: outcomes and intents.
    for (place, name, is_intent) in [
        (0, "issuing", true),
        (1, "issued", false),
        (2, "sending", true),
        (3, "accepted", false),
        (4, "resuming", true),
        (5, "resumed", false),
    ] {
        for how in [Break::AwayBefore, Break::AwayAfter] {
            let world = World::new();
            world.state().broken = Some((place, how));
            let callout = world.callout();
            let ended = world.live(&world.onboarding(), &callout).await.unwrap();
            assert_eq!(ended.is_err(), is_intent, "{name} {how:?}");
            let ending = world.ending(&world.onboarding(), &callout).await;
            world.assert_settled(&ending, name);
            // An intent that may be durable counts as its effect: the text is not sent again.
            let passes = world.state().passes.len();
            let again = name == "sending";
            assert_eq!(
                (world.state().sends, passes),
                (1, 1 + usize::from(again)),
                "{name} {how:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_grew_old_while_the_store_was_away_is_not_sent() {
    let world = World::new();
    world.state().slow = Some(("issued", seconds(3600)));
    let fortnight = seconds(14 * 86_400);
    let callout = world.callout().with_window(fortnight);
    let onboarding = world.onboarding();
    let back = async {
        tokio::time::sleep(seconds(40 * 60)).await;
        world.state().slow = None;
        future::pending::<()>().await
    };
    let ending = tokio::select! {
        ending = onboarding.run(callout) => ending.unwrap(),
        () = back => unreachable!(),
    };
    assert_eq!((ending.verdict, ending.attempts), (Verdict::Completed, 2));
    assert_eq!(world.state().sends, 1);
    world.assert_settled(&ending, "");
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_another_has_written_in_is_left_alone() {
    let world = World::new();
    let callout = world.callout();
    let journal = Leased::new(&world, None, true);
    let onboarding = world
        .builder()
        .with_journal(Arc::new(journal))
        .build()
        .unwrap();
    world.state().issue_faults = [IssueFault::SlowAnswer(seconds(10))].into();
    let flow = onboarding.run(callout.clone());
    let other = async {
        tokio::time::sleep(seconds(5)).await;
        // Another process, which has the lease now.
        let claim = shared(&world, &callout).await.unwrap();
        let at = claim.entries().await.unwrap().records.len();
        let entry = entry(json!({"not_asked": {"round": 1}}));
        let record = Record::new(world.clock.now(), entry);
        claim.append(at, &record).await.unwrap();
    };
    let (ended, ()) = tokio::join!(flow, other);
    assert_eq!(ended.unwrap_err().kind(), JournalErrorKind::Lost);
    assert_eq!(world.state().sends, 0);
    assert!(world.usable().is_empty(), "its pass went with it");
}
