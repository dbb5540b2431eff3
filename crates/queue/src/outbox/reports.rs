use std::{fmt, sync::Arc};

use postduif_core::{DeliveryReport, ReportSink, ReportSinkError, Stored, async_trait};

use super::Outbox;

/// The delivery reports of the queue's messages.
///
/// A report finds its message by the reference, or by the vendor's id. Those of a message's parts are joined. A report
/// of a message that is to be sent again proves that a vendor has it: the message is then not sent any more.
///
/// One URL of a vendor's reports may serve messages and onboarding flows:
///
/// ```
/// # mod postduif { pub use postduif_queue as queue; pub use postduif_onboarding as onboarding; }
/// use std::sync::Arc;
/// use postduif::{onboarding::Onboarding, queue::{MessageReports, Queue}};
///
/// fn sink(queue: &Queue, onboarding: Arc<Onboarding>) -> MessageReports {
///     queue.message_reports().or(onboarding)
/// }
/// ```
pub struct MessageReports {
    outbox: Option<Outbox>,
    other: Option<Arc<dyn ReportSink>>,
}

impl MessageReports {
    pub(crate) const fn new(outbox: Option<Outbox>) -> Self {
        Self {
            outbox,
            other: None,
        }
    }

    /// Sets the sink of reports that are about no message of the queue.
    #[must_use]
    pub fn or(mut self, other: impl ReportSink) -> Self {
        self.other = Some(match self.other {
            Some(first) => Arc::new(Either(first, Arc::new(other))),
            None => Arc::new(other),
        });
        self
    }
}

#[async_trait]
impl ReportSink for MessageReports {
    async fn store(&self, report: &DeliveryReport) -> Result<Stored, ReportSinkError> {
        if let Some(outbox) = &self.outbox {
            let stored = outbox.report(report).await;
            let stored = stored.map_err(|error| {
                ReportSinkError::new("the queue did not store the report").with_source(error)
            });
            if stored? {
                return Ok(Stored::Known);
            }
        }
        match &self.other {
            Some(other) => other.store(report).await,
            None => Ok(Stored::Unknown),
        }
    }
}

impl fmt::Debug for MessageReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageReports")
            .field("outbox", &self.outbox)
            .field("other", &self.other)
            .finish()
    }
}

/// Two sinks, the second for what the first does not know.
#[derive(Debug)]
struct Either(Arc<dyn ReportSink>, Arc<dyn ReportSink>);

#[async_trait]
impl ReportSink for Either {
    async fn store(&self, report: &DeliveryReport) -> Result<Stored, ReportSinkError> {
        match self.0.store(report).await? {
            Stored::Known => Ok(Stored::Known),
            Stored::Unknown => self.1.store(report).await,
        }
    }
}
