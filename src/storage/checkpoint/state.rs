//! The state of a checkpoint in memory: the records of all files, including those of earlier runs, and
//! the paths and patterns that were looked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde_json::Value;
use serde_json::value::RawValue;

use crate::entry::{FileId, FilePosition};
use crate::storage::file_identity::{DevInode, FileRecord, path_from_json, path_to_json};

/// The state of a checkpoint.
#[derive(Default)]
pub struct CheckpointState {
    /// The records. Files of earlier runs get their numbers when the checkpoint is read.
    files: BTreeMap<FileId, FileRecord>,
    /// The ends of files that are not read any more.
    ends: HashMap<FileId, u64>,
    next: FileId,
    /// The paths and patterns that earlier runs looked for.
    watched_before: BTreeSet<PathBuf>,
    /// The paths and patterns that this run looks for.
    watched: BTreeSet<PathBuf>,
    dirty: bool,
}

impl CheckpointState {
    /// Records a path or pattern that this run looks for. Returns whether an earlier run did so, too.
    pub fn watch(&mut self, name: &Path) -> bool {
        self.dirty |= self.watched.insert(name.to_owned());
        self.watched_before.contains(name)
    }

    /// Whether this run or an earlier one looked for a path or pattern.
    pub fn is_watched(&self, name: &Path) -> bool {
        self.watched.contains(name) || self.watched_before.contains(name)
    }

    /// Merges a record from a spooled batch, which may be ahead of the checkpoint.
    pub fn merge_newer(&mut self, record: FileRecord) {
        let is_same = |own: &&mut FileRecord| {
            own.at == record.at && own.fingerprint.begins_alike(&record.fingerprint)
        };
        match self.files.values_mut().find(is_same) {
            Some(own) if own.offset < record.offset => {
                let path = std::mem::take(&mut own.path);
                *own = FileRecord { path, ..record };
            }
            Some(_) => {}
            // Opening the file shows which of the two contents the inode has now.
            None => drop(self.add(record)),
        }
        self.dirty = true;
    }

    /// All files.
    pub fn files(&self) -> &BTreeMap<FileId, FileRecord> {
        &self.files
    }

    /// Adds a file. Returns its number.
    pub fn add(&mut self, record: FileRecord) -> FileId {
        let id = self.next;
        self.next += 1;
        self.files.insert(id, record);
        self.dirty = true;
        id
    }

    /// Records that the content of a file is at another inode now.
    pub fn moved(&mut self, id: FileId, at: DevInode) {
        if let Some(own) = self.files.get_mut(&id) {
            own.at = at;
            self.dirty = true;
        }
    }

    /// Changes the size or the fingerprint of a file. That alone does not cause a write, which would
    /// delay the next write of settled positions.
    pub fn update(&mut self, id: FileId, change: impl FnOnce(&mut FileRecord)) {
        if let Some(own) = self.files.get_mut(&id) {
            change(own);
        }
    }

    /// Forgets a file once everything up to `end` is settled.
    pub fn finished(&mut self, id: FileId, end: u64) {
        self.ends.insert(id, end);
        self.drop_finished(id);
    }

    /// Forgets a file.
    pub fn forget(&mut self, id: FileId) {
        self.dirty |= self.files.remove(&id).is_some();
        self.ends.remove(&id);
    }

    /// Records that everything up to this position is settled.
    pub fn settled(&mut self, position: FilePosition) {
        let Some(own) = self.files.get_mut(&position.file) else {
            return;
        };
        if own.offset < position.offset {
            own.offset = position.offset;
            own.size = own.size.max(position.offset);
            own.times.last = position.time.or(own.times.last);
            self.dirty = true;
        }
        self.drop_finished(position.file);
    }

    fn drop_finished(&mut self, id: FileId) {
        let settled = self.files.get(&id).map(|own| own.offset);
        if settled >= self.ends.get(&id).copied().or(Some(u64::MAX)) {
            self.forget(id);
        }
    }

    /// Whether anything changed since the last call.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// Records that the state returned last could not be saved.
    pub fn put_back_change(&mut self) {
        self.dirty = true;
    }

    /// Appends all of it as members of a JSON object. One record at a time: as one value a million
    /// files would take gigabytes.
    pub fn write_members(&self, out: &mut Vec<u8>) {
        let watched = self.watched.union(&self.watched_before);
        write_list(out, "watched", watched.map(|path| path_to_json(path)));
        out.push(b',');
        let files = self.files.values();
        write_list(out, "files", files.map(FileRecord::to_json));
    }

    /// Parses the state of an earlier run, and makes its paths canonical with `key`. Returns `None` if it
    /// is incomplete or corrupt.
    pub fn from_members(
        members: &Members<'_>,
        mut key: impl FnMut(&Path) -> PathBuf,
    ) -> Option<Self> {
        let mut state = Self::default();
        for name in read_list(members, "watched")? {
            state.watched_before.insert(key(&path_from_json(&name?)?));
        }
        for file in read_list(members, "files")? {
            let record = FileRecord::from_json(&file?)?;
            let path = key(&record.path);
            state.add(FileRecord { path, ..record });
        }
        state.dirty = false;
        Some(state)
    }
}

/// The members of a JSON object, not yet parsed.
pub type Members<'a> = BTreeMap<String, &'a RawValue>;

fn write_list(out: &mut Vec<u8>, name: &str, list: impl Iterator<Item = Value>) {
    out.extend_from_slice(format!("\"{name}\":[").as_bytes());
    for (index, value) in list.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(value.to_string().as_bytes());
    }
    out.push(b']');
}

/// The values in a list, parsed one at a time.
fn read_list(members: &Members<'_>, name: &str) -> Option<impl Iterator<Item = Option<Value>>> {
    let list: Vec<&RawValue> = serde_json::from_str(members.get(name)?.get()).ok()?;
    let values = list.into_iter();
    Some(values.map(|value| serde_json::from_str(value.get()).ok()))
}
