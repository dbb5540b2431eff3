use std::{
    future::{Future, ready},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use postduif_core::{Callout, FlowId, Graph, Sender, SmsProvider, TapIssuer, TapRequest, UserId};

use crate::{
    Builder, Clock, CompleteOn, Ending, ExistingPass, Guard, Journal, JournalError, Numbers,
    OnDoubt, Run, Step,
    clock::{after, before, between},
    lock::Locks,
    template::Templates,
    zones::Zones,
};

/// The onboarding flow, set up: one for all flows of a process, since it knows which users are busy.
#[derive(Debug)]
pub struct Onboarding {
    pub(crate) graph: Arc<dyn Graph>,
    pub(crate) issuer: Arc<dyn TapIssuer>,
    pub(crate) provider: Arc<dyn SmsProvider>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) guards: Vec<Arc<dyn Guard>>,
    pub(crate) numbers: Numbers,
    pub(crate) existing_pass: ExistingPass,
    pub(crate) on_doubt: OnDoubt,
    pub(crate) complete_on: CompleteOn,
    pub(crate) window: Duration,
    pub(crate) margin: Duration,
    pub(crate) pass: TapRequest,
    pub(crate) sender: Option<Sender>,
    pub(crate) templates: Templates,
    pub(crate) zones: Zones,
    pub(crate) pauses: Vec<Duration>,
    pub(crate) clock: Clock,
    pub(crate) flows: Arc<Locks<FlowId>>,
    pub(crate) users: Arc<Locks<UserId>>,
}

impl Onboarding {
    /// Starts from nothing but defaults.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Does a whole flow: [`step`](Self::step) after step, waits included.
    ///
    /// When `shutdown` completes, the step under way ends, and then it is as if the deadline had come:
    /// nothing is issued or sent any more, a pass whose text was not accepted is taken away, and Entra is
    /// told within the margin. Who has a durable journal stops between two steps instead, and undoes
    /// nothing. Dropping the future is as a crash.
    ///
    /// A flow that ended before has the ending that the journal knows, and nothing is done again; one that is
    /// under way in this process is waited for.
    ///
    /// # Errors
    ///
    /// As for [`step`](Self::step): Entra has not been told then.
    pub async fn run(
        &self,
        callout: Callout,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<Ending, JournalError> {
        let mut shutdown = pin!(shutdown);
        let mut stopping = false;
        let mut run = self.start(callout);
        loop {
            let wait = match self.step(&mut run).await? {
                Step::Done(ending) => return Ok(ending),
                Step::Next => Duration::ZERO,
                // Not longer at a time: somebody else may record a report or free the user, and the wall
                // clock may be set.
                Step::WaitUntil(until) => between(self.clock.now(), until).min(LOOK),
            };
            if stopping {
                tokio::time::sleep(wait).await;
                continue;
            }
            let waited = async {
                match wait {
                    Duration::ZERO => ready(()).await,
                    wait => tokio::time::sleep(wait).await,
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => {
                    stopping = true;
                    run.stop(self.clock.now(), self.margin);
                }
                () = waited => {}
            }
        }
    }

    /// A run of the flow that a call-out asks for, at its first step or wherever the journal has it.
    #[must_use]
    pub fn start(&self, callout: Callout) -> Run {
        let window = callout.window().unwrap_or(self.window);
        let closes = after(callout.window_start(), window);
        let deadline = before(closes, self.margin);
        Run::new(callout, deadline, closes)
    }
}

/// How often a run that waits looks around.
const LOOK: Duration = Duration::from_secs(1);
