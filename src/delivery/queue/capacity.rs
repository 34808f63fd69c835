//! The capacity of the queue: memory and spool, and the counters that are settled with them.

use std::sync::Arc;

use crate::delivery::completion::CompletionTracker;
use crate::delivery::queue::disk::SpoolBackend;
use crate::report::counters::{Counters, Fate};
use crate::sync::byte_semaphore::ByteSemaphore;

/// Where batches wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The buffer.
    Memory,
    /// The spool.
    Spool,
}

/// What acknowledgements are settled with.
pub struct QueueResources {
    /// The counters of entries by outcome.
    pub counters: Arc<Counters>,
    /// The memory that batches take.
    pub memory: ByteSemaphore,
    /// The size of it in bytes.
    capacity: usize,
    /// The spool, if there is one.
    pub disk: Option<SpoolBackend>,
    /// How far batches are settled.
    pub settlement: CompletionTracker,
}

impl QueueResources {
    /// Resources with `capacity` bytes of memory.
    pub fn new(counters: &Arc<Counters>, capacity: usize, disk: Option<SpoolBackend>) -> Self {
        Self {
            counters: Arc::clone(counters),
            memory: ByteSemaphore::new(capacity),
            capacity,
            disk,
            settlement: CompletionTracker::default(),
        }
    }

    /// The room in a store.
    pub fn room(&self, store: Store) -> &ByteSemaphore {
        match (store, &self.disk) {
            (Store::Spool, Some(disk)) => &disk.room,
            _ => &self.memory,
        }
    }

    /// The room in every store there is.
    pub fn rooms(&self) -> impl Iterator<Item = &ByteSemaphore> {
        let disk = self.disk.as_ref().map(|disk| &disk.room);
        std::iter::once(&self.memory).chain(disk)
    }

    /// The number of bytes that a store may hold.
    pub fn size(&self, store: Store) -> u64 {
        match (store, &self.disk) {
            (Store::Spool, Some(disk)) => disk.spool.size(),
            _ => self.capacity as u64,
        }
    }
}

impl Store {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "buffer",
            Self::Spool => "spool",
        }
    }

    /// The fate of entries that find no room in it.
    pub fn dropped(self) -> Fate {
        Fate::Dropped(match self {
            Self::Memory => "buffer full",
            Self::Spool => "spool full",
        })
    }
}
