use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::clock::instant_in;

/// The locks of this process, each with its owner and its expiry. There is no queue: a caller without the lock tries
/// again later.
#[derive(Debug)]
pub(crate) struct Locks<K, O>(Mutex<HashMap<K, Held<O>>>);

#[derive(Debug)]
struct Held<O> {
    owner: O,
    until: Instant,
}

impl<K: Copy + Eq + Hash, O: Copy + Eq> Locks<K, O> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// Locks `key` until `at_most` has passed, and returns whether `owner` has the lock. An owner extends its lock.
    pub(crate) fn take(&self, key: K, owner: O, at_most: Duration) -> bool {
        let now = Instant::now();
        let mut held = self.held();
        let others = |held: &Held<O>| held.owner != owner && held.until > now;
        if held.get(&key).is_some_and(others) {
            return false;
        }
        if held.len() >= MAX_LOCKS && !held.contains_key(&key) {
            held.retain(|_, held| held.until > now);
            if held.len() >= MAX_LOCKS {
                return false;
            }
        }
        let until = instant_in(at_most);
        held.insert(key, Held { owner, until });
        true
    }

    /// Frees the lock of `key` if `owner` has it.
    pub(crate) fn free(&self, key: K, owner: O) {
        let mut held = self.held();
        if held.get(&key).is_some_and(|held| held.owner == owner) {
            held.remove(&key);
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<K, Held<O>>> {
        // No code under the lock panics between two related changes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The maximum number of locks. A flow beyond it waits.
const MAX_LOCKS: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_holds_a_key() {
        let locks = Locks::new();
        assert!(locks.take(1, 'a', MINUTE));
        assert!(!locks.take(1, 'b', MINUTE));
        assert!(locks.take(2, 'b', MINUTE));
        locks.free(1, 'b');
        assert!(!locks.take(1, 'b', MINUTE), "only its owner frees it");
        locks.free(1, 'a');
        assert!(locks.take(1, 'b', MINUTE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_expires_unless_its_owner_extends_it() {
        let locks = Locks::new();
        assert!(locks.take(1, 'a', MINUTE));
        tokio::time::advance(MINUTE / 2).await;
        assert!(locks.take(1, 'a', MINUTE));
        tokio::time::advance(MINUTE / 2).await;
        assert!(!locks.take(1, 'b', MINUTE));
        tokio::time::advance(MINUTE / 2).await;
        assert!(locks.take(1, 'b', MINUTE));
        locks.free(1, 'a');
        assert!(
            !locks.take(1, 'a', MINUTE),
            "it frees no lock of another owner"
        );
    }
}
