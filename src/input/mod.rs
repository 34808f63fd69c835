//! Sources: read the inputs, split them into lines, and pass the entries built from these to the
//! sender in chunks.

pub mod cancel;
pub mod command;
pub mod compression;
mod encoding;
pub mod file_names;
pub mod files;
pub mod follow;
pub mod glob;
mod gzip;
pub mod line_splitter;
pub mod open_file;
pub mod own_files;
pub mod pipe;
pub mod pipe_holders;
mod read_coalescing;
mod rotation;
pub mod size;
mod time_check;

use std::path::Path;
use std::sync::Arc;

use crate::entry::{FileId, TimestampState};
use crate::input::line_splitter::LineSplitter;
use crate::parse::timestamp::InputKind;
use crate::process::clock;
use crate::process::entry_builder::EntryBuilder;
use crate::process::entry_sender::EntrySender;
use crate::process::line_processor::{LineOptions, LineProcessor, max_line_read};
use crate::process::line_time::LineTimes;
use crate::process::options::EntryOptions;
use crate::report::messages::Reporter;
use crate::storage::checkpoint::Checkpoint;
use crate::sync::shutdown::{Phase, Shutdown};

/// The options of a source.
#[derive(Clone)]
pub struct SourceOptions {
    /// How lines are joined and filtered.
    pub gather: LineOptions,
    /// How lines become entries.
    pub shape: Arc<EntryOptions>,
    /// The delimiter of lines.
    pub delimiter: u8,
    /// Maximum number of bytes read at once.
    pub portion: usize,
    /// Whether entries get the label `filename`.
    pub labelled: bool,
    /// Where to start in a file that is not in the checkpoint.
    pub begin: crate::input::open_file::StartAt,
    /// Positions of an earlier run, and where this run records its own.
    pub checkpoint: Option<Arc<Checkpoint>>,
    /// Receives the chunks.
    pub intake: EntrySender,
    /// The files of `--exclude-path`.
    pub excluded: glob::Excluded,
    /// The files that this process writes.
    pub own: own_files::OwnFiles,
    /// The state of the run.
    pub stop: Arc<Shutdown>,
    /// Prints messages.
    pub reporter: Reporter,
}

impl SourceOptions {
    /// Whether reading must end, because of a second signal or because entries are no longer accepted.
    fn is_over(&self) -> bool {
        let state = self.stop.state();
        state.phase == Phase::Aborting || state.reading_over
    }

    /// Records the size of a file.
    fn sized(&self, id: FileId, size: u64) {
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.set_size(id, size);
        }
    }

    /// Creates the line splitter.
    fn lines(&self) -> LineSplitter {
        let room = EntryBuilder::new(&self.shape, &[], None).max_fragment();
        LineSplitter::new(self.delimiter, max_line_read(room)).in_portions(self.portion)
    }

    /// Makes entries of the lines of a live input, whose times were like this `before`.
    fn live(&self, name: &Path, file: Option<FileId>, before: &TimestampState) -> LineProcessor {
        let shown = name.to_string_lossy();
        let mut times = LineTimes::new(&self.shape, InputKind::Live, clock::now(), &shown);
        if let Some(times) = &mut times {
            times.resume(before);
        }
        self.processor_with(name, file, times)
    }

    /// Makes entries of the lines of an input whose times are read so.
    fn processor_with(
        &self,
        name: &Path,
        file: Option<FileId>,
        times: Option<LineTimes>,
    ) -> LineProcessor {
        let label = crate::input::file_names::label(name);
        let shown = self.shape.redacted(&label);
        let origin = [("filename", shown.as_str())];
        let origin = if self.labelled { &origin[..] } else { &[] };
        let builder = EntryBuilder::new(&self.shape, origin, file)
            .with_path(name)
            .with_times(times)
            .named(&label);
        LineProcessor::new(&self.gather, builder)
    }
}
