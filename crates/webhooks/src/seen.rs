use std::{
    collections::{HashSet, VecDeque},
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

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
    digests: HashSet<Digest>,
    /// Oldest first. A digest that was removed may still be here.
    order: VecDeque<Digest>,
}

impl Seen {
    pub(crate) fn new(capacity: NonZeroUsize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
        }
    }

    /// Adds a request, and returns whether it is new.
    pub(crate) fn insert(&self, digest: Digest) -> bool {
        let mut state = self.state();
        if !state.digests.insert(digest) {
            return false;
        }
        state.order.push_back(digest);
        while state.order.len() > self.capacity.get() {
            if let Some(oldest) = state.order.pop_front() {
                state.digests.remove(&oldest);
            }
        }
        true
    }

    /// Removes a request that could not be stored: the vendor repeats it.
    pub(crate) fn remove(&self, digest: &Digest) {
        let mut state = self.state();
        if state.digests.remove(digest) {
            // It is among the latest.
            if let Some(at) = state.order.iter().rposition(|known| known == digest) {
                state.order.remove(at);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code under the lock panics between two related changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u8) -> Digest {
        [number; 32]
    }

    #[test]
    fn a_request_is_new_once_until_it_is_forgotten() {
        let seen = Seen::new(NonZeroUsize::new(2).unwrap());
        assert!(seen.insert(digest(1)));
        assert!(!seen.insert(digest(1)));
        assert!(seen.insert(digest(2)) && seen.insert(digest(3)));
        assert!(seen.insert(digest(1)));
        assert!(!seen.insert(digest(3)));
        let state = seen.state();
        assert_eq!((state.digests.len(), state.order.len()), (2, 2));
    }

    #[test]
    fn a_removed_request_is_new_again() {
        let seen = Seen::new(NonZeroUsize::new(2).unwrap());
        assert!(seen.insert(digest(1)));
        seen.remove(&digest(1));
        assert!(seen.insert(digest(1)));
        assert_eq!(seen.state().order.len(), 1);
    }
}
