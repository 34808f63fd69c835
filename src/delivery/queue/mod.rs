//! The backlog: sealed shipments that wait for Loki, in memory and in the spool, and what happens
//! when there is no more room.
//!
//! Stands between sealing and shipping. With a spool every shipment is on disk before it can be
//! taken; what memory has no room for is read back when its turn comes. Knows nothing of requests,
//! answers or sources.

mod ack;
mod capacity;
mod disk;
mod in_flight;
mod overflow;
mod queued;
mod recovery;
#[cfg(test)]
pub mod tests;
mod unstored;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub use crate::delivery::queue::ack::Ack;
pub use crate::delivery::queue::disk::{DescribePositions, SaveCheckpoint, SpoolBackend};
pub use crate::delivery::queue::overflow::OnFull;

use crate::delivery::completion::CompletionTracker;
use crate::delivery::queue::capacity::{QueueResources, Store};
use crate::delivery::queue::in_flight::InFlightAcks;
use crate::delivery::queue::overflow::OverflowPolicy;
use crate::delivery::queue::queued::QueueItem;
use crate::delivery::queue::recovery::RecoveredBatches;
use crate::delivery::queue::unstored::UnstoredBatches;
use crate::entry::request::EncodedBatch;
use crate::report::counters::Counters;
use crate::report::messages::Reporter;
use crate::storage::spool::{ReadError, SpooledBatch};
use crate::sync::byte_semaphore::ByteSemaphore;
use crate::sync::queue::{ByteQueue, Pop};
use crate::sync::shutdown::{Phase, Shutdown};

/// A shipment to be sent, and the ticket for its entries.
#[derive(Debug)]
pub struct QueuedBatch {
    /// The shipment.
    pub shipment: EncodedBatch,
    /// What is owed for it.
    pub ticket: Ack,
}

#[cfg(test)]
impl QueuedBatch {
    /// A shipment that never waited anywhere.
    pub fn alone(shipment: EncodedBatch) -> Self {
        let accounts = QueueResources::new(&Arc::new(Counters::new()), 0, None);
        let ticket = Ack::new(&Arc::new(accounts), shipment.entries(), 0, None, false);
        Self { shipment, ticket }
    }
}

/// Shipments that wait.
pub struct DeliveryQueue {
    queue: ByteQueue<QueueItem>,
    /// Those of earlier runs; they go first.
    orphans: RecoveredBatches,
    under_way: InFlightAcks,
    unstored: UnstoredBatches,
    accounts: Arc<QueueResources>,
    gate: OverflowPolicy,
    /// Whether to look for more orphans when all is sent.
    drain: bool,
    /// Whether a batch of this run was not stored, though there is a spool.
    missed_spool: AtomicBool,
    stop: Arc<Shutdown>,
    reporter: Reporter,
}

impl DeliveryQueue {
    /// A backlog of `capacity` bytes of memory, which takes one shipment of any size when empty.
    /// With a spool everything is on disk too, and what earlier runs left there waits already.
    pub fn new(
        capacity: usize,
        on_full: OnFull,
        disk: Option<SpoolBackend>,
        stop: &Arc<Shutdown>,
        counters: &Arc<Counters>,
        reporter: Reporter,
    ) -> Self {
        let queue = ByteQueue::new(usize::MAX);
        let accounts = Arc::new(QueueResources::new(counters, capacity, disk));
        stop.on_change({
            let queue = queue.clone();
            let rooms: Vec<ByteSemaphore> = accounts.rooms().cloned().collect();
            move || {
                queue.kick();
                rooms.iter().for_each(ByteSemaphore::kick);
            }
        });
        let backlog = Self {
            gate: OverflowPolicy::new(on_full, &accounts, &queue, stop, reporter),
            queue,
            orphans: RecoveredBatches::default(),
            under_way: InFlightAcks::default(),
            unstored: UnstoredBatches::default(),
            accounts,
            drain: false,
            missed_spool: AtomicBool::new(false),
            stop: Arc::clone(stop),
            reporter,
        };
        backlog.orphans.recover(&backlog.accounts, reporter);
        backlog
    }

    /// Looks for more orphans whenever all is sent, until none is left.
    #[must_use]
    pub fn draining(mut self, drain: bool) -> Self {
        self.drain = drain;
        self
    }

    /// Takes a batch in, or gives one up, as the policy says. A batch that finds no room because the
    /// run is over is left.
    pub fn put(&self, batch: EncodedBatch) {
        let (entries, bytes) = (batch.entries(), batch.footprint());
        let (number, positions) = (batch.number, batch.positions.clone());
        self.accounts.settlement.enter(number, entries);
        let Ok(stored) = self.store(&batch) else {
            self.unstored.give_up(&batch);
            return;
        };
        if stored.is_none() {
            self.missed_spool.store(true, Ordering::Relaxed);
        }
        let in_memory = match &stored {
            Some(_) => self.accounts.memory.enter(bytes),
            None if self.gate.enter(Store::Memory, bytes, &batch) => true,
            None => {
                self.unstored.give_up(&batch);
                return;
            }
        };
        let memory = if in_memory { bytes } else { 0 };
        let is_stored = stored.is_some();
        let ticket = Ack::new(&self.accounts, entries, memory, stored, false);
        ticket.set_number(number);
        if !is_stored && self.accounts.disk.is_some() {
            self.unstored.add(&batch, &ticket);
        }
        let item = QueueItem {
            shipment: in_memory.then_some(batch),
            positions,
            ticket,
        };
        // If nobody sends any more, the batch stays in the spool with its acknowledgement, if it is
        // there.
        drop(self.queue.push(item, 1));
    }

    /// Stores a batch. Returns None if it is to wait in memory only: there is no spool, it cannot be
    /// written, or a batch before this one is not in it. An error if there is no room and the batch
    /// is to be forgotten.
    fn store(&self, batch: &EncodedBatch) -> Result<Option<SpooledBatch>, NoRoom> {
        let Some(disk) = &self.accounts.disk else {
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
            // Memory is all there is now: copies of what is on disk need not be in it.
            self.queue.each(|item| {
                if item.ticket.free_memory() {
                    item.shipment = None;
                }
            });
        }
        Ok(stored.ok())
    }

    /// Stores the batches before that are not in the spool, if it takes them now; returns whether
    /// one with file positions may be stored after them.
    fn store_earlier(&self) -> bool {
        let Some(disk) = &self.accounts.disk else {
            return true;
        };
        self.unstored.store(|batch| {
            let prepared = disk.prepare(batch);
            let bytes = prepared.bytes() as usize;
            if disk.is_full_of_others(bytes) || !disk.room.enter(bytes) {
                return None;
            }
            let stored = disk.spool.store(prepared, batch).ok();
            if stored.is_none() {
                disk.room.release(bytes);
            }
            stored
        })
    }

    /// Takes room in the spool, waiting for it as the policy says. Returns false if the batch is to
    /// wait in memory, since no batch of ours could make room; an error if it is to be forgotten.
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
            if disk.room.enter(bytes) {
                return Ok(true);
            }
            if disk.can_save() {
                disk.save_checkpoint();
            } else if disk.cannot_save() {
                return Ok(false);
            } else {
                disk.measure();
                match self
                    .gate
                    .enter_unless(Store::Spool, bytes, batch, || disk.can_save())
                {
                    Some(true) => return Ok(true),
                    Some(false) => return Err(NoRoom),
                    None => {}
                }
            }
        }
    }

    /// The oldest shipment, those of earlier runs before our own. Its room stays in use as long as
    /// its ticket is held.
    pub fn take(&self, until: Option<Instant>) -> Pop<QueuedBatch> {
        loop {
            // All of it is safe where it is, and a second signal wants to be quick.
            if self.accounts.disk.is_some() && self.stop.state().phase == Phase::Aborting {
                return Pop::Ended;
            }
            let orphan = self.orphans.next();
            let waiting = match orphan.map_or_else(|| self.queue.pop(until), Pop::Item) {
                Pop::Item(waiting) => waiting,
                Pop::Ended if self.drain && self.finds_more() => continue,
                Pop::Ended => return Pop::Ended,
                Pop::Kicked => return Pop::Kicked,
                Pop::TimedOut => return Pop::TimedOut,
            };
            // Noted before it is read back: that takes a while, and the run may end meanwhile.
            if !self.under_way.hand_out(&waiting.ticket) {
                return Pop::Ended;
            }
            if let Some(taken) = self.read_back(waiting) {
                return Pop::Item(taken);
            }
        }
    }

    fn finds_more(&self) -> bool {
        self.orphans.recover(&self.accounts, self.reporter) > 0
    }

    /// The shipment, from the spool if it is not in memory.
    fn read_back(&self, waiting: QueueItem) -> Option<QueuedBatch> {
        let QueueItem {
            shipment,
            positions,
            ticket,
        } = waiting;
        if let Some(shipment) = shipment {
            return Some(QueuedBatch { shipment, ticket });
        }
        let (disk, stored) = (self.accounts.disk.as_ref()?, ticket.stored()?);
        match disk.spool.load(&stored) {
            Ok(mut shipment) => {
                shipment.positions = positions;
                ticket.occupy(shipment.footprint());
                Some(QueuedBatch { shipment, ticket })
            }
            Err(ReadError::Damaged(_)) => {
                ticket.mark_unreadable();
                None
            }
            // It stays where it is.
            Err(_) => None,
        }
    }

    /// Whether what was taken and is not settled takes all the memory there is for shipments. More
    /// could be read back from the spool, but has to wait.
    pub fn is_hand_full(&self) -> bool {
        let held = self.under_way.memory() as u64;
        held > 0 && held >= self.accounts.size(Store::Memory)
    }

    /// How far the shipments of this run are settled.
    pub fn settlement(&self) -> &CompletionTracker {
        &self.accounts.settlement
    }

    /// Whether there is a spool.
    pub fn has_spool(&self) -> bool {
        self.accounts.disk.is_some()
    }

    /// The place that is full, if what comes waits for room there, and its size.
    pub fn holding(&self) -> Option<(&'static str, u64)> {
        self.gate.holding()
    }

    /// Whether there is a spool, and everything that was put here lies in it until it has its fate.
    pub fn is_all_spooled(&self) -> bool {
        self.accounts.disk.is_some()
            && !self.missed_spool.load(Ordering::Relaxed)
            && self.holding().is_none()
    }

    /// From now on nothing waits for room: what finds none is dropped.
    pub fn stop_blocking(&self) {
        self.gate.stop_blocking();
    }

    /// The memory of the batches that wait.
    pub fn memory(&self) -> ByteSemaphore {
        self.accounts.memory.clone()
    }

    /// Whether the last answer was such that retrying cannot mend it.
    pub fn is_hopeless(&self) -> bool {
        self.gate.is_hopeless()
    }

    /// Whether answers are such that retrying cannot mend them: then a full buffer drops what
    /// comes instead of holding up the program that writes.
    pub fn set_hopeless(&self, hopeless: bool) {
        self.gate.set_hopeless(hopeless);
    }

    /// Sets what saves the checkpoint that covers the batches: whoever waits for room in the spool
    /// saves it first.
    pub fn save_checkpoint_with(&self, save: Arc<SaveCheckpoint>) {
        if let Some(disk) = &self.accounts.disk {
            disk.save_with(save);
        }
    }

    /// How many shipments are settled so far; to be asked before a checkpoint is put together, and
    /// given to [`DeliveryQueue::checkpointed`] when it is on disk.
    pub fn settled_count(&self) -> u64 {
        let disk = self.accounts.disk.as_ref();
        disk.map_or(0, SpoolBackend::settled_count)
    }

    /// A checkpoint is on disk that covers the first `count` settled shipments: they leave the
    /// spool.
    pub fn checkpointed(&self, count: u64) {
        if let Some(disk) = &self.accounts.disk {
            disk.checkpointed(count);
        }
    }

    /// The checkpoint cannot be written: makes room on the disk if that is possible without it.
    /// Returns whether it was.
    pub fn make_room_for_checkpoint(&self) -> bool {
        let disk = self.accounts.disk.as_ref();
        disk.is_some_and(SpoolBackend::remove_covered)
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Nobody ships any more: what waits, what is under way and what still comes stays in the
    /// spool, or is left if there is none.
    pub fn abandon(&self) {
        self.accounts.rooms().for_each(ByteSemaphore::close);
        self.store_earlier();
        drop(self.queue.abandon());
        self.orphans.abandon();
        self.under_way.revoke_all();
        self.accounts.settlement.end();
    }
}

/// There was no room for a shipment.
struct NoRoom;
