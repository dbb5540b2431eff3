use chrono::{DateTime, Utc};
use postduif_core::{
    ErrorKind, Price, Reference, SendError,
    directory::{GraphError, GraphErrorKind, TapId, Verdict},
};
use serde::{Deserialize, Serialize};

/// An entry in a flow's journal: an intent, recorded before its effect, or an outcome, recorded after it.
///
/// An entry holds ids, times and words of this library, but no secret: no pass, no text, no phone number.
/// [`Onboarding::step`](crate::Onboarding::step) lists what comes after each entry.
///
/// A journal stores every entry with serde, in a self-describing format such as JSON: fields are left out if they are
/// empty, and a variant may gain fields. It matches the entries by which it is indexed with `..`. The variants cannot be
/// constructed outside this crate, so tests and importers read entries from their stored form. Later versions can read
/// these forms too:
///
/// | entry | an example as JSON |
/// |---|---|
/// | `Issuing` | `{"issuing":{"round":1,"seen":["c6a1f0d2"]}}` |
/// | `NotAsked` | `{"not_asked":{"round":1}}` |
/// | `NotIssued` | `{"not_issued":{"round":1,"cause":{"kind":"policy_refused","message":"not yet","code":"badRequest","request_id":"0f1e2d3c","date":"2027-01-15T08:00:00Z"}}}` |
/// | `IssueInDoubt` | `{"issue_in_doubt":{"round":1,"cause":{"kind":"timeout"}}}` |
/// | `Issued` | `{"issued":{"round":2,"tap":"c6a1f0d2","valid_until":"2027-01-15T08:00:00Z"}}` |
/// | `Kept` | `{"kept":{"tap":"c6a1f0d2","valid_until":"2027-01-15T08:00:00Z"}}` |
/// | `Sending` | `{"sending":{"round":1,"reference":"order42","provider":"kpn"}}` |
/// | `NotSent` | `{"not_sent":{"round":1,"reference":"order42"}}` |
/// | `Accepted` | `{"accepted":{"round":1,"reference":"order42","provider":"kpn","id":"a-1","parts":1,"price":"0.0727 EUR"}}` |
/// | `NotAccepted` | `{"not_accepted":{"round":1,"reference":"order42","cause":{"kind":"insufficient_balance","code":"102","provider":"cm"}}}` |
/// | `InDoubt` | `{"in_doubt":{"round":1,"reference":"order42","cause":{"kind":"timeout"}}}` |
/// | `Revoking` | `{"revoking":{"tap":"c6a1f0d2","valid_until":"2027-01-15T08:00:00Z","then":{"end":{"failed":"not_accepted"}}}}` |
/// | `Revoked` | `{"revoked":{"tap":"c6a1f0d2","then":"issue"}}` |
/// | `Expired` | `{"expired":{"tap":"c6a1f0d2"}}` |
/// | `NothingSeen` | `{"nothing_seen":{}}` |
/// | `Unseen` | `{"unseen":{"until":"2027-01-15T08:00:00Z"}}` |
/// | `Resuming` | `{"resuming":{"verdict":"completed"}}` |
/// | `Resumed` | `{"resumed":{"verdict":{"failed":"not_accepted"},"heard":true}}` |
///
/// ```
/// # mod postduif { pub use postduif_onboarding as onboarding; }
/// use postduif::onboarding::{Entry, Then};
///
/// let json = r#"{"revoked":{"tap":"c6a1f0d2","then":"issue"}}"#;
/// let entry: Entry = serde_json::from_str(json)?;
/// let Entry::Revoked { tap, then, .. } = &entry else { panic!() };
/// assert_eq!((tap.to_string().as_str(), *then), ("c6a1f0d2", Then::Issue));
/// assert_eq!(serde_json::to_string(&entry)?, json);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entry {
    /// A pass is about to be requested.
    #[non_exhaustive]
    Issuing {
        /// The round, from 1. A round ends when it has produced a pass.
        round: u8,
        /// The passes that the user had before, by the list and by the journal. A later pass that is not among them is
        /// new.
        seen: Vec<TapId>,
    },
    /// No pass was requested after all: the deadline had passed when the intent was durable, or the store took too long.
    #[non_exhaustive]
    NotAsked {
        /// The round.
        round: u8,
    },
    /// Graph certainly issued no pass.
    #[non_exhaustive]
    NotIssued {
        /// The round.
        round: u8,
        /// The error from Graph.
        cause: GraphCause,
    },
    /// Graph may have issued a pass.
    #[non_exhaustive]
    IssueInDoubt {
        /// The round.
        round: u8,
        /// The error.
        cause: GraphCause,
    },
    /// Graph issued a pass. Only the process holds its secret.
    #[non_exhaustive]
    Issued {
        /// The round.
        round: u8,
        /// The pass.
        tap: TapId,
        /// When it expires, by Graph's clock.
        valid_until: DateTime<Utc>,
    },
    /// A pass that another flow issued and sent completes this flow too, without a second text.
    #[non_exhaustive]
    Kept {
        /// The pass.
        tap: TapId,
        /// When it expires, by Graph's clock.
        valid_until: DateTime<Utc>,
    },
    /// A text with the pass is about to be sent.
    #[non_exhaustive]
    Sending {
        /// The round.
        round: u8,
        /// The reference of the text, which its delivery reports carry.
        reference: Reference,
        /// The name of the provider's profile.
        provider: String,
    },
    /// The text was not sent after all: the deadline had passed when the intent was durable, or the store took too long.
    #[non_exhaustive]
    NotSent {
        /// The round.
        round: u8,
        /// The reference of the text.
        reference: Reference,
    },
    /// The vendor has the text.
    #[non_exhaustive]
    Accepted {
        /// The round.
        round: u8,
        /// The reference of the text.
        reference: Reference,
        /// The provider that accepted it.
        provider: String,
        /// The vendor's id of the text, if it returned one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The vendor's ids of the segments, if it returned one for each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        part_ids: Vec<String>,
        /// The number of parts that the vendor counted, if it returned one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parts: Option<u16>,
        /// The number of delivery reports that together cover the whole text.
        #[serde(default = "one_report", skip_serializing_if = "is_one_report")]
        reports: u16,
        /// The price, if the vendor returned one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        price: Option<Price>,
    },
    /// The vendor certainly does not have the text.
    #[non_exhaustive]
    NotAccepted {
        /// The round.
        round: u8,
        /// The reference of the text.
        reference: Reference,
        /// The error from the vendor.
        cause: SendCause,
    },
    /// The vendor may have the text.
    #[non_exhaustive]
    InDoubt {
        /// The round.
        round: u8,
        /// The reference of the text.
        reference: Reference,
        /// The error.
        cause: SendCause,
    },
    /// A pass is about to be revoked.
    #[non_exhaustive]
    Revoking {
        /// The pass.
        tap: TapId,
        /// When it expires, if Graph returned that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        valid_until: Option<DateTime<Utc>>,
        /// What follows the revocation.
        then: Then,
    },
    /// The pass was revoked, or was already gone.
    #[non_exhaustive]
    Revoked {
        /// The pass.
        tap: TapId,
        /// What follows.
        then: Then,
    },
    /// The pass could not be revoked, and has expired.
    #[non_exhaustive]
    Expired {
        /// The pass.
        tap: TapId,
    },
    /// No list showed a pass in doubt for long enough to prove that it does not exist.
    #[non_exhaustive]
    NothingSeen {},
    /// A pass in doubt may exist: no list that could show it was read in time.
    #[non_exhaustive]
    Unseen {
        /// When it expires at the latest.
        until: DateTime<Utc>,
    },
    /// Entra is about to get the verdict. From here on the verdict does not change.
    #[non_exhaustive]
    Resuming {
        /// The verdict.
        verdict: Verdict,
        /// A detail beside the reason, without personal data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// The error from Graph that decided the verdict, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<GraphCause>,
    },
    /// The flow was resumed. This is recorded for every flow, also if its call-out has no callback.
    #[non_exhaustive]
    Resumed {
        /// The verdict.
        verdict: Verdict,
        /// Whether Entra heard: it accepted the verdict, or responded that it no longer waits.
        heard: bool,
        /// The error from Graph, if it did not accept the verdict.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<GraphCause>,
    },
}

impl Entry {
    /// Returns whether the entry announces an effect.
    pub(crate) const fn is_intent(&self) -> bool {
        matches!(
            self,
            Self::Issuing { .. }
                | Self::Sending { .. }
                | Self::Revoking { .. }
                | Self::Resuming { .. }
        )
    }

    /// Returns whether the entry only adds information, and does not decide what comes next.
    pub(crate) const fn is_remark(&self) -> bool {
        matches!(
            self,
            Self::NothingSeen {} | Self::Unseen { .. } | Self::Expired { .. }
        )
    }
}

/// An error from Graph, or on the way to it, as an operator and Microsoft's support need it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GraphCause {
    /// The kind of the error.
    pub kind: GraphErrorKind,
    /// The error in this library's words, such as the bounds of a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Graph's error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Graph's id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When Graph responded, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<DateTime<Utc>>,
}

impl GraphCause {
    /// Creates a cause from its kind, without details.
    #[must_use]
    pub const fn new(kind: GraphErrorKind) -> Self {
        Self {
            kind,
            message: None,
            code: None,
            request_id: None,
            date: None,
        }
    }
}

impl From<&GraphError> for GraphCause {
    fn from(error: &GraphError) -> Self {
        Self {
            kind: error.kind(),
            message: Some(error.message().to_owned()),
            code: error.code().map(str::to_owned),
            request_id: error.request_id().map(str::to_owned),
            date: error.date(),
        }
    }
}

/// An error of a send that was not accepted, or is in doubt.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SendCause {
    /// The kind of the error.
    pub kind: ErrorKind,
    /// The vendor's error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The provider that returned the error, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

impl SendCause {
    /// Creates a cause from its kind, without details.
    #[must_use]
    pub const fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            code: None,
            provider: None,
        }
    }
}

impl From<&SendError> for SendCause {
    fn from(error: &SendError) -> Self {
        Self {
            kind: error.kind(),
            code: error.code().map(str::to_owned),
            provider: error.provider().map(str::to_owned),
        }
    }
}

/// What follows the revocation of a pass.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a flow continues or ends")]
pub enum Then {
    /// The flow ends with this verdict.
    End(Verdict),
    /// Another pass is issued, if another round is allowed.
    Issue,
}

pub(crate) const fn one_report() -> u16 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_one_report(reports: &u16) -> bool {
    *reports == 1
}

#[cfg(test)]
mod tests {
    use postduif_core::directory::FailureReason;

    use super::*;

    #[test]
    fn every_entry_is_read_back_from_json_as_written() {
        let reference: Reference = "order42".parse().unwrap();
        let tap: TapId = "c6a1f0d2".parse().unwrap();
        let failed = Verdict::Failed(FailureReason::NotAccepted);
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let error = GraphError::not_accepted(GraphErrorKind::PolicyRefused, "not yet")
            .with_code("badRequest")
            .with_request_id("0f1e2d3c")
            .with_date(at);
        let refused = SendError::not_accepted(ErrorKind::InsufficientBalance, "no")
            .with_code("102")
            .with_provider("cm");
        for (entry, json) in [
            (
                Entry::Issuing {
                    round: 1,
                    seen: vec![tap.clone()],
                },
                r#"{"issuing":{"round":1,"seen":["c6a1f0d2"]}}"#,
            ),
            (Entry::NotAsked { round: 1 }, r#"{"not_asked":{"round":1}}"#),
            (
                Entry::NotIssued {
                    round: 1,
                    cause: GraphCause::from(&error),
                },
                concat!(
                    r#"{"not_issued":{"round":1,"cause":{"kind":"policy_refused","message":"not yet","#,
                    r#""code":"badRequest","request_id":"0f1e2d3c","date":"2027-01-15T08:00:00Z"}}}"#
                ),
            ),
            (
                Entry::IssueInDoubt {
                    round: 1,
                    cause: GraphCause::new(GraphErrorKind::Timeout),
                },
                r#"{"issue_in_doubt":{"round":1,"cause":{"kind":"timeout"}}}"#,
            ),
            (
                Entry::Issued {
                    round: 2,
                    tap: tap.clone(),
                    valid_until: at,
                },
                r#"{"issued":{"round":2,"tap":"c6a1f0d2","valid_until":"2027-01-15T08:00:00Z"}}"#,
            ),
            (
                Entry::Kept {
                    tap: tap.clone(),
                    valid_until: at,
                },
                r#"{"kept":{"tap":"c6a1f0d2","valid_until":"2027-01-15T08:00:00Z"}}"#,
            ),
            (
                Entry::Sending {
                    round: 1,
                    reference,
                    provider: "kpn".into(),
                },
                r#"{"sending":{"round":1,"reference":"order42","provider":"kpn"}}"#,
            ),
            (
                Entry::NotSent {
                    round: 1,
                    reference,
                },
                r#"{"not_sent":{"round":1,"reference":"order42"}}"#,
            ),
            (
                Entry::Accepted {
                    round: 1,
                    reference,
                    provider: "kpn".into(),
                    id: Some("a-1".into()),
                    part_ids: Vec::new(),
                    parts: Some(1),
                    reports: 1,
                    price: Some("0.0727 EUR".parse().unwrap()),
                },
                concat!(
                    r#"{"accepted":{"round":1,"reference":"order42","provider":"kpn","#,
                    r#""id":"a-1","parts":1,"price":"0.0727 EUR"}}"#
                ),
            ),
            (
                Entry::NotAccepted {
                    round: 1,
                    reference,
                    cause: SendCause::from(&refused),
                },
                concat!(
                    r#"{"not_accepted":{"round":1,"reference":"order42","#,
                    r#""cause":{"kind":"insufficient_balance","code":"102","provider":"cm"}}}"#
                ),
            ),
            (
                Entry::InDoubt {
                    round: 1,
                    reference,
                    cause: SendCause::new(ErrorKind::Timeout),
                },
                r#"{"in_doubt":{"round":1,"reference":"order42","cause":{"kind":"timeout"}}}"#,
            ),
            (
                Entry::Revoking {
                    tap: tap.clone(),
                    valid_until: Some(at),
                    then: Then::End(failed),
                },
                concat!(
                    r#"{"revoking":{"tap":"c6a1f0d2","valid_until":"2027-01-15T08:00:00Z","#,
                    r#""then":{"end":{"failed":"not_accepted"}}}}"#
                ),
            ),
            (
                Entry::Revoked {
                    tap: tap.clone(),
                    then: Then::Issue,
                },
                r#"{"revoked":{"tap":"c6a1f0d2","then":"issue"}}"#,
            ),
            (Entry::Expired { tap }, r#"{"expired":{"tap":"c6a1f0d2"}}"#),
            (Entry::NothingSeen {}, r#"{"nothing_seen":{}}"#),
            (
                Entry::Unseen { until: at },
                r#"{"unseen":{"until":"2027-01-15T08:00:00Z"}}"#,
            ),
            (
                Entry::Resuming {
                    verdict: Verdict::Completed,
                    detail: None,
                    cause: None,
                },
                r#"{"resuming":{"verdict":"completed"}}"#,
            ),
            (
                Entry::Resumed {
                    verdict: failed,
                    heard: true,
                    cause: None,
                },
                r#"{"resumed":{"verdict":{"failed":"not_accepted"},"heard":true}}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&entry).unwrap(), json);
            assert_eq!(serde_json::from_str::<Entry>(json).unwrap(), entry);
        }
    }

    #[test]
    fn an_unknown_member_is_skipped_and_an_unknown_variant_is_an_error() {
        let newer = r#"{"revoked":{"tap":"c6a1f0d2","then":"issue","by":"us"}}"#;
        assert!(serde_json::from_str::<Entry>(newer).is_ok());
        for newer in [
            r#"{"recalled":{"tap":"c6a1f0d2"}}"#,
            r#"{"revoked":{"tap":"c6a1f0d2","then":"wait"}}"#,
            r#"{"issue_in_doubt":{"round":1,"cause":{"kind":"eclipse"}}}"#,
        ] {
            assert!(serde_json::from_str::<Entry>(newer).is_err(), "{newer}");
        }
    }
}
