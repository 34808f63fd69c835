//! Orphans: shipments that earlier runs left in the spool, to be sent before our own.
//!
//! Knows how they are taken over. Knows nothing of what this run brings.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::delivery::queue::ack::Ack;
use crate::delivery::queue::capacity::QueueResources;
use crate::delivery::queue::queued::QueueItem;
use crate::entry::FilePositions;
use crate::report::messages::{Message, Reporter};

/// Those that wait, oldest first.
#[derive(Default)]
pub struct RecoveredBatches(Mutex<VecDeque<QueueItem>>);

impl RecoveredBatches {
    /// Takes over what earlier runs left; tells how many shipments.
    pub fn recover(&self, accounts: &Arc<QueueResources>, reporter: Reporter) -> usize {
        let Some(disk) = &accounts.disk else {
            return 0;
        };
        let found = disk.spool.recover();
        let entries: usize = found.iter().map(|stored| stored.entries).sum();
        let shipments = found.len();
        for stored in found {
            disk.room.occupy(stored.bytes as usize);
            if stored.entries == 0 {
                // A receipt: all there is to do is to wait for the checkpoint.
                disk.settle(stored);
                continue;
            }
            let ticket = Ack::new(accounts, stored.entries, 0, Some(stored), true);
            self.lock().push_back(QueueItem {
                shipment: None,
                positions: FilePositions::default(),
                ticket,
            });
        }
        if entries > 0 {
            accounts.counters.adopted(entries);
            let spool = &disk.spool.dir().display().to_string();
            reporter.say(&Message::Adopting { entries, spool });
        }
        disk.measure();
        shipments
    }

    /// The oldest.
    pub fn next(&self) -> Option<QueueItem> {
        self.lock().pop_front()
    }

    /// Lets go of them: they stay in the spool.
    pub fn abandon(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<QueueItem>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
