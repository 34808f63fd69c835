//! Names: what stands for a file on the command line, and the label its lines get.
//!
//! The one user of the crate `glob`. Looks into directories, opens nothing.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::storage::checkpoint;

/// Whether a name is a quoted pattern: it has a wildcard, and no file bears it as it is.
pub fn is_pattern(name: &Path) -> bool {
    is_wild(name) && fs::symlink_metadata(name).is_err()
}

fn is_wild(name: &Path) -> bool {
    let bytes = name.as_os_str().as_encoded_bytes();
    bytes.iter().any(|byte| b"*?[".contains(byte))
}

/// Checks a pattern.
///
/// # Errors
/// What is wrong with it.
pub fn check(name: &Path) -> Result<(), String> {
    let text = name.to_str().ok_or("a pattern must be UTF-8")?;
    glob::Pattern::new(text)
        .map(drop)
        .map_err(|error| error.msg.to_owned())
}

const OPTIONS: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Of these paths, as a checkpoint knows them, the ones that a pattern would match, but that nothing
/// bears now: what bore them may have been rotated away, and lie beside them. Each as it would be
/// found by the pattern.
pub fn orphaned(pattern: &Path, paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let absolute = checkpoint::key(pattern);
    let absolute = absolute
        .to_str()
        .and_then(|text| glob::Pattern::new(text).ok());
    let mut orphaned = paths;
    orphaned.retain(|path| {
        let text = path.to_string_lossy();
        let fits = |pattern: &glob::Pattern| pattern.matches_with(&text, OPTIONS);
        absolute.as_ref().is_some_and(fits)
            && fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
    });
    orphaned.sort();
    orphaned.dedup();
    if pattern.is_relative() {
        let here = checkpoint::key(Path::new("."));
        for path in &mut orphaned {
            *path = path.strip_prefix(&here).unwrap_or(path).to_owned();
        }
    }
    orphaned
}

/// The files that a pattern matches now, sorted by name; as in a shell, a wildcard matches no
/// leading dot. What cannot be looked into has no match.
pub fn matches(pattern: &Path) -> Vec<PathBuf> {
    let mut found = walk(pattern);
    found.retain(|path| !path.is_dir());
    found
}

/// All that a pattern matches now. Names need not be UTF-8; what is none of it counts as U+FFFD.
fn walk(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_str().unwrap_or_default();
        if !is_wild(Path::new(text)) {
            found.iter_mut().for_each(|path| path.push(part));
            found.retain(|path| fs::symlink_metadata(path).is_ok());
        } else if text == "**" {
            found = found.iter().flat_map(|dir| below(dir)).collect();
        } else if let Ok(part) = glob::Pattern::new(text) {
            let fits = |name: &OsStr| part.matches_with(&name.to_string_lossy(), OPTIONS);
            found = found.iter().flat_map(|dir| entries(dir, fits)).collect();
        }
    }
    // `**` twice leads to one thing by several ways.
    found.sort();
    found.dedup();
    found
}

/// What of a directory has such a name, sorted.
fn entries(dir: &Path, fits: impl Fn(&OsStr) -> bool) -> Vec<PathBuf> {
    let is_here = dir.as_os_str().is_empty();
    let listed = fs::read_dir(if is_here { Path::new(".") } else { dir });
    let names = listed.into_iter().flatten().flatten();
    let mut names: Vec<OsString> = names.map(|entry| entry.file_name()).collect();
    names.retain(|name| fits(name));
    names.sort();
    names.iter().map(|name| dir.join(name)).collect()
}

/// A directory and all below it that are not hidden, through no link.
fn below(dir: &Path) -> Vec<PathBuf> {
    let is_dir = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    let inner = entries(dir, |name| !name.as_encoded_bytes().starts_with(b"."));
    let inner = inner.into_iter().filter(is_dir);
    let mut found = vec![dir.to_owned()];
    inner.for_each(|dir| found.extend(below(&dir)));
    found
}

/// The directories in which something may appear that a pattern matches, as they are now.
pub fn directories(pattern: &Path) -> Vec<PathBuf> {
    let parent = match pattern.parent() {
        None => return Vec::new(),
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    if !is_wild(parent) {
        return vec![parent.to_owned()];
    }
    let mut found = walk(parent);
    found.retain(|path| path.is_dir());
    found.extend(directories(parent));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::file_names::label;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_pattern_is_what_has_wildcards_and_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.log", "b.log", "[x].log", ".hidden.log"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("dir.log")).unwrap();
        let at = |name: &str| dir.path().join(name);
        assert!(is_pattern(&at("*.log")) && is_pattern(&at("?.log")));
        assert!(!is_pattern(&at("a.log")) && !is_pattern(&at("[x].log")));
        assert_eq!(matches(&at("*.log")), ["[x].log", "a.log", "b.log"].map(at));
        assert_eq!(matches(&at("z*")), [] as [PathBuf; 0]);
        assert_eq!(directories(&at("*.log")), [at("")]);
        assert_eq!(directories(&at("d*/*.log")), [at("dir.log"), at("")]);
        let all = directories(&at("**/*.log"));
        assert_eq!(all, [at(""), at("dir.log"), at("")]);
        assert_eq!(directories(Path::new("*.log")), [Path::new(".")]);
        let gone = vec![at("z.log"), at("a.log"), at("z.txt"), at("z.log")];
        assert_eq!(orphaned(&at("*.log"), gone), [at("z.log")]);
        assert!(check(&at("[a")).is_err() && check(&at("**.log")).is_err());
        assert!(check(&at("*/[ab]?.log")).is_ok());
    }

    #[test]
    fn a_pattern_leads_through_directories_and_to_names_of_any_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let strange = OsStr::from_bytes(b"b\xff.log");
        let at = |name: &str| dir.path().join(name);
        for sub in ["a", "a/b", "c", ".h"] {
            fs::create_dir(at(sub)).unwrap();
        }
        std::os::unix::fs::symlink("..", at("c/loop")).unwrap();
        for name in ["1.log", "a/2.log", "a/b/3.log", "c/4.log", ".h/5.log"] {
            fs::write(at(name), "").unwrap();
        }
        fs::write(dir.path().join(strange), "").unwrap();
        let found = |pattern: &str| {
            let found = matches(&at(pattern)).into_iter();
            let names = found.map(|path| path.strip_prefix(dir.path()).unwrap().to_owned());
            names
                .map(|name| name.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("*.log"), ["1.log", "b\u{fffd}.log"]);
        assert_eq!(found("?/*.log"), ["a/2.log", "c/4.log"]);
        assert_eq!(found("a/../[12].log"), ["a/../1.log"]);
        let all = ["1.log", "a/2.log", "a/b/3.log", "c/4.log"];
        assert_eq!(found("**/[1-9].log"), all);
        assert_eq!(found("**/b/*"), ["a/b/3.log"]);
        assert_eq!(found("*/loop/1.log"), ["c/loop/1.log"]);
        let gone = dir.path().join(OsStr::from_bytes(b"z\xff.log"));
        assert_eq!(orphaned(&at("z*.log"), vec![gone.clone()]), [gone]);
    }

    #[test]
    fn every_path_gives_a_label_that_loki_takes() {
        let strange = Path::new(std::ffi::OsStr::from_bytes(b"/a\xff"));
        let long = "/ä".repeat(2_000);
        for path in [strange, Path::new(&long), Path::new("/a b")] {
            assert_eq!(crate::entry::labels::check_value(&label(path)), Ok(()));
        }
        assert_eq!(label(strange), "/a?");
    }
}
