//! Entries, the chunks they travel in, and the positions of files.

pub mod json;
pub mod labels;
pub mod line;
pub mod request;

use std::sync::Arc;
use std::time::Instant;

use crate::entry::labels::Labels;

/// The cost of an entry on top of its line and metadata, in bytes. Loki's message between distributor
/// and ingester adds about 46 bytes per entry and is rejected for good above 4 MiB
/// (`grpc_server_max_recv_msg_size`); 64 leaves a margin.
pub const OVERHEAD: usize = 64;

/// The time of an entry that has no timestamp yet.
pub const UNSTAMPED: i64 = i64::MIN;

/// Identifies a file of this run; the checkpoint knows which one it is.
pub type FileId = u32;

/// A position in a file: everything before `offset` is in the entries up to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePosition {
    /// The file.
    pub file: FileId,
    /// The byte offset after the last line.
    pub offset: u64,
    /// The time of the last line, if lines have times of their own: the lines after it that have none
    /// continue it.
    pub time: Option<i64>,
}

/// What is known of the times in a file: what a later run needs to read the rest of it alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg(feature = "cli")]
pub struct TimestampState {
    /// The form of the times, as the reader of times writes it.
    pub form: Option<String>,
    /// The time of the last line, in nanoseconds since 1970.
    pub last: Option<i64>,
}

/// The last position of each file in a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilePositions(Vec<FilePosition>);

impl FilePositions {
    /// Adds a position; it replaces an earlier one of the same file.
    pub fn put(&mut self, mark: FilePosition) {
        match self.0.iter_mut().find(|own| own.file == mark.file) {
            Some(own) => *own = mark,
            None => self.0.push(mark),
        }
    }

    /// Whether there are none, as for a pipe, which cannot be read again.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The positions, one per file.
    #[cfg(feature = "cli")]
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

/// Where an entry is in the text of its stream. The line is followed by its metadata.
#[derive(Debug, Clone, Copy)]
struct EntrySlot {
    time: i64,
    mark: u64,
    start: u32,
    line: u32,
    metadata: u32,
    stream: u32,
}

/// The memory of an entry in a chunk besides its text, in bytes.
pub const SLOT: usize = size_of::<EntrySlot>();

/// One entry, borrowed from its chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Nanoseconds since 1970, or [`UNSTAMPED`].
    pub time: i64,
    /// The text as shipped.
    pub line: &'a str,
    /// Structured metadata as a JSON object of strings; empty if there is none.
    pub metadata: &'a str,
}

impl Entry<'_> {
    /// What the entry counts towards the limits of a batch, in bytes.
    pub fn cost(&self) -> usize {
        self.line.len() + self.metadata.len() + OVERHEAD
    }
}

/// The text of the entries of one stream in a chunk, concatenated.
#[derive(Debug)]
struct Stream {
    labels: Arc<Labels>,
    text: String,
}

/// The sizes of a chunk; the next chunk of the same source will have similar ones.
#[derive(Debug, Default)]
#[cfg(feature = "cli")]
pub struct SizeHint {
    entries: usize,
    text: Vec<(Arc<Labels>, usize)>,
}

/// The largest sizes that a new chunk reserves in advance.
#[cfg(feature = "cli")]
const USUAL: usize = 256 * 1024;

/// The entries from one read of a source, in order. Entries cross threads only in chunks: a lock, a
/// wake-up and an allocation per line is what makes other shippers slow.
///
/// The text of each stream is contiguous, because each stream is encoded by itself, on another core:
/// lines scattered among those of other streams cause a cache miss each (4 % of the program's time for
/// lines of five levels).
#[derive(Debug)]
pub struct Chunk {
    streams: Vec<Stream>,
    slots: Vec<EntrySlot>,
    file: Option<FileId>,
    end: u64,
    last_time: Option<i64>,
    /// When the chunk's first line was read.
    pub read_at: Instant,
}

impl Chunk {
    /// An empty chunk for lines read at `read_at`, from `file` if they can be read again.
    pub fn new(file: Option<FileId>, read_at: Instant) -> Self {
        Self {
            streams: Vec::new(),
            slots: Vec::new(),
            file,
            end: 0,
            last_time: None,
            read_at,
        }
    }

    /// Reserves as much as another chunk held, so that little is copied while it grows.
    #[cfg(feature = "cli")]
    pub fn reserve(&mut self, like: &SizeHint) {
        self.slots.reserve_exact(like.entries.min(USUAL) * 9 / 8);
        let streams = like.text.iter().map(|(labels, bytes)| Stream {
            labels: Arc::clone(labels),
            text: String::with_capacity(*bytes.min(&USUAL)),
        });
        self.streams.extend(streams);
    }

    /// The sizes of the chunk.
    #[cfg(feature = "cli")]
    pub fn fill(&self) -> SizeHint {
        let filled = self.streams.iter().filter(|stream| !stream.text.is_empty());
        let text = filled.map(|stream| (Arc::clone(&stream.labels), stream.text.len()));
        SizeHint {
            entries: self.slots.len(),
            text: text.collect(),
        }
    }

    /// Returns the number of the stream in this chunk, adding the stream if it is new.
    pub fn stream(&mut self, labels: &Arc<Labels>) -> u32 {
        // Chunks rarely have many streams, and the last ones used are the most likely.
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

    /// Adds an entry whose line is the concatenation of these parts.
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

    /// Notes that everything before this offset of the file has been read, including filtered lines.
    #[cfg(feature = "cli")]
    pub fn read_to(&mut self, offset: u64) {
        self.end = offset;
    }

    /// Sets the time of the last line that was read, filtered or not, if lines have times of their own.
    #[cfg(feature = "cli")]
    pub fn ends_at_time(&mut self, time: Option<i64>) {
        self.last_time = time;
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of text held.
    pub fn bytes(&self) -> usize {
        self.streams.iter().map(|stream| stream.text.len()).sum()
    }

    /// The memory of the chunk, in bytes.
    pub fn footprint(&self) -> usize {
        let text = self.streams.iter().map(|stream| stream.text.capacity());
        text.sum::<usize>()
            + self.streams.capacity() * size_of::<Stream>()
            + self.slots.capacity() * SLOT
            + size_of::<Self>()
    }

    /// The entry at this index.
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

    /// The line and the metadata of the entry at this index.
    ///
    /// # Panics
    /// If there is none.
    pub fn text(&self, at: usize) -> &[u8] {
        let slot = &self.slots[at];
        let text = self.streams[slot.stream as usize].text.as_bytes();
        let start = slot.start as usize;
        &text[start..start + (slot.line + slot.metadata) as usize]
    }

    /// What the entry at this index counts towards a batch, in bytes.
    pub fn cost(&self, at: usize) -> usize {
        let slot = &self.slots[at];
        (slot.line + slot.metadata) as usize + OVERHEAD
    }

    /// Whether the entry at this index and the one before it are fragments of one line of a file. They
    /// share a position and are acknowledged together.
    pub fn goes_on(&self, at: usize) -> bool {
        self.file.is_some() && at > 0 && self.slots[at].mark == self.slots[at - 1].mark
    }

    /// The time of the entry at this index.
    pub fn time(&self, at: usize) -> i64 {
        self.slots[at].time
    }

    /// The number of the stream of the entry at this index, as in [`Chunk::streams`].
    pub fn stream_of(&self, at: usize) -> usize {
        self.slots[at].stream as usize
    }

    /// The label sets of the chunk's streams, by number; some may have no entries.
    pub fn streams(&self) -> impl Iterator<Item = &Arc<Labels>> {
        self.streams.iter().map(|stream| &stream.labels)
    }

    /// Frees the text of a stream, or of all streams for None, before the chunk is dropped. Its entries
    /// must not be read again. Returns the number of bytes freed.
    pub fn forget(&mut self, labels: Option<&Arc<Labels>>) -> usize {
        let Some(labels) = labels else {
            let all = self.footprint();
            (self.streams, self.slots) = (Vec::new(), Vec::new());
            return all - self.footprint();
        };
        // An equal set that is another object keeps its text until the chunk is dropped.
        let known = |stream: &&mut Stream| Arc::ptr_eq(&stream.labels, labels);
        let stream = self.streams.iter_mut().find(known);
        stream.map_or(0, |stream| std::mem::take(&mut stream.text).capacity())
    }

    /// Sets the time of every entry that has none, in order.
    #[cfg(feature = "cli")]
    pub fn stamp(&mut self, mut next: impl FnMut() -> i64) {
        for slot in self.slots.iter_mut().filter(|slot| slot.time == UNSTAMPED) {
            slot.time = next();
        }
    }

    /// The number of entries without a timestamp.
    #[cfg(feature = "cli")]
    pub fn unstamped(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| slot.time == UNSTAMPED)
            .count()
    }

    /// The position in the file after the first `taken` entries, which is the chunk's end if those are
    /// all. None for a source that cannot be read again.
    pub fn mark_after(&self, taken: usize) -> Option<FilePosition> {
        let file = self.file?;
        let (offset, time) = if taken == self.slots.len() {
            (self.end, self.last_time)
        } else {
            let last = &self.slots[taken - 1];
            (last.mark, self.last_time.map(|_| last.time))
        };
        Some(FilePosition { file, offset, time })
    }
}

/// Reserves room for more text. It grows by a quarter instead of doubling, since chunks take most of the
/// memory.
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
        chunk.ends_at_time(Some(8));
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
            Some(FilePosition {
                file: 7,
                offset: 4,
                time: Some(5)
            })
        );
        assert_eq!(
            chunk.mark_after(2),
            Some(FilePosition {
                file: 7,
                offset: 12,
                time: Some(8)
            })
        );
    }

    #[test]
    fn the_latest_mark_of_a_file_counts() {
        let positions: FilePositions = [(1, 5), (2, 7), (1, 9)]
            .map(|(file, offset)| FilePosition {
                file,
                offset,
                time: None,
            })
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
