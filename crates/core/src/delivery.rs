use std::collections::BTreeMap;

use crate::{DeliveryReport, DeliveryStatus, Receipt};

/// The delivery of one message, combined from the reports of its parts.
///
/// A message is delivered if every part is. A part that failed for good makes the message failed, whatever the other
/// parts report. The first final status of a part stays; later reports of that part do not change it.
///
/// Reports that name no part are counted, so add each of them once: a vendor that receives no successful response
/// repeats the same report.
///
/// A report may arrive before `send` has returned. Keep such a report by its reference.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{Delivery, DeliveryReport, DeliveryStatus, Receipt, Reference};
///
/// // As from CM.com for a text of two parts, each of which it reports.
/// let receipt = Receipt::new("cm", Reference::random()).with_expected_reports(2);
/// let mut delivery = Delivery::of(&receipt);
/// let report = DeliveryReport::new("cm", DeliveryStatus::Delivered);
/// assert_eq!(delivery.add(&report), DeliveryStatus::Sent);
/// assert_eq!(delivery.add(&report), DeliveryStatus::Delivered);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    expected: u16,
    /// By the name of the part; `None` for reports that name none.
    parts: BTreeMap<Option<String>, Part>,
    /// The combined status of the parts beyond `MOST_PARTS`.
    beyond: Option<DeliveryStatus>,
}

#[derive(Clone, Debug)]
struct Part {
    status: DeliveryStatus,
    /// The number of "delivered" reports that name no part.
    delivered: u16,
}

/// The most parts of a text. Reports that name more are not about parts.
const MOST_PARTS: usize = 255;

impl Delivery {
    /// Creates the delivery of an accepted message, without any report yet.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Self {
        Self::new().with_parts(receipt.expected_reports())
    }

    /// Creates a delivery that expects one report at most.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many parts the vendor reports one by one: [`Receipt::expected_reports`], not the number of parts of
    /// the text. Most vendors report the whole text, which is 1 or 0.
    #[must_use]
    pub const fn with_parts(mut self, parts: u16) -> Self {
        self.expected = parts;
        self
    }

    /// Sets how many parts the vendor reports, of a delivery that may have reports already.
    pub(crate) const fn expect(&mut self, parts: u16) {
        self.expected = parts;
    }

    /// Adds the reports of the same message that another delivery has.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.expected = self.expected.max(other.expected);
        for (name, other) in other.parts {
            if let Some(part) = self.parts.get_mut(&name) {
                part.delivered = part.delivered.saturating_add(other.delivered);
                part.status = joined(name.is_some(), part.status, other.status);
            } else if self.parts.len() >= MOST_PARTS {
                self.add_beyond(other.status);
            } else {
                self.parts.insert(name, other);
            }
        }
        if let Some(status) = other.beyond {
            self.add_beyond(status);
        }
    }

    fn add_beyond(&mut self, status: DeliveryStatus) {
        self.beyond = Some(self.beyond.map_or(status, |known| worse(known, status)));
    }

    /// Adds a report, and returns the message's new [status](Self::status).
    pub fn add(&mut self, report: &DeliveryReport) -> DeliveryStatus {
        if self.parts.len() >= MOST_PARTS && !self.parts.contains_key(&report.part) {
            self.add_beyond(report.status);
            return self.status();
        }
        let part = self.parts.entry(report.part.clone()).or_insert(Part {
            status: DeliveryStatus::Unknown,
            delivered: 0,
        });
        if report.status == DeliveryStatus::Delivered {
            part.delivered = part.delivered.saturating_add(1);
        }
        part.status = joined(report.part.is_some(), part.status, report.status);
        self.status()
    }

    /// Returns the message's status: the worst final status of its parts, or else the least advanced one.
    ///
    /// It is [`Delivered`](DeliveryStatus::Delivered) only if every part is.
    #[must_use]
    pub fn status(&self) -> DeliveryStatus {
        let names_parts = self.parts.keys().any(Option::is_some);
        // If parts are named, a report that names none is about the whole text, and its interim status is
        // outdated by theirs.
        let counts = |(name, part): &(&Option<String>, &Part)| {
            name.is_some() || !names_parts || part.status.is_final()
        };
        let seen = self.parts.iter().filter(counts);
        let seen = seen.map(|(_, part)| part.status).chain(self.beyond);
        let Some(joined) = seen.reduce(worse) else {
            return DeliveryStatus::Unknown;
        };
        if joined == DeliveryStatus::Delivered && !self.is_complete() {
            return DeliveryStatus::Sent;
        }
        joined
    }

    /// Returns whether as many parts were delivered as are expected.
    fn is_complete(&self) -> bool {
        let named = self.parts.keys().filter(|part| part.is_some()).count();
        let unnamed = self.parts.get(&None).map_or(0, |part| part.delivered);
        let seen = named.max(usize::from(unnamed));
        seen >= usize::from(self.expected)
    }
}

/// Returns the status of a part after another report of it.
fn joined(is_named: bool, known: DeliveryStatus, new: DeliveryStatus) -> DeliveryStatus {
    match (known, new) {
        // Reports that name no part may be about different parts, so the worst final status counts.
        _ if !is_named && known.is_final() && new.is_final() => worse(known, new),
        _ if known.is_final() => known,
        // It adds no information.
        (known, DeliveryStatus::Unknown) => known,
        (_, new) => new,
    }
}

/// Returns the one of two parts' statuses that determines the message's.
fn worse(one: DeliveryStatus, other: DeliveryStatus) -> DeliveryStatus {
    const fn rank(status: DeliveryStatus) -> u8 {
        match status {
            DeliveryStatus::Delivered => 0,
            DeliveryStatus::Sent => 1,
            DeliveryStatus::Buffered => 2,
            DeliveryStatus::Unknown => 3,
            DeliveryStatus::Expired => 4,
            DeliveryStatus::Failed => 5,
            DeliveryStatus::Rejected => 6,
        }
    }
    if rank(one) >= rank(other) { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DeliveryStatus::{Buffered, Delivered, Expired, Failed, Rejected, Sent, Unknown};

    fn join(parts: u16, reports: &[(Option<&str>, DeliveryStatus)]) -> DeliveryStatus {
        let mut delivery = Delivery::new().with_parts(parts);
        for (part, status) in reports {
            let mut report = DeliveryReport::new("cm", *status);
            report.part = part.map(str::to_owned);
            delivery.add(&report);
        }
        delivery.status()
    }

    #[test]
    fn a_message_is_delivered_when_every_part_is() {
        assert_eq!(join(0, &[(None, Delivered)]), Delivered);
        assert_eq!(join(1, &[(None, Delivered)]), Delivered);
        assert_eq!(join(2, &[(Some("a"), Delivered)]), Sent);
        assert_eq!(
            join(2, &[(Some("a"), Delivered), (Some("a"), Delivered)]),
            Sent
        );
        assert_eq!(
            join(2, &[(Some("a"), Delivered), (Some("b"), Delivered)]),
            Delivered
        );
        assert_eq!(join(2, &[(None, Delivered)]), Sent);
        assert_eq!(join(2, &[(None, Delivered), (None, Delivered)]), Delivered);
    }

    #[test]
    fn the_worst_final_status_is_the_messages() {
        for order in [[0, 1], [1, 0]] {
            for bad in [Failed, Expired, Rejected] {
                let reports = [(Some("a"), Delivered), (Some("b"), bad)];
                assert_eq!(join(2, &order.map(|index| reports[index])), bad);
                let unnamed = [(None, Delivered), (None, bad)];
                assert_eq!(join(2, &order.map(|index| unnamed[index])), bad);
            }
        }
    }

    #[test]
    fn a_final_status_of_a_part_is_not_undone() {
        assert_eq!(
            join(1, &[(Some("a"), Delivered), (Some("a"), Buffered)]),
            Delivered
        );
        assert_eq!(
            join(1, &[(Some("a"), Failed), (Some("a"), Delivered)]),
            Failed
        );
        assert_eq!(join(1, &[(None, Delivered), (None, Unknown)]), Delivered);
    }

    #[test]
    fn an_interim_status_of_the_whole_text_yields_to_its_parts() {
        assert_eq!(join(1, &[(None, Sent), (Some("a"), Delivered)]), Delivered);
        assert_eq!(join(1, &[(None, Failed), (Some("a"), Delivered)]), Failed);
    }

    #[test]
    fn before_it_is_final_the_least_advanced_part_counts() {
        assert_eq!(join(0, &[]), Unknown);
        assert_eq!(
            join(2, &[(Some("a"), Sent), (Some("b"), Buffered)]),
            Buffered
        );
        assert_eq!(join(2, &[(Some("a"), Delivered), (Some("b"), Sent)]), Sent);
    }

    #[test]
    fn no_vendor_makes_it_grow_without_bound() {
        let mut delivery = Delivery::new();
        for part in 0..10_000 {
            let mut report = DeliveryReport::new("cm", Delivered);
            report.part = Some(part.to_string());
            delivery.add(&report);
        }
        assert!(delivery.parts.len() <= MOST_PARTS);
        let mut failed = DeliveryReport::new("cm", Failed);
        failed.part = Some("one more".to_owned());
        assert_eq!(delivery.add(&failed), Failed);
    }
}
