//! Acknowledgements: whoever holds one decides what becomes of the entries of a batch.

use std::fmt;
use std::sync::Arc;

use crate::delivery::queue::unsettled::{BatchId, UnsettledBatch, UnsettledBatches};
use crate::report::counters::Fate;
use crate::storage::spool::SpooledBatch;

/// The right, and the duty, to settle the entries of a batch; clones share it. When the last clone is
/// dropped, the memory of the batch is free. If every entry is settled by then, the batch leaves the
/// spool too; otherwise it stays there for the next run, and the rest of its entries count as spooled.
#[derive(Clone)]
pub struct Ack(Arc<Inner>);

struct Inner {
    table: Arc<UnsettledBatches>,
    id: BatchId,
    adopted: bool,
}

impl Ack {
    /// Adds a batch to the table and returns its acknowledgement.
    pub(super) fn new(table: &Arc<UnsettledBatches>, batch: UnsettledBatch) -> Self {
        let adopted = batch.number.is_none();
        Self(Arc::new(Inner {
            id: table.add(batch),
            table: Arc::clone(table),
            adopted,
        }))
    }

    /// The batch's key in the table.
    pub(super) fn id(&self) -> BatchId {
        self.0.id
    }

    /// Settles some of the entries with this fate. Adopted entries are never given up: they stay in the
    /// spool. Entries that are settled already keep their fate.
    pub fn settle(&self, entries: usize, fate: Fate) {
        if !self.0.adopted || !matches!(fate, Fate::Dropped(_)) {
            self.0.table.settle(self.0.id, entries, fate);
        }
    }

    /// Settles all remaining entries with this fate.
    pub fn settle_all(&self, fate: Fate) {
        self.settle(usize::MAX, fate);
    }

    /// Notes the limit on the labels of a stream that Loki has named.
    pub fn set_label_limit(&self, limit: usize) {
        self.0.table.resources().counters.set_label_limit(limit);
    }

    /// Whether the entries are those of an earlier run.
    pub fn is_adopted(&self) -> bool {
        self.0.adopted
    }

    /// The batch's place in the spool.
    pub(super) fn stored(&self) -> Option<SpooledBatch> {
        self.0.table.get(self.0.id, |batch| batch.stored.clone())?
    }

    /// Whether the batch is in the spool.
    pub fn is_stored(&self) -> bool {
        self.stored().is_some_and(|batch| !batch.is_sending)
    }

    /// Whether the batch takes memory.
    pub(super) fn is_in_memory(&self) -> bool {
        let table = &self.0.table;
        table.get(self.0.id, |batch| batch.memory > 0) == Some(true)
    }

    /// Notes that the batch takes memory now.
    pub(super) fn occupy(&self, bytes: usize) {
        let memory = &self.0.table.resources().memory;
        self.0.table.get(self.0.id, |batch| {
            memory.force_acquire(bytes);
            batch.memory += bytes;
        });
    }

    /// Frees the memory of a batch that is in the spool too; returns whether it is.
    pub(super) fn free_memory(&self) -> bool {
        let freed = self.0.table.get(self.0.id, |batch| {
            let is_stored = batch.stored.is_some();
            is_stored.then(|| std::mem::take(&mut batch.memory))
        });
        let freed = freed.flatten();
        self.0.table.resources().memory.release(freed.unwrap_or(0));
        freed.is_some()
    }

    /// Notes that the file of the batch cannot be read: its entries are not in the spool.
    pub(super) fn mark_unreadable(&self) {
        let stored = self.0.table.get(self.0.id, |batch| batch.stored.take());
        if let (Some(stored), Some(disk)) = (stored.flatten(), &self.0.table.resources().disk) {
            disk.room.release(stored.bytes as usize);
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remaining = self.0.table.get(self.0.id, |batch| batch.remaining);
        write!(f, "Ack({} entries)", remaining.unwrap_or(0))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.table.end(self.id);
    }
}
