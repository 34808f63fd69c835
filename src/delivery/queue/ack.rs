//! Acknowledgements: the holder of one must give each entry of a batch its fate.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::delivery::queue::capacity::QueueResources;
use crate::entry::request::EncodedBatch;
use crate::report::counters::Fate;
use crate::storage::spool::SpooledBatch;

/// The right, and the duty, to settle the entries of a batch; clones share it. When the last clone is dropped, the batch's
/// memory is free. If every entry is settled then, it leaves the spool too; what is not settled
/// stays there for the next run, and is counted so.
#[derive(Clone)]
pub struct Ack(Arc<Inner>);

struct Inner {
    resources: Arc<QueueResources>,
    adopted: bool,
    state: Mutex<State>,
}

struct State {
    /// Entries without a fate.
    remaining: usize,
    /// Bytes of memory in use.
    memory: usize,
    stored: Option<SpooledBatch>,
    /// The batch, if it is not in the spool yet but should be. It shares its bytes with the one that
    /// is sent.
    unstored: Option<EncodedBatch>,
    /// The batch's number, if it is of this run.
    number: Option<u64>,
}

/// An acknowledgement that is only watched.
pub struct WeakAck(Weak<Inner>);

impl Ack {
    /// An acknowledgement for entries that take `memory` bytes and may be stored.
    pub fn new(
        resources: &Arc<QueueResources>,
        remaining: usize,
        memory: usize,
        stored: Option<SpooledBatch>,
        adopted: bool,
    ) -> Self {
        let state = Mutex::new(State {
            remaining,
            memory,
            stored,
            unstored: None,
            number: None,
        });
        Self(Arc::new(Inner {
            resources: Arc::clone(resources),
            adopted,
            state,
        }))
    }

    /// Sets which batch of this run it is for.
    pub(super) fn set_number(&self, number: u64) {
        self.0.lock().number = Some(number);
    }

    /// Keeps the batch until it can be stored.
    pub(super) fn keep_to_store(&self, batch: EncodedBatch) {
        self.0.lock().unstored = Some(batch);
    }

    /// Settles some of the entries with this fate. Adopted entries are never given up: they stay in the
    /// spool. Entries that are settled already keep their fate.
    pub fn settle(&self, entries: usize, fate: Fate) {
        if self.0.adopted && matches!(fate, Fate::Dropped(_)) {
            return;
        }
        let mut state = self.0.lock();
        let entries = entries.min(state.remaining);
        state.remaining -= entries;
        if entries > 0 {
            let resources = &self.0.resources;
            resources.counters.settle(entries, fate, self.0.adopted);
            if state.remaining == 0 {
                state.unstored = None;
                if let Some(number) = state.number {
                    resources.settlement.completed(number);
                }
            }
        }
    }

    /// Settles all remaining entries with this fate.
    pub fn settle_all(&self, fate: Fate) {
        self.settle(usize::MAX, fate);
    }

    /// Notes the limit on the labels of a stream that Loki has named.
    pub fn set_label_limit(&self, limit: usize) {
        self.0.resources.counters.set_label_limit(limit);
    }

    /// Whether the entries are those of an earlier run.
    pub fn is_adopted(&self) -> bool {
        self.0.adopted
    }

    /// The batch's place in the spool.
    pub(super) fn stored(&self) -> Option<SpooledBatch> {
        self.0.lock().stored.clone()
    }

    /// Whether the batch is in the spool.
    pub fn is_stored(&self) -> bool {
        self.0.lock().stored.is_some()
    }

    /// Whether the batch takes memory.
    pub(super) fn is_in_memory(&self) -> bool {
        self.0.lock().memory > 0
    }

    /// Notes that the batch takes memory now.
    pub(super) fn occupy(&self, bytes: usize) {
        self.0.resources.memory.force_acquire(bytes);
        self.0.lock().memory += bytes;
    }

    /// Frees the memory of a batch that is in the spool too; returns whether it is.
    pub(super) fn free_memory(&self) -> bool {
        let mut state = self.0.lock();
        if state.stored.is_none() {
            return false;
        }
        self.0
            .resources
            .memory
            .release(std::mem::take(&mut state.memory));
        true
    }

    /// Notes that the file of the batch cannot be read: its entries are not in the spool.
    pub(super) fn mark_unreadable(&self) {
        if let (Some(stored), Some(disk)) = (self.0.lock().stored.take(), &self.0.resources.disk) {
            disk.room.release(stored.bytes as usize);
        }
    }

    pub(super) fn downgrade(&self) -> WeakAck {
        WeakAck(Arc::downgrade(&self.0))
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ack({} entries)", self.0.lock().remaining)
    }
}

impl WeakAck {
    /// Whether somebody holds the acknowledgement.
    pub fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// The bytes of memory that the batch takes.
    pub fn memory(&self) -> usize {
        let inner = self.0.upgrade();
        inner.map_or(0, |inner| inner.lock().memory)
    }

    /// Ends the acknowledgement, whoever holds it: nothing can be settled with it any more.
    pub fn revoke(&self) {
        if let Some(inner) = self.0.upgrade() {
            inner.end();
        }
    }

    /// Whether the batch still has to be stored.
    #[cfg(feature = "cli")]
    pub fn is_unstored(&self) -> bool {
        let inner = self.0.upgrade();
        inner.is_some_and(|inner| inner.lock().unstored.is_some())
    }

    /// Stores the batch if it still has to be. Returns false if it could not be stored.
    pub fn store(&self, store: impl FnOnce(&EncodedBatch) -> Option<SpooledBatch>) -> bool {
        let Some(inner) = self.0.upgrade() else {
            return true;
        };
        let mut state = inner.lock();
        let Some(batch) = state.unstored.take() else {
            return true;
        };
        match store(&batch) {
            Some(stored) => state.stored = Some(stored),
            None => state.unstored = Some(batch),
        }
        state.stored.is_some()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        let mut state = self.lock();
        self.resources
            .memory
            .release(std::mem::take(&mut state.memory));
        let remaining = std::mem::take(&mut state.remaining);
        state.unstored = None;
        let (Some(stored), Some(disk)) = (state.stored.take(), &self.resources.disk) else {
            return;
        };
        if remaining == 0 {
            disk.settle(stored);
        } else if !self.adopted && stored.exists() {
            self.resources
                .counters
                .settle(remaining, Fate::Spooled, false);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}
