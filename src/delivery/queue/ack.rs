//! Tickets: who holds one has a shipment's entries in hand, and owes each of them a fate.
//!
//! Knows what is freed when the last entry is settled, and where entries stay that are not. Knows
//! no request and no answer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::delivery::queue::capacity::QueueResources;
use crate::report::counters::Fate;
use crate::storage::spool::SpooledBatch;

/// A shipment's entries in hand; clones share them. When the last clone goes, the shipment's
/// memory is free. If every entry is settled then, it leaves the spool too; what is not settled
/// stays there for the next run, and is counted so.
#[derive(Clone)]
pub struct Ack(Arc<Inner>);

struct Inner {
    accounts: Arc<QueueResources>,
    adopted: bool,
    state: Mutex<State>,
}

struct State {
    /// Entries without a fate.
    remaining: usize,
    /// Bytes of memory in use.
    memory: usize,
    stored: Option<SpooledBatch>,
    /// The shipment's number, if it is of this run.
    number: Option<u64>,
}

/// A look at a ticket that does not hold it.
pub struct WeakAck(Weak<Inner>);

impl Ack {
    /// A ticket for entries that take `memory` bytes and may be stored.
    pub fn new(
        accounts: &Arc<QueueResources>,
        remaining: usize,
        memory: usize,
        stored: Option<SpooledBatch>,
        adopted: bool,
    ) -> Self {
        let state = Mutex::new(State {
            remaining,
            memory,
            stored,
            number: None,
        });
        Self(Arc::new(Inner {
            accounts: Arc::clone(accounts),
            adopted,
            state,
        }))
    }

    /// Notes which shipment of this run it is.
    pub(super) fn stands_for(&self, number: u64) {
        self.0.lock().number = Some(number);
    }

    /// Gives some of the entries their fate. Adopted ones are never given up: they stay in the
    /// spool. What has its fate already keeps it.
    pub fn settle(&self, entries: usize, fate: Fate) {
        if self.0.adopted && matches!(fate, Fate::Dropped(_)) {
            return;
        }
        let mut state = self.0.lock();
        let entries = entries.min(state.remaining);
        state.remaining -= entries;
        if entries > 0 {
            self.0
                .accounts
                .counters
                .settle(entries, fate, self.0.adopted);
            if let Some(number) = state.number.filter(|_| state.remaining == 0) {
                self.0.accounts.settlement.leave(number);
            }
        }
    }

    /// Gives all entries that have none this fate.
    pub fn settle_all(&self, fate: Fate) {
        self.settle(usize::MAX, fate);
    }

    /// Whether the entries are those of an earlier run.
    pub fn is_adopted(&self) -> bool {
        self.0.adopted
    }

    /// The shipment's place in the spool.
    pub(super) fn stored(&self) -> Option<SpooledBatch> {
        self.0.lock().stored.clone()
    }

    /// Whether the shipment is in the spool.
    pub fn is_stored(&self) -> bool {
        self.0.lock().stored.is_some()
    }

    /// Whether the shipment takes memory.
    pub(super) fn is_in_memory(&self) -> bool {
        self.0.lock().memory > 0
    }

    /// Notes that the shipment takes memory now.
    pub(super) fn occupy(&self, bytes: usize) {
        self.0.accounts.memory.occupy(bytes);
        self.0.lock().memory += bytes;
    }

    /// Frees the memory of a shipment that lies in the spool too. Tells whether it does.
    pub(super) fn free_memory(&self) -> bool {
        let mut state = self.0.lock();
        if state.stored.is_none() {
            return false;
        }
        self.0
            .accounts
            .memory
            .release(std::mem::take(&mut state.memory));
        true
    }

    /// The file is no shipment any more: its entries cannot be found there.
    pub(super) fn lost(&self) {
        if let (Some(stored), Some(disk)) = (self.0.lock().stored.take(), &self.0.accounts.disk) {
            disk.room.release(stored.bytes as usize);
        }
    }

    pub(super) fn stub(&self) -> WeakAck {
        WeakAck(Arc::downgrade(&self.0))
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({} entries)", self.0.lock().remaining)
    }
}

impl WeakAck {
    /// Whether somebody holds the ticket.
    pub fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Bytes of memory that the shipment takes.
    pub fn memory(&self) -> usize {
        let inner = self.0.upgrade();
        inner.map_or(0, |inner| inner.lock().memory)
    }

    /// Takes the entries out of the hands of whoever holds the ticket.
    pub fn take_back(&self) {
        if let Some(inner) = self.0.upgrade() {
            inner.end();
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        let mut state = self.lock();
        self.accounts
            .memory
            .release(std::mem::take(&mut state.memory));
        let remaining = std::mem::take(&mut state.remaining);
        let (Some(stored), Some(disk)) = (state.stored.take(), &self.accounts.disk) else {
            return;
        };
        if remaining == 0 {
            disk.settled(stored);
        } else if !self.adopted && stored.is_there() {
            self.accounts
                .counters
                .settle(remaining, Fate::Spooled, false);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}
