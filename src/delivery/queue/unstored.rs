//! Batches of this run that wait in memory although there is a spool: it could not be written, it
//! was full, or one before them is not stored.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::delivery::queue::ack::{Ack, WeakAck};
use crate::entry::request::EncodedBatch;
use crate::storage::spool::SpooledBatch;

/// Those batches. A batch with file positions may only be stored if none is left: its positions say
/// that all lines before them are in the spool or settled.
#[derive(Default)]
pub struct UnstoredBatches(Mutex<State>);

#[derive(Default)]
struct State {
    /// By their numbers.
    batches: BTreeMap<u64, WeakAck>,
    /// Whether a batch with file positions was given up: no later one may be stored.
    gap: bool,
}

impl UnstoredBatches {
    /// Adds a batch; its bytes are kept until it is stored or settled.
    pub fn add(&self, batch: &EncodedBatch, ack: &Ack) {
        let mut state = self.lock();
        if batch.positions.is_empty() || !state.gap {
            ack.keep_to_store(batch.clone());
            state.batches.insert(batch.number, ack.downgrade());
        }
    }

    /// Notes that a batch is given up: the lines of its files are read again by the next run.
    pub fn give_up(&self, batch: &EncodedBatch) {
        self.lock().gap |= !batch.positions.is_empty();
    }

    /// Whether every batch of this run is in the spool or has its fate.
    #[cfg(feature = "cli")]
    pub fn is_empty(&self) -> bool {
        let mut state = self.lock();
        state.batches.retain(|_, ack| ack.is_unstored());
        state.batches.is_empty() && !state.gap
    }

    /// Stores them, oldest first, as long as that goes well. Returns whether a batch with file
    /// positions may be stored after that.
    pub fn store(&self, mut store: impl FnMut(&EncodedBatch) -> Option<SpooledBatch>) -> bool {
        let mut state = self.lock();
        while let Some(first) = state.batches.first_entry() {
            if !first.get().store(&mut store) {
                return false;
            }
            first.remove();
        }
        !state.gap
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
