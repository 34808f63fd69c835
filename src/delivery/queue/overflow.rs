//! The gate: whether a shipment finds room, and who gives way where there is none.
//!
//! Knows the policy and what it must spare: what files gave, and what is under way. Knows nothing
//! of what becomes of a shipment that got in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::delivery::queue::capacity::{QueueResources, Store};
use crate::delivery::queue::queued::QueueItem;
use crate::entry::request::EncodedBatch;
use crate::report::messages::{Message, Reporter};
use crate::sync::byte_semaphore::{ByteSemaphore, Entered};
use crate::sync::queue::ByteQueue;
use crate::sync::shutdown::{Phase, Shutdown};

/// What happens when the buffer is full. Shipments from files always wait: the files lie on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum OnFull {
    /// Make the input wait
    #[default]
    Block,
    /// Drop new entries
    DropNewest,
    /// Drop the oldest waiting entries, but never the batch being sent
    DropOldest,
}

/// Lets shipments in.
pub struct OverflowPolicy {
    on_full: OnFull,
    accounts: Arc<QueueResources>,
    /// What waits, of which the oldest may have to give way.
    queue: ByteQueue<QueueItem>,
    hopeless: AtomicBool,
    /// Whether nothing waits for room any more.
    never_waits: AtomicBool,
    /// Where something waits for room.
    holding: Mutex<Option<Store>>,
    /// Whether it was said that something is dropped, since Loki last took something.
    dropping: AtomicBool,
    stop: Arc<Shutdown>,
    reporter: Reporter,
}

impl OverflowPolicy {
    /// A gate before this queue.
    pub fn new(
        on_full: OnFull,
        accounts: &Arc<QueueResources>,
        queue: &ByteQueue<QueueItem>,
        stop: &Arc<Shutdown>,
        reporter: Reporter,
    ) -> Self {
        Self {
            on_full,
            accounts: Arc::clone(accounts),
            queue: queue.clone(),
            hopeless: AtomicBool::new(false),
            never_waits: AtomicBool::new(false),
            holding: Mutex::new(None),
            dropping: AtomicBool::new(false),
            stop: Arc::clone(stop),
            reporter,
        }
    }

    /// Takes room as the policy says; tells whether there was some. If not, the shipment is
    /// dropped and counted, or left if the run is over.
    pub fn enter(&self, place: Store, bytes: usize, shipment: &EncodedBatch) -> bool {
        self.enter_unless(place, bytes, shipment, || false) == Some(true)
    }

    /// Takes room as [`OverflowPolicy::enter`] does, but waits no longer once `other_way` is there to
    /// make room: then it returns None. `other_way` must not touch this room.
    pub fn enter_unless(
        &self,
        place: Store,
        bytes: usize,
        shipment: &EncodedBatch,
        other_way: impl Fn() -> bool,
    ) -> Option<bool> {
        let must_wait = !shipment.positions.is_empty();
        if self.on_full == OnFull::DropOldest && !must_wait {
            return Some(self.push_out(place, bytes, shipment));
        }
        let waits = must_wait || self.on_full == OnFull::Block;
        let patient = || {
            let waits = waits && !self.never_waits.load(Ordering::Relaxed);
            let waits = waits && (must_wait || !self.is_hopeless());
            let patient = !self.is_over() && waits && !other_way();
            self.set_holding(patient.then_some(place));
            patient
        };
        let entered = self.accounts.room(place).enter_while(bytes, patient);
        self.set_holding(None);
        if entered == Entered::Full && !self.is_over() {
            if other_way() {
                return None;
            }
            self.drop_newest(place, shipment);
        }
        Some(entered == Entered::In)
    }

    /// Gives up what has waited longest until there is room.
    fn push_out(&self, place: Store, bytes: usize, shipment: &EncodedBatch) -> bool {
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

    fn drop_newest(&self, place: Store, shipment: &EncodedBatch) {
        self.say_dropping(place, "newest");
        let accounts = &self.accounts;
        accounts
            .counters
            .settle(shipment.entries(), place.dropped(), false);
        accounts.settlement.leave(shipment.number);
    }

    fn say_dropping(&self, place: Store, which: &str) {
        if !self.dropping.swap(true, Ordering::Relaxed) {
            self.reporter.say(&Message::Dropping {
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

    fn set_holding(&self, place: Option<Store>) {
        *self.holding.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    /// Whether the last answer was such that retrying cannot mend it.
    pub fn is_hopeless(&self) -> bool {
        self.hopeless.load(Ordering::Relaxed)
    }

    /// Lets go of whoever waits for room, now and from now on.
    pub fn stop_blocking(&self) {
        self.never_waits.store(true, Ordering::Relaxed);
        self.accounts.rooms().for_each(ByteSemaphore::kick);
    }

    /// Notes it, and lets go of whoever waits for room.
    pub fn set_hopeless(&self, hopeless: bool) {
        if self.hopeless.swap(hopeless, Ordering::Relaxed) != hopeless {
            self.accounts.rooms().for_each(ByteSemaphore::kick);
        }
        if !hopeless {
            self.dropping.store(false, Ordering::Relaxed);
        }
    }

    fn is_over(&self) -> bool {
        self.stop.state().phase == Phase::Aborting
    }
}
