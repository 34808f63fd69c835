//! A tail: one generation of a followed file, read as far as it goes now.
//!
//! Knows a handle, an offset and what the file began with; so it sees that the file was cut short
//! and written anew. Knows nothing of names, nor of when to look.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Instant;

use rustix::fs::SeekFrom;

use crate::entry::FileId;
use crate::input::SourceOptions;
use crate::input::line_splitter::LineSplitter;
use crate::input::open_file::{OpenFile, head_of};
use crate::process::line_processor::LineProcessor;
use crate::storage::file_identity::{DevInode, FileRecord, Fingerprint, HEAD};

/// How much is read of one file before the others have their turn.
const READ_QUOTA: u64 = 1024 * 1024;

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadResult {
    /// Nothing new.
    Nothing,
    /// New bytes, and its end.
    News,
    /// New bytes, and there are more.
    More,
    /// It was cut short: what it holds now begins anew.
    Cut,
}

/// A size and time of writing: while they stay, so does the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct FileStamp {
    size: u64,
    modified: (i64, i64),
}

impl FileStamp {
    fn of(meta: &Metadata) -> Self {
        Self {
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        }
    }
}

/// One generation of a followed file.
pub struct TailedFile {
    /// Its number in this run.
    pub id: FileId,
    /// Where it lies.
    pub place: DevInode,
    /// When something new was last read.
    pub changed: Instant,
    file: File,
    signature: Fingerprint,
    /// Everything before it was handed in; a line whose end has not come lies behind it.
    offset: u64,
    mid_line: bool,
    /// It may begin with a hole, and nothing was read of it since that is known.
    holed: bool,
    /// Its first byte that is no NUL, if it begins with a hole: cut short once more it is one, while
    /// the head stays what it was.
    written: Option<u64>,
    seen: Option<FileStamp>,
    gatherer: LineProcessor,
}

impl TailedFile {
    /// Follows an opened file from where it says. Tells the checkpoint of it.
    pub fn new(
        id: FileId,
        name: &Path,
        opened: OpenFile,
        setting: &SourceOptions,
        now: Instant,
    ) -> Self {
        let state = opened.state(name);
        let holed = !opened.head.is_empty() && opened.head.iter().all(|&byte| byte == 0);
        let FileRecord {
            place,
            signature,
            offset,
            ..
        } = state;
        if let Some(checkpoint) = &setting.checkpoint {
            checkpoint.register(id, state);
        }
        let mut tail = Self {
            id,
            place,
            changed: now,
            file: opened.file,
            signature,
            offset,
            mid_line: false,
            holed,
            written: None,
            seen: None,
            gatherer: setting.gatherer(name, Some(id)),
        };
        tail.mid_line = tail.is_mid_line(setting.delimiter);
        tail
    }

    /// The file once more, as it is after it was cut short. What was held back is handed in, and
    /// nothing of what it held is known any more.
    ///
    /// # Errors
    /// Those of reading.
    pub fn anew(&mut self, setting: &SourceOptions) -> io::Result<OpenFile> {
        self.flush(setting, 0);
        let head = head_of(&self.file, HEAD)?;
        if let Some(checkpoint) = &setting.checkpoint {
            checkpoint.forget(self.id);
        }
        Ok(OpenFile {
            file: self.file.try_clone()?,
            meta: self.file.metadata()?,
            offset: 0,
            head,
        })
    }

    /// Follows what a file that was cut short holds now, under a new number: offsets of the old
    /// content and the new must not be taken for each other.
    pub fn start_over(
        &mut self,
        id: FileId,
        name: &Path,
        opened: OpenFile,
        setting: &SourceOptions,
    ) {
        *self = Self::new(id, name, opened, setting, self.changed);
        self.holed = true;
    }

    /// What is known of the file now.
    ///
    /// # Errors
    /// Those of asking.
    pub fn meta(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// How far it was handed in.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What it begins with.
    pub fn signature(&self) -> Fingerprint {
        self.signature
    }

    /// Whether a line lies at its end whose own end has not come.
    pub fn is_unterminated(&self) -> bool {
        self.seen.is_some_and(|seen| seen.size > self.offset)
    }

    /// Reads what is new up to the size that `meta` says, at most a turn of it. `lines` is lent: all
    /// files share one buffer, and an unterminated line is read again when it has grown.
    ///
    /// # Errors
    /// Those of reading; what was read is handed in.
    pub fn read(
        &mut self,
        meta: &Metadata,
        lines: &mut LineSplitter,
        setting: &SourceOptions,
        now: Instant,
    ) -> io::Result<ReadResult> {
        let seen = FileStamp::of(meta);
        if self.seen == Some(seen) {
            // Lines that waited for others, or for a time, do so in bounds.
            if self.gatherer.due().is_some_and(|due| due <= now) {
                self.gatherer.pause();
            }
            self.gatherer.hand_in(&setting.intake, 0);
            return Ok(ReadResult::Nothing);
        }
        if seen.size < self.offset {
            return Ok(ReadResult::Cut);
        }
        if self.holed && seen.size > 0 {
            self.skip_hole(seen.size, setting.delimiter)?;
            self.holed = false;
        }
        setting.sized(self.id, seen.size);
        lines.go_on(self.offset, self.mid_line);
        let turn = self.offset + READ_QUOTA.max(lines.stride() as u64);
        let mut place = self.offset;
        loop {
            let before = place;
            let read = lines.read(&mut self.at(&mut place, seen.size))?;
            let same = self.is_same(setting)?;
            // Bytes that lie behind the end of what is there now are of what was there before.
            if same || self.file.metadata()?.len() < before {
                self.hand_in(lines, setting, now);
            } else {
                lines.unread();
            }
            if !same {
                return Ok(ReadResult::Cut);
            }
            self.changed = now;
            if read == 0 {
                self.seen = Some(seen);
                return Ok(ReadResult::News);
            }
            if place > turn || setting.is_over() {
                return Ok(ReadResult::More);
            }
        }
    }

    /// Nothing more is waited for: hands in the line whose end has not come, too. If it goes on
    /// after all, the rest is read as one.
    ///
    /// # Errors
    /// Those of reading.
    pub fn finish(
        &mut self,
        lines: &mut LineSplitter,
        setting: &SourceOptions,
        now: Instant,
    ) -> io::Result<()> {
        let from = self.offset;
        if self.is_unterminated() && self.is_same(setting)? {
            let end = self.seen.unwrap_or_default().size;
            lines.go_on(self.offset, self.mid_line);
            let mut place = self.offset;
            while lines.read(&mut self.at(&mut place, end))? > 0 {}
            while let Some(piece) = lines.next_piece() {
                self.gatherer.line(piece, now);
            }
            if let Some(piece) = lines.rest() {
                self.gatherer.line(piece, now);
            }
            (self.offset, self.mid_line) = (lines.offset(), true);
        }
        self.flush(setting, (self.offset - from) as usize);
        Ok(())
    }

    /// Nothing more comes in this run: hands in what is held back.
    pub fn flush(&mut self, setting: &SourceOptions, bytes: usize) {
        self.gatherer.end();
        self.gatherer.hand_in(&setting.intake, bytes);
    }

    /// The file from a place on, up to an end.
    fn at<'a>(&'a self, place: &'a mut u64, end: u64) -> RangeReader<'a> {
        RangeReader {
            file: &self.file,
            place,
            end,
        }
    }

    fn hand_in(&mut self, lines: &mut LineSplitter, setting: &SourceOptions, now: Instant) {
        while let Some(piece) = lines.next_piece() {
            self.gatherer.line(piece, now);
            if self.gatherer.is_full() {
                self.gatherer.hand_in(&setting.intake, 0);
            }
        }
        let bytes = (lines.offset() - self.offset) as usize;
        (self.offset, self.mid_line) = (lines.offset(), lines.mid_line());
        self.gatherer.hand_in(&setting.intake, bytes);
    }

    /// Whether the file still begins as it did. Signs more of a file that was short.
    fn is_same(&mut self, setting: &SourceOptions) -> io::Result<bool> {
        let head = head_of(&self.file, HEAD)?;
        if !self.signature.fits(&head) || self.is_hole_again()? {
            return Ok(false);
        }
        if head.len() > self.signature.len() {
            self.signature = Fingerprint::of(&head);
            if let Some(checkpoint) = &setting.checkpoint {
                checkpoint.refine(self.id, self.signature);
            }
        }
        Ok(true)
    }

    /// Whether the offset lies inside a line: then what follows goes on with it.
    fn is_mid_line(&self, delimiter: u8) -> bool {
        let mut before = [delimiter];
        let read = match self.offset.checked_sub(1) {
            Some(at) => self.file.read_at(&mut before, at),
            None => Ok(0),
        };
        read.is_ok() && before[0] != delimiter
    }

    /// Whether what was first written behind a hole is a hole, too. One head of nothing but NULs is
    /// like another, so it does not tell.
    fn is_hole_again(&self) -> io::Result<bool> {
        let Some(at) = self.written else {
            return Ok(false);
        };
        let mut byte = [0];
        Ok(self.file.read_at(&mut byte, at)? == 1 && byte == [0])
    }

    /// Goes to where the file really begins: whoever goes on writing where it was in a file that was
    /// cut short leaves a hole before it. An offset that lies behind that is left: there it was read.
    fn skip_hole(&mut self, size: u64, delimiter: u8) -> io::Result<()> {
        if delimiter == 0 {
            return Ok(());
        }
        let written = self.first_written(size)?;
        self.written = written.filter(|&at| at > 0);
        let begin = written.unwrap_or(size);
        if self.offset <= begin {
            (self.offset, self.mid_line) = (begin, false);
        }
        Ok(())
    }

    /// The first byte that is no NUL.
    fn first_written(&self, size: u64) -> io::Result<Option<u64>> {
        let data = rustix::fs::seek(&self.file, SeekFrom::Data(0)).unwrap_or(0);
        let (mut place, mut buffer) = (data, vec![0; 4096]);
        loop {
            let before = place;
            let read = self.at(&mut place, size).read(&mut buffer)?;
            let found = buffer[..read].iter().position(|&byte| byte != 0);
            if found.is_some() || read == 0 {
                return Ok(found.map(|at| before + at as u64));
            }
        }
    }
}

/// Reads a file from a place on up to an end, and leaves its cursor alone.
struct RangeReader<'a> {
    file: &'a File,
    place: &'a mut u64,
    end: u64,
}

impl Read for RangeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = (buffer.len() as u64).min(self.end.saturating_sub(*self.place));
        let read = self
            .file
            .read_at(&mut buffer[..most as usize], *self.place)?;
        *self.place += read as u64;
        Ok(read)
    }
}
