use std::time::Duration;

use postduif_core::{
    Acceptance, ErrorKind, GraphError, Message, PhoneNumber, Reason, SendError, TapInfo,
    TemporaryAccessPass, TextError, User, Verdict,
};
use tokio::time::Instant;

use crate::{
    Entry, ExistingPass, JournalError, Onboarding, Run, Step, StepName, Then,
    call::{A_WHILE, OFTEN, no_answer, within},
    clock::{after, before},
    history::History,
    machine::{ROUNDS, failed, may_pass},
    template::Reader,
};

impl Onboarding {
    /// A pass, and the text that carries it. Before that whatever it needs: the person, the guards' word,
    /// the user's lock, no other pass.
    pub(crate) async fn issue(
        &self,
        run: &mut Run,
        history: &History,
        round: u8,
    ) -> Result<Step, JournalError> {
        let now = self.clock.now();
        if run.is_over(now) || round > ROUNDS {
            return self.end(run, Verdict::Failed(run.over())).await;
        }
        let Some(number) = run.admitted(before(now, FRESH)) else {
            return self.admit(run).await;
        };
        if !self.lock(run) {
            return Ok(Step::WaitUntil(after(now, A_WHILE).min(run.deadline)));
        }
        let passes = match self.list(run).await {
            Ok(passes) => passes,
            Err(error) => return self.met(run, &error).await,
        };
        for pass in &passes {
            match self.standing(history, pass).await? {
                Standing::InNobodysWay => {}
                Standing::Refused => {
                    return self.end(run, Verdict::Failed(Reason::PassExists)).await;
                }
                Standing::Replaced => {
                    run.keep(pass.clone());
                    return self.revoking(run, pass.id.clone(), Then::Issue).await;
                }
            }
        }
        if run.is_over(self.clock.now()) {
            return self.end(run, Verdict::Failed(run.over())).await;
        }

        let began = Instant::now();
        let seen = passes.into_iter().map(|pass| pass.id).collect();
        self.record(run, Entry::Issuing { round, seen }).await?;
        let user = run.whom();
        let issued = within(self.limit(run), self.issuer.issue(&user, &self.pass)).await;
        run.took(StepName::IssuePass, began);
        let pass = match issued.unwrap_or_else(|| Err(no_answer())) {
            Ok(pass) => pass,
            Err(error) => return self.not_issued(run, history, round, &error).await,
        };
        let info = pass.info().clone();
        tracing::info!(flow = %run.flow(), step = %StepName::IssuePass, round, "issued a pass");
        run.keep(info.clone());
        let (tap, valid_until) = (info.id.clone(), info.valid_until());
        let entry = Entry::Issued {
            round,
            tap: tap.clone(),
            valid_until,
        };
        self.record(run, entry).await?;
        if !info.opens() {
            return self.revoking(run, tap, failed(Reason::PassRefused)).await;
        }
        if run.is_over(self.clock.now()) {
            return self.revoking(run, tap, failed(run.over())).await;
        }
        let Ok(message) = self.message(run, number, &pass) else {
            return self.revoking(run, tap, failed(Reason::NotAccepted)).await;
        };
        // From here on the text holds the pass, and only until it is sent.
        drop(pass);
        self.send(run, round, &message).await
    }

    /// What is to be done about a pass that the user has before another is issued.
    async fn standing(&self, history: &History, pass: &TapInfo) -> Result<Standing, JournalError> {
        if history.revoked(&pass.id) {
            return Ok(Standing::InNobodysWay);
        }
        let ours = self.journal_issued(&pass.id).await?;
        if !ours && history.may_have_issued(&pass.id) {
            // It was not there yet when the doubt was settled.
            return Ok(Standing::Replaced);
        }
        Ok(match self.existing_pass {
            _ if !pass.opens() => Standing::InNobodysWay,
            ExistingPass::Replace => Standing::Replaced,
            ExistingPass::ReplaceOurs if ours => Standing::Replaced,
            ExistingPass::ReplaceOurs | ExistingPass::Refuse => Standing::Refused,
        })
    }

    /// One attempt, whatever comes of it.
    async fn send(
        &self,
        run: &mut Run,
        round: u8,
        message: &Message,
    ) -> Result<Step, JournalError> {
        let began = Instant::now();
        let reference = *message.reference();
        let provider = self.provider.profile().name().to_owned();
        let entry = Entry::Sending {
            round,
            reference,
            provider,
        };
        self.record(run, entry).await?;
        let sent = within(self.grace(run), self.provider.send(message)).await;
        run.took(StepName::Send, began);
        let entry = match sent.unwrap_or_else(|| {
            let late = "the provider gave no answer in time";
            Err(SendError::unknown(ErrorKind::Timeout, late))
        }) {
            Ok(receipt) => {
                tracing::info!(
                    flow = %run.flow(), step = %StepName::Send, to = %message.to().masked(),
                    provider = receipt.provider(), "the vendor has the text"
                );
                let entry = Entry::Accepted {
                    round,
                    reference,
                    provider: receipt.provider().to_owned(),
                    id: receipt.id().map(str::to_owned),
                    parts: receipt.parts(),
                    price: receipt.price(),
                };
                run.receipt = Some(receipt);
                entry
            }
            Err(error) => {
                let kind = error.kind();
                tracing::warn!(
                    flow = %run.flow(), step = %StepName::Send, to = %message.to().masked(),
                    %kind, acceptance = %error.acceptance(), "the text was not accepted"
                );
                match error.acceptance() {
                    Acceptance::NotAccepted => Entry::NotAccepted {
                        round,
                        reference,
                        kind,
                    },
                    Acceptance::Unknown => Entry::InDoubt {
                        round,
                        reference,
                        kind,
                    },
                }
            }
        };
        self.record(run, entry).await?;
        Ok(Step::Next)
    }

    fn message(
        &self,
        run: &Run,
        to: PhoneNumber,
        pass: &TemporaryAccessPass,
    ) -> Result<Message, TextError> {
        let unknown = Reader::of(&User::new(run.whom()));
        let reader = run
            .person
            .as_ref()
            .map_or(&unknown, |person| &person.reader);
        let zone = self.zones.of(reader.region());
        let (from, until) = (pass.info().start, pass.info().valid_until());
        let text = self.templates.compose(
            reader,
            pass.secret(),
            &from.with_timezone(&zone),
            &until.with_timezone(&zone),
        )?;
        let message = Message::new(to, text);
        Ok(match &self.sender {
            Some(sender) => message.with_sender(sender.clone()),
            None => message,
        })
    }

    /// Where Graph certainly issued nothing, that is the outcome. Else there is none: the last entry stays
    /// `Issuing`, and is settled after a pause, in which a pass that is still being made can appear.
    async fn not_issued(
        &self,
        run: &mut Run,
        history: &History,
        round: u8,
        error: &GraphError,
    ) -> Result<Step, JournalError> {
        let kind = error.kind();
        tracing::warn!(
            flow = %run.flow(), step = %StepName::IssuePass, %kind,
            acceptance = %error.acceptance(), "Graph issued no pass that we know of"
        );
        let tries = match error.acceptance() {
            Acceptance::NotAccepted => {
                self.record(run, Entry::NotIssued { round, kind }).await?;
                if !may_pass(kind) {
                    return Ok(Step::Next);
                }
                history.refusals(round)
            }
            Acceptance::Unknown => 0,
        };
        let wait = self.wait(tries, SELDOM, error.retry_after());
        Ok(self.pause(run, wait, run.deadline))
    }

    /// Nobody knows whether a pass was issued: whichever is new and nobody's is taken away.
    pub(crate) async fn settle(
        &self,
        run: &mut Run,
        history: &History,
    ) -> Result<Step, JournalError> {
        let now = self.clock.now();
        let over = run.is_over(now);
        // Under the lock, for another flow's new pass is not in its journal at once. Past the deadline
        // there is no time to wait for it.
        if !self.lock(run) && !over {
            return Ok(Step::WaitUntil(after(now, A_WHILE).min(run.deadline)));
        }
        let passes = match self.list(run).await {
            Ok(passes) => passes,
            Err(error) if over => {
                tracing::error!(
                    flow = %run.flow(), step = %StepName::IssuePass, kind = %error.kind(),
                    "a pass that nobody has seen may be usable"
                );
                return self.end(run, Verdict::Failed(run.over())).await;
            }
            Err(error) => {
                run.obstacle = Some(Reason::GraphUnavailable);
                let wait = self.wait(run.failures(), OFTEN, error.retry_after());
                return Ok(self.pause(run, wait, run.deadline));
            }
        };
        let round = history.round();
        let then = self.next(run, round, Reason::GraphUnavailable);
        for pass in passes {
            let new = history.may_have_issued(&pass.id) && !history.revoked(&pass.id);
            if new && !self.journal_issued(&pass.id).await? {
                let tap = pass.id.clone();
                run.keep(pass);
                return self.revoking(run, tap, then).await;
            }
        }
        match then {
            Then::End(verdict) => self.end(run, verdict).await,
            Then::Issue => self.issue(run, history, round + 1).await,
        }
    }
}

/// What is to be done about a pass that the user has already.
enum Standing {
    /// Nothing: it opens nothing, and goes by itself when another is issued.
    InNobodysWay,
    /// It stays, and the flow ends.
    Refused,
    /// It is taken away.
    Replaced,
}

/// How long a person counts as admitted. Who waits longer, for the lock or for Graph, is read again: the
/// account may have been disabled meanwhile.
const FRESH: Duration = Duration::from_secs(60);

/// The longest pause between repeats that leave entries in the journal.
const SELDOM: Duration = Duration::from_secs(15 * 60);
