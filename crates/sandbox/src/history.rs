use std::collections::VecDeque;

/// How many entries a list of the sandbox keeps; the oldest go first.
pub(crate) const KEPT: usize = 100_000;

/// A list that only grows at its end, and forgets at its start.
#[derive(Debug)]
pub(crate) struct History<T> {
    entries: VecDeque<T>,
    forgotten: usize,
}

impl<T> History<T> {
    /// Adds an entry and tells its place, by which it may be changed later.
    pub(crate) fn push(&mut self, entry: T) -> usize {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
            self.forgotten += 1;
        }
        self.entries.push_back(entry);
        self.forgotten + self.entries.len() - 1
    }

    /// An empty list whose places go on after those of this one, so that no old place means a new entry.
    pub(crate) fn successor(&self) -> Self {
        Self {
            entries: VecDeque::new(),
            forgotten: self.forgotten + self.entries.len(),
        }
    }

    pub(crate) fn at(&mut self, place: usize) -> Option<&mut T> {
        self.entries.get_mut(place.checked_sub(self.forgotten)?)
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
            forgotten: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_goes_and_places_stay() {
        let mut log = History::default();
        for n in 0..=KEPT {
            assert_eq!(log.push(n), n);
        }
        assert_eq!(log.iter().count(), KEPT);
        assert_eq!(log.at(0), None);
        assert_eq!(log.at(KEPT), Some(&mut KEPT.clone()));
    }

    #[test]
    fn a_place_of_the_list_before_is_none_in_its_successor() {
        let mut log = History::default();
        let old = log.push("old");
        let mut log = log.successor();
        assert_ne!(log.push("new"), old);
        assert_eq!(log.at(old), None);
    }
}
