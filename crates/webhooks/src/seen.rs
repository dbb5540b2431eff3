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
    /// Requests whose reports are being stored.
    storing: HashSet<Digest>,
    stored: HashSet<Digest>,
    /// The stored requests, oldest first.
    order: VecDeque<Digest>,
}

/// What is known about a request.
#[derive(Debug)]
pub(crate) enum Known<'s> {
    /// It is new, and its reports are to be stored.
    New(Storing<'s>),
    /// Its reports are being stored, which may still fail.
    Storing,
    /// Its reports were stored.
    Stored,
}

/// A request whose reports are being stored. It is new again if this is dropped: the vendor repeats it.
#[derive(Debug)]
pub(crate) struct Storing<'s> {
    seen: &'s Seen,
    digest: Digest,
}

impl Seen {
    pub(crate) fn new(capacity: NonZeroUsize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
        }
    }

    /// Returns what is known about a request, and notes that a new one is being stored.
    pub(crate) fn look_up(&self, digest: Digest) -> Known<'_> {
        let mut state = self.state();
        if state.stored.contains(&digest) {
            Known::Stored
        } else if state.storing.insert(digest) {
            Known::New(Storing { seen: self, digest })
        } else {
            Known::Storing
        }
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

    /// Stores a request if it is new, and returns whether it was.
    fn store(seen: &Seen, number: u8) -> bool {
        match seen.look_up(digest(number)) {
            Known::New(storing) => {
                storing.stored();
                true
            }
            Known::Storing | Known::Stored => false,
        }
    }

    #[test]
    fn a_request_is_new_once_until_it_is_forgotten() {
        let seen = Seen::new(NonZeroUsize::new(2).unwrap());
        assert!(store(&seen, 1));
        assert!(!store(&seen, 1));
        assert!(store(&seen, 2) && store(&seen, 3));
        assert!(store(&seen, 1));
        assert!(!store(&seen, 3));
        let state = seen.state();
        assert_eq!((state.stored.len(), state.order.len()), (2, 2));
        assert!(state.storing.is_empty());
    }

    #[test]
    fn a_request_that_was_not_stored_is_new_again() {
        let seen = Seen::new(NonZeroUsize::new(2).unwrap());
        let first = seen.look_up(digest(1));
        assert!(matches!(first, Known::New(_)));
        assert!(matches!(seen.look_up(digest(1)), Known::Storing));
        drop(first);
        assert!(store(&seen, 1));
    }
}
