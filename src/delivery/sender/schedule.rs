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

/// Requests of a stream that may fail in a row while a bad entry is searched for. Where nothing of
/// the stream passes, the search would only be load: it continues after the next wait.
const SEARCH: u32 = 4;

/// Suspected entries of which so many wait beside their streams; beyond that streams wait for them.
const MAX_SUSPECTS: usize = 100;

/// Names a request as long as it is in flight.
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
    /// Which entries end an entry as it was read, where some were cut to fit a limit of Loki's.
    pub ends: Option<Vec<bool>>,
    /// How often it was sent.
    pub tries: u32,
    /// When a rate limit first refused it, or what it was split from.
    pub limited: Option<Instant>,
    /// What it was split from on trial, and the other pieces of that.
    pub whole: Option<(Box<Whole>, Vec<RequestId>)>,
    /// The bad answers it got.
    pub answers: Answers,
    /// Since when a bad entry is searched for in it.
    pub searched: Option<Instant>,
    /// Whether the last answer was a configuration fault.
    pub faulty: bool,
    /// When a suspected entry is sent again, beside the rest of its stream.
    pub beside: Option<Instant>,
}

impl PendingRequest {
    /// A request that was not sent yet.
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

    /// How many entries, as they were read, have their fate with it.
    pub fn entries(&self) -> usize {
        let cut = self.ends.as_ref();
        cut.map_or(self.request.entries, |ends| {
            ends.iter().filter(|&&ends| ends).count()
        })
    }
}

/// A batch in flight: the requests that have no fate yet.
#[derive(Debug)]
pub struct InFlightBatch {
    /// The batch, without its requests.
    pub queued: QueuedBatch,
    /// The requests without a fate, in order.
    requests: Vec<(u64, PendingRequest)>,
    /// When it was taken up.
    pub began: Instant,
    /// How many requests, entries and bytes it began with.
    pub size: (usize, usize, usize),
}

/// A stream that does not take its turn as others do.
#[derive(Debug, Default)]
struct Stream {
    /// Since when its requests fail, without one that passed.
    failing: Option<Instant>,
    /// When a request of it last passed, since the first that did not.
    passed: Option<Instant>,
    /// Whether the last answer to a request in its turn was a good one.
    passes: bool,
    /// How many requests in a row failed in a search for a bad entry.
    failures: u32,
    /// Until when it stands aside.
    suspended: Option<Suspended>,
    /// Whether it stood aside for its whole time in vain: sent once for each request.
    given_up: bool,
}

#[derive(Debug, Clone, Copy)]
enum Suspended {
    /// Beyond Loki's limit of active streams.
    NoRoom { since: Instant, due: Instant },
    /// It alone is answered badly.
    Failing { due: Instant },
}

impl Suspended {
    fn due(self) -> Instant {
        match self {
            Self::NoRoom { due, .. } | Self::Failing { due } => due,
        }
    }
}

/// What is in flight.
#[derive(Debug)]
pub struct InFlight {
    /// How long a bad answer must have come before it may be due to an entry.
    convincing: Duration,
    batches: VecDeque<InFlightBatch>,
    /// The number of the first batch; they rise by one.
    first: u64,
    next_request: u64,
    /// Streams in trouble.
    streams: HashMap<Arc<Labels>, Stream>,
    /// How many requests wait beside their streams.
    suspects: usize,
    /// When a request of any stream last passed.
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

    /// Takes a batch up, its requests as they are to be sent.
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

    /// How many batches are in flight.
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

    /// The requests that may be sent now, side by side: of the first batch that has some, the first
    /// of each stream; and of what stands aside, whatever is due.
    pub fn next_requests(&self, now: Instant) -> Vec<RequestId> {
        let mut next = Vec::new();
        // At most one of a stream is under way.
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

    /// When the next request that stands aside is due.
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

    /// Makes everything that stands aside due, for a last try.
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

    /// How many entries were sent already.
    pub fn retrying(&self) -> usize {
        let sent = self.all().filter(|(_, pending)| pending.tries > 0);
        sent.map(|(_, pending)| pending.entries()).sum()
    }

    fn batch_at(&self, id: RequestId) -> usize {
        (id.batch - self.first) as usize
    }

    /// The request of this name, which is in flight.
    pub fn request(&self, id: RequestId) -> &PendingRequest {
        let requests = &self.batch(id).requests;
        let found = requests.iter().find(|(own, _)| *own == id.request);
        &found.expect("in flight until it is completed").1
    }

    /// The request of this name, to be changed.
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

    /// Takes away a request that has its fate.
    pub fn complete(&mut self, id: RequestId) -> PendingRequest {
        self.replace(id, Vec::new()).0
    }

    /// Puts others in the place of a request; returns it, and their names.
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

    /// Puts the halves of a request in which a bad entry is searched for behind all other parts of
    /// what is searched: so that of each size all parts are sent, and what passes shows early that the
    /// stream does.
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

    /// Puts what a request was split from on trial back in the place of its pieces, none of which
    /// but this one was sent.
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

    /// Whether no stream stands aside for want of room at Loki.
    pub fn all_have_room(&self) -> bool {
        let mut streams = self.streams.values();
        !streams.any(|stream| {
            stream.given_up || matches!(stream.suspended, Some(Suspended::NoRoom { .. }))
        })
    }

    /// Suspends a stream that Loki has no room for, to be retried at `due`, or when its time is
    /// over. False when it is: then its requests are to be given up, one by one.
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

    /// A stream need not wait any longer for room at Loki.
    pub fn resume(&mut self, labels: &Labels) {
        if let Some(stream) = self.streams.get_mut(labels) {
            (stream.suspended, stream.given_up) = (None, false);
        }
    }

    /// Suspends a stream that alone is answered badly.
    pub fn suspend(&mut self, labels: &Arc<Labels>, due: Instant) {
        let stream = self.streams.entry(Arc::clone(labels)).or_default();
        stream.suspended = Some(Suspended::Failing { due });
    }

    /// Whether a request of any stream passed since this one's fail.
    pub fn others_pass(&self, labels: &Labels) -> bool {
        let stream = self.streams.get(labels);
        let failing = stream.and_then(|stream| stream.failing);
        failing.is_some_and(|since| self.passed >= Some(since))
    }

    /// Notes that a request passed, or was at least understood: its stream is in order again. Before
    /// the request is completed.
    pub fn passed(&mut self, id: RequestId, now: Instant) {
        self.passed = Some(now);
        if self.streams.is_empty() {
            return;
        }
        let pending = self.request(id);
        let labels = Arc::clone(&pending.request.labels);
        // What passed as it was got its bad answers for a reason that is not in it.
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

    /// Notes an answer that may be due to what is in the request, not to the server, and decides
    /// what follows. `began` is when the request was sent; in a `hurry` the search for a bad entry
    /// begins at once; `longest` is the longest wait between retries.
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
                // Nothing else of the stream shows that it passes.
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
            // A request in its turn failed, and it may not be for one entry.
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

    /// The next batch that is complete, in order: the first, when none of its requests is left.
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
