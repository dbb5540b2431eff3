use std::collections::VecDeque;

/// The most entries that a list of the sandbox keeps.
pub(crate) const MAX_ENTRIES: usize = 100_000;

/// A list that is appended to, and drops its oldest entries.
#[derive(Debug)]
pub(crate) struct History<T> {
    entries: VecDeque<T>,
    dropped: usize,
}

impl<T> History<T> {
    /// Appends an entry and returns its index, which stays valid while older entries are dropped.
    pub(crate) fn push(&mut self, entry: T) -> usize {
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(entry);
        self.dropped + self.entries.len() - 1
    }

    /// Returns an empty list whose indices continue those of this one, so that an old index finds no new entry.
    pub(crate) fn successor(&self) -> Self {
        Self {
            entries: VecDeque::new(),
            dropped: self.dropped + self.entries.len(),
        }
    }

    pub(crate) fn at(&mut self, index: usize) -> Option<&mut T> {
        self.entries.get_mut(index.checked_sub(self.dropped)?)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.entries.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.entries.iter_mut()
    }
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            dropped: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_is_dropped_and_indices_stay() {
        let mut log = History::default();
        for n in 0..=MAX_ENTRIES {
            assert_eq!(log.push(n), n);
        }
        assert_eq!(log.iter().count(), MAX_ENTRIES);
        assert_eq!(log.at(0), None);
        assert_eq!(log.at(MAX_ENTRIES), Some(&mut MAX_ENTRIES.clone()));
    }

    #[test]
    fn an_index_of_a_list_finds_nothing_in_its_successor() {
        let mut log = History::default();
        let old = log.push("old");
        let mut log = log.successor();
        assert_ne!(log.push("new"), old);
        assert_eq!(log.at(old), None);
    }
}
