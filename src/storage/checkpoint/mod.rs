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

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError as Busy};
use std::time::{Duration, Instant};

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
    state: Mutex<CheckpointState>,
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
        let state = match file.read()? {
            Some(bytes) if !bytes.is_empty() => read(&bytes).map_err(|why| {
                anyhow!(
                    "--checkpoint: {} is no checkpoint that can be read ({why}); name another \
                     file, or move it away to begin anew, with each file where --from says",
                    file.path().display()
                )
            })?,
            _ => CheckpointState::default(),
        };
        Ok(Self {
            file,
            state: Mutex::new(state),
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

    /// Notes that a name or pattern is looked for. Returns whether an earlier run looked for it:
    /// then a file of that name which the checkpoint does not have appeared since.
    pub fn watch(&self, name: &Path) -> bool {
        self.state().watch(&key(name))
    }

    /// Whether this or an earlier run looks for a name, as [`key()`] returns it.
    pub fn is_watched(&self, name: &Path) -> bool {
        self.state().is_watched(name)
    }

    /// Merges a record from a spooled batch, which may be ahead. To be called before any file is
    /// opened.
    pub fn merge_newer(&self, mut record: FileRecord) {
        record.path = key(&record.path);
        self.state().merge_newer(record);
    }

    /// All files that it has, with their numbers.
    pub fn files(&self) -> BTreeMap<FileId, FileRecord> {
        self.state().files().clone()
    }

    /// Adds a file. Returns its number.
    pub fn add(&self, record: FileRecord) -> FileId {
        self.state().add(record)
    }

    /// Sets the fingerprint of a file, of which more has been read.
    pub fn set_fingerprint(&self, id: FileId, fingerprint: Fingerprint) {
        self.state().update(id, |own| own.fingerprint = fingerprint);
    }

    /// Sets the form of the times in a file.
    pub fn set_time_form(&self, id: FileId, form: Option<String>) {
        self.state().update(id, |own| own.times.form = form);
    }

    /// The content of a file is at another inode now.
    pub fn moved(&self, id: FileId, at: DevInode) {
        self.state().moved(id, at);
    }

    /// Notes the size of a file.
    pub fn set_size(&self, id: FileId, size: u64) {
        self.state().update(id, |own| own.size = size);
    }

    /// Forgets a file once everything up to `end` is settled: nothing after it will be read.
    pub fn finished(&self, id: FileId, end: u64) {
        self.state().finished(id, end);
    }

    /// Forgets a file.
    pub fn forget(&self, id: FileId) {
        self.state().forget(id);
    }

    /// The record of a file of this run, as a spooled batch needs it with the offset of its
    /// position.
    pub fn describe(&self, id: FileId) -> Option<FileRecord> {
        self.state().files().get(&id).cloned()
    }

    /// Everything up to these positions has its fate.
    pub fn settled(&self, positions: &FilePositions) {
        let mut state = self.state();
        positions.iter().for_each(|mark| state.settled(*mark));
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
        let change = self.state().take_change();
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
                self.state().put_back_change();
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

    fn state(&self) -> MutexGuard<'_, CheckpointState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
