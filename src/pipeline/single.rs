//! Entries handed in one by one, by threads that must not wait: what the library needs of the
//! pipeline beyond what sources do.
//!
//! Knows how single entries share a chunk, and how a flush is asked for. Knows nothing of who logs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::clock::now;
use super::{Intake, Pipeline};
use crate::entry::{Chunk, Entry, UNSTAMPED};
use crate::labels::Labels;
use crate::ledger::Fate;
use crate::queue::{Denied, Pop};

/// A chunk that holds so many bytes takes no more single entries.
const FULL: usize = 64 * 1024;

impl Intake {
    /// Hands one entry in; it is stamped if it has no time. Without room it is dropped, unless the
    /// caller `waits`.
    ///
    /// It joins the chunk that waits for the batch thread: a few copied bytes under a lock that
    /// nobody holds for longer than that.
    pub fn push_single(&self, labels: &Arc<Labels>, entry: Entry<'_>, waits: bool) {
        self.ledger.read(1, 0, entry.line.len());
        let now = (entry.time == UNSTAMPED).then(now);
        let pushed = self.chunks.merge(
            entry.cost(),
            || waits,
            |newest| {
                self.singles.fetch_add(1, Ordering::Relaxed);
                // Stamped under the queue's lock, so that stamps rise along the queue.
                let time = now.map_or(entry.time, |now| self.clock.one(now));
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
        self.ledger.settle(1, Fate::Dropped(why), false);
    }
}

impl Pipeline {
    /// Sends at once what was handed in one by one, and waits until all of that is settled: true
    /// if it was before `until`.
    pub fn flush(&self, until: Instant) -> bool {
        let handed_in = self.intake.singles.load(Ordering::Relaxed);
        let bell = self.backlog.settlement().bell(handed_in);
        self.chunks.kick();
        bell.pop(Some(until)) == Pop::Ended
    }

    /// How many batches left for shipping.
    pub fn batches(&self) -> u64 {
        self.backlog.settlement().shipments()
    }
}

fn put(chunk: &mut Chunk, labels: &Arc<Labels>, time: i64, entry: Entry<'_>) {
    let stream = chunk.stream(labels);
    chunk.push(stream, time, 0, |text| {
        text.push_str(entry.line);
        text.push_str(entry.metadata);
        entry.metadata.len()
    });
}
