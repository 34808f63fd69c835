//! The earlier generations of a path: what is left to read of the files that had it before the one
//! that has it now, and of those that had it in between.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

use crate::entry::FileId;
use crate::input::compression::Format;
use crate::input::open_file::{FileTimes, OpenFile};
use crate::input::rotation::history::{History, Identity};
use crate::input::rotation::names;
use crate::storage::file_identity::DevInode;

/// What is asked about the earlier generations of a path.
pub struct Question<'a> {
    /// The path, as it was given.
    pub path: &'a Path,
    /// The same as the checkpoint's key.
    pub key: &'a Path,
    /// The file that has the path now.
    pub current: Option<(DevInode, FileTimes)>,
    /// The files that had it and are not open, oldest first.
    pub wanted: Vec<FileId>,
    /// The times of the one that had it last, if that is open.
    pub last: Option<FileTimes>,
    /// Whether the content of the file that has the path now was truncated before.
    pub was_truncated: bool,
}

/// The answer.
#[derive(Default)]
pub struct EarlierFiles {
    /// Files to read, oldest first.
    pub files: Vec<(Identity, OpenFile)>,
    /// Files that were met before and cannot be found.
    pub missing: Vec<FileId>,
}

/// Looks for the earlier generations of a path in its folder, and in that of the file it links to.
pub fn earlier_files(history: &mut History, question: &Question<'_>) -> EarlierFiles {
    let mut missing: Vec<FileId> = question.wanted.clone();
    let mut known: Vec<(FileId, OpenFile, Option<u64>)> = Vec::new();
    let mut unknown: Vec<(Identity, OpenFile, Option<u64>)> = Vec::new();
    for (path, mut file) in siblings(history, question) {
        let Ok(identity) = history.identify(&path, &mut file) else {
            continue;
        };
        let base = names::name(question.path);
        let number = names::number(base, names::name(&path));
        match identity {
            Identity::Known(id) if missing.contains(&id) => {
                missing.retain(|own| *own != id);
                known.push((id, file, number));
            }
            // A deleted file that is open, and of which this is a copy that may hold more.
            Identity::Known(id) if history.is_closed_of(id, question.key) => {
                known.push((id, file, number));
            }
            Identity::New(_) if names::is_surely_rotated(base, names::name(&path)) => {
                unknown.push((identity, file, number));
            }
            Identity::Known(_) | Identity::Copy | Identity::New(_) => {}
        }
    }
    // It may have been moved to a name that rotation does not give.
    missing.retain(|id| match history.find_closed(*id) {
        Some(file) if Some(file.at()) != question.current.map(|(at, _)| at) => {
            known.push((*id, file, None));
            false
        }
        _ => true,
    });
    let times = known.iter().map(|(_, file, _)| file.times());
    let newest = times
        .chain(question.last)
        .reduce(|a, b| if b.is_after(a) { b } else { a });
    unknown.retain(|(_, file, number)| is_between(file, *number, newest, &known, question));
    let known = known
        .into_iter()
        .map(|(id, file, _)| (Identity::Known(id), file));
    let unknown = unknown
        .into_iter()
        .map(|(identity, file, _)| (identity, file));
    let mut files: Vec<(Identity, OpenFile)> = known.chain(unknown).collect();
    files.sort_by_key(|(identity, file)| (matches!(identity, Identity::New(_)), file.times()));
    EarlierFiles { files, missing }
}

/// Whether a file that was not met before had the path after the last one that was, whose times are
/// `newest`, and before the one that has it now.
fn is_between(
    file: &OpenFile,
    number: Option<u64>,
    newest: Option<FileTimes>,
    known: &[(FileId, OpenFile, Option<u64>)],
    question: &Question<'_>,
) -> bool {
    let Some(newest) = newest else { return false };
    if file.is_gzip() {
        // It was created when it was compressed, but keeps the time of its last write.
        return file.times().was_written_after(newest);
    }
    // In a row of numbers a lower one is newer.
    let follows = known
        .iter()
        .any(|(.., other)| number < *other && number.is_some());
    let is_after = file.times().is_after(newest);
    let is_before = question.was_truncated
        || question
            .current
            .is_none_or(|(_, current)| current.is_after(file.times()));
    is_after && (is_before || follows)
}

/// The files beside a path that may have had it, or that are copies of those which had. None that is
/// open, and not the one that has the path now.
fn siblings(history: &History, question: &Question<'_>) -> Vec<(std::path::PathBuf, OpenFile)> {
    let wanted = question.wanted.iter().filter_map(|id| history.get(*id));
    let wanted: HashSet<u64> = wanted.map(|file| file.record.at.ino).collect();
    let mut found = Vec::new();
    for path in names::link_targets(question.path) {
        let base = names::name(&path).to_vec();
        let Ok(entries) = fs::read_dir(names::folder(&path)) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            let is_named = name.first() == base.first()
                && name != base
                && (names::may_be_rotated(&base, name) || names::uncompressed(name) == base);
            if !is_named && !wanted.contains(&entry.ino()) {
                continue;
            }
            if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            let Ok(file) = OpenFile::open(&entry.path()) else {
                continue;
            };
            let is_current = question.current.is_some_and(|(at, _)| at == file.at());
            let is_readable = !matches!(file.format(), Some(Format::Other { .. }));
            if !is_current && is_readable && history.open_at(file.at()).is_none() {
                found.push((key_beside(question.key, &path, entry.path()), file));
            }
        }
    }
    found
}

/// The checkpoint's key for a file beside a path, or beside the one that it links to.
fn key_beside(key: &Path, path: &Path, sibling: std::path::PathBuf) -> std::path::PathBuf {
    match sibling.file_name() {
        Some(name) if names::name(path) == names::name(key) => key.with_file_name(name),
        _ => sibling,
    }
}
