//! Batches that earlier runs left in the spool. They are sent before those of this run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::delivery::queue::ack::Ack;
use crate::delivery::queue::queued::QueueItem;
use crate::delivery::queue::unsettled::{UnsettledBatch, UnsettledBatches};
use crate::entry::FilePositions;
use crate::report::messages::{Message, Reporter};

/// The recovered batches, oldest first.
#[derive(Default)]
pub struct RecoveredBatches(Mutex<VecDeque<QueueItem>>);

impl RecoveredBatches {
    /// Takes over the batches of earlier runs. Returns their number.
    pub fn recover(&self, unsettled: &Arc<UnsettledBatches>, reporter: Reporter) -> usize {
        let resources = unsettled.resources();
        let Some(disk) = &resources.disk else {
            return 0;
        };
        let found = disk.spool.recover();
        let entries: usize = found.iter().map(|stored| stored.entries).sum();
        let batches = found.len();
        for stored in found {
            disk.room.force_acquire(stored.bytes as usize);
            if stored.entries == 0 {
                // A tombstone is settled already; only its positions wait for the checkpoint.
                disk.settle(stored);
                continue;
            }
            let batch = UnsettledBatch {
                remaining: stored.entries,
                stored: Some(stored),
                ..UnsettledBatch::default()
            };
            let ack = Ack::new(unsettled, batch);
            self.lock().push_back(QueueItem {
                batch: None,
                positions: FilePositions::default(),
                ack,
            });
        }
        if entries > 0 {
            resources.counters.adopted(entries);
            let spool = &disk.spool.dir().display().to_string();
            reporter.say(&Message::Adopting { entries, spool });
        }
        disk.measure();
        batches
    }

    /// Removes and returns the oldest.
    pub fn next(&self) -> Option<QueueItem> {
        self.lock().pop_front()
    }

    /// Releases all of them. They stay in the spool.
    pub fn release(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<QueueItem>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
