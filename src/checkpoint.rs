//! The checkpoint: how far each file was settled, kept on disk for the next run.
//!
//! Shared by the sources, which tell it of files, and the ship thread, which tells it what is
//! settled. It moves with nothing else. Knows no entry, no request and no way to read a log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError as Busy};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::entry::{FileId, Marks};
use crate::identity::{FileState, Place, Signature, path_from_json, path_to_json};
use crate::lock::Lock;
use crate::note::{Message, Note};

/// The key that says what the file is, with the version of its format.
const KEY: &str = "loki_push_checkpoint";
const VERSION: u64 = 1;

/// The least time between two writes.
const INTERVAL: Duration = Duration::from_secs(1);

/// How far each file was settled.
pub struct Checkpoint {
    path: PathBuf,
    /// Held as long as the process lives; None if nothing is to be written.
    lock: Option<Lock>,
    /// When the file was last written before this run.
    written: Option<SystemTime>,
    known: Mutex<Known>,
    writing: Mutex<Writing>,
    saved: OnceLock<Saved>,
    note: Note,
}

/// Who must know what a checkpoint on disk covers: asked for a token before it is put together, and
/// told it when that is written.
struct Saved {
    before: Box<dyn Fn() -> u64 + Send + Sync>,
    after: Box<dyn Fn(u64) + Send + Sync>,
}

#[derive(Default)]
struct Known {
    /// Files of this run.
    files: BTreeMap<FileId, FileState>,
    /// Those of them that are read to an end that will not move any more.
    ends: HashMap<FileId, u64>,
    /// Files of earlier runs that were not met in this one yet.
    former: Vec<FileState>,
    /// Files of earlier runs that were met and are about to be registered.
    met: Vec<FileState>,
    /// The names and patterns that earlier runs looked for.
    watched_before: BTreeSet<PathBuf>,
    /// Those of this run.
    watched: BTreeSet<PathBuf>,
    dirty: bool,
}

#[derive(Default)]
struct Writing {
    tried: Option<Instant>,
    failed: bool,
}

impl Checkpoint {
    /// Opens a checkpoint, or begins one if there is no such file. With `writable` unset (a dry
    /// run) it is only looked at.
    ///
    /// # Errors
    /// If it is damaged, no checkpoint at all, of a later version, in use, or cannot be written.
    pub fn open(path: &Path, writable: bool, note: Note) -> Result<Self> {
        // Written by renaming: a link to the file must go on being one.
        let path = fs::canonicalize(path)
            .or_else(|_| std::path::absolute(path))
            .unwrap_or_else(|_| path.to_owned());
        let lock = writable.then(|| take_lock(&path)).transpose()?;
        let bytes = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read the checkpoint {}", path.display()));
            }
        };
        let known = match bytes {
            Some(bytes) => read(&bytes).map_err(|why| {
                anyhow!(
                    "--checkpoint: {} is no checkpoint that can be read ({why}); name another \
                     file, or move it away to begin anew, with each file where --from says",
                    path.display()
                )
            })?,
            None => Known::default(),
        };
        let written = fs::metadata(&path).and_then(|meta| meta.modified()).ok();
        Ok(Self {
            path,
            lock,
            written,
            known: Mutex::new(known),
            writing: Mutex::default(),
            saved: OnceLock::new(),
            note,
        })
    }

    /// Calls `before` whenever it is about to be put together, and `after`, with what that gave,
    /// once it is on disk: what was settled before the one may be forgotten after the other.
    pub fn on_saved(
        &self,
        before: impl Fn() -> u64 + Send + Sync + 'static,
        after: impl Fn(u64) + Send + Sync + 'static,
    ) {
        let (before, after) = (Box::new(before), Box::new(after));
        // There is one pipeline, so there is nothing in it yet.
        let _ = self.saved.set(Saved { before, after });
    }

    /// Whether this is a file that it is made of, which no source must read.
    pub fn owns(&self, path: &Path) -> bool {
        let is_own = |path: &Path| {
            let own = [".lock", ".tmp"].map(|ending| beside(&self.path, ending));
            path == self.path || own.iter().any(|own| path == own)
        };
        let named_alike = self.path.file_name().is_some_and(|own| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            name.starts_with(own.as_encoded_bytes())
        });
        named_alike && fs::canonicalize(path).is_ok_and(|path| is_own(&path))
    }

    /// When it was last written by an earlier run.
    pub fn written(&self) -> Option<SystemTime> {
        self.written
    }

    /// Notes that a name or pattern is looked for; gives whether an earlier run looked for it. Then
    /// a file it names that the checkpoint does not know has appeared since.
    pub fn watch(&self, name: &Path) -> bool {
        let mut known = self.known();
        known.dirty |= known.watched.insert(name.to_owned());
        known.watched_before.contains(name)
    }

    /// Notes a state from elsewhere that may be ahead: the mark of a spooled shipment. To be called
    /// before any file is opened.
    pub fn raise(&self, state: &FileState) {
        let mut known = self.known();
        let same = known
            .former
            .iter_mut()
            .find(|own| own.place == state.place && own.signature == state.signature);
        match same {
            Some(own) => own.offset = own.offset.max(state.offset),
            // Which of two signatures is the newer shows when the file is met.
            None => known.former.push(state.clone()),
        }
        known.dirty = true;
    }

    /// How far the file that lies at `place` and begins with `head` was settled by an earlier run.
    pub fn resume(&self, place: Place, head: &[u8]) -> Option<u64> {
        let mut known = self.known();
        let fitting = known.former.extract_if(.., |own| own.is(place, head));
        // What is saved before the file is registered holds it still.
        let fitting: Vec<FileState> = fitting.collect();
        let offset = fitting.iter().map(|own| own.offset).max();
        known.met.extend(fitting);
        offset
    }

    /// The files of earlier runs that were read by this name and not met yet.
    pub fn former(&self, path: &Path) -> Vec<FileState> {
        let known = self.known();
        let by_name = known.former.iter().filter(|own| own.path == path);
        by_name.cloned().collect()
    }

    /// Gives up the files of [`Checkpoint::former`]: they were looked for and not found.
    pub fn forget_former(&self, path: &Path) {
        let mut known = self.known();
        let before = known.former.len();
        known.former.retain(|own| own.path != path);
        known.dirty |= known.former.len() < before;
    }

    /// Gives up the files of earlier runs whose names are gone, so that the checkpoint does not
    /// grow for ever; but not those this run looks for, which may come back.
    pub fn forget_gone(&self) {
        let mut known = self.known();
        let Known {
            former, watched, ..
        } = &mut *known;
        let before = former.len();
        former.retain(|own| {
            let gone = fs::symlink_metadata(&own.path).map_err(|error| error.kind());
            gone.err() != Some(io::ErrorKind::NotFound) || watched.contains(&own.path)
        });
        let fewer = former.len() < before;
        known.dirty |= fewer;
    }

    /// A file of this run; its offset is where reading begins.
    pub fn register(&self, id: FileId, state: FileState) {
        let mut known = self.known();
        known.met.clear();
        known.files.insert(id, state);
        known.dirty = true;
    }

    /// The file was short and more of its first bytes are known now.
    pub fn refine(&self, id: FileId, signature: Signature) {
        let mut known = self.known();
        if let Some(own) = known.files.get_mut(&id) {
            own.signature = signature;
            known.dirty = true;
        }
    }

    /// Nothing behind `end` will be read of the file: once that is settled it can be forgotten.
    pub fn finished(&self, id: FileId, end: u64) {
        let mut known = self.known();
        known.ends.insert(id, end);
        known.drop_finished(id);
    }

    /// What the file held is gone.
    pub fn forget(&self, id: FileId) {
        let mut known = self.known();
        known.files.remove(&id);
        known.dirty = true;
    }

    /// A file of this run as it stands: with the offset of the mark in its place, what a spooled
    /// shipment needs to know of it.
    pub fn describe(&self, id: FileId) -> Option<FileState> {
        self.known().files.get(&id).cloned()
    }

    /// Everything up to these marks has its fate.
    pub fn settled(&self, marks: &Marks) {
        let mut known = self.known();
        for mark in marks.iter() {
            let Some(own) = known.files.get_mut(&mark.file) else {
                continue;
            };
            if own.offset < mark.offset {
                own.offset = mark.offset;
                known.dirty = true;
            }
            known.drop_finished(mark.file);
        }
    }

    /// Saves where the files of this run begin. Does not put off the first save of what is settled.
    pub fn begin(&self) {
        let result = self.save();
        self.writing().tried = None;
        self.say_failure(false, &result);
    }

    /// Saves what changed if the last write is a second ago, and says once that it fails. It is
    /// tried on and on.
    pub fn keep(&self, now: Instant) {
        let failed_before = self.writing().failed;
        let result = self.save_if_due(now);
        self.say_failure(failed_before, &result);
    }

    /// Saves what changed, for the last time.
    ///
    /// # Errors
    /// If it cannot be written, which was said then.
    pub fn save_at_end(&self) -> io::Result<bool> {
        let failed_before = self.writing().failed;
        let result = self.save();
        self.say_failure(failed_before, &result);
        result
    }

    fn say_failure(&self, failed_before: bool, result: &io::Result<bool>) {
        if let (Err(why), false) = (result, failed_before) {
            let (what, why) = (self.path.display().to_string(), why.to_string());
            let (what, why) = (what.as_str(), why.as_str());
            self.note.say(&Message::CheckpointFailed { what, why });
        }
    }

    /// Saves what changed if the last write is a second ago; gives whether it did.
    ///
    /// # Errors
    /// If it cannot be written; what it was stays.
    pub fn save_if_due(&self, now: Instant) -> io::Result<bool> {
        let mut writing = match self.writing.try_lock() {
            Ok(writing) => writing,
            Err(Busy::WouldBlock) => return Ok(false),
            Err(Busy::Poisoned(writing)) => writing.into_inner(),
        };
        let due = writing.tried.is_none_or(|tried| now >= tried + INTERVAL);
        if due {
            self.write(&mut writing)
        } else {
            Ok(false)
        }
    }

    /// Saves what changed; gives whether anything had.
    ///
    /// # Errors
    /// If it cannot be written; what it was stays.
    pub fn save(&self) -> io::Result<bool> {
        self.write(&mut self.writing())
    }

    fn write(&self, writing: &mut Writing) -> io::Result<bool> {
        if self.lock.is_none() {
            return Ok(false);
        }
        let token = self.saved.get().map(|saved| (saved.before)());
        let covered = || {
            if let (Some(saved), Some(token)) = (self.saved.get(), token) {
                (saved.after)(token);
            }
        };
        let json = {
            let mut known = self.known();
            std::mem::take(&mut known.dirty).then(|| known.to_json().to_string())
        };
        let Some(json) = json else {
            // What is on disk says it all.
            covered();
            return Ok(false);
        };
        let result = replace(&self.path, &json);
        writing.tried = Some(Instant::now());
        writing.failed = result.is_err();
        self.known().dirty |= writing.failed;
        if result.is_ok() {
            covered();
        }
        result.map(|()| true)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn drop_finished(&mut self, id: FileId) {
        let settled = self.files.get(&id).map(|own| own.offset);
        if settled >= self.ends.get(&id).copied().or(Some(u64::MAX)) {
            self.files.remove(&id);
            self.ends.remove(&id);
            self.dirty = true;
        }
    }

    fn to_json(&self) -> Value {
        let files = self
            .former
            .iter()
            .chain(&self.met)
            .chain(self.files.values());
        let watched = self.watched.union(&self.watched_before);
        json!({
            KEY: VERSION,
            "watched": watched.map(|path| path_to_json(path)).collect::<Value>(),
            "files": files.map(FileState::to_json).collect::<Value>(),
        })
    }
}

fn read(bytes: &[u8]) -> Result<Known> {
    let json: Value = serde_json::from_slice(bytes)?;
    match json.get(KEY).and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(version) => bail!("its version is {version}, this program knows {VERSION}"),
        None => bail!("it does not say `{KEY}`"),
    }
    let list = |key: &str| json.get(key).and_then(Value::as_array);
    let all = || {
        let files = list("files")?.iter().map(FileState::from_json);
        let watched = list("watched")?.iter().map(path_from_json);
        Some(Known {
            former: files.collect::<Option<_>>()?,
            watched_before: watched.collect::<Option<_>>()?,
            ..Known::default()
        })
    };
    all().context("a part of it is missing or strange")
}

/// Takes the lock that keeps two processes from one checkpoint. It lies on a file beside, since
/// the checkpoint itself is another file after each write; that file stays, since a name that is
/// removed while another process opens it locks nothing.
fn take_lock(path: &Path) -> Result<Lock> {
    let beside = beside(path, ".lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&beside)
        .with_context(|| format!("--checkpoint: cannot write {}", beside.display()))?;
    match Lock::take(file).with_context(|| format!("cannot lock {}", beside.display()))? {
        Some(lock) => Ok(lock),
        None => bail!(
            "--checkpoint: {} is in use by another loki-push; give each one of its own",
            path.display()
        ),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Puts a new file in the place of the old one; a crash leaves the one or the other.
fn replace(path: &Path, json: &str) -> io::Result<()> {
    let new = beside(path, ".tmp");
    let mut file = File::create(&new)?;
    file.write_all(json.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_data()?;
    fs::rename(&new, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    // Not every file system can sync a directory; without it only a power cut can bring back the
    // state before.
    let _ = File::open(dir.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Mark;

    fn state(path: &str, ino: u64, offset: u64) -> FileState {
        FileState {
            path: path.into(),
            place: Place { dev: 1, ino },
            signature: Signature::of(b"head"),
            offset,
        }
    }

    fn marks(list: &[(FileId, u64)]) -> Marks {
        let mark = |&(file, offset): &(FileId, u64)| Mark { file, offset };
        list.iter().map(mark).collect()
    }

    fn open(path: &Path) -> Result<Checkpoint> {
        Checkpoint::open(path, true, Note::default())
    }

    fn at(ino: u64) -> Place {
        Place { dev: 1, ino }
    }

    #[test]
    fn what_was_settled_is_where_the_next_run_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let first = open(&path).unwrap();
        assert!(!first.watch(Path::new("/a*")));
        first.register(0, state("/a", 10, 5));
        first.register(1, state("/b", 11, 0));
        first.settled(&marks(&[(0, 50), (7, 9)]));
        first.settled(&marks(&[(0, 40)]));
        assert!(first.save().unwrap());
        assert!(!first.save().unwrap(), "nothing changed");
        drop(first);

        let second = open(&path).unwrap();
        assert!(second.watch(Path::new("/a*")) && !second.watch(Path::new("/c")));
        assert_eq!(second.resume(at(10), b"other"), None);
        assert_eq!(second.former(Path::new("/a")), [state("/a", 10, 50)]);
        assert_eq!(second.resume(at(10), b"head and more"), Some(50));
        assert_eq!(second.resume(at(10), b"head"), None, "it was taken");
        second.forget_former(Path::new("/b"));
        assert_eq!(second.resume(at(11), b"head"), None);
    }

    #[test]
    fn a_finished_file_is_forgotten_once_its_end_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = open(&dir.path().join("state")).unwrap();
        checkpoint.register(0, state("/a", 10, 0));
        checkpoint.finished(0, 9);
        assert!(checkpoint.describe(0).is_some());
        checkpoint.settled(&marks(&[(0, 9)]));
        assert_eq!(checkpoint.describe(0), None);
    }

    #[test]
    fn a_spooled_mark_outranks_what_is_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = open(&dir.path().join("state")).unwrap();
        checkpoint.raise(&state("/a", 10, 5));
        checkpoint.raise(&state("/a", 10, 50));
        let refined = FileState {
            signature: Signature::of(b"head, refined"),
            ..state("/a", 10, 70)
        };
        checkpoint.raise(&refined);
        assert_eq!(checkpoint.resume(at(10), b"head, refined"), Some(70));
    }

    #[test]
    fn it_is_written_at_most_once_a_second_and_only_when_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = open(&dir.path().join("state")).unwrap();
        assert!(!checkpoint.save_if_due(Instant::now()).unwrap());
        checkpoint.register(0, state("/a", 10, 0));
        assert!(checkpoint.save_if_due(Instant::now()).unwrap());
        checkpoint.settled(&marks(&[(0, 9)]));
        let now = Instant::now();
        assert!(!checkpoint.save_if_due(now).unwrap());
        assert!(checkpoint.save_if_due(now + INTERVAL).unwrap());
        assert!(!checkpoint.save_if_due(now + 3 * INTERVAL).unwrap());
    }

    #[test]
    fn what_is_no_checkpoint_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let valid = json!({ KEY: 1, "watched": [], "files": [state("/a", 1, 2).to_json()] });
        for (bytes, word) in [
            (String::new(), "EOF"),
            ("important notes".into(), "expected"),
            ("{}".into(), KEY),
            (json!({ KEY: 2 }).to_string(), "version is 2"),
            (json!({ KEY: 1, "files": [{}] }).to_string(), "missing"),
            (valid.to_string().replace("ino", "oni"), "strange"),
        ] {
            fs::write(&path, &bytes).unwrap();
            let error = format!("{:#}", open(&path).err().unwrap());
            assert!(
                error.contains(word) && error.contains("move it away"),
                "{error}"
            );
            assert_eq!(fs::read(&path).unwrap(), bytes.as_bytes());
        }
        fs::write(&path, valid.to_string()).unwrap();
        assert!(open(&path).is_ok());
    }

    #[test]
    fn two_processes_cannot_share_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let first = open(&path).unwrap();
        let error = open(&path).err().unwrap().to_string();
        assert!(error.contains("in use"), "{error}");
        drop(first);
        assert!(open(&path).is_ok());
    }

    #[test]
    fn a_write_that_fails_keeps_what_was_and_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let checkpoint = open(&path).unwrap();
        checkpoint.register(0, state("/a", 10, 0));
        fs::create_dir(dir.path().join("state.tmp")).unwrap();
        assert!(checkpoint.save().is_err() && !path.exists());
        fs::remove_dir(dir.path().join("state.tmp")).unwrap();
        assert!(checkpoint.save().unwrap());
    }
}
