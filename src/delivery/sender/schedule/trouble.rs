//! Streams in trouble: which ones step out of the order, and the search for the entry that may be the
//! reason.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{InFlight, PendingRequest, RequestId};
use crate::delivery::sender::bad_entry::{Answers, Evidence, Verdict};
use crate::entry::labels::Labels;

/// How long a stream beyond Loki's limit of active streams is retried.
pub const NO_ROOM_RETRIED_FOR: Duration = Duration::from_mins(1);

/// Number of requests of a stream that may fail in a row during the search for a bad entry. If nothing
/// of the stream succeeds, the search continues after the next wait, to limit the load.
const SEARCH: u32 = 4;

/// Maximum number of suspected entries whose streams continue without them; beyond that, streams wait.
const MAX_SUSPECTS: usize = 100;

/// The state of a stream in trouble.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// When its requests began to fail, with no success since.
    failing: Option<Instant>,
    /// When a request of it last succeeded, since the first failure.
    passed: Option<Instant>,
    /// Whether the last request that was sent in order succeeded.
    passes: bool,
    /// Number of requests in a row that failed in a search for a bad entry.
    failures: u32,
    /// Until when it is suspended.
    pub(super) suspended: Option<Suspended>,
    /// Whether its time has run out: each of its requests is sent once more.
    pub(super) given_up: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Suspended {
    /// Beyond Loki's limit of active streams.
    NoRoom { since: Instant, due: Instant },
    /// Its requests fail while others succeed.
    Failing { due: Instant },
}

impl Suspended {
    pub(super) fn due(self) -> Instant {
        match self {
            Self::NoRoom { due, .. } | Self::Failing { due } => due,
        }
    }
}

impl InFlight {
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
}
