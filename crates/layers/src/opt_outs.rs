//! **Does:** records in your list who wants no more texts, or texts again, by what people send to your numbers, and gives
//! each message to the sink of your own, if there is one.
//!
//! **Never:** sends anything; acknowledges a message whose opt-out the list did not take.
//!
//! **Belongs** behind the routes of inbound texts. [`Suppress`](crate::Suppress) asks the same list before each message.

use std::{error::Error, fmt, sync::Arc};

use postduif_core::{
    InboundMessage, InboundSink, OptOut, OptOutWords, PhoneNumber, ReportSinkError, async_trait,
};

use crate::{SuppressedNumbers, suppress::ListError};

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
/// Opt-outs count in the order in which they arrive. Where a vendor repeats an old request after a newer one, the routes
/// know it (`webhooks::Inbound`), until the process ends.
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
}

impl OptOuts {
    /// Creates a sink that writes to this list, which may be shared by an `Arc`.
    #[must_use]
    pub fn new(list: impl OptOutList) -> Self {
        Self {
            list: Box::new(list),
            words: OptOutWords::new(),
            next: None,
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
}

#[async_trait]
impl InboundSink for OptOuts {
    async fn store(&self, message: &InboundMessage) -> Result<(), ReportSinkError> {
        if let Some(opt_out) = self.words.classify(message) {
            let recorded = self.list.record_opt_out(message.from, opt_out).await;
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
