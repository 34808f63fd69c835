//! The shipping thread: takes sealed shipments in order, sends their requests, and sees each one
//! through to its fate.
//!
//! Acts, round by round. What an answer means is decided in `outcome` and `refusal`, what it does
//! to the requests here in `answers`, how long to wait in `retry` and `pace`, which request may go
//! in `desk`. Knows nothing of sources, of batching or of ureq.

mod handle_response;
pub mod outage;
mod parallel;
mod rejected;
mod retry_timer;
mod schedule;
mod settings;
mod split;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use crate::delivery::backoff::Jitter;
use crate::delivery::outcome;
use crate::delivery::outcome::Outcome;
use crate::delivery::queue::DeliveryQueue;
use crate::delivery::rate_limit::RateLimiter;
use crate::delivery::sender::outage::OutageReporter;
pub use crate::delivery::sender::outage::{LastError, TroubleHook};
use crate::delivery::sender::parallel::ParallelSend;
use crate::delivery::sender::rejected::RejectionRecorder;
use crate::delivery::sender::retry_timer::{RetryTimer, WaitResult};
use crate::delivery::sender::schedule::{InFlight, RequestId};
pub use crate::delivery::sender::settings::SenderSettings;
use crate::http::Push;
use crate::report::counters::{Counters, Wait};
use crate::report::messages::Reporter;
use crate::storage::checkpoint::Checkpoint;
use crate::storage::dead_letter::DeadLetter;
use crate::sync::flush_deadline::AttemptTiming;
use crate::sync::queue::Pop;
use crate::sync::shutdown::Shutdown;

/// What the shipping thread is given.
pub struct SenderParts {
    /// How it sends.
    pub delivery: SenderSettings,
    /// Where requests go.
    pub push: Arc<dyn Push>,
    /// Where shipments come from.
    pub backlog: Arc<DeliveryQueue>,
    /// Where tries are counted.
    pub counters: Arc<Counters>,
    /// Where it is kept how far files were settled.
    pub checkpoint: Option<Arc<Checkpoint>>,
    /// Where refused entries are kept.
    pub dead_letter: Option<Arc<DeadLetter>>,
    /// How the run goes on.
    pub stop: Arc<Shutdown>,
    /// What is said.
    pub reporter: Reporter,
    /// The destination as messages name it.
    pub target: String,
    /// The last trouble, for the closing words.
    pub trouble: LastError,
    /// For the waits.
    pub jitter: Jitter,
}

/// The shipping thread at work.
struct Sender {
    delivery: SenderSettings,
    push: Arc<dyn Push>,
    backlog: Arc<DeliveryQueue>,
    counters: Arc<Counters>,
    checkpoint: Option<Arc<Checkpoint>>,
    jitter: Jitter,
    crew: ParallelSend,
    desk: InFlight,
    fates: RejectionRecorder,
    pace: RateLimiter,
    vigil: RetryTimer,
    voice: OutageReporter,
    /// Rounds in a row that met trouble.
    attempt: u32,
    epoch: Instant,
}

/// One request's way there and back.
struct Attempt {
    place: RequestId,
    outcome: Outcome,
    sent: Instant,
    back: Instant,
}

impl SenderParts {
    /// Ships until the backlog is closed and empty, or the time is over; what is then there is
    /// left.
    pub fn run(self) {
        let backlog = Arc::clone(&self.backlog);
        let url = self.push.url().unwrap_or(&self.target).to_owned();
        let mut sender = Sender {
            crew: ParallelSend::default(),
            desk: InFlight::default(),
            fates: RejectionRecorder::new(self.dead_letter, self.reporter),
            pace: RateLimiter::default(),
            vigil: RetryTimer::new(self.stop, Arc::clone(&self.counters), &self.delivery),
            voice: OutageReporter::new(self.reporter, self.target, url, self.trouble),
            attempt: 0,
            epoch: Instant::now(),
            delivery: self.delivery,
            push: self.push,
            backlog: self.backlog,
            counters: self.counters,
            checkpoint: self.checkpoint,
            jitter: self.jitter,
        };
        // Dropped first, while the sender still holds its batches: what can be stored of them is.
        let _abandon = Abandon(&backlog);
        sender.run();
    }
}

impl Sender {
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
    fn goes_on(&mut self, wake: WaitResult) -> bool {
        match wake {
            WaitResult::Retry => true,
            WaitResult::LastTry if !self.vigil.is_through() && !self.desk.is_empty() => {
                self.vigil.set_last_try();
                self.desk.hurry(Instant::now());
                true
            }
            WaitResult::LastTry | WaitResult::Shutdown => false,
        }
    }

    /// Nothing may go now: takes the next shipment, or waits for a stream that was put aside.
    fn take_next(&mut self) -> WaitResult {
        let due = self.desk.next_due();
        // A spool may hold far more for that stream than memory.
        if let Some(due) = due.filter(|_| self.backlog.is_hand_full()) {
            return self.vigil.wait(due);
        }
        match self.backlog.take(due) {
            Pop::Item(taken) => {
                self.desk.add(taken, Instant::now());
                WaitResult::Retry
            }
            Pop::Kicked if self.vigil.is_over() => WaitResult::Shutdown,
            Pop::Kicked | Pop::TimedOut => WaitResult::Retry,
            Pop::Ended => match due {
                Some(due) => self.vigil.wait(due),
                None => WaitResult::Shutdown,
            },
        }
    }

    /// One try for each of these, and the wait that their answers ask for. Whether to go on.
    fn round(&mut self, ready: &[RequestId]) -> bool {
        let ready = self.within_the_limit(ready);
        if self.keep_pace(&ready) == WaitResult::Shutdown {
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
        let lasting = hold.trouble.permanent;
        if lasting {
            self.backlog.set_hopeless(true);
        }
        self.voice.held(&hold, self.counters.counts().left());
        // A run that ends by itself does not end while that lasts.
        if let Some(full) = self
            .backlog
            .holding()
            .filter(|_| self.delivery.end_when_hopeless)
        {
            self.voice.held_up(full);
        }
        self.counters.waits(Wait {
            why: hold.why(),
            until: Instant::now() + hold.wait,
        });
        let hopeless =
            lasting && self.delivery.end_when_hopeless && self.counters.last_accepted().is_none();
        if self.vigil.is_through() || hopeless || self.vigil.is_over() {
            return false;
        }
        let wake = self.wait_for_more(Instant::now() + hold.wait);
        self.goes_on(wake)
    }

    /// Waits for the next try. What was given up is waited for no longer than until there is
    /// nothing more to try.
    fn wait_for_more(&mut self, due: Instant) -> WaitResult {
        self.settle_finished();
        while self.desk.is_empty() {
            match self.backlog.take(Some(due)) {
                Pop::Item(taken) => self.desk.add(taken, Instant::now()),
                Pop::Kicked if self.vigil.is_over() => return WaitResult::Shutdown,
                Pop::Kicked if self.vigil.has_advanced() => return WaitResult::Retry,
                Pop::Kicked => {}
                Pop::TimedOut | Pop::Ended => return WaitResult::Retry,
            }
        }
        self.vigil.wait(due)
    }

    /// Cuts what is larger than a known limit takes, and keeps what goes side by side below it.
    fn within_the_limit(&mut self, ready: &[RequestId]) -> Vec<RequestId> {
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
    fn keep_pace(&mut self, ready: &[RequestId]) -> WaitResult {
        let fresh = ready.iter().map(|&place| self.desk.parcel(place));
        let bytes: usize = fresh
            .filter(|parcel| parcel.tries == 0)
            .map(|parcel| parcel.request.bytes)
            .sum();
        if bytes == 0 {
            return WaitResult::Retry;
        }
        let now = Instant::now();
        let random = self.jitter.next();
        let wait = self
            .pace
            .before_next(now - self.epoch, bytes as u64, random);
        if wait.is_zero() {
            WaitResult::Retry
        } else {
            self.vigil.wait(now + wait)
        }
    }

    /// One try for each of these, over at most so many connections at once, as long as there is time.
    fn send(&self, ready: &[RequestId], tries: AttemptTiming) -> Vec<Attempt> {
        let trips = self
            .crew
            .side_by_side(ready, self.delivery.connections, |&place| {
                let parcel = self.desk.parcel(place);
                let timeout = self.vigil.timeout(tries, parcel.request.body.len())?;
                self.counters
                    .tried(parcel.request.body.len(), parcel.tries > 0);
                let sent = Instant::now();
                let outcome = outcome::classify(self.push.push(&parcel.request, timeout));
                Some(Attempt {
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
                checkpoint.settled(&tray.taken.shipment.positions);
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
struct Abandon<'a>(&'a DeliveryQueue);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
