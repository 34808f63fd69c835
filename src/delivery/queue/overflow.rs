//! The overflow policy: what happens to a batch when there is no room for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::delivery::queue::capacity::{QueueResources, Store};
use crate::delivery::queue::queued::QueueItem;
use crate::entry::request::EncodedBatch;
use crate::report::messages::{Message, Reporter};
use crate::sync::byte_semaphore::{Acquire, ByteSemaphore};
use crate::sync::queue::ByteQueue;
use crate::sync::shutdown::{Phase, Shutdown};

/// What happens when the buffer is full. Batches from files always wait: the files are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum OnFull {
    /// Make the input wait
    #[default]
    Block,
    /// Drop new entries
    DropNewest,
    /// Drop the oldest waiting entries, but never the batch being sent
    DropOldest,
}

/// Admits batches to the queue.
pub struct OverflowPolicy {
    on_full: OnFull,
    resources: Arc<QueueResources>,
    /// The waiting batches, of which the oldest may be dropped to make room.
    queue: ByteQueue<QueueItem>,
    /// Whether the last answer was a configuration fault, which retrying cannot fix.
    hopeless: AtomicBool,
    /// Whether batches no longer wait for room.
    never_waits: AtomicBool,
    /// The full store that a batch waits for.
    blocked_on: Mutex<Option<Store>>,
    /// Whether it was reported that batches are dropped, since Loki last accepted one.
    reported_dropping: AtomicBool,
    stop: Arc<Shutdown>,
    reporter: Reporter,
}

impl OverflowPolicy {
    /// Creates the policy for this queue.
    pub fn new(
        on_full: OnFull,
        resources: &Arc<QueueResources>,
        queue: &ByteQueue<QueueItem>,
        stop: &Arc<Shutdown>,
        reporter: Reporter,
    ) -> Self {
        Self {
            on_full,
            resources: Arc::clone(resources),
            queue: queue.clone(),
            hopeless: AtomicBool::new(false),
            never_waits: AtomicBool::new(false),
            blocked_on: Mutex::new(None),
            reported_dropping: AtomicBool::new(false),
            stop: Arc::clone(stop),
            reporter,
        }
    }

    /// Acquires room as the policy says. Returns whether there was room; if not, the batch is dropped and
    /// counted, or left if the run is over.
    pub fn admit(&self, store: Store, bytes: usize, batch: &EncodedBatch) -> bool {
        self.admit_unless(store, bytes, batch, || false) == Some(true)
    }

    /// Like [`OverflowPolicy::admit`], but stops waiting and returns `None` once `other_way` says that
    /// there is another way to make room. `other_way` must not use this room itself.
    pub fn admit_unless(
        &self,
        store: Store,
        bytes: usize,
        batch: &EncodedBatch,
        other_way: impl Fn() -> bool,
    ) -> Option<bool> {
        let must_wait = !batch.positions.is_empty();
        if self.on_full == OnFull::DropOldest && !must_wait {
            return Some(self.evict_oldest(store, bytes, batch));
        }
        let waits = must_wait || self.on_full == OnFull::Block;
        let patient = || {
            let waits = waits && !self.never_waits.load(Ordering::Relaxed);
            let waits = waits && (must_wait || !self.is_hopeless());
            let patient = !self.is_over() && waits && !other_way();
            self.set_blocked_on(patient.then_some(store));
            patient
        };
        let entered = self.resources.room(store).acquire_while(bytes, patient);
        self.set_blocked_on(None);
        if entered == Acquire::Full && !self.is_over() {
            if other_way() {
                return None;
            }
            self.drop_newest(store, batch);
        }
        Some(entered == Acquire::Acquired)
    }

    /// Drops the oldest batches until there is room.
    fn evict_oldest(&self, store: Store, bytes: usize, batch: &EncodedBatch) -> bool {
        let room = self.resources.room(store);
        while !room.try_acquire(bytes) {
            let Some(old) = self.queue.take_first(|old| old.may_evict(store)) else {
                self.drop_newest(store, batch);
                return false;
            };
            self.report_dropping(store, "oldest");
            old.ack.settle_all(store.dropped());
        }
        true
    }

    fn drop_newest(&self, store: Store, batch: &EncodedBatch) {
        self.report_dropping(store, "newest");
        let resources = &self.resources;
        resources
            .counters
            .settle(batch.entries(), store.dropped(), false);
        resources.settlement.completed(batch.number);
    }

    fn report_dropping(&self, store: Store, which: &str) {
        if !self.reported_dropping.swap(true, Ordering::Relaxed) {
            self.reporter.say(&Message::Dropping {
                place: store.name(),
                size: self.resources.size(store),
                which,
            });
        }
    }

    /// The name of the store that is full, if a batch waits for room there, and its size.
    pub fn blocked_on(&self) -> Option<(&'static str, u64)> {
        let store = *self
            .blocked_on
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        store.map(|store| (store.name(), self.resources.size(store)))
    }

    fn set_blocked_on(&self, store: Option<Store>) {
        *self
            .blocked_on
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = store;
    }

    /// Whether the last answer was a configuration fault.
    pub fn is_hopeless(&self) -> bool {
        self.hopeless.load(Ordering::Relaxed)
    }

    /// Stops all waiting for room, now and in future.
    #[cfg(feature = "cli")]
    pub fn stop_blocking(&self) {
        self.never_waits.store(true, Ordering::Relaxed);
        self.resources.rooms().for_each(ByteSemaphore::wake_all);
    }

    /// Sets whether the last answer was a configuration fault: then waiting for room ends.
    pub fn set_hopeless(&self, hopeless: bool) {
        if self.hopeless.swap(hopeless, Ordering::Relaxed) != hopeless {
            self.resources.rooms().for_each(ByteSemaphore::wake_all);
        }
        if !hopeless {
            self.reported_dropping.store(false, Ordering::Relaxed);
        }
    }

    fn is_over(&self) -> bool {
        self.stop.state().phase == Phase::Aborting
    }
}
