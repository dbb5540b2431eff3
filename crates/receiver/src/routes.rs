//! The routes for operators.

use axum::{Router, extract::State, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use postduif::onboarding::Runner;
use serde_json::json;

use crate::metrics;

type Operating = (PrometheusHandle, Runner);

/// Returns `/health` and `/metrics`.
pub(crate) fn operating(handle: PrometheusHandle, runner: Runner) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(prometheus))
        .with_state((handle, runner))
}

/// A body, and its media type.
type Page = ([(&'static str, &'static str); 1], String);

async fn health(State((_, runner)): State<Operating>) -> Page {
    let health = json!({"status": "ok", "open": runner.open()});
    ([("content-type", "application/json")], health.to_string())
}

async fn prometheus(State((handle, runner)): State<Operating>) -> Page {
    let text = metrics::render(&handle, &runner);
    ([("content-type", "text/plain; version=0.0.4")], text)
}
