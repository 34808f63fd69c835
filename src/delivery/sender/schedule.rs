//! The requests in flight, and which of them may be sent next. Pure; told the time.
//!
//! Batches go one after another, and within a stream so do requests. What must not hold up the
//! others steps out of that order: a stream that Loki has no room for, a stream that alone is
//! answered badly, and a single entry that is suspected to be the reason. Batches are completed in
//! order all the same, so a checkpoint never moves past an entry that still waits.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bad_entry::{Answers, Evidence, Verdict};
use crate::delivery::queue::QueuedBatch;
use crate::entry::labels::Labels;
use crate::entry::request::Request;

/// How long a stream beyond Loki's limit of active streams is retried.
pub const NO_ROOM_RETRIED_FOR: Duration = Duration::from_mins(1);

/// Number of requests of a stream that may fail in a row during the search for a bad entry. If nothing
/// of the stream succeeds, the search continues after the next wait, to limit the load.
const SEARCH: u32 = 4;

/// Maximum number of suspected entries whose streams continue without them; beyond that, streams wait.
const MAX_SUSPECTS: usize = 100;

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
    /// For each entry whether it is the last part of an entry as it was read, if some were cut to fit a
    /// limit of Loki's.
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

/// The state of a stream in trouble.
#[derive(Debug, Default)]
struct Stream {
    /// When its requests began to fail, with no success since.
    failing: Option<Instant>,
    /// When a request of it last succeeded, since the first failure.
    passed: Option<Instant>,
    /// Whether the last request that was sent in order succeeded.
    passes: bool,
    /// Number of requests in a row that failed in a search for a bad entry.
    failures: u32,
    /// Until when it is suspended.
    suspended: Option<Suspended>,
    /// Whether its time has run out: each of its requests is sent once more.
    given_up: bool,
}

#[derive(Debug, Clone, Copy)]
enum Suspended {
    /// Beyond Loki's limit of active streams.
    NoRoom { since: Instant, due: Instant },
    /// Its requests fail while others succeed.
    Failing { due: Instant },
}

impl Suspended {
    fn due(self) -> Instant {
        match self {
            Self::NoRoom { due, .. } | Self::Failing { due } => due,
        }
    }
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

    /// Replaces a request by its halves, to search for a bad entry. They are placed after all other parts
    /// of the search, so that all parts of one size are sent before smaller ones, and a success shows
    /// early that the stream works.
    pub fn search_halves(&mut self, id: RequestId, halves: Vec<PendingRequest>, now: Instant) {
        let batch = self.batch_at(id);
        let whole = self.request(id);
        let (labels, searched) = (Arc::clone(&whole.request.labels), whole.searched);
        let faulty = whole.faulty;
        let is_part = |pending: &PendingRequest| {
            pending.request.labels == labels && pending.searched == searched && searched.is_some()
        };
        let mut halves = self.numbered(halves);
        for (_, half) in &mut halves {
            half.searched = Some(searched.unwrap_or(now));
            half.faulty = faulty;
        }
        let requests = &mut self.batches[batch].requests;
        let own = requests.iter().position(|(own, _)| *own == id.request);
        let last = requests.iter().rposition(|(_, pending)| is_part(pending));
        let at = last.or(own).expect("in flight until it is completed") + 1;
        requests.splice(at..at, halves);
        self.complete(id);
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

    /// Whether no stream is suspended for the limit of active streams.
    pub fn all_have_room(&self) -> bool {
        let mut streams = self.streams.values();
        !streams.any(|stream| {
            stream.given_up || matches!(stream.suspended, Some(Suspended::NoRoom { .. }))
        })
    }

    /// Suspends a stream beyond the limit of active streams until `due`, or until its time is over.
    /// Returns false when it is over: then its requests are to be given up, one by one.
    pub fn suspend_without_room(
        &mut self,
        labels: &Arc<Labels>,
        now: Instant,
        due: Instant,
    ) -> bool {
        let stream = self.streams.entry(Arc::clone(labels)).or_default();
        if stream.given_up {
            return false;
        }
        let since = match stream.suspended {
            Some(Suspended::NoRoom { since, .. }) => since,
            _ => now,
        };
        if now.duration_since(since) < NO_ROOM_RETRIED_FOR {
            let due = due.min(since + NO_ROOM_RETRIED_FOR);
            stream.suspended = Some(Suspended::NoRoom { since, due });
            return true;
        }
        stream.suspended = None;
        stream.given_up = true;
        false
    }

    /// Ends the suspension of a stream.
    pub fn resume(&mut self, labels: &Labels) {
        if let Some(stream) = self.streams.get_mut(labels) {
            (stream.suspended, stream.given_up) = (None, false);
        }
    }

    /// Suspends a stream whose requests fail while others succeed.
    pub fn suspend(&mut self, labels: &Arc<Labels>, due: Instant) {
        let stream = self.streams.entry(Arc::clone(labels)).or_default();
        stream.suspended = Some(Suspended::Failing { due });
    }

    /// Whether a request of any stream has succeeded since this one began to fail.
    pub fn others_pass(&self, labels: &Labels) -> bool {
        let stream = self.streams.get(labels);
        let failing = stream.and_then(|stream| stream.failing);
        failing.is_some_and(|since| self.passed >= Some(since))
    }

    /// Records that a request succeeded, or was at least understood by Loki, so that its stream works
    /// again. Must be called before the request is completed.
    pub fn passed(&mut self, id: RequestId, now: Instant) {
        self.passed = Some(now);
        if self.streams.is_empty() {
            return;
        }
        let pending = self.request(id);
        let labels = Arc::clone(&pending.request.labels);
        // A request that succeeds unchanged was not the reason for the bad answers it received.
        let refuted = pending.answers.status();
        let is_suspect = pending.beside.is_some();
        if let Some(stream) = self.streams.get_mut(&labels) {
            stream.given_up = false;
            if !is_suspect {
                (stream.suspended, stream.failing) = (None, None);
                (stream.passes, stream.failures) = (true, 0);
                stream.passed = Some(now);
            }
        }
        if let Some(status) = refuted {
            let requests = self
                .batches
                .iter_mut()
                .flat_map(|batch| &mut batch.requests);
            let same = requests.filter(|(_, pending)| pending.answers.status() == Some(status));
            same.for_each(|(_, pending)| pending.answers = Answers::default());
        }
        let stream = self.streams.get(&labels);
        let is_over = stream.is_some_and(|stream| stream.failing.is_none());
        let is_searched = self.all().any(|(own, pending)| {
            let answered_badly = pending.searched.is_some() || pending.answers.status().is_some();
            own != id && pending.request.labels == labels && answered_badly
        });
        if is_over && !is_searched {
            self.streams.remove(&labels);
        }
    }

    /// Records an answer that may be due to the content of the request, and decides the consequence.
    /// `began` is when the request was sent. With `hurry` the search for a bad entry begins at once.
    /// `longest` is the longest wait between retries.
    pub fn answered_badly(
        &mut self,
        id: RequestId,
        status: u16,
        (began, now): (Instant, Instant),
        longest: Duration,
        hurry: bool,
    ) -> Verdict {
        let labels = Arc::clone(&self.request(id).request.labels);
        let others = self.all().filter(|(own, pending)| {
            *own != id && pending.beside.is_none() && pending.request.labels == labels
        });
        let is_last = others.count() == 0;
        let has_room = self.suspects < MAX_SUSPECTS;

        let mut stream = self.streams.remove(&labels).unwrap_or_default();
        let pending = self.request_mut(id);
        pending.answers.add(status, now);
        let answers = pending.answers;
        let (entries, searched) = (pending.entries(), pending.searched);
        let is_beside = pending.beside.is_some();
        if !is_beside {
            stream.failing.get_or_insert(began);
            stream.failures += 1;
        }
        let evidence = Evidence {
            passes: stream.passes,
            passed: stream.passed,
            is_last,
            searched,
            convincing: self.convincing,
        };
        let begun = searched.is_some() || answers.are_convincing(now, self.convincing);
        let goes_on = stream.failures <= if hurry { SEARCH / 2 } else { SEARCH };
        let verdict = if entries > 1 {
            if (begun || hurry) && goes_on {
                Verdict::Halve
            } else {
                Verdict::Wait
            }
        } else if answers.convict(now, &evidence) {
            Verdict::Refuse(answers)
        } else if is_beside || (begun || hurry && !is_last) && goes_on && has_room {
            let wait = answers.until_next(&evidence, longest);
            let pending = self.request_mut(id);
            pending.searched.get_or_insert(now);
            pending.beside = Some(now + wait);
            self.suspects += usize::from(!is_beside);
            if is_last && !evidence.passes {
                // Nothing else shows that the stream works.
                Verdict::Wait
            } else {
                Verdict::Beside {
                    progress: evidence.holds(&answers),
                }
            }
        } else {
            Verdict::Wait
        };
        if matches!(verdict, Verdict::Wait | Verdict::Halve) {
            // A request that was sent in order failed, perhaps not because of one entry.
            stream.passes = false;
        }
        if verdict == Verdict::Wait {
            stream.failures = 0;
        }
        self.streams.insert(labels, stream);
        verdict
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

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
