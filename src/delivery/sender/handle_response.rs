//! Answers: what they do to the requests on the desk, and whether the next round must wait.
//!
//! Acts on what `outcome` and `refusal` read in an answer: a request is settled, split, put aside,
//! given up or kept for the next round. Sends nothing and waits for nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::delivery::outcome::{DeliveryError, Outcome};
use crate::delivery::queue::Ack;
use crate::delivery::rate_limit::LimitedRequest;
use crate::delivery::rejection;
use crate::delivery::rejection::{Limit, Reason};
use crate::delivery::sender::outage::BlockedBy;
use crate::delivery::sender::outage::Severity;
use crate::delivery::sender::schedule::RequestId;
use crate::delivery::sender::split::{halves, pieces};
use crate::delivery::sender::{Attempt, Sender};
use crate::report::counters::Fate;

impl Sender {
    /// Takes the outcomes of a round in. Gives what holds up the next one, if something does.
    pub(super) fn take_in(&mut self, trips: Vec<Attempt>) -> Option<BlockedBy> {
        let mut hold: Option<BlockedBy> = None;
        let (mut passed, mut waited) = (false, 0);
        // What was taken first: a refusal beside it tells less.
        for trip in &trips {
            if matches!(trip.outcome, Outcome::Delivered | Outcome::Refused { .. }) {
                let bytes = self.desk.parcel(trip.place).request.bytes as u64;
                self.pace
                    .accepted(trip.back - self.epoch, trip.sent - self.epoch, bytes);
            }
        }
        // From the last to the first, since settling moves the places behind.
        for trip in trips.into_iter().rev() {
            self.desk.parcel_mut(trip.place).tries += 1;
            match trip.outcome {
                Outcome::Delivered => {
                    waited = waited.max(self.counters.counts().left());
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
                Outcome::Split { ref error } => self.split(trip.place, error),
                Outcome::Later { ref error, after } => {
                    let held = self.later(&trip, error, after);
                    let longer =
                        |held: &BlockedBy| hold.as_ref().is_none_or(|hold| held.wait > hold.wait);
                    if let Some(held) = held.filter(longer) {
                        hold = Some(held);
                    }
                }
            }
        }
        self.counters.set_retrying(self.desk.retrying());
        self.attempt = if hold.is_some() { self.attempt + 1 } else { 0 };
        if passed && hold.is_none() {
            self.voice.passed(waited);
        }
        hold
    }

    /// Loki took something, or at least spoke of it: the way is open.
    fn pass(&mut self, trip: &Attempt) {
        self.voice.taken();
        self.counters.accepted(trip.back);
        self.backlog.set_hopeless(false);
        self.desk
            .unpark(&Arc::clone(&self.desk.parcel(trip.place).request.labels));
    }

    /// A request must go again: when, and whether the others wait with it.
    fn later(
        &mut self,
        trip: &Attempt,
        trouble: &DeliveryError,
        after: Option<Duration>,
    ) -> Option<BlockedBy> {
        let random = self.jitter.next();
        let read = if trouble.status == Some(429) {
            rejection::limit(&trouble.text)
        } else {
            Limit::Other
        };
        let (severity, wait) = match read {
            Limit::Throttle { limit, .. } | Limit::StreamRate { limit } => {
                let shared = matches!(read, Limit::Throttle { .. });
                let wait = self.rate_limited(trip, trouble, (limit, shared), random);
                (Severity::Limit, wait.max(after.unwrap_or_default()))
            }
            Limit::StreamLimit => {
                self.stand_aside(trip, trouble, after, random);
                return None;
            }
            Limit::Other => {
                let lasting = trouble.permanent;
                let backoff = self.delivery.backoff;
                let wait = backoff.wait(self.attempt, after, lasting, random);
                self.give_up_after_retries(trip.place, trouble);
                let severity = if lasting {
                    Severity::Lasting
                } else {
                    Severity::Passing
                };
                (severity, wait)
            }
        };
        Some(BlockedBy {
            trouble: trouble.clone(),
            severity,
            wait,
            began: trip.sent,
        })
    }

    /// A rate limit of so many bytes a second: how long to wait. What no wait can bring below it
    /// is cut; one entry that is too large for it by itself is refused in the end.
    fn rate_limited(
        &mut self,
        trip: &Attempt,
        trouble: &DeliveryError,
        (limit, shared): (u64, bool),
        random: f64,
    ) -> Duration {
        let parcel = self.desk.parcel_mut(trip.place);
        let first = parcel.limited.replace(parcel.limited.unwrap_or(trip.back));
        let refused = LimitedRequest {
            sent: trip.sent - self.epoch,
            first: first.map(|first| first - self.epoch),
            bytes: parcel.request.bytes as u64,
            shared,
            divisible: parcel.request.entries > 1,
        };
        let now = trip.back - self.epoch;
        let wait = self.pace.limited(now, limit, &refused, random);
        if self.pace.never_takes(now, limit, &refused) {
            self.refuse(trip.place, trouble, "too large");
            return wait;
        }
        self.cut(trip.place);
        if self.desk.parcel(trip.place).request.bytes as u64 == refused.bytes {
            self.give_up_after_retries(trip.place, trouble);
        }
        wait
    }

    /// Puts pieces in the place of a request that is larger than the pace thinks worth sending, and
    /// makes whole again what was cut in vain.
    pub(super) fn cut(&mut self, place: RequestId) {
        let most = self.pace.most().unwrap_or(u64::MAX);
        if most > self.desk.parcel(place).request.bytes as u64 {
            self.desk.rejoin(place);
        }
        let parcel = self.desk.parcel(place);
        if parcel.request.bytes as u64 <= most || parcel.request.entries < 2 {
            return;
        }
        let (sure, level) = (self.pace.is_sure(), self.delivery.gzip_level);
        let piece = self.pace.piece_of(parcel.request.bytes as u64);
        let mut pieces = pieces(&parcel.request, piece, sure, level);
        let behind = pieces.len().saturating_sub(1);
        let Some(first) = pieces.first_mut() else {
            return;
        };
        // The others come after it, and meet a bucket that it emptied.
        (first.tries, first.limited) = (parcel.tries, parcel.limited);
        let whole = self.desk.parcel_mut(place).whole.take();
        if !sure {
            let whole =
                whole.unwrap_or_else(|| (Box::new(self.desk.parcel(place).request.clone()), 0));
            first.whole = Some((whole.0, whole.1 + behind));
        }
        self.desk.settle(place, pieces);
    }

    /// Loki has no place for one more stream: this one waits apart, and is refused when it waited
    /// for long, or when the run is over and nobody else has it. A place becomes free after half an
    /// hour of somebody's silence: no hurry.
    fn stand_aside(
        &mut self,
        trip: &Attempt,
        trouble: &DeliveryError,
        after: Option<Duration>,
        random: f64,
    ) {
        let parcel = self.desk.parcel(trip.place);
        let tries = parcel.tries.saturating_sub(1);
        let labels = Arc::clone(&parcel.request.labels);
        let backoff = self.delivery.backoff.wait(tries, after, false, random);
        let is_news = tries == 0 && self.desk.is_new_trouble(&labels);
        self.voice.no_place(&labels, trouble, is_news);
        let waits = self.desk.park(&labels, trip.back, trip.back + backoff);
        let is_last = self.vigil.is_last_try() && self.is_held_by_us_alone(trip.place);
        if !waits || is_last {
            self.refuse(trip.place, trouble, Reason::StreamLimit.as_str());
        }
        if is_last {
            // There is no later for what stands behind it.
            self.desk.unpark(&labels);
        }
    }

    /// Whether no next run can find these entries, in the spool or in the file they came from.
    fn is_held_by_us_alone(&self, place: RequestId) -> bool {
        let taken = &self.desk.tray(place).taken;
        taken.shipment.positions.is_empty() && !taken.ticket.is_stored()
    }

    /// `--max-retries`: never for what files gave, which lies on disk anyway, nor for what an
    /// earlier run left.
    fn give_up_after_retries(&mut self, place: RequestId, trouble: &DeliveryError) {
        let taken = &self.desk.tray(place).taken;
        let may = taken.shipment.positions.is_empty() && !taken.ticket.is_adopted();
        let retries = self.desk.parcel(place).tries.saturating_sub(1);
        let most = self.delivery.max_retries.filter(|_| may);
        if most.is_some_and(|most| retries >= most) {
            let entries = self.desk.settle(place, Vec::new()).request.entries;
            self.ticket(place)
                .settle(entries, Fate::Dropped("retries exhausted"));
            self.voice.gave_up(entries, retries, trouble);
        }
    }

    /// Puts the two halves of a request in its place; one entry that is too large is refused.
    fn split(&mut self, place: RequestId, trouble: &DeliveryError) {
        let halves = halves(&self.desk.parcel(place).request, self.delivery.gzip_level);
        if halves.is_empty() {
            self.refuse(place, trouble, "too large");
        } else {
            self.desk.settle(place, halves);
        }
    }

    /// Nothing of a request will pass.
    fn refuse(&mut self, place: RequestId, trouble: &DeliveryError, reason: &str) {
        let request = self.desk.settle(place, Vec::new()).request;
        let (status, ticket) = (trouble.status.unwrap_or(0), self.ticket(place));
        self.fates
            .refused_whole(&request, &ticket, status, &trouble.text, reason);
    }

    fn ticket(&self, place: RequestId) -> Ack {
        self.desk.tray(place).taken.ticket.clone()
    }
}
