//! Sorts entries into batches, and decides when a batch is full or due.
//!
//! A batch holds entries of all streams and closes as a whole: the lines of one file spread over several
//! streams, and a position in it may only be acknowledged once every line before it is.

mod dedup;
pub mod encode;
pub mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::batch::dedup::TimestampDedup;
use crate::entry::labels::Labels;
use crate::entry::{Chunk, Entry, FilePositions, OVERHEAD, SLOT};

/// When a batch closes.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// The number of entries that closes a batch.
    pub entries: usize,
    /// The cost that closes a batch, in bytes (line + metadata + 64 per entry).
    pub bytes: usize,
    /// The age of the first entry that closes a batch.
    pub age: Duration,
}

/// The entries of one stream in a batch, as indices into its chunks.
#[derive(Debug)]
pub struct StreamGroup {
    /// The stream.
    pub labels: Arc<Labels>,
    places: Vec<(u32, u32)>,
    /// Timestamps that replace those of the entries; empty, or one per entry.
    times: Vec<i64>,
    latest: i64,
    ascending: bool,
}

/// A closed batch.
#[derive(Debug)]
pub struct Batch {
    /// Increases by one from batch to batch, starting with 0.
    pub number: u64,
    /// The entries by stream, in the order in which the streams first appeared.
    pub groups: Vec<StreamGroup>,
    /// The positions of the files that are reached with this batch.
    pub positions: FilePositions,
    chunks: Vec<Arc<Chunk>>,
}

impl Batch {
    /// Visits the entries of a group sorted by time, since Loki may refuse older entries that follow newer
    /// ones, and frees their memory, so that the next batch can grow meanwhile. `freed` is called with
    /// the number of bytes at each step. A chunk shared with another batch keeps its text.
    pub fn give_out(
        &mut self,
        group: usize,
        mut take: impl FnMut(&Entry<'_>),
        mut freed: impl FnMut(usize),
    ) {
        let is_last = group + 1 == self.groups.len();
        let next = self.groups.get(group + 1);
        // A stream with late entries has two groups in a row.
        let goes_on = next.is_some_and(|next| next.labels == self.groups[group].labels);
        let places = std::mem::take(&mut self.groups[group].places);
        let times = std::mem::take(&mut self.groups[group].times);
        let labels = Arc::clone(&self.groups[group].labels);
        let mut forget = |chunk: &mut Arc<Chunk>| {
            if let Some(own) = Arc::get_mut(chunk).filter(|_| !goes_on) {
                freed(own.forget(if is_last { None } else { Some(&labels) }));
            }
        };
        // Sorted entries are in no particular order in memory.
        let in_order = places.is_sorted_by_key(|(chunk, _)| *chunk);
        let mut done = 0;
        for (n, &(chunk, at)) in places.iter().enumerate() {
            let chunk = chunk as usize;
            if in_order && done < chunk {
                self.chunks[done..chunk].iter_mut().for_each(&mut forget);
                done = chunk;
            }
            let entry = self.chunks[chunk].entry(at as usize);
            let time = times.get(n).copied().unwrap_or(entry.time);
            take(&Entry { time, ..entry });
        }
        self.chunks[done..].iter_mut().for_each(forget);
    }

    /// Where each entry was read, as numbers that rise with the input, in the order of the groups.
    fn input_order(&self) -> Vec<(u32, u32)> {
        let places = self.groups.iter().flat_map(|group| &group.places);
        places.copied().collect()
    }

    /// The memory of its chunks, in bytes.
    pub fn footprint(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.footprint()).sum()
    }

    /// The number of entries of all streams.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.groups.iter().map(|group| group.places.len()).sum()
    }

    /// Whether there are no entries. Such a batch may still carry positions, after filtered lines.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.groups.iter().all(|group| group.places.is_empty())
    }
}

impl StreamGroup {
    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn put(&mut self, time: i64, place: (u32, u32)) {
        self.ascending &= time >= self.latest;
        self.latest = time;
        self.places.push(place);
    }
}

/// The open batch, and the streams in it.
#[derive(Debug)]
struct Open {
    batch: Batch,
    by_stream: HashMap<Arc<Labels>, usize, RandomState>,
    entries: usize,
    cost: usize,
    /// The memory of its chunks, in bytes.
    footprint: usize,
    since: Instant,
}

/// Sorts entries into batches.
#[derive(Debug)]
pub struct Batcher {
    limits: BatchLimits,
    open: Option<Open>,
    number: u64,
    dated: Option<TimestampDedup>,
}

impl Batcher {
    /// A batcher without an open batch; `dated` entries bring their own timestamps.
    pub fn new(limits: BatchLimits, dated: bool) -> Self {
        Self {
            limits,
            open: None,
            number: 0,
            dated: dated.then(TimestampDedup::default),
        }
    }

    /// Adds the entries of a chunk, and hands each batch that is full to `closed`.
    pub fn add(&mut self, chunk: Chunk, mut closed: impl FnMut(Batch)) {
        let chunk = Arc::new(chunk);
        let mut next = 0;
        loop {
            let taken = self.fill(&chunk, next);
            let full = self.open.as_ref().is_some_and(|open| self.is_full(open));
            if full || taken < chunk.len() {
                self.close().into_iter().for_each(&mut closed);
            }
            next = taken;
            if next == chunk.len() {
                return;
            }
        }
    }

    /// When the age of the open batch closes it.
    pub fn due(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.since + self.limits.age)
    }

    /// The number of bytes of chunks that cannot fill the open batch: until it is due, less than that may
    /// as well wait in the queue.
    pub fn patience(&self) -> usize {
        let (entries, cost) = self
            .open
            .as_ref()
            .map_or((0, 0), |open| (open.entries, open.cost));
        let entries = self.limits.entries.saturating_sub(entries);
        let bytes = self.limits.bytes.saturating_sub(cost);
        // In memory an entry takes a slot and its text; its cost is an overhead and its text.
        (entries.saturating_mul(SLOT)).min(bytes / (OVERHEAD / SLOT))
    }

    /// The memory of the chunks of the open batch, in bytes.
    pub fn footprint(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.footprint)
    }

    /// Closes the open batch.
    pub fn close(&mut self) -> Option<Batch> {
        let Open { mut batch, .. } = self.open.take()?;
        self.number += 1;
        let chunks = &batch.chunks;
        for group in batch.groups.iter_mut().filter(|group| !group.ascending) {
            group
                .places
                .sort_by_key(|&(chunk, at)| chunks[chunk as usize].time(at as usize));
        }
        if let Some(dated) = &mut self.dated {
            batch.groups = dated.settle(std::mem::take(&mut batch.groups), &batch.chunks);
        }
        Some(batch)
    }

    fn is_full(&self, open: &Open) -> bool {
        open.entries >= self.limits.entries || open.cost >= self.limits.bytes
    }

    /// Moves entries from index `from` on into the open batch until it is full or the chunk is used up.
    /// Returns the index of the first entry that is left.
    fn fill(&mut self, chunk: &Arc<Chunk>, from: usize) -> usize {
        let (limits, number) = (self.limits, self.number);
        let open = self
            .open
            .get_or_insert_with(|| Open::new(number, chunk.read_at));
        let place = open.batch.chunks.len() as u32;
        open.batch.chunks.push(Arc::clone(chunk));
        open.footprint += chunk.footprint();
        let groups: Vec<usize> = chunk.streams().map(|labels| open.group(labels)).collect();
        let mut at = from;
        while at < chunk.len() {
            let cost = chunk.cost(at);
            // An entry that would exceed the limit waits for the next batch, unless it is the first.
            let is_full = open.entries >= limits.entries
                || (open.entries > 0 && open.cost + cost > limits.bytes);
            if is_full && !chunk.goes_on(at) {
                break;
            }
            open.batch.groups[groups[chunk.stream_of(at)]].put(chunk.time(at), (place, at as u32));
            open.entries += 1;
            open.cost += cost;
            at += 1;
        }
        // If no entry was taken of a chunk that has some, the position before `from` is set already.
        if (at > from || chunk.is_empty())
            && let Some(mark) = chunk.mark_after(at)
        {
            open.batch.positions.put(mark);
        }
        at
    }
}

impl Open {
    fn new(number: u64, since: Instant) -> Self {
        let batch = Batch {
            number,
            groups: Vec::new(),
            positions: FilePositions::default(),
            chunks: Vec::new(),
        };
        Self {
            batch,
            by_stream: HashMap::default(),
            entries: 0,
            cost: 0,
            footprint: 0,
            since,
        }
    }

    fn group(&mut self, labels: &Arc<Labels>) -> usize {
        if let Some(&known) = self.by_stream.get(labels) {
            return known;
        }
        let new = self.batch.groups.len();
        self.batch.groups.push(StreamGroup {
            labels: Arc::clone(labels),
            places: Vec::new(),
            times: Vec::new(),
            latest: i64::MIN,
            ascending: true,
        });
        self.by_stream.insert(Arc::clone(labels), new);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::FilePosition;
    use crate::random::Random;
    use std::cell::Cell;
    use std::collections::HashSet;

    fn limits(entries: usize, bytes: usize) -> BatchLimits {
        BatchLimits {
            entries,
            bytes,
            age: Duration::from_secs(1),
        }
    }

    /// A chunk of lines, each with the stream named; marks are the place behind each line.
    fn chunk(lines: &[(&str, &str)], at: Instant) -> Chunk {
        let mut chunk = Chunk::new(Some(0), at);
        for (n, (stream, line)) in lines.iter().enumerate() {
            let stream = chunk.stream(&Arc::new(Labels::new([("app", *stream)])));
            chunk.push(stream, n as i64, n as u64 + 1, &[line], "");
        }
        chunk.read_to(lines.len() as u64 + 10);
        chunk
    }

    fn given_out(batch: &mut Batch, group: usize) -> Vec<(i64, String)> {
        let mut given = Vec::new();
        let mut give = |entry: &Entry<'_>| given.push((entry.time, entry.line.to_owned()));
        batch.give_out(group, &mut give, |_| {});
        given
    }

    fn lines(mut batch: Batch) -> Vec<(String, Vec<String>)> {
        let name = |group: &StreamGroup| group.labels.get("app").unwrap_or("").to_owned();
        let names: Vec<_> = batch.groups.iter().map(name).collect();
        let given = |(at, name)| {
            let given = given_out(&mut batch, at);
            (name, given.into_iter().map(|(_, line)| line).collect())
        };
        names.into_iter().enumerate().map(given).collect()
    }

    fn add(batcher: &mut Batcher, chunk: Chunk) -> Vec<Batch> {
        let mut batches = Vec::new();
        batcher.add(chunk, |batch| batches.push(batch));
        batches
    }

    #[test]
    fn a_batch_holds_all_streams_and_closes_as_a_whole() {
        let now = Instant::now();
        let mut batcher = Batcher::new(limits(4, 1 << 20), false);
        let mut closed = add(
            &mut batcher,
            chunk(
                &[("a", "1"), ("b", "2"), ("a", "3"), ("a", "4"), ("b", "5")],
                now,
            ),
        );
        assert_eq!(closed.len(), 1);
        assert_eq!(
            closed[0].positions,
            [FilePosition {
                file: 0,
                offset: 4,
                time: None
            }]
            .into_iter()
            .collect()
        );
        assert_eq!(
            lines(closed.remove(0)),
            [
                ("a".into(), vec!["1".into(), "3".into(), "4".into()]),
                ("b".into(), vec!["2".into()])
            ]
        );
        let rest = batcher.close().unwrap();
        assert_eq!((rest.number, rest.len()), (1, 1));
        assert_eq!(
            rest.positions,
            [FilePosition {
                file: 0,
                offset: 15,
                time: None,
            }]
            .into_iter()
            .collect()
        );
        assert!(batcher.close().is_none());
    }

    /// What the text of a batch takes.
    fn held(batch: &Batch) -> usize {
        batch.chunks.iter().map(|chunk| chunk.bytes()).sum()
    }

    #[test]
    fn what_a_group_took_is_given_back_and_the_others_stay() {
        let mut batcher = Batcher::new(limits(4, 1 << 20), false);
        let input = [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4"), ("b", "5")];
        let mut chunks = chunk(&[("a", "0")], Instant::now());
        // The same labels, as one source gives them to all of its chunks.
        let labels: Vec<_> = chunks.streams().cloned().collect();
        assert!(add(&mut batcher, chunks).is_empty());
        chunks = chunk(&[], Instant::now());
        for (mark, (name, line)) in input.into_iter().enumerate() {
            let own = Arc::new(Labels::new([("app", name)]));
            let known = labels.iter().find(|known| **known == own);
            let stream = chunks.stream(known.unwrap_or(&own));
            chunks.push(stream, 0, mark as u64, &[line], "");
        }
        let mut first = add(&mut batcher, chunks).remove(0);
        assert_eq!(held(&first), 6);
        given_out(&mut first, 0);
        // The second chunk is also that of the batch which is open.
        assert_eq!(held(&first), 5);
        assert_eq!(given_out(&mut first, 1), at(&[(0, "2")]));
        let mut rest = batcher.close().unwrap();
        drop(first);
        assert_eq!(given_out(&mut rest, 0), at(&[(0, "4")]));
        assert_eq!(held(&rest), 2);
        assert_eq!(given_out(&mut rest, 1), at(&[(0, "5")]));
        assert_eq!(held(&rest), 0);
    }

    #[test]
    fn a_chunk_is_given_back_when_the_next_one_is_begun() {
        let mut batcher = Batcher::new(limits(100, 1 << 20), false);
        let labels = Arc::new(Labels::new([("app", "a")]));
        for n in 0..10 {
            let mut chunk = Chunk::new(None, Instant::now());
            let stream = chunk.stream(&labels);
            chunk.push(stream, n, 0, &["line"], "");
            assert!(add(&mut batcher, chunk).is_empty());
        }
        let mut batch = batcher.close().unwrap();
        let took = batch.footprint();
        let (mut given, freed) = (0, Cell::new((0, 0)));
        let give = |_: &Entry<'_>| {
            assert_eq!(freed.get().0, given);
            given += 1;
        };
        batch.give_out(0, give, |bytes| {
            let (chunks, so_far) = freed.get();
            freed.set((chunks + 1, so_far + bytes));
        });
        assert_eq!(given, 10);
        assert_eq!(freed.get(), (10, took - batch.footprint()));
        assert!(freed.get().1 >= 10 * (SLOT + "line".len()));
    }

    #[test]
    fn what_a_line_of_a_file_was_cut_into_stays_together() {
        let mut chunk = Chunk::new(Some(0), Instant::now());
        let stream = chunk.stream(&Arc::new(Labels::new([("app", "a")])));
        for (mark, piece) in [(5, "a"), (9, "b1"), (9, "b2"), (9, "b3"), (12, "c")] {
            chunk.push(stream, mark, mark as u64, &[piece], "");
        }
        chunk.read_to(12);
        let mut batcher = Batcher::new(limits(2, 1 << 20), false);
        let closed = add(&mut batcher, chunk);
        assert_eq!(closed.iter().map(Batch::len).collect::<Vec<_>>(), [4]);
        assert_eq!(
            closed[0].positions,
            [FilePosition {
                file: 0,
                offset: 9,
                time: None
            }]
            .into_iter()
            .collect()
        );
    }

    #[test]
    fn a_batch_is_closed_before_it_exceeds_its_size() {
        let now = Instant::now();
        let mut batcher = Batcher::new(limits(100, 2 * OVERHEAD + 20), false);
        let long = "x".repeat(500);
        let closed = add(
            &mut batcher,
            chunk(
                &[
                    ("a", "0123456789"),
                    ("a", "01234567890"),
                    ("a", &long),
                    ("a", "z"),
                ],
                now,
            ),
        );
        assert_eq!(closed.iter().map(Batch::len).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(batcher.close().map(|batch| batch.len()), Some(1));
    }

    #[test]
    fn entries_leave_ascending_by_time_and_equal_times_keep_their_order() {
        let mut chunk = Chunk::new(None, Instant::now());
        let stream = chunk.stream(&Arc::new(Labels::new([("app", "a")])));
        for (time, line) in [(5, "c"), (3, "a"), (5, "d"), (3, "b")] {
            chunk.push(stream, time, 0, &[line], "");
        }
        let mut batcher = Batcher::new(limits(10, 1 << 20), false);
        add(&mut batcher, chunk);
        let batch = batcher.close().unwrap();
        assert_eq!(lines(batch)[0].1, ["a", "b", "c", "d"]);
    }

    fn dated(batcher: &mut Batcher, entries: &[(i64, &str)]) -> Vec<Vec<(i64, String)>> {
        let mut chunk = Chunk::new(None, Instant::now());
        let stream = chunk.stream(&Arc::new(Labels::new([("app", "a")])));
        for (time, line) in entries {
            chunk.push(stream, *time, 0, &[line], "");
        }
        add(batcher, chunk);
        let mut batch = batcher.close().unwrap();
        let groups = 0..batch.groups.len();
        groups.map(|at| given_out(&mut batch, at)).collect()
    }

    fn at(entries: &[(i64, &str)]) -> Vec<(i64, String)> {
        entries
            .iter()
            .map(|(time, line)| (*time, (*line).to_owned()))
            .collect()
    }

    #[test]
    fn equal_entries_at_equal_times_are_moved_apart_and_order_is_kept() {
        let mut batcher = Batcher::new(limits(100, 1 << 20), true);
        let given = [
            (5, "x"),
            (3, "a"),
            (5, "x"),
            (5, "at x"),
            (5, "y"),
            (5, "x"),
            (6, "x"),
        ];
        let want = [
            (3, "a"),
            (5, "x"),
            (6, "x"),
            (6, "at x"),
            (6, "y"),
            (7, "x"),
            (8, "x"),
        ];
        assert_eq!(dated(&mut batcher, &given), [at(&want)]);
        // The next batch goes on where this one ended, and does not fall back behind it.
        assert_eq!(
            dated(&mut batcher, &[(8, "x"), (8, "z")]),
            [at(&[(9, "x"), (9, "z")])]
        );
        assert_eq!(dated(&mut batcher, &[(5, "x")]), [at(&[(10, "x")])]);
        // Although it came with an earlier time than the newest.
        assert_eq!(dated(&mut batcher, &[(10, "x")]), [at(&[(11, "x")])]);
        assert_eq!(dated(&mut batcher, &[(5, "w")]), [at(&[(5, "w")])]);
    }

    #[test]
    fn entries_after_a_shifted_one_stay_after_it_in_later_batches() {
        let mut batcher = Batcher::new(limits(100, 1 << 20), true);
        let equal = [(5, "x"), (5, "x"), (5, "x")];
        assert_eq!(
            dated(&mut batcher, &equal),
            [at(&[(5, "x"), (6, "x"), (7, "x")])]
        );
        let trace = [(5, "at foo"), (5, "x"), (9, "y")];
        assert_eq!(
            dated(&mut batcher, &trace),
            [at(&[(7, "at foo"), (8, "x"), (9, "y")])]
        );
    }

    #[test]
    fn no_entry_is_sent_twice_with_one_time_whatever_the_order() {
        let mut random = Random::new(3);
        for _ in 0..50 {
            let mut batcher = Batcher::new(limits(usize::MAX, usize::MAX), true);
            let mut sent = HashSet::new();
            for batch in 0..10 {
                // Mostly in order, at few times and with few texts.
                let entries: Vec<(i64, &str)> = (0..=random.below(60) as i64)
                    .map(|n| {
                        let time = batch * 4 + n / 12 - random.below(3) as i64;
                        (time, ["x", "y", "z"][random.below(3)])
                    })
                    .collect();
                for entry in dated(&mut batcher, &entries).concat() {
                    assert!(sent.insert(entry.clone()), "{entry:?}");
                }
            }
        }
    }

    #[test]
    fn any_number_of_equal_entries_at_one_time_stay_apart() {
        let mut batcher = Batcher::new(limits(usize::MAX, usize::MAX), true);
        let mut next = 7;
        for _ in 0..20 {
            let equal = vec![(7, "tick"); 10_000];
            for (time, _) in dated(&mut batcher, &equal).concat() {
                assert_eq!(time, next);
                next += 1;
            }
        }
    }

    #[test]
    fn entries_over_an_hour_behind_what_was_sent_travel_alone_and_first() {
        let hour = 3_600_000_000_000;
        let mut batcher = Batcher::new(limits(100, 1 << 20), true);
        let cold = [(hour, "old"), (9 * hour, "new")];
        assert_eq!(
            dated(&mut batcher, &cold),
            [at(&cold)],
            "nothing was sent before"
        );
        assert_eq!(
            dated(
                &mut batcher,
                &[(9 * hour, "b"), (8 * hour - 1, "late"), (8 * hour, "a")]
            ),
            [
                at(&[(8 * hour - 1, "late")]),
                at(&[(8 * hour, "a"), (9 * hour, "b")])
            ]
        );
    }

    #[test]
    fn exactly_full_closes_at_once() {
        let now = Instant::now();
        let mut batcher = Batcher::new(limits(2, 1 << 20), false);
        assert_eq!(
            add(&mut batcher, chunk(&[("a", "1"), ("a", "2")], now)).len(),
            1
        );
        assert!(batcher.due().is_none());
    }

    #[test]
    fn age_counts_from_the_first_entry() {
        let now = Instant::now();
        let mut batcher = Batcher::new(limits(10, 1 << 20), false);
        assert_eq!(batcher.due(), None);
        add(&mut batcher, chunk(&[("a", "1")], now));
        add(
            &mut batcher,
            chunk(&[("a", "2")], now + Duration::from_millis(900)),
        );
        assert_eq!(batcher.due(), Some(now + Duration::from_secs(1)));
    }

    #[test]
    fn a_chunk_of_filtered_lines_still_carries_its_mark() {
        let mut batcher = Batcher::new(limits(10, 1 << 20), false);
        add(&mut batcher, chunk(&[], Instant::now()));
        let batch = batcher.close().unwrap();
        assert!(batch.is_empty());
        assert_eq!(
            batch.positions,
            [FilePosition {
                file: 0,
                offset: 10,
                time: None,
            }]
            .into_iter()
            .collect()
        );
    }
}
