//! What is counted, as Prometheus reads it.

use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use postduif::{
    ConfigError,
    directory::{FailureReason, FlowId, Verdict},
    entra::CallerVerifier,
    onboarding::{Ending, JournalError, Runner},
};

/// Starts counting, for the whole process.
pub(crate) fn install() -> Result<PrometheusHandle, ConfigError> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)
        .map_err(|_| ConfigError::new("another recorder of metrics is installed"))?;
    Ok(handle)
}

/// Returns the metrics as text.
pub(crate) fn render(
    handle: &PrometheusHandle,
    runner: &Runner,
    verifier: &CallerVerifier,
) -> String {
    if let Some(age) = verifier.keys_age() {
        gauge!("postduif_keys_age_seconds").set(age.as_secs_f64());
    }
    gauge!("postduif_keys_failed_fetches").set(f64::from(verifier.failed_fetches()));
    gauge!("postduif_flows_open").set(runner.open() as f64);
    let oldest = runner.oldest().unwrap_or_default();
    gauge!("postduif_flow_oldest_seconds").set(oldest.as_secs_f64());
    // Nobody else does it, and histograms grow without it.
    handle.run_upkeep();
    handle.render()
}

/// Counts and logs a flow that has ended.
pub(crate) fn ended(flow: FlowId, ended: &Result<Ending, JournalError>) {
    match ended {
        Ok(ending) => {
            let verdict = match ending.verdict {
                Verdict::Completed => "completed",
                Verdict::Failed(_) => "failed",
            };
            let reason = ending.reason().map_or("none", FailureReason::as_str);
            counter!("postduif_flows_ended_total", "verdict" => verdict, "reason" => reason)
                .increment(1);
            counter!("postduif_passes_issued_total").increment(u64::from(ending.attempts));
            let provider = ending.provider.as_deref();
            let until = ending.may_be_usable_until();
            let (heard, attempts) = (ending.heard, ending.attempts);
            tracing::info!(%flow, verdict, reason, provider, attempts, heard, "a flow has ended");
            if let Some(until) = until {
                tracing::error!(%flow, %until, "a pass that should not be usable may be");
            }
        }
        Err(error) => {
            counter!("postduif_flows_ended_total", "verdict" => "none", "reason" => "journal")
                .increment(1);
            tracing::error!(%flow, %error, "a flow was left without an ending");
        }
    }
}
