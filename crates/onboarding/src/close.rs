use postduif_core::{Acceptance, Callback, GraphError, GraphErrorKind, TapId, Verdict};
use tokio::time::Instant;

use crate::{
    Entry, JournalError, Onboarding, Run, Step, StepName, Then,
    call::{CALL, LEAST, OFTEN, no_answer, within},
    clock::{before, between},
};

impl Onboarding {
    /// Repeated until the deadline; past it tried once.
    pub(crate) async fn revoke(
        &self,
        run: &mut Run,
        tap: &TapId,
        then: Then,
    ) -> Result<Step, JournalError> {
        let began = Instant::now();
        let user = run.whom();
        let revoked = within(self.limit(run), self.issuer.revoke(&user, tap)).await;
        run.took(StepName::RevokePass, began);
        let Err(error) = revoked.unwrap_or_else(|| Err(no_answer())) else {
            tracing::info!(flow = %run.flow(), step = %StepName::RevokePass, "took a pass away");
            let tap = tap.clone();
            self.record(run, Entry::Revoked { tap, then }).await?;
            return Ok(Step::Next);
        };
        if run.is_over(self.clock.now()) {
            tracing::error!(
                flow = %run.flow(), step = %StepName::RevokePass, kind = %error.kind(),
                "a pass could not be taken away"
            );
            let verdict = match then {
                Then::End(verdict) => verdict,
                Then::Issue => Verdict::Failed(run.over()),
            };
            return self.end(run, verdict).await;
        }
        let wait = self.wait(run.failures(), OFTEN, error.retry_after());
        Ok(self.pause(run, wait, run.deadline))
    }

    /// Repeated until the window closes; past that tried once, for Entra may wait longer than we were told.
    pub(crate) async fn resume(
        &self,
        run: &mut Run,
        verdict: Verdict,
    ) -> Result<Step, JournalError> {
        let heard = match run.callout.callback() {
            Callback::None => false,
            callback => {
                let began = Instant::now();
                let left = between(self.clock.now(), run.closes);
                let limit = left.clamp(LEAST, CALL);
                let told = within(limit, self.graph.resume(callback, &verdict)).await;
                run.took(StepName::Resume, began);
                match told.unwrap_or_else(|| Err(no_answer())) {
                    Ok(()) => true,
                    Err(error) if is_past(&error) => true,
                    Err(error) => {
                        let now = self.clock.now();
                        // The last try lies before the end, whatever pause is asked for.
                        let last = before(run.closes, LEAST.min(self.margin / 2));
                        tracing::warn!(
                            flow = %run.flow(), step = %StepName::Resume, kind = %error.kind(),
                            "Entra has not heard"
                        );
                        if now < last {
                            let wait = self.wait(run.failures(), OFTEN, error.retry_after());
                            return Ok(self.pause(run, wait, last));
                        }
                        false
                    }
                }
            }
        };
        tracing::info!(flow = %run.flow(), step = %StepName::Resume, ?verdict, heard, "done");
        self.record(run, Entry::Resumed { verdict, heard }).await?;
        Ok(Step::Next)
    }
}

/// Whether Graph itself says that nobody waits any more: 400, 404 and 409 in its own shape. In another shape
/// they prove nothing, and are told as `Protocol` or in doubt.
fn is_past(error: &GraphError) -> bool {
    error.acceptance() == Acceptance::NotAccepted
        && matches!(
            error.kind(),
            GraphErrorKind::Conflict | GraphErrorKind::NotFound | GraphErrorKind::Other
        )
}
