//! The routes for operators.

use std::time::Duration;

use axum::{Router, extract::State, http::StatusCode, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use postduif::entra::CallerVerifier;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    metrics,
    work::{Depth, Work},
};

type Operating = (PrometheusHandle, Work, CallerVerifier);

/// Returns `/health` and `/metrics`.
pub(crate) fn operating(handle: PrometheusHandle, work: Work, verifier: CallerVerifier) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(prometheus))
        .with_state((handle, work, verifier))
}

/// A body, and its media type.
type Page = ([(&'static str, &'static str); 1], String);

async fn health(State((_, work, verifier)): State<Operating>) -> (StatusCode, Page) {
    let (status, mut health) = match depth(&work).await {
        Some(depth) => (StatusCode::OK, json!({"status": "ok", "open": depth.open})),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({"status": "the store does not respond"}),
        ),
    };
    let failed_fetches = verifier.failed_fetches();
    if failed_fetches > 0 {
        let age_seconds = verifier.keys_age().map(|age| age.as_secs());
        health["keys"] = json!({"failed_fetches": failed_fetches, "age_seconds": age_seconds});
    }
    let page = [("content-type", "application/json")];
    (status, (page, health.to_string()))
}

async fn prometheus(State((handle, work, verifier)): State<Operating>) -> Page {
    let text = metrics::render(&handle, depth(&work).await.as_ref(), &verifier);
    ([("content-type", "text/plain; version=0.0.4")], text)
}

/// Returns what is in work, or `None` if the store does not respond soon.
async fn depth(work: &Work) -> Option<Depth> {
    timeout(PATIENCE, work.depth()).await.ok()?.ok()
}

/// Shorter than the time-outs of most probes.
const PATIENCE: Duration = Duration::from_secs(2);
