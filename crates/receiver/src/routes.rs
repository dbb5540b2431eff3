//! The routes for operators.

use axum::{Router, extract::State, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use postduif::{entra::CallerVerifier, onboarding::Runner};
use serde_json::json;

use crate::metrics;

type Operating = (PrometheusHandle, Runner, CallerVerifier);

/// Returns `/health` and `/metrics`.
pub(crate) fn operating(
    handle: PrometheusHandle,
    runner: Runner,
    verifier: CallerVerifier,
) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(prometheus))
        .with_state((handle, runner, verifier))
}

/// A body, and its media type.
type Page = ([(&'static str, &'static str); 1], String);

async fn health(State((_, runner, verifier)): State<Operating>) -> Page {
    let mut health = json!({"status": "ok", "open": runner.open()});
    let failed_fetches = verifier.failed_fetches();
    if failed_fetches > 0 {
        let age_seconds = verifier.keys_age().map(|age| age.as_secs());
        health["keys"] = json!({"failed_fetches": failed_fetches, "age_seconds": age_seconds});
    }
    ([("content-type", "application/json")], health.to_string())
}

async fn prometheus(State((handle, runner, verifier)): State<Operating>) -> Page {
    let text = metrics::render(&handle, &runner, &verifier);
    ([("content-type", "text/plain; version=0.0.4")], text)
}
