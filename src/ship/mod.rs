//! The shipping thread: takes sealed shipments in order, sends their requests, and sees each one
//! through to its fate.
//!
//! Acts, round by round. What an answer means is decided in `outcome` and `refusal`, what it does
//! to the requests here in `answers`, how long to wait in `retry` and `pace`, which request may go
//! in `desk`. Knows nothing of sources, of batching or of ureq.

mod answers;
mod crew;
mod delivery;
mod desk;
mod fates;
mod halves;
#[cfg(test)]
mod tests;
mod vigil;
mod voice;

use std::sync::Arc;
use std::time::Instant;

use crate::backlog::Backlog;
use crate::checkpoint::Checkpoint;
use crate::deadletter::DeadLetter;
use crate::ledger::{Ledger, Wait};
use crate::note::Note;
use crate::outcome;
use crate::pace::Pace;
use crate::push::Push;
use crate::queue::Pop;
use crate::retry::{Jitter, Tries};
use crate::shipment::Outcome;
use crate::stop::Stop;
use crew::Crew;
pub use delivery::Delivery;
use desk::{Desk, Place};
use fates::Fates;
use vigil::{Vigil, Wake};
pub use voice::LastTrouble;
use voice::Voice;

/// What the shipping thread is given.
pub struct Ship {
    /// How it sends.
    pub delivery: Delivery,
    /// Where requests go.
    pub push: Arc<dyn Push>,
    /// Where shipments come from.
    pub backlog: Arc<Backlog>,
    /// Where tries are counted.
    pub ledger: Arc<Ledger>,
    /// Where it is kept how far files were settled.
    pub checkpoint: Option<Arc<Checkpoint>>,
    /// Where refused entries are kept.
    pub dead_letter: Option<Arc<DeadLetter>>,
    /// How the run goes on.
    pub stop: Arc<Stop>,
    /// What is said.
    pub note: Note,
    /// The destination as messages name it.
    pub target: String,
    /// The last trouble, for the closing words.
    pub trouble: LastTrouble,
    /// For the waits.
    pub jitter: Jitter,
}

/// The shipping thread at work.
struct Shipping {
    delivery: Delivery,
    push: Arc<dyn Push>,
    backlog: Arc<Backlog>,
    ledger: Arc<Ledger>,
    checkpoint: Option<Arc<Checkpoint>>,
    jitter: Jitter,
    crew: Crew,
    desk: Desk,
    fates: Fates,
    pace: Pace,
    vigil: Vigil,
    voice: Voice,
    /// Rounds in a row that met trouble.
    attempt: u32,
    epoch: Instant,
}

/// One request's way there and back.
struct Trip {
    place: Place,
    outcome: Outcome,
    sent: Instant,
    back: Instant,
}

impl Ship {
    /// Ships until the backlog is closed and empty, or the time is over; what is then there is
    /// left.
    pub fn run(self) {
        let backlog = Arc::clone(&self.backlog);
        let _abandon = Abandon(&backlog);
        Shipping {
            crew: Crew::default(),
            desk: Desk::default(),
            fates: Fates::new(self.dead_letter, self.note),
            pace: Pace::default(),
            vigil: Vigil::new(self.stop, Arc::clone(&self.ledger), &self.delivery),
            voice: Voice::new(self.note, self.target, self.trouble),
            attempt: 0,
            epoch: Instant::now(),
            delivery: self.delivery,
            push: self.push,
            backlog: self.backlog,
            ledger: self.ledger,
            checkpoint: self.checkpoint,
            jitter: self.jitter,
        }
        .run();
    }
}

impl Shipping {
    fn run(&mut self) {
        loop {
            self.settle_finished();
            let ready = self.desk.ready(Instant::now());
            let goes_on = if ready.is_empty() {
                let wake = self.take_next();
                self.goes_on(wake)
            } else {
                self.round(&ready)
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Whether there is something to do after a wait.
    fn goes_on(&mut self, wake: Wake) -> bool {
        match wake {
            Wake::Retry => true,
            Wake::LastTry if !self.vigil.is_through() && !self.desk.is_empty() => {
                self.vigil.set_last_try();
                self.desk.hurry(Instant::now());
                true
            }
            Wake::LastTry | Wake::Stop => false,
        }
    }

    /// Nothing may go now: takes the next shipment, or waits for a stream that was put aside.
    fn take_next(&mut self) -> Wake {
        let due = self.desk.next_due();
        // A spool may hold far more for that stream than memory.
        if let Some(due) = due.filter(|_| self.backlog.is_hand_full()) {
            return self.vigil.wait(due);
        }
        match self.backlog.take(due) {
            Pop::Item(taken) => {
                self.desk.add(taken, Instant::now());
                Wake::Retry
            }
            Pop::Kicked if self.vigil.is_over() => Wake::Stop,
            Pop::Kicked | Pop::TimedOut => Wake::Retry,
            Pop::Ended => match due {
                Some(due) => self.vigil.wait(due),
                None => Wake::Stop,
            },
        }
    }

    /// One try for each of these, and the wait that their answers ask for. Whether to go on.
    fn round(&mut self, ready: &[Place]) -> bool {
        let ready = self.within_the_limit(ready);
        if self.keep_pace(&ready) == Wake::Stop {
            return false;
        }
        let tries = self.vigil.begin();
        let trips = self.send(&ready, tries);
        if trips.is_empty() {
            return false;
        }
        let hold = self.take_in(trips);
        self.vigil.ended(tries, hold.is_none());
        let Some(hold) = hold else {
            // However well it goes: after a signal the time is a total.
            return !self.vigil.is_late();
        };
        let lasting = hold.trouble.lasting;
        if lasting {
            self.backlog.set_hopeless(true);
        }
        self.voice.held(&hold, self.ledger.counts().left());
        // A run that ends by itself does not end while that lasts.
        if let Some(full) = self
            .backlog
            .holding()
            .filter(|_| self.delivery.end_when_hopeless)
        {
            self.voice.held_up(full);
        }
        self.ledger.waits(Wait {
            why: hold.why(),
            until: Instant::now() + hold.wait,
        });
        let hopeless =
            lasting && self.delivery.end_when_hopeless && self.ledger.last_accepted().is_none();
        if self.vigil.is_through() || hopeless || self.vigil.is_over() {
            return false;
        }
        let wake = self.wait_for_more(Instant::now() + hold.wait);
        self.goes_on(wake)
    }

    /// Waits for the next try. What was given up is waited for no longer than until there is
    /// nothing more to try.
    fn wait_for_more(&mut self, due: Instant) -> Wake {
        self.settle_finished();
        while self.desk.is_empty() {
            match self.backlog.take(Some(due)) {
                Pop::Item(taken) => self.desk.add(taken, Instant::now()),
                Pop::Kicked if self.vigil.is_over() => return Wake::Stop,
                Pop::Kicked if self.vigil.has_advanced() => return Wake::Retry,
                Pop::Kicked => {}
                Pop::TimedOut | Pop::Ended => return Wake::Retry,
            }
        }
        self.vigil.wait(due)
    }

    /// Cuts what is larger than a known limit takes, and keeps what goes side by side below it.
    fn within_the_limit(&mut self, ready: &[Place]) -> Vec<Place> {
        // From the last to the first, since cutting moves the places behind.
        ready.iter().rev().for_each(|&place| self.cut(place));
        let ready = self.desk.ready(Instant::now());
        let mut sum = 0;
        let most = self.pace.most().unwrap_or(u64::MAX);
        let within = ready.iter().take_while(|&&place| {
            let first = sum == 0;
            sum += self.desk.parcel(place).request.bytes as u64;
            first || sum <= most
        });
        within.copied().collect()
    }

    /// Waits as long as a known rate limit asks of requests that were not tried yet.
    fn keep_pace(&mut self, ready: &[Place]) -> Wake {
        let fresh = ready.iter().map(|&place| self.desk.parcel(place));
        let bytes: usize = fresh
            .filter(|parcel| parcel.tries == 0)
            .map(|parcel| parcel.request.bytes)
            .sum();
        if bytes == 0 {
            return Wake::Retry;
        }
        let now = Instant::now();
        let random = self.jitter.next();
        let wait = self
            .pace
            .before_next(now - self.epoch, bytes as u64, random);
        if wait.is_zero() {
            Wake::Retry
        } else {
            self.vigil.wait(now + wait)
        }
    }

    /// One try for each of these, over at most so many connections at once, as long as there is time.
    fn send(&self, ready: &[Place], tries: Tries) -> Vec<Trip> {
        let trips = self
            .crew
            .side_by_side(ready, self.delivery.connections, |&place| {
                let timeout = self.vigil.timeout(tries)?;
                let parcel = self.desk.parcel(place);
                self.ledger
                    .tried(parcel.request.body.len(), parcel.tries > 0);
                let sent = Instant::now();
                let outcome = outcome::judge(self.push.push(&parcel.request, timeout));
                Some(Trip {
                    place,
                    outcome,
                    sent,
                    back: Instant::now(),
                })
            });
        trips.into_iter().flatten().collect()
    }

    fn settle_finished(&mut self) {
        while let Some(tray) = self.desk.finished() {
            // The marks first: what is settled leaves the spool once a checkpoint covers it.
            if let Some(checkpoint) = &self.checkpoint {
                checkpoint.settled(&tray.taken.shipment.marks);
            }
            drop(tray.taken.ticket);
            if let Some(checkpoint) = &self.checkpoint {
                checkpoint.keep(Instant::now());
            }
            self.voice
                .settled(tray.taken.shipment.number, tray.size, tray.began.elapsed());
        }
    }
}

/// Gives the backlog up when shipping ends, however it ends, so that nobody waits for it.
struct Abandon<'a>(&'a Backlog);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
