//! Files that give no shipment: those that are not what was written are set aside for a person to
//! look at, and all of them are said.
//!
//! Knows how many there were. Knows nothing of who asked for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::report::messages::{Message, Reporter};
use crate::storage::spool::batch_file::ReadError;

/// How the names of files end that are not what was written.
const DAMAGED: &str = "damaged";

/// Sets damaged files aside, and counts those that give no shipment.
pub struct Quarantine {
    reporter: Reporter,
    files: AtomicU64,
    entries: AtomicU64,
}

impl Quarantine {
    /// Nothing is set aside yet.
    pub fn new(reporter: Reporter) -> Self {
        Self {
            reporter,
            files: AtomicU64::new(0),
            entries: AtomicU64::new(0),
        }
    }

    /// How many files are damaged or could not be read.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// How many entries, as far as they had been counted, lie in files that were set aside.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Says why a file gives no shipment, and sets it aside if it is damaged. So many of its
    /// entries were counted on.
    pub fn trouble(&self, path: &Path, why: &ReadError, entries: usize) {
        // What a later version wrote is that one's to deliver.
        if !matches!(why, ReadError::Later) {
            self.files.fetch_add(1, Ordering::Relaxed);
        }
        let mut aside = None;
        if matches!(why, ReadError::Damaged(_)) {
            aside = set_aside(path);
        }
        if aside.is_some() {
            self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        }
        self.reporter.say(&Message::Spoiled {
            file: &aside.as_deref().unwrap_or(path).display().to_string(),
            why: &why.to_string(),
            damaged: aside.is_some(),
        });
    }
}

/// Moves a file out of its folder, so that the folder can go, under a name that tells both.
fn set_aside(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    let name = format!(
        "{}.{}.{DAMAGED}",
        folder.file_name()?.display(),
        path.file_stem()?.display()
    );
    let aside = folder.parent()?.join(name);
    fs::rename(path, &aside).ok().map(|()| aside)
}
