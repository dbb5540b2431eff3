use std::{
    future::{Future, pending, ready},
    ops::ControlFlow,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use postduif_core::{
    DeliveryReport, ReportSink, ReportSinkError, Sender, SmsProvider, Stored, async_trait,
    directory::{Callout, FlowId, Graph, TapIssuer, TapRequest},
};

use tokio::sync::Semaphore;

use crate::{
    Claim, Clock, CompleteOn, Ending, ExistingPass, Guard, Journal, JournalError, Numbers, OnDoubt,
    OnboardingBuilder, Report, Run, Step,
    clock::{after, before, between, can_wait},
    flow::{
        effects::{journal_timeout, within},
        times::{LOCK_PAUSE, MARGIN_SHARE, MAX_CALL, MAX_SLEEP},
    },
    template::Templates,
    time_zones::TimeZones,
};

/// The onboarding flow with its options.
///
/// An `Onboarding` runs any number of flows, also at the same time.
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
    pub(crate) time_zones: TimeZones,
    pub(crate) pauses: Vec<Duration>,
    pub(crate) clock: Clock,
}

impl Onboarding {
    /// Creates a builder with the default options.
    pub fn builder() -> OnboardingBuilder {
        OnboardingBuilder::new()
    }

    /// Runs a whole flow: claims it in the [journal](OnboardingBuilder::with_journal), and repeats [`step`](Self::step)
    /// with the waits in between. Dropping the future is like a crash.
    ///
    /// For a flow that has ended, this returns the ending from the journal and does nothing else. A flow that another
    /// run holds is waited for.
    ///
    /// A pass that could not be revoked before Entra got the verdict is revoked afterwards, until it has expired. So
    /// this may return that late.
    ///
    /// # Errors
    ///
    /// The errors of [`step`](Self::step): Entra then has no verdict from this run. Also if another run still holds the
    /// flow when its window has closed, and, as [`Misconfigured`](crate::JournalErrorKind::Misconfigured) and before
    /// anything is done, if there is no tokio runtime with time enabled.
    pub async fn run(&self, callout: Callout) -> Result<Ending, JournalError> {
        self.run_until(callout, pending()).await
    }

    /// Runs a whole flow as [`run`](Self::run) does, and ends it early when `shutdown` completes.
    ///
    /// The current step is finished. Then the flow behaves as at its deadline: nothing is issued or sent, a pass whose
    /// text was not accepted is revoked, and Entra gets the verdict within the margin. This returns at the end of the
    /// margin at the latest, and [`Ending::may_be_usable_until`] reports a pass that is left. With a durable journal,
    /// stop between two steps instead: then nothing needs to be undone.
    ///
    /// # Errors
    ///
    /// The errors of [`run`](Self::run).
    pub async fn run_until(
        &self,
        callout: Callout,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<Ending, JournalError> {
        self.run_with(callout, None, pin!(shutdown), None).await
    }

    /// Runs a flow as [`run_until`](Self::run_until) does, from this claim if there is one. Each step takes one of the
    /// permits.
    pub(crate) async fn run_with(
        &self,
        callout: Callout,
        claim: Option<Box<dyn Claim>>,
        mut shutdown: Pin<&mut (impl Future<Output = ()> + Send)>,
        permits: Option<&Semaphore>,
    ) -> Result<Ending, JournalError> {
        can_wait()?;
        let mut stopping = false;
        let claimed = match claim {
            Some(claim) => ControlFlow::Continue(claim),
            None => self.claim(&callout, &mut shutdown, &mut stopping).await?,
        };
        let claim = match claimed {
            ControlFlow::Continue(claim) => claim,
            ControlFlow::Break(ending) => return Ok(ending),
        };
        let mut run = self.start(claim);
        if stopping {
            run.stop(self.clock.now());
        }
        loop {
            let step = {
                // Nobody closes the semaphore, and without one there is nothing to wait for.
                let _permit = match permits {
                    Some(permits) => permits.acquire().await.ok(),
                    None => None,
                };
                self.step(&mut run).await?
            };
            let wait = match step {
                Step::Done(ending) => return Ok(ending),
                Step::Next => Duration::ZERO,
                // A report may arrive, the user may be freed, and the wall clock may be set.
                Step::WaitUntil(until) => between(self.clock.now(), until).min(MAX_SLEEP),
            };
            if stopping {
                if run.is_resumed() && run.until_close(self.clock.now()).is_zero() {
                    let history = self.history(&mut run).await?;
                    return Ok(Ending::of_run(&history, &run, self.pass.lifetime));
                }
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
                    run.stop(self.clock.now());
                }
                () = waited => {}
            }
        }
    }

    /// Waits for the claim of a flow. Breaks with the ending if the flow has one while another run holds it.
    async fn claim(
        &self,
        callout: &Callout,
        shutdown: &mut Pin<&mut (impl Future<Output = ()> + Send)>,
        stopping: &mut bool,
    ) -> Result<ControlFlow<Ending, Box<dyn Claim>>, JournalError> {
        let closes = self.closes(callout);
        loop {
            let claim = within(MAX_CALL, self.journal.claim(callout)).await;
            if let Some(claim) = claim.unwrap_or_else(journal_timeout)? {
                return Ok(ControlFlow::Continue(claim));
            }
            // The flow may have ended while its holder still cleans up.
            let entries = within(MAX_CALL, self.journal.entries(&callout.flow())).await;
            if let Some(ending) = Ending::of(&entries.unwrap_or_else(journal_timeout)?) {
                return Ok(ControlFlow::Break(ending));
            }
            if *stopping || self.clock.now() >= closes {
                return Err(JournalError::lost());
            }
            tokio::select! {
                () = shutdown.as_mut() => *stopping = true,
                () = tokio::time::sleep(LOCK_PAUSE) => {}
            }
        }
    }

    /// Returns when Entra stops waiting.
    pub(crate) fn closes(&self, callout: &Callout) -> DateTime<Utc> {
        let window = callout.window().unwrap_or(self.window);
        after(callout.window_start(), window)
    }

    /// Starts a run of the flow that a claim holds, at its first step or where its entries end.
    ///
    /// ```
    /// # mod postduif { pub use postduif_core::*; pub use postduif_onboarding as onboarding; }
    /// use postduif::{directory::Callout, onboarding::{Ending, Journal, JournalError, Onboarding, Step}};
    ///
    /// /// Runs a flow until it has to wait, or is done.
    /// async fn work(
    ///     onboarding: &Onboarding,
    ///     journal: &dyn Journal,
    ///     callout: &Callout,
    /// ) -> Result<Option<Ending>, JournalError> {
    ///     let Some(claim) = journal.claim(callout).await? else {
    ///         return Ok(None); // another run holds it
    ///     };
    ///     let mut run = onboarding.start(claim);
    ///     loop {
    ///         match onboarding.step(&mut run).await? {
    ///             Step::Next => {}
    ///             Step::Done(ending) => return Ok(Some(ending)),
    ///             Step::WaitUntil(until) => {
    ///                 // Claim the flow again at that time, or when a report or a stop arrives for it.
    ///                 run.give_back(until).await?;
    ///                 return Ok(None);
    ///             }
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn start(&self, claim: Box<dyn Claim>) -> Run {
        let callout = claim.callout();
        let window = callout.window().unwrap_or(self.window);
        let closes = self.closes(callout);
        // The window of a call-out may be shorter than the configured margin.
        let margin = self.margin.min(window / MARGIN_SHARE);
        let deadline = before(closes, margin);
        Run::new(claim, self.clock.now(), deadline, closes)
    }

    /// Stores a delivery report with the flow that sent the text, and returns that flow, so that its run can be woken.
    ///
    /// The flow is found by the report's reference. If no flow has that reference, it is found by the vendor's ids of
    /// the text and of its part.
    ///
    /// Returns `None` if no flow in the journal sent the text. A vendor may report a text by its own id before it has
    /// responded to the request that sent it. So respond with 503 while the report is fresh, for the vendor to repeat
    /// it, and with a success once it is a few minutes old.
    ///
    /// Pass only reports that a [`ReportParser`](postduif_core::ReportParser) has verified. They may arrive in any
    /// order and any number of times.
    ///
    /// # Errors
    ///
    /// If the journal did not store the report: let the vendor send it again.
    pub async fn report(&self, report: &DeliveryReport) -> Result<Option<FlowId>, JournalError> {
        can_wait()?;
        let Some(flow) = self.flow_of(report).await? else {
            return Ok(None);
        };
        let kept = Report::new(report, self.clock.now());
        let kept = within(MAX_CALL, self.journal.report(&flow, &kept)).await;
        kept.unwrap_or_else(journal_timeout)?;
        Ok(Some(flow))
    }

    async fn flow_of(&self, report: &DeliveryReport) -> Result<Option<FlowId>, JournalError> {
        if let Some(reference) = &report.reference {
            let flow = within(MAX_CALL, self.journal.flow_of(reference)).await;
            if let Some(flow) = flow.unwrap_or_else(journal_timeout)? {
                return Ok(Some(flow));
            }
        }
        for id in report.id.iter().chain(&report.part) {
            let flow = within(MAX_CALL, self.journal.flow_by_id(&report.provider, id)).await;
            if let Some(flow) = flow.unwrap_or_else(journal_timeout)? {
                return Ok(Some(flow));
            }
        }
        Ok(None)
    }
}

/// Stores reports as [`Onboarding::report`] does.
#[async_trait]
impl ReportSink for Onboarding {
    async fn store(&self, report: &DeliveryReport) -> Result<Stored, ReportSinkError> {
        match self.report(report).await {
            Ok(Some(_)) => Ok(Stored::Known),
            Ok(None) => Ok(Stored::Unknown),
            Err(error) => {
                Err(ReportSinkError::new("the journal did not store the report").with_source(error))
            }
        }
    }
}
