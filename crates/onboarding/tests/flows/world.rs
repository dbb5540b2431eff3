//! A world in memory: a directory, an issuer, a vendor and a journal with scripted faults, and one log of what
//! happened.

use std::{
    collections::VecDeque,
    future,
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::{
    DeliveryReport, DeliveryStatus, ErrorKind, Guid, Health, Message, Outcomes, PhoneNumber,
    Profile, Receipt, Reference, SendError, SmsProvider, async_trait,
    directory::{
        Callback, Callout, FlowId, Graph, GraphError, GraphErrorKind, Roles, TapId, TapInfo,
        TapIssuer, TapRequest, TemporaryAccessPass, User, UserId, Verdict,
    },
};
use postduif_onboarding::{
    Claim, Clock, Ending, Entries, Entry, Journal, JournalError, JournalErrorKind, Memo,
    MemoryJournal, Onboarding, OnboardingBuilder, Record, Report, Run, Step,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// A fault of a request for a pass.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IssueFault {
    Refused(GraphErrorKind),
    /// Graph refuses, and states when to retry.
    Throttled(Duration),
    /// A pass is issued, and the response is lost.
    Lost,
    /// Like `Lost`, and lists show the pass only after this time.
    LostAndLate(Duration),
    /// A pass is issued, and lists show it only after this time.
    ShownLate(Duration),
    /// No pass is issued, and the response is lost.
    Vanished,
    /// A pass is issued that the policy does not allow to be used.
    Disabled,
    /// A pass is issued, after this time.
    Slow(Duration),
    /// A pass is issued, and the response comes after this time.
    SlowAnswer(Duration),
}

/// A fault of a send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SendFault {
    Refused(ErrorKind),
    /// The vendor has the text, and the response is lost.
    Lost,
    /// The vendor does not have the text, and the response is lost.
    Vanished,
    /// The vendor accepts the text, after this time.
    Slow(Duration),
}

/// A fault of the journal at an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Break {
    /// The process dies before or after the entry is durable.
    DieBefore,
    DieAfter,
    /// Another run takes the flow before or after the entry is durable.
    FailBefore,
    FailAfter,
    /// The store does not respond, before or after the entry is durable, and works at the next try.
    AwayBefore,
    AwayAfter,
}

#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) info: TapInfo,
    pub(crate) user: UserId,
    pub(crate) secret: String,
    pub(crate) usable: bool,
    pub(crate) shows_at: DateTime<Utc>,
    gone_at: Option<DateTime<Utc>>,
}

impl Pass {
    fn goes(&mut self, at: DateTime<Utc>) {
        if self.usable {
            (self.usable, self.gone_at) = (false, Some(at));
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Sms {
    pub(crate) to: PhoneNumber,
    pub(crate) text: String,
    pub(crate) reference: Reference,
    pub(crate) validity: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) user: User,
    pub(crate) user_faults: VecDeque<GraphErrorKind>,
    pub(crate) passes: Vec<Pass>,
    pub(crate) issue_faults: VecDeque<IssueFault>,
    pub(crate) list_faults: VecDeque<GraphErrorKind>,
    pub(crate) revoke_faults: VecDeque<GraphErrorKind>,
    pub(crate) send_faults: VecDeque<SendFault>,
    /// The texts that the vendor accepted.
    pub(crate) texts: Vec<Sms>,
    /// The number of calls to the vendor.
    pub(crate) sends: usize,
    pub(crate) resume_faults: VecDeque<GraphError>,
    /// The verdict that Entra accepted. It refuses every other.
    pub(crate) heard: Vec<Verdict>,
    /// The verdicts that Entra received, accepted or not.
    pub(crate) verdicts: Vec<(DateTime<Utc>, Verdict)>,
    pub(crate) log: Vec<String>,
    pub(crate) records: usize,
    pub(crate) broken: Option<(usize, Break)>,
    /// The delay of the journal at each entry of this name.
    pub(crate) slow: Option<(&'static str, Duration)>,
    /// How long a list shows passes that are gone.
    pub(crate) stale: Duration,
    /// Whether Graph refuses a pass if there is one.
    pub(crate) refuses_existing: Option<GraphErrorKind>,
    /// The memo for the next run.
    pub(crate) memo: Option<Memo>,
    /// The claim that several workers of a test share.
    pub(crate) shared: Option<Arc<dyn Claim>>,
    /// A report that arrives when a run locks the user.
    pub(crate) report_at_lock: Option<(FlowId, Report)>,
    issued: usize,
}

#[derive(Debug)]
pub(crate) struct World {
    me: Weak<Self>,
    state: Mutex<State>,
    pub(crate) clock: Clock,
    /// Graph's clock, which is never set.
    pub(crate) graph_clock: Clock,
    pub(crate) journal: MemoryJournal,
    pub(crate) profile: Profile,
    pub(crate) died: Notify,
}

pub(crate) fn start() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-11-23T08:00:00Z")
        .unwrap()
        .to_utc()
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_profile(Profile::new("kpn").with_reports(true))
    }

    pub(crate) fn with_profile(profile: Profile) -> Arc<Self> {
        Self::at(start(), profile)
    }

    pub(crate) fn at(start: DateTime<Utc>, profile: Profile) -> Arc<Self> {
        let mut user = User::new(Guid::random().into());
        user.display_name = Some("Anna de Vries".into());
        user.mobile = Some("+31612345678".into());
        user.enabled = Some(true);
        user.roles = Roles::Held(Vec::new());
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            state: Mutex::new(State {
                user,
                user_faults: VecDeque::new(),
                passes: Vec::new(),
                issue_faults: VecDeque::new(),
                list_faults: VecDeque::new(),
                revoke_faults: VecDeque::new(),
                send_faults: VecDeque::new(),
                texts: Vec::new(),
                sends: 0,
                resume_faults: VecDeque::new(),
                heard: Vec::new(),
                verdicts: Vec::new(),
                log: Vec::new(),
                records: 0,
                broken: None,
                slow: None,
                stale: Duration::ZERO,
                refuses_existing: None,
                memo: None,
                shared: None,
                report_at_lock: None,
                issued: 0,
            }),
            clock: Clock::starting_at(start),
            graph_clock: Clock::starting_at(start),
            journal: MemoryJournal::new(),
            profile,
            died: Notify::new(),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn builder(self: &Arc<Self>) -> OnboardingBuilder {
        Onboarding::builder()
            .with_graph(Arc::clone(self))
            .with_issuer(Arc::clone(self))
            .with_provider(Arc::clone(self))
            .with_journal(Arc::clone(self))
            .with_clock(self.clock.clone())
    }

    pub(crate) fn onboarding(self: &Arc<Self>) -> Onboarding {
        self.builder().build().unwrap()
    }

    /// Returns a call-out of a lifecycle workflow that was created now.
    pub(crate) fn callout(&self) -> Callout {
        let [workflow, task, result] = std::array::from_fn(|_| Guid::random());
        let callback = Callback::lifecycle(workflow, task, result);
        let user = self.state().user.id;
        Callout::new(result.into(), user, callback, self.clock.now())
    }

    /// Runs a flow until it ends, or its process dies.
    pub(crate) async fn live(
        &self,
        onboarding: &Onboarding,
        callout: &Callout,
    ) -> Option<Result<Ending, JournalError>> {
        tokio::select! {
            biased;
            () = self.died.notified() => None,
            ended = onboarding.run(callout.clone()) => Some(ended),
        }
    }

    /// Runs a flow to its end.
    pub(crate) async fn ending(&self, onboarding: &Onboarding, callout: &Callout) -> Ending {
        self.live(onboarding, callout).await.unwrap().unwrap()
    }

    /// Appends these entries to the flow, as made now.
    pub(crate) async fn given(&self, callout: &Callout, entries: &[Entry]) {
        let claim = self.journal.claim(callout).await.unwrap().unwrap();
        for entry in entries {
            let at = claim.entries().await.unwrap().records.len();
            let record = Record::new(self.clock.now(), entry.clone());
            claim.append(at, &record).await.unwrap();
        }
    }

    /// Adds a delivery report of a text.
    pub(crate) async fn reported(
        &self,
        flow: FlowId,
        reference: Reference,
        status: DeliveryStatus,
    ) {
        let mut report = DeliveryReport::new("kpn", status);
        report.reference = Some(reference);
        let report = Report::new(&report, self.clock.now());
        self.journal.report(&flow, &report).await.unwrap();
    }

    /// Starts a run of the flow, with the memo.
    pub(crate) async fn start(&self, onboarding: &Onboarding, callout: &Callout) -> Run {
        onboarding.start(self.claim(callout).await.unwrap().unwrap())
    }

    /// Gives the user a pass with this name and secret.
    pub(crate) fn has_pass(&self, id: &str) -> TapId {
        let mut state = self.state();
        let info = TapInfo::new(tap(id), self.clock.now(), Duration::from_secs(3600));
        let pass = Pass {
            info,
            user: state.user.id,
            secret: format!("{id}+secret"),
            usable: true,
            shows_at: self.clock.now(),
            gone_at: None,
        };
        state.passes.push(pass);
        tap(id)
    }

    pub(crate) fn make(
        &self,
        user: &UserId,
        request: &TapRequest,
        fault: Option<IssueFault>,
    ) -> TemporaryAccessPass {
        let mut state = self.state();
        state.issued += 1;
        let number = state.issued;
        let id = tap(&format!("tap-{number}"));
        let now = self.graph_clock.now();
        let mut info = TapInfo::new(id, now, Duration::from_secs(3600));
        info.one_time = request.one_time.unwrap_or(false);
        info.usable = !matches!(fault, Some(IssueFault::Disabled));
        let secret = format!("S{number}+cret!");
        // A new pass replaces the earlier one.
        let others = state.passes.iter_mut().filter(|pass| pass.user == *user);
        others.for_each(|pass| pass.goes(now));
        let late = match fault {
            Some(IssueFault::LostAndLate(wait) | IssueFault::ShownLate(wait)) => {
                TimeDelta::from_std(wait).unwrap()
            }
            _ => TimeDelta::zero(),
        };
        state.passes.push(Pass {
            usable: info.usable,
            info: info.clone(),
            user: *user,
            secret: secret.clone(),
            shows_at: now + late,
            gone_at: None,
        });
        TemporaryAccessPass::new(info, secret.into())
    }

    /// Returns a list of the user's passes with this lag.
    pub(crate) fn listed_before(&self, lag: Duration) -> Vec<TapInfo> {
        let state = self.state();
        let at = self.graph_clock.now() - TimeDelta::from_std(lag).unwrap();
        let there = |pass: &&Pass| {
            pass.user == state.user.id
                && pass.shows_at <= at
                && pass.gone_at.map_or(pass.usable, |gone_at| gone_at > at)
        };
        let passes = state.passes.iter().filter(there);
        passes.map(|pass| pass.info.clone()).collect()
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    pub(crate) fn clear_log(&self) {
        self.state().log.clear();
    }

    pub(crate) fn usable(&self) -> Vec<String> {
        let state = self.state();
        let usable = state.passes.iter().filter(|pass| pass.usable);
        usable.map(|pass| pass.secret.clone()).collect()
    }

    pub(crate) async fn entries(&self, flow: FlowId) -> Vec<Entry> {
        let entries = self.journal.entries(&flow).await.unwrap();
        entries
            .records
            .into_iter()
            .map(|record| record.entry)
            .collect()
    }

    /// Checks what every flow must leave behind: one usable pass, in the last text, or none, and one true verdict at
    /// Entra.
    #[track_caller]
    pub(crate) fn assert_settled(&self, ending: &Ending, context: &str) {
        let usable = self.usable();
        let state = self.state();
        match ending.verdict {
            Verdict::Completed => {
                assert_eq!(usable.len(), 1, "{context}: {:#?}", state.log);
                let last = state.texts.last().expect(context);
                assert!(
                    last.text.contains(&usable[0]),
                    "{context}: {:#?}",
                    state.log
                );
            }
            Verdict::Failed(_) => assert!(usable.is_empty(), "{context}: {:#?}", state.log),
        }
        assert_eq!(state.heard, [ending.verdict], "{context}: {:#?}", state.log);
        let same = state
            .verdicts
            .iter()
            .all(|(_, verdict)| *verdict == ending.verdict);
        assert!(same, "{context}: {:#?}", state.log);
        assert!(ending.heard, "{context}");
    }
}

pub(crate) fn tap(id: &str) -> TapId {
    id.parse().unwrap()
}

/// Reads an entry from its stored form.
pub(crate) fn entry(stored: Value) -> Entry {
    serde_json::from_value(stored).unwrap()
}

pub(crate) fn issuing(round: u8, seen: &[&str]) -> Entry {
    entry(json!({"issuing": {"round": round, "seen": seen}}))
}

/// Returns an issued pass that lives for an hour.
pub(crate) fn issued(round: u8, tap: &str) -> Entry {
    let valid_until = start() + minutes(60);
    entry(json!({"issued": {"round": round, "tap": tap, "valid_until": valid_until}}))
}

pub(crate) fn sending(round: u8, provider: &str) -> Entry {
    entry(json!({"sending": {"round": round, "reference": "text", "provider": provider}}))
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

pub(crate) fn graph_error(kind: GraphErrorKind) -> GraphError {
    GraphError::not_accepted(kind, "scripted")
        .with_code("badRequest")
        .with_request_id("0f1e2d3c")
        .with_date(start())
}

/// Steps until the flow waits or is done.
pub(crate) async fn step_until_idle(onboarding: &Onboarding, run: &mut Run) -> Step {
    loop {
        match onboarding.step(run).await.unwrap() {
            Step::Next => {}
            step => return step,
        }
    }
}

pub(crate) fn minutes(minutes: i64) -> TimeDelta {
    TimeDelta::minutes(minutes)
}

#[async_trait]
impl Graph for World {
    async fn user(&self, id: &UserId) -> Result<User, GraphError> {
        let mut state = self.state();
        state.log.push("user".into());
        if let Some(kind) = state.user_faults.pop_front() {
            return Err(graph_error(kind));
        }
        let mut user = state.user.clone();
        user.id = *id;
        Ok(user)
    }

    async fn resume(&self, _: &Callback, verdict: &Verdict) -> Result<(), GraphError> {
        let mut state = self.state();
        state.log.push("resume".into());
        state.verdicts.push((self.clock.now(), *verdict));
        if let Some(error) = state.resume_faults.pop_front() {
            return Err(error);
        }
        if !state.heard.is_empty() {
            return Err(graph_error(GraphErrorKind::Conflict));
        }
        state.heard.push(*verdict);
        Ok(())
    }
}

#[async_trait]
impl TapIssuer for World {
    async fn issue(
        &self,
        user: &UserId,
        request: &TapRequest,
    ) -> Result<TemporaryAccessPass, GraphError> {
        let fault = {
            let mut state = self.state();
            state.log.push("issue".into());
            if let Some(kind) = state.refuses_existing
                && state
                    .passes
                    .iter()
                    .any(|pass| pass.usable && pass.user == *user)
            {
                return Err(graph_error(kind));
            }
            state.issue_faults.pop_front()
        };
        let unknown = || GraphError::unknown(GraphErrorKind::Unavailable, "scripted");
        match fault {
            Some(IssueFault::Refused(kind)) => return Err(graph_error(kind)),
            Some(IssueFault::Throttled(wait)) => {
                return Err(graph_error(GraphErrorKind::Throttled).with_retry_after(wait));
            }
            Some(IssueFault::Vanished) => return Err(unknown()),
            Some(IssueFault::Slow(wait)) => tokio::time::sleep(wait).await,
            _ => {}
        }
        let made = self.make(user, request, fault);
        if let Some(IssueFault::SlowAnswer(wait)) = fault {
            tokio::time::sleep(wait).await;
        }
        match fault {
            Some(IssueFault::Lost | IssueFault::LostAndLate(_)) => Err(unknown()),
            _ => Ok(made),
        }
    }

    async fn list(&self, user: &UserId) -> Result<Vec<TapInfo>, GraphError> {
        let mut state = self.state();
        state.log.push("list".into());
        if let Some(kind) = state.list_faults.pop_front() {
            return Err(graph_error(kind));
        }
        let now = self.graph_clock.now();
        let own = state.passes.iter().filter(|pass| pass.user == *user);
        let fresh = |pass: &Pass| {
            let gone_at = pass.gone_at.unwrap_or(DateTime::<Utc>::MIN_UTC);
            pass.usable || now - gone_at < TimeDelta::from_std(state.stale).unwrap()
        };
        let shown = own.filter(|pass| fresh(pass) && pass.shows_at <= now);
        Ok(shown.map(|pass| pass.info.clone()).collect())
    }

    async fn revoke(&self, _: &UserId, tap: &TapId) -> Result<(), GraphError> {
        let mut state = self.state();
        state.log.push(format!("revoke {tap}"));
        if let Some(kind) = state.revoke_faults.pop_front() {
            return Err(graph_error(kind));
        }
        let named = state.passes.iter_mut().filter(|pass| pass.info.id == *tap);
        named.for_each(|pass| pass.goes(self.graph_clock.now()));
        Ok(())
    }
}

#[async_trait]
impl SmsProvider for World {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let fault = {
            let mut state = self.state();
            state.log.push("send".into());
            state.sends += 1;
            state.send_faults.pop_front()
        };
        let unknown = || SendError::unknown(ErrorKind::Unavailable, "scripted");
        match fault {
            Some(SendFault::Refused(kind)) => {
                return Err(SendError::not_accepted(kind, "scripted").with_code("303"));
            }
            Some(SendFault::Vanished) => return Err(unknown()),
            Some(SendFault::Slow(wait)) => tokio::time::sleep(wait).await,
            Some(SendFault::Lost) | None => {}
        }
        self.state().texts.push(Sms {
            to: message.to(),
            text: message.text().as_str().to_owned(),
            reference: *message.reference(),
            validity: message.validity(),
        });
        match fault {
            Some(SendFault::Lost) => Err(unknown()),
            _ => Ok(Receipt::new("kpn", *message.reference())
                .with_id("vendor-1")
                .with_parts(1)),
        }
    }

    async fn send_batch(&self, _: &[Message]) -> Outcomes {
        unreachable!("a flow sends single texts")
    }

    async fn check(&self) -> Result<Health, SendError> {
        unreachable!("a flow does not check")
    }
}

#[async_trait]
impl Journal for World {
    async fn claim(&self, callout: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError> {
        let claim = self.journal.claim(callout).await?;
        let world = self.me.upgrade().unwrap();
        Ok(claim.map(|claim| Box::new(WorldClaim { world, claim }) as _))
    }

    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError> {
        self.journal.entries(flow).await
    }

    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError> {
        self.journal.flow_of(reference).await
    }

    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError> {
        self.journal.flow_by_id(provider, id).await
    }

    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError> {
        self.journal.report(flow, report).await
    }

    async fn stop(&self, flow: &FlowId, at: DateTime<Utc>) -> Result<(), JournalError> {
        self.journal.stop(flow, at).await
    }
}

/// A claim with the faults of the world.
pub(crate) struct WorldClaim {
    world: Arc<World>,
    claim: Box<dyn Claim>,
}

impl std::fmt::Debug for WorldClaim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.claim.fmt(f)
    }
}

pub(crate) fn name_of(entry: &Entry) -> String {
    let json = serde_json::to_value(entry).unwrap();
    json.as_object().unwrap().keys().next().unwrap().clone()
}

#[async_trait]
impl Claim for WorldClaim {
    fn callout(&self) -> &Callout {
        self.claim.callout()
    }

    fn memo(&self) -> Option<Memo> {
        self.world.state().memo.take()
    }

    async fn give_back(&self, until: DateTime<Utc>, memo: &Memo) -> Result<(), JournalError> {
        self.claim.give_back(until, memo).await
    }

    fn holds(&self) -> bool {
        self.claim.holds()
    }

    async fn lost(&self) {
        self.claim.lost().await;
    }

    async fn entries(&self) -> Result<Entries, JournalError> {
        self.claim.entries().await
    }

    async fn append(&self, at: usize, record: &Record) -> Result<(), JournalError> {
        let name = name_of(&record.entry);
        let (broken, slow) = {
            let mut state = self.world.state();
            let place = state.records;
            state.records += 1;
            let broken = state.broken.filter(|(broken, _)| *broken == place);
            let slow = state.slow.filter(|(slow, _)| *slow == name);
            (broken.map(|(_, how)| how), slow)
        };
        if let Some((_, wait)) = slow {
            tokio::time::sleep(wait).await;
        }
        let before = [Break::DieBefore, Break::FailBefore, Break::AwayBefore];
        if broken.is_none_or(|how| !before.contains(&how)) {
            self.claim.append(at, record).await?;
            self.world.state().log.push(name);
        }
        match broken {
            None => Ok(()),
            Some(Break::DieBefore | Break::DieAfter) => {
                self.world.state().log.push("-- died --".into());
                self.world.died.notify_one();
                future::pending().await
            }
            Some(Break::FailBefore | Break::FailAfter) => {
                self.world.state().log.push("-- failed --".into());
                Err(JournalError::lost())
            }
            Some(Break::AwayBefore | Break::AwayAfter) => {
                let kind = JournalErrorKind::Unavailable;
                Err(JournalError::new(kind, "scripted"))
            }
        }
    }

    async fn of_user(&self) -> Result<Vec<Entries>, JournalError> {
        self.claim.of_user().await
    }

    async fn lock_user(&self, at_most: Duration) -> Result<bool, JournalError> {
        let arrives = self.world.state().report_at_lock.take();
        if let Some((flow, report)) = arrives {
            self.world.journal.report(&flow, &report).await?;
        }
        self.claim.lock_user(at_most).await
    }

    async fn free_user(&self) -> Result<(), JournalError> {
        self.claim.free_user().await
    }
}
