//! The shipping thread: takes sealed shipments in order, sends their requests, and sees each one
//! through to its fate.
//!
//! Acts. What an answer means is decided in `outcome` and `refusal`, how long to wait in `retry`
//! and `pace`, which request may go in `desk`. Knows nothing of sources, of batching or of ureq.

mod crew;
mod desk;
mod fates;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::backlog::{Backlog, Ticket};
use crate::checkpoint::Checkpoint;
use crate::deadletter::DeadLetter;
use crate::ledger::{Fate, Ledger, Wait};
use crate::note::{Message, Note};
use crate::outcome;
use crate::pace::Pace;
use crate::push::Push;
use crate::queue::Pop;
use crate::refusal::{self, Limit, Reason};
use crate::retry::{Backoff, Jitter, Patience, Severity, Spell};
use crate::seal::{self, Sealer};
use crate::shipment::{Outcome, Request, Trouble};
use crate::stop::{Phase, Stop, View};
use crew::Crew;
use desk::{Desk, PARKED_FOR, Parcel, Place};
use fates::Fates;

/// The least time a request gets, however near the end is.
const LEAST_TIMEOUT: Duration = Duration::from_secs(1);

/// A request this small is not split for a rate limit: what refuses it is a crowd, not its size.
const SPLIT_FROM: usize = 64 * 1024;

/// After so many refusals in a row by a rate limit a request is taken to be above its burst, which
/// Loki does not name, and is split.
const LIMITED_OFTEN: u32 = 4;

/// How requests are sent and retried.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    /// One request.
    pub timeout: Duration,
    /// Waits between retries.
    pub backoff: Backoff,
    /// Retries after which a request from a pipe or command is given up.
    pub max_retries: Option<u32>,
    /// Requests under way at once.
    pub connections: usize,
    /// When to give up after the end of input.
    pub patience: Patience,
    /// Whether to give up at once when retrying cannot mend it and nothing ever succeeded: right
    /// for files read to their end, which stay where they are.
    pub end_when_hopeless: bool,
    /// The gzip level for requests that must be written again in parts.
    pub gzip_level: u8,
}

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
    pub trouble: Arc<Mutex<Option<String>>>,
    /// For the waits.
    pub jitter: Jitter,
}

/// The shipping thread at work.
struct Shipping {
    ship: Ship,
    crew: Crew,
    desk: Desk,
    fates: Fates,
    pace: Pace,
    spell: Spell,
    /// Whether it was said that batches are given up, since Loki last took something.
    giving_up: bool,
    /// Rounds in a row that met trouble.
    attempt: u32,
    /// The phase when a wait last looked.
    phase: Phase,
    epoch: Instant,
}

/// One request's way there and back.
struct Trip {
    place: Place,
    outcome: Outcome,
    sent: Instant,
    back: Instant,
}

/// What holds up the next round.
struct Hold {
    trouble: Trouble,
    severity: Severity,
    wait: Duration,
    began: Instant,
}

/// Why a wait between tries ended.
#[derive(PartialEq, Eq)]
enum Wake {
    Retry,
    LastTry,
    Stop,
}

impl Ship {
    /// Ships until the backlog is closed and empty, or the time is over; what is then there is
    /// left.
    pub fn run(self) {
        let backlog = Arc::clone(&self.backlog);
        let _abandon = Abandon(&backlog);
        let fates = Fates::new(self.dead_letter.clone(), self.note);
        Shipping {
            ship: self,
            crew: Crew::default(),
            desk: Desk::default(),
            fates,
            pace: Pace::default(),
            spell: Spell::new(),
            giving_up: false,
            attempt: 0,
            phase: Phase::Running,
            epoch: Instant::now(),
        }
        .run();
    }
}

impl Shipping {
    fn run(&mut self) {
        let mut last_try = false;
        loop {
            self.settle_finished();
            let ready = self.desk.ready(Instant::now());
            if ready.is_empty() {
                match self.take_next() {
                    Wake::Retry => {}
                    Wake::LastTry if !last_try && !self.desk.is_empty() => {
                        last_try = true;
                        self.desk.hurry(Instant::now());
                    }
                    Wake::LastTry | Wake::Stop => return,
                }
                continue;
            }
            if self.keep_pace(&ready) == Wake::Stop {
                return;
            }
            let trips = self.send(&ready);
            let Some(hold) = self.take_in(trips) else {
                continue;
            };
            self.say_trouble(&hold);
            let hopeless = hold.severity == Severity::Lasting
                && self.ship.delivery.end_when_hopeless
                && self.ship.ledger.last_accepted().is_none();
            if last_try || hopeless || self.ship.stop.view().phase == Phase::Now {
                return;
            }
            match self.wait_for_more(Instant::now() + hold.wait) {
                Wake::Retry => {}
                Wake::LastTry => {
                    last_try = true;
                    self.desk.hurry(Instant::now());
                }
                Wake::Stop => return,
            }
        }
    }

    /// Nothing may go now: takes the next shipment, or waits for a stream that was put aside.
    fn take_next(&mut self) -> Wake {
        match self.ship.backlog.take(self.desk.next_due()) {
            Pop::Item(taken) => {
                self.desk.add(taken, Instant::now());
                Wake::Retry
            }
            Pop::Kicked if self.ship.stop.view().phase == Phase::Now => Wake::Stop,
            Pop::Kicked | Pop::TimedOut => Wake::Retry,
            Pop::Ended => match self.desk.next_due() {
                Some(due) => self.wait(due),
                None => Wake::Stop,
            },
        }
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
        let random = self.ship.jitter.next();
        let wait = self
            .pace
            .before_next(now - self.epoch, bytes as u64, random);
        if wait.is_zero() {
            Wake::Retry
        } else {
            self.wait(now + wait)
        }
    }

    /// One try for each of these, over at most so many connections at once.
    fn send(&self, ready: &[Place]) -> Vec<Trip> {
        let (ship, timeout) = (&self.ship, self.timeout());
        self.crew
            .side_by_side(ready, ship.delivery.connections, |&place| {
                let parcel = self.desk.parcel(place);
                ship.ledger
                    .tried(parcel.request.body.len(), parcel.tries > 0);
                let sent = Instant::now();
                let outcome = outcome::judge(ship.push.push(&parcel.request, timeout));
                Trip {
                    place,
                    outcome,
                    sent,
                    back: Instant::now(),
                }
            })
    }

    /// Takes the outcomes of a round in. Gives what holds up the next one, if something does.
    fn take_in(&mut self, trips: Vec<Trip>) -> Option<Hold> {
        let mut hold: Option<Hold> = None;
        let (mut passed, mut waited) = (false, 0);
        // From the last to the first, since settling moves the places behind.
        for trip in trips.into_iter().rev() {
            self.desk.parcel_mut(trip.place).tries += 1;
            match trip.outcome {
                Outcome::Delivered => {
                    waited = waited.max(self.ship.ledger.counts().left());
                    self.pass(&trip);
                    passed = true;
                    let parcel = self.desk.settle(trip.place, Vec::new());
                    let ticket = self.ticket(trip.place);
                    ticket.settle(parcel.request.entries, Fate::Delivered);
                }
                Outcome::Refused { status, ref text } => {
                    self.pass(&trip);
                    let parcel = self.desk.settle(trip.place, Vec::new());
                    let ticket = self.ticket(trip.place);
                    self.fates.refused(&parcel.request, &ticket, status, text);
                }
                Outcome::Split { ref trouble } => self.split(trip.place, trouble),
                Outcome::Later { ref trouble, after } => {
                    let held = self.later(&trip, trouble, after);
                    let longer =
                        |held: &Hold| hold.as_ref().is_none_or(|hold| held.wait > hold.wait);
                    if let Some(held) = held.filter(longer) {
                        hold = Some(held);
                    }
                }
            }
        }
        self.ship.ledger.set_retrying(self.desk.retrying());
        self.attempt = if hold.is_some() { self.attempt + 1 } else { 0 };
        if passed && hold.is_none() {
            self.say_passed(waited);
        }
        hold
    }

    /// Loki took something, or at least spoke of it: the way is open.
    fn pass(&mut self, trip: &Trip) {
        self.giving_up = false;
        self.ship.ledger.accepted(trip.back);
        self.ship.backlog.set_hopeless(false);
        self.pace
            .accepted(trip.back - self.epoch, trip.sent - self.epoch);
        self.desk
            .unpark(&Arc::clone(&self.desk.parcel(trip.place).request.labels));
    }

    /// A request must go again: when, and whether the others wait with it.
    fn later(&mut self, trip: &Trip, trouble: &Trouble, after: Option<Duration>) -> Option<Hold> {
        let ship = &mut self.ship;
        let random = ship.jitter.next();
        let backoff = ship
            .delivery
            .backoff
            .wait(self.attempt, after, trouble.lasting, random);
        let hold = |severity, wait| {
            Some(Hold {
                trouble: trouble.clone(),
                severity,
                wait,
                began: trip.sent,
            })
        };
        let limit = if trouble.status == Some(429) {
            refusal::limit(&trouble.text)
        } else {
            Limit::Other
        };
        let held = match limit {
            Limit::Rate { limit, .. } | Limit::StreamRate { limit } => {
                let parcel = self.desk.parcel_mut(trip.place);
                parcel.limited += 1;
                let bytes = parcel.request.bytes;
                let too_often = parcel.limited >= LIMITED_OFTEN && bytes > SPLIT_FROM;
                // What the limit gives in a second may be below the burst, which is not named.
                let above = bytes as u64 > limit;
                let entries = parcel.request.entries;
                let (now, sent) = (trip.back - self.epoch, trip.sent - self.epoch);
                let wait = self.pace.limited(now, sent, limit, bytes as u64, random);
                if (above || too_often) && entries > 1 {
                    self.split(trip.place, trouble);
                }
                return hold(Severity::Limit, wait.max(after.unwrap_or_default()));
            }
            Limit::StreamLimit => {
                // A place becomes free after half an hour of somebody's silence: no hurry.
                let tries = self.desk.parcel(trip.place).tries.saturating_sub(1);
                let backoff = ship.delivery.backoff.wait(tries, after, false, random);
                let labels = Arc::clone(&self.desk.parcel(trip.place).request.labels);
                if tries == 0 && self.desk.is_new_trouble(&labels) {
                    let stream = labels.to_string();
                    ship.note.say(&Message::NoPlace {
                        stream: &stream,
                        tried: PARKED_FOR,
                    });
                }
                *ship.trouble.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(format!("429 {}", trouble.text));
                if !self.desk.park(&labels, trip.back, trip.back + backoff) {
                    let parcel = self.desk.settle(trip.place, Vec::new());
                    let ticket = self.ticket(trip.place);
                    let Trouble { status, text, .. } = trouble;
                    self.fates.refused_whole(
                        &parcel.request,
                        &ticket,
                        status.unwrap_or(0),
                        text,
                        Reason::StreamLimit.as_str(),
                    );
                }
                return None;
            }
            Limit::Other if trouble.lasting => hold(Severity::Lasting, backoff),
            Limit::Other => hold(Severity::Passing, backoff),
        };
        self.give_up_after_retries(trip.place, trouble);
        held
    }

    /// `--max-retries`: never for what files gave, which lies on disk anyway, nor for what an
    /// earlier run left.
    fn give_up_after_retries(&mut self, place: Place, trouble: &Trouble) {
        let tray = self.desk.tray(place);
        let may = tray.taken.shipment.marks.is_empty() && !tray.taken.ticket.is_adopted();
        let retries = self.desk.parcel(place).tries.saturating_sub(1);
        if may
            && self
                .ship
                .delivery
                .max_retries
                .is_some_and(|most| retries >= most)
        {
            let entries = self.desk.settle(place, Vec::new()).request.entries;
            self.ticket(place)
                .settle(entries, Fate::Dropped("retries exhausted"));
            if !std::mem::replace(&mut self.giving_up, true) {
                self.ship.note.say(&Message::GaveUp {
                    entries,
                    retries,
                    why: &words(trouble),
                });
            }
        }
    }

    /// Puts the two halves of a request in its place; one entry that is too large is refused.
    fn split(&mut self, place: Place, trouble: &Trouble) {
        let gzip_level = self.ship.delivery.gzip_level;
        let halves = halves(&self.desk.parcel(place).request, gzip_level);
        let done = halves.is_empty();
        let parcel = self.desk.settle(place, halves);
        if done {
            let status = trouble.status.unwrap_or(0);
            let ticket = self.ticket(place);
            self.fates
                .refused_whole(&parcel.request, &ticket, status, &trouble.text, "too large");
        }
    }

    fn ticket(&self, place: Place) -> Ticket {
        self.desk.tray(place).taken.ticket.clone()
    }

    fn settle_finished(&mut self) {
        while let Some(tray) = self.desk.finished() {
            // The marks first: what is settled leaves the spool once a checkpoint covers it.
            if let Some(checkpoint) = &self.ship.checkpoint {
                checkpoint.settled(&tray.taken.shipment.marks);
            }
            drop(tray.taken.ticket);
            if let Some(checkpoint) = &self.ship.checkpoint {
                checkpoint.keep(Instant::now());
            }
            let (requests, entries, bytes) = tray.size;
            let took = tray.began.elapsed();
            let number = tray.taken.shipment.number;
            self.ship.note.say(&Message::Settled {
                number,
                requests,
                entries,
                bytes,
                took,
            });
        }
    }

    /// How long a request may take now: near the end, no longer than is left.
    fn timeout(&self) -> Duration {
        let timeout = self.ship.delivery.timeout;
        let left = self
            .ends(self.ship.stop.view())
            .map(|end| end - Instant::now().min(end));
        left.map_or(timeout, |left| left.max(LEAST_TIMEOUT).min(timeout))
    }

    fn ends(&self, view: View) -> Option<Instant> {
        self.ship
            .delivery
            .patience
            .ends(view, self.ship.ledger.last_accepted())
    }

    /// Waits for the next try. What was given up is waited for no longer than until there is
    /// nothing more to try.
    fn wait_for_more(&mut self, due: Instant) -> Wake {
        self.settle_finished();
        while self.desk.is_empty() {
            match self.ship.backlog.take(Some(due)) {
                Pop::Item(taken) => self.desk.add(taken, Instant::now()),
                Pop::Kicked => {
                    let phase = self.ship.stop.view().phase;
                    if phase == Phase::Now {
                        return Wake::Stop;
                    }
                    if std::mem::replace(&mut self.phase, phase) < phase {
                        return Wake::Retry;
                    }
                }
                Pop::TimedOut | Pop::Ended => return Wake::Retry,
            }
        }
        self.wait(due)
    }

    /// Waits for the next try.
    fn wait(&mut self, due: Instant) -> Wake {
        let mut view = self.ship.stop.view();
        loop {
            if view.phase == Phase::Now {
                return Wake::Stop;
            }
            // A stop was asked for: what waits is tried at once.
            if std::mem::replace(&mut self.phase, view.phase) < view.phase {
                return Wake::Retry;
            }
            let end = self.ends(view);
            let until = end.map_or(due, |end| end.min(due));
            if Instant::now() >= until {
                return if end.is_some_and(|end| end <= due) {
                    Wake::LastTry
                } else {
                    Wake::Retry
                };
            }
            view = self.ship.stop.wait(Some(until), view);
        }
    }

    fn say_trouble(&mut self, hold: &Hold) {
        let Hold {
            trouble,
            severity,
            wait,
            began,
        } = hold;
        let Trouble {
            status,
            text,
            lasting,
        } = trouble;
        let ship = &self.ship;
        ship.note.say(&Message::Retry {
            status: *status,
            text,
            wait: *wait,
        });
        if *lasting {
            ship.backlog.set_hopeless(true);
        }
        let why = words(trouble);
        if self.spell.failed(*began, Instant::now(), *severity) {
            let (target, entries) = (&ship.target, ship.ledger.counts().left());
            ship.note.say(&match status {
                Some(status) if *lasting => Message::Denied {
                    target,
                    status: *status,
                    text,
                },
                None if *lasting => Message::Barred { target, why: text },
                _ => Message::TroubleBegan {
                    target,
                    why: &why,
                    entries,
                },
            });
        }
        ship.ledger.waits(Wait {
            why: why.clone(),
            until: Instant::now() + *wait,
        });
        *ship.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    fn say_passed(&mut self, waited: u64) {
        let ship = &self.ship;
        if let Some(after) = self.spell.ended(Instant::now()) {
            let target = &ship.target;
            ship.note.say(&Message::TroubleEnded {
                target,
                after,
                entries: waited,
            });
        }
        *ship.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What is the matter, with the status if there was an answer.
fn words(trouble: &Trouble) -> String {
    match trouble.status {
        Some(status) => format!("{status} {}", trouble.text).trim_end().to_owned(),
        None => trouble.text.clone(),
    }
}

/// A request as two of half as many entries; empty if it has but one, or cannot be read.
fn halves(request: &Request, gzip_level: u8) -> Vec<Parcel> {
    let Some(opened) = seal::open(request)
        .ok()
        .filter(|opened| opened.entries().len() > 1)
    else {
        return Vec::new();
    };
    let mut sealer = Sealer::new(if request.gzip { gzip_level } else { 0 });
    let half = opened.entries().len() / 2;
    let first = sealer.request(&request.labels, opened.entries().take(half));
    let second = sealer.request(&request.labels, opened.entries().skip(half));
    vec![Parcel::new(first), Parcel::new(second)]
}

/// Gives the backlog up when shipping ends, however it ends, so that nobody waits for it.
struct Abandon<'a>(&'a Backlog);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
