use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    ErrorKind, PhoneNumber, Receipt,
    directory::{FailureReason, FlowId, TapId, Verdict},
};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};

use crate::{
    Entries, Entry, GraphCause,
    flow::{history::History, run::Run, times::MAX_PASS},
};

/// How a flow ended. There is no secret in it, and `Debug` masks the number.
///
/// It is made from the flow's entries, so that it is the same whenever it is asked for. What no journal holds is
/// left out of one that is made without a run: the number and whether its range is known, whether the pass works
/// once, the providers that were tried before, and the steps that were taken.
///
/// Stored with serde, one leaves out the number, whether its range is known and the providers that were tried
/// before. Members and steps of a newer version are skipped when it is read; a verdict or a kind of error that only
/// a newer version knows is an error.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Ending {
    /// The flow.
    pub flow: FlowId,
    /// The verdict for Entra.
    pub verdict: Verdict,
    /// Who was given the last text, by the profile's name; of an accepted one, who took it.
    #[serde(default)]
    pub provider: Option<String>,
    /// The vendor's receipt for the last text, where it took it.
    #[serde(default, with = "stored_receipt")]
    pub receipt: Option<Receipt>,
    /// What went wrong with the last text, where the vendor did not take it for certain.
    #[serde(default)]
    pub error: Option<ErrorKind>,
    /// The vendor's own code for that.
    #[serde(default)]
    pub code: Option<String>,
    /// What Graph said last where it refused something or broke.
    #[serde(default)]
    pub graph: Option<GraphCause>,
    /// EndCause it failed, where the reason alone does not say it. In our own words, with no personal data.
    #[serde(default)]
    pub detail: Option<String>,
    /// Where the text went.
    #[serde(skip)]
    pub to: Option<PhoneNumber>,
    /// Whether that number is in a range that the flow's [`Numbers`](crate::Numbers) know. `None` where no number
    /// was read.
    #[serde(skip)]
    pub number_known: Option<bool>,
    /// The pass that this flow issued last, kept, or took away last.
    #[serde(default)]
    pub pass: Option<PassEnding>,
    /// Until when a pass may be usable that was asked for and that nobody has seen: it was in doubt, and no list
    /// that is new enough could be read since, or not yet. Somebody should look. `None` where there is no such
    /// doubt.
    #[serde(default)]
    pub unseen_until: Option<DateTime<Utc>>,
    /// Whether Entra heard: it took the verdict, or said that it waits no more. False where nobody waits.
    #[serde(default)]
    pub heard: bool,
    /// How many passes were issued.
    #[serde(default)]
    pub attempts: u32,
    /// What this run did, in order.
    #[serde(default, deserialize_with = "known_steps")]
    pub steps: Vec<StepTaken>,
}

impl Ending {
    /// Returns the ending that follows from a flow's entries. `None` where the flow was not resumed yet.
    #[must_use]
    pub fn of(entries: &Entries) -> Option<Self> {
        let mut own = entries.records.iter();
        let (verdict, heard) = own.find_map(|record| match &record.entry {
            Entry::Resumed { verdict, heard, .. } => Some((*verdict, *heard)),
            _ => None,
        })?;
        Some(Self::new(entries, verdict, heard))
    }

    fn new(entries: &Entries, verdict: Verdict, heard: bool) -> Self {
        let mut ending = Self {
            flow: entries.flow,
            verdict,
            provider: None,
            receipt: None,
            error: None,
            code: None,
            graph: None,
            detail: None,
            to: None,
            number_known: None,
            pass: None,
            unseen_until: None,
            heard,
            attempts: 0,
            steps: Vec::new(),
        };
        for record in &entries.records {
            ending.add(&record.entry);
        }
        // What is looked up here needs no clock.
        let history = History::new(entries.clone(), DateTime::<Utc>::MAX_UTC);
        ending.unseen_until = history.unseen_until(MAX_PASS);
        ending
    }

    /// Returns why it failed. `None` where it did not.
    #[must_use]
    pub const fn reason(&self) -> Option<FailureReason> {
        self.verdict.reason()
    }

    /// Returns until when a pass of this flow may be usable that should not be: one that could not be taken away, or one
    /// that nobody has seen. `None` where there is nothing to look after.
    #[must_use]
    pub fn may_be_usable_until(&self) -> Option<DateTime<Utc>> {
        let known = self.pass.as_ref().and_then(PassEnding::may_be_usable_until);
        known.max(self.unseen_until)
    }

    /// With what the run knows beside the entries.
    pub(crate) fn of_run(history: &History, run: &Run, life: Option<Duration>) -> Self {
        let entries = history.entries();
        let mut ending = Self::of(entries)
            .unwrap_or_else(|| Self::new(entries, Verdict::Failed(FailureReason::Shutdown), false));
        ending.unseen_until = history.unseen_until(life.unwrap_or(MAX_PASS));
        ending.to = run.person.as_ref().map(|person| person.number);
        ending.number_known = run.person.as_ref().map(|person| person.number_known);
        ending.steps.clone_from(&run.steps);
        // The journal's is the same receipt, without those who were tried before.
        if let (Some(whole), Some(kept)) = (&run.receipt, &mut ending.receipt)
            && whole.reference() == kept.reference()
        {
            kept.clone_from(whole);
        }
        if let Some(pass) = &mut ending.pass
            && let Some(info) = run.passes.iter().rfind(|info| info.id == pass.id)
        {
            pass.one_time = Some(info.one_time);
            pass.valid_until = pass.valid_until.or(Some(info.valid_until()));
        }
        ending
    }

    fn add(&mut self, entry: &Entry) {
        match entry {
            Entry::Issued {
                tap, valid_until, ..
            } => {
                self.attempts += 1;
                self.pass = Some(PassEnding::new(tap, Some(*valid_until)));
                (self.provider, self.receipt, self.error) = (None, None, None);
                (self.code, self.graph) = (None, None);
            }
            Entry::Kept { tap, valid_until } => {
                self.pass = Some(PassEnding::new(tap, Some(*valid_until)));
            }
            Entry::NotIssued { cause, .. } | Entry::IssueInDoubt { cause, .. } => {
                self.graph = Some(cause.clone());
            }
            Entry::Sending { provider, .. } => self.provider = Some(provider.clone()),
            Entry::Accepted {
                reference,
                provider,
                id,
                part_ids,
                parts,
                reports,
                price,
                ..
            } => {
                let mut receipt =
                    Receipt::new(provider.clone(), *reference).with_expected_reports(*reports);
                if let Some(id) = id {
                    receipt = receipt.with_id(id.as_str());
                }
                if !part_ids.is_empty() {
                    receipt = receipt.with_part_ids(part_ids.iter().map(String::as_str));
                }
                if let Some(parts) = parts {
                    receipt = receipt.with_parts(*parts);
                }
                if let Some(price) = price {
                    receipt = receipt.with_price(*price);
                }
                self.provider = Some(provider.clone());
                self.receipt = Some(receipt);
            }
            Entry::NotAccepted { cause, .. } | Entry::InDoubt { cause, .. } => {
                self.error = Some(cause.kind);
                self.code.clone_from(&cause.code);
            }
            Entry::Revoking {
                tap, valid_until, ..
            } => {
                let pass = self.pass.take().filter(|pass| pass.id == *tap);
                let mut pass = pass.unwrap_or_else(|| PassEnding::new(tap, *valid_until));
                pass.revocation = Revocation::Tried;
                self.pass = Some(pass);
            }
            Entry::Revoked { tap, .. } => self.gone(tap, Revocation::Done),
            Entry::Expired { tap } => self.gone(tap, Revocation::Expired),
            Entry::Resuming { detail, cause, .. } => {
                self.detail.clone_from(detail);
                self.graph = cause.clone().or(self.graph.take());
            }
            Entry::Resumed { cause, .. } => self.graph = cause.clone().or(self.graph.take()),
            _ => {}
        }
    }

    fn gone(&mut self, tap: &TapId, revocation: Revocation) {
        if let Some(pass) = self.pass.as_mut().filter(|pass| pass.id == *tap) {
            pass.revocation = revocation;
        }
    }
}

/// A receipt as it is stored: what the vendor said, without who was tried before.
mod stored_receipt {
    use postduif_core::{Price, Receipt, Reference};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize, Serialize)]
    struct Stored {
        provider: String,
        reference: Reference,
        #[serde(default)]
        id: Option<String>,
        #[serde(default)]
        part_ids: Vec<String>,
        #[serde(default)]
        parts: Option<u16>,
        #[serde(default = "crate::journal::entry::one_report")]
        reports: u16,
        #[serde(default)]
        price: Option<Price>,
    }

    pub(super) fn serialize<S: Serializer>(
        receipt: &Option<Receipt>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let stored = receipt.as_ref().map(|receipt| Stored {
            provider: receipt.provider().to_owned(),
            reference: *receipt.reference(),
            id: receipt.id().map(str::to_owned),
            part_ids: receipt.part_ids().map(str::to_owned).collect(),
            parts: receipt.parts(),
            reports: receipt.expected_reports(),
            price: receipt.price(),
        });
        stored.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Receipt>, D::Error> {
        let stored = Option::<Stored>::deserialize(deserializer)?;
        Ok(stored.map(|stored| {
            let mut receipt = Receipt::new(stored.provider, stored.reference)
                .with_expected_reports(stored.reports);
            if let Some(id) = stored.id {
                receipt = receipt.with_id(id);
            }
            if !stored.part_ids.is_empty() {
                receipt = receipt.with_part_ids(stored.part_ids);
            }
            if let Some(parts) = stored.parts {
                receipt = receipt.with_parts(parts);
            }
            if let Some(price) = stored.price {
                receipt = receipt.with_price(price);
            }
            receipt
        }))
    }
}

/// The steps that this version knows.
fn known_steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<StepTaken>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Known(StepTaken),
        Unknown(IgnoredAny),
    }
    let stored = Vec::<Stored>::deserialize(deserializer)?.into_iter();
    Ok(stored
        .filter_map(|step| match step {
            Stored::Known(step) => Some(step),
            Stored::Unknown(_) => None,
        })
        .collect())
}

/// What became of a pass.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct PassEnding {
    /// Graph's id of it.
    pub id: TapId,
    /// Until when it works, or would have worked.
    #[serde(default)]
    pub valid_until: Option<DateTime<Utc>>,
    /// Whether it works once only.
    #[serde(default)]
    pub one_time: Option<bool>,
    revocation: Revocation,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Revocation {
    Done,
    Expired,
    NotNeeded,
    Tried,
}

impl PassEnding {
    fn new(id: &TapId, valid_until: Option<DateTime<Utc>>) -> Self {
        Self {
            id: id.clone(),
            valid_until,
            one_time: None,
            revocation: Revocation::NotNeeded,
        }
    }

    /// Returns whether it was revoked.
    #[must_use]
    pub fn revoked(&self) -> bool {
        self.revocation == Revocation::Done
    }

    /// Returns whether it could not be revoked, and has ended by itself.
    #[must_use]
    pub fn expired(&self) -> bool {
        self.revocation == Revocation::Expired
    }

    /// Returns until when it may be usable although it should have been revoked: that was tried and has not succeeded
    /// yet. Somebody should look. The end of time where nobody knows; none where there is nothing to look after.
    #[must_use]
    pub fn may_be_usable_until(&self) -> Option<DateTime<Utc>> {
        let end = self.valid_until.unwrap_or(DateTime::<Utc>::MAX_UTC);
        (self.revocation == Revocation::Tried).then_some(end)
    }
}

/// A step that a run took, and how long that was.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepTaken {
    /// Which.
    pub step: StepName,
    /// From its beginning to its end; repeats and the pauses between them included.
    pub took: Duration,
}

impl StepTaken {
    pub(crate) const fn new(step: StepName, took: Duration) -> Self {
        Self { step, took }
    }
}

/// The steps of a flow.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepName {
    /// A delivery report is waited for.
    AwaitReport,
    /// The guards are asked.
    Guard,
    /// The passes are listed, and one is issued.
    IssuePass,
    /// The person is read from the directory.
    ReadUser,
    /// Entra gets the verdict.
    Resume,
    /// A pass is taken away.
    RevokePass,
    /// The text is given to the vendor.
    Send,
}

impl StepName {
    /// Returns the written form, in snake_case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AwaitReport => "await_report",
            Self::Guard => "guard",
            Self::IssuePass => "issue_pass",
            Self::ReadUser => "read_user",
            Self::Resume => "resume",
            Self::RevokePass => "revoke_pass",
            Self::Send => "send",
        }
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_a_newer_version_took_is_left_out() {
        let stored = r#"{"flow":"9ae7d3ce-4d22-4bdd-a831-23036b63aa79","verdict":"completed","steps":[
            {"step":"teleport","took":{"secs":1,"nanos":0}},
            {"step":"send","took":{"secs":2,"nanos":0}},
            {"step":"send","took":"long"},{"leap":1},7]}"#;
        let ending: Ending = serde_json::from_str(stored).unwrap();
        let send = StepTaken::new(StepName::Send, Duration::from_secs(2));
        assert_eq!(ending.steps, [send]);
    }

    #[test]
    fn the_receipt_from_the_journal_is_the_vendors() {
        let stored = r#"{"flow":"9ae7d3ce-4d22-4bdd-a831-23036b63aa79","records":[
            {"v":1,"at":"2026-11-23T08:00:00Z","entry":{"accepted":{"round":1,"reference":"order42",
             "provider":"kpn","id":"a-1","part_ids":["p-1"],"parts":3,"reports":2,"price":"0.07 EUR"}}},
            {"v":1,"at":"2026-11-23T08:00:01Z","entry":{"resumed":{"verdict":"completed","heard":true}}}]}"#;
        let entries: Entries = serde_json::from_str(stored).unwrap();
        let receipt = Ending::of(&entries).unwrap().receipt.unwrap();
        assert_eq!((receipt.provider(), receipt.id()), ("kpn", Some("a-1")));
        assert_eq!(receipt.part_ids().collect::<Vec<_>>(), ["p-1"]);
        assert_eq!((receipt.parts(), receipt.expected_reports()), (Some(3), 2));
        assert_eq!(receipt.price().unwrap().to_string(), "0.07 EUR");
    }
}
