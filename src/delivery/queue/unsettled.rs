//! The one table of all batches that wait, are read back or are in flight, until they are settled.
//!
//! A batch enters it when the queue accepts it or takes it over from an earlier run, and leaves it
//! when its acknowledgement is dropped, or revoked at the end of the run. Where there is a spool, the
//! table also holds the batches of this run that are not in it: it could not be written, it was full,
//! or a batch before them is not stored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::delivery::queue::ack::Ack;
use crate::delivery::queue::capacity::QueueResources;
use crate::entry::request::EncodedBatch;
use crate::report::counters::Fate;
use crate::storage::spool::SpooledBatch;

/// The key of a batch in the table; later batches have larger ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId(u64);

/// A batch with entries that may have no fate yet.
#[derive(Debug, Default)]
pub struct UnsettledBatch {
    /// The entries without a fate.
    pub remaining: usize,
    /// The bytes of memory in use.
    pub memory: usize,
    /// Its place in the spool.
    pub stored: Option<SpooledBatch>,
    /// Its number, if it is of this run.
    pub number: Option<u64>,
    /// Whether the sender has it.
    pub in_flight: bool,
}

/// The table.
pub struct UnsettledBatches {
    resources: Arc<QueueResources>,
    state: Mutex<State>,
    /// Held while a batch is written late to the spool: one at a time, and none ends meanwhile.
    storing: Mutex<()>,
}

#[derive(Default)]
struct State {
    batches: BTreeMap<BatchId, UnsettledBatch>,
    next: u64,
    /// The batches that still have to be stored. They share their bytes with the ones that are sent.
    unstored: BTreeMap<BatchId, EncodedBatch>,
    /// Whether a batch with file positions was given up: no later one may be stored.
    gap: bool,
    /// Whether the run is over, and no batch is sent any more.
    over: bool,
}

impl UnsettledBatches {
    /// An empty table.
    pub fn new(resources: Arc<QueueResources>) -> Arc<Self> {
        Arc::new(Self {
            resources,
            state: Mutex::default(),
            storing: Mutex::default(),
        })
    }

    /// What entries are settled with.
    pub fn resources(&self) -> &Arc<QueueResources> {
        &self.resources
    }

    /// Adds a batch.
    pub fn add(&self, batch: UnsettledBatch) -> BatchId {
        let mut state = self.lock();
        let id = BatchId(state.next);
        state.next += 1;
        state.batches.insert(id, batch);
        id
    }

    /// Looks at a batch, or changes it. None if it is not in the table any more.
    pub fn get<T>(&self, id: BatchId, look: impl FnOnce(&mut UnsettledBatch) -> T) -> Option<T> {
        self.lock().batches.get_mut(&id).map(look)
    }

    /// Settles up to this many entries of a batch.
    pub fn settle(&self, id: BatchId, entries: usize, fate: Fate) {
        let mut state = self.lock();
        let Some(batch) = state.batches.get_mut(&id) else {
            return;
        };
        let entries = entries.min(batch.remaining);
        if entries == 0 {
            return;
        }
        batch.remaining -= entries;
        let (is_settled, number) = (batch.remaining == 0, batch.number);
        let counters = &self.resources.counters;
        counters.settle(entries, fate, number.is_none());
        if is_settled {
            state.unstored.remove(&id);
            if let Some(number) = number {
                self.resources.settlement.completed(number);
            }
        }
    }

    /// Notes that a batch is about to be sent. Returns false if none may be any more.
    pub fn hand_out(&self, ack: &Ack) -> bool {
        let mut state = self.lock();
        let over = state.over;
        if let Some(batch) = state.batches.get_mut(&ack.id()) {
            batch.in_flight = !over;
        }
        !over
    }

    /// The bytes of memory that batches in flight take.
    pub fn in_flight_memory(&self) -> usize {
        let state = self.lock();
        let in_flight = state.batches.values().filter(|batch| batch.in_flight);
        in_flight.map(|batch| batch.memory).sum()
    }

    /// Ends all batches in flight, whoever holds their acknowledgements, and lets no more be sent.
    pub fn revoke_all(&self) {
        let ids: Vec<_> = {
            let mut state = self.lock();
            state.over = true;
            let in_flight = state.batches.iter().filter(|(_, batch)| batch.in_flight);
            in_flight.map(|(id, _)| *id).collect()
        };
        ids.into_iter().for_each(|id| self.end(id));
    }

    /// Removes a batch: what has no fate yet is spooled if it is in the spool, or left.
    pub fn end(&self, id: BatchId) {
        let storing = {
            let state = self.lock();
            state.unstored.contains_key(&id)
        };
        // It may be on its way to the spool.
        let _storing = storing.then(|| self.storing());
        let batch = {
            let mut state = self.lock();
            state.unstored.remove(&id);
            state.batches.remove(&id)
        };
        let Some(batch) = batch else { return };
        self.resources.memory.release(batch.memory);
        let (Some(stored), Some(disk)) = (batch.stored, &self.resources.disk) else {
            return;
        };
        if batch.remaining == 0 {
            disk.settle(stored);
        } else if batch.number.is_some() && !stored.is_sending && stored.exists() {
            let counters = &self.resources.counters;
            counters.settle(batch.remaining, Fate::Spooled, false);
        }
    }

    /// Keeps a batch until it can be stored. One with file positions may only be stored if none before
    /// it is missing: its positions say that all lines before them are in the spool or settled.
    pub fn store_later(&self, batch: &EncodedBatch, ack: &Ack) {
        let mut state = self.lock();
        if batch.positions.is_empty() || !state.gap {
            state.unstored.insert(ack.id(), batch.clone());
        }
    }

    /// Notes that a batch is given up: the lines of its files are read again by the next run.
    pub fn give_up(&self, batch: &EncodedBatch) {
        self.lock().gap |= !batch.positions.is_empty();
    }

    /// Whether every batch of this run is in the spool or has its fate.
    #[cfg(feature = "cli")]
    pub fn all_stored(&self) -> bool {
        let state = self.lock();
        state.unstored.is_empty() && !state.gap
    }

    /// Stores the batches that still have to be, oldest first, as long as that goes well. Returns
    /// whether a batch with file positions may be stored after that.
    pub fn store(&self, mut store: impl FnMut(&EncodedBatch) -> Option<SpooledBatch>) -> bool {
        let _storing = self.storing();
        loop {
            let next = {
                let state = self.lock();
                let first = state.unstored.first_key_value();
                first.map(|(id, batch)| (*id, batch.clone()))
            };
            let Some((id, batch)) = next else {
                return !self.lock().gap;
            };
            let Some(stored) = store(&batch) else {
                return false;
            };
            let mut state = self.lock();
            state.unstored.remove(&id);
            if let Some(batch) = state.batches.get_mut(&id) {
                batch.stored = Some(stored);
            } else if let Some(disk) = &self.resources.disk {
                // It was settled meanwhile.
                drop(state);
                disk.settle(stored);
            }
        }
    }

    fn storing(&self) -> MutexGuard<'_, ()> {
        self.storing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
