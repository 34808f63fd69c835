//! The number of bytes to read in files that are read to their end, for the progress bar.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::entry::FileId;
use crate::input::compression::Format;
use crate::input::glob;
use crate::input::open_file::{FileTimes, OpenFile, StartAt};
use crate::input::rotation::history::{History, Identity};
use crate::input::rotation::resume::{Question, earlier_files};
use crate::storage::checkpoint::{Checkpoint, key};
use crate::storage::file_identity::DevInode;

/// The number of bytes to read in files that are read to their end, except those that `is_left_out`.
/// None (unknown) if one of them is not a regular file, is compressed, or cannot be opened.
pub fn bytes(
    paths: &[PathBuf],
    start: StartAt,
    checkpoint: Option<&Checkpoint>,
    is_left_out: impl Fn(&Path) -> bool,
) -> Option<u64> {
    let mut history = checkpoint.map(History::looking_at);
    let (mut seen, mut total) = (HashSet::new(), 0);
    for path in paths.iter().filter(|path| !is_left_out(path)) {
        // A file without a record, at a path that an earlier run looked for, is new.
        let start = match checkpoint {
            Some(checkpoint) if checkpoint.watch(path) => StartAt::Start,
            _ => start,
        };
        if !glob::is_pattern(path) {
            total += of_path(path, start, history.as_mut(), &mut seen)?;
            continue;
        }
        let own = |path: &Path| checkpoint.is_some_and(|own| own.owns(path));
        let matches = glob::matches(path);
        for path in matches
            .iter()
            .filter(|path| !own(path) && !is_left_out(path))
        {
            total += of_path(path, start, history.as_mut(), &mut seen)?;
        }
    }
    Some(total)
}

fn of_path(
    path: &Path,
    start: StartAt,
    history: Option<&mut History>,
    seen: &mut HashSet<FileId>,
) -> Option<u64> {
    // A pipe is not opened to look.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut file = OpenFile::open(path).ok()?;
    match file.format() {
        None => {}
        Some(Format::Gzip) => return None,
        // It is not read.
        Some(Format::Other { .. }) => return Some(0),
    }
    let len = file.meta.len();
    let fresh = if start == StartAt::Start { len } else { 0 };
    let Some(history) = history else {
        return Some(fresh);
    };
    let key = key(path);
    let id = match history.identify(&key, &mut file).ok()? {
        Identity::Copy => return Some(0),
        Identity::Known(id) => id,
        Identity::New(read) => history.add(&key, &file, read.max(len - fresh)),
    };
    let mut wanted = history.closed_of(&key);
    wanted.retain(|own| *own != id);
    let question = Question {
        path,
        key: &key,
        current: Some((DevInode::from(&file.meta), FileTimes::of(&file.meta))),
        was_truncated: wanted.iter().any(|id| history.is_truncated(*id)),
        last: None,
        wanted,
    };
    let earlier = if question.wanted.is_empty() {
        Vec::new()
    } else {
        earlier_files(history, &question).files
    };
    let mut left = 0;
    for (id, file) in earlier {
        let id = history.number(&key, id, &file);
        if seen.insert(id) {
            left += file.meta.len().saturating_sub(history.offset(id));
        }
    }
    if seen.insert(id) {
        left += len.saturating_sub(history.offset(id));
    }
    Some(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::messages::Reporter;

    #[test]
    fn settled_and_rotated_files_are_taken_into_account() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a.log"), "one\ntwo\n").unwrap();
        let open =
            |writable| Checkpoint::open(&at("state"), writable, Reporter::default()).unwrap();
        let whole = |names: &[PathBuf]| bytes(names, StartAt::Start, None, |_| false);
        assert_eq!(whole(&[at("a.log")]), Some(8));
        assert_eq!(whole(&[at("a.log"), at("a.log")]), Some(16), "as by cat");
        assert_eq!(
            bytes(&[at("a.log")], StartAt::End, None, |_| false),
            Some(0)
        );

        let checkpoint = std::sync::Arc::new(open(true));
        let file = OpenFile::open(&at("a.log")).unwrap();
        let mut history = History::new(Some(std::sync::Arc::clone(&checkpoint)));
        history.add(&key(&at("a.log")), &file, 4);
        checkpoint.save().unwrap();
        drop((history, checkpoint));
        let rest = |names: &[PathBuf]| bytes(names, StartAt::Start, Some(&open(false)), |_| false);
        assert_eq!(rest(&[at("a.log")]), Some(4));
        assert_eq!(rest(&[at("a.log"), at("a.log")]), Some(4), "read once");
        fs::rename(at("a.log"), at("a.log.1")).unwrap();
        fs::write(at("a.log"), "three\n").unwrap();
        assert_eq!(rest(&[at("a.log")]), Some(4 + 6), "the predecessor, too");
        assert_eq!(rest(&[at("*.log")]), Some(4 + 6));
    }

    #[test]
    fn the_size_of_anything_but_a_regular_file_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a.gz"), b"\x1f\x8b\x08\0").unwrap();
        for name in [at("a.gz"), at("gone"), dir.path().to_owned()] {
            assert_eq!(
                bytes(std::slice::from_ref(&name), StartAt::Start, None, |_| false),
                None
            );
        }
    }
}
