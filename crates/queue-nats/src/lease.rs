//! A lease as its holder sees it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// The end of a lease by the monotonic clock of this process. Once it has passed, the lease is lost for good.
#[derive(Debug)]
pub(crate) struct Holding {
    length: Duration,
    state: Mutex<State>,
    lost: Notify,
}

#[derive(Debug)]
struct State {
    until: Instant,
    is_lost: bool,
}

impl Holding {
    /// Creates a lease that was requested at `asked`.
    pub(crate) fn new(length: Duration, asked: Instant) -> Self {
        Self {
            length,
            state: Mutex::new(State {
                until: asked + length,
                is_lost: false,
            }),
            lost: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_lost |= Instant::now() >= state.until;
        state
    }

    pub(crate) const fn length(&self) -> Duration {
        self.length
    }

    pub(crate) fn holds(&self) -> bool {
        !self.state().is_lost
    }

    /// Extends the lease by a write that succeeded and was requested at `asked`.
    pub(crate) fn extend(&self, asked: Instant) {
        let mut state = self.state();
        state.until = state.until.max(asked + self.length);
    }

    pub(crate) fn lose(&self) {
        self.state().is_lost = true;
        self.lost.notify_waiters();
    }

    pub(crate) async fn lost(&self) {
        loop {
            let lost = self.lost.notified();
            let until = {
                let state = self.state();
                if state.is_lost {
                    return;
                }
                state.until
            };
            tokio::select! {
                () = lost => {}
                () = sleep_until(until) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_lease_counts_from_before_its_request() {
        let asked = Instant::now();
        advance(LENGTH / 2).await;
        let holding = Holding::new(LENGTH, asked);
        assert!(holding.holds());
        advance(LENGTH / 2).await;
        assert!(!holding.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_has_expired_is_lost_for_good() {
        let holding = Holding::new(LENGTH, Instant::now());
        advance(LENGTH / 2).await;
        let asked = Instant::now();
        holding.extend(asked);
        advance(LENGTH / 2).await;
        assert!(holding.holds(), "it was extended");
        advance(LENGTH / 2).await;
        // The response to a request that was made in time comes too late.
        holding.extend(Instant::now());
        assert!(!holding.holds());
        holding.lost().await;
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_told_at_once() {
        let holding = Holding::new(LENGTH, Instant::now());
        let began = Instant::now();
        let lose = async { holding.lose() };
        tokio::join!(holding.lost(), lose);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
