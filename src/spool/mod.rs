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
//! shipment, whichever is further ([`Spool::marks`]). Shipments hold all streams since the last
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

mod file;
mod folder;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::note::{Message, Note};
use crate::shipment::Shipment;
pub use file::Unreadable;
use file::{Head, Part};
use folder::Folder;

/// How the names of shipments end.
const BATCH: &str = "batch";
/// How the names of files end that are not whole yet.
const TEMPORARY: &str = "tmp";
/// How the names of files end that are not what was written.
const DAMAGED: &str = "damaged";

/// Where shipments go. Those for another place are none of our business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The push address, without credentials.
    pub url: String,
    /// The tenant, where one is named.
    pub tenant: Option<String>,
    /// The user of basic auth: gateways take the tenant from it.
    pub user: Option<String>,
}

impl Destination {
    fn to_json(&self) -> Value {
        json!({ "url": self.url, "tenant": self.tenant, "user": self.user })
    }

    /// As a message names it.
    fn shown(&self) -> String {
        let named = |what: &str, name: &Option<String>| {
            let name = name.as_ref();
            name.map_or_else(String::new, |name| format!(", {what} {name}"))
        };
        format!(
            "{}{}{}",
            self.url,
            named("tenant", &self.tenant),
            named("user", &self.user)
        )
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            url: text("url")?,
            tenant: text("tenant"),
            user: text("user"),
        })
    }
}

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
}

/// A shipment in the spool.
#[derive(Debug, Clone)]
pub struct Stored {
    path: PathBuf,
    /// How many entries it holds; 0 for a receipt.
    pub entries: usize,
    /// How long its file is.
    pub bytes: u64,
    /// How far files are read with it, as the checkpoint described them; empty where another
    /// run's checkpoint did.
    pub marks: Vec<Value>,
    /// Whether marks of another run's checkpoint must be kept when it is removed.
    foreign_marks: bool,
}

/// A shipment about to be stored: how much room it takes is known.
pub struct Draft {
    head: Head,
    line: String,
}

impl Draft {
    /// How long its file will be.
    pub fn bytes(&self) -> u64 {
        self.line.len() as u64 + self.head.length()
    }
}

/// A process's view of a spool directory.
pub struct Spool {
    options: Options,
    note: Note,
    /// The first is our own; the others are adopted. Empty when closed.
    folders: Mutex<Vec<Folder>>,
    used: AtomicU64,
    damaged: AtomicU64,
    set_aside: AtomicU64,
}

impl Spool {
    /// Opens the spool: makes the directory if it is not there, and a folder of our own in it.
    ///
    /// # Errors
    /// If this cannot be done, with what to do about it.
    pub fn open(options: Options, note: Note) -> Result<Self> {
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
        match folder::make_private(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.with_context(remedy)?,
        }
        let own = Folder::create(dir, &options.destination, || {
            format!("{:020}-{}", now(), std::process::id())
        });
        let own = own.with_context(remedy)?;
        Ok(Self {
            note,
            folders: Mutex::new(vec![own]),
            used: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            set_aside: AtomicU64::new(0),
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
    pub fn draft(&self, shipment: &Shipment, marks: Vec<Value>) -> Draft {
        let head = Head {
            number: shipment.number,
            stored: now(),
            destination: self.options.destination.clone(),
            checkpoint: self.options.checkpoint.clone(),
            marks,
            parts: shipment.requests.iter().map(Part::of).collect(),
        };
        let line = head.to_line();
        Draft { head, line }
    }

    /// Stores a shipment: when this returns, a kill cannot take it away.
    ///
    /// # Errors
    /// If the disk does not take it; nothing of it is left there then.
    pub fn store(&self, draft: Draft, shipment: &Shipment) -> io::Result<Stored> {
        // Held while writing, so that the folder is not closed under it.
        let folders = self.lock();
        let own = folders
            .first()
            .ok_or_else(|| io::Error::other("the spool is closed"))?;
        let name = format!("{:020}.{BATCH}", shipment.number);
        let path = own.path().join(name);
        file::write(&path, &draft.line, &shipment.requests, self.options.sync)?;
        let bytes = draft.bytes();
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Ok(Stored {
            path,
            entries: draft.head.entries(),
            bytes,
            marks: draft.head.marks,
            foreign_marks: false,
        })
    }

    /// Reads a shipment back; its marks stay with the [`Stored`]. A damaged file is set aside, and
    /// both that and a file that cannot be read now is said.
    ///
    /// # Errors
    /// If the file gives no shipment.
    pub fn load(&self, stored: &Stored) -> Result<Shipment, Unreadable> {
        let loaded = file::load(&stored.path);
        if let Err(why) = &loaded
            && self.trouble(&stored.path, why)
        {
            self.used.fetch_sub(stored.bytes, Ordering::Relaxed);
            let entries = stored.entries as u64;
            self.set_aside.fetch_add(entries, Ordering::Relaxed);
        }
        loaded
    }

    /// Removes a shipment that is settled. Marks that another run waits for stay as a receipt.
    pub fn remove(&self, stored: &Stored) {
        if stored.foreign_marks {
            if let Ok((mut head, _)) = file::read_head(&stored.path) {
                head.parts.clear();
                let line = head.to_line();
                if file::write(&stored.path, &line, &[], self.options.sync).is_ok() {
                    let freed = stored.bytes.saturating_sub(line.len() as u64);
                    self.used.fetch_sub(freed, Ordering::Relaxed);
                }
            }
            // What could not be shortened is sent again by the next run, as the same bytes.
            return;
        }
        if fs::remove_file(&stored.path).is_ok() {
            self.used.fetch_sub(stored.bytes, Ordering::Relaxed);
        }
    }

    /// Takes over the shipments of runs that are gone, oldest first, and what of their folders is
    /// empty away. May be called again: it gives only what is newly found.
    pub fn adopt(&self) -> Vec<Stored> {
        let mut found = Vec::new();
        // Folders that cannot be looked at are another user's.
        for path in folder::all(&self.options.dir).unwrap_or_default() {
            let destination = Folder::destination(&path);
            if destination.is_some_and(|other| other != self.options.destination) {
                continue;
            }
            let Ok(Some(folder)) = Folder::adopt(&path) else {
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
        let found: Vec<Stored> = found.into_iter().map(|(_, stored)| stored).collect();
        let bytes = found.iter().map(|stored| stored.bytes).sum();
        self.used.fetch_add(bytes, Ordering::Relaxed);
        found
    }

    /// The other destinations that shipments in the spool go to, as messages name them. Looks
    /// without locking, so that nobody misses a folder for it.
    pub fn elsewhere(&self) -> Vec<String> {
        let mut found: Vec<String> = folder::all(&self.options.dir)
            .unwrap_or_default()
            .iter()
            .filter(|path| folder::batches(path).is_ok_and(|batches| !batches.is_empty()))
            .filter_map(|path| Folder::destination(path))
            .filter(|other| *other != self.options.destination)
            .map(|other| other.shown())
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// The shipments of a folder that are ours to deliver, in their order, with times that rise
    /// with it even if the clock did not.
    fn batches_of(&self, folder: &Folder) -> Vec<(u64, Stored)> {
        let mut latest = 0;
        let mut found = Vec::new();
        for path in folder.batches().unwrap_or_default() {
            let (head, bytes) = match file::read_head(&path) {
                Ok(read) => read,
                Err(why) => {
                    self.trouble(&path, &why);
                    continue;
                }
            };
            let own_marks = head.checkpoint == self.options.checkpoint;
            let receipt = head.parts.is_empty();
            if head.destination != self.options.destination || receipt && !own_marks {
                continue;
            }
            latest = head.stored.max(latest);
            let stored = Stored {
                entries: head.entries(),
                bytes,
                foreign_marks: !own_marks && !head.marks.is_empty(),
                marks: if own_marks { head.marks } else { Vec::new() },
                path,
            };
            found.push((latest, stored));
        }
        found
    }

    /// All marks of this run's checkpoint in the spool, whoever holds them: they outrank what the
    /// checkpoint says.
    pub fn marks(&self) -> Vec<Value> {
        if self.options.checkpoint.is_none() {
            return Vec::new();
        }
        let folders = folder::all(&self.options.dir).unwrap_or_default();
        folders
            .iter()
            .flat_map(|path| folder::batches(path).unwrap_or_default())
            .filter_map(|path| file::read_head(&path).ok())
            .filter(|(head, _)| head.checkpoint == self.options.checkpoint)
            .flat_map(|(head, _)| head.marks)
            .collect()
    }

    /// Bytes in our own and adopted shipments.
    #[cfg(test)]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that others hold in the directory, as they are now, damaged files included.
    pub fn used_by_others(&self) -> u64 {
        let held: Vec<PathBuf> = self.lock().iter().map(|f| f.path().to_owned()).collect();
        let folders = folder::all(&self.options.dir).unwrap_or_default();
        let others = folders.iter().filter(|path| !held.contains(path));
        others.map(|path| folder::bytes_in(path)).sum::<u64>() + folder::bytes_in(&self.options.dir)
    }

    /// How many damaged files were set aside.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// How many entries, counted as they were taken over or stored, lie in damaged files: no run
    /// delivers them.
    pub fn set_aside(&self) -> u64 {
        self.set_aside.load(Ordering::Relaxed)
    }

    /// Lets go of everything: what is left waits for the next run, and empty folders go. Nothing
    /// can be stored any more.
    pub fn close(&self) {
        for folder in self.lock().drain(..) {
            folder.remove_if_empty();
        }
    }

    /// Says why a file gives no shipment, and sets it aside if it is damaged.
    fn trouble(&self, path: &Path, why: &Unreadable) -> bool {
        let text = why.to_string();
        let mut aside = None;
        if matches!(why, Unreadable::Damaged(_)) {
            self.damaged.fetch_add(1, Ordering::Relaxed);
            aside = set_aside(path);
        }
        let file = aside.as_deref().unwrap_or(path).display().to_string();
        self.note.say(&Message::Spoiled {
            file: &file,
            why: &text,
            damaged: aside.is_some(),
        });
        aside.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Folder>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.close();
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

/// Nanoseconds since the epoch.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos() as u64
}
