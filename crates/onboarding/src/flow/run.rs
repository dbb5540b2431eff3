use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    PhoneNumber, Receipt,
    directory::{Callout, FailureReason, FlowId, TapInfo, User},
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    Claim, GraphCause, JournalError, StepName, StepTaken,
    clock::{after, between, can_wait, instant_in},
    flow::{
        effects::{journal_timeout, within},
        times::{MAX_CALL, MAX_PAUSE, MAX_STEPS},
    },
    template::Recipient,
};

/// A flow in progress: the state of [`Onboarding::step`](crate::Onboarding::step) between two steps.
///
/// A run can be dropped at any time: the flow continues safely from its journal. Only the number of failed reads and
/// the current pause are lost, so [give it back](Self::give_back) at [`Step::WaitUntil`](crate::Step::WaitUntil). It
/// holds no pass.
#[derive(Debug)]
pub struct Run {
    pub(crate) claim: Box<dyn Claim>,
    pub(crate) callout: Callout,
    time: Time,
    /// Whether this run has locked the user, and whether an earlier run of the flow may have.
    pub(crate) holds_user: bool,
    pub(crate) may_hold_user: bool,
    /// The user as read, before the guards run.
    pub(crate) user: Option<User>,
    pub(crate) person: Option<Person>,
    pub(crate) receipt: Option<Receipt>,
    /// The passes that this run issued or revokes, as Graph described them.
    pub(crate) passes: Vec<TapInfo>,
    pub(crate) steps: Vec<StepTaken>,
    /// The number of entries of the flow, as far as this run knows.
    pub(crate) entry_count: usize,
    /// The number of entries when the memo was made, and whether it was compared with the journal.
    memo_entry_count: usize,
    is_memo_checked: bool,
    /// How long the flow had that number of entries before, and since when in this run.
    unchanged: (Duration, Instant),
    /// When this run appended the last entry, by the monotonic clock.
    pub(crate) appended_at: Option<Instant>,
    /// The last request for a pass in this run and the last doubt, by the times of their entries and by the monotonic
    /// clock.
    pub(crate) asked_at: Option<(DateTime<Utc>, Instant)>,
    pub(crate) doubted_at: Option<(DateTime<Utc>, Instant)>,
    /// Whether the flow was resumed.
    pub(crate) resumed: bool,
    /// The number of consecutive failures.
    failures: u32,
    pause: Option<Pause>,
    /// The reason with which the flow fails at its deadline, and the error from Graph.
    pub(crate) obstacle: Option<(FailureReason, Option<GraphCause>)>,
    /// Whether the flow was stopped, and whether that moved its deadline.
    stopping: bool,
    stopped: bool,
    /// When the last step began.
    began: Option<Instant>,
}

/// The deadline and the end of the window, each by the wall clock and by the monotonic clock. The earlier one counts.
#[derive(Clone, Copy, Debug)]
struct Time {
    /// From then on nothing is issued or sent.
    deadline: DateTime<Utc>,
    /// When Entra stops waiting.
    closes: DateTime<Utc>,
    deadline_at: Instant,
    closes_at: Instant,
    /// The time between the deadline and the end of the window.
    margin: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    /// Its end by the wall clock, and its length: both outlive the process.
    wakes_at: DateTime<Utc>,
    length: Duration,
}

/// The part of a run's state that is not in the journal: the number of failed reads, and the current pause.
///
/// A store keeps it at [`Claim::give_back`] and returns it from [`Claim::memo`] for the next run. It is ignored once the
/// flow has more entries. Its pause never outlasts the flow's window. Without it the flow is as safe, but calls Graph
/// more often than it should. So a store ignores a memo that it cannot read.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Memo {
    #[serde(default)]
    failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wakes_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pause_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    obstacle: Option<FailureReason>,
    #[serde(default)]
    entries: usize,
    #[serde(default)]
    unchanged_ms: u64,
}

/// An admitted user: what the text needs. `Debug` shows no name.
pub(crate) struct Person {
    pub(crate) recipient: Recipient,
    pub(crate) number: PhoneNumber,
    pub(crate) number_known: bool,
    pub(crate) admitted_at: Instant,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Run {
    pub(crate) fn new(
        claim: Box<dyn Claim>,
        now: DateTime<Utc>,
        deadline: DateTime<Utc>,
        closes: DateTime<Utc>,
    ) -> Self {
        let time = Time {
            deadline,
            closes,
            deadline_at: instant_in(between(now, deadline)),
            closes_at: instant_in(between(now, closes)),
            margin: between(deadline, closes),
        };
        let memo = claim.memo().unwrap_or_default();
        let pause = memo.wakes_at.map(|wakes_at| {
            // A clock that was set back makes the pause no longer.
            let length = Duration::from_millis(memo.pause_ms);
            // No pause outlasts the window. Cleaning up after it pauses no longer than this.
            let longest = between(now, closes).max(MAX_PAUSE);
            let left = between(now, wakes_at).min(length).min(longest);
            Pause {
                until: instant_in(left),
                wakes_at: after(now, left),
                length: length.min(longest),
            }
        });
        // The rest of the pause was counted in advance.
        let left = pause.map_or(Duration::ZERO, |pause| {
            pause.until.saturating_duration_since(Instant::now())
        });
        let unchanged = Duration::from_millis(memo.unchanged_ms).saturating_sub(left);
        Self {
            callout: claim.callout().clone(),
            claim,
            time,
            holds_user: false,
            may_hold_user: true,
            user: None,
            person: None,
            receipt: None,
            passes: Vec::new(),
            steps: Vec::new(),
            entry_count: 0,
            memo_entry_count: memo.entries,
            is_memo_checked: false,
            unchanged: (unchanged, Instant::now()),
            appended_at: None,
            asked_at: None,
            doubted_at: None,
            resumed: false,
            failures: memo.failures,
            pause,
            obstacle: memo.obstacle.map(|reason| (reason, None)),
            stopping: false,
            stopped: false,
            began: None,
        }
    }

    /// Returns the flow.
    #[must_use]
    pub const fn flow(&self) -> FlowId {
        self.callout.flow()
    }

    /// Returns the deadline: from then on nothing is issued or sent.
    #[must_use]
    pub const fn deadline(&self) -> DateTime<Utc> {
        self.time.deadline
    }

    /// Returns the end of the window, when Entra stops waiting. Between the deadline and this time a pass is still
    /// revoked, and Entra gets the verdict.
    #[must_use]
    pub const fn closes(&self) -> DateTime<Utc> {
        self.time.closes
    }

    /// Returns whether the flow has locked its user, since an effect on the user's pass may be open.
    #[must_use]
    pub const fn holds_user(&self) -> bool {
        self.holds_user
    }

    /// Returns whether the flow was resumed. It may still revoke a pass, or look for one in doubt.
    #[must_use]
    pub const fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Gives the flow back until the time of [`Step::WaitUntil`](crate::Step::WaitUntil). The store keeps the
    /// [`memo`](Self::memo) for the next run.
    ///
    /// # Errors
    ///
    /// If the store may not have kept the memo. The flow is free for the next claim all the same.
    pub async fn give_back(self, until: DateTime<Utc>) -> Result<(), JournalError> {
        can_wait()?;
        let memo = self.memo();
        let kept = within(MAX_CALL, self.claim.give_back(until, &memo)).await;
        kept.unwrap_or_else(journal_timeout)
    }

    /// Returns the state that the next run needs.
    #[must_use]
    pub fn memo(&self) -> Memo {
        let milliseconds = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let unchanged = self
            .unchanged()
            .saturating_add(self.paused().unwrap_or_default());
        Memo {
            failures: self.failures,
            wakes_at: self.pause.map(|pause| pause.wakes_at),
            pause_ms: self.pause.map_or(0, |pause| milliseconds(pause.length)),
            unchanged_ms: milliseconds(unchanged),
            obstacle: self.obstacle.as_ref().map(|(reason, _)| *reason),
            entries: if self.is_memo_checked {
                self.entry_count
            } else {
                self.memo_entry_count
            },
        }
    }

    /// Sets the number of entries of the flow. A memo from before the last entry is ignored.
    pub(crate) fn set_entry_count(&mut self, entries: usize) {
        let known = if self.is_memo_checked {
            self.entry_count
        } else {
            self.memo_entry_count
        };
        if !self.is_memo_checked && entries > known {
            self.reset_failures();
        }
        self.is_memo_checked = true;
        if self.entry_count != entries {
            self.appended_at = None;
        }
        if known != entries {
            self.unchanged = (Duration::ZERO, Instant::now());
        }
        self.entry_count = entries;
    }

    /// Notes that this run has appended an entry.
    pub(crate) fn appended(&mut self) {
        let now = Instant::now();
        self.entry_count += 1;
        self.appended_at = Some(now);
        self.unchanged = (Duration::ZERO, now);
    }

    /// Returns how long the flow has had no new entry. Each of its entries is at least that old.
    fn unchanged(&self) -> Duration {
        let (before, since) = self.unchanged;
        before.saturating_add(since.elapsed())
    }

    pub(crate) const fn deadline_at(&self) -> Instant {
        self.time.deadline_at
    }

    pub(crate) const fn margin(&self) -> Duration {
        self.time.margin
    }

    /// Returns the time until the deadline, or zero.
    pub(crate) fn until_deadline(&self, now: DateTime<Utc>) -> Duration {
        let real = self
            .time
            .deadline_at
            .saturating_duration_since(Instant::now());
        between(now, self.time.deadline).min(real)
    }

    /// Returns the time until the window closes, or zero.
    pub(crate) fn until_close(&self, now: DateTime<Utc>) -> Duration {
        let real = self
            .time
            .closes_at
            .saturating_duration_since(Instant::now());
        between(now, self.time.closes).min(real)
    }

    pub(crate) fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.until_deadline(now).is_zero()
    }

    /// Returns the reason with which the flow fails at its deadline.
    pub(crate) fn deadline_reason(&self) -> FailureReason {
        match &self.obstacle {
            _ if self.stopped => FailureReason::Shutdown,
            Some((reason, _)) => *reason,
            None => FailureReason::DeadlinePassed,
        }
    }

    /// Moves the deadline to now, since the process or the flow is to stop. Entra gets the verdict within the margin.
    pub(crate) fn stop(&mut self, now: DateTime<Utc>) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        if !self.is_over(now) {
            self.stopped = true;
            self.time.deadline = now;
            self.time.deadline_at = Instant::now();
        }
        let margin = self.time.margin;
        self.time.closes = self.time.closes.min(after(now, margin));
        self.time.closes_at = self.time.closes_at.min(instant_in(margin));
        self.pause = None;
    }

    /// Returns the rest of the pause, if there is one.
    pub(crate) fn paused(&self) -> Option<Duration> {
        let left = self.pause?.until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure, and pauses.
    pub(crate) fn pause(&mut self, now: DateTime<Utc>, length: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.pause = Some(Pause {
            until: instant_in(length),
            wakes_at: after(now, length),
            length,
        });
    }

    /// Resets the failures after a success.
    pub(crate) fn reset_failures(&mut self) {
        self.failures = 0;
        self.pause = None;
        self.obstacle = None;
    }

    /// Adds a step with its duration. Consecutive repeats of a step are one step.
    pub(crate) fn add_step(&mut self, step: StepName, began: Instant) {
        let room = self.steps.len() < MAX_STEPS;
        match self.steps.last_mut() {
            Some(last) if last.step == step => last.took = self.began.unwrap_or(began).elapsed(),
            _ if room => {
                self.steps.push(StepTaken::new(step, began.elapsed()));
                self.began = Some(began);
            }
            _ => {}
        }
    }

    /// Returns the age of an entry: by the monotonic clock if this run made it, and otherwise by the wall clock. The
    /// clock of another run may have been ahead, so the age is at least the time without a new entry.
    pub(crate) fn age_of(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
        let known = [self.doubted_at, self.asked_at];
        let mut known = known.into_iter().flatten();
        match known.find(|(known, _)| *known == at) {
            Some((_, instant)) => instant.elapsed(),
            None => between(at, now).max(self.unchanged()),
        }
    }

    /// Returns whether another run, whose clock was ahead of ours, made the entry of this time.
    pub(crate) fn is_in_future(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let own = [self.doubted_at, self.asked_at];
        at > now && own.iter().flatten().all(|(known, _)| *known != at)
    }

    /// Keeps the description of a pass.
    pub(crate) fn remember_pass(&mut self, info: TapInfo) {
        self.passes.retain(|kept| kept.id != info.id);
        self.passes.push(info);
    }

    /// Returns the number of the user, if the user was admitted within this time.
    pub(crate) fn admitted_number(&self, within: Duration) -> Option<PhoneNumber> {
        let person = self.person.as_ref();
        let person = person.filter(|person| person.admitted_at.elapsed() < within);
        person.map(|person| person.number)
    }
}
