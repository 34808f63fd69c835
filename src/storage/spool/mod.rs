//! The spool: batches on disk, from before their first attempt until their fate is known.
//!
//! The delivery queue decides when a batch is stored and removed.
//!
//! # Layout
//!
//! ```text
//! DIR/                                   0700 where we create it
//!   01763936400123456789-4711/           0700, one per process, named by its start and id
//!     lock                               locked as long as the process lives
//!     destination                        push URL, tenant and credentials (as digests) of its batches
//!     00000000000000000000.batch         0600, one per batch, by its number
//!   01763936400123456789-4711.00000000000000000003.damaged
//! ```
//!
//! A `.batch` file is a header line of JSON and then the request bodies, one after the other,
//! exactly as they are sent: `tail -n +2 FILE | zcat` shows them (without `zcat` at
//! `--gzip-level 0`). The header holds version, number, time, destination, checkpoint, file positions
//! (`marks`), and for each request its labels, entries, length and CRC-32; it ends in a CRC-32 of
//! itself.
//!
//! Constraints that shaped it: a batch, all its streams and its positions, must become durable at
//! once, hence one file and one rename. Many programs share a directory without knowing each
//! other, and any may be killed at any moment, hence a directory each under a lock that the kernel
//! releases (`flock`). Nothing runs in the background, hence the next run takes over what is left.
//! Other users may write to the directory, hence only directories that belong to us, and that nobody
//! else may enter, are looked into, and they are held open while they are used.
//!
//! # What is written and removed when
//!
//! - A batch is written under a temporary name and renamed before it may be sent. With
//!   `--spool-sync` the file is synced before the rename and the directory after it; without, a power
//!   cut may lose what the kernel still held, a killed process loses nothing.
//! - It is removed when each of its entries has a fate and, if it has positions, when the checkpoint
//!   that covers them is on disk. If the positions belong to a checkpoint of another run, the file
//!   shrinks to a tombstone instead: its header without requests, which that run reads and removes.
//! - A directory whose lock can be had is taken over, files and all, by the one process that gets it.
//!   An empty one is removed: its lock last, and whoever gets a lock checks that it is still the one
//!   in its place. Directories of another destination are not touched.
//! - A file that is not what was written moves up into DIR as `*.damaged`, for a person to look at.
//! - A disk that takes nothing, from the start or for a time, is reported once; storing is tried again
//!   with each batch.
//!
//! Storing costs 0.06 ms for a small batch and 0.2 ms for one of 300 kB (1 MiB of lines), with
//! `--spool-sync` 9 ms on an SSD; taking over 10,000 batches costs 0.2 s.
//!
//! # Exactly once, as a log query sees it, and its limits
//!
//! Nothing encoded is lost: from its rename on, a batch is in the spool until its fate is known,
//! so at a kill it is in the spool, or settled, or both. What was not encoded at the kill is in the
//! file it came from, after the highest position on disk: that of the checkpoint or of a spooled
//! batch, whichever is further ([`Spool::positions`]). Batches hold all streams since the last
//! one, and one set of positions, so no line before a position is outside of them; and a batch with
//! positions is only stored when all before it are stored or settled. (A pipe cannot be read
//! again: what a kill finds not encoded, at most `--flush-interval` old, is lost with it.)
//!
//! Nothing shows twice: an entry is stamped once and encoded once, and the file keeps the very
//! bytes. Sent again after a lost answer, or after a kill between answer and removal, they are
//! equal entries to Loki, which suppresses them in its head block, or else when a log query merges
//! chunks. Lines are read again only from after the highest position, so they never get a second
//! timestamp.
//!
//! A batch with positions that cannot be written to the spool waits in memory, and is written to a
//! directory of the same layout next to the checkpoint (`FILE.sending`) before it is sent; the
//! checkpoint is saved as soon as it is settled, so only batches being sent are there. If that cannot be
//! written either, and the process is killed between Loki's answer and that save, its lines are read
//! again and show twice.
//!
//! The limits are Loki's. Above its sharding rate (1.5 MB per second and stream) a repeat lands in
//! another shard and both show, and a 204 may hide a loss. A repeat more than an hour behind its
//! stream's newest entry is answered 400 though the first copy may be stored; this counts as a
//! refusal. Metric queries may count a repeat until Loki flushes its chunks.

mod batch_file;
mod destination;
mod owned_dir;
mod quarantine;
mod scan;
mod stored_batch;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::entry::request::EncodedBatch;
use crate::report::messages::{Message, Reporter};
use crate::storage::private_files::Dir;
pub use batch_file::ReadError;
use destination::DestinationRecord;
pub use destination::{Destination, Relation, Token};
use owned_dir::{OwnedDir, TakeOver};
use quarantine::Quarantine;
pub use stored_batch::{PreparedBatch, SpooledBatch};

/// The extension of batches.
const BATCH: &str = "batch";
/// The extension of files that are not whole yet.
const TEMPORARY: &str = "tmp";

/// What a run that only delivers takes from the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// The batches for its own destination.
    Own,
    /// Those for another URL too, if tenant and credentials are the same.
    AnyUrl,
}

/// The options of a spool.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory.
    pub dir: PathBuf,
    /// The most bytes that it may hold.
    pub size: u64,
    /// Whether each batch is synced to the disk.
    pub sync: bool,
    /// Where this run's batches go.
    pub destination: Destination,
    /// The checkpoint that this run's positions belong to.
    pub checkpoint: Option<String>,
    /// The directory next to that checkpoint for batches that are sent though the spool cannot take
    /// them.
    pub sending: Option<PathBuf>,
    /// Whether this run only delivers, and what: then it stores nothing.
    pub drain: Option<Drain>,
}

impl Options {
    /// Whether batches with this destination are for this run to deliver.
    fn delivers(&self, record: &DestinationRecord) -> bool {
        match record.relation(&self.destination) {
            Relation::Same => true,
            Relation::OtherUrl => self.drain == Some(Drain::AnyUrl),
            Relation::OtherToken | Relation::Other => false,
        }
    }
}

/// A process's view of a spool directory.
pub struct Spool {
    options: Options,
    record: DestinationRecord,
    state: Mutex<State>,
    quarantine: Quarantine,
    reporter: Reporter,
}

#[derive(Default)]
struct State {
    /// The spool itself.
    spool: Place,
    /// The directory next to the checkpoint, if there is one.
    sending: Option<Place>,
    /// Directories of earlier runs that hold batches.
    recovered: Vec<Arc<OwnedDir>>,
    /// Directories that belonged to running processes when they were last looked at.
    in_use: Vec<OsString>,
    /// Directories that cannot be taken over, which was reported.
    unusable: BTreeSet<OsString>,
    /// Whether nothing could be written when it was last tried.
    failing: bool,
    closed: bool,
}

/// A directory in which each process has one of its own.
#[derive(Default)]
struct Place {
    path: PathBuf,
    /// Whether it is not used if it belongs to another user.
    is_ours_alone: bool,
    /// The directory, once it could be opened.
    root: Option<Arc<Dir>>,
    /// Our own directory in it, once it could be created.
    own: Option<Arc<OwnedDir>>,
}

impl Place {
    /// Our own directory, which is created if there is none yet.
    fn own(&mut self, record: &DestinationRecord) -> io::Result<Arc<OwnedDir>> {
        if let Some(own) = &self.own {
            return Ok(Arc::clone(own));
        }
        let root = match &self.root {
            Some(root) if root.is_linked() => Arc::clone(root),
            _ => Arc::new(Dir::open_or_create(&self.path)?),
        };
        if self.is_ours_alone {
            root.check_owner()?;
        }
        self.root = Some(Arc::clone(&root));
        let name = || owned_dir::name(stored_batch::now(), std::process::id());
        let own = Arc::new(OwnedDir::create(&root, record, name)?);
        self.own = Some(Arc::clone(&own));
        Ok(own)
    }

    fn store(
        &mut self,
        batch: PreparedBatch,
        encoded: &EncodedBatch,
        sync: bool,
    ) -> io::Result<SpooledBatch> {
        let name = OsString::from(format!("{:020}.{BATCH}", encoded.number));
        let own = self.own(batch.destination());
        let stored = own.and_then(|own| batch.store(own, name, encoded, sync));
        if stored
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        {
            // Somebody has removed it; another one is created with the next batch.
            self.own = None;
        }
        stored
    }
}

impl State {
    /// The directories to look for batches of earlier runs in.
    fn roots(&self) -> Vec<Arc<Dir>> {
        let places = std::iter::once(&self.spool).chain(&self.sending);
        places.filter_map(|place| place.root.clone()).collect()
    }

    /// Our own directories.
    fn own_dirs(&self) -> impl Iterator<Item = &Arc<OwnedDir>> {
        let places = std::iter::once(&self.spool).chain(&self.sending);
        places.filter_map(|place| place.own.as_ref())
    }
}

impl Spool {
    /// Opens the spool: creates the directory if it does not exist, and one of our own in it. If
    /// that cannot be done now, it is reported, and tried again with each batch. A drain creates
    /// nothing.
    ///
    /// # Errors
    /// If it is a file, or a drain cannot read it.
    pub fn open(options: Options, reporter: Reporter) -> Result<Self> {
        let mut state = State::default();
        let dir = &options.dir;
        if options.drain.is_some() {
            let root = Dir::open(dir)
                .with_context(|| format!("--drain: cannot read the spool {}", dir.display()))?;
            state.spool.root = Some(Arc::new(root));
        } else if dir.ancestors().any(is_file_of_ours) {
            bail!(
                "--spool: {} is a file, or below one; name a directory on a local disk",
                dir.display()
            );
        }
        state.spool.path.clone_from(dir);
        state.sending = open_sending(&options, reporter);
        let spool = Self {
            record: DestinationRecord::new(&options.destination, &destination::salt()),
            quarantine: Quarantine::new(reporter),
            state: Mutex::default(),
            options,
            reporter,
        };
        if spool.options.drain.is_none() {
            let created = state.spool.own(&spool.record);
            spool.report(&mut state, created.as_ref().map(drop));
        }
        if let Some(root) = &state.spool.root {
            spool.report_strangers(root);
        }
        *spool.lock() = state;
        Ok(spool)
    }

    /// Reports that nothing can be written, or that it can be again, when that changes.
    fn report(&self, state: &mut State, result: Result<(), &io::Error>) {
        if std::mem::replace(&mut state.failing, result.is_err()) == result.is_err() {
            return;
        }
        let spool = self.options.dir.display().to_string();
        let spool = spool.as_str();
        let why = result.err().map(io::Error::to_string);
        self.reporter.say(&match &why {
            None => Message::SpoolMended { spool },
            Some(why) => Message::SpoolFailing { spool, why },
        });
    }

    /// Reports what is left alone, and who else may write to the spool.
    fn report_strangers(&self, root: &Dir) {
        let spool = root.path().display().to_string();
        if let Some(why) = scan::open_to_others(root) {
            self.reporter.say(&Message::SpoolOpenToOthers {
                spool: &spool,
                why: &why,
            });
        }
        let all = self.options.drain.is_some() || self.reporter.is_verbose();
        let strangers = scan::untrusted(root, all);
        if !strangers.is_empty() {
            self.reporter.say(&Message::SpoolStrangers {
                spool: &spool,
                names: &first_few(&strangers),
            });
        }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// The most bytes that it may hold.
    pub fn size(&self) -> u64 {
        self.options.size
    }

    /// Prepares a batch for storing, with its file positions as the checkpoint describes them.
    pub fn prepare(&self, batch: &EncodedBatch, positions: Vec<Value>) -> PreparedBatch {
        PreparedBatch::new(batch, positions, &self.record, &self.options)
    }

    /// Stores a batch: when this returns, a kill cannot take it away. Trouble is reported when it
    /// begins and ends.
    ///
    /// # Errors
    /// If the disk does not take it; nothing of it is left there then.
    pub fn store(&self, batch: PreparedBatch, encoded: &EncodedBatch) -> io::Result<SpooledBatch> {
        // Held while writing, so that the directory is not closed under it.
        let mut state = self.lock();
        if state.closed {
            return Err(io::Error::other("the spool is closed"));
        }
        let stored = state.spool.store(batch, encoded, self.options.sync);
        self.report(&mut state, stored.as_ref().map(drop));
        stored
    }

    /// Stores a batch that the spool cannot take next to the checkpoint, for as long as it is being
    /// sent: if the process is killed before the checkpoint says that it was, the next run sends the
    /// same bytes. Returns None if that is not possible.
    pub fn store_sending(
        &self,
        batch: PreparedBatch,
        encoded: &EncodedBatch,
    ) -> Option<SpooledBatch> {
        let mut state = self.lock();
        let place = state.sending.as_mut()?;
        let mut stored = place.store(batch, encoded, self.options.sync).ok()?;
        stored.is_sending = true;
        Some(stored)
    }

    /// Reads a batch back; its positions stay with the [`SpooledBatch`]. A damaged file is moved
    /// aside, and both that and a file that cannot be read now is reported.
    ///
    /// # Errors
    /// If no batch can be read from the file.
    pub fn load(&self, batch: &SpooledBatch) -> Result<EncodedBatch, ReadError> {
        let loaded = batch.load();
        loaded.inspect_err(|why| {
            self.quarantine
                .add(&batch.dir, &batch.name, why, batch.entries);
        })
    }

    /// Removes a batch that is settled. Positions that another run waits for stay as a tombstone.
    pub fn remove(&self, batch: &SpooledBatch) {
        batch.remove(self.options.sync);
        // The last one of an earlier run: one reference is in the list, one in the batch.
        if Arc::strong_count(&batch.dir) == 2 {
            let mut state = self.lock();
            let is_done =
                |dir: &Arc<OwnedDir>| Arc::ptr_eq(dir, &batch.dir) && dir.remove_if_empty();
            state.recovered.retain(|dir| !is_done(dir));
        }
    }

    /// Takes over the batches of runs that are gone, oldest first, and removes their directories
    /// where they are empty. When it is called again it returns only what is newly found.
    pub fn recover(&self) -> Vec<SpooledBatch> {
        let (mut found, mut in_use) = (Vec::new(), Vec::new());
        let held = self.held();
        let roots = self.lock().roots();
        for root in roots {
            for name in scan::directories(&root) {
                let record = owned_dir::open_trusted(&root, &name);
                let Ok(Some(dir)) = record else {
                    continue;
                };
                let is_other = |record| !self.options.delivers(&record);
                if held.contains(&name) || owned_dir::destination(&dir).is_some_and(is_other) {
                    continue;
                }
                match OwnedDir::take_over(&root, &name) {
                    Ok(TakeOver::Taken(dir)) => {
                        let dir = Arc::new(dir);
                        let batches = self.batches_of(&dir);
                        if batches.is_empty() {
                            dir.remove_if_empty();
                        } else {
                            found.extend(batches);
                            self.lock().recovered.push(dir);
                        }
                    }
                    Ok(TakeOver::InUse) => in_use.push(name),
                    Ok(TakeOver::Gone) => {}
                    Err(why) => {
                        let is_empty = owned_dir::batches(&dir).is_ok_and(|all| all.is_empty());
                        if !is_empty && self.lock().unusable.insert(name) {
                            self.quarantine.leave(&dir, &why);
                        }
                    }
                }
            }
        }
        self.lock().in_use = in_use;
        found.sort_by_key(|(stored_at, _)| *stored_at);
        found.into_iter().map(|(_, batch)| batch).collect()
    }

    /// The batches of a directory that are ours to deliver, in their order, with times that rise
    /// with it even if the clock did not.
    fn batches_of(&self, dir: &Arc<OwnedDir>) -> Vec<(u64, SpooledBatch)> {
        let mut latest = 0;
        let mut batches = Vec::new();
        for name in dir.batches().unwrap_or_default() {
            match SpooledBatch::recover(dir, name.clone(), &self.options) {
                Ok(Some((stored_at, batch))) => {
                    latest = stored_at.max(latest);
                    batches.push((latest, batch));
                }
                Ok(None) => {}
                Err(why) => self.quarantine.add(dir, &name, &why, 0),
            }
        }
        batches
    }

    /// The batches in the spool that this run does not deliver, as a message names them: by their
    /// destinations, each with the options that deliver it. With `all` unset, only those that
    /// nothing but a token or a header keeps from being delivered by this run, and those next to the
    /// checkpoint.
    pub fn other_destinations(&self, all: bool) -> Vec<OtherBatches> {
        let mut found = Vec::new();
        let roots = self.lock().roots();
        for root in roots {
            let others = scan::other_destinations(&root, &self.options).into_iter();
            // Those next to the checkpoint were taken from its files, whose positions went on.
            let all = all || self.options.sending.as_deref() == Some(root.path());
            let others = others.filter(|(_, relation)| all || *relation == Relation::OtherToken);
            found.extend(others.map(|(record, relation)| OtherBatches {
                spool: root.path().to_owned(),
                destination: record.to_string(),
                options: record.options(),
                relation,
            }));
        }
        found
    }

    /// The ids of the running processes that hold batches for the destination of this run, as far as
    /// they were seen when batches were last taken over.
    pub fn holders(&self) -> Vec<u32> {
        let state = self.lock();
        let Some(root) = &state.spool.root else {
            return Vec::new();
        };
        let has_batches = |name: &&OsString| {
            let dir = owned_dir::open_trusted(root, name).ok().flatten();
            let batches = dir.and_then(|dir| owned_dir::batches(&dir).ok());
            batches.is_some_and(|batches| !batches.is_empty())
        };
        let names = state.in_use.iter().filter(has_batches);
        names.filter_map(|name| owned_dir::process(name)).collect()
    }

    /// All positions of this run's checkpoint in the spool, whoever holds them: they outrank what
    /// the checkpoint says.
    pub fn positions(&self) -> Vec<Value> {
        let Some(checkpoint) = &self.options.checkpoint else {
            return Vec::new();
        };
        let roots = self.lock().roots().into_iter();
        roots
            .flat_map(|root| scan::positions(&root, checkpoint))
            .collect()
    }

    /// The number of bytes that other runs of this user hold in the spool now, damaged files
    /// included.
    pub fn used_by_others(&self) -> u64 {
        let root = self.lock().spool.root.clone();
        root.map_or(0, |root| scan::bytes_of_others(&root, &self.held()))
    }

    /// The number of bytes in batches of this run and in those it took over.
    #[cfg(test)]
    pub fn used(&self) -> u64 {
        let state = self.lock();
        let dirs = state.own_dirs().chain(&state.recovered);
        let is_batch = |name: &std::ffi::OsStr| owned_dir::has_extension(name, BATCH);
        dirs.map(|dir| scan::bytes_in(dir.dir(), is_batch)).sum()
    }

    /// The names of the directories that this process holds.
    fn held(&self) -> BTreeSet<OsString> {
        let state = self.lock();
        let dirs = state.own_dirs().chain(&state.recovered);
        dirs.map(|dir| dir.name().to_owned()).collect()
    }

    /// The number of files that are damaged or could not be read.
    pub fn unreadable(&self) -> u64 {
        self.quarantine.files()
    }

    /// The number of entries, as they had been counted, in damaged files: no run delivers them.
    pub fn set_aside(&self) -> u64 {
        self.quarantine.entries()
    }

    /// Lets go of everything: what is left waits for the next run, and empty directories are
    /// removed. Nothing can be stored any more.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for dir in state.own_dirs().chain(&state.recovered) {
            dir.release();
        }
        let sending = state.sending.take();
        if let Some(sending) = sending.filter(|place| place.root.is_some()) {
            // Unless batches in it wait for the next run.
            let _ = fs::remove_dir(sending.path);
        }
        state.spool.own = None;
        state.recovered.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Batches in a spool that a run does not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherBatches {
    /// The directory they are in.
    pub spool: PathBuf,
    /// Where they go, as messages name it.
    pub destination: String,
    /// The options of a run that delivers them.
    pub options: String,
    /// How their destination relates to that of this run.
    pub relation: Relation,
}

/// The directory next to the checkpoint, opened if it exists. What somebody else has put there is
/// reported, and left alone.
fn open_sending(options: &Options, reporter: Reporter) -> Option<Place> {
    let path = options.sending.clone()?;
    let root = match Dir::open(&path).and_then(|root| root.check_owner().map(|()| root)) {
        Ok(root) => Some(Arc::new(root)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(why) => {
            let mut why = why.to_string();
            let path = path.display().to_string();
            if !why.starts_with(&path) {
                why = format!("{path}: {why}");
            }
            let text = format!(
                "not used: {why}; while the spool cannot be written to, a kill may repeat lines"
            );
            reporter.say(&Message::Warning { text: &text });
            return None;
        }
    };
    Some(Place {
        path,
        is_ours_alone: true,
        root,
        own: None,
    })
}

/// Whether a path is a file of this user. Then it was named by mistake; otherwise another user put it there.
fn is_file_of_ours(path: &Path) -> bool {
    let uid = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.uid() == uid)
}

/// A list that a message can show: a few names, and the number of the others.
fn first_few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.close();
    }
}
