//! A shipment that waits. Knows whether it may be given up; decides nothing.

use crate::delivery::queue::ack::Ack;
use crate::delivery::queue::capacity::Store;
use crate::entry::FilePositions;
use crate::entry::request::EncodedBatch;

/// A shipment that waits: in memory, or to be read from the spool.
pub struct QueueItem {
    /// The shipment, if it is in memory.
    pub shipment: Option<EncodedBatch>,
    /// Its marks, which the spool does not give back.
    pub positions: FilePositions,
    /// What is owed for it.
    pub ticket: Ack,
}

impl QueueItem {
    /// Whether it may be given up to make room in a place.
    pub fn may_go(&self, place: Store) -> bool {
        self.positions.is_empty()
            && match place {
                Store::Memory => self.ticket.is_in_memory(),
                Store::Spool => self.ticket.is_stored(),
            }
    }
}
