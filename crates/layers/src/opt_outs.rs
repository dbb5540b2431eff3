//! **Does:** records in your list who wants no more texts, or texts again, by what people send to your numbers, and gives
//! each message to the sink of your own, if there is one.
//!
//! **Never:** sends anything; acknowledges a message whose opt-out the list did not take.
//!
//! **Belongs** behind the routes of inbound texts. [`Suppress`](crate::Suppress) asks the same list before each message.

use std::{
    collections::{HashMap, VecDeque},
    error::Error,
    fmt,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use postduif_core::{
    InboundMessage, InboundSink, OptOut, OptOutWords, PhoneNumber, ReportSinkError, async_trait,
    chrono::{DateTime, Utc},
};

use crate::{SuppressedNumbers, dispatch::lock, suppress::ListError};

/// A list of numbers that takes opt-outs, such as a table of a database: what [`OptOuts`] writes to.
///
/// It is the other side of a [`SuppressionList`](crate::SuppressionList), which [`Suppress`](crate::Suppress) reads.
/// [`SuppressedNumbers`] is both.
#[async_trait]
pub trait OptOutList: Send + Sync + 'static {
    /// Adds the number for [`OptOut::Stop`], and removes it for [`OptOut::Start`]. It may be repeated.
    ///
    /// # Errors
    ///
    /// Returns an error if the list may not have it: the vendor then sends the message again. Its `Display` output must
    /// not contain the number.
    async fn record_opt_out(
        &self,
        number: PhoneNumber,
        opt_out: OptOut,
    ) -> Result<(), Box<dyn Error + Send + Sync>>;
}

const _: fn(&dyn OptOutList) = |_| {};

#[async_trait]
impl<L: OptOutList + ?Sized> OptOutList for Arc<L> {
    async fn record_opt_out(
        &self,
        number: PhoneNumber,
        opt_out: OptOut,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        L::record_opt_out(self, number, opt_out).await
    }
}

#[async_trait]
impl OptOutList for SuppressedNumbers {
    async fn record_opt_out(
        &self,
        number: PhoneNumber,
        opt_out: OptOut,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.record(number, opt_out);
        Ok(())
    }
}

/// A sink of inbound texts that records who opts out, and back in.
///
/// [`OptOutWords`] decides what a message means, and the vendor's own flag counts first. The opt-out is recorded before
/// the message goes on to the sink behind, so that it counts even if that one fails.
///
/// Opt-outs count in the order in which they arrive, but an opt-in that was [sent](InboundMessage::at) before the latest
/// opt-out of the same person does not count: a vendor may repeat an old request after a newer one. The latest 100,000
/// opt-outs are known for that, until the process ends.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::SmsProvider;
/// use std::sync::Arc;
/// use postduif::{InboundMessage, InboundSink as _, layers::{OptOuts, Suppress, SuppressedNumbers}};
///
/// # async fn example(vendor: impl SmsProvider) -> Result<(), Box<dyn std::error::Error>> {
/// let list = Arc::new(SuppressedNumbers::new());
/// let provider = Suppress::new(vendor, Arc::clone(&list));
/// // The sink of `webhooks::Inbound::builder`.
/// let sink = OptOuts::new(Arc::clone(&list));
///
/// let number = "+31612345678".parse()?;
/// sink.store(&InboundMessage::new("kpn", number, "Stop!")).await?;
/// assert!(list.has(number));
/// # Ok(())
/// # }
/// ```
pub struct OptOuts {
    list: Box<dyn OptOutList>,
    words: OptOutWords,
    next: Option<Box<dyn InboundSink>>,
    latest: Mutex<Latest>,
}

/// The times of the latest opt-outs, bounded: the one that came first is forgotten.
#[derive(Default)]
struct Latest {
    times: HashMap<PhoneNumber, DateTime<Utc>>,
    order: VecDeque<PhoneNumber>,
}

/// A few megabytes.
const MAX_LATEST: usize = 100_000;

impl Latest {
    fn note(&mut self, number: PhoneNumber, at: DateTime<Utc>) {
        if let Some(known) = self.times.get_mut(&number) {
            *known = at.max(*known);
            return;
        }
        if self.order.len() >= MAX_LATEST
            && let Some(first) = self.order.pop_front()
        {
            self.times.remove(&first);
        }
        self.times.insert(number, at);
        self.order.push_back(number);
    }
}

impl OptOuts {
    /// Creates a sink that writes to this list, which may be shared by an `Arc`.
    #[must_use]
    pub fn new(list: impl OptOutList) -> Self {
        Self {
            list: Box::new(list),
            words: OptOutWords::new(),
            next: None,
            latest: Mutex::default(),
        }
    }

    /// Sets the words that count. Defaults to [`OptOutWords::new`]: the Dutch and the English ones.
    #[must_use]
    pub fn with_words(mut self, words: OptOutWords) -> Self {
        self.words = words;
        self
    }

    /// Sets the sink that gets every message too, opt-outs included. Defaults to none: all other texts are dropped.
    #[must_use]
    pub fn with_sink(mut self, sink: impl InboundSink) -> Self {
        self.next = Some(Box::new(sink));
        self
    }

    async fn record(
        &self,
        message: &InboundMessage,
        opt_out: OptOut,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let (number, at) = (message.from, message.at);
        let is_outdated = || {
            let latest = lock(&self.latest).times.get(&number).copied();
            matches!((at, latest), (Some(at), Some(latest)) if at < latest)
        };
        match opt_out {
            OptOut::Stop => {
                let now = SystemTime::now().into();
                lock(&self.latest).note(number, at.map_or(now, |at| at.min(now)));
            }
            OptOut::Start if is_outdated() => return Ok(()),
            OptOut::Start => {}
        }
        self.list.record_opt_out(number, opt_out).await?;
        if opt_out == OptOut::Start && is_outdated() {
            // The opt-out came meanwhile, and the list may have taken it first.
            self.list.record_opt_out(number, OptOut::Stop).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl InboundSink for OptOuts {
    async fn store(&self, message: &InboundMessage) -> Result<(), ReportSinkError> {
        if let Some(opt_out) = self.words.classify(message) {
            let recorded = self.record(message, opt_out).await;
            recorded.map_err(|error| {
                ReportSinkError::new("the list of opt-outs failed").with_source(ListError(error))
            })?;
        }
        match &self.next {
            Some(next) => next.store(message).await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for OptOuts {
    /// Leaves out the list, which holds numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OptOuts")
            .field("words", &self.words)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
