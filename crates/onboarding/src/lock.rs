use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};

/// What is held in this process, by whom and until when. Whoever cannot have something asks again later:
/// nobody queues here, so that nothing here grows.
#[derive(Debug)]
pub(crate) struct Locks<K>(Mutex<State<K>>);

#[derive(Debug)]
struct State<K> {
    held: HashMap<K, Held>,
    owners: u64,
}

#[derive(Debug)]
struct Held {
    owner: u64,
    until: DateTime<Utc>,
}

impl<K: Copy + Eq + Hash> Locks<K> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            held: HashMap::new(),
            owners: 0,
        })))
    }

    /// Takes `key` until it is dropped or `until` comes; none where somebody has it.
    pub(crate) fn take(
        self: &Arc<Self>,
        key: K,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Option<Lock<K>> {
        let mut state = self.state();
        if state.held.get(&key).is_some_and(|held| held.until > now) {
            return None;
        }
        if state.held.len() >= MOST {
            state.held.retain(|_, held| held.until > now);
            if state.held.len() >= MOST {
                return None;
            }
        }
        state.owners += 1;
        let owner = state.owners;
        state.held.insert(key, Held { owner, until });
        Some(Lock {
            locks: Arc::clone(self),
            key,
            owner,
        })
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        // Nothing under the lock can panic between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The most that can be held at once; whoever comes after waits.
const MOST: usize = 65_536;

/// Something held. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Lock<K: Copy + Eq + Hash> {
    locks: Arc<Locks<K>>,
    key: K,
    owner: u64,
}

impl<K: Copy + Eq + Hash> Lock<K> {
    /// Whether it is still ours: it may have lapsed and been taken by another.
    pub(crate) fn is_held(&self) -> bool {
        self.locks.state().is_held(self.key, self.owner)
    }
}

impl<K: Copy + Eq + Hash> Drop for Lock<K> {
    fn drop(&mut self) {
        let mut state = self.locks.state();
        if state.is_held(self.key, self.owner) {
            state.held.remove(&self.key);
        }
    }
}

impl<K: Copy + Eq + Hash> State<K> {
    fn is_held(&self, key: K, owner: u64) -> bool {
        self.held.get(&key).is_some_and(|held| held.owner == owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn one_at_a_time_holds_a_key() {
        let locks = Locks::new();
        let first = locks.take(1, at(0), at(60)).unwrap();
        assert!(locks.take(1, at(59), at(90)).is_none());
        assert!(locks.take(2, at(59), at(90)).is_some());
        drop(first);
        assert!(locks.take(1, at(0), at(90)).is_some());
    }

    #[test]
    fn a_lock_that_lapsed_does_not_free_its_successors() {
        let locks = Locks::new();
        let first = locks.take(1, at(0), at(60)).unwrap();
        let second = locks.take(1, at(60), at(90)).unwrap();
        assert!(!first.is_held() && second.is_held());
        drop(first);
        assert!(locks.take(1, at(61), at(90)).is_none());
    }
}
