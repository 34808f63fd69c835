//! Every file that this run or the checkpoint has met, and the one rule of identity.
//!
//! A file is its device and inode for as long as that exists under any name that can be seen or in
//! an open handle. Failing that it is its content: another file is taken for it if that has its
//! path, or a name that rotation gives; if the original was truncated or is gone; and if it is at
//! least as long as what was read and agrees with its first 4 KiB and the 64 KiB before the point
//! up to which it was read. Names only say where to look.
//!
//! Which histories come out whole and once:
//!
//! - *Rename, in any number of steps, to any name in a folder that is looked at:* the inode is
//!   known, whether the file is open or was closed long ago, in this run or the next.
//! - *Copy and truncate:* while the original still holds all that the copy does, the copy is not
//!   read. Once the original is truncated the copy takes over its place in the history, and only
//!   the rest of it is read.
//! - *Compress:* the content decides, as for any copy; what it holds beyond what was read is read.
//! - *Replace by a copy with more lines* (`sed -i`, rsync, restore, an editor): the original is
//!   gone, the content agrees, and reading resumes where it was.
//! - *Delete, move out of sight:* an open file is read to its end. One that the last run left is
//!   lost, and reported with the number of bytes.
//! - *Recreate:* another inode, another content, a new file.
//!
//! Where both readings remain the file is read again, which repeats lines and never loses one:
//!
//! - a copy whose original still exists, unless its name is surely one that rotation gave,
//! - a file that was rewritten in place with another beginning and other last lines,
//! - a device that was renumbered while the file was renamed to a name rotation does not give,
//! - a deleted file that was replaced by its own copy, if that was renamed before it was seen and
//!   the path stays empty until the deleted file is forgotten (5 s).
//!
//! What is not read, since nothing tells it from another program's file: a generation that was
//! renamed or copied before any of it was read, to a name that may be a neighbour's (`app-2.log`,
//! `app.log.old`), or while no run looked and the generation before it is gone.
//!
//! What cannot come out whole: bytes that were truncated or deleted between two looks, without a
//! copy in a folder that is looked at; and a file of one line or a few that is deleted and made
//! anew with the very same lines before the end of what was read, which looks like its own copy.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::entry::{FileId, TimestampState};
use crate::input::open_file::{FileTimes, OpenFile};
use crate::input::rotation::names;
use crate::report::messages::{Message, Reporter};
use crate::storage::checkpoint::Checkpoint;
use crate::storage::file_identity::{Content, DevInode, FileRecord, Fingerprint};

/// What a file is that was just opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// A file that was met before, or the copy that takes its place.
    Known(FileId),
    /// A copy of a file that still holds all of it.
    Copy,
    /// A file that was not met before, to be read from this offset on: a further copy of one that
    /// is gone has nothing new before it.
    New(u64),
}

/// A file that was met.
pub struct KnownFile {
    /// What is known of it; its offset is the one from which it is read.
    pub record: FileRecord,
    /// While it is open.
    handle: Option<Arc<File>>,
    /// Whether the inode does not hold this content any more.
    is_truncated: bool,
    /// Whether the inode is that of a copy, since the original was truncated or is gone.
    is_copy: bool,
    /// Whether an earlier run met it.
    is_of_earlier_run: bool,
    /// Where its inode was last seen.
    seen_at: PathBuf,
}

/// The files that were met.
pub struct History {
    files: BTreeMap<FileId, KnownFile>,
    by_inode: HashMap<DevInode, Vec<FileId>>,
    /// By the name before rotation.
    by_name: HashMap<Vec<u8>, Vec<FileId>>,
    checkpoint: Option<Arc<Checkpoint>>,
    next: FileId,
}

impl History {
    /// The history that a checkpoint keeps, or an empty one.
    pub fn new(checkpoint: Option<Arc<Checkpoint>>) -> Self {
        let mut history = Self {
            files: BTreeMap::new(),
            by_inode: HashMap::new(),
            by_name: HashMap::new(),
            checkpoint: None,
            next: 0,
        };
        let files = checkpoint.as_ref().map(|own| own.files());
        for (id, record) in files.unwrap_or_default() {
            history.insert(id, record);
        }
        let files = history.files.values_mut();
        files.for_each(|file| file.is_of_earlier_run = true);
        history.checkpoint = checkpoint;
        history
    }

    /// The history that a checkpoint keeps, to look at: the checkpoint does not change.
    pub fn looking_at(checkpoint: &Checkpoint) -> Self {
        let mut history = Self::new(None);
        for (id, record) in checkpoint.files() {
            history.insert(id, record);
        }
        history
    }

    /// A file.
    pub fn get(&self, id: FileId) -> Option<&KnownFile> {
        self.files.get(&id)
    }

    /// From where a file is to be read.
    pub fn offset(&self, id: FileId) -> u64 {
        self.files.get(&id).map_or(0, |file| file.record.offset)
    }

    /// The open file at this inode.
    pub fn open_at(&self, at: DevInode) -> Option<FileId> {
        let ids = self.by_inode.get(&at)?.iter();
        ids.copied()
            .find(|id| self.is_open(*id) && !self.files[id].is_truncated)
    }

    /// Whether the inode of a file holds another content now.
    pub fn is_truncated(&self, id: FileId) -> bool {
        self.files.get(&id).is_some_and(|file| file.is_truncated)
    }

    /// Whether an earlier run met a file.
    pub fn is_of_earlier_run(&self, id: FileId) -> bool {
        self.files
            .get(&id)
            .is_some_and(|file| file.is_of_earlier_run)
    }

    /// Whether a file could be recognized by its content.
    pub fn has_fingerprint(&self, id: FileId) -> bool {
        self.files
            .get(&id)
            .is_some_and(|file| file.record.fingerprint.end() > 0)
    }

    /// A file that was read by `path` cannot be found: forgets it, and reports what is lost with it.
    /// Returns whether anything is known to be. `had_path_last` if it is the one that had the path
    /// at the end of the last run.
    pub fn report_missing(
        &mut self,
        id: FileId,
        path: &Path,
        had_path_last: bool,
        reporter: Reporter,
    ) -> bool {
        let unread = self.files.get(&id).map_or(0, |file| file.record.unread());
        let name = names::name(path);
        let what = &*path.to_string_lossy();
        if unread > 0 {
            reporter.say(&Message::BytesLost {
                what,
                bytes: unread,
            });
        } else if had_path_last && names::original(name) == name {
            reporter.say(&Message::PredecessorGone { what });
        }
        self.forget_when_settled(id);
        unread > 0
    }

    fn is_open(&self, id: FileId) -> bool {
        self.files
            .get(&id)
            .is_some_and(|file| file.handle.is_some())
    }

    /// The files that were first read by a path, as the checkpoint's key for it, and that are not
    /// open, oldest first.
    pub fn closed_of(&self, path: &Path) -> Vec<FileId> {
        let ids = self.by_name.get(&names::original(names::name(path)));
        let mut ids = ids.cloned().unwrap_or_default();
        ids.retain(|id| self.files[id].record.path == path && !self.is_open(*id));
        ids.sort_unstable();
        ids
    }

    /// Whether a file was first read by a path and is not open.
    pub fn is_closed_of(&self, id: FileId, path: &Path) -> bool {
        let is_of = self.get(id).is_some_and(|file| file.record.path == path);
        is_of && !self.is_open(id)
    }

    /// The paths of all files that are not open.
    pub fn closed_paths(&self) -> Vec<PathBuf> {
        let closed = self.files.values().filter(|file| file.handle.is_none());
        closed.map(|file| file.record.path.clone()).collect()
    }

    /// Notes that an inode was seen at a path.
    pub fn saw(&mut self, at: DevInode, path: &Path) {
        for id in self.by_inode.get(&at).into_iter().flatten() {
            if let Some(file) = self.files.get_mut(id) {
                path.clone_into(&mut file.seen_at);
            }
        }
    }

    /// Tells which file this is that was found at a path, as the checkpoint's key for it. If it
    /// takes the place of one that was met, the history has it at its inode from now on.
    ///
    /// # Errors
    /// Those of reading it.
    pub fn identify(&mut self, path: &Path, file: &mut OpenFile) -> io::Result<Identity> {
        let at = file.at();
        if let Some(id) = self.open_at(at) {
            return Ok(Identity::Known(id));
        }
        let mut same: Option<FileId> = None;
        for id in self.by_inode.get(&at).cloned().unwrap_or_default() {
            let known = &self.files[&id];
            if known.is_truncated {
                continue;
            }
            if !agrees(&known.record, file)? {
                self.truncated(id);
                continue;
            }
            // Two records may be of one file, one of them from the spool.
            match same {
                Some(other) if self.offset(other) >= self.offset(id) => self.forget(id),
                other => {
                    other.into_iter().for_each(|other| self.forget(other));
                    same = Some(id);
                }
            }
        }
        if let Some(id) = same {
            self.saw(at, path);
            return Ok(Identity::Known(id));
        }
        self.identify_content(path, file)
    }

    fn identify_content(&mut self, path: &Path, file: &mut OpenFile) -> io::Result<Identity> {
        let name = names::name(path);
        let ids = self.by_name.get(&names::original(name)).cloned();
        let (mut found, mut read): (Option<FileId>, u64) = (None, 0);
        for id in ids.unwrap_or_default() {
            let record = &self.files[&id].record;
            let other = names::name(&record.path);
            let is_surely_rotated = names::is_surely_rotated(other, name)
                || names::uncompressed(name) == other && name != other;
            if record.path != path && !can_be_copy(&record.path, path) {
                continue;
            }
            let (fits, offset) = (agrees_with_all(record, file)?, record.offset);
            if !fits && !is_surely_rotated {
                continue;
            }
            match self.original(id) {
                Some(mut original) => {
                    // While it is being made it does not hold all that was read.
                    if is_surely_rotated && file.is_prefix_of(&mut original)? {
                        return Ok(Identity::Copy);
                    }
                    if fits && self.files[&id].is_copy {
                        read = read.max(offset);
                    }
                }
                None if fits && found.is_none_or(|other| self.offset(other) < offset) => {
                    found = Some(id);
                }
                None => {}
            }
        }
        let Some(id) = found else {
            return Ok(Identity::New(read));
        };
        self.moved(id, file.at(), path);
        Ok(Identity::Known(id))
    }

    /// The file that still holds the content of a file that was met.
    fn original(&self, id: FileId) -> Option<OpenFile> {
        let known = &self.files[&id];
        if known.is_truncated {
            return None;
        }
        let Some(handle) = &known.handle else {
            return self.find_closed(id);
        };
        let mut file = OpenFile::new(Arc::clone(handle)).ok()?;
        let holds = file.meta.nlink() > 0 && agrees(&known.record, &mut file).unwrap_or(false);
        holds.then_some(file)
    }

    /// Finds a file that is not open at its inode: where it was last seen, or in that folder or the
    /// one of its path.
    pub fn find_closed(&self, id: FileId) -> Option<OpenFile> {
        let known = self.files.get(&id)?;
        let record = &known.record;
        let is_it = |path: &Path| {
            let mut file = OpenFile::open(path).ok()?;
            let same = file.at() == record.at && agrees(record, &mut file).unwrap_or(false);
            same.then_some(file)
        };
        let is_there =
            |path: &Path| fs::metadata(path).is_ok_and(|meta| DevInode::from(&meta) == record.at);
        for path in [&known.seen_at, &record.path] {
            if is_there(path)
                && let Some(file) = is_it(path)
            {
                return Some(file);
            }
        }
        let mut folders = vec![names::folder(&known.seen_at).to_owned()];
        for path in names::link_targets(&record.path) {
            let folder = names::folder(&path);
            if !folders.iter().any(|own| own == folder) {
                folders.push(folder.to_owned());
            }
        }
        let entries = folders
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok());
        entries
            .flatten()
            .flatten()
            .filter(|entry| entry.ino() == record.at.ino)
            .find_map(|entry| is_it(&entry.path()))
    }

    /// Adds a file that is read from an offset. Returns its number.
    pub fn add(&mut self, path: &Path, file: &OpenFile, offset: u64) -> FileId {
        let record = FileRecord {
            path: path.to_owned(),
            at: file.at(),
            fingerprint: Fingerprint::default(),
            offset,
            size: file.meta.len(),
            times: TimestampState::default(),
        };
        let id = match &self.checkpoint {
            Some(checkpoint) => checkpoint.add(record.clone()),
            None => self.next,
        };
        self.insert(id, record);
        id
    }

    /// The number of an earlier file of a path; it is added if it was not met before.
    pub fn number(&mut self, path: &Path, identity: Identity, file: &OpenFile) -> FileId {
        match identity {
            Identity::Known(id) => id,
            Identity::New(offset) => self.add(path, file, offset),
            Identity::Copy => self.add(path, file, file.meta.len()),
        }
    }

    fn insert(&mut self, id: FileId, record: FileRecord) {
        self.next = self.next.max(id + 1);
        self.by_inode.entry(record.at).or_default().push(id);
        let name = names::original(names::name(&record.path));
        self.by_name.entry(name).or_default().push(id);
        let known = KnownFile {
            seen_at: record.path.clone(),
            record,
            handle: None,
            is_truncated: false,
            is_copy: false,
            is_of_earlier_run: false,
        };
        self.files.insert(id, known);
    }

    /// The file is open from now on.
    pub fn opened(&mut self, id: FileId, handle: &Arc<File>) {
        if let Some(known) = self.files.get_mut(&id) {
            known.handle = Some(Arc::clone(handle));
        }
    }

    /// The file is not open any more.
    pub fn closed(&mut self, id: FileId) {
        if let Some(known) = self.files.get_mut(&id) {
            known.handle = None;
        }
    }

    /// The file was read up to an offset, of so many bytes.
    pub fn read_to(&mut self, id: FileId, offset: u64, size: u64) {
        if let Some(known) = self.files.get_mut(&id) {
            (known.record.offset, known.record.size) = (offset, size.max(offset));
        }
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.set_size(id, size);
        }
    }

    /// What is known of the times in a file.
    pub fn timestamps(&self, id: FileId) -> TimestampState {
        let known = self.files.get(&id);
        known.map_or_else(TimestampState::default, |known| known.record.times.clone())
    }

    /// Notes what is known of the times in a file, as far as it was read.
    pub fn set_timestamps(&mut self, id: FileId, times: Option<TimestampState>) {
        let Some(times) = times else { return };
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.set_time_form(id, times.form.clone());
        }
        if let Some(known) = self.files.get_mut(&id) {
            known.record.times = times;
        }
    }

    /// Takes a new fingerprint of a file as far as it was read, if it was read further since.
    pub fn take_fingerprint(&mut self, id: FileId, content: &mut impl Content) {
        let Some(known) = self.files.get_mut(&id) else {
            return;
        };
        if known.record.fingerprint.end() == known.record.offset {
            return;
        }
        // If it fails, the file was truncated meanwhile: then the last one is what it held.
        if let Ok(fingerprint) = Fingerprint::of(content, known.record.offset) {
            known.record.fingerprint = fingerprint;
            if let Some(checkpoint) = &self.checkpoint {
                checkpoint.set_fingerprint(id, fingerprint);
            }
        }
    }

    /// The inode of a file holds another content now.
    pub fn truncated(&mut self, id: FileId) {
        if let Some(known) = self.files.get_mut(&id) {
            known.is_truncated = true;
            known.handle = None;
        }
    }

    fn moved(&mut self, id: FileId, at: DevInode, path: &Path) {
        let Some(known) = self.files.get_mut(&id) else {
            return;
        };
        if let Some(ids) = self.by_inode.get_mut(&known.record.at) {
            ids.retain(|own| *own != id);
        }
        known.record.at = at;
        (known.is_truncated, known.is_copy) = (false, true);
        known.handle = None;
        path.clone_into(&mut known.seen_at);
        self.by_inode.entry(at).or_default().push(id);
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.moved(id, at);
        }
    }

    /// Forgets a file; the checkpoint does so once all that was read of it is settled.
    pub fn forget_when_settled(&mut self, id: FileId) {
        if let Some(known) = self.remove(id)
            && let Some(checkpoint) = &self.checkpoint
        {
            checkpoint.finished(id, known.record.offset);
        }
    }

    /// Forgets a file.
    pub fn forget(&mut self, id: FileId) {
        if self.remove(id).is_some()
            && let Some(checkpoint) = &self.checkpoint
        {
            checkpoint.forget(id);
        }
    }

    fn remove(&mut self, id: FileId) -> Option<KnownFile> {
        let known = self.files.remove(&id)?;
        let name = names::original(names::name(&known.record.path));
        for ids in [
            self.by_inode.get_mut(&known.record.at),
            self.by_name.get_mut(&name),
        ]
        .into_iter()
        .flatten()
        {
            ids.retain(|own| *own != id);
        }
        Some(known)
    }

    /// Forgets the files that are not open and cannot be found, so that the checkpoint does not
    /// grow for ever; but not those of a name that is looked for, which may come back.
    pub fn forget_gone(&mut self) {
        let closed = self.files.iter().filter(|(_, file)| file.handle.is_none());
        let gone = |(id, file): &(&FileId, &KnownFile)| {
            let path = &file.record.path;
            let watched = self
                .checkpoint
                .as_ref()
                .is_some_and(|own| own.is_watched(path));
            !watched
                && fs::symlink_metadata(path)
                    .is_err_and(|why| why.kind() == io::ErrorKind::NotFound)
                && self.find_closed(**id).is_none()
        };
        let gone: Vec<FileId> = closed.filter(gone).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.forget(id));
    }

    /// When an open file was created and last written.
    pub fn times(&self, id: FileId) -> Option<FileTimes> {
        let handle = self.files.get(&id)?.handle.as_ref()?;
        handle.metadata().ok().map(|meta| FileTimes::of(&meta))
    }
}

/// Whether rotation may have made `path` of `original`, or both of a third one.
fn can_be_copy(original: &Path, path: &Path) -> bool {
    let (original, name) = (names::name(original), names::name(path));
    let both = names::original(name);
    let is_rotated = |name: &[u8]| {
        names::may_be_rotated(&both, name) || names::uncompressed(name) == &*both && name != both
    };
    is_rotated(name) && (original == both || is_rotated(original))
}

/// Whether the file at the inode of a record is the one that was recorded: it holds what was read.
/// If its beginning was changed in place, as a header with a counter is, the last lines tell.
fn agrees(record: &FileRecord, file: &mut OpenFile) -> io::Result<bool> {
    let fingerprint = record.fingerprint;
    if !file.reaches(record.offset.max(fingerprint.end())) {
        return Ok(false);
    }
    if fingerprint.fits_head(file)? {
        // Read up to here, and no further: what follows may be anything.
        return fingerprint.fits_tail(file);
    }
    Ok(fingerprint.has_tail()
        && fingerprint.fits_tail(file)?
        && file.meta.len() >= record.size
        && file.read_bytes(record.offset - 1, 1)? == b"\n")
}

/// Whether a file at another inode holds all that was read, and that is a line at least.
fn agrees_with_all(record: &FileRecord, file: &mut OpenFile) -> io::Result<bool> {
    let fingerprint = record.fingerprint;
    Ok(fingerprint.end() > 0
        && file.reaches(record.offset.max(fingerprint.end()))
        && fingerprint.fits(file)?)
}
