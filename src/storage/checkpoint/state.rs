//! What is known of files: those of this run, those of earlier ones, and the names looked for.
//!
//! Knows how the one become the other, and how all of it is written down. Knows no file system
//! and no lock.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::entry::{FileId, FilePosition};
use crate::storage::file_identity::{
    DevInode, FileRecord, Fingerprint, path_from_json, path_to_json,
};

/// What a checkpoint holds.
#[derive(Default)]
pub struct CheckpointState {
    /// Files of this run.
    files: BTreeMap<FileId, FileRecord>,
    /// How long they were when they were last looked at.
    sizes: HashMap<FileId, u64>,
    /// Those of them that are read to an end that will not move any more.
    ends: HashMap<FileId, u64>,
    /// Files of earlier runs that were not met in this one yet.
    former: Vec<FileRecord>,
    /// Files of earlier runs that were met and are about to be registered.
    met: Vec<FileRecord>,
    /// The names and patterns that earlier runs looked for.
    watched_before: BTreeSet<PathBuf>,
    /// Those of this run.
    watched: BTreeSet<PathBuf>,
    dirty: bool,
}

impl CheckpointState {
    /// Notes a name that is looked for; gives whether an earlier run looked for it.
    pub fn watch(&mut self, name: &Path) -> bool {
        self.dirty |= self.watched.insert(name.to_owned());
        self.watched_before.contains(name)
    }

    /// Notes a state from elsewhere that may be ahead of an earlier run's.
    pub fn raise(&mut self, state: &FileRecord) {
        let same = self
            .former
            .iter_mut()
            .find(|own| own.place == state.place && own.signature == state.signature);
        match same {
            Some(own) if own.offset < state.offset => {
                (own.offset, own.unread) = (state.offset, state.unread);
            }
            Some(_) => {}
            // Which of two signatures is the newer shows when the file is met.
            None => self.former.push(state.clone()),
        }
        self.dirty = true;
    }

    /// Meets a file: how far an earlier run settled it.
    pub fn resume(&mut self, place: DevInode, head: &[u8]) -> Option<u64> {
        let fitting = self.former.extract_if(.., |own| own.is(place, head));
        // What is saved before the file is registered holds it still.
        let fitting: Vec<FileRecord> = fitting.collect();
        let offset = fitting.iter().map(|own| own.offset).max();
        self.met.extend(fitting);
        offset
    }

    /// The files of earlier runs that were read by such names and not met yet.
    pub fn former_where(&self, fits: impl Fn(&Path) -> bool) -> Vec<FileRecord> {
        let by_name = self.former.iter().filter(|own| fits(&own.path));
        by_name.cloned().collect()
    }

    /// Gives up the files of earlier runs that were read by this name and not met yet.
    pub fn forget_former(&mut self, path: &Path) {
        let before = self.former.len();
        self.former.retain(|own| own.path != path);
        self.dirty |= self.former.len() < before;
    }

    /// The names of all files of earlier runs that were not met yet.
    pub fn former_paths(&self) -> Vec<PathBuf> {
        self.former.iter().map(|own| own.path.clone()).collect()
    }

    /// Gives up the files of earlier runs whose names are gone, but not those this run looks for.
    pub fn forget_gone(&mut self, gone: &HashSet<PathBuf>) {
        let before = self.former.len();
        let watched = &self.watched;
        self.former
            .retain(|own| !gone.contains(&own.path) || watched.contains(&own.path));
        self.dirty |= self.former.len() < before;
    }

    /// A file of this run; its offset is where reading begins.
    pub fn register(&mut self, id: FileId, state: FileRecord) {
        self.met.clear();
        self.files.insert(id, state);
        self.dirty = true;
    }

    /// More of a file's first bytes are known now.
    pub fn refine(&mut self, id: FileId, signature: Fingerprint) {
        if let Some(own) = self.files.get_mut(&id) {
            own.signature = signature;
            self.dirty = true;
        }
    }

    /// A file has so many bytes to be read. That alone is no reason to write.
    pub fn sized(&mut self, id: FileId, size: u64) {
        self.sizes.insert(id, size);
    }

    /// Whether a file was or is read by such a name.
    pub fn knows(&self, fits: impl Fn(&Path) -> bool) -> bool {
        let mut files = self
            .former
            .iter()
            .chain(&self.met)
            .chain(self.files.values());
        files.any(|own| fits(&own.path))
    }

    /// Nothing behind `end` will be read of a file.
    pub fn finished(&mut self, id: FileId, end: u64) {
        self.ends.insert(id, end);
        self.drop_finished(id);
    }

    /// What a file held is gone.
    pub fn forget(&mut self, id: FileId) {
        self.files.remove(&id);
        self.sizes.remove(&id);
        self.dirty = true;
    }

    /// A file of this run as it stands.
    pub fn file(&self, id: FileId) -> Option<&FileRecord> {
        self.files.get(&id)
    }

    /// Everything up to this mark has its fate.
    pub fn settled(&mut self, mark: FilePosition) {
        let Some(own) = self.files.get_mut(&mark.file) else {
            return;
        };
        if own.offset < mark.offset {
            own.offset = mark.offset;
            self.dirty = true;
        }
        self.drop_finished(mark.file);
    }

    fn drop_finished(&mut self, id: FileId) {
        let settled = self.files.get(&id).map(|own| own.offset);
        if settled >= self.ends.get(&id).copied().or(Some(u64::MAX)) {
            self.forget(id);
            self.ends.remove(&id);
            self.dirty = true;
        }
    }

    /// All of it, if it changed since this was last asked.
    pub fn take_change(&mut self) -> Option<Value> {
        std::mem::take(&mut self.dirty).then(|| self.to_json())
    }

    /// What was taken could not be kept.
    pub fn put_back_change(&mut self) {
        self.dirty = true;
    }

    fn to_json(&self) -> Value {
        let own = self.files.iter().map(|(id, own)| FileRecord {
            unread: match self.sizes.get(id) {
                Some(size) => *size > own.offset,
                None => own.unread,
            },
            ..own.clone()
        });
        let files = self.former.iter().chain(&self.met).cloned().chain(own);
        let watched = self.watched.union(&self.watched_before);
        json!({
            "watched": watched.map(|path| path_to_json(path)).collect::<Value>(),
            "files": files.map(|own| own.to_json()).collect::<Value>(),
        })
    }

    /// What an earlier run knew, if it wrote down all that it should; each name as `key` gives it.
    pub fn from_json(json: &Value, key: impl Fn(&Path) -> PathBuf) -> Option<Self> {
        let list = |key: &str| json.get(key).and_then(Value::as_array);
        let files = list("files")?.iter().map(|own| {
            let own = FileRecord::from_json(own)?;
            let path = key(&own.path);
            Some(FileRecord { path, ..own })
        });
        let watched = list("watched")?.iter();
        let watched = watched.map(|name| Some(key(&path_from_json(name)?)));
        Some(Self {
            former: files.collect::<Option<_>>()?,
            watched_before: watched.collect::<Option<_>>()?,
            ..Self::default()
        })
    }
}
