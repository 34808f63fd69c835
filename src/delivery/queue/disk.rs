//! The queue's view of the spool: its size limit, and when batches are stored and removed.

#[cfg(feature = "cli")]
use std::collections::BTreeMap;
use std::collections::VecDeque;
#[cfg(feature = "cli")]
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::entry::FilePositions;
use crate::entry::request::EncodedBatch;
use crate::report::messages::{Message, Reporter};
use crate::storage::spool::{PreparedBatch, Spool, SpooledBatch};
use crate::sync::byte_semaphore::ByteSemaphore;

/// Describes file positions so that another run can use them.
pub type DescribePositions = dyn Fn(&FilePositions) -> Vec<Value> + Send + Sync;

/// Saves the checkpoint. Returns whether it is on disk.
pub type SaveCheckpoint = dyn Fn() -> bool + Send + Sync;

/// A spool in use.
pub struct SpoolBackend {
    /// The spool.
    pub spool: Arc<Spool>,
    /// The bytes that this process may use in it.
    pub room: ByteSemaphore,
    describe: Option<Arc<DescribePositions>>,
    save: Mutex<Option<Arc<SaveCheckpoint>>>,
    settled: Mutex<Settled>,
    /// The bytes that other runs used at the last measurement.
    others: AtomicU64,
    /// Whether it was reported that other runs fill the spool, since it last had room.
    reported_full: AtomicBool,
    reporter: Reporter,
}

/// The settled batches, in the order in which they were settled.
#[derive(Default)]
struct Settled {
    count: u64,
    /// Batches that no saved checkpoint covers yet, with their numbers in that order.
    unsaved: VecDeque<(u64, SpooledBatch)>,
    /// The number of settled batches at the last failure to save the checkpoint.
    failed_at: Option<u64>,
}

impl SpoolBackend {
    /// Uses a spool. `describe` is set if there is a checkpoint that positions can belong to.
    #[cfg(feature = "cli")]
    pub fn new(
        spool: Arc<Spool>,
        describe: Option<Arc<DescribePositions>>,
        reporter: Reporter,
    ) -> Self {
        let backend = Self {
            room: ByteSemaphore::new(0),
            describe,
            save: Mutex::default(),
            settled: Mutex::default(),
            others: AtomicU64::new(0),
            reported_full: AtomicBool::new(false),
            reporter,
            spool,
        };
        backend.measure();
        backend
    }

    /// Sets what saves the checkpoint.
    #[cfg(feature = "cli")]
    pub fn save_with(&self, save: Arc<SaveCheckpoint>) {
        *self.save.lock().unwrap_or_else(PoisonError::into_inner) = Some(save);
    }

    /// Measures how much of the size limit other runs use, which can change at any time.
    pub fn measure(&self) {
        let others = self.spool.used_by_others();
        self.others.store(others, Ordering::Relaxed);
        let free = self.spool.size().saturating_sub(others);
        self.room
            .resize(usize::try_from(free).unwrap_or(usize::MAX));
    }

    /// Whether a batch of this size would not fit even if the spool held nothing of ours, so that only
    /// other runs could make room. Reported when it begins.
    pub fn is_full_of_others(&self, bytes: usize) -> bool {
        let is_full = || {
            let others = self.others.load(Ordering::Relaxed);
            others > 0 && others.saturating_add(bytes as u64) > self.spool.size()
        };
        let full = is_full() && {
            self.measure();
            is_full()
        };
        if full && !self.reported_full.swap(true, Ordering::Relaxed) {
            self.reporter.say(&Message::SpoolFullOfOthers {
                spool: &self.spool.dir().display().to_string(),
                size: self.spool.size(),
            });
        }
        self.reported_full.store(full, Ordering::Relaxed);
        full
    }

    /// Prepares a batch for storing.
    pub fn prepare(&self, batch: &EncodedBatch) -> PreparedBatch {
        let describe = |describe: &Arc<DescribePositions>| describe(&batch.positions);
        let positions = self.describe.as_ref().map(describe).unwrap_or_default();
        self.spool.prepare(batch, positions)
    }

    /// Stores a batch with `store` if there is room for it.
    pub fn store_with(
        &self,
        batch: PreparedBatch,
        store: impl FnOnce(PreparedBatch) -> Option<SpooledBatch>,
    ) -> Option<SpooledBatch> {
        let bytes = batch.bytes() as usize;
        if !self.room.try_acquire(bytes) {
            return None;
        }
        let stored = store(batch);
        if stored.is_none() {
            self.room.release(bytes);
        }
        stored
    }

    /// Removes a settled batch, or keeps it until a saved checkpoint covers it.
    pub fn settle(&self, batch: SpooledBatch) {
        let mut settled = self.lock();
        settled.count += 1;
        if batch.positions.is_empty() {
            drop(settled);
            self.remove(&batch);
        } else {
            let number = settled.count;
            settled.unsaved.push_back((number, batch));
            drop(settled);
            // Threads that wait for room can save the checkpoint now.
            self.room.wake_all();
        }
    }

    /// Whether saving the checkpoint may make room: settled batches wait for it, and the last attempt
    /// did not fail.
    pub fn can_save(&self) -> bool {
        let settled = self.lock();
        !settled.unsaved.is_empty() && settled.failed_at != Some(settled.count)
    }

    /// Whether settled batches wait for a checkpoint that cannot be saved.
    pub fn cannot_save(&self) -> bool {
        let settled = self.lock();
        !settled.unsaved.is_empty() && settled.failed_at == Some(settled.count)
    }

    /// Saves the checkpoint, so that settled batches can be removed.
    pub fn save_checkpoint(&self) {
        let count = self.settled_count();
        let save = self.save.lock().unwrap_or_else(PoisonError::into_inner);
        let save = save.clone();
        // A run without a way to save counts as a failure.
        let saved = save.is_some_and(|save| save());
        self.lock().failed_at = (!saved).then_some(count);
    }

    /// The number of batches that are settled so far.
    pub fn settled_count(&self) -> u64 {
        self.lock().count
    }

    /// Removes the first `count` settled batches, now that a saved checkpoint covers them.
    #[cfg(feature = "cli")]
    pub fn checkpointed(&self, count: u64) {
        let covered: Vec<_> = {
            let mut settled = self.lock();
            let end = settled
                .unsaved
                .partition_point(|(number, _)| *number <= count);
            settled.unsaved.drain(..end).collect()
        };
        for (_, batch) in covered {
            self.remove(&batch);
        }
    }

    /// Removes settled batches whose file positions are all covered by later ones, which may make room
    /// on disk for a checkpoint that cannot be written. Returns whether any were removed.
    #[cfg(feature = "cli")]
    pub fn remove_covered(&self) -> bool {
        let covered: Vec<_> = {
            let mut settled = self.lock();
            let mut furthest: BTreeMap<String, u64> = BTreeMap::new();
            let mut is_covered = |batch: &SpooledBatch| {
                let mut all = true;
                for position in &batch.positions {
                    let (file, offset) = file_and_offset(position);
                    let known = furthest.entry(file);
                    all &= matches!(&known, Entry::Occupied(known) if *known.get() >= offset);
                    let known = known.or_default();
                    *known = offset.max(*known);
                }
                all
            };
            let unsaved = std::mem::take(&mut settled.unsaved).into_iter().rev();
            let (covered, kept) = unsaved.partition::<Vec<_>, _>(|(_, batch)| is_covered(batch));
            settled.unsaved = kept.into_iter().rev().collect();
            covered
        };
        for (_, batch) in &covered {
            self.remove(batch);
        }
        !covered.is_empty()
    }

    fn remove(&self, batch: &SpooledBatch) {
        self.spool.remove(batch);
        self.room.release(batch.bytes as usize);
    }

    fn lock(&self) -> MutexGuard<'_, Settled> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file that a position belongs to, as it is described, and the offset in it.
#[cfg(feature = "cli")]
fn file_and_offset(position: &Value) -> (String, u64) {
    let mut file = position.clone();
    let mut take = |key| file.as_object_mut().and_then(|file| file.remove(key));
    let offset = take("offset").and_then(|offset| offset.as_u64());
    take("unread");
    (file.to_string(), offset.unwrap_or_default())
}
