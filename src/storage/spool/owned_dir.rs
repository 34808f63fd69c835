//! A process's own directory in the spool. A lock that dies with its owner shows whose it is.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::destination::DestinationRecord;
use super::{BATCH, TEMPORARY};
use crate::storage::lock::Lock;
use crate::storage::private_files::Dir;

const LOCK: &str = "lock";
const DESTINATION: &str = "destination";

/// The longest record of a destination that is read.
const MAX_RECORD: u64 = 1 << 20;

/// A directory that is ours: no other process changes what is in it while this lives.
#[derive(Debug)]
pub struct OwnedDir {
    spool: Arc<Dir>,
    name: OsString,
    dir: Dir,
    lock: Mutex<Option<Lock>>,
}

/// The result of trying to take a directory over.
#[derive(Debug)]
pub enum TakeOver {
    /// It is ours now.
    Taken(OwnedDir),
    /// Its owner is still running.
    InUse,
    /// It is gone.
    Gone,
}

impl OwnedDir {
    /// Creates a directory of our own. `name` returns another name at each call.
    pub fn create(
        spool: &Arc<Dir>,
        destination: &DestinationRecord,
        mut name: impl FnMut() -> String,
    ) -> io::Result<Self> {
        // Another process that tidies up may remove an empty directory before it is locked; never
        // twice in a row for long.
        for _ in 0..1_000 {
            let name = OsString::from(name());
            let dir = match spool.create_dir(&name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound && spool.is_linked() => {
                    continue;
                }
                created => created?,
            };
            if let TakeOver::Taken(own) = Self::lock(spool, name, dir)? {
                let record = destination.to_json().to_string();
                let file = own.dir.create_file(DESTINATION);
                return match file.and_then(|mut file| file.write_all(record.as_bytes())) {
                    Ok(()) => Ok(own),
                    Err(error) => {
                        own.remove_if_empty();
                        Err(error)
                    }
                };
            }
        }
        Err(io::Error::other("its folders vanish as they are created"))
    }

    /// Takes a directory over if its owner is gone.
    pub fn take_over(spool: &Arc<Dir>, name: &OsStr) -> io::Result<TakeOver> {
        let Some(dir) = open_trusted(spool, name)? else {
            return Ok(TakeOver::Gone);
        };
        // A directory without its lock was never filled, or is about to go.
        match spool.remove_dir(name) {
            Ok(()) => Ok(TakeOver::Gone),
            Err(error) => match error.kind() {
                io::ErrorKind::DirectoryNotEmpty => Self::lock(spool, name.to_owned(), dir),
                io::ErrorKind::NotFound => Ok(TakeOver::Gone),
                _ => Err(error),
            },
        }
    }

    /// Takes the lock, unless another process has it or the directory is gone.
    fn lock(spool: &Arc<Dir>, name: OsString, dir: Dir) -> io::Result<TakeOver> {
        let file = match dir.open_or_create_file(LOCK) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(TakeOver::Gone),
            file => file?,
        };
        let Some(lock) = Lock::take(file)? else {
            return Ok(TakeOver::InUse);
        };
        // The owner before may have removed the file between our opening and locking it.
        if !dir.is_file(LOCK, lock.file())? {
            return Ok(TakeOver::Gone);
        }
        Ok(TakeOver::Taken(Self {
            spool: Arc::clone(spool),
            name,
            dir,
            lock: Mutex::new(Some(lock)),
        }))
    }

    /// Releases the directory: its batches wait for the next run.
    pub fn release(&self) {
        self.remove_if_empty();
        drop(
            self.lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// The handle that everything in it is reached through.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The spool's directory that it is in.
    pub fn spool(&self) -> &Dir {
        &self.spool
    }

    /// Its name in the spool.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// The names of the batches in it, in their order. What a killed owner left half written is
    /// removed.
    pub fn batches(&self) -> io::Result<Vec<OsString>> {
        for name in self.dir.names()? {
            if has_extension(&name, TEMPORARY) {
                let _ = self.dir.remove_file(name);
            }
        }
        batches(&self.dir)
    }

    /// Removes the directory if no batch is in it; returns whether there was none. The lock goes
    /// last: whoever finds the directory before that, finds it locked.
    pub fn remove_if_empty(&self) -> bool {
        let other = |name: &OsString| name != LOCK && name != DESTINATION;
        let is_empty = self.dir.names().is_ok_and(|names| !names.iter().any(other));
        if is_empty {
            for name in [DESTINATION, LOCK] {
                let _ = self.dir.remove_file(name);
            }
            let _ = self.spool.remove_dir(&self.name);
        }
        is_empty
    }
}

/// Opens a directory of a spool to look at it. Returns None unless it is ours, and nobody else can
/// have changed what is in it.
pub fn open_trusted(spool: &Dir, name: &OsStr) -> io::Result<Option<Dir>> {
    let dir = match spool.open_dir(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        dir => dir?,
    };
    let access = dir.access()?;
    Ok((access.is_ours() && access.is_private()).then_some(dir))
}

/// The destination of the batches in a directory, where it is recorded.
pub fn destination(dir: &Dir) -> Option<DestinationRecord> {
    let mut text = Vec::new();
    let file = dir.open_file(DESTINATION).ok()?;
    file.take(MAX_RECORD).read_to_end(&mut text).ok()?;
    DestinationRecord::from_json(&serde_json::from_slice(&text).ok()?)
}

/// The names of the batches in a directory, in their order.
pub fn batches(dir: &Dir) -> io::Result<Vec<OsString>> {
    let mut names = dir.names()?;
    names.retain(|name| has_extension(name, BATCH));
    names.sort();
    Ok(names)
}

/// Whether a file name has this extension.
pub fn has_extension(name: &OsStr, extension: &str) -> bool {
    PathBuf::from(name)
        .extension()
        .is_some_and(|e| e == extension)
}

/// The name of a directory whose owner started at a time, in nanoseconds since the epoch.
pub fn name(started: u64, process: u32) -> String {
    format!("{started:020}-{process}")
}

/// Whether this is the name of a process's directory.
pub fn is_name(name: &OsStr) -> bool {
    process(name).is_some()
}

/// The process id in the name of a directory.
pub fn process(name: &OsStr) -> Option<u32> {
    let (started, process) = name.to_str()?.split_once('-')?;
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_time = started.len() == 20 && are_digits(started);
    process
        .parse()
        .ok()
        .filter(|_| is_time && are_digits(process))
}
