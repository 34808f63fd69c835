//! Adjusts entries that bring their own timestamps to two rules of Loki's.
//!
//! Loki merges equal entries with equal timestamps in a stream (`pkg/chunkenc/unordered.go`), and
//! refuses entries more than an hour behind the newest of their stream (`pkg/ingester/stream.go`). Above
//! the rate at which Loki shards a stream, a 204 can hide that refusal, unless such entries travel in a
//! request of their own.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::batch::StreamGroup;
use crate::entry::Chunk;
use crate::entry::labels::Labels;

/// How far behind the newest entry of a stream Loki accepts others, in nanoseconds
/// (`max_chunk_age` / 2).
const WINDOW: i64 = 3_600_000_000_000;

/// The number of recent entries that are remembered across batches and streams (up to twice as many
/// are, in 2.2 MiB). An entry that repeats later, with the same timestamp, is merged by Loki.
const HISTORY: usize = 48 * 1024;

/// Maximum number of entries at one time whose texts are compared, instead of looking one up among all
/// that were sent.
const COMPARED: usize = 8;

/// The state that is kept from batch to batch.
#[derive(Debug, Default)]
pub struct TimestampDedup {
    newest: HashMap<Arc<Labels>, Newest, RandomState>,
    sent: RecentEntries,
    hasher: RandomState,
}

/// The newest entry of a stream.
#[derive(Debug, Default, Clone, Copy)]
struct Newest {
    /// The timestamp it brought.
    given: i64,
    /// The timestamp it was shifted to.
    moved: i64,
    /// The latest timestamp of all entries sent.
    latest: i64,
}

impl TimestampDedup {
    /// Shifts equal entries apart by a nanosecond each, and moves those more than an hour behind what was
    /// sent before into groups of their own, which come first. Entries are sorted by time before and
    /// after, and those that followed a shifted entry at its time still follow it, even in a later batch.
    pub fn settle(&mut self, groups: Vec<StreamGroup>, chunks: &[Arc<Chunk>]) -> Vec<StreamGroup> {
        let mut settled = Vec::with_capacity(groups.len());
        for mut group in groups {
            let before = self.newest.get(&group.labels).copied().unwrap_or_default();
            let newest = self.move_apart(&mut group, before, chunks);
            self.newest.insert(Arc::clone(&group.labels), newest);
            let window = before.moved - WINDOW;
            let late = group.times.partition_point(|time| *time < window);
            if late > 0 && late < group.places.len() {
                let rest = StreamGroup {
                    labels: Arc::clone(&group.labels),
                    places: group.places.split_off(late),
                    times: group.times.split_off(late),
                    ..group
                };
                settled.extend([group, rest]);
            } else {
                settled.push(group);
            }
        }
        settled
    }

    /// Sets the time of each entry, and returns the newest entry of the stream, which was `before`.
    fn move_apart(
        &mut self,
        group: &mut StreamGroup,
        before: Newest,
        chunks: &[Arc<Chunk>],
    ) -> Newest {
        let stream = self.hasher.hash_one(&group.labels);
        let (mut newest, mut reached) = (before, i64::MIN);
        // Where the entries with the latest time begin, if all that were sent with it are here.
        let mut begin = None;
        let text_of = |(chunk, at): (u32, u32)| chunks[chunk as usize].text(at as usize);
        group.times.reserve_exact(group.places.len());
        for (n, &place) in group.places.iter().enumerate() {
            let time = chunks[place.0 as usize].time(place.1 as usize);
            let text = text_of(place);
            let line = self.hasher.hash_one((stream, text));
            let key = |time: i64| line ^ time as u64;
            if time >= before.given {
                reached = reached.max(before.moved);
            }
            let is_new = time > newest.latest;
            if is_new {
                begin = Some(n);
            }
            let is_free = is_new
                || begin.is_some_and(|begin| {
                    let mut others = group.places[begin..n].iter();
                    time == newest.latest
                        && others.len() <= COMPARED
                        && others.all(|&other| text_of(other) != text)
                });
            let moved = if is_free {
                self.sent.remember(key(time), time.saturating_add(1));
                time
            } else {
                begin = None;
                self.sent.first_free(time.max(reached), key)
            };
            reached = moved;
            newest.latest = newest.latest.max(moved);
            if time >= newest.given {
                newest.given = time;
                newest.moved = newest.moved.max(moved);
            }
            group.times.push(moved);
        }
        newest
    }
}

/// The most recent entries by hash, each with the next timestamp to try, since its own is taken. A
/// collision costs an entry a needless nanosecond.
#[derive(Debug, Default)]
struct RecentEntries {
    /// The last ones, at most [`HISTORY`].
    recent: Generation,
    /// The ones before: those that come again become recent.
    older: Generation,
}

/// Entries in the order in which they were sent. They are only indexed when one is looked up, which
/// entries in order of time never need.
#[derive(Debug, Default)]
struct Generation {
    index: HashMap<u64, i64, RandomState>,
    added: Vec<(u64, i64)>,
}

impl Generation {
    fn len(&self) -> usize {
        self.index.len() + self.added.len()
    }

    fn index(&mut self) -> &mut HashMap<u64, i64, RandomState> {
        self.index.extend(self.added.drain(..));
        self.added.shrink_to(64);
        &mut self.index
    }

    fn clear(&mut self) {
        self.index.clear();
        self.added.clear();
    }
}

impl RecentEntries {
    /// Returns and remembers the first timestamp from `time` on with which this entry was not sent.
    /// `key` returns the hash of the entry at a timestamp.
    fn first_free(&mut self, time: i64, key: impl Fn(i64) -> u64) -> i64 {
        let mut free = time;
        while let Some(next) = self.next(key(free)) {
            // The largest timestamp cannot be shifted.
            if next == free {
                return free;
            }
            free = next;
        }
        let next = free.saturating_add(1);
        self.remember(key(free), next);
        // Skips ahead, so that many equal entries at one time do not make this quadratic.
        if free > time {
            self.remember(key(time), next);
        }
        free
    }

    /// The timestamp to try after that of an entry, if it was sent.
    fn next(&mut self, key: u64) -> Option<i64> {
        if let Some(next) = self.recent.index().get(&key) {
            return Some(*next);
        }
        let next = self.older.index().remove(&key)?;
        self.remember(key, next);
        Some(next)
    }

    fn remember(&mut self, key: u64, next: i64) {
        if self.recent.len() >= HISTORY {
            std::mem::swap(&mut self.recent, &mut self.older);
            self.recent.clear();
        }
        self.recent.added.push((key, next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_a_bound_and_what_comes_again_stays() {
        let mut sent = RecentEntries::default();
        let often = |time: i64| time as u64;
        for n in 0..3 * HISTORY as i64 {
            let once = |time: i64| (1 << 63) | (n << 20 | time) as u64;
            assert_eq!(sent.first_free(7, once), 7);
            if n % 100 == 0 {
                assert_eq!(sent.first_free(7, often), 7 + n / 100);
            }
        }
        assert!(sent.recent.len() <= HISTORY && sent.older.len() <= HISTORY);
    }

    #[test]
    fn at_the_end_of_all_time_nothing_is_moved_on() {
        let mut sent = RecentEntries::default();
        for expected in [i64::MAX - 1, i64::MAX, i64::MAX, i64::MAX] {
            assert_eq!(sent.first_free(i64::MAX - 1, |time| time as u64), expected);
        }
    }
}
