//! Pushing single entries and flushing, which only the library needs: its callers must not wait.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::entry::labels::Labels;
use crate::entry::{Chunk, Entry, UNSTAMPED};
use crate::pipeline::Pipeline;
use crate::process::clock::{Clock, now};
use crate::report::counters::{Counters, Fate};
use crate::report::messages::Reporter;
use crate::sync::queue::{ByteQueue, Denied, Pop};

/// The size in bytes at which a chunk accepts no more single entries.
const FULL: usize = 64 * 1024;

/// Pushes single entries. Clones share it.
#[derive(Clone)]
pub struct SingleSender {
    chunks: ByteQueue<Chunk>,
    /// Number of entries pushed, in the order of the queue.
    pushed: Arc<AtomicU64>,
    clock: Clock,
    counters: Arc<Counters>,
}

impl SingleSender {
    /// Creates a sender for a queue.
    pub fn new(chunks: ByteQueue<Chunk>, counters: &Arc<Counters>, reporter: Reporter) -> Self {
        Self {
            chunks,
            pushed: Arc::default(),
            clock: Clock::new(reporter),
            counters: Arc::clone(counters),
        }
    }

    /// Pushes one entry, and gives it a timestamp if it has none. If there is no room it is dropped,
    /// unless the caller `waits`.
    ///
    /// It is appended to the chunk that waits for the batch thread: a few bytes are copied under a
    /// lock that is never held for longer than that.
    pub fn push_single(&self, labels: &Arc<Labels>, entry: Entry<'_>, waits: bool) {
        self.counters.read(1, 0, entry.line.len());
        let came = (entry.time == UNSTAMPED).then(now);
        let waited = Cell::new(false);
        let pushed = self.chunks.push_or_merge(
            entry.cost(),
            || {
                waited.set(true);
                waits
            },
            |newest| {
                self.pushed.fetch_add(1, Ordering::Relaxed);
                // The timestamp is given under the queue's lock, so that timestamps rise along the
                // queue. After a wait for room, `now` may be older than the last timestamp, as if the
                // clock had been set back.
                let time = came.map_or(entry.time, |came| {
                    self.clock.one(if waited.get() { now() } else { came })
                });
                if let Some(chunk) = newest.filter(|chunk| chunk.bytes() < FULL) {
                    put(chunk, labels, time, entry);
                    return None;
                }
                let mut chunk = Chunk::new(None, Instant::now());
                put(&mut chunk, labels, time, entry);
                Some(chunk)
            },
        );
        let why = match pushed {
            Ok(()) => return,
            Err(Denied::Full(())) => "buffer full",
            Err(Denied::Gone(())) => "stopped",
        };
        self.counters.settle(1, Fate::Dropped(why), false);
    }
}

impl Pipeline {
    /// Sends all pushed entries at once and waits until their outcome is known. Returns false if it is
    /// not known at `until`.
    pub fn flush(&self, until: Instant) -> bool {
        let handed_in = self.singles.pushed.load(Ordering::Relaxed);
        let barrier = self.backlog.settlement().barrier(handed_in);
        self.chunks.wake_all();
        barrier.pop(Some(until)) == Pop::Ended
    }

    /// Number of batches that were passed on to the sender.
    pub fn batches(&self) -> u64 {
        self.backlog.settlement().batches()
    }
}

fn put(chunk: &mut Chunk, labels: &Arc<Labels>, time: i64, entry: Entry<'_>) {
    let stream = chunk.stream(labels);
    chunk.push(stream, time, 0, &[entry.line], entry.metadata);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::messages::Verbosity;
    use crate::sync::shutdown::Shutdown;
    use std::time::Duration;

    #[test]
    fn a_caller_that_waited_for_room_gets_no_stamp_from_before_others() {
        let chunks = ByteQueue::new(1);
        let (stop, counters) = (Arc::new(Shutdown::new()), Arc::new(Counters::new()));
        let reporter = Reporter::new(Verbosity::Silent);
        let intake = SingleSender::new(chunks.clone(), &counters, reporter);
        let labels = Arc::new(Labels::new([("app", "x")]));
        let entry = Entry {
            time: UNSTAMPED,
            line: "line",
            metadata: "",
        };
        intake.push_single(&labels, entry, true);
        std::thread::scope(|scope| {
            scope.spawn(|| intake.push_single(&labels, entry, true));
            // Longer than the clock may slip without being followed.
            let later = Instant::now() + Duration::from_millis(1_100);
            stop.wait(Some(later), stop.state());
            let between = intake.clock.one(now());
            assert!(matches!(chunks.pop(None), Pop::Item(_)));
            let Pop::Item(chunk) = chunks.pop(None) else {
                panic!("the other is gone");
            };
            assert!(chunk.entry(0).time > between);
        });
    }
}
