//! Metrics, with the feature `metrics`.

/// Counts a call-out by what became of it.
#[cfg(feature = "entra")]
pub(crate) fn callout(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("postduif_callouts_total", "outcome" => outcome).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = outcome;
}

/// Counts a request of a vendor by what became of it. The vendor is one that has a route.
#[cfg(feature = "reports")]
pub(crate) fn request(counter: &'static str, vendor: &str, outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(counter, "vendor" => vendor.to_owned(), "outcome" => outcome).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = (counter, vendor, outcome);
}

/// Records how long after the event a report of it came, in seconds.
#[cfg(feature = "reports")]
pub(crate) fn report_lag(vendor: &str, seconds: f64) {
    #[cfg(feature = "metrics")]
    metrics::histogram!("postduif_report_lag_seconds", "vendor" => vendor.to_owned())
        .record(seconds);
    #[cfg(not(feature = "metrics"))]
    let _ = (vendor, seconds);
}

/// Counts a try to post an event by what became of it.
#[cfg(feature = "events")]
pub(crate) fn event(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("postduif_events_total", "outcome" => outcome).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = outcome;
}
