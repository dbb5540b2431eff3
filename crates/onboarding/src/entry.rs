use chrono::{DateTime, Utc};
use postduif_core::{DeliveryStatus, ErrorKind, GraphErrorKind, Price, Reference, TapId, Verdict};
use serde::{Deserialize, Serialize};

/// One line of a flow's journal: an intent, recorded before its effect, or an outcome, recorded after.
///
/// It holds ids, times and words of ours, and no secret: neither pass nor text nor number. What comes
/// after each entry is told by [`Onboarding::step`](crate::Onboarding::step).
///
/// ```
/// use postduif_onboarding::{Entry, Then};
///
/// let entry = Entry::Revoking { tap: "c6a1f0d2".parse()?, then: Then::Issue };
/// let json = serde_json::to_string(&entry)?;
/// assert_eq!(json, r#"{"revoking":{"tap":"c6a1f0d2","then":"issue"}}"#);
/// assert_eq!(serde_json::from_str::<Entry>(&json)?, entry);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entry {
    /// A pass is about to be asked for.
    Issuing {
        /// The round, from 1.
        round: u8,
        /// The passes that the user had before: whichever is found later and is not among them is new.
        seen: Vec<TapId>,
    },
    /// Graph certainly did not issue one.
    NotIssued {
        /// The round.
        round: u8,
        /// Why not.
        kind: GraphErrorKind,
    },
    /// Graph issued it. The secret lives in the process only.
    Issued {
        /// The round.
        round: u8,
        /// The pass.
        tap: TapId,
        /// Until when it works, by Graph's answer.
        valid_until: DateTime<Utc>,
    },
    /// A text with the pass is about to be sent.
    Sending {
        /// The round.
        round: u8,
        /// The text's key, which reports come back with.
        reference: Reference,
        /// Whom it is given to, by the profile's name.
        provider: String,
    },
    /// The vendor has the text.
    Accepted {
        /// The round.
        round: u8,
        /// The text's key.
        reference: Reference,
        /// Who took it.
        provider: String,
        /// The vendor's own id, where it gives one.
        id: Option<String>,
        /// The parts that the vendor counted, where it says so.
        parts: Option<u16>,
        /// The price, where the vendor says so.
        price: Option<Price>,
    },
    /// The vendor certainly does not have the text.
    NotAccepted {
        /// The round.
        round: u8,
        /// The text's key.
        reference: Reference,
        /// Why not.
        kind: ErrorKind,
    },
    /// The vendor may have the text.
    InDoubt {
        /// The round.
        round: u8,
        /// The text's key.
        reference: Reference,
        /// What went wrong.
        kind: ErrorKind,
    },
    /// The vendor says how far a text has come. Recorded by whoever takes the report, at any time.
    Reported {
        /// The text's key.
        reference: Reference,
        /// How far it has come.
        status: DeliveryStatus,
    },
    /// A pass is about to be taken away.
    Revoking {
        /// The pass.
        tap: TapId,
        /// What comes when it is gone.
        then: Then,
    },
    /// The pass is gone.
    Revoked {
        /// The pass.
        tap: TapId,
        /// What comes now.
        then: Then,
    },
    /// Entra is about to be told. From here on the verdict stands.
    Resuming {
        /// What it is told.
        verdict: Verdict,
    },
    /// The flow is done. Written for every flow, also where nobody waits to be told.
    Resumed {
        /// What Entra was told.
        verdict: Verdict,
        /// Whether it heard: it took the verdict, or said that it waits no more.
        heard: bool,
    },
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

#[cfg(test)]
mod tests {
    use postduif_core::Reason;

    use super::*;

    #[test]
    fn every_entry_is_read_back_from_json_as_written() {
        let reference: Reference = "order42".parse().unwrap();
        let tap: TapId = "c6a1f0d2".parse().unwrap();
        let failed = Verdict::Failed(Reason::NotAccepted);
        for (entry, json) in [
            (
                Entry::Issuing {
                    round: 1,
                    seen: vec![tap.clone()],
                },
                r#"{"issuing":{"round":1,"seen":["c6a1f0d2"]}}"#,
            ),
            (
                Entry::NotIssued {
                    round: 1,
                    kind: GraphErrorKind::PolicyRefused,
                },
                r#"{"not_issued":{"round":1,"kind":"policy_refused"}}"#,
            ),
            (
                Entry::Issued {
                    round: 2,
                    tap: tap.clone(),
                    valid_until: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
                },
                r#"{"issued":{"round":2,"tap":"c6a1f0d2","valid_until":"2027-01-15T08:00:00Z"}}"#,
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
                Entry::Accepted {
                    round: 1,
                    reference,
                    provider: "kpn".into(),
                    id: Some("a-1".into()),
                    parts: Some(1),
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
                    kind: ErrorKind::InsufficientBalance,
                },
                r#"{"not_accepted":{"round":1,"reference":"order42","kind":"insufficient_balance"}}"#,
            ),
            (
                Entry::InDoubt {
                    round: 1,
                    reference,
                    kind: ErrorKind::Timeout,
                },
                r#"{"in_doubt":{"round":1,"reference":"order42","kind":"timeout"}}"#,
            ),
            (
                Entry::Reported {
                    reference,
                    status: DeliveryStatus::Delivered,
                },
                r#"{"reported":{"reference":"order42","status":"delivered"}}"#,
            ),
            (
                Entry::Revoking {
                    tap: tap.clone(),
                    then: Then::End(failed),
                },
                r#"{"revoking":{"tap":"c6a1f0d2","then":{"end":{"failed":"not_accepted"}}}}"#,
            ),
            (
                Entry::Revoked {
                    tap,
                    then: Then::Issue,
                },
                r#"{"revoked":{"tap":"c6a1f0d2","then":"issue"}}"#,
            ),
            (
                Entry::Resuming {
                    verdict: Verdict::Completed,
                },
                r#"{"resuming":{"verdict":"completed"}}"#,
            ),
            (
                Entry::Resumed {
                    verdict: failed,
                    heard: true,
                },
                r#"{"resumed":{"verdict":{"failed":"not_accepted"},"heard":true}}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&entry).unwrap(), json);
            assert_eq!(serde_json::from_str::<Entry>(json).unwrap(), entry);
        }
    }
}
