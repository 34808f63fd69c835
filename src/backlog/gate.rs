//! The gate: whether a shipment finds room, and who gives way where there is none.
//!
//! Knows the policy and what it must spare: what files gave, and what is under way. Knows nothing
//! of what becomes of a shipment that got in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::accounts::{Accounts, Place};
use super::waiting::Waiting;
use crate::note::{Message, Note};
use crate::queue::Queue;
use crate::room::{Entered, Room};
use crate::shipment::Shipment;
use crate::stop::{Phase, Stop};

/// What happens when the buffer is full. Shipments from files always wait: the files lie on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFull {
    /// The input waits.
    #[default]
    Block,
    /// What comes is given up.
    DropNewest,
    /// What has waited longest is given up, but never what is under way.
    DropOldest,
}

/// Lets shipments in.
pub struct Gate {
    on_full: OnFull,
    accounts: Arc<Accounts>,
    /// What waits, of which the oldest may have to give way.
    queue: Queue<Waiting>,
    hopeless: AtomicBool,
    /// Where something waits for room.
    holding: Mutex<Option<Place>>,
    /// Whether it was said that something is dropped, since Loki last took something.
    dropping: AtomicBool,
    stop: Arc<Stop>,
    note: Note,
}

impl Gate {
    /// A gate before this queue.
    pub fn new(
        on_full: OnFull,
        accounts: &Arc<Accounts>,
        queue: &Queue<Waiting>,
        stop: &Arc<Stop>,
        note: Note,
    ) -> Self {
        Self {
            on_full,
            accounts: Arc::clone(accounts),
            queue: queue.clone(),
            hopeless: AtomicBool::new(false),
            holding: Mutex::new(None),
            dropping: AtomicBool::new(false),
            stop: Arc::clone(stop),
            note,
        }
    }

    /// Takes room as the policy says; tells whether there was some. If not, the shipment is
    /// dropped and counted, or left if the run is over.
    pub fn enter(&self, place: Place, bytes: usize, shipment: &Shipment) -> bool {
        let must_wait = !shipment.marks.is_empty();
        if self.on_full == OnFull::DropOldest && !must_wait {
            return self.push_out(place, bytes, shipment);
        }
        let waits = must_wait || self.on_full == OnFull::Block;
        let patient = || {
            let patient = !self.is_over() && waits && (must_wait || !self.is_hopeless());
            self.set_holding(patient.then_some(place));
            patient
        };
        let entered = self.accounts.room(place).enter_while(bytes, patient);
        self.set_holding(None);
        if entered == Entered::Full && !self.is_over() {
            self.drop_newest(place, shipment);
        }
        entered == Entered::In
    }

    /// Gives up what has waited longest until there is room.
    fn push_out(&self, place: Place, bytes: usize, shipment: &Shipment) -> bool {
        let room = self.accounts.room(place);
        while !room.enter(bytes) {
            let Some(old) = self.queue.take_first(|old| old.may_go(place)) else {
                self.drop_newest(place, shipment);
                return false;
            };
            self.say_dropping(place, "oldest");
            old.ticket.settle_all(place.dropped());
        }
        true
    }

    fn drop_newest(&self, place: Place, shipment: &Shipment) {
        self.say_dropping(place, "newest");
        let accounts = &self.accounts;
        accounts
            .ledger
            .settle(shipment.entries(), place.dropped(), false);
        accounts.settlement.leave(shipment.number);
    }

    fn say_dropping(&self, place: Place, which: &str) {
        if !self.dropping.swap(true, Ordering::Relaxed) {
            self.note.say(&Message::Dropping {
                place: place.name(),
                size: self.accounts.size(place),
                which,
            });
        }
    }

    /// The place that is full, if something waits for room there, and its size.
    pub fn holding(&self) -> Option<(&'static str, u64)> {
        let place = *self.holding.lock().unwrap_or_else(PoisonError::into_inner);
        place.map(|place| (place.name(), self.accounts.size(place)))
    }

    fn set_holding(&self, place: Option<Place>) {
        *self.holding.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    /// Whether the last answer was such that retrying cannot mend it.
    pub fn is_hopeless(&self) -> bool {
        self.hopeless.load(Ordering::Relaxed)
    }

    /// Notes it, and lets go of whoever waits for room.
    pub fn set_hopeless(&self, hopeless: bool) {
        if self.hopeless.swap(hopeless, Ordering::Relaxed) != hopeless {
            self.accounts.rooms().for_each(Room::kick);
        }
        if !hopeless {
            self.dropping.store(false, Ordering::Relaxed);
        }
    }

    fn is_over(&self) -> bool {
        self.stop.view().phase == Phase::Now
    }
}
