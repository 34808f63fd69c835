//! Settlement: how far the entries that came are settled, and a bell for when they are so far.
//!
//! Entries are batched in the order in which they came, so batches cover them one behind the
//! other. Knows numbers and counts; knows nothing of what settling means.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::sync::queue::ByteQueue;

/// Ends when it rings; woken if it never will.
pub type FlushBarrier = Arc<ByteQueue<()>>;

/// How far batches are settled.
#[derive(Default)]
pub struct CompletionTracker {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batches: u64,
    /// Entries in all batches so far.
    entries: u64,
    /// For each batch that is not settled, how many entries came before it.
    open: BTreeMap<u64, u64>,
    /// Rung when so many entries are settled, without a gap. Whoever stops waiting drops his.
    bells: Vec<(u64, Weak<ByteQueue<()>>)>,
    over: bool,
}

impl CompletionTracker {
    /// The next batch has so many entries.
    pub fn enter(&self, number: u64, entries: usize) {
        if entries == 0 {
            return;
        }
        let mut state = self.lock();
        let before = state.entries;
        state.open.insert(number, before);
        state.entries += entries as u64;
        state.batches += 1;
    }

    /// Every entry of a batch has its fate.
    pub fn leave(&self, number: u64) {
        let mut state = self.lock();
        state.open.remove(&number);
        state.ring();
    }

    /// Nothing more will be settled.
    pub fn end(&self) {
        let mut state = self.lock();
        state.over = true;
        for (_, bell) in state.bells.drain(..) {
            bell.upgrade().iter().for_each(|bell| bell.wake_all());
        }
    }

    /// A bell for when the first `entries` entries are settled, all of them.
    pub fn bell(&self, entries: u64) -> FlushBarrier {
        let bell = Arc::new(ByteQueue::new(0));
        let mut state = self.lock();
        if state.settled() >= entries {
            bell.close();
        } else if state.over {
            bell.wake_all();
        } else {
            state.bells.retain(|(_, bell)| bell.strong_count() > 0);
            state.bells.push((entries, Arc::downgrade(&bell)));
        }
        bell
    }

    /// How many batches there were.
    pub fn batches(&self) -> u64 {
        self.lock().batches
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many entries are settled before the first that is not.
    fn settled(&self) -> u64 {
        let first_open = self.open.first_key_value();
        first_open.map_or(self.entries, |(_, before)| *before)
    }

    fn ring(&mut self) {
        let settled = self.settled();
        self.bells.retain(|(entries, bell)| {
            if settled >= *entries {
                bell.upgrade().iter().for_each(|bell| bell.close());
            }
            settled < *entries
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::queue::Pop;
    use std::time::Instant;

    fn rings(bell: &FlushBarrier) -> Pop<()> {
        bell.pop(Some(Instant::now()))
    }

    #[test]
    fn a_bell_rings_when_all_before_it_are_settled() {
        let settlement = CompletionTracker::default();
        assert_eq!(rings(&settlement.bell(0)), Pop::Ended);
        let bell = settlement.bell(15);
        settlement.enter(0, 10);
        settlement.enter(1, 10);
        settlement.enter(2, 10);
        settlement.leave(2);
        settlement.leave(1);
        assert_eq!(rings(&bell), Pop::TimedOut);
        settlement.leave(0);
        assert_eq!(rings(&bell), Pop::Ended);
        assert_eq!(rings(&settlement.bell(30)), Pop::Ended);
        assert_eq!(settlement.batches(), 3);
    }

    #[test]
    fn nobody_waits_for_an_end_that_cannot_come() {
        let settlement = CompletionTracker::default();
        settlement.enter(0, 1);
        let bell = settlement.bell(1);
        settlement.end();
        assert_eq!(rings(&bell), Pop::Woken);
        assert_eq!(rings(&settlement.bell(1)), Pop::Woken);
    }
}
