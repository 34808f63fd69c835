//! A shipment in the spool: its file, what it is to this run, and how it goes.
//!
//! Knows files and whose marks are whose. Knows nothing of folders and their locks, nor of what
//! other shipments there are.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::entry::request::EncodedBatch;
use crate::storage::spool::Options;
use crate::storage::spool::batch_file;
use crate::storage::spool::batch_file::{BodyInfo, Header, ReadError};

/// A shipment in the spool.
#[derive(Debug, Clone)]
pub struct SpooledBatch {
    pub(super) path: PathBuf,
    /// How many entries it holds; 0 for a receipt.
    pub entries: usize,
    /// How long its file is.
    pub bytes: u64,
    /// How far files are read with it, as the checkpoint described them; empty where another
    /// run's checkpoint did.
    pub positions: Vec<Value>,
    /// Whether marks of another run's checkpoint must be kept when it is removed.
    foreign_marks: bool,
}

/// A shipment about to be stored: how much room it takes is known.
pub struct PreparedBatch {
    head: Header,
    line: String,
}

impl PreparedBatch {
    /// Prepares a shipment, with its marks as the checkpoint describes them.
    pub(super) fn new(shipment: &EncodedBatch, positions: Vec<Value>, options: &Options) -> Self {
        let head = Header {
            number: shipment.number,
            stored: now(),
            destination: options.destination.clone(),
            checkpoint: options.checkpoint.clone(),
            positions,
            parts: shipment.requests.iter().map(BodyInfo::of).collect(),
        };
        let line = head.to_line();
        Self { head, line }
    }

    /// How long its file will be.
    pub fn bytes(&self) -> u64 {
        self.line.len() as u64 + self.head.length()
    }

    /// Writes it down.
    pub(super) fn store(
        self,
        path: PathBuf,
        shipment: &EncodedBatch,
        sync: bool,
    ) -> io::Result<SpooledBatch> {
        batch_file::write(&path, &self.line, &shipment.requests, sync)?;
        Ok(SpooledBatch {
            path,
            entries: self.head.entries(),
            bytes: self.bytes(),
            positions: self.head.positions,
            foreign_marks: false,
        })
    }
}

impl SpooledBatch {
    /// Looks at a file that somebody stored: when that was, and what it is to a run with these
    /// options. None if it is not for this run to deliver, or to wait for.
    pub(super) fn found(
        path: PathBuf,
        options: &Options,
    ) -> Result<Option<(u64, Self)>, ReadError> {
        // Of a file that was cut short, what the header counts is missed when its turn comes.
        let (head, bytes) = batch_file::peek(&path)?;
        let own_marks = head.checkpoint == options.checkpoint;
        let receipt = head.parts.is_empty();
        if head.destination != options.destination || receipt && !own_marks {
            return Ok(None);
        }
        let stored = Self {
            entries: head.entries(),
            bytes,
            foreign_marks: !own_marks && !head.positions.is_empty(),
            positions: if own_marks {
                head.positions
            } else {
                Vec::new()
            },
            path,
        };
        Ok(Some((head.stored, stored)))
    }

    /// Whether the file is still there: somebody may have removed it.
    pub fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Reads the shipment back, without its marks.
    pub(super) fn load(&self) -> Result<EncodedBatch, ReadError> {
        batch_file::load(&self.path)
    }

    /// Removes the file. Marks that another run waits for stay as a receipt. What cannot be
    /// removed or shortened is sent again by the next run, as the same bytes.
    pub(super) fn remove(&self, sync: bool) {
        if !self.foreign_marks {
            let _ = fs::remove_file(&self.path);
        } else if let Ok(mut head) = batch_file::read_head(&self.path) {
            head.parts.clear();
            let _ = batch_file::write(&self.path, &head.to_line(), &[], sync);
        }
    }
}

/// Nanoseconds since the epoch.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos() as u64
}
