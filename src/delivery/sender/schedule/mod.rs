//! The requests in flight, and which of them may be sent next. Pure; told the time.
//!
//! Batches are sent one after another, and so are the requests of a stream. Exceptions must not hold up
//! the rest: a stream for which Loki has no room, a stream whose requests alone fail, and a single entry
//! suspected to be the reason (see `trouble`). Batches are still completed in order, so a checkpoint
//! never moves past an entry that waits.

#[cfg(test)]
mod tests;
mod trouble;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::delivery::queue::QueuedBatch;
use crate::delivery::sender::bad_entry::Answers;
pub use crate::delivery::sender::schedule::trouble::NO_ROOM_RETRIED_FOR;
use crate::delivery::sender::schedule::trouble::{Stream, Suspended};
use crate::entry::labels::Labels;
use crate::entry::request::Request;

/// Identifies a request while it is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId {
    batch: u64,
    request: u64,
}

/// A request before it was split, and its [`PendingRequest::ends`].
pub type Whole = (Request, Option<Vec<bool>>);

/// A request in flight.
#[derive(Debug)]
pub struct PendingRequest {
    /// The request.
    pub request: Request,
    /// Set if entries were cut to fit a limit of Loki's: for each part, whether it is the last of its entry.
    pub ends: Option<Vec<bool>>,
    /// Number of times it was sent.
    pub tries: u32,
    /// When a rate limit first refused it, or the request it was split from.
    pub limited: Option<Instant>,
    /// The request it was tentatively split from, and the other pieces.
    pub whole: Option<(Box<Whole>, Vec<RequestId>)>,
    /// The bad answers it received.
    pub answers: Answers,
    /// When the search for a bad entry in it began.
    pub searched: Option<Instant>,
    /// Whether the last answer was a configuration fault.
    pub faulty: bool,
    /// When a suspected entry is retried while the rest of its stream continues.
    pub beside: Option<Instant>,
}

impl PendingRequest {
    /// Creates a request that has not been sent yet.
    pub fn new(request: Request) -> Self {
        Self {
            request,
            ends: None,
            tries: 0,
            limited: None,
            whole: None,
            answers: Answers::default(),
            searched: None,
            faulty: false,
            beside: None,
        }
    }

    /// Number of entries, as they were read, whose fate it decides.
    pub fn entries(&self) -> usize {
        let cut = self.ends.as_ref();
        cut.map_or(self.request.entries, |ends| {
            ends.iter().filter(|&&ends| ends).count()
        })
    }
}

/// A batch in flight, with its incomplete requests.
#[derive(Debug)]
pub struct InFlightBatch {
    /// The batch, without its requests.
    pub queued: QueuedBatch,
    /// The incomplete requests, in order.
    requests: Vec<(u64, PendingRequest)>,
    /// When it was taken from the queue.
    pub began: Instant,
    /// Its initial number of requests, entries and bytes.
    pub size: (usize, usize, usize),
}

/// The batches in flight, and the state of their streams.
#[derive(Debug)]
pub struct InFlight {
    /// How long a bad answer must have come before it may be due to an entry.
    convincing: Duration,
    batches: VecDeque<InFlightBatch>,
    /// The number of the first batch; the others follow in steps of one.
    first: u64,
    next_request: u64,
    /// The streams in trouble.
    streams: HashMap<Arc<Labels>, Stream>,
    /// Number of suspected entries that wait while their streams continue.
    suspects: usize,
    /// When a request of any stream last succeeded.
    passed: Option<Instant>,
}

impl InFlight {
    /// Nothing is in flight yet. An entry is suspected after bad answers for a time this long.
    pub fn new(convincing: Duration) -> Self {
        Self {
            convincing,
            batches: VecDeque::new(),
            first: 0,
            next_request: 0,
            streams: HashMap::new(),
            suspects: 0,
            passed: None,
        }
    }

    /// Adds a batch, with its requests as they are to be sent.
    pub fn add(&mut self, queued: QueuedBatch, requests: Vec<PendingRequest>, now: Instant) {
        let size = (
            requests.len(),
            requests.iter().map(PendingRequest::entries).sum(),
            requests
                .iter()
                .map(|pending| pending.request.body.len())
                .sum(),
        );
        let requests = self.numbered(requests);
        self.batches.push_back(InFlightBatch {
            queued,
            requests,
            began: now,
            size,
        });
    }

    fn numbered(&mut self, requests: Vec<PendingRequest>) -> Vec<(u64, PendingRequest)> {
        let numbers = self.next_request..;
        self.next_request += requests.len() as u64;
        numbers.zip(requests).collect()
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Number of batches in flight.
    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    fn all(&self) -> impl Iterator<Item = (RequestId, &PendingRequest)> {
        let batches = self.batches.iter().zip(self.first..);
        batches.flat_map(|(batch, number)| {
            let id = move |request| RequestId {
                batch: number,
                request,
            };
            batch
                .requests
                .iter()
                .map(move |(request, pending)| (id(*request), pending))
        })
    }

    /// The requests that may be sent now, in parallel: the first of each stream in the first batch that
    /// has any, and suspended ones that are due.
    pub fn next_requests(&self, now: Instant) -> Vec<RequestId> {
        let mut next = Vec::new();
        // At most one request per stream is in flight.
        let mut met: HashSet<&Labels> = HashSet::new();
        if self.suspects > 0 {
            for (id, pending) in self.all() {
                let is_due = pending.beside.is_some_and(|due| due <= now);
                if is_due && met.insert(&pending.request.labels) {
                    next.push(id);
                }
            }
        }
        let mut from = None;
        for (id, pending) in self.all().filter(|(_, pending)| pending.beside.is_none()) {
            let labels = &pending.request.labels;
            if !met.insert(labels) {
                continue;
            }
            let suspended = self.streams.get(labels).and_then(|stream| stream.suspended);
            let may_go = match suspended {
                Some(suspended) => suspended.due() <= now,
                None => *from.get_or_insert(id.batch) == id.batch,
            };
            if may_go {
                next.push(id);
            }
        }
        next
    }

    /// The requests of which one shows whether Loki can be reached again: the first of each stream,
    /// but for streams that it has no room for.
    pub fn probes(&self) -> Vec<RequestId> {
        let has_room = |labels: &Arc<Labels>| {
            let suspended = self.streams.get(labels).and_then(|stream| stream.suspended);
            !matches!(suspended, Some(Suspended::NoRoom { .. }))
        };
        let (in_turn, beside): (Vec<_>, Vec<_>) = self
            .all()
            .filter(|(_, pending)| has_room(&pending.request.labels))
            .partition(|(_, pending)| pending.beside.is_none());
        let mut met: HashSet<&Labels> = HashSet::new();
        let all = in_turn.into_iter().chain(beside);
        let first = all.filter(|(_, pending)| met.insert(&pending.request.labels));
        first.map(|(id, _)| id).collect()
    }

    /// When the next suspended request is due.
    pub fn next_due(&self) -> Option<Instant> {
        let streams = self.streams.values();
        let streams = streams.filter_map(|stream| Some(stream.suspended?.due()));
        let entries = self.all().filter_map(|(_, pending)| pending.beside);
        if self.suspects > 0 {
            streams.chain(entries).min()
        } else {
            streams.min()
        }
    }

    /// Makes all suspended requests due, for a last attempt.
    pub fn make_due(&mut self, now: Instant) {
        for stream in self.streams.values_mut() {
            if let Some(Suspended::NoRoom { due, .. } | Suspended::Failing { due }) =
                &mut stream.suspended
            {
                *due = now;
            }
        }
        let requests = self
            .batches
            .iter_mut()
            .flat_map(|batch| &mut batch.requests);
        let beside = requests.filter_map(|(_, pending)| pending.beside.as_mut());
        beside.for_each(|due| *due = now);
    }

    /// Number of entries that were sent at least once.
    pub fn retrying(&self) -> usize {
        let sent = self.all().filter(|(_, pending)| pending.tries > 0);
        sent.map(|(_, pending)| pending.entries()).sum()
    }

    fn batch_at(&self, id: RequestId) -> usize {
        (id.batch - self.first) as usize
    }

    /// Returns a request, which must be in flight.
    pub fn request(&self, id: RequestId) -> &PendingRequest {
        let requests = &self.batch(id).requests;
        let found = requests.iter().find(|(own, _)| *own == id.request);
        &found.expect("in flight until it is completed").1
    }

    /// Returns a request for changing it.
    pub fn request_mut(&mut self, id: RequestId) -> &mut PendingRequest {
        let at = self.batch_at(id);
        let mut requests = self.batches[at].requests.iter_mut();
        let found = requests.find(|(own, _)| *own == id.request);
        &mut found.expect("in flight until it is completed").1
    }

    /// The batch of a request.
    pub fn batch(&self, id: RequestId) -> &InFlightBatch {
        &self.batches[self.batch_at(id)]
    }

    /// Removes a request whose entries have their fate.
    pub fn complete(&mut self, id: RequestId) -> PendingRequest {
        self.replace(id, Vec::new()).0
    }

    /// Replaces a request by others. Returns it, and the ids of the others.
    pub fn replace(
        &mut self,
        id: RequestId,
        instead: Vec<PendingRequest>,
    ) -> (PendingRequest, Vec<RequestId>) {
        let instead = self.numbered(instead);
        let names = instead.iter().map(|(request, _)| RequestId {
            request: *request,
            ..id
        });
        let names: Vec<_> = names.collect();
        let batch = self.batch_at(id);
        let requests = &mut self.batches[batch].requests;
        let at = requests.iter().position(|(own, _)| *own == id.request);
        let at = at.expect("in flight until it is completed");
        let (_, gone) = requests.remove(at);
        requests.splice(at..at, instead);
        self.suspects -= usize::from(gone.beside.is_some());
        let labels = &gone.request.labels;
        if self.streams.contains_key(labels) && !self.has(labels) {
            // Nothing of it is left that could come back for its turn.
            let stream = self.streams.get_mut(labels);
            if let Some(stream) = stream.filter(|stream| stream.given_up) {
                stream.suspended = None;
            } else {
                self.streams.remove(labels);
            }
        }
        (gone, names)
    }

    /// Undoes a tentative split: restores the whole request in place of its pieces, of which only this
    /// one was sent.
    pub fn undo_split(&mut self, id: RequestId) {
        let batch = self.batch_at(id);
        if let Some((whole, others)) = self.request_mut(id).whole.take() {
            let is_other = |own: u64| others.iter().any(|other| other.request == own);
            self.batches[batch]
                .requests
                .retain(|(own, _)| !is_other(*own));
            let pending = self.request_mut(id);
            (pending.request, pending.ends) = *whole;
        }
    }

    /// Whether a request of this stream is in flight.
    fn has(&self, labels: &Labels) -> bool {
        self.all()
            .any(|(_, pending)| *pending.request.labels == *labels)
    }

    /// Whether more than one stream is in flight.
    pub fn has_several_streams(&self) -> bool {
        let mut labels = self.all().map(|(_, pending)| &pending.request.labels);
        let first = labels.next();
        labels.any(|labels| Some(labels) != first)
    }

    /// Whether a configuration fault keeps something from being delivered.
    pub fn has_fault(&self) -> bool {
        self.all().any(|(_, pending)| pending.faulty)
    }

    /// Removes and returns the first batch if it is complete.
    pub fn next_completed(&mut self) -> Option<InFlightBatch> {
        let done = self
            .batches
            .pop_front_if(|batch| batch.requests.is_empty())?;
        self.first += 1;
        Some(done)
    }
}
