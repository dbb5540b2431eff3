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

/// The ending of a flow. It contains no secret, and `Debug` masks the number.
///
/// An ending is derived from the flow's entries, so it is always the same. Without a run it lacks what no journal
/// holds: the number, whether the pass works once, the providers that were tried earlier, and the steps.
///
/// With serde it is stored without the number and without the providers that were tried earlier. Unknown members and
/// unknown steps are skipped when it is read. An unknown verdict and an unknown kind of error are errors.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Ending {
    /// The flow.
    pub flow: FlowId,
    /// The verdict for Entra.
    pub verdict: Verdict,
    /// The provider that accepted the last text, or to which it was given, by the name of its profile.
    #[serde(default)]
    pub provider: Option<String>,
    /// The vendor's receipt for the last text, if the vendor accepted it.
    #[serde(default, with = "stored_receipt")]
    pub receipt: Option<Receipt>,
    /// The kind of error of the last text, if it was not accepted or is in doubt.
    #[serde(default)]
    pub error: Option<ErrorKind>,
    /// The vendor's code of that error.
    #[serde(default)]
    pub code: Option<String>,
    /// The last error from Graph.
    #[serde(default)]
    pub graph: Option<GraphCause>,
    /// A detail beside the reason of a failure, without personal data.
    #[serde(default)]
    pub detail: Option<String>,
    /// The number to which the text was sent.
    #[serde(skip)]
    pub to: Option<PhoneNumber>,
    /// Whether that number is in a range that the flow's [`Numbers`](crate::Numbers) know. `None` if no number was
    /// read.
    #[serde(skip)]
    pub number_known: Option<bool>,
    /// The pass that this flow last issued, kept or revoked.
    #[serde(default)]
    pub pass: Option<PassEnding>,
    /// When a pass expires that may exist although no list has shown it: its request was in doubt, and no conclusive
    /// list could be read. An operator should check the user's passes. `None` if there is no such doubt.
    #[serde(default)]
    pub unseen_until: Option<DateTime<Utc>>,
    /// Whether Entra heard: it accepted the verdict, or responded that it no longer waits. False if the call-out has
    /// no callback.
    #[serde(default)]
    pub heard: bool,
    /// The number of passes that were issued.
    #[serde(default)]
    pub attempts: u32,
    /// The number of requests for a pass, and of texts, of which nobody knows whether they had an effect.
    #[serde(default)]
    pub doubts: u32,
    /// The steps of this run, in order.
    #[serde(default, deserialize_with = "known_steps")]
    pub steps: Vec<StepTaken>,
}

impl Ending {
    /// Returns the ending that follows from a flow's entries. `None` if the flow was not resumed yet.
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
            doubts: 0,
            steps: Vec::new(),
        };
        for record in &entries.records {
            ending.add(&record.entry);
            match record.entry {
                Entry::Issuing { .. } | Entry::Sending { .. } => ending.doubts += 1,
                Entry::NotAsked { .. }
                | Entry::NotIssued { .. }
                | Entry::Issued { .. }
                | Entry::NotSent { .. }
                | Entry::NotAccepted { .. }
                | Entry::Accepted { .. } => ending.doubts = ending.doubts.saturating_sub(1),
                _ => {}
            }
        }
        // These questions need no clock.
        let history = History::new(entries.clone(), DateTime::<Utc>::MAX_UTC);
        ending.unseen_until = history.unseen_until(MAX_PASS);
        ending
    }

    /// Returns the reason of a failure. `None` if the flow was completed.
    #[must_use]
    pub const fn reason(&self) -> Option<FailureReason> {
        self.verdict.reason()
    }

    /// Returns when a pass of this flow expires that should not be usable, but may be: it could not be revoked, or no
    /// list has shown it. `None` if there is no such pass.
    #[must_use]
    pub fn may_be_usable_until(&self) -> Option<DateTime<Utc>> {
        let known = self.pass.as_ref().and_then(PassEnding::may_be_usable_until);
        known.max(self.unseen_until)
    }

    /// Returns the ending with what only the run knows.
    pub(crate) fn of_run(history: &History, run: &Run, life: Option<Duration>) -> Self {
        let entries = history.entries();
        let mut ending = Self::of(entries)
            .unwrap_or_else(|| Self::new(entries, Verdict::Failed(FailureReason::Shutdown), false));
        ending.unseen_until = history.unseen_until(life.unwrap_or(MAX_PASS));
        ending.to = run.person.as_ref().map(|person| person.number);
        ending.number_known = run.person.as_ref().map(|person| person.number_known);
        ending.steps.clone_from(&run.steps);
        // The same receipt, with the providers that were tried earlier.
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

/// The stored form of a receipt, without the providers that were tried earlier.
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

/// Reads the steps that this version knows.
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

/// The end of a pass.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct PassEnding {
    /// Graph's id of the pass.
    pub id: TapId,
    /// When it expires, or would have expired.
    #[serde(default)]
    pub valid_until: Option<DateTime<Utc>>,
    /// Whether it works only once.
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

    /// Returns whether it could not be revoked, and has expired.
    #[must_use]
    pub fn expired(&self) -> bool {
        self.revocation == Revocation::Expired
    }

    /// Returns when the pass expires, if it should have been revoked but was not yet. An operator should revoke it.
    /// `None` if there is no such need, and the end of time if the expiry is unknown.
    #[must_use]
    pub fn may_be_usable_until(&self) -> Option<DateTime<Utc>> {
        let end = self.valid_until.unwrap_or(DateTime::<Utc>::MAX_UTC);
        (self.revocation == Revocation::Tried).then_some(end)
    }
}

/// A step of a run, with its duration.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepTaken {
    /// The step.
    pub step: StepName,
    /// The duration from its beginning to its end, including retries and the pauses between them.
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
    /// Waits for a delivery report.
    AwaitReport,
    /// Runs the guards.
    Guard,
    /// Lists the passes and issues one.
    IssuePass,
    /// Reads the user from the directory.
    ReadUser,
    /// Sends Entra the verdict.
    Resume,
    /// Revokes a pass.
    RevokePass,
    /// Sends the text.
    Send,
}

impl StepName {
    /// Returns the name in snake_case.
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
