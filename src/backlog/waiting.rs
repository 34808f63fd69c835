//! A shipment that waits. Knows whether it may be given up; decides nothing.

use super::accounts::Place;
use super::ticket::Ticket;
use crate::entry::Marks;
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
