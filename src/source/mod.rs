//! Sources: where lines come from.
//!
//! A source reads, cuts lines, has them shaped, and hands chunks in. It knows nothing of batching,
//! sealing, pushing or counting fates; where to start is given to it.

mod absence;
pub mod ahead;
mod calm;
pub mod child;
mod copies;
pub mod file;
pub mod follow;
mod generations;
mod gzip;
mod late;
pub mod leash;
mod name;
pub mod names;
pub mod opened;
mod pattern;
pub mod pipe;
mod rotation;
mod shared;
mod tail;

use std::path::Path;
use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::entry::FileId;
use crate::gather::{Gather, Gatherer, reach};
use crate::lines::Lines;
use crate::note::Note;
use crate::pipeline::Intake;
use crate::shape::{Shape, Shaper};
use crate::stop::{Phase, Stop};

/// What the readers of files are given.
pub struct Setting {
    /// How lines are joined and filtered.
    pub gather: Gather,
    /// How lines become entries.
    pub shape: Arc<Shape>,
    /// The byte that ends a line.
    pub delimiter: u8,
    /// How much is read at once, at most.
    pub portion: usize,
    /// Whether lines carry the label `filename`.
    pub labelled: bool,
    /// Where a file without a checkpoint begins.
    pub begin: opened::Begin,
    /// Where to go on, and where to tell of files.
    pub checkpoint: Option<Arc<Checkpoint>>,
    /// Where chunks are handed in.
    pub intake: Intake,
    /// How the run goes on.
    pub stop: Arc<Stop>,
    /// What is said.
    pub note: Note,
}

impl Setting {
    /// Whether reading must end: a second stop was asked for, or nobody takes lines any more.
    fn is_over(&self) -> bool {
        let view = self.stop.view();
        view.phase == Phase::Now || view.input_ended.is_some()
    }

    /// A file has so many bytes to be read.
    fn sized(&self, id: FileId, size: u64) {
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.sized(id, size);
        }
    }

    /// Cuts what is read into lines.
    fn lines(&self) -> Lines {
        let room = Shaper::new(&self.shape, &[], None).room();
        Lines::new(self.delimiter, reach(room)).in_portions(self.portion)
    }

    /// What gathers the lines of a file.
    fn gatherer(&self, name: &Path, file: Option<FileId>) -> Gatherer {
        let label = names::label(name);
        let origin = [("filename", label.as_str())];
        let origin = if self.labelled { &origin[..] } else { &[] };
        Gatherer::new(&self.gather, Shaper::new(&self.shape, origin, file))
    }
}
