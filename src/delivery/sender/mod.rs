//! The sender thread: takes batches from the queue, sends their requests and retries them until the
//! outcome of every entry is known.
//!
//! It works in rounds and leaves the decisions to others: `outcome` and `rejection` decide what a
//! response means, `handle_response` what follows from it, `schedule` which requests may be sent, and
//! `backoff` and `rate_limit` how long to wait.

mod bad_entry;
mod handle_response;
pub mod outage;
mod parallel;
mod rejected;
mod retry_timer;
mod schedule;
mod settings;
mod size_limit;
mod split;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::delivery::backoff::Jitter;
use crate::delivery::outcome;
use crate::delivery::outcome::{DeliveryError, Outcome};
use crate::delivery::queue::{DeliveryQueue, QueuedBatch};
use crate::delivery::rate_limit::RateLimiter;
pub use crate::delivery::sender::bad_entry::CONVINCING;
use crate::delivery::sender::outage::OutageReporter;
pub use crate::delivery::sender::outage::{LastError, TroubleHook};
use crate::delivery::sender::parallel::ParallelSend;
use crate::delivery::sender::rejected::RejectionRecorder;
use crate::delivery::sender::retry_timer::{RetryTimer, WaitResult};
use crate::delivery::sender::schedule::{InFlight, RequestId};
pub use crate::delivery::sender::settings::SenderSettings;
use crate::delivery::sender::size_limit::BodyLimit;
use crate::entry::request::Request;
use crate::http::Transport;
use crate::report::counters::{Counters, Wait};
use crate::report::messages::{Message, Reporter};
use crate::storage::checkpoint::Checkpoint;
use crate::storage::dead_letter::DeadLetter;
use crate::sync::flush_deadline::AttemptTiming;
use crate::sync::queue::Pop;
use crate::sync::shutdown::Shutdown;

/// Everything that the sender thread needs.
pub struct SenderParts {
    /// The settings for sending and retrying.
    pub settings: SenderSettings,
    /// The transport that sends requests.
    pub transport: Arc<dyn Transport>,
    /// The queue of batches to send.
    pub queue: Arc<DeliveryQueue>,
    /// The counters of requests, retries and entries by outcome.
    pub counters: Arc<Counters>,
    /// The checkpoint of file positions, if there is one.
    pub checkpoint: Option<Arc<Checkpoint>>,
    /// The file for refused entries, if there is one.
    pub dead_letter: Option<Arc<DeadLetter>>,
    /// The shutdown state of the run.
    pub shutdown: Arc<Shutdown>,
    /// Prints messages.
    pub reporter: Reporter,
    /// The name of the destination in messages.
    pub target: String,
    /// The current delivery error, for the final report.
    pub last_error: LastError,
    /// The random source for backoff.
    pub jitter: Jitter,
}

/// The state of the sender thread.
struct Sender {
    settings: SenderSettings,
    transport: Arc<dyn Transport>,
    queue: Arc<DeliveryQueue>,
    counters: Arc<Counters>,
    checkpoint: Option<Arc<Checkpoint>>,
    jitter: Jitter,
    parallel: ParallelSend,
    in_flight: InFlight,
    rejected: RejectionRecorder,
    rate: RateLimiter,
    body_limit: BodyLimit,
    timer: RetryTimer,
    outage: OutageReporter,
    reporter: Reporter,
    /// The push URL as messages show it.
    url: String,
    /// Number of consecutive rounds after which all delivery had to wait.
    attempt: u32,
    /// Set while Loki cannot be reached or no request succeeds. One request at a time is then sent
    /// as a probe.
    down: Option<Down>,
    epoch: Instant,
}

/// The kind of an outage.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Down {
    /// The server or the connection is down.
    Everything,
    /// An entry in the requests sent so far may be the cause.
    PerhapsAnEntry,
}

/// A request that was sent, and its outcome.
struct Attempt {
    id: RequestId,
    outcome: Outcome,
    sent: Instant,
    back: Instant,
    /// The timeout it was sent with.
    timeout: Duration,
}

/// Maximum number of batches in flight while other streams are needed to tell an outage from a bad
/// entry.
const LOOK_AHEAD: usize = 8;

impl SenderParts {
    /// Sends until the queue is closed and empty, or until the flush timeout. Batches that remain then
    /// count as left.
    pub fn run(self) {
        let queue = Arc::clone(&self.queue);
        let url = self.transport.url().unwrap_or(&self.target).to_owned();
        let gzip_level = self.settings.gzip_level;
        let mut sender = Sender {
            parallel: ParallelSend::default(),
            in_flight: InFlight::new(self.settings.convincing),
            rejected: RejectionRecorder::new(self.dead_letter, self.reporter, gzip_level),
            rate: RateLimiter::default(),
            body_limit: BodyLimit::default(),
            timer: RetryTimer::new(self.shutdown, Arc::clone(&self.counters), &self.settings),
            outage: OutageReporter::new(self.reporter, self.target, url.clone(), self.last_error),
            reporter: self.reporter,
            url,
            attempt: 0,
            down: None,
            epoch: Instant::now(),
            settings: self.settings,
            transport: self.transport,
            queue: self.queue,
            counters: self.counters,
            checkpoint: self.checkpoint,
            jitter: self.jitter,
        };
        // Dropped before the sender, so that its batches can still be stored in the spool.
        let _abandon = Abandon(&queue);
        sender.run();
    }
}

impl Sender {
    fn run(&mut self) {
        loop {
            self.complete_batches();
            let ready = self.in_flight.next_requests(Instant::now());
            let continues = if ready.is_empty() {
                let woken = self.next_batch();
                self.continues(woken)
            } else {
                self.send_round(ready)
            };
            if !continues {
                break;
            }
        }
        if self.in_flight.has_fault() {
            self.queue.set_hopeless(true);
        }
    }

    /// Whether the thread continues after a wait.
    fn continues(&mut self, woken: WaitResult) -> bool {
        match woken {
            WaitResult::Retry => true,
            WaitResult::LastTry if !self.timer.is_through() && !self.in_flight.is_empty() => {
                self.timer.set_last_try();
                self.in_flight.make_due(Instant::now());
                true
            }
            WaitResult::LastTry | WaitResult::Shutdown => false,
        }
    }

    /// Takes the next batch when nothing may be sent now, or waits until a suspended request is due.
    fn next_batch(&mut self) -> WaitResult {
        let due = self.in_flight.next_due();
        // A spool may hold far more batches of that stream than memory has room for.
        if let Some(due) = due.filter(|_| self.queue.in_flight_memory_full()) {
            return self.timer.wait(due);
        }
        match self.queue.pop(due) {
            Pop::Item(queued) => {
                self.take_up(queued);
                WaitResult::Retry
            }
            Pop::Woken if self.timer.is_over() => WaitResult::Shutdown,
            Pop::Woken | Pop::TimedOut => WaitResult::Retry,
            Pop::Ended => match due {
                Some(due) => self.timer.wait(due),
                None => WaitResult::Shutdown,
            },
        }
    }

    /// Adds a batch to those in flight.
    fn take_up(&mut self, mut queued: QueuedBatch) {
        let requests = std::mem::take(&mut queued.batch.requests);
        let fitted = |request| self.rejected.fitted(request);
        let requests = requests.into_iter().map(fitted).collect();
        self.in_flight.add(queued, requests, Instant::now());
    }

    /// Sends each of these requests once and waits as long as the responses require. Returns whether
    /// the thread continues.
    fn send_round(&mut self, ready: Vec<RequestId>) -> bool {
        let ready = match self.down {
            Some(down) => self.probe(down).map_or(ready, |id| vec![id]),
            None => ready,
        };
        let ready = self.split_to_limits(&ready);
        if self.wait_for_rate(&ready) == WaitResult::Shutdown {
            return false;
        }
        let timing = self.timer.begin();
        let attempts = self.send(&ready, timing);
        if attempts.is_empty() {
            return false;
        }
        let blocked = self.handle_responses(attempts);
        self.timer.ended(timing, blocked.is_none());
        let Some(blocked) = blocked else {
            // After a signal the flush timeout is a total, whatever progress is made.
            return !self.timer.is_late();
        };
        let permanent = blocked.trouble.permanent;
        if permanent {
            self.queue.set_hopeless(true);
        }
        self.outage.held(&blocked, self.counters.counts().left());
        // A run over finite input would not end while the fault lasts.
        if let Some(full) = self
            .queue
            .blocked_on()
            .filter(|_| self.settings.end_when_hopeless)
        {
            self.outage.held_up(full);
        }
        self.counters.waits(Wait {
            why: blocked.why(),
            until: Instant::now() + blocked.wait,
        });
        let hopeless = permanent && self.ends_when_hopeless();
        if self.timer.is_through() || hopeless || self.timer.is_over() {
            return false;
        }
        let woken = self.wait_for_retry(Instant::now() + blocked.wait);
        self.continues(woken)
    }

    /// Whether a configuration fault ends the run: its input is finite and no request ever succeeded.
    fn ends_when_hopeless(&self) -> bool {
        self.settings.end_when_hopeless && self.counters.last_accepted().is_none()
    }

    /// The request to send as a probe during an outage: a different one each time, since the content of
    /// one may be the cause.
    fn probe(&mut self, down: Down) -> Option<RequestId> {
        if down == Down::PerhapsAnEntry {
            while self.in_flight.batches() < LOOK_AHEAD
                && !self.in_flight.has_several_streams()
                && !self.queue.in_flight_memory_full()
            {
                let Pop::Item(queued) = self.queue.pop(Some(Instant::now())) else {
                    break;
                };
                self.take_up(queued);
            }
        }
        let probes = self.in_flight.probes();
        let turn = self.attempt as usize % probes.len().max(1);
        probes.get(turn).copied()
    }

    /// Waits until `due`, unless the queue was emptied meanwhile and nothing is left to retry.
    fn wait_for_retry(&mut self, due: Instant) -> WaitResult {
        self.complete_batches();
        while self.in_flight.is_empty() {
            match self.queue.pop(Some(due)) {
                Pop::Item(queued) => self.take_up(queued),
                Pop::Woken if self.timer.is_over() => return WaitResult::Shutdown,
                Pop::Woken if self.timer.has_advanced() => return WaitResult::Retry,
                Pop::Woken => {}
                Pop::TimedOut | Pop::Ended => return WaitResult::Retry,
            }
        }
        self.timer.wait(due)
    }

    /// Splits requests that are larger than a known limit, and returns as many as stay below the rate
    /// limit together.
    fn split_to_limits(&mut self, ready: &[RequestId]) -> Vec<RequestId> {
        let split: Vec<_> = ready.iter().map(|&id| self.split_to_limit(id)).collect();
        let mut sum = 0;
        let most = self.rate.most().unwrap_or(u64::MAX);
        let within = split.into_iter().take_while(|&id| {
            let first = sum == 0;
            sum += self.in_flight.request(id).request.bytes as u64;
            first || sum <= most
        });
        within.collect()
    }

    /// Waits as long as a known rate limit requires before these requests are sent for the first time.
    fn wait_for_rate(&mut self, ready: &[RequestId]) -> WaitResult {
        let fresh = ready.iter().map(|&id| self.in_flight.request(id));
        let bytes: usize = fresh
            .filter(|pending| pending.tries == 0)
            .map(|pending| pending.request.bytes)
            .sum();
        if bytes == 0 {
            return WaitResult::Retry;
        }
        let now = Instant::now();
        let random = self.jitter.next();
        let wait = self
            .rate
            .before_next(now - self.epoch, bytes as u64, random);
        if wait.is_zero() {
            WaitResult::Retry
        } else {
            self.timer.wait(now + wait)
        }
    }

    /// Sends each of these requests once, over several connections, and stops at the deadline or when
    /// Loki cannot be reached.
    fn send(&self, ready: &[RequestId], timing: AttemptTiming) -> Vec<Attempt> {
        let connections = self.settings.connections;
        // Concurrent requests share the bandwidth.
        let mut sizes: Vec<usize> = ready.iter().map(|&id| self.body_size(id)).collect();
        sizes.sort_unstable();
        let together = sizes.iter().rev().take(connections).sum();
        let down = AtomicBool::new(false);
        let attempts = self.parallel.run(ready, connections, |&id| {
            if down.load(Ordering::Relaxed) {
                return None;
            }
            let timeout = self.timer.timeout(timing, together)?;
            let pending = self.in_flight.request(id);
            self.counters
                .tried(pending.request.body.len(), pending.tries > 0);
            let sent = Instant::now();
            let outcome = outcome::classify(self.transport.send(&pending.request, timeout));
            self.report_request(&pending.request, &outcome, sent);
            let is_down = |error: &DeliveryError| {
                matches!(error.status, None | Some(502..=504)) && !error.permanent
            };
            if matches!(&outcome, Outcome::Later { error, .. } if is_down(error)) {
                down.store(true, Ordering::Relaxed);
            }
            Some(Attempt {
                id,
                outcome,
                sent,
                back: Instant::now(),
                timeout,
            })
        });
        attempts.into_iter().flatten().collect()
    }

    /// Reports a request and its outcome with `-v`.
    fn report_request(&self, request: &Request, outcome: &Outcome, sent: Instant) {
        if !self.reporter.is_verbose() {
            return;
        }
        let outcome = match outcome {
            Outcome::Delivered => "delivered".to_owned(),
            Outcome::Later { error, .. } | Outcome::Split { error } => error.describe(),
            Outcome::Refused { status, text } => format!("{status} {}", text.trim()),
        };
        self.reporter.say(&Message::Request {
            url: &self.url,
            entries: request.entries,
            bytes: request.body.len(),
            outcome: &outcome,
            took: sent.elapsed(),
        });
    }

    fn body_size(&self, id: RequestId) -> usize {
        self.in_flight.request(id).request.body.len()
    }

    fn complete_batches(&mut self) {
        while let Some(batch) = self.in_flight.next_completed() {
            let queued = batch.queued;
            // Positions are recorded first: a completed batch leaves the spool once a checkpoint covers it.
            if let Some(checkpoint) = &self.checkpoint {
                checkpoint.settled(&queued.batch.positions);
            }
            // Only the checkpoint tells that a batch was sent which the spool could not store: after a
            // kill before it is saved, the batch would be sent again with other timestamps.
            let is_only_sent = self.queue.has_spool() && !queued.ack.is_stored();
            drop(queued.ack);
            match &self.checkpoint {
                Some(checkpoint) if is_only_sent => drop(checkpoint.save()),
                Some(checkpoint) => checkpoint.keep(Instant::now()),
                None => {}
            }
            self.outage
                .settled(queued.batch.number, batch.size, batch.began.elapsed());
        }
    }
}

/// Closes the queue when the thread ends, even by a panic, so that no producer waits for ever.
struct Abandon<'a>(&'a DeliveryQueue);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.close_and_keep();
    }
}
