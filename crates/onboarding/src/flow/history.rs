//! What follows from all entries of a flow.

use std::time::Duration;

use chrono::{DateTime, Utc};
use postduif_core::{
    Delivery, DeliveryStatus, Reference,
    directory::{FailureReason, FlowId, GraphErrorKind, TapId, TapInfo, Verdict},
};

use crate::{
    Entries, Entry, Record, Report,
    clock::{after, before},
    flow::times::{CLOCK_SKEW, MAX_CALL, MAX_PASS, SETTLED_CLOCK_SKEW},
};

/// The entries of a flow, as they were read at a time.
#[derive(Clone, Debug)]
pub(crate) struct History {
    entries: Entries,
    read_at: DateTime<Utc>,
}

/// A text, and the vendors that have it or may have it.
struct Text<'a> {
    of: &'a History,
    reference: &'a Reference,
    /// The name of the provider's profile. Several names are joined by commas.
    given_to: &'a str,
    accepted: Option<Accepted<'a>>,
}

struct Accepted<'a> {
    provider: &'a str,
    id: Option<&'a str>,
    part_ids: &'a [String],
    parts: Option<u16>,
    reports: u16,
}

/// A request for a pass whose outcome is unknown.
struct Doubt<'a> {
    asked_at: DateTime<Utc>,
    /// When the request was recorded, or its lost response.
    since: DateTime<Utc>,
    /// Whether the lost response was recorded.
    is_loss_recorded: bool,
    /// The passes that existed before the request.
    seen: &'a [TapId],
    settled: Option<Settled>,
    /// When its pass expires, if no list could be read for too long.
    unseen_until: Option<DateTime<Utc>>,
}

/// How a doubt was settled.
#[derive(Clone, Copy)]
enum Settled {
    /// Its pass was found and revoked.
    Found,
    /// No list showed a pass for long enough.
    NothingSeen,
    /// A later request replaced its pass, if there was one.
    Replaced(DateTime<Utc>),
}

/// A pass of the flow, by its entries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Pass {
    pub(crate) tap: TapId,
    pub(crate) issued_at: DateTime<Utc>,
    pub(crate) valid_until: DateTime<Utc>,
}

/// The state of the text of a pass that another flow may keep.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sent {
    Accepted,
    Delivered,
    /// Its flow was completed.
    Completed,
}

impl History {
    /// Creates a history from entries and the time at which they were read.
    pub(crate) const fn new(entries: Entries, read_at: DateTime<Utc>) -> Self {
        Self { entries, read_at }
    }

    pub(crate) const fn entries(&self) -> &Entries {
        &self.entries
    }

    fn own(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.records.iter().map(|record| &record.entry)
    }

    pub(crate) const fn flow(&self) -> FlowId {
        self.entries.flow
    }

    /// Returns the number of entries.
    pub(crate) const fn len(&self) -> usize {
        self.entries.records.len()
    }

    /// Returns when the flow was ordered to stop.
    pub(crate) const fn stop(&self) -> Option<DateTime<Utc>> {
        self.entries.stop
    }

    /// Returns the entry that decides what comes next.
    pub(crate) fn last(&self) -> Option<&Record> {
        let mut own = self.entries.records.iter();
        own.rfind(|record| !record.entry.is_remark())
    }

    /// Returns the verdict of a resumed flow.
    pub(crate) fn resumed(&self) -> Option<Verdict> {
        self.own().find_map(|entry| match entry {
            Entry::Resumed { verdict, .. } => Some(*verdict),
            _ => None,
        })
    }

    /// Returns the last text of the flow.
    fn last_text(&self) -> Option<Text<'_>> {
        let own = self.own();
        let (at, reference, given_to) = own
            .enumerate()
            .filter_map(|(at, entry)| match entry {
                Entry::Sending {
                    reference,
                    provider,
                    ..
                } => Some((at, reference, provider.as_str())),
                // The journal lost the intent.
                Entry::Accepted {
                    reference,
                    provider,
                    ..
                } => Some((at, reference, provider.as_str())),
                _ => None,
            })
            .last()?;
        let accepted = self.own().skip(at).find_map(|entry| match entry {
            Entry::Accepted {
                reference: of,
                provider,
                id,
                part_ids,
                parts,
                reports,
                ..
            } if of == reference => Some(Accepted {
                provider,
                id: id.as_deref(),
                part_ids,
                parts: *parts,
                reports: *reports,
            }),
            _ => None,
        });
        let given_to = self
            .own()
            .find_map(|entry| match entry {
                Entry::Sending {
                    reference: of,
                    provider,
                    ..
                } if of == reference => Some(provider.as_str()),
                _ => None,
            })
            .unwrap_or(given_to);
        Some(Text {
            of: self,
            reference,
            given_to,
            accepted,
        })
    }

    /// Returns whether one of the flow's texts has this reference.
    fn has_text(&self, named: &Reference) -> bool {
        self.own().any(|entry| match entry {
            Entry::Sending { reference, .. } | Entry::Accepted { reference, .. } => {
                reference == named
            }
            _ => false,
        })
    }

    /// Returns the status of the last text over all its segments, by the vendor that has it. `None` if no report
    /// counts.
    ///
    /// Reports arrive at any time, so their order has no meaning. A report counts only for the flow's last text, and
    /// no longer once the pass of that text is being revoked.
    pub(crate) fn delivery(&self) -> Option<DeliveryStatus> {
        let last = &self.last()?.entry;
        let text = self.last_text()?;
        let counts = |report: &&Report| text.is_about(report);
        match last {
            Entry::Accepted { .. } => {
                text.joined_status(self.entries.reports.iter().filter(counts))
            }
            Entry::Sending { .. } | Entry::InDoubt { .. } => {
                // If one of several vendors may have the text, a failed delivery concerns only one of them.
                let alone = !text.given_to.contains(',');
                let reports = self.entries.reports.iter().filter(counts);
                let joined = text.joined_status(reports)?;
                let failed = joined.is_final() && joined != DeliveryStatus::Delivered;
                (alone || !failed).then_some(joined)
            }
            // A refusal is proof. Only a delivered text is stronger.
            Entry::NotAccepted { .. } => {
                let joined = text.joined_status(self.entries.reports.iter().filter(counts))?;
                (joined == DeliveryStatus::Delivered).then_some(joined)
            }
            _ => None,
        }
    }

    /// Returns the round of the next pass: the next one only if the last one has produced a pass.
    pub(crate) fn next_round(&self) -> u8 {
        let mut current = 0;
        let mut produced = true;
        for entry in self.own() {
            match entry {
                Entry::Issuing { round, .. } if *round > current => {
                    current = *round;
                    produced = false;
                }
                Entry::Issued { round, .. } => {
                    current = current.max(*round);
                    produced = true;
                }
                Entry::Revoking { tap, .. } if self.was_found(tap) => produced = true,
                _ => {}
            }
        }
        current.saturating_add(u8::from(produced))
    }

    /// Returns the current round, or 0 before the first.
    pub(crate) fn round(&self) -> u8 {
        let rounds = self.own().map(|entry| match entry {
            Entry::Issuing { round, .. } | Entry::Issued { round, .. } => *round,
            _ => 0,
        });
        rounds.max().unwrap_or_default()
    }

    /// Returns the number of failed requests for a pass in a round.
    pub(crate) fn failed_tries(&self, of: u8) -> u32 {
        let vain = |entry: &&Entry| match entry {
            Entry::NotIssued { round, .. } | Entry::IssueInDoubt { round, .. } => *round == of,
            _ => false,
        };
        u32::try_from(self.own().filter(vain).count()).unwrap_or(u32::MAX)
    }

    /// Returns when Graph first refused for this reason since the last pass.
    pub(crate) fn refused_since(&self, of: GraphErrorKind) -> Option<DateTime<Utc>> {
        let mut since = None;
        for record in &self.entries.records {
            match &record.entry {
                Entry::NotIssued { cause, .. } if cause.kind == of => {
                    since = since.or(Some(record.at));
                }
                Entry::Issued { .. } => since = None,
                _ => {}
            }
        }
        since
    }

    /// Returns the reason of a flow that has no further round, by the pass of the last round.
    pub(crate) fn why_no_more_rounds(&self) -> FailureReason {
        let reason = self.own().rev().find_map(|entry| match entry {
            Entry::Sending { .. } | Entry::InDoubt { .. } | Entry::Accepted { .. } => {
                Some(FailureReason::InDoubt)
            }
            Entry::NotSent { .. } => Some(FailureReason::DeadlinePassed),
            // Its secret was lost with a process.
            Entry::Issued { .. } => Some(FailureReason::Shutdown),
            Entry::Issuing { .. } | Entry::IssueInDoubt { .. } => {
                Some(FailureReason::GraphUnavailable)
            }
            _ => None,
        });
        reason.unwrap_or(FailureReason::PassRefused)
    }

    /// Returns the pass that was issued last.
    pub(crate) fn pass(&self) -> Option<Pass> {
        self.entries
            .records
            .iter()
            .rev()
            .find_map(|record| match &record.entry {
                Entry::Issued {
                    tap, valid_until, ..
                } => Some(Pass {
                    tap: tap.clone(),
                    issued_at: record.at,
                    valid_until: *valid_until,
                }),
                _ => None,
            })
    }

    /// Returns whether this flow issued the pass.
    pub(crate) fn issued(&self, pass: &TapId) -> bool {
        self.own()
            .any(|entry| matches!(entry, Entry::Issued { tap, .. } if tap == pass))
    }

    /// Returns the passes that this flow issued.
    pub(crate) fn all_issued(&self) -> impl Iterator<Item = &TapId> {
        self.own().filter_map(|entry| match entry {
            Entry::Issued { tap, .. } => Some(tap),
            _ => None,
        })
    }

    /// Returns the passes that existed before the flow requested its last issued pass.
    fn seen_before_last_pass(&self) -> &[TapId] {
        let mut asked: &[TapId] = &[];
        let mut seen = asked;
        for entry in self.own() {
            match entry {
                Entry::Issuing { seen, .. } => asked = seen,
                Entry::Issued { .. } => seen = asked,
                _ => {}
            }
        }
        seen
    }

    /// Returns whether another flow of the user issued a pass after this flow issued its last, and so replaced it.
    /// The entries decide, not any clock.
    pub(crate) fn is_replaced_by_one_of(&self, flows: &[Self]) -> bool {
        let seen = self.seen_before_last_pass();
        let last = self.all_issued().last();
        let mut others = flows
            .iter()
            .filter(|flow| flow.entries.flow != self.entries.flow);
        others.any(|flow| {
            flow.all_issued().any(|tap| !seen.contains(tap))
                || last.is_some_and(|last| flow.has_found_one_after(last))
        })
    }

    /// Returns whether the journal has no sign against a pass that one of these flows has sent: no flow revokes or
    /// has replaced it, and no report contradicts its delivery.
    pub(crate) fn is_still_sent(flows: &[Self], pass: &TapId) -> bool {
        let by = |flow: &&Self| flow.issued(pass);
        let sent = |flow: &Self| flow.sent(pass).is_some() && !flow.is_replaced_by_one_of(flows);
        flows.iter().filter(by).all(sent) && !flows.iter().any(|flow| flow.revokes(pass))
    }

    /// Returns the pass that the flow issued last, if a text with it was accepted.
    pub(crate) fn sent_pass(&self) -> Option<(Pass, Sent)> {
        let pass = self.pass()?;
        let sent = self.sent(&pass.tap)?;
        Some((pass, sent))
    }

    /// Returns whether the flow knew the pass before it requested one.
    pub(crate) fn has_seen(&self, pass: &TapId) -> bool {
        self.own()
            .any(|entry| matches!(entry, Entry::Issuing { seen, .. } if seen.contains(pass)))
    }

    /// Returns whether this flow has kept the pass of another flow.
    pub(crate) fn kept(&self, pass: &TapId) -> bool {
        self.own()
            .any(|entry| matches!(entry, Entry::Kept { tap, .. } if tap == pass))
    }

    /// Returns whether this flow revoked the pass, or is about to.
    fn revokes(&self, pass: &TapId) -> bool {
        self.own()
            .any(|entry| matches!(entry, Entry::Revoking { tap, .. } if tap == pass))
    }

    /// Returns whether the last text will not arrive, by the vendor that has it. Reports count at any time, also
    /// after the flow has ended.
    fn is_undelivered(&self) -> bool {
        self.last_text().is_some_and(|text| {
            let counts = |report: &&Report| text.is_about(report);
            let status = text.joined_status(self.entries.reports.iter().filter(counts));
            status.is_some_and(|status| status.is_final() && status != DeliveryStatus::Delivered)
        })
    }

    /// Returns whether this flow revoked the pass. A list may show it for a while.
    pub(crate) fn revoked(&self, pass: &TapId) -> bool {
        self.own()
            .any(|entry| matches!(entry, Entry::Revoked { tap, .. } if tap == pass))
    }

    /// Returns when this flow last revoked a pass.
    pub(crate) fn last_revoked_at(&self) -> Option<DateTime<Utc>> {
        let mut records = self.entries.records.iter().rev();
        records.find_map(|record| match record.entry {
            Entry::Revoked { .. } => Some(record.at),
            _ => None,
        })
    }

    /// Returns whether the flow revoked a pass of a request in doubt: one that it did not certainly issue, and that
    /// did not exist before.
    fn was_found(&self, pass: &TapId) -> bool {
        !self.issued(pass) && !self.has_seen(pass)
    }

    /// Returns whether the pass may come of a request in doubt that no later pass has replaced. Any such request
    /// counts, since a pass may be listed late. A settled doubt counts only for a pass that began at about its time.
    pub(crate) fn may_come_of_doubt(&self, pass: &TapInfo, now: DateTime<Utc>) -> bool {
        let doubts = self.doubts();
        doubts.iter().any(|doubt| match doubt.settled {
            Some(Settled::Replaced(_)) => false,
            _ => doubt.may_be_about(pass, now),
        })
    }

    /// Returns whether an old list may show this pass of a request in doubt that a later pass has replaced.
    pub(crate) fn has_replaced(&self, pass: &TapInfo, now: DateTime<Utc>, lag: Duration) -> bool {
        let doubts = self.doubts();
        doubts.iter().any(|doubt| match doubt.settled {
            Some(Settled::Replaced(at)) => now < after(at, lag) && doubt.may_be_about(pass, now),
            _ => false,
        })
    }

    /// Returns the requests whose outcome is unknown, in order.
    fn doubts(&self) -> Vec<Doubt<'_>> {
        let mut doubts: Vec<Doubt<'_>> = Vec::new();
        let mut found: Vec<&TapId> = Vec::new();
        let mut pending = false;
        for record in &self.entries.records {
            let at = record.at;
            match &record.entry {
                Entry::Issuing { seen, .. } => {
                    let mut doubt = Doubt::new(at, seen);
                    if at > self.read_at {
                        // The clock was ahead by an unknown time.
                        doubt.asked_at = DateTime::<Utc>::MIN_UTC;
                    }
                    doubts.push(doubt);
                    pending = true;
                }
                Entry::IssueInDoubt { .. } => match doubts.last_mut().filter(|_| pending) {
                    Some(doubt) => {
                        (doubt.since, doubt.is_loss_recorded, pending) = (at, true, false)
                    }
                    None => doubts.push(Doubt::new(at, &[])),
                },
                Entry::NotIssued { .. } | Entry::NotAsked { .. } | Entry::Issued { .. } => {
                    if pending {
                        doubts.pop();
                        pending = false;
                    }
                    if matches!(record.entry, Entry::Issued { .. }) {
                        // The flow waits before the next request, so this pass replaced an earlier one.
                        settle(&mut doubts, Settled::Replaced(at));
                    }
                }
                Entry::NothingSeen {} => settle(&mut doubts, Settled::NothingSeen),
                Entry::Unseen { until } => {
                    for doubt in doubts.iter_mut().filter(|doubt| doubt.settled.is_none()) {
                        doubt.unseen_until = Some(*until);
                    }
                }
                // It came of one request. Another request may still produce one.
                Entry::Revoking { tap, .. } if !found.contains(&tap) && self.was_found(tap) => {
                    found.push(tap);
                    let open = doubts.iter_mut().find(|doubt| doubt.settled.is_none());
                    if let Some(doubt) = open {
                        doubt.settled = Some(Settled::Found);
                    }
                    pending &= doubts.last().is_some_and(|last| last.settled.is_none());
                }
                _ => {}
            }
        }
        doubts
    }

    /// Returns since when a request is in doubt that needs a conclusive look. An issued pass settles all earlier
    /// doubts, since it replaced their passes.
    pub(crate) fn open_doubt(&self) -> Option<DateTime<Utc>> {
        let doubts = self.doubts();
        let open = doubts.iter().rfind(|doubt| doubt.is_open());
        open.map(|doubt| doubt.since)
    }

    /// Returns when a pass that was never listed expires, if it lives for at most `life`.
    pub(crate) fn unseen_until(&self, life: Duration) -> Option<DateTime<Utc>> {
        let doubts = self.doubts();
        let open = doubts.iter().filter(|doubt| doubt.settled.is_none());
        let until = |doubt: &Doubt<'_>| {
            let at_most = after(doubt.since, life.saturating_add(MAX_CALL));
            doubt.unseen_until.unwrap_or(at_most)
        };
        open.map(until).max()
    }

    /// Returns since when a request in doubt of this flow may have replaced the pass.
    pub(crate) fn may_have_replaced(&self, pass: &TapId) -> Option<DateTime<Utc>> {
        let doubts = self.doubts();
        let mut open = doubts.iter().filter(|doubt| doubt.is_open());
        let doubt = open.rfind(|doubt| doubt.seen.contains(pass));
        doubt.map(|doubt| doubt.since)
    }

    /// Returns the last request in doubt: since when, and whether its lost response was recorded.
    pub(crate) fn last_doubt(&self) -> Option<(DateTime<Utc>, bool)> {
        let doubts = self.doubts();
        let open = doubts.iter().rfind(|doubt| doubt.settled.is_none());
        open.map(|doubt| (doubt.since, doubt.is_loss_recorded))
    }

    /// Returns whether a request in doubt of this flow replaced the pass, since its own pass was found.
    fn has_found_one_after(&self, pass: &TapId) -> bool {
        let asked =
            |entry: &Entry| matches!(entry, Entry::Issuing { seen, .. } if seen.contains(pass));
        let found =
            |entry: &Entry| matches!(entry, Entry::Revoking { tap, .. } if self.was_found(tap));
        self.own().any(asked) && self.own().any(found)
    }

    /// Returns a pass that the flow has to revoke, and that is neither revoked nor expired.
    pub(crate) fn to_revoke(&self) -> Option<(TapId, DateTime<Utc>)> {
        self.entries.records.iter().find_map(|record| {
            let Entry::Revoking {
                tap, valid_until, ..
            } = &record.entry
            else {
                return None;
            };
            let gone = self.own().any(|entry| {
                matches!(
                    entry,
                    Entry::Revoked { tap: of, .. } | Entry::Expired { tap: of } if of == tap
                )
            });
            let until = valid_until.unwrap_or_else(|| after(record.at, MAX_PASS));
            (!gone).then(|| (tap.clone(), until))
        })
    }

    /// Returns the state of this pass, if this flow sent it in an accepted text and has not revoked it.
    pub(crate) fn sent(&self, pass: &TapId) -> Option<Sent> {
        let mut current = None;
        let mut accepted = false;
        for entry in self.own() {
            match entry {
                Entry::Issued { tap, .. } => (current, accepted) = (Some(tap), false),
                Entry::Accepted { .. } => accepted = true,
                Entry::Revoking { tap, .. } if tap == pass => return None,
                _ => {}
            }
        }
        if current != Some(pass) {
            return None;
        }
        if self.is_undelivered() {
            return None;
        }
        match (self.resumed(), self.delivery()) {
            (Some(Verdict::Completed), _) => Some(Sent::Completed),
            (Some(Verdict::Failed(_)), _) => None,
            _ if !accepted => None,
            (None, Some(DeliveryStatus::Delivered)) => Some(Sent::Delivered),
            (None, Some(status)) if status.is_final() => None,
            (None, _) => Some(Sent::Accepted),
        }
    }
}

impl<'a> Doubt<'a> {
    const fn new(at: DateTime<Utc>, seen: &'a [TapId]) -> Self {
        Self {
            asked_at: at,
            since: at,
            is_loss_recorded: false,
            seen,
            settled: None,
            unseen_until: None,
        }
    }

    /// Returns whether this pass may come of the request: by its time, and since it did not exist before.
    fn may_be_about(&self, pass: &TapInfo, now: DateTime<Utc>) -> bool {
        let apart = match self.settled {
            None => CLOCK_SKEW,
            Some(_) => SETTLED_CLOCK_SKEW,
        };
        // A clock that was ahead makes no request later than now.
        let (from, to) = (self.asked_at.min(now), self.since.min(now));
        let about_then = before(from, apart)..=after(to, apart);
        !self.seen.contains(&pass.id) && about_then.contains(&pass.start)
    }

    /// Returns whether its pass still has to be looked for.
    const fn is_open(&self) -> bool {
        self.settled.is_none() && self.unseen_until.is_none()
    }
}

fn settle(doubts: &mut [Doubt<'_>], settled: Settled) {
    for doubt in doubts.iter_mut().filter(|doubt| doubt.settled.is_none()) {
        doubt.settled = Some(settled);
    }
}

impl<'a> Text<'a> {
    /// Returns whether a report is about this text, from a vendor that has it or may have it.
    ///
    /// The reference decides if it is one of the flow's, and otherwise the vendor's ids.
    fn is_about(&self, report: &Report) -> bool {
        let by = match &self.accepted {
            Some(accepted) => accepted.provider == report.provider,
            None => self.given_to.split(',').any(|name| name == report.provider),
        };
        let named = report.reference.as_ref();
        let ours = named.filter(|named| self.of.has_text(named));
        by && match (ours, &self.accepted) {
            (Some(reference), _) => reference == self.reference,
            (None, Some(accepted)) => report
                .id
                .iter()
                .chain(&report.part)
                .any(|id| accepted.id == Some(id.as_str()) || accepted.part_ids.contains(id)),
            (None, None) => false,
        }
    }

    /// Returns the status of the whole text.
    fn joined_status(
        &self,
        reports: impl Iterator<Item = &'a Report> + Clone,
    ) -> Option<DeliveryStatus> {
        // A vendor that names segments reports each of them, whatever its receipt said.
        let by_part = reports.clone().any(|report| report.part.is_some());
        let expected = self.accepted.as_ref().map_or(0, |accepted| {
            let parts = accepted.parts.filter(|_| by_part).unwrap_or_default();
            accepted.reports.max(parts)
        });
        let mut delivery = Delivery::new().with_parts(expected);
        let mut joined = None;
        for report in reports {
            joined = Some(delivery.add(&report.to_delivery_report()));
        }
        joined
    }
}
