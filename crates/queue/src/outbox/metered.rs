//! Metrics, with the feature `metrics`.

use std::time::Duration;

/// Counts a message by what became of a try, by the name of the sender's provider.
pub(crate) fn sent(provider: &str, outcome: &'static str) {
    count(provider, outcome, 1);
}

/// Counts messages that ended without a try of this process.
pub(crate) fn count(provider: &str, outcome: &'static str, messages: u64) {
    #[cfg(feature = "metrics")]
    if messages > 0 {
        metrics::counter!("postduif_outbox_messages_total", "provider" => provider.to_owned(), "outcome" => outcome)
            .increment(messages);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (provider, outcome, messages);
}

/// Counts a message that was refused since another one has its key or reference.
pub(crate) fn conflict() {
    #[cfg(feature = "metrics")]
    metrics::counter!("postduif_outbox_conflicts_total").increment(1);
}

/// Sets how many messages wait, and for how long the oldest one has been due.
pub(crate) fn depth(provider: &str, messages: u64, oldest: Duration) {
    #[cfg(feature = "metrics")]
    {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("postduif_outbox_waiting", "provider" => provider.to_owned())
            .set(messages as f64);
        metrics::gauge!("postduif_outbox_oldest_seconds", "provider" => provider.to_owned())
            .set(oldest.as_secs_f64());
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (provider, messages, oldest);
}
