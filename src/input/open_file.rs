//! An open file: what it begins with, when it came to be, and where reading it begins.
//!
//! Opens, and reads the first bytes; reads no line. Knows nothing of the other files of its name.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::OFlags;

use crate::input::file_names;
use crate::storage::file_identity::{DevInode, FileRecord, Fingerprint, HEAD};

/// Where a file begins that the checkpoint does not know and that did not appear while we looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum StartAt {
    /// At the start
    Start,
    /// At the end: ship only new lines
    End,
}

/// A file that is open, and where reading it is to begin.
pub struct OpenFile {
    /// The file.
    pub file: File,
    /// What is known of it.
    pub meta: Metadata,
    /// What it begins with.
    pub head: Vec<u8>,
    /// Where reading begins.
    pub offset: u64,
}

impl OpenFile {
    /// Opens a file, to be read from its start. A pipe that nobody has opened for writing is not
    /// waited for.
    ///
    /// # Errors
    /// If that fails.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        let file = match File::options().read(true).custom_flags(flags).open(path) {
            // Somebody has a lease on it, and gives it back to those that wait.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => File::open(path)?,
            Err(error) if is_socket(path) => {
                return Err(io::Error::new(error.kind(), "it is a socket"));
            }
            opened => opened?,
        };
        let meta = file.metadata()?;
        let head = if meta.is_file() {
            head_of(&file, HEAD)?
        } else {
            Vec::new()
        };
        Ok(Self {
            file,
            meta,
            head,
            offset: 0,
        })
    }

    /// Whether it is made up as it is read, as the files of `/proc` are: it has no size, and is another
    /// one each time.
    pub fn is_made_up(&self) -> bool {
        let is_empty = |meta: Metadata| meta.len() == 0;
        self.meta.is_file() && !self.head.is_empty() && self.file.metadata().is_ok_and(is_empty)
    }

    /// Where it lies.
    pub fn place(&self) -> DevInode {
        DevInode::from(&self.meta)
    }

    /// What the checkpoint is to hold of it under a name.
    pub fn state(&self, name: &Path) -> FileRecord {
        FileRecord {
            path: name.to_owned(),
            place: self.place(),
            signature: Fingerprint::of(&self.head),
            offset: self.offset,
            unread: self.offset < self.meta.len(),
        }
    }

    /// When it came to be.
    pub fn born(&self) -> FileTimes {
        FileTimes::of(&self.meta)
    }

    /// Begins where it was told.
    #[must_use]
    pub fn begun(mut self, begin: StartAt, name: &Path) -> Self {
        self.offset = match begin {
            // A copy of what was read begins behind that.
            StartAt::Start => self.offset,
            // The end of what is compressed is found by reading it.
            StartAt::End if file_names::is_gzip(name) => u64::MAX,
            StartAt::End => self.meta.len(),
        };
        self
    }

    /// Where it is to be gone on with if it is a copy of a file that began with this `signature` and
    /// was read up to `offset`.
    pub fn copied(&self, signature: Fingerprint, offset: u64) -> Option<u64> {
        let is_copy = signature.len() > 0 && signature.fits(&self.head);
        is_copy.then(|| offset.min(self.meta.len()))
    }

    /// Goes on at an offset, if the file still reaches so far; else it was cut short, and begins
    /// anew. How far a compressed file reaches shows in reading.
    #[must_use]
    pub fn resumed(mut self, offset: u64, name: &Path) -> Self {
        let reaches = offset <= self.meta.len() || file_names::is_gzip(name);
        self.offset = if reaches { offset } else { 0 };
        self
    }
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

/// When a file came to be, and when it was last written. Not every file system knows the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileTimes {
    created: Option<SystemTime>,
    modified: SystemTime,
}

impl FileTimes {
    /// Of a file.
    pub fn of(meta: &Metadata) -> Self {
        Self {
            created: meta.created().ok(),
            modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }

    /// Whether a file is a later generation than another. Two that were created in one tick of the
    /// file system's clock are told apart by their last writes.
    pub fn is_after(self, other: Self) -> bool {
        match (self.created, other.created) {
            (Some(own), Some(others)) if own != others => own > others,
            _ => self.modified >= other.modified,
        }
    }

    /// Whether it came to be, or was last written, at a moment or after it.
    pub fn is_since(self, moment: SystemTime) -> bool {
        self.created.unwrap_or(self.modified) >= moment
    }
}

/// The first bytes of a file, at most `most`.
///
/// # Errors
/// Those of reading.
pub fn head_of(file: &File, most: usize) -> io::Result<Vec<u8>> {
    let mut head = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match file.read_at(&mut head[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(filled);
    Ok(head)
}
