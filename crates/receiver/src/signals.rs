//! When to stop.

use std::future::Future;

use tokio::signal;

/// Returns what completes on SIGTERM, as a platform sends it, and on Ctrl-C.
///
/// Both are heeded from now on, also before it is polled.
#[cfg(unix)]
pub(crate) fn stop() -> impl Future<Output = ()> {
    use signal::unix::{Signal, SignalKind};
    async fn received(signals: Option<Signal>) {
        match signals {
            Some(mut signals) => {
                signals.recv().await;
            }
            None => std::future::pending().await,
        }
    }
    let [interrupted, terminated] = [SignalKind::interrupt(), SignalKind::terminate()]
        .map(|kind| signal::unix::signal(kind).ok());
    async {
        tokio::select! {
            () = received(interrupted) => {}
            () = received(terminated) => {}
        }
    }
}

/// Returns what completes on Ctrl-C.
#[cfg(not(unix))]
pub(crate) async fn stop() {
    if signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
