//! The checkpoint: records on disk how far each file is settled (delivered, refused or spooled), so that
//! the next run resumes there.
//!
//! The sources add files, and the sender reports what is settled. Every call is short: the lock is not
//! held while the checkpoint is written.

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
use crate::storage::checkpoint::canonical_path::Keys;
pub use crate::storage::checkpoint::canonical_path::key;
use crate::storage::checkpoint::file::CheckpointFile;
pub use crate::storage::checkpoint::file::{files_of, sending};
use crate::storage::checkpoint::state::CheckpointState;
use crate::storage::file_identity::{DevInode, FileRecord, Fingerprint};

/// The minimum time between two writes.
const INTERVAL: Duration = Duration::from_secs(1);

/// A checkpoint.
pub struct Checkpoint {
    file: CheckpointFile,
    state: Mutex<CheckpointState>,
    writing: Mutex<Writing>,
    saved: OnceLock<Saved>,
    reporter: Reporter,
}

/// Callbacks that keep the spool in step: one returns a token before the content is collected, the other
/// is called with it when the content is on disk.
struct Saved {
    before: Box<dyn Fn() -> u64 + Send + Sync>,
    after: Box<dyn Fn(u64) + Send + Sync>,
    make_room: Box<dyn Fn() -> bool + Send + Sync>,
}

/// The state of writing, locked during a write.
#[derive(Default)]
struct Writing {
    tried: Option<Instant>,
    failed: bool,
}

impl Checkpoint {
    /// Opens a checkpoint, or creates one if the file does not exist. Unless it is `writable` (a dry run)
    /// it is only read.
    ///
    /// # Errors
    /// If the file is damaged, not a checkpoint, of a later version, in use, or cannot be written.
    pub fn open(path: &Path, writable: bool, reporter: Reporter) -> Result<Self> {
        let file = CheckpointFile::take(path, writable)?;
        let state = match file.read()? {
            Some(bytes) if !bytes.is_empty() => read(&bytes).map_err(|why| {
                anyhow!(
                    "--checkpoint: {} is not a valid checkpoint ({why}); name another file, or move \
                     it away to start over, with each file where --from says",
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

    /// Sets callbacks for each write. `before` is called before the content is collected, and `after`,
    /// with its result, once it is on disk: everything settled by the first call is then covered. If the
    /// write fails, `make_room` is called, and the write is repeated if that returns true.
    pub fn on_saved(
        &self,
        before: impl Fn() -> u64 + Send + Sync + 'static,
        after: impl Fn(u64) + Send + Sync + 'static,
        make_room: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        let (before, after) = (Box::new(before), Box::new(after));
        let make_room = Box::new(make_room);
        // Set once, by the only pipeline.
        let _ = self.saved.set(Saved {
            before,
            after,
            make_room,
        });
    }

    /// Whether a path is one of the checkpoint's own files, which must not be read as input.
    pub fn owns(&self, path: &Path) -> bool {
        self.file.is(path)
    }

    /// Records that this run looks for a path or pattern. Returns whether an earlier run did so, too: then
    /// a matching file without a record has appeared since.
    pub fn watch(&self, name: &Path) -> bool {
        self.state().watch(&key(name))
    }

    /// Whether this run or an earlier one looked for a path or pattern, as returned by [`key()`].
    pub fn is_watched(&self, name: &Path) -> bool {
        self.state().is_watched(name)
    }

    /// Merges a record from a spooled batch, which may be ahead of the checkpoint. Must be called before
    /// any file is opened.
    pub fn merge_newer(&self, mut record: FileRecord) {
        record.path = key(&record.path);
        self.state().merge_newer(record);
    }

    /// All records, with the numbers of the files.
    pub fn files(&self) -> BTreeMap<FileId, FileRecord> {
        self.state().files().clone()
    }

    /// Adds a file. Returns its number.
    pub fn add(&self, record: FileRecord) -> FileId {
        self.state().add(record)
    }

    /// Updates the fingerprint of a file.
    pub fn set_fingerprint(&self, id: FileId, fingerprint: Fingerprint) {
        self.state().update(id, |own| own.fingerprint = fingerprint);
    }

    /// Sets the form of the times in a file.
    pub fn set_time_form(&self, id: FileId, form: Option<String>) {
        self.state().update(id, |own| own.times.form = form);
    }

    /// Records that the content of a file is at another inode now.
    pub fn moved(&self, id: FileId, at: DevInode) {
        self.state().moved(id, at);
    }

    /// Updates the size of a file.
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

    /// Records that everything up to these positions is settled.
    pub fn settled(&self, positions: &FilePositions) {
        let mut state = self.state();
        positions.iter().for_each(|mark| state.settled(*mark));
    }

    /// Saves the initial positions of this run's files. Does not delay the first regular save.
    pub fn begin(&self) {
        let mut writing = self.writing();
        // A failure is reported, and retried when something is settled.
        let _ = self.write(&mut writing);
        writing.tried = None;
    }

    /// Saves changes if the last write was at least a second ago. A failure is reported once and retried.
    pub fn keep(&self, now: Instant) {
        // The failure was reported.
        let _ = self.save_if_due(now);
    }

    /// Saves changes if the last write was at least a second ago. Returns whether it did.
    ///
    /// # Errors
    /// If the file cannot be written; the old one stays.
    fn save_if_due(&self, now: Instant) -> io::Result<bool> {
        let mut writing = match self.writing.try_lock() {
            Ok(writing) => writing,
            // Another thread is writing.
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

    /// Saves changes. Returns whether there were any.
    ///
    /// # Errors
    /// If the file cannot be written, which is reported once; the old one stays.
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
        let change = {
            let mut state = self.state();
            let changed = state.take_change();
            changed.then(|| file::framed(|out| state.write_members(out)))
        };
        let Some(change) = change else {
            // The file on disk is up to date.
            covered();
            return Ok(false);
        };
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

/// Reads the state of an earlier run.
fn read(bytes: &[u8]) -> Result<CheckpointState> {
    let members = file::members(bytes)?;
    // Earlier versions stored paths as given.
    let mut keys = Keys::default();
    CheckpointState::from_members(&members, |name| keys.key(name)).context("incomplete or corrupt")
}
