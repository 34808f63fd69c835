//! Finds the earlier files of a path: those that were at the path before the current one and are not read
//! to their ends, and those that were at the path in between and are unknown.

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

/// The search for the earlier files of a path.
pub struct Question<'a> {
    /// The path as given.
    pub path: &'a Path,
    /// The canonical path.
    pub key: &'a Path,
    /// The current file at the path.
    pub current: Option<(DevInode, FileTimes)>,
    /// The closed files that were at the path, oldest first.
    pub wanted: Vec<FileId>,
    /// The times of the last file at the path, if it is open.
    pub last: Option<FileTimes>,
    /// Whether the current file was truncated before.
    pub was_truncated: bool,
}

/// The result of the search.
#[derive(Default)]
pub struct EarlierFiles {
    /// Files to read, oldest first.
    pub files: Vec<(Identity, OpenFile)>,
    /// Known files that cannot be found.
    pub missing: Vec<FileId>,
}

/// Searches for the earlier files of a path in its folder, and in that of the file it links to.
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
    // It may have got a name that does not come from rotation.
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

/// Whether an unknown file was at the path after the last known one, whose times are `newest`, and before
/// the current one.
fn is_between(
    file: &OpenFile,
    number: Option<u64>,
    newest: Option<FileTimes>,
    known: &[(FileId, OpenFile, Option<u64>)],
    question: &Question<'_>,
) -> bool {
    let Some(newest) = newest else { return false };
    if file.is_gzip() {
        // A compressed file was created by the compression, but keeps the time of the last write.
        return file.times().was_written_after(newest);
    }
    // Of numbered files the one with the lower number is newer.
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

/// The files next to a path that may have been at the path, or may be copies of such files. Open files and
/// the current one are left out.
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

/// The canonical path of a file next to a path, or next to the file that it links to.
fn key_beside(key: &Path, path: &Path, sibling: std::path::PathBuf) -> std::path::PathBuf {
    match sibling.file_name() {
        Some(name) if names::name(path) == names::name(key) => key.with_file_name(name),
        _ => sibling,
    }
}
