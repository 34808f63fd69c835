//! Generations: the files that bore one name one after another, as rotation leaves them.
//!
//! Finds what an earlier run did not finish, and what came and went unseen, among the siblings of a
//! name. Opens files and reads what they begin with; reads no line.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::checkpoint::Checkpoint;
use crate::identity::{FileState, HEAD, Place, Signature};
use crate::note::{Message, Note};

/// Endings of compressed files, which are no generation to go on with: they hold what an
/// uncompressed one held before.
const COMPRESSED: [&str; 6] = ["gz", "xz", "bz2", "zst", "lz4", "Z"];

/// Where a file begins that the checkpoint does not know and that did not appear while we looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// At its start.
    Start,
    /// At its end.
    End,
}

/// A file that is open, and where reading it is to begin.
pub struct Opened {
    /// The file.
    pub file: File,
    /// What is known of it.
    pub meta: Metadata,
    /// What it begins with.
    pub head: Vec<u8>,
    /// Where reading begins.
    pub offset: u64,
}

impl Opened {
    /// Opens a file, to be read from its start.
    ///
    /// # Errors
    /// If that fails.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        let head = if meta.is_file() {
            head_of(&file, HEAD)?
        } else {
            Vec::new()
        };
        Ok(Self {
            file,
            meta,
            head,
            offset: 0,
        })
    }

    /// Where it lies.
    pub fn place(&self) -> Place {
        Place::from(&self.meta)
    }

    /// What the checkpoint is to hold of it under a name.
    pub fn state(&self, name: &Path) -> FileState {
        FileState {
            path: name.to_owned(),
            place: self.place(),
            signature: Signature::of(&self.head),
            offset: self.offset,
        }
    }

    fn born(&self) -> Born {
        Born::of(&self.meta)
    }
}

/// The first bytes of a file, at most `most`.
///
/// # Errors
/// Those of reading.
pub fn head_of(file: &File, most: usize) -> io::Result<Vec<u8>> {
    let mut head = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match file.read_at(&mut head[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(filled);
    Ok(head)
}

/// When a file came to be, and when it was last written. Not every file system knows the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Born {
    created: Option<SystemTime>,
    modified: SystemTime,
}

impl Born {
    /// Of a file.
    pub fn of(meta: &Metadata) -> Self {
        Self {
            created: meta.created().ok(),
            modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }

    /// Whether a file is a later generation than another. Two that were created in one tick of the
    /// file system's clock are told apart by their last writes.
    fn is_after(self, other: Self) -> bool {
        match (self.created, other.created) {
            (Some(own), Some(others)) if own != others => own > others,
            _ => self.modified >= other.modified,
        }
    }

    /// Whether it came to be, or was last written, at a moment or after it.
    fn is_since(self, moment: SystemTime) -> bool {
        self.created.unwrap_or(self.modified) >= moment
    }
}

/// What is to be read by a name at the start of a run, oldest first: what an earlier run left of
/// files that bore the name then, what bore it in between, and `current`, which bears it now.
pub fn at_start(
    name: &Path,
    current: Option<Opened>,
    checkpoint: Option<&Checkpoint>,
    begin: Begin,
    note: Note,
) -> Vec<Opened> {
    let Some(checkpoint) = checkpoint else {
        return current
            .map(|file| begins(file, begin, name))
            .into_iter()
            .collect();
    };
    let resumed = current
        .as_ref()
        .and_then(|file| checkpoint.resume(file.place(), &file.head));
    let former = checkpoint.former(name);
    let mut old = Vec::new();
    for state in &former {
        if let Some(mut file) = find(name, state) {
            // Two states may be of one file, one of them from the spool.
            if let Some(offset) = checkpoint.resume(file.place(), &file.head) {
                file.offset = within(offset, &file, name);
                old.push(file);
            }
        }
    }
    if resumed.is_none() && !former.is_empty() {
        let unseen = unseen(name, &former, &old, current.as_ref(), checkpoint.written());
        old.extend(unseen);
    }
    if current.is_some() {
        // What was not found is gone for good. While nothing bears the name it may still come back.
        checkpoint.forget_former(name);
    }
    if current.is_some() && old.is_empty() && !former.is_empty() {
        let what = &*name.to_string_lossy();
        note.say(&Message::PredecessorGone { what });
    }
    old.sort_by_key(|file| (file.born().created, file.born().modified));
    old.extend(current.map(|mut file| match resumed {
        Some(offset) => {
            file.offset = within(offset, &file, name);
            file
        }
        None if former.is_empty() => begins(file, begin, name),
        None => file,
    }));
    old
}

/// What bore a name after the files of `former`, of which `found` were found, and before `current`.
fn unseen(
    name: &Path,
    former: &[FileState],
    found: &[Opened],
    current: Option<&Opened>,
    written: Option<SystemTime>,
) -> Vec<Opened> {
    let known: Vec<Place> = found.iter().chain(current).map(Opened::place).collect();
    let mut files = siblings(name, &|place| known.contains(&place));
    let was_cut = current.is_some_and(|now| former.iter().any(|state| state.place == now.place()));
    let newest = found
        .iter()
        .map(Opened::born)
        .reduce(|a, b| if b.is_after(a) { b } else { a });
    files.retain_mut(|file| {
        let copied = copied(file, former);
        file.offset = copied.unwrap_or(0);
        let after = match (newest, written) {
            (Some(newest), _) => file.born().is_after(newest),
            (None, Some(written)) => file.born().is_since(written),
            (None, None) => false,
        };
        // A file that was cut in place is older than the copy that was made of it before.
        let before = current.is_none_or(|now| now.born().is_after(file.born()));
        after && if was_cut { copied.is_some() } else { before }
    });
    files
}

/// The generations that bore a name after `old` and before `new`, oldest first, each from its
/// start; but none of those that are `known`.
pub fn between(name: &Path, old: Born, new: Born, known: &dyn Fn(Place) -> bool) -> Vec<Opened> {
    let mut files = siblings(name, known);
    files.retain(|file| file.born().is_after(old) && new.is_after(file.born()));
    files.sort_by_key(|file| (file.born().created, file.born().modified));
    files
}

fn begins(mut file: Opened, begin: Begin, name: &Path) -> Opened {
    file.offset = match begin {
        Begin::Start => 0,
        // The end of what is compressed is found by reading it.
        Begin::End if is_gzip(name) => u64::MAX,
        Begin::End => file.meta.len(),
    };
    file
}

/// Where a file is to be gone on with if it is a copy of one that was read, as copy-truncate leaves
/// it.
fn copied(file: &Opened, former: &[FileState]) -> Option<u64> {
    let original = former.iter().filter(|state| {
        state.signature.len() > 0
            && state.signature.fits(&file.head)
            && state.offset <= file.meta.len()
    });
    original.map(|state| state.offset).max()
}

/// An offset in a file that still reaches so far; else the file was cut short, and begins anew.
/// How far a compressed file reaches shows in reading.
fn within(offset: u64, file: &Opened, name: &Path) -> u64 {
    if offset <= file.meta.len() || is_gzip(name) {
        offset
    } else {
        0
    }
}

/// Whether the name says that the file is compressed by gzip.
pub fn is_gzip(name: &Path) -> bool {
    name.extension() == Some(OsStr::new("gz"))
}

/// The file of this state in the directory of `name`, whatever it is called now.
fn find(name: &Path, state: &FileState) -> Option<Opened> {
    let entries = fs::read_dir(directory(name)).ok()?.flatten();
    entries
        .filter(|entry| entry.ino() == state.place.ino)
        .filter_map(|entry| Opened::open(&entry.path()).ok())
        .find(|file| state.is(file.place(), &file.head))
}

/// The files whose names are those that rotation gives to a file of this name.
fn siblings(name: &Path, known: &dyn Fn(Place) -> bool) -> Vec<Opened> {
    let Some(base) = name.file_name() else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(directory(name)) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| is_rotated(base, &entry.file_name()))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| Opened::open(&entry.path()).ok())
        .filter(|file| !known(file.place()))
        .collect()
}

fn directory(name: &Path) -> &Path {
    name.parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Whether rotation may have made `other` of `base`: `app.log` becomes `app.log.1`,
/// `app.log-20240102`, `app.log.old`, or `app-2024-01-02.log`, `app.1.log`. Other names that begin
/// alike (`app.log` and `app.log.audit`) are files of their own.
fn is_rotated(base: &OsStr, other: &OsStr) -> bool {
    let (base, other) = (base.as_bytes(), other.as_bytes());
    let compressed = |name: &[u8]| {
        COMPRESSED
            .iter()
            .any(|ending| name.ends_with(format!(".{ending}").as_bytes()))
    };
    if compressed(other) && !compressed(base) {
        return false;
    }
    if other.strip_prefix(base).is_some_and(is_turn) {
        return true;
    }
    let Some(dot) = base.iter().rposition(|&byte| byte == b'.') else {
        return false;
    };
    let (stem, ending) = base.split_at(dot);
    let middle = other
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_suffix(ending));
    dot > 0 && middle.is_some_and(is_turn)
}

/// Whether this is what rotation puts into a name: a number, a date, or a word for `old`.
fn is_turn(part: &[u8]) -> bool {
    let Some((&first, rest)) = part.split_first() else {
        return false;
    };
    let separated = matches!(first, b'.' | b'-' | b'_');
    let word = matches!(rest, b"old" | b"bak" | b"prev" | b"last") || part == b"~";
    let numeric = part
        .iter()
        .all(|byte| byte.is_ascii_digit() || b".-_:+TZ".contains(byte));
    (separated && word) || part == b"~" || (numeric && part.iter().any(u8::is_ascii_digit))
}

/// Sorts paths by the time of the last write, oldest first; those that are gone come last, to be
/// said.
pub fn oldest_first(paths: &mut [PathBuf]) {
    paths.sort_by_cached_key(|path| {
        let modified = fs::metadata(path).and_then(|meta| meta.modified()).ok();
        (Reverse(modified.is_some()), modified)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rotation_are_told_from_neighbours() {
        for (base, other, rotated) in [
            ("app.log", "app.log.1", true),
            ("app.log", "app.log.12", true),
            ("app.log", "app.log-20240102", true),
            ("app.log", "app.log-20240102-1704153600", true),
            ("app.log", "app.log.2024-01-02T03:04:05Z", true),
            ("app.log", "app.log.old", true),
            ("app.log", "app.log~", true),
            ("app.log", "app-2024-01-02.log", true),
            ("app.log", "app.1.log", true),
            ("app", "app.1", true),
            ("app.log", "app.log", false),
            ("app.log", "app.log.1.gz", false),
            ("app.log", "app.log.audit", false),
            ("app.log", "app-errors.log", false),
            ("app", "app-audit.log", false),
            ("app.log", "other.log.1", false),
            ("app.log", "app.log.-", false),
            (".log", "x.log", false),
        ] {
            assert_eq!(
                is_rotated(OsStr::new(base), OsStr::new(other)),
                rotated,
                "{base} {other}"
            );
        }
    }

    fn contents(files: &[Opened]) -> Vec<(String, u64)> {
        let text = |file: &Opened| String::from_utf8_lossy(&file.head).into_owned();
        files.iter().map(|file| (text(file), file.offset)).collect()
    }

    fn expected(list: &[(&str, u64)]) -> Vec<(String, u64)> {
        list.iter().map(|(t, o)| ((*t).to_owned(), *o)).collect()
    }

    /// What a run finds that comes after one that had read `app.log`, and what was done in between.
    fn after(settled: u64, change: impl FnOnce(&Path)) -> Vec<(String, u64)> {
        let dir = tempfile::tempdir().unwrap();
        let (name, state) = (dir.path().join("app.log"), dir.path().join("state"));
        fs::write(&name, "first\n").unwrap();
        let open = || Checkpoint::open(&state, true, Note::default()).unwrap();
        let checkpoint = open();
        let mut file = Opened::open(&name).unwrap();
        file.offset = settled;
        checkpoint.register(0, file.state(&name));
        checkpoint.save().unwrap();
        drop((checkpoint, file));
        change(dir.path());
        let current = Opened::open(&name).ok();
        contents(&at_start(
            &name,
            current,
            Some(&open()),
            Begin::End,
            Note::new(crate::note::Loudness::Quiet),
        ))
    }

    #[test]
    fn a_run_goes_on_where_the_one_before_was_settled() {
        let rotate = |dir: &Path, to: &str| fs::rename(dir.join("app.log"), dir.join(to)).unwrap();
        let write = |dir: &Path, text: &str| fs::write(dir.join("app.log"), text).unwrap();
        assert_eq!(after(3, |_| {}), expected(&[("first\n", 3)]));
        assert_eq!(
            after(3, |dir| {
                rotate(dir, "app.log.1");
                write(dir, "second\n");
            }),
            expected(&[("first\n", 3), ("second\n", 0)]),
            "the predecessor first"
        );
        assert_eq!(
            after(3, |dir| {
                rotate(dir, "older");
                write(dir, "second\n");
                rotate(dir, "app.log.1");
                write(dir, "third\n");
                fs::write(dir.join("app.log.audit"), "no kin\n").unwrap();
            }),
            expected(&[("first\n", 3), ("second\n", 0), ("third\n", 0)]),
            "then what came and went"
        );
        assert_eq!(
            after(6, |dir| rotate(dir, "app.log.1")),
            expected(&[("first\n", 6)]),
            "no successor yet"
        );
        assert_eq!(
            after(6, |dir| {
                fs::File::create(dir.join("app.log")).unwrap();
                write(dir, "cut and longer\n");
            }),
            expected(&[("cut and longer\n", 0)]),
            "another beginning in the same inode"
        );
        assert_eq!(
            after(3, |dir| {
                fs::copy(dir.join("app.log"), dir.join("app.log.1")).unwrap();
                write(dir, "cut\n");
            }),
            expected(&[("first\n", 3), ("cut\n", 0)]),
            "copied and cut"
        );
        assert_eq!(
            after(6, |dir| write(dir, "fir")),
            expected(&[("fir", 0)]),
            "cut short"
        );
    }

    #[test]
    fn what_no_checkpoint_knows_begins_where_it_was_told() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("app.log");
        fs::write(&name, "text").unwrap();
        for (begin, offset) in [(Begin::Start, 0), (Begin::End, 4)] {
            let current = Opened::open(&name).ok();
            let found = at_start(&name, current, None, begin, Note::default());
            assert_eq!(contents(&found), expected(&[("text", offset)]));
        }
    }
}
