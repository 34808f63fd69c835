//! The backlog: sealed shipments that wait for Loki, in memory and in the spool, and what happens
//! when there is no more room.
//!
//! Stands between sealing and shipping. With a spool every shipment is on disk before it can be
//! taken; what memory has no room for is read back when its turn comes. Knows nothing of requests,
//! answers or sources.

mod disk;
#[cfg(test)]
mod tests;
mod ticket;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use disk::{Describe, Disk};
pub use ticket::Ticket;

use crate::entry::Marks;
use crate::ledger::{Fate, Ledger};
use crate::note::{Message, Note};
use crate::queue::{Pop, Queue};
use crate::room::{Entered, Room};
use crate::settlement::Settlement;
use crate::shipment::Shipment;
use crate::spool::{Stored, Unreadable};
use crate::stop::{Phase, Stop};
use ticket::{Desk, Stub};

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

/// A shipment to be sent, and the ticket for its entries.
#[derive(Debug)]
pub struct Taken {
    /// The shipment.
    pub shipment: Shipment,
    /// What is owed for it.
    pub ticket: Ticket,
}

#[cfg(test)]
impl Taken {
    /// A shipment that never waited anywhere.
    pub fn alone(shipment: Shipment) -> Self {
        let desk = Desk {
            ledger: Arc::new(Ledger::new()),
            memory: Room::new(0),
            disk: None,
            settlement: Settlement::default(),
        };
        let ticket = Ticket::new(&Arc::new(desk), shipment.entries(), 0, None, false);
        Self { shipment, ticket }
    }
}

/// A shipment that waits: in memory, or to be read from the spool.
struct Waiting {
    shipment: Option<Shipment>,
    marks: Marks,
    ticket: Ticket,
}

/// Where room is short.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Memory,
    Spool,
}

/// Shipments that wait.
pub struct Backlog {
    queue: Queue<Waiting>,
    /// Those of earlier runs; they go first.
    adopted: Mutex<VecDeque<Waiting>>,
    under_way: Mutex<Vec<Stub>>,
    desk: Arc<Desk>,
    capacity: usize,
    on_full: OnFull,
    /// Whether to look for more orphans when all is sent.
    drain: bool,
    hopeless: AtomicBool,
    dropping: AtomicBool,
    stop: Arc<Stop>,
    note: Note,
}

impl Backlog {
    /// A backlog of `capacity` bytes of memory, which takes one shipment of any size when empty.
    /// With a spool everything is on disk too, and what earlier runs left there waits already.
    pub fn new(
        capacity: usize,
        on_full: OnFull,
        disk: Option<Disk>,
        stop: &Arc<Stop>,
        ledger: &Arc<Ledger>,
        note: Note,
    ) -> Self {
        let queue = Queue::new(usize::MAX);
        let memory = Room::new(capacity);
        stop.on_change({
            let queue = queue.clone();
            let rooms = [
                Some(memory.clone()),
                disk.as_ref().map(|disk| disk.room.clone()),
            ];
            move || {
                queue.kick();
                rooms.iter().flatten().for_each(Room::kick);
            }
        });
        let accounts = Desk {
            ledger: Arc::clone(ledger),
            memory,
            disk,
            settlement: Settlement::default(),
        };
        let backlog = Self {
            queue,
            adopted: Mutex::default(),
            under_way: Mutex::default(),
            desk: Arc::new(accounts),
            capacity,
            on_full,
            drain: false,
            hopeless: AtomicBool::new(false),
            dropping: AtomicBool::new(false),
            stop: Arc::clone(stop),
            note,
        };
        backlog.adopt();
        backlog
    }

    /// Looks for more orphans whenever all is sent, until none is left.
    #[must_use]
    pub fn draining(mut self, drain: bool) -> Self {
        self.drain = drain;
        self
    }

    /// Takes over what earlier runs left; tells how many shipments.
    fn adopt(&self) -> usize {
        let Some(disk) = &self.desk.disk else {
            return 0;
        };
        let found = disk.spool.adopt();
        let entries: usize = found.iter().map(|stored| stored.entries).sum();
        let shipments = found.len();
        for stored in found {
            disk.room.occupy(stored.bytes as usize);
            if stored.entries == 0 {
                // A receipt: all there is to do is to wait for the checkpoint.
                disk.settled(stored);
                continue;
            }
            let entries = stored.entries;
            let ticket = Ticket::new(&self.desk, entries, 0, Some(stored), true);
            let waiting = Waiting {
                shipment: None,
                marks: Marks::default(),
                ticket,
            };
            self.orphans().push_back(waiting);
        }
        if entries > 0 {
            self.desk.ledger.adopted(entries);
            let spool = disk.spool.dir().display().to_string();
            let spool = spool.as_str();
            self.note.say(&Message::Adopting { entries, spool });
        }
        disk.measure();
        shipments
    }

    /// Takes a shipment in, or gives one up, as the policy says. What finds no room because the
    /// run is over is left.
    pub fn put(&self, shipment: Shipment) {
        let (entries, bytes) = (shipment.entries(), shipment.footprint());
        let marks = shipment.marks.clone();
        self.desk.settlement.enter(shipment.number, entries);
        let number = shipment.number;
        let Ok(stored) = self.store(&shipment) else {
            return;
        };
        let in_memory = match &stored {
            Some(_) => self.desk.memory.enter(bytes),
            None if self.make_room(Place::Memory, bytes, &shipment) => true,
            None => return,
        };
        let memory = if in_memory { bytes } else { 0 };
        let ticket = Ticket::new(&self.desk, entries, memory, stored, false);
        ticket.stands_for(number);
        let waiting = Waiting {
            shipment: in_memory.then_some(shipment),
            marks,
            ticket,
        };
        // Nobody ships any more: with its ticket the shipment stays in the spool, if it is there.
        drop(self.queue.push(waiting, 1));
    }

    /// Stores a shipment. Gives nothing without a spool or if its disk fails, which is no reason
    /// not to send it; an error if there was no room and the shipment is to be forgotten.
    fn store(&self, shipment: &Shipment) -> Result<Option<Stored>, NoRoom> {
        let Some(disk) = &self.desk.disk else {
            return Ok(None);
        };
        let draft = disk.draft(shipment);
        let bytes = draft.bytes() as usize;
        if !disk.room.enter(bytes) {
            disk.measure();
            if !self.make_room(Place::Spool, bytes, shipment) {
                return Err(NoRoom);
            }
        }
        let stored = disk.spool.store(draft, shipment);
        disk.note(stored.as_ref().map(|_| ()), self.note);
        if stored.is_err() {
            disk.room.release(bytes);
            // Memory is all there is now: copies of what is on disk need not be in it.
            self.queue.each(|waiting| {
                if waiting.ticket.free_memory() {
                    waiting.shipment = None;
                }
            });
        }
        Ok(stored.ok())
    }

    /// Takes room as the policy says; tells whether there was some. If not, the shipment is
    /// dropped and counted, or left if the run is over.
    fn make_room(&self, place: Place, bytes: usize, shipment: &Shipment) -> bool {
        let room = match (place, &self.desk.disk) {
            (Place::Spool, Some(disk)) => &disk.room,
            _ => &self.desk.memory,
        };
        let must_wait = !shipment.marks.is_empty();
        if self.on_full == OnFull::DropOldest && !must_wait {
            while !room.enter(bytes) {
                let Some(old) = self.queue.take_first(|old| old.may_go(place)) else {
                    self.dropped(place, "newest");
                    self.count_dropped(shipment, place);
                    return false;
                };
                self.dropped(place, "oldest");
                old.ticket.settle_all(place.dropped());
            }
            return true;
        }
        let patient = || {
            self.stop.view().phase < Phase::Now
                && (must_wait
                    || self.on_full == OnFull::Block && !self.hopeless.load(Ordering::Relaxed))
        };
        let entered = room.enter_while(bytes, patient);
        if entered == Entered::Full && self.stop.view().phase < Phase::Now {
            self.dropped(place, "newest");
            self.count_dropped(shipment, place);
        }
        entered == Entered::In
    }

    /// The oldest shipment, those of earlier runs before our own. Its room stays in use as long as
    /// its ticket is held.
    pub fn take(&self, until: Option<Instant>) -> Pop<Taken> {
        loop {
            // All of it is safe where it is, and a second signal wants to be quick.
            if self.desk.disk.is_some() && self.stop.view().phase == Phase::Now {
                return Pop::Ended;
            }
            let orphan = self.orphans().pop_front();
            let waiting = match orphan.map_or_else(|| self.queue.pop(until), Pop::Item) {
                Pop::Item(waiting) => waiting,
                Pop::Ended if self.drain && self.adopt() > 0 => continue,
                Pop::Ended => return Pop::Ended,
                Pop::Kicked => return Pop::Kicked,
                Pop::TimedOut => return Pop::TimedOut,
            };
            if let Some(taken) = self.hand_out(waiting) {
                let mut under_way = self.under_way();
                under_way.retain(Stub::is_held);
                under_way.push(taken.ticket.stub());
                return Pop::Item(taken);
            }
        }
    }

    fn hand_out(&self, waiting: Waiting) -> Option<Taken> {
        let Waiting {
            shipment,
            marks,
            ticket,
        } = waiting;
        if let Some(shipment) = shipment {
            return Some(Taken { shipment, ticket });
        }
        let (disk, stored) = (self.desk.disk.as_ref()?, ticket.stored()?);
        match disk.spool.load(&stored) {
            Ok(mut shipment) => {
                shipment.marks = marks;
                ticket.occupy(shipment.footprint());
                Some(Taken { shipment, ticket })
            }
            Err(Unreadable::Damaged(_)) => {
                ticket.lost();
                None
            }
            // It stays where it is.
            Err(_) => None,
        }
    }

    /// How far the shipments of this run are settled.
    pub fn settlement(&self) -> &Settlement {
        &self.desk.settlement
    }

    /// Whether the last answer was such that retrying cannot mend it.
    pub fn is_hopeless(&self) -> bool {
        self.hopeless.load(Ordering::Relaxed)
    }

    /// Whether answers are such that retrying cannot mend them: then a full buffer drops what
    /// comes instead of holding up the program that writes.
    pub fn set_hopeless(&self, hopeless: bool) {
        if self.hopeless.swap(hopeless, Ordering::Relaxed) != hopeless {
            self.desk.memory.kick();
            if let Some(disk) = &self.desk.disk {
                disk.room.kick();
            }
        }
        if !hopeless {
            self.dropping.store(false, Ordering::Relaxed);
        }
    }

    /// How many shipments are settled so far; to be asked before a checkpoint is put together, and
    /// given to [`Backlog::checkpointed`] when it is on disk.
    pub fn settled_count(&self) -> u64 {
        self.desk.disk.as_ref().map_or(0, Disk::settled_count)
    }

    /// A checkpoint is on disk that covers the first `count` settled shipments: they leave the
    /// spool.
    pub fn checkpointed(&self, count: u64) {
        if let Some(disk) = &self.desk.disk {
            disk.checkpointed(count);
        }
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Nobody ships any more: what waits, what is under way and what still comes stays in the
    /// spool, or is left if there is none.
    pub fn abandon(&self) {
        self.desk.memory.close();
        if let Some(disk) = &self.desk.disk {
            disk.room.close();
        }
        drop(self.queue.abandon());
        self.orphans().clear();
        self.under_way().drain(..).for_each(|stub| stub.take_back());
        self.desk.settlement.end();
    }

    fn count_dropped(&self, shipment: &Shipment, place: Place) {
        let desk = &self.desk;
        desk.ledger
            .settle(shipment.entries(), place.dropped(), false);
        desk.settlement.leave(shipment.number);
    }

    fn dropped(&self, place: Place, which: &str) {
        if self.dropping.swap(true, Ordering::Relaxed) {
            return;
        }
        let (place, size) = match (place, &self.desk.disk) {
            (Place::Spool, Some(disk)) => ("spool", disk.spool.size()),
            _ => ("buffer", self.capacity as u64),
        };
        self.note.say(&Message::Dropping { place, size, which });
    }

    fn orphans(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, Vec<Stub>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// There was no room for a shipment.
struct NoRoom;

impl Place {
    fn dropped(self) -> Fate {
        Fate::Dropped(match self {
            Self::Memory => "buffer full",
            Self::Spool => "spool full",
        })
    }
}

impl Waiting {
    /// Whether it may be given up to make room in a place.
    fn may_go(&self, place: Place) -> bool {
        self.marks.is_empty()
            && match place {
                Place::Memory => self.ticket.is_in_memory(),
                Place::Spool => self.ticket.is_stored(),
            }
    }
}
