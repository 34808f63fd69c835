//! The core of a client: a pipeline, the streams it fills, and how it is stopped.
//!
//! Knows lines that are written already. Knows nothing of who logs, or of how many clones there are.

use std::sync::{Arc, Once};
use std::time::Instant;

use super::check::Checked;
use super::config::{Config, OnFull};
use super::record::Line;
use super::stats::{FlushError, Stats};
use crate::entry::Entry;
use crate::labels::Labels;
use crate::ledger::Ledger;
use crate::level::Level;
use crate::note::{Loudness, Note};
use crate::pipeline::{Destination, Ending, Intake, Pipeline, Plan, Stage, Stores};
use crate::push::Push;
use crate::queue::{Pop, Queue};
use crate::ship::Delivery;
use crate::stop::{Phase, Stop};

/// What all clones of a client share; a bridge too, which keeps no client alive.
pub struct Core {
    intake: Intake,
    pipeline: Pipeline,
    stop: Arc<Stop>,
    ledger: Arc<Ledger>,
    /// Closed when the last stage is through.
    through: Queue<()>,
    stopping: Once,
    /// The stream of each level.
    streams: [Arc<Labels>; Level::ALL.len()],
    max_message_size: usize,
    waits: bool,
    delivery: Delivery,
    target: String,
    warnings: Vec<String>,
}

impl Core {
    /// Starts the threads.
    pub fn start(config: &Config, checked: Checked, push: Arc<dyn Push>) -> Self {
        let (stop, ledger) = (Arc::new(Stop::new()), Arc::new(Ledger::new()));
        let target = checked.settings.target.clone();
        let delivery = checked.settings.delivery;
        let through = Queue::new(0);
        let ended = through.clone();
        let plan = Plan {
            settings: checked.settings,
            destination: Destination::Loki(push),
            stores: Stores::default(),
            stop: Arc::clone(&stop),
            ledger: Arc::clone(&ledger),
            note: Note::new(Loudness::Silent),
        };
        let pipeline = plan.start(move |stage| {
            if stage == Stage::Ship {
                ended.close();
            }
        });
        let labels = checked.labels;
        Self {
            intake: pipeline.intake(),
            pipeline,
            stop,
            ledger,
            through,
            stopping: Once::new(),
            streams: Level::ALL.map(|level| Arc::new(labels.with([("level", level.as_str())]))),
            max_message_size: config.max_message_size,
            waits: config.on_full == OnFull::Block,
            delivery,
            target,
            warnings: checked.warnings,
        }
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

    /// See [`Loki::flush`](super::Loki::flush).
    pub fn flush(&self) -> Result<(), FlushError> {
        if self
            .pipeline
            .flush(Instant::now() + self.delivery.patience.flush_timeout)
        {
            return Ok(());
        }
        let pending = self.ledger.counts().left();
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

    /// See [`Loki::stop`](super::Loki::stop).
    pub fn stop(&self) {
        self.stopping.call_once(|| {
            let now = Instant::now();
            self.pipeline.close();
            self.stop.advance(Phase::Winding);
            self.stop.end_input(now);
            self.wait_for_the_end();
            // Whatever a stage still does, it does in vain, and the statistics are final.
            self.stop.advance(Phase::Now);
            self.pipeline.abandon();
        });
    }

    /// Waits until the last stage is through, or the time is over.
    fn wait_for_the_end(&self) {
        // After a stop the time is a total: nothing that comes moves its end, but tries begin.
        while let Some(ending) = Ending::of(&self.delivery, &self.stop, &self.ledger) {
            let breaks_off = ending.breaks_off;
            let until = breaks_off.map_or(ending.leave, |(at, _)| at.min(ending.leave));
            match (self.through.pop(Some(until)), breaks_off) {
                (Pop::TimedOut, Some((_, later_than))) => self.pipeline.break_off(later_than),
                _ => break,
            }
        }
    }

    /// See [`Loki::stats`](super::Loki::stats).
    pub fn stats(&self) -> Stats {
        Stats::new(
            self.ledger.counts(),
            self.ledger.retrying(),
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
