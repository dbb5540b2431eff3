use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{Callout, FlowId, Guid, PhoneNumber, Reason, Receipt, TapInfo, User, UserId};
use tokio::time::Instant;

use crate::{StepName, StepTaken, clock::after, lock::Lock, template::Reader};

/// A flow under way: what [`Onboarding::step`](crate::Onboarding::step) keeps between two steps.
///
/// Nothing in it is needed to go on: dropped at any moment, the next one goes on from the journal. It holds
/// no pass. While it lives it may hold the lock of its user, so drop it when you stop stepping.
#[derive(Debug)]
pub struct Run {
    pub(crate) callout: Callout,
    /// From here on nothing is issued or sent.
    pub(crate) deadline: DateTime<Utc>,
    /// When Entra stops waiting.
    pub(crate) closes: DateTime<Utc>,
    pub(crate) claim: Option<Lock<FlowId>>,
    pub(crate) lock: Option<Lock<UserId>>,
    /// The user as read, before the guards were asked.
    pub(crate) user: Option<User>,
    pub(crate) person: Option<Person>,
    pub(crate) receipt: Option<Receipt>,
    /// What Graph said about passes that this run issued or takes away.
    pub(crate) infos: Vec<TapInfo>,
    pub(crate) steps: Vec<StepTaken>,
    /// How often in a row the same effect has failed.
    failures: u32,
    not_before: Option<DateTime<Utc>>,
    /// What the flow fails with when it gets no further before the deadline.
    pub(crate) obstacle: Option<Reason>,
    stopped: bool,
    /// When the step that was taken last began.
    began: Option<Instant>,
}

/// Somebody whom all guards let pass, and what the text needs of them. `Debug` tells no name.
pub(crate) struct Person {
    pub(crate) reader: Reader,
    pub(crate) number: PhoneNumber,
    pub(crate) admitted_at: DateTime<Utc>,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person")
            .field("number", &self.number)
            .field("admitted_at", &self.admitted_at)
            .finish_non_exhaustive()
    }
}

impl Run {
    pub(crate) const fn new(
        callout: Callout,
        deadline: DateTime<Utc>,
        closes: DateTime<Utc>,
    ) -> Self {
        Self {
            callout,
            deadline,
            closes,
            claim: None,
            lock: None,
            user: None,
            person: None,
            receipt: None,
            infos: Vec::new(),
            steps: Vec::new(),
            failures: 0,
            not_before: None,
            obstacle: None,
            stopped: false,
            began: None,
        }
    }

    /// Whom it is about. A flow without a user ends before it asks for one.
    pub(crate) fn whom(&self) -> UserId {
        let nobody = || Guid::random().into();
        self.callout.user().unwrap_or_else(nobody)
    }

    /// The flow.
    #[must_use]
    pub const fn flow(&self) -> FlowId {
        self.callout.flow()
    }

    /// When the flow must have its text accepted: from then on nothing is issued or sent.
    #[must_use]
    pub const fn deadline(&self) -> DateTime<Utc> {
        self.deadline
    }

    /// When Entra stops waiting: the deadline and the margin, in which a pass is still taken away and Entra
    /// still told.
    #[must_use]
    pub const fn closes(&self) -> DateTime<Utc> {
        self.closes
    }

    /// Whether the flow holds its user's lock in this process: a pass of its may be on its way.
    #[must_use]
    pub fn holds_user(&self) -> bool {
        self.lock.as_ref().is_some_and(Lock::is_held)
    }

    pub(crate) fn is_over(&self, now: DateTime<Utc>) -> bool {
        now >= self.deadline
    }

    /// Why it is over.
    pub(crate) fn over(&self) -> Reason {
        match self.obstacle {
            _ if self.stopped => Reason::Shutdown,
            Some(reason) => reason,
            None => Reason::DeadlinePassed,
        }
    }

    /// The deadline is now, because the process is to stop; Entra is told within the margin.
    pub(crate) fn stop(&mut self, now: DateTime<Utc>, margin: Duration) {
        if now < self.deadline {
            self.stopped = true;
            self.deadline = now;
            self.closes = self.closes.min(after(now, margin));
        }
        self.not_before = None;
    }

    /// Until when the flow pauses, if it does.
    pub(crate) fn paused(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.not_before.filter(|&until| now < until)
    }

    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure, and pauses.
    pub(crate) const fn pause(&mut self, until: DateTime<Utc>) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(until);
    }

    /// An effect was had: what failed before it counts no more.
    pub(crate) const fn went_on(&mut self) {
        self.failures = 0;
        self.not_before = None;
        self.obstacle = None;
    }

    /// Keeps how long a step took. One step that is repeated is one step.
    pub(crate) fn took(&mut self, step: StepName, began: Instant) {
        let room = self.steps.len() < MOST_STEPS;
        match self.steps.last_mut() {
            Some(last) if last.step == step => last.took = self.began.unwrap_or(began).elapsed(),
            _ if room => {
                self.steps.push(StepTaken::new(step, began.elapsed()));
                self.began = Some(began);
            }
            _ => {}
        }
    }

    /// Keeps what Graph said about a pass.
    pub(crate) fn keep(&mut self, info: TapInfo) {
        self.infos.retain(|kept| kept.id != info.id);
        self.infos.push(info);
    }

    /// The number of the person, if the guards let them pass not longer ago than this.
    pub(crate) fn admitted(&self, since: DateTime<Utc>) -> Option<PhoneNumber> {
        let person = self.person.as_ref();
        let person = person.filter(|person| person.admitted_at >= since);
        person.map(|person| person.number)
    }
}

/// Where a run stops keeping what it did: a fortnight's waiting would fill memory.
const MOST_STEPS: usize = 1000;
