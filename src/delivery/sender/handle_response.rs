//! What responses do to the requests in flight, and whether the next round must wait.
//!
//! A request is completed, split, sent again later, or steps aside so that others continue.

use std::sync::Arc;
use std::time::Duration;

use crate::delivery::outcome::{DeliveryError, Outcome};
use crate::delivery::queue::Ack;
use crate::delivery::rate_limit::LimitedRequest;
use crate::delivery::rejection::{self, Limit, Reason};
use crate::delivery::sender::bad_entry::Verdict;
use crate::delivery::sender::outage::{BlockedBy, Severity};
use crate::delivery::sender::schedule::{PendingRequest, RequestId};
use crate::delivery::sender::split::{split_by_bytes, split_in_two};
use crate::delivery::sender::{Attempt, Down, Sender};
use crate::report::counters::Fate;

impl Sender {
    /// Handles the responses of a round. Returns what blocks the next one, if something does.
    pub(super) fn handle_responses(&mut self, attempts: Vec<Attempt>) -> Option<BlockedBy> {
        let answered = |attempt: &Attempt| {
            matches!(
                attempt.outcome,
                Outcome::Delivered | Outcome::Refused { .. }
            )
        };
        // Successes first: a failure means less if other requests succeeded at the same time.
        let (passed, failed): (Vec<_>, Vec<_>) = attempts.into_iter().partition(answered);
        let any_passed = !passed.is_empty();
        let waited = self.counters.counts().left();
        let delivered = passed
            .iter()
            .any(|attempt| attempt.outcome == Outcome::Delivered);
        passed.into_iter().for_each(|attempt| self.passed(attempt));
        let mut blocked: Option<BlockedBy> = None;
        for attempt in failed {
            self.in_flight.request_mut(attempt.id).tries += 1;
            let by = match &attempt.outcome {
                Outcome::Split { error } => self.too_large(&attempt, error),
                Outcome::Later { error, after } => self.schedule_retry(&attempt, error, *after),
                Outcome::Delivered | Outcome::Refused { .. } => None,
            };
            let longer = |by: &BlockedBy| blocked.as_ref().is_none_or(|own| by.wait > own.wait);
            if let Some(by) = by.filter(longer) {
                blocked = Some(by);
            }
        }
        self.counters.set_retrying(self.in_flight.retrying());
        if let Some(by) = &blocked {
            self.attempt += 1;
            self.down = match by.severity {
                Severity::Limit => None,
                _ if by.trouble.may_be_the_entry => Some(Down::PerhapsAnEntry),
                _ => Some(Down::Everything),
            };
        } else if any_passed {
            (self.attempt, self.down) = (0, None);
        }
        if delivered && blocked.is_none() {
            self.outage.passed(waited);
        }
        blocked
    }

    /// Handles a request that Loki accepted, or at least understood.
    fn passed(&mut self, attempt: Attempt) {
        let Attempt { id, sent, back, .. } = attempt;
        let pending = self.in_flight.request(id);
        let bytes = pending.request.bytes as u64;
        self.rate
            .accepted(back - self.epoch, sent - self.epoch, bytes);
        let size = pending.request.body.len();
        self.body_limit.answered(size, back - sent, attempt.timeout);
        self.outage.taken(&pending.request.labels);
        self.counters.accepted(back);
        self.queue.set_hopeless(false);
        self.in_flight.request_mut(id).tries += 1;
        self.in_flight.passed(id, back);
        let ack = self.ack(id);
        match attempt.outcome {
            Outcome::Refused { status, text } => {
                let pending = self.in_flight.request(id);
                let again = self.rejected.refused(pending, &ack, status, &text);
                self.in_flight.replace(id, again.into_iter().collect());
            }
            _ => {
                let entries = self.in_flight.complete(id).entries();
                ack.settle(entries, Fate::Delivered);
            }
        }
    }

    /// Schedules the retry of a request. Returns what blocks the next round, if it does.
    fn schedule_retry(
        &mut self,
        attempt: &Attempt,
        error: &DeliveryError,
        after: Option<Duration>,
    ) -> Option<BlockedBy> {
        self.in_flight.request_mut(attempt.id).faulty = error.permanent;
        let random = self.jitter.next();
        let limit = if error.status == Some(429) {
            rejection::limit(&error.text)
        } else {
            Limit::Other
        };
        let (severity, wait) = match limit {
            Limit::Throttle { limit: bytes } | Limit::StreamRate { limit: bytes } => {
                let shared = matches!(limit, Limit::Throttle { .. });
                let wait = self.rate_limited(attempt, error, (bytes, shared), random);
                (Severity::Limit, wait.max(after.unwrap_or_default()))
            }
            Limit::StreamLimit => {
                self.suspend_stream(attempt, error, after, random);
                return None;
            }
            Limit::Other => {
                let permanent = error.permanent;
                let backoff = self.settings.backoff;
                let wait = backoff.wait(self.attempt, after, permanent, random);
                let severity = if permanent {
                    Severity::Lasting
                } else {
                    Severity::Passing
                };
                if !self.give_up_after_retries(attempt.id, error) {
                    self.split_if_too_slow(attempt, error);
                    if error.may_be_the_entry {
                        let blocks = self.search_bad_entry(attempt, error, (after, random));
                        if !blocks {
                            return None;
                        }
                    }
                }
                (severity, wait)
            }
        };
        Some(BlockedBy {
            trouble: error.clone(),
            severity,
            wait,
            began: attempt.sent,
        })
    }

    /// Handles a bad answer that may be due to an entry of the request. Returns whether everything must
    /// wait, since nothing shows that other requests succeed.
    fn search_bad_entry(
        &mut self,
        attempt: &Attempt,
        error: &DeliveryError,
        (after, random): (Option<Duration>, f64),
    ) -> bool {
        let Attempt { id, sent, back, .. } = *attempt;
        let hurry = self.timer.is_last_try() || error.permanent && self.ends_when_hopeless();
        let backoff = self.settings.backoff;
        let status = error.status.unwrap_or_default();
        let labels = Arc::clone(&self.in_flight.request(id).request.labels);
        let verdict = self
            .in_flight
            .answered_badly(id, status, (sent, back), backoff.most, hurry);
        match verdict {
            Verdict::Wait if self.down.is_none() && self.in_flight.others_pass(&labels) => {
                let tries = self.in_flight.request(id).tries;
                let wait = backoff.wait(tries - 1, after, error.permanent, random);
                self.in_flight.suspend(&labels, back + wait);
                self.outage.stream_fails(&labels, error, tries);
                false
            }
            Verdict::Wait => true,
            Verdict::Halve => {
                let level = self.settings.gzip_level;
                let halves = split_in_two(self.in_flight.request(id), level);
                if halves.is_empty() {
                    return true;
                }
                self.in_flight.search_halves(id, halves, back);
                false
            }
            Verdict::Beside { progress } => {
                if progress {
                    // A verdict is near, so this counts as progress for the flush timeout.
                    self.counters.accepted(back);
                }
                self.down.is_some()
            }
            Verdict::Refuse(answers) => {
                let (pending, ack) = (self.in_flight.complete(id), self.ack(id));
                let url = &self.url;
                self.rejected
                    .refused_as_bad(&pending, &ack, error, &answers, url);
                false
            }
        }
    }

    /// Handles a rate limit, in bytes per second. Returns the time to wait. A request that exceeds it
    /// after any wait is split, and a single entry that does is refused in the end.
    fn rate_limited(
        &mut self,
        attempt: &Attempt,
        error: &DeliveryError,
        (limit, shared): (u64, bool),
        random: f64,
    ) -> Duration {
        let pending = self.in_flight.request_mut(attempt.id);
        let first = pending
            .limited
            .replace(pending.limited.unwrap_or(attempt.back));
        let refused = LimitedRequest {
            sent: attempt.sent - self.epoch,
            first: first.map(|first| first - self.epoch),
            bytes: pending.request.bytes as u64,
            shared,
            divisible: pending.request.entries > 1,
        };
        let now = attempt.back - self.epoch;
        let wait = self.rate.limited(now, limit, &refused, random);
        if self.rate.never_takes(now, limit, &refused) {
            self.refuse(attempt.id, error, "too large");
            return wait;
        }
        let id = self.split_to_limit(attempt.id);
        if self.in_flight.request(id).request.bytes as u64 == refused.bytes {
            self.give_up_after_retries(id, error);
        }
        wait
    }

    /// Splits a request that is larger than a rate limit or the connection is known to accept, and undoes
    /// a split that did not help. Returns the first piece.
    pub(super) fn split_to_limit(&mut self, id: RequestId) -> RequestId {
        // A request that was sent may be stored, so it is retried unchanged.
        let id = if self.in_flight.request(id).tries == 0 {
            self.split_to_size(id)
        } else {
            id
        };
        let most = self.rate.most().unwrap_or(u64::MAX);
        if most > self.in_flight.request(id).request.bytes as u64 {
            self.in_flight.undo_split(id);
        }
        let pending = self.in_flight.request(id);
        let bytes = pending.request.bytes as u64;
        if bytes <= most || pending.request.entries < 2 {
            return id;
        }
        let sure = self.rate.is_sure();
        let piece = self.rate.piece_of(bytes);
        let pieces = split_by_bytes(pending, piece, sure, self.settings.gzip_level);
        if pieces.is_empty() {
            return id;
        }
        let (gone, pieces) = self.replace_by_pieces(id, pieces);
        if !sure {
            let (whole, mut others) = match gone.whole {
                Some(whole) => whole,
                None => (Box::new((gone.request, gone.ends)), Vec::new()),
            };
            others.extend_from_slice(&pieces[1..]);
            self.in_flight.request_mut(pieces[0]).whole = Some((whole, others));
        }
        pieces[0]
    }

    /// Splits a request whose body is larger than the connection is known to accept.
    fn split_to_size(&mut self, id: RequestId) -> RequestId {
        let pending = self.in_flight.request(id);
        let size = pending.request.body.len();
        let Some(most) = self.body_limit.max().filter(|most| size > *most) else {
            return id;
        };
        // The factor allows for smaller pieces compressing less well.
        let bytes = pending.request.bytes as u64 * most as u64 / size as u64 * 7 / 8;
        let pieces = split_by_bytes(pending, bytes.max(1), true, self.settings.gzip_level);
        if pieces.len() < 2 {
            return id;
        }
        self.replace_by_pieces(id, pieces).1[0]
    }

    /// Replaces a request by pieces. The first one inherits its number of attempts.
    fn replace_by_pieces(
        &mut self,
        id: RequestId,
        pieces: Vec<PendingRequest>,
    ) -> (PendingRequest, Vec<RequestId>) {
        let (gone, pieces) = self.in_flight.replace(id, pieces);
        let first = self.in_flight.request_mut(pieces[0]);
        (first.tries, first.limited) = (gone.tries, gone.limited);
        for &piece in &pieces {
            let piece = self.in_flight.request_mut(piece);
            (piece.searched, piece.faulty) = (gone.searched, gone.faulty);
        }
        (gone, pieces)
    }

    /// Suspends a stream beyond Loki's limit of active streams. It is refused when its time is over, or
    /// at the end of the run if the entries are nowhere else. Retries are rare, since Loki frees a place
    /// only after half an hour without entries of a stream.
    fn suspend_stream(
        &mut self,
        attempt: &Attempt,
        error: &DeliveryError,
        after: Option<Duration>,
        random: f64,
    ) {
        let pending = self.in_flight.request(attempt.id);
        let tries = pending.tries.saturating_sub(1);
        let labels = Arc::clone(&pending.request.labels);
        let backoff = self.settings.backoff.wait(tries, after, false, random);
        // Loki can be reached.
        (self.attempt, self.down) = (0, None);
        let is_news = self.in_flight.all_have_room();
        self.outage.no_place(&labels, error, is_news);
        let due = attempt.back + backoff;
        let waits = self
            .in_flight
            .suspend_without_room(&labels, attempt.back, due);
        let is_last = self.timer.is_last_try() && self.is_held_by_us_alone(attempt.id);
        if !waits || is_last {
            self.refuse(attempt.id, error, Reason::StreamLimit.as_str());
        }
        if is_last {
            // The requests after it get their last attempt too.
            self.in_flight.resume(&labels);
        }
    }

    /// Whether these entries are in memory only: neither in the spool nor in a file that the next run reads.
    fn is_held_by_us_alone(&self, id: RequestId) -> bool {
        let queued = &self.in_flight.batch(id).queued;
        queued.batch.positions.is_empty() && !queued.ack.is_stored()
    }

    /// Applies `--max-retries`, except to entries of files, which are on disk anyway, and of earlier
    /// runs. Returns whether the request was given up.
    fn give_up_after_retries(&mut self, id: RequestId, error: &DeliveryError) -> bool {
        let queued = &self.in_flight.batch(id).queued;
        let may = queued.batch.positions.is_empty() && !queued.ack.is_adopted();
        let retries = self.in_flight.request(id).tries.saturating_sub(1);
        let most = self.settings.max_retries.filter(|_| may);
        let gives_up = most.is_some_and(|most| retries >= most);
        if gives_up {
            let entries = self.in_flight.complete(id).entries();
            self.ack(id)
                .settle(entries, Fate::Dropped("retries exhausted"));
            self.outage.gave_up(entries, retries, error);
        }
        gives_up
    }

    /// Splits a request that timed out, if that may be due to its size.
    fn split_if_too_slow(&mut self, attempt: &Attempt, error: &DeliveryError) {
        let took = attempt.back - attempt.sent;
        let timed_out = match error.status {
            // A gateway may close the connection at a timeout of its own.
            None => took >= self.settings.timeout,
            Some(status) => status == 408,
        };
        let size = self.body_size(attempt.id);
        if timed_out && self.body_limit.timed_out(size) {
            self.split_to_size(attempt.id);
        }
    }

    /// Splits a request that is too large. A single entry is refused if the answer is a 413.
    fn too_large(&mut self, attempt: &Attempt, error: &DeliveryError) -> Option<BlockedBy> {
        let id = attempt.id;
        let halves = split_in_two(self.in_flight.request(id), self.settings.gzip_level);
        if !halves.is_empty() {
            let sizes = halves.iter().map(|half| half.request.body.len());
            self.body_limit.too_large(sizes.max().unwrap_or_default());
            self.in_flight.replace(id, halves);
        } else if error.status == Some(413) {
            self.refuse(id, error, "too large");
        } else {
            return self.schedule_retry(attempt, error, None);
        }
        None
    }

    /// Refuses all entries of a request.
    fn refuse(&mut self, id: RequestId, error: &DeliveryError, reason: &str) {
        let (pending, ack) = (self.in_flight.complete(id), self.ack(id));
        let status = error.status.unwrap_or(0);
        self.rejected
            .refused_whole(&pending, &ack, status, &error.text, reason);
    }

    fn ack(&self, id: RequestId) -> Ack {
        self.in_flight.batch(id).queued.ack.clone()
    }
}
