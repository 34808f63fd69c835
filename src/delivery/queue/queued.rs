//! A batch that waits in the queue.

use crate::delivery::queue::ack::Ack;
use crate::delivery::queue::capacity::Store;
use crate::entry::FilePositions;
use crate::entry::request::EncodedBatch;

/// A batch that waits: in memory, or to be read from the spool.
pub struct QueueItem {
    /// The batch, if it is in memory.
    pub batch: Option<EncodedBatch>,
    /// Its file positions, which reading it from the spool does not return.
    pub positions: FilePositions,
    /// The acknowledgement of its entries.
    pub ack: Ack,
}

impl QueueItem {
    /// Whether it may be given up to make room in a store.
    pub fn may_evict(&self, store: Store) -> bool {
        self.positions.is_empty()
            && match store {
                Store::Memory => self.ack.is_in_memory(),
                Store::Spool => self.ack.is_stored(),
            }
    }
}
