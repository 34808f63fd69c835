//! Entries: what one line of input becomes, in the chunks they travel in.
//!
//! Knows how entries lie in memory and what one costs. Knows nothing of where they come from or
//! what becomes of them.

pub mod json;
pub mod labels;
pub mod line;
pub mod request;

use std::sync::Arc;
use std::time::Instant;

use crate::entry::labels::Labels;

/// What an entry costs on top of its line and metadata, in bytes. Loki's inner message spends
/// about 46 bytes an entry and is refused for good above 4 MiB (contract, trap T3); 64 leaves room.
pub const OVERHEAD: usize = 64;

/// The time of an entry that is not stamped yet.
pub const UNSTAMPED: i64 = i64::MIN;

/// Names a file of this run; the checkpoint knows which.
pub type FileId = u32;

/// How far a file was read: everything before `offset` is in the entries up to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePosition {
    /// The file.
    pub file: FileId,
    /// The byte offset behind the last line.
    pub offset: u64,
}

/// The highest mark of each file in a batch or shipment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilePositions(Vec<FilePosition>);

impl FilePositions {
    /// Takes a mark in; a later mark of a file takes the place of an earlier one.
    pub fn put(&mut self, mark: FilePosition) {
        match self.0.iter_mut().find(|own| own.file == mark.file) {
            Some(own) => own.offset = mark.offset,
            None => self.0.push(mark),
        }
    }

    /// Whether no file is marked, as with a pipe, which cannot be read again.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The marks, one a file.
    pub fn iter(&self) -> impl Iterator<Item = &FilePosition> {
        self.0.iter()
    }
}

impl FromIterator<FilePosition> for FilePositions {
    fn from_iter<I: IntoIterator<Item = FilePosition>>(positions: I) -> Self {
        let mut set = Self::default();
        positions.into_iter().for_each(|mark| set.put(mark));
        set
    }
}

/// Where an entry lies in the text of its stream. The line is followed by its metadata.
#[derive(Debug, Clone, Copy)]
struct EntrySlot {
    time: i64,
    mark: u64,
    start: u32,
    line: u32,
    metadata: u32,
    stream: u32,
}

/// What an entry takes in a chunk beside its text, in bytes.
pub const SLOT: usize = size_of::<EntrySlot>();

/// One entry, borrowed from its chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Nanoseconds since the epoch, or [`UNSTAMPED`].
    pub time: i64,
    /// The text as shipped.
    pub line: &'a str,
    /// Structured metadata as a JSON object of strings; empty where there is none.
    pub metadata: &'a str,
}

impl Entry<'_> {
    /// What the entry counts against the limits of a batch, in bytes.
    pub fn cost(&self) -> usize {
        self.line.len() + self.metadata.len() + OVERHEAD
    }
}

/// The text of the entries of one stream in a chunk, one behind the other.
#[derive(Debug)]
struct Stream {
    labels: Arc<Labels>,
    text: String,
}

/// How much a chunk holds: the next one of the same source will hold much the same.
#[derive(Debug, Default)]
pub struct SizeHint {
    entries: usize,
    text: Vec<(Arc<Labels>, usize)>,
}

/// The most room that is made in a new chunk beforehand: bytes of a stream, and entries.
const USUAL: usize = 256 * 1024;

/// The entries that one read of a source gave, in order. Entries cross threads only in chunks: a
/// lock, a wake-up and an allocation for each line is what makes other shippers slow.
///
/// Each stream has its text by itself, for it is sealed by itself, on another processor: lines that
/// lie scattered among those of other streams would be waited for one by one (4 % of the whole
/// program's time on lines of five levels).
#[derive(Debug)]
pub struct Chunk {
    streams: Vec<Stream>,
    slots: Vec<EntrySlot>,
    file: Option<FileId>,
    end: u64,
    /// When the chunk's first line was read.
    pub read_at: Instant,
}

impl Chunk {
    /// An empty chunk of lines read now, from a file if they can be read again.
    pub fn new(file: Option<FileId>, read_at: Instant) -> Self {
        Self {
            streams: Vec::new(),
            slots: Vec::new(),
            file,
            end: 0,
            read_at,
        }
    }

    /// Makes room at once for as much as another chunk held, so that little is copied to grow.
    pub fn reserve(&mut self, like: &SizeHint) {
        self.slots.reserve_exact(like.entries.min(USUAL) * 9 / 8);
        let streams = like.text.iter().map(|(labels, bytes)| Stream {
            labels: Arc::clone(labels),
            text: String::with_capacity(*bytes.min(&USUAL)),
        });
        self.streams.extend(streams);
    }

    /// How much it holds.
    pub fn fill(&self) -> SizeHint {
        let filled = self.streams.iter().filter(|stream| !stream.text.is_empty());
        let text = filled.map(|stream| (Arc::clone(&stream.labels), stream.text.len()));
        SizeHint {
            entries: self.slots.len(),
            text: text.collect(),
        }
    }

    /// The stream's number in this chunk.
    pub fn stream(&mut self, labels: &Arc<Labels>) -> u32 {
        // Chunks of many streams are rare and the last ones used are the likely ones.
        let known = self
            .streams
            .iter()
            .rposition(|own| Arc::ptr_eq(&own.labels, labels))
            .or_else(|| self.streams.iter().rposition(|own| own.labels == *labels));
        known.unwrap_or_else(|| {
            self.streams.push(Stream {
                labels: Arc::clone(labels),
                text: String::new(),
            });
            self.streams.len() - 1
        }) as u32
    }

    /// Adds an entry whose line is these parts, one behind the other.
    pub fn push(&mut self, stream: u32, time: i64, mark: u64, line: &[&str], metadata: &str) {
        let text = &mut self.streams[stream as usize].text;
        let start = text.len();
        let length: usize = line.iter().map(|part| part.len()).sum();
        make_room(text, length + metadata.len());
        line.iter().for_each(|part| text.push_str(part));
        text.push_str(metadata);
        self.slots.push(EntrySlot {
            time,
            mark,
            start: start as u32,
            line: length as u32,
            metadata: metadata.len() as u32,
            stream,
        });
    }

    /// Everything of the file before this offset has been read, filtered lines too.
    pub fn read_to(&mut self, offset: u64) {
        self.end = offset;
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of text held.
    pub fn bytes(&self) -> usize {
        self.streams.iter().map(|stream| stream.text.len()).sum()
    }

    /// What the chunk takes in memory, in bytes.
    pub fn footprint(&self) -> usize {
        let text = self.streams.iter().map(|stream| stream.text.capacity());
        text.sum::<usize>()
            + self.streams.capacity() * size_of::<Stream>()
            + self.slots.capacity() * SLOT
            + size_of::<Self>()
    }

    /// The entry at a place.
    ///
    /// # Panics
    /// If there is none.
    pub fn entry(&self, at: usize) -> Entry<'_> {
        let slot = &self.slots[at];
        let text = &self.streams[slot.stream as usize].text;
        let (line, end) = (slot.start as usize, (slot.start + slot.line) as usize);
        Entry {
            time: slot.time,
            line: &text[line..end],
            metadata: &text[end..end + slot.metadata as usize],
        }
    }

    /// What the entry at a place counts against a batch, in bytes.
    pub fn cost(&self, at: usize) -> usize {
        let slot = &self.slots[at];
        (slot.line + slot.metadata) as usize + OVERHEAD
    }

    /// Whether the entry at a place comes of the same line of a file as the one before it. There is
    /// no mark between them: they must be settled together.
    pub fn goes_on(&self, at: usize) -> bool {
        self.file.is_some() && at > 0 && self.slots[at].mark == self.slots[at - 1].mark
    }

    /// The time of the entry at a place.
    pub fn time(&self, at: usize) -> i64 {
        self.slots[at].time
    }

    /// The number of the stream of the entry at a place, as in [`Chunk::streams`].
    pub fn stream_of(&self, at: usize) -> usize {
        self.slots[at].stream as usize
    }

    /// The label sets of the chunk's streams, by number; some may have no entries.
    pub fn streams(&self) -> impl Iterator<Item = &Arc<Labels>> {
        self.streams.iter().map(|stream| &stream.labels)
    }

    /// Gives back before the chunk goes what the entries of a stream take, or with None those of all:
    /// they are not to be read again. Gives how much that is, in bytes.
    pub fn forget(&mut self, labels: Option<&Arc<Labels>>) -> usize {
        let Some(labels) = labels else {
            let all = self.footprint();
            (self.streams, self.slots) = (Vec::new(), Vec::new());
            return all - self.footprint();
        };
        // A twin by value may keep its text until the chunk goes.
        let known = |stream: &&mut Stream| Arc::ptr_eq(&stream.labels, labels);
        let stream = self.streams.iter_mut().find(known);
        stream.map_or(0, |stream| std::mem::take(&mut stream.text).capacity())
    }

    /// Sets the time of every entry that has none, in order.
    pub fn stamp(&mut self, mut next: impl FnMut() -> i64) {
        for slot in self.slots.iter_mut().filter(|slot| slot.time == UNSTAMPED) {
            slot.time = next();
        }
    }

    /// How many entries wait for a stamp.
    pub fn unstamped(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| slot.time == UNSTAMPED)
            .count()
    }

    /// How far the file is read when the first `taken` entries are: to the chunk's end if those
    /// are all. None for a source that cannot be read again.
    pub fn mark_after(&self, taken: usize) -> Option<FilePosition> {
        let file = self.file?;
        let offset = if taken == self.slots.len() {
            self.end
        } else {
            self.slots[taken - 1].mark
        };
        Some(FilePosition { file, offset })
    }
}

/// Makes room for more text. By a quarter, not by doubling: chunks are what most memory is for.
fn make_room(text: &mut String, more: usize) {
    if text.capacity() - text.len() < more {
        text.reserve_exact(more.max(text.len() / 4));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_put() {
        let mut chunk = Chunk::new(Some(7), Instant::now());
        let labels = Arc::new(Labels::new([("app", "x")]));
        let stream = chunk.stream(&labels);
        assert_eq!(chunk.stream(&Arc::new(Labels::new([("app", "x")]))), stream);
        chunk.push(stream, 5, 4, &["o", "ne"], "");
        chunk.push(stream, UNSTAMPED, 9, &[], r#"{"k":"v"}"#);
        chunk.read_to(12);
        assert_eq!(chunk.unstamped(), 1);
        chunk.stamp(|| 6);
        assert_eq!(
            chunk.entry(0),
            Entry {
                time: 5,
                line: "one",
                metadata: ""
            }
        );
        assert_eq!(
            chunk.entry(1),
            Entry {
                time: 6,
                line: "",
                metadata: r#"{"k":"v"}"#
            }
        );
        assert_eq!(chunk.cost(1), 9 + OVERHEAD);
        assert_eq!(
            chunk.mark_after(1),
            Some(FilePosition { file: 7, offset: 4 })
        );
        assert_eq!(
            chunk.mark_after(2),
            Some(FilePosition {
                file: 7,
                offset: 12
            })
        );
    }

    #[test]
    fn the_latest_mark_of_a_file_counts() {
        let positions: FilePositions = [(1, 5), (2, 7), (1, 9)]
            .map(|(file, offset)| FilePosition { file, offset })
            .into_iter()
            .collect();
        assert_eq!(
            positions
                .iter()
                .map(|m| (m.file, m.offset))
                .collect::<Vec<_>>(),
            [(1, 9), (2, 7)]
        );
    }
}
