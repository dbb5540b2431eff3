use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{ErrorKind, FlowId, PhoneNumber, Reason, Receipt, TapId, Verdict};

use crate::{Entry, history::History, run::Run};

/// How a flow ended. There is no secret in it, and `Debug` masks the number.
///
/// Of a flow that ended before, it is what the journal says: the verdict, the receipt, the pass and whether
/// Entra heard. What no journal holds is then left out: the number, whether the pass works once, and the
/// steps that other runs took.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ending {
    /// The flow.
    pub flow: FlowId,
    /// What Entra is told.
    pub verdict: Verdict,
    /// Who was given the last text, by the profile's name; of an accepted one, who took it.
    pub provider: Option<String>,
    /// The vendor's receipt for the last text, where it took it.
    pub receipt: Option<Receipt>,
    /// What went wrong with the last text, where the vendor did not take it for certain.
    pub error: Option<ErrorKind>,
    /// Where the text went.
    pub to: Option<PhoneNumber>,
    /// The pass that this flow issued last, or took away last.
    pub pass: Option<PassEnding>,
    /// Whether Entra heard: it took the verdict, or said that it waits no more. False where nobody waits.
    pub heard: bool,
    /// How many passes were issued.
    pub attempts: u32,
    /// What this run did, in order.
    pub steps: Vec<StepTaken>,
}

impl Ending {
    /// Why it failed; none where it did not.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        self.verdict.reason()
    }

    pub(crate) fn new(history: &History, run: &Run, verdict: Verdict, heard: bool) -> Self {
        let mut ending = Self {
            flow: run.callout.flow(),
            verdict,
            provider: None,
            receipt: None,
            error: None,
            to: run.person.as_ref().map(|person| person.number),
            pass: None,
            heard,
            attempts: 0,
            steps: run.steps.clone(),
        };
        history.entries().iter().for_each(|entry| ending.add(entry));
        // The journal's is the same receipt, without those who were tried before.
        if let (Some(told), Some(kept)) = (&run.receipt, &mut ending.receipt)
            && told.reference() == kept.reference()
        {
            kept.clone_from(told);
        }
        if let Some(pass) = &mut ending.pass
            && let Some(info) = run.infos.iter().rfind(|info| info.id == pass.id)
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
            }
            Entry::Sending { provider, .. } => self.provider = Some(provider.clone()),
            Entry::Accepted {
                reference,
                provider,
                id,
                parts,
                price,
                ..
            } => {
                let mut receipt = Receipt::new(provider.clone(), *reference);
                if let Some(id) = id {
                    receipt = receipt.with_id(id.as_str());
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
            Entry::NotAccepted { kind, .. } | Entry::InDoubt { kind, .. } => {
                self.error = Some(*kind);
            }
            Entry::Revoking { tap, .. } => {
                let pass = self.pass.take().filter(|pass| pass.id == *tap);
                let mut pass = pass.unwrap_or_else(|| PassEnding::new(tap, None));
                pass.revocation = Revocation::Tried;
                self.pass = Some(pass);
            }
            Entry::Revoked { tap, .. } => {
                if let Some(pass) = self.pass.as_mut().filter(|pass| pass.id == *tap) {
                    pass.revocation = Revocation::Done;
                }
            }
            _ => {}
        }
    }
}

/// What became of a pass.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PassEnding {
    /// Graph's id of it.
    pub id: TapId,
    /// Until when it works, or would have worked.
    pub valid_until: Option<DateTime<Utc>>,
    /// Whether it works once only.
    pub one_time: Option<bool>,
    revocation: Revocation,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Revocation {
    Done,
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

    /// Whether it was taken away.
    #[must_use]
    pub fn revoked(&self) -> bool {
        self.revocation == Revocation::Done
    }

    /// Until when it may be usable although it should have been taken away: that was tried until the window
    /// closed, and failed. Somebody should look. The end of time where nobody knows; none where there is
    /// nothing to look after.
    #[must_use]
    pub fn may_be_usable_until(&self) -> Option<DateTime<Utc>> {
        let end = self.valid_until.unwrap_or(DateTime::<Utc>::MAX_UTC);
        (self.revocation == Revocation::Tried).then_some(end)
    }
}

/// A step that a run took, and how long that was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
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
    /// Entra is told.
    Resume,
    /// A pass is taken away.
    RevokePass,
    /// The text is given to the vendor.
    Send,
}

impl StepName {
    /// The written form, in snake_case.
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
