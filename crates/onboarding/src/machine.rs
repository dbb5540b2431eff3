//! The state machine: what the last entry of the journal says, and the one effect that comes next.

use chrono::{DateTime, Utc};
use postduif_core::{DeliveryStatus, GraphErrorKind, Reason, TapId, Verdict};
use tokio::time::Instant;

use crate::{
    CompleteOn, Ending, Entry, JournalError, OnDoubt, Onboarding, Run, StepName, Then,
    call::A_WHILE, clock::after, history::History,
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
    /// something is to be tried again. To step earlier is harmless, and finds a report that has come.
    WaitUntil(DateTime<Utc>),
}

impl Onboarding {
    /// Reads the flow's entries and does what comes next.
    ///
    /// | last entry | what comes next |
    /// |---|---|
    /// | none | read, guards, list; an existing pass that is to be replaced is revoked first; issue |
    /// | `Issuing` | list; a pass that is new and nobody's is revoked; next round |
    /// | `NotIssued` | if the cause may pass, the same round again while time remains; else failed |
    /// | `Issued` | the secret died with its process: revoke, next round |
    /// | `Sending`, `InDoubt` | as [`OnDoubt`] says: revoke, and next round or failed |
    /// | `NotAccepted` | revoke, failed |
    /// | `Accepted` | completed; under [`CompleteOn::Delivered`] wait, and without a report revoke, failed |
    /// | `Reported` | delivered: completed; a final failure: revoke, failed; else as `Accepted` |
    /// | `Revoking` | revoke again |
    /// | `Revoked` | the next round, or the end |
    /// | `Resuming` | tell Entra the same verdict again |
    /// | `Resumed` | done |
    ///
    /// There are three rounds. From the deadline on nothing is issued or sent.
    ///
    /// Issuing and sending are one step, so that the pass never leaves it. Dropping the future is as a
    /// crash: the next step goes on from the journal.
    ///
    /// # Errors
    ///
    /// Where the journal did not do its work, or another run of this process is at the flow after its
    /// window. Stop then: nothing else has been done, and Entra has not been told.
    pub async fn step(&self, run: &mut Run) -> Result<Step, JournalError> {
        let now = self.clock.now();
        if !self.claim(run) {
            return match now < run.closes {
                true => Ok(Step::WaitUntil(after(now, A_WHILE))),
                false => Err(JournalError::new("another run is at the flow")),
            };
        }
        if let Some(until) = run.paused(now) {
            return Ok(Step::WaitUntil(until));
        }
        let history = self.history(run).await?;
        let round = history.round();
        match history.last() {
            None if run.callout.user().is_none() => {
                self.end(run, Verdict::Failed(Reason::UserNotFound)).await
            }
            None => self.issue(run, &history, 1).await,
            Some(Entry::Issuing { .. }) => self.settle(run, &history).await,
            Some(Entry::NotIssued { kind, .. }) if may_pass(*kind) => {
                run.obstacle = Some(reason(*kind));
                self.issue(run, &history, round).await
            }
            Some(Entry::NotIssued { kind, .. }) => {
                self.end(run, Verdict::Failed(reason(*kind))).await
            }
            Some(Entry::Issued { .. }) => {
                let then = self.next(run, round, Reason::Shutdown);
                self.undo(run, &history, then).await
            }
            Some(Entry::Sending { .. } | Entry::InDoubt { .. }) => {
                let then = match self.on_doubt {
                    OnDoubt::Fail => Then::End(Verdict::Failed(Reason::InDoubt)),
                    OnDoubt::Reissue => self.next(run, round, Reason::InDoubt),
                };
                self.undo(run, &history, then).await
            }
            Some(Entry::NotAccepted { .. }) => {
                self.undo(run, &history, failed(Reason::NotAccepted)).await
            }
            Some(Entry::Accepted { .. }) => self.accepted(run, &history).await,
            Some(Entry::Reported { status, .. }) => match status {
                DeliveryStatus::Delivered => self.end(run, Verdict::Completed).await,
                status if status.is_final() => {
                    self.undo(run, &history, failed(Reason::NotDelivered)).await
                }
                _ => self.accepted(run, &history).await,
            },
            Some(Entry::Revoking { tap, then }) => self.revoke(run, tap, *then).await,
            Some(Entry::Revoked { then, .. }) => match then {
                Then::End(verdict) => self.end(run, *verdict).await,
                Then::Issue => self.issue(run, &history, round.saturating_add(1)).await,
            },
            Some(Entry::Resuming { verdict }) => self.resume(run, *verdict).await,
            Some(Entry::Resumed { verdict, heard }) => {
                run.claim = None;
                Ok(Step::Done(Ending::new(&history, run, *verdict, *heard)))
            }
        }
    }

    async fn accepted(&self, run: &mut Run, history: &History) -> Result<Step, JournalError> {
        // What is awaited now is not the user's business: another flow may issue.
        run.lock = None;
        match self.complete_on {
            CompleteOn::Accepted => self.end(run, Verdict::Completed).await,
            CompleteOn::Delivered => {
                run.took(StepName::AwaitReport, Instant::now());
                if run.is_over(self.clock.now()) {
                    return self.undo(run, history, failed(run.over())).await;
                }
                Ok(Step::WaitUntil(run.deadline))
            }
        }
    }

    /// Takes away the pass that was issued last.
    async fn undo(
        &self,
        run: &mut Run,
        history: &History,
        then: Then,
    ) -> Result<Step, JournalError> {
        match (history.pass(), then) {
            (Some(tap), then) => self.revoking(run, tap.clone(), then).await,
            // Only a journal that lost an entry says of a text and not of its pass.
            (None, Then::End(verdict)) => self.end(run, verdict).await,
            (None, Then::Issue) => self.end(run, Verdict::Failed(Reason::InDoubt)).await,
        }
    }

    pub(crate) async fn revoking(
        &self,
        run: &mut Run,
        tap: TapId,
        then: Then,
    ) -> Result<Step, JournalError> {
        self.record(run, Entry::Revoking { tap, then }).await?;
        Ok(Step::Next)
    }

    pub(crate) async fn end(&self, run: &mut Run, verdict: Verdict) -> Result<Step, JournalError> {
        self.record(run, Entry::Resuming { verdict }).await?;
        Ok(Step::Next)
    }

    /// A next round: while there are rounds and time; else the flow failed, of this where it is the rounds.
    pub(crate) fn next(&self, run: &Run, round: u8, reason: Reason) -> Then {
        if run.is_over(self.clock.now()) {
            failed(run.over())
        } else if round < ROUNDS {
            Then::Issue
        } else {
            failed(reason)
        }
    }
}

/// The most passes of one flow: a crash, a doubt and a try that has nothing against it.
pub(crate) const ROUNDS: u8 = 3;

pub(crate) const fn failed(reason: Reason) -> Then {
    Then::End(Verdict::Failed(reason))
}

/// Whether Graph may issue a pass later that it would not issue now.
pub(crate) const fn may_pass(kind: GraphErrorKind) -> bool {
    matches!(
        kind,
        GraphErrorKind::NotFound
            | GraphErrorKind::PolicyRefused
            | GraphErrorKind::Throttled
            | GraphErrorKind::Timeout
            | GraphErrorKind::Unavailable
    )
}

/// What a flow fails with when Graph would not issue a pass.
const fn reason(kind: GraphErrorKind) -> Reason {
    match kind {
        GraphErrorKind::NotFound => Reason::UserNotFound,
        GraphErrorKind::Protocol
        | GraphErrorKind::Throttled
        | GraphErrorKind::Timeout
        | GraphErrorKind::Unavailable => Reason::GraphUnavailable,
        _ => Reason::PassRefused,
    }
}
