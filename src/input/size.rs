//! What lies ahead: how much there is to read by the names of files, told before it is read.
//!
//! Goes the way of the reader of files, but only looks. Reads no line.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::input::file_names;
use crate::input::glob;
use crate::input::open_file::{OpenFile, StartAt};
use crate::input::rotation::resume;
use crate::report::messages::{Reporter, Verbosity};
use crate::storage::checkpoint::Checkpoint;
use crate::storage::file_identity::DevInode;

/// Bytes to be read of files that are read to their end. None if one of them is no plain file, or
/// is compressed, or is not there: then nobody knows. The checkpoint is one to look at, not that of
/// the run: files count as met in it.
pub fn bytes(names: &[PathBuf], begin: StartAt, checkpoint: Option<&Checkpoint>) -> Option<u64> {
    let mut seen = HashSet::new();
    let mut total = 0;
    for name in names {
        // Where an earlier run looked for a file, one that it did not know is new.
        let begin = match checkpoint {
            Some(checkpoint) if checkpoint.watch(name) => StartAt::Start,
            _ => begin,
        };
        if !glob::is_pattern(name) {
            total += of_name(name, begin, checkpoint, &mut seen)?;
            continue;
        }
        let own = |path: &PathBuf| checkpoint.is_some_and(|own| own.owns(path));
        for path in glob::matches(name).iter().filter(|path| !own(path)) {
            total += of_name(path, begin, checkpoint, &mut seen)?;
        }
    }
    Some(total)
}

fn of_name(
    name: &Path,
    begin: StartAt,
    checkpoint: Option<&Checkpoint>,
    seen: &mut HashSet<DevInode>,
) -> Option<u64> {
    // What is compressed gives more than it holds; and a pipe is not opened to look.
    if file_names::is_gzip(name) || !fs::metadata(name).ok()?.is_file() {
        return None;
    }
    let current = OpenFile::open(name).ok()?;
    let mut files = resume::at_start(
        name,
        Some(current),
        checkpoint,
        begin,
        Reporter::new(Verbosity::Silent),
    );
    // With a checkpoint no file is read twice, whatever names it has.
    files
        .files
        .retain(|file| seen.insert(file.place()) || checkpoint.is_none());
    let left = |file: &OpenFile| file.meta.len().saturating_sub(file.offset);
    Some(files.files.iter().map(left).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_and_what_was_rotated_away_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a.log"), "one\ntwo\n").unwrap();
        let open = |writable| {
            Checkpoint::open(&at("state"), writable, Reporter::new(Verbosity::Silent)).unwrap()
        };
        let whole = |names: &[PathBuf]| bytes(names, StartAt::Start, None);
        assert_eq!(whole(&[at("a.log")]), Some(8));
        assert_eq!(whole(&[at("a.log"), at("a.log")]), Some(16), "as by cat");
        assert_eq!(bytes(&[at("a.log")], StartAt::End, None), Some(0));

        let checkpoint = open(true);
        let mut file = OpenFile::open(&at("a.log")).unwrap();
        file.offset = 4;
        checkpoint.register(0, file.state(&at("a.log")));
        checkpoint.save().unwrap();
        drop(checkpoint);
        let rest = |names: &[PathBuf]| bytes(names, StartAt::Start, Some(&open(false)));
        assert_eq!(rest(&[at("a.log")]), Some(4));
        assert_eq!(rest(&[at("a.log"), at("a.log")]), Some(4), "read once");
        fs::rename(at("a.log"), at("a.log.1")).unwrap();
        fs::write(at("a.log"), "three\n").unwrap();
        assert_eq!(rest(&[at("a.log")]), Some(4 + 6), "the predecessor, too");
        assert_eq!(rest(&[at("*.log")]), Some(4 + 6));
    }

    #[test]
    fn of_what_is_no_plain_file_nobody_knows() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a.gz"), "x").unwrap();
        for name in [at("a.gz"), at("gone"), dir.path().to_owned()] {
            assert_eq!(
                bytes(std::slice::from_ref(&name), StartAt::Start, None),
                None
            );
        }
    }
}
