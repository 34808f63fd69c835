//! All files known to this run or the checkpoint, and the rule that identifies them.
//!
//! A file is identified by device and inode for as long as these exist under any visible name or in an
//! open handle. Otherwise it is identified by its content: another file counts as the same if it has the
//! same path or a name that rotation may give; if the original was truncated or is gone; and if it is at
//! least as long as the part that was read and agrees with its first 4 KiB and with the 64 KiB before
//! the offset. Names only tell where to look.
//!
//! In these histories every line is shipped exactly once:
//!
//! - *Rename, in any number of steps, to any name in a watched folder:* the inode is known, whether the
//!   file is open or was closed long ago, in this run or the next.
//! - *Copy and truncate:* while the original still contains everything in the copy, the copy is not
//!   read. Once the original is truncated, the copy takes its place in the history, and only the rest
//!   of it is read.
//! - *Compress:* the content decides, as for any copy; only the part that was not read yet is read.
//! - *Replace by a copy with more lines* (`sed -i`, rsync, restore, an editor): the original is
//!   gone, the content agrees, and reading resumes where it was.
//! - *Delete, or move to an unwatched folder:* an open file is read to its end. The rest of a file that
//!   an earlier run left unread is lost, which is reported with the number of bytes.
//! - *Recreate:* a new inode and new content are a new file.
//!
//! In ambiguous cases the file is read again, which may repeat lines but never loses any:
//!
//! - a copy whose original still exists, unless its name can only come from rotation,
//! - a file that was rewritten in place with another beginning and other last lines,
//! - a device that was renumbered while the file got a name that does not come from rotation,
//! - a deleted file that was replaced by its own copy, if that was renamed before it was seen and
//!   the path stays empty until the deleted file is forgotten (5 s).
//!
//! A generation is not read if nothing distinguishes it from the file of another program: if it was
//! renamed or copied before any of it was read, to a name that may be a neighbour's (`app-2.log`,
//! `app.log.old`), or while no run was watching and the generation before it is gone.
//!
//! Lines are lost in two cases: bytes that are truncated or deleted between two checks, without a copy
//! in a watched folder; and a short file that is deleted and recreated with exactly the same lines
//! before the offset, which looks like a copy of itself.

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

/// The identity of a file that was just opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// A known file, or the copy that takes its place.
    Known(FileId),
    /// A copy of a file that still contains all of it.
    Copy,
    /// An unknown file, to be read from this offset: another copy of a file that is gone has nothing new
    /// before it.
    New(u64),
}

/// A known file.
pub struct KnownFile {
    /// The record of the file. Its offset is the one from which it is read.
    pub record: FileRecord,
    /// The open file, while it is open.
    handle: Option<Arc<File>>,
    /// Whether the inode has other content now.
    is_truncated: bool,
    /// Whether the inode is that of a copy, since the original was truncated or is gone.
    is_copy: bool,
    /// Whether it is known from an earlier run.
    is_of_earlier_run: bool,
    /// The path at which the inode was last seen.
    seen_at: PathBuf,
}

/// All known files.
pub struct History {
    files: BTreeMap<FileId, KnownFile>,
    by_inode: HashMap<DevInode, Vec<FileId>>,
    /// The files by the name before rotation.
    by_name: HashMap<Vec<u8>, Vec<FileId>>,
    checkpoint: Option<Arc<Checkpoint>>,
    next: FileId,
}

impl History {
    /// Creates the history from a checkpoint, or an empty one.
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

    /// Creates a read-only history, which does not change the checkpoint.
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

    /// The offset from which a file is read.
    pub fn offset(&self, id: FileId) -> u64 {
        self.files.get(&id).map_or(0, |file| file.record.offset)
    }

    /// The open file with this inode.
    pub fn open_at(&self, at: DevInode) -> Option<FileId> {
        let ids = self.by_inode.get(&at)?.iter();
        ids.copied()
            .find(|id| self.is_open(*id) && !self.files[id].is_truncated)
    }

    /// Whether the inode of a file has other content now.
    pub fn is_truncated(&self, id: FileId) -> bool {
        self.files.get(&id).is_some_and(|file| file.is_truncated)
    }

    /// Whether a file is known from an earlier run.
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

    /// Forgets a file that was read at `path` and cannot be found, and reports the loss. Returns whether
    /// bytes are known to be lost. `had_path_last` is set for the file that was at the path at the end of
    /// the last run.
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

    /// The files that were first read at a canonical path and are not open, oldest first.
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

    /// Records that an inode was seen at a path.
    pub fn saw(&mut self, at: DevInode, path: &Path) {
        for id in self.by_inode.get(&at).into_iter().flatten() {
            if let Some(file) = self.files.get_mut(id) {
                path.clone_into(&mut file.seen_at);
            }
        }
    }

    /// Identifies a file that was found at a canonical path. If it takes the place of a known file, the
    /// history records its inode for that file.
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
            // Two records may belong to one file, one of them from the spool.
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
                    // A copy in progress does not contain everything that was read yet.
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

    /// A file that still has the content of a known file.
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

    /// Finds a closed file by its inode: at the path where it was last seen, in that folder, or in the
    /// folder of its original path.
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

    /// The number of an earlier file of a path, which is added if it is unknown.
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

    /// Records that the file is open.
    pub fn opened(&mut self, id: FileId, handle: &Arc<File>) {
        if let Some(known) = self.files.get_mut(&id) {
            known.handle = Some(Arc::clone(handle));
        }
    }

    /// Records that the file is closed.
    pub fn closed(&mut self, id: FileId) {
        if let Some(known) = self.files.get_mut(&id) {
            known.handle = None;
        }
    }

    /// Records the offset up to which a file was read, and its size.
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

    /// Updates the fingerprint of a file, if more of it was read since the last one.
    pub fn take_fingerprint(&mut self, id: FileId, content: &mut impl Content) {
        let Some(known) = self.files.get_mut(&id) else {
            return;
        };
        if known.record.fingerprint.end() == known.record.offset {
            return;
        }
        // On an error the file was truncated meanwhile, and the last fingerprint stays valid.
        if let Ok(fingerprint) = Fingerprint::of(content, known.record.offset) {
            known.record.fingerprint = fingerprint;
            if let Some(checkpoint) = &self.checkpoint {
                checkpoint.set_fingerprint(id, fingerprint);
            }
        }
    }

    /// Records that the inode of a file has other content now.
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

    /// Forgets a file. The checkpoint does so once everything read from it is settled.
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

    /// Forgets closed files that cannot be found, so that the checkpoint does not grow for ever. Files of
    /// a path that is looked for are kept, since they may come back.
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

    /// The times of creation and last write of an open file.
    pub fn times(&self, id: FileId) -> Option<FileTimes> {
        let handle = self.files.get(&id)?.handle.as_ref()?;
        handle.metadata().ok().map(|meta| FileTimes::of(&meta))
    }
}

/// Whether rotation may have renamed `original` to `path`, or a third name to both.
fn can_be_copy(original: &Path, path: &Path) -> bool {
    let (original, name) = (names::name(original), names::name(path));
    let both = names::original(name);
    let is_rotated = |name: &[u8]| {
        names::may_be_rotated(&both, name) || names::uncompressed(name) == &*both && name != both
    };
    is_rotated(name) && (original == both || is_rotated(original))
}

/// Whether a file with the inode of a record is the recorded one, which still has the content that was
/// read. If its beginning was changed in place, such as a counter in a header, the last lines decide.
fn agrees(record: &FileRecord, file: &mut OpenFile) -> io::Result<bool> {
    let fingerprint = record.fingerprint;
    if !file.reaches(record.offset.max(fingerprint.end())) {
        return Ok(false);
    }
    if fingerprint.fits_head(file)? {
        // Only the content up to the offset is compared.
        return fingerprint.fits_tail(file);
    }
    Ok(fingerprint.has_tail()
        && fingerprint.fits_tail(file)?
        && file.meta.len() >= record.size
        && file.read_bytes(record.offset - 1, 1)? == b"\n")
}

/// Whether a file with another inode has all the content that was read, which is at least one line.
fn agrees_with_all(record: &FileRecord, file: &mut OpenFile) -> io::Result<bool> {
    let fingerprint = record.fingerprint;
    Ok(fingerprint.end() > 0
        && file.reaches(record.offset.max(fingerprint.end()))
        && fingerprint.fits(file)?)
}
