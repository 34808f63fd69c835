//! The delivery queue between encoding and sending: encoded batches that wait in memory and in the spool,
//! and what happens when there is no more room.
//!
//! With a spool every batch is on disk before it can be taken. Batches that do not fit into memory are
//! read back when it is their turn.

mod ack;
mod capacity;
mod disk;
mod overflow;
mod queued;
mod recovery;
#[cfg(test)]
pub mod tests;
mod unsettled;

use std::sync::Arc;
use std::time::Instant;

pub use crate::delivery::queue::ack::Ack;
pub use crate::delivery::queue::disk::SpoolBackend;
#[cfg(feature = "cli")]
pub use crate::delivery::queue::disk::{DescribePositions, SaveCheckpoint};
pub use crate::delivery::queue::overflow::OnFull;

use crate::delivery::completion::CompletionTracker;
use crate::delivery::queue::capacity::{QueueResources, Store};
use crate::delivery::queue::overflow::OverflowPolicy;
use crate::delivery::queue::queued::QueueItem;
use crate::delivery::queue::recovery::RecoveredBatches;
use crate::delivery::queue::unsettled::{UnsettledBatch, UnsettledBatches};
use crate::entry::request::EncodedBatch;
use crate::report::counters::Counters;
use crate::report::messages::Reporter;
use crate::storage::spool::{ReadError, SpooledBatch};
use crate::sync::byte_semaphore::ByteSemaphore;
use crate::sync::queue::{ByteQueue, Pop};
use crate::sync::shutdown::{Phase, Shutdown};

/// A batch to be sent, and the acknowledgement of its entries.
#[derive(Debug)]
pub struct QueuedBatch {
    /// The batch.
    pub batch: EncodedBatch,
    /// The acknowledgement of its entries.
    pub ack: Ack,
}

#[cfg(test)]
impl QueuedBatch {
    /// A batch that is in no queue.
    pub fn alone(batch: EncodedBatch) -> Self {
        let resources = QueueResources::new(&Arc::new(Counters::new()), 0, None);
        let unsettled = UnsettledBatch {
            remaining: batch.entries(),
            number: Some(batch.number),
            ..UnsettledBatch::default()
        };
        let ack = Ack::new(&UnsettledBatches::new(Arc::new(resources)), unsettled);
        Self { batch, ack }
    }
}

/// The batches that wait, and those in flight.
pub struct DeliveryQueue {
    queue: ByteQueue<QueueItem>,
    /// The batches of earlier runs; they are sent first.
    recovered: RecoveredBatches,
    unsettled: Arc<UnsettledBatches>,
    resources: Arc<QueueResources>,
    overflow: OverflowPolicy,
    /// Whether to look for more batches of earlier runs when all are sent.
    drain: bool,
    stop: Arc<Shutdown>,
    reporter: Reporter,
}

impl DeliveryQueue {
    /// Creates a queue with `capacity` bytes of memory. When empty, it accepts one batch of any size. With
    /// a spool all batches are on disk too, and those of earlier runs are queued already.
    pub fn new(
        capacity: usize,
        on_full: OnFull,
        disk: Option<SpoolBackend>,
        stop: &Arc<Shutdown>,
        counters: &Arc<Counters>,
        reporter: Reporter,
    ) -> Self {
        let queue = ByteQueue::new(usize::MAX);
        let resources = Arc::new(QueueResources::new(counters, capacity, disk));
        stop.on_change({
            let queue = queue.clone();
            let rooms: Vec<ByteSemaphore> = resources.rooms().cloned().collect();
            move || {
                queue.wake_all();
                rooms.iter().for_each(ByteSemaphore::wake_all);
            }
        });
        let new = Self {
            overflow: OverflowPolicy::new(on_full, &resources, &queue, stop, reporter),
            queue,
            recovered: RecoveredBatches::default(),
            unsettled: UnsettledBatches::new(Arc::clone(&resources)),
            resources,
            drain: false,
            stop: Arc::clone(stop),
            reporter,
        };
        new.recovered.recover(&new.unsettled, reporter);
        new
    }

    /// Looks for more batches of earlier runs whenever all are sent, until none is left.
    #[must_use]
    pub fn draining(mut self, drain: bool) -> Self {
        self.drain = drain;
        self
    }

    /// Queues a batch, or drops one according to the policy. A batch for which there is no room because
    /// the run is over is left.
    pub fn push(&self, batch: EncodedBatch) {
        let (entries, bytes) = (batch.entries(), batch.footprint());
        let (number, positions) = (batch.number, batch.positions.clone());
        self.resources.settlement.started(number, entries);
        let Ok(stored) = self.store(&batch) else {
            self.unsettled.give_up(&batch);
            return;
        };
        let in_memory = match &stored {
            Some(_) => self.resources.memory.try_acquire(bytes),
            None if self.overflow.admit(Store::Memory, bytes, &batch) => true,
            None => {
                self.unsettled.give_up(&batch);
                return;
            }
        };
        let memory = if in_memory { bytes } else { 0 };
        let is_stored = stored.is_some();
        let unsettled = UnsettledBatch {
            remaining: entries,
            memory,
            stored,
            number: Some(number),
            in_flight: false,
        };
        let ack = Ack::new(&self.unsettled, unsettled);
        if !is_stored && self.resources.disk.is_some() {
            self.unsettled.store_later(&batch, &ack);
        }
        let item = QueueItem {
            batch: in_memory.then_some(batch),
            positions,
            ack,
        };
        // If the sender has ended, dropping the item leaves the batch in the spool, if it is there.
        drop(self.queue.push(item, 1));
    }

    /// Stores a batch. Returns `None` if it must wait in memory only: there is no spool, it cannot be
    /// written, or an earlier batch is not in it. Returns an error if there is no room and the batch is
    /// dropped or left.
    fn store(&self, batch: &EncodedBatch) -> Result<Option<SpooledBatch>, NoRoom> {
        let Some(disk) = &self.resources.disk else {
            return Ok(None);
        };
        if !self.store_earlier() && !batch.positions.is_empty() {
            return Ok(None);
        }
        let prepared = disk.prepare(batch);
        let bytes = prepared.bytes() as usize;
        if !self.make_room_on_disk(disk, bytes, batch)? {
            return Ok(None);
        }
        let stored = disk.spool.store(prepared, batch);
        if stored.is_err() {
            disk.room.release(bytes);
            // Only memory is left now: batches that are on disk too need not take up room in it.
            self.queue.each(|item| {
                if item.ack.free_memory() {
                    item.batch = None;
                }
            });
        }
        Ok(stored.ok())
    }

    /// Tries to store earlier batches that are not in the spool. Returns whether a batch with file
    /// positions may be stored after them.
    fn store_earlier(&self) -> bool {
        let Some(disk) = &self.resources.disk else {
            return true;
        };
        self.unsettled.store(|batch| {
            let prepared = disk.prepare(batch);
            let has_room = !disk.is_full_of_others(prepared.bytes() as usize);
            let store = |prepared| disk.spool.store(prepared, batch).ok();
            has_room.then(|| disk.store_with(prepared, store))?
        })
    }

    /// Stores a batch of files that is about to be sent, and those before it, next to the checkpoint
    /// if they are not in the spool.
    fn store_sending(&self, queued: &QueuedBatch) {
        let Some(disk) = &self.resources.disk else {
            return;
        };
        if queued.ack.stored().is_none() && !queued.batch.positions.is_empty() {
            self.unsettled.store(|batch| {
                let prepared = disk.prepare(batch);
                let store = |prepared| disk.spool.store_sending(prepared, batch);
                let is_due = batch.number <= queued.batch.number;
                is_due.then(|| disk.store_with(prepared, store))?
            });
        }
    }

    /// Acquires room in the spool, waiting as the policy says. Returns `false` if the batch must wait in
    /// memory, because no batch of ours can make room, and an error if it is dropped or left.
    fn make_room_on_disk(
        &self,
        disk: &SpoolBackend,
        bytes: usize,
        batch: &EncodedBatch,
    ) -> Result<bool, NoRoom> {
        loop {
            if disk.is_full_of_others(bytes) {
                return Ok(false);
            }
            if disk.room.try_acquire(bytes) {
                return Ok(true);
            }
            if disk.can_save() {
                disk.save_checkpoint();
            } else if disk.cannot_save() {
                return Ok(false);
            } else {
                disk.measure();
                match self
                    .overflow
                    .admit_unless(Store::Spool, bytes, batch, || disk.can_save())
                {
                    Some(true) => return Ok(true),
                    Some(false) => return Err(NoRoom),
                    None => {}
                }
            }
        }
    }

    /// Returns the oldest batch, those of earlier runs first. Its room stays in use as long as its
    /// acknowledgement is held.
    pub fn pop(&self, until: Option<Instant>) -> Pop<QueuedBatch> {
        loop {
            // After a second signal the run ends at once; all batches are safe in the spool.
            if self.resources.disk.is_some() && self.stop.state().phase == Phase::Aborting {
                return Pop::Ended;
            }
            let recovered = self.recovered.next();
            let item = match recovered.map_or_else(|| self.queue.pop(until), Pop::Item) {
                Pop::Item(item) => item,
                Pop::Ended if self.drain && self.finds_more() => continue,
                Pop::Ended => return Pop::Ended,
                Pop::Woken => return Pop::Woken,
                Pop::TimedOut => return Pop::TimedOut,
            };
            // Marked as in flight before it is read back, since the run may end during the read.
            if !self.unsettled.hand_out(&item.ack) {
                return Pop::Ended;
            }
            if let Some(batch) = self.read_back(item) {
                self.store_sending(&batch);
                return Pop::Item(batch);
            }
        }
    }

    fn finds_more(&self) -> bool {
        self.recovered.recover(&self.unsettled, self.reporter) > 0
    }

    /// Returns the batch, from the spool if it is not in memory.
    fn read_back(&self, item: QueueItem) -> Option<QueuedBatch> {
        let QueueItem {
            batch,
            positions,
            ack,
        } = item;
        if let Some(batch) = batch {
            return Some(QueuedBatch { batch, ack });
        }
        let (disk, stored) = (self.resources.disk.as_ref()?, ack.stored()?);
        match disk.spool.load(&stored) {
            Ok(mut batch) => {
                batch.positions = positions;
                ack.occupy(batch.footprint());
                Some(QueuedBatch { batch, ack })
            }
            Err(ReadError::Damaged(_)) => {
                ack.mark_unreadable();
                None
            }
            // The file stays where it is.
            Err(_) => None,
        }
    }

    /// Whether the batches in flight take all the memory for batches. Batches in the spool then have to
    /// wait.
    pub fn in_flight_memory_full(&self) -> bool {
        let held = self.unsettled.in_flight_memory() as u64;
        held > 0 && held >= self.resources.size(Store::Memory)
    }

    /// Tracks how far the batches of this run are settled.
    pub fn settlement(&self) -> &CompletionTracker {
        &self.resources.settlement
    }

    /// Whether there is a spool.
    pub fn has_spool(&self) -> bool {
        self.resources.disk.is_some()
    }

    /// The name of the store that is full, if a new batch waits for room there, and its size.
    pub fn blocked_on(&self) -> Option<(&'static str, u64)> {
        self.overflow.blocked_on()
    }

    /// Whether there is a spool, and it holds every batch that is not settled.
    #[cfg(feature = "cli")]
    pub fn is_all_spooled(&self) -> bool {
        self.resources.disk.is_some() && self.unsettled.all_stored() && self.blocked_on().is_none()
    }

    /// From now on, batches for which there is no room are dropped instead of waiting.
    #[cfg(feature = "cli")]
    pub fn stop_blocking(&self) {
        self.overflow.stop_blocking();
    }

    /// The size of all waiting batches, in memory and in the spool.
    #[cfg(feature = "cli")]
    pub fn waiting_bytes(&self) -> u64 {
        self.resources.rooms().map(|room| room.used() as u64).sum()
    }

    /// The memory that waiting batches share.
    pub fn memory(&self) -> ByteSemaphore {
        self.resources.memory.clone()
    }

    /// Whether the last answer was a configuration fault, which retrying cannot fix.
    #[cfg(feature = "cli")]
    pub fn is_hopeless(&self) -> bool {
        self.overflow.is_hopeless()
    }

    /// Sets whether the last answer was a configuration fault: then a full buffer drops new batches
    /// instead of blocking the program that writes.
    pub fn set_hopeless(&self, hopeless: bool) {
        self.overflow.set_hopeless(hopeless);
    }

    /// Sets how to save the checkpoint that covers the batches. A thread that waits for room in the spool
    /// saves it first.
    #[cfg(feature = "cli")]
    pub fn save_checkpoint_with(&self, save: Arc<SaveCheckpoint>) {
        if let Some(disk) = &self.resources.disk {
            disk.save_with(save);
        }
    }

    /// The number of batches settled so far. Call it before the content of a checkpoint is collected, and
    /// pass the result to [`DeliveryQueue::checkpointed`] when the checkpoint is on disk.
    #[cfg(feature = "cli")]
    pub fn settled_count(&self) -> u64 {
        let disk = self.resources.disk.as_ref();
        disk.map_or(0, SpoolBackend::settled_count)
    }

    /// Removes the first `count` settled batches from the spool, now that a saved checkpoint covers them.
    #[cfg(feature = "cli")]
    pub fn checkpointed(&self, count: u64) {
        if let Some(disk) = &self.resources.disk {
            disk.checkpointed(count);
        }
    }

    /// Tries to make room on disk for a checkpoint that cannot be written. Returns whether it did.
    #[cfg(feature = "cli")]
    pub fn make_room_for_checkpoint(&self) -> bool {
        let disk = self.resources.disk.as_ref();
        disk.is_some_and(SpoolBackend::remove_covered)
    }

    /// Closes the queue: no more batches follow.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Ends delivery. Batches that wait, are in flight or are still pushed stay in the spool, or are left
    /// if there is none.
    pub fn close_and_keep(&self) {
        self.resources.rooms().for_each(ByteSemaphore::close);
        self.store_earlier();
        drop(self.queue.close_and_drain());
        self.recovered.release();
        self.unsettled.revoke_all();
        self.resources.settlement.end();
    }
}

/// The error that there was no room for a batch.
struct NoRoom;
