//! Entries that bring their own times: what must be seen to before they leave.
//!
//! Knows Loki's two rules on times within a stream. Equal entries at an equal time are one to Loki
//! (contract, trap T10), and an entry over an hour behind the newest of its stream is refused, which
//! a 204 can hide above the sharding rate unless it travels in a request of its own (T16).

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::Group;
use crate::entry::{Chunk, Entry};
use crate::labels::Labels;

/// How far behind the newest entry of a stream Loki takes others, in nanoseconds
/// (`max_chunk_age` / 2).
const WINDOW: i64 = 3_600_000_000_000;

/// How many entries are remembered from batch to batch, of all streams: at most 2 MiB. Equal
/// entries at an equal time with more than these between them would be one to Loki.
const REMEMBERED: usize = 64 * 1024;

/// What is remembered from batch to batch.
#[derive(Debug, Default)]
pub struct Dated {
    /// The newest time of each stream.
    newest: HashMap<Arc<Labels>, i64>,
    sent: Sent,
    hasher: RandomState,
}

impl Dated {
    /// Moves equal entries apart by a nanosecond each, and parts those that are over an hour behind
    /// what was sent before; they come first. Entries ascend by time before and after.
    pub fn settle(&mut self, groups: Vec<Group>, chunks: &[Arc<Chunk>]) -> Vec<Group> {
        let mut settled = Vec::with_capacity(groups.len());
        for mut group in groups {
            self.move_apart(&mut group, |&(chunk, at)| {
                chunks[chunk as usize].entry(at as usize)
            });
            let latest = group.times.last().copied().unwrap_or(i64::MIN);
            let newest = self.newest.entry(Arc::clone(&group.labels)).or_default();
            let before = std::mem::replace(newest, latest.max(*newest));
            let late = group.times.partition_point(|time| *time < before - WINDOW);
            if late > 0 && late < group.places.len() {
                let rest = Group {
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

    fn move_apart<'a>(&mut self, group: &mut Group, entry: impl Fn(&(u32, u32)) -> Entry<'a>) {
        let stream = self.hasher.hash_one(&group.labels);
        // The lines of this group at the time that was reached.
        let (mut current, mut lines) = (i64::MIN, HashSet::new());
        for place in &group.places {
            let entry = entry(place);
            let line = self.hasher.hash_one((stream, entry.line, entry.metadata));
            let mut time = entry.time.max(current);
            loop {
                if time > current {
                    current = time;
                    lines.clear();
                }
                let key = self.hasher.hash_one((line, time));
                if lines.insert(line) && self.sent.put(key) {
                    break;
                }
                time += 1;
            }
            group.times.push(time);
        }
    }
}

/// The last entries, by a number that hardly any two share: one that is moved on for nothing loses
/// a nanosecond.
#[derive(Debug, Default)]
struct Sent {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Sent {
    /// Remembers an entry; false if it is known already.
    fn put(&mut self, key: u64) -> bool {
        if !self.known.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut sent = Sent::default();
        let most = REMEMBERED as u64;
        assert!((0..=most).all(|key| sent.put(key)));
        assert!(!sent.put(most), "known");
        assert!(sent.put(0), "the oldest was forgotten");
        assert_eq!(
            (sent.known.len(), sent.order.len()),
            (REMEMBERED, REMEMBERED)
        );
    }
}
