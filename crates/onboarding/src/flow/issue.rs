//! The part of the flow that issues a pass and sends it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use postduif_core::{
    Acceptance, ErrorKind, Message, PhoneNumber, Reference, SendError, TextError,
    departure::Departure,
    directory::{
        FailureReason, GraphError, GraphErrorKind, TapId, TapInfo, TemporaryAccessPass, User,
        UserId, Verdict,
    },
};
use tokio::time::Instant;

use crate::{
    CompleteOn, Entry, ExistingPass, GraphCause, JournalError, Onboarding, Run, SendCause, Step,
    StepName, Then,
    clock::{after, between},
    flow::{
        effects::{failed, is_transient},
        finish::EndCause,
        history::{History, Pass, Sent},
        times::{
            LATE_EFFECT_SHARE, LIFE_TO_KEEP, LIFE_TO_KEEP_SHARE, LIFE_TO_SEND_SHARE, LOCK_PAUSE,
            MAX_CALL, MAX_INTENT_AGE, MAX_PAUSE, MAX_PAUSE_WITH_ENTRIES, MIN_TIME_TO_REPLACE,
            OTHERS_PASS_PAUSE, PAUSE_SHARE, POLICY_DELAY, UNRECORDED_REVOKE_PAUSES,
        },
    },
    template::Recipient,
};

impl Onboarding {
    /// Issues a pass and sends it, if the user can be locked and no other pass is in the way.
    pub(crate) async fn issue_to(
        &self,
        run: &mut Run,
        history: &History,
        user: UserId,
        number: PhoneNumber,
        round: u8,
    ) -> Result<Step, JournalError> {
        if !self.lock_user(run).await? {
            return Ok(self.wait(LOCK_PAUSE.min(run.until_deadline(self.clock.now()))));
        }
        let passes = match self.list_passes(run, user, StepName::IssuePass).await {
            Ok(passes) => passes,
            Err(error) => return self.read_failed(run, history, &error).await,
        };
        let flows = self.flows_of_user(run).await?;
        let now = self.clock.now();
        if let Some(left) = self.pending_effect_of_others(history, &flows, now) {
            self.free_user(run).await;
            return Ok(self.wait(left.min(LOCK_PAUSE).min(run.until_deadline(now))));
        }
        let mut usable = false;
        let mut kept = None;
        // A pass whose secret is lost may be newer than all others.
        let mut lost = false;
        let mut awaited = false;
        for pass in &passes {
            match self.decide_existing(history, &flows, pass, now) {
                Existing::Ignored => {}
                Existing::Refused => {
                    let verdict = Verdict::Failed(FailureReason::PassExists);
                    return self.end(run, history, verdict, EndCause::default()).await;
                }
                Existing::Kept => kept = Some((pass.id.clone(), pass.valid_until())),
                Existing::AwaitsReport => awaited = true,
                Existing::SecretLost => lost = true,
                Existing::Replaced { usable: is_usable } => usable |= is_usable,
            }
        }
        if kept.is_none() && !awaited {
            match self.unlisted(history, &flows, &passes, now) {
                Some((pass, Existing::Kept)) => kept = Some((pass.tap, pass.valid_until)),
                Some((_, Existing::AwaitsReport)) => awaited = true,
                _ => {}
            }
        }
        if awaited && !lost {
            // A report decides soon whether its text was delivered.
            self.free_user(run).await;
            let pause = self.pause_after(run.failures(), OTHERS_PASS_PAUSE, None);
            return Ok(self.pause(run, pause, run.until_deadline(now)));
        }
        if let Some((tap, _)) = &kept {
            let unsure = self.unsure_for(run, &flows, tap, now);
            if lost
                || unsure.saturating_add(MIN_TIME_TO_REPLACE) > run.until_deadline(now)
                    && !unsure.is_zero()
            {
                kept = None;
            } else if !unsure.is_zero() {
                // By then a list shows whether it was replaced.
                self.free_user(run).await;
                let pause = self.pause_after(run.failures(), OTHERS_PASS_PAUSE, None);
                return Ok(self.pause(run, pause, unsure));
            }
        }
        if let Some((tap, valid_until)) = kept {
            tracing::info!(
                flow = %run.flow(), step = %StepName::IssuePass,
                "kept a pass that another flow has sent"
            );
            if history.open_doubt().is_some() {
                self.record(run, Entry::NothingSeen {}).await?;
            }
            if let Some(pass) = passes.into_iter().find(|pass| pass.id == tap) {
                run.remember_pass(pass);
            }
            self.record(run, Entry::Kept { tap, valid_until }).await?;
            return Ok(Step::Next);
        }
        let left = run.until_deadline(now);
        if left.is_zero() || usable && left < MIN_TIME_TO_REPLACE {
            let verdict = Verdict::Failed(run.deadline_reason());
            return self.end(run, history, verdict, EndCause::default()).await;
        }
        let mut seen: Vec<_> = passes.into_iter().map(|pass| pass.id).collect();
        // Passes that no list shows any more, or not yet, are known too: a pass that is listed later is not new.
        for issued in flows.iter().flat_map(History::all_issued) {
            if !seen.contains(issued) {
                seen.push(issued.clone());
            }
        }
        let intended_at = Instant::now();
        self.record(run, Entry::Issuing { round, seen }).await?;
        if self.is_late(run, intended_at) {
            self.record(run, Entry::NotAsked { round }).await?;
            return Ok(Step::Next);
        }
        Self::check_claim(run)?;
        let pass = match self.issue_pass(run, user).await {
            Ok(pass) => pass,
            Err(error) => return self.not_issued(run, history, round, &error).await,
        };
        let issued_at = Instant::now();
        let info = pass.info().clone();
        self.record_issued(run, user, round, &info).await?;
        if !info.opens() {
            return self
                .record_revoking(run, &info, failed(FailureReason::PassRefused))
                .await;
        }
        if run.is_over(self.clock.now()) {
            return self
                .record_revoking(run, &info, failed(run.deadline_reason()))
                .await;
        }
        if issued_at.elapsed() > info.lifetime / LIFE_TO_SEND_SHARE {
            // The journal took so long that the text would carry a pass about to expire.
            let then = self.next_round_or_failed(
                run,
                round.saturating_add(1),
                FailureReason::DeadlinePassed,
            );
            return self.record_revoking(run, &info, then).await;
        }
        let Ok(message) = self.message(run, user, number, &pass) else {
            tracing::error!(flow = %run.flow(), step = %StepName::Send, "the text could not be composed");
            return self
                .record_revoking(run, &info, failed(FailureReason::TextFailed))
                .await;
        };
        // From here on only the text holds the pass, until it is sent.
        drop(pass);
        self.send(run, round, &message).await
    }

    /// Records an issued pass, or revokes it at once if the journal refuses the entry.
    async fn record_issued(
        &self,
        run: &mut Run,
        user: UserId,
        round: u8,
        info: &TapInfo,
    ) -> Result<(), JournalError> {
        tracing::info!(flow = %run.flow(), step = %StepName::IssuePass, round, "issued a pass");
        run.remember_pass(info.clone());
        let entry = Entry::Issued {
            round,
            tap: info.id.clone(),
            valid_until: info.valid_until(),
        };
        let Err(error) = self.record(run, entry).await else {
            return Ok(());
        };
        // No later step may look for it, and its secret is dropped here. Revoking it is harmless.
        let mut revoked = self.revoke_pass(run, user, &info.id).await.is_ok();
        for pause in UNRECORDED_REVOKE_PAUSES {
            if revoked {
                break;
            }
            tokio::time::sleep(pause).await;
            revoked = self.revoke_pass(run, user, &info.id).await.is_ok();
        }
        tracing::error!(
            flow = %run.flow(), step = %StepName::RevokePass, %error, until = %info.valid_until(),
            revoked, "the journal refused the entry of an issued pass"
        );
        Err(error)
    }

    /// Decides what to do about a pass that the user has before another is issued.
    fn decide_existing(
        &self,
        history: &History,
        flows: &[History],
        pass: &TapInfo,
        now: DateTime<Utc>,
    ) -> Existing {
        let gone = history.revoked(&pass.id) || flows.iter().any(|flow| flow.revoked(&pass.id));
        if gone || !pass.opens() {
            return Existing::Ignored;
        }
        let issued = flows.iter().any(|flow| flow.issued(&pass.id));
        let lag = self.list_lag();
        if !issued && flows.iter().any(|flow| flow.may_come_of_doubt(pass, now)) {
            return Existing::SecretLost;
        }
        if !issued && flows.iter().any(|flow| flow.has_replaced(pass, now, lag)) {
            return Existing::Ignored;
        }
        let sent = flows.iter().find_map(|flow| flow.sent(&pass.id));
        let sent = sent.filter(|_| History::is_still_sent(flows, &pass.id));
        let replaced = Existing::Replaced {
            usable: sent.is_some() || !issued,
        };
        match self.existing_pass {
            ExistingPass::Replace => replaced,
            ExistingPass::Refuse => Existing::Refused,
            _ if !issued => Existing::Refused,
            ExistingPass::ReplaceOurs => replaced,
            ExistingPass::KeepOurs => {
                // A pass that was kept but could not be confirmed is not kept again.
                let sent = sent.filter(|_| !history.kept(&pass.id));
                let left = between(now, pass.valid_until());
                match sent {
                    Some(sent) if is_long_enough(left, pass.lifetime) => self.kept(sent),
                    _ => replaced,
                }
            }
        }
    }

    const fn kept(&self, sent: Sent) -> Existing {
        match (sent, self.complete_on) {
            (Sent::Accepted, CompleteOn::Delivered) => Existing::AwaitsReport,
            _ => Existing::Kept,
        }
    }

    /// Returns a pass that another flow has sent, and that is too new for every list to show it.
    fn unlisted(
        &self,
        history: &History,
        flows: &[History],
        passes: &[TapInfo],
        now: DateTime<Utc>,
    ) -> Option<(Pass, Existing)> {
        if self.existing_pass != ExistingPass::KeepOurs {
            return None;
        }
        let sent = flows.iter().filter_map(History::sent_pass);
        let mut sent = sent.filter(|(pass, _)| {
            let age = between(pass.issued_at, now);
            let lifetime = between(pass.issued_at, pass.valid_until);
            age < self.list_lag()
                && is_long_enough(between(now, pass.valid_until), lifetime)
                && !history.kept(&pass.tap)
                && !passes.iter().any(|listed| listed.id == pass.tap)
                && History::is_still_sent(flows, &pass.tap)
        });
        sent.next().map(|(pass, sent)| (pass, self.kept(sent)))
    }

    /// Returns how long a list may still hide that a request of one of these flows has replaced the pass.
    pub(crate) fn unsure_for(
        &self,
        run: &Run,
        flows: &[History],
        pass: &TapId,
        now: DateTime<Utc>,
    ) -> Duration {
        let doubts = flows.iter().filter_map(|flow| flow.may_have_replaced(pass));
        let left = doubts.map(|since| self.list_lag().saturating_sub(run.age_of(since, now)));
        left.max().unwrap_or_default()
    }

    /// Returns how long a request of another flow may still produce a pass that would replace ours.
    fn pending_effect_of_others(
        &self,
        history: &History,
        flows: &[History],
        now: DateTime<Utc>,
    ) -> Option<Duration> {
        let pause = self.all_pauses() / LATE_EFFECT_SHARE;
        let others = flows.iter().filter(|flow| flow.flow() != history.flow());
        let doubts = others.filter_map(History::last_doubt);
        let left = doubts.map(|(since, is_loss_recorded)| {
            if since > now {
                Duration::ZERO
            } else if is_loss_recorded {
                between(now, after(since, pause))
            } else {
                let longest = pause + pause.min(MAX_INTENT_AGE) + MAX_CALL;
                between(now, after(since, longest))
            }
        });
        left.max().filter(|left| !left.is_zero())
    }

    /// Sends the text once.
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
        if self.is_late(run, began) {
            self.record(run, Entry::NotSent { round, reference })
                .await?;
            return Ok(Step::Next);
        }
        Self::check_claim(run)?;
        // A text that only waited for a turn or a token has not departed, and is not in doubt.
        let limit = self.effect_limit(run);
        let until = async {
            tokio::select! {
                () = tokio::time::sleep(limit) => {}
                // Another run sends a newer text, which this one must not follow.
                () = run.claim.lost() => {}
            }
        };
        let call = self.provider.send(message);
        let sent = Departure::new().run_until(until, call).await;
        run.add_step(StepName::Send, began);
        let sent = sent.unwrap_or_else(|acceptance| {
            let late = "the provider did not respond in time";
            Err(match acceptance {
                Acceptance::NotAccepted => SendError::not_accepted(ErrorKind::Timeout, late),
                Acceptance::Unknown => SendError::unknown(ErrorKind::Timeout, late),
            })
        });
        let entry = sent_entry(run, round, reference, message, sent);
        self.record(run, entry).await?;
        Ok(Step::Next)
    }

    fn message(
        &self,
        run: &Run,
        user: UserId,
        to: PhoneNumber,
        pass: &TemporaryAccessPass,
    ) -> Result<Message, TextError> {
        let unknown = Recipient::of(&User::new(user));
        let recipient = run
            .person
            .as_ref()
            .map_or(&unknown, |person| &person.recipient);
        let zone = self.time_zones.of(recipient.region());
        let (from, until) = (pass.info().start, pass.info().valid_until());
        let text = self.templates.compose(
            recipient,
            pass.secret(),
            &from.with_timezone(&zone),
            &until.with_timezone(&zone),
        )?;
        let message = Message::new(to, text);
        let message = match &self.sender {
            Some(sender) => message.with_sender(sender.clone()),
            None => message,
        };
        // A text that arrives after its pass has expired is useless: if the vendor can, it stops trying then.
        let rest = between(self.clock.now(), until);
        let bounded = message
            .clone()
            .with_validity(Duration::from_secs(rest.as_secs()));
        let profile = self.provider.profile();
        let takes_it = profile.validity().is_some() && profile.problems(&bounded).is_empty();
        Ok(if takes_it { bounded } else { message })
    }

    /// Records that Graph issued nothing, or may have, and pauses if a retry makes sense.
    async fn not_issued(
        &self,
        run: &mut Run,
        history: &History,
        round: u8,
        error: &GraphError,
    ) -> Result<Step, JournalError> {
        let kind = error.kind();
        tracing::warn!(
            flow = %run.flow(), step = %StepName::IssuePass, %kind, %error,
            acceptance = %error.acceptance(), "Graph did not issue a pass, or did not confirm it"
        );
        let cause = GraphCause::from(error);
        let pauses = match error.acceptance() {
            Acceptance::NotAccepted => {
                self.record(run, Entry::NotIssued { round, cause }).await?;
                is_transient(kind)
                    || self.transient_for(kind).is_some()
                    || may_mean_pass_exists(kind) && self.revoked_recently(history)
            }
            Acceptance::Unknown => {
                let entry = Entry::IssueInDoubt { round, cause };
                self.record(run, entry).await?;
                true
            }
        };
        if !pauses {
            return Ok(Step::Next);
        }
        let tries = history.failed_tries(round);
        let now = self.clock.now();
        let longest = run.until_deadline(now) / PAUSE_SHARE;
        let longest = longest.clamp(MAX_PAUSE, MAX_PAUSE_WITH_ENTRIES);
        let pause = self.pause_after(tries, longest, error.retry_after());
        let bound = match (history.refused_since(kind), self.transient_for(kind)) {
            (Some(since), Some(bound)) => between(now, after(since, bound)),
            _ => Duration::MAX,
        };
        Ok(self.pause(run, pause, run.until_deadline(now).min(bound)))
    }

    /// Returns the time within which a refusal is retried that may be temporary.
    fn transient_for(&self, kind: GraphErrorKind) -> Option<Duration> {
        match kind {
            GraphErrorKind::PolicyRefused => Some(POLICY_DELAY),
            // A refused token may be too new to be replaced at once.
            GraphErrorKind::Unauthorized => Some(self.all_pauses()),
            _ => None,
        }
    }

    /// Returns whether Graph may still count a pass that this flow has just revoked.
    fn revoked_recently(&self, history: &History) -> bool {
        let revoked_at = history.last_revoked_at();
        revoked_at.is_some_and(|at| between(at, self.clock.now()) < self.list_lag())
    }

    /// Handles a refusal of Graph to issue a pass.
    pub(crate) async fn issue_refused(
        &self,
        run: &mut Run,
        history: &History,
        user: UserId,
        cause: &GraphCause,
    ) -> Result<Step, JournalError> {
        let kind = cause.kind;
        let reason = reason_of_refusal(kind);
        let bounded = match (history.refused_since(kind), self.transient_for(kind)) {
            (Some(since), Some(bound)) => between(since, self.clock.now()) < bound,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let gone = may_mean_pass_exists(kind) && self.revoked_recently(history);
        if is_transient(kind) || bounded || gone {
            run.obstacle = Some((reason, Some(cause.clone())));
            return self.issue(run, history, user).await;
        }
        let cause = EndCause::graph(cause.clone());
        // As documented, a new pass replaces the earlier one. If Graph refuses instead, the earlier one must be
        // revoked first; the wording of such a refusal is unknown.
        if may_mean_pass_exists(kind) && !run.is_over(self.clock.now()) {
            if !self.lock_user(run).await? {
                return Ok(self.wait(LOCK_PAUSE.min(run.until_deadline(self.clock.now()))));
            }
            let passes = match self.list_passes(run, user, StepName::IssuePass).await {
                Ok(passes) => passes,
                Err(error) if is_transient(error.kind()) => {
                    return self.read_failed(run, history, &error).await;
                }
                Err(_) => Vec::new(),
            };
            let flows = self.flows_of_user(run).await?;
            let now = self.clock.now();
            for pass in &passes {
                match self.decide_existing(history, &flows, pass, now) {
                    Existing::Replaced { .. } | Existing::SecretLost => {
                        return self.record_revoking(run, pass, Then::Issue).await;
                    }
                    // It was issued after the list was read.
                    Existing::Refused => {
                        let verdict = Verdict::Failed(FailureReason::PassExists);
                        return self.end(run, history, verdict, cause).await;
                    }
                    Existing::Ignored | Existing::Kept | Existing::AwaitsReport => {}
                }
            }
        }
        self.end(run, history, Verdict::Failed(reason), cause).await
    }

    /// Settles a request in doubt: revokes a new pass that no flow issued. If there is none, requests another: if the
    /// first one appears after all, the second one replaces it.
    pub(crate) async fn settle_doubt(
        &self,
        run: &mut Run,
        history: &History,
        user: UserId,
    ) -> Result<Step, JournalError> {
        run.obstacle = Some((FailureReason::GraphUnavailable, None));
        let now = self.clock.now();
        if run.is_over(now) {
            return self.end_at_deadline(run, history).await;
        }
        // Under the lock, since another flow's new pass is not in its journal at once.
        if !self.lock_user(run).await? {
            return Ok(self.wait(LOCK_PAUSE.min(run.until_deadline(now))));
        }
        let passes = match self.list_passes(run, user, StepName::IssuePass).await {
            Ok(passes) => passes,
            Err(error) => {
                tracing::warn!(
                    flow = %run.flow(), step = %StepName::IssuePass, %error,
                    "a pass in doubt could not be looked for"
                );
                run.obstacle = Some((
                    FailureReason::GraphUnavailable,
                    Some(GraphCause::from(&error)),
                ));
                let pause = self.pause_after(run.failures(), MAX_PAUSE, error.retry_after());
                let left = run.until_deadline(self.clock.now());
                return Ok(self.pause(run, pause, left));
            }
        };
        // A pass that may be another flow's settles nothing, and is replaced by the next pass.
        if let Some((pass, true)) = self.pass_in_doubt(run, history, passes).await? {
            let after_it = history.round().saturating_add(1);
            let then = self.next_round_or_failed(run, after_it, FailureReason::GraphUnavailable);
            return self.record_revoking(run, &pass, then).await;
        }
        self.issue(run, history, user).await
    }

    /// Returns a listed pass of a request in doubt: new, issued by no flow, and not revoked yet. Also returns
    /// whether only this flow's last request can have created it.
    pub(crate) async fn pass_in_doubt(
        &self,
        run: &Run,
        history: &History,
        passes: Vec<TapInfo>,
    ) -> Result<Option<(TapInfo, bool)>, JournalError> {
        let (now, lag) = (self.clock.now(), self.list_lag());
        let new =
            |pass: &TapInfo| history.may_come_of_doubt(pass, now) && !history.revoked(&pass.id);
        let mut new: Vec<_> = passes.into_iter().filter(new).collect();
        if new.is_empty() {
            return Ok(None);
        }
        let flows = self.flows_of_user(run).await?;
        let known =
            |flow: &History, pass: &TapInfo| flow.issued(&pass.id) || flow.revoked(&pass.id);
        new.retain(|pass| !flows.iter().any(|flow| known(flow, pass)));
        Ok(new.pop().map(|pass| {
            let mut others = flows.iter().filter(|flow| flow.flow() != history.flow());
            let anothers = others.any(|flow| {
                flow.may_come_of_doubt(&pass, now) || flow.has_replaced(&pass, now, lag)
            });
            // An old list may also show a pass of an earlier request of this flow.
            let earlier = history.has_replaced(&pass, now, lag);
            (pass, !anothers && !earlier)
        }))
    }
}

/// The treatment of a pass that the user already has.
enum Existing {
    /// It is unusable or gone, and the next pass replaces it.
    Ignored,
    /// It is kept, and the flow fails.
    Refused,
    /// It is kept, and completes the flow.
    Kept,
    /// It may be kept once its text is delivered.
    AwaitsReport,
    /// It came of a request in doubt, so its secret is lost. The next pass replaces it.
    SecretLost,
    /// The next pass replaces it. It may be in use.
    Replaced { usable: bool },
}

/// Returns whether a pass lives long enough to be kept for another flow.
fn is_long_enough(left: Duration, lifetime: Duration) -> bool {
    left >= LIFE_TO_KEEP.min(lifetime / LIFE_TO_KEEP_SHARE)
}

/// Returns the outcome of a send as an entry, and emits it as an event.
fn sent_entry(
    run: &mut Run,
    round: u8,
    reference: Reference,
    message: &Message,
    sent: Result<postduif_core::Receipt, SendError>,
) -> Entry {
    let to = message.to().masked();
    match sent {
        Ok(receipt) => {
            tracing::info!(
                flow = %run.flow(), step = %StepName::Send, %to,
                provider = receipt.provider(), "the vendor accepted the text"
            );
            let entry = Entry::Accepted {
                round,
                reference,
                provider: receipt.provider().to_owned(),
                id: receipt.id().map(str::to_owned),
                part_ids: receipt.part_ids().map(str::to_owned).collect(),
                parts: receipt.parts(),
                reports: receipt.expected_reports(),
                price: receipt.price(),
            };
            run.receipt = Some(receipt);
            entry
        }
        Err(error) => {
            tracing::warn!(
                flow = %run.flow(), step = %StepName::Send, %to, kind = %error.kind(),
                code = error.code(), provider = error.provider(),
                acceptance = %error.acceptance(), "the text was not accepted"
            );
            let cause = SendCause::from(&error);
            match error.acceptance() {
                Acceptance::NotAccepted => Entry::NotAccepted {
                    round,
                    reference,
                    cause,
                },
                Acceptance::Unknown => Entry::InDoubt {
                    round,
                    reference,
                    cause,
                },
            }
        }
    }
}

/// Returns whether Graph may have refused because the user has a pass.
const fn may_mean_pass_exists(kind: GraphErrorKind) -> bool {
    matches!(kind, GraphErrorKind::Conflict | GraphErrorKind::Other)
}

/// Returns the reason with which a flow fails if Graph refuses to issue a pass.
const fn reason_of_refusal(kind: GraphErrorKind) -> FailureReason {
    match kind {
        GraphErrorKind::NotFound => FailureReason::UserNotFound,
        GraphErrorKind::Protocol
        | GraphErrorKind::Throttled
        | GraphErrorKind::Timeout
        | GraphErrorKind::Unavailable => FailureReason::GraphUnavailable,
        _ => FailureReason::PassRefused,
    }
}
