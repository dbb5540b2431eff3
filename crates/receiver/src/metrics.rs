//! What is counted, as Prometheus reads it.

use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use postduif::{
    ConfigError,
    directory::{FailureReason, FlowId, Verdict},
    entra::CallerVerifier,
    onboarding::{Ending, JournalError},
};

use crate::work::Depth;

/// Starts counting, for the whole process.
pub(crate) fn install() -> Result<PrometheusHandle, ConfigError> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)
        .map_err(|_| ConfigError::new("another recorder of metrics is installed"))?;
    Ok(handle)
}

/// Returns the metrics as text. Without a depth, since the store does not respond, that of the last time stands.
pub(crate) fn render(
    handle: &PrometheusHandle,
    depth: Option<&Depth>,
    verifier: &CallerVerifier,
) -> String {
    if let Some(age) = verifier.keys_age() {
        gauge!("postduif_keys_age_seconds").set(age.as_secs_f64());
    }
    gauge!("postduif_keys_failed_fetches").set(f64::from(verifier.failed_fetches()));
    gauge!("postduif_store_up").set(f64::from(u8::from(depth.is_some())));
    if let Some(depth) = depth {
        gauge!("postduif_flows_open").set(depth.open as f64);
        gauge!("postduif_flow_oldest_seconds").set(depth.oldest.as_secs_f64());
    }
    // Nobody else does it, and histograms grow without it.
    handle.run_upkeep();
    handle.render()
}

/// Counts and logs a flow that has ended.
pub(crate) fn ended(ending: &Ending) {
    let flow = ending.flow;
    let verdict = match ending.verdict {
        Verdict::Completed => "completed",
        Verdict::Failed(_) => "failed",
    };
    let reason = ending.reason().map_or("none", FailureReason::as_str);
    counter!("postduif_flows_ended_total", "verdict" => verdict, "reason" => reason).increment(1);
    counter!("postduif_passes_issued_total").increment(u64::from(ending.attempts));
    counter!("postduif_doubts_total").increment(u64::from(ending.doubts));
    let provider = ending.provider.as_deref();
    let (heard, attempts) = (ending.heard, ending.attempts);
    match ending.verdict {
        Verdict::Completed => {
            tracing::info!(%flow, verdict, reason, provider, attempts, heard, "a flow has ended");
        }
        Verdict::Failed(_) => {
            tracing::warn!(%flow, verdict, reason, provider, attempts, heard, "a flow has ended");
        }
    }
    if let Some(until) = ending.may_be_usable_until() {
        tracing::error!(%flow, %until, "a pass that should not be usable may be");
    }
}

/// Counts and logs a flow that this process left without an ending.
pub(crate) fn left(flow: FlowId, error: &JournalError) {
    counter!("postduif_flows_ended_total", "verdict" => "none", "reason" => "journal").increment(1);
    tracing::error!(%flow, %error, "a flow was left without an ending");
}
