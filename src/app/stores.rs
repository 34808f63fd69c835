//! The stores of a run: opens what keeps entries, and how far files were settled, on disk.
//!
//! Knows in what order. Knows nothing of what is kept.

use std::sync::Arc;

use anyhow::Result;

use crate::checkpoint::Checkpoint;
use crate::config::{Config, Input};
use crate::deadletter::DeadLetter;
use crate::identity::FileState;
use crate::note::Note;
use crate::pipeline::Stores;
use crate::spool::Spool;

/// Opens what keeps entries on disk.
pub(super) fn open_stores(config: &Config, note: Note) -> Result<Stores> {
    let spool = config.spool.clone();
    let spool = spool
        .map(|options| Spool::open(options, note))
        .transpose()?;
    // A dry run ships nothing, so it settles nothing.
    let writable = config.connection.is_some();
    let checkpoint = open_checkpoint(config, spool.as_ref(), writable, note)?;
    let dead_letter = config.dead_letter.as_deref();
    let dead_letter = dead_letter.map(|path| DeadLetter::open(path, note));
    Ok(Stores {
        spool: spool.map(Arc::new),
        checkpoint: checkpoint.map(Arc::new),
        drain: config.input == Input::Drain,
        dead_letter: dead_letter.transpose()?.map(Arc::new),
    })
}

/// Opens the checkpoint, to write it or only to look at it. What lies in the spool outranks what it
/// says.
pub(super) fn open_checkpoint(
    config: &Config,
    spool: Option<&Spool>,
    writable: bool,
    note: Note,
) -> Result<Option<Checkpoint>> {
    let Input::Files(files) = &config.input else {
        return Ok(None);
    };
    let Some(path) = &files.checkpoint else {
        return Ok(None);
    };
    let checkpoint = Checkpoint::open(path, writable, note)?;
    if let Some(spool) = spool {
        let marks = spool.marks();
        let states = marks.iter().filter_map(FileState::from_json);
        states.for_each(|state| checkpoint.raise(&state));
    }
    Ok(Some(checkpoint))
}
