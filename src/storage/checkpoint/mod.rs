//! The checkpoint: how far each file was settled, kept on disk for the next run.
//!
//! Shared by the sources, which tell it of files, and the ship thread, which tells it what is
//! settled; each call is a short one under a lock that is never held while it is written. Moves
//! with nothing else. Knows no entry, no request and no way to read a log.

mod canonical_path;
mod file;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError as Busy};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow};

use crate::entry::{FileId, FilePositions};
use crate::report::messages::{Message, Reporter};
pub use crate::storage::checkpoint::canonical_path::key;
use crate::storage::checkpoint::file::CheckpointFile;
pub use crate::storage::checkpoint::file::files_of;
use crate::storage::checkpoint::state::CheckpointState;
use crate::storage::file_identity::{DevInode, FileRecord, Fingerprint};

/// The least time between two writes.
const INTERVAL: Duration = Duration::from_secs(1);

/// How far each file was settled.
pub struct Checkpoint {
    file: CheckpointFile,
    /// When the file was last written before this run.
    written: Option<SystemTime>,
    known: Mutex<CheckpointState>,
    writing: Mutex<Writing>,
    saved: OnceLock<Saved>,
    reporter: Reporter,
}

/// Who must know what a checkpoint on disk covers: asked for a token before it is put together, and
/// told it when that is written.
struct Saved {
    before: Box<dyn Fn() -> u64 + Send + Sync>,
    after: Box<dyn Fn(u64) + Send + Sync>,
    make_room: Box<dyn Fn() -> bool + Send + Sync>,
}

/// How writing goes; held while it does.
#[derive(Default)]
struct Writing {
    tried: Option<Instant>,
    failed: bool,
}

impl Checkpoint {
    /// Opens a checkpoint, or begins one if there is no such file. With `writable` unset (a dry
    /// run) it is only looked at.
    ///
    /// # Errors
    /// If it is damaged, no checkpoint at all, of a later version, in use, or cannot be written.
    pub fn open(path: &Path, writable: bool, reporter: Reporter) -> Result<Self> {
        let file = CheckpointFile::take(path, writable)?;
        let known = match file.read()? {
            Some(bytes) => read(&bytes).map_err(|why| {
                anyhow!(
                    "--checkpoint: {} is no checkpoint that can be read ({why}); name another \
                     file, or move it away to begin anew, with each file where --from says",
                    file.path().display()
                )
            })?,
            None => CheckpointState::default(),
        };
        Ok(Self {
            written: file.written(),
            file,
            known: Mutex::new(known),
            writing: Mutex::default(),
            saved: OnceLock::new(),
            reporter,
        })
    }

    /// Calls `before` whenever it is about to be put together, and `after`, with what that gave,
    /// once it is on disk: what was settled before the one may be forgotten after the other. If it
    /// cannot be written, `make_room` is called, and if that returns true it is tried once more.
    pub fn on_saved(
        &self,
        before: impl Fn() -> u64 + Send + Sync + 'static,
        after: impl Fn(u64) + Send + Sync + 'static,
        make_room: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        let (before, after) = (Box::new(before), Box::new(after));
        let make_room = Box::new(make_room);
        // There is one pipeline, so there is nothing in it yet.
        let _ = self.saved.set(Saved {
            before,
            after,
            make_room,
        });
    }

    /// Whether this is a file that it is made of, which no source must read.
    pub fn owns(&self, path: &Path) -> bool {
        self.file.is(path)
    }

    /// When it was last written by an earlier run.
    pub fn written(&self) -> Option<SystemTime> {
        self.written
    }

    /// Notes that a name or pattern is looked for; gives whether an earlier run looked for it. Then
    /// a file it names that the checkpoint does not know has appeared since.
    pub fn watch(&self, name: &Path) -> bool {
        self.known().watch(&key(name))
    }

    /// Notes a state from elsewhere that may be ahead: the mark of a spooled shipment. To be called
    /// before any file is opened.
    pub fn raise(&self, state: &FileRecord) {
        let path = key(&state.path);
        self.known().raise(&FileRecord {
            path,
            ..state.clone()
        });
    }

    /// How far the file that lies at `place` and begins with `head` was settled by an earlier run.
    pub fn resume(&self, place: DevInode, head: &[u8]) -> Option<u64> {
        self.known().resume(place, head)
    }

    /// The files of earlier runs that were read by this name and not met yet.
    pub fn former(&self, path: &Path) -> Vec<FileRecord> {
        let path = key(path);
        self.former_where(|own| own == path)
    }

    /// The files of earlier runs that were read by such names, as [`key()`] gives them, and not met yet.
    pub fn former_where(&self, fits: impl Fn(&Path) -> bool) -> Vec<FileRecord> {
        self.known().former_where(fits)
    }

    /// The names, as [`key()`] gives them, of all files of earlier runs that were not met yet.
    pub fn former_paths(&self) -> Vec<PathBuf> {
        self.known().former_paths()
    }

    /// Gives up the files of [`Checkpoint::former`]: they were looked for and not found.
    pub fn forget_former(&self, path: &Path) {
        self.known().forget_former(&key(path));
    }

    /// Gives up the files of earlier runs whose names are gone, so that the checkpoint does not
    /// grow for ever; but not those this run looks for, which may come back.
    pub fn forget_gone(&self) {
        let is_gone = |path: &PathBuf| {
            let there = fs::symlink_metadata(path).map_err(|error| error.kind());
            there.err() == Some(io::ErrorKind::NotFound)
        };
        let paths = self.former_paths();
        let gone: HashSet<PathBuf> = paths.into_iter().filter(is_gone).collect();
        self.known().forget_gone(&gone);
    }

    /// A file of this run; its offset is where reading begins.
    pub fn register(&self, id: FileId, mut state: FileRecord) {
        state.path = key(&state.path);
        self.known().register(id, state);
    }

    /// The file was short and more of its first bytes are known now.
    pub fn refine(&self, id: FileId, signature: Fingerprint) {
        self.known().refine(id, signature);
    }

    /// The file has so many bytes to be read for now.
    pub fn sized(&self, id: FileId, size: u64) {
        self.known().sized(id, size);
    }

    /// Whether a file was or is read by such a name, as [`key()`] gives it.
    pub fn knows(&self, fits: impl Fn(&Path) -> bool) -> bool {
        self.known().knows(fits)
    }

    /// Nothing behind `end` will be read of the file: once that is settled it can be forgotten.
    pub fn finished(&self, id: FileId, end: u64) {
        self.known().finished(id, end);
    }

    /// What the file held is gone.
    pub fn forget(&self, id: FileId) {
        self.known().forget(id);
    }

    /// A file of this run as it stands: with the offset of the mark in its place, what a spooled
    /// shipment needs to know of it.
    pub fn describe(&self, id: FileId) -> Option<FileRecord> {
        self.known().file(id).cloned()
    }

    /// Everything up to these marks has its fate.
    pub fn settled(&self, positions: &FilePositions) {
        let mut known = self.known();
        positions.iter().for_each(|mark| known.settled(*mark));
    }

    /// Saves where the files of this run begin. Does not put off the first save of what is settled.
    pub fn begin(&self) {
        let mut writing = self.writing();
        // What fails is said, and tried again when something is settled.
        let _ = self.write(&mut writing);
        writing.tried = None;
    }

    /// Saves what changed if the last write is a second ago, and says once that it fails. It is
    /// tried on and on.
    pub fn keep(&self, now: Instant) {
        // What fails was said.
        let _ = self.save_if_due(now);
    }

    /// Saves what changed if the last write is a second ago; gives whether it did.
    ///
    /// # Errors
    /// If it cannot be written; what it was stays.
    fn save_if_due(&self, now: Instant) -> io::Result<bool> {
        let mut writing = match self.writing.try_lock() {
            Ok(writing) => writing,
            // Somebody writes just now.
            Err(Busy::WouldBlock) => return Ok(false),
            Err(Busy::Poisoned(writing)) => writing.into_inner(),
        };
        let due = writing.tried.is_none_or(|tried| now >= tried + INTERVAL);
        if due {
            self.write(&mut writing)
        } else {
            Ok(false)
        }
    }

    /// Saves what changed; gives whether anything had.
    ///
    /// # Errors
    /// If it cannot be written, which is said when it begins; what it was stays.
    pub fn save(&self) -> io::Result<bool> {
        self.write(&mut self.writing())
    }

    fn write(&self, writing: &mut Writing) -> io::Result<bool> {
        if !self.file.is_writable() {
            return Ok(false);
        }
        let token = self.saved.get().map(|saved| (saved.before)());
        let covered = || {
            if let (Some(saved), Some(token)) = (self.saved.get(), token) {
                (saved.after)(token);
            }
        };
        let change = self.known().take_change();
        let Some(change) = change else {
            // What is on disk says it all.
            covered();
            return Ok(false);
        };
        let change = file::framed(change);
        let mut result = self.file.replace(&change);
        let make_room = || self.saved.get().is_some_and(|saved| (saved.make_room)());
        if result.is_err() && make_room() {
            result = self.file.replace(&change);
        }
        writing.tried = Some(Instant::now());
        let failed_before = std::mem::replace(&mut writing.failed, result.is_err());
        match &result {
            Ok(()) => covered(),
            Err(why) => {
                self.known().put_back_change();
                if !failed_before {
                    self.say_failure(why);
                }
            }
        }
        result.map(|()| true)
    }

    fn say_failure(&self, why: &io::Error) {
        self.reporter.say(&Message::CheckpointFailed {
            what: &self.file.path().display().to_string(),
            why: &why.to_string(),
        });
    }

    fn known(&self) -> MutexGuard<'_, CheckpointState> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what an earlier run knew.
fn read(bytes: &[u8]) -> Result<CheckpointState> {
    let content = crate::storage::checkpoint::file::content(bytes)?;
    // Earlier versions kept names as they were given.
    CheckpointState::from_json(&content, key).context("a part of it is missing or strange")
}
