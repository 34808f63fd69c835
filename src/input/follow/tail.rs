//! Reads one followed file: new lines, truncation, and content that changed in place.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::SeekFrom;

use crate::entry::{FileId, TimestampState};
use crate::input::SourceOptions;
use crate::input::encoding::Encoding;
use crate::input::line_splitter::LineSplitter;
use crate::input::open_file::{OpenFile, RangeReader};
use crate::process::line_processor::LineProcessor;
use crate::storage::file_identity::{Content, HEAD};

/// Bytes that are read of one file before it is the turn of the others.
const READ_QUOTA: u64 = 1024 * 1024;

/// Maximum length of the last line that is remembered.
const LAST_LINE: u64 = 512;

/// The time between two fingerprints of a file that grows.
const FINGERPRINTS: Duration = Duration::from_secs(1);

/// The result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadResult {
    /// Nothing new.
    Idle,
    /// New bytes, up to the end.
    Data,
    /// New bytes, and there are more to read.
    More,
    /// New bytes that cannot be shipped now, because the buffer is full.
    HeldUp,
    /// The file was truncated and has other content now.
    Truncated,
}

/// The size and the time of the last write. While they are the same, the file has not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileStamp {
    size: u64,
    modified: (i64, i64),
}

impl FileStamp {
    /// The stamp of a file.
    pub fn of(meta: &Metadata) -> Self {
        Self {
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        }
    }
}

/// A followed file that is open.
pub struct TailedFile {
    /// The number of the file in this run.
    pub id: FileId,
    /// When new bytes were last read.
    pub changed: Instant,
    /// The file.
    pub file: OpenFile,
    /// The offset up to which lines were shipped. An unterminated line may follow.
    offset: u64,
    mid_line: bool,
    encoding: Encoding,
    /// The first bytes, as far as they were read.
    head: Vec<u8>,
    /// The last line that was read, unless it is the first one.
    last: Vec<u8>,
    /// The size of the content. NULs at the end do not count yet.
    end: u64,
    /// The stamp when it was last read to its end.
    seen: Option<FileStamp>,
    /// The stamp when it was last known to have the same content.
    checked: Option<FileStamp>,
    fingerprinted: Option<Instant>,
    failed: Option<String>,
    processor: LineProcessor,
}

impl TailedFile {
    /// Follows a file from an offset on, before which its times were like this; its lines get the
    /// labels of `path`.
    ///
    /// # Errors
    /// Those of reading what comes before the offset.
    pub fn new(
        id: FileId,
        path: &Path,
        mut file: OpenFile,
        offset: u64,
        times: &TimestampState,
        options: &SourceOptions,
        now: Instant,
    ) -> io::Result<Self> {
        let end = file.content_len()?;
        let encoding = Encoding::of(&mut file);
        let unit = (encoding.unit() as u64).min(offset);
        let before = file.read_bytes(offset - unit, unit as usize)?;
        let mut tail = Self {
            id,
            changed: now,
            file,
            offset,
            mid_line: !before.is_empty() && !encoding.ends_in(&before, options.delimiter),
            encoding,
            head: Vec::new(),
            last: Vec::new(),
            end,
            seen: None,
            checked: None,
            fingerprinted: None,
            failed: None,
            processor: options.live(path, Some(id), times),
        };
        tail.processor.set_offset(offset);
        tail.remember()?;
        Ok(tail)
    }

    /// The current metadata.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn meta(&self) -> io::Result<Metadata> {
        self.file.file().metadata()
    }

    /// The offset up to which lines were shipped.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The size of the content at the last check.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether an unterminated line follows the shipped ones.
    pub fn is_unterminated(&self) -> bool {
        self.seen.is_some() && self.end > self.offset
    }

    /// The stamp, if the file was read to its end and no line is held.
    pub fn idle_stamp(&self) -> Option<FileStamp> {
        self.seen
            .filter(|_| self.processor.next_deadline().is_none())
    }

    /// What is known of its times; see [`LineProcessor::timestamps`].
    pub fn timestamps(&self) -> Option<TimestampState> {
        self.processor.timestamps()
    }

    /// Whether a new fingerprint is due.
    pub fn is_fingerprint_due(&mut self, now: Instant) -> bool {
        let due = self
            .fingerprinted
            .is_none_or(|taken| now >= taken + FINGERPRINTS);
        if due {
            self.fingerprinted = Some(now);
        }
        due
    }

    /// Checks whether the file was truncated since the last check, without reading new lines.
    ///
    /// # Errors
    /// Those of reading.
    pub fn look_only(&mut self) -> io::Result<ReadResult> {
        let meta = self.meta()?;
        let stamp = FileStamp::of(&meta);
        if self.checked != Some(stamp) {
            if !self.is_same(stamp.size)? {
                return Ok(ReadResult::Truncated);
            }
            if !self.file.is_gzip() {
                self.end = stamp.size;
            }
        }
        Ok(ReadResult::Idle)
    }

    /// Whether an error differs from the last one, so that it must be reported.
    pub fn is_news(&mut self, error: &io::Error) -> bool {
        let why = error.to_string();
        let is_news = self.failed.as_ref() != Some(&why);
        self.failed = Some(why);
        is_news
    }

    /// Whether the last read failed.
    pub fn is_failing(&self) -> bool {
        self.failed.is_some()
    }

    /// Reads new lines, up to a quota. `lines` is shared by all files; an unterminated line is read again
    /// when it has grown.
    ///
    /// # Errors
    /// Those of reading; lines before the error are shipped.
    pub fn read(
        &mut self,
        meta: &Metadata,
        lines: &mut LineSplitter,
        options: &SourceOptions,
        now: Instant,
    ) -> io::Result<ReadResult> {
        let stamp = FileStamp::of(meta);
        if self.seen == Some(stamp) {
            // Lines are only held for a limited time.
            if self.processor.next_deadline().is_some_and(|due| due <= now) {
                self.processor.flush_pending();
            }
            self.processor.flush(&options.intake, 0);
            return Ok(ReadResult::Idle);
        }
        if self.checked != Some(stamp) {
            if !self.is_same(stamp.size)? {
                return Ok(ReadResult::Truncated);
            }
            self.checked = Some(stamp);
            if !self.file.is_gzip() && !self.is_padding(stamp.size)? {
                self.end = stamp.size;
            }
        }
        options.sized(self.id, self.end);
        let result = self.read_to_end(lines, options, now)?;
        self.failed = None;
        if result == ReadResult::Data {
            self.seen = Some(stamp);
        }
        Ok(result)
    }

    fn read_to_end(
        &mut self,
        lines: &mut LineSplitter,
        options: &SourceOptions,
        now: Instant,
    ) -> io::Result<ReadResult> {
        if self.offset == 0 {
            self.encoding = Encoding::of(&mut self.file);
        }
        lines.seek(self.offset, self.mid_line, self.encoding);
        let quota = self.offset + READ_QUOTA.max(lines.stride() as u64);
        let mut at = self.offset;
        loop {
            if at < self.end && !options.intake.has_room(now) {
                return Ok(ReadResult::HeldUp);
            }
            let before = at;
            let mut reader = RangeReader::new(&mut self.file, at, self.end);
            let read = lines.read(&mut reader)?;
            at = reader.at;
            // If the file is shorter now than where this read began, the bytes are still old content.
            let is_same = self.file.is_gzip() || self.begins_as_before()?;
            if is_same || self.meta()?.len() < before {
                at = self.without_padding(lines, at, options, now)?;
                self.hand_in(lines, options, now);
            } else {
                lines.discard_last_read();
            }
            if !is_same {
                return Ok(ReadResult::Truncated);
            }
            self.changed = now;
            if read == 0 || at >= self.end {
                return Ok(ReadResult::Data);
            }
            if at > quota || options.is_over() {
                return Ok(ReadResult::More);
            }
        }
    }

    /// Ships everything, including an unterminated last line. If that line continues after all, its rest
    /// becomes an entry of its own.
    ///
    /// # Errors
    /// Those of reading.
    pub fn finish(
        &mut self,
        lines: &mut LineSplitter,
        options: &SourceOptions,
        now: Instant,
    ) -> io::Result<()> {
        let from = self.offset;
        if self.is_unterminated() && self.is_same(self.meta()?.len())? {
            lines.seek(self.offset, self.mid_line, self.encoding);
            let mut reader = RangeReader::new(&mut self.file, self.offset, self.end);
            while lines.read(&mut reader)? > 0 {}
            while let Some(piece) = lines.next_piece() {
                self.processor.push(piece, now);
            }
            if let Some(piece) = lines.take_remainder() {
                self.processor.push(piece, now);
            }
            (self.offset, self.mid_line) = (lines.offset(), true);
            self.remember()?;
        }
        self.flush(options, (self.offset - from) as usize);
        Ok(())
    }

    /// Ships held lines at the end of the run.
    pub fn flush(&mut self, options: &SourceOptions, bytes: usize) {
        self.processor.end();
        self.processor.flush(&options.intake, bytes);
    }

    fn hand_in(&mut self, lines: &mut LineSplitter, options: &SourceOptions, now: Instant) {
        while let Some(piece) = lines.next_piece() {
            self.processor.push(piece, now);
            if self.processor.is_full() {
                self.processor.flush(&options.intake, 0);
            }
        }
        if lines.has_remainder() {
            self.processor.postpone(now);
        }
        let bytes = (lines.offset() - self.offset) as usize;
        (self.offset, self.mid_line) = (lines.offset(), lines.mid_line());
        self.encoding = lines.encoding();
        self.processor.flush(&options.intake, bytes);
        if bytes > 0 {
            // An error will occur again at the next check.
            let _ = self.remember();
        }
    }

    /// Remembers the first bytes and the last line of the part that was read.
    fn remember(&mut self) -> io::Result<()> {
        let len = self.offset.min(HEAD as u64) as usize;
        if self.file.is_gzip() {
            return Ok(());
        }
        if self.head.len() < len {
            self.head = self.file.read_bytes(0, len)?;
        }
        let from = self.offset.saturating_sub(LAST_LINE);
        let mut last = self.file.read_bytes(from, (self.offset - from) as usize)?;
        let line = last
            .len()
            .checked_sub(1)
            .and_then(|end| memchr::memrchr(b'\n', &last[..end]));
        match line {
            Some(line) => drop(last.drain(..=line)),
            None if from == 0 => last.clear(),
            None => {}
        }
        self.last = last;
        Ok(())
    }

    fn begins_as_before(&mut self) -> io::Result<bool> {
        Ok(self.file.read_bytes(0, self.head.len())? == self.head)
    }

    /// Whether the file still has the content that was read, so that reading can continue.
    fn is_same(&mut self, size: u64) -> io::Result<bool> {
        if self.file.is_gzip() {
            return Ok(true);
        }
        // Of a file of which nothing was read yet only the size tells.
        if size < self.offset || self.offset == 0 && size < self.end {
            return Ok(false);
        }
        let begins_alike = self.begins_as_before()?;
        let is_blank = self.head.iter().all(|&byte| byte == 0);
        let is_closing = !self.last.is_empty() && self.last.iter().copied().all(is_bracket);
        if begins_alike && !is_closing && (!is_blank || self.offset == 0) {
            return Ok(true);
        }
        let from = self.offset - self.last.len() as u64;
        let ends_alike = self.file.read_bytes(from, self.last.len())? == self.last;
        if ends_alike && (begins_alike || !self.last.is_empty()) {
            // For example, a counter in the header was changed in place.
            self.head = self.file.read_bytes(0, self.head.len())?;
            return Ok(true);
        }
        self.goes_on_before_bracket(begins_alike)
    }

    /// Whether the part that was read ended in closing brackets that have moved, as in a JSON document to
    /// which something was added. The line before them is then read again if it changed.
    fn goes_on_before_bracket(&mut self, begins_alike: bool) -> io::Result<bool> {
        let (from, old) = if begins_alike {
            (self.offset - self.last.len() as u64, self.last.clone())
        } else if self.offset <= HEAD as u64 {
            (0, self.head.clone())
        } else {
            return Ok(false);
        };
        let new = self.file.read_bytes(from, old.len())?;
        let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        if new.len() < old.len()
            || !old[same..].iter().copied().all(is_bracket)
            || from + same as u64 == 0
        {
            return Ok(false);
        }
        let line = memchr::memrchr(b'\n', &old[..same]).map_or(0, |at| at + 1);
        if from == 0 && line == 0 {
            return Ok(false);
        }
        (self.offset, self.mid_line) = (from + line as u64, false);
        self.head.truncate(self.offset.min(HEAD as u64) as usize);
        self.remember()?;
        Ok(true)
    }

    /// Whether only NULs follow the part that was read, as in a preallocated file.
    fn is_padding(&mut self, size: u64) -> io::Result<bool> {
        const LOOKED_AT: usize = 512;
        if self
            .seen
            .is_none_or(|seen| seen.size != size || seen.size == self.end)
        {
            return Ok(false);
        }
        let next = self.file.read_bytes(self.end, LOOKED_AT)?;
        Ok(next.iter().all(|&byte| byte == 0))
    }

    /// Skips NULs at the end of the last read, which come from a crash, from preallocation, or from a
    /// writer that continues at its old offset in a truncated file. NULs at the end of the file may still
    /// be overwritten with content. Returns the offset at which to continue.
    fn without_padding(
        &mut self,
        lines: &mut LineSplitter,
        at: u64,
        options: &SourceOptions,
        now: Instant,
    ) -> io::Result<u64> {
        if options.delimiter == 0 || lines.last_read().last() != Some(&0) {
            return Ok(at);
        }
        let nuls = lines.last_read().iter().rev();
        let nuls = nuls.take_while(|&&byte| byte == 0).count();
        // In UTF-16 a NUL may be half of the last character.
        let half = (at - nuls as u64) % self.encoding.unit() as u64;
        let Some(nuls) = nuls.checked_sub(half as usize).filter(|&nuls| nuls > 0) else {
            return Ok(at);
        };
        let Some(next) = self.first_written(at)? else {
            lines.unread_last(nuls);
            self.end = at - nuls as u64;
            return Ok(self.end);
        };
        let next = next - next % self.encoding.unit() as u64;
        lines.unread_last(nuls);
        self.hand_in(lines, options, now);
        if let Some(piece) = lines.take_remainder() {
            self.processor.push(piece, now);
        }
        lines.seek(next, false, self.encoding);
        (self.offset, self.mid_line) = (next, false);
        Ok(next)
    }

    /// The offset of the first byte that is not NUL, from an offset on.
    fn first_written(&mut self, from: u64) -> io::Result<Option<u64>> {
        let data = rustix::fs::seek(&**self.file.file(), SeekFrom::Data(from));
        let mut at = data.unwrap_or(from);
        loop {
            let bytes = self.file.read_bytes(at, 64 * 1024)?;
            let found = bytes.iter().position(|&byte| byte != 0);
            if found.is_some() || bytes.is_empty() {
                return Ok(found.map(|found| at + found as u64));
            }
            at += bytes.len() as u64;
        }
    }
}

/// Whether a byte may be part of the end of a JSON document.
fn is_bracket(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"]})".contains(&byte)
}
