use postduif_core::{GraphError, GraphErrorKind, Reason, Verdict};
use tokio::time::Instant;

use crate::{
    Candidate, JournalError, Onboarding, Run, Step, StepName,
    call::{CALL, OFTEN, no_answer, within},
    run::Person,
    template::Reader,
};

impl Onboarding {
    /// Reads the person, or asks the guards about the person just read.
    pub(crate) async fn admit(&self, run: &mut Run) -> Result<Step, JournalError> {
        let began = Instant::now();
        let Some(user) = run.user.take() else {
            let id = run.whom();
            let read = within(self.limit(run), self.graph.user(&id)).await;
            run.took(StepName::ReadUser, began);
            return match read.unwrap_or_else(|| Err(no_answer())) {
                Ok(user) => {
                    run.went_on();
                    run.user = Some(user);
                    Ok(Step::Next)
                }
                Err(error) => self.met(run, &error).await,
            };
        };
        let candidate = Candidate::read_by(run.flow(), &user, &self.numbers);
        let mut verdict = Ok(());
        for guard in &self.guards {
            let spoken = within(CALL, guard.check(&candidate)).await;
            verdict = spoken.unwrap_or(Err(Reason::GuardRefused));
            if verdict.is_err() {
                break;
            }
        }
        run.took(StepName::Guard, began);
        match verdict.and_then(|()| candidate.number()) {
            Ok(number) => {
                run.person = Some(Person {
                    reader: Reader::of(&user),
                    number,
                    admitted_at: self.clock.now(),
                });
                Ok(Step::Next)
            }
            Err(reason) => {
                tracing::warn!(flow = %run.flow(), step = %StepName::Guard, %reason, "refused");
                self.end(run, Verdict::Failed(reason)).await
            }
        }
    }

    /// A read failed: it is tried again where the cause may pass, and else the flow ends.
    pub(crate) async fn met(
        &self,
        run: &mut Run,
        error: &GraphError,
    ) -> Result<Step, JournalError> {
        let kind = error.kind();
        tracing::warn!(flow = %run.flow(), %kind, "Graph could not be read");
        let reason = match kind {
            GraphErrorKind::NotFound => Reason::UserNotFound,
            _ => Reason::GraphUnavailable,
        };
        let again = match kind {
            GraphErrorKind::NotFound => (run.failures() as usize) < self.pauses.len(),
            GraphErrorKind::Protocol
            | GraphErrorKind::Throttled
            | GraphErrorKind::Timeout
            | GraphErrorKind::Unavailable => true,
            _ => false,
        };
        if !again {
            return self.end(run, Verdict::Failed(reason)).await;
        }
        run.obstacle = Some(reason);
        let wait = self.wait(run.failures(), OFTEN, error.retry_after());
        Ok(self.pause(run, wait, run.deadline))
    }
}
