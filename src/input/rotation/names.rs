//! Rotation: which files of a directory may have borne a name before.
//!
//! Knows how rotation names what it moves away. Knows nothing of what was read of a file.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, FileExt};
use std::path::{Path, PathBuf};

use crate::input::open_file::OpenFile;
use crate::storage::file_identity::{DevInode, FileRecord};

/// Endings of compressed files, which are no generation to go on with: they hold what an
/// uncompressed one held before.
const COMPRESSED: [&str; 6] = ["gz", "xz", "bz2", "zst", "lz4", "Z"];

/// The file of this state beside `name`, whatever it is called now.
pub fn find(name: &Path, state: &FileRecord) -> Option<OpenFile> {
    let entries = bearers(name).into_iter().filter_map(|bearer| {
        let entries = fs::read_dir(directory(&bearer)).ok()?;
        Some(entries.flatten())
    });
    entries
        .flatten()
        .filter(|entry| entry.ino() == state.place.ino)
        .filter_map(|entry| OpenFile::open(&entry.path()).ok())
        .find(|file| state.is(file.place(), &file.head))
}

/// The files whose names are those that rotation gives to a file of this name.
pub fn siblings(name: &Path, known: &dyn Fn(DevInode) -> bool) -> Vec<OpenFile> {
    let mut found: Vec<OpenFile> = Vec::new();
    for bearer in bearers(name) {
        let Some(base) = bearer.file_name() else {
            continue;
        };
        let Ok(entries) = fs::read_dir(directory(&bearer)) else {
            continue;
        };
        let files = entries
            .flatten()
            .filter(|entry| is_rotated(base, &entry.file_name()))
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
            .filter_map(|entry| OpenFile::open(&entry.path()).ok())
            .filter(|file| !known(file.place()));
        found.extend(files);
    }
    found
}

/// A generation that was compressed.
pub struct Compressed {
    /// Where it lies.
    pub path: PathBuf,
    /// What is known of the file.
    pub meta: Metadata,
    /// How long it was before, modulo 2^32, if it says so.
    pub size: Option<u32>,
}

/// The compressed files whose names are those that rotation gives to a file of this name.
pub fn compressed(name: &Path) -> Vec<Compressed> {
    let mut found = Vec::new();
    for bearer in bearers(name) {
        let (Some(base), Ok(entries)) = (bearer.file_name(), fs::read_dir(directory(&bearer)))
        else {
            continue;
        };
        let is_one = |entry: &DirEntry| {
            let name = entry.file_name();
            let name = Path::new(&name);
            let stem = name.file_stem().filter(|_| is_compressed(name));
            stem.is_some_and(|stem| is_rotated(base, stem))
        };
        let entries = entries.flatten().filter(is_one);
        found.extend(entries.filter_map(|entry| {
            let path = entry.path();
            let (meta, size) = (fs::metadata(&path).ok()?, gzip_size(&path).ok());
            Some(Compressed { path, meta, size })
        }));
    }
    found
}

fn is_compressed(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    COMPRESSED.iter().any(|own| ending == *own)
}

/// What the last bytes of a file that gzip made say of how long it was before.
fn gzip_size(path: &Path) -> io::Result<u32> {
    if path.extension() != Some(OsStr::new("gz")) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (file, mut size) = (File::open(path)?, [0; 4]);
    let at = file.metadata()?.len().saturating_sub(4);
    file.read_exact_at(&mut size, at)?;
    Ok(u32::from_le_bytes(size))
}

/// The name, and where it leads if it is a link, as those of Kubernetes' containers are: rotation
/// renames there what the link stands for.
fn bearers(name: &Path) -> Vec<PathBuf> {
    let mut bearers = vec![name.to_owned()];
    if let Ok(link) = fs::read_link(name) {
        // What it leads to may be away just now.
        let there = fs::canonicalize(name).unwrap_or_else(|_| directory(name).join(link));
        if directory(&there) != directory(name) || there.file_name() != name.file_name() {
            bearers.push(there);
        }
    }
    bearers
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
    // Of the many names in a directory most are out of the question at once.
    if other.first() != base.first() {
        return false;
    }
    let compressed = |name: &[u8]| {
        let dot = name.iter().rposition(|&byte| byte == b'.');
        let ending = dot.map_or(&[][..], |dot| &name[dot + 1..]);
        COMPRESSED.iter().any(|own| own.as_bytes() == ending)
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

/// Whether rotation may have copied the file `original` to `other`, both with the same directory:
/// the names that are also given to files of their own (`app-1.log` beside `app.log`) are none.
pub fn may_be_copy(original: &[u8], other: &[u8]) -> bool {
    let end = original.len().min(other.len());
    if original[..end] == other[..end] {
        return is_turn(&other[end..]);
    }
    let Some(dot) = original.iter().rposition(|&byte| byte == b'.') else {
        return false;
    };
    let (stem, ending) = original.split_at(dot);
    let middle = other
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_suffix(ending));
    let is_dated = |turn: &[u8]| turn.iter().filter(|byte| byte.is_ascii_digit()).count() >= 6;
    !ending.contains(&b'/')
        && middle.is_some_and(|turn| is_turn(turn) && (turn[0] == b'.' || is_dated(turn)))
}

/// Whether this is what rotation puts into a name: a number, a date, or a word for `old`, behind a
/// mark that parts it from the rest (`app1.log` and `app12.log` are two files).
fn is_turn(part: &[u8]) -> bool {
    let Some((&first, rest)) = part.split_first() else {
        return false;
    };
    let separated = matches!(first, b'.' | b'-' | b'_');
    let word = matches!(rest, b"old" | b"bak" | b"prev" | b"last");
    let numeric = rest
        .iter()
        .all(|byte| byte.is_ascii_digit() || b".-_:+TZ".contains(byte));
    let number = numeric && rest.iter().any(u8::is_ascii_digit);
    part == b"~" || (separated && (word || number))
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
            ("app1.log", "app12.log", false),
            ("app", "app1", false),
            (".log", "x.log", false),
        ] {
            assert_eq!(
                is_rotated(OsStr::new(base), OsStr::new(other)),
                rotated,
                "{base} {other}"
            );
        }
    }

    #[test]
    fn names_of_copies_are_told_from_names_of_their_own() {
        for (original, other, copy) in [
            ("/a/app.log", "/a/app.log.1", true),
            ("/a/app.log", "/a/app.log-20240102", true),
            ("/a/app.log", "/a/app-20240102.log", true),
            ("/a/app.log", "/a/app.1.log", true),
            ("/a/app.log", "/a/app-1.log", false),
            ("/a/app.log", "/a/app.log", false),
            ("/a/app.log.1", "/a/app.log", false),
            ("/a/app.log", "/b/app.log.1", false),
            ("/a.d/app", "/a.1.d/app", false),
            ("/a/app1.log", "/a/app12.log", false),
        ] {
            let found = may_be_copy(original.as_bytes(), other.as_bytes());
            assert_eq!(found, copy, "{original} {other}");
        }
    }
}
