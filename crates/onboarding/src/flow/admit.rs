use postduif_core::directory::{FailureReason, GraphError, GraphErrorKind, UserId, Verdict};
use tokio::time::Instant;

use crate::{
    Candidate, GraphCause, JournalError, Onboarding, Run, Step, StepName,
    flow::{
        effects::{is_transient, no_response, within},
        finish::EndCause,
        history::History,
        run::Person,
        times::{MAX_CALL, MAX_PAUSE},
    },
    template::Recipient,
};

impl Onboarding {
    /// Reads the user, or runs the guards on the user just read.
    pub(crate) async fn admit(
        &self,
        run: &mut Run,
        history: &History,
        id: UserId,
    ) -> Result<Step, JournalError> {
        let began = Instant::now();
        let Some(user) = run.user.take() else {
            let read = within(self.call_limit(run), self.graph.user(&id)).await;
            run.add_step(StepName::ReadUser, began);
            return match read.unwrap_or_else(|| Err(no_response())) {
                Ok(user) => {
                    run.reset_failures();
                    run.user = Some(user);
                    Ok(Step::Next)
                }
                Err(error) => self.read_failed(run, history, &error).await,
            };
        };
        let candidate = Candidate::read_by(run.flow(), &user, &self.numbers);
        let mut verdict = Ok(());
        for guard in &self.guards {
            let result = within(MAX_CALL, guard.check(&candidate)).await;
            verdict = result.unwrap_or(Err(FailureReason::GuardRefused));
            if verdict.is_err() {
                break;
            }
        }
        run.add_step(StepName::Guard, began);
        match verdict.and_then(|()| candidate.number()) {
            Ok(number) => {
                let number_known = candidate.is_number_known();
                if !number_known {
                    tracing::warn!(
                        flow = %run.flow(), step = %StepName::Guard, to = %number.masked(),
                        "the number is in an unknown range"
                    );
                }
                run.person = Some(Person {
                    recipient: Recipient::of(&user),
                    number,
                    number_known,
                    admitted_at: Instant::now(),
                });
                Ok(Step::Next)
            }
            Err(reason) => {
                let detail = match reason {
                    FailureReason::InvalidNumber => candidate.number_fault(),
                    _ => None,
                };
                tracing::warn!(
                    flow = %run.flow(), step = %StepName::Guard, %reason, detail, "refused"
                );
                let cause = detail.map_or_else(EndCause::default, EndCause::of);
                self.end(run, history, Verdict::Failed(reason), cause).await
            }
        }
    }

    /// Handles a failed read: retries it if the cause is temporary, and otherwise ends the flow.
    pub(crate) async fn read_failed(
        &self,
        run: &mut Run,
        history: &History,
        error: &GraphError,
    ) -> Result<Step, JournalError> {
        let kind = error.kind();
        tracing::warn!(flow = %run.flow(), %kind, %error, "Graph could not be read");
        let cause = GraphCause::from(error);
        let reason = match kind {
            GraphErrorKind::NotFound => FailureReason::UserNotFound,
            GraphErrorKind::Forbidden => FailureReason::PermissionMissing,
            _ => FailureReason::GraphUnavailable,
        };
        let again = match kind {
            // A refused token may be too new to be replaced at once.
            GraphErrorKind::NotFound | GraphErrorKind::Unauthorized => {
                (run.failures() as usize) < self.pauses.len()
            }
            kind => is_transient(kind),
        };
        if !again {
            let cause = EndCause::graph(cause);
            return self.end(run, history, Verdict::Failed(reason), cause).await;
        }
        run.obstacle = Some((reason, Some(cause)));
        let pause = self.pause_after(run.failures(), MAX_PAUSE, error.retry_after());
        let left = run.until_deadline(self.clock.now());
        Ok(self.pause(run, pause, left))
    }
}
