//! A shipment that waits, and the two places in which it may take room.
//!
//! Knows what may be given up. Decides nothing.

use super::ticket::Ticket;
use crate::entry::Marks;
use crate::ledger::Fate;
use crate::shipment::Shipment;

/// A shipment that waits: in memory, or to be read from the spool.
pub struct Waiting {
    /// The shipment, if it is in memory.
    pub shipment: Option<Shipment>,
    /// Its marks, which the spool does not give back.
    pub marks: Marks,
    /// What is owed for it.
    pub ticket: Ticket,
}

/// Where room is short.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The buffer.
    Memory,
    /// The spool.
    Spool,
}

impl Waiting {
    /// Whether it may be given up to make room in a place.
    pub fn may_go(&self, place: Place) -> bool {
        self.marks.is_empty()
            && match place {
                Place::Memory => self.ticket.is_in_memory(),
                Place::Spool => self.ticket.is_stored(),
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
