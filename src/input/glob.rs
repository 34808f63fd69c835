//! Expands patterns, and finds the folders in which new matches may appear.
//!
//! Braces and `[^…]` are rewritten to forms that the crate `glob` supports.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::storage::checkpoint;

/// Whether a name is a pattern: it contains a wildcard, and no file with that name exists.
pub fn is_pattern(name: &Path) -> bool {
    let has_braces = || name.to_str().is_some_and(|text| braces(text).is_some());
    (is_wild(name) || has_braces()) && fs::symlink_metadata(name).is_err()
}

fn is_wild(name: &Path) -> bool {
    let bytes = name.as_os_str().as_encoded_bytes();
    bytes.iter().any(|byte| b"*?[".contains(byte))
}

/// Checks a pattern.
///
/// # Errors
/// If it is invalid.
pub fn check(name: &Path) -> Result<(), String> {
    let text = name.to_str().ok_or("a pattern must be UTF-8")?;
    compile(text).map(drop)
}

fn compile(text: &str) -> Result<Vec<glob::Pattern>, String> {
    let patterns = expanded(text).into_iter();
    patterns
        .map(|text| glob::Pattern::new(&text).map_err(|error| error.msg.to_owned()))
        .collect()
}

/// Expands a pattern into patterns without braces, with `[!…]` instead of `[^…]`, and with `**/*` instead
/// of `**` at the end, which matches all files below as in a shell.
fn expanded(text: &str) -> Vec<String> {
    let Some((start, parts, end)) = braces(text) else {
        let mut pattern = text.replace("[^", "[!");
        if pattern == "**" || pattern.ends_with("/**") {
            pattern.push_str("/*");
        }
        return vec![pattern];
    };
    let (before, after) = (&text[..start], &text[end..]);
    let parts = parts.into_iter();
    parts
        .flat_map(|part| expanded(&format!("{before}{part}{after}")))
        .collect()
}

/// The first braces that contain a comma: their start, the parts between the commas, and their end.
fn braces(text: &str) -> Option<(usize, Vec<&str>, usize)> {
    for (start, _) in text.match_indices('{') {
        let (mut depth, mut from, mut parts) = (0, start + 1, Vec::new());
        for (at, byte) in text.bytes().enumerate().skip(start) {
            match byte {
                b'{' => depth += 1,
                b',' if depth == 1 => {
                    parts.push(&text[from..at]);
                    from = at + 1;
                }
                b'}' if depth == 1 && !parts.is_empty() => {
                    parts.push(&text[from..at]);
                    return Some((start, parts, at + 1));
                }
                b'}' if depth == 1 => break,
                b'}' => depth -= 1,
                _ => {}
            }
        }
    }
    None
}

/// The same for a path. A path that is not UTF-8 is not expanded.
fn expanded_path(pattern: &Path) -> Vec<PathBuf> {
    match pattern.to_str() {
        Some(text) => expanded(text).into_iter().map(PathBuf::from).collect(),
        None => vec![pattern.to_owned()],
    }
}

/// The patterns of `--exclude-path`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excluded(Vec<glob::Pattern>);

impl Excluded {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// If one of them is invalid.
    pub fn new(patterns: &[String]) -> Result<Self, String> {
        let mut compiled = Vec::new();
        for pattern in patterns {
            let found = compile(pattern).map_err(|why| format!("`{pattern}`: {why}"))?;
            compiled.extend(found);
        }
        Ok(Self(compiled))
    }

    /// Whether a file is excluded.
    pub fn contain(&self, path: &Path) -> bool {
        let options = glob::MatchOptions {
            require_literal_leading_dot: false,
            ..OPTIONS
        };
        self.0.iter().any(|pattern| {
            if pattern.as_str().contains('/') {
                let key = checkpoint::key(path);
                [path, &key]
                    .iter()
                    .any(|path| pattern.matches_with(&path.to_string_lossy(), options))
            } else {
                let name = path.file_name().unwrap_or_default();
                pattern.matches_with(&name.to_string_lossy(), options)
            }
        })
    }
}

/// Why a directory is not read, and what to do.
pub const IS_DIRECTORY: &str =
    "is a directory; for the files in it, use a quoted pattern such as 'DIR/*.log'";

/// The error in listing the folder of a pattern, if that is why nothing matches.
pub fn unreadable_folder(pattern: &Path) -> Option<String> {
    let folder = pattern.ancestors().skip(1).find(|dir| !is_pattern(dir))?;
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let why = fs::read_dir(folder).err()?;
    Some(format!("{}: {why}", folder.display()))
}

const OPTIONS: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Those of these canonical paths that the pattern matches but that do not exist any more: their files
/// may have been rotated to other names. Each is returned in the form in which the pattern would find it.
pub fn orphaned(pattern: &Path, paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let absolute = checkpoint::key(pattern);
    let absolute = absolute.to_str().and_then(|text| compile(text).ok());
    let mut orphaned = paths;
    orphaned.retain(|path| {
        let text = path.to_string_lossy();
        let fits = |pattern: &glob::Pattern| pattern.matches_with(&text, OPTIONS);
        absolute.iter().flatten().any(fits)
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

/// The files that a pattern matches now, sorted by name. As in a shell, a wildcard does not match a
/// leading dot. Folders that cannot be read have no matches.
pub fn matches(pattern: &Path) -> Vec<PathBuf> {
    let patterns = expanded_path(pattern).into_iter();
    let mut found: Vec<PathBuf> = patterns.flat_map(|pattern| walk(&pattern)).collect();
    found.retain(|path| !path.is_dir());
    found.sort();
    found.dedup();
    found
}

/// Everything that a pattern matches now. Bytes of names that are not UTF-8 count as U+FFFD.
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
    // With two `**`, a file is found in several ways.
    found.sort();
    found.dedup();
    found
}

/// The entries of a directory whose names match, sorted.
fn entries(dir: &Path, fits: impl Fn(&OsStr) -> bool) -> Vec<PathBuf> {
    let is_here = dir.as_os_str().is_empty();
    let listed = fs::read_dir(if is_here { Path::new(".") } else { dir });
    let names = listed.into_iter().flatten().flatten();
    let mut names: Vec<OsString> = names.map(|entry| entry.file_name()).collect();
    names.retain(|name| fits(name));
    names.sort();
    names.iter().map(|name| dir.join(name)).collect()
}

/// A directory and all directories below it that are not hidden. Links are not followed.
fn below(dir: &Path) -> Vec<PathBuf> {
    let is_dir = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    let inner = entries(dir, |name| !name.as_encoded_bytes().starts_with(b"."));
    let inner = inner.into_iter().filter(is_dir);
    let mut found = vec![dir.to_owned()];
    inner.for_each(|dir| found.extend(below(&dir)));
    found
}

/// The existing directories in which new matches of a pattern may appear.
pub fn directories(pattern: &Path) -> Vec<PathBuf> {
    let patterns = expanded_path(pattern).into_iter();
    patterns
        .flat_map(|pattern| directories_of(&pattern))
        .collect()
}

fn directories_of(pattern: &Path) -> Vec<PathBuf> {
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
    found.extend(directories_of(parent));
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
    fn braces_and_negations_mean_what_a_shell_makes_of_them() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.log", "b.log", "c.txt", "{x,y}.log"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = |pattern: &str| {
            let found = matches(&dir.path().join(pattern)).into_iter();
            let names = found.map(|path| path.file_name().unwrap().to_owned());
            names
                .map(|name| name.into_string().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("{a,c}.*"), ["a.log", "c.txt"]);
        assert_eq!(found("{a,{b,c}}.{log,txt}"), ["a.log", "b.log", "c.txt"]);
        assert_eq!(found("[^a].log"), ["b.log"]);
        assert_eq!(found("[!a].log"), ["b.log"]);
        assert!(is_pattern(&dir.path().join("{a,b}.log")));
        assert!(!is_pattern(&dir.path().join("{x,y}.log")));
        assert!(!is_pattern(Path::new("no{braces}")));
        let excluded = Excluded::new(&["*.{txt,gz}".into(), "**/b/*".into()]).unwrap();
        let is_left_out = |path: &str| excluded.contain(Path::new(path));
        assert!(is_left_out("/a/c.txt") && is_left_out("/a/b/c.log"));
        assert!(!is_left_out("/a/c.log"));
        assert!(Excluded::new(&["[a".into()]).is_err());
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
        assert_eq!(found("a/**"), ["a/2.log", "a/b/3.log"]);
        assert_eq!(found("{c,a/b}/**"), ["a/b/3.log", "c/4.log"]);
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
