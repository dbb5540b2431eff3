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
/// Only a flow makes entries, and each variant may gain fields. A journal stores every entry with serde, and matches
/// those that it is indexed by with `..`. A test reads entries from their stored form, which later versions can read
/// too:
///
/// ```
/// use postduif_onboarding::{Entry, Then};
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
    /// A pass is about to be asked for.
    #[non_exhaustive]
    Issuing {
        /// The round, from 1. A round is over when a pass came of it.
        round: u8,
        /// The passes that the user had before, by the list and by the journal: one that is found later and is not
        /// among them is new.
        seen: Vec<TapId>,
    },
    /// Graph was not asked after all: the time was over when the intent was written.
    #[non_exhaustive]
    NotAsked {
        /// The round.
        round: u8,
    },
    /// Graph certainly did not issue one.
    #[non_exhaustive]
    NotIssued {
        /// The round.
        round: u8,
        /// What Graph said.
        cause: GraphCause,
    },
    /// Graph may have issued one.
    #[non_exhaustive]
    IssueInDoubt {
        /// The round.
        round: u8,
        /// What went wrong.
        cause: GraphCause,
    },
    /// Graph issued it. The secret lives in the process only.
    #[non_exhaustive]
    Issued {
        /// The round.
        round: u8,
        /// The pass.
        tap: TapId,
        /// Until when it works, by Graph's answer.
        valid_until: DateTime<Utc>,
    },
    /// A pass that another flow of ours issued and sent is kept for this flow: no second text.
    #[non_exhaustive]
    Kept {
        /// The pass.
        tap: TapId,
        /// Until when it works, by Graph's answer.
        valid_until: DateTime<Utc>,
    },
    /// A text with the pass is about to be sent.
    #[non_exhaustive]
    Sending {
        /// The round.
        round: u8,
        /// The text's key, which reports come back with.
        reference: Reference,
        /// Whom it is given to, by the profile's name.
        provider: String,
    },
    /// The text was not given to the vendor after all: the time was over when the intent was written.
    #[non_exhaustive]
    NotSent {
        /// The round.
        round: u8,
        /// The text's key.
        reference: Reference,
    },
    /// The vendor has the text.
    #[non_exhaustive]
    Accepted {
        /// The round.
        round: u8,
        /// The text's key.
        reference: Reference,
        /// Who took it.
        provider: String,
        /// The vendor's own id, where it gives one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The vendor's ids of the segments, where it gives each one of its own.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        part_ids: Vec<String>,
        /// The parts that the vendor counted, where it says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parts: Option<u16>,
        /// How many delivery reports tell the whole of what became of the text.
        #[serde(default = "one_report", skip_serializing_if = "is_one_report")]
        reports: u16,
        /// The price, where the vendor says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        price: Option<Price>,
    },
    /// The vendor certainly does not have the text.
    #[non_exhaustive]
    NotAccepted {
        /// The round.
        round: u8,
        /// The text's key.
        reference: Reference,
        /// What the vendor said.
        cause: SendCause,
    },
    /// The vendor may have the text.
    #[non_exhaustive]
    InDoubt {
        /// The round.
        round: u8,
        /// The text's key.
        reference: Reference,
        /// What went wrong.
        cause: SendCause,
    },
    /// A pass is about to be taken away.
    #[non_exhaustive]
    Revoking {
        /// The pass.
        tap: TapId,
        /// Until when it works, where Graph said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        valid_until: Option<DateTime<Utc>>,
        /// What comes when it is gone.
        then: Then,
    },
    /// The pass is gone.
    #[non_exhaustive]
    Revoked {
        /// The pass.
        tap: TapId,
        /// What comes now.
        then: Then,
    },
    /// The pass could not be taken away, and has ended by itself.
    #[non_exhaustive]
    Expired {
        /// The pass.
        tap: TapId,
    },
    /// A pass was in doubt, and the list has not shown it for so long that it does not exist.
    #[non_exhaustive]
    NothingSeen {},
    /// A pass was in doubt, and nobody could look whether it is there: it may be.
    #[non_exhaustive]
    Unseen {
        /// Until when it may be usable.
        until: DateTime<Utc>,
    },
    /// Entra is about to get the verdict. From here on it does not change.
    #[non_exhaustive]
    Resuming {
        /// The verdict.
        verdict: Verdict,
        /// Why, where the reason alone does not say it. In our own words, with no personal data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// What Graph said, where that is why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<GraphCause>,
    },
    /// Entra has the verdict. Written for every flow, also where nobody waits for one.
    #[non_exhaustive]
    Resumed {
        /// The verdict.
        verdict: Verdict,
        /// Whether it heard: it took the verdict, or said that it waits no more.
        heard: bool,
        /// What Graph said where it did not take the verdict.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<GraphCause>,
    },
}

impl Entry {
    /// Whether it says what is about to happen, and not what has.
    pub(crate) const fn is_intent(&self) -> bool {
        matches!(
            self,
            Self::Issuing { .. }
                | Self::Sending { .. }
                | Self::Revoking { .. }
                | Self::Resuming { .. }
        )
    }

    /// Whether it only adds to what is known, and does not decide what comes next.
    pub(crate) const fn is_remark(&self) -> bool {
        matches!(
            self,
            Self::NothingSeen {} | Self::Unseen { .. } | Self::Expired { .. }
        )
    }
}

/// What Graph said, or what went wrong between us and it: what an operator, and Microsoft's support, ask for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GraphCause {
    /// What went wrong.
    pub kind: GraphErrorKind,
    /// The same in our own words, such as the bounds that a policy has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Graph's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Graph's id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When Graph answered, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<DateTime<Utc>>,
}

impl GraphCause {
    /// Creates a cause of which only the kind is known.
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

/// Why a vendor did not take a text, or may not have.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SendCause {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The vendor's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Who said it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

impl SendCause {
    /// Creates a cause of which only the kind is known.
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

/// What comes after a pass is taken away.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a flow goes on or it ends")]
pub enum Then {
    /// The flow ends so.
    End(Verdict),
    /// Another pass, where a next round is allowed.
    Issue,
}

pub(crate) const fn one_report() -> u16 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
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
    fn a_member_that_is_not_known_is_skipped_and_a_word_is_not() {
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
