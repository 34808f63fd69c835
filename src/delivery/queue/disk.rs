//! The backlog's side of the spool: its bound, its trouble, and what of it may go when.
//!
//! Knows when a shipment is removed: at once, or when the checkpoint that covers its marks is on
//! disk. Knows nothing of what is in one.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::entry::FilePositions;
use crate::entry::request::EncodedBatch;
use crate::report::messages::{Message, Reporter};
use crate::storage::spool::{PreparedBatch, Spool, SpooledBatch};
use crate::sync::byte_semaphore::ByteSemaphore;

/// How marks are written down so that another run understands them.
pub type DescribePositions = dyn Fn(&FilePositions) -> Vec<Value> + Send + Sync;

/// A spool in use.
pub struct SpoolBackend {
    /// The directory.
    pub spool: Arc<Spool>,
    /// The bytes in it that we may use.
    pub room: ByteSemaphore,
    describe: Option<Arc<DescribePositions>>,
    failing: AtomicBool,
    waiting: Mutex<Settled>,
}

/// What is settled, in the order in which it was.
#[derive(Default)]
struct Settled {
    count: u64,
    /// Shipments whose checkpoint is not on disk yet, with their numbers.
    awaiting: VecDeque<(u64, SpooledBatch)>,
}

impl SpoolBackend {
    /// Uses a spool. `describe` writes marks down, where there is a checkpoint to read them.
    pub fn new(spool: Arc<Spool>, describe: Option<Arc<DescribePositions>>) -> Self {
        let disk = Self {
            room: ByteSemaphore::new(0),
            describe,
            failing: AtomicBool::new(false),
            waiting: Mutex::default(),
            spool,
        };
        disk.measure();
        disk
    }

    /// Looks anew how much of the bound others use. They come and go, and nobody tells us.
    pub fn measure(&self) {
        let free = self
            .spool
            .size()
            .saturating_sub(self.spool.used_by_others());
        self.room
            .resize(usize::try_from(free).unwrap_or(usize::MAX));
    }

    /// Prepares a shipment for storing.
    pub fn draft(&self, shipment: &EncodedBatch) -> PreparedBatch {
        let describe = |describe: &Arc<DescribePositions>| describe(&shipment.positions);
        let positions = self.describe.as_ref().map(describe).unwrap_or_default();
        self.spool.draft(shipment, positions)
    }

    /// Notes whether the disk takes what it is given, and says when that changes.
    pub fn reporter(&self, result: Result<(), &io::Error>, reporter: Reporter) {
        if self.failing.swap(result.is_err(), Ordering::Relaxed) == result.is_err() {
            return;
        }
        let spool = self.spool.dir().display().to_string();
        let spool = spool.as_str();
        let why = result.err().map(io::Error::to_string);
        reporter.say(&match &why {
            None => Message::SpoolMended { spool },
            Some(why) => Message::SpoolFailing { spool, why },
        });
    }

    /// Removes a shipment that is settled, or keeps it until its checkpoint is on disk.
    pub fn settled(&self, stored: SpooledBatch) {
        let mut waiting = self.lock();
        waiting.count += 1;
        if stored.positions.is_empty() {
            drop(waiting);
            self.remove(&stored);
        } else {
            let number = waiting.count;
            waiting.awaiting.push_back((number, stored));
        }
    }

    /// How many shipments are settled so far.
    pub fn settled_count(&self) -> u64 {
        self.lock().count
    }

    /// A checkpoint that covers the first so many settled shipments is on disk.
    pub fn checkpointed(&self, count: u64) {
        let covered: Vec<_> = {
            let mut waiting = self.lock();
            let end = waiting
                .awaiting
                .partition_point(|(number, _)| *number <= count);
            waiting.awaiting.drain(..end).collect()
        };
        for (_, stored) in covered {
            self.remove(&stored);
        }
    }

    fn remove(&self, stored: &SpooledBatch) {
        self.spool.remove(stored);
        self.room.release(stored.bytes as usize);
    }

    fn lock(&self) -> MutexGuard<'_, Settled> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
