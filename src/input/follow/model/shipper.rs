//! The follower under test, and what stands in for the rest of the program: a queue, and the
//! delivery of what is in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::entry::Chunk;
use crate::entry::labels::Labels;
use crate::input::SourceOptions;
use crate::input::follow::{Follower, TICK, ticks};
use crate::input::glob::Excluded;
use crate::input::open_file::StartAt;
use crate::input::own_files::OwnFiles;
use crate::parse::fields::Parse;
use crate::process::entry_sender::EntrySender;
use crate::process::filter::Filter;
use crate::process::layout::Layout;
use crate::process::line_processor::LineOptions;
use crate::process::options::{EntryOptions, StreamLimit, TimeSource};
use crate::process::unwrap::Unwrap;
use crate::report::messages::{Reporter, Verbosity};
use crate::storage::checkpoint::Checkpoint;
use crate::sync::queue::ByteQueue;
use crate::sync::shutdown::Shutdown;

/// More than a history fills the queue with.
const CAPACITY: usize = 1 << 40;

/// How often the checkpoint is saved.
const SAVED_EACH: Duration = Duration::from_secs(1);

/// A running follower.
pub struct Shipper {
    follower: Follower,
    chunks: ByteQueue<Chunk>,
    checkpoint: Option<Arc<Checkpoint>>,
    began: Instant,
    saved: Instant,
    is_held_up: bool,
}

/// The lines that were delivered while time passed.
pub struct Passed {
    pub lines: Vec<String>,
    /// How many of them the checkpoint had when it was last saved, if it was.
    pub saved: Option<usize>,
}

impl Shipper {
    /// Starts to follow, with a checkpoint if there is a file for one.
    pub fn start(
        given: &[PathBuf],
        checkpoint: Option<&Path>,
        is_shown: bool,
        now: Instant,
    ) -> Self {
        let verbosity = if is_shown {
            Verbosity::Verbose
        } else {
            Verbosity::Silent
        };
        let reporter = Reporter::new(verbosity);
        let chunks = ByteQueue::new(CAPACITY);
        let stop = Arc::new(Shutdown::new());
        let checkpoint = checkpoint
            .map(|path| Arc::new(Checkpoint::open(path, true, reporter).expect("a checkpoint")));
        let options = SourceOptions {
            gather: LineOptions::new(None, Filter::default(), false, Unwrap::Off),
            shape: Arc::new(plain_entries(reporter)),
            delimiter: b'\n',
            portion: usize::MAX,
            labelled: false,
            begin: StartAt::Start,
            checkpoint: checkpoint.clone(),
            intake: EntrySender::new(chunks.clone(), None, &stop, &Arc::default(), reporter),
            excluded: Excluded::default(),
            own: OwnFiles::default(),
            stop,
            reporter,
        };
        let mut follower = Follower::new(options, given, now);
        for pattern in &mut follower.patterns {
            pattern.ignore_cost(now);
        }
        Self {
            follower,
            chunks,
            checkpoint,
            began: now,
            saved: now,
            is_held_up: false,
        }
    }

    /// Lets time pass. Returns the lines that were delivered, unless delivery is `slow`: then they
    /// stay in the queue.
    pub fn pass(&mut self, from: Instant, to: Instant, slow: bool) -> Passed {
        let (mut delivered, mut saved) = (Vec::new(), None);
        let mut tick = ticks(from - self.began);
        let last = ticks(to - self.began);
        while tick <= last {
            let now = self.began + TICK * tick as u32;
            for _ in 0..1_000 {
                let look = self.follower.look_at_all(tick, now);
                if !look.has_more || look.is_held_up {
                    break;
                }
            }
            if !slow && !self.is_held_up {
                delivered.extend(self.deliver());
            }
            if now >= self.saved + SAVED_EACH {
                self.save();
                (self.saved, saved) = (now, Some(delivered.len()));
            }
            let due = self.follower.next_due().unwrap_or(last + 1);
            tick = due.max(tick + 1);
        }
        Passed {
            lines: delivered,
            saved,
        }
    }

    /// Fills the queue, or empties it.
    pub fn hold_up(&mut self, is_held_up: bool) -> Vec<String> {
        if is_held_up == self.is_held_up {
            return Vec::new();
        }
        let delivered = self.deliver();
        self.is_held_up = is_held_up;
        if is_held_up {
            let nothing = Chunk::new(None, self.began);
            assert!(self.chunks.push_over(nothing, CAPACITY).is_ok());
        }
        delivered
    }

    /// Delivers what is in the queue.
    pub fn deliver(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(chunk) = self.chunks.take_first(|_| true) {
            lines.extend((0..chunk.len()).map(|at| chunk.entry(at).line.to_owned()));
            if let (Some(checkpoint), Some(mark)) =
                (&self.checkpoint, chunk.mark_after(chunk.len()))
            {
                checkpoint.settled(&[mark].into_iter().collect());
            }
        }
        lines
    }

    /// Saves the checkpoint.
    pub fn save(&self) {
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.save().expect("a checkpoint");
        }
    }

    /// Whether bytes are known to be lost.
    pub fn has_lost(&self) -> bool {
        self.follower.context.has_lost
    }

    /// Stops: reads and delivers what is there. Returns the lines, and whether any were lost.
    pub fn stop(mut self, now: Instant) -> (Vec<String>, bool) {
        let mut delivered = self.hold_up(false);
        let Self {
            follower,
            chunks,
            checkpoint,
            ..
        } = self;
        let lost = follower.end(now + Duration::from_millis(1));
        while let Some(chunk) = chunks.take_first(|_| true) {
            delivered.extend((0..chunk.len()).map(|at| chunk.entry(at).line.to_owned()));
            if let (Some(checkpoint), Some(mark)) = (&checkpoint, chunk.mark_after(chunk.len())) {
                checkpoint.settled(&[mark].into_iter().collect());
            }
        }
        if let Some(checkpoint) = checkpoint {
            checkpoint.save().expect("a checkpoint");
        }
        (delivered, lost > 0)
    }
}

/// Entries that are the lines.
fn plain_entries(reporter: Reporter) -> EntryOptions {
    EntryOptions {
        labels: Labels::new([("app", "model")]),
        level: None,
        read_level: false,
        fields: Vec::new(),
        max_line: 256 * 1024,
        parse: Parse::None,
        layout: Layout::Keep,
        label_fields: Vec::new(),
        stream_limit: Arc::new(StreamLimit::new(100, reporter)),
        time: TimeSource::Arrival,
        redactor: None,
        path_labels: None,
        hold_time: Duration::from_secs(1),
        reports_times: false,
        uses_envelope_time: false,
    }
}
