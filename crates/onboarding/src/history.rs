use postduif_core::{DeliveryStatus, TapId};

use crate::Entry;

/// What a flow's entries say together.
#[derive(Clone, Debug)]
pub(crate) struct History(Vec<Entry>);

impl History {
    pub(crate) const fn new(entries: Vec<Entry>) -> Self {
        Self(entries)
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The entry that decides what comes next.
    ///
    /// Reports come from outside and at any time, so a report is not simply the last entry: it counts while
    /// the text that it is about is the flow's last word, wherever it stands, and not any more once that
    /// text's pass is being revoked.
    pub(crate) fn last(&self) -> Option<&Entry> {
        let own = |entry: &&Entry| !matches!(entry, Entry::Reported { .. });
        let last = self.0.iter().rfind(own)?;
        let report = match last {
            Entry::Sending { reference, .. }
            | Entry::Accepted { reference, .. }
            | Entry::InDoubt { reference, .. } => self.report(reference, |_| true),
            // A refusal is proof. Only a text on the phone is a better one.
            Entry::NotAccepted { reference, .. } => {
                self.report(reference, |status| status == DeliveryStatus::Delivered)
            }
            _ => None,
        };
        Some(report.unwrap_or(last))
    }

    /// The report that counts for a text: the first that is final, for vendors' reports overtake each
    /// other, else the latest.
    fn report(
        &self,
        about: &postduif_core::Reference,
        counts: impl Fn(DeliveryStatus) -> bool,
    ) -> Option<&Entry> {
        let status = |entry: &Entry| match entry {
            Entry::Reported { reference, status } if reference == about && counts(*status) => {
                Some(*status)
            }
            _ => None,
        };
        let is_final = |entry: &&Entry| status(entry).is_some_and(DeliveryStatus::is_final);
        let is_one = |entry: &&Entry| status(entry).is_some();
        (self.0.iter().find(is_final)).or_else(|| self.0.iter().rfind(is_one))
    }

    /// The round that the flow is in; 0 before the first.
    pub(crate) fn round(&self) -> u8 {
        let rounds = self.0.iter().map(|entry| match entry {
            Entry::Issuing { round, .. } => *round,
            _ => 0,
        });
        rounds.max().unwrap_or_default()
    }

    /// The pass that was issued last.
    pub(crate) fn pass(&self) -> Option<&TapId> {
        self.0.iter().rev().find_map(|entry| match entry {
            Entry::Issued { tap, .. } => Some(tap),
            _ => None,
        })
    }

    /// How often Graph would not issue a pass in this round.
    pub(crate) fn refusals(&self, of: u8) -> u32 {
        let refusal =
            |entry: &&Entry| matches!(entry, Entry::NotIssued { round, .. } if *round == of);
        u32::try_from(self.0.iter().filter(refusal).count()).unwrap_or(u32::MAX)
    }

    /// Whether this flow took the pass away. A list may show it a while longer.
    pub(crate) fn revoked(&self, pass: &TapId) -> bool {
        let revoked = |entry: &Entry| matches!(entry, Entry::Revoked { tap, .. } if tap == pass);
        self.0.iter().any(revoked)
    }

    /// Whether the pass was not there before one of those times when we asked for one and never heard how
    /// that ended. Not only before the last: a pass may show in a list late.
    pub(crate) fn may_have_issued(&self, pass: &TapId) -> bool {
        self.0.iter().enumerate().any(|(at, entry)| {
            let Entry::Issuing { seen, .. } = entry else {
                return false;
            };
            let unheard = !self.0[at..].iter().any(|entry| {
                matches!(
                    (entry, &self.0[at]),
                    (
                        Entry::Issued { round, .. } | Entry::NotIssued { round, .. },
                        Entry::Issuing { round: asked, .. }
                    ) if round == asked
                )
            });
            unheard && !seen.contains(pass)
        })
    }
}

#[cfg(test)]
mod tests {
    use postduif_core::ErrorKind;

    use super::*;

    fn reference(text: &str) -> postduif_core::Reference {
        text.parse().unwrap()
    }

    fn sending(of: &str) -> Entry {
        Entry::Sending {
            round: 1,
            reference: reference(of),
            provider: "kpn".into(),
        }
    }

    fn reported(of: &str, status: DeliveryStatus) -> Entry {
        Entry::Reported {
            reference: reference(of),
            status,
        }
    }

    fn last(entries: &[Entry]) -> Option<Entry> {
        History::new(entries.to_vec()).last().cloned()
    }

    #[test]
    fn a_report_of_another_text_decides_nothing() {
        let late = reported("old", DeliveryStatus::Delivered);
        assert_eq!(last(std::slice::from_ref(&late)), None);
        assert_eq!(last(&[sending("new"), late]), Some(sending("new")));
    }

    #[test]
    fn a_report_that_came_before_the_vendors_answer_counts() {
        let delivered = reported("a", DeliveryStatus::Delivered);
        let in_doubt = Entry::InDoubt {
            round: 1,
            reference: reference("a"),
            kind: ErrorKind::Timeout,
        };
        assert_eq!(
            last(&[sending("a"), delivered.clone(), in_doubt]),
            Some(delivered)
        );
    }

    #[test]
    fn no_report_undoes_a_revocation() {
        let revoking = Entry::Revoking {
            tap: "t".parse().unwrap(),
            then: crate::Then::Issue,
        };
        let delivered = reported("a", DeliveryStatus::Delivered);
        assert_eq!(
            last(&[sending("a"), revoking.clone(), delivered]),
            Some(revoking)
        );
    }

    #[test]
    fn a_final_report_outlives_one_that_was_overtaken() {
        let delivered = reported("a", DeliveryStatus::Delivered);
        let sent = reported("a", DeliveryStatus::Sent);
        assert_eq!(
            last(&[sending("a"), delivered.clone(), sent]),
            Some(delivered)
        );
    }

    #[test]
    fn a_refusal_is_outweighed_by_nothing_but_the_text_on_the_phone() {
        let refused = Entry::NotAccepted {
            round: 1,
            reference: reference("a"),
            kind: ErrorKind::Blocked,
        };
        let unknown = reported("a", DeliveryStatus::Unknown);
        let delivered = reported("a", DeliveryStatus::Delivered);
        assert_eq!(last(&[refused.clone(), unknown]), Some(refused.clone()));
        assert_eq!(last(&[refused, delivered.clone()]), Some(delivered));
    }
}
