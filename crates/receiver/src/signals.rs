//! When to stop, and when to read the vendors again.

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

/// When the vendors are to be read again.
pub(crate) struct Reloads {
    #[cfg(unix)]
    signals: Option<signal::unix::Signal>,
}

/// Returns when SIGHUP arrives, from now on.
pub(crate) fn reloads() -> Reloads {
    Reloads {
        #[cfg(unix)]
        signals: signal::unix::signal(signal::unix::SignalKind::hangup()).ok(),
    }
}

impl Reloads {
    /// Waits for the next one. Returns whether there can be one.
    pub(crate) async fn next(&mut self) -> bool {
        #[cfg(unix)]
        if let Some(signals) = &mut self.signals {
            return signals.recv().await.is_some();
        }
        false
    }
}
