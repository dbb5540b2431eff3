use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

use postduif_core::{FlowId, TapId, async_trait};

use crate::{Entry, Journal, JournalError};

/// A journal in memory: it survives a lost connection, a dropped future and a repeated call-out, and ends
/// with the process.
///
/// It keeps so many flows and no more. When it is full, the flow that has been done longest makes room, and
/// where none is done a new flow is refused with a [`JournalError`], before it had any effect. A flow that
/// made room is forgotten: called out again it would start anew, and its pass counts as a stranger's, which
/// is refused rather than replaced. So give it room for more flows than a call-out can be late. A flow that
/// nobody brings to its end keeps its place.
pub struct MemoryJournal {
    capacity: NonZeroUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    flows: HashMap<FlowId, Vec<Entry>>,
    /// In the order in which they were done.
    done: VecDeque<FlowId>,
    taps: HashSet<TapId>,
}

impl MemoryJournal {
    /// A journal with room for 10,000 flows, a few MiB when full.
    #[must_use]
    pub fn new() -> Self {
        const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");
        Self::with_capacity(CAPACITY)
    }

    /// A journal with room for so many flows.
    #[must_use]
    pub fn with_capacity(capacity: NonZeroUsize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryJournal")
            .field("capacity", &self.capacity)
            .field("flows", &self.state().flows.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn entries(&self, flow: &FlowId) -> Result<Vec<Entry>, JournalError> {
        Ok(self.state().flows.get(flow).cloned().unwrap_or_default())
    }

    async fn record(&self, flow: &FlowId, entry: &Entry) -> Result<(), JournalError> {
        let mut state = self.state();
        if !state.flows.contains_key(flow) {
            if matches!(entry, Entry::Reported { .. }) {
                // Of a flow that made room, or of nobody's: it would keep its place for good.
                return Ok(());
            }
            if state.flows.len() >= self.capacity.get() {
                state.make_room()?;
            }
        }
        let entries = state.flows.entry(*flow).or_default();
        if entries.len() >= LONGEST {
            return Err(JournalError::new("the flow has too many entries"));
        }
        entries.push(entry.clone());
        match entry {
            Entry::Issued { tap, .. } => {
                state.taps.insert(tap.clone());
            }
            Entry::Resumed { .. } => state.done.push_back(*flow),
            _ => {}
        }
        Ok(())
    }

    async fn issued(&self, tap: &TapId) -> Result<bool, JournalError> {
        Ok(self.state().taps.contains(tap))
    }
}

impl State {
    fn make_room(&mut self) -> Result<(), JournalError> {
        let Some(oldest) = self.done.pop_front() else {
            return Err(JournalError::new(
                "the journal in memory is full of flows that are not done",
            ));
        };
        for entry in self.flows.remove(&oldest).unwrap_or_default() {
            if let Entry::Issued { tap, .. } = entry {
                self.taps.remove(&tap);
            }
        }
        Ok(())
    }
}

/// The most entries of one flow: a fortnight of passes refused for a reason that may pass takes 2,700.
const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use postduif_core::{Guid, Verdict};

    use super::*;

    fn issued(tap: &str) -> Entry {
        Entry::Issued {
            round: 1,
            tap: tap.parse().unwrap(),
            valid_until: chrono::DateTime::UNIX_EPOCH,
        }
    }

    const DONE: Entry = Entry::Resumed {
        verdict: Verdict::Completed,
        heard: true,
    };

    #[tokio::test]
    async fn what_was_recorded_is_read_in_order() {
        let journal = MemoryJournal::new();
        let flow = Guid::random().into();
        assert!(journal.entries(&flow).await.unwrap().is_empty());
        journal.record(&flow, &issued("a")).await.unwrap();
        journal.record(&flow, &DONE).await.unwrap();
        assert_eq!(
            journal.entries(&flow).await.unwrap(),
            [issued("a"), DONE.clone()]
        );
        assert!(journal.issued(&"a".parse().unwrap()).await.unwrap());
        assert!(!journal.issued(&"b".parse().unwrap()).await.unwrap());
    }

    #[tokio::test]
    async fn when_full_only_flows_that_are_done_make_room() {
        let journal = MemoryJournal::with_capacity(NonZeroUsize::new(2).unwrap());
        let [one, two, three]: [FlowId; 3] = std::array::from_fn(|_| Guid::random().into());
        journal.record(&one, &issued("a")).await.unwrap();
        journal.record(&two, &issued("b")).await.unwrap();
        assert!(journal.record(&three, &issued("c")).await.is_err());
        // A flow that is known goes on, full or not.
        journal.record(&two, &DONE).await.unwrap();
        journal.record(&three, &issued("c")).await.unwrap();
        assert!(journal.entries(&two).await.unwrap().is_empty());
        assert!(!journal.issued(&"b".parse().unwrap()).await.unwrap());
        assert_eq!(journal.entries(&one).await.unwrap(), [issued("a")]);
        assert!(journal.issued(&"a".parse().unwrap()).await.unwrap());
    }

    #[tokio::test]
    async fn a_report_of_a_flow_that_made_room_takes_none() {
        let journal = MemoryJournal::with_capacity(NonZeroUsize::MIN);
        let report = Entry::Reported {
            reference: "a".parse().unwrap(),
            status: postduif_core::DeliveryStatus::Delivered,
        };
        journal
            .record(&Guid::random().into(), &report)
            .await
            .unwrap();
        let flow = Guid::random().into();
        journal.record(&flow, &issued("a")).await.unwrap();
        journal.record(&flow, &report).await.unwrap();
        assert_eq!(journal.entries(&flow).await.unwrap(), [issued("a"), report]);
    }

    #[tokio::test]
    async fn no_flow_grows_without_end() {
        let journal = MemoryJournal::new();
        let flow = Guid::random().into();
        for _ in 0..LONGEST {
            journal.record(&flow, &issued("a")).await.unwrap();
        }
        assert!(journal.record(&flow, &issued("a")).await.is_err());
    }
}
