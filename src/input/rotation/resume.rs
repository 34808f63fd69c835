//! Generations: the files that bore one name one after another, as rotation leaves them.
//!
//! Finds what an earlier run did not finish, and what came and went unseen, among the siblings of a
//! name. Decides which of them are read, in what order and from where; reads no line.

use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::input::file_names;
use crate::input::open_file::{FileTimes, OpenFile, StartAt};
use crate::input::rotation::names;
use crate::report::messages::{Message, Reporter};
use crate::storage::checkpoint;
use crate::storage::checkpoint::Checkpoint;
use crate::storage::file_identity::{DevInode, FileRecord};

/// What is to be read by a name at the start of a run.
#[derive(Default)]
pub struct ResumePlan {
    /// Oldest first: what an earlier run left of files that bore the name then, what bore it in
    /// between, and what bears it now.
    pub files: Vec<OpenFile>,
    /// Whether something else was to be read that is gone. It was said.
    pub lost: bool,
}

/// Finds what is to be read by a name at the start of a run, of which `current` bears it now.
pub fn at_start(
    name: &Path,
    current: Option<OpenFile>,
    checkpoint: Option<&Checkpoint>,
    begin: StartAt,
    reporter: Reporter,
) -> ResumePlan {
    let Some(checkpoint) = checkpoint else {
        let begun = current.map(|file| file.begun(begin, name));
        let files = begun.into_iter().collect();
        return ResumePlan { files, lost: false };
    };
    let resumed = current
        .as_ref()
        .and_then(|file| checkpoint.resume(file.place(), &file.head));
    let former = checkpoint.former(name);
    let (mut old, mut gone) = (Vec::new(), Vec::new());
    for state in &former {
        let Some(file) = names::find(name, state) else {
            gone.push(state);
            continue;
        };
        // Two states may be of one file, one of them from the spool.
        if let Some(offset) = checkpoint.resume(file.place(), &file.head) {
            old.push(file.resumed(offset, name));
        }
    }
    if resumed.is_none() && !former.is_empty() {
        let unseen = unseen(name, &former, &old, current.as_ref(), checkpoint.written());
        old.extend(unseen);
    }
    let mut lost = false;
    if current.is_some() {
        // What was not found is gone for good. While nothing bears the name it may still come back.
        checkpoint.forget_former(name);
        // Copied before it was cut short, it lies there.
        gone.retain(|state| {
            !old.iter()
                .any(|file| copied(file, &[(*state).clone()]).is_some())
        });
        lost = gone.iter().any(|state| state.unread);
        let bearer = former.last().filter(|_| resumed.is_none());
        let bearer = bearer.filter(|state| gone.contains(state));
        let what = &*name.to_string_lossy();
        if lost {
            reporter.say(&Message::PredecessorLost { what });
        } else if bearer.is_some_and(|state| may_have_grown(name, state, checkpoint)) {
            reporter.say(&Message::PredecessorGone { what });
        }
    }
    old.sort_by_key(OpenFile::born);
    let own = |file: &OpenFile| original(name, file, checkpoint);
    old.extend(current.map(|file| match resumed.or_else(|| own(&file)) {
        Some(offset) => file.resumed(offset, name),
        None if former.is_empty() => file.begun(begin, name),
        None => file,
    }));
    ResumePlan { files: old, lost }
}

/// Whether a file that bore a name when it was last read, to its end, and is gone may have got more
/// since. One that was rotated or compressed before does not; nor did one that is compressed, as it
/// was, now.
fn may_have_grown(name: &Path, state: &FileRecord, checkpoint: &Checkpoint) -> bool {
    let key = checkpoint::key(name);
    let bytes = key.as_os_str().as_bytes();
    let is_rotated =
        checkpoint.knows(|original| names::may_be_copy(original.as_os_str().as_bytes(), bytes));
    let size = state.offset as u32;
    let mut compressed = names::compressed(name).into_iter();
    !is_rotated && !file_names::is_gzip(name) && !compressed.any(|file| file.size == Some(size))
}

/// What bore a name after the files of `former`, of which `found` were found, and before `current`.
fn unseen(
    name: &Path,
    former: &[FileRecord],
    found: &[OpenFile],
    current: Option<&OpenFile>,
    written: Option<SystemTime>,
) -> Vec<OpenFile> {
    let known: Vec<DevInode> = found.iter().chain(current).map(OpenFile::place).collect();
    let mut files = names::siblings(name, &|place| known.contains(&place));
    let was_cut = current.is_some_and(|now| former.iter().any(|state| state.place == now.place()));
    let newest = found
        .iter()
        .map(OpenFile::born)
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
pub fn between(
    name: &Path,
    old: FileTimes,
    new: FileTimes,
    known: &dyn Fn(DevInode) -> bool,
) -> Vec<OpenFile> {
    let mut files = names::siblings(name, known);
    files.retain(|file| file.born().is_after(old) && new.is_after(file.born()));
    files.sort_by_key(OpenFile::born);
    files
}

/// A generation that bore a name after `old` and was compressed before it was read, if there is
/// one that tells: `old` bore the name at the moment `seen`.
pub fn compressed_unread(name: &Path, old: &Metadata, seen: SystemTime) -> Option<PathBuf> {
    let last = old.modified().ok()?;
    let lost = names::compressed(name).into_iter().find(|file| {
        let since = file.meta.created().is_ok_and(|created| created > seen);
        // Compressing leaves the time of the last write as it was.
        let later = file.meta.modified().is_ok_and(|modified| modified > last);
        since && later && file.size != Some(old.len() as u32)
    });
    lost.map(|file| file.path)
}

/// Where a file is to be gone on with if it is a copy of one that an earlier run read by another
/// name, and that was not met yet. What still lies there is read there.
fn original(name: &Path, file: &OpenFile, checkpoint: &Checkpoint) -> Option<u64> {
    let key = checkpoint::key(name);
    let name = key.as_os_str().as_bytes();
    let mut former =
        checkpoint.former_where(|other| names::may_be_copy(other.as_os_str().as_bytes(), name));
    for state in &mut former {
        let lives = |original: OpenFile| {
            state.is(original.place(), &original.head) && original.meta.len() >= file.meta.len()
        };
        if OpenFile::open(&state.path).is_ok_and(lives) {
            state.offset = file.meta.len();
        }
    }
    copied(file, &former)
}

/// Where a file is to be gone on with if it is a copy of one that was read, as copy-truncate leaves
/// it.
fn copied(file: &OpenFile, former: &[FileRecord]) -> Option<u64> {
    let copied = former
        .iter()
        .filter_map(|state| file.copied(state.signature, state.offset));
    copied.max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::open_file::StartAt;
    use std::fs;

    fn contents(files: &[OpenFile]) -> Vec<(String, u64)> {
        let text = |file: &OpenFile| String::from_utf8_lossy(&file.head).into_owned();
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
        let open = || Checkpoint::open(&state, true, Reporter::default()).unwrap();
        let checkpoint = open();
        let mut file = OpenFile::open(&name).unwrap();
        file.offset = settled;
        checkpoint.register(0, file.state(&name));
        checkpoint.save().unwrap();
        drop((checkpoint, file));
        change(dir.path());
        let current = OpenFile::open(&name).ok();
        let reporter = Reporter::new(crate::report::messages::Verbosity::Quiet);
        let found = at_start(&name, current, Some(&open()), StartAt::End, reporter);
        contents(&found.files)
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
        for (begin, offset) in [(StartAt::Start, 0), (StartAt::End, 4)] {
            let current = OpenFile::open(&name).ok();
            let found = at_start(&name, current, None, begin, Reporter::default());
            assert_eq!(contents(&found.files), expected(&[("text", offset)]));
        }
    }
}
