//! The accounts of the backlog: where fates are written down, and whose room is freed with them.
//!
//! Holds them together for whoever settles, and knows the places in which room may be short. Knows
//! no shipment.

use std::sync::Arc;

use super::disk::Disk;
use crate::ledger::{Fate, Ledger};
use crate::room::Room;
use crate::settlement::Settlement;

/// Where room is short.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The buffer.
    Memory,
    /// The spool.
    Spool,
}

/// What tickets are settled with.
pub struct Accounts {
    /// Where fates are written down.
    pub ledger: Arc<Ledger>,
    /// The memory that shipments take.
    pub memory: Room,
    /// How much of it there is.
    capacity: usize,
    /// The spool, if there is one.
    pub disk: Option<Disk>,
    /// How far shipments are settled.
    pub settlement: Settlement,
}

impl Accounts {
    /// Accounts with `capacity` bytes of memory.
    pub fn new(ledger: &Arc<Ledger>, capacity: usize, disk: Option<Disk>) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            memory: Room::new(capacity),
            capacity,
            disk,
            settlement: Settlement::default(),
        }
    }

    /// The room in a place.
    pub fn room(&self, place: Place) -> &Room {
        match (place, &self.disk) {
            (Place::Spool, Some(disk)) => &disk.room,
            _ => &self.memory,
        }
    }

    /// The room in every place there is.
    pub fn rooms(&self) -> impl Iterator<Item = &Room> {
        let disk = self.disk.as_ref().map(|disk| &disk.room);
        std::iter::once(&self.memory).chain(disk)
    }

    /// How many bytes a place is set to hold.
    pub fn size(&self, place: Place) -> u64 {
        match (place, &self.disk) {
            (Place::Spool, Some(disk)) => disk.spool.size(),
            _ => self.capacity as u64,
        }
    }
}

impl Place {
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
