//! The core of a client: a pipeline, the streams it fills, and how it is stopped.
//!
//! Knows lines that are written already. Knows nothing of who logs, or of how many clones there are.

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
use crate::http::Push;
use crate::parse::level::Level;
use crate::pipeline::{EntrySender, Pipeline, PipelineParts, Sink, Stage, Storage};
use crate::report::counters::Counters;
use crate::report::messages::{Reporter, Verbosity};
use crate::sync::queue::{ByteQueue, Pop};
use crate::sync::shutdown::{Phase, Shutdown};

/// What all clones of a client share; a bridge too, which keeps no client alive.
pub struct Core {
    intake: EntrySender,
    pipeline: Pipeline,
    stop: Arc<Shutdown>,
    counters: Arc<Counters>,
    /// Closed when the last stage is through.
    through: ByteQueue<()>,
    stopping: Once,
    /// The stream of each level.
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
    /// If there can be none.
    pub fn start(config: &Config, checked: ValidConfig, push: Arc<dyn Push>) -> io::Result<Self> {
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
            intake: pipeline.intake(),
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

    /// Hands a line in. What a thread hands in keeps its order.
    pub fn enter(&self, level: Level, line: &Line, metadata: &str, time: i64) {
        let stream = &self.streams[level as usize];
        line.in_pieces(self.max_message_size, |line| {
            let entry = Entry {
                time,
                line,
                metadata,
            };
            self.intake.push_single(stream, entry, self.waits);
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
            // Whatever a stage still does, it does in vain, and the statistics are final.
            self.stop.advance(Phase::Aborting);
            self.pipeline.abandon();
        });
    }

    /// Waits until the last stage is through, or the time is over.
    fn wait_for_the_end(&self) {
        // After a stop the time is a total: nothing that comes moves its end, but tries begin.
        while let Some(ending) = self.pipeline.deadline(&self.stop) {
            let breaks_off = ending.breaks_off;
            let until = breaks_off.map_or(ending.leave, |(at, _)| at.min(ending.leave));
            match (self.through.pop(Some(until)), breaks_off) {
                (Pop::TimedOut, Some((_, later_than))) => self.pipeline.break_off(later_than),
                _ => break,
            }
        }
    }

    /// See [`Loki::stats`](crate::client::Loki::stats).
    pub fn stats(&self) -> Stats {
        let mut counts = self.counters.counts();
        if self.pipeline.has_failed() {
            // Nobody delivers it any more.
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

    /// Where it sends to.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What is allowed but not wise in the configuration.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
