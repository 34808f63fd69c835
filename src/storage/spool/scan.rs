//! The survey: what lies in a spool directory, whoever holds it.
//!
//! Looks without locking, so that nobody misses a folder for it; what it says may be over by then.
//! Changes nothing.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::storage::spool::batch_file;
use crate::storage::spool::destination::Destination;
use crate::storage::spool::owned_dir;
use crate::storage::spool::owned_dir::OwnedDir;

/// All marks of a checkpoint.
pub fn positions(dir: &Path, checkpoint: &str) -> Vec<Value> {
    folders(dir)
        .iter()
        .flat_map(|path| owned_dir::batches(path).unwrap_or_default())
        .filter_map(|path| batch_file::read_head(&path).ok())
        .filter(|head| head.checkpoint.as_deref() == Some(checkpoint))
        .flat_map(|head| head.positions)
        .collect()
}

/// The destinations but `own` that shipments go to, as messages name them.
pub fn elsewhere(dir: &Path, own: &Destination) -> Vec<String> {
    let mut found: Vec<String> = folders(dir)
        .iter()
        .filter(|path| owned_dir::batches(path).is_ok_and(|batches| !batches.is_empty()))
        .filter_map(|path| OwnedDir::destination(path))
        .filter(|other| other != own)
        .map(|other| other.shown())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Bytes in all folders but those held, damaged files included.
pub fn used_but(dir: &Path, held: &[PathBuf]) -> u64 {
    let folders = folders(dir);
    let others = folders.iter().filter(|path| !held.contains(path));
    others.map(|path| owned_dir::bytes_in(path)).sum::<u64>() + owned_dir::bytes_in(dir)
}

/// The folders; those that cannot be looked at are another user's.
fn folders(dir: &Path) -> Vec<PathBuf> {
    owned_dir::all(dir).unwrap_or_default()
}
