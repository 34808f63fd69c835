//! A process's folder in the spool: whose it is shows in a lock that dies with its owner.
//!
//! Knows locks, and how folders come and go while others look. Knows nothing of what the files in
//! them hold.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::storage::lock::Lock;
use crate::storage::spool::destination::Destination;
use crate::storage::spool::{BATCH, TEMPORARY, private};

const LOCK: &str = "lock";
const DESTINATION: &str = "destination";

/// A folder that is ours: nobody else changes what is in it while this lives.
#[derive(Debug)]
pub struct OwnedDir {
    path: PathBuf,
    _lock: Lock,
}

impl OwnedDir {
    /// Makes a folder of our own. `name` gives further names when one is taken.
    pub fn create(
        dir: &Path,
        destination: &Destination,
        mut name: impl FnMut() -> String,
    ) -> io::Result<Self> {
        // Somebody who tidies up may take an empty folder away before it is locked; never twice
        // in a row for long.
        for _ in 0..1_000 {
            let path = dir.join(name());
            match private::make_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                made => made?,
            }
            if let Some(folder) = Self::lock(&path)? {
                let destination = destination.to_json().to_string();
                let file = private::make_file(&path.join(DESTINATION));
                let written = file.and_then(|mut file| file.write_all(destination.as_bytes()));
                if written.is_err() {
                    folder.remove_if_empty();
                }
                return written.map(|()| folder);
            }
        }
        Err(io::Error::other("its folders vanish as they are made"))
    }

    /// Takes a folder over if its owner is gone.
    pub fn adopt(path: &Path) -> io::Result<Option<Self>> {
        // A folder without its lock was never filled, or is just going.
        match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Self::lock(path),
            _ => Ok(None),
        }
    }

    /// Gets the lock, or None if another has it or the folder went away meanwhile.
    fn lock(path: &Path) -> io::Result<Option<Self>> {
        let name = path.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&name);
        let lock = match lock {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            lock => lock?,
        };
        let Some(lock) = Lock::take(lock)? else {
            return Ok(None);
        };
        // The one before may have removed the file between our opening and locking it.
        let ours = lock.file().metadata()?;
        match fs::metadata(&name) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Ok(Some(Self {
                path: path.to_owned(),
                _lock: lock,
            })),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose requests a folder holds, where that can be told.
    pub fn destination(path: &Path) -> Option<Destination> {
        let text = fs::read(path.join(DESTINATION)).ok()?;
        Destination::from_json(&serde_json::from_slice(&text).ok()?)
    }

    /// The shipments in it, in their order. What a killed owner left half written goes.
    pub fn batches(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = batches(&self.path)?;
        for path in entries(&self.path)? {
            if path.extension().is_some_and(|e| e == TEMPORARY) {
                let _ = fs::remove_file(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Removes the folder if no shipment is in it. The lock goes last: who finds the folder
    /// before that, finds it taken.
    pub fn remove_if_empty(&self) {
        let others = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name != LOCK && name != DESTINATION
        };
        let Ok(entries) = entries(&self.path) else {
            return;
        };
        if !entries.iter().any(others) {
            for name in [DESTINATION, LOCK] {
                let _ = fs::remove_file(self.path.join(name));
            }
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// The shipments in a folder, whoever owns it.
pub fn batches(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = entries(path)?;
    found.retain(|path| path.extension().is_some_and(|e| e == BATCH));
    Ok(found)
}

/// The name of a folder whose owner started at a time, in nanoseconds since the epoch.
pub fn name(started: u64, process: u32) -> String {
    format!("{started:020}-{process}")
}

/// Whether a folder may be called so. Others in the directory are somebody else's.
fn is_name(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.split_once('-').is_some_and(|(started, process)| {
        started.len() == 20 && is_number(started) && is_number(process)
    })
}

/// The folders of a spool, oldest first.
pub fn all(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = entries(dir)?;
    found.retain(|path| {
        let name = path.file_name().and_then(std::ffi::OsStr::to_str);
        name.is_some_and(is_name) && path.is_dir()
    });
    found.sort();
    Ok(found)
}

/// Bytes of the files right in a directory.
pub fn bytes_in(path: &Path) -> u64 {
    let files = entries(path).unwrap_or_default().into_iter();
    let lengths = files.filter_map(|path| fs::symlink_metadata(path).ok());
    lengths.filter(fs::Metadata::is_file).map(|m| m.len()).sum()
}

fn entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect()
}
