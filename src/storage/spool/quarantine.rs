//! Quarantine: files that hold no batch that can be read. Damaged ones are moved aside for a person
//! to look at, and all of them are reported.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::batch_file::ReadError;
use super::owned_dir::OwnedDir;
use crate::report::messages::{Message, Reporter};
use crate::storage::private_files::Dir;

/// The extension of files that are damaged.
pub const DAMAGED: &str = "damaged";

/// Moves damaged files aside, and counts files that hold no batch that can be read.
pub struct Quarantine {
    reporter: Reporter,
    files: AtomicU64,
    entries: AtomicU64,
}

impl Quarantine {
    /// An empty one.
    pub fn new(reporter: Reporter) -> Self {
        Self {
            reporter,
            files: AtomicU64::new(0),
            entries: AtomicU64::new(0),
        }
    }

    /// The number of files that are damaged or could not be read, and of directories that could not
    /// be taken over.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// The number of entries, as far as they had been counted, in files that were moved aside.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Reports why the batches of a directory are left in it.
    pub fn leave(&self, dir: &Dir, why: &io::Error) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.reporter.say(&Message::SpoolLeft {
            folder: &dir.path().display().to_string(),
            why: &why.to_string(),
            // An error of the system may be over by then; what is in the way of the lock is not.
            in_the_way: why.raw_os_error().is_none(),
        });
    }

    /// Reports why a file holds no batch that can be read, and moves it aside if it is damaged.
    /// `entries` is how many entries of it had been counted.
    pub fn add(&self, dir: &OwnedDir, name: &OsStr, why: &ReadError, entries: usize) {
        // A file of a later version is that version's to deliver.
        if !matches!(why, ReadError::Later) {
            self.files.fetch_add(1, Ordering::Relaxed);
        }
        let mut moved = None;
        if matches!(why, ReadError::Damaged(_)) {
            moved = move_aside(dir, name);
        }
        if moved.is_some() {
            self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        }
        let damaged = moved.is_some();
        let path = moved.unwrap_or_else(|| dir.dir().path().join(name));
        self.reporter.say(&Message::Spoiled {
            file: &path.display().to_string(),
            why: &why.to_string(),
            damaged,
        });
    }
}

/// Moves a file out of its directory, so that the directory can be removed, under a name made of
/// both. Returns where it is then.
fn move_aside(dir: &OwnedDir, name: &OsStr) -> Option<PathBuf> {
    let stem = PathBuf::from(name);
    let stem = stem.file_stem()?.display();
    let new_name = format!("{}.{stem}.{DAMAGED}", dir.name().display());
    dir.dir().move_file(name, dir.spool(), &new_name).ok()?;
    Some(dir.spool().path().join(new_name))
}
