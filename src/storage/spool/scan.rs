//! Read-only scan of a spool, including what other processes hold.
//!
//! It takes no lock, so that no process that wants to take a directory over finds it locked; the
//! result may be out of date at once. Only directories of ours are opened.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use serde_json::Value;

use super::destination::{DestinationRecord, Relation};
use super::owned_dir::{self, has_extension, is_name, open_trusted};
use super::quarantine::DAMAGED;
use super::{Options, batch_file};
use crate::storage::private_files::Dir;

/// The names of the directories that are ours, oldest first.
pub fn directories(spool: &Dir) -> Vec<OsString> {
    let mut names = spool.names().unwrap_or_default();
    names.retain(|name| is_name(name));
    names.sort();
    names
}

fn open_all(spool: &Dir) -> impl Iterator<Item = (OsString, Dir)> {
    let names = directories(spool).into_iter();
    names.filter_map(|name| {
        let dir = open_trusted(spool, &name).ok()??;
        Some((name, dir))
    })
}

/// All positions of this run's checkpoint.
pub fn positions(spool: &Dir, checkpoint: &str) -> Vec<Value> {
    open_all(spool)
        .flat_map(|(_, dir)| {
            let names = owned_dir::batches(&dir).unwrap_or_default();
            let read = |name: &OsString| batch_file::read_header(&dir, name).ok();
            names.iter().filter_map(read).collect::<Vec<_>>()
        })
        .filter(|header| header.checkpoint.as_deref() == Some(checkpoint))
        .flat_map(|header| header.positions)
        .collect()
}

/// The destinations of batches that this run does not deliver, each with how it relates to that of
/// this run.
pub fn other_destinations(spool: &Dir, options: &Options) -> Vec<(DestinationRecord, Relation)> {
    let mut found: Vec<(DestinationRecord, Relation)> = Vec::new();
    for (_, dir) in open_all(spool) {
        let has_batches = owned_dir::batches(&dir).is_ok_and(|batches| !batches.is_empty());
        let Some(record) = owned_dir::destination(&dir).filter(|_| has_batches) else {
            continue;
        };
        let relation = record.relation(&options.destination);
        // The same ones differ in their salts.
        let text = record.to_string();
        if !options.delivers(&record) && !found.iter().any(|(other, _)| other.to_string() == text) {
            found.push((record, relation));
        }
    }
    found.sort_by_key(|(record, _)| record.to_string());
    found
}

/// The number of bytes in directories that are ours but not held by this process, and in damaged
/// files.
pub fn bytes_of_others(spool: &Dir, held: &BTreeSet<OsString>) -> u64 {
    let others = open_all(spool).filter(|(name, _)| !held.contains(name));
    let in_others: u64 = others.map(|(_, dir)| bytes_in(&dir, |_| true)).sum();
    in_others + bytes_in(spool, |name| has_extension(name, DAMAGED))
}

/// The number of bytes in the files of a directory.
pub fn bytes_in(dir: &Dir, counts: impl Fn(&OsStr) -> bool) -> u64 {
    let names = dir.names().unwrap_or_default().into_iter();
    let names = names.filter(|name| counts(name));
    names.map(|name| dir.own_bytes(name)).sum()
}

/// What is left alone in a spool, since somebody else put it there or can change it: names, each
/// with the reason. With `all` the regular directories of other users too, where a spool is made to
/// be shared.
pub fn untrusted(spool: &Dir, all: bool) -> Vec<String> {
    let is_shared = spool.access().is_ok_and(|access| access.mode & 0o1000 != 0);
    let mut found = Vec::new();
    for name in spool.names().unwrap_or_default() {
        let Ok(access) = spool.access_of(&name) else {
            continue;
        };
        let shown = name.display();
        if access.is_ours() {
            if is_name(&name) && access.is_dir && !access.is_private() {
                let path = spool.path().join(&name);
                found.push(format!(
                    "{shown} (mode {:o}; if only you have written to it: chmod 700 {})",
                    access.mode,
                    path.display()
                ));
            }
        } else if access.owner != 0 {
            let is_regular = is_name(&name) && access.is_dir && access.is_private();
            if all || !(is_regular && is_shared) {
                found.push(format!("{shown} (belongs to uid {})", access.owner));
            }
        }
    }
    found.sort();
    found
}

/// Why others can change a spool itself, and the command that prevents it; None if they cannot.
pub fn open_to_others(spool: &Dir) -> Option<String> {
    let access = spool.access().ok()?;
    let path = spool.path().display();
    if !access.is_ours() && access.owner != 0 {
        let uid = rustix::process::geteuid().as_raw();
        return Some(format!(
            "it belongs to uid {}: chown {uid} {path} && chmod 700 {path}",
            access.owner
        ));
    }
    let is_open = access.mode & 0o022 != 0 && access.mode & 0o1000 == 0;
    is_open.then(|| {
        format!(
            "mode {:o}: chmod 700 {path}, or chmod 1777 {path} if several users share it",
            access.mode
        )
    })
}
