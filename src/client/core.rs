//! The core of a client, which all its clones share: a pipeline and the label sets of its streams.

use std::io;
use std::sync::{Arc, Once};
use std::time::Instant;

use crate::client::config::{Config, OnFull};
use crate::client::record::Line;
use crate::client::stats::{FlushError, Stats};
use crate::client::validate::ValidConfig;
use crate::delivery::sender::SenderSettings;
use crate::entry::Entry;
use crate::entry::labels::Labels;
use crate::http::Transport;
use crate::parse::level::Level;
use crate::pipeline::{Pipeline, PipelineParts, SingleSender, Sink, Stage, Storage};
use crate::report::counters::Counters;
use crate::report::messages::{Reporter, Verbosity};
use crate::sync::queue::{ByteQueue, Pop};
use crate::sync::shutdown::{Phase, Shutdown};

/// The shared state of a client. Bridges only hold weak references to it.
pub struct Core {
    singles: SingleSender,
    pipeline: Pipeline,
    stop: Arc<Shutdown>,
    counters: Arc<Counters>,
    /// Closed when the last stage has ended.
    through: ByteQueue<()>,
    stopping: Once,
    /// The label set for each level.
    streams: [Arc<Labels>; Level::ALL.len()],
    max_message_size: usize,
    waits: bool,
    delivery: SenderSettings,
    target: String,
    warnings: Vec<String>,
}

impl Core {
    /// Starts the threads.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(
        config: &Config,
        checked: ValidConfig,
        push: Arc<dyn Transport>,
    ) -> io::Result<Self> {
        let (stop, counters) = (Arc::new(Shutdown::new()), Arc::new(Counters::new()));
        let target = checked.settings.target.clone();
        let delivery = checked.settings.delivery;
        let through = ByteQueue::new(0);
        let ended = through.clone();
        let plan = PipelineParts {
            settings: checked.settings,
            destination: Sink::Loki(push),
            stores: Storage::default(),
            stop: Arc::clone(&stop),
            counters: Arc::clone(&counters),
            reporter: Reporter::new(Verbosity::Silent),
            on_trouble: config.on_trouble.clone(),
        };
        let pipeline = plan.start(move |end| {
            if end.stage == Stage::Send {
                ended.close();
            }
        })?;
        let labels = checked.labels;
        Ok(Self {
            singles: pipeline.singles(),
            pipeline,
            stop,
            counters,
            through,
            stopping: Once::new(),
            streams: Level::ALL.map(|level| Arc::new(labels.with([("level", level.as_str())]))),
            max_message_size: config.max_message_size,
            waits: config.on_full == OnFull::Block,
            delivery,
            target,
            warnings: checked.warnings,
        })
    }

    /// Pushes a line. Lines of one thread keep their order.
    pub fn enter(&self, level: Level, line: &Line, metadata: &str, time: i64) {
        let stream = &self.streams[level as usize];
        line.in_pieces(self.max_message_size, |line| {
            let entry = Entry {
                time,
                line,
                metadata,
            };
            self.singles.push_single(stream, entry, self.waits);
        });
    }

    /// See [`Loki::flush`](crate::client::Loki::flush).
    pub fn flush(&self) -> Result<(), FlushError> {
        if self
            .pipeline
            .flush(Instant::now() + self.delivery.flush_timeout)
        {
            return Ok(());
        }
        let pending = self.counters.counts().left();
        if pending == 0 {
            return Ok(());
        }
        Err(FlushError {
            pending,
            target: self.target.clone(),
            trouble: self.pipeline.trouble(),
            stopped: self.stopping.is_completed(),
        })
    }

    /// See [`Loki::stop`](crate::client::Loki::stop).
    pub fn stop(&self) {
        self.stopping.call_once(|| {
            let now = Instant::now();
            self.pipeline.close();
            self.stop.advance(Phase::Draining);
            self.stop.start_flush(now, self.delivery.flush_timeout);
            self.wait_for_the_end();
            // Stages that are still busy can change nothing any more: the statistics are final.
            self.stop.advance(Phase::Aborting);
            self.pipeline.abandon();
        });
    }

    /// Waits until the last stage has ended, or the deadline has passed.
    fn wait_for_the_end(&self) {
        // After a stop the deadline does not move any more, but attempts are still started.
        while let Some(ending) = self.pipeline.deadline(&self.stop) {
            let breaks_off = ending.breaks_off;
            let until = breaks_off.map_or(ending.leave, |(at, _)| at.min(ending.leave));
            match (self.through.pop(Some(until)), breaks_off) {
                (Pop::TimedOut, Some((_, later_than))) => self.pipeline.abort_slow(later_than),
                _ => break,
            }
        }
    }

    /// See [`Loki::stats`](crate::client::Loki::stats).
    pub fn stats(&self) -> Stats {
        let mut counts = self.counters.counts();
        if self.pipeline.has_failed() {
            // The sender has failed: the entries cannot be delivered any more.
            counts.dropped += counts.left();
        }
        Stats::new(
            counts,
            self.counters.retrying(),
            self.pipeline.batches(),
            self.pipeline.trouble(),
            self.stopping.is_completed(),
        )
    }

    /// The URL that entries are sent to.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Warnings about settings that are allowed but unwise.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
