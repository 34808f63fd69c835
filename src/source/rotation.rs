//! Rotation: which files of a directory may have borne a name before.
//!
//! Knows how rotation names what it moves away. Knows nothing of what was read of a file.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use crate::identity::{FileState, Place};
use crate::source::opened::Opened;

/// Endings of compressed files, which are no generation to go on with: they hold what an
/// uncompressed one held before.
const COMPRESSED: [&str; 6] = ["gz", "xz", "bz2", "zst", "lz4", "Z"];

/// The file of this state beside `name`, whatever it is called now.
pub fn find(name: &Path, state: &FileState) -> Option<Opened> {
    let entries = bearers(name).into_iter().filter_map(|bearer| {
        let entries = fs::read_dir(directory(&bearer)).ok()?;
        Some(entries.flatten())
    });
    entries
        .flatten()
        .filter(|entry| entry.ino() == state.place.ino)
        .filter_map(|entry| Opened::open(&entry.path()).ok())
        .find(|file| state.is(file.place(), &file.head))
}

/// The files whose names are those that rotation gives to a file of this name.
pub fn siblings(name: &Path, known: &dyn Fn(Place) -> bool) -> Vec<Opened> {
    let mut found: Vec<Opened> = Vec::new();
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
            .filter_map(|entry| Opened::open(&entry.path()).ok())
            .filter(|file| !known(file.place()));
        found.extend(files);
    }
    found
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
}
