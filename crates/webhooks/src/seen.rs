use std::{
    collections::{HashMap, HashSet, VecDeque},
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

/// The digest of what proves a request.
pub(crate) type Digest = [u8; 32];

/// The latest requests, bounded: the oldest is forgotten.
#[derive(Debug)]
pub(crate) struct Seen {
    capacity: NonZeroUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Requests whose reports are being stored, until the sender is dropped.
    storing: HashMap<Digest, watch::Receiver<()>>,
    stored: HashSet<Digest>,
    /// The stored requests, oldest first.
    order: VecDeque<Digest>,
}

/// What is known about a request.
#[derive(Debug)]
pub(crate) enum Known<'s> {
    /// It is new, and its reports are to be stored.
    New(Storing<'s>),
    /// Its reports are still being stored, which may fail.
    Storing,
    /// Its reports were stored.
    Stored,
}

/// A request whose reports are being stored. It is new again if this is dropped: the vendor repeats it.
#[derive(Debug)]
pub(crate) struct Storing<'s> {
    seen: &'s Seen,
    digest: Digest,
    /// Dropped after the request was stored, or is new again.
    _ends: watch::Sender<()>,
}

impl Seen {
    pub(crate) fn new(capacity: NonZeroUsize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
        }
    }

    /// Returns what is known about a request, and notes that a new one is being stored. While an equal one is being
    /// stored, it waits for that at most this long.
    pub(crate) async fn look_up(&self, digest: Digest, max_wait: Duration) -> Known<'_> {
        let known = async {
            loop {
                match self.try_look_up(digest) {
                    Ok(known) => break known,
                    Err(mut storing) => while storing.changed().await.is_ok() {},
                }
            }
        };
        let known = tokio::time::timeout(max_wait, known).await;
        known.unwrap_or(Known::Storing)
    }

    /// Returns what is known about a request, or what ends when the equal one that is being stored does.
    fn try_look_up(&self, digest: Digest) -> Result<Known<'_>, watch::Receiver<()>> {
        let mut state = self.state();
        if state.stored.contains(&digest) {
            return Ok(Known::Stored);
        }
        if let Some(storing) = state.storing.get(&digest) {
            return Err(storing.clone());
        }
        let (ends, storing) = watch::channel(());
        state.storing.insert(digest, storing);
        Ok(Known::New(Storing {
            seen: self,
            digest,
            _ends: ends,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code under the lock panics between two related changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storing<'_> {
    /// Remembers the request: its reports were stored.
    pub(crate) fn stored(self) {
        let mut state = self.seen.state();
        state.stored.insert(self.digest);
        state.order.push_back(self.digest);
        while state.order.len() > self.seen.capacity.get() {
            if let Some(oldest) = state.order.pop_front() {
                state.stored.remove(&oldest);
            }
        }
    }
}

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        self.seen.state().storing.remove(&self.digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u8) -> Digest {
        [number; 32]
    }

    async fn look_up(seen: &Seen, number: u8) -> Known<'_> {
        seen.look_up(digest(number), Duration::from_secs(5)).await
    }

    /// Stores a request if it is new, and returns whether it was.
    async fn store(seen: &Seen, number: u8) -> bool {
        match look_up(seen, number).await {
            Known::New(storing) => {
                storing.stored();
                true
            }
            Known::Storing | Known::Stored => false,
        }
    }

    #[tokio::test]
    async fn a_request_is_new_once_until_it_is_forgotten() {
        let seen = Seen::new(NonZeroUsize::new(2).unwrap());
        assert!(store(&seen, 1).await);
        assert!(!store(&seen, 1).await);
        assert!(store(&seen, 2).await && store(&seen, 3).await);
        assert!(store(&seen, 1).await);
        assert!(!store(&seen, 3).await);
        let state = seen.state();
        assert_eq!((state.stored.len(), state.order.len()), (2, 2));
        assert!(state.storing.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_not_stored_is_new_again() {
        let seen = Seen::new(NonZeroUsize::new(2).unwrap());
        let first = look_up(&seen, 1).await;
        assert!(matches!(first, Known::New(_)));
        assert!(matches!(look_up(&seen, 1).await, Known::Storing));
        drop(first);
        assert!(store(&seen, 1).await);
    }
}
