use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    error::Error,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    iter::once,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use crate::{Delivery, DeliveryReport, DeliveryStatus, Receipt, Reference};

/// What a delivery report names its message by.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum MessageKey {
    /// The reference that the message was sent with.
    Reference(Reference),
    /// The vendor's id of the message, or of a part of it.
    #[non_exhaustive]
    Id {
        /// The provider's name, as in its profile.
        provider: Cow<'static, str>,
        /// The id, which is unique for this provider only.
        id: Box<str>,
    },
}

impl MessageKey {
    /// Creates the key of a message by a vendor's id.
    #[must_use]
    pub fn id(provider: impl Into<Cow<'static, str>>, id: impl Into<Box<str>>) -> Self {
        Self::Id {
            provider: provider.into(),
            id: id.into(),
        }
    }
}

impl From<Reference> for MessageKey {
    fn from(reference: Reference) -> Self {
        Self::Reference(reference)
    }
}

impl DeliveryReport {
    /// Returns the keys by which the report's message can be found, best first: its reference, the vendor's id of the
    /// message, and that of the part.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::{DeliveryReport, DeliveryStatus, MessageKey, Reference};
    ///
    /// let mut report = DeliveryReport::new("kpn", DeliveryStatus::Delivered).with_reference_text("order42");
    /// report.id = Some("31-8f2c".into());
    /// let keys: Vec<_> = report.keys().collect();
    /// let reference: Reference = "order42".parse()?;
    /// assert_eq!(keys, [reference.into(), MessageKey::id("kpn", "31-8f2c")]);
    /// # Ok::<(), postduif::ParseError>(())
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = MessageKey> {
        let ids = self.id.iter().chain(&self.part);
        let ids = ids.map(|id| MessageKey::id(self.provider.clone(), id.as_str()));
        self.reference.map(MessageKey::from).into_iter().chain(ids)
    }
}

/// A store of delivery reports: what a web service calls with each report that its [`ReportParser`] has verified.
///
/// [`LatestReports`] keeps them in memory. The onboarding flow is one too, and so is a table of your own:
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{DeliveryReport, ReportSink, ReportSinkError, Stored, async_trait};
/// # #[derive(Debug)]
/// # struct Database;
/// # impl Database {
/// #     async fn set_status(&self, _: &str, _: &str) -> Result<u64, std::io::Error> { Ok(1) }
/// # }
///
/// #[derive(Debug)]
/// struct Orders {
///     database: Database,
/// }
///
/// #[async_trait]
/// impl ReportSink for Orders {
///     async fn store(&self, report: &DeliveryReport) -> Result<Stored, ReportSinkError> {
///         let Some(reference) = &report.reference else {
///             return Ok(Stored::Unknown);
///         };
///         // Only where the stored status is not final: `... WHERE reference = $1 AND NOT final`.
///         let rows = self.database.set_status(reference.as_str(), report.status.as_str()).await;
///         match rows.map_err(|error| ReportSinkError::new("the database failed").with_source(error))? {
///             0 => Ok(Stored::Unknown),
///             _ => Ok(Stored::Known),
///         }
///     }
/// }
/// ```
///
/// # Contract
///
/// - The report was verified: a sink trusts it.
/// - `store` returns once the report would survive whatever the sink promises to survive.
/// - Reports arrive in any order and any number of times. A final status is never replaced by a lesser one, and the
///   parts of a message are [joined](Delivery) before they count.
/// - Every call ends, and no call panics.
///
/// [`ReportParser`]: crate::ReportParser
#[async_trait]
pub trait ReportSink: fmt::Debug + Send + Sync + 'static {
    /// Stores a report with the message that it is about.
    ///
    /// # Errors
    ///
    /// If the report may not be stored. The vendor should send it again.
    async fn store(&self, report: &DeliveryReport) -> Result<Stored, ReportSinkError>;
}

const _: fn(&dyn ReportSink) = |_| {};

#[async_trait]
impl<S: ReportSink + ?Sized> ReportSink for Arc<S> {
    async fn store(&self, report: &DeliveryReport) -> Result<Stored, ReportSinkError> {
        (**self).store(report).await
    }
}

/// Whether a [`ReportSink`] knows the message of a report.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a route must decide on both")]
pub enum Stored {
    /// The report is stored with its message, or says nothing new about it.
    Known,
    /// The report is not stored: no message has one of its [keys](DeliveryReport::keys). It may be another system's on
    /// the same account, or the vendor may not have responded to the send yet.
    Unknown,
}

/// A report that could not be stored.
#[derive(Clone)]
pub struct ReportSinkError {
    message: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ReportSinkError {
    /// Creates an error. The message must not contain personal data.
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// Sets the underlying cause. Its `Display` output must not contain secrets or URLs.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

impl fmt::Display for ReportSinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ReportSinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ReportSinkError");
        shown.field("message", &self.message);
        if let Some(source) = &self.source {
            // By `Display`: the `Debug` of a foreign error may show more.
            shown.field("source", &format_args!("{source}"));
        }
        shown.finish()
    }
}

impl Error for ReportSinkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// The delivery status of the latest messages, in memory.
///
/// Reports may arrive before the message's receipt does, so a report of an unknown message is kept too. The messages
/// are bounded: beyond the capacity the one that was added first is removed.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{DeliveryReport, DeliveryStatus, LatestReports, Receipt, ReportSink as _, Reference};
///
/// # futures_executor::block_on(async {
/// let reports = LatestReports::new();
/// let receipt = Receipt::new("kpn", Reference::random());
/// reports.expect(&receipt);
///
/// let report = DeliveryReport::new("kpn", DeliveryStatus::Delivered).with_reference_text(receipt.reference().as_str());
/// reports.store(&report).await?;
/// assert_eq!(reports.status(&(*receipt.reference()).into()), Some(DeliveryStatus::Delivered));
/// # Ok::<(), postduif::ReportSinkError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct LatestReports(Arc<Inner>);

struct Inner {
    capacity: NonZeroUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By a number of our own, since a message has several keys.
    messages: BTreeMap<u64, Known>,
    by_key: HashMap<MessageKey, u64>,
    next: u64,
}

#[derive(Default)]
struct Known {
    delivery: Delivery,
    keys: Vec<MessageKey>,
    /// Digests of the reports: a repeated one must not count as the report of another part.
    seen: Vec<u64>,
}

/// The most keys of one message: a reference, an id, and one for each part.
const MAX_KEYS: usize = 2 + 255;

/// The most reports of one message that are told apart: each part has a few.
const MAX_SEEN: usize = 4 * 255;

impl LatestReports {
    /// Creates a store of the latest 10,000 messages.
    #[must_use]
    pub fn new() -> Self {
        const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).expect("10,000 is not zero");
        Self::with_capacity(CAPACITY)
    }

    /// Creates a store of the latest messages, up to this number.
    #[must_use]
    pub fn with_capacity(capacity: NonZeroUsize) -> Self {
        Self(Arc::new(Inner {
            capacity,
            state: Mutex::default(),
        }))
    }

    /// Adds an accepted message: how many reports it expects, and the vendor's ids by which they may name it.
    ///
    /// Without it a message is known from its first report on, and expects one.
    pub fn expect(&self, receipt: &Receipt) {
        let provider = Cow::<'static, str>::Owned(receipt.provider().to_owned());
        let ids = receipt.id().into_iter().chain(receipt.part_ids());
        let ids = ids.map(|id| MessageKey::id(provider.clone(), id));
        let keys = once(MessageKey::from(*receipt.reference())).chain(ids);
        self.change(keys, |known| {
            known.delivery.expect(receipt.expected_reports());
        });
    }

    /// Returns the delivery status of a message. `None` if the store has neither its receipt nor a report.
    #[must_use]
    pub fn status(&self, key: &MessageKey) -> Option<DeliveryStatus> {
        let state = self.state();
        let known = state.messages.get(state.by_key.get(key)?)?;
        Some(known.delivery.status())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code under the lock panics between two related changes.
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the message with these keys, and adds it if there is none.
    fn change(&self, keys: impl Iterator<Item = MessageKey>, change: impl FnOnce(&mut Known)) {
        let keys: Vec<_> = keys.take(MAX_KEYS).collect();
        if keys.is_empty() {
            return;
        }
        let mut state = self.state();
        let mut known = Known::default();
        // Several, if reports named the message by different keys before its receipt was there.
        let mut oldest = None;
        for key in &keys {
            if let Some(number) = state.by_key.get(key).copied()
                && let Some(other) = state.messages.remove(&number)
            {
                oldest = Some(oldest.map_or(number, |oldest: u64| oldest.min(number)));
                // Beyond the limit of a message's keys, some of them are not its keys any more.
                for key in &other.keys {
                    state.by_key.remove(key);
                }
                known.absorb(other);
            }
        }
        known.add_keys(keys);
        change(&mut known);
        let number = oldest.unwrap_or_else(|| state.next_number(self.0.capacity));
        for key in &known.keys {
            state.by_key.insert(key.clone(), number);
        }
        state.messages.insert(number, known);
    }
}

impl State {
    /// Makes room for another message, and returns its number.
    fn next_number(&mut self, capacity: NonZeroUsize) -> u64 {
        while self.messages.len() >= capacity.get() {
            let Some((_, oldest)) = self.messages.pop_first() else {
                break;
            };
            for key in &oldest.keys {
                self.by_key.remove(key);
            }
        }
        self.next += 1;
        self.next
    }
}

impl Known {
    fn add_keys(&mut self, keys: impl IntoIterator<Item = MessageKey>) {
        for key in keys {
            if self.keys.len() < MAX_KEYS && !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
    }

    /// Adds what is known about the same message under another key.
    fn absorb(&mut self, other: Self) {
        self.delivery.absorb(other.delivery);
        self.seen.extend(other.seen);
        self.seen.truncate(MAX_SEEN);
        self.add_keys(other.keys);
    }

    fn add(&mut self, report: &DeliveryReport) {
        let digest = digest(report);
        if self.seen.contains(&digest) {
            return;
        }
        if self.seen.len() < MAX_SEEN {
            self.seen.push(digest);
        }
        self.delivery.add(report);
    }
}

/// A repeated report has the same digest.
fn digest(report: &DeliveryReport) -> u64 {
    let mut hasher = DefaultHasher::new();
    // Some vendors name a part by the id.
    (
        &report.id,
        &report.part,
        report.status,
        &report.code,
        report.at,
    )
        .hash(&mut hasher);
    hasher.finish()
}

impl Default for LatestReports {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LatestReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatestReports")
            .field("capacity", &self.0.capacity)
            .field("messages", &self.state().messages.len())
            .finish()
    }
}

#[async_trait]
impl ReportSink for LatestReports {
    async fn store(&self, report: &DeliveryReport) -> Result<Stored, ReportSinkError> {
        if report.keys().next().is_none() {
            return Ok(Stored::Unknown);
        }
        self.change(report.keys(), |known| known.add(report));
        Ok(Stored::Known)
    }
}

#[cfg(test)]
mod tests {
    use DeliveryStatus::{Buffered, Delivered, Failed, Sent};

    use super::*;

    fn store(capacity: usize) -> LatestReports {
        LatestReports::with_capacity(NonZeroUsize::new(capacity).unwrap())
    }

    fn reference(text: &str) -> MessageKey {
        text.parse::<Reference>().unwrap().into()
    }

    fn receipt(text: &str, parts: u16) -> Receipt {
        Receipt::new("cm", text.parse().unwrap())
            .with_id("id-1")
            .with_expected_reports(parts)
    }

    fn report(status: DeliveryStatus, at: i64) -> DeliveryReport {
        let mut report = DeliveryReport::new("cm", status);
        report.at = chrono::DateTime::from_timestamp(at, 0);
        report
    }

    fn add(store: &LatestReports, report: &DeliveryReport) -> Stored {
        futures_executor::block_on(store.store(report)).unwrap()
    }

    #[test]
    fn a_final_status_is_not_replaced_by_a_lesser_one() {
        let store = store(10);
        for (status, at) in [(Sent, 1), (Delivered, 2), (Buffered, 3)] {
            add(&store, &report(status, at).with_reference_text("a"));
        }
        assert_eq!(store.status(&reference("a")), Some(Delivered));
    }

    #[test]
    fn a_message_of_two_parts_is_delivered_with_the_second_report_of_them() {
        let store = store(10);
        store.expect(&receipt("a", 2));
        let first = report(Delivered, 1).with_reference_text("a");
        // The vendor repeats it, since our response was lost.
        for _ in 0..2 {
            assert_eq!(add(&store, &first), Stored::Known);
            assert_eq!(store.status(&reference("a")), Some(Sent));
        }
        add(&store, &report(Delivered, 2).with_reference_text("a"));
        assert_eq!(store.status(&reference("a")), Some(Delivered));
    }

    #[test]
    fn a_report_before_the_receipt_counts() {
        let store = store(10);
        let mut by_id = report(Delivered, 1);
        by_id.id = Some("id-1".into());
        add(&store, &by_id);
        let by_reference = report(Delivered, 2).with_reference_text("a");
        add(&store, &by_reference);
        store.expect(&receipt("a", 2));
        assert_eq!(store.status(&reference("a")), Some(Delivered));
        assert_eq!(store.status(&MessageKey::id("cm", "id-1")), Some(Delivered));
    }

    #[test]
    fn the_id_of_another_provider_is_another_message() {
        let store = store(10);
        store.expect(&receipt("a", 1));
        let mut other = DeliveryReport::new("kpn", Failed);
        other.id = Some("id-1".into());
        add(&store, &other);
        assert_eq!(store.status(&reference("a")), Some(DeliveryStatus::Unknown));
    }

    #[test]
    fn the_oldest_message_makes_room_with_all_its_keys() {
        let store = store(2);
        store.expect(&receipt("a", 1));
        for text in ["b", "c"] {
            add(&store, &report(Delivered, 1).with_reference_text(text));
        }
        assert_eq!(store.status(&reference("a")), None);
        assert_eq!(store.status(&MessageKey::id("cm", "id-1")), None);
        assert_eq!(store.status(&reference("c")), Some(Delivered));
        let state = store.state();
        assert_eq!((state.messages.len(), state.by_key.len()), (2, 2));
    }

    #[test]
    fn a_report_without_any_key_is_not_kept() {
        let store = store(2);
        assert_eq!(add(&store, &report(Delivered, 1)), Stored::Unknown);
        assert_eq!(store.state().messages.len(), 0);
    }

    #[test]
    fn reports_with_the_ids_of_two_parts_are_two() {
        let store = store(10);
        store.expect(&receipt("a", 2));
        for id in ["id-1", "id-2"] {
            let mut report = report(Delivered, 1).with_reference_text("a");
            report.id = Some(id.into());
            add(&store, &report);
        }
        assert_eq!(store.status(&reference("a")), Some(Delivered));
    }

    #[test]
    fn a_message_with_too_many_keys_leaves_none_behind() {
        let store = store(2);
        let named = |name: &str, parts: std::ops::Range<u32>| {
            for part in parts {
                let mut report = report(Sent, 1);
                report.id = Some(name.into());
                report.part = Some(part.to_string());
                add(&store, &report);
            }
        };
        named("id-1", 0..200);
        named("id-2", 200..400);
        let mut both = report(Sent, 1);
        (both.id, both.part) = (Some("id-1".into()), Some("id-2".into()));
        add(&store, &both);
        for text in ["b", "c"] {
            add(&store, &report(Sent, 1).with_reference_text(text));
        }
        assert_eq!(store.state().by_key.len(), 2);
    }

    #[test]
    fn no_vendor_makes_a_message_grow_without_bound() {
        let store = store(2);
        for part in 0..5_000 {
            let mut report = report(Sent, part).with_reference_text("a");
            report.part = Some(part.to_string());
            add(&store, &report);
        }
        let state = store.state();
        let known = state.messages.values().next().unwrap();
        assert!(known.keys.len() <= MAX_KEYS && known.seen.len() <= MAX_SEEN);
        assert!(state.by_key.len() <= MAX_KEYS);
    }
}
