//! The end of a flow: cleaning up before the verdict, the verdict, and cleaning up after it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use postduif_core::{
    Acceptance,
    directory::{FailureReason, GraphError, GraphErrorKind, TapId, TapInfo, UserId, Verdict},
};
use tokio::time::Instant;

use crate::{
    Ending, Entry, GraphCause, JournalError, Onboarding, Run, Step, StepName, Then,
    clock::{after, between},
    flow::{
        effects::{failed, is_transient, no_response, within},
        history::{History, Pass},
        times::{
            CLOCK_SKEW, LOCK_PAUSE, MARGIN_KEPT_SHARE, MAX_CALL, MAX_PASS, MAX_PAUSE, MIN_CALL,
            PATIENCE_IN_LAGS,
        },
    },
};

/// The cause of a failed flow, beside its reason.
#[derive(Debug, Default)]
pub(crate) struct EndCause {
    detail: Option<String>,
    cause: Option<GraphCause>,
}

impl EndCause {
    /// Creates a cause from a detail without personal data.
    pub(crate) fn of(detail: &str) -> Self {
        Self {
            detail: Some(detail.to_owned()),
            cause: None,
        }
    }

    pub(crate) const fn graph(cause: GraphCause) -> Self {
        Self {
            detail: None,
            cause: Some(cause),
        }
    }
}

impl Onboarding {
    /// Ends the flow with a verdict. Before it fails, it looks for a pass in doubt while time remains.
    pub(crate) async fn end(
        &self,
        run: &mut Run,
        history: &History,
        verdict: Verdict,
        cause: EndCause,
    ) -> Result<Step, JournalError> {
        let fails = matches!(verdict, Verdict::Failed(_));
        if fails
            && !run.is_over(self.clock.now())
            && let (Some(since), Some(user)) = (history.open_doubt(), run.callout.user())
        {
            return self
                .look_for_pass(run, history, user, since, Then::Issue)
                .await;
        }
        let entry = Entry::Resuming {
            verdict,
            detail: cause.detail,
            cause: cause.cause,
        };
        self.record(run, entry).await?;
        Ok(Step::Next)
    }

    /// Ends the flow at its deadline.
    pub(crate) async fn end_at_deadline(
        &self,
        run: &mut Run,
        history: &History,
    ) -> Result<Step, JournalError> {
        let cause = match run.obstacle.take() {
            Some((reason, cause)) => {
                run.obstacle = Some((reason, None));
                cause.map_or_else(EndCause::default, EndCause::graph)
            }
            None => EndCause::default(),
        };
        let verdict = Verdict::Failed(run.deadline_reason());
        self.end(run, history, verdict, cause).await
    }

    /// Looks for a pass in doubt, until one of three is recorded: it was found and is revoked, a conclusive list
    /// proves that it does not exist, or no list could be read for twice as long. A list proves nothing if the time
    /// of the request is in the future.
    async fn look_for_pass(
        &self,
        run: &mut Run,
        history: &History,
        user: UserId,
        since: DateTime<Utc>,
        then: Then,
    ) -> Result<Step, JournalError> {
        let certain = self.list_lag();
        let patience = certain * PATIENCE_IN_LAGS;
        let passes = if self.lock_user(run).await? {
            // Under the lock, since another flow's new pass is not in its journal at once.
            self.list_passes(run, user, StepName::IssuePass).await
        } else if run.age_of(since, self.clock.now()) < patience {
            return Ok(self.wait(LOCK_PAUSE));
        } else {
            Err(no_response())
        };
        let now = self.clock.now();
        let age = run.age_of(since, now);
        let life = self.pass.lifetime.unwrap_or(MAX_PASS);
        let unseen_until = after(since.min(now), life.saturating_add(MAX_CALL));
        match passes {
            Ok(passes) => {
                let stranger = self.unknown_pass(run, history, &passes).await?;
                let lost = self.pass_in_doubt(run, history, passes).await?;
                let found = lost.is_some();
                match lost {
                    Some((pass, true)) => return self.record_revoking(run, &pass, then).await,
                    // Its secret is lost. It settles no doubt, since it may be another flow's.
                    Some((pass, false)) => {
                        Self::check_claim(run)?;
                        if let Err(error) = self.revoke_pass(run, user, &pass.id).await {
                            tracing::warn!(
                                flow = %run.flow(), step = %StepName::RevokePass, %error,
                                "a pass in doubt could not be revoked yet"
                            );
                        }
                    }
                    None => {}
                }
                if age >= certain && (!found || age >= patience) {
                    // A pass of another time is an administrator's, or the clocks differ by much.
                    let entry = match stranger {
                        Some(until) => Entry::Unseen { until },
                        None if run.is_in_future(since, now) => Entry::Unseen {
                            until: unseen_until,
                        },
                        None => Entry::NothingSeen {},
                    };
                    self.record(run, entry).await?;
                    self.free_user_at_end(run, then).await;
                    return Ok(Step::Next);
                }
            }
            Err(error) if age < patience => {
                tracing::warn!(
                    flow = %run.flow(), step = %StepName::IssuePass, %error,
                    "a pass in doubt could not be looked for"
                );
            }
            Err(error) => {
                let until = unseen_until;
                tracing::error!(
                    flow = %run.flow(), step = %StepName::IssuePass, %error, %until,
                    "a pass that no list has shown may be usable"
                );
                self.record(run, Entry::Unseen { until }).await?;
                self.free_user_at_end(run, then).await;
                return Ok(Step::Next);
            }
        }
        let pause = self.pause_after(run.failures(), MAX_PAUSE, None);
        // The last look is the conclusive one.
        let next = match certain.saturating_sub(age) {
            Duration::ZERO => pause,
            left => pause.min(left),
        };
        let at_most = match then {
            Then::Issue => run.until_deadline(now),
            Then::End(_) => next,
        };
        self.free_user_at_end(run, then).await;
        Ok(self.pause(run, next, at_most))
    }

    /// Returns when the last listed pass that no flow knows expires.
    async fn unknown_pass(
        &self,
        run: &Run,
        history: &History,
        passes: &[TapInfo],
    ) -> Result<Option<DateTime<Utc>>, JournalError> {
        if passes.is_empty() {
            return Ok(None);
        }
        let flows = self.flows_of_user(run).await?;
        let unknown = |pass: &&TapInfo| {
            let issued = flows.iter().any(|flow| flow.issued(&pass.id));
            pass.opens() && !issued && !history.has_seen(&pass.id)
        };
        let unknown = passes.iter().filter(unknown);
        Ok(unknown.map(TapInfo::valid_until).max())
    }

    /// Frees the user while a resumed flow cleans up.
    async fn free_user_at_end(&self, run: &mut Run, then: Then) {
        if matches!(then, Then::End(_)) {
            self.free_user(run).await;
        }
    }

    /// Starts to revoke the pass that was issued last.
    pub(crate) async fn start_revoking(
        &self,
        run: &mut Run,
        history: &History,
        then: Then,
    ) -> Result<Step, JournalError> {
        // Under the lock, since another flow may be about to keep the pass.
        if self.lock_user(run).await? {
            let fresh = self.history(run).await?;
            if fresh.delivery() != history.delivery() {
                return Ok(Step::Next);
            }
        } else {
            let left = run.until_close(self.clock.now());
            let left = left.saturating_sub(run.margin() / MARGIN_KEPT_SHARE);
            if !left.is_zero() {
                return Ok(self.wait(LOCK_PAUSE.min(left)));
            }
        }
        match (history.pass(), then) {
            (
                Some(Pass {
                    tap, valid_until, ..
                }),
                then,
            ) => {
                let valid_until = Some(valid_until);
                let entry = Entry::Revoking {
                    tap,
                    valid_until,
                    then,
                };
                self.record(run, entry).await?;
                Ok(Step::Next)
            }
            // Only a journal that lost an entry has a text without its pass.
            (None, Then::End(verdict)) => {
                self.end(run, history, verdict, EndCause::default()).await
            }
            (None, Then::Issue) => {
                let verdict = Verdict::Failed(FailureReason::InDoubt);
                self.end(run, history, verdict, EndCause::default()).await
            }
        }
    }

    /// Revokes a pass. Failures are retried until the deadline. Then Entra gets the verdict, and the retries continue
    /// until the pass has expired.
    pub(crate) async fn revoke(
        &self,
        run: &mut Run,
        history: &History,
        user: UserId,
        (tap, until): (&TapId, DateTime<Utc>),
        then: Then,
    ) -> Result<Step, JournalError> {
        let verdict = match then {
            Then::End(verdict) => verdict,
            Then::Issue => Verdict::Failed(run.deadline_reason()),
        };
        if !self.lock_user(run).await? {
            return if run.is_over(self.clock.now()) && !run.resumed {
                self.end(run, history, verdict, EndCause::default()).await
            } else {
                Ok(self.wait(LOCK_PAUSE))
            };
        }
        Self::check_claim(run)?;
        let Err(error) = self.revoke_pass(run, user, tap).await else {
            tracing::info!(flow = %run.flow(), step = %StepName::RevokePass, "revoked a pass");
            let tap = tap.clone();
            self.record(run, Entry::Revoked { tap, then }).await?;
            return Ok(Step::Next);
        };
        let now = self.clock.now();
        tracing::warn!(
            flow = %run.flow(), step = %StepName::RevokePass, %error, %until,
            "a pass could not be revoked yet"
        );
        if run.is_over(now) && !run.resumed {
            let cause = EndCause::graph(GraphCause::from(&error));
            return self.end(run, history, verdict, cause).await;
        }
        let pause = self.pause_after(run.failures(), MAX_PAUSE, error.retry_after());
        let at_most = if run.resumed {
            self.free_user(run).await;
            between(now, until)
        } else {
            run.until_deadline(now)
        };
        Ok(self.pause(run, pause, at_most))
    }

    /// Checks before the flow is completed that its pass is still there. Another flow, an administrator, or a request
    /// in doubt of this flow may have replaced it.
    pub(crate) async fn confirm_pass(
        &self,
        run: &mut Run,
        history: &History,
        pass: &Pass,
    ) -> Result<Step, JournalError> {
        let completed = Verdict::Completed;
        let Some(user) = run.callout.user() else {
            return self.end(run, history, completed, EndCause::default()).await;
        };
        if !self.lock_user(run).await? && !run.is_over(self.clock.now()) {
            return Ok(self.wait(LOCK_PAUSE));
        }
        let listed = self.list_passes(run, user, StepName::Resume).await;
        let now = self.clock.now();
        let left = run.until_deadline(now);
        let passes = match listed {
            Ok(passes) => passes,
            Err(error) if is_transient(error.kind()) && !left.is_zero() => {
                let pause = self.pause_after(run.failures(), MAX_PAUSE, error.retry_after());
                return Ok(self.pause(run, pause, left));
            }
            // There is no sign against it.
            Err(error) => {
                tracing::warn!(flow = %run.flow(), %error, "the passes could not be listed before the verdict");
                return self.end(run, history, completed, EndCause::default()).await;
            }
        };
        let last = history.last().map(|record| &record.entry);
        let kept = matches!(last, Some(Entry::Kept { .. }));
        // A list may be old, but the entries of our flows are not.
        let flows = self.flows_of_user(run).await?;
        let replaced = if kept {
            !History::is_still_sent(&flows, &pass.tap)
        } else {
            history.is_replaced_by_one_of(&flows)
        };
        let listed = passes.iter().any(|listed| listed.id == pass.tap);
        let to_close = run
            .until_close(now)
            .saturating_sub(run.margin() / MARGIN_KEPT_SHARE);
        // A request of another flow may have replaced it, which no list shows yet.
        let unsure = self.unsure_for(run, &flows, &pass.tap, now).min(to_close);
        if !replaced && listed && unsure.is_zero() {
            return self.end(run, history, completed, EndCause::default()).await;
        }
        // A new pass may be listed late.
        let known = flows.iter().filter_map(History::pass);
        let issued_at = known
            .filter(|known| known.tap == pass.tap)
            .map(|known| known.issued_at)
            .next()
            .unwrap_or(pass.issued_at);
        let lag = between(now, after(issued_at, self.list_lag())).min(self.list_lag());
        let patience = if kept {
            // A list without it may be older than the pass. Near the deadline no pass is issued because of such a
            // list.
            let since = run
                .appended_at
                .map_or(lag, |at| self.list_lag().saturating_sub(at.elapsed()));
            lag.max(unsure).max(since).min(left)
        } else {
            lag.max(unsure).min(to_close)
        };
        if !replaced && !patience.is_zero() {
            if !unsure.is_zero() {
                // The flow of that request looks for its pass.
                self.free_user(run).await;
            }
            let pause = self.pause_after(run.failures(), MAX_PAUSE, None);
            return Ok(self.pause(run, pause, patience));
        }
        tracing::warn!(flow = %run.flow(), "the pass that was sent is gone");
        if !kept {
            let then = self.next_round_or_failed(run, history.next_round(), FailureReason::InDoubt);
            return self.start_revoking(run, history, then).await;
        }
        // The kept pass was another flow's: this flow issues its own.
        self.issue(run, history, user).await
    }

    /// Sends Entra the verdict. Failures are retried until the window closes. After that there is one try, since
    /// Entra may wait longer.
    pub(crate) async fn resume(
        &self,
        run: &mut Run,
        verdict: Verdict,
    ) -> Result<Step, JournalError> {
        let mut cause = None;
        let heard = match run.callout.callback() {
            None => false,
            Some(callback) => {
                Self::check_claim(run)?;
                let began = Instant::now();
                let left = run.until_close(self.clock.now());
                let limit = left.clamp(MIN_CALL, MAX_CALL);
                let response = within(limit, self.graph.resume(callback, &verdict)).await;
                run.add_step(StepName::Resume, began);
                match response.unwrap_or_else(|| Err(no_response())) {
                    Ok(()) => true,
                    Err(error) => {
                        let heard = is_final_refusal(&error);
                        // The last try is before the end, whatever pause Graph requests.
                        let last = MIN_CALL.min(run.margin() / MARGIN_KEPT_SHARE);
                        let left = run.until_close(self.clock.now()).saturating_sub(last);
                        tracing::warn!(
                            flow = %run.flow(), step = %StepName::Resume, kind = %error.kind(),
                            %error, heard, "Entra did not accept the verdict"
                        );
                        if !heard && !left.is_zero() {
                            let asked = error.retry_after();
                            let pause = self.pause_after(run.failures(), MAX_PAUSE, asked);
                            return Ok(self.pause(run, pause, left));
                        }
                        cause = Some(GraphCause::from(&error));
                        heard
                    }
                }
            }
        };
        tracing::info!(flow = %run.flow(), step = %StepName::Resume, ?verdict, heard, "resumed");
        let entry = Entry::Resumed {
            verdict,
            heard,
            cause,
        };
        self.record(run, entry).await?;
        Ok(Step::Next)
    }

    /// Cleans up after a flow was resumed: revokes a pass that could not be revoked, and looks for a pass in doubt
    /// that a list may still show.
    pub(crate) async fn clean_up(
        &self,
        run: &mut Run,
        history: &History,
        verdict: Verdict,
    ) -> Result<Step, JournalError> {
        run.resumed = true;
        let then = Then::End(verdict);
        if let Some(user) = run.callout.user() {
            if let Some((tap, until)) = history.to_revoke() {
                // By Graph's clock, which may be behind ours.
                let ended_at = after(until, CLOCK_SKEW);
                if self.clock.now() >= ended_at {
                    tracing::warn!(
                        flow = %run.flow(), %until,
                        "a pass that could not be revoked has expired"
                    );
                    self.record(run, Entry::Expired { tap }).await?;
                    return Ok(Step::Next);
                }
                return self
                    .revoke(run, history, user, (&tap, ended_at), then)
                    .await;
            }
            if matches!(verdict, Verdict::Failed(_))
                && let Some(since) = history.open_doubt()
            {
                return self.look_for_pass(run, history, user, since, then).await;
            }
        }
        Ok(Step::Done(Ending::of_run(history, run, self.pass.lifetime)))
    }

    /// Fails a flow whose accepted text was not delivered.
    pub(crate) async fn fail_undelivered(
        &self,
        run: &mut Run,
        history: &History,
    ) -> Result<Step, JournalError> {
        self.start_revoking(run, history, failed(FailureReason::NotDelivered))
            .await
    }
}

/// Returns whether Graph itself responded that nothing waits any more: 400, 404 or 409 in its own shape. In another
/// shape these prove nothing, and are `Protocol` or in doubt.
fn is_final_refusal(error: &GraphError) -> bool {
    error.acceptance() == Acceptance::NotAccepted
        && matches!(
            error.kind(),
            GraphErrorKind::Conflict | GraphErrorKind::NotFound | GraphErrorKind::Other
        )
}
