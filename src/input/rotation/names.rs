//! The names that rotation gives to files that it moves, copies or compresses.
//!
//! Names only tell where to look. A file is identified by its inode or its content.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Endings of compressed files.
const COMPRESSED: [&[u8]; 6] = [b".gz", b".xz", b".bz2", b".zst", b".lz4", b".Z"];

/// The path and, if it is a link, its target. The logs of Kubernetes' containers are links, and rotation
/// renames their targets.
pub fn link_targets(path: &Path) -> Vec<PathBuf> {
    let mut paths = vec![path.to_owned()];
    if let Ok(link) = fs::read_link(path) {
        // The target may be missing at the moment.
        let target = fs::canonicalize(path).unwrap_or_else(|_| folder(path).join(link));
        if folder(&target) != folder(path) || target.file_name() != path.file_name() {
            paths.push(target);
        }
    }
    paths
}

/// The folder that a path is in.
pub fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// The name of a file, as bytes.
pub fn name(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_bytes()
}

/// The name that a file may have had before rotation renamed it: `app.log` for `app.log.1`,
/// `app.log-20240102.gz`, `app-2024-01-02.log` and `app.log` itself.
pub fn original(name: &[u8]) -> Vec<u8> {
    let name = uncompressed(name);
    for at in 1..name.len() {
        if is_suffix(&name[at..]) {
            return name[..at].to_vec();
        }
    }
    let Some(dot) = name.iter().rposition(|&byte| byte == b'.') else {
        return name.to_vec();
    };
    for at in 1..dot {
        if is_suffix(&name[at..dot]) {
            return [&name[..at], &name[dot..]].concat();
        }
    }
    name.to_vec()
}

/// Whether rotation may have renamed a file from `name` to `other`, or copied it.
pub fn may_be_rotated(name: &[u8], other: &[u8]) -> bool {
    parts(name, other).is_some()
}

/// Whether `other` is certainly a rotated `name`: a number after the whole name, or a date. `app-2.log`
/// next to `app.log` may be the log of a second instance.
pub fn is_surely_rotated(name: &[u8], other: &[u8]) -> bool {
    let Some((suffix, is_inside)) = parts(name, other) else {
        return false;
    };
    is_date(&suffix[1..])
        || !is_inside && suffix[0] == b'.' && suffix[1..].iter().all(u8::is_ascii_digit)
}

/// The number that rotation has added to a name.
pub fn number(name: &[u8], other: &[u8]) -> Option<u64> {
    let (suffix, _) = parts(name, other)?;
    std::str::from_utf8(suffix.get(1..)?).ok()?.parse().ok()
}

/// The text that rotation has inserted in `other`, and whether it is before the extension of `name`.
fn parts<'a>(name: &[u8], other: &'a [u8]) -> Option<(&'a [u8], bool)> {
    let other = if uncompressed(name).len() == name.len() {
        uncompressed(other)
    } else {
        other
    };
    if let Some(suffix) = other.strip_prefix(name)
        && is_suffix(suffix)
    {
        return Some((suffix, false));
    }
    let dot = name
        .iter()
        .rposition(|&byte| byte == b'.')
        .filter(|&dot| dot > 0)?;
    let (stem, ending) = name.split_at(dot);
    let suffix = other.strip_prefix(stem)?.strip_suffix(ending)?;
    is_suffix(suffix).then_some((suffix, true))
}

/// The name without the extension of a compressed file.
pub fn uncompressed(name: &[u8]) -> &[u8] {
    let stripped = COMPRESSED
        .iter()
        .find_map(|ending| name.strip_suffix(*ending));
    stripped.filter(|name| !name.is_empty()).unwrap_or(name)
}

/// Whether rotation may insert this text in a name: a number, a date, or a word such as `old`, after a
/// separator (`app1.log` and `app12.log` are two different files).
fn is_suffix(part: &[u8]) -> bool {
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

/// Whether a text begins with a year and a month, followed by a day unless it ends there.
fn is_date(text: &[u8]) -> bool {
    let digits = |at: usize, len: usize| {
        let digits = text.get(at..at + len)?;
        std::str::from_utf8(digits).ok()?.parse::<u32>().ok()
    };
    let separator = |at: usize| usize::from(text.get(at).is_some_and(|byte| b"-_.".contains(byte)));
    let Some(1990..=2199) = digits(0, 4) else {
        return false;
    };
    let month = 4 + separator(4);
    let day = month + 2 + separator(month + 2);
    matches!(digits(month, 2), Some(1..=12))
        && (text.len() == month + 2 || matches!(digits(day, 2), Some(1..=31)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rotation_are_told_from_neighbours() {
        for (name, other, rotated, surely) in [
            ("app.log", "app.log.1", true, true),
            ("app.log", "app.log.12", true, true),
            ("app.log", "app.log.1.gz", true, true),
            ("app.log", "app.log-20240102", true, true),
            ("app.log", "app.log-202401", true, true),
            ("app.log", "app.log-20240102-1704153600", true, true),
            ("app.log", "app.log.2024-01-02T03:04:05Z", true, true),
            ("app.log", "app-2024-01-02.log", true, true),
            ("app.log", "app.2024-01-02.0.log.gz", true, true),
            ("0.log", "0.log.20240102-030405", true, true),
            ("app", "app.1", true, true),
            ("app.log", "app.log.old", true, false),
            ("app.log", "app.log~", true, false),
            ("app.log", "app.1.log", true, false),
            ("redis.log", "redis-6380.log", true, false),
            ("redis.log", "redis_6380.log", true, false),
            ("app.log", "app.log-6380", true, false),
            ("app.log", "app.log", false, false),
            ("app.log", "app.log.gz", false, false),
            ("app.log", "app.log.audit", false, false),
            ("app.log", "app-errors.log", false, false),
            ("app.log", "other.log.1", false, false),
            ("app.log", "app.log.-", false, false),
            ("app1.log", "app12.log", false, false),
            ("app", "app1", false, false),
            (".log", "x.log", false, false),
        ] {
            let (name, other) = (name.as_bytes(), other.as_bytes());
            let found = (may_be_rotated(name, other), is_surely_rotated(name, other));
            let shown = String::from_utf8_lossy(other);
            assert_eq!(found, (rotated, surely), "{shown}");
            if rotated {
                assert_eq!(original(other), name, "{shown}");
            }
            assert_eq!(original(name), name);
        }
        assert_eq!(original(b"app.log.gz"), b"app.log");
        assert_eq!(number(b"app.log", b"app.log.12.gz"), Some(12));
    }
}
