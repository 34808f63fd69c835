//! Tracks which batches are complete, and up to which entry all are, for callers that wait for a flush.
//!
//! Entries are batched in the order in which they were read, so each batch covers the entries after
//! those of the batch before it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::sync::queue::ByteQueue;

/// Ends when the awaited entries are complete; woken if they never will be.
pub type FlushBarrier = Arc<ByteQueue<()>>;

/// Tracks the completion of batches.
#[derive(Default)]
pub struct CompletionTracker {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batches: u64,
    /// Number of entries in all batches so far.
    entries: u64,
    /// For each incomplete batch, the number of entries before it.
    open: BTreeMap<u64, u64>,
    /// The barriers in use, each with the number of entries it waits for. A waiter drops its own.
    barriers: Vec<(u64, Weak<ByteQueue<()>>)>,
    over: bool,
}

impl CompletionTracker {
    /// Records a new batch.
    pub fn started(&self, number: u64, entries: usize) {
        if entries == 0 {
            return;
        }
        let mut state = self.lock();
        let before = state.entries;
        state.open.insert(number, before);
        state.entries += entries as u64;
        state.batches += 1;
    }

    /// Records that every entry of a batch has its fate.
    pub fn completed(&self, number: u64) {
        let mut state = self.lock();
        state.open.remove(&number);
        state.release();
    }

    /// Records that no more batches will be completed, and wakes all waiters.
    pub fn end(&self) {
        let mut state = self.lock();
        state.over = true;
        for (_, barrier) in state.barriers.drain(..) {
            barrier
                .upgrade()
                .iter()
                .for_each(|barrier| barrier.wake_all());
        }
    }

    /// A barrier that ends when the first `entries` entries are complete.
    pub fn barrier(&self, entries: u64) -> FlushBarrier {
        let barrier = Arc::new(ByteQueue::new(0));
        let mut state = self.lock();
        if state.settled() >= entries {
            barrier.close();
        } else if state.over {
            barrier.wake_all();
        } else {
            state
                .barriers
                .retain(|(_, barrier)| barrier.strong_count() > 0);
            state.barriers.push((entries, Arc::downgrade(&barrier)));
        }
        barrier
    }

    /// Number of batches so far.
    pub fn batches(&self) -> u64 {
        self.lock().batches
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Number of entries before the first incomplete batch.
    fn settled(&self) -> u64 {
        let first_open = self.open.first_key_value();
        first_open.map_or(self.entries, |(_, before)| *before)
    }

    fn release(&mut self) {
        let settled = self.settled();
        self.barriers.retain(|(entries, barrier)| {
            if settled >= *entries {
                barrier.upgrade().iter().for_each(|barrier| barrier.close());
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

    fn pop_now(barrier: &FlushBarrier) -> Pop<()> {
        barrier.pop(Some(Instant::now()))
    }

    #[test]
    fn a_barrier_ends_when_all_entries_before_it_are_complete() {
        let settlement = CompletionTracker::default();
        assert_eq!(pop_now(&settlement.barrier(0)), Pop::Ended);
        let barrier = settlement.barrier(15);
        settlement.started(0, 10);
        settlement.started(1, 10);
        settlement.started(2, 10);
        settlement.completed(2);
        settlement.completed(1);
        assert_eq!(pop_now(&barrier), Pop::TimedOut);
        settlement.completed(0);
        assert_eq!(pop_now(&barrier), Pop::Ended);
        assert_eq!(pop_now(&settlement.barrier(30)), Pop::Ended);
        assert_eq!(settlement.batches(), 3);
    }

    #[test]
    fn nobody_waits_for_an_end_that_cannot_come() {
        let settlement = CompletionTracker::default();
        settlement.started(0, 1);
        let barrier = settlement.barrier(1);
        settlement.end();
        assert_eq!(pop_now(&barrier), Pop::Woken);
        assert_eq!(pop_now(&settlement.barrier(1)), Pop::Woken);
    }
}
