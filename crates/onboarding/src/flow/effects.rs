//! The parts of all steps: bounded calls, the user's lock, entries, pauses.

use std::{future::Future, time::Duration};

use postduif_core::directory::{
    FailureReason, GraphError, GraphErrorKind, TapId, TapInfo, TemporaryAccessPass, UserId, Verdict,
};
use tokio::time::Instant;

use crate::{
    Entry, JournalError, JournalErrorKind, Onboarding, Record, Run, Step, StepName, Then,
    clock::after,
    flow::{
        history::History,
        times::{
            FIRST_RECORD_PAUSE, LIST_LAG_IN_PAUSES, MARGIN_KEPT_SHARE, MAX_CALL, MAX_INTENT_AGE,
            MAX_RECORD_PAUSE, MIN_CALL, ROUNDS,
        },
    },
};

impl Onboarding {
    /// Locks the user, or extends the lock, for longer than any following effect can take.
    pub(crate) async fn lock_user(&self, run: &mut Run) -> Result<bool, JournalError> {
        let left = run.until_close(self.clock.now());
        let at_most = left.max(MAX_CALL + MIN_CALL);
        let locked = within(MAX_CALL, run.claim.lock_user(at_most)).await;
        run.holds_user = locked.unwrap_or_else(journal_timeout)?;
        Ok(run.holds_user)
    }

    /// Frees the lock of the user.
    pub(crate) async fn free_user(&self, run: &mut Run) {
        if !run.holds_user && !run.may_hold_user {
            return;
        }
        (run.holds_user, run.may_hold_user) = (false, false);
        let freed = within(MAX_CALL, run.claim.free_user()).await;
        if let Err(error) = freed.unwrap_or_else(journal_timeout) {
            // It expires by itself.
            tracing::warn!(flow = %run.flow(), %error, "the user's lock was not freed");
        }
    }

    /// Returns whether the deadline has passed, or the last intent is too old for its effect.
    pub(crate) fn is_late(&self, run: &Run, intended_at: Instant) -> bool {
        run.is_over(self.clock.now()) || intended_at.elapsed() > MAX_INTENT_AGE
    }

    /// Fails if the claim is lost. Called between an intent's entry and its effect.
    pub(crate) fn check_claim(run: &Run) -> Result<(), JournalError> {
        if run.claim.holds() {
            Ok(())
        } else {
            Err(JournalError::lost())
        }
    }

    pub(crate) async fn list_passes(
        &self,
        run: &mut Run,
        user: UserId,
        step: StepName,
    ) -> Result<Vec<TapInfo>, GraphError> {
        let began = Instant::now();
        let passes = within(self.call_limit(run), self.issuer.list(&user)).await;
        run.add_step(step, began);
        passes.unwrap_or_else(|| Err(no_response()))
    }

    /// Issues a pass. A request that is under way when the claim is lost is dropped: Graph would replace the pass of the
    /// run that has the flow now.
    pub(crate) async fn issue_pass(
        &self,
        run: &mut Run,
        user: UserId,
    ) -> Result<TemporaryAccessPass, GraphError> {
        let began = Instant::now();
        let issued = tokio::select! {
            biased;
            issued = within(self.call_limit(run), self.issuer.issue(&user, &self.pass)) => issued,
            () = run.claim.lost() => None,
        };
        run.add_step(StepName::IssuePass, began);
        issued.unwrap_or_else(|| Err(no_response()))
    }

    pub(crate) async fn revoke_pass(
        &self,
        run: &mut Run,
        user: UserId,
        tap: &TapId,
    ) -> Result<(), GraphError> {
        let began = Instant::now();
        let revoked = within(self.call_limit(run), self.issuer.revoke(&user, tap)).await;
        run.add_step(StepName::RevokePass, began);
        revoked.unwrap_or_else(|| Err(no_response()))
    }

    pub(crate) async fn history(&self, run: &mut Run) -> Result<History, JournalError> {
        let entries = within(MAX_CALL, run.claim.entries()).await;
        let history = History::new(entries.unwrap_or_else(journal_timeout)?, self.clock.now());
        run.set_entry_count(history.len());
        Ok(history)
    }

    /// Returns the histories of all flows of the same user.
    pub(crate) async fn flows_of_user(&self, run: &Run) -> Result<Vec<History>, JournalError> {
        let flows = within(MAX_CALL, run.claim.of_user()).await;
        let flows = flows.unwrap_or_else(journal_timeout)?;
        let now = self.clock.now();
        let flows = flows.into_iter();
        Ok(flows.map(|flow| History::new(flow, now)).collect())
    }

    /// Appends an entry. An intent is tried once. An outcome is retried until the deadline, since only this run has it.
    pub(crate) async fn record(&self, run: &mut Run, entry: Entry) -> Result<(), JournalError> {
        let record = Record::new(self.clock.now(), entry);
        if record.entry.is_intent() {
            append(run, &record).await?
        } else {
            self.append_outcome(run, &record).await?
        }
        run.appended();
        let at = Some((record.at, Instant::now()));
        match record.entry {
            Entry::Issuing { .. } => run.asked_at = at,
            Entry::IssueInDoubt { .. } => run.doubted_at = at,
            _ => {}
        }
        run.reset_failures();
        let settled = match record.entry {
            Entry::Resuming { .. } => true,
            Entry::Revoked { then, .. } => matches!(then, Then::End(_)),
            _ => false,
        };
        if settled {
            self.free_user(run).await;
        }
        Ok(())
    }

    async fn append_outcome(&self, run: &Run, record: &Record) -> Result<(), JournalError> {
        let until = run.deadline_at().max(Instant::now() + MIN_CALL);
        let mut pause = FIRST_RECORD_PAUSE;
        let mut again = false;
        loop {
            let error = match append(run, record).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match error.kind() {
                // An earlier try may have written the entry, although it failed.
                JournalErrorKind::Lost if again && is_written(run, record).await => return Ok(()),
                JournalErrorKind::Unavailable if Instant::now() + pause < until => {
                    tracing::warn!(flow = %run.flow(), %error, "an outcome is not recorded yet");
                    again = true;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_RECORD_PAUSE);
                }
                _ => return Err(error),
            }
        }
    }

    /// Returns a wait of this length.
    pub(crate) fn wait(&self, length: Duration) -> Step {
        Step::WaitUntil(after(self.clock.now(), length))
    }

    /// Counts a failure and pauses, for at most `at_most`.
    pub(crate) fn pause(&self, run: &mut Run, length: Duration, at_most: Duration) -> Step {
        let length = length.min(at_most);
        run.pause(self.clock.now(), length);
        self.wait(length)
    }

    /// Returns the pause after a number of failures: the configured ones, then twice as long each time.
    pub(crate) fn pause_after(
        &self,
        failures: u32,
        longest: Duration,
        asked: Option<Duration>,
    ) -> Duration {
        let configured = self.pauses.get(failures as usize).copied();
        let pause = configured.unwrap_or_else(|| {
            let last = self.pauses.last().copied().unwrap_or(longest);
            let doublings = (failures as usize).saturating_sub(self.pauses.len()) + 1;
            let factor = u32::try_from(doublings)
                .ok()
                .and_then(|n| 2_u32.checked_pow(n));
            let grown = last.saturating_mul(factor.unwrap_or(u32::MAX));
            grown.min(longest.max(last))
        });
        pause.max(asked.unwrap_or_default())
    }

    /// Returns the sum of the configured pauses.
    pub(crate) fn all_pauses(&self) -> Duration {
        let sum = |sum: Duration, pause: &Duration| sum.saturating_add(*pause);
        self.pauses.iter().fold(Duration::ZERO, sum)
    }

    /// Returns the maximum time by which a list lags behind Graph.
    pub(crate) fn list_lag(&self) -> Duration {
        self.all_pauses().saturating_mul(LIST_LAG_IN_PAUSES)
    }

    /// Returns how long an effect may take: until half of the margin has passed; the other half is for
    /// the entry, a revocation and the verdict.
    pub(crate) fn effect_limit(&self, run: &Run) -> Duration {
        let left = run.until_close(self.clock.now());
        left.saturating_sub(run.margin() / MARGIN_KEPT_SHARE)
            .max(MIN_CALL)
    }

    /// Returns how long a call to Graph may take.
    pub(crate) fn call_limit(&self, run: &Run) -> Duration {
        self.effect_limit(run).min(MAX_CALL)
    }

    pub(crate) async fn record_revoking(
        &self,
        run: &mut Run,
        pass: &TapInfo,
        then: Then,
    ) -> Result<Step, JournalError> {
        run.remember_pass(pass.clone());
        let entry = Entry::Revoking {
            tap: pass.id.clone(),
            valid_until: Some(pass.valid_until()),
            then,
        };
        self.record(run, entry).await?;
        Ok(Step::Next)
    }

    /// Returns another round while rounds and time remain. Without rounds the flow fails with `reason`.
    pub(crate) fn next_round_or_failed(
        &self,
        run: &Run,
        next_round: u8,
        reason: FailureReason,
    ) -> Then {
        if run.is_over(self.clock.now()) {
            failed(run.deadline_reason())
        } else if next_round <= ROUNDS {
            Then::Issue
        } else {
            failed(reason)
        }
    }
}

pub(crate) const fn failed(reason: FailureReason) -> Then {
    Then::End(Verdict::Failed(reason))
}

async fn append(run: &Run, record: &Record) -> Result<(), JournalError> {
    let appended = within(MAX_CALL, run.claim.append(run.entry_count, record)).await;
    appended.unwrap_or_else(journal_timeout)
}

/// Returns whether the flow's last entry is this one.
async fn is_written(run: &Run, record: &Record) -> bool {
    let entries = within(MAX_CALL, run.claim.entries()).await;
    match entries {
        Some(Ok(entries)) => {
            entries.records.len() == run.entry_count + 1 && entries.records.last() == Some(record)
        }
        _ => false,
    }
}

pub(crate) async fn within<T>(limit: Duration, call: impl Future<Output = T> + Send) -> Option<T> {
    tokio::time::timeout(limit, call).await.ok()
}

pub(crate) fn no_response() -> GraphError {
    GraphError::unknown(GraphErrorKind::Timeout, "Graph did not respond in time")
}

pub(crate) fn journal_timeout<T>() -> Result<T, JournalError> {
    Err(JournalError::new(
        JournalErrorKind::Unavailable,
        "the journal did not respond in time",
    ))
}

/// Returns whether a later request may succeed.
pub(crate) const fn is_transient(kind: GraphErrorKind) -> bool {
    matches!(
        kind,
        GraphErrorKind::NotFound
            | GraphErrorKind::Protocol
            | GraphErrorKind::Throttled
            | GraphErrorKind::Timeout
            | GraphErrorKind::Unavailable
    )
}
