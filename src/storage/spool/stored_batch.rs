//! A batch in the spool: its file, whether it comes from an earlier run, and how it is removed.

use std::ffi::OsString;
use std::io;
#[cfg(test)]
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::Options;
use super::batch_file::{self, BodyInfo, Header, ReadError};
use super::destination::DestinationRecord;
use super::owned_dir::OwnedDir;
use crate::entry::request::EncodedBatch;

/// A batch in the spool.
#[derive(Debug, Clone)]
pub struct SpooledBatch {
    pub(super) dir: Arc<OwnedDir>,
    pub(super) name: OsString,
    /// How many entries it holds; 0 for a tombstone.
    pub entries: usize,
    /// The length of its file.
    pub bytes: u64,
    /// The file positions that are reached with it, as this run's checkpoint describes them.
    pub positions: Vec<Value>,
    /// Whether it is next to the checkpoint and not in the spool itself, for as long as it is sent.
    pub is_sending: bool,
    /// Whether it has positions that belong to another checkpoint, which must be kept for it.
    other_checkpoint: bool,
}

/// A batch about to be stored: the room that it takes is known.
pub struct PreparedBatch {
    header: Header,
    line: String,
}

impl PreparedBatch {
    /// Prepares a batch, with its file positions as the checkpoint describes them.
    pub(super) fn new(
        batch: &EncodedBatch,
        positions: Vec<Value>,
        destination: &DestinationRecord,
        options: &Options,
    ) -> Self {
        let header = Header {
            number: batch.number,
            stored_at: now(),
            destination: destination.clone(),
            checkpoint: options.checkpoint.clone(),
            positions,
            bodies: batch.requests.iter().map(BodyInfo::of).collect(),
        };
        let line = header.to_line();
        Self { header, line }
    }

    pub(super) fn destination(&self) -> &DestinationRecord {
        &self.header.destination
    }

    /// The length of its file.
    pub fn bytes(&self) -> u64 {
        self.line.len() as u64 + self.header.body_bytes()
    }

    /// Writes it down.
    pub(super) fn store(
        self,
        dir: Arc<OwnedDir>,
        name: OsString,
        batch: &EncodedBatch,
        sync: bool,
    ) -> io::Result<SpooledBatch> {
        batch_file::write(dir.dir(), &name, &self.line, &batch.requests, sync)?;
        Ok(SpooledBatch {
            dir,
            name,
            entries: self.header.entries(),
            bytes: self.bytes(),
            positions: self.header.positions,
            is_sending: false,
            other_checkpoint: false,
        })
    }
}

impl SpooledBatch {
    /// Looks at a file in a directory that was taken over: when it was stored, and what it is to
    /// this run. None if this run neither delivers it nor waits for it.
    pub(super) fn recover(
        dir: &Arc<OwnedDir>,
        name: OsString,
        options: &Options,
    ) -> Result<Option<(u64, Self)>, ReadError> {
        // If the file was cut short, what its header counts is missed when its turn comes.
        let (header, bytes) = batch_file::peek(dir.dir(), &name)?;
        let ours = header.checkpoint == options.checkpoint;
        let is_tombstone = header.bodies.is_empty();
        if !options.delivers(&header.destination) || is_tombstone && !ours {
            return Ok(None);
        }
        let batch = Self {
            entries: header.entries(),
            bytes,
            other_checkpoint: !ours && !header.positions.is_empty(),
            positions: if ours { header.positions } else { Vec::new() },
            is_sending: false,
            dir: Arc::clone(dir),
            name,
        };
        Ok(Some((header.stored_at, batch)))
    }

    /// Where its file is.
    #[cfg(test)]
    pub(super) fn path(&self) -> PathBuf {
        self.dir.dir().path().join(&self.name)
    }

    /// Whether the file still exists: somebody may have removed it, or its directory.
    pub fn exists(&self) -> bool {
        self.dir.dir().access_of(&self.name).is_ok()
    }

    /// Reads the batch back, without its positions.
    pub(super) fn load(&self) -> Result<EncodedBatch, ReadError> {
        batch_file::load(self.dir.dir(), &self.name)
    }

    /// Removes the file. Positions that another run waits for stay as a tombstone. What cannot be
    /// removed or shortened is sent again by the next run, as the same bytes.
    pub(super) fn remove(&self, sync: bool) {
        let dir = self.dir.dir();
        if !self.other_checkpoint {
            let _ = dir.remove_file(&self.name);
        } else if let Ok(mut header) = batch_file::read_header(dir, &self.name) {
            header.bodies.clear();
            let _ = batch_file::write(dir, &self.name, &header.to_line(), &[], sync);
        }
    }
}

/// Nanoseconds since the epoch.
pub(super) fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed();
    since.unwrap_or_default().as_nanos() as u64
}
