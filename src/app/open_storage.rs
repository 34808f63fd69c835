//! The stores of a run: opens what keeps entries, and how far files were settled, on disk.
//!
//! Knows in what order. Knows nothing of what is kept.

use std::sync::Arc;

use anyhow::Result;

use crate::cli::config::{Config, Input};
use crate::pipeline::Storage;
use crate::report::messages::Reporter;
use crate::storage::checkpoint::Checkpoint;
use crate::storage::dead_letter::DeadLetter;
use crate::storage::file_identity::FileRecord;
use crate::storage::spool::Spool;

/// Opens what keeps entries on disk.
pub(super) fn open_stores(config: &Config, reporter: Reporter) -> Result<Storage> {
    let spool = config.spool.clone();
    let spool = spool
        .map(|options| Spool::open(options, reporter))
        .transpose()?;
    // A dry run ships nothing, so it settles nothing.
    let writable = config.connection.is_some();
    let checkpoint = open_checkpoint(config, spool.as_ref(), writable, reporter)?;
    let dead_letter = config.dead_letter.as_deref();
    let dead_letter = dead_letter.map(|path| DeadLetter::open(path, reporter));
    Ok(Storage {
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
    reporter: Reporter,
) -> Result<Option<Checkpoint>> {
    let Input::Files(files) = &config.input else {
        return Ok(None);
    };
    let Some(path) = &files.checkpoint else {
        return Ok(None);
    };
    let checkpoint = Checkpoint::open(path, writable, reporter)?;
    if let Some(spool) = spool {
        let positions = spool.positions();
        let states = positions.iter().filter_map(FileRecord::from_json);
        states.for_each(|state| checkpoint.raise(&state));
    }
    Ok(Some(checkpoint))
}
