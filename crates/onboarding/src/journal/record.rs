//! What a store keeps for a flow.

use chrono::{DateTime, Utc};
use postduif_core::{DeliveryReport, DeliveryStatus, Reference, directory::FlowId};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{Entry, Then};

/// An entry with its time and its version, as a store keeps it.
///
/// ```
/// # mod postduif { pub use postduif_onboarding as onboarding; }
/// use postduif::onboarding::{Entry, Record};
///
/// let json = r#"{"v":1,"at":"2026-11-23T08:00:00Z","entry":{"revoked":{"tap":"c6a1f0d2","then":"issue"}}}"#;
/// let record: Record = serde_json::from_str(json)?;
/// assert!(matches!(record.entry, Entry::Revoked { .. }));
/// assert_eq!(serde_json::to_string(&record)?, json);
///
/// // A record of a newer version is an error.
/// assert!(serde_json::from_str::<Record>(&json.replace(r#""v":1"#, r#""v":2"#)).is_err());
/// assert!(serde_json::from_str::<Record>(&json.replace("revoked", "recalled")).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Record {
    #[serde(rename = "v", deserialize_with = "known_version")]
    version: u16,
    /// When it was made, by the clock of its process.
    pub at: DateTime<Utc>,
    /// The entry.
    pub entry: Entry,
}

impl Record {
    /// The version that this release writes. A record of a newer version cannot be read.
    pub const VERSION: u16 = 1;

    /// Creates a record of an entry with its time.
    #[must_use]
    pub const fn new(at: DateTime<Utc>, entry: Entry) -> Self {
        Self {
            version: Self::VERSION,
            at,
            entry,
        }
    }
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    match u16::deserialize(deserializer)? {
        version if version <= Record::VERSION => Ok(version),
        _ => Err(D::Error::custom("a newer version of this library wrote it")),
    }
}

/// A delivery report as a store keeps it: a [`DeliveryReport`] without the recipient.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// When it was received.
    pub at: DateTime<Utc>,
    /// The name of the provider's profile.
    pub provider: String,
    /// The reference of the text, if the report has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The vendor's id of the text, if the report has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The segment, if the vendor reports each segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// The status.
    pub status: DeliveryStatus,
    /// The vendor's status code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// When the text reached the status, by the vendor's clock. If the vendor names no segments, this distinguishes the
    /// report of another segment from a repeated report.
    #[serde(default, rename = "told_at", skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<DateTime<Utc>>,
}

impl Report {
    /// Creates a stored report from a report and the time at which it was received.
    #[must_use]
    pub fn new(report: &DeliveryReport, at: DateTime<Utc>) -> Self {
        Self {
            at,
            provider: report.provider.clone().into_owned(),
            reference: report.reference,
            id: report.id.clone(),
            part: report.part.clone(),
            status: report.status,
            code: report.code.clone(),
            reported_at: report.at,
        }
    }

    /// Returns whether two reports are equal except for the time at which they were received.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let said = |report: &Self| Self {
            at: DateTime::UNIX_EPOCH,
            ..report.clone()
        };
        said(self) == said(other)
    }

    /// Returns what [`Delivery`](postduif_core::Delivery) needs of the report.
    pub(crate) fn to_delivery_report(&self) -> DeliveryReport {
        let mut report = DeliveryReport::new(self.provider.clone(), self.status);
        report.part.clone_from(&self.part);
        report
    }
}

/// Everything that is stored for a flow.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entries {
    /// The flow.
    pub flow: FlowId,
    /// The flow's own entries, in the order in which they were appended.
    #[serde(default)]
    pub records: Vec<Record>,
    /// The delivery reports of its texts, in the order in which they were received.
    #[serde(default)]
    pub reports: Vec<Report>,
    /// When it was ordered to stop, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<DateTime<Utc>>,
}

impl Entries {
    /// Creates the entries of a flow of which nothing is stored.
    #[must_use]
    pub const fn new(flow: FlowId) -> Self {
        Self {
            flow,
            records: Vec::new(),
            reports: Vec::new(),
            stop: None,
        }
    }

    /// Returns whether an effect of the flow on its user's pass may be open. A store that restarts without its locks
    /// locks the user for such a flow again.
    #[must_use]
    pub fn holds_user(&self) -> bool {
        let own = self.records.iter().map(|record| &record.entry);
        let last = own.rev().find(|entry| !entry.is_remark());
        last.is_some_and(|last| match last {
            Entry::Issuing { .. }
            | Entry::IssueInDoubt { .. }
            | Entry::Issued { .. }
            | Entry::Sending { .. }
            | Entry::Accepted { .. }
            | Entry::NotSent { .. }
            | Entry::NotAccepted { .. }
            | Entry::InDoubt { .. }
            | Entry::Kept { .. }
            | Entry::Revoking { .. } => true,
            Entry::Revoked { then, .. } => *then == Then::Issue,
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_back_from_json_as_written() {
        let json = concat!(
            r#"{"at":"2026-11-23T08:00:00Z","provider":"kpn","reference":"order42","id":"a-1","part":"2","#,
            r#""status":"delivered","code":"17","told_at":"2026-11-23T07:59:00Z"}"#
        );
        let report: Report = serde_json::from_str(json).unwrap();
        assert!(report.reported_at.is_some_and(|at| at < report.at));
        assert_eq!(serde_json::to_string(&report).unwrap(), json);
    }
}
