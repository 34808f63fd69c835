//! The resources of the queue: memory, spool, and the counters of settled entries.

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

/// The resources that settling a batch releases or updates.
pub struct QueueResources {
    /// The counters of entries by outcome.
    pub counters: Arc<Counters>,
    /// The memory that batches use.
    pub memory: ByteSemaphore,
    /// The size of that memory in bytes.
    capacity: usize,
    /// The spool, if there is one.
    pub disk: Option<SpoolBackend>,
    /// Tracks how far batches are settled.
    pub settlement: CompletionTracker,
}

impl QueueResources {
    /// Creates resources with `capacity` bytes of memory.
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

    /// The room in each existing store.
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

    /// The fate of entries for which it has no room.
    pub fn dropped(self) -> Fate {
        Fate::Dropped(match self {
            Self::Memory => "buffer full",
            Self::Spool => "spool full",
        })
    }
}
