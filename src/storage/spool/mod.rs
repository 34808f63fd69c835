//! The spool: shipments on disk, from before their first try until their fate is known.
//!
//! Knows files, folders and locks. Knows nothing of entries, HTTP, retrying, or of when a shipment
//! is stored or removed: the backlog decides that.
//!
//! # What lies where
//!
//! ```text
//! DIR/                                   0700
//!   01763936400123456789-4711/           0700, one a process, named after its start and id
//!     lock                               locked as long as the process lives
//!     destination                        push address, tenant and user its shipments go to
//!     00000000000000000000.batch         0600, one a shipment, by its number
//!   01763936400123456789-4711.00000000000000000003.damaged
//! ```
//!
//! A `.batch` file is a header line of JSON and then the request bodies, one behind the other,
//! exactly as they go over the wire: `tail -n +2 FILE | zcat` shows them (without `zcat` at
//! `--gzip-level 0`). The header names version, number, time, destination, checkpoint, marks, and
//! for each request its labels, entries, length and CRC-32; it ends in a CRC-32 of itself.
//!
//! Constraints that shaped it: a shipment, all its streams and its marks, must become durable at
//! once, hence one file and one rename. Many programs share a directory without knowing each
//! other, and any may be killed at any moment, hence a folder each under a lock that the kernel
//! lets go (`flock`). Nobody runs in the background, hence the next run takes over what is left.
//!
//! # What is written and deleted when
//!
//! - A shipment is written under a temporary name and renamed before anybody may send it. With
//!   `--spool-sync` the file is synced before the rename and the folder after it; without, a power
//!   cut may lose what the kernel still held, a killed process loses nothing.
//! - It is removed when each of its entries has a fate and, if it has marks, when the checkpoint
//!   that covers them is on disk. If the marks belong to a checkpoint of another run, the file
//!   shrinks to a receipt instead: its header without requests, which that run reads and removes.
//! - A folder whose lock can be had is adopted, files and all, by the one process that gets it. An
//!   empty one is removed: its lock last, and whoever gets a lock checks that it is still the one
//!   in its place. Folders of another destination are not touched.
//! - A file that is not what was written moves up into DIR as `*.damaged`, for a person to look at.
//!
//! Storing costs 0.06 ms a small shipment and 0.2 ms one of 300 kB (1 MiB of lines), with
//! `--spool-sync` 9 ms on an SSD; taking over 10,000 orphans costs 0.2 s.
//!
//! # Exactly once, as a log query sees it, and its limits
//!
//! Nothing sealed is lost: from its rename on, a shipment is in the spool until its fate is known,
//! so at a kill it is in the spool, or settled, or both. What was not sealed at the kill is in the
//! file it came from, behind the highest mark on disk: that of the checkpoint or of a spooled
//! shipment, whichever is further ([`Spool::positions`]). Shipments hold all streams since the last
//! seal and one set of marks, so no line before a mark is outside of them. (A pipe cannot be read
//! again: what a kill finds unsealed, at most `--flush-interval` old, is lost with it.)
//!
//! Nothing shows twice: an entry is stamped once and encoded once, and the file keeps the very
//! bytes. Sent again after a lost answer, or after a kill between answer and removal, they are
//! equal entries to Loki, which suppresses them in its head block, or else when a log query merges
//! chunks (contract, section 4). Lines are read again only from behind the highest mark, so they
//! never get a second stamp.
//!
//! The limits are Loki's. Above its sharding rate (1.5 MB a second and stream) a repeat lands in
//! another shard and both show (trap T15), and a 204 may hide a loss (T16). A repeat more than an
//! hour behind its stream's newest entry is answered 400 though the first copy may be stored; this
//! counts as a refusal. Metric queries may count a repeat until Loki flushes its chunks.

mod batch_file;
mod destination;
mod owned_dir;
mod private;
mod quarantine;
mod scan;
mod stored_batch;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::entry::request::EncodedBatch;
use crate::report::messages::Reporter;
pub use crate::storage::spool::batch_file::ReadError;
pub use crate::storage::spool::destination::Destination;
use crate::storage::spool::owned_dir::OwnedDir;
use crate::storage::spool::quarantine::Quarantine;
pub use crate::storage::spool::stored_batch::{PreparedBatch, SpooledBatch};

/// How the names of shipments end.
const BATCH: &str = "batch";
/// How the names of files end that are not whole yet.
const TEMPORARY: &str = "tmp";

/// How a spool is set.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory.
    pub dir: PathBuf,
    /// The most bytes that may lie in it.
    pub size: u64,
    /// Whether each shipment is synced to the disk.
    pub sync: bool,
    /// Where this run's shipments go.
    pub destination: Destination,
    /// The checkpoint that this run's marks belong to.
    pub checkpoint: Option<String>,
    /// Whether this run only delivers: then it stores nothing.
    pub drain: bool,
}

/// A process's view of a spool directory.
pub struct Spool {
    options: Options,
    /// The first is our own, where one could be made; the others are adopted. Empty when closed.
    folders: Mutex<Vec<OwnedDir>>,
    aside: Quarantine,
}

impl Spool {
    /// Opens the spool: makes the directory if it is not there, and a folder of our own in it.
    ///
    /// # Errors
    /// If this cannot be done, with what to do about it.
    pub fn open(options: Options, reporter: Reporter) -> Result<Self> {
        let dir = &options.dir;
        let remedy = || {
            format!(
                "--spool: cannot write to {}; give a directory on a local disk that this user may \
                 write to",
                dir.display()
            )
        };
        if let Some(above) = dir.parent().filter(|above| !above.as_os_str().is_empty()) {
            fs::create_dir_all(above).with_context(remedy)?;
        }
        match crate::storage::spool::private::make_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.with_context(remedy)?,
        }
        let own = OwnedDir::create(dir, &options.destination, || {
            crate::storage::spool::owned_dir::name(
                crate::storage::spool::stored_batch::now(),
                std::process::id(),
            )
        });
        let folders = match own {
            // To deliver is what makes room again.
            Err(why) if options.drain && is_full(&why) => Vec::new(),
            own => vec![own.with_context(remedy)?],
        };
        Ok(Self {
            folders: Mutex::new(folders),
            aside: Quarantine::new(reporter),
            options,
        })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// The most bytes that may lie in it.
    pub fn size(&self) -> u64 {
        self.options.size
    }

    /// Prepares a shipment for storing, with its marks as the checkpoint describes them.
    pub fn draft(&self, shipment: &EncodedBatch, positions: Vec<Value>) -> PreparedBatch {
        PreparedBatch::new(shipment, positions, &self.options)
    }

    /// Stores a shipment: when this returns, a kill cannot take it away.
    ///
    /// # Errors
    /// If the disk does not take it; nothing of it is left there then.
    pub fn store(&self, draft: PreparedBatch, shipment: &EncodedBatch) -> io::Result<SpooledBatch> {
        // Held while writing, so that the folder is not closed under it.
        let folders = self.lock();
        let own = folders
            .first()
            .ok_or_else(|| io::Error::other("the spool is closed"))?;
        let name = format!("{:020}.{BATCH}", shipment.number);
        draft.store(own.path().join(name), shipment, self.options.sync)
    }

    /// Reads a shipment back; its marks stay with the [`SpooledBatch`]. A damaged file is set aside, and
    /// both that and a file that cannot be read now is said.
    ///
    /// # Errors
    /// If the file gives no shipment.
    pub fn load(&self, stored: &SpooledBatch) -> Result<EncodedBatch, ReadError> {
        let loaded = stored.load();
        loaded.inspect_err(|why| self.aside.trouble(&stored.path, why, stored.entries))
    }

    /// Removes a shipment that is settled. Marks that another run waits for stay as a receipt.
    pub fn remove(&self, stored: &SpooledBatch) {
        stored.remove(self.options.sync);
    }

    /// Takes over the shipments of runs that are gone, oldest first, and what of their folders is
    /// empty away. May be called again: it gives only what is newly found.
    pub fn adopt(&self) -> Vec<SpooledBatch> {
        let mut found = Vec::new();
        // Folders that cannot be looked at are another user's.
        for path in crate::storage::spool::owned_dir::all(&self.options.dir).unwrap_or_default() {
            let destination = OwnedDir::destination(&path);
            if destination.is_some_and(|other| other != self.options.destination) {
                continue;
            }
            let Ok(Some(folder)) = OwnedDir::adopt(&path) else {
                continue;
            };
            let batches = self.batches_of(&folder);
            if batches.is_empty() {
                folder.remove_if_empty();
            } else {
                found.extend(batches);
                self.lock().push(folder);
            }
        }
        found.sort_by_key(|(stored_at, _)| *stored_at);
        found.into_iter().map(|(_, stored)| stored).collect()
    }

    /// The shipments of a folder that are ours to deliver, in their order, with times that rise
    /// with it even if the clock did not.
    fn batches_of(&self, folder: &OwnedDir) -> Vec<(u64, SpooledBatch)> {
        let mut latest = 0;
        let mut batches = Vec::new();
        for path in folder.batches().unwrap_or_default() {
            match SpooledBatch::found(path.clone(), &self.options) {
                Ok(Some((stored_at, stored))) => {
                    latest = stored_at.max(latest);
                    batches.push((latest, stored));
                }
                Ok(None) => {}
                Err(why) => self.aside.trouble(&path, &why, 0),
            }
        }
        batches
    }

    /// The other destinations that shipments in the spool go to, as messages name them.
    pub fn elsewhere(&self) -> Vec<String> {
        crate::storage::spool::scan::elsewhere(&self.options.dir, &self.options.destination)
    }

    /// All marks of this run's checkpoint in the spool, whoever holds them: they outrank what the
    /// checkpoint says.
    pub fn positions(&self) -> Vec<Value> {
        let checkpoint = self.options.checkpoint.as_deref();
        checkpoint.map_or_else(Vec::new, |own| {
            crate::storage::spool::scan::positions(&self.options.dir, own)
        })
    }

    /// Bytes that others hold in the directory, as they are now, damaged files included.
    pub fn used_by_others(&self) -> u64 {
        crate::storage::spool::scan::used_but(&self.options.dir, &self.held())
    }

    /// Bytes in our own and adopted shipments.
    #[cfg(test)]
    pub fn used(&self) -> u64 {
        let batches = self
            .held()
            .into_iter()
            .map(|path| crate::storage::spool::owned_dir::batches(&path));
        let batches = batches.flat_map(Result::unwrap_or_default);
        batches.map(|path| fs::metadata(path).unwrap().len()).sum()
    }

    /// The folders that are ours.
    fn held(&self) -> Vec<PathBuf> {
        self.lock().iter().map(|f| f.path().to_owned()).collect()
    }

    /// How many files are damaged or could not be read.
    pub fn unreadable(&self) -> u64 {
        self.aside.files()
    }

    /// How many entries, counted as they were taken over or stored, lie in damaged files: no run
    /// delivers them.
    pub fn set_aside(&self) -> u64 {
        self.aside.entries()
    }

    /// Lets go of everything: what is left waits for the next run, and empty folders go. Nothing
    /// can be stored any more.
    pub fn close(&self) {
        for folder in self.lock().drain(..) {
            folder.remove_if_empty();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OwnedDir>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a disk takes no more, as far as we are concerned.
fn is_full(why: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(why.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.close();
    }
}
