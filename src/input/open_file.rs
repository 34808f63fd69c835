//! An open file: its content, its identity, and where reading it starts.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::OFlags;

use crate::input::compression::{self, Format};
use crate::input::gzip::MultiGzReader;
use crate::storage::file_identity::{Content, DevInode};

/// Where reading starts in a file that is neither in the checkpoint nor appeared while we looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum StartAt {
    /// At the start
    Start,
    /// At the end: ship only new lines
    End,
}

/// A file that is open for reading.
pub struct OpenFile {
    file: Arc<File>,
    /// Its metadata when it was opened.
    pub meta: Metadata,
    gzip: Option<Gunzip>,
    format: Option<Format>,
}

impl OpenFile {
    /// Opens a file. Opening a pipe does not wait for a writer.
    ///
    /// # Errors
    /// Those of opening and of reading the first bytes.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        let file = match File::options().read(true).custom_flags(flags).open(path) {
            // A process has a lease on it, and gives it up for a reader that waits.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => File::open(path)?,
            Err(error) if is_socket(path) => {
                return Err(io::Error::new(error.kind(), "it is a socket"));
            }
            opened => opened?,
        };
        Self::new(Arc::new(file))
    }

    /// A file that was opened elsewhere.
    ///
    /// # Errors
    /// Those of reading the first bytes.
    pub fn new(file: Arc<File>) -> io::Result<Self> {
        let meta = file.metadata()?;
        let format = if meta.is_file() {
            compression::recognize(&(&*file).read_bytes(0, compression::NEEDED)?)
        } else {
            None
        };
        let is_gzip = format == Some(Format::Gzip);
        let mut file = Self {
            gzip: is_gzip.then(|| Gunzip::new(&file)),
            file,
            meta,
            format,
        };
        if is_gzip
            && let Ok(head) = file.read_bytes(0, compression::NEEDED)
            && let Some(other) = compression::recognize_inside_gzip(&head)
        {
            (file.gzip, file.format) = (None, Some(other));
        }
        Ok(file)
    }

    /// The handle.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Its format, if that is not plain text.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Whether it is decompressed while it is read.
    pub fn is_gzip(&self) -> bool {
        self.gzip.is_some()
    }

    /// Whether its content is made up as it is read, as that of the files in `/proc`: it has no
    /// size, and is another one each time.
    pub fn is_synthetic(&self) -> bool {
        self.meta.is_file()
            && self.meta.len() == 0
            && (&*self.file)
                .read_bytes(0, 1)
                .is_ok_and(|byte| !byte.is_empty())
            && self.file.metadata().is_ok_and(|meta| meta.len() == 0)
    }

    /// Its device and inode.
    pub fn at(&self) -> DevInode {
        DevInode::from(&self.meta)
    }

    /// When it was created and last written.
    pub fn times(&self) -> FileTimes {
        FileTimes::of(&self.meta)
    }

    /// Whether its content is at least this long.
    pub fn reaches(&mut self, offset: u64) -> bool {
        match (offset, self.is_gzip()) {
            (0, _) => true,
            (_, false) => offset <= self.meta.len(),
            (_, true) => self
                .read_bytes(offset - 1, 1)
                .is_ok_and(|byte| byte.len() == 1),
        }
    }

    /// How long its content is. That of a compressed file shows in reading it.
    pub fn content_len(&mut self) -> io::Result<u64> {
        match &mut self.gzip {
            None => Ok(self.meta.len()),
            Some(gzip) => gzip.len(),
        }
    }

    /// Whether what it holds is all in `other`, as while it is being copied from there.
    pub fn is_prefix_of(&mut self, other: &mut Self) -> io::Result<bool> {
        const COMPARED: u64 = 4096;
        if self.is_gzip() {
            let head = self.read_bytes(0, COMPARED as usize);
            // While it is being compressed it is cut off.
            let Ok(head) = head else { return Ok(true) };
            return Ok(other.read_bytes(0, head.len())? == head);
        }
        let len = self.file.metadata()?.len();
        if other.file.metadata()?.len() < len {
            return Ok(false);
        }
        for at in [0, len.saturating_sub(COMPARED)] {
            let bytes = self.read_bytes(at, COMPARED.min(len) as usize)?;
            if other.read_bytes(at, bytes.len())? != bytes {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Content for OpenFile {
    fn read_from(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &mut self.gzip {
            None => self.file.read_at(buffer, offset),
            Some(gzip) => gzip.read_from(buffer, offset),
        }
    }
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

/// The content of a gzipped file, decompressed from its start to wherever it is read.
struct Gunzip {
    file: Arc<File>,
    inside: MultiGzReader<FileCursor>,
    /// Where the next byte of `inside` is.
    at: u64,
}

impl Gunzip {
    fn new(file: &Arc<File>) -> Self {
        let file = Arc::clone(file);
        let inside = MultiGzReader::new(FileCursor(Arc::clone(&file), 0));
        Self {
            file,
            inside,
            at: 0,
        }
    }

    fn read_from(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset < self.at {
            *self = Self::new(&self.file);
        }
        if offset > self.at {
            let skipped = (&mut self.inside).take(offset - self.at);
            self.at += io::copy(&mut { skipped }, &mut io::sink())?;
            if self.at < offset {
                return Ok(0);
            }
        }
        let read = self.inside.read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }

    fn len(&mut self) -> io::Result<u64> {
        self.at += io::copy(&mut self.inside, &mut io::sink())?;
        Ok(self.at)
    }
}

/// Reads a file from its start, and leaves its own cursor alone.
struct FileCursor(Arc<File>, u64);

impl Read for FileCursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read_at(buffer, self.1)?;
        self.1 += read as u64;
        Ok(read)
    }
}

/// Reads content from an offset on, up to an end.
pub struct RangeReader<'a, C> {
    content: &'a mut C,
    /// Where the next byte is.
    pub at: u64,
    end: u64,
}

impl<'a, C: Content> RangeReader<'a, C> {
    /// Reads from `at` to `end`.
    pub fn new(content: &'a mut C, at: u64, end: u64) -> Self {
        Self { content, at, end }
    }
}

impl<C: Content> Read for RangeReader<'_, C> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = (buffer.len() as u64).min(self.end.saturating_sub(self.at));
        let read = self
            .content
            .read_from(&mut buffer[..most as usize], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// When a file was created and when it was last written. Not every file system knows the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileTimes {
    created: Option<SystemTime>,
    modified: SystemTime,
}

impl From<&Metadata> for FileTimes {
    fn from(meta: &Metadata) -> Self {
        Self::of(meta)
    }
}

impl FileTimes {
    /// The times of a file.
    pub fn of(meta: &Metadata) -> Self {
        Self {
            created: meta.created().ok(),
            modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }

    /// Whether a file is not an earlier generation than another. Two that were created in one tick
    /// of the file system's clock are told apart by their last writes.
    pub fn is_after(self, other: Self) -> bool {
        match (self.created, other.created) {
            (Some(own), Some(others)) if own != others => own > others,
            _ => self.modified >= other.modified,
        }
    }

    /// Whether a file was last written after another.
    pub fn was_written_after(self, other: Self) -> bool {
        self.modified > other.modified
    }
}
