//! The accounts of the backlog: where fates are written down, and whose room is freed with them.
//!
//! Holds them together for whoever settles, and knows the places in which room may be short. Knows
//! no shipment.

use std::sync::Arc;

use crate::delivery::completion::CompletionTracker;
use crate::delivery::queue::disk::SpoolBackend;
use crate::report::counters::{Counters, Fate};
use crate::sync::byte_semaphore::ByteSemaphore;

/// Where room is short.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The buffer.
    Memory,
    /// The spool.
    Spool,
}

/// What tickets are settled with.
pub struct QueueResources {
    /// Where fates are written down.
    pub counters: Arc<Counters>,
    /// The memory that shipments take.
    pub memory: ByteSemaphore,
    /// How much of it there is.
    capacity: usize,
    /// The spool, if there is one.
    pub disk: Option<SpoolBackend>,
    /// How far shipments are settled.
    pub settlement: CompletionTracker,
}

impl QueueResources {
    /// Accounts with `capacity` bytes of memory.
    pub fn new(counters: &Arc<Counters>, capacity: usize, disk: Option<SpoolBackend>) -> Self {
        Self {
            counters: Arc::clone(counters),
            memory: ByteSemaphore::new(capacity),
            capacity,
            disk,
            settlement: CompletionTracker::default(),
        }
    }

    /// The room in a place.
    pub fn room(&self, place: Store) -> &ByteSemaphore {
        match (place, &self.disk) {
            (Store::Spool, Some(disk)) => &disk.room,
            _ => &self.memory,
        }
    }

    /// The room in every place there is.
    pub fn rooms(&self) -> impl Iterator<Item = &ByteSemaphore> {
        let disk = self.disk.as_ref().map(|disk| &disk.room);
        std::iter::once(&self.memory).chain(disk)
    }

    /// How many bytes a place is set to hold.
    pub fn size(&self, place: Store) -> u64 {
        match (place, &self.disk) {
            (Store::Spool, Some(disk)) => disk.spool.size(),
            _ => self.capacity as u64,
        }
    }
}

impl Store {
    /// As messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "buffer",
            Self::Spool => "spool",
        }
    }

    /// What becomes of entries that find no room in it.
    pub fn dropped(self) -> Fate {
        Fate::Dropped(match self {
            Self::Memory => "buffer full",
            Self::Spool => "spool full",
        })
    }
}
