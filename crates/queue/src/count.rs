//! Metrics, with the feature `metrics`.

/// Counts a flow that this worker lost to another one.
pub(crate) fn lost() {
    #[cfg(feature = "metrics")]
    metrics::counter!("postduif_leases_lost_total").increment(1);
}

/// Counts a flow that was claimed after its holder died.
pub(crate) fn takeover() {
    #[cfg(feature = "metrics")]
    metrics::counter!("postduif_takeovers_total").increment(1);
}
