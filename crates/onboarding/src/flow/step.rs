//! The state machine: the effect that follows the last entry of the journal.

use std::time::Duration;

use chrono::{DateTime, Utc};
use postduif_core::{
    DeliveryStatus,
    directory::{FailureReason, UserId, Verdict},
};
use tokio::time::Instant;

use crate::{
    CompleteOn, Ending, Entry, JournalError, OnDoubt, Onboarding, Record, Run, StepName, Then,
    clock::{between, can_wait},
    flow::{
        effects::failed,
        finish::EndCause,
        history::{History, Pass},
        times::{ADMISSION, LATE_EFFECT_SHARE, MAX_ENTRIES_TO_ISSUE, MAX_INTENT_AGE, ROUNDS},
    },
};

/// The result of a step.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a caller of `step` must handle all of them"
)]
#[expect(
    clippy::large_enum_variant,
    reason = "one exists at a time, and is matched at once"
)]
pub enum Step {
    /// The flow has ended.
    Done(Ending),
    /// The next step can be taken at once.
    Next,
    /// There is nothing to do before this time: the flow waits for a delivery report, for a user, or for a retry. An
    /// earlier step is harmless, and finds a report or an order to stop that has arrived.
    WaitUntil(DateTime<Utc>),
}

impl Onboarding {
    /// Reads the flow's entries and does what comes next.
    ///
    /// | last entry | what comes next |
    /// |---|---|
    /// | none | read the user, ask the guards, list the passes; if the user has one, as [`ExistingPass`](crate::ExistingPass) says: keep it, replace it, or failed; else issue. Graph replaces the earlier pass. A request of another flow that may still replace it is waited for |
    /// | `Issuing`, `IssueInDoubt` | pause, list; revoke a new pass that no flow issued, and start the next round; if the list shows none, the same round again |
    /// | `NotAsked` | the same round again while time remains |
    /// | `NotIssued` | if the cause is temporary: pause, and the same round again while time remains; if Graph refused because a pass exists that may be replaced: revoke it, and the same round again; else failed |
    /// | `Issued` | the secret was lost with its process: pause, revoke, next round |
    /// | `Kept` | list; completed if the pass is there and its flow has neither revoked nor replaced it; if it is not listed, list again for as long as a list may lag; then issue, and the same pass is not kept again |
    /// | `Sending` | pause, then as `InDoubt` |
    /// | `InDoubt` | as [`OnDoubt`] says: revoke, then the next round or failed |
    /// | `NotSent` | revoke, next round while time remains |
    /// | `NotAccepted` | revoke, failed |
    /// | `Accepted` | list; completed if the pass is there; else revoke, next round. Under [`CompleteOn::Delivered`] wait for a report first, until the deadline or the end of the pass; without one revoke, failed |
    /// | `Revoking` | revoke again |
    /// | `Revoked` | the next round, or the verdict |
    /// | `Resuming` | send Entra the same verdict again |
    /// | `Resumed` | revoke what could not be revoked, until it has expired; look for a pass in doubt until a list is conclusive; done |
    /// | `NothingSeen`, `Unseen`, `Expired` | what the entry before them says |
    ///
    /// The verdict is recorded as `Resuming`. Before a flow fails, it looks for a pass in doubt while time remains. Before
    /// it is completed, a failing list is retried while time remains; without one, a pass that was sent counts as there.
    ///
    /// The claim is checked between an intent's entry and its effect: without it the run stops. Before a pass is issued
    /// and before a text is sent, the clock is checked too. At the deadline, or if the store took more than ten seconds,
    /// `NotAsked` or `NotSent` is recorded in place of the effect. Beside the entries:
    ///
    /// - A delivery report of the text, from the vendor that has it, or may: delivered counts as `Accepted` with its
    ///   report, a final failure means revoke and failed, and anything else counts as `Accepted`. While one of several
    ///   vendors may have the text, a final failure is ignored; after `NotAccepted`, everything except delivered is.
    /// - A stop moves the deadline to now.
    /// - A flow without a user fails.
    /// - A flow with 4,000 entries issues no further pass and fails.
    ///
    /// There are three rounds, and a round ends when it has produced a pass. From the deadline on nothing is
    /// issued or sent, and a failing revocation no longer delays Entra: it gets the verdict, and the flow cleans
    /// up afterwards.
    ///
    /// Issuing and sending are one step, so that the pass never leaves it. Dropping the future is like a
    /// crash: the next step continues from the journal.
    ///
    /// # What a stopped process can still do
    ///
    /// A process may be stopped between the last check of its claim and the effect, by a debugger or by the migration of
    /// its virtual machine. It has the effect when it continues, whatever happened meanwhile. Its pass then replaces the
    /// one that another run has sent. Its next entry is refused, so it revokes its own pass at once. The other run finds
    /// its pass gone and issues another, unless Entra already has its verdict. In that case the user is left with a text
    /// whose pass no longer works.
    ///
    /// A run that takes a flow over waits before it relies on a list: with the default pauses, until 29 seconds after
    /// the entry of a request whose response was lost. If Graph executes the request later than that, a later look finds
    /// the pass: before `Completed`, or while the flow cleans up. A pass that appears even later is not found.
    ///
    /// # Errors
    ///
    /// If the journal fails or the claim is lost. Stop then: no further effect has followed, except that a pass whose
    /// entry was refused is revoked. Entra has no verdict from this run.
    pub async fn step(&self, run: &mut Run) -> Result<Step, JournalError> {
        can_wait()?;
        let history = self.history(run).await?;
        // Before the pause, which an order to stop ends.
        if history.stop().is_some() && !run.resumed {
            run.stop(self.clock.now());
        }
        if let Some(left) = run.paused() {
            return Ok(self.wait(left));
        }
        if let Some(verdict) = history.resumed() {
            return self.clean_up(run, &history, verdict).await;
        }
        let last = history.last();
        let Some(user) = run.callout.user() else {
            return match last.map(|record| &record.entry) {
                Some(Entry::Resuming { verdict, .. }) => self.resume(run, *verdict).await,
                _ => {
                    let verdict = Verdict::Failed(FailureReason::UserNotFound);
                    let cause = EndCause::of("the call-out names no user");
                    self.end(run, &history, verdict, cause).await
                }
            };
        };
        let Some(record) = last else {
            return self.issue(run, &history, user).await;
        };
        if let Some(left) = self.late_effect(run, &history, record) {
            return Ok(self.wait(left));
        }
        let next_round = history.next_round();
        match &record.entry {
            Entry::Issuing { .. } | Entry::IssueInDoubt { .. } => {
                self.settle_doubt(run, &history, user).await
            }
            Entry::NotAsked { .. } => self.issue(run, &history, user).await,
            Entry::NotIssued { cause, .. } => self.issue_refused(run, &history, user, cause).await,
            Entry::Issued { .. } => {
                let then = self.next_round_or_failed(run, next_round, FailureReason::Shutdown);
                self.start_revoking(run, &history, then).await
            }
            Entry::Kept { tap, valid_until } => {
                // The flow that issued it knows when.
                let kept = Pass {
                    tap: tap.clone(),
                    issued_at: DateTime::<Utc>::MIN_UTC,
                    valid_until: *valid_until,
                };
                self.confirm_pass(run, &history, &kept).await
            }
            Entry::Sending { .. } | Entry::InDoubt { .. } => {
                if history.delivery().is_some() {
                    return self.accepted(run, &history).await;
                }
                let then = match self.on_doubt {
                    OnDoubt::Fail => failed(FailureReason::InDoubt),
                    OnDoubt::Reissue => {
                        self.next_round_or_failed(run, next_round, FailureReason::InDoubt)
                    }
                };
                self.start_revoking(run, &history, then).await
            }
            Entry::NotSent { .. } => {
                let then =
                    self.next_round_or_failed(run, next_round, FailureReason::DeadlinePassed);
                self.start_revoking(run, &history, then).await
            }
            Entry::NotAccepted { .. } if history.delivery().is_some() => {
                self.accepted(run, &history).await
            }
            Entry::NotAccepted { .. } => {
                self.start_revoking(run, &history, failed(FailureReason::NotAccepted))
                    .await
            }
            Entry::Accepted { .. } => self.accepted(run, &history).await,
            Entry::Revoking {
                tap,
                valid_until,
                then,
            } => {
                let until = valid_until.unwrap_or(DateTime::<Utc>::MAX_UTC);
                self.revoke(run, &history, user, (tap, until), *then).await
            }
            Entry::Revoked { then, .. } => match then {
                Then::End(verdict) => self.end(run, &history, *verdict, EndCause::default()).await,
                Then::Issue => self.issue(run, &history, user).await,
            },
            Entry::Resuming { verdict, .. } => self.resume(run, *verdict).await,
            // None of these is ever the entry that decides.
            Entry::Resumed { verdict, .. } => self.clean_up(run, &history, *verdict).await,
            Entry::NothingSeen {} | Entry::Unseen { .. } | Entry::Expired { .. } => {
                self.issue(run, &history, user).await
            }
        }
    }

    /// Returns how long to wait for an effect whose response no process awaits. Its run was dropped or its process
    /// crashed, and it may still happen. Each round makes the wait longer, so that a process that keeps crashing does
    /// not use up the rounds.
    fn late_effect(&self, run: &Run, history: &History, record: &Record) -> Option<Duration> {
        let pause = self.all_pauses() / LATE_EFFECT_SHARE;
        // The effect may have begun that much later than its entry.
        let pause = match run.appended_at {
            Some(_) => pause,
            None => pause + pause.min(MAX_INTENT_AGE),
        };
        let doublings = u32::from(history.round().saturating_sub(1));
        let length = match record.entry {
            Entry::Issuing { .. } | Entry::Issued { .. } | Entry::Sending { .. } => {
                pause.saturating_mul(2_u32.saturating_pow(doublings))
            }
            // A server without a proper response may still be working.
            Entry::IssueInDoubt { .. } => pause,
            _ => return None,
        };
        let now = self.clock.now();
        let left = match run.appended_at {
            Some(at) => length.saturating_sub(at.elapsed()),
            None => length.saturating_sub(run.age_of(record.at, now)),
        };
        let left = left.min(run.until_deadline(now));
        let heard = matches!(record.entry, Entry::Sending { .. }) && history.delivery().is_some();
        (!left.is_zero() && !heard).then_some(left)
    }

    /// Continues after the vendor has accepted the text.
    async fn accepted(&self, run: &mut Run, history: &History) -> Result<Step, JournalError> {
        let Some(pass) = history.pass() else {
            // Only a journal that lost an entry has a text without its pass.
            let verdict = Verdict::Failed(FailureReason::InDoubt);
            return self.end(run, history, verdict, EndCause::default()).await;
        };
        match (history.delivery(), self.complete_on) {
            (Some(DeliveryStatus::Delivered), _) => self.confirm_pass(run, history, &pass).await,
            (Some(status), _) if status.is_final() => self.fail_undelivered(run, history).await,
            (_, CompleteOn::Accepted) => self.confirm_pass(run, history, &pass).await,
            (_, CompleteOn::Delivered) => {
                run.add_step(StepName::AwaitReport, Instant::now());
                let now = self.clock.now();
                if run.is_over(now) {
                    return self
                        .start_revoking(run, history, failed(run.deadline_reason()))
                        .await;
                }
                // A text that arrives after its pass has expired is useless.
                let left = between(now, pass.valid_until).min(run.until_deadline(now));
                if left.is_zero() {
                    return self.fail_undelivered(run, history).await;
                }
                // Waiting for a report does not need the user's lock.
                self.free_user(run).await;
                Ok(self.wait(left))
            }
        }
    }

    /// Reads the user, runs the guards, and issues a pass: whatever is not done yet.
    pub(crate) async fn issue(
        &self,
        run: &mut Run,
        history: &History,
        user: UserId,
    ) -> Result<Step, JournalError> {
        if run.is_over(self.clock.now()) {
            return self.end_at_deadline(run, history).await;
        }
        if history.len() >= MAX_ENTRIES_TO_ISSUE {
            let cause = EndCause::of("the flow has too many entries");
            return self
                .end(run, history, Verdict::Failed(run.deadline_reason()), cause)
                .await;
        }
        let round = history.next_round();
        if round > ROUNDS {
            let verdict = Verdict::Failed(history.why_no_more_rounds());
            return self.end(run, history, verdict, EndCause::default()).await;
        }
        let Some(number) = run.admitted_number(ADMISSION) else {
            return self.admit(run, history, user).await;
        };
        self.issue_to(run, history, user, number, round).await
    }
}
