//! The backlog: sealed shipments that wait for Loki, in memory and in the spool, and what happens
//! when there is no more room.
//!
//! Stands between sealing and shipping. With a spool every shipment is on disk before it can be
//! taken; what memory has no room for is read back when its turn comes. Knows nothing of requests,
//! answers or sources.

mod accounts;
mod disk;
mod gate;
mod orphans;
#[cfg(test)]
pub mod tests;
mod ticket;
mod under_way;
mod waiting;

use std::sync::Arc;
use std::time::Instant;

pub use disk::{Describe, Disk};
pub use gate::OnFull;
pub use ticket::Ticket;

use crate::ledger::Ledger;
use crate::note::Note;
use crate::queue::{Pop, Queue};
use crate::room::Room;
use crate::settlement::Settlement;
use crate::shipment::Shipment;
use crate::spool::{Stored, Unreadable};
use crate::stop::{Phase, Stop};
use accounts::{Accounts, Place};
use gate::Gate;
use orphans::Orphans;
use under_way::UnderWay;
use waiting::Waiting;

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
        let accounts = Accounts::new(&Arc::new(Ledger::new()), 0, None);
        let ticket = Ticket::new(&Arc::new(accounts), shipment.entries(), 0, None, false);
        Self { shipment, ticket }
    }
}

/// Shipments that wait.
pub struct Backlog {
    queue: Queue<Waiting>,
    /// Those of earlier runs; they go first.
    orphans: Orphans,
    under_way: UnderWay,
    accounts: Arc<Accounts>,
    gate: Gate,
    /// Whether to look for more orphans when all is sent.
    drain: bool,
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
        let accounts = Arc::new(Accounts::new(ledger, capacity, disk));
        stop.on_change({
            let queue = queue.clone();
            let rooms: Vec<Room> = accounts.rooms().cloned().collect();
            move || {
                queue.kick();
                rooms.iter().for_each(Room::kick);
            }
        });
        let backlog = Self {
            gate: Gate::new(on_full, &accounts, &queue, stop, note),
            queue,
            orphans: Orphans::default(),
            under_way: UnderWay::default(),
            accounts,
            drain: false,
            stop: Arc::clone(stop),
            note,
        };
        backlog.orphans.adopt(&backlog.accounts, note);
        backlog
    }

    /// Looks for more orphans whenever all is sent, until none is left.
    #[must_use]
    pub fn draining(mut self, drain: bool) -> Self {
        self.drain = drain;
        self
    }

    /// Takes a shipment in, or gives one up, as the policy says. What finds no room because the
    /// run is over is left.
    pub fn put(&self, shipment: Shipment) {
        let (entries, bytes) = (shipment.entries(), shipment.footprint());
        let marks = shipment.marks.clone();
        let number = shipment.number;
        self.accounts.settlement.enter(number, entries);
        let Ok(stored) = self.store(&shipment) else {
            return;
        };
        let in_memory = match &stored {
            Some(_) => self.accounts.memory.enter(bytes),
            None if self.gate.enter(Place::Memory, bytes, &shipment) => true,
            None => return,
        };
        let memory = if in_memory { bytes } else { 0 };
        let ticket = Ticket::new(&self.accounts, entries, memory, stored, false);
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
        let Some(disk) = &self.accounts.disk else {
            return Ok(None);
        };
        let draft = disk.draft(shipment);
        let bytes = draft.bytes() as usize;
        if !disk.room.enter(bytes) {
            disk.measure();
            if !self.gate.enter(Place::Spool, bytes, shipment) {
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

    /// The oldest shipment, those of earlier runs before our own. Its room stays in use as long as
    /// its ticket is held.
    pub fn take(&self, until: Option<Instant>) -> Pop<Taken> {
        loop {
            // All of it is safe where it is, and a second signal wants to be quick.
            if self.accounts.disk.is_some() && self.stop.view().phase == Phase::Now {
                return Pop::Ended;
            }
            let orphan = self.orphans.next();
            let waiting = match orphan.map_or_else(|| self.queue.pop(until), Pop::Item) {
                Pop::Item(waiting) => waiting,
                Pop::Ended if self.drain && self.finds_more() => continue,
                Pop::Ended => return Pop::Ended,
                Pop::Kicked => return Pop::Kicked,
                Pop::TimedOut => return Pop::TimedOut,
            };
            // Noted before it is read back: that takes a while, and the run may end meanwhile.
            if !self.under_way.hand_out(&waiting.ticket) {
                return Pop::Ended;
            }
            if let Some(taken) = self.read_back(waiting) {
                return Pop::Item(taken);
            }
        }
    }

    fn finds_more(&self) -> bool {
        self.orphans.adopt(&self.accounts, self.note) > 0
    }

    /// The shipment, from the spool if it is not in memory.
    fn read_back(&self, waiting: Waiting) -> Option<Taken> {
        let Waiting {
            shipment,
            marks,
            ticket,
        } = waiting;
        if let Some(shipment) = shipment {
            return Some(Taken { shipment, ticket });
        }
        let (disk, stored) = (self.accounts.disk.as_ref()?, ticket.stored()?);
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

    /// Whether what was taken and is not settled takes all the memory there is for shipments. More
    /// could be read back from the spool, but has to wait.
    pub fn is_hand_full(&self) -> bool {
        let held = self.under_way.memory() as u64;
        held > 0 && held >= self.accounts.size(Place::Memory)
    }

    /// How far the shipments of this run are settled.
    pub fn settlement(&self) -> &Settlement {
        &self.accounts.settlement
    }

    /// The place that is full, if what comes waits for room there, and its size.
    pub fn holding(&self) -> Option<(&'static str, u64)> {
        self.gate.holding()
    }

    /// Whether the last answer was such that retrying cannot mend it.
    pub fn is_hopeless(&self) -> bool {
        self.gate.is_hopeless()
    }

    /// Whether answers are such that retrying cannot mend them: then a full buffer drops what
    /// comes instead of holding up the program that writes.
    pub fn set_hopeless(&self, hopeless: bool) {
        self.gate.set_hopeless(hopeless);
    }

    /// How many shipments are settled so far; to be asked before a checkpoint is put together, and
    /// given to [`Backlog::checkpointed`] when it is on disk.
    pub fn settled_count(&self) -> u64 {
        let disk = self.accounts.disk.as_ref();
        disk.map_or(0, Disk::settled_count)
    }

    /// A checkpoint is on disk that covers the first `count` settled shipments: they leave the
    /// spool.
    pub fn checkpointed(&self, count: u64) {
        if let Some(disk) = &self.accounts.disk {
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
        self.accounts.rooms().for_each(Room::close);
        drop(self.queue.abandon());
        self.orphans.abandon();
        self.under_way.take_back();
        self.accounts.settlement.end();
    }
}

/// There was no room for a shipment.
struct NoRoom;
