//! The state machine: what the last entry of the journal says, and the one effect that comes next.

use std::time::Duration;

use chrono::{DateTime, Utc};
use postduif_core::{
    DeliveryStatus,
    directory::{FailureReason, UserId, Verdict},
};
use tokio::time::Instant;

use crate::{
    CompleteOn, Ending, Entry, JournalError, OnDoubt, Onboarding, Record, Run, StepName, Then,
    clock::between,
    flow::{
        effects::failed,
        finish::Why,
        history::{History, Pass},
        times::{FRESH_INTENT, LATE_EFFECT_SHARE, MOST_ENTRIES_TO_ISSUE},
    },
};

/// What came of a step.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "whoever steps must know them all")]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made at a time, and taken apart at once"
)]
pub enum Step {
    /// The flow is done.
    Done(Ending),
    /// The next step can be taken at once.
    Next,
    /// There is nothing to do before this time: a delivery report is awaited, a user is not there yet,
    /// something is to be tried again. To step earlier is harmless, and finds a report or an order to
    /// stop that has come.
    WaitUntil(DateTime<Utc>),
}

impl Onboarding {
    /// Reads the flow's entries and does what comes next.
    ///
    /// | last entry | what comes next |
    /// |---|---|
    /// | none | read, guards, list; a pass of ours that was sent is kept, also where it is too new to be listed; else issue, and Graph replaces what there was. Where another flow's request may still replace it, pause first |
    /// | `Issuing`, `IssueInDoubt` | pause, list; a pass that is new and nobody's is revoked, and the next round begins; where the list shows none, the same round again |
    /// | `NotAsked` | the same round again while time remains |
    /// | `NotIssued` | where the cause passes by itself, pause, and the same round again while time remains; where Graph refuses because a pass exists, revoke that one if it may be replaced; else failed |
    /// | `Issued` | the secret died with its process: pause, revoke, next round |
    /// | `Kept` | list; still there, and not taken away or replaced by its flow: completed; listed no more: pause, list, for as long as a list may lag; else issue, and the same pass is not kept again |
    /// | `Sending` | pause, then as `InDoubt` |
    /// | `InDoubt` | as [`OnDoubt`] says: revoke, and next round or failed |
    /// | `NotSent` | revoke, next round while time remains |
    /// | `NotAccepted` | revoke, failed |
    /// | `Accepted` | list; still there: completed; else revoke, next round. Under [`CompleteOn::Delivered`] a report comes first, by the deadline and the pass's end; without one revoke, failed |
    /// | `Revoking` | revoke again |
    /// | `Revoked` | the next round, or the end |
    /// | `Resuming` | send Entra the same verdict again |
    /// | `Resumed` | revoke what could not be revoked, until it has ended by itself; look for a pass in doubt until a list is certain; done |
    ///
    /// Between an intent's entry and its effect the clock and the claim are looked at once more: where the time is
    /// over, or the store took more than ten seconds, `NotAsked` or `NotSent` is written instead of the effect;
    /// where the claim is lost, the run stops. Beside the entries:
    ///
    /// - A delivery report of the text, by the vendor that has it: delivered counts as `Accepted` with its
    ///   report, failed for good as `NotAccepted`, and anything else as `Accepted`.
    /// - An order to stop: the deadline is now.
    /// - A flow that is not about a user is failed.
    ///
    /// There are three rounds, and a round is over when a pass came of it. From the deadline on nothing is
    /// issued or sent, and a failing effect no longer keeps Entra waiting: it gets the verdict, and the flow cleans
    /// up afterwards.
    ///
    /// Issuing and sending are one step, so that the pass never leaves it. Dropping the future is as a
    /// crash: the next step goes on from the journal.
    ///
    /// # What a stopped process can still do
    ///
    /// A process that is stopped between the last look at its claim and the effect (by a debugger, or a virtual
    /// machine that is moved) has the effect when it continues, whatever happened meanwhile. Its pass then
    /// replaces the one that another run has sent: what it records is refused, so that it revokes its own pass
    /// at once, and the other run, unless Entra already has its verdict, finds its pass gone and issues another. If Entra has it, the
    /// person is left with a text whose pass no longer works.
    ///
    /// A run that takes a flow over waits before it believes a list: with the default pauses until 29 seconds after
    /// the entry of the request that nobody heard the answer of. Where a process died in the middle of a call that
    /// Graph answered later than that, the pass is found by a later look, before `Completed` or while the flow
    /// cleans up; one that comes up even after these is not found.
    ///
    /// # Errors
    ///
    /// Where the journal did not do its work, or the claim is lost. Stop then: nothing else has been done, but
    /// that a pass whose entry was refused is revoked, and Entra has no verdict from this run.
    pub async fn step(&self, run: &mut Run) -> Result<Step, JournalError> {
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
                    let why = Why::of("the call-out is not about a user");
                    self.end(run, &history, verdict, why).await
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
                self.settle(run, &history, user).await
            }
            Entry::NotAsked { .. } => self.issue(run, &history, user).await,
            Entry::NotIssued { cause, .. } => self.refused(run, &history, user, cause).await,
            Entry::Issued { .. } => {
                let then = self.next(run, next_round, FailureReason::Shutdown);
                self.undo(run, &history, then).await
            }
            Entry::Kept { tap, valid_until } => {
                // When it was issued, its flow knows.
                let kept = Pass {
                    tap: tap.clone(),
                    issued_at: DateTime::<Utc>::MIN_UTC,
                    valid_until: *valid_until,
                };
                self.confirm(run, &history, &kept).await
            }
            Entry::Sending { .. } | Entry::InDoubt { .. } => {
                if history.delivery().is_some() {
                    return self.accepted(run, &history).await;
                }
                let then = match self.on_doubt {
                    OnDoubt::Fail => failed(FailureReason::InDoubt),
                    OnDoubt::Reissue => self.next(run, next_round, FailureReason::InDoubt),
                };
                self.undo(run, &history, then).await
            }
            Entry::NotSent { .. } => {
                let then = self.next(run, next_round, FailureReason::DeadlinePassed);
                self.undo(run, &history, then).await
            }
            Entry::NotAccepted { .. } if history.delivery().is_some() => {
                self.accepted(run, &history).await
            }
            Entry::NotAccepted { .. } => {
                self.undo(run, &history, failed(FailureReason::NotAccepted))
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
                Then::End(verdict) => self.end(run, &history, *verdict, Why::default()).await,
                Then::Issue => self.issue(run, &history, user).await,
            },
            Entry::Resuming { verdict, .. } => self.resume(run, *verdict).await,
            // Neither is ever the entry that decides.
            Entry::Resumed { verdict, .. } => self.clean_up(run, &history, *verdict).await,
            Entry::NothingSeen {} | Entry::Unseen { .. } | Entry::Expired { .. } => {
                self.issue(run, &history, user).await
            }
        }
    }

    /// How long to pause still for an effect that nobody waited for to its end. Its run was dropped, or its
    /// process died, and the effect may come to pass yet: by the time of its entry. Each round makes the pause
    /// longer, so that a process that dies again and again does not use them up.
    fn late_effect(&self, run: &Run, history: &History, record: &Record) -> Option<Duration> {
        let pause = self.all_pauses() / LATE_EFFECT_SHARE;
        // By its entry, the effect may have begun so much later.
        let pause = match run.appended_at {
            Some(_) => pause,
            None => pause + pause.min(FRESH_INTENT),
        };
        let doublings = u32::from(history.round().saturating_sub(1));
        let length = match record.entry {
            Entry::Issuing { .. } | Entry::Issued { .. } | Entry::Sending { .. } => {
                pause.saturating_mul(2_u32.saturating_pow(doublings))
            }
            // The server that gave no answer, or a bad one, may still be at work.
            Entry::IssueInDoubt { .. } => pause,
            _ => return None,
        };
        let now = self.clock.now();
        let left = match run.appended_at {
            Some(at) => length.saturating_sub(at.elapsed()),
            None => length.saturating_sub(run.since(record.at, now)),
        };
        let left = left.min(run.left(now));
        let heard = matches!(record.entry, Entry::Sending { .. }) && history.delivery().is_some();
        (!left.is_zero() && !heard).then_some(left)
    }

    /// The vendor has the text.
    async fn accepted(&self, run: &mut Run, history: &History) -> Result<Step, JournalError> {
        let Some(pass) = history.pass() else {
            // Only a journal that lost an entry says of a text and not of its pass.
            let verdict = Verdict::Failed(FailureReason::InDoubt);
            return self.end(run, history, verdict, Why::default()).await;
        };
        match (history.delivery(), self.complete_on) {
            (Some(DeliveryStatus::Delivered), _) => self.confirm(run, history, &pass).await,
            (Some(status), _) if status.is_final() => self.undelivered(run, history).await,
            (_, CompleteOn::Accepted) => self.confirm(run, history, &pass).await,
            (_, CompleteOn::Delivered) => {
                run.took(StepName::AwaitReport, Instant::now());
                let now = self.clock.now();
                if run.is_over(now) {
                    return self.undo(run, history, failed(run.over())).await;
                }
                // A text that arrives when its pass has ended is of no use.
                let left = between(now, pass.valid_until).min(run.left(now));
                if left.is_zero() {
                    return self.undelivered(run, history).await;
                }
                // What is awaited now is not the user's business: another flow may have them.
                self.free(run).await;
                Ok(self.wait(left))
            }
        }
    }

    /// Reads the person, asks the guards, and issues a pass: whatever is not done yet of it.
    pub(crate) async fn issue(
        &self,
        run: &mut Run,
        history: &History,
        user: UserId,
    ) -> Result<Step, JournalError> {
        if run.is_over(self.clock.now()) {
            return self.end_over(run, history).await;
        }
        if history.len() >= MOST_ENTRIES_TO_ISSUE {
            let why = Why::of("the flow has too many entries");
            return self
                .end(run, history, Verdict::Failed(run.over()), why)
                .await;
        }
        let round = history.next_round();
        if round > crate::flow::times::ROUNDS {
            let verdict = Verdict::Failed(history.why_no_more_rounds());
            return self.end(run, history, verdict, Why::default()).await;
        }
        let Some(number) = run.admitted(crate::flow::times::ADMITTED_FOR) else {
            return self.admit(run, history, user).await;
        };
        self.issue_to(run, history, user, number, round).await
    }
}
