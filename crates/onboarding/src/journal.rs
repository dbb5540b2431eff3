use std::{borrow::Cow, error::Error, fmt, sync::Arc};

use postduif_core::{FlowId, TapId, async_trait};

use crate::Entry;

/// Where a flow writes down what it is about to do, and how that ended.
///
/// # Contract
///
/// - **Durable first.** [`record`](Self::record) returns once the entry would survive whatever the journal
///   promises to survive. An effect follows only then.
/// - **In order.** [`entries`](Self::entries) gives what was recorded for the flow, oldest first, and a flow
///   that nobody recorded anything for is an empty one.
/// - **An error means: stop.** The journal may have lost its store, or somebody else may own the flow now.
///   After a [`JournalError`] the run has no further effect, not even telling Entra; whoever reads the
///   journal next goes on. An entry whose `record` failed may still be there: intents allow for that.
/// - **[`Reported`](Entry::Reported) comes from outside**, from whoever takes delivery reports, at any time,
///   also between the entries of a run.
/// - No wait without an end, no panic.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync + 'static {
    /// What is written of the flow, in order.
    ///
    /// # Errors
    ///
    /// Where the store did not say, or the flow belongs to somebody else.
    async fn entries(&self, flow: &FlowId) -> Result<Vec<Entry>, JournalError>;

    /// Writes an entry at the end; returns once it is durable.
    ///
    /// # Errors
    ///
    /// Where it may not be durable, or the flow belongs to somebody else.
    async fn record(&self, flow: &FlowId, entry: &Entry) -> Result<(), JournalError>;

    /// Whether any flow of this journal recorded this pass as [`Issued`](Entry::Issued).
    ///
    /// # Errors
    ///
    /// Where the store did not say.
    async fn issued(&self, tap: &TapId) -> Result<bool, JournalError>;
}

#[async_trait]
impl<J: Journal + ?Sized> Journal for Arc<J> {
    async fn entries(&self, flow: &FlowId) -> Result<Vec<Entry>, JournalError> {
        (**self).entries(flow).await
    }

    async fn record(&self, flow: &FlowId, entry: &Entry) -> Result<(), JournalError> {
        (**self).record(flow, entry).await
    }

    async fn issued(&self, tap: &TapId) -> Result<bool, JournalError> {
        (**self).issued(tap).await
    }
}

const _: fn(&dyn Journal) = |_| {};

/// The journal did not do its work: the run that met it has stopped, and the flow is left to whoever reads
/// the journal next.
#[derive(Clone)]
pub struct JournalError {
    message: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl JournalError {
    /// What went wrong, without any personal data.
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// What lies beneath. Its `Display` must hold no secret and no URL.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("JournalError");
        shown.field("message", &self.message);
        if let Some(source) = &self.source {
            // By `Display`: a foreign error's `Debug` may show what its `Display` leaves out.
            shown.field("source", &format_args!("{source}"));
        }
        shown.finish()
    }
}

impl Error for JournalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
